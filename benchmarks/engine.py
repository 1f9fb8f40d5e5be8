"""Speed of the engine and of the oracle in plain Python, measured in the same run.

    python benchmarks/engine.py        (or `make bench`)

The goals are 100 times the speed of the oracle on one core (in total, in total without the runs
that take the oracle long, and by the geometric mean), 1.8 times with a second core, and 3 times by
sharing work among 48 mutants of one parent. Figures are ratios of times taken side by side. With
one core it is processor time, so that other work on the machine matters little; with two it is
wall-clock time. Prints tables and adds the figures to benchmarks/latest.json.
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

from codeit.data.experts import load_experts, published
from codeit.data.tasks import Task, load_tasks
from codeit.language import Budget, Grid, Program, count_solved, evaluate, run_batch
from codeit.search.mutation import make_mutants

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))
import oracle

SLOW = 0.05
"""Runs that take the oracle longer, in seconds, are left out of `total_without_slow`."""
MUTANTS = 2000
FAMILY = 48
FAMILIES = 100


def seconds(
    work: Callable[[], Any],
    least: float = 0.0,
    times: int = 1,
    clock: Callable[[], float] = time.thread_time,
) -> float:
    """Return the shortest time of `times` calls or more, which take at least `least` seconds."""
    best, spent, done = math.inf, 0.0, 0
    while spent < least or done < times:
        started = clock()
        work()
        taken = clock() - started
        best, spent, done = min(best, taken), spent + taken, done + 1
    return best


def engine_seconds(program: Program, grid: Grid) -> float:
    """Return the time of one run: the best of five means over many runs in a row.

    The number of runs is doubled until they take long enough for the clock. The first run alone
    would suggest too few, as it finds the caches empty.
    """
    compiled, repeats = program._compiled, 1
    while compiled.run_seconds(grid, Budget(), repeats) * repeats < 0.0002:
        repeats *= 2
    return min(compiled.run_seconds(grid, Budget(), repeats) for _ in range(5))


def oracle_seconds(program: Program, grid: Grid) -> float:
    """Return the time of one run: the best of three, or of one if it is slow."""
    rows, dsl = oracle.rows(grid), oracle.published()
    once = seconds(lambda: oracle.run(program, rows, dsl))
    return once if once > SLOW else min(once, seconds(lambda: oracle.run(program, rows, dsl), times=2))


def experts_one_by_one(tasks: dict[str, Task]) -> dict[str, float]:
    """Time each published expert on the demonstration inputs of its task, engine and oracle."""
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


def compared(name: str, pair: Sequence[float]) -> dict[str, float]:
    """Return the figures of a pair of times: the oracle's and the engine's, in seconds."""
    by_oracle, by_engine = pair
    return {
        f"oracle_seconds_{name}": by_oracle,
        f"engine_seconds_{name}": by_engine,
        f"engine_vs_oracle_{name}": by_oracle / by_engine,
    }


def batches(tasks: dict[str, Task]) -> dict[str, float]:
    """Time batches of mutants on their tasks, with one thread, two, and the oracle."""
    experts = load_experts()
    started = time.perf_counter()
    made = make_mutants(experts, tasks, MUTANTS, 0)
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
    pairs = [[(p.input, p.output) for p in task.train] for task in list(tasks.values())[:20]]
    counting = partial(count_solved, programs, pairs, threads=1)
    counted = {early: seconds(partial(counting, early_exit=early)) for early in (False, True)}
    return {
        "mutants_per_second": MUTANTS / making,
        "engine_batch_runs_per_second": runs / one,
        "engine_batch_runs_per_second_two_threads": runs / two,
        **compared("batch", (plain, alone)),
        "two_threads": one / two,
        "early_exit": counted[False] / counted[True],
    }


def families(tasks: dict[str, Task]) -> dict[str, float]:
    """Time 48 mutants of one expert on its task's demonstrations, with and without sharing work.

    `shared_work` is the gain for `evaluate`, which searches use. `shared_outcomes` is the gain for
    `run_batch`, which also makes Python objects of the grids. These cost the same either way.
    """
    experts = list(load_experts().items())
    evaluated, run = [], []
    for task_id, expert in experts[:: len(experts) // FAMILIES]:
        made = make_mutants({task_id: expert}, tasks, FAMILY, 0, distinct="text")
        family = [mutant.program for mutant in made]
        pairs = [(pair.input, pair.output) for pair in tasks[task_id].train]
        evaluating = partial(evaluate, family, [0] * FAMILY, [pairs], threads=1)
        running = partial(run_batch, family, [[grid for grid, _ in pairs]] * FAMILY, threads=1)
        for times, work in ((evaluated, evaluating), (run, running)):
            times.append(tuple(seconds(partial(work, share=share), times=5) for share in (False, True)))
    return {
        "families": len(evaluated),
        "shared_work": sum(a for a, _ in evaluated) / sum(b for _, b in evaluated),
        "shared_work_geomean": math.exp(statistics.fmean(math.log(a / b) for a, b in evaluated)),
        "shared_outcomes": sum(a for a, _ in run) / sum(b for _, b in run),
    }


def primitives(tasks: dict[str, Task]) -> list[tuple[str, float, float, int]]:
    """Return (name, mean share of a run's time, microseconds per line, lines) by primitive."""
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
    comparison = Table("one core", "oracle, s", "engine, s", "ratio")
    table = Table("figure", "value")
    for name, value in figures.items():
        _, _, part = name.partition("_vs_oracle_")
        if part:
            both = (f"{figures[f'{who}_seconds_{part}']:.3g}" for who in ("oracle", "engine"))
            comparison.add_row(part.replace("_", " "), *both, f"{value:.1f}")
        elif "_seconds_" not in name:
            table.add_row(name, f"{value:,.3g}" if value < 1000 else f"{value:,.0f}")
    costly = Table("lines that call", "share of a run's time", "µs per line", "lines")
    for name, share, mean, lines in primitives(tasks)[:16]:
        costly.add_row(name, f"{share:.1%}", f"{mean:.2f}", str(lines))
    Console().print(comparison, table, costly)
    latest = Path(__file__).with_name("latest.json")
    earlier = json.loads(latest.read_text(encoding="utf-8")) if latest.exists() else {}
    latest.write_text(json.dumps(earlier | figures, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
