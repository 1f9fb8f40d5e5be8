"""Measures how rare helpful edits are: what a network that proposes edits could gain over blind ones.

    python benchmarks/edits.py

Evolution runs on the training tasks that `benchmarks/policies.py` holds out, without their own
expert. Each edit (parent, child) that led to a right answer is then compared with `--blind` blind
edits of the same parent, made by the same operators with mates of the same generation, and run on
the demonstrations. The table has the negative logarithm of the probability of a blind edit that

- gives the same grids as the child,
- is as good as the child or better (by fitness),
- is better than the parent.

This is the gain, in nats, of a proposer that makes only such edits, all of them equally likely. Steps
between programs that solve all demonstrations are left out. If no blind edit of a kind is found, half
an edit is counted. A cell is the median, its 95 % interval (bootstrap over tasks), and the quartiles.
The last lines have the programs that one core tries in a second of processor time: in evolution,
selection included, and as blind edits of one parent, made and run.
"""

from __future__ import annotations

import argparse
import math
import time
from collections.abc import Sequence
from typing import Any, NamedTuple
from unittest import mock

import numpy as np
from policies import HOLD_OUT_EVERY
from rich.console import Console
from rich.table import Table

from codeit.config import EvolutionConfig
from codeit.data.experts import load_experts
from codeit.data.tasks import Task, load_tasks
from codeit.evaluation.candidate import TOP
from codeit.evaluation.scoring import solves
from codeit.language import Budget, Program, TypedProgram, evaluate, vary
from codeit.policy.pretraining import split
from codeit.search import evolution
from codeit.seeds import derive

SETTINGS = EvolutionConfig()
BUDGET = Budget(steps=SETTINGS.max_steps)
RESAMPLES = 2000
"""Bootstrap resamples of the tasks."""


class Edit(NamedTuple):
    """A step of evolution."""

    parent: TypedProgram
    child: Program
    mates: Sequence[TypedProgram]
    """The mates of all offspring of the generation."""


class Rarity(NamedTuple):
    """Blind edits of a parent, counted."""

    task_id: str
    improves: bool
    """Whether the child of evolution is better than its parent."""
    drawn: int
    same: int
    as_good: int
    better: int


def edits_to_answers(
    task: Task, starters: Sequence[Program], programs: int, seed: int
) -> tuple[list[Edit], int]:
    """Run evolution; return the edits that led to right answers, each once, and the programs tried."""
    edit_of: dict[int, Edit] = {}  # the first that made a program

    def recorded(parents: Any, mates: Any, *arguments: Any, **options: Any) -> list[Program | None]:
        made = vary(parents, mates, *arguments, **options)
        for parent, child in zip(parents, made, strict=True):
            if child is not None:
                edit_of.setdefault(child.identity, Edit(parent, child, mates))
        return made

    with mock.patch.object(evolution, "vary", recorded):
        search = evolution.Evolution(task, starters, seed, SETTINGS)
        for _ in search.generations(programs):
            pass
    starting = {program.identity for program in starters}
    outputs = [pair.output for pair in task.test]
    edits: dict[int, Edit] = {}
    for answer in search.answers()[:TOP]:
        if solves([answer.program.run(pair.input) for pair in task.test], outputs):
            identity = answer.program.identity
            while identity not in starting and identity not in edits:
                edits[identity] = edit_of[identity]
                identity = Program(edits[identity].parent.program).identity
    return list(edits.values()), search.tried


def rarity(task: Task, edit: Edit, n: int, seed: int) -> Rarity | None:
    """Draw n blind edits of a parent; return None if it solves all demonstrations."""
    pairs = [(pair.input, pair.output) for pair in task.train]

    def run(programs: Sequence[Program]) -> tuple[list[tuple[int, int, float]], list[int]]:
        verdicts = evaluate(programs, [0] * len(programs), [pairs], budget=BUDGET, threads=1)
        return evolution.fitness(verdicts), verdicts["behaviour"].tolist()

    (before, after), (_, behaviour) = run([Program(edit.parent.program), edit.child])
    if before[0] == len(pairs):
        return None
    rng = np.random.default_rng(seed)
    mates = [edit.mates[k] for k in rng.integers(len(edit.mates), size=n)]
    weights = SETTINGS.weights.model_dump()
    made = vary([edit.parent] * n, mates, weights, int(rng.integers(1 << 63)), max_lines=SETTINGS.max_lines)
    fit, behaviours = run([child for child in made if child is not None])
    return Rarity(
        task.id,
        improves=after > before,
        drawn=n,
        same=behaviours.count(behaviour),
        as_good=sum(one >= after for one in fit),
        better=sum(one > before for one in fit),
    )


def describe(nats: Sequence[float], task_ids: Sequence[str]) -> str:
    """Return the median, its 95 % interval by bootstrap over tasks, and the quartiles as text."""
    of_task = [
        [one for one, of in zip(nats, task_ids, strict=True) if of == task_id]
        for task_id in sorted(set(task_ids))
    ]
    rng = np.random.default_rng(0)
    medians = [
        np.median(np.concatenate([of_task[k] for k in rng.integers(len(of_task), size=len(of_task))]))
        for _ in range(RESAMPLES)
    ]
    low, high = np.quantile(medians, [0.025, 0.975])
    first, median, third = np.quantile(nats, [0.25, 0.5, 0.75])
    return f"{median:.1f} [{low:.1f}, {high:.1f}] ({first:.1f} to {third:.1f})"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--programs", type=int, default=20_000, help="programs of evolution a task")
    parser.add_argument("--blind", type=int, default=3000, help="blind edits of a parent")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1])
    arguments = parser.parse_args()
    experts = load_experts()
    _, tasks = split(load_tasks("arc-agi-1/training"), HOLD_OUT_EVERY)
    found: list[Rarity] = []
    programs, searched, seconds = 0, 0.0, 0.0
    for seed in arguments.seeds:
        for task in tasks:
            starters = [program for task_id, program in experts.items() if task_id != task.id]
            started = time.process_time()
            edits, tried = edits_to_answers(
                task, starters, arguments.programs, derive(seed, "edits", task.id)
            )
            searched += time.process_time() - started
            programs += tried
            for k, edit in enumerate(edits):
                started = time.process_time()
                one = rarity(task, edit, arguments.blind, derive(seed, "blind", task.id, k))
                seconds += time.process_time() - started
                if one is not None:
                    found.append(one)
    solved = {one.task_id for one in found}
    title = f"{len(found)} edits on {len(solved)} of {len(tasks)} tasks"
    table = Table(title=f"{title}: nats, median [95 % interval] (quartiles)")
    for column in ("edits of evolution", "number", "same grids", "as good", "better than the parent"):
        table.add_column(column)
    for name, some in (
        ("all", found),
        ("that improve", [one for one in found if one.improves]),
        ("that do not", [one for one in found if not one.improves]),
    ):
        cells = []
        for kind in ("same", "as_good", "better"):
            nats = [-math.log(max(getattr(one, kind), 0.5) / one.drawn) for one in some]
            cells.append(describe(nats, [one.task_id for one in some]))
        table.add_row(name, str(len(some)), *cells)
    Console().print(table)
    Console().print(f"{programs / searched:,.0f} programs of evolution a second")
    Console().print(f"{sum(one.drawn for one in found) / seconds:,.0f} blind edits a second")


if __name__ == "__main__":
    main()
