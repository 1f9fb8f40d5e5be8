"""Work in processes of its own."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
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
    # Spawned, not forked: this process may hold threads.
    spawned = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(min(workers, len(jobs)) or 1, spawned, _begin) as pool:
        number_of = {pool.submit(function, job): number for number, job in enumerate(jobs)}
        try:
            for done in as_completed(number_of):
                yield number_of[done], done.result()
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
