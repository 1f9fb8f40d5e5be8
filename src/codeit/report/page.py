"""Pages: whole HTML files that need nothing else, neither a network nor other files."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from functools import cache
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from codeit.data.tasks import Task
from codeit.language import PRIMITIVES, Grid, Program
from codeit.report import COLOUR_NAMES, PALETTE
from codeit.report.sheet import Json, Views, program_sheet, task_sheet


def answer_page(
    title: str,
    task: Task,
    programs: Sequence[tuple[Program, int]],
    attempts: Sequence[Sequence[Grid]],
) -> str:
    """A page with a task's demonstrations, its answers, and its programs, best first, with their traces.

    A program comes with the number of demonstrations that it solves; `attempts` are the outputs to hand in
    for each test input. Test outputs are not looked at.
    """
    views = Views()
    whole = task_sheet(views, task)
    whole["attempts"] = [[views.grid(grid) for grid in answers] for answers in attempts]
    whole["programs"] = [
        program_sheet(views, program, task.train) | {"solved": solved} for program, solved in programs
    ]
    best = max((solved for _, solved in programs), default=0)
    lead = (
        f"The best program solves {best} of {len(task.train)} demonstrations."
        if programs
        else ("No program was found that solves a demonstration.")
    )
    return _task_page(title, lead, whole, views, [program for program, _ in programs])


def explain_page(program: Program, task: Task, *, tests: bool = False) -> str:
    """A page with a task and what each line of a program gives on its demonstrations (and test inputs)."""
    views = Views()
    whole = task_sheet(views, task)
    captions = [f"Demonstration {k + 1}" for k in range(len(task.train))]
    pairs: list[tuple[Grid, Grid | None]] = [*task.train]
    if tests:
        captions += [f"Test {k + 1}" for k in range(len(task.test))]
        pairs += [(pair.input, None) for pair in task.test]
    whole |= {"captions": captions, "programs": [program_sheet(views, program, pairs)]}
    return _task_page(f"A program for {task.id}", "", whole, views, [program], open=True)


def _task_page(
    title: str, lead: str, whole: Json, views: Views, programs: Iterable[Program], *, open: bool = False
) -> str:
    whole["views"] = views.json
    return render("task.html", title=title, lead=lead, sheet=whole, docs=docs(programs), open=open)


def docs(programs: Iterable[Program]) -> dict[str, str]:
    """What the primitives do that the programs name."""
    names = {
        name for program in programs for line in program.lines for name in (line.function, *line.arguments)
    }
    return {name: PRIMITIVES[name].doc for name in sorted(names & PRIMITIVES.keys())}


def render(template: str, **values: Any) -> str:
    """A page from its template. Text is escaped; the filter `json` writes data for a script to read."""
    colours = {"PALETTE": PALETTE, "COLOURS": COLOUR_NAMES}
    return _environment().get_template(template).render(colours=colours, **values)


@cache
def _environment() -> Environment:
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent / "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["json"] = _json
    return environment


def _json(data: object) -> Markup:
    """JSON within a script element: what could end the element is escaped."""
    text = json.dumps(data, separators=(",", ":"), ensure_ascii=False)
    return Markup(text.replace("<", "\\u003c").replace("\u2028", "\\u2028").replace("\u2029", "\\u2029"))
