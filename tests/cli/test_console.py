"""Progress displays and tables at 80 columns."""

from __future__ import annotations

import io
from types import SimpleNamespace
from typing import Any, cast

import pytest
from rich.console import Console
from rich.table import Table

import codeit.cli.console
from codeit.cli.console import ProgressDisplay, dotted
from codeit.cli.run import RunDisplay, summary_table
from codeit.cli.search import curve_table
from codeit.evaluation.scoring import Score


def render(table: Table) -> list[str]:
    console = Console(file=io.StringIO(), width=80, highlight=False)
    console.print(table)
    return cast(io.StringIO, console.file).getvalue().splitlines()


def columns(line: str) -> list[str]:
    return line.split()


@pytest.fixture
def terminal(monkeypatch: pytest.MonkeyPatch) -> Console:
    """Replace stderr by a terminal of 80 columns."""
    console = Console(file=io.StringIO(), width=80, force_terminal=True, highlight=False, color_system=None)
    monkeypatch.setattr(codeit.cli.console, "messages", console)
    return console


@pytest.fixture
def pipe(monkeypatch: pytest.MonkeyPatch) -> io.StringIO:
    """Replace stderr by a pipe."""
    file = io.StringIO()
    monkeypatch.setattr(codeit.cli.console, "messages", Console(file=file, force_terminal=False))
    return file


def line_of(display: ProgressDisplay) -> str:
    """Return the line that a display shows on a terminal of 80 columns."""
    lines = render(cast(Table, display._progress.get_renderable()))
    (line,) = (line for line in lines if line.strip())
    return line.rstrip()


METRICS = {
    "cumulative_top3": 123.0,
    "cumulative_top2": 112.0,
    "cumulative_top3_without_leak": 110.0,
    "policy_top3": 100.0,
    "share_parse": 1.0,
    "share_run": 1.0,
    "share_new": 1.0,
    "loss": 10.123,
    "buffer_expert": 400_000.0,
    "buffer_policy": 99_999.0,
    "seconds_sample": 123_456.0,
}


def test_summary_of_a_run_fits_into_80_columns() -> None:
    metrics = {100: METRICS, 101: {"cumulative_top3": 124.0, "cumulative_top2": 1.0} | METRICS}
    directory: Any = SimpleNamespace(database=SimpleNamespace(metrics=lambda: metrics))
    lines = render(summary_table(directory))
    assert not [line for line in lines if "…" in line or len(line) > 80]
    assert columns(lines[-2]) == [
        *("100", "123", "100", "100%", "100%", "100%", "10.123", "499999", "123456"),
    ]
    assert "123 tasks solved (top 3); 112 at top 2; 110 without leaked tasks" in lines[0]


def test_curve_of_a_search_fits_into_80_columns() -> None:
    score = Score(
        tasks=400,
        solved_top3=123,
        solved_top2=112,
        solved_top3_without_leak=110,
        solved_top2_without_leak=109,
        solved_demonstrations=145,
        without_outputs=0,
        programs=960_000,
        invalid=0,
        solved=(),
        leaked=(),
    )
    lines = render(curve_table({600: score, 9_600_000: score}, "programs"))
    assert not [line for line in lines if "…" in line or len(line) > 80]
    assert columns(lines[-1]) == ["9,600,000", "123", "112", "110", "145"]


@pytest.mark.parametrize(
    ("text", "detail"),
    [
        ("00576224: 2 of 2 demonstrations solved", ""),
        ("00576224: 2 of 2 demonstrations solved", ", policy turn"),
    ],
)
def test_progress_line_fits_into_80_columns(terminal: Console, text: str, detail: str) -> None:
    display = ProgressDisplay()
    for done in (0, 21_634):
        display.status(text, done, 100_000, "tried", detail)
    line = line_of(display)
    assert line.startswith(text + detail) and "21,634 of 100,000 tried" in line
    assert "…" not in line and len(line) < 80


def test_progress_line_of_a_phase_shows_the_time_left(
    terminal: Console, monkeypatch: pytest.MonkeyPatch
) -> None:
    display, now = ProgressDisplay(), 1000.0
    for clock in ((display._progress, "get_time"), (display._progress.tasks[0], "_get_time")):
        monkeypatch.setattr(*clock, lambda: now)
    display.phase("iteration 10 of 100: evaluate mutants", 0, 19_200)
    for done in (100, 1000, 2000):
        now += 60
        display.phase("iteration 10 of 100: evaluate mutants", done, 19_200)
    line = line_of(display)
    assert line.startswith("iteration 10 of 100: evaluate mutants") and "━" in line
    assert line.endswith("2,000 of 19,200, 18:07 left") and len(line) < 80
    display.phase("iteration 10 of 100: evaluate mutants", 19_200, 19_200)
    assert line_of(display).endswith("19,200 of 19,200 in 3:00")


def test_long_description_is_cut_before_the_figures(terminal: Console) -> None:
    display = ProgressDisplay()
    display.status("a" * 70, 5, 10, "tried")
    assert line_of(display).endswith("aaa… 5 of 10 tried")


def test_clock_of_a_display_keeps_running(terminal: Console, monkeypatch: pytest.MonkeyPatch) -> None:
    now = 1000.0
    monkeypatch.setattr("codeit.cli.console.time.monotonic", lambda: now)
    display = ProgressDisplay()
    display.status("solving", 2.5, 60, "s")
    assert line_of(display).endswith("2 of 60 s")
    now += 10
    assert line_of(display).endswith("12 of 60 s")
    now += 100
    assert line_of(display).endswith("60 of 60 s")


def test_pipe_receives_a_line_per_phase_and_per_text(pipe: io.StringIO) -> None:
    with ProgressDisplay() as display:
        for done in range(3):
            display.phase("mutate", done, 19_200)
        for tried in range(3):
            display.status("0 of 3 solved", tried, 9, "tried", f", {tried} tried")
        display.status("1 of 3 solved", 9, 9, "tried")
    assert pipe.getvalue() == "mutate (19,200)\n0 of 3 solved\n1 of 3 solved\n"


def test_line_of_an_iteration_estimates_the_time_left(
    pipe: io.StringIO, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = 1000.0
    monkeypatch.setattr("codeit.cli.run.time.monotonic", lambda: now)
    display = RunDisplay(iterations=3)
    for iteration in range(4):
        now += 600 if iteration < 2 else 20
        display.recorded(iteration, METRICS)
    left = [line.partition("seconds 123456")[2] for line in pipe.getvalue().splitlines()]
    assert left == ["", ", about 20 min left", ", about 20 s left", ""]


def test_dotted_flattens_nested_overrides() -> None:
    parsed = {"policy": {"d-model": "16", "init": "random"}, "evolution": {"weights": {"splice": "3"}}}
    assert dotted(parsed) == {
        "policy.d_model": "16",
        "policy.init": "random",
        "evolution.weights.splice": "3",
    }
