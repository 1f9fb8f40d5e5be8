"""Random values of the language, as Python has them, for the tests against the oracle."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import oracle

from codeit.language import PRIMITIVES

T = TypeVar("T")

SMALL = (0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, -1, -2, -3)
BIG = (29, 30, -30, 42, 127, 128, -128, -129, 1000, 32767, 32768, -32768, -32769, 2**31 - 1, 2**31, 2**40)
INTEGERS = SMALL * 15 + BIG + (True, False)
COORDINATES = SMALL * 15 + (29, 30, -30, 127, 128, -129, 32767, -32768)
DIRECTIONS = ((0, 1), (1, 0), (1, 1), (-1, 1), (1, -1), (-1, -1), (0, -1), (-1, 0), (0, 0))
COLOURS = ((0,), (0, 0, 0, 1), (0, 1), (1, 2, 3), tuple(range(10)), (0, 0, 0, 0, 0, 5, -1), (-128, 127, 0))
SIDES = (1, 2, 3, 4, 5, 6, 7)
SHAPES = [(h, w) for h in SIDES for w in SIDES] + [(30, 30), (1, 30), (30, 1), (0, 0), (2, 0)]
ODD = 12
"""One argument in so many is of any type."""
BY_ARITY = {n: tuple(name for name, p in PRIMITIVES.items() if p.arity == n) for n in (1, 2, 3, 4)}


class Draws:
    """Random choices, read off a string of bytes. With no bytes left each is the first, the simplest.

    So an example costs hypothesis a single draw, and it can still make it simpler.
    """

    def __init__(self, data: bytes) -> None:
        self.data = iter(data)

    def below(self, n: int) -> int:
        return next(self.data, 0) % n

    def one(self, options: Sequence[T]) -> T:
        assert len(options) <= 256, "a byte tells no more apart"
        return options[self.below(len(options))]

    def some(self, make: Callable[[], T], most: int) -> list[T]:
        return [make() for _ in range(self.below(most + 1))]

    # --- a value of each type that signatures name

    def integer(self) -> int:
        return self.one(INTEGERS)

    def place(self) -> tuple[int, int]:
        if self.below(6) == 5:
            return self.one(DIRECTIONS)
        return self.one(COORDINATES), self.one(COORDINATES)

    def grid(self) -> tuple[tuple[int, ...], ...]:
        """Sides of up to 30; cells at random, or in stripes."""
        height, width = self.one(SHAPES)
        colours, rng, stripes = self.one(COLOURS), random.Random(self.below(256)), self.below(6)
        rows = [tuple(rng.choices(colours, k=width)) for _ in range(height)]
        if stripes == 1:
            rows = rows[:1] * height
        if stripes == 2:
            rows = [row[:1] * width for row in rows]
        return tuple(rows)

    def gathered(self, items: list[Any]) -> Any:
        """A set; at times a tuple, with repetitions and in any order."""
        return tuple(items) if self.below(8) == 7 else frozenset(items)

    def places(self) -> list[tuple[int, int]]:
        """None, some, or a whole rectangle or line."""
        if self.below(3) < 2:
            return self.some(self.place, 8)
        (top, left), height, width = self.place(), self.one((1, *SIDES)), self.one((1, *SIDES))
        return [(i, j) for i in range(top, top + height) for j in range(left, left + width)]

    def indices(self) -> Any:
        return self.gathered(self.places())

    def object(self) -> Any:
        """Cells of one colour or of several, also at the same place."""
        colours = self.one(COLOURS) if self.below(3) else (self.integer(),)
        cells = [(self.one(colours), place) for place in self.places()]
        again = [(self.one(colours), place) for _, place in cells[: self.below(3)]]
        return self.gathered(cells + again)

    def container_of(self, type_name: str, most: int = 5) -> Any:
        items = self.some(lambda: self.of(type_name), most)
        return tuple(items) if self.below(2) else frozenset(items)

    def any(self) -> Any:
        """Any value at all, mixed containers and None included."""
        kind = self.below(12)
        if kind == 0:
            return None
        if kind <= 2:
            return self.gathered(self.some(self.any, 3))
        if kind == 3:
            return self.one(tuple(PRIMITIVES))
        return self.of(self.one([name for name in TYPES if name != "Any"]))

    def of(self, type_name: str) -> Any:
        """A value of a type that a signature names."""
        return TYPES[type_name](self)

    # --- arguments that have to do with each other

    def like(self, type_name: str, other: Any) -> Any:
        """A value made from another: a part of it, most of it, or the same moved or changed a little."""
        if oracle.is_grid(other) and other and other[0]:
            height, width = len(other), len(other[0])
            if type_name == "IntegerTuple":
                return self.below(height), self.below(width)
            if type_name == "Grid":
                rng = random.Random(self.below(256))
                return tuple(
                    tuple(c if rng.random() < 0.7 else rng.randrange(10) for c in row) for row in other
                )
            if type_name in ("Indices", "Object", "Patch"):
                top, left = self.below(height), self.below(width)
                bottom, right = top + 1 + self.below(3), left + 1 + self.below(3)
                piece = oracle.ordered().asobject([row[left:right] for row in other[top:bottom]])
                moved = oracle.ordered().shift(piece, (top, left))
                return frozenset(oracle.ordered().toindices(moved) if type_name == "Indices" else moved)
        if type_name in ("Indices", "Object", "Patch") and oracle.is_patch(other) and other:
            return frozenset(oracle.ordered().shift(oracle.value(other), self.place()))
        if type_name == "IntegerTuple" and oracle.is_place(other):
            (i, j), steps = self.one(DIRECTIONS), self.below(8)
            return other[0] + i * steps, other[1] + j * steps
        if type_name in ("Container", "FrozenSet", "Tuple") and oracle.is_container(other):
            return type(other)([item for item in other if self.below(3)] + self.some(self.any, 1))
        fits = oracle.TAKES.get(type_name, ("", (oracle.is_container,)))[1]
        parts = [other, *oracle.parts(other)][:200]
        parts = [part for part in parts if not fits or any(test(part) for test in fits)]
        return self.one(parts) if parts else self.of(type_name)

    def arguments(self, name: str) -> tuple[Any, ...]:
        """Arguments for a primitive, by its signature.

        What goes with a function is mostly what it takes; half of the others have to do with one before.
        """
        parameters = PRIMITIVES[name].parameters
        made: dict[int, Any] = {}
        if name == "rapply":
            made = {0: self.gathered(self.some(lambda: self.one(BY_ARITY[1]), 3)), 1: self.any()}
        elif "Callable" in parameters:
            called = self.one(BY_ARITY[sum(parameter != "Callable" for parameter in parameters)])
            elements = iter(PRIMITIVES[called].parameters)
            made = {
                k: called if parameter == "Callable" else self.container_of(next(elements))
                for k, parameter in enumerate(parameters)
            }
        else:
            kinds = ("Grid", "Container", "FrozenSet", "Patch")  # drawn first, for the others to look at
            for k in sorted(range(len(parameters)), key=lambda k: parameters[k] not in kinds):
                other = self.one([*made.values()]) if made and self.below(2) else None
                made[k] = self.of(parameters[k]) if other is None else self.like(parameters[k], other)
        return tuple(self.any() if self.below(ODD) == ODD - 1 else made[k] for k in range(len(parameters)))


TYPES: dict[str, Callable[[Draws], Any]] = {
    "Any": Draws.any,
    "Boolean": lambda d: d.below(2) == 1,
    "Callable": lambda d: d.one(tuple(PRIMITIVES)),
    "Container": lambda d: d.of(d.one(("FrozenSet", "Tuple", "Grid", "TupleTuple", "ContainerContainer"))),
    "ContainerContainer": lambda d: d.container_of(
        d.one(("FrozenSet", "Tuple", "Object", "Indices", "Grid")), 3
    ),
    "Element": lambda d: d.grid() if d.below(2) else d.object(),
    "FrozenSet": lambda d: d.of(d.one(("IntegerSet", "Indices", "Object", "Objects"))),
    "Grid": Draws.grid,
    "Indices": Draws.indices,
    "Integer": Draws.integer,
    "IntegerSet": lambda d: d.gathered(d.some(d.integer, 6)),
    "IntegerTuple": Draws.place,
    "Numerical": lambda d: d.place() if d.below(2) else d.integer(),
    "Object": Draws.object,
    "Objects": lambda d: d.gathered(d.some(d.object, 4)),
    "Patch": lambda d: d.indices() if d.below(2) else d.object(),
    "Piece": lambda d: d.of(d.one(("Indices", "Object", "Grid"))),
    "Tuple": lambda d: tuple(d.container_of(d.one(("Integer", "IntegerTuple", "Object", "Grid")))),
    "TupleTuple": lambda d: tuple(d.some(lambda: d.of("Tuple"), 3)),
}
