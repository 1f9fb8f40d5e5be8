"""Files that are written whole or not at all, and the lock of a directory."""

import multiprocessing
from pathlib import Path

import pytest

from codeit.storage.files import RunError, lock_directory, write_atomically, write_directory


def lock_and_exit(directory: Path) -> None:
    lock_directory(directory)


def test_a_directory_is_locked_until_release(tmp_path: Path) -> None:
    directory = tmp_path / "a" / "b"
    lock = lock_directory(directory)
    with pytest.raises(RunError, match="b: another process is using this directory"):
        lock_directory(directory)
    lock.release()
    lock_directory(directory).release()


def test_the_lock_of_a_process_ends_with_it(tmp_path: Path) -> None:
    process = multiprocessing.get_context("spawn").Process(target=lock_and_exit, args=(tmp_path,))
    process.start()
    process.join()
    assert process.exitcode == 0
    assert (tmp_path / "lock").exists()
    lock_directory(tmp_path).release()


def test_a_directory_that_cannot_be_created_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    for path in (tmp_path / "file", tmp_path / "file" / "below"):
        with pytest.raises(RunError, match="expected a writable directory"):
            lock_directory(path)


@pytest.mark.parametrize("data", ["text\n", b"\x00bytes"])
def test_a_file_is_replaced_whole(data: str | bytes, tmp_path: Path) -> None:
    path = tmp_path / "file.txt"
    path.write_text("a longer text than before")
    write_atomically(path, data)
    assert path.read_bytes() == (data.encode() if isinstance(data, str) else data)
    assert [entry.name for entry in tmp_path.iterdir()] == ["file.txt"]


def test_a_directory_gets_its_name_once_it_is_complete(tmp_path: Path) -> None:
    directory = tmp_path / "checkpoints" / "0001"

    def fill(partial: Path) -> None:
        assert not directory.exists()
        assert not list(partial.iterdir())
        (partial / "inner").mkdir()
        (partial / "inner" / "weights").write_text("new")

    def fail(partial: Path) -> None:
        (partial / "half").touch()
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_directory(directory, fail)
    assert not directory.exists()
    write_directory(directory, fill)
    assert [entry.name for entry in directory.iterdir()] == ["inner"]
    (directory / "old").touch()
    write_directory(directory, fill)
    assert [entry.name for entry in directory.iterdir()] == ["inner"]
    assert (directory / "inner" / "weights").read_text() == "new"
    assert [entry.name for entry in directory.parent.iterdir()] == ["0001"]
