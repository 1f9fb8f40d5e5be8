"""The routes of the server."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing, asynccontextmanager
from pathlib import Path

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, Response, StreamingResponse
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles
from starlette.types import Receive, Scope, Send

from codeit.data.tasks import DATA_SETS
from codeit.language import CONSTANTS, PRIMITIVES
from codeit.parallel import DeadProcessError, Workers
from codeit.report.rendering import render
from codeit.serve.guard import Guard, policy
from codeit.serve.limits import MAX_REQUEST_BYTES, MAX_SECONDS, MAX_UPLOAD_BYTES
from codeit.serve.live_report import LiveReport
from codeit.serve.requests import Job, answer, error_text
from codeit.serve.searches import Searches, TooManySearchesError

_HERE = Path(__file__).parent
_WORKERS = 2
"""Processes that answer requests. One stays free while the other works on a slow request."""
_log = logging.getLogger(__name__)


def make_app(host: str, searches: Searches, report: LiveReport | None) -> Starlette:
    """Return the application for a server on `host`."""
    pages = _Pages(searches, report)
    routes = [
        Route("/", pages.puzzle if report is None else pages.report),
        Route("/puzzle", pages.puzzle),
        Mount("/static", StaticFiles(directory=_HERE / "static")),
        Route("/api/gallery", pages.gallery),
        Route("/api/task", pages.task),
        Route("/api/upload", pages.upload, methods=["POST"]),
        Route("/api/explain", pages.explain, methods=["POST"]),
        Route("/api/export", pages.export, methods=["POST"]),
        Route("/api/search", pages.search, methods=["POST"]),
    ]
    if report is not None:
        routes.append(Route("/changes", pages.changes))
    return Starlette(
        routes=routes,
        middleware=[Middleware(Guard, host=host)],
        exception_handlers={HTTPException: _refused},
        lifespan=pages.lifespan,
    )


class _Pages:
    """The pages, and the answers to their requests."""

    def __init__(self, searches: Searches, report: LiveReport | None) -> None:
        self._searches, self._report = searches, report
        self._workers = Workers(answer, _WORKERS)
        signatures = {name: f"({', '.join(p.parameters)}) → {p.result}" for name, p in PRIMITIVES.items()}
        page = render(
            "serve.html",
            title="codeit: draw a puzzle, get a program",
            folder=_HERE / "templates",
            docs={name: primitive.doc for name, primitive in PRIMITIVES.items()},
            language={"signatures": signatures, "constants": {k: str(v) for k, v in CONSTANTS.items()}},
            sets=DATA_SETS,
            most_seconds=int(MAX_SECONDS),
            has_report=report is not None,
        )
        self._puzzle = HTMLResponse(page, headers={"content-security-policy": policy(page)})

    @asynccontextmanager
    async def lifespan(self, _: Starlette) -> AsyncIterator[None]:
        """Start the workers, so that the first request need not wait for them; end them at the end."""
        with self._workers:
            for k in range(_WORKERS):
                self._workers.submit(Job("ready", b""), f"start {k + 1}")
            yield

    async def puzzle(self, request: Request) -> Response:
        return self._puzzle

    async def report(self, request: Request) -> Response:
        assert self._report is not None
        page = self._report.page
        return HTMLResponse(page, headers={"content-security-policy": policy(page, styles=True)})

    async def changes(self, request: Request) -> Response:
        """Answer with the version of the report, every few seconds."""
        assert self._report is not None
        return _EventStream(self._report.changes())

    async def gallery(self, request: Request) -> Response:
        return await self._work(Job("gallery", b"", request.query_params.get("set", "")))

    async def task(self, request: Request) -> Response:
        query = request.query_params
        return await self._work(
            Job("task", query.get("id", "").encode(errors="replace"), query.get("set", ""))
        )

    async def upload(self, request: Request) -> Response:
        name = request.query_params.get("name", "")
        return await self._work(Job("upload", await _body(request, MAX_UPLOAD_BYTES), name))

    async def explain(self, request: Request) -> Response:
        return await self._work(Job("explain", await _body(request, MAX_REQUEST_BYTES)))

    async def export(self, request: Request) -> Response:
        return await self._work(Job("export", await _body(request, MAX_REQUEST_BYTES)))

    async def search(self, request: Request) -> Response:
        """Answer with the events of a search. The search ends when the page stops listening."""
        events = self._searches.follow(await _body(request, MAX_REQUEST_BYTES))
        try:
            first = await anext(events)
        except TooManySearchesError as error:
            return JSONResponse({"error": str(error)}, 503)
        except Exception as error:
            return _failed(error)
        return _EventStream(_chain(first, events))

    async def _work(self, job: Job) -> Response:
        try:
            text = await asyncio.wrap_future(self._workers.submit(job, f"a request to {job.kind}"))
        except Exception as error:
            return _failed(error)
        return Response(text, media_type="application/json")


_streams: set[asyncio.Task[object]] = set()


def end_streams() -> None:
    """End all event streams, and with them their searches."""
    for task in _streams:
        task.cancel()


class _EventStream(StreamingResponse):
    """Server-sent events. An empty item is sent as a comment, which keeps the connection open."""

    def __init__(self, items: AsyncGenerator[bytes]) -> None:
        super().__init__(self._events(items), media_type="text/event-stream")
        self._items = items

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        task = asyncio.current_task()
        assert task is not None
        _streams.add(task)
        try:
            async with aclosing(self._items):  # ends them as soon as the page is closed
                await super().__call__(scope, receive, send)
        except asyncio.CancelledError:  # by `end_streams`
            await send({"type": "http.response.body", "body": b"", "more_body": False})
        finally:
            _streams.discard(task)

    @staticmethod
    async def _events(items: AsyncGenerator[bytes]) -> AsyncIterator[bytes]:
        try:
            async for item in items:
                yield b"data: %s\n\n" % item if item else b":\n\n"
        except DeadProcessError:
            message = b"the process of the search died; it may have run out of memory"
            yield b'data: {"ended":"error","message":"%s"}\n\n' % message


async def _chain(first: bytes, others: AsyncGenerator[bytes]) -> AsyncGenerator[bytes]:
    async with aclosing(others):
        yield first
        async for other in others:
            yield other


async def _body(request: Request, limit: int) -> bytes:
    """Return the body of a request. Reads no more than `limit` bytes."""
    refusal = HTTPException(413, f"expected at most {limit / 1e6:.0f} MB, found more; choose a smaller file")
    length = request.headers.get("content-length", "0")
    if not length.isascii() or not length.isdigit() or int(length[:20]) > limit:
        raise refusal
    body = bytearray()
    async for part in request.stream():
        body += part
        if len(body) > limit:
            raise refusal
    return bytes(body)


def _failed(error: Exception) -> Response:
    """Return the answer to a request that failed. Bugs of ours are logged."""
    if message := error_text(error):
        return JSONResponse({"error": message}, 400)
    _log.error("a request failed", exc_info=error)
    return JSONResponse({"error": "the server failed; its log says why"}, 500)


async def _refused(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    return JSONResponse({"error": error.detail}, error.status_code, error.headers)
