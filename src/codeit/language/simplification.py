"""Simplification: a shorter program that gives the same grids on given inputs."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

from codeit.language import CONSTANTS, Grid, ParseError, Program, count_solved, run_batch
from codeit.language.rewriting import EditableProgram

_FIRST_GOALS = 4  # goals that all candidates are checked on before any is checked on the others


class _Goal(NamedTuple):
    """A grid, and what the original program makes of it."""

    grid: Grid
    wanted: Grid


def simplify(
    program: Program, inputs: Sequence[Grid], fresh: Iterable[Grid] = (), *, threads: int = 0
) -> Program:
    """Shorten a program without changing its grids on `inputs`.

    Equal lines are merged and unused ones are removed. Then the search visits the lines from the
    last to the first, again and again until none can be removed. It removes a line by replacing its
    value with one of the line's arguments, or with the input, an earlier variable or a constant of
    the same type (as observed on the smallest input). Of the replacements that change no grid, it
    takes the one that leaves the fewest lines.

    Args:
        program: Program to shorten.
        inputs: Grids on which the result must agree. Those on which the program gives no grid are
            ignored.
        fresh: More grids, to check the result with. They are drawn only if a line was replaced. If
            the two programs differ on one, the search starts over with all grids drawn so far.
        threads: Threads that run candidates; 0 uses every core.

    Returns:
        A program with at most as many lines. If the program gives no grid on any input, only its
        equal and unused lines are gone.

    Raises:
        ValueError: More than 255 inputs have been drawn.
    """
    outcomes = run_batch([program], [inputs], threads=threads)[0]
    goals = [
        _Goal(grid, outcome.grid)
        for grid, outcome in zip(inputs, outcomes, strict=True)
        if outcome.grid is not None
    ]
    original = EditableProgram.from_program(program).without_dead_code()
    if not goals:
        return original.to_program()
    checker = _EquivalenceChecker(goals, threads)
    best = _shortened(original, checker)
    fresh = iter(fresh)
    while best != original and (grid := next(fresh, None)) is not None:
        wanted = program.run(grid).grid
        if wanted is not None:
            checker.goals.append(_Goal(grid, wanted))
            if best.to_program().run(grid).grid != wanted:
                best = _shortened(original, checker)
    return best.to_program()


def _shortened(program: EditableProgram, checker: _EquivalenceChecker) -> EditableProgram:
    types = _types(program, checker.example)
    # The line to remove next is counted from the end, as removing it may take earlier lines with
    # it.
    from_end, untried = 0, len(program.lines)
    while untried:
        from_end = from_end % len(program.lines) + 1
        index = len(program.lines) - from_end
        shorter = checker.first_equivalent(_candidates_without_line(program, index, types))
        if shorter is None:
            untried -= 1
        else:
            program, types = shorter, _types(shorter, checker.example)
            from_end, untried = from_end - 1, len(program.lines)
    return program


class _EquivalenceChecker:
    """Finds a candidate that reaches every goal. Most candidates are rejected after a few runs."""

    def __init__(self, goals: Sequence[_Goal], threads: int) -> None:
        self.goals = sorted(goals, key=lambda goal: len(bytes(goal.grid)))
        self.example = self.goals[0].grid
        self._threads = threads
        self._rejected: set[EditableProgram] = set()  # goals are only added, so this stays true

    def first_equivalent(self, candidates: Iterable[EditableProgram]) -> EditableProgram | None:
        """Return the first candidate that reaches every goal, or None."""
        programs = {}
        for candidate in candidates:
            if candidate not in self._rejected:
                # No line may be left, or a line may call what is not a function.
                with contextlib.suppress(ParseError):
                    programs[candidate] = candidate.to_program()
        few = self.goals[:_FIRST_GOALS]
        for candidate, reached in zip(programs, self._reached(list(programs.values()), few), strict=True):
            if reached == len(few):
                reached = self._reached([programs[candidate]], self.goals)[0]
                if reached == len(self.goals):
                    return candidate
                # A goal that rejects this candidate is likely to reject others: check it early,
                # after the smallest goals.
                self.goals.insert(_FIRST_GOALS - 1, self.goals.pop(reached))
            self._rejected.add(candidate)
        return None

    def _reached(self, programs: Sequence[Program], goals: Sequence[_Goal]) -> list[int]:
        """Return how many goals each program reaches before the first that it does not."""
        counts = count_solved(programs, [goals], early_exit=True, threads=self._threads)[0]
        return [int(count) for count in counts]


def _candidates_without_line(
    program: EditableProgram, index: int, types: Mapping[str, str]
) -> list[EditableProgram]:
    """Return programs in which another value takes the place of a line's, the shortest first."""
    line = program.lines[index]
    earlier = ["I", *(other.target for other in program.lines[:index]), *CONSTANTS]
    values = [*line.arguments, *(name for name in earlier if types[name] == types[line.target])]
    candidates = dict.fromkeys(
        program.replace_variable(line.target, value).without_dead_code() for value in values
    )
    return sorted(candidates, key=lambda candidate: len(candidate.lines))


def _constant_type(value: int | bool | tuple[int, int]) -> str:
    return "IntegerTuple" if isinstance(value, tuple) else "Boolean" if isinstance(value, bool) else "Integer"


def _types(program: EditableProgram, grid: Grid) -> dict[str, str]:
    """Return the observed type of every name that a line may use."""
    observed = program.to_program().types(grid)
    constants = {name: _constant_type(value) for name, value in CONSTANTS.items()}
    return {"I": "Grid", **constants} | {
        line.target: kind for line, kind in zip(program.lines, observed, strict=True)
    }
