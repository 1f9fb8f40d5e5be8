"""The command: reads ARC JSON and prints the program's outputs."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable
from typing import Any, Final

from codeit.export.primitives.values import Grid

ERRORS: Final = (ArithmeticError, LookupError, RecursionError, TypeError, ValueError)


def to_grid(rows: Any) -> Grid:
    """Return rows of colours as a grid.

    Raises ValueError unless there are 1 to 30 rows of equal length, each of 1 to 30
    integers from 0 to 9.
    """
    if (
        isinstance(rows, list | tuple)
        and 1 <= len(rows) <= 30
        and all(
            isinstance(row, list | tuple) and len(row) == len(rows[0]) for row in rows
        )
        and 1 <= len(rows[0]) <= 30
        and all(isinstance(c, int) and 0 <= c <= 9 for row in rows for c in row)
    ):
        return tuple(tuple(map(int, row)) for row in rows)
    raise ValueError("expected a grid: 1 to 30 rows and columns, colours 0 to 9")


def read_json(name: str) -> Any:
    """Return the JSON value in a file, or on stdin if the name is "-"."""
    if name == "-":
        return json.load(sys.stdin)
    with open(name, encoding="utf-8") as file:
        return json.load(file)


def main(solve: Callable[[Any], Grid]) -> int:
    """Apply a program to a task or a grid and print its outputs as JSON.

    For an input without an output the program prints null and why, and exits with 1.
    """
    parser = argparse.ArgumentParser(description="Print a program's outputs as JSON.")
    parser.add_argument(
        "file",
        nargs="?",
        default="-",
        help="an ARC task or a grid (rows of colours) as JSON; by default stdin",
    )
    file = parser.parse_args().file
    sys.setrecursionlimit(10_000)  # functions may be made of a thousand others
    try:
        data = read_json(file)
        task = data if isinstance(data, dict) else {"test": [{"input": data}]}
        inputs = {
            part: [to_grid(example["input"]) for example in task.get(part, [])]
            for part in ("train", "test")
        }
    except (OSError, ValueError, KeyError, TypeError) as error:
        parser.error(f"{file}: expected an ARC task or a grid as JSON: {error}")

    failed = False
    outputs: dict[str, list[Grid | None]] = {part: [] for part in inputs}
    for part, grids in inputs.items():
        for k, grid in enumerate(grids):
            try:
                outputs[part].append(solve(grid))
            except ERRORS as error:
                failed = True
                outputs[part].append(None)
                print(f"{part}[{k}]: {type(error).__name__}: {error}", file=sys.stderr)
    print(json.dumps(outputs if task is data else outputs["test"][0]))
    return int(failed)
