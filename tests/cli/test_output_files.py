"""Files that the commands write: foreign files stay as they are, links and devices are followed."""

from __future__ import annotations

import errno
import json
import os
import resource
import sqlite3
import stat
import subprocess
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from codeit.language import Program

EXPERTS = {"down": Program.parse("O = hmirror(I)"), "left": Program.parse("O = vmirror(I)")}
SMALL = [
    *("--run.threads", "1", "--run.iterations", "1", "--mutation.initial", "40", "--policy.device", "cpu"),
    *("--policy.init", "random", "--policy.encoding", "runs", "--policy.d_model=16", "--policy.heads=2"),
    *("--policy.layers-encoder", "1", "--policy.layers-decoder", "1", "--policy.max_program_tokens", "16"),
    *("--sampling.samples_per_task", "2", "--replay.expert_draws", "4", "--replay.policy_draws", "4"),
    *("--evolution.programs", "40", "--evolution.programs_per_iteration", "20"),
]
ROOM = "make room, then run the same command again"


def task_json(output: list[list[int]]) -> str:
    pair = {"input": [[1, 2], [3, 4]], "output": output}
    return json.dumps({"train": [pair], "test": [pair]})


@pytest.fixture
def puzzles(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A directory of two tasks, each with an expert: turn upside down, mirror left to right."""
    monkeypatch.setattr("codeit.data.experts.load_experts", lambda **_: EXPERTS)
    (tmp_path / "tasks").mkdir()
    (tmp_path / "tasks" / "down.json").write_text(task_json([[3, 4], [1, 2]]))
    (tmp_path / "tasks" / "left.json").write_text(task_json([[2, 1], [4, 3]]))
    return tmp_path / "tasks"


@pytest.fixture
def explain(puzzles: Path, codeit: Any) -> Callable[..., Any]:
    """Return a function that calls `codeit explain` with further options."""
    return lambda *options: codeit("explain", "O = hmirror(I)", str(puzzles / "down.json"), *options)


@pytest.fixture
def device(tmp_path: Path) -> Callable[[int], Path]:
    """Return a function that makes a memory device: minor number 3 is null, 7 is full."""

    def make(minor: int) -> Path:
        path = tmp_path / f"device{minor}"
        try:
            os.mknod(path, stat.S_IFCHR | 0o666, os.makedev(1, minor))
            path.open("wb").close()
        except OSError:
            pytest.skip("no permission to make devices")
        return path

    return make


class SmallDisk:
    """A file system of a few MiB."""

    def __init__(self, path: Path, mebibytes: int) -> None:
        self.path = path
        path.mkdir()
        if subprocess.run([*self._mount(mebibytes), "tmpfs", str(path)], capture_output=True).returncode:
            pytest.skip("no permission to mount a file system")

    @staticmethod
    def _mount(mebibytes: int, option: str = "") -> list[str]:
        return ["mount", "-t", "tmpfs", "-o", f"{option}size={mebibytes}m"]

    def grow(self, mebibytes: int) -> None:
        subprocess.run([*self._mount(mebibytes, "remount,"), "tmpfs", str(self.path)], check=True)

    def fill(self, left: int) -> Path:
        """Write a file that leaves `left` bytes free."""
        ballast = self.path / "ballast"
        found = os.statvfs(self.path)
        ballast.write_bytes(bytes(found.f_bavail * found.f_frsize - left))
        return ballast


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[SmallDisk]:
    small = SmallDisk(tmp_path / "disk", 8)
    yield small
    subprocess.run(["umount", "-l", str(small.path)], check=True)


@contextmanager
def file_size_limit(size: int) -> Iterator[None]:
    """Let every write beyond a size fail, as on a disk without room (EFBIG instead of ENOSPC)."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def contents(directory: Path) -> dict[str, bytes]:
    return {str(path): path.read_bytes() for path in directory.rglob("*") if path.is_file()}


def rows(database: Path) -> dict[str, list[Any]]:
    """Return everything in a database except seconds."""
    connection = sqlite3.connect(database)
    found = {}
    for (table,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'").fetchall():
        columns = [row[1] for row in connection.execute(f"PRAGMA table_info({table})")]
        kept = ", ".join(column for column in columns if "seconds" not in column)
        where = "WHERE name NOT LIKE '%seconds%'" if table in ("metric", "setting") else ""
        found[table] = sorted(connection.execute(f"SELECT {kept} FROM {table} {where}"), key=repr)
    connection.close()
    return found


def assert_user_error(ended: Any, *texts: str) -> None:
    assert ended.code == 2
    last = ended.stderr.splitlines()[-1]
    assert last.startswith("codeit: ") and "Traceback" not in ended.stderr
    for text in texts:
        assert text in last


# --- Single files ---


def test_device_is_written_to_and_stays_a_device(device: Any, explain: Any) -> None:
    path = device(3)
    assert explain("--html", str(path)).code in (None, 0)
    assert stat.S_ISCHR(path.stat().st_mode)


def test_link_to_a_file_stays_a_link(tmp_path: Path, explain: Any) -> None:
    (tmp_path / "pages").mkdir()
    target, link = tmp_path / "pages" / "page.html", tmp_path / "link.html"
    link.symlink_to(target)
    for text in ("", "an older page"):  # the target is missing, or is there
        if text:
            target.write_text(text)
        assert explain("--html", str(link)).code in (None, 0)
        assert link.is_symlink() and target.read_text().startswith("<!")
    assert [path.name for path in (tmp_path / "pages").iterdir()] == ["page.html"]


def test_page_goes_to_stdout(puzzles: Path, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "codeit", "explain", "O = hmirror(I)", str(puzzles / "down.json")]
    command += ["--html", "/dev/stdout"]
    piped = subprocess.run(command, capture_output=True, text=True, check=True)
    assert piped.stdout.startswith("<!") and piped.stdout.rstrip().endswith("</html>")
    (tmp_path / "log").write_text("earlier lines\n")
    with (tmp_path / "log").open("a") as log:  # `>> log`
        subprocess.run(command, stdout=log, stderr=subprocess.DEVNULL, check=True)
    assert (tmp_path / "log").read_text() == "earlier lines\n" + piped.stdout
    assert sorted(path.name for path in tmp_path.iterdir()) == ["log", "tasks"]


@pytest.mark.parametrize(
    ("out", "problem"),
    [
        ("none/page.html", "none, found nothing; create it"),
        ("tasks", "tasks: expected a file, found a directory"),
        ("tasks/down.json/page.html", "found a file"),
    ],
)
def test_place_that_cannot_be_written_is_refused(
    out: str, problem: str, tmp_path: Path, explain: Any, codeit: Any
) -> None:
    before = contents(tmp_path)
    assert_user_error(explain("--html", str(tmp_path / out)), "--html", problem)
    assert_user_error(codeit("report", "none", "--out", str(tmp_path / out)), "--out", problem)
    assert_user_error(codeit("experts", "--out", str(tmp_path / out)), "--out", problem)
    assert contents(tmp_path) == before


def test_full_device_is_a_user_error(device: Any, explain: Any) -> None:
    path = device(7)
    assert_user_error(explain("--html", str(path)), f"{path}: expected room to write", ROOM)
    assert stat.S_ISCHR(path.stat().st_mode)


def test_page_that_does_not_fit_keeps_the_older_one(tmp_path: Path, explain: Any) -> None:
    page = tmp_path / "page.html"
    page.write_text("older")
    with file_size_limit(100):
        ended = explain("--html", str(page))
    assert_user_error(ended, f"{page}: expected room to write", os.strerror(errno.EFBIG), ROOM)
    assert page.read_text() == "older"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["page.html", "tasks"]


# --- Mutants ---


@pytest.fixture
def mutate(puzzles: Path, codeit: Any) -> Callable[..., Any]:
    """Return a function that calls `codeit mutate` with a file and further options."""
    options = ["--tasks", str(puzzles), "--threads", "1"]
    return lambda out, count: codeit("mutate", "--count", str(count), "--out", str(out), *options)


@pytest.mark.parametrize(
    "text",
    [
        b"a note of one line",
        b"a note\nof two lines\n",
        b"a note\nof two lines, the last without an end",
        b'{"task": "down"',
        b'{"task": "down", "program": "O = hmirror(I)"}',
        b"\x7fELF\x00\xff\xfe\n\x80",
        b"\x7fELF\x00\xff\xfe\x80",
        b"[" * 100_000 + b"\n",
    ],
    ids=range(8),
)
def test_file_that_holds_no_mutants_is_refused_and_not_changed(
    text: bytes, tmp_path: Path, mutate: Any
) -> None:
    file = tmp_path / "notes.txt"
    file.write_bytes(text)
    before = file.stat()
    ended = mutate(file, 5)
    if text == b'{"task": "down"' and ended.code == 0:  # may be the start of the first mutant
        return
    assert_user_error(ended, str(file), "choose another --out" if b"\n" in text else "another --out")
    assert file.read_bytes() == text
    assert (file.stat().st_ino, file.stat().st_mtime_ns) == (before.st_ino, before.st_mtime_ns)


def test_mutants_with_a_foreign_end_are_refused_and_not_changed(tmp_path: Path, mutate: Any) -> None:
    file = tmp_path / "mutants.jsonl"
    assert mutate(file, 5).code == 0
    whole = file.read_bytes()
    file.write_bytes(whole + b"# a note of mine")
    assert_user_error(mutate(file, 8), "expected the mutants of this seed")
    assert file.read_bytes() == whole + b"# a note of mine"


def test_mutants_go_to_a_device_or_through_a_link(tmp_path: Path, mutate: Any, device: Any) -> None:
    file, link = tmp_path / "mutants.jsonl", tmp_path / "link"
    link.symlink_to(file)
    assert mutate(link, 3).code == mutate(link, 5).code == 0
    assert link.is_symlink() and file.read_bytes().count(b"\n") == 5
    path = device(3)
    assert mutate(path, 5).code == 0
    assert stat.S_ISCHR(path.stat().st_mode)


def test_mutants_that_do_not_fit_are_continued_once_there_is_room(tmp_path: Path, mutate: Any) -> None:
    whole, cut = tmp_path / "whole.jsonl", tmp_path / "cut.jsonl"
    assert mutate(whole, 12).code == 0
    with file_size_limit(whole.stat().st_size // 2):
        assert_user_error(mutate(cut, 12), f"{cut}: expected room to write", ROOM)
    assert cut.stat().st_size < whole.stat().st_size
    assert mutate(cut, 12).code == 0
    assert cut.read_bytes() == whole.read_bytes()


# --- Directories ---


@pytest.mark.parametrize("files", [["notes.txt"], ["lock"], ["lock", "notes.txt"], ["config.toml"]])
@pytest.mark.parametrize("command", ["search", "baseline", "run", "resume"])
def test_foreign_directory_is_refused_and_not_changed(
    command: str, files: list[str], puzzles: Path, tmp_path: Path, codeit: Any
) -> None:
    directory = tmp_path / "mine"
    directory.mkdir()
    for name in files:
        (directory / name).write_text("[mine]\nx = 1\n")
    before = contents(directory)
    arguments = {
        "search": ["--tasks", str(puzzles), "--train", str(puzzles), "--out", str(directory)],
        "baseline": ["--tasks", str(puzzles), "--train", str(puzzles), "--out", str(directory)],
        "run": ["smoke", "--data.train", str(puzzles), "--out", str(directory)],
        "resume": [str(directory)],
    }
    ended = codeit(command, *arguments[command])
    assert ended.code == 2 and "Traceback" not in ended.stderr
    assert str(directory) in " ".join(ended.stderr.split())
    assert contents(directory) == before


def test_foreign_lock_in_a_directory_of_ours_keeps_its_contents(
    puzzles: Path, tmp_path: Path, codeit: Any
) -> None:
    out = tmp_path / "found"
    command = ["search", "--tasks", str(puzzles), "--train", str(puzzles), "--out", str(out)]
    command += ["--programs", "20", "--workers", "1"]
    assert codeit(*command).code == 0
    (out / "lock").write_text("a list of mine\n")
    assert codeit(*command).code == 0
    assert (out / "lock").read_text() == "a list of mine\n"


@pytest.mark.parametrize("left", [None, b""])
def test_search_without_its_rows_is_refused(
    left: bytes | None, puzzles: Path, tmp_path: Path, codeit: Any
) -> None:
    out = tmp_path / "found"
    command = ["search", "--tasks", str(puzzles), "--train", str(puzzles), "--out", str(out)]
    command += ["--programs", "20", "--workers", "1"]
    assert codeit(*command).code == 0
    database = out / "search.sqlite"
    database.unlink() if left is None else database.write_bytes(left)
    before = contents(out)
    assert before[str(out / "solutions.jsonl")]
    found = "no such file" if left is None else "an empty file"
    message = f"{database}: expected the rows of the work in this directory, found {found}"
    assert_user_error(codeit(*command), message, "restore the file, or choose another --out")
    if left is not None:
        assert_user_error(codeit("report", str(out), "--out", str(tmp_path / "page.html")), message)
    assert contents(out) == before


def test_submission_whose_log_is_lost_is_refused_and_not_changed(
    puzzles: Path, tmp_path: Path, codeit: Any
) -> None:
    out = tmp_path / "submission.json"
    out.write_text("answers of an earlier call, or a file of mine")
    before = contents(tmp_path)
    ended = codeit("submit", str(puzzles), "--out", str(out), "--seconds", "1", "--policy", "none")
    assert_user_error(ended, f"{out}.search/search.sqlite: expected the rows of the work", "another --out")
    assert contents(tmp_path) == before and not Path(f"{out}.search").exists()


def call_on_full_disk(call: Callable[[], Any], disk: SmallDisk, levels: Iterable[int]) -> list[object]:
    """Call a command with ever more bytes left on a disk; return its exit codes."""
    codes = []
    for left in levels:
        ballast = disk.fill(left)
        ended = call()
        codes.append(ended.code)
        if ended.code:
            assert_user_error(ended, str(disk.path))
            assert "room" in ended.stderr or "No space left" in ended.stderr
            assert not list(disk.path.rglob("*.partial"))
        ballast.unlink()
    return codes


def test_search_on_a_full_disk_continues_once_there_is_room(
    puzzles: Path, tmp_path: Path, codeit: Any, disk: SmallDisk
) -> None:
    command = ["search", "--tasks", str(puzzles), "--train", str(puzzles), "--programs", "60"]
    command += ["--workers", "1", "--out"]
    assert codeit(*command, str(tmp_path / "whole")).code == 0
    out = disk.path / "found"
    levels = (0, 4096, 16_000, 40_000, 64_000, 80_000, 100_000, 120_000)
    assert 2 in call_on_full_disk(lambda: codeit(*command, str(out)), disk, levels)
    assert codeit(*command, str(out)).code == 0
    assert rows(out / "search.sqlite") == rows(tmp_path / "whole" / "search.sqlite")
    for name in ("solutions.jsonl", "curve.csv"):
        assert (out / name).read_bytes() == (tmp_path / "whole" / name).read_bytes()


def test_run_on_a_full_disk_continues_once_there_is_room(
    puzzles: Path, tmp_path: Path, codeit: Any, disk: SmallDisk, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("torch")
    monkeypatch.setattr("codeit.loop.load_experts", lambda **_: EXPERTS)
    (tmp_path / "c.toml").write_text(f'[data]\ntrain = "{puzzles}"\ntest = "{puzzles}"\n')
    command = ["run", str(tmp_path / "c.toml"), *SMALL, "--out"]
    assert codeit(*command, str(tmp_path / "whole")).code == 0
    out = disk.path / "run"
    levels = (0, 8192, 100_000, 200_000, 300_000, 400_000, 500_000, 700_000)
    assert call_on_full_disk(lambda: codeit(*command, str(out)), disk, levels).count(2) >= 3
    assert codeit(*command, str(out)).code == 0
    assert rows(out / "run.sqlite") == rows(tmp_path / "whole" / "run.sqlite")
    assert (out / "solutions.jsonl").read_bytes() == (tmp_path / "whole" / "solutions.jsonl").read_bytes()
