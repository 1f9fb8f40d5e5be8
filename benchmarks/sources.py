"""What each part of the loop adds to a run's score: tasks solved by the programs of some sources alone.

    python benchmarks/sources.py runs/codeit

Ranked by votes. Programs that evolution found with others' help count as evolution's, and a program that
several found counts for each of them.
"""

from __future__ import annotations

import argparse
import sqlite3
from collections import defaultdict
from pathlib import Path

from rich.console import Console
from rich.table import Table

from codeit.config import RunSettings
from codeit.language import Program
from codeit.evaluation.scoring import Candidate, merge_votes, score
from codeit.data.tasks import load_tasks

QUERY = """
    SELECT t.name, p.text, c.demonstrations_solved, c.votes, c.source, EXISTS (
        SELECT 1 FROM sample AS s WHERE s.task_id = c.task_id AND s.program_id = c.program_id
    )
    FROM candidate AS c JOIN task AS t ON t.id = c.task_id JOIN program AS p ON p.id = c.program_id
    ORDER BY c.rowid
"""
PARTS = ("evolution", "policy", "experts and mutants")
SETS = [
    *((part,) for part in PARTS),
    ("evolution", "policy"),
    ("evolution", "experts and mutants"),
    PARTS,
]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("run", type=Path, help="the folder of a run")
    folder = parser.parse_args().run
    if not (folder / "run.sqlite").exists():
        raise SystemExit(f"{folder}: expected the folder of a run, found no run.sqlite")
    tasks = load_tasks(RunSettings.load(folder / "config.toml").data.test)
    with sqlite3.connect(f"file:{folder / 'run.sqlite'}?mode=ro", uri=True) as database:
        rows = database.execute(QUERY).fetchall()
    table = Table("programs of", "solved (top 3)", "top 2", "without the leaked task (top 3)")
    for parts in SETS:
        candidates = defaultdict(list)
        for order, (task, text, solved, votes, source, sampled) in enumerate(rows):
            # Who found a program first is on record; each time that evolution finds it again adds its votes.
            searched = votes if source == "search" else votes - 1
            counted = {
                "evolution": searched,
                "policy": sampled,
                "experts and mutants": source in ("expert", "mutation"),
            }
            if given := sum(counted[part] for part in parts):
                candidates[task].append(Candidate(Program.parse(text), solved, order, given))
        result = score(merge_votes(candidates, tasks), tasks)
        figures = (result.solved_top3, result.solved_top2, result.solved_top3_without_leak)
        table.add_row(" + ".join(parts), *map(str, figures))
    Console().print(table)


if __name__ == "__main__":
    main()
