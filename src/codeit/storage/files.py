"""Files that are written whole or not at all, and directories that one process locks."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Collection
from pathlib import Path

from filelock import FileLock, Timeout


class RunError(ValueError):
    """A command that cannot start or continue. The message says why and what to do."""


def lock_directory(directory: Path) -> FileLock:
    """Create `directory` if needed and lock it for this process.

    The lock is held until `release`, or until the process ends, however it ends. Raises RunError if
    the directory is not writable or another process holds the lock.
    """
    lock = FileLock(directory / "lock", thread_local=False)
    try:
        directory.mkdir(parents=True, exist_ok=True)
        lock.acquire(blocking=False)
    except Timeout:
        raise RunError(
            f"{directory}: another process is using this directory; wait until it ends, or stop it"
        ) from None
    except OSError as error:
        raise RunError(f"{directory}: expected a writable directory: {error.strerror}") from None
    return lock


def refuse_foreign(directory: Path, kind: str, expected: Collection[str]) -> None:
    """Raise RunError if a directory holds entries other than those a new run or search may have."""
    names = (entry.name for entry in directory.iterdir())
    if foreign := sorted(name for name in names if name not in expected):
        raise RunError(
            f"{directory}: expected a new directory or a {kind}'s, found {foreign[0]}; choose another --out"
        )


def write_atomically(path: Path, data: str | bytes) -> None:
    """Replace the contents of a file. After a crash it holds either the old contents or the new."""
    partial = path.with_name(path.name + ".partial")
    partial.write_bytes(data.encode() if isinstance(data, str) else data)
    fsync(partial)
    partial.replace(path)


def write_directory(directory: Path, fill: Callable[[Path], object]) -> None:
    """Let `fill` write a directory, which gets its name once it is complete and on disk.

    An existing directory of that name is deleted first.
    """
    partial = directory.with_name(directory.name + ".partial")
    for leftover in (partial, directory):
        shutil.rmtree(leftover, ignore_errors=True)
    partial.mkdir(parents=True)
    fill(partial)
    for entry in (*partial.rglob("*"), partial):
        fsync(entry)
    partial.rename(directory)
    fsync(directory.parent)


def fsync(path: Path) -> None:
    """Flush a file or directory to disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
