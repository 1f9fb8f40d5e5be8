"""The engine beside the oracle in plain Python, in one run: what the speed claims rest on.

    python benchmarks/engine.py        (or `make bench`)

Goal: at least 100 times the oracle on one core, in total and by the geometric mean. Figures are ratios of
times taken side by side, pair by pair; the machine may be noisy. Prints a table and writes
benchmarks/latest.json.
"""

from __future__ import annotations

import json
import math
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from codeit.evolution import mutants
from codeit.experts import load_experts, published
from codeit.language import Grid, Program, run_batch
from codeit.tasks import load

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))
import oracle

SLOW = 0.05
"""Seconds: the total is also given without the runs that take the oracle longer."""
MUTANTS = 2000


def seconds(work: Callable[[], Any], least: float = 0.0) -> float:
    """The time of one call: the best of as many as take `least` seconds in all, at least one."""
    best, spent = math.inf, 0.0
    while spent < least or best == math.inf:
        started = time.perf_counter()
        work()
        taken = time.perf_counter() - started
        best, spent = min(best, taken), spent + taken
    return best


def experts_one_by_one() -> dict[str, float]:
    """Each published expert on each demonstration input of its task: the oracle and then the engine."""
    dsl = oracle.published()
    tasks = {task.id: task for task in load("arc-agi-1/training")}
    times: list[tuple[float, float]] = []
    for task_id, program in published().programs.items():
        for pair in tasks[task_id].train:
            grid, rows = pair.input, oracle.rows(pair.input)

            def by_oracle(program: Program = program, rows: Any = rows) -> None:
                oracle.run(program, rows, dsl)

            def by_engine(program: Program = program, grid: Grid = grid) -> None:
                program.run(grid)

            times.append((seconds(by_oracle), seconds(by_engine, least=0.0005)))
    plain, ours = (sum(column) for column in zip(*times, strict=True))
    quick = [(a, b) for a, b in times if a <= SLOW]
    return {
        "runs": len(times),
        "oracle_seconds": plain,
        "engine_seconds": ours,
        "engine_vs_oracle_total": plain / ours,
        "engine_vs_oracle_total_without_slow": sum(a for a, _ in quick) / sum(b for _, b in quick),
        "engine_vs_oracle_geomean": math.exp(sum(math.log(a / b) for a, b in times) / len(times)),
    }


def batches() -> dict[str, float]:
    """Making mutants, and running them in batch on their tasks' inputs: one thread, two, the oracle."""
    dsl = oracle.published()
    tasks = {task.id: task for task in load("arc-agi-1/training")}
    experts = load_experts()
    made = mutants(experts, tasks, MUTANTS, 0)
    making = seconds(lambda: mutants(experts, tasks, MUTANTS, 0))
    programs = [mutant.program for mutant in made]
    inputs = [[pair.input for pair in tasks[mutant.task_id].train] for mutant in made]
    runs = sum(map(len, inputs))
    one = seconds(lambda: run_batch(programs, inputs, threads=1), least=1.0)
    two = seconds(lambda: run_batch(programs, inputs, threads=2), least=1.0)
    some = slice(0, None, 10)

    def by_oracle() -> None:
        for program, grids in zip(programs[some], inputs[some], strict=True):
            for grid in grids:
                oracle.run(program, oracle.rows(grid), dsl)

    def by_engine() -> None:
        run_batch(programs[some], inputs[some], threads=1)

    return {
        "mutants_per_second": MUTANTS / making,
        "engine_batch_runs_per_second": runs / one,
        "engine_batch_vs_oracle": seconds(by_oracle) / seconds(by_engine, least=0.2),
        "two_threads": one / two,
    }


def main() -> None:
    figures = experts_one_by_one() | batches()
    table = Table("figure", "value")
    for name, value in figures.items():
        table.add_row(name, f"{value:,.3g}" if value < 1000 else f"{value:,.0f}")
    Console().print(table)
    Path(__file__).with_name("latest.json").write_text(json.dumps(figures, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
