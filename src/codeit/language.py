"""The language of programs, and the one door to the engine that runs them.

A program is straight-line code over the typed primitives of the ARC domain-specific language:

    x1 = objects(I, T, F, F)
    O = paint(I, x1)

`I` is the input grid; each line calls a primitive, or an earlier variable that holds a function; the last
line defines the result `O`. The engine parses and interprets programs within a budget. Nothing is ever
evaluated as Python, so any text, from whatever source, ends in a program or a `ParseError`, and any run in
an `Outcome`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from codeit import _engine
from codeit._engine import Budget, Grid, Outcome

__all__ = [
    "CONSTANTS",
    "PRIMITIVES",
    "Budget",
    "ExecutionError",
    "Grid",
    "Line",
    "Outcome",
    "ParseError",
    "Primitive",
    "Program",
    "Step",
    "count_solved",
    "run_batch",
]


class Primitive(NamedTuple):
    """A function of the language. The type names are the oracle's (`Grid`, `Patch`, `Callable`, …)."""

    name: str
    parameters: tuple[str, ...]
    result: str
    doc: str

    @property
    def arity(self) -> int:
        """The number of arguments."""
        return len(self.parameters)


def _primitive(name: str, signature: str, doc: str) -> Primitive:
    parameters, result = signature.split(" -> ")
    return Primitive(name, tuple(parameters.split(", ")), result, doc)


PRIMITIVES: dict[str, Primitive] = {row[0]: _primitive(*row) for row in _engine.PRIMITIVES}
"""By name, theme by theme."""

CONSTANTS: dict[str, int | bool | tuple[int, int]] = dict(_engine.CONSTANTS)
"""By name: small integers, T and F, directions and shapes."""


class ParseError(ValueError):
    """A text that is no program.

    Attributes: `line` (from 1; 0 for the text as a whole), `token` (what stands there), `expected` (what
    should), `suggestion` (the nearest known name, or "").
    """

    def __init__(self, line: int, token: str, expected: str, suggestion: str = "") -> None:
        hint = f"; did you mean {suggestion}?" if suggestion else ""
        where = f"line {line}: " if line else ""
        super().__init__(f"{where}expected {expected}, found {token}{hint}")
        self.line, self.token, self.expected, self.suggestion = line, token, expected, suggestion

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self.line, self.token, self.expected, self.suggestion)


class ExecutionError(RuntimeError):
    """A run that gave no grid; `outcome` says why and on which line."""

    def __init__(self, outcome: Outcome) -> None:
        super().__init__(f"{outcome.kind} error on {outcome.message}")
        self.outcome = outcome


class Line(NamedTuple):
    """`target = function(*arguments)`."""

    target: str
    function: str
    arguments: tuple[str, ...]

    def __str__(self) -> str:
        return f"{self.target} = {self.function}({', '.join(self.arguments)})"


class Step(NamedTuple):
    """One line of a trace: the variable, the line's text, and the type and value that the variable got.

    Values are Python's own: integers, booleans, None, tuples (a grid is a tuple of rows), frozensets; a
    function is given by its text.
    """

    name: str
    text: str
    type: str
    value: Any


class Program:
    """A program that has been parsed. Equal when the text is equal; hashable; picklable."""

    __slots__ = ("_compiled", "_lines", "_text")

    def __init__(self, compiled: _engine.Program) -> None:
        self._compiled = compiled
        self._text: str = compiled.text()
        self._lines: tuple[Line, ...] | None = None

    @classmethod
    def parse(cls, text: str) -> Program:
        """The program that `text` says. Raises ParseError. Blank lines and spacing do not matter."""
        parsed = _engine.parse(text.encode("utf-8", "replace"))
        if isinstance(parsed, _engine.ParseFailure):
            raise ParseError(parsed.line, parsed.token, parsed.expected, parsed.suggestion)
        return cls(parsed)

    @classmethod
    def from_lines(cls, lines: Sequence[Line]) -> Program:
        """As `parse`, from lines."""
        return cls.parse("\n".join(map(str, lines)))

    @property
    def lines(self) -> tuple[Line, ...]:
        """The lines, in order."""
        if self._lines is None:
            self._lines = tuple(Line(*line) for line in self._compiled.lines())
        return self._lines

    def __str__(self) -> str:
        return self._text

    def __repr__(self) -> str:
        return f"Program.parse({self._text!r})"

    def __len__(self) -> int:
        """The number of lines."""
        return len(self._compiled)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Program) and self._text == other._text

    def __hash__(self) -> int:
        return hash(self._text)

    def __reduce__(self) -> tuple[Any, ...]:
        return Program.parse, (self._text,)

    def __call__(self, grid: Grid, budget: Budget | None = None) -> Grid:
        """The result on `grid`. Raises ExecutionError where there is none."""
        outcome = self.run(grid, budget)
        if outcome.grid is None:
            raise ExecutionError(outcome)
        return outcome.grid

    def run(self, grid: Grid, budget: Budget | None = None) -> Outcome:
        """How a run on `grid` ends; never raises for what the program does."""
        return self._compiled.run(grid, budget or Budget())

    def trace(self, grid: Grid, budget: Budget | None = None) -> list[Step]:
        """The value of every variable, line by line, up to where the run ends."""
        values, _ = self._compiled.trace(grid, budget or Budget())
        return [Step(line.target, str(line), *value) for line, value in zip(self.lines, values, strict=False)]

    def types(self, grid: Grid, budget: Budget | None = None) -> tuple[str, ...]:
        """The type of every variable, as `trace` has it, up to where the run ends."""
        return tuple(self._compiled.types(grid, budget or Budget()))


def run_batch(
    programs: Sequence[Program],
    inputs: Sequence[Sequence[Grid]],
    *,
    budget: Budget | None = None,
    threads: int = 0,
    share: bool = True,
) -> list[list[Outcome]]:
    """Program k on each grid of `inputs[k]`, on `threads` cores (0: all), without the GIL.

    Programs that run on equal grids share the calls that they have in common, unless `share` is false.
    Outcomes do not depend on `threads`, on `share`, or on what else is in the batch.
    """
    compiled = [program._compiled for program in programs]
    return _engine.run_batch(compiled, [list(grids) for grids in inputs], budget or Budget(), threads, share)


def count_solved(
    programs: Sequence[Program],
    tasks: Sequence[Sequence[tuple[Grid, Grid]]],
    *,
    early_exit: bool = False,
    budget: Budget | None = None,
    threads: int = 0,
) -> NDArray[np.uint8]:
    """How many (input, output) pairs of each task each program solves: shape (tasks, programs).

    With `early_exit` a program leaves a task at the first pair that it fails: a count below the number of
    pairs is then a lower bound.
    """
    compiled = [program._compiled for program in programs]
    pairs = [[(pair[0], pair[1]) for pair in task] for task in tasks]
    counts = _engine.count_solved(compiled, pairs, budget or Budget(), early_exit, threads)
    return np.frombuffer(counts, np.uint8).reshape(len(tasks), len(programs))
