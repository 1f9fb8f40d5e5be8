"""SQLite files that survive a kill at any moment."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path
from typing import Self

from codeit.language import Program


class StoreError(ValueError):
    """A database that cannot be used. The message names the file and the reason."""


class Database:
    """A SQLite file in write-ahead-log mode, with the tables of one version of a schema.

    Every change is made in a `transaction`. Other processes may read at the same time.
    """

    def __init__(self, path: str | Path, schema: str, version: int) -> None:
        """Open the file, or create an empty one. Raises StoreError for another version's or a foreign file."""
        self.path = Path(path)
        self.connection = sqlite3.connect(path, isolation_level=None)
        try:
            (found,) = self.connection.execute("PRAGMA user_version").fetchone()
            (tables,) = self.connection.execute("SELECT count(*) FROM sqlite_master").fetchone()
            if found != version and (found or tables):
                age = "an older" if found < version else "a newer"
                raise StoreError(
                    f"{path}: expected schema version {version}, found {found}, written by {age} version of "
                    "codeit; continue with that version, or start anew in another directory"
                )
            self.connection.execute("PRAGMA journal_mode = WAL")
            self.connection.execute("PRAGMA synchronous = FULL")  # commits are rare; a power cut loses none
            if not found:
                with self.transaction():
                    for statement in schema.split(";\n"):
                        self.connection.execute(statement)
                    self.connection.execute(f"PRAGMA user_version = {version}")
        except sqlite3.DatabaseError as error:
            self.connection.close()
            raise StoreError(f"{path}: expected a SQLite file of codeit: {error}") from None
        except BaseException:
            self.connection.close()
            raise

    def close(self) -> None:
        self.connection.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """Commit all changes made inside together, or none of them if an exception leaves the block."""
        self.connection.execute("BEGIN IMMEDIATE")
        try:
            yield
        except BaseException:
            self.connection.execute("ROLLBACK")
            raise
        self.connection.execute("COMMIT")


@lru_cache(maxsize=1 << 16)
def stored_program(text: str) -> Program:
    """Parse the text of a stored program, once as long as it stays among the 65,536 last used.

    A run reads its candidates and experiences in every iteration, and parsing costs more than reading.
    """
    return Program.parse(text)
