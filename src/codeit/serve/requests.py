"""Requests of a page and their answers, as JSON.

The functions run in a child process, because the text of a request may be anything. They raise
RequestError, TaskError, ParseError or another ValueError of codeit for a request that cannot be
answered. A task is `{"id": name, "train": [pair, ...], "test": [pair, ...]}`, and a
program is its text.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

from codeit.config import EVOLUTION_STEPS
from codeit.data.tasks import DATA_SETS, Task, load_tasks, parse_task, parse_tasks, task_json
from codeit.evaluation.candidate import Candidate
from codeit.experiments.submission import submission
from codeit.export import to_python
from codeit.language import Budget, Grid, ParseError, Program, evaluate
from codeit.report.page import answer_page
from codeit.report.sheet import Views, program_sheet, task_sheet
from codeit.search.evolution import by_fitness
from codeit.serve.limits import (
    ANSWER_BYTES,
    ANSWER_SECONDS,
    MAX_NAME,
    MAX_PROGRAMS,
    MAX_SECONDS,
    MAX_TASKS,
    RequestError,
    check_task,
    limit_memory,
    time_limit,
)
from codeit.solver import SolveResult

Json = dict[str, Any]
_PAGE = "this puzzle"
"""The name of the page's task in messages."""


class SearchRequest(NamedTuple):
    """A request for a search."""

    task: Task
    seconds: float
    before: SolveResult | None
    """The result of an earlier search, which this one continues."""


class Job(NamedTuple):
    """A request, as sent to a worker process."""

    kind: str
    body: bytes
    name: str = ""
    """The name of an uploaded file, or of a set of tasks."""


def answer(job: Job) -> bytes:
    """Return the answer to a request, as JSON. Limits the memory of the process, and the time."""
    limit_memory(ANSWER_BYTES)
    with time_limit(ANSWER_SECONDS):
        return json.dumps(_ANSWERS[job.kind](job), separators=(",", ":")).encode()


def _upload(job: Job) -> Json:
    """Return the tasks of an uploaded file."""
    name = Path(job.name[-MAX_NAME:]).name or "the text"
    tasks = parse_tasks(job.body, name)
    if len(tasks) > MAX_TASKS:
        raise RequestError(f"{name}: expected at most {MAX_TASKS:,} tasks, found {len(tasks):,}; split it")
    return {"tasks": [_task_with_id(check_task(task)) for task in tasks]}


def _gallery(job: Job) -> Json:
    """Return the tasks of a known set: their ids, and the first demonstration of each."""
    cards = [{"id": task.id, "pair": [rows(grid) for grid in task.train[0]]} for task in _known(job.name)]
    return {"cards": cards}


def _known_task(job: Job) -> Json:
    """Return a task of a known set, by its id."""
    for task in _known(job.name):
        if task.id == job.body.decode(errors="replace"):
            return _task_with_id(task)
    raise RequestError(f"expected the id of a task of {job.name}, found another")


@cache
def _known(name: str) -> tuple[Task, ...]:
    if name not in DATA_SETS:
        raise RequestError(f"expected one of {', '.join(DATA_SETS)}, found another set")
    return tuple(load_tasks(name))


def _explain(job: Job) -> Json:
    """Return the sheet of a program, with its trace on every input, or its error."""
    request = read_request(job.body)
    task = read_task(request)
    try:
        program = Program.parse(_text(request.get("program"), "program"))
    except ParseError as error:
        return {"error": {"line": error.line, "message": str(error)}}
    table = Views()
    sheet = task_sheet(table, task, outputs=True)
    pairs: list[tuple[Grid, Grid | None]] = [*task.train, *task.test]
    types: tuple[str, ...] = max((program.types(grid) for grid, _ in pairs), key=len)
    outcomes = [program.run(grid) for grid, _ in pairs]
    failed = [0 if outcome.grid is not None else outcome.line for outcome in outcomes]
    return sheet | {
        "program": program_sheet(table, program, pairs) | {"types": types, "failed": failed},
        "views": table.json,
    }


def _export(job: Job) -> Json:
    """Return a file: its name, its media type and its text."""
    request = read_request(job.body)
    task, to = read_task(request), request.get("to")
    candidates = read_candidates(request, task)
    if not candidates:
        raise RequestError("expected a program to export, found none; search for one, or write one")
    best, result = candidates[0].program, SolveResult(task, 0, tuple(candidates))
    name = "".join(c if c.isalnum() or c in "-_" else "-" for c in task.id) or "puzzle"
    if to == "python":
        return _file(f"{name}.py", to_python(best, title=f"A program for task {task.id}"))
    if to == "text":
        return _file(f"{name}.txt", f"{best}\n")
    if to == "html":
        return _file(
            f"{name}.html", answer_page(task.id, task, candidates, result.attempts, outputs=True), "text/html"
        )
    if to == "submission":
        text = submission({task.id: result.attempts})
        return _file(f"{name}-submission.json", text, "application/json")
    raise RequestError("to: expected python, text, html or submission, found something else")


def _file(name: str, text: str, media_type: str = "text/plain") -> Json:
    return {"name": name, "type": media_type, "text": text}


_ANSWERS: Mapping[str, Callable[[Job], Json]] = {
    "upload": _upload,
    "gallery": _gallery,
    "task": _known_task,
    "explain": _explain,
    "export": _export,
    "ready": lambda job: {},
}


# --- Reading requests ---


def read_search(body: bytes) -> SearchRequest:
    """Read a request for a search. Raises RequestError, TaskError, ParseError."""
    request = read_request(body)
    task, seconds, tried = read_task(request), request.get("seconds"), request.get("tried", 0)
    if not isinstance(seconds, (int, float)) or not 0 < seconds <= MAX_SECONDS:
        raise RequestError(f"seconds: expected a number above 0 and up to {MAX_SECONDS:.0f}, found another")
    if type(tried) is not int or not 0 <= tried < 1 << 53:
        raise RequestError("tried: expected a number of programs, found something else")
    candidates = read_candidates(request, task)
    before = SolveResult(task, tried, tuple(candidates)) if candidates or tried else None
    return SearchRequest(task, float(seconds), before)


def read_request(body: bytes) -> Json:
    """Return the JSON object of a request."""
    try:
        request = json.loads(body)
    except (ValueError, RecursionError):
        raise RequestError("expected JSON, found something else") from None
    if not isinstance(request, dict):
        raise RequestError("expected a JSON object, found another value")
    return request


def read_task(request: Json) -> Task:
    """Return the task of a request."""
    value = request.get("task")
    task_id = value.get("id", "") if isinstance(value, dict) else ""
    task = parse_task(value, _text(task_id, "id")[:MAX_NAME] or "puzzle", _PAGE)
    return check_task(task)


def read_candidates(request: Json, task: Task) -> list[Candidate]:
    """Return the programs of a request as candidates, in its order.

    The programs are run to find which demonstrations they solve and what they answer. Votes count
    only for programs that solve all demonstrations.
    """
    rows = request.get("programs", [])
    if not isinstance(rows, list) or len(rows) > MAX_PROGRAMS:
        raise RequestError(f"programs: expected a list of up to {MAX_PROGRAMS}, found something else")
    votes: dict[Program, int] = {}
    for row in rows:
        text, count = (row.get("program"), row.get("votes", 0)) if isinstance(row, dict) else (row, 0)
        if type(count) is not int or not 0 <= count < 1 << 53:
            raise RequestError("votes: expected a number of votes, found something else")
        votes.setdefault(Program.parse(_text(text, "program")), count)
    programs = list(votes)
    fitness = by_fitness(task, programs)
    solved = {candidate.program: candidate.demonstrations_solved for candidate in fitness}
    inputs = [(pair.input, None) for pair in task.test]
    budget = Budget(steps=EVOLUTION_STEPS)
    verdicts = evaluate(programs, [0] * len(programs), [inputs], budget=budget, threads=1)
    return [
        Candidate(
            task.id,
            program,
            solved[program],
            votes=votes[program] if solved[program] == len(task.train) else 0,
            answer=int(verdict["behaviour"]),
        )
        for program, verdict in zip(programs, verdicts, strict=True)
    ]


def _text(value: object, what: str) -> str:
    if not isinstance(value, str):
        raise RequestError(f"{what}: expected text, found something else")
    return value


# --- Writing answers ---


def _task_with_id(task: Task) -> Json:
    return {"id": task.id, **task_json(task)}


def rows(grid: Grid) -> str:
    """Return a grid as text: a digit for each cell, a slash between rows."""
    return "/".join("".join(map(str, row)) for row in grid.tolist())


def error_text(error: BaseException) -> str | None:
    """Return the message of an error that a request caused, or None for a bug of ours."""
    if isinstance(error, MemoryError):
        return "this takes too much memory; try smaller grids or a shorter program"
    if isinstance(error, ValueError) and type(error).__module__.startswith("codeit."):
        return str(error)
    return None
