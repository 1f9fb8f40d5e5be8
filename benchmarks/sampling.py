"""Compares samples per second with those of transformers' `generate` for the same weights.

    python benchmarks/sampling.py POLICY [--device cuda]

Draws 24 programs for each of 32 evaluation tasks in four ways: with `generate`, limited to the words
of programs; with our sampler without the grammar, so that both draw from the same distribution;
with the grammar; and with the grammar and without replacement, as it is used. All use the same
number of CPU threads. Also measures the seconds from the start of Python to 24 programs for one
task. Prints a table and adds the figures to a JSON file.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import time
from pathlib import Path

import torch
from rich.console import Console
from rich.table import Table

from codeit.config import SamplingConfig
from codeit.data.tasks import Task, by_size, load_tasks
from codeit.policy.encoding import CompactEncoding
from codeit.policy.grammar import Grammar
from codeit.policy.model import Policy, pad_sources
from codeit.policy.sampling import sample_tokens

LATEST = Path(__file__).parent / "latest.json"
TASKS = 32
SETTINGS = SamplingConfig(samples_per_task=24, temperature=0.95, top_k=50, batch_rows=384, distinct=False)
DISTINCT = SETTINGS.model_copy(update={"distinct": True})
ROUNDS = 3
COLD = """
import sys
from pathlib import Path
from codeit.config import SamplingConfig
from codeit.data.tasks import load_tasks
from codeit.policy.model import Policy
from codeit.policy.sampling import sample
task = load_tasks("arc-agi-1/evaluation")[0]
settings = SamplingConfig(samples_per_task=24)
((_, texts),) = sample(Policy.load(Path(sys.argv[1]), sys.argv[2]), [task.train], settings, seeds=[0])
assert len(texts) == 24
"""


def generated(policy: Policy, tasks: list[Task], seed: int) -> int:
    """Return the tokens written by `generate`, for as many tasks at once as our sampler takes."""
    encoding, device = policy.encoding, policy.device
    torch.manual_seed(seed)
    tokens, tasks_at_once = 0, SETTINGS.batch_rows // SETTINGS.samples_per_task
    for start in range(0, len(tasks), tasks_at_once):
        some = tasks[start : start + tasks_at_once]
        ids, mask = pad_sources([encoding.encode_task(task.train) for task in some], encoding.pad_id)
        with torch.inference_mode(), torch.autocast("cuda", torch.bfloat16, enabled=device.type == "cuda"):
            rows = policy.model.generate(
                inputs_embeds=policy.embed(ids.to(device)),
                attention_mask=mask.to(device),
                do_sample=True,
                temperature=SETTINGS.temperature,
                top_k=SETTINGS.top_k,
                num_return_sequences=SETTINGS.samples_per_task,
                max_new_tokens=encoding.max_program_tokens,
                suppress_tokens=list(range(encoding.output_size, encoding.vocab_size)) or None,
            )
        tokens += int((rows != encoding.pad_id).sum())
    return tokens


def sampled(
    policy: Policy,
    tasks: list[Task],
    seed: int,
    grammar: Grammar | None,
    settings: SamplingConfig,
    threads: int,
) -> int:
    """Return the tokens written by our sampler."""
    seeds = [seed * TASKS + k for k in range(len(tasks))]
    drawn = sample_tokens(policy, [task.train for task in tasks], settings, grammar, seeds, threads)
    return sum(int((rows != policy.encoding.pad_id).sum()) for _, rows in drawn)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("policy", type=Path)
    parser.add_argument("--device", default="auto")
    parser.add_argument("--threads", type=int, default=0)
    parser.add_argument("--out", type=Path, default=LATEST, help="JSON file to add the figures to")
    arguments = parser.parse_args()
    threads = arguments.threads or os.cpu_count() or 1
    torch.set_num_threads(threads)
    policy = Policy.load(arguments.policy, arguments.device)
    tasks = load_tasks("arc-agi-1/evaluation")
    tasks = by_size(tasks[:: len(tasks) // TASKS][:TASKS])
    if not isinstance(policy.encoding, CompactEncoding):
        raise SystemExit(f"{arguments.policy}: expected a policy with a compact encoding, found 'paper'")
    grammar = Grammar(policy.encoding, policy.device)
    ways = {
        "generate": lambda seed: generated(policy, tasks, seed),
        "ours, free": lambda seed: sampled(policy, tasks, seed, None, SETTINGS, threads),
        "ours, grammar": lambda seed: sampled(policy, tasks, seed, grammar, SETTINGS, threads),
        "ours, distinct": lambda seed: sampled(policy, tasks, seed, grammar, DISTINCT, threads),
    }
    seconds: dict[str, list[float]] = {name: [] for name in ways}
    tokens: dict[str, list[int]] = {name: [] for name in ways}
    for seed in range(ROUNDS + 1):  # the first round warms up
        for name, draw in ways.items():
            started = time.perf_counter()
            tokens[name].append(draw(seed))
            seconds[name].append(time.perf_counter() - started)
    table = Table("sampler", "samples per second", "tokens per second", "tokens per sample", "speedup")
    base = statistics.median(seconds["generate"][1:])
    figures: dict[str, float] = {}
    for name in ways:
        median = statistics.median(seconds[name][1:])
        samples = TASKS * SETTINGS.samples_per_task
        rate, length = samples / median, sum(tokens[name][1:]) / ROUNDS / samples
        table.add_row(
            name, f"{rate:,.0f}", f"{rate * length:,.0f}", f"{length:.1f}", f"{base / median:.2f} ×"
        )
        key = name.replace(", ", "_")  # the names in results/policy/sampling.json
        figures |= {
            f"samples_a_second_{key}": rate,
            f"tokens_a_sample_{key}": length,
            f"sampling_vs_generate_{key}": base / median,
        }
    started = time.perf_counter()
    command = [sys.executable, "-c", COLD, str(arguments.policy), arguments.device]
    subprocess.run(command, check=True)
    figures["seconds_from_nothing_to_24_programs"] = time.perf_counter() - started
    Console().print(table)
    Console().print(
        f"from the start of Python to 24 programs: {figures['seconds_from_nothing_to_24_programs']:.1f} s"
    )
    kept = json.loads(arguments.out.read_text(encoding="utf-8")) if arguments.out.exists() else {}
    arguments.out.write_text(json.dumps(kept | figures, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
