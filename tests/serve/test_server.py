"""The server, given requests from anywhere and with any content."""

from __future__ import annotations

import asyncio
import json
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from serving import HARD, TASK, Server, server, until
from starlette.responses import PlainTextResponse
from starlette.types import Message

from codeit.cli.serve import serve
from codeit.data.tasks import load_tasks
from codeit.experiments.submission import submission
from codeit.language import Grid
from codeit.serve.guard import Guard, is_loopback, policy
from codeit.serve.limits import MAX_PAIRS, MAX_UPLOAD_BYTES
from codeit.storage.files import RunError

MIRROR = "O = vmirror(I)"


@pytest.fixture(scope="module")
def running() -> Iterator[Server]:
    with server("--searches", "2") as made:
        yield made


def test_page_has_a_strict_policy(running: Server) -> None:
    status, headers, page = running.request("/")
    assert status == 200 and b"Draw a puzzle" in page
    rules = dict(rule.split(" ", 1) for rule in headers["content-security-policy"].split("; "))
    assert rules["default-src"] == rules["frame-ancestors"] == rules["base-uri"] == "'none'"
    assert "unsafe" not in headers["content-security-policy"]
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["cross-origin-resource-policy"] == "same-origin"
    assert "access-control-allow-origin" not in headers
    assert running.request("/nothing")[1]["content-security-policy"].startswith("default-src 'none'")


@pytest.mark.parametrize(
    "host", ["evil.example", "localhost.evil.example", "", "127.0.0.1@evil.example", "[", "192.168.0.1"]
)
def test_other_hosts_are_refused(running: Server, host: str) -> None:
    status, answer = running.json("/", Host=host)
    assert status == 403 and answer["error"].startswith("Host: expected")


async def status_for_anyone(host: str) -> int:
    """Return the status of a request to a guard that listens on every address."""
    sent: list[Message] = []

    async def receive() -> Message:
        return {"type": "http.request"}

    async def send(message: Message) -> None:
        sent.append(message)

    scope = {"type": "http", "method": "GET", "path": "/", "headers": [(b"host", host.encode())]}
    await Guard(PlainTextResponse("ours"), "0.0.0.0")(scope, receive, send)
    status: int = sent[0]["status"]
    return status


def test_names_of_this_machine_are_hosts(running: Server) -> None:
    assert running.request("/", Host="localhost:1")[0] == 200
    assert running.request("/", Host="[::1]:1")[0] == 200
    hosts = {"10.0.0.7": 200, "localhost": 200, "evil.example": 403}
    assert {host: asyncio.run(status_for_anyone(host)) for host in hosts} == hosts
    assert [is_loopback(host) for host in ("127.0.0.1", "::1", "localhost", "0.0.0.0", "evil.example")] == [
        True, True, True, False, False,
    ]  # fmt: skip


@pytest.mark.parametrize("path", ["/api/search", "/api/explain", "/api/export", "/api/upload"])
def test_other_sites_cannot_ask(running: Server, path: str) -> None:
    body = {"task": TASK, "program": MIRROR, "to": "python", "programs": [MIRROR], "seconds": 1}
    for origin in (
        "http://evil.example",
        "null",
        f"https://{running.host}",
        f"http://{running.host}.evil.example",
    ):
        status, answer = running.json(path, body, Origin=origin)
        assert status == 403 and answer["error"].startswith("Origin: expected")
    status, answer = running.json(path, body, Content_Type="text/plain")
    assert status == 403 and answer["error"].startswith("Content-Type: expected")
    assert running.request(path)[0] == 405


def test_large_bodies_are_refused(running: Server) -> None:
    status, answer = running.json("/api/explain", b" " * 3_000_000)
    assert status == 413 and answer["error"].startswith("expected at most 2 MB")
    for length in ("9" * 30, str(MAX_UPLOAD_BYTES + 1)):
        assert running.request("/api/upload", b"{}", Content_Length=length)[0] in (400, 413)


WIDE = {"train": [{"input": [[0] * 31], "output": [[1]]}], "test": [{"input": [[0]]}]}
LONG = {"train": [{"input": [[0]], "output": [[0]]}] * (MAX_PAIRS + 1), "test": [{"input": [[0]]}]}
MANY = dict.fromkeys(range(2_001), TASK)
HOSTILE_FILES = [
    b"", b"\xff\xfe", b"[" * 100_000, b"{}", b"null", b"9" * 100_000, b'{"train": [], "test": []}',
    b'{"train": [{"input": [[1e999]], "output": [[NaN]]}], "test": [{"input": [[0]]}]}',
    b'{"train": [{"input": [[0]], "output": [[10]]}], "test": [{"input": [[0]]}]}',
    *(json.dumps(value).encode() for value in (WIDE, LONG, MANY, {"\ud800": TASK})),
]  # fmt: skip


@pytest.mark.parametrize("content", HOSTILE_FILES, ids=range(len(HOSTILE_FILES)))
def test_hostile_uploads_get_an_error(running: Server, content: bytes) -> None:
    status, answer = running.json("/api/upload?name=../../etc/x%00y.json", content)
    assert status == 400
    assert "expected" in answer["error"]
    assert len(answer["error"]) < 400


def test_uploads_are_one_task_or_many(running: Server) -> None:
    status, answer = running.json("/api/upload?name=<b>.json", TASK)
    assert status == 200 and [task["id"] for task in answer["tasks"]] == ["<b>"]
    assert answer["tasks"][0]["train"] == TASK["train"] and answer["tasks"][0]["test"] == TASK["test"]
    status, answer = running.json("/api/upload?name=challenges.json", {"b": TASK, "a": HARD})
    assert [task["id"] for task in answer["tasks"]] == ["a", "b"]


def test_known_tasks_are_listed_and_given(running: Server) -> None:
    first = load_tasks("arc-agi-1/evaluation")[0]
    status, gallery = running.json("/api/gallery?set=arc-agi-1/evaluation")
    assert status == 200 and len(gallery["cards"]) == 400 and gallery["cards"][0]["id"] == first.id
    status, task = running.json(f"/api/task?set=arc-agi-1/evaluation&id={first.id}")
    assert Grid(task["test"][0]["output"]) == first.test[0].output
    unknown = ["gallery?set=/etc/passwd", "gallery", "task?set=..", "task?set=arc-agi-1/evaluation&id=x"]
    for query in unknown:
        assert running.json(f"/api/{query}")[0] == 400


@pytest.mark.parametrize(
    ("program", "line", "message"),
    [
        ("x1 = vmirror(I)\nO = hmiror(x1)", 2, "did you mean hmirror?"),
        ("", 0, "expected"),
        ("import os", 1, "expected"),
        ("O = vmirror(I)\n" * 1_001, 2, "expected"),
        ("O = vmirror(\0\ud800<script>)", 1, "expected"),
        ("O = __import__(I)", 1, "expected"),
    ],
)  # fmt: skip
def test_bad_program_texts_have_an_error_at_its_line(
    running: Server, program: str, line: int, message: str
) -> None:
    status, answer = running.json("/api/explain", {"task": TASK, "program": program})
    assert status == 200 and answer["error"]["line"] == line
    assert message in answer["error"]["message"]


def test_program_is_explained_on_every_input(running: Server) -> None:
    status, answer = running.json("/api/explain", {"task": TASK, "program": MIRROR})
    program, views = answer["program"], answer["views"]
    assert status == 200 and program["right"] == [1, 1, None] and program["types"] == ["Grid"]
    assert [views[trace[0]]["cells"] for trace in program["trace"]] == ["21/43", "05", "876"]
    _, answer = running.json("/api/explain", {"task": TASK, "program": "x1 = size(I)\nO = hmirror(x1)"})
    assert answer["program"]["failed"] == [2, 2, 2] and answer["program"]["right"] == [0, 0, None]


def test_costly_program_ends_in_time_and_others_are_answered(running: Server) -> None:
    lines = ["x1 = asobject(I)", *(f"x{k} = shift(x{k - 1}, UNITY)" for k in range(2, 900)), "O = hmirror(I)"]
    big = [[k % 10 for k in range(30)]] * 30
    task = {"train": [{"input": big, "output": big}] * 4, "test": [{"input": big}]}
    connection = running.connect()
    headers = {"Origin": f"http://{running.host}", "Content-Type": "application/json"}
    connection.request(
        "POST", "/api/explain", json.dumps({"task": task, "program": "\n".join(lines)}), headers
    )
    assert running.json("/api/explain", {"task": TASK, "program": MIRROR})[0] == 200
    answer = connection.getresponse()
    assert answer.status == 400 and "takes more than" in json.loads(answer.read())["error"]


@pytest.mark.parametrize(
    "change",
    [
        {"task": None}, {"task": {}}, {"task": {**TASK, "id": 3}},
        {"seconds": 0}, {"seconds": "1"}, {"seconds": 1e9}, {"seconds": float("nan")},
        {"tried": -1}, {"tried": True}, {"programs": 3}, {"programs": [MIRROR] * 21}, {"programs": ["O = x"]},
        {"programs": [{"program": MIRROR, "votes": 2**60}]},
    ],
)  # fmt: skip
def test_bad_requests_for_searches_get_an_error(running: Server, change: dict[str, Any]) -> None:
    status, answer = running.json("/api/search", {"task": TASK, "seconds": 1, **change})
    assert status == 400 and "expected" in answer["error"]


def test_search_tells_what_it_reaches(running: Server) -> None:
    with running.search({"task": TASK, "seconds": 20}) as events:
        *_, last = found = list(events)
    assert last["ended"] == "settled"
    best = [event for event in found if "programs" in event][-1]
    assert best["programs"][0]["solved"] == 2 and best["programs"][0]["votes"] > 0
    assert 0 < best["programs"][0]["probability"] < 1
    assert best["programs"][0]["outputs"] == ["21/43", "05", "876"]
    assert best["attempts"][0][0] == "876"


def test_search_goes_on_from_programs(running: Server) -> None:
    before = {"programs": [{"program": "O = hmirror(I)"}, {"program": MIRROR, "votes": 5}], "tried": 1000}
    with running.search({"task": TASK, "seconds": 20, **before}) as events:
        first = next(events)
    assert first["tried"] == 1000
    assert {one["program"]: one["votes"] for one in first["programs"]}[MIRROR] == 5


def test_search_ends_when_its_page_is_closed_and_two_run_at_most(running: Server) -> None:
    until(lambda: len(running.children()) == 2)  # the workers
    workers = running.children()
    hard = {"task": HARD, "seconds": 600}
    with running.search(hard) as one, running.search(hard) as two:
        assert next(one)["tried"] == next(two)["tried"] == 0
        assert len(running.children() - workers) == 2
        with running.search(hard) as third:
            refused = next(third)
        assert refused["status"] == 503 and "at most 2 searches" in refused["error"]
    until(lambda: running.children() == workers)
    with running.search({"task": TASK, "seconds": 5}) as events:
        assert next(events)["tried"] == 0


def test_exports(running: Server, tmp_path: Path) -> None:
    def export(to: str, programs: list[str]) -> dict[str, str]:
        status, answer = running.json("/api/export", {"task": TASK, "programs": programs, "to": to})
        assert status == 200
        found: dict[str, str] = answer
        return found

    assert export("text", [MIRROR]) == {"name": "mirror.txt", "type": "text/plain", "text": f"{MIRROR}\n"}
    answers = json.loads(export("submission", ["O = hmirror(I)", MIRROR])["text"])
    assert answers == json.loads(submission({"mirror": [[Grid([[6, 7, 8]]), Grid([[8, 7, 6]])]]}))
    page = export("html", [MIRROR])
    assert page["name"] == "mirror.html" and "vmirror" in page["text"]
    (tmp_path / "solution.py").write_text(export("python", [MIRROR])["text"])
    (tmp_path / "grid.json").write_text("[[1, 2, 3]]")
    command = [sys.executable, "-I", "solution.py", "grid.json"]
    assert json.loads(subprocess.check_output(command, cwd=tmp_path)) == [[3, 2, 1]]
    for change in ({"to": "exe"}, {"programs": []}):
        body = {"task": TASK, "programs": [MIRROR], "to": "text"} | change
        assert running.json("/api/export", body)[0] == 400


def test_no_process_is_left_behind_and_nothing_is_said(capfd: pytest.CaptureFixture[str]) -> None:
    with server() as made, made.search({"task": HARD, "seconds": 600}) as events:
        assert next(events)["tried"] == 0
        children = made.children()
        assert len(children) == 3  # the search, and two workers
        made.process.send_signal(signal.SIGINT)
        assert made.process.wait(20) == 130
        until(lambda: not any(Path(f"/proc/{pid}/cmdline").exists() for pid in children))
    assert capfd.readouterr().err == ""


def test_taken_port_and_missing_packages_are_user_errors(
    running: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    port = running.host.rpartition(":")[2]
    ended = subprocess.run(
        [sys.executable, "-m", "codeit", "serve", "--port", port], capture_output=True, text=True, check=False
    )
    assert (
        ended.returncode == 2
        and "--port 0 takes any free port" in ended.stderr
        and "Traceback" not in ended.stderr
    )
    monkeypatch.setattr("codeit.cli.serve.find_spec", lambda name: None)
    with pytest.raises(RunError, match=r"pip install 'codeit\[serve\]'"):
        serve()


def test_policy_allows_the_scripts_of_a_page_only() -> None:
    rules = policy("<script>1</script><style>a{}</style><script src='x'></script>")
    assert rules.count("'sha256-") == 2 and "unsafe-inline" not in rules
