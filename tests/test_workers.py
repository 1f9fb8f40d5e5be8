from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from codeit.workers import each


def square(n: int) -> int:
    if n < 0:
        raise ValueError(f"{n} is negative")
    return n * n


@pytest.mark.parametrize("workers", [1, 2])
def test_each_job_is_done_once(workers: int) -> None:
    assert sorted(each(square, range(5), workers)) == [(n, n * n) for n in range(5)]
    assert list(each(square, [], workers)) == []
    with pytest.raises(ValueError, match="-1 is negative"):
        list(each(square, [1, -1, 2], workers))


def test_processes_end_with_their_parent(tmp_path: Path) -> None:
    script = tmp_path / "parent.py"
    script.write_text(
        "import os, time\n"
        "from codeit.workers import each\n"
        "def work(n):\n"
        "    os.write(1, b'%d\\n' % os.getpid())\n"  # in one piece, whatever the buffering
        "    time.sleep(60)\n"
        "if __name__ == '__main__':\n"
        "    list(each(work, range(4), 2))\n"
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
