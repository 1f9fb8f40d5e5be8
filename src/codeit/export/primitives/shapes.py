"""Primitives that mirror pieces and draw lines, boxes and what is around them."""

from __future__ import annotations

from codeit.export.primitives.patches import (
    check_cells,
    extent,
    height,
    is_coloured,
    llcorner,
    lrcorner,
    moved,
    normalize,
    places,
    shift,
    toindices,
    touch,
    ulcorner,
    urcorner,
    vmatching,
    width,
)
from codeit.export.primitives.values import (
    Indices,
    Patch,
    Piece,
    Place,
    Value,
    check_grid,
    check_place,
    first_two,
)


def hmirror(piece: Piece) -> Value:
    """The piece mirrored top to bottom."""
    if isinstance(piece, tuple):
        return piece[::-1]
    top, bottom, _, _ = extent(piece)
    return moved(piece, lambda i, j: (top + bottom - i, j))


def vmirror(piece: Piece) -> Value:
    """The piece mirrored left to right."""
    if isinstance(piece, tuple):
        return tuple(row[::-1] for row in check_grid(piece))
    _, _, left, right = extent(piece)
    return moved(piece, lambda i, j: (i, left + right - j))


def dmirror(piece: Piece) -> Value:
    """The piece mirrored on its main diagonal."""
    if isinstance(piece, tuple):
        return tuple(zip(*check_grid(piece), strict=True))
    top, _, left, _ = extent(piece)
    return moved(piece, lambda i, j: (j - left + top, i - top + left))


def cmirror(piece: Piece) -> Value:
    """The piece mirrored on its other diagonal."""
    return vmirror(dmirror(vmirror(piece)))


def center(patch: Patch) -> Place:
    """The centre of the bounding box."""
    top, _, left, _ = extent(patch)
    return top + height(patch) // 2, left + width(patch) // 2


def position(a: Patch, b: Patch) -> Place:
    """The direction from the first patch to the second."""
    (ai, aj), (bi, bj) = center(toindices(a)), center(toindices(b))
    if ai == bi:
        return (0, 1 if aj < bj else -1)
    if aj == bj:
        return (1 if ai < bi else -1, 0)
    return (1 if ai < bi else -1, 1 if aj < bj else -1)


def corners(patch: Patch) -> Value:
    """The four corners of the bounding box."""
    return frozenset({f(patch) for f in (ulcorner, urcorner, llcorner, lrcorner)})


def connect(a: Place, b: Place) -> Indices:
    """The straight or diagonal line between two places; empty if there is none."""
    (ai, aj), (bi, bj) = check_place(a), check_place(b)
    di, dj = bi - ai, bj - aj
    if di and dj and abs(di) != abs(dj):
        return frozenset()
    i_step, j_step = (di > 0) - (di < 0), (dj > 0) - (dj < 0)
    steps = max(abs(di), abs(dj))
    return frozenset((ai + k * i_step, aj + k * j_step) for k in range(steps + 1))


def vfrontier(location: Place) -> Indices:
    """The column of a place, 30 cells long."""
    _, j = first_two(location)
    return frozenset((i, j) for i in range(30))


def hfrontier(location: Place) -> Indices:
    """The row of a place, 30 cells long."""
    i, _ = first_two(location)
    return frozenset((i, j) for j in range(30))


def backdrop(patch: Patch) -> Indices:
    """All places of the bounding box."""
    if len(places(patch)) == 0:
        return frozenset()
    top, bottom, left, right = extent(patch)
    rows, columns = range(top, bottom + 1), range(left, right + 1)
    return frozenset((i, j) for i in rows for j in columns)


def delta(patch: Patch) -> Indices:
    """The places of the bounding box that are not in the patch."""
    if len(patch) and isinstance(patch, tuple) and not is_coloured(patch):
        raise TypeError("expected a set of places or an object")
    return backdrop(patch).difference(places(patch))


def gravitate(a: Patch, b: Patch) -> Place:
    """The offset that moves the first patch until it is adjacent to the second.

    If it never is, 42 steps.
    """
    (ai, aj), (bi, bj) = center(a), center(b)
    if vmatching(a, b):
        di, dj = (1 if ai < bi else -1), 0
    else:
        di, dj = 0, (1 if aj < bj else -1)
    steps = 0
    while steps < 42:
        if touch(shift(places(a), (steps * di, steps * dj)), places(b)):
            break
        steps += 1
    return steps * di, steps * dj


def outline(patch: Patch, margin: int) -> Indices:
    """Return the outline of the bounding box, larger by a margin on all sides."""
    top, bottom, left, right = extent(patch)
    top, bottom = sorted((top - margin, bottom + margin))
    left, right = sorted((left - margin, right + margin))
    rows, columns = range(top, bottom + 1), range(left, right + 1)
    return frozenset(
        {(i, j) for i in (top, bottom) for j in columns}
        | {(i, j) for i in rows for j in (left, right)}
    )


def inbox(patch: Patch) -> Indices:
    """The outline one cell inside the bounding box."""
    return outline(patch, -1)


def outbox(patch: Patch) -> Indices:
    """The outline one cell outside the bounding box."""
    return outline(patch, 1)


def box(patch: Patch) -> Value:
    """The outline of the bounding box."""
    return outline(patch, 0) if len(patch) else patch


def shoot(start: Place, direction: Place) -> Indices:
    """The line from a place in a direction, 42 steps long."""
    (i, j), (di, dj) = check_place(start), first_two(direction)
    return connect((i, j), (i + 42 * di, j + 42 * dj))


def period(patch: Patch, axis: int) -> int:
    """Return after how many rows (axis 0) or columns (axis 1) an object repeats."""
    cells = check_cells(normalize(patch))
    length = 1 + max((place[axis] for _, place in cells), default=-1)
    for step in range(1, length):
        di, dj = (step, 0) if axis == 0 else (0, step)
        if all(
            (colour, (i - di, j - dj)) in cells
            for colour, (i, j) in cells
            if i >= di and j >= dj
        ):
            return step
    return length


def hperiod(patch: Patch) -> int:
    """The smallest number of columns after which the object repeats."""
    return period(patch, 1)


def vperiod(patch: Patch) -> int:
    """The smallest number of rows after which the object repeats."""
    return period(patch, 0)
