"""Mutation of expert programs (Butt et al. 2024, arXiv 2402.04858, section 3 and appendix).

One random line of an expert changes: an argument is swapped (half the time for a new variable, defined on
a new line in front), or the function is swapped for one of the same signature, or the whole right-hand side
becomes a new call with a result of the same type. The types of variables are those observed on the task's
first input. A mutant is accepted if it gives a grid on all of the task's inputs and is not the identity on
all of them. The engine makes the changes (engine/breed.cpp).
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import nullcontext
from itertools import count, islice
from pathlib import Path
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from codeit.language import Budget, Program, evaluate, infer_types, vary
from codeit.tasks import Task

Distinct = Literal["behaviour", "text"]

PAPER = {"argument": 0.5, "function": 0.25, "call": 0.25}
"""How often each kind of mutation is tried (the paper's shares)."""
ROUND = 16_384
"""Mutations proposed at once. Part of what a seed means."""
BARREN = ROUND // 1000
"""A round that gives fewer new mutants than this ends mutation."""


class Mutant(NamedTuple):
    """A program made from the expert of a task."""

    task_id: str
    program: Program


class Round(NamedTuple):
    """The new mutants of one round, and what to `recall` them by: 64-bit keys, a row a mutant."""

    number: int
    mutants: list[Mutant]
    keys: NDArray[np.uint64]


class MutationError(ValueError):
    """There are no mutants, or no more; the message says what may help."""


class Mutation:
    """Makes mutants, round by round. Which ones hangs on the experts, the tasks and the settings alone.

    A mutant is `depth` mutations away from an expert chosen uniformly; each step on the way runs on the
    task's first input. No two mutants are the same program, and none is an expert. With
    `distinct="behaviour"`, also no two mutants of one expert give the same grids on its task's inputs, and
    none gives those that the expert gives. Lines that a mutation leaves unused are dropped.
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
        self._seed, self._depth, self._distinct = seed, depth, distinct
        self._budget, self._threads = budget, threads
        self._ids = sorted(experts)
        of = list(range(len(self._ids)))
        programs = [experts[id] for id in self._ids]
        given = [[p.input for p in tasks[id].train] + [p.input for p in tasks[id].test] for id in self._ids]
        self._inputs = [[(grid, None) for grid in grids] for grids in given]
        self._firsts = [grids[0] for grids in given]
        self._parents = infer_types(programs, of, self._firsts, budget=budget, threads=threads)
        whole = [k for k in of if len(self._parents[k].types) == len(programs[k])]
        if not whole:
            raise MutationError("mutation needs at least one expert that runs on its task's first input")
        self._whole = np.array(whole)
        self._seen: set[int] = set()
        self.know(zip(self._ids, programs, strict=True))

    def know(self, programs: Iterable[tuple[str, Program]]) -> None:
        """Take programs (with the id of the expert's task) for mutants that were made already."""
        place = {id: k for k, id in enumerate(self._ids)}
        while some := list(islice(programs := iter(programs), ROUND)):
            of = [place[id] for id, _ in some]
            self._seen.update(self._keys(of, [program for _, program in some])[0].ravel().tolist())

    def recall(self, keys: Iterable[int]) -> None:
        """As `know`, from what earlier rounds gave as their keys, in any order."""
        self._seen.update(keys)

    def rounds(self, first: int = 0) -> Iterator[Round]:
        """The rounds from one on, when all that those before it gave is known.

        Raises MutationError after a barren one.
        """
        for number in count(first):
            made = self._round(number)
            yield made
            if len(made.mutants) < BARREN:
                raise MutationError(
                    f"of {ROUND} mutations in a row only {len(made.mutants)} gave a new program; "
                    "use more experts or a greater depth"
                    + (", or programs distinct by text" if self._distinct == "behaviour" else "")
                )

    def _round(self, number: int) -> Round:
        rng = np.random.default_rng([self._seed, number])
        of = rng.choice(self._whole, ROUND).tolist()
        parents = [self._parents[k] for k in of]
        programs: list[Program] = []
        for level in range(self._depth):
            if level:
                parents = infer_types(programs, of, self._firsts, budget=self._budget, threads=self._threads)
                alive = [k for k, parent in enumerate(parents) if len(parent.types) == len(programs[k])]
                of, parents = [of[k] for k in alive], [parents[k] for k in alive]
            children = vary(parents, parents, PAPER, int(rng.integers(1 << 63)))
            born = [(k, child) for k, child in zip(of, children, strict=True) if child is not None]
            of, programs = [k for k, _ in born], [child for _, child in born]
        fresh = [k for k, program in enumerate(programs) if program.identity not in self._seen]
        of, programs = [of[k] for k in fresh], [programs[k] for k in fresh]
        keys, accepted = self._keys(of, programs)
        new = []
        for k in np.flatnonzero(accepted).tolist():
            if self._seen.isdisjoint(known := keys[k].tolist()):
                self._seen.update(known)
                new.append(k)
        return Round(number, [Mutant(self._ids[of[k]], programs[k]) for k in new], keys[new])

    def _keys(
        self, of: Sequence[int], programs: Sequence[Program]
    ) -> tuple[NDArray[np.uint64], NDArray[np.bool_]]:
        """A row of keys for each program, and whether it is accepted if they are new."""
        verdicts = evaluate(
            programs, of, self._inputs, early_exit=True, budget=self._budget, threads=self._threads
        )
        accepted = (verdicts["behaviour"] != 0) & (verdicts["changed"] > 0)
        identity = np.fromiter((program.identity for program in programs), np.uint64, len(programs))
        if self._distinct == "text":
            return identity[:, None], accepted
        # An odd factor, so that what gives equal grids for different experts' tasks gets different keys.
        behaviour = verdicts["behaviour"] ^ np.asarray(of, np.uint64) * np.uint64(0x9E3779B97F4A7C15)
        return np.stack([identity, behaviour], axis=1), accepted


def mutants(
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
    """The first `n` mutants of a `Mutation`. Raises MutationError if there are not as many."""
    made: list[Mutant] = []
    if n:
        mutation = Mutation(
            experts, tasks, seed, depth=depth, distinct=distinct, budget=budget, threads=threads
        )
        for round in mutation.rounds():
            made += round.mutants
            if progress:
                progress(min(len(made), n), n)
            if len(made) >= n:
                break
    return made[:n]


def write_mutants(
    mutation: Mutation, n: int, path: Path | None, progress: Callable[[int, int], None] | None = None
) -> int:
    """Write the first `n` mutants as JSON lines to stdout, or to a file, and go on with one that was begun.

    A line is an object with `task`, `program` and `round`. Gives the number of lines that were there before.
    Raises MutationError if the file holds anything but the first mutants of this mutation, or if there are
    not as many as `n`; then it holds those there are.
    """
    there, round_there = _begun(mutation, path) if path else (0, [])
    done = there
    if done >= n:
        return there
    with open(path, "a", encoding="utf-8") if path else nullcontext(sys.stdout) as file:
        for made in mutation.rounds(round_there[0][2] if round_there else 0):
            rows = [(mutant.task_id, str(mutant.program), made.number) for mutant in made.mutants]
            if rows[: len(round_there)] != round_there:
                raise MutationError(
                    f"{path}: expected the mutants of this seed, depth, kind and these tasks, found others; "
                    "give the settings that the file was begun with, or another --out"
                )
            new = rows[len(round_there) :][: n - done]
            file.writelines(
                json.dumps({"task": id, "program": text, "round": number}) + "\n" for id, text, number in new
            )
            file.flush()
            done, round_there = done + len(new), []
            if progress:
                progress(done, n)
            if done == n:
                return there
    raise AssertionError  # rounds end with an error


def _begun(mutation: Mutation, path: Path) -> tuple[int, list[tuple[str, str, int]]]:
    """Make known what a file holds but for its last round; the number of its lines, and those of that round.

    A line that was cut short is taken off the file.
    """
    if not path.exists():
        return 0, []
    with open(path, "rb+") as file:
        file.truncate(sum(len(line) for line in file if line.endswith(b"\n")))
    number, last = 0, 0
    for number, (_, _, last) in enumerate(_rows(path), start=1):  # noqa: B007 - the last of both
        pass
    mutation.know((id, Program.parse(text)) for id, text, round in _rows(path) if round < last)
    return number, [row for row in _rows(path) if row[2] == last]


def _rows(path: Path) -> Iterator[tuple[str, str, int]]:
    with open(path, encoding="utf-8") as file:
        for number, line in enumerate(file, start=1):
            try:
                row = json.loads(line)
                yield str(row["task"]), str(row["program"]), int(row["round"])
            except (ValueError, TypeError, KeyError) as error:
                raise MutationError(
                    f"{path}, line {number}: expected a mutant as `codeit mutate` writes it: {error!r}; "
                    "choose another --out"
                ) from None
