"""Negative log-likelihood of known solutions under a policy, in nats: one row per policy.

    python benchmarks/likelihood.py src/codeit/policy/weights \\
        --solutions results/evolution/solutions.jsonl

For each task, the benchmark takes the likeliest program that solves its demonstrations and its
tests, given the task as the policy sees it. At temperature 1, a program of n nats is expected once
in e^n samples: 24 samples find what costs up to 3 nats, 400 samples up to 6. Samples are a little
likelier than that, because sampling follows a grammar. Nothing is trained.
"""

from __future__ import annotations

import argparse
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from statistics import quantiles

import torch
from rich.console import Console
from rich.table import Table

from codeit.config import TrainingConfig
from codeit.data.tasks import Task, load_tasks
from codeit.evaluation.scoring import read_solutions, solves
from codeit.language import Program
from codeit.policy.encoding import NotEncodableError
from codeit.policy.model import Policy
from codeit.policy.training import Trainer, TrainingExample, collate


def right_programs(solutions: Path, tasks: Sequence[Task]) -> list[tuple[Task, list[Program]]]:
    """Return the tasks with a program that solves everything, each with those programs."""
    tasks_by_id = {task.id: task for task in tasks}
    found: defaultdict[str, list[Program]] = defaultdict(list)
    for row in read_solutions(solutions):
        task, program = tasks_by_id[row.task_id], Program.parse(row.program)
        inputs, outputs = zip(*task.train, *task.test, strict=True)
        if solves([program.run(grid) for grid in inputs], outputs):
            found[row.task_id].append(program)
    return [(tasks_by_id[task_id], programs) for task_id, programs in found.items()]


def nats(trainer: Trainer, task: Task, program: Program) -> tuple[float, int]:
    """Return the negative log-likelihood of a program and the number of its tokens.

    Raises NotEncodableError if the program is too long.
    """
    encoding = trainer.policy.encoding
    example = TrainingExample(encoding.encode_task(task.train), encoding.encode_program(program))
    return trainer.loss([collate([example])]) * len(example.target), len(example.target)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("policies", nargs="+", type=Path)
    parser.add_argument("--solutions", type=Path, required=True)
    parser.add_argument("--tasks", default="arc-agi-1/evaluation")
    parser.add_argument("--threads", type=int, default=1)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    found = right_programs(arguments.solutions, load_tasks(arguments.tasks))
    table = Table("policy", "tasks", "per token", "quartiles", "below 3", "below 6", "below 12")
    for path in arguments.policies:
        trainer = Trainer(Policy.load(path, "cpu"), TrainingConfig())
        best = []
        for task, programs in found:
            costs = []
            for program in programs:
                try:
                    costs.append(nats(trainer, task, program))
                except NotEncodableError:
                    continue
            best += [min(costs)] if costs else []
        if len(best) < 2:
            raise SystemExit(
                f"{arguments.solutions}: expected solutions of at least 2 tasks, found {len(best)}"
            )
        costs_alone, tokens = zip(*best, strict=True)
        below = (str(sum(cost < limit for cost in costs_alone)) for limit in (3, 6, 12))
        quartiles = " / ".join(f"{value:.1f}" for value in quantiles(costs_alone))
        table.add_row(str(path), str(len(best)), f"{sum(costs_alone) / sum(tokens):.3f}", quartiles, *below)
    Console().print(table)


if __name__ == "__main__":
    main()
