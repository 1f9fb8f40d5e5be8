"""The meta-iteration of CodeIt (Butt et al. 2024, arXiv 2402.04858, section 2): where all the parts meet.

    create   the policy, once
    breed    experts and their mutants into the replay buffer
    try      those programs on the tasks to solve
    learn    draw from the buffer, run the programs for their outputs, train on them
    sample   programs for each task to solve; run, relabel in hindsight, into the buffer
    evolve   ours: programs toward each task to solve, the best into the buffer
    record   evict, score, write down

Iteration 0 only breeds, tries, evolves and records.
Each phase, or each part of a long one, ends in one transaction that also marks it as done, and derives its
random numbers from the run's seed and its own place alone. A run that was killed therefore goes on after the
last part done, and ends with the rows that it would have had.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Protocol

import numpy as np
import torch

from codeit.evolution import mutants
from codeit.experts import load_experts
from codeit.files import RunError
from codeit.folder import RunFolder
from codeit.hindsight import demonstrations_solved, relabel
from codeit.language import Budget, Outcome, ParseError, Program, count_solved, run_batch
from codeit.policy.encoding import NotEncodable
from codeit.policy.learning import Example, Learner
from codeit.policy.model import Policy
from codeit.policy.sampling import sample
from codeit.population import evolve
from codeit.replay import CandidateRow, Draw
from codeit.scoring import Candidate, elect, score
from codeit.seeds import derive
from codeit.tasks import Task, by_size, equal_tasks, load
from codeit.workers import in_order

PROGRAMS_AT_ONCE = 500  # programs between two commits of `try`, or relabelled together in `learn`


class Watch(Protocol):
    """Told how a run goes, for people to look at; nothing that it does changes the run."""

    def progress(self, iteration: int, phase: str, done: int, total: int) -> None:
        """So many units of the phase (programs, examples, tasks) are done, of so many."""

    def recorded(self, iteration: int, metrics: dict[str, float]) -> None:
        """An iteration is over."""


class Loop:
    """A run in its folder, from wherever it stands to its end."""

    def __init__(self, folder: RunFolder, watch: Watch) -> None:
        """Read tasks and experts, make or load the policy. Raises TaskError, PolicyError."""
        self.folder, self.store, self.config, self.watch = folder, folder.store, folder.config, watch
        config = self.config
        self.threads = config.run.threads or os.cpu_count() or 1
        torch.set_num_threads(self.threads)
        self.budget = Budget(config.budget.steps, config.budget.cells)
        self.train = {task.id: task for task in load(config.data.train)}
        self.test = load(config.data.test)[: config.data.tasks or None]
        self.tasks = {("train", id): task for id, task in self.train.items()}
        self.tasks |= {("test", task.id): task for task in self.test}
        self.leaked = {id for _, id in equal_tasks(self.train.values(), self.test)}
        experts = load_experts(progress=partial(watch.progress, 0, "simplify experts"))
        self.experts = {id: expert for id, expert in experts.items() if id in self.train}
        # Tasks of like size are sampled together, which wastes the least on padding.
        ordered, size = by_size(self.test), config.sampling.tasks_per_commit
        self.chunks = [ordered[start : start + size] for start in range(0, len(ordered), size)]
        with self.store.transaction():
            for split, name in self.tasks:
                self.store.add_tasks(split, [(name, len(self.tasks[split, name].train))])
        self.learner = self._last_learner()

    def run(self) -> None:
        """Do what is left of the run."""
        self.folder.publish()
        for iteration in range(self.config.run.iterations + 1):
            if self.store.done(iteration, "record"):
                continue
            self.breed(iteration)
            self.try_bred(iteration)
            if iteration > 0:
                self.learn(iteration)
                self.sample(iteration)
            self.evolve(iteration)
            self.record(iteration)

    def breed(self, iteration: int) -> None:
        """Experts (in iteration 0) and mutants, relabelled in hindsight, into the buffer."""
        evolution = self.config.evolution
        n = evolution.mutants_per_iteration if iteration else evolution.mutants
        if self.store.done(iteration, "breed") or (iteration and not n):
            return
        with self._committing(iteration, "breed"):
            bred = [] if iteration else [(id, expert, "expert") for id, expert in self.experts.items()]
            if n:
                seed = derive(self.config.run.seed, "breed", iteration)
                try:
                    made = mutants(
                        self.experts,
                        self.train,
                        n,
                        seed,
                        threads=self.threads,
                        budget=self.budget,
                        progress=partial(self.watch.progress, iteration, "breed"),
                    )
                except ValueError as error:
                    raise RunError(f"data.train, {n} mutants: {error}") from error
                bred += [(mutant.task_id, mutant.program, "mutation") for mutant in made]
            tasks = [self.train[id] for id, _, _ in bred]
            outcomes = self._run([program for _, program, _ in bred], tasks)
            for (id, program, source), task, of_program in zip(bred, tasks, outcomes, strict=True):
                if experience := relabel(of_program, task.train):
                    self.store.add_program(str(program), len(program))
                    self.store.add_experience(
                        "train", id, str(program), iteration, source, experience.priority
                    )

    def try_bred(self, iteration: int) -> None:
        """The iteration's experts and mutants on every task to solve: the paper's mutation baseline.

        A program leaves a task at the first demonstration that it does not solve: only those that solve all
        become candidates.
        """
        bred = self.store.bred_programs(iteration) if self.config.evolution.try_on_tasks else []
        if not bred:
            return
        wanted = np.array([len(task.train) for task in self.test])
        for part, start in enumerate(range(0, len(bred), PROGRAMS_AT_ONCE)):
            self.watch.progress(iteration, "try", start, len(bred))
            tried = bred[start : start + PROGRAMS_AT_ONCE]
            if not self.store.done(iteration, "try", part):
                with self._committing(iteration, "try", part):
                    programs = [Program.parse(text) for text, _ in tried]
                    demonstrations = [task.train for task in self.test]
                    solved = count_solved(
                        programs, demonstrations, early_exit=True, budget=self.budget, threads=self.threads
                    )
                    for program, task in np.argwhere(wanted == solved.T).tolist():
                        text, source = tried[program]
                        self.store.add_candidate(
                            self.test[task].id, text, iteration, source, int(wanted[task])
                        )
        self.watch.progress(iteration, "try", len(bred), len(bred))

    def evolve(self, iteration: int) -> None:
        """Evolve programs toward each task to solve, from the experts and what the buffer has for the task.

        The answers with most votes become candidates, the best of the population experiences.
        """
        config, solvers_only = self.config.evolution, not self.config.hindsight.relabel
        n = config.programs_per_iteration if iteration else config.programs
        left = [k for k in range(len(self.test)) if not self.store.done(iteration, "evolve", k)]
        if not n or not left:
            return
        evolved = in_order(evolve, (self._start(iteration, self.test[k], n) for k in left), self.threads)
        for place in left:
            task = self.test[place]
            self.watch.progress(iteration, "evolve", place, len(self.test))
            with self._committing(iteration, "evolve", place):
                answers, members = next(evolved)
                for one in answers:
                    self.store.add_program(str(one.program), len(one.program))
                    self.store.add_candidate(
                        task.id, str(one.program), iteration, "search", len(task.train), one.votes
                    )
                best = members[: config.kept]
                for program, outcomes in zip(best, self._run(best, [task] * len(best)), strict=True):
                    if experience := relabel(outcomes, task.train, solvers_only=solvers_only):
                        self.store.add_program(str(program), len(program))
                        self.store.add_experience(
                            "test", task.id, str(program), iteration, "search", experience.priority
                        )
        self.watch.progress(iteration, "evolve", len(self.test), len(self.test))

    def _start(self, iteration: int, task: Task, n: int) -> tuple[Task, list[Program], int, int]:
        """What `population.evolve` needs to try `n` programs on a task."""
        found = [Program.parse(text) for text in self.store.programs_for(task.id)]
        seed = derive(self.config.run.seed, "evolve", iteration, task.id)
        return task, [*self.experts.values(), *found], n, seed

    def learn(self, iteration: int) -> None:
        """Draw experiences by priority and train the policy on them."""
        if self.store.done(iteration, "learn"):
            return
        config, seed = self.config.replay, self.config.run.seed
        with self._committing(iteration, "learn"):
            rng = np.random.default_rng(derive(seed, "draw", iteration))
            drawn: list[Draw] = []
            parts = (
                (config.expert_draws, ("expert", "mutation")),
                (config.policy_draws, ("policy", "search")),
            )
            for n, sources in parts:
                drawn += self.store.draw(
                    n,
                    sources,
                    rng,
                    floor=config.priority_floor,
                    prioritized=config.prioritized,
                    short=config.short,
                )
            examples = list(self._examples(drawn))
            progress = partial(self.watch.progress, iteration, "learn")
            report = self.learner.epoch(examples, derive(seed, "learn", iteration), progress)
            self.folder.save_checkpoint(iteration, self.learner.save)
            self.store.mark_drawn(experience.id for experience in drawn)
            metrics = {"loss": report.loss, "examples": len(examples), "left_out": len(drawn) - len(examples)}
            self.store.add_metrics(iteration, metrics)
        self.folder.drop_checkpoints(iteration)

    def _examples(self, drawn: Sequence[Draw]) -> Iterator[Example]:
        """Each experience as the policy sees it: the task that the program solves, and the program."""
        encoding = self.learner.policy.encoding
        for start in range(0, len(drawn), PROGRAMS_AT_ONCE):
            some = drawn[start : start + PROGRAMS_AT_ONCE]
            programs = [Program.parse(draw.program) for draw in some]
            tasks = [self.tasks[draw.split, draw.task] for draw in some]
            for program, task, outcomes in zip(programs, tasks, self._run(programs, tasks), strict=True):
                experience = relabel(outcomes, task.train)
                assert experience is not None  # it was one when it entered the buffer
                try:
                    yield Example(encoding.encode_task(experience.pairs), encoding.encode_program(program))
                except NotEncodable:
                    continue

    def sample(self, iteration: int) -> None:
        """Draw programs for each task to solve, and put what they do into the buffer."""
        config, seed = self.config.sampling, self.config.run.seed
        done = 0
        for part, tasks in enumerate(self.chunks):
            self.watch.progress(iteration, "sample", done, len(self.test))
            if not self.store.done(iteration, "sample", part):
                with self._committing(iteration, "sample", part):
                    drawn = sample(
                        self.learner.policy,
                        [task.train for task in tasks],
                        config.samples_per_task,
                        temperature=config.temperature,
                        top_k=config.top_k,
                        seeds=[derive(seed, "sample", iteration, task.id) for task in tasks],
                        batch_rows=config.batch_rows,
                    )
                    texts = dict(drawn)
                    for place, task in enumerate(tasks):
                        self._judge(iteration, task, texts[place])
            done += len(tasks)
        self.watch.progress(iteration, "sample", done, len(self.test))

    def _judge(self, iteration: int, task: Task, texts: Sequence[str]) -> None:
        """Run a task's samples on its demonstrations; record them, and relabel those that run."""
        keep, solvers_only = self.config.hindsight.keep_samples, not self.config.hindsight.relabel
        programs = [_parse(text) for text in texts]
        distinct = list(dict.fromkeys(program for program in programs if program is not None))
        outcomes = dict(zip(distinct, self._run(distinct, [task] * len(distinct)), strict=True))
        for ordinal, program in enumerate(programs):
            if program is None:
                self.store.add_sample(iteration, task.id, ordinal, None, "parse error", 0, False)
                continue
            text, of_program = str(program), outcomes[program]
            kind = next((outcome.kind for outcome in of_program if outcome.grid is None), "grid")
            solved = demonstrations_solved(of_program, task.train)
            new = self.store.add_program(text, len(program))
            self.store.add_sample(iteration, task.id, ordinal, text, kind, solved, new)
            if solved:
                self.store.add_candidate(task.id, text, iteration, "policy", solved)
            experience = relabel(of_program, task.train, solvers_only=solvers_only)
            if experience is not None and keep:
                self.store.add_experience("test", task.id, text, iteration, "policy", experience.priority)

    def record(self, iteration: int) -> None:
        """Evict, score, and write the iteration's metrics down."""
        with self._committing(iteration, "record"):
            started = time.monotonic()
            self.store.evict(self.config.replay.capacity)
            metrics = self._score(iteration, "cumulative", self.store.candidates())
            if iteration > 0:
                metrics |= self._score(iteration, "policy", self.store.sampled(iteration))
            metrics |= self.store.sample_statistics(iteration)
            metrics |= {f"buffer_{source}": size for source, size in self.store.sizes().items()}
            metrics |= {
                f"seconds_{phase}": seconds for phase, seconds in self.store.seconds(iteration).items()
            }
            metrics["seconds_record"] = time.monotonic() - started
            self.store.add_metrics(iteration, metrics)
        self.folder.publish()
        self.watch.recorded(iteration, self.store.metrics()[iteration])

    def _score(self, iteration: int, scope: str, found: Sequence[CandidateRow]) -> dict[str, float]:
        """Score the programs found and record the tasks solved; the only use of test outputs."""
        candidates: dict[str, list[Candidate]] = {}
        by_votes = self.config.scoring.ranking == "votes"
        for order, row in enumerate(found):
            votes = row.votes if by_votes else 0
            candidate = Candidate(Program.parse(row.program), row.demonstrations_solved, order, votes)
            candidates.setdefault(row.task, []).append(candidate)
        elected = elect(candidates, self.test, budget=self.budget, threads=self.threads)
        total = score(elected, self.test, leaked=self.leaked, budget=self.budget, threads=self.threads)
        self.store.add_scores(iteration, scope, total.solved)
        return {
            f"{scope}_top3": total.solved_top3,
            f"{scope}_top2": total.solved_top2,
            f"{scope}_top3_without_leak": total.solved_top3_without_leak,
            f"{scope}_top2_without_leak": total.solved_top2_without_leak,
            f"{scope}_all_demonstrations": total.solved_demonstrations,
            f"{scope}_demonstrations": sum(max(c.solved for c in of_task) for of_task in candidates.values()),
        }

    def _run(self, programs: Sequence[Program], tasks: Sequence[Task]) -> list[list[Outcome]]:
        """Each program's outcome on each demonstration input of its task."""
        inputs = [[pair.input for pair in task.train] for task in tasks]
        return run_batch(programs, inputs, budget=self.budget, threads=self.threads)

    def _last_learner(self) -> Learner:
        """Policy and optimizer as the last learning left them; before the first, made as configured."""
        last = self.store.last_done("learn")
        if last is None and not self.store.done(0, "create"):
            with self._committing(0, "create"):
                policy = Policy.create(self.config.policy, derive(self.config.run.seed, "create"))
                learner = Learner(policy, self.config.learning)
                self.folder.save_checkpoint(0, learner.save)
            return learner
        return Learner.load(
            self.folder.checkpoint(last or 0), self.config.learning, self.config.policy.device
        )

    @contextmanager
    def _committing(self, iteration: int, phase: str, part: int = 0) -> Iterator[None]:
        """A phase, or a part of one: what is written inside is committed with the mark that it is done."""
        started = time.monotonic()
        with self.store.transaction():
            yield
            self.store.set_done(iteration, phase, part, time.monotonic() - started)


def _parse(text: str) -> Program | None:
    try:
        return Program.parse(text)
    except ParseError:
        return None
