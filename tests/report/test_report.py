"""The report: reading directories, charts, and pages that need no other files."""

from __future__ import annotations

import base64
import json
import re
import shutil
import time
import xml.etree.ElementTree as ElementTree
import zlib
from collections.abc import Sequence
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from pages import make_run

from codeit.data.tasks import Task, TaskError, load_tasks
from codeit.evaluation.candidate import Candidate
from codeit.evaluation.scoring import read_solutions, score, verify
from codeit.experiments.submission import log_settings
from codeit.language import Program
from codeit.report import run_charts
from codeit.report.curve import draw
from codeit.report.page import answer_page, explain_page
from codeit.report.queries import (
    by_seed,
    differing_settings,
    differing_tasks,
    gallery,
    primitives_of_solutions,
)
from codeit.report.run_page import report_page
from codeit.report.runs import ReportError, Run, programs_tried, read_runs, shortest_lengths
from codeit.report.svg import Axis, Reference, Series, bars, line_chart, line_chart_file
from codeit.storage.search_log import Part, SearchLog

RESULTS = Path(__file__).parents[2] / "results"
SETTINGS = '[data]\ntest = "arc-agi-1/training"\ntasks = 21\n[replay]\nprioritized = {}\n'


class Reader(HTMLParser):
    """A page's headings, JSON, and the addresses that it would load."""

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
    directory = tmp_path_factory.mktemp("made")
    tasks = list(training.values())[:21]
    for name, prioritized in (("with", "true"), ("without", "false")):
        make_run(directory / name, tasks, experts, 4, SETTINGS.format(prioritized))
    return [directory / "with", directory / "without"]


@pytest.mark.parametrize("name", ["codeit", "evolution", "baseline"])
def test_published_results_have_the_score_of_verify(name: str) -> None:
    (run,) = read_runs([RESULTS / name])
    score = verify(read_solutions(RESULTS / name / "solutions.jsonl"), load_tasks("arc-agi-1/evaluation"))
    assert run.score.solved == score.solved
    assert run.score.solved_demonstrations == score.solved_demonstrations
    assert max(map(len, run.best.values())) == 3
    if run.curve:
        assert run.curve[max(run.curve)]["solved_top3"] == score.solved_top3
    else:
        assert run.metrics[max(run.metrics)]["cumulative_top3"] == score.solved_top3
        assert run.seconds["train"] == sum(row.get("seconds_train", 0) for row in run.metrics.values())
        assert set(run.origins.values()) <= {
            f"iteration {k}, {source}"
            for k in run.metrics
            for source in ("expert", "mutation", "policy", "search")
        }


def test_search_is_read_while_it_runs(tmp_path: Path, evaluation: dict[str, Task]) -> None:
    task, right = evaluation["0c786b71"], next(iter(read_runs([RESULTS / "evolution"])[0].best["0c786b71"]))
    settings = {"kind": "search", "tasks": "arc-agi-1/evaluation", "seed": 3}
    with SearchLog(tmp_path, settings) as log:
        found = Candidate(task.id, right.program, len(task.train), order=40, votes=7, answer=1)
        log.commit(0, Part(100, 2.5, 2.0), [found])
        (run,) = read_runs([tmp_path])
        seconds = log.wall_seconds()
    assert (run.kind, run.settings["seed"], run.seconds) == ("search", "3", {"search": seconds})
    assert run.score.solved == (task.id,)
    origin = run.origins[task.id, right.program]
    assert origin.startswith("after 40 programs, right with a probability of ")


def test_published_search_has_the_settings_and_the_time_of_its_directory(
    tmp_path: Path, evaluation: dict[str, Task]
) -> None:
    settings = {"kind": "mutation baseline", "tasks": "arc-agi-1/evaluation", "seed": 3}
    with SearchLog(tmp_path / "whole", settings, started=time.monotonic() - 90) as log:
        log.commit(0, Part(600, 1.0, 1.0), [])
        log.publish(list(evaluation.values()), [600])
    published = tmp_path / "published" / "whole"
    published.mkdir(parents=True)
    for name in ("curve.csv", "settings.json", "solutions.jsonl"):
        shutil.copy(tmp_path / "whole" / name, published)
    (whole,), (run,) = read_runs([tmp_path / "whole"]), read_runs([published])
    assert (run.kind, run.settings, run.seconds) == (whole.kind, whole.settings, whole.seconds)
    assert (run.kind, run.settings["seed"]) == ("mutation baseline", "3")
    assert 90 <= run.seconds["search"] < 150
    assert run_charts.seconds([run]) == run_charts.seconds([whole]) != ""


@pytest.mark.parametrize("with_outputs", [True, False])
def test_submission_is_read_with_its_tasks_and_refused_with_others(
    tmp_path: Path, with_outputs: bool
) -> None:
    program = Program.parse("O = vmirror(I)")
    pair = {"input": [[1, 2]], "output": [[2, 1]]}
    test = pair if with_outputs else {"input": [[1, 2]]}
    challenges = tmp_path / "challenges.json"
    challenges.write_text(json.dumps({name: {"train": [pair], "test": [test]} for name in "ab"}))
    tasks, directory = load_tasks(challenges), tmp_path / "submission.json.search"
    with SearchLog(directory, log_settings(tasks, 0, "none"), started=time.monotonic() - 60) as log:
        log.commit(0, Part(9, 1.5, 1.5), [Candidate("a", program, 1, order=9, votes=2, answer=1)])
    (run,) = read_runs([directory], str(challenges))
    assert (run.kind, len(run.tasks)) == ("submission", 2)
    assert 60 <= run.seconds["search"] < 120
    assert run.origins["a", program].startswith("after 9 programs, right with a probability of ")
    assert (run.score.solved_top3, run.score.solved_demonstrations) == (int(with_outputs), 1)
    page = report_page([run])
    assert "submission" in page
    assert len(Reader(page).json["cards"]) == 2
    with pytest.raises(
        ReportError, match=r"expected the tasks of this submission \(2\), found others in arc"
    ):
        read_runs([directory])


def test_search_whose_tasks_have_changed_is_refused(tmp_path: Path) -> None:
    with SearchLog(tmp_path, {"kind": "search", "tasks": "arc-agi-1/evaluation"}) as log:
        log.commit(0, Part(1, 1.0, 1.0), [Candidate("gone", Program.parse("O = vmirror(I)"), 1)])
    with pytest.raises(ReportError, match=r"expected programs for the tasks of .* found one for task gone"):
        read_runs([tmp_path])


def test_directory_of_something_else_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ReportError, match=r"expected the directory of a run .* found other files"):
        read_runs([tmp_path])
    with pytest.raises(ReportError, match="no such directory"):
        read_runs([tmp_path / "none"])


ROWS = "iteration,cumulative_top3,loss,seconds_train\n0,1,2.5,3\n1,2,1.5,4\n"
POINTS = "programs,solved_top3\n100,1\n200,2\n"
COUNTS = {"drawn": 4, "ran": 2}
DAMAGE = {
    "metrics.csv": {
        "binary": (b"\x89PNG\r\n\x1a\n\x00\x00\xff\xd8", "line 1: expected a row of numbers"),
        "zero bytes": (ROWS.replace("1.5", "1\0").encode(), "line 3: expected a row of numbers"),
        "NaN": (ROWS.replace("2.5", "nan"), "line 2: expected a row of numbers with its iteration"),
        "infinity": (ROWS.replace("1.5", "-inf"), "line 3: expected a row of numbers"),
        "too large": (ROWS.replace("1.5", "1e300"), "line 3: expected a row of numbers"),
        "large iteration": (ROWS.replace("\n1,", f"\n{10**400},"), "line 3: expected a row of numbers"),
        "text": (ROWS.replace("1.5", "much"), "line 3: expected a row of numbers"),
        "no key": (ROWS.replace("iteration", "step"), "line 2: expected a row of numbers"),
        "too many cells": (ROWS.replace(",3\n", ",3,4,5\n"), "line 2: expected a row of numbers"),
        "a huge cell": (ROWS.replace("1.5", '"' + "1" * 200_000), "expected a row of numbers"),
    },
    "curve.csv": {
        "binary": (b"\xff\xfe\x00", "line 1: expected a row of numbers with its programs and solved_top3"),
        "no column": (POINTS.replace("_top3", ""), "line 2: expected a row of numbers with its programs and"),
        "empty cell": (POINTS.replace(",2\n", ",\n"), "line 3: expected a row of numbers"),
        "large number": (POINTS.replace("200", "9" * 400), "line 3: expected a row of numbers"),
        "fraction": (POINTS.replace(",2\n", ",2.5\n"), "line 3: expected a row of numbers"),
    },
    "counts.json": {
        "no JSON": ("{", "expected the counts of a policy evaluation"),
        "binary": (b"\xff\x00", "expected the counts of a policy evaluation"),
        "nested": ("[" * 100_000, "expected the counts of a policy evaluation"),
        "list": ("[1]", "expected the counts of a policy evaluation as an object"),
        "missing key": ('{"drawn": 4}', 'expected an object with a count "ran"'),
        "text": ('{"drawn": 4, "ran": "2"}', 'expected an object with a count "ran"'),
        "NaN": ('{"drawn": NaN, "ran": 2}', 'expected an object with a count "drawn"'),
        "negative": ('{"drawn": 4, "ran": -2}', 'expected an object with a count "ran"'),
        "large": (f'{{"drawn": {10**400}, "ran": 2}}', 'expected an object with a count "drawn"'),
    },
    "settings.json": {
        "no JSON": ("{", "expected the settings of a search"),
        "list": ("[1]", "expected the settings of a search as an object"),
        "text": ('{"wall_seconds": "1"}', "wall_seconds: expected a number, found 1"),
        "NaN": ('{"wall_seconds": NaN}', "wall_seconds: expected a number, found nan"),
    },
    "config.toml": {
        "binary": (b"\xff\x00", "expected the configuration of a run"),
        "no table": ("data = 3", "expected the configuration of a run: data is not a table"),
        "nested": (f"[data]\ntest = {'[' * 9000}", "expected the configuration of a run"),
        "text for a number": ('[data]\ntasks = "x"', "data.tasks: expected a whole number, found x"),
        "fraction": ("[data]\ntasks = 1.5", "data.tasks: expected a whole number, found 1.5"),
        "truth value": ("[data]\ntasks = true", "data.tasks: expected a whole number, found True"),
        "negative": ("[data]\ntasks = -1", "data.tasks: expected a whole number, found -1"),
        "table": ("[data.tasks]\nx = 1", "data.tasks: expected a whole number, found {'x': 1}"),
        "negative mutants": (
            "[mutation]\ninitial = -1",
            "mutation.initial: expected a whole number, found -1",
        ),
        "huge integer": (f"[data]\ntasks = {'9' * 5000}", "expected the configuration of a run"),
        "list of sets": ("[data]\ntest = [1]", "[1]: expected a directory, a file or one of"),
        "no set": ('[data]\ntest = ""', "expected a directory, a file or one of"),
    },
    "solutions.jsonl": {
        "nested source": (
            '{"task": "00576224", "program": "O = vmirror(I)", "source": ["x"]}',
            "line 1: expected text as source",
        ),
    },
}


@pytest.mark.parametrize(("name", "case"), [(name, case) for name, cases in DAMAGE.items() for case in cases])
def test_damaged_file_is_named(name: str, case: str, tmp_path: Path) -> None:
    text, message = DAMAGE[name][case]
    is_search = name in ("curve.csv", "counts.json", "settings.json")
    (tmp_path / ("curve.csv" if is_search else "metrics.csv")).write_text(POINTS if is_search else ROWS)
    (tmp_path / "counts.json").write_text(json.dumps(COUNTS))
    report_page(read_runs([tmp_path]))
    (tmp_path / name).write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises((ReportError, TaskError)) as caught:
        read_runs([tmp_path])
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)
    assert str(tmp_path / name) in str(caught.value) or isinstance(caught.value, TaskError)


def test_nested_settings_are_compared_as_one_value(tmp_path: Path) -> None:
    for value in (1, 2):
        directory = tmp_path / str(value)
        directory.mkdir()
        (directory / "metrics.csv").write_text(ROWS)
        (directory / "config.toml").write_text(f"[evolution.weights]\ndrop = {value}\n")
    runs = read_runs([tmp_path / "1", tmp_path / "2"])
    assert differing_settings(runs) == {"evolution.weights": ["{'drop': 1}", "{'drop': 2}"]}


def test_text_that_is_not_unicode_can_be_written_to_a_page(tmp_path: Path) -> None:
    directory = tmp_path / "\udcff"
    directory.mkdir()
    (directory / "metrics.csv").write_text(ROWS)
    row = {"task": "67a3c6ac", "program": "O = vmirror(I)", "source": "\ud800"}
    (directory / "solutions.jsonl").write_text(json.dumps(row))
    (run,) = read_runs([directory], "arc-agi-1/training")
    assert run.name == r"\udcff"
    assert list(run.origins.values()) == [r"iteration 0, \ud800"]
    assert report_page([run]).encode()


def test_shortest_lengths_are_means_over_solved_tasks() -> None:
    tasks = load_tasks("arc-agi-1/evaluation")[:2]
    short, long = Program.parse("O = vmirror(I)"), Program.parse("x1 = hmirror(I)\nO = vmirror(x1)")
    all_of = [len(task.train) for task in tasks]
    found = {
        tasks[0].id: [
            Candidate(tasks[0].id, long, all_of[0], iteration=1),
            Candidate(tasks[0].id, short, all_of[0], iteration=3),
        ],
        tasks[1].id: [
            Candidate(tasks[1].id, long, all_of[1], iteration=2),
            Candidate(tasks[1].id, short, all_of[1] - 1, iteration=3),
        ],
    }
    means = shortest_lengths(found, tasks, [0, 1, 2, 3])
    assert means == {1: (2.0, 2.0), 2: (2.0, 2.0), 3: (1.5, 1.0)}


def test_tasks_that_one_run_solves_and_another_does_not_are_counted(made: list[Path]) -> None:
    (run, _) = read_runs(made)
    ids = [task.id for task in run.tasks]

    def solving(*solved: str, tasks: int = 21) -> Run:
        return replace(run, tasks=run.tasks[:tasks], score=replace(run.score, solved=solved))

    first, second, third = solving(*ids[:3]), solving(ids[2], ids[5]), solving(tasks=2)
    # The third run does not have the task that both others solve.
    assert differing_tasks([first, second, third]) == [
        ([None, 2, 2], 2),
        ([1, None, 0], 1),
        ([0, 0, None], 0),
    ]


def loop(name: str, seed: int, solved: Sequence[int], **settings: str) -> Run:
    """Return a loop that tries ten mutants, then two samples in each iteration, on one task."""
    task = load_tasks("arc-agi-1/training")[0]
    known = {
        "mutation.initial": "10",
        "mutation.per_iteration": "0",
        "mutation.run_baseline": "True",
        "evolution.programs": "0",
        "evolution.programs_per_iteration": "0",
    }
    metrics = {
        k: {"cumulative_top3": n, "samples": 2 * float(k > 0), "loss": 1} for k, n in enumerate(solved)
    }
    tried = programs_tried(known | settings, metrics, 1)
    settings = {**known, **settings, "run.seed": str(seed)}
    return Run(name, "loop", (task,), settings, {}, score({}, [task]), {}, metrics=metrics, tried=tried)


def lines(chart: str) -> dict[str, list[str]]:
    """Return the points of each line of a chart, as its tooltips tell."""
    found: dict[str, list[str]] = {}
    for name, point in re.findall(r"<title>([^<]*): ([^<:]*)</title></circle>", chart):
        found.setdefault(name, []).append(point)
    return found


def test_runs_that_differ_by_seed_are_one_line_with_a_band() -> None:
    runs = [loop("a", 0, [3, 5]), loop("b", 1, [5, 5]), loop("c", 2, [1, 8], **{"replay.capacity": "9"})]
    (chart,) = run_charts.curves(runs)
    assert lines(chart) == {
        "mean of a and b: all programs so far": ["4 (3 to 5) at 0", "5 at 1"],
        "c: all programs so far": ["1 at 0", "8 at 1"],
    }
    assert re.findall(r'class="band (hue-\d)"', chart) == ["hue-1"]
    assert "with a band from the least to the most" in report_page(runs[:2])
    assert "with a band from the least to the most" not in report_page(runs[1:])


def test_runs_are_not_averaged_with_another_version_or_one_in_progress() -> None:
    again, short = loop("again", 0, [3, 4]), loop("short", 2, [3])
    unknown = replace(loop("unknown", 3, [3, 4]), settings={})
    runs = [loop("a", 0, [3, 5]), again, short, unknown, loop("b", 1, [5, 5]), loop("c", 1, [6, 6])]
    groups = [[run.name for run in group.runs] for group in by_seed(runs)]
    assert groups == [["a", "b"], ["again", "c"], ["short"], ["unknown"]]


def test_search_and_loop_share_the_axis_of_programs_tried() -> None:
    learning = loop("loop", 0, [3, 5, 6])
    evolving = loop("more", 0, [4, 4], **{"evolution.programs": "7", "evolution.programs_per_iteration": "5"})
    bare = loop("bare", 0, [2, 2], **{"mutation.run_baseline": "False"})
    search = replace(learning, name="search", kind="search", metrics={}, curve={20: {"solved_top3": 9}})
    assert len(run_charts.curves([learning, evolving])) == 1
    _, chart = run_charts.curves([learning, evolving, bare, search])
    assert lines(chart) == {
        "loop": ["3 at 10", "5 at 12", "6 at 14"],
        "more": ["4 at 17", "4 at 24"],
        "bare": ["2 at 2"],
        "search": ["9 at 20"],
    }


def test_gallery_has_every_task_with_solved_ones_first(made: list[Path]) -> None:
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
        assert [set(one.ranks) for one in entry.programs] == [{0, 1}] * len(entry.programs)
        if entry.status == "solved":
            assert entry.best is not None
            assert all(entry.best(pair.input) == pair.output for pair in entry.task.test)
    counts = primitives_of_solutions(entries)
    assert list(counts.values()) == sorted(counts.values(), reverse=True)
    assert max(counts.values()) <= len(solved)
    assert differing_settings(runs) == {"replay.prioritized": ["True", "False"]}


def with_fewer_programs(results: Path, directory: Path, programs: int) -> Path:
    """Return a copy of published results with only their first programs."""
    made = directory / results.name
    shutil.copytree(results, made)
    rows = (results / "solutions.jsonl").read_text().splitlines(keepends=True)
    (made / "solutions.jsonl").write_text("".join(rows[:programs]))
    return made


def test_report_holds_everything_and_loads_nothing(made: list[Path], tmp_path: Path) -> None:
    page = report_page(read_runs([*made, with_fewer_programs(RESULTS / "baseline", tmp_path, 90)]))
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
        indices = [index for pair in [*sheet["pairs"], *sheet["tests"]] for index in pair]
        indices += [index for program in sheet["programs"] for trace in program["trace"] for index in trace]
        assert set(indices) <= set(range(len(sheet["views"])))
        if card["status"] == "solved":
            assert any(all(program["answers_right"]) for program in sheet["programs"])
    for text in (
        "paper: mutation baseline",
        "not by without",
        "Settings that differ",
        "replay.prioritized",
        "Time by phase",
    ):
        assert text in page
    assert len(page) < 2_000_000


def test_paper_figures_are_shown_only_for_the_same_tasks(made: list[Path], tmp_path: Path) -> None:
    assert "paper: CodeIt" in report_page(read_runs([with_fewer_programs(RESULTS / "codeit", tmp_path, 5)]))
    assert "paper: CodeIt" not in report_page(read_runs(made))


def test_text_from_files_is_escaped(tmp_path: Path) -> None:
    nasty = "</script><img src=x onerror=alert(1)>"
    directory = tmp_path / "tasks"
    directory.mkdir()
    pair = {"input": [[1]], "output": [[1]]}
    name = nasty.replace("/", "")
    (directory / f"{name}.json").write_text(json.dumps({"train": [pair], "test": [pair]}))
    (task,) = load_tasks(directory)
    for page in (
        answer_page(nasty, task, [], []),
        explain_page(Program.parse("O = identity(I)"), task),
    ):
        assert "<img" not in page
        assert page.count("</script>") == page.count("<script")


def test_answer_page_has_answers_and_no_test_output(evaluation: dict[str, Task]) -> None:
    task, program = evaluation["0c786b71"], Program.parse("x1 = vmirror(I)\nO = hconcat(x1, I)")
    attempts = [[program(pair.input), pair.input] for pair in task.test]
    sheet = Reader(answer_page("A puzzle", task, [Candidate(task.id, program, 0)], attempts)).json["data"]
    assert [len(test) for test in sheet["tests"]] == [1] * len(task.test)
    assert [len(answers) for answers in sheet["attempts"]] == [2] * len(task.test)
    assert sheet["attempts"][0][1] == sheet["tests"][0][0]
    assert [one["solved"] for one in sheet["programs"]] == [0]
    assert "No program was found" in answer_page("A puzzle", task, [], [[] for _ in task.test])


def test_answer_page_tells_what_the_terminal_does(evaluation: dict[str, Task]) -> None:
    task, program = evaluation["0c786b71"], Program.parse("x1 = vmirror(I)\nO = hconcat(x1, I)")
    wrong, right = [[pair.input] for pair in task.test], [[pair.output] for pair in task.test]
    for attempts, correct in ((wrong, 0), (right, len(task.test))):
        page = answer_page(
            "A puzzle", task, [Candidate(task.id, program, 0, votes=1234)], attempts, tried=5678, outputs=True
        )
        sheet = Reader(page).json["data"]
        assert f"Correct: {correct} of {len(task.test)} known test outputs." in page
        assert "The search tried 5,678 programs." in page
        assert sheet["programs"][0]["notes"] == ["1,234 votes"]
        same = [given[0] == test[1] for given, test in zip(sheet["attempts"], sheet["tests"], strict=True)]
        assert same == [bool(correct)] * len(task.test)


def test_explain_page_can_have_the_test_inputs(evaluation: dict[str, Task]) -> None:
    task, program = evaluation["00576224"], Program.parse("O = vmirror(I)")
    lengths = [
        len(Reader(explain_page(program, task, tests=tests)).json["data"]["programs"][0]["trace"])
        for tests in (False, True)
    ]
    assert lengths == [len(task.train), len(task.train) + len(task.test)]


def test_line_chart_has_its_figures_as_text() -> None:
    lines = [Series("a & b", [(0, 1), (1, 3)]), Series("none", []), Series("c", [(1, 2)], 9, dashed=True)]
    chart = line_chart("Title", lines, Axis("iteration"), Axis("tasks"), [Reference("known", [(None, 4)])])
    assert "a &amp; b: 3 at 1" in chart
    assert "known: 4" in chart
    assert "none" not in chart
    assert "hue-2 dashed" in chart
    assert chart.count("<circle") == 3
    assert '<th scope="row">1</th><td>3</td><td>2</td>' in chart
    assert line_chart("Title", [Series("none", [])], Axis("x"), Axis("y")) == ""
    assert ">iteration</text>" in chart and ">tasks</text>" in chart
    heights = [float(y) for y in re.findall(r'cx="[\d.]+" cy="([\d.]+)"', chart)]
    assert heights[1] < heights[2] < heights[0]


@pytest.mark.parametrize("points", [[(600, 5)], [(600, 5), (960_000, 70)], [(1, 0), (2, 0)]])
def test_logarithmic_axis_has_ticks(points: list[tuple[float, float]]) -> None:
    chart = line_chart(
        "Title", [Series("a", points)], Axis("programs", log=True), Axis("share", percent=True)
    )
    assert len(re.findall(r'text-anchor="middle"', chart)) >= 3
    for x in re.findall(r'cx="([\d.]+)"', chart):
        assert 46 <= float(x) <= 480


def test_bars_are_scaled_to_the_longest_and_have_the_colour_of_their_run() -> None:
    groups = [("a", 0, {"train": 30, "sample": 10}), ("b", 4, {"sample": 7.5}), ("c", 1, {})]
    figure = bars("Time", groups, "minutes")
    widths = re.findall(r'class="(hue-\d)" style="width:([\d.]+)%', figure)
    assert widths == [("hue-1", "100.00"), ("hue-1", "33.33"), ("hue-5", "25.00")]
    assert "a: 40 minutes" in figure and "b: 7.5 minutes" in figure
    assert bars("Time", [("c", 0, {})], "minutes") == ""


def test_logarithmic_axis_leaves_out_zero() -> None:
    x, y = Axis("programs", log=True), Axis("tasks")
    assert line_chart("Title", [Series("a", [(0, 0), (10, 1)])], x, y).count("<circle") == 1
    assert line_chart("Title", [Series("a", [(0, 0)])], x, y) == ""
    assert "circle cx" not in line_chart_file("Title", [Series("a", [(0, 0)])], x, y)


@pytest.mark.parametrize("highest", [4, 9, 11, 109, 400])
def test_axis_of_whole_numbers_has_whole_ticks_that_reach_the_highest_value(highest: int) -> None:
    chart = line_chart("Title", [Series("a", [(1, highest)])], Axis("x"), Axis("tasks", whole=True))
    ticks = [float(text) for text in re.findall(r'text-anchor="end">([^<]*)</text>', chart)]
    assert all(tick.is_integer() for tick in ticks)
    assert ticks[0] == 0 and ticks[-1] >= highest > ticks[-2]


def test_curve_file_is_standalone_and_the_same_each_time(tmp_path: Path, evaluation: dict[str, Task]) -> None:
    tasks = list(evaluation.values())
    curve = {n: replace(score({}, tasks), solved_top3=n // 100) for n in (0, 600, 1200)}
    file, again = tmp_path / "curve.svg", tmp_path / "again.svg"
    for path in (file, again):
        draw(path, {"a & b": curve}, {"paper": {900: 28, 9000: 32}}, "programs tried")
    assert file.read_bytes() == again.read_bytes()
    svg = ElementTree.parse(file).getroot()
    space = "{http://www.w3.org/2000/svg}"
    assert svg.tag == space + "svg"
    texts = [element.text for element in svg.iter(space + "text")]
    assert {"a & b", "paper", "programs tried", "tasks solved (top 3)", "1,000"} <= set(texts)
    assert len(list(svg.iter(space + "circle"))) == 2  # not the point at 0 programs
    assert [group.get("class") for group in svg if group.get("class") == "known"] == ["known", "known"]
    text = file.read_text()
    assert "prefers-color-scheme: dark" in text
    assert not re.search(r"(href|src|url|@import)", text)
    draw(file, {"none": {0: score({}, tasks)}}, {}, "programs tried")
    assert ElementTree.parse(file).getroot().tag == space + "svg"
