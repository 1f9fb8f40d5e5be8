"""Charts of runs. Runs that differ only by their seed are one line: their mean, with a band."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from statistics import fmean

from markupsafe import Markup

from codeit.data.tasks import load_tasks
from codeit.experiments.mutation_baseline import PAPER_RESULTS
from codeit.report.curve import PAPER_LOOP, PAPER_LOOP_PROGRAMS
from codeit.report.queries import RunGroup, by_seed
from codeit.report.runs import Run
from codeit.report.svg import Axis, Reference, Series, bars, line_chart

_Curve = Callable[[Run], Mapping[float, float]]


def curves(runs: Sequence[Run]) -> list[Markup]:
    """Return charts of the tasks solved: by iteration, and by programs tried if there is a search."""
    groups = by_seed(runs)
    charts = [_by_iteration(groups)]
    if any(run.curve for run in runs):
        charts.append(_by_programs(groups))
    return [chart for chart in charts if chart]


def samples(runs: Sequence[Run]) -> list[Markup]:
    """Return charts of the policy's samples and loss."""
    shares = {
        "share_parse": "Samples that parse",
        "share_run": "Samples that run on every demonstration",
        "share_new": "Samples that are new",
    }
    share = Axis("share of samples", percent=True)
    shown: list[tuple[str, _Curve, Axis]] = [(title, _metric(name), share) for name, title in shares.items()]
    shown.append(("Loss of the policy", _loss, Axis("nats per token")))
    groups = by_seed(runs)
    charts = [
        line_chart(title, [_line(group, curve) for group in groups], Axis("iteration"), y)
        for title, curve, y in shown
    ]
    return [chart for chart in charts if chart]


def lengths(runs: Sequence[Run]) -> Markup:
    """Return a chart of how solutions get shorter; see `Run.lengths`."""
    series = [
        _line(group, partial(_length, k=k), text, dashed=k == 1)
        for group in by_seed(runs)
        for k, text in enumerate(("all tasks solved by then", "the tasks solved first"))
    ]
    title = "Mean length of each task's shortest program that solves all demonstrations"
    return line_chart(title, series, Axis("iteration"), Axis("lines"))


def seconds(runs: Sequence[Run]) -> Markup:
    """Return a chart of the minutes that each run spent in each phase."""
    hues = {id(run): group.hue for group in by_seed(runs) for run in group.runs}
    minutes = [(run.name, hues[id(run)], {phase: s / 60 for phase, s in run.seconds.items()}) for run in runs]
    return bars("Time by phase", minutes, "minutes")


def _by_iteration(groups: Sequence[RunGroup]) -> Markup:
    loops = [group for group in groups if group.runs[0].metrics]
    y, scale = _solved_axis(loops)
    series = []
    for group in loops:
        for scope, text in (("cumulative", "all programs so far"), ("policy", "this iteration's samples")):
            curve = _metric(f"{scope}_top3")
            series.append(_line(group, curve, text, dashed=scope == "policy", scale=scale(group)))
    references = []
    if _comparable(loops):
        references = [
            Reference(f"paper: CodeIt, 100 iterations ({PAPER_LOOP})", [(None, PAPER_LOOP)]),
            Reference(f"paper: 19,200 mutants ({PAPER_RESULTS[19_200]})", [(None, PAPER_RESULTS[19_200])]),
        ]
    return line_chart("Tasks solved (top 3), by iteration", series, Axis("iteration"), y, references)


def _by_programs(groups: Sequence[RunGroup]) -> Markup:
    """Return the chart that has searches and loops on one axis."""
    drawn = [group for group in groups if _solved_by_programs(group.runs[0])]
    y, scale = _solved_axis(drawn)
    series = [_line(group, _solved_by_programs, scale=scale(group)) for group in drawn]
    references = []
    if _comparable(drawn):
        references.append(Reference("paper: mutation baseline", list(PAPER_RESULTS.items())))
        if any(group.runs[0].metrics for group in drawn):
            known = [(PAPER_LOOP_PROGRAMS, PAPER_LOOP)]
            references.append(Reference(f"paper: CodeIt, 100 iterations ({PAPER_LOOP})", known))
    x = Axis("programs tried on each task", log=True)
    return line_chart("Tasks solved (top 3), by programs tried", series, x, y, references)


def _solved_by_programs(run: Run) -> dict[float, float]:
    """Return the tasks solved at top 3 by the number of programs tried on each task."""
    if run.curve:
        return {n: row["solved_top3"] for n, row in run.curve.items()}
    return {
        run.tried[iteration]: row["cumulative_top3"]
        for iteration, row in run.metrics.items()
        if iteration in run.tried and "cumulative_top3" in row
    }


def _metric(name: str) -> _Curve:
    return lambda run: {iteration: row[name] for iteration, row in run.metrics.items() if name in row}


def _loss(run: Run) -> dict[float, float]:
    """Return the loss of each iteration that trained on something."""
    return {iteration: row["loss"] for iteration, row in run.metrics.items() if row.get("examples")}


def _length(run: Run, k: int) -> dict[float, float]:
    return {iteration: means[k] for iteration, means in run.lengths.items()}


def _line(
    group: RunGroup, curve: _Curve, text: str = "", *, dashed: bool = False, scale: float = 1.0
) -> Series:
    """Return the mean of the curves where all have a point, with a band if there are several."""
    of_runs = [curve(run) for run in group.runs]
    at = {x: [one[x] * scale for one in of_runs] for x in of_runs[0] if all(x in one for one in of_runs)}
    points = [(x, fmean(values)) for x, values in at.items()]
    band = {x: (min(values), max(values)) for x, values in at.items()} if len(of_runs) > 1 else {}
    return Series(f"{group.name}: {text}" if text else group.name, points, group.hue, dashed, band)


def _solved_axis(groups: Sequence[RunGroup]) -> tuple[Axis, Callable[[RunGroup], float]]:
    """Return the axis, in per cent if sets of tasks differ in size, and the scale of a group."""
    if len({len(group.runs[0].tasks) for group in groups}) < 2:
        return Axis("tasks solved", whole=True), lambda group: 1.0
    return Axis("tasks solved", percent=True), lambda group: 1 / max(len(group.runs[0].tasks), 1)


def _comparable(groups: Iterable[RunGroup]) -> bool:
    """Return whether the runs have the tasks of the paper's figures."""
    evaluation = {task.id for task in load_tasks("arc-agi-1/evaluation")}
    return all({task.id for task in group.runs[0].tasks} == evaluation for group in groups)
