"""The record of a search that learns nothing: the mutation baseline's, evolution's, or a policy's trial.

A search is a sequence of parts, each of which tries some programs. A folder holds

search.sqlite      settings, the parts that are done, and the candidates; all else can be made anew from it
solutions.jsonl    a row a program that solves all demonstrations: task, program, tried (see `Found`)
curve.csv          tasks solved against programs tried
curve.svg          the same, drawn beside the paper's points (counts.json instead, for a policy)
"""

from __future__ import annotations

import csv
import io
import json
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple, Self

from codeit.database import Database
from codeit.files import RunError, hold, replace
from codeit.language import Program
from codeit.scoring import TOP, Candidate, Score, leaked_tasks, score, top_k
from codeit.tasks import Task

SCHEMA_VERSION = 2
KEPT = 5
"""Programs of a task in solutions.jsonl."""
_COLUMNS = (
    "solved_top3",
    "solved_top2",
    "solved_top3_without_leak",
    "solved_top2_without_leak",
    "solved_demonstrations",
)  # of a Score, in curve.csv
_HARMLESS = {"lock", "search.sqlite", "search.sqlite-wal", "search.sqlite-shm"}

_SCHEMA = """
CREATE TABLE setting (name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
-- What is done: a row is committed together with all that the part found.
CREATE TABLE part (
    number INTEGER PRIMARY KEY, programs INTEGER NOT NULL, seconds REAL NOT NULL, core_seconds REAL NOT NULL,
    state BLOB NOT NULL
);
CREATE TABLE candidate (
    task TEXT NOT NULL, program TEXT NOT NULL, tried INTEGER NOT NULL, answer TEXT, votes INTEGER NOT NULL,
    PRIMARY KEY (task, program, votes)
) WITHOUT ROWID;
"""


class Found(NamedTuple):
    """A program that solves all demonstrations of a task; `tried` counts the programs tried on it before.

    It may stand for all that give the same `answer` to the tests (64 bits say which), `votes` in number.
    """

    task: str
    program: Program
    tried: int
    answer: int | None = None
    votes: int = 0


class Part(NamedTuple):
    """What was done at once: programs tried, seconds (by the clock, and of processor time), and whatever the
    search needs to go on from there."""

    programs: int
    seconds: float
    core_seconds: float
    state: bytes = b""


class Search(Database):
    """What a search has done so far, for reading: another process may write to it meanwhile."""

    def __init__(self, folder: str | Path) -> None:
        """Open a folder's search.sqlite. Raises StoreError for a file that cannot be read."""
        self.folder = Path(folder)
        super().__init__(self.folder / "search.sqlite", _SCHEMA, SCHEMA_VERSION)

    def settings(self) -> dict[str, Any]:
        """The settings that the search began with."""
        return {name: json.loads(text) for name, text in self._db.execute("SELECT * FROM setting")}

    def parts(self) -> dict[int, Part]:
        """The parts that are done, by number, in order."""
        rows = self._db.execute("SELECT * FROM part ORDER BY number")
        return {number: Part(*rest) for number, *rest in rows}

    def found(self) -> list[Found]:
        """All that was found, in order."""
        rows = self._db.execute("SELECT * FROM candidate ORDER BY tried, task, program")
        return [
            Found(task, Program.parse(text), tried, None if answer is None else int(answer, 16), votes)
            for task, text, tried, answer, votes in rows
        ]

    def best(self, tasks: Sequence[Task]) -> dict[str, list[Candidate]]:
        """Each task's programs to be ranked: the KEPT best, or, if they have answers, the TOP by votes."""
        return _best(self.found(), tasks)


class Record(Search):
    """An open folder of a search, locked until `close`."""

    def __init__(
        self, folder: str | Path, settings: Mapping[str, object], may_change: Sequence[str] = ()
    ) -> None:
        """Begin a search with such settings, or go on with the one in the folder, which must have them too.

        Those named in `may_change` may differ. Raises RunError, or StoreError for a file that cannot be read.
        """
        self.folder = Path(folder)
        self._lock = hold(self.folder)
        try:
            if not (self.folder / "search.sqlite").exists():
                foreign = sorted(entry.name for entry in self.folder.iterdir() if entry.name not in _HARMLESS)
                if foreign:
                    raise RunError(
                        f"{folder}: expected a new folder or a search's, found {foreign[0]}; "
                        "choose another --out"
                    )
            super().__init__(folder)
            self._settle(settings, may_change)
        except BaseException:
            self._lock.close()
            raise

    def _settle(self, settings: Mapping[str, object], may_change: Sequence[str]) -> None:
        began = self.settings()
        for name, value in settings.items() if began else ():
            if name not in may_change and began.get(name) != value:
                self.close()
                raise RunError(
                    f"{self.folder}: {name}: expected {began.get(name)!r}, as the search began, "
                    f"found {value!r}; put it back, or choose another --out"
                )
        with self.transaction():
            rows = [(name, json.dumps(value)) for name, value in settings.items()]
            self._db.executemany("INSERT OR REPLACE INTO setting VALUES (?, ?)", rows)

    def close(self) -> None:
        super().close()
        self._lock.close()

    def __enter__(self) -> Self:
        return self

    def commit(self, number: int, part: Part, found: Iterable[Found]) -> None:
        """A part is done, and this is what it found."""
        with self.transaction():
            self._db.execute("INSERT INTO part VALUES (?, ?, ?, ?, ?)", (number, *part))
            rows = [
                (task, str(program), tried, None if answer is None else f"{answer:016x}", votes)
                for task, program, tried, answer, votes in found
            ]
            self._db.executemany("INSERT OR IGNORE INTO candidate VALUES (?, ?, ?, ?, ?)", rows)

    def publish(self, tasks: Sequence[Task], points: Iterable[int], *, threads: int = 0) -> dict[int, Score]:
        """Write solutions.jsonl and curve.csv anew; what the first programs, up to each point, solve."""
        found = self.found()
        best = _best(found, tasks)
        rows = (
            json.dumps({"task": id, "program": str(one.program), "tried": one.order}) + "\n"
            for id, of_task in sorted(best.items())
            for one in of_task
        )
        replace(self.folder / "solutions.jsonl", "".join(rows))
        leaked = leaked_tasks(tasks)
        curve = {}
        for n in points:
            before = _best([one for one in found if one.tried < n], tasks)
            curve[n] = score(before, tasks, leaked=leaked, threads=threads)
        table = io.StringIO()
        writer = csv.writer(table, lineterminator="\n")
        writer.writerow(("programs", *_COLUMNS))
        writer.writerows((n, *(getattr(s, name) for name in _COLUMNS)) for n, s in curve.items())
        replace(self.folder / "curve.csv", table.getvalue())
        return curve


def _best(found: Iterable[Found], tasks: Sequence[Task]) -> dict[str, list[Candidate]]:
    """Each task's programs to be ranked: the KEPT best, or, if they have answers, the TOP by votes."""
    demonstrations = {task.id: len(task.train) for task in tasks}
    of_task: defaultdict[str, list[Candidate]] = defaultdict(list)
    answers: defaultdict[str, dict[int, Found]] = defaultdict(dict)  # the last that was said of each
    for one in found:
        if one.answer is None:
            of_task[one.task].append(Candidate(one.program, demonstrations[one.task], one.tried))
        else:
            answers[one.task][one.answer] = one
    for task, last in answers.items():
        most = sorted(last.values(), key=lambda one: (-one.votes, len(one.program), one.tried))[:TOP]
        of_task[task] = [Candidate(one.program, demonstrations[task], one.tried) for one in most]
    return {task: top_k(candidates, KEPT) for task, candidates in of_task.items()}
