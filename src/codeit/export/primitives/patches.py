"""Primitives that measure and place patches: sets or tuples of places, or of cells."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from codeit.export.primitives.values import (
    Container,
    Grid,
    Indices,
    Object,
    Patch,
    Piece,
    Place,
    Places,
    Value,
    check_grid,
    check_place,
    first_two,
    is_cell,
    is_place,
)


def is_coloured(patch: Patch) -> bool:
    """Return whether a patch consists of cells, and of at least one."""
    return len(patch) > 0 and all(map(is_cell, patch))


def check_cells(patch: Patch) -> Container:
    """Return a patch of cells unchanged. Raises TypeError for any other value."""
    if all(map(is_cell, patch)):
        return patch
    raise TypeError("expected an object: cells of a colour and a place")


def places(patch: Patch) -> Places:
    """Return the places of a patch. Those of cells are a set."""
    if all(map(is_place, patch)):
        return patch
    return frozenset(place for _, place in check_cells(patch))


def extent(patch: Patch) -> tuple[int, int, int, int]:
    """Return the first and last row, and the first and last column, of a patch."""
    rows = [i for i, _ in places(patch)]
    columns = [j for _, j in places(patch)]
    return min(rows), max(rows), min(columns), max(columns)


def height(piece: Piece) -> int:
    """The number of rows of a grid, or of the bounding box of a patch."""
    if isinstance(piece, tuple) or len(piece) == 0:
        return len(piece)
    top, bottom, _, _ = extent(piece)
    return bottom - top + 1


def width(piece: Piece) -> int:
    """The number of columns of a grid, or of the bounding box of a patch."""
    if len(piece) == 0:
        return 0
    if isinstance(piece, tuple):
        return len(piece[0])
    _, _, left, right = extent(piece)
    return right - left + 1


def shape(piece: Piece) -> Place:
    """Height and width."""
    return height(piece), width(piece)


def portrait(piece: Piece) -> bool:
    """Whether the piece is higher than wide."""
    return height(piece) > width(piece)


def ulcorner(patch: Patch) -> Value:
    """The upper left corner of the bounding box. An empty tuple if it is empty."""
    return (uppermost(patch), leftmost(patch)) if len(patch) else ()


def urcorner(patch: Patch) -> Value:
    """The upper right corner of the bounding box. An empty tuple if it is empty."""
    return (uppermost(patch), rightmost(patch)) if len(patch) else ()


def llcorner(patch: Patch) -> Value:
    """The lower left corner of the bounding box. An empty tuple if it is empty."""
    return (lowermost(patch), leftmost(patch)) if len(patch) else ()


def lrcorner(patch: Patch) -> Value:
    """The lower right corner of the bounding box. An empty tuple if it is empty."""
    return (lowermost(patch), rightmost(patch)) if len(patch) else ()


def toindices(patch: Patch) -> Any:
    """The places of a patch."""
    return places(patch) if len(patch) else frozenset()


def recolor(value: Value, patch: Patch) -> Object:
    """The patch in one colour."""
    return frozenset((value, place) for place in places(patch))


def moved(patch: Patch, place_of: Callable[[int, int], Place]) -> Value:
    """Return the set of a patch's cells or places, each moved to place_of(i, j)."""
    if is_coloured(patch):
        return frozenset((colour, place_of(i, j)) for colour, (i, j) in patch)
    return frozenset(place_of(i, j) for i, j in places(patch))


def shift(patch: Patch, offset: Place) -> Value:
    """The patch moved by an offset."""
    if len(patch) == 0:
        return patch
    di, dj = check_place(offset)
    return moved(patch, lambda i, j: (i + di, j + dj))


def normalize(patch: Patch) -> Value:
    """The patch moved so that its upper left corner is the origin."""
    if len(patch) == 0:
        return patch
    return shift(patch, (-uppermost(patch), -leftmost(patch)))


def dneighbors(location: Place) -> Indices:
    """The four places directly beside a place."""
    i, j = first_two(location)
    return frozenset({(i - 1, j), (i, j - 1), (i, j + 1), (i + 1, j)})


def ineighbors(location: Place) -> Indices:
    """The four places diagonal to a place."""
    i, j = first_two(location)
    return frozenset({(i - 1, j - 1), (i - 1, j + 1), (i + 1, j - 1), (i + 1, j + 1)})


def neighbors(location: Place) -> Indices:
    """The eight places around a place."""
    return dneighbors(location) | ineighbors(location)


def uppermost(patch: Patch) -> int:
    """The first row with a cell of the patch."""
    top, _, _, _ = extent(patch)
    return top


def lowermost(patch: Patch) -> int:
    """The last row with a cell of the patch."""
    _, bottom, _, _ = extent(patch)
    return bottom


def leftmost(patch: Patch) -> int:
    """The first column with a cell of the patch."""
    _, _, left, _ = extent(patch)
    return left


def rightmost(patch: Patch) -> int:
    """The last column with a cell of the patch."""
    _, _, _, right = extent(patch)
    return right


def square(piece: Piece) -> bool:
    """Whether the piece is a filled square."""
    if isinstance(piece, tuple):
        return len(piece) == len(piece[0])
    return height(piece) == width(piece) and len(piece) == height(piece) ** 2


def vline(patch: Patch) -> bool:
    """Whether the patch is a vertical line."""
    return height(patch) == len(patch) and width(patch) == 1


def hline(patch: Patch) -> bool:
    """Whether the patch is a horizontal line."""
    return width(patch) == len(patch) and height(patch) == 1


def hmatching(a: Patch, b: Patch) -> bool:
    """Whether a row has cells of both patches."""
    return not {i for i, _ in places(a)}.isdisjoint({i for i, _ in places(b)})


def vmatching(a: Patch, b: Patch) -> bool:
    """Whether a column has cells of both patches."""
    return not {j for _, j in places(a)}.isdisjoint({j for _, j in places(b)})


def manhattan(a: Patch, b: Patch) -> int:
    """The minimum Manhattan distance between two patches."""
    from_places, to_places = places(a), places(b)
    return min(abs(i - k) + abs(j - m) for i, j in from_places for k, m in to_places)


def touch(a: Places, b: Places) -> bool:
    """Return whether the minimum Manhattan distance between places of a and b is 1."""
    beside = frozenset(near for place in a for near in dneighbors(place))
    return frozenset(a).isdisjoint(b) and not beside.isdisjoint(b)


def adjacent(a: Patch, b: Patch) -> bool:
    """Whether the minimum Manhattan distance between two patches is 1."""
    if len(places(a)) and len(places(b)):
        return touch(places(a), places(b))
    raise ValueError("the patch is empty")


def bordering(patch: Patch, grid: Grid) -> bool:
    """Whether the patch touches the border of the grid."""
    top, bottom, left, right = extent(patch)
    if top == 0 or left == 0 or bottom == len(check_grid(grid)) - 1:
        return True
    return right == len(grid[0]) - 1


def centerofmass(patch: Patch) -> Value:
    """The mean place of the patch, rounded down. An empty tuple if it is empty."""
    if len(places(patch)) == 0:
        return ()
    rows, columns = zip(*places(patch), strict=True)
    return sum(rows) // len(patch), sum(columns) // len(patch)
