"""Grids and tasks drawn in a terminal, with rich."""

from __future__ import annotations

from collections.abc import Sequence

from rich.console import Console, ConsoleOptions, Group, RenderResult
from rich.measure import Measurement
from rich.segment import Segment
from rich.text import Text

from codeit.data.tasks import Task
from codeit.language import Grid
from codeit.report.blocks import ARROW, CAPTION, Block, grid_block, has_colour, segments, wrap
from codeit.report.printable import printable


class GridView:
    """One grid, for rich to print: `console.print(GridView(grid))`."""

    def __init__(self, grid: Grid) -> None:
        self.grid = grid

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        yield from segments([grid_block(self.grid.tolist(), has_colour(console), options.max_width)])

    def __rich_measure__(self, console: Console, options: ConsoleOptions) -> Measurement:
        width = grid_block(self.grid.tolist(), has_colour(console), options.max_width).width
        return Measurement(width, width)


class PairsView:
    """Pairs of grids, each drawn input → output, side by side as far as the terminal is wide.

    `captions` names each pair. An output of None is drawn as a question mark. A pair that is too
    wide for the terminal is drawn with its output below its input, and a grid that is too wide with
    one character per cell.
    """

    def __init__(self, pairs: Sequence[tuple[Grid, Grid | None]], captions: Sequence[str]) -> None:
        self.pairs, self.captions = list(pairs), list(captions)

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        colour, width = has_colour(console), options.max_width
        blocks = [
            _pair_block(caption, *pair, colour, width)
            for caption, pair in zip(self.captions, self.pairs, strict=True)
        ]
        yield from segments(wrap(blocks, width))


def task_view(task: Task, *, answers: bool = False) -> Group:
    """Return a task for rich to print: its demonstrations, then its tests.

    Test outputs are question marks unless `answers` is set.
    """
    tests = [(pair.input, pair.output if answers else None) for pair in task.test]
    return Group(
        Text(printable(task.id), style="bold"),
        PairsView(task.train, [f"train[{i}]" for i in range(len(task.train))]),
        Text(),
        PairsView(tests, [f"test[{i}]" for i in range(len(tests))]),
    )


def _pair_block(caption: str, left: Grid, right: Grid | None, colour: bool, max_width: int) -> Block:
    before = grid_block(left.tolist(), colour, max_width)
    after = Block([[Segment("?", ARROW)]], 1)
    if right is not None:
        after = grid_block(right.tolist(), colour, max_width)
    if before.width + after.width + 3 <= max_width:
        height = max(len(before.rows), len(after.rows))
        arrow = Block([[Segment("→", ARROW)]], 1)
        pair = before.centred(height).beside(arrow.centred(height), 1).beside(after.centred(height), 1)
    else:
        pair = before.above(Block([[Segment("↓", ARROW)]], 1)).above(after)
    title = f"{caption}  {_size(left)} → {'?' if right is None else _size(right)}"
    return Block([[Segment(title, CAPTION)]], len(title)).above(pair)


def _size(grid: Grid) -> str:
    height, width = grid.shape
    return f"{height}x{width}"
