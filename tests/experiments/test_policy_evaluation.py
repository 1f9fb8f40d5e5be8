"""Evaluation of a policy: counts, solutions, resuming, reproducibility."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

import codeit.experiments.policy_evaluation
from codeit.config import PolicyConfig, SamplingConfig
from codeit.data.tasks import Task, by_size
from codeit.experiments.policy_evaluation import SampleCounts, curve_points, evaluate_policy
from codeit.policy.model import Policy
from codeit.storage.search_log import SearchLog

TEXTS = [
    "O = vmirror(I)",  # solves the first task below
    "O = hmirror(I)",
    "no program",
    "O = hmirror(I)",
    "O = first(I)",  # parses, but gives no grid
]
FIVE = SamplingConfig(samples_per_task=5)


@pytest.fixture
def tasks(training: dict[str, Task]) -> list[Task]:
    return [training["67a3c6ac"], training["68b16354"], training["007bbfb7"]]


@pytest.fixture
def scripted(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Replace sampling by fixed texts; return the list of the numbers of tasks sampled at once."""
    requested: list[int] = []

    def sample(
        policy: object, tasks: Sequence[Any], sampling: SamplingConfig, **_: object
    ) -> Iterator[tuple[int, list[str]]]:
        requested.append(len(tasks))
        n = sampling.samples_per_task
        yield from ((place, (TEXTS * n)[:n]) for place in reversed(range(len(tasks))))

    monkeypatch.setattr(codeit.experiments.policy_evaluation, "sample", sample)
    return requested


def test_samples_are_counted_and_solvers_recorded(
    tmp_path: Path, tasks: list[Task], scripted: list[int]
) -> None:
    with SearchLog(tmp_path, {}) as log:
        counts = evaluate_policy(log, None, tasks, FIVE, 0)  # type: ignore[arg-type]
        assert counts == SampleCounts(
            drawn=15, distinct=12, parsed=12, ran=9, solved_one=3, solved_all=3, tasks_solved_one=2
        )
        found = [(one.task_id, str(one.program), one.order) for one in log.candidates()]
        assert found == [("67a3c6ac", "O = vmirror(I)", 0), ("68b16354", "O = hmirror(I)", 1)]
        curve = log.publish(tasks, [1, 5])
        assert [curve[n].solved_top3 for n in (1, 5)] == [1, 2]


def test_stopped_evaluation_continues_without_sampling_again(
    tmp_path: Path, tasks: list[Task], scripted: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(codeit.experiments.policy_evaluation, "TASKS_AT_ONCE", 1)

    def stop(done: int, total: int) -> None:
        if done == 2:
            raise KeyboardInterrupt

    with SearchLog(tmp_path, {}) as log, pytest.raises(KeyboardInterrupt):
        evaluate_policy(log, None, tasks, FIVE, 0, progress=stop)  # type: ignore[arg-type]
    with SearchLog(tmp_path, {}) as log:
        counts = evaluate_policy(log, None, tasks, FIVE, 0)  # type: ignore[arg-type]
    assert scripted == [1, 1, 1] and counts.drawn == 15


def test_evaluation_of_a_real_policy_is_reproducible(tmp_path: Path, tasks: list[Task]) -> None:
    sizes = {"d_model": 16, "d_ff": 32, "heads": 2, "layers_encoder": 1, "layers_decoder": 1}
    config = PolicyConfig(init="random", encoding="patches", device="cpu", max_program_tokens=24, **sizes)
    policy = Policy.create(config, 0)
    states = []
    for name in "ab":
        with SearchLog(tmp_path / name, {}) as log:
            counts = evaluate_policy(log, policy, tasks, SamplingConfig(samples_per_task=6), 1, threads=1)
            states += [json.loads(part.state) for part in log.parts().values()]
    assert states[0] == states[1] == counts._asdict()
    assert counts.drawn == 18 and counts.parsed == 18


def test_curve_points_are_doubled_from_the_papers_24() -> None:
    assert curve_points(24) == [24] and curve_points(400) == [24, 48, 96, 192, 384, 400]
    assert curve_points(3) == [3]


def test_by_size_orders_tasks_by_the_size_of_their_grids(tasks: list[Task]) -> None:
    assert [task.id for task in by_size(tasks)] == ["68b16354", "67a3c6ac", "007bbfb7"]
