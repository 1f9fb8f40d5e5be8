"""Files written whole or not at all, and folders that one process holds alone."""

from __future__ import annotations

import fcntl
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import IO


class RunError(ValueError):
    """A folder in which the run cannot begin or go on; the message says why and what to do."""


def hold(folder: Path) -> IO[str]:
    """Make a folder, if need be, and lock it until the file given back is closed, or this process ends.

    Raises RunError if it cannot be written, or another process holds it.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        lock = open(folder / "lock", "w")  # noqa: SIM115 - held as long as the folder is open
    except OSError as error:
        raise RunError(f"{folder}: expected a folder that can be written: {error.strerror}") from None
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        lock.close()
        raise RunError(
            f"{folder}: another process runs in this folder; wait for its end, or stop it"
        ) from None
    return lock


def replace(path: Path, data: str | bytes) -> None:
    """Write a file whole or not at all."""
    partial = path.with_name(path.name + ".partial")
    partial.write_bytes(data.encode() if isinstance(data, str) else data)
    sync(partial)
    partial.replace(path)


def replace_folder(folder: Path, fill: Callable[[Path], object]) -> None:
    """Let `fill` write a folder's files; it has its name only when it is whole and on disk.

    A folder of that name is gone before.
    """
    partial = folder.with_name(folder.name + ".partial")
    for leftover in (partial, folder):
        shutil.rmtree(leftover, ignore_errors=True)
    partial.mkdir(parents=True)
    fill(partial)
    for entry in (*partial.rglob("*"), partial):
        sync(entry)
    partial.rename(folder)
    sync(folder.parent)


def sync(path: Path) -> None:
    """See a file or folder safely onto the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
