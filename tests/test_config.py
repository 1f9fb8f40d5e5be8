"""Settings: what is read, what overrides what, and how errors are reported."""

from pathlib import Path

import pytest

from codeit.config import (
    EvolutionConfig,
    OperatorWeights,
    PretrainingSettings,
    RunSettings,
    SearchSettings,
    SolveSettings,
)
from codeit.settings import (
    CONFIGS,
    RENAMED,
    ConfigError,
    Section,
    Settings,
    describe,
    find_config,
    shipped_configs,
)

ALL_SETTINGS = [RunSettings, PretrainingSettings, SearchSettings, SolveSettings]
SHIPPED = [
    *(f"ablations/a{n}" for n in range(1, 7)),
    *("codeit", "laptop", "paper", "pretrain", "pretrain-gpu", "smoke"),
]


def write(path: Path, text: str) -> Path:
    path.write_text(text, encoding="utf-8")
    return path


def settings_of(name: str) -> type[Settings]:
    return PretrainingSettings if name.startswith("pretrain") else RunSettings


@pytest.mark.parametrize("name", SHIPPED)
def test_a_shipped_configuration_is_valid_and_written_back_equal(name: str, tmp_path: Path) -> None:
    config = settings_of(name).load(name)
    again = settings_of(name).load(write(tmp_path / "again.toml", config.to_toml()))
    assert again == config
    assert type(again) is type(config)


def test_settings_that_differ_everywhere_are_written_back_equal(tmp_path: Path) -> None:
    changed = RunSettings.from_overrides({key: _other(value) for key, value in RunSettings().flat().items()})
    assert not {key for key, value in changed.flat().items() if value == RunSettings().flat()[key]}
    assert RunSettings.load(write(tmp_path / "again.toml", changed.to_toml())) == changed


def _other(value: object) -> object:
    """Return another value of a setting that is valid in its section."""
    others = {
        "shipped": "random",
        "auto": "cpu",
        "signatures": "patches",
        "fp32": "bf16",
        "length": "votes",
        "tokens": "programs",
        192: 60,  # d_model; a multiple of 5 heads
        6: 5,
        10: 9,  # demonstrations
    }
    if isinstance(value, bool):
        return not value
    if value in others:
        return others[value]
    if isinstance(value, str):
        return value + "-other"
    return value + 0.05 if isinstance(value, float) else value + 1  # type: ignore[operator]


def test_text_with_quotes_and_backslashes_is_written_back_equal(tmp_path: Path) -> None:
    config = RunSettings.load(CONFIGS / "smoke.toml", {"data.test": 'a "b" \\ c\té'})
    assert RunSettings.load(write(tmp_path / "again.toml", config.to_toml())).data.test == 'a "b" \\ c\té'


def test_shipped_configurations_are_found_by_name_and_by_path(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert shipped_configs() == SHIPPED
    for name in SHIPPED:
        path = CONFIGS / f"{name}.toml"
        assert find_config(name) == find_config(path) == path
        assert settings_of(name).load(name) == settings_of(name).load(path)
    monkeypatch.chdir(tmp_path)
    own = write(tmp_path / "laptop.toml", "[run]\nseed = 5\n")
    assert find_config("laptop.toml") == Path(own.name)
    assert RunSettings.load("laptop.toml").run.seed == 5
    assert RunSettings.load("laptop").run.seed == 0


def test_a_directory_does_not_hide_a_shipped_configuration_of_its_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "smoke").mkdir()  # as `codeit run smoke --out smoke` creates it
    monkeypatch.chdir(tmp_path)
    assert find_config("smoke") == CONFIGS / "smoke.toml"


def test_an_unknown_name_lists_the_shipped_configurations() -> None:
    with pytest.raises(ConfigError) as caught:
        RunSettings.load("labtop")
    assert str(caught.value) == (
        f"labtop: expected a TOML file or one of {', '.join(SHIPPED)}, found neither"
    )


def test_defaults_are_the_paper_s_except_for_policy_precision_memory_and_what_teaches_nothing() -> None:
    paper, default = RunSettings.load("paper").flat(), RunSettings().flat()
    differ = {key for key in paper if paper[key] != default[key]}
    assert {key for key in differ if not key.startswith("policy.")} == {
        "training.precision",
        "training.micro_batch_tokens",
        "hindsight.trivial",
        "replay.distinct",
        "sampling.distinct",
    }


ABLATIONS = {
    "a1": {"hindsight.keep_samples": False, "mutation.per_iteration": 9600},
    "a2": {"hindsight.relabel": False},
    "a3": {"replay.prioritized": False},
    "a4": {"policy.init": "random"},
    "a5": {"policy.demonstrations": 1},
    "a6": {"mutation.initial": 0},
}


@pytest.mark.parametrize("name", ABLATIONS)
def test_an_ablation_changes_only_its_setting(name: str) -> None:
    paper = RunSettings.load("paper").flat()
    ablation = RunSettings.load(f"ablations/{name}").flat()
    assert {key: value for key, value in ablation.items() if value != paper[key]} == ABLATIONS[name]


def _undocumented(section: type[Section], prefix: str = "") -> list[str]:
    """Return the settings without a source: neither their description nor their class names one."""
    missing = []
    for name, field in section.model_fields.items():
        if isinstance(field.default, Section):
            missing += _undocumented(type(field.default), f"{prefix}{name}.")
            continue
        declaring = next(one for one in section.__mro__ if name in vars(one).get("__annotations__", {}))
        all_ours = "All ours" in " ".join((declaring.__doc__ or "").split())
        description = field.description or ""
        if not ((all_ours and description) or "Paper: " in description or "Ours" in description):
            missing.append(prefix + name)
    return missing


@pytest.mark.parametrize("settings", ALL_SETTINGS)
def test_every_setting_says_where_its_default_comes_from(settings: type[Settings]) -> None:
    assert _undocumented(settings) == []
    keys = [key for key, _, _ in describe(settings)]
    assert keys == list(settings().flat())
    assert len(keys) == len(set(keys)) > 5


def test_a_setting_without_a_source_would_be_noticed() -> None:
    class Inner(Section):
        """[inner]"""

        known: int = EvolutionConfig.model_fields["population"].default

    class Outer(EvolutionConfig):
        """[outer]"""

        inner: Inner = Inner()

    assert _undocumented(Outer) == ["inner.known"]


def test_overrides_are_parsed_as_toml_if_possible(tmp_path: Path) -> None:
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


def test_overrides_apply_to_the_defaults_without_a_file() -> None:
    assert SearchSettings.from_overrides({}) == SearchSettings()
    settings = SearchSettings.from_overrides({"evolution.population": "50", "evolution.starter_mates": 0.5})
    assert (settings.evolution.population, settings.evolution.starter_mates) == (50, 0.5)
    assert settings.evolution.offspring == EvolutionConfig().offspring
    assert SearchSettings().evolution.population == 200  # the defaults are not changed
    with pytest.raises(ConfigError) as caught:
        SearchSettings.from_overrides({"evolution.population": "0", "evolution.brood": "9"})
    assert str(caught.value).splitlines() == [
        "command line: evolution.population: expected greater than or equal to 1, found 0",
        "command line: evolution.brood: unknown key; it is now 'evolution.offspring'",
    ]


def test_an_override_of_one_weight_keeps_the_other_weights(tmp_path: Path) -> None:
    settings = SearchSettings.from_overrides({"evolution.weights.splice": "3"})
    assert settings.evolution.weights == OperatorWeights(splice=3)
    path = write(tmp_path / "c.toml", "[evolution.weights]\nsplice = 3\ndrop = 5\n")
    config = RunSettings.load(path, {"evolution.weights.drop": "0.5"})
    assert config.evolution.weights == OperatorWeights(splice=3, drop=0.5)
    assert config.flat()["evolution.weights.splice"] == 3


def test_part_of_a_section_keeps_the_defaults_of_its_settings(tmp_path: Path) -> None:
    solve = SolveSettings.from_overrides({"sampling.temperature": "1.5", "training.batch_size": "8"})
    assert solve.sampling.temperature == 1.5
    assert solve.sampling.samples_per_task == 128
    assert (solve.training.learning_rate, solve.training.precision) == (3e-4, "bf16")
    path = write(tmp_path / "c.toml", "[corpus.weights]\njoin = 1.0\n")
    weights = PretrainingSettings.load(path).corpus.weights
    assert (weights.join, weights.splice, weights.drop) == (1.0, 2.0, 2.0)


def test_a_file_overrides_the_file_that_it_extends(tmp_path: Path) -> None:
    write(
        tmp_path / "base.toml", "[run]\nseed = 1\niterations = 5\n[evolution.weights]\ndrop = 3\nsplice = 4\n"
    )
    (tmp_path / "below").mkdir()
    text = 'extends = "../base.toml"\n[run]\nseed = 2\n[evolution.weights]\ndrop = 7\n'
    config = RunSettings.load(write(tmp_path / "below" / "c.toml", text))
    assert (config.run.seed, config.run.iterations) == (2, 5)
    assert config.evolution.weights == OperatorWeights(drop=7, splice=4)


def test_a_file_may_extend_a_shipped_configuration_by_name(tmp_path: Path) -> None:
    path = write(tmp_path / "c.toml", 'extends = "smoke"\n[run]\nseed = 2\n')
    assert RunSettings.load(path) == RunSettings.load("smoke", {"run.seed": 2})
    nested = write(tmp_path / "d.toml", 'extends = "ablations/a2"\n')
    assert RunSettings.load(nested) == RunSettings.load("ablations/a2")
    write(tmp_path / "smoke", "[run]\nseed = 9\n")  # a file beside it comes first
    assert RunSettings.load(path) == RunSettings.from_overrides({"run.seed": 2})


MISTAKES = {
    "unknown key": ("[policy]\ninti = 'random'\n", "policy.inti: unknown key; did you mean 'policy.init'?"),
    "unknown section": ("[polcy]\ninit = 'random'\n", "polcy: unknown key; did you mean 'policy'?"),
    "wrong section": ("[sampling]\nseed = 1\n", "sampling.seed: unknown key; did you mean 'run.seed'?"),
    "unknown nested key": (
        "[evolution.weights]\nslice = 1\n",
        "evolution.weights.slice: unknown key; did you mean 'evolution.weights.splice'?",
    ),
    "wrong type": ("[run]\nseed = 'one'\n", "run.seed: expected a valid integer, found 'one'"),
    "text for a number": ("[run]\nseed = '1'\n", "run.seed: expected a valid integer, found '1'"),
    "float for an integer": ("[run]\nseed = 1.0\n", "run.seed: expected a valid integer, found 1.0"),
    "boolean for an integer": ("[run]\nseed = true\n", "run.seed: expected a valid integer, found True"),
    "boolean for a number": (
        "[policy]\ndropout = false\n",
        "policy.dropout: expected a valid number, found False",
    ),
    "integer for a boolean": (
        "[hindsight]\nrelabel = 1\n",
        "hindsight.relabel: expected a valid boolean, found 1",
    ),
    "table for a value": ("[run.seed]\nx = 1\n", "run.seed: expected a valid integer, found {'x': 1}"),
    "out of range": (
        "[run]\niterations = -1\n",
        "run.iterations: expected greater than or equal to 0, found -1",
    ),
    "not finite": ("[policy]\ndropout = nan\n", "policy.dropout: expected a finite number, found nan"),
    "not one of": (
        "[training]\nprecision = 'fp8'\n",
        "precision: expected 'fp32', 'bf16' or 'fp16', found 'fp8'",
    ),
    "no device": (
        "[policy]\ndevice = 'tpu'\n",
        "policy.device: expected 'auto', 'cpu' or 'cuda[:N]', found 'tpu'",
    ),
    "no number of a device": ("[policy]\ndevice = 'cuda:x'\n", "expected 'auto', 'cpu' or 'cuda[:N]', found"),
    "too many threads": (
        "[run]\nthreads = 99999999999\n",
        "run.threads: expected less than or equal to 1024, found 99999999999",
    ),
    "beyond 64 bits": (
        f"[run]\nseed = {2**63}\n",
        "run.seed: expected an integer of at most 63 bits, found one of 64; reduce it",
    ),
    "nested too deeply": (
        f"[data]\ntrain = {'[' * 20}{']' * 20}\n",
        "data.train: expected at most 16 nested tables and arrays, found more; remove the inner ones",
    ),
    "long text": (f"[run]\nseed = '{'1' * 99}'\n", f"expected a valid integer, found '{'1' * 56}…"),
    "no table": ("run = 3\n", "run: expected a table [run], found 3"),
    "no nested table": (
        "[evolution]\nweights = 3\n",
        "evolution.weights: expected a table [evolution.weights], found 3",
    ),
    "wrong type in a nested table": (
        "[evolution.weights]\nsplice = 'much'\n",
        "evolution.weights.splice: expected a valid number, found 'much'",
    ),
    "no positive weight": (
        "[evolution.weights]\n" + "".join(f"{name} = 0\n" for name in OperatorWeights.model_fields),
        "evolution.weights: expected at least one weight above 0, found none",
    ),
    "at odds": (
        "[policy]\ninit = 'codet5p-220m'\n",
        "policy: init = 'codet5p-220m' needs encoding = 'paper' (its tokenizer), found 'signatures'",
    ),
    "heads": ("[policy]\nd_model = 100\nheads = 3\n", "policy: heads must divide d_model, found 3 and 100"),
    "not TOML": ("[run\n", "not TOML"),
    "extends no file": ("extends = 'none.toml'\n", "none.toml: no such file (extended by "),
    "extends no name": ("extends = 'none'\n", "extends: none: expected a TOML file or one of ablations/a1, "),
    "extends itself": ("extends = 'c.toml'\n", "'extends' forms a cycle"),
    "extends a number": ("extends = 1\n", "extends: expected the path of a TOML file, found 1"),
}


@pytest.mark.parametrize("device", ["auto", "cpu", "cuda", "cuda:1"])
def test_devices_are_accepted(device: str) -> None:
    assert RunSettings.from_overrides({"policy.device": device}).policy.device == device


@pytest.mark.parametrize("mistake", MISTAKES)
def test_an_error_names_file_and_key(mistake: str, tmp_path: Path) -> None:
    text, message = MISTAKES[mistake]
    path = write(tmp_path / "c.toml", text)
    with pytest.raises(ConfigError) as caught:
        RunSettings.load(path)
    assert message in str(caught.value)
    assert str(tmp_path) in str(caught.value)


OLD_KEYS = {
    "[evolution]\nmutants = 5\n": "evolution.mutants: unknown key; it is now 'mutation.initial'",
    "[evolution]\ntry_on_tasks = true\n": "evolution.try_on_tasks: unknown key; it is now "
    "'mutation.run_baseline'",
    "[evolution]\nkept = 5\n": "evolution.kept: unknown key; it is now 'evolution.elites'",
    "[learning]\nclip = 0.5\n": "learning.clip: unknown key; it is now 'training.max_grad_norm'",
    "[learning]\nepochs = 2\n": "learning.epochs: unknown key; it is now 'training.epochs'",
    "[learning]\n": "learning: unknown key; it is now 'training'",
    "[budget]\nsteps = 5\n": "budget.steps: unknown key; it is now 'budget.max_steps'",
    "[replay]\nshort = 5\n": "replay.short: unknown key; it is now 'replay.short_lines'",
    "[policy]\npatch = 3\n": "policy.patch: unknown key; it is now 'policy.patch_size'",
}
OLD_PRETRAINING_KEYS = {
    "[training]\nheld_out = 5\n": "training.held_out: unknown key; it is now 'pretraining.hold_out_every'",
    "[training]\nminutes = 5.0\n": "training.minutes: unknown key; it is now 'pretraining.minutes'",
    "[training]\nrounds = 5\n[corpus]\nstrangers = 0.5\n": "training.rounds: unknown key; it is now "
    "'pretraining.rounds_per_window'",
    "[corpus]\nround = 5\n": "corpus.round: unknown key; it is now 'corpus.proposals_per_round'",
}


@pytest.mark.parametrize("text", [*OLD_KEYS, *OLD_PRETRAINING_KEYS])
def test_a_key_of_version_0_1_is_refused_with_its_new_name(text: str, tmp_path: Path) -> None:
    path = write(tmp_path / "c.toml", text)
    with pytest.raises(ConfigError) as caught:
        (RunSettings if text in OLD_KEYS else PretrainingSettings).load(path)
    assert f"{path}: {(OLD_KEYS | OLD_PRETRAINING_KEYS)[text]}" in str(caught.value).splitlines()


def test_every_new_name_exists() -> None:
    known = {key for settings in ALL_SETTINGS for key, _, _ in describe(settings)}
    known |= {section for settings in ALL_SETTINGS for section in settings.model_fields}
    assert set(RENAMED.values()) <= known
    assert not known & (RENAMED.keys() - {"training.seed", "training.steps", "training.minutes"})


def test_all_errors_are_reported_at_once_with_their_origin(tmp_path: Path) -> None:
    write(tmp_path / "base.toml", "[run]\nseed = -1\n")
    path = write(tmp_path / "c.toml", "extends = 'base.toml'\n[data]\ntasks = -1\n")
    with pytest.raises(ConfigError) as caught:
        RunSettings.load(path, {"run.iteration": "3"})
    lines = str(caught.value).splitlines()
    assert len(lines) == 3
    assert any(line.startswith(f"{tmp_path / 'base.toml'}: run.seed:") for line in lines)
    assert any(line.startswith(f"{path}: data.tasks:") for line in lines)
    assert any(line.startswith("command line: run.iteration:") and "run.iterations" in line for line in lines)


def test_an_error_of_a_whole_table_names_what_set_the_table_last(tmp_path: Path) -> None:
    zeros = "".join(f"{name} = 0\n" for name in OperatorWeights.model_fields)
    base = write(tmp_path / "base.toml", f"[evolution.weights]\n{zeros}")
    path = write(
        tmp_path / "c.toml", "extends = 'base.toml'\n[evolution]\npopulation = 5\n[policy]\nheads = 6\n"
    )
    with pytest.raises(ConfigError, match=r"evolution.weights: expected at least one weight") as caught:
        RunSettings.load(path)
    assert str(caught.value).startswith(f"{base}: ")
    with pytest.raises(ConfigError, match="policy: init = 'codet5p-220m' needs encoding") as caught:
        RunSettings.load(path, {"policy.init": "codet5p-220m", "evolution.weights.drop": "1"})
    assert str(caught.value).startswith("command line: ")


OVERRIDE_MISTAKES = {
    "run.seed.x": ("3", "command line: run.seed: expected a valid integer, found {'x': 3}"),
    "run.iterations.x": ("3", "--run.iterations.x: expected a table 'iterations', found 7"),
    "evolution.weights": (
        "3",
        "command line: evolution.weights: expected a table [evolution.weights], found 3",
    ),
    "learning.clip": ("3", "command line: learning.clip: unknown key; it is now 'training.max_grad_norm'"),
    "run.threads": ("true", "command line: run.threads: expected a valid integer, found True"),
    "iterations": ("3", "--iterations: unknown option; did you mean --run.iterations?"),
    "policy": (
        "3",
        "--policy: unknown option; settings are given as --section.key VALUE, such as --policy.init",
    ),
}


@pytest.mark.parametrize("key", OVERRIDE_MISTAKES)
def test_an_error_in_an_override_names_the_command_line(key: str, tmp_path: Path) -> None:
    value, message = OVERRIDE_MISTAKES[key]
    path = write(tmp_path / "c.toml", "[run]\niterations = 7\n")
    with pytest.raises(ConfigError) as caught:
        RunSettings.load(path, {key: value})
    assert str(caught.value) == message


def test_a_missing_file_and_a_directory_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="no such file"):
        RunSettings.load(tmp_path / "none.toml")
    with pytest.raises(ConfigError, match="cannot be read"):
        RunSettings.load(tmp_path)


def test_settings_cannot_be_changed() -> None:
    with pytest.raises(ValueError, match="frozen"):
        RunSettings().run.seed = 1  # type: ignore[misc]


def test_renamed_value_names_the_new_value(tmp_path: Path) -> None:
    path = write(tmp_path / "old.toml", '[policy]\nencoding = "clues"\n')
    with pytest.raises(ConfigError, match=r"found 'clues'; it is now 'signatures'"):
        RunSettings.load(path)
