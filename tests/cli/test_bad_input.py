"""Hostile files, names and numbers, and Ctrl-C at any moment: one line, an exit code, no traceback."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
import torch

PAIR = {"input": [[1, 2]], "output": [[2, 1]]}
TASK = {"train": [PAIR], "test": [PAIR]}


def one_line(ended: Any) -> str:
    """Return the only line of a user error."""
    assert (ended.code, ended.stdout) == (2, "")
    (line,) = ended.stderr.splitlines()
    assert line.startswith("codeit: ") and len(line) < 400
    assert isinstance(line, str)
    return line


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


# --- Files ---


def test_pipes_are_refused_and_not_read(here: Path, codeit: Any) -> None:
    (here / "tasks").mkdir()
    (here / "tasks" / "a.json").write_text(json.dumps(TASK))
    for pipe in ("p.json", "tasks/p.json"):
        os.mkfifo(here / pipe)
    assert "p.json: expected a directory, a file or one of" in one_line(codeit("tasks", "list", "p.json"))
    assert "p.json: expected a regular file, found a pipe" in one_line(codeit("tasks", "list", "tasks"))
    for command in (["tasks", "show"], ["solve"]):
        one_line(codeit(*command, "p.json"))


@pytest.mark.parametrize("address", ["nowhere", "ray://host:10001", "127.0.0.1:1"])
def test_unusable_cluster_is_one_line_and_leaves_no_directory(here: Path, codeit: Any, address: str) -> None:
    line = one_line(codeit("search", "--out", "new", "--cluster", address))
    assert "--cluster" in line and address in line
    assert not (here / "new").exists()


def test_huge_file_is_refused_before_it_is_read(here: Path, codeit: Any) -> None:
    with open(here / "big.json", "wb") as file:
        file.truncate(200_000_000)
    assert "big.json: expected at most 64 MB, found 200 MB" in one_line(codeit("tasks", "list", "big.json"))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            f'{{"a": {json.dumps(TASK)}, "b": {json.dumps(TASK)}, "a": {json.dumps(TASK)}}}',
            'expected unique keys in an object, found "a" twice',
        ),
        (json.dumps({"\ud800": TASK}), r"expected a task id of Unicode text, found '\ud800'"),
        (
            json.dumps(TASK).replace("2", "9" * 23),
            "row 0, column 1: expected a colour from 0 to 9, found 9999",
        ),
        (json.dumps(TASK).replace("2", "9" * 5000), "expected JSON, found an integer of thousands of digits"),
        (
            json.dumps(TASK).replace("2", "[" * 5000 + "]" * 5000),
            "expected JSON, found lists nested too deeply",
        ),
    ],
    ids=["duplicate id", "surrogate", "23 digits", "5000 digits", "deep"],
)
def test_bad_json_of_tasks_is_a_user_error(text: str, message: str, here: Path, codeit: Any) -> None:
    (here / "bad.json").write_text(text)
    assert f"bad.json: {message}" in one_line(codeit("tasks", "list", "bad.json")).replace(
        "train[0] input, ", ""
    )


@pytest.mark.parametrize("depth", range(800, 1000, 3))
def test_lists_of_any_depth_in_a_grid_are_a_user_error(depth: int, here: Path, codeit: Any) -> None:
    (here / "bad.json").write_text(json.dumps(TASK).replace("2", "[" * depth + "]" * depth))
    one_line(codeit("tasks", "list", "bad.json"))


def test_file_name_that_is_not_unicode_is_a_user_error(here: Path, codeit: Any) -> None:
    with open(os.fsencode(here) + b"/\xff.json", "w") as file:
        json.dump(TASK, file)
    assert r"found '\udcff'" in one_line(codeit("tasks", "list", "."))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (f"[run]\nseed = {'9' * 23}", "run.seed: expected an integer of at most 63 bits, found one of 77"),
        (f"[run]\nseed = {'9' * 5000}", "cannot be read: an integer of thousands of digits"),
        (f"[run]\nseed = 0x{'f' * 5000}", "run.seed: expected an integer of at most 63 bits"),
        (f"[run]\nseed = {'[' * 50}{']' * 50}", "run.seed: expected at most 16 nested tables and arrays"),
        (f"[run]\nseed = {'[' * 9000}{']' * 9000}", "expected at most 16 nested tables and arrays"),
        (f"[{'.'.join(['a'] * 5000)}]", "expected at most 16 nested tables and arrays"),
        ('extends = "a\\u0000.toml"', "a\\x00.toml: cannot be read: embedded null byte"),
    ],
)
def test_bad_configuration_is_a_user_error(text: str, message: str, here: Path, codeit: Any) -> None:
    (here / "c.toml").write_text(text)
    assert message in one_line(codeit("run", "c.toml", "--out", "x"))
    assert not (here / "x").exists()


# --- The command line ---


COMMAND_LINES = {
    "25 digits": (
        ["baseline", "--out", "x", "--max-steps", "9" * 25],
        "--max-steps: expected a value <= 9223372036854775807, found 9999",
    ),
    "5000 digits": (["mutate", "--count", "9" * 5000], "--count: expected an integer, found '9999"),
    "many threads": (
        ["mutate", "--threads", "99999999999"],
        "--threads: expected a value <= 1024, found 99999999999",
    ),
    "many processes": (
        ["solve", "00576224", "--populations", "2000"],
        "--populations: expected a value <= 1",
    ),
    "many threads of a run": (
        ["run", "smoke", "--out", "x", "--run.threads", "99999999999"],
        "run.threads: expected less than or equal to 1024, found 99999999999",
    ),
    "an age": (["solve", "00576224", "--seconds", "1e300"], "--seconds: expected a value <= 1000000000"),
    "large setting": (
        ["run", "smoke", "--out", "x", "--run.seed", "9" * 23],
        "command line: run.seed: expected an integer of at most 63 bits",
    ),
    "huge setting": (
        ["run", "smoke", "--out", "x", "--run.seed", "9" * 5000],
        "command line: run.seed: expected a valid integer, found '9999",
    ),
    "nested setting": (
        ["run", "smoke", "--out", "x", "--run.seed", "[" * 5000],
        "command line: run.seed: expected a valid integer, found '[[[",
    ),
    "long name": (["run", "smoke", "--out", "x", f"--{'a.' * 3000}b", "3"], "too many names"),
    "no device": (
        ["run", "smoke", "--out", "x", "--policy.device", "tpu"],
        "policy.device: expected 'auto', 'cpu' or 'cuda[:N]', found 'tpu'",
    ),
    "section with a value": (
        ["search", "--out", "x", "--evolution", "3", "--evolution.offspring", "2"],
        "--evolution: expected a value or --evolution.KEY VALUE, found both",
    ),
    "setting with keys": (
        ["search", "--out", "x", "--evolution.max-steps.x=2", "--evolution.max_steps=3"],
        "--evolution.max_steps: expected a value or --evolution.max_steps.KEY VALUE, found both",
    ),
    "many offspring": (
        ["search", "--out", "x", "--evolution.offspring", "9" * 18],
        "evolution.offspring: expected less than or equal to 10000000, found 9999",
    ),
    "freezing": (
        ["evaluate-policy", "--out", "x", "--temperature", "1e-300"],
        "--temperature: expected a value >= 1e-06, found 1e-300",
    ),
    "heat": (
        ["run", "smoke", "--out", "x", "--sampling.temperature", "1e300"],
        "sampling.temperature: expected less than or equal to 1000000, found 1e+300",
    ),
    "empty name to write": (["search", "--out", ""], "--out: expected a name, found ''"),
    "empty name to read": (["report", "", "--out", "x"], "RUN: expected a name, found ''"),
    "endless program": (["explain", "/dev/zero", "00576224"], "/dev/zero: expected a program, found more"),
    "endless solutions": (["verify", "/dev/zero"], "/dev/zero, line 1: expected an object like"),
    "endless settings": (["run", "/dev/zero"], "/dev/zero: expected TOML of at most 1,000,000 characters"),
    "tasks without experts": (
        ["search", "--out", "x", "--train", "a.json"],
        "a.json: expected tasks with expert programs, found none.",
    ),
    "baseline without experts": (
        ["baseline", "--out", "x", "--train", "a.json"],
        "a.json: expected tasks with expert programs, found none.",
    ),
    "run without tasks": (
        ["run", "smoke", "--out", "x", "--data.test", ""],
        '"": expected a directory, a file or one of',
    ),
    "run without experts": (
        ["run", "smoke", "--out", "x", "--data.train", "a.json"],
        "a.json: expected tasks with expert programs, found none.",
    ),
    "run of no policy": (
        ["run", "smoke", "--out", "x", "--policy.init", "nowhere"],
        "policy.init: expected 'shipped', 'random', 'codet5p-220m' or a directory, found 'nowhere'",
    ),
    "run of another size": (
        ["run", "smoke", "--out", "x", "--policy.d_model", "48"],
        "policy.d_model: expected 192, as in the weights of policy.init = 'shipped', found 48",
    ),
    "training without tasks": (
        ["pretrain", "pretrain", "--out", "x", "--data.train", "nowhere"],
        "nowhere: expected a directory, a file or one of",
    ),
    "training of no policy": (
        ["pretrain", "pretrain", "--out", "x", "--policy.init", "nowhere"],
        "policy.init: expected 'shipped', 'random', 'codet5p-220m' or a directory, found 'nowhere'",
    ),
    "empty name of tasks": (["tasks", "list", "--tasks", ""], '"": expected a directory, a file or one of'),
    "empty puzzle": (["solve", ""], '"": expected a directory, a file or one of'),
    "empty set to look in": (
        ["tasks", "show", "a", "--tasks", ""],
        '"": expected a directory, a file or one of',
    ),
    "surrogate": (["tasks", "show", "\ud800"], r"expected a task \ud800, found no task with this id"),
    "undecodable": (["tasks", "show", "\udcff"], r"expected a task \udcff, found no task with this id"),
    "surrogate in a path": (["tasks", "list", "\ud800/x.json"], r"\ud800/x.json: expected a directory"),
    "escape": (["tasks", "show", "a\x1b[31m"], r"expected a task a\x1b[31m, found no task with this id"),
    "escape in an option": (["mutate", "--x\x1b[31m"], r"--x\x1b[31m: unknown option"),
}


@pytest.mark.parametrize("case", COMMAND_LINES)
def test_bad_command_line_is_a_user_error(case: str, here: Path, codeit: Any) -> None:
    (here / "a.json").write_text(json.dumps(TASK))  # what an empty name must not find
    arguments, message = COMMAND_LINES[case]
    assert message in one_line(codeit(*arguments))
    assert [path.name for path in here.iterdir()] == ["a.json"]


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (MemoryError("std::bad_alloc"), "found too little: std::bad_alloc;"),
        (RuntimeError("DefaultCPUAllocator: can't allocate memory:\nbacktrace"), "can't allocate memory:;"),
        (torch.OutOfMemoryError("CUDA out of memory."), "found too little: CUDA out of memory.;"),
    ],
)
def test_too_little_memory_is_a_user_error(
    error: Exception, message: str, monkeypatch: pytest.MonkeyPatch, codeit: Any
) -> None:
    def fail(_: object) -> None:
        raise error

    monkeypatch.setattr("codeit.cli.main.app", fail)
    assert message in one_line(codeit("run", "smoke"))


@pytest.mark.parametrize("pressure", ["1e-300", "1e300"])
def test_any_selection_pressure_works(pressure: str, here: Path, codeit: Any) -> None:
    (here / "a.json").write_text(json.dumps(TASK))
    arguments = ["--policy", "none", "--populations", "1", "--programs", "1500"]
    assert codeit("solve", "a.json", *arguments, "--evolution.selection-pressure", pressure).code in (0, 1)


@pytest.mark.parametrize("count", ["9223372036854775807", "100000000000000000"])
def test_largest_step_budget_works(count: str, here: Path, codeit: Any) -> None:
    settings = ["--evolution.max-steps", count]
    arguments = ["--policy", "none", "--populations", "1", "--programs", "400"]
    assert codeit("solve", "67a3c6ac", *arguments, *settings).code == 0


def test_control_characters_of_ids_and_names_are_printed_as_escapes(here: Path, codeit: Any) -> None:
    nasty = "a\x1b]0;owned\x9b31m\u202eb"
    escaped = r"a\x1b]0;owned\x9b31m\u202eb"
    (here / f"{nasty}.json").write_text(json.dumps(TASK))
    (here / "set.json").write_text(json.dumps({nasty: TASK}))
    (here / "solutions.jsonl").write_text(json.dumps({"task": nasty, "program": "O = vmirror(I)"}))
    for command in (
        ["tasks", "list", "set.json"],
        ["tasks", "show", f"{nasty}.json"],
        ["tasks", "compare", "set.json", "set.json"],
        ["verify", "solutions.jsonl", "--tasks", "set.json"],
        ["solve", f"{nasty}.json", "--policy", "none", "--populations", "1", "--programs", "300"],
        ["verify", f"{nasty}.jsonl"],
    ):
        ended = codeit(*command)
        printed = "".join((ended.stdout + ended.stderr).split())
        assert escaped in printed.replace("│", "").replace("┃", ""), command
        assert not set("\x1b\x07\x9b\u202e") & set(ended.stdout + ended.stderr)


def test_text_that_the_terminal_cannot_encode_is_escaped(here: Path) -> None:
    (here / "set.json").write_text(json.dumps({"é": TASK}))
    ended = subprocess.run(
        [sys.executable, "-m", "codeit", "tasks", "list", "set.json"],
        capture_output=True,
        env={**os.environ, "PYTHONIOENCODING": "ascii"},
    )
    assert (ended.returncode, ended.stdout[:5]) == (0, b"\\xe9 ")


# --- Ctrl-C ---


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize(
    ("module", "arguments"),
    [
        ("cyclopts", ["tasks", "list"]),
        ("rich.console", ["tasks", "list"]),
        ("numpy._core.multiarray", ["tasks", "list"]),
        ("torch.types", ["run", "smoke", "--out", "x"]),
        ("torch.nn.functional", ["run", "smoke", "--out", "x"]),
    ],
)
def test_signal_during_an_import_ends_quietly(
    module: str, arguments: list[str], number: signal.Signals, here: Path
) -> None:
    command = [sys.executable, "-X", "importtime", "-m", "codeit", *arguments]
    process = subprocess.Popen(
        command, cwd=here, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True
    )
    assert process.stderr is not None
    for line in process.stderr:
        if line.rstrip().endswith(f" {module}"):  # printed when this import is done, amid another one
            os.killpg(process.pid, number)
            break
    stdout, stderr = process.communicate(timeout=60)
    others = [line for line in stderr.splitlines() if not line.startswith("import time:")]
    assert (process.returncode, stdout, others) == (130, "", [])


@pytest.mark.parametrize("error", [ImportError("partially initialized module 'torch'"), AttributeError("x")])
def test_exception_after_a_signal_counts_as_interrupted(
    error: Exception, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    import codeit.cli.main
    from codeit.__main__ import main

    before = {each: signal.getsignal(each) for each in (signal.SIGINT, signal.SIGTERM)}

    def fail(_: object) -> None:
        if interrupted:
            with suppress(KeyboardInterrupt):
                os.kill(os.getpid(), signal.SIGTERM)
        raise error

    monkeypatch.setattr(codeit.cli.main, "app", fail)
    try:
        interrupted = True
        with pytest.raises(SystemExit) as ended:
            main()
        assert ended.value.code == 130
        interrupted = False
        with pytest.raises(type(error)):
            main()
    finally:
        for each, handler in before.items():
            signal.signal(each, handler)
    assert capsys.readouterr() == ("", "")
