"""Typed mutation of expert programs (Butt et al. 2024, arXiv 2402.04858, section 3 and appendix).

One random line of an expert changes: an argument is swapped (half the time for a new variable, defined on
a new line in front), or the function is swapped for one of the same signature, or the whole right-hand side
becomes a new call with a result of the same type. The types of variables are those observed on the task's
first input. A mutant is accepted if it gives a grid on all of the task's inputs and is not the identity on
all of them.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from typing import NamedTuple

from codeit.draft import Draft
from codeit.language import CONSTANTS, PRIMITIVES, Budget, Grid, Line, ParseError, Program, run_batch
from codeit.signatures import ACCEPTS, atom_of
from codeit.tasks import Task

SWAP_ARGUMENT, SWAP_FUNCTION, NEW_CALL = 0.5, 0.25, 0.25
"""How often each kind of mutation is tried (the paper's shares)."""
NEW_VARIABLE = 0.5
"""How often a swapped argument becomes a new variable (the paper's share)."""
BATCH = 4096
"""Candidates proposed before they are run together. Part of what a seed means."""
BARREN = 16
"""Batches in a row without a new mutant after which mutation gives up."""


class Mutant(NamedTuple):
    """A program made from the expert of a task."""

    task_id: str
    program: Program


@cache
def _constants_of(type_name: str) -> tuple[str, ...]:
    return tuple(name for name in CONSTANTS if atom_of(name) in ACCEPTS[type_name])


@cache
def _functions_like(name: str) -> tuple[str, ...]:
    """The other primitives with the signature of this one."""
    wanted = PRIMITIVES[name][1:3]
    return tuple(
        other for other, primitive in PRIMITIVES.items() if primitive[1:3] == wanted and other != name
    )


@cache
def _functions_to(type_name: str) -> tuple[str, ...]:
    """The primitives whose result may be of an observed type."""
    return tuple(name for name, primitive in PRIMITIVES.items() if type_name in ACCEPTS[primitive.result])


class _Parent(NamedTuple):
    """An expert with the observed types of its variables, and its task's inputs."""

    task_id: str
    draft: Draft
    types: dict[str, str]
    inputs: tuple[Grid, ...]


class _Dead(Exception):
    """A mutation that finds no term to put in its place."""


class _Scope:
    """What a line may refer to: the input, the variables before it, constants and primitives."""

    def __init__(self, parent: _Parent, index: int, rng: random.Random) -> None:
        self.variables = ["I", *(line.target for line in parent.draft.lines[:index])]
        self.types = parent.types
        self.rng = rng

    def term(self, type_name: str, other_than: str | None = None) -> str:
        """A random name whose type the signature's type admits: evenly fixed ones and variables."""
        admitted = ACCEPTS[type_name]
        variables = [v for v in self.variables if self.types[v] in admitted and v != other_than]
        fixed = [c for c in _constants_of(type_name) if c != other_than]
        if type_name == "Callable":
            fixed = [name for name in PRIMITIVES if name != other_than]
        choices = [names for names in (variables, fixed) if names]
        if not choices:
            raise _Dead
        return self.rng.choice(self.rng.choice(choices))

    def call(self, target: str, type_name: str) -> Line:
        """A line with a random call whose result may be of an observed type."""
        functions = _functions_to(type_name)
        if not functions:
            raise _Dead
        function = self.rng.choice(functions)
        return Line(target, function, tuple(map(self.term, PRIMITIVES[function].parameters)))


def _mutated(parent: _Parent, rng: random.Random) -> Draft:
    """One random change of one random line. Raises _Dead where that line admits none."""
    lines = list(parent.draft.lines)
    index = rng.randrange(len(lines))
    target, function, arguments = lines[index]
    scope = _Scope(parent, index, rng)
    kind = rng.choices(("argument", "function", "call"), (SWAP_ARGUMENT, SWAP_FUNCTION, NEW_CALL))[0]
    if kind == "argument":
        place = rng.randrange(len(arguments))
        type_name = parent.types.get(arguments[place]) or atom_of(arguments[place])
        if type_name not in ACCEPTS:  # None, which no signature names
            raise _Dead
        swapped = list(arguments)
        if rng.random() < NEW_VARIABLE:
            swapped[place] = "new"
            lines.insert(index, scope.call("new", type_name))
            index += 1
        else:
            swapped[place] = scope.term(type_name, other_than=arguments[place])
        lines[index] = Line(target, function, tuple(swapped))
    elif kind == "function":
        others = _functions_like(function) if function in PRIMITIVES else ()
        if not others:
            raise _Dead
        lines[index] = Line(target, rng.choice(others), arguments)
    else:
        lines[index] = scope.call(target, parent.types[target])
    return Draft(tuple(lines))


def _parents(experts: Mapping[str, Program], tasks: Mapping[str, Task]) -> list[_Parent]:
    parents = []
    for task_id, program in sorted(experts.items()):
        task = tasks[task_id]
        inputs = (*(pair.input for pair in task.train), *(pair.input for pair in task.test))
        types = {"I": "Grid"} | dict(
            zip((line.target for line in program.lines), program.types(inputs[0]), strict=False)
        )
        if len(types) == len(program) + 1:  # it runs to its end
            parents.append(_Parent(task_id, Draft.of(program), types, inputs))
    return parents


def mutants(
    experts: Mapping[str, Program],
    tasks: Mapping[str, Task],
    n: int,
    seed: int,
    *,
    threads: int = 0,
    budget: Budget | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> list[Mutant]:
    """`n` distinct programs, each one mutation away from an expert chosen uniformly.

    Same experts, n and seed: same mutants, on any number of threads; a smaller n gives a prefix. Each runs to
    a grid on every input of its expert's task and is not the identity on all of them. Lines that a mutation
    leaves unused are dropped. No two have the same text, and none has an expert's. Raises ValueError if the
    experts are too few or too small to give as many.
    """
    parents = _parents(experts, tasks)
    if not parents and n:
        raise ValueError("mutation needs at least one expert that runs on its task's first input")
    rng = random.Random(f"mutants {seed}")
    seen = set(experts.values())
    accepted: list[Mutant] = []
    barren = 0
    while len(accepted) < n:
        if barren == BARREN:
            raise ValueError(f"only {len(accepted)} distinct mutants found of {n} wanted; use more experts")
        candidates: list[tuple[_Parent, Program]] = []
        for _ in range(BATCH):
            parent = rng.choice(parents)
            try:
                program = _mutated(parent, rng).tidied().program()
            except (_Dead, ParseError):  # ParseError: the result no longer needs any line
                continue
            if program not in seen:
                seen.add(program)
                candidates.append((parent, program))
        new = _accepted(candidates, threads, budget)
        accepted += new
        barren = 0 if new else barren + 1
        if progress:
            progress(min(len(accepted), n), n)
    return accepted[:n]


def _accepted(
    candidates: Sequence[tuple[_Parent, Program]], threads: int, budget: Budget | None
) -> list[Mutant]:
    """Those that give a grid on all inputs and change at least one. The first input weeds out most."""
    first = run_batch(
        [p for _, p in candidates], [q.inputs[:1] for q, _ in candidates], budget=budget, threads=threads
    )
    alive = [c for c, outcomes in zip(candidates, first, strict=True) if outcomes[0].grid is not None]
    rest = run_batch([p for _, p in alive], [q.inputs for q, _ in alive], budget=budget, threads=threads)
    return [
        Mutant(parent.task_id, program)
        for (parent, program), outcomes in zip(alive, rest, strict=True)
        if all(o.grid is not None for o in outcomes)
        and any(o.grid != grid for o, grid in zip(outcomes, parent.inputs, strict=True))
    ]
