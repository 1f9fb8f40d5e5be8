"""The oracle of the language: the ARC DSL that the dependency reasoning-gym ships, in plain Python.

Its sets are walked in whatever order Python happens to give; ours in sorted order. So that all else can be
compared exactly, the oracle is loaded here with sets that are walked in sorted order too. `compare` holds one
call by the engine against the same call by the oracle, and `CLASSES` says where they may differ.
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

# --- sets in order ------------------------------------------------------------------------------------------


def sort_key(value: Any) -> tuple[Any, ...]:
    """The order in which sets are kept: numbers, tuples (element by element), sets, functions."""
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


def map_ordered(items: Collection[Any]) -> Iterable[Any]:
    """The items sorted. Python's own order is the same, and faster, for places and for cells."""
    kinds = {type(item[1]) if type(item) is tuple and len(item) == 2 else None for item in items}
    if kinds == {int} and all(type(item[0]) is int for item in items):
        return sorted(items)
    if kinds == {tuple} and all(type(v) is int and list(map(type, p)) == [int, int] for v, p in items):
        return sorted(items)
    return sorted(items, key=sort_key)


class SortedSet(frozenset[Any]):
    """A frozenset that is walked in order."""

    _in_order: tuple[Any, ...] | None = None

    def __iter__(self) -> Iterator[Any]:
        if self._in_order is None:
            self._in_order = tuple(map_ordered(tuple(frozenset.__iter__(self))))
        return iter(self._in_order)

    def __and__(self, other: Any) -> SortedSet:
        return SortedSet(frozenset.__and__(self, other))

    def __or__(self, other: Any) -> SortedSet:
        return SortedSet(frozenset.__or__(self, other))

    def __sub__(self, other: Any) -> SortedSet:
        return SortedSet(frozenset.__sub__(self, other))

    def union(self, *others: Any) -> SortedSet:
        return SortedSet(frozenset.union(self, *others))


class MutableSortedSet(set[Any]):
    """The same for the sets that the oracle builds up."""

    def __iter__(self) -> Iterator[Any]:
        return iter(map_ordered(tuple(set.__iter__(self))))


# --- the oracle ---------------------------------------------------------------------------------------------


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
    """The oracle as published."""
    return _load("dsl")


@cache
def ordered() -> ModuleType:
    """The oracle with sets walked in sorted order, and with an end to what it counts through."""
    return _load("dsl", frozenset=SortedSet, set=MutableSortedSet, range=bounded_range)


class Endless(Exception):
    """The oracle would take too long."""


COUNT = 300_000
"""How far the oracle may count in all the ranges of one call together."""
_counted = 0


def bounded_range(*bounds: int) -> range:
    """Python's range; raises Endless when the oracle has counted too far."""
    global _counted
    made = range(*bounds)
    _counted += max(0, (made.stop - made.start) // made.step)
    if _counted > COUNT:
        raise Endless
    return made


def run(program: Program, grid: tuple[tuple[int, ...], ...], dsl: ModuleType) -> Any:
    """The program's result by the oracle; raises whatever the oracle raises."""
    values: dict[str, Any] = {"I": grid}

    def value(name: str) -> Any:
        return values[name] if name in values else getattr(dsl, name)

    for target, function, arguments in program.lines:
        values[target] = value(function)(*map(value, arguments))
    return values["O"]


def rows(grid: Any) -> tuple[tuple[int, ...], ...]:
    """A Grid as the oracle has it."""
    return tuple(map(tuple, grid.tolist()))


# --- functions as values ------------------------------------------------------------------------------------

MAKERS = ("compose", "chain", "matcher", "rbind", "lbind", "fork")
"""What makes functions, in the order in which sets keep what they make. (`power` composes.)"""


class Function:
    """A primitive of the ordered oracle, as a value; its calls are noted."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.function: Callable[..., Any] = getattr(ordered(), name)
        self.__code__ = self.function.__code__  # where rbind and lbind read the number of arguments

    def __call__(self, *arguments: Any) -> Any:
        call = Call(self.name, arguments, [])
        _calls.append(call)
        result = self.function(*arguments)
        call.result.append(result)
        return result

    def __repr__(self) -> str:
        return self.name


class Call(NamedTuple):
    """A call of a primitive by the oracle; `result` is empty where it raised."""

    name: str
    arguments: tuple[Any, ...]
    result: list[Any]


function = cache(Function)
"""The primitive of a name; one object each, so that it equals itself."""

_calls: list[Call] = []


def made_of(made: FunctionType) -> tuple[str, tuple[Any, ...]]:
    """The maker of a function and what it was given, read off Python's closure."""
    maker = made.__qualname__.split(".")[0]
    captured = dict(
        zip(made.__code__.co_freevars, (c.cell_contents for c in made.__closure__ or ()), strict=True)
    )
    return maker, tuple(captured[name] for name in inspect.signature(getattr(ordered(), maker)).parameters)


def value(of: Any) -> Any:
    """A value of a test's as the oracle has it: sets in order, names of primitives as functions."""
    if isinstance(of, frozenset):
        return SortedSet(map(value, of))
    if isinstance(of, tuple):
        return tuple(map(value, of))
    return function(of) if isinstance(of, str) else of


# --- comparing ----------------------------------------------------------------------------------------------


def same(found: Any, wanted: Any) -> bool:
    """Whether two values are equal; a function of the engine's is a text, of which the first word counts."""

    def plain(value: Any) -> Any:
        if is_container(value):
            return (tuple if isinstance(value, tuple) else frozenset)(map(plain, value))
        if isinstance(value, str):
            return value.split("(")[0]
        if isinstance(value, Function):
            return value.name
        return made_of(value)[0] if callable(value) else value

    return bool(found == wanted) or bool(plain(found) == plain(wanted))


class Both(NamedTuple):
    """One call as the engine and as the oracle end it."""

    kind: str  # "ok", or how the engine fails
    found: Any  # what it gives
    failure: str  # how the oracle fails, or ""
    wanted: Any  # what it gives
    calls: Sequence[Call]  # of primitives, by the oracle on the way


class Verdict(NamedTuple):
    """The class of the difference between the engine and the oracle, if any, and what the oracle gives."""

    difference: str
    result: Any = None


def compare(kind: str, found: Any, function: Any, arguments: tuple[Any, ...]) -> Verdict:
    """The engine's result of one call, `kind` and `found`, against the oracle's.

    Where both fail, or both give the same, there is no difference. Any other belongs to one of `CLASSES`, or
    else this raises AssertionError. What the engine ends for its budget the oracle is not asked to do; nor
    what has an integer for which Python might repeat a tuple that often.
    """
    global _counted
    repeats = kind == "type" and any(abs(n) > COUNT for n in integers(arguments))
    if repeats or kind in ("steps", "cells", "depth"):
        return Verdict(BUDGET)
    _counted = 0
    _calls.clear()
    failure, wanted = "", None
    try:
        wanted = function(*arguments)
    except Endless:
        assert kind != "ok", "the engine did what the oracle could not"
        return Verdict(BUDGET)
    except Exception as error:
        failure = f"raises {error!r}"
    if (kind != "ok") == bool(failure) and (failure or same(found, wanted)):
        return Verdict("", wanted)
    both = Both(kind, found, failure, wanted, _calls)
    for name, holds in CLASSES.items():
        if holds(both):
            return Verdict(name, wanted)
    ours = f"gives {found!r}" if kind == "ok" else f"ends with {kind}"
    shown = ", ".join(map(repr, arguments))
    raise AssertionError(
        f"{function!r}({shown}): the engine {ours}, the oracle {failure or f'gives {wanted!r}'}"
    )


def compare_program(program: Program, grid: Grid, budget: Budget) -> str:
    """The class of the first line in which the engine and the oracle differ, or "" where none does.

    Raises AssertionError as `compare` does, and where the outcome is not what the value of O says.
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


# --- classes ------------------------------------------------------------------------------------------------


def is_number(value: Any) -> bool:
    return isinstance(value, int)


def is_container(value: Any) -> bool:
    return isinstance(value, (tuple, frozenset))


def is_place(value: Any) -> bool:
    return isinstance(value, tuple) and len(value) == 2 and all(map(is_number, value))


def is_cell(value: Any) -> bool:
    return isinstance(value, tuple) and len(value) == 2 and is_number(value[0]) and is_place(value[1])


def is_pair(value: Any) -> bool:
    """A tuple whose first two elements are integers: all that arithmetic on pairs looks at."""
    return isinstance(value, tuple) and is_place(value[:2])


def is_grid(value: Any) -> bool:
    """No rows, or rows of one length, of integers of 8 bits."""
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
    "Grid": ("no grid", (is_grid,)),
    "Element": ("no grid", (is_grid, is_set_of(is_object))),
    "Piece": ("no grid", (is_grid, is_set_of(is_patch))),
    "Patch": ("no patch", (is_patch,)),
    "Indices": ("no patch", (is_patch,)),
    "Object": ("no patch", (is_object,)),
    "IntegerTuple": ("no pair", (is_pair,)),
    "Numerical": ("no pair", (is_number, is_pair)),
    "Integer": ("other kind", (is_number,)),
    "Callable": ("other kind", (callable,)),
    "Boolean": ("", ()),
    "Any": ("", ()),
}
"""What the engine takes for each type of a signature, and the class of what it refuses.

Of the types not named it takes any container.
"""


def refused(difference: str) -> Callable[[Both], bool]:
    """Whether a call has an argument that the engine refuses for this reason."""

    def holds(both: Both) -> bool:
        for call in both.calls:
            for wanted, argument in zip(PRIMITIVES[call.name].parameters, call.arguments, strict=False):
                named, tests = TAKES.get(wanted, ("other kind", (is_container,)))
                if named == difference and not any(test(argument) for test in tests):
                    return both.kind == "type"
        return False

    return holds


def parts(value: Any) -> Iterator[Any]:
    """The elements of a value, their elements, and so on."""
    for item in value if is_container(value) else ():
        yield item
        yield from parts(item)


def integers(value: Any) -> Iterator[int]:
    """All integers in a value."""
    return filter(is_number, (value, *parts(value)))


def is_beyond(value: Any) -> bool:
    """Whether an integer in it is beyond 32 bits, or one of a place's, or a cell's value, beyond 16."""
    if is_place(value):
        return any(not -(2**15) <= n < 2**15 for n in value)
    if is_cell(value):
        return not -(2**15) <= value[0] < 2**15 or is_beyond(value[1])
    if is_container(value):
        return any(map(is_beyond, value))
    return is_number(value) and abs(value) >= 2**31


def places(value: Any) -> Iterator[tuple[int, int]]:
    """All places in a value."""
    return filter(is_place, (value, *parts(value)))


FACTORS = ("upscale", "hupscale", "vupscale", "downscale")
"""What gives a grid and takes an integer that is no colour."""


def colours(call: Call) -> Iterator[int]:
    """The colours that a call which gives a grid is to put into it."""
    for wanted, argument in zip(PRIMITIVES[call.name].parameters, call.arguments, strict=False):
        if wanted == "Integer" and call.name not in FACTORS:
            yield from filter(is_number, (argument,))
        yield from (cell[0] for cell in (argument, *parts(argument)) if is_cell(cell))


def out_of_range(both: Both) -> bool:
    """An integer that the engine does not hold: of arguments, a result, a colour, or a place on the way.

    On the way to a result two places of the arguments may be added or subtracted, as when a patch is moved.
    """
    return both.kind == "overflow" and any(
        any(map(is_beyond, (*call.arguments, *call.result)))
        or any(abs(n) >= 2**14 for argument in call.arguments for place in places(argument) for n in place)
        or (PRIMITIVES[call.name].result == "Grid" and any(not -128 <= n < 128 for n in colours(call)))
        for call in both.calls
    )


def is_sort(call: Call) -> bool:
    return PRIMITIVES[call.name][1:3] == (("Container", "Callable"), "Tuple")


def by_sets(call: Call) -> bool:
    """Whether a call sorts by keys that are, or hold, sets."""
    if not is_sort(call):
        return False
    container, key = call.arguments
    return any(isinstance(part, frozenset) for item in container for part in parts((key(item),)))


def sorted_by_sets(both: Both) -> bool:
    """A sort by keys that are sets: Python's `<` on them is inclusion, which is no total order.

    Where the sort itself is compared, both give the same items.
    """
    if both.kind != "ok" or both.failure or not any(by_sets(call) for call in tuple(both.calls)):
        return False
    if both.calls[0].result == [both.wanted] and is_sort(both.calls[0]):
        return len(both.found) == len(both.wanted) and all(
            any(same(a, b) for b in both.wanted) for a in both.found
        )
    return True


def made_functions(both: Both) -> bool:
    """Two functions that a program made alike, as values: compared, or kept in a container."""
    alike: defaultdict[Any, set[int]] = defaultdict(set)

    def gather(value: Any) -> None:
        if is_container(value):
            for item in value:
                gather(item)
        elif callable(value) and not isinstance(value, Function):
            alike[sort_key(value)].add(id(value))
            for captured in made_of(value)[1]:  # type: ignore[arg-type]
                gather(captured)

    for call in both.calls:
        for argument in call.arguments:
            gather(argument)
    return both.kind == "ok" and not both.failure and any(len(ids) > 1 for ids in alike.values())


CLASSES: dict[str, Callable[[Both], bool]] = {
    "no grid": refused("no grid"),
    "no patch": refused("no patch"),
    "no pair": refused("no pair"),
    "other kind": refused("other kind"),
    "range": out_of_range,
    "sets as keys": sorted_by_sets,
    "functions": made_functions,
}
"""Where the engine and the oracle may differ: name of the class, and whether it holds of a call."""
BUDGET = "budget"
"""The class of what the engine ends for its budget, which is not compared."""
