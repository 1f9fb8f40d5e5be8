"""Rendering of the templates in `templates/`: HTML pages and SVG files."""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from codeit.report import COLOUR_NAMES, PALETTE, THEME

_TEMPLATES = Path(__file__).parent / "templates"


def render(template: str, *, folder: Path = _TEMPLATES, **values: Any) -> str:
    """Render a template. Text is escaped; the filter `json` writes data for a script to read.

    A template of another `folder` can extend and include the templates of this package.
    """
    colours = {"PALETTE": PALETTE, "COLOURS": COLOUR_NAMES}
    return _environment(folder).get_template(template).render(colours=colours, theme=THEME, **values)


@cache
def _environment(folder: Path) -> Environment:
    environment = Environment(
        loader=FileSystemLoader([folder, _TEMPLATES]),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters["json"] = _json
    return environment


def _json(data: object) -> Markup:
    """Return JSON for a script element. Characters that could end the element are escaped."""
    text = json.dumps(data, separators=(",", ":"), ensure_ascii=False)
    return Markup(text.replace("<", "\\u003c").replace("\u2028", "\\u2028").replace("\u2029", "\\u2029"))
