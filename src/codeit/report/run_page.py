"""The page about runs and searches: figures, curves, and every task with its best programs."""

from __future__ import annotations

import base64
import json
import zlib
from collections.abc import Callable, Iterable, Sequence

from markupsafe import Markup

from codeit.data.tasks import load_tasks
from codeit.experiments.mutation_baseline import PAPER_RESULTS
from codeit.report.curve import PAPER_LOOP
from codeit.report.page import docs, primitives
from codeit.report.queries import (
    STATUSES,
    GalleryEntry,
    GalleryProgram,
    differing_settings,
    differing_tasks,
    gallery,
    primitives_of_solutions,
)
from codeit.report.rendering import render
from codeit.report.runs import KINDS, Run
from codeit.report.sheet import Json, Views, program_sheet, task_sheet
from codeit.report.svg import Axis, Reference, Series, line_chart, stacked_bars, table
from codeit.storage.metrics import METRICS

_STATUS_TEXTS = dict(
    zip(
        STATUSES,
        ("solved", "all demonstrations, not the tests", "some demonstrations", "no demonstration"),
        strict=True,
    )
)
_ORDINALS = {1: "1st", 2: "2nd", 3: "3rd"}


def report_page(
    runs: Sequence[Run], *, threads: int = 0, progress: Callable[[int, int], None] = lambda done, total: None
) -> str:
    """Return the page. `progress` receives the number of tasks that are drawn, and their total."""
    entries = gallery(runs, threads=threads)
    cards, packed, programs = [], [], []
    for number, entry in enumerate(entries):
        progress(number, len(entries))
        cards.append(_card(entry))
        packed.append(_packed(_sheet(entry, runs)))
        programs += [one.program for one in entry.programs]
    progress(len(entries), len(entries))
    names = [run.name for run in runs]
    listed = " and ".join(filter(None, [", ".join(names[:-1]), names[-1]]))
    return render(
        "report.html",
        title=f"Report on {listed if len(runs) <= 4 else f'{len(runs)} runs'}",
        runs=_runs_table(runs),
        differences=_differences_table(runs) if len(runs) > 1 else "",
        settings=_settings_table(runs),
        headlines=[_headline(run) for run in runs] if len(runs) <= 4 else [],
        curves=[chart for chart in (_loops(runs), _searches(runs)) if chart],
        samples=_samples(runs),
        lengths=_lengths(runs),
        primitives=primitives_of_solutions(entries),
        seconds=_seconds(runs),
        metrics=[(run.name, _metrics_table(run)) for run in runs if run.metrics],
        statuses=[
            (status, text, sum(entry.status == status for entry in entries))
            for status, text in _STATUS_TEXTS.items()
        ],
        names=names,
        cards=cards,
        packed=packed,
        docs=docs(programs),
    )


def _card(entry: GalleryEntry) -> Json:
    """Return what the gallery shows of a task, with a picture of its first demonstration."""
    views = Views()
    best = entry.best
    return {
        "id": entry.task.id,
        "status": entry.status,
        "pair": [views.json[views.grid(grid)]["cells"] for grid in entry.task.train[0]],
        "lines": len(best) if best else 0,
        "by": list(entry.solved_by),
        "primitives": sorted(primitives(best)) if best else [],
    }


def _sheet(entry: GalleryEntry, runs: Sequence[Run]) -> Json:
    views = Views()
    sheet = task_sheet(views, entry.task, outputs=True)
    sheet["programs"] = [_program(views, entry, one, runs) for one in entry.programs]
    return sheet | {"views": views.json}


def _program(views: Views, entry: GalleryEntry, one: GalleryProgram, runs: Sequence[Run]) -> Json:
    notes = []
    for number, rank in one.ranks.items():
        run = runs[number]
        origin = run.origins.get((entry.task.id, one.program), "")
        notes.append(f"{_ORDINALS[rank]} of {run.name}" + (f" ({origin})" if origin else ""))
    outputs = [pair.output for pair in entry.task.test]
    return program_sheet(views, one.program, entry.task.train) | {
        "solved": one.demonstrations_solved,
        "notes": notes,
        "answers": [None if outcome.grid is None else views.grid(outcome.grid) for outcome in one.outcomes],
        "answers_right": [
            None if expected is None else int(outcome.grid == expected)
            for outcome, expected in zip(one.outcomes, outputs, strict=True)
        ],
    }


def _packed(data: Json) -> str:
    """Return compressed JSON in base64, a tenth of its size. The page unpacks it on demand."""
    text = json.dumps(data, separators=(",", ":"), ensure_ascii=False)
    return base64.b64encode(zlib.compress(text.encode(), 9)).decode()


def _headline(run: Run) -> Json:
    return {
        "name": run.name,
        "solved": run.score.solved_top3,
        "tasks": _count(run.score.tasks, "task"),
        "share": f"{run.score.solved_top3 / max(run.score.tasks, 1):.2%}",
    }


def _count(n: int, noun: str) -> str:
    return f"{n:,} {noun}{'s' * (n != 1)}"


def _runs_table(runs: Sequence[Run]) -> Markup:
    head = [
        "run", "kind", "tasks", "solved (top\u00a03)", "top\u00a02", "top\u00a03 without leaked tasks",
        "all demonstrations", "best iteration's samples", "length", "samples that run", "time",
    ]  # fmt: skip
    return table(head, [_runs_row(run) for run in runs])


def _runs_row(run: Run) -> list[str]:
    score, last = run.score, run.metrics[max(run.metrics)] if run.metrics else {}
    policy = [row["policy_top3"] for row in run.metrics.values() if "policy_top3" in row]
    length = _count(max(run.metrics), "iteration") if run.metrics else ""
    if run.curve:
        length = _count(max(run.curve), "program")
    runs = f"{last['share_run']:.0%}" if "share_run" in last else ""
    if run.counts.get("drawn"):
        runs = f"{run.counts['ran'] / run.counts['drawn']:.0%}"
    minutes = sum(run.seconds.values()) / 60
    return [
        run.name, KINDS[run.kind], str(score.tasks), str(score.solved_top3), str(score.solved_top2),
        str(score.solved_top3_without_leak), str(score.solved_demonstrations),
        f"{max(policy):.0f}" if policy else "", length, runs,
        f"{minutes:,.1f} min" if minutes else "not recorded",
    ]  # fmt: skip


def _differences_table(runs: Sequence[Run]) -> Markup:
    names = [run.name for run in runs]
    body = [
        [name, *("" if n is None else str(n) for n in counts), str(alone)]
        for name, (counts, alone) in zip(names, differing_tasks(runs), strict=True)
    ]
    return table(["solved by", *(f"not by {name}" for name in names), "by this one alone"], body)


def _settings_table(runs: Sequence[Run]) -> Markup:
    differing = differing_settings(runs)
    if not differing:
        return Markup("")
    loops = [run.name for run in runs if run.kind == "loop" and run.settings]
    return table(["setting", *loops], [[key, *values] for key, values in differing.items()])


def _metrics_table(run: Run) -> Markup:
    names = [name for name in METRICS if any(name in row for row in run.metrics.values())]
    body = [
        [str(iteration), *(f"{row[name]:.6g}" if name in row else "" for name in names)]
        for iteration, row in run.metrics.items()
    ]
    return table(["iteration", *(name.replace("_", " ") for name in names)], body)


def _solved_axis(runs: Sequence[Run]) -> tuple[Axis, list[float]]:
    """Return the axis of tasks solved (in per cent if sets differ in size) and each run's scale."""
    if len({len(run.tasks) for run in runs}) < 2:
        return Axis("tasks solved", whole=True), [1.0] * len(runs)
    return Axis("tasks solved", percent=True), [1 / max(len(run.tasks), 1) for run in runs]


def _comparable(runs: Iterable[Run]) -> bool:
    """Return whether the runs have the tasks of the paper's figures."""
    evaluation = {task.id for task in load_tasks("arc-agi-1/evaluation")}
    return all({task.id for task in run.tasks} == evaluation for run in runs)


def _hued(runs: Sequence[Run], wanted: Callable[[Run], object]) -> list[tuple[int, Run]]:
    """Return the wanted runs, each with the hue that it has in every chart."""
    return [(hue, run) for hue, run in enumerate(runs) if wanted(run)]


def _loops(runs: Sequence[Run]) -> Markup:
    loops = _hued(runs, lambda run: run.metrics)
    y, scales = _solved_axis([run for _, run in loops])
    series = []
    for (hue, run), scale in zip(loops, scales, strict=True):
        for scope, text in (("cumulative", "all programs so far"), ("policy", "this iteration's samples")):
            points = _points(run, f"{scope}_top3", scale)
            series.append(Series(f"{run.name}: {text}", points, hue, dashed=scope == "policy"))
    references = []
    if _comparable(run for _, run in loops):
        references = [
            Reference(f"paper: CodeIt, 100 iterations ({PAPER_LOOP})", [(None, PAPER_LOOP)]),
            Reference(f"paper: 19,200 mutants ({PAPER_RESULTS[19_200]})", [(None, PAPER_RESULTS[19_200])]),
        ]
    return line_chart("Tasks solved (top 3), by iteration", series, Axis("iteration"), y, references)


def _searches(runs: Sequence[Run]) -> Markup:
    searches = _hued(runs, lambda run: run.curve)
    y, scales = _solved_axis([run for _, run in searches])
    series = [
        Series(run.name, [(n, row["solved_top3"] * scale) for n, row in run.curve.items()], hue)
        for (hue, run), scale in zip(searches, scales, strict=True)
    ]
    paper = [Reference("paper: mutation baseline", list(PAPER_RESULTS.items()))]
    references = paper if _comparable(run for _, run in searches) else []
    x = Axis("programs tried on each task", log=True)
    return line_chart("Tasks solved (top 3), by programs tried", series, x, y, references)


def _samples(runs: Sequence[Run]) -> list[Markup]:
    """Return charts of the policy's samples and loss.

    One run has one chart of all shares of samples, several runs have a chart for each share.
    """
    loops = _hued(runs, lambda run: run.metrics)
    shares = {
        "share_parse": "that parse",
        "share_run": "that run on every demonstration",
        "share_new": "that are new",
    }
    x, share = Axis("iteration"), Axis("share of samples", percent=True)
    if len(loops) == 1:
        (_, run), *_ = loops
        lines = [Series(text, _points(run, name), k) for k, (name, text) in enumerate(shares.items())]
        charts = [line_chart("Samples", lines, x, share)]
    else:
        charts = []
        for name, text in shares.items():
            lines = [Series(run.name, _points(run, name), hue) for hue, run in loops]
            charts.append(line_chart(f"Samples {text}", lines, x, share))
    loss = [Series(run.name, _points(run, "loss"), hue) for hue, run in loops]
    charts.append(line_chart("Loss of the policy", loss, x, Axis("nats per token")))
    return [chart for chart in charts if chart]


def _lengths(runs: Sequence[Run]) -> Markup:
    series = []
    for hue, run in _hued(runs, lambda run: run.lengths):
        for k, text in enumerate(("all tasks solved by then", "the tasks solved first")):
            points = [(iteration, means[k]) for iteration, means in run.lengths.items()]
            series.append(Series(f"{run.name}: {text}", points, hue, dashed=k == 1))
    title = "Mean length of each task's shortest program that solves all demonstrations"
    return line_chart(title, series, Axis("iteration"), Axis("lines"))


def _seconds(runs: Sequence[Run]) -> Markup:
    bars = [(run.name, {phase: s / 60 for phase, s in run.seconds.items()}) for run in runs]
    return stacked_bars("Time by phase", bars, "minutes")


def _points(run: Run, metric: str, scale: float = 1.0) -> list[tuple[float, float]]:
    return [(iteration, row[metric] * scale) for iteration, row in run.metrics.items() if metric in row]
