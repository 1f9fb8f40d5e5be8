"""One task, one budget, an answer.

Everything works on the task together. First come the cheapest programs, enumerated by the values
that they compute; if one of them is cheap enough, that is all. Then the experts are tried as they
are. A population evolves from them toward the demonstrations. As long as nothing is solved, the
policy proposes programs from time to time, which join the population; before each turn but the
first it is trained, in hindsight, on the best of the population. Several populations can evolve
side by side, each in its own process; enumeration and the policy help the first.

    solve(task, seconds=30)             the result when the time is over
    iter_solve(task, seconds=30)        intermediate results, again and again, and the final one
"""

from __future__ import annotations

import math
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from codeit.config import SolveSettings
from codeit.data.experts import load_experts
from codeit.data.tasks import Task
from codeit.evaluation.candidate import KEPT, Candidate, rank_answers
from codeit.evaluation.confidence import with_probabilities
from codeit.language import Budget, Grid, Program, run_batch
from codeit.language.enumeration import Library
from codeit.parallel import stream_results
from codeit.policy import PolicySource, can_learn, policy_directory
from codeit.search.enumeration import enumerate_programs
from codeit.search.evolution import Evolution, by_fitness
from codeit.seeds import derive

if TYPE_CHECKING:
    from codeit.policy.test_time_training import TestTimeTraining

ATTEMPTS = 2
"""Attempts at each test output (ARC Prize allows two)."""
CLOSEST = 2 * KEPT
"""Programs handed over besides those that solve all demonstrations."""
MIN_PROGRAMS_FOR_VOTES, VOTES_FACTOR = 20_000, 4
"""After the first solution evolution continues, to count votes, until it has tried this many
programs, or this many times as many as the solution took, whichever is more."""
_REPORT_SECONDS = 0.1  # between two intermediate results
_FIRST_TURN_SECONDS, _IMPORT_SECONDS = 3.0, 6.0  # estimates for the policy's first turn and importing torch


@dataclass(frozen=True)
class SolveResult:
    """What is known about a task."""

    task: Task
    tried: int
    """Programs tried, without the expressions of the enumeration."""
    programs: tuple[Candidate, ...]
    """The best programs. First come those that solve all demonstrations, one for each answer to the
    tests, the answer with most votes first; then those that come closest."""
    working_on: str = ""
    """What the search does now, for display: "enumeration", "evolution" or "policy"."""

    @property
    def solved(self) -> bool:
        """Whether a program solves all demonstrations."""
        return bool(self.programs) and self.programs[0].demonstrations_solved == len(self.task.train)

    @property
    def probability(self) -> float:
        """How likely one of the two attempts is right for all tests (see `evaluation.confidence`).

        0 if no program solves all demonstrations: it is unknown.
        """
        return sum(one.probability for one in self.programs[:ATTEMPTS])

    @cached_property
    def attempts(self) -> list[list[Grid]]:
        """Two outputs (ATTEMPTS) for each test input, the likelier first.

        These are the first distinct outputs of the programs, in order. Where there are too few, the
        input itself follows, and then the last output again.
        """
        inputs = [pair.input for pair in self.task.test]
        programs = [candidate.program for candidate in self.programs]
        outcomes = run_batch(programs, [inputs] * len(programs), threads=1)
        attempts = []
        for place, test_input in enumerate(inputs):
            grids = [of_program[place].grid for of_program in outcomes]
            distinct = list(dict.fromkeys(grid for grid in [*grids, test_input] if grid is not None))
            attempts.append([distinct[min(k, len(distinct) - 1)] for k in range(ATTEMPTS)])
        return attempts


class SearchState(NamedTuple):
    """What a search, or several together, have reached."""

    tried: int
    answers: list[Candidate]
    """The answers with most votes: programs that solve all demonstrations."""
    closest: list[Program]
    """The best of all programs."""
    settled: bool
    """Whether all demonstrations are solved, and an answer is sure or the votes are counted."""
    working_on: str = ""

    def result(self, task: Task) -> SolveResult:
        """Return this state as a result."""
        answers = with_probabilities(task, self.answers, self.tried)
        known = {answer.program for answer in answers}
        closest = [one for one in by_fitness(task, self.closest) if one.program not in known]
        return SolveResult(task, self.tried, (*answers, *closest), self.working_on)


def merge_states(task: Task, states: Iterable[SearchState], closest: int = CLOSEST) -> SearchState:
    """Merge what several searches for a task have reached. Votes for the same answer are added."""
    states = list(states)
    members = by_fitness(task, [program for state in states for program in state.closest])
    return SearchState(
        sum(state.tried for state in states),
        merge_answers(one for state in states for one in state.answers),
        [member.program for member in members[:closest]],
        any(state.settled for state in states),
        next((state.working_on for state in states if state.working_on == "policy"), "evolution"),
    )


def merge_answers(answers: Iterable[Candidate]) -> list[Candidate]:
    """Return the KEPT answers with most votes. Votes for the same answer are added."""
    merged: dict[int | None, Candidate] = {}
    for one in answers:
        other = merged.get(one.answer, replace(one, votes=0))
        shortest = min(other.program, one.program, key=len)
        merged[one.answer] = replace(other, program=shortest, votes=other.votes + one.votes)
    return rank_answers(merged.values())[:KEPT]


class TaskSearch:
    """Populations for a task, one after the other, with a policy that may help them.

    Results depend only on the task, the starters, the seed, the settings, the policy and the number
    of programs tried. The policy's arithmetic depends on the machine.
    """

    def __init__(
        self,
        task: Task,
        starters: Sequence[Program],
        seed: int,
        *,
        policy: PolicySource | None = None,
        settings: SolveSettings | None = None,
        carried: Sequence[Program] = (),
        enumerates: bool = True,
        threads: int = 0,
    ) -> None:
        """Set up a search. `threads` limits the cores of the policy (0: all).

        Programs `carried` over from another search join the first population. `enumerates` tells
        whether the search begins with enumeration, which would find the same again in a second one.
        """
        self._task, self._starters, self._carried, self._seed = task, starters, carried, seed
        self._policy, self._threads = policy, threads
        self._settings = settings or SolveSettings()
        self._enumerates, self._sure = enumerates, False
        self._reported: dict[int | None, tuple[Program, int]] = {}  # program and bits of votes, by answer
        self._trainee: TestTimeTraining | None = None
        self._finished: list[SearchState] = []  # of earlier populations
        self._evolution: Evolution | None = None
        self._enough = math.inf  # programs that this population tries to count votes
        self.working_on = "evolution"

    def run(self, programs: int = sys.maxsize, deadline: float = math.inf) -> Iterator[None]:
        """Search until `programs` are tried, `deadline` (of time.monotonic), or all is settled.

        Yields after each part of the enumeration, after each generation, and before each turn of the
        policy. Raises PolicyError.
        """
        if self._enumerates:
            yield from self._enumerate(deadline)
            if self.settled or not programs or time.monotonic() >= deadline:
                return
        settings = self._settings.search
        due = settings.policy_every
        turn_seconds = _FIRST_TURN_SECONDS + ("torch" not in sys.modules) * _IMPORT_SECONDS
        for k in count():
            before = self.tried
            evolution = self._next_population(programs - before)
            patience = settings.restart_after << min(k, 4)
            for generation in evolution.generations(programs - before):
                solved = generation.demonstrations_solved == len(self._task.train)
                if solved and self._enough == math.inf:
                    self._enough = max(MIN_PROGRAMS_FOR_VOTES, VOTES_FACTOR * generation.tried)
                yield
                now = time.monotonic()
                if now >= deadline or self.settled:
                    return
                if not solved and generation.tried >= patience:
                    break
                if self._policy and not solved and self.tried >= due and now + turn_seconds < deadline:
                    self.working_on = "policy"
                    yield
                    self._take_turn(programs - self.tried)
                    self.working_on = "evolution"
                    due = self.tried + settings.policy_every
                    turn_seconds = time.monotonic() - now
            if self._enough < math.inf or self.tried == before or self.tried >= programs:
                return

    def _enumerate(self, deadline: float) -> Iterator[None]:
        """Enumerate programs. What solves the task, or comes close, joins the first population."""
        if not self._settings.enumeration.expressions:
            return
        self.working_on = "enumeration"
        yield
        carried, library = self._carried, Library(self._starters)
        for found in enumerate_programs(self._task, library, self._settings.enumeration):
            answers = rank_answers(found.answers)[:KEPT]
            programs = [one.program for one in answers]
            self._finished = [SearchState(0, answers, programs, found.sure)]
            self._sure = found.sure
            self._carried = [*carried, *programs, *found.elites]
            yield
            if time.monotonic() >= deadline:
                break
        self.working_on = "evolution"

    @property
    def tried(self) -> int:
        """Programs tried so far. Expressions of the enumeration do not count."""
        return sum(s.tried for s in self._finished) + (self._evolution.tried if self._evolution else 0)

    @property
    def settled(self) -> bool:
        """Whether all demonstrations are solved, and an answer is sure or the votes are counted."""
        return self._sure or (self._evolution is not None and self._evolution.tried >= self._enough)

    def new_answers(self) -> list[Candidate]:
        """Return what is new since the last call among the KEPT answers with most votes.

        These are answers that are new, have a shorter program, or doubled their votes.
        """
        order = max(self.tried - 1, 0)
        of_population = self._evolution.answers()[:KEPT] if self._evolution else []
        answers = [*(one for state in self._finished for one in state.answers), *of_population]
        best = {one.answer: replace(one, order=order) for one in merge_answers(answers)}
        rows = {answer: (one.program, one.votes.bit_length()) for answer, one in best.items()}
        new = [best[answer] for answer, row in rows.items() if self._reported.get(answer) != row]
        self._reported |= rows
        return new

    def state(self, closest: int = CLOSEST) -> SearchState:
        """Return what was reached so far, with up to `closest` of the best programs."""
        merged = merge_states(self._task, [*self._finished, self._population_state(closest)], closest)
        return merged._replace(working_on=self.working_on)

    def _population_state(self, closest: int) -> SearchState:
        if self._evolution is None:  # those that would join the population
            return SearchState(0, [], list(self._carried[:closest]), False)
        members = [member.program for member in self._evolution.members()[:closest]]
        return SearchState(self._evolution.tried, self._evolution.answers()[:KEPT], members, self.settled)

    def _next_population(self, limit: int) -> Evolution:
        """Set up a population; the first also tries up to `limit` programs that are carried over."""
        if self._evolution:
            self._finished = [self.state()]
        seed = derive(self._seed, "population", self.tried)
        self._evolution = Evolution(self._task, self._starters, seed, self._settings.evolution)
        self._evolution.inject(self._carried[:limit])
        self._carried = ()
        return self._evolution

    def _take_turn(self, limit: int) -> None:
        """Train the policy, except the first time; add up to `limit` of its programs."""
        assert self._policy is not None and self._evolution is not None
        if self._trainee is None:
            from codeit.policy.test_time_training import TestTimeTraining  # importing torch takes seconds

            self._trainee = TestTimeTraining(
                self._policy,
                self._task,
                derive(self._seed, "apprentice"),  # fixed name: see seeds.py
                self._settings,
                Budget(steps=self._settings.evolution.max_steps),
                self._threads,
            )
        elif self._settings.search.elites:
            elites = self._evolution.members()[: self._settings.search.elites]
            self._trainee.train([member.program for member in elites])
        self._evolution.inject(self._trainee.propose()[:limit])


class SearchJob(NamedTuple):
    """A search without a policy, as a worker process gets it."""

    task: Task
    programs: int
    """Programs that evolution tries at most."""
    seed: int
    own: Sequence[Program] = ()
    """Programs to start from, besides those that all tasks share."""
    enumerates: bool = True
    closest: int = CLOSEST
    """Programs to hand over, besides the answers."""


def search_task(starters: Sequence[Program], settings: SolveSettings, job: SearchJob) -> SearchState:
    """Search until the programs are tried or the answer is settled; return what was reached."""
    search = TaskSearch(
        job.task, [*starters, *job.own], job.seed, settings=settings, enumerates=job.enumerates, threads=1
    )
    for _ in search.run(job.programs):
        pass
    return search.state(job.closest)


def iter_solve(
    task: Task,
    *,
    seconds: float = 60.0,
    programs: int | None = None,
    seed: int = 0,
    policy: str | Path = "shipped",
    populations: int = 1,
    starters: Sequence[Program] | None = None,
    settings: SolveSettings | None = None,
    before: SolveResult | None = None,
) -> Iterator[SolveResult]:
    """Search as `solve` does; yield an empty result at once, intermediate ones, the final one.

    With the result of an earlier search for the same task as `before`, the search goes on: its
    programs join the populations, and its votes and programs tried are part of each result.
    """
    if populations < 1 or seconds <= 0 or (programs is not None and programs < 1):
        raise ValueError(
            "expected populations, programs and seconds above 0, "
            f"found {populations}, {programs} and {seconds}"
        )
    directory = policy_directory(policy)
    if directory is not None and not can_learn():
        directory = None
    states: dict[int, SearchState] = {}
    carried: list[Program] = []
    if before is not None:
        answers = [one for one in before.programs if one.votes]
        carried = [one.program for one in before.programs]
        states[-1] = SearchState(before.tried, answers, carried, False)
    yield before or SolveResult(task, 0, ())
    starters = list(load_experts().values()) if starters is None else starters
    deadline = math.inf if programs else time.monotonic() + seconds
    jobs = []
    for k in range(populations):
        share = sys.maxsize if programs is None else (programs + populations - 1 - k) // populations
        own_seed = derive(seed, "solve", task.id, k, *([before.tried] if before else []))
        helper = directory if k == 0 else None
        enumerates = k == 0 and not (before and before.tried)  # evolution began: enumeration is done
        jobs.append(
            _Job(
                task, starters, carried, own_seed, share, deadline, helper, settings, populations, enumerates
            )
        )

    def name(number: int) -> str:
        return f"task {task.id}, population {number + 1} of {populations}"

    for number, state in stream_results(_search, jobs, deadline, name):
        if number in states and state.tried < states[number].tried:
            continue  # its process died, and it has not yet tried again what it had tried
        states[number] = state
        yield merge_states(task, (states[k] for k in sorted(states))).result(task)
        if state.settled and programs is None:
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
    settings: SolveSettings | None = None,
    progress: Callable[[SolveResult], None] | None = None,
) -> SolveResult:
    """Search for programs that solve a task's demonstrations, and answer its tests with them.

    Args:
        task: The task. Its test outputs are not read.
        seconds: Time limit. The search ends earlier once the answer is settled.
        programs: Number of programs to try, instead of a time limit. The result is then
            reproducible.
        seed: Seed of all random choices.
        policy: Directory of a policy, "shipped" for the one in this package, or "none". Without the
            packages of `codeit[learn]` evolution works alone.
        populations: Populations that evolve side by side, each in a process of its own if there are
            several. Results depend on it.
        starters: Programs to start from; by default the experts of the ARC-AGI-1 training tasks.
        settings: How the budget is shared, and the settings of evolution, sampling and training.
        progress: Called with an intermediate result about ten times a second.

    A population whose process is killed starts again, up to three times. After that the others
    continue, with what it reported last, and a warning is logged.

    Raises RunError if there is no such policy, PolicyError if it cannot be read, ValueError unless
    `seconds`, `programs` and `populations` are above 0, and WorkerError if no process survives.
    """
    for result in iter_solve(
        task,
        seconds=seconds,
        programs=programs,
        seed=seed,
        policy=policy,
        populations=populations,
        starters=starters,
        settings=settings,
    ):
        if progress:
            progress(result)
    return result


class _Job(NamedTuple):
    task: Task
    starters: Sequence[Program]
    carried: Sequence[Program]
    seed: int
    programs: int
    deadline: float
    policy: Path | None
    settings: SolveSettings | None
    populations: int
    enumerates: bool


def _search(job: _Job) -> Iterator[SearchState]:
    # With several populations every process has a core to itself.
    threads = 1 if job.populations > 1 else 0
    search = TaskSearch(
        job.task,
        job.starters,
        job.seed,
        policy=job.policy,
        settings=job.settings,
        carried=job.carried,
        enumerates=job.enumerates,
        threads=threads,
    )
    reported, working_on = -math.inf, search.working_on
    for _ in search.run(job.programs, job.deadline):
        if time.monotonic() - reported >= _REPORT_SECONDS or search.working_on != working_on:
            yield search.state()
            reported, working_on = time.monotonic(), search.working_on
    yield search.state()
