"""Fixtures shared by the tests, and the profiles of hypothesis: `ci` unless `--hypothesis-profile=long`."""

from __future__ import annotations

import signal

import pytest
from hypothesis import HealthCheck, settings

from codeit.data.experts import load_experts
from codeit.language import Program
from codeit.data.tasks import Task, TestPair, load_tasks

TestPair.__test__ = False  # type: ignore[attr-defined]  # no test class, whatever pytest makes of its name

if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:  # as a shell's background jobs, and what they start
    signal.signal(signal.SIGINT, signal.default_int_handler)

settings.register_profile(
    "ci", max_examples=400, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck)
)
settings.register_profile("long", settings.get_profile("ci"), max_examples=5000)
settings.load_profile("ci")


@pytest.fixture(scope="session")
def training() -> dict[str, Task]:
    """The 400 training tasks of ARC-AGI-1, by id."""
    return {task.id: task for task in load_tasks("arc-agi-1/training")}


@pytest.fixture(scope="session")
def evaluation() -> dict[str, Task]:
    """The 400 evaluation tasks of ARC-AGI-1, by id."""
    return {task.id: task for task in load_tasks("arc-agi-1/evaluation")}


@pytest.fixture(scope="session")
def experts() -> dict[str, Program]:
    """The simplified experts, by id of their task."""
    return load_experts()
