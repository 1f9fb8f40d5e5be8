"""Work on a cluster, by Ray (https://docs.ray.io).

A pool submits its jobs as Ray tasks, a few ahead for each CPU of the cluster, so that a slow node
delays only its own jobs and a node that joins gets some. Ray repeats the jobs of a worker or a node
that died.

The function of a pool, with its bound arguments, is put into the object store once. Ray copies it
once to each node, and each worker process keeps it as long as it gets jobs of the same pool.
"""

from __future__ import annotations

import importlib.metadata
import logging
import math
import os
import pickle
import re
import secrets
import signal
import socket
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future
from contextlib import contextmanager
from functools import partial
from itertools import islice
from queue import Empty, SimpleQueue
from types import ModuleType
from typing import TYPE_CHECKING, Any, Generic, Self

import numpy as np
from numpy.typing import NDArray

from codeit.parallel import REPEATS, Job, Result, WorkerError, deliver, job_name

if TYPE_CHECKING:
    from ray import ObjectRef

    Reference = ObjectRef[Any]

_VERSION = importlib.metadata.version("codeit")
_AHEAD = 2
"""Jobs per CPU that are submitted and unfinished: one runs, the next is ready when it ends."""
_UNCONSUMED = 8
"""Jobs per CPU that are submitted and not yet consumed in order. A long job holds up few others."""
_SECONDS_PER_COUNT = 1.0
"""Seconds between two counts of the CPUs of the cluster."""
_CONNECT_SECONDS = 10.0
_PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + bytes([0, 0, 0, 4, 0, 0, 0, 0, 0])
"""The first bytes of an HTTP/2 client, and so of gRPC. The server answers with a frame of type 4."""
_PATIENCE_SECONDS = 15.0
"""How long the head may be silent. After a minute Ray would end this process without our error."""
_LOOPBACK = "127.0.0.1"
_STORE_BYTES = 512 * 2**20
"""Capacity of the object store of a local cluster."""
_log = logging.getLogger(__name__)


class ClusterError(ValueError):
    """A cluster that cannot be used. The message says what was expected, what was found, and a fix."""


@contextmanager
def connect(address: str, cpus: int = 0) -> Iterator[RayCluster]:
    """Connect this process to a cluster, as long as the context lasts.

    `address` is HOST:PORT of a cluster that this machine is a node of; "local" for a cluster that
    starts here with `cpus` worker processes (0: one per core) and ends with the context; or "auto"
    for the address in RAY_ADDRESS, else the cluster that runs on this machine, else a local one.

    A local cluster listens on the loopback interface only, demands a random token, and has no
    dashboard. Ray's usage statistics are turned off. Raises ClusterError.
    """
    if address == "auto":
        address = os.environ.get("RAY_ADDRESS", "auto")
    if address not in ("auto", "local"):
        _refuse_foreign(address)
    handler = signal.getsignal(signal.SIGTERM)
    with _environment_kept():
        os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
        try:
            import ray
            from ray._private import worker
        except ModuleNotFoundError:
            message = "--cluster needs ray, which is not installed: pip install 'codeit[ray]'"
            raise ClusterError(message) from None
        logging.getLogger("ray").setLevel(logging.ERROR)
        # Ray prints the deaths of workers to stdout, which is for results.
        with _replaced(worker, "print_to_stdstream", lambda data, ignore_prefix: _log.debug("%s", data)):
            try:
                if address == "local" or not _join(address):
                    _start(cpus)
                if threading.current_thread() is threading.main_thread():
                    signal.signal(signal.SIGTERM, handler)  # Ray has replaced it by one that ends the process
                yield RayCluster()
            finally:
                ray.shutdown()


def _refuse_foreign(address: str) -> None:
    """Raise ClusterError unless a gRPC server listens at HOST:PORT. Ray would try for minutes."""
    match = re.fullmatch(r"([^\s:/]+|\[[0-9a-fA-F:.]+\]):([0-9]{1,5})", address)
    if not match or not 0 < int(match[2]) < 2**16:
        raise ClusterError(
            f"--cluster: expected auto, local or HOST:PORT, found {address!r}; `ray start` prints the address"
        )
    try:
        with socket.create_connection((match[1].strip("[]"), int(match[2])), _CONNECT_SECONDS) as server:
            server.sendall(_PREFACE)
            answer = server.recv(9, socket.MSG_WAITALL)
        found = "a server of another kind"
    except (OSError, UnicodeError) as error:
        answer, found = b"", f"nothing that answers ({error})"
    encrypted = os.environ.get("RAY_USE_TLS", "0").lower() in ("1", "true")
    if answer[3:4] != b"\4" and not encrypted:
        raise ClusterError(
            f"--cluster {address}: expected a Ray cluster, found {found}; start it with `ray start --head`, "
            "or use --cluster local"
        )


def _join(address: str) -> bool:
    """Join the cluster at an address, or the one that runs here; return False if there is none."""
    import ray

    try:
        ray.init(address=address, log_to_driver=False, logging_level=logging.ERROR)
    except (ConnectionError, RuntimeError, ValueError, ray.exceptions.RayError) as error:
        if address == "auto" and isinstance(error, ConnectionError):
            return False
        raise ClusterError(
            f"--cluster {address}: expected a Ray cluster that this machine is a node of, found: "
            f"{_in_a_line(error)}"
        ) from error
    return True


def _start(cpus: int) -> None:
    """Start a cluster that nothing outside this machine can reach, and join it."""
    import ray
    from ray._private import services

    # Other users of this machine can reach its loopback interface, so Ray must demand a token. Without
    # one in the environment, Ray would write one into the home directory.
    if "RAY_AUTH_TOKEN_PATH" not in os.environ:
        os.environ.setdefault("RAY_AUTH_TOKEN", secrets.token_hex(32))
    try:
        # Ray would replace a loopback address by that of a network interface, and listen on all.
        with _replaced(services, "resolve_ip_for_localhost", lambda host: host):
            ray.init(
                address="local",
                num_cpus=cpus or None,
                object_store_memory=_STORE_BYTES,
                include_dashboard=False,
                log_to_driver=False,
                logging_level=logging.ERROR,
                _node_ip_address=_LOOPBACK,
            )
    except (ConnectionError, RuntimeError, ValueError, ray.exceptions.RayError) as error:
        raise ClusterError(f"--cluster: expected that Ray starts here, found: {_in_a_line(error)}") from error
    if (found := ray.get_runtime_context().worker.node_ip_address) != _LOOPBACK:
        raise ClusterError(f"--cluster: expected a local cluster on {_LOOPBACK}, found it on {found}")


def _in_a_line(error: Exception) -> str:
    return " ".join(str(error).split())[:500]


@contextmanager
def _replaced(module: ModuleType, name: str, value: object) -> Iterator[None]:
    """Replace a function of Ray in the block. The version of Ray is pinned for this reason."""
    before = getattr(module, name)
    setattr(module, name, value)
    try:
        yield
    finally:
        setattr(module, name, before)


@contextmanager
def _environment_kept() -> Iterator[None]:
    """Remove the environment variables that are set in the block."""
    before = set(os.environ)
    try:
        yield
    finally:
        for name in os.environ.keys() - before:
            del os.environ[name]


class RayCluster:
    """The cluster that this process is connected to. A `parallel.Cluster`."""

    def __init__(self) -> None:
        import ray

        self._compute = ray.remote(num_cpus=1, max_retries=REPEATS)(_compute)
        self._counted, self._cpus = -math.inf, 1
        host, _, port = ray.get_runtime_context().gcs_address.rpartition(":")
        self._head = host.strip("[]"), int(port)
        self._silent_since = math.inf

    @property
    def cpus(self) -> int:
        """Number of CPUs of all present nodes, at least 1.

        Raises ClusterError if the head has been silent for too long.
        """
        import ray

        if (now := time.monotonic()) >= self._counted + _SECONDS_PER_COUNT:
            self._counted = now
            if self._head_answers(now):
                resources: dict[str, float] = ray.cluster_resources()  # type: ignore[no-untyped-call]
                self._cpus = max(1, int(resources.get("CPU", 0)))
        return self._cpus

    def _head_answers(self, now: float) -> bool:
        """Return whether the head answers. Raises ClusterError if it has been silent for too long."""
        try:
            socket.create_connection(self._head, timeout=1).close()
        except OSError as error:
            self._silent_since = min(now, self._silent_since)
            if now < self._silent_since + _PATIENCE_SECONDS:
                return False
            raise ClusterError(
                f"the head of the cluster at {self._head[0]}:{self._head[1]} has not answered for "
                f"{_PATIENCE_SECONDS:.0f} s ({error}); finished work is kept, and the same command continues "
                "on a new cluster"
            ) from None
        self._silent_since = math.inf
        return True

    def pool(self, function: Callable[[Job], Result]) -> RayPool[Job, Result]:
        return RayPool(self, function)

    def submit(self, function: Reference, job: object) -> Reference:
        """Compute a pickled function of a job."""
        reference: Reference = self._compute.remote(_VERSION, function.hex(), function, job)
        return reference


class RayPool(Generic[Job, Result]):
    """A `parallel.Pool` on a cluster."""

    def __init__(self, cluster: RayCluster, function: Callable[[Job], Result]) -> None:
        import ray
        from ray import cloudpickle

        self._cluster = cluster
        pickled: bytes = cloudpickle.dumps(function)  # type: ignore[no-untyped-call]
        # An array arrives as a view of the node's shared memory.
        self._function: Reference = ray.put(np.frombuffer(pickled, np.uint8))
        self._running: dict[int, Reference] = {}
        self._finished: SimpleQueue[tuple[int, Future[Any]]] = SimpleQueue()

    def map_unordered(
        self,
        jobs: Sequence[Job],
        *,
        deadline: float = math.inf,
        name: Callable[[int], str] = job_name,
        lost: Callable[[int, WorkerError], None] | None = None,
    ) -> Iterator[tuple[int, Result]]:
        left = enumerate(jobs)
        ahead = _AHEAD if deadline == math.inf else 1  # the deadline in a waiting job would age
        while True:
            self._fill(left, ahead=ahead)
            if not self._running or time.monotonic() >= deadline:
                return
            for index, future in self._take(deadline):
                yield from deliver(index, partial(self._result, future, name(index)), lost)

    def map_ordered(self, jobs: Iterable[Job], name: Callable[[int], str] = job_name) -> Iterator[Result]:
        left = enumerate(jobs)
        done: dict[int, Future[Any]] = {}
        index = 0
        self._fill(left)
        while done or self._running:
            while index not in done:
                done.update(self._take())
                self._fill(left, len(done))
            yield self._result(done.pop(index), name(index))
            index += 1
            self._fill(left, len(done))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        import ray

        for reference in self._running.values():
            ray.cancel(reference, force=True)
        self._running.clear()

    def _fill(self, jobs: Iterator[tuple[int, Job]], finished: int = 0, ahead: int = _AHEAD) -> None:
        """Submit jobs until enough are unfinished. `finished` others are done and not yet consumed."""
        cpus = self._cluster.cpus
        room = min(ahead * cpus, _UNCONSUMED * cpus - finished) - len(self._running)
        for index, job in islice(jobs, max(0, room)):
            self._running[index] = reference = self._cluster.submit(self._function, job)
            reference.future().add_done_callback(partial(self._finish, index))

    def _finish(self, index: int, future: Future[Any]) -> None:
        self._finished.put((index, future))

    def _take(self, deadline: float = math.inf) -> list[tuple[int, Future[Any]]]:
        """Return the next finished job, or none if it is time to count the CPUs again."""
        left = max(0.0, deadline - time.monotonic())
        try:
            index, future = self._finished.get(timeout=min(left, _SECONDS_PER_COUNT))
        except Empty:
            return []
        del self._running[index]
        return [(index, future)]

    def _result(self, future: Future[Any], name: str) -> Result:
        from ray.exceptions import RayError, RayTaskError

        try:
            succeeded, value = future.result()
        except RayTaskError as error:  # not raised by the job, whose exceptions arrive as results
            reason = (str(error).splitlines() or [""])[-1]
            raise ClusterError(
                f"a node of the cluster cannot work: {reason:.300}; install codeit {_VERSION} there"
            ) from error
        except RayError as error:
            raise WorkerError(name) from error
        if not succeeded:
            raise value
        result: Result = value
        return result


_current: tuple[str, Callable[[Any], Any]] | None = None


def _compute(version: str, key: str, function: NDArray[np.uint8], job: Any) -> tuple[bool, object]:
    """Return whether a job succeeded, and its result or the exception. Runs on a node."""
    global _current
    try:
        if version != _VERSION:
            raise ClusterError(
                f"node {socket.gethostname()}: expected codeit {version}, as here, found {_VERSION}"
            )
        if _current is None or _current[0] != key:
            try:
                _current = key, pickle.loads(function.data)
            except ImportError as error:
                raise ClusterError(
                    f"node {socket.gethostname()}: expected the packages that codeit uses here, found: "
                    f"{error}; install codeit there as here, such as codeit[learn,ray]"
                ) from None
        return True, _current[1](job)
    except Exception as error:
        return False, error
