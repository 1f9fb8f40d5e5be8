"""What the commands have in common: where they write, what they show while they work, how they end."""

from __future__ import annotations

from typing import Annotated, Self

from cyclopts import Parameter
from cyclopts.validators import Number
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

MISTAKE, INTERRUPTED = 2, 130
"""Exit codes."""

console = Console(highlight=False)
"""For results."""
messages = Console(stderr=True, highlight=False)
"""For all else."""

Count = Annotated[int, Parameter(validator=Number(gte=1))]
Natural = Annotated[int, Parameter(validator=Number(gte=0))]


def mistake(message: str) -> int:
    """Tell of a user's mistake; exit code."""
    messages.print(f"codeit: {message}", style="red", markup=False, soft_wrap=True)
    return MISTAKE


class Live:
    """Shows a progress bar on stderr, which does not stay if `passing`; where that is no terminal, a line a
    phase."""

    def __init__(self, passing: bool = False) -> None:
        columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
        hidden = not messages.is_terminal
        self._progress = Progress(*columns, console=messages, disable=hidden, transient=passing)
        self._bar = self._progress.add_task("start", total=None)
        self._phase = ""

    def __enter__(self) -> Self:
        self._progress.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def stop(self) -> None:
        self._progress.stop()

    def say(self, line: str) -> None:
        messages.print(line, soft_wrap=True)

    def progress(self, iteration: int, phase: str, done: int, total: int) -> None:
        """So many units of an iteration's phase (0: of none) are done, of so many."""
        description = f"iteration {iteration}: {phase}" if iteration else phase
        if description != self._phase:
            self._phase = description
            self._progress.reset(self._bar, description=description)
            if not messages.is_terminal:
                self.say(f"{description}, of {total}")
        self._progress.update(self._bar, completed=done, total=total)

    def tell(self, text: str, done: int, total: int, passing: str = "") -> None:
        """As `progress`, but the time goes on when the text changes; where that is no terminal, each new text
        is a line, without what is `passing`."""
        if text != self._phase:
            self._phase = text
            if not messages.is_terminal:
                self.say(text)
        self._progress.update(self._bar, description=text + passing, completed=done, total=total)
