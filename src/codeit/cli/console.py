"""What the commands share: output streams, option types, progress displays, user errors."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Self

from cyclopts import Parameter, Token
from cyclopts.validators import Number
from rich import box
from rich.console import Console, ConsoleOptions, RenderableType
from rich.progress import Progress, ProgressColumn, Task
from rich.progress_bar import ProgressBar
from rich.segment import Segment
from rich.table import Table
from rich.text import Text

from codeit.config import MAX_TEMPERATURE, MAX_THREADS, MIN_TEMPERATURE
from codeit.report.printable import printable
from codeit.settings import MAX_INTEGER, Settings, describe

if TYPE_CHECKING:
    from codeit.parallel import Cluster

USER_ERROR, INTERRUPTED = 2, 130
"""Exit codes."""
_LARGEST_NUMBER = 10**9  # 31 years in seconds; Python cannot wait for more than 292 years


class PrintableConsole(Console):
    """A console that prints ids and names of files as `printable` text, whatever they contain."""

    def render_str(self, text: str, **options: Any) -> Text:
        return super().render_str(printable(text), **options)

    def render(self, renderable: RenderableType, options: ConsoleOptions | None = None) -> Iterator[Segment]:
        for segment in super().render(renderable, options):
            text, style, control = segment
            yield segment if control or text.isprintable() else Segment(printable(text), style)


console = PrintableConsole(highlight=False, emoji=False)
"""stdout, for results."""
messages = PrintableConsole(stderr=True, highlight=False, emoji=False)
"""stderr, for everything else."""


def _integer(_: type, tokens: Sequence[Token]) -> int:
    return int(tokens[0].value)  # cyclopts itself rounds 1.5 to 2


def _finite(_: type, tokens: Sequence[Token]) -> float:
    number = float(tokens[0].value)
    if not math.isfinite(number):
        raise ValueError("not a finite number")
    return number


def _path(_: type, tokens: Sequence[Token]) -> Path:
    if not tokens[0].value:  # such as an unset shell variable; Path would take it for this directory
        raise ValueError("an empty name")
    return Path(tokens[0].value)


def _texts(_: Any, tokens: Any) -> Any:
    """Return the values of options that match no parameter, as text by (nested) key."""
    if isinstance(tokens, dict):
        try:
            return {key: _texts(_, nested) for key, nested in tokens.items()}
        except RecursionError:
            raise ValueError("too many names in the name of an option") from None
    return tokens[0].value


PositiveInt = Annotated[int, Parameter(converter=_integer, validator=Number(gte=1, lte=MAX_INTEGER))]
NonNegativeInt = Annotated[int, Parameter(converter=_integer, validator=Number(gte=0, lte=MAX_INTEGER))]
Threads = Annotated[int, Parameter(converter=_integer, validator=Number(gte=0, lte=MAX_THREADS))]
"""A number of threads or processes; 0 uses every core."""
Temperature = Annotated[
    float, Parameter(converter=_finite, validator=Number(gte=MIN_TEMPERATURE, lte=MAX_TEMPERATURE))
]
PositiveFloat = Annotated[float, Parameter(converter=_finite, validator=Number(gt=0, lte=_LARGEST_NUMBER))]
Name = Annotated[Path, Parameter(converter=_path)]
"""The name of a file, a directory or a configuration."""
TaskSet = Annotated[str, Parameter(name="--tasks")]
"""A data set's name, a directory of ARC JSON files, or a (Kaggle) JSON file."""
ClusterAddress = Annotated[str | None, Parameter(name="--cluster")]
"""The address of the Ray cluster to use: auto, local or HOST:PORT."""
Overrides = Annotated[Any, Parameter(show=False, converter=_texts)]
"""Settings by section and name, from options such as `--policy.init random`."""


@contextmanager
def connected(address: str | None, cpus: int = 0) -> Iterator[Cluster | None]:
    """Connect to the cluster at the address of `--cluster`, if given: see `cluster.connect`."""
    if address is None:
        yield None
        return
    from codeit.cluster import connect

    with connect(address, cpus) as cluster:
        yield cluster


def user_error(message: str) -> int:
    """Print a user error and return its exit code."""
    say(f"codeit: {message}", style="red")
    return USER_ERROR


def say(message: str, style: str | None = None) -> None:
    """Print a message to stderr: as one line, or on a terminal wrapped between words."""
    messages.print(message, style=style, markup=False, soft_wrap=not messages.is_terminal)


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
    """Return a table for right-aligned figures whose headers wrap only at spaces."""
    table = Table(title=title, box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False)
    for column in columns:
        table.add_column(column, justify="right", min_width=max(map(len, column.split()), default=0))
    return table


class _ProgressLine(ProgressColumn):
    """A whole line of a progress display, fitted to the width of the terminal.

    It shows the description, a bar, how much is done, and the time left. On a narrow terminal it
    leaves out first the bar, then the time, then the end of the description.
    """

    def render(self, task: Task) -> Table:
        width = messages.width - len("^C ")  # a terminal writes ^C after the line
        description, figures = Text(task.description), _done(task)
        if len(description) + len(figures + _time(task)) < width:
            figures += _time(task)
        description.truncate(max(width - len(figures) - 1, 0), overflow="ellipsis")
        bar = min(width - len(description) - len(figures) - 2, _LONGEST_BAR)
        bars = []
        if bar >= _SHORTEST_BAR:
            total, time_now = task.total, task.get_time()  # without a total the bar pulses
            bars = [ProgressBar(total, _completed(task), bar, animation_time=time_now)]
        line = Table.grid(padding=(0, 1))
        line.add_row(description, *bars, figures)
        return line


_SHORTEST_BAR, _LONGEST_BAR = 4, 40  # cells


def _completed(task: Task) -> float:
    """Return how much of a progress bar's task is done: with the unit "s", the time that passed."""
    if task.fields["unit"] != "s":
        return task.completed
    return min(time.monotonic() - float(task.fields["started"]), task.total or math.inf)


def _done(task: Task) -> str:
    if task.total is None:
        return ""
    return f"{int(_completed(task)):,} of {math.ceil(task.total):,} {task.fields['unit']}".rstrip()


def _time(task: Task) -> str:
    """Return the time that a progress bar's task has left, or the time that it took."""
    if task.total is None or task.fields["unit"] == "s":
        return ""
    if task.finished or task.time_remaining is None:
        return f" in {_clock(task.elapsed or 0)}"
    return f", {_clock(task.time_remaining)} left"


def _clock(seconds: float) -> str:
    minutes, rest = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


class ProgressDisplay:
    """A progress bar on stderr. Where stderr is not a terminal, one line per phase."""

    def __init__(self, transient: bool = False) -> None:
        """A `transient` bar disappears at the end."""
        self._progress = Progress(
            _ProgressLine(),
            console=messages,
            disable=not messages.is_terminal,
            transient=transient,
            speed_estimate_period=600.0,  # some phases report less often than once a minute
        )
        self._bar = self._progress.add_task("loading", total=None, unit="")
        self._phase = ""

    def __enter__(self) -> Self:
        self._progress.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def stop(self) -> None:
        self._progress.stop()

    def phase(self, description: str, done: int, total: int) -> None:
        """Show that `done` of `total` units are done. The clock restarts with each phase."""
        if description != self._phase:
            self._phase = description
            self._progress.reset(self._bar, description=description, unit="")
            if not messages.is_terminal:
                say(f"{description} ({total:,})")
        self._progress.update(self._bar, completed=done, total=total)

    def status(self, text: str, done: float, total: float, unit: str = "", detail: str = "") -> None:
        """Show a changing text and `detail` beside the bar, and how many units are done.

        The unit "s" makes the bar a clock, which keeps running. Where stderr is not a terminal, print
        each new text as a line.
        """
        if text != self._phase:
            self._phase = text
            if not messages.is_terminal:
                say(text)
        self._progress.update(
            self._bar,
            description=text + detail,
            completed=done,
            total=total,
            unit=unit,
            started=time.monotonic() - done,
        )
