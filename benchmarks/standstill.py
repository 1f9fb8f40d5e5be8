"""Shows what the samples of each iteration of a run add, and which experiences are drawn.

    python benchmarks/standstill.py runs/codeit

Columns of the table, for the samples of an iteration: the share that runs; the share whose text is
new for the task; the share whose behaviour on the task's demonstrations is new; different behaviours
per task; lines; tasks solved; and, among the samples on tasks whose demonstrations some sample solves,
the share that solves them. For all iterations so far: tasks solved by the samples of some iteration,
and tasks solved by their union, where ranking may displace a solution.

Below it: how many of the policy's experiences are on solved tasks and have a priority above zero,
and their share of the weight by which experiences are drawn.
"""

from __future__ import annotations

import argparse
from collections import Counter, defaultdict
from pathlib import Path

from rich.console import Console
from rich.table import Table

from codeit.data.tasks import load_tasks
from codeit.language import Budget, Program, run_batch
from codeit.storage.run_directory import RunDirectory

SAMPLES = """
    SELECT t.name, p.text, p.length, s.demonstrations_solved = t.demonstrations
    FROM sample AS s JOIN program AS p ON p.id = s.program_id JOIN task AS t ON t.id = s.task_id
    WHERE s.iteration = ? AND s.parses ORDER BY s.task_id, s.ordinal
"""
EXPERIENCES = """
    SELECT t.name, e.priority FROM experience AS e JOIN task AS t ON t.id = e.task_id
    WHERE e.source = 'policy' AND e.encodable AND e.replaced IS NULL
"""
COLUMNS = (
    *("iteration", "run", "new texts", "new behaviours", "behaviours a task", "lines", "solved", "hits"),
    *("ever solved", "cumulative"),
)


def show_samples(directory: RunDirectory, every: int) -> set[str]:
    """Print the table. Return the tasks that the samples of some iteration solved."""
    settings, database = directory.settings, directory.database
    tasks = {task.id: task for task in load_tasks(settings.data.test)}
    budget = Budget(settings.budget.max_steps, settings.budget.max_cells)
    last = max(database.metrics())
    texts: defaultdict[str, set[str]] = defaultdict(set)
    behaviours: defaultdict[str, set[object]] = defaultdict(set)
    ever: set[str] = set()
    table = Table(*COLUMNS)
    for iteration in range(1, last + 1):
        rows = database.connection.execute(SAMPLES, (iteration,)).fetchall()
        outcomes = run_batch(
            [Program.parse(text) for _, text, _, _ in rows],
            [[pair.input for pair in tasks[name].train] for name, _, _, _ in rows],
            budget=budget,
        )
        counts: Counter[str] = Counter()
        now: defaultdict[str, set[object]] = defaultdict(set)
        drawn: Counter[str] = Counter()
        hits: Counter[str] = Counter()
        for (name, text, length, solves), of_program in zip(rows, outcomes, strict=True):
            drawn[name] += 1
            hits[name] += solves
            counts["lines"] += length
            counts["new texts"] += text not in texts[name]
            texts[name].add(text)
            behaviour = tuple(outcome.grid for outcome in of_program)
            if None not in behaviour:
                counts["run"] += 1
                counts["new behaviours"] += behaviour not in behaviours[name]
                behaviours[name].add(behaviour)
                now[name].add(behaviour)
        solved = database.scores(iteration, "policy")
        ever.update(solved)
        if iteration % every == 0 or iteration in (1, last):
            table.add_row(
                str(iteration),
                *(f"{counts[name] / len(rows):.2f}" for name in ("run", "new texts", "new behaviours")),
                f"{sum(map(len, now.values())) / len(tasks):.1f}",
                f"{counts['lines'] / len(rows):.1f}",
                str(len(solved)),
                f"{hits.total() / max(1, sum(drawn[name] for name in +hits)):.2f}",
                str(len(ever)),
                str(len(database.scores(iteration, "cumulative"))),
            )
    Console().print(table)
    return ever


def show_weights(directory: RunDirectory, solved: set[str]) -> None:
    """Print by what weight experiences are drawn at the end of the run."""
    number: Counter[tuple[bool, bool]] = Counter()
    weight: defaultdict[tuple[bool, bool], float] = defaultdict(float)
    for name, priority in directory.database.connection.execute(EXPERIENCES):
        kind = name in solved, priority > 0
        number[kind] += 1
        weight[kind] += max(priority, directory.settings.replay.priority_floor)
    for kind, n in sorted(number.items()):
        on, above = ("solved" if kind[0] else "other"), ("above" if kind[1] else "of")
        share = weight[kind] / sum(weight.values())
        print(f"experiences on {on} tasks, priority {above} zero: {n}, {share:.1%} of the weight")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("run", type=Path)
    parser.add_argument("--every", type=int, default=5, help="iterations from row to row")
    arguments = parser.parse_args()
    with RunDirectory(arguments.run) as directory:
        show_weights(directory, show_samples(directory, arguments.every))


if __name__ == "__main__":
    main()
