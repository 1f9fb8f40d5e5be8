"""Pages about one task: whole HTML files that need neither a network nor other files."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from codeit.data.tasks import Task
from codeit.evaluation.candidate import Candidate
from codeit.evaluation.confidence import percent
from codeit.evaluation.scoring import outputs_correct
from codeit.language import PRIMITIVES, Grid, Program
from codeit.report.rendering import render
from codeit.report.sheet import Json, Views, program_sheet, task_sheet
from codeit.solver import ATTEMPTS


def answer_page(
    title: str,
    task: Task,
    candidates: Sequence[Candidate],
    attempts: Sequence[Sequence[Grid]],
    *,
    tried: int | None = None,
    outputs: bool = False,
) -> str:
    """Return a page with a task's demonstrations, its answers, and its programs with their traces.

    `candidates` holds the programs, best first. `attempts` holds the answers to each test input.
    `tried` is the number of programs that the search tried. `outputs` shows the test outputs that are
    known, and which answers are right; without it, test outputs are not read.
    """
    views = Views()
    sheet = task_sheet(views, task, outputs=outputs)
    sheet["attempts"] = [[views.grid(grid) for grid in answers] for answers in attempts]
    sheet["programs"] = [
        program_sheet(views, candidate.program, task.train)
        | {"solved": candidate.demonstrations_solved, "notes": _notes(candidate)}
        for candidate in candidates
    ]
    best = max((candidate.demonstrations_solved for candidate in candidates), default=0)
    lead = (
        f"The best program solves {best} of {len(task.train)} demonstrations."
        if candidates
        else "No program was found that solves a demonstration."
    )
    if tried is not None:
        lead += f" The search tried {tried:,} program{'s' * (tried != 1)}."
    if likely := sum(candidate.probability for candidate in candidates[:ATTEMPTS]):
        lead += f" One of the two attempts is right with a probability of {percent(likely)}."
    known = [correct for correct in outputs_correct(attempts, task) if correct is not None] if outputs else []
    if known:
        lead += f" Correct: {sum(known)} of {len(known)} known test outputs."
    return _task_page(title, lead, sheet, views, [candidate.program for candidate in candidates])


def _notes(candidate: Candidate) -> list[str]:
    notes = [f"{candidate.votes:,} vote{'s' * (candidate.votes != 1)}"] if candidate.votes else []
    if candidate.probability:
        notes.append(f"right with a probability of {percent(candidate.probability)}")
    return notes


def explain_page(program: Program, task: Task, *, tests: bool = False) -> str:
    """Return a page with a task and a program's trace on its demonstrations.

    `tests` adds the trace on the test inputs.
    """
    views = Views()
    sheet = task_sheet(views, task)
    pairs: list[tuple[Grid, Grid | None]] = [*task.train]
    if tests:
        pairs += [(pair.input, None) for pair in task.test]
    sheet["programs"] = [program_sheet(views, program, pairs)]
    return _task_page(f"A program for {task.id}", "", sheet, views, [program], opened=True)


def _task_page(
    title: str, lead: str, sheet: Json, views: Views, programs: Iterable[Program], *, opened: bool = False
) -> str:
    """Return a page with a sheet. `opened` shows the traces from the start."""
    sheet["views"] = views.json
    return render("task.html", title=title, lead=lead, sheet=sheet, docs=docs(programs), opened=opened)


def primitives(program: Program) -> set[str]:
    """Return the primitives that a program calls or passes as arguments."""
    return {name for line in program.lines for name in (line.function, *line.arguments)} & PRIMITIVES.keys()


def docs(programs: Iterable[Program]) -> dict[str, str]:
    """Return the documentation of all primitives in the programs, by name."""
    names = {name for program in programs for name in primitives(program)}
    return {name: PRIMITIVES[name].doc for name in sorted(names)}
