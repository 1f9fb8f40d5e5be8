from __future__ import annotations

import hashlib
import json
import os
from pathlib import Path
from typing import Any

import pytest

from codeit.data.tasks import (
    MAX_FILE_BYTES,
    Pair,
    Task,
    TaskError,
    TestPair,
    equal_tasks,
    find_task,
    load_tasks,
    parse_task,
    task_json,
)
from codeit.language import Grid

ONE = {"input": [[1, 2], [3, 4]], "output": [[5]]}
TASK = {"train": [ONE, {"input": [[7]], "output": [[8, 9]]}], "test": [{"input": [[0]], "output": [[6]]}]}


def write(path: Path, data: Any) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(data if isinstance(data, str) else json.dumps(data))
    return path


def digest(loaded: dict[str, Task]) -> str:
    content = [
        (task_id, [[grid and grid.tolist() for grid in pair] for pair in (*task.train, *task.test)])
        for task_id, task in loaded.items()
    ]
    return hashlib.sha256(json.dumps(content).encode()).hexdigest()[:16]


def test_arc_agi_1_has_the_pinned_content(training: dict[str, Task], evaluation: dict[str, Task]) -> None:
    assert len(training) == len(evaluation) == 400
    assert list(evaluation) == sorted(evaluation)
    assert not training.keys() & evaluation.keys()
    assert (digest(training), digest(evaluation)) == ("a330b804c6a1e289", "e1d62e16c65e97e0")


def test_one_evaluation_task_equals_a_training_task(
    training: dict[str, Task], evaluation: dict[str, Task]
) -> None:
    assert equal_tasks(evaluation.values(), training.values()) == [("070dd51e", "40853293")]


def test_equality_ignores_only_ids_and_the_order_of_pairs(training: dict[str, Task]) -> None:
    task = training["007bbfb7"]
    same = Task("other", task.train[::-1], tuple(TestPair(pair.input, None) for pair in task.test))
    fewer = Task("fewer", task.train[1:], task.test)
    moved = Task("moved", (*task.train, Pair(*task.test[0])), task.test)  # type: ignore[arg-type]
    assert equal_tasks([same, fewer, moved], [task]) == [("other", "007bbfb7")]


def test_tasks_with_the_same_cells_in_other_shapes_differ() -> None:
    def task(rows: list[list[int]]) -> Task:
        return Task("t", (Pair(Grid(rows), Grid([[0]])),), (TestPair(Grid([[0]]), None),))

    assert equal_tasks([task([[1, 2]])], [task([[1], [2]])]) == []


def test_tasks_with_the_same_inputs_and_other_outputs_differ(training: dict[str, Task]) -> None:
    assert equal_tasks([training["a3df8b1e"]], [training["e179c5f4"]]) == []


def test_file_of_one_task_is_loaded(tmp_path: Path) -> None:
    (task,) = load_tasks(write(tmp_path / "mine.json", "\ufeff" + json.dumps({**TASK, "name": "ignored"})))
    assert task.id == "mine"
    assert task.train[0] == (Grid([[1, 2], [3, 4]]), Grid([[5]]))
    assert task.test == (TestPair(Grid([[0]]), Grid([[6]])),)


def test_directory_is_searched_recursively_and_sorted_by_id(tmp_path: Path) -> None:
    for name in ("b/2.json", "a/10.json", "1.json", ".git/3.json", "b/._2.json"):
        write(tmp_path / name, TASK)
    (tmp_path / "notes.txt").write_text("not a task")
    (tmp_path / "directory.json").mkdir()
    assert [task.id for task in load_tasks(tmp_path)] == ["1", "10", "2"]


def test_test_output_may_be_missing(tmp_path: Path) -> None:
    (task,) = load_tasks(write(tmp_path / "t.json", {**TASK, "test": [{"input": [[0]]}]}))
    assert task.test[0].output is None


@pytest.mark.parametrize("test", [ONE, {"input": [[0]]}])
def test_task_is_written_as_it_is_read(test: dict[str, Any]) -> None:
    data = {**TASK, "test": [test]}
    assert task_json(parse_task(data, "t", "here")) == data


CHALLENGES = {"b": {**TASK, "test": [{"input": [[0]]}, {"input": [[1]]}]}, "a": {**TASK, "test": [ONE]}}
SOLUTIONS = {"a": [[[2]]], "b": [[[3]], [[4]]], "unused": [[[5]]]}


def test_kaggle_solutions_are_given_or_found_by_name(tmp_path: Path) -> None:
    challenges = write(tmp_path / "arc-agi_training_challenges.json", CHALLENGES)
    assert [[pair.output for pair in task.test] for task in load_tasks(challenges)] == [
        [Grid([[5]])],
        [None, None],
    ]
    elsewhere = write(tmp_path / "elsewhere.json", SOLUTIONS)
    given = load_tasks(challenges, elsewhere)
    assert [task.id for task in given] == ["a", "b"]
    assert [pair.output for task in given for pair in task.test] == [Grid([[n]]) for n in (2, 3, 4)]
    write(tmp_path / "arc-agi_training_solutions.json", SOLUTIONS)
    assert load_tasks(challenges) == given


def changed(path: str, value: Any) -> Any:
    """Return TASK with one value changed, or removed if `value` is `...`."""
    task = json.loads(json.dumps(TASK))
    *steps, last = [int(step) if step.isdigit() else step for step in path.split("/")]
    place = task
    for step in steps:
        place = place[step]
    if value is ...:
        del place[last]
    else:
        place[last] = value
    return task


@pytest.mark.parametrize(
    ("data", "where", "expected", "found"),
    [
        (
            changed("train/1/output", [[8, 12]]),
            "train[1] output, row 0, column 1",
            "a colour from 0 to 9",
            "12",
        ),
        (changed("train/0/input", [[1, 2], [3, -1]]), "train[0] input, row 1, column 1", "a colour", "-1"),
        (changed("test/0/output", [[1], ["2"]]), "test[0] output, row 1, column 0", "a colour", '"2"'),
        (changed("test/0/input", [[1.0]]), "test[0] input, row 0, column 0", "a colour", "1.0"),
        (changed("test/0/input", [[True]]), "test[0] input, row 0, column 0", "a colour", "true"),
        (changed("train/0/input", [[1, 2], [3]]), "train[0] input, row 1", "2 columns, as in row 0", "1"),
        (changed("train/0/input", []), "train[0] input", "1 to 30 rows", "0"),
        (changed("train/0/input", [[], []]), "train[0] input, row 0", "1 to 30 columns", "0"),
        (changed("train/0/input", [[1]] * 31), "train[0] input", "1 to 30 rows", "31"),
        (changed("train/0/input", [[1] * 31]), "train[0] input, row 0", "1 to 30 columns", "31"),
        (changed("train/0/input", "12"), "train[0] input", "a grid", '"12"'),
        (changed("train/0/input", [12]), "train[0] input, row 0", "a row", "12"),
        (changed("train/0/output", ...), "train[0]", 'an "output"', 'an object with "input"'),
        (changed("train/1", [[1]]), "train[1]", "a pair", "a list of 1"),
        (changed("test/0/input", ...), "test[0]", 'an "input"', 'an object with "output"'),
        (changed("train", []), "train", "at least one pair", "none"),
        (changed("test", []), "test", "at least one pair", "none"),
        (changed("test", ...), "test", "a list of pairs", "nothing"),
        ([TASK], "", "a task or a set of tasks", "a list of 1"),
        (SOLUTIONS, "", "a task or a set of tasks", "an object with"),
        ({}, "", "a task or a set of tasks", "an empty object"),
        (
            {"a": TASK, "b": changed("train/0/input", [[10]])},
            "task b, train[0] input, row 0, column 0",
            "",
            "10",
        ),
        ({"a": TASK, "b": 3}, "task b", "an object", "3"),
        ("", "line 1, column 1", "JSON", "a syntax error"),
        (json.dumps(TASK)[:-9], "line 1", "JSON", "a syntax error"),
        pytest.param("[" * 100_000, "", "JSON", "lists nested too deeply", id="deep"),
        pytest.param("[" + "9" * 10_000 + "]", "", "JSON", "thousands of digits", id="long"),
    ],
)
def test_error_names_the_place_of_bad_data(
    tmp_path: Path, data: Any, where: str, expected: str, found: str
) -> None:
    file = write(tmp_path / "bad.json", data)
    with pytest.raises(TaskError) as caught:
        load_tasks(file)
    error = caught.value
    assert error.file == str(file)
    assert error.where.startswith(where) and bool(error.where) == bool(where)
    assert expected in error.expected
    assert found in error.found
    assert error.fix.endswith(".")
    for part in (error.file, error.where, error.expected, error.found, error.fix):
        assert part in str(error)


def test_file_that_is_not_text_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "bad.json").write_bytes(b"\xff\xfe{}")
    with pytest.raises(TaskError, match=r"bad\.json: expected JSON, found bytes that are not UTF-8"):
        load_tasks(tmp_path)


def test_key_that_occurs_twice_is_an_error(tmp_path: Path) -> None:
    text = json.dumps(TASK)
    challenges = write(tmp_path / "c.json", f'{{"a": {text}, "b": {text}, "a": {text}}}')
    with pytest.raises(TaskError, match=r'c\.json: expected unique keys in an object, found "a" twice'):
        load_tasks(challenges)
    twice = write(tmp_path / "t.json", text[:-1] + ', "train": []}')
    with pytest.raises(TaskError, match=r't\.json: expected unique keys in an object, found "train" twice'):
        load_tasks(twice)
    write(tmp_path / "c.json", {"a": TASK})
    solutions = write(tmp_path / "s.json", '{"a": [[[2]]], "a": [[[3]]]}')
    with pytest.raises(TaskError, match=r's\.json: expected unique keys in an object, found "a" twice'):
        load_tasks(challenges, solutions)


def test_only_regular_files_of_a_usual_size_are_read(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.json")
    with pytest.raises(TaskError, match=r"pipe\.json: .*, found neither"):
        load_tasks(tmp_path / "pipe.json")
    with pytest.raises(TaskError, match=r"pipe\.json: expected a regular file, found a pipe"):
        load_tasks(tmp_path)
    with open(tmp_path / "big.json", "wb") as file:
        file.truncate(MAX_FILE_BYTES + 1)
    with pytest.raises(TaskError, match=r"big\.json: expected at most 64 MB, found 64 MB"):
        load_tasks(tmp_path / "big.json")


def test_id_that_is_not_unicode_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(TaskError, match=r"expected a task id of Unicode text, found '\\ud800'"):
        load_tasks(write(tmp_path / "c.json", {"\ud800": TASK}))
    assert [task.id for task in load_tasks(write(tmp_path / "c.json", {"ä𝕏": TASK}))] == ["ä𝕏"]


def test_empty_source_is_not_the_current_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(write(tmp_path / "t.json", TASK).parent)
    assert [task.id for task in load_tasks(".")] == ["t"]
    with pytest.raises(TaskError, match="found an empty name"):
        load_tasks("")
    with pytest.raises(TaskError, match="found an empty name"):
        find_task("t", "")


def test_missing_source_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(TaskError, match="arc-agi-2/training, arc-agi-2/evaluation, found nothing there"):
        load_tasks(tmp_path / "absent")
    with pytest.raises(TaskError, match="expected JSON files, one per task, found none"):
        load_tasks(tmp_path)


def test_find_task_suggests_a_similar_id(tmp_path: Path) -> None:
    assert find_task("007bbfb7") == load_tasks("arc-agi-1/training")[0]
    assert find_task("00576224").test == load_tasks("arc-agi-1/evaluation")[0].test
    write(tmp_path / "mine.json", TASK)
    assert find_task("mine", tmp_path).id == "mine"
    with pytest.raises(
        TaskError, match=r"expected a task mind, found no task with this id. Did you mean mine\?"
    ):
        find_task("mind", tmp_path)
    with pytest.raises(TaskError, match=r"a task x, found no task .* `codeit tasks list .*` lists them"):
        find_task("x", tmp_path)


def test_two_files_with_the_same_name_are_an_error(tmp_path: Path) -> None:
    write(tmp_path / "a/1.json", TASK)
    write(tmp_path / "b/1.json", TASK)
    with pytest.raises(
        TaskError, match=r"b.1\.json: expected a unique file name, found the same name at .*a.1"
    ):
        load_tasks(tmp_path)


@pytest.mark.parametrize(
    ("solutions", "message"),
    [
        ({"a": [[[2]]]}, r"s\.json: task b: expected its test outputs"),
        ({**SOLUTIONS, "b": [[[3]]]}, r"s\.json: task b: expected 2 outputs, one per test pair, found 1"),
        (
            {**SOLUTIONS, "b": [[[3]], [[44]]]},
            r"s\.json: task b, test\[1\] output, row 0, column 0: .*found 44",
        ),
        ({**SOLUTIONS, "b": 3}, r"s\.json: task b: expected a list of output grids, found 3"),
        ([], r"s\.json: expected an object, found a list of 0"),
    ],
)
def test_error_names_the_place_of_bad_solutions(tmp_path: Path, solutions: Any, message: str) -> None:
    challenges = write(tmp_path / "c.json", CHALLENGES)
    with pytest.raises(TaskError, match=message):
        load_tasks(challenges, write(tmp_path / "s.json", solutions))


def test_solutions_are_rejected_for_tasks_with_their_own_outputs(tmp_path: Path) -> None:
    for source in ("arc-agi-1/training", write(tmp_path / "t.json", TASK), tmp_path):
        with pytest.raises(TaskError, match="expected a Kaggle challenges file"):
            load_tasks(source, tmp_path / "s.json")
