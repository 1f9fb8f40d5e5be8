"""The oracle of the language: the ARC DSL shipped in the dependency reasoning-gym, in plain Python.

Python iterates over a set in the order of its hash table, the engine in sorted order. To compare
everything else exactly, the oracle is loaded here with sets that iterate in sorted order too.
`compare` compares one call by the engine with the same call by the oracle. `CLASSES` defines where
they may differ. DIFFERENCES.md explains these classes.
"""

from __future__ import annotations

import importlib.util
import inspect
from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from functools import cache
from pathlib import Path
from types import FunctionType, ModuleType
from typing import Any, NamedTuple

from codeit.language import CONSTANTS, PRIMITIVES, Budget, Grid, Program

OWN_PRIMITIVES: frozenset[str] = frozenset()
"""Primitives of the engine that the oracle lacks: no test compares them, so each needs its own."""

# --- Sorted sets ---


def sort_key(value: Any) -> tuple[Any, ...]:
    """Return the sort key of an item: numbers come first, then tuples, sets and functions."""
    if isinstance(value, int):
        return (1, int(value))
    if isinstance(value, tuple):
        return (2, tuple(map(sort_key, value)))
    if isinstance(value, frozenset):
        return (3, tuple(map(sort_key, value)))
    if value is None:
        return (0,)
    if isinstance(value, Function):
        return (4, 0, list(PRIMITIVES).index(value.name))
    maker, captured = made_of(value)
    return (4, 1 + MAKERS.index(maker), tuple(map(sort_key, captured)))


def sorted_items(items: Collection[Any]) -> Iterable[Any]:
    """Return sorted items. For places and cells Python's own order is the same and faster."""
    kinds = {type(item[1]) if type(item) is tuple and len(item) == 2 else None for item in items}
    if kinds == {int} and all(type(item[0]) is int for item in items):
        return sorted(items)
    if kinds == {tuple} and all(type(v) is int and list(map(type, p)) == [int, int] for v, p in items):
        return sorted(items)
    return sorted(items, key=sort_key)


class SortedSet(frozenset[Any]):
    """A frozenset that iterates in sorted order."""

    _sorted: tuple[Any, ...] | None = None

    def __iter__(self) -> Iterator[Any]:
        if self._sorted is None:
            self._sorted = tuple(sorted_items(tuple(frozenset.__iter__(self))))
        return iter(self._sorted)

    def __and__(self, other: Any) -> SortedSet:
        return SortedSet(frozenset.__and__(self, other))

    def __or__(self, other: Any) -> SortedSet:
        return SortedSet(frozenset.__or__(self, other))

    def __sub__(self, other: Any) -> SortedSet:
        return SortedSet(frozenset.__sub__(self, other))

    def union(self, *others: Any) -> SortedSet:
        return SortedSet(frozenset.union(self, *others))


class MutableSortedSet(set[Any]):
    """A set that iterates in sorted order, for the sets that the oracle builds step by step."""

    def __iter__(self) -> Iterator[Any]:
        return iter(sorted_items(tuple(set.__iter__(self))))


# --- The oracle ---


def _load(name: str, **names: Any) -> ModuleType:
    spec = importlib.util.find_spec("reasoning_gym")
    assert spec is not None and spec.origin is not None
    file = Path(spec.origin).parent / "arc/rearc_utils" / f"{name}.py"
    module = ModuleType(f"oracle_{name}")
    module.__dict__.update(names)
    exec(compile(file.read_text(encoding="utf-8"), str(file), "exec"), module.__dict__)
    return module


@cache
def published() -> ModuleType:
    """Return the oracle as published."""
    return _load("dsl")


@cache
def ordered() -> ModuleType:
    """Return the oracle with sets that iterate in sorted order, and with bounded ranges."""
    return _load("dsl", frozenset=SortedSet, set=MutableSortedSet, range=bounded_range)


class TooLongError(Exception):
    """A call of the oracle that would take too long."""


MAX_COUNT = 300_000
"""Largest total length of the ranges that the oracle makes in one call."""
_counted = 0


def bounded_range(*bounds: int) -> range:
    """Return Python's range. Raises TooLongError once the ranges of a call exceed MAX_COUNT."""
    global _counted
    made = range(*bounds)
    _counted += max(0, (made.stop - made.start) // made.step)
    if _counted > MAX_COUNT:
        raise TooLongError
    return made


def run(program: Program, grid: tuple[tuple[int, ...], ...], dsl: ModuleType) -> Any:
    """Run a program with the oracle and return its result. Raises whatever the oracle raises."""
    values: dict[str, Any] = {"I": grid}

    def value(name: str) -> Any:
        return values[name] if name in values else getattr(dsl, name)

    for target, function, arguments in program.lines:
        values[target] = value(function)(*map(value, arguments))
    return values["O"]


def rows(grid: Any) -> tuple[tuple[int, ...], ...]:
    """Return a Grid as the oracle represents it: a tuple of rows."""
    return tuple(map(tuple, grid.tolist()))


# --- Functions as values ---

MAKERS = ("compose", "chain", "matcher", "rbind", "lbind", "fork")
"""Primitives that make functions, in the sort order of what they make. (`power` uses `compose`.)"""


class Function:
    """A primitive of the ordered oracle as a value. Its calls are recorded."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.function: Callable[..., Any] = getattr(ordered(), name)
        self.__code__ = self.function.__code__  # rbind and lbind read the number of arguments from it

    def __call__(self, *arguments: Any) -> Any:
        call = Call(self.name, arguments, [])
        _calls.append(call)
        result = self.function(*arguments)
        call.result.append(result)
        return result

    def __repr__(self) -> str:
        return self.name


class Call(NamedTuple):
    """A call of a primitive by the oracle. `result` is empty if it raised."""

    name: str
    arguments: tuple[Any, ...]
    result: list[Any]


function = cache(Function)
"""Return the primitive with a name. There is one object per name, so that it equals itself."""

_calls: list[Call] = []


def made_of(made: FunctionType) -> tuple[str, tuple[Any, ...]]:
    """Return the primitive that made a function, and its arguments, read from Python's closure."""
    maker = made.__qualname__.split(".")[0]
    captured = dict(
        zip(made.__code__.co_freevars, (c.cell_contents for c in made.__closure__ or ()), strict=True)
    )
    return maker, tuple(captured[name] for name in inspect.signature(getattr(ordered(), maker)).parameters)


def to_oracle(value: Any) -> Any:
    """Convert a value for the oracle: make sets sorted, and names of primitives functions."""
    if isinstance(value, frozenset):
        return SortedSet(map(to_oracle, value))
    if isinstance(value, tuple):
        return tuple(map(to_oracle, value))
    return function(value) if isinstance(value, str) else value


# --- Comparison ---


def same(found: Any, wanted: Any) -> bool:
    """Return whether a value of the engine equals one of the oracle.

    The engine gives a function as text. Only the name before the parenthesis is compared.
    """

    def plain(value: Any) -> Any:
        if is_container(value):
            return (tuple if isinstance(value, tuple) else frozenset)(map(plain, value))
        if isinstance(value, str):
            return value.split("(")[0]
        if isinstance(value, Function):
            return value.name
        return made_of(value)[0] if callable(value) else value

    return bool(found == wanted) or bool(plain(found) == plain(wanted))


class Comparison(NamedTuple):
    """One call as the engine and the oracle end it."""

    kind: str
    """How the engine fails, or "ok"."""
    found: Any
    """The engine's result."""
    failure: str
    """How the oracle fails, or ""."""
    wanted: Any
    """The oracle's result."""
    calls: Sequence[Call]
    """Calls of primitives that the oracle made, in the order in which they began."""


class Verdict(NamedTuple):
    """The result of a comparison."""

    difference: str
    """The class of the difference, or ""."""
    result: Any = None
    """The oracle's result."""


def compare(kind: str, found: Any, function: Any, arguments: tuple[Any, ...]) -> Verdict:
    """Compare the result of one call by the engine, `kind` and `found`, with the oracle's.

    There is no difference if both fail or both give the same value. Raises AssertionError for a
    difference of none of the `CLASSES`. The oracle does not run calls that the engine ends for
    their budget, or calls with an integer so large that Python might repeat a tuple that often.
    """
    global _counted
    repeats = kind == "type" and any(abs(n) > MAX_COUNT for n in integers(arguments))
    if repeats or kind in ("steps", "cells", "depth"):
        return Verdict(BUDGET)
    _counted = 0
    _calls.clear()
    failure, wanted = "", None
    try:
        wanted = function(*arguments)
    except TooLongError:
        assert kind != "ok", "the engine ended a call that takes the oracle too long"
        return Verdict(BUDGET)
    except Exception as error:
        failure = f"raises {error!r}"
    if (kind != "ok") == bool(failure) and (failure or same(found, wanted)):
        return Verdict("", wanted)
    ended = Comparison(kind, found, failure, wanted, _calls)
    for name, holds in CLASSES.items():
        if holds(ended):
            return Verdict(name, wanted)
    ours = f"gives {found!r}" if kind == "ok" else f"ends with {kind}"
    shown = ", ".join(map(repr, arguments))
    raise AssertionError(
        f"{function!r}({shown}): the engine {ours}, the oracle {failure or f'gives {wanted!r}'}"
    )


def compare_program(program: Program, grid: Grid, budget: Budget) -> str:
    """Return the class of the first line where the engine and the oracle differ, or "".

    Raises AssertionError as `compare` does, and if the outcome contradicts the value of O.
    """
    steps, outcome = program.trace(grid, budget), program.run(grid, budget)
    values: dict[str, Any] = {"I": rows(grid), **CONSTANTS}
    for number, (target, called, arguments) in enumerate(program.lines):
        kind, found = ("ok", steps[number].value) if number < len(steps) else (outcome.kind, None)
        first, *rest = (values[name] if name in values else function(name) for name in (called, *arguments))
        try:
            verdict = compare(kind, found, first, tuple(rest))
        except AssertionError as error:
            raise AssertionError(f"line {number + 1} of\n{program}\non {grid!r}\n{error}") from None
        if verdict.difference or kind != "ok":
            return verdict.difference
        values[target] = verdict.result
    answer = values["O"]
    if outcome.grid is not None:
        assert rows(outcome.grid) == answer
    elif outcome.kind == "bad grid":
        assert is_grid(answer) and answer
        assert not (1 <= len(answer) <= 30 and 1 <= len(answer[0]) <= 30) or {*sum(answer, ())} - {*range(10)}
    else:
        assert outcome.kind == "not a grid" and (answer == () or not is_grid(answer))
    return ""


# --- Classes of differences ---


def is_number(value: Any) -> bool:
    return isinstance(value, int)


def is_container(value: Any) -> bool:
    return isinstance(value, (tuple, frozenset))


def is_place(value: Any) -> bool:
    return isinstance(value, tuple) and len(value) == 2 and all(map(is_number, value))


def is_cell(value: Any) -> bool:
    return isinstance(value, tuple) and len(value) == 2 and is_number(value[0]) and is_place(value[1])


def is_pair(value: Any) -> bool:
    """Return whether a value is a tuple that starts with two integers, which arithmetic reads."""
    return isinstance(value, tuple) and is_place(value[:2])


def is_grid(value: Any) -> bool:
    """Return whether a value is a tuple of rows of equal length, of 8-bit integers."""
    return (
        isinstance(value, tuple)
        and all(isinstance(row, tuple) and len(row) == len(value[0]) for row in value)
        and all(is_number(cell) and -128 <= cell < 128 for row in value for cell in row)
    )


def is_object(value: Any) -> bool:
    return is_container(value) and all(map(is_cell, value))


def is_patch(value: Any) -> bool:
    return is_container(value) and (all(map(is_place, value)) or all(map(is_cell, value)))


def is_set_of(test: Callable[[Any], bool]) -> Callable[[Any], bool]:
    return lambda value: isinstance(value, frozenset) and test(value)


TAKES: dict[str, tuple[str, tuple[Callable[[Any], bool], ...]]] = {
    "Grid": ("malformed grid", (is_grid,)),
    "Element": ("malformed grid", (is_grid, is_set_of(is_object))),
    "Piece": ("malformed grid", (is_grid, is_set_of(is_patch))),
    "Patch": ("malformed patch", (is_patch,)),
    "Indices": ("malformed patch", (is_patch,)),
    "Object": ("malformed patch", (is_object,)),
    "IntegerTuple": ("malformed pair", (is_pair,)),
    "Numerical": ("malformed pair", (is_number, is_pair)),
    "Integer": ("other type", (is_number,)),
    "Callable": ("other type", (callable,)),
    "Boolean": ("", ()),
    "Any": ("", ()),
}
"""What the engine takes for each type of a signature, and the class of difference of the rest.

For types that are not named it takes any container.
"""


def refused(difference: str) -> Callable[[Comparison], bool]:
    """Return a test for calls with an argument that the engine refuses, of this class."""

    def holds(comparison: Comparison) -> bool:
        for call in comparison.calls:
            for wanted, argument in zip(PRIMITIVES[call.name].parameters, call.arguments, strict=False):
                named, tests = TAKES.get(wanted, ("other type", (is_container,)))
                if named == difference and not any(test(argument) for test in tests):
                    return comparison.kind == "type"
        return False

    return holds


def parts(value: Any) -> Iterator[Any]:
    """Yield the elements of a value, their elements, and so on."""
    for item in value if is_container(value) else ():
        yield item
        yield from parts(item)


def integers(value: Any) -> Iterator[int]:
    """Yield all integers in a value."""
    return filter(is_number, (value, *parts(value)))


def is_beyond(value: Any) -> bool:
    """Return whether an integer exceeds 32 bits, or one of a place or cell exceeds 16 bits."""
    if is_place(value):
        return any(not -(2**15) <= n < 2**15 for n in value)
    if is_cell(value):
        return not -(2**15) <= value[0] < 2**15 or is_beyond(value[1])
    if is_container(value):
        return any(map(is_beyond, value))
    return is_number(value) and abs(value) >= 2**31


def places(value: Any) -> Iterator[tuple[int, int]]:
    """Yield all places in a value."""
    return filter(is_place, (value, *parts(value)))


FACTORS = ("upscale", "hupscale", "vupscale", "downscale")
"""Primitives that give a grid and take an integer that is not a colour."""


def colours(call: Call) -> Iterator[int]:
    """Yield the colours that a call may put into the grid that it gives."""
    for wanted, argument in zip(PRIMITIVES[call.name].parameters, call.arguments, strict=False):
        if wanted == "Integer" and call.name not in FACTORS:
            yield from filter(is_number, (argument,))
        yield from (cell[0] for cell in (argument, *parts(argument)) if is_cell(cell))


def out_of_range(comparison: Comparison) -> bool:
    """Return whether the engine overflows because of an argument, a result, a colour or a place.

    Computing a result may add or subtract two places of the arguments, as when a patch is moved.
    """
    return comparison.kind == "overflow" and any(
        any(map(is_beyond, (*call.arguments, *call.result)))
        or any(abs(n) >= 2**14 for argument in call.arguments for place in places(argument) for n in place)
        or (PRIMITIVES[call.name].result == "Grid" and any(not -128 <= n < 128 for n in colours(call)))
        for call in comparison.calls
    )


def is_sort(call: Call) -> bool:
    return PRIMITIVES[call.name][1:3] == (("Container", "Callable"), "Tuple")


def by_sets(call: Call) -> bool:
    """Return whether a call sorts by keys that are or contain sets."""
    if not is_sort(call):
        return False
    container, key = call.arguments
    return any(isinstance(part, frozenset) for item in container for part in parts((key(item),)))


def sorted_by_sets(comparison: Comparison) -> bool:
    """Return whether the calls sort by keys that are sets.

    Python's `<` on sets is inclusion, which is not a total order. If the sort itself is compared,
    both must give the same items.
    """
    if (
        comparison.kind != "ok"
        or comparison.failure
        or not any(by_sets(call) for call in tuple(comparison.calls))
    ):
        return False
    if comparison.calls[0].result == [comparison.wanted] and is_sort(comparison.calls[0]):
        return len(comparison.found) == len(comparison.wanted) and all(
            any(same(a, b) for b in comparison.wanted) for a in comparison.found
        )
    return True


def made_functions(comparison: Comparison) -> bool:
    """Return whether the arguments hold two distinct functions that were made in the same way."""
    alike: defaultdict[Any, set[int]] = defaultdict(set)

    def gather(value: Any) -> None:
        if is_container(value):
            for item in value:
                gather(item)
        elif callable(value) and not isinstance(value, Function):
            alike[sort_key(value)].add(id(value))
            for captured in made_of(value)[1]:  # type: ignore[arg-type]
                gather(captured)

    for call in comparison.calls:
        for argument in call.arguments:
            gather(argument)
    return comparison.kind == "ok" and not comparison.failure and any(len(ids) > 1 for ids in alike.values())


CLASSES: dict[str, Callable[[Comparison], bool]] = {
    "malformed grid": refused("malformed grid"),
    "malformed patch": refused("malformed patch"),
    "malformed pair": refused("malformed pair"),
    "other type": refused("other type"),
    "range": out_of_range,
    "sets as keys": sorted_by_sets,
    "functions": made_functions,
}
"""Where the engine and the oracle may differ: a test of a comparison, by the name of the class."""
BUDGET = "budget"
"""The class of calls that the engine ends for their budget. They are not compared."""
