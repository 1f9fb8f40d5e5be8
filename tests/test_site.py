"""The documentation site: built without a warning, with the notebook run."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]


def test_site_is_built_and_its_notebook_runs(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "sphinx", "-q", "-W", "--keep-going", "-c", "docs", ".", tmp_path]
    built = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert built.returncode == 0, built.stderr
    page = (tmp_path / "docs/notebook.html").read_text()
    assert page.count('<div class="codeit">') == 5 and page.count("<svg viewBox") > 20
    assert "did you mean argmax?" in page
    before, after = re.findall(r"([\d.]+) nats per token before the step, ([\d.]+) after", page)[-1]
    assert float(after) < float(before)
    reference = (tmp_path / "docs/api.html").read_text()
    for name in ("codeit.solver.solve", "codeit.language.Grid", "codeit.policy.training.Trainer.step"):
        assert f'id="{name}"' in reference


def test_notebook_is_kept_without_outputs() -> None:
    notebook = json.loads((ROOT / "docs/notebook.ipynb").read_text())
    code = [cell for cell in notebook["cells"] if cell["cell_type"] == "code"]
    assert all(cell["outputs"] == [] and cell["execution_count"] is None for cell in code)
