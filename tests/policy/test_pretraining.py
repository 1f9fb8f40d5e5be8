"""Pre-training lowers the loss, resumes after a stop, heeds limits, and repeats no behaviour."""

import csv
import math
import shutil
from collections.abc import Callable
from itertools import islice
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

import codeit.policy.pretraining
from codeit.config import PretrainingSettings
from codeit.data.tasks import Task
from codeit.language import Program
from codeit.policy.model import DamagedPolicyError, Policy, PolicyError
from codeit.policy.pretraining import COLUMNS, held_out, iter_windows, operations, prefetch, pretrain
from codeit.settings import CONFIGS, ConfigError
from codeit.storage.files import RunError

SETTINGS = {
    "corpus": {"proposals_per_round": 450, "max_depth": 2},
    "policy": {
        **{"init": "random", "encoding": "patches", "d_model": 16, "d_ff": 32, "heads": 2, "dropout": 0.1},
        **{"layers_encoder": 1, "layers_decoder": 1, "max_program_tokens": 40, "device": "cpu"},
    },
    "pretraining": {
        **{"steps": 40, "rounds_per_window": 1, "batch_tokens": 2048, "micro_batch_tokens": 1024},
        **{"threads": 1, "learning_rate": 1e-2, "hold_out_every": 20, "checkpoint_minutes": 1e-6},
    },
}
CONFIG = PretrainingSettings.model_validate(SETTINGS)


def changed(**pretraining: Any) -> PretrainingSettings:
    """CONFIG with other values in [pretraining]."""
    return CONFIG.model_copy(update={"pretraining": CONFIG.pretraining.model_copy(update=pretraining)})


def progress_rows(directory: Path) -> list[dict[str, str]]:
    with open(directory / "progress.csv", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def load_no_inputs(experts: object, progress: Callable[[int, int], None]) -> dict[str, Any]:
    progress(1, 2)
    progress(2, 2)
    return {}


def make_small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Use few held-out examples, and no generated inputs, which take minutes without a cache."""
    monkeypatch.setattr(codeit.policy.pretraining, "load_inputs", load_no_inputs)
    monkeypatch.setattr(codeit.policy.pretraining, "HELD_OUT_EXAMPLES", 100)


@pytest.fixture(autouse=True)
def _small(monkeypatch: pytest.MonkeyPatch) -> None:
    make_small(monkeypatch)


def test_stopped_training_ends_with_the_same_weights(tmp_path: Path) -> None:
    rows: list[dict[str, float]] = []
    whole = pretrain(tmp_path / "whole", CONFIG, report=lambda share, row: rows.append(row))
    assert rows[-1]["step"] == 40 and rows[-1]["loss"] < rows[0]["loss"] - 0.5
    assert rows[-1]["held_out_loss"] < rows[0]["held_out_loss"]

    class Killed(Exception):
        pass

    def kill(share: float, row: dict[str, float]) -> None:
        raise Killed

    for _ in range(2):
        with pytest.raises(Killed):
            pretrain(tmp_path / "killed", CONFIG, report=kill)
    resumed = pretrain(tmp_path / "killed", CONFIG)
    for name, value in whole.model.state_dict().items():
        assert value.equal(resumed.model.state_dict()[name]), name
    loaded = Policy.load(tmp_path / "whole" / "policy", "cpu")
    assert loaded.encoding.config.encoding == "patches"
    assert loaded.model.shared.weight.equal(whole.model.shared.weight.half().float())
    assert [int(row["step"]) for row in progress_rows(tmp_path / "killed")] == [row["step"] for row in rows]
    pretrain(tmp_path / "whole", changed(workers=2))  # no result depends on it
    with pytest.raises(RunError, match=r"config.toml: corpus.max_depth: expected 2, .*, found 8"):
        pretrain(tmp_path / "whole", PretrainingSettings())


@pytest.mark.parametrize("hold_out_every", [0, 20])
def test_corpus_without_new_examples_is_an_error_and_no_endless_loop(
    hold_out_every: int, tmp_path: Path
) -> None:
    corpus = CONFIG.corpus.model_copy(update={"proposals_per_round": 2})  # fewer than depths
    with pytest.raises(RunError, match="expected new examples of the corpus after step 0, found none"):
        pretrain(tmp_path, changed(hold_out_every=hold_out_every).model_copy(update={"corpus": corpus}))


class Stopped(Exception):
    pass


def stop_after(windows: int, directory: Path) -> Path:
    """Train for the given number of windows; return the checkpoints."""
    shares: list[float] = []

    def stop(share: float, row: dict[str, float]) -> None:
        shares.append(share)
        if len(shares) == windows:
            raise Stopped

    with pytest.raises(Stopped):
        pretrain(directory, CONFIG, report=stop)
    return directory / "checkpoints"


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A finished training, and one that was stopped after three windows."""
    with pytest.MonkeyPatch.context() as monkeypatch:
        make_small(monkeypatch)
        directory = tmp_path_factory.mktemp("trained")
        pretrain(directory / "whole", CONFIG)
        stop_after(3, directory / "stopped")
    return directory / "whole", directory / "stopped"


@pytest.mark.parametrize(
    ("name", "checksums"),
    [("model.safetensors", True), ("model.safetensors", False), ("seen.npy", False), ("state.json", False)],
)
def test_training_resumes_at_the_checkpoint_before_a_damaged_one(
    name: str,
    checksums: bool,
    trained: tuple[Path, Path],
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
) -> None:
    whole, stopped = trained
    shutil.copytree(stopped, tmp_path / "damaged")
    checkpoints = tmp_path / "damaged" / "checkpoints"
    before, last = sorted(checkpoints.iterdir())
    (last / name).write_bytes((last / name).read_bytes()[:-9])
    if not checksums:  # as version 0.2 wrote it
        for checkpoint in (before, last):
            (checkpoint / "checksums.json").unlink()
    pretrain(tmp_path / "damaged", CONFIG)
    for file in (whole / "policy").glob("*.safetensors"):
        assert file.read_bytes() == (tmp_path / "damaged" / "policy" / file.name).read_bytes()
    (record,) = [record for record in caplog.records if record.name.startswith("codeit")]
    assert f"{last / name}: expected" in record.getMessage()
    assert record.getMessage().endswith(f"; resuming at step {int(before.name)} instead")
    assert len(list(checkpoints.iterdir())) == 2
    assert [row["step"] for row in progress_rows(tmp_path / "damaged")] == [
        row["step"] for row in progress_rows(whole)
    ]


def test_damaged_checkpoints_are_deleted_by_the_next(trained: tuple[Path, Path], tmp_path: Path) -> None:
    shutil.copytree(trained[1], tmp_path / "run")
    checkpoints = tmp_path / "run" / "checkpoints"
    before, last = sorted(checkpoints.iterdir())
    (last / "policy.json").unlink()
    stop_after(1, tmp_path / "run")
    assert sorted(checkpoints.iterdir()) == [before, last]  # written again
    assert (last / "policy.json").exists()


def test_what_a_kill_behind_the_last_checkpoint_prevented_is_done_by_the_next_call(tmp_path: Path) -> None:
    pretrain(tmp_path, CONFIG)
    whole = progress_rows(tmp_path)
    (tmp_path / "progress.csv").write_text("step\n")
    (tmp_path / "progress.csv.partial").write_text("st")
    shutil.copytree(tmp_path / "checkpoints" / "00000040", tmp_path / "checkpoints" / "00000001")
    pretrain(tmp_path, CONFIG)
    assert len(list((tmp_path / "checkpoints").iterdir())) == 2
    assert progress_rows(tmp_path) == whole and not list(tmp_path.glob("*.partial"))


def test_foreign_entries_beside_checkpoints_stay(tmp_path: Path) -> None:
    checkpoints = stop_after(2, tmp_path)
    for name in ("notes", "00000001x", "00000001.partial"):
        (checkpoints / name).mkdir()
    (checkpoints / "notes.txt").touch()
    stop_after(2, tmp_path)
    names = {entry.name for entry in checkpoints.iterdir() if not entry.name.isdigit()}
    assert names == {"notes", "00000001x", "notes.txt"}


@pytest.mark.parametrize("name", ["notes.txt", "config.toml"])
def test_foreign_directory_is_refused_and_not_changed(name: str, tmp_path: Path) -> None:
    (tmp_path / name).write_text("[mine]\nx = 1\n")
    with pytest.raises((RunError, ConfigError), match=str(tmp_path)):
        pretrain(tmp_path, CONFIG)
    assert [entry.name for entry in tmp_path.iterdir()] == [name]
    assert (tmp_path / name).read_text() == "[mine]\nx = 1\n"


def test_training_without_an_undamaged_checkpoint_is_refused(
    trained: tuple[Path, Path], tmp_path: Path
) -> None:
    shutil.copytree(trained[1], tmp_path / "run")
    checkpoints = tmp_path / "run" / "checkpoints"
    for checkpoint in checkpoints.iterdir():
        (checkpoint / "optimizer.safetensors").write_bytes(b"")
    with pytest.raises(
        DamagedPolicyError, match=r"optimizer.safetensors: .*no other .*begin .*anew"
    ) as error:
        pretrain(tmp_path / "run", CONFIG)
    assert "\n" not in str(error.value)
    assert len(list(checkpoints.iterdir())) == 2


def test_pickles_in_the_state_are_never_read(tmp_path: Path) -> None:
    checkpoints = stop_after(2, tmp_path)
    for checkpoint in checkpoints.iterdir():
        (checkpoint / "checksums.json").unlink()
        np.save(checkpoint / "seen.npy", np.array([print], object), allow_pickle=True)
    with pytest.raises(PolicyError, match=r"seen.npy: .*allow_pickle"):
        pretrain(tmp_path, CONFIG)


def test_progress_names_every_phase(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    experts = codeit.policy.pretraining.load_experts()

    def load_experts(progress: Callable[[int, int], None]) -> dict[str, Program]:
        progress(400, 400)
        return experts

    monkeypatch.setattr(codeit.policy.pretraining, "load_experts", load_experts)
    codeit.policy.pretraining._cached_corpora.clear()
    seen: list[tuple[str, int, int]] = []
    config = changed(rounds_per_window=3, steps=20)
    pretrain(tmp_path, config, progress=lambda *phase: seen.append(phase))
    assert seen[:4] == [
        ("simplify experts", 400, 400),
        ("generate inputs", 1, 2),
        ("generate inputs", 2, 2),
        ("make held-out examples", 0, 100),
    ]
    rounds = [(done, total) for phase, done, total in seen if phase == "make examples"]
    assert rounds[:5] == [(0, 3), (1, 3), (2, 3), (3, 3), (0, 3)]
    steps = [(done, total) for phase, done, total in seen if phase == "train"]
    assert steps == [(step, 20) for step in range(1, 21)]
    kinds = [phase for phase, _, _ in seen]
    assert kinds.index("make examples") < kinds.index("train") == kinds.index("make examples") + 4


class Clock:
    """A clock that only training moves: by the seconds that a round and a step take."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, round_seconds: float, step_seconds: float) -> None:
        self.now = 1000.0
        self.seconds = {"make examples": round_seconds, "train": step_seconds}
        self.seen: list[tuple[str, int, int]] = []
        fake = SimpleNamespace(perf_counter=lambda: self.now)
        monkeypatch.setattr(codeit.policy.pretraining, "time", fake)

    def progress(self, phase: str, done: int, total: int) -> None:
        self.seen.append((phase, done, total))
        self.now += self.seconds.get(phase, 0) if done else 0


def test_window_ends_early_so_that_half_of_the_time_is_left(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = Clock(monkeypatch, round_seconds=8, step_seconds=2)
    config = changed(minutes=1.0, steps=10**6, rounds_per_window=100, checkpoint_minutes=100.0)
    rows: list[dict[str, float]] = []
    policy = pretrain(tmp_path, config, report=lambda _, row: rows.append(row), progress=clock.progress)
    rounds = [done for phase, done, _ in clock.seen if phase == "make examples"]
    # 4 rounds of 8 s take half of the minute. The steps on them begin after 32 s.
    assert rounds[:5] == [0, 1, 2, 3, 4] and set(rounds[5:6]) <= {0}
    assert rows[-1]["step"] > 5
    assert 60 <= clock.now - 1000 < 60 + 8 + 2  # the limit is exceeded by at most a round and a step
    trained = [(done, total) for phase, done, total in clock.seen if phase == "train"]
    assert trained[:2] == [(1000 * 32 // 60, 1000), (1000 * 34 // 60, 1000)]
    assert len(progress_rows(tmp_path)) == len(rows)
    loaded = Policy.load(tmp_path / "policy", "cpu")
    assert loaded.model.shared.weight.equal(policy.model.shared.weight.half().float())


def test_time_limit_that_passes_in_the_first_round_still_gives_a_policy(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = Clock(monkeypatch, round_seconds=61, step_seconds=1)
    config = changed(minutes=1.0, rounds_per_window=5)
    rows: list[dict[str, float]] = []
    pretrain(tmp_path, config, report=lambda _, row: rows.append(row), progress=clock.progress)
    assert [done for phase, done, _ in clock.seen if phase == "make examples"] == [0, 1]
    assert not rows and not any(phase == "train" for phase, _, _ in clock.seen)
    assert (tmp_path / "progress.csv").read_text() == ",".join(COLUMNS) + "\n"
    Policy.load(tmp_path / "policy", "cpu")
    pretrain(tmp_path, config)  # done already


def test_clock_starts_when_the_caches_are_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    codeit.policy.pretraining._cached_corpora.clear()
    clock = Clock(monkeypatch, round_seconds=1, step_seconds=1)
    clock.seconds["generate inputs"] = 3600
    rows: list[dict[str, float]] = []
    config = changed(minutes=1.0, steps=10)
    pretrain(tmp_path, config, report=lambda _, row: rows.append(row), progress=clock.progress)
    assert clock.now > 1000 + 3600
    assert rows[-1]["step"] == 10 and rows[-1]["seconds"] < 60


def test_held_out_loss_is_empty_without_held_out_tasks(tmp_path: Path) -> None:
    rows: list[dict[str, float]] = []
    config = changed(hold_out_every=0, steps=2)
    pretrain(tmp_path, config, report=lambda _, row: rows.append(row))
    assert math.isnan(rows[-1]["held_out_loss"])
    table = progress_rows(tmp_path)
    assert {row["held_out_loss"] for row in table} == {""}
    for name in set(COLUMNS) - {"held_out_loss"}:
        assert all(math.isfinite(float(row[name])) for row in table), name


def test_windows_repeat_no_behaviour_and_depend_only_on_the_seed() -> None:
    first, second = islice(iter_windows(CONFIG, 0, set()), 2)
    assert len(first.new_behaviours) > 20 and len(second.new_behaviours) > 20
    assert not set(first.new_behaviours.tolist()) & set(second.new_behaviours.tolist())
    (again,) = islice(iter_windows(CONFIG, first.next_round, set(first.new_behaviours.tolist())), 1)
    assert again.new_behaviours.tolist() == second.new_behaviours.tolist()
    # Behaviours that were seen are left out, except those of experts.
    (unfiltered,) = islice(iter_windows(CONFIG, first.next_round, set()), 1)
    shown, of_unfiltered = (sum(len(m.labels) for b in w.batches for m in b) for w in (second, unfiltered))
    assert len(second.new_behaviours) < shown
    assert shown - len(second.new_behaviours) == of_unfiltered - len(unfiltered.new_behaviours)
    for batch, same in zip(second.batches, again.batches, strict=True):
        for micro, twin in zip(batch, same, strict=True):
            assert micro.source.equal(twin.source) and micro.labels.equal(twin.labels)


def test_steps_have_at_most_batch_tokens() -> None:
    (window,) = islice(iter_windows(changed(batch_tokens=512), 0, set()), 1)
    padded = [sum(micro.padded for micro in batch) for batch in window.batches]
    assert len(padded) > 5 and max(padded) <= 512


def test_held_out_tasks_are_not_trained_on(experts: dict[str, Program]) -> None:
    train, out = codeit.policy.pretraining._corpora(CONFIG)
    assert out is not None
    assert len(out._ids) == 20 and len(train._ids) + 20 == len(experts)
    assert not set(train._ids) & set(out._ids)
    assert {example.origin for example in train.make_round(0).examples} <= {"", *train._ids}
    assert len(held_out(CONFIG)) == 100


def test_nothing_to_train_on_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(RunError, match=r"none among the 0 tasks .* pretraining.hold_out_every = 1"):
        pretrain(tmp_path, changed(hold_out_every=1))


def test_no_grid_of_the_tasks_to_solve_occurs(evaluation: dict[str, Task]) -> None:
    train, _ = codeit.policy.pretraining._corpora(CONFIG)
    pairs = [pair for task in evaluation.values() for pair in (*task.train, *task.test)]
    avoid = {grid for pair in pairs for grid in pair if grid is not None}
    assert len(avoid) > 3000 and avoid == train._avoid
    shown = {grid for example in train.make_round(1).examples for pair in example.pairs for grid in pair}
    assert len(shown) > 100 and not shown & avoid


def test_operations_are_six_per_weight_and_token() -> None:
    policy = Policy.create(CONFIG.policy, 0)
    weights = {
        name: w.numel() for name, w in policy.model.named_parameters() if w.ndim == 2 and "block" in name
    }
    both = sum(n for name, n in weights.items() if "relative" not in name)
    both += 16 * policy.encoding.output_size
    assert operations(policy, 1, 1) == pytest.approx(6 * both, rel=0.03)  # norms and biases count too


@pytest.mark.parametrize("name", ["pretrain", "pretrain-gpu"])
def test_shipped_configurations_train(name: str, tmp_path: Path) -> None:
    small = {
        **{"policy.d_model": 24, "policy.d_ff": 32, "policy.device": "cpu"},
        **{"corpus.proposals_per_round": 450, "pretraining.rounds_per_window": 1, "pretraining.steps": 2},
        **{"pretraining.workers": 1, "pretraining.threads": 1},
    }
    rows: list[dict[str, float]] = []
    path = CONFIGS / f"{name}.toml"
    config = PretrainingSettings.load(path, small)
    pretrain(tmp_path / "run", config, report=lambda share, row: rows.append(row))
    assert rows[-1]["examples"] > 20
    whole = PretrainingSettings.load(path).policy
    assert Policy.create(whole, 0).parameters <= 31e6


def test_paper_encoding_is_refused(tmp_path: Path) -> None:
    policy = CONFIG.policy.model_copy(update={"encoding": "paper"})
    with pytest.raises(PolicyError, match=r"policy.encoding: expected 'signatures'.*found 'paper'"):
        pretrain(tmp_path / "run", CONFIG.model_copy(update={"policy": policy}))
    assert not (tmp_path / "run").exists()


def test_directory_of_version_0_1_is_refused_with_the_new_names(tmp_path: Path) -> None:
    (tmp_path / "config.toml").write_text("[corpus]\ndepth = 8\n[training]\nrounds = 64\n")
    with pytest.raises(ConfigError) as error:
        pretrain(tmp_path, CONFIG)
    assert str(error.value).splitlines() == [
        f"{tmp_path}/config.toml: corpus.depth: unknown key; it is now 'corpus.max_depth'",
        f"{tmp_path}/config.toml: training.rounds: unknown key; it is now 'pretraining.rounds_per_window'",
        f"{tmp_path}: expected a training of this version; choose another --out",
    ]
    assert (tmp_path / "config.toml").read_text() == "[corpus]\ndepth = 8\n[training]\nrounds = 64\n"


def test_prefetch_yields_items_and_raises_their_errors() -> None:
    def items() -> Any:
        yield from range(5)
        raise KeyError("over")

    made = prefetch(items(), 2)
    assert list(islice(made, 5)) == list(range(5))
    with pytest.raises(KeyError, match="over"):
        next(made)
    endless = prefetch(iter(int, 1), 2)
    assert next(endless) == 0
    endless.close()
