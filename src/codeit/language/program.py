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

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from codeit import _engine
from codeit._engine import Budget, Grid, Outcome, TypedProgram

__all__ = [
    "CONSTANTS",
    "OPERATORS",
    "PRIMITIVES",
    "TYPES",
    "Budget",
    "ExecutionError",
    "Grid",
    "Line",
    "Outcome",
    "ParseError",
    "Primitive",
    "Program",
    "Step",
    "TypedProgram",
    "count_solved",
    "evaluate",
    "infer_types",
    "run_batch",
    "vary",
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

TYPES: dict[str, tuple[str, ...]] = dict(_engine.TYPES)
"""What the types that signatures name admit, as observed types: `Patch` admits `Indices` and `Object`."""

OPERATORS: tuple[str, ...] = _engine.OPERATORS
"""What `breed` may do to a program, as engine/vary.hpp says."""


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
        self._text: str | None = None  # made when it is asked for, as most mutants' never is
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
        if self._text is None:
            self._text = self._compiled.text()
        return self._text

    @property
    def identity(self) -> int:
        """64 bits for the lines, whatever the variables are called."""
        return self._compiled.identity()

    def __repr__(self) -> str:
        return f"Program.parse({str(self)!r})"

    def __len__(self) -> int:
        """The number of lines."""
        return len(self._compiled)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Program) and str(self) == str(other)

    def __hash__(self) -> int:
        return hash(str(self))

    def __reduce__(self) -> tuple[Any, ...]:
        return Program.parse, (str(self),)

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
    pairs is then a lower bound. Raises ValueError for a task of over 255 pairs.
    """
    compiled = [program._compiled for program in programs]
    pairs = [[(pair[0], pair[1]) for pair in task] for task in tasks]
    counts = _engine.count_solved(compiled, pairs, budget or Budget(), early_exit, threads)
    return np.frombuffer(counts, np.uint8).reshape(len(tasks), len(programs))


_VERDICT = np.dtype(
    {
        "names": ["behaviour", "ran", "changed", "shaped", "solved", "cells"],
        "formats": [np.uint64, np.uint16, np.uint16, np.uint16, np.uint16, np.float64],
        "offsets": [0, 8, 10, 12, 14, 16],
        "itemsize": 24,
    }
)


def evaluate(
    programs: Sequence[Program],
    task_index: Sequence[int],
    tasks: Sequence[Sequence[tuple[Grid, Grid | None]]],
    *,
    early_exit: bool = False,
    budget: Budget | None = None,
    threads: int = 0,
    share: bool = True,
) -> NDArray[np.void]:
    """What program k did on the (input, output) pairs of `tasks[of[k]]`: an array of rows with these fields.

    `behaviour`  64 bits for the grids that it gave: equal if the grids are
    `ran`        pairs on which it gave a grid
    `changed`    those whose grid is not the input
    `shaped`     those whose grid has the output's shape
    `solved`     those whose grid is the output
    `cells`      the share of the output's cells that are right, summed over the pairs with the right shape

    An output may be None. With `all` false a program leaves its task at the first pair on which it gives no
    grid, and has a behaviour of 0. Programs of one task share the calls that they have in common, unless
    `share` is false; nothing depends on it. Raises ValueError for a task of over 255 pairs.
    """
    compiled = [program._compiled for program in programs]
    pairs = [[(pair[0], pair[1]) for pair in task] for task in tasks]
    rows = _engine.evaluate(compiled, list(task_index), pairs, budget or Budget(), early_exit, threads, share)
    return np.frombuffer(rows, _VERDICT)


def infer_types(
    programs: Sequence[Program],
    task_index: Sequence[int],
    inputs: Sequence[Grid],
    *,
    budget: Budget | None = None,
    threads: int = 0,
) -> list[TypedProgram]:
    """The programs with the types that their variables have on `inputs[of[k]]`, to `breed` from."""
    compiled = [program._compiled for program in programs]
    return _engine.infer_types(compiled, list(task_index), list(inputs), budget or Budget(), threads)


def vary(
    parents: Sequence[TypedProgram],
    mates: Sequence[TypedProgram],
    weights: Mapping[str, float],
    seed: int,
    *,
    max_lines: int = 1000,
) -> list[Program | None]:
    """A child of `parents[k]` and `mates[k]` for each k, by an operator drawn with such weights (by name).

    None where the operator finds nothing to do, or the child has over `longest` lines; only some operators
    look at the mate. A child depends on the two, on k and the seed (0 to 2^64) alone. Its equal lines are
    merged, and unused ones dropped. Raises ValueError for weights of other names, below 0, or all 0.
    """
    if odd := weights.keys() - set(OPERATORS):
        raise ValueError(f"weights: expected some of {', '.join(OPERATORS)}, found {sorted(odd)[0]!r}")
    drawn = [float(weights.get(name, 0.0)) for name in OPERATORS]
    return [
        None if child is None else Program(child)
        for child in _engine.vary(list(parents), list(mates), drawn, max_lines, seed)
    ]
