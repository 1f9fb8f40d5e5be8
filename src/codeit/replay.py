"""The replay buffer and the run's record: one SQLite file.

An experience is a task, a program and where the two came from. It stores no grids: its inputs are its task's
demonstration inputs, and its outputs are had again by running its program (see `hindsight`).

The file is in write-ahead-log mode and every change is made in a `transaction`, so a process may be killed at
any moment and the file holds what was committed; other processes may read it meanwhile. Times are in seconds.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from codeit.database import Database

SCHEMA_VERSION = 2
SOURCES = ("expert", "mutation", "policy", "search")


class Metric(NamedTuple):
    """What an iteration records under one name: the group it is shown in, and its meaning with its unit."""

    group: str
    meaning: str


def _scores(scope: str, of: str) -> dict[str, Metric]:
    return {
        f"{scope}_top3": Metric(scope, f"tasks solved by one of the 3 best {of}"),
        f"{scope}_top2": Metric(scope, f"tasks solved by one of the 2 best {of}"),
        f"{scope}_top3_without_leak": Metric(
            scope, f"{scope}_top3 without tasks that are in the training set too"
        ),
        f"{scope}_top2_without_leak": Metric(
            scope, f"{scope}_top2 without tasks that are in the training set too"
        ),
        f"{scope}_all_demonstrations": Metric(
            scope, f"tasks of which one of the {of} solves all demonstrations"
        ),
        f"{scope}_demonstrations": Metric(
            scope, f"demonstrations solved by a task's best of the {of}, summed"
        ),
    }


METRICS = {
    **_scores("cumulative", "programs found so far"),
    **_scores("policy", "programs sampled in this iteration"),
    "samples": Metric("samples", "programs sampled"),
    "share_parse": Metric("samples", "share of the samples that parse, 0 to 1"),
    "share_run": Metric("samples", "share of the samples that give a grid for every demonstration, 0 to 1"),
    "share_new": Metric(
        "samples", "share of the samples that are programs the run had not seen before, 0 to 1"
    ),
    **{f"buffer_{source}": Metric("buffer", f"experiences of source {source}") for source in SOURCES},
    "loss": Metric("learning", "mean cross-entropy of a program token, in nats"),
    "examples": Metric("learning", "experiences learnt from"),
    "left_out": Metric("learning", "experiences drawn whose program is too long to encode"),
    **{
        f"seconds_{phase}": Metric("seconds", f"seconds spent in phase {phase}")
        for phase in ("breed", "try", "evolve", "create", "learn", "sample", "record")
    },
}
"""Everything that an iteration may record, in the order in which it is shown."""

_SCHEMA = """
CREATE TABLE run (config TEXT NOT NULL);
CREATE TABLE task (
    id INTEGER PRIMARY KEY, split TEXT NOT NULL, name TEXT NOT NULL, demonstrations INTEGER NOT NULL,
    UNIQUE (split, name)
);
CREATE TABLE program (id INTEGER PRIMARY KEY, text TEXT NOT NULL UNIQUE, length INTEGER NOT NULL);
CREATE TABLE experience (
    id INTEGER PRIMARY KEY,
    task_id INTEGER NOT NULL REFERENCES task, program_id INTEGER NOT NULL REFERENCES program,
    iteration INTEGER NOT NULL,
    source TEXT NOT NULL CHECK (source IN ('expert', 'mutation', 'policy', 'search')),
    priority REAL NOT NULL CHECK (priority BETWEEN 0 AND 1),
    times_drawn INTEGER NOT NULL DEFAULT 0,
    UNIQUE (task_id, program_id)
);
-- One row a program drawn from the policy; program_id is NULL if its text does not parse.
CREATE TABLE sample (
    iteration INTEGER NOT NULL, task_id INTEGER NOT NULL REFERENCES task, ordinal INTEGER NOT NULL,
    program_id INTEGER REFERENCES program, parses INTEGER NOT NULL, outcome TEXT NOT NULL,
    demonstrations_solved INTEGER NOT NULL, new INTEGER NOT NULL,
    PRIMARY KEY (iteration, task_id, ordinal)
) WITHOUT ROWID;
-- Programs that solve a demonstration of a task to solve, in the order in which they were found; `votes` is
-- how many programs it stands for, itself included, that give the same answer to the tests.
CREATE TABLE candidate (
    id INTEGER PRIMARY KEY,
    task_id INTEGER NOT NULL REFERENCES task, program_id INTEGER NOT NULL REFERENCES program,
    iteration INTEGER NOT NULL, source TEXT NOT NULL, demonstrations_solved INTEGER NOT NULL,
    votes INTEGER NOT NULL,
    UNIQUE (task_id, program_id)
);
-- Tasks solved at top 3 by an iteration's end: by all programs ('cumulative') or by its own ('policy').
CREATE TABLE score (
    iteration INTEGER NOT NULL, scope TEXT NOT NULL, task_id INTEGER NOT NULL REFERENCES task,
    PRIMARY KEY (iteration, scope, task_id)
) WITHOUT ROWID;
CREATE TABLE metric (
    iteration INTEGER NOT NULL, name TEXT NOT NULL, value REAL NOT NULL, PRIMARY KEY (iteration, name)
);
-- What is done: a row is committed together with all that its phase (or part of one) wrote.
CREATE TABLE phase (
    iteration INTEGER NOT NULL, name TEXT NOT NULL, part INTEGER NOT NULL, seconds REAL NOT NULL,
    PRIMARY KEY (iteration, name, part)
);
"""


class Draw(NamedTuple):
    """An experience as drawn.

    `share` is its weight over the sum of weights in the part of the buffer drawn from: its probability to be
    the first one drawn.
    """

    id: int
    split: str
    task: str
    program: str
    source: str
    priority: float
    times_drawn: int
    share: float


class CandidateRow(NamedTuple):
    """A candidate as stored: a program that solves at least one of a task's demonstrations."""

    task: str
    program: str
    demonstrations_solved: int
    iteration: int
    source: str
    votes: int = 1
    """Programs that it stands for, itself included: those known to give the same answer to the tests."""


def draw_without_replacement(
    weights: NDArray[np.float64], n: int, rng: np.random.Generator
) -> NDArray[np.intp]:
    """Places of min(n, len(weights)) items, drawn one after another in proportion to weight, in that order.

    Exact: the first is drawn with probability w / sum(w), the next likewise among those left, and so on. Each
    item's clock rings after an exponential time of rate w, and the first n to ring are taken (the keys of
    Efraimidis and Spirakis 2006, in logarithms). Vectorised: O(N + n log n) time, O(N) memory for N weights.
    Raises ValueError unless all weights are positive and finite.
    """
    if not np.all((weights > 0) & np.isfinite(weights)):
        raise ValueError("expected positive, finite weights")
    rings = rng.standard_exponential(len(weights)) / weights
    n = min(n, len(weights))
    first = np.argpartition(rings, n - 1)[:n] if 0 < n < len(weights) else np.arange(len(weights))[: n or 0]
    return first[np.argsort(rings[first], kind="stable")]


class Store(Database):
    """A run's SQLite file. One process writes at a time; `folder.RunFolder` holds the lock."""

    def __init__(self, path: str | Path) -> None:
        """Open the file, or make an empty one. Raises StoreError for another version's or a foreign file."""
        super().__init__(path, _SCHEMA, SCHEMA_VERSION)

    # What the run is, and how far it has come.

    def config(self) -> str | None:
        """The run's resolved configuration (TOML), or None if the run has not begun."""
        row = self._db.execute("SELECT config FROM run").fetchone()
        return row[0] if row else None

    def set_config(self, config: str) -> None:
        self._db.execute("INSERT INTO run VALUES (?)", (config,))

    def done(self, iteration: int, phase: str, part: int = 0) -> bool:
        query = "SELECT 1 FROM phase WHERE (iteration, name, part) = (?, ?, ?)"
        return self._db.execute(query, (iteration, phase, part)).fetchone() is not None

    def set_done(self, iteration: int, phase: str, part: int, seconds: float) -> None:
        self._db.execute("INSERT INTO phase VALUES (?, ?, ?, ?)", (iteration, phase, part, seconds))

    def last_done(self, phase: str) -> int | None:
        """The last iteration that has done (a part of) the phase, or None."""
        (iteration,) = self._db.execute(
            "SELECT max(iteration) FROM phase WHERE name = ?", (phase,)
        ).fetchone()
        return None if iteration is None else int(iteration)

    def seconds(self, iteration: int) -> dict[str, float]:
        """Seconds of each phase of the iteration, all parts together."""
        query = "SELECT name, sum(seconds) FROM phase WHERE iteration = ? GROUP BY name ORDER BY name"
        return dict(self._db.execute(query, (iteration,)))

    # Tasks, programs, experiences.

    def add_tasks(self, split: str, tasks: Iterable[tuple[str, int]]) -> None:
        """Add tasks (name, number of demonstrations) of one split ("train" or "test"); known ones stay."""
        rows = ((split, name, demonstrations) for name, demonstrations in tasks)
        query = "INSERT OR IGNORE INTO task (split, name, demonstrations) VALUES (?, ?, ?)"
        self._db.executemany(query, rows)

    def add_program(self, text: str, length: int) -> bool:
        """Add a program (its canonical text, its number of lines); whether it is new to the run. O(log N)."""
        query = "INSERT OR IGNORE INTO program (text, length) VALUES (?, ?)"
        return self._db.execute(query, (text, length)).rowcount == 1

    def add_experience(
        self, split: str, task: str, program: str, iteration: int, source: str, priority: float
    ) -> bool:
        """Add an experience of a known task and a known program; whether it is new. O(log N).

        One of the same task and program stays as it is: what a program does on a task never changes.
        """
        query = (
            "INSERT INTO experience (task_id, program_id, iteration, source, priority) VALUES ("
            "(SELECT id FROM task WHERE (split, name) = (?, ?)), (SELECT id FROM program WHERE text = ?), "
            "?, ?, ?) ON CONFLICT (task_id, program_id) DO NOTHING"
        )
        if source not in SOURCES or not 0 <= priority <= 1:
            raise ValueError(
                f"expected a source of {SOURCES} and a priority of 0 to 1, found {source!r}, {priority}"
            )
        return self._insert(query, (split, task, program, iteration, source, priority))

    def add_candidate(
        self,
        task: str,
        program: str,
        iteration: int,
        source: str,
        demonstrations_solved: int,
        votes: int = 1,
    ) -> bool:
        """Add a candidate of a known test task and a known program; whether it is new. O(log N).

        One that is there stays as it is, but that evolution's votes (source "search") are added to its own:
        each population is asked anew, and an answer's shortest program may be the same again, or another.
        """
        query = (
            "INSERT INTO candidate (task_id, program_id, iteration, source, demonstrations_solved, votes) "
            "VALUES ((SELECT id FROM task WHERE (split, name) = ('test', ?)), "
            "(SELECT id FROM program WHERE text = ?), ?, ?, ?, ?) "
            "ON CONFLICT (task_id, program_id) DO NOTHING"
        )
        new = self._insert(query, (task, program, iteration, source, demonstrations_solved, votes))
        if not new and source == "search":
            query = (
                "UPDATE candidate SET votes = votes + ? "
                "WHERE task_id = (SELECT id FROM task WHERE (split, name) = ('test', ?)) "
                "AND program_id = (SELECT id FROM program WHERE text = ?)"
            )
            self._db.execute(query, (votes, task, program))
        return new

    def _insert(self, query: str, values: tuple[object, ...]) -> bool:
        return self._db.execute(query, values).rowcount == 1

    def add_sample(
        self,
        iteration: int,
        task: str,
        ordinal: int,
        program: str | None,
        outcome: str,
        demonstrations_solved: int,
        new: bool,
    ) -> None:
        """Record a program drawn from the policy for a test task; `program` is None if it does not parse."""
        query = (
            "INSERT INTO sample VALUES (?, (SELECT id FROM task WHERE (split, name) = ('test', ?)), ?, "
            "(SELECT id FROM program WHERE text = ?), ?, ?, ?, ?)"
        )
        parses = program is not None
        values = (iteration, task, ordinal, program, parses, outcome, demonstrations_solved, new)
        self._db.execute(query, values)

    # Replay.

    def draw(
        self,
        n: int,
        sources: Sequence[str],
        rng: np.random.Generator,
        *,
        floor: float,
        prioritized: bool = True,
        short: int = 0,
    ) -> list[Draw]:
        """Draw up to n experiences of the sources without replacement, in proportion to priority.

        An experience weighs max(priority, floor), or 1 if not `prioritized`; if its program has more lines
        than `short`, and that is not 0, (short / lines)^1.5 of it. The draw is exact (see
        `draw_without_replacement`) and depends on nothing but the buffer and `rng`. It changes nothing; tell
        `mark_drawn` of those used. Costs one pass over the part of the buffer drawn from. Raises ValueError
        unless n >= 0 and floor > 0.
        """
        if n < 0 or floor <= 0:
            raise ValueError(f"expected n >= 0 and floor > 0, found n = {n}, floor = {floor}")
        marks = ", ".join("?" * len(sources))
        query = (
            "SELECT e.id, e.priority, p.length FROM experience AS e JOIN program AS p ON p.id = e.program_id "
            f"WHERE e.source IN ({marks}) ORDER BY e.id"
        )
        rows = np.array(self._db.execute(query, tuple(sources)).fetchall(), dtype=np.float64).reshape(-1, 3)
        weights = np.maximum(rows[:, 1], floor) if prioritized else np.ones(len(rows))
        if short:
            weights *= np.minimum(1, short / rows[:, 2]) ** 1.5
        places = draw_without_replacement(weights, n, rng)
        ids = rows[places, 0].astype(np.int64).tolist()
        shares = (weights[places] / weights.sum()).tolist() if ids else []
        query = """
            SELECT e.id, t.split, t.name, p.text, e.source, e.priority, e.times_drawn
            FROM json_each(?) AS drawn JOIN experience AS e ON e.id = drawn.value
            JOIN task AS t ON t.id = e.task_id JOIN program AS p ON p.id = e.program_id ORDER BY drawn.key
        """
        drawn = self._db.execute(query, (json.dumps(ids),))
        return [Draw(*(*row, share)) for row, share in zip(drawn, shares, strict=True)]

    def mark_drawn(self, ids: Iterable[int]) -> None:
        """Count one more draw of each experience."""
        self._db.executemany(
            "UPDATE experience SET times_drawn = times_drawn + 1 WHERE id = ?", ((id,) for id in ids)
        )

    def evict(self, capacity: int) -> int:
        """Remove experiences until at most `capacity` are left; how many were removed.

        The lowest priority goes first and, among equals, the oldest; experts go last of all. Programs,
        samples and candidates stay on record. Costs a sort of the buffer if there is anything to remove.
        """
        excess = max(0, sum(self.sizes().values()) - capacity)
        if excess:
            order = "SELECT id FROM experience ORDER BY source = 'expert', priority, id LIMIT ?"
            self._db.execute(f"DELETE FROM experience WHERE id IN ({order})", (excess,))
        return excess

    def sizes(self) -> dict[str, int]:
        """Experiences in the buffer by source, every source named."""
        counts = dict(self._db.execute("SELECT source, count(*) FROM experience GROUP BY source"))
        return {source: counts.get(source, 0) for source in SOURCES}

    # What was found, and how it scores.

    def bred_programs(self, iteration: int) -> list[tuple[str, str]]:
        """Experts and mutants (text, source) that entered the buffer in an iteration, oldest first."""
        query = """
            SELECT p.text, e.source FROM experience AS e JOIN program AS p ON p.id = e.program_id
            WHERE e.iteration = ? AND e.source IN ('expert', 'mutation') GROUP BY p.id ORDER BY min(e.id)
        """
        return self._db.execute(query, (iteration,)).fetchall()

    def programs_for(self, task: str) -> list[str]:
        """Programs whose experiences are on a test task, the highest priority first, then the newest."""
        query = """
            SELECT p.text FROM experience AS e JOIN task AS t ON t.id = e.task_id
            JOIN program AS p ON p.id = e.program_id
            WHERE (t.split, t.name) = ('test', ?) ORDER BY e.priority DESC, e.id DESC
        """
        return [text for (text,) in self._db.execute(query, (task,))]

    def candidates(self) -> list[CandidateRow]:
        """All candidates, in the order in which they were found."""
        query = """
            SELECT t.name, p.text, c.demonstrations_solved, c.iteration, c.source, c.votes FROM candidate AS c
            JOIN task AS t ON t.id = c.task_id JOIN program AS p ON p.id = c.program_id ORDER BY c.id
        """
        return [CandidateRow(*row) for row in self._db.execute(query)]

    def sampled(self, iteration: int) -> list[CandidateRow]:
        """The iteration's samples that solve a demonstration, task by task in the order drawn."""
        query = """
            SELECT t.name, p.text, s.demonstrations_solved, s.iteration, 'policy' FROM sample AS s
            JOIN task AS t ON t.id = s.task_id JOIN program AS p ON p.id = s.program_id
            WHERE s.iteration = ? AND s.demonstrations_solved > 0 ORDER BY s.task_id, s.ordinal
        """
        return [CandidateRow(*row) for row in self._db.execute(query, (iteration,))]

    def sample_statistics(self, iteration: int) -> dict[str, float]:
        """`samples` of the iteration, and the shares (0 to 1) that parse, that run to grids, that are new."""
        query = (
            "SELECT count(*), avg(parses), avg(outcome = 'grid'), avg(new) FROM sample WHERE iteration = ?"
        )
        row = self._db.execute(query, (iteration,)).fetchone()
        if not row[0]:
            return {}
        return dict(zip(("samples", "share_parse", "share_run", "share_new"), map(float, row), strict=True))

    def add_scores(self, iteration: int, scope: str, tasks: Iterable[str]) -> None:
        query = "INSERT INTO score SELECT ?, ?, id FROM task WHERE (split, name) = ('test', ?)"
        self._db.executemany(query, ((iteration, scope, task) for task in tasks))

    def add_metrics(self, iteration: int, metrics: Mapping[str, float]) -> None:
        rows = ((iteration, name, value) for name, value in metrics.items())
        self._db.executemany("INSERT INTO metric VALUES (?, ?, ?)", rows)

    def metrics(self) -> dict[int, dict[str, float]]:
        """Metrics by iteration, those of unfinished iterations left out, each in the order of METRICS."""
        query = """
            SELECT m.iteration, m.name, m.value FROM metric AS m
            JOIN phase AS p ON (p.iteration, p.name) = (m.iteration, 'record')
        """
        values = {(iteration, name): value for iteration, name, value in self._db.execute(query)}
        iterations = sorted({iteration for iteration, _ in values})
        return {i: {name: values[i, name] for name in METRICS if (i, name) in values} for i in iterations}
