"""Measure how soon the page of `codeit serve` appears, draws a cell, and shows an answer.

    python benchmarks/serve.py

In a headless Chromium: the time until the page is first painted; from a press on a cell until the
frame after it is drawn, in a grid of 30 by 30; and from a request for a search until its first
program that solves all demonstrations of a simple puzzle. Medians of `--repeats`, with the minimum
and the maximum. Needs chromium and chromedriver.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))
from pages import browser, missing
from serving import TASK, server

_PAINT = 'return performance.getEntriesByName("first-contentful-paint")[0].startTime;'
_DRAW = """
const done = arguments[0], canvas = document.querySelector(".canvas");
const box = canvas.getBoundingClientRect();
const at = {clientX: box.left + Math.random() * box.width, clientY: box.top + Math.random() * box.height};
const started = performance.now();
canvas.dispatchEvent(new PointerEvent("pointerdown", {bubbles: true, pointerId: 1, button: 0, ...at}));
canvas.dispatchEvent(new PointerEvent("pointerup", {bubbles: true, pointerId: 1, button: 0, ...at}));
requestAnimationFrame(() => setTimeout(() => done(performance.now() - started)));
"""
_LARGE = "const s = document.querySelector(\"[aria-label='train[0] input: {}']\"); s.value = 30; "
_CHANGED = 's.dispatchEvent(new Event("change", {bubbles: true}));'


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--repeats", type=int, default=10)
    repeats: int = parser.parse_args().repeats
    if reason := missing():
        raise SystemExit(reason)
    times: dict[str, list[float]] = {"first paint": [], "a cell drawn": [], "first answer": []}
    with server("--searches", "2") as running, browser(offline=False) as driver:
        for _ in range(repeats):
            driver.get("about:blank")
            driver.get(running.address)
            time.sleep(0.5)  # the first paint follows the load event
            times["first paint"].append(driver.execute_script(_PAINT))
        for side in ("rows", "columns"):
            driver.execute_script(_LARGE.format(side) + _CHANGED)
        for _ in range(repeats):
            times["a cell drawn"].append(driver.execute_async_script(_DRAW))
        drawn = driver.execute_script('return sessionStorage.getItem("codeit.puzzle")')
        assert "1" in drawn.split('"input":')[1], "no cell was drawn"
        for _ in range(repeats):
            started = time.monotonic()
            with running.search({"task": TASK, "seconds": 30}) as events:
                for event in events:
                    if any(one["solved"] == len(TASK["train"]) for one in event.get("programs", [])):
                        break
            times["first answer"].append(1000 * (time.monotonic() - started))
    for name, of in times.items():
        print(f"{name}: {statistics.median(of):,.0f} ms ({min(of):,.0f} to {max(of):,.0f})")


if __name__ == "__main__":
    main()
