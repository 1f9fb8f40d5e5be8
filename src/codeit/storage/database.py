"""SQLite files that survive a kill at any moment."""

from __future__ import annotations

import atexit
import os
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path
from typing import Any, Self
from urllib.parse import quote

from codeit.language import ParseError, Program
from codeit.storage.files import MAKE_ROOM


class StoreError(ValueError):
    """A database that cannot be used. The message names the file and the reason."""


def damaged(path: Path, reason: object) -> StoreError:
    """Return the error of a database whose contents codeit cannot have written."""
    line = "".join(c if c.isprintable() else " " for c in str(reason))  # it may quote the damage
    return StoreError(
        f"{path}: expected an intact database of codeit, found a damaged one ({line}); "
        "restore it, or start anew in another directory"
    )


def _explained(error: Exception, path: Path) -> Exception:
    """Return a StoreError if the file or the disk is the cause, else the error itself."""
    text, code = str(error), getattr(error, "sqlite_errorcode", 0) & 0xFF  # without the extended code
    if code == sqlite3.SQLITE_NOTADB:
        return StoreError(
            f"{path}: expected a SQLite file of codeit: {text}; restore it, or choose another --out"
        )
    if code in (sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR):
        return StoreError(f"{path}: expected room to write, found: {text}; {MAKE_ROOM}")
    if code in (sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_READONLY, sqlite3.SQLITE_PERM):
        return StoreError(f"{path}: expected a readable and writable SQLite file: {text}")
    if code in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED):
        return StoreError(
            f"{path}: expected a database that nobody else writes: {text}; end the other program, "
            "then run the same command again"
        )
    if isinstance(error, UnicodeDecodeError):  # in a message of SQLite about a garbled schema
        return damaged(path, "names that are not UTF-8")
    # The statements are fixed. One that SQLite cannot run meets a schema that codeit did not write.
    is_schema_wrong = code == sqlite3.SQLITE_ERROR and "transaction" not in text
    if code == sqlite3.SQLITE_CORRUPT or is_schema_wrong or text.startswith("Could not decode"):
        return damaged(path, text.split(" with text")[0])
    return error


class _Cursor(sqlite3.Cursor):
    """A cursor that raises StoreError where the file or the disk is the cause of an error."""

    connection: Connection

    def execute(self, *arguments: Any) -> Self:
        try:
            return super().execute(*arguments)
        except (sqlite3.DatabaseError, UnicodeDecodeError) as error:
            raise _explained(error, self.connection.path) from None

    def executemany(self, *arguments: Any) -> Self:
        try:
            return super().executemany(*arguments)
        except (sqlite3.DatabaseError, UnicodeDecodeError) as error:
            raise _explained(error, self.connection.path) from None

    def __next__(self) -> Any:
        try:
            return super().__next__()
        except (sqlite3.DatabaseError, UnicodeDecodeError) as error:
            raise _explained(error, self.connection.path) from None

    def fetchone(self) -> Any:
        return next(self, None)

    def fetchall(self) -> list[Any]:
        return list(self)


class Connection(sqlite3.Connection):
    """A connection to a file that raises StoreError where the file or the disk is to blame."""

    path: Path

    def cursor(self, *_: Any) -> Any:
        return super().cursor(_Cursor)

    def execute(self, *arguments: Any) -> sqlite3.Cursor:
        cursor: _Cursor = self.cursor()
        return cursor.execute(*arguments)

    def executemany(self, *arguments: Any) -> sqlite3.Cursor:
        cursor: _Cursor = self.cursor()
        return cursor.executemany(*arguments)

    def read(self, query: str, values: Sequence[object], *types: Any) -> Iterator[tuple[Any, ...]]:
        """Yield rows whose values have these types, one a column.

        Raises StoreError for others: SQLite keeps any type in any column, so damage may change it.
        """
        for row in self.execute(query, values):
            if not all(map(isinstance, row, types)):
                raise damaged(self.path, f"a row of values of other types: {row!r:.200}")
            yield row

    def program(self, text: str) -> Program:
        """Return the program of a stored text. Raises StoreError if there is none."""
        try:
            return stored_program(str(text))  # damage may have changed the type of the value
        except ParseError as error:
            raise damaged(self.path, f"program {str(text)[:60]!r}: {error}") from None


class Database:
    """A SQLite file in write-ahead-log mode, with the tables of one version of a schema.

    Every change is made in a `transaction`. Other processes may read at the same time.
    """

    def __init__(self, path: str | Path, schema: str, version: int, *, create: bool = True) -> None:
        """Open the file, or `create` it.

        Raises StoreError for a foreign or damaged file or another version. To find damaged pages,
        the file is read once, which takes 0.3 s for 100 MB.
        """
        self.path = Path(path)
        if not create:
            refuse_empty(self.path)
        try:
            self.connection = _connect(self.path, immutable=not create and _is_unchanging(self.path))
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
            # Problems of other kinds than "*** in database main ***" are not damage: SQLite 3.40
            # reports NULL values in any table WITHOUT ROWID whose key is not its first columns.
            (problem,) = self.connection.execute("PRAGMA quick_check(1)").fetchone()
            if problem.startswith("***"):
                raise damaged(self.path, " ".join(problem.split("***")[-1].split()))
            if create:
                self.connection.execute("PRAGMA journal_mode = WAL")
                # Commits are rare; a power cut loses none.
                self.connection.execute("PRAGMA synchronous = FULL")
            if not found and not create:
                raise missing_rows(self.path, "none")
            if not found:
                with self.transaction():
                    for statement in schema.split(";\n"):
                        self.connection.execute(statement)
                    self.connection.execute(f"PRAGMA user_version = {version}")
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
            self.connection.execute("COMMIT")
        except BaseException:
            if self.connection.in_transaction:  # SQLite itself ends it when the disk is full
                self.connection.execute("ROLLBACK")
            raise


def _connect(path: Path, *, immutable: bool) -> Connection:
    query = "?mode=ro&immutable=1" if immutable else ""
    uri = f"file:{quote(os.fsencode(os.path.abspath(path)))}{query}"
    connection = sqlite3.connect(uri, isolation_level=None, factory=Connection, uri=True)
    connection.path = path
    return connection


def _is_unchanging(path: Path) -> bool:
    """Return whether a database can be read without the files that SQLite keeps beside it.

    They cannot be created on a read-only disk, or in a directory of another user. Where they are,
    they are read too.
    """
    return not (os.access(path.parent, os.W_OK) or Path(f"{path}-wal").exists())


def refuse_empty(path: Path) -> None:
    """Raise StoreError if a database that must have rows is missing or empty."""
    if not path.exists():
        raise missing_rows(path, "no such file")
    if not path.stat().st_size:
        raise missing_rows(path, "an empty file")


def missing_rows(path: Path, found: str) -> StoreError:
    """Return the error of a database without the rows that the files beside it derive from."""
    return StoreError(
        f"{path}: expected the rows of the work in this directory, found {found}; "
        "restore the file, or choose another --out"
    )


@lru_cache(maxsize=1 << 16)
def stored_program(text: str) -> Program:
    """Parse the text of a stored program, once as long as it stays among the 65,536 last used.

    A run reads its candidates and experiences in every iteration, and parsing costs more than
    reading.
    """
    return Program.parse(text)


# The engine reports objects that outlive the interpreter as leaks.
atexit.register(stored_program.cache_clear)
