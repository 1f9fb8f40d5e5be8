"""The commands that show: `codeit explain` and `codeit report`. `codeit.cli` registers them."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter
from rich.progress import Progress

from codeit.console import Natural, console, messages

if TYPE_CHECKING:
    from codeit.language import Program
    from codeit.tasks import Task


class ShowError(ValueError):
    """What was asked for cannot be shown; the message says why."""


def explain(
    program: str,
    task: str,
    /,
    *,
    tasks: str | None = None,
    tests: Annotated[bool, Parameter(negative="")] = False,
    html: Path | None = None,
) -> None:
    """Show a program line by line, and what each line gives on each demonstration of a task.

    Grids are pictures; objects and sets of places stand out from the grid that they lie on. `--html` writes
    a page, with more room.

    Parameters
    ----------
    program:
        A program's text (lines end with a line break or a semicolon), a file with it, or a solutions file
        (FILE.jsonl), of which the task's best program is taken.
    task:
        The task's id, or a JSON file of one task.
    tasks:
        Where the id is looked up: arc-agi-1/training, a folder of ARC JSON files, or a (Kaggle) JSON file; if
        not given, both sets of ARC-AGI-1.
    tests:
        Show the test inputs too.
    html:
        Write a page to this file, and nothing to the terminal.
    """
    from codeit.files import replace
    from codeit.report.explain import TraceView
    from codeit.report.page import explain_page

    chosen = _task(task, tasks)
    found = _program(program, chosen)
    if html is not None:
        replace(html, explain_page(found, chosen, tests=tests))
        messages.print(f"written: {html}", soft_wrap=True)
        return
    inputs = [(pair.input, pair.output) for pair in chosen.train]
    captions = [f"train[{k}]" for k in range(len(chosen.train))]
    questions = [(pair.input, None) for pair in chosen.test] if tests else []
    captions += [f"test[{k}]" for k in range(len(questions))]
    console.print(TraceView(found, [*inputs, *questions], captions))


def report(
    runs: Annotated[list[Path], Parameter(name="RUN", negative="")],
    /,
    *,
    out: Path,
    tasks: str = "arc-agi-1/evaluation",
    threads: Natural = 0,
) -> None:
    """Write a page about runs and searches: curves, samples, programs, time, and every task.

    The page is one file that needs no network. Runs that are going on can be looked at too.

    Parameters
    ----------
    runs:
        Folders of `codeit run`, `evolve`, `baseline` or `sample`, or published results (results/codeit).
    out:
        The HTML file to write.
    tasks:
        Tasks that published results are about, where they do not say.
    threads:
        CPU threads; 0 takes every core.
    """
    from codeit.files import replace
    from codeit.report.run_page import report_page
    from codeit.report.runs import read_runs

    if not out.parent.is_dir():
        raise ShowError(f"--out {out}: expected a file in a folder, found no {out.parent}; make the folder")
    found = read_runs(runs, tasks, threads=threads)
    with Progress(console=messages, disable=not messages.is_terminal, transient=True) as live:
        bar = live.add_task("tasks", total=None)
        page = report_page(
            found, threads=threads, progress=lambda done, total: live.update(bar, completed=done, total=total)
        )
    replace(out, page)
    for run in found:
        solved = f"{run.score.solved_top3} of {run.score.tasks} tasks solved"
        messages.print(f"{run.name}: {solved}", soft_wrap=True)
    messages.print(f"written: {out}, {len(page.encode()) / 1e6:.1f} MB", soft_wrap=True)


def _task(task: str, tasks: str | None) -> Task:
    """A task by its id, or the only one of a file."""
    from codeit.tasks import find, load

    if tasks is not None or not Path(task).is_file():
        return find(task, tasks)
    loaded = load(task)
    if len(loaded) != 1:
        raise ShowError(
            f"{task}: expected a file of one task, found {len(loaded)}; give an id, and --tasks {task}"
        )
    return loaded[0]


def _program(given: str, task: Task) -> Program:
    """A program from its text, its file, or a solutions file."""
    from codeit.language import count_solved
    from codeit.scoring import Candidate, rank, read_solutions

    if given.endswith(".jsonl"):
        rows = [row for row in read_solutions(given) if row.task == task.id]
        if not rows:
            raise ShowError(
                f"{given}: expected a program for task {task.id}, found none; choose another task"
            )
        programs = [_parsed(row.program, row.where) for row in rows]
        solved = count_solved(programs, [task.train])[0].tolist()
        return rank(map(Candidate, programs, solved, range(len(rows))))[0].program
    if "=" not in given or _is_file(given):
        try:
            return _parsed(Path(given).read_text(encoding="utf-8"), given)
        except (OSError, UnicodeDecodeError) as error:
            reason = error.strerror if isinstance(error, OSError) else "no UTF-8 text"
            raise ShowError(
                f"{given}: expected a program (`O = vmirror(I)`), a file with one, or FILE.jsonl: {reason}"
            ) from None
    return _parsed(given.replace(";", "\n").replace("\\n", "\n"), "the program given")


def _is_file(text: str) -> bool:
    try:
        return Path(text).is_file()
    except (OSError, ValueError):  # a text too long for a name
        return False


def _parsed(text: str, where: str) -> Program:
    from codeit.language import ParseError, Program

    try:
        return Program.parse(text)
    except ParseError as error:
        raise ShowError(f"{where}: {error}") from None
