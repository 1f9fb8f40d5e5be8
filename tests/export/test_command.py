"""`codeit export`."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from exported import execute

from codeit.cli.export import export
from codeit.cli.programs import ProgramError
from codeit.evaluation.scoring import read_solutions

TEXT = "x1 = vmirror(I)\nO = hmirror(x1)"
TASK = {"train": [{"input": [[1, 2]], "output": [[2, 1]]}], "test": [{"input": [[3, 4]]}]}


@pytest.fixture
def task(tmp_path: Path) -> str:
    (tmp_path / "puzzle.json").write_text(json.dumps(TASK))
    return str(tmp_path / "puzzle.json")


@pytest.fixture
def run(tmp_path: Path) -> Path:
    """A directory of a run that has two programs for the puzzle; the second solves it."""
    (tmp_path / "run").mkdir()
    rows = [{"task": "puzzle", "program": text} for text in ("O = hmirror(I)", TEXT)]
    (tmp_path / "run" / "solutions.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return tmp_path / "run"


def test_export_writes_python_to_stdout(capsys: pytest.CaptureFixture[str]) -> None:
    export(TEXT.replace("\n", "; "))
    text = capsys.readouterr().out
    assert text.startswith('"""A program for ARC tasks.\n')
    assert execute(text)["solve"]([[1, 2]]) == ((2, 1),)


def test_export_takes_the_best_program_of_a_run(
    run: Path, task: str, capsys: pytest.CaptureFixture[str]
) -> None:
    for found in (run, run / "solutions.jsonl"):
        export(str(found), task, to="text")
        assert capsys.readouterr().out == f"{TEXT}\n"
    export(str(run), task, out=run / "solution.py")
    assert capsys.readouterr().out == ""
    text = (run / "solution.py").read_text()
    assert text.startswith('"""A program for task puzzle.\n')
    assert execute(text)["solve"]([[3, 4]]) == ((4, 3),)


def test_export_to_json_gives_a_row_of_a_solutions_file(task: str, tmp_path: Path) -> None:
    export(TEXT, task, to="json", out=tmp_path / "found.jsonl")
    (row,) = read_solutions(tmp_path / "found.jsonl")
    assert (row.task_id, row.program) == ("puzzle", TEXT)


def test_export_to_html_gives_the_page_of_explain(task: str, tmp_path: Path) -> None:
    export(TEXT, task, to="html", out=tmp_path / "page.html")
    assert "<title>A program for puzzle</title>" in (tmp_path / "page.html").read_text()


def test_export_names_the_mistake(run: Path, tmp_path: Path) -> None:
    with pytest.raises(ProgramError, match=r"solutions.jsonl: expected a task, whose best program is taken"):
        export(str(run))
    with pytest.raises(ProgramError, match=r"--to html: expected a task"):
        export(TEXT, to="html")
    with pytest.raises(ProgramError, match=r"--out .*: expected a file, found a directory"):
        export(TEXT, out=tmp_path)
    with pytest.raises(ProgramError, match=r"line 1: .*did you mean vmirror"):
        export("O = vmiror(I)")


def test_program_can_come_from_stdin(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "codeit", "export", "-", "--to", "json"]
    ended = subprocess.run(command, input=TEXT, capture_output=True, text=True, timeout=60, cwd=tmp_path)
    assert (ended.returncode, ended.stderr) == (0, "")
    assert json.loads(ended.stdout) == {"program": TEXT}
