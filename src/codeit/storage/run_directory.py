"""A run's directory: its lock, settings, database, checkpoints, and the files derived from them.

config.toml        the resolved settings
run.sqlite         the database (`run_database`); everything below but checkpoints derives from it
checkpoints/NNNN   policy and optimizer after the training of iteration NNNN; the last two
metrics.csv        one row per iteration
curve.svg          tasks solved by iteration, drawn at the end of a run
solutions.jsonl    every program that solves a demonstration, in order of discovery: task, program,
                   demonstrations_solved, iteration, source (and votes with scoring.ranking "votes")
tensorboard/       the metrics as TensorBoard events
"""

from __future__ import annotations

import csv
import io
import json
import re
import shutil
import time
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Self

from codeit.config import RunSettings
from codeit.settings import flatten_toml
from codeit.storage.checksums import with_checksums
from codeit.storage.database import damaged, missing_rows, refuse_empty
from codeit.storage.files import (
    RunError,
    delete_directory,
    explain_full_disk,
    lock_directory,
    refuse_foreign,
    write_atomically,
    write_directory,
)
from codeit.storage.metrics import METRICS
from codeit.storage.run_database import RunDatabase

CHECKPOINTS_KEPT = 2
_EXPECTED_IN_NEW = {"config.toml.partial"}  # what a run killed in its first moment may leave
_DERIVED = ("metrics.csv", "solutions.jsonl", "checkpoints", "tensorboard")
"""What exists only if the database has had rows."""


class RunDirectory:
    """An open run directory, locked until `close` or until this process ends."""

    def __init__(self, path: str | Path, settings: RunSettings | None = None) -> None:
        """Start a run, or continue the run in the directory, whose settings must be the same.

        Without `settings`, continue. Raises RunError if the run cannot be started or continued, and
        StoreError or ConfigError for a file that cannot be read or is of another version.
        """
        self.path = Path(path)
        self._events: Path | None = None  # the TensorBoard events that this process writes
        self._published: set[int] = set()  # iterations whose events this process has written
        config, database = self.path / "config.toml", self.path / "run.sqlite"
        if settings is None and not config.is_file():
            raise RunError(
                f"{path}: expected a run directory, found no config.toml; "
                "start one: codeit run CONFIG --out DIR"
            )
        with ExitStack() as resources:
            self._refuse_unknown(settings)  # before the lock writes into the directory
            lock = lock_directory(self.path)
            resources.callback(lock.release)
            self._refuse_unknown(settings)  # another process may have worked here in the meantime
            is_new = not (config.is_file() and database.exists())
            if not is_new:  # opened first, because it shows which version wrote the directory
                self.database = resources.enter_context(RunDatabase(database))
            if not config.is_file():
                assert settings is not None
                write_atomically(config, settings.to_toml())
            self.settings = RunSettings.load(config)
            if settings is not None:
                _refuse_changes(settings.to_toml(), flatten_toml(self.settings.to_toml()), str(config))
            if is_new:
                self.database = resources.enter_context(RunDatabase(database))
            stored = self.database.config()
            if stored is None:
                if self._has_derived():
                    raise missing_rows(database, "none")
                with self.database.transaction():
                    self.database.set_config(self.settings.to_toml())
            else:
                try:
                    recorded = flatten_toml(stored)
                except ValueError as error:
                    raise damaged(database, error) from None
                _refuse_changes(self.settings.to_toml(), recorded, str(database))
            self._resources = resources.pop_all()

    def _refuse_unknown(self, settings: RunSettings | None) -> None:
        """Raise an error unless the directory is new or a run's with all its rows."""
        config, database = self.path / "config.toml", self.path / "run.sqlite"
        if not config.is_file():
            refuse_foreign(self.path, "run", _EXPECTED_IN_NEW)
        elif not database.exists():
            recorded = RunSettings.load(config)  # raises ConfigError for a file of another program
            if settings is not None:
                _refuse_changes(settings.to_toml(), flatten_toml(recorded.to_toml()), str(config))
        if config.is_file() and (self._has_derived() or Path(f"{database}-wal").exists()):
            refuse_empty(database)

    def _has_derived(self) -> bool:
        return any((self.path / name).exists() for name in _DERIVED)

    def close(self) -> None:
        self._resources.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def checkpoint(self, iteration: int) -> Path:
        return self.path / "checkpoints" / f"{iteration:04}"

    def save_checkpoint(self, iteration: int, save: Callable[[Path], object]) -> None:
        """Let `save` write a checkpoint, which appears once it is complete and on disk.

        Its files get checksums.
        """
        write_directory(self.checkpoint(iteration), with_checksums(save))

    def drop_checkpoints(self, iteration: int) -> None:
        """Delete all checkpoints except the last `CHECKPOINTS_KEPT` up to this iteration.

        Entries of other names stay.
        """
        kept = {self.checkpoint(iteration - age) for age in range(CHECKPOINTS_KEPT)}
        for entry in (self.path / "checkpoints").iterdir():
            if entry not in kept and re.fullmatch(r"\d{4,}(\.partial)*", entry.name):
                delete_directory(entry)

    def publish(self) -> None:
        """Write metrics.csv, solutions.jsonl and the TensorBoard events from the database."""
        metrics = self.database.metrics()
        table = io.StringIO()
        writer = csv.DictWriter(table, ["iteration", *METRICS], lineterminator="\n")
        writer.writeheader()
        for iteration, values in metrics.items():
            writer.writerow(
                {"iteration": iteration, **{name: f"{value:.10g}" for name, value in values.items()}}
            )
        write_atomically(self.path / "metrics.csv", table.getvalue())
        rows = []
        for candidate in self.database.candidates():
            row: dict[str, object] = {
                "task": candidate.task_id,
                "program": str(candidate.program),
                "demonstrations_solved": candidate.demonstrations_solved,
                "iteration": candidate.iteration,
                "source": candidate.source,
            }
            if self.settings.scoring.ranking == "votes":  # `codeit verify` ranks by votes if they are present
                row["votes"] = candidate.votes
            rows.append(json.dumps(row) + "\n")
        write_atomically(self.path / "solutions.jsonl", "".join(rows))
        self._publish_events(metrics)

    def _publish_events(self, metrics: dict[int, dict[str, float]]) -> None:
        """Append the TensorBoard events of iterations that this process has not written.

        The first call replaces the events of earlier processes, so that a resumed run has none
        twice. TensorBoard's own writer is not used, as its thread reports a full disk by a traceback.
        """
        from tensorboard.compat.proto.event_pb2 import Event
        from tensorboard.compat.proto.summary_pb2 import Summary
        from tensorboard.summary.writer.record_writer import RecordWriter

        directory, now, data = self.path / "tensorboard", time.time(), io.BytesIO()
        records = RecordWriter(data)
        with explain_full_disk(directory):
            if self._events is None:
                shutil.rmtree(directory, ignore_errors=True)
                directory.mkdir()
                self._events = directory / f"events.out.tfevents.{now:.0f}.codeit"
                records.write(Event(wall_time=now, file_version="brain.Event:2").SerializeToString())
            for iteration in sorted(metrics.keys() - self._published):
                values = [
                    Summary.Value(tag=f"{METRICS[name].group}/{name}", simple_value=value)
                    for name, value in metrics[iteration].items()
                ]
                event = Event(wall_time=now, step=iteration, summary=Summary(value=values))
                records.write(event.SerializeToString())
            with open(self._events, "ab") as file:
                file.write(data.getvalue())
        self._published |= metrics.keys()


def _refuse_changes(found: str, old: Mapping[str, object], where: str) -> None:
    """Raise RunError if two resolved configurations differ."""
    values = flatten_toml(found)
    for key in {**old, **values}:
        if values.get(key) != old.get(key):
            raise RunError(
                f"{where}: {key}: expected {old.get(key)!r}, as the run began, found {values.get(key)!r}; "
                "put the value back, or start a new run in another directory"
            )
