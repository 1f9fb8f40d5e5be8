"""The curve of a search or a run as an SVG file."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from codeit.evaluation.scoring import Score
from codeit.report.svg import Axis, Reference, Series, line_chart_file
from codeit.storage.files import write_atomically

PAPER_LOOP, PAPER_SAMPLES = 59, 49
"""Tasks of the ARC-AGI-1 evaluation set that the paper's loop solves after 100 iterations: by all
programs, and by the policy's samples of the last iteration."""
PAPER_LOOP_PROGRAMS = 19_200 + 100 * 24
"""Programs that the paper's loop tries on each task: mutants, then samples."""
PAPER_RUN = {
    "paper: all programs": {100: PAPER_LOOP},
    "paper: samples of one iteration": {100: PAPER_SAMPLES},
}


def draw(
    path: Path,
    curves: Mapping[str, Mapping[int, Score]],
    points: Mapping[str, Mapping[int, int]],
    across: str,
) -> None:
    """Draw tasks solved at top 3 against programs tried, on a logarithmic axis, into an SVG file.

    `curves` are lines by name, `points` are crosses by name, each a number of tasks by number of
    programs. `across` is the title of the x axis. Equal data gives an equal file.
    """
    lines = {name: [(n, score.solved_top3) for n, score in curve.items()] for name, curve in curves.items()}
    _draw(path, across, lines, points, Axis(across, log=True))


def draw_run(
    path: Path, metrics: Mapping[int, Mapping[str, float]], points: Mapping[str, Mapping[int, int]]
) -> None:
    """Draw tasks solved at top 3 against iterations of the loop into an SVG file.

    `metrics` are those of a run by iteration, and `points` as in `draw`.
    """
    names = {"all programs so far": "cumulative_top3", "samples of one iteration": "policy_top3"}
    lines = {
        line: [(k, int(row[name])) for k, row in metrics.items() if name in row]
        for line, name in names.items()
    }
    _draw(path, "iterations", lines, points, Axis("iteration", whole=True))


def _draw(
    path: Path,
    across: str,
    lines: Mapping[str, list[tuple[int, int]]],
    points: Mapping[str, Mapping[int, int]],
    x: Axis,
) -> None:
    series = [Series(name, line, hue) for hue, (name, line) in enumerate(lines.items())]
    references = [Reference(name, list(known.items())) for name, known in points.items()]
    y = Axis("tasks solved (top 3)", whole=True)
    write_atomically(path, line_chart_file(f"Tasks solved against {across}", series, x, y, references))
