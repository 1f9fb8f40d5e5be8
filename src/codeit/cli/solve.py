"""`codeit solve` and `codeit submit`: puzzles of your own."""

from __future__ import annotations

import json
import math
import os
import sys
import time
from collections.abc import Iterator, Sequence
from functools import partial
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import App, Parameter
from rich.columns import Columns
from rich.console import Group
from rich.table import Table
from rich.text import Text

from codeit.cli import IMPORT_STARTED
from codeit.cli.console import (
    INTERRUPTED,
    ClusterAddress,
    Name,
    NonNegativeInt,
    Overrides,
    PositiveFloat,
    PositiveInt,
    ProgressDisplay,
    Threads,
    connected,
    console,
    dotted,
    say,
    settings_help,
    user_error,
)
from codeit.config import SolveSettings
from codeit.policy import can_learn, policy_directory

if TYPE_CHECKING:
    from codeit.data.tasks import Task
    from codeit.language import Grid
    from codeit.solver import SolveResult

UNSOLVED = 1
"""Exit code: a task has no program that solves all its demonstrations."""
_SHOWN = 3  # programs of a task
_IMPORT_SECONDS = time.monotonic() - IMPORT_STARTED


def register(app: App) -> None:
    usage = "Usage: codeit solve PUZZLE [OPTIONS] [--section.key value ...]"
    app.command(solve, usage=usage, help_epilogue=settings_help(SolveSettings))
    app.command(submit)


def solve(
    puzzle: str,
    /,
    *,
    task: Annotated[str | None, Parameter(name="--task")] = None,
    seconds: PositiveFloat = 60.0,
    programs: PositiveInt | None = None,
    seed: NonNegativeInt = 0,
    policy: str = "shipped",
    populations: Threads = 0,
    out: Name | None = None,
    html: Name | None = None,
    as_json: Annotated[bool, Parameter(name="--json", negative="")] = False,
    **settings: Overrides,
) -> int:
    """Search for programs that solve a puzzle's demonstrations, and answer its tests with them.

    Experts are tried as they are, a population of programs evolves from them, and the policy
    proposes more. Test outputs are not read until the answers are final. The exit code is 0 if a
    program solves all demonstrations, 1 if none does, 2 after a user error, and 130 after Ctrl-C,
    which shows the answers so far.

    Parameters
    ----------
    puzzle:
        A JSON file of one task or many, a directory of such files, or the id of a task of
        ARC-AGI-1.
    task:
        Of many tasks, only the one with this id.
    seconds:
        Time limit for each task. The search ends earlier once the answer is settled.
    programs:
        Programs to try for each task, instead of a time limit. The same number, with as many
        populations, gives the same result.
    seed:
        Seed of the random choices.
    policy:
        Directory of a policy, as `codeit pretrain` writes it; `none` for evolution alone.
    populations:
        Populations that evolve side by side, each on its own core; 0 uses every core. Results
        depend on it.
    out:
        File to write the answers to, in the format of ARC Prize: two attempts at each test output.
    html:
        File to write a page to that shows the answer; for one task.
    as_json:
        Print one JSON object per task to stdout instead of pictures.
    """
    from codeit.data.experts import load_experts
    from codeit.experiments.submission import submission
    from codeit.solver import iter_solve
    from codeit.storage.files import why_not_writable, write_atomically

    config = SolveSettings.from_overrides(dotted(settings))
    tasks = _tasks(puzzle, task)
    _check_policy(policy)
    if html is not None and len(tasks) > 1:
        return user_error(
            f"--html: expected one task, found {len(tasks)} in {puzzle}; choose one with --task ID"
        )
    for flag, file in (("--out", out), ("--html", html)):
        if file is not None and (problem := why_not_writable(file)):
            return user_error(f"{flag} {file}: {problem}")
    if html is not None:
        from codeit.report.page import answer_page
    with ProgressDisplay(transient=True) as display:
        starters = list(load_experts(progress=partial(display.phase, "simplify experts")).values())
    answers: dict[str, Sequence[Sequence[Grid]]] = {}
    solved = True
    for one in tasks:
        results = iter_solve(
            one,
            seconds=seconds,
            programs=programs,
            seed=seed,
            policy=policy,
            populations=populations or os.cpu_count() or 1,
            starters=starters,
            settings=config,
        )
        result, stopped_by = _follow(results, seconds, programs)
        if as_json:
            sys.stdout.write(json.dumps(_as_json(result)) + "\n")
            sys.stdout.flush()
        else:
            _show(result)
        answers[one.id], solved = result.attempts, solved and result.solved
        if out is not None:
            write_atomically(out, submission(answers))
        if html is not None:
            page = answer_page(
                one.id, one, result.programs, result.attempts, tried=result.tried, outputs=True
            )
            write_atomically(html, page)
        if stopped_by:
            say("stopped; these are the answers so far")
            raise stopped_by
    return 0 if solved else UNSOLVED


def submit(
    challenges: str,
    /,
    *,
    out: Name,
    seconds: PositiveFloat | None = None,
    programs: PositiveInt | None = None,
    seed: NonNegativeInt = 0,
    policy: str = "shipped",
    workers: Threads = 0,
    cluster: ClusterAddress = None,
) -> int:
    """Answer a whole set of tasks within one budget, as a submission file of ARC Prize.

    The file is complete and valid from the first moment. Every task gets a short time, then those
    that are not solved get twice as much, and so on. The same command continues a submission that
    was stopped; with more seconds it continues a finished one.

    Parameters
    ----------
    challenges:
        A Kaggle challenges file, a directory of ARC JSON files, or arc-agi-1/evaluation.
    out:
        The file to write. A directory beside it, with .search added to the name, records the work,
        and in probabilities.json how likely one of the two attempts at each task is right.
    seconds:
        Wall-clock time of all calls together, including their start.
    programs:
        Programs to try for each task, instead of a time limit. The same number gives the same
        answers, as far as the policy's arithmetic is the same.
    seed:
        Seed of the random choices.
    policy:
        Directory of a policy, as `codeit pretrain` writes it; `none` for evolution alone.
    workers:
        Processes, each of which takes one task at a time; 0 uses every core.
    cluster:
        A Ray cluster that searches: auto (the running one, else a new one of `workers` processes on
        this machine), local (a new one) or HOST:PORT.
    """
    call_started = time.monotonic() - _IMPORT_SECONDS
    from codeit.data.experts import load_experts
    from codeit.data.tasks import load_tasks
    from codeit.evaluation.confidence import LIKELY
    from codeit.experiments.submission import Submission, log_directory, log_settings
    from codeit.storage.database import refuse_empty
    from codeit.storage.files import why_not_writable
    from codeit.storage.search_log import SearchLog

    if (seconds is None) == (programs is None):
        return user_error(
            "expected --seconds or --programs, found "
            + ("neither; give one of them" if seconds is None else "both; leave one out")
        )
    tasks, directory = load_tasks(challenges), _check_policy(policy)
    if problem := why_not_writable(out):
        return user_error(f"--out {out}: {problem}")
    directory_of_log = log_directory(out)
    if out.is_file() and out.stat().st_size:  # the answers of an earlier call, or a file of other origin
        refuse_empty(directory_of_log / "search.sqlite")
    settings = log_settings(tasks, seed, policy, programs)
    with (
        connected(cluster, workers) as machines,
        SearchLog(directory_of_log, settings, started=call_started) as log,
        ProgressDisplay() as display,
    ):
        submission = Submission(log, out, tasks)
        started, code = time.monotonic() - log.spent, 0

        def progress(submission: Submission) -> None:
            solved = sum(result.solved for result in submission.results)
            text = f"{solved} of {len(tasks)} tasks solved (all demonstrations)"
            if seconds is not None:
                display.status(text, time.monotonic() - started, seconds, "s")
            else:
                done = sum(state.passes > 0 for state in submission.states)
                display.status(text, done, len(tasks), "tasks")

        try:
            starters = load_experts(progress=partial(display.phase, "simplify experts")).values()
            progress(submission)
            submission.run(
                list(starters),
                seconds or math.inf,
                seed,
                programs=programs,
                policy=directory,
                workforce=machines or workers,
                progress=progress,
            )
        except KeyboardInterrupt:
            code = INTERRUPTED
        display.stop()
        solved = sum(result.solved for result in submission.results)
        text = f"{out}: {solved} of {len(tasks)} tasks solved (all demonstrations)"
        console.print(text, soft_wrap=True, markup=False)
        likely = sum(result.probability >= LIKELY for result in submission.results)
        console.print(f"{likely} of {len(tasks)} tasks answered with a probability of at least {LIKELY:.0%}")
        _show_correct(submission.results)
        if code == INTERRUPTED:
            say("stopped; the same command continues")
        return code


def _tasks(puzzle: str, task_id: str | None) -> list[Task]:
    """Return the tasks of a path or a set, or the task of an id; only `task_id` if given."""
    from codeit.data.tasks import DATA_SETS, TaskError, find_task, load_tasks

    if task_id is not None:
        return [find_task(task_id, puzzle)]
    if puzzle in DATA_SETS or Path(puzzle).exists():
        return load_tasks(puzzle)
    if "/" in puzzle or puzzle.endswith(".json"):
        fix = "Check the path."
        raise TaskError(puzzle, "", "a directory, a file, or the id of a task", "nothing there", fix)
    return [find_task(puzzle)]


def _check_policy(policy: str) -> Path | None:
    """Return the policy's directory, or None, with a message unless asked for, if there is none."""
    directory = policy_directory(policy)
    if policy == "shipped" and directory is None:
        say("this package has no shipped policy: evolution works alone")
    if directory is not None and not can_learn():
        say("the policy needs pip install 'codeit[learn]': evolution works alone (--policy none: no message)")
        return None
    return directory


def _follow(
    results: Iterator[SolveResult], seconds: float, programs: int | None
) -> tuple[SolveResult, BaseException | None]:
    """Show results as they come; return the last one, and what ended the search early.

    That is Ctrl-C, or an error after some programs were tried, such as one of the policy.
    """
    started, first = time.monotonic(), next(results)
    last = first
    with ProgressDisplay(transient=True) as display:
        try:
            for last in chain([first], results):
                n, best = len(last.task.train), last.programs[0].demonstrations_solved if last.programs else 0
                text = f"{last.task.id}: {best} of {n} demonstration{'s' * (n != 1)} solved"
                turn = ", policy turn" if last.working_on == "policy" else ""
                if programs:
                    display.status(text, last.tried, programs, "tried", turn)
                else:
                    elapsed = time.monotonic() - started
                    display.status(text, elapsed, seconds, "s", f", {last.tried:,} tried{turn}")
        except KeyboardInterrupt as interrupt:
            return last, interrupt
        except Exception as error:
            if not last.tried:
                raise
            return last, error
    return last, None


def _as_json(result: SolveResult) -> dict[str, object]:
    from codeit.evaluation.scoring import outputs_correct

    return {
        "task": result.task.id,
        "solved": result.solved,
        "demonstrations": len(result.task.train),
        "tried": result.tried,
        "probability": round(result.probability, 4),
        "programs": [
            {
                "program": str(one.program),
                "demonstrations_solved": one.demonstrations_solved,
                "votes": one.votes,
                "probability": round(one.probability, 4),
            }
            for one in result.programs
        ],
        "attempts": [[grid.tolist() for grid in attempts] for attempts in result.attempts],
        "correct": outputs_correct(result.attempts, result.task),
    }


def _show(result: SolveResult) -> None:
    """Print the task, the best programs, the answers and, if known, how many are correct."""
    from codeit.evaluation.confidence import percent
    from codeit.report.terminal import GridView, task_view

    console.print(task_view(result.task))
    solvers = [one for one in result.programs if one.votes]
    if result.solved:
        console.print("\nsolved: programs that solve all demonstrations", style="bold green")
    else:
        console.print("\nnot solved: no program solves all demonstrations", style="bold red")
        console.print("The answers are guesses of the programs that come closest.")
    table = Table("program", "demonstrations", "votes", "probability", show_lines=True)
    for one in (solvers or result.programs)[:_SHOWN]:
        share = f"{one.demonstrations_solved} of {len(result.task.train)}"
        likely = percent(one.probability) if one.probability else ""
        table.add_row(Text(str(one.program)), share, f"{one.votes:,}" if one.votes else "", likely)
    if table.row_count:
        console.print(table)
    if solvers:
        console.print(
            "votes: programs that solve all demonstrations and answer the tests alike; a cheap program "
            "counts as many; probability: how likely the answer is right",
            style="dim",
        )
    for number, attempts in enumerate(result.attempts):
        pictures = []
        for k, grid in enumerate(attempts, start=1):
            caption = "test[{}], attempt {}: {}x{}".format(number, k, *grid.shape)
            pictures.append(Group(Text(caption, style="dim"), GridView(grid)))
        console.print(Columns(pictures, padding=(0, 3)))
    if result.probability:
        console.print(f"one of the two attempts is right with a probability of {percent(result.probability)}")
    _show_correct([result])


def _show_correct(results: Sequence[SolveResult]) -> None:
    """Print how many of the known test outputs are correct."""
    from codeit.evaluation.scoring import outputs_correct

    correct = [one for result in results for one in outputs_correct(result.attempts, result.task)]
    known = [one for one in correct if one is not None]
    if known:
        console.print(f"correct: {sum(known)} of {len(known)} known test outputs")
