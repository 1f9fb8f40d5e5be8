"""Evaluation of a policy: programs sampled for each task, and what they do. Nothing is trained."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np

from codeit.config import SamplingConfig
from codeit.data.tasks import Task, by_size
from codeit.evaluation.candidate import Candidate
from codeit.language import Budget, ParseError, Program, evaluate
from codeit.policy.model import Policy
from codeit.policy.sampling import sample
from codeit.seeds import derive
from codeit.storage.search_log import Part, SearchLog

TASKS_AT_ONCE = 32
"""Tasks of similar size that are sampled together. At most these are lost in a kill."""


class SampleCounts(NamedTuple):
    """Counts of sampled programs."""

    drawn: int = 0
    distinct: int = 0
    """Samples whose text differs from all earlier samples for the same task."""
    parsed: int = 0
    ran: int = 0
    """Samples that give a grid on every demonstration input."""
    solved_one: int = 0
    """Samples that solve at least one demonstration."""
    solved_all: int = 0
    tasks_solved_one: int = 0
    """Tasks with a sample that solves at least one demonstration."""


def evaluate_policy(
    log: SearchLog,
    policy: Policy,
    tasks: Sequence[Task],
    sampling: SamplingConfig,
    seed: int,
    *,
    budget: Budget | None = None,
    threads: int = 0,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> SampleCounts:
    """Sample programs for each task, except what `log` has done, and run them.

    A few tasks of similar size form a part of the log. The order of a candidate is that of its
    first sample. Raises RunError if the log has other tasks.
    """
    log.check_tasks(tasks)
    ordered = by_size(tasks)
    chunks = [ordered[start : start + TASKS_AT_ONCE] for start in range(0, len(ordered), TASKS_AT_ONCE)]
    for number, chunk in enumerate(chunks):
        progress(number * TASKS_AT_ONCE, len(tasks))
        if number in log.parts():
            continue
        wall, cores = time.monotonic(), time.process_time()
        total = np.zeros(len(SampleCounts._fields), np.int64)
        found: list[Candidate] = []
        drawn = sample(
            policy,
            [task.train for task in chunk],
            sampling,
            seeds=[derive(seed, "trial", task.id) for task in chunk],  # fixed name: see seeds.py
            threads=threads or os.cpu_count() or 1,
        )
        for place, texts in drawn:
            counts, solvers = _run_samples(chunk[place], texts, budget, threads)
            total += counts
            found += solvers
        wall, cores = time.monotonic() - wall, time.process_time() - cores
        of_chunk = SampleCounts(*total.tolist())
        state = json.dumps(of_chunk._asdict()).encode()
        log.commit(number, Part(of_chunk.drawn, wall, cores, state), found)
    progress(len(tasks), len(tasks))
    return total_counts(log)


def total_counts(log: SearchLog) -> SampleCounts:
    """Return the sum of the counts of all finished parts."""
    of_parts = log.states(_parse_counts).values()
    return SampleCounts(*map(sum, zip(*of_parts, strict=True)))


def _parse_counts(state: bytes) -> SampleCounts:
    return SampleCounts(**{name: int(count) for name, count in json.loads(state).items()})


def _run_samples(
    task: Task, texts: Sequence[str], budget: Budget | None, threads: int
) -> tuple[SampleCounts, list[Candidate]]:
    """Run a task's samples on its demonstrations; return counts and programs that solve all."""
    copies: dict[str, list[int]] = {}
    for k, text in enumerate(texts):
        copies.setdefault(text, []).append(k)
    programs, times, first = [], [], []
    for text, places in copies.items():
        try:
            programs.append(Program.parse(text))
        except ParseError:
            continue
        times.append(len(places))
        first.append(places[0])
    verdicts = evaluate(programs, [0] * len(programs), [task.train], budget=budget, threads=threads)
    weight, n = np.array(times, np.int64), len(task.train)
    solved_one, solved_all = verdicts["solved"] > 0, verdicts["solved"] == n
    counts = SampleCounts(
        drawn=len(texts),
        distinct=len(copies),
        parsed=int(weight.sum()),
        ran=int(weight[verdicts["ran"] == n].sum()),
        solved_one=int(weight[solved_one].sum()),
        solved_all=int(weight[solved_all].sum()),
        tasks_solved_one=int(solved_one.any()),
    )
    solvers = np.flatnonzero(solved_all).tolist()
    return counts, [Candidate(task.id, programs[k], n, order=first[k]) for k in solvers]


def curve_points(samples: int) -> list[int]:
    """Return the sample counts of a curve: the paper's 24, doubled, and so on."""
    doubled = (24 << k for k in range(samples.bit_length()))
    return sorted(n for n in {*doubled, samples} if n <= samples)
