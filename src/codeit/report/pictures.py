"""Pictures of the values in a program's trace, independent of what draws them.

A grid is shown as its cells. Objects and sets of places are shown on the grid that they come from.
Numbers, colours, truth values and functions are shown as text. Other containers are shown as their
first items, one by one. `report.explain` draws these pictures in a terminal, `report.sheet` writes
them for pages.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any, TypeGuard

from codeit.language import COLOURS, Budget, Grid, Program, Step

Row = tuple[int | None, ...]
Place = tuple[int, int]

MAX_SHOWN_SIDE = 60
"""Rows and columns of a picture. Larger grids are cut."""
MAX_SHOWN_ITEMS = 12
"""Items of a container that are shown."""
_MAX_TEXT = 300  # characters
_MAX_CAPTURED = 24  # characters of a value within a function's text

_COLOUR_RESULTS = {"mostcolor", "leastcolor", "color", "index", "palette"}
_COLOUR_ARGUMENTS = {
    "recolor": (0,), "fill": (1,), "underfill": (1,), "canvas": (0,), "replace": (1, 2), "switch": (1, 2),
    "ofcolor": (1,), "colorcount": (1,), "colorfilter": (1,), "cellwise": (2,),
}  # fmt: skip
"""Primitives that return colours, and the positions of arguments that are colours."""


@dataclass(frozen=True)
class Words:
    """A value shown as text: a number, a truth value, a pair, a function."""

    text: str


@dataclass(frozen=True)
class Colour:
    """A number that the program uses as a colour."""

    number: int


@dataclass(frozen=True)
class Cells:
    """A grid of `shape`. `rows` holds its cells, or only the top left part of a large grid."""

    rows: tuple[Row, ...]
    shape: Place


@dataclass(frozen=True)
class Patch:
    """Places (row, column) from the picture's top left, sorted, and the colours of an object."""

    places: tuple[Place, ...]
    colours: tuple[int, ...] | None


@dataclass(frozen=True)
class Patches:
    """Objects or sets of places on a grid.

    Where a patch reaches beyond the grid, `on` is extended by cells of None. `single` distinguishes a
    patch from a container with one patch.
    """

    on: tuple[Row, ...]
    patches: tuple[Patch, ...]
    single: bool
    ordered: bool = False


@dataclass(frozen=True)
class Items:
    """The first items of a container, and the number of further ones."""

    items: tuple[View, ...]
    more: int
    ordered: bool


View = Words | Colour | Cells | Patches | Items


def views(program: Program, grid: Grid, budget: Budget | None = None) -> list[View]:
    """Return a picture of each line's variable for a run on `grid`, up to where the run ends."""
    colours = colour_variables(program)
    canvases: dict[str, tuple[Row, ...]] = {"I": _rows(grid)}  # the grid that each variable comes from
    found: list[View] = []
    for line, step in zip(program.lines, program.trace(grid, budget), strict=False):
        canvas = next((canvases[name] for name in line.arguments if name in canvases), canvases["I"])
        view = _view_of_step(step, canvas, canvases["I"], step.name in colours)
        canvases[step.name] = view.rows if isinstance(view, Cells) else canvas
        found.append(view)
    return found


def cells(grid: Grid) -> Cells:
    """Return the picture of a whole grid."""
    return Cells(_rows(grid), grid.shape)


def caption(view: Cells | Patches) -> str:
    """Return a picture's caption: the size of a grid, or the number of objects and their cells."""
    if isinstance(view, Cells):
        size = "{}x{}".format(*view.shape)
        return size if view.shape == (len(view.rows), len(view.rows[0])) else f"{size}, top left part"
    coloured = view.patches[0].colours is not None
    count = sum(len(patch.places) for patch in view.patches)
    inside = f"{count} {'cell' if coloured else 'place'}{'s' * (count != 1)}"
    if view.single:
        return f"object, {inside}" if coloured else inside
    several = len(view.patches) != 1
    kind = f"object{'s' * several}" if coloured else f"set{'s' * several} of places"
    return f"{len(view.patches)} {kind}, {inside}"


def colour_variables(program: Program) -> set[str]:
    """Return the variables that hold colours, judged by the primitives that return or take them."""
    found = {line.target for line in program.lines if line.function in _COLOUR_RESULTS}
    for line in program.lines:
        found |= {
            line.arguments[k] for k in _COLOUR_ARGUMENTS.get(line.function, ()) if k < len(line.arguments)
        }
    return found


def view(value: Any, canvas: Sequence[Row], *, colour: bool = False) -> View:
    """Return the picture of a value of a `Step`.

    Patches are drawn on `canvas`, which is extended if they reach beyond it. `colour` says that
    numbers from 0 to 9 are colours.
    """
    if isinstance(value, str):
        return Words(_function_text(value))
    if _is_colour(value):
        return Colour(value) if colour else Words(str(value))
    if _is_grid(value) and (len(value[0]) != 2 or all(_is_colour(cell) for row in value for cell in row)):
        cut = tuple(tuple(row[:MAX_SHOWN_SIDE]) for row in value[:MAX_SHOWN_SIDE])
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
        items = tuple(view(item, canvas, colour=colour) for item in islice(_in_order(value), MAX_SHOWN_ITEMS))
        return Items(items, len(value) - len(items), ordered)
    return Words(_text(value))


def _view_of_step(step: Step, canvas: Sequence[Row], task_input: Sequence[Row], colour: bool) -> View:
    """Return the picture of a step.

    Patches that reach beyond the canvas are drawn on the input if they fit there.
    """
    drawn = view(step.value, canvas, colour=colour)
    if isinstance(drawn, Patches) and len(drawn.on) * len(drawn.on[0]) > len(canvas) * len(canvas[0]):
        on_input = view(step.value, task_input, colour=colour)
        if isinstance(on_input, Patches) and on_input.on == tuple(task_input):
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
    """Return a set of places, an object or a single cell as a patch, or None for any other value."""
    members = value if isinstance(value, frozenset) else [value] if _is_cell(value) else []
    if members and all(map(_is_pair, members)):
        return Patch(tuple(sorted(members)), None)
    if members and all(map(_is_cell, members)):
        ordered = sorted((place, colour) for colour, place in members)
        return Patch(tuple(place for place, _ in ordered), tuple(colour for _, colour in ordered))
    return None


def _on(canvas: Sequence[Row], patches: Sequence[Patch]) -> tuple[tuple[Row, ...], tuple[Patch, ...]] | None:
    """Return a canvas that holds the patches, and the patches on it; None if it would be too large."""
    places = [place for patch in patches for place in patch.places]
    top, left = min(0, *(i for i, _ in places)), min(0, *(j for _, j in places))
    bottom = max(len(canvas), *(i + 1 for i, _ in places))
    right = max(len(canvas[0]), *(j + 1 for _, j in places))
    if max(bottom - top, right - left) > MAX_SHOWN_SIDE:
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
    """Return a container's items, those of a set in an order independent of Python's hashes."""
    if isinstance(value, tuple):
        return value
    return sorted(value, key=lambda item: (item, "") if isinstance(item, int) else (0, _text(item)))


def _function_text(text: str) -> str:
    """Return a function's text with sets in braces, and with long captured values replaced by "…"."""
    text = text.replace("frozenset({", "{").replace("})", "}").replace("frozenset()", "{}")
    kept: list[str] = []
    opened: list[int] = []  # indices in `kept` of the open brackets
    for character in text:
        kept.append(character)
        if character in "({":
            opened.append(len(kept) - 1)
        elif character in ")}" and opened:
            start = opened.pop()
            inside = "".join(kept[start + 1 : -1])
            if len(inside) > _MAX_CAPTURED and not any(map(str.isalpha, inside)):
                kept[start + 1 : -1] = ["…"]
    return _text("".join(kept))


def _text(value: Any, room: int = _MAX_TEXT) -> str:
    """Return a value as text, cut at about `room` characters."""
    if not isinstance(value, (tuple, frozenset)):
        text = str(value)
        return text if len(text) <= _MAX_TEXT else text[: _MAX_TEXT - 1] + "…"
    opening, closing = "()" if isinstance(value, tuple) else "{}"
    parts: list[str] = []
    for item in _in_order(value):
        if room <= 0:
            parts.append("…")
            break
        parts.append(_text(item, room))
        room -= len(parts[-1]) + 2
    return opening + ", ".join(parts) + closing
