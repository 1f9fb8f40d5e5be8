"""Limits of what a page may ask for."""

from __future__ import annotations

import contextlib
import resource
import signal
from collections.abc import Iterator

from codeit.data.tasks import Task

MAX_UPLOAD_BYTES = 10_000_000
"""Size of an uploaded file. The 1,000 training tasks of ARC-AGI-2 take 4 MB."""
MAX_REQUEST_BYTES = 2_000_000
"""Size of every other request. A task of 20 pairs of the largest grids takes 0.1 MB."""
MAX_TASKS = 2_000
"""Tasks of an uploaded file."""
MAX_PAIRS = 30
"""Demonstrations and tests of a task, together."""
MAX_PROGRAMS = 20
"""Programs in a request."""
MAX_NAME = 100
"""Characters of a task's name."""
MAX_SECONDS = 3600.0
"""Budget of a search."""
ANSWER_SECONDS = 5
"""Time limit of every request except a search. A trace of 900 lines with large values exceeds it."""
ANSWER_BYTES = 1 << 30
"""Memory of a process that answers requests."""
SEARCH_BYTES = 4 << 30
"""Memory of a search. A search without the policy took 0.8 GB, of which 0.4 GB were resident."""


class RequestError(ValueError):
    """A request that cannot be answered. The message says what was expected."""


def check_task(task: Task) -> Task:
    """Return the task. Raises RequestError if it has more pairs than MAX_PAIRS."""
    pairs = len(task.train) + len(task.test)
    if pairs > MAX_PAIRS:
        raise RequestError(
            f"expected at most {MAX_PAIRS} demonstrations and tests, found {pairs}; remove some"
        )
    return task


def limit_memory(size: int) -> None:
    """Limit the data of this process to `size` bytes. Allocations beyond that fail."""
    hard = resource.getrlimit(resource.RLIMIT_DATA)[1]
    soft = size if hard == resource.RLIM_INFINITY else min(size, hard)
    with contextlib.suppress(ValueError, OSError):  # not on every system
        resource.setrlimit(resource.RLIMIT_DATA, (soft, hard))


@contextlib.contextmanager
def time_limit(seconds: int) -> Iterator[None]:
    """Raise RequestError in the block after `seconds`. Works only in the main thread of a process."""

    def stop(*_: object) -> None:
        raise RequestError(f"this takes more than {seconds} s; try a shorter program or smaller grids")

    before = signal.signal(signal.SIGALRM, stop)
    signal.alarm(seconds)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)
