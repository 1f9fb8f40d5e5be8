"""Whether one method solves more tasks than another: a comparison paired by task."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from math import comb
from typing import NamedTuple

import numpy as np

RESAMPLES = 10_000
"""Bootstrap resamples of the tasks."""


class Comparison(NamedTuple):
    """How many more tasks a method solves than another."""

    difference: float
    """Mean over the seeds of each, in tasks."""
    low: float
    """End of the 95 % interval of the difference, by bootstrap over tasks."""
    high: float
    more: int
    """Tasks that the method solves with a larger share of its seeds than the other."""
    fewer: int
    p: float
    """Two-sided p-value of the sign test on `more` and `fewer`: the exact test of McNemar if each
    method has one seed."""

    def __str__(self) -> str:
        return f"{self.difference:+.1f} [{self.low:+.1f}, {self.high:+.1f}], p = {self.p:.2g}"


def compare(
    tasks: Collection[str], method: Sequence[Collection[str]], other: Sequence[Collection[str]]
) -> Comparison:
    """Compare the tasks that two methods solve, given for each seed.

    The interval is that of other tasks drawn from the same source, with the same seeds. It does not
    contain the chance of the seeds, so give at least three. The result is deterministic.

    Raises ValueError without tasks or seeds, or for a solved task that is not among `tasks`.
    """
    ordered = sorted(tasks)
    if not ordered or not method or not other:
        raise ValueError("expected tasks, and at least one seed of each method")
    if unknown := sorted(set().union(*method, *other) - set(ordered)):
        raise ValueError(f"expected solved tasks to be among the tasks, found {unknown[0]}")
    shares = [np.array([[task in solved for task in ordered] for solved in one]) for one in (method, other)]
    by_task = shares[0].mean(axis=0) - shares[1].mean(axis=0)
    rng = np.random.default_rng(0)
    drawn = rng.multinomial(len(ordered), np.full(len(ordered), 1 / len(ordered)), size=RESAMPLES)
    low, high = np.quantile(drawn @ by_task, [0.025, 0.975])
    more, fewer = int((by_task > 0).sum()), int((by_task < 0).sum())
    return Comparison(float(by_task.sum()), float(low), float(high), more, fewer, _sign_test(more, fewer))


def _sign_test(more: int, fewer: int) -> float:
    """Return the probability of a split at least as uneven if both sides are equally likely."""
    n = more + fewer
    return min(1.0, 2 * sum(comb(n, k) for k in range(min(more, fewer) + 1)) / (1 << n))
