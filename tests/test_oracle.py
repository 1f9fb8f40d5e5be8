"""The engine against the oracle: every primitive, every expert, many mutants.

The long profile: `pytest tests/test_oracle.py --hypothesis-profile=long`.
"""

from __future__ import annotations

import inspect
from typing import Any

import oracle
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from codeit import _engine
from codeit.evolution import mutants
from codeit.experts import published
from codeit.language import CONSTANTS, PRIMITIVES, Budget, Program, run_batch
from codeit.tasks import Task, load

settings.register_profile(
    "ci", max_examples=60, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck)
)
settings.register_profile("long", settings.get_profile("ci"), max_examples=5000, derandomize=False)
if settings.get_current_profile_name() != "long":
    settings.load_profile("ci")

integers = st.integers(-3, 11)
coordinates = st.tuples(st.integers(-3, 9), st.integers(-3, 9))
colours = st.integers(0, 9)
indices = st.frozensets(coordinates, max_size=8)
objects = st.frozensets(st.tuples(colours, coordinates), max_size=8)
grids = st.one_of(
    st.tuples(st.integers(1, 6), st.integers(1, 6)).flatmap(
        lambda shape: st.lists(
            st.lists(st.integers(0, 3), min_size=shape[1], max_size=shape[1]).map(tuple),
            min_size=shape[0],
            max_size=shape[0],
        ).map(tuple)
    ),
    st.sampled_from([tuple((c,) * 30 for _ in range(30)) for c in (0, 7)]),
)
integer_sets = st.frozensets(integers, max_size=6)
tuples = st.one_of(
    st.lists(integers, max_size=6).map(tuple),
    st.lists(coordinates, max_size=5).map(tuple),
    st.lists(grids, max_size=3).map(tuple),
    st.lists(objects, max_size=3).map(tuple),
)
sets = st.one_of(
    integer_sets, indices, objects, st.frozensets(indices, max_size=4), st.frozensets(objects, max_size=4)
)
containers = st.one_of(tuples, sets, grids)

UNARY = [
    "identity",
    "size",
    "first",
    "last",
    "color",
    "height",
    "width",
    "shape",
    "even",
    "positive",
    "toindices",
    "ulcorner",
    "increment",
    "invert",
    "normalize",
    "initset",
    "palette",
    "square",
    "dmirror",
    "dneighbors",
]
BINARY = ["add", "subtract", "multiply", "astuple", "equality", "combine", "greater", "recolor", "shift"]

VALUES: dict[str, st.SearchStrategy[Any]] = {
    "Any": st.one_of(integers, coordinates, grids, indices, objects, st.booleans()),
    "Boolean": st.booleans(),
    "Callable": st.sampled_from(UNARY),
    "Container": containers,
    "ContainerContainer": st.one_of(
        st.frozensets(indices, max_size=4),
        st.frozensets(objects, max_size=4),
        grids,
        st.lists(tuples, max_size=3).map(tuple),
        st.lists(indices, max_size=3).map(tuple),
    ),
    "Element": st.one_of(objects, grids),
    "FrozenSet": sets,
    "Grid": grids,
    "Indices": indices,
    "Integer": integers,
    "IntegerSet": integer_sets,
    "IntegerTuple": coordinates,
    "Numerical": st.one_of(integers, coordinates),
    "Object": objects,
    "Objects": st.frozensets(objects, max_size=4),
    "Patch": st.one_of(indices, objects),
    "Piece": st.one_of(grids, indices, objects),
    "Tuple": tuples,
    "TupleTuple": st.lists(tuples, max_size=3).map(tuple),
}
FUNCTIONS = {"compose", "chain", "matcher", "rbind", "lbind", "power", "fork"}
"""Primitives whose result is a function; tested by the experts and mutants, which call them."""


def arguments(name: str) -> st.SearchStrategy[tuple[Any, ...]]:
    strategies = [VALUES[parameter] for parameter in PRIMITIVES[name].parameters]
    if name in ("papply", "mpapply", "prapply"):
        strategies[0] = st.sampled_from(BINARY)
    if name == "rapply":
        strategies[0] = st.lists(st.sampled_from(UNARY), max_size=3).map(tuple)
    if name in ("repeat", "upscale", "hupscale", "vupscale"):
        strategies[1] = st.integers(-1, 4)
    return st.tuples(*strategies)


def in_order(value: Any) -> Any:
    """A value of hypothesis's with the oracle's sorted sets, and functions for their names."""
    if isinstance(value, frozenset):
        return oracle.SortedSet(map(in_order, value))
    if isinstance(value, tuple):
        return tuple(map(in_order, value))
    return getattr(oracle.ordered(), value) if isinstance(value, str) else value


@pytest.mark.parametrize("name", sorted(set(PRIMITIVES) - FUNCTIONS))
def test_primitive_equals_the_oracles(name: str) -> None:
    @given(arguments(name))
    def check(values: tuple[Any, ...]) -> None:
        kind, found = _engine.call_primitive(name, values)
        try:
            wanted = getattr(oracle.ordered(), name)(*map(in_order, values))
        except Exception as error:
            assert kind != "ok", f"the oracle raises {error!r}, the engine gives {found!r}"
            return
        if kind == "type" and known_difference(name, values):
            return
        assert kind == "ok", f"the engine ends with {kind}, the oracle gives {wanted!r}"
        assert found == wanted

    check()


def known_difference(name: str, values: tuple[Any, ...]) -> bool:
    """Classes of arguments that the engine refuses; DIFFERENCES.md explains each.

    - patches: sets that mix places with something else, or tuples where a patch is walked cell by cell
    - grids: tuples that are no grid (of grids, of sets, ragged) where the oracle never looks at their cells
    """

    def odd(value: Any) -> bool:
        grid = isinstance(value, tuple) and value != () and all(isinstance(r, tuple) for r in value)
        return not grid or len({len(r) for r in value if isinstance(r, tuple)}) > 1

    return name in {
        "tophalf",
        "bottomhalf",
        "vmirror",
        "dmirror",
        "hmirror",
        "apply",
        "mapply",
        "papply",
        "mpapply",
        "prapply",
        "rapply",
        "order",
        "sfilter",
        "argmax",
        "argmin",
        "valmax",
        "valmin",
        "mfilter",
        "extract",
    } and any(map(odd, values))


def test_no_primitive_or_constant_is_missing() -> None:
    dsl = oracle.published()
    functions = {n: f for n, f in vars(dsl).items() if inspect.isfunction(f)}
    assert len(functions) == 160
    assert functions.keys() == PRIMITIVES.keys()
    for name, function in functions.items():
        assert len(inspect.signature(function).parameters) == PRIMITIVES[name].arity
    constants = {n: v for n, v in vars(dsl).items() if n.isupper() and not n.startswith("_")}
    assert constants == CONSTANTS
    assert {n: type(v) for n, v in constants.items()} == {n: type(v) for n, v in CONSTANTS.items()}


@pytest.fixture(scope="module")
def training() -> dict[str, Task]:
    return {task.id: task for task in load("arc-agi-1/training")}


def test_experts_solve_what_they_solve_by_the_oracle(training: dict[str, Task]) -> None:
    experts = published().programs
    assert len(experts) == 400
    solving, unlike = set(), set()
    for task_id, program in experts.items():
        pairs = (*training[task_id].train, *training[task_id].test)
        found = [outcome.grid for outcome in run_batch([program], [[p.input for p in pairs]])[0]]
        if found == [pair.output for pair in pairs]:
            solving.add(task_id)
        elif any(
            grid is None
            or oracle.rows(grid) != oracle.run(program, oracle.rows(pair.input), oracle.published())
            for grid, pair in zip(found, pairs, strict=True)
        ):
            unlike.add(task_id)
    assert len(solving) >= 391
    assert unlike == set()


def test_mutants_equal_the_oracle(training: dict[str, Task]) -> None:
    small = {i: p for i, p in published().programs.items() if len(p) <= 40}
    made = mutants(small, training, 400, seed=7)
    compared = 0
    for mutant in made:
        grid = min((p.input for p in training[mutant.task_id].train), key=lambda g: len(bytes(g)))
        outcome = mutant.program.run(grid)
        wanted = oracle.run(mutant.program, oracle.rows(grid), oracle.ordered())
        assert outcome.grid is not None and oracle.rows(outcome.grid) == wanted, str(mutant.program)
        compared += 1
    assert compared == 400


def test_outcomes_do_not_depend_on_threads_or_company(training: dict[str, Task]) -> None:
    made = mutants(published().programs, training, 300, seed=3)
    programs = [mutant.program for mutant in made]
    inputs = [[p.input for p in training[mutant.task_id].train] for mutant in made]

    def summary(outcomes: list[list[Any]]) -> list[list[tuple[Any, ...]]]:
        return [[(o.kind, o.line, o.steps, o.cells, o.grid) for o in row] for row in outcomes]

    one = summary(run_batch(programs, inputs, threads=1))
    assert one == summary(run_batch(programs, inputs, threads=2))
    assert one[:20] == summary(run_batch(programs[:20], inputs[:20], threads=2))


def test_growing_programs_end_within_their_budget() -> None:
    lines = (
        ["x1 = upscale(I, TEN)"]
        + [f"x{k + 1} = vconcat(x{k}, x{k})" for k in range(1, 60)]
        + ["O = rot90(x60)"]
    )
    from codeit.language import Grid

    outcome = Program.parse("\n".join(lines)).run(Grid([[1]]), Budget(steps=100_000, cells=10_000))
    assert outcome.kind == "cells" and outcome.cells <= 10_000
