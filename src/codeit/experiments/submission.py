"""A whole set of tasks answered within one time budget, as a submission file of ARC Prize.

Every task first gets a short time. Tasks that are not settled then get twice as much, and so on;
the best programs of one pass join the next. The file is valid from the first moment: it is
rewritten, atomically, after every task. A `SearchLog` beside it records the work, one part per task
and pass, so that the same command resumes.
"""

from __future__ import annotations

import hashlib
import json
import time
import zlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

from codeit.data.tasks import Task
from codeit.evaluation.candidate import Candidate
from codeit.language import Grid, Program
from codeit.parallel import map_unordered
from codeit.seeds import derive
from codeit.solver import CLOSEST, SolveResult, TaskSearch
from codeit.storage.files import write_atomically
from codeit.storage.search_log import Part, SearchLog

FIRST_PASS_SECONDS = 2.0
"""Seconds of a task in the first pass, if the budget allows as much for each."""
CARRIED = 100
"""Programs of one pass that join the next."""
_WHOLE_PASS = (
    1.5  # a pass takes all the remaining time if that is less than this factor times what it asks for
)


def submission(attempts: Mapping[str, Sequence[Sequence[Grid]]]) -> str:
    """Return ARC Prize JSON: by task id, attempt_1 and attempt_2 for each test input."""
    data = {
        task_id: [
            {f"attempt_{k}": grid.tolist() for k, grid in enumerate(of_input, start=1)}
            for of_input in of_task
        ]
        for task_id, of_task in attempts.items()
    }
    return json.dumps(data) + "\n"


def log_settings(tasks: Sequence[Task], seed: int, policy: str) -> dict[str, object]:
    """Return the settings of a submission's search log. A resumed submission must have the same."""
    content = repr([(task.id, _rows(task)) for task in tasks])
    return {
        "kind": "submission",
        "tasks": len(tasks),
        "content": hashlib.sha256(content.encode()).hexdigest()[:16],
        "seed": seed,
        "policy": policy,
    }


def _rows(task: Task) -> object:
    demonstrations = [(pair.input.tolist(), pair.output.tolist()) for pair in task.train]
    return demonstrations, [pair.input.tolist() for pair in task.test]


class TaskState(NamedTuple):
    """What the passes so far have reached for a task."""

    passes: int
    result: SolveResult
    settled: bool
    carried: list[Program]


class Submission:
    """A submission file and the log of the work behind it."""

    def __init__(self, log: SearchLog, out: Path, tasks: Sequence[Task]) -> None:
        """Write the file from the log. Tasks without a program are answered by their test inputs."""
        self.log, self.out, self.tasks = log, out, tasks
        self.states = [TaskState(0, SolveResult(task, 0, ()), False, []) for task in tasks]
        self.spent = 0.0
        """Seconds of all searches, summed."""
        for number, part in log.parts().items():
            self._add(number, part)
        self._write()

    @property
    def results(self) -> list[SolveResult]:
        """The result of each task, in order."""
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
        """Search for `seconds` in all, in `workers` processes, including the time of earlier calls.

        Ends early if all demonstrations of every task are solved. Searches that are unfinished at
        the end are dropped, also in the first pass. Raises PolicyError.
        """
        end = time.monotonic() + seconds - self.spent / workers
        while batch := self._next_pass():
            passes = self.states[batch[0]].passes
            fair_share = (end - time.monotonic()) * workers / len(batch)
            if fair_share <= 0:
                return
            wanted = FIRST_PASS_SECONDS * 2**passes
            per_task = wanted if wanted * _WHOLE_PASS < fair_share else fair_share
            jobs = [
                _Job(
                    self.tasks[k],
                    starters,
                    self.states[k].carried,
                    derive(seed, "submission", passes),
                    per_task,
                    end,
                    policy,
                )
                for k in batch
            ]
            for index, (part, found) in map_unordered(_search, jobs, workers):
                number = passes * len(self.tasks) + batch[index]
                self.log.commit(number, part, found)
                self._add(number, part)
                self._write()
                progress(self)
                if time.monotonic() >= end:
                    return

    def _next_pass(self) -> list[int]:
        """Return the unsettled tasks that had the fewest passes."""
        left = [k for k, state in enumerate(self.states) if not state.settled]
        fewest = min((self.states[k].passes for k in left), default=0)
        return [k for k in left if self.states[k].passes == fewest]

    def _add(self, number: int, part: Part) -> None:
        passes, k = divmod(number, len(self.tasks))
        stored = json.loads(zlib.decompress(part.state))
        programs = tuple(
            Candidate(self.tasks[k].id, Program.parse(text), solved, votes=votes)
            for text, solved, votes in stored["programs"]
        )
        tried = self.states[k].result.tried + part.programs
        carried = [Program.parse(text) for text in stored["carried"]]
        result = SolveResult(self.tasks[k], tried, programs)
        self.states[k] = TaskState(passes + 1, result, stored["settled"], carried)
        self.spent += part.seconds

    def _write(self) -> None:
        write_atomically(self.out, submission({one.task.id: one.attempts for one in self.results}))


class _Job(NamedTuple):
    task: Task
    starters: Sequence[Program]
    carried: Sequence[Program]
    seed: int
    seconds: float
    end: float  # of time.monotonic, which all processes share
    policy: Path | None


def _search(job: _Job) -> tuple[Part, list[Candidate]]:
    wall, cores = time.monotonic(), time.process_time()
    task, seed = job.task, derive(job.seed, job.task.id)
    search = TaskSearch(task, job.starters, seed, policy=job.policy, carried=job.carried, threads=1)
    for _ in search.run(deadline=min(wall + job.seconds, job.end)):
        pass
    state = search.state(CARRIED)
    result = state._replace(closest=state.closest[:CLOSEST]).result(task)
    best = dict.fromkeys([*(answer.program for answer in state.answers), *state.closest])
    stored = {
        "programs": [(str(one.program), one.solved, one.votes) for one in result.programs],
        "settled": state.settled,
        "carried": [] if state.settled else list(map(str, best)),
    }
    blob = zlib.compress(json.dumps(stored).encode())
    part = Part(state.tried, time.monotonic() - wall, time.process_time() - cores, blob)
    return part, [replace(answer, order=state.tried) for answer in state.answers]
