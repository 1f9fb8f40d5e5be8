"""A task's sheet: its grids, programs, traces and answers as JSON, from which pages draw them.

A sheet is a dictionary of

    id        the task's id
    views     every picture once, as `Views` writes them; other entries refer to pictures by index
    pairs     demonstrations: [input, output]
    tests     test inputs: [input], or [input, output] if the output may be shown
    attempts  for each test input, the answers to hand in
    programs  see `program_sheet`
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from codeit.data.tasks import Task
from codeit.language import COLOURS, Budget, Grid, Program
from codeit.report.pictures import Cells, Colour, Items, Patch, Patches, View, Words, cells, views

Json = dict[str, Any]
_NO_CELL, _NO_COLOUR = ".", "#"


class Views:
    """Pictures as JSON, each once.

    A text is a string and a colour is its number. Rows of cells are a string of digits with a slash
    between rows, "." where there is no cell and "#" for a place without a colour. Rows with other
    numbers are lists.

        {"cells": rows, "shape": [height, width]}           a grid; shape only if the picture is cut
        {"on": index of a grid, "patches": [[top, left, rows], …], "single": 0 or 1, "ordered": 0 or 1}
        {"items": indices of views, "more": number, "ordered": 0 or 1}
    """

    def __init__(self) -> None:
        self._indices: dict[View, int] = {}
        self.json: list[Any] = []

    def add(self, view: View) -> int:
        """Add a picture, unless it is there already, and return its index."""
        if view not in self._indices:
            encoded = self._encode(view)
            self._indices[view] = len(self.json)
            self.json.append(encoded)
        return self._indices[view]

    def grid(self, grid: Grid) -> int:
        """Add a grid's picture and return its index."""
        return self.add(cells(grid))

    def _encode(self, view: View) -> Any:
        match view:
            case Words():
                return view.text
            case Colour():
                return view.number
            case Cells():
                whole = view.shape == (len(view.rows), len(view.rows[0]))
                return {"cells": _rows(view.rows)} | ({} if whole else {"shape": view.shape})
            case Patches():
                return {
                    "on": self.add(Cells(view.on, (len(view.on), len(view.on[0])))),
                    "patches": [_patch(patch) for patch in view.patches],
                    "single": int(view.single),
                    "ordered": int(view.ordered),
                }
            case Items():
                items = [self.add(item) for item in view.items]
                return {"items": items, "more": view.more, "ordered": int(view.ordered)}


def _rows(rows: Sequence[Sequence[int | str | None]]) -> str | list[Sequence[int | str | None]]:
    if all(cell is None or cell == _NO_COLOUR or cell in range(COLOURS) for row in rows for cell in row):
        return "/".join("".join(_NO_CELL if cell is None else str(cell) for cell in row) for row in rows)
    return list(rows)


def _patch(patch: Patch) -> list[Any]:
    top, left = min(i for i, _ in patch.places), min(j for _, j in patch.places)
    bottom, right = max(i for i, _ in patch.places), max(j for _, j in patch.places)
    rows: list[list[int | str | None]] = [[None] * (right - left + 1) for _ in range(bottom - top + 1)]
    for k, (i, j) in enumerate(patch.places):
        rows[i - top][j - left] = _NO_COLOUR if patch.colours is None else patch.colours[k]
    return [top, left, _rows(rows)]


def program_sheet(
    table: Views, program: Program, pairs: Sequence[tuple[Grid, Grid | None]], budget: Budget | None = None
) -> Json:
    """Return a program and its runs on inputs, each with its expected output (None if unknown).

    lines   the text of each line
    trace   for each input, the pictures of the lines up to where the run ends
    errors  for each input, why the run gave no grid; "" if it gave one
    right   for each input, 1 if the output is the expected one, 0 if not, null if that is unknown
    """
    outcomes = [program.run(grid, budget) for grid, _ in pairs]
    return {
        "lines": [str(line) for line in program.lines],
        "trace": [[table.add(view) for view in views(program, grid, budget)] for grid, _ in pairs],
        "errors": ["" if outcome.grid is not None else outcome.message for outcome in outcomes],
        "right": [
            None if expected is None else int(outcome.grid == expected)
            for outcome, (_, expected) in zip(outcomes, pairs, strict=True)
        ],
    }


def task_sheet(table: Views, task: Task, *, outputs: bool = False) -> Json:
    """Return a task without programs: `id`, `pairs`, `tests`; test outputs only if `outputs`."""
    return {
        "id": task.id,
        "pairs": [[table.grid(grid) for grid in pair] for pair in task.train],
        "tests": [
            [table.grid(grid) for grid in (pair if outputs else pair[:1]) if grid is not None]
            for pair in task.test
        ],
    }
