from __future__ import annotations

import ast
import importlib.util
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from codeit.data import experts
from codeit.data.experts import (
    Translation,
    generate_inputs,
    load_experts,
    load_inputs,
    published,
    translate,
)
from codeit.data.tasks import Task
from codeit.language import Grid, Program, run_batch
from codeit.language.simplification import simplify

SOURCE = """
from .dsl import *

def verify_aaaaaaaa(I: Grid) -> Grid:
    x0 = objects(I, T, F, F)
    x3 = rbind(compose, size)
    x4 = x3(first)
    x1 = (ONE, TWO)
    x2 = fill(I, ZERO, x0)
    x9 = identity(x2)
    return x2

def verify_bbbbbbbb(I):
    x0 = vmirror(I)
    x0 = hmirror(x0)
    return x0

def helper(I):
    return I
"""


def test_translation_renumbers_lines_rewrites_pairs_and_ends_at_the_result() -> None:
    programs, left_out = translate(SOURCE)
    assert left_out == {}
    assert str(programs["aaaaaaaa"]).splitlines() == [
        "x1 = objects(I, T, F, F)",
        "x2 = rbind(compose, size)",
        "x3 = x2(first)",
        "x4 = astuple(ONE, TWO)",
        "O = fill(I, ZERO, x1)",
    ]
    assert str(programs["bbbbbbbb"]) == "x1 = vmirror(I)\nO = hmirror(x1)"
    assert len(programs) == 2


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (
            "x0 = vmirror(I)\n    return hmirror(x0)",
            "line 3: expected the return of a variable, found return hmirror(x0)",
        ),
        ("x0 = vmirror(I)\n    return I", "line 3: expected the return of a variable, found return I"),
        ("x0 = vmirror(I)", "line 2: expected the return of a variable, found x0 = vmirror(I)"),
        (
            "x0 = vmirror(hmirror(I))\n    return x0",
            "line 2: expected a plain call, found x0 = vmirror(hmirror(I))",
        ),
        (
            "x0 = canvas(3, UNITY)\n    return x0",
            "line 2: expected a plain call, found x0 = canvas(3, UNITY)",
        ),
        ("x0 = (I, I, I)\n    return x0", "line 2: expected a plain call, found x0 = (I, I, I)"),
        ("x0 = sorted(I, key=size)\n    return x0", "line 2: expected a plain call"),
        ("x0 = [r for r in I]\n    return x0", "line 2: expected a plain call"),
        ("import os\n    return I", "line 2: expected a plain call, found import os"),
        ("x0, x1 = vmirror(I)\n    return x0", "line 2: expected a plain call"),
        ("x0 = open(I)\n    return x0", "open"),
        ("x0 = vmirror(x7)\n    return x0", "x7"),
    ],
)
def test_other_functions_are_left_out_with_the_reason(body: str, reason: str) -> None:
    programs, left_out = translate(f"def verify_cccccccc(I):\n    {body}\n")
    assert programs == {}
    assert reason in left_out["cccccccc"]


def test_every_verifier_of_the_package_is_translated(training: dict[str, Task]) -> None:
    programs, left_out = published()
    assert left_out == {}
    assert programs.keys() == training.keys()
    with_pair = {
        node.name.removeprefix("verify_")
        for node in ast.parse(_verifiers().read_text()).body
        if isinstance(node, ast.FunctionDef) and any(isinstance(part, ast.Tuple) for part in ast.walk(node))
    }
    assert len(with_pair) == 4
    assert all("= astuple(" in str(programs[task_id]) for task_id in with_pair)


def _verifiers() -> Path:
    spec = importlib.util.find_spec("reasoning_gym")
    assert spec is not None and spec.origin is not None
    return Path(spec.origin).parent / "arc" / "rearc_utils" / "verifiers.py"


SOME = [
    "007bbfb7",
    "0ca9ddb6",
    "3c9b0459",
    "0d3d703e",
    "1e0a9b12",
    "25ff71a9",
    "62c24649",
    "a416b8f3",
    "b1948b0a",
]


@pytest.mark.parametrize("task_id", SOME)
def test_simplified_experts_give_the_same_grids(task_id: str, training: dict[str, Task]) -> None:
    original = published().programs[task_id]
    fresh = list(generate_inputs(task_id, original, seed=1))
    assert len(fresh) == len(set(fresh)) >= 50
    inputs = [pair.input for pair in (*training[task_id].train, *training[task_id].test)]
    simple = simplify(original, [*inputs, *fresh], threads=1)
    assert len(simple) <= len(original)
    before, after = run_batch([original, simple], [[*inputs, *fresh]] * 2)
    assert [outcome.grid for outcome in before] == [outcome.grid for outcome in after]
    assert None not in [outcome.grid for outcome in before]


def test_generated_inputs_depend_only_on_the_seed() -> None:
    program = published().programs["67a3c6ac"]
    first, again, other = (list(generate_inputs("67a3c6ac", program, seed)) for seed in (0, 0, 1))
    assert first == again != other


@pytest.fixture
def few(monkeypatch: pytest.MonkeyPatch) -> dict[str, Program]:
    """Pretend that the package has three verifiers."""
    originals = published().programs
    programs = {task_id: originals[task_id] for task_id in SOME[:3]}
    monkeypatch.setattr(experts, "published", lambda: Translation(programs, {}))
    return programs


def cache_file_of(file: Path, texts: dict[str, Any]) -> str:
    """Return the contents of a cache file with a right version and checksum."""
    return json.dumps({"version": file.stem, "sha256": experts._checksum(texts), "texts": texts})


def test_cache_is_read_and_replaced_if_unusable(few: dict[str, Program], tmp_path: Path) -> None:
    calls: list[tuple[int, int]] = []

    def load() -> dict[str, Program]:
        return load_experts(directory=tmp_path / "new", workers=1, progress=lambda *done: calls.append(done))

    first = load()
    assert list(first) == sorted(few)
    assert calls == [(1, 3), (2, 3), (3, 3)]
    (file,) = (tmp_path / "new").iterdir()
    assert load() == first and len(calls) == 3
    whole = file.read_text()
    old = json.loads(whole)["texts"]  # the format of earlier versions
    for text in (
        *(whole[:100], "", "[]", "\x00", "{}", "[" * 100_000, json.dumps([old]), json.dumps(old)),
        whole.replace("x1", "x2", 1),
        json.dumps(json.loads(whole) | {"texts": dict.fromkeys(few, "O = vmirror(I)")}),
        json.dumps(json.loads(whole) | {"version": "experts"}),
        json.dumps(json.loads(whole) | {"sha256": None}),
        cache_file_of(file, dict(list(old.items())[:2])),
        cache_file_of(file, dict.fromkeys(few, "O = nothing(I)")),
        cache_file_of(file, {task_id: [["O = vmirror(I)"]] for task_id in few}),
    ):
        file.write_text(text)
        calls.clear()
        assert load() == first
        assert len(calls) == 3
        assert file.read_text() == whole


def test_experts_do_not_depend_on_the_number_of_processes() -> None:
    originals = published().programs
    programs = {task_id: originals[task_id] for task_id in SOME[:3]}
    assert experts._simplified(programs, 0, 1, None) == experts._simplified(programs, 0, 2, None)


def test_cache_file_is_in_the_users_cache_directory(
    few: dict[str, Program], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    load_experts(workers=1, seed=3)
    (file,) = (tmp_path / "codeit").iterdir()
    assert file.name.startswith("experts-") and file.name.endswith("-3.json")
    # The XDG specification says that relative paths are ignored.
    monkeypatch.setenv("XDG_CACHE_HOME", "relative")
    other = experts._cache_file("experts", 3, None)
    assert other is not None and other.parent == Path.home() / ".cache" / "codeit"


def test_cache_file_of_another_version_is_ignored(
    few: dict[str, Program], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = load_experts(directory=tmp_path, workers=1)
    (file,) = tmp_path.iterdir()
    file.write_text(cache_file_of(file, dict.fromkeys(few, "O = rot90(I)")))
    assert set(load_experts(directory=tmp_path, workers=1).values()) == {Program.parse("O = rot90(I)")}
    monkeypatch.setattr(experts, "SIMPLIFIER_VERSION", experts.SIMPLIFIER_VERSION + 1)
    assert load_experts(directory=tmp_path, workers=1) == first
    assert len(list(tmp_path.iterdir())) == 2
    before, after = sorted(tmp_path.iterdir())
    before.write_text(after.read_text())  # a file of another version under this one's name
    monkeypatch.setattr(experts, "SIMPLIFIER_VERSION", experts.SIMPLIFIER_VERSION - 1)
    assert experts._read(before, Program.parse) is None


def test_inputs_are_generated_once_and_then_read(few: dict[str, Program], tmp_path: Path) -> None:
    calls: list[tuple[int, int]] = []

    def load() -> dict[str, list[Grid]]:
        return load_inputs(few, directory=tmp_path, workers=1, progress=lambda *done: calls.append(done))

    first = load()
    assert list(first) == sorted(few)
    assert calls == [(1, 3), (2, 3), (3, 3)]
    assert load() == first and len(calls) == 3
    for task_id, grids in first.items():
        assert grids == list(generate_inputs(task_id, few[task_id], seed=1))


def test_cache_that_cannot_be_written_is_not_an_error(
    few: dict[str, Program], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "file").write_text("in the way")
    for _ in range(2):
        assert load_experts(directory=tmp_path / "file", workers=1).keys() == few.keys()
    (message,) = [record.message for record in caplog.records]
    assert message.startswith(f"codeit: no cache in '{tmp_path / 'file'}': ") and "\n" not in message


def test_cache_on_a_full_disk_leaves_nothing_behind(
    few: dict[str, Program], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(path: Path, *_: object, **__: object) -> None:
        path.touch()
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", fail)
    assert load_experts(directory=tmp_path, workers=1).keys() == few.keys()
    assert list(tmp_path.iterdir()) == []


def test_user_without_a_home_directory_has_no_cache(tmp_path: Path) -> None:
    """Run in a process of a user without home: the working directory gets no cache either."""
    script = """
import logging, os, pwd
from codeit.data import experts
from codeit.language import Program
def getpwuid(uid): raise KeyError(uid)
pwd.getpwuid = getpwuid
originals = experts.published().programs
experts.published = lambda: experts.Translation({"67a3c6ac": originals["67a3c6ac"]}, {})
for _ in range(2):
    assert list(experts.load_experts(workers=1)) == ["67a3c6ac"]
"""
    environment = {
        name: value for name, value in os.environ.items() if name not in ("HOME", "XDG_CACHE_HOME")
    }
    environment["MPLCONFIGDIR"] = str(tmp_path.parent)  # matplotlib, which the generators import, asks for it
    ended = subprocess.run(
        [sys.executable, "-c", script], cwd=tmp_path, env=environment, capture_output=True, text=True
    )
    assert (ended.returncode, ended.stdout) == (0, ""), ended.stderr
    (line,) = ended.stderr.splitlines()
    assert line.startswith("codeit: no cache, as there is no home directory; set XDG_CACHE_HOME")
    assert list(tmp_path.iterdir()) == []
