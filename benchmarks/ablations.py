"""Runs the paper's ablations (Butt et al. 2024, arXiv 2402.04858) at a budget for two cores.

    python benchmarks/ablations.py --seeds 0 1 --out runs/ablations
    python benchmarks/ablations.py training.batch_size=32 --held-out runs/study/signatures/policy \\
        --out runs/ideas

Each run is the shipped configuration `laptop`, smaller and without evolution, so that only the
policy's samples solve tasks. A variant is the full method, an ablation (with the changes of the
shipped configurations `ablations/a1` to `a6`), `frozen` (the same samples from a policy that is not
trained), or any settings. The table has one row per variant. Its last columns compare the tasks
solved with those of the first variant, paired by task: difference, 95 % interval, sign test (see
`codeit.evaluation.comparison`). With `--held-out POLICY`, the tasks to solve are the training tasks
that `benchmarks/policies.py` held out from the policy; with `--held-out random` they are the same
tasks, and each run starts from random weights. A run that was stopped is resumed, and a finished run
is not repeated.
"""

from __future__ import annotations

import argparse
import json
import tomllib
from pathlib import Path
from statistics import mean
from typing import NamedTuple

from policies import HOLD_OUT_EVERY
from rich.console import Console
from rich.table import Table

from codeit.config import RunSettings
from codeit.data.tasks import load_tasks, task_json
from codeit.evaluation.comparison import compare
from codeit.loop import Loop
from codeit.policy.pretraining import split
from codeit.settings import CONFIGS
from codeit.storage.run_directory import RunDirectory

ABLATIONS = [path.stem for path in sorted((CONFIGS / "ablations").glob("a?.toml"))]
VARIANTS = ["full", "frozen", *ABLATIONS]
FROZEN: dict[str, object] = {"replay.expert_draws": 0, "replay.policy_draws": 0}
BUDGET: dict[str, object] = {
    "run.iterations": 4,
    "enumeration.expressions": 0,
    "evolution.programs": 0,
    "evolution.programs_per_iteration": 0,
    "mutation.run_baseline": False,
    "mutation.initial": 9600,
    "replay.expert_draws": 4000,
    "replay.policy_draws": 4000,
}
ON_HELD_OUT: dict[str, object] = {
    "sampling.samples_per_task": 48,
    "replay.expert_draws": 1500,
    "replay.policy_draws": 1500,
}

COLUMNS = {
    "cumulative_top3": "solved by any sample",
    "policy_top3": "by samples of the last iteration",
    "cumulative_demonstrations": "demonstrations solved",
    "examples": "examples, last iteration",
    "share_run": "share that run",
    "share_new": "share new",
}


SCOPES = {"cumulative": "any sample", "policy": "the last iteration's samples"}


class IterationPrinter:
    """Prints a line for each finished iteration."""

    def __init__(self, name: str) -> None:
        self.name = name

    def progress(self, iteration: int, phase: str, done: int, total: int) -> None:
        pass

    def recorded(self, iteration: int, metrics: dict[str, float]) -> None:
        seconds = sum(value for key, value in metrics.items() if key.startswith("seconds_"))
        print(f"{self.name}: iteration {iteration}, {seconds:.0f} s, solved {metrics['cumulative_top3']:.0f}")


def config(variant: str, seed: int, overrides: dict[str, object]) -> RunSettings:
    """Return the settings of a variant."""
    changes: dict[str, object] = {**BUDGET, **overrides, "run.seed": seed}
    if variant in ("a1", "a2"):  # the policy's part of the buffer stays empty, or nearly so
        changes["replay.expert_draws"] = 2 * int(str(changes["replay.expert_draws"]))
    if variant in ABLATIONS:
        text = (CONFIGS / "ablations" / f"{variant}.toml").read_text(encoding="utf-8")
        sections = {key: table for key, table in tomllib.loads(text).items() if isinstance(table, dict)}
        changes |= {
            f"{name}.{key}": value for name, table in sections.items() for key, value in table.items()
        }
    elif variant == "frozen":
        changes |= FROZEN
    elif variant != "full":
        if "=" not in variant:
            raise SystemExit(f"{variant}: expected {', '.join(VARIANTS)} or key=value[,key=value]")
        changes |= dict(setting.split("=", 1) for setting in variant.split(","))
    return RunSettings.load("laptop", changes)


def held_out(policy: str, directory: Path) -> dict[str, object]:
    """Return settings for a policy with held-out training tasks: these are the tasks to solve."""
    parts = split(load_tasks("arc-agi-1/training"), HOLD_OUT_EVERY)
    for part, tasks in zip(("known", "held-out"), parts, strict=True):
        (directory / part).mkdir(parents=True, exist_ok=True)
        for task in tasks:
            (directory / part / f"{task.id}.json").write_text(json.dumps(task_json(task)), encoding="utf-8")
    return {
        **ON_HELD_OUT,
        "policy.init": policy,
        "data.train": str(directory / "known"),
        "data.test": str(directory / "held-out"),
    }


class Measured(NamedTuple):
    """A finished run."""

    metrics: dict[str, float]
    """Of the last iteration."""
    solved: dict[str, list[str]]
    """Tasks solved at top 3, by what solves them (see `SCOPES`)."""
    tasks: list[str]
    """All tasks to solve."""


def measure(variant: str, seed: int, out: Path, overrides: dict[str, object]) -> Measured:
    """Run a variant to its end."""
    name = f"{variant}-{seed}".replace("/", "_")
    with RunDirectory(out / name, config(variant, seed, overrides)) as directory:
        loop = Loop(directory, IterationPrinter(name))
        loop.run()
        metrics = directory.database.metrics()
        last = max(metrics)
        solved = {scope: directory.database.scores(last, scope) for scope in SCOPES}
    return Measured(metrics[last], solved, [task.id for task in loop.test_tasks])


def spread(values: list[float]) -> str:
    """Return the mean, the minimum and the maximum as text."""
    return f"{mean(values):.3g} ({min(values):.3g} to {max(values):.3g})"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument(
        "variants",
        nargs="*",
        default=VARIANTS,
        help=f"{', '.join(VARIANTS)} (by default all of these), or key=value[,key=value]",
    )
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1])
    parser.add_argument("--threads", type=int, default=0)
    parser.add_argument("--held-out", help="a policy of benchmarks/policies.py, or random")
    parser.add_argument("--set", nargs="+", default=[], metavar="KEY=VALUE", help="settings of all variants")
    parser.add_argument("--out", type=Path, required=True)
    arguments = parser.parse_args()
    overrides: dict[str, object] = {"run.threads": arguments.threads}
    if arguments.held_out:
        overrides |= held_out(arguments.held_out, arguments.out / "tasks")
    overrides |= dict(setting.split("=", 1) for setting in arguments.set)
    for variant in arguments.variants:  # reports errors at once, not after hours
        config(variant, 0, overrides)
    differences = [f"tasks more than {arguments.variants[0]}, {name}" for name in SCOPES.values()]
    table = Table("variant", *COLUMNS.values(), *differences)
    first: list[Measured] = []
    for variant in arguments.variants:
        runs = [measure(variant, seed, arguments.out, overrides) for seed in arguments.seeds]
        first = first or runs
        figures = [spread([run.metrics[key] for run in runs]) for key in COLUMNS]
        compared = [
            str(compare(runs[0].tasks, *([run.solved[scope] for run in some] for some in (runs, first))))
            for scope in SCOPES
        ]
        table.add_row(variant, *figures, *compared)
    Console().print(table)


if __name__ == "__main__":
    main()
