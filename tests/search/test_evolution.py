"""Evolution of programs for one task, and the search log of a set of tasks."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from puzzles import SMALL, STARTERS, solvable_tasks, without_outputs

from codeit.data.tasks import Task
from codeit.evaluation.scoring import read_solutions, verify
from codeit.experiments.evolution_run import run_evolution
from codeit.language import Program, run_batch
from codeit.search.evolution import Evolution, EvolutionJob, evolve
from codeit.storage.files import RunError
from codeit.storage.search_log import SearchLog


@pytest.fixture(scope="module")
def tasks() -> list[Task]:
    return solvable_tasks()


def test_evolution_solves_tasks_that_its_starters_do_not_solve(tasks: list[Task]) -> None:
    for task in tasks:
        evolution = Evolution(task, STARTERS, seed=0, settings=SMALL)
        generations = list(evolution.generations(5000))
        found = [answer for generation in generations for answer in generation.found]
        assert found, task.id
        assert {(answer.task_id, answer.solved) for answer in found} == {(task.id, len(task.train))}
        assert generations[-1].solved == len(task.train)
        inputs = [[pair.input for pair in task.train]] * len(found)
        for outcomes in run_batch([answer.program for answer in found], inputs):
            assert [outcome.grid for outcome in outcomes] == [pair.output for pair in task.train]
        # The best program only gets better.
        solved = [generation.solved for generation in generations]
        assert solved == sorted(solved)


def test_evolution_is_reproducible_and_a_smaller_budget_gives_its_beginning(tasks: list[Task]) -> None:
    def generations(programs: int, seed: int) -> list[tuple[int, list[str]]]:
        evolution = Evolution(tasks[1], STARTERS, seed, SMALL)
        return [(g.tried, [str(one.program) for one in g.found]) for g in evolution.generations(programs)]

    once, again, other = (generations(3000, seed) for seed in (1, 1, 2))
    assert once == again != other
    shorter = generations(2000, 1)
    assert shorter[:-1] == once[: len(shorter) - 1]
    assert shorter[-1][0] == 2000


def test_evolution_does_not_read_test_outputs(tasks: list[Task]) -> None:
    assert [g.found for g in Evolution(without_outputs(tasks[0]), STARTERS, 3, SMALL).generations(2000)] == [
        g.found for g in Evolution(tasks[0], STARTERS, 3, SMALL).generations(2000)
    ]


def test_injected_programs_are_tried_once_and_join_the_population(tasks: list[Task]) -> None:
    evolution = Evolution(tasks[1], STARTERS, 0, SMALL)
    generations = evolution.generations(1000)
    first = next(generations)
    assert first.tried == evolution.tried == len(STARTERS) and first.solved == 0
    answer = Program.parse("x1 = vmirror(I)\nx2 = hconcat(x1, I)\nO = hmirror(x2)")
    renamed = Program.parse("x9 = vmirror(I)\nx4 = hconcat(x9, I)\nO = hmirror(x4)")
    evolution.inject([answer, renamed, STARTERS[0]])
    assert evolution.tried == len(STARTERS) + 1  # programs that were tried before are not tried again
    best = evolution.members()[0]
    assert (best.task_id, best.program, best.solved) == (tasks[1].id, answer, len(tasks[1].train))
    assert [(one.program, one.votes) for one in evolution.answers()] == [(answer, 1)]
    assert next(generations).solved == len(tasks[1].train)
    assert [generation.tried for generation in generations][-1] == 1000


def test_evolve_returns_the_answers_and_the_population(tasks: list[Task]) -> None:
    answers, members = evolve(EvolutionJob(tasks[0], STARTERS, 3000, 5, SMALL))
    evolution = Evolution(tasks[0], STARTERS, 5, SMALL)
    for _ in evolution.generations(3000):
        pass
    assert answers == evolution.answers()[:5] and answers
    assert members == [one.program for one in evolution.members()]


def run(directory: Path, tasks: list[Task], programs: int = 2000, workers: int = 1) -> tuple[bytes, bytes]:
    """Evolve tasks, or continue; return solutions.jsonl and curve.csv."""
    with SearchLog(directory, {"programs": programs, "seed": 0}, may_change=["programs"]) as log:
        run_evolution(log, STARTERS, tasks, programs, 0, settings=SMALL, workers=workers)
        log.publish(tasks, [500, programs])
    return (directory / "solutions.jsonl").read_bytes(), (directory / "curve.csv").read_bytes()


def stop_after_a_task(directory: Path, tasks: list[Task], programs: int) -> None:
    def stop(done: int, total: int) -> None:
        if done == 1:
            raise KeyboardInterrupt

    settings = {"programs": programs, "seed": 0}
    with SearchLog(directory, settings) as log, pytest.raises(KeyboardInterrupt):
        run_evolution(log, STARTERS, tasks, programs, 0, settings=SMALL, workers=1, progress=stop)


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
        assert log.parts() == before  # nothing is evolved again


def test_progress_counts_the_tasks_of_earlier_calls(tmp_path: Path, tasks: list[Task]) -> None:
    stop_after_a_task(tmp_path, tasks, 300)
    calls: list[tuple[int, int]] = []
    with SearchLog(tmp_path, {"programs": 300, "seed": 0}) as log:
        run_evolution(
            log, STARTERS, tasks, 300, 0, settings=SMALL, workers=1, progress=lambda *call: calls.append(call)
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
