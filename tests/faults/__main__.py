"""Fault injection in every command that writes files: `make faults`.

Prints a table, and each failure. `python -m faults search --fault KILL --point 12` repeats a trial.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections import Counter
from pathlib import Path
from tempfile import TemporaryDirectory

from faults.commands import COMMANDS
from faults.harness import Bench, Subject, Trial, compile_shim
from faults.trial import Fault

_ONE_THREAD = {f"{library}_NUM_THREADS": "1" for library in ("OMP", "OPENBLAS", "MKL")}
"""Processes that hold threads must not fork."""
_FAULTS, _ENDS = [*(fault.name for fault in Fault if fault), "twice"], ["killed", "error", "completed"]


def main() -> int:
    parser = argparse.ArgumentParser(prog="faults", description=__doc__)
    parser.add_argument("commands", nargs="*", default=list(COMMANDS))
    parser.add_argument("--few", type=int, help="trials of each fault; by default as many as it takes")
    parser.add_argument("--fault", nargs="+", choices=[fault.name for fault in Fault if fault])
    parser.add_argument("--point", type=int)
    parser.add_argument("--list", action="store_true", help="list the points of the commands")
    given = parser.parse_args()
    memory = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None  # where fsync takes no time
    with TemporaryDirectory(prefix="faults-", dir=memory) as directory:
        if "LD_PRELOAD" not in os.environ:
            return _again_with_shim(Path(directory))
        bench = Bench(Path(directory).resolve())
        started, failed = time.monotonic(), 0
        print(f"| command | points | {' | '.join(_FAULTS + _ENDS)} | equal |")
        print("|---" * (len(_FAULTS + _ENDS) + 3) + "|", flush=True)
        for name in given.commands:
            subject = bench.prepare(name)
            if given.list:
                for k, point in enumerate(subject.points):
                    print(k, point.operation, point.kind.name, point.path)
            else:
                failed += _try(subject, _trials(subject, given))
        processor = sum(os.times()[:4])
        print(f"\n{time.monotonic() - started:.0f} s ({processor:.0f} s of processor time), {failed} failed")
    return int(failed > 0)


def _trials(subject: Subject, given: argparse.Namespace) -> list[Trial]:
    if given.point is not None:
        return [Trial(((Fault[fault], given.point),)) for fault in given.fault]
    trials = subject.choose(given.few or subject.command.trials, all_roles=given.few is None)
    return [trial for trial in trials if trial.faults[0][0].name in (given.fault or _FAULTS)]


def _try(subject: Subject, trials: list[Trial]) -> int:
    """Print the failures and a row of the table; return the number of failures."""
    of_fault, ended, equal = Counter[str](), Counter[str](), 0
    for trial in trials:
        verdict = subject.try_faults(trial)
        (fault, number), *more = trial.faults
        of_fault["twice" if more else fault.name] += 1
        ended[verdict.ended] += 1
        equal += not verdict.problems
        for problem in verdict.problems:
            at = " ".join(map(str, subject.points[number]))
            print(f"FAILED {subject.name}: {trial} ({at}): {problem}", file=sys.stderr, flush=True)
    figures = [*(of_fault[name] for name in _FAULTS), *(ended[name] for name in _ENDS)]
    row = [subject.name, len(subject.points), *figures, f"{equal} of {len(trials)}"]
    print(f"| {' | '.join(map(str, row))} |", flush=True)
    return len(trials) - equal


def _again_with_shim(directory: Path) -> int:
    """Run this program again, with the shim in it."""
    import subprocess

    library = compile_shim(directory)
    environment = {**os.environ, **_ONE_THREAD, "LD_PRELOAD": str(library), "COLUMNS": "200"}
    command = [sys.executable, "-m", "faults", *sys.argv[1:]]
    return subprocess.run(command, env=environment, check=False).returncode


if __name__ == "__main__":
    sys.exit(main())
