"""The decoder computes what transformers computes, one token at a time, with rows in any order."""

from typing import Any

import numpy as np
import pytest
import torch
from transformers import T5Config, T5ForConditionalGeneration

from codeit import _engine
from codeit.policy.decoder import Decoder
from codeit.policy.model import Policy

CPU = torch.device("cpu")
STEPS = 30
SOURCES = [[5, 6, 7, 8, 9, 10, 11], [12, 13, 14]]


class _Words:
    pad_id, start_id, vocab_size, output_size = 0, 0, 50, 50


def t5(head_size: int, feed_forward: str = "relu", tied: bool = True) -> T5ForConditionalGeneration:
    torch.manual_seed(0)
    config = T5Config(
        vocab_size=50,
        d_model=24,
        d_kv=head_size,  # not d_model / heads
        d_ff=40,
        num_heads=3,
        num_layers=1,
        num_decoder_layers=3,
        feed_forward_proj=feed_forward,
        tie_word_embeddings=tied,
        decoder_start_token_id=0,
    )
    model = T5ForConditionalGeneration(config).eval()
    torch.nn.init.normal_(model.decoder.block[0].layer[0].SelfAttention.relative_attention_bias.weight)
    return model


@pytest.mark.parametrize("head_size", [10, 16, 37])  # below, at and above the width of a register
@pytest.mark.parametrize("feed_forward", ["relu", "gated-gelu"])
@pytest.mark.parametrize("tied", [True, False])
@torch.inference_mode()
def test_steps_give_the_logits_of_the_forward_pass(head_size: int, feed_forward: str, tied: bool) -> None:
    model = t5(head_size, feed_forward, tied)
    decoder = Decoder(Policy(model, _Words(), CPU), torch.float32)  # type: ignore[arg-type]
    # Rows leave, are reordered and are continued by two others, as in a beam search.
    random = np.random.default_rng(0)
    memory, cache = decoder.encode([np.array(source) for source in SOURCES]), decoder.cache(8, 12, STEPS)
    source_of = torch.arange(8) % 2
    prefixes = torch.zeros(8, 1, dtype=torch.long)
    for step in range(STEPS):
        logits = decoder.step(prefixes[:, -1], source_of.int(), step, cache, memory)
        for row, prefix in enumerate(prefixes if step in (0, 1, 9, STEPS - 1) else ()):
            source = torch.tensor([SOURCES[int(source_of[row])]])
            expected = model(input_ids=source, decoder_input_ids=prefix[None]).logits[0, -1]
            torch.testing.assert_close(logits[row], expected, atol=1e-4, rtol=1e-4)
        parents = torch.from_numpy(random.integers(0, len(prefixes), int(random.integers(1, 13))))
        cache.select(parents)
        source_of = source_of[parents]
        prefixes = torch.cat([prefixes[parents], torch.randint(2, 50, (len(parents), 1))], 1)


@torch.inference_mode()
def test_lower_precisions_stay_close() -> None:
    policy = Policy(t5(16), _Words(), CPU)  # type: ignore[arg-type]
    tokens, source_of = torch.randint(2, 50, (STEPS, 70)), (torch.arange(70) % 2).int()

    def logits(decoder: Decoder) -> torch.Tensor:
        memory, cache = decoder.encode([np.array(source) for source in SOURCES]), decoder.cache(70, 70, STEPS)
        return torch.stack(
            [decoder.step(row, source_of, step, cache, memory) for step, row in enumerate(tokens)]
        )

    expected = logits(Decoder(policy, torch.float32))
    products = logits(Decoder(policy, torch.float32, torch.bfloat16))
    all_bf16 = logits(Decoder(policy, torch.bfloat16))  # attention as on a GPU
    for found, bound in ((products, 0.02), (all_bf16, 0.03)):
        assert 0 < (found - expected).norm() / expected.norm() < bound


def arrays() -> dict[str, Any]:
    return {
        "query_key_value": np.ones((2, 3, 1, 4), np.float32),
        "cache": np.zeros((3, 5, 2, 1, 4), np.float32),
        "slots": np.zeros((2, 3), np.int32),
        "bias": np.zeros((1, 2), np.float32),
        "out": np.zeros((2, 1, 4), np.float32),
    }


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("query_key_value", np.ones((2, 2, 1, 4), np.float32)),
        ("query_key_value", np.ones((6, 3, 1, 4), np.float32)),  # more rows than the cache has places
        ("cache", np.zeros((3, 5, 2, 1, 8), np.float32)),
        ("slots", np.zeros((2, 2), np.int32)),
        ("slots", np.full((2, 3), 5, np.int32)),
        ("slots", np.full((2, 3), -1, np.int32)),
        ("bias", np.zeros((1, 4), np.float32)),
        ("bias", np.zeros((2, 2), np.float32)),
        ("out", np.zeros((1, 1, 4), np.float32)),
    ],
)
def test_attention_refuses_arrays_that_do_not_fit(name: str, value: Any) -> None:
    _engine.attend_to_past(**arrays())
    with pytest.raises(ValueError, match=name if value.ndim > 2 or "bias" in name else "slots"):
        _engine.attend_to_past(**{**arrays(), name: value})


@pytest.mark.parametrize(
    ("sources", "lengths", "message"),
    [([2], [1, 1], "sources"), ([0], [0, 1], "lengths"), ([0], [1, 4], "len")],
)
def test_attention_to_sources_stays_inside_them(sources: list[int], lengths: list[int], message: str) -> None:
    query, keys = np.ones((1, 1, 4), np.float32), np.ones((2, 3, 2, 1, 4), np.float32)
    some = np.array(sources, np.int32), np.array(lengths, np.int32)
    with pytest.raises(ValueError, match=message):
        _engine.attend_to_source(query, keys, *some, np.empty_like(query))
