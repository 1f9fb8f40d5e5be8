"""Compares searches on training tasks by what is right, not by what only fits the demonstrations.

    python benchmarks/development.py enumeration.expressions=0 default --seeds 0 1 2 \\
        --out runs/development

A task has at most three of its published demonstrations, so fitting them is weak evidence. The
programs found are then run on 20 fresh inputs of the task's generator, whose outputs the published
verifier gives, and on the published tests. A task is *fitted* if a program solves all
demonstrations, and *right* if one of the three best-ranked programs also gives the outputs of all 20
fresh inputs. `public` counts the tasks whose published tests one of the three gives.

A variant is `codeit solve` without a policy, with some settings or the default ones, and with
`--programs` programs of evolution a task.

The tasks are every second training task with an expert. The search may use all experts except those
of the same task: its own, and any expert of an equivalent task (each of the two experts solves the
fresh inputs of both tasks). Every choice of a setting is made here, not on evaluation tasks.

Finished tasks are not searched again. The last columns compare each variant with the first one,
paired by task: difference in tasks that are right, 95 % interval, sign test (see
`codeit.evaluation.comparison`).
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from rich.console import Console
from rich.table import Table

from codeit.config import SolveSettings
from codeit.data.experts import load_experts, load_inputs, published
from codeit.data.tasks import Pair, Task, TestPair, load_tasks
from codeit.evaluation.candidate import TOP, Candidate
from codeit.evaluation.comparison import compare
from codeit.evaluation.scoring import solves
from codeit.language import Grid, Program, count_solved, run_batch
from codeit.parallel import map_unordered
from codeit.seeds import derive
from codeit.solver import TaskSearch

DEMONSTRATIONS, FRESH = 3, 20
EVERY = 2


class DevelopmentTask(NamedTuple):
    """A training task with few demonstrations and many tests."""

    task: Task
    """At most DEMONSTRATIONS demonstrations, and the published test inputs without their outputs."""
    hidden: tuple[Pair, ...]
    """FRESH generated inputs with their outputs."""
    public: tuple[Pair, ...]
    """The published tests."""
    starters: tuple[Program, ...]
    """The experts of other tasks."""


def development_tasks(first: int = 0) -> list[DevelopmentTask]:
    """Return every EVERY-th task from `first` on, sorted by id. The benchmark is those from 0."""
    experts, verifiers = load_experts(), published().programs
    generated = load_inputs(experts)
    training = {task.id: task for task in load_tasks("arc-agi-1/training") if task.id in experts}
    hidden = {}
    for task_id, task in training.items():
        shown = {pair.input for pair in (*task.train, *task.test)}
        fresh = [grid for grid in generated[task_id] if grid not in shown][: 2 * FRESH]
        pairs = _outputs(verifiers[task_id], fresh)[:FRESH]
        if len(pairs) == FRESH:
            hidden[task_id] = pairs
    same = _same_tasks({task_id: experts[task_id] for task_id in hidden}, hidden)
    tasks = []
    for task_id in sorted(hidden)[first::EVERY]:
        task = training[task_id]
        starters = tuple(
            program
            for other, program in experts.items()
            if other != task_id and frozenset((other, task_id)) not in same
        )
        shown_task = Task(
            task_id, task.train[:DEMONSTRATIONS], tuple(TestPair(pair.input, None) for pair in task.test)
        )
        public = tuple(Pair(pair.input, pair.output) for pair in task.test if pair.output is not None)
        tasks.append(DevelopmentTask(shown_task, tuple(hidden[task_id]), public, starters))
    return tasks


def _outputs(program: Program, inputs: Sequence[Grid]) -> list[Pair]:
    """Return the inputs on which a program gives a grid, with that grid."""
    (outcomes,) = run_batch([program], [inputs])
    return [Pair(a, one.grid) for a, one in zip(inputs, outcomes, strict=True) if one.grid is not None]


def _same_tasks(experts: dict[str, Program], hidden: dict[str, list[Pair]]) -> set[frozenset[str]]:
    """Return the pairs of tasks of which each expert solves both."""
    ids = list(hidden)
    solved = count_solved(list(experts.values()), list(hidden.values()), early_exit=True) == FRESH
    return {frozenset((ids[a], ids[b])) for a, b in np.argwhere(solved & solved.T).tolist() if a != b}


def _solved(programs: Sequence[Program], pairs: Sequence[Sequence[Pair]]) -> list[bool]:
    """Return whether programs[k] gives the outputs of pairs[k]."""
    outcomes = run_batch(programs, [[pair.input for pair in some] for some in pairs])
    return [
        solves(of_program, [pair.output for pair in some])
        for of_program, some in zip(outcomes, pairs, strict=True)
    ]


class Job(NamedTuple):
    """What a worker process needs to search for one task."""

    task: DevelopmentTask
    programs: int
    seed: int
    settings: SolveSettings


def search(job: Job) -> dict[str, object]:
    """Search for a task; return what was found and whether it is right."""
    started = time.process_time()
    task, seed = job.task.task, derive(job.seed, "solve", job.task.task.id, 0)
    one = TaskSearch(task, job.task.starters, seed, settings=job.settings, threads=1)
    for _ in one.run(job.programs):
        pass
    found = judge(job.task, one.state().answers)
    return {"task": task.id, "seconds": time.process_time() - started, **found}


def judge(task: DevelopmentTask, ranked: Sequence[Candidate]) -> dict[str, object]:
    """Return what the best-ranked programs that solve all demonstrations do on the hidden pairs."""
    answers = [one for one in ranked if one.demonstrations_solved == len(task.task.train)]
    programs = [one.program for one in answers]
    right = _solved(programs, [task.hidden] * len(programs))
    public = _solved(programs, [task.public] * len(programs))
    return {
        "fitted": bool(programs),
        "right": any(right[:TOP]),
        "public": any(public[:TOP]),
        "answers": [
            {"program": str(one.program), "votes": one.votes, "right": is_right, "public": is_public}
            for one, is_right, is_public in zip(answers, right, public, strict=True)
        ],
    }


def run(
    tasks: Sequence[DevelopmentTask], variant: str, seed: int, programs: int, threads: int, out: Path
) -> list[dict[str, object]]:
    """Search for all tasks; return a row for each. Rows are written as they come."""
    settings = SolveSettings.from_overrides(
        dict(one.split("=", 1) for one in variant.split(",") if "=" in one)
    )
    path = out / f"{variant}-{programs}-{seed}.jsonl".replace("/", "_")
    rows = (
        [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()] if path.exists() else []
    )
    done = {row["task"] for row in rows}
    jobs = [Job(task, programs, seed, settings) for task in tasks if task.task.id not in done]
    with open(path, "a", encoding="utf-8") as file:
        for _, row in map_unordered(search, jobs, threads):
            rows.append(row)
            file.write(json.dumps(row) + "\n")
            file.flush()
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("variants", nargs="+", help="'default', or settings: key=value[,key=value]")
    parser.add_argument("--programs", type=int, default=20_000, help="programs a task")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0])
    parser.add_argument("--threads", type=int, default=0)
    parser.add_argument("--out", type=Path, required=True)
    arguments = parser.parse_args()
    arguments.out.mkdir(parents=True, exist_ok=True)
    tasks = development_tasks()
    ids = [task.task.id for task in tasks]
    columns = ("fitted", "right", "public")
    table = Table(
        "variant", *columns, "seconds a task", "right, more than the first", title=f"{len(ids)} tasks"
    )
    first: list[list[str]] = []
    for variant in arguments.variants:
        runs = [
            run(tasks, variant, seed, arguments.programs, arguments.threads, arguments.out)
            for seed in arguments.seeds
        ]
        right = [[str(row["task"]) for row in rows if row["right"]] for rows in runs]
        first = first or right
        counts = [", ".join(str(sum(bool(row[name]) for row in rows)) for rows in runs) for name in columns]
        seconds = sum(float(str(row["seconds"])) for rows in runs for row in rows) / len(ids) / len(runs)
        table.add_row(variant, *counts, f"{seconds:.2f}", str(compare(ids, right, first)))
    Console().print(table)


if __name__ == "__main__":
    main()
