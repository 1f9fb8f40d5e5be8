"""Damaged checkpoints are found, and replaced only by the same weights."""

import json
import random
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from test_loop import all_rows, assert_same_run, change, query, run, settings, start_child, uninterrupted

import codeit.loop
from codeit.config import PolicyConfig, RunSettings, TrainingConfig
from codeit.language import Grid, Program
from codeit.policy.model import DamagedPolicyError, Policy
from codeit.policy.training import Trainer, TrainingExample
from codeit.search.mutation import Mutant
from codeit.storage.checksums import CHECKSUMS, ChecksumError, verify_checksums, with_checksums
from codeit.storage.files import RunError, write_directory

__all__ = ["settings", "uninterrupted"]  # fixtures

FILES = (
    *("model.safetensors", "optimizer.safetensors", "config.json", "generation_config.json"),
    *("policy.json", "tokenizer.json", CHECKSUMS),
)
WEIGHTS = "model.safetensors"


def flip(path: Path, seed: int = 0) -> None:
    """Flip a random bit of a file."""
    data, rng = bytearray(path.read_bytes()), random.Random(f"{path.name} {seed}")
    data[rng.randrange(len(data))] ^= 1 << rng.randrange(8)
    path.write_bytes(data)


def truncate(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def empty(path: Path) -> None:
    path.write_bytes(b"")


def scribble(path: Path) -> None:
    path.write_bytes(random.Random(0).randbytes(path.stat().st_size))


DAMAGES = (flip, truncate, empty, scribble, Path.unlink)


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The checkpoint of a trainer that has taken a step."""
    sizes = {"d_model": 16, "d_ff": 16, "heads": 2, "layers_encoder": 1, "layers_decoder": 1}
    policy = Policy.create(PolicyConfig(init="random", encoding="runs", device="cpu", **sizes), 1)
    trainer, encoding = Trainer(policy, TrainingConfig()), policy.encoding
    source = encoding.encode_task([(Grid([[1, 2]]), Grid([[2, 1]]))])
    trainer.epoch([TrainingExample(source, encoding.encode_program(Program.parse("O = vmirror(I)")))], 0)
    directory = tmp_path_factory.mktemp("trainer") / "checkpoint"
    write_directory(directory, with_checksums(trainer.save))
    return directory


def copy(source: Path, target: Path) -> Path:
    target.mkdir()
    for path in source.iterdir():
        (target / path.name).write_bytes(path.read_bytes())
    return target


def load(directory: Path) -> Trainer:
    return Trainer.load(directory, TrainingConfig(), "cpu")


def test_checksums_list_every_file(checkpoint: Path) -> None:
    assert {path.name for path in checkpoint.iterdir()} == set(FILES)
    assert set(json.loads((checkpoint / CHECKSUMS).read_text())) == set(FILES) - {CHECKSUMS}
    verify_checksums(checkpoint)
    load(checkpoint)


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize("damage", DAMAGES, ids=lambda damage: damage.__name__)
def test_damage_to_each_file_is_found(
    damage: Callable[[Path], None], name: str, checkpoint: Path, tmp_path: Path
) -> None:
    directory = copy(checkpoint, tmp_path / "damaged")
    damage(directory / name)
    if (name, damage) == (CHECKSUMS, Path.unlink):
        load(directory)  # like a checkpoint of an earlier version
        return
    with pytest.raises(DamagedPolicyError) as error:
        load(directory)
    assert str(directory) in str(error.value) and "\n" not in str(error.value)
    assert name == CHECKSUMS or f"{directory / name}: expected" in str(error.value)


def test_every_flipped_bit_of_the_checksums_is_found(checkpoint: Path, tmp_path: Path) -> None:
    directory = copy(checkpoint, tmp_path / "damaged")
    path = directory / CHECKSUMS
    whole = path.read_bytes()
    for seed in range(300):
        flip(path, seed)
        with pytest.raises(ChecksumError):
            verify_checksums(directory)
        path.write_bytes(whole)


@pytest.mark.parametrize(
    "name", [name for name in FILES if name not in (CHECKSUMS, "generation_config.json")]
)
@pytest.mark.parametrize("damage", DAMAGES, ids=lambda damage: damage.__name__)
def test_damage_without_checksums_is_one_error_if_it_is_found(
    damage: Callable[[Path], None], name: str, checkpoint: Path, tmp_path: Path
) -> None:
    directory = copy(checkpoint, tmp_path / "damaged")
    (directory / CHECKSUMS).unlink()
    damage(directory / name)
    if damage is flip:  # a flipped bit in a weight or a comment cannot be seen
        return
    with pytest.raises(DamagedPolicyError) as error:
        load(directory)
    assert str(directory) in str(error.value) and "\n" not in str(error.value)


def test_flipped_bits_without_checksums_give_no_traceback(checkpoint: Path, tmp_path: Path) -> None:
    directory = copy(checkpoint, tmp_path / "damaged")
    (directory / CHECKSUMS).unlink()
    for name in ("config.json", "policy.json", "tokenizer.json"):
        whole = (directory / name).read_bytes()
        for seed in range(12):
            flip(directory / name, seed)
            try:
                load(directory)
            except ValueError as error:
                assert type(error).__module__.startswith("codeit."), (name, seed)  # one line, see cli.main
            (directory / name).write_bytes(whole)


COMMITS_TO_SECOND_SAMPLES = 12
"""Commits of a run of `settings` until part of the sampling of iteration 2 is done, and one."""


def stop_after(commits: int, path: Path, settings: RunSettings) -> Path:
    """Start a run that is killed just before its n-th commit; return its checkpoints."""
    process = start_child(path, settings, commits)
    process.join()
    assert process.exitcode not in (None, 0)
    return path / "checkpoints"


@pytest.mark.parametrize("name", ["model.safetensors", "optimizer.safetensors", "config.json", CHECKSUMS])
def test_a_damaged_checkpoint_is_replaced_by_the_same_weights(
    name: str,
    uninterrupted: Path,
    settings: RunSettings,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
) -> None:
    path = tmp_path / "run"
    checkpoints = stop_after(COMMITS_TO_SECOND_SAMPLES, path, settings)
    assert sorted(entry.name for entry in checkpoints.iterdir()) == ["0001", "0002"]
    whole = (checkpoints / "0002" / name).read_bytes()
    truncate(checkpoints / "0002" / name)
    run(path)
    assert_same_run(path, uninterrupted)
    assert (checkpoints / "0002" / name).read_bytes() == whole
    assert sorted(entry.name for entry in checkpoints.iterdir()) == ["0001", "0002"]
    (record,) = [record for record in caplog.records if record.name == "codeit.policy.checkpoint_recovery"]
    assert f"0002/{name}: expected" in record.getMessage()
    assert record.getMessage().endswith("; repeating the training of iteration 2")


def test_checkpoint_whose_deletion_a_kill_prevented_is_deleted_by_the_next_call(
    uninterrupted: Path, tmp_path: Path
) -> None:
    path = tmp_path / "run"
    shutil.copytree(uninterrupted, path)
    checkpoints = path / "checkpoints"
    for name in ("0000", "0002.partial", "0002.partial.partial", "notes"):
        (checkpoints / name).mkdir()
        (checkpoints / name / "policy.json").touch()
    run(path)
    assert sorted(entry.name for entry in checkpoints.iterdir()) == ["0001", "0002", "notes"]


def test_a_damaged_first_checkpoint_is_created_again(
    uninterrupted: Path,
    settings: RunSettings,
    tmp_path: Path,
) -> None:
    path = tmp_path / "run"
    flip(stop_after(3, path, settings) / "0000" / WEIGHTS)
    run(path)
    assert_same_run(path, uninterrupted)


def test_a_run_with_two_damaged_checkpoints_is_refused(
    settings: RunSettings,
    tmp_path: Path,
) -> None:
    path = tmp_path / "run"
    checkpoints = stop_after(COMMITS_TO_SECOND_SAMPLES, path, settings)
    before = all_rows(path)
    empty(checkpoints / "0001" / "policy.json")
    flip(checkpoints / "0002" / WEIGHTS)
    damaged = (checkpoints / "0002" / WEIGHTS).read_bytes()
    with pytest.raises(RunError, match=r"0002/model.safetensors: .*0001/policy.json: .*backup") as error:
        run(path)
    assert "\n" not in str(error.value)
    assert all_rows(path) == before
    assert (checkpoints / "0002" / WEIGHTS).read_bytes() == damaged


def replaced_after_training(path: Path) -> list[tuple[object, ...]]:
    """Return the experiences that a training drew and that were replaced later."""
    text = """
        SELECT p.text, e.iteration, e.replaced, e.source FROM experience e JOIN program p ON p.id = program_id
        WHERE e.replaced > e.iteration AND e.times_drawn ORDER BY e.id
    """
    return query(path, text)


LONG, SHORT = "x1 = rot90(I)\nO = rot90(x1)", "O = rot180(I)"


def test_a_repeated_training_draws_samples_that_were_replaced_since(
    settings: RunSettings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Iteration 1 samples a program, iteration 2 learns from it and samples a shorter one."""
    path, texts = tmp_path / "run", iter([LONG] * 3 + [SHORT] * 3)
    monkeypatch.setattr(codeit.loop, "sample", lambda *_, **__: iter([(0, [next(texts)])]))
    run(path, change(settings, replay__capacity=1000))
    assert replaced_after_training(path) == [(LONG, 1, 2, "policy")] * 3
    before, weights = all_rows(path), path / "checkpoints" / "0002" / WEIGHTS
    whole = weights.read_bytes()
    flip(weights)
    run(path)
    assert weights.read_bytes() == whole
    assert all_rows(path) == before


def test_a_repeated_training_draws_mutants_that_were_replaced_since(
    settings: RunSettings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The run stops after the mutants of iteration 2, one of which is shorter than one before."""
    path, texts = tmp_path / "run", iter([LONG, LONG.replace("rot90", "rot270"), SHORT])
    train = codeit.loop.Loop.train

    def mutate(*_: object, **__: object) -> list[Mutant]:
        return [Mutant("recolour", Program.parse(next(texts)))]

    def train_once(loop: codeit.loop.Loop, iteration: int) -> None:
        if iteration == 2:
            raise InterruptedError
        train(loop, iteration)

    monkeypatch.setattr(codeit.loop, "make_mutants", mutate)
    with monkeypatch.context() as stopped, pytest.raises(InterruptedError):
        stopped.setattr(codeit.loop.Loop, "train", train_once)
        run(path, change(settings, replay__capacity=1000, mutation__per_iteration=1))
    assert replaced_after_training(path) == [(LONG, 0, 2, "mutation")]
    weights = path / "checkpoints" / "0001" / WEIGHTS
    whole = weights.read_bytes()
    flip(weights)
    run(path)
    assert weights.read_bytes() == whole
    drawn = """
        SELECT e.iteration, e.replaced, e.times_drawn FROM experience e
        WHERE source = 'mutation' ORDER BY e.id
    """
    assert query(path, drawn) == [(0, 2, 1), (1, 1, 0), (2, None, 1)]


def test_a_repeat_that_gives_other_weights_is_refused(
    settings: RunSettings,
    tmp_path: Path,
) -> None:
    """The experiences that were drawn are no longer in the buffer."""
    path = tmp_path / "run"
    run(path, change(settings, run__iterations=1, replay__capacity=4))
    before, checkpoint = all_rows(path), path / "checkpoints" / "0001"
    flip(checkpoint / WEIGHTS)
    with pytest.raises(RunError, match=r"0001/model.safetensors: .* gives other weights; restore"):
        run(path)
    assert all_rows(path) == before
    assert [entry.name for entry in sorted(checkpoint.parent.iterdir())] == ["0000", "0001"]


def test_a_checkpoint_that_is_lost_is_refused(
    settings: RunSettings,
    tmp_path: Path,
) -> None:
    checkpoint = stop_after(COMMITS_TO_SECOND_SAMPLES, tmp_path / "run", settings) / "0002"
    checkpoint.rename(tmp_path / "elsewhere")
    with pytest.raises(RunError, match=r"0002/policy.json: no such file; nothing is left to check .*backup"):
        run(tmp_path / "run")


def test_a_saved_policy_that_was_edited_says_what_to_do(checkpoint: Path, tmp_path: Path) -> None:
    directory = copy(checkpoint, tmp_path / "policy")
    card = json.loads((directory / "policy.json").read_text())
    (directory / "policy.json").write_text(json.dumps({**card, "max_program_tokens": 9}))
    (directory / "README.md").write_text("Files that are not recorded do no harm.")
    with pytest.raises(DamagedPolicyError, match=r"or delete checksums.json if you edited the file"):
        Policy.load(directory, "cpu")
    init = PolicyConfig(init=str(directory), encoding="runs", device="cpu")
    with pytest.raises(DamagedPolicyError, match=r"policy.json: expected SHA-256"):
        Policy.create(init, 0)
    (directory / CHECKSUMS).unlink()
    edited = Policy.load(directory, "cpu")
    assert edited.encoding.max_program_tokens == 9
    assert torch.equal(edited.model.shared.weight, load(checkpoint).policy.model.shared.weight)
