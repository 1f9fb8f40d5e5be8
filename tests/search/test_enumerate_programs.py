"""Enumeration for a task gives candidates with votes by cost, and ends when it is sure."""

from puzzles import solvable_tasks, unsolvable_task, without_outputs

from codeit.config import EnumerationConfig
from codeit.data.experts import published
from codeit.language.enumeration import Library
from codeit.search.enumeration import DOUBTFUL_BITS, STEP, SURE_BITS, enumerate_programs, votes

LIBRARY = Library(published().programs.values())


def test_solvable_tasks_end_with_a_sure_answer() -> None:
    for task in solvable_tasks():
        *_, last = enumerate_programs(task, LIBRARY)
        assert last.sure and last.tried < 3 * STEP
        best = last.answers[0]
        assert [best.program(pair.input) for pair in task.test] == [pair.output for pair in task.test]
        assert best.demonstrations_solved == len(task.train) and best.votes >= votes(SURE_BITS)
        assert len({one.answer for one in last.answers}) == len(last.answers)
        (*_, hidden) = enumerate_programs(without_outputs(task), LIBRARY)
        assert [str(one.program) for one in hidden.answers] == [str(one.program) for one in last.answers]


def test_enumeration_ends_with_its_budget() -> None:
    limited = EnumerationConfig(expressions=2 * STEP + 1)
    states = list(enumerate_programs(unsolvable_task(), LIBRARY, limited))
    assert 1 <= len(states) <= 3 and not states[-1].sure
    assert [state.tried for state in states] == sorted(state.tried for state in states)
    assert states[-1].tried < 2 * STEP + 5000
    assert not list(enumerate_programs(unsolvable_task(), LIBRARY, EnumerationConfig(expressions=0)))


def test_two_bits_less_double_the_votes() -> None:
    assert votes(DOUBTFUL_BITS) == votes(DOUBTFUL_BITS + 40) == 1
    assert votes(DOUBTFUL_BITS - 2) == 2 * votes(DOUBTFUL_BITS) == votes(DOUBTFUL_BITS - 4) // 2
