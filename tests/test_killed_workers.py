"""Worker processes that are killed, as the operating system does when memory runs out."""

from __future__ import annotations

import multiprocessing
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from killable import Work, count_to, square
from puzzles import SMALL, SMALL_SEARCH, STARTERS, solvable_tasks, unsolvable_task

import codeit.experiments.submission
from codeit.config import SolveSettings
from codeit.experiments.search_run import run_search
from codeit.experiments.submission import Submission, log_settings
from codeit.parallel import REPEATS, WorkerError, Workers, map_ordered, map_unordered, stream_results
from codeit.solver import SolveResult, iter_solve
from codeit.storage.search_log import SearchLog

NOISE = unsolvable_task()
SETTINGS = SolveSettings(evolution=SMALL)
original_search = codeit.experiments.submission._search


def make_work(directory: Path, numbers: range, kills: dict[int, int]) -> list[Work]:
    """Return work on `numbers`; `kills` tells how often the process of a number is killed."""
    (directory / "done").mkdir()
    for n in numbers:
        (directory / str(n)).mkdir()
        for k in range(kills.get(n, 0)):
            (directory / str(n) / str(k)).touch()
    return [Work(n, directory / str(n), directory / "done") for n in numbers]


def attempts(work: Work) -> int:
    return len(list(work.done.glob(f"{work.n}-*")))


def kill_children() -> None:
    for child in multiprocessing.active_children():
        child.kill()


@pytest.mark.parametrize("kills", [{0: 1}, {3: REPEATS, 4: 1, 11: 2}])
def test_maps_repeat_the_jobs_of_killed_processes_and_no_others(
    kills: dict[int, int], tmp_path: Path
) -> None:
    for name in ("ordered", "unordered"):
        (tmp_path / name).mkdir()
        jobs = make_work(tmp_path / name, range(12), kills)
        if name == "ordered":
            assert list(map_ordered(square, iter(jobs), 2)) == [n * n for n in range(12)]
        else:
            assert sorted(map_unordered(square, jobs, 3)) == [(n, n * n) for n in range(12)]
        assert [attempts(job) for job in jobs] == [1 + kills.get(n, 0) for n in range(12)]


def test_job_whose_process_dies_every_time_ends_the_maps(tmp_path: Path) -> None:
    jobs = make_work(tmp_path, range(8), {5: 99})
    expected = "^a worker process died 4 times on job 6; it may have run out of memory; use fewer workers"
    before = []
    with pytest.raises(WorkerError, match=expected):
        for result in map_ordered(square, jobs, 2):
            before.append(result)
    assert before == [n * n for n in range(5)]
    with pytest.raises(WorkerError, match=r"died 4 times on the job of 5;"):
        list(map_unordered(square, jobs, 2, lambda k: f"the job of {k}"))
    assert attempts(jobs[5]) == 2 * (1 + REPEATS)
    assert not multiprocessing.active_children()


def test_lost_job_does_not_end_the_map_if_the_caller_takes_the_error(tmp_path: Path) -> None:
    jobs = make_work(tmp_path, range(8), {5: 99})
    lost: list[int] = []
    with Workers(square, 2) as pool:
        for _ in range(2):  # the same processes do both
            results = sorted(pool.map_unordered(jobs, lost=lambda index, error: lost.append(index)))
            assert results == [(n, n * n) for n in range(8) if n != 5]
    assert lost == [5, 5]


def test_processes_killed_while_idle_are_replaced(tmp_path: Path) -> None:
    jobs = make_work(tmp_path, range(6), {})
    with Workers(square, 2) as pool:
        for _ in range(2):
            assert sorted(pool.map_unordered(jobs)) == [(n, n * n) for n in range(6)]
            kill_children()
            time.sleep(0.1)
    assert not multiprocessing.active_children()


@pytest.mark.flaky(reruns=2)  # measures time, and machines stall
def test_map_ends_at_its_deadline(tmp_path: Path) -> None:
    with Workers(time.sleep, 2) as pool:
        started = time.monotonic()
        assert [k for k, _ in pool.map_unordered([0.0, 60.0, 0.0], deadline=started + 2)] == [0, 2]
        assert 2 <= time.monotonic() - started < 3
    assert time.monotonic() - started < 4
    assert not multiprocessing.active_children()


def test_stream_of_a_killed_process_starts_again(tmp_path: Path) -> None:
    jobs = make_work(tmp_path, range(3, 6), {4: 2})
    results = list(stream_results(count_to, jobs))
    assert [k for job, k in results if job == 0] == [0, 1, 2]
    assert [k for job, k in results if job == 1] == [0, 1, 0, 1, 0, 1, 2, 3]
    assert [k for job, k in results if job == 2] == [0, 1, 2, 3, 4]


def test_other_streams_continue_without_one_whose_process_dies_every_time(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    jobs = make_work(tmp_path, range(3, 5), {4: 99})
    results = list(stream_results(count_to, jobs, name=lambda k: f"stream {k}"))
    assert [k for job, k in results if job == 0] == [0, 1, 2]
    assert [k for job, k in results if job == 1] == [0, 1] * (1 + REPEATS)
    (warning,) = caplog.messages
    assert "died 4 times on stream 1;" in warning and warning.endswith("; the others continue")
    (tmp_path / "more").mkdir()
    with pytest.raises(WorkerError, match=r"died 4 times on job [12]"):
        list(stream_results(count_to, make_work(tmp_path / "more", range(3, 5), {3: 99, 4: 99})))


def search_two_populations(programs: int) -> Iterator[SolveResult]:
    return iter_solve(
        NOISE, programs=programs, policy="none", populations=2, starters=STARTERS, settings=SETTINGS
    )


def comparable(result: SolveResult) -> tuple[object, ...]:
    programs = [(str(one.program), one.demonstrations_solved, one.votes) for one in result.programs]
    return result.tried, programs, result.attempts


def test_solve_with_killed_processes_gives_the_undisturbed_result() -> None:
    (*_, undisturbed) = search_two_populations(30_000)
    killed, tried = 0, []
    for result in search_two_populations(30_000):
        tried.append(result.tried)
        if killed < 2 and 5_000 * (killed + 1) < result.tried < 25_000:
            max(multiprocessing.active_children(), key=lambda child: child.pid or 0).kill()
            killed += 1
    assert killed == 2
    assert tried == sorted(tried)  # a population that starts again keeps what it had reported
    assert comparable(result) == comparable(undisturbed)


def test_solve_continues_without_a_population_that_dies_every_time(caplog: pytest.LogCaptureFixture) -> None:
    spared: int | None = None
    killed: set[int] = set()
    for result in search_two_populations(30_000):
        children = sorted(child.pid or 0 for child in multiprocessing.active_children())
        if result.tried and spared is None:
            spared = children[0]
        if spared is not None:
            for child in set(children) - {spared} - killed:
                os.kill(child, signal.SIGKILL)
                killed.add(child)
    assert len(killed) == 1 + REPEATS
    assert 15_000 <= result.tried < 30_000 and result.programs
    (warning,) = caplog.messages
    assert f"died 4 times on task {NOISE.id}, population 2 of 2;" in warning


def test_solve_ends_with_an_error_if_all_populations_die() -> None:
    with pytest.raises(WorkerError, match=r"died 4 times on task noise, population [12] of 2"):
        for _ in search_two_populations(10**9):
            kill_children()


def rows(directory: Path, kill_at: int = -1) -> Any:
    """Evolve and return what the log holds; kill all processes once `kill_at` tasks are done."""
    tasks = [*solvable_tasks(), NOISE]

    def progress(done: int, total: int) -> None:
        if done == kill_at:
            kill_children()

    with SearchLog(directory, {}) as log:
        run_search(log, STARTERS, tasks, 2000, 0, settings=SMALL_SEARCH, workforce=2, progress=progress)
        parts = {number: (part.programs, part.state) for number, part in log.parts().items()}
        return parts, log.candidates()


def test_evolution_with_killed_processes_finds_the_same(tmp_path: Path) -> None:
    undisturbed = rows(tmp_path / "undisturbed")
    assert len(undisturbed[0]) == 4
    assert rows(tmp_path / "killed", kill_at=1) == undisturbed


def dying_search(starters: Any, policy: Any, job: Any) -> Any:
    if job.task.id == "noise":
        os.kill(os.getpid(), signal.SIGKILL)
    return original_search(starters, policy, job)


def test_submission_continues_without_a_task_whose_process_dies_every_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    tasks = [*solvable_tasks(), NOISE]
    monkeypatch.setattr(codeit.experiments.submission, "_search", dying_search)
    monkeypatch.setattr(codeit.experiments.submission, "FIRST_PASS_SECONDS", 1.0)
    with SearchLog(tmp_path / "search", log_settings(tasks, 0, "none")) as log:
        answered = Submission(log, tmp_path / "out.json", tasks)
        with pytest.raises(WorkerError, match="died 4 times on task noise"):  # once no other is left
            answered.run(STARTERS, 120, 0, workforce=2)
        assert [state.settled for state in answered.states] == [True, True, True, False]
        assert answered.states[3].passes == 0
    assert [message for message in caplog.messages if "task noise" in message] == [
        "a worker process died 4 times on task noise; it may have run out of memory; use fewer workers, "
        "threads or populations; the other tasks continue"
    ]


def worker_processes(parent: int) -> list[int]:
    """Return the ids of the worker processes of a process."""
    listed = subprocess.run(
        ["ps", "-ww", "-eo", "pid=,ppid=,args="], capture_output=True, text=True, check=True
    )
    split = [line.split(maxsplit=2) for line in listed.stdout.splitlines()]
    return [int(pid) for pid, ppid, args in split if int(ppid) == parent and "spawn_main" in args]


def test_command_whose_workers_are_killed_ends_with_one_line(tmp_path: Path) -> None:
    command = [
        *(sys.executable, "-m", "codeit", "search", "--out", str(tmp_path / "out"), "--workers", "2"),
        *("--programs", "1000000000"),
    ]
    running = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    give_up = time.monotonic() + 60
    while running.poll() is None and time.monotonic() < give_up:
        for process in worker_processes(running.pid):
            os.kill(process, signal.SIGKILL)
        time.sleep(0.2)
    running.kill()
    _, stderr = running.communicate()
    assert running.returncode == 2, stderr
    assert "Traceback" not in stderr
    assert "a worker process died 4 times on task" in stderr.splitlines()[-1]


def test_first_process_of_a_stream_ignores_sigint(tmp_path: Path) -> None:
    code = (
        "import signal; from codeit.parallel import stream_results; from killable import blocked;"
        "print(sorted(stream_results(blocked, [0, 1])))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        env=os.environ | {"PYTHONPATH": str(Path(__file__).parent)},
        timeout=60,
    )
    assert (done.stdout, done.stderr) == ("[(0, True), (1, True)]\n", "")
