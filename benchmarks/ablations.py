"""The paper's ablations (Butt et al. 2024, arXiv 2402.04858) at a budget for two cores: a row a variant.

    python benchmarks/ablations.py --seeds 0 1 --out runs/ablations

Each run is `configs/laptop.toml`, smaller and without evolution toward the tasks, so that what is solved is
solved by the policy's samples alone; an ablation's changes are those of `configs/ablations/`. A run that is
there already goes on where it stopped, or is not done again.
"""

from __future__ import annotations

import argparse
import tomllib
from pathlib import Path
from statistics import mean

from rich.console import Console
from rich.table import Table

from codeit.config import Config
from codeit.folder import RunFolder
from codeit.loop import Loop

CONFIGS = Path(__file__).parents[1] / "configs"
VARIANTS = ["full", *(path.stem for path in sorted((CONFIGS / "ablations").glob("a?.toml")))]
BUDGET: dict[str, object] = {
    "run.iterations": 4,
    "evolution.programs": 0,
    "evolution.try_on_tasks": False,
    "evolution.mutants": 9600,
    "replay.expert_draws": 4000,
    "replay.policy_draws": 4000,
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
    if variant != "full":
        text = (CONFIGS / "ablations" / f"{variant}.toml").read_text(encoding="utf-8")
        sections = {key: table for key, table in tomllib.loads(text).items() if isinstance(table, dict)}
        changes |= {
            f"{name}.{key}": value for name, table in sections.items() for key, value in table.items()
        }
    return Config.load(CONFIGS / "laptop.toml", changes)


def measure(variant: str, seed: int, out: Path, overrides: dict[str, object]) -> dict[str, float]:
    """Run a variant to its end; its last row of metrics."""
    name = f"{variant}-{seed}"
    with RunFolder(out / name, config(variant, seed, overrides)) as folder:
        Loop(folder, Lines(name)).run()
        metrics = folder.store.metrics()
    return metrics[max(metrics)]


def spread(values: list[float], form: str = ".0f") -> str:
    """The mean, and the least and greatest."""
    return f"{mean(values):.1f} ({min(values):{form}} to {max(values):{form}})"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument(
        "variants", nargs="*", default=VARIANTS, help=f"of {' '.join(VARIANTS)}; all by default"
    )
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1])
    parser.add_argument("--threads", type=int, default=0)
    parser.add_argument("--out", type=Path, required=True)
    arguments = parser.parse_args()
    table = Table("variant", "solved by any sample", "by those of the last iteration", "% that run", "% new")
    rows = {
        variant: [
            measure(variant, seed, arguments.out, {"run.threads": arguments.threads})
            for seed in arguments.seeds
        ]
        for variant in arguments.variants
    }
    for variant, runs in rows.items():
        shares = [[100 * row[key] for row in runs] for key in ("share_run", "share_new")]
        solved = [[row[key] for row in runs] for key in ("cumulative_top3", "policy_top3")]
        table.add_row(variant, *map(spread, solved), *(spread(values, ".1f") for values in shares))
    Console().print(table)


if __name__ == "__main__":
    main()
