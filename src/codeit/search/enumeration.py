"""Enumeration for one task: the cheapest programs that solve its demonstrations.

The costs are learned from given programs, usually the experts (see `language.enumeration`).
Test outputs are not read.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

from codeit.config import EnumerationConfig
from codeit.data.tasks import Task
from codeit.evaluation.candidate import Candidate
from codeit.language import Budget, Grid, Program, evaluate
from codeit.language.enumeration import Enumeration, Library

STEP = 50_000
"""Expressions tried at a time, which takes 0.1 to 0.2 s."""
SURE_BITS = 30
"""A program of at most this cost that solves all demonstrations is taken as right. On the development
benchmark, where the limit was chosen, 50 of 53 give the published test outputs, on other training
tasks 48 of 51 (LOG.md)."""
DOUBTFUL_BITS = 60
"""A program of this cost counts as one vote. Every two bits less double the votes."""


class Enumerated(NamedTuple):
    """What an enumeration has found so far."""

    tried: int
    """Expressions tried."""
    answers: list[Candidate]
    """A program for each answer, the cheapest first. Its votes tell how cheap it is."""
    sure: bool
    """Whether the cheapest costs at most `SURE_BITS`."""
    elites: list[Program]
    """Programs that come closest to the outputs, best first; empty before the last step."""


def enumerate_programs(
    task: Task, library: Library, settings: EnumerationConfig | None = None
) -> Iterator[Enumerated]:
    """Try expressions in the order of their cost; yield what was found after each `STEP`.

    Ends when `settings.expressions` were tried, when the memory is full, or once an answer is sure.
    Results depend only on the arguments.
    """
    settings = settings or EnumerationConfig()
    pairs: list[tuple[Grid, Grid | None]] = [(pair.input, pair.output) for pair in task.train]
    pairs += [(pair.input, None) for pair in task.test]
    budget = Budget(settings.max_steps, settings.max_cells)
    enumeration = Enumeration(library, pairs, budget)
    for done in range(0, settings.expressions, STEP):
        more = enumeration.run(min(done + STEP, settings.expressions))
        enumeration.finish()
        answers = _candidates(task, enumeration.solutions())
        sure = bool(answers) and is_sure(answers[0])
        is_last = sure or not more or done + STEP >= settings.expressions
        elites = enumeration.closest(settings.elites) if is_last else []
        yield Enumerated(enumeration.tried, answers, sure, elites)
        if is_last:
            return


def _candidates(task: Task, found: Sequence[tuple[Program, int]]) -> list[Candidate]:
    """Return candidates for programs, given with their costs. Leave out those that fail on a test."""
    programs = [program for program, _ in found]
    tests: list[tuple[Grid, Grid | None]] = [(pair.input, None) for pair in task.test]
    verdicts = evaluate(programs, [0] * len(programs), [tests], threads=1)
    return [
        Candidate(task.id, program, len(task.train), votes=votes(bits), answer=int(verdict["behaviour"]))
        for (program, bits), verdict in zip(found, verdicts, strict=True)
        if verdict["ran"] == len(tests)
    ]


def is_sure(candidate: Candidate) -> bool:
    """Return whether a candidate has as many votes as a program of `SURE_BITS`."""
    return candidate.votes >= votes(SURE_BITS)


def votes(bits: int) -> int:
    """Return the number of votes of a program of this cost. A program of evolution has one."""
    return 1 << max(0, (DOUBTFUL_BITS - bits) // 2)
