"""How likely an answer is right: the weights, the tables, and the fit behind the numbers."""

from __future__ import annotations

import math
import sys
from pathlib import Path
from typing import Any

import pytest

from codeit.data.tasks import Pair, Task, TestPair
from codeit.evaluation import confidence
from codeit.evaluation.candidate import Candidate
from codeit.evaluation.confidence import PROGRAMS, THRESHOLDS, Answered, answered, percent, with_probabilities
from codeit.language import Grid, Program

FLIP, LONG_FLIP = Program.parse("O = vmirror(I)"), Program.parse("x1 = identity(I)\nO = vmirror(x1)")


def task(rows: int = 2) -> Task:
    """Return a task whose outputs have six cells a row."""
    grid = Grid([[1, 2, 3]] * rows)
    return Task("a", (Pair(grid, grid), Pair(grid, grid)), (TestPair(grid, None),))


def answer(votes: int, program: Program = FLIP) -> Candidate:
    return Candidate("a", program, 2, votes=votes)


def likely(*votes: int, rows: int = 2, tried: int = 0) -> list[float]:
    return [one.probability for one in with_probabilities(task(rows), map(answer, votes), tried)]


def test_probabilities_are_shares_of_weights() -> None:
    weights = [
        votes**confidence.VOTES * 12**confidence.CELLS * math.exp(confidence.CONSTANT) for votes in (9, 4)
    ]
    assert likely(9, 4) == pytest.approx([weight / (1 + sum(weights)) for weight in weights])


def test_an_answer_is_likely_with_votes_of_its_own_few_lines_and_many_cells() -> None:
    (p,) = likely(9)
    assert 0 < p < 1
    assert likely(90)[0] > p > likely(9, 90)[0]
    assert likely(9, rows=20)[0] > p
    assert with_probabilities(task(), [answer(9, LONG_FLIP)], 0)[0].probability < p
    assert likely(9, 0, -1) == [p, 0.0, 0.0]  # an answer without votes is unknown, and changes no other
    assert likely(9, tried=PROGRAMS) == [p]
    assert likely(90, tried=10 * PROGRAMS) == pytest.approx([p])  # as many votes for each program tried
    assert with_probabilities(task(), [], 0) == []


def test_no_answer_is_shown_as_impossible_or_certain() -> None:
    assert list(map(percent, (0.0001, 0.5, 0.9999))) == ["1%", "50%", "99%"]


def test_answered_counts_tasks_by_the_probability_of_their_three_best() -> None:
    def found(*of_task: float) -> list[Candidate]:
        programs = [Program.parse(f"O = upscale(I, {n})") for n in ("ONE", "TWO", "THREE", "FOUR")]
        return [Candidate("a", one, 2, probability=p) for one, p in zip(programs, of_task, strict=False)]

    candidates = {"a": found(0.4, 0.3, 0.21), "b": found(0.2, 0.05, 0.04, 0.5), "c": found(0.35), "d": []}
    assert answered(candidates, ["a", "b"]) == [
        Answered(THRESHOLDS[0], 2, 1), *(Answered(threshold, 1, 1) for threshold in THRESHOLDS[1:])
    ]  # fmt: skip


def test_the_numbers_are_those_of_the_fit(monkeypatch: pytest.MonkeyPatch) -> None:
    benchmarks = Path(__file__).parents[2] / "benchmarks"
    monkeypatch.setattr(sys, "path", [str(benchmarks), *sys.path])
    import confidence as benchmark  # type: ignore[import-not-found]

    module: Any = benchmark
    numbers = confidence.VOTES, confidence.LINES, confidence.CELLS, confidence.CONSTANT
    assert numbers == pytest.approx(module.fit(module.read()).tolist(), abs=0.005)
