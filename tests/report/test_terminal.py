"""Grids and tasks in the terminal, with and without colour."""

from __future__ import annotations

import io
import re

import pytest
from rich.console import Console

from codeit.data.tasks import Task
from codeit.language import Grid
from codeit.report import PALETTE
from codeit.report.blocks import text_block
from codeit.report.terminal import GridView, PairsView, task_view


def drawn(view: object, width: int, colour: bool = False) -> list[str]:
    file = io.StringIO()
    Console(
        file=file, width=width, force_terminal=colour, color_system="truecolor" if colour else None
    ).print(view)
    return [line.rstrip() for line in file.getvalue().splitlines()]


def test_grid_without_colour_is_digits() -> None:
    assert drawn(GridView(Grid([[1, 2, 3], [4, 5, 6]])), 80) == ["1 2 3", "4 5 6"]
    assert drawn(GridView(Grid([[1, 2, 3], [4, 5, 6]])), 4) == ["123", "456"]


def test_cells_of_several_characters_share_a_width() -> None:
    def rows(width: int) -> list[str]:
        return [row[0].text for row in text_block([["", "10"], ["a2", "·"]], width).rows]

    assert rows(80) == ["   10", "a2  ·"]
    assert rows(4) == ["  10", "a2 ·"]


def test_grid_with_colour_has_painted_cells_and_a_frame() -> None:
    lines = drawn(GridView(Grid([[2, 2, 0]])), 80, colour=True)
    red, green, blue = (int(PALETTE[2][i : i + 2], 16) for i in (1, 3, 5))
    assert f"\x1b[48;2;{red};{green};{blue}m    \x1b[0m" in lines[1]
    assert "\x1b[48;2;0;0;0m  \x1b[0m" in lines[1]
    plain = [re.sub(r"\x1b\[[\d;]*m", "", line).rstrip() for line in lines]
    assert plain == [" ▁▁▁▁▁▁", "▕      ▏", " ▔▔▔▔▔▔"]


def test_pairs_are_side_by_side_if_the_terminal_is_wide_enough() -> None:
    pair = Grid([[1], [2]]), Grid([[3, 4, 5], [6, 7, 8], [9, 9, 9]])
    view = PairsView([pair, pair], ["a", "b"])
    assert drawn(view, 80) == [
        "a  2x1 → 3x3   b  2x1 → 3x3",
        "1   3 4 5      1   3 4 5",
        "2 → 6 7 8      2 → 6 7 8",
        "    9 9 9          9 9 9",
    ]
    assert drawn(view, 26) == [
        "a  2x1 → 3x3", "1   3 4 5", "2 → 6 7 8", "    9 9 9", "",
        "b  2x1 → 3x3", "1   3 4 5", "2 → 6 7 8", "    9 9 9",
    ]  # fmt: skip


def test_pair_that_is_too_wide_has_its_output_below() -> None:
    wide = Grid([[1, 2, 3, 4, 5, 6, 7, 8]])
    assert drawn(PairsView([(wide, wide)], ["a"]), 20)[1:] == ["1 2 3 4 5 6 7 8", "↓", "1 2 3 4 5 6 7 8"]


def test_task_view_shows_test_outputs_only_with_answers(training: dict[str, Task]) -> None:
    task = training["67a3c6ac"]
    assert drawn(task_view(task), 80)[-8:] == drawn(task_view(Task(task.id, task.train, task.test)), 80)[-8:]
    hidden, shown = ("\n".join(drawn(task_view(task, answers=answers), 80)) for answers in (False, True))
    output = task.test[0].output
    assert output is not None
    first_row = " ".join(map(str, output.tolist()[0]))
    assert first_row in shown.split("test[0]")[1]
    assert first_row not in hidden.split("test[0]")[1]
    assert "→ ?" in hidden


@pytest.mark.parametrize("width", [10, 33, 64, 80, 200])
@pytest.mark.parametrize("colour", [False, True])
def test_no_line_is_wider_than_the_terminal(evaluation: dict[str, Task], width: int, colour: bool) -> None:
    small, large = evaluation["00576224"], evaluation["0934a4d8"]
    for task in [small, large] if width >= 33 else [small]:
        for line in drawn(task_view(task), width, colour):
            assert len(re.sub(r"\x1b\[[\d;]*m", "", line)) <= width
