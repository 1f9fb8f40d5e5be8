"""A trial of a policy by itself: programs drawn for each task, and what they do. Nothing is learnt."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np

from codeit.language import Budget, ParseError, Program, evaluate
from codeit.policy.model import Policy
from codeit.policy.sampling import sample
from codeit.record import Found, Part, Record
from codeit.seeds import derive
from codeit.tasks import Task, by_size

TASKS_AT_ONCE = 16
"""Tasks of like size, sampled together; what a kill loses at most."""


class Counts(NamedTuple):
    """Of the programs drawn, how many …"""

    drawn: int = 0
    distinct: int = 0
    """… have a text that no earlier one has that was drawn for the same task."""
    parsed: int = 0
    ran: int = 0
    """… give a grid on every demonstration's input."""
    solved_one: int = 0
    """… solve some demonstration."""
    solved_all: int = 0
    tasks_solved_one: int = 0
    """Tasks of which a program solves some demonstration."""


def run_trial(
    record: Record,
    policy: Policy,
    tasks: Sequence[Task],
    samples: int,
    seed: int,
    *,
    temperature: float = 0.95,
    top_k: int = 50,
    batch_rows: int = 384,
    budget: Budget | None = None,
    threads: int = 0,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> Counts:
    """Draw `samples` programs for each task, but for what is done already; run them on its demonstrations.

    Some tasks of like size are a part of the record. A program is found as the first of its text.
    """
    ordered = by_size(tasks)
    chunks = [ordered[start : start + TASKS_AT_ONCE] for start in range(0, len(ordered), TASKS_AT_ONCE)]
    for number, chunk in enumerate(chunks):
        progress(number * TASKS_AT_ONCE, len(tasks))
        if number in record.parts():
            continue
        began = time.monotonic(), time.process_time()
        total = np.zeros(len(Counts._fields), np.int64)
        found: list[Found] = []
        drawn = sample(
            policy,
            [task.train for task in chunk],
            samples,
            temperature=temperature,
            top_k=top_k,
            seeds=[derive(seed, "trial", task.id) for task in chunk],
            batch_rows=batch_rows,
        )
        for place, texts in drawn:
            counts, solvers = _attempt(chunk[place], texts, budget, threads)
            total += counts
            found += solvers
        clock, cores = time.monotonic() - began[0], time.process_time() - began[1]
        state = json.dumps(Counts(*total.tolist())._asdict()).encode()
        record.commit(number, Part(samples * len(chunk), clock, cores, state), found)
    progress(len(tasks), len(tasks))
    return counted(record)


def counted(record: Record) -> Counts:
    """What the parts that are done add up to."""
    of_parts = [Counts(**json.loads(part.state)) for part in record.parts().values()]
    return Counts(*map(sum, zip(*of_parts, strict=True)))


def _attempt(
    task: Task, texts: Sequence[str], budget: Budget | None, threads: int
) -> tuple[Counts, list[Found]]:
    """What the programs drawn for a task do on its demonstrations, and those that solve all."""
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
    weight, all_pairs = np.array(times, np.int64), len(task.train)
    some, every = verdicts["solved"] > 0, verdicts["solved"] == all_pairs
    counts = Counts(
        drawn=len(texts),
        distinct=len(copies),
        parsed=int(weight.sum()),
        ran=int(weight[verdicts["ran"] == all_pairs].sum()),
        solved_one=int(weight[some].sum()),
        solved_all=int(weight[every].sum()),
        tasks_solved_one=int(some.any()),
    )
    return counts, [Found(task.id, programs[k], first[k]) for k in np.flatnonzero(every).tolist()]


def points(samples: int) -> list[int]:
    """The numbers of samples at which a curve up to so many is drawn: the paper's 24, doubled, and so on."""
    doubled = (24 << k for k in range(samples.bit_length()))
    return sorted(n for n in {*doubled, samples} if n <= samples)
