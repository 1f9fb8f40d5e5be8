"""Exported files, executed beside the engine.

`python tests/export/exported.py` does this with every published program: the experts, and the programs
of results/*/solutions.jsonl, each on all inputs of its task.
"""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Iterable
from functools import cache
from pathlib import Path
from types import FunctionType
from typing import Any

sys.path.append(str(Path(__file__).parents[1]))  # as pytest does

from oracle import is_container

from codeit.data.experts import published
from codeit.data.tasks import Task, load_tasks
from codeit.evaluation.scoring import read_solutions
from codeit.export import to_python
from codeit.language import PRIMITIVES, Grid, Outcome, Program, run_batch

MAKERS = {
    "composed": "compose",
    "chained": "chain",
    "matched": "matcher",
    "with_last": "rbind",
    "with_first": "lbind",
    "forked": "fork",
}
"""The primitives that make functions, by the function of an exported file that theirs call."""
LIMITS = ("steps", "cells", "depth", "overflow")
"""Kinds of outcomes that exported files do not have."""


def execute(text: str) -> dict[str, Any]:
    """Execute the text of an exported file, but not its command. Returns its names."""
    names: dict[str, Any] = {"__name__": "solution"}
    exec(compile(text, "solution.py", "exec", dont_inherit=True), names)
    return names


@cache
def all_primitives() -> dict[str, Any]:
    """Return the names of an exported file of a program that mentions every primitive."""
    lines = [f"x{k} = initset({name})" for k, name in enumerate(PRIMITIVES, start=1)]
    return execute(to_python(Program.parse("\n".join([*lines, "O = identity(I)"]))))


def to_exported(value: Any) -> Any:
    """Convert a value of the engine for an exported file: names of primitives become functions."""
    if is_container(value):
        return type(value)(map(to_exported, value))
    return all_primitives()[value] if isinstance(value, str) else value


def comparable(value: Any) -> Any:
    """Convert a value of the engine or of an exported file to one that compares.

    Functions become the text that the engine gives, with numbers for truth values, which equal them
    in containers. Of a text with sets, which Python prints in any order, the characters compare.
    """
    if is_container(value):
        return type(value)(map(comparable, value))
    if isinstance(value, FunctionType):
        return value.__name__
    if callable(value):
        parts = ", ".join(str(comparable(part)) for part in value.parts)
        return comparable(f"{MAKERS[value.function.__name__]}({parts})")
    if isinstance(value, str):
        text = value.replace("True", "1").replace("False", "0")
        return "".join(sorted(text)) if "frozenset" in text else text
    return value


def difference(solve: Any, grid: Grid, outcome: Outcome) -> str:
    """Return how an exported program differs from the engine's outcome, or ""."""
    try:
        found = solve(grid.tolist())
    except (ArithmeticError, LookupError, TypeError, ValueError) as error:
        return f"raises {error!r}" if outcome.kind == "grid" else ""
    if outcome.grid is None:
        return "" if outcome.kind in LIMITS else f"gives {found!r} where the engine ends with {outcome.kind}"
    return "" if outcome.grid.tolist() == [list(row) for row in found] else f"gives {found!r}"


def count_outcomes(programs: Iterable[tuple[Program, list[Grid]]]) -> Counter[str]:
    """Compare exported programs with the engine on their grids; count the engine's outcomes.

    Programs that exceed the engine's budget on a grid are not run on it. Raises AssertionError for
    a difference.
    """
    counts: Counter[str] = Counter()
    for program, grids in programs:
        solve = execute(to_python(program))["solve"]
        for grid, outcome in zip(grids, run_batch([program], [grids])[0], strict=True):
            counts[outcome.kind] += 1
            if outcome.kind not in LIMITS:
                problem = difference(solve, grid, outcome)
                assert not problem, f"exported, this program {problem}\n{program}\non {grid!r}"
    return counts


# --- Published programs ---


def inputs_of(task: Task) -> list[Grid]:
    """Return the inputs of demonstrations and tests."""
    return [pair.input for pair in (*task.train, *task.test)]


def published_solutions() -> list[tuple[Program, Task]]:
    """Return the distinct programs of results/*/solutions.jsonl with their tasks."""
    tasks = {task.id: task for part in ("training", "evaluation") for task in load_tasks(f"arc-agi-1/{part}")}
    files = sorted((Path(__file__).parents[2] / "results").glob("*/solutions.jsonl"))
    rows = {(row.program, row.task_id): None for file in files for row in read_solutions(file)}
    return [(Program.parse(text), tasks[task_id]) for text, task_id in rows]


def main() -> None:
    training = {task.id: task for task in load_tasks("arc-agi-1/training")}
    experts = [(program, training[task_id]) for task_id, program in published().programs.items()]
    for kind, programs in (("experts", experts), ("published solutions", published_solutions())):
        counts = count_outcomes((program, inputs_of(task)) for program, task in programs)
        print(f"{len(programs)} {kind}: {counts.total()} runs end alike: {dict(counts.most_common())}")


if __name__ == "__main__":
    main()
