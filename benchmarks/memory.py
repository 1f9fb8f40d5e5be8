"""Resident memory of a run after each iteration: a line per iteration.

    python benchmarks/memory.py [--iterations 50] [--tasks 6] [--draws 150] [--set KEY VALUE ...]

Runs the configuration `smoke` with few tasks, draws and samples in one process, in a temporary
directory. The peak is that of the process so far. Memory that is only needed for a while, such as
the activations of a training step, raises the peak; a leak raises the other column from iteration
to iteration. Linux only.
"""

from __future__ import annotations

import argparse
import os
import resource
from pathlib import Path
from tempfile import TemporaryDirectory

from codeit.config import RunSettings
from codeit.loop import Loop
from codeit.storage.run_directory import RunDirectory

MIB = 2**20


def resident() -> float:
    """Return the resident memory of this process in MiB."""
    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / MIB


class MemoryObserver:
    """A `loop.RunObserver` that prints a line after each iteration."""

    def __init__(self) -> None:
        self.after: list[float] = []

    def progress(self, iteration: int, phase: str, done: int, total: int) -> None:
        pass

    def recorded(self, iteration: int, metrics: dict[str, float]) -> None:
        self.after.append(resident())
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / MIB
        loss = f", loss {metrics['loss']:.6f}" if iteration else ""
        print(f"iteration {iteration}: {self.after[-1]:,.0f} MiB, peak {peak:,.0f} MiB{loss}", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--iterations", type=int, default=50)
    parser.add_argument("--tasks", type=int, default=6)
    parser.add_argument("--draws", type=int, default=150, help="experiences trained on per iteration")
    parser.add_argument("--set", nargs=2, action="append", default=[], metavar=("KEY", "VALUE"))
    arguments = parser.parse_args()
    small: dict[str, object] = {
        **{"run.iterations": arguments.iterations, "run.threads": 1, "data.tasks": arguments.tasks},
        **{"mutation.initial": 500, "evolution.programs": 500, "evolution.programs_per_iteration": 100},
        **{"replay.expert_draws": arguments.draws // 2, "replay.policy_draws": arguments.draws // 2},
        "sampling.samples_per_task": 12,
    }
    settings = RunSettings.load("smoke", small | dict(arguments.set))
    observer = MemoryObserver()
    with TemporaryDirectory() as path, RunDirectory(Path(path), settings) as directory:
        Loop(directory, observer).run()
    tenth, last = observer.after[min(10, len(observer.after) - 1)], observer.after[-1]
    print(f"from iteration 10 to the last: {last - tenth:+,.0f} MiB")


if __name__ == "__main__":
    main()
