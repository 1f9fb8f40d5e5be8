"""The log of a search: its parts, its settings, and which candidates are ranked."""

import json
import shutil
import sqlite3
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from codeit.data.tasks import Pair, Task, TestPair
from codeit.evaluation.candidate import KEPT, TOP, Candidate
from codeit.evaluation.confidence import with_probabilities
from codeit.language import Grid, Program
from codeit.storage.database import StoreError
from codeit.storage.files import RunError, lock_directory
from codeit.storage.search_log import SCHEMA_VERSION, Part, SearchLog, SearchLogReader

FLIP = Program.parse("O = vmirror(I)")
LONG_FLIP = Program.parse("x1 = identity(I)\nO = vmirror(x1)")
TURN = Program.parse("x1 = rot90(I)\nx2 = rot90(x1)\nO = identity(x2)")
SETTINGS = {"kind": "search", "seed": 3, "programs": 100}
TASK = Task(
    "a",
    (Pair(Grid([[1, 0]]), Grid([[0, 1]])), Pair(Grid([[2, 0]]), Grid([[0, 2]]))),
    (TestPair(Grid([[3, 0]]), Grid([[0, 3]])),),
)


def programs(n: int) -> list[Program]:
    """Return n programs that flip, each a line longer than the one before."""
    texts = []
    for lines in range(1, n + 1):
        names = ["I", *(f"x{k}" for k in range(1, lines)), "O"]
        calls = ["vmirror"] + ["identity"] * (lines - 1)
        texts.append("\n".join(f"{names[k + 1]} = {calls[k]}({names[k]})" for k in range(lines)))
    return [Program.parse(text) for text in texts]


def part(programs: int, state: bytes = b"") -> Part:
    return Part(programs, seconds=1.5, core_seconds=2.5, state=state)


def assert_released(directory: Path) -> None:
    """Check that nobody holds the lock or has the database open."""
    lock_directory(directory).release()
    assert not list(directory.glob("*-wal"))


def test_a_log_opened_again_has_its_settings_parts_and_candidates(tmp_path: Path) -> None:
    found = [
        Candidate("b", LONG_FLIP, 2, order=7, votes=3, answer=2**63 + 1),
        Candidate("a", FLIP, 2, order=4, votes=1, answer=5),
        Candidate("a", TURN, 2, order=2),
    ]
    with SearchLog(tmp_path / "log", SETTINGS) as log:
        log.commit(1, part(10, b"state"), found[:2])
        log.commit(0, part(5), found[2:])
    with SearchLogReader(tmp_path / "log") as log:
        assert log.settings() == SETTINGS
        assert list(log.parts().items()) == [(0, part(5)), (1, part(10, b"state"))]
        assert log.candidates() == [found[2], found[1], found[0]]
        assert log.candidates()[0].program is log.candidates()[0].program  # parsed once


def test_a_part_committed_again_replaces_its_candidates(tmp_path: Path) -> None:
    with SearchLog(tmp_path / "log", SETTINGS) as log:
        log.commit(0, part(10), [Candidate("a", FLIP, 2, order=3), Candidate("a", TURN, 2, order=9)])
        log.commit(1, part(10), [Candidate("b", FLIP, 2, order=4)])
        log.commit(0, part(20), [Candidate("a", FLIP, 2, order=3), Candidate("a", LONG_FLIP, 2, order=15)])
        assert log.candidates() == [
            Candidate("a", FLIP, 2, order=3),
            Candidate("b", FLIP, 2, order=4),
            Candidate("a", LONG_FLIP, 2, order=15),
        ]
        assert log.parts() == {0: part(20), 1: part(10)}


def test_a_commit_that_fails_keeps_the_earlier_part(tmp_path: Path) -> None:
    with SearchLog(tmp_path / "log", SETTINGS) as log:
        log.commit(0, part(10), [Candidate("a", FLIP, 2, order=3)])
        with pytest.raises(sqlite3.IntegrityError):
            log.commit(0, part(None), [Candidate("a", TURN, 2, order=3)])  # type: ignore[arg-type]
        assert log.parts() == {0: part(10)}
        assert log.candidates() == [Candidate("a", FLIP, 2, order=3)]


def test_a_program_found_twice_with_equal_votes_is_stored_once(tmp_path: Path) -> None:
    with SearchLog(tmp_path / "log", SETTINGS) as log:
        log.commit(0, part(10), [Candidate("a", FLIP, 2, order=3), Candidate("a", FLIP, 2, order=5)])
        assert log.candidates() == [Candidate("a", FLIP, 2, order=3)]


def test_the_shortest_candidates_without_answers_are_the_best(tmp_path: Path) -> None:
    of_length = programs(KEPT + 2)
    found = [Candidate("a", one, 2, order=10 - k) for k, one in enumerate(of_length)]
    with SearchLog(tmp_path / "log", SETTINGS) as log:
        log.commit(0, part(10), found)
        assert log.best([TASK]) == {"a": found[:KEPT]}


def test_votes_choose_the_answers_and_length_orders_them(tmp_path: Path) -> None:
    of_length = programs(TOP + 1)
    # The longer its shortest program, the more votes has an answer.
    found = [Candidate("a", one, 2, order=k, votes=1 + k, answer=k) for k, one in enumerate(of_length)]
    with SearchLog(tmp_path / "log", SETTINGS) as log:
        log.commit(0, part(10), found)
        best = log.best([TASK])["a"]
        log.publish([TASK], [10], threads=1)
    assert [one.answer for one in best] == [1, 2, 3]  # answer 0 has the fewest votes
    assert [len(one.program) for one in best] == [2, 3, 4]
    assert all(one.votes == 0 for one in best)  # solutions.jsonl has no votes to rank by
    # Answer 0 takes its share, though it is not listed.
    likely = with_probabilities(TASK, found[::-1], 10)
    assert [one.probability for one in best] == [one.probability for one in likely[2::-1]]
    rows = map(json.loads, (tmp_path / "log" / "solutions.jsonl").read_text().splitlines())
    assert [row["probability"] for row in rows] == [round(one.probability, 4) for one in best]


def test_the_last_record_of_an_answer_counts(tmp_path: Path) -> None:
    with SearchLog(tmp_path / "log", SETTINGS) as log:
        answers = [Candidate("a", one, 2, order=1, votes=4, answer=k) for k, one in enumerate(programs(TOP))]
        log.commit(0, part(10), [*answers, Candidate("a", TURN, 2, order=2, votes=1, answer=9)])
        assert TURN not in [one.program for one in log.best([TASK])["a"]]
        log.commit(1, part(10), [Candidate("a", LONG_FLIP, 2, order=5, votes=8, answer=9)])
        best = log.best([TASK])["a"]
    assert LONG_FLIP in [one.program for one in best]
    assert TURN not in [one.program for one in best]


def test_published_files_hold_the_best_programs_and_the_curve(tmp_path: Path) -> None:
    with SearchLog(tmp_path / "log", SETTINGS) as log:
        log.commit(0, part(10), [Candidate("a", LONG_FLIP, 2, order=3), Candidate("a", FLIP, 2, order=6)])
        curve = log.publish([TASK], [3, 4, 10], threads=1)
    assert [score.solved_top3 for score in curve.values()] == [0, 1, 1]
    rows = [json.loads(line) for line in (tmp_path / "log" / "solutions.jsonl").read_text().splitlines()]
    assert rows == [
        {"task": "a", "program": str(FLIP), "tried": 6},
        {"task": "a", "program": str(LONG_FLIP), "tried": 3},
    ]
    lines = (tmp_path / "log" / "curve.csv").read_text().splitlines()
    assert lines[0] == (
        "programs,solved_top3,solved_top2,solved_top3_without_leak,solved_top2_without_leak,"
        "solved_demonstrations"
    )
    assert lines[1:] == ["3,0,0,0,0,0", "4,1,1,1,1,1", "10,1,1,1,1,1"]


def test_only_one_process_opens_a_log_to_write(tmp_path: Path) -> None:
    with SearchLog(tmp_path / "log", SETTINGS):
        with pytest.raises(RunError, match="another process is using this directory"):
            SearchLog(tmp_path / "log", SETTINGS)
        SearchLogReader(tmp_path / "log").close()
    assert_released(tmp_path / "log")


def test_changed_settings_are_refused_by_name_unless_they_may_change(tmp_path: Path) -> None:
    SearchLog(tmp_path / "log", SETTINGS).close()
    with pytest.raises(RunError, match=r"log: seed: expected 3, as the search began, found 4; put the value"):
        SearchLog(tmp_path / "log", {**SETTINGS, "seed": 4}, may_change=["programs"])
    assert_released(tmp_path / "log")
    with pytest.raises(RunError, match=r"programs: expected 100, as the search began, found 200"):
        SearchLog(tmp_path / "log", {**SETTINGS, "programs": 200})
    with SearchLog(tmp_path / "log", {**SETTINGS, "programs": 200}, may_change=["programs"]) as log:
        assert log.settings() == {**SETTINGS, "programs": 200}


@pytest.mark.parametrize(("version", "age"), [(99, "a newer"), (2, "an older")])
def test_a_log_of_another_version_is_refused(version: int, age: str, tmp_path: Path) -> None:
    SearchLog(tmp_path / "log", SETTINGS).close()
    with sqlite3.connect(tmp_path / "log" / "search.sqlite") as database:
        database.execute(f"PRAGMA user_version = {version}")
    database.close()
    message = (
        f"expected schema version {SCHEMA_VERSION}, found {version}, written by {age} version of codeit; "
        "continue with that version, or start anew in another directory"
    )
    with pytest.raises(StoreError, match=message):
        SearchLog(tmp_path / "log", SETTINGS)
    assert_released(tmp_path / "log")
    with pytest.raises(StoreError, match=message):
        SearchLogReader(tmp_path / "log")
    assert_released(tmp_path / "log")


def test_a_directory_that_is_not_a_search_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.txt").touch()
    with pytest.raises(RunError, match=r"expected a new directory or a search's, found a.txt"):
        SearchLog(tmp_path, SETTINGS)
    assert [entry.name for entry in tmp_path.iterdir()] == ["a.txt"]


@pytest.mark.parametrize(
    "left", [["lock"], ["lock", "search.sqlite"], ["search.sqlite", "search.sqlite-journal"]]
)
def test_a_search_killed_in_its_first_moment_starts_again(left: list[str], tmp_path: Path) -> None:
    for name in left:
        (tmp_path / name).touch()
    with SearchLog(tmp_path, SETTINGS) as log:
        assert log.settings() == SETTINGS


@pytest.mark.parametrize(
    "derived", ["solutions.jsonl", "curve.csv", "curve.svg", "counts.json", "settings.json"]
)
@pytest.mark.parametrize("found", ["no such file", "an empty file", "none"])
def test_a_search_that_has_lost_its_rows_is_refused_and_not_changed(
    found: str, derived: str, tmp_path: Path
) -> None:
    if found == "an empty file":
        (tmp_path / "search.sqlite").touch()
    if found == "none":
        SearchLog(tmp_path, {}).close()
    (tmp_path / derived).write_text("{}\n")
    before = {entry.name: entry.read_bytes() for entry in tmp_path.iterdir()}
    message = f"search.sqlite: expected the rows of the work in this directory, found {found}; restore"
    with pytest.raises(StoreError, match=message):
        SearchLog(tmp_path, SETTINGS)
    assert {entry.name: entry.read_bytes() for entry in tmp_path.iterdir()} == before


def test_time_adds_up_over_calls_and_is_no_setting(tmp_path: Path) -> None:
    for minutes in (1, 2):
        with SearchLog(tmp_path, SETTINGS, started=time.monotonic() - 60) as log:
            log.commit(minutes, part(5), [])
            assert 60 * minutes <= log.wall_seconds() < 60 * minutes + 30
            assert log.settings() == SETTINGS
    with SearchLogReader(tmp_path) as log:
        assert 120 <= log.wall_seconds() < 150
    with SearchLog(tmp_path, SETTINGS) as log:
        for damaged in ("long", float("inf")):
            log.set("wall_seconds", damaged)
            with pytest.raises(StoreError, match=f"wall_seconds: {damaged!r}"):
                log.wall_seconds()


def test_garbled_settings_and_answers_are_damage(tmp_path: Path) -> None:
    with SearchLog(tmp_path, SETTINGS) as log:
        log.commit(0, part(5), [Candidate("a", FLIP, 2, order=4, votes=1, answer=0xABCD)])
    whole = (tmp_path / "search.sqlite").read_bytes()
    for old, new in ((b"00abcd", b"00axcd"), (b'"search"', b'"search ')):
        (tmp_path / "search.sqlite").write_bytes(whole.replace(old, new))
        with (
            pytest.raises(StoreError, match=r"search.sqlite: expected an intact database of codeit"),
            SearchLogReader(tmp_path) as log,
        ):
            log.candidates()
            log.settings()


@pytest.mark.parametrize(
    "change",
    [
        "UPDATE part SET programs = 'many'",
        "UPDATE part SET state = 'text'",
        "UPDATE candidate SET tried = x'00'",
        "UPDATE candidate SET answer = 1.5",
    ],
)
def test_values_of_other_types_are_damage(change: str, tmp_path: Path) -> None:
    with SearchLog(tmp_path, SETTINGS) as log:
        log.commit(0, part(5), [Candidate("a", FLIP, 2, order=4, answer=17)])
        with log.transaction():
            log.connection.execute(change)
        with pytest.raises(StoreError, match=r"expected an intact database .*(values of other types|answer)"):
            log.parts()
            log.candidates()


def test_settings_that_cannot_be_stored_release_the_log(tmp_path: Path) -> None:
    with pytest.raises(TypeError) as caught:  # keeps the frames alive, and with them what is not released
        SearchLog(tmp_path / "log", {"seed": object()})
    assert caught.value
    assert_released(tmp_path / "log")


@contextmanager
def read_only_copy(directory: Path, copy: Path) -> Iterator[Path]:
    """Yield a copy of a directory on a file system that is mounted read-only."""
    copy.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "tmpfs", str(copy)], capture_output=True).returncode:
        pytest.skip("no permission to mount a file system")
    try:
        shutil.copytree(directory, copy, dirs_exist_ok=True)
        subprocess.run(["mount", "-o", "remount,ro", str(copy)], check=True)
        yield copy
    finally:
        subprocess.run(["umount", "-l", str(copy)], check=True)


def test_log_on_a_read_only_disk_is_read(tmp_path: Path) -> None:
    with SearchLog(tmp_path / "log #1?", SETTINGS) as log:
        log.commit(0, part(5), [Candidate("a", FLIP, 2, order=4)])
    with read_only_copy(tmp_path / "log #1?", tmp_path / "copy #1?") as copy, SearchLogReader(copy) as log:
        assert log.settings() == SETTINGS and log.parts() == {0: part(5)}
        assert log.candidates() == [Candidate("a", FLIP, 2, order=4)]


def test_log_that_is_open_elsewhere_is_read_from_a_read_only_disk_with_its_last_rows(tmp_path: Path) -> None:
    with SearchLog(tmp_path / "log", SETTINGS) as log:
        log.commit(0, part(5), [Candidate("a", FLIP, 2, order=4)])
        with read_only_copy(tmp_path / "log", tmp_path / "copy") as copy, SearchLogReader(copy) as reader:
            assert reader.parts() == {0: part(5)}


def test_reading_a_log_leaves_its_directory_as_it_is(tmp_path: Path) -> None:
    with SearchLog(tmp_path / "log", SETTINGS) as log:
        log.commit(0, part(5), [Candidate("a", FLIP, 2, order=4)])
    before = {entry.name: entry.read_bytes() for entry in (tmp_path / "log").iterdir()}
    with SearchLogReader(tmp_path / "log") as log:
        assert log.best([TASK])
    assert {entry.name: entry.read_bytes() for entry in (tmp_path / "log").iterdir()} == before
