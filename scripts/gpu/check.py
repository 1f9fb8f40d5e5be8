"""Compares what a device computes with what the CPU computes, and measures both.

    python scripts/gpu/check.py --device cuda --out check.json

The reference is the shipped policy in fp32 on the CPU. On the device it runs in every precision
that the device supports. A table shows each difference with its bound, then the speeds. The exit
code is 1 if a bound is broken. `--device cpu` compares the CPU with itself.
"""

from __future__ import annotations

import argparse
import json
import math
import resource
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import torch
import transformers

from codeit.config import PretrainingConfig, PretrainingSettings, SamplingConfig, TrainingConfig
from codeit.data.tasks import Task, load_tasks
from codeit.language import ParseError, Program, run_batch
from codeit.policy.decoder import Decoder
from codeit.policy.model import SHIPPED, Policy, PolicyError
from codeit.policy.pretraining import held_out
from codeit.policy.sampling import sample
from codeit.policy.training import (
    IGNORED,
    MicroBatch,
    Trainer,
    TrainingExample,
    collate,
    micro_batches,
)
from codeit.seeds import derive

LOSS_BOUNDS = {"fp32": 1e-4, "bf16": 1e-2, "fp16": 1e-2}
"""Relative differences of a mean loss.

In fp32 (tf32 off) only the order of sums differs: 1e-7 a sum, about 1e-5 after ten layers. In bf16
a rounding is up to 2^-9 = 2e-3, in fp16 2^-11. Their errors have both signs, and the mean of
thousands of tokens averages most of them out.
"""
LOGIT_BOUNDS = {"fp32": 1e-4, "bf16": 3e-2, "fp16": 1e-2}
"""Norms of the difference of logits, relative to the norm of the logits.

Some 50 roundings of activations and weights, of random sign, add up to about √50 times one.
"""
DEVIATIONS = 4
"""Largest difference of two shares, in standard deviations."""
STEPS = 20
"""Optimizer steps after which the loss on their examples has to be lower."""
SECONDS = 5.0
"""Least time that a speed is measured for."""
TRAINING_TOKENS = {"cuda": 8192, "cpu": 1024}
"""Padded tokens of a forward pass when the speed of training is measured."""


class Check(NamedTuple):
    """A value that must not exceed its bound."""

    name: str
    value: float
    bound: float

    @property
    def holds(self) -> bool:
        return self.value <= self.bound  # false for NaN


class Measurement(NamedTuple):
    """A figure without a bound."""

    name: str
    value: float


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--device", default="cuda", help="cuda, cuda:N or cpu")
    parser.add_argument("--out", type=Path, help="JSON file for the results")
    parser.add_argument("--examples", type=int, default=1000, help="most examples for losses and training")
    parser.add_argument("--tasks", type=int, default=60, help="tasks to sample 24 programs for")
    options = parser.parse_args()
    torch.set_float32_matmul_precision("highest")  # no tf32
    try:
        reference, policy = Policy.load(SHIPPED, "cpu"), Policy.load(SHIPPED, options.device)
    except PolicyError as error:
        parser.error(str(error))

    examples = held_out(PretrainingSettings(pretraining=PretrainingConfig(hold_out_every=5)))
    examples = examples[: options.examples]
    tasks = load_tasks("arc-agi-1/training")[: options.tasks]
    precisions = [name for name in LOSS_BOUNDS if is_supported(policy, name)]

    checks = [
        *check_losses(reference, policy, precisions, examples),
        *check_training(options.device, precisions, examples),
        *check_logits(reference, policy, precisions, examples),
    ]
    of_samples, measurements = check_samples(reference, policy, tasks)
    checks += of_samples
    measurements += measure_training(options.device, precisions, examples)
    print_tables(checks, measurements)
    if options.out:
        options.out.parent.mkdir(parents=True, exist_ok=True)
        options.out.write_text(json.dumps(as_json(policy.device, checks, measurements), indent=2) + "\n")
    return 0 if all(check.holds for check in checks) else 1


def is_supported(policy: Policy, precision: Any) -> bool:
    """Return whether `Trainer` uses this precision on the device, instead of falling back to fp32."""
    return Trainer(policy, TrainingConfig(precision=precision)).dtype == dtype_of(precision)


def dtype_of(precision: str) -> torch.dtype:
    return {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}[precision]


def batches_of(examples: Sequence[TrainingExample], tokens: int) -> list[MicroBatch]:
    return [collate(micro) for micro in micro_batches(examples, tokens)]


def check_losses(
    reference: Policy, policy: Policy, precisions: Sequence[Any], examples: Sequence[TrainingExample]
) -> list[Check]:
    """Compare the mean loss of all examples."""
    batches = batches_of(examples, 8192)
    expected = Trainer(reference, TrainingConfig()).loss(batches)
    checks = []
    for precision in precisions:
        loss = Trainer(policy, TrainingConfig(precision=precision)).loss(batches)
        bound = LOSS_BOUNDS[precision]
        checks.append(
            Check(f"loss, {precision}: relative difference", abs(loss - expected) / expected, bound)
        )
    return checks


def check_training(
    device: str, precisions: Sequence[Any], examples: Sequence[TrainingExample]
) -> list[Check]:
    """Take optimizer steps on the same examples, from the shipped weights each time."""
    batches = batches_of(examples[:64], 4096)
    checks = []
    for precision in precisions:
        policy = Policy.load(SHIPPED, device)
        trainer = Trainer(policy, TrainingConfig(precision=precision, learning_rate=1e-4))
        first = trainer.step(batches)
        broken = sum(int((~torch.isfinite(weight)).sum()) for weight in policy.model.parameters())
        checks.append(Check(f"step, {precision}: weights that are not finite", broken, 0))
        for _ in range(STEPS - 1):
            trainer.step(batches)
        checks.append(Check(f"step, {precision}: loss after {STEPS}", trainer.loss(batches), first))
    return checks


@torch.inference_mode()
def check_logits(
    reference: Policy, policy: Policy, precisions: Sequence[str], examples: Sequence[TrainingExample]
) -> list[Check]:
    """Compare the logits of `Decoder`, token by token, with those of a forward pass."""
    some = sorted(examples, key=lambda example: len(example.source))[:: max(1, len(examples) // 32)]
    batch = collate(some)
    shown = batch.labels != IGNORED
    tokens = batch.labels.masked_fill(~shown, reference.encoding.pad_id).roll(1, dims=1)
    tokens[:, 0] = reference.encoding.start_id
    expected = (
        reference.model(
            inputs_embeds=reference.embed(batch.source),
            attention_mask=batch.mask,
            decoder_input_ids=tokens,
        )
        .logits[..., : reference.encoding.output_size]
        .float()
    )
    on_device, n = tokens.to(policy.device), tokens.shape[1]
    checks = []
    for precision in precisions:
        decoder = Decoder(policy, dtype_of(precision))
        memory = decoder.encode([example.source for example in some])
        cache = decoder.cache(len(some), len(some), n)
        sources = torch.arange(len(some), dtype=torch.int32, device=policy.device)
        steps = [decoder.step(on_device[:, k], sources, k, cache, memory) for k in range(n)]
        difference = torch.stack(steps, 1).cpu() - expected
        value = float(difference[shown].norm() / expected[shown].norm())
        checks.append(
            Check(f"decoder, {precision}: relative difference of logits", value, LOGIT_BOUNDS[precision])
        )
    return checks


def check_samples(
    reference: Policy, policy: Policy, tasks: Sequence[Task]
) -> tuple[list[Check], list[Measurement]]:
    """Sample for the same tasks on both; all samples must parse, and similar shares must run.

    Given the tasks, samples are independent. If each runs with the same probability on both, the
    variance of the difference of the shares is at most 2 p (1 − p) / n.
    """
    settings = SamplingConfig(batch_rows=1536)
    shares, measurements = [], []
    for index, one in enumerate((reference, policy)):
        seeds = [derive(index, "check", task.id) for task in tasks]
        demonstrations = [task.train for task in tasks]
        list(sample(one, demonstrations[:2], settings, seeds=seeds[:2]))  # warm up
        started = time.perf_counter()
        texts = dict(sample(one, demonstrations, settings, seeds=seeds))
        n = sum(map(len, texts.values()))
        rate = n / (time.perf_counter() - started)
        parsed, ran = count_samples(tasks, texts)
        shares.append((parsed / n, ran / n))
        where = f"{one.device.type}{' (reference)' if index == 0 else ''}"
        measurements += [
            Measurement(f"{where}: samples per second", rate),
            Measurement(f"{where}: share of {n} samples that runs", ran / n),
        ]
    (_, expected), (parses, runs) = shares
    p = (expected + runs) / 2
    bound = DEVIATIONS * math.sqrt(2 * p * (1 - p) / n)
    return [
        Check("samples: share that does not parse", 1 - parses, 0),
        Check("samples: difference of the shares that run", abs(runs - expected), bound),
    ], measurements


def count_samples(tasks: Sequence[Task], texts: dict[int, list[str]]) -> tuple[int, int]:
    """Return how many samples parse, and how many give a grid on every input of their task."""
    programs, inputs = [], []
    for index, of_task in texts.items():
        for text in of_task:
            try:
                programs.append(Program.parse(text))
            except ParseError:
                continue
            inputs.append([pair.input for pair in tasks[index].train])
    outcomes = run_batch(programs, inputs)
    ran = sum(all(outcome.grid is not None for outcome in of_program) for of_program in outcomes)
    return len(programs), ran


def measure_training(
    device: str, precisions: Sequence[Any], examples: Sequence[TrainingExample]
) -> list[Measurement]:
    """Measure training of the shipped policy, also on the CPU, and of pretrain-gpu's network."""
    large = PretrainingSettings.load("pretrain-gpu").policy.model_copy(update={"device": device})
    cases: list[tuple[str, str, Policy]] = []
    if device != "cpu":
        cases.append(("shipped", "fp32", Policy.load(SHIPPED, "cpu")))
    for precision in precisions:
        cases.append(("shipped", precision, Policy.load(SHIPPED, device)))
        cases.append(("pretrain-gpu", precision, Policy.create(large, seed=0)))
    measurements = []
    for name, precision, policy in cases:
        what = f"{policy.device.type}: {name}, {precision}"
        measurements += measure_steps(what, policy, precision, examples)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return [*measurements, Measurement("resident memory of this process, peak, MiB", peak)]


def measure_steps(
    what: str, policy: Policy, precision: Any, examples: Sequence[TrainingExample]
) -> list[Measurement]:
    """Repeat a step of four forward passes; return the speed and, of a GPU, the memory."""
    on_gpu = policy.device.type == "cuda"
    trainer = Trainer(policy, TrainingConfig(precision=precision))
    step = batches_of(examples, TRAINING_TOKENS[policy.device.type])[:4]
    policy.model.train()
    trainer.step(step)  # the first one is slow
    if on_gpu:
        torch.cuda.reset_peak_memory_stats(policy.device)
    started, steps, seconds = time.perf_counter(), 0, 0.0
    while seconds < SECONDS:
        trainer.step(step)  # waits for the device
        steps, seconds = steps + 1, time.perf_counter() - started
    rate = steps * sum(len(micro.labels) for micro in step) / seconds
    measurements = [Measurement(f"{what}: examples per second", rate)]
    if on_gpu:
        peak = torch.cuda.max_memory_allocated(policy.device) / 2**20
        measurements.append(Measurement(f"{what}: peak memory, MiB", peak))
    return measurements


def as_json(
    device: torch.device, checks: Sequence[Check], measurements: Sequence[Measurement]
) -> dict[str, Any]:
    return {
        "device": torch.cuda.get_device_name(device) if device.type == "cuda" else "cpu",
        "torch": torch.__version__,
        "transformers": transformers.__version__,
        "threads": torch.get_num_threads(),
        "checks": [{**check._asdict(), "holds": check.holds} for check in checks],
        "measurements": [one._asdict() for one in measurements],
    }


def print_tables(checks: Sequence[Check], measurements: Sequence[Measurement]) -> None:
    print(f"{'check':56} {'value':>12} {'bound':>12}")
    for check in checks:
        verdict = "" if check.holds else "  BROKEN"
        print(f"{check.name:56} {check.value:12.3g} {check.bound:12.3g}{verdict}")
    print(f"\n{'measurement':56} {'value':>12}")
    for one in measurements:
        print(f"{one.name:56} {one.value:12.4g}")


if __name__ == "__main__":
    raise SystemExit(main())
