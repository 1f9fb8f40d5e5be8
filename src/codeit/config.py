"""The configuration of a run: one immutable pydantic model, read from TOML, overridden by dotted names.

The defaults are the values of the paper (Butt et al. 2024, arXiv 2402.04858) wherever the paper gives one,
but those of [policy] are of the policy in this package, and precision is fp32; each field's description says
its unit and where its default comes from, and doubles as its command-line help.
"""

from __future__ import annotations

import difflib
import json
import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

MAX_EXTENDS = 8


class ConfigError(ValueError):
    """A configuration that cannot be used: the message names file, key, what was expected, what was found."""


class Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, allow_inf_nan=False)


class RunConfig(Section):
    seed: int = Field(
        default=0,
        ge=0,
        description="The run's one seed; each phase, iteration and task derives its own. Ours: 0.",
    )
    iterations: int = Field(
        default=100, ge=0, description="Meta-iterations after the preparation. Paper: about 100."
    )
    threads: int = Field(default=0, ge=0, description="CPU threads; 0 takes every core. Ours.")


class DataConfig(Section):
    train: str = Field(
        default="arc-agi-1/training",
        description="Tasks with expert programs: a data set's name or a path. Paper: the 400 training tasks.",
    )
    test: str = Field(
        default="arc-agi-1/evaluation",
        description="Tasks to solve: a data set's name or a path. Paper: the 400 public evaluation tasks.",
    )


class RunDataConfig(DataConfig):
    tasks: int = Field(
        default=0,
        ge=0,
        description="Only the first N tasks to solve, in the order of their ids; 0 takes all. Paper: all.",
    )


class EvolutionConfig(Section):
    mutants: int = Field(
        default=19_200, ge=0, description="Mutated programs in the initial buffer. Paper: 19,200."
    )
    mutants_per_iteration: int = Field(
        default=0,
        ge=0,
        description="Mutated programs added in each meta-iteration. Paper: 0, but in ablation A1.",
    )
    try_on_tasks: bool = Field(
        default=True,
        description="Try experts and mutants on the test tasks; cumulative scores count them. Paper: true.",
    )
    programs: int = Field(
        default=0,
        ge=0,
        description="Programs that evolution tries on each task to solve in the preparation. Paper: 0.",
    )
    programs_per_iteration: int = Field(
        default=0,
        ge=0,
        description="Programs that it tries in each meta-iteration, from those found so far. Paper: 0.",
    )
    kept: int = Field(
        default=24,
        ge=0,
        description="Best programs of a task's population that enter the buffer. Ours: as many as samples.",
    )


def _weight(default: float, what: str) -> Any:
    return Field(default=default, ge=0, description=f"How often {what}.")


class _Told(Section):
    """Settings that the command line gives, as text."""

    model_config = ConfigDict(strict=False)


class OperatorWeights(_Told):
    """How often each operator of `language.OPERATORS` is tried, up to a common factor. Ours."""

    argument: float = _weight(2.0, "an argument is swapped")
    function: float = _weight(1.0, "a function is swapped for one of its signature")
    call: float = _weight(1.0, "a line becomes a new call")
    append: float = _weight(1.0, "a new call takes the result")
    drop: float = _weight(1.0, "a line goes")
    constant: float = _weight(1.0, "a constant is swapped wherever it stands")
    splice: float = _weight(8.0, "a line gives way to one of the mate")
    chain: float = _weight(0.5, "the mate takes the result for its input")
    join: float = _weight(0.25, "a new call takes the result and the mate's")

    @model_validator(mode="after")
    def _some(self) -> Self:
        if not any(self.model_dump().values()):
            raise ValueError("expected at least one weight above 0, found none")
        return self


class PopulationConfig(_Told):
    """How programs evolve for one task. All ours; LOG.md has what other values do."""

    population: int = Field(default=200, ge=1, description="Programs kept at most.")
    brood: int = Field(default=1024, ge=1, description="Children bred from one state of the population.")
    longest: int = Field(default=40, ge=1, le=1000, description="Most lines of a program.")
    eagerness: float = Field(
        default=2.0,
        gt=0,
        description="How much the best are preferred: a parent's place is population times u to this power.",
    )
    expert_mates: float = Field(
        default=0.3, ge=0, le=1, description="Share of mates that are experts; others are of the population."
    )
    alike: int = Field(default=3, ge=1, description="Programs kept that come equally close.")
    steps: int = Field(default=200_000, ge=1, description="Most steps of a run.")
    weights: OperatorWeights = OperatorWeights()


class SolveConfig(_Told):
    """How evolution and the policy share the work on one task. All ours; LOG.md has what other values do."""

    restart: int = Field(
        default=100_000,
        ge=1,
        description="Programs after which a population that solves nothing gives way to a new one; each has "
        "twice as many as the last, up to 16 times.",
    )
    every: int = Field(
        default=100_000, ge=1, description="Programs that evolution tries between two turns of the policy."
    )
    samples: int = Field(default=128, ge=1, description="Programs that the policy draws in a turn.")
    examples: int = Field(
        default=64,
        ge=0,
        description="Of the population the best so many, of which it learns before each turn but the first.",
    )
    batch: int = Field(default=16, ge=1, description="Examples an optimizer step.")
    learning_rate: float = Field(default=3e-4, gt=0, description="AdamW's, without schedule.")
    temperature: float = Field(default=0.95, gt=0, description="Softmax temperature.")
    top_k: int = Field(default=50, ge=0, description="Draw from the k likeliest tokens; 0: from all.")


class CorpusConfig(_Told):
    """What a policy is pre-trained on. All ours; LOG.md has what it makes."""

    depth: int = Field(default=8, ge=1, description="Most mutations from an expert to a program.")
    grown: float = Field(
        default=0.15, ge=0, le=1, description="Share of programs grown from nothing, not from an expert."
    )
    longest: int = Field(default=40, ge=1, le=1000, description="Most lines of a program.")
    short: int = Field(
        default=5,
        ge=1,
        description="Lines of a program: of those with more, n, a share of (short / n)^1.5 is shown.",
    )
    own: float = Field(
        default=0.25,
        ge=0,
        le=1,
        description="Share of examples on a task's published inputs, not fresh ones.",
    )
    strangers: float = Field(
        default=0.2, ge=0, le=1, description="Share of examples on the inputs of another task."
    )
    views: float = Field(
        default=0.5, ge=0, le=1, description="Share of examples on inputs mirrored, turned or recoloured."
    )
    round: int = Field(
        default=4096, ge=1, description="Programs proposed at once. Part of what a seed means."
    )
    steps: int = Field(default=200_000, ge=1, description="Most steps of a run.")
    weights: OperatorWeights = OperatorWeights(splice=2.0, drop=2.0)


class PolicyConfig(Section):
    init: str = Field(
        default="shipped",
        min_length=1,
        description="Initial weights: 'shipped' (in this package), 'random', 'codet5p-220m', or the folder "
        "of a saved policy. Paper: Salesforce/codet5p-220m.",
    )
    encoding: Literal["paper", "sparse", "runs", "patches", "clues"] = Field(
        default="clues",
        description="'paper' (sparse text, CodeT5+'s tokenizer), or a token a name in programs and for "
        "grids 'sparse' cells, 'runs', 'patches', or 'clues' to what was done. Paper: the first.",
    )
    patch: int = Field(default=3, ge=1, le=5, description="Side of a patch, in cells. Ours.")
    device: str = Field(default="auto", description="'auto' (a GPU if there is one), 'cpu' or 'cuda'. Ours.")
    d_model: int = Field(
        default=192, ge=8, description="Width of a random policy, in units. Ours, for a laptop."
    )
    d_ff: int = Field(default=768, ge=8, description="Width of its feed-forward layers, in units. Ours.")
    heads: int = Field(
        default=6, ge=1, description="Attention heads of a random policy; must divide d_model. Ours."
    )
    layers_encoder: int = Field(
        default=4, ge=1, description="Encoder layers of a random policy. Ours, for a laptop."
    )
    layers_decoder: int = Field(
        default=3, ge=1, description="Decoder layers of a random policy. Ours, for a laptop."
    )
    dropout: float = Field(
        default=0.0, ge=0, lt=1, description="Share of units dropped in learning. Ours; CodeT5+: 0.1."
    )
    max_input_tokens: int = Field(
        default=512, ge=16, description="Demonstration inputs are cut at this many tokens. Paper: 512."
    )
    max_output_tokens: int = Field(
        default=512, ge=16, description="Demonstration outputs are cut at this many tokens. Paper: 512."
    )
    max_program_tokens: int = Field(
        default=72,
        ge=8,
        description="Samples end after so many tokens, and longer programs are left out of learning. Ours: "
        "enough for nine of ten of those that evolution finds; paper: 512.",
    )
    demonstrations: int = Field(
        default=10,
        ge=1,
        le=10,
        description="Demonstrations shown to the policy, smallest first. Paper: 10 (A5: 1).",
    )

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if self.d_model % self.heads:
            raise ValueError(f"heads must divide d_model, found {self.heads} and {self.d_model}")
        if self.init == "codet5p-220m" and self.encoding != "paper":
            raise ValueError(
                f"init = 'codet5p-220m' needs encoding = 'paper' (its tokenizer), found '{self.encoding}'; "
                "set encoding = 'paper', or another init"
            )
        return self


class SamplingConfig(Section):
    samples_per_task: int = Field(
        default=24, ge=1, description="Programs a task and meta-iteration. Paper: 24."
    )
    temperature: float = Field(default=0.95, gt=0, description="Softmax temperature. Paper: 0.95.")
    top_k: int = Field(
        default=50,
        ge=0,
        description="Draw from the k likeliest tokens; 0: from all. Paper: 50, its library's.",
    )
    batch_rows: int = Field(
        default=384, ge=1, description="Programs decoded side by side. Ours; memory only."
    )
    tasks_per_commit: int = Field(
        default=16, ge=1, description="Tasks sampled between two commits: the most a kill can lose. Ours."
    )


class LearningConfig(Section):
    learning_rate: float = Field(default=5e-5, gt=0, description="AdamW's, without schedule. Paper: 5e-5.")
    weight_decay: float = Field(default=0.0, ge=0, description="AdamW's. Ours: none, the paper names none.")
    batch_size: int = Field(
        default=512,
        ge=1,
        description="Sequences an optimizer step, accumulated. Paper: 512 (8 x 64 accumulated).",
    )
    micro_batch_tokens: int = Field(
        default=16_384,
        ge=64,
        description="Most padded tokens a forward pass, but one sequence at least. Ours.",
    )
    epochs: int = Field(default=1, ge=1, description="Passes over the experiences drawn. Paper: 1.")
    precision: Literal["fp32", "bf16", "fp16"] = Field(
        default="fp32",
        description="Arithmetic of forward passes; fp32 where the device lacks it. Paper: fp16.",
    )
    clip: float = Field(
        default=1.0, gt=0, description="Largest norm of the gradient. Ours; the paper names none."
    )


class TrainingConfig(Section):
    """Pre-training. All ours."""

    seed: int = Field(default=0, ge=0, description="Of programs, inputs, weights and order.")
    steps: int = Field(default=10_000, ge=1, description="Optimizer steps.")
    minutes: float = Field(
        default=0.0,
        ge=0,
        description="Time after which training ends, if that is sooner; the schedule follows it.",
    )
    rounds: int = Field(
        default=8, ge=1, description="Rounds of the corpus that are sorted by length together."
    )
    batch_tokens: int = Field(
        default=8192, ge=64, description="Most padded tokens of an optimizer step, accumulated."
    )
    micro_batch_tokens: int = Field(
        default=2048,
        ge=64,
        description="Most padded tokens of a forward pass, but one sequence at least. Its examples are of "
        "like length, so that a step of one pass teaches less than one of four.",
    )
    learning_rate: float = Field(default=1e-3, gt=0, description="AdamW's, at its highest.")
    warmup: float = Field(default=0.02, ge=0, le=1, description="Share of training in which it rises.")
    weight_decay: float = Field(default=0.01, ge=0, description="AdamW's.")
    precision: Literal["fp32", "bf16", "fp16"] = Field(
        default="bf16", description="Arithmetic of forward passes; fp32 where the device lacks it."
    )
    checkpoint_minutes: float = Field(default=5.0, gt=0, description="Time between checkpoints.")
    held_out: int = Field(
        default=0, ge=0, description="Each so manieth training task is kept out, to test on; 0: none."
    )
    workers: int = Field(
        default=1,
        ge=1,
        description="Processes that make examples; 1: a thread of this one, slower. Changes no result.",
    )
    threads: int = Field(default=0, ge=0, description="CPU threads that train; 0 takes every core.")


class ReplayConfig(Section):
    capacity: int = Field(
        default=500_000, ge=1, description="Most experiences kept; the lowest priority goes first. Ours."
    )
    expert_draws: int = Field(
        default=10_000,
        ge=0,
        description="Experiences drawn from the expert and mutated part. Paper: up to 10,000.",
    )
    policy_draws: int = Field(
        default=90_000, ge=0, description="Experiences drawn from the policy part. Paper: up to 90,000."
    )
    priority_floor: float = Field(
        default=0.1,
        gt=0,
        le=1,
        description="Least weight in a draw, so that programs solving nothing are drawn too. Ours: 0.1.",
    )
    prioritized: bool = Field(
        default=True, description="Draw by priority, else uniformly. Paper: true (A3: false)."
    )
    short: int = Field(
        default=0,
        ge=0,
        description="Lines of a program: one of more, n, weighs (short / n)^1.5 of its priority; 0: all. "
        "Ours; paper: all.",
    )


class HindsightConfig(Section):
    relabel: bool = Field(
        default=True,
        description="Every valid output becomes a goal; else only programs solving all demonstrations enter. "
        "Paper: true (false in ablation A2).",
    )
    keep_samples: bool = Field(
        default=True, description="The policy's samples enter the buffer. Paper: true (false in ablation A1)."
    )


class ScoringConfig(Section):
    ranking: Literal["length", "votes"] = Field(
        default="length",
        description="Which programs that solve all demonstrations count: the shortest, or, of each answer to "
        "the tests, the shortest, the answers that most programs give first. Paper: length.",
    )


class BudgetConfig(Section):
    steps: int = Field(
        default=5_000_000, ge=1, description="Most steps (cells touched) a run of a program. Ours."
    )
    cells: int = Field(
        default=2_000_000, ge=1, description="Most cells of memory (16 bytes each) that a run may hold. Ours."
    )


class Settings(Section):
    """Sections that are read from one TOML file. Immutable; unknown keys are errors."""

    @classmethod
    def load(cls, path: str | Path, overrides: Mapping[str, object] | None = None) -> Self:
        """Read a TOML file over the file that its `extends` names (relative to it), then the overrides.

        An override's key is dotted (`policy.init`); its text is read as TOML if it can be, else as it is.
        Raises ConfigError, which names the file, the key, what was expected and what was found.
        """
        path = Path(path)
        origin: dict[str, str] = {}
        values = _read(path, origin, ())
        for key, value in (overrides or {}).items():
            section, dot, name = key.partition(".")
            if not dot:
                raise ConfigError(f"--{key}: expected a dotted key such as --run.seed{_nearest(key, cls)}")
            table = values.setdefault(section, {})
            if not isinstance(table, dict):
                raise ConfigError(f"--{key}: '{section}' is no section")
            table[name] = _toml_value(value) if isinstance(value, str) else value
            origin[key] = f"--{key}"
        try:
            return cls.model_validate(values)
        except ValidationError as error:
            raise ConfigError(_explain(error, path, origin, cls)) from None

    def flat(self) -> dict[str, Any]:
        """Every value by its dotted key, in the order of declaration."""
        tables = self.model_dump().items()
        return {f"{section}.{key}": value for section, table in tables for key, value in table.items()}

    def to_toml(self) -> str:
        """The resolved configuration as TOML; reading it back gives an equal Config."""
        tables = []
        for section, table in self.model_dump().items():
            lines = (f"{key} = {_toml(value)}" for key, value in table.items())
            tables.append("\n".join([f"[{section}]", *lines]))
        return "\n\n".join(tables) + "\n"


class Config(Settings):
    """All settings of a run."""

    run: RunConfig = RunConfig()
    data: RunDataConfig = RunDataConfig()
    evolution: EvolutionConfig = EvolutionConfig()
    policy: PolicyConfig = PolicyConfig()
    sampling: SamplingConfig = SamplingConfig()
    learning: LearningConfig = LearningConfig()
    replay: ReplayConfig = ReplayConfig()
    hindsight: HindsightConfig = HindsightConfig()
    scoring: ScoringConfig = ScoringConfig()
    budget: BudgetConfig = BudgetConfig()


class PretrainingConfig(Settings):
    """All settings of pre-training."""

    data: DataConfig = DataConfig()
    corpus: CorpusConfig = CorpusConfig()
    policy: PolicyConfig = PolicyConfig()
    training: TrainingConfig = TrainingConfig()


def keys(settings: type[Settings] = Config) -> Iterator[tuple[str, str, object]]:
    """Every dotted key with its description and default, in the order of declaration."""
    defaults = settings()
    for section in settings.model_fields:
        table = getattr(defaults, section)
        for name, field in type(table).model_fields.items():
            yield f"{section}.{name}", field.description or "", getattr(table, name)


def _read(path: Path, origin: dict[str, str], seen: tuple[Path, ...]) -> dict[str, Any]:
    """The file's values over those of the files it extends; `origin` gets the file that set each key."""
    resolved = path.resolve()
    if resolved in seen or len(seen) >= MAX_EXTENDS:
        chain = " -> ".join(str(p) for p in (*seen, resolved))
        raise ConfigError(f"{path}: 'extends' goes round in a circle: {chain}")
    try:
        values = tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        by = f" (extended by {seen[-1]})" if seen else ""
        raise ConfigError(f"{path}: no such file{by}") from None
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read: {error.strerror}") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: not TOML: {error}") from None
    base: dict[str, Any] = {}
    if "extends" in values:
        parent = values.pop("extends")
        if not isinstance(parent, str):
            raise ConfigError(f"{path}: extends: expected the path of a TOML file, found {parent!r}")
        base = _read(path.parent / parent, origin, (*seen, resolved))
    for section, table in values.items():
        if isinstance(table, dict):
            base.setdefault(section, {}).update(table)
            origin.update({f"{section}.{name}": str(path) for name in table})
        else:
            base[section] = table
        origin[section] = str(path)
    return base


def _toml(value: object) -> str:
    if isinstance(value, dict):
        return "{ " + ", ".join(f"{key} = {_toml(inner)}" for key, inner in value.items()) + " }"
    return json.dumps(value)  # its numbers, booleans and strings (with \u escapes) are TOML's


def _toml_value(text: str) -> object:
    try:
        return tomllib.loads(f"value = {text}")["value"]
    except (tomllib.TOMLDecodeError, KeyError):
        return text


def _nearest(key: str, settings: type[Settings]) -> str:
    known = [name for name, _, _ in keys(settings)] + list(settings.model_fields)
    right_name_wrong_section = [name for name in known if name.rpartition(".")[2] == key.rpartition(".")[2]]
    close = right_name_wrong_section or difflib.get_close_matches(key, known, n=1, cutoff=0.5)
    return f"; did you mean '{close[0]}'?" if close else ""


def _explain(error: ValidationError, path: Path, origin: Mapping[str, str], settings: type[Settings]) -> str:
    """One line a fault: where it was set, the key, what was expected, what was found."""
    lines = []
    for fault in error.errors():
        key = ".".join(str(part) for part in fault["loc"])
        where = origin.get(key) or origin.get(key.partition(".")[0]) or str(path)
        if where.startswith("--"):
            where = "command line"
        if fault["type"] == "extra_forbidden":
            lines.append(f"{where}: {key}: unknown key{_nearest(key, settings)}")
        elif fault["type"] == "model_type":
            lines.append(f"{where}: {key}: expected a table [{key}], found {fault['input']!r}")
        elif fault["type"] == "value_error":
            lines.append(f"{where}: {key}: {fault['ctx']['error']}")
        else:
            expected = fault["msg"].removeprefix("Input should be ")
            lines.append(f"{where}: {key}: expected {expected}, found {fault['input']!r}")
    return "\n".join(lines)
