"""The curve of a search or a run as an SVG file."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from codeit.evaluation.scoring import Score
from codeit.report.svg import Axis, Reference, Series, line_chart_file
from codeit.storage.files import write_atomically

PAPER_RUN = {"paper: all programs": {100: 59}, "paper: samples of one iteration": {100: 49}}
"""Tasks of the ARC-AGI-1 evaluation set that the paper's CodeIt solves after its iterations."""


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
    series = [
        Series(name, [(n, score.solved_top3) for n, score in curve.items()], hue)
        for hue, (name, curve) in enumerate(curves.items())
    ]
    references = [Reference(name, list(known.items())) for name, known in points.items()]
    x, y = Axis(across, log=True), Axis("tasks solved (top 3)", whole=True)
    write_atomically(path, line_chart_file(f"Tasks solved against {across}", series, x, y, references))


def draw_run(
    path: Path, metrics: Mapping[int, Mapping[str, float]], points: Mapping[str, Mapping[int, int]]
) -> None:
    """Draw tasks solved at top 3 against iterations of the loop into an SVG file.

    `metrics` are those of a run by iteration, and `points` as in `draw`.
    """

    def values(name: str) -> list[tuple[int, int]]:
        return [(k, int(row[name])) for k, row in metrics.items() if name in row]

    series = [
        Series("all programs so far", values("cumulative_top3"), 0),
        Series("samples of one iteration", values("policy_top3"), 1),
    ]
    references = [Reference(name, list(known.items())) for name, known in points.items()]
    x, y = Axis("iteration", whole=True), Axis("tasks solved (top 3)", whole=True)
    write_atomically(path, line_chart_file("Tasks solved against iterations", series, x, y, references))
