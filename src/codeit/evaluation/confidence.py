"""How likely an answer is right.

A search counts votes for each answer to the tests (see `Candidate.votes`). An answer is likely if it
has many votes and other answers have few, if its program is short, and if the demonstrations are
large, as a wrong program seldom gives many cells right. Each of a task's answers has a weight,

    votes ** a * lines ** b * cells ** c * constant,

in which `cells` counts those of the demonstrations' outputs. One of the answers is right or none is,
whose weight is 1. The probability of an answer is its share of all these weights. So probabilities
of several answers add up: one of two attempts is right with the sum of both. Test outputs are not
read.

`benchmarks/confidence.py` fits the four numbers to the development benchmark. docs/results.md says
how often answers of each probability are right there and on tasks that nothing was fitted to.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable, Mapping
from dataclasses import replace
from typing import NamedTuple

from codeit.data.tasks import Task
from codeit.evaluation.candidate import Candidate, top_k

VOTES, LINES, CELLS, CONSTANT = 0.53, -1.35, 0.63, -2.69
"""a, b and c above, and the logarithm of the constant."""
PROGRAMS = 20_000
"""Programs of evolution among which the votes of the fit were counted. A search that tries more finds
more votes for the same answer, so each counts for less."""
THRESHOLDS = (0.3, 0.5, 0.7, 0.9)
"""Probabilities for which reports tell how many answers are as likely, and how many of these right."""
LIKELY = 0.5
"""The one of them that a short report gives."""


def output_cells(task: Task) -> int:
    """Return the number of cells of all demonstrations' outputs."""
    return sum(math.prod(pair.output.shape) for pair in task.train)


def with_probabilities(task: Task, answers: Iterable[Candidate], tried: int) -> list[Candidate]:
    """Return all answers to a task with their probabilities.

    `tried` is the number of programs that evolution tried. A candidate without votes, which misses a
    demonstration or comes from a source that counts none, keeps the probability 0: it is unknown.

    The fit is for searches with the default settings of enumeration, without a policy. It holds on the
    evaluation tasks of ARC-AGI-1, and is too sure on those of ARC-AGI-2 (docs/results.md).
    """
    answers, cells = list(answers), output_cells(task)
    scale = max(tried / PROGRAMS, 1.0)
    weights = [
        (max(answer.votes, 0) / scale) ** VOTES
        * len(answer.program) ** LINES
        * cells**CELLS
        * math.exp(CONSTANT)
        for answer in answers
    ]
    total = 1.0 + sum(weights)
    return [
        replace(answer, probability=weight / total) for answer, weight in zip(answers, weights, strict=True)
    ]


def percent(probability: float) -> str:
    """Return a probability as readers see it: nothing is impossible or certain."""
    return f"{min(max(probability, 0.01), 0.99):.0%}"


class Answered(NamedTuple):
    """The tasks that are answered with some probability or a higher one."""

    threshold: float
    tasks: int
    solved: int


def answered(candidates: Mapping[str, Iterable[Candidate]], solved: Collection[str]) -> list[Answered]:
    """Return for each threshold how many tasks are answered, and how many of these are solved.

    A task is answered with the probability that one of its 3 best-ranked programs is right. `solved`
    names the tasks that are solved by one of these.
    """
    likely = {task_id: sum(one.probability for one in top_k(found)) for task_id, found in candidates.items()}
    rows = []
    for threshold in THRESHOLDS:
        at_least = {task_id for task_id, p in likely.items() if p >= threshold}
        rows.append(Answered(threshold, len(at_least), len(at_least & set(solved))))
    return rows
