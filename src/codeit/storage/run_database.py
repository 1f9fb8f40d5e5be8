"""The database of a run: its progress, programs, samples, candidates, scores and metrics.

The replay buffer (`replay_buffer`) is part of it, so that an iteration commits everything together.
A process may be killed at any moment: the file holds what was committed. Times are in seconds.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path

from codeit.evaluation.candidate import Candidate
from codeit.language import Program
from codeit.storage.database import Database
from codeit.storage.metrics import METRICS
from codeit.storage.replay_buffer import FOUND_SOURCES, REPLAY_SCHEMA, ReplayBuffer, add_program

SCHEMA_VERSION = 5

_SCHEMA = f"""{REPLAY_SCHEMA}
CREATE TABLE run (config TEXT NOT NULL);
-- One row per program drawn from the policy; program_id is NULL if its text does not parse.
CREATE TABLE sample (
    iteration INTEGER NOT NULL, task_id INTEGER NOT NULL REFERENCES task, ordinal INTEGER NOT NULL,
    program_id INTEGER REFERENCES program, parses INTEGER NOT NULL, outcome TEXT NOT NULL,
    demonstrations_solved INTEGER NOT NULL, new INTEGER NOT NULL,
    PRIMARY KEY (iteration, task_id, ordinal)
) WITHOUT ROWID;
-- Programs that solve a demonstration of a test task, in order of discovery. `votes` counts what a row
-- represents: programs of a population that answer the tests alike, samples of the program, and itself.
CREATE TABLE candidate (
    id INTEGER PRIMARY KEY,
    task_id INTEGER NOT NULL REFERENCES task, program_id INTEGER NOT NULL REFERENCES program,
    iteration INTEGER NOT NULL, source TEXT NOT NULL, demonstrations_solved INTEGER NOT NULL,
    votes INTEGER NOT NULL,
    UNIQUE (task_id, program_id)
);
-- Tasks solved at top 3 at the end of an iteration: by all programs ('cumulative') or its own ('policy').
CREATE TABLE score (
    iteration INTEGER NOT NULL, scope TEXT NOT NULL, task_id INTEGER NOT NULL REFERENCES task,
    PRIMARY KEY (iteration, scope, task_id)
) WITHOUT ROWID;
CREATE TABLE metric (
    iteration INTEGER NOT NULL, name TEXT NOT NULL, value REAL NOT NULL, PRIMARY KEY (iteration, name)
);
-- What is done. A row is committed together with everything that its phase (or part of one) wrote.
CREATE TABLE phase (
    iteration INTEGER NOT NULL, name TEXT NOT NULL, part INTEGER NOT NULL, seconds REAL NOT NULL,
    PRIMARY KEY (iteration, name, part)
);
"""

_TEST_TASK = "(SELECT id FROM task WHERE (split, name) = ('test', ?))"
_PROGRAM = "(SELECT id FROM program WHERE text = ?)"


class RunDatabase(Database):
    """A run's SQLite file. One process writes at a time: `RunDirectory` holds the lock."""

    def __init__(self, path: str | Path) -> None:
        """Open or create the file. Raises StoreError as `Database` does."""
        super().__init__(path, _SCHEMA, SCHEMA_VERSION)
        self.replay = ReplayBuffer(self.connection)

    # The run and its progress.

    def config(self) -> str | None:
        """Return the run's resolved configuration (TOML), or None if the run has not begun."""
        row = self.connection.execute("SELECT config FROM run").fetchone()
        return row[0] if row else None

    def set_config(self, config: str) -> None:
        self.connection.execute("INSERT INTO run VALUES (?)", (config,))

    def is_done(self, iteration: int, phase: str, part: int = 0) -> bool:
        query = "SELECT 1 FROM phase WHERE (iteration, name, part) = (?, ?, ?)"
        return self.connection.execute(query, (iteration, phase, part)).fetchone() is not None

    def set_done(self, iteration: int, phase: str, part: int, seconds: float) -> None:
        self.connection.execute("INSERT INTO phase VALUES (?, ?, ?, ?)", (iteration, phase, part, seconds))

    def last_iteration_of(self, phase: str) -> int | None:
        """Return the last iteration that has done (a part of) the phase, or None."""
        query = "SELECT max(iteration) FROM phase WHERE name = ?"
        (iteration,) = self.connection.execute(query, (phase,)).fetchone()
        return None if iteration is None else int(iteration)

    def seconds(self, iteration: int) -> dict[str, float]:
        """Return the seconds of each phase of an iteration, summed over its parts."""
        query = "SELECT name, sum(seconds) FROM phase WHERE iteration = ? GROUP BY name ORDER BY name"
        return dict(self.connection.execute(query, (iteration,)))

    # Tasks, programs, samples.

    def add_tasks(self, split: str, tasks: Iterable[tuple[str, int]]) -> None:
        """Add tasks (id, number of demonstrations) of split "train" or "test"; known ones stay."""
        rows = ((split, task_id, demonstrations) for task_id, demonstrations in tasks)
        query = "INSERT OR IGNORE INTO task (split, name, demonstrations) VALUES (?, ?, ?)"
        self.connection.executemany(query, rows)

    def add_program(self, program: Program) -> bool:
        """Add a program; return whether it is new to the run. O(log N)."""
        return add_program(self.connection, program)

    def add_sample(
        self,
        iteration: int,
        task_id: str,
        ordinal: int,
        program: Program | None,
        *,
        outcome: str,
        demonstrations_solved: int,
        new: bool,
    ) -> None:
        """Record a sample for a test task; `program` is None if its text does not parse."""
        query = f"INSERT INTO sample VALUES (?, {_TEST_TASK}, ?, {_PROGRAM}, ?, ?, ?, ?)"
        text = None if program is None else str(program)
        values = (iteration, task_id, ordinal, text, text is not None, outcome, demonstrations_solved, new)
        self.connection.execute(query, values)

    def sample_statistics(self, iteration: int) -> dict[str, float]:
        """Return `samples`, `share_parse`, `share_run`, `share_new` (see METRICS)."""
        query = (
            "SELECT count(*), avg(parses), avg(outcome = 'grid'), avg(new) FROM sample WHERE iteration = ?"
        )
        row = self.connection.execute(query, (iteration,)).fetchone()
        if not row[0]:
            return {}
        return dict(zip(("samples", "share_parse", "share_run", "share_new"), map(float, row), strict=True))

    # Candidates and scores.

    def add_candidate(self, candidate: Candidate) -> bool:
        """Add a candidate of a known test task; return whether it is new. O(log N).

        A candidate with the same task and program stays as it is, except that votes of searches
        and of the policy are added to its own. Every search counts its votes from zero, and
        each sample of the policy that solves a demonstration is a vote, even if the program was
        sampled before: the votes estimate how likely the policy thinks an answer is. Experts and
        mutants are tried once. Their vote counts only if they create the candidate.
        """
        self.add_program(candidate.program)
        query = (
            "INSERT INTO candidate (task_id, program_id, iteration, source, demonstrations_solved, votes) "
            f"VALUES ({_TEST_TASK}, {_PROGRAM}, ?, ?, ?, ?) ON CONFLICT (task_id, program_id) DO NOTHING"
        )
        key = candidate.task_id, str(candidate.program)
        values = (
            *key,
            candidate.iteration,
            candidate.source,
            candidate.demonstrations_solved,
            candidate.votes,
        )
        new = self.connection.execute(query, values).rowcount == 1
        if not new and candidate.source in FOUND_SOURCES:
            query = (
                "UPDATE candidate SET votes = votes + ? "
                f"WHERE task_id = {_TEST_TASK} AND program_id = {_PROGRAM}"
            )
            self.connection.execute(query, (candidate.votes, *key))
        return new

    def candidates(self) -> list[Candidate]:
        """Return all candidates, in order of discovery."""
        return self._candidates("""
            SELECT t.name, p.text, c.demonstrations_solved, c.votes, c.iteration, c.source
            FROM candidate AS c JOIN task AS t ON t.id = c.task_id JOIN program AS p ON p.id = c.program_id
            ORDER BY c.id
        """)

    def sampled_candidates(self, iteration: int) -> list[Candidate]:
        """Return the programs sampled in an iteration that solve a demonstration.

        They come by task in the order first drawn, with a vote for each sample.
        """
        query = """
            SELECT t.name, p.text, s.demonstrations_solved, count(*), s.iteration, 'policy' FROM sample AS s
            JOIN task AS t ON t.id = s.task_id JOIN program AS p ON p.id = s.program_id
            WHERE s.iteration = ? AND s.demonstrations_solved > 0
            GROUP BY s.task_id, s.program_id ORDER BY s.task_id, min(s.ordinal)
        """
        return self._candidates(query, iteration)

    def _candidates(self, query: str, *values: object) -> list[Candidate]:
        return [
            Candidate(task_id, self.connection.program(text), solved, order, votes, None, iteration, source)
            for order, (task_id, text, solved, votes, iteration, source) in enumerate(
                self.connection.read(query, values, str, str, int, int, int, str)
            )
        ]

    def add_scores(self, iteration: int, scope: str, task_ids: Iterable[str]) -> None:
        query = f"INSERT INTO score VALUES (?, ?, {_TEST_TASK})"
        self.connection.executemany(query, ((iteration, scope, task_id) for task_id in task_ids))

    def scores(self, iteration: int, scope: str) -> list[str]:
        """Return the ids of the tasks that were recorded with `add_scores`, sorted."""
        query = (
            "SELECT t.name FROM score AS s JOIN task AS t ON t.id = s.task_id "
            "WHERE (s.iteration, s.scope) = (?, ?)"
        )
        return sorted(name for (name,) in self.connection.execute(query, (iteration, scope)))

    # Metrics.

    def add_metrics(self, iteration: int, metrics: Mapping[str, float]) -> None:
        rows = ((iteration, name, value) for name, value in metrics.items())
        self.connection.executemany("INSERT INTO metric VALUES (?, ?, ?)", rows)

    def metrics(self) -> dict[int, dict[str, float]]:
        """Return the metrics of every finished iteration, each in the order of METRICS."""
        query = """
            SELECT m.iteration, m.name, m.value FROM metric AS m
            JOIN phase AS p ON (p.iteration, p.name) = (m.iteration, 'record')
        """
        values = {(iteration, name): value for iteration, name, value in self.connection.execute(query)}
        iterations = sorted({iteration for iteration, _ in values})
        return {i: {name: values[i, name] for name in METRICS if (i, name) in values} for i in iterations}
