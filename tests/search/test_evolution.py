"""Evolution of programs for one task."""

from __future__ import annotations

import pytest
from puzzles import SMALL, STARTERS, solvable_tasks, without_outputs

from codeit.data.tasks import Task
from codeit.evaluation.candidate import Candidate
from codeit.language import Program, run_batch
from codeit.search.evolution import Evolution


@pytest.fixture(scope="module")
def tasks() -> list[Task]:
    return solvable_tasks()


def test_evolution_solves_tasks_that_its_starters_do_not_solve(tasks: list[Task]) -> None:
    for task in tasks:
        evolution = Evolution(task, STARTERS, seed=0, settings=SMALL)
        generations = list(evolution.generations(5000))
        found = evolution.answers()
        assert found, task.id
        assert {(answer.task_id, answer.demonstrations_solved) for answer in found} == {
            (task.id, len(task.train))
        }
        assert generations[-1].demonstrations_solved == len(task.train)
        inputs = [[pair.input for pair in task.train]] * len(found)
        for outcomes in run_batch([answer.program for answer in found], inputs):
            assert [outcome.grid for outcome in outcomes] == [pair.output for pair in task.train]
        # The best program only gets better.
        solved = [generation.demonstrations_solved for generation in generations]
        assert solved == sorted(solved)


def test_evolution_is_reproducible_and_a_smaller_budget_gives_its_beginning(tasks: list[Task]) -> None:
    def generations(programs: int, seed: int) -> list[tuple[int, list[tuple[str, int]]]]:
        evolution = Evolution(tasks[1], STARTERS, seed, SMALL)
        return [
            (g.tried, [(str(one.program), one.votes) for one in evolution.answers()])
            for g in evolution.generations(programs)
        ]

    once, again, other = (generations(3000, seed) for seed in (1, 1, 2))
    assert once == again != other
    shorter = generations(2000, 1)
    assert shorter[:-1] == once[: len(shorter) - 1]
    assert shorter[-1][0] == 2000


def test_evolution_does_not_read_test_outputs(tasks: list[Task]) -> None:
    def answers(task: Task) -> list[list[Candidate]]:
        evolution = Evolution(task, STARTERS, 3, SMALL)
        return [evolution.answers() for _ in evolution.generations(2000)]

    assert answers(without_outputs(tasks[0])) == answers(tasks[0])


def test_injected_programs_are_tried_once_and_join_the_population(tasks: list[Task]) -> None:
    evolution = Evolution(tasks[1], STARTERS, 0, SMALL)
    generations = evolution.generations(1000)
    first = next(generations)
    assert first.tried == evolution.tried == len(STARTERS) and first.demonstrations_solved == 0
    answer = Program.parse("x1 = vmirror(I)\nx2 = hconcat(x1, I)\nO = hmirror(x2)")
    renamed = Program.parse("x9 = vmirror(I)\nx4 = hconcat(x9, I)\nO = hmirror(x4)")
    evolution.inject([answer, renamed, STARTERS[0]])
    assert evolution.tried == len(STARTERS) + 1  # programs that were tried before are not tried again
    best = evolution.members()[0]
    assert (best.task_id, best.program, best.demonstrations_solved) == (
        tasks[1].id,
        answer,
        len(tasks[1].train),
    )
    assert [(one.program, one.votes) for one in evolution.answers()] == [(answer, 1)]
    assert next(generations).demonstrations_solved == len(tasks[1].train)
    assert [generation.tried for generation in generations][-1] == 1000
