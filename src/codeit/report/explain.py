"""A program's trace in a terminal: what each line gives on each input."""

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
    grid_block,
    has_colour,
    painted_block,
    segments,
    text_block,
    wrap,
)
from codeit.report.pictures import Cells, Colour, Items, Patches, View, Words, caption, cells, views

_HEADING = Style(bold=True)
_RIGHT, _WRONG = Style(color="green", bold=True), Style(color="red", bold=True)
_FADED = ColorTriplet(70, 70, 70)  # the colour into which the cells around a patch are blended
_LIGHT = {3, 4, 5, 7, 8}  # colours on which black text is readable
_MAX_TEXT_WIDTH = 44
_OUTSIDE, _NO_COLOUR = "·", "#"
_PLAIN_KEY = f"Key: {_OUTSIDE} outside, {_NO_COLOUR} place, a2 cell of object a with colour 2"


class TraceView:
    """A program's trace, for rich to print.

    Each line of the program is followed by a picture of its variable on each input. `pairs` holds
    inputs with the expected output, or None where it is unknown; `captions` names them.
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
        pen = _Pen(has_colour(console), options.max_width)
        traces = [views(self.program, grid, self.budget) for grid, _ in self.pairs]
        outcomes = [self.program.run(grid, self.budget) for grid, _ in self.pairs]
        if not pen.colour and any(isinstance(view, Patches) for trace in traces for view in trace):
            yield Text(_PLAIN_KEY, style=CAPTION)
            yield Text()
        yield Text("I", style=_HEADING)
        yield from self._row(pen, [pen.draw(cells(grid)) for grid, _ in self.pairs])
        for number, line in enumerate(self.program.lines):
            yield Text()
            yield Text(str(line), style=_HEADING)
            blocks: list[Block | None] = []
            for k, (trace, outcome) in enumerate(zip(traces, outcomes, strict=True)):
                block = pen.draw(trace[number]) if number < len(trace) else None
                if number == len(self.program) - 1 and outcome.grid is not None and block:
                    block = self._compared(pen, block, outcome.grid, self.pairs[k][1])
                elif outcome.grid is None and number == outcome.line - 1:
                    block = pen.text(f"✗ error: {outcome.message}", _WRONG)
                blocks.append(block)
            shown = [trace[number] for trace in traces if number < len(trace)]
            if len(shown) == len(blocks) and isinstance(shown[0], Words) and len(set(shown)) == 1:
                yield from segments([pen.draw(shown[0])])  # the same text on every input
            else:
                yield from self._row(pen, blocks)

    def _row(self, pen: _Pen, blocks: Sequence[Block | None]) -> RenderResult:
        captioned = [
            pen.text(name, CAPTION).above(block)
            for name, block in zip(self.captions, blocks, strict=True)
            if block is not None
        ]
        yield from segments(wrap(captioned, pen.width))

    def _compared(self, pen: _Pen, block: Block, output: Grid, expected: Grid | None) -> Block:
        """Return the block of an output with whether it is right and, if not, the expected one."""
        if expected is None:
            return block
        if output == expected:
            return block.above(pen.text("✓ right", _RIGHT))
        wrong = block.above(pen.text("✗ wrong", _WRONG))
        right = pen.draw(cells(expected)).above(pen.text("expected", CAPTION))
        fits = wrong.width + GAP + right.width <= pen.width
        return wrong.beside(right, GAP) if fits else wrong.above(right)


class _Pen:
    """Draws pictures as blocks, with or without colour, in a number of columns."""

    def __init__(self, colour: bool, width: int) -> None:
        self.colour, self.width = colour, width

    def draw(self, view: View) -> Block:
        match view:
            case Words():
                return self.text(view.text)
            case Colour():
                name = self.text(f"{view.number} {COLOUR_NAMES[view.number]}")
                swatch = Block([[Segment("  ", cell_style(view.number))]], 2)
                return swatch.beside(name, 1) if self.colour else name
            case Cells():
                block = grid_block(view.rows, self.colour, self.width)
            case Patches():
                block = self._painted_patches(view) if self.colour else self._plain_patches(view)
            case Items():
                return self._items(view)
        return block.above(self.text(caption(view), CAPTION))

    def text(self, text: str, style: Style = PLAIN) -> Block:
        width = min(_MAX_TEXT_WIDTH, self.width)
        rows = Text(text).wrap(Console(width=width), width)
        return Block([[Segment(row.plain, style)] for row in rows], max(len(row.plain) for row in rows))

    def _painted_patches(self, view: Patches) -> Block:
        """Draw patches on a faded grid. Their cells hold brackets, or a letter for each of several."""
        letters = ["[]"] if view.single else cycle(ascii_letters)
        looks = [[(PLAIN if cell is None else _faded(cell), "") for cell in row] for row in view.on]
        for letter, patch in zip(letters, view.patches, strict=False):
            for k, (i, j) in enumerate(patch.places):
                under = view.on[i][j] if patch.colours is None else patch.colours[k]
                style = PLAIN if under is None else cell_style(under)
                looks[i][j] = (style + Style(color="black" if under in _LIGHT else "white"), letter)
        return painted_block(looks, self.width)

    def _plain_patches(self, view: Patches) -> Block:
        """Draw patches as text, as `_PLAIN_KEY` explains, with "·" for cells of the grid outside them.

        A patch's cell is its colour, or "#" if it has none. Each of several patches also has a
        letter, before the colour; if the terminal is too narrow for both, only the letter is shown.
        """
        several = len(view.patches) > 1
        texts = [["" if cell is None else _OUTSIDE for cell in row] for row in view.on]
        for letter, patch in zip(cycle(ascii_letters), view.patches, strict=False):
            for k, (i, j) in enumerate(patch.places):
                colour = "" if patch.colours is None else str(patch.colours[k])
                texts[i][j] = letter + colour if several else colour or _NO_COLOUR
        block = text_block(texts, self.width)
        if several and block.width > self.width:
            return text_block([[text[:1] for text in row] for row in texts], self.width)
        return block

    def _items(self, view: Items) -> Block:
        opening, closing = "()" if view.ordered else "{}"
        blocks = [self.draw(item) for item in view.items]
        if view.more:
            blocks.append(self.text(f"and {view.more} more", CAPTION))
        inside = Block([], 0)
        for row in wrap(blocks, self.width):
            inside = inside.above(row)
        return self.text(opening).above(inside).above(self.text(closing))


def _faded(colour: int) -> Style:
    unfaded = Color.parse(PALETTE[colour]).triplet if 0 <= colour < len(PALETTE) else _FADED
    assert unfaded is not None
    return Style(bgcolor=Color.from_triplet(blend_rgb(_FADED, unfaded, 0.25)))
