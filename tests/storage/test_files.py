"""Files that are written whole or not at all, and the lock of a directory."""

import errno
import multiprocessing
import os
import re
import threading
from pathlib import Path

import pytest

from codeit.storage.files import (
    RunError,
    lock_directory,
    refuse_foreign,
    why_not_writable,
    write_atomically,
    write_directory,
)


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


def test_a_link_is_followed(tmp_path: Path) -> None:
    (tmp_path / "there").mkdir()
    target, link, chain = tmp_path / "there" / "file", tmp_path / "link", tmp_path / "chain"
    link.symlink_to("there/file")
    chain.symlink_to("link")
    for text in ("made", "replaced"):
        write_atomically(chain, text)
        assert chain.is_symlink() and link.is_symlink() and target.read_text() == text
    assert [entry.name for entry in target.parent.iterdir()] == ["file"]
    link.unlink()
    link.symlink_to("chain")
    with pytest.raises(OSError, match="symbolic links"):
        write_atomically(chain, "a loop")


def test_a_pipe_is_written_to(tmp_path: Path) -> None:
    pipe, read = tmp_path / "pipe", list[str]()
    os.mkfifo(pipe)
    reader = threading.Thread(target=lambda: read.append(pipe.read_text()))
    reader.start()
    write_atomically(pipe, "text")
    reader.join()
    assert read == ["text"] and pipe.is_fifo()


def test_the_file_that_stdout_leads_to_gets_the_text_at_its_end(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    os.write(1, b"earlier, ")
    write_atomically(Path("/dev/stdout"), "text")
    write_atomically(Path("/dev/stderr"), b"message")
    assert capfd.readouterr() == ("earlier, text", "message")


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EDQUOT, errno.EIO])
def test_an_error_while_writing_leaves_the_old_contents_and_no_other_file(
    code: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(_: int) -> None:
        raise OSError(code, os.strerror(code))

    path = tmp_path / "file"
    path.write_text("old")
    monkeypatch.setattr("os.fsync", fail)
    message = f"expected room to write, found: {os.strerror(code)}; make room, then run the same"
    with pytest.raises(RunError, match=message):
        write_atomically(path, "new")
    assert path.read_text() == "old"
    with pytest.raises(RunError, match=message):
        write_directory(tmp_path / "directory", lambda partial: (partial / "a").touch())
    assert [entry.name for entry in tmp_path.iterdir()] == ["file"]


def test_other_errors_stay_as_they_are(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        write_atomically(tmp_path / "none" / "file", "text")
    with pytest.raises(IsADirectoryError):
        write_atomically(tmp_path, "text")


def test_why_a_file_is_not_writable(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to("none/file")
    (tmp_path / "file").touch()
    assert why_not_writable(tmp_path / "new") == why_not_writable(tmp_path / "file") == ""
    assert why_not_writable(Path("/dev/null")) == ""
    assert why_not_writable(tmp_path) == "expected a file, found a directory"
    assert why_not_writable(tmp_path / "file" / "new").endswith("found a file")
    for name in ("link", "none/new"):
        assert why_not_writable(tmp_path / name).endswith("/none, found nothing; create it")


def test_only_an_empty_lock_and_expected_names_are_ours(tmp_path: Path) -> None:
    refuse_foreign(tmp_path / "none", "run", ["mine"])
    (tmp_path / "lock").touch()
    (tmp_path / "mine").touch()
    refuse_foreign(tmp_path, "run", ["mine"])
    with pytest.raises(RunError, match="expected a new directory or a run's, found mine; choose"):
        refuse_foreign(tmp_path, "run", [])
    (tmp_path / "lock").write_text("a list")
    with pytest.raises(RunError, match="found lock"):
        refuse_foreign(tmp_path, "run", ["mine"])
    (tmp_path / "lock").unlink()
    (tmp_path / "lock").symlink_to("mine")
    with pytest.raises(RunError, match="found lock"):
        refuse_foreign(tmp_path, "run", ["mine"])


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (OSError(errno.EIO, "Input/output error"), "room to write, found: Input/output error; make room"),
        (OSError("8 requested and 0 written"), "room to write, found: 8 requested and 0 written"),  # NumPy
        (Exception("No space left on device (os error 28)"), "room to write, found: No space left on device"),
        (Exception("I/O error: Read-only (os error 30)"), "a writable place, found: Read-only file system"),
        (OSError(errno.EROFS, "Read-only file system"), "a writable place, found: Read-only file system"),
    ],
)
def test_error_of_a_disk_names_the_directory_however_a_library_reports_it(
    error: Exception, reason: str, tmp_path: Path
) -> None:
    def fill(partial: Path) -> None:
        raise error

    with pytest.raises(RunError, match=f"{tmp_path / 'checkpoint'}: expected {re.escape(reason)}"):
        write_directory(tmp_path / "checkpoint", fill)
    assert not list(tmp_path.iterdir())


def test_other_errors_are_not_changed(tmp_path: Path) -> None:
    def fill(partial: Path) -> None:
        (partial / "none" / "file").write_text("")

    with pytest.raises(FileNotFoundError, match="none/file"):
        write_directory(tmp_path / "checkpoint", fill)
