"""The mutation baseline: resumable, extensible, and what it records."""

from __future__ import annotations

from pathlib import Path

import pytest

import codeit.experiments.mutation_baseline
import codeit.search.mutation
from codeit.data.experts import published
from codeit.data.tasks import Task, load_tasks
from codeit.experiments.mutation_baseline import curve_points, run_baseline
from codeit.language import Budget, Program, count_solved
from codeit.search.mutation import MutationError, Mutator
from codeit.storage.search_log import SearchLog

COUNT = 1500


@pytest.fixture(scope="module")
def training() -> dict[str, Task]:
    return {task.id: task for task in load_tasks("arc-agi-1/training")[:30]}


@pytest.fixture(scope="module")
def experts(training: dict[str, Task]) -> dict[str, Program]:
    return {task_id: program for task_id, program in published().programs.items() if task_id in training}


@pytest.fixture(autouse=True)
def _small_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    """Make parts and rounds small, so that COUNT mutants take several."""
    monkeypatch.setattr(codeit.experiments.mutation_baseline, "MUTANTS_PER_PART", 400)
    monkeypatch.setattr(codeit.search.mutation, "PROPOSALS_PER_ROUND", 1024)
    monkeypatch.setattr(codeit.search.mutation, "MIN_NEW_PER_ROUND", 2)


def found_by(
    directory: Path, experts: dict[str, Program], training: dict[str, Task], *counts: int
) -> list[tuple[str, str, int]]:
    """Run a baseline up to each count in turn; return task, program and order of what is found."""
    tasks = list(training.values())
    for count in counts:
        with SearchLog(directory, {"seed": 0}) as log:
            mutator = Mutator(experts, training, 0)
            run_baseline(log, experts, mutator, tasks, count, budget=Budget())
    with SearchLog(directory, {"seed": 0}) as log:
        assert sum(part.programs for number, part in log.parts().items() if number) == counts[-1]
        candidates = log.candidates()
    assert all(one.demonstrations_solved == len(training[one.task_id].train) for one in candidates)
    return [(one.task_id, str(one.program), one.order) for one in candidates]


def test_baseline_in_steps_finds_what_one_call_finds(
    tmp_path: Path, experts: dict[str, Program], training: dict[str, Task]
) -> None:
    whole = found_by(tmp_path / "whole", experts, training, COUNT)
    assert len({order for _, _, order in whole}) > 10
    # The steps end within a round and at its end. A repeated count adds nothing.
    assert found_by(tmp_path / "steps", experts, training, 3, 700, 700, COUNT) == whole


def test_baseline_records_programs_that_solve_all_demonstrations(
    tmp_path: Path, experts: dict[str, Program], training: dict[str, Task]
) -> None:
    tasks = list(training.values())
    rows = found_by(tmp_path / "run", experts, training, COUNT)
    for task_id, text, _ in rows:
        pairs = training[task_id].train
        assert count_solved([Program.parse(text)], [pairs])[0, 0] == len(pairs)
    # The experts come first. Each one solves its own task.
    own = count_solved(list(experts.values()), [task.train for task in tasks], early_exit=True)
    solved_by_experts = {
        tasks[row].id for row, _ in zip(*(own == [[len(t.train)] for t in tasks]).nonzero(), strict=True)
    }
    assert {task_id for task_id, _, order in rows if order == 0} >= solved_by_experts
    with SearchLog(tmp_path / "run", {"seed": 0}) as log:
        curve = log.publish(tasks, curve_points(COUNT))
    assert list(curve) == [600, 1200, 1500]
    figures = [score.solved_top3 for score in curve.values()]
    assert figures[0] >= len(solved_by_experts) - 2 and len(experts) >= figures[-1]


def test_baseline_with_too_few_mutants_keeps_what_was_tried(
    tmp_path: Path, experts: dict[str, Program], training: dict[str, Task]
) -> None:
    one = dict(list(experts.items())[:1])
    with (
        SearchLog(tmp_path, {}) as log,
        pytest.raises(MutationError, match="use more experts or a greater depth"),
    ):
        run_baseline(log, one, Mutator(one, training, 0), list(training.values()), 10**6, budget=Budget())
    with SearchLog(tmp_path, {}) as log:
        assert sum(part.programs for part in log.parts().values()) > 20
