"""Search without a policy for every task of a set (`codeit search`)."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from functools import partial

from codeit.config import SearchSettings, SolveSettings
from codeit.data.tasks import Task, by_size
from codeit.evaluation.candidate import Candidate
from codeit.language import Program
from codeit.parallel import Workforce, map_unordered
from codeit.seeds import derive
from codeit.solver import SearchJob, TaskSearch
from codeit.storage.search_log import Part, SearchLog


def log_settings(
    programs: int, seed: int, tasks: str, train: str, settings: SearchSettings
) -> dict[str, object]:
    """Return the settings of a search's log. `tasks` and `train` are the names of sets of tasks.

    A continued search must have the same, except for `programs`.
    """
    return {
        "kind": "search",
        "programs": programs,
        "seed": seed,
        "tasks": tasks,
        "train": train,
        **settings.flat(),
    }


def run_search(
    log: SearchLog,
    starters: Sequence[Program],
    tasks: Sequence[Task],
    programs: int,
    seed: int,
    *,
    settings: SearchSettings | None = None,
    workforce: Workforce = 0,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> None:
    """Search each task with at most `programs` programs, the largest tasks first.

    Each task is a part of the log. Tasks that were already searched with as many programs are
    skipped. Others are searched from the start, because populations are not stored: a search with
    more programs finds the same again, and then more. A search ends early once its answer is settled
    (see `solver.TaskSearch`).

    Raises WorkerError if the process of a task dies at every attempt. Finished tasks stay in the log.
    Raises RunError if the log has other tasks.
    """
    log.check_tasks(tasks)
    # A search may end early, so the state of a part is the number of programs allowed, not tried.
    budgets = log.states(int)
    left = [number for number in range(len(tasks)) if budgets.get(number, 0) < programs]
    size = {task.id: place for place, task in enumerate(by_size(tasks))}
    # Short searches come last, so that all processes end at about the same time.
    left.sort(key=lambda number: -size[tasks[number].id])
    solve_settings = SolveSettings.from_overrides(settings.flat() if settings else {})
    jobs = [SearchJob(tasks[number], programs, derive(seed, "solve", tasks[number].id, 0)) for number in left]
    search = partial(_search, starters, solve_settings)
    done = len(tasks) - len(left)
    progress(done, len(tasks))
    for index, (part, found) in map_unordered(search, jobs, workforce, lambda k: f"task {jobs[k].task.id}"):
        log.commit(left[index], part, found)
        done += 1
        progress(done, len(tasks))


def _search(
    starters: Sequence[Program], settings: SolveSettings, job: SearchJob
) -> tuple[Part, list[Candidate]]:
    wall, cores = time.monotonic(), time.process_time()
    search = TaskSearch(job.task, starters, job.seed, settings=settings, threads=1)
    found: list[Candidate] = []
    for _ in search.run(job.programs):
        found += search.new_answers()
    state = str(job.programs).encode()
    return Part(search.tried, time.monotonic() - wall, time.process_time() - cores, state), found
