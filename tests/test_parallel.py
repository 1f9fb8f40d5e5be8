"""Work in child processes: order, errors, deadlines, and scripts that start processes."""

from __future__ import annotations

import functools
import itertools
import math
import os
import pickle
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from codeit.parallel import Deadline, WorkerError, map_ordered, map_unordered, stream_results


def square(n: int) -> int:
    if n < 0:
        raise ValueError(f"{n} is negative")
    return n * n


@pytest.mark.parametrize("workers", [1, 2])
def test_map_unordered_does_each_job_once(workers: int) -> None:
    assert sorted(map_unordered(square, range(5), workers)) == [(n, n * n) for n in range(5)]
    assert list(map_unordered(square, [], workers)) == []
    with pytest.raises(ValueError, match="-1 is negative"):
        list(map_unordered(square, [1, -1, 2], workers))


def test_a_partial_function_is_mapped() -> None:
    assert sorted(map_unordered(functools.partial(pow, 2), range(3), 2)) == [(0, 1), (1, 2), (2, 4)]


def test_deadline_leaves_the_same_seconds_on_a_machine_with_another_clock(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(time, "monotonic", lambda: 100.0)
    sent = pickle.dumps(Deadline(30))
    monkeypatch.setattr(time, "monotonic", lambda: 5000.0)
    assert pickle.loads(sent).at == 5030


def niceness(n: int) -> tuple[int, int]:
    return n, os.getpriority(os.PRIO_PROCESS, 0)


def test_map_ordered_takes_endless_jobs_and_lowers_the_priority_of_its_processes() -> None:
    results = map_ordered(niceness, itertools.count(), 2, nice=3)
    mine = os.getpriority(os.PRIO_PROCESS, 0)
    assert list(itertools.islice(results, 9)) == [(n, mine + 3) for n in range(9)]


@pytest.mark.parametrize("workers", [1, 2])
def test_map_ordered_keeps_the_order_and_raises_what_a_job_raises(workers: int) -> None:
    assert list(map_ordered(square, iter(range(7)), workers)) == [n * n for n in range(7)]
    assert list(map_ordered(square, [], workers)) == []
    with pytest.raises(ValueError, match="-1 is negative"):
        list(map_ordered(square, [1, -1, 2], workers))


def blocked_signals(_: int) -> set[int]:
    return {int(number) for number in signal.pthread_sigmask(signal.SIG_BLOCK, set())}


def blocked_signals_stream(_: int) -> list[set[int]]:
    return [blocked_signals(_)]


def test_processes_ignore_sigint() -> None:
    assert all(signal.SIGINT in blocked for _, blocked in map_unordered(blocked_signals, range(4), 2))
    assert all(signal.SIGINT in blocked for blocked in map_ordered(blocked_signals, range(9), 2))
    assert all(signal.SIGINT in blocked for _, blocked in stream_results(blocked_signals_stream, [0, 1]))
    assert signal.SIGINT not in blocked_signals(0)


INTERRUPTED_SCRIPT = """
import multiprocessing.util, os, signal, sys, threading, time
from codeit.parallel import map_unordered, stream_results

spawn = multiprocessing.util.spawnv_passfds
def spawn_and_interrupt(path, arguments, *rest):
    pid = spawn(path, arguments, *rest)
    if "spawn_main" in str(arguments):
        os.kill(os.getpid(), int(sys.argv[1]))  # the main thread blocks SIGINT, the other one does not
        time.sleep(0.1)
    return pid
multiprocessing.util.spawnv_passfds = spawn_and_interrupt
if int(sys.argv[1]) == signal.SIGTERM:
    signal.signal(signal.SIGTERM, signal.default_int_handler)
threading.Thread(target=time.sleep, args=[60], daemon=True).start()
for work in (map_unordered(abs, [-1, 2], 2), stream_results(range, [2, 3])):
    try:
        print(list(work))
    except KeyboardInterrupt:
        print("interrupted", multiprocessing.active_children())
"""


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_interrupt_while_a_process_starts_leaves_no_process_and_no_traceback(number: int) -> None:
    command = [sys.executable, "-c", INTERRUPTED_SCRIPT, str(int(number))]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert (done.stdout, done.stderr) == ("interrupted []\ninterrupted []\n", "")


def up_to(n: int) -> Iterator[tuple[int, int]]:
    """Yield 0 to n - 1, each with the id of this process.

    Then an odd n above 0 raises, 0 kills this process, and -1 waits for a minute.
    """
    yield from ((k, os.getpid()) for k in range(n))
    if n == -1:
        time.sleep(60)
    if n == 0:
        os.kill(os.getpid(), signal.SIGKILL)
    if n % 2:
        raise ValueError(f"{n} is odd")


def test_stream_results_runs_each_job_in_its_own_process() -> None:
    results = list(stream_results(up_to, [4, 6, 2]))
    for index, n in enumerate((4, 6, 2)):
        assert [k for job, (k, _) in results if job == index] == list(range(n))
    assert len({process for _, (_, process) in results} | {os.getpid()}) == 4
    assert list(stream_results(up_to, [])) == []
    assert list(stream_results(up_to, [2])) == [(0, (k, os.getpid())) for k in range(2)]  # in this process


@pytest.mark.flaky(reruns=2)  # measures time, and machines stall
def test_stream_results_ends_with_an_error_a_killed_process_or_the_deadline() -> None:
    with pytest.raises(ValueError, match="3 is odd") as raised:
        list(stream_results(up_to, [4, 3]))
    assert "in up_to" in "".join(raised.value.__notes__)  # where it was raised
    with pytest.raises(WorkerError, match=r"a worker process died 4 times on job [12]; it may have run out"):
        list(stream_results(up_to, [0, 0]))
    started = time.monotonic()
    results = list(stream_results(up_to, [4, -1], started + 3))
    assert 3 <= time.monotonic() - started < 6
    assert [k for _, (k, _) in results] == [0, 1, 2, 3]
    assert list(stream_results(up_to, [4, 2], -math.inf)) == []


# A script without `if __name__ == "__main__"` would start processes without end if they imported it.
PLAIN_SCRIPT = """
import time
from codeit.parallel import map_ordered, map_unordered, stream_results
print(sorted(map_unordered(abs, [-1, 2, -3], 2)))
print(list(map_ordered(abs, [-1, 2, -3], 2)))
print(sorted(stream_results(range, [2, 3])))
"""
EXPECTED_OUTPUT = "[(0, 1), (1, 2), (2, 3)]\n[1, 2, 3]\n[(0, 0), (0, 1), (1, 0), (1, 1), (1, 2)]\n"


def test_a_script_without_a_main_guard_can_use_processes(tmp_path: Path) -> None:
    script = tmp_path / "plain.py"
    script.write_text(PLAIN_SCRIPT + "print(__name__, __file__.endswith('plain.py'))\n")
    done = subprocess.run([sys.executable, str(script)], capture_output=True, text=True, timeout=60)
    assert (done.stdout, done.stderr) == (EXPECTED_OUTPUT + "__main__ True\n", "")


def test_a_module_run_with_m_can_use_processes(tmp_path: Path) -> None:
    (tmp_path / "plain.py").write_text(PLAIN_SCRIPT + "print(__spec__.name)\n")
    command = [sys.executable, "-m", "plain"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, cwd=tmp_path)
    assert (done.stdout, done.stderr) == (EXPECTED_OUTPUT + "plain\n", "")


def test_a_script_on_standard_input_can_use_processes() -> None:
    for command in ([sys.executable], [sys.executable, "-"]):
        done = subprocess.run(command, input=PLAIN_SCRIPT, capture_output=True, text=True, timeout=60)
        assert (done.stdout, done.stderr) == (EXPECTED_OUTPUT, "")


def test_a_process_that_starts_late_does_not_import_the_script_either(tmp_path: Path) -> None:
    script = tmp_path / "late.py"
    script.write_text(
        "import time\n"
        "from codeit.parallel import map_ordered\n"
        "def jobs():\n"
        "    for _ in range(4):\n"
        "        yield 0.0\n"
        "        time.sleep(0.7)\n"  # the first process is idle again, so no other is needed
        "    yield from [1.0, 1.0]\n"  # the first process is busy, so another one starts
        "print(list(map_ordered(time.sleep, jobs(), 2)))\n"
    )
    done = subprocess.run([sys.executable, str(script)], capture_output=True, text=True, timeout=60)
    assert (done.stdout, done.stderr) == (f"{[None] * 6}\n", "")


def test_processes_end_with_their_parent(tmp_path: Path) -> None:
    script = tmp_path / "parent.py"
    script.write_text(
        "import os, time\n"
        "from codeit.parallel import map_unordered\n"
        "def work(n):\n"
        "    os.write(1, b'%d\\n' % os.getpid())\n"  # in one piece, whatever the buffering
        "    time.sleep(60)\n"
        "if __name__ == '__main__':\n"
        "    list(map_unordered(work, range(4), 2))\n"
    )
    parent = subprocess.Popen([sys.executable, str(script)], stdout=subprocess.PIPE, text=True)
    assert parent.stdout is not None
    children = [int(parent.stdout.readline()) for _ in range(2)]
    parent.send_signal(signal.SIGKILL)
    parent.wait()
    for _ in range(100):
        if not any(Path(f"/proc/{child}").exists() for child in children):
            return
        time.sleep(0.1)
    for child in children:
        os.kill(child, signal.SIGKILL)
    pytest.fail("processes outlived their parent by 10 seconds")
