"""Pre-training learns, goes on where it was stopped, and shows no behaviour twice."""

import csv
from itertools import islice
from pathlib import Path

import pytest

import codeit.policy.pretraining
from codeit.config import CONFIGS, PretrainingSettings
from codeit.storage.files import RunError
from codeit.language import Program
from codeit.policy.model import Policy, PolicyError
from codeit.policy.pretraining import ahead, held_out, operations, pretrain, windows
from codeit.data.tasks import Task

SETTINGS = {
    "corpus": {"round": 450, "depth": 2},
    "policy": {
        **{"init": "random", "encoding": "patches", "d_model": 16, "d_ff": 32, "heads": 2, "dropout": 0.1},
        **{"layers_encoder": 1, "layers_decoder": 1, "max_program_tokens": 40, "device": "cpu"},
    },
    "training": {
        **{"steps": 40, "rounds": 1, "batch_tokens": 2048, "micro_batch_tokens": 1024, "threads": 1},
        **{"learning_rate": 1e-2, "held_out": 20, "checkpoint_minutes": 1e-6},
    },
}
CONFIG = PretrainingSettings.model_validate(SETTINGS)


@pytest.fixture(autouse=True)
def _small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Few examples held out, and no fresh inputs, which take minutes to make where they are not cached."""
    monkeypatch.setattr(codeit.policy.pretraining, "load_inputs", lambda experts: {})
    monkeypatch.setattr(codeit.policy.pretraining, "HELD_OUT", 100)


def test_training_that_was_stopped_ends_with_the_same_weights(tmp_path: Path) -> None:
    rows: list[dict[str, float]] = []
    whole = pretrain(tmp_path / "whole", CONFIG, lambda share, row: rows.append(row))
    assert rows[-1]["step"] == 40 and rows[-1]["loss"] < rows[0]["loss"] - 0.5
    assert rows[-1]["held_out_loss"] < rows[0]["held_out_loss"]

    class Killed(Exception):
        pass

    def kill(share: float, row: dict[str, float]) -> None:
        raise Killed

    for _ in range(2):
        with pytest.raises(Killed):
            pretrain(tmp_path / "killed", CONFIG, kill)
    resumed = pretrain(tmp_path / "killed", CONFIG, lambda share, row: None)
    for name, value in whole.model.state_dict().items():
        assert value.equal(resumed.model.state_dict()[name]), name
    loaded = Policy.load(tmp_path / "whole" / "policy", "cpu")
    assert loaded.encoding.config.encoding == "patches"
    assert loaded.model.shared.weight.equal(whole.model.shared.weight.half().float())
    with open(tmp_path / "killed" / "progress.csv", encoding="utf-8") as file:
        table = list(csv.DictReader(file))
    assert [int(row["step"]) for row in table] == [row["step"] for row in rows]
    workers = CONFIG.training.model_copy(update={"workers": 2})  # no result depends on it
    pretrain(tmp_path / "whole", CONFIG.model_copy(update={"training": workers}), lambda share, row: None)
    with pytest.raises(RunError, match="another configuration"):
        pretrain(tmp_path / "whole", PretrainingSettings(), lambda share, row: None)


def test_no_behaviour_is_shown_twice_and_windows_hang_on_the_seed_alone() -> None:
    first, second = islice(windows(CONFIG, 0, set()), 2)
    assert len(first.new) > 20 and len(second.new) > 20
    assert not set(first.new.tolist()) & set(second.new.tolist())
    (again,) = islice(windows(CONFIG, first.next_round, set(first.new.tolist())), 1)
    assert again.new.tolist() == second.new.tolist()
    # What was seen is left out, but experts come again.
    (fresh,) = islice(windows(CONFIG, first.next_round, set()), 1)
    shown, of_fresh = (sum(len(m.labels) for b in w.batches for m in b) for w in (second, fresh))
    assert len(second.new) < shown and shown - len(second.new) == of_fresh - len(fresh.new)
    for batch, same in zip(second.batches, again.batches, strict=True):
        for micro, twin in zip(batch, same, strict=True):
            assert micro.source.equal(twin.source) and micro.labels.equal(twin.labels)


def test_a_step_holds_no_more_than_its_tokens() -> None:
    training = CONFIG.training.model_copy(update={"batch_tokens": 512})
    (window,) = islice(windows(CONFIG.model_copy(update={"training": training}), 0, set()), 1)
    padded = [sum(micro.padded for micro in batch) for batch in window.batches]
    assert len(padded) > 5 and max(padded) <= 512


def test_tasks_held_out_are_not_trained_on(experts: dict[str, Program]) -> None:
    learnt, out = codeit.policy.pretraining._corpora(CONFIG)
    assert out is not None
    assert len(out._ids) == 20 and len(learnt._ids) + 20 == len(experts)
    assert not set(learnt._ids) & set(out._ids)
    assert {lesson.origin for lesson in learnt.round(0).lessons} <= {"", *learnt._ids}
    assert len(held_out(CONFIG)) == 100


def test_nothing_left_to_train_on_is_told(tmp_path: Path) -> None:
    every = CONFIG.training.model_copy(update={"held_out": 1})
    with pytest.raises(RunError, match=r"of the 0 tasks .* training.held_out = 1 .* none has an expert"):
        pretrain(tmp_path, CONFIG.model_copy(update={"training": every}), lambda share, row: None)


def test_no_grid_of_the_tasks_to_solve_enters(evaluation: dict[str, Task]) -> None:
    learnt, _ = codeit.policy.pretraining._corpora(CONFIG)
    pairs = [pair for task in evaluation.values() for pair in (*task.train, *task.test)]
    unseen = {grid for pair in pairs for grid in pair if grid is not None}
    assert len(unseen) > 3000 and unseen == learnt._avoid
    shown = {grid for lesson in learnt.round(1).lessons for pair in lesson.pairs for grid in pair}
    assert len(shown) > 100 and not shown & unseen


def test_operations_are_counted(tmp_path: Path) -> None:
    policy = Policy.create(CONFIG.policy, 0)
    weights = {
        name: w.numel() for name, w in policy.model.named_parameters() if w.ndim == 2 and "block" in name
    }
    both = sum(n for name, n in weights.items() if "relative" not in name)
    both += 16 * policy.encoding.output_size
    assert operations(policy, 1, 1) == pytest.approx(6 * both, rel=0.03)  # norms and biases count too


@pytest.mark.parametrize("name", ["pretrain", "pretrain-gpu"])
def test_a_published_configuration_trains(name: str, tmp_path: Path) -> None:
    small = {"policy.d_model": 24, "policy.d_ff": 32, "policy.device": "cpu", "corpus.round": 450}
    few = {"training.steps": 2, "training.rounds": 1, "training.workers": 1, "training.threads": 1}
    rows: list[dict[str, float]] = []
    path = CONFIGS / f"{name}.toml"
    pretrain(
        tmp_path / "run", PretrainingSettings.load(path, {**small, **few}), lambda share, row: rows.append(row)
    )
    assert rows[-1]["examples"] > 20
    whole = PretrainingSettings.load(path).policy
    assert Policy.create(whole, 0).parameters <= 31e6


def test_the_papers_encoding_is_not_for_pretraining(tmp_path: Path) -> None:
    policy = CONFIG.policy.model_copy(update={"encoding": "paper"})
    with pytest.raises(PolicyError, match=r"policy.encoding: expected 'signatures'.*found 'paper'"):
        pretrain(tmp_path / "run", CONFIG.model_copy(update={"policy": policy}), lambda share, row: None)
    assert not (tmp_path / "run").exists()


def test_ahead_gives_what_it_is_given_and_its_errors() -> None:
    def things() -> object:
        yield from range(5)
        raise KeyError("over")

    made = ahead(things(), 2)  # type: ignore[arg-type]
    assert list(islice(made, 5)) == list(range(5))
    with pytest.raises(KeyError, match="over"):
        next(made)
    endless = ahead(iter(int, 1), 2)
    assert next(endless) == 0
    endless.close()
