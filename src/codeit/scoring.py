"""Scoring: which tasks a set of programs solves. The one module that reads test outputs.

A task's programs are ranked by the demonstrations that they solve (most first), then by length (shortest
first), then by when they were found (earliest first). The task is solved at top k if one of the k best-ranked
programs gives every one of its test outputs exactly (Butt et al. 2024, arXiv 2402.04858, with k = 3).

Ours, where it is asked for: votes come before length. Of the programs that solve all demonstrations and
answer the tests alike, the shortest stands for all, and has a vote for each (`elect`).
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple

from codeit.language import Budget, Grid, Outcome, Program, run_batch
from codeit.tasks import Task, equal_tasks, load

TOP = 3
_BUDGET = Budget()
_ROWS_AT_ONCE = 4096  # bounds the outcomes held in memory while a long file is verified
_PROBLEMS_KEPT = 10


class Candidate(NamedTuple):
    """A program found for a task, with the demonstrations that it solves and when it was found (0 first).

    `votes` is how many programs it stands for; 0 where nobody counts.
    """

    program: Program
    solved: int
    order: int = 0
    votes: int = 0


class Solution(NamedTuple):
    """A row of a solutions file: a task's id, a program's text, its place (for messages), votes; and all."""

    task: str
    program: str
    where: str = ""
    votes: int = 0
    row: Mapping[str, Any] = {}


class SolutionError(ValueError):
    """A solutions file that cannot be read: `file` and `line` (from 1) say where."""

    def __init__(self, file: str | Path, line: int, expected: str, found: str, fix: str) -> None:
        self.file, self.line, self.expected, self.found, self.fix = str(file), line, expected, found, fix
        place = f"{file}, line {line}" if line else str(file)
        super().__init__(f"{place}: expected {expected}, found {found}. {fix}")


@dataclass(frozen=True)
class Score:
    """What a set of programs solves. All counts are of tasks, save `programs` and `invalid`."""

    tasks: int
    """Tasks in the set."""
    solved_top3: int
    """Tasks solved by one of the 3 best-ranked programs."""
    solved_top2: int
    """Tasks solved by one of the 2 best-ranked programs."""
    solved_top3_without_leak: int
    """Tasks solved at top 3 that are not, grid for grid, also a task of arc-agi-1/training."""
    solved_top2_without_leak: int
    """The same at top 2."""
    solved_demonstrations: int
    """Tasks of which one program solves every demonstration."""
    without_outputs: int
    """Tasks that lack a test output: they cannot be scored, and count as not solved."""
    programs: int
    """Programs given (rows, repeated ones included)."""
    invalid: int
    """Rows whose program does not parse or that name a task outside the set."""
    solved: tuple[str, ...]
    """Ids of the tasks solved at top 3, sorted."""
    leaked: tuple[str, ...]
    """Ids of the tasks of this set that are also in arc-agi-1/training, sorted."""
    problems: tuple[str, ...] = ()
    """What is wrong with the first few invalid rows."""


def solves(outcomes: Sequence[Outcome], outputs: Sequence[Grid | None]) -> bool:
    """Whether a program's outcomes on some inputs are the wanted outputs, all of them and exactly."""
    return all(_is(outcome, wanted) for outcome, wanted in zip(outcomes, outputs, strict=True))


def rank(candidates: Iterable[Candidate]) -> list[Candidate]:
    """A task's candidates, best first, each program once."""
    first: dict[Program, Candidate] = {}
    for candidate in sorted(candidates, key=lambda c: (-c.solved, -c.votes, len(c.program), c.order)):
        first.setdefault(candidate.program, candidate)
    return list(first.values())


def top_k(candidates: Iterable[Candidate], k: int = TOP) -> list[Candidate]:
    """The k best-ranked candidates. `top_k(top_k(a) + b)` is `top_k(a + b)`, so a loop need keep no more."""
    return rank(candidates)[:k]


def leaked_tasks(tasks: Sequence[Task]) -> tuple[str, ...]:
    """Ids of the tasks that are also in arc-agi-1/training, by content: of its evaluation set, 070dd51e."""
    return tuple(sorted({id for id, _ in equal_tasks(tasks, load("arc-agi-1/training"))}))


def elect(
    candidates: Mapping[str, Iterable[Candidate]],
    tasks: Sequence[Task],
    *,
    budget: Budget = _BUDGET,
    threads: int = 0,
) -> dict[str, list[Candidate]]:
    """Of each task's candidates that solve all demonstrations, the shortest for each answer to the tests,
    with the votes of all that give it, each program once; of the others all, without votes. A task of which
    no candidate has votes keeps all as they are. No test output is read.
    """
    of_id = {task.id: task for task in tasks}
    elected = {id: rank(found) for id, found in candidates.items()}
    voted = {id: found for id, found in elected.items() if any(c.votes for c in found)}
    given = [(of_id[id], candidate) for id, found in voted.items() for candidate in found]
    voters = [(task, c) for task, c in given if c.solved == len(task.train)]
    outcomes = run_batch(
        [candidate.program for _, candidate in voters],
        [[pair.input for pair in task.test] for task, _ in voters],
        budget=budget,
        threads=threads,
    )
    alike: defaultdict[tuple[str, tuple[Grid | None, ...]], list[Candidate]] = defaultdict(list)
    for (task, candidate), of_program in zip(voters, outcomes, strict=True):
        alike[task.id, tuple(outcome.grid for outcome in of_program)].append(candidate)
    elected |= {id: [] for id in voted}
    for (id, _), group in alike.items():
        shortest = min(group, key=lambda c: (len(c.program), c.order))
        elected[id].append(shortest._replace(votes=sum(c.votes for c in group)))
    for task, candidate in given:
        if candidate.solved < len(task.train):
            elected[task.id].append(candidate._replace(votes=0))
    return elected


def score(
    candidates: Mapping[str, Iterable[Candidate]],
    tasks: Sequence[Task],
    *,
    leaked: Collection[str] | None = None,
    budget: Budget = _BUDGET,
    threads: int = 0,
) -> Score:
    """Score the candidates of each task (by id; an id outside `tasks` is an error) on its test pairs.

    Only the 3 best-ranked programs of a task are run. `leaked` names the tasks not to count in
    `solved_top3_without_leak`, by default those found by `leaked_tasks`.
    """
    of_id = {task.id: task for task in tasks}
    given = {id: list(found) for id, found in candidates.items()}
    if unknown := sorted(given.keys() - of_id.keys()):
        raise ValueError(f"candidates for task {unknown[0]}, which is not in the set of {len(tasks)} tasks")
    best = {id: top_k(found) for id, found in given.items()}
    scorable = {task.id for task in tasks if all(pair.output is not None for pair in task.test)}
    runs = [(of_id[id], k, c.program) for id in best if id in scorable for k, c in enumerate(best[id])]
    outcomes = run_batch(
        [program for _, _, program in runs],
        [[pair.input for pair in task.test] for task, _, _ in runs],
        budget=budget,
        threads=threads,
    )
    place_of: dict[str, int] = {}  # of the best-ranked program that solves the task, from 0
    for (task, place, _), of_program in zip(runs, outcomes, strict=True):
        if solves(of_program, [pair.output for pair in task.test]):
            place_of[task.id] = min(place, place_of.get(task.id, place))
    without = set(leaked_tasks(tasks) if leaked is None else leaked) & of_id.keys()
    return Score(
        tasks=len(tasks),
        solved_top3=len(place_of),
        solved_top2=sum(place < 2 for place in place_of.values()),
        solved_top3_without_leak=len(place_of.keys() - without),
        solved_top2_without_leak=sum(place < 2 for id, place in place_of.items() if id not in without),
        solved_demonstrations=sum(c[0].solved == len(of_id[id].train) for id, c in best.items() if c),
        without_outputs=len(tasks) - len(scorable),
        programs=sum(map(len, given.values())),
        invalid=0,
        solved=tuple(sorted(place_of)),
        leaked=tuple(sorted(without)),
    )


def verify(
    solutions: Iterable[Solution],
    tasks: Sequence[Task],
    *,
    leaked: Collection[str] | None = None,
    budget: Budget = _BUDGET,
    threads: int = 0,
) -> Score:
    """Score solutions from nothing but their text: parse them, run them on their task's demonstrations, rank
    them (rows in order: the earliest first; by votes where rows have them) and run the best on the tests.

    An invalid row (its program does not parse, or its task is not among `tasks`) is counted and left out.
    """
    of_id = {task.id: task for task in tasks}
    candidates: defaultdict[str, list[Candidate]] = defaultdict(list)
    problems: list[str] = []
    rows = iter(solutions)
    order = invalid = 0
    while chunk := list(islice(rows, _ROWS_AT_ONCE)):
        valid: list[tuple[Task, Program, int, int]] = []
        for solution in chunk:
            order += 1
            try:
                if solution.task not in of_id:
                    raise ValueError(f"task {solution.task} is not in the set of {len(tasks)} tasks")
                program = Program.parse(solution.program)
                valid.append((of_id[solution.task], program, order, solution.votes))
            except ValueError as error:  # ParseError among them
                invalid += 1
                problems.append(f"{solution.where or f'row {order}'}: {error}")
        del problems[_PROBLEMS_KEPT:]
        outcomes = run_batch(
            [program for _, program, *_ in valid],
            [[pair.input for pair in task.train] for task, *_ in valid],
            budget=budget,
            threads=threads,
        )
        for (task, program, place, votes), of_program in zip(valid, outcomes, strict=True):
            solved = sum(map(_is, of_program, (pair.output for pair in task.train)))
            candidates[task.id].append(Candidate(program, solved, place, votes))
    ranked = elect(candidates, tasks, budget=budget, threads=threads)
    scored = score(ranked, tasks, leaked=leaked, budget=budget, threads=threads)
    return replace(scored, programs=order, invalid=invalid, problems=tuple(problems))


def read_solutions(path: str | Path) -> Iterator[Solution]:
    """The rows of a solutions file: JSON lines, each an object with `task` and `program` (its text, with line
    breaks), and `votes` if programs are to be ranked by them; other keys may be there, and blank lines too.
    Raises SolutionError, naming file and line.
    """
    shape = 'an object like {"task": "00576224", "program": "x1 = vmirror(I)\\nO = hconcat(I, x1)"}'
    try:
        with open(path, "rb") as file:
            for number, line in enumerate(file, start=1):
                if not line.strip():
                    continue
                row = _json(path, number, line, shape)
                if not isinstance(row, dict):
                    fix = "Write one object a line, not one list for all."
                    raise SolutionError(path, number, shape, f"a {type(row).__name__}", fix)
                for key in ("task", "program"):
                    if not isinstance(row.get(key), str):
                        found = f"no {key}" if key not in row else f"{key} of type {type(row[key]).__name__}"
                        raise SolutionError(path, number, shape, found, f'Give "{key}" as a string.')
                votes = row.get("votes", 0)
                if type(votes) is not int or votes < 0:
                    fix = 'Give "votes" as the number of programs that the row stands for, or leave it out.'
                    raise SolutionError(path, number, shape, f"votes of {votes!r}", fix)
                yield Solution(row["task"], row["program"], f"{path}, line {number}", votes, row)
    except OSError as error:
        raise SolutionError(path, 0, "a readable file", str(error.strerror), "Check the path.") from None


def outputs_right(attempts: Sequence[Sequence[Grid]], task: Task) -> list[bool | None]:
    """For each test pair of a task whether one of the attempts at it is its output; None if that is unknown.

    Raises ValueError if there are not attempts for each.
    """
    return [
        None if pair.output is None else pair.output in of_pair
        for of_pair, pair in zip(attempts, task.test, strict=True)
    ]


def _json(path: str | Path, number: int, line: bytes, shape: str) -> Any:
    try:
        return json.loads(line.decode("utf-8-sig"))
    except (ValueError, RecursionError) as error:
        fix = "Each line is one whole JSON object; the last may have been cut short."
        raise SolutionError(path, number, shape, f"no JSON ({error})", fix) from None


def _is(outcome: Outcome, wanted: Grid | None) -> bool:
    return outcome.grid is not None and outcome.grid == wanted
