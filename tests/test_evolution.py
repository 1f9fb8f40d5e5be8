from __future__ import annotations

import pytest

from codeit.evolution import mutants
from codeit.experts import published
from codeit.language import Budget, Program, run_batch
from codeit.tasks import Task, load


@pytest.fixture(scope="module")
def training() -> dict[str, Task]:
    return {task.id: task for task in load("arc-agi-1/training")}


@pytest.fixture(scope="module")
def experts() -> dict[str, Program]:
    return published().programs


def test_mutants_are_distinct_run_and_are_repeatable(
    experts: dict[str, Program], training: dict[str, Task]
) -> None:
    made = mutants(experts, training, 500, seed=1)
    assert len(made) == 500 == len({mutant.program for mutant in made})
    assert not {mutant.program for mutant in made} & set(experts.values())
    inputs = [[p.input for p in (*training[m.task_id].train, *training[m.task_id].test)] for m in made]
    for outcomes, grids in zip(run_batch([m.program for m in made], inputs), inputs, strict=True):
        assert all(outcome.kind == "grid" for outcome in outcomes)
        assert [outcome.grid for outcome in outcomes] != grids
    assert mutants(experts, training, 200, seed=1, threads=1) == made[:200]
    assert mutants(experts, training, 200, seed=2) != made[:200]


def test_mutants_change_little(experts: dict[str, Program], training: dict[str, Task]) -> None:
    # One line of the parent is changed, one is added at most, and unused ones may go.
    for mutant in mutants(experts, training, 100, seed=4):
        assert len(mutant.program) <= len(experts[mutant.task_id]) + 1


def test_no_expert_no_mutant(training: dict[str, Task]) -> None:
    with pytest.raises(ValueError, match="at least one expert"):
        mutants({}, training, 1, seed=0)
    with pytest.raises(ValueError, match="distinct mutants"):
        mutants({"67a3c6ac": Program.parse("O = vmirror(I)")}, training, 9, seed=0, budget=Budget(steps=1))
