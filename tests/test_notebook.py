"""docs/notebook.ipynb runs from the first cell to the last, and shows what it says."""

from __future__ import annotations

import re
from pathlib import Path

import nbformat
from nbclient import NotebookClient

NOTEBOOK = Path(__file__).parents[1] / "docs" / "notebook.ipynb"


def test_notebook_runs_and_is_kept_without_outputs() -> None:
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    cells = [cell for cell in notebook.cells if cell.cell_type == "code"]
    assert all(cell.outputs == [] and cell.execution_count is None for cell in cells)
    NotebookClient(notebook, timeout=120).execute()
    outputs = [output for cell in cells for output in cell.outputs]
    pictures = [output.data["text/html"] for output in outputs if "data" in output]
    assert len(pictures) == 5 and sum("<svg" in picture for picture in pictures) == 4
    text = "".join(output.text for output in outputs if output.get("name") == "stdout")
    assert "did you mean argmax?" in text
    before, after = re.findall(r"([\d.]+) nats per token before the step, ([\d.]+) after", text)[0]
    assert float(after) < float(before)
