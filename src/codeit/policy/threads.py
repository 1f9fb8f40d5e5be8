"""Threads that share the work on a CPU.

PyTorch can divide each operation among cores. The matrices of a small policy are too small for
that: cores mostly wait for each other, much longer if another program takes one of them. Here each
thread has work of its own, a batch of samples or a part of a step of training, and runs operations
on one core. Sums are then added in the same order on any number of threads.
"""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import cache

import torch


@cache
def _pool(n: int) -> ThreadPoolExecutor:
    """Return a pool that is kept, because PyTorch compiles bf16 kernels anew for a new thread."""
    return ThreadPoolExecutor(n, initializer=torch.set_num_threads, initargs=(1,))


@contextmanager
def torch_threads(n: int) -> Iterator[ThreadPoolExecutor]:
    """Provide n threads, in each of which PyTorch uses one core, as it does here until the end."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)  # the number for products in fp32 is one for all threads
    try:
        yield _pool(n)
    finally:
        torch.set_num_threads(before)
