"""Measure what each part of the loop adds to a run's score, by scoring sets of sources alone.

    python benchmarks/sources.py runs/codeit

Prints the tasks solved by the programs of each set of sources, ranked by votes. A program that
a search made from programs of other sources counts as the search's. A program that several sources
found counts for each of them.
"""

from __future__ import annotations

import argparse
from collections import Counter, defaultdict
from dataclasses import replace
from pathlib import Path

from rich.console import Console
from rich.table import Table

from codeit.config import RunSettings
from codeit.data.tasks import load_tasks
from codeit.evaluation.candidate import Candidate
from codeit.evaluation.scoring import count_votes, score
from codeit.language import Program
from codeit.storage.replay_buffer import EXPERT_SOURCES
from codeit.storage.run_database import RunDatabase

SOURCES = ("search", "policy", "experts and mutants")
SETS = [
    *((source,) for source in SOURCES),
    ("search", "policy"),
    ("search", "experts and mutants"),
    SOURCES,
]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("run", type=Path, help="the directory of a run")
    directory = parser.parse_args().run
    if not (directory / "run.sqlite").exists():
        raise SystemExit(f"{directory}: expected the directory of a run, found no run.sqlite")
    settings = RunSettings.load(directory / "config.toml")
    tasks = load_tasks(settings.data.test)[: settings.data.tasks or None]
    with RunDatabase(directory / "run.sqlite") as database:
        found = database.candidates()
        samples: Counter[tuple[str, Program]] = Counter()
        for iteration in range(1, settings.run.iterations + 1):
            for one in database.sampled_candidates(iteration):
                samples[one.task_id, one.program] += one.votes
    table = Table(pad_edge=False)
    table.add_column("programs of", no_wrap=True)
    for heading in ("solved (top\u00a03)", "top\u00a02", "without the leaked task (top\u00a03)"):
        table.add_column(heading, justify="right")
    for sources in SETS:
        candidates: defaultdict[str, list[Candidate]] = defaultdict(list)
        for one in found:
            # The database records which source found a program first. Searches and the policy add
            # votes whenever they find it again.
            by_policy = samples[one.task_id, one.program]
            by_mutation = int(one.source in EXPERT_SOURCES)
            of_source = {
                "search": one.votes - by_policy - by_mutation,
                "policy": by_policy,
                "experts and mutants": by_mutation,
            }
            if votes := sum(of_source[source] for source in sources):
                candidates[one.task_id].append(replace(one, votes=votes))
        result = score(count_votes(candidates, tasks), tasks)
        figures = (result.solved_top3, result.solved_top2, result.solved_top3_without_leak)
        table.add_row(" + ".join(sources), *map(str, figures))
    Console().print(table)


if __name__ == "__main__":
    main()
