"""Which encoding and which shape of network learn most in the same time: one row a variant.

    python benchmarks/policies.py clues patches3 runs sparse --minutes 15 --threads 1 --out runs/study

Each variant is `configs/pretrain.toml` with a few changes, trained for as long, with every fifth training
task held out: its expert and whatever comes of it. The rest is measured on those 80 tasks, each of which gets
24 and 400 samples, or as many as `--samples` says. A variant that is there already is not trained again.
Compare only what was trained on the same machine, as busy.
"""

from __future__ import annotations

import argparse
import csv
import json
from pathlib import Path

import torch
from rich.console import Console
from rich.table import Table

from codeit.config import PretrainingSettings
from codeit.policy.pretraining import pretrain, split
from codeit.storage.search_log import SearchLog
from codeit.data.tasks import load_tasks
from codeit.experiments.policy_evaluation import evaluate_policy

CONFIG = Path(__file__).parents[1] / "configs" / "pretrain.toml"
VARIANTS: dict[str, dict[str, object]] = {
    "clues": {},
    "alike": {"training.micro_batch_tokens": 4096},  # a step is of examples of like length
    "patches1": {
        **{"policy.encoding": "patches", "policy.patch": 1},
        **{"policy.max_input_tokens": 1024, "policy.max_output_tokens": 1024},
    },
    "patches2": {"policy.encoding": "patches", "policy.patch": 2},
    "patches3": {"policy.encoding": "patches"},
    "patches4": {"policy.encoding": "patches", "policy.patch": 4},
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
HELD_OUT = 5


def measure(
    name: str, folder: Path, minutes: float, threads: int, samples: int, overrides: dict[str, object]
) -> dict[str, float]:
    """Train a variant and try it on the tasks held out."""
    path = folder / name
    training = {"steps": 10**9, "minutes": minutes, "held_out": HELD_OUT, "threads": threads}
    overrides = {**{f"training.{key}": value for key, value in training.items()}, **overrides}
    config = PretrainingSettings.load(CONFIG, {**overrides, **VARIANTS[name]})
    policy = pretrain(path, config, lambda share, row: print(f"{name} {share:.0%} {row['loss']:.3f}"))
    _, tasks = split(load_tasks(config.data.train), HELD_OUT)
    if threads:
        torch.set_num_threads(threads)
    with SearchLog(path / "trial", {"seed": 0, "samples": samples}) as record:
        counts = evaluate_policy(record, policy, tasks, samples, 0, threads=threads)
        curve = record.publish(tasks, [24, samples])
        seconds = sum(part.seconds for part in record.parts().values())
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
        "samples_a_second": counts.drawn / seconds,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("variants", nargs="+", choices=VARIANTS)
    parser.add_argument("--minutes", type=float, default=15)
    parser.add_argument("--threads", type=int, default=0)
    parser.add_argument("--rate", type=float, help="highest learning rate")
    parser.add_argument("--samples", type=int, default=400, help="for each task held out")
    parser.add_argument("--out", type=Path, required=True)
    arguments = parser.parse_args()
    rates: dict[str, object] = {} if arguments.rate is None else {"training.learning_rate": arguments.rate}
    rows = {}
    for name in arguments.variants:
        how = (arguments.minutes, arguments.threads, arguments.samples)
        rows[name] = measure(name, arguments.out, *how, rates)
        figures = json.dumps(rows[name], indent=2) + "\n"
        (arguments.out / name / "figures.json").write_text(figures, encoding="utf-8")
    table = Table("variant", *next(iter(rows.values())))
    for name, row in rows.items():
        table.add_row(name, *(f"{value:,.4g}" for value in row.values()))
    Console().print(table)


if __name__ == "__main__":
    main()
