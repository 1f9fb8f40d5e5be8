"""Answers the tasks of an ARC Prize contest on Kaggle, in a notebook without a network.

    !python /kaggle/input/codeit-bundle/run.py

It installs codeit from the wheels beside it into a directory of its own, so that the packages of the
notebook stay as they are, and runs `codeit submit`, which keeps submission.json complete and valid
from its start to its end. Without wheels beside it, it takes the codeit that is installed.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

WHEELS, CACHE = (Path(__file__).parent / name for name in ("wheels", "cache"))
INPUT, CHALLENGES = Path("/kaggle/input"), "arc-agi_test_challenges.json"
SCORED, TRIAL = 11 * 3600, 600
"""Seconds when Kaggle scores the notebook (it allows 12 hours), and otherwise."""


def main() -> None:
    started = time.monotonic()
    scored = bool(os.environ.get("KAGGLE_IS_COMPETITION_RERUN"))
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--challenges", type=Path, help=f"by default {CHALLENGES}, anywhere in {INPUT}")
    parser.add_argument("--out", type=Path, default=Path("submission.json"))
    parser.add_argument(
        "--seconds", type=float, default=SCORED if scored else TRIAL, help="for all but the last few seconds"
    )
    arguments = parser.parse_args()
    challenges = arguments.challenges or next(iter(sorted(INPUT.rglob(CHALLENGES))), None)
    if challenges is None or not challenges.is_file():
        parser.error(
            f"expected {challenges or f'{CHALLENGES} in {INPUT}'}, found no such file; add the contest's data"
        )

    with tempfile.TemporaryDirectory() as target:
        environment = dict(os.environ)
        if WHEELS.is_dir():
            install(target, parser)
            environment |= {"PYTHONPATH": target, "XDG_CACHE_HOME": str(CACHE)}
            print(f"codeit is installed, after {time.monotonic() - started:.0f} s", flush=True)
        left = arguments.seconds - (time.monotonic() - started)
        if left <= 0:
            parser.error(f"--seconds {arguments.seconds}: expected more than the installation takes")
        command = ["-m", "codeit", "submit", str(challenges), "--out", str(arguments.out)]
        options = ["--seconds", f"{left:.1f}", "--policy", "none"]
        subprocess.run([sys.executable, *command, *options], env=environment, check=True)
    check(json.loads(challenges.read_text()), json.loads(arguments.out.read_text()))
    print(f"{arguments.out}: complete, after {time.monotonic() - started:.0f} s")


def install(target: str, parser: argparse.ArgumentParser) -> None:
    """Install the wheels into a directory."""
    (wheel,) = WHEELS.glob("codeit-*.whl")
    tag, own = wheel.name.split("-")[2], "cp{}{}".format(*sys.version_info)
    if tag != own:
        parser.error(
            f"expected the Python that made the bundle ({tag}), found {own}; make the bundle with {own}"
        )
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--no-index", "--find-links", str(WHEELS)]
    subprocess.run([*pip, "--no-compile", "--target", target, "codeit"], check=True)


def check(challenges: dict, submission: dict) -> None:
    """Raise ValueError unless every test of every task has two attempts."""
    tests = {task_id: len(task["test"]) for task_id, task in challenges.items()}
    answers = {task_id: len(of_task) for task_id, of_task in submission.items()}
    attempts = {name for of_task in submission.values() for of_test in of_task for name in of_test}
    if tests != answers or attempts != {"attempt_1", "attempt_2"}:
        raise ValueError(f"expected two attempts at each of {sum(tests.values())} tests")


if __name__ == "__main__":
    main()
