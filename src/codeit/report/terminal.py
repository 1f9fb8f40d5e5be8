"""Grids and tasks drawn in a terminal, with rich.

A cell is two characters wide, about a square. Where the terminal has colour, cells are painted (in 24-bit
colour, which rich maps to what the terminal knows) and a thin frame shows where a black grid ends; elsewhere,
as in a file or a pipe, the digits are printed.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import groupby

from rich.console import Console, ConsoleOptions, Group, RenderResult
from rich.measure import Measurement
from rich.segment import Segment
from rich.style import Style
from rich.text import Text

from codeit.language import Grid
from codeit.report import PALETTE
from codeit.tasks import Task

_CELLS = tuple(Style(bgcolor=colour) for colour in PALETTE)
_FRAME = Style(color="#707070")
_ARROW = Style(bold=True)
_CAPTION = Style(dim=True)
_GAP = 3  # columns between two blocks

_Row = list[Segment]


class _Block:
    """A rectangle of text: rows of segments, each `width` columns wide."""

    def __init__(self, rows: Sequence[_Row], width: int) -> None:
        self.rows, self.width = [Segment.adjust_line_length(row, width) for row in rows], width

    def beside(self, other: _Block, gap: int) -> _Block:
        height = max(len(self.rows), len(other.rows))
        left, right = self._padded(height), other._padded(height)
        rows = [[*a, Segment(" " * gap), *b] for a, b in zip(left, right, strict=True)]
        return _Block(rows, self.width + gap + other.width)

    def above(self, other: _Block) -> _Block:
        return _Block([*self.rows, *other.rows], max(self.width, other.width))

    def centred(self, height: int) -> _Block:
        blank = [Segment(" " * self.width)]
        return _Block([blank] * ((height - len(self.rows)) // 2) + self.rows, self.width)

    def _padded(self, height: int) -> list[_Row]:
        return self.rows + [[Segment(" " * self.width)]] * (height - len(self.rows))


class GridView:
    """One grid, as rich renders it: `console.print(GridView(grid))`."""

    def __init__(self, grid: Grid) -> None:
        self.grid = grid

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        yield from _lines([_grid_block(self.grid, _has_colour(console), options.max_width)])

    def __rich_measure__(self, console: Console, options: ConsoleOptions) -> Measurement:
        width = _grid_block(self.grid, _has_colour(console), options.max_width).width
        return Measurement(width, width)


class PairsView:
    """Pairs of grids, each drawn input → output, side by side as far as the terminal is wide.

    `captions` names each pair; an output of None is drawn as a question mark. A pair too wide for the
    terminal is drawn with its output below its input, and a grid too wide with one character a cell.
    """

    def __init__(self, pairs: Sequence[tuple[Grid, Grid | None]], captions: Sequence[str]) -> None:
        self.pairs, self.captions = list(pairs), list(captions)

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        colour, width = _has_colour(console), options.max_width
        blocks = [
            _pair_block(caption, input, output, colour, width)
            for caption, (input, output) in zip(self.captions, self.pairs, strict=True)
        ]
        yield from _lines(_wrapped(blocks, width))


def task_view(task: Task, *, answers: bool = False) -> Group:
    """A task as rich renders it: its demonstrations, then its tests; test outputs only if `answers`."""
    tests = [(pair.input, pair.output if answers else None) for pair in task.test]
    return Group(
        Text(task.id, style="bold"),
        PairsView(task.train, [f"train[{i}]" for i in range(len(task.train))]),
        Text(),
        PairsView(tests, [f"test[{i}]" for i in range(len(tests))]),
    )


def _has_colour(console: Console) -> bool:
    return console.color_system is not None and not console.no_color


def _grid_block(grid: Grid, colour: bool, max_width: int) -> _Block:
    rows, columns = grid.tolist(), grid.shape[1]
    if not colour:
        between = " " if 2 * columns - 1 <= max_width else ""
        digits = [between.join(map(str, row)) for row in rows]
        return _Block([[Segment(row)] for row in digits], len(digits[0]))
    cell = 2 if 2 * columns + 2 <= max_width else 1
    width = cell * columns + 2
    left, right = Segment("▕", _FRAME), Segment("▏", _FRAME)
    painted = [[left, *_painted(row, cell), right] for row in rows]
    top, bottom = ([Segment(f" {edge * (width - 2)} ", _FRAME)] for edge in "▁▔")
    return _Block([top, *painted, bottom], width)


def _painted(row: Sequence[int], cell: int) -> Iterator[Segment]:
    for colour, same in groupby(row):
        yield Segment(" " * cell * len(list(same)), _CELLS[colour])


def _pair_block(caption: str, input: Grid, output: Grid | None, colour: bool, max_width: int) -> _Block:
    left = _grid_block(input, colour, max_width)
    right = _Block([[Segment("?", _ARROW)]], 1) if output is None else _grid_block(output, colour, max_width)
    if left.width + right.width + 3 <= max_width:
        height = max(len(left.rows), len(right.rows))
        arrow = _Block([[Segment("→", _ARROW)]], 1)
        pair = left.centred(height).beside(arrow.centred(height), 1).beside(right.centred(height), 1)
    else:
        pair = left.above(_Block([[Segment("↓", _ARROW)]], 1)).above(right)
    size = f"{caption}  {_size(input)} → {'?' if output is None else _size(output)}"
    return _Block([[Segment(size, _CAPTION)]], len(size)).above(pair)


def _size(grid: Grid) -> str:
    height, width = grid.shape
    return f"{height}x{width}"


def _wrapped(blocks: Sequence[_Block], max_width: int) -> Iterator[_Block]:
    """Fill rows of blocks from left to right, as words fill lines."""
    row: _Block | None = None
    for block in blocks:
        if row is None:
            row = block
        elif row.width + _GAP + block.width <= max_width:
            row = row.beside(block, _GAP)
        else:
            yield row
            row = block
    if row is not None:
        yield row


def _lines(blocks: Sequence[_Block] | Iterator[_Block]) -> Iterator[Segment]:
    for i, block in enumerate(blocks):
        if i:
            yield Segment.line()
        for row in block.rows:
            yield from row
            yield Segment.line()
