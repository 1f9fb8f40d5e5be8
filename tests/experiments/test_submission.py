"""Submissions: a valid file at every moment, the time limit, and resuming after Ctrl-C and a kill."""

from __future__ import annotations

import json
import math
import os
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from puzzles import STARTERS, solvable_tasks, unsolvable_task, without_outputs

import codeit.experiments.submission
from codeit.data.tasks import Task, load_tasks
from codeit.evaluation.candidate import Candidate
from codeit.experiments.submission import (
    Submission,
    _Job,
    _parse_state,
    _search,
    log_settings,
    submission,
)
from codeit.language import Grid
from codeit.parallel import Deadline, Workers
from codeit.storage.files import RunError
from codeit.storage.search_log import SearchLog, SearchLogReader

TASKS = sorted([*map(without_outputs, solvable_tasks()), unsolvable_task()], key=lambda task: task.id)
ANSWERS = {task.id: [pair.output for pair in task.test] for task in solvable_tasks()}
SETTINGS = log_settings(TASKS, 0, "none")
map_unordered = Workers.map_unordered


def write_challenges(directory: Path) -> Path:
    """Write TASKS as a Kaggle challenges file."""
    data = {
        task.id: {
            "train": [{"input": pair.input.tolist(), "output": pair.output.tolist()} for pair in task.train],
            "test": [{"input": pair.input.tolist()} for pair in task.test],
        }
        for task in TASKS
    }
    path = directory / "mine_challenges.json"
    path.write_text(json.dumps(data))
    return path


def read_submission(path: Path) -> dict[str, list[dict[str, Any]]]:
    """Read a submission and check its form: two attempts, which are grids, for every test input."""
    data: dict[str, list[dict[str, Any]]] = json.loads(path.read_text())
    assert list(data) == [task.id for task in TASKS]
    for task in TASKS:
        assert len(data[task.id]) == len(task.test)
        for attempts in data[task.id]:
            assert list(attempts) == ["attempt_1", "attempt_2"]
            for rows in attempts.values():
                assert Grid(rows).tolist() == rows
                assert all(type(cell) is int and 0 <= cell <= 9 for row in rows for cell in row)
    return data


def assert_solved(data: dict[str, list[dict[str, Any]]]) -> None:
    """Check that the solvable tasks are answered correctly."""
    for task_id, outputs in ANSWERS.items():
        for attempts, output in zip(data[task_id], outputs, strict=True):
            assert output is not None and output.tolist() in attempts.values()


def test_submission_has_the_format_of_arc_prize() -> None:
    a, b = Grid([[1, 2]]), Grid([[3]])
    assert submission({"x": [[a, b], [b, b]]}) == (
        '{"x": [{"attempt_1": [[1, 2]], "attempt_2": [[3]]}, {"attempt_1": [[3]], "attempt_2": [[3]]}]}\n'
    )


def test_submission_is_valid_from_the_start_and_continues_after_an_interrupt(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(codeit.experiments.submission, "FIRST_PASS_SECONDS", 0.1)
    out, directory = tmp_path / "submission.json", tmp_path / "submission.search"
    parts: list[int] = []
    seconds_per_task: list[float] = []  # pass by pass

    def watched_map(self: Any, jobs: Any, **options: Any) -> Any:
        seconds_per_task.append(jobs[0].seconds)
        return map_unordered(self, jobs, **options)

    monkeypatch.setattr(Workers, "map_unordered", watched_map)

    def interrupt(submission: Submission) -> None:
        read_submission(out)
        parts.append(len(submission.log.parts()))
        if len(parts) == 2:
            raise KeyboardInterrupt

    with SearchLog(directory, SETTINGS) as log:
        started = Submission(log, out, TASKS)
        first = read_submission(out)  # before anything was tried
        assert all(
            attempts["attempt_1"] == pair.input.tolist()
            for task in TASKS
            for attempts, pair in zip(first[task.id], task.test, strict=True)
        )
        with pytest.raises(KeyboardInterrupt):
            started.run(STARTERS, 60, 0, progress=interrupt)
        assert [state.passes for state in started.states] == [1, 1, 0, 0]
    before = out.read_bytes()

    def stop_when_solved(submission: Submission) -> None:
        if all(one.result.solved or one.passes > 2 for one in submission.states):
            raise KeyboardInterrupt

    with SearchLog(directory, SETTINGS) as log:
        continued = Submission(log, out, TASKS)
        assert out.read_bytes() == before  # nothing is lost
        assert log.spent > sum(part.seconds for part in log.parts().values()) > 0
        with pytest.raises(KeyboardInterrupt):
            continued.run(STARTERS, 60, 0, progress=stop_when_solved)
        for task, state in zip(TASKS, continued.states, strict=True):
            assert state.result.solved == (task.id != "noise")
            assert not state.settled or not state.carried
        likely = json.loads((directory / "probabilities.json").read_text())
        assert list(likely) == [task.id for task in TASKS]
        assert [0 < p < 1 for p in likely.values()] == [state.result.solved for state in continued.states]
        assert likely["noise"] == 0
        assert {one.task_id for one in log.candidates()} == ANSWERS.keys()
    assert seconds_per_task[0] == seconds_per_task[1] == 0.1  # interrupted, and continued
    assert seconds_per_task[1:] == [0.1 * 2**k for k in range(len(seconds_per_task) - 1)]
    assert_solved(read_submission(out))


@pytest.mark.flaky(reruns=2)  # measures time, and machines stall
def test_time_limit_includes_earlier_calls(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(codeit.experiments.submission, "FIRST_PASS_SECONDS", 0.1)
    out = tmp_path / "out.json"
    for seconds in (1.0, 2.0):
        with SearchLog(tmp_path / "search", SETTINGS) as log:
            answered = Submission(log, out, TASKS)
            before = log.spent
            started = time.monotonic()
            answered.run(STARTERS, seconds, 0)
            assert seconds - before <= time.monotonic() - started + 0.1 < seconds - before + 1.5
            assert log.wall_seconds() >= seconds - 0.01
    before_bytes = out.read_bytes()
    with SearchLog(tmp_path / "search", SETTINGS) as log:
        Submission(log, out, TASKS).run(STARTERS, 1.0, 0)  # less than was spent
        assert out.read_bytes() == before_bytes


@pytest.mark.flaky(reruns=2)  # measures time, and machines stall
def test_tasks_that_do_not_fit_into_the_time_are_dropped(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def slow_map(self: Any, jobs: Any, **options: Any) -> Any:
        for index, job in enumerate(jobs):
            for _, result in map_unordered(self, [job], **options):
                time.sleep(5)
                yield index, result

    monkeypatch.setattr(Workers, "map_unordered", slow_map)
    with SearchLog(tmp_path / "search", SETTINGS) as log:
        Submission(log, tmp_path / "out.json", TASKS).run(STARTERS, 9.0, 0)  # time for two
        assert 1 <= len(log.parts()) <= 2
    read_submission(tmp_path / "out.json")


@pytest.mark.flaky(reruns=2)  # measures time, and machines stall
def test_submission_ends_early_once_all_tasks_are_settled(tmp_path: Path) -> None:
    easy = [task for task in TASKS if task.id == "made0"]
    with SearchLog(tmp_path / "search", log_settings(easy, 0, "none")) as log:
        answered = Submission(log, tmp_path / "out.json", easy)
        started = time.monotonic()
        answered.run(STARTERS, 60, 0)
        assert time.monotonic() - started < 30 and answered.states[0].settled


def test_votes_of_earlier_passes_count() -> None:
    (task, *_) = (one for one in TASKS if one.id in ANSWERS)

    def answers_after(answers: list[Candidate]) -> list[Candidate]:
        carried = [one.program for one in answers]
        job = _Job(task, answers, carried, 0, programs=50, seconds=60, end=Deadline(math.inf))
        found = _search(STARTERS, None, job)
        assert found is not None
        return _parse_state(task, found[0].state)[0]

    (first, *_) = answers_after([])
    (again, *_) = answers_after([replace(first, votes=1_000_000)])
    assert again.answer == first.answer is not None
    assert 1_000_000 <= again.votes < 1_000_100


def test_submission_does_not_continue_with_other_tasks(tmp_path: Path) -> None:
    with SearchLog(tmp_path, SETTINGS):
        pass
    with pytest.raises(RunError, match=r"tasks: expected 4, as the search began, found 3"):
        SearchLog(tmp_path, log_settings(TASKS[:3], 0, "none"))
    changed = [*TASKS[:3], Task(TASKS[3].id, TASKS[2].train, TASKS[3].test)]
    with pytest.raises(RunError, match=r"content: expected '\w+', as the search began, found '\w+'"):
        SearchLog(tmp_path, log_settings(changed, 0, "none"))


def count_parts(directory: Path) -> int:
    """Return the number of finished parts of a search that another process may be writing."""
    try:
        with sqlite3.connect(f"file:{directory / 'search.sqlite'}?mode=ro", uri=True) as database:
            (count,) = database.execute("SELECT count(*) FROM part").fetchone()
            return int(count)
    except sqlite3.OperationalError:  # not there yet
        return 0


@pytest.fixture
def submit(tmp_path: Path) -> Callable[[str], subprocess.Popen[str]]:
    """Start `codeit submit` on a challenges file, with the given number of seconds."""
    file = write_challenges(tmp_path)
    assert [task.id for task in load_tasks(file)] == [task.id for task in TASKS]

    def start(seconds: str) -> subprocess.Popen[str]:
        command = [
            *(sys.executable, "-m", "codeit", "submit", str(file), "--out", str(tmp_path / "answers.json")),
            *("--policy", "none", "--workers", "2", "--seconds", seconds),
        ]
        return subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True
        )

    return start


def wait_for_a_part(directory: Path) -> None:
    for _ in range(600):
        if count_parts(directory):
            return
        time.sleep(0.05)
    pytest.fail("no part was finished in 30 seconds")


def test_killed_submission_continues(tmp_path: Path, submit: Callable[[str], subprocess.Popen[str]]) -> None:
    out, search = tmp_path / "answers.json", tmp_path / "answers.json.search"
    killed = submit("60")
    wait_for_a_part(search)
    os.killpg(killed.pid, signal.SIGKILL)
    killed.communicate()
    read_submission(out)
    done = count_parts(search)
    continued = submit("20")
    stdout, stderr = continued.communicate()
    assert continued.returncode == 0, stderr
    assert "3 of 4 tasks solved (all demonstrations)" in " ".join(stdout.split())
    assert "3 of 4 tasks answered with a probability of at least 50%" in " ".join(stdout.split())
    assert count_parts(search) > done
    assert_solved(read_submission(out))


def test_interrupted_submission_leaves_a_valid_file(
    tmp_path: Path, submit: Callable[[str], subprocess.Popen[str]]
) -> None:
    stopped = submit("60")
    wait_for_a_part(tmp_path / "answers.json.search")
    os.killpg(stopped.pid, signal.SIGINT)  # as a terminal does: to all its processes
    stdout, stderr = stopped.communicate(timeout=60)
    assert stopped.returncode == 130
    assert "Traceback" not in stderr and "stopped; the same command continues" in stderr
    assert "of 4 tasks solved" in " ".join(stdout.split())
    read_submission(tmp_path / "answers.json")


@pytest.mark.flaky(reruns=2)  # measures time, and machines stall
def test_calls_take_the_budget_together(
    tmp_path: Path, submit: Callable[[str], subprocess.Popen[str]]
) -> None:
    total = 0.0
    for stop_after in (2.5, 2.5, None):
        started = time.monotonic()
        call = submit("10")
        if stop_after is not None:
            time.sleep(stop_after)
            os.killpg(call.pid, signal.SIGINT)
        _, stderr = call.communicate(timeout=60)
        total += time.monotonic() - started
        assert call.returncode == (0 if stop_after is None else 130), stderr
    assert 9 < total < 10 + 2.5
    with SearchLogReader(tmp_path / "answers.json.search") as log:
        assert abs(log.wall_seconds() - total) < 1.5
    started = time.monotonic()
    submit("10").communicate(timeout=60)  # nothing is left
    assert time.monotonic() - started < 5
