"""Learning curves as pictures."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from codeit.evaluation.scoring import Score


def draw(
    path: Path,
    curves: Mapping[str, Mapping[int, Score]],
    points: Mapping[str, Mapping[int, int]],
    across: str,
) -> None:
    """Draw tasks solved at top 3 against programs tried (`across` says which), as lines by name, and points.

    The file's ending (svg, png) says its form.
    """
    import matplotlib

    matplotlib.use("agg")
    matplotlib.rcParams["svg.hashsalt"] = "codeit"  # the same curve gives the same file
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(figsize=(6, 3.6), layout="constrained")
    for name, curve in curves.items():
        axes.plot(list(curve), [score.solved_top3 for score in curve.values()], marker=".", label=name)
    for name, point in points.items():
        axes.plot(list(point), list(point.values()), "kx", label=name)
    axes.set(xscale="log", xlabel=across, ylabel="tasks solved (top 3)", ylim=(0, None))
    axes.grid(alpha=0.3)
    axes.legend(loc="lower right")
    figure.savefig(path, metadata={"Date": None} if path.suffix == ".svg" else None)
    pyplot.close(figure)
