"""What is made once and takes minutes, in files in the user's cache folder: values by name, each as text."""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TypeVar

Value = TypeVar("Value")


def folder() -> Path:
    """Of codeit, in the user's cache."""
    home = os.environ.get("XDG_CACHE_HOME", "")
    return (Path(home) if os.path.isabs(home) else Path.home() / ".cache") / "codeit"


def read(file: Path, value: Callable[[str], Value]) -> dict[str, Value] | None:
    """What `write` wrote; None if there is no such file, or another."""
    try:
        data = json.loads(file.read_text(encoding="utf-8"))
        return {id: value(text) for id, text in data.items()}
    except (OSError, ValueError, AttributeError, TypeError):
        return None


def write(file: Path, values: Mapping[str, Value], text: Callable[[Value], str]) -> None:
    """Keep values for `read`; where that fails they will be made again, which costs time and nothing else."""
    data = json.dumps({id: text(value) for id, value in values.items()}, indent=0)
    unfinished = file.with_name(f"{file.name}.{os.getpid()}")
    with contextlib.suppress(OSError):
        file.parent.mkdir(parents=True, exist_ok=True)
        unfinished.write_text(data, encoding="utf-8")
        os.replace(unfinished, file)
