"""Scoring: which tasks a set of programs solves.

This is the only module that compares programs with test outputs. Reports show outputs, and
pre-training excludes their grids; nothing that searches or learns reads them otherwise.

The candidates of a task are ranked by demonstrations solved, then length, then order of discovery
(see `candidate.rank`). The task is solved at top k if one of the k best-ranked programs gives every
test output exactly (Butt et al. 2024, arXiv 2402.04858, with k = 3).

Ranking by votes is ours and optional: of the programs that solve all demonstrations and answer the
tests alike, the shortest represents all of them, and the answer that most programs give ranks first
(`count_votes`).
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple

from codeit.data.tasks import Task, equal_tasks, load_tasks
from codeit.evaluation.candidate import TOP, Candidate, rank, top_k
from codeit.language import Budget, Grid, Outcome, Program, run_batch

_ROWS_AT_ONCE = 4096  # bounds the outcomes held in memory while a long file is verified
_PROBLEMS_KEPT = 10
_MAX_LINE = 10_000_000  # bytes of a line of solutions, which may come from a device without an end


class SolutionRow(NamedTuple):
    """A row of a solutions file."""

    task_id: str
    program: str
    """The program's text, not yet parsed."""
    where: str = ""
    """File and line, for messages."""
    votes: int = 0
    probability: float = 0.0
    row: Mapping[str, Any] = {}
    """The whole JSON object."""


class SolutionError(ValueError):
    """A solutions file that cannot be read.

    Attributes: `file`, `line` (from 1; 0 for the file as a whole), `expected`, `found`, `fix`.
    """

    def __init__(self, file: str | Path, line: int, expected: str, found: str, fix: str) -> None:
        self.file, self.line, self.expected, self.found, self.fix = str(file), line, expected, found, fix
        place = f"{file}, line {line}" if line else str(file)
        super().__init__(f"{place}: expected {expected}, found {found}. {fix}")


@dataclass(frozen=True)
class Score:
    """What a set of programs solves. All counts are of tasks, except `programs` and `invalid`."""

    tasks: int
    """Tasks in the set."""
    solved_top3: int
    """Tasks solved by one of the 3 best-ranked programs."""
    solved_top2: int
    """Tasks solved by one of the 2 best-ranked programs."""
    solved_top3_without_leak: int
    """Tasks solved at top 3, without those that are, grid for grid, also in arc-agi-1/training."""
    solved_top2_without_leak: int
    """The same at top 2."""
    solved_demonstrations: int
    """Tasks with a program that solves every demonstration."""
    without_outputs: int
    """Tasks that lack a test output. They cannot be scored and count as not solved."""
    programs: int
    """Programs given (rows, including repeated ones)."""
    invalid: int
    """Rows whose program does not parse, or whose task is not in the set."""
    solved: tuple[str, ...]
    """Ids of the tasks solved at top 3, sorted."""
    leaked: tuple[str, ...]
    """Ids of the tasks of this set that are also in arc-agi-1/training, sorted."""
    problems: tuple[str, ...] = ()
    """What is wrong with the first few invalid rows."""


def solves(outcomes: Sequence[Outcome], outputs: Sequence[Grid | None]) -> bool:
    """Return whether the outcomes of a program on some inputs equal the wanted outputs exactly."""
    return all(_gives(outcome, wanted) for outcome, wanted in zip(outcomes, outputs, strict=True))


def leaked_tasks(tasks: Sequence[Task]) -> tuple[str, ...]:
    """Return the ids of tasks that are also in arc-agi-1/training, compared by content.

    In arc-agi-1/evaluation this is 070dd51e.
    """
    return tuple(sorted({task_id for task_id, _ in equal_tasks(tasks, load_tasks("arc-agi-1/training"))}))


def count_votes(
    candidates: Mapping[str, Iterable[Candidate]],
    tasks: Sequence[Task],
    *,
    budget: Budget | None = None,
    threads: int = 0,
) -> dict[str, list[Candidate]]:
    """Merge candidates that answer the tests alike and add up their votes.

    Of each task's candidates that solve all demonstrations, the shortest for each answer remains,
    with the votes of all that give this answer. Other candidates remain without votes. A task
    without any votes keeps its candidates as they are. Test outputs are not read.
    """
    by_id = {task.id: task for task in tasks}
    merged = {task_id: rank(found) for task_id, found in candidates.items()}
    with_votes = [task_id for task_id, found in merged.items() if any(c.votes for c in found)]
    given = [candidate for task_id in with_votes for candidate in merged[task_id]]
    solvers = [c for c in given if c.demonstrations_solved == len(by_id[c.task_id].train)]
    outcomes = run_batch(
        [c.program for c in solvers],
        [[pair.input for pair in by_id[c.task_id].test] for c in solvers],
        budget=budget,
        threads=threads,
    )
    by_answer: defaultdict[tuple[str, tuple[Grid | None, ...]], list[Candidate]] = defaultdict(list)
    for candidate, of_program in zip(solvers, outcomes, strict=True):
        by_answer[candidate.task_id, tuple(outcome.grid for outcome in of_program)].append(candidate)
    merged |= {task_id: [] for task_id in with_votes}
    for (task_id, _), group in by_answer.items():
        shortest = min(group, key=lambda c: (len(c.program), c.order))
        merged[task_id].append(replace(shortest, votes=sum(c.votes for c in group)))
    for candidate in given:
        if candidate.demonstrations_solved < len(by_id[candidate.task_id].train):
            merged[candidate.task_id].append(replace(candidate, votes=0))
    return merged


def score(
    candidates: Mapping[str, Iterable[Candidate]],
    tasks: Sequence[Task],
    *,
    leaked: Collection[str] | None = None,
    budget: Budget | None = None,
    threads: int = 0,
) -> Score:
    """Score the candidates of each task, by task id, on its test pairs.

    Only the 3 best-ranked programs of a task are run. `leaked` names the tasks that
    `solved_top3_without_leak` excludes, by default those of `leaked_tasks`. Raises ValueError if an
    id is not among `tasks`.
    """
    by_id = {task.id: task for task in tasks}
    given = {task_id: list(found) for task_id, found in candidates.items()}
    if unknown := sorted(given.keys() - by_id.keys()):
        raise ValueError(f"candidates for task {unknown[0]}, which is not in the set of {len(tasks)} tasks")
    best = {task_id: top_k(found) for task_id, found in given.items()}
    scorable = {task.id for task in tasks if all(pair.output is not None for pair in task.test)}
    runs = [
        (by_id[task_id], place, candidate.program)
        for task_id in best
        if task_id in scorable
        for place, candidate in enumerate(best[task_id])
    ]
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
    excluded = set(leaked_tasks(tasks) if leaked is None else leaked) & by_id.keys()
    return Score(
        tasks=len(tasks),
        solved_top3=len(place_of),
        solved_top2=sum(place < 2 for place in place_of.values()),
        solved_top3_without_leak=len(place_of.keys() - excluded),
        solved_top2_without_leak=sum(
            place < 2 for task_id, place in place_of.items() if task_id not in excluded
        ),
        solved_demonstrations=sum(
            c[0].demonstrations_solved == len(by_id[task_id].train) for task_id, c in best.items() if c
        ),
        without_outputs=len(tasks) - len(scorable),
        programs=sum(map(len, given.values())),
        invalid=0,
        solved=tuple(sorted(place_of)),
        leaked=tuple(sorted(excluded)),
    )


class Ranking(NamedTuple):
    """The programs of a solutions file, ranked for each task."""

    candidates: dict[str, list[Candidate]]
    """By task, with the votes of each answer; `order` is the number of the row, from 1."""
    rows: int
    invalid: int
    problems: tuple[str, ...]


def rank_solutions(
    solutions: Iterable[SolutionRow],
    tasks: Sequence[Task],
    *,
    budget: Budget | None = None,
    threads: int = 0,
) -> Ranking:
    """Parse every program, run it on the demonstrations of its task, and merge equal answers.

    Rows come in order of discovery, and votes count where rows have them. A row that does not parse,
    or whose task is not among `tasks`, counts as invalid and is left out.
    """
    by_id = {task.id: task for task in tasks}
    candidates: defaultdict[str, list[Candidate]] = defaultdict(list)
    problems: list[str] = []
    rows = iter(solutions)
    order = invalid = 0
    while chunk := list(islice(rows, _ROWS_AT_ONCE)):
        valid: list[Candidate] = []
        for solution in chunk:
            order += 1
            try:
                if solution.task_id not in by_id:
                    raise ValueError(f"task {solution.task_id} is not in the set of {len(tasks)} tasks")
                program = Program.parse(solution.program)
                votes, likely = solution.votes, solution.probability
                valid.append(Candidate(solution.task_id, program, 0, order, votes, probability=likely))
            except ValueError as error:  # includes ParseError
                invalid += 1
                problems.append(f"{solution.where or f'row {order}'}: {error}")
        del problems[_PROBLEMS_KEPT:]
        outcomes = run_batch(
            [candidate.program for candidate in valid],
            [[pair.input for pair in by_id[candidate.task_id].train] for candidate in valid],
            budget=budget,
            threads=threads,
        )
        for candidate, of_program in zip(valid, outcomes, strict=True):
            wanted = (pair.output for pair in by_id[candidate.task_id].train)
            solved = sum(map(_gives, of_program, wanted))
            candidates[candidate.task_id].append(replace(candidate, demonstrations_solved=solved))
    merged = count_votes(candidates, tasks, budget=budget, threads=threads)
    return Ranking(merged, order, invalid, tuple(problems))


def verify(
    solutions: Iterable[SolutionRow],
    tasks: Sequence[Task],
    *,
    leaked: Collection[str] | None = None,
    budget: Budget | None = None,
    threads: int = 0,
) -> Score:
    """Score solutions from nothing but their text: rank them, and run the best on the tests."""
    ranking = rank_solutions(solutions, tasks, budget=budget, threads=threads)
    return score_ranking(ranking, tasks, leaked=leaked, budget=budget, threads=threads)


def score_ranking(
    ranking: Ranking,
    tasks: Sequence[Task],
    *,
    leaked: Collection[str] | None = None,
    budget: Budget | None = None,
    threads: int = 0,
) -> Score:
    """Score ranked solutions: run the best of each task on its tests."""
    scored = score(ranking.candidates, tasks, leaked=leaked, budget=budget, threads=threads)
    return replace(scored, programs=ranking.rows, invalid=ranking.invalid, problems=ranking.problems)


def best_solutions(solutions: Sequence[SolutionRow], ranking: Ranking) -> str:
    """Return the JSON lines of the TOP best programs of each task, with the votes of their answers.

    `ranking` is that of the solutions. The lines have the score of all solutions, in a file that is
    small enough to publish.
    """
    lines = []
    for _, found in sorted(ranking.candidates.items()):
        for one in top_k(found, TOP):
            row = solutions[one.order - 1].row
            lines.append(json.dumps({**row, "votes": one.votes} if "votes" in row else {**row}) + "\n")
    return "".join(lines)


def read_solutions(path: str | Path) -> Iterator[SolutionRow]:
    """Yield the rows of a solutions file.

    The file holds JSON lines, each an object with `task` (an id), `program` (its text, with line
    breaks) and optionally `votes` and `probability`. Other keys and blank lines are allowed. Raises
    SolutionError, which names file and line.
    """
    shape = 'an object like {"task": "00576224", "program": "x1 = vmirror(I)\\nO = hconcat(I, x1)"}'
    try:
        with open(path, "rb") as file:
            for number, line in enumerate(iter(lambda: file.readline(_MAX_LINE + 1), b""), start=1):
                if len(line) > _MAX_LINE:
                    found, fix = f"more than {_MAX_LINE:,} bytes in a line", "Is this a file of solutions?"
                    raise SolutionError(path, number, shape, found, fix)
                if not line.strip():
                    continue
                row = _parse_json(path, number, line, shape)
                if not isinstance(row, dict):
                    fix = "Write one object per line, not one list."
                    raise SolutionError(path, number, shape, f"a {type(row).__name__}", fix)
                for key in ("task", "program"):
                    if not isinstance(row.get(key), str):
                        found = f"no {key}" if key not in row else f"{key} of type {type(row[key]).__name__}"
                        raise SolutionError(path, number, shape, found, f'Give "{key}" as a string.')
                votes = row.get("votes", 0)
                if type(votes) is not int or votes < 0:
                    fix = 'Give "votes" as the number of programs that the row represents, or leave it out.'
                    raise SolutionError(path, number, shape, f"votes of {votes!r}", fix)
                likely = row.get("probability", 0.0)
                if type(likely) not in (int, float) or not 0 <= likely <= 1:
                    fix = 'Give "probability" as a number from 0 to 1, or leave it out.'
                    raise SolutionError(path, number, shape, f"probability of {likely!r}", fix)
                yield SolutionRow(row["task"], row["program"], f"{path}, line {number}", votes, likely, row)
    except OSError as error:
        raise SolutionError(path, 0, "a readable file", str(error.strerror), "Check the path.") from None


def outputs_correct(attempts: Sequence[Sequence[Grid]], task: Task) -> list[bool | None]:
    """Return for each test pair whether an attempt is the output. None: it is unknown.

    Raises ValueError if the numbers of attempts and test pairs differ.
    """
    return [
        None if pair.output is None else pair.output in of_pair
        for of_pair, pair in zip(attempts, task.test, strict=True)
    ]


def _parse_json(path: str | Path, number: int, line: bytes, shape: str) -> Any:
    try:
        return json.loads(line.decode("utf-8-sig"))
    except (ValueError, RecursionError) as error:
        fix = "Each line is one whole JSON object; the last line may be truncated."
        raise SolutionError(path, number, shape, f"invalid JSON ({error})", fix) from None


def _gives(outcome: Outcome, wanted: Grid | None) -> bool:
    return outcome.grid is not None and outcome.grid == wanted
