"""A whole set of tasks in one budget: a valid file at every moment, killed and resumed."""

from __future__ import annotations

import json
import os
import signal
import sqlite3
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from puzzles import STARTERS, out_of_reach, within_reach, without_outputs

import codeit.submission
from codeit.files import RunError
from codeit.language import Grid
from codeit.record import Record
from codeit.submission import Submission, settings, submission
from codeit.tasks import Task, load

TASKS = sorted([*map(without_outputs, within_reach()), out_of_reach()], key=lambda task: task.id)
ANSWERS = {task.id: [pair.output for pair in task.test] for task in within_reach()}


def challenges(folder: Path, tasks: list[Task] = TASKS) -> Path:
    """A Kaggle challenges file."""
    data = {
        task.id: {
            "train": [{"input": pair.input.tolist(), "output": pair.output.tolist()} for pair in task.train],
            "test": [{"input": pair.input.tolist()} for pair in task.test],
        }
        for task in tasks
    }
    path = folder / "mine_challenges.json"
    path.write_text(json.dumps(data))
    return path


def checked(path: Path) -> dict[str, list[dict[str, Any]]]:
    """A submission, its form checked: two attempts, which are grids, for every test input of every task."""
    form: dict[str, list[dict[str, Any]]] = json.loads(path.read_text())
    assert list(form) == [task.id for task in TASKS]
    for task in TASKS:
        assert len(form[task.id]) == len(task.test)
        for attempts in form[task.id]:
            assert list(attempts) == ["attempt_1", "attempt_2"]
            for rows in attempts.values():
                assert Grid(rows).tolist() == rows
                assert all(type(cell) is int and 0 <= cell <= 9 for row in rows for cell in row)
    return form


def test_the_form() -> None:
    a, b = Grid([[1, 2]]), Grid([[3]])
    assert submission({"x": [[a, b], [b, b]]}) == (
        '{"x": [{"attempt_1": [[1, 2]], "attempt_2": [[3]]}, {"attempt_1": [[3]], "attempt_2": [[3]]}]}\n'
    )


def test_a_set_is_answered_interrupted_and_resumed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(codeit.submission, "FIRST", 0.1)
    out, folder = tmp_path / "submission.json", tmp_path / "submission.search"
    parts: list[int] = []

    def interrupt(submission: Submission) -> None:
        checked(out)
        parts.append(len(submission.record.parts()))
        if len(parts) == 2:
            raise KeyboardInterrupt

    with Record(folder, settings(TASKS, 0, "none")) as record:
        begun = Submission(record, out, TASKS)
        first = checked(out)  # before anything was tried
        assert all(
            attempts["attempt_1"] == pair.input.tolist()
            for task in TASKS
            for attempts, pair in zip(first[task.id], task.test, strict=True)
        )
        with pytest.raises(KeyboardInterrupt):
            begun.run(STARTERS, 60, 0, progress=interrupt)
        assert [state.passes for state in begun.states] == [1, 1, 0, 0]
    before = out.read_bytes()

    began = time.monotonic()
    with Record(folder, settings(TASKS, 0, "none")) as record:
        again = Submission(record, out, TASKS)
        assert out.read_bytes() == before  # nothing is lost
        again.run(STARTERS, 4 + again.spent, 0)
        assert time.monotonic() - began < 6
        noise = again.states[TASKS.index(out_of_reach())]
        assert noise.passes > 2 and not noise.settled and not noise.result.solved
        seconds = [part.seconds for number, part in record.parts().items() if TASKS[number % 4].id == "noise"]
        assert seconds[1] > 1.5 * seconds[0]  # each pass takes longer
        for task, state in zip(TASKS, again.states, strict=True):
            assert state.result.solved == (task.id != "noise")
            assert not state.settled or not state.carried
        assert {found.task for found in record.found()} == ANSWERS.keys()
    form = checked(out)
    for id, outputs in ANSWERS.items():
        for attempts, output in zip(form[id], outputs, strict=True):
            assert output.tolist() in attempts.values()


def test_all_that_is_settled_ends_early(tmp_path: Path) -> None:
    easy = [task for task in TASKS if task.id == "made0"]
    with Record(tmp_path / "search", settings(easy, 0, "none")) as record:
        answered = Submission(record, tmp_path / "out.json", easy)
        began = time.monotonic()
        answered.run(STARTERS, 60, 0)
        assert time.monotonic() - began < 30 and answered.states[0].settled


def test_other_tasks_are_no_way_to_go_on(tmp_path: Path) -> None:
    with Record(tmp_path, settings(TASKS, 0, "none")):
        pass
    with pytest.raises(RunError, match=r"tasks: expected 4, as the search began, found 3"):
        Record(tmp_path, settings(TASKS[:3], 0, "none"))
    changed = [*TASKS[:3], Task(TASKS[3].id, TASKS[2].train, TASKS[3].test)]
    with pytest.raises(RunError, match=r"content: expected '\w+', as the search began, found '\w+'"):
        Record(tmp_path, settings(changed, 0, "none"))


def parts(folder: Path) -> int:
    try:
        with sqlite3.connect(f"file:{folder / 'search.sqlite'}?mode=ro", uri=True) as db:
            (count,) = db.execute("SELECT count(*) FROM part").fetchone()
            return int(count)
    except sqlite3.OperationalError:  # not there yet
        return 0


def test_a_killed_submission_goes_on(tmp_path: Path) -> None:
    file, out = challenges(tmp_path), tmp_path / "submission.json"
    assert [task.id for task in load(file)] == [task.id for task in TASKS]
    command = [sys.executable, "-m", "codeit", "submit", str(file), "--out", str(out), "--policy", "none"]
    environment = {**os.environ, "COLUMNS": "100"}
    killed = subprocess.Popen(
        [*command, "--seconds", "60", "--workers", "2"],
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=environment,
    )  # fmt: skip
    for _ in range(600):
        if parts(tmp_path / "submission.search"):
            break
        time.sleep(0.05)
    killed.send_signal(signal.SIGKILL)
    killed.wait()
    checked(out)
    done = parts(tmp_path / "submission.search")
    assert done

    shown = subprocess.run(
        [*command, "--seconds", "7", "--workers", "1"], capture_output=True, text=True, env=environment
    )
    assert shown.returncode == 0, shown.stderr
    assert f"{out}: all demonstrations solved of 3 of 4 tasks" in shown.stdout
    assert parts(tmp_path / "submission.search") > done
    form = checked(out)
    for id, outputs in ANSWERS.items():
        assert [output.tolist() in one.values() for one, output in zip(form[id], outputs, strict=True)] == [
            True
        ] * len(outputs)
