"""The page of `codeit serve` in a real Chromium, used as a reader would use it."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from pages import Page, browser, make_run, missing
from serving import HARD, Server, server, until

from codeit.data.tasks import Task
from codeit.language import Program

pytest.importorskip("selenium", reason="selenium is not installed (pip install 'codeit[dev]')")
if missing():
    pytest.skip(missing(), allow_module_level=True)

from selenium.webdriver.common.action_chains import ActionChains
from selenium.webdriver.common.keys import Keys


@pytest.fixture(scope="module")
def running() -> Iterator[Server]:
    with server("--searches", "2") as made:
        yield made


@pytest.fixture(scope="module")
def driver(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    with browser(offline=False) as made:
        made.downloads = tmp_path_factory.mktemp("downloads")
        allowed = {"behavior": "allow", "downloadPath": str(made.downloads)}
        made.execute_cdp_cmd("Browser.setDownloadBehavior", allowed)
        yield made


class PuzzlePage(Page):
    def press(self, keys: str) -> None:
        self.driver.switch_to.active_element.send_keys(keys)

    def canvas(self, label: str) -> Any:
        return self.one(f".canvas[aria-label^='{label},']")

    def task(self) -> Any:
        return json.loads(self.script("sessionStorage.getItem('codeit.puzzle')"))

    def load(self, task: dict[str, Any]) -> None:
        """Paste a task."""
        self.one("#paste").click()
        field = self.one("#pasted")
        self.driver.execute_script("arguments[0].value = arguments[1]", field, json.dumps(task))
        self.one("#read").click()
        self.until(lambda: not self.shown("dialog"))

    def downloaded(self, to: str) -> Path:
        """Save a file, and return it."""
        before = {*self.driver.downloads.iterdir()}
        self.one(f"#exports [data-to={to}]").send_keys(Keys.ENTER)

        def new() -> list[Path]:
            made = {*self.driver.downloads.iterdir()} - before
            # Chromium first makes an empty file of the final name.
            return [one for one in made if one.suffix != ".crdownload" and one.stat().st_size]

        self.until(new)
        return new()[0]


@pytest.fixture
def page(driver: Any, running: Server) -> Iterator[PuzzlePage]:
    """The page, in a tab without a puzzle. After the test it must have logged no message."""
    made = PuzzlePage(driver)
    made.visit(running.address)
    driver.execute_script("sessionStorage.clear(); localStorage.clear()")
    made.visit(running.address)
    made.messages()
    yield made
    assert made.messages() == []


def test_puzzle_is_drawn_solved_explained_and_exported(page: PuzzlePage, driver: Any) -> None:
    # By hand: a mirror. The first input by the mouse, the others by keys.
    cell = page.script("document.querySelector('.canvas svg').getBoundingClientRect().width / 3")
    first = page.canvas("train[0] input")
    top_left = (-cell, -cell)
    drag = ActionChains(driver).move_to_element_with_offset(first, *top_left).click_and_hold()
    drag.move_by_offset(0, 2 * cell).release().perform()
    assert page.task()["train"][0]["input"] == [[1, 0, 0]] * 3
    page.one("#undo").click()  # a stroke is undone as one
    assert page.task()["train"][0]["input"] == [[0, 0, 0]] * 3
    page.one("#redo").click()
    page.canvas("train[0] input").send_keys(Keys.ARROW_UP, "2", Keys.ARROW_RIGHT, "3")
    drawn = page.task()["train"][0]["input"]
    assert sorted(cell for row in drawn for cell in row) == [0, 0, 0, 0, 0, 1, 1, 2, 3]
    page.one("[aria-label='train[0] output: copy the input']").click()
    assert page.task()["train"][0]["output"] == drawn
    for row in range(3):
        keys = [Keys.ARROW_UP] * 3 + [Keys.ARROW_LEFT] * 3 + [Keys.ARROW_DOWN] * row
        for colour in reversed(drawn[row]):
            keys += [str(colour), Keys.ARROW_RIGHT]
        page.canvas("train[0] output").send_keys(*keys)
    assert page.task()["train"][0]["output"] == [row[::-1] for row in drawn]
    fewer, more = Keys.ARROW_DOWN, Keys.ARROW_UP
    for label, key in {"train[1] input": fewer, "train[1] output": fewer, "test[0] input": more}.items():
        page.one(f"[aria-label='{label}: columns']").send_keys(key)
        page.canvas(label).send_keys(Keys.ARROW_RIGHT * ("output" in label) + "5")
    assert page.task()["train"][1] == {"input": [[5, 0]] + [[0, 0]] * 2, "output": [[0, 5]] + [[0, 0]] * 2}
    page.one("#tool-fill").click()
    page.one("#palette button:nth-child(8)").click()
    page.canvas("test[0] input").click()
    assert page.task()["test"] == [{"input": [[5, 7, 7, 7]] + [[7] * 4] * 2}]

    page.one("#solve").click()
    page.until(lambda: "best solves 2 of 2" in page.one("#status").text and page.shown("#anew"))
    answer = page.one("#attempts svg[aria-label^='test[0] attempt 1']").get_attribute("aria-label")
    assert answer.endswith("3×4 grid: 7775 7777 7777")
    assert page.one("#text").get_property("value") == "O = vmirror(I)"

    page.one(".candidate .small button:last-child").send_keys(Keys.ENTER)  # look inside
    page.press(Keys.HOME)
    assert page.one("#steps [aria-selected=true]").text.startswith("I")
    assert len(page.shown("#values svg")) == 3
    page.press(Keys.ARROW_DOWN)
    assert "vmirror" in page.one("#steps [aria-selected=true]").text
    assert page.one("#values").text.count("✓ right") == 2

    text = page.one("#text")
    text.clear()
    text.send_keys("x1 = hmirror(I)\nO = vmiror(x1)")
    page.until(lambda: "did you mean vmirror?" in page.one("#verdict").text)
    assert [item.get_attribute("class") for item in page.shown("#gutter li")] == ["", "wrong"]
    text.send_keys(Keys.BACKSPACE * 10, "size(x1)")
    page.until(lambda: "0 of 2" in page.one("#verdict").text)
    page.one("#revert").send_keys(Keys.ENTER)
    page.until(lambda: "2 of 2" in page.one("#verdict").text)

    solution, grid = page.downloaded("python"), driver.downloads / "grid.json"
    grid.write_text("[[1, 2, 3]]")
    command = [sys.executable, "-I", str(solution), str(grid)]
    assert json.loads(subprocess.check_output(command)) == [[3, 2, 1]]
    assert json.loads(page.downloaded("task").read_text()) | {"id": "my-puzzle"} == page.task()
    submission = json.loads(page.downloaded("submission").read_text())
    assert submission["my-puzzle"][0]["attempt_1"][0] == [7, 7, 7, 5]
    assert "<!doctype html>" in page.downloaded("html").read_text()


def test_program_is_changed_pinned_and_leads_the_answer(page: PuzzlePage) -> None:
    page.load({"train": [{"input": [[1, 2]], "output": [[2, 1]]}], "test": [{"input": [[3, 4, 0]]}]})
    page.one("#text").send_keys("O = rot180(I)")
    page.until(lambda: "1 of 1" in page.one("#verdict").text)
    page.one("#pin").click()
    page.until(lambda: page.shown("#attempts svg"))
    assert page.shown("#attempts svg")[1].get_attribute("aria-label").endswith("043")
    assert page.one(".candidate.pinned pre").text == "O = rot180(I)"
    page.one("#text").clear()
    page.one("#text").send_keys("O = hmirror(I)")
    page.until(lambda: "0 of 1" in page.one("#verdict").text)
    page.canvas("train[0] output").send_keys("1", Keys.ARROW_RIGHT, "2")  # now it is the identity
    page.until(lambda: "1 of 1" in page.one("#verdict").text)
    page.until(lambda: "solves 0 of 1" in page.one(".candidate.pinned").text)
    assert len(page.shown(".candidate.pinned .cross")) == 1


def test_two_tabs_search_at_once_and_a_closed_tab_ends_its_search(page: PuzzlePage, running: Server) -> None:
    until(lambda: len(running.children()) == 2)  # the workers
    driver, tabs = page.driver, [page.driver.current_window_handle]
    driver.switch_to.new_window("tab")
    tabs.append(driver.current_window_handle)
    page.visit(running.address)
    for tab in tabs:
        driver.switch_to.window(tab)
        page.load(HARD)
        page.enter("#seconds", "600")
        page.one("#solve").click()
        page.until(lambda: page.script("document.querySelector('.candidate')"))
    assert len(running.children()) == 4
    driver.close()
    until(lambda: len(running.children()) == 3)
    driver.switch_to.window(tabs[0])
    page.until(lambda: page.script("document.querySelector('.candidate .cross')"))  # cells that are wrong
    before = page.one("#status").text
    page.until(lambda: page.one("#status").text != before)
    page.one("#stop").click()
    page.until(lambda: page.one("#status").text.startswith("stopped"))
    until(lambda: len(running.children()) == 2)

    def tried() -> int:
        words = page.one("#status").text.replace(",", "").split()
        return int(words[words.index("programs") - 1]) if "programs" in words else 0

    first = tried()
    page.enter("#seconds", "1")
    assert page.one("#solve").text == "Go on"
    page.one("#solve").click()
    page.until(lambda: page.one("#status").text.startswith("time is up"))
    assert tried() > first


def test_hostile_files_are_refused_and_their_text_is_shown_as_text(page: PuzzlePage, tmp_path: Path) -> None:
    before = page.task()
    for name, content in {
        "nested.json": "[" * 100_000,
        "<img src=x onerror=alert(1)>.json": '{"train": [{"input": [[11]], "output": [[0]]}], "test": []}',
        "large.json": " " * 11_000_000,
    }.items():
        (tmp_path / name).write_text(content)
        page.driver.execute_script("document.getElementById('problem').hidden = true")
        page.driver.find_element("id", "file").send_keys(str(tmp_path / name))
        page.until(lambda: page.shown("#problem"))
        assert "expected" in page.one("#problem").text
        assert page.shown("#problem *") == []
    assert page.task() == before
    page.messages()  # of the answers 400 and 413
    (tmp_path / "many.json").write_text(json.dumps({"<b>one</b>": HARD, "two": HARD}))
    page.driver.find_element("id", "file").send_keys(str(tmp_path / "many.json"))
    page.until(lambda: len(page.shown("#gallery li")) == 2)
    assert page.shown("#gallery b") == []
    page.one("#gallery button").click()
    page.until(lambda: page.one("#name").get_property("value") == "<b>one</b>")


@pytest.mark.parametrize("stored", ["{", "null", "{}", '{"train": []}', '{"train": [], "test": []}'])
def test_stored_puzzle_that_is_damaged_gives_an_empty_page(
    page: PuzzlePage, driver: Any, stored: str
) -> None:
    driver.execute_script('sessionStorage.setItem("codeit.puzzle", arguments[0])', stored)
    driver.refresh()
    page.canvas("train[0] input").send_keys("5")
    assert any(5 in row for row in page.task()["train"][0]["input"])


def test_known_task_is_chosen_by_keyboard(page: PuzzlePage) -> None:
    page.one("#choose").send_keys(Keys.ENTER)
    page.until(lambda: page.script("document.querySelectorAll('#gallery li').length") == 400)
    page.press("67a3c6ac" + Keys.TAB)
    page.until(lambda: page.script("document.querySelectorAll('#gallery li:not([hidden])').length") == 1)
    page.driver.switch_to.active_element.send_keys(Keys.TAB)
    page.driver.switch_to.active_element.send_keys(Keys.ENTER)
    page.until(lambda: page.one("#name").get_property("value") == "67a3c6ac")
    assert page.task()["id"] == "67a3c6ac" and "output" in page.task()["test"][0]
    unnamed = (
        "[...document.querySelectorAll('svg[role=img], button, input, select, textarea')].filter(one => "
    )
    unnamed += "!one.getAttribute('aria-label') && !one.textContent.trim() && !one.closest('label') && "
    unnamed += "!document.querySelector(`label[for='${one.id}']`) && one.type !== 'file')"
    assert page.script(unnamed + ".map(one => one.outerHTML)") == []
    for width in (390, 320):
        page.size(width)
        page.until(page.fits)


def test_report_is_loaded_again_when_its_run_changes(
    driver: Any, tmp_path: Path, training: dict[str, Task], experts: dict[str, Program]
) -> None:
    settings = '[data]\ntest = "arc-agi-1/training"\ntasks = 4\n'
    make_run(tmp_path / "one", list(training.values())[:4], experts, 1, settings)
    solutions = tmp_path / "one" / "solutions.jsonl"
    rows = solutions.read_text()
    solutions.write_text("")
    page = PuzzlePage(driver)
    page.messages()
    with server(str(tmp_path / "one")) as made:
        page.visit(made.address)
        solved = "document.querySelector('.headlines b')?.textContent"
        page.until(lambda: page.script(solved) == "0")
        page.enter("#search", "0")
        solutions.write_text(rows)
        page.until(lambda: page.script(solved) not in ("0", None))
        assert page.one("#search").get_property("value") == "0"
    assert [one for one in page.messages() if "/changes" not in one] == []
