"""The decoder of a T5, one token at a time, for many rows at once.

A row is an unfinished program. Rows read the keys and values of their past through a table of
places (`Cache.slots`). So a row can leave, or be continued by several others, without copies of
the cache. On a CPU, attention runs in the engine (engine/attention.hpp).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
from torch.nn import functional

from codeit import _engine
from codeit.policy.grid_tokens import Tokens
from codeit.policy.model import Policy, cpu_has_bf16, pad_sources


class Memory(NamedTuple):
    """Encoded sources: what decoder layers attend to."""

    layers: list[torch.Tensor]
    """Keys and values for each layer: (sources, longest, 2, heads, head size)."""
    lengths: torch.Tensor
    """Tokens of each source, int32."""


class Cache:
    """Keys and values of the tokens so far."""

    def __init__(self, layers: list[torch.Tensor], bias: torch.Tensor, rows: int, steps: int) -> None:
        self.layers = layers
        """For each layer: (steps, capacity, 2, heads, head size)."""
        self.bias = bias
        """Position bias of a query to a key: (query, heads, key)."""
        self.slots = torch.empty(rows, steps, dtype=torch.int32, device=bias.device)
        """The index along `capacity` of a row's keys and values in each step so far: (rows, steps)."""

    def select(self, rows: torch.Tensor) -> None:
        """Keep the past of `rows`, in this order. A row may come several times.

        There may be at most as many as the cache was made for.
        """
        self.slots = self.slots[rows]


class Decoder:
    """The decoder of any T5ForConditionalGeneration.

    The weights are read from the model when the decoder is created, so it has to be created again
    after training. Projections of the same input are joined into one matrix.
    """

    def __init__(self, policy: Policy, dtype: torch.dtype, products: torch.dtype | None = None) -> None:
        """Keep states in `dtype`, and compute matrix products in `products`, or in `dtype`."""
        model = policy.model
        config, self.dtype, products = model.config, dtype, products or dtype
        self.policy, self.model = policy, model
        self.heads, self.head_size = config.num_heads, config.d_kv
        self.epsilon = config.layer_norm_epsilon
        self.device = model.shared.weight.device
        self.embedding = model.decoder.embed_tokens.weight.to(dtype)
        self.layers = [_Layer(block.layer, dtype, products) for block in model.decoder.block]
        self.final_norm = model.decoder.final_layer_norm.weight.to(dtype)
        # transformers scales the decoder's states before the head in T5 v1.0, not in v1.1.
        self.scale = config.d_model**-0.5 if config.scale_decoder_outputs else 1.0
        self.head = model.lm_head.weight[: policy.encoding.output_size].to(products)

    @classmethod
    def of(cls, policy: Policy) -> Decoder:
        """Return a decoder in the precision that suits the device.

        That is bf16 on a GPU. On a CPU states are fp32, and matrix products bf16 if it has the
        instructions: they take a third of the time.
        """
        if policy.device.type != "cpu":
            return cls(policy, torch.bfloat16)
        return cls(policy, torch.float32, torch.bfloat16 if cpu_has_bf16() else torch.float32)

    def encode(self, sources: Sequence[Tokens]) -> Memory:
        """Run the encoder once over `sources`, padded to the longest."""
        ids, mask = pad_sources(sources, self.policy.encoding.pad_id)
        ids, mask = ids.to(self.device), mask.to(self.device)
        with torch.autocast(self.device.type, self.dtype, enabled=self.dtype != torch.float32):
            embedded = self.policy.embed(ids)
            states = self.model.encoder(inputs_embeds=embedded, attention_mask=mask).last_hidden_state
        shape = (*ids.shape[:2], 2, self.heads, self.head_size)
        layers = [
            self._linear(states.flatten(0, 1), layer.cross_key_value).view(shape) for layer in self.layers
        ]
        return Memory(layers, mask.sum(1, dtype=torch.int32))

    def cache(self, rows: int, capacity: int, steps: int) -> Cache:
        """Return an empty cache for `rows` rows, later up to `capacity`, of up to `steps` tokens."""
        first = self.model.decoder.block[0].layer[0].SelfAttention
        # Shape (heads, query, key). Only the first layer has these weights, as in transformers.
        bias = first.compute_bias(steps, steps, device=self.device)[0].to(self.dtype)
        shape = (steps, capacity, 2, self.heads, self.head_size)
        layers = [torch.empty(shape, dtype=self.dtype, device=self.device) for _ in self.layers]
        return Cache(layers, bias.transpose(0, 1), rows, steps)

    def step(
        self, tokens: torch.Tensor, sources: torch.Tensor, step: int, cache: Cache, memory: Memory
    ) -> torch.Tensor:
        """Return fp32 logits (rows, output size) of what follows `tokens` (rows,).

        `sources` (rows,), int32, gives the source of each row, `step` the tokens before.
        """
        rows = len(tokens)
        states = functional.embedding(tokens, self.embedding)
        bias = cache.bias[step, :, : step + 1].contiguous()
        for layer, past, source in zip(self.layers, cache.layers, memory.layers, strict=True):
            fused = self._linear(self._norm(states, layer.self_norm), layer.self_query_key_value)
            fused = fused.view(rows, 3, self.heads, self.head_size)
            attended = self._attend_to_past(fused, past, cache.slots, bias)
            states = states + self._linear(attended.flatten(1), layer.self_out)

            query = self._linear(self._norm(states, layer.cross_norm), layer.cross_query)
            query = query.view(rows, self.heads, self.head_size)
            attended = self._attend_to_source(query, source, sources, memory.lengths)
            states = states + self._linear(attended.flatten(1), layer.cross_out)

            wide = self._filled(self._norm(states, layer.forward_norm))
            states = states + layer.feed_forward(wide)[:rows].to(self.dtype)
        states = self._norm(states, self.final_norm) * self.scale
        return self._linear(states, self.head).float()

    def _linear(self, states: torch.Tensor, weight: torch.Tensor) -> torch.Tensor:
        """Multiply each row by `weight`, in the precision of products."""
        return functional.linear(self._filled(states), weight)[: len(states)].to(self.dtype)

    def _filled(self, states: torch.Tensor) -> torch.Tensor:
        """Return states padded with rows of zeros to one of a few numbers of rows.

        Torch compiles a bf16 kernel for each number of rows, which takes longer than the product.
        """
        filled: torch.Tensor = self.head.new_zeros(_round_up(len(states)), states.shape[1])
        filled[: len(states)] = states
        return filled

    def _attend_to_past(
        self, fused: torch.Tensor, past: torch.Tensor, slots: torch.Tensor, bias: torch.Tensor
    ) -> torch.Tensor:
        """Append keys and values to the past; return what the queries attend to there."""
        step = bias.shape[1] - 1
        if self.device.type == "cpu" and self.dtype == torch.float32:
            out = torch.empty_like(fused[:, 0])
            _engine.attend_to_past(fused, past, slots, bias, out)
            return out
        rows = torch.arange(len(fused), device=self.device)
        past[step, : len(fused)] = fused[:, 1:]
        slots[:, step] = rows
        steps = torch.arange(step + 1, device=self.device)
        keys, values = past[steps, slots[:, : step + 1].long()].unbind(2)  # (rows, steps, heads, head size)
        scores = torch.einsum("rhd,rkhd->rhk", fused[:, 0], keys) + bias
        return torch.einsum("rhk,rkhd->rhd", scores.softmax(-1), values)

    def _attend_to_source(
        self, query: torch.Tensor, source: torch.Tensor, sources: torch.Tensor, lengths: torch.Tensor
    ) -> torch.Tensor:
        """Return what the queries attend to in their sources."""
        if self.device.type == "cpu" and self.dtype == torch.float32:
            out = torch.empty_like(query)
            _engine.attend_to_source(query, source, sources, lengths, out)
            return out
        keys, values = source[sources.long()].unbind(2)  # (rows, longest, heads, head size)
        beyond = torch.arange(source.shape[1], device=self.device) >= lengths[sources.long()][:, None]
        scores = torch.einsum("rhd,rkhd->rhk", query, keys).masked_fill(beyond[:, None], -torch.inf)
        return torch.einsum("rhk,rkhd->rhd", scores.softmax(-1), values)

    def _norm(self, states: torch.Tensor, weight: torch.Tensor) -> torch.Tensor:
        """Apply T5's layer norm: root mean square in fp32, without mean and shift."""
        return (
            functional.rms_norm(states.float(), states.shape[-1:], eps=self.epsilon).to(self.dtype) * weight
        )


def _round_up(rows: int) -> int:
    """Return a power of two up to 64, or a multiple of 64, that is at least `rows`."""
    return 1 << (rows - 1).bit_length() if rows <= 64 else -(-rows // 64) * 64


class _Layer:
    """The weights of one decoder layer. Projections of the same input are joined."""

    def __init__(self, parts: Any, dtype: torch.dtype, products: torch.dtype) -> None:
        own, cross, dense = parts[0].SelfAttention, parts[1].EncDecAttention, parts[2].DenseReluDense
        norms = [part.layer_norm.weight.to(dtype) for part in parts]
        self.self_norm, self.cross_norm, self.forward_norm = norms
        self.self_query_key_value = torch.cat([own.q.weight, own.k.weight, own.v.weight]).to(products)
        self.self_out = own.o.weight.to(products)
        self.cross_query, self.cross_out = cross.q.weight.to(products), cross.o.weight.to(products)
        self.cross_key_value = torch.cat([cross.k.weight, cross.v.weight]).to(products)
        self.gated = hasattr(dense, "wi_0")
        wide = [dense.wi_0.weight, dense.wi_1.weight] if self.gated else [dense.wi.weight]
        self.wide, self.narrow = torch.cat(wide).to(products), dense.wo.weight.to(products)
        self.activation = dense.act

    def feed_forward(self, states: torch.Tensor) -> torch.Tensor:
        wide = functional.linear(states, self.wide)
        if self.gated:
            gate, wide = wide.chunk(2, dim=-1)
            return functional.linear(self.activation(gate) * wide, self.narrow)
        return functional.linear(self.activation(wide), self.narrow)
