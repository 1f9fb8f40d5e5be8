"""scripts/kaggle/run.py with the installed codeit. A bundle takes minutes: see docs/kaggle.md."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

from codeit.data.tasks import find_task

RUN = Path(__file__).parents[1] / "scripts/kaggle/run.py"


def run(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, RUN, *arguments], capture_output=True, text=True)


def test_submission_has_two_attempts_at_each_test_of_a_contest(tmp_path: Path) -> None:
    task = find_task("007bbfb7")
    train = [{"input": a.tolist(), "output": b.tolist()} for a, b in task.train]
    tests = [{"input": pair.input.tolist()} for pair in task.test]
    challenges, out = tmp_path / "arc-agi_test_challenges.json", tmp_path / "submission.json"
    challenges.write_text(json.dumps({"007bbfb7": {"train": train, "test": tests}}))
    ended = run("--challenges", challenges, "--out", out, "--seconds", "20")
    assert ended.returncode == 0, ended.stderr
    assert f"{out}: complete, after" in ended.stdout
    ((answer,),) = json.loads(out.read_text()).values()
    assert answer["attempt_1"] == task.test[0].output.tolist()  # type: ignore[union-attr]


def test_missing_data_of_the_contest_is_named(tmp_path: Path) -> None:
    ended = run("--challenges", tmp_path / "none.json")
    assert ended.returncode == 2
    assert f"expected {tmp_path / 'none.json'}, found no such file" in ended.stderr
