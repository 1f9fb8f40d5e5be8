"""The published results hold: every program of their solutions files is run again."""

from __future__ import annotations

import csv
from collections import Counter
from functools import cache
from pathlib import Path

import pytest

from codeit.data.tasks import load_tasks
from codeit.evaluation.scoring import Score, read_solutions, verify
from codeit.experiments.mutation_baseline import PAPER_RESULTS
from codeit.report.curve import PAPER_RUN, draw, draw_run
from codeit.storage.metrics import METRICS
from codeit.storage.replay_buffer import SOURCES

RESULTS = Path(__file__).parents[1] / "results"
PUBLISHED = {
    "codeit": (65, 63),
    "codeit-1": (66, 64),
    "codeit-frozen": (61, 60),
    "search": (129, 207),
    "search-1": (136, 209),
    "search-2": (128, 208),
    "laptop": (131, 201),
    "evolution": (109, 156),
    "baseline": (67, 74),
    "policy": (26, 26),
}
"""Tasks solved at top 3, and tasks whose demonstrations are solved, by directory, as in the README."""
CURVES = {
    "search": ("search", "programs that evolution tried on each task"),
    "evolution": ("evolution", "programs tried on each task"),
    "baseline": ("mutation baseline", "mutants tried on each task"),
}
"""The line and the x axis of each published curve.svg."""

FORMER_METRICS = {"left_out"}
"""Metrics that the version of a published run recorded and this one does not."""


@cache
def verified(name: str) -> Score:
    return verify(read_solutions(RESULTS / name / "solutions.jsonl"), load_tasks("arc-agi-1/evaluation"))


def rows(path: Path) -> list[dict[str, str]]:
    with open(path, encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def last_row(path: Path) -> dict[str, int]:
    return {key: int(float(value)) for key, value in rows(path)[-1].items() if value}


@pytest.mark.parametrize("name", PUBLISHED)
def test_solutions_solve_the_published_number_of_tasks(name: str) -> None:
    score = verified(name)
    assert (score.solved_top3, score.solved_demonstrations) == PUBLISHED[name]
    assert score.invalid == 0


def test_every_solutions_file_has_a_published_figure() -> None:
    assert {path.parent.name for path in RESULTS.glob("*/solutions.jsonl")} == set(PUBLISHED)


@pytest.mark.parametrize("name", sorted(path.parent.name for path in RESULTS.glob("*/curve.csv")))
def test_search_solves_what_its_curve_says(name: str) -> None:
    score, row = verified(name), last_row(RESULTS / name / "curve.csv")
    assert score.invalid == 0
    for column in row.keys() - {"programs"}:
        assert row[column] == getattr(score, column), column
    solutions = list(read_solutions(RESULTS / name / "solutions.jsonl"))
    of_task = Counter(row.task_id for row in solutions)
    assert max(of_task.values()) <= 5
    assert score.solved_demonstrations == len(of_task)


@pytest.mark.parametrize("name", CURVES)
def test_curve_file_shows_the_curve(name: str, tmp_path: Path) -> None:
    line, across = CURVES[name]
    curve = {int(row.pop("programs")): score_of(row) for row in rows(RESULTS / name / "curve.csv")}
    draw(tmp_path / "curve.svg", {line: curve}, {"paper: mutation baseline": PAPER_RESULTS}, across)
    assert (tmp_path / "curve.svg").read_bytes() == (RESULTS / name / "curve.svg").read_bytes()


def test_curve_of_the_method_shows_its_metrics(tmp_path: Path) -> None:
    metrics = {
        int(row["iteration"]): {key: float(value) for key, value in row.items() if value}
        for row in rows(RESULTS / "codeit" / "metrics.csv")
    }
    draw_run(tmp_path / "curve.svg", metrics, PAPER_RUN)
    assert (tmp_path / "curve.svg").read_bytes() == (RESULTS / "codeit" / "curve.svg").read_bytes()


def score_of(row: dict[str, str]) -> Score:
    counts = {key: int(value) for key, value in row.items()}
    return Score(tasks=400, without_outputs=0, programs=0, invalid=0, solved=(), leaked=(), **counts)


@pytest.mark.parametrize("name", sorted(path.parent.name for path in RESULTS.glob("*/metrics.csv")))
def test_loop_solves_what_its_metrics_say(name: str) -> None:
    score, row = verified(name), last_row(RESULTS / name / "metrics.csv")
    assert (score.solved_top3, score.solved_top2) == (row["cumulative_top3"], row["cumulative_top2"])
    assert score.solved_top3_without_leak == row["cumulative_top3_without_leak"]


@pytest.mark.parametrize("name", sorted(path.parent.name for path in RESULTS.glob("*/metrics.csv")))
def test_loop_files_use_the_current_names_of_metrics_and_sources(name: str) -> None:
    columns = list(rows(RESULTS / name / "metrics.csv")[0])
    assert [column for column in columns if column not in FORMER_METRICS] == ["iteration", *METRICS]
    solutions = read_solutions(RESULTS / name / "solutions.jsonl")
    assert {row.row["source"] for row in solutions} <= set(SOURCES)


def test_results_are_small() -> None:
    assert sum(path.stat().st_size for path in RESULTS.rglob("*") if path.is_file()) < 2_000_000
