"""Blocks: rectangles of text that hold grids in a terminal, placed beside or below each other.

A cell of a grid is two characters wide, so that it is almost square. Where the terminal has
colour, cells are painted in 24-bit colour, which rich maps to what the terminal supports, and a
thin frame shows where a black grid ends. Elsewhere, as in a file or a pipe, cells are digits.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import groupby

from rich.console import Console
from rich.segment import Segment
from rich.style import Style

from codeit.report import PALETTE

CAPTION = Style(dim=True)
ARROW = Style(bold=True)
GAP = 3
"""Columns between two blocks."""
PLAIN = Style()
_CELL_STYLES = tuple(Style(bgcolor=colour) for colour in PALETTE)
_FRAME = Style(color="#707070")

Row = list[Segment]


class Block:
    """A rectangle of text: rows of segments, each `width` columns wide."""

    def __init__(self, rows: Sequence[Row], width: int) -> None:
        self.rows, self.width = [Segment.adjust_line_length(row, width) for row in rows], width

    def beside(self, other: Block, gap: int) -> Block:
        """Return this block with `other` to its right, aligned at the top."""
        height = max(len(self.rows), len(other.rows))
        left, right = self._padded(height), other._padded(height)
        rows = [[*a, Segment(" " * gap), *b] for a, b in zip(left, right, strict=True)]
        return Block(rows, self.width + gap + other.width)

    def above(self, other: Block) -> Block:
        """Return this block with `other` below it, aligned at the left."""
        return Block([*self.rows, *other.rows], max(self.width, other.width))

    def centred(self, height: int) -> Block:
        """Return this block moved down to the middle of `height` rows."""
        blank = [Segment(" " * self.width)]
        return Block([blank] * ((height - len(self.rows)) // 2) + self.rows, self.width)

    def _padded(self, height: int) -> list[Row]:
        return self.rows + [[Segment(" " * self.width)]] * (height - len(self.rows))


def has_colour(console: Console) -> bool:
    """Return whether the console shows colours. False for files and pipes, and if NO_COLOR is set."""
    return console.color_system is not None and not console.no_color


def grid_block(rows: Sequence[Sequence[int | None]], colour: bool, max_width: int) -> Block:
    """Draw a grid, with a frame if there is `colour`. A cell of None is not part of the grid."""
    if colour:
        cells = [[(PLAIN if cell is None else cell_style(cell), "") for cell in row] for row in rows]
        return painted_block(cells, max_width)
    return text_block([["" if cell is None else str(cell) for cell in row] for row in rows], max_width)


def text_block(rows: Sequence[Sequence[str]], max_width: int) -> Block:
    """Draw cells as text, in columns of equal width, with spaces between them if there is room."""
    widest = max(len(text) for row in rows for text in row)
    gap = " " if (widest + 1) * len(rows[0]) - 1 <= max_width else ""
    lines = [gap.join(text.rjust(widest) for text in row) for row in rows]
    return Block([[Segment(line)] for line in lines], len(lines[0]))


def painted_block(rows: Sequence[Sequence[tuple[Style, str]]], max_width: int) -> Block:
    """Draw cells in a style, with up to two characters in each, and a frame around them.

    Cells are two characters wide, or one if they would not fit; then only the last character is
    shown.
    """
    cell = 2 if 2 * len(rows[0]) + 2 <= max_width else 1
    width = cell * len(rows[0]) + 2
    left, right = Segment("▕", _FRAME), Segment("▏", _FRAME)
    painted = [[left, *_painted(row, cell), right] for row in rows]
    top, bottom = ([Segment(f" {edge * (width - 2)} ", _FRAME)] for edge in "▁▔")
    return Block([top, *painted, bottom], width)


def cell_style(colour: int) -> Style:
    """Return a cell's style. Numbers outside the palette, which occur, look like text."""
    return _CELL_STYLES[colour] if 0 <= colour < len(_CELL_STYLES) else PLAIN


def _painted(row: Sequence[tuple[Style, str]], cell: int) -> Iterator[Segment]:
    for style, equal in groupby(row, key=lambda look: look[0]):
        yield Segment("".join(text.rjust(cell)[-cell:] for _, text in equal), style)


def wrap(blocks: Sequence[Block], max_width: int) -> Iterator[Block]:
    """Fill rows with blocks from left to right, as words fill lines. Yield each row as a block."""
    row: Block | None = None
    for block in blocks:
        if row is None:
            row = block
        elif row.width + GAP + block.width <= max_width:
            row = row.beside(block, GAP)
        else:
            yield row
            row = block
    if row is not None:
        yield row


def segments(blocks: Iterable[Block]) -> Iterator[Segment]:
    """Yield the segments of blocks from top to bottom, with a blank line between two blocks."""
    for i, block in enumerate(blocks):
        if i:
            yield Segment.line()
        for row in block.rows:
            yield from row
            yield Segment.line()
