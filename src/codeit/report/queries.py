"""Data of a report about several runs: the gallery of tasks, the primitives of solutions."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from codeit.data.tasks import Task
from codeit.evaluation.scoring import solves
from codeit.language import Outcome, Program, run_batch
from codeit.report.page import primitives
from codeit.report.runs import Run

STATUSES = ("solved", "demonstrations", "some", "none")
"""How far a task is solved: at top 3; all demonstrations, but not the tests; some of them; none."""


_NOT_COMPARED = frozenset({"run.seed", "seed", "run.threads"})
"""Settings in which runs of a group may differ: the seed, and settings that do not change results."""


@dataclass(frozen=True)
class RunGroup:
    """Runs that differ only by their seed."""

    runs: Sequence[Run]
    hue: int
    """The colour that the group has in every chart."""

    @property
    def name(self) -> str:
        names = [run.name for run in self.runs]
        return f"mean of {in_words(names)}" if len(names) > 1 else names[0]


@dataclass(frozen=True)
class GalleryProgram:
    """A program of a task in the gallery."""

    program: Program
    demonstrations_solved: int
    """Demonstrations that it solves."""
    outcomes: Sequence[Outcome]
    """Its outcomes on the test inputs."""
    right: bool | None
    """Whether it gives every test output; None if they are unknown."""
    ranks: Mapping[int, int]
    """Its rank in each run that found it, from 1, by index of the run."""


@dataclass(frozen=True)
class GalleryEntry:
    """A task in the gallery, with the best programs of all runs."""

    task: Task
    programs: Sequence[GalleryProgram]
    solved_by: Sequence[int]
    """Indices of the runs that solve it at top 3."""
    status: str
    """One of STATUSES."""

    @property
    def best(self) -> Program | None:
        """The best program that gives the test outputs; the best program if none does."""
        right = (found.program for found in self.programs if found.right)
        return next(right, self.programs[0].program if self.programs else None)


def by_seed(runs: Sequence[Run]) -> list[RunGroup]:
    """Return the runs in groups that differ only by their seed, in order of each group's first run.

    A run with a seed that its group has already begins another group, so that two versions of the
    code can be compared. Runs of unequal length, such as one in progress, and runs whose settings are
    unknown are in separate groups.
    """
    groups: list[tuple[object, dict[str, Run]]] = []
    for run in runs:
        seed = run.settings.get("run.seed", run.settings.get("seed", ""))
        fixed = {name: value for name, value in run.settings.items() if name not in _NOT_COMPARED}
        key = (run.kind, fixed, max(run.metrics or run.curve, default=0), [task.id for task in run.tasks])
        for other, members in groups:
            if run.settings and other == key and seed not in members:
                members[seed] = run
                break
        else:
            groups.append((key, {seed: run}))
    return [RunGroup([*members.values()], hue) for hue, (_, members) in enumerate(groups)]


def in_words(names: Sequence[str]) -> str:
    """Return "a", "a and b" or "a, b and c"."""
    return " and ".join(filter(None, [", ".join(names[:-1]), names[-1]]))


def gallery(runs: Sequence[Run], *, threads: int = 0) -> list[GalleryEntry]:
    """Return every task of the runs, in the order of STATUSES and then by id."""
    tasks = {task.id: task for run in reversed(runs) for task in run.tasks}
    solved_by: defaultdict[str, list[int]] = defaultdict(list)
    ranks: defaultdict[tuple[str, Program], dict[int, int]] = defaultdict(dict)
    solved: dict[tuple[str, Program], int] = {}
    for number, run in enumerate(runs):
        for task_id in run.score.solved:
            solved_by[task_id].append(number)
        for task_id, candidates in run.best.items():
            for rank, candidate in enumerate(candidates, start=1):
                ranks[task_id, candidate.program][number] = rank
                solved[task_id, candidate.program] = candidate.demonstrations_solved
    keys = list(ranks)
    test_inputs = [[pair.input for pair in tasks[task_id].test] for task_id, _ in keys]
    outcomes = run_batch([program for _, program in keys], test_inputs, threads=threads)
    by_task: defaultdict[str, list[GalleryProgram]] = defaultdict(list)
    for key, program_outcomes in zip(keys, outcomes, strict=True):
        task_id, program = key
        outputs = [pair.output for pair in tasks[task_id].test]
        right = None if None in outputs else solves(program_outcomes, outputs)
        by_task[task_id].append(GalleryProgram(program, solved[key], program_outcomes, right, ranks[key]))
    entries = []
    for task_id, task in tasks.items():
        programs = sorted(
            by_task[task_id], key=lambda p: (-p.demonstrations_solved, len(p.program), str(p.program))
        )
        best = programs[0].demonstrations_solved if programs else 0
        status = "demonstrations" if best == len(task.train) else "some" if best else "none"
        if solved_by[task_id]:
            status = "solved"
        entries.append(GalleryEntry(task, programs, solved_by[task_id], status))
    return sorted(entries, key=lambda entry: (STATUSES.index(entry.status), entry.task.id))


def primitives_of_solutions(entries: Sequence[GalleryEntry]) -> dict[str, int]:
    """Return the number of solved tasks whose best right program names each primitive, most first."""
    counts: defaultdict[str, int] = defaultdict(int)
    for entry in entries:
        for name in primitives(entry.best) if entry.status == "solved" and entry.best else ():
            counts[name] += 1
    return dict(sorted(counts.items(), key=lambda item: (-item[1], item[0])))


def differing_tasks(runs: Sequence[Run]) -> list[tuple[list[int | None], int]]:
    """Return for each run how many tasks it solves that each other run has, but does not solve.

    The second number counts the tasks that no other run solves. A run has None beside itself.
    """
    solved = [frozenset(run.score.solved) for run in runs]
    unsolved = [{task.id for task in run.tasks} - own for run, own in zip(runs, solved, strict=True)]
    return [
        (
            [None if b == a else len(own & missing) for b, missing in enumerate(unsolved)],
            len(own.difference(*solved[:a], *solved[a + 1 :])),
        )
        for a, own in enumerate(solved)
    ]


def differing_settings(runs: Sequence[Run]) -> dict[str, list[str]]:
    """Return the settings in which the loops differ, with the value of each loop ("" if unknown)."""
    loops = [run for run in runs if run.kind == "loop" and run.settings]
    keys = dict.fromkeys(key for run in loops for key in run.settings)
    values = {key: [run.settings.get(key, "") for run in loops] for key in keys}
    return {key: per_loop for key, per_loop in values.items() if len(set(per_loop)) > 1}
