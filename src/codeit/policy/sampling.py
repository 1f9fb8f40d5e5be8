"""Sampling of programs from the policy.

Each task is encoded once, and its samples are decoded side by side.

The `generate` of transformers copies the encoder's states for every sample and decodes all rows
until the last one ends. Here a batch is a block of tasks × samples. Attention to the source reads
one copy of its keys and values per task, and finished samples leave the block. Temperature and
top-k follow Butt et al. 2024 (arXiv 2402.04858).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import torch
from torch.nn import functional

from codeit.config import SamplingConfig
from codeit.policy.encoding import CompactEncoding, Encoding
from codeit.policy.grammar import Grammar
from codeit.policy.grid_tokens import Demonstrations, Tokens
from codeit.policy.model import Policy, pad_sources

SHRINK_AT = 0.8
"""Finished samples are removed from a block once that leaves at most this share of its rows."""


def sample(
    policy: Policy,
    tasks: Sequence[Demonstrations],
    settings: SamplingConfig,
    *,
    seeds: Sequence[int],
) -> Iterator[tuple[int, list[str]]]:
    """Sample programs for each task; yield (index of the task, program texts) as batches finish.

    Tasks with sources of similar length are decoded together, about `settings.batch_rows` samples
    at once. `seeds`, one per task, determine the samples of a task, regardless of the tasks that
    share its batch. With the compact encoding every text parses. Raises ValueError unless there is
    one seed per task.
    """
    encoding = policy.encoding
    grammar = Grammar(encoding, policy.device) if isinstance(encoding, CompactEncoding) else None
    for index, rows in sample_tokens(policy, tasks, settings, grammar, seeds):
        yield index, [encoding.decode_program(row) for row in rows.tolist()]


@torch.inference_mode()
def sample_tokens(
    policy: Policy,
    tasks: Sequence[Demonstrations],
    settings: SamplingConfig,
    grammar: Grammar | None,
    seeds: Sequence[int],
) -> Iterator[tuple[int, torch.Tensor]]:
    """Sample like `sample`, but yield token ids.

    They have shape (samples, steps) and are padded after the end token. Without a `grammar`, any
    token may follow any other.
    """
    if len(seeds) != len(tasks):
        raise ValueError(f"seeds: expected one per task, {len(tasks)}, found {len(seeds)}")
    encoding = policy.encoding
    policy.model.eval()
    dtype = torch.float32 if policy.device.type == "cpu" else torch.bfloat16
    decoder = Decoder(policy, dtype)
    sources = [encoding.encode_task(task) for task in tasks]
    order = sorted(range(len(tasks)), key=lambda index: len(sources[index]))
    n, temperature, top_k = settings.samples_per_task, settings.temperature, settings.top_k
    tasks_per_batch, rows_per_task = max(1, settings.batch_rows // n), min(n, settings.batch_rows)
    for start in range(0, len(order), tasks_per_batch):
        batch = order[start : start + tasks_per_batch]
        memory = decoder.encode([sources[index] for index in batch])
        uniforms = torch.stack([_uniforms(seeds[index], n, encoding.max_program_tokens) for index in batch])
        parts = [
            _decode(decoder, memory, part, grammar, encoding, temperature, top_k)
            for part in torch.split(uniforms.to(policy.device), rows_per_task, dim=1)
        ]
        yield from zip(batch, torch.cat(parts, dim=1), strict=True)


def _uniforms(seed: int, n: int, steps: int) -> torch.Tensor:
    """Draw all random numbers of a task, in [0, 1), shape (n, steps).

    They are drawn in advance and on the CPU, so that they depend only on the seed.
    """
    return torch.rand(n, steps, generator=torch.Generator().manual_seed(seed))


def _decode(
    decoder: Decoder,
    memory: Memory,
    uniforms: torch.Tensor,  # (tasks, samples, steps)
    grammar: Grammar | None,
    encoding: Encoding,
    temperature: float,
    top_k: int,
) -> torch.Tensor:
    """Return token ids, padded after each end. The shape is that of `uniforms`."""
    tasks, samples, steps = uniforms.shape
    written = torch.full((tasks * samples, steps), encoding.pad_id, device=uniforms.device)
    # The row of `written` for each sample of the block.
    rows = torch.arange(tasks * samples, device=uniforms.device).view(tasks, samples)
    uniforms = uniforms.reshape(-1, steps)
    tokens = torch.full_like(rows, encoding.start_id)
    live = torch.ones_like(rows, dtype=torch.bool)
    state = grammar.start(rows.numel()) if grammar else None
    cache = decoder.cache(tasks, samples, steps)
    for step in range(steps):
        logits = decoder.step(tokens, step, cache, memory).flatten(0, 1)
        if grammar and state is not None:
            logits = logits.masked_fill(~grammar.allowed(state, step), -torch.inf)
        chosen = draw(logits / temperature, uniforms[rows.flatten(), step], top_k)
        if grammar and state is not None:
            grammar.advance(state, chosen)
        tokens = chosen.view_as(rows)
        written[rows[live], step] = tokens[live]
        live = live & (tokens != encoding.eos_id) & (tokens != encoding.pad_id)
        counts = live.sum(1)
        live_tasks = (counts > 0).nonzero().flatten()
        columns = int(counts.max())
        if columns == 0:
            break
        if columns * len(live_tasks) <= SHRINK_AT * live.numel():
            # Keep as many columns as the task with most live samples needs, and live samples first.
            order = live[live_tasks].int().sort(dim=1, descending=True, stable=True).indices[:, :columns]
            kept = live_tasks[:, None] * live.shape[1] + order
            rows, tokens, live = (block.flatten()[kept] for block in (rows, tokens, live))
            state = state.select(kept.flatten().cpu()) if state is not None else None
            cache = decoder.select_rows(cache, kept, step + 1)
            memory = memory.select_tasks(live_tasks)
    return written.view(tasks, samples, steps)


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


class Memory:
    """Encoded sources of a batch: keys and values for each decoder layer, and a mask."""

    def __init__(self, layers: list[tuple[torch.Tensor, torch.Tensor]], mask: torch.Tensor) -> None:
        # keys (tasks, heads, head size, length), values (tasks, heads, length, head size)
        self.layers = layers
        self.mask = mask  # (tasks, 1, 1, length), 0 or -inf

    def select_tasks(self, tasks: torch.Tensor) -> Memory:
        if len(tasks) == len(self.mask):
            return self
        return Memory([(keys[tasks], values[tasks]) for keys, values in self.layers], self.mask[tasks])


Cache = list[torch.Tensor]
"""Keys and values of the tokens so far: per layer (2, tasks × samples, heads, steps, head size)."""


class Decoder:
    """The decoder of any T5ForConditionalGeneration, one token at a time.

    The weights are read from the model when the decoder is created, so it has to be created again
    after training. Projections of the same input are joined into one matrix.
    """

    def __init__(self, policy: Policy, dtype: torch.dtype) -> None:
        model = policy.model
        config, self.dtype = model.config, dtype
        self.policy, self.model = policy, model
        self.heads, self.head_size = config.num_heads, config.d_kv
        self.epsilon = config.layer_norm_epsilon
        self.device = model.shared.weight.device
        self.embedding = model.decoder.embed_tokens.weight.to(dtype)
        self.layers = [_Layer(block.layer, dtype) for block in model.decoder.block]
        self.final_norm = model.decoder.final_layer_norm.weight.to(dtype)
        # transformers scales the decoder's states before the head in T5 v1.0, not in v1.1.
        self.scale = config.d_model**-0.5 if config.scale_decoder_outputs else 1.0
        self.head = model.lm_head.weight[: policy.encoding.output_size].to(dtype)
        self.bias = torch.empty(0)

    def encode(self, sources: Sequence[Tokens]) -> Memory:
        """Run the encoder once over `sources`, padded to the longest."""
        ids, mask = pad_sources(sources, self.policy.encoding.pad_id)
        ids, mask = ids.to(self.device), mask.to(self.device)
        with torch.autocast(self.device.type, self.dtype, enabled=self.dtype != torch.float32):
            embedded = self.policy.embed(ids)
            states = self.model.encoder(inputs_embeds=embedded, attention_mask=mask).last_hidden_state
        layers = []
        for layer in self.layers:
            both = functional.linear(states.to(self.dtype), layer.cross_key_value)
            keys, values = both.view(*both.shape[:2], 2, self.heads, self.head_size).unbind(2)
            layers.append((keys.permute(0, 2, 3, 1).contiguous(), values.transpose(1, 2).contiguous()))
        zero = torch.zeros(mask.shape, dtype=self.dtype, device=self.device)
        return Memory(layers, zero.masked_fill(~mask, -torch.inf)[:, None, None])

    def cache(self, tasks: int, samples: int, steps: int) -> Cache:
        """Return an empty cache for tasks × samples, and set the position biases for `steps`."""
        first = self.model.decoder.block[0].layer[0].SelfAttention
        # Shape (heads, query, key). Only the first layer has these weights, as in transformers.
        self.bias = first.compute_bias(steps, steps, device=self.device)[0].to(self.dtype)
        shape = (2, tasks * samples, self.heads, steps, self.head_size)
        return [torch.empty(shape, dtype=self.dtype, device=self.device) for _ in self.layers]

    def select_rows(self, cache: Cache, rows: torch.Tensor, filled: int) -> Cache:
        """Return a cache of the given rows only, with copies of the first `filled` steps."""
        selected = []
        for layer in cache:
            smaller = layer.new_empty((2, rows.numel(), *layer.shape[2:]))
            smaller[:, :, :, :filled] = layer[:, rows.flatten(), :, :filled]
            selected.append(smaller)
        return selected

    def step(self, tokens: torch.Tensor, step: int, cache: Cache, memory: Memory) -> torch.Tensor:
        """Return fp32 logits (tasks, samples, output_size) after `tokens` (tasks, samples)."""
        (tasks, samples), size = tokens.shape, (self.heads, self.head_size)
        states = functional.embedding(tokens, self.embedding)
        bias = self.bias[:, step : step + 1, : step + 1]
        for layer, past, (keys, values) in zip(self.layers, cache, memory.layers, strict=True):
            fused = functional.linear(self._norm(states, layer.self_norm), layer.self_query_key_value)
            query, *key_value = fused.view(tasks * samples, 3, *size).unbind(1)
            past[0, :, :, step], past[1, :, :, step] = key_value
            past_keys, past_values = past[:, :, :, : step + 1]
            scores = query[:, :, None] @ past_keys.transpose(2, 3) + bias
            attended = scores.softmax(-1) @ past_values
            states = states + functional.linear(attended.view(tasks, samples, -1), layer.self_out)

            query = functional.linear(self._norm(states, layer.cross_norm), layer.cross_query)
            scores = query.view(tasks, samples, *size).transpose(1, 2) @ keys + memory.mask
            attended = (scores.softmax(-1) @ values).transpose(1, 2).flatten(2)
            states = states + functional.linear(attended, layer.cross_out)

            states = states + layer.feed_forward(self._norm(states, layer.forward_norm))
        states = self._norm(states, self.final_norm) * self.scale
        return functional.linear(states, self.head).float()

    def _norm(self, states: torch.Tensor, weight: torch.Tensor) -> torch.Tensor:
        """Apply T5's layer norm: root mean square in fp32, without mean and shift."""
        wide = states.float()
        return (wide * torch.rsqrt(wide.pow(2).mean(-1, keepdim=True) + self.epsilon)).to(self.dtype) * weight


class _Layer:
    """The weights of one decoder layer. Projections of the same input are joined."""

    def __init__(self, parts: Any, dtype: torch.dtype) -> None:
        own, cross, dense = parts[0].SelfAttention, parts[1].EncDecAttention, parts[2].DenseReluDense
        norms = [part.layer_norm.weight.to(dtype) for part in parts]
        self.self_norm, self.cross_norm, self.forward_norm = norms
        self.self_query_key_value = torch.cat([own.q.weight, own.k.weight, own.v.weight]).to(dtype)
        self.self_out = own.o.weight.to(dtype)
        self.cross_query, self.cross_out = cross.q.weight.to(dtype), cross.o.weight.to(dtype)
        self.cross_key_value = torch.cat([cross.k.weight, cross.v.weight]).to(dtype)
        self.gated = hasattr(dense, "wi_0")
        wide = [dense.wi_0.weight, dense.wi_1.weight] if self.gated else [dense.wi.weight]
        self.wide, self.narrow = torch.cat(wide).to(dtype), dense.wo.weight.to(dtype)
        self.activation = dense.act

    def feed_forward(self, states: torch.Tensor) -> torch.Tensor:
        wide = functional.linear(states, self.wide)
        if self.gated:
            gate, wide = wide.chunk(2, dim=-1)
            return functional.linear(self.activation(gate) * wide, self.narrow)
        return functional.linear(self.activation(wide), self.narrow)
