"""Writes the tasks of ARC-AGI-2 that ARC-AGI-1 does not contain: no setting was tuned on them.

    codeit tasks fetch arc-agi-2
    python benchmarks/arc_agi_2.py runs/arc-agi-2
    codeit search --tasks runs/arc-agi-2/training --out runs/untouched

A task is new if none of its pairs, demonstrations and tests, is a pair of a task of ARC-AGI-1. 233
of the 1,000 public training tasks are, and 113 of the 120 public evaluation tasks.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from codeit.data.tasks import Task, load_tasks, task_json


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("out", type=Path, help="gets a directory for each set, with a file per task")
    out: Path = parser.parse_args().out

    def pairs(task: Task) -> set[tuple[object, ...]]:
        return {tuple(pair) for pair in (*task.train, *task.test)}

    sets = ("training", "evaluation")
    seen = {pair for name in sets for task in load_tasks(f"arc-agi-1/{name}") for pair in pairs(task)}
    for name in sets:
        tasks = load_tasks(f"arc-agi-2/{name}")
        new = [task for task in tasks if seen.isdisjoint(pairs(task))]
        (out / name).mkdir(parents=True, exist_ok=True)
        for task in new:
            (out / name / f"{task.id}.json").write_text(json.dumps(task_json(task)), encoding="utf-8")
        print(f"{out / name}: {len(new)} of {len(tasks)} tasks are new")


if __name__ == "__main__":
    main()
