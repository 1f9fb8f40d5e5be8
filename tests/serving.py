"""A server of `codeit serve` in a process of its own, for tests and benchmarks."""

from __future__ import annotations

import http.client
import json
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

TASK = {
    "id": "mirror",
    "train": [
        {"input": [[1, 2], [3, 4]], "output": [[2, 1], [4, 3]]},
        {"input": [[5, 0]], "output": [[0, 5]]},
    ],
    "test": [{"input": [[6, 7, 8]]}],
}
"""A puzzle that `O = vmirror(I)` solves."""
HARD = {
    "id": "noise",
    "train": [
        {"input": [[1, 2, 9], [3, 4, 7], [0, 8, 8]], "output": [[7, 1, 9], [2, 2, 8], [4, 0, 5]]},
        {"input": [[5, 0, 1], [6, 6, 2], [3, 9, 0]], "output": [[0, 4, 1], [9, 3, 3], [6, 7, 2]]},
    ],
    "test": [{"input": [[6, 7, 0], [8, 9, 1], [2, 2, 5]]}],
}
"""A puzzle that no program solves."""


class Server:
    """A running server."""

    def __init__(self, process: subprocess.Popen[str], address: str) -> None:
        self.process, self.address = process, address
        self.host = address.removeprefix("http://").rstrip("/")

    def connect(self) -> http.client.HTTPConnection:
        return http.client.HTTPConnection(self.host, timeout=30)

    def request(
        self, path: str, body: Any = None, method: str | None = None, **headers: str
    ) -> tuple[int, dict[str, str], bytes]:
        """Return the status, the headers and the body of an answer.

        A body that is not bytes is sent as JSON.
        """
        connection = self.connect()
        sent = {"Host": self.host}
        if body is not None:
            sent |= {"Origin": f"http://{self.host}", "Content-Type": "application/json"}
            body = body if isinstance(body, bytes) else json.dumps(body).encode()
        sent |= {name.replace("_", "-"): value for name, value in headers.items()}
        try:
            connection.request(method or ("GET" if body is None else "POST"), path, body, sent)
            answer = connection.getresponse()
            found = {name.lower(): value for name, value in answer.getheaders()}
            return answer.status, found, answer.read()
        finally:
            connection.close()

    def json(self, path: str, body: Any = None, **headers: str) -> tuple[int, Any]:
        status, _, answer = self.request(path, body, **headers)
        return status, json.loads(answer)

    @contextmanager
    def search(self, request: dict[str, Any]) -> Iterator[Iterator[dict[str, Any]]]:
        """Yield the events of a search, and end it with the block."""
        connection = self.connect()
        headers = {"Origin": f"http://{self.host}", "Content-Type": "application/json"}
        try:
            connection.request("POST", "/api/search", json.dumps(request), headers)
            answer = connection.getresponse()
            if answer.status != 200:
                yield iter([json.loads(answer.read()) | {"status": answer.status}])
            else:
                lines = iter(answer.readline, b"")
                yield (json.loads(line[6:]) for line in lines if line.startswith(b"data: "))
        finally:
            connection.close()

    def children(self) -> set[int]:
        """Return the processes of Python that the server has started and that live."""
        children = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children").read_text().split()
        commands = {int(pid): Path(f"/proc/{pid}/cmdline").read_bytes() for pid in children}
        return {pid for pid, command in commands.items() if b"spawn_main" in command}


@contextmanager
def server(*arguments: str) -> Iterator[Server]:
    """Yield a server on a free port."""
    command = [sys.executable, "-m", "codeit", "serve", *arguments, "--port", "0", "--policy", "none"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            address = process.stdout.readline().split()[0]
            yield Server(process, address)
        finally:
            process.terminate()
            process.wait(20)


def until(holds: Any, seconds: float = 20) -> None:
    """Wait until a condition holds."""
    end = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < end
        time.sleep(0.05)
