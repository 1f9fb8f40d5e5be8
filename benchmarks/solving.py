"""What split of a task's budget solves most: evolution, restarts, the policy's proposals, its learning.

    python benchmarks/solving.py evolution policy --policy runs/policy/policy --out runs/solving

Every tenth training task is solved without its own expert among the starters (a policy that is to be compared
should not have seen them either: `--training.held-out 5`). Each variant has so many seconds of processor time
for each task, what it imports aside, so that a busy machine does not matter. A task and variant that is there
already is not solved again. Prints the tasks of which all demonstrations are solved, and those of which the
two attempts have every test output.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console
from rich.table import Table

import codeit.policy.test_time_training  # noqa: F401  (not to be counted)
from codeit.config import SolveConfig
from codeit.data.experts import load_experts
from codeit.language import Program
from codeit.evaluation.scoring import outputs_correct
from codeit.seeds import derive
from codeit.solve import Search
from codeit.data.tasks import Task, load_tasks

NEVER = 10**9
VARIANTS: dict[str, dict[str, object]] = {
    "evolution": {"every": NEVER},
    "long": {"every": NEVER, "restart": NEVER},
    "policy": {},
    "unlearnt": {"examples": 0},
    "often": {"every": 40_000},
    "more": {"samples": 512},
}


def measure(
    task: Task,
    starters: Sequence[Program],
    settings: SolveConfig,
    policy: Path | None,
    seed: int,
    limit: float,
) -> dict[str, object]:
    """Solve one task."""
    began = time.process_time()
    search = Search(
        task, starters, derive(seed, "solve", task.id), policy=policy, settings=settings, threads=1
    )
    solved_after = None
    for _ in search.run():
        spent = time.process_time() - began
        if solved_after is None and search.standing().answers:
            solved_after = spent
        if spent > limit:
            break
    result = search.standing().result(task)
    return {
        "tried": result.tried,
        "seconds": time.process_time() - began,
        "solved": result.solved,
        "solved_after": solved_after,
        "demonstrations": result.programs[0].solved if result.programs else 0,
        "right": all(outputs_correct(result.attempts, task)),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("variants", nargs="+", choices=VARIANTS)
    parser.add_argument("--policy", type=Path, help="a policy's folder")
    parser.add_argument("--core-seconds", type=float, default=15)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--tasks", nargs="*", help="ids; every tenth training task if none is given")
    parser.add_argument("--set", default="arc-agi-1/training")
    parser.add_argument("--out", type=Path, required=True)
    arguments = parser.parse_args()
    everything, experts = load_tasks(arguments.set), load_experts()
    tasks = (
        [task for task in everything if task.id in arguments.tasks] if arguments.tasks else everything[::10]
    )
    arguments.out.mkdir(parents=True, exist_ok=True)
    table = Table("variant", "all demonstrations", "tests right", "programs a task", "core seconds a task")
    for variant in arguments.variants:
        settings = SolveConfig.model_validate(VARIANTS[variant])
        rows = []
        for task in tasks:
            kept = arguments.out / f"{variant}-{arguments.seed}-{task.id}.json"
            if not kept.exists():
                starters = [program for id, program in experts.items() if id != task.id]
                row = measure(
                    task, starters, settings, arguments.policy, arguments.seed, arguments.core_seconds
                )
                kept.write_text(json.dumps(row) + "\n", encoding="utf-8")
            rows.append(json.loads(kept.read_text(encoding="utf-8")))
        counts = [str(sum(row[name] for row in rows)) for name in ("solved", "right")]
        means = [f"{sum(row[name] for row in rows) / len(rows):,.1f}" for name in ("tried", "seconds")]
        table.add_row(variant, *counts, *means)
    Console().print(table)


if __name__ == "__main__":
    main()
