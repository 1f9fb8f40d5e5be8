"""Programs as the command line names them."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

if TYPE_CHECKING:
    from codeit.data.tasks import Task
    from codeit.language import Program

_MAX_PROGRAM = 1_000_000  # characters of a program's file, which may be a device without an end

GivenProgram = Annotated[
    str,
    Parameter(
        help="A program's text (lines separated by line breaks or semicolons), a file with it (- for "
        "stdin), or a solutions file (FILE.jsonl) or the directory of a run, of which the task's best "
        "program is taken."
    ),
]
"""A program on the command line, for `read_program`."""


class ProgramError(ValueError):
    """A program that cannot be read. The message names the file and says why."""


def read_program(given: str, task: Task | None) -> Program:
    """Return a program from its text, its file, a solutions file, or the directory of a run.

    Of a solutions file, which a run's directory has, it is the best program of the task: the one
    that solves most demonstrations, then the shortest. Raises ProgramError and SolutionError.
    """
    path = _existing(given)
    if path is not None and path.is_dir():
        return _best_program(str(path / "solutions.jsonl"), task)
    if given.endswith(".jsonl"):
        return _best_program(given, task)
    if "=" in given and path is None:
        return _parsed(given.replace(";", "\n").replace("\\n", "\n"), "the given program")
    try:
        with open(given, encoding="utf-8") as file:
            text = file.read(_MAX_PROGRAM + 1)
        if len(text) > _MAX_PROGRAM:
            raise ProgramError(
                f"{given}: expected a program, found more than {_MAX_PROGRAM:,} characters; "
                "is it a solutions file? Its name must end in .jsonl"
            )
        return _parsed(text, given)
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "not UTF-8 text"
        raise ProgramError(
            f"{given}: expected a program (`O = vmirror(I)`), a file with one, or FILE.jsonl: {reason}"
        ) from None


def _best_program(file: str, task: Task | None) -> Program:
    from codeit.evaluation.candidate import Candidate, rank
    from codeit.evaluation.scoring import read_solutions
    from codeit.language import count_solved

    if task is None:
        raise ProgramError(f"{file}: expected a task, whose best program is taken, found none; give its id")
    rows = [row for row in read_solutions(file) if row.task_id == task.id]
    if not rows:
        raise ProgramError(f"{file}: expected a program for task {task.id}, found none; choose another task")
    programs = [_parsed(row.program, row.where) for row in rows]
    solved = count_solved(programs, [task.train])[0].tolist()
    candidates = (
        Candidate(task.id, *one, order) for order, one in enumerate(zip(programs, solved, strict=True))
    )
    return rank(candidates)[0].program


def _existing(text: str) -> Path | None:
    try:
        return path if (path := Path(text)).exists() else None
    except (OSError, ValueError):  # the text is too long for a file name
        return None


def _parsed(text: str, where: str) -> Program:
    from codeit.language import ParseError, Program

    try:
        return Program.parse(text)
    except ParseError as error:
        raise ProgramError(f"{where}: {error}") from None
