"""Programs per second that mutation makes, that are tried on tasks, and that evolution tries.

    python benchmarks/evolution.py        (the second half of `make bench`)

The oracle in plain Python runs some of the same programs on the same grids in the same run, so that
the ratios can be compared. It does not pay for making programs, and does not run programs that
exceed their budget. Prints a table and adds the figures to benchmarks/latest.json.
"""

from __future__ import annotations

import contextlib
import json
import random
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from codeit.config import BASELINE_STEPS
from codeit.data.experts import load_experts
from codeit.data.tasks import Task, load_tasks
from codeit.language import Budget, Grid, Program, count_solved, run_batch
from codeit.search.evolution import Evolution
from codeit.search.mutation import Mutant, make_mutants

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))
import oracle

MADE = 19_200
TRIED, TASKS = 8_000, 20
EVOLVED, EVOLUTIONS = 10_000, 10
SLICE = 400
"""Programs that the oracle runs, each on one grid."""
BUDGET = Budget(steps=BASELINE_STEPS)
_OVER_BUDGET = ("steps", "cells", "depth")


def seconds(work: Callable[[], Any]) -> float:
    """Return the wall-clock time of a call."""
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


def oracle_per_second(runs: Sequence[tuple[Program, Grid]]) -> float:
    """Return the oracle's runs per second, without runs that exceed the budget of the engine."""
    outcomes = run_batch([p for p, _ in runs], [[grid] for _, grid in runs], budget=BUDGET)
    within = [run for run, (outcome,) in zip(runs, outcomes, strict=True) if outcome.kind not in _OVER_BUDGET]
    dsl = oracle.published()

    def run() -> None:
        for program, grid in within:
            with contextlib.suppress(Exception):  # most programs fail on a grid of another task
                oracle.run(program, oracle.rows(grid), dsl)

    return len(within) / seconds(run)


def making(experts: dict[str, Program], tasks: dict[str, Task]) -> tuple[dict[str, float], list[Mutant]]:
    """Time mutation, distinct by behaviour and by text. The oracle runs mutants on their inputs."""
    made: list[Mutant] = []

    def make(**settings: Any) -> None:
        made[:] = make_mutants(experts, tasks, MADE, 0, **settings)

    rates = {}
    for name, settings in {
        "by_text": {"distinct": "text", "threads": 1},
        "by_text_two_threads": {"distinct": "text"},
        "by_behaviour_two_threads": {},
    }.items():
        rates[f"made_per_second_{name}"] = MADE / seconds(lambda settings=settings: make(**settings))
    rng = random.Random(0)
    some = rng.sample(made, SLICE)
    inputs = {
        task_id: [p.input for p in task.train] + [p.input for p in task.test]
        for task_id, task in tasks.items()
    }
    runs_per_second = oracle_per_second([(m.program, rng.choice(inputs[m.task_id])) for m in some])
    inputs_per_mutant = sum(len(inputs[mutant.task_id]) for mutant in made) / len(made)
    rates["made_per_second_by_oracle"] = runs_per_second / inputs_per_mutant
    return rates, list(made)


def trying(made: list[Mutant], tasks: list[Task]) -> dict[str, float]:
    """Time programs on tasks up to the first failure. The oracle runs first demonstrations."""
    rng = random.Random(0)
    programs = [mutant.program for mutant in made[:TRIED]]
    some = rng.sample(tasks, TASKS)
    pairs = [task.train for task in some]
    tried = TRIED * TASKS
    rates = {}
    for threads in (1, 2):
        spent = seconds(
            lambda threads=threads: count_solved(  # type: ignore[misc]
                programs, pairs, early_exit=True, budget=BUDGET, threads=threads
            )
        )
        rates[f"tried_per_second_{threads}_threads"] = tried / spent
    runs = [(rng.choice(programs), rng.choice(some).train[0].input) for _ in range(SLICE)]
    rates["tried_per_second_by_oracle"] = oracle_per_second(runs)
    return rates


def evolving(experts: dict[str, Program], tasks: list[Task]) -> dict[str, float]:
    """Time evolution on one core, with all its programs run on all demonstrations."""
    some = random.Random(0).sample(tasks, EVOLUTIONS)

    def evolve() -> None:
        for task in some:
            for _ in Evolution(task, list(experts.values()), 0).generations(EVOLVED):
                pass

    return {"evolved_per_second": EVOLVED * EVOLUTIONS / seconds(evolve)}


def main() -> None:
    training, evaluation = load_tasks("arc-agi-1/training"), load_tasks("arc-agi-1/evaluation")
    experts = load_experts()
    figures, made = making(experts, {task.id: task for task in training})
    figures |= trying(made, evaluation)
    figures |= evolving(experts, evaluation)
    for verb, ours in (("made", "made_per_second_by_text"), ("tried", "tried_per_second_1_threads")):
        figures[f"{verb}_vs_oracle"] = figures[ours] / figures[f"{verb}_per_second_by_oracle"]
    table = Table("figure", "value")
    for name, value in figures.items():
        table.add_row(name, f"{value:,.1f}")
    Console().print(table)
    latest = Path(__file__).with_name("latest.json")
    earlier = json.loads(latest.read_text(encoding="utf-8")) if latest.exists() else {}
    latest.write_text(json.dumps(earlier | figures, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
