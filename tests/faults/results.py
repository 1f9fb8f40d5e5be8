"""The results of a command, without what differs between two calls: seconds and random names."""

from __future__ import annotations

import ast
import csv
import hashlib
import io
import json
import re
import shutil
import sqlite3
import struct
import tomllib
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from codeit.storage.checksums import verify_checksums

Result = dict[str, Any]
"""Contents by path; None for a directory."""
SQLITE_SUFFIXES = ("-journal", "-wal", "-shm")
_EVENTS = re.compile(r"events\.out\.tfevents\..*")


def read_result(directory: Path) -> Result:
    """Return everything in a directory in a form in which equal results are equal.

    The files in which SQLite keeps what is not yet in a database count as part of it.
    """
    found = [path for path in directory.rglob("*") if not path.name.endswith(SQLITE_SUFFIXES)]
    return dict(sorted((_name(path, directory), _comparable(path)) for path in found))


def _name(path: Path, directory: Path) -> str:
    return str(path.relative_to(directory).with_name(_EVENTS.sub("events", path.name)))


def _comparable(path: Path) -> Any:
    if path.is_dir():
        return None
    if path.suffix == ".sqlite":
        return read_rows(path)
    if path.name in ("metrics.csv", "progress.csv"):
        rows = csv.DictReader(io.StringIO(path.read_text()))
        return [{name: value for name, value in row.items() if "seconds" not in name} for row in rows]
    if _EVENTS.fullmatch(path.name):
        return sorted(_scalars(path), key=repr)
    if path.name in ("state.json", "settings.json"):
        return _without_seconds(json.loads(path.read_text()))
    if path.name == "checksums.json":
        return {name: digest for name, digest in json.loads(path.read_text()).items() if name != "state.json"}
    return digest(path.read_bytes())


def digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def _without_seconds(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _without_seconds(one) for key, one in value.items() if "seconds" not in key}
    return [_without_seconds(one) for one in value] if isinstance(value, list) else value


def read_rows(database: Path) -> dict[str, list[Any]]:
    """Return all rows of a database except seconds."""
    connection = sqlite3.connect(database)
    found = {}
    for (table,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'").fetchall():
        columns = [row[1] for row in connection.execute(f"PRAGMA table_info({table})")]
        kept = ", ".join(column for column in columns if "seconds" not in column)
        where = "WHERE name NOT LIKE '%seconds%'" if table in ("metric", "setting") else ""
        found[table] = sorted(connection.execute(f"SELECT {kept} FROM {table} {where}"), key=repr)
    connection.close()
    return found


def _scalars(path: Path) -> Iterator[tuple[str, int, float]]:
    """Yield the scalars of TensorBoard events: tag, step, value."""
    from tensorboard.compat.proto.event_pb2 import Event

    data, place = path.read_bytes(), 0
    while place < len(data):  # a record is a length, its checksum, an event, its checksum
        (length,) = struct.unpack_from("<Q", data, place)
        event = Event.FromString(data[place + 12 : place + 12 + length])
        place += 16 + length
        for value in event.summary.value:
            if not value.tag.startswith("seconds"):
                number = value.simple_value or (value.tensor.float_val or [0.0])[0]
                yield value.tag, event.step, number


def unfinished_files(directory: Path) -> list[str]:
    """Return the files that are not whole, of those that must be at any moment."""
    problems = []
    for path in sorted(directory.rglob("*")):
        relative = path.relative_to(directory)
        grows = path.name == "mutants.jsonl" or path.name.endswith(SQLITE_SUFFIXES)
        grows |= "tensorboard" in relative.parts or ".partial" in str(relative)
        if path.is_file() and not grows:
            try:
                _check_whole(path)
            except (ValueError, LookupError, AssertionError, sqlite3.Error) as error:
                problems.append(f"{relative}: {error!r}")
    return problems


def _check_whole(path: Path) -> None:
    """Raise an error unless a file is complete, as far as its format tells."""
    if path.suffix == ".sqlite":
        with TemporaryDirectory() as copy:  # reading would recover it in place
            for part in path.parent.glob(path.name + "*"):
                if not part.name.endswith("-shm"):
                    shutil.copy(part, copy)
            connection = sqlite3.connect(Path(copy) / path.name)
            (found,) = connection.execute("PRAGMA integrity_check(1)").fetchone()
            connection.close()
            assert found == "ok" or found.startswith("NULL value"), found
        return
    data = path.read_bytes()
    match path.suffix:
        case ".json":
            json.loads(data)
        case ".jsonl":
            assert data.endswith(b"\n") or not data, "no end"
            for line in data.splitlines():
                json.loads(line)
        case ".csv":
            assert data.endswith(b"\n"), "no end"
            assert len({line.count(b",") for line in data.splitlines()}) == 1, "rows of different lengths"
        case ".toml":
            tomllib.loads(data.decode())
        case ".py":
            ast.parse(data)
            assert data.endswith(b"\n"), "no end"
        case ".svg" | ".html":
            assert data.rstrip().endswith((b"</svg>", b"</html>")), "no end"
    if path.name == "checksums.json":
        verify_checksums(path.parent)
