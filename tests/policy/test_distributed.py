"""Several processes that train together give the result of one, except for rounding."""

from __future__ import annotations

import csv
import os
import subprocess
import sys
import threading
from collections.abc import Sequence
from pathlib import Path
from queue import SimpleQueue
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from test_training import make_trainer, toy

from codeit.cli.ranks import refuse_ranks
from codeit.config import PretrainingSettings, RunSettings
from codeit.policy.training import MicroBatch, divide, follow
from codeit.storage.files import RunError
from codeit.storage.run_database import RunDatabase

POLICY = {
    **{"init": "random", "encoding": "patches", "d_model": 16, "d_ff": 32, "heads": 2, "device": "cpu"},
    **{"layers_encoder": 1, "layers_decoder": 1, "max_program_tokens": 40},
}
PRETRAINING = PretrainingSettings.model_validate(
    {
        "corpus": {"proposals_per_round": 450, "max_depth": 2},
        "policy": POLICY,
        "pretraining": {
            **{"steps": 20, "rounds_per_window": 1, "batch_tokens": 2048, "micro_batch_tokens": 512},
            **{"learning_rate": 1e-2, "hold_out_every": 20, "checkpoint_minutes": 1e-6},
            **{"precision": "fp32", "threads": 1},
        },
    }
)
RUN = RunSettings.model_validate(
    {
        "run": {"iterations": 2, "threads": 1},
        "data": {"tasks": 2},
        "mutation": {"initial": 10, "run_baseline": False},
        "policy": POLICY,
        "sampling": {"samples_per_task": 2},
        "training": {"batch_size": 20, "micro_batch_tokens": 1024},
        "replay": {"expert_draws": 100, "policy_draws": 10},
    }
)


def start(processes: int, *arguments: object, kill_at: int = 0) -> subprocess.CompletedProcess[str]:
    """Run a command of codeit in several processes."""
    launcher = f"-m torch.distributed.run --standalone --nproc-per-node {processes}".split()
    command = [
        sys.executable,
        *(launcher if processes > 1 else []),
        "-m",
        "distributed",
        *map(str, arguments),
    ]
    tests = str(Path(__file__).parents[1])
    environment = {**os.environ, "PYTHONPATH": tests, "KILL_AT": str(kill_at)}
    return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=300)


def losses(directory: Path) -> list[tuple[int, float, float]]:
    with open(directory / "progress.csv", encoding="utf-8") as file:
        rows = csv.DictReader(file)
        return [(int(row["step"]), float(row["loss"]), float(row["held_out_loss"])) for row in rows]


def test_pretraining_by_several_processes_has_the_loss_curve_of_one(tmp_path: Path) -> None:
    """Also if one of them is killed in between."""
    config = tmp_path / "tiny.toml"
    config.write_text(PRETRAINING.to_toml())
    alone = start(1, "pretrain", config, "--out", tmp_path / "alone")
    assert alone.returncode == 0, alone.stderr
    killed = start(2, "pretrain", config, "--out", tmp_path / "together", kill_at=8)
    assert killed.returncode
    assert "the same command" in killed.stderr
    done = losses(tmp_path / "together")
    assert 0 < len(done) < len(losses(tmp_path / "alone"))
    resumed = start(2, "pretrain", config, "--out", tmp_path / "together")
    assert resumed.returncode == 0, resumed.stderr
    assert resumed.stderr.count("parameters") == 1  # rank 0 alone prints
    expected, found = losses(tmp_path / "alone"), losses(tmp_path / "together")
    assert found[: len(done)] == done
    assert len(expected) > 4
    for one, other in zip(expected, found, strict=True):
        assert one == pytest.approx(other, abs=1e-3)
    assert expected[-1][1] < expected[0][1]


def test_run_of_several_processes_has_the_loss_of_one(tmp_path: Path) -> None:
    config = tmp_path / "tiny.toml"
    config.write_text(RUN.to_toml())
    metrics = []
    for n in (1, 2):
        finished = start(n, "run", config, "--out", tmp_path / str(n))
        assert finished.returncode == 0, finished.stderr
        assert finished.stderr.count("iteration 2:") == 1
        with RunDatabase(tmp_path / str(n) / "run.sqlite") as database:
            metrics.append(database.metrics())
    for name in ("loss", "examples"):
        assert metrics[0][1][name] == pytest.approx(metrics[1][1][name], rel=1e-4)


class ThreadRanks:
    """`Ranks` in threads of one process."""

    def __init__(self, rank: int, queues: Sequence[SimpleQueue[Any]], shared: dict[int, Any]) -> None:
        self.rank, self.size, self.local_rank, self.local_size = rank, len(queues), rank, 1
        self.queues, self.shared = queues, shared
        self.barrier: threading.Barrier = shared.setdefault(-1, threading.Barrier(self.size))

    def send(self, messages: Sequence[object]) -> None:
        for queue, message in zip(self.queues, messages, strict=True):
            queue.put(message)
        self.queues[0].get()

    def receive(self) -> Any:
        return self.queues[self.rank].get()

    def _gather(self, item: Any) -> list[Any]:
        self.shared[self.rank] = item
        self.barrier.wait()
        items = [self.shared[rank] for rank in range(self.size)]
        self.barrier.wait()
        return items

    @torch.no_grad()
    def share_weights(self, parameters: Sequence[torch.nn.Parameter]) -> None:
        (of_first, *_) = self._gather([one.clone() for one in parameters])
        for parameter, value in zip(parameters, of_first, strict=True):
            parameter.copy_(value)

    def sum_gradients(self, parameters: Sequence[torch.nn.Parameter], loss: torch.Tensor) -> torch.Tensor:
        gathered = self._gather(([one.grad for one in parameters], loss))
        for k, parameter in enumerate(parameters):
            parts = [parts[k] for parts, _ in gathered if parts[k] is not None]
            parameter.grad = None if parameter.grad is None else torch.stack(parts).sum(0)
        return sum(loss for _, loss in gathered)


@pytest.mark.parametrize("loss", ["tokens", "programs"])
def test_the_gradient_is_that_of_the_whole_batch_on_any_number_of_ranks(loss: str) -> None:
    examples, found = toy(100), []
    for n in (1, 2, 4, 9):  # a batch has fewer micro-batches than 9
        queues: list[SimpleQueue[Any]] = [SimpleQueue() for _ in range(n)]
        shared: dict[int, Any] = {}
        ranks: list[Any] = [ThreadRanks(rank, queues, shared) for rank in range(n)]
        trainer = make_trainer(loss=loss, batch_size=40, learning_rate=1e-3)
        if n > 1:
            trainer.ranks = ranks[0]
        followers = [threading.Thread(target=follow, args=(one,), daemon=True) for one in ranks[1:]]
        for follower in followers:
            follower.start()
        reports = [trainer.epoch(examples, seed) for seed in range(3)]
        for queue in queues:
            queue.put(None)
        for follower in followers:
            follower.join()
        # AdamW's steps have the size of the learning rate for any gradient, so compare its moments.
        state = trainer.optimizer.state_dict()["state"]
        found.append(
            (
                [(one.loss, one.steps, one.tokens) for one in reports],
                [state[k]["exp_avg"] for k in sorted(state)],
            )
        )
    (expected, of_one), *others = found
    for reported, of_several in others:
        for one, other in zip(expected, reported, strict=True):
            assert one == pytest.approx(other, rel=1e-4)
        torch.testing.assert_close(of_several, of_one, atol=1e-6, rtol=1e-3)


@given(st.lists(st.integers(1, 4000), max_size=30), st.integers(1, 9))
def test_shares_hold_each_micro_batch_once_and_cost_about_the_same(sizes: list[int], n: int) -> None:
    empty = torch.zeros(0)
    batch = [MicroBatch(empty, torch.zeros(size), empty, size, 0) for size in sizes]
    shares = divide(batch, n)
    assert sorted(id(micro) for share in shares for micro in share) == sorted(map(id, batch))
    assert len(shares) == n and (shares[0] or not batch)
    costs = [sum(micro.padded + 512 for micro in share) for share in shares]
    for share, cost in zip(shares, costs, strict=True):
        assert not share or cost - (share[-1].padded + 512) <= min(costs)


def test_commands_that_do_not_train_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    refuse_ranks(["solve"])
    for name, value in (("TORCHELASTIC_RUN_ID", "x"), ("WORLD_SIZE", "2"), ("RANK", "0")):
        monkeypatch.setenv(name, value)
    refuse_ranks(["pretrain", "pretrain"])
    for arguments in (["solve", "68b67ca3"], []):
        with pytest.raises(RunError, match="torchrun: expected a command that trains"):
            refuse_ranks(arguments)
    monkeypatch.setenv("RANK", "1")
    with pytest.raises(SystemExit) as ended:
        refuse_ranks(["solve"])
    assert not ended.value.code
    monkeypatch.setenv("WORLD_SIZE", "1")
    refuse_ranks(["solve"])
