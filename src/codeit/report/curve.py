"""The curve of a search as an SVG file."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from codeit.evaluation.scoring import Score
from codeit.report.svg import Axis, Reference, Series, line_chart_file
from codeit.storage.files import write_atomically


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
