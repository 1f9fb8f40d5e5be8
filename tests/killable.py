"""Jobs for worker processes that are killed.

This module imports little, as every process that starts imports it.
"""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple


class Work(NamedTuple):
    """A number to square, in a process that is killed as long as there are files in `kills`."""

    n: int
    kills: Path
    """A directory. Each attempt consumes one of its files."""
    done: Path
    """A directory that gets a file for each attempt."""


def die_if_told(kills: Path) -> None:
    for file in kills.glob("*"):
        file.unlink()
        os.kill(os.getpid(), signal.SIGKILL)


def square(work: Work) -> int:
    (work.done / f"{work.n}-{os.getpid()}-{time.monotonic_ns()}").touch()
    die_if_told(work.kills)
    time.sleep(0.05)
    return work.n**2


def count_to(work: Work) -> Iterator[int]:
    for k in range(work.n):
        if k == 2:
            die_if_told(work.kills)
        yield k


def blocked(_: int) -> list[bool]:
    return [signal.SIGINT in signal.pthread_sigmask(signal.SIG_BLOCK, set())]
