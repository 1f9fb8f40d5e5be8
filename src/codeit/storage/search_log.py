"""The directory of a search: the mutation baseline, evolution, a policy evaluation, a submission.

A search is a sequence of parts, each of which tries some programs. Its directory holds

    search.sqlite      settings, finished parts and candidates; the other files derive from it
    solutions.jsonl    the best programs that solve all demonstrations: task, program, tried (the
                       order of the candidate) and, where votes are counted, probability (how likely
                       its answer is right)
    curve.csv          tasks solved against programs tried
    settings.json      settings, and the wall-clock seconds of all calls
    curve.svg          the same as a chart beside the paper's points (a policy evaluation has
                       counts.json instead, a submission probabilities.json)
"""

from __future__ import annotations

import csv
import hashlib
import io
import json
import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple, Self, TypeVar

from codeit.data.tasks import Task
from codeit.evaluation.candidate import KEPT, TOP, Candidate, rank_answers, top_k
from codeit.evaluation.confidence import with_probabilities
from codeit.evaluation.scoring import Score, leaked_tasks, score
from codeit.storage.database import Database, damaged, missing_rows, refuse_empty
from codeit.storage.files import RunError, lock_directory, refuse_foreign, write_atomically

SCHEMA_VERSION = 3
CURVE_COLUMNS = (
    "solved_top3",
    "solved_top2",
    "solved_top3_without_leak",
    "solved_top2_without_leak",
    "solved_demonstrations",
)
"""Fields of `Score` in curve.csv."""
_DATABASE = {f"search.sqlite{suffix}" for suffix in ("", "-journal", "-wal", "-shm")}
PROBABILITIES = "probabilities.json"
_DERIVED = ("solutions.jsonl", "curve.csv", "curve.svg", "counts.json", "settings.json", PROBABILITIES)
"""What exists only if the database has had rows."""

_SCHEMA = """
CREATE TABLE setting (name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
-- What is done. A row is committed together with everything that the part found.
CREATE TABLE part (
    number INTEGER PRIMARY KEY, programs INTEGER NOT NULL, seconds REAL NOT NULL, core_seconds REAL NOT NULL,
    state BLOB NOT NULL
);
CREATE TABLE candidate (
    part INTEGER NOT NULL, task TEXT NOT NULL, program TEXT NOT NULL, demonstrations_solved INTEGER NOT NULL,
    tried INTEGER NOT NULL, answer TEXT, votes INTEGER NOT NULL,
    PRIMARY KEY (task, program, votes)
) WITHOUT ROWID;
"""

State = TypeVar("State")
_CONTENT = "content"  # a setting: the fingerprint of the tasks
_WALL_SECONDS = "wall_seconds"  # stored as a setting is


class Part(NamedTuple):
    """A finished part of a search."""

    programs: int
    """Programs tried."""
    seconds: float
    """Wall-clock time."""
    core_seconds: float
    """Processor time."""
    state: bytes = b""
    """What the search needs to continue from here."""


class SearchLogReader(Database):
    """What a search has done so far, for reading while another process may write."""

    def __init__(self, directory: str | Path) -> None:
        """Open a directory's search.sqlite. Raises StoreError if it has no rows or is damaged."""
        self._open(directory, create=False)

    def _open(self, directory: str | Path, *, create: bool) -> None:
        self.directory = Path(directory)
        super().__init__(self.directory / "search.sqlite", _SCHEMA, SCHEMA_VERSION, create=create)

    def settings(self) -> dict[str, Any]:
        """Return the settings of the search."""
        return {name: value for name, value in self._stored().items() if name != _WALL_SECONDS}

    def wall_seconds(self) -> float:
        """Return the wall-clock time of all calls, each up to its last commit."""
        found = self._stored().get(_WALL_SECONDS, 0.0)
        if not isinstance(found, int | float) or not 0 <= found < 2**63:
            raise damaged(self.path, f"{_WALL_SECONDS}: {found!r}")
        return found

    def _stored(self) -> dict[str, Any]:
        rows = self.connection.execute("SELECT * FROM setting").fetchall()
        try:
            return {name: json.loads(text) for name, text in rows}
        except ValueError as error:
            raise damaged(self.path, f"settings: {error}") from None

    def parts(self) -> dict[int, Part]:
        """Return the finished parts by number, in order."""
        types = int, int, float, float, bytes
        rows = self.connection.read("SELECT * FROM part ORDER BY number", (), *types)
        return {number: Part(*rest) for number, *rest in rows}

    def states(self, parse: Callable[[bytes], State]) -> dict[int, State]:
        """Return the parsed state of each part, by number, in order.

        Raises StoreError for a state on which `parse` fails.
        """
        return {number: self.parse_state(number, part, parse) for number, part in self.parts().items()}

    def parse_state(self, number: int, part: Part, parse: Callable[[bytes], State]) -> State:
        """Return `parse(part.state)`. Raises StoreError if it fails: damage can lead to any error."""
        try:
            return parse(part.state)
        except Exception as error:
            raise damaged(self.path, f"state of part {number}: {error!r}") from None

    def candidates(self) -> list[Candidate]:
        """Return everything that was found, in order of discovery.

        Where the search counts votes, an answer occurs several times, whenever its votes had
        doubled or its shortest program had changed.
        """
        query = (
            "SELECT task, program, demonstrations_solved, tried, votes, answer FROM candidate "
            "ORDER BY tried, task, program"
        )
        rows = self.connection.read(query, (), str, str, int, int, int, str | None)
        return [
            Candidate(task, self.connection.program(text), solved, tried, votes, self._answer(answer))
            for task, text, solved, tried, votes, answer in rows
        ]

    def _answer(self, text: str | None) -> int | None:
        try:
            return None if text is None else int(text, 16)
        except ValueError as error:
            raise damaged(self.path, f"answer: {error}") from None

    def best(self, tasks: Iterable[Task]) -> dict[str, list[Candidate]]:
        """Return each task's ranked candidates: the KEPT best, or the TOP answers by votes.

        `tasks` are those of the search. Answers with votes get their probabilities.
        """
        return _best(self.candidates(), self._tried(), tasks)

    def _tried(self) -> dict[str, int]:
        """Return by task the programs tried in the parts that have candidates for it.

        Votes of a task are counted over all of these.
        """
        query = (
            "SELECT task, SUM(programs) FROM (SELECT DISTINCT task, part FROM candidate) "
            "JOIN part ON part = number GROUP BY task"
        )
        return dict(self.connection.read(query, (), str, int))


class SearchLog(SearchLogReader):
    """An open directory of a search, locked until `close`."""

    def __init__(
        self,
        directory: str | Path,
        settings: Mapping[str, object],
        may_change: Sequence[str] = (),
        *,
        started: float | None = None,
    ) -> None:
        """Start a search, or continue the one in the directory, which must have these settings.

        Settings named in `may_change` may differ. `started` is the value of time.monotonic when this
        call began, by default now. Raises RunError if the search cannot be started or continued, and
        StoreError for a file that cannot be read or is of another version.
        """
        self.directory = Path(directory)
        self._started = time.monotonic() if started is None else started
        self._refuse_unknown()  # before the lock writes into the directory
        self._lock = lock_directory(self.directory)
        try:
            self._refuse_unknown()  # another process may have worked here in the meantime
            self._open(directory, create=True)
            try:
                self._store_settings(settings, may_change)
                self._earlier = self.wall_seconds()
            except BaseException:
                self.connection.close()
                raise
        except BaseException:
            self._lock.release()
            raise

    def _refuse_unknown(self) -> None:
        """Raise an error unless the directory is new or a search's with all its rows."""
        database = self.directory / "search.sqlite"
        if not database.exists() or not database.stat().st_size:
            refuse_foreign(self.directory, "search", {*_DATABASE, *_DERIVED})
            if self._has_derived() or Path(f"{database}-wal").exists():
                refuse_empty(database)

    def _has_derived(self) -> bool:
        return any((self.directory / name).exists() for name in _DERIVED)

    def _store_settings(self, settings: Mapping[str, object], may_change: Sequence[str]) -> None:
        recorded = self.settings()
        if not recorded and not self.parts() and self._has_derived():
            raise missing_rows(self.path, "none")
        for name, value in settings.items() if recorded else ():
            if name not in may_change and recorded.get(name) != value:
                raise RunError(
                    f"{self.directory}: {name}: expected {recorded.get(name)!r}, as the search began, "
                    f"found {value!r}; put the value back, or choose another --out"
                )
        with self.transaction():
            rows = [(name, json.dumps(value)) for name, value in settings.items()]
            self.connection.executemany("INSERT OR REPLACE INTO setting VALUES (?, ?)", rows)

    def close(self) -> None:
        super().close()
        self._lock.release()

    def __enter__(self) -> Self:
        return self

    def check_tasks(self, tasks: Sequence[Task]) -> None:
        """Raise RunError if the tasks differ from those that the search began with.

        A setting ensures that the set of tasks has the same name, but its files may have changed. A
        log without a fingerprint of its tasks gets one.
        """
        found = fingerprint(tasks)
        expected = self.settings().get(_CONTENT)
        if expected is None:
            self.set(_CONTENT, found)
        elif expected != found:
            raise RunError(
                f"{self.directory}: expected the tasks that the search began with, found others of the same "
                "name; restore their files, or choose another --out"
            )

    @property
    def spent(self) -> float:
        """Wall-clock seconds of earlier calls and of this one until now."""
        return self._earlier + time.monotonic() - self._started

    def record_time(self) -> None:
        """Record the time until now, as every commit does."""
        self.set(_WALL_SECONDS, round(self.spent, 3))

    def set(self, name: str, value: object) -> None:
        """Record a setting."""
        with self.transaction():
            self._set(name, value)

    def _set(self, name: str, value: object) -> None:
        self.connection.execute("INSERT OR REPLACE INTO setting VALUES (?, ?)", (name, json.dumps(value)))

    def commit(self, number: int, part: Part, found: Iterable[Candidate]) -> None:
        """Record a finished part and what it found, in place of an earlier part of this number."""
        with self.transaction():
            self.connection.execute("DELETE FROM candidate WHERE part = ?", (number,))
            self.connection.execute("INSERT OR REPLACE INTO part VALUES (?, ?, ?, ?, ?)", (number, *part))
            rows = [
                (
                    number,
                    candidate.task_id,
                    str(candidate.program),
                    candidate.demonstrations_solved,
                    candidate.order,
                    None if candidate.answer is None else f"{candidate.answer:016x}",
                    candidate.votes,
                )
                for candidate in found
            ]
            self.connection.executemany("INSERT OR IGNORE INTO candidate VALUES (?, ?, ?, ?, ?, ?, ?)", rows)
            self._set(_WALL_SECONDS, round(self.spent, 3))

    def publish(self, tasks: Sequence[Task], points: Iterable[int], *, threads: int = 0) -> dict[int, Score]:
        """Write solutions.jsonl, curve.csv and settings.json; return scores after each of `points`."""
        found = self.candidates()
        rows = (
            json.dumps(
                {"task": task_id, "program": str(candidate.program), "tried": candidate.order}
                | ({"probability": round(candidate.probability, 4)} if candidate.probability else {})
            )
            + "\n"
            for task_id, best in sorted(_best(found, self._tried(), tasks).items())
            for candidate in best
        )
        write_atomically(self.directory / "solutions.jsonl", "".join(rows))
        leaked = leaked_tasks(tasks)
        curve = {}
        for n in points:
            before = _best([candidate for candidate in found if candidate.order < n])
            curve[n] = score(before, tasks, leaked=leaked, threads=threads)
        table = io.StringIO()
        writer = csv.writer(table, lineterminator="\n")
        writer.writerow(("programs", *CURVE_COLUMNS))
        writer.writerows((n, *(getattr(s, name) for name in CURVE_COLUMNS)) for n, s in curve.items())
        write_atomically(self.directory / "curve.csv", table.getvalue())
        settings = {**self.settings(), _WALL_SECONDS: self.wall_seconds()}
        write_atomically(self.directory / "settings.json", json.dumps(settings, indent=2) + "\n")
        return curve


def fingerprint(tasks: Sequence[Task]) -> str:
    """Return a digest of all that a search reads of tasks: ids, demonstrations and test inputs."""
    content = repr([(task.id, _grids(task)) for task in tasks])
    return hashlib.sha256(content.encode()).hexdigest()[:16]


def _grids(task: Task) -> object:
    demonstrations = [(pair.input.tolist(), pair.output.tolist()) for pair in task.train]
    return demonstrations, [pair.input.tolist() for pair in task.test]


def _best(
    found: Iterable[Candidate], tried: Mapping[str, int] | None = None, tasks: Iterable[Task] = ()
) -> dict[str, list[Candidate]]:
    """Return each task's ranked candidates: see `SearchLogReader.best`.

    Answers to `tasks` get probabilities, for which `tried` has the programs tried by task.
    """
    tasks_by_id = {task.id: task for task in tasks}
    by_task: defaultdict[str, list[Candidate]] = defaultdict(list)
    answers: defaultdict[str, dict[int, Candidate]] = defaultdict(dict)  # the last record of each
    for candidate in found:
        if candidate.answer is None:
            by_task[candidate.task_id].append(candidate)
        else:
            answers[candidate.task_id][candidate.answer] = candidate
    for task_id, last in answers.items():
        # Votes choose the answers. Their order is by length, as solutions.jsonl has no votes to
        # rank by.
        ranked = rank_answers(last.values())[:KEPT]
        if task_id in tasks_by_id:
            ranked = with_probabilities(tasks_by_id[task_id], ranked, (tried or {}).get(task_id, 0))
        by_task[task_id] = [replace(candidate, votes=0) for candidate in ranked[:TOP]]
    return {task_id: top_k(candidates, KEPT) for task_id, candidates in by_task.items()}
