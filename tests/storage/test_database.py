"""SQLite files: which ones are opened, and transactions."""

import sqlite3
from pathlib import Path

import pytest

from codeit.language import Program
from codeit.storage import run_database, search_log
from codeit.storage.database import Database, StoreError, stored_program
from codeit.storage.run_database import RunDatabase
from codeit.storage.search_log import SearchLogReader

SCHEMA = "CREATE TABLE a (x INTEGER);\nCREATE TABLE b (y TEXT);\n"


def test_a_file_that_is_not_a_database_is_refused(tmp_path: Path) -> None:
    (tmp_path / "text").write_text("no database, but long enough to be read as one" * 50)
    with pytest.raises(StoreError, match="text: expected a SQLite file of codeit: file is not a database"):
        RunDatabase(tmp_path / "text")


def test_a_path_that_cannot_be_opened_is_refused(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match=r"run.sqlite: expected a readable and writable SQLite file"):
        RunDatabase(tmp_path / "none" / "run.sqlite")


def test_a_database_of_another_program_is_refused(tmp_path: Path) -> None:
    with sqlite3.connect(tmp_path / "other") as other:
        other.execute("CREATE TABLE t (x)")
    message = f"expected schema version {run_database.SCHEMA_VERSION}, found 0, written by another program"
    with pytest.raises(StoreError, match=message):
        RunDatabase(tmp_path / "other")
    tables = sqlite3.connect(tmp_path / "other").execute("SELECT name FROM sqlite_master").fetchall()
    assert tables == [("t",)]


@pytest.mark.parametrize(("version", "age"), [(2, "an older"), (99, "a newer")])
@pytest.mark.parametrize(
    ("kind", "file", "expected"),
    [
        (RunDatabase, "run.sqlite", run_database.SCHEMA_VERSION),
        (SearchLogReader, "search.sqlite", search_log.SCHEMA_VERSION),
    ],
)
def test_a_database_of_another_version_of_codeit_is_refused(
    kind: type[Database], file: str, expected: int, version: int, age: str, tmp_path: Path
) -> None:
    with sqlite3.connect(tmp_path / file) as other:
        other.execute(f"PRAGMA user_version = {version}")
    message = f"expected schema version {expected}, found {version}, written by {age} version of codeit"
    with pytest.raises(StoreError, match=message):
        kind(tmp_path if kind is SearchLogReader else tmp_path / file)  # type: ignore[call-arg, arg-type]


def test_a_refused_file_is_closed(tmp_path: Path) -> None:
    path = tmp_path / "run.sqlite"
    RunDatabase(path).close()
    with sqlite3.connect(path) as other:
        other.execute("PRAGMA user_version = 2")
    other.close()
    with pytest.raises(StoreError) as caught:  # holds the frame of the constructor, so nothing is collected
        RunDatabase(path)
    assert caught.value
    assert sorted(entry.name for entry in tmp_path.iterdir()) == ["run.sqlite"]  # no -wal of an open file


def test_transactions_are_committed_or_undone_whole(tmp_path: Path) -> None:
    with Database(tmp_path / "d", SCHEMA, 1) as database:
        with database.transaction():
            database.connection.execute("INSERT INTO a VALUES (1)")
            database.connection.execute("INSERT INTO b VALUES ('one')")
        with pytest.raises(KeyboardInterrupt), database.transaction():
            database.connection.execute("INSERT INTO a VALUES (2)")
            raise KeyboardInterrupt
        reader = sqlite3.connect(tmp_path / "d")
        with database.transaction():
            database.connection.execute("INSERT INTO a VALUES (3)")
            assert reader.execute("SELECT x FROM a").fetchall() == [(1,)]  # a reader sees what is committed
        assert reader.execute("SELECT x FROM a").fetchall() == [(1,), (3,)]
        reader.close()
    with Database(tmp_path / "d", SCHEMA, 1) as database:
        assert database.connection.execute("SELECT x FROM a").fetchall() == [(1,), (3,)]
        assert database.connection.execute("SELECT y FROM b").fetchall() == [("one",)]


def test_a_stored_program_is_parsed_once() -> None:
    text = "x1 = rot90(I)\nO = hmirror(x1)"
    assert stored_program(text) is stored_program(str(Program.parse(text)))
    assert stored_program(text) == Program.parse(text)
