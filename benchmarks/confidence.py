"""Fits how likely an answer is right (`codeit.evaluation.confidence`), and checks the fit.

    python benchmarks/confidence.py --out runs/confidence
    python benchmarks/confidence.py --out runs/confidence --others

Searches for the tasks of the development benchmark (benchmarks/development.py) give answers, and
the published tests say which of them are right. The four numbers of the model have the greatest
likelihood, less an L2 penalty of 1 on the standardised exponents; it prints them. Copy them to
`codeit/evaluation/confidence.py`, and commit benchmarks/confidence.jsonl, which has the votes, lines
and cells of the answers, and whether they are right.

The tables then show how good the probabilities are, of each task by numbers that were fitted without
it (cross-validation in ten parts, the seeds of a task together):

- the log loss and the Brier score of the first answer and of the best three together, also by fewer
  features, and with the share of all tasks that is right as every probability;
- the answers by probability: their number, their mean probability, and the share that is right;
- for each threshold, the tasks whose best three answers are right with this probability, how many
  are right on the published tests, and how many on 20 fresh inputs.

With --others, the tasks are the other training tasks with an expert, on which nothing is chosen,
and the numbers are those of the package. Each of the two takes 17 minutes of one core. Finished
tasks are not searched again.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

import numpy as np
from development import development_tasks, run
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table

from codeit.evaluation import confidence
from codeit.evaluation.candidate import TOP
from codeit.evaluation.confidence import THRESHOLDS, output_cells
from codeit.language import Program

DATA = Path(__file__).with_suffix(".jsonl")
FEATURES = ("votes", "lines", "cells")
PENALTY, PARTS = 1.0, 10
BINS = (0.0, 0.1, 0.3, 0.5, 0.7, 0.9, 1.0)

Floats = NDArray[np.float64]


class Answers(NamedTuple):
    """The answers that a search finds for a task, the one with most votes first."""

    task: str
    cells: int
    """Of the demonstrations' outputs."""
    votes: list[int]
    lines: list[int]
    public: list[bool]
    """Whether each answer is right on the published tests."""
    fresh: list[bool]
    """Whether its program is right on the fresh inputs."""

    def features(self) -> Floats:
        """Return a row for each answer: the logarithms of votes, lines and cells, and 1."""
        cells = np.full(len(self.votes), np.log(self.cells))
        return np.stack([np.log(self.votes), np.log(self.lines), cells, np.ones(len(cells))], axis=1)


def search(first: int, out: Path, seeds: Sequence[int], programs: int, threads: int) -> list[Answers]:
    """Search for every second training task from `first` on; return the answers."""
    tasks = development_tasks(first)
    cells = {task.task.id: output_cells(task.task) for task in tasks}
    out.mkdir(parents=True, exist_ok=True)
    found = []
    for seed in seeds:
        for row in sorted(run(tasks, "default", seed, programs, threads, out), key=lambda row: row["task"]):
            if answers := row["answers"]:
                lines = [len(Program.parse(one["program"])) for one in answers]
                columns = ([one[name] for one in answers] for name in ("votes", "public", "right"))
                votes, public, fresh = columns
                found.append(Answers(row["task"], cells[row["task"]], votes, lines, public, fresh))
    return found


def probabilities(features: Floats, numbers: Floats) -> Floats:
    """Return how likely each answer of a task is right."""
    weights = np.exp(features @ numbers)
    return weights / (1 + weights.sum())


def fit(data: Sequence[Answers], used: Sequence[str] = FEATURES) -> Floats:
    """Return the exponents of votes, lines and cells, and the logarithm of the constant.

    The exponents of features that are not `used` are 0.
    """
    features, right = [one.features() for one in data], [np.array(one.public, float) for one in data]
    scale = np.concatenate(features).std(axis=0)
    penalty = PENALTY * scale**2  # of a standardised exponent
    penalty[-1] = 0.0  # of the constant
    penalty[[k for k, name in enumerate(FEATURES) if name not in used]] = 1e12
    numbers = np.zeros(4)
    for _ in range(100):  # Newton's method; the likelihood is concave
        gradient, curvature = -penalty * numbers, np.diag(penalty)
        for x, y in zip(features, right, strict=True):
            p = probabilities(x, numbers)
            gradient += x.T @ (y - p)
            curvature += (x.T * p) @ x - np.outer(p @ x, p @ x)
        step = np.linalg.solve(curvature, gradient)
        numbers += step
        if np.abs(step).max() < 1e-9:
            return numbers
    raise ArithmeticError("the fit does not converge")


def cross_validate(data: Sequence[Answers], used: Sequence[str] = FEATURES) -> list[Floats]:
    """Return the probabilities of the answers by fits without the task's part of the data."""
    ids = np.random.default_rng(0).permutation(sorted({one.task for one in data})).tolist()
    part = {task_id: k % PARTS for k, task_id in enumerate(ids)}
    numbers = [fit([one for one in data if part[one.task] != k], used) for k in range(PARTS)]
    return [probabilities(one.features(), numbers[part[one.task]]) for one in data]


def show(data: Sequence[Answers], likely: Sequence[Floats], seeds: int) -> None:
    """Print the tables of answers and of tasks. `likely` has the probabilities of the answers."""
    console = Console()
    p, y = np.concatenate(likely), np.concatenate([one.public for one in data])
    table = Table("probability", "answers", "mean probability", "share right")
    for low, high in pairwise(BINS):
        inside = (p >= low) & (p < high)
        if inside.any():
            table.add_row(
                f"{low:.0%} to {high:.0%}",
                str(inside.sum()),
                f"{p[inside].mean():.0%}",
                f"{y[inside].mean():.0%}",
            )
    console.print(table)
    title = f"tasks a seed, {seeds} seeds"
    table = Table("probability", "answered", "right", "right on fresh inputs", "share right", title=title)
    for threshold in (0.0, *THRESHOLDS):
        chosen = [one for one, p in zip(data, likely, strict=True) if p[:TOP].sum() >= threshold]
        public = sum(any(one.public[:TOP]) for one in chosen)
        fresh = sum(any(one.fresh[:TOP]) for one in chosen)
        counts = (f"{n / seeds:.1f}" for n in (len(chosen), public, fresh))
        table.add_row(f"at least {threshold:.0%}", *counts, f"{public / len(chosen):.0%}")
    console.print(table)


def show_losses(data: Sequence[Answers], fits: Mapping[str, Sequence[Floats]]) -> None:
    """Print the losses of some fits, given by the probabilities of the answers."""
    table = Table("fit by", "log loss, first answer", "Brier", f"log loss, best {TOP}", "Brier")
    constants = [np.mean([any(one.public[:k]) for one in data]) for k in (1, TOP)]
    for name, likely in {"share of all": None, **fits}.items():
        figures: list[float] = []
        for k, constant in zip((1, TOP), constants, strict=True):
            p = np.array([constant if likely is None else likely[n][:k].sum() for n in range(len(data))])
            of_truth = np.where([any(one.public[:k]) for one in data], p, 1 - p).clip(1e-9)
            figures += [-np.log(of_truth).mean(), ((1 - of_truth) ** 2).mean()]
        table.add_row(name, *(f"{figure:.3f}" for figure in figures))
    Console().print(table)


def read(path: Path = DATA) -> list[Answers]:
    return [Answers(*json.loads(line)) for line in path.read_text(encoding="utf-8").splitlines()]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--programs", type=int, default=confidence.PROGRAMS, help="programs a task")
    parser.add_argument("--threads", type=int, default=0)
    parser.add_argument("--others", action="store_true", help="check the other training tasks")
    parser.add_argument("--out", type=Path, required=True, help="directory of the searches")
    arguments = parser.parse_args()
    seeds, rest = arguments.seeds, (arguments.seeds, arguments.programs, arguments.threads)
    if arguments.others:
        data = search(1, arguments.out / "others", *rest)
        numbers = np.array([confidence.VOTES, confidence.LINES, confidence.CELLS, confidence.CONSTANT])
        likely = [probabilities(one.features(), numbers) for one in data]
        show_losses(data, {"the development tasks": likely})
        show(data, likely, len(seeds))
        return
    data = search(0, arguments.out / "development", *rest)
    DATA.write_text("".join(json.dumps(one, separators=(",", ":")) + "\n" for one in data), encoding="utf-8")
    numbers = fit(data)
    print("VOTES, LINES, CELLS, CONSTANT = " + ", ".join(f"{number:.2f}" for number in numbers))
    fits = {
        ", ".join(used): cross_validate(data, used)
        for used in (FEATURES[:1], FEATURES[:2], (FEATURES[0], FEATURES[2]), FEATURES)
    }
    show_losses(data, fits)
    show(data, fits[", ".join(FEATURES)], len(seeds))


if __name__ == "__main__":
    main()
