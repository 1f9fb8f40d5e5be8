"""A whole set of tasks answered within one budget of time, in the form of ARC Prize.

First every task gets a short time, then those that are not settled get twice as much, and so on; the best
programs of one pass join the next. The file is valid from the first moment on: after each task it is written
anew, whole. What was done is a `Record` beside it, a part for a task and pass, so that the same command goes
on.
"""

from __future__ import annotations

import hashlib
import json
import time
import zlib
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from codeit.files import replace
from codeit.language import Grid, Program
from codeit.record import Found, Part, Record
from codeit.seeds import derive
from codeit.solve import CLOSEST, Ranked, Result, Search
from codeit.tasks import Task
from codeit.workers import each

FIRST = 2.0
"""Seconds of a task in the first pass, if there is as much for each."""
CARRIED = 100
"""Programs of one pass that join the next."""
_WHOLE = 1.5  # a pass takes all the time if that is less than so many times what it asks for


def submission(attempts: Mapping[str, Sequence[Sequence[Grid]]]) -> str:
    """JSON in the form of ARC Prize: by task id a list with, for each test input, attempt_1 and attempt_2."""
    form = {
        id: [
            {f"attempt_{k}": grid.tolist() for k, grid in enumerate(of_input, start=1)}
            for of_input in of_task
        ]
        for id, of_task in attempts.items()
    }
    return json.dumps(form) + "\n"


def settings(tasks: Sequence[Task], seed: int, policy: str) -> dict[str, object]:
    """What a submission's record is begun with, and must go on with."""
    content = repr([(task.id, _rows(task)) for task in tasks])
    return {
        "search": "submission",
        "tasks": len(tasks),
        "content": hashlib.sha256(content.encode()).hexdigest()[:16],
        "seed": seed,
        "policy": policy,
    }


def _rows(task: Task) -> object:
    demonstrations = [(pair.input.tolist(), pair.output.tolist()) for pair in task.train]
    return demonstrations, [pair.input.tolist() for pair in task.test]


class State(NamedTuple):
    """What some passes have come to for a task."""

    passes: int
    result: Result
    settled: bool
    carried: list[Program]


class Submission:
    """A submission file, and the record of how it came about."""

    def __init__(self, record: Record, out: Path, tasks: Sequence[Task]) -> None:
        """Write the file from what the record has; what it has nothing of is answered by the test inputs."""
        self.record, self.out, self.tasks = record, out, tasks
        self.states = [State(0, Result(task, 0, ()), False, []) for task in tasks]
        self.spent = 0.0
        """Seconds of searches, one by one."""
        for number, part in record.parts().items():
            self._take(number, part)
        self._write()

    @property
    def results(self) -> list[Result]:
        """A task each, in order."""
        return [state.result for state in self.states]

    def run(
        self,
        starters: Sequence[Program],
        seconds: float,
        seed: int,
        *,
        policy: Path | None = None,
        workers: int = 1,
        progress: Callable[[Submission], None] = lambda submission: None,
    ) -> None:
        """Search for `seconds` in all, in so many processes, less what was spent before.

        Ends early if all demonstrations of every task are solved; what is not done at the end is left, in the
        first pass too. Raises PolicyError.
        """
        end = time.monotonic() + seconds - self.spent / workers
        while batch := self._next_pass():
            passes = self.states[batch[0]].passes
            fair = (end - time.monotonic()) * workers / len(batch)
            if fair <= 0:
                return
            wanted = FIRST * 2**passes
            each_gets = wanted if wanted * _WHOLE < fair else fair
            jobs = [
                _Job(
                    self.tasks[k], starters, self.states[k].carried, derive(seed, "submission", passes),
                    each_gets, end, policy,
                )
                for k in batch
            ]  # fmt: skip
            for place, part_and_found in each(_search, jobs, workers):
                number = passes * len(self.tasks) + batch[place]
                self.record.commit(number, *part_and_found)
                self._take(number, part_and_found[0])
                self._write()
                progress(self)
                if time.monotonic() >= end:
                    return

    def _next_pass(self) -> list[int]:
        """The tasks that are not settled, and of these those that had the fewest passes."""
        left = [k for k, state in enumerate(self.states) if not state.settled]
        fewest = min((self.states[k].passes for k in left), default=0)
        return [k for k in left if self.states[k].passes == fewest]

    def _take(self, number: int, part: Part) -> None:
        passes, k = divmod(number, len(self.tasks))
        told = json.loads(zlib.decompress(part.state))
        programs = tuple(Ranked(Program.parse(text), *counts) for text, *counts in told["programs"])
        tried = self.states[k].result.tried + part.programs
        carried = [Program.parse(text) for text in told["carried"]]
        self.states[k] = State(passes + 1, Result(self.tasks[k], tried, programs), told["settled"], carried)
        self.spent += part.seconds

    def _write(self) -> None:
        replace(self.out, submission({result.task.id: result.attempts for result in self.results}))


class _Job(NamedTuple):
    task: Task
    starters: Sequence[Program]
    carried: Sequence[Program]
    seed: int
    seconds: float
    end: float  # of time.monotonic, which all processes share
    policy: Path | None


def _search(job: _Job) -> tuple[Part, list[Found]]:
    began, cores = time.monotonic(), time.process_time()
    task, seed = job.task, derive(job.seed, job.task.id)
    search = Search(task, job.starters, seed, policy=job.policy, carried=job.carried, threads=1)
    for _ in search.run(deadline=min(began + job.seconds, job.end)):
        pass
    standing = search.standing(CARRIED)
    result = standing._replace(closest=standing.closest[:CLOSEST]).result(task)
    best = dict.fromkeys([*(answer.program for answer in standing.answers), *standing.closest])
    told = {
        "programs": [(str(program), *counts) for program, *counts in result.programs],
        "settled": standing.settled,
        "carried": [] if standing.settled else list(map(str, best)),
    }
    found = [Found(task.id, a.program, standing.tried, a.key, a.votes) for a in standing.answers]
    seconds, state = time.monotonic() - began, zlib.compress(json.dumps(told).encode())
    return Part(standing.tried, seconds, time.process_time() - cores, state), found
