"""Work in processes of its own."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from contextlib import contextmanager
from itertools import islice
from typing import TypeVar

Job = TypeVar("Job")
Result = TypeVar("Result")


def each(
    function: Callable[[Job], Result], jobs: Sequence[Job], workers: int = 0
) -> Iterator[tuple[int, Result]]:
    """Each job's number and result, as they are done, by so many processes (0: one a core; 1: this one).

    The first jobs are begun first. Whatever ends the iteration ends the processes, and so does the end of
    this process, however it comes.
    """
    workers = workers or os.cpu_count() or 1
    if workers == 1:
        yield from ((number, function(job)) for number, job in enumerate(jobs))
        return
    with _pool(min(workers, len(jobs)) or 1) as pool:
        number_of = {pool.submit(function, job): number for number, job in enumerate(jobs)}
        for done in as_completed(number_of):
            yield number_of[done], done.result()


def in_order(function: Callable[[Job], Result], jobs: Iterable[Job], workers: int = 0) -> Iterator[Result]:
    """As `each`, but the results in the order of the jobs, of which there may be no end.

    Each process is at most two jobs ahead of what was taken.
    """
    workers = workers or os.cpu_count() or 1
    if workers == 1:
        yield from map(function, jobs)
        return
    jobs = iter(jobs)
    with _pool(workers) as pool:
        begun = deque(pool.submit(function, job) for job in islice(jobs, 2 * workers))
        while begun:
            done = begun.popleft().result()
            begun.extend(pool.submit(function, job) for job in islice(jobs, 1))
            yield done


@contextmanager
def _pool(workers: int) -> Iterator[ProcessPoolExecutor]:
    # Spawned, not forked: this process may hold threads.
    spawned = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(workers, spawned, _begin) as pool:
        try:
            yield pool
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            for child in multiprocessing.active_children():
                child.terminate()
            raise


def _begin() -> None:
    """Leave Ctrl-C to the parent, and end with it."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    assert parent is not None
    parent.join()
    os._exit(1)
