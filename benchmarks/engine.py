"""The engine beside the oracle in plain Python, in one run: what the speed claims rest on.

    python benchmarks/engine.py        (or `make bench`)

Goals: 100 times the oracle on one core, in total, in total without the runs that take the oracle long, and by
the geometric mean; 1.8 times by a second core; 3 times by sharing work among 48 mutants of one parent.
Figures are ratios of times taken side by side: of the processor where one core works, so that what else the
machine does counts little, and by the clock where two do. Prints tables and adds the figures to
benchmarks/latest.json.
"""

from __future__ import annotations

import json
import math
import statistics
import sys
import time
from collections import defaultdict
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from codeit.search.mutation import mutants
from codeit.data.experts import load_experts, published
from codeit.language import Budget, Grid, Program, count_solved, evaluate, run_batch
from codeit.data.tasks import Task, load_tasks

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))
import oracle

SLOW = 0.05
"""Seconds: the total is also given without the runs that take the oracle longer."""
MUTANTS = 2000
FAMILY = 48
FAMILIES = 100


def seconds(
    work: Callable[[], Any],
    least: float = 0.0,
    times: int = 1,
    clock: Callable[[], float] = time.thread_time,
) -> float:
    """The time of one call: the best of as many as take `least` seconds in all, at least `times`."""
    best, spent, done = math.inf, 0.0, 0
    while spent < least or done < times:
        started = clock()
        work()
        taken = clock() - started
        best, spent, done = min(best, taken), spent + taken, done + 1
    return best


def engine_seconds(program: Program, grid: Grid) -> float:
    """One run: the mean of so many in a row that the clock itself counts for nothing; of five means the best.

    How many is found by trial: a first run, which finds nothing in the caches, says too few.
    """
    compiled, repeats = program._compiled, 1
    while compiled.run_seconds(grid, Budget(), repeats) * repeats < 0.0002:
        repeats *= 2
    return min(compiled.run_seconds(grid, Budget(), repeats) for _ in range(5))


def oracle_seconds(program: Program, grid: Grid) -> float:
    """The best of three runs, or one that is slow."""
    rows, dsl = oracle.rows(grid), oracle.published()
    once = seconds(lambda: oracle.run(program, rows, dsl))
    return once if once > SLOW else min(once, seconds(lambda: oracle.run(program, rows, dsl), times=2))


def experts_one_by_one(tasks: dict[str, Task]) -> dict[str, float]:
    """Each published expert on each demonstration input of its task: the oracle and then the engine."""
    times, crossing = [], []
    for task_id, program in published().programs.items():
        for pair in tasks[task_id].train:
            times.append((oracle_seconds(program, pair.input), engine_seconds(program, pair.input)))
    identity, grid = Program.parse("O = identity(I)"), Grid([[0]])
    for _ in range(20):
        call = seconds(lambda: identity.run(grid), times=200, clock=time.perf_counter)
        crossing.append(call - engine_seconds(identity, grid))
    quick = [run for run in times if run[0] <= SLOW]
    return {
        "runs": len(times),
        **compared("total", [sum(column) for column in zip(*times, strict=True)]),
        **compared("total_without_slow", [sum(column) for column in zip(*quick, strict=True)]),
        **compared("geomean", [statistics.geometric_mean(column) for column in zip(*times, strict=True)]),
        "median_run_microseconds": statistics.median(b for _, b in times) * 1e6,
        "binding_crossing_microseconds": statistics.median(crossing) * 1e6,
    }


def compared(name: str, seconds: Sequence[float]) -> dict[str, float]:
    """Figures of the oracle's seconds and the engine's, side by side."""
    plain, ours = seconds
    return {
        f"oracle_seconds_{name}": plain,
        f"engine_seconds_{name}": ours,
        f"engine_vs_oracle_{name}": plain / ours,
    }


def batches(tasks: dict[str, Task]) -> dict[str, float]:
    """Mutants in batch on their tasks' inputs: one thread, two, the oracle; stopping at the first failure."""
    experts = load_experts()
    started = time.perf_counter()
    made = mutants(experts, tasks, MUTANTS, 0)
    making = time.perf_counter() - started
    programs = [mutant.program for mutant in made]
    inputs = [[pair.input for pair in tasks[mutant.task_id].train] for mutant in made]
    runs = sum(map(len, inputs))
    by_clock = partial(seconds, least=1.0, clock=time.perf_counter)
    one = by_clock(lambda: run_batch(programs, inputs, threads=1))
    two = by_clock(lambda: run_batch(programs, inputs, threads=2))
    some = slice(0, None, 10)

    def by_oracle() -> None:
        for program, grids in zip(programs[some], inputs[some], strict=True):
            for grid in grids:
                oracle.run(program, oracle.rows(grid), oracle.published())

    alone = seconds(lambda: run_batch(programs[some], inputs[some], threads=1, share=False), least=0.2)
    plain = seconds(by_oracle)
    goals = [[(p.input, p.output) for p in task.train] for task in list(tasks.values())[:20]]
    trial = partial(count_solved, programs, goals, threads=1)
    tried = {early: seconds(partial(trial, early_exit=early)) for early in (False, True)}
    return {
        "mutants_per_second": MUTANTS / making,
        "engine_batch_runs_per_second": runs / one,
        "engine_batch_runs_per_second_two_threads": runs / two,
        **compared("batch", (plain, alone)),
        "two_threads": one / two,
        "early_exit": tried[False] / tried[True],
    }


def families(tasks: dict[str, Task]) -> dict[str, float]:
    """Families of 48 mutants of one expert on its task's demonstrations, sharing work and not.

    `shared_work` is of judging them, as evolution and the baseline do; `shared_outcomes` of outcomes with
    their grids as Python's objects, which cost the same either way.
    """
    experts = list(load_experts().items())
    judged, run = [], []
    for task_id, expert in experts[:: len(experts) // FAMILIES]:
        made = mutants({task_id: expert}, tasks, FAMILY, 0, distinct="text")
        family = [mutant.program for mutant in made]
        pairs = [(pair.input, pair.output) for pair in tasks[task_id].train]
        judging = partial(evaluate, family, [0] * FAMILY, [pairs], threads=1)
        running = partial(run_batch, family, [[grid for grid, _ in pairs]] * FAMILY, threads=1)
        for times, work in ((judged, judging), (run, running)):
            times.append(tuple(seconds(partial(work, share=share), times=5) for share in (False, True)))
    return {
        "families": len(judged),
        "shared_work": sum(a for a, _ in judged) / sum(b for _, b in judged),
        "shared_work_geomean": math.exp(statistics.fmean(math.log(a / b) for a, b in judged)),
        "shared_outcomes": sum(a for a, _ in run) / sum(b for _, b in run),
    }


def primitives(tasks: dict[str, Task]) -> list[tuple[str, float, float, int]]:
    """By primitive: its share of the time of a run (the mean over runs), microseconds a line, lines."""
    shares: dict[str, float] = defaultdict(float)
    spent: dict[str, list[float]] = defaultdict(list)
    runs = 0
    for task_id, program in published().programs.items():
        for pair in tasks[task_id].train:
            taken = program._compiled.line_seconds(pair.input, Budget(), 20)
            runs += 1
            for line, took in zip(program.lines, taken, strict=True):
                name = line.function if line.function[0] != "x" else "a variable"
                shares[name] += took / sum(taken)
                spent[name].append(took)
    rows = [(n, s / runs, statistics.fmean(spent[n]) * 1e6, len(spent[n])) for n, s in shares.items()]
    return sorted(rows, key=lambda row: -row[1])


def main() -> None:
    tasks = {task.id: task for task in load_tasks("arc-agi-1/training")}
    figures = experts_one_by_one(tasks) | batches(tasks) | families(tasks)
    beside = Table("one core", "oracle, s", "engine, s", "ratio")
    table = Table("figure", "value")
    for name, value in figures.items():
        _, _, part = name.partition("_vs_oracle_")
        if part:
            ours = (f"{figures[f'{who}_seconds_{part}']:.3g}" for who in ("oracle", "engine"))
            beside.add_row(part.replace("_", " "), *ours, f"{value:.1f}")
        elif "_seconds_" not in name:
            table.add_row(name, f"{value:,.3g}" if value < 1000 else f"{value:,.0f}")
    costly = Table("lines that call", "share of a run's time", "µs a line", "lines")
    for name, share, mean, lines in primitives(tasks)[:16]:
        costly.add_row(name, f"{share:.1%}", f"{mean:.2f}", str(lines))
    Console().print(beside, table, costly)
    latest = Path(__file__).with_name("latest.json")
    kept = json.loads(latest.read_text(encoding="utf-8")) if latest.exists() else {}
    latest.write_text(json.dumps(kept | figures, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
