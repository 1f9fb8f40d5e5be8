"""One task, one budget, an answer.

All that there is works on the task: the experts are tried as they are; a population evolves from them toward
the demonstrations; as long as nothing is solved a policy proposes programs, which join the population, and
learns in hindsight from the best of it, whatever they do. Several populations may evolve side by side, each
in a process of its own; the policy helps the first.

    solve(task, seconds=30)          what there is when the time is over
    solving(task, seconds=30)        what there is so far, again and again
"""

from __future__ import annotations

import math
import sys
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from codeit.config import PopulationConfig, SolveConfig
from codeit.experts import load_experts
from codeit.files import RunError
from codeit.language import Budget, Grid, Program, evaluate, run_batch
from codeit.policy import SHIPPED
from codeit.population import Answer, Evolution
from codeit.record import KEPT
from codeit.seeds import derive
from codeit.tasks import Task
from codeit.workers import streams

if TYPE_CHECKING:
    from codeit.policy.apprentice import Apprentice

ATTEMPTS = 2
"""Attempts at each test output, as ARC Prize allows."""
CLOSEST = 2 * KEPT
"""Programs that are handed over besides those that solve all demonstrations."""
LEAST, TIMES = 20_000, 4
"""When a program solves all demonstrations, evolution goes on for the sake of the votes: to LEAST programs
tried, or TIMES as many as until then, whichever is more."""
_TELL = 0.1  # seconds between two standings
_FIRST_TURN, _IMPORT = 3.0, 6.0  # seconds that the policy's first turn may take, and what it imports


class Ranked(NamedTuple):
    """A program for a task.

    `solved` counts the demonstrations that it solves, `votes` the programs that solve all of them and answer
    the tests as it does; 0 if it does not, or some other program stands for that answer.
    """

    program: Program
    solved: int
    votes: int = 0


@dataclass(frozen=True)
class Result:
    """What is known of a task: programs tried, and the best of them.

    First come those that solve all demonstrations, each for another answer to the tests, the answer with most
    votes first; then the closest.
    """

    task: Task
    tried: int
    programs: tuple[Ranked, ...]

    @property
    def solved(self) -> bool:
        """Whether some program solves all demonstrations."""
        return bool(self.programs) and self.programs[0].solved == len(self.task.train)

    @cached_property
    def attempts(self) -> list[list[Grid]]:
        """For each test input ATTEMPTS outputs, the likeliest first.

        They are the first different ones that the programs give, in order; where there are too few, the input
        itself, and then the last again.
        """
        inputs = [pair.input for pair in self.task.test]
        programs = [ranked.program for ranked in self.programs]
        outcomes = run_batch(programs, [inputs] * len(programs), threads=1)
        attempts = []
        for place, input in enumerate(inputs):
            grids = [of_program[place].grid for of_program in outcomes]
            different = list(dict.fromkeys(grid for grid in [*grids, input] if grid is not None))
            attempts.append([different[min(k, len(different) - 1)] for k in range(ATTEMPTS)])
        return attempts


class Standing(NamedTuple):
    """What a search, or several together, have come to."""

    tried: int
    answers: list[Answer]
    """Of programs that solve all demonstrations, those with most votes."""
    closest: list[Program]
    """Of all programs the best."""
    settled: bool
    """Whether all demonstrations are solved, and the votes counted."""

    def result(self, task: Task) -> Result:
        """The same for people to use."""
        programs = [Ranked(program, len(task.train), votes) for program, _, votes in self.answers]
        there = {answer.program for answer in self.answers}
        programs += [one for one in by_closeness(task, self.closest) if one.program not in there]
        return Result(task, self.tried, tuple(programs))


def by_closeness(task: Task, programs: Iterable[Program]) -> list[Ranked]:
    """Programs, each once, in the order in which a population has them (see population.py)."""
    programs = list(dict.fromkeys(programs))
    verdicts = evaluate(programs, [0] * len(programs), [task.train], threads=1)
    lengths = np.array([len(program) for program in programs])
    keys = (lengths, -verdicts["cells"], -verdicts["shaped"].astype(int), -verdicts["solved"].astype(int))
    return [Ranked(programs[k], int(verdicts["solved"][k])) for k in np.lexsort(keys).tolist()]


def together(task: Task, standings: Iterable[Standing], closest: int = CLOSEST) -> Standing:
    """What several searches for a task have come to: votes for the same answer are added."""
    standings = list(standings)
    answers: dict[int, Answer] = {}
    for standing in standings:
        for program, key, votes in standing.answers:
            other = answers.get(key, Answer(program, key, 0))
            answers[key] = Answer(min(other.program, program, key=len), key, other.votes + votes)
    best = sorted(answers.values(), key=lambda answer: (-answer.votes, len(answer.program)))
    members = by_closeness(task, (program for standing in standings for program in standing.closest))
    return Standing(
        sum(standing.tried for standing in standings),
        best[:KEPT],
        [member.program for member in members[:closest]],
        any(standing.settled for standing in standings),
    )


class Search:
    """Populations for a task, one after the other, and perhaps a policy that helps them.

    What is found hangs on task, starters, seed, settings, policy and programs tried alone, but that a
    policy's arithmetic hangs on the machine and its number of threads.
    """

    def __init__(
        self,
        task: Task,
        starters: Sequence[Program],
        seed: int,
        *,
        policy: Path | None = None,
        settings: SolveConfig | None = None,
        evolution: PopulationConfig | None = None,
        carried: Sequence[Program] = (),
        threads: int = 0,
    ) -> None:
        """`policy` is a policy's folder; `threads` are those of its arithmetic (0: as many as torch likes).

        Programs `carried` here from another search join the first population.
        """
        self._task, self._starters, self._carried, self._seed = task, starters, carried, seed
        self._policy, self._threads = policy, threads
        self._settings = settings or SolveConfig()
        self._evolution_settings = evolution or PopulationConfig()
        self._budget = Budget(steps=self._evolution_settings.steps)
        self._apprentice: Apprentice | None = None
        self._before: list[Standing] = []  # of the populations that are over
        self._evolution: Evolution | None = None
        self._enough = math.inf  # programs that this population tries for its votes

    def run(self, programs: int = sys.maxsize, deadline: float = math.inf) -> Iterator[None]:
        """Search, and pause after each brood, until so many programs are tried, until `deadline` (of
        time.monotonic), or until all is settled. Raises PolicyError."""
        due, turn = self._settings.every, _FIRST_TURN + ("torch" not in sys.modules) * _IMPORT
        for k in count():
            before = self.tried
            evolution, patience = self._begin(), self._settings.restart << min(k, 4)
            for brood in evolution.broods(programs - before):
                solved = brood.solved == len(self._task.train)
                if solved and self._enough == math.inf:
                    self._enough = max(LEAST, TIMES * brood.tried)
                yield
                now = time.monotonic()
                if now >= deadline or self.settled:
                    return
                if not solved and brood.tried >= patience:
                    break
                if self._policy and not solved and self.tried >= due and now + turn < deadline:
                    self._take_turn(programs - self.tried)
                    due = self.tried + self._settings.every
                    turn = time.monotonic() - now
            if self._enough < math.inf or self.tried == before or self.tried >= programs:
                return

    @property
    def tried(self) -> int:
        """Programs tried so far."""
        return sum(s.tried for s in self._before) + (self._evolution.tried if self._evolution else 0)

    @property
    def settled(self) -> bool:
        """Whether all demonstrations are solved, and the votes counted."""
        return self._evolution is not None and self._evolution.tried >= self._enough

    def standing(self, closest: int = CLOSEST) -> Standing:
        """What there is so far, with so many of the best programs."""
        return together(self._task, [*self._before, self._of_this_population(closest)], closest)

    def _of_this_population(self, closest: int) -> Standing:
        if self._evolution is None:
            return Standing(0, [], [], False)
        members = [program for program, _ in self._evolution.members()[:closest]]
        return Standing(self._evolution.tried, self._evolution.answers()[:KEPT], members, self.settled)

    def _begin(self) -> Evolution:
        """The next population."""
        if self._evolution:
            self._before = [self.standing()]
        seed = derive(self._seed, "population", self.tried)
        self._evolution = Evolution(self._task, self._starters, seed, self._evolution_settings)
        self._evolution.join(self._carried)
        self._carried = ()
        return self._evolution

    def _take_turn(self, most: int) -> None:
        """Let the policy propose programs, at most so many; but for the first time it learns before."""
        assert self._policy is not None and self._evolution is not None
        if self._apprentice is None:
            from codeit.policy.apprentice import Apprentice  # torch takes seconds to import

            seed = derive(self._seed, "apprentice")
            self._apprentice = Apprentice(
                self._policy, self._task, seed, self._settings, self._budget, self._threads
            )
        elif self._settings.examples:
            best = self._evolution.members()[: self._settings.examples]
            self._apprentice.learn([program for program, _ in best])
        self._evolution.join(self._apprentice.propose()[:most])


def solving(
    task: Task,
    *,
    seconds: float = 60.0,
    programs: int | None = None,
    seed: int = 0,
    policy: str | Path = "shipped",
    populations: int = 1,
    starters: Sequence[Program] | None = None,
    settings: SolveConfig | None = None,
    evolution: PopulationConfig | None = None,
) -> Iterator[Result]:
    """As `solve`; yields what there is at first, so far, and in the end."""
    folder = policy_folder(policy)
    yield Result(task, 0, ())
    starters = list(load_experts().values()) if starters is None else starters
    deadline = math.inf if programs else time.monotonic() + seconds
    jobs = []
    for k in range(populations):
        share = sys.maxsize if programs is None else (programs + populations - 1 - k) // populations
        own_seed = derive(seed, "solve", task.id, k)
        helper = folder if k == 0 else None
        jobs.append(_Job(task, starters, own_seed, share, deadline, helper, settings, evolution, populations))
    standings: dict[int, Standing] = {}
    for number, standing in streams(_search, jobs, deadline):
        standings[number] = standing
        yield together(task, (standings[k] for k in sorted(standings))).result(task)
        if standing.settled and programs is None:
            return


def solve(
    task: Task,
    *,
    seconds: float = 60.0,
    programs: int | None = None,
    seed: int = 0,
    policy: str | Path = "shipped",
    populations: int = 1,
    starters: Sequence[Program] | None = None,
    settings: SolveConfig | None = None,
    evolution: PopulationConfig | None = None,
) -> Result:
    """Look for programs that solve a task's demonstrations, and answer its tests by them.

    It ends after `seconds`, or sooner when it is sure; or, if `programs` is given, when so many are tried,
    and then has the same result whenever it is called. `policy` is a policy's folder, "shipped" for the one
    in this package, or "none". Each of several `populations` has a process of its own (so that the caller
    must be a module that can be imported). `starters` are the programs to start from, by default the experts.
    Test outputs are not read. Raises PolicyError, and RunError where there is no policy.
    """
    *_, last = solving(
        task,
        seconds=seconds,
        programs=programs,
        seed=seed,
        policy=policy,
        populations=populations,
        starters=starters,
        settings=settings,
        evolution=evolution,
    )
    return last


def policy_folder(policy: str | Path) -> Path | None:
    """The folder of "shipped" (None if this package came without one), of "none", or of a path.

    Raises RunError if there is no policy.
    """
    if policy in ("shipped", "none"):
        return SHIPPED if policy == "shipped" and SHIPPED.is_dir() else None
    if not (Path(policy) / "policy.json").is_file():
        raise RunError(
            f"policy {policy}: expected 'shipped', 'none' or a policy's folder, found no policy.json in it; "
            "`codeit pretrain` makes one"
        )
    return Path(policy)


class _Job(NamedTuple):
    task: Task
    starters: Sequence[Program]
    seed: int
    programs: int
    deadline: float
    policy: Path | None
    settings: SolveConfig | None
    evolution: PopulationConfig | None
    populations: int


def _search(job: _Job) -> Iterator[Standing]:
    # A process for itself leaves the other cores to the others.
    threads = 1 if job.populations > 1 else 0
    search = Search(
        job.task,
        job.starters,
        job.seed,
        policy=job.policy,
        settings=job.settings,
        evolution=job.evolution,
        threads=threads,
    )
    told = -math.inf
    for _ in search.run(job.programs, job.deadline):
        if time.monotonic() - told >= _TELL:
            yield search.standing()
            told = time.monotonic()
    yield search.standing()
