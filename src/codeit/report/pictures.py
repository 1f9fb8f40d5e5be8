"""What the values of a program look like, whatever they are drawn with.

A grid is its cells; sets of places and objects lie on the grid that they come from; numbers, colours, truth
values and functions are a few words; of other containers the first items are shown, one by one.
`report.terminal` and the pages draw these.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any, TypeGuard

from codeit.data.tasks import COLOURS
from codeit.language import Budget, Grid, Program, Step

Row = tuple[int | None, ...]
Place = tuple[int, int]

MOST_SIDE = 60  # of a picture, in cells
MOST_ITEMS = 12  # of a container
_LONGEST = 300  # of a text, in characters
_LONGEST_CAPTURED = 24  # of a value in a function's text

_COLOURS_OUT = {"mostcolor", "leastcolor", "color", "index", "palette"}
_COLOURS_IN = {
    "recolor": (0,), "fill": (1,), "underfill": (1,), "canvas": (0,), "replace": (1, 2), "switch": (1, 2),
    "ofcolor": (1,), "colorcount": (1,), "colorfilter": (1,), "cellwise": (2,),
}  # fmt: skip
"""Primitives that give a colour, and the places of their arguments where others take one."""


@dataclass(frozen=True)
class Words:
    """A value that its text says: a number, a truth value, a pair, a function."""

    text: str


@dataclass(frozen=True)
class Colour:
    """A number that the program uses as a colour."""

    number: int


@dataclass(frozen=True)
class Cells:
    """A grid. `shape` is its own, of which `rows` may be the top left part alone."""

    rows: tuple[Row, ...]
    shape: Place


@dataclass(frozen=True)
class Patch:
    """Places, counted from the picture's top left, in order; and their colours, if it is an object."""

    places: tuple[Place, ...]
    colours: tuple[int, ...] | None


@dataclass(frozen=True)
class Patches:
    """Sets of places or objects on a grid; None for a cell outside it, where a patch reaches beyond.

    `single` for one patch as such, and not a container with one patch.
    """

    on: tuple[Row, ...]
    patches: tuple[Patch, ...]
    single: bool
    ordered: bool = False


@dataclass(frozen=True)
class Items:
    """The first items of a container, and how many more there are."""

    items: tuple[View, ...]
    more: int
    ordered: bool


View = Words | Colour | Cells | Patches | Items


def views(program: Program, grid: Grid, budget: Budget | None = None) -> list[View]:
    """What each line's variable looks like when the program runs on `grid`, up to where the run ends."""
    colours = colour_variables(program)
    canvases: dict[str, tuple[Row, ...]] = {"I": _rows(grid)}  # by variable, the grid that it comes from
    found: list[View] = []
    for line, step in zip(program.lines, program.trace(grid, budget), strict=False):
        canvas = next((canvases[name] for name in line[2] if name in canvases), canvases["I"])
        view = _view_of(step, canvas, canvases["I"], step.name in colours)
        canvases[step.name] = view.rows if isinstance(view, Cells) else canvas
        found.append(view)
    return found


def cells(grid: Grid) -> Cells:
    """A grid as it is."""
    return Cells(_rows(grid), grid.shape)


def caption(view: Cells | Patches) -> str:
    """A picture in a few words: its size, or what lies on it."""
    if isinstance(view, Cells):
        size = "{}x{}".format(*view.shape)
        return size if view.shape == (len(view.rows), len(view.rows[0])) else f"{size}, its top left"
    coloured = view.patches[0].colours is not None
    count = sum(len(patch.places) for patch in view.patches)
    inside = f"{count} {'cell' if coloured else 'place'}{'s' * (count != 1)}"
    if view.single:
        return f"object, {inside}" if coloured else inside
    several = len(view.patches) != 1
    kind = f"object{'s' * several}" if coloured else f"set{'s' * several} of places"
    return f"{len(view.patches)} {kind}, {inside}"


def colour_variables(program: Program) -> set[str]:
    """The variables that hold colours, as far as one can see: they come from, or go where colours do."""
    found = {line.target for line in program.lines if line.function in _COLOURS_OUT}
    for line in program.lines:
        found |= {line.arguments[k] for k in _COLOURS_IN.get(line.function, ()) if k < len(line.arguments)}
    return found


def view(value: Any, canvas: Sequence[Row], *, colour: bool = False) -> View:
    """What a value, as `Step` has it, looks like; patches lie on `canvas`, which grows if they reach beyond.

    With `colour` a number is one.
    """
    if isinstance(value, str):
        return Words(_function_text(value))
    if _is_colour(value):
        return Colour(value) if colour else Words(str(value))
    if _is_grid(value) and (len(value[0]) != 2 or all(_is_colour(cell) for row in value for cell in row)):
        cut = tuple(tuple(row[:MOST_SIDE]) for row in value[:MOST_SIDE])
        return Cells(cut, (len(value), len(value[0])))
    patch = _patch(value)
    if patch and (drawn := _on(canvas, [patch])):
        return Patches(*drawn, single=True, ordered=True)
    if isinstance(value, (tuple, frozenset)) and value:
        numbers = not patch and all(isinstance(item, int) for item in value)
        if numbers and not (colour and all(map(_is_colour, value))):
            return Words(_text(value))
        ordered = isinstance(value, tuple)
        members = [member for item in value if (member := _patch(item))]
        if len(members) == len(value):
            members = members if ordered else sorted(members, key=lambda member: member.places)
            if drawn := _on(canvas, members):
                return Patches(*drawn, single=False, ordered=ordered)
        items = tuple(view(item, canvas, colour=colour) for item in islice(_in_order(value), MOST_ITEMS))
        return Items(items, len(value) - len(items), ordered)
    return Words(_text(value))


def _view_of(step: Step, canvas: Sequence[Row], input: Sequence[Row], colour: bool) -> View:
    """As `view`; a patch that does not lie on the canvas is drawn on the input, if it lies there."""
    drawn = view(step.value, canvas, colour=colour)
    if isinstance(drawn, Patches) and len(drawn.on) * len(drawn.on[0]) > len(canvas) * len(canvas[0]):
        on_input = view(step.value, input, colour=colour)
        if isinstance(on_input, Patches) and on_input.on == tuple(input):
            return on_input
    return drawn


def _rows(grid: Grid) -> tuple[Row, ...]:
    return tuple(map(tuple, grid.tolist()))


def _is_colour(value: Any) -> bool:
    return type(value) is int and 0 <= value < COLOURS


def _is_pair(value: Any) -> TypeGuard[Place]:
    return type(value) is tuple and len(value) == 2 and type(value[0]) is int and type(value[1]) is int


def _is_grid(value: Any) -> bool:
    return (
        isinstance(value, tuple)
        and len(value) > 0
        and all(isinstance(row, tuple) and len(row) == len(value[0]) > 0 for row in value)
        and all(type(cell) is int for row in value for cell in row)
    )


def _is_cell(value: Any) -> bool:
    return type(value) is tuple and len(value) == 2 and type(value[0]) is int and _is_pair(value[1])


def _patch(value: Any) -> Patch | None:
    """A set of places, an object, or a single cell, in order; None for anything else."""
    members = value if isinstance(value, frozenset) else [value] if _is_cell(value) else []
    if members and all(map(_is_pair, members)):
        return Patch(tuple(sorted(members)), None)
    if members and all(map(_is_cell, members)):
        ordered = sorted((place, colour) for colour, place in members)
        return Patch(tuple(place for place, _ in ordered), tuple(colour for _, colour in ordered))
    return None


def _on(canvas: Sequence[Row], patches: Sequence[Patch]) -> tuple[tuple[Row, ...], tuple[Patch, ...]] | None:
    """A canvas large enough for the patches, and them on it; None if it would be huge."""
    places = [place for patch in patches for place in patch.places]
    top, left = min(0, *(i for i, _ in places)), min(0, *(j for _, j in places))
    bottom = max(len(canvas), *(i + 1 for i, _ in places))
    right = max(len(canvas[0]), *(j + 1 for _, j in places))
    if max(bottom - top, right - left) > MOST_SIDE:
        return None

    if (top, left, bottom, right) == (0, 0, len(canvas), len(canvas[0])):
        return tuple(canvas), tuple(patches)

    def cell(i: int, j: int) -> int | None:
        return canvas[i][j] if 0 <= i < len(canvas) and 0 <= j < len(canvas[0]) else None

    on = tuple(tuple(cell(i, j) for j in range(left, right)) for i in range(top, bottom))
    return on, tuple(
        Patch(tuple((i - top, j - left) for i, j in patch.places), patch.colours) for patch in patches
    )


def _in_order(value: tuple[Any, ...] | frozenset[Any]) -> Sequence[Any]:
    """The items, of a set in an order that does not hang on Python's hashes."""
    if isinstance(value, tuple):
        return value
    return sorted(value, key=lambda item: (item, "") if isinstance(item, int) else (0, _text(item)))


def _function_text(text: str) -> str:
    """A function's text, its sets written as elsewhere, and captured values that are long cut short."""
    text = text.replace("frozenset({", "{").replace("})", "}").replace("frozenset()", "{}")
    kept: list[str] = []
    opened: list[int] = []  # places in `kept` of the brackets that are open
    for character in text:
        kept.append(character)
        if character in "({":
            opened.append(len(kept) - 1)
        elif character in ")}" and opened:
            start = opened.pop()
            inside = "".join(kept[start + 1 : -1])
            if len(inside) > _LONGEST_CAPTURED and not any(map(str.isalpha, inside)):
                kept[start + 1 : -1] = ["…"]
    return _text("".join(kept))


def _text(value: Any, room: int = _LONGEST) -> str:
    """A value as the language's users write it, cut where it is long."""
    if not isinstance(value, (tuple, frozenset)):
        text = str(value)
        return text if len(text) <= _LONGEST else text[: _LONGEST - 1] + "…"
    opening, closing = "()" if isinstance(value, tuple) else "{}"
    parts: list[str] = []
    for item in _in_order(value):
        if room <= 0:
            parts.append("…")
            break
        parts.append(_text(item, room))
        room -= len(parts[-1]) + 2
    return opening + ", ".join(parts) + closing
