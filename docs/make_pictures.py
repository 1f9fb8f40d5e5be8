"""Make the pictures of docs/tour.md: `python docs/make_pictures.py` (needs chromium, chromium-driver).

The terminal pictures are the output of the commands, recorded by rich and drawn by the browser. The
pages are screenshots. Everything comes from published results, so the pictures can be repeated.
"""

from __future__ import annotations

import io
import json
import re
import sys
import time
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from rich.console import Console
from rich.terminal_theme import DIMMED_MONOKAI

DOCS = Path(__file__).parent
ROOT = DOCS.parent
sys.path.insert(0, str(ROOT / "tests"))

from pages import browser  # noqa: E402
from serving import server  # noqa: E402

from codeit.cli import main, show, solve, tasks  # noqa: E402
from codeit.data.tasks import find_task  # noqa: E402
from codeit.language import Program  # noqa: E402
from codeit.report.notebook import to_html  # noqa: E402

EVOLUTION = str(ROOT / "results/evolution/solutions.jsonl")
TERMINAL = {
    "tour-task": ["tasks", "show", "cd3c21df"],
    "tour-solve": ["solve", "cd3c21df", "--policy", "none", "--populations", "1", "--programs", "20000"],
    "tour-explain": ["explain", EVOLUTION, "cd3c21df"],
}
SHOWN_AS = {"tour-solve": "codeit solve cd3c21df", "tour-explain": "codeit explain solutions.jsonl cd3c21df"}
"""The commands as the pictures show them, where that differs from what is run."""
COLUMNS = 88
PROGRAM = "x1 = objects(I, F, F, T)\nx2 = argmin(x1, height)\nO = subgrid(x2, I)"
"""What a notebook traces."""


def record(arguments: list[str], shown: str) -> str:
    """Run a command and return its output as an SVG picture."""
    console = Console(
        record=True,
        width=COLUMNS,
        force_terminal=True,
        color_system="truecolor",
        highlight=False,
        file=io.StringIO(),
    )
    console.print(f"[bold]$[/bold] {shown}")
    for module in (main, show, solve, tasks):
        module.console = console
    main.app(arguments)
    return console.export_svg(title="", theme=DIMMED_MONOKAI)


def shoot(
    driver: Any,
    page: Path,
    name: str,
    width: int,
    height: int | None = None,
    fragment: str = "",
    script: str = "",
) -> None:
    """Save a screenshot of a page, as high as the page unless `height` says otherwise.

    `fragment` is the part of the address behind #; `script` runs before the picture is taken.
    """
    view = {"width": width, "height": height or 1000, "deviceScaleFactor": 1, "mobile": False}
    driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", view)
    driver.get("about:blank")
    driver.get(page.as_uri() + fragment)
    driver.execute_script(script)
    if height is None:
        view["height"] = driver.execute_script("return document.documentElement.scrollHeight")
        driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", view)
    time.sleep(0.5)  # grids are drawn when they come into view
    driver.save_screenshot(str(DOCS / f"{name}.png"))


def serve(driver: Any) -> None:
    """Save a screenshot of `codeit serve` after a search for a task."""
    with server() as running:
        view = {"width": 1200, "height": 1150, "deviceScaleFactor": 1, "mobile": False}
        driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", view)
        _, task = running.json("/api/task?set=arc-agi-1/evaluation&id=cd3c21df")
        driver.get(running.address)
        driver.execute_script("sessionStorage.setItem('codeit.puzzle', arguments[0])", json.dumps(task))
        driver.refresh()
        driver.execute_script("document.getElementById('solve').click()")
        while not driver.execute_script("return !document.getElementById('anew').hidden"):
            time.sleep(0.2)
        scroll = "document.getElementById('answer').scrollIntoView({behavior: 'instant'})"
        driver.execute_script(f"{scroll}; scrollBy({{top: 45, behavior: 'instant'}})")
        time.sleep(0.5)
        driver.save_screenshot(str(DOCS / "tour-serve.png"))


def dark(driver: Any, on: bool) -> None:
    """Make pages dark or light."""
    feature = {"name": "prefers-color-scheme", "value": "dark" if on else "light"}
    driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": [feature]})


def draw(directory: Path) -> None:
    with browser() as driver:
        for name, arguments in TERMINAL.items():
            svg = record(arguments, SHOWN_AS.get(name, "codeit " + " ".join(arguments)))
            width, height = (float(n) for n in re.findall(r'viewBox="0 0 ([\d.]+) ([\d.]+)"', svg)[0])
            file = directory / f"{name}.html"
            file.write_text(f"<body style='margin:0'>{svg.replace('<svg ', f'<svg width={width} ', 1)}")
            shoot(driver, file, name, round(width), round(height))
        page, report = directory / "page.html", directory / "report.html"
        main.app(["explain", EVOLUTION, "21f83797", "--html", str(page)])
        folders = [str(ROOT / "results" / name) for name in ("codeit", "search", "laptop")]
        main.app(["report", *folders, "--out", str(report)])
        cell, program = directory / "cell.html", Program.parse(PROGRAM)
        trace = program.trace(find_task("cd3c21df").train[2].input)
        cell.write_text(f"<!doctype html><body style='font: 14px sans-serif'>{to_html(trace)}")
        shoot(driver, cell, "tour-notebook", 440, 700)
        shoot(driver, page, "tour-page", 960)
        shoot(driver, report, "tour-report", 1200, 1150)
        numbers = "[...document.querySelectorAll('button')].find(b => b.textContent == 'Numbers').click()"
        dark(driver, True)
        shoot(driver, report, "tour-gallery", 1200, 900, "#tasks")
        dark(driver, False)
        shoot(driver, report, "tour-phone", 390, 800, "#task=cd3c21df", numbers)
    with browser(offline=False) as driver:
        serve(driver)


if __name__ == "__main__":
    with TemporaryDirectory() as temporary:
        draw(Path(temporary))
