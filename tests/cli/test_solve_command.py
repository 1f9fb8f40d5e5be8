"""`codeit solve` and `codeit submit` as a user meets them."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from puzzles import solvable_tasks, unsolvable_task, without_outputs

from codeit.config import PolicyConfig, SolveSettings
from codeit.data.tasks import Task
from codeit.language import Program
from codeit.policy.model import Policy
from codeit.storage.checksums import with_checksums

QUICK = ["--policy", "none", "--populations", "1", "--programs"]
SOLVABLE, NOISE = solvable_tasks()[1], unsolvable_task()


def task_data(task: Task) -> dict[str, Any]:
    def pair(grid: Any, output: Any) -> dict[str, Any]:
        return {"input": grid.tolist()} | ({} if output is None else {"output": output.tolist()})

    return {"train": [pair(*p) for p in task.train], "test": [pair(*p) for p in task.test]}


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    """A directory of a solvable task, the same without test outputs, and an unsolvable one."""
    puzzles = tmp_path / "puzzles"
    puzzles.mkdir()
    for name, task in (("reached", SOLVABLE), ("asked", without_outputs(SOLVABLE)), ("noise", NOISE)):
        (puzzles / f"{name}.json").write_text(json.dumps(task_data(task)))
    return puzzles


def test_solved_task_is_shown_and_written(directory: Path, tmp_path: Path, codeit: Any) -> None:
    out = tmp_path / "answer.json"
    code, stdout, stderr = codeit("solve", str(directory / "asked.json"), *QUICK, "3000", "--out", str(out))
    assert code == 0, stderr
    assert "train[0]" in stdout and "test[1], attempt 2" in stdout
    assert "3 of 3" in stdout and "\nsolved:" in stdout
    assert "one of the two attempts is right with a probability of 9" in stdout
    assert "correct:" not in stdout  # the outputs are unknown
    answers = json.loads(out.read_text())
    assert [one["attempt_1"] for one in answers["asked"]] == [
        p.output and p.output.tolist() for p in SOLVABLE.test
    ]
    assert all(list(one) == ["attempt_1", "attempt_2"] for one in answers["asked"])
    lines = [line.split("│")[1].strip() for line in stdout.splitlines() if line.count("│") > 2]
    first = lines[: 1 + next(k for k, line in enumerate(lines) if line.startswith("O = "))]
    program = Program.parse("\n".join(first))
    assert all(program(pair.input) == pair.output for pair in SOLVABLE.train)
    assert max(map(len, stdout.splitlines())) <= 80 and "…" not in stdout

    again = codeit("solve", str(directory / "asked.json"), *QUICK, "3000", "--out", str(out))
    assert again[:2] == (0, stdout)
    (directory / "asked.json").write_text(json.dumps(task_data(SOLVABLE)))
    code, with_outputs, _ = codeit("solve", str(directory / "asked.json"), *QUICK, "3000")
    assert with_outputs == stdout + "correct: 2 of 2 known test outputs\n"  # and nothing else changes


def test_unsolved_task_is_answered_with_guesses(directory: Path, tmp_path: Path, codeit: Any) -> None:
    code, stdout, stderr = codeit(
        "solve", str(directory / "noise.json"), *QUICK, "1000", "--out", str(tmp_path / "answer.json")
    )
    assert code == 1
    assert "not solved: no program solves all demonstrations" in stdout
    assert "come closest" in stdout and "0 of 3" in stdout
    assert "noise: 0 of 3 demonstrations solved" in stderr
    assert len(json.loads((tmp_path / "answer.json").read_text())["noise"]) == 1


def test_directory_of_tasks_is_solved_whole_or_one_task_of_it(
    directory: Path, tmp_path: Path, codeit: Any
) -> None:
    out = str(tmp_path / "answer.json")
    code, stdout, _ = codeit("solve", str(directory), *QUICK, "3000", "--out", out)
    assert code == 1  # one of them is not solved
    assert stdout.count("\nsolved:") == 2 and stdout.count("not solved:") == 1
    assert list(json.loads(Path(out).read_text())) == ["asked", "noise", "reached"]
    code, _, _ = codeit("solve", str(directory), "--task", "asked", *QUICK, "3000", "--out", out)
    assert code == 0
    assert list(json.loads(Path(out).read_text())) == ["asked"]


def test_task_of_arc_agi_is_solved_by_its_id(codeit: Any) -> None:
    code, stdout, _ = codeit("solve", "67a3c6ac", *QUICK, "400")
    assert code == 0
    assert "O = vmirror(I)" in stdout and "correct: 1 of 1" in stdout


def test_json_has_a_line_per_task_and_nothing_else_on_stdout(
    directory: Path, tmp_path: Path, codeit: Any
) -> None:
    out = tmp_path / "answer.json"
    code, stdout, _ = codeit("solve", str(directory), *QUICK, "3000", "--json", "--out", str(out))
    assert code == 1
    asked, noise, reached = map(json.loads, stdout.splitlines())
    assert [one["task"] for one in (asked, noise, reached)] == ["asked", "noise", "reached"]
    assert [one["solved"] for one in (asked, noise, reached)] == [True, False, True]
    assert [one["correct"] for one in (asked, noise, reached)] == [[None, None], [None], [True, True]]
    assert {one["demonstrations"] for one in (asked, noise, reached)} == {3}
    # Enumeration, whose expressions do not count, is sure of two tasks before evolution begins.
    assert [one["tried"] for one in (asked, noise, reached)] == [0, 3000, 0]
    best = asked["programs"][0]
    assert best.keys() == {"program", "demonstrations_solved", "votes", "probability"}
    assert 0.9 < best["probability"] <= asked["probability"] < 1 and noise["probability"] == 0
    assert best["demonstrations_solved"] == 3 and best["votes"] > 0
    program = Program.parse(best["program"])
    assert all(program(pair.input) == pair.output for pair in SOLVABLE.train)
    written = json.loads(out.read_text())
    for one in (asked, noise, reached):
        assert one["attempts"] == [list(attempts.values()) for attempts in written[one["task"]]]


def test_page_with_the_answer_is_written(directory: Path, tmp_path: Path, codeit: Any) -> None:
    page = tmp_path / "answer.html"
    code, _, stderr = codeit("solve", str(directory / "asked.json"), *QUICK, "3000", "--html", str(page))
    assert code == 0, stderr
    text = page.read_text()
    assert "asked" in text and "hconcat" in text
    assert "One of the two attempts is right with a probability of 9" in text


def test_overrides_reach_the_settings(directory: Path, codeit: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    received: list[SolveSettings] = []

    def stop(task: Task, *, settings: SolveSettings, **_: object) -> None:
        received.append(settings)
        raise KeyboardInterrupt

    monkeypatch.setattr("codeit.solver.iter_solve", stop)
    overrides = [
        "--sampling.temperature",
        "0.8",
        "--search.policy-every=5",
        "--evolution.weights.splice",
        "3",
    ]
    assert codeit("solve", "67a3c6ac", *QUICK, "400", *overrides).code == 130
    (settings,) = received
    default = SolveSettings().flat()
    assert {key: value for key, value in settings.flat().items() if value != default[key]} == {
        "sampling.temperature": 0.8,
        "search.policy_every": 5,
        "evolution.weights.splice": 3.0,
    }


@pytest.mark.parametrize("options", [[], ["--policy", "shipped"]])
def test_without_the_packages_of_learn_evolution_solves_alone_and_says_so(
    options: list[str], directory: Path, codeit: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    arguments = ["solve", str(directory / "asked.json"), "--populations", "1", "--programs", "3000"]
    alone = codeit(*arguments, "--policy", "none")
    monkeypatch.setattr("codeit.policy.find_spec", lambda name: None)
    ended = codeit(*arguments, *options)
    assert (ended.code, ended.stdout) == (0, alone.stdout)
    message, *others = ended.stderr.splitlines()
    assert message.startswith("the policy needs pip install 'codeit[learn]': evolution works alone")
    assert others == alone.stderr.splitlines()


USER_ERRORS = {
    "nothing there": (["nothing.json"], "nothing.json: expected a directory, a file, or the id of a task"),
    "no such id": (
        ["00576225"],
        "expected a task 00576225, found no task with this id. Did you mean 00576224?",
    ),
    "no such task in it": (["puzzles", "--task", "askd"], "puzzles: expected a task askd, found no task"),
    "no JSON": (["cut.json"], "cut.json: line 1, column 12 (from 1): expected JSON, found a syntax error"),
    "no demonstrations": (["empty.json"], "empty.json: train: expected at least one pair, found none."),
    "not a colour": (["odd.json"], "odd.json: train[0] input, row 0, column 1: expected a colour"),
    "no policy": (["puzzles", "--policy", "puzzles"], "directory of a policy, found no policy.json in it"),
    "a page for many": (["puzzles", "--html", "x.html"], "--html: expected one task, found 3 in puzzles"),
    "nowhere to write": (["puzzles", "--out", "none/x.json"], "expected a directory at none, found nothing"),
    "a directory to write": (
        ["puzzles", "--out", "puzzles"],
        "--out puzzles: expected a file, found a directory",
    ),
    "no time": (["puzzles", "--seconds", "0"], "--seconds: expected a value > 0, found 0"),
    "no programs": (["puzzles", "--programs", "0"], "--programs: expected a value >= 1, found 0"),
    "no samples": (
        ["puzzles", "--sampling.samples-per-task", "0"],
        "sampling.samples_per_task: expected greater than or equal to 1, found 0",
    ),
}


@pytest.mark.parametrize("case", USER_ERRORS)
def test_user_error_of_solve_is_reported_before_anything_is_done(
    case: str, directory: Path, codeit: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(directory.parent)
    Path("cut.json").write_text('{"train": [')
    Path("empty.json").write_text('{"train": [], "test": [{"input": [[1]]}]}')
    Path("odd.json").write_text(json.dumps({"train": [{"input": [[1, 10]], "output": [[1]]}], "test": []}))
    before = sorted(Path().rglob("*"))
    arguments, message = USER_ERRORS[case]
    code, stdout, stderr = codeit("solve", *arguments)
    assert (code, stdout) == (2, "")
    assert stderr.startswith("codeit: ") and message in stderr
    assert sorted(Path().rglob("*")) == before


def test_user_error_of_submit_is_reported_before_anything_is_done(
    directory: Path, codeit: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(directory.parent)
    for arguments, message in (
        (
            ["none.json", "--out", "x.json", "--seconds", "9"],
            "none.json: expected a directory, a file or one of",
        ),
        (
            ["puzzles", "--out", "none/x.json", "--seconds", "9"],
            "expected a directory at none, found nothing",
        ),
        (["puzzles", "--out", "x.json"], "expected --seconds or --programs, found neither"),
        (["puzzles", "--out", "x.json", "--seconds", "9", "--programs", "9"], "found both; leave one out"),
        (["puzzles", "--out", "x.json", "--seconds", "9", "--policy", "puzzles"], "found no policy.json"),
    ):
        code, stdout, stderr = codeit("submit", *arguments)
        assert (code, stdout) == (2, "")
        assert stderr.startswith("codeit: ") and message in stderr
    assert sorted(path.name for path in Path().iterdir()) == ["puzzles"]


@pytest.fixture
def policy(tmp_path: Path) -> Path:
    """A directory of a small random policy, with checksums."""
    sizes: dict[str, Any] = {"d_model": 8, "d_ff": 8, "heads": 1, "layers_encoder": 1, "layers_decoder": 1}
    config = PolicyConfig(init="random", encoding="runs", max_program_tokens=8, device="cpu", **sizes)
    (tmp_path / "policy").mkdir()
    with_checksums(Policy.create(config, 0).save)(tmp_path / "policy")
    return tmp_path / "policy"


DAMAGE = {
    "flipped weights": ("model.safetensors", lambda data: data[:-1] + bytes([data[-1] ^ 1]), "SHA-256"),
    "no weights": ("model.safetensors", None, "expected the weights of the policy, found no such file"),
    "no architecture": ("config.json", None, "No such file"),
    "garbled card": ("policy.json", lambda data: data[:9], "policy.json: expected JSON, found: "),
}


@pytest.mark.parametrize("command", ["solve", "submit"])
@pytest.mark.parametrize("case", DAMAGE)
def test_damaged_policy_is_refused_before_the_search(
    case: str, command: str, policy: Path, directory: Path, tmp_path: Path, codeit: Any
) -> None:
    name, change, message = DAMAGE[case]
    data = (policy / name).read_bytes()
    (policy / name).unlink()
    if change:
        (policy / name).write_bytes(change(data))
    if case != "flipped weights":
        (policy / "checksums.json").unlink()
    out = tmp_path / "answers.json"
    arguments = [str(directory), "--policy", str(policy), "--out", str(out), "--seconds", "9"]
    code, stdout, stderr = codeit(command, *arguments)
    assert (code, stdout) == (2, "")
    assert stderr.startswith(f"codeit: {policy}") and message in stderr
    assert not out.exists()


def test_error_of_the_policy_during_the_search_keeps_the_answers(
    policy: Path, directory: Path, tmp_path: Path, codeit: Any
) -> None:
    (policy / "checksums.json").unlink()
    weights = policy / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-50])
    out = tmp_path / "answers.json"
    arguments = ["--policy", str(policy), "--populations", "1", "--programs", "3000", "--out", str(out)]
    puzzle = str(directory / "noise.json")
    code, stdout, stderr = codeit("solve", puzzle, *arguments, "--search.policy-every", "1000")
    assert code == 2
    assert "test[0], attempt 2" in stdout and json.loads(out.read_text())["noise"]
    *_, stopped, error = stderr.splitlines()
    assert stopped == "stopped; these are the answers so far"
    assert error.startswith(f"codeit: {weights}: expected a file of a policy, found damage: ")


@pytest.mark.parametrize("form", ["pictures", "json"])
def test_ctrl_c_shows_and_writes_the_answers_so_far(form: str, directory: Path, tmp_path: Path) -> None:
    out = tmp_path / "answer.json"
    command = [
        *(sys.executable, "-m", "codeit", "solve", str(directory / "noise.json"), "--policy", "none"),
        *("--seconds", "60", "--populations", "2", "--out", str(out)),
        *(["--json"] if form == "json" else []),
    ]
    environment = {**os.environ, "PYTHONUNBUFFERED": "1"}
    process = subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment,
        start_new_session=True,
    )  # fmt: skip
    assert process.stderr is not None
    assert "noise: 0 of 3 demonstrations solved" in process.stderr.readline()
    os.killpg(process.pid, signal.SIGINT)  # as a terminal does: to all its processes
    stdout, stderr = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "Traceback" not in stderr and "stopped; these are the answers so far" in stderr
    if form == "json":
        assert json.loads(stdout)["solved"] is False
    else:
        assert "not solved" in stdout and "test[0], attempt 2" in stdout
    assert len(json.loads(out.read_text())["noise"]) == 1


def test_several_populations_print_nothing_but_their_results(directory: Path) -> None:
    ended = subprocess.run(
        [
            *(sys.executable, "-m", "codeit", "solve", str(directory / "asked.json"), "--policy", "none"),
            *("--populations", "2", "--programs", "2000", "--json"),
        ],
        capture_output=True,
        text=True,
    )
    # Enumeration is sure in the first process; the second tries its share.
    assert ended.returncode == 0 and json.loads(ended.stdout)["tried"] == 1000
    assert all(line.startswith(("simplify experts", "asked: ")) for line in ended.stderr.splitlines())
