"""The server of `codeit serve`: it listens on a socket until Ctrl-C."""

from __future__ import annotations

import ipaddress
import socket
from collections.abc import Callable

import uvicorn

from codeit.serve.app import end_streams, make_app
from codeit.serve.limits import ANSWER_SECONDS
from codeit.serve.live_report import LiveReport
from codeit.serve.searches import Searches

_END_SECONDS = ANSWER_SECONDS + 1  # time after Ctrl-C for the last answers


class AddressError(ValueError):
    """An address at which no server can listen. The message says why."""


class _Server(uvicorn.Server):
    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        end_streams()
        await super().shutdown(sockets)


def serve(
    host: str,
    port: int,
    searches: Searches,
    report: LiveReport | None = None,
    ready: Callable[[str], None] = lambda address: None,
) -> None:
    """Serve pages until Ctrl-C, which raises KeyboardInterrupt once all processes have ended.

    `ready` is called with the address once connections are accepted. Port 0 takes any free port.
    Raises AddressError.
    """
    with _listen(host, port) as listening:
        config = uvicorn.Config(
            make_app(host, searches, report),
            http="h11",
            ws="none",
            loop="asyncio",
            log_level="error",
            access_log=False,
            server_header=False,
            timeout_graceful_shutdown=_END_SECONDS,
        )
        name = f"[{host}]" if ":" in host else host
        ready(f"http://{name}:{listening.getsockname()[1]}/")
        _Server(config).run([listening])


def _listen(host: str, port: int) -> socket.socket:
    try:
        address = ipaddress.ip_address("127.0.0.1" if host == "localhost" else host)
    except ValueError:
        raise AddressError(
            f"--host {host}: expected localhost or an address such as 127.0.0.1, found another name"
        ) from None
    try:
        listening = socket.socket(socket.AF_INET if address.version == 4 else socket.AF_INET6)
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind((str(address), port))
        listening.listen()
    except OSError as error:
        raise AddressError(
            f"--host {host} --port {port}: expected an address that is free, found: {error.strerror}; "
            "--port 0 takes any free port"
        ) from None
    return listening
