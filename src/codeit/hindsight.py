"""Hindsight: what a program did becomes what was wanted of it (Butt et al. 2024, arXiv 2402.04858).

A program that turns each demonstration input of a task into a valid grid solves *some* task: the one whose
outputs are its own. That task, with the program as its answer, is an experience to learn from, whatever the
original task wanted; how much of the original it solved is its priority in replay.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from codeit.language import Outcome
from codeit.tasks import Pair


class Experience(NamedTuple):
    """A task that a program solves by construction.

    `pairs` are the original inputs with the program's own outputs; `priority`, from 0 to 1, is the share of
    the original demonstrations that the program solves.
    """

    pairs: tuple[Pair, ...]
    priority: float


def demonstrations_solved(outcomes: Sequence[Outcome], demonstrations: Sequence[Pair]) -> int:
    """How many of the demonstrations a program solves, given its outcome on each of their inputs."""
    pairs = zip(outcomes, demonstrations, strict=True)
    return sum(outcome.grid is not None and outcome.grid == pair.output for outcome, pair in pairs)


def relabel(
    outcomes: Sequence[Outcome], demonstrations: Sequence[Pair], *, solvers_only: bool = False
) -> Experience | None:
    """The experience that a program's outcomes on a task's demonstration inputs make, if they make one.

    They do if every outcome is a grid; with `solvers_only` (no relabelling, ablation A2 of the paper), if
    every outcome is the grid that the task wants. The outputs may equal the inputs: the paper drops such
    programs among mutants, not among samples. Raises ValueError if there is not one outcome a demonstration.
    """
    priority = demonstrations_solved(outcomes, demonstrations) / len(demonstrations)
    if solvers_only and priority < 1:
        return None
    pairs = []
    for outcome, (given, _) in zip(outcomes, demonstrations, strict=True):
        if outcome.grid is None:
            return None
        pairs.append(Pair(given, outcome.grid))
    return Experience(tuple(pairs), priority)
