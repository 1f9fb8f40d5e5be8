"""Lessons are what their programs do, on inputs that may be seen."""

import numpy as np
import pytest

from codeit.config import CorpusConfig
from codeit.policy.corpus import Corpus, PretrainingExample, view
from codeit.language import Grid, Program
from codeit.data.tasks import Task

SMALL = CorpusConfig(round=900, depth=4, grown=0.2)


def corpus(
    training: dict[str, Task], experts: dict[str, Program], seed: int = 0, avoid: tuple[Grid, ...] = ()
) -> Corpus:
    ids = [id for id in sorted(experts) if len(experts[id]) < 8][:30]
    fresh = {id: [Grid([[1, 2], [3, 4]]), Grid([[5, 6, 7]])] for id in ids}
    return Corpus([training[id] for id in ids], experts, fresh, avoid, seed, SMALL)


@pytest.fixture(scope="module")
def lessons(training: dict[str, Task], experts: dict[str, Program]) -> list[PretrainingExample]:
    return corpus(training, experts).round(3).lessons


def test_the_outputs_are_the_programs_own(lessons: list[PretrainingExample]) -> None:
    assert len(lessons) > 100
    for lesson in lessons:
        assert all(lesson.program(pair.input) == pair.output for pair in lesson.pairs)
        assert any(pair.input != pair.output for pair in lesson.pairs)
        assert len(lesson.pairs) == 1 or len({pair.output for pair in lesson.pairs}) > 1


def test_lessons_are_of_all_depths_and_of_all_origins(lessons: list[PretrainingExample]) -> None:
    assert {lesson.depth for lesson in lessons} == {0, 1, 2, 3, 4}
    assert "" in {lesson.origin for lesson in lessons}
    assert len({lesson.origin for lesson in lessons}) > 20
    assert len({lesson.behaviour for lesson in lessons}) == len(lessons)


def test_no_line_is_the_identity(lessons: list[PretrainingExample]) -> None:
    assert not any(line.function == "identity" for lesson in lessons for line in lesson.program.lines)


def test_a_behaviour_is_what_a_program_does_on_its_tasks_inputs(
    training: dict[str, Task], experts: dict[str, Program], lessons: list[PretrainingExample]
) -> None:
    done: dict[int, tuple[str, tuple[Grid | None, ...]]] = {}
    for lesson in (*lessons, *corpus(training, experts).round(4).lessons):
        if task := training.get(lesson.origin):
            does = lesson.origin, tuple(lesson.program(pair.input) for pair in (*task.train, *task.test))
            assert done.setdefault(lesson.behaviour, does) == does
    assert len(done) == len(set(done.values())) > 100


def test_a_round_hangs_on_seed_and_number_alone(
    training: dict[str, Task], experts: dict[str, Program], lessons: list[PretrainingExample]
) -> None:
    again = corpus(training, experts)
    others = again.round(4).lessons
    assert again.round(3).lessons == lessons != others
    assert corpus(training, experts, seed=1).round(3).lessons != lessons


def test_no_grid_that_is_to_be_avoided_enters(
    training: dict[str, Task], experts: dict[str, Program], lessons: list[PretrainingExample]
) -> None:
    shown = [grid for lesson in lessons for pair in lesson.pairs for grid in pair]
    avoided = max(shown, key=shown.count)
    left = corpus(training, experts, avoid=(avoided,)).round(3).lessons
    assert 0 < len(left) < len(lessons)
    assert all(avoided not in pair for lesson in left for pair in lesson.pairs)


def test_views() -> None:
    grid = Grid([[1, 2, 3], [4, 5, 6]])
    seen = {bytes(view([grid], turn, None)[0]): view([grid], turn, None)[0].shape for turn in range(8)}
    assert len(seen) == 8 and sorted(seen.values()) == [(2, 3)] * 4 + [(3, 2)] * 4
    assert view([grid], 0, None) == [grid]
    assert view([grid], 0, np.arange(9, -1, -1)) == [Grid([[8, 7, 6], [5, 4, 3]])]
