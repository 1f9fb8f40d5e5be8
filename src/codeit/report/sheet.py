"""A task's sheet: its grids, programs, traces and answers as the JSON that the pages draw from.

A sheet is a dictionary of

    id        the task's
    views     every picture once, as `Views` writes them; all else names them by their place
    pairs     demonstrations, [input, output]
    tests     test inputs, [input] or, where it may be shown, [input, output]
    attempts  for each test input, the answers to hand in
    programs  see `program_sheet`
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from codeit.data.tasks import COLOURS, Task
from codeit.language import Budget, Grid, Program
from codeit.report.pictures import Cells, Colour, Items, Patch, Patches, View, Words, cells, views

Json = dict[str, Any]
_NONE, _PLACE = ".", "#"


class Views:
    """Pictures as JSON, each once.

    A text is a string, a colour its number. Rows of cells are a string of digits with a slash between two
    rows, a point for no cell and # for a place without a colour; or, with other numbers, lists of numbers.

        {"cells": rows, "shape": [height, width]}           a grid; the shape if the picture is cut
        {"on": place of a grid, "patches": [[top, left, rows], …], "single": 0 or 1, "ordered": 0 or 1}
        {"items": places of views, "more": number, "ordered": 0 or 1}
    """

    def __init__(self) -> None:
        self._places: dict[View, int] = {}
        self.json: list[Any] = []

    def add(self, view: View) -> int:
        """The place of a picture."""
        if view not in self._places:
            made = self._made(view)
            self._places[view] = len(self.json)
            self.json.append(made)
        return self._places[view]

    def grid(self, grid: Grid) -> int:
        """The place of a grid's picture."""
        return self.add(cells(grid))

    def _made(self, view: View) -> Any:
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
    if all(cell is None or cell == _PLACE or cell in range(COLOURS) for row in rows for cell in row):
        return "/".join("".join(_NONE if cell is None else str(cell) for cell in row) for row in rows)
    return list(rows)


def _patch(patch: Patch) -> list[Any]:
    top, left = min(i for i, _ in patch.places), min(j for _, j in patch.places)
    bottom, right = max(i for i, _ in patch.places), max(j for _, j in patch.places)
    rows: list[list[int | str | None]] = [[None] * (right - left + 1) for _ in range(bottom - top + 1)]
    for k, (i, j) in enumerate(patch.places):
        rows[i - top][j - left] = _PLACE if patch.colours is None else patch.colours[k]
    return [top, left, _rows(rows)]


def program_sheet(
    table: Views, program: Program, pairs: Sequence[tuple[Grid, Grid | None]], budget: Budget | None = None
) -> Json:
    """A program and what it does on some inputs, whose outputs should be as given (None: not known).

    lines   each line's text
    trace   for each input, the pictures of the lines up to where the run ends
    ends    for each input, why the run gave no grid; "" if it gave one
    right   for each input, 1 if the output is the one wanted, 0 if not, null if that is not known
    """
    outcomes = [program.run(grid, budget) for grid, _ in pairs]
    return {
        "lines": [str(line) for line in program.lines],
        "trace": [[table.add(view) for view in views(program, grid, budget)] for grid, _ in pairs],
        "ends": ["" if outcome.grid is not None else outcome.message for outcome in outcomes],
        "right": [
            None if wanted is None else int(outcome.grid == wanted)
            for outcome, (_, wanted) in zip(outcomes, pairs, strict=True)
        ],
    }


def task_sheet(table: Views, task: Task, *, outputs: bool = False) -> Json:
    """A task without programs: `id`, `pairs`, `tests`; test outputs only if `outputs`."""
    return {
        "id": task.id,
        "pairs": [[table.grid(grid) for grid in pair] for pair in task.train],
        "tests": [
            [table.grid(grid) for grid in (pair if outputs else pair[:1]) if grid is not None]
            for pair in task.test
        ],
    }
