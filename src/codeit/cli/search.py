"""`codeit mutate`, `codeit baseline` and `codeit search`: searches that learn nothing."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping
from functools import partial
from typing import TYPE_CHECKING, Literal

from cyclopts import App
from rich.table import Table

from codeit.cli.console import (
    INTERRUPTED,
    ClusterAddress,
    Name,
    NonNegativeInt,
    Overrides,
    PositiveInt,
    ProgressDisplay,
    TaskSet,
    Threads,
    connected,
    console,
    dotted,
    figures_table,
    say,
    settings_help,
    user_error,
)
from codeit.config import BASELINE_STEPS, SearchSettings

if TYPE_CHECKING:
    from codeit.data.tasks import Task
    from codeit.evaluation.candidate import Candidate
    from codeit.evaluation.scoring import Score
    from codeit.language import Program

Distinct = Literal["behaviour", "text"]


def register(app: App) -> None:
    app.command(mutate)
    app.command(baseline)
    app.command(search, help_epilogue=settings_help(SearchSettings))


def mutate(
    *,
    count: PositiveInt = 19_200,
    seed: NonNegativeInt = 0,
    depth: PositiveInt = 1,
    distinct: Distinct = "behaviour",
    out: Name | None = None,
    tasks: TaskSet = "arc-agi-1/training",
    threads: Threads = 0,
) -> int:
    """Write mutants of expert programs as JSON lines.

    A line is an object: the parent's `task`, the mutant's `program`, and its `round`. The same
    settings give the same lines, and a smaller count gives the first of them. The same command
    continues an unfinished file.

    Parameters
    ----------
    count:
        Mutants to make.
    seed:
        Seed of the random choices.
    depth:
        Mutations between the expert and the mutant.
    distinct:
        No two mutants have the same text. With `behaviour`, no two mutants of one expert give the
        same grids on the inputs of its task either; at depth 1 there are about 150,000 of these.
    out:
        File to write; stdout by default.
    tasks:
        Tasks whose experts are mutated: arc-agi-1/training, a directory of ARC JSON files, or a
        JSON file.
    threads:
        CPU threads; 0 uses every core.
    """
    from codeit.data.tasks import load_tasks
    from codeit.experiments.mutants_file import write_mutants
    from codeit.search.mutation import MutationError, Mutator
    from codeit.storage.files import why_not_writable

    if out is not None and (problem := why_not_writable(out)):
        return user_error(f"--out {out}: {problem}")
    by_id = {task.id: task for task in load_tasks(tasks)}
    experts = experts_of(by_id.values(), tasks)
    with ProgressDisplay() as display:
        started = time.monotonic()
        try:
            mutator = Mutator(experts, by_id, seed, depth=depth, distinct=distinct, threads=threads)
            existing = write_mutants(mutator, count, out, partial(display.phase, "mutate"))
        except MutationError as error:
            return user_error(f"--tasks {tasks} --count {count}: {error}")
        except KeyboardInterrupt:
            display.stop()
            say("stopped; the same command continues" if out else "stopped")
            return INTERRUPTED
    seconds, made = time.monotonic() - started, max(count - existing, 0)
    continued = f", after {existing:,} that were there" if existing else ""
    plural = "s" * (made != 1)
    say(f"{made:,} mutant{plural} in {seconds:.1f} s, {made / seconds:,.0f} per second{continued}")
    return 0


def baseline(
    *,
    out: Name,
    count: PositiveInt = 19_200,
    seed: NonNegativeInt = 0,
    depth: PositiveInt = 1,
    distinct: Distinct = "behaviour",
    tasks: TaskSet = "arc-agi-1/evaluation",
    train: str = "arc-agi-1/training",
    max_steps: PositiveInt = BASELINE_STEPS,
    threads: Threads = 0,
    cluster: ClusterAddress = None,
) -> int:
    """Try experts and their mutants on every task: the paper's mutation baseline.

    The same command continues a search that was stopped or killed, and extends it with a larger
    count.

    Parameters
    ----------
    out:
        The search's directory, created if needed: search.sqlite, settings.json, solutions.jsonl,
        curve.csv and curve.svg.
    count:
        Mutants to try, after the experts. Paper: 9,600 to 960,000.
    seed:
        Seed of the random choices.
    depth:
        Mutations between the expert and the mutant. Paper: 1.
    distinct:
        What no two mutants have in common: see `codeit mutate --help`.
    tasks:
        Tasks to solve: arc-agi-1/evaluation, a directory of ARC JSON files, or a (Kaggle) JSON
        file.
    train:
        Tasks whose experts are mutated.
    max_steps:
        Step budget of a program on a grid. The few programs that take more cost most of the time.
    threads:
        CPU threads; 0 uses every core. Results do not depend on it.
    cluster:
        A Ray cluster that tries the mutants, which are made here: auto (the running one, else a new
        one of `threads` processes on this machine), local (a new one) or HOST:PORT. Results do not
        depend on it.
    """
    from codeit.data.tasks import load_tasks
    from codeit.experiments.mutation_baseline import PAPER_RESULTS, curve_points, run_baseline
    from codeit.language import Budget
    from codeit.report.curve import draw
    from codeit.search.mutation import MutationError, Mutator
    from codeit.storage.search_log import SearchLog

    training, to_solve = {task.id: task for task in load_tasks(train)}, load_tasks(tasks)
    experts = experts_of(training.values(), train)
    settings = {
        "kind": "mutation baseline",
        "seed": seed,
        "depth": depth,
        "distinct": distinct,
        "tasks": tasks,
        "train": train,
        "max_steps": max_steps,
    }
    with (
        connected(cluster, threads) as machines,
        SearchLog(out, settings) as log,
        ProgressDisplay() as display,
    ):
        code = 0
        try:
            mutator = Mutator(experts, training, seed, depth=depth, distinct=distinct, threads=threads)
            run_baseline(
                log,
                experts,
                mutator,
                to_solve,
                count,
                budget=Budget(steps=max_steps),
                threads=threads,
                cluster=machines,
                progress=partial(display.phase, "try mutants"),
            )
        except MutationError as error:
            code = user_error(f"--train {train} --count {count}: {error}")
        except KeyboardInterrupt:
            code = INTERRUPTED
        display.stop()
        tried = sum(part.programs for number, part in log.parts().items() if number)
        curve = log.publish(to_solve, curve_points(tried), threads=threads)
        draw(
            out / "curve.svg",
            {"mutation baseline": curve},
            {"paper: mutation baseline": PAPER_RESULTS},
            "mutants tried on each task",
        )
        console.print(curve_table(curve, "mutants"))
        if code == INTERRUPTED:
            say(f"stopped after {tried:,} of {count:,} mutants; the same command continues")
        return code


def search(
    *,
    out: Name,
    programs: PositiveInt = 20_000,
    seed: NonNegativeInt = 0,
    tasks: TaskSet = "arc-agi-1/evaluation",
    train: str = "arc-agi-1/training",
    workers: Threads = 0,
    cluster: ClusterAddress = None,
    **settings: Overrides,
) -> int:
    """Search for programs for every task: the cheapest by enumeration, then by evolution.

    It is what `codeit solve` does without a policy. A search that is stopped or killed continues
    with the same command. With more programs it repeats the search of each task with the larger
    budget.

    Parameters
    ----------
    out:
        The search's directory, created if needed: search.sqlite, settings.json, solutions.jsonl,
        curve.csv and curve.svg.
    programs:
        Programs that evolution tries on each task at most, experts included. It tries fewer once
        the answer is settled.
    seed:
        Seed of the random choices.
    tasks:
        Tasks to solve: arc-agi-1/evaluation, a directory of ARC JSON files, or a (Kaggle) JSON
        file.
    train:
        Tasks whose experts the search starts from.
    workers:
        Processes, each of which takes one task at a time; 0 uses every core. Results do not depend
        on it.
    cluster:
        A Ray cluster that searches: auto (the running one, else a new one of `workers` processes on
        this machine), local (a new one) or HOST:PORT. Results do not depend on it.
    """
    from codeit.data.tasks import load_tasks
    from codeit.experiments.mutation_baseline import PAPER_RESULTS, curve_points
    from codeit.experiments.search_run import log_settings, run_search
    from codeit.report.curve import draw
    from codeit.storage.search_log import SearchLog

    config = SearchSettings.from_overrides(dotted(settings))
    starters, to_solve = list(experts_of(load_tasks(train), train).values()), load_tasks(tasks)
    recorded = log_settings(programs, seed, tasks, train, config)
    with (
        connected(cluster, workers) as machines,
        SearchLog(out, recorded, may_change=["programs"]) as log,
        ProgressDisplay() as display,
    ):
        code = done = 0

        def progress(searched: int, total: int) -> None:
            nonlocal done
            done = searched
            display.phase("search tasks", searched, total)

        try:
            run_search(
                log,
                starters,
                to_solve,
                programs,
                seed,
                settings=config,
                workforce=machines or workers,
                progress=progress,
            )
        except KeyboardInterrupt:
            code = INTERRUPTED
        display.stop()
        curve = log.publish(to_solve, curve_points(programs))
        draw(
            out / "curve.svg",
            {"search": curve},
            {"paper: mutation baseline": PAPER_RESULTS},
            "programs that evolution tried on each task",
        )
        console.print(curve_table(curve, "programs"))
        console.print(probability_table(log.best(to_solve), curve[programs]))
        if code == INTERRUPTED:
            say(f"stopped after {done} of {len(to_solve)} tasks; the same command continues")
        return code


def experts_of(tasks: Iterable[Task], source: str) -> dict[str, Program]:
    """Return the experts of the tasks of `source` by task id. Raises TaskError if there are none."""
    from codeit.data.experts import load_experts
    from codeit.data.tasks import TaskError

    with ProgressDisplay() as display:
        experts = load_experts(progress=partial(display.phase, "simplify experts"))
    ids = {task.id for task in tasks}
    if not experts.keys() & ids:
        fix = "Experts are known by task id: give arc-agi-1/training, or a part of it."
        raise TaskError(source, "", "tasks with expert programs", "none", fix)
    return {task_id: program for task_id, program in experts.items() if task_id in ids}


def curve_table(curve: Mapping[int, Score], unit: str) -> Table:
    """Return a table with a row per point of a search's curve."""
    table = figures_table(
        unit, "top 3", "top 2", "top 3 without leaked", "all demonstrations", title="tasks solved"
    )
    for n, s in curve.items():
        figures = (s.solved_top3, s.solved_top2, s.solved_top3_without_leak, s.solved_demonstrations)
        table.add_row(f"{n:,}", *map(str, figures))
    return table


def probability_table(candidates: Mapping[str, Iterable[Candidate]], score: Score) -> Table:
    """Return a table with a row per threshold: the tasks answered with this probability at least."""
    from codeit.evaluation.confidence import answered

    table = figures_table("probability", "tasks", "of these solved", "share", title="answers (top 3)")
    for threshold, tasks, solved in answered(candidates, score.solved):
        share = f"{solved / tasks:.0%}" if tasks else ""
        table.add_row(f"at least {threshold:.0%}", str(tasks), str(solved), share)
    return table
