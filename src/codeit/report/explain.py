"""A program line by line in a terminal: what each variable looks like on each input."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import cycle
from string import ascii_letters

from rich.color import Color, blend_rgb
from rich.color_triplet import ColorTriplet
from rich.console import Console, ConsoleOptions, RenderResult
from rich.segment import Segment
from rich.style import Style
from rich.text import Text

from codeit.language import Budget, Grid, Program
from codeit.report import COLOUR_NAMES, PALETTE
from codeit.report.blocks import (
    CAPTION,
    GAP,
    PLAIN,
    Block,
    cell_style,
    cells_block,
    digits_block,
    grid_block,
    has_colour,
    lines,
    wrapped,
)
from codeit.report.pictures import Cells, Colour, Items, Patches, View, Words, caption, cells, views

_LINE = Style(bold=True)
_RIGHT, _WRONG = Style(color="green", bold=True), Style(color="red", bold=True)
_BEHIND = ColorTriplet(70, 70, 70)  # what the cells around a patch fade into
_TEXT_WIDTH = 44


class TraceView:
    """A program's trace as rich renders it.

    Each line is followed by what its variable looks like on each input. `pairs` are inputs with the output
    wanted, None where it is not known; `captions` name them.
    """

    def __init__(
        self,
        program: Program,
        pairs: Sequence[tuple[Grid, Grid | None]],
        captions: Sequence[str],
        budget: Budget | None = None,
    ) -> None:
        self.program, self.pairs, self.captions, self.budget = program, list(pairs), list(captions), budget

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        draw = _Drawing(has_colour(console), options.max_width)
        of_input = [views(self.program, input, self.budget) for input, _ in self.pairs]
        outcomes = [self.program.run(input, self.budget) for input, _ in self.pairs]
        yield _heading("I")
        yield from self._row(draw, [draw.view(cells(input)) for input, _ in self.pairs])
        for number, line in enumerate(self.program.lines):
            yield Text()
            yield _heading(str(line))
            blocks: list[Block | None] = []
            for k, (drawn, outcome) in enumerate(zip(of_input, outcomes, strict=True)):
                block = draw.view(drawn[number]) if number < len(drawn) else None
                if number == len(self.program) - 1 and outcome.grid is not None and block:
                    block = self._judged(draw, block, outcome.grid, self.pairs[k][1])
                elif outcome.grid is None and number == outcome.line - 1:
                    block = draw.text(f"✗ ends: {outcome.message}", _WRONG)
                blocks.append(block)
            shown = [drawn[number] for drawn in of_input if number < len(drawn)]
            if len(shown) == len(blocks) and isinstance(shown[0], Words) and len(set(shown)) == 1:
                yield from lines([draw.view(shown[0])])
            else:
                yield from self._row(draw, blocks)

    def _row(self, draw: _Drawing, blocks: Sequence[Block | None]) -> RenderResult:
        named = [
            draw.text(name, CAPTION).above(block)
            for name, block in zip(self.captions, blocks, strict=True)
            if block is not None
        ]
        yield from lines(wrapped(named, draw.width))

    def _judged(self, draw: _Drawing, block: Block, output: Grid, wanted: Grid | None) -> Block:
        if wanted is None:
            return block
        if output == wanted:
            return block.above(draw.text("✓ right", _RIGHT))
        both = block.above(draw.text("✗ wrong", _WRONG))
        expected = draw.view(cells(wanted)).above(draw.text("wanted", CAPTION))
        return (
            both.beside(expected, GAP)
            if both.width + GAP + expected.width <= draw.width
            else both.above(expected)
        )


class _Drawing:
    """Pictures as blocks, with or without colour, in so many columns."""

    def __init__(self, colour: bool, width: int) -> None:
        self.colour, self.width = colour, width

    def view(self, view: View) -> Block:
        match view:
            case Words():
                return self.text(view.text)
            case Colour():
                name = self.text(f"{view.number} {COLOUR_NAMES[view.number]}")
                return (
                    Block([[Segment("  ", cell_style(view.number))]], 2).beside(name, 1)
                    if self.colour
                    else name
                )
            case Cells():
                block = grid_block(view.rows, self.colour, self.width)
            case Patches():
                block = self._patches(view)
            case Items():
                return self._items(view)
        return block.above(self.text(caption(view), CAPTION))

    def text(self, text: str, style: Style = PLAIN) -> Block:
        width = min(_TEXT_WIDTH, self.width)
        rows = Text(text).wrap(Console(width=width), width)
        return Block([[Segment(row.plain, style)] for row in rows], max(len(row.plain) for row in rows))

    def _patches(self, view: Patches) -> Block:
        """Cells of a patch stand out: in brackets, or with the patch's letter if there are several."""
        letters = ["[]"] if view.single else [letter for letter, _ in zip(cycle(ascii_letters), view.patches)]
        if not self.colour:
            texts = [["." if cell is None else "·" for cell in row] for row in view.on]
            for letter, patch in zip(letters, view.patches, strict=True):
                for k, (i, j) in enumerate(patch.places):
                    mark = "#" if view.single else letter
                    texts[i][j] = mark if patch.colours is None else str(patch.colours[k])
            return digits_block(texts, self.width)
        looks = [[(PLAIN if cell is None else _faded(cell), "") for cell in row] for row in view.on]
        for letter, patch in zip(letters, view.patches, strict=True):
            for k, (i, j) in enumerate(patch.places):
                under = view.on[i][j] if patch.colours is None else patch.colours[k]
                style = PLAIN if under is None else cell_style(under)
                looks[i][j] = (style + Style(color="black" if under in _LIGHT else "white"), letter)
        return cells_block(looks, self.width)

    def _items(self, view: Items) -> Block:
        opening, closing = "()" if view.ordered else "{}"
        blocks = [self.view(item) for item in view.items]
        if view.more:
            blocks.append(self.text(f"and {view.more} more", CAPTION))
        whole = Block([], 0)
        for row in wrapped(blocks, self.width):
            whole = whole.above(row)
        return self.text(opening).above(whole).above(self.text(closing))


_LIGHT = {3, 4, 5, 7, 8}


def _faded(colour: int) -> Style:
    own = Color.parse(PALETTE[colour]).triplet if 0 <= colour < len(PALETTE) else _BEHIND
    assert own is not None
    return Style(bgcolor=Color.from_triplet(blend_rgb(_BEHIND, own, 0.25)))


def _heading(line: str) -> Text:
    return Text(line, style=_LINE)
