"""Primitives that read grids: their colours, places and objects."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator

from codeit.export.primitives.containers import first, leastcommon, mostcommon
from codeit.export.primitives.patches import dneighbors, neighbors, places
from codeit.export.primitives.values import (
    Cell,
    Container,
    Grid,
    Indices,
    Object,
    Patch,
    Place,
    Value,
    check_full_grid,
    check_grid,
    check_tuple,
    first_two,
    items,
)


def colours(element: Container) -> tuple[Value, ...]:
    """Return the colours of all cells of a grid or an object."""
    if isinstance(element, tuple):
        return tuple(colour for row in element for colour in items(row))
    return tuple(colour for colour, _ in map(items, element))


def mostcolor(element: Container) -> Value:
    """The most frequent colour; the smallest in a tie."""
    return mostcommon(colours(element))


def leastcolor(element: Container) -> Value:
    """The least frequent colour; the smallest in a tie."""
    return leastcommon(colours(element))


def colorcount(element: Container, colour: Value) -> int:
    """The number of cells of a colour."""
    if isinstance(element, tuple):
        check_grid(element)
    return colours(element).count(colour)


def colorfilter(container: Container, colour: Value) -> Value:
    """The objects of a colour."""
    return frozenset(element for element in container if color(element) == colour)


def sizefilter(container: Container, n: Value) -> Value:
    """The elements that have n elements."""
    return frozenset(element for element in container if len(element) == n)


def cells_of(grid: Grid) -> Iterator[Cell]:
    """Yield the cells of a grid, row by row."""
    for i, row in enumerate(grid):
        for j, colour in enumerate(row):
            yield colour, (i, j)


def asindices(grid: Grid) -> Indices:
    """All places of the grid."""
    return frozenset(place for _, place in cells_of(check_grid(grid)))


def ofcolor(grid: Grid, colour: Value) -> Indices:
    """The places of a colour."""
    return frozenset(place for c, place in cells_of(check_grid(grid)) if c == colour)


def crop(grid: Grid, start: Place, dims: Place) -> Grid:
    """The part of the grid that starts at a place and has a given shape."""
    (i, j), (h, w) = first_two(start), first_two(dims)
    return tuple(row[j : j + w] for row in check_grid(grid)[i : i + h])


def objects(
    grid: Grid, univalued: Value, diagonal: Value, without_background: Value
) -> frozenset[Object]:
    """The connected parts.

    The flags: only cells of one colour connect, corners connect, leave out the
    background.
    """
    rest = {place: colour for colour, place in cells_of(check_full_grid(grid))}
    if without_background:
        background = mostcolor(grid)
        rest = {place: colour for place, colour in rest.items() if colour != background}
    around = neighbors if diagonal else dneighbors
    parts = set()
    while rest:
        place, colour = rest.popitem()
        part, front = {(colour, place)}, [(colour, place)]
        while front:
            colour, place = front.pop()
            for near in around(place):
                if near in rest and (not univalued or rest[near] == colour):
                    cell = (rest.pop(near), near)
                    part.add(cell)
                    front.append(cell)
        parts.add(frozenset(part))
    return frozenset(parts)


def partition(grid: Grid) -> frozenset[Object]:
    """For each colour, the object of all its cells."""
    parts: dict[int, set[Cell]] = defaultdict(set)
    for colour, place in cells_of(check_grid(grid)):
        parts[colour].add((colour, place))
    return frozenset(map(frozenset, parts.values()))


def fgpartition(grid: Grid) -> frozenset[Object]:
    """For each colour except the background, the object of all its cells."""
    background = mostcolor(check_grid(grid))
    return frozenset(part for part in partition(grid) if palette(part) != {background})


def palette(element: Container) -> Value:
    """The colours that occur."""
    return frozenset(colours(element))


def numcolors(element: Container) -> int:
    """The number of colours that occur."""
    return len(palette(element))


def color(cells: Container) -> Value:
    """The colour of an object's first cell."""
    return check_tuple(first(cells))[0]


def toobject(patch: Patch, grid: Grid) -> Object:
    """The grid's cells at the places of a patch."""
    wanted = frozenset(places(patch))
    cells = cells_of(check_full_grid(grid))
    return frozenset(cell for cell in cells if cell[1] in wanted)


def asobject(grid: Grid) -> Object:
    """The whole grid as an object."""
    return frozenset(cells_of(check_grid(grid)))
