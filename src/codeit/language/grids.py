"""Checks of values that should be grids, with errors that name the row and the column."""

from __future__ import annotations

from typing import Any

import numpy as np

MAX_SIDE = 30
"""Largest height and width of a grid, in cells."""
COLOURS = 10
"""Number of colours. A cell is an integer from 0 to COLOURS - 1."""

_NOT_ROWS = "A grid is a list of rows, and a row is a list of integers."
_EMPTY = "A grid has at least one cell."
_TOO_LARGE = "Crop the grid."
_RAGGED = "The rows of a grid have equal lengths: look for a missing or an extra cell."
_NOT_A_COLOUR = "A cell is the number of its colour: recode colours, remove quotes and decimal points."


class GridError(ValueError):
    """A value that cannot be converted to a grid. Rows and columns are counted from 0.

    Attributes:
        where: The row and column at fault, or "" for the whole grid.
        expected: What should be there.
        found: The value that is there, or the number of rows or columns.
        fix: A likely fix, as a sentence.
    """

    def __init__(self, where: str, expected: str, found: object, fix: str) -> None:
        self.where, self.expected, self.found, self.fix = where, expected, found, fix
        place = f"grid, {where}" if where else "grid"
        super().__init__(f"{place}: expected {expected}, found {_shorten(found)}. {fix}")

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self.where, self.expected, self.found, self.fix)


def check_rows(rows: object) -> list[list[int]]:
    """Return rows (lists or tuples of integers) or a two-dimensional array as lists of integers.

    Raises GridError unless there are 1 to 30 rows of equal length, 1 to 30 columns, and only
    integers from 0 to 9. Truth values and floats are errors, as they usually mean that an array is
    not a grid.
    """
    items = _items(rows, "", "a grid (a list of rows)")
    cells = [_items(row, f"row {i}", "a row (a list of colours)") for i, row in enumerate(items)]
    if not 1 <= len(cells) <= MAX_SIDE:
        raise GridError("", f"1 to {MAX_SIDE} rows", len(cells), _TOO_LARGE if cells else _EMPTY)
    width = len(cells[0])
    for i, row in enumerate(cells):
        if not 1 <= len(row) <= MAX_SIDE:
            expected = f"1 to {MAX_SIDE} columns"
            raise GridError(f"row {i}", expected, len(row), _TOO_LARGE if row else _EMPTY)
        if len(row) != width:
            raise GridError(f"row {i}", f"{width} columns, as in row 0", len(row), _RAGGED)
        for j, cell in enumerate(row):
            # type() and not isinstance(), as True and False are integers too.
            if not (type(cell) is int or isinstance(cell, np.integer)) or not 0 <= cell < COLOURS:
                expected = f"a colour from 0 to {COLOURS - 1}"
                raise GridError(f"row {i}, column {j}", expected, cell, _NOT_A_COLOUR)
    return [[int(cell) for cell in row] for row in cells]


def _items(value: Any, where: str, expected: str) -> list[Any] | tuple[Any, ...]:
    if isinstance(value, np.ndarray) and value.ndim:
        value = value.tolist()
    if isinstance(value, (list, tuple)):
        return value
    raise GridError(where, expected, value, _NOT_ROWS)


def _shorten(value: object) -> str:
    text = str(value) if isinstance(value, np.generic) else repr(value)
    return text if len(text) <= 40 else f"{text[:37]}…"
