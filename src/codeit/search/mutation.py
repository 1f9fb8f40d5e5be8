"""Mutation of expert programs (Butt et al. 2024, arXiv 2402.04858, section 3 and appendix).

One random line of an expert changes: an argument is replaced (half the time by a new variable,
defined on a new line before it), or the function is replaced by one of the same signature, or the
whole right-hand side becomes a new call with a result of the same type. The types of variables are
those observed on the first input of the task. A mutant is accepted if it gives a grid on every
input of the task and is not the identity on all of them. The engine makes the changes
(engine/vary.cpp).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import count, islice
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from codeit.data.tasks import Task
from codeit.language import Budget, Program, evaluate, infer_types, vary

Distinct = Literal["behaviour", "text"]

PAPER_WEIGHTS = {"argument": 0.5, "function": 0.25, "call": 0.25}
"""Relative frequency of each kind of mutation (the paper's)."""
PROPOSALS_PER_ROUND = 16_384
"""Mutations proposed at once. Results depend on it."""
MIN_NEW_PER_ROUND = PROPOSALS_PER_ROUND // 1000
"""Mutation ends after a round with fewer new mutants than this."""


class Mutant(NamedTuple):
    """A program made from the expert of a task."""

    task_id: str
    program: Program


class MutationRound(NamedTuple):
    """The new mutants of one round."""

    number: int
    mutants: list[Mutant]
    keys: NDArray[np.uint64]
    """64-bit keys to `restore` the mutants by, one row per mutant."""


class MutationError(ValueError):
    """There are no mutants, or no more. The message says what may help."""


class Mutator:
    """Makes mutants in rounds. Results depend only on experts, tasks and settings.

    A mutant is `depth` mutations away from an expert, which is drawn uniformly. Every intermediate
    program must run on the first input of the task. No two mutants are the same program, and none
    is an expert. With `distinct="behaviour"`, no two mutants of one expert give the same grids on
    the inputs of its task either, and none gives those of the expert. Lines that a mutation leaves
    unused are dropped.
    """

    def __init__(
        self,
        experts: Mapping[str, Program],
        tasks: Mapping[str, Task],
        seed: int,
        *,
        depth: int = 1,
        distinct: Distinct = "behaviour",
        budget: Budget | None = None,
        threads: int = 0,
    ) -> None:
        """`experts` and `tasks` are by task id. Raises MutationError if no expert runs on its task."""
        self._seed, self._depth, self._distinct = seed, depth, distinct
        self._budget, self._threads = budget, threads
        self._ids = sorted(experts)
        index = list(range(len(self._ids)))
        programs = [experts[task_id] for task_id in self._ids]
        expert_tasks = [tasks[task_id] for task_id in self._ids]
        inputs = [[p.input for p in task.train] + [p.input for p in task.test] for task in expert_tasks]
        self._inputs = [[(grid, None) for grid in grids] for grids in inputs]
        self._first_inputs = [grids[0] for grids in inputs]
        self._parents = infer_types(programs, index, self._first_inputs, budget=budget, threads=threads)
        complete = [k for k in index if len(self._parents[k].types) == len(programs[k])]
        if not complete:
            raise MutationError("mutation needs at least one expert that runs on its task's first input")
        self._complete = np.array(complete)
        self._seen: set[int] = set()
        self.mark_seen(zip(self._ids, programs, strict=True))

    def mark_seen(self, programs: Iterable[tuple[str, Program]]) -> None:
        """Exclude programs, given with their expert's task id, as if they had been made already."""
        index_of = {task_id: k for k, task_id in enumerate(self._ids)}
        programs = iter(programs)
        while batch := list(islice(programs, PROPOSALS_PER_ROUND)):
            index = [index_of[task_id] for task_id, _ in batch]
            self._seen.update(self._keys(index, [program for _, program in batch])[0].ravel().tolist())

    def restore(self, keys: Iterable[int]) -> None:
        """Exclude mutants by the keys of their `MutationRound`, in any order."""
        self._seen.update(keys)

    def rounds(self, first: int = 0) -> Iterator[MutationRound]:
        """Yield rounds from number `first`. Mutants of earlier rounds must be marked or restored.

        Raises MutationError after a round with fewer than MIN_NEW_PER_ROUND new mutants.
        """
        for number in count(first):
            mutation_round = self._round(number)
            yield mutation_round
            if len(mutation_round.mutants) < MIN_NEW_PER_ROUND:
                raise MutationError(
                    f"only {len(mutation_round.mutants)} of {PROPOSALS_PER_ROUND} mutations in a row gave a "
                    "new program; "
                    "use more experts or a greater depth"
                    + (", or programs distinct by text" if self._distinct == "behaviour" else "")
                )

    def _round(self, number: int) -> MutationRound:
        rng = np.random.default_rng([self._seed, number])
        index = rng.choice(self._complete, PROPOSALS_PER_ROUND).tolist()
        parents = [self._parents[k] for k in index]
        programs: list[Program] = []
        for level in range(self._depth):
            if level:
                parents = infer_types(
                    programs, index, self._first_inputs, budget=self._budget, threads=self._threads
                )
                alive = [k for k, parent in enumerate(parents) if len(parent.types) == len(programs[k])]
                index, parents = [index[k] for k in alive], [parents[k] for k in alive]
            offspring = vary(parents, parents, PAPER_WEIGHTS, int(rng.integers(1 << 63)))
            children = [(k, child) for k, child in zip(index, offspring, strict=True) if child is not None]
            index, programs = [k for k, _ in children], [child for _, child in children]
        unseen = [k for k, program in enumerate(programs) if program.identity not in self._seen]
        index, programs = [index[k] for k in unseen], [programs[k] for k in unseen]
        keys, accepted = self._keys(index, programs)
        new = []
        for k in np.flatnonzero(accepted).tolist():
            if self._seen.isdisjoint(row := keys[k].tolist()):
                self._seen.update(row)
                new.append(k)
        mutants = [Mutant(self._ids[index[k]], programs[k]) for k in new]
        return MutationRound(number, mutants, keys[new])

    def _keys(
        self, index: Sequence[int], programs: Sequence[Program]
    ) -> tuple[NDArray[np.uint64], NDArray[np.bool_]]:
        """Return a row of keys for each program, and whether the program is acceptable."""
        verdicts = evaluate(
            programs, index, self._inputs, early_exit=True, budget=self._budget, threads=self._threads
        )
        accepted = (verdicts["behaviour"] != 0) & (verdicts["changed"] > 0)
        identity = np.fromiter((program.identity for program in programs), np.uint64, len(programs))
        if self._distinct == "text":
            return identity[:, None], accepted
        # Multiplying by an odd constant gives equal grids of different experts' tasks different
        # keys.
        behaviour = verdicts["behaviour"] ^ np.asarray(index, np.uint64) * np.uint64(0x9E3779B97F4A7C15)
        return np.stack([identity, behaviour], axis=1), accepted


def make_mutants(
    experts: Mapping[str, Program],
    tasks: Mapping[str, Task],
    n: int,
    seed: int,
    *,
    depth: int = 1,
    distinct: Distinct = "behaviour",
    budget: Budget | None = None,
    threads: int = 0,
    progress: Callable[[int, int], None] | None = None,
) -> list[Mutant]:
    """Return the first `n` mutants of a `Mutator`. Raises MutationError if there are fewer."""
    mutants: list[Mutant] = []
    if n:
        mutator = Mutator(
            experts, tasks, seed, depth=depth, distinct=distinct, budget=budget, threads=threads
        )
        for mutation_round in mutator.rounds():
            mutants += mutation_round.mutants
            if progress:
                progress(min(len(mutants), n), n)
            if len(mutants) >= n:
                break
    return mutants[:n]
