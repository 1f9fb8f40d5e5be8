"""Programs: parsing, running, tracing, and batches of programs run by the C++ engine.

A program is straight-line code over the typed primitives of the ARC domain-specific language:

    x1 = objects(I, T, F, F)
    O = paint(I, x1)

`I` is the input grid. Each line calls a primitive, or an earlier variable that holds a function.
The last line defines the result `O`. The engine parses programs and interprets them within a
budget. Nothing is ever evaluated as Python: any text gives either a program or a `ParseError`, and
any run ends in an `Outcome`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

from codeit import _engine
from codeit._engine import Budget, Grammar, Grid, Outcome, PartialPrograms, TypedProgram
from codeit.language.grids import check_rows

__all__ = [
    "CONSTANTS",
    "OPERATORS",
    "PRIMITIVES",
    "TYPES",
    "Budget",
    "ExecutionError",
    "Grammar",
    "Grid",
    "GridLike",
    "Line",
    "Outcome",
    "ParseError",
    "PartialPrograms",
    "Primitive",
    "Program",
    "Step",
    "Trace",
    "TypedProgram",
    "count_solved",
    "evaluate",
    "infer_types",
    "run_batch",
    "to_grid",
    "vary",
]


class Primitive(NamedTuple):
    """A function of the language. Type names are the oracle's (`Grid`, `Patch`, `Callable`, …)."""

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
"""The primitives by name, grouped by theme."""

CONSTANTS: dict[str, int | bool | tuple[int, int]] = dict(_engine.CONSTANTS)
"""The constants by name: small integers, T and F, directions and shapes."""

TYPES: dict[str, tuple[str, ...]] = dict(_engine.TYPES)
"""Observed types that each type of a signature admits: `Patch` admits `Indices` and `Object`."""

OPERATORS: tuple[str, ...] = _engine.OPERATORS
"""The operators of `vary`, documented in engine/vary.hpp."""

GridLike: TypeAlias = Grid | Sequence[Sequence[int]] | NDArray[np.integer[Any]]
"""A grid, its rows (lists or tuples of integers), or a two-dimensional array of integers."""


class ParseError(ValueError):
    """A text that is not a program.

    Attributes:
        line: The line at fault, from 1; 0 for the text as a whole.
        token: The token found there.
        expected: What should be there.
        suggestion: The nearest known name, or "".
    """

    def __init__(self, line: int, token: str, expected: str, suggestion: str = "") -> None:
        hint = f"; did you mean {suggestion}?" if suggestion else ""
        where = f"line {line}: " if line else ""
        super().__init__(f"{where}expected {expected}, found {token}{hint}")
        self.line, self.token, self.expected, self.suggestion = line, token, expected, suggestion

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self.line, self.token, self.expected, self.suggestion)


class ExecutionError(RuntimeError):
    """A run that gave no grid. Its `outcome` has the kind of error and the line."""

    def __init__(self, outcome: Outcome) -> None:
        super().__init__(f"{outcome.kind} error on {outcome.message}")
        self.outcome = outcome


class Line(NamedTuple):
    """One line of a program: `target = function(*arguments)`."""

    target: str
    function: str
    arguments: tuple[str, ...]

    def __str__(self) -> str:
        return f"{self.target} = {self.function}({', '.join(self.arguments)})"


class Step(NamedTuple):
    """One line of a trace: the variable, the text of the line, and the variable's type and value.

    Values are Python objects: integers, booleans, None, tuples (a grid is a tuple of rows) and
    frozensets. A function is represented by its text.
    """

    name: str
    text: str
    type: str
    value: Any


class Trace(list[Step]):
    """The steps of a run, line by line until it ends.

    Attributes:
        program: The program that ran.
        grid: Its input.
        error: Why the run gave no grid, or "".
    """

    def __init__(self, steps: Iterable[Step], program: Program, grid: Grid, error: str) -> None:
        super().__init__(steps)
        self.program, self.grid, self.error = program, grid, error

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (list(self), self.program, self.grid, self.error)


def to_grid(grid: GridLike) -> Grid:
    """Return rows or an array as a Grid; return a Grid unchanged.

    Raises GridError, a ValueError that names the row and column at fault, unless there are 1 to 30
    rows of equal length, 1 to 30 columns, and only integers from 0 to 9.
    """
    return grid if isinstance(grid, Grid) else Grid(check_rows(grid))


class Program:
    """A parsed program. Programs are equal if their texts are. They are hashable and picklable.

    Wherever a method takes a grid, it takes a `Grid`, rows of integers (lists or tuples), or a
    two-dimensional NumPy array of integers, of 1 to 30 rows and columns and colours 0 to 9. It
    raises GridError, a ValueError that names the row and column at fault, for anything else.

    `budget` limits a run in steps (cells touched, and 2 per call) and in cells of memory (16 bytes
    each) in use at once. The default is 5,000,000 steps and 2,000,000 cells. The outcome of a run
    depends only on the program, the grid and the budget, not on the machine.

        program = Program.parse("O = vmirror(I)")
        program([[1, 2], [3, 4]])  # Grid([[2, 1], [4, 3]])
    """

    __slots__ = ("_compiled", "_lines", "_text")

    def __init__(self, compiled: _engine.Program) -> None:
        self._compiled = compiled
        # Made on first use, as the text of most mutants is never needed.
        self._text: str | None = None
        self._lines: tuple[Line, ...] | None = None

    @classmethod
    def parse(cls, text: str) -> Program:
        """Parse a program of at most 1,000 lines and 2^18 bytes.

        Blank lines and spacing do not matter. Raises ParseError, which names the line and token.
        """
        parsed = _engine.parse(text.encode("utf-8", "replace"))
        if isinstance(parsed, _engine.ParseFailure):
            raise ParseError(parsed.line, parsed.token, parsed.expected, parsed.suggestion)
        return cls(parsed)

    @classmethod
    def from_lines(cls, lines: Sequence[Line]) -> Program:
        """Build a program from lines. Raises ParseError."""
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
        """A 64-bit hash of the lines that does not depend on the names of variables."""
        return self._compiled.identity()

    def __repr__(self) -> str:
        return f"Program.parse({str(self)!r})"

    def __len__(self) -> int:
        """Return the number of lines."""
        return len(self._compiled)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Program) and str(self) == str(other)

    def __hash__(self) -> int:
        return hash(str(self))

    def __reduce__(self) -> tuple[Any, ...]:
        return Program.parse, (str(self),)

    def __call__(self, grid: GridLike, budget: Budget | None = None) -> Grid:
        """Return the result on `grid`. Raises ExecutionError if the run gives no grid."""
        outcome = self.run(grid, budget)
        if outcome.grid is None:
            raise ExecutionError(outcome)
        return outcome.grid

    def run(self, grid: GridLike, budget: Budget | None = None) -> Outcome:
        """Run the program on `grid` and return the outcome.

        An error in the program does not raise: it is the `kind` of the outcome, with the line and a
        message. Releases the GIL.
        """
        return self._compiled.run(to_grid(grid), budget or Budget())

    def trace(self, grid: GridLike, budget: Budget | None = None) -> Trace:
        """Return the type and value of every variable, line by line, until the run ends.

        Converting the values to Python objects is far slower than `run`.
        """
        grid = to_grid(grid)
        values, outcome = self._compiled.trace(grid, budget or Budget())
        steps = (
            Step(line.target, str(line), *value) for line, value in zip(self.lines, values, strict=False)
        )
        return Trace(steps, self, grid, "" if outcome.grid is not None else outcome.message)

    def types(self, grid: GridLike, budget: Budget | None = None) -> tuple[str, ...]:
        """Return the observed type of every variable, line by line, until the run ends."""
        return tuple(self._compiled.types(to_grid(grid), budget or Budget()))


def run_batch(
    programs: Sequence[Program],
    inputs: Sequence[Sequence[Grid]],
    *,
    budget: Budget | None = None,
    threads: int = 0,
    share: bool = True,
) -> list[list[Outcome]]:
    """Run every program on its own inputs, in parallel and without the GIL.

    Args:
        programs: Programs to run.
        inputs: Grids for each program: program k runs on every grid of `inputs[k]`.
        budget: Limit of each single run, not of the batch.
        threads: Threads to use; 0 uses every core.
        share: Compute calls that several programs have in common on equal grids once. This costs
            memory and changes no outcome.

    Returns:
        One list of outcomes per program, in the order of its inputs. Outcomes do not depend on
        `threads`, on `share`, or on the rest of the batch.

    Raises:
        ValueError: The two sequences have different lengths, or an item is None.
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
    """Count how many (input, output) pairs of each task each program solves.

    Args:
        programs: Programs to run. Every program runs on every task.
        tasks: Pairs of each task, at most 255.
        early_exit: Let a program leave a task at the first pair that it fails. Its count is then
            the number of pairs before that one, a lower bound unless it equals the number of pairs.
            This is several times faster where most programs fail.
        budget: Limit of each single run.
        threads: Threads to use; 0 uses every core.

    Returns:
        Counts of shape (tasks, programs).

    Raises:
        ValueError: A task has more than 255 pairs, or a grid is None.
    """
    compiled = [program._compiled for program in programs]
    pairs = [[(pair[0], pair[1]) for pair in task] for task in tasks]
    counts = _engine.count_solved(compiled, pairs, budget or Budget(), early_exit, threads)
    return np.frombuffer(counts, np.uint8).reshape(len(tasks), len(programs))


# The memory layout of `Verdict` in engine/execute.hpp. The bindings check the offsets.
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
    """Run each program on the (input, output) pairs of one task and summarise what it did.

    Args:
        programs: Programs to run.
        task_index: Task of each program: program k runs on the pairs of `tasks[task_index[k]]`.
        tasks: Pairs of each task, at most 255. An output may be None; only `behaviour`, `ran` and
            `changed` take account of such a pair.
        early_exit: Let a program leave its task at the first pair on which it gives no grid. Its
            `behaviour` is then 0.
        budget: Limit of each single run.
        threads: Threads to use; 0 uses every core.
        share: Compute calls that several programs of a task have in common once. This costs memory
            and changes no result.

    Returns:
        A structured array with one row per program and these fields:

        - `behaviour`: 64-bit hash of the grids that the program gave, and of where it gave none.
          Programs of one task that give the same grids have the same behaviour.
        - `ran`: pairs on which it gave a grid.
        - `changed`: pairs on which its grid differs from the input.
        - `shaped`: pairs on which its grid has the shape of the output.
        - `solved`: pairs on which its grid is the output.
        - `cells`: fraction of correct cells of each pair with the right shape, summed over these
          pairs.

    Raises:
        ValueError: The lengths of `programs` and `task_index` differ, an index is out of range, a
            task has more than 255 pairs, or an input is None.
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
    """Run programs and observe the types of their variables, which `vary` needs of parents.

    Args:
        programs: Programs to run.
        task_index: Input of each program: program k runs on `inputs[task_index[k]]`.
        inputs: One grid per task.
        budget: Limit of each single run.
        threads: Threads to use; 0 uses every core.

    Returns:
        One TypedProgram per program. If a run ends early, `types` holds fewer types than the
        program has lines.

    Raises:
        ValueError: The lengths of `programs` and `task_index` differ, an index is out of range, or
            an input is None.
    """
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
    """Make one child of each parent, by typed mutation or by crossing it with its mate.

    Equal lines of a child are merged, and lines that its result does not need are dropped.

    Args:
        parents: Programs to change.
        mates: One mate per parent. Only the operators `splice`, `chain` and `join` use it.
        weights: Relative frequency of operators (`OPERATORS`) by name; 0 for those not named.
        seed: Seed from 0 to 2^64 - 1.
        max_lines: Longest child.

    Returns:
        The child of `parents[k]` and `mates[k]` for each k. It depends only on these two, k, the
        weights, the seed and `max_lines`. It is None if the drawn operator finds nothing to do or
        the child is too long.

    Raises:
        ValueError: A weight is negative or has an unknown name, all weights are 0, or the lengths
            of `parents` and `mates` differ.
    """
    if unknown := sorted(weights.keys() - set(OPERATORS)):
        raise ValueError(f"weights: expected some of {', '.join(OPERATORS)}, found {unknown[0]!r}")
    by_operator = [float(weights.get(name, 0.0)) for name in OPERATORS]
    return [
        None if child is None else Program(child)
        for child in _engine.vary(list(parents), list(mates), by_operator, max_lines, seed)
    ]
