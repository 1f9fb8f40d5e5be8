"""Files that are written whole or not at all, and directories that one process locks."""

from __future__ import annotations

import errno
import os
import re
import shutil
import stat
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from filelock import FileLock, Timeout


class RunError(ValueError):
    """A command that cannot start or continue. The message says why and what to do."""


MAKE_ROOM = "make room, then run the same command again"
"""What to do about a full disk."""
_NO_ROOM = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO}
_READ_ONLY = {errno.EROFS, errno.EACCES, errno.EPERM}


def lock_directory(directory: Path) -> FileLock:
    """Create `directory` if needed and lock it for this process.

    Call `refuse_foreign` first, because this writes a file named lock into the directory.
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
    """Raise RunError if a directory holds entries other than those a new run or search may have.

    A file named lock is expected, too, if it is empty. Nothing is created or opened for writing.
    """
    entries = list(directory.iterdir()) if directory.is_dir() else []
    if foreign := sorted(entry.name for entry in entries if not (_is_lock(entry) or entry.name in expected)):
        raise RunError(
            f"{directory}: expected a new directory or a {kind}'s, found {foreign[0]}; choose another --out"
        )


def _is_lock(entry: Path) -> bool:
    found = entry.lstat()
    return entry.name == "lock" and stat.S_ISREG(found.st_mode) and found.st_size == 0


@contextmanager
def explain_full_disk(path: Path) -> Iterator[None]:
    """Turn an error that says that the disk is full, fails or is read-only into a RunError.

    It names `path`. Libraries may report the error in words of their own.
    """
    try:
        yield
    except Exception as error:
        cause = _system_error(error)
        if cause is not None and cause.errno in _NO_ROOM:
            raise RunError(f"{path}: expected room to write, found: {cause.strerror}; {MAKE_ROOM}") from None
        if cause is not None and cause.errno in _READ_ONLY:
            raise RunError(f"{path}: expected a writable place, found: {cause.strerror}") from None
        raise


def _system_error(error: Exception) -> OSError | None:
    """Return the error of the operating system that an exception reports, or None."""
    if isinstance(error, OSError):  # NumPy sets no number: "8 requested and 0 written"
        return error if error.errno else OSError(errno.EIO, str(error))
    if found := re.search(r"\(os error (\d+)\)", str(error)):  # safetensors and tokenizers, in Rust
        return OSError(int(found[1]), os.strerror(int(found[1])))
    return None


def write_atomically(path: Path, data: str | bytes) -> None:
    """Replace the contents of a file. After a crash it holds either the old contents or the new.

    The target of a link is replaced, not the link. A device, a pipe, and the file that stdout or
    stderr leads to are written to. Raises RunError if the disk is full. An error leaves no other
    file behind.
    """
    contents = data.encode() if isinstance(data, str) else data
    with explain_full_disk(path):
        if (stream := _stream(path)) is not None:
            with open(stream, "wb", closefd=not isinstance(stream, int)) as file:
                file.write(contents)
            return
        target = Path(os.path.realpath(path))
        partial = target.with_name(target.name + ".partial")
        file = open(partial, "wb")  # noqa: SIM115 (closed below, where an error removes the file)
        try:
            with file:
                file.write(contents)
                file.flush()
                os.fsync(file.fileno())
            partial.replace(target)
        except BaseException:
            partial.unlink(missing_ok=True)
            raise


def why_not_writable(path: Path) -> str:
    """Return why `write_atomically` cannot write a file, or "" if it can."""
    if path.is_dir():
        return "expected a file, found a directory"
    if path.exists() and not path.is_file():
        return "" if os.access(path, os.W_OK) else "expected a writable file"
    directory = Path(os.path.realpath(path)).parent if path.is_symlink() else path.parent
    if not directory.is_dir():
        found = "a file" if directory.exists() else "nothing; create it"
        return f"expected a directory at {directory}, found {found}"
    return "" if os.access(directory, os.W_OK) else f"expected a writable directory at {directory}"


def is_stream(path: Path) -> bool:
    """Return whether a path is a device, a pipe, or the file that stdout or stderr leads to."""
    return _stream(path) is not None


def _stream(path: Path) -> Path | int | None:
    """Return what to open to write to a file that must not be replaced, or None for others."""
    try:
        found = path.stat()
    except FileNotFoundError:
        return None
    for descriptor in (1, 2):  # opening /dev/stdout would truncate the file that stdout leads to
        with suppress(OSError):
            if os.path.samestat(found, os.fstat(descriptor)):
                return descriptor
    return None if stat.S_ISREG(found.st_mode) else path


def write_directory(directory: Path, fill: Callable[[Path], object]) -> None:
    """Let `fill` write a directory, which gets its name once it is complete and on disk.

    An existing directory of that name is deleted first. Raises RunError if the disk is full. An
    error leaves no half-written directory behind.
    """
    partial = directory.with_name(directory.name + ".partial")
    with explain_full_disk(directory):
        for leftover in (partial, directory):
            shutil.rmtree(leftover, ignore_errors=True)
        partial.mkdir(parents=True)
        try:
            fill(partial)
            for entry in (*sorted(partial.rglob("*")), partial):
                fsync(entry)
            partial.rename(directory)
        finally:
            shutil.rmtree(partial, ignore_errors=True)
        fsync(directory.parent)


def delete_directory(directory: Path) -> None:
    """Delete a directory and all in it. Raises RunError if the disk does not allow it."""
    with explain_full_disk(directory):
        shutil.rmtree(directory)


def fsync(path: Path) -> None:
    """Flush a file or directory to disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
