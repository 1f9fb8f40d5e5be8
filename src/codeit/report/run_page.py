"""The page about runs and searches: figures, curves, and every task with its best programs."""

from __future__ import annotations

import base64
import json
import zlib
from collections.abc import Callable, Sequence

from markupsafe import Markup

from codeit.evaluation.confidence import LIKELY, answered
from codeit.report import run_charts
from codeit.report.page import docs, primitives
from codeit.report.queries import (
    STATUSES,
    GalleryEntry,
    GalleryProgram,
    by_seed,
    differing_settings,
    differing_tasks,
    gallery,
    in_words,
    primitives_of_solutions,
)
from codeit.report.rendering import render
from codeit.report.runs import KINDS, Run
from codeit.report.sheet import Json, Views, program_sheet, task_sheet
from codeit.report.svg import table
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
        programs += [found.program for found in entry.programs]
    progress(len(entries), len(entries))
    names = [run.name for run in runs]
    return render(
        "report.html",
        title=f"Report on {in_words(names) if len(runs) <= 4 else f'{len(runs)} runs'}",
        runs=_runs_table(runs),
        differences=_differences_table(runs) if len(runs) > 1 else "",
        settings=_settings_table(runs),
        headlines=[_headline(run) for run in runs] if len(runs) <= 4 else [],
        curves=run_charts.curves(runs),
        averaged=any(len(group.runs) > 1 for group in by_seed(runs)),
        samples=run_charts.samples(runs),
        lengths=run_charts.lengths(runs),
        primitives=primitives_of_solutions(entries),
        seconds=run_charts.seconds(runs),
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
    sheet["programs"] = [_program(views, entry, found, runs) for found in entry.programs]
    return sheet | {"views": views.json}


def _program(views: Views, entry: GalleryEntry, found: GalleryProgram, runs: Sequence[Run]) -> Json:
    notes = []
    for number, rank in found.ranks.items():
        run = runs[number]
        origin = run.origins.get((entry.task.id, found.program), "")
        notes.append(f"{_ORDINALS[rank]} of {run.name}" + (f" ({origin})" if origin else ""))
    outputs = [pair.output for pair in entry.task.test]
    return program_sheet(views, found.program, entry.task.train) | {
        "solved": found.demonstrations_solved,
        "notes": notes,
        "answers": [None if outcome.grid is None else views.grid(outcome.grid) for outcome in found.outcomes],
        "answers_right": [
            None if expected is None else int(outcome.grid == expected)
            for outcome, expected in zip(found.outcomes, outputs, strict=True)
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
        "run", "solved (top\u00a03)", "tasks", "kind", "top\u00a02", "top\u00a03 without leaked tasks",
        "all demonstrations", f"answered with at least {LIKELY:.0%}", "of these solved",
        "best iteration's samples", "length", "samples that run", "time",
    ]  # fmt: skip
    rows = [_runs_row(run) for run in runs]
    filled = [k for k in range(len(head)) if any(row[k] for row in rows)]
    return table([head[k] for k in filled], [[row[k] for k in filled] for row in rows])


def _runs_row(run: Run) -> list[str]:
    score, last = run.score, run.metrics[max(run.metrics)] if run.metrics else {}
    policy = [row["policy_top3"] for row in run.metrics.values() if "policy_top3" in row]
    length = _count(max(run.metrics), "iteration") if run.metrics else ""
    if run.curve:
        length = _count(max(run.curve), "program")
    runs = f"{last['share_run']:.0%}" if "share_run" in last else ""
    if run.counts.get("drawn"):
        runs = f"{run.counts['ran'] / run.counts['drawn']:.0%}"
    likely = next(one for one in answered(run.best, score.solved) if one.threshold == LIKELY)
    minutes = sum(run.seconds.values()) / 60
    return [
        run.name, str(score.solved_top3), str(score.tasks), KINDS[run.kind], str(score.solved_top2),
        str(score.solved_top3_without_leak), str(score.solved_demonstrations),
        *((str(likely.tasks), str(likely.solved)) if likely.tasks else ("", "")),
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
