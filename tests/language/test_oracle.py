"""Every primitive of the engine compared with the oracle, and the classes in which they differ.

Run more examples with `pytest tests/language/test_oracle.py --hypothesis-profile=long`.
"""

from __future__ import annotations

import inspect
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import oracle
import pytest
from hypothesis import given
from hypothesis import strategies as st
from random_values import BY_ARITY, Draws

from codeit import _engine
from codeit.language import CONSTANTS, PRIMITIVES, TYPES, Budget, Grid, Line, Program

BUDGET = Budget(steps=50_000, cells=50_000)
"""Budget of the engine for one call. The oracle does not run calls that exceed it."""

MAKERS = (*oracle.MAKERS, "power")


@pytest.mark.parametrize(
    "name", [name for name in PRIMITIVES if name not in {*MAKERS, *oracle.OWN_PRIMITIVES}]
)
def test_primitive_matches_oracle(name: str) -> None:
    @given(st.binary(min_size=100, max_size=100))
    def check(data: bytes) -> None:
        values = Draws(data).arguments(name)
        kind, found = _engine.call_primitive(name, values, BUDGET)
        oracle.compare(kind, found, oracle.function(name), oracle.to_oracle(values))

    check()


# --- Functions that make functions ---


class Script:
    """Builds a program that constructs values, line by line, and calls functions with them."""

    def __init__(self) -> None:
        self.lines: list[Line] = []
        self.names: dict[str, str] = {repr(value): name for name, value in CONSTANTS.items()}

    def call(self, function: str, *arguments: str) -> str:
        """Add a line and return its variable."""
        self.lines.append(Line(f"x{len(self.lines) + 1}", function, arguments))
        return self.lines[-1].target

    def value(self, value: Any) -> str:
        """Return the name of a value: a constant, a primitive, or a variable of new lines."""
        if isinstance(value, str):
            return value
        if repr(value) not in self.names:
            self.names[repr(value)] = self._construct(value)
        return self.names[repr(value)]

    def _construct(self, value: Any) -> str:
        if value is None:
            return self.call("index", "I", "NEG_UNITY")
        if isinstance(value, int):
            if value < 0:
                return self.call("invert", self.value(-value))
            tens, ones = divmod(value, 10)
            return self.call("add", self.call("multiply", "TEN", self.value(tens)), self.value(ones))
        if isinstance(value, frozenset):
            built = self.call("difference", "THREE_BY_THREE", "THREE_BY_THREE")
            built = self.call("palette", built)
            for item in value:
                built = self.call("insert", self.value(item), built)
            return built
        built = self.call("interval", "ZERO", "ZERO", "ONE")
        for item in value:
            built = self.call("combine", built, self.call("repeat", self.value(item), "ONE"))
        return built

    def program(self) -> Program:
        """Return the program. Its last line is the result."""
        return Program.from_lines([*self.lines[:-1], self.lines[-1]._replace(target="O")])


def returning(parameter: str) -> tuple[str, ...]:
    """Return the functions of one argument whose result fits a parameter."""
    fits = tuple(name for name in BY_ARITY[1] if set(TYPES[PRIMITIVES[name].result]) <= set(TYPES[parameter]))
    return fits or BY_ARITY[1]


def make_function(d: Draws, script: Script, maker: str, depth: int = 2) -> tuple[str, list[str]]:
    """Let `maker` make a function; return its variable and the types of its parameters.

    The functions that it is made of may be made functions too.
    """

    def part(names: Sequence[str]) -> tuple[str, list[str]]:
        if depth and d.below(4) == 3:
            return make_function(d, script, d.choice(MAKERS), depth - 1)
        name = d.choice(names)
        return name, list(PRIMITIVES[name].parameters)

    if maker in ("compose", "chain"):
        outer, takes = part(BY_ARITY[1])
        parts = [outer]
        for _ in range(1 if maker == "compose" else 2):
            inner, takes = part(returning(takes[0]))
            parts.append(inner)
        return script.call(maker, *parts), takes
    if maker == "fork":
        outer, wanted = part(BY_ARITY[2])
        left, takes = part(returning(wanted[0]))
        alike = [name for name in returning(wanted[-1]) if [*PRIMITIVES[name].parameters] == takes]
        right, _ = part(alike or BY_ARITY[1])
        return script.call("fork", outer, left, right), takes
    if maker == "power":
        inner, takes = part([n for n in BY_ARITY[1] if PRIMITIVES[n].result == PRIMITIVES[n].parameters[0]])
        return script.call("power", inner, script.value(d.choice((1, 2, 3, 4, 0, -1, 1001, True)))), takes
    if maker == "matcher":
        inner, takes = part(BY_ARITY[1])
        result = PRIMITIVES[inner].result if inner in PRIMITIVES else "Any"
        return script.call("matcher", inner, script.value(d.value(result))), takes
    inner, takes = part(BY_ARITY[d.choice((2, 3, 4, 1))])
    fixed, takes = (takes[0], takes[1:]) if maker == "lbind" else (takes[-1], takes[:-1])
    takes = takes or ["Any"] * 3  # the oracle binds a function of one argument as if it had four
    return script.call(maker, inner, script.value(d.value(fixed))), takes


APPLIED = ("apply", "sfilter", "extract", "order", "argmin", "valmax", "mapply")
"""Primitives that call a function of one argument on each element of a container."""


@pytest.mark.parametrize("maker", MAKERS)
def test_made_functions_match_oracle(maker: str) -> None:
    @given(st.binary(min_size=100, max_size=100))
    def check(data: bytes) -> None:
        d, script = Draws(data), Script()
        function, takes = make_function(d, script, maker)
        if len(takes) == 1 and d.below(2):
            user, container = d.choice(APPLIED), script.value(d.container_of(takes[0], 3))
            first = PRIMITIVES[user].parameters[0] == "Callable"
            script.call(user, *((function, container) if first else (container, function)))
        else:
            odd = d.ignores_signature()
            script.call(
                function, *(script.value(d.anything() if odd else d.value(wanted)) for wanted in takes)
            )
        if len(script.lines) <= 1000:  # the longest program
            oracle.compare_program(script.program(), Grid([[0]]), BUDGET)

    check()


# --- Classes of differences ---

RAGGED = ((1, 2), (3,))
INSTANCES = [
    ("malformed grid", "vmirror", (RAGGED,)),
    ("malformed grid", "colorcount", (((1, (0, 0)),), 1)),
    ("malformed patch", "ulcorner", (frozenset({(1, 2, 3)}),)),
    ("malformed patch", "hperiod", (frozenset({(1, 2)}),)),
    ("malformed pair", "double", (((1, 2), (3, 4)),)),
    ("malformed pair", "crop", ((), (1, (2, 3)), (1, 1))),
    ("other type", "fill", (((0,),), (1, 2), frozenset({(0, 0)}))),
    ("other type", "prapply", ("add", 4, ())),
    ("other type", "order", ((2, 1), None)),
    ("range", "add", (2**31 - 1, 1)),
    ("range", "toivec", (2**15,)),
    ("range", "canvas", (128, (1, 1))),
    ("range", "move", (((0,),), frozenset({(1, (0, 2**15 - 1))}), (0, 1))),
    ("sets as keys", "order", (tuple(frozenset(s) for s in ({1, 2}, {3}, {2}, {1})), "identity")),
    ("budget", "canvas", (0, (30000, 30000))),
    ("budget", "repeat", (0, 100_000)),
]


@pytest.mark.parametrize(("difference", "name", "values"), INSTANCES)
def test_each_difference_has_its_class(difference: str, name: str, values: tuple[Any, ...]) -> None:
    kind, found = _engine.call_primitive(name, values, BUDGET)
    assert (
        oracle.compare(kind, found, oracle.function(name), oracle.to_oracle(values)).difference == difference
    )


def test_functions_made_in_the_same_way_are_equal() -> None:
    program = Program.parse(
        "x1 = compose(size, first)\nx2 = compose(size, first)\nx3 = equality(x1, x2)\nO = branch(x3, I, x3)"
    )
    assert oracle.compare_program(program, Grid([[1]]), BUDGET) == "functions"
    assert program(Grid([[1]])) == Grid([[1]])


def test_every_class_has_an_example_and_is_documented() -> None:
    documented = (Path(__file__).parents[2] / "DIFFERENCES.md").read_text(encoding="utf-8")
    with_example = {difference for difference, _, _ in INSTANCES} | {"functions"}
    assert with_example == {*oracle.CLASSES, oracle.BUDGET}
    assert [name for name in with_example if f"(`{name}`)" not in documented] == []


def test_a_difference_of_no_class_is_an_error() -> None:
    for kind, found in (("ok", 3), ("type", None), ("value", None), ("overflow", None)):
        with pytest.raises(AssertionError, match=r"add\(1, 1\): the engine .*, the oracle gives 2"):
            oracle.compare(kind, found, oracle.function("add"), (1, 1))
    with pytest.raises(AssertionError, match="the engine gives 0, the oracle raises ZeroDivisionError"):
        oracle.compare("ok", 0, oracle.function("divide"), (1, 0))


@pytest.mark.parametrize(
    ("kind", "found", "name", "values"),
    [
        ("overflow", None, "add", (20_000, 1)),
        ("overflow", None, "canvas", (1, (200, 1))),
        ("overflow", None, "downscale", (((1,),), 200)),
        ("ok", ((9,),), "order", (tuple(frozenset(s) for s in ({1, 2}, {3}, {2})), "identity")),
        ("ok", (frozenset({1, 2}), frozenset({3})), "order", ((frozenset({3}), frozenset({1, 2})), "size")),
    ],
)
def test_a_difference_that_resembles_a_class_is_an_error(
    kind: str, found: Any, name: str, values: tuple[Any, ...]
) -> None:
    with pytest.raises(AssertionError, match=r"the engine .*, the oracle gives"):
        oracle.compare(kind, found, oracle.function(name), oracle.to_oracle(values))


def test_a_made_function_as_argument_does_not_excuse_a_difference() -> None:
    made = oracle.ordered().compose(oracle.function("size"), oracle.function("first"))
    with pytest.raises(AssertionError, match="the engine gives 2, the oracle gives 1"):
        oracle.compare("ok", 2, oracle.function("size"), ((made,),))


def test_primitives_and_constants_are_those_of_the_oracle() -> None:
    dsl = oracle.published()
    functions = {n: f for n, f in vars(dsl).items() if inspect.isfunction(f)}
    assert len(functions) == 160
    assert functions.keys() == PRIMITIVES.keys() - oracle.OWN_PRIMITIVES
    for name, function in functions.items():
        assert len(inspect.signature(function).parameters) == PRIMITIVES[name].arity
    constants = {n: v for n, v in vars(dsl).items() if n.isupper() and not n.startswith("_")}
    assert constants == CONSTANTS
    assert {n: type(v) for n, v in constants.items()} == {n: type(v) for n, v in CONSTANTS.items()}
