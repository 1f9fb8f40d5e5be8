"""Work in child processes, or on a cluster (see `codeit.cluster`).

A process may be killed at any moment, for example by the operating system when memory runs out. Its
job is then repeated in a new process, up to REPEATS times. Jobs must therefore be deterministic, and
have no effect besides their result.
"""

from __future__ import annotations

import logging
import math
import multiprocessing
import os
import pickle
import signal
import sys
import threading
import time
import traceback
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor
from concurrent.futures import wait as wait_for_futures
from contextlib import contextmanager
from functools import cached_property, partial
from itertools import islice
from multiprocessing import resource_tracker
from multiprocessing.connection import Connection, wait
from multiprocessing.context import SpawnProcess
from multiprocessing.reduction import ForkingPickler
from queue import Empty, SimpleQueue
from typing import Generic, NamedTuple, Protocol, Self, TypeVar

Job = TypeVar("Job")
Result = TypeVar("Result")
JobIn = TypeVar("JobIn", contravariant=True)
ResultOut = TypeVar("ResultOut", covariant=True)

REPEATS = 3
"""How many times a job is repeated after its process died."""
_SPAWN = multiprocessing.get_context("spawn")  # fork is unsafe, as this process may hold threads
_starting = threading.Lock()
_log = logging.getLogger(__name__)


class Pool(Protocol[JobIn, ResultOut]):
    """Processes that compute one function, for several calls; a context manager."""

    def map_unordered(
        self,
        jobs: Sequence[JobIn],
        *,
        deadline: float = math.inf,
        name: Callable[[int], str] = ...,
        lost: Callable[[int, WorkerError], None] | None = None,
    ) -> Iterator[tuple[int, ResultOut]]:
        """Yield (index of the job, result) as jobs finish, until `deadline` (of time.monotonic).

        Jobs start in order. With a `deadline`, a job is sent only when a process is free for it, so
        that a `Deadline` in the job has not aged in a queue. If `lost` is given, it is called with the
        index of a job and its WorkerError, which is then not raised. Close the pool if the iteration
        ends before the last job.
        """
        ...

    def map_ordered(self, jobs: Iterable[JobIn], name: Callable[[int], str] = ...) -> Iterator[ResultOut]:
        """Yield results in the order of the jobs, which may be endless.

        The pool works a bounded number of jobs ahead of what was consumed. Close it if the
        iteration ends before the last job.
        """
        ...

    def __enter__(self) -> Self: ...

    def __exit__(self, *_: object) -> None:
        """Stop. Unfinished jobs are dropped."""


class Cluster(Protocol):
    """Machines that compute jobs. Their files and clocks may differ from those here."""

    @property
    def cpus(self) -> int:
        """Number of CPUs at present, at least 1."""
        ...

    def pool(self, function: Callable[[Job], Result]) -> Pool[Job, Result]:
        """Return a pool that computes `function`. It is sent once, with its bound arguments."""
        ...


Workforce = int | Cluster
"""What computes jobs: a number of processes of this machine (0: one per core), or a cluster."""


class Deadline:
    """The time at which a job must end, by the clock of the process that computes it.

    Clocks of machines differ, so it is pickled as the number of seconds left. The time that sending
    it takes is not known and is added to them.
    """

    def __init__(self, seconds: float) -> None:
        """Set the deadline to `seconds` from now."""
        self.at = time.monotonic() + seconds
        """A value of time.monotonic."""

    def __reduce__(self) -> tuple[type[Deadline], tuple[float]]:
        return Deadline, (self.at - time.monotonic(),)


class WorkerError(ValueError):
    """A job whose process died at every attempt. The message names the job."""

    def __init__(self, name: str) -> None:
        super().__init__(
            f"a worker process died {1 + REPEATS} times on {name}; it may have run out of memory; "
            "use fewer workers, threads or populations"
        )


class DeadProcessError(Exception):
    """The process of a `ResultStream` died."""


def capacity(workforce: Workforce) -> int:
    """Return how many jobs a workforce computes at once."""
    return (workforce or os.cpu_count() or 1) if isinstance(workforce, int) else workforce.cpus


def job_name(index: int) -> str:
    return f"job {index + 1}"


def deliver(
    index: int, result: Callable[[], Result], lost: Callable[[int, WorkerError], None] | None
) -> Iterator[tuple[int, Result]]:
    """Yield the result of a job, or pass its WorkerError to `lost`: see `Pool.map_unordered`."""
    try:
        found = result()
    except WorkerError as error:
        if lost is None:
            raise
        lost(index, error)
    else:
        yield index, found


def map_unordered(
    function: Callable[[Job], Result],
    jobs: Sequence[Job],
    workforce: Workforce = 0,
    name: Callable[[int], str] = job_name,
) -> Iterator[tuple[int, Result]]:
    """Yield (index of the job, result) as jobs finish, computed by `workforce`.

    `workforce=1` computes in this process. Jobs start in order. The processes end when the
    iteration ends for any reason, or when this process ends.

    Raises whatever a job raises, and WorkerError, whose message names a job by `name(index)`.
    """
    if workforce == 1:
        yield from ((index, function(job)) for index, job in enumerate(jobs))
        return
    with start_pool(function, workforce, limit=len(jobs)) as pool:
        yield from pool.map_unordered(jobs, name=name)


def map_ordered(
    function: Callable[[Job], Result],
    jobs: Iterable[Job],
    workforce: Workforce = 0,
    nice: int = 0,
    name: Callable[[int], str] = job_name,
) -> Iterator[Result]:
    """Yield results in the order of the jobs, which may be endless. Otherwise like `map_unordered`.

    The workforce works a bounded number of jobs ahead of what was consumed. A `nice` above 0 lowers
    the priority of processes of this machine, for callers that compute at the same time.
    """
    if workforce == 1:
        yield from map(function, jobs)
        return
    with start_pool(function, workforce, nice) as pool:
        yield from pool.map_ordered(jobs, name)


def start_pool(
    function: Callable[[Job], Result], workforce: Workforce, nice: int = 0, limit: int | None = None
) -> Pool[Job, Result]:
    """Return a pool of `workforce` that computes `function`, with at most `limit` local processes."""
    if not isinstance(workforce, int):
        return workforce.pool(function)
    workers = capacity(workforce)
    return Workers(function, workers if limit is None else max(1, min(workers, limit)), nice)


class _Worker(NamedTuple):
    process: SpawnProcess
    pipe: Connection


class Workers(Generic[Job, Result]):
    """A `Pool` of processes of this machine.

    Each process has a thread in this process, which hands it one job at a time and starts another
    process when it dies. The other processes are not disturbed.
    """

    def __init__(self, function: Callable[[Job], Result], workers: int, nice: int = 0) -> None:
        """Allow up to `workers` processes. They start with the first jobs."""
        self._function, self._nice, self._left_to_start = function, nice, workers
        self._ahead = 2 * workers
        self._threads = ThreadPoolExecutor(workers)
        self._idle: SimpleQueue[_Worker | None] = SimpleQueue()  # None: a process to be started again
        self._alive: set[_Worker] = set()
        self._informed: set[_Worker] = set()  # have received the function
        self._lock, self._closed = threading.Lock(), False

    def map_unordered(
        self,
        jobs: Sequence[Job],
        *,
        deadline: float = math.inf,
        name: Callable[[int], str] = job_name,
        lost: Callable[[int, WorkerError], None] | None = None,
    ) -> Iterator[tuple[int, Result]]:
        index_of = {self.submit(job, name(index)): index for index, job in enumerate(jobs)}
        while index_of and (left := deadline - time.monotonic()) > 0:
            done, _ = wait_for_futures(index_of, None if left == math.inf else left, FIRST_COMPLETED)
            for index, future in sorted((index_of.pop(future), future) for future in done):
                yield from deliver(index, future.result, lost)

    def map_ordered(self, jobs: Iterable[Job], name: Callable[[int], str] = job_name) -> Iterator[Result]:
        numbered = enumerate(jobs)
        running = deque(self.submit(job, name(k)) for k, job in islice(numbered, self._ahead))
        while running:
            result = running.popleft().result()
            running.extend(self.submit(job, name(k)) for k, job in islice(numbered, 1))
            yield result

    def submit(self, job: Job, name: str) -> Future[Result]:
        """Compute a job as soon as a process is idle. `name` is for the message of a WorkerError."""
        if self._left_to_start:
            self._left_to_start -= 1
            self._idle.put(self._start())
        return self._threads.submit(self._do, job, name)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        with self._lock:
            self._closed = True
        self._threads.shutdown(wait=False, cancel_futures=True)
        try:
            while True:
                if worker := self._idle.get_nowait():
                    worker.pipe.close()  # the process then ends by itself
                    self._alive.discard(worker)
                    worker.process.join()
        except Empty:
            pass
        for worker in list(self._alive):
            worker.process.terminate()
        self._threads.shutdown()
        for worker in self._alive:
            worker.process.join()

    @cached_property
    def _pickled(self) -> memoryview:
        return ForkingPickler.dumps(self._function)

    def _start(self) -> _Worker:
        with self._lock:  # so that __exit__ knows every process
            if self._closed:
                raise RuntimeError("the workers are closed")
            here, there = _SPAWN.Pipe()
            process = _SPAWN.Process(target=_serve, args=(self._nice, there), daemon=True)
            worker = _Worker(process, here)
            with _starting_processes(self._function):
                process.start()
                self._alive.add(worker)
            there.close()
            return worker

    def _do(self, job: Job, name: str) -> Result:
        worker = self._idle.get()
        try:
            for _ in range(1 + REPEATS):
                worker = worker or self._start()
                try:
                    if worker not in self._informed:  # not in _start, which does not handle its death
                        worker.pipe.send_bytes(self._pickled)
                        self._informed.add(worker)
                    worker.pipe.send(job)
                    succeeded, value = worker.pipe.recv()
                except (EOFError, OSError):
                    self._alive.discard(worker)
                    self._informed.discard(worker)
                    worker.process.terminate()  # in case it only closed its pipe
                    worker.process.join()
                    worker = None
                    continue
                if not succeeded:
                    raise value
                result: Result = value
                return result
            raise WorkerError(name)
        finally:
            self._idle.put(worker)


def stream_results(
    function: Callable[[Job], Iterable[Result]],
    jobs: Sequence[Job],
    deadline: float = math.inf,
    name: Callable[[int], str] = job_name,
) -> Iterator[tuple[int, Result]]:
    """Yield (index of the job, item) for every item of `function`, each job in its own process.

    A single job runs in this process. The iteration ends with the last job, or at `deadline` (of
    `time.monotonic`), which a job in this process must observe itself. The processes end when the
    iteration ends for any reason.

    A job whose process dies starts again and yields its first items once more. After REPEATS
    repeats a warning is logged and the others continue. Raises whatever a job raises, and
    WorkerError if no job is left.
    """
    if len(jobs) == 1:
        yield from ((0, result) for result in function(jobs[0]))
        return
    running: dict[ResultStream[Result], int] = {}
    deaths = [0] * len(jobs)
    try:
        for index, job in enumerate(jobs):
            running[ResultStream(function, job)] = index
        while running and (left := deadline - time.monotonic()) > 0:
            ready = wait([stream.fileno() for stream in running], None if left == math.inf else left)
            for stream in [stream for stream in running if stream.fileno() in ready]:
                index = running[stream]
                try:
                    item = next(stream)
                except StopIteration:
                    del running[stream]
                    stream.end()
                except DeadProcessError:
                    del running[stream]
                    stream.end()  # in case it only closed its pipe
                    deaths[index] += 1
                    if deaths[index] <= REPEATS:
                        running[ResultStream(function, jobs[index])] = index
                        continue
                    error = WorkerError(name(index))
                    if all(n > REPEATS for n in deaths):
                        raise error from None
                    _log.warning("%s; the others continue", error)
                else:
                    yield index, item
    finally:
        for stream in running:
            stream.end()


class ResultStream(Iterator[Result]):
    """The items of `function` for one job, in its own process that can be ended at any moment.

    An event loop or `multiprocessing.connection.wait` can wait for its file descriptor. `next` waits
    for an item. It raises whatever the job raises, and DeadProcessError if the process dies. The job
    is not repeated then.
    """

    def __init__(self, function: Callable[[Job], Iterable[Result]], job: Job) -> None:
        self._pipe, sender = _SPAWN.Pipe(duplex=False)
        self._process = _SPAWN.Process(target=_send, args=(function, job, sender), daemon=True)
        try:
            with _starting_processes(function):
                self._process.start()
        except BaseException:  # such as an interrupt that was deferred until it had started
            if self._process.pid is not None:
                self.end()
            raise
        sender.close()

    def fileno(self) -> int:
        return self._pipe.fileno()

    def __next__(self) -> Result:
        try:
            more, result = self._pipe.recv()
        except (EOFError, OSError):
            raise DeadProcessError from None
        if isinstance(result, BaseException):
            raise result
        if not more:
            raise StopIteration
        item: Result = result
        return item

    def end(self) -> None:
        """End the process."""
        self._process.terminate()
        self._pipe.close()
        self._process.join()


def _serve(nice: int, pipe: Connection) -> None:
    """Receive a function, then jobs. Answer a job with (True, result) or (False, exception)."""
    _start_worker(nice)
    function: Callable[[object], object] | None = None
    while True:
        try:
            data = pipe.recv_bytes()
        except (EOFError, OSError):
            break  # the parent has closed the pipe
        reply: tuple[bool, object]
        try:
            if function is None:
                function = pickle.loads(data)
                continue
            reply = True, function(pickle.loads(data))
        except BaseException as error:
            error.add_note(traceback.format_exc())
            reply = False, error
        try:
            pipe.send(reply)
        except OSError:
            break
        except Exception as error:  # a result that cannot be pickled
            pipe.send((False, error))
    _exit()


def _send(function: Callable[[Job], Iterable[Result]], job: Job, to: Connection) -> None:
    """Send each item as (True, item), then (False, None), or (False, exception) if the job raises."""
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
    _exit()


def _exit() -> None:
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(0)  # skips the interpreter's shutdown, which would report the engine's objects as leaked


@contextmanager
def _starting_processes(function: Callable[..., object]) -> Iterator[None]:
    """Prepare for processes that start in the block.

    They ignore SIGINT from the start, because the parent handles Ctrl-C. They import the main module
    only if `function` is defined in it, so that a script without a main guard, a script read from
    standard input, or a notebook can use several processes. If `function` is from another module, its
    jobs and results must not be of classes defined in the main module.
    """
    main = sys.modules["__main__"]
    while isinstance(function, partial):
        function = function.func
    names = () if function.__module__ == "__main__" else ("__spec__", "__file__")
    resource_tracker.ensure_running()  # it unblocks SIGINT when it starts
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        # One thread at a time: a second one would take the None of the first for the value to restore.
        with _interrupts_deferred(), _starting:
            hidden = {name: vars(main)[name] for name in names if name in vars(main)}
            for name in hidden:
                setattr(main, name, None)
            try:
                yield
            finally:
                for name, value in hidden.items():
                    setattr(main, name, value)
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


@contextmanager
def _interrupts_deferred() -> Iterator[None]:
    """Defer SIGINT and SIGTERM to the end of the block.

    Blocking them does not suffice: another thread may receive them, and the handler then raises in
    this thread, between the start of a process and the sending of its instructions. A process without
    instructions ends in a traceback.
    """
    if threading.current_thread() is not threading.main_thread():  # handlers run in the main thread
        yield
        return
    received: list[int] = []
    handlers = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    for number, handler in handlers.items():
        if callable(handler):
            signal.signal(number, lambda number, _: received.append(number))
    try:
        yield
    finally:
        for number, handler in handlers.items():
            if callable(handler):
                signal.signal(number, handler)
        for deferred in received:
            signal.raise_signal(deferred)


def _start_worker(nice: int = 0) -> None:
    """Lower the priority of this process, and end it when the parent ends."""
    os.nice(nice)
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    assert parent is not None
    parent.join()
    os._exit(1)
