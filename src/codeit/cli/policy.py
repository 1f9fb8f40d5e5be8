"""`codeit pretrain` and `codeit evaluate-policy`."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from cyclopts import App, Parameter

from codeit.cli.console import (
    INTERRUPTED,
    ClusterAddress,
    Name,
    NonNegativeInt,
    Overrides,
    PositiveInt,
    ProgressDisplay,
    TaskSet,
    Temperature,
    Threads,
    connected,
    console,
    dotted,
    say,
    settings_help,
)
from codeit.cli.ranks import run_ranks
from codeit.cli.run import refuse_unusable
from codeit.cli.search import curve_table
from codeit.config import PretrainingSettings, SamplingConfig
from codeit.policy import SHIPPED, require_learn
from codeit.settings import find_config

if TYPE_CHECKING:
    from codeit.policy.distributed import Ranks


def register(app: App) -> None:
    usage = "Usage: codeit pretrain CONFIG [--out DIR] [--section.key value ...]"
    app.command(pretrain, usage=usage, help_epilogue=settings_help(PretrainingSettings))
    app.command(evaluate_policy)
    app.command(evaluate_policy, name="sample", show=False)  # its name in version 0.1, for one release


def pretrain(
    config: Name, /, *, out: Name | None = None, cluster: ClusterAddress = None, **settings: Overrides
) -> int:
    """Train a policy on programs that the engine makes, and on what they do.

    The same command resumes a training that was stopped or killed at its last checkpoint.

    Parameters
    ----------
    config:
        A TOML file, or the name of a shipped configuration: pretrain, pretrain-gpu.
    out:
        The directory, created if needed: config.toml, progress.csv, checkpoints, and policy when
        done. By default runs/ and the name of the configuration.
    cluster:
        A Ray cluster that makes the examples: auto (the running one, else a new one of
        `pretraining.workers` processes on this machine), local (a new one) or HOST:PORT. Results do
        not depend on it.
    """
    require_learn("codeit pretrain")
    return run_ranks(partial(_pretrain, config, out, settings, cluster))


def _pretrain(
    config: Path,
    out: Path | None,
    settings: Mapping[str, Any],
    cluster: str | None,
    ranks: Ranks | None,
) -> int:
    from codeit.policy.pretraining import last_checkpoint, pretrain

    whole = PretrainingSettings.load(config, dotted(settings))
    directory = out or Path("runs") / find_config(config).stem
    if whole.policy.encoding != "paper":  # `pretrain` refuses that one, without a download
        refuse_unusable(directory, whole.data, whole.policy)

    def report(share: float, row: Mapping[str, float]) -> None:
        shown = (name for name in ("step", "examples", "loss", "held_out_loss") if math.isfinite(row[name]))
        figures = ", ".join(f"{name.replace('held_out_', 'held-out ')} {row[name]:,.5g}" for name in shown)
        say(f"{share:.1%} in {row['seconds'] / 60:.1f} min: {figures}")

    with connected(cluster, whole.pretraining.workers) as machines, ProgressDisplay() as display:
        try:
            policy = pretrain(
                directory, whole, report=report, progress=display.phase, ranks=ranks, cluster=machines
            )
        except KeyboardInterrupt:
            display.stop()
            checkpoint = last_checkpoint(directory)
            where = (
                f"resumes at step {int(checkpoint.name):,}"
                if checkpoint
                else "starts anew: no checkpoint yet"
            )
            say(f"stopped; the same command {where}")
            return INTERRUPTED
    say(f"{directory / 'policy'}: {policy.parameters:,} parameters")
    return 0


def evaluate_policy(
    policy: Annotated[Name, Parameter(show_default=False)] = SHIPPED,
    /,
    *,
    out: Name,
    samples: PositiveInt = 24,
    seed: NonNegativeInt = 0,
    tasks: TaskSet = "arc-agi-1/evaluation",
    temperature: Temperature = 0.95,
    top_k: NonNegativeInt = 50,
    distinct: bool = True,
    device: Literal["auto", "cpu", "cuda"] = "auto",
    threads: Threads = 0,
) -> int:
    """Sample programs from a policy for every task and report what they do. Nothing is trained.

    The same command continues an evaluation that was stopped or killed.

    Parameters
    ----------
    policy:
        Directory of a policy, as `codeit pretrain` writes it; by default the one shipped in this
        package.
    out:
        The evaluation's directory, created if needed: search.sqlite, settings.json, solutions.jsonl,
        curve.csv, counts.json.
    samples:
        Programs to sample for each task. Paper: 24 per iteration.
    seed:
        Seed of the random choices.
    tasks:
        Tasks to solve: arc-agi-1/evaluation, a directory of ARC JSON files, or a (Kaggle) JSON
        file.
    temperature:
        Softmax temperature. Paper: 0.95.
    top_k:
        Sample from the k most likely tokens; 0 uses all. Paper: 50 (its library's default).
    distinct:
        Sample without replacement, so that all samples of a task differ. Paper: with replacement.
    device:
        Where the policy runs; auto uses a GPU if there is one.
    threads:
        CPU threads; 0 uses every core.
    """
    require_learn("codeit evaluate-policy")

    from codeit.data.tasks import load_tasks
    from codeit.experiments.policy_evaluation import curve_points, evaluate_policy, total_counts
    from codeit.policy.model import Policy
    from codeit.storage.files import write_atomically
    from codeit.storage.search_log import SearchLog

    to_solve, loaded = load_tasks(tasks), Policy.load(policy, device)
    sampling = SamplingConfig(
        samples_per_task=samples, temperature=temperature, top_k=top_k, distinct=distinct
    )
    recorded = {
        "kind": "policy evaluation",
        "policy": "shipped" if policy == SHIPPED else str(policy),
        "samples": samples,
        "seed": seed,
        "tasks": tasks,
        "temperature": temperature,
        "top_k": top_k,
        "distinct": distinct,
    }
    with SearchLog(out, recorded) as log, ProgressDisplay() as display:
        code = 0
        try:
            progress = partial(display.phase, "sample tasks")
            evaluate_policy(log, loaded, to_solve, sampling, seed, threads=threads, progress=progress)
        except KeyboardInterrupt:
            code = INTERRUPTED
        display.stop()
        counts = total_counts(log)
        write_atomically(out / "counts.json", json.dumps(counts._asdict(), indent=2) + "\n")
        console.print(curve_table(log.publish(to_solve, curve_points(samples), threads=threads), "samples"))
        for name in ("distinct", "parsed", "ran", "solved_one", "solved_all"):
            share = getattr(counts, name) / max(counts.drawn, 1)
            console.print(f"{name.replace('_', ' ')}: {share:.2%} of {counts.drawn:,} samples")
        console.print(f"tasks with a demonstration solved: {counts.tasks_solved_one}")
        if code == INTERRUPTED:
            say("stopped; the same command continues")
        return code
