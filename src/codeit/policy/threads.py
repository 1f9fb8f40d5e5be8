"""Threads that share the work on a CPU.

PyTorch can divide each operation among cores. The matrices of a small policy are too small for
that: cores mostly wait for each other, and much longer if another program uses one of them. Here
each thread has its own work, a batch of samples or a part of a training step, and runs operations on
one core. Sums are then added in the same order on any number of threads.
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
    """Provide n threads. PyTorch uses one core in each, and in this thread until the block ends."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)  # for products in fp32, all threads share this number
    try:
        yield _pool(n)
    finally:
        torch.set_num_threads(before)
