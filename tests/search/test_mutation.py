"""Mutants of experts: distinct, reproducible, and resumable in memory and in a file."""

from __future__ import annotations

from itertools import islice
from pathlib import Path

import pytest

from codeit.data.experts import published
from codeit.data.tasks import Task, load_tasks
from codeit.experiments.mutants_file import write_mutants
from codeit.language import Budget, Grid, Program, run_batch
from codeit.search.mutation import Distinct, MutationError, Mutator, make_mutants


@pytest.fixture(scope="module")
def training() -> dict[str, Task]:
    return {task.id: task for task in load_tasks("arc-agi-1/training")}


@pytest.fixture(scope="module")
def experts() -> dict[str, Program]:
    return published().programs


def inputs_of(task: Task) -> list[Grid]:
    return [pair.input for pair in (*task.train, *task.test)]


@pytest.mark.parametrize(("distinct", "depth"), [("behaviour", 1), ("text", 1), ("behaviour", 3)])
def test_mutants_are_distinct_and_run_on_all_inputs(
    experts: dict[str, Program], training: dict[str, Task], distinct: Distinct, depth: int
) -> None:
    made = make_mutants(experts, training, 500, seed=1, distinct=distinct, depth=depth)
    assert len(made) == 500 == len({mutant.program for mutant in made})
    assert not {mutant.program for mutant in made} & set(experts.values())
    behaviours = set()
    runs = run_batch([m.program for m in made], [inputs_of(training[m.task_id]) for m in made])
    for mutant, outcomes in zip(made, runs, strict=True):
        assert all(outcome.kind == "grid" for outcome in outcomes)
        grids = tuple(outcome.grid for outcome in outcomes)
        assert list(grids) != inputs_of(training[mutant.task_id])
        behaviours.add((mutant.task_id, grids))
        if distinct == "behaviour":
            assert grids != tuple(
                experts[mutant.task_id](grid) for grid in inputs_of(training[mutant.task_id])
            )
    assert (len(behaviours) == 500) == (distinct == "behaviour")


def test_mutants_are_reproducible_and_fewer_are_the_first(
    experts: dict[str, Program], training: dict[str, Task]
) -> None:
    made = make_mutants(experts, training, 500, seed=1)
    assert make_mutants(experts, training, 200, seed=1, threads=1) == made[:200]
    assert make_mutants(experts, training, 200, seed=2) != made[:200]


def test_mutants_have_at_most_one_line_more_than_the_expert(
    experts: dict[str, Program], training: dict[str, Task]
) -> None:
    # One line of the parent is changed, one is added at most, and unused ones may go.
    for mutant in make_mutants(experts, training, 100, seed=4):
        assert len(mutant.program) <= len(experts[mutant.task_id]) + 1


def test_mutator_continues_from_marked_and_restored_rounds(
    experts: dict[str, Program], training: dict[str, Task]
) -> None:
    first, second, third = islice(Mutator(experts, training, 0).rounds(), 3)
    other = Mutator(experts, training, 0)
    other.mark_seen(first.mutants)
    other.restore(second.keys.ravel().tolist())
    assert next(other.rounds(2)).mutants == third.mutants


def test_truncated_file_of_mutants_is_continued(
    tmp_path: Path, experts: dict[str, Program], training: dict[str, Task]
) -> None:
    experts = dict(list(experts.items())[:40])
    whole, cut = tmp_path / "whole.jsonl", tmp_path / "cut.jsonl"
    n = len(next(Mutator(experts, training, 0).rounds()).mutants) + 50  # into the second round
    assert write_mutants(Mutator(experts, training, 0), n, whole) == 0
    for kept in (0, 1, 100, len(whole.read_bytes()) // 2, len(whole.read_bytes()) - 1):
        cut.write_bytes(whole.read_bytes()[:kept])
        existing = write_mutants(Mutator(experts, training, 0), n, cut)
        assert existing == whole.read_bytes()[:kept].count(b"\n")
        assert cut.read_bytes() == whole.read_bytes()
    assert write_mutants(Mutator(experts, training, 0), n - 20, cut) == n  # nothing is left to do
    assert cut.read_bytes() == whole.read_bytes()


def test_file_with_other_content_is_refused(
    tmp_path: Path, experts: dict[str, Program], training: dict[str, Task]
) -> None:
    file = tmp_path / "mutants.jsonl"
    write_mutants(Mutator(experts, training, 0), 5, file)
    with pytest.raises(MutationError, match=r"mutants.jsonl: expected the mutants of this seed"):
        write_mutants(Mutator(experts, training, 1), 6, file)
    last = '{"task": "67a3c6ac", "program": "O = hmirror(I)", "round": 1}\n'
    for task_id, text in (("none", "O = hmirror(I)"), ("67a3c6ac", "O = nothing(I)")):
        file.write_text(f'{{"task": "{task_id}", "program": "{text}", "round": 0}}\n{last}')
        with pytest.raises(MutationError, match=r"mutants.jsonl: expected the mutants of this seed"):
            write_mutants(Mutator(experts, training, 0), 6, file)
    file.write_text("{}\n")
    with pytest.raises(MutationError, match=r"mutants.jsonl, line 1: expected a mutant"):
        write_mutants(Mutator(experts, training, 1), 5, file)


def test_too_few_experts_are_an_error(training: dict[str, Task]) -> None:
    expert = {"67a3c6ac": Program.parse("O = vmirror(I)")}
    with pytest.raises(ValueError, match="at least one expert"):
        make_mutants({}, training, 1, seed=0)
    with pytest.raises(MutationError, match="at least one expert"):
        make_mutants(expert, training, 9, seed=0, budget=Budget(steps=1))
    with pytest.raises(MutationError, match="use more experts"):
        make_mutants(expert, training, 100_000, seed=0)
