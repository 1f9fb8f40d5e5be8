"""Reads directories of runs and searches, and published results, for a report.

Scores and ranks are computed again from the programs. Only values that cannot be recomputed are read
from files: the metrics of iterations, the curves of searches, and seconds.
"""

from __future__ import annotations

import csv
import io
import json
import os
import re
import tomllib
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cache
from pathlib import Path
from typing import Any, TypeVar

from codeit.data.tasks import Task, load_tasks
from codeit.evaluation.candidate import Candidate, top_k
from codeit.evaluation.confidence import percent
from codeit.evaluation.scoring import Score, count_votes, read_solutions, score
from codeit.experiments.submission import log_settings
from codeit.language import ParseError, Program, count_solved
from codeit.report.printable import printable
from codeit.settings import shorten
from codeit.storage.metrics import PHASES
from codeit.storage.search_log import SearchLogReader

KINDS = {
    "loop": "learning loop",
    "mutation baseline": "mutation baseline",
    "policy evaluation": "policy alone",
    "submission": "submission",
    "search": "search",
}
"""Kinds of runs, and the name that a report gives to each."""

Number = TypeVar("Number", int, float)


_COUNTS = ("drawn", "ran")  # of counts.json, the counts that a report shows
_TRIED = (
    "mutation.initial",
    "mutation.per_iteration",
    "evolution.programs",
    "evolution.programs_per_iteration",
)  # settings of a loop that say how many programs it tries, besides the policy's samples
_RESTORE = "restore the file, or leave this directory out"
_LARGEST = 2.0**63  # larger numbers are no counts or metrics of ours, and charts cannot show them


class ReportError(ValueError):
    """A directory that cannot be reported. The message says what was expected."""


@dataclass(frozen=True)
class Run:
    """The contents of one directory."""

    name: str
    kind: str
    """One of KINDS; "search" if the directory does not record it."""
    tasks: tuple[Task, ...]
    settings: Mapping[str, str]
    """Settings by dotted name; empty if the directory does not record them."""
    best: Mapping[str, Sequence[Candidate]]
    """By task id, the best-ranked programs, which are scored."""
    score: Score
    origins: Mapping[tuple[str, Program], str]
    """By task id and program: a text that says when it was found and by which source."""
    metrics: Mapping[int, Mapping[str, float]] = field(default_factory=dict)
    """Of a loop, by iteration (see `storage.metrics.METRICS`)."""
    curve: Mapping[int, Mapping[str, int]] = field(default_factory=dict)
    """Of a search, by number of programs tried: the counts of solved tasks in curve.csv."""
    seconds: Mapping[str, float] = field(default_factory=dict)
    """Wall-clock seconds by phase."""
    tried: Mapping[int, float] = field(default_factory=dict)
    """Of a loop, by iteration: see `programs_tried`."""
    lengths: Mapping[int, tuple[float, float]] = field(default_factory=dict)
    """Of a loop, by iteration: see `shortest_lengths`."""
    counts: Mapping[str, int] = field(default_factory=dict)
    """Of a policy evaluation: counts.json (see `policy_evaluation.SampleCounts`)."""


def read_runs(
    directories: Sequence[Path], tasks: str = "arc-agi-1/evaluation", *, threads: int = 0
) -> list[Run]:
    """Read directories of runs and searches. Runs in progress can be read.

    `tasks` names the tasks of submissions and of published results, which do not record theirs.
    Raises ReportError, or TaskError, SolutionError, StoreError for a file that cannot be read.
    """
    names = [os.path.basename(os.path.realpath(directory)) for directory in directories]
    return [
        _read(directory, printable(name if names.count(name) == 1 else str(directory)), tasks, threads)
        for directory, name in zip(directories, names, strict=True)
    ]


def _read(directory: Path, name: str, tasks: str, threads: int) -> Run:
    readers = {"search.sqlite": _read_search, "metrics.csv": _read_loop, "curve.csv": _read_published}
    for file, read in readers.items():
        if (directory / file).is_file():
            return read(directory, name, tasks, threads)
    raise ReportError(
        f"{directory}: expected the directory of a run or a search (with metrics.csv, search.sqlite or "
        f"curve.csv), found {'other files' if directory.is_dir() else 'no such directory'}; give the "
        "directory that `codeit run`, `search`, `baseline` or `evaluate-policy` got as --out, or the one "
        "that `codeit submit` made beside its file"
    )


def _read_loop(directory: Path, name: str, tasks: str, threads: int) -> Run:
    settings = _settings(directory / "config.toml")
    for setting in ("data.tasks", *_TRIED):
        if not re.fullmatch("[0-9]{1,9}", settings.get(setting, "0")):
            raise ReportError(
                f"{directory / 'config.toml'}: {setting}: expected a whole number, found "
                f"{shorten(settings[setting])}; {_RESTORE}"
            )
    limit = int(settings.get("data.tasks", "0"))
    test_tasks = _tasks(settings.get("data.test", tasks))[: limit or None]
    metrics = _read_table(directory / "metrics.csv", "iteration", float)
    candidates = _candidates(directory / "solutions.jsonl", test_tasks, threads)
    seconds = {
        phase.replace("_", " "): total
        for phase in PHASES
        if (total := sum(row.get(f"seconds_{phase}", 0) for row in metrics.values()))
    }
    best = _rank(candidates, test_tasks, threads)
    return Run(
        name,
        "loop",
        test_tasks,
        settings,
        best,
        score(best, test_tasks, threads=threads),
        {
            (task_id, candidate.program): f"iteration {candidate.iteration}, {candidate.source}"
            for task_id, found in candidates.items()
            for candidate in found
            if candidate.source
        },
        metrics=metrics,
        seconds=seconds,
        tried=programs_tried(settings, metrics, len(test_tasks)),
        lengths=shortest_lengths(candidates, test_tasks, list(metrics)),
    )


def _read_search(directory: Path, name: str, tasks: str, threads: int) -> Run:
    with SearchLogReader(directory) as log:
        settings = {key: str(value) for key, value in log.settings().items()}
        if settings.get("kind") == "submission":
            to_solve = _submitted_tasks(directory, settings, tasks)
        else:
            to_solve = _tasks(settings.get("tasks", tasks))
        found, seconds = log.best(to_solve), log.wall_seconds()
    if unknown := found.keys() - {task.id for task in to_solve}:
        raise ReportError(
            f"{directory}: expected programs for the tasks of {settings.get('tasks', tasks)}, found one for "
            f"task {min(unknown)}; restore the tasks that the search had"
        )
    return _search(directory, name, to_solve, found, threads, settings, seconds)


def _read_published(directory: Path, name: str, tasks: str, threads: int) -> Run:
    """Read the results of a search without its database."""
    path = directory / "settings.json"
    recorded = _read_object(path, "the settings of a search")
    seconds = recorded.pop("wall_seconds", 0.0)
    if not isinstance(seconds, int | float) or not 0 <= seconds <= _LARGEST:
        raise ReportError(
            f"{path}: wall_seconds: expected a number, found {shorten(str(seconds))}; {_RESTORE}"
        )
    settings = {key: str(value) for key, value in recorded.items()}
    to_solve = _tasks(settings.get("tasks", tasks))
    found = _candidates(directory / "solutions.jsonl", to_solve, threads)
    return _search(directory, name, to_solve, found, threads, settings, seconds)


def _search(
    directory: Path,
    name: str,
    tasks: tuple[Task, ...],
    candidates: Mapping[str, Sequence[Candidate]],
    threads: int,
    settings: Mapping[str, str],
    seconds: float,
) -> Run:
    best = _rank(candidates, tasks, threads)
    kind = settings.get("kind", "search")
    return Run(
        name,
        kind if kind in KINDS else "search",
        tasks,
        settings,
        best,
        score(best, tasks, threads=threads),
        {
            (task_id, candidate.program): f"after {candidate.order:,} programs{_likely(candidate)}"
            for task_id, found in candidates.items()
            for candidate in found
        },
        curve=_read_table(directory / "curve.csv", "programs", int, ["solved_top3"]),
        seconds={"search": seconds},
        counts=_read_counts(directory / "counts.json"),
    )


def _likely(candidate: Candidate) -> str:
    if not candidate.probability:
        return ""
    return f", right with a probability of {percent(candidate.probability)}"


def _submitted_tasks(directory: Path, settings: Mapping[str, str], tasks: str) -> tuple[Task, ...]:
    """Return the tasks of a submission, which records only their hash. Refuse other tasks."""
    given = _tasks(tasks)
    if log_settings(given, 0, "")["content"] != settings.get("content"):
        raise ReportError(
            f"{directory}: expected the tasks of this submission ({settings.get('tasks')}), found others in "
            f"{tasks}; give the file that `codeit submit` read as --tasks"
        )
    return given


@cache
def _tasks(source: str) -> tuple[Task, ...]:
    return tuple(load_tasks(source))


def _settings(path: Path) -> dict[str, str]:
    """Return the values of a configuration by dotted name, or nothing if the file is missing."""
    try:
        sections = tomllib.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
        for name, section in sections.items():
            if not isinstance(section, dict):
                raise ValueError(f"{name} is not a table")
        return {
            f"{name}.{key}": str(value)
            for name, section in sections.items()
            for key, value in section.items()
        }
    except (ValueError, RecursionError) as error:
        raise ReportError(f"{path}: expected the configuration of a run: {error}; {_RESTORE}") from None


def _read_counts(path: Path) -> dict[str, int]:
    """Return the counts of a policy evaluation, or nothing if the file is missing."""
    found = _read_object(path, "the counts of a policy evaluation")
    for name in _COUNTS if path.is_file() else ():
        if type(found.get(name)) is not int or not 0 <= found[name] <= _LARGEST:
            raise ReportError(f'{path}: expected an object with a count "{name}"; {_RESTORE}')
    return found


def _read_object(path: Path, what: str) -> dict[str, Any]:
    """Return the JSON object in a file, or nothing if the file is missing."""
    try:
        found = json.loads(path.read_bytes()) if path.is_file() else {}
    except (ValueError, RecursionError) as error:
        raise ReportError(f"{path}: expected {what}: {error}; {_RESTORE}") from None
    if not isinstance(found, dict):
        raise ReportError(f"{path}: expected {what} as an object; {_RESTORE}")
    return found


def _read_table(
    path: Path, key: str, number: Callable[[str], Number], required: Sequence[str] = ()
) -> dict[int, dict[str, Number]]:
    """Return a CSV file's rows by column `key`, without empty cells; {} if the file is missing."""
    rows: dict[int, dict[str, Number]] = {}
    with open(path, encoding="utf-8", newline="") if path.is_file() else io.StringIO() as file:
        reader = csv.DictReader(file)
        try:
            for row in reader:
                if not all(row.get(name) for name in required):
                    raise ValueError("a required cell is empty")
                rows[_checked(int(row.pop(key)))] = {
                    name: _checked(number(value)) for name, value in row.items() if value
                }
        except (KeyError, ValueError, TypeError, csv.Error):
            raise ReportError(
                f"{path}, line {max(reader.line_num, 1)}: expected a row of numbers with its "
                f"{' and '.join([key, *required])}; "
                "the command that made the file writes it again when it is repeated"
            ) from None
    return rows


def _checked(value: Number) -> Number:
    """Return a number that charts can show. Raises ValueError for any other."""
    if not abs(value) <= _LARGEST:  # not a number, infinite, or too large
        raise ValueError(value)
    return value


def _candidates(path: Path, tasks: Sequence[Task], threads: int) -> dict[str, list[Candidate]]:
    """Return the programs of a solutions file by task id, run to count the demonstrations they solve.

    The order of a candidate is the row's `tried` or, without it, the row's number. Rows of other
    tasks and rows that do not parse are left out, as in `codeit verify`.
    """
    by_id = {task.id: task for task in tasks}
    unranked: defaultdict[str, list[Candidate]] = defaultdict(list)
    for number, row in enumerate(read_solutions(path) if path.is_file() else ()):
        if row.task_id in by_id:
            try:
                program = Program.parse(row.program)
            except ParseError:
                continue
            order, iteration = row.row.get("tried", number), row.row.get("iteration", 0)
            source = row.row.get("source", "")
            if not isinstance(order, int) or not isinstance(iteration, int):
                raise ReportError(f"{row.where}: expected whole numbers as tried and iteration")
            if not isinstance(source, str):
                raise ReportError(f"{row.where}: expected text as source")
            found_by = printable(source)
            unranked[row.task_id].append(
                Candidate(
                    row.task_id,
                    program,
                    0,
                    order,
                    row.votes,
                    iteration=iteration,
                    source=found_by,
                    probability=row.probability,
                )
            )
    found = {}
    for task_id, unscored in unranked.items():
        pairs = [by_id[task_id].train]
        programs = [candidate.program for candidate in unscored]
        solved = count_solved(programs, pairs, threads=threads)[0].tolist()
        found[task_id] = [
            replace(candidate, demonstrations_solved=n) for candidate, n in zip(unscored, solved, strict=True)
        ]
    return found


def _rank(
    candidates: Mapping[str, Sequence[Candidate]], tasks: Sequence[Task], threads: int
) -> dict[str, list[Candidate]]:
    """Return each task's best candidates, ranked as in `codeit verify`: by votes if present."""
    merged = count_votes(candidates, tasks, threads=threads)
    return {task_id: top_k(found) for task_id, found in merged.items()}


def programs_tried(
    settings: Mapping[str, str], metrics: Mapping[int, Mapping[str, float]], tasks: int
) -> dict[int, float]:
    """Return by iteration how many programs a loop has tried on each task; {} if settings are missing.

    These are mutants, samples, and as many programs as evolution may try. As for a search, the
    expressions of an enumeration do not count.
    """
    if any(name not in settings for name in _TRIED):
        return {}
    mutants, more_mutants, evolved, more_evolved = (int(settings[name]) for name in _TRIED)
    if settings.get("mutation.run_baseline") != "True":
        mutants = more_mutants = 0
    tried, samples = {}, 0.0
    for iteration, row in metrics.items():
        samples += row.get("samples", 0) / max(tasks, 1)
        tried[iteration] = mutants + evolved + iteration * (more_mutants + more_evolved) + samples
    return tried


def shortest_lengths(
    candidates: Mapping[str, Sequence[Candidate]], tasks: Sequence[Task], iterations: Sequence[int]
) -> dict[int, tuple[float, float]]:
    """Return how solutions get shorter: two mean lengths in lines for each iteration.

    Both are means over tasks of the shortest program so far that solves all demonstrations. The
    first is over the tasks that have one by then. The second is over the tasks that had one at the
    first iteration at which any had, so that its set of tasks does not change.
    """
    demonstrations = {task.id: len(task.train) for task in tasks}
    by_iteration: defaultdict[int, list[tuple[str, int]]] = defaultdict(list)
    for task_id, found in candidates.items():
        for candidate in found:
            if candidate.demonstrations_solved == demonstrations[task_id]:
                by_iteration[candidate.iteration].append((task_id, len(candidate.program)))
    shortest: dict[str, int] = {}
    first: list[str] = []
    means = {}
    for iteration in iterations:
        for task_id, lines in by_iteration[iteration]:
            shortest[task_id] = min(lines, shortest.get(task_id, lines))
        if shortest:
            first = first or list(shortest)
            solved, same = shortest.values(), [shortest[task_id] for task_id in first]
            means[iteration] = sum(solved) / len(solved), sum(same) / len(same)
    return means
