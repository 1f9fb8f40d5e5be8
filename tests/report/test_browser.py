"""Pages in a real Chromium, opened from a file without a network."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from pages import Page, browser, make_run, missing

from codeit.data.tasks import Task
from codeit.evaluation.candidate import Candidate
from codeit.experiments.submission import submission
from codeit.language import Program
from codeit.report.page import answer_page, explain_page
from codeit.report.run_page import report_page
from codeit.report.runs import read_runs

pytest.importorskip("selenium", reason="selenium is not installed (pip install 'codeit[dev]')")
if missing():
    pytest.skip(missing(), allow_module_level=True)

from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys


@pytest.fixture(scope="module")
def driver() -> Iterator[Any]:
    with browser() as made:
        yield made


@pytest.fixture
def page(driver: Any) -> Iterator[Page]:
    """A page. After the test it must have logged no message and requested nothing."""
    made = Page(driver)
    made.messages()
    yield made
    assert made.messages() == []
    assert made.script("performance.getEntriesByType('resource').map(one => one.name)") == []


@pytest.fixture(scope="module")
def report(
    tmp_path_factory: pytest.TempPathFactory, training: dict[str, Task], experts: dict[str, Program]
) -> Path:
    """A report of two runs of 21 tasks, a third of which have no program."""
    directory = tmp_path_factory.mktemp("report")
    settings = '[data]\ntest = "arc-agi-1/training"\ntasks = 21\n'
    for name in ("one", "two"):
        make_run(directory / name, list(training.values())[:21], experts, 3, settings)
    made = directory / "report.html"
    made.write_text(report_page(read_runs([directory / "one", directory / "two"])))
    return made


def test_report_shows_charts_and_tasks(page: Page, report: Path) -> None:
    page.open(report)
    assert "one and two" in page.one("h1").text
    assert len(page.shown(".chart")) >= 6
    assert len(page.script("[...document.querySelectorAll('.chart svg .line path')]")) >= 12
    assert len(page.shown("#gallery li")) == 21
    assert page.one("#count").text == "21 of 21 tasks"
    marks = page.script("[...document.querySelectorAll('#gallery .mark')].map(one => one.textContent)")
    assert marks == sorted(marks, key="✓◐◔○".index)
    assert marks[0] == "✓"
    page.driver.execute_script("document.getElementById('tasks').scrollIntoView()")
    page.until(lambda: page.shown("#gallery .thumbs svg"))


def test_filters_select_tasks(page: Page, report: Path) -> None:
    page.open(report)
    cards = page.script("JSON.parse(document.getElementById('cards').textContent)")

    def listed() -> set[str]:
        codes = "document.querySelectorAll('#gallery li:not([hidden]) code')"
        return set(page.script(f"[...{codes}].map(one => one.textContent)"))

    page.enter("#search", cards[3]["id"][:4].upper())
    assert listed() == {card["id"] for card in cards if cards[3]["id"][:4] in card["id"]}
    page.enter("#search", "no such id")
    assert listed() == set()
    assert page.one("#nothing").text == "No task matches."
    page.driver.find_element(By.ID, "search").clear()
    page.driver.find_element(By.ID, "search").send_keys(Keys.SPACE, Keys.BACKSPACE)
    for status in ("solved", "none"):
        page.one(f"#status option[value={status}]").click()
        assert listed() == {card["id"] for card in cards if card["status"] == status}
        assert page.one("#count").text == f"{len(listed())} of 21 tasks"
    page.one("#status option[value='']").click()
    page.enter("#primitive", "objects")
    assert listed() == {card["id"] for card in cards if "objects" in card["primitives"]}
    page.driver.find_element(By.ID, "primitive").clear()
    page.one("#by option[value='1']").click()
    assert listed() == {card["id"] for card in cards if 1 in card["by"]}


def test_tasks_can_be_ordered_by_lines(page: Page, report: Path) -> None:
    page.open(report)
    cards = page.script("JSON.parse(document.getElementById('cards').textContent)")
    lines = {card["id"]: card["lines"] for card in cards}

    def listed() -> list[str]:
        return page.script("[...document.querySelectorAll('#gallery code')].map(one => one.textContent)")

    found = sorted(filter(None, lines.values()))
    without = [0] * (len(cards) - len(found))
    assert len({*found}) > 1
    page.one("#order option[value=shortest]").click()
    assert [lines[one] for one in listed()] == [*found, *without]
    page.one("#order option[value=longest]").click()
    assert [lines[one] for one in listed()] == [*found[::-1], *without]
    page.one("#order option[value='']").click()
    assert listed() == [card["id"] for card in cards]


def test_choosing_a_primitive_shows_its_tasks(page: Page, report: Path) -> None:
    page.open(report)
    bar = page.one("#used button")
    name, count = bar.get_attribute("data-primitive"), bar.text.split()[-1]
    bar.click()
    assert page.one("#primitive").get_property("value") == name
    assert page.one("#count").text == f"{count} of 21 tasks"


def test_opened_task_has_its_trace_and_neighbours(page: Page, report: Path) -> None:
    page.open(report)
    card = page.one("#gallery button")
    task_id = card.find_element(By.CSS_SELECTOR, "code").text
    card.click()
    page.until(lambda: page.shown("dialog[open] .sheet"))
    assert page.one("#task-title").text == task_id
    assert page.script("location.hash") == f"#task={task_id}"
    assert len(page.shown("dialog .pair svg")) >= 6
    assert "✓ right" in page.one("dialog .program .answers").text
    assert page.shown("dialog table") == []
    page.one("dialog details summary").click()
    page.until(lambda: page.shown("dialog .trace"))
    lines = page.shown("dialog .program:first-of-type pre")[0].text.splitlines()
    assert len(page.shown("dialog .trace tbody tr")) == len(lines) + 1
    assert (
        len(page.shown("dialog .trace tbody tr:last-child svg"))
        == len(page.shown("dialog .trace thead th")) - 1
    )
    page.one("#next").click()
    page.until(lambda: page.one("#task-title").text != task_id)
    page.driver.switch_to.active_element.send_keys(Keys.ARROW_LEFT)
    page.until(lambda: page.one("#task-title").text == task_id)
    page.driver.switch_to.active_element.send_keys(Keys.ESCAPE)
    page.until(lambda: not page.shown("dialog"))
    assert page.script("location.hash") == ""
    assert task_id in page.driver.switch_to.active_element.text


def test_link_opens_its_task_and_back_closes_it(page: Page, report: Path) -> None:
    page.open(report)
    task_id = page.shown("#gallery code")[2].text
    page.shown("#gallery button")[2].click()
    page.until(lambda: page.shown("dialog .sheet"))
    page.driver.back()
    page.until(lambda: not page.shown("dialog"))
    page.driver.get(f"{report.as_uri()}#task={task_id}")
    page.driver.refresh()
    page.until(lambda: page.shown("dialog .sheet"))
    assert page.one("#task-title").text == task_id


def test_numbers_switch_shows_numbers_in_cells(page: Page, report: Path) -> None:
    page.open(report)
    page.one("#gallery button").click()
    page.until(lambda: page.shown("dialog .sheet"))
    assert page.script("document.querySelectorAll('dialog .digit').length") == 0
    page.one("dialog .numbers").click()
    grid = page.one("dialog .pair svg")
    digits = [text.get_attribute("textContent") for text in grid.find_elements(By.CSS_SELECTOR, ".digit")]
    assert "".join(digits) in grid.get_attribute("aria-label").replace(" ", "")
    assert page.one("dialog .numbers").get_attribute("aria-pressed") == "true"
    assert page.script("document.querySelectorAll('#gallery svg').length") > 0
    assert page.script("document.querySelectorAll('#gallery .digit').length") == 0  # no room
    page.one("dialog .numbers").click()
    assert page.script("document.querySelectorAll('dialog .digit').length") == 0


def test_theme_follows_the_system_and_its_switch(page: Page, report: Path) -> None:
    page.open(report, scheme="dark")
    assert page.background() < 150
    page.open(report, scheme="light")
    assert page.background() > 700
    for name in ("light", "dark", "auto"):
        page.one("#theme").click()
        assert page.one("#theme").text == f"Theme: {name}"
        assert (page.background() < 150) is (name == "dark")


@pytest.mark.parametrize("width", [390, 320])
def test_narrow_page_does_not_scroll_sideways(page: Page, report: Path, width: int) -> None:
    page.open(report, width=width)
    assert page.script("innerWidth") == width
    assert page.fits()
    page.driver.execute_script("document.querySelector('#gallery button').click()")
    page.until(lambda: page.shown("dialog .sheet"))
    page.driver.execute_script("document.querySelector('dialog details summary').click()")
    page.until(lambda: page.shown("dialog .trace"))
    assert page.fits()


def test_keyboard_and_screen_reader_reach_the_content(page: Page, report: Path) -> None:
    page.open(report)
    page.driver.find_element(By.TAG_NAME, "body").send_keys(Keys.TAB)
    assert page.driver.switch_to.active_element.text == "Skip to the content"
    unnamed = "[...document.querySelectorAll('svg[role=img], button, input, select')].filter(one => "
    unnamed += "!one.getAttribute('aria-label') && !one.textContent.trim() && !one.closest('label'))"
    assert page.script(unnamed + ".map(one => one.outerHTML)") == []
    page.one("#order").send_keys(Keys.TAB)
    card = page.driver.switch_to.active_element
    assert page.script("document.activeElement.closest('#gallery') !== null")
    outline = [card.value_of_css_property(f"outline-{part}") for part in ("style", "width", "offset")]
    assert outline == ["solid", "3px", "-3px"]  # inside the card, which clips what lies outside


def test_explain_page_and_answer_page_are_drawn(
    page: Page, tmp_path: Path, training: dict[str, Task], experts: dict[str, Program]
) -> None:
    task, expert = training["05f2a901"], experts["05f2a901"]
    file = tmp_path / "page.html"
    file.write_text(explain_page(expert, task, tests=True))
    page.open(file)
    rows = page.shown(".trace tbody tr")
    assert len(rows) == len(expert) + 1
    assert [len(row.find_elements(By.CSS_SELECTOR, "svg")) for row in rows] == [4, 4, 0, 0, 4, 4, 0, 4]
    assert rows[-1].text.count("✓ right") == 3
    assert "2 objects, 10 cells" in rows[1].text
    heads = [head.text for head in page.shown(".trace thead th")]
    assert heads == ["Line", "train[0]", "train[1]", "train[2]", "test[0]"]
    assert [head.text for head in page.shown(".pair h3")] == heads[1:]
    wrong = Program.parse("x1 = size(I)\nO = hmirror(x1)")
    answers = [[expert(pair.input)] for pair in task.test]
    file.write_text(
        answer_page("A puzzle", task, [Candidate(task.id, expert, 3), Candidate(task.id, wrong, 0)], answers)
    )
    page.open(file, width=390)
    assert page.fits()
    assert page.one("h1").text == "A puzzle"
    assert [fact.text for fact in page.shown(".facts span")][1] == "solves 3 of 3 demonstrations"
    assert page.shown(".trace") == []
    for summary in page.shown("details summary"):
        summary.click()
    page.until(lambda: len(page.shown(".trace")) == 2)
    assert page.shown(".trace")[1].text.count("✗ error: hmirror: ") == 3


def test_answer_page_saves_its_answers_and_programs(
    page: Page, tmp_path: Path, training: dict[str, Task], experts: dict[str, Program]
) -> None:
    task, expert = training["05f2a901"], experts["05f2a901"]
    other = Program.parse("O = vmirror(I)")
    answers = [[one(pair.input) for one in (expert, other)] for pair in task.test]
    file = tmp_path / "page.html"
    file.write_text(
        answer_page("A puzzle", task, [Candidate(task.id, expert, 3), Candidate(task.id, other, 0)], answers)
    )
    page.open(file)
    saved = page.driver.execute_async_script(
        "const done = arguments[0], links = [...document.querySelectorAll('a[download]')];"
        "Promise.all(links.map(async a => [a.download, await (await fetch(a.href)).text()])).then(done)"
    )
    # A link with an object URL would keep its text after the sheet is closed.
    assert page.script("[...document.links].every(one => /^(data:|#|file:)/.test(one.href))")
    assert [name for name, _ in saved] == [
        "05f2a901-submission.json", "05f2a901-program-1.txt", "05f2a901-program-2.txt",
    ]  # fmt: skip
    texts = [text for _, text in saved]
    assert json.loads(texts[0]) == json.loads(submission({task.id: answers}))
    assert [Program.parse(text) for text in texts[1:]] == [expert, other]
    page.one(".copies button").click()
    selected = "getSelection().toString().trim()"
    page.until(lambda: page.one(".copies button").text == "Copied" or page.script(selected) == str(expert))
