"""For tests and benchmarks of pages: a headless Chromium, and folders of runs made up from the experts."""

from __future__ import annotations

import csv
import json
import random
import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from codeit.language import Program
from codeit.storage.metrics import METRICS
from codeit.data.tasks import Task

FLAGS = [
    *("--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync", "--hide-scrollbars"),
]


def missing() -> str:
    """What a browser would need and is not there; "" if there is all."""
    absent = [name for name in ("chromium", "chromedriver") if shutil.which(name) is None]
    return f"no {' and no '.join(absent)} on the path (Debian: chromium, chromium-driver)" if absent else ""


@contextmanager
def browser() -> Iterator[Any]:
    """A Chromium of its own, without a network, that logs what it complains of."""
    from selenium import webdriver
    from selenium.webdriver.chrome.service import Service

    with TemporaryDirectory() as profile:
        options = webdriver.ChromeOptions()
        options.binary_location = shutil.which("chromium") or ""
        for flag in (*FLAGS, f"--user-data-dir={profile}", "--window-size=1280,900"):
            options.add_argument(flag)
        options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
        driver = webdriver.Chrome(options=options, service=Service(shutil.which("chromedriver")))
        try:
            driver.execute_cdp_cmd("Network.enable", {})
            offline = {"offline": True, "latency": 0, "downloadThroughput": -1, "uploadThroughput": -1}
            driver.execute_cdp_cmd("Network.emulateNetworkConditions", offline)
            yield driver
        finally:
            driver.quit()


def make_run(
    folder: Path, tasks: Sequence[Task], experts: Mapping[str, Program], iterations: int, settings: str
) -> None:
    """A loop's files as if the experts had been found along its way, in longer forms first.

    Every third task has no program, every seventh one that is right on no demonstration but the first.
    """
    folder.mkdir()
    rng = random.Random(0)
    (folder / "config.toml").write_text(settings)
    rows = []
    for number, task in enumerate(tasks):
        if number % 3 == 2:
            continue
        expert = experts[task.id]
        for detour in ("hmirror", "vmirror", ""):
            body, last = "\n".join(str(expert).splitlines()[:-1]), str(expert).splitlines()[-1]
            text = f"{body}\n{last}"
            if detour:
                a, b = f"x{len(expert) + 1}", f"x{len(expert) + 2}"
                text = f"{body}\n{last.replace('O =', f'{a} =', 1)}\n{b} = {detour}({a})\nO = {detour}({b})"
            if number % 7 == 6:
                text = "O = hmirror(I)"
            found = rng.randrange(iterations + 1) if detour else iterations
            rows.append({"task": task.id, "program": text.strip(), "iteration": found, "source": "policy"})
    rows.sort(key=lambda row: row["iteration"])
    (folder / "solutions.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    with open(folder / "metrics.csv", "w", newline="") as file:
        writer = csv.DictWriter(file, ["iteration", *METRICS])
        writer.writeheader()
        for k in range(iterations + 1):
            drawn = {
                name: f"{rng.random():.6g}" for name in METRICS if k or name[:6] not in ("policy", "share_")
            }
            writer.writerow({"iteration": k, **drawn})
