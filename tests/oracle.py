"""The oracle of the language: the ARC DSL that the dependency reasoning-gym ships, in plain Python.

Its sets are walked in whatever order Python happens to give; ours in sorted order. So that all else can be
compared exactly, the oracle is loaded here with sets that are walked in sorted order too.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Any

from codeit.language import Program


def sort_key(value: Any) -> tuple[Any, ...]:
    """The order in which sets are kept: numbers, tuples (element by element), sets, functions."""
    if value is None:
        return (0,)
    if isinstance(value, int):
        return (1, int(value))
    if isinstance(value, tuple):
        return (2, tuple(map(sort_key, value)))
    if isinstance(value, frozenset):
        return (3, tuple(map(sort_key, value)))
    return (4, id(value))


class SortedSet(frozenset[Any]):
    """A frozenset that is walked in order."""

    def __iter__(self) -> Iterator[Any]:
        return iter(sorted(frozenset.__iter__(self), key=sort_key))

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
        return iter(sorted(set.__iter__(self), key=sort_key))


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
    """The oracle with sets walked in sorted order."""
    return _load("dsl", frozenset=SortedSet, set=MutableSortedSet)


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
