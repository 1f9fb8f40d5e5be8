"""For tests and benchmarks of pages: a headless Chromium, and directories of made-up runs."""

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

from codeit.data.tasks import Task
from codeit.language import Program
from codeit.storage.metrics import METRICS

FLAGS = [
    *("--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync", "--hide-scrollbars"),
]


def missing() -> str:
    """Return what is missing to start a browser, or "" if nothing is."""
    absent = [name for name in ("chromium", "chromedriver") if shutil.which(name) is None]
    return f"no {' and no '.join(absent)} on the path (Debian: chromium, chromium-driver)" if absent else ""


class Page:
    """An open page, used as a reader would use it."""

    def __init__(self, driver: Any) -> None:
        self.driver = driver

    def open(self, file: Path, width: int = 1280, scheme: str = "light") -> None:
        self.visit(file.as_uri(), width, scheme)

    def size(self, width: int) -> None:
        size = {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": width < 600}
        self.driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)

    def visit(self, address: str, width: int = 1280, scheme: str = "light") -> None:
        self.size(width)
        media = {"prefers-color-scheme": scheme, "prefers-reduced-motion": "reduce"}
        features = [{"name": name, "value": value} for name, value in media.items()]
        self.driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": features})
        self.driver.get("about:blank")
        self.driver.get(address)

    def script(self, text: str) -> Any:
        return self.driver.execute_script(f"return {text}")

    def shown(self, selector: str) -> list[Any]:
        return [one for one in self.driver.find_elements("css selector", selector) if one.is_displayed()]

    def one(self, selector: str) -> Any:
        self.until(lambda: self.shown(selector))
        return self.shown(selector)[0]

    def enter(self, selector: str, text: str) -> None:
        field = self.one(selector)
        field.clear()
        field.send_keys(text)

    def until(self, holds: Any) -> None:
        from selenium.webdriver.support.ui import WebDriverWait

        WebDriverWait(self.driver, 20, 0.05).until(lambda _: holds())

    def messages(self) -> list[str]:
        return [entry["message"] for entry in self.driver.get_log("browser")]

    def background(self) -> int:
        """Return how light the page is, 0 to 765."""
        colour = self.script("getComputedStyle(document.body).backgroundColor")
        return sum(int(part) for part in colour[4:-1].split(","))

    def fits(self) -> bool:
        """Return whether nothing reaches beyond the right edge."""
        return self.script("document.documentElement.scrollWidth <= innerWidth") and self.script(
            "[...document.querySelectorAll('dialog')].every(one => one.scrollWidth <= one.clientWidth)"
        )


@contextmanager
def browser(*, offline: bool = True) -> Iterator[Any]:
    """Yield a Chromium that logs its messages, with an empty profile and, if `offline`, no network."""
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
            conditions = {"offline": offline, "latency": 0, "downloadThroughput": -1, "uploadThroughput": -1}
            driver.execute_cdp_cmd("Network.emulateNetworkConditions", conditions)
            yield driver
        finally:
            driver.quit()


def make_run(
    directory: Path, tasks: Sequence[Task], experts: Mapping[str, Program], iterations: int, settings: str
) -> None:
    """Write the files of a loop that has found the experts, in longer forms first.

    Every third task has no program. Every seventh task has only `O = hmirror(I)`.
    """
    directory.mkdir()
    rng = random.Random(0)
    (directory / "config.toml").write_text(settings)
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
    (directory / "solutions.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    with open(directory / "metrics.csv", "w", newline="") as file:
        writer = csv.DictWriter(file, ["iteration", *METRICS])
        writer.writeheader()
        for k in range(iterations + 1):
            drawn = {
                name: f"{rng.random():.6g}" for name in METRICS if k or name[:6] not in ("policy", "share_")
            }
            writer.writerow({"iteration": k, **drawn})
