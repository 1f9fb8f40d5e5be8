"""Teach the policy: cross-entropy on program tokens, in plain PyTorch steps.

AdamW without a schedule, gradients accumulated to an effective batch (Butt et al. 2024, arXiv 2402.04858:
5e-5, 512). An effective batch is cut into micro-batches of like length, so that little is spent on padding,
and its loss is the mean over its program tokens: neither padding nor the cut into micro-batches moves it,
but for rounding.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors import safe_open
from safetensors.torch import save_file
from torch.nn import functional

from codeit.config import TrainingConfig
from codeit.policy.grid_tokens import Tokens
from codeit.policy.model import Policy, PolicyError, pad_sources

IGNORED = -100
"""The label of padding; cross-entropy leaves it out."""
_STATE = "optimizer.safetensors"
_DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}


class TrainingExample(NamedTuple):
    """A task as its encoding has it, and the token ids of a program, end included."""

    source: Tokens
    target: list[int]


class MicroBatch(NamedTuple):
    """Examples for one forward pass."""

    source: torch.Tensor
    """Padded to the longest: (examples, tokens), or (examples, tokens, words)."""
    mask: torch.Tensor
    """True where a token of the source is: (examples, tokens)."""
    labels: torch.Tensor
    """Target tokens, padded with IGNORED: (examples, tokens)."""
    sources: int
    """Tokens of the sources, without padding."""
    targets: int
    """Tokens of the targets, without padding."""

    @property
    def padded(self) -> int:
        """Tokens of both, padding included."""
        return self.mask.numel() + self.labels.numel()


@dataclass(frozen=True)
class TrainingReport:
    """What an epoch did: mean loss a target token (nats), optimizer steps, target tokens, seconds taken."""

    loss: float
    steps: int
    tokens: int
    seconds: float


class Trainer:
    """A policy and its optimizer, whose state lasts across epochs."""

    def __init__(self, policy: Policy, config: TrainingConfig) -> None:
        """`config.precision` is that of forward passes, where the device has it; weights are fp32."""
        self.policy, self.config = policy, config
        self.dtype = _DTYPES[config.precision]
        if policy.device.type == "cpu" and not (self.dtype == torch.bfloat16 and _cpu_has_bf16()):
            self.dtype = torch.float32
        self.optimizer = torch.optim.AdamW(
            policy.model.parameters(), lr=config.learning_rate, weight_decay=config.weight_decay
        )
        self.scaler = torch.amp.GradScaler(policy.device.type, enabled=self.dtype == torch.float16)

    def epoch(
        self,
        examples: Sequence[TrainingExample],
        seed: int,
        progress: Callable[[int, int], None] | None = None,
    ) -> TrainingReport:
        """`config.epochs` passes over `examples`, in an order fixed by `seed`, as dropout is.

        `progress(done, total)` is called after each optimizer step, in examples. No examples: nothing is
        done. Raises FloatingPointError if the loss is no longer finite; the weights before that step are
        kept.
        """
        started = time.perf_counter()
        model, device = self.policy.model, self.policy.device
        total, done, steps, tokens, loss = len(examples) * self.config.epochs, 0, 0, 0, 0.0
        model.train()
        with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
            torch.manual_seed(seed)
            order = torch.Generator().manual_seed(seed)
            for _ in range(self.config.epochs):
                shuffled = torch.randperm(len(examples), generator=order).tolist()
                for start in range(0, len(shuffled), self.config.batch_size):
                    batch = [examples[index] for index in shuffled[start : start + self.config.batch_size]]
                    micros = [
                        collate(micro) for micro in micro_batches(batch, self.config.micro_batch_tokens)
                    ]
                    batch_tokens = sum(micro.targets for micro in micros)
                    loss += self.step(micros) * batch_tokens
                    tokens += batch_tokens
                    done, steps = done + len(batch), steps + 1
                    if progress:
                        progress(done, total)
        model.eval()
        return TrainingReport(loss / max(tokens, 1), steps, tokens, time.perf_counter() - started)

    def step(self, batch: Sequence[MicroBatch]) -> float:
        """One optimizer step on an effective batch; its mean loss a target token.

        Raises FloatingPointError, and leaves the weights as they are, if that is not finite.
        """
        model = self.policy.model
        total = torch.zeros((), device=self.policy.device)
        batch_tokens = sum(micro.targets for micro in batch)
        self.optimizer.zero_grad()
        for micro in batch:
            loss = self._loss(micro)
            self.scaler.scale(loss / batch_tokens).backward()  # type: ignore[no-untyped-call]
            total += loss.detach()
        mean = float(total) / batch_tokens
        if not torch.isfinite(total):
            raise FloatingPointError(
                f"the loss is {mean} after finite ones; lower learning.learning_rate (now "
                f"{self.config.learning_rate}), or set learning.precision to 'bf16' or 'fp32' if it is 'fp16'"
            )
        self.scaler.unscale_(self.optimizer)
        torch.nn.utils.clip_grad_norm_(model.parameters(), self.config.max_grad_norm)
        self.scaler.step(self.optimizer)
        self.scaler.update()
        return mean

    @torch.no_grad()
    def loss(self, batches: Sequence[MicroBatch]) -> float:
        """Mean loss a target token, without dropout, and without learning."""
        self.policy.model.eval()
        return sum(float(self._loss(batch)) for batch in batches) / sum(batch.targets for batch in batches)

    def _loss(self, micro: MicroBatch) -> torch.Tensor:
        """The sum over its target tokens."""
        device, encoding = self.policy.device, self.policy.encoding
        source, mask, labels = (part.to(device) for part in micro[:3])
        with torch.autocast(device.type, self.dtype, enabled=self.dtype != torch.float32):
            embedded = self.policy.embed(source)
            output = self.policy.model(
                inputs_embeds=embedded, attention_mask=mask, decoder_input_ids=self._shift(labels)
            )
        logits = output.logits[..., : encoding.output_size].flatten(0, 1).float()
        return functional.cross_entropy(logits, labels.flatten(), ignore_index=IGNORED, reduction="sum")

    def _shift(self, labels: torch.Tensor) -> torch.Tensor:
        """What the decoder reads when it is to write `labels`: the start, then all but the last."""
        encoding = self.policy.encoding
        shifted = labels.roll(1, dims=1).masked_fill(labels.roll(1, dims=1) == IGNORED, encoding.pad_id)
        shifted[:, 0] = encoding.start_id
        return shifted

    def save(self, folder: Path) -> None:
        """Write the policy (as `Policy.save`) and the optimizer's state into `folder`."""
        self.policy.save(folder)
        tensors = {
            f"{index}.{key}": value.contiguous()
            for index, state in self.optimizer.state_dict()["state"].items()
            for key, value in state.items()
        }
        save_file(tensors, folder / _STATE, metadata={"scaler": json.dumps(self.scaler.state_dict())})

    @classmethod
    def load(cls, folder: Path, config: TrainingConfig, device: str = "auto") -> Trainer:
        """Go on from a folder written by `save`; settings come from `config`. Raises PolicyError."""
        learner = cls(Policy.load(folder, device), config)
        path = folder / _STATE
        if not path.exists():
            raise PolicyError(f"{path}: no such file; expected a folder written by Trainer.save")
        state: dict[int, dict[str, torch.Tensor]] = {}
        with safe_open(path, "pt") as file:
            for name in file.keys():  # noqa: SIM118 (safe_open is no mapping)
                index, key = name.split(".", 1)
                state.setdefault(int(index), {})[key] = file.get_tensor(name)
            scaler = json.loads(file.metadata()["scaler"])
        learner.optimizer.load_state_dict({**learner.optimizer.state_dict(), "state": state})
        if scaler and learner.scaler.is_enabled():
            learner.scaler.load_state_dict(scaler)
        return learner


def _cpu_has_bf16() -> bool:
    """Whether there are instructions for it; without, it is slower than fp32."""
    has = torch.cpu.get_capabilities()
    return bool(has.get("avx512_bf16") or has.get("amx_bf16"))


def micro_batches(batch: Sequence[TrainingExample], most_tokens: int) -> list[list[TrainingExample]]:
    """Parts of like length of at most `most_tokens` padded tokens, or of one example."""
    if not batch:
        return []
    by_source = sorted(batch, key=lambda example: len(example.source))
    tokens = np.cumsum([len(example.source) + len(example.target) for example in by_source])
    cuts = [_cut(by_source, tokens, 1 << k, most_tokens) for k in range(_MOST_STRIPS.bit_length())]
    return min(cuts, key=lambda micros: sum(_padded(micro) + _PASS for micro in micros))


_MOST_STRIPS = 64
_PASS = 512
"""What a pass costs besides its tokens, in tokens."""


def _padded(micro: Sequence[TrainingExample]) -> int:
    """Its tokens, padding included."""
    source, target = (max(map(len, side)) for side in zip(*micro, strict=True))
    return len(micro) * (source + target)


def _cut(
    by_source: Sequence[TrainingExample], tokens: NDArray[np.int64], strips: int, most_tokens: int
) -> list[list[TrainingExample]]:
    """Strips of like sources and of as many tokens each, cut into parts of like targets.

    Few strips suit short sources, many suit long ones.
    """
    micros = []
    cuts = np.searchsorted(tokens, tokens[-1] * np.arange(1, strips) / strips)
    for strip in np.split(np.arange(len(by_source)), cuts):
        micro: list[TrainingExample] = []
        source = target = 0
        for example in sorted((by_source[k] for k in strip), key=lambda example: len(example.target)):
            wider = max(source, len(example.source)), max(target, len(example.target))
            if micro and (len(micro) + 1) * sum(wider) > most_tokens:
                micros.append(micro)
                micro, wider = [], (len(example.source), len(example.target))
            micro.append(example)
            source, target = wider
        if micro:
            micros.append(micro)
    return micros


def collate(examples: Sequence[TrainingExample]) -> MicroBatch:
    """Examples side by side."""
    targets = [len(example.target) for example in examples]
    source, mask = pad_sources([example.source for example in examples], pad_id=0)
    labels = np.full((len(examples), max(targets)), IGNORED)
    for row, example in enumerate(examples):
        labels[row, : targets[row]] = example.target
    return MicroBatch(source, mask, torch.from_numpy(labels), int(mask.sum()), sum(targets))
