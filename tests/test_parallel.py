from __future__ import annotations

import itertools
import math
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from codeit.parallel import map_unordered, map_ordered, stream_results


def square(n: int) -> int:
    if n < 0:
        raise ValueError(f"{n} is negative")
    return n * n


@pytest.mark.parametrize("workers", [1, 2])
def test_each_job_is_done_once(workers: int) -> None:
    assert sorted(map_unordered(square, range(5), workers)) == [(n, n * n) for n in range(5)]
    assert list(map_unordered(square, [], workers)) == []
    with pytest.raises(ValueError, match="-1 is negative"):
        list(map_unordered(square, [1, -1, 2], workers))


def niceness(n: int) -> tuple[int, int]:
    return n, os.getpriority(os.PRIO_PROCESS, 0)


def test_jobs_without_end_come_in_their_order_from_processes_that_give_way() -> None:
    results = map_ordered(niceness, itertools.count(), 2, nice=3)
    mine = os.getpriority(os.PRIO_PROCESS, 0)
    assert list(itertools.islice(results, 9)) == [(n, mine + 3) for n in range(9)]


def up_to(n: int) -> Iterator[tuple[int, int]]:
    """Numbers, with the process that counts; an odd number ends in an error, 0 in a kill, -1 never ends."""
    yield from ((k, os.getpid()) for k in range(n))
    if n == -1:
        time.sleep(60)
    if n == 0:
        os.kill(os.getpid(), signal.SIGKILL)
    if n % 2:
        raise ValueError(f"{n} is odd")


def test_streams_come_from_processes_of_their_own() -> None:
    told = list(stream_results(up_to, [4, 6, 2]))
    for number, n in enumerate((4, 6, 2)):
        assert [k for of, (k, _) in told if of == number] == list(range(n))
    assert len({process for _, (_, process) in told} | {os.getpid()}) == 4
    assert list(stream_results(up_to, [])) == []
    assert list(stream_results(up_to, [2])) == [(0, (k, os.getpid())) for k in range(2)]  # one is done here


def test_streams_end_with_an_error_a_kill_and_a_deadline() -> None:
    with pytest.raises(ValueError, match="3 is odd") as raised:
        list(stream_results(up_to, [4, 3]))
    assert "in up_to" in "".join(raised.value.__notes__)  # where it was raised
    with pytest.raises(ChildProcessError, match="ended before its time"):
        list(stream_results(up_to, [0, -1]))
    began = time.monotonic()
    told = list(stream_results(up_to, [4, -1], began + 3))
    assert 3 <= time.monotonic() - began < 6
    assert [k for _, (k, _) in told] == [0, 1, 2, 3]
    assert list(stream_results(up_to, [4, 2], -math.inf)) == []


def test_processes_end_with_their_parent(tmp_path: Path) -> None:
    script = tmp_path / "parent.py"
    script.write_text(
        "import os, time\n"
        "from codeit.parallel import each\n"
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
