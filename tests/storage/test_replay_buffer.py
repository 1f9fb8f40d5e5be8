"""The replay buffer: exact draws, eviction, and a record that keeps all of a transaction or nothing."""

import sqlite3
from itertools import permutations
from pathlib import Path

import numpy as np
import pytest

from codeit.storage.database import StoreError
from codeit.storage.replay_buffer import SCHEMA_VERSION, SOURCES, Store, draw_without_replacement

# The 99.9 % points of the chi-square distribution, by degrees of freedom.
CHI_SQUARE = {3: 16.27, 4: 18.47, 5: 20.52, 11: 31.26, 23: 49.73}


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "run.sqlite")


def fill(store: Store, rows: list[tuple[str, float]]) -> None:
    """Experiences of (source, priority), ids 1, 2, … in order, on one task of each split."""
    with store.transaction():
        store.add_tasks("train", [("t", 3)])
        store.add_tasks("test", [("t", 3)])
        for number, (source, priority) in enumerate(rows):
            text = f"program {number}"
            store.add_program(text, 1)
            split = "train" if source in ("expert", "mutation") else "test"
            assert store.add_experience(split, "t", text, 0, source, priority)


def sequence_probability(weights: np.ndarray, order: tuple[int, ...]) -> float:
    """Of drawing these items in this order, one after another in proportion to weight: the definition."""
    left, probability = weights.sum(), 1.0
    for item in order:
        probability *= weights[item] / left
        left -= weights[item]
    return probability


@pytest.mark.parametrize("n", [1, 2, 3, 4])
def test_draws_follow_the_definition_in_every_order(n: int) -> None:
    weights, rng, trials = np.array([0.1, 0.3, 0.5, 1.0]), np.random.default_rng(n), 20_000
    counts = dict.fromkeys(permutations(range(4), n), 0)
    for _ in range(trials):
        counts[tuple(draw_without_replacement(weights, n, rng).tolist())] += 1
    expected = {order: trials * sequence_probability(weights, order) for order in counts}
    assert sum(expected.values()) == pytest.approx(trials)
    statistic = sum((counts[order] - expected[order]) ** 2 / expected[order] for order in counts)
    assert statistic < CHI_SQUARE[len(counts) - 1]


def test_no_item_is_drawn_twice_and_no_more_than_there_are() -> None:
    rng = np.random.default_rng(0)
    assert sorted(draw_without_replacement(np.ones(50), 80, rng).tolist()) == list(range(50))
    assert len(set(draw_without_replacement(np.ones(50), 20, rng).tolist())) == 20
    assert draw_without_replacement(np.ones(50), 0, rng).tolist() == []
    assert draw_without_replacement(np.ones(0), 5, rng).tolist() == []


@pytest.mark.parametrize("weight", [0.0, -1.0, np.inf, np.nan])
def test_a_weight_that_is_no_weight_is_refused(weight: float) -> None:
    with pytest.raises(ValueError, match="positive, finite"):
        draw_without_replacement(np.array([1.0, weight]), 1, np.random.default_rng(0))


def test_half_a_million_weights_are_one_vectorised_draw(monkeypatch: pytest.MonkeyPatch) -> None:
    class Counting:
        calls = 0

        def standard_exponential(self, size: int) -> np.ndarray:
            Counting.calls += 1
            return np.random.default_rng(0).standard_exponential(size)

    weights = np.where(np.arange(500_000) % 100 == 0, 1.0, 0.01)
    drawn = draw_without_replacement(weights, 90_000, Counting())  # type: ignore[arg-type]
    assert Counting.calls == 1
    assert len(set(drawn.tolist())) == 90_000
    assert (drawn % 100 == 0).sum() == 5_000  # such a heavy item is left out with probability 1e-8 or so


def test_the_store_draws_by_priority_with_a_floor(store: Store) -> None:
    fill(store, [("policy", 0.0), ("policy", 0.05), ("policy", 0.5), ("policy", 1.0)])
    weights, rng, trials = np.array([0.1, 0.1, 0.5, 1.0]), np.random.default_rng(1), 6_000
    counts = np.zeros(4)
    for _ in range(trials):
        for drawn in store.draw(2, ("policy", "search"), rng, floor=0.1):
            counts[drawn.id - 1] += 1
            assert drawn.share == pytest.approx(weights[drawn.id - 1] / 1.7)
    inclusion = [
        sum(sequence_probability(weights, order) for order in permutations(range(4), 2) if item in order)
        for item in range(4)
    ]
    assert counts / trials == pytest.approx(inclusion, abs=4 * 0.5 / trials**0.5)


def test_without_priority_the_draw_is_uniform(store: Store) -> None:
    fill(store, [("policy", priority) for priority in (0.0, 0.2, 0.5, 1.0)])
    rng, trials, counts = np.random.default_rng(2), 4_000, np.zeros(4)
    for _ in range(trials):
        (drawn,) = store.draw(1, ("policy",), rng, floor=0.1, prioritized=False)
        counts[drawn.id - 1] += 1
        assert drawn.share == 0.25
    assert ((counts - trials / 4) ** 2 / (trials / 4)).sum() < CHI_SQUARE[3]


def test_long_programs_are_drawn_less_often_if_asked(store: Store) -> None:
    lengths, priorities = (2, 4, 16, 16), (1.0, 1.0, 1.0, 0.5)
    with store.transaction():
        store.add_tasks("test", [("t", 2)])
        for number, (length, priority) in enumerate(zip(lengths, priorities, strict=True)):
            store.add_program(f"program {number}", length)
            store.add_experience("test", "t", f"program {number}", 0, "policy", priority)
    weights, rng, trials, counts = (
        np.array([1, 1, 1 / 8, 1 / 16]),
        np.random.default_rng(4),
        4_000,
        np.zeros(4),
    )
    for _ in range(trials):
        (drawn,) = store.draw(1, ("policy",), rng, floor=0.1, short=4)
        counts[drawn.id - 1] += 1
        assert drawn.share == pytest.approx(weights[drawn.id - 1] / weights.sum())
    expected = trials * weights / weights.sum()
    assert ((counts - expected) ** 2 / expected).sum() < CHI_SQUARE[3]


def test_a_draw_names_what_it_drew_in_the_order_drawn_and_is_seeded(store: Store) -> None:
    fill(store, [("expert", 1.0), ("mutation", 0.5), ("policy", 0.25), ("mutation", 0.0)])
    drawn = store.draw(9, ("expert", "mutation"), np.random.default_rng(3), floor=0.1)
    assert sorted(row.id for row in drawn) == [1, 2, 4]
    assert {(row.id, row.split, row.task, row.program, row.source, row.priority) for row in drawn} == {
        (1, "train", "t", "program 0", "expert", 1.0),
        (2, "train", "t", "program 1", "mutation", 0.5),
        (4, "train", "t", "program 3", "mutation", 0.0),
    }
    again = store.draw(9, ("expert", "mutation"), np.random.default_rng(3), floor=0.1)
    assert again == drawn
    weights = np.array([1.0, 0.5, 0.1])
    places = draw_without_replacement(weights, 3, np.random.default_rng(3))
    assert [row.id for row in drawn] == [[1, 2, 4][place] for place in places]
    assert store.draw(5, ("search",), np.random.default_rng(3), floor=0.1) == []


def test_draws_are_counted(store: Store) -> None:
    fill(store, [("policy", 1.0), ("policy", 0.5)])
    with store.transaction():
        store.mark_drawn([2, 2, 1])
    drawn = store.draw(2, ("policy",), np.random.default_rng(0), floor=0.1)
    assert {row.id: row.times_drawn for row in drawn} == {1: 1, 2: 2}


@pytest.mark.parametrize(("n", "floor"), [(-1, 0.1), (1, 0.0)])
def test_a_draw_of_nonsense_is_refused(store: Store, n: int, floor: float) -> None:
    with pytest.raises(ValueError, match="expected n >= 0 and floor > 0"):
        store.draw(n, ("policy",), np.random.default_rng(0), floor=floor)


def test_eviction_takes_the_lowest_priority_then_the_oldest_and_experts_last(store: Store) -> None:
    rows = [
        ("policy", 0.5),
        ("expert", 0.0),
        ("policy", 0.0),
        ("mutation", 0.0),
        ("policy", 0.0),
        ("expert", 1.0),
    ]
    fill(store, rows)

    def left() -> set[int]:
        return {row.id for row in store.draw(9, SOURCES, np.random.default_rng(0), floor=0.1)}

    for capacity, ids in [
        (6, {1, 2, 3, 4, 5, 6}),
        (5, {1, 2, 4, 5, 6}),
        (4, {1, 2, 5, 6}),
        (3, {1, 2, 6}),
        (1, {6}),
    ]:
        size = len(left())
        with store.transaction():
            assert store.evict(capacity) == size - capacity
        assert left() == ids
    assert store.sizes() == {"expert": 1, "mutation": 0, "policy": 0, "search": 0}


def test_an_experience_is_kept_once_a_task_and_program(store: Store) -> None:
    fill(store, [("policy", 0.5)])
    with store.transaction():
        assert not store.add_program("program 0", 1)
        assert not store.add_experience("test", "t", "program 0", 3, "policy", 0.5)
        assert store.add_experience("train", "t", "program 0", 3, "mutation", 0.5)
    (kept,) = store.draw(9, ("policy",), np.random.default_rng(0), floor=0.1)
    assert (kept.id, kept.source) == (1, "policy")


@pytest.mark.parametrize(
    ("task", "program", "source", "priority"),
    [
        ("?", "p", "policy", 0.5),
        ("t", "?", "policy", 0.5),
        ("t", "p", "oracle", 0.5),
        ("t", "p", "policy", 1.5),
    ],
)
def test_an_experience_of_nothing_known_is_refused(
    store: Store, task: str, program: str, source: str, priority: float
) -> None:
    with store.transaction():
        store.add_tasks("test", [("t", 3)])
        store.add_program("p", 1)
    with pytest.raises((ValueError, sqlite3.IntegrityError)), store.transaction():
        store.add_experience("test", task, program, 0, source, priority)
    assert sum(store.sizes().values()) == 0


def test_a_transaction_left_by_an_exception_changes_nothing(store: Store) -> None:
    fill(store, [("policy", 0.5)])
    with pytest.raises(KeyboardInterrupt), store.transaction():
        store.mark_drawn([1])
        store.set_done(0, "learn", 0, 1.0)
        raise KeyboardInterrupt
    assert not store.done(0, "learn")
    (kept,) = store.draw(1, ("policy",), np.random.default_rng(0), floor=0.1)
    assert kept.times_drawn == 0


def test_samples_and_candidates_are_counted_and_ordered(store: Store) -> None:
    with store.transaction():
        store.add_tasks("test", [("a", 2), ("b", 4)])
        for text in ("p", "q"):
            store.add_program(text, len(text))
        store.add_sample(1, "b", 0, "q", "grid", 3, True)
        store.add_sample(1, "b", 1, None, "parse error", 0, False)
        store.add_sample(1, "a", 0, "p", "grid", 1, False)
        store.add_sample(1, "a", 1, "q", "type error", 0, False)
        store.add_sample(2, "a", 0, "q", "grid", 2, False)
        assert store.add_candidate("b", "q", 1, "policy", 3)
        assert store.add_candidate("a", "p", 1, "policy", 1)
        assert not store.add_candidate("b", "q", 2, "mutation", 3)
        assert not store.add_candidate("b", "q", 2, "policy", 3)
        assert not store.add_candidate("b", "q", 2, "search", 3, votes=7)
        assert not store.add_candidate("b", "q", 3, "search", 3, votes=5)
    assert store.sample_statistics(1) == {
        "samples": 4,
        "share_parse": 0.75,
        "share_run": 0.5,
        "share_new": 0.25,
    }
    assert store.sample_statistics(9) == {}
    assert [row[:3] for row in store.sampled(1)] == [("a", "p", 1), ("b", "q", 3)]
    assert [row[:3] for row in store.candidates()] == [("b", "q", 3), ("a", "p", 1)]
    assert [(row.source, row.votes) for row in store.candidates()] == [("policy", 13), ("policy", 1)]


def test_metrics_are_those_of_finished_iterations_in_their_order(store: Store) -> None:
    with store.transaction():
        store.add_metrics(0, {"loss": 2.0, "cumulative_top3": 1.0})
        store.set_done(0, "record", 0, 0.1)
        store.add_metrics(1, {"loss": 1.0})
    assert {i: list(row.items()) for i, row in store.metrics().items()} == {
        0: [("cumulative_top3", 1.0), ("loss", 2.0)]
    }


def test_seconds_are_summed_over_parts_and_the_last_done_is_known(store: Store) -> None:
    assert store.last_done("sample") is None
    with store.transaction():
        for part in range(3):
            store.set_done(2, "sample", part, 0.5)
    assert store.seconds(2) == {"sample": 1.5}
    assert store.last_done("sample") == 2


def test_what_is_stored_is_there_when_opened_again(tmp_path: Path) -> None:
    with Store(tmp_path / "s") as store:
        fill(store, [("expert", 1.0)])
        with store.transaction():
            store.set_config("[run]\n")
    with Store(tmp_path / "s") as store:
        assert store.config() == "[run]\n"
        assert store.sizes()["expert"] == 1


def test_foreign_files_are_refused(tmp_path: Path) -> None:
    (tmp_path / "text").write_text("no database, but long enough to be read as one" * 50)
    with pytest.raises(StoreError, match="expected a run's SQLite file"):
        Store(tmp_path / "text")
    for name, statement in [
        ("later", f"PRAGMA user_version = {SCHEMA_VERSION + 1}"),
        ("other", "CREATE TABLE t (x)"),
    ]:
        with sqlite3.connect(tmp_path / name) as other:
            other.execute(statement)
        with pytest.raises(StoreError, match=f"expected schema version {SCHEMA_VERSION}, found"):
            Store(tmp_path / name)
