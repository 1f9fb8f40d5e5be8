"""What the commands share: output streams, option types, progress displays, user errors."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Self

from cyclopts import Parameter
from cyclopts.validators import Number
from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.table import Table

from codeit.config import Settings, describe

USER_ERROR, INTERRUPTED = 2, 130
"""Exit codes."""

console = Console(highlight=False)
"""stdout, for results."""
messages = Console(stderr=True, highlight=False)
"""stderr, for everything else."""

PositiveInt = Annotated[int, Parameter(validator=Number(gte=1))]
NonNegativeInt = Annotated[int, Parameter(validator=Number(gte=0))]
Seconds = Annotated[float, Parameter(validator=Number(gt=0))]
TaskSet = Annotated[str, Parameter(name="--tasks")]
"""A data set's name, a directory of ARC JSON files, or a (Kaggle) JSON file."""
Overrides = Annotated[dict[str, Any], Parameter(show=False)]
"""Settings by section and name, from options such as `--policy.init random`."""


def user_error(message: str) -> int:
    """Print a user error and return its exit code."""
    messages.print(f"codeit: {message}", style="red", markup=False, soft_wrap=True)
    return USER_ERROR


def say(message: str) -> None:
    """Print a message to stderr."""
    messages.print(message, markup=False, soft_wrap=True)


def dotted(overrides: Mapping[str, Any], prefix: str = "") -> dict[str, str]:
    """Flatten parsed overrides to dotted keys with underscores."""
    flat: dict[str, str] = {}
    for name, value in overrides.items():
        key = f"{prefix}{name}".replace("-", "_")
        flat |= dotted(value, f"{key}.") if isinstance(value, dict) else {key: value}
    return flat


def settings_help(settings: type[Settings]) -> str:
    """Return the help text that lists all settings of a command with their defaults."""
    lines = [f"- `--{key}` {description} **[{default}]**" for key, description, default in describe(settings)]
    return "\n".join(["**Settings**, each as an option with its default:", "", *lines])


def figures_table(*columns: str, title: str | None = None) -> Table:
    """Return a table for right-aligned figures that fits into 80 columns: headers wrap at spaces only."""
    table = Table(title=title, pad_edge=False, padding=(0, 1))
    for column in columns:
        table.add_column(column, justify="right", min_width=max(map(len, column.split()), default=0))
    return table


class ProgressDisplay:
    """A progress bar on stderr. Where stderr is not a terminal, one line per phase."""

    def __init__(self, transient: bool = False) -> None:
        """A `transient` bar disappears at the end."""
        columns = (
            *(
                TextColumn("{task.description}"),
                BarColumn(),
                MofNCompleteColumn(),
                TextColumn("{task.fields[unit]}"),
            ),
            *(TimeElapsedColumn(), TextColumn("·"), TimeRemainingColumn(), TextColumn("left")),
        )
        hidden = not messages.is_terminal
        self._progress = Progress(*columns, console=messages, disable=hidden, transient=transient)
        self._bar = self._progress.add_task("start", total=None, unit="")
        self._phase = ""

    def __enter__(self) -> Self:
        self._progress.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def stop(self) -> None:
        self._progress.stop()

    def phase(self, description: str, done: int, total: int) -> None:
        """Show that `done` of `total` units of a phase are done. The clock restarts with each phase."""
        if description != self._phase:
            self._phase = description
            self._progress.reset(self._bar, description=description)
            if not messages.is_terminal:
                say(f"{description}, of {total}")
        self._progress.update(self._bar, completed=done, total=total)

    def status(self, text: str, done: float, total: float, unit: str = "", detail: str = "") -> None:
        """Show a changing text beside the bar. The clock keeps running.

        Where stderr is not a terminal, print each new text as a line, without the `detail`.
        """
        if text != self._phase:
            self._phase = text
            if not messages.is_terminal:
                say(text)
        self._progress.update(
            self._bar, description=text + detail, completed=int(done), total=int(total), unit=unit
        )
