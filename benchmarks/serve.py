"""How fast the page of `codeit serve` is, in a headless Chromium: `python benchmarks/serve.py`.

First paint of the page; the time from a press on a cell until it is drawn, on the largest grid, with
and without numbers; the time from "Solve" until an answer of a program that solves all
demonstrations is on the page. Medians, and the slowest. Needs chromium and chromedriver.
"""

from __future__ import annotations

import json
import statistics
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

from pages import Page, browser
from serving import TASK, server

LOADS, CELLS = 7, 40
TASKS = ["68b67ca3", "cd3c21df", "67a3c6ac", "6fa7a44f", "ed36ccf7"]
"""Tasks of ARC-AGI-1 that the enumeration solves."""
SOLVE_SECONDS = 30

DRAW = """
const done = arguments[0], canvas = document.querySelector('.canvas');
const box = canvas.firstChild.getBoundingClientRect(), times = [];
(async () => {
  for (let k = 0; k < CELLS; k++) {
    await new Promise(next => requestAnimationFrame(next));
    const place = (from, room, step) => from + 3 + ((k * step) % (room - 6));
    const at = {clientX: place(box.left, box.width, 29), clientY: place(box.top, box.height, 53)};
    const start = performance.now();
    for (const type of ['pointerdown', 'pointerup'])
      canvas.dispatchEvent(new PointerEvent(type, {...at, pointerId: 1, button: 0, bubbles: true}));
    const computed = performance.now() - start;
    await new Promise(next => requestAnimationFrame(() => setTimeout(next)));
    times.push([computed, performance.now() - start]);
  }
  done(times);
})();
""".replace("CELLS", str(CELLS))
SOLVE = """
const done = arguments[0], start = performance.now();
const look = () => {
  const solved = document.querySelector('.candidate .good') && document.querySelector('#attempts svg');
  if (solved || !document.getElementById('anew').hidden) done([Boolean(solved), performance.now() - start]);
  else requestAnimationFrame(look);
};
document.getElementById('solve').click();
look();
"""


def show(name: str, times: Sequence[float]) -> None:
    print(f"{name}: median {statistics.median(times):,.0f} ms, slowest {max(times):,.0f} ms", flush=True)


def open_puzzle(page: Page, address: str, task: Any) -> None:
    page.visit(address)
    page.driver.execute_script("sessionStorage.setItem('codeit.puzzle', arguments[0])", json.dumps(task))
    page.visit(address)
    page.until(lambda: page.script("document.querySelector('.canvas svg')"))


def main() -> None:
    with server() as made, browser(offline=False) as driver:
        page = Page(driver)
        driver.set_script_timeout(2 * SOLVE_SECONDS)
        paints = []
        for _ in range(LOADS):
            page.visit(made.address)
            page.until(lambda: page.script("performance.getEntriesByName('first-contentful-paint').length"))
            paints.append(page.script("performance.getEntriesByName('first-contentful-paint')[0].startTime"))
        show("first paint", paints)
        large = [[(i * j) % 10 for j in range(30)] for i in range(30)]
        task = {"id": "large", "train": [{"input": large, "output": large}] * 3, "test": [{"input": large}]}
        open_puzzle(page, made.address, task)
        for name in ("a cell of 900", "a cell of 900, with numbers"):
            times = driver.execute_async_script(DRAW)
            show(f"{name}, computed", [one for one, _ in times])
            show(f"{name}, painted", [one for _, one in times])
            page.one(".numbers").click()
        tasks = [TASK]
        tasks += [made.json(f"/api/task?set=arc-agi-1/evaluation&id={task_id}")[1] for task_id in TASKS]
        answers = []
        for task in tasks:
            open_puzzle(page, made.address, task)
            page.enter("#seconds", str(SOLVE_SECONDS))
            solved, milliseconds = driver.execute_async_script(SOLVE)
            print(f"  {task['id']}: {'solved' if solved else 'not solved'} after {milliseconds:,.0f} ms")
            answers += [milliseconds] if solved else []
        show("first answer", answers)


if __name__ == "__main__":
    main()
