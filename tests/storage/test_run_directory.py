"""A run's directory: which ones are opened, and what an error leaves behind."""

import sqlite3
from collections.abc import Callable
from pathlib import Path

import pytest

from codeit.config import RunSettings
from codeit.settings import ConfigError
from codeit.storage.database import StoreError
from codeit.storage.files import RunError, lock_directory
from codeit.storage.run_database import SCHEMA_VERSION, RunDatabase
from codeit.storage.run_directory import RunDirectory

SETTINGS = RunSettings.from_overrides({"replay.capacity": 24})


def set_version(directory: Path, version: int) -> None:
    with sqlite3.connect(directory / "run.sqlite") as database:
        database.execute(f"PRAGMA user_version = {version}")
    database.close()


def replace_in_config(directory: Path, old: str, new: str) -> None:
    path = directory / "config.toml"
    path.write_text(path.read_text().replace(old, new))


def assert_released(directory: Path) -> None:
    """Check that nobody holds the lock or has the database open."""
    lock_directory(directory).release()
    assert not list(directory.glob("*-wal"))


def test_only_one_process_opens_a_run(tmp_path: Path) -> None:
    with (
        RunDirectory(tmp_path / "run", SETTINGS),
        pytest.raises(RunError, match="another process is using this directory"),
    ):
        RunDirectory(tmp_path / "run")
    RunDirectory(tmp_path / "run").close()


def test_a_run_continues_with_its_own_settings(tmp_path: Path) -> None:
    RunDirectory(tmp_path / "run", SETTINGS).close()
    with RunDirectory(tmp_path / "run") as directory:
        assert directory.settings == SETTINGS
        assert directory.database.config() == SETTINGS.to_toml()


def test_changed_settings_are_refused_by_name(tmp_path: Path) -> None:
    run = tmp_path / "run"
    RunDirectory(run, SETTINGS).close()
    RunDirectory(run, SETTINGS).close()
    changed = RunSettings.from_overrides({"replay.capacity": 24, "run.seed": 7})
    with pytest.raises(RunError, match=r"config.toml: run.seed: expected 0, as the run began, found 7; put"):
        RunDirectory(run, changed)
    assert_released(run)
    nested = RunSettings.from_overrides({"replay.capacity": 24, "evolution.weights.splice": 3})
    with pytest.raises(RunError, match=r"evolution.weights.splice: expected 8.0, as the run began, found 3"):
        RunDirectory(run, nested)
    replace_in_config(run, "capacity = 24", "capacity = 25")
    with pytest.raises(
        RunError, match=r"run.sqlite: replay.capacity: expected 24, as the run began, found 25"
    ):
        RunDirectory(run)
    assert_released(run)


@pytest.mark.parametrize(("version", "age"), [(99, "a newer"), (2, "an older")])
def test_a_run_of_another_version_is_refused(version: int, age: str, tmp_path: Path) -> None:
    run = tmp_path / "run"
    RunDirectory(run, SETTINGS).close()
    set_version(run, version)
    message = (
        f"expected schema version {SCHEMA_VERSION}, found {version}, written by {age} version of codeit; "
        "continue with that version, or start anew in another directory"
    )
    for settings in (None, SETTINGS):
        with pytest.raises(StoreError, match=message):
            RunDirectory(run, settings)
        assert_released(run)


def test_an_older_run_is_refused_by_version_before_its_settings_are_read(tmp_path: Path) -> None:
    run = tmp_path / "run"
    RunDirectory(run, SETTINGS).close()
    set_version(run, 2)
    (run / "config.toml").write_text("[learning]\nclip = 1.0\n")  # as version 0.1 wrote it
    with pytest.raises(StoreError, match="written by an older version of codeit"):
        RunDirectory(run)


def test_a_directory_that_is_not_a_run_is_refused(tmp_path: Path) -> None:
    with pytest.raises(RunError, match=r"expected a run directory, found no config.toml"):
        RunDirectory(tmp_path / "none")
    assert not (tmp_path / "none").exists()
    (tmp_path / "letters").mkdir()
    (tmp_path / "letters" / "a.txt").touch()
    with pytest.raises(RunError, match=r"expected a new directory or a run's, found a.txt"):
        RunDirectory(tmp_path / "letters", SETTINGS)
    assert [entry.name for entry in (tmp_path / "letters").iterdir()] == ["a.txt"]
    (tmp_path / "file").touch()
    with pytest.raises(RunError, match="expected a writable directory"):
        RunDirectory(tmp_path / "file", SETTINGS)


def test_a_database_without_settings_is_refused_and_not_changed(tmp_path: Path) -> None:
    run = tmp_path / "run"
    run.mkdir()
    (run / "run.sqlite").touch()
    with pytest.raises(RunError, match=r"expected a new directory or a run's, found run.sqlite"):
        RunDirectory(run, SETTINGS)
    assert (run / "run.sqlite").read_bytes() == b""


@pytest.mark.parametrize(
    "left",
    [["lock"], ["lock", "config.toml.partial"], ["config.toml"], ["lock", "config.toml", "run.sqlite"]],
)
def test_a_run_killed_in_its_first_moment_starts_again(left: list[str], tmp_path: Path) -> None:
    run = tmp_path / "run"
    run.mkdir()
    for name in left:
        (run / name).write_text(SETTINGS.to_toml() if name == "config.toml" else "")
    with RunDirectory(run, SETTINGS) as directory:
        assert directory.database.config() == SETTINGS.to_toml()


@pytest.mark.parametrize("derived", ["metrics.csv", "solutions.jsonl", "checkpoints", "run.sqlite-wal"])
@pytest.mark.parametrize("found", ["no such file", "an empty file", "none"])
def test_a_run_that_has_lost_its_rows_is_refused_and_not_changed(
    found: str, derived: str, tmp_path: Path
) -> None:
    run = tmp_path / "run"
    RunDirectory(run, SETTINGS).close()
    database = run / "run.sqlite"
    database.unlink()
    if found == "an empty file":
        database.touch()
    if found == "none":
        if derived == "run.sqlite-wal":
            pytest.skip("SQLite writes it")
        RunDatabase(database).close()
    (run / derived).mkdir() if derived == "checkpoints" else (run / derived).write_text("{}\n")
    before = {entry.name: entry.is_file() and entry.read_bytes() for entry in run.iterdir()}
    message = f"run.sqlite: expected the rows of the work in this directory, found {found}; restore the file"
    for settings in (None, SETTINGS):
        with pytest.raises(StoreError, match=message):
            RunDirectory(run, settings)
    after = {entry.name: entry.is_file() and entry.read_bytes() for entry in run.iterdir()}
    assert after == before


@pytest.mark.parametrize("text", ['[package]\nname = "x"\n', "", "not TOML"])
def test_a_directory_with_a_config_of_another_program_is_not_changed(text: str, tmp_path: Path) -> None:
    (tmp_path / "config.toml").write_text(text)
    with pytest.raises((ConfigError, RunError), match=r"config.toml"):
        RunDirectory(tmp_path, SETTINGS)
    assert [(entry.name, entry.read_text()) for entry in tmp_path.iterdir()] == [("config.toml", text)]


def break_config(run: Path) -> None:
    replace_in_config(run, "capacity", "capacities")


def break_database(run: Path) -> None:
    (run / "run.sqlite").write_text("not a database" * 100)


@pytest.mark.parametrize(("damage", "error"), [(break_config, ConfigError), (break_database, StoreError)])
def test_a_run_that_cannot_be_read_is_released(
    damage: Callable[[Path], None], error: type[Exception], tmp_path: Path
) -> None:
    run = tmp_path / "run"
    RunDirectory(run, SETTINGS).close()
    damage(run)
    with pytest.raises(error) as caught:  # keeps the frames alive, and with them what is not released
        RunDirectory(run)
    assert str(run) in str(caught.value)
    assert_released(run)


def test_an_interrupt_while_the_settings_are_stored_releases_the_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupt(database: RunDatabase, config: str) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(RunDatabase, "set_config", interrupt)
        RunDirectory(tmp_path / "run", SETTINGS)
    assert_released(tmp_path / "run")
    RunDirectory(tmp_path / "run", SETTINGS).close()


def test_only_the_last_two_checkpoints_are_kept(tmp_path: Path) -> None:
    with RunDirectory(tmp_path / "run", SETTINGS) as directory:
        for iteration in range(4):
            directory.save_checkpoint(iteration, lambda partial: (partial / "weights").touch())
        directory.drop_checkpoints(2)  # the checkpoint of iteration 3 is of a training that did not commit
        kept = sorted(entry.name for entry in (tmp_path / "run" / "checkpoints").iterdir())
        (tmp_path / "run" / "checkpoints" / "0001-mine").mkdir()
        (tmp_path / "run" / "checkpoints" / "notes.txt").touch()
        directory.drop_checkpoints(3)
        kept += sorted(entry.name for entry in (tmp_path / "run" / "checkpoints").iterdir())
    assert kept == ["0001", "0002", "0001-mine", "0002", "notes.txt"]


def test_garbled_settings_are_damage(tmp_path: Path) -> None:
    run = tmp_path / "run"
    RunDirectory(run, SETTINGS).close()
    data = (run / "run.sqlite").read_bytes()
    (run / "run.sqlite").write_bytes(data.replace(b"capacity = 24", b"capacity [ 24"))
    with pytest.raises(StoreError, match=r"run.sqlite: expected an intact database of codeit"):
        RunDirectory(run)
    assert_released(run)


def test_close_can_be_called_twice(tmp_path: Path) -> None:
    directory = RunDirectory(tmp_path / "run", SETTINGS)
    directory.publish()
    directory.close()
    directory.close()
    assert_released(tmp_path / "run")


def test_events_that_do_not_fit_are_one_error_and_no_traceback_of_a_thread(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("tensorboard")
    with RunDirectory(tmp_path / "run", SETTINGS) as directory:
        directory.publish()
        (events,) = (tmp_path / "run" / "tensorboard").iterdir()
        assert events.stat().st_size
        events.unlink()
        events.symlink_to("/dev/full")
        with directory.database.transaction():
            directory.database.add_metrics(0, {"cumulative_top3": 1.0})
            directory.database.set_done(0, "record", 0, 1.0)
        with pytest.raises(RunError, match=r"run/tensorboard: expected room to write, found: No space left"):
            directory.publish()
    assert capsys.readouterr().err == ""
