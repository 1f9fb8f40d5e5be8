"""Compares Ray with processes of this machine: seconds, memory, and the share of time without work.

    python benchmarks/cluster.py --cluster-cpus 2

The same jobs are computed by local processes and by a local Ray cluster of as many CPUs, in turn,
`--repeats` times. A job keeps a core busy for some milliseconds of processor time. The share of time
without work is 1 − (processor time of the jobs) / (CPUs × seconds), after the first job of each
process. Memory is the proportional set size of all processes: pages that they share count once.
"""

from __future__ import annotations

import argparse
import time
from contextlib import nullcontext
from statistics import median

import psutil
from rich.console import Console
from rich.table import Table

from codeit.cluster import connect
from codeit.parallel import Workforce, start_pool

TOTAL_MS = 10_000
"""Processor time of all jobs of a row, per CPU."""


def busy(milliseconds: int) -> float:
    """Keep a core busy; return the seconds of processor time."""
    started = time.process_time()
    while time.process_time() - started < milliseconds / 1000:
        pass
    return time.process_time() - started


def measure(workforce: Workforce, cpus: int, milliseconds: int) -> tuple[float, float]:
    """Return the seconds that all jobs take, and the share of time without work."""
    with start_pool(busy, workforce) as pool:
        for _ in pool.map_unordered([1] * 4 * cpus):  # starts the processes
            pass
        jobs = [milliseconds] * (cpus * TOTAL_MS // milliseconds)
        started = time.monotonic()
        work = sum(seconds for _, seconds in pool.map_unordered(jobs))
        seconds = time.monotonic() - started
    return seconds, 1 - work / (cpus * seconds)


def memory() -> float:
    """Return the proportional set size of this process and its descendants in MiB."""
    here = psutil.Process()
    return sum(one.memory_full_info().pss for one in [here, *here.children(recursive=True)]) / 2**20


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--cluster-cpus", type=int, default=2, help="CPUs and local processes")
    parser.add_argument("--milliseconds", type=int, nargs="+", default=[10, 100, 1000], help="of a job")
    parser.add_argument("--repeats", type=int, default=3)
    arguments = parser.parse_args()
    cpus: int = arguments.cluster_cpus
    found: dict[tuple[str, int], list[tuple[float, float]]] = {}
    first: dict[str, list[float]] = {}
    size: dict[str, list[float]] = {}
    for _ in range(arguments.repeats):
        for name, context in (("processes", nullcontext(cpus)), ("Ray", connect("local", cpus))):
            started = time.monotonic()
            with context as workforce:
                with start_pool(busy, workforce) as pool:
                    next(iter(pool.map_unordered([1])))
                    first.setdefault(name, []).append(time.monotonic() - started)
                    list(pool.map_unordered([100] * 4 * cpus))
                    size.setdefault(name, []).append(memory())
                for milliseconds in arguments.milliseconds:
                    found.setdefault((name, milliseconds), []).append(measure(workforce, cpus, milliseconds))
    table = Table(
        "",
        "first result",
        "memory",
        *(f"no work, jobs of {milliseconds} ms" for milliseconds in arguments.milliseconds),
        title=f"{cpus} CPUs, median of {arguments.repeats}",
    )
    for name in first:
        shares = [
            f"{median(share for _, share in found[name, milliseconds]):.0%}"
            for milliseconds in arguments.milliseconds
        ]
        table.add_row(name, f"{median(first[name]):.1f} s", f"{median(size[name]):.0f} MiB", *shares)
    Console().print(table)


if __name__ == "__main__":
    main()
