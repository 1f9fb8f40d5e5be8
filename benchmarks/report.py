"""Measure the size of the report of a long run, and how soon it opens in a browser.

    python benchmarks/report.py [--tasks 400] [--iterations 100]

The goal is that a report of 400 tasks and 100 iterations opens in under 2 s. The run is made up: it
has found the experts of the training tasks, each in three forms, so that two tasks in three have
three programs of about 20 lines with their traces, which is more than in a real run. The browser
measures five times how long it takes until the page is parsed and its scripts have run, and until
it is first painted. Needs chromium and chromedriver.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import time
from pathlib import Path
from tempfile import TemporaryDirectory

from codeit.data.experts import load_experts
from codeit.data.tasks import load_tasks
from codeit.report.run_page import report_page
from codeit.report.runs import read_runs

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))
from pages import browser, make_run, missing

_TIMES = """
const [page] = performance.getEntriesByType("navigation");
const [paint] = performance.getEntriesByName("first-contentful-paint");
return [page.loadEventEnd, paint ? paint.startTime : NaN];
"""
_OPEN = """
const done = arguments[0], started = performance.now();
new MutationObserver(() => { if (document.querySelector("dialog[open]")) done(performance.now() - started); })
  .observe(document.getElementById("task"), {attributes: true});
document.querySelector("#gallery button").click();
"""


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--tasks", type=int, default=400)
    parser.add_argument("--iterations", type=int, default=100)
    arguments = parser.parse_args()
    if reason := missing():
        raise SystemExit(reason)
    tasks = load_tasks("arc-agi-1/training")[: arguments.tasks]
    with TemporaryDirectory() as directory:
        run, file = Path(directory) / "long", Path(directory) / "report.html"
        settings = f'[data]\ntest = "arc-agi-1/training"\ntasks = {arguments.tasks}\n'
        make_run(run, tasks, load_experts(), arguments.iterations, settings)
        started = time.monotonic()
        page = report_page(read_runs([run]))
        file.write_text(page)
        print(f"written in {time.monotonic() - started:.1f} s, {file.stat().st_size / 1e6:.2f} MB")
        with browser() as driver:
            loaded, painted = [], []
            for _ in range(5):
                driver.get("about:blank")
                driver.get(file.as_uri())
                time.sleep(0.5)  # the first paint follows the load event
                times = driver.execute_script(_TIMES)
                loaded.append(times[0] / 1000)
                painted.append(times[1] / 1000)
            opened = driver.execute_async_script(_OPEN) / 1000
    for name, seconds in (("loaded", loaded), ("first painted", painted)):
        print(f"{name} after {statistics.median(seconds):.2f} s ({min(seconds):.2f} to {max(seconds):.2f})")
    print(f"a task opened in {opened:.2f} s")
    if statistics.median(loaded) > 2:
        raise SystemExit("missed the goal of 2 s")


if __name__ == "__main__":
    main()
