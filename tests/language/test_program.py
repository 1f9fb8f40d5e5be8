from __future__ import annotations

import pickle
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from oracle import OWN_PRIMITIVES

from codeit.language import (
    PRIMITIVES,
    Budget,
    ExecutionError,
    Grid,
    GridError,
    GridLike,
    ParseError,
    Program,
    count_solved,
    evaluate,
    infer_types,
    run_batch,
    to_grid,
    vary,
)

TEXT = "x1 = objects(I, T, F, T)\nx2 = argmax(x1, size)\nO = subgrid(x2, I)"
GRID = Grid([[0, 0, 0, 0], [0, 2, 2, 0], [0, 2, 0, 5], [0, 0, 0, 0]])


def test_parsed_program_keeps_its_text() -> None:
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
def test_parse_error_names_line_token_and_suggestion(
    text: str, line: int, token: str, suggestion: str
) -> None:
    with pytest.raises(ParseError) as caught:
        Program.parse(text)
    error = caught.value
    assert (error.line, error.token, error.suggestion) == (line, token, suggestion)
    assert error.expected and error.expected in str(error)


@given(st.text(max_size=200))
@settings(max_examples=200, deadline=None)
def test_any_text_gives_a_program_or_a_parse_error(text: str) -> None:
    try:
        program = Program.parse(text)
    except ParseError:
        return
    assert Program.parse(str(program)) == program


def test_run_gives_the_grid_and_call_raises_execution_errors() -> None:
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
def test_outcome_names_kind_and_line_of_an_error(text: str, kind: str, line: int) -> None:
    outcome = Program.parse(text).run(GRID)
    assert (outcome.kind, outcome.line, outcome.grid) == (kind, line, None)
    assert f"line {line}" in outcome.message


def test_budget_ends_a_run_exactly_at_its_limit() -> None:
    program = Program.parse(TEXT)
    needed = program.run(GRID)
    assert program.run(GRID, Budget(steps=needed.steps)).kind == "grid"
    assert program.run(GRID, Budget(steps=needed.steps - 1)).kind == "steps"
    assert program.run(GRID, Budget(cells=needed.cells)).kind == "grid"
    assert program.run(GRID, Budget(cells=needed.cells - 1)).kind == "cells"


def test_trace_has_types_and_values_until_the_run_ends() -> None:
    steps = Program.parse(TEXT).trace(GRID)
    assert [(s.name, s.type) for s in steps] == [("x1", "Objects"), ("x2", "Object"), ("O", "Grid")]
    assert steps[1].value == {(2, (1, 1)), (2, (1, 2)), (2, (2, 1))}
    assert steps[2].value == ((2, 2), (2, 0))
    broken = Program.parse("x1 = rot90(I)\nx2 = size(ONE)\nO = rot90(x1)")
    assert [s.name for s in broken.trace(GRID)] == ["x1"]
    assert broken.types(GRID) == ("Grid",)
    bound = Program.parse("x1 = lbind(fill, I)\nx2 = rbind(x1, ORIGIN)\nO = rot90(I)").trace(Grid([[1]]))
    assert bound[1].value == "rbind(lbind(fill, ((1,),)), (0, 0))"


def test_grid_compares_by_content_and_rejects_bad_rows() -> None:
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


@pytest.mark.parametrize(
    "convert",
    [
        Grid,
        list,
        lambda rows: tuple(map(tuple, rows)),
        np.array,
        partial(np.array, dtype=np.uint8),
        lambda rows: [np.array(row) for row in rows],
    ],
    ids=["Grid", "lists", "tuples", "array", "uint8 array", "list of arrays"],
)
def test_program_takes_rows_and_arrays(convert: Callable[[list[list[int]]], GridLike]) -> None:
    grid = convert(GRID.tolist())
    program = Program.parse(TEXT)
    assert to_grid(grid) == GRID
    assert program(grid) == program(GRID)
    assert program.run(grid).grid == program(GRID)
    assert program.trace(grid) == program.trace(GRID)
    assert program.types(grid) == program.types(GRID)


@pytest.mark.parametrize(
    ("rows", "where", "expected", "found"),
    [
        ([[1, 2], [3]], "row 1", "2 columns, as in row 0", "1"),
        ([[1, 2], [3, 12]], "row 1, column 1", "a colour from 0 to 9", "12"),
        ([[-1]], "row 0, column 0", "a colour from 0 to 9", "-1"),
        ([[2**70]], "row 0, column 0", "a colour from 0 to 9", str(2**70)),
        ([[1.0]], "row 0, column 0", "a colour from 0 to 9", "1.0"),
        ([["1"]], "row 0, column 0", "a colour from 0 to 9", "'1'"),
        ([[True]], "row 0, column 0", "a colour from 0 to 9", "True"),
        ([[None]], "row 0, column 0", "a colour from 0 to 9", "None"),
        (np.zeros((2, 2)), "row 0, column 0", "a colour from 0 to 9", "0.0"),
        (np.array([[300, 0]]), "row 0, column 0", "a colour from 0 to 9", "300"),
        (np.zeros((2, 2, 2), int), "row 0, column 0", "a colour from 0 to 9", "[0, 0]"),
        ([], "", "1 to 30 rows", "0"),
        ([[]], "row 0", "1 to 30 columns", "0"),
        (np.zeros((31, 2), int), "", "1 to 30 rows", "31"),
        ([[0] * 31], "row 0", "1 to 30 columns", "31"),
        ([1, 2], "row 0", "a row", "1"),
        (["12"], "row 0", "a row", "'12'"),
        ("12", "", "a grid", "'12'"),
        (None, "", "a grid", "None"),
        (np.array(3), "", "a grid", "array(3)"),
        (object, "", "a grid", "<class 'object'>"),
    ],
)
def test_bad_grid_error_names_row_and_column(rows: Any, where: str, expected: str, found: str) -> None:
    program = Program.parse(TEXT)
    for attempt in (program, program.run, program.trace, program.types, to_grid):
        with pytest.raises(ValueError, match=r"^grid.*: expected .*, found .*\. .*\.$") as caught:
            attempt(rows)
        error = caught.value
        assert isinstance(error, GridError) and error.where == where
        assert str(error).startswith(f"grid, {where}: expected" if where else "grid: expected")
        assert expected in error.expected and f"found {found}. {error.fix}" in str(error)
        assert str(pickle.loads(pickle.dumps(error))) == str(error)


def test_batches_run_every_program_on_its_inputs() -> None:
    turn, fail = Program.parse("O = rot90(I)"), Program.parse("O = size(I)")
    outcomes = run_batch([turn, fail, turn], [[GRID], [GRID, GRID], []])
    assert [[o.kind for o in row] for row in outcomes] == [["grid"], ["not a grid"] * 2, []]
    with pytest.raises(ValueError, match="inputs: expected one for each of 1 programs, found 0"):
        run_batch([turn], [])
    a, b = Grid([[1, 2]]), Grid([[1], [2]])
    tasks = [[(a, b), (a, a), (a, b)], [(a, a)]]
    same = Program.parse("O = identity(I)")
    assert count_solved([turn, same], tasks).tolist() == [[2, 1], [0, 1]]
    assert count_solved([turn, same], tasks, early_exit=True).tolist() == [[1, 0], [0, 1]]


def test_every_primitive_is_documented() -> None:
    assert len(PRIMITIVES) == 160 + len(OWN_PRIMITIVES)
    for name, primitive in PRIMITIVES.items():
        assert primitive.doc.endswith("."), name
        assert 1 <= primitive.arity <= 4, name


def test_batch_functions_reject_bad_arguments() -> None:
    program, grid = Program.parse("O = hmirror(I)"), Grid([[1, 2]])
    parents = infer_types([program], [0], [grid])
    rejected: list[tuple[str, Callable[[], object]]] = [
        ("each of 1 programs, found 2", lambda: evaluate([program], [0, 0], [[(grid, grid)]])),
        ("expected an index below 1, found 1", lambda: evaluate([program], [1], [[(grid, grid)]])),
        ("expected an index below 1, found 1", lambda: infer_types([program], [1], [grid])),
        ("at most 255 pairs, found 256", lambda: evaluate([program], [0], [[(grid, grid)] * 256])),
        ("Grid as the input", lambda: evaluate([program], [0], [[(None, grid)]])),  # type: ignore[list-item]
        ("Grid as the output", lambda: count_solved([program], [[(grid, None)]])),  # type: ignore[list-item]
        ("expected a Grid, found None", lambda: run_batch([program], [[None]])),  # type: ignore[list-item]
        ("found 'spice'", lambda: vary(parents, parents, {"spice": 1.0}, 0)),
        ("weights: call: expected a finite number >= 0", lambda: vary(parents, parents, {"call": -1.0}, 0)),
        ("weights: expected at least one above 0", lambda: vary(parents, parents, {}, 0)),
        ("expected one for each of 1 parents, found 0", lambda: vary(parents, [], {"call": 1.0}, 0)),
    ]
    for message, attempt in rejected:
        with pytest.raises(ValueError, match=message):
            attempt()
