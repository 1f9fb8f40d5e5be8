"""SQLite files that a kill at any moment leaves whole."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Self


class StoreError(ValueError):
    """A run's file that cannot be used; the message says which, and why."""


class Database:
    """A SQLite file in write-ahead-log mode, with the tables of one version of a schema.

    Every change is made in a `transaction`; other processes may read meanwhile.
    """

    def __init__(self, path: str | Path, schema: str, version: int) -> None:
        """Open the file, or make an empty one. Raises StoreError for another version's or a foreign file."""
        self.path = Path(path)
        self._db = sqlite3.connect(path, isolation_level=None)
        try:
            (found,) = self._db.execute("PRAGMA user_version").fetchone()
            (tables,) = self._db.execute("SELECT count(*) FROM sqlite_master").fetchone()
            if found != version and (found or tables):
                raise StoreError(
                    f"{path}: expected schema version {version}, found {found}; "
                    "resume it with the version of codeit that began it, or start a new run"
                )
            self._db.execute("PRAGMA journal_mode = WAL")
            self._db.execute("PRAGMA synchronous = FULL")  # commits are few; a power cut loses none of them
            if not found:
                with self.transaction():
                    for statement in schema.split(";\n"):
                        self._db.execute(statement)
                    self._db.execute(f"PRAGMA user_version = {version}")
        except sqlite3.DatabaseError as error:
            self._db.close()
            raise StoreError(f"{path}: expected a run's SQLite file: {error}") from None
        except BaseException:
            self._db.close()
            raise

    def close(self) -> None:
        self._db.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """All changes made inside are kept together, or none of them if an exception leaves it."""
        self._db.execute("BEGIN IMMEDIATE")
        try:
            yield
        except BaseException:
            self._db.execute("ROLLBACK")
            raise
        self._db.execute("COMMIT")
