"""Searches for the puzzles of pages: each in a process of its own, a few at a time."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncGenerator, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from codeit.evaluation.candidate import KEPT, Candidate
from codeit.language import Program, run_batch
from codeit.parallel import ResultStream
from codeit.serve.limits import SEARCH_BYTES, limit_memory
from codeit.serve.requests import SearchRequest, error_text, read_search, rows
from codeit.solver import SolveResult, iter_solve

_ALIVE_SECONDS = 5.0  # of silence, after which a page hears that its search is alive


class TooManySearchesError(ValueError):
    """As many searches run as are allowed. The message says what helps."""


class SearchOptions(NamedTuple):
    """What all searches have in common."""

    starters: Sequence[Program]
    policy: str | Path


class _Job(NamedTuple):
    body: bytes
    options: SearchOptions


class Searches:
    """The searches that run, at most `limit` at a time."""

    def __init__(self, limit: int, options: SearchOptions) -> None:
        self._limit, self._options = limit, options
        self._running: set[ResultStream[bytes]] = set()

    async def follow(self, body: bytes) -> AsyncGenerator[bytes]:
        """Yield what a search reaches, as JSON (see `_events`), and b"" after a time of silence.

        The process of the search ends when the iteration does, for whatever reason. Raises
        TooManySearchesError, RequestError, TaskError, ParseError before the first item.
        """
        if len(self._running) >= self._limit:
            raise TooManySearchesError(
                f"expected at most {self._limit} searches at a time, found as many that run; stop one, or "
                "close its page (codeit serve --searches N allows more)"
            )
        stream = ResultStream(search, _Job(body, self._options))
        self._running.add(stream)
        try:
            while True:
                try:
                    await asyncio.wait_for(_readable(stream), _ALIVE_SECONDS)
                except TimeoutError:
                    yield b""
                    continue
                if (item := next(stream, None)) is None:
                    return
                yield item
        finally:
            self._running.discard(stream)
            stream.end()


async def _readable(stream: ResultStream[bytes]) -> None:
    """Wait until something can be read from a stream."""
    loop = asyncio.get_running_loop()
    ready = asyncio.Event()
    loop.add_reader(stream.fileno(), ready.set)
    try:
        await ready.wait()
    finally:
        loop.remove_reader(stream.fileno())


def search(job: _Job) -> Iterator[bytes]:
    """Yield the events of a search. For a process of its own, which it limits."""
    limit_memory(SEARCH_BYTES)
    yield from (json.dumps(event, separators=(",", ":")).encode() for event in _events(job))


def _events(job: _Job) -> Iterator[dict[str, Any]]:
    """Yield what a search reaches, about ten times a second.

    tried     programs tried so far
    seconds   since the search began
    phase     what the search does: "enumeration", "evolution" or "policy"
    programs  the best ones, if they changed: see `_program`
    attempts  with them, the answers to each test input, two each
    ended     in the last event: "settled", "time", or "error" with a `message`
    """
    request = read_search(job.body)
    started = time.monotonic()
    known: list[Candidate] | None = None
    event: dict[str, Any] = {"tried": 0, "seconds": 0.0}
    try:
        for result in _results(request, job.options):
            shown = list(result.programs[: 2 * KEPT])
            event = {
                "tried": result.tried,
                "seconds": round(time.monotonic() - started, 2),
                "phase": result.working_on,
            }
            if shown != known:
                known = shown
                yield event | _programs(result, shown)
            else:
                yield event
    except Exception as error:  # of the policy, or memory
        message = error_text(error)
        if message is None:
            raise
        yield event | {"ended": "error", "message": message}
        return
    seconds = round(time.monotonic() - started, 2)
    yield event | {"seconds": seconds, "ended": "settled" if seconds < request.seconds else "time"}


def _results(request: SearchRequest, options: SearchOptions) -> Iterator[SolveResult]:
    return iter_solve(
        request.task,
        seconds=request.seconds,
        policy=options.policy,
        starters=options.starters,
        before=request.before,
    )


def _programs(result: SolveResult, shown: Sequence[Candidate]) -> dict[str, Any]:
    """Return programs with their outputs on the demonstrations and the tests (null: none)."""
    task = result.task
    inputs = [*(pair.input for pair in task.train), *(pair.input for pair in task.test)]
    outcomes = run_batch([one.program for one in shown], [inputs] * len(shown), threads=1)
    return {
        "programs": [
            {
                "program": str(one.program),
                "solved": one.demonstrations_solved,
                "votes": one.votes,
                "probability": one.probability,
                "outputs": [None if outcome.grid is None else rows(outcome.grid) for outcome in of_program],
            }
            for one, of_program in zip(shown, outcomes, strict=True)
        ],
        "attempts": [[rows(grid) for grid in attempts] for attempts in result.attempts],
    }
