"""`codeit solve` and `codeit submit` as a user meets them."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from puzzles import out_of_reach, within_reach, without_outputs

from codeit.cli.main import main
from codeit.language import Program
from codeit.data.tasks import Task

# The command line is the one of sys.argv, which the tests set.
pytestmark = pytest.mark.filterwarnings("ignore:Cyclopts application invoked without tokens")
QUICK = ["--policy", "none", "--populations", "1", "--programs"]
REACHED, NOISE = within_reach()[1], out_of_reach()


@pytest.fixture(autouse=True)
def _signals() -> Iterator[None]:
    before = signal.getsignal(signal.SIGTERM)
    yield
    signal.signal(signal.SIGTERM, before)


@pytest.fixture
def codeit(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Any:
    """The command line in this process: exit code, stdout, stderr."""

    def run(*arguments: str) -> tuple[object, str, str]:
        monkeypatch.setattr(sys, "argv", ["codeit", *arguments])
        with pytest.raises(SystemExit) as ended:
            main()
        return ended.value.code, *capsys.readouterr()

    return run


def data(task: Task) -> dict[str, Any]:
    def pair(input: Any, output: Any) -> dict[str, Any]:
        return {"input": input.tolist()} | ({} if output is None else {"output": output.tolist()})

    return {"train": [pair(*p) for p in task.train], "test": [pair(*p) for p in task.test]}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A puzzle within reach, the same without test outputs, and one out of reach."""
    puzzles = tmp_path / "puzzles"
    puzzles.mkdir()
    for name, task in (("reached", REACHED), ("asked", without_outputs(REACHED)), ("noise", NOISE)):
        (puzzles / f"{name}.json").write_text(json.dumps(data(task)))
    return puzzles


def test_a_puzzle_within_reach(folder: Path, tmp_path: Path, codeit: Any) -> None:
    out = tmp_path / "answer.json"
    code, printed, told = codeit("solve", str(folder / "asked.json"), *QUICK, "3000", "--out", str(out))
    assert code == 0, told
    assert "train[0]" in printed and "test[1], attempt 2" in printed
    assert "3 of 3" in printed and "\nsolved:" in printed
    assert "right:" not in printed  # nobody knows
    answers = json.loads(out.read_text())
    assert [one["attempt_1"] for one in answers["asked"]] == [
        p.output and p.output.tolist() for p in REACHED.test
    ]
    assert all(list(one) == ["attempt_1", "attempt_2"] for one in answers["asked"])
    lines = [line.split("│")[1].strip() for line in printed.splitlines() if line.count("│") > 2]
    first = lines[: 1 + next(k for k, line in enumerate(lines) if line.startswith("O = "))]
    program = Program.parse("\n".join(first))
    assert all(program(pair.input) == pair.output for pair in REACHED.train)

    again = codeit("solve", str(folder / "asked.json"), *QUICK, "3000", "--out", str(out))
    assert again[:2] == (0, printed)
    (folder / "asked.json").write_text(json.dumps(data(REACHED)))
    code, knowing, _ = codeit("solve", str(folder / "asked.json"), *QUICK, "3000")
    assert knowing == printed + "right: 2 of 2 test outputs that are known\n"  # and it helped nobody


def test_a_puzzle_out_of_reach(folder: Path, tmp_path: Path, codeit: Any) -> None:
    code, printed, told = codeit(
        "solve", str(folder / "noise.json"), *QUICK, "1000", "--out", str(tmp_path / "answer.json")
    )
    assert code == 1
    assert "not solved: no program solves all demonstrations" in printed
    assert "come closest" in printed and "0 of 3" in printed
    assert "noise: 0 of 3 demonstrations solved" in told
    assert len(json.loads((tmp_path / "answer.json").read_text())["noise"]) == 1


def test_a_folder_of_puzzles_and_one_of_them(folder: Path, tmp_path: Path, codeit: Any) -> None:
    out = str(tmp_path / "answer.json")
    code, printed, _ = codeit("solve", str(folder), *QUICK, "3000", "--out", out)
    assert code == 1  # one of them is not solved
    assert printed.count("\nsolved:") == 2 and printed.count("not solved:") == 1
    assert list(json.loads(Path(out).read_text())) == ["asked", "noise", "reached"]
    code, _, _ = codeit("solve", str(folder), "--task", "asked", *QUICK, "3000", "--out", out)
    assert code == 0
    assert list(json.loads(Path(out).read_text())) == ["asked"]


def test_a_known_task(codeit: Any) -> None:
    code, printed, _ = codeit("solve", "67a3c6ac", *QUICK, "400")
    assert code == 0
    assert "O = vmirror(I)" in printed and "right: 1 of 1" in printed


def test_a_page(folder: Path, tmp_path: Path, codeit: Any) -> None:
    pytest.importorskip("codeit.report.page")
    page = tmp_path / "answer.html"
    code, _, told = codeit("solve", str(folder / "asked.json"), *QUICK, "3000", "--html", str(page))
    assert code == 0, told
    text = page.read_text()
    assert "asked" in text and "hconcat" in text


MISTAKES = {
    "nothing there": (["nothing.json"], "nothing.json: expected a folder, a file, or the id of a task"),
    "no such id": (["00576225"], "expected a task 00576225, found none of that id. Did you mean 00576224?"),
    "no such task in it": (["puzzles", "--task", "askd"], "puzzles: expected a task askd, found none"),
    "no JSON": (["cut.json"], "cut.json: line 1, column 12 (from 1): expected JSON, found a syntax error"),
    "no demonstrations": (["empty.json"], 'empty.json: train: expected at least one pair, found none.'),
    "not a colour": (["odd.json"], "odd.json: train[0] input, row 0, column 1: expected a colour"),
    "no policy": (["puzzles", "--policy", "puzzles"], "or a policy's folder, found no policy.json in it"),
    "a page for many": (["puzzles", "--html", "x.html"], "--html: expected one task, found 3 in puzzles"),
    "nowhere to write": (["puzzles", "--out", "none/x.json"], "expected a folder at none, found nothing"),
    "a folder to write": (["puzzles", "--out", "puzzles"], "--out puzzles: expected a file, found a folder"),
    "no time": (["puzzles", "--seconds", "0"], "Must be > 0"),
    "no programs": (["puzzles", "--programs", "0"], "Must be >= 1"),
    "no samples": (["puzzles", "--samples", "0"], "greater than or equal to 1"),
}  # fmt: skip


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_mistake_is_told_before_anything_is_done(
    user_error: str, folder: Path, codeit: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(folder.parent)
    Path("cut.json").write_text('{"train": [')
    Path("empty.json").write_text('{"train": [], "test": [{"input": [[1]]}]}')
    Path("odd.json").write_text(json.dumps({"train": [{"input": [[1, 10]], "output": [[1]]}], "test": []}))
    before = sorted(Path().rglob("*"))
    arguments, message = MISTAKES[user_error]
    code, printed, told = codeit("solve", *arguments)
    assert code not in (0, 1, 130) and printed == ""
    assert message in " ".join(told.replace("│", " ").split())
    assert sorted(Path().rglob("*")) == before


def test_mistakes_of_submit(folder: Path, codeit: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(folder.parent)
    for arguments, message in (
        (
            ["none.json", "--out", "x.json", "--seconds", "9"],
            "none.json: expected a folder, a file or one of",
        ),
        (["puzzles", "--out", "none/x.json", "--seconds", "9"], "expected a folder at none, found nothing"),
        (["puzzles", "--out", "x.json"], "--seconds"),
        (["puzzles", "--out", "x.json", "--seconds", "9", "--policy", "puzzles"], "found no policy.json"),
    ):
        code, printed, told = codeit("submit", *arguments)
        assert code not in (0, 1, 130) and printed == ""
        assert message in " ".join(told.replace("│", " ").split())
    assert sorted(path.name for path in Path().iterdir()) == ["puzzles"]


def test_ctrl_c_shows_and_writes_what_there_is(folder: Path, tmp_path: Path) -> None:
    out = tmp_path / "answer.json"
    command = [
        *(sys.executable, "-m", "codeit", "solve", str(folder / "noise.json"), "--policy", "none"),
        *("--seconds", "60", "--populations", "2", "--out", str(out)),
    ]
    environment = {**os.environ, "PYTHONUNBUFFERED": "1"}
    process = subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment,
        start_new_session=True,
    )  # fmt: skip
    assert process.stderr is not None
    assert "noise: 0 of 3 demonstrations solved" in process.stderr.readline()
    os.killpg(process.pid, signal.SIGINT)  # as a terminal does: to all its processes
    printed, told = process.communicate(timeout=20)
    assert process.returncode == 130
    assert "Traceback" not in told and "stopped; this is what there was" in told
    assert "not solved" in printed and "test[0], attempt 2" in printed
    assert len(json.loads(out.read_text())["noise"]) == 1
