"""Samples a second, beside transformers' `generate` with the same weights and settings, in the same run.

    python benchmarks/sampling.py POLICY [--device cuda]

Draws 24 programs for each of some evaluation tasks: with `generate`, kept to the words of programs; with our
sampler, as free as that, so that both draw from one distribution; and with our sampler held to the grammar,
as it is used. Also the seconds from nothing to 24 programs of one task, imports included. Prints a table and
adds the figures to a JSON file.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import time
from pathlib import Path

import torch
from rich.console import Console
from rich.table import Table

from codeit.policy.grammar import Grammar
from codeit.policy.model import Policy, pad_sources
from codeit.policy.sampling import sample_tokens
from codeit.data.tasks import Task, by_size, load_tasks

LATEST = Path(__file__).parent / "latest.json"
TASKS, SAMPLES, TEMPERATURE, TOP_K, ROWS = 16, 24, 0.95, 50, 384
ROUNDS = 3
COLD = """
import sys
from pathlib import Path
from codeit.policy.model import Policy
from codeit.policy.sampling import sample
from codeit.data.tasks import load_tasks
task = load_tasks("arc-agi-1/evaluation")[0]
((_, texts),) = sample(Policy.load(Path(sys.argv[1]), sys.argv[2]), [task.train], 24, seeds=[0])
assert len(texts) == 24
"""


def generated(policy: Policy, tasks: list[Task], seed: int) -> int:
    """Tokens written by `generate`, of as many tasks at once as our sampler takes."""
    encoding, device = policy.encoding, policy.device
    torch.manual_seed(seed)
    tokens = 0
    for start in range(0, len(tasks), ROWS // SAMPLES):
        some = tasks[start : start + ROWS // SAMPLES]
        ids, mask = pad_sources([encoding.encode_task(task.train) for task in some], encoding.pad_id)
        with torch.inference_mode(), torch.autocast("cuda", torch.bfloat16, enabled=device.type == "cuda"):
            rows = policy.model.generate(
                inputs_embeds=policy.embed(ids.to(device)),
                attention_mask=mask.to(device),
                do_sample=True,
                temperature=TEMPERATURE,
                top_k=TOP_K,
                num_return_sequences=SAMPLES,
                max_new_tokens=encoding.max_program_tokens,
                suppress_tokens=list(range(encoding.output_size, encoding.vocab_size)) or None,
            )
        tokens += int((rows != encoding.pad_id).sum())
    return tokens


def sampled(policy: Policy, tasks: list[Task], seed: int, grammar: Grammar | None) -> int:
    """Tokens written by our sampler."""
    drawn = sample_tokens(
        policy, [task.train for task in tasks], SAMPLES, grammar, TEMPERATURE, TOP_K,
        seeds=[seed * TASKS + k for k in range(len(tasks))], batch_rows=ROWS,
    )  # fmt: skip
    return sum(int((rows != policy.encoding.pad_id).sum()) for _, rows in drawn)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("policy", type=Path)
    parser.add_argument("--device", default="auto")
    parser.add_argument("--threads", type=int, default=0)
    parser.add_argument("--out", type=Path, default=LATEST, help="JSON file, to which the figures are added")
    arguments = parser.parse_args()
    if arguments.threads:
        torch.set_num_threads(arguments.threads)
    policy = Policy.load(arguments.policy, arguments.device)
    tasks = load_tasks("arc-agi-1/evaluation")
    tasks = by_size(tasks[:: len(tasks) // TASKS][:TASKS])
    grammar = Grammar(policy.encoding, policy.device)
    ways = {
        "generate": lambda seed: generated(policy, tasks, seed),
        "ours, free": lambda seed: sampled(policy, tasks, seed, None),
        "ours, grammar": lambda seed: sampled(policy, tasks, seed, grammar),
    }
    seconds: dict[str, list[float]] = {name: [] for name in ways}
    tokens: dict[str, list[int]] = {name: [] for name in ways}
    for seed in range(ROUNDS + 1):  # the first round warms up
        for name, draw in ways.items():
            started = time.perf_counter()
            tokens[name].append(draw(seed))
            seconds[name].append(time.perf_counter() - started)
    table = Table("sampler", "samples a second", "tokens a second", "tokens a sample", "against generate")
    base = statistics.median(seconds["generate"][1:])
    figures: dict[str, float] = {}
    for name in ways:
        took = statistics.median(seconds[name][1:])
        of_sample = sum(tokens[name][1:]) / ROUNDS / TASKS / SAMPLES
        rate = TASKS * SAMPLES / took
        table.add_row(
            name, f"{rate:,.0f}", f"{rate * of_sample:,.0f}", f"{of_sample:.1f}", f"{base / took:.2f} ×"
        )
        key = name.replace(", ", "_")
        figures |= {
            f"samples_a_second_{key}": rate,
            f"tokens_a_sample_{key}": of_sample,
            f"sampling_vs_generate_{key}": base / took,
        }
    started = time.perf_counter()
    command = [sys.executable, "-c", COLD, str(arguments.policy), arguments.device]
    subprocess.run(command, check=True)
    figures["seconds_from_nothing_to_24_programs"] = time.perf_counter() - started
    Console().print(table)
    Console().print(f"from nothing to 24 programs: {figures['seconds_from_nothing_to_24_programs']:.1f} s")
    kept = json.loads(arguments.out.read_text(encoding="utf-8")) if arguments.out.exists() else {}
    arguments.out.write_text(json.dumps(kept | figures, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
