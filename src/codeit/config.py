"""Settings: immutable pydantic models, read from TOML and overridden by dotted names.

A *section* (`PolicyConfig`, `ReplayConfig`, …) groups settings of one part. A `Settings` subclass
lists the sections that one command takes: `RunSettings` for `codeit run`, `PretrainingSettings` for
`codeit pretrain`, `SearchSettings` for `codeit search`, `SolveSettings` for `codeit solve`.

Defaults are the values of the paper (Butt et al. 2024, arXiv 2402.04858) wherever it gives one,
with five exceptions: `[policy]` describes the policy shipped in this package, `training.precision`
is fp32, `hindsight.trivial` is off, and `replay.distinct` and `sampling.distinct` are on. The
description of each field states its unit and the source of its default ("ours" where the paper has
no such value). It is also the command-line help.
"""

from __future__ import annotations

import re
from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, Field, model_validator

from codeit.settings import Section, Settings, shorten

MAX_THREADS = 1024
"""Most threads or processes that a command accepts. More may fail to start."""
MIN_TEMPERATURE, MAX_TEMPERATURE = 1e-6, 1e6
"""Softmax temperatures at which sampling is almost greedy, and uniform. fp32 overflows beyond."""

# --- Step budgets ---
#
# Every run of a program has a budget of steps (cells touched and calls made), never of seconds, so
# that an outcome does not depend on the machine. Programs that take many steps are rare, yet cost
# most of the time. A search that tries millions of programs therefore gives each run a smaller budget
# than a check of a single program. A program found under a small budget also runs under a larger one.

DEFAULT_STEPS = 5_000_000
"""Running, tracing, verifying and scoring single programs; `budget.max_steps` of a run."""
BASELINE_STEPS = 300_000
"""The mutation baseline (`codeit baseline --max-steps`)."""
EVOLUTION_STEPS = 200_000
"""Evolution (`evolution.max_steps`), in `search`, `solve`, `submit` and `run`."""
CORPUS_STEPS = 200_000
"""The pre-training corpus (`corpus.max_steps`)."""
SIGNATURE_STEPS = 20_000
"""Each short program behind a property signature."""


class RunConfig(Section):
    """[run]: seed, length and threads of a run."""

    seed: int = Field(
        default=0,
        ge=0,
        description="Seed of the run. Every phase, iteration and task derives its own from it. Ours: 0.",
    )
    iterations: int = Field(
        default=100, ge=0, description="Meta-iterations after iteration 0. Paper: about 100."
    )
    threads: int = Field(default=0, ge=0, le=MAX_THREADS, description="CPU threads; 0 uses every core. Ours.")


class DataConfig(Section):
    """[data]: the tasks to learn from, and the tasks to solve."""

    train: str = Field(
        default="arc-agi-1/training",
        description="Tasks with expert programs: name of a data set or path. Paper: the 400 training tasks.",
    )
    test: str = Field(
        default="arc-agi-1/evaluation",
        description="Tasks to solve: name of a data set or path. Paper: the 400 public evaluation tasks.",
    )


class RunDataConfig(DataConfig):
    """[data] of a run, with the number of tasks."""

    tasks: int = Field(
        default=0,
        ge=0,
        description="Use only the first N tasks to solve, sorted by id; 0 uses all. Paper: all.",
    )


class MutationConfig(Section):
    """[mutation]: random single mutations of expert programs, as in the paper."""

    initial: int = Field(
        default=19_200, ge=0, description="Mutants in the initial replay buffer. Paper: 19,200."
    )
    per_iteration: int = Field(
        default=0,
        ge=0,
        description="Mutants added in each meta-iteration. Paper: 0, except in ablation A1.",
    )
    run_baseline: bool = Field(
        default=True,
        description="Run experts and mutants on the tasks to solve (the mutation baseline). Cumulative "
        "scores include what they solve. Paper: true.",
    )


def _weight(default: float, operator: str) -> Any:
    return Field(default=default, ge=0, description=f"Relative frequency: {operator}.")


class OperatorWeights(Section):
    """Relative frequency of each variation operator (`language.OPERATORS`). All ours."""

    argument: float = _weight(2.0, "replace an argument")
    function: float = _weight(1.0, "replace a function by one of the same signature")
    call: float = _weight(1.0, "replace a line by a new call")
    append: float = _weight(1.0, "append a call that takes the result")
    drop: float = _weight(1.0, "remove a line")
    constant: float = _weight(1.0, "replace a constant everywhere")
    splice: float = _weight(8.0, "replace a line by a line of the mate (crossover)")
    chain: float = _weight(0.5, "feed the result into the mate")
    join: float = _weight(0.25, "append a call that takes both results")

    @model_validator(mode="after")
    def _any_positive(self) -> Self:
        if not any(self.model_dump().values()):
            raise ValueError("expected at least one weight above 0, found none")
        return self


class EvolutionConfig(Section):
    """[evolution]: genetic programming for one task. All ours; LOG.md records other values."""

    population: int = Field(default=200, ge=1, description="Largest population, in programs.")
    offspring: int = Field(default=1024, ge=1, le=10**7, description="Offspring proposed in a generation.")
    max_lines: int = Field(default=40, ge=1, le=1000, description="Longest offspring, in lines.")
    selection_pressure: float = Field(
        default=2.0,
        gt=0,
        description="Parents are drawn at rank population * u^p, u uniform in [0, 1); p is this value. "
        "1 draws uniformly, larger values prefer the best.",
    )
    starter_mates: float = Field(
        default=0.3, ge=0, le=1, description="Share of mates that are starters (experts), not members."
    )
    max_equal_fitness: int = Field(
        default=3, ge=1, description="Most members of the population with equal fitness."
    )
    max_steps: int = Field(default=EVOLUTION_STEPS, ge=1, description="Step budget of a program on a grid.")
    weights: OperatorWeights = OperatorWeights()


class RunEvolutionConfig(EvolutionConfig):
    """[evolution] of a run, with the number of programs, and of those that enter the replay buffer."""

    programs: int = Field(
        default=0,
        ge=0,
        description="Programs that evolution tries on each task to solve in iteration 0 at most. It tries "
        "fewer once the answer is settled. Paper: 0.",
    )
    programs_per_iteration: int = Field(
        default=0,
        ge=0,
        description="Programs that evolution tries in each meta-iteration on each task without a sure "
        "answer, starting from the experts and the programs found so far. Paper: 0.",
    )
    elites: int = Field(
        default=24,
        ge=0,
        description="Best programs of a task's search that enter the replay buffer. Ours: as many as "
        "samples.",
    )


class EnumerationConfig(Section):
    """[enumeration]: bottom-up enumeration of programs in the order of their cost. All ours."""

    expressions: int = Field(
        default=400_000,
        ge=0,
        description="Expressions tried on a task before evolution, in a run before that of iteration 0. "
        "400,000 take about a second. 0: no enumeration, as in the paper.",
    )
    max_steps: int = Field(
        default=50_000,
        ge=1,
        le=2**31 - 1,
        description="Step budget of an expression on a grid, without what it depends on.",
    )
    max_cells: int = Field(
        default=4_000_000,
        ge=1,
        le=2**28,
        description="Memory budget of all values on one grid, in cells of 16 bytes.",
    )
    elites: int = Field(
        default=400,
        ge=0,
        description="Programs whose grids come closest to the outputs that join the first population.",
    )


class SearchConfig(Section):
    """[search]: how the parts of a search share the work. All ours."""

    restart_after: int = Field(
        default=100_000,
        ge=1,
        description="Programs after which a population without a solution is replaced by a new one. Each "
        "later population gets twice as many, up to 16 times.",
    )


class SolveSearchConfig(SearchConfig):
    """[search] of `codeit solve`, with the turns of the policy. All ours."""

    policy_every: int = Field(
        default=100_000,
        ge=1,
        description="Programs that the first population tries before each turn of the policy. A search of "
        "fewer programs never asks the policy.",
    )
    elites: int = Field(
        default=64,
        ge=0,
        description="Best programs of the population that the policy is trained on before each of its turns "
        "except the first.",
    )


def _check_device(device: str) -> str:
    if not re.fullmatch(r"auto|cpu|cuda(:[0-9]{1,2})?", device):
        raise ValueError(f"expected 'auto', 'cpu' or 'cuda[:N]', found {shorten(repr(device))}")
    return device


class PolicyConfig(Section):
    """[policy]: initial weights, what the policy sees, and the sizes of a random network."""

    init: str = Field(
        default="shipped",
        min_length=1,
        description="Initial weights: 'shipped' (in this package), 'random', 'codet5p-220m', or the "
        "directory of a saved policy. Paper: Salesforce/codet5p-220m.",
    )
    encoding: Literal["paper", "sparse", "runs", "patches", "signatures"] = Field(
        default="signatures",
        description="'paper': text of the grids and CodeT5+'s tokenizer. Others use one token per name in "
        "programs, and describe grids by 'sparse' cells, 'runs' of cells, square 'patches', or property "
        "'signatures'. Paper: 'paper'.",
    )
    patch_size: int = Field(
        default=3, ge=1, le=5, description="Side of a patch, in cells (encoding 'patches'). Ours."
    )
    device: Annotated[str, AfterValidator(_check_device)] = Field(
        default="auto", description="'auto' (a GPU if there is one), 'cpu' or 'cuda'. Ours."
    )
    d_model: int = Field(
        default=192, ge=8, le=2**16, description="Width of a random policy, in units. Ours, for a laptop."
    )
    d_ff: int = Field(
        default=768, ge=8, le=2**18, description="Width of its feed-forward layers, in units. Ours."
    )
    heads: int = Field(
        default=6, ge=1, description="Attention heads of a random policy; must divide d_model. Ours."
    )
    layers_encoder: int = Field(
        default=4, ge=1, le=1000, description="Encoder layers of a random policy. Ours, for a laptop."
    )
    layers_decoder: int = Field(
        default=3, ge=1, le=1000, description="Decoder layers of a random policy. Ours, for a laptop."
    )
    dropout: float = Field(
        default=0.0, ge=0, lt=1, description="Dropout rate in training. Ours; CodeT5+: 0.1."
    )
    max_input_tokens: int = Field(
        default=512, ge=16, description="Limit of the demonstration inputs, in tokens. Paper: 512."
    )
    max_output_tokens: int = Field(
        default=512, ge=16, description="Limit of the demonstration outputs, in tokens. Paper: 512."
    )
    max_program_tokens: int = Field(
        default=72,
        ge=8,
        le=2**16,
        description="Limit of programs, in tokens. Samples end there; training skips longer programs. Ours: "
        "fits nine of ten programs that evolution finds; paper: 512.",
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
    """[sampling]: how programs are drawn from the policy."""

    samples_per_task: int = Field(
        default=24,
        ge=1,
        le=10**6,
        description="Programs sampled for a task at once: in an iteration, or in a turn. Paper: 24.",
    )
    temperature: float = Field(
        default=0.95,
        ge=MIN_TEMPERATURE,
        le=MAX_TEMPERATURE,
        description="Softmax temperature. Paper: 0.95.",
    )
    top_k: int = Field(
        default=50,
        ge=0,
        description="Sample from the k most likely tokens; 0 uses all. Paper: 50 (its library's default).",
    )
    distinct: bool = Field(
        default=True,
        description="Sample without replacement, so that all samples of a task at once differ. Paper: false.",
    )
    batch_rows: int = Field(
        default=384, ge=1, description="Programs decoded side by side. Changes memory only. Ours."
    )


class RunSamplingConfig(SamplingConfig):
    """[sampling] of a run, which may have no samples and commits them in parts."""

    samples_per_task: int = Field(
        default=24,
        ge=0,
        le=10**6,
        description="Programs sampled for a task in an iteration. 0: the policy takes no part; it is neither "
        "trained nor sampled from. Paper: 24.",
    )
    tasks_per_commit: int = Field(
        default=64, ge=1, description="Tasks sampled between two commits: the most a kill can lose. Ours."
    )


class TrainingConfig(Section):
    """[training]: how the policy is trained on experiences."""

    learning_rate: float = Field(
        default=5e-5, gt=0, description="Learning rate of AdamW, constant after warm-up. Paper: 5e-5."
    )
    warmup_steps: int = Field(
        default=0,
        ge=0,
        description="Optimizer steps in which the learning rate rises linearly, counted over iterations. "
        "Ours: 0; the paper does not say.",
    )
    weight_decay: float = Field(
        default=0.0, ge=0, description="Weight decay of AdamW. Ours: 0; the paper does not say."
    )
    batch_size: int = Field(
        default=512,
        ge=1,
        description="Examples per optimizer step, accumulated. Paper: 512 (8 x 64 accumulated).",
    )
    micro_batch_tokens: int = Field(
        default=16_384,
        ge=64,
        description="Limit of a forward pass, in padded tokens (at least one example). Ours.",
    )
    loss: Literal["tokens", "programs"] = Field(
        default="tokens",
        description="Mean over the tokens of a batch, or over its programs of the mean over their tokens, so "
        "that short programs count as much as long ones. Ours: 'tokens'; the paper does not say.",
    )
    epochs: int = Field(default=1, ge=1, description="Passes over the experiences drawn. Paper: 1.")
    precision: Literal["fp32", "bf16", "fp16"] = Field(
        default="fp32",
        description="Precision of forward passes; fp32 where the device lacks it. Paper: fp16.",
    )
    max_grad_norm: float = Field(
        default=1.0, gt=0, description="Gradients are clipped to this norm. Ours; the paper does not say."
    )


class PretrainingConfig(Section):
    """[pretraining]: length, batches and schedule of pre-training. All ours."""

    seed: int = Field(default=0, ge=0, description="Seed of programs, inputs, weights and order.")
    steps: int = Field(default=10_000, ge=1, description="Optimizer steps.")
    minutes: float = Field(
        default=0.0,
        ge=0,
        description="Time limit in minutes, making of examples included; 0: none. The learning-rate schedule "
        "follows whichever of steps and minutes is further.",
    )
    rounds_per_window: int = Field(
        default=8, ge=1, description="Corpus rounds that are sorted by length together."
    )
    batch_tokens: int = Field(
        default=8192, ge=64, description="Limit of an optimizer step, in padded tokens, accumulated."
    )
    micro_batch_tokens: int = Field(
        default=2048,
        ge=64,
        description="Limit of a forward pass, in padded tokens (at least one example). Examples of one pass "
        "have similar lengths, so a step of four passes teaches more than a step of one.",
    )
    learning_rate: float = Field(default=1e-3, gt=0, description="Peak learning rate of AdamW.")
    warmup: float = Field(
        default=0.02, ge=0, le=1, description="Share of training in which the learning rate rises."
    )
    weight_decay: float = Field(default=0.01, ge=0, description="Weight decay of AdamW.")
    precision: Literal["fp32", "bf16", "fp16"] = Field(
        default="bf16", description="Precision of forward passes; fp32 where the device lacks it."
    )
    checkpoint_minutes: float = Field(default=5.0, gt=0, description="Minutes between checkpoints.")
    hold_out_every: int = Field(
        default=0, ge=0, description="Hold out every n-th training task for validation; 0: none."
    )
    workers: int = Field(
        default=1,
        ge=1,
        le=MAX_THREADS,
        description="Processes that make examples; 1 uses a thread of this process, which is slower. "
        "Results do not depend on it.",
    )
    threads: int = Field(
        default=0, ge=0, le=MAX_THREADS, description="CPU threads for training; 0 uses every core."
    )


class CorpusConfig(Section):
    """[corpus]: the programs and inputs of pre-training. All ours; LOG.md records other values."""

    max_depth: int = Field(default=8, ge=1, description="Most mutations between an expert and a program.")
    grown_share: float = Field(
        default=0.15, ge=0, le=1, description="Share of programs grown from the identity, not an expert."
    )
    max_lines: int = Field(default=40, ge=1, le=1000, description="Longest program, in lines.")
    short_lines: int = Field(
        default=5,
        ge=1,
        description="Programs of n lines, n above this value s, are kept with probability (s / n)^1.5.",
    )
    own_inputs_share: float = Field(
        default=0.25,
        ge=0,
        le=1,
        description="Share of examples on the published inputs of a task, not on generated ones.",
    )
    foreign_inputs_share: float = Field(
        default=0.2, ge=0, le=1, description="Share of examples on the inputs of another task."
    )
    augmented_share: float = Field(
        default=0.5, ge=0, le=1, description="Share of examples on mirrored, rotated or recoloured inputs."
    )
    proposals_per_round: int = Field(
        default=4096, ge=1, le=10**7, description="Programs proposed in a round. Results depend on it."
    )
    max_steps: int = Field(default=CORPUS_STEPS, ge=1, description="Step budget of a program on a grid.")
    weights: OperatorWeights = OperatorWeights(splice=2.0, drop=2.0)


class ReplayConfig(Section):
    """[replay]: size of the buffer, and how experiences are drawn."""

    capacity: int = Field(
        default=500_000,
        ge=1,
        description="Most experiences in the buffer; the lowest priority is evicted first. Ours.",
    )
    expert_draws: int = Field(
        default=10_000,
        ge=0,
        description="Experiences drawn from the experts and mutants. Paper: up to 10,000.",
    )
    policy_draws: int = Field(
        default=90_000,
        ge=0,
        description="Experiences drawn from the policy's and the searches'. Paper: up to 90,000.",
    )
    priority_floor: float = Field(
        default=0.1,
        gt=0,
        le=1,
        description="Smallest weight in a draw, so that programs that solve nothing are drawn too. Ours.",
    )
    prioritized: bool = Field(
        default=True, description="Draw in proportion to priority, else uniformly. Paper: true (A3: false)."
    )
    short_lines: int = Field(
        default=0,
        ge=0,
        description="Multiply the weight of programs of n lines, n above this value s, by (s / n)^1.5; "
        "0: weigh all alike. Paper: 0.",
    )
    distinct: bool = Field(
        default=True,
        description="Keep only the shortest of the programs that do the same on a task's demonstrations. "
        "Experts are kept. Paper: false.",
    )


class HindsightConfig(Section):
    """[hindsight]: which programs become experiences."""

    relabel: bool = Field(
        default=True,
        description="Make an experience of every program that runs, with its own outputs as the goal; else "
        "only of programs that solve all demonstrations. Paper: true (false in ablation A2).",
    )
    keep_samples: bool = Field(
        default=True,
        description="Add the policy's samples to the buffer. Paper: true (false in ablation A1).",
    )
    trivial: bool = Field(
        default=False,
        description="Make experiences also of samples and evolved programs that solve no demonstration and "
        "give back every input, or the same grid for all of them. Paper: true.",
    )


class ScoringConfig(Section):
    """[scoring]: how the programs of a task are ranked."""

    ranking: Literal["length", "votes"] = Field(
        default="length",
        description="Order of programs that solve all demonstrations: 'length', shortest first; 'votes', "
        "one program per answer to the tests, most common answer first. Paper: length.",
    )


class BudgetConfig(Section):
    """[budget]: limits of one run of a program on one grid."""

    max_steps: int = Field(
        default=DEFAULT_STEPS, ge=1, description="Step budget: cells touched and calls made. Ours."
    )
    max_cells: int = Field(
        default=2_000_000, ge=1, description="Memory budget in cells of 16 bytes, in use at once. Ours."
    )


class RunSettings(Settings):
    """All settings of `codeit run`."""

    run: RunConfig = RunConfig()
    data: RunDataConfig = RunDataConfig()
    mutation: MutationConfig = MutationConfig()
    enumeration: EnumerationConfig = EnumerationConfig(expressions=0)
    evolution: RunEvolutionConfig = RunEvolutionConfig()
    policy: PolicyConfig = PolicyConfig()
    sampling: RunSamplingConfig = RunSamplingConfig()
    training: TrainingConfig = TrainingConfig()
    replay: ReplayConfig = ReplayConfig()
    hindsight: HindsightConfig = HindsightConfig()
    scoring: ScoringConfig = ScoringConfig()
    budget: BudgetConfig = BudgetConfig()


class PretrainingSettings(Settings):
    """All settings of `codeit pretrain`."""

    data: DataConfig = DataConfig()
    corpus: CorpusConfig = CorpusConfig()
    policy: PolicyConfig = PolicyConfig()
    pretraining: PretrainingConfig = PretrainingConfig()


class SearchSettings(Settings):
    """Settings of `codeit search` besides its options."""

    enumeration: EnumerationConfig = EnumerationConfig()
    search: SearchConfig = SearchConfig()
    evolution: EvolutionConfig = EvolutionConfig()


class SolveSettings(SearchSettings):
    """Settings of `codeit solve` besides its options."""

    search: SolveSearchConfig = SolveSearchConfig()
    sampling: SamplingConfig = SamplingConfig(samples_per_task=128)
    training: TrainingConfig = TrainingConfig(learning_rate=3e-4, batch_size=16, precision="bf16")
