"""Examples for pre-training show what their programs do, on inputs that may be shown."""

import numpy as np
import pytest

from codeit.config import CorpusConfig
from codeit.data.tasks import Task
from codeit.language import Grid, Program
from codeit.policy.corpus import Corpus, PretrainingExample, augment

SMALL = CorpusConfig(proposals_per_round=900, max_depth=4, grown_share=0.2)


def corpus(
    training: dict[str, Task], experts: dict[str, Program], seed: int = 0, avoid: tuple[Grid, ...] = ()
) -> Corpus:
    task_ids = [task_id for task_id in sorted(experts) if len(experts[task_id]) < 8][:30]
    generated = {task_id: [Grid([[1, 2], [3, 4]]), Grid([[5, 6, 7]])] for task_id in task_ids}
    return Corpus([training[task_id] for task_id in task_ids], experts, generated, avoid, seed, SMALL)


@pytest.fixture(scope="module")
def examples(training: dict[str, Task], experts: dict[str, Program]) -> list[PretrainingExample]:
    return corpus(training, experts).make_round(3).examples


def test_outputs_are_those_of_the_program(examples: list[PretrainingExample]) -> None:
    assert len(examples) > 100
    for example in examples:
        assert all(example.program(pair.input) == pair.output for pair in example.pairs)
        assert any(pair.input != pair.output for pair in example.pairs)
        assert len(example.pairs) == 1 or len({pair.output for pair in example.pairs}) > 1


def test_examples_have_all_depths_and_many_origins(examples: list[PretrainingExample]) -> None:
    assert {example.depth for example in examples} == {0, 1, 2, 3, 4}
    assert "" in {example.origin for example in examples}
    assert len({example.origin for example in examples}) > 20
    assert len({example.behaviour for example in examples}) == len(examples)


def test_no_program_calls_identity(examples: list[PretrainingExample]) -> None:
    assert not any(line.function == "identity" for example in examples for line in example.program.lines)


def test_behaviour_identifies_the_outputs_on_the_published_inputs(
    training: dict[str, Task], experts: dict[str, Program], examples: list[PretrainingExample]
) -> None:
    seen: dict[int, tuple[str, tuple[Grid | None, ...]]] = {}
    for example in (*examples, *corpus(training, experts).make_round(4).examples):
        if task := training.get(example.origin):
            outputs = tuple(example.program(pair.input) for pair in (*task.train, *task.test))
            assert seen.setdefault(example.behaviour, (example.origin, outputs)) == (example.origin, outputs)
    assert len(seen) == len(set(seen.values())) > 100


def test_a_round_depends_only_on_seed_and_number(
    training: dict[str, Task], experts: dict[str, Program], examples: list[PretrainingExample]
) -> None:
    again = corpus(training, experts)
    others = again.make_round(4).examples
    assert again.make_round(3).examples == examples != others
    assert corpus(training, experts, seed=1).make_round(3).examples != examples


def test_examples_with_a_grid_to_avoid_are_dropped(
    training: dict[str, Task], experts: dict[str, Program], examples: list[PretrainingExample]
) -> None:
    shown = [grid for example in examples for pair in example.pairs for grid in pair]
    avoided = max(shown, key=shown.count)
    left = corpus(training, experts, avoid=(avoided,)).make_round(3).examples
    assert 0 < len(left) < len(examples)
    assert all(avoided not in pair for example in left for pair in example.pairs)


def test_augment_has_eight_symmetries_and_maps_colours() -> None:
    grid = Grid([[1, 2, 3], [4, 5, 6]])
    seen = {bytes(augmented): augmented.shape for k in range(8) for augmented in augment([grid], k, None)}
    assert len(seen) == 8 and sorted(seen.values()) == [(2, 3)] * 4 + [(3, 2)] * 4
    assert augment([grid], 0, None) == [grid]
    assert augment([grid], 0, np.arange(9, -1, -1)) == [Grid([[8, 7, 6], [5, 4, 3]])]
