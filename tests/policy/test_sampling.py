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
from codeit.policy.sampling import draw, sample, sample_tokens

CPU = torch.device("cpu")


def policy(**changes: Any) -> Policy:
    sizes = {"d_model": 32, "d_ff": 48, "heads": 2, "layers_encoder": 2, "layers_decoder": 2}
    limits = {"max_input_tokens": 64, "max_output_tokens": 48, "max_program_tokens": 40}
    config = {**sizes, **limits, "dropout": 0.1, "device": "cpu", **changes}
    return Policy.create(PolicyConfig(init="random", encoding="runs", **config), seed=3)


def tasks_of(evaluation: dict[str, Task], count: int) -> list[tuple[Any, ...]]:
    return [task.train for task in list(evaluation.values())[:count]]


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


def sequence_probabilities(
    model: T5ForConditionalGeneration, encoding: _Words, temperature: float
) -> dict[str, float]:
    """Return the probability of each program of at most two words, by the text of its tokens."""
    model.eval()

    def after(*ids: int) -> torch.Tensor:
        source, prefix = torch.from_numpy(encoding.encode_task(()))[None], torch.tensor([[0, *ids]])
        with torch.inference_mode():
            return (model(input_ids=source, decoder_input_ids=prefix).logits[0, -1] / temperature).softmax(0)

    found = {f"{end} 0": after()[end].item() for end in (0, 1)}
    for first, second in product((2, 3), range(4)):
        found[f"{first} {second}"] = (after()[first] * after(first)[second]).item()
    assert sum(found.values()) == pytest.approx(1)
    return found


def test_samples_follow_the_exact_distribution_of_sequences() -> None:
    torch.manual_seed(4)
    config = T5Config(
        vocab_size=4, d_model=8, d_kv=4, d_ff=8, num_heads=2, num_layers=1, decoder_start_token_id=0
    )
    model, encoding = T5ForConditionalGeneration(config), _Words()
    temperature, n = 0.95, 20_000
    whole = Policy(model, encoding, CPU)  # type: ignore[arg-type]
    settings = SamplingConfig(
        samples_per_task=n, temperature=temperature, top_k=0, batch_rows=n, distinct=False
    )
    ((index, texts),) = sample(whole, [()], settings, seeds=[7])
    assert index == 0 and len(texts) == n

    expected = sequence_probabilities(model, encoding, temperature)
    counts = Counter(texts)
    assert set(counts) <= set(expected)
    statistic = sum((counts[text] - n * p) ** 2 / (n * p) for text, p in expected.items())
    assert statistic < 27.9  # the 0.999 quantile at 9 degrees of freedom


def test_samples_without_replacement_have_the_distribution_of_drawing_one_after_the_other() -> None:
    """The probability of the pair (a, b) is p(a) p(b) / (1 − p(a)). There are ten sequences."""
    torch.manual_seed(4)
    config = T5Config(
        vocab_size=4, d_model=8, d_kv=4, d_ff=8, num_heads=2, num_layers=1, decoder_start_token_id=0
    )
    model, encoding, n = T5ForConditionalGeneration(config), _Words(), 20_000
    model.shared.weight.data *= 2  # far from uniform
    whole = Policy(model, encoding, CPU)  # type: ignore[arg-type]

    def pairs_of(samples: int) -> list[tuple[str, ...]]:
        settings = SamplingConfig(samples_per_task=samples, top_k=0, batch_rows=4096)
        drawn = sample(whole, [()] * n, settings, seeds=range(n))
        return [tuple(texts[:2]) for _, texts in drawn]

    probabilities = sequence_probabilities(model, encoding, 0.95)
    expected = {
        (a, b): n * probabilities[a] * probabilities[b] / (1 - probabilities[a])
        for a in probabilities
        for b in probabilities
        if a != b
    }
    assert max(probabilities.values()) > 0.3 and len(expected) == 90
    for samples in (2, 5):  # beams beyond the second change nothing
        counts = Counter(pairs_of(samples))
        assert set(counts) <= set(expected)
        common = [pair for pair in expected if expected[pair] >= 5]
        cells = [(counts[pair], expected[pair]) for pair in common]
        cells.append((n - sum(x for x, _ in cells), n - sum(x for _, x in cells)))
        statistic, freedom = sum((x - e) ** 2 / e for x, e in cells), len(cells) - 1
        assert freedom > 20
        # The 0.9999 quantile of chi-squared (Wilson and Hilferty).
        assert statistic < freedom * (1 - 2 / (9 * freedom) + 3.72 * (2 / (9 * freedom)) ** 0.5) ** 3


def test_samples_without_replacement_end_with_the_last_sequence() -> None:
    torch.manual_seed(4)
    config = T5Config(
        vocab_size=4, d_model=8, d_kv=4, d_ff=8, num_heads=2, num_layers=1, decoder_start_token_id=0
    )
    model, encoding = T5ForConditionalGeneration(config), _Words()
    whole = Policy(model, encoding, CPU)  # type: ignore[arg-type]
    settings = SamplingConfig(samples_per_task=24, top_k=0)
    for _, texts in sample(whole, [()] * 3, settings, seeds=[1, 2, 3]):
        assert sorted(texts) == sorted(sequence_probabilities(model, encoding, 1.0))


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
    sampling = SamplingConfig(samples_per_task=n, batch_rows=n, distinct=False, **settings)
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


@pytest.mark.parametrize("distinct", [False, True])
def test_samples_of_a_task_do_not_depend_on_batches_threads_and_other_tasks(
    evaluation: dict[str, Task], distinct: bool
) -> None:
    tasks, seeds = tasks_of(evaluation, 5), [11, 12, 13, 14, 15]
    small, six = policy(), SamplingConfig(samples_per_task=6, distinct=distinct)
    expected = dict(sample(small, tasks, six.model_copy(update={"batch_rows": 1000}), seeds=seeds))
    assert sorted(expected) == [0, 1, 2, 3, 4]
    for batch_rows, threads in ((1, 1), (4, 3), (6, 1), (17, 2)):  # below 6, a task may be split
        settings = six.model_copy(update={"batch_rows": batch_rows})
        assert dict(sample(small, tasks, settings, seeds=seeds, threads=threads)) == expected
    assert dict(sample(small, tasks[3:4], six, seeds=[14])) == {0: expected[3]}
    assert dict(sample(small, tasks[3:4], six, seeds=[99])) != {0: expected[3]}


@pytest.mark.parametrize("distinct", [False, True])
def test_every_sample_parses_and_samples_differ(evaluation: dict[str, Task], distinct: bool) -> None:
    tasks = tasks_of(evaluation, 4)
    settings = SamplingConfig(samples_per_task=24, top_k=50, temperature=2.0, distinct=distinct)
    found = dict(sample(policy(), tasks, settings, seeds=range(4)))
    texts = [text for task in found.values() for text in task]
    for text in texts:
        assert str(Program.parse(text)) == text
    assert len(set(texts)) > 90
    assert len({len(Program.parse(text)) for text in texts}) > 3


def test_temperature_near_zero_is_greedy() -> None:
    task = [(Grid([[1, 2]]), Grid([[2, 1]]))]
    settings = SamplingConfig(samples_per_task=5, temperature=1e-4, distinct=False)
    ((_, texts),) = sample(policy(), [task], settings, seeds=[0])
    assert len(set(texts)) == 1


def test_another_number_of_seeds_than_tasks_is_refused() -> None:
    task = [(Grid([[1]]), Grid([[2]]))]
    with pytest.raises(ValueError, match="expected one per task, 1, found 2"):
        list(sample(policy(), [task], SamplingConfig(samples_per_task=5), seeds=[0, 1]))
