"""Compare ways to share a task's budget among evolution, restarts, and the policy and its training.

    python benchmarks/solving.py evolution policy --policy runs/policy/policy --out runs/solving

Solves every tenth training task without its own expert among the starters. A policy to compare
should not have been trained on these tasks either (`codeit pretrain --pretraining.hold-out-every
5`). Each variant gets the same processor time per task, not counting imports, so that other work on
the machine does not matter. Results in the output directory are not computed again. Prints the
number of tasks for which a program solves all demonstrations, and of those for which the two attempts
contain every test output.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console
from rich.table import Table

import codeit.policy.test_time_training  # noqa: F401  (so that its time is not measured)
from codeit.config import SolveSettings
from codeit.data.experts import load_experts
from codeit.data.tasks import Task, load_tasks
from codeit.evaluation.scoring import outputs_correct
from codeit.language import Program
from codeit.seeds import derive
from codeit.solver import TaskSearch

NEVER = 10**9
VARIANTS: dict[str, dict[str, object]] = {
    "evolution": {"search": {"policy_every": NEVER}},
    "no-restarts": {"search": {"policy_every": NEVER, "restart_after": NEVER}},
    "policy": {},
    "untrained": {"search": {"elites": 0}},
    "often": {"search": {"policy_every": 40_000}},
    "more-samples": {"sampling": {"samples_per_task": 512}},
}
"""Settings of `codeit solve` that each variant changes."""


def measure(
    task: Task,
    starters: Sequence[Program],
    settings: SolveSettings,
    policy: Path | None,
    seed: int,
    limit: float,
) -> dict[str, object]:
    """Solve one task in `limit` seconds of processor time; return its row."""
    began = time.process_time()
    search = TaskSearch(
        task, starters, derive(seed, "solve", task.id), policy=policy, settings=settings, threads=1
    )
    solved_after = None
    for _ in search.run():
        spent = time.process_time() - began
        if solved_after is None and search.state().answers:
            solved_after = spent
        if spent > limit:
            break
    result = search.state().result(task)
    return {
        "tried": result.tried,
        "seconds": time.process_time() - began,
        "solved": result.solved,
        "solved_after": solved_after,
        "demonstrations": result.programs[0].demonstrations_solved if result.programs else 0,
        "right": all(outputs_correct(result.attempts, task)),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("variants", nargs="+", choices=VARIANTS)
    parser.add_argument("--policy", type=Path, help="directory of a policy")
    parser.add_argument("--core-seconds", type=float, default=15)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--tasks", nargs="*", help="task ids; by default every tenth task of the set")
    parser.add_argument("--set", default="arc-agi-1/training", help="set of tasks")
    parser.add_argument("--out", type=Path, required=True)
    arguments = parser.parse_args()
    all_tasks, experts = load_tasks(arguments.set), load_experts()
    tasks = [task for task in all_tasks if task.id in arguments.tasks] if arguments.tasks else all_tasks[::10]
    arguments.out.mkdir(parents=True, exist_ok=True)
    table = Table(
        "variant", "all demonstrations", "tests right", "programs per task", "core seconds per task"
    )
    for variant in arguments.variants:
        settings = SolveSettings.model_validate(VARIANTS[variant])
        rows = []
        for task in tasks:
            file = arguments.out / f"{variant}-{arguments.seed}-{task.id}.json"
            if not file.exists():
                starters = [program for task_id, program in experts.items() if task_id != task.id]
                row = measure(
                    task, starters, settings, arguments.policy, arguments.seed, arguments.core_seconds
                )
                file.write_text(json.dumps(row) + "\n", encoding="utf-8")
            rows.append(json.loads(file.read_text(encoding="utf-8")))
        counts = [str(sum(row[name] for row in rows)) for name in ("solved", "right")]
        means = [f"{sum(row[name] for row in rows) / len(rows):,.1f}" for name in ("tried", "seconds")]
        table.add_row(variant, *counts, *means)
    Console().print(table)


if __name__ == "__main__":
    main()
