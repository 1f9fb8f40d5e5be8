"""What a search log keeps of a search: damaged states of parts, and tasks that have changed."""

from __future__ import annotations

import sqlite3
import zlib
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from puzzles import SMALL_SEARCH, STARTERS, solvable_tasks

from codeit.config import SamplingConfig
from codeit.data.tasks import Task
from codeit.experiments.mutation_baseline import run_baseline
from codeit.experiments.search_run import run_search
from codeit.experiments.submission import Submission, log_directory
from codeit.language import Budget
from codeit.search.mutation import Mutator
from codeit.storage.database import StoreError
from codeit.storage.files import RunError
from codeit.storage.search_log import Part, SearchLog

TASKS = solvable_tasks()


def evolve(log: SearchLog, tasks: list[Task]) -> None:
    run_search(log, STARTERS, tasks, 100, 0, settings=SMALL_SEARCH, workforce=1)


def baseline(log: SearchLog, tasks: list[Task]) -> None:
    experts = dict(zip((task.id for task in TASKS), STARTERS, strict=False))
    mutator = Mutator(experts, {task.id: task for task in TASKS}, 0)
    run_baseline(log, experts, mutator, tasks, 20, budget=Budget())


def evaluate(log: SearchLog, tasks: list[Task]) -> None:
    pytest.importorskip("torch")
    from codeit.config import PolicyConfig
    from codeit.experiments.policy_evaluation import evaluate_policy
    from codeit.policy.model import Policy

    sizes = {"d_model": 16, "d_ff": 16, "heads": 2, "layers_encoder": 1, "layers_decoder": 1}
    config = PolicyConfig(init="random", encoding="runs", device="cpu", max_program_tokens=8, **sizes)
    evaluate_policy(log, Policy.create(config, 0), tasks, SamplingConfig(samples_per_task=1), 0, threads=1)


def submit(log: SearchLog, tasks: list[Task]) -> None:
    Submission(log, log.directory / "out.json", tasks)


@pytest.mark.parametrize(
    ("search", "state"),
    [
        *[(evolve, state) for state in (b"", b"1O0", b"\xff")],
        *[(baseline, state) for state in (b"", b"odd", bytes(8), "")],
        *[(evaluate, state) for state in (b"", b"[1]", b'{"drawn": "x"}', b'{"drawm": 1}', b"[" * 9999)],
        *[(submit, zlib.compress(state)) for state in (b"", b"[]", b'{"programs": [[1, 2, 3]]}', b"\xff")],
        *[(submit, zlib.compress(b'{"programs": [["O = I", 1, 1]], "settled": 1, "carried": []}'))],
        *[(submit, state) for state in (b"", b"no deflate", 7)],
    ],
)
def test_damaged_state_of_a_part_is_one_error(
    search: Callable[[SearchLog, list[Task]], None], state: object, tmp_path: Path
) -> None:
    with SearchLog(tmp_path, {}) as log:
        for number in range(2):
            log.commit(number, Part(10, 1.0, 1.0, b"\x00" * 16), [])
    with sqlite3.connect(tmp_path / "search.sqlite") as database:
        database.execute("UPDATE part SET state = ? WHERE number = 1", (state,))
        if search is not baseline:  # its first part has no state
            database.execute("DELETE FROM part WHERE number = 0")
    database.close()
    expected = r"sqlite: expected an intact database .*(state of part 1|values of other types)"
    with pytest.raises(StoreError, match=expected) as error, SearchLog(tmp_path, {}) as log:
        search(log, TASKS)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("search", [evolve, baseline, evaluate])
def test_search_whose_tasks_have_changed_is_refused(
    search: Callable[[SearchLog, list[Task]], None], tmp_path: Path
) -> None:
    changed = [replace(TASKS[0], train=TASKS[0].train[:2]), *TASKS[1:]]
    with SearchLog(tmp_path, {"tasks": "mine"}) as log:
        search(log, TASKS)
        before = log.parts(), log.candidates()
    with SearchLog(tmp_path, {"tasks": "mine"}) as log:
        with pytest.raises(RunError, match=r"expected the tasks that the search began with, found others"):
            search(log, changed)
        assert (log.parts(), log.candidates()) == before
        search(log, TASKS)


def test_search_of_an_earlier_version_has_no_fingerprint_and_continues(tmp_path: Path) -> None:
    with SearchLog(tmp_path, {}) as log:
        evolve(log, TASKS)
        whole = log.candidates()
        with log.transaction():
            log.connection.execute("DELETE FROM setting WHERE name = 'content'")
            log.connection.execute("DELETE FROM part WHERE number = 2")
            log.connection.execute("DELETE FROM candidate WHERE part = 2")
    with SearchLog(tmp_path, {}) as log:
        evolve(log, TASKS)
        assert log.candidates() == whole and "content" in log.settings()


@pytest.mark.parametrize("out", ["/dev/null", "/dev/stdout", "/dev/stderr"])
def test_submission_to_a_device_is_refused(out: str) -> None:
    with pytest.raises(RunError, match=rf"--out {out}: expected a file, .* found a device"):
        log_directory(Path(out))
    assert not Path(f"{out}.search").exists()
