"""Program traces in the terminal, and the commands `explain` and `report`."""

from __future__ import annotations

import io
import json
import re
from pathlib import Path

import pytest
from rich.console import Console

from codeit.cli.programs import ProgramError
from codeit.cli.show import DisplayError, explain, report
from codeit.data.tasks import Task, TaskError
from codeit.evaluation.scoring import SolutionError
from codeit.language import Grid, Program
from codeit.report import PALETTE
from codeit.report.explain import TraceView
from codeit.report.runs import ReportError

PUZZLE = {
    "train": [{"input": [[0, 2, 0], [0, 2, 0]], "output": [[2], [2]]}],
    "test": [{"input": [[5, 0, 0], [0, 0, 0]], "output": [[5]]}],
}
KEY = "Key: · outside, # place, a2 cell of object a with colour 2"
CROP = "x1 = objects(I, T, F, T)\nx2 = first(x1)\nO = subgrid(x2, I)"


def drawn(program: str, pairs: list[tuple[Grid, Grid | None]], width: int = 80, colour: bool = False) -> str:
    file = io.StringIO()
    system = "truecolor" if colour else None
    console = Console(file=file, width=width, force_terminal=colour, color_system=system)
    console.print(TraceView(Program.parse(program), pairs, [f"train[{k}]" for k in range(len(pairs))]))
    return "\n".join(line.rstrip() for line in file.getvalue().splitlines())


@pytest.fixture
def puzzle(tmp_path: Path) -> Path:
    (tmp_path / "puzzle.json").write_text(json.dumps(PUZZLE))
    return tmp_path / "puzzle.json"


def test_each_line_is_followed_by_its_value_on_each_input() -> None:
    pairs = [(Grid([[0, 2, 0], [0, 2, 0]]), Grid([[2], [2]])), (Grid([[7, 0, 0], [0, 0, 0]]), None)]
    assert drawn(CROP, pairs).splitlines() == [
        KEY, "",
        "I", "train[0]   train[1]", "0 2 0      7 0 0", "0 2 0      0 0 0", "2x3        2x3", "",
        "x1 = objects(I, T, F, T)", "train[0]            train[1]", "· 2 ·               7 · ·",
        "· 2 ·               · · ·", "1 object, 2 cells   1 object, 1 cell", "",
        "x2 = first(x1)", "train[0]          train[1]", "· 2 ·             7 · ·", "· 2 ·             · · ·",
        "object, 2 cells   object, 1 cell", "",
        "O = subgrid(x2, I)", "train[0]   train[1]", "2          7", "2          1x1", "2x1", "✓ right",
    ]  # fmt: skip


def test_wrong_outputs_and_errors_are_marked() -> None:
    grid, other = Grid([[1, 2]]), Grid([[3, 3]])
    assert "✗ wrong" in drawn("O = vmirror(I)", [(grid, other)])
    assert "expected" in drawn("O = vmirror(I)", [(grid, other)])
    ended = drawn("x1 = size(I)\nx2 = hmirror(x1)\nO = vmirror(x2)", [(grid, other), (other, grid)])
    assert ended.count("✗ error: line 2: hmirror: ") == 2
    assert ended.splitlines()[-1] == "O = vmirror(x2)"


def test_text_that_is_equal_on_all_inputs_is_shown_once() -> None:
    pairs = [(Grid([[1]]), None), (Grid([[2]]), None)]
    shown = drawn(
        "x1 = compose(size, first)\nx2 = size(I)\nx3 = canvas(x2, UNITY)\nO = fill(x3, ONE, I)", pairs
    )
    assert shown.count("compose(size, first)") == 2  # the line, and its value
    assert shown.count("1 blue") == 2


def test_patches_in_colour_are_bright_on_a_faded_grid() -> None:
    grid = Grid([[2, 0], [0, 3]])
    shown = drawn(
        "x1 = asindices(I)\nx2 = ofcolor(I, TWO)\nO = fill(I, ONE, x2)", [(grid, None)], colour=True
    )
    red, green, blue = (int(PALETTE[2][i : i + 2], 16) for i in (1, 3, 5))
    assert f"\x1b[37;48;2;{red};{green};{blue}m[]" in shown
    faded = re.search(r"\x1b\[48;2;(\d+);(\d+);(\d+)m {2}\x1b", shown.split("x2 =")[1])
    assert faded and {*map(int, faded.groups())} != {0}
    several = drawn("x1 = partition(I)\nO = paint(I, I)", [(grid, None)], colour=True)
    assert {" a", " b", " c"} <= {*re.findall(r"m( [a-z])", several)}


def picture_lines(program: str, name: str, grid: Grid, width: int = 80) -> list[str]:
    """Return the lines that show a variable on one input, without colour and without captions."""
    shown = drawn(program, [(grid, None)], width)
    (part,) = [part for part in shown.split("\n\n") if part.startswith(f"{name} =")]
    return part.splitlines()[2:-1]


def test_objects_without_colour_differ_from_their_background_and_from_each_other() -> None:
    grid = Grid([[0, 0, 2], [2, 2, 0], [0, 0, 5]])
    program = (
        "x1 = partition(I)\nx2 = objects(I, T, F, T)\nx3 = apply(toindices, x2)\nx4 = asobject(I)\n"
        "x5 = ofcolor(I, TWO)\nx6 = shift(x5, LEFT)\nO = paint(I, x4)"
    )
    assert picture_lines(program, "x1", grid) == ["a0 a0 b2", "b2 b2 a0", "a0 a0 c5"]
    assert picture_lines(program, "x2", grid) == [" ·  · a2", "b2 b2  ·", " ·  · c5"]
    assert picture_lines(program, "x3", grid) == ["· · a", "b b ·", "· · c"]
    assert picture_lines(program, "x4", grid) == ["0 0 2", "2 2 0", "0 0 5"]
    assert picture_lines(program, "x5", grid) == ["· · #", "# # ·", "· · ·"]
    assert picture_lines(program, "x6", grid) == ["  · # ·", "# # · ·", "  · · ·"]  # a cell outside the grid


def test_objects_without_colour_fit_a_narrow_terminal() -> None:
    grid = Grid([[3, 0] * 7])
    program = "x1 = objects(I, T, F, T)\nO = paint(I, I)"
    assert picture_lines(program, "x1", grid, 41) == ["a3  · b3  · c3  · d3  · e3  · f3  · g3  ·"]
    assert picture_lines(program, "x1", grid, 40) == ["a3 ·b3 ·c3 ·d3 ·e3 ·f3 ·g3 ·"]
    assert picture_lines(program, "x1", grid, 27) == ["a · b · c · d · e · f · g ·"]


@pytest.mark.parametrize("width", [20, 64, 200])
@pytest.mark.parametrize("colour", [False, True])
def test_no_line_is_wider_than_the_terminal(
    training: dict[str, Task], experts: dict[str, Program], width: int, colour: bool
) -> None:
    for task_id in ("05f2a901", "007bbfb7", "a61f2674"):
        shown = drawn(str(experts[task_id]), list(training[task_id].train), width, colour)
        plain = re.sub(r"\x1b\[[\d;]*m", "", shown)
        assert max(map(len, plain.splitlines())) <= width


def test_explain_takes_a_text_a_file_or_the_best_of_a_solutions_file(
    tmp_path: Path, puzzle: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "crop.txt").write_text(CROP + "\n")
    rows = [("puzzle", "O = vmirror(I)"), ("other", "O = hmirror(I)"), ("puzzle", CROP)]
    solutions = tmp_path / "found.jsonl"
    solutions.write_text("".join(json.dumps({"task": name, "program": text}) + "\n" for name, text in rows))
    shown = []
    for program in (CROP.replace("\n", "; "), str(tmp_path / "crop.txt"), str(solutions)):
        explain(program, str(puzzle))
        shown.append(capsys.readouterr().out)
    assert shown[0] == shown[1] == shown[2]
    assert "✓ right" in shown[0]
    assert "test[0]" not in shown[0]
    explain(CROP, "puzzle", tasks=str(tmp_path / "puzzle.json"), tests=True)
    assert "test[0]" in capsys.readouterr().out
    explain(CROP, str(puzzle), html=tmp_path / "page.html")
    assert "<title>A program for puzzle</title>" in (tmp_path / "page.html").read_text()
    assert capsys.readouterr().out == ""


def test_explain_names_the_mistake(tmp_path: Path, puzzle: Path) -> None:
    with pytest.raises(ProgramError, match=r"the given program: line 1: .*did you mean vmirror"):
        explain("O = vmiror(I)", str(puzzle))
    with pytest.raises(ProgramError, match=r"none.txt: expected a program .*: No such file"):
        explain("none.txt", str(puzzle))
    (tmp_path / "bad.txt").write_text("O = vmiror(I)")
    with pytest.raises(ProgramError, match=r"bad.txt: line 1: "):
        explain(str(tmp_path / "bad.txt"), str(puzzle))
    with pytest.raises(SolutionError, match=r"none.jsonl: expected a readable file"):
        explain("none.jsonl", str(puzzle))
    (tmp_path / "empty.jsonl").write_text("")
    with pytest.raises(ProgramError, match=r"empty.jsonl: expected a program for task puzzle, found none"):
        explain(str(tmp_path / "empty.jsonl"), str(puzzle))
    with pytest.raises(TaskError, match=r"expected a task nothing, found no"):
        explain(CROP, "nothing")
    two = tmp_path / "two.json"
    two.write_text(json.dumps({"a": PUZZLE, "b": PUZZLE}))
    with pytest.raises(TaskError, match=r"two.json: expected a file of one task, found 2\. Give an id, and"):
        explain(CROP, str(two))


def test_report_writes_a_page_and_prints_the_scores(
    tmp_path: Path, puzzle: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = tmp_path / "run"
    run.mkdir()
    (run / "curve.csv").write_text("programs,solved_top3\n600,1\n1200,1\n")
    (run / "solutions.jsonl").write_text(json.dumps({"task": "puzzle", "program": CROP, "tried": 3}) + "\n")
    out = tmp_path / "report.html"
    report([run], out=out, tasks=str(puzzle))
    assert "run: 1 of 1 tasks solved" in capsys.readouterr().err
    assert "after 3 programs" not in out.read_text()  # it is in a compressed part
    assert "Report on run" in out.read_text()
    with pytest.raises(DisplayError, match=r"nowhere, found nothing; create it"):
        report([run], out=tmp_path / "nowhere" / "report.html", tasks=str(puzzle))


def test_report_refuses_a_damaged_file(tmp_path: Path, puzzle: Path) -> None:
    run = tmp_path / "run"
    run.mkdir()
    (run / "curve.csv").write_text("programs,solved_top3\n600,1\n")
    (run / "solutions.jsonl").write_text('{"task": "puzzle", "prog')
    with pytest.raises(SolutionError, match=r"solutions.jsonl, line 1: expected"):
        report([run], out=tmp_path / "report.html", tasks=str(puzzle))
    assert not (tmp_path / "report.html").exists()
    (run / "solutions.jsonl").unlink()
    for name, text in (
        ("curve.csv", "programs,solved_top3\n600,many\n"),
        ("metrics.csv", "loop\n1\n"),
        ("config.toml", "[data"),
    ):
        (run / name).write_text(text)
        with pytest.raises(ReportError, match=name):
            report([run], out=tmp_path / "report.html", tasks=str(puzzle))
