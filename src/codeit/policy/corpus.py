"""Examples to pre-train a policy on, without end: what programs that the engine makes do on varied inputs.

A program is an expert of a training task or up to `depth` mutations away from one, or from the program that
changes nothing; the mutations are those of evolution, crossing with other experts included. Its inputs are
the task's own or fresh ones of the task's generator, or another task's; some are mirrored, turned or
recoloured. The outputs are always the program's own. No grid of the tasks to be solved enters.

Examples come in rounds. A round hangs on the seed, its number and the settings alone, so that any process
can make it.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from codeit.config import CorpusConfig
from codeit.data.tasks import Pair, Task
from codeit.language import Budget, Grid, Program, evaluate, infer_types, run_batch, vary

TRIVIAL = Program.parse("O = identity(I)")
"""What random programs grow from."""


class PretrainingExample(NamedTuple):
    """A program, and what it does.

    `origin` is the id of the task whose expert it comes from, "" for one grown from nothing; `depth` the
    mutations from there.
    """

    program: Program
    pairs: tuple[Pair, ...]
    origin: str
    depth: int
    behaviour: int
    """64 bits for what it does on the inputs of its origin's task (without one, of some task)."""


class _Bred(NamedTuple):
    program: Program
    of: int  # the number of its task
    grown: bool
    depth: int


class CorpusRound(NamedTuple):
    """The lessons of one round."""

    number: int
    lessons: list[PretrainingExample]


class Corpus:
    """Makes lessons, a round at a time."""

    def __init__(
        self,
        tasks: Sequence[Task],
        experts: Mapping[str, Program],
        inputs: Mapping[str, Sequence[Grid]],
        avoid: Collection[Grid],
        seed: int,
        settings: CorpusConfig | None = None,
    ) -> None:
        """Lessons for the experts of `tasks`, on their inputs and on fresh `inputs` (by task id).

        No lesson has a grid of `avoid`.
        """
        self.settings = settings or CorpusConfig()
        self._weights = self.settings.weights.model_dump()
        self._budget = Budget(steps=self.settings.max_steps)
        self._seed, self._avoid = seed, frozenset(avoid)
        tasks = [task for task in tasks if task.id in experts]
        self._ids = [task.id for task in tasks]
        self._own = [[p.input for p in task.train] + [p.input for p in task.test] for task in tasks]
        self._inputs = [[*own, *inputs.get(id, ())] for own, id in zip(self._own, self._ids, strict=True)]
        self._sizes = [len(task.train) for task in tasks]
        places = range(len(tasks))
        firsts = [own[0] for own in self._own]
        programs = [experts[id] for id in self._ids]
        self._starters = infer_types(programs, places, firsts, budget=self._budget)
        self._trivial = infer_types([TRIVIAL] * len(tasks), places, firsts, budget=self._budget)
        self._firsts = firsts

    def round(self, number: int) -> CorpusRound:
        """The lessons of a round: programs distinct by behaviour on a task, of each behaviour the shortest.

        Each depth has as many proposals, from as many tasks; what one depth brings are the parents of the
        next. Of long programs few are shown: what they do tells little of what they are. None is shown that
        calls `identity`, as programs grown from `TRIVIAL` often do.
        """
        rng = np.random.default_rng([self._seed, number])
        n = self.settings.proposals_per_round // (self.settings.max_depth + 1)
        best: dict[int, _Bred] = {}
        of = rng.integers(len(self._ids), size=n)
        grown = rng.random(n) < self.settings.grown_share
        parents = [(self._trivial if new else self._starters)[k] for k, new in zip(of, grown, strict=True)]
        first = dict.fromkeys(
            (k, new, Program(p.program)) for k, new, p in zip(of, grown, parents, strict=True)
        )
        bred = [_Bred(program, int(k), bool(new), 0) for k, new, program in first]
        self._survivors(bred, best)
        for _ in range(self.settings.max_depth):
            bred = self._survivors(self._children(bred, n, rng), best)
        shown = rng.random(len(best))
        chosen = [
            (behaviour, one)
            for (behaviour, one), chance in zip(best.items(), shown, strict=True)
            if chance < (self.settings.short_lines / len(one.program)) ** 1.5
            and all(line.function != "identity" for line in one.program.lines)
        ]
        given = [self._draw_inputs(one.of, rng) for _, one in chosen]
        outcomes = run_batch([one.program for _, one in chosen], given, budget=self._budget, threads=1)
        lessons = []
        for (behaviour, one), inputs, results in zip(chosen, given, outcomes, strict=True):
            if pairs := self._pairs(inputs, [outcome.grid for outcome in results]):
                origin = "" if one.grown else self._ids[one.of]
                lessons.append(PretrainingExample(one.program, pairs, origin, one.depth, behaviour))
        return CorpusRound(number, lessons)

    def _children(self, bred: Sequence[_Bred], n: int, rng: np.random.Generator) -> list[_Bred]:
        """Programs one mutation further, `n` proposed."""
        if not bred:
            return []
        families: dict[tuple[int, bool], list[int]] = {}
        for place, one in enumerate(bred):
            families.setdefault((one.of, one.grown), []).append(place)
        members = list(families.values())
        chosen = [members[k] for k in rng.integers(len(members), size=n)]
        places = [family[int(u * len(family))] for family, u in zip(chosen, rng.random(n), strict=True)]
        seen = [one.of for one in bred]
        parents = infer_types(
            [one.program for one in bred], seen, self._firsts, budget=self._budget, threads=1
        )
        mates = [self._starters[k] for k in rng.integers(len(self._starters), size=n)]
        seed, longest = int(rng.integers(1 << 63)), self.settings.max_lines
        children = vary([parents[k] for k in places], mates, self._weights, seed, max_lines=longest)
        return [
            bred[place]._replace(program=child, depth=bred[place].depth + 1)
            for place, child in zip(places, children, strict=True)
            if child is not None
        ]

    def _survivors(self, bred: Sequence[_Bred], best: dict[int, _Bred]) -> list[_Bred]:
        """Those that give grids on all of their task's inputs, and new ones or by a shorter program."""
        of = [one.of for one in bred]
        pairs = [[(grid, None) for grid in own] for own in self._own]
        programs = [one.program for one in bred]
        verdicts = evaluate(programs, of, pairs, early_exit=True, budget=self._budget, threads=1)
        behaviours = verdicts["behaviour"] ^ np.array(of, np.uint64) * np.uint64(0x9E3779B97F4A7C15)
        survivors = []
        for place in np.flatnonzero((verdicts["behaviour"] != 0) & (verdicts["changed"] > 0)).tolist():
            behaviour, one = int(behaviours[place]), bred[place]
            if behaviour not in best or len(one.program) < len(best[behaviour].program):
                best[behaviour] = one
                survivors.append(one)
        return survivors

    def _draw_inputs(self, of: int, rng: np.random.Generator) -> list[Grid]:
        """Inputs for one lesson, all of one task: as many as some task has."""
        settings = self.settings
        if rng.random() < settings.foreign_inputs_share:
            of = int(rng.integers(len(self._ids)))
        pool = self._inputs[of]
        n = self._sizes[rng.integers(len(self._sizes))]
        own = rng.random() < settings.own_inputs_share
        pool = self._own[of] if own else pool
        grids = [pool[k] for k in rng.permutation(len(pool))[:n]]
        if rng.random() < settings.augmented_share:
            grids = view(grids, int(rng.integers(8)), rng.permutation(10) if rng.random() < 0.5 else None)
        return grids

    def _pairs(self, inputs: Sequence[Grid], outputs: Sequence[Grid | None]) -> tuple[Pair, ...]:
        """The pairs of a lesson; none if it would teach nothing, or shows what must not be seen."""
        pairs = tuple(Pair(a, b) for a, b in zip(inputs, outputs, strict=True) if b is not None)
        if len(pairs) < len(inputs) or all(a == b for a, b in pairs):
            return ()
        if len(pairs) > 1 and len({b for _, b in pairs}) == 1:
            return ()
        if any(grid in self._avoid for pair in pairs for grid in pair):
            return ()
        return pairs


def view(grids: Sequence[Grid], turn: int, colours: NDArray[np.int64] | None) -> list[Grid]:
    """The grids mirrored or turned (one of 8 ways), colour c become `colours[c]`."""
    seen = []
    for grid in grids:
        cells = np.frombuffer(bytes(grid), np.uint8).reshape(grid.shape)
        if turn & 1:
            cells = cells[::-1]
        if turn & 2:
            cells = cells[:, ::-1]
        if turn & 4:
            cells = cells.T
        if colours is not None:
            cells = colours.astype(np.uint8)[cells]
        seen.append(Grid.from_bytes(*cells.shape, cells.tobytes()))
    return seen
