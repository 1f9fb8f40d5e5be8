"""The search for all tasks of a set: `codeit search`."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from puzzles import SMALL_SEARCH, STARTERS, solvable_tasks, unsolvable_task

from codeit.config import SearchSettings, SolveSettings
from codeit.data.tasks import Task
from codeit.evaluation.scoring import read_solutions, verify
from codeit.experiments.search_run import run_search
from codeit.language import Program
from codeit.seeds import derive
from codeit.solver import TaskSearch
from codeit.storage.files import RunError
from codeit.storage.search_log import SearchLog


@pytest.fixture(scope="module")
def tasks() -> list[Task]:
    return solvable_tasks()


def run(directory: Path, tasks: list[Task], programs: int = 2000, workers: int = 1) -> tuple[bytes, bytes]:
    """Search for tasks, or continue; return solutions.jsonl and curve.csv."""
    with SearchLog(directory, {"programs": programs, "seed": 0}, may_change=["programs"]) as log:
        run_search(log, STARTERS, tasks, programs, 0, settings=SMALL_SEARCH, workforce=workers)
        log.publish(tasks, [500, programs])
    return (directory / "solutions.jsonl").read_bytes(), (directory / "curve.csv").read_bytes()


def stop_after_a_task(directory: Path, tasks: list[Task], programs: int) -> None:
    def stop(done: int, total: int) -> None:
        if done == 1:
            raise KeyboardInterrupt

    settings = {"programs": programs, "seed": 0}
    with SearchLog(directory, settings) as log, pytest.raises(KeyboardInterrupt):
        run_search(log, STARTERS, tasks, programs, 0, settings=SMALL_SEARCH, workforce=1, progress=stop)


def test_stopped_search_continues_to_the_same_solutions(tmp_path: Path, tasks: list[Task]) -> None:
    solutions, curve = run(tmp_path / "whole", tasks, workers=2)
    stop_after_a_task(tmp_path / "parts", tasks, 2000)
    assert run(tmp_path / "parts", tasks) == (solutions, curve)
    rows = [json.loads(line) for line in solutions.splitlines()]
    assert {row["task"] for row in rows} <= {task.id for task in tasks}
    score = verify(read_solutions(tmp_path / "whole" / "solutions.jsonl"), tasks, leaked=())
    assert score.solved_demonstrations == len({row["task"] for row in rows}) > 0
    for task in tasks:  # no two programs answer the tests alike
        answers = [
            [Program.parse(row["program"])(pair.input) for pair in task.test]
            for row in rows
            if row["task"] == task.id
        ]
        assert all(one not in answers[:k] for k, one in enumerate(answers))
    assert all(row["tried"] < 2000 for row in rows)  # the curve has all of them
    header, *points = curve.decode().splitlines()
    assert header.startswith("programs,solved_top3")
    assert [row.split(",")[0] for row in points] == ["500", "2000"]


def test_search_with_more_programs_gives_the_solutions_of_one_call(tmp_path: Path, tasks: list[Task]) -> None:
    at_once = run(tmp_path / "whole", tasks, 2000)
    smaller = run(tmp_path / "parts", tasks, 300)
    assert run(tmp_path / "parts", tasks, 2000) == at_once != smaller
    with SearchLog(tmp_path / "parts", {"programs": 2000}) as log:
        assert [part.programs for part in log.parts().values()] == [2000] * len(tasks)
        before = log.parts()
    run(tmp_path / "parts", tasks, 2000)
    with SearchLog(tmp_path / "parts", {"programs": 2000}) as log:
        assert log.parts() == before  # nothing is searched again


def test_progress_counts_the_tasks_of_earlier_calls(tmp_path: Path, tasks: list[Task]) -> None:
    stop_after_a_task(tmp_path, tasks, 300)
    calls: list[tuple[int, int]] = []
    with SearchLog(tmp_path, {"programs": 300, "seed": 0}) as log:
        run_search(
            log,
            STARTERS,
            tasks,
            300,
            0,
            settings=SMALL_SEARCH,
            workforce=1,
            progress=lambda *call: calls.append(call),
        )
    assert calls == [(1, 3), (2, 3), (3, 3)]


def test_search_log_refuses_other_settings_and_foreign_directories(tmp_path: Path) -> None:
    settings = {"programs": 2000, "seed": 0}
    with SearchLog(tmp_path / "whole", settings):
        pass
    with pytest.raises(RunError, match=r"whole: seed: expected 0, as the search began, found 1"):
        SearchLog(tmp_path / "whole", settings | {"seed": 1})
    (tmp_path / "foreign").mkdir()
    (tmp_path / "foreign" / "thesis.txt").touch()
    with pytest.raises(RunError, match=r"foreign: expected a new directory or a search's, found thesis.txt"):
        SearchLog(tmp_path / "foreign", settings)


def test_search_begins_with_enumeration_and_ends_once_the_answer_is_sure(
    tmp_path: Path, tasks: list[Task]
) -> None:
    settings = SearchSettings(enumeration={"expressions": 50_000}, evolution=SMALL_SEARCH.evolution)
    with SearchLog(tmp_path, {}) as log:
        run_search(log, STARTERS, tasks, 1000, 0, settings=settings, workforce=2)
        found, parts = log.candidates(), log.parts()
    solve_settings = SolveSettings.from_overrides(settings.flat())
    sure = 0
    for number, task in enumerate(tasks):
        search = TaskSearch(
            task, STARTERS, derive(0, "solve", task.id, 0), settings=solve_settings, threads=1
        )
        for _ in search.run(1000):
            pass
        last = {one.answer: one for one in found if one.task_id == task.id}
        assert {one.answer for one in search.state().answers} <= last.keys()
        assert parts[number].programs == search.tried
        if search.tried == 0:
            sure += 1
            assert [one.order for one in last.values()] == [0] * len(last)
    assert sure > 0


def test_what_the_enumeration_hands_over_counts_as_programs(tmp_path: Path) -> None:
    settings = SearchSettings(enumeration={"expressions": 5000}, evolution=SMALL_SEARCH.evolution)
    with SearchLog(tmp_path, {}) as log:
        run_search(log, STARTERS, [unsolvable_task()], 30, 0, settings=settings, workforce=1)
        assert [part.programs for part in log.parts().values()] == [30]
