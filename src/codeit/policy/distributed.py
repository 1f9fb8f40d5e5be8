"""The processes of a training that `torchrun` starts: gloo connects CPUs, NCCL connects GPUs.

The process of rank 0 runs its command as it would alone. For each step of the optimizer it sends
the weights and some micro-batches to the other ranks, and gets back the sum of all gradients. The
others (`training.follow`) keep nothing: rank 0 alone reads and writes files, makes examples, holds
the optimizer, and decides when the training ends.

`DistributedDataParallel` has the same effect with equal shares. It averages over ranks, which is
wrong where their shares have different numbers of tokens, and it needs `backward` in one thread.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from datetime import timedelta
from typing import Any

import torch
from torch import distributed
from torch.nn.utils import parameters_to_vector, vector_to_parameters

from codeit.storage.files import RunError

_PATIENCE = timedelta(days=365)
"""How long a rank waits for the next step. A lost connection is noticed at once."""


class Ranks:
    """All processes of a training, as seen by one of them.

    A step is `send` on rank 0 and `receive` on the others, then `share_weights`, then
    `sum_gradients`. These raise RunError if another process has ended.
    """

    def __init__(self) -> None:
        """Connect to the other processes, once all are there."""
        names = ("RANK", "WORLD_SIZE", "LOCAL_RANK", "LOCAL_WORLD_SIZE")
        self.rank, self.size, self.local_rank, self.local_size = (int(os.environ[name]) for name in names)
        self._in_step = False
        with self._connected():
            distributed.init_process_group(timeout=_PATIENCE)

    def close(self) -> None:
        """Disconnect. Rank 0 first ends the others, unless it was interrupted during a step."""
        if self.rank == 0 and not self._in_step:
            with suppress(RunError):
                self.send([None] * self.size)
        distributed.destroy_process_group()

    def send(self, messages: Sequence[object]) -> None:
        """Send each rank its message, or None, which ends it. The message for rank 0 is dropped."""
        self._in_step = True
        with self._connected():
            distributed.scatter_object_list([None], [None, *messages[1:]])

    def receive(self) -> Any:
        """Return the next message from rank 0."""
        received: list[Any] = [None]
        with self._connected():
            distributed.scatter_object_list(received)
        return received[0]

    @torch.no_grad()
    def share_weights(self, parameters: Sequence[torch.nn.Parameter]) -> None:
        """Give all ranks the weights of rank 0."""
        vector = parameters_to_vector(parameters)
        with self._connected():
            distributed.broadcast(vector, 0)
        if self.rank:
            vector_to_parameters(vector, parameters)

    def sum_gradients(self, parameters: Sequence[torch.nn.Parameter], loss: torch.Tensor) -> torch.Tensor:
        """Add up gradients over all ranks, in place, and return the sum of losses.

        A parameter without a gradient on this rank keeps none.
        """
        parts = [
            torch.zeros_like(parameter) if parameter.grad is None else parameter.grad
            for parameter in parameters
        ]
        total = torch.cat([*(part.flatten() for part in parts), loss.reshape(1)])
        with self._connected():
            distributed.all_reduce(total)
        *summed, loss = torch.split(total, [*(part.numel() for part in parts), 1])
        for parameter, gradient in zip(parameters, summed, strict=True):
            if parameter.grad is not None:
                parameter.grad = gradient.view_as(parameter)
        self._in_step = False
        return loss[0]

    @contextmanager
    def _connected(self) -> Iterator[None]:
        try:
            yield
        except RuntimeError as error:
            raise RunError(
                f"rank {self.rank} of {self.size}: no connection to another process of the training, which "
                "has ended or was killed; finished work is kept, and the same command continues"
            ) from error
