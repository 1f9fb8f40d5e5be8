"""`codeit run` and `codeit resume`."""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import App, Parameter
from rich.table import Table

from codeit.cli.console import (
    INTERRUPTED,
    ClusterAddress,
    Name,
    Overrides,
    ProgressDisplay,
    connected,
    console,
    dotted,
    figures_table,
    say,
    settings_help,
)
from codeit.cli.ranks import run_ranks
from codeit.cli.search import experts_of
from codeit.config import DataConfig, PolicyConfig, RunSettings
from codeit.policy import require_learn
from codeit.settings import find_config

if TYPE_CHECKING:
    from codeit.policy.distributed import Ranks
    from codeit.storage.run_directory import RunDirectory


def register(app: App) -> None:
    usage = "Usage: codeit run CONFIG [--out DIR] [--section.key value ...]"
    app.command(run, usage=usage, help_epilogue=settings_help(RunSettings))
    app.command(resume)


def run(
    config: Name, /, *, out: Name | None = None, cluster: ClusterAddress = None, **settings: Overrides
) -> int:
    """Run CodeIt in a directory of its own.

    The same command, or `codeit resume DIR`, continues a run that was stopped or killed.

    Parameters
    ----------
    config:
        A TOML file, or the name of a shipped configuration: codeit, laptop, smoke, paper,
        ablations/a1 to a6.
    out:
        The run's directory, created if needed: run.sqlite, config.toml, metrics.csv, curve.svg,
        solutions.jsonl, checkpoints and TensorBoard events. By default runs/ and the name of the
        configuration.
    cluster:
        A Ray cluster that samples, unless the policy is on a GPU here, and searches: auto (the
        running one, else a new one on this machine), local (a new one) or HOST:PORT. Results do not
        depend on it if its processors are of the same kind as here.
    """
    require_learn("codeit run")
    from codeit.storage.run_directory import RunDirectory

    def command(ranks: Ranks | None) -> int:
        directory = out or Path("runs") / find_config(config).stem
        whole = RunSettings.load(config, dotted(settings))
        refuse_unusable(directory, whole.data, whole.policy)
        return _finish(lambda: RunDirectory(directory, whole), cluster, ranks)

    return run_ranks(command)


def resume(directory: Annotated[Name, Parameter(name="DIR")], /, *, cluster: ClusterAddress = None) -> int:
    """Continue a run that was stopped or killed. It ends as an uninterrupted run would.

    Parameters
    ----------
    directory:
        The run's directory, as given to `codeit run --out`.
    cluster:
        As of `codeit run`; it may be another than before.
    """
    from codeit.storage.run_directory import RunDirectory

    require_learn("codeit resume")
    return run_ranks(partial(_finish, lambda: RunDirectory(directory), cluster))


def refuse_unusable(directory: Path, data: DataConfig, policy: PolicyConfig) -> None:
    """Raise an error for unusable tasks or an unusable policy, before a new directory records them."""
    if (directory / "config.toml").exists():  # its settings are compared when it is opened
        return
    from codeit.data.tasks import load_tasks
    from codeit.policy.model import Policy

    experts_of(load_tasks(data.train), data.train)
    load_tasks(data.test)
    Policy.create(policy, seed=0)


def _finish(open_directory: Callable[[], RunDirectory], cluster: str | None, ranks: Ranks | None) -> int:
    """Finish a run and display its progress and results; return the exit code."""
    with (
        connected(cluster) as machines,
        open_directory() as directory,
        RunDisplay(directory.settings.run.iterations) as display,
    ):
        try:
            from codeit.loop import Loop

            loop = Loop(directory, display, ranks, machines)
            if loop.leaked:
                say(f"in both training and test set: {', '.join(sorted(loop.leaked))}")
            loop.run()
        except KeyboardInterrupt:
            display.stop()
            directory.publish()
            say(f"stopped; finished work is kept. To continue: codeit resume {directory.path}")
            return INTERRUPTED
        display.stop()
        draw_curve(directory)
        console.print(summary_table(directory))
        console.print(f"run directory: {directory.path}", soft_wrap=True, markup=False)
    return 0


def draw_curve(directory: RunDirectory) -> None:
    """Write curve.svg, with the paper's figures if the tasks are the paper's."""
    from codeit.report.curve import PAPER_RUN, draw_run

    data = directory.settings.data
    is_paper = data.test == "arc-agi-1/evaluation" and not data.tasks
    draw_run(directory.path / "curve.svg", directory.database.metrics(), PAPER_RUN if is_paper else {})


class RunDisplay(ProgressDisplay):
    """A `loop.RunObserver` that shows a progress bar for each phase and a line for each iteration."""

    def __init__(self, iterations: int) -> None:
        super().__init__()
        self._iterations, self._started = iterations, time.monotonic()

    def progress(self, iteration: int, phase: str, done: int, total: int) -> None:
        self.phase(f"iteration {iteration} of {self._iterations}: {phase}", done, total)

    def recorded(self, iteration: int, metrics: dict[str, float]) -> None:
        row = ", ".join(f"{name} {value}" for name, value in _summary(metrics).items() if value)
        now = time.monotonic()
        seconds = (self._iterations - iteration) * (now - self._started)
        self._started = now
        left = f"{seconds / 60:.0f} min" if seconds >= 90 else f"{seconds:.0f} s"
        known = iteration > 0 and seconds > 0  # the time of iteration 0 does not predict others
        say(f"iteration {iteration}: {row}{f', about {left} left' if known else ''}")


def _summary(metrics: dict[str, float]) -> dict[str, str]:
    """Return the metrics of an iteration that a table shows, as text; "" for those not recorded."""

    def text(form: str, name: str) -> str:
        return form.format(metrics[name]) if name in metrics else ""

    buffer = sum(value for name, value in metrics.items() if name.startswith("buffer_"))
    seconds = sum(value for name, value in metrics.items() if name.startswith("seconds_"))
    return {
        "solved": text("{:.0f}", "cumulative_top3"),
        "by policy": text("{:.0f}", "policy_top3"),
        "parse": text("{:.0%}", "share_parse"),
        "run": text("{:.0%}", "share_run"),
        "new": text("{:.0%}", "share_new"),
        "loss": text("{:.3f}", "loss"),
        "buffer": f"{buffer:.0f}",
        "seconds": f"{seconds:.0f}",
    }


def summary_table(directory: RunDirectory) -> Table:
    """Return a table with a row per iteration."""
    metrics = directory.database.metrics()
    last = list(metrics.values())[-1]
    title = (
        f"{last['cumulative_top3']:.0f} tasks solved (top 3); {last['cumulative_top2']:.0f} at top 2; "
        f"{last['cumulative_top3_without_leak']:.0f} without leaked tasks"
    )
    table = figures_table("iteration", *_summary({}), title=title)
    for iteration, row in metrics.items():
        table.add_row(str(iteration), *_summary(row).values())
    return table
