"""Fixtures shared by the tests."""

from __future__ import annotations

import pytest

from codeit.tasks import Task, TestPair, load

TestPair.__test__ = False  # type: ignore[attr-defined]  # no test class, whatever pytest makes of its name


@pytest.fixture(scope="session")
def training() -> dict[str, Task]:
    """The 400 training tasks of ARC-AGI-1, by id."""
    return {task.id: task for task in load("arc-agi-1/training")}


@pytest.fixture(scope="session")
def evaluation() -> dict[str, Task]:
    """The 400 evaluation tasks of ARC-AGI-1, by id."""
    return {task.id: task for task in load("arc-agi-1/evaluation")}
