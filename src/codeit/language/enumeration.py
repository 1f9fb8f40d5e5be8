"""Bottom-up enumeration of programs for a task, in the order of their cost.

The engine does the work: see `engine/enumeration.hpp` for how.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from codeit import _engine
from codeit.language.program import Budget, Grid, Program

__all__ = ["Enumeration", "Library"]


class Library:
    """The slices of programs, and statistics of their calls and arguments. Rare parts are expensive.

    A *slice* is a line of a program and all lines that it depends on. Making a library of the experts
    takes 20 ms.
    """

    def __init__(self, programs: Iterable[Program]) -> None:
        self._library = _engine.Library([program._compiled for program in programs])

    def __len__(self) -> int:
        """Return the number of distinct slices."""
        return len(self._library)


class Enumeration:
    """The enumeration for one task. Its outcome depends only on the arguments."""

    def __init__(
        self, library: Library, pairs: Sequence[tuple[Grid, Grid | None]], budget: Budget | None = None
    ) -> None:
        """Set up an enumeration.

        Args:
            library: The parts of programs, and their costs.
            pairs: The demonstrations, and the inputs of the tests with None.
            budget: `steps` limits one expression on one input, without its arguments. `cells`
                limits the memory of all values on one input, in cells of 16 bytes.
        """
        self._enumeration = _engine.Enumeration(library._library, list(pairs), budget or Budget())

    def run(self, max_tried: int) -> bool:
        """Try expressions until all calls together have tried about `max_tried`.

        Return whether more can be tried: False once the memory is full. A core tries some 400,000 a
        second.
        """
        return self._enumeration.run(max_tried)

    def finish(self) -> None:
        """Look for last steps that lead from the values so far to the outputs.

        They paint patches on a grid, cut out a part of it, turn it, join it with another, or recolour
        it (`engine/last_steps.hpp`).
        """
        self._enumeration.finish()

    def solutions(self) -> list[tuple[Program, int]]:
        """Return programs that solve all demonstrations, with their cost in bits, cheapest first.

        No two of them give the same outputs on the tests.
        """
        return [(Program(solution.program), solution.bits) for solution in self._enumeration.solutions]

    def closest(self, max_programs: int) -> list[Program]:
        """Return at most `max_programs` programs that come closest to the outputs, best first.

        They are ordered by demonstrations solved, outputs of the right shape, and share of right
        cells; then by cost.
        """
        return [Program(program) for program in self._enumeration.closest(max_programs)]

    @property
    def tried(self) -> int:
        """Expressions tried so far."""
        return self._enumeration.tried

    def __len__(self) -> int:
        """Return the number of expressions with different values."""
        return len(self._enumeration)
