"""The documentation site: `make docs` writes it to build/site (Sphinx, with MyST for Markdown).

The sources are the pages of this directory and of the root as they are, so that their links lead to
the same places on the site and in the repository. Warnings, such as a link that leads nowhere, are
errors, and the notebook is run.
"""

from __future__ import annotations

from typing import Any

from codeit import __version__

project, release, copyright = "codeit", __version__, "The codeit developers"  # noqa: A001
root_doc = "docs/index"
include_patterns = ["docs/*", "*.md", "scripts/gpu/README.md", "src/codeit/policy/weights/README.md"]
exclude_patterns = [".*", "build", "runs", "results", "tests", "engine", "benchmarks"]
extensions = ["myst_nb", "sphinx.ext.autodoc", "sphinx.ext.napoleon"]
html_theme, html_title, html_copy_source = "furo", "codeit", False

myst_heading_anchors = 3
nb_execution_mode, nb_execution_raise_on_error, nb_execution_timeout = "force", True, 600
nb_output_stderr = "remove"

highlight_language = "text"  # of code that names none
default_role = "code"  # docstrings have code between single backticks
autodoc_member_order = "bysource"
autodoc_default_options = {"members": True, "no-value": True}
autodoc_typehints_format = "short"


def as_rst(app: Any, what: str, name: str, thing: Any, options: Any, lines: list[str]) -> None:
    """Change a docstring to what Sphinx reads: code that is indented by four gets a `::` before it."""
    if lines and lines[0].startswith("Alias for field number"):
        lines.clear()
    if what in ("attribute", "data", "property") and lines:
        lines.insert(0, "\\ ")  # nothing; else napoleon takes the words before a colon for a type
    rst, text, blank = [], "", False  # the last line with text, and whether a blank line follows
    for line in lines:
        if line.startswith("    ") and blank and not text.startswith(" "):
            rst += ["::", ""]
        rst.append(line)
        text, blank = line or text, not line
    lines[:] = rst


def setup(app: Any) -> None:
    app.connect("autodoc-process-docstring", as_rst, priority=400)  # before napoleon
