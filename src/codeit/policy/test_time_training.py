"""Test-time training: a copy of the policy that is trained on what was tried on one task."""

from __future__ import annotations

import os
import pickle
from collections.abc import Sequence

import torch

from codeit.config import SolveSettings
from codeit.data.tasks import Task
from codeit.evaluation.hindsight import relabel
from codeit.language import Budget, ParseError, Program, run_batch
from codeit.policy import PolicySource
from codeit.policy.encoding import NotEncodableError
from codeit.policy.model import Policy
from codeit.policy.sampling import sample
from codeit.policy.training import Trainer, TrainingExample
from codeit.seeds import derive


class TestTimeTraining:
    """A policy's copy for one task.

    Its proposals depend only on the task, the seed and the programs it was trained on.
    """

    __test__ = False  # tells pytest that this is no test class

    def __init__(
        self,
        source: PolicySource,
        task: Task,
        seed: int,
        settings: SolveSettings,
        budget: Budget,
        threads: int = 0,
    ) -> None:
        """Load the policy, which uses `threads` cores of a CPU (0: all).

        Raises PolicyError.
        """
        threads = threads or os.cpu_count() or 1
        torch.set_num_threads(threads)
        self._task, self._seed, self._settings = task, seed, settings
        self._budget, self._threads = budget, threads
        policy = pickle.loads(source) if isinstance(source, bytes) else Policy.load(source)
        self._trainer = Trainer(policy, settings.training, threads)
        self._turn = 0

    def propose(self) -> list[Program]:
        """Sample programs for the task; return each distinct one once."""
        self._turn += 1
        seeds = [derive(self._seed, "sample", self._turn)]
        drawn = sample(self._trainer.policy, [self._task.train], self._settings.sampling, seeds=seeds)
        programs = []
        for text in dict.fromkeys(next(drawn)[1]):
            try:
                programs.append(Program.parse(text))
            except ParseError:  # possible with the paper's encoding, which has no grammar
                continue
        return programs

    def train(self, programs: Sequence[Program]) -> None:
        """Train on programs in hindsight: each one solves the task that its own outputs make."""
        pairs = self._task.train
        inputs = [[pair.input for pair in pairs]] * len(programs)
        encoding = self._trainer.policy.encoding
        examples = []
        outcomes = run_batch(programs, inputs, budget=self._budget, threads=self._threads)
        for program, program_outcomes in zip(programs, outcomes, strict=True):
            if experience := relabel(program_outcomes, pairs):
                try:
                    target = encoding.encode_program(program)
                except NotEncodableError:
                    continue
                examples.append(TrainingExample(encoding.encode_task(experience.pairs), target))
        self._trainer.epoch(examples, derive(self._seed, "learn", self._turn))
