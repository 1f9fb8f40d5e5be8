"""Whole programs compared with the oracle: every expert, mutants that run, and programs that fail.

With `--hypothesis-profile=long` there are 20,000 mutants and 20,000 failing programs in place of
1,000 each, and mutants run on all inputs of their tasks.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Iterable
from functools import partial
from typing import Any

import oracle
from hypothesis import settings
from random_values import with_random_names

from codeit.data.experts import published
from codeit.data.tasks import Task
from codeit.language import Budget, Grid, Program, evaluate, run_batch
from codeit.search.mutation import make_mutants

LONG = settings.get_current_profile_name() == "long"
PROGRAMS = 20_000 if LONG else 1_000
BUDGET = Budget(steps=200_000, cells=200_000)
"""Budget of the engine for runs that the oracle repeats. One run in a hundred exceeds it."""


def inputs_of(task: Task) -> list[Grid]:
    return [*(pair.input for pair in task.train), *(pair.input for pair in task.test)]


def smallest_input(task: Task) -> Grid:
    return min(inputs_of(task), key=lambda grid: len(bytes(grid)))


def count_classes(runs: Iterable[tuple[Program, Grid]]) -> Counter[str]:
    """Count the runs that agree in every line, under "", and those that differ, by class.

    Raises AssertionError for a difference of no class.
    """
    found = Counter(oracle.compare_program(program, grid, BUDGET) for program, grid in runs)
    print(f"{found.total()} runs: {dict(found.most_common())}")
    return found


def test_experts_solve_the_same_tasks_as_with_the_oracle(training: dict[str, Task]) -> None:
    experts = published().programs
    assert len(experts) == 400
    solving, different = set(), set()
    for task_id, program in experts.items():
        task, inputs = training[task_id], inputs_of(training[task_id])
        outputs = [outcome.grid for outcome in run_batch([program], [inputs])[0]]
        if outputs == [*(pair.output for pair in task.train), *(pair.output for pair in task.test)]:
            solving.add(task_id)
        elif any(
            grid is None or oracle.rows(grid) != oracle.run(program, oracle.rows(before), oracle.published())
            for grid, before in zip(outputs, inputs, strict=True)
        ):
            different.add(task_id)
    assert len(solving) >= 391
    assert different == set()


def test_mutants_match_oracle(training: dict[str, Task]) -> None:
    made = make_mutants(published().programs, training, PROGRAMS, seed=7)
    tasks = [training[mutant.task_id] for mutant in made]
    found = count_classes(
        (mutant.program, grid)
        for mutant, task in zip(made, tasks, strict=True)
        for grid in (inputs_of(task) if LONG else [smallest_input(task)])
    )
    assert found[""] > 0.95 * found.total()
    assert found[""] + found[oracle.BUDGET] > 0.995 * found.total()


def test_programs_fail_on_the_same_line_as_with_the_oracle(training: dict[str, Task]) -> None:
    rng = random.Random(11)
    experts = sorted(published().programs.items())
    made = [
        (with_random_names(program, rng), smallest_input(training[task_id]))
        for task_id, program in rng.choices(experts, k=PROGRAMS)
    ]
    failing = sum(program.run(grid, BUDGET).kind not in ("grid", "steps", "cells") for program, grid in made)
    assert failing > 0.5 * len(made)
    assert count_classes(made)[""] > 0.9 * len(made)


def test_outcomes_do_not_depend_on_threads_or_batch(training: dict[str, Task]) -> None:
    rng = random.Random(3)
    families = dict(list(published().programs.items())[:4])  # their mutants have many calls in common
    made = make_mutants(published().programs, training, 300, seed=3) + make_mutants(
        families, training, 150, seed=3
    )
    jobs = [(mutant.program, [p.input for p in training[mutant.task_id].train]) for mutant in made]
    jobs += [(with_random_names(program, rng), inputs) for program, inputs in jobs[:200]]

    def summary(batch: list[tuple[Program, list[Grid]]], threads: int, budget: Budget) -> list[Any]:
        outcomes = run_batch(
            [program for program, _ in batch], [inputs for _, inputs in batch], budget=budget, threads=threads
        )
        return [[(o.kind, o.line, o.message, o.steps, o.cells, o.grid) for o in row] for row in outcomes]

    for budget in (Budget(), Budget(steps=2_000, cells=1_000)):
        alone = [summary([job], 1, budget)[0] for job in jobs]
        assert {outcome[0] for row in alone for outcome in row} > {"grid", "type"}
        n = len(jobs)
        for size, threads in ((n, 1), (n, 2), (n, 5), (1, 2), (17, 2), (64, 2), (129, 3)):
            order = rng.sample(range(n), n)
            for start in range(0, n, size):
                batch = order[start : start + size]
                assert summary([jobs[k] for k in batch], threads, budget) == [alone[k] for k in batch]


def test_evaluate_does_not_depend_on_threads_or_sharing(training: dict[str, Task]) -> None:
    families = dict(list(published().programs.items())[:4])
    made = make_mutants(families, training, 150, seed=3)
    index_of = {task_id: index for index, task_id in enumerate(families)}
    pairs = [[(pair.input, pair.output) for pair in training[task_id].train] for task_id in families]
    programs, task_index = [mutant.program for mutant in made], [index_of[mutant.task_id] for mutant in made]
    for budget in (Budget(), Budget(steps=2_000, cells=1_000)):
        for early_exit in (False, True):
            evaluated = partial(evaluate, programs, task_index, pairs, early_exit=early_exit, budget=budget)
            alone = evaluated(threads=1, share=False)
            assert (alone["ran"] > 0).sum() > 0
            for threads in (1, 2):
                assert evaluated(threads=threads).tolist() == alone.tolist()


def test_exponential_growth_ends_at_the_cell_budget() -> None:
    lines = (
        ["x1 = upscale(I, TEN)"]
        + [f"x{k + 1} = vconcat(x{k}, x{k})" for k in range(1, 60)]
        + ["O = rot90(x60)"]
    )
    outcome = Program.parse("\n".join(lines)).run(Grid([[1]]), Budget(steps=200_000, cells=2_000))
    assert outcome.kind == "cells" and outcome.cells <= 2_000
