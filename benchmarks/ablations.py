"""The paper's ablations (Butt et al. 2024, arXiv 2402.04858) at a budget for two cores: a row a variant.

    python benchmarks/ablations.py --seeds 0 1 --out runs/ablations
    python benchmarks/ablations.py learning.batch_size=32 --held-out runs/study/clues/policy --out runs/ideas

Each run is `configs/laptop.toml`, smaller and without evolution toward the tasks, so that what is solved is
solved by the policy's samples alone. A variant is the full method, an ablation (its changes are those of
`configs/ablations/`), `frozen` (the same samples of a policy that does not learn), or settings of one's own.
With `--held-out`, the tasks are those training tasks that `benchmarks/policies.py` kept from the policy. A
run that is there already goes on where it stopped, or is not done again.
"""

from __future__ import annotations

import argparse
import json
import tomllib
from pathlib import Path
from statistics import mean

from policies import HELD_OUT
from rich.console import Console
from rich.table import Table

from codeit.config import RunSettings
from codeit.storage.run_directory import RunDirectory
from codeit.loop import Loop
from codeit.policy.pretraining import split
from codeit.data.tasks import load_tasks

CONFIGS = Path(__file__).parents[1] / "configs"
ABLATIONS = [path.stem for path in sorted((CONFIGS / "ablations").glob("a?.toml"))]
VARIANTS = ["full", "frozen", *ABLATIONS]
FROZEN: dict[str, object] = {"replay.expert_draws": 0, "replay.policy_draws": 0}
BUDGET: dict[str, object] = {
    "run.iterations": 4,
    "evolution.programs": 0,
    "evolution.programs_per_iteration": 0,
    "evolution.try_on_tasks": False,
    "evolution.mutants": 9600,
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
    "policy_top3": "by those of the last iteration",
    "cumulative_demonstrations": "demonstrations solved",
    "examples": "examples, last iteration",
    "share_run": "share that run",
    "share_new": "share new",
}


class Lines:
    """Tells of iterations that are over."""

    def __init__(self, name: str) -> None:
        self.name = name

    def progress(self, iteration: int, phase: str, done: int, total: int) -> None:
        pass

    def recorded(self, iteration: int, metrics: dict[str, float]) -> None:
        seconds = sum(value for key, value in metrics.items() if key.startswith("seconds_"))
        print(f"{self.name}: iteration {iteration}, {seconds:.0f} s, solved {metrics['cumulative_top3']:.0f}")


def config(variant: str, seed: int, overrides: dict[str, object]) -> Config:
    """The configuration of a variant."""
    changes: dict[str, object] = {**BUDGET, **overrides, "run.seed": seed}
    if variant in ("a1", "a2"):  # which leave the policy's part of the buffer empty, or nearly so
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
        changes |= (setting.split("=", 1) for setting in variant.split(","))
    return RunSettings.load(CONFIGS / "laptop.toml", changes)


def held_out(policy: str, folder: Path) -> dict[str, object]:
    """Settings for a policy that was trained without some training tasks: those are to be solved."""
    for part, tasks in zip(("known", "held-out"), split(load_tasks("arc-agi-1/training"), HELD_OUT), strict=True):
        (folder / part).mkdir(parents=True, exist_ok=True)
        for task in tasks:
            grids = {
                part_of: [{"input": a.tolist(), "output": b and b.tolist()} for a, b in pairs]
                for part_of, pairs in (("train", task.train), ("test", task.test))
            }
            (folder / part / f"{task.id}.json").write_text(json.dumps(grids), encoding="utf-8")
    return {
        **ON_HELD_OUT,
        "policy.init": policy,
        "data.train": str(folder / "known"),
        "data.test": str(folder / "held-out"),
    }


def measure(variant: str, seed: int, out: Path, overrides: dict[str, object]) -> dict[str, float]:
    """Run a variant to its end; its last row of metrics."""
    name = f"{variant}-{seed}".replace("/", "_")
    with RunDirectory(out / name, config(variant, seed, overrides)) as folder:
        Loop(folder, Lines(name)).run()
        metrics = folder.store.metrics()
    return metrics[max(metrics)]


def spread(values: list[float]) -> str:
    """The mean, and the least and greatest."""
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
    parser.add_argument("--held-out", help="a policy of benchmarks/policies.py")
    parser.add_argument("--out", type=Path, required=True)
    arguments = parser.parse_args()
    overrides: dict[str, object] = {"run.threads": arguments.threads}
    if arguments.held_out:
        overrides |= held_out(arguments.held_out, arguments.out / "tasks")
    for variant in arguments.variants:  # so that a user_error is told before hours have passed
        config(variant, 0, overrides)
    table = Table("variant", *COLUMNS.values())
    for variant in arguments.variants:
        runs = [measure(variant, seed, arguments.out, overrides) for seed in arguments.seeds]
        table.add_row(variant, *(spread([run[key] for run in runs]) for key in COLUMNS))
    Console().print(table)


if __name__ == "__main__":
    main()
