"""The types of values, the order of sets, and checks of arguments."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from types import FunctionType
from typing import Any, TypeAlias

Value: TypeAlias = Any  # None, an integer, a boolean, a tuple, a set or a function
Place: TypeAlias = tuple[int, int]  # row and column; or an offset
Cell: TypeAlias = tuple[int, Place]  # a colour and its place
Grid: TypeAlias = tuple[tuple[int, ...], ...]  # rows of colours
Indices: TypeAlias = frozenset[Place]
Object: TypeAlias = frozenset[Cell]
Places: TypeAlias = Indices | tuple[Place, ...]
Container: TypeAlias = tuple[Any, ...] | frozenset[Any]
Patch: TypeAlias = Container  # of places, or of cells
Piece: TypeAlias = Container  # a grid or a patch
Numerical: TypeAlias = int | tuple[int, ...]  # an integer, or a pair of them
Function: TypeAlias = Callable[..., Any]


def sort_key(value: Value) -> tuple[Any, ...]:
    """Return the key by which the elements of a set are sorted.

    None comes first, then numbers, tuples, sets, and functions. Tuples and sets compare
    element by element, functions by their place in this file and then by their parts.
    """
    if value is None:
        return (0,)
    if isinstance(value, int):
        return (1, value)
    if isinstance(value, tuple):
        return (2, *map(sort_key, value))
    if isinstance(value, frozenset):
        return (3, *sorted(map(sort_key, value)))
    if isinstance(value, FunctionType):
        return (4, 0, value.__code__.co_firstlineno)
    return (4, 1, *map(sort_key, (value.function, *value.parts)))


def items(container: Container) -> tuple[Any, ...]:
    """Return the elements of a container in order. Those of a set are sorted."""
    if isinstance(container, tuple):
        return container
    if isinstance(container, frozenset):
        return tuple(sorted(container, key=sort_key))
    raise TypeError(f"expected a tuple or a set, found {container!r}")


def like(container: Container, elements: Iterable[Any]) -> Any:
    """Return a set of the elements if the container is a set, else a tuple."""
    return (frozenset if isinstance(container, frozenset) else tuple)(elements)


def check_tuple(value: Value) -> tuple[Any, ...]:
    """Return a tuple unchanged. Raises TypeError for any other value."""
    if isinstance(value, tuple):
        return value
    raise TypeError(f"expected a tuple, found {value!r}")


def is_colour(value: Value) -> bool:
    """Return whether a value is an integer of 8 bits, as the cells of grids are."""
    return isinstance(value, int) and -128 <= value < 128


def check_colour(value: Value) -> int:
    """Return a colour unchanged. Raises TypeError for any other value."""
    if isinstance(value, int) and is_colour(value):
        return value
    raise TypeError(f"expected a colour, found {value!r}")


def check_grid(grid: Value) -> Grid:
    """Return a grid, which may be empty, unchanged. Raises TypeError for others."""
    rows = check_tuple(grid)
    for row in rows:
        if len(check_tuple(row)) != len(rows[0]) or not all(map(is_colour, row)):
            raise TypeError("expected a grid: rows of equal length, of colours")
    return rows


def check_full_grid(grid: Value) -> Grid:
    """Return a grid of at least one row unchanged. Raises TypeError or ValueError."""
    rows = check_grid(grid)
    if rows:
        return rows
    raise ValueError("the grid is empty")


def is_place(value: Value) -> bool:
    """Return whether a value is a pair of integers."""
    return (
        isinstance(value, tuple)
        and len(value) == 2
        and isinstance(value[0], int)
        and isinstance(value[1], int)
    )


def is_cell(value: Value) -> bool:
    """Return whether a value is a pair of a colour and a place."""
    return (
        isinstance(value, tuple)
        and len(value) == 2
        and isinstance(value[0], int)
        and is_place(value[1])
    )


def check_place(value: Value) -> Place:
    """Return a place unchanged. Raises TypeError for any other value."""
    if is_place(value):
        return value[0], value[1]
    raise TypeError(f"expected a pair of integers, found {value!r}")


def first_two(value: Value) -> Place:
    """Return the first two elements of a tuple, which must be integers."""
    if isinstance(value, tuple) and len(value) >= 2:
        return check_place(value[:2])
    raise TypeError(f"expected a pair of integers, found {value!r}")
