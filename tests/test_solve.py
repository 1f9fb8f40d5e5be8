"""One task, one budget, an answer: within reach and out of it, the same again, with a policy and without."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from puzzles import SMALL, STARTERS, out_of_reach, within_reach, without_outputs

import codeit.policy.test_time_training
from codeit.config import PolicyConfig, SolveConfig
from codeit.storage.files import RunError
from codeit.language import Budget, Grid, Program
from codeit.policy.test_time_training import TestTimeTraining
from codeit.policy.encoding import CompactEncoding
from codeit.policy.training import TrainingExample, Trainer, TrainingReport
from codeit.policy.model import Policy
from codeit.search.evolution import Answer, Evolution
from codeit.solve import (
    CLOSEST,
    LEAST,
    TIMES,
    Ranked,
    Result,
    Search,
    SearchState,
    by_closeness,
    solve,
    solving,
    together,
)
from codeit.data.tasks import Task

NOISE = out_of_reach()


@pytest.fixture(scope="module")
def tasks() -> list[Task]:
    return within_reach()


@pytest.fixture(scope="module")
def policy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A policy of random weights."""
    folder = tmp_path_factory.mktemp("policy")
    sizes = {"d_model": 16, "d_ff": 32, "heads": 2, "layers_encoder": 1, "layers_decoder": 1}
    config = PolicyConfig(
        init="random", encoding="patches", max_program_tokens=12, device="cpu", dropout=0.0, **sizes
    )
    Policy.create(config, seed=0).save(folder)
    return folder


def small(task: Task, programs: int, **more: Any) -> Result:
    return solve(
        task, **{"programs": programs, "policy": "none", "starters": STARTERS, "evolution": SMALL} | more
    )


def solved_by(program: Program, task: Task) -> int:
    return sum(program.run(pair.input).grid == pair.output for pair in task.train)


def told(result: Result) -> tuple[object, ...]:
    return (
        result.tried,
        [(str(one.program), one.solved, one.votes) for one in result.programs],
        result.attempts,
    )


def test_what_is_within_reach_is_solved(tasks: list[Task]) -> None:
    for task in tasks:
        result = small(task, 5000)
        assert result.solved and result.tried == 5000
        best = result.programs[0]
        assert best.votes > 1 and [best.program(pair.input) for pair in task.train] == [
            p.output for p in task.train
        ]
        assert [attempts[0] for attempts in result.attempts] == [pair.output for pair in task.test]
        assert all(len(set(attempts)) == 2 for attempts in result.attempts)
        for program, solved, votes in result.programs:
            assert solved == solved_by(program, task)
            assert not votes or solved == len(task.train)


def test_test_outputs_are_not_looked_at(tasks: list[Task]) -> None:
    assert told(small(without_outputs(tasks[0]), 2000)) == told(small(tasks[0], 2000))


def test_what_is_out_of_reach_is_answered_by_the_closest() -> None:
    result = small(NOISE, 2000)
    assert not result.solved
    assert len(result.programs) == CLOSEST and not any(one.votes for one in result.programs)
    solved = [one.solved for one in result.programs]
    assert (
        solved == sorted(solved, reverse=True) == [solved_by(one.program, NOISE) for one in result.programs]
    )
    (attempts,) = result.attempts
    assert attempts[0] == result.programs[0].program(NOISE.test[0].input) != attempts[1]


def test_without_programs_the_input_is_the_answer() -> None:
    result = Result(NOISE, 0, ())
    assert not result.solved and result.attempts == [[NOISE.test[0].input] * 2]
    fails = Ranked(Program.parse("x1 = size(I)\nO = canvas(ONE, x1)"), 0)
    assert Result(NOISE, 1, (fails,)).attempts == [[NOISE.test[0].input] * 2]
    turns = Ranked(Program.parse("O = rot90(I)"), 0)
    assert Result(NOISE, 2, (fails, turns)).attempts == [
        [turns.program(NOISE.test[0].input), NOISE.test[0].input]
    ]


def test_the_same_programs_have_the_same_result(tasks: list[Task]) -> None:
    assert told(small(tasks[1], 2000)) == told(small(tasks[1], 2000)) != told(small(tasks[1], 2000, seed=1))
    two = [told(small(tasks[1], 2001, populations=2)) for _ in range(2)]  # each in a process of its own
    assert two[0] == two[1]
    assert two[0][0] == 2001


def test_progress_is_told_from_the_start(tasks: list[Task]) -> None:
    results = list(solving(NOISE, seconds=0.5, policy="none", starters=STARTERS, evolution=SMALL))
    assert results[0].tried == 0 and results[0].attempts == [[NOISE.test[0].input] * 2]
    tried = [result.tried for result in results]
    assert len(tried) > 2 and tried == sorted(tried)


@pytest.mark.parametrize(("populations", "seconds"), [(1, 1), (2, 4)])
def test_the_time_is_kept(populations: int, seconds: float) -> None:
    began = time.monotonic()
    result = solve(
        NOISE, seconds=seconds, policy="none", starters=STARTERS, evolution=SMALL, populations=populations
    )
    assert seconds <= time.monotonic() - began < seconds + 3
    assert result.tried > len(STARTERS)


def test_it_ends_when_the_votes_are_counted(tasks: list[Task]) -> None:
    search = Search(tasks[0], STARTERS, 0, evolution=SMALL)
    solved_at = 0
    for _ in search.run():
        if not solved_at and search.standing().answers:
            solved_at = search.tried
    assert search.settled
    enough = max(LEAST, TIMES * solved_at)
    assert enough <= search.tried < enough + SMALL.brood


def test_populations_follow_each_other(tasks: list[Task]) -> None:
    settings = SolveConfig(restart=300)
    search = Search(NOISE, STARTERS, 0, evolution=SMALL, settings=settings)
    best: list[int] = []
    for _ in search.run(2000):
        standing = search.standing()
        assert standing.tried == search.tried
        best.append(solved_by(standing.closest[0], NOISE))
    assert search.tried == 2000 and best == sorted(best)
    # Three: the first has 300 or a brood more, the second twice as many, the third what is left.
    (before,) = search._before
    assert 900 <= before.tried < 900 + 2 * SMALL.brood
    solved = small(tasks[0], 5000, settings=settings)
    assert solved.solved and solved.tried == 5000  # where it is solved the population stays


def test_votes_of_several_searches_are_added() -> None:
    short, long = Program.parse("O = vmirror(I)"), Program.parse("x1 = identity(I)\nO = vmirror(x1)")
    other, far = Program.parse("O = rot90(I)"), Program.parse("O = upscale(I, TWO)")
    some = SearchState(10, [Answer(other, 2, 3), Answer(long, 1, 2)], [far, long], True)
    more = SearchState(20, [Answer(short, 1, 2)], [long, short], False)
    both = together(NOISE, [some, more])
    assert both == SearchState(30, [Answer(short, 1, 4), Answer(other, 2, 3)], [short, long, far], True)
    assert both.result(NOISE).programs == (
        Ranked(short, 3, 4), Ranked(other, 3, 3), Ranked(long, 0), Ranked(far, 0),
    )  # fmt: skip


def test_closeness_is_a_populations(tasks: list[Task]) -> None:
    evolution = Evolution(tasks[2], STARTERS, 0, SMALL)
    for _ in evolution.generations(400):
        pass
    members = evolution.members()
    again = by_closeness(tasks[2], [program for program, _ in members])
    assert again == [Ranked(program, solved) for program, solved in members]
    turned = by_closeness(tasks[2], [program for program, _ in reversed(members)])
    assert turned[0] == again[0]
    assert [(one.solved, len(one.program)) for one in turned] == [
        (one.solved, len(one.program)) for one in again
    ]


def scripted(texts: Sequence[str], asked: list[int]) -> Any:
    def sample(policy: object, tasks: Sequence[Any], n: int, **_: object) -> Iterator[tuple[int, list[str]]]:
        asked.append(n)
        yield 0, list(texts)

    return sample


def test_what_the_policy_proposes_joins_the_population(
    policy: Path, tasks: list[Task], monkeypatch: pytest.MonkeyPatch
) -> None:
    texts = ["no program", "x1 = rot90(I)\nO = vmirror(x1)", "O = rot180(I)"]
    asked: list[int] = []
    monkeypatch.setattr(codeit.policy.test_time_training, "sample", scripted(texts, asked))
    settings = SolveConfig(every=len(STARTERS), samples=7)
    alone, helped = (
        small(tasks[0], len(STARTERS) + 2, settings=settings, policy=one) for one in ("none", policy)
    )
    assert asked == [7]
    assert not alone.solved
    assert helped.solved and str(helped.programs[0].program) == texts[1]
    assert helped.tried == alone.tried == len(STARTERS) + 2


def test_the_policy_learns_what_the_best_programs_do(policy: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    learnt: list[list[TrainingExample]] = []

    def epoch(self: Trainer, examples: Sequence[TrainingExample], seed: int) -> TrainingReport:
        learnt.append(list(examples))
        return TrainingReport(0.0, 0, 0, 0.0)

    monkeypatch.setattr(Trainer, "epoch", epoch)
    monkeypatch.setattr(codeit.policy.test_time_training, "sample", scripted([], []))
    search = Search(
        NOISE, STARTERS, 0, evolution=SMALL, policy=policy, settings=SolveConfig(every=200, examples=9)
    )
    for _ in search.run(700):
        pass
    assert len(learnt) >= 2 and all(0 < len(examples) <= 9 for examples in learnt)
    encoding = Policy.load(policy).encoding
    assert isinstance(encoding, CompactEncoding)
    for example in learnt[-1]:
        program = Program.parse(encoding.decode_program(example.target))
        pairs = encoding.decode_task(example.source)
        assert [program(input) for input, _ in pairs] == [output for _, output in pairs]
        assert {input for input, _ in pairs} == {pair.input for pair in NOISE.train}


def test_what_the_policy_proposes_can_be_repeated_and_hangs_on_what_it_learnt(policy: Path) -> None:
    settings = SolveConfig(samples=6, learning_rate=3e-2, batch=2)

    def proposed(lesson: Sequence[Program]) -> tuple[list[Program], list[Program]]:
        apprentice = TestTimeTraining(policy, NOISE, 0, settings, Budget(), threads=1)
        first = apprentice.propose()
        apprentice.learn(lesson)
        return first, apprentice.propose()

    first, second = proposed(STARTERS)
    assert (first, second) == proposed(STARTERS)
    same, other = proposed([])
    assert first == same and second != other
    assert 0 < len(first) <= 6 and first != other


def test_with_a_policy_too_the_same_programs_have_the_same_result(policy: Path) -> None:
    settings = SolveConfig(every=150, samples=2, examples=2)
    first, again = (told(small(NOISE, 350, policy=policy, settings=settings)) for _ in range(2))
    assert first == again


def test_no_policy_is_told(tmp_path: Path) -> None:
    with pytest.raises(
        RunError, match=r"expected 'shipped', 'none' or a policy's folder, found no policy.json"
    ):
        small(NOISE, 10, policy=tmp_path)


def test_grids_of_attempts_are_as_the_programs_give_them() -> None:
    one = Ranked(Program.parse("O = vmirror(I)"), 0)
    assert Result(NOISE, 1, (one,)).attempts[0][0] == Grid(
        [row[::-1] for row in NOISE.test[0].input.tolist()]
    )
