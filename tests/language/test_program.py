from __future__ import annotations

import pickle
from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from codeit.language import (
    PRIMITIVES,
    Budget,
    ExecutionError,
    Grid,
    ParseError,
    Program,
    count_solved,
    evaluate,
    infer_types,
    run_batch,
    vary,
)

TEXT = "x1 = objects(I, T, F, T)\nx2 = argmax(x1, size)\nO = subgrid(x2, I)"
GRID = Grid([[0, 0, 0, 0], [0, 2, 2, 0], [0, 2, 0, 5], [0, 0, 0, 0]])


def test_text_comes_back() -> None:
    program = Program.parse(TEXT)
    assert str(program) == TEXT
    assert (
        Program.parse("\n  x1=objects(I,T,F , T)\n\n x2 = argmax( x1, size )\r\nO = subgrid(x2, I)\n")
        == program
    )
    assert Program.from_lines(program.lines) == program
    assert len(program) == 3
    assert program.lines[1] == ("x2", "argmax", ("x1", "size"))
    assert pickle.loads(pickle.dumps(program)) == program


@pytest.mark.parametrize(
    ("text", "line", "token", "suggestion"),
    [
        ("x1 = objets(I, T, F, T)\nO = x1", 1, "objets", "objects"),
        ("x1 = rot90(I)\nO = rot90(x2)", 2, "x2", "x1"),
        ("O = rot90(I, I)", 1, "I", ""),
        ("O = fill(I, ONE)", 1, ")", ""),
        ("O = canvas(ZER0, UNITY)", 1, "ZER0", "ZERO"),
        ("O rot90(I)", 1, "rot90", ""),
        ("x1 = rot90(I)", 1, "x1", ""),
        ("", 0, "an empty text", ""),
        ("O = rot90(I)\nx1 = rot90(I)", 2, "x1", ""),
        ("x1 = rot90(I)\nx1 = rot90(I)\nO = rot90(x1)", 2, "x1", ""),
        ("O = __import__(I)", 1, "__import__", ""),
        ("O = rot90(I) # no comments", 1, "#", ""),
    ],
)
def test_a_parse_error_says_where_and_what(text: str, line: int, token: str, suggestion: str) -> None:
    with pytest.raises(ParseError) as caught:
        Program.parse(text)
    error = caught.value
    assert (error.line, error.token, error.suggestion) == (line, token, suggestion)
    assert error.expected and error.expected in str(error)


@given(st.text(max_size=200))
@settings(max_examples=200, deadline=None)
def test_any_text_is_a_program_or_a_parse_error(text: str) -> None:
    try:
        program = Program.parse(text)
    except ParseError:
        return
    assert Program.parse(str(program)) == program


def test_running() -> None:
    program = Program.parse(TEXT)
    assert program(GRID) == Grid([[2, 2], [2, 0]])
    outcome = program.run(GRID)
    assert outcome.kind == "grid" and outcome.line == 0 and outcome.steps > 0
    with pytest.raises(ExecutionError, match=r"line 1: size: expected a container, found Integer"):
        Program.parse("x1 = size(ONE)\nO = canvas(x1, UNITY)")(GRID)


@pytest.mark.parametrize(
    ("text", "kind", "line"),
    [
        ("O = size(I)", "not a grid", 1),
        ("O = canvas(TEN, UNITY)", "bad grid", 1),
        ("x1 = upscale(I, TEN)\nO = rot90(x1)", "bad grid", 2),
        ("x1 = rot90(I)\nx2 = fill(x1, I, x1)\nO = rot90(x2)", "type", 2),
        ("x1 = divide(ONE, ZERO)\nO = canvas(x1, UNITY)", "value", 1),
        ("x1 = fork(apply, identity, initset)\nO = x1(x1)", "depth", 2),
    ],
)
def test_an_outcome_says_why_and_where(text: str, kind: str, line: int) -> None:
    outcome = Program.parse(text).run(GRID)
    assert (outcome.kind, outcome.line, outcome.grid) == (kind, line, None)
    assert f"line {line}" in outcome.message


def test_budgets_are_set_for_each_call() -> None:
    program = Program.parse(TEXT)
    needed = program.run(GRID)
    assert program.run(GRID, Budget(steps=needed.steps)).kind == "grid"
    assert program.run(GRID, Budget(steps=needed.steps - 1)).kind == "steps"
    assert program.run(GRID, Budget(cells=needed.cells)).kind == "grid"
    assert program.run(GRID, Budget(cells=needed.cells - 1)).kind == "cells"


def test_trace() -> None:
    steps = Program.parse(TEXT).trace(GRID)
    assert [(s.name, s.type) for s in steps] == [("x1", "Objects"), ("x2", "Object"), ("O", "Grid")]
    assert steps[1].value == {(2, (1, 1)), (2, (1, 2)), (2, (2, 1))}
    assert steps[2].value == ((2, 2), (2, 0))
    broken = Program.parse("x1 = rot90(I)\nx2 = size(ONE)\nO = rot90(x1)")
    assert [s.name for s in broken.trace(GRID)] == ["x1"]
    assert broken.types(GRID) == ("Grid",)
    bound = Program.parse("x1 = lbind(fill, I)\nx2 = rbind(x1, ORIGIN)\nO = rot90(I)").trace(Grid([[1]]))
    assert bound[1].value == "rbind(lbind(fill, ((1,),)), (0, 0))"


def test_grids() -> None:
    assert GRID.shape == (4, 4) and GRID.tolist()[1] == [0, 2, 2, 0]
    assert hash(GRID) == hash(Grid(GRID.tolist())) and Grid(GRID.tolist()) == GRID
    assert Grid([[0, 1]]) != Grid([[0], [1]]) and GRID != "grid"
    assert pickle.loads(pickle.dumps(GRID)) == GRID
    assert Grid.from_bytes(4, 4, bytes(GRID)) == GRID
    for rows, message in [
        ([[1, 2], [3]], "row 1 has 1 columns"),
        ([[0, 10]], "row 0, column 1"),
        ([[0, -1]], "row 0, column 1"),
        ([], "rows"),
        ([[]], "columns"),
        ([[0]] * 31, "31"),
    ]:
        with pytest.raises(ValueError, match=message):
            Grid(rows)


def test_batches() -> None:
    turn, fail = Program.parse("O = rot90(I)"), Program.parse("O = size(I)")
    outcomes = run_batch([turn, fail, turn], [[GRID], [GRID, GRID], []])
    assert [[o.kind for o in row] for row in outcomes] == [["grid"], ["not a grid"] * 2, []]
    with pytest.raises(ValueError, match="as many"):
        run_batch([turn], [])
    a, b = Grid([[1, 2]]), Grid([[1], [2]])
    tasks = [[(a, b), (a, a), (a, b)], [(a, a)]]
    same = Program.parse("O = identity(I)")
    assert count_solved([turn, same], tasks).tolist() == [[2, 1], [0, 1]]
    assert count_solved([turn, same], tasks, early_exit=True).tolist() == [[1, 0], [0, 1]]


def test_every_primitive_is_documented() -> None:
    assert len(PRIMITIVES) == 160
    for name, primitive in PRIMITIVES.items():
        assert primitive.doc.endswith("."), name
        assert 1 <= primitive.arity <= 4, name


def test_what_cannot_be_judged_or_bred_is_refused() -> None:
    program, grid = Program.parse("O = hmirror(I)"), Grid([[1, 2]])
    parents = infer_types([program], [0], [grid])
    refused: list[tuple[str, Callable[[], object]]] = [
        ("as many places", lambda: evaluate([program], [0, 0], [[(grid, grid)]])),
        ("beyond the last", lambda: evaluate([program], [1], [[(grid, grid)]])),
        ("beyond the last", lambda: infer_types([program], [1], [grid])),
        ("over 255 pairs", lambda: evaluate([program], [0], [[(grid, grid)] * 256])),
        ("input is None", lambda: evaluate([program], [0], [[(None, grid)]])),  # type: ignore[list-item]
        ("output is None", lambda: count_solved([program], [[(grid, None)]])),  # type: ignore[list-item]
        ("input is None", lambda: run_batch([program], [[None]])),  # type: ignore[list-item]
        ("found 'spice'", lambda: vary(parents, parents, {"spice": 1.0}, 0)),
        ("no number from 0", lambda: vary(parents, parents, {"call": -1.0}, 0)),
        ("all weights are 0", lambda: vary(parents, parents, {}, 0)),
        ("as many mates", lambda: vary(parents, [], {"call": 1.0}, 0)),
    ]
    for message, attempt in refused:
        with pytest.raises(ValueError, match=message):
            attempt()
