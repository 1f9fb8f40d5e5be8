"""A policy tried by itself: counted as it happened, the same when it goes on, solvers found."""

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

import codeit.experiments.policy_evaluation
from codeit.config import PolicyConfig
from codeit.policy.model import Policy
from codeit.storage.search_log import SearchLog
from codeit.data.tasks import Task, by_size
from codeit.experiments.policy_evaluation import SampleCounts, points, evaluate_policy

TEXTS = [
    "O = vmirror(I)",  # solves the first task below
    "O = hmirror(I)",
    "no program",
    "O = hmirror(I)",
    "O = first(I)",  # parses, and gives no grid
]


@pytest.fixture
def tasks(training: dict[str, Task]) -> list[Task]:
    return [training["67a3c6ac"], training["68b16354"], training["007bbfb7"]]


@pytest.fixture
def scripted(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """A policy that says the same of every task; the numbers of tasks that it was asked about at once."""
    asked: list[int] = []

    def sample(policy: object, tasks: Sequence[Any], n: int, **_: object) -> Iterator[tuple[int, list[str]]]:
        asked.append(len(tasks))
        yield from ((place, (TEXTS * n)[:n]) for place in reversed(range(len(tasks))))

    monkeypatch.setattr(codeit.experiments.policy_evaluation, "sample", sample)
    return asked


def test_what_programs_do_is_counted(tmp_path: Path, tasks: list[Task], scripted: list[int]) -> None:
    with SearchLog(tmp_path, {}) as record:
        counts = evaluate_policy(record, None, tasks, 5, 0)  # type: ignore[arg-type]
        assert counts == SampleCounts(
            drawn=15, distinct=12, parsed=12, ran=9, solved_one=3, solved_all=3, tasks_solved_one=2
        )
        found = [(one.task, str(one.program), one.tried) for one in record.found()]
        assert found == [("67a3c6ac", "O = vmirror(I)", 0), ("68b16354", "O = hmirror(I)", 1)]
        curve = record.publish(tasks, [1, 5])
        assert [curve[n].solved_top3 for n in (1, 5)] == [1, 2]


def test_a_trial_goes_on_where_it_was_stopped(
    tmp_path: Path, tasks: list[Task], scripted: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(codeit.experiments.policy_evaluation, "TASKS_AT_ONCE", 1)

    def stop(done: int, total: int) -> None:
        if done == 2:
            raise KeyboardInterrupt

    with SearchLog(tmp_path, {}) as record, pytest.raises(KeyboardInterrupt):
        evaluate_policy(record, None, tasks, 5, 0, progress=stop)  # type: ignore[arg-type]
    with SearchLog(tmp_path, {}) as record:
        counts = evaluate_policy(record, None, tasks, 5, 0)  # type: ignore[arg-type]
    assert scripted == [1, 1, 1] and counts.drawn == 15


def test_a_real_policy_is_tried_the_same_each_time(tmp_path: Path, tasks: list[Task]) -> None:
    sizes = {"d_model": 16, "d_ff": 32, "heads": 2, "layers_encoder": 1, "layers_decoder": 1}
    config = PolicyConfig(init="random", encoding="patches", device="cpu", max_program_tokens=24, **sizes)
    policy = Policy.create(config, 0)
    states = []
    for name in "ab":
        with SearchLog(tmp_path / name, {}) as record:
            counts = evaluate_policy(record, policy, tasks, 6, seed=1, threads=1)
            states += [json.loads(part.state) for part in record.parts().values()]
    assert states[0] == states[1] == counts._asdict()
    assert counts.drawn == 18 and counts.parsed == 18


def test_points_and_order(tasks: list[Task]) -> None:
    assert points(24) == [24] and points(400) == [24, 48, 96, 192, 384, 400] and points(3) == [3]
    assert [task.id for task in by_size(tasks)] == ["68b16354", "67a3c6ac", "007bbfb7"]
