"""Comparisons paired by task."""

from __future__ import annotations

import numpy as np
import pytest

from codeit.evaluation.comparison import compare

TASKS = [f"t{k}" for k in range(100)]


def test_equal_methods_do_not_differ() -> None:
    found = compare(TASKS, [TASKS[:30], TASKS[:20]], [TASKS[:20], TASKS[:30]])
    assert (found.difference, found.low, found.high, found.more, found.fewer, found.p) == (0, 0, 0, 0, 0, 1)


def test_one_seed_each_gives_the_exact_test_of_mcnemar() -> None:
    found = compare(TASKS, [TASKS[:30]], [TASKS[:20] + TASKS[30:32]])  # 10 tasks more, 2 fewer
    assert (found.difference, found.more, found.fewer) == (8, 10, 2)
    assert found.p == pytest.approx(2 * (1 + 12 + 66) / 2**12)  # binomial, published tables: 0.0386
    assert found.low < 8 < found.high
    assert str(found).startswith("+8.0 [+")


def test_a_task_counts_by_its_share_of_seeds() -> None:
    found = compare(["a", "b"], [["a"], ["a"], []], [["a"], [], ["b"]])
    assert found.difference == pytest.approx(2 / 3 - 1 / 3 - 1 / 3)
    assert (found.more, found.fewer) == (1, 1)


def test_interval_covers_the_true_difference_in_about_95_of_100_samples() -> None:
    rng, covered = np.random.default_rng(1), 0
    for _ in range(200):  # tasks solved with 30 % and 20 %: 10 of 100 more
        solved = [[task for task in TASKS if rng.random() < share] for share in (0.3, 0.2)]
        found = compare(TASKS, [solved[0]], [solved[1]])
        covered += found.low <= 10 <= found.high
    assert 180 <= covered <= 198


def test_bad_arguments_are_refused() -> None:
    with pytest.raises(ValueError, match="at least one seed of each method"):
        compare(TASKS, [], [["t0"]])
    with pytest.raises(ValueError, match="found u"):
        compare(TASKS, [["u"]], [["t0"]])
