"""Small tasks for tests of searches, solvable and unsolvable, and a few programs to start from."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np

from codeit.config import EnumerationConfig, EvolutionConfig, SearchSettings
from codeit.data.tasks import Pair, Task, TestPair, load_tasks
from codeit.experiments.search_run import run_search
from codeit.language import Grid, Program
from codeit.parallel import Workforce
from codeit.storage.search_log import SearchLog

STARTERS = [
    Program.parse(text)
    for text in (
        "O = vmirror(I)",
        "x1 = vmirror(I)\nO = hconcat(I, x1)",
        "x1 = hmirror(I)\nO = vconcat(I, x1)",
        "x1 = mostcolor(I)\nO = replace(I, x1, FIVE)",
        "x1 = objects(I, T, F, T)\nx2 = argmax(x1, size)\nO = subgrid(x2, I)",
    )
]
SMALL = EvolutionConfig(population=40, offspring=128)
SMALL_SEARCH = SearchSettings(enumeration=EnumerationConfig(expressions=0), evolution=SMALL)


def small_inputs() -> list[Grid]:
    """Return five small inputs of real tasks."""
    grids = [pair.input for task in load_tasks("arc-agi-1/training")[:40] for pair in task.train]
    return [grid for grid in grids if max(grid.shape) <= 10][:5]


def solvable_tasks() -> list[Task]:
    """Return tasks that short programs solve, but no starter, with inputs of real tasks."""
    tasks = []
    for number, text in enumerate(
        (
            "x1 = rot90(I)\nO = vmirror(x1)",
            "x1 = vmirror(I)\nx2 = hconcat(x1, I)\nO = hmirror(x2)",
            "x1 = leastcolor(I)\nO = replace(I, x1, THREE)",
        )
    ):
        grids = small_inputs()
        outputs = [Program.parse(text)(grid) for grid in grids]
        pairs = [Pair(grid, output) for grid, output in zip(grids, outputs, strict=True)]
        tasks.append(Task(f"made{number}", tuple(pairs[:3]), tuple(TestPair(*pair) for pair in pairs[3:])))
    return tasks


def unsolvable_task() -> Task:
    """Return a task without a rule: all grids are noise of the same size."""
    rng = np.random.default_rng(0)
    first, second, third, test, *outputs = (Grid(rng.integers(0, 10, (8, 8)).tolist()) for _ in range(7))
    pairs = zip((first, second, third), outputs, strict=True)
    return Task("noise", tuple(Pair(a, b) for a, b in pairs), (TestPair(test, None),))


def without_outputs(task: Task) -> Task:
    """Return the task without its test outputs."""
    return Task(task.id, task.train, tuple(TestPair(pair.input, None) for pair in task.test))


SMALL_TASKS = [*solvable_tasks(), unsolvable_task()]


def search_small(
    directory: Path,
    workforce: Workforce,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> bytes:
    """Search the small tasks, from where the directory stands; return what is published."""
    with SearchLog(directory, {"kind": "test"}) as log:
        run_search(
            log,
            STARTERS,
            SMALL_TASKS,
            3000,
            0,
            settings=SMALL_SEARCH,
            workforce=workforce,
            progress=progress,
        )
        log.publish(SMALL_TASKS, [3000])
    return (directory / "solutions.jsonl").read_bytes() + (directory / "curve.csv").read_bytes()
