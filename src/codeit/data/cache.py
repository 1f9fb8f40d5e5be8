"""Files in the user's cache: downloads, and results that take minutes to make."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

from platformdirs import user_cache_path

SET_HOME = "set XDG_CACHE_HOME to a writable directory"
"""The advice for a user without a cache."""


def cache_directory() -> Path | None:
    """Return the directory, which may not exist yet, or None if the user has no home directory."""
    try:
        directory = user_cache_path("codeit")
    except RuntimeError:
        return None
    return directory if directory.is_absolute() else None  # "~/.cache" of a user without a home


def replace_file(file: Path, content: bytes) -> None:
    """Write a file and the directories above it. Readers see the old contents or the new.

    Raises OSError and leaves the old file as it was.
    """
    partial = file.with_name(f"{file.name}.{os.getpid()}")
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        partial.write_bytes(content)
        os.replace(partial, file)
    except OSError:
        with contextlib.suppress(OSError):
            partial.unlink(missing_ok=True)
        raise
