"""`codeit explain`, `codeit report` and `codeit verify`."""

from __future__ import annotations

import json
import sys
from dataclasses import asdict
from typing import Annotated

from cyclopts import App, Parameter
from rich.table import Table
from rich.text import Text

from codeit.cli.console import Name, ProgressDisplay, TaskSet, Threads, console, say
from codeit.cli.programs import GivenProgram, read_program
from codeit.cli.search import probability_table
from codeit.cli.tasks import one_task


class DisplayError(ValueError):
    """What was asked for cannot be shown. The message says why."""


def register(app: App) -> None:
    app.command(explain)
    app.command(report)
    app.command(verify)


def explain(
    program: GivenProgram,
    task: str,
    /,
    *,
    tasks: str | None = None,
    tests: Annotated[bool, Parameter(negative="")] = False,
    html: Name | None = None,
) -> None:
    """Show a program line by line, and the value of each line on each demonstration of a task.

    Grids are pictures. Objects and sets of cells stand out from the grid they lie on. `--html`
    writes a page.

    Parameters
    ----------
    task:
        The task's id, or a JSON file of one task.
    tasks:
        Where the id is looked up: arc-agi-1/training, a directory of ARC JSON files, or a (Kaggle)
        JSON file; by default both sets of ARC-AGI-1.
    tests:
        Show the test inputs too.
    html:
        Write a page to this file, and nothing to the terminal.
    """
    from codeit.report.explain import TraceView
    from codeit.report.page import explain_page
    from codeit.storage.files import why_not_writable, write_atomically

    if html is not None and (problem := why_not_writable(html)):
        raise DisplayError(f"--html {html}: {problem}")
    chosen = one_task(task, tasks)
    found = read_program(program, chosen)
    if html is not None:
        write_atomically(html, explain_page(found, chosen, tests=tests))
        say(f"written: {html}")
        return
    demonstrations = [(pair.input, pair.output) for pair in chosen.train]
    captions = [f"train[{k}]" for k in range(len(chosen.train))]
    test_inputs = [(pair.input, None) for pair in chosen.test] if tests else []
    captions += [f"test[{k}]" for k in range(len(test_inputs))]
    console.print(TraceView(found, [*demonstrations, *test_inputs], captions))


def report(
    runs: Annotated[list[Name], Parameter(name="RUN", negative="")],
    /,
    *,
    out: Name,
    tasks: str = "arc-agi-1/evaluation",
    threads: Threads = 0,
) -> None:
    """Write a page about runs and searches: curves, samples, programs, time, and every task.

    The page is one file that needs no network. Runs in progress can be included.

    Parameters
    ----------
    runs:
        Directories of `codeit run`, `search`, `baseline` or `evaluate-policy`, or published results
        (results/codeit).
    out:
        The HTML file to write.
    tasks:
        The tasks of published results that do not name theirs.
    threads:
        CPU threads; 0 uses every core.
    """
    from codeit.report.run_page import report_page
    from codeit.report.runs import read_runs
    from codeit.storage.files import why_not_writable, write_atomically

    if problem := why_not_writable(out):
        raise DisplayError(f"--out {out}: {problem}")
    found = read_runs(runs, tasks, threads=threads)
    with ProgressDisplay(transient=True) as display:
        page = report_page(
            found, threads=threads, progress=lambda done, total: display.phase("draw tasks", done, total)
        )
    write_atomically(out, page)
    for run in found:
        say(f"{run.name}: {run.score.solved_top3} of {run.score.tasks} tasks solved")
    say(f"written: {out}, {len(page.encode()) / 1e6:.1f} MB")


def verify(
    file: Name,
    /,
    *,
    tasks: TaskSet = "arc-agi-1/evaluation",
    as_json: Annotated[bool, Parameter(name="--json", negative="")] = False,
    best: Name | None = None,
    threads: Threads = 0,
) -> None:
    """Run every program of a solutions file again and score it from scratch.

    A task's programs are ranked by demonstrations solved (most first), votes (if rows have them,
    most first), length (shortest first) and place in the file. The task is solved if one of the
    best 3 (or 2) gives every test output exactly. If rows have a `probability`, as those of
    `codeit search`, a second table counts the tasks that are answered with some probability, and
    how many of them are solved.

    Parameters
    ----------
    file:
        JSON lines, each an object with a task's id as `task` and a program's text as `program`.
    tasks:
        arc-agi-1/training, arc-agi-1/evaluation, a directory of ARC JSON files, or a (Kaggle) JSON
        file.
    as_json:
        Print one JSON object instead of a table.
    best:
        Also write the three best programs of each task to this file, which has the same score.
    threads:
        CPU threads; 0 uses every core.
    """
    from codeit.data.tasks import load_tasks
    from codeit.evaluation.scoring import best_solutions, rank_solutions, read_solutions, score_ranking
    from codeit.storage.files import why_not_writable, write_atomically

    if best is not None and (problem := why_not_writable(best)):
        raise DisplayError(f"--best {best}: {problem}")
    known = load_tasks(tasks)
    solutions = list(read_solutions(file))
    ranking = rank_solutions(solutions, known, threads=threads)
    score = score_ranking(ranking, known, threads=threads)
    for problem in score.problems:
        say(problem, style="yellow")
    if best is not None:
        write_atomically(best, best_solutions(solutions, ranking))
    if as_json:
        sys.stdout.write(json.dumps(asdict(score)) + "\n")
        return
    table = Table("", "", show_header=False, title=Text(str(file)))
    for name, value in asdict(score).items():
        if isinstance(value, int):
            table.add_row(name.replace("_", " "), str(value))
    table.add_row("solved", " ".join(score.solved) or "none")
    console.print(table)
    if any(row.probability for row in solutions):
        console.print(probability_table(ranking.candidates, score))
