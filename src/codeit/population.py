"""Evolution with eyes: a population of programs for one task, bred toward the task's demonstrations.

It starts from the experts, as they are. Programs are ranked by what they do on the demonstrations: how many
they solve, on how many the shape is right, and the share of cells that are right; the shortest of equals
comes first. The better a program, the more often it is drawn for a parent; a mate is another of the
population, or an expert. Of programs that give the same grids only the shortest stays, and of those that come
equally close only a few, so that a population does not fill up with variants of one thing.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from codeit.config import PopulationConfig
from codeit.language import Budget, Grid, Program, TypedProgram, evaluate, infer_types, vary
from codeit.record import KEPT, Found, Part, Record
from codeit.seeds import derive
from codeit.tasks import Task
from codeit.workers import each


class Answer(NamedTuple):
    """What some programs that solve all demonstrations give on the test inputs (`key`: 64 bits for it).

    `program` is the shortest of them, `votes` is how many they are.
    """

    program: Program
    key: int
    votes: int


class Brood(NamedTuple):
    """What one brood brought."""

    tried: int
    """Programs tried so far, this brood's included."""
    found: list[Answer]
    """Of the KEPT answers with most votes, those that are new, have a shorter program, or twice the votes."""
    best: Program
    """The best program so far."""
    solved: int
    """Demonstrations that it solves."""


class Evolution:
    """Programs for one task. What is found hangs on task, experts, seed and settings alone."""

    def __init__(
        self,
        task: Task,
        experts: Sequence[Program],
        seed: int,
        settings: PopulationConfig | None = None,
    ) -> None:
        self._settings = settings or PopulationConfig()
        self._weights = self._settings.weights.model_dump()
        self._rng = np.random.default_rng(seed)
        self._budget = Budget(steps=self._settings.steps)
        self._demonstrations: list[tuple[Grid, Grid | None]] = [(p.input, p.output) for p in task.train]
        self._questions: list[tuple[Grid, Grid | None]] = [(p.input, None) for p in task.test]
        self._starters = list(dict.fromkeys(experts))
        self._experts = self._observe(self._starters)
        self._members: list[Program] = []
        self._parents: dict[int, TypedProgram] = {}  # of the members, by identity
        self._verdicts = self._judge([])
        self._known: set[int] = set()  # identities of all programs tried
        self._shortest: dict[int, int] = {}  # lines of the shortest program, by behaviour
        self._answers: dict[int, tuple[Program, int]] = {}  # the shortest program and the votes, by key
        self._told: dict[int, tuple[Program, int]] = {}

    def broods(self, programs: int) -> Iterator[Brood]:
        """Try the experts, then children, `programs` in all; ends early if no child is new."""
        children = self._starters
        while children := children[: max(programs - len(self._known), 0)]:
            found = self._attempt(children)
            if self._members:
                yield Brood(len(self._known), found, self._members[0], int(self._verdicts["solved"][0]))
            children = self._children()

    def join(self, programs: Sequence[Program]) -> None:
        """Try programs from elsewhere, too, between two broods; those of use enter the population."""
        new = {program.identity: program for program in reversed(programs)}  # of equal ones the first
        self._attempt([new[identity] for identity in reversed(new) if identity not in self._known])

    @property
    def tried(self) -> int:
        """Programs tried so far."""
        return len(self._known)

    def answers(self) -> list[Answer]:
        """What programs that solve all demonstrations give on the tests, the most votes first."""
        best = sorted(self._answers.items(), key=lambda item: (-item[1][1], len(item[1][0])))
        return [Answer(program, key, votes) for key, (program, votes) in best]

    def members(self) -> list[tuple[Program, int]]:
        """The population, best first: programs, and how many demonstrations each solves."""
        return list(zip(self._members, self._verdicts["solved"].tolist(), strict=True))

    def _attempt(self, programs: Sequence[Program]) -> list[Answer]:
        """Try new programs; what is new of the best answers."""
        self._known.update(program.identity for program in programs)
        verdicts = self._judge(programs)
        self._admit(programs, verdicts)
        return self._found(programs, verdicts)

    def _children(self) -> list[Program]:
        """A brood: new programs only."""
        settings, rng, n = self._settings, self._rng, self._settings.brood
        parents = [self._parents[member.identity] for member in self._members]
        if not parents:
            return []

        def draw() -> list[TypedProgram]:
            places = (len(parents) * rng.random(n) ** settings.eagerness).astype(int)
            return [parents[place] for place in places]

        chosen, mates = draw(), draw()
        strangers = rng.random(n) < settings.expert_mates
        for place in np.flatnonzero(strangers).tolist():
            mates[place] = self._experts[rng.integers(len(self._experts))]
        seed = int(rng.integers(1 << 63))
        made = vary(chosen, mates, self._weights, seed, max_lines=settings.longest)
        children = {child.identity: child for child in made if child is not None}
        return [child for identity, child in children.items() if identity not in self._known]

    def _admit(self, programs: Sequence[Program], verdicts: NDArray[np.void]) -> None:
        """Put programs into the population where they belong."""
        new = []
        for k in np.flatnonzero(verdicts["ran"]).tolist():
            behaviour, lines = int(verdicts["behaviour"][k]), len(programs[k])
            if lines < self._shortest.get(behaviour, lines + 1):
                self._shortest[behaviour] = lines
                new.append(k)
        everyone = self._members + [programs[k] for k in new]
        all_verdicts = np.concatenate([self._verdicts, verdicts[new]])
        lengths = np.array([len(program) for program in everyone])
        solved, shaped = all_verdicts["solved"].astype(int), all_verdicts["shaped"].astype(int)
        kept: list[int] = []
        behaviours: set[int] = set()
        close: Counter[tuple[int, int, float]] = Counter()
        for k in np.lexsort((lengths, -all_verdicts["cells"], -shaped, -solved)).tolist():
            behaviour, closeness = int(all_verdicts["behaviour"][k]), all_verdicts[k].item()[3:]
            if behaviour not in behaviours and close[closeness] < self._settings.alike:
                behaviours.add(behaviour)
                close[closeness] += 1
                kept.append(k)
            if len(kept) == self._settings.population:
                break
        self._members, self._verdicts = [everyone[k] for k in kept], all_verdicts[kept]
        strangers = [member for member in self._members if member.identity not in self._parents]
        known = self._parents | {
            program.identity: parent
            for program, parent in zip(strangers, self._observe(strangers), strict=True)
        }
        self._parents = {member.identity: known[member.identity] for member in self._members}

    def _found(self, programs: Sequence[Program], verdicts: NDArray[np.void]) -> list[Answer]:
        """Count the votes of those that solve all demonstrations; tell what is new of the best answers."""
        solved = verdicts["solved"] == len(self._demonstrations)
        right = [programs[k] for k in np.flatnonzero(solved).tolist()]
        answers = self._judge(right, self._questions)
        for program, verdict in zip(right, answers, strict=True):
            if verdict["ran"] == len(self._questions):
                key = int(verdict["behaviour"])
                shortest, votes = self._answers.get(key, (program, 0))
                self._answers[key] = min(shortest, program, key=len), votes + 1
        told = self.answers()[:KEPT]
        new = [one for one in told if self._told.get(one.key) != (one.program, one.votes.bit_length())]
        self._told |= {one.key: (one.program, one.votes.bit_length()) for one in new}
        return new

    def _judge(
        self, programs: Sequence[Program], pairs: Sequence[tuple[Grid, Grid | None]] | None = None
    ) -> NDArray[np.void]:
        pairs = self._demonstrations if pairs is None else pairs
        return evaluate(programs, [0] * len(programs), [pairs], budget=self._budget, threads=1)

    def _observe(self, programs: Sequence[Program]) -> list[TypedProgram]:
        first = [self._demonstrations[0][0]]
        return infer_types(programs, [0] * len(programs), first, budget=self._budget, threads=1)


def evolve(job: tuple[Task, Sequence[Program], int, int]) -> tuple[list[Answer], list[Program]]:
    """The KEPT answers with most votes, and the population, best first, after so many programs.

    `job` is the task, the programs to start from, how many to try, and a seed.
    """
    task, starters, programs, seed = job
    evolution = Evolution(task, starters, seed)
    for _ in evolution.broods(programs):
        pass
    return evolution.answers()[:KEPT], [program for program, _ in evolution.members()]


def run_evolution(
    record: Record,
    experts: Sequence[Program],
    tasks: Sequence[Task],
    programs: int,
    seed: int,
    *,
    settings: PopulationConfig | None = None,
    workers: int = 0,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> None:
    """Try `programs` programs on each task, in so many processes (0: one a core).

    A task is a part of the record; those that are there are not done again.
    """
    left = [number for number in range(len(tasks)) if number not in record.parts()]
    jobs = [(tasks[number], experts, programs, seed, settings) for number in left]
    progress(len(tasks) - len(left), len(tasks))
    for number, (part, found) in each(_evolve, jobs, workers):
        record.commit(left[number], part, found)
        progress(len(record.parts()), len(tasks))


def _evolve(
    job: tuple[Task, Sequence[Program], int, int, PopulationConfig | None],
) -> tuple[Part, list[Found]]:
    task, experts, programs, seed, settings = job
    clock, cores = time.monotonic(), time.process_time()
    found: list[Found] = []
    tried = 0
    for brood in Evolution(task, experts, derive(seed, "evolve", task.id), settings).broods(programs):
        tried = brood.tried
        found += [Found(task.id, one.program, tried - 1, one.key, one.votes) for one in brood.found]
    return Part(tried, time.monotonic() - clock, time.process_time() - cores), found
