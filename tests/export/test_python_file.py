"""Exported files: the same grids as the engine, by themselves, clean for linters and type checkers.

`python tests/export/exported.py` compares every published program.
"""

from __future__ import annotations

import json
import random
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from exported import count_outcomes, execute, inputs_of, published_solutions
from random_values import with_random_names

from codeit.data.experts import published
from codeit.data.tasks import Task
from codeit.export import to_python
from codeit.language import PRIMITIVES, Grid, Program
from codeit.search.mutation import make_mutants

TASK = {
    "train": [{"input": [[1, 2], [3, 4]], "output": [[2, 1], [4, 3]]}, {"input": [[5]], "output": [[5]]}],
    "test": [{"input": [[1, 0, 0]]}],
}
UNUSUAL = "x1 = rbind(add, ONE)\nx2 = canvas(ONE, UNITY)\nO = hconcat(x2, x2)"
"""A program with a variable that nothing needs and without its input."""
BRIEF = "O = vmirror(I)"


def smallest(task: Task) -> list[Any]:
    return [min(inputs_of(task), key=lambda grid: len(bytes(grid)))]


def run(text: str, directory: Path, *arguments: str, stdin: str = "") -> subprocess.CompletedProcess[str]:
    """Run an exported file in a Python that sees neither this environment nor its packages."""
    file = directory / "exported.py"
    file.write_text(text, encoding="utf-8")
    command = [sys.executable, "-I", "-S", str(file), *arguments]
    return subprocess.run(command, input=stdin, capture_output=True, text=True, timeout=60, cwd=directory)


# --- The same as the engine ---


def test_experts_give_the_grids_of_the_engine(training: dict[str, Task]) -> None:
    runs = ((program, inputs_of(training[task_id])) for task_id, program in published().programs.items())
    counts = count_outcomes(runs)
    assert counts["grid"] == counts.total() > 1700


def test_published_solutions_give_the_grids_of_the_engine() -> None:
    found = published_solutions()
    assert len(found) > 2000
    sample = random.Random(1).sample(found, 150)
    counts = count_outcomes((program, smallest(task)) for program, task in sample)
    assert counts["grid"] > 140


def test_mutants_end_as_with_the_engine(training: dict[str, Task]) -> None:
    mutants = make_mutants(published().programs, training, 200, seed=5)
    counts = count_outcomes((mutant.program, smallest(training[mutant.task_id])) for mutant in mutants)
    assert counts["grid"] > 180


def test_programs_fail_where_the_engine_does(training: dict[str, Task]) -> None:
    rng = random.Random(3)
    chosen = rng.choices(sorted(published().programs.items()), k=500)
    runs = [(with_random_names(program, rng), smallest(training[task_id])) for task_id, program in chosen]
    counts = count_outcomes(runs)
    assert counts["type"] + counts["value"] > 350 and counts["grid"] > 30


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("O = first(I)", "not a grid"),
        ("O = ofcolor(I, ONE)", "not a grid"),
        ("O = canvas(TEN, UNITY)", "bad grid"),
        ("O = canvas(NEG_ONE, UNITY)", "bad grid"),
        ("x1 = multiply(TEN, TEN)\nO = upscale(I, x1)", "bad grid"),
        ("x1 = interval(ZERO, ZERO, ONE)\nO = hconcat(I, x1)", "not a grid"),
        ("x1 = repeat(T, TWO)\nO = repeat(x1, TWO)", "grid"),
        ("O = divide(ONE, ZERO)", "value"),
    ],
)
def test_results_are_checked_as_by_the_engine(text: str, kind: str) -> None:
    found = count_outcomes([(Program.parse(text), [Grid([[1]])])])
    assert found == {kind: 1}


def test_colours_of_an_output_are_integers() -> None:
    output = execute(to_python(Program.parse("x1 = repeat(T, TWO)\nO = repeat(x1, TWO)")))["solve"]([[0]])
    assert json.dumps(output) == "[[1, 1], [1, 1]]"


# --- As a file ---


def test_file_has_the_program_and_only_what_it_needs() -> None:
    text = to_python(Program.parse("x1 = mostcolor(I)\nO = replace(I, x1, FIVE)"), title="Grey for most")
    names = execute(text)
    assert text.startswith('"""Grey for most.\n')
    assert names["FIVE"] == 5 and "FOUR" not in names
    assert "mostcolor" in names and "leastcolor" not in names and "objects" not in names
    assert "    x1 = mostcolor(grid)\n    output = replace(grid, x1, FIVE)\n" in text
    assert names["solve"]([[1, 1, 2]]) == ((5, 5, 2),)
    with pytest.raises(ValueError, match="expected a grid: 1 to 30 rows"):
        names["solve"]([[1], [1, 2]])


@pytest.mark.parametrize(
    "title", ['"""', "\\", 'say "', "two\nlines\x0cof\u2028text", "{x}", "\x00\udcff", ""]
)
def test_any_title_is_text(title: str) -> None:
    text = to_python(Program.parse(BRIEF), title=title)
    text.encode()
    assert execute(text)["solve"]([[1, 2]]) == ((2, 1),)


def test_file_solves_a_task_by_itself(tmp_path: Path) -> None:
    (tmp_path / "task.json").write_text(json.dumps(TASK))
    ended = run(to_python(Program.parse(BRIEF)), tmp_path, "task.json")
    assert (ended.returncode, ended.stderr) == (0, "")
    assert json.loads(ended.stdout) == {"train": [[[2, 1], [4, 3]], [[5]]], "test": [[[0, 0, 1]]]}


@pytest.mark.parametrize("arguments", [(), ("-",)])
def test_file_reads_a_grid_from_stdin(arguments: tuple[str, ...], tmp_path: Path) -> None:
    ended = run(to_python(Program.parse(BRIEF)), tmp_path, *arguments, stdin="[[1, 2, 3]]")
    assert (ended.returncode, ended.stdout, ended.stderr) == (0, "[[3, 2, 1]]\n", "")


def test_file_says_where_it_has_no_output(tmp_path: Path) -> None:
    text = to_python(Program.parse("x1 = width(I)\nx2 = decrement(x1)\nO = downscale(I, x2)"))
    ended = run(text, tmp_path, stdin=json.dumps(TASK))
    assert ended.returncode == 1
    assert json.loads(ended.stdout) == {"train": [[[1, 2], [3, 4]], None], "test": [[[1, 0]]]}
    assert ended.stderr == "train[1]: ValueError: slice step cannot be zero\n"


def test_file_can_nest_functions_as_deep_as_the_engine(tmp_path: Path) -> None:
    deep = "x1 = multiply(TEN, TEN)\nx2 = multiply(NINE, x1)\nx3 = power(increment, x2)\nx4 = x3(ZERO)\n"
    program = Program.parse(f"{deep}x5 = subtract(x4, x2)\nx6 = increment(x5)\nO = canvas(x6, UNITY)")
    assert program([[0]]).tolist() == [[1]]
    ended = run(to_python(program), tmp_path, stdin="[[0]]")
    assert (ended.stdout, ended.stderr) == ("[[1]]\n", "")


@pytest.mark.parametrize(
    "stdin", ["", "{", "3", "[]", "[[10]]", "[[1], [2, 3]]", '{"test": [{}]}', '{"test": 3}']
)
def test_file_refuses_other_input(stdin: str, tmp_path: Path) -> None:
    ended = run(to_python(Program.parse(BRIEF)), tmp_path, stdin=stdin)
    assert (ended.returncode, ended.stdout) == (2, "")
    assert "expected an ARC task or a grid as JSON" in ended.stderr
    assert "Traceback" not in ended.stderr


def test_file_names_a_missing_input(tmp_path: Path) -> None:
    ended = run(to_python(Program.parse(BRIEF)), tmp_path, "none.json")
    assert ended.returncode == 2 and "none.json: expected" in ended.stderr


# --- For linters and type checkers ---


def check(files: list[Path], *command: str) -> None:
    ended = subprocess.run(
        [sys.executable, "-m", *command, *map(str, files)],
        capture_output=True,
        text=True,
        timeout=300,
        cwd=files[0].parent,
    )
    assert ended.returncode == 0, ended.stdout + ended.stderr


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Write exported files: some experts, a tiny and an unusual program, and every primitive."""
    directory = tmp_path_factory.mktemp("exported")
    experts = published().programs
    texts = [str(experts[task_id]) for task_id in sorted(experts)[::100]]
    everything = [f"x{k} = initset({name})" for k, name in enumerate(PRIMITIVES, start=1)]
    texts += [BRIEF, UNUSUAL, "\n".join([*everything, "O = identity(I)"])]
    made = [directory / f"exported_{k}.py" for k in range(len(texts))]
    for file, text in zip(made, texts, strict=True):
        file.write_text(to_python(Program.parse(text)), encoding="utf-8")
    return made


def test_files_are_formatted(files: list[Path]) -> None:
    check(files, "ruff", "format", "--isolated", "--check", "--diff")


@pytest.mark.parametrize(
    "configuration", ["--isolated", f"--config={Path(__file__).parents[2] / 'pyproject.toml'}"]
)
def test_files_have_no_lint(configuration: str, files: list[Path]) -> None:
    check(files, "ruff", "check", configuration)


def test_files_have_no_type_errors(files: list[Path]) -> None:
    check(files, "mypy", "--strict", "--config-file=", "--cache-dir=cache")
