"""A policy that helps to solve one task, and learns from what was tried on it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import torch

from codeit.config import LearningConfig, SolveConfig
from codeit.hindsight import relabel
from codeit.language import Budget, ParseError, Program, run_batch
from codeit.policy.encoding import NotEncodable
from codeit.policy.learning import Example, Learner
from codeit.policy.model import Policy
from codeit.policy.sampling import sample
from codeit.seeds import derive
from codeit.tasks import Task


class Apprentice:
    """A policy's copy for one task. What it proposes hangs on task, seed and what it was shown alone."""

    def __init__(
        self, folder: Path, task: Task, seed: int, settings: SolveConfig, budget: Budget, threads: int = 0
    ) -> None:
        """Read the policy from its folder; `threads` CPU threads (0: as many as torch likes).

        Raises PolicyError.
        """
        if threads:
            torch.set_num_threads(threads)
        self._task, self._seed, self._settings = task, seed, settings
        self._budget, self._threads = budget, threads
        learning = LearningConfig(
            learning_rate=settings.learning_rate, batch_size=settings.batch, precision="bf16"
        )
        self._learner = Learner(Policy.load(folder), learning)
        self._turn = 0

    def propose(self) -> list[Program]:
        """Draw programs for the task, each once."""
        self._turn += 1
        settings = self._settings
        drawn = sample(
            self._learner.policy,
            [self._task.train],
            settings.samples,
            temperature=settings.temperature,
            top_k=settings.top_k,
            seeds=[derive(self._seed, "sample", self._turn)],
        )
        programs = []
        for text in dict.fromkeys(next(drawn)[1]):
            try:
                programs.append(Program.parse(text))
            except ParseError:  # the paper's encoding is held to no grammar
                continue
        return programs

    def learn(self, programs: Sequence[Program]) -> None:
        """Learn that each of some programs solves the task which its own outputs make."""
        pairs = self._task.train
        inputs = [[pair.input for pair in pairs]] * len(programs)
        encoding = self._learner.policy.encoding
        examples = []
        outcomes = run_batch(programs, inputs, budget=self._budget, threads=self._threads)
        for program, of_program in zip(programs, outcomes, strict=True):
            if experience := relabel(of_program, pairs):
                try:
                    target = encoding.encode_program(program)
                except NotEncodable:
                    continue
                examples.append(Example(encoding.encode_task(experience.pairs), target))
        self._learner.epoch(examples, derive(self._seed, "learn", self._turn))
