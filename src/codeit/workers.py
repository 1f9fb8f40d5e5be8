"""Work in processes of its own."""

from __future__ import annotations

import math
import multiprocessing
import os
import signal
import threading
import time
import traceback
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from contextlib import contextmanager
from itertools import islice
from multiprocessing.connection import Connection, wait
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
        with _deaf():
            number_of = {pool.submit(function, job): number for number, job in enumerate(jobs)}
        for done in as_completed(number_of):
            yield number_of[done], done.result()


def in_order(
    function: Callable[[Job], Result], jobs: Iterable[Job], workers: int = 0, nice: int = 0
) -> Iterator[Result]:
    """As `each`, but the results in the order of the jobs, of which there may be no end.

    Each process is at most two jobs ahead of what was taken. Where this one works meanwhile, a `nice` above 0
    has them give way to it on a core that they share.
    """
    workers = workers or os.cpu_count() or 1
    if workers == 1:
        yield from map(function, jobs)
        return
    jobs = iter(jobs)
    with _pool(workers, nice) as pool:
        with _deaf():
            begun = deque(pool.submit(function, job) for job in islice(jobs, 2 * workers))
        while begun:
            done = begun.popleft().result()
            begun.extend(pool.submit(function, job) for job in islice(jobs, 1))
            yield done


def streams(
    function: Callable[[Job], Iterable[Result]], jobs: Sequence[Job], deadline: float = math.inf
) -> Iterator[tuple[int, Result]]:
    """What the iterable of each job gives, as it comes, with the job's number; each job in its own process.

    A single job is done in this one. Ends with the last iterable, or at `deadline` (of time.monotonic), which
    a job that is done here has to keep itself. Whatever ends the iteration ends the processes. Raises what a
    job raises, and ChildProcessError if its process ends before its time.
    """
    if len(jobs) == 1:
        yield from ((0, result) for result in function(jobs[0]))
        return
    spawned = multiprocessing.get_context("spawn")
    number_of: dict[Connection, int] = {}
    processes = []
    try:
        for number, job in enumerate(jobs):
            here, there = spawned.Pipe(duplex=False)
            process = spawned.Process(target=_send, args=(function, job, there), daemon=True)
            with _deaf():
                process.start()
            there.close()
            processes.append(process)
            number_of[here] = number
        while number_of and (left := deadline - time.monotonic()) > 0:
            for pipe in wait(list(number_of), None if left == math.inf else left):
                assert isinstance(pipe, Connection)
                try:
                    more, result = pipe.recv()
                except EOFError:
                    raise ChildProcessError("a process ended before its time; was it killed?") from None
                if isinstance(result, BaseException):
                    raise result
                if more:
                    yield number_of[pipe], result
                else:
                    del number_of[pipe]
    finally:
        for process in processes:
            process.terminate()
        for process in processes:
            process.join()


def _send(function: Callable[[Job], Iterable[Result]], job: Job, to: Connection) -> None:
    """Pairs: whether there is more to come, and a result or what was raised."""
    _begin()
    try:
        for result in function(job):
            to.send((True, result))
        to.send((False, None))
    except BrokenPipeError:
        pass  # nobody wants to know any more
    except BaseException as error:
        error.add_note(traceback.format_exc())
        to.send((False, error))


@contextmanager
def _pool(workers: int, nice: int = 0) -> Iterator[ProcessPoolExecutor]:
    # Spawned, not forked: this process may hold threads.
    spawned = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(workers, spawned, _begin, (nice,)) as pool:
        try:
            yield pool
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            for child in multiprocessing.active_children():
                child.terminate()
            raise


@contextmanager
def _deaf() -> Iterator[None]:
    """Processes begun inside never hear of Ctrl-C: it is the parent's affair, even while they begin."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _begin(nice: int = 0) -> None:
    """Give way by so much, and end with the parent."""
    os.nice(nice)
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    assert parent is not None
    parent.join()
    os._exit(1)
