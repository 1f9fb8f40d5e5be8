"""How likely a policy is to write programs that are known to solve tasks: in nats, a row a policy.

    python benchmarks/likelihood.py src/codeit/policy/weights --solutions results/evolution/solutions.jsonl

Of each task the likeliest program that solves its demonstrations and its tests, as the policy sees the task.
At temperature 1 a program of n nats comes once in e^n samples: 24 find what needs up to 3, 400 up to 6. The
grammar that sampling holds to makes each a little likelier. No policy learns from it.
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
from codeit.language import Program
from codeit.policy.encoding import NotEncodableError
from codeit.policy.training import TrainingExample, Trainer, collate
from codeit.policy.model import Policy
from codeit.evaluation.scoring import read_solutions, solves
from codeit.data.tasks import Task, load_tasks


def right(solutions: Path, tasks: Sequence[Task]) -> list[tuple[Task, list[Program]]]:
    """The tasks of which a program solves everything, with those programs."""
    of_id = {task.id: task for task in tasks}
    found: defaultdict[str, list[Program]] = defaultdict(list)
    for row in read_solutions(solutions):
        task, program = of_id[row.task], Program.parse(row.program)
        pairs = [*task.train, *task.test]
        if solves([program.run(pair.input) for pair in pairs], [pair.output for pair in pairs]):
            found[row.task].append(program)
    return [(of_id[id], programs) for id, programs in found.items()]


def nats(learner: Trainer, task: Task, program: Program) -> tuple[float, int]:
    """What the program costs, and its tokens. Raises NotEncodableError if it is too long."""
    encoding = learner.policy.encoding
    example = TrainingExample(encoding.encode_task(task.train), encoding.encode_program(program))
    return learner.loss([collate([example])]) * len(example.target), len(example.target)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("policies", nargs="+", type=Path)
    parser.add_argument("--solutions", type=Path, required=True)
    parser.add_argument("--tasks", default="arc-agi-1/evaluation")
    parser.add_argument("--threads", type=int, default=1)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    found = right(arguments.solutions, load_tasks(arguments.tasks))
    table = Table("policy", "tasks", "a token", "quartiles", "below 3", "below 6", "below 12")
    for path in arguments.policies:
        learner = Trainer(Policy.load(path, "cpu"), TrainingConfig())
        best = []
        for task, programs in found:
            costs = []
            for program in programs:
                try:
                    costs.append(nats(learner, task, program))
                except NotEncodableError:
                    continue
            best += [min(costs)] if costs else []
        if len(best) < 2:
            raise SystemExit(f"{arguments.solutions}: expected right programs for two tasks or more")
        costs_alone, tokens = zip(*best, strict=True)
        below = (str(sum(cost < limit for cost in costs_alone)) for limit in (3, 6, 12))
        quartiles = " / ".join(f"{value:.1f}" for value in quantiles(costs_alone))
        table.add_row(str(path), str(len(best)), f"{sum(costs_alone) / sum(tokens):.3f}", quartiles, *below)
    Console().print(table)


if __name__ == "__main__":
    main()
