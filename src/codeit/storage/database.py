"""SQLite files that survive a kill at any moment."""

from __future__ import annotations

import atexit
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
        """Open or create the file. Raises StoreError for a foreign file or another version."""
        self.path = Path(path)
        try:
            self.connection = sqlite3.connect(path, isolation_level=None)
        except sqlite3.OperationalError as error:
            raise StoreError(f"{path}: expected a readable and writable SQLite file: {error}") from None
        try:
            (found,) = self.connection.execute("PRAGMA user_version").fetchone()
            (tables,) = self.connection.execute("SELECT count(*) FROM sqlite_master").fetchone()
            if found != version and (found or tables):
                age = "an older" if found < version else "a newer"
                writer = (
                    f"{age} version of codeit; continue with that version" if found else "another program"
                )
                raise StoreError(
                    f"{path}: expected schema version {version}, found {found}, written by {writer}, "
                    "or start anew in another directory"
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
        """Commit all changes made inside together, or none if an exception leaves the block."""
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

    A run reads its candidates and experiences in every iteration, and parsing costs more than
    reading.
    """
    return Program.parse(text)


# The engine reports objects that outlive the interpreter as leaks.
atexit.register(stored_program.cache_clear)
