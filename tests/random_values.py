"""Random values of the language as Python objects, and programs with random names.

They are for tests that compare the engine with Python: the oracle, or exported files.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import oracle

from codeit.language import CONSTANTS, PRIMITIVES, Program

T = TypeVar("T")

SMALL = (0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, -1, -2, -3)
BIG = (29, 30, -30, 42, 127, 128, -128, -129, 1000, 32767, 32768, -32768, -32769, 2**31 - 1, 2**31, 2**40)
INTEGERS = SMALL * 15 + BIG + (True, False)
COORDINATES = SMALL * 15 + (29, 30, -30, 127, 128, -129, 32767, -32768)
DIRECTIONS = ((0, 1), (1, 0), (1, 1), (-1, 1), (1, -1), (-1, -1), (0, -1), (-1, 0), (0, 0))
COLOURS = ((0,), (0, 0, 0, 1), (0, 1), (1, 2, 3), tuple(range(10)), (0, 0, 0, 0, 0, 5, -1), (-128, 127, 0))
SIDES = (1, 2, 3, 4, 5, 6, 7)
SHAPES = [(h, w) for h in SIDES for w in SIDES] + [(30, 30), (1, 30), (30, 1), (0, 0), (2, 0)]
ANY_TYPE_EVERY = 12
"""On average, one argument in this many has any type."""
COMPARED = {name: p for name, p in PRIMITIVES.items() if name not in oracle.OWN_PRIMITIVES}
BY_ARITY = {n: tuple(name for name, p in COMPARED.items() if p.arity == n) for n in (1, 2, 3, 4)}


class Draws:
    """Random choices, read from a string of bytes. Without bytes left, every choice is the first.

    An example then costs hypothesis a single draw. Hypothesis can still shrink it, as the first
    options are the simplest.
    """

    def __init__(self, data: bytes) -> None:
        self.data = iter(data)

    def below(self, n: int) -> int:
        return next(self.data, 0) % n

    def choice(self, options: Sequence[T]) -> T:
        assert len(options) <= 256, "a byte selects one of 256 options"
        return options[self.below(len(options))]

    def ignores_signature(self) -> bool:
        """Draw whether an argument has any type, whatever the signature says."""
        return self.below(ANY_TYPE_EVERY) == ANY_TYPE_EVERY - 1

    def repeat(self, make: Callable[[], T], most: int) -> list[T]:
        return [make() for _ in range(self.below(most + 1))]

    # --- A value of each type of a signature ---

    def integer(self) -> int:
        return self.choice(INTEGERS)

    def place(self) -> tuple[int, int]:
        if self.below(6) == 5:
            return self.choice(DIRECTIONS)
        return self.choice(COORDINATES), self.choice(COORDINATES)

    def grid(self) -> tuple[tuple[int, ...], ...]:
        """Draw a grid of up to 30 rows and columns, of random cells or stripes."""
        height, width = self.choice(SHAPES)
        colours, rng, stripes = self.choice(COLOURS), random.Random(self.below(256)), self.below(6)
        rows = [tuple(rng.choices(colours, k=width)) for _ in range(height)]
        if stripes == 1:
            rows = rows[:1] * height
        if stripes == 2:
            rows = [row[:1] * width for row in rows]
        return tuple(rows)

    def set_or_tuple(self, items: list[Any]) -> Any:
        """Return a set, or sometimes a tuple with repetitions in any order."""
        return tuple(items) if self.below(8) == 7 else frozenset(items)

    def places(self) -> list[tuple[int, int]]:
        """Draw up to eight places, or a whole rectangle or line."""
        if self.below(3) < 2:
            return self.repeat(self.place, 8)
        (top, left), height, width = self.place(), self.choice((1, *SIDES)), self.choice((1, *SIDES))
        return [(i, j) for i in range(top, top + height) for j in range(left, left + width)]

    def indices(self) -> Any:
        return self.set_or_tuple(self.places())

    def object_(self) -> Any:
        """Draw cells of one colour or several, sometimes at the same place."""
        colours = self.choice(COLOURS) if self.below(3) else (self.integer(),)
        cells = [(self.choice(colours), place) for place in self.places()]
        again = [(self.choice(colours), place) for _, place in cells[: self.below(3)]]
        return self.set_or_tuple(cells + again)

    def container_of(self, type_name: str, most: int = 5) -> Any:
        items = self.repeat(lambda: self.value(type_name), most)
        return tuple(items) if self.below(2) else frozenset(items)

    def anything(self) -> Any:
        """Draw a value of any type, including mixed containers and None."""
        kind = self.below(12)
        if kind == 0:
            return None
        if kind <= 2:
            return self.set_or_tuple(self.repeat(self.anything, 3))
        if kind == 3:
            return self.choice(tuple(COMPARED))
        return self.value(self.choice([name for name in VALUE_OF_TYPE if name != "Any"]))

    def value(self, type_name: str) -> Any:
        """Draw a value of a type of a signature."""
        return VALUE_OF_TYPE[type_name](self)

    # --- Arguments that are related to each other ---

    def like(self, type_name: str, other: Any) -> Any:
        """Make a value from another: a part, most of it, or a moved or slightly changed copy."""
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
            return frozenset(oracle.ordered().shift(oracle.to_oracle(other), self.place()))
        if type_name == "IntegerTuple" and oracle.is_place(other):
            (i, j), steps = self.choice(DIRECTIONS), self.below(8)
            return other[0] + i * steps, other[1] + j * steps
        if type_name in ("Container", "FrozenSet", "Tuple") and oracle.is_container(other):
            return type(other)([item for item in other if self.below(3)] + self.repeat(self.anything, 1))
        fits = oracle.TAKES.get(type_name, ("", (oracle.is_container,)))[1]
        parts = [other, *oracle.parts(other)][:200]
        parts = [part for part in parts if not fits or any(test(part) for test in fits)]
        return self.choice(parts) if parts else self.value(type_name)

    def arguments(self, name: str) -> tuple[Any, ...]:
        """Draw arguments for a primitive, by its signature.

        Most arguments that accompany a function are of the types that it takes. Half of the other
        arguments are made from an earlier one.
        """
        parameters = PRIMITIVES[name].parameters
        made: dict[int, Any] = {}
        if name == "rapply":
            made = {
                0: self.set_or_tuple(self.repeat(lambda: self.choice(BY_ARITY[1]), 3)),
                1: self.anything(),
            }
        elif "Callable" in parameters:
            called = self.choice(BY_ARITY[sum(parameter != "Callable" for parameter in parameters)])
            elements = iter(PRIMITIVES[called].parameters)
            made = {
                k: called if parameter == "Callable" else self.container_of(next(elements))
                for k, parameter in enumerate(parameters)
            }
        else:
            kinds = (
                "Grid",
                "Container",
                "FrozenSet",
                "Patch",
            )  # drawn first, so that the others can be made from them
            for k in sorted(range(len(parameters)), key=lambda k: parameters[k] not in kinds):
                other = self.choice([*made.values()]) if made and self.below(2) else None
                made[k] = self.value(parameters[k]) if other is None else self.like(parameters[k], other)
        return tuple(self.anything() if self.ignores_signature() else made[k] for k in range(len(parameters)))


VALUE_OF_TYPE: dict[str, Callable[[Draws], Any]] = {
    "Any": Draws.anything,
    "Boolean": lambda d: d.below(2) == 1,
    "Callable": lambda d: d.choice(tuple(PRIMITIVES)),
    "Container": lambda d: d.value(
        d.choice(("FrozenSet", "Tuple", "Grid", "TupleTuple", "ContainerContainer"))
    ),
    "ContainerContainer": lambda d: d.container_of(
        d.choice(("FrozenSet", "Tuple", "Object", "Indices", "Grid")), 3
    ),
    "Element": lambda d: d.grid() if d.below(2) else d.object_(),
    "FrozenSet": lambda d: d.value(d.choice(("IntegerSet", "Indices", "Object", "Objects"))),
    "Grid": Draws.grid,
    "Indices": Draws.indices,
    "Integer": Draws.integer,
    "IntegerSet": lambda d: d.set_or_tuple(d.repeat(d.integer, 6)),
    "IntegerTuple": Draws.place,
    "Numerical": lambda d: d.place() if d.below(2) else d.integer(),
    "Object": Draws.object_,
    "Objects": lambda d: d.set_or_tuple(d.repeat(d.object_, 4)),
    "Patch": lambda d: d.indices() if d.below(2) else d.object_(),
    "Piece": lambda d: d.value(d.choice(("Indices", "Object", "Grid"))),
    "Tuple": lambda d: tuple(d.container_of(d.choice(("Integer", "IntegerTuple", "Object", "Grid")))),
    "TupleTuple": lambda d: tuple(d.repeat(lambda: d.value("Tuple"), 3)),
}


def with_random_names(program: Program, rng: random.Random) -> Program:
    """Replace one or two names by random ones that parse, ignoring types."""
    lines = list(program.lines)
    for _ in range(rng.randint(1, 2)):
        index = rng.randrange(len(lines))
        line = lines[index]
        position = rng.randrange(-1, len(line.arguments))  # -1: the function
        if position < 0:
            arity = len(line.arguments)
            functions = [name for name, primitive in PRIMITIVES.items() if primitive.arity == arity]
            lines[index] = line._replace(function=rng.choice(functions))
        else:
            arguments = list(line.arguments)
            variables = ["I", *(line.target for line in lines[:index])]
            arguments[position] = rng.choice(rng.choice((variables, variables, [*CONSTANTS], [*PRIMITIVES])))
            lines[index] = line._replace(arguments=tuple(arguments))
    return Program.from_lines(lines)
