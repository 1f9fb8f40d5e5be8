"""Any command line and any files give a result, or one line that says what is wrong.

    pytest tests/cli/test_any_command_line.py --hypothesis-profile=long

`make test` runs a hundred examples. The command above runs twelve times as many.
"""

from __future__ import annotations

import io
import os
import resource
import shutil
import signal
import sys
from collections.abc import Iterator
from contextlib import chdir
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NamedTuple

import pytest
from command_files import FILES, Change, apply, changes, make_files
from command_lines import COMMANDS, SETTINGS, command_lines
from hypothesis import given, settings

import codeit.data.experts
import codeit.report.runs
from codeit.cli.main import main
from codeit.data.tasks import load_tasks
from codeit.language import Grid, Program

SECONDS = 60
"""Time of one command, after which it counts as hanging. Nearly all take some milliseconds."""
BYTES = 2 * 2**30
"""Memory that a command may take beyond that of the test."""
EXPERTS = {"down": Program.parse("O = hmirror(I)"), "left": Program.parse("O = vmirror(I)")}
INPUTS = {task_id: [Grid([[k, 1, 2], [3, 4, 5]]) for k in range(8)] for task_id in EXPERTS}


class Ended(NamedTuple):
    """How a command ended."""

    code: object
    stdout: str
    stderr: str


class Hangs(BaseException):
    """A command takes too long."""


def run_codeit(*arguments: str) -> Ended:
    """Run a command in this process and in the current directory."""

    def stop(*_: object) -> None:
        raise Hangs

    streams = [io.TextIOWrapper(io.BytesIO(), "utf-8", errors="backslashreplace") for _ in range(2)]
    before = sys.argv, sys.stdout, sys.stderr
    handlers = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGALRM)}
    signal.signal(signal.SIGALRM, stop)
    signal.alarm(SECONDS)
    used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    memory = resource.getrlimit(resource.RLIMIT_AS)
    resource.setrlimit(resource.RLIMIT_AS, (used + BYTES, memory[1]))
    code: object = None
    try:
        sys.argv, sys.stdout, sys.stderr = ["codeit", *arguments], *streams
        main()
    except SystemExit as ended:
        code = ended.code
    finally:
        signal.alarm(0)
        resource.setrlimit(resource.RLIMIT_AS, memory)
        sys.argv, sys.stdout, sys.stderr = before
        for number, handler in handlers.items():
            signal.signal(number, handler)
    return Ended(code, *(stream.buffer.getvalue().decode() for stream in streams))


@pytest.fixture(scope="module")
def good_files(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Return a directory with one of each kind of file. Data sets and experts are tiny, too."""
    folder = tmp_path_factory.mktemp("good")
    with pytest.MonkeyPatch.context() as patch:
        (folder / "elsewhere").mkdir()
        for name in ("HOME", "XDG_CACHE_HOME", "XDG_CONFIG_HOME"):
            patch.setenv(name, str(folder / "elsewhere"))
        patch.setenv("COLUMNS", "80")
        patch.setenv("PIP_NO_INDEX", "1")  # `codeit tasks fetch` finds nothing
        (folder / "here").mkdir()
        patch.chdir(folder / "here")
        for module in ("data.experts", "loop", "solver", "policy.pretraining"):
            patch.setattr(f"codeit.{module}.load_experts", lambda **_: EXPERTS)
        for module in ("data.experts", "policy.pretraining"):
            patch.setattr(f"codeit.{module}.load_inputs", lambda *_, **__: INPUTS)
        patch.setattr("codeit.data.tasks._load_named", lambda _: load_tasks(folder / "here/tasks"))
        patch.setattr("codeit.cli.solve._IMPORT_SECONDS", 0.0)
        patch.setattr("uvicorn.Server.run", lambda *_: None)  # `codeit serve` ends at once
        patch.setattr("codeit.data.experts.published", cache(codeit.data.experts.published))
        forget_tasks()
        made = make_files(folder / "here", run_codeit)
        assert set(FILES) <= set(made), set(FILES) - set(made)
        yield folder
    forget_tasks()


def forget_tasks() -> None:
    """Clear the report's cache of tasks by name and path. Both name other tasks elsewhere."""
    codeit.report.runs._tasks.cache_clear()


def snapshot(folder: Path) -> dict[str, object]:
    """Return the contents of everything in a folder by relative path."""
    found: dict[str, object] = {}
    for parent, directories, files in os.walk(folder):
        for name in (*directories, *files):
            path = Path(parent, name)
            content: object = path.is_dir()
            if path.is_symlink():
                content = os.readlink(path)
            elif path.is_file():
                content = path.read_bytes()
            found[str(path.relative_to(folder))] = content
    return found


def outputs_named(arguments: list[str]) -> set[str]:
    """Return the paths, relative to the folder of an example, that a command may write."""
    named = ["runs"] if arguments[0] in ("run", "pretrain") else []
    for k, argument in enumerate(arguments):
        if argument.startswith(("--o", "--h", "--b", "-o", "---o")):  # --out, --html, --best, or misspelt
            named += [argument.partition("=")[2], *arguments[k + 1 : k + 2]]
    named += [f"{path}.search" for path in named if path]
    named += arguments[1:] if arguments[0] == "resume" else []
    return {os.path.normpath(os.path.join("here", path)) for path in named if path}


def check(arguments: list[str], faults: list[Change], good: Path, folder: Path) -> None:
    """Run a command on good files with some faults, and check how it ends."""
    shutil.copytree(good, folder)
    here = folder / "here"
    for fault in faults:
        apply(fault, here)
    forget_tasks()
    before = snapshot(folder)
    with chdir(here):
        ended = run_codeit(*arguments)
    after = snapshot(folder)

    assert ended.code in (0, None, 2) or (ended.code == 1 and arguments[0] == "solve"), ended
    assert "Traceback" not in ended.stderr + ended.stdout
    errors = [line for line in ended.stderr.splitlines() if line.startswith("codeit: ")]
    assert len(errors) == (ended.code == 2), ended
    outputs = outputs_named(arguments)

    def is_output(path: str) -> bool:
        parents = {parent for output in outputs for parent in map(str, Path(output).parents)}
        return path in parents - before.keys() or any(
            path == output or path.startswith(f"{output}/") for output in outputs
        )

    changed = {path for path in before.keys() | after.keys() if before.get(path, 0) != after.get(path, 0)}
    assert not {path for path in changed if not is_output(path)}, ended
    assert not {path for path in changed if path.endswith(".partial")}, ended
    # What runs out of mutants or examples keeps its work, as does a run that cannot be resumed.
    if ended.code == 2 and "mutants" not in errors[0] and "new examples" not in errors[0]:
        assert not after.keys() - before.keys() or arguments[0] == "resume", ended


@settings(max_examples=settings().max_examples // 4)
@given(command_lines(), changes())
def test_any_command_line_ends_in_a_result_or_one_line(
    good_files: Path, arguments: list[str], faults: list[Change]
) -> None:
    with TemporaryDirectory() as parent:
        check(arguments, faults, good_files, Path(parent, "example"))


def test_every_command_with_settings_is_known() -> None:
    with_settings = {name for name, arguments in COMMANDS if any(a.name == "--[KEYWORD]" for a in arguments)}
    assert with_settings == SETTINGS.keys()
