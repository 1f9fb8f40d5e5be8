"""A whole set of tasks answered within one budget, as a submission file of ARC Prize.

Every task first gets a short time. Tasks that are not settled then get twice as much, and so on;
the best programs of one pass join the next. If the budget is a number of programs, each task gets
that number in one pass, and the answers do not depend on times.

The file is valid from the first moment: it is rewritten, atomically, after every task. A
`SearchLog` beside it records the work, one part per task and pass, so that the same command
resumes. Its directory also gets probabilities.json: by task id, how likely one of the two attempts
is right (0 where no program solves all demonstrations).

The log also records the wall-clock time of all calls, from their start to their end. A call that is
killed loses from this account what passed since its last commit.
"""

from __future__ import annotations

import json
import logging
import math
import sys
import time
import zlib
from collections.abc import Callable, Container, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import NamedTuple

from codeit.data.tasks import Task
from codeit.evaluation.candidate import Candidate
from codeit.evaluation.confidence import with_probabilities
from codeit.language import Grid, Program
from codeit.parallel import Deadline, Pool, WorkerError, Workforce, capacity, start_pool
from codeit.policy import PolicySource, pack_policy
from codeit.seeds import derive
from codeit.solver import CLOSEST, SearchState, SolveResult, TaskSearch, merge_states
from codeit.storage.files import RunError, is_stream, write_atomically
from codeit.storage.search_log import PROBABILITIES, Part, SearchLog, fingerprint

FIRST_PASS_SECONDS = 2.0
"""Seconds of a task in the first pass, if the budget allows as much for each."""
CARRIED = 100
"""Programs of one pass that join the next."""
_WHOLE_PASS = (
    1.5  # a pass takes all the remaining time if that is less than this factor times what it asks for
)

_GRACE = 0.8  # seconds after the end for the searches to finish their generation
_log = logging.getLogger(__name__)


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


def log_settings(
    tasks: Sequence[Task], seed: int, policy: str, programs: int | None = None
) -> dict[str, object]:
    """Return the settings of a submission's search log. A resumed submission must have the same."""
    return {
        "kind": "submission",
        "tasks": len(tasks),
        "content": fingerprint(tasks),
        "seed": seed,
        "policy": policy,
        "programs": programs,
    }


def log_directory(out: Path) -> Path:
    """Return the directory of the search log of a submission file, which is beside the file.

    Raises RunError for a device, a pipe, or the file that stdout or stderr leads to.
    """
    if is_stream(out):
        raise RunError(
            f"--out {out}: expected a file, beside which a directory records the work, found a device, a "
            "pipe or the standard output; write to a file"
        )
    return out.with_name(out.name + ".search")


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
        for number, part in log.parts().items():
            self._add(number, part)
        self._write()
        self.log.record_time()

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
        programs: int | None = None,
        policy: Path | None = None,
        workforce: Workforce = 1,
        progress: Callable[[Submission], None] = lambda submission: None,
    ) -> None:
        """Search for `seconds` in all, by a workforce, including the time of earlier calls.

        With `programs`, search each task once, until so many are tried, however long that takes.
        Ends early if all demonstrations of every task are solved. Searches that are unfinished at
        the end are dropped, also in the first pass. A task whose process dies again and again keeps
        what it has; a warning is logged, and this call leaves the task out. Raises PolicyError, and
        WorkerError if no other task is left.
        """
        end = Deadline(math.inf if programs else seconds - self.log.spent)
        lost: dict[int, WorkerError] = {}
        try:
            self.log.record_time()
            source = policy if policy is None or isinstance(workforce, int) else pack_policy(policy)
            with start_pool(partial(_search, starters, source), workforce) as pool:
                while time.monotonic() < end.at and (batch := self._next_pass(lost, programs is not None)):
                    jobs = self._jobs(batch, programs, end, seed, capacity(workforce))
                    self._run_pass(pool, batch, jobs, lost, progress)
        finally:
            self.log.record_time()
        if lost and time.monotonic() < end.at:
            raise list(lost.values())[-1]

    def _jobs(
        self, batch: Sequence[int], programs: int | None, end: Deadline, seed: int, workers: int
    ) -> list[_Job]:
        """Return the next search of each task in `batch`."""
        passes = self.states[batch[0]].passes
        fair_share = (end.at - time.monotonic()) * workers / len(batch)
        wanted = math.inf if programs else FIRST_PASS_SECONDS * 2**passes
        per_task = wanted if wanted * _WHOLE_PASS < fair_share else fair_share
        own_seed = derive(seed, "submission", passes)
        return [
            _Job(
                self.tasks[k],
                [one for one in self.states[k].result.programs if one.votes],
                self.states[k].carried,
                own_seed,
                programs or sys.maxsize,
                per_task,
                end,
            )
            for k in batch
        ]

    def _run_pass(
        self,
        pool: Pool[_Job, _Found | None],
        batch: Sequence[int],
        jobs: Sequence[_Job],
        lost: dict[int, WorkerError],
        progress: Callable[[Submission], None],
    ) -> None:
        """Search for each task in `batch`, and commit what is found. Adds to `lost`."""

        def note_lost(index: int, error: WorkerError) -> None:
            lost[batch[index]] = error
            _log.warning("%s; the other tasks continue", error)

        passes = self.states[batch[0]].passes
        for index, found in pool.map_unordered(
            jobs,
            deadline=jobs[0].end.at + _GRACE,
            name=lambda k: f"task {jobs[k].task.id}",
            lost=note_lost,
        ):
            if found is None:
                return
            number = passes * len(self.tasks) + batch[index]
            self.log.commit(number, *found)
            self._add(number, found[0])
            self._write()
            progress(self)

    def _next_pass(self, without: Container[int], only_one: bool) -> list[int]:
        """Return the unsettled tasks that had the fewest passes, except those in `without`."""
        left = [k for k, state in enumerate(self.states) if not state.settled and k not in without]
        fewest = min((self.states[k].passes for k in left), default=0)
        if fewest and only_one:
            return []
        return [k for k in left if self.states[k].passes == fewest]

    def _add(self, number: int, part: Part) -> None:
        passes, k = divmod(number, len(self.tasks))
        task, tried = self.tasks[k], self.states[k].result.tried + part.programs
        found, settled, carried = self.log.parse_state(number, part, partial(_parse_state, task))
        programs = with_probabilities(task, found, tried)
        self.states[k] = TaskState(passes + 1, SolveResult(task, tried, tuple(programs)), settled, carried)

    def _write(self) -> None:
        write_atomically(self.out, submission({one.task.id: one.attempts for one in self.results}))
        likely = {one.task.id: round(one.probability, 4) for one in self.results}
        write_atomically(self.log.directory / PROBABILITIES, json.dumps(likely, indent=1) + "\n")


def _parse_state(task: Task, state: bytes) -> tuple[list[Candidate], bool, list[Program]]:
    """Return the best programs, whether the task is settled, and the programs that are carried on."""
    stored = json.loads(zlib.decompress(state))
    programs = [
        Candidate(task.id, Program.parse(text), int(solved), votes=int(votes), answer=answer)
        for text, solved, votes, answer in stored["programs"]
    ]
    return programs, bool(stored["settled"]), [Program.parse(text) for text in stored["carried"]]


class _Job(NamedTuple):
    task: Task
    answers: list[Candidate]
    """Of earlier passes. Their votes count in this one."""
    carried: Sequence[Program]
    seed: int
    programs: int
    seconds: float
    end: Deadline


_Found = tuple[Part, list[Candidate]]


def _search(starters: Sequence[Program], policy: PolicySource | None, job: _Job) -> _Found | None:
    """Return the part and what it found, or None if the time was over before it started."""
    wall, cores = time.monotonic(), time.process_time()
    if wall >= job.end.at:
        return None
    task, seed = job.task, derive(job.seed, job.task.id)
    search = TaskSearch(
        task,
        starters,
        seed,
        policy=policy,
        carried=job.carried,
        enumerates=not job.carried,  # a later pass would find the same again
        threads=1,
    )
    for _ in search.run(job.programs, min(wall + job.seconds, job.end.at)):
        pass
    before = SearchState(0, job.answers, [], settled=False)
    state = merge_states(task, [before, search.state(CARRIED)], CARRIED)
    result = state._replace(closest=state.closest[:CLOSEST]).result(task)
    best = dict.fromkeys([*(answer.program for answer in state.answers), *state.closest])
    stored = {
        "programs": [
            (str(one.program), one.demonstrations_solved, one.votes, one.answer) for one in result.programs
        ],
        "settled": state.settled,
        "carried": [] if state.settled else list(map(str, best)),
    }
    blob = zlib.compress(json.dumps(stored).encode())
    part = Part(state.tried, time.monotonic() - wall, time.process_time() - cores, blob)
    return part, [replace(answer, order=state.tried) for answer in state.answers]
