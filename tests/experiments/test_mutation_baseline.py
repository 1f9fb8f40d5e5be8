from __future__ import annotations

from pathlib import Path

import pytest

import codeit.experiments.mutation_baseline
from codeit.experiments.mutation_baseline import points, run_baseline
from codeit.search.mutation import Mutator, MutationError
from codeit.data.experts import published
from codeit.language import Budget, Program, count_solved
from codeit.storage.search_log import SearchLog
from codeit.data.tasks import Task, load_tasks

COUNT = 1500


@pytest.fixture(scope="module")
def training() -> dict[str, Task]:
    return {task.id: task for task in load_tasks("arc-agi-1/training")[:30]}


@pytest.fixture(scope="module")
def experts(training: dict[str, Task]) -> dict[str, Program]:
    return {id: program for id, program in published().programs.items() if id in training}


@pytest.fixture(autouse=True)
def several_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(codeit.experiments.mutation_baseline, "AT_ONCE", 400)
    monkeypatch.setattr("codeit.search.mutation.ROUND", 1024)
    monkeypatch.setattr("codeit.search.mutation.BARREN", 2)


def found(
    folder: Path, experts: dict[str, Program], training: dict[str, Task], *counts: int
) -> list[tuple[str, str, int]]:
    """What is found when the same baseline is begun and gone on with, up to each count in turn."""
    tasks = list(training.values())
    for count in counts:
        with SearchLog(folder, {"seed": 0}) as record:
            mutation = Mutator(experts, training, 0)
            run_baseline(record, experts, mutation, tasks, count, budget=Budget())
    with SearchLog(folder, {"seed": 0}) as record:
        assert sum(part.programs for number, part in record.parts().items() if number) == counts[-1]
        return [(one.task, str(one.program), one.tried) for one in record.found()]


def test_a_baseline_goes_on_and_ends_the_same(
    tmp_path: Path, experts: dict[str, Program], training: dict[str, Task]
) -> None:
    whole = found(tmp_path / "whole", experts, training, COUNT)
    assert len({tried for _, _, tried in whole}) > 10
    # Stopped within a round and at its end, and extended.
    assert found(tmp_path / "parts", experts, training, 3, 700, 700, COUNT) == whole


def test_a_baseline_finds_what_solves(
    tmp_path: Path, experts: dict[str, Program], training: dict[str, Task]
) -> None:
    tasks = list(training.values())
    rows = found(tmp_path / "run", experts, training, COUNT)
    for task, text, _ in rows:
        pairs = training[task].train
        assert count_solved([Program.parse(text)], [pairs])[0, 0] == len(pairs)
    # The experts come first; each solves its own task.
    own = count_solved(list(experts.values()), [task.train for task in tasks], early_exit=True)
    solving = {
        tasks[row].id for row, _ in zip(*(own == [[len(t.train)] for t in tasks]).nonzero(), strict=True)
    }
    assert {task for task, _, tried in rows if tried == 0} >= solving
    with SearchLog(tmp_path / "run", {"seed": 0}) as record:
        curve = record.publish(tasks, points(COUNT))
    assert list(curve) == [600, 1200, 1500]
    figures = [score.solved_top3 for score in curve.values()]
    assert figures[0] >= len(solving) - 2 and len(experts) >= figures[-1]


def test_a_baseline_without_enough_mutants_says_so(
    tmp_path: Path, experts: dict[str, Program], training: dict[str, Task]
) -> None:
    one = dict(list(experts.items())[:1])
    with (
        SearchLog(tmp_path, {}) as record,
        pytest.raises(MutationError, match="use more experts or a greater depth"),
    ):
        run_baseline(record, one, Mutator(one, training, 0), list(training.values()), 10**6, budget=Budget())
    with SearchLog(tmp_path, {}) as record:
        assert sum(part.programs for part in record.parts().values()) > 20
