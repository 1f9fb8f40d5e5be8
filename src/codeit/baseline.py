"""The mutation baseline: experts and mutants, tried on every task (Butt et al. 2024, section 4)."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence

import numpy as np

from codeit.evolution import Mutation, MutationError
from codeit.language import Budget, Program, count_solved
from codeit.record import KEPT, Found, Part, Record
from codeit.scoring import Candidate, top_k
from codeit.tasks import Task

PAPER = {9_600: 28, 19_200: 32, 96_000: 39, 960_000: 42}
"""Tasks that the paper's baseline solves, by mutants tried."""
AT_ONCE = 49_152
"""Mutants tried together, as they share work; what a kill loses at most."""
STEPS = 300_000
"""Most steps of a run, unless told otherwise: the few programs that take more take most of the time."""
_TASKS_AT_ONCE = 16  # tried between two looks at the keyboard


def run_baseline(
    record: Record,
    experts: Mapping[str, Program],
    mutation: Mutation,
    tasks: Sequence[Task],
    count: int,
    *,
    budget: Budget,
    threads: int = 0,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> None:
    """Try the experts, then `count` mutants, on every task's demonstrations, but for what is done already.

    A program leaves a task at the first demonstration that it fails. Of those that solve all, a task keeps
    each that ranks among its best KEPT when it is found: so the best of any first n mutants are kept. Raises
    MutationError if there are not as many mutants; what was tried until then is kept.
    """
    best: dict[str, list[Candidate]] = {task.id: [] for task in tasks}
    for found in record.found():
        best[found.task].append(Candidate(found.program, 0, found.tried))
    parts = record.parts()
    done = sum(part.programs for number, part in parts.items() if number)
    next_round, skipped = 0, 0  # where to go on: the round, and how many of its mutants were tried
    for number, part in parts.items():
        if number:
            next_round, skipped, *keys = np.frombuffer(part.state, np.uint64).tolist()
            mutation.recall(keys)

    def attempt(programs: Sequence[Program], state: Sequence[int] = ()) -> None:
        """Try some programs; part 0 is the experts, which do not count as tried."""
        found = []
        for first in range(0, len(tasks), _TASKS_AT_ONCE):
            some = tasks[first : first + _TASKS_AT_ONCE]
            progress(min(done + len(programs) * first // len(tasks), count), count)
            pairs = [task.train for task in some]
            solved = count_solved(programs, pairs, early_exit=True, budget=budget, threads=threads)
            for task, counts in zip(some, solved, strict=True):
                for k in np.flatnonzero(counts == len(task.train)).tolist():
                    one = Candidate(programs[k], 0, done + k if parts else 0)
                    best[task.id] = top_k([*best[task.id], one], KEPT)
                    if one in best[task.id]:
                        found.append(Found(task.id, one.program, one.order))
        clock, cores = (now - before for now, before in zip(_clocks(), began, strict=True))
        part = Part(len(programs), clock, cores, np.array(state, np.uint64).tobytes())
        record.commit(len(parts), part, found)
        parts[len(parts)] = part

    began = _clocks()
    if not parts:
        attempt(list(experts.values()))
    rounds = mutation.rounds(next_round)
    barren: MutationError | None = None
    while done < count and not barren:
        began = _clocks()
        programs: list[Program] = []
        keys = []
        try:
            while len(programs) < min(AT_ONCE, count - done):
                made = next(rounds)
                left = [mutant.program for mutant in made.mutants[skipped:]]
                taken = left[: count - done - len(programs)]
                programs += taken
                next_round, skipped = made.number + 1, 0
                if taken == left:
                    keys += made.keys.ravel().tolist()
                else:
                    next_round, skipped = made.number, len(made.mutants) - len(left) + len(taken)
        except MutationError as error:
            barren = error
        attempt(programs, [next_round, skipped, *keys])
        done += len(programs)
    progress(done, count)
    if barren:
        raise barren


def _clocks() -> tuple[float, float]:
    return time.monotonic(), time.process_time()


def points(programs: int) -> list[int]:
    """The numbers of programs at which a curve up to so many is drawn: the paper's, and some between."""
    doubled = (600 << k for k in range(programs.bit_length()))
    return sorted(n for n in {*doubled, *PAPER, programs} if n <= programs)
