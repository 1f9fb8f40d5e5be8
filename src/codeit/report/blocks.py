"""Rectangles of text in a terminal: grids, and what is put beside or below them.

A cell is two characters wide, about a square. Where the terminal has colour, cells are painted (in 24-bit
colour, which rich maps to what the terminal knows) and a thin frame shows where a black grid ends; elsewhere,
as in a file or a pipe, the digits are printed.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import groupby

from rich.console import Console
from rich.segment import Segment
from rich.style import Style

from codeit.report import PALETTE

CAPTION = Style(dim=True)
ARROW = Style(bold=True)
GAP = 3  # columns between two blocks
PLAIN = Style()
_CELLS = tuple(Style(bgcolor=colour) for colour in PALETTE)
_FRAME = Style(color="#707070")

Row = list[Segment]


class Block:
    """A rectangle of text: rows of segments, each `width` columns wide."""

    def __init__(self, rows: Sequence[Row], width: int) -> None:
        self.rows, self.width = [Segment.adjust_line_length(row, width) for row in rows], width

    def beside(self, other: Block, gap: int) -> Block:
        height = max(len(self.rows), len(other.rows))
        left, right = self._padded(height), other._padded(height)
        rows = [[*a, Segment(" " * gap), *b] for a, b in zip(left, right, strict=True)]
        return Block(rows, self.width + gap + other.width)

    def above(self, other: Block) -> Block:
        return Block([*self.rows, *other.rows], max(self.width, other.width))

    def centred(self, height: int) -> Block:
        blank = [Segment(" " * self.width)]
        return Block([blank] * ((height - len(self.rows)) // 2) + self.rows, self.width)

    def _padded(self, height: int) -> list[Row]:
        return self.rows + [[Segment(" " * self.width)]] * (height - len(self.rows))


def has_colour(console: Console) -> bool:
    return console.color_system is not None and not console.no_color


def grid_block(rows: Sequence[Sequence[int | None]], colour: bool, max_width: int) -> Block:
    """A grid, framed where there is colour; None for no cell."""
    looks = [[(PLAIN if cell is None else cell_style(cell), "") for cell in row] for row in rows]
    texts = [["." if cell is None else str(cell) for cell in row] for row in rows]
    return cells_block(looks, max_width) if colour else digits_block(texts, max_width)


def digits_block(rows: Sequence[Sequence[str]], max_width: int) -> Block:
    """Cells as characters, with spaces between if there is room."""
    widest = max(len(text) for row in rows for text in row)
    between = " " if widest > 1 or 2 * len(rows[0]) - 1 <= max_width else ""
    texts = [between.join(text.rjust(widest) for text in row) for row in rows]
    return Block([[Segment(text)] for text in texts], len(texts[0]))


def cells_block(rows: Sequence[Sequence[tuple[Style, str]]], max_width: int) -> Block:
    """Cells painted in a style, with up to two characters in each, and framed.

    They are two characters wide, or one if they would not fit; then the last character stays.
    """
    cell = 2 if 2 * len(rows[0]) + 2 <= max_width else 1
    width = cell * len(rows[0]) + 2
    left, right = Segment("▕", _FRAME), Segment("▏", _FRAME)
    painted = [[left, *_painted(row, cell), right] for row in rows]
    top, bottom = ([Segment(f" {edge * (width - 2)} ", _FRAME)] for edge in "▁▔")
    return Block([top, *painted, bottom], width)


def cell_style(colour: int) -> Style:
    """A cell's style; of a number that is no colour, as programs may make one on the way, that of text."""
    return _CELLS[colour] if 0 <= colour < len(_CELLS) else PLAIN


def _painted(row: Sequence[tuple[Style, str]], cell: int) -> Iterator[Segment]:
    for style, same in groupby(row, key=lambda look: look[0]):
        yield Segment("".join(text.rjust(cell)[-cell:] for _, text in same), style)


def wrapped(blocks: Sequence[Block], max_width: int) -> Iterator[Block]:
    """Fill rows of blocks from left to right, as words fill lines."""
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


def lines(blocks: Sequence[Block] | Iterator[Block]) -> Iterator[Segment]:
    """Blocks from top to bottom, a blank line between two."""
    for i, block in enumerate(blocks):
        if i:
            yield Segment.line()
        for row in block.rows:
            yield from row
            yield Segment.line()
