"""Samples follow the distribution of the model and do not depend on how tasks are batched."""

from collections import Counter
from itertools import product, takewhile
from typing import Any

import numpy as np
import pytest
import torch
from transformers import T5Config, T5ForConditionalGeneration

from codeit.config import PolicyConfig, SamplingConfig
from codeit.data.tasks import Task
from codeit.language import Grid, Program
from codeit.policy.grid_tokens import Tokens
from codeit.policy.model import Policy
from codeit.policy.sampling import Decoder, draw, sample, sample_tokens

CPU = torch.device("cpu")


def policy(**changes: Any) -> Policy:
    sizes = {"d_model": 32, "d_ff": 48, "heads": 2, "layers_encoder": 2, "layers_decoder": 2}
    limits = {"max_input_tokens": 64, "max_output_tokens": 48, "max_program_tokens": 40}
    config = {**sizes, **limits, "dropout": 0.1, "device": "cpu", **changes}
    return Policy.create(PolicyConfig(init="random", encoding="runs", **config), seed=3)


def tasks_of(evaluation: dict[str, Task], count: int) -> list[tuple[Any, ...]]:
    return [task.train for task in list(evaluation.values())[:count]]


@pytest.mark.parametrize("feed_forward", ["relu", "gated-gelu"])
@pytest.mark.parametrize("tied", [True, False])
def test_decoder_steps_give_the_logits_of_the_forward_pass(feed_forward: str, tied: bool) -> None:
    torch.manual_seed(0)
    config = T5Config(
        vocab_size=50,
        d_model=24,
        d_kv=10,  # not d_model / heads
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
    sources = [[5, 6, 7, 8, 9, 10, 11], [12, 13, 14]]
    targets = torch.randint(2, 50, (2, 4, 30))  # 2 tasks, 4 samples each
    decoder = Decoder(Policy(model, _Words(50), CPU), torch.float32)  # type: ignore[arg-type]
    with torch.inference_mode():
        memory = decoder.encode([np.array(source) for source in sources])
        cache = decoder.cache(2, 4, 30)
        steps = [decoder.step(targets[:, :, k], k, cache, memory) for k in range(30)]
        for task, number in product(range(2), range(4)):
            prefix = targets[task, number][None]
            expected = model(input_ids=torch.tensor([sources[task]]), decoder_input_ids=prefix).logits[0]
            found = torch.stack([logits[task, number] for logits in steps])
            torch.testing.assert_close(found, expected, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("top_k", [0, 3])
def test_draws_follow_the_distribution(top_k: int) -> None:
    logits = torch.tensor([0.3, -torch.inf, 2.0, 0.5, 1.0, -1.0, -torch.inf])
    n = 20_000
    uniforms = torch.rand(n, generator=torch.Generator().manual_seed(1))
    counts = torch.bincount(draw(logits.expand(n, -1), uniforms, top_k), minlength=7)
    kept = torch.tensor([2, 3, 4]) if top_k else torch.tensor([0, 2, 3, 4, 5])
    expected = torch.zeros(7)
    expected[kept] = logits[kept].softmax(0) * n
    assert counts[expected == 0].sum() == 0
    statistic = ((counts - expected)[kept] ** 2 / expected[kept]).sum()
    assert statistic < {3: 13.8, 5: 18.5}[len(kept)]  # the 0.999 quantiles at 2 and 4 degrees of freedom


def test_the_last_possible_token_is_never_passed() -> None:
    logits = torch.tensor([[1.0, -torch.inf, 0.0, -torch.inf]])
    nearly_one = torch.tensor([1 - 2**-24])
    assert draw(logits, nearly_one, 0).item() == 2
    assert draw(logits, torch.zeros(1), 0).item() == 0


class _Words:
    """An encoding with a few words and programs of at most two, all of which can be listed."""

    pad_id, eos_id, start_id, max_program_tokens = 0, 1, 0, 2

    def __init__(self, size: int = 4) -> None:
        self.vocab_size = self.output_size = size

    def encode_task(self, demonstrations: Any) -> Tokens:
        return np.array([2, 3, 3, 2, 1])

    def decode_program(self, ids: Any) -> str:
        return " ".join(map(str, ids))


def test_samples_follow_the_exact_distribution_of_sequences() -> None:
    torch.manual_seed(4)
    config = T5Config(
        vocab_size=4, d_model=8, d_kv=4, d_ff=8, num_heads=2, num_layers=1, decoder_start_token_id=0
    )
    model, encoding = T5ForConditionalGeneration(config), _Words()
    temperature, n = 0.95, 20_000
    whole = Policy(model, encoding, CPU)  # type: ignore[arg-type]
    settings = SamplingConfig(samples_per_task=n, temperature=temperature, top_k=0, batch_rows=n)
    ((index, texts),) = sample(whole, [()], settings, seeds=[7])
    assert index == 0 and len(texts) == n

    def after(*ids: int) -> torch.Tensor:
        source, prefix = torch.from_numpy(encoding.encode_task(()))[None], torch.tensor([[0, *ids]])
        with torch.inference_mode():
            return (model(input_ids=source, decoder_input_ids=prefix).logits[0, -1] / temperature).softmax(0)

    expected = {f"{end} 0": after()[end].item() for end in (0, 1)}
    for first, second in product((2, 3), range(4)):
        expected[f"{first} {second}"] = (after()[first] * after(first)[second]).item()
    assert sum(expected.values()) == pytest.approx(1)
    counts = Counter(texts)
    assert set(counts) <= set(expected)
    statistic = sum((counts[text] - n * p) ** 2 / (n * p) for text, p in expected.items())
    assert statistic < 27.9  # the 0.999 quantile at 9 degrees of freedom


def test_samples_are_distributed_as_those_of_transformers_generate() -> None:
    """A chi-squared test on the contingency table of two samples."""
    torch.manual_seed(5)
    config = T5Config(
        **{"vocab_size": 7, "d_model": 8, "d_kv": 4, "d_ff": 8, "num_heads": 2, "num_layers": 1},
        **{"decoder_start_token_id": 0, "pad_token_id": 0, "eos_token_id": 1},
    )
    model, n, steps = T5ForConditionalGeneration(config), 20_000, 3
    model.shared.weight.data *= 0.5  # neither uniform nor nearly certain
    encoding = _Words(7)
    encoding.output_size, encoding.max_program_tokens = 6, steps  # one word occurs only in tasks
    policy = Policy(model, encoding, CPU)  # type: ignore[arg-type]
    settings = {"temperature": 0.95, "top_k": 5}
    sampling = SamplingConfig(samples_per_task=n, batch_rows=n, **settings)
    ((_, ours),) = sample_tokens(policy, [()], sampling, None, seeds=[3])
    theirs = model.generate(
        torch.from_numpy(encoding.encode_task(())[None]),
        **{"do_sample": True, "num_return_sequences": n, "max_new_tokens": steps, **settings},
        suppress_tokens=[6],
    )[:, 1:]

    def count_programs(rows: list[list[int]]) -> Counter[tuple[int, ...]]:
        """Count rows up to the first padding, where our sampler ends and `generate` continues."""
        return Counter(tuple(takewhile(lambda token: token != 0, row)) for row in rows)

    a, b = count_programs(ours.tolist()), count_programs(theirs.tolist())
    common = [text for text in a | b if a[text] + b[text] >= 20]
    rest = (sum(c.values()) - sum(c[text] for text in common) for c in (a, b))
    cells = [(x, y) for x, y in (*((a[text], b[text]) for text in common), tuple(rest)) if x + y]
    statistic = sum((x - y) ** 2 / (x + y) for x, y in cells)
    freedom = len(cells) - 1
    assert freedom > 30
    # The 0.9999 quantile of chi-squared (Wilson and Hilferty).
    assert statistic < freedom * (1 - 2 / (9 * freedom) + 3.72 * (2 / (9 * freedom)) ** 0.5) ** 3


def test_samples_of_a_task_do_not_depend_on_batches_and_other_tasks(evaluation: dict[str, Task]) -> None:
    tasks, seeds = tasks_of(evaluation, 5), [11, 12, 13, 14, 15]
    small, six = policy(), SamplingConfig(samples_per_task=6)
    expected = dict(sample(small, tasks, six.model_copy(update={"batch_rows": 1000}), seeds=seeds))
    assert sorted(expected) == [0, 1, 2, 3, 4]
    for batch_rows in (1, 4, 6, 17):  # below 6, the samples of a task are split
        settings = six.model_copy(update={"batch_rows": batch_rows})
        assert dict(sample(small, tasks, settings, seeds=seeds)) == expected
    assert dict(sample(small, tasks[3:4], six, seeds=[14])) == {0: expected[3]}
    assert dict(sample(small, tasks[3:4], six, seeds=[99])) != {0: expected[3]}


def test_every_sample_parses_and_samples_differ(evaluation: dict[str, Task]) -> None:
    tasks = tasks_of(evaluation, 4)
    settings = SamplingConfig(samples_per_task=24, top_k=50, temperature=2.0)
    found = dict(sample(policy(), tasks, settings, seeds=range(4)))
    texts = [text for task in found.values() for text in task]
    for text in texts:
        assert str(Program.parse(text)) == text
    assert len(set(texts)) > 90
    assert len({len(Program.parse(text)) for text in texts}) > 3


def test_temperature_near_zero_is_greedy() -> None:
    task = [(Grid([[1, 2]]), Grid([[2, 1]]))]
    settings = SamplingConfig(samples_per_task=5, temperature=1e-4)
    ((_, texts),) = sample(policy(), [task], settings, seeds=[0])
    assert len(set(texts)) == 1


def test_another_number_of_seeds_than_tasks_is_refused() -> None:
    task = [(Grid([[1]]), Grid([[2]]))]
    with pytest.raises(ValueError, match="expected one per task, 1, found 2"):
        list(sample(policy(), [task], SamplingConfig(samples_per_task=5), seeds=[0, 1]))
