"""One call of `codeit` in a forked process, with a fault in one of the calls that change files."""

from __future__ import annotations

import ctypes
import os
import signal
import sys
import time
import traceback
from collections.abc import Sequence
from enum import IntEnum
from pathlib import Path
from typing import NamedTuple

TIMEOUT = 60.0
"""Seconds after which a call counts as hung."""


class Fault(IntEnum):
    """What happens at a point. The values are those of faults.c."""

    NONE = 0
    KILL = 1
    """The process and its children are killed before the call."""
    TORN = 2
    """They are killed when half of the data is written."""
    FULL = 3
    """From this call on the disk is full: nothing grows and nothing new is created."""
    EIO_ONCE = 4
    """The call fails with EIO, later ones do not."""
    EIO_ON = 5
    """This call and all later ones fail with EIO."""
    READ_ONLY = 6
    """From this call on the file system is read-only."""
    FORBIDDEN = 7
    """From this call on nothing may be opened for writing, created, renamed or deleted."""


class Kind(IntEnum):
    """What a call changes. The values are those of faults.c."""

    DATA = 0
    GROWING_DATA = 1
    SYNC = 2
    CREATE = 3
    OPEN = 4
    NAMES = 5


class Point(NamedTuple):
    """A call that changes something in the watched directory."""

    operation: str
    kind: Kind
    path: str
    """Relative to the watched directory."""


class Ended(NamedTuple):
    """How a call of `codeit` ended."""

    code: int
    """The exit code, or minus the number of the signal that ended it."""
    stderr: str
    points: list[Point]
    """All points of a call without a fault; with one, the calls that failed."""
    hung: bool = False

    @property
    def killed(self) -> bool:
        return self.code == -signal.SIGKILL and not self.hung


class Call(NamedTuple):
    """Arguments of `codeit`, and the directory that is watched."""

    arguments: Sequence[str]
    watched: Path
    scratch: Path
    """A directory for what the call prints."""

    def run(self, fault: Fault = Fault.NONE, point: int = 0) -> Ended:
        """Fork, run the command in the child, and wait for its end."""
        started = time.monotonic()
        sys.stdout.flush()
        child = os.fork()
        if child == 0:
            code = 1
            try:
                code = self._in_child(fault, point)
            except BaseException:
                traceback.print_exc()
            finally:
                sys.stderr.flush()
                os._exit(code)
        hung = False
        while True:
            pid, status = os.waitpid(child, os.WNOHANG)
            if pid:
                break
            if time.monotonic() - started > TIMEOUT and not hung:
                hung = True
                os.killpg(child, signal.SIGKILL)
            time.sleep(0.005)
        stderr = (self.scratch / "stderr").read_text(encoding="utf-8", errors="replace")
        return Ended(os.waitstatus_to_exitcode(status), stderr, self._points(), hung)

    def _in_child(self, fault: Fault, point: int) -> int:
        os.setsid()  # its own process group, which `kill` ends
        for name, descriptor in (("stdout", 1), ("stderr", 2)):
            file = os.open(self.scratch / name, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
            os.dup2(file, descriptor)
        list_to = os.open(self.scratch / "points", os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
        from codeit.cli.main import main

        sys.argv = ["codeit", *self.arguments]
        ctypes.CDLL(None).arm(os.fsencode(self.watched), int(fault), ctypes.c_long(point), list_to)
        try:
            main()
        except SystemExit as ended:
            code = ended.code
        if sys.stdout:
            sys.stdout.flush()
        return code if isinstance(code, int) else 0 if code is None else 1

    def _points(self) -> list[Point]:
        lines = (self.scratch / "points").read_text().splitlines()
        split = (line.split("\t") for line in lines)
        return [Point(operation, Kind(int(kind)), path) for operation, kind, path in split]
