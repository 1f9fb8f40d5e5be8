"""Shared fixtures, and hypothesis profiles: `ci` by default, or `--hypothesis-profile=long`."""

from __future__ import annotations

import signal

import pytest
from hypothesis import HealthCheck, settings

from codeit.data.experts import load_experts
from codeit.data.tasks import Task, TestPair, load_tasks
from codeit.language import Program

TestPair.__test__ = False  # type: ignore[attr-defined]  # not a test class, though its name looks like one

# The background jobs of a shell ignore SIGINT, and so do the processes that they start.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

settings.register_profile(
    "ci", max_examples=400, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck)
)
settings.register_profile("long", settings.get_profile("ci"), max_examples=5000)
settings.load_profile("ci")


@pytest.fixture(scope="session")
def training() -> dict[str, Task]:
    """Return the 400 training tasks of ARC-AGI-1 by id."""
    return {task.id: task for task in load_tasks("arc-agi-1/training")}


@pytest.fixture(scope="session")
def evaluation() -> dict[str, Task]:
    """Return the 400 evaluation tasks of ARC-AGI-1 by id."""
    return {task.id: task for task in load_tasks("arc-agi-1/evaluation")}


@pytest.fixture(scope="session")
def experts() -> dict[str, Program]:
    """Return the simplified experts by task id."""
    return load_experts()
