"""The published results are what the README says: every program is run again."""

from __future__ import annotations

import csv
from collections import Counter
from pathlib import Path

import pytest

from codeit.evaluation.scoring import Score, read_solutions, verify
from codeit.data.tasks import load_tasks

RESULTS = Path(__file__).parents[1] / "results"


def verified(name: str) -> Score:
    return verify(read_solutions(RESULTS / name / "solutions.jsonl"), load_tasks("arc-agi-1/evaluation"))


def last_row(path: Path) -> dict[str, int]:
    with open(path, encoding="utf-8", newline="") as file:
        return {key: int(float(value)) for key, value in list(csv.DictReader(file))[-1].items() if value}


@pytest.mark.parametrize("name", sorted(path.parent.name for path in RESULTS.glob("*/curve.csv")))
def test_a_search_solved_what_its_curve_says(name: str) -> None:
    score, row = verified(name), last_row(RESULTS / name / "curve.csv")
    assert score.invalid == 0
    for column in row.keys() - {"programs"}:
        assert row[column] == getattr(score, column), column
    rows = list(read_solutions(RESULTS / name / "solutions.jsonl"))
    of_task = Counter(row.task for row in rows)
    assert max(of_task.values()) <= 5
    assert score.solved_demonstrations == len(of_task)


@pytest.mark.parametrize("name", sorted(path.parent.name for path in RESULTS.glob("*/metrics.csv")))
def test_the_loop_solved_what_its_metrics_say(name: str) -> None:
    score, row = verified(name), last_row(RESULTS / name / "metrics.csv")
    assert (score.solved_top3, score.solved_top2) == (row["cumulative_top3"], row["cumulative_top2"])


def test_results_are_small() -> None:
    assert sum(path.stat().st_size for path in RESULTS.rglob("*") if path.is_file()) < 2_000_000
