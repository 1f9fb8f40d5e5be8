"""A whole set of tasks in one budget: a valid file at every moment, killed and resumed."""

from __future__ import annotations

import json
import os
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from puzzles import STARTERS, out_of_reach, within_reach, without_outputs

import codeit.experiments.submission
from codeit.storage.files import RunError
from codeit.language import Grid
from codeit.storage.search_log import SearchLog
from codeit.experiments.submission import Submission, settings, submission
from codeit.data.tasks import Task, load_tasks
from codeit.parallel import each

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
    monkeypatch.setattr(codeit.experiments.submission, "FIRST", 0.1)
    out, folder = tmp_path / "submission.json", tmp_path / "submission.search"
    parts: list[int] = []
    asked: list[float] = []  # seconds for each task, pass by pass

    def each_watched(function: Any, jobs: Any, workers: int) -> Any:
        asked.append(jobs[0].seconds)
        return map_unordered(function, jobs, workers)

    monkeypatch.setattr(codeit.experiments.submission, "each", each_watched)

    def interrupt(submission: Submission) -> None:
        checked(out)
        parts.append(len(submission.record.parts()))
        if len(parts) == 2:
            raise KeyboardInterrupt

    with SearchLog(folder, settings(TASKS, 0, "none")) as record:
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

    def enough(submission: Submission) -> None:
        if all(one.result.solved or one.passes > 2 for one in submission.states):
            raise KeyboardInterrupt

    with SearchLog(folder, settings(TASKS, 0, "none")) as record:
        again = Submission(record, out, TASKS)
        assert out.read_bytes() == before  # nothing is lost
        assert again.spent == sum(part.seconds for part in record.parts().values()) > 0
        with pytest.raises(KeyboardInterrupt):
            again.run(STARTERS, 60, 0, progress=enough)
        for task, state in zip(TASKS, again.states, strict=True):
            assert state.result.solved == (task.id != "noise")
            assert not state.settled or not state.carried
        assert {found.task for found in record.found()} == ANSWERS.keys()
    assert asked[0] == asked[1] == 0.1  # interrupted, and gone on with
    assert asked[1:] == [0.1 * 2**k for k in range(len(asked) - 1)]
    form = checked(out)
    for id, outputs in ANSWERS.items():
        for attempts, output in zip(form[id], outputs, strict=True):
            assert output.tolist() in attempts.values()


def test_the_time_is_kept_in_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(codeit.experiments.submission, "FIRST", 0.1)
    out, begun = tmp_path / "out.json", settings(TASKS, 0, "none")
    for seconds in (1.0, 2.0):
        with SearchLog(tmp_path / "search", begun) as record:
            answered = Submission(record, out, TASKS)
            before = answered.spent
            began = time.monotonic()
            answered.run(STARTERS, seconds, 0)
            assert seconds - before <= time.monotonic() - began + 0.1 < seconds - before + 1.5
            assert answered.spent > seconds - 0.5
    before_bytes = out.read_bytes()
    with SearchLog(tmp_path / "search", begun) as record:
        Submission(record, out, TASKS).run(STARTERS, 1.0, 0)  # long over
        assert out.read_bytes() == before_bytes


def test_tasks_that_the_time_does_not_reach_are_left(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def slow(function: Any, jobs: Any, workers: int) -> Any:
        for result in map_unordered(function, jobs, workers):
            time.sleep(0.3)
            yield result

    monkeypatch.setattr(codeit.experiments.submission, "each", slow)
    with SearchLog(tmp_path / "search", settings(TASKS, 0, "none")) as record:
        Submission(record, tmp_path / "out.json", TASKS).run(STARTERS, 0.4, 0)
        assert 1 <= len(record.parts()) <= 2
    checked(tmp_path / "out.json")


def test_all_that_is_settled_ends_early(tmp_path: Path) -> None:
    easy = [task for task in TASKS if task.id == "made0"]
    with SearchLog(tmp_path / "search", settings(easy, 0, "none")) as record:
        answered = Submission(record, tmp_path / "out.json", easy)
        began = time.monotonic()
        answered.run(STARTERS, 60, 0)
        assert time.monotonic() - began < 30 and answered.states[0].settled


def test_other_tasks_are_no_way_to_go_on(tmp_path: Path) -> None:
    with SearchLog(tmp_path, settings(TASKS, 0, "none")):
        pass
    with pytest.raises(RunError, match=r"tasks: expected 4, as the search began, found 3"):
        SearchLog(tmp_path, settings(TASKS[:3], 0, "none"))
    changed = [*TASKS[:3], Task(TASKS[3].id, TASKS[2].train, TASKS[3].test)]
    with pytest.raises(RunError, match=r"content: expected '\w+', as the search began, found '\w+'"):
        SearchLog(tmp_path, settings(changed, 0, "none"))


def parts(folder: Path) -> int:
    try:
        with sqlite3.connect(f"file:{folder / 'search.sqlite'}?mode=ro", uri=True) as db:
            (count,) = db.execute("SELECT count(*) FROM part").fetchone()
            return int(count)
    except sqlite3.OperationalError:  # not there yet
        return 0


@pytest.fixture
def submit(tmp_path: Path) -> Callable[[str], subprocess.Popen[str]]:
    """The command, on a challenges file, with so many seconds."""
    file = challenges(tmp_path)
    assert [task.id for task in load_tasks(file)] == [task.id for task in TASKS]

    def begin(seconds: str) -> subprocess.Popen[str]:
        command = [
            *(sys.executable, "-m", "codeit", "submit", str(file), "--out", str(tmp_path / "answers.json")),
            *("--policy", "none", "--workers", "2", "--seconds", seconds),
        ]
        return subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True
        )

    return begin


def until_something_is_done(search: Path) -> int:
    for _ in range(600):
        if done := parts(search):
            return done
        time.sleep(0.05)
    pytest.fail("nothing was done in 30 seconds")


def test_a_killed_submission_goes_on(tmp_path: Path, submit: Callable[[str], subprocess.Popen[str]]) -> None:
    out, search = tmp_path / "answers.json", tmp_path / "answers.json.search"
    killed = submit("60")
    until_something_is_done(search)
    os.killpg(killed.pid, signal.SIGKILL)
    killed.communicate()
    checked(out)
    done = parts(search)
    again = submit("8")
    printed, told = again.communicate()
    assert again.returncode == 0, told
    assert "3 of 4 tasks solved (all demonstrations)" in " ".join(printed.split())
    assert parts(search) > done
    form = checked(out)
    for id, outputs in ANSWERS.items():
        for attempts, output in zip(form[id], outputs, strict=True):
            assert output.tolist() in attempts.values()


def test_ctrl_c_leaves_a_submission(tmp_path: Path, submit: Callable[[str], subprocess.Popen[str]]) -> None:
    stopped = submit("60")
    until_something_is_done(tmp_path / "answers.json.search")
    os.killpg(stopped.pid, signal.SIGINT)  # as a terminal does: to all its processes
    printed, told = stopped.communicate(timeout=20)
    assert stopped.returncode == 130
    assert "Traceback" not in told and "stopped; the same command goes on" in told
    assert "of 4 tasks solved" in " ".join(printed.split())
    checked(tmp_path / "answers.json")
