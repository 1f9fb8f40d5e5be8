from __future__ import annotations

import json
from pathlib import Path

import pytest
from puzzles import SMALL, STARTERS, within_reach, without_outputs

from codeit.storage.files import RunError
from codeit.language import Program, run_batch
from codeit.search.evolution import Evolution, run_evolution
from codeit.storage.search_log import SearchLog
from codeit.evaluation.scoring import read_solutions, verify
from codeit.data.tasks import Task


@pytest.fixture(scope="module")
def tasks() -> list[Task]:
    return within_reach()


def test_evolution_solves_what_its_starters_do_not(tasks: list[Task]) -> None:
    for task in tasks:
        evolution = Evolution(task, STARTERS, seed=0, settings=SMALL)
        generations = list(evolution.generations(5000))
        found = [answer for brood in generations for answer in brood.found]
        assert found, task.id
        assert generations[-1].solved == len(task.train)
        inputs = [[pair.input for pair in task.train]] * len(found)
        for outcomes in run_batch([answer.program for answer in found], inputs):
            assert [outcome.grid for outcome in outcomes] == [pair.output for pair in task.train]
        # What is told of the best only gets better.
        assert [brood.solved for brood in generations] == sorted(brood.solved for brood in generations)


def test_evolution_is_repeatable_and_more_programs_only_add(tasks: list[Task]) -> None:
    def generations(programs: int, seed: int) -> list[tuple[int, list[str]]]:
        evolution = Evolution(tasks[1], STARTERS, seed, SMALL)
        return [(b.tried, [str(one.program) for one in b.found]) for b in evolution.generations(programs)]

    assert generations(3000, 1) == generations(3000, 1) != generations(3000, 2)
    assert generations(2000, 1)[:-1] == generations(3000, 1)[: len(generations(2000, 1)) - 1]
    assert generations(2000, 1)[-1][0] == 2000


def test_evolution_does_not_look_at_test_outputs(tasks: list[Task]) -> None:
    assert [b.found for b in Evolution(without_outputs(tasks[0]), STARTERS, 3, SMALL).generations(2000)] == [
        b.found for b in Evolution(tasks[0], STARTERS, 3, SMALL).generations(2000)
    ]


def test_programs_from_elsewhere_join(tasks: list[Task]) -> None:
    evolution = Evolution(tasks[1], STARTERS, 0, SMALL)
    generations = evolution.generations(1000)
    first = next(generations)
    assert first.tried == evolution.tried == len(STARTERS) and first.solved == 0
    answer = Program.parse("x1 = vmirror(I)\nx2 = hconcat(x1, I)\nO = hmirror(x2)")
    renamed = Program.parse("x9 = vmirror(I)\nx4 = hconcat(x9, I)\nO = hmirror(x4)")
    evolution.join([answer, renamed, STARTERS[0]])
    assert evolution.tried == len(STARTERS) + 1  # what was tried before is not tried again
    assert evolution.members()[0] == (answer, len(tasks[1].train))
    assert [(one.program, one.votes) for one in evolution.answers()] == [(answer, 1)]
    assert next(generations).solved == len(tasks[1].train)
    assert [brood.tried for brood in generations][-1] == 1000


def test_a_record_goes_on_and_ends_the_same(tmp_path: Path, tasks: list[Task]) -> None:
    settings = {"programs": 2000, "seed": 0}

    def evolve(folder: str, some: list[Task], workers: int) -> bytes:
        with SearchLog(tmp_path / folder, settings) as record:
            run_evolution(record, STARTERS, some, 2000, 0, settings=SMALL, workers=workers)
            record.publish(some, [500, 2000])
        return (tmp_path / folder / "solutions.jsonl").read_bytes()

    whole = evolve("whole", tasks, 2)
    evolve("parts", tasks[:1], 1)  # as if stopped after a task
    assert evolve("parts", tasks, 1) == whole
    rows = [json.loads(line) for line in whole.splitlines()]
    assert {row["task"] for row in rows} <= {task.id for task in tasks}
    score = verify(read_solutions(tmp_path / "whole" / "solutions.jsonl"), tasks, leaked=())
    assert score.solved_demonstrations == len({row["task"] for row in rows}) > 0
    for task in tasks:  # no two answer the tests alike
        answers = [
            [Program.parse(row["program"])(pair.input) for pair in task.test]
            for row in rows
            if row["task"] == task.id
        ]
        assert all(one not in answers[:k] for k, one in enumerate(answers))
    curve = (tmp_path / "whole" / "curve.csv").read_text().splitlines()
    assert curve[0].startswith("programs,solved_top3") and [row.split(",")[0] for row in curve[1:]] == [
        "500",
        "2000",
    ]

    with pytest.raises(RunError, match=r"whole: seed: expected 0, as the search began, found 1"):
        SearchLog(tmp_path / "whole", settings | {"seed": 1})
    (tmp_path / "foreign").mkdir()
    (tmp_path / "foreign" / "thesis.txt").touch()
    with pytest.raises(RunError, match=r"foreign: expected a new folder or a search's, found thesis.txt"):
        SearchLog(tmp_path / "foreign", settings)
