"""The command line: `codeit run`, `resume`, `experts`, `mutate`, `baseline`, `evolve`, `pretrain`,
`sample`, `verify`, `tasks`; `solve` and `submit` are in cli_solve.py, `explain` and `report` in
report/commands.py.

Results go to stdout, all else to stderr. A user's mistake ends in one message and exit code 2, without a
traceback, and Ctrl-C in exit code 130. What takes long to import waits until it is needed.
"""

from __future__ import annotations

import json
import signal
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal, NoReturn

from cyclopts import App, Parameter
from cyclopts.validators import Number
from rich.table import Table

from codeit.cli_solve import solve, submit
from codeit.config import Config, PopulationConfig, PretrainingConfig, Settings, keys
from codeit.console import INTERRUPTED, Count, Live, Natural, console, messages, mistake
from codeit.policy import SHIPPED
from codeit.report.commands import explain, report

if TYPE_CHECKING:
    from codeit.folder import RunFolder
    from codeit.scoring import Score

app = App(
    name="codeit",
    help="CodeIt: a language model that learns to write programs for ARC tasks from its own attempts.",
    console=console,
    error_console=messages,
    result_action="return_value",
)
tasks_app = App(name="tasks", help="List, show and compare tasks.")
app.command(tasks_app)
app.command(solve)
app.command(submit)
app.command(explain)
app.command(report)

Distinct = Literal["behaviour", "text"]
Tasks = Annotated[str, Parameter(name="--tasks")]


def main() -> NoReturn:
    """Run the command given and exit."""
    signal.signal(
        signal.SIGTERM, signal.default_int_handler
    )  # what ends a run cleanly by hand does so by kill
    try:
        code = app()
    except KeyboardInterrupt:
        code = INTERRUPTED
    except BrokenPipeError:  # the reader of stdout, say `head`, has seen enough
        sys.stdout = None
        code = 0
    except (ValueError, OSError, FloatingPointError) as error:
        if isinstance(error, ValueError) and not type(error).__module__.startswith("codeit."):
            raise  # not one of our messages to the user, but a fault of ours
        code = mistake(str(error))
    sys.exit(code)


Overrides = Annotated[dict[str, str], Parameter(show=False)]
"""Settings by section and name."""


def _settings_help(settings: type[Settings]) -> str:
    lines = [f"- `--{key}` {description} **[{default}]**" for key, description, default in keys(settings)]
    return "\n".join(["**Settings**, any of which may follow, each with its default:", "", *lines])


def _dotted(settings: Mapping[str, Mapping[str, str]]) -> dict[str, str]:
    return {
        f"{section}.{key}".replace("-", "_"): value
        for section, table in settings.items()
        for key, value in table.items()
    }


@app.command(
    usage="Usage: codeit run CONFIG --out DIR [--section.key value ...]", help_epilogue=_settings_help(Config)
)
def run(config: Path, /, *, out: Path, **settings: Overrides) -> int:
    """Run CodeIt as a configuration says, into a folder of its own.

    A run that was stopped or killed goes on with `codeit resume DIR`, or with the same command again.

    Parameters
    ----------
    config:
        TOML file, say configs/laptop.toml.
    out:
        The run's folder, made if need be: run.sqlite, config.toml, metrics.csv, solutions.jsonl, checkpoints
        and TensorBoard events.
    """
    from codeit.folder import RunFolder

    return _go_on(lambda: RunFolder(out, Config.load(config, _dotted(settings))))


@app.command
def resume(folder: Annotated[Path, Parameter(name="DIR")], /) -> int:
    """Go on with a run that was stopped or killed; it ends as if it had never been.

    Parameters
    ----------
    folder:
        The run's folder, as given to `codeit run --out`.
    """
    from codeit.folder import RunFolder

    return _go_on(lambda: RunFolder(folder))


@app.command
def experts(*, out: Path | None = None, threads: Natural = 0) -> None:
    """Make the expert programs of the training tasks, simplified; kept in the user's cache folder.

    The first call takes a minute or two; other commands make them too where they are missing.

    Parameters
    ----------
    out:
        File to write them to as JSON lines with `task` and `program`, as `codeit verify` reads them.
    threads:
        Processes that simplify; 0 takes every core.
    """
    from codeit.experts import load_experts, published

    with Live() as live:
        made = load_experts(workers=threads, progress=partial(live.progress, 0, "simplify experts"))
    if out is not None:
        rows = ({"task": id, "program": str(program)} for id, program in made.items())
        out.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    originals = published().programs.values()
    mean = {name: sum(map(len, of)) / len(of) for name, of in (("as", originals), ("now", made.values()))}
    messages.print(f"{len(made)} experts, {mean['as']:.2f} lines as published, {mean['now']:.2f} simplified")


@app.command
def mutate(
    *,
    count: Count = 19_200,
    seed: Natural = 0,
    depth: Count = 1,
    distinct: Distinct = "behaviour",
    out: Path | None = None,
    tasks: Tasks = "arc-agi-1/training",
    threads: Natural = 0,
) -> int:
    """Mutate expert programs: distinct programs, some mutations away from an expert each, as JSON lines.

    A line is an object: the parent's `task`, the mutant's `program`, and its `round`. The same settings give
    the same lines, and a smaller count the first of them. The same command goes on with a file that is not
    finished.

    Parameters
    ----------
    count:
        Programs to make.
    seed:
        Seed of the random choices.
    depth:
        Mutations from the expert to the mutant.
    distinct:
        No two mutants have the same text; with `behaviour` no two of one expert give the same grids either,
        on the inputs of its task. At depth 1 there are some 150,000 of these.
    out:
        File to write; stdout if not given.
    tasks:
        Tasks whose experts are mutated: arc-agi-1/training, a folder of ARC JSON files, or a JSON file.
    threads:
        CPU threads; 0 takes every core.
    """
    from codeit.evolution import Mutation, MutationError, write_mutants
    from codeit.experts import load_experts
    from codeit.tasks import load

    of_id = {task.id: task for task in load(tasks)}
    with Live() as live:
        experts = load_experts(progress=partial(live.progress, 0, "simplify experts"))
        experts = {id: program for id, program in experts.items() if id in of_id}
        started = time.monotonic()
        try:
            mutation = Mutation(experts, of_id, seed, depth=depth, distinct=distinct, threads=threads)
            progress = partial(live.progress, 0, "mutate")
            there = write_mutants(mutation, count, out, progress)
        except MutationError as error:
            return mistake(f"--tasks {tasks} --count {count}: {error}")
    seconds, made = time.monotonic() - started, max(count - there, 0)
    goes_on = f", {there} were there" if there else ""
    messages.print(f"{made} mutants in {seconds:.1f} s, {made / seconds:.0f} a second{goes_on}")
    return 0


@app.command
def baseline(
    *,
    out: Path,
    count: Count = 19_200,
    seed: Natural = 0,
    depth: Count = 1,
    distinct: Distinct = "behaviour",
    tasks: Tasks = "arc-agi-1/evaluation",
    train: str = "arc-agi-1/training",
    steps: Count = 300_000,
    threads: Natural = 0,
) -> int:
    """Try experts and their mutants on every task: the paper's mutation baseline.

    The same command goes on with a search that was stopped or killed, and with a greater count extends it.

    Parameters
    ----------
    out:
        The search's folder, made if need be: search.sqlite, solutions.jsonl, curve.csv and curve.svg.
    count:
        Mutants to try, after the experts. Paper: 9,600 to 960,000.
    seed:
        Seed of the random choices.
    depth:
        Mutations from the expert to the mutant. Paper: 1.
    distinct:
        What no two mutants have in common: see `codeit mutate`.
    tasks:
        Tasks to solve: arc-agi-1/evaluation, a folder of ARC JSON files, or a (Kaggle) JSON file.
    train:
        Tasks whose experts are mutated.
    steps:
        Most steps of a run: a budget, as the few programs that take more take most of the time.
    threads:
        CPU threads; 0 takes every core. No result depends on it.
    """
    from codeit.baseline import PAPER, points, run_baseline
    from codeit.evolution import Mutation, MutationError
    from codeit.experts import load_experts
    from codeit.language import Budget
    from codeit.record import Record
    from codeit.report.curve import draw
    from codeit.tasks import load

    training, to_solve = {task.id: task for task in load(train)}, load(tasks)
    settings = {
        "search": "baseline", "seed": seed, "depth": depth, "distinct": distinct, "tasks": tasks,
        "train": train, "steps": steps,
    }  # fmt: skip
    with Record(out, settings) as record, Live() as live:
        experts = load_experts(progress=partial(live.progress, 0, "simplify experts"))
        experts = {id: program for id, program in experts.items() if id in training}
        code = 0
        try:
            mutation = Mutation(experts, training, seed, depth=depth, distinct=distinct, threads=threads)
            run_baseline(
                record, experts, mutation, to_solve, count, budget=Budget(steps=steps), threads=threads,
                progress=partial(live.progress, 0, "try mutants"),
            )  # fmt: skip
        except MutationError as error:
            code = mistake(f"--train {train} --count {count}: {error}")
        except KeyboardInterrupt:
            code = INTERRUPTED
        live.stop()
        tried = sum(part.programs for number, part in record.parts().items() if number)
        curve = record.publish(to_solve, points(tried), threads=threads)
        draw(out / "curve.svg", {"here": curve}, {"paper": PAPER}, "mutants tried")
        console.print(_curve_table(curve, "mutants"))
        if code == INTERRUPTED:
            messages.print(f"stopped at {tried} mutants; the same command goes on", soft_wrap=True)
        return code


@app.command
def evolve(
    *,
    out: Path,
    programs: Count = 20_000,
    seed: Natural = 0,
    tasks: Tasks = "arc-agi-1/evaluation",
    train: str = "arc-agi-1/training",
    workers: Natural = 0,
    settings: Annotated[PopulationConfig | None, Parameter(name="*")] = None,
) -> int:
    """Evolve programs for every task, from the experts toward the task's demonstrations.

    The same command goes on with a search that was stopped or killed.

    Parameters
    ----------
    out:
        The search's folder, made if need be: search.sqlite, solutions.jsonl, curve.csv and curve.svg.
    programs:
        Programs to try on each task, the experts among them.
    seed:
        Seed of the random choices.
    tasks:
        Tasks to solve: arc-agi-1/evaluation, a folder of ARC JSON files, or a (Kaggle) JSON file.
    train:
        Tasks whose experts evolution starts from.
    workers:
        Processes, each of which takes one task at a time; 0 is one a core. No result depends on it.
    """
    from codeit.baseline import PAPER, points
    from codeit.experts import load_experts
    from codeit.population import run_evolution
    from codeit.record import Record
    from codeit.report.curve import draw
    from codeit.tasks import load

    training, to_solve = {task.id for task in load(train)}, load(tasks)
    settings = settings or PopulationConfig()
    began = {
        "search": "evolution", "programs": programs, "seed": seed, "tasks": tasks, "train": train,
        **settings.model_dump(),
    }  # fmt: skip
    with Record(out, began) as record, Live() as live:
        experts = load_experts(progress=partial(live.progress, 0, "simplify experts"))
        starters = [program for id, program in experts.items() if id in training]
        code = 0
        try:
            progress = partial(live.progress, 0, "evolve tasks")
            run_evolution(
                record, starters, to_solve, programs, seed,
                settings=settings, workers=workers, progress=progress,
            )  # fmt: skip
        except KeyboardInterrupt:
            code = INTERRUPTED
        live.stop()
        curve = record.publish(to_solve, points(programs))
        draw(out / "curve.svg", {"here": curve}, {"paper's mutants": PAPER}, "programs tried on each task")
        console.print(_curve_table(curve, "programs"))
        if code == INTERRUPTED:
            messages.print(
                f"stopped after {len(record.parts())} tasks; the same command goes on", soft_wrap=True
            )
        return code


def _curve_table(curve: Mapping[int, Score], what: str) -> Table:
    """A row a point of a search's curve."""
    table = Table(what, "solved (top 3)", "top 2", "without leaked, top 3", "all demonstrations")
    for column in table.columns:
        column.justify = "right"
    for n, s in curve.items():
        figures = (s.solved_top3, s.solved_top2, s.solved_top3_without_leak, s.solved_demonstrations)
        table.add_row(f"{n:,}", *map(str, figures))
    return table


@app.command(
    usage="Usage: codeit pretrain CONFIG --out DIR [--section.key value ...]",
    help_epilogue=_settings_help(PretrainingConfig),
)
def pretrain(config: Path, /, *, out: Path, **settings: Overrides) -> int:
    """Train a policy on programs that the engine makes, and on what they do.

    The same command goes on with training that was stopped or killed, from its last checkpoint.

    Parameters
    ----------
    config:
        TOML file, say configs/pretrain.toml.
    out:
        The folder, made if need be: config.toml, progress.csv, checkpoints, and policy when done.
    """
    from codeit.pretraining import pretrain

    whole = PretrainingConfig.load(config, _dotted(settings))

    def progress(share: float, row: Mapping[str, float]) -> None:
        figures = ", ".join(
            f"{name} {row[name]:,.5g}" for name in ("step", "examples", "loss", "held_out_loss")
        )
        messages.print(f"{share:.1%} in {row['seconds'] / 60:.1f} min: {figures}", soft_wrap=True)

    try:
        policy = pretrain(out, whole, progress)
    except KeyboardInterrupt:
        messages.print("stopped; the same command goes on from the last checkpoint", soft_wrap=True)
        return INTERRUPTED
    messages.print(f"{out / 'policy'}: {policy.parameters:,} parameters", soft_wrap=True)
    return 0


@app.command
def sample(
    policy: Annotated[Path, Parameter(show_default=False)] = SHIPPED,
    /,
    *,
    out: Path,
    samples: Count = 24,
    seed: Natural = 0,
    tasks: Tasks = "arc-agi-1/evaluation",
    temperature: Annotated[float, Parameter(validator=Number(gt=0))] = 0.95,
    top_k: Natural = 50,
    device: Literal["auto", "cpu", "cuda"] = "auto",
    threads: Natural = 0,
) -> int:
    """Draw programs from a policy for every task, and tell what they do; nothing is learnt.

    The same command goes on with a search that was stopped or killed.

    Parameters
    ----------
    policy:
        Folder of a policy, as `codeit pretrain` leaves it; by default the one in this package.
    out:
        The search's folder, made if need be: search.sqlite, solutions.jsonl, curve.csv and counts.json.
    samples:
        Programs to draw for each task. Paper: 24 an iteration.
    seed:
        Seed of the random choices.
    tasks:
        Tasks to solve: arc-agi-1/evaluation, a folder of ARC JSON files, or a (Kaggle) JSON file.
    temperature:
        Softmax temperature. Paper: 0.95.
    top_k:
        Draw from the k likeliest tokens; 0: from all. Paper: 50, its library's.
    device:
        Where the policy runs; auto takes a GPU if there is one.
    threads:
        CPU threads; 0 takes every core.
    """
    import torch

    from codeit.files import replace
    from codeit.policy.model import Policy
    from codeit.record import Record
    from codeit.tasks import load
    from codeit.trial import counted, points, run_trial

    if threads:
        torch.set_num_threads(threads)
    to_solve, loaded = load(tasks), Policy.load(policy, device)
    began = {
        "search": "sample", "policy": "shipped" if policy == SHIPPED else str(policy), "samples": samples,
        "seed": seed, "tasks": tasks,
        "temperature": temperature, "top_k": top_k,
    }  # fmt: skip
    with Record(out, began) as record, Live() as live:
        code = 0
        try:
            run_trial(
                record, loaded, to_solve, samples, seed, temperature=temperature, top_k=top_k,
                threads=threads, progress=partial(live.progress, 0, "sample tasks"),
            )  # fmt: skip
        except KeyboardInterrupt:
            code = INTERRUPTED
        live.stop()
        counts = counted(record)
        replace(out / "counts.json", json.dumps(counts._asdict(), indent=2) + "\n")
        console.print(_curve_table(record.publish(to_solve, points(samples), threads=threads), "samples"))
        for name in ("distinct", "parsed", "ran", "solved_one", "solved_all"):
            share = getattr(counts, name) / max(counts.drawn, 1)
            console.print(f"{name.replace('_', ' ')}: {share:.2%} of {counts.drawn:,} samples")
        console.print(f"tasks of which a demonstration is solved: {counts.tasks_solved_one}")
        if code == INTERRUPTED:
            messages.print("stopped; the same command goes on", soft_wrap=True)
        return code


@app.command
def verify(
    file: Path,
    /,
    *,
    tasks: Tasks = "arc-agi-1/evaluation",
    as_json: Annotated[bool, Parameter(name="--json", negative="")] = False,
    threads: Natural = 0,
) -> None:
    """Run every program of a solutions file again and score it from scratch.

    Of each task's programs, those that solve most demonstrations come first, then those with most votes (if
    rows have them), the shortest, the earliest; the task is solved if one of the best 3 (or 2) gives every
    test output exactly.

    Parameters
    ----------
    file:
        JSON lines, each an object with a task's id as `task` and a program's text as `program`.
    tasks:
        arc-agi-1/training, arc-agi-1/evaluation, a folder of ARC JSON files, or a (Kaggle) JSON file.
    as_json:
        Print one JSON object, in place of a table.
    threads:
        CPU threads; 0 takes every core.
    """
    from codeit.scoring import read_solutions, verify
    from codeit.tasks import load

    score = verify(read_solutions(file), load(tasks), threads=threads)
    for problem in score.problems:
        messages.print(problem, style="yellow", markup=False, soft_wrap=True)
    if as_json:
        sys.stdout.write(json.dumps(asdict(score)) + "\n")
        return
    table = Table("", "", show_header=False, title=str(file))
    for name, value in asdict(score).items():
        if isinstance(value, int):
            table.add_row(name.replace("_", " "), str(value))
    table.add_row("solved", " ".join(score.solved) or "none")
    console.print(table)


@tasks_app.command(name="list")
def list_tasks(tasks: Tasks = "arc-agi-1/evaluation") -> None:
    """List the tasks of a set: id, pairs, and the sizes of the grids (height x width, in cells).

    Parameters
    ----------
    tasks:
        arc-agi-1/training, arc-agi-1/evaluation, a folder of ARC JSON files, or a (Kaggle) JSON file.
    """
    from codeit.tasks import load

    for task in load(tasks):
        sizes = " ".join("{}x{}->{}x{}".format(*given.shape, *wanted.shape) for given, wanted in task.train)
        console.print(f"{task.id}  {len(task.train)}+{len(task.test)}  {sizes}", soft_wrap=True)


@tasks_app.command
def show(
    task: str,
    /,
    *,
    tasks: Annotated[str | None, Parameter(name="--tasks")] = None,
    answers: Annotated[bool, Parameter(negative="")] = False,
) -> None:
    """Show a task in colour.

    Parameters
    ----------
    task:
        The task's id.
    tasks:
        arc-agi-1/training, arc-agi-1/evaluation, a folder of ARC JSON files, or a (Kaggle) JSON file; if not
        given, both sets of ARC-AGI-1.
    answers:
        Show the test outputs too.
    """
    from codeit.report.terminal import task_view
    from codeit.tasks import find

    console.print(task_view(find(task, tasks), answers=answers))


@tasks_app.command
def compare(first: str = "arc-agi-1/training", second: str = "arc-agi-1/evaluation", /) -> None:
    """List the tasks that two sets share, grid for grid, whatever their names.

    Parameters
    ----------
    first:
        A set of tasks: a name, a folder or a file, as in `codeit tasks list`.
    second:
        The other.
    """
    from codeit.tasks import equal_tasks, load

    equal = equal_tasks(load(first), load(second))
    for pair in equal:
        console.print("{} = {}".format(*pair))
    messages.print(f"{len(equal)} equal task{'s' * (len(equal) != 1)}")


def _go_on(open_folder: Callable[[], RunFolder]) -> int:
    """Run what is left of a run, shown live; exit code."""
    with open_folder() as folder, RunLive() as live:
        try:
            from codeit.loop import Loop

            loop = Loop(folder, live)
            if loop.leaked:
                live.say(f"in both training and test set: {', '.join(sorted(loop.leaked))}")
            loop.run()
        except KeyboardInterrupt:
            live.stop()
            folder.publish()
            messages.print(
                f"stopped; what is done is kept. To go on: codeit resume {folder.path}", soft_wrap=True
            )
            return INTERRUPTED
        live.stop()
        console.print(closing_table(folder))
        console.print(f"run folder: {folder.path}", soft_wrap=True)
    return 0


class RunLive(Live):
    """A `loop.Watch` that shows the phase's progress bar and a line an iteration, on stderr."""

    def recorded(self, iteration: int, metrics: dict[str, float]) -> None:
        row = ", ".join(f"{name} {value}" for name, value in _summary(metrics).items() if value)
        self.say(f"iteration {iteration}: {row}")


def _summary(metrics: dict[str, float]) -> dict[str, str]:
    """The few metrics of an iteration that a table shows, as text; empty if not recorded."""

    def text(form: str, name: str) -> str:
        return form.format(metrics[name]) if name in metrics else ""

    buffer = sum(value for name, value in metrics.items() if name.startswith("buffer_"))
    seconds = sum(value for name, value in metrics.items() if name.startswith("seconds_"))
    return {
        "solved": text("{:.0f}", "cumulative_top3"),
        "this iteration": text("{:.0f}", "policy_top3"),
        "parse": text("{:.0%}", "share_parse"),
        "run": text("{:.0%}", "share_run"),
        "new": text("{:.0%}", "share_new"),
        "loss": text("{:.3f}", "loss"),
        "buffer": f"{buffer:.0f}",
        "seconds": f"{seconds:.0f}",
    }


def closing_table(folder: RunFolder) -> Table:
    """A row an iteration: tasks solved at top 3 so far and by the iteration's own samples, and the rest."""
    metrics = folder.store.metrics()
    last = list(metrics.values())[-1]
    title = (
        f"{last['cumulative_top3']:.0f} tasks solved (top 3); {last['cumulative_top2']:.0f} at top 2; "
        f"{last['cumulative_top3_without_leak']:.0f} without leaked tasks"
    )
    table = Table("iteration", *_summary({}), title=title)
    for column in table.columns:
        column.justify = "right"
    for iteration, row in metrics.items():
        table.add_row(str(iteration), *_summary(row).values())
    return table
