"""The commands for puzzles of one's own: `codeit solve` and `codeit submit`."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator, Sequence
from functools import partial
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter
from cyclopts.validators import Number
from rich.columns import Columns
from rich.console import Group
from rich.table import Table
from rich.text import Text

from codeit.config import SolveConfig
from codeit.console import INTERRUPTED, Count, Live, Natural, console, messages, mistake

if TYPE_CHECKING:
    from codeit.language import Grid
    from codeit.solve import Result
    from codeit.tasks import Task

UNSOLVED = 1
"""Exit code: some task has no program that solves all its demonstrations."""
_SHOWN = 3  # programs of a task

Seconds = Annotated[float, Parameter(validator=Number(gt=0))]


def solve(
    puzzle: str,
    /,
    *,
    task: Annotated[str | None, Parameter(name="--task")] = None,
    seconds: Seconds = 60.0,
    programs: Count | None = None,
    seed: Natural = 0,
    policy: str = "shipped",
    populations: Natural = 0,
    out: Path | None = None,
    html: Path | None = None,
    settings: Annotated[SolveConfig | None, Parameter(name="*")] = None,
) -> int:
    """Look for programs that solve a puzzle's demonstrations, and answer its tests by them.

    Experts are tried as they are, a population of programs evolves from them, and a policy proposes more.
    Test outputs are not looked at until the answers stand. The exit code is 0 if some program solves all
    demonstrations, 1 if none does, 2 after a mistake, 130 after Ctrl-C, which shows what there is so far.

    Parameters
    ----------
    puzzle:
        A JSON file of one task or of many, a folder of such files, or the id of a task of ARC-AGI-1.
    task:
        Of many tasks, only the one with this id.
    seconds:
        Time for each task; less is taken if the answer is sure before.
    programs:
        Programs to try for each task, in place of a time: the same number, of as many populations, has the
        same result.
    seed:
        Seed of the random choices.
    policy:
        Folder of a policy, as `codeit pretrain` leaves it; `none` for evolution alone.
    populations:
        Populations that evolve side by side, each on a core; 0 is one a core. Results depend on it.
    out:
        File to write the answers to, in the form of ARC Prize: two attempts at each test output.
    html:
        File to write a page to that shows the answer; for one task.
    """
    from codeit.experts import load_experts
    from codeit.files import replace
    from codeit.solve import solving
    from codeit.submission import submission

    tasks = _tasks(puzzle, task)
    _policy(policy)
    if html is not None and len(tasks) > 1:
        return mistake(
            f"--html: expected one task, found {len(tasks)} in {puzzle}; choose one with --task ID"
        )
    for flag, file in (("--out", out), ("--html", html)):
        if problem := _cannot_write(file):
            return mistake(f"{flag} {file}: {problem}")
    if html is not None:
        from codeit.report.page import answer_page
    with Live(passing=True) as live:
        starters = list(load_experts(progress=partial(live.progress, 0, "simplify experts")).values())
    answers: dict[str, Sequence[Sequence[Grid]]] = {}
    solved = True
    for one in tasks:
        search = solving(
            one, seconds=seconds, programs=programs, seed=seed, policy=policy,
            populations=populations or os.cpu_count() or 1, starters=starters, settings=settings,
        )  # fmt: skip
        result, stopped = _watched(search, seconds, programs)
        _show(result)
        answers[one.id], solved = result.attempts, solved and result.solved
        if out is not None:
            replace(out, submission(answers))
        if html is not None:
            best = [(ranked.program, ranked.solved) for ranked in result.programs]
            replace(html, answer_page(one.id, one, best, result.attempts))
        if stopped:
            messages.print("stopped; this is what there was", soft_wrap=True)
            return INTERRUPTED
    return 0 if solved else UNSOLVED


def submit(
    challenges: str,
    /,
    *,
    out: Path,
    seconds: Seconds,
    seed: Natural = 0,
    policy: str = "shipped",
    workers: Natural = 0,
) -> int:
    """Answer a whole set of tasks within one budget of time, as a submission file of ARC Prize.

    The file is whole and valid from the first moment on. Every task gets a short time, then those that are
    not solved get twice as much, and so on. The same command goes on where it was stopped; with more seconds
    it goes on after its end.

    Parameters
    ----------
    challenges:
        A Kaggle challenges file, a folder of ARC JSON files, or arc-agi-1/evaluation.
    out:
        The file to write. Beside it, a folder of that name and .search has what was done.
    seconds:
        Time in all, by the clock, that of stopped calls included.
    seed:
        Seed of the random choices.
    policy:
        Folder of a policy, as `codeit pretrain` leaves it; `none` for evolution alone.
    workers:
        Processes, each of which takes one task at a time; 0 is one a core.
    """
    from codeit.experts import load_experts
    from codeit.record import Record
    from codeit.submission import Submission, settings
    from codeit.tasks import load

    tasks, folder = load(challenges), _policy(policy)
    if problem := _cannot_write(out):
        return mistake(f"--out {out}: {problem}")
    workers = workers or os.cpu_count() or 1
    with Record(out.with_name(out.name + ".search"), settings(tasks, seed, policy)) as record, Live() as live:
        submission = Submission(record, out, tasks)
        began, code = time.monotonic() - submission.spent / workers, 0

        def progress(submission: Submission) -> None:
            solved = sum(result.solved for result in submission.results)
            text = f"{solved} of {len(tasks)} tasks solved (all demonstrations)"
            live.tell(text, int(time.monotonic() - began), int(seconds))

        try:
            starters = load_experts(progress=partial(live.progress, 0, "simplify experts")).values()
            progress(submission)
            submission.run(list(starters), seconds, seed, policy=folder, workers=workers, progress=progress)
        except KeyboardInterrupt:
            code = INTERRUPTED
        live.stop()
        solved = sum(result.solved for result in submission.results)
        console.print(f"{out}: {solved} of {len(tasks)} tasks solved (all demonstrations)", soft_wrap=True)
        _tell_right(submission.results)
        if code == INTERRUPTED:
            messages.print("stopped; the same command goes on", soft_wrap=True)
        return code


def _tasks(puzzle: str, id: str | None) -> list[Task]:
    """The tasks of a path or a set's name, or the task of an id; of many perhaps only one."""
    from codeit.tasks import ARC_AGI_1, TaskError, find, load

    if id is not None:
        return [find(id, puzzle)]
    if puzzle in ARC_AGI_1 or Path(puzzle).exists():
        return load(puzzle)
    if "/" in puzzle or puzzle.endswith(".json"):
        fix = "Check the path."
        raise TaskError(puzzle, "", "a folder, a file, or the id of a task", "nothing there", fix)
    return [find(puzzle)]


def _policy(policy: str) -> Path | None:
    """The policy's folder, found before anything takes time."""
    from codeit.solve import policy_folder

    folder = policy_folder(policy)
    if policy == "shipped" and folder is None:
        messages.print("this package came without a policy: evolution works alone", soft_wrap=True)
    return folder


def _cannot_write(file: Path | None) -> str:
    """Why a file cannot be written, or nothing."""
    if file is None:
        return ""
    if file.is_dir():
        return "expected a file, found a folder"
    folder = file.parent
    if not folder.is_dir():
        return f"expected a folder at {folder}, found nothing; make it"
    return "" if os.access(folder, os.W_OK) else f"expected a folder that can be written at {folder}"


def _watched(results: Iterator[Result], seconds: float, programs: int | None) -> tuple[Result, bool]:
    """The last of the results, shown live, and whether Ctrl-C made it so."""
    began, first = time.monotonic(), next(results)
    last = first
    with Live(passing=True) as live:
        try:
            for last in chain([first], results):
                n, best = len(last.task.train), last.programs[0].solved if last.programs else 0
                text = f"{last.task.id}: {best} of {n} demonstration{'s' * (n != 1)} solved"
                done = last.tried if programs else int(time.monotonic() - began)
                live.tell(text, done, programs or int(seconds), f", {last.tried:,} tried")
        except KeyboardInterrupt:
            return last, True
    return last, False


def _show(result: Result) -> None:
    """The task, the best programs, the answers, and where they can be told whether they are right."""
    from codeit.report.terminal import GridView, task_view

    console.print(task_view(result.task))
    solved = [ranked for ranked in result.programs if ranked.votes]
    if result.solved:
        console.print("\nsolved: programs that solve all demonstrations", style="bold green")
    else:
        console.print("\nnot solved: no program solves all demonstrations", style="bold red")
        console.print("These come closest, and the answers are theirs: guesses.")
    note = "votes: programs that solve all demonstrations and answer the tests alike" if solved else None
    table = Table("program", "demonstrations", "votes", show_lines=True, caption=note)
    for ranked in (solved or result.programs)[:_SHOWN]:
        share = f"{ranked.solved} of {len(result.task.train)}"
        table.add_row(Text(str(ranked.program)), share, str(ranked.votes or ""))
    if table.row_count:
        console.print(table)
    for number, attempts in enumerate(result.attempts):
        pictures = []
        for k, grid in enumerate(attempts, start=1):
            caption = "test[{}], attempt {}: {}x{}".format(number, k, *grid.shape)
            pictures.append(Group(Text(caption, style="dim"), GridView(grid)))
        console.print(Columns(pictures, padding=(0, 3)))
    _tell_right([result])


def _tell_right(results: Sequence[Result]) -> None:
    """How many test outputs are right, of those that are known."""
    from codeit.scoring import outputs_right

    right = [one for result in results for one in outputs_right(result.attempts, result.task)]
    known = [one for one in right if one is not None]
    if known:
        console.print(f"right: {sum(known)} of {len(known)} test outputs that are known")
