"""The report on runs, drawn again while they run."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import AsyncGenerator, Callable, Sequence
from pathlib import Path

from codeit.parallel import Workers
from codeit.report.run_page import report_page
from codeit.report.runs import read_runs

_LOOK_SECONDS = 2.0  # between two checks whether the files have changed
_MAX_SHARE = 0.2  # largest share of the time that is spent on drawing
_FILES = ("metrics.csv", "solutions.jsonl", "search.sqlite", "search.sqlite-wal", "curve.csv", "counts.json")
"""The files of a run that a report reads and that change."""
_log = logging.getLogger(__name__)

Fingerprint = tuple[tuple[str, int, int], ...]


class LiveReport:
    """The page of `codeit report`, kept up to date with the runs."""

    def __init__(self, runs: Sequence[Path], tasks: str) -> None:
        self._runs, self._tasks = list(runs), tasks
        self._drawn: Fingerprint = ()
        self._drawing, self._next = asyncio.Lock(), 0.0
        self.page, self.version = "", 0

    def draw(self, progress: Callable[[int, int], None] = lambda done, total: None) -> None:
        """Draw the page in this process. Raises ReportError and other errors of `read_runs`."""
        self._drawn = self._fingerprint()
        self.page = draw(self._runs, self._tasks, progress)
        self.version += 1

    async def changes(self) -> AsyncGenerator[bytes]:
        """Yield the page's version every few seconds, without end."""
        while True:
            yield b"%d" % self.version
            await asyncio.sleep(_LOOK_SECONDS)
            await self._redraw()

    async def _redraw(self) -> None:
        """Draw the page again, in a child process, if the runs have changed."""
        async with self._drawing:
            now, started = self._fingerprint(), time.monotonic()
            if now == self._drawn or started < self._next:
                return
            with Workers(_draw, 1) as workers:
                try:
                    job = self._runs, self._tasks
                    self.page = await asyncio.wrap_future(workers.submit(job, "the report"))
                except ValueError as error:  # such as a file that is being written; the old page stays
                    _log.warning("%s", error)
                else:
                    self.version += 1
            self._drawn = now
            self._next = time.monotonic() + (time.monotonic() - started) / _MAX_SHARE

    def _fingerprint(self) -> Fingerprint:
        found = []
        for path in (run / name for run in self._runs for name in _FILES):
            with contextlib.suppress(OSError):  # no such file
                status = path.stat()
                found.append((str(path), status.st_mtime_ns, status.st_size))
        return tuple(found)


def draw(runs: Sequence[Path], tasks: str, progress: Callable[[int, int], None]) -> str:
    """Return the report, with the script that reloads it when it changes."""
    page = report_page(read_runs(runs, tasks), progress=progress)
    return page.replace("</body>", '<script src="/static/live.js"></script>\n</body>')


def _draw(job: tuple[Sequence[Path], str]) -> str:
    return draw(*job, progress=lambda done, total: None)
