"""The report: what is read from folders, its charts, and pages that need nothing else."""

from __future__ import annotations

import base64
import json
import re
import shutil
import zlib
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from pages import make_run

from codeit.language import Program
from codeit.storage.search_log import Found, Part, SearchLog
from codeit.report.page import answer_page, explain_page
from codeit.report.queries import differing_settings, gallery, primitives_of_solutions
from codeit.report.run_page import report_page
from codeit.report.runs import ReportError, read_runs, shortest_lengths
from codeit.report.svg import Axis, Reference, Series, line_chart, stacked_bars
from codeit.evaluation.scoring import Candidate, read_solutions, verify
from codeit.data.tasks import Task, load_tasks

RESULTS = Path(__file__).parents[2] / "results"
SETTINGS = '[data]\ntest = "arc-agi-1/training"\ntasks = 21\n[replay]\nprioritized = {}\n'


class Reader(HTMLParser):
    """A page's headings, JSON and whatever it would load."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.json: dict[str, Any] = {}
        self.levels: list[int] = []
        self.loads: list[str] = []
        self._id: str | None = None
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        self._id = given.get("id") if tag == "script" else None
        if re.fullmatch("h[1-6]", tag):
            self.levels.append(int(tag[1]))
        self.loads += [value or "" for name, value in attrs if name in ("src", "href", "srcset", "action")]

    def handle_data(self, data: str) -> None:
        if self._id:
            self.json[self._id] = json.loads(data)
            self._id = None


@pytest.fixture(scope="module")
def made(
    tmp_path_factory: pytest.TempPathFactory, training: dict[str, Task], experts: dict[str, Program]
) -> list[Path]:
    """Two loops of 21 tasks, one of which draws without priority."""
    folder = tmp_path_factory.mktemp("made")
    tasks = list(training.values())[:21]
    for name, prioritized in (("with", "true"), ("without", "false")):
        make_run(folder / name, tasks, experts, 4, SETTINGS.format(prioritized))
    return [folder / "with", folder / "without"]


@pytest.mark.parametrize("name", ["codeit", "evolution", "baseline"])
def test_published_results_are_read_as_they_are_verified(name: str) -> None:
    (run,) = read_runs([RESULTS / name])
    score = verify(read_solutions(RESULTS / name / "solutions.jsonl"), load_tasks("arc-agi-1/evaluation"))
    assert run.score.solved == score.solved
    assert run.score.solved_demonstrations == score.solved_demonstrations
    assert max(map(len, run.best.values())) == 3
    if run.curve:
        assert run.curve[max(run.curve)]["solved_top3"] == score.solved_top3
    else:
        assert run.metrics[max(run.metrics)]["cumulative_top3"] == score.solved_top3
        assert run.seconds["learn"] == sum(row.get("seconds_learn", 0) for row in run.metrics.values())


def test_a_search_is_read_while_it_runs(tmp_path: Path, evaluation: dict[str, Task]) -> None:
    task, right = evaluation["0c786b71"], next(iter(read_runs([RESULTS / "evolution"])[0].best["0c786b71"]))
    settings = {"search": "evolution", "tasks": "arc-agi-1/evaluation", "seed": 3}
    with SearchLog(tmp_path, settings) as record:
        record.commit(0, Part(100, 2.5, 2.0), [Found(task.id, right.program, 40, 1, 7)])
        (run,) = read_runs([tmp_path])
    assert (run.kind, run.settings["seed"], run.seconds) == ("evolution", "3", {"search": 2.5})
    assert run.score.solved == (task.id,)
    assert run.origins[task.id, right.program] == "after 40 programs"


def test_a_folder_of_something_else_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ReportError, match=r"expected the folder of a run .* found other files"):
        read_runs([tmp_path])
    with pytest.raises(ReportError, match="no such folder"):
        read_runs([tmp_path / "none"])


def test_solutions_get_shorter() -> None:
    tasks = load_tasks("arc-agi-1/evaluation")[:2]
    short, long = Program.parse("O = vmirror(I)"), Program.parse("x1 = hmirror(I)\nO = vmirror(x1)")
    all_of = [len(task.train) for task in tasks]
    found = {
        tasks[0].id: [Candidate(long, all_of[0], 0), Candidate(short, all_of[0], 2)],
        tasks[1].id: [Candidate(long, all_of[1], 1), Candidate(short, all_of[1] - 1, 3)],
    }
    iterations = {0: 1, 1: 2, 2: 3, 3: 3}
    means = shortest_lengths(found, tasks, iterations, [0, 1, 2, 3])
    assert means == {1: (2.0, 2.0), 2: (2.0, 2.0), 3: (1.5, 1.0)}


def test_the_gallery_has_every_task_solved_ones_first(made: list[Path]) -> None:
    runs = read_runs(made)
    entries = gallery(runs)
    assert len(entries) == 21
    ranks = [["solved", "demonstrations", "some", "none"].index(entry.status) for entry in entries]
    assert ranks == sorted(ranks)
    solved = {entry.task.id for entry in entries if entry.status == "solved"}
    assert solved == set(runs[0].score.solved) == set(runs[1].score.solved)
    assert 5 <= len(solved) <= 14
    for entry in entries:
        assert list(entry.solved_by) == ([0, 1] if entry.status == "solved" else [])
        assert [set(one.places) for one in entry.programs] == [{0, 1}] * len(entry.programs)
        if entry.status == "solved":
            assert entry.best is not None
            assert all(entry.best(pair.input) == pair.output for pair in entry.task.test)
    counts = primitives_of_solutions(entries)
    assert list(counts.values()) == sorted(counts.values(), reverse=True)
    assert max(counts.values()) <= len(solved)
    assert differing_settings(runs) == {"replay.prioritized": ["True", "False"]}


def some(results: Path, folder: Path, programs: int) -> Path:
    """Published results with their first programs alone."""
    made = folder / results.name
    shutil.copytree(results, made)
    rows = (results / "solutions.jsonl").read_text().splitlines(keepends=True)
    (made / "solutions.jsonl").write_text("".join(rows[:programs]))
    return made


def test_a_report_holds_everything_and_loads_nothing(made: list[Path], tmp_path: Path) -> None:
    page = report_page(read_runs([*made, some(RESULTS / "baseline", tmp_path, 90)]))
    read = Reader(page)
    assert [link for link in read.loads if not link.startswith(("#", "data:"))] == []
    assert "https://" not in page
    assert read.levels[0] == 1
    assert all(after <= before + 1 for before, after in zip(read.levels, read.levels[1:], strict=False))
    cards, packed = read.json["cards"], read.json["packed"]
    assert len(cards) == len(packed) == 421
    for card, text in list(zip(cards, packed, strict=True))[::20]:
        sheet = json.loads(zlib.decompress(base64.b64decode(text)))
        assert sheet["id"] == card["id"]
        assert bool(sheet["programs"]) == bool(card["lines"])
        places = [place for pair in [*sheet["pairs"], *sheet["tests"]] for place in pair]
        places += [place for program in sheet["programs"] for values in program["trace"] for place in values]
        assert set(places) <= set(range(len(sheet["views"])))
        if card["status"] == "solved":
            assert any(all(program["answers_right"]) for program in sheet["programs"])
    for words in ("paper: mutation baseline", "Settings that differ", "replay.prioritized", "Time by phase"):
        assert words in page
    assert len(page) < 2_000_000


def test_the_papers_figures_stand_beside_the_same_tasks_alone(made: list[Path], tmp_path: Path) -> None:
    assert "paper: CodeIt" in report_page(read_runs([some(RESULTS / "codeit", tmp_path, 5)]))
    assert "paper: CodeIt" not in report_page(read_runs(made))


def test_text_from_files_is_never_markup(tmp_path: Path) -> None:
    nasty = "</script><img src=x onerror=alert(1)>"
    folder = tmp_path / "tasks"
    folder.mkdir()
    pair = {"input": [[1]], "output": [[1]]}
    name = nasty.replace("/", "")
    (folder / f"{name}.json").write_text(json.dumps({"train": [pair], "test": [pair]}))
    (task,) = load_tasks(folder)
    for page in (
        answer_page(nasty, task, [], []),
        explain_page(Program.parse("O = identity(I)"), task),
    ):
        assert "<img" not in page
        assert page.count("</script>") == page.count("<script")


def test_an_answer_page_shows_answers_and_no_test_output(evaluation: dict[str, Task]) -> None:
    task, program = evaluation["0c786b71"], Program.parse("x1 = vmirror(I)\nO = hconcat(x1, I)")
    attempts = [[program(pair.input), pair.input] for pair in task.test]
    sheet = Reader(answer_page("A puzzle", task, [(program, 0)], attempts)).json["data"]
    assert [len(test) for test in sheet["tests"]] == [1] * len(task.test)
    assert [len(answers) for answers in sheet["attempts"]] == [2] * len(task.test)
    assert sheet["attempts"][0][1] == sheet["tests"][0][0]
    assert [one["solved"] for one in sheet["programs"]] == [0]
    assert "No program was found" in answer_page("A puzzle", task, [], [[] for _ in task.test])


def test_an_explanation_can_have_the_tests(evaluation: dict[str, Task]) -> None:
    task, program = evaluation["00576224"], Program.parse("O = vmirror(I)")
    lengths = [
        len(Reader(explain_page(program, task, tests=tests)).json["data"]["programs"][0]["trace"])
        for tests in (False, True)
    ]
    assert lengths == [len(task.train), len(task.train) + len(task.test)]


def test_a_line_chart_tells_its_figures() -> None:
    lines = [Series("a & b", [(0, 1), (1, 3)]), Series("none", []), Series("c", [(1, 2)], 9, dashed=True)]
    chart = line_chart("Title", lines, Axis("iteration"), Axis("tasks"), [Reference("known", [(None, 4)])])
    assert "a &amp; b: 3 at 1" in chart
    assert "known: 4" in chart
    assert "none" not in chart
    assert "hue-2 dashed" in chart
    assert chart.count("<circle") == 3
    assert '<th scope="row">1</th><td>3</td><td>2</td>' in chart
    assert line_chart("Title", [Series("none", [])], Axis("x"), Axis("y")) == ""
    heights = [float(y) for y in re.findall(r'cx="[\d.]+" cy="([\d.]+)"', chart)]
    assert heights[1] < heights[2] < heights[0]


@pytest.mark.parametrize("points", [[(600, 5)], [(600, 5), (960_000, 70)], [(1, 0), (2, 0)]])
def test_a_logarithmic_axis_has_ticks(points: list[tuple[float, float]]) -> None:
    chart = line_chart(
        "Title", [Series("a", points)], Axis("programs", log=True), Axis("share", percent=True)
    )
    assert len(re.findall(r'text-anchor="middle"', chart)) >= 3
    for x in re.findall(r'cx="([\d.]+)"', chart):
        assert 46 <= float(x) <= 480


def test_stacked_bars_share_the_width() -> None:
    bars = stacked_bars("Time", [("a", {"learn": 30, "try": 10}), ("b", {"try": 20}), ("c", {})], "minutes")
    assert re.findall(r"width:([\d.]+)%", bars) == ["75.00", "25.00", "50.00"]
    assert "40 minutes" in bars
    assert stacked_bars("Time", [("c", {})], "minutes") == ""
