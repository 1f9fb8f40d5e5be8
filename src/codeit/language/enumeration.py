"""Enumeration from below: programs for a task in the order of their cost, by the values they compute.

The engine does the work: see `engine/enumeration.hpp` for how.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from codeit import _engine
from codeit.language.program import Budget, Grid, Program

__all__ = ["Enumeration", "Library"]


class Library:
    """Slices of programs, and how often the programs call and use what. What is rare is expensive.

    A *slice* is a line of a program and all that it depends on. Making a library of the experts
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
            library: What programs are made of, and their costs.
            pairs: The demonstrations, and the inputs of the tests with None.
            budget: `steps` limits an expression on an input, without what it depends on. `cells`
                limits the memory of all values on one input, in cells of 16 bytes.
        """
        self._enumeration = _engine.Enumeration(library._library, list(pairs), budget or Budget())

    def run(self, most: int) -> bool:
        """Try expressions until about `most` were tried in all calls together.

        Return whether more can be tried; no if the memory is used up. A core tries some 400,000 a
        second.
        """
        return self._enumeration.run(most)

    def finish(self) -> None:
        """Look for last steps that lead from the values so far to the outputs.

        These are cells that are painted on a grid, with as few and as cheap patches as possible, and
        cuts out of a grid.
        """
        self._enumeration.finish()

    def solutions(self) -> list[tuple[Program, int]]:
        """Return programs that solve all demonstrations, with their cost in bits, cheapest first.

        Each gives other outputs on the tests.
        """
        return [(Program(one.program), one.bits) for one in self._enumeration.solutions]

    def closest(self, most: int) -> list[Program]:
        """Return at most `most` programs that come closest to the outputs, best first.

        They are ordered by demonstrations solved, outputs of the right shape, and share of right
        cells; then by cost.
        """
        return [Program(one) for one in self._enumeration.closest(most)]

    @property
    def tried(self) -> int:
        """Expressions tried so far."""
        return self._enumeration.tried

    def __len__(self) -> int:
        """Return the number of expressions with different values."""
        return len(self._enumeration)
