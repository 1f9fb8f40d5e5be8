"""Grids and tasks drawn in a terminal, with rich."""

from __future__ import annotations

from collections.abc import Sequence

from rich.console import Console, ConsoleOptions, Group, RenderResult
from rich.measure import Measurement
from rich.segment import Segment
from rich.text import Text

from codeit.data.tasks import Task
from codeit.language import Grid
from codeit.report.blocks import ARROW, CAPTION, Block, grid_block, has_colour, lines, wrapped


class GridView:
    """One grid, as rich renders it: `console.print(GridView(grid))`."""

    def __init__(self, grid: Grid) -> None:
        self.grid = grid

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        yield from lines([grid_block(self.grid.tolist(), has_colour(console), options.max_width)])

    def __rich_measure__(self, console: Console, options: ConsoleOptions) -> Measurement:
        width = grid_block(self.grid.tolist(), has_colour(console), options.max_width).width
        return Measurement(width, width)


class PairsView:
    """Pairs of grids, each drawn input → output, side by side as far as the terminal is wide.

    `captions` names each pair; an output of None is drawn as a question mark. A pair too wide for the
    terminal is drawn with its output below its input, and a grid too wide with one character a cell.
    """

    def __init__(self, pairs: Sequence[tuple[Grid, Grid | None]], captions: Sequence[str]) -> None:
        self.pairs, self.captions = list(pairs), list(captions)

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        colour, width = has_colour(console), options.max_width
        blocks = [
            _pair_block(caption, input, output, colour, width)
            for caption, (input, output) in zip(self.captions, self.pairs, strict=True)
        ]
        yield from lines(wrapped(blocks, width))


def task_view(task: Task, *, answers: bool = False) -> Group:
    """A task as rich renders it: its demonstrations, then its tests; test outputs only if `answers`."""
    tests = [(pair.input, pair.output if answers else None) for pair in task.test]
    return Group(
        Text(task.id, style="bold"),
        PairsView(task.train, [f"train[{i}]" for i in range(len(task.train))]),
        Text(),
        PairsView(tests, [f"test[{i}]" for i in range(len(tests))]),
    )


def _pair_block(caption: str, input: Grid, output: Grid | None, colour: bool, max_width: int) -> Block:
    left = grid_block(input.tolist(), colour, max_width)
    right = Block([[Segment("?", ARROW)]], 1)
    if output is not None:
        right = grid_block(output.tolist(), colour, max_width)
    if left.width + right.width + 3 <= max_width:
        height = max(len(left.rows), len(right.rows))
        arrow = Block([[Segment("→", ARROW)]], 1)
        pair = left.centred(height).beside(arrow.centred(height), 1).beside(right.centred(height), 1)
    else:
        pair = left.above(Block([[Segment("↓", ARROW)]], 1)).above(right)
    size = f"{caption}  {_size(input)} → {'?' if output is None else _size(output)}"
    return Block([[Segment(size, CAPTION)]], len(size)).above(pair)


def _size(grid: Grid) -> str:
    height, width = grid.shape
    return f"{height}x{width}"
