"""Genetic programming for one task, guided by its demonstrations.

A population starts from given programs, usually the experts, as they are. The fitness of a program
is what it does on the demonstrations: how many it solves, on how many its output has the right
shape, and the share of cells that are right; shorter programs win ties. Parents are drawn by rank.
A mate is a member of the population or a starter. Of programs that give the same grids only the
shortest stays, and of those with equal fitness only a few, so that the population does not fill up
with variants of one idea.

Programs that solve all demonstrations are also run on the test inputs, to count the votes for each
answer. Test outputs are not read.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from codeit.config import EvolutionConfig
from codeit.data.tasks import Task
from codeit.evaluation.candidate import Candidate
from codeit.language import Budget, Grid, Program, TypedProgram, evaluate, infer_types, vary


class Generation(NamedTuple):
    """The state of the search after a generation of offspring."""

    tried: int
    """Programs tried so far, including this generation."""
    best: Program
    """The best program so far."""
    demonstrations_solved: int
    """Demonstrations that it solves."""


class Evolution:
    """A population of programs for one task.

    Results depend only on the task, the starters, the seed and the settings.
    """

    def __init__(
        self,
        task: Task,
        starters: Sequence[Program],
        seed: int,
        settings: EvolutionConfig | None = None,
    ) -> None:
        """`starters` are the first programs tried, usually the experts. They also serve as mates."""
        self._task_id = task.id
        self._settings = settings or EvolutionConfig()
        self._weights = self._settings.weights.model_dump()
        self._rng = np.random.default_rng(seed)
        self._budget = Budget(steps=self._settings.max_steps)
        self._demonstrations: list[tuple[Grid, Grid | None]] = [(p.input, p.output) for p in task.train]
        self._test_inputs: list[tuple[Grid, Grid | None]] = [(p.input, None) for p in task.test]
        self._starters = list(dict.fromkeys(starters))
        self._typed_starters = self._infer_types(self._starters)
        self._members: list[Program] = []
        self._parents: dict[int, TypedProgram] = {}  # the members by identity
        self._verdicts = self._evaluate([])  # of the members
        self._tried: set[int] = set()  # identities of all programs
        self._shortest: dict[int, int] = {}  # lines of the shortest program, by behaviour
        self._answers: dict[int, Candidate] = {}  # the shortest program and the votes, by answer

    def generations(self, programs: int) -> Iterator[Generation]:
        """Try the starters, then offspring, until `programs` are tried or none is new."""
        offspring = self._starters
        while offspring := offspring[: max(programs - len(self._tried), 0)]:
            self._try(offspring)
            if self._members:
                yield Generation(len(self._tried), self._members[0], int(self._verdicts["solved"][0]))
            offspring = self._offspring()

    def inject(self, programs: Sequence[Program]) -> None:
        """Try programs from elsewhere between two generations. Those that are fit enough join.

        Programs tried before are skipped. Starters injected before the first generation are tried,
        and vote, again in it.
        """
        distinct = {program.identity: program for program in reversed(programs)}  # the first of equal ones
        self._try([distinct[k] for k in reversed(distinct) if k not in self._tried])

    @property
    def tried(self) -> int:
        """Programs tried so far."""
        return len(self._tried)

    def answers(self) -> list[Candidate]:
        """Return a candidate for each answer of programs that solve all demonstrations, by votes.

        A candidate is the shortest program that gives the answer. Equal votes are ordered by
        length.
        """
        return sorted(self._answers.values(), key=lambda answer: (-answer.votes, len(answer.program)))

    def members(self) -> list[Candidate]:
        """Return the population, best first."""
        solved = self._verdicts["solved"].tolist()
        return [Candidate(self._task_id, *member) for member in zip(self._members, solved, strict=True)]

    def _try(self, programs: Sequence[Program]) -> None:
        """Try new programs."""
        self._tried.update(program.identity for program in programs)
        verdicts = self._evaluate(programs)
        self._select(programs, verdicts)
        self._count_votes(programs, verdicts)

    def _offspring(self) -> list[Program]:
        """Return the next generation: new programs only."""
        settings, rng, n = self._settings, self._rng, self._settings.offspring
        members = [self._parents[member.identity] for member in self._members]
        if not members:
            return []

        def select() -> list[TypedProgram]:
            ranks = (len(members) * rng.random(n) ** settings.selection_pressure).astype(int)
            return [members[rank] for rank in ranks.clip(max=len(members) - 1)]  # a power may round to 1

        parents, mates = select(), select()
        with_starter = rng.random(n) < settings.starter_mates
        for k in np.flatnonzero(with_starter).tolist():
            mates[k] = self._typed_starters[rng.integers(len(self._typed_starters))]
        seed = int(rng.integers(1 << 63))
        children = vary(parents, mates, self._weights, seed, max_lines=settings.max_lines)
        offspring = {child.identity: child for child in children if child is not None}
        return [child for identity, child in offspring.items() if identity not in self._tried]

    def _select(self, programs: Sequence[Program], verdicts: NDArray[np.void]) -> None:
        """Choose the next population from the members and new programs."""
        new = []
        for k in np.flatnonzero(verdicts["ran"]).tolist():
            behaviour, lines = int(verdicts["behaviour"][k]), len(programs[k])
            if lines < self._shortest.get(behaviour, lines + 1):
                self._shortest[behaviour] = lines
                new.append(k)
        pool = self._members + [programs[k] for k in new]
        pool_verdicts = np.concatenate([self._verdicts, verdicts[new]])
        fit = fitness(pool_verdicts)
        chosen: list[int] = []
        behaviours: set[int] = set()
        equally_fit: Counter[tuple[int, int, float]] = Counter()
        for k in fitness_order(pool, pool_verdicts):
            behaviour = int(pool_verdicts["behaviour"][k])
            if behaviour not in behaviours and equally_fit[fit[k]] < self._settings.max_equal_fitness:
                behaviours.add(behaviour)
                equally_fit[fit[k]] += 1
                chosen.append(k)
            if len(chosen) == self._settings.population:
                break
        self._members, self._verdicts = [pool[k] for k in chosen], pool_verdicts[chosen]
        newcomers = [member for member in self._members if member.identity not in self._parents]
        typed = self._parents | {
            program.identity: parent
            for program, parent in zip(newcomers, self._infer_types(newcomers), strict=True)
        }
        self._parents = {member.identity: typed[member.identity] for member in self._members}

    def _count_votes(self, programs: Sequence[Program], verdicts: NDArray[np.void]) -> None:
        """Count votes of programs that solve all demonstrations."""
        n = len(self._demonstrations)
        solvers = [programs[k] for k in np.flatnonzero(verdicts["solved"] == n).tolist()]
        for program, verdict in zip(solvers, self._evaluate(solvers, self._test_inputs), strict=True):
            if verdict["ran"] == len(self._test_inputs):
                answer = int(verdict["behaviour"])
                first = Candidate(self._task_id, program, n, votes=0, answer=answer)
                known = self._answers.get(answer, first)
                shortest = min(known.program, program, key=len)
                self._answers[answer] = replace(known, program=shortest, votes=known.votes + 1)

    def _evaluate(
        self, programs: Sequence[Program], pairs: Sequence[tuple[Grid, Grid | None]] | None = None
    ) -> NDArray[np.void]:
        pairs = self._demonstrations if pairs is None else pairs
        return evaluate(programs, [0] * len(programs), [pairs], budget=self._budget, threads=1)

    def _infer_types(self, programs: Sequence[Program]) -> list[TypedProgram]:
        first = [self._demonstrations[0][0]]
        return infer_types(programs, [0] * len(programs), first, budget=self._budget, threads=1)


def fitness(verdicts: NDArray[np.void]) -> list[tuple[int, int, float]]:
    """Return the fitness of programs; greater tuples are fitter.

    `verdicts` are those of `language.evaluate` on the demonstrations. Fitness is the number of
    demonstrations solved, then of outputs with the right shape, then the share of right cells.
    """
    fields = (verdicts[name].tolist() for name in ("solved", "shaped", "cells"))
    return list(zip(*fields, strict=True))


def fitness_order(programs: Sequence[Program], verdicts: NDArray[np.void]) -> list[int]:
    """Return the indices of programs by fitness, fittest first; shorter programs win ties."""
    fit = fitness(verdicts)
    keys = [(fit[k], -len(program)) for k, program in enumerate(programs)]
    return sorted(range(len(keys)), key=keys.__getitem__, reverse=True)


def by_fitness(task: Task, programs: Sequence[Program]) -> list[Candidate]:
    """Evaluate programs on a task's demonstrations; return them by fitness, best first, each once."""
    programs = list(dict.fromkeys(programs))
    verdicts = evaluate(programs, [0] * len(programs), [task.train], threads=1)
    order = fitness_order(programs, verdicts)
    return [Candidate(task.id, programs[k], int(verdicts["solved"][k])) for k in order]
