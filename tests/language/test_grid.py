"""Grids as read-only sequences and arrays."""

from __future__ import annotations

import numpy as np
import pytest

from codeit import Grid

ROWS = [[1, 2, 3], [4, 5, 6]]


def test_grid_converts_to_a_new_array() -> None:
    grid = Grid(ROWS)
    array = np.asarray(grid)
    assert array.shape == grid.shape == (2, 3)
    assert array.dtype == np.uint8
    assert array.tolist() == ROWS
    assert np.array(grid, dtype=np.int64).dtype == np.int64
    array[0, 0] = 9
    assert grid.tolist() == ROWS
    with pytest.raises(ValueError, match="without a copy"):
        np.asarray(grid, copy=False)


def test_array_converts_to_an_equal_grid() -> None:
    assert Grid(np.array(ROWS, dtype=np.int8)) == Grid(ROWS) == Grid(Grid(ROWS))


def test_indices_give_rows_colours_and_slices() -> None:
    grid = Grid(ROWS)
    assert grid[0] == (1, 2, 3) and grid[-1] == (4, 5, 6)
    assert grid[1, 2] == grid[-1, -1] == 6 and type(grid[0, 0]) is int
    assert grid[:, 1].tolist() == [2, 5]
    assert grid[::-1, ::-1].tolist() == [[6, 5, 4], [3, 2, 1]]
    assert len(grid) == 2 and list(grid) == [(1, 2, 3), (4, 5, 6)]


@pytest.mark.parametrize(
    ("index", "message"),
    [
        (2, "expected a row from -2 to 1, found 2"),
        ((0, -4), "expected a column from -3 to 2, found -4"),
    ],
)
def test_index_out_of_range_is_an_error(index: object, message: str) -> None:
    with pytest.raises(IndexError, match=message):
        Grid(ROWS)[index]


def test_grid_equals_its_rows_as_lists_or_tuples_only() -> None:
    grid = Grid(ROWS)
    assert grid == ROWS and grid == tuple(map(tuple, ROWS))
    assert [grid].index(ROWS) == 0  # compares the list with the grid
    assert grid != ROWS[:1] and grid != [[1, 2, 3], [4, 5]] and grid != [1, 2]
    assert grid != 5 and grid is not None and grid != "123"
    assert (grid == np.array(ROWS)).all()
    assert {grid: "found"}[Grid(ROWS)] == "found"


def test_grid_is_immutable() -> None:
    with pytest.raises(TypeError):
        Grid(ROWS)[0] = (0, 0, 0)  # type: ignore[index]
