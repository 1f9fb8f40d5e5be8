"""Training of the policy: cross-entropy on program tokens, in plain PyTorch steps.

The optimizer is AdamW with a constant learning rate, after an optional warm-up. Gradients are
accumulated to an effective batch (Butt et al. 2024, arXiv 2402.04858: learning rate 5e-5, batch
size 512). An effective batch is cut into micro-batches of similar length, which saves padding. Its
loss is the mean over its program tokens or over its programs (`training.loss`), so that neither
padding nor the cut into micro-batches changes it, except for rounding.
"""

from __future__ import annotations

import ctypes
import json
import sys
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch.nn import functional
from transformers import T5Config, T5ForConditionalGeneration

from codeit.config import TrainingConfig
from codeit.policy.distributed import Ranks
from codeit.policy.encoding import Encoding
from codeit.policy.grid_tokens import Tokens
from codeit.policy.model import DamagedPolicyError, Policy, PolicyError, cpu_has_bf16, pad_sources
from codeit.policy.threads import torch_threads

IGNORED = -100
"""The label of padding, which cross-entropy ignores."""
_STATE = "optimizer.safetensors"
_DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}


class TrainingExample(NamedTuple):
    """The tokens of a task, and the token ids of a program including the end."""

    source: Tokens
    target: list[int]


class MicroBatch(NamedTuple):
    """Examples for one forward pass."""

    source: torch.Tensor
    """Source ids, padded to the longest: (examples, tokens), or (examples, tokens, words)."""
    mask: torch.Tensor
    """True at the tokens of a source, false at padding: (examples, tokens)."""
    labels: torch.Tensor
    """Target ids, padded with IGNORED: (examples, tokens)."""
    sources: int
    """Number of source tokens, without padding."""
    targets: int
    """Number of target tokens, without padding."""

    @property
    def padded(self) -> int:
        """Number of source and target tokens, including padding."""
        return self.mask.numel() + self.labels.numel()


@dataclass(frozen=True)
class TrainingReport:
    """Figures of a training epoch."""

    loss: float
    """Mean loss in nats per target token."""
    steps: int
    """Optimizer steps."""
    tokens: int
    """Target tokens."""
    seconds: float


class _Setup(NamedTuple):
    """What other ranks need to know of a trainer, besides its weights."""

    architecture: T5Config
    encoding: Encoding
    config: TrainingConfig
    threads: int
    device: str


class _Share(NamedTuple):
    """The part of a step that a rank computes."""

    micros: Sequence[MicroBatch]
    batch_tokens: int
    """Target tokens of the effective batch, all shares together."""
    batch_programs: int
    setup: _Setup | None = None
    """With the first step of a trainer."""
    scaler: dict[str, Any] = {}  # noqa: RUF012 (a default that nobody changes)
    seed: int = 0
    """Of dropout."""


Gradients = tuple[torch.Tensor, Sequence[torch.Tensor | None]]
"""The sum of the losses of a micro-batch, and its part of the gradient for each parameter."""


class Trainer:
    """A policy and its optimizer, whose state is kept from epoch to epoch."""

    def __init__(
        self, policy: Policy, config: TrainingConfig, threads: int = 1, ranks: Ranks | None = None
    ) -> None:
        """Forward passes run in `config.precision` if the device supports it. Weights are fp32.

        On a CPU, `threads` micro-batches are computed at once, by all `ranks` of the machine together.
        """
        self.policy, self.config, self.ranks = policy, config, ranks
        self.threads = max(1, threads // ranks.local_size) if ranks else threads
        self._is_known = False  # to the other ranks
        self.dtype = _DTYPES[config.precision]
        if policy.device.type == "cpu" and not (self.dtype == torch.bfloat16 and cpu_has_bf16()):
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
        """Train for `config.epochs` passes over `examples`. The order and dropout depend on `seed`.

        `progress(done, total)` is called after each optimizer step, in examples. Without examples
        nothing happens. Raises FloatingPointError if the loss is not finite; the weights before
        that step are kept.
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
        _return_memory()
        return TrainingReport(loss / max(tokens, 1), steps, tokens, time.perf_counter() - started)

    def step(self, batch: Sequence[MicroBatch]) -> float:
        """Take an optimizer step on an effective batch; return its mean loss per target token.

        The step minimises the mean that `config.loss` names, at the learning rate of
        `config.warmup_steps` if that is above 0, else at that of the optimizer.

        Raises FloatingPointError and keeps the weights if the loss is not finite.
        """
        batch_tokens = sum(micro.targets for micro in batch)
        batch_programs = sum(len(micro.labels) for micro in batch)
        share = _Share(batch, batch_tokens, batch_programs)
        if self.ranks:
            share = self._divide(share, self.ranks)
        with self._threads() as pool:
            return self._apply(self._gradients(share, pool), batch_tokens)

    def _divide(self, batch: _Share, ranks: Ranks) -> _Share:
        """Send each rank its share of an effective batch; return that of this rank."""
        seeds = torch.randint(2**62, (ranks.size,)).tolist()
        scaler = self.scaler.state_dict()
        setup = None if self._is_known else self._setup(ranks)
        shares = [
            batch._replace(micros=micros, setup=setup, scaler=scaler, seed=seed)
            for micros, seed in zip(divide(batch.micros, ranks.size), seeds, strict=True)
        ]
        ranks.send(shares)
        self._is_known = True
        return shares[0]

    def _setup(self, ranks: Ranks) -> _Setup:
        policy = self.policy
        if policy.device.index is not None:
            raise PolicyError(
                f"policy.device: expected 'auto', 'cpu' or 'cuda' with {ranks.size} processes, each of which "
                f"has a GPU of its own, found '{policy.device}'"
            )
        threads = self.threads * ranks.local_size
        return _Setup(policy.model.config, policy.encoding, self.config, threads, policy.device.type)

    def _threads(self) -> AbstractContextManager[ThreadPoolExecutor | None]:
        """Return the threads that compute micro-batches, or None if this one does."""
        # With dropout, the order in which threads draw random numbers would change the result.
        shared = self.policy.device.type == "cpu" and not self.policy.model.config.dropout_rate
        return torch_threads(self.threads) if shared else nullcontext()

    def _gradients(self, share: _Share, pool: ThreadPoolExecutor | None) -> torch.Tensor:
        """Set the gradients to those of a share, micro-batches in order; return its loss, summed.

        With several ranks, gradients and loss are those of all shares.
        """
        parameters = list(self.policy.model.parameters())

        def gradients(micro: MicroBatch) -> Gradients:
            losses = self._losses(micro)
            if self.config.loss == "tokens":
                mean = losses.sum() / share.batch_tokens
            else:
                tokens = (micro.labels != IGNORED).sum(1).to(losses.device)
                mean = (losses.sum(1) / tokens).sum() / share.batch_programs
            parts = torch.autograd.grad(self.scaler.scale(mean), parameters, allow_unused=True)
            return losses.detach().sum(), parts

        if self.ranks:
            self.ranks.share_weights(parameters)
        total = torch.zeros((), device=self.policy.device)
        self.optimizer.zero_grad()
        for loss, parts in (pool.map if pool else map)(gradients, share.micros):
            total += loss
            for parameter, part in zip(parameters, parts, strict=True):
                if part is not None:
                    parameter.grad = part if parameter.grad is None else parameter.grad.add_(part)
        return self.ranks.sum_gradients(parameters, total) if self.ranks else total

    def _apply(self, total: torch.Tensor, batch_tokens: int) -> float:
        """Take the step, given the sum of the losses."""
        parameters = list(self.policy.model.parameters())
        self._warm_up()
        per_token = float(total) / batch_tokens
        if not torch.isfinite(total):
            raise FloatingPointError(
                f"training: expected a finite loss, found {per_token}; lower the learning_rate (now "
                f"{self.config.learning_rate}), or set precision to 'bf16' or 'fp32' if it is 'fp16'"
            )
        self.scaler.unscale_(self.optimizer)
        torch.nn.utils.clip_grad_norm_(parameters, self.config.max_grad_norm)
        self.scaler.step(self.optimizer)
        self.scaler.update()
        return per_token

    def _warm_up(self) -> None:
        """Set the learning rate of the next step, from the steps that the optimizer has counted."""
        if warmup_steps := self.config.warmup_steps:
            states = self.optimizer.state.values()
            step = 1 + max((int(state["step"]) for state in states), default=0)
            for group in self.optimizer.param_groups:
                group["lr"] = self.config.learning_rate * min(1.0, step / warmup_steps)

    @torch.no_grad()
    def loss(self, batches: Sequence[MicroBatch]) -> float:
        """Return the mean loss per target token, without dropout and without training."""
        self.policy.model.eval()
        total = sum(float(self._losses(batch).sum()) for batch in batches)
        return total / sum(batch.targets for batch in batches)

    def _losses(self, micro: MicroBatch) -> torch.Tensor:
        """Return the loss of each target token, 0 at padding: (examples, tokens)."""
        device, encoding = self.policy.device, self.policy.encoding
        source, mask, labels = (part.to(device) for part in micro[:3])
        with torch.autocast(device.type, self.dtype, enabled=self.dtype != torch.float32):
            embedded = self.policy.embed(source)
            output = self.policy.model(
                inputs_embeds=embedded, attention_mask=mask, decoder_input_ids=self._shift(labels)
            )
        logits = output.logits[..., : encoding.output_size].flatten(0, 1).float()
        losses = functional.cross_entropy(logits, labels.flatten(), ignore_index=IGNORED, reduction="none")
        return losses.view_as(labels)

    def _shift(self, labels: torch.Tensor) -> torch.Tensor:
        """Return the decoder's input: the start token, then all labels except the last."""
        encoding = self.policy.encoding
        shifted = labels.roll(1, dims=1).masked_fill(labels.roll(1, dims=1) == IGNORED, encoding.pad_id)
        shifted[:, 0] = encoding.start_id
        return shifted

    def save(self, directory: Path) -> None:
        """Write the policy (with `Policy.save`) and the optimizer's state into `directory`."""
        self.policy.save(directory)
        tensors = {
            f"{index}.{key}": value.contiguous()
            for index, state in self.optimizer.state_dict()["state"].items()
            for key, value in state.items()
        }
        save_file(tensors, directory / _STATE, metadata={"scaler": json.dumps(self.scaler.state_dict())})

    @classmethod
    def load(
        cls,
        directory: Path,
        config: TrainingConfig,
        device: str = "auto",
        threads: int = 1,
        ranks: Ranks | None = None,
    ) -> Trainer:
        """Read a directory written by `save`; settings come from `config`.

        Raises PolicyError, which is a DamagedPolicyError if a file is lost or damaged.
        """
        trainer = cls(Policy.load(directory, device), config, threads, ranks)
        path = directory / _STATE
        if not path.exists():
            raise DamagedPolicyError(f"{path}: no such file", "expected a directory written by Trainer.save")
        state: dict[int, dict[str, torch.Tensor]] = {}
        try:
            with safe_open(path, "pt") as file:
                for name in file.keys():  # noqa: SIM118 (safe_open is not a mapping)
                    index, key = name.split(".", 1)
                    state.setdefault(int(index), {})[key] = file.get_tensor(name)
                scaler = json.loads(file.metadata()["scaler"])
            trainer._check_state(state)
            trainer.optimizer.load_state_dict({**trainer.optimizer.state_dict(), "state": state})
            if scaler and trainer.scaler.is_enabled():
                trainer.scaler.load_state_dict(scaler)
        except (SafetensorError, OSError, ValueError, TypeError, LookupError, RuntimeError) as error:
            raise DamagedPolicyError(
                f"{path}: expected the state of the optimizer, found damage: {error}"
            ) from error
        return trainer

    def _check_state(self, state: dict[int, dict[str, torch.Tensor]]) -> None:
        """Raise ValueError if a state of the optimizer does not fit the parameters."""
        parameters = list(self.policy.model.parameters())
        for index, parameter_state in state.items():
            for key in ("exp_avg", "exp_avg_sq"):
                found = parameter_state[key]
                if found.shape != parameters[index].shape or not torch.isfinite(found).all():
                    raise ValueError(f"{index}.{key} does not fit the weights, or is not finite")
            step = parameter_state["step"]
            if step.numel() != 1 or not torch.isfinite(step).all():
                raise ValueError(f"{index}.step is not a number")


def follow(ranks: Ranks) -> None:
    """Compute this rank's share of each step of rank 0, until that ends the training."""
    trainer: Trainer | None = None
    while (share := ranks.receive()) is not None:
        if share.setup:
            trainer = _make_follower(share.setup, ranks)
        assert trainer is not None  # rank 0 begins with the setup
        trainer.scaler.load_state_dict(share.scaler)
        torch.manual_seed(share.seed)
        with trainer._threads() as pool:
            trainer._gradients(share, pool)


def _make_follower(setup: _Setup, ranks: Ranks) -> Trainer:
    """Return a trainer like that of rank 0, except for its weights, on a GPU of its own if on any."""
    device = torch.device("cpu")
    if setup.device == "cuda":
        if ranks.local_rank >= (n := torch.cuda.device_count()):
            raise PolicyError(
                f"torchrun --nproc-per-node: expected at most one process for each of {n} GPUs, found "
                f"{ranks.local_size}"
            )
        device = torch.device("cuda", ranks.local_rank)
        torch.cuda.set_device(device)
    policy = Policy(T5ForConditionalGeneration(setup.architecture), setup.encoding, device)
    policy.model.train()
    trainer = Trainer(policy, setup.config, setup.threads, ranks)
    torch.set_num_threads(trainer.threads)
    return trainer


def divide(batch: Sequence[MicroBatch], n: int) -> list[list[MicroBatch]]:
    """Divide micro-batches into n shares that cost about the same, the largest first."""
    shares: list[list[MicroBatch]] = [[] for _ in range(n)]
    costs = [0] * n
    for micro in sorted(batch, key=lambda micro: micro.padded, reverse=True):
        least = costs.index(min(costs))
        shares[least].append(micro)
        costs[least] += micro.padded + _PASS_TOKENS
    return shares


def _return_memory() -> None:
    """Return the memory of freed tensors to the system, if the allocator is glibc's.

    The allocator would keep it, and more with each epoch: tensors that stay in use, such as cached
    kernels, lie between the freed ones and divide their memory into ever smaller pieces.
    """
    if sys.platform == "linux" and (trim := getattr(ctypes.CDLL(None), "malloc_trim", None)):
        trim(0)


_MAX_STRIPS = 64
_PASS_TOKENS = 512
"""Cost of a forward pass besides its tokens, in tokens."""


def micro_batches(batch: Sequence[TrainingExample], max_tokens: int) -> list[list[TrainingExample]]:
    """Cut a batch into parts of one example or at most `max_tokens` padded tokens."""
    if not batch:
        return []
    by_source = sorted(batch, key=lambda example: len(example.source))
    tokens = np.cumsum([len(example.source) + len(example.target) for example in by_source])
    cuts = [_cut(by_source, tokens, 1 << k, max_tokens) for k in range(_MAX_STRIPS.bit_length())]
    return min(cuts, key=lambda micros: sum(_padded_tokens(micro) + _PASS_TOKENS for micro in micros))


def _padded_tokens(micro: Sequence[TrainingExample]) -> int:
    """Return the number of tokens including padding."""
    source, target = (max(map(len, side)) for side in zip(*micro, strict=True))
    return len(micro) * (source + target)


def _cut(
    by_source: Sequence[TrainingExample], tokens: NDArray[np.int64], strips: int, max_tokens: int
) -> list[list[TrainingExample]]:
    """Cut into strips by source length, and each strip into parts by target length.

    Strips have equal numbers of tokens. Few strips suit short sources, many strips suit long ones.
    `tokens` is cumulative.
    """
    micros = []
    cuts = np.searchsorted(tokens, tokens[-1] * np.arange(1, strips) / strips)
    for strip in np.split(np.arange(len(by_source)), cuts):
        micro: list[TrainingExample] = []
        source = target = 0
        for example in sorted((by_source[k] for k in strip), key=lambda example: len(example.target)):
            wider = max(source, len(example.source)), max(target, len(example.target))
            if micro and (len(micro) + 1) * sum(wider) > max_tokens:
                micros.append(micro)
                micro, wider = [], (len(example.source), len(example.target))
            micro.append(example)
            source, target = wider
        if micro:
            micros.append(micro)
    return micros


def collate(examples: Sequence[TrainingExample]) -> MicroBatch:
    """Stack examples, padded to the longest source and target."""
    targets = [len(example.target) for example in examples]
    source, mask = pad_sources([example.source for example in examples], pad_id=0)
    labels = np.full((len(examples), max(targets)), IGNORED)
    for row, example in enumerate(examples):
        labels[row, : targets[row]] = example.target
    return MicroBatch(source, mask, torch.from_numpy(labels), int(mask.sum()), sum(targets))
