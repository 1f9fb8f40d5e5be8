"""Evolution for every task of a set (`codeit evolve`)."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import NamedTuple

from codeit.config import EvolutionConfig
from codeit.data.tasks import Task
from codeit.evaluation.candidate import Candidate
from codeit.language import Program
from codeit.parallel import map_unordered
from codeit.search.evolution import Evolution
from codeit.seeds import derive
from codeit.storage.search_log import Part, SearchLog


def run_evolution(
    log: SearchLog,
    starters: Sequence[Program],
    tasks: Sequence[Task],
    programs: int,
    seed: int,
    *,
    settings: EvolutionConfig | None = None,
    workers: int = 0,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> None:
    """Try `programs` programs on each task in `workers` processes (0: one per core).

    A task is a part of the log. Tasks that already had as many programs are skipped. Others are
    evolved from the start, as populations are not stored: with more programs they find what they
    found before, and more.

    Raises WorkerError if the process of a task dies again and again. Finished tasks stay in the log.
    Raises RunError if the log has other tasks.
    """
    log.check_tasks(tasks)
    # A population may end early, so a part's state holds the number of programs that it was given.
    budgets = log.states(int)
    left = [number for number in range(len(tasks)) if budgets.get(number, 0) < programs]
    jobs = [_Job(tasks[number], starters, programs, seed, settings) for number in left]
    done = len(tasks) - len(left)
    progress(done, len(tasks))
    for index, (part, found) in map_unordered(_evolve, jobs, workers, lambda k: f"task {jobs[k].task.id}"):
        log.commit(left[index], part, found)
        done += 1
        progress(done, len(tasks))


class _Job(NamedTuple):
    task: Task
    starters: Sequence[Program]
    programs: int
    seed: int
    settings: EvolutionConfig | None


def _evolve(job: _Job) -> tuple[Part, list[Candidate]]:
    wall, cores = time.monotonic(), time.process_time()
    found: list[Candidate] = []
    tried = 0
    evolution = Evolution(job.task, job.starters, derive(job.seed, "evolve", job.task.id), job.settings)
    for generation in evolution.generations(job.programs):
        tried = generation.tried
        found += generation.found
    state = str(job.programs).encode()
    return Part(tried, time.monotonic() - wall, time.process_time() - cores, state), found
