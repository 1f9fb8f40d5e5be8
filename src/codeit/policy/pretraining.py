"""Pre-training: a policy learns from a corpus, example after example, no behaviour twice but the experts'.

config.toml    the configuration as resolved
checkpoints/N  after step N the policy, its optimizer, and how far training has come; the last is kept
progress.csv   one row a window: step, examples, loss, learning rate, seconds, …
policy/        the policy when it is done, in half precision, as `--policy.init` takes it

A window is some rounds of the corpus, cut into micro-batches of like length, of which a step takes a few at
random.
Killed at any moment and called again, training goes on from its last checkpoint; on a CPU it ends with the
weights that it would have had otherwise, unless it is to end by the clock (`training.minutes`), which the
learning rate then follows.
"""

from __future__ import annotations

import contextlib
import csv
import io
import json
import math
import queue
import shutil
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
from codeit.parallel import map_ordered
from codeit.policy.corpus import Corpus, PretrainingExample
from codeit.policy.encoding import CompactEncoding, NotEncodableError
from codeit.policy.model import Policy, PolicyError
from codeit.policy.training import MicroBatch, Trainer, TrainingExample, collate, micro_batches
from codeit.seeds import derive
from codeit.storage.files import RunError, lock_directory, write_atomically, write_directory

COLUMNS = (
    *("step", "examples", "loss", "held_out_loss", "learning_rate"),
    *("source_tokens", "target_tokens", "padding", "teraflops", "seconds"),
)
"""Of progress.csv: losses in nats a target token; a window's tokens, share of padding, 10¹² operations."""
HELD_OUT = 1000
"""Examples of the tasks that are held out, on which the loss is taken."""
_HELD_OUT_TOKENS = 16_384


class Window(NamedTuple):
    """Some rounds of the corpus."""

    next_round: int
    """The first that is not in it."""
    batches: list[list[MicroBatch]]
    """In the order of training."""
    new: NDArray[np.uint64]
    """Behaviours that are seen here first."""


def pretrain(
    directory: Path,
    config: PretrainingSettings,
    *,
    report: Callable[[float, dict[str, float]], None] = lambda share, row: None,
    progress: Callable[[str, int, int], None] = lambda phase, done, total: None,
) -> Policy:
    """Train as configured, from wherever the directory stands; return the policy when done.

    `report(share, row)` is called after each window with the share of training that is done and its row of
    progress.csv. `progress(phase, done, total)` is called in between.

    Raises RunError if the directory belongs to another configuration or another process holds it, PolicyError
    and FloatingPointError as `Policy` and `Trainer` do.
    """
    if config.policy.encoding == "paper":
        raise PolicyError(
            "policy.encoding: expected 'signatures', 'patches', 'runs' or 'sparse', whose vocabulary is the "
            "language's, found 'paper', whose tokenizer comes with a trained policy"
        )
    lock = lock_directory(directory)
    try:
        settings = directory / "config.toml"
        if settings.exists() and _one_worker(PretrainingSettings.load(settings)) != _one_worker(config):
            raise RunError(f"{settings}: holds another configuration; choose another --out, or put it back")
        write_atomically(settings, config.to_toml())
        training = _Training(directory, config)
        with contextlib.closing(training.windows):
            while training.share < 1:
                training.window()
                report(training.share, training.rows[-1])
        write_directory(directory / "policy", partial(training.learner.policy.save, dtype=torch.float16))
        return training.learner.policy
    finally:
        lock.release()


def last_checkpoint(directory: Path) -> Path | None:
    """Return the newest complete checkpoint of a training, or None."""
    return max((directory / "checkpoints").glob("[0-9]" * 8), default=None)


def _one_worker(config: PretrainingSettings) -> PretrainingSettings:
    """The configuration without what no result depends on."""
    return config.model_copy(update={"pretraining": config.pretraining.model_copy(update={"workers": 1})})


class _Training:
    """Training between two windows."""

    def __init__(self, folder: Path, config: PretrainingSettings) -> None:
        self.folder, self.config = folder, config
        if config.pretraining.threads:
            torch.set_num_threads(config.pretraining.threads)
        learning = TrainingConfig(
            learning_rate=config.pretraining.learning_rate,
            weight_decay=config.pretraining.weight_decay,
            micro_batch_tokens=config.pretraining.micro_batch_tokens,
            precision=config.pretraining.precision,
        )
        checkpoint = last_checkpoint(folder)
        self.rows: list[dict[str, float]] = []
        self.round = self.step = self.examples = 0
        self.seconds = 0.0
        self.seen = [np.empty(0, np.uint64)]
        if checkpoint:
            self.learner = Trainer.load(checkpoint, learning, config.policy.device)
            state = json.loads((checkpoint / "state.json").read_text(encoding="utf-8"))
            self.round, self.step, self.rows = state["round"], state["step"], state["rows"]
            self.examples, self.seconds = state["examples"], state["seconds"]
            self.seen = [np.load(checkpoint / "seen.npy")]
        else:
            policy = Policy.create(config.policy, derive(config.pretraining.seed, "create"))
            self.learner = Trainer(policy, learning)
        self.saved = self.seconds
        self.held_out = [collate(micro) for micro in micro_batches(held_out(config), _HELD_OUT_TOKENS)]
        self.windows = windows(config, self.round, set(self.seen[0].tolist()))

    @property
    def share(self) -> float:
        """Of training, done: by steps or by minutes, whichever is further."""
        training = self.config.pretraining
        minutes = training.minutes or math.inf
        return min(1.0, max(self.step / training.steps, self.seconds / 60 / minutes))

    def window(self) -> None:
        started = time.perf_counter()
        window = next(self.windows)
        learner, device = self.learner, self.learner.policy.device
        loss, tokens, shown, padded, rate = 0.0, [0, 0], 0, 0, self._rate()
        learner.policy.model.train()
        with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
            torch.manual_seed(derive(self.config.pretraining.seed, "window", window.next_round))
            for batch in window.batches:
                if self.share >= 1:
                    break
                rate = self._rate()
                for group in learner.optimizer.param_groups:
                    group["lr"] = rate
                loss += learner.step(batch) * sum(micro.targets for micro in batch)
                for micro in batch:
                    tokens[0] += micro.sources
                    tokens[1] += micro.targets
                    padded += micro.padded
                    shown += len(micro.labels)
                self.step += 1
                now = time.perf_counter()
                self.seconds, started = self.seconds + now - started, now
        learner.policy.model.eval()
        self.round = window.next_round
        self.seen.append(window.new)
        self.examples += shown
        self.rows.append(
            {
                "step": self.step,
                "examples": self.examples,
                "loss": loss / max(tokens[1], 1),
                "held_out_loss": learner.loss(self.held_out) if self.held_out else math.nan,
                "learning_rate": rate,
                "source_tokens": tokens[0],
                "target_tokens": tokens[1],
                "padding": 1 - sum(tokens) / max(padded, 1),
                "teraflops": operations(learner.policy, *tokens) / 1e12,
                "seconds": self.seconds,
            }
        )
        if self.seconds - self.saved > 60 * self.config.pretraining.checkpoint_minutes or self.share >= 1:
            self._save()

    def _rate(self) -> float:
        """The learning rate: a rise in a line, then half a cosine down to nothing."""
        training, share = self.config.pretraining, self.share
        if share < training.warmup:
            return training.learning_rate * max(share, 1 / training.steps) / training.warmup
        return training.learning_rate * 0.5 * (1 + math.cos(math.pi * share))

    def _save(self) -> None:
        state = {
            **{"round": self.round, "step": self.step, "examples": self.examples},
            **{"seconds": self.seconds, "rows": self.rows},
        }

        def fill(folder: Path) -> None:
            self.learner.save(folder)
            np.save(folder / "seen.npy", np.concatenate(self.seen))
            (folder / "state.json").write_text(json.dumps(state), encoding="utf-8")

        checkpoint = self.folder / "checkpoints" / f"{self.step:08}"
        write_directory(checkpoint, fill)
        for other in checkpoint.parent.iterdir():
            if other != checkpoint:
                shutil.rmtree(other)
        table = io.StringIO()
        writer = csv.DictWriter(table, COLUMNS, lineterminator="\n")
        writer.writeheader()
        writer.writerows({name: f"{value:.6g}" for name, value in row.items()} for row in self.rows)
        write_atomically(self.folder / "progress.csv", table.getvalue())
        self.saved = self.seconds


def windows(config: PretrainingSettings, first: int, seen: set[int]) -> Generator[Window]:
    """Windows from a round on. A behaviour in `seen` is not shown again, but for those of experts.

    The rounds of the next two windows are made meanwhile.
    """
    training = config.pretraining
    jobs = ((config, number) for number in count(first))
    rounds = map_ordered(_make, jobs, training.workers, nice=10)
    micro_tokens = min(training.micro_batch_tokens, training.batch_tokens)
    together = training.batch_tokens // micro_tokens
    with contextlib.closing(ahead(rounds, 2 * training.rounds_per_window)) as made:
        for start in count(first, training.rounds_per_window):
            examples: list[TrainingExample] = []
            new: list[int] = []
            for behaviours, some in islice(made, training.rounds_per_window):
                for behaviour, example in zip(behaviours, some, strict=True):
                    if behaviour in seen:
                        continue
                    examples.append(example)
                    if behaviour:
                        seen.add(behaviour)
                        new.append(behaviour)
            micros = [collate(micro) for micro in micro_batches(examples, micro_tokens)]
            order = np.random.default_rng([training.seed, start]).permutation(len(micros)).tolist()
            batches = [
                [micros[k] for k in order[at : at + together]] for at in range(0, len(order), together)
            ]
            yield Window(start + training.rounds_per_window, batches, np.array(new, np.uint64))


def _make(job: tuple[PretrainingSettings, int]) -> tuple[list[int], list[TrainingExample]]:
    """The examples of a round, and the behaviour of each; 0 for experts."""
    config, number = job
    corpus, encoding = _corpora(config)[0], _encoding(config.policy)
    behaviours, examples = [], []
    for lesson in corpus.round(number).lessons:
        if example := encode(encoding, lesson):
            behaviours.append(lesson.behaviour if lesson.depth else 0)
            examples.append(example)
    return behaviours, examples


def held_out(config: PretrainingSettings) -> list[TrainingExample]:
    """Examples of the tasks that are held out, as training would show them."""
    corpus, encoding = _corpora(config)[1], _encoding(config.policy)
    examples: list[TrainingExample] = []
    for number in count():
        if corpus is None or len(examples) >= HELD_OUT:
            break
        examples += [e for lesson in corpus.round(number).lessons if (e := encode(encoding, lesson))]
    return examples[:HELD_OUT]


def split(tasks: Sequence[Task], every: int) -> tuple[list[Task], list[Task]]:
    """Tasks to train on, and each `every`th, which is held out; none if that is 0."""
    out = [task for place, task in enumerate(tasks) if every and place % every == 0]
    return [task for task in tasks if task not in out], out


def encode(encoding: CompactEncoding, lesson: PretrainingExample) -> TrainingExample | None:
    """A lesson as an example; none if its program is too long."""
    try:
        return TrainingExample(encoding.encode_task(lesson.pairs), encoding.encode_program(lesson.program))
    except NotEncodableError:
        return None


@lru_cache(maxsize=1)
def _corpora(config: PretrainingSettings) -> tuple[Corpus, Corpus | None]:
    """Of the training tasks but those held out, and of those."""
    seed, every = config.pretraining.seed, config.pretraining.hold_out_every
    tasks, experts = load_tasks(config.data.train), load_experts()
    inputs = load_inputs(experts)
    pairs = [pair for task in load_tasks(config.data.test) for pair in (*task.train, *task.test)]
    unseen = {grid for pair in pairs for grid in pair if grid is not None}
    kept, out = split(tasks, every)
    if not any(task.id in experts for task in kept):
        raise RunError(
            f"nothing to train on: of the {len(kept)} tasks of data.train = {config.data.train!r} that "
            f"pretraining.hold_out_every = {every} leaves, none has an expert; "
            "expected arc-agi-1/training, or a part of it"
        )
    learnt = Corpus(kept, experts, inputs, unseen, seed, config.corpus)
    return learnt, Corpus(out, experts, inputs, unseen, seed, config.corpus) if out else None


@lru_cache(maxsize=1)
def _encoding(config: PolicyConfig) -> CompactEncoding:
    return CompactEncoding(config)


def operations(policy: Policy, source_tokens: int, target_tokens: int) -> float:
    """Floating-point operations of learning from so many tokens: six a weight and token that it meets.

    Attention's products of tokens with tokens are left out, as are the embeddings.
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


Thing = TypeVar("Thing")


def ahead(things: Iterator[Thing], n: int) -> Generator[Thing]:
    """The same things, without end, of which a thread makes up to `n` before they are asked for."""
    made: queue.Queue[Thing | BaseException] = queue.Queue(n)
    over = threading.Event()

    def make() -> None:
        try:
            for thing in things:
                made.put(thing)
                if over.is_set():
                    return
        except BaseException as error:
            made.put(error)

    thread = threading.Thread(target=make, daemon=True)
    thread.start()
    try:
        while True:
            thing = made.get()
            if isinstance(thing, BaseException):
                raise thing
            yield thing
    finally:
        over.set()
        while thread.is_alive():  # it may wait for room
            with contextlib.suppress(queue.Empty):
                made.get(timeout=0.1)
