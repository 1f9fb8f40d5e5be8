"""`codeit export`."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING, Annotated, Literal

from cyclopts import App, Parameter

from codeit.cli.console import Name, say
from codeit.cli.programs import GivenProgram, ProgramError, read_program
from codeit.cli.tasks import one_task

if TYPE_CHECKING:
    from codeit.data.tasks import Task
    from codeit.language import Program

Form = Literal["python", "text", "html", "json"]


def register(app: App) -> None:
    app.command(export)


def export(
    program: GivenProgram,
    task: str | None = None,
    /,
    *,
    to: Annotated[Form, Parameter(name="--to")] = "python",
    out: Name | None = None,
    tasks: str | None = None,
) -> None:
    """Write a program as a file for others.

    Parameters
    ----------
    task:
        The program's task: an id, or a JSON file of one task. Needed for a solutions file and for
        html.
    to:
        python: one file that runs by itself, without codeit; text: the program; html: the page of
        `codeit explain`; json: a row of a solutions file.
    out:
        The file to write; stdout by default.
    tasks:
        Where the id is looked up: arc-agi-1/training, a directory of ARC JSON files, or a (Kaggle)
        JSON file; by default both sets of ARC-AGI-1.
    """
    from codeit.storage.files import why_not_writable, write_atomically

    if out is not None and (problem := why_not_writable(out)):
        raise ProgramError(f"--out {out}: {problem}")
    chosen = None if task is None else one_task(task, tasks)
    text = _exported(read_program(program, chosen), chosen, to)
    if out is None:
        sys.stdout.write(text)
    else:
        write_atomically(out, text)
        say(f"written: {out}")


def _exported(program: Program, task: Task | None, to: Form) -> str:
    if to == "python":
        from codeit.export import to_python

        return to_python(
            program, title=f"A program for task {task.id}" if task else "A program for ARC tasks"
        )
    if to == "html":
        from codeit.report.page import explain_page

        if task is None:
            raise ProgramError(
                "--to html: expected a task, whose grids the page shows, found none; give its id"
            )
        return explain_page(program, task)
    if to == "json":
        return json.dumps(({"task": task.id} if task else {}) | {"program": str(program)}) + "\n"
    return f"{program}\n"
