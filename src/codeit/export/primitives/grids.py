"""Primitives that make grids from others, and paint them."""

from __future__ import annotations

from collections.abc import Iterable

from codeit.export.primitives.objects import cells_of, crop, mostcolor
from codeit.export.primitives.patches import (
    check_cells,
    extent,
    places,
    shape,
    shift,
    ulcorner,
    width,
)
from codeit.export.primitives.values import (
    Container,
    Grid,
    Indices,
    Object,
    Patch,
    Place,
    Value,
    check_colour,
    check_full_grid,
    check_grid,
    check_place,
    check_tuple,
    first_two,
    items,
)


def rot90(grid: Grid) -> Grid:
    """A quarter turn clockwise."""
    return tuple(zip(*check_grid(grid)[::-1], strict=True))


def rot180(grid: Grid) -> Grid:
    """A half turn."""
    return tuple(row[::-1] for row in check_grid(grid)[::-1])


def rot270(grid: Grid) -> Grid:
    """A quarter turn counter-clockwise."""
    return tuple(zip(*check_grid(grid), strict=True))[::-1]


def painted(
    grid: Grid, cells: Iterable[tuple[Value, Place]], only: Value = None
) -> Grid:
    """Return a grid with cells painted on it, those outside the grid left out.

    Later cells replace earlier ones. With `only`, cells of that colour alone change.
    """
    rows = [list(row) for row in grid]
    for colour, (i, j) in cells:
        inside = 0 <= i < len(rows) and 0 <= j < len(rows[0])
        if inside and (only is None or rows[i][j] == only):
            rows[i][j] = check_colour(colour)
    return tuple(map(tuple, rows))


def fill(grid: Grid, colour: Value, patch: Patch) -> Grid:
    """The grid with the places of a patch in one colour."""
    return painted(check_full_grid(grid), ((colour, place) for place in places(patch)))


def paint(grid: Grid, cells: Patch) -> Grid:
    """The grid with an object painted on it."""
    return painted(check_full_grid(grid), items(check_cells(cells)))


def underfill(grid: Grid, colour: Value, patch: Patch) -> Grid:
    """Like fill, but only where the grid has its background colour."""
    background = mostcolor(check_full_grid(grid))
    return painted(grid, ((colour, place) for place in places(patch)), background)


def underpaint(grid: Grid, cells: Patch) -> Grid:
    """Like paint, but only where the grid has its background colour."""
    background = mostcolor(check_full_grid(grid))
    return painted(grid, items(check_cells(cells)), background)


def hupscale(grid: Grid, n: int) -> Grid:
    """Each cell repeated n times horizontally."""
    times = range(n)
    return tuple(tuple(c for c in row for _ in times) for row in check_grid(grid))


def vupscale(grid: Grid, n: int) -> Grid:
    """Each cell repeated n times vertically."""
    times = range(n)
    return tuple(row for row in check_grid(grid) for _ in times)


def upscale(element: Container, n: int) -> Value:
    """Each cell enlarged to a square of n × n cells."""
    if isinstance(element, tuple):
        return vupscale(hupscale(element, n), n)
    steps = range(n)
    if len(check_cells(element)) == 0:
        return frozenset()
    top, _, left, _ = extent(element)
    return frozenset(
        (colour, (top + (i - top) * n + di, left + (j - left) * n + dj))
        for colour, (i, j) in element
        for di in steps
        for dj in steps
    )


def downscale(grid: Grid, n: int) -> Grid:
    """Every n-th cell of every n-th row."""
    step = abs(n)
    return tuple(row[::step] for row in check_full_grid(grid)[::step])


def hconcat(a: Grid, b: Grid) -> Grid:
    """Two grids side by side."""
    rows = zip(check_grid(a), check_grid(b), strict=False)
    return tuple(left + right for left, right in rows)


def vconcat(a: Grid, b: Grid) -> Value:
    """One grid above the other."""
    return check_tuple(a) + check_tuple(b)


def subgrid(patch: Patch, grid: Grid) -> Grid:
    """The part of the grid in the bounding box of a patch."""
    return crop(grid, ulcorner(patch), shape(patch))


def hsplit(grid: Grid, n: int) -> tuple[Grid, ...]:
    """The grid cut into n parts side by side."""
    h, w = shape(check_full_grid(grid))
    stride = w // n + (w % n != 0)
    return tuple(crop(grid, (0, k * stride), (h, w // n)) for k in range(n))


def vsplit(grid: Grid, n: int) -> tuple[Grid, ...]:
    """The grid cut into n parts from top to bottom."""
    h, w = shape(check_full_grid(grid))
    stride = h // n + (h % n != 0)
    return tuple(crop(grid, (k * stride, 0), (h // n, w)) for k in range(n))


def cellwise(a: Grid, b: Grid, fallback: int) -> Grid:
    """The cells in which two grids agree, and a fallback colour elsewhere."""
    check_colour(fallback)
    rows, cells = check_grid(b), cells_of(check_full_grid(a))
    return painted(a, ((fallback, (i, j)) for c, (i, j) in cells if c != rows[i][j]))


def replace(grid: Grid, old: Value, new: Value) -> Grid:
    """One colour replaced by another."""
    changed = [cell for cell in cells_of(check_grid(grid)) if cell[0] == old]
    return painted(grid, ((new, place) for _, place in changed))


def switch(grid: Grid, a: int, b: int) -> Grid:
    """Two colours exchanged."""
    new = {check_colour(a): check_colour(b), b: a}
    return tuple(tuple(new.get(c, c) for c in row) for row in check_grid(grid))


def index(grid: Grid, location: Place) -> Value:
    """The colour at a place; None outside the grid."""
    rows, (i, j) = check_full_grid(grid), check_place(location)
    return rows[i][j] if 0 <= i < len(rows) and 0 <= j < len(rows[0]) else None


def canvas(colour: Value, dims: Place) -> Grid:
    """A grid of one colour."""
    h, w = first_two(dims)
    return ((check_colour(colour),) * w,) * h if h > 0 and w > 0 else ((),) * h


def cover(grid: Grid, patch: Patch) -> Grid:
    """The grid with the places of a patch in the background colour."""
    return fill(grid, mostcolor(check_full_grid(grid)), patch)


def trim(grid: Grid) -> Grid:
    """The grid without its border."""
    return tuple(row[1:-1] for row in check_grid(grid)[1:-1])


def move(grid: Grid, cells: Patch, offset: Place) -> Grid:
    """An object of the grid moved by an offset."""
    return paint(cover(grid, cells), shift(cells, offset))


def tophalf(grid: Grid) -> Value:
    """The upper half."""
    return check_tuple(grid)[: len(grid) // 2]


def bottomhalf(grid: Grid) -> Value:
    """The lower half."""
    return check_tuple(grid)[len(grid) - len(grid) // 2 :]


def lefthalf(grid: Grid) -> Grid:
    """The left half. An empty grid if it has less than two columns."""
    half = width(check_grid(grid)) // 2
    return tuple(row[:half] for row in grid) if half else ()


def righthalf(grid: Grid) -> Grid:
    """The right half. An empty grid if it has less than two columns."""
    half = width(check_grid(grid)) // 2
    return tuple(row[-half:] for row in grid) if half else ()


def occurrences(grid: Grid, cells: Patch) -> Indices:
    """The places where the object occurs in the grid."""
    rows, wanted = check_full_grid(grid), check_cells(cells)
    top, bottom, left, right = extent(cells) if len(wanted) else (0, 0, 0, 0)
    return frozenset(
        (i, j)
        for i in range(len(rows) - (bottom - top))
        for j in range(len(rows[0]) - (right - left))
        if all(rows[i + k - top][j + m - left] == colour for colour, (k, m) in wanted)
    )


def frontiers(grid: Grid) -> frozenset[Object]:
    """The rows and columns that have only one colour."""
    rows = [
        tuple((colour, (i, j)) for j, colour in enumerate(row))
        for i, row in enumerate(check_full_grid(grid))
    ]
    lines = [*rows, *zip(*rows, strict=True)]
    return frozenset(
        frozenset(c) for c in lines if len({colour for colour, _ in c}) == 1
    )


def compress(grid: Grid) -> Grid:
    """The grid without the rows and columns that have only one colour."""
    rows = [row for row in check_grid(grid) if len(set(row)) != 1]
    columns = zip(*grid, strict=True)
    kept = [j for j, column in enumerate(columns) if len(set(column)) != 1]
    return tuple(tuple(row[j] for j in kept) for row in rows)
