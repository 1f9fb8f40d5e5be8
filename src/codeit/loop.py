"""The meta-iteration of CodeIt (Butt et al. 2024, arXiv 2402.04858, section 2).

    create             the policy, once
    mutate             experts and their mutants into the replay buffer
    evaluate mutants   the same programs on the tasks to solve: the mutation baseline
    train              draw experiences, recompute their outputs, train the policy on them
    sample             programs for each task; run them, relabel in hindsight, add to the buffer
    search             ours: programs for each task without the policy, the best into the buffer
    record             evict, score, write metrics

Iteration 0 skips training and sampling.

Each phase, or each part of a long phase, ends in one transaction that also marks it as done. Its
random numbers depend only on the seed of the run, the phase, the iteration and the task. A killed
run therefore resumes after the last finished part, and ends with the rows of an uninterrupted run.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from typing import Protocol

import numpy as np
import torch

from codeit.config import SolveSettings
from codeit.data.experts import load_experts
from codeit.data.tasks import Task, by_size, equal_tasks, load_tasks
from codeit.evaluation.candidate import Candidate
from codeit.evaluation.hindsight import Experience, demonstrations_solved, relabel
from codeit.evaluation.scoring import count_votes, score
from codeit.language import Budget, Outcome, ParseError, Program, count_solved, run_batch
from codeit.parallel import Cluster, Workforce, map_ordered
from codeit.policy.checkpoint_recovery import replace_checkpoint
from codeit.policy.distributed import Ranks
from codeit.policy.encoding import Encoding, NotEncodableError
from codeit.policy.model import DamagedPolicyError, Policy
from codeit.policy.sampling import sample, sample_by_replicas
from codeit.policy.training import Trainer, TrainingExample, TrainingReport
from codeit.search.enumeration import is_sure
from codeit.search.mutation import make_mutants
from codeit.seeds import derive
from codeit.solver import SearchJob, search_task
from codeit.storage.files import RunError
from codeit.storage.replay_buffer import EXPERT_SOURCES, FOUND_SOURCES, DrawnExperience
from codeit.storage.run_directory import RunDirectory

PROGRAMS_AT_ONCE = 500
"""Programs between two commits of `evaluate_mutants`, or relabelled together in `train`."""


class RunObserver(Protocol):
    """Receives the progress of a run, to display it. It cannot change the run."""

    def progress(self, iteration: int, phase: str, done: int, total: int) -> None:
        """Called when `done` of `total` units of a phase (programs, examples or tasks) are done."""

    def recorded(self, iteration: int, metrics: dict[str, float]) -> None:
        """Called when an iteration has finished."""


class Loop:
    """A run in its directory, from its last finished part to its end."""

    def __init__(
        self,
        directory: RunDirectory,
        observer: RunObserver,
        ranks: Ranks | None = None,
        cluster: Cluster | None = None,
    ) -> None:
        """Load tasks and experts; create or load the policy. Raises TaskError, PolicyError.

        With `ranks`, this process trains together with the others, which `follow` it. With a
        `cluster`, searches run on it, and so does sampling unless the policy is on a GPU here.
        """
        self.directory, self.database, self.observer = directory, directory.database, observer
        self.ranks, self.cluster = ranks, cluster
        self.replay, self.settings = directory.database.replay, directory.settings
        settings = self.settings
        self.threads = settings.run.threads or os.cpu_count() or 1
        self.workforce: Workforce = cluster or self.threads
        torch.set_num_threads(self.threads)
        self.budget = Budget(settings.budget.max_steps, settings.budget.max_cells)
        self.train_tasks = {task.id: task for task in load_tasks(settings.data.train)}
        self.test_tasks = load_tasks(settings.data.test)[: settings.data.tasks or None]
        self.tasks = {("train", task_id): task for task_id, task in self.train_tasks.items()}
        self.tasks |= {("test", task.id): task for task in self.test_tasks}
        self.leaked = {test_id for _, test_id in equal_tasks(self.train_tasks.values(), self.test_tasks)}
        experts = load_experts(progress=partial(observer.progress, 0, "simplify experts"))
        self.experts = {task_id: expert for task_id, expert in experts.items() if task_id in self.train_tasks}
        # Tasks of similar size are sampled together, to waste little on padding.
        ordered, size = by_size(self.test_tasks), settings.sampling.tasks_per_commit
        self.chunks = [ordered[start : start + size] for start in range(0, len(ordered), size)]
        with self.database.transaction():
            for split, task_id in self.tasks:
                self.database.add_tasks(split, [(task_id, len(self.tasks[split, task_id].train))])
        self.trainer = self._load_trainer()

    def run(self) -> None:
        """Do everything that is left of the run."""
        self.directory.publish()
        for iteration in range(self.settings.run.iterations + 1):
            if self.database.is_done(iteration, "record"):
                continue
            self.mutate(iteration)
            self.evaluate_mutants(iteration)
            if self._has_samples(iteration):
                self.train(iteration)
                self.sample(iteration)
            self.search(iteration)
            self.record(iteration)

    def mutate(self, iteration: int) -> None:
        """Add experts (in iteration 0) and mutants to the buffer, relabelled in hindsight."""
        mutation = self.settings.mutation
        n = mutation.per_iteration if iteration else mutation.initial
        if self.database.is_done(iteration, "mutate") or (iteration and not n):
            return
        with self._committing(iteration, "mutate"):
            experts = {} if iteration else self.experts
            added = [(task_id, expert, "expert") for task_id, expert in experts.items()]
            if n:
                try:
                    mutants = make_mutants(
                        self.experts,
                        self.train_tasks,
                        n,
                        derive(self.settings.run.seed, "breed", iteration),  # fixed name: see seeds.py
                        threads=self.threads,
                        budget=self.budget,
                        progress=partial(self.observer.progress, iteration, "mutate"),
                    )
                except ValueError as error:
                    raise RunError(f"data.train, {n} mutants: {error}") from error
                added += [(mutant.task_id, mutant.program, "mutation") for mutant in mutants]
            tasks = [self.train_tasks[task_id] for task_id, _, _ in added]
            outcomes = self._run([program for _, program, _ in added], tasks)
            for (_, program, source), task, program_outcomes in zip(added, tasks, outcomes, strict=True):
                if experience := relabel(program_outcomes, task.train):
                    self._remember("train", task, program, iteration, source, experience)

    def evaluate_mutants(self, iteration: int) -> None:
        """Try the iteration's experts and mutants on every task to solve: the mutation baseline.

        A program is run on a task up to the first demonstration that it does not solve. Only programs
        that solve all demonstrations become candidates.
        """
        if not self.settings.mutation.run_baseline:
            return
        added = self.replay.experts_and_mutants(iteration)
        demonstrations = [task.train for task in self.test_tasks]
        n_demonstrations = np.array([len(pairs) for pairs in demonstrations])
        for part, start in enumerate(range(0, len(added), PROGRAMS_AT_ONCE)):
            self.observer.progress(iteration, "evaluate mutants", start, len(added))
            if self.database.is_done(iteration, "evaluate_mutants", part):
                continue
            tried = added[start : start + PROGRAMS_AT_ONCE]
            with self._committing(iteration, "evaluate_mutants", part):
                programs = [program for program, _ in tried]
                solved = count_solved(
                    programs, demonstrations, early_exit=True, budget=self.budget, threads=self.threads
                )
                for program_index, task_index in np.argwhere(n_demonstrations == solved.T).tolist():
                    program, source = tried[program_index]
                    self.database.add_candidate(
                        Candidate(
                            self.test_tasks[task_index].id,
                            program,
                            len(demonstrations[task_index]),
                            votes=1,
                            iteration=iteration,
                            source=source,
                        )
                    )
        if added:
            self.observer.progress(iteration, "evaluate mutants", len(added), len(added))

    def train(self, iteration: int) -> None:
        """Draw experiences by priority and train the policy on them."""
        if self.database.is_done(iteration, "train"):
            return
        with self._committing(iteration, "train"):
            drawn, report = self._train(self.trainer, iteration)
            self.directory.save_checkpoint(iteration, self.trainer.save)
            self.replay.mark_drawn(draw.id for draw in drawn)
            self.database.add_metrics(iteration, {"loss": report.loss, "examples": len(drawn)})
        self.directory.drop_checkpoints(iteration)

    def _train(self, trainer: Trainer, iteration: int) -> tuple[list[DrawnExperience], TrainingReport]:
        """Draw the experiences of an iteration and train on them.

        The draws are from the buffer as it was before the iteration's samples, even if later phases
        have added or replaced experiences. The training can therefore be repeated.
        """
        replay, seed = self.settings.replay, self.settings.run.seed
        rng = np.random.default_rng(derive(seed, "draw", iteration))
        drawn: list[DrawnExperience] = []
        for n, sources, until in (
            (replay.expert_draws, EXPERT_SOURCES, iteration),
            (replay.policy_draws, FOUND_SOURCES, iteration - 1),
        ):
            drawn += self.replay.draw(
                n,
                sources,
                rng,
                floor=replay.priority_floor,
                prioritized=replay.prioritized,
                short_lines=replay.short_lines,
                until=until,
            )
        examples = list(self._examples(drawn, trainer))
        progress = partial(self.observer.progress, iteration, "train")
        return drawn, trainer.epoch(examples, derive(seed, "learn", iteration), progress)

    def _examples(self, drawn: Sequence[DrawnExperience], trainer: Trainer) -> Iterator[TrainingExample]:
        """Yield experiences as the policy sees them: the task a program solves, and the program."""
        encoding = trainer.policy.encoding
        for start in range(0, len(drawn), PROGRAMS_AT_ONCE):
            batch = drawn[start : start + PROGRAMS_AT_ONCE]
            programs = [draw.program for draw in batch]
            tasks = [self.tasks[draw.split, draw.task_id] for draw in batch]
            for program, task, outcomes in zip(programs, tasks, self._run(programs, tasks), strict=True):
                experience = relabel(outcomes, task.train)
                assert experience is not None  # it was one when it entered the buffer
                source = encoding.encode_task(experience.pairs)
                yield TrainingExample(source, encoding.encode_program(program))

    def sample(self, iteration: int) -> None:
        """Sample programs for each task to solve; add them, relabelled, to the buffer."""
        done = 0
        parts = range(len(self.chunks))
        left = [part for part in parts if not self.database.is_done(iteration, "sample", part)]
        sampled = self._samples(iteration, [self.chunks[part] for part in left])
        for part, tasks in enumerate(self.chunks):
            self.observer.progress(iteration, "sample", done, len(self.test_tasks))
            if part in left:
                with self._committing(iteration, "sample", part):
                    texts = next(sampled)
                    for place, task in enumerate(tasks):
                        self._record_samples(iteration, task, texts[place])
            done += len(tasks)
        self.observer.progress(iteration, "sample", done, len(self.test_tasks))

    def _samples(self, iteration: int, chunks: Sequence[Sequence[Task]]) -> Iterator[dict[int, list[str]]]:
        """For each chunk, yield the samples of its tasks, by their index in the chunk."""
        policy, settings, seed = self.trainer.policy, self.settings.sampling, self.settings.run.seed
        jobs = [
            ([task.train for task in tasks], [derive(seed, "sample", iteration, task.id) for task in tasks])
            for tasks in chunks
        ]
        if self.cluster and policy.device.type == "cpu":
            yield from sample_by_replicas(self.cluster, policy, jobs, settings)
        else:
            for tasks, seeds in jobs:
                yield dict(sample(policy, tasks, settings, seeds=seeds, threads=self.threads))

    def _record_samples(self, iteration: int, task: Task, texts: Sequence[str]) -> None:
        """Run a task's samples on its demonstrations, record them, relabel those that run."""
        programs = [_parse(text) for text in texts]
        distinct = list(dict.fromkeys(program for program in programs if program is not None))
        outcomes = dict(zip(distinct, self._run(distinct, [task] * len(distinct)), strict=True))
        for ordinal, program in enumerate(programs):
            add_sample = partial(self.database.add_sample, iteration, task.id, ordinal, program)
            if program is None:
                add_sample(outcome="parse error", demonstrations_solved=0, new=False)
                continue
            program_outcomes = outcomes[program]
            kind = next((outcome.kind for outcome in program_outcomes if outcome.grid is None), "grid")
            solved = demonstrations_solved(program_outcomes, task.train)
            new = self.database.add_program(program)
            add_sample(outcome=kind, demonstrations_solved=solved, new=new)
            if solved:
                self.database.add_candidate(
                    Candidate(task.id, program, solved, votes=1, iteration=iteration, source="policy")
                )
            if self.settings.hindsight.keep_samples:
                self._remember_found(task, program, iteration, "policy", program_outcomes)

    def search(self, iteration: int) -> None:
        """Search each task without the policy, from the experts and the programs in the buffer.

        In iteration 0, enumeration comes first, then evolution. Later iterations skip tasks that have
        a sure answer. The answers with most votes become candidates, and the best programs become
        experiences.
        """
        settings = self.settings
        first = iteration == 0
        n = settings.evolution.programs if first else settings.evolution.programs_per_iteration
        tasks = self.test_tasks
        if not n and not (first and settings.enumeration.expressions):
            return
        sure = {candidate.task_id for candidate in self.database.candidates() if is_sure(candidate)}
        left = [
            k
            for k, task in enumerate(tasks)
            if task.id not in sure and not self.database.is_done(iteration, "search", k)
        ]
        solve_settings = SolveSettings(enumeration=settings.enumeration, evolution=settings.evolution)
        jobs = (
            SearchJob(
                tasks[k],
                n,
                derive(settings.run.seed, "search", iteration, tasks[k].id),
                own=self.replay.programs_on(tasks[k].id),
                enumerates=first,
                closest=settings.evolution.elites,
            )
            for k in left
        )
        search = partial(search_task, list(self.experts.values()), solve_settings)
        found = map_ordered(search, jobs, self.workforce)
        for place in left:
            task = tasks[place]
            self.observer.progress(iteration, "search", place, len(tasks))
            with self._committing(iteration, "search", place):
                state = next(found)
                for answer in state.answers:
                    self.database.add_candidate(replace(answer, iteration=iteration, source="search"))
                elites = state.closest
                for program, outcomes in zip(elites, self._run(elites, [task] * len(elites)), strict=True):
                    self._remember_found(task, program, iteration, "search", outcomes)
        self.observer.progress(iteration, "search", len(tasks), len(tasks))

    def record(self, iteration: int) -> None:
        """Evict, score, and record the iteration's metrics."""
        with self._committing(iteration, "record"):
            started = time.monotonic()
            self.replay.evict(self.settings.replay.capacity)
            metrics = self._score(iteration, "cumulative", self.database.candidates())
            if self._has_samples(iteration):
                metrics |= self._score(iteration, "policy", self.database.sampled_candidates(iteration))
            metrics |= self.database.sample_statistics(iteration)
            metrics |= {f"buffer_{source}": size for source, size in self.replay.sizes().items()}
            metrics |= {
                f"seconds_{phase}": seconds for phase, seconds in self.database.seconds(iteration).items()
            }
            metrics["seconds_record"] = time.monotonic() - started
            self.database.add_metrics(iteration, metrics)
        self.directory.publish()
        self.observer.recorded(iteration, self.database.metrics()[iteration])

    def _has_samples(self, iteration: int) -> bool:
        """Return whether the policy is trained and sampled from in an iteration."""
        return iteration > 0 and self.settings.sampling.samples_per_task > 0

    def _score(self, iteration: int, scope: str, found: Sequence[Candidate]) -> dict[str, float]:
        """Score programs and record the tasks they solve. Nothing else here reads test outputs."""
        candidates: dict[str, list[Candidate]] = {}
        by_votes = self.settings.scoring.ranking == "votes"
        for candidate in found:
            ranked = candidate if by_votes else replace(candidate, votes=0)
            candidates.setdefault(candidate.task_id, []).append(ranked)
        merged = count_votes(candidates, self.test_tasks, budget=self.budget, threads=self.threads)
        total = score(merged, self.test_tasks, leaked=self.leaked, budget=self.budget, threads=self.threads)
        self.database.add_scores(iteration, scope, total.solved)
        return {
            f"{scope}_top3": total.solved_top3,
            f"{scope}_top2": total.solved_top2,
            f"{scope}_top3_without_leak": total.solved_top3_without_leak,
            f"{scope}_top2_without_leak": total.solved_top2_without_leak,
            f"{scope}_all_demonstrations": total.solved_demonstrations,
            f"{scope}_demonstrations": sum(
                max(c.demonstrations_solved for c in found_for_task) for found_for_task in candidates.values()
            ),
        }

    def _remember_found(
        self, task: Task, program: Program, iteration: int, source: str, outcomes: Sequence[Outcome]
    ) -> None:
        """Add a program found for a task, relabelled, to the buffer if `[hindsight]` allows it."""
        hindsight = self.settings.hindsight
        if experience := relabel(
            outcomes, task.train, solvers_only=not hindsight.relabel, trivial=hindsight.trivial
        ):
            self._remember("test", task, program, iteration, source, experience)

    def _remember(
        self, split: str, task: Task, program: Program, iteration: int, source: str, experience: Experience
    ) -> None:
        """Add an experience to the replay buffer."""
        self.replay.add(
            split,
            task.id,
            program,
            iteration=iteration,
            source=source,
            priority=experience.priority,
            behaviour=experience.behaviour,
            encodable=_is_encodable(self.trainer.policy.encoding, program),
            distinct=self.settings.replay.distinct,
        )

    def _run(self, programs: Sequence[Program], tasks: Sequence[Task]) -> list[list[Outcome]]:
        """Return the outcomes of each program on the demonstration inputs of its task."""
        inputs = [[pair.input for pair in task.train] for task in tasks]
        return run_batch(programs, inputs, budget=self.budget, threads=self.threads)

    def _load_trainer(self) -> Trainer:
        """Return policy and optimizer after the last training, or newly created."""
        last = self.database.last_iteration_of("train")
        if last is None and not self.database.is_done(0, "create"):
            with self._committing(0, "create"):
                trainer = self._create_trainer()
                self.directory.save_checkpoint(0, trainer.save)
            return trainer
        iteration = last or 0
        try:
            trainer = self._read_trainer(iteration)
        except DamagedPolicyError as error:
            what = f"training of iteration {iteration}" if iteration else "creation of the policy"
            repeat = partial(self._repeat_training, iteration)
            trainer = replace_checkpoint(self.directory.checkpoint(iteration), error.damage, what, repeat)
        self.directory.drop_checkpoints(iteration)  # a kill after the training may have prevented it
        return trainer

    def _repeat_training(self, iteration: int) -> Trainer:
        """Repeat the training of an iteration from the checkpoint before, or create the policy."""
        if not iteration:
            return self._create_trainer()
        trainer = self._read_trainer(iteration - 1)
        self._train(trainer, iteration)
        return trainer

    def _create_trainer(self) -> Trainer:
        policy = Policy.create(self.settings.policy, derive(self.settings.run.seed, "create"))
        return Trainer(policy, self.settings.training, self.threads, self.ranks)

    def _read_trainer(self, iteration: int) -> Trainer:
        checkpoint = self.directory.checkpoint(iteration)
        device = self.settings.policy.device
        return Trainer.load(checkpoint, self.settings.training, device, self.threads, self.ranks)

    @contextmanager
    def _committing(self, iteration: int, phase: str, part: int = 0) -> Iterator[None]:
        """Commit what the block writes, together with the mark that the part is done."""
        started = time.monotonic()
        with self.database.transaction():
            yield
            self.database.set_done(iteration, phase, part, time.monotonic() - started)


def _is_encodable(encoding: Encoding, program: Program) -> bool:
    """Return whether a policy's encoding can write a program within its limits."""
    try:
        encoding.encode_program(program)
    except NotEncodableError:
        return False
    return True


def _parse(text: str) -> Program | None:
    try:
        return Program.parse(text)
    except ParseError:
        return None
