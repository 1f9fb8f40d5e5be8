from __future__ import annotations

import ast
import importlib.util
import json
from pathlib import Path

import pytest

from codeit import experts
from codeit.data.experts import inputs_for, load_experts, published, simplify, translate
from codeit.language import Grid, Program, run_batch
from codeit.data.tasks import Task

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


def test_translation_renumbers_rewrites_pairs_and_ends_at_the_result() -> None:
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
            "line 3 returns no computed variable: return hmirror(x0)",
        ),
        ("x0 = vmirror(I)\n    return I", "line 3 returns no computed variable: return I"),
        ("x0 = vmirror(I)", "line 2 returns no computed variable: x0 = vmirror(I)"),
        ("x0 = vmirror(hmirror(I))\n    return x0", "line 2 is no plain call: x0 = vmirror(hmirror(I))"),
        ("x0 = canvas(3, UNITY)\n    return x0", "line 2 is no plain call: x0 = canvas(3, UNITY)"),
        ("x0 = (I, I, I)\n    return x0", "line 2 is no plain call: x0 = (I, I, I)"),
        ("x0 = sorted(I, key=size)\n    return x0", "line 2 is no plain call"),
        ("x0 = [r for r in I]\n    return x0", "line 2 is no plain call"),
        ("import os\n    return I", "line 2 is no plain call: import os"),
        ("x0, x1 = vmirror(I)\n    return x0", "line 2 is no plain call"),
        ("x0 = open(I)\n    return x0", "open"),
        ("x0 = vmirror(x7)\n    return x0", "x7"),
    ],
)
def test_what_is_no_straight_line_of_calls_is_left_out_with_the_reason(body: str, reason: str) -> None:
    programs, left_out = translate(f"def verify_cccccccc(I):\n    {body}\n")
    assert programs == {}
    assert reason in left_out["cccccccc"]


def test_every_verifier_of_the_package_is_a_program(training: dict[str, Task]) -> None:
    programs, left_out = published()
    assert left_out == {}
    assert programs.keys() == training.keys()
    holds_a_pair = {
        node.name.removeprefix("verify_")
        for node in ast.parse(_verifiers().read_text()).body
        if isinstance(node, ast.FunctionDef) and any(isinstance(part, ast.Tuple) for part in ast.walk(node))
    }
    assert len(holds_a_pair) == 4
    assert all("= astuple(" in str(programs[id]) for id in holds_a_pair)


def _verifiers() -> Path:
    spec = importlib.util.find_spec("reasoning_gym")
    assert spec is not None and spec.origin is not None
    return Path(spec.origin).parent / "arc" / "rearc_utils" / "verifiers.py"


GRIDS = [Grid([[1, 2, 0], [0, 3, 4]]), Grid([[5, 0], [0, 6], [7, 8]]), Grid([[0, 0, 9]])]


def simplified(text: str, inputs: list[Grid] = GRIDS) -> list[str]:
    return str(simplify(Program.parse(text), inputs, threads=1)).splitlines()


def test_equal_lines_are_merged_and_unused_ones_dropped() -> None:
    text = "x1 = height(I)\nx2 = width(I)\nx3 = height(I)\nx4 = astuple(x1, x3)\nO = canvas(ONE, x4)"
    assert simplified(text) == ["x1 = height(I)", "x2 = astuple(x1, x1)", "O = canvas(ONE, x2)"]


def test_a_line_without_effect_is_replaced_by_its_argument() -> None:
    assert simplified("x1 = identity(I)\nx2 = vmirror(x1)\nO = identity(x2)") == ["O = vmirror(I)"]


def test_lines_that_undo_each_other_go() -> None:
    assert simplified("x1 = rot90(I)\nx2 = rot270(x1)\nx3 = hmirror(x2)\nO = vmirror(x3)") == [
        "x1 = hmirror(I)",
        "O = vmirror(x1)",
    ]


def test_a_line_is_replaced_by_a_constant() -> None:
    text = "x1 = palette(I)\nx2 = size(x1)\nx3 = subtract(x2, x2)\nO = replace(I, x3, FIVE)"
    assert simplified(text) == ["O = replace(I, ZERO, FIVE)"]


def test_a_function_value_is_replaced_by_another() -> None:
    text = "x1 = compose(vmirror, identity)\nx2 = lbind(x1, I)\nx3 = x1(I)\nO = hmirror(x3)"
    assert simplified(text) == ["x1 = vmirror(I)", "O = hmirror(x1)"]


def test_the_identity_keeps_its_one_line() -> None:
    assert simplified("x1 = vmirror(I)\nO = vmirror(x1)") == ["x1 = vmirror(I)", "O = vmirror(x1)"]


def test_nothing_that_matters_on_one_input_goes() -> None:
    # Only the last grid tells the mirror image along the rows from no mirror image.
    text = "x1 = hmirror(I)\nO = vmirror(x1)"
    flat = [Grid([[0, 0, 9]]), Grid([[1, 2]])]
    assert simplified(text, flat) == ["O = vmirror(I)"]
    assert simplified(text, [*flat, Grid([[1, 2], [3, 4]])]) == text.splitlines()


def test_a_fresh_input_that_tells_the_programs_apart_is_learnt_from() -> None:
    program = Program.parse("x1 = hmirror(I)\nx2 = identity(x1)\nO = vmirror(x2)")
    flat = [Grid([[0, 0, 9]])]
    fresh = iter([Grid([[1, 2]]), Grid([[1, 2], [3, 4]]), Grid([[5]]), Grid([[6]])])
    simple = simplify(program, flat, fresh, threads=1)
    assert str(simple).splitlines() == ["x1 = hmirror(I)", "O = vmirror(x1)"]
    assert list(fresh) == []
    # Where nothing was replaced there is nothing to check.
    fresh = iter(flat)
    assert simplify(simple, GRIDS, fresh, threads=1) == simple
    assert list(fresh) == flat


def test_inputs_on_which_the_original_fails_do_not_count() -> None:
    # tophalf of one row is empty: no grid.
    text = "x1 = identity(I)\nO = tophalf(x1)"
    assert simplified(text, [Grid([[1]]), Grid([[1], [2]])]) == ["O = tophalf(I)"]
    assert simplified(text, [Grid([[1]])]) == text.splitlines()


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


@pytest.mark.parametrize("id", SOME)
def test_simplified_experts_do_the_same(id: str, training: dict[str, Task]) -> None:
    original = published().programs[id]
    fresh = list(inputs_for(id, original, seed=1))
    assert len(fresh) == len(set(fresh)) >= 50
    given = [pair.input for pair in (*training[id].train, *training[id].test)]
    simple = simplify(original, [*given, *fresh], threads=1)
    assert len(simple) <= len(original)
    before, after = run_batch([original, simple], [[*given, *fresh]] * 2)
    assert [outcome.grid for outcome in before] == [outcome.grid for outcome in after]
    assert None not in [outcome.grid for outcome in before]


def test_generated_inputs_follow_the_seed() -> None:
    program = published().programs["67a3c6ac"]
    first, again, other = (list(inputs_for("67a3c6ac", program, seed)) for seed in (0, 0, 1))
    assert first == again != other


@pytest.fixture
def few(monkeypatch: pytest.MonkeyPatch) -> dict[str, Program]:
    """As if the package had three verifiers."""
    programs = {id: published().programs[id] for id in SOME[:3]}
    monkeypatch.setattr(experts, "published", lambda: experts.Published(programs, {}))
    return programs


def test_the_cache_is_used_and_made_again_when_unreadable(few: dict[str, Program], tmp_path: Path) -> None:
    told: list[tuple[int, int]] = []

    def load() -> dict[str, Program]:
        return load_experts(folder=tmp_path / "new", workers=1, progress=lambda *done: told.append(done))

    first = load()
    assert list(first) == sorted(few)
    assert told == [(1, 3), (2, 3), (3, 3)]
    (file,) = (tmp_path / "new").iterdir()
    assert load() == first and len(told) == 3
    whole = file.read_text()
    incomplete = json.dumps(dict(list(json.loads(whole).items())[:2]))
    for text in (whole[:100], "", "[]", incomplete, json.dumps(dict.fromkeys(few, "O = nothing(I)")), "\x00"):
        file.write_text(text)
        told.clear()
        assert load() == first
        assert len(told) == 3
        assert file.read_text() == whole


def test_the_number_of_processes_changes_nothing() -> None:
    programs = {id: published().programs[id] for id in SOME[:3]}
    assert experts._simplified(programs, 0, 1, None) == experts._simplified(programs, 0, 2, None)


def test_the_cache_is_in_the_users_cache_folder(
    few: dict[str, Program], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    load_experts(workers=1, seed=3)
    (file,) = (tmp_path / "codeit").iterdir()
    assert file.name.startswith("experts-") and file.name.endswith("-3.json")
    monkeypatch.setenv(
        "XDG_CACHE_HOME", "relative"
    )  # not absolute: to be ignored, says the XDG specification
    assert experts._cache_folder() == Path.home() / ".cache" / "codeit"


def test_a_cache_that_cannot_be_written_is_no_error(few: dict[str, Program], tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    assert load_experts(folder=tmp_path / "file", workers=1).keys() == few.keys()
