"""Protects the server from other pages in the same browser, and its own pages from their content."""

from __future__ import annotations

import base64
import hashlib
import ipaddress
import re
import socket
from collections.abc import Iterable
from urllib.parse import urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

_LOOPBACK = {"localhost", "127.0.0.1", "::1"}
_HEADERS = {
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "cross-origin-resource-policy": "same-origin",
    "cross-origin-opener-policy": "same-origin",
    "cache-control": "no-store",
}
_POLICY = {
    "default-src": "'none'",
    "script-src": "'self'",
    "style-src": "'self'",
    "img-src": "'self' data:",
    "connect-src": "'self'",
    "base-uri": "'none'",
    "form-action": "'none'",
    "frame-ancestors": "'none'",
}
_INLINE = re.compile(r"<(script|style)>(.*?)</\1>", re.DOTALL)


class Guard:
    """Middleware that checks where a request comes from, and adds headers to every answer.

    The header Host must name this machine, because another site may have its name resolved to a
    loopback address (DNS rebinding). A request other than GET and HEAD must come from a page of this
    server (header Origin), and be JSON.
    """

    def __init__(self, app: ASGIApp, host: str) -> None:
        self._app = app
        self._names = {*_LOOPBACK, host}
        # A site can have its name resolved to our address, but its Host header remains a name.
        self._any_address = _is_any_address(host)
        if self._any_address:
            self._names |= {socket.gethostname().lower(), socket.getfqdn().lower()}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        async def send_guarded(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in (_HEADERS | {"content-security-policy": policy()}).items():
                    headers.setdefault(name, value)
            await send(message)

        headers = Headers(scope=scope)
        problem = self._problem(scope["method"], headers)
        app = JSONResponse({"error": problem}, 403) if problem else self._app
        await app(scope, receive, send_guarded)

    def _problem(self, method: str, headers: Headers) -> str:
        """Return why a request is refused, or ""."""
        host = headers.get("host", "")
        name = _name(host)
        if name not in self._names and not (self._any_address and _is_address(name)):
            return "Host: expected a name or an address of this machine, found another"
        if method not in ("GET", "HEAD"):
            if headers.get("origin") != f"http://{host}":
                return "Origin: expected a page of this server, found another or none"
            if headers.get("content-type", "").partition(";")[0].strip() != "application/json":
                return "Content-Type: expected application/json, found something else"
        return ""


def is_loopback(host: str) -> bool:
    """Return whether only this machine can reach a host."""
    return host in _LOOPBACK or (_is_address(host) and ipaddress.ip_address(host).is_loopback)


def policy(page: str = "", *, styles: bool = False) -> str:
    """Return a content security policy that allows exactly the scripts and styles of a page.

    `styles` also allows `style` attributes of elements.
    """
    inline: dict[str, list[str]] = {"script": [], "style": []}
    for kind, text in _INLINE.findall(page):
        digest = base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
        inline[kind].append(f"'sha256-{digest}'")
    rules = dict(_POLICY)
    for kind, hashes in inline.items():
        rules[f"{kind}-src"] = " ".join(_once([_POLICY[f"{kind}-src"], *hashes]))
    if styles:
        rules["style-src-attr"] = "'unsafe-inline'"
    return "; ".join(f"{name} {value}" for name, value in rules.items())


def _once(items: Iterable[str]) -> list[str]:
    return list(dict.fromkeys(items))


def _name(host: str) -> str:
    """Return the name or address in a Host header, without the port."""
    try:
        return (urlsplit(f"//{host}").hostname or "").lower()
    except ValueError:
        return ""


def _is_address(text: str) -> bool:
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return True


def _is_any_address(host: str) -> bool:
    return _is_address(host) and ipaddress.ip_address(host).is_unspecified
