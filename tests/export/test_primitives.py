"""Every primitive of exported files compared with the engine, and the rules of their source.

Run more examples with `pytest tests/export --hypothesis-profile=long`.
"""

from __future__ import annotations

import ast
import inspect
from typing import Any

import pytest
from exported import LIMITS, MAKERS, all_primitives, comparable, execute, to_exported
from hypothesis import given, settings
from hypothesis import strategies as st
from oracle import parts
from random_values import Draws

from codeit import _engine
from codeit.export import to_python
from codeit.export.definitions import MODULES, definitions, imports
from codeit.language import CONSTANTS, PRIMITIVES, Budget, Grid, Program

BUDGET = Budget(steps=50_000, cells=50_000)
EXAMPLES = settings().max_examples // 4
ERRORS = (ArithmeticError, LookupError, TypeError, ValueError)


def sorts_by_sets(name: str, arguments: tuple[Any, ...]) -> bool:
    """Return whether a call sorts by keys that are or contain sets, which are not in a total order."""
    if name != "order":
        return False
    container, key = arguments
    return any(isinstance(part, frozenset) for item in container for part in parts((key(item),)))


@pytest.mark.parametrize("name", [name for name in PRIMITIVES if name not in {*MAKERS.values(), "power"}])
def test_primitive_matches_engine(name: str) -> None:
    @settings(max_examples=EXAMPLES)
    @given(st.binary(min_size=100, max_size=100))
    def check(data: bytes) -> None:
        values = Draws(data).arguments(name)
        kind, found = _engine.call_primitive(name, values, BUDGET)
        if kind in LIMITS:
            return
        function, arguments = all_primitives()[name], to_exported(values)
        if kind != "ok":
            with pytest.raises(ERRORS):
                function(*arguments)
        elif not sorts_by_sets(name, arguments):
            assert comparable(function(*arguments)) == comparable(found)

    check()


# --- Functions that make functions ---


def last_value(lines: str) -> tuple[Any, Any]:
    """Return what a program's last line gives by the engine and by an exported file.

    The exported file ends with the values of all variables, since O is not a grid.
    """
    program = Program.parse(f"{lines}\nO = first(I)")
    text = to_python(program)
    body, command = text.split("    return to_grid(output)\n")
    names = execute(f"{body}    return locals()\n{command}")
    step = program.trace(Grid([[0, 1, 2]]))[-2]
    return comparable(step.value), comparable(names["solve"]([[0, 1, 2]])[step.name])


@pytest.mark.parametrize(
    "lines",
    [
        "x1 = compose(first, last)\nx2 = compose(first, last)\nx3 = equality(x1, x2)",
        "x1 = rbind(add, ONE)\nx2 = rbind(add, T)\nx3 = equality(x1, x2)",
        "x1 = rbind(add, ONE)\nx2 = lbind(add, ONE)\nx3 = equality(x1, x2)",
        "x1 = power(double, THREE)\nx2 = compose(double, double)\nx3 = compose(double, x2)\n"
        "x4 = equality(x1, x3)",
        "x1 = power(double, FIVE)\nx2 = x1(THREE)",
        "x1 = lbind(lbind, crop)\nx2 = x1(I)\nx3 = rbind(x2, UNITY)\nx4 = x3(ORIGIN)",
        "x1 = rbind(subtract, ONE)\nx2 = x1(DOWN)",
        "x1 = lbind(subtract, ONE)\nx2 = x1(DOWN)",
        "x1 = rbind(objects, T)\nx2 = x1(I, T, F)",
        "x1 = chain(double, increment, halve)\nx2 = x1(NINE)",
        "x1 = fork(subtract, double, halve)\nx2 = x1(NINE)",
        "x1 = matcher(size, ONE)\nx2 = x1(I)",
        "x1 = initset(double)\nx2 = insert(halve, x1)\nx3 = rapply(x2, TEN)",
    ],
)
def test_made_functions_match_engine(lines: str) -> None:
    wanted, found = last_value(lines)
    assert found == wanted


def test_functions_in_sets_have_the_order_of_the_engine() -> None:
    made = [
        *("compose(size, first)", "compose(first, size)", "chain(first, size, first)", "matcher(first, ONE)"),
        *("rbind(add, TWO)", "rbind(add, ONE)", "lbind(add, ONE)", "fork(add, size, size)", "index(I, LEFT)"),
        *("initset(ONE)", "initset(size)", "astuple(first, F)", "repeat(T, THREE)"),
    ]
    lines = [f"x{k} = {call}" for k, call in enumerate(made, start=1)]
    members = [*(f"x{k}" for k in range(1, len(lines) + 1)), "vmirror", "identity", "merge", "SEVEN", "UP"]
    lines.append(f"x{len(lines) + 1} = initset(compose)")
    for member in members:
        lines.append(f"x{len(lines) + 1} = insert({member}, x{len(lines)})")
    lines.append(f"x{len(lines) + 1} = totuple(x{len(lines)})")
    wanted, found = last_value("\n".join(lines))
    assert len(wanted) == len(members) + 1
    assert found == wanted


@pytest.mark.parametrize(
    "lines",
    [
        "O = power(identity, ZERO)",
        "x1 = rbind(ONE, I)\nO = identity(I)",
        "x1 = lbind(I, I)\nO = identity(I)",
        "x1 = compose(size, first)\nO = x1(I, I)",
        "x1 = rbind(size, I)\nO = x1(I)",
        "x1 = index(I, LEFT)\nO = order(I, x1)",
        "x1 = index(I, LEFT)\nO = argmax(I, x1)",
        "x1 = first(I)\nO = x1(I)",
    ],
)
def test_exported_file_fails_where_the_engine_does(lines: str) -> None:
    program = Program.parse(lines)
    assert program.run([[0, 1]]).kind != "grid"
    with pytest.raises(ERRORS):
        execute(to_python(program))["solve"]([[0, 1]])


# --- The source ---


def test_definitions_have_the_order_of_the_engine() -> None:
    assert [name for name in definitions() if name in PRIMITIVES] == list(PRIMITIVES)


def test_each_name_stands_for_one_thing() -> None:
    nodes = [node for module in MODULES for node in ast.parse(inspect.getsource(module)).body]
    assert sum(isinstance(n, ast.FunctionDef | ast.ClassDef | ast.AnnAssign) for n in nodes) == len(
        definitions()
    )
    local = {"rows", "grid", "output"}  # of `solve`
    for one in definitions().values():
        for node in ast.walk(ast.parse(one.source)):
            if isinstance(node, ast.arg):
                local.add(node.arg)
            elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
                local |= {node.id} - {one.name}
    assert local & (definitions().keys() | imports().keys() | CONSTANTS.keys()) == set()
    assert definitions().keys() & (imports().keys() | CONSTANTS.keys() | {"solve"}) == set()


def test_documentation_is_that_of_the_engine() -> None:
    for name, primitive in PRIMITIVES.items():
        text = " ".join((inspect.getdoc(all_primitives()[name]) or "").split())
        assert text.startswith(primitive.doc), name
