"""What notebooks show."""

from __future__ import annotations

import pickle
import re
import subprocess
import sys
from xml.etree import ElementTree

import pytest

from codeit.data.tasks import Pair, Task, TestPair
from codeit.evaluation.candidate import Candidate
from codeit.language import Grid, Program
from codeit.report import PALETTE
from codeit.report.notebook import to_html
from codeit.solver import SolveResult

TASK = Task(
    "<b>", (Pair(Grid([[1, 1], [2, 0]]), Grid([[3]])),), (TestPair(Grid([[5, 5]]), Grid([[7, 7, 7]])),)
)
PROGRAM = Program.parse("x1 = asindices(I)\nx2 = mostcolor(I)\nO = fill(I, x2, x1)")


def painted(html: str) -> list[dict[str, int]]:
    """Return how many cells of each colour each picture has. Fails if the HTML is not well-formed."""
    root = ElementTree.fromstring(f"<div>{html}</div>")
    cells = []
    for picture in root.iter("svg"):
        paths = [path for path in picture.iter("path") if path.get("fill") != "none"]
        widths = {str(path.get("fill")): re.findall(r"h(\d+)v1", path.get("d", "")) for path in paths}
        cells.append({colour: sum(map(int, found)) for colour, found in widths.items()})
    return cells


def test_grid_has_its_cells() -> None:
    assert painted(to_html(Grid([[1, 1], [2, 0]]))) == [{PALETTE[1]: 2, PALETTE[2]: 1, PALETTE[0]: 1}]


def test_task_hides_its_test_outputs_and_escapes_its_id() -> None:
    html = to_html(TASK)
    assert [sum(cells.values()) for cells in painted(html)] == [4, 1, 2]
    assert PALETTE[7] not in html and "<b><b>" not in html and "&lt;b&gt;" in html


def test_program_has_the_documentation_of_its_primitives() -> None:
    html = to_html(PROGRAM)
    assert painted(html) == []
    assert re.search(r'<span title="[^"]+">mostcolor</span>\(I\)', html)


def test_trace_has_a_picture_or_a_text_of_each_value() -> None:
    trace = PROGRAM.trace([[4, 4], [4, 6]])
    html = to_html(trace)
    grid, places, result = painted(html)
    assert grid == {PALETTE[4]: 3, PALETTE[6]: 1} and result == {PALETTE[4]: 4}
    assert sum(places.values()) == 4 and "4 yellow" in html and "4 places" in html
    assert pickle.loads(pickle.dumps(trace)) == trace


def test_trace_that_ends_early_says_why() -> None:
    trace = Program.parse("x1 = height(I)\nx2 = crop(I, ORIGIN, ORIGIN)\nO = rot90(x2)").trace([[1]])
    assert trace.error and trace.error in to_html(trace)
    assert PROGRAM.trace([[1]]).error == ""


def test_result_has_attempts_programs_and_what_is_right() -> None:
    programs = (Candidate("t", Program.parse("O = hconcat(I, I)"), 1, votes=12), Candidate("t", PROGRAM, 0))
    html = to_html(SolveResult(TASK, 1234, programs))
    assert len(painted(html)) == 5  # a demonstration, a test input and two attempts
    for text in ("1 of 1 demonstrations solved, 1,234 programs tried, 0 of 1 known", "<td>12</td>", "x2 = "):
        assert text in html
    assert "0 of 1 demonstrations solved" in to_html(SolveResult(TASK, 0, ()))


def test_other_objects_are_not_shown() -> None:
    with pytest.raises(TypeError, match=r"expected a Grid, Task, .*, found int"):
        to_html(3)


@pytest.mark.parametrize("order", ["import first", "IPython first"])
def test_ipython_shows_objects_as_html(order: str) -> None:
    """In a process of its own, as IPython has one shell for each process."""
    script = f"""
if {order == "import first"}:
    import codeit
from IPython.core.interactiveshell import InteractiveShell
shell = InteractiveShell.instance()
if {order == "import first"}:
    shell.run_line_magic("load_ext", "codeit")
from codeit import Grid
data, _ = shell.display_formatter.format(Grid([[1]]), include=["text/plain", "text/html"])
assert data["text/plain"] == "Grid([[1]])" and "<svg" in data["text/html"], data
assert "text/html" not in shell.display_formatter.format([Grid([[1]])])[0]
"""
    subprocess.run([sys.executable, "-c", script], check=True)
