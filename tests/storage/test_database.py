"""SQLite files: which ones are opened, and transactions."""

import random
import sqlite3
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest

from codeit.evaluation.candidate import Candidate
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


# --- Damage and full disks ---

FLIPS = [
    Program.parse("".join(f"x{k} = identity({'I' if k == 1 else f'x{k - 1}'})\n" for k in range(1, n)) + end)
    for n in range(2, 40)
    for end in (f"O = vmirror(x{n - 1})", f"O = hmirror(x{n - 1})")
]


@pytest.fixture
def filled(tmp_path: Path) -> Path:
    """A run's database of several hundred rows."""
    path = tmp_path / "run.sqlite"
    with RunDatabase(path) as database, database.transaction():
        database.set_config("[run]")
        database.add_tasks("test", [(name, 2) for name in "abc"])
        for name in "abc":
            for one in FLIPS:
                database.add_candidate(Candidate(name, one, 2, votes=1, iteration=0, source="policy"))
                kind = {"iteration": 0, "source": "policy", "priority": 1.0, "encodable": True}
                database.replay.add("test", name, one, behaviour=str(one).encode(), **kind)
    return path


def read_all(path: Path) -> None:
    with RunDatabase(path) as database:
        database.candidates()
        database.metrics()
        database.replay.draw(100, ["policy"], np.random.default_rng(0), floor=0.1)
        database.replay.programs_on("a")
        database.replay.experts_and_mutants(0)
        with database.transaction():
            database.add_tasks("test", [("d", 1)])
            database.add_program(Program.parse("O = rot90(I)"))


def test_whatever_bytes_are_damaged_the_error_names_the_file(filled: Path) -> None:
    rng, whole, refused = random.Random(0), filled.read_bytes(), 0
    for _ in range(150):
        data = bytearray(whole)
        place = rng.randrange(rng.choice([100, 4096, len(data)]))
        if rng.random() < 0.2:
            del data[place:]
        else:
            length = rng.choice([1, 1, 50, 4096])
            data[place : place + length] = rng.randbytes(len(data[place : place + length]))
        for left in filled.parent.glob("*-*"):  # of the trial before
            left.unlink()
        filled.write_bytes(data)
        try:
            read_all(filled)
        except StoreError as error:
            refused += 1
            assert str(error).startswith(f"{filled}: expected ") and "\n" not in str(error)
    assert refused > 75


@pytest.mark.parametrize("column", ["demonstrations_solved", "votes", "iteration", "source"])
def test_a_value_of_another_type_is_damage(column: str, filled: Path) -> None:
    with RunDatabase(filled) as database:
        with database.transaction():
            database.connection.execute(f"UPDATE candidate SET {column} = x'00' WHERE id = 7")
        with pytest.raises(StoreError, match=r"expected an intact database .* values of other types"):
            database.candidates()


@pytest.mark.parametrize("damage", [b"vm\xffrror", b"vmi\nror", b"vmirrir"])
def test_a_garbled_program_is_damage(damage: bytes, filled: Path) -> None:
    filled.write_bytes(filled.read_bytes().replace(b"vmirror", damage))
    with RunDatabase(filled) as database:
        for read in (
            database.candidates,
            lambda: database.replay.programs_on("a"),
            lambda: database.replay.draw(100, ["policy"], np.random.default_rng(0), floor=0.1),
        ):
            with pytest.raises(StoreError, match=r"run.sqlite: expected an intact database of codeit, found"):
                read()


def test_a_garbled_page_is_found_on_opening(filled: Path) -> None:
    data = bytearray(filled.read_bytes())
    with closing(sqlite3.connect(filled)) as other:
        (page,) = other.execute("SELECT rootpage FROM sqlite_master WHERE name = 'experience'").fetchone()
    data[4096 * (page - 1) : 4096 * page] = b"garbled " * 512
    filled.write_bytes(data)
    with pytest.raises(StoreError, match=r"run.sqlite: expected an intact database .* restore it, or start"):
        RunDatabase(filled)
    assert filled.read_bytes() == data


def test_a_full_disk_keeps_what_was_committed(filled: Path) -> None:
    with RunDatabase(filled) as database:
        (pages,) = database.connection.execute("PRAGMA page_count").fetchone()
        database.connection.execute(f"PRAGMA max_page_count = {pages + 1}")
        before = database.connection.execute("SELECT count(*) FROM task").fetchone()
        message = "run.sqlite: expected room to write, found: database or disk is full; make room, then run"
        with pytest.raises(StoreError, match=message), database.transaction():
            database.add_tasks("test", [("a task of a long name" * 10 + str(k), 1) for k in range(500)])
        assert not database.connection.in_transaction
        assert database.connection.execute("SELECT count(*) FROM task").fetchone() == before
        database.connection.execute("PRAGMA max_page_count = 1000000")
        with database.transaction():
            database.add_tasks("test", [("d", 1)])
    with RunDatabase(filled) as database:
        assert database.connection.execute("SELECT count(*) FROM task").fetchone() == (before[0] + 1,)


def test_a_database_that_another_program_writes_is_a_user_error(filled: Path) -> None:
    with RunDatabase(filled) as database, closing(sqlite3.connect(filled)) as other:
        database.connection.execute("PRAGMA busy_timeout = 10")
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(StoreError, match=r"run.sqlite: expected a database that nobody else writes"):
            database.transaction().__enter__()


@pytest.mark.parametrize("contents", [None, b""])
def test_a_search_without_rows_cannot_be_read(contents: bytes | None, tmp_path: Path) -> None:
    if contents is not None:
        (tmp_path / "search.sqlite").write_bytes(contents)
    with pytest.raises(StoreError, match=r"search.sqlite: expected the rows of the work in this directory"):
        SearchLogReader(tmp_path)
    assert [entry.read_bytes() for entry in tmp_path.iterdir()] == [contents] * (contents is not None)
