"""An endless corpus for pre-training: programs made by the engine, and what they do.

A program is up to `max_depth` mutations away from the expert of a training task, or from the
identity. The mutations are the variation operators of evolution, including crossover with other
experts. The inputs of an example are published inputs of the task, generated ones, or those of
another task. Some are mirrored, rotated or recoloured. The outputs are always the program's own. No
grid of the tasks to solve occurs.

Examples are made in rounds. A round depends only on the seed, its number and the settings, so any
process can make it.
"""

from __future__ import annotations

import pickle
import zlib
from collections.abc import Callable, Collection, Mapping, Sequence
from functools import cached_property
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from codeit.config import CorpusConfig
from codeit.data.experts import format_grids, parse_grids
from codeit.data.tasks import Pair, Task
from codeit.language import Budget, Grid, Program, evaluate, infer_types, run_batch, vary

IDENTITY = Program.parse("O = identity(I)")
"""The program that random programs grow from."""


class PretrainingExample(NamedTuple):
    """A program and what it does."""

    program: Program
    pairs: tuple[Pair, ...]
    origin: str
    """Id of the task whose expert the program was made from, or "" if it grew from the identity."""
    depth: int
    """Number of mutations from there."""
    behaviour: int
    """64-bit hash of its outputs on the published inputs of a task: the origin, if there is one."""


class _Proposal(NamedTuple):
    program: Program
    task_index: int
    grown: bool
    """Whether it grew from the identity."""
    depth: int


class CorpusRound(NamedTuple):
    """The examples of one round."""

    number: int
    examples: list[PretrainingExample]


class Corpus:
    """Makes examples, round by round."""

    def __init__(
        self,
        tasks: Sequence[Task],
        experts: Mapping[str, Program],
        inputs: Mapping[str, Sequence[Grid]],
        avoid: Collection[Grid],
        seed: int,
        settings: CorpusConfig | None = None,
    ) -> None:
        """Use the experts and inputs of `tasks`, and generated `inputs` by task id.

        No example contains a grid of `avoid`.
        """
        self.settings = settings or CorpusConfig()
        self._given = tasks, experts, inputs, avoid, seed, self.settings
        self._weights = self.settings.weights.model_dump()
        self._budget = Budget(steps=self.settings.max_steps)
        self._seed, self._avoid = seed, frozenset(avoid)
        tasks = [task for task in tasks if task.id in experts]
        self._ids = [task.id for task in tasks]
        self._published = [[p.input for p in task.train] + [p.input for p in task.test] for task in tasks]
        self._inputs = [
            [*published, *inputs.get(task.id, ())]
            for published, task in zip(self._published, tasks, strict=True)
        ]
        self._demonstrations = [len(task.train) for task in tasks]
        self._first_inputs = [published[0] for published in self._published]
        index = range(len(tasks))
        programs = [experts[task.id] for task in tasks]
        identities = [IDENTITY] * len(tasks)
        self._experts = infer_types(programs, index, self._first_inputs, budget=self._budget)
        self._identities = infer_types(identities, index, self._first_inputs, budget=self._budget)

    def __reduce__(self) -> tuple[Callable[[bytes], Corpus], tuple[bytes]]:
        return _unpack, (self._packed,)

    @cached_property
    def _packed(self) -> bytes:
        """What the corpus is made of, with grids as compressed text: pickled grids take seconds."""
        tasks, experts, inputs, avoid, seed, settings = self._given
        ids = [task.id for task in tasks if task.id in experts]
        texts = {task_id: format_grids(inputs.get(task_id, ())) for task_id in ids}
        given = tasks, {task_id: experts[task_id] for task_id in ids}, texts, format_grids(list(avoid))
        return zlib.compress(pickle.dumps((*given, seed, settings)), 1)

    def make_round(self, number: int) -> CorpusRound:
        """Make the examples of a round: the shortest program for each behaviour on a task.

        Every depth gets an equal share of the proposals. The survivors of a depth are the parents
        of the next. Long programs are shown rarely, because their behaviour says little about their
        text. Programs that call `identity` are never shown; many of those that grow from it do.
        """
        rng = np.random.default_rng([self._seed, number])
        n = self.settings.proposals_per_round // (self.settings.max_depth + 1)
        best: dict[int, _Proposal] = {}
        task_index = rng.integers(len(self._ids), size=n)
        grown = rng.random(n) < self.settings.grown_share
        distinct = dict.fromkeys(
            (k, new, Program((self._identities if new else self._experts)[k].program))
            for k, new in zip(task_index, grown, strict=True)
        )
        proposals = [_Proposal(program, int(k), bool(new), 0) for k, new, program in distinct]
        self._select(proposals, best)
        for _ in range(self.settings.max_depth):
            proposals = self._select(self._mutate(proposals, n, rng), best)
        uniforms = rng.random(len(best))
        chosen = [
            (behaviour, proposal)
            for (behaviour, proposal), uniform in zip(best.items(), uniforms, strict=True)
            if uniform < (self.settings.short_lines / len(proposal.program)) ** 1.5
            and all(line.function != "identity" for line in proposal.program.lines)
        ]
        inputs = [self._draw_inputs(proposal.task_index, rng) for _, proposal in chosen]
        programs = [proposal.program for _, proposal in chosen]
        outcomes = run_batch(programs, inputs, budget=self._budget, threads=1)
        examples = []
        for (behaviour, proposal), grids, program_outcomes in zip(chosen, inputs, outcomes, strict=True):
            if pairs := self._pairs(grids, [outcome.grid for outcome in program_outcomes]):
                origin = "" if proposal.grown else self._ids[proposal.task_index]
                examples.append(
                    PretrainingExample(proposal.program, pairs, origin, proposal.depth, behaviour)
                )
        return CorpusRound(number, examples)

    def _mutate(self, parents: Sequence[_Proposal], n: int, rng: np.random.Generator) -> list[_Proposal]:
        """Propose `n` mutations of the parents; return those that gave a program."""
        if not parents:
            return []
        # A parent is drawn by first drawing its family, so that no task dominates.
        families: dict[tuple[int, bool], list[int]] = {}
        for index, parent in enumerate(parents):
            families.setdefault((parent.task_index, parent.grown), []).append(index)
        members = list(families.values())
        drawn = [members[k] for k in rng.integers(len(members), size=n)]
        chosen = [family[int(u * len(family))] for family, u in zip(drawn, rng.random(n), strict=True)]
        typed = infer_types(
            [parent.program for parent in parents],
            [parent.task_index for parent in parents],
            self._first_inputs,
            budget=self._budget,
            threads=1,
        )
        mates = [self._experts[k] for k in rng.integers(len(self._experts), size=n)]
        seed, max_lines = int(rng.integers(1 << 63)), self.settings.max_lines
        children = vary([typed[k] for k in chosen], mates, self._weights, seed, max_lines=max_lines)
        return [
            parents[k]._replace(program=child, depth=parents[k].depth + 1)
            for k, child in zip(chosen, children, strict=True)
            if child is not None
        ]

    def _select(self, proposals: Sequence[_Proposal], best: dict[int, _Proposal]) -> list[_Proposal]:
        """Return the proposals that are the shortest so far with their behaviour; record them.

        Each must give a grid on every published input of its task and change at least one.
        """
        task_index = [proposal.task_index for proposal in proposals]
        pairs = [[(grid, None) for grid in published] for published in self._published]
        programs = [proposal.program for proposal in proposals]
        verdicts = evaluate(programs, task_index, pairs, early_exit=True, budget=self._budget, threads=1)
        behaviours = verdicts["behaviour"] ^ np.array(task_index, np.uint64) * np.uint64(0x9E3779B97F4A7C15)
        selected = []
        for k in np.flatnonzero((verdicts["behaviour"] != 0) & (verdicts["changed"] > 0)).tolist():
            behaviour, proposal = int(behaviours[k]), proposals[k]
            if behaviour not in best or len(proposal.program) < len(best[behaviour].program):
                best[behaviour] = proposal
                selected.append(proposal)
        return selected

    def _draw_inputs(self, task_index: int, rng: np.random.Generator) -> list[Grid]:
        """Draw the inputs of an example from one task, as many as a random task has demonstrations."""
        settings = self.settings
        if rng.random() < settings.foreign_inputs_share:
            task_index = int(rng.integers(len(self._ids)))
        n = self._demonstrations[rng.integers(len(self._demonstrations))]
        published_only = rng.random() < settings.own_inputs_share
        pool = (self._published if published_only else self._inputs)[task_index]
        grids = [pool[k] for k in rng.permutation(len(pool))[:n]]
        if rng.random() < settings.augmented_share:
            symmetry = int(rng.integers(8))
            grids = augment(grids, symmetry, rng.permutation(10) if rng.random() < 0.5 else None)
        return grids

    def _pairs(self, inputs: Sequence[Grid], outputs: Sequence[Grid | None]) -> tuple[Pair, ...]:
        """Return the pairs of an example, or none if it is trivial or has a grid to avoid."""
        pairs = tuple(Pair(a, b) for a, b in zip(inputs, outputs, strict=True) if b is not None)
        if len(pairs) < len(inputs) or all(a == b for a, b in pairs):
            return ()
        if len(pairs) > 1 and len({b for _, b in pairs}) == 1:
            return ()
        if any(grid in self._avoid for pair in pairs for grid in pair):
            return ()
        return pairs


def _unpack(packed: bytes) -> Corpus:
    tasks, experts, texts, avoid, seed, settings = pickle.loads(zlib.decompress(packed))
    inputs = {task_id: parse_grids(text) for task_id, text in texts.items()}
    return Corpus(tasks, experts, inputs, parse_grids(avoid), seed, settings)


def augment(grids: Sequence[Grid], symmetry: int, colours: NDArray[np.int64] | None) -> list[Grid]:
    """Apply one of the 8 symmetries of the square to grids, and map colour c to `colours[c]`."""
    augmented = []
    for grid in grids:
        cells = np.frombuffer(bytes(grid), np.uint8).reshape(grid.shape)
        if symmetry & 1:
            cells = cells[::-1]
        if symmetry & 2:
            cells = cells[:, ::-1]
        if symmetry & 4:
            cells = cells.T
        if colours is not None:
            cells = colours.astype(np.uint8)[cells]
        augmented.append(Grid.from_bytes(*cells.shape, cells.tobytes()))
    return augmented
