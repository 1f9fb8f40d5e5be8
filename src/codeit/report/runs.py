"""Folders of runs and searches, and published results, read for a report.

All is counted anew from the programs: what they solve, how they rank. Only what cannot be had again (an
iteration's metrics, a search's curve, seconds) is taken from the files.
"""

from __future__ import annotations

import csv
import io
import json
import tomllib
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cache
from pathlib import Path
from typing import Any, TypeVar

from codeit.data.tasks import Task, load_tasks
from codeit.evaluation.candidate import Candidate, top_k
from codeit.evaluation.scoring import Score, count_votes, read_solutions, score
from codeit.language import ParseError, Program, count_solved
from codeit.storage.search_log import SearchLogReader

KINDS = {
    "loop": "learning loop", "mutation baseline": "mutation baseline", "evolution": "evolution",
    "policy evaluation": "policy alone", "search": "search",
}  # fmt: skip

Number = TypeVar("Number", int, float)


class ReportError(ValueError):
    """A folder that is no run's; the message says what was expected."""


@dataclass(frozen=True)
class Run:
    """What one folder holds."""

    name: str
    kind: str
    """One of KINDS; "search" for published results that do not say which."""
    tasks: tuple[Task, ...]
    settings: Mapping[str, str]
    """By dotted name; empty where the folder does not say."""
    best: Mapping[str, Sequence[Candidate]]
    """By task, the best-ranked programs that are scored."""
    score: Score
    origins: Mapping[tuple[str, Program], str]
    """By task and program, where it was found, in words."""
    metrics: Mapping[int, Mapping[str, float]] = field(default_factory=dict)
    """Of a loop, by iteration (see `replay.METRICS`)."""
    curve: Mapping[int, Mapping[str, int]] = field(default_factory=dict)
    """Of a search, tasks solved (see curve.csv) by programs tried."""
    seconds: Mapping[str, float] = field(default_factory=dict)
    """By phase, by the clock."""
    lengths: Mapping[int, tuple[float, float]] = field(default_factory=dict)
    """Of a loop, by iteration: see `shortest_lengths`."""
    counts: Mapping[str, int] = field(default_factory=dict)
    """Of a trial of a policy: counts.json."""


def read_runs(folders: Sequence[Path], tasks: str = "arc-agi-1/evaluation", *, threads: int = 0) -> list[Run]:
    """Read folders; each has a name of its own. `tasks` is for published results, which do not name theirs.

    Raises ReportError, or TaskError, SolutionError, StoreError for a file that cannot be read.
    """
    names = [folder.resolve().name for folder in folders]
    return [
        _read(folder, name if names.count(name) == 1 else str(folder), tasks, threads)
        for folder, name in zip(folders, names, strict=True)
    ]


def _read(folder: Path, name: str, tasks: str, threads: int) -> Run:
    readers = {"search.sqlite": _read_search, "metrics.csv": _read_loop, "curve.csv": _read_search}
    for file, read in readers.items():
        if (folder / file).is_file():
            return read(folder, name, tasks, threads)
    raise ReportError(
        f"{folder}: expected the folder of a run or a search (with search.sqlite, metrics.csv or curve.csv), "
        f"found {'other files' if folder.is_dir() else 'no such folder'}; "
        "give what `codeit run`, `evolve`, `baseline` or `sample` got as --out"
    )


def _read_loop(folder: Path, name: str, tasks: str, threads: int) -> Run:
    settings = _settings(folder / "config.toml")
    chosen = _tasks(settings.get("data.test", tasks))[: int(settings.get("data.tasks", 0)) or None]
    metrics = _figures(folder / "metrics.csv", "iteration", float)
    candidates, rows = _candidates(folder / "solutions.jsonl", chosen, threads)
    origins = {
        (task, one.program): f"iteration {rows[one.order]['iteration']}, {rows[one.order]['source']}"
        for task, found in candidates.items()
        for one in found
        if {"iteration", "source"} <= rows[one.order].keys()
    }
    iteration_of = {
        order: row["iteration"] for order, row in enumerate(rows) if isinstance(row.get("iteration"), int)
    }
    seconds: defaultdict[str, float] = defaultdict(float)
    for of_iteration in metrics.values():
        for key, value in of_iteration.items():
            if key.startswith("seconds_"):
                seconds[key.removeprefix("seconds_")] += value
    best = _ranked(candidates, chosen, threads)
    return Run(
        name, "loop", chosen, settings, best, score(best, chosen, threads=threads), origins,
        metrics=metrics, seconds=dict(seconds),
        lengths=shortest_lengths(candidates, chosen, iteration_of, list(metrics)),
    )  # fmt: skip


def _read_search(folder: Path, name: str, tasks: str, threads: int) -> Run:
    settings: dict[str, str] = {}
    seconds: dict[str, float] = {}
    kind = "search"
    if (folder / "search.sqlite").is_file():
        with SearchLogReader(folder) as search:
            settings = {key: str(value) for key, value in search.settings().items()}
            kind = settings.get("kind", kind)
            chosen = _tasks(settings.get("tasks", tasks))
            candidates: Mapping[str, Sequence[Candidate]] = search.best()
            seconds = {"search": sum(part.seconds for part in search.parts().values())}
    else:
        chosen = _tasks(tasks)
        candidates, rows = _candidates(folder / "solutions.jsonl", chosen, threads)
        candidates = {
            task: [replace(one, order=rows[one.order].get("tried", one.order)) for one in found]
            for task, found in candidates.items()
        }
    origins = {
        (task, one.program): f"after {one.order:,} programs"
        for task, found in candidates.items()
        for one in found
    }
    curve = _figures(folder / "curve.csv", "programs", int)
    counts = folder / "counts.json"
    best = _ranked(candidates, chosen, threads)
    return Run(
        name, kind, chosen, settings, best, score(best, chosen, threads=threads), origins,
        curve=curve, seconds=seconds,
        counts=json.loads(counts.read_text(encoding="utf-8")) if counts.is_file() else {},
    )  # fmt: skip


@cache
def _tasks(source: str) -> tuple[Task, ...]:
    return tuple(load_tasks(source))


def _settings(path: Path) -> dict[str, str]:
    """A configuration's values by dotted name; none if there is no such file."""
    try:
        tables = tomllib.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
    except ValueError as error:
        raise ReportError(f"{path}: expected a configuration: {error}") from None
    return {f"{table}.{key}": str(value) for table, of in tables.items() for key, value in of.items()}


def _figures(path: Path, key: str, number: Callable[[str], Number]) -> dict[int, dict[str, Number]]:
    """A table's rows by one of its columns, cells that are empty left out; none if there is no such file."""
    figures = {}
    with open(path, encoding="utf-8", newline="") if path.is_file() else io.StringIO() as file:
        for line, row in enumerate(csv.DictReader(file), start=2):
            try:
                figures[int(row.pop(key))] = {name: number(value) for name, value in row.items() if value}
            except (KeyError, ValueError, TypeError):
                raise ReportError(
                    f"{path}, line {line}: expected a row of numbers with its {key}; "
                    "the command that made the file writes it anew when it is called again"
                ) from None
    return figures


def _candidates(
    path: Path, tasks: Sequence[Task], threads: int
) -> tuple[dict[str, list[Candidate]], list[Mapping[str, Any]]]:
    """A file's programs by task, with what they solve as run again; their order is the place of their row.

    Rows of other tasks, or with a text that does not parse, are left out, as `codeit verify` does.
    """
    of_id = {task.id: task for task in tasks}
    rows: list[Mapping[str, Any]] = []
    programs: defaultdict[str, list[tuple[Program, int, int]]] = defaultdict(list)
    for solution in read_solutions(path) if path.is_file() else ():
        rows.append(solution.row)
        if solution.task_id in of_id:
            try:
                program = Program.parse(solution.program)
            except ParseError:
                continue
            programs[solution.task_id].append((program, len(rows) - 1, solution.votes))
    found = {}
    for id, of_task in programs.items():
        solved = count_solved([program for program, *_ in of_task], [of_id[id].train], threads=threads)
        found[id] = [
            Candidate(id, program, count, order, votes)
            for (program, order, votes), count in zip(of_task, solved[0].tolist(), strict=True)
        ]
    return found, rows


def _ranked(
    candidates: Mapping[str, Sequence[Candidate]], tasks: Sequence[Task], threads: int
) -> dict[str, list[Candidate]]:
    """A task's best candidates, ranked as `codeit verify` does: by votes where there are any."""
    return {task: top_k(found) for task, found in count_votes(candidates, tasks, threads=threads).items()}


def shortest_lengths(
    candidates: Mapping[str, Sequence[Candidate]],
    tasks: Sequence[Task],
    iteration_of: Mapping[int, int],
    iterations: Sequence[int],
) -> dict[int, tuple[float, float]]:
    """How solutions get shorter: by iteration, two means of lines of a task's shortest program so far.

    Programs that solve all demonstrations count. The first mean is over the tasks that have one by then; the
    second over those that had one at the first iteration at which any did, so that no task joins.
    """
    demonstrations = {task.id: len(task.train) for task in tasks}
    by_iteration: defaultdict[int, list[tuple[str, int]]] = defaultdict(list)
    for task, found in candidates.items():
        for one in found:
            if one.solved == demonstrations[task] and one.order in iteration_of:
                by_iteration[iteration_of[one.order]].append((task, len(one.program)))
    shortest: dict[str, int] = {}
    first: list[str] = []
    means = {}
    for iteration in iterations:
        for task, lines in by_iteration[iteration]:
            shortest[task] = min(lines, shortest.get(task, lines))
        if shortest:
            first = first or list(shortest)
            everyone, same = shortest.values(), [shortest[task] for task in first]
            means[iteration] = sum(everyone) / len(everyone), sum(same) / len(same)
    return means
