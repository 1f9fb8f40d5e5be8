"""Work in child processes."""

from __future__ import annotations

import math
import multiprocessing
import os
import signal
import sys
import threading
import time
import traceback
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor, as_completed
from contextlib import contextmanager
from functools import partial
from itertools import islice
from multiprocessing.connection import Connection, wait
from typing import TypeVar

Job = TypeVar("Job")
Result = TypeVar("Result")


def map_unordered(
    function: Callable[[Job], Result], jobs: Sequence[Job], workers: int = 0
) -> Iterator[tuple[int, Result]]:
    """Yield (index of the job, result) as jobs finish, computed by `workers` processes.

    `workers=0` uses every core; `workers=1` computes in this process. Jobs start in order. The
    processes end when the iteration ends for whatever reason, or when this process does.
    """
    workers = workers or os.cpu_count() or 1
    if workers == 1:
        yield from ((index, function(job)) for index, job in enumerate(jobs))
        return
    with _pool(min(workers, len(jobs)) or 1) as pool:
        index_of = {_submit(pool, function, job): index for index, job in enumerate(jobs)}
        for done in as_completed(index_of):
            yield index_of[done], done.result()


def map_ordered(
    function: Callable[[Job], Result], jobs: Iterable[Job], workers: int = 0, nice: int = 0
) -> Iterator[Result]:
    """Yield results in the order of the jobs, which may be endless. Otherwise as `map_unordered`.

    Each process works at most two jobs ahead of what was consumed. A `nice` above 0 lowers the
    priority of the processes, for callers that compute at the same time.
    """
    workers = workers or os.cpu_count() or 1
    if workers == 1:
        yield from map(function, jobs)
        return
    jobs = iter(jobs)
    with _pool(workers, nice) as pool:
        running = deque(_submit(pool, function, job) for job in islice(jobs, 2 * workers))
        while running:
            result = running.popleft().result()
            running.extend(_submit(pool, function, job) for job in islice(jobs, 1))
            yield result


def stream_results(
    function: Callable[[Job], Iterable[Result]], jobs: Sequence[Job], deadline: float = math.inf
) -> Iterator[tuple[int, Result]]:
    """Yield (index of the job, item) for every item of `function`, each job in its own process.

    A single job runs in this process. The iteration ends with the last job, or at `deadline` (of
    `time.monotonic`), which a job in this process has to keep itself. The processes end when the
    iteration ends for whatever reason.

    Raises whatever a job raises, and ChildProcessError if a process dies.
    """
    if len(jobs) == 1:
        yield from ((0, result) for result in function(jobs[0]))
        return
    spawn = multiprocessing.get_context("spawn")
    index_of: dict[Connection, int] = {}
    processes = []
    try:
        for index, job in enumerate(jobs):
            receiver, sender = spawn.Pipe(duplex=False)
            process = spawn.Process(target=_send, args=(function, job, sender), daemon=True)
            with _starting_processes(function):
                process.start()
            sender.close()
            processes.append(process)
            index_of[receiver] = index
        while index_of and (left := deadline - time.monotonic()) > 0:
            for pipe in wait(list(index_of), None if left == math.inf else left):
                assert isinstance(pipe, Connection)
                try:
                    more, result = pipe.recv()
                except EOFError:
                    raise ChildProcessError("a worker process died; was it killed?") from None
                if isinstance(result, BaseException):
                    raise result
                if more:
                    yield index_of[pipe], result
                else:
                    del index_of[pipe]
    finally:
        for process in processes:
            process.terminate()
        for process in processes:
            process.join()


def _send(function: Callable[[Job], Iterable[Result]], job: Job, to: Connection) -> None:
    """Send pairs: whether more follows, and an item or the exception raised."""
    _start_worker()
    try:
        for result in function(job):
            to.send((True, result))
        to.send((False, None))
    except BrokenPipeError:
        pass  # the parent has stopped listening
    except BaseException as error:
        error.add_note(traceback.format_exc())
        to.send((False, error))
    os._exit(0)  # not by the interpreter's shutdown, where the engine's objects would be reported as leaked


@contextmanager
def _pool(workers: int, nice: int = 0) -> Iterator[ProcessPoolExecutor]:
    spawn = multiprocessing.get_context("spawn")  # fork is unsafe, as this process may hold threads
    with ProcessPoolExecutor(workers, spawn, _start_worker, (nice,)) as pool:
        try:
            yield pool
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            for child in multiprocessing.active_children():
                child.terminate()
            raise


def _submit(pool: ProcessPoolExecutor, function: Callable[[Job], Result], job: Job) -> Future[Result]:
    # The pool starts a process at any call until it has all, if no process is idle.
    with _starting_processes(function):
        return pool.submit(function, job)


@contextmanager
def _starting_processes(function: Callable[..., object]) -> Iterator[None]:
    """Prepare for processes that start inside.

    They ignore SIGINT from their first moment: the parent handles Ctrl-C. They do not import the
    main module, unless `function` is defined in it, so that a plain script, one read from standard
    input, or a notebook can use several processes. Jobs and results of a function from elsewhere
    must not be of classes defined in the main module.
    """
    main = sys.modules["__main__"]
    while isinstance(function, partial):
        function = function.func
    names = () if function.__module__ == "__main__" else ("__spec__", "__file__")
    hidden = {name: vars(main)[name] for name in names if name in vars(main)}
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    for name in hidden:
        setattr(main, name, None)
    try:
        yield
    finally:
        for name, value in hidden.items():
            setattr(main, name, value)
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _start_worker(nice: int = 0) -> None:
    """Lower the priority of this process, and end it when the parent ends."""
    os.nice(nice)
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    assert parent is not None
    parent.join()
    os._exit(1)
