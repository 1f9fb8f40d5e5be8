"""A run's folder: its lock, its configuration, its record, its checkpoints, and the files derived from them.

config.toml        the configuration as resolved
run.sqlite         the record (see `replay`); all else but the checkpoints can be made anew from it
checkpoints/NNNN   the policy and its optimizer after the learning of iteration NNNN; the last two are kept
metrics.csv        one row an iteration
solutions.jsonl    every program found that solves a demonstration: task, program, demonstrations_solved,
                   iteration, source (and votes, if scoring.ranking is "votes"), in the order found
tensorboard/       the metrics as TensorBoard reads them
"""

from __future__ import annotations

import csv
import io
import json
import shutil
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any, Self

from codeit.config import Config
from codeit.files import RunError, hold, replace, replace_folder
from codeit.replay import METRICS, Store

CHECKPOINTS_KEPT = 2
_HARMLESS = {"lock", "config.toml.partial"}  # what a run killed in its first moment may leave behind


class RunFolder:
    """An open run's folder, locked: no second process can open it until `close`, or until this one ends."""

    def __init__(self, path: str | Path, config: Config | None = None) -> None:
        """Begin a run of `config`, or go on with the one in the folder, whose configuration must be the same.

        Without `config`, go on. Raises RunError, or StoreError or ConfigError for a file that cannot be read.
        """
        self.path = Path(path)
        self._tensorboard: Any = None
        settings = self.path / "config.toml"
        if config is None and not settings.is_file():
            raise RunError(
                f"{path}: expected a run's folder, found no config.toml; begin: codeit run CONFIG --out DIR"
            )
        self._lock = hold(self.path)
        try:
            if not settings.is_file():
                foreign = sorted(entry.name for entry in self.path.iterdir() if entry.name not in _HARMLESS)
                if foreign:
                    raise RunError(
                        f"{path}: expected a new folder or a run's, found {foreign[0]}; choose another --out"
                    )
                assert config is not None
                replace(settings, config.to_toml())
            self.config = Config.load(settings)
            if config is not None:
                _refuse_changes(config.to_toml(), self.config.to_toml(), f"{settings}, a run that has begun")
            self.store = Store(self.path / "run.sqlite")
            began = self.store.config()
            if began is None:
                with self.store.transaction():
                    self.store.set_config(self.config.to_toml())
            else:
                _refuse_changes(self.config.to_toml(), began, f"{self.path / 'run.sqlite'}, as the run began")
        except BaseException:
            self._lock.close()
            raise

    def close(self) -> None:
        if self._tensorboard is not None:
            self._tensorboard.close()
        self.store.close()
        self._lock.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def checkpoint(self, iteration: int) -> Path:
        return self.path / "checkpoints" / f"{iteration:04}"

    def save_checkpoint(self, iteration: int, save: Callable[[Path], object]) -> None:
        """Let `save` fill a folder, and give it its name only when it is whole and on disk."""
        replace_folder(self.checkpoint(iteration), save)

    def drop_checkpoints(self, iteration: int) -> None:
        """Remove all checkpoints but the last `CHECKPOINTS_KEPT` up to the iteration."""
        kept = {self.checkpoint(iteration - age) for age in range(CHECKPOINTS_KEPT)}
        for entry in (self.path / "checkpoints").iterdir():
            if entry not in kept:
                shutil.rmtree(entry)

    def publish(self) -> None:
        """Write metrics.csv, solutions.jsonl and the TensorBoard events anew from the record."""
        metrics = self.store.metrics()
        table = io.StringIO()
        writer = csv.DictWriter(table, ["iteration", *METRICS], lineterminator="\n")
        writer.writeheader()
        for iteration, row in metrics.items():
            writer.writerow(
                {"iteration": iteration, **{name: f"{value:.10g}" for name, value in row.items()}}
            )
        replace(self.path / "metrics.csv", table.getvalue())
        rows = [found._asdict() for found in self.store.candidates()]
        if self.config.scoring.ranking != "votes":  # what `verify` finds it ranks by
            for row in rows:
                del row["votes"]
        replace(self.path / "solutions.jsonl", "".join(json.dumps(row) + "\n" for row in rows))
        self._publish_events(metrics)

    def _publish_events(self, metrics: dict[int, dict[str, float]]) -> None:
        """All of them once a process, so that a run resumed has none twice; then the last iteration's."""
        folder, iterations = self.path / "tensorboard", list(metrics)
        if self._tensorboard is None:
            from torch.utils.tensorboard import SummaryWriter  # 2 s, so imported where it is needed

            shutil.rmtree(folder, ignore_errors=True)
            self._tensorboard, self._in_events = SummaryWriter(str(folder)), set[int]()
        for iteration in iterations:
            if iteration not in self._in_events:
                self._in_events.add(iteration)
                for name, value in metrics[iteration].items():
                    self._tensorboard.add_scalar(METRICS[name].group + "/" + name, value, iteration)
        self._tensorboard.flush()


def _refuse_changes(found: str, began: str, where: str) -> None:
    """Raise RunError if two resolved configurations differ."""
    values, old = _flat(found), _flat(began)
    for key in {**old, **values}:
        if values.get(key) != old.get(key):
            raise RunError(
                f"{where}: {key}: expected {old.get(key)!r}, found {values.get(key)!r}; "
                "a run keeps its configuration: put the value back, or begin a new run in another folder"
            )


def _flat(text: str) -> dict[str, object]:
    tables = tomllib.loads(text)
    return {f"{section}.{key}": value for section, table in tables.items() for key, value in table.items()}
