"""Hindsight relabelling: what a program did becomes the goal (Butt et al. 2024, arXiv 2402.04858).

A program that maps every demonstration input of a task to a valid grid solves *some* task: the one
whose outputs are its own. That task, with the program as its solution, is an experience to learn
from, whatever the original task asked for. The share of original demonstrations that it solves is
its priority in replay.
"""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import blake2b
from typing import NamedTuple

from codeit.data.tasks import Pair
from codeit.language import Outcome


class Experience(NamedTuple):
    """A task that a program solves by construction."""

    pairs: tuple[Pair, ...]
    """The original inputs with the program's own outputs."""
    priority: float
    """See `priority`."""

    @property
    def behaviour(self) -> bytes:
        """A digest of 16 bytes of the outputs: programs that do the same on the task share it."""
        digest = blake2b(digest_size=16)
        for pair in self.pairs:
            digest.update(bytes(pair.output.shape) + bytes(pair.output))
        return digest.digest()

    @property
    def is_trivial(self) -> bool:
        """Whether the outputs are the inputs, or all the same grid (of two demonstrations or more)."""
        outputs = [pair.output for pair in self.pairs]
        is_constant = len(outputs) > 1 and all(output == outputs[0] for output in outputs)
        return is_constant or all(pair.input == pair.output for pair in self.pairs)


def demonstrations_solved(outcomes: Sequence[Outcome], demonstrations: Sequence[Pair]) -> int:
    """Return how many demonstrations a program solves, given its outcome on each of their inputs."""
    pairs = zip(outcomes, demonstrations, strict=True)
    return sum(outcome.grid is not None and outcome.grid == pair.output for outcome, pair in pairs)


def priority(outcomes: Sequence[Outcome], demonstrations: Sequence[Pair]) -> float:
    """Return the priority of an experience in replay: the share of demonstrations solved, 0 to 1."""
    return demonstrations_solved(outcomes, demonstrations) / len(demonstrations)


def relabel(
    outcomes: Sequence[Outcome],
    demonstrations: Sequence[Pair],
    *,
    solvers_only: bool = False,
    trivial: bool = True,
) -> Experience | None:
    """Turn the outcomes of a program on a task's demonstration inputs into an experience.

    Return None unless every outcome is a grid. With `solvers_only` (ablation A2 of the paper: no
    relabelling), return None unless the program solves every demonstration. Without `trivial`,
    return None for a trivial experience whose priority is 0, which teaches only to copy the input
    or to write a grid of no meaning. The paper rejects the identity among mutants, not among
    samples.

    Raises ValueError if the numbers of outcomes and demonstrations differ.
    """
    share = priority(outcomes, demonstrations)
    if solvers_only and share < 1:
        return None
    pairs = []
    for outcome, (task_input, _) in zip(outcomes, demonstrations, strict=True):
        if outcome.grid is None:
            return None
        pairs.append(Pair(task_input, outcome.grid))
    experience = Experience(tuple(pairs), share)
    return experience if trivial or share > 0 or not experience.is_trivial else None
