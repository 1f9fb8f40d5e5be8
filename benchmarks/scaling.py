"""Simulate searches and meta-iterations on 1 to 10,000 cores, from measured costs.

    python benchmarks/scaling.py                                # the tables of docs/scaling.md
    python benchmarks/scaling.py --draw docs/scaling.svg        # and its chart
    python benchmarks/scaling.py --check 2000                   # and real runs; some minutes
    python benchmarks/scaling.py --costs runs/scaling.json      # measure here; six minutes of a core

Costs are those of benchmarks/scaling.json, unless `--costs` names another file. If that does not
exist, the costs are measured and written to it: the processor seconds of a search of every tenth
evaluation task with up to 200,000 programs, and the seconds that the *head* spends, the one process
that hands out tasks and writes results. The phases of a meta-iteration are those of results/laptop.

The simulated search has 400 tasks, drawn from those measured with `--seed`. A core takes the next
part when it is free. Efficiency is work / (cores x seconds), and the tail is the share of the time
in which no part is left to hand out.

`--check N` searches the measured tasks with N programs on 1 and on 2 cores, and simulates these runs
in two ways. The first uses the seconds of the same run, which checks what the simulator adds: waiting,
the head, and starts of processes. The second uses the processor seconds of the run on 1 core, at the
mean speed of the other run, which also checks whether costs stay the same.
"""

from __future__ import annotations

import argparse
import csv
import json
import math
import statistics
import subprocess
import sys
import tempfile
import time
from collections import deque
from collections.abc import Generator, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import simpy
from rich.console import Console
from rich.table import Table

from codeit.config import RunSettings, SolveSettings
from codeit.data.experts import load_experts
from codeit.data.tasks import Task, by_size, load_tasks
from codeit.experiments.search_run import run_search
from codeit.parallel import map_unordered
from codeit.policy.encoding import CompactEncoding, NotEncodableError
from codeit.policy.training import TrainingExample, micro_batches
from codeit.report.svg import Axis, Series, line_chart_file
from codeit.storage.files import write_atomically
from codeit.storage.search_log import Part, SearchLog, SearchLogReader

CORES = (1, 2, 10, 100, 1_000, 10_000)
TASKS, SEEDS = 400, (5, 50)
BATCH = 100
EVERY, PROGRAMS = 10, 200_000
COSTS = Path(__file__).with_suffix(".json")
LAPTOP = Path(__file__).parents[1] / "results" / "laptop" / "metrics.csv"
LAPTOP_CORES = 2
SAMPLED_TOGETHER = 16
"""Tasks whose samples are a part."""
console = Console(width=110)


class Cost(NamedTuple):
    """Processor seconds of a task's search."""

    first: float
    """Enumeration and the first population."""
    others: float
    """Later populations, which begin only if the first finds no solution."""
    cells: int

    @property
    def total(self) -> float:
        return self.first + self.others


class Head(NamedTuple):
    """Seconds that the head spends, and those that a worker takes to start."""

    hand_out: float
    """On a part: to send it and to receive its result."""
    flush: float
    """On a write: to wait for the disk."""
    write: float
    """On each result that is written."""
    start: float
    batch: int = 1
    """Results that are written at once, if so many are there."""


class Outcome(NamedTuple):
    """What a simulation gives, in seconds."""

    seconds: float
    tail: float
    """From the start of the last part to the end."""
    busy: float
    """In which the head works."""


def simulate(parts: Sequence[float], cores: int, head: Head) -> Outcome:
    """Simulate parts, given by the seconds of each and in the order in which they are handed out."""
    environment = simpy.Environment()
    turn, results = simpy.Resource(environment), simpy.Store(environment)
    waiting = deque(parts)
    last_start = busy = 0.0

    def use_head(seconds: float) -> Generator[simpy.Event]:
        nonlocal busy
        with turn.request() as request:
            yield request
            yield environment.timeout(seconds)
            busy += seconds

    def work() -> Generator[simpy.Event]:
        nonlocal last_start
        yield environment.timeout(head.start)
        while waiting:
            part = waiting.popleft()
            yield from use_head(head.hand_out)
            last_start = environment.now
            yield environment.timeout(part)
            results.put(part)

    def write() -> Generator[simpy.Event]:
        left = len(parts)
        while left:
            yield results.get()
            more = min(len(results.items), head.batch - 1)
            for _ in range(more):
                yield results.get()
            yield from use_head(head.flush + (1 + more) * head.write)
            left -= 1 + more

    for _ in range(min(cores, len(parts))):
        environment.process(work())
    environment.run(environment.process(write()))
    return Outcome(environment.now, environment.now - last_start, busy)


def search(directory: Path, tasks: Sequence[Task], programs: int, workers: int = 0) -> list[Part]:
    """Search tasks, except those that are done in the directory; return the parts in order."""
    with SearchLog(directory, {"programs": programs}) as log:
        run_search(log, list(load_experts().values()), tasks, programs, 0, workers=workers)
        return list(log.parts().values())


def costs_of(tasks: Sequence[Task], parts: Sequence[Part]) -> list[Cost]:
    """Divide the seconds of each task among its populations, by their programs."""
    patience = SolveSettings().search.restart_after
    costs = []
    for task, part in zip(tasks, parts, strict=True):
        share = max(0, part.programs - patience) / max(part.programs, 1)
        cells = sum(len(bytes(grid)) for pair in task.train for grid in pair)
        first, others = part.core_seconds * (1 - share), part.core_seconds * share
        costs.append(Cost(round(first, 3), round(others, 3), cells))
    return costs


def measure_head(directory: Path, tasks: Sequence[Task]) -> Head:
    """Return what the head spends on the tasks of a search."""
    echoed = [[task] for task in tasks for _ in range(10)]
    began = time.process_time()
    deque(map_unordered(by_size, echoed, 2), maxlen=0)
    hand_out = (time.process_time() - began) / len(echoed)
    with SearchLogReader(directory) as log:
        parts, found = log.parts(), log.candidates()
    medians = []
    for synchronous in ("FULL", "OFF"):
        with tempfile.TemporaryDirectory(dir=directory.parent) as copy, SearchLog(copy, {}) as new:
            new.connection.execute(f"PRAGMA synchronous = {synchronous}")
            seconds = []
            for number, part in parts.items():
                of_task = [one for one in found if one.task_id == tasks[number].id]
                began = time.perf_counter()
                new.commit(number, part, of_task)
                seconds.append(time.perf_counter() - began)
            medians.append(statistics.median(seconds))
    code = "import time, codeit.experiments.search_run; print(time.process_time())"
    start = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True, text=True).stdout
    costs = hand_out, medians[0] - medians[1], medians[1], float(start)
    return Head(*(round(seconds, 6) for seconds in costs))


def check(tasks: Sequence[Task], programs: int, head: Head) -> None:
    """Compare simulations with real runs on 1 and 2 cores."""
    table = figures(f"{len(tasks)} tasks, {programs:,} programs", "cores", "real", "simulated", "off by")
    table.add_column("from the other run", justify="right")
    table.add_column("off by", justify="right")
    runs = {}
    for workers in (1, 2):
        with tempfile.TemporaryDirectory() as directory:
            began = time.perf_counter()
            parts = search(Path(directory) / "search", tasks, programs, workers)
            runs[workers] = parts, time.perf_counter() - began
    alone = [part.core_seconds for part in runs[1][0]]
    for workers, (parts, seconds) in runs.items():
        added = head if workers > 1 else head._replace(hand_out=0, start=0)  # it is its own worker
        of_same = simulate([part.seconds for part in parts], workers, added).seconds
        # Other programs take a part of the cores.
        slowness = sum(part.seconds for part in parts) / sum(part.core_seconds for part in parts)
        of_other = simulate([slowness * one for one in alone], workers, added).seconds
        cells = [f"{of_same:.1f} s", f"{of_same / seconds - 1:+.1%}", f"{of_other:.1f} s"]
        table.add_row(str(workers), f"{seconds:.1f} s", *cells, f"{of_other / seconds - 1:+.1%}")
    console.print(table)


def rank_correlation(costs: Sequence[Cost]) -> float:
    """Return how well a task's cells tell its cost: 1 if its rank by cells is that by seconds."""
    cells, seconds = (
        np.argsort(np.argsort(of_all)) for of_all in ([c.cells for c in costs], [c.total for c in costs])
    )
    return float(np.corrcoef(cells, seconds)[0, 1])


def draw_tasks(measured: Sequence[Cost], n: int, seed: int) -> list[Cost]:
    return [measured[k] for k in np.random.default_rng(seed).integers(len(measured), size=n)]


def longest_first(seconds: Sequence[float]) -> list[float]:
    return sorted(seconds, reverse=True)


def simulate_searches(measured: Sequence[Cost], head: Head, seed: int) -> list[Series]:
    """Print a table for each way to divide the work; return efficiencies by number of cores."""
    tasks = draw_tasks(measured, TASKS, seed)
    ways: dict[str, tuple[Head, list[float]]] = {
        "tasks, by id": (head, [cost.total for cost in tasks]),
        "tasks, largest grids first": (
            head,
            [cost.total for cost in sorted(tasks, key=lambda one: -one.cells)],
        ),
        "tasks, longest first": (head, longest_first([cost.total for cost in tasks])),
    }
    for seeds in (1, *SEEDS):
        drawn = draw_tasks(measured, seeds * TASKS, seed)
        parts = longest_first([part for cost in drawn for part in (cost.first, cost.others) if part])
        ways[f"populations of {seeds} seed{'s' * (seeds > 1)}"] = head, parts
    ways[f"the same, {BATCH} results a write"] = head._replace(batch=BATCH), parts
    curves: list[Series] = []
    for way, (its_head, parts) in ways.items():
        work = sum(parts)
        title = f"Search, {way}: {len(parts):,} parts, {work:,.0f} s of work, longest {max(parts):.1f} s"
        table = figures(title, "cores", "seconds", "efficiency", "tail", "head busy")
        points: list[tuple[float, float]] = []
        for cores in CORES:
            found = simulate(parts, cores, its_head)
            points.append((cores, work / (cores * found.seconds)))
            shares = [f"{share / found.seconds:.1%}" for share in (work / cores, found.tail, found.busy)]
            table.add_row(f"{cores:,}", f"{found.seconds:,.1f}", *shares)
        console.print(table)
        curves.append(Series(way, points, len(curves)))
    return curves


def micro_batches_per_step(seed: int) -> float:
    """Return the mean number of micro-batches of a step of `laptop`, with experts as examples."""
    settings, experts = RunSettings.load(Path("laptop")), load_experts()
    encoding, examples = CompactEncoding(settings.policy), []
    for task in load_tasks("arc-agi-1/training"):
        try:
            target = encoding.encode_program(experts[task.id])
        except NotEncodableError:
            continue
        examples.append(TrainingExample(encoding.encode_task(task.train), target))
    rng, counts, training = np.random.default_rng(seed), [], settings.training
    for _ in range(10):
        batch = [examples[k] for k in rng.integers(len(examples), size=training.batch_size)]
        counts.append(len(micro_batches(batch, training.micro_batch_tokens)))
    return statistics.mean(counts)


def simulate_iterations(measured: Sequence[Cost], head: Head, seed: int) -> list[tuple[float, float]]:
    """Print a table of a meta-iteration of `laptop`; return efficiencies by number of cores."""
    with open(LAPTOP, encoding="utf-8") as file:
        rows = list(csv.DictReader(file))[1:]  # iteration 0 does not train
    train, sample, searching, fitted = (
        statistics.mean(float(row[name]) for row in rows)
        for name in ("seconds_train", "seconds_sample", "seconds_search", "cumulative_all_demonstrations")
    )
    micros = round(micro_batches_per_step(seed))
    of_micro = train / math.ceil(micros / LAPTOP_CORES)  # of all steps together
    samples = math.ceil(TASKS / SAMPLED_TOGETHER)
    drawn = draw_tasks(measured, TASKS - round(fitted), seed)
    scale = LAPTOP_CORES * searching / sum(cost.first for cost in drawn)
    # The first populations: 6,000 programs are fewer than a population has before it is replaced.
    by_id = [scale * cost.first for cost in drawn]
    largest_first = [scale * cost.first for cost in sorted(drawn, key=lambda one: -one.cells)]
    work = micros * of_micro + LAPTOP_CORES * (sample + searching)
    title = f"Iteration of laptop: {work:,.0f} s of work, {micros} micro-batches a step"
    table = figures(title, "cores", "seconds", "efficiency", "train", "sample", "search", "largest first")
    curve: list[tuple[float, float]] = []
    running = head._replace(start=0)  # workers stay from iteration to iteration
    for cores in CORES:
        phases = [of_micro * math.ceil(micros / min(cores, micros))]
        phases.append(simulate([LAPTOP_CORES * sample / samples] * samples, cores, running).seconds)
        phases.append(simulate(by_id, cores, running).seconds)
        efficiency = work / (cores * sum(phases))
        cells = [f"{seconds:,.1f}" for seconds in (*phases, simulate(largest_first, cores, running).seconds)]
        table.add_row(f"{cores:,}", f"{sum(phases):,.1f}", f"{efficiency:.1%}", *cells)
        curve.append((cores, efficiency))
    console.print(table)
    return curve


def figures(title: str, *columns: str) -> Table:
    table = Table(title=title, title_justify="left")
    for column in columns:
        table.add_column(column, justify="right")
    return table


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--costs", type=Path, default=COSTS)
    parser.add_argument("--check", type=int, default=0)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--draw", type=Path)
    options = parser.parse_args()

    tasks = load_tasks("arc-agi-1/evaluation")[::EVERY]
    if not options.costs.exists():
        directory = options.costs.with_suffix(".search")
        costs = [cost._asdict() for cost in costs_of(tasks, search(directory, tasks, PROGRAMS))]
        written = {"tasks": costs, "head": measure_head(directory, tasks)._asdict()}
        write_atomically(options.costs, json.dumps(written, indent=1) + "\n")
    read = json.loads(options.costs.read_text(encoding="utf-8"))
    measured, head = [Cost(**cost) for cost in read["tasks"]], Head(**read["head"])
    seconds = sorted(cost.total for cost in measured)
    table = figures(f"Costs of {len(measured)} tasks, up to {PROGRAMS:,} programs each", "what", "cost")
    deciles = statistics.quantiles(seconds, n=10)
    table.add_row("a task: mean", f"{statistics.mean(seconds):.2f} s")
    middle = statistics.median(seconds)
    table.add_row("median, 9th decile, longest", f"{middle:.2f}, {deciles[8]:.2f}, {seconds[-1]:.2f} s")
    table.add_row("rank correlation with the task's cells", f"{rank_correlation(measured):.2f}")
    table.add_row("start of a worker", f"{head.start:.2f} s")
    table.add_row("the head: send a task, receive its result", f"{1000 * head.hand_out:.2f} ms")
    table.add_row("the head: write a result", f"{1000 * head.write:.2f} ms")
    table.add_row("the head: wait for the disk", f"{1000 * head.flush:.2f} ms")
    console.print(table)
    if options.check:
        check(tasks, options.check, head)
    curves = simulate_searches(measured, head, options.seed)
    iterations = simulate_iterations(measured, head, options.seed)
    curves.append(Series("iteration of laptop", iterations, len(curves), dashed=True))
    if options.draw:
        title, efficiency = "Efficiency against cores (simulated)", Axis("efficiency", percent=True)
        chart = line_chart_file(title, curves, Axis("cores", log=True), efficiency)
        write_atomically(options.draw, chart)


if __name__ == "__main__":  # worker processes import this module too
    main()
