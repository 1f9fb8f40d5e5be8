"""The worked examples of docs/extending.md: their changes fit the sources, and their Python runs."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path

from codeit import _engine  # noqa: TID251  # its file is copied

ROOT = Path(__file__).parents[1]
SECTIONS = re.split(r"^## ", (ROOT / "docs/extending.md").read_text(), flags=re.M)[1:]
RUN = "import json, sys\nfor script in json.load(sys.stdin): exec(script, {'__name__': '__main__'})"


def blocks(text: str, language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", text, re.M | re.S)


def test_examples_work_in_a_copy_of_the_sources(tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(ROOT / "src", copy / "src", ignore=shutil.ignore_patterns("__pycache__", "weights"))
    shutil.copytree(ROOT / "engine", copy / "engine")
    shutil.copy(_engine.__file__, copy / "src/codeit")
    scripts = []
    for section in SECTIONS:
        for change in blocks(section, "diff"):
            subprocess.run(["git", "apply", "-"], input=change, text=True, check=True, cwd=copy)
        scripts.append("")
        for block in blocks(section, "python"):
            if name := re.match(r"# (src/\S+)\n", block):
                (copy / name[1]).write_text(block[name.end() :])
            else:
                scripts[-1] += block
    assert all(scripts) and len(scripts) == 4
    # Without `site` nothing leads to the sources that are installed for editing.
    path = os.pathsep.join([str(copy / "src"), sysconfig.get_path("purelib"), sysconfig.get_path("platlib")])
    environment = {**os.environ, "PYTHONPATH": path}
    command = [sys.executable, "-S", "-c", RUN]
    subprocess.run(command, input=json.dumps(scripts), text=True, check=True, cwd=tmp_path, env=environment)
    # The engine is not built, which would take minutes, but the primitive compiles.
    flags = ["-std=c++20", "-Wall", "-Wextra", "-Werror", "-fsyntax-only"]
    subprocess.run(["g++", *flags, copy / "engine/primitives/grids.cpp"], check=True)
