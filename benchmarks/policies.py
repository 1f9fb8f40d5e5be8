"""Compares encodings and network sizes after equal training time: one row per variant.

    python benchmarks/policies.py signatures patches3 runs sparse \\
        --minutes 15 --threads 1 --out runs/study

A variant is the shipped configuration `pretrain` with a few changes. All are trained for the same
time, with every fifth training task held out: they are trained neither on its expert nor on programs
made from it. The other figures are measured on these 80 tasks, with 24 samples per task and with the
number given by `--samples`. A variant that is finished is not trained again. Compare only variants
that were trained on the same machine under the same load.
"""

from __future__ import annotations

import argparse
import csv
import json
from pathlib import Path

from rich.console import Console
from rich.table import Table

from codeit.config import PretrainingSettings, SamplingConfig
from codeit.data.tasks import load_tasks
from codeit.experiments.policy_evaluation import evaluate_policy
from codeit.policy.pretraining import pretrain, split
from codeit.storage.search_log import SearchLog

VARIANTS: dict[str, dict[str, object]] = {
    "signatures": {},
    "one-pass": {"pretraining.micro_batch_tokens": 4096},  # all examples of a step have similar lengths
    "patches1": {
        **{"policy.encoding": "patches", "policy.patch_size": 1},
        **{"policy.max_input_tokens": 1024, "policy.max_output_tokens": 1024},
    },
    "patches2": {"policy.encoding": "patches", "policy.patch_size": 2},
    "patches3": {"policy.encoding": "patches"},
    "patches4": {"policy.encoding": "patches", "policy.patch_size": 4},
    "runs": {"policy.encoding": "runs"},
    "sparse": {"policy.encoding": "sparse"},
    "dropout": {"policy.dropout": 0.1},
    "narrow": {"policy.d_model": 128, "policy.d_ff": 512, "policy.heads": 4},
    "wide": {"policy.d_model": 256, "policy.d_ff": 1024, "policy.heads": 8},
    "shallow": {"policy.layers_encoder": 2, "policy.layers_decoder": 2},
    "deep": {"policy.layers_encoder": 6, "policy.layers_decoder": 4},
    "encoder": {"policy.layers_encoder": 6, "policy.layers_decoder": 2},
    "decoder": {"policy.layers_encoder": 2, "policy.layers_decoder": 4},
}
HOLD_OUT_EVERY = 5


def measure(
    name: str, directory: Path, minutes: float, threads: int, samples: int, overrides: dict[str, object]
) -> dict[str, float]:
    """Train a variant and evaluate it on the held-out tasks."""
    path = directory / name
    training = {"steps": 10**9, "minutes": minutes, "hold_out_every": HOLD_OUT_EVERY, "threads": threads}
    overrides = {**{f"pretraining.{key}": value for key, value in training.items()}, **overrides}
    config = PretrainingSettings.load("pretrain", {**overrides, **VARIANTS[name]})
    policy = pretrain(path, config, report=lambda share, row: print(f"{name} {share:.0%} {row['loss']:.3f}"))
    _, tasks = split(load_tasks(config.data.train), HOLD_OUT_EVERY)
    settings = {"kind": "policy evaluation", "seed": 0, "samples": samples}
    with SearchLog(path / "evaluation", settings) as log:
        counts = evaluate_policy(
            log, policy, tasks, SamplingConfig(samples_per_task=samples), seed=0, threads=threads
        )
        curve = log.publish(tasks, [24, samples])
        seconds = sum(part.seconds for part in log.parts().values())
    with open(path / "progress.csv", encoding="utf-8") as file:
        last = list(csv.DictReader(file))[-1]
    return {
        "parameters": policy.parameters,
        "examples": float(last["examples"]),
        "loss": float(last["loss"]),
        "held_out_loss": float(last["held_out_loss"]),
        "ran": counts.ran / counts.drawn,
        "solved_one": counts.solved_one / counts.drawn,
        "solved_all": counts.solved_all / counts.drawn,
        "tasks_24": curve[24].solved_top3,
        f"tasks_{samples}": curve[samples].solved_top3,
        "samples_per_second": counts.drawn / seconds,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("variants", nargs="+", choices=VARIANTS)
    parser.add_argument("--minutes", type=float, default=15)
    parser.add_argument("--threads", type=int, default=0)
    parser.add_argument("--rate", type=float, help="peak learning rate")
    parser.add_argument("--samples", type=int, default=400, help="samples per held-out task")
    parser.add_argument("--out", type=Path, required=True)
    arguments = parser.parse_args()
    overrides: dict[str, object] = {}
    if arguments.rate is not None:
        overrides["pretraining.learning_rate"] = arguments.rate
    rows = {}
    for name in arguments.variants:
        limits = (arguments.minutes, arguments.threads, arguments.samples)
        rows[name] = measure(name, arguments.out, *limits, overrides)
        figures = json.dumps(rows[name], indent=2) + "\n"
        (arguments.out / name / "figures.json").write_text(figures, encoding="utf-8")
    table = Table("variant", *next(iter(rows.values())))
    for name, row in rows.items():
        table.add_row(name, *(f"{value:,.4g}" for value in row.values()))
    Console().print(table)


if __name__ == "__main__":
    main()
