"""The replay buffer: exact draws in proportion to priority, and eviction."""

import sqlite3
from collections.abc import Iterator
from itertools import permutations
from pathlib import Path

import numpy as np
import pytest

from codeit.language import Program
from codeit.storage.database import StoreError, stored_program
from codeit.storage.replay_buffer import SOURCES, draw_without_replacement
from codeit.storage.run_database import RunDatabase

# The 99.9 % points of the chi-square distribution, by degrees of freedom.
CHI_SQUARE = {3: 16.27, 4: 18.47, 5: 20.52, 11: 31.26, 23: 49.73}
COLOURS = ("ZERO", "ONE", "TWO", "THREE", "FOUR", "FIVE")


def program(number: int) -> Program:
    """One of 36 programs of one line."""
    wanted, replacement = divmod(number, len(COLOURS))
    return Program.parse(f"O = replace(I, {COLOURS[wanted]}, {COLOURS[replacement]})")


def program_of_length(lines: int, first: str = "vmirror") -> Program:
    """A program of some lines that starts with the function `first`."""
    inner = (f"x{k} = hmirror(x{k - 1})" for k in range(2, lines))
    return Program.parse("\n".join([f"x1 = {first}(I)", *inner, f"O = hmirror(x{lines - 1})"]))


@pytest.fixture
def database(tmp_path: Path) -> Iterator[RunDatabase]:
    with RunDatabase(tmp_path / "run.sqlite") as database:
        yield database


def add(
    database: RunDatabase,
    one: Program,
    *,
    split: str = "test",
    task_id: str = "t",
    iteration: int = 0,
    source: str = "policy",
    priority: float = 0.5,
    behaviour: str = "",
    encodable: bool = True,
    distinct: bool = True,
) -> bool:
    """Add an experience, by default one of the policy on the test task `t`, of its own behaviour."""
    return database.replay.add(
        split,
        task_id,
        one,
        iteration=iteration,
        source=source,
        priority=priority,
        behaviour=(behaviour or str(one)).encode(),
        encodable=encodable,
        distinct=distinct,
    )


def drawable(database: RunDatabase, until: int | None = None) -> set[Program]:
    """Return all programs that a draw may take."""
    rng = np.random.default_rng(0)
    return {row.program for row in database.replay.draw(99, SOURCES, rng, floor=0.1, until=until)}


def fill(database: RunDatabase, rows: list[tuple[str, float]]) -> None:
    """Add experiences of (source, priority) with ids 1, 2, … on one task of each split."""
    with database.transaction():
        database.add_tasks("train", [("t", 3)])
        database.add_tasks("test", [("t", 3)])
        for number, (source, priority) in enumerate(rows):
            split = "train" if source in ("expert", "mutation") else "test"
            assert add(database, program(number), split=split, source=source, priority=priority)


def sequence_probability(weights: np.ndarray, order: tuple[int, ...]) -> float:
    """Return the probability of drawing items in this order, which is the definition of a draw."""
    left, probability = weights.sum(), 1.0
    for item in order:
        probability *= weights[item] / left
        left -= weights[item]
    return probability


@pytest.mark.parametrize("n", [1, 2, 3, 4])
def test_every_order_of_a_draw_has_the_probability_of_its_definition(n: int) -> None:
    weights, rng, trials = np.array([0.1, 0.3, 0.5, 1.0]), np.random.default_rng(n), 20_000
    counts = dict.fromkeys(permutations(range(4), n), 0)
    for _ in range(trials):
        counts[tuple(draw_without_replacement(weights, n, rng).tolist())] += 1
    expected = {order: trials * sequence_probability(weights, order) for order in counts}
    assert sum(expected.values()) == pytest.approx(trials)
    statistic = sum((counts[order] - expected[order]) ** 2 / expected[order] for order in counts)
    assert statistic < CHI_SQUARE[len(counts) - 1]


def test_a_draw_takes_each_item_at_most_once() -> None:
    rng = np.random.default_rng(0)
    assert sorted(draw_without_replacement(np.ones(50), 80, rng).tolist()) == list(range(50))
    assert len(set(draw_without_replacement(np.ones(50), 20, rng).tolist())) == 20
    assert draw_without_replacement(np.ones(50), 0, rng).tolist() == []
    assert draw_without_replacement(np.ones(0), 5, rng).tolist() == []


@pytest.mark.parametrize("weight", [0.0, -1.0, np.inf, np.nan])
def test_weights_that_are_not_positive_and_finite_are_refused(weight: float) -> None:
    with pytest.raises(ValueError, match="positive, finite"):
        draw_without_replacement(np.array([1.0, weight]), 1, np.random.default_rng(0))


def test_a_draw_from_half_a_million_items_is_vectorised() -> None:
    class CountingGenerator:
        calls = 0

        def standard_exponential(self, size: int) -> np.ndarray:
            self.calls += 1
            return np.random.default_rng(0).standard_exponential(size)

    weights, rng = np.where(np.arange(500_000) % 100 == 0, 1.0, 0.01), CountingGenerator()
    drawn = draw_without_replacement(weights, 90_000, rng)  # type: ignore[arg-type]
    assert rng.calls == 1
    assert len(set(drawn.tolist())) == 90_000
    assert (drawn % 100 == 0).sum() == 5_000  # so heavy an item is left out with probability 1e-8


def test_experiences_are_drawn_by_priority_with_a_floor(database: RunDatabase) -> None:
    fill(database, [("policy", 0.0), ("policy", 0.05), ("policy", 0.5), ("policy", 1.0)])
    weights, rng, trials = np.array([0.1, 0.1, 0.5, 1.0]), np.random.default_rng(1), 6_000
    counts = np.zeros(4)
    for _ in range(trials):
        for drawn in database.replay.draw(2, ("policy", "search"), rng, floor=0.1):
            counts[drawn.id - 1] += 1
            assert drawn.probability == pytest.approx(weights[drawn.id - 1] / 1.7)
    inclusion = [
        sum(sequence_probability(weights, order) for order in permutations(range(4), 2) if item in order)
        for item in range(4)
    ]
    assert counts / trials == pytest.approx(inclusion, abs=4 * 0.5 / trials**0.5)


def test_prioritized_off_draws_uniformly(database: RunDatabase) -> None:
    fill(database, [("policy", priority) for priority in (0.0, 0.2, 0.5, 1.0)])
    rng, trials, counts = np.random.default_rng(2), 4_000, np.zeros(4)
    for _ in range(trials):
        (drawn,) = database.replay.draw(1, ("policy",), rng, floor=0.1, prioritized=False)
        counts[drawn.id - 1] += 1
        assert drawn.probability == 0.25
    assert ((counts - trials / 4) ** 2 / (trials / 4)).sum() < CHI_SQUARE[3]


def test_short_lines_lowers_the_weight_of_long_programs(database: RunDatabase) -> None:
    programs = [program_of_length(n) for n in (2, 4, 16)] + [program_of_length(16, first="rot90")]
    assert [len(one) for one in programs] == [2, 4, 16, 16]
    with database.transaction():
        database.add_tasks("test", [("t", 2)])
        for one, priority in zip(programs, (1.0, 1.0, 1.0, 0.5), strict=True):
            add(database, one, priority=priority)
    weights = np.array([1, 1, 1 / 8, 1 / 16])
    rng, trials, counts = np.random.default_rng(4), 4_000, np.zeros(4)
    for _ in range(trials):
        (drawn,) = database.replay.draw(1, ("policy",), rng, floor=0.1, short_lines=4)
        counts[drawn.id - 1] += 1
        assert drawn.probability == pytest.approx(weights[drawn.id - 1] / weights.sum())
    expected = trials * weights / weights.sum()
    assert ((counts - expected) ** 2 / expected).sum() < CHI_SQUARE[3]


def test_draws_come_in_the_order_drawn_and_depend_only_on_the_generator(database: RunDatabase) -> None:
    fill(database, [("expert", 1.0), ("mutation", 0.5), ("policy", 0.25), ("mutation", 0.0)])
    drawn = database.replay.draw(9, ("expert", "mutation"), np.random.default_rng(3), floor=0.1)
    assert sorted(row.id for row in drawn) == [1, 2, 4]
    assert {(row.id, row.split, row.task_id, row.program, row.source, row.priority) for row in drawn} == {
        (1, "train", "t", program(0), "expert", 1.0),
        (2, "train", "t", program(1), "mutation", 0.5),
        (4, "train", "t", program(3), "mutation", 0.0),
    }
    again = database.replay.draw(9, ("expert", "mutation"), np.random.default_rng(3), floor=0.1)
    assert again == drawn
    weights = np.array([1.0, 0.5, 0.1])
    places = draw_without_replacement(weights, 3, np.random.default_rng(3))
    assert [row.id for row in drawn] == [[1, 2, 4][place] for place in places]
    assert database.replay.draw(5, ("search",), np.random.default_rng(3), floor=0.1) == []


def test_mark_drawn_counts_the_draws(database: RunDatabase) -> None:
    fill(database, [("policy", 1.0), ("policy", 0.5)])
    with database.transaction():
        database.replay.mark_drawn([2, 2, 1])
    drawn = database.replay.draw(2, ("policy",), np.random.default_rng(0), floor=0.1)
    assert {row.id: row.times_drawn for row in drawn} == {1: 1, 2: 2}


@pytest.mark.parametrize(("n", "floor"), [(-1, 0.1), (1, 0.0)])
def test_a_negative_number_or_a_floor_of_zero_is_refused(database: RunDatabase, n: int, floor: float) -> None:
    with pytest.raises(ValueError, match="expected n >= 0 and floor > 0"):
        database.replay.draw(n, ("policy",), np.random.default_rng(0), floor=floor)


def test_eviction_removes_the_lowest_priority_then_the_oldest_and_experts_last(
    database: RunDatabase,
) -> None:
    rows = [
        ("policy", 0.5),
        ("expert", 0.0),
        ("policy", 0.0),
        ("mutation", 0.0),
        ("policy", 0.0),
        ("expert", 1.0),
    ]
    fill(database, rows)

    def left() -> set[int]:
        return {row.id for row in database.replay.draw(9, SOURCES, np.random.default_rng(0), floor=0.1)}

    for capacity, ids in [
        (6, {1, 2, 3, 4, 5, 6}),
        (5, {1, 2, 4, 5, 6}),
        (4, {1, 2, 5, 6}),
        (3, {1, 2, 6}),
        (1, {6}),
    ]:
        size = len(left())
        with database.transaction():
            assert database.replay.evict(capacity) == size - capacity
        assert left() == ids
    assert database.replay.sizes() == {"expert": 1, "mutation": 0, "policy": 0, "search": 0}


def test_what_the_policy_cannot_write_is_neither_drawn_nor_counted(database: RunDatabase) -> None:
    fill(database, [("policy", 0.1), ("expert", 1.0)])
    with database.transaction():
        assert add(database, program_of_length(9), priority=1.0, encodable=False)
        assert add(database, program_of_length(7), source="mutation", split="train", encodable=False)
    assert drawable(database) == {program(0), program(1)}
    (only,) = database.replay.draw(9, ("policy",), np.random.default_rng(0), floor=0.1)
    assert only.probability == 1
    assert database.replay.sizes() == {"expert": 1, "mutation": 0, "policy": 1, "search": 0}
    assert database.replay.programs_on("t") == [program_of_length(9), program(0)]
    assert (program_of_length(7), "mutation") in database.replay.experts_and_mutants(0)
    with database.transaction():
        assert database.replay.evict(3) == 1  # the capacity counts all
    assert database.replay.programs_on("t") == [program_of_length(9)]


def test_an_experience_is_stored_once_for_each_task_and_program(database: RunDatabase) -> None:
    fill(database, [("policy", 0.5)])
    with database.transaction():
        assert not database.add_program(program(0))
        assert not add(database, program(0), iteration=3)
        assert add(database, program(0), split="train", iteration=3, source="mutation")
    (kept,) = database.replay.draw(9, ("policy",), np.random.default_rng(0), floor=0.1)
    assert (kept.id, kept.source) == (1, "policy")


@pytest.mark.parametrize(
    ("task_id", "source", "priority"),
    [("?", "policy", 0.5), ("t", "oracle", 0.5), ("t", "policy", 1.5), ("t", "policy", -0.1)],
)
def test_an_experience_of_an_unknown_task_or_source_or_priority_is_refused(
    database: RunDatabase, task_id: str, source: str, priority: float
) -> None:
    with database.transaction():
        database.add_tasks("test", [("t", 3)])
    with pytest.raises((ValueError, sqlite3.IntegrityError)), database.transaction():
        add(database, program(0), task_id=task_id, source=source, priority=priority)
    assert sum(database.replay.sizes().values()) == 0
    assert database.connection.execute("SELECT count(*) FROM program").fetchone() == (0,)


def long(number: int) -> Program:
    """One of 36 programs of two lines."""
    return Program.parse(f"x1 = vmirror(I)\n{str(program(number)).replace('I', 'x1')}")


def test_the_shortest_program_of_a_behaviour_replaces_the_others(database: RunDatabase) -> None:
    with database.transaction():
        database.add_tasks("train", [("t", 3)])
        database.add_tasks("test", [("t", 3), ("u", 3)])
        assert add(database, long(0), iteration=1, behaviour="b")
        assert not add(database, long(1), iteration=2, behaviour="b")  # the older of equal ones stays
        assert add(database, long(1), iteration=2, behaviour="c")
        assert add(database, long(2), iteration=2, behaviour="b", task_id="u")
        assert add(database, long(3), iteration=2, behaviour="b", split="train", source="mutation")
        assert drawable(database) == {long(0), long(1), long(2), long(3)}
        assert add(database, program(0), iteration=4, behaviour="b", source="search")
        assert not add(database, long(0), iteration=5, behaviour="b")  # found again
        assert not add(database, program_of_length(3), iteration=5, behaviour="b")
    assert drawable(database) == {program(0), long(1), long(2), long(3)}
    assert database.replay.sizes() == {"expert": 0, "mutation": 1, "policy": 2, "search": 1}
    assert set(database.replay.programs_on("t")) == {program(0), long(1)}


def test_a_draw_is_from_the_buffer_as_it_was_after_an_iteration(database: RunDatabase) -> None:
    three, two, one = program_of_length(3), long(0), program(0)
    with database.transaction():
        database.add_tasks("test", [("t", 3)])
        for iteration, program_ in [(1, three), (3, two), (3, one)]:
            assert add(database, program_, iteration=iteration, behaviour="b")
    after = [drawable(database, until=iteration) for iteration in range(5)]
    assert after == [set(), {three}, {three}, {one}, {one}]
    assert drawable(database) == {one}


def test_without_distinct_all_programs_of_a_behaviour_stay(database: RunDatabase) -> None:
    with database.transaction():
        database.add_tasks("test", [("t", 3)])
        for one in (long(0), long(1), program(0)):
            assert add(database, one, behaviour="b", distinct=False)
        assert not add(database, program(0), behaviour="b", distinct=False)
    assert drawable(database) == {long(0), long(1), program(0)}


def test_an_experience_that_the_policy_can_write_replaces_a_shorter_one_that_it_cannot(
    database: RunDatabase,
) -> None:
    with database.transaction():
        database.add_tasks("test", [("t", 3)])
        assert add(database, program(0), behaviour="b", encodable=False)
        assert add(database, long(0), behaviour="b")
        assert not add(database, program(1), behaviour="b", encodable=False)
        assert add(database, program(2), behaviour="b")
    assert database.replay.programs_on("t") == [program(2)]


def test_an_expert_is_never_replaced(database: RunDatabase) -> None:
    def add_mutant(one: Program, behaviour: str, encodable: bool = True) -> bool:
        kind = {"split": "train", "source": "mutation", "behaviour": behaviour}
        return add(database, one, encodable=encodable, **kind)  # type: ignore[arg-type]

    with database.transaction():
        database.add_tasks("train", [("t", 3)])
        assert add(database, long(0), split="train", source="expert", behaviour="b")
        assert add(database, long(1), split="train", source="expert", behaviour="c", encodable=False)
        assert not add_mutant(program(2), "b")
        assert not add_mutant(program(3), "c", encodable=False)
        assert add_mutant(program_of_length(5), "c")  # stands in for the expert
        assert not add_mutant(program_of_length(6), "c")
        assert add_mutant(program_of_length(4), "c")
    assert drawable(database) == {long(0), program_of_length(4)}
    assert database.replay.sizes() == {"expert": 1, "mutation": 1, "policy": 0, "search": 0}
    tried = [one for one, _ in database.replay.experts_and_mutants(0)]
    lengths = (5, 6, 4)
    assert tried == [*map(long, (0, 1)), *map(program, (2, 3)), *map(program_of_length, lengths)]


def test_replaced_experiences_are_evicted_first(database: RunDatabase) -> None:
    with database.transaction():
        database.add_tasks("test", [("t", 3)])
        add(database, long(0), behaviour="b", priority=1.0)
        add(database, program(0), behaviour="b", priority=1.0)
        add(database, program(1), behaviour="c", priority=0.0)
        assert database.replay.evict(2) == 1
        assert drawable(database, until=0) == {program(0), program(1)}
        assert not add(database, long(0), behaviour="b", priority=1.0)


def test_equal_behaviours_of_different_priority_are_a_bug(database: RunDatabase) -> None:
    with database.transaction():
        database.add_tasks("test", [("t", 3)])
        add(database, long(0), behaviour="b", priority=1.0)
    with pytest.raises(StoreError, match="priorities other than"), database.transaction():
        add(database, program(0), behaviour="b", priority=0.5)


def test_an_experience_of_a_new_program_adds_the_program(database: RunDatabase) -> None:
    fill(database, [("policy", 0.5)])
    rows = database.connection.execute("SELECT text, length FROM program").fetchall()
    assert rows == [(str(program(0)), 1)]
    with database.transaction():
        assert not database.add_program(program(0))
        assert database.add_program(program_of_length(3))
    rows = database.connection.execute("SELECT text, length FROM program").fetchall()
    assert rows[1:] == [(str(program_of_length(3)), 3)]


def test_experience_whose_task_is_lost_is_damage(database: RunDatabase) -> None:
    fill(database, [("policy", 0.5), ("policy", 1.0)])
    database.connection.execute("PRAGMA foreign_keys = OFF")
    database.connection.execute("DELETE FROM task")
    with pytest.raises(StoreError, match=r"expected an intact database of codeit, found a damaged one"):
        database.replay.draw(2, ("policy",), np.random.default_rng(0), floor=0.1)


def test_mutants_are_the_experts_and_mutants_of_an_iteration_oldest_first(database: RunDatabase) -> None:
    with database.transaction():
        database.add_tasks("train", [("a", 3), ("b", 3)])
        database.add_tasks("test", [("a", 3)])
        for number, split, task_id, iteration, source in [
            (5, "train", "a", 0, "expert"),
            (3, "train", "b", 0, "mutation"),
            (4, "train", "b", 1, "mutation"),
            (1, "test", "a", 0, "search"),
            (2, "test", "a", 0, "policy"),
            (5, "train", "b", 0, "mutation"),
        ]:
            one = program(number)
            add(database, one, split=split, task_id=task_id, iteration=iteration, source=source, priority=0)
    assert database.replay.experts_and_mutants(0) == [(program(5), "expert"), (program(3), "mutation")]
    assert database.replay.experts_and_mutants(1) == [(program(4), "mutation")]
    assert database.replay.experts_and_mutants(2) == []


def test_programs_on_a_test_task_come_by_priority_then_newest_first(database: RunDatabase) -> None:
    with database.transaction():
        database.add_tasks("train", [("a", 3)])
        database.add_tasks("test", [("a", 3), ("b", 3)])
        for number, split, task_id, priority in [
            (0, "test", "a", 0.5),
            (1, "test", "a", 1.0),
            (2, "test", "a", 0.5),
            (3, "test", "b", 1.0),
            (4, "train", "a", 1.0),
        ]:
            add(database, program(number), split=split, task_id=task_id, priority=priority)
    assert database.replay.programs_on("a") == [program(1), program(2), program(0)]
    assert database.replay.programs_on("none") == []


def test_a_stored_program_is_parsed_once(database: RunDatabase) -> None:
    fill(database, [("mutation", 1.0), ("policy", 1.0)])
    (mutant,) = database.replay.experts_and_mutants(0)
    (drawn,) = database.replay.draw(1, ("mutation",), np.random.default_rng(0), floor=0.1)
    (again,) = database.replay.draw(1, ("mutation",), np.random.default_rng(1), floor=0.1)
    assert mutant[0] is drawn.program is again.program is stored_program(str(program(0)))
    assert database.replay.programs_on("t")[0] is stored_program(str(program(1)))
