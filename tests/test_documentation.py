"""Documentation names tests and files that exist."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PAGES = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/*.md")])


def test_each_promise_names_tests_that_exist() -> None:
    page = " ".join((ROOT / "docs" / "reliability.md").read_text().split())
    promises = re.findall(r"Test: .*?\.(?= - | #|$)", page)
    assert len(promises) > 20
    for promise in promises:
        tests = re.findall(r"`(tests/\S+\.py)`:((?: `\w+`,?)+)", promise)
        assert tests or "make" in promise, promise
        for file, names in tests:
            defined = re.findall(r"^def test_(\w+)", (ROOT / file).read_text(), re.MULTILINE)
            assert set(re.findall(r"`(\w+)`", names)) <= set(defined), file


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_of_a_page_lead_to_files(page: Path) -> None:
    text = re.sub(r"^ *```.*?^ *```$", "", page.read_text(), flags=re.MULTILINE | re.DOTALL)
    for target in re.findall(r"\]\(([^)#\s]+)[^)]*\)", text):
        if not target.startswith(("http", "mailto")):
            assert (page.parent / target).exists(), target
