"""Configurations: what is read, what is laid over what, and what a user is told of a user_error."""

from pathlib import Path

import pytest

from codeit.config import CONFIGS, RunSettings, ConfigError, PretrainingSettings, keys




def write(path: Path, text: str) -> Path:
    path.write_text(text, encoding="utf-8")
    return path


@pytest.mark.parametrize("path", sorted(CONFIGS.rglob("*.toml")), ids=lambda path: path.stem)
def test_every_config_shipped_is_valid_and_written_back_equal(path: Path, tmp_path: Path) -> None:
    kind = PretrainingSettings if path.stem.startswith("pretrain") else RunSettings
    config = kind.load(path)
    assert kind.load(write(tmp_path / "again.toml", config.to_toml())) == config


def test_text_with_quotes_and_backslashes_is_written_back_equal(tmp_path: Path) -> None:
    config = RunSettings.load(CONFIGS / "smoke.toml", {"data.test": 'a "b" \\ c\té'})
    assert RunSettings.load(write(tmp_path / "again.toml", config.to_toml())).data.test == 'a "b" \\ c\té'


def test_the_paper_is_the_default_but_for_policy_precision_and_memory() -> None:
    paper, default = RunSettings.load(CONFIGS / "paper.toml").flat(), RunSettings().flat()
    differ = {key for key in paper if paper[key] != default[key]}
    assert {key for key in differ if not key.startswith("policy.")} == {
        "learning.precision",
        "learning.micro_batch_tokens",
    }


ABLATIONS = {
    "a1": {"hindsight.keep_samples": False, "evolution.mutants_per_iteration": 9600},
    "a2": {"hindsight.relabel": False},
    "a3": {"replay.prioritized": False},
    "a4": {"policy.init": "random"},
    "a5": {"policy.demonstrations": 1},
    "a6": {"evolution.mutants": 0},
}


@pytest.mark.parametrize("name", ABLATIONS)
def test_an_ablation_changes_its_setting_alone(name: str) -> None:
    paper = RunSettings.load(CONFIGS / "paper.toml").flat()
    ablation = RunSettings.load(CONFIGS / "ablations" / f"{name}.toml").flat()
    assert {key: value for key, value in ablation.items() if value != paper[key]} == ABLATIONS[name]


def test_every_value_says_where_its_default_comes_from() -> None:
    for key, description, _ in keys():
        assert "Paper: " in description or "Ours" in description or "CodeT5+'s" in description, key


def test_overrides_are_read_as_toml_if_they_can_be(tmp_path: Path) -> None:
    path = write(tmp_path / "c.toml", "[run]\nseed = 1\n")
    overrides = {
        "run.seed": "2",
        "data.test": "some/folder",
        "replay.prioritized": "false",
        "policy.dropout": "0",
    }
    config = RunSettings.load(path, overrides)
    assert (config.run.seed, config.data.test, config.replay.prioritized) == (2, "some/folder", False)
    assert config.policy.dropout == 0.0


def test_a_file_lies_over_the_one_it_extends(tmp_path: Path) -> None:
    write(tmp_path / "base.toml", "[run]\nseed = 1\niterations = 5\n")
    (tmp_path / "below").mkdir()
    path = write(tmp_path / "below" / "c.toml", 'extends = "../base.toml"\n[run]\nseed = 2\n')
    assert (RunSettings.load(path).run.seed, RunSettings.load(path).run.iterations) == (2, 5)


MISTAKES = {
    "unknown key": ("[policy]\ninti = 'random'\n", "policy.inti: unknown key; did you mean 'policy.init'?"),
    "unknown section": ("[polcy]\ninit = 'random'\n", "polcy: unknown key; did you mean 'policy'?"),
    "wrong section": ("[sampling]\nseed = 1\n", "sampling.seed: unknown key; did you mean 'run.seed'?"),
    "wrong type": ("[run]\nseed = 'one'\n", "run.seed: expected a valid integer, found 'one'"),
    "no number for text": ("[run]\nseed = '1'\n", "run.seed: expected a valid integer, found '1'"),
    "out of range": (
        "[run]\niterations = -1\n",
        "run.iterations: expected greater than or equal to 0, found -1",
    ),
    "not finite": ("[policy]\ndropout = nan\n", "policy.dropout: expected a finite number, found nan"),
    "not one of": (
        "[learning]\nprecision = 'fp8'\n",
        "precision: expected 'fp32', 'bf16' or 'fp16', found 'fp8'",
    ),
    "no table": ("run = 3\n", "run: expected a table [run], found 3"),
    "at odds": (
        "[policy]\ninit = 'codet5p-220m'\n",
        "policy: init = 'codet5p-220m' needs encoding = 'paper' (its tokenizer), found 'signatures'",
    ),
    "heads": ("[policy]\nd_model = 100\nheads = 3\n", "policy: heads must divide d_model, found 3 and 100"),
    "not TOML": ("[run\n", "not TOML"),
    "extends no file": ("extends = 'none.toml'\n", "none.toml: no such file (extended by "),
    "extends itself": ("extends = 'c.toml'\n", "'extends' goes round in a circle"),
    "extends a number": ("extends = 1\n", "extends: expected the path of a TOML file, found 1"),
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_mistake_is_named_with_file_and_key(user_error: str, tmp_path: Path) -> None:
    text, message = MISTAKES[user_error]
    path = write(tmp_path / "c.toml", text)
    with pytest.raises(ConfigError) as caught:
        RunSettings.load(path)
    assert message in str(caught.value)
    assert str(tmp_path) in str(caught.value)


def test_every_mistake_is_told_at_once_and_where_it_was_made(tmp_path: Path) -> None:
    write(tmp_path / "base.toml", "[run]\nseed = -1\n")
    path = write(tmp_path / "c.toml", "extends = 'base.toml'\n[data]\ntasks = -1\n")
    with pytest.raises(ConfigError) as caught:
        RunSettings.load(path, {"run.iteration": "3"})
    lines = str(caught.value).splitlines()
    assert len(lines) == 3
    assert any(line.startswith(f"{tmp_path / 'base.toml'}: run.seed:") for line in lines)
    assert any(line.startswith(f"{path}: data.tasks:") for line in lines)
    assert any(line.startswith("command line: run.iteration:") and "run.iterations" in line for line in lines)


def test_missing_file_and_folder_for_file(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="no such file"):
        RunSettings.load(tmp_path / "none.toml")
    with pytest.raises(ConfigError, match="cannot be read"):
        RunSettings.load(tmp_path)


def test_a_config_cannot_be_changed() -> None:
    with pytest.raises(ValueError, match="frozen"):
        RunSettings().run.seed = 1  # type: ignore[misc]
