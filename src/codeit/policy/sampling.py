"""Sampling of programs from the policy, with replacement or without.

Each task is encoded once, and its samples are decoded side by side. A batch is a flat list of rows,
one per unfinished sample.

Samples with replacement are independent: some of them are equal. Samples without replacement are
all different: stochastic beam search (Kool, van Hoof and Welling 2019, arXiv 1903.06059) draws
exactly what drawing one sample after the other, and rejecting those seen before, would give.
Temperature and top-k follow Butt et al. 2024 (arXiv 2402.04858).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from itertools import chain, islice
from typing import NamedTuple, Protocol

import torch

from codeit.config import SamplingConfig
from codeit.parallel import Cluster, map_ordered
from codeit.policy.decoder import Decoder, Memory
from codeit.policy.encoding import CompactEncoding, Encoding
from codeit.policy.grammar import Grammar
from codeit.policy.grid_tokens import Demonstrations, Tokens
from codeit.policy.model import Policy
from codeit.policy.threads import torch_threads


def sample(
    policy: Policy,
    tasks: Sequence[Demonstrations],
    settings: SamplingConfig,
    *,
    seeds: Sequence[int],
    threads: int = 1,
) -> Iterator[tuple[int, list[str]]]:
    """Sample programs for each task; yield (index of the task, program texts) as batches finish.

    Tasks with sources of similar length are decoded together, about `settings.batch_rows` samples
    at once. `seeds`, one per task, determine the samples of a task, regardless of the tasks that
    share its batch and of `threads`, the number of batches decoded side by side on a CPU. With
    the compact encoding every text parses. If `settings.distinct`, the texts of a task are distinct
    token sequences, likeliest first on average, and fewer than `settings.samples_per_task` if there
    are no more. Raises ValueError unless there is one seed per task.
    """
    for index, rows in sample_tokens(policy, tasks, settings, _grammar(policy), seeds, threads):
        yield index, _texts(policy, rows)


def sample_by_replicas(
    cluster: Cluster,
    policy: Policy,
    chunks: Sequence[tuple[Sequence[Demonstrations], Sequence[int]]],
    settings: SamplingConfig,
) -> Iterator[dict[int, list[str]]]:
    """Sample the tasks of each chunk, with its seeds, as `sample` does on a CPU, by replicas.

    Yield the program texts by index of the task, chunk by chunk. The policy, which is on a CPU,
    travels once to each node. A batch has the tasks that it has in `sample`, so that the texts are
    the same, except for rounding on other kinds of processors.
    """
    batches = (one for tasks, seeds in chunks for one in _batches(policy, tasks, settings, seeds))
    sampled = map_ordered(partial(_sample_batch, policy, settings), batches, cluster)
    for tasks, _ in chunks:
        n = -(-len(tasks) // _tasks_per_batch(settings))
        yield dict(chain.from_iterable(islice(sampled, n)))


def sample_tokens(
    policy: Policy,
    tasks: Sequence[Demonstrations],
    settings: SamplingConfig,
    grammar: Grammar | None,
    seeds: Sequence[int],
    threads: int = 1,
) -> Iterator[tuple[int, torch.Tensor]]:
    """Sample like `sample`, but yield token ids.

    They have shape (samples, steps) and are padded after the end token. Without a `grammar`, any
    token may follow any other.
    """
    if len(seeds) != len(tasks):
        raise ValueError(f"seeds: expected one per task, {len(tasks)}, found {len(seeds)}")
    policy.model.eval()
    decode = partial(_decode, Decoder.of(policy), grammar, settings)
    batches = _batches(policy, tasks, settings, seeds)
    for batch, rows in zip(batches, _side_by_side(decode, batches, policy.device, threads), strict=True):
        yield from zip(batch.tasks, rows, strict=True)


class _Batch(NamedTuple):
    """Tasks that are decoded together."""

    tasks: list[int]
    sources: list[Tokens]
    seeds: list[int]


def _batches(
    policy: Policy, tasks: Sequence[Demonstrations], settings: SamplingConfig, seeds: Sequence[int]
) -> list[_Batch]:
    """Encode tasks, and divide them into batches of similar length."""
    sources = [policy.encoding.encode_task(task) for task in tasks]
    order = sorted(range(len(tasks)), key=lambda index: len(sources[index]))
    size = _tasks_per_batch(settings)
    return [
        _Batch(batch, [sources[index] for index in batch], [seeds[index] for index in batch])
        for batch in (order[start : start + size] for start in range(0, len(order), size))
    ]


def _tasks_per_batch(settings: SamplingConfig) -> int:
    return max(1, settings.batch_rows // settings.samples_per_task)


def _sample_batch(policy: Policy, settings: SamplingConfig, batch: _Batch) -> list[tuple[int, list[str]]]:
    """Return the index and the program texts of each task of a batch. Runs on a node."""
    torch.set_num_threads(1)
    policy.model.eval()
    sampled = _decode(Decoder.of(policy), _grammar(policy), settings, batch)
    return [(index, _texts(policy, rows)) for index, rows in zip(batch.tasks, sampled, strict=True)]


def _grammar(policy: Policy) -> Grammar | None:
    encoding = policy.encoding
    return Grammar(encoding, policy.device) if isinstance(encoding, CompactEncoding) else None


def _texts(policy: Policy, rows: torch.Tensor) -> list[str]:
    return [policy.encoding.decode_program(row) for row in rows.tolist()]


def _side_by_side(
    decode: Callable[[_Batch], list[torch.Tensor]],
    batches: Sequence[_Batch],
    device: torch.device,
    threads: int,
) -> Iterator[list[torch.Tensor]]:
    """Yield the samples of each batch, in order. On a CPU, `threads` batches run at once."""
    if device.type != "cpu":
        yield from map(decode, batches)
        return
    with torch_threads(threads) as pool:
        yield from pool.map(decode, batches)


@torch.inference_mode()
def _decode(
    decoder: Decoder, grammar: Grammar | None, settings: SamplingConfig, batch: _Batch
) -> list[torch.Tensor]:
    """Return the samples of each task of a batch: token ids (samples, steps)."""
    memory, seeds = decoder.encode(batch.sources), batch.seeds
    n, encoding = settings.samples_per_task, decoder.policy.encoding
    if settings.distinct:
        return _write(
            decoder,
            memory,
            grammar,
            settings,
            WithoutReplacement(seeds, n, settings.top_k, encoding, decoder.device),
        )
    uniforms = torch.stack([_uniforms(seed, n, encoding.max_program_tokens) for seed in seeds])
    parts = [
        _write(decoder, memory, grammar, settings, WithReplacement(part, settings.top_k, encoding))
        for part in torch.split(uniforms.to(decoder.device), min(n, settings.batch_rows), dim=1)
    ]
    return [torch.cat(task_parts) for task_parts in zip(*parts, strict=True)]


def _uniforms(seed: int, n: int, steps: int) -> torch.Tensor:
    """Draw all random numbers of a task, in [0, 1), shape (n, steps).

    They are drawn in advance and on the CPU, so that they depend only on the seed.
    """
    return torch.rand(n, steps, generator=torch.Generator().manual_seed(seed))


class Choice(Protocol):
    """A way to choose the next tokens. It keeps the tokens chosen so far."""

    tasks: torch.Tensor
    """The task of each row, int32."""
    capacity: int
    """The most rows there will ever be."""

    def choose(self, logits: torch.Tensor, step: int) -> tuple[torch.Tensor, torch.Tensor]:
        """Choose by `logits`, (rows, vocabulary), which are divided by the temperature.

        Return, for each row that goes on, which row it continues, and its token.
        """

    def samples(self) -> list[torch.Tensor]:
        """Return the samples of each task: token ids (samples, steps), padded after the end."""


def _write(
    decoder: Decoder, memory: Memory, grammar: Grammar | None, settings: SamplingConfig, choice: Choice
) -> list[torch.Tensor]:
    """Decode samples side by side until all have ended."""
    encoding = decoder.policy.encoding
    rows, steps = len(choice.tasks), encoding.max_program_tokens
    tokens = torch.full((rows,), encoding.start_id, device=decoder.device)
    state = grammar.start(rows) if grammar else None
    cache = decoder.cache(rows, choice.capacity, steps)
    for step in range(steps):
        logits = decoder.step(tokens, choice.tasks, step, cache, memory)
        if grammar and state is not None:
            logits = logits.masked_fill(~grammar.allowed(state, step), -torch.inf)
        parents, tokens = choice.choose(logits / settings.temperature, step)
        if not len(parents):
            break
        cache.select(parents)
        if grammar and state is not None:
            state = state.select(parents.cpu())
            grammar.advance(state, tokens)
    return choice.samples()


class WithReplacement:
    """Independent samples: each row draws its next token by inverse transform sampling."""

    def __init__(self, uniforms: torch.Tensor, top_k: int, encoding: Encoding) -> None:
        """`uniforms`, in [0, 1), has shape (tasks, samples, steps)."""
        tasks, samples, steps = uniforms.shape
        self.capacity = tasks * samples
        self.tasks = torch.arange(tasks, dtype=torch.int32, device=uniforms.device).repeat_interleave(samples)
        self._samples = torch.arange(self.capacity, device=uniforms.device)  # the sample of each row
        self._uniforms, self._shape = uniforms.reshape(-1, steps), uniforms.shape
        self._top_k, self._encoding = top_k, encoding
        self._written = torch.full((self.capacity, steps), encoding.pad_id, device=uniforms.device)

    def choose(self, logits: torch.Tensor, step: int) -> tuple[torch.Tensor, torch.Tensor]:
        tokens = draw(logits, self._uniforms[self._samples, step], self._top_k)
        self._written[self._samples, step] = tokens
        going_on = _going_on(tokens, self._encoding).nonzero().flatten()
        self._samples, self.tasks = self._samples[going_on], self.tasks[going_on]
        return going_on, tokens[going_on]

    def samples(self) -> list[torch.Tensor]:
        return list(self._written.view(self._shape))


def _going_on(tokens: torch.Tensor, encoding: Encoding) -> torch.Tensor:
    return (tokens != encoding.eos_id) & (tokens != encoding.pad_id)


def draw(logits: torch.Tensor, uniforms: torch.Tensor, top_k: int) -> torch.Tensor:
    """Draw a token for each row by inverse transform sampling.

    `logits` has shape (rows, vocabulary), `uniforms` (rows,), in [0, 1).
    """
    if 0 < top_k < logits.shape[1]:
        logits, tokens = logits.topk(top_k, dim=1)
    else:
        tokens = None
    cumulative = logits.softmax(dim=1).cumsum(dim=1)
    cumulative = cumulative / cumulative[:, -1:]  # ends in exactly 1, so that no impossible token is drawn
    drawn = (cumulative <= uniforms[:, None]).sum(dim=1)
    return drawn if tokens is None else tokens.gather(1, drawn[:, None])[:, 0]


class WithoutReplacement:
    """Distinct samples, by stochastic beam search (Kool et al. 2019, arXiv 1903.06059).

    The n sequences with the largest log-probability plus Gumbel noise are n samples without
    replacement, in the order of drawing. A beam search finds them without listing all sequences,
    because the noise of a prefix, which is the largest among its continuations, is drawn before them.
    """

    def __init__(self, seeds: Sequence[int], n: int, top_k: int, encoding: Encoding, device: torch.device):
        """`seeds`, one per task, determine the samples of a task."""
        self.capacity = len(seeds) * n
        self.tasks = torch.arange(len(seeds), dtype=torch.int32, device=device)
        self._children = min(top_k or encoding.output_size, encoding.output_size)
        self._generators = [torch.Generator().manual_seed(seed) for seed in seeds]
        self._encoding, self._device = encoding, device
        # Beams have shape (tasks, n). Each has its log-probability and that with noise; -inf: unused.
        shape = (len(seeds), n)
        self._log = torch.full(shape, -torch.inf, dtype=torch.float64, device=device)
        self._log[:, 0] = 0
        self._noisy = self._log.clone()
        self._ended = torch.zeros(shape, dtype=torch.bool, device=device)
        self._written = torch.full((*shape, encoding.max_program_tokens), encoding.pad_id, device=device)
        self._beams = torch.zeros(len(seeds), dtype=torch.long, device=device)  # the beam of each row

    def choose(self, logits: torch.Tensor, step: int) -> tuple[torch.Tensor, torch.Tensor]:
        (tasks, n), k = self._log.shape, self._children
        values, tokens = logits.topk(k, dim=1)
        place = self.tasks.long(), self._beams
        log = self._log[place][:, None] + values.double().log_softmax(1)
        noisy = _condition(log + self._gumbel(n)[place], self._noisy[place])

        # Candidates for the next beams: k continuations of each beam, and beams that have ended.
        every_noisy = noisy.new_full((tasks, n * k + n), -torch.inf)
        every_noisy[:, : n * k].view(tasks, n, k)[place] = noisy
        every_noisy[:, n * k :][self._ended] = self._noisy[self._ended]
        every_log = noisy.new_full((tasks, n * k + n), -torch.inf)
        every_log[:, : n * k].view(tasks, n, k)[place] = log
        every_log[:, n * k :] = self._log
        every_token = tokens.new_full((tasks, n * k + n), self._encoding.pad_id)
        every_token[:, : n * k].view(tasks, n, k)[place] = tokens
        row_of = torch.zeros((tasks, n), dtype=torch.long, device=self._device)
        row_of[place] = torch.arange(len(values), device=self._device)

        self._noisy, chosen = every_noisy.topk(n, dim=1)
        self._log = every_log.gather(1, chosen)
        ended = chosen >= n * k
        parents = torch.where(ended, chosen - n * k, chosen // k)
        next_tokens = every_token.gather(1, chosen)
        self._written = self._written.gather(1, parents[..., None].expand(self._written.shape))
        self._written[..., step] = next_tokens
        self._ended = ended | ~_going_on(next_tokens, self._encoding)
        going_on = ~self._ended & (self._noisy > -torch.inf)
        task_ids, self._beams = going_on.nonzero().unbind(1)
        self.tasks = task_ids.int()
        return row_of[task_ids, parents[going_on]], next_tokens[going_on]

    def _gumbel(self, n: int) -> torch.Tensor:
        """Draw noise for all beams and continuations: (tasks, n, continuations).

        It is drawn on the CPU and for unused beams, too, so that it depends only on the seed.
        """
        shape = (n, self._children)
        drawn = [
            torch.empty(shape, dtype=torch.float64).exponential_(generator=generator)
            for generator in self._generators
        ]
        return -torch.stack(drawn).log().to(self._device)

    def samples(self) -> list[torch.Tensor]:
        return [
            written[noisy > -torch.inf] for written, noisy in zip(self._written, self._noisy, strict=True)
        ]


def _condition(noisy: torch.Tensor, largest: torch.Tensor) -> torch.Tensor:
    """Return Gumbel variables (rows, n) under the condition that the largest of a row is given.

    The formula is that of appendix B.3 of Kool et al. 2019, which is numerically stable.
    """
    difference = noisy - noisy.max(dim=1, keepdim=True).values
    v = largest[:, None] - noisy + torch.log1p(-difference.exp())
    return largest[:, None] - v.clamp(min=0) - torch.log1p((-v.abs()).exp())
