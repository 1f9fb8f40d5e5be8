"""What a report shows of several runs together: the gallery of tasks, the primitives that solve them."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from codeit.data.tasks import Task
from codeit.evaluation.scoring import solves
from codeit.language import PRIMITIVES, Outcome, Program, run_batch
from codeit.report.runs import Run


@dataclass(frozen=True)
class Shown:
    """A program of a task as the gallery shows it."""

    program: Program
    solved: int
    """Demonstrations that it solves."""
    outcomes: Sequence[Outcome]
    """On the test inputs."""
    right: bool | None
    """Whether it gives every test output; None if they are not known."""
    places: Mapping[int, int]
    """By run, its place in the run's ranking, from 1."""


@dataclass(frozen=True)
class Entry:
    """A task as the gallery shows it, with the best programs of all runs."""

    task: Task
    programs: Sequence[Shown]
    solved_by: Sequence[int]
    """The runs that solve it (top 3)."""
    status: str
    """solved, demonstrations (all of them, but not the test), some (demonstrations), or none."""

    @property
    def best(self) -> Program | None:
        """The best program that gives the test outputs; if there is none, the best."""
        right = (one.program for one in self.programs if one.right)
        return next(right, self.programs[0].program if self.programs else None)


def gallery(runs: Sequence[Run], *, threads: int = 0) -> list[Entry]:
    """Every task of the runs: solved ones first, then by demonstrations solved, then by id."""
    tasks = {task.id: task for run in reversed(runs) for task in run.tasks}
    solved_by: defaultdict[str, list[int]] = defaultdict(list)
    places: defaultdict[tuple[str, Program], dict[int, int]] = defaultdict(dict)
    solved: dict[tuple[str, Program], int] = {}
    for number, run in enumerate(runs):
        for id in run.score.solved:
            solved_by[id].append(number)
        for id, found in run.best.items():
            for place, one in enumerate(found, start=1):
                places[id, one.program][number] = place
                solved[id, one.program] = one.solved
    keys = list(places)
    inputs = [[pair.input for pair in tasks[id].test] for id, _ in keys]
    shown: defaultdict[str, list[Shown]] = defaultdict(list)
    for key, outcomes in zip(
        keys, run_batch([program for _, program in keys], inputs, threads=threads), strict=True
    ):
        outputs = [pair.output for pair in tasks[key[0]].test]
        right = None if None in outputs else solves(outcomes, outputs)
        shown[key[0]].append(Shown(key[1], solved[key], outcomes, right, places[key]))
    entries = []
    for id, task in tasks.items():
        programs = sorted(shown[id], key=lambda one: (-one.solved, len(one.program), str(one.program)))
        best = programs[0].solved if programs else 0
        status = "demonstrations" if best == len(task.train) else "some" if best else "none"
        entries.append(Entry(task, programs, solved_by[id], "solved" if solved_by[id] else status))
    order = ["solved", "demonstrations", "some", "none"]
    return sorted(entries, key=lambda entry: (order.index(entry.status), entry.task.id))


def primitives(program: Program) -> set[str]:
    """The primitives that a program names, called or handed on."""
    return {name for line in program.lines for name in (line.function, *line.arguments)} & PRIMITIVES.keys()


def primitives_of_solutions(entries: Sequence[Entry]) -> dict[str, int]:
    """Primitives by the number of solved tasks whose best right program names them, most first."""
    counts: defaultdict[str, int] = defaultdict(int)
    for entry in entries:
        for name in primitives(entry.best) if entry.status == "solved" and entry.best else ():
            counts[name] += 1
    return dict(sorted(counts.items(), key=lambda item: (-item[1], item[0])))


def differing_settings(runs: Sequence[Run]) -> dict[str, list[str]]:
    """Settings in which the loops among the runs differ: a value for each ("" where it is not known)."""
    loops = [run for run in runs if run.kind == "loop" and run.settings]
    keys = dict.fromkeys(key for run in loops for key in run.settings)
    values = {key: [run.settings.get(key, "") for run in loops] for key in keys}
    return {key: of for key, of in values.items() if len(set(of)) > 1}
