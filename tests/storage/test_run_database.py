"""The database of a run: samples, candidates, metrics, and what is done."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from codeit.evaluation.candidate import Candidate
from codeit.language import Program
from codeit.storage.run_database import RunDatabase

P = Program.parse("O = vmirror(I)")
Q = Program.parse("x1 = rot90(I)\nO = hmirror(x1)")


@pytest.fixture
def database(tmp_path: Path) -> Iterator[RunDatabase]:
    with RunDatabase(tmp_path / "run.sqlite") as database:
        yield database


def add_experience(database: RunDatabase) -> None:
    with database.transaction():
        database.add_tasks("test", [("t", 3)])
        kind = {"iteration": 0, "source": "policy", "priority": 0.5, "behaviour": b"P", "encodable": True}
        assert database.replay.add("test", "t", P, **kind)


def candidate(
    task_id: str, program: Program, iteration: int, source: str, solved: int, votes: int = 1
) -> Candidate:
    return Candidate(task_id, program, solved, votes=votes, iteration=iteration, source=source)


def test_an_exception_undoes_everything_in_its_transaction(database: RunDatabase) -> None:
    add_experience(database)
    with pytest.raises(KeyboardInterrupt), database.transaction():
        database.replay.mark_drawn([1])
        database.set_done(0, "train", 0, 1.0)
        raise KeyboardInterrupt
    assert not database.is_done(0, "train")
    (kept,) = database.replay.draw(1, ("policy",), np.random.default_rng(0), floor=0.1)
    assert kept.times_drawn == 0


def test_samples_and_candidates_are_counted_and_come_in_order(database: RunDatabase) -> None:
    with database.transaction():
        database.add_tasks("test", [("a", 2), ("b", 4)])
        for program in (P, Q):
            database.add_program(program)
        for iteration, task_id, ordinal, program, outcome, solved, new in [
            (1, "b", 0, Q, "grid", 3, True),
            (1, "b", 1, None, "parse error", 0, False),
            (1, "a", 0, P, "grid", 1, False),
            (1, "a", 1, Q, "type error", 0, False),
            (2, "a", 0, Q, "grid", 2, False),
            (2, "a", 1, P, "grid", 1, False),
            (2, "a", 2, Q, "grid", 2, False),
        ]:
            database.add_sample(
                iteration, task_id, ordinal, program, outcome=outcome, demonstrations_solved=solved, new=new
            )
        assert database.add_candidate(candidate("b", Q, 1, "policy", 3))
        assert database.add_candidate(candidate("a", P, 1, "policy", 1))
        assert not database.add_candidate(candidate("b", Q, 2, "mutation", 3))
        assert not database.add_candidate(candidate("b", Q, 2, "policy", 3))
        assert not database.add_candidate(candidate("b", Q, 2, "search", 3, votes=7))
        assert not database.add_candidate(candidate("b", Q, 3, "search", 3, votes=5))
    assert database.sample_statistics(1) == {
        "samples": 4,
        "share_parse": 0.75,
        "share_run": 0.5,
        "share_new": 0.25,
    }
    assert database.sample_statistics(9) == {}
    assert database.sampled_candidates(1) == [
        Candidate("a", P, 1, order=0, votes=1, iteration=1, source="policy"),
        Candidate("b", Q, 3, order=1, votes=1, iteration=1, source="policy"),
    ]
    assert database.sampled_candidates(2) == [
        Candidate("a", Q, 2, order=0, votes=2, iteration=2, source="policy"),
        Candidate("a", P, 1, order=1, votes=1, iteration=2, source="policy"),
    ]
    assert database.candidates() == [
        Candidate("b", Q, 3, order=0, votes=1 + 1 + 7 + 5, iteration=1, source="policy"),
        Candidate("a", P, 1, order=1, votes=1, iteration=1, source="policy"),
    ]


def test_a_candidate_of_a_new_program_adds_the_program(database: RunDatabase) -> None:
    with database.transaction():
        database.add_tasks("test", [("a", 2)])
        assert database.add_candidate(candidate("a", Q, 0, "search", 2, votes=3))
        assert not database.add_program(Q)
    assert [(one.program, one.votes) for one in database.candidates()] == [(Q, 3)]


def test_the_program_of_a_candidate_is_parsed_once(database: RunDatabase) -> None:
    with database.transaction():
        database.add_tasks("test", [("a", 2)])
        database.add_candidate(candidate("a", Q, 0, "search", 2))
    (first,), (second,) = database.candidates(), database.candidates()
    assert first.program is second.program


def test_scores_are_recorded_for_test_tasks(database: RunDatabase) -> None:
    with database.transaction():
        database.add_tasks("train", [("a", 2)])
        database.add_tasks("test", [("b", 2), ("a", 2)])
        database.add_scores(3, "cumulative", ["a", "b"])
    query = """
        SELECT s.iteration, s.scope, t.split, t.name FROM score AS s JOIN task AS t ON t.id = s.task_id
        ORDER BY t.name
    """
    assert database.connection.execute(query).fetchall() == [
        (3, "cumulative", "test", "a"),
        (3, "cumulative", "test", "b"),
    ]
    assert database.scores(3, "cumulative") == ["a", "b"]
    assert database.scores(2, "cumulative") == database.scores(3, "policy") == []


def test_metrics_are_those_of_finished_iterations_in_the_order_of_metrics(database: RunDatabase) -> None:
    with database.transaction():
        database.add_metrics(0, {"loss": 2.0, "cumulative_top3": 1.0})
        database.set_done(0, "record", 0, 0.1)
        database.add_metrics(1, {"loss": 1.0})
    assert {i: list(row.items()) for i, row in database.metrics().items()} == {
        0: [("cumulative_top3", 1.0), ("loss", 2.0)]
    }


def test_seconds_are_summed_over_the_parts_of_a_phase(database: RunDatabase) -> None:
    assert database.last_iteration_of("sample") is None
    with database.transaction():
        for part in range(3):
            database.set_done(2, "sample", part, 0.5)
    assert database.seconds(2) == {"sample": 1.5}
    assert database.last_iteration_of("sample") == 2


def test_a_database_opened_again_has_what_was_committed(tmp_path: Path) -> None:
    with RunDatabase(tmp_path / "s") as database:
        add_experience(database)
        with database.transaction():
            database.set_config("[run]\n")
    with RunDatabase(tmp_path / "s") as database:
        assert database.config() == "[run]\n"
        assert database.replay.sizes()["policy"] == 1
