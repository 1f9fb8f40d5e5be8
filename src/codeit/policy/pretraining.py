"""Pre-training of a policy on an endless corpus that repeats no behaviour except the experts'.

config.toml    the resolved configuration
checkpoints/N  after step N: the policy, its optimizer, the state of training; the last two
progress.csv   one row per window: step, examples, loss, learning rate, seconds, …
policy/        the finished policy in half precision, as `--policy.init` takes it

A window is a number of rounds of the corpus, cut into micro-batches of similar length. A step takes
a few random micro-batches.

A training that was killed resumes at its last checkpoint when it is called again. On a CPU it ends
with the weights of an uninterrupted training, unless it has a time limit (`pretraining.minutes`),
because the learning rate then depends on the time. If the last checkpoint is damaged, the training
resumes at the one before, which gives the same weights.
"""

from __future__ import annotations

import contextlib
import csv
import io
import json
import logging
import math
import os
import queue
import re
import threading
import time
from collections.abc import Callable, Generator, Iterator, Sequence
from functools import lru_cache, partial
from itertools import count, islice
from pathlib import Path
from typing import NamedTuple, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray

from codeit.config import PolicyConfig, PretrainingSettings, TrainingConfig
from codeit.data.experts import load_experts, load_inputs
from codeit.data.tasks import Task, load_tasks
from codeit.parallel import Cluster, map_ordered
from codeit.policy.corpus import Corpus, PretrainingExample
from codeit.policy.distributed import Ranks
from codeit.policy.encoding import CompactEncoding, NotEncodableError
from codeit.policy.model import DamagedPolicyError, Policy, PolicyError
from codeit.policy.training import MicroBatch, Trainer, TrainingExample, collate, micro_batches
from codeit.seeds import derive
from codeit.settings import ConfigError
from codeit.storage.checksums import with_checksums
from codeit.storage.files import (
    RunError,
    delete_directory,
    lock_directory,
    refuse_foreign,
    write_atomically,
    write_directory,
)

Progress = Callable[[str, int, int], None]
"""Called with a phase, and how much of it is done out of how much."""

COLUMNS = (
    *("step", "examples", "loss", "held_out_loss", "learning_rate"),
    *("source_tokens", "target_tokens", "padding", "teraflops", "seconds"),
)
"""Columns of progress.csv.

`step`, `examples` and `seconds` are totals. `learning_rate` is that of the last step. The other
columns are those of the window. Losses are in nats per target token; `held_out_loss` is empty if no
tasks are held out. `padding` is a share of all tokens. A teraflop is 10¹² operations.
"""
HELD_OUT_EXAMPLES = 1000
"""Examples of the held-out tasks that the validation loss is computed on."""
_HELD_OUT_TOKENS = 16_384
_CHECKPOINTS_KEPT = 2
_log = logging.getLogger(__name__)


class Window(NamedTuple):
    """Some rounds of the corpus."""

    next_round: int
    """Number of the first round after the window."""
    batches: list[list[MicroBatch]]
    """The micro-batches of each step, in the order of training."""
    new_behaviours: NDArray[np.uint64]
    """Behaviours that occur for the first time."""


def _no_report(share: float, row: dict[str, float]) -> None:
    pass


def _no_progress(phase: str, done: int, total: int) -> None:
    pass


def pretrain(
    directory: Path,
    config: PretrainingSettings,
    *,
    report: Callable[[float, dict[str, float]], None] = _no_report,
    progress: Progress = _no_progress,
    ranks: Ranks | None = None,
    cluster: Cluster | None = None,
) -> Policy:
    """Train as configured, from the last checkpoint if there is one; return the policy.

    `report(share, row)` is called after each window with the share of training that is done and its
    row of progress.csv. `progress(phase, done, total)` is called with the phases "simplify experts"
    and "generate inputs" while the caches are made, "make held-out examples", "make examples" while
    the rounds of a window are awaited, and "train" after each step (in thousandths of the training
    if it has a time limit, else in steps).

    With `ranks`, this process computes each step together with the others, which `follow` it. A
    `cluster` makes the examples.

    The time limit begins when the caches are there. It is checked after each round and each step.
    The policy is written even if no time was left for a step.

    Raises RunError if the directory belongs to another configuration or is locked by another
    process, and ConfigError if its configuration is that of version 0.1. Raises PolicyError and
    FloatingPointError as `Policy` and `Trainer` do. A damaged checkpoint is logged as a warning;
    raises PolicyError if all are damaged.
    """
    if config.policy.encoding == "paper":
        raise PolicyError(
            "policy.encoding: expected 'signatures', 'patches', 'runs' or 'sparse', whose vocabulary is the "
            "language's, found 'paper', whose tokenizer comes with a trained policy"
        )
    _refuse_unknown(directory, config)  # before the lock writes into the directory
    lock = lock_directory(directory)
    try:
        _refuse_unknown(directory, config)  # another process may have worked here in the meantime
        write_atomically(directory / "config.toml", config.to_toml())
        _corpora(config, progress)
        training = _Training(directory, config, progress, ranks, cluster)
        with contextlib.closing(training.windows):
            while training.share < 1:
                if training.run_window():
                    report(training.share, training.rows[-1])
        if training.unsaved:
            training.save()
        else:
            training.tidy()  # a kill after the last checkpoint may have prevented it
        save = partial(training.trainer.policy.save, dtype=torch.float16)
        write_directory(directory / "policy", with_checksums(save))
        return training.trainer.policy
    finally:
        lock.release()


def list_checkpoints(directory: Path) -> list[Path]:
    """Return the complete checkpoints of a training, oldest first."""
    return sorted((directory / "checkpoints").glob("[0-9]" * 8))


def last_checkpoint(directory: Path) -> Path | None:
    """Return the newest complete checkpoint of a training, or None."""
    return max(list_checkpoints(directory), default=None)


def _refuse_unknown(directory: Path, config: PretrainingSettings) -> None:
    """Raise an error unless the directory is new or holds a training of this configuration."""
    path = directory / "config.toml"
    if path.exists():
        _refuse_changes(path, config)
    else:
        refuse_foreign(directory, "training", {"config.toml.partial"})  # a kill in the first moment


def _refuse_changes(path: Path, config: PretrainingSettings) -> None:
    """Raise RunError if settings that results depend on differ from those in a file.

    Raises ConfigError for a file that cannot be read, such as one of version 0.1.
    """
    try:
        recorded = PretrainingSettings.load(path).flat()
    except ConfigError as error:
        raise ConfigError(
            f"{error}\n{path.parent}: expected a training of this version; choose another --out"
        ) from None
    for key, value in config.flat().items():
        if value != recorded[key] and key != "pretraining.workers":
            raise RunError(
                f"{path}: {key}: expected {recorded[key]!r}, as the training began, found {value!r}; put the "
                "value back, or choose another --out"
            )


class _Training:
    """The state of training between two windows."""

    def __init__(
        self,
        directory: Path,
        config: PretrainingSettings,
        progress: Progress,
        ranks: Ranks | None,
        cluster: Cluster | None,
    ) -> None:
        self.directory, self.config, self.progress, self.ranks = directory, config, progress, ranks
        started = time.perf_counter()
        settings = config.pretraining
        self.threads = settings.threads or os.cpu_count() or 1
        torch.set_num_threads(self.threads)
        training = TrainingConfig(
            learning_rate=settings.learning_rate,
            weight_decay=settings.weight_decay,
            micro_batch_tokens=settings.micro_batch_tokens,
            precision=settings.precision,
        )
        self.rows: list[dict[str, float]] = []
        self.next_round = self.step = self.examples = 0
        self.seconds = 0.0
        self.seen = [np.empty(0, np.uint64)]
        self._checkpoints: list[Path] = []  # undamaged ones, oldest first
        if list_checkpoints(directory):
            self._load(training)
        else:
            policy = Policy.create(config.policy, derive(settings.seed, "create"))
            self.trainer = Trainer(policy, training, self.threads, ranks)
        self.unsaved = not self._checkpoints
        self._saved_at, self._started = self.seconds, started - self.seconds
        examples = held_out(config, progress)
        self.held_out = [collate(micro) for micro in micro_batches(examples, _HELD_OUT_TOKENS)]
        self._check_clock()
        seen = set(self.seen[0].tolist())
        self.windows = iter_windows(config, self.next_round, seen, self._seconds_left, progress, cluster)

    def _load(self, training: TrainingConfig) -> None:
        """Load the newest checkpoint that is not damaged. Raises PolicyError if all are."""
        checkpoints = list_checkpoints(self.directory)
        while True:
            checkpoint = checkpoints.pop()
            try:
                self._load_checkpoint(checkpoint, training)
            except DamagedPolicyError as error:
                if not checkpoints:
                    raise DamagedPolicyError(
                        error.damage,
                        f"no other checkpoint is left: restore the file from a backup, or delete "
                        f"{checkpoint.parent} to begin the training anew",
                    ) from error
                _log.warning("%s; resuming at step %d instead", error.damage, int(checkpoints[-1].name))
            else:
                self._checkpoints = [*checkpoints, checkpoint][-_CHECKPOINTS_KEPT:]
                return

    def _load_checkpoint(self, checkpoint: Path, training: TrainingConfig) -> None:
        device = self.config.policy.device
        self.trainer = Trainer.load(checkpoint, training, device, self.threads, self.ranks)
        path = checkpoint / "state.json"
        try:
            state = json.loads(path.read_text(encoding="utf-8"))
            self.next_round, self.step, self.rows = state["round"], state["step"], state["rows"]
            self.examples, self.seconds = state["examples"], state["seconds"]
            path = checkpoint / "seen.npy"
            seen = np.load(path, allow_pickle=False)
            if seen.ndim != 1 or seen.dtype != np.uint64:
                raise ValueError(f"expected a list of uint64, found shape {seen.shape} of {seen.dtype}")
        except (OSError, EOFError, ValueError, TypeError, LookupError) as error:
            raise DamagedPolicyError(f"{path}: expected the state of the training, found: {error}") from error
        self.seen = [seen]

    @property
    def _limit(self) -> float:
        """The time limit in seconds."""
        return 60 * self.config.pretraining.minutes or math.inf

    @property
    def share(self) -> float:
        """Share of training that is done, by steps or by time, whichever is further.

        It changes only with `step` and with `_check_clock`.
        """
        return min(1.0, max(self.step / self.config.pretraining.steps, self.seconds / self._limit))

    def _check_clock(self) -> None:
        """Set `seconds` to the time spent on this training, including earlier processes."""
        self.seconds = time.perf_counter() - self._started

    def _seconds_left(self) -> float:
        self._check_clock()
        return self._limit - self.seconds

    def run_window(self) -> bool:
        """Train on the next window, add its row, and save a checkpoint if one is due.

        Return False and do nothing if the time limit has passed when the window is there.
        """
        window = next(self.windows)
        self._check_clock()
        if self.share >= 1:
            return False
        if not window.batches and self._limit == math.inf:
            if self.unsaved:
                self.save()
            raise RunError(
                f"{self.directory}: expected new examples of the corpus after step {self.step}, found none; "
                "increase corpus.proposals_per_round, max_depth or max_steps, or reduce pretraining.steps"
            )
        trainer, device = self.trainer, self.trainer.policy.device
        loss, source_tokens, target_tokens, padded, shown, rate = 0.0, 0, 0, 0, 0, self._learning_rate()
        trainer.policy.model.train()
        with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
            torch.manual_seed(derive(self.config.pretraining.seed, "window", window.next_round))
            for batch in window.batches:
                if self.share >= 1:
                    break
                rate = self._learning_rate()
                for group in trainer.optimizer.param_groups:
                    group["lr"] = rate
                loss += trainer.step(batch) * sum(micro.targets for micro in batch)
                for micro in batch:
                    source_tokens += micro.sources
                    target_tokens += micro.targets
                    padded += micro.padded
                    shown += len(micro.labels)
                self.step += 1
                self._check_clock()
                self._show_progress()
        trainer.policy.model.eval()
        self.next_round = window.next_round
        self.seen.append(window.new_behaviours)
        self.examples += shown
        self.rows.append(
            {
                "step": self.step,
                "examples": self.examples,
                "loss": loss / target_tokens if target_tokens else math.nan,
                "held_out_loss": trainer.loss(self.held_out) if self.held_out else math.nan,
                "learning_rate": rate,
                "source_tokens": source_tokens,
                "target_tokens": target_tokens,
                "padding": 1 - (source_tokens + target_tokens) / max(padded, 1),
                "teraflops": operations(trainer.policy, source_tokens, target_tokens) / 1e12,
                "seconds": self.seconds,
            }
        )
        self.unsaved = True
        checkpoint_seconds = 60 * self.config.pretraining.checkpoint_minutes
        if self.seconds - self._saved_at > checkpoint_seconds or self.share >= 1:
            self.save()
        return True

    def _show_progress(self) -> None:
        settings = self.config.pretraining
        if settings.minutes:
            self.progress("train", int(1000 * self.share), 1000)
        else:
            self.progress("train", self.step, settings.steps)

    def _learning_rate(self) -> float:
        """Return the learning rate: a linear warmup, then half a cosine down to 0."""
        settings, share = self.config.pretraining, self.share
        if share < settings.warmup:
            return settings.learning_rate * max(share, 1 / settings.steps) / settings.warmup
        return settings.learning_rate * 0.5 * (1 + math.cos(math.pi * share))

    def save(self) -> None:
        """Write a checkpoint, then `tidy`."""
        state = {
            **{"round": self.next_round, "step": self.step, "examples": self.examples},
            **{"seconds": self.seconds, "rows": self.rows},
        }

        def fill(directory: Path) -> None:
            self.trainer.save(directory)
            np.save(directory / "seen.npy", np.concatenate(self.seen))
            (directory / "state.json").write_text(json.dumps(state), encoding="utf-8")

        checkpoint = self.directory / "checkpoints" / f"{self.step:08}"
        write_directory(checkpoint, with_checksums(fill))
        others = [other for other in self._checkpoints if other != checkpoint]
        self._checkpoints = [*others, checkpoint][-_CHECKPOINTS_KEPT:]
        self._saved_at, self.unsaved = self.seconds, False
        self.tidy()

    def tidy(self) -> None:
        """Delete all checkpoints except the last two, and write progress.csv as of the last.

        Entries of other names stay.
        """
        for other in (self.directory / "checkpoints").iterdir():
            if other not in self._checkpoints and re.fullmatch(r"\d{8}(\.partial)?", other.name):
                delete_directory(other)
        table = io.StringIO()
        writer = csv.DictWriter(table, COLUMNS, lineterminator="\n")
        writer.writeheader()
        for row in self.rows:
            writer.writerow(
                {name: "" if math.isnan(value) else f"{value:.6g}" for name, value in row.items()}
            )
        write_atomically(self.directory / "progress.csv", table.getvalue())


def iter_windows(
    config: PretrainingSettings,
    first_round: int,
    seen: set[int],
    seconds_left: Callable[[], float] = lambda: math.inf,
    progress: Progress = _no_progress,
    cluster: Cluster | None = None,
) -> Generator[Window]:
    """Yield windows, beginning with a round. Skip behaviours in `seen`, except those of experts.

    `seen` is updated. The rounds of the next two windows are made in advance. A window ends early,
    after at least one round, once waiting for its rounds has taken half of the `seconds_left()`.
    """
    settings = config.pretraining
    encode = partial(_encode_round, _corpora(config)[0], config.policy)
    rounds = map_ordered(encode, count(first_round), cluster or settings.workers, nice=10)
    micro_tokens = min(settings.micro_batch_tokens, settings.batch_tokens)
    micros_per_step = settings.batch_tokens // micro_tokens
    n, start = settings.rounds_per_window, first_round
    with contextlib.closing(prefetch(rounds, 2 * n)) as prefetched:
        while True:
            examples: list[TrainingExample] = []
            new: list[int] = []
            done, deadline = 0, time.perf_counter() + seconds_left() / 2
            progress("make examples", done, n)
            for behaviours, round_examples in islice(prefetched, n):
                for behaviour, example in zip(behaviours, round_examples, strict=True):
                    if behaviour in seen:
                        continue
                    examples.append(example)
                    if behaviour:
                        seen.add(behaviour)
                        new.append(behaviour)
                done += 1
                progress("make examples", done, n)
                if time.perf_counter() >= deadline:
                    break
            micros = [collate(micro) for micro in micro_batches(examples, micro_tokens)]
            order = np.random.default_rng([settings.seed, start]).permutation(len(micros)).tolist()
            batches = [
                [micros[k] for k in order[at : at + micros_per_step]]
                for at in range(0, len(order), micros_per_step)
            ]
            start += done
            yield Window(start, batches, np.array(new, np.uint64))


def _encode_round(
    corpus: Corpus, config: PolicyConfig, number: int
) -> tuple[list[int], list[TrainingExample]]:
    """Return the behaviours (0 for experts) and the encoded examples of a round."""
    encoding = _encoding(config)
    behaviours, examples = [], []
    for example in corpus.make_round(number).examples:
        if encoded := encode_example(encoding, example):
            behaviours.append(example.behaviour if example.depth else 0)
            examples.append(encoded)
    return behaviours, examples


def held_out(config: PretrainingSettings, progress: Progress = _no_progress) -> list[TrainingExample]:
    """Return examples of the held-out tasks, made like those for training.

    There are HELD_OUT_EXAMPLES, or fewer if a round gives none.
    """
    corpus, encoding = _corpora(config)[1], _encoding(config.policy)
    examples: list[TrainingExample] = []
    for number in count():
        if corpus is None or len(examples) >= HELD_OUT_EXAMPLES:
            break
        progress("make held-out examples", len(examples), HELD_OUT_EXAMPLES)
        encoded = [encode_example(encoding, example) for example in corpus.make_round(number).examples]
        found = [example for example in encoded if example is not None]
        if not found:
            break
        examples += found
    return examples[:HELD_OUT_EXAMPLES]


def split(tasks: Sequence[Task], every: int) -> tuple[list[Task], list[Task]]:
    """Split tasks into those to train on and those held out: every n-th one, or none if n is 0."""
    is_out = [every > 0 and index % every == 0 for index in range(len(tasks))]
    train = [task for task, out in zip(tasks, is_out, strict=True) if not out]
    return train, [task for task, out in zip(tasks, is_out, strict=True) if out]


def encode_example(encoding: CompactEncoding, example: PretrainingExample) -> TrainingExample | None:
    """Encode an example. Return None if its program is not encodable."""
    try:
        return TrainingExample(encoding.encode_task(example.pairs), encoding.encode_program(example.program))
    except NotEncodableError:
        return None


_cached_corpora: dict[PretrainingSettings, tuple[Corpus, Corpus | None]] = {}


def _corpora(config: PretrainingSettings, progress: Progress = _no_progress) -> tuple[Corpus, Corpus | None]:
    """Return the corpus of the training tasks, and that of the held-out tasks or None.

    The last pair is cached. The first call in a process loads the simplified experts and generated
    inputs, or makes them.
    """
    if config not in _cached_corpora:
        _cached_corpora.clear()
        _cached_corpora[config] = _make_corpora(config, progress)
    return _cached_corpora[config]


def _make_corpora(config: PretrainingSettings, progress: Progress) -> tuple[Corpus, Corpus | None]:
    seed, every = config.pretraining.seed, config.pretraining.hold_out_every
    tasks = load_tasks(config.data.train)
    experts = load_experts(progress=partial(progress, "simplify experts"))
    inputs = load_inputs(experts, progress=partial(progress, "generate inputs"))
    pairs = [pair for task in load_tasks(config.data.test) for pair in (*task.train, *task.test)]
    avoid = {grid for pair in pairs for grid in pair if grid is not None}
    train, out = split(tasks, every)
    if not any(task.id in experts for task in train):
        raise RunError(
            f"data.train: expected tasks with an expert, as in arc-agi-1/training, found none among the "
            f"{len(train)} tasks of {config.data.train!r} left by pretraining.hold_out_every = {every}"
        )
    corpus = Corpus(train, experts, inputs, avoid, seed, config.corpus)
    return corpus, Corpus(out, experts, inputs, avoid, seed, config.corpus) if out else None


@lru_cache(maxsize=1)
def _encoding(config: PolicyConfig) -> CompactEncoding:
    return CompactEncoding(config)


def operations(policy: Policy, source_tokens: int, target_tokens: int) -> float:
    """Return the floating-point operations of training on a number of tokens.

    There are six per token and weight that the token is multiplied with. Attention's products of
    tokens with tokens and the embeddings are not counted.
    """
    model = policy.model
    encoder = sum(p.numel() for p in model.encoder.block.parameters())
    decoder = sum(p.numel() for p in model.decoder.block.parameters())
    cross = sum(
        part.layer[1].EncDecAttention.k.weight.numel() + part.layer[1].EncDecAttention.v.weight.numel()
        for part in model.decoder.block
    )
    head = model.config.d_model * policy.encoding.output_size
    return 6.0 * float((encoder + cross) * source_tokens + (decoder - cross + head) * target_tokens)


Item = TypeVar("Item")


def prefetch(items: Iterator[Item], n: int) -> Generator[Item]:
    """Yield the items of an endless iterator. A thread makes up to `n` of them in advance."""
    ready: queue.Queue[Item | BaseException] = queue.Queue(n)
    stopped = threading.Event()

    def make() -> None:
        try:
            for item in items:
                ready.put(item)
                if stopped.is_set():
                    return
        except BaseException as error:
            ready.put(error)

    thread = threading.Thread(target=make, daemon=True)
    thread.start()
    try:
        while True:
            item = ready.get()
            if isinstance(item, BaseException):
                raise item
            yield item
    finally:
        stopped.set()
        while thread.is_alive():  # it may wait for room in the queue
            with contextlib.suppress(queue.Empty):
                ready.get(timeout=0.1)
