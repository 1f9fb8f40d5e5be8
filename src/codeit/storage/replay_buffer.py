"""The replay buffer: experiences, drawn in proportion to priority.

An experience is a task, a program, and where they came from. No grids are stored: inputs are the
task's demonstration inputs, and outputs are recomputed by running the program (see
`evaluation.hindsight`, which also computes the priority and a digest of the outputs).
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from codeit.language import Program
from codeit.storage.database import Connection, damaged

EXPERT_SOURCES = ("expert", "mutation")
"""Sources of experiences on training tasks."""
FOUND_SOURCES = ("policy", "search")
"""Sources of experiences on the tasks to solve. They are drawn separately from the others."""
SOURCES = (*EXPERT_SOURCES, *FOUND_SOURCES)
"""What may add an experience."""
_MAX_ITERATION = 2**63 - 1

REPLAY_SCHEMA = f"""
CREATE TABLE task (
    id INTEGER PRIMARY KEY, split TEXT NOT NULL, name TEXT NOT NULL, demonstrations INTEGER NOT NULL,
    UNIQUE (split, name)
);
CREATE TABLE program (id INTEGER PRIMARY KEY, text TEXT NOT NULL UNIQUE, length INTEGER NOT NULL);
CREATE TABLE experience (
    id INTEGER PRIMARY KEY,
    task_id INTEGER NOT NULL REFERENCES task, program_id INTEGER NOT NULL REFERENCES program,
    iteration INTEGER NOT NULL,
    source TEXT NOT NULL CHECK (source IN {SOURCES}),
    priority REAL NOT NULL CHECK (priority BETWEEN 0 AND 1),
    behaviour BLOB NOT NULL, -- digest of what the program does on the task
    encodable INTEGER NOT NULL, -- whether the program fits into the policy's encoding
    replaced INTEGER, -- the iteration that brought a better program of the same behaviour
    times_drawn INTEGER NOT NULL DEFAULT 0,
    UNIQUE (task_id, program_id)
);
CREATE INDEX experience_behaviour ON experience (task_id, behaviour);
"""


class DrawnExperience(NamedTuple):
    """An experience as drawn from the buffer."""

    id: int
    split: str
    """ "train" or "test": the set that `task_id` belongs to."""
    task_id: str
    program: Program
    source: str
    priority: float
    times_drawn: int
    """Earlier draws."""
    probability: float
    """Its weight over the sum of weights in the part drawn from: the chance to be drawn first."""


class _Present(NamedTuple):
    """What decides whether an experience is replaced."""

    id: int
    source: str
    priority: float
    rank: tuple[bool, int]


def _rank(source: str, encodable: bool, lines: int) -> tuple[bool, int]:
    """Return the rank of an experience among those of its behaviour on a task; smaller is better."""
    return not encodable, 0 if source == "expert" else lines


def draw_weights(
    priorities: NDArray[np.float64],
    lengths: NDArray[np.float64],
    floor: float,
    prioritized: bool,
    short_lines: int,
) -> NDArray[np.float64]:
    """Return the weights of experiences in a draw, from their priorities and lengths in lines.

    A weight is max(priority, floor), or 1 unless `prioritized`. If `short_lines` is s > 0, the
    weights of programs of n > s lines are multiplied by (s / n)^1.5. Change this function to study
    other rules; `evaluation.hindsight.priority` is the other half of prioritized hindsight replay.
    """
    weights = np.maximum(priorities, floor) if prioritized else np.ones(len(priorities))
    if short_lines:
        weights *= np.minimum(1, short_lines / lengths) ** 1.5
    return weights


def draw_without_replacement(
    weights: NDArray[np.float64], n: int, rng: np.random.Generator
) -> NDArray[np.intp]:
    """Draw min(n, len(weights)) items in proportion to weight; return their indices in order.

    The draw is exact: the first item has probability w / sum(w), the second likewise among those
    left, and so on. Each item gets an exponential arrival time of rate w and the n earliest are
    taken (the keys of Efraimidis and Spirakis 2006, in logarithms). Takes O(N + n log n) time and
    O(N) memory for N weights.

    Raises ValueError unless all weights are positive and finite.
    """
    if not np.all((weights > 0) & np.isfinite(weights)):
        raise ValueError("expected positive, finite weights")
    arrivals = rng.standard_exponential(len(weights)) / weights
    n = min(n, len(weights))
    first = np.argpartition(arrivals, n - 1)[:n] if 0 < n < len(weights) else np.arange(len(weights))[:n]
    return first[np.argsort(arrivals[first], kind="stable")]


class ReplayBuffer:
    """The experiences of a run, in its database. The caller manages transactions."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def add(
        self,
        split: str,
        task_id: str,
        program: Program,
        *,
        iteration: int,
        source: str,
        priority: float,
        behaviour: bytes,
        encodable: bool,
        distinct: bool = True,
    ) -> bool:
        """Add an experience of a known task; return whether it is new and not replaced. O(log N).

        `behaviour` is the digest of what the program does on the task, and `encodable` says whether
        the policy's encoding can write the program. Programs that it cannot write are never drawn,
        but searches start from them. An experience with the same task and program stays as it is.

        With `distinct`, the best experience for a behaviour on a task replaces the others: an
        encodable one before others, then an expert, then the one of fewest lines, then the oldest.
        Lines are what a draw, searches and ranking measure length by, and every program has them,
        while tokens depend on the policy. A replaced experience keeps its row, so that the draws of
        earlier iterations can be repeated. An expert is never replaced. What the policy or
        a search found is not added if a better one is there. Mutants then enter as replaced,
        because the mutation baseline tries all of them.

        Raises ValueError for an unknown source or a priority outside 0 to 1, and StoreError if an
        experience of the same behaviour has another priority.
        """
        if source not in SOURCES or not 0 <= priority <= 1:
            raise ValueError(
                f"expected a source of {SOURCES} and a priority of 0 to 1, found {source!r}, {priority}"
            )
        replaced = None
        if distinct:
            rank = _rank(source, encodable, len(program))
            others = self._present(split, task_id, behaviour)
            if any(other.priority != priority for other in others):  # it depends on the behaviour alone
                raise damaged(self._connection.path, f"priorities other than {priority} of one behaviour")
            if source != "expert" and any(other.rank <= rank for other in others):
                if source in FOUND_SOURCES:
                    return False
                replaced = iteration
            else:
                self._connection.executemany(
                    "UPDATE experience SET replaced = ? WHERE id = ?",
                    [(iteration, other.id) for other in others if other.source != "expert"],
                )
        add_program(self._connection, program)
        query = """
            INSERT INTO experience
                (task_id, program_id, iteration, source, priority, behaviour, encodable, replaced)
            VALUES (
                (SELECT id FROM task WHERE (split, name) = (?, ?)), (SELECT id FROM program WHERE text = ?),
                ?, ?, ?, ?, ?, ?
            ) ON CONFLICT (task_id, program_id) DO NOTHING
        """
        values = (split, task_id, str(program), iteration, source, priority, behaviour, encodable, replaced)
        return self._connection.execute(query, values).rowcount == 1 and replaced is None

    def _present(self, split: str, task_id: str, behaviour: bytes) -> list[_Present]:
        """Return the experiences with a behaviour on a task that nothing has replaced."""
        query = """
            SELECT e.id, e.source, e.priority, e.encodable, p.length FROM experience AS e
            JOIN program AS p ON p.id = e.program_id JOIN task AS t ON t.id = e.task_id
            WHERE (t.split, t.name) = (?, ?) AND e.behaviour = ? AND e.replaced IS NULL
        """
        rows = self._connection.read(query, (split, task_id, behaviour), int, str, float, int, int)
        return [
            _Present(number, source, priority, _rank(source, bool(encodable), lines))
            for number, source, priority, encodable, lines in rows
        ]

    def draw(
        self,
        n: int,
        sources: Sequence[str],
        rng: np.random.Generator,
        *,
        floor: float,
        prioritized: bool = True,
        short_lines: int = 0,
        until: int | None = None,
    ) -> list[DrawnExperience]:
        """Draw up to n encodable experiences of some sources without replacement, by weight.

        `draw_weights` gives the weights. With `until`, the draw is from the buffer as it was after
        that iteration: without later experiences, and with those replaced later. The draw is exact
        (see `draw_without_replacement`) and depends only on the buffer and `rng`. It changes
        nothing: pass what is used to `mark_drawn`. Takes one pass over the experiences of these
        sources.

        Raises ValueError unless n >= 0 and floor > 0.
        """
        if n < 0 or floor <= 0:
            raise ValueError(f"expected n >= 0 and floor > 0, found n = {n}, floor = {floor}")
        marks = ", ".join("?" * len(sources))
        query = (
            "SELECT e.id, e.priority, p.length "
            "FROM experience AS e JOIN program AS p ON p.id = e.program_id "
            f"WHERE e.source IN ({marks}) AND e.encodable AND e.iteration <= ? "
            "AND (e.replaced IS NULL OR e.replaced > ?) ORDER BY e.id"
        )
        last = _MAX_ITERATION if until is None else until
        values = (*sources, last, last)
        rows = np.array(self._connection.execute(query, values).fetchall(), dtype=np.float64).reshape(-1, 3)
        priorities, lengths = rows[:, 1], rows[:, 2]
        weights = draw_weights(priorities, lengths, floor, prioritized, short_lines)
        places = draw_without_replacement(weights, n, rng)
        ids = rows[places, 0].astype(np.int64).tolist()
        probabilities = (weights[places] / weights.sum()).tolist() if ids else []
        query = """
            SELECT e.id, t.split, t.name, p.text, e.source, e.priority, e.times_drawn
            FROM json_each(?) AS drawn JOIN experience AS e ON e.id = drawn.value
            JOIN task AS t ON t.id = e.task_id JOIN program AS p ON p.id = e.program_id ORDER BY drawn.key
        """
        drawn = self._connection.execute(query, (json.dumps(ids),)).fetchall()
        if len(drawn) != len(ids):
            raise damaged(self._connection.path, "experiences whose task is not there")
        experiences = []
        for row, probability in zip(drawn, probabilities, strict=True):
            number, split, task_id, text, source, priority, times_drawn = row
            program = self._connection.program(text)
            experiences.append(
                DrawnExperience(number, split, task_id, program, source, priority, times_drawn, probability)
            )
        return experiences

    def mark_drawn(self, ids: Iterable[int]) -> None:
        """Count one more draw of each experience."""
        self._connection.executemany(
            "UPDATE experience SET times_drawn = times_drawn + 1 WHERE id = ?", ((number,) for number in ids)
        )

    def evict(self, capacity: int) -> int:
        """Remove experiences until at most `capacity` are left; return how many were removed.

        Replaced experiences go first, then the lowest priority and, among equals, the oldest.
        Experts go last. Programs, samples and candidates stay recorded. Sorts the buffer if there
        is anything to remove.
        """
        (size,) = self._connection.execute("SELECT count(*) FROM experience").fetchone()
        excess: int = max(0, size - capacity)
        if excess:
            order = (
                "SELECT id FROM experience ORDER BY replaced IS NULL, source = 'expert', priority, id LIMIT ?"
            )
            self._connection.execute(f"DELETE FROM experience WHERE id IN ({order})", (excess,))
        return excess

    def sizes(self) -> dict[str, int]:
        """Return the number of experiences of every source that can be drawn."""
        query = "SELECT source, count(*) FROM experience WHERE encodable AND replaced IS NULL GROUP BY source"
        counts = dict(self._connection.execute(query))
        return {source: counts.get(source, 0) for source in SOURCES}

    def experts_and_mutants(self, iteration: int) -> list[tuple[Program, str]]:
        """Return the experts and mutants (program, source) added in an iteration, oldest first.

        Replaced experiences are included.
        """
        query = """
            SELECT p.text, e.source FROM experience AS e JOIN program AS p ON p.id = e.program_id
            WHERE e.iteration = ? AND e.source IN ('expert', 'mutation') GROUP BY p.id ORDER BY min(e.id)
        """
        rows = self._connection.execute(query, (iteration,))
        return [(self._connection.program(text), source) for text, source in rows]

    def programs_on(self, task_id: str) -> list[Program]:
        """Return the programs on a test task, highest priority first, then newest first.

        Replaced experiences are left out.
        """
        query = """
            SELECT p.text FROM experience AS e JOIN task AS t ON t.id = e.task_id
            JOIN program AS p ON p.id = e.program_id
            WHERE (t.split, t.name) = ('test', ?) AND e.replaced IS NULL ORDER BY e.priority DESC, e.id DESC
        """
        return [self._connection.program(text) for (text,) in self._connection.execute(query, (task_id,))]


def add_program(connection: sqlite3.Connection, program: Program) -> bool:
    """Add a program to a run's database; return whether it is new to the run. O(log N)."""
    query = "INSERT OR IGNORE INTO program (text, length) VALUES (?, ?)"
    return connection.execute(query, (str(program), len(program))).rowcount == 1
