"""Shows what more time brings to a search: some evaluation tasks, each with up to a core-minute.

    python benchmarks/longer_search.py --seeds 0 1 2 --out runs/longer

The tasks are every fifth evaluation task of ARC-AGI-1, 80 in all. 1,300,000 programs of evolution
take about a minute of a core where no answer is settled before. The table has the tasks solved and
those whose demonstrations are solved after 200,000 programs and more. Its last column compares with
200,000, paired by task: difference, 95 % interval, sign test (see `codeit.evaluation.comparison`).
Further tables tell how many answers have which probability in the end, and how many of these are
right. A search that was stopped continues, and a finished one is not repeated.

The processor time of a search is recorded at its end. The table assumes that it grows with the
number of programs, so it is somewhat too low for few programs.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from statistics import mean
from typing import NamedTuple

from rich.console import Console
from rich.table import Table

from codeit.cli.search import probability_table
from codeit.config import SearchSettings
from codeit.data.experts import load_experts
from codeit.data.tasks import Task, load_tasks
from codeit.evaluation.candidate import Candidate
from codeit.evaluation.comparison import compare
from codeit.evaluation.scoring import Score
from codeit.experiments.search_run import log_settings, run_search
from codeit.language import Program
from codeit.storage.search_log import SearchLog

EVERY = 5
TASKS = f"arc-agi-1/evaluation, every {EVERY}th"
PROGRAMS = 1_300_000
FIRST = 200_000
"""Programs of the searches in docs/results.md, with which longer ones are compared."""


class Search(NamedTuple):
    """A finished search."""

    scores: dict[int, Score]
    """By the number of programs."""
    seconds: dict[int, float]
    """Core-seconds a task until then, on average."""
    best: dict[str, list[Candidate]]
    """Each task's ranked answers at the end, with their probabilities."""


def search(
    tasks: list[Task], experts: list[Program], seed: int, points: list[int], workers: int, out: Path
) -> Search:
    """Search for all tasks, or read the finished search."""
    settings = SearchSettings()
    recorded = log_settings(points[-1], seed, TASKS, "arc-agi-1/training", settings)
    with SearchLog(out / f"seed-{seed}", recorded) as log:
        run_search(log, experts, tasks, points[-1], seed, settings=settings, workforce=workers)
        parts = list(log.parts().values())
        seconds = {
            n: mean(part.core_seconds * min(n, part.programs) / max(part.programs, 1) for part in parts)
            for n in points
        }
        return Search(log.publish(tasks, points), seconds, log.best(tasks))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0])
    parser.add_argument("--programs", type=int, default=PROGRAMS, help="programs a task at most")
    parser.add_argument("--workers", type=int, default=0)
    parser.add_argument("--out", type=Path, required=True)
    arguments = parser.parse_args()
    if arguments.programs < FIRST:
        parser.error(f"--programs {arguments.programs}: expected {FIRST:,} or more")
    tasks = load_tasks("arc-agi-1/evaluation")[::EVERY]
    points = sorted({FIRST, 2 * FIRST, 4 * FIRST, arguments.programs})
    points = [n for n in points if n <= arguments.programs]
    experts = list(load_experts().values())
    searches = [
        search(tasks, experts, seed, points, arguments.workers, arguments.out) for seed in arguments.seeds
    ]
    ids = [task.id for task in tasks]
    columns = ("core-seconds a task", "solved", "demonstrations solved", "more than the first")
    table = Table("programs", *columns, title=f"{len(ids)} tasks")
    for n in points:
        scores = [one.scores[n] for one in searches]
        table.add_row(
            f"{n:,}",
            f"{mean(one.seconds[n] for one in searches):.1f}",
            ", ".join(str(score.solved_top3) for score in scores),
            ", ".join(str(score.solved_demonstrations) for score in scores),
            str(compare(ids, [one.solved for one in scores], [one.scores[FIRST].solved for one in searches])),
        )
    Console().print(table)
    for seed, one in zip(arguments.seeds, searches, strict=True):
        likely = probability_table(one.best, one.scores[points[-1]])
        likely.title = f"answers (top 3), seed {seed}"
        Console().print(likely)


if __name__ == "__main__":
    main()
