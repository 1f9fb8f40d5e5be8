"""The mutation baseline: experts and their mutants on every task (Butt et al. 2024, section 4)."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from functools import partial

import numpy as np

from codeit.data.tasks import Task
from codeit.evaluation.candidate import KEPT, Candidate, top_k
from codeit.language import Budget, Program, count_solved
from codeit.parallel import Cluster, map_ordered
from codeit.search.mutation import MutationError, Mutator
from codeit.storage.search_log import Part, SearchLog

PAPER_RESULTS = {9_600: 28, 19_200: 32, 96_000: 39, 960_000: 42}
"""Tasks that the paper's baseline solves, by number of mutants."""
MUTANTS_PER_PART = 49_152
"""Mutants tried together, so that they share work. A kill loses at most this many."""
_TASKS_AT_ONCE = 4  # tasks per job; `progress` is called and Ctrl-C noticed between two jobs


def run_baseline(
    log: SearchLog,
    experts: Mapping[str, Program],
    mutator: Mutator,
    tasks: Sequence[Task],
    count: int,
    *,
    budget: Budget,
    threads: int = 0,
    cluster: Cluster | None = None,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> None:
    """Try the experts, then `count` mutants, on every task, except what `log` has done.

    A `cluster` tries them, a few tasks on each core; otherwise `threads` of this process do.

    A program is run on a task up to the first demonstration that it fails. A program that solves all
    of them is kept if it is among the task's KEPT best when it is found. So for every n, the best of
    the first n mutants are kept.

    Raises MutationError if there are fewer mutants; those tried until then are recorded. Raises
    RunError if the log has other tasks.
    """
    log.check_tasks(tasks)
    best: dict[str, list[Candidate]] = {task.id: [] for task in tasks}
    for candidate in log.candidates():
        best[candidate.task_id].append(candidate)
    parts = log.parts()
    done = sum(part.programs for number, part in parts.items() if number)
    next_round, skipped = 0, 0  # where to continue: the round, and how many of its mutants were tried
    for number, part in parts.items():
        if number:
            next_round, skipped, keys = log.parse_state(number, part, _parse_state)
            mutator.restore(keys)

    def try_programs(programs: Sequence[Program], state: Sequence[int] = ()) -> None:
        """Try programs and commit them as a part. Part 0, the experts, does not count as tried."""
        found, elsewhere = [], 0.0  # processor seconds of other machines
        chunks = [tasks[first : first + _TASKS_AT_ONCE] for first in range(0, len(tasks), _TASKS_AT_ONCE)]
        solvers = map_ordered(
            partial(_solvers, programs, (budget.steps, budget.cells), 1 if cluster else threads),
            chunks,
            cluster or 1,
            name=lambda k: f"tasks {chunks[k][0].id} to {chunks[k][-1].id}",
        )
        for place, chunk in enumerate(chunks):
            progress(min(done + len(programs) * place // len(chunks), count), count)
            solvers_by_task, spent = next(solvers)
            elsewhere += spent if cluster else 0.0
            for task, task_solvers in zip(chunk, solvers_by_task, strict=True):
                for k in task_solvers:
                    order = done + k if parts else 0
                    candidate = Candidate(task.id, programs[k], len(task.train), order=order)
                    best[task.id] = top_k([*best[task.id], candidate], KEPT)
                    if candidate in best[task.id]:
                        found.append(candidate)
        wall, cores = (now - before for now, before in zip(_clocks(), started, strict=True))
        part = Part(len(programs), wall, cores + elsewhere, np.array(state, np.uint64).tobytes())
        log.commit(len(parts), part, found)
        parts[len(parts)] = part

    started = _clocks()
    if not parts:
        try_programs(list(experts.values()))
    rounds = mutator.rounds(next_round)
    exhausted: MutationError | None = None
    while done < count and not exhausted:
        started = _clocks()
        programs: list[Program] = []
        keys = []
        try:
            while len(programs) < min(MUTANTS_PER_PART, count - done):
                mutation_round = next(rounds)
                left = [mutant.program for mutant in mutation_round.mutants[skipped:]]
                taken = left[: count - done - len(programs)]
                programs += taken
                next_round, skipped = mutation_round.number + 1, 0
                if taken == left:
                    keys += mutation_round.keys.ravel().tolist()
                else:
                    next_round = mutation_round.number
                    skipped = len(mutation_round.mutants) - len(left) + len(taken)
        except MutationError as error:
            exhausted = error
        try_programs(programs, [next_round, skipped, *keys])
        done += len(programs)
    progress(done, count)
    if exhausted:
        raise exhausted


def _solvers(
    programs: Sequence[Program], budget: tuple[int, int], threads: int, tasks: Sequence[Task]
) -> tuple[list[list[int]], float]:
    """Return the indices of the programs that solve each task, and the processor seconds."""
    started = time.process_time()
    pairs = [task.train for task in tasks]
    solved = count_solved(programs, pairs, early_exit=True, budget=Budget(*budget), threads=threads)
    found = [
        np.flatnonzero(counts == len(task.train)).tolist() for task, counts in zip(tasks, solved, strict=True)
    ]
    return found, time.process_time() - started


def _parse_state(state: bytes) -> tuple[int, int, list[int]]:
    """Return where to continue (round, mutants of it to skip), and the keys of the mutants tried."""
    next_round, skipped, *keys = np.frombuffer(state, np.uint64).tolist()
    return next_round, skipped, keys


def _clocks() -> tuple[float, float]:
    return time.monotonic(), time.process_time()


def curve_points(programs: int) -> list[int]:
    """Return the numbers of programs at which a curve has points: the paper's and some others."""
    doubled = (600 << k for k in range(programs.bit_length()))
    return sorted(n for n in {*doubled, *PAPER_RESULTS, programs} if n <= programs)
