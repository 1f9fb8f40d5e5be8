"""A few trials of `make faults`: commands end clearly on any fault, and then continue."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="the shim is for glibc and /proc")


def try_faults(*arguments: str) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "faults", *arguments],
        capture_output=True,
        text=True,
        env=os.environ | {"PYTHONPATH": str(Path(__file__).parents[1])},
    )
    assert done.returncode == 0, done.stderr


def test_searches_survive_faults() -> None:
    try_faults("mutate", "search", "--few", "1")


def test_runs_survive_faults() -> None:
    pytest.importorskip("torch")
    try_faults("run", "--few", "1", "--fault", "KILL", "FULL")
