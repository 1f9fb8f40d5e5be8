"""Pictures for notebooks: HTML with SVG, which needs no script and no other file.

`to_html` draws a grid, a task, a program, a trace and a result. In a notebook `import codeit` tells
IPython to use it, so that a cell that ends with such an object shows the picture.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Sequence
from functools import singledispatch
from itertools import groupby

from markupsafe import Markup

from codeit.data.tasks import Task
from codeit.evaluation.confidence import percent
from codeit.evaluation.scoring import outputs_correct
from codeit.language import PRIMITIVES, Grid, Program, Trace
from codeit.report import COLOUR_NAMES, PALETTE
from codeit.report.pictures import Cells, Colour, Items, Patches, Row, View, Words, caption, cells, views
from codeit.solver import SolveResult

CELL, MAX_PIXELS = 14, 240
"""Largest side of a cell, and of a picture, in pixels."""
_SMALLEST = 2  # side of a cell in a picture that does not fit
_PROGRAMS = 3  # programs of a result
_STYLE = Markup("""<style>
.codeit { line-height: 1.4; }
.codeit > * + * { margin-top: .8em; }
.codeit .row { display: flex; flex-wrap: wrap; align-items: center; gap: .6em 1em; }
.codeit .wide { column-gap: 2.5em; align-items: flex-start; }
.codeit figure { margin: 0; }
.codeit figcaption, .codeit .quiet { font-size: .85em; opacity: .75; }
.codeit pre, .codeit code { background: none; color: inherit; margin: 0; padding: 0; white-space: pre-wrap; }
.codeit svg { display: block; border: 1px solid #8d9096; max-width: 100%; height: auto; }
.codeit td { text-align: left; vertical-align: middle; padding: .4em 1em .4em 0; }
.codeit i { display: inline-block; width: 1em; height: 1em; border: 1px solid #8d9096; }
</style>""")


@singledispatch
def to_html(value: object) -> str:
    """Return HTML that shows a `Grid`, `Task`, `Program`, `Trace` or `SolveResult`.

    A task's test outputs are not shown. Raises TypeError for other objects.
    """
    raise TypeError(f"expected a Grid, Task, Program, Trace or SolveResult, found {type(value).__name__}")


@to_html.register
def _(grid: Grid) -> str:
    return _output(_picture(cells(grid)))


@to_html.register
def _(task: Task) -> str:
    return _output(_heading(task), _demonstrations(task), _tests(task, [()] * len(task.test)))


@to_html.register
def _(program: Program) -> str:
    return _output(_text(program))


@to_html.register
def _(trace: Trace) -> str:
    """Draw the value of each line beside it."""
    rows = [("I", _picture(cells(trace.grid)))]
    for step, view in zip(trace, views(trace.program, trace.grid), strict=False):
        rows.append((_line(step.text), _picture(view)))
    if trace.error:
        rows.append(("error", Markup("<div>{}</div>").format(trace.error)))
    table = _join("<tr><td><code>{}</code></td><td>{}</td></tr>", rows)
    return _output(Markup("<table>{}</table>").format(table))


@to_html.register
def _(result: SolveResult) -> str:
    """Draw the demonstrations, the attempts at each test, and the best programs."""
    demonstrations = len(result.task.train)
    best = max((candidate.demonstrations_solved for candidate in result.programs), default=0)
    facts = f"{best} of {demonstrations} demonstrations solved, {result.tried:,} programs tried"
    known = [correct for correct in outputs_correct(result.attempts, result.task) if correct is not None]
    if known:
        facts += f", {sum(known)} of {len(known)} known test outputs correct"
    if result.probability:
        facts += f"; an attempt is right with a probability of {percent(result.probability)}"
    shown = [
        (
            _text(candidate.program),
            f"{candidate.demonstrations_solved} of {demonstrations}",
            f"{candidate.votes:,}",
        )
        for candidate in result.programs[:_PROGRAMS]
    ]
    head = Markup("<tr><td>program</td><td>demonstrations</td><td>votes</td></tr>")
    rows = _join("<tr><td>{}</td><td>{}</td><td>{}</td></tr>", shown)
    return _output(
        _heading(result.task),
        Markup("<div>{}</div>").format(facts),
        _demonstrations(result.task),
        _tests(result.task, result.attempts),
        Markup("<table>{}{}</table>").format(head, rows),
    )


# --- Parts ---


def _output(*parts: Markup) -> str:
    return str(Markup('{}<div class="codeit">{}</div>').format(_STYLE, Markup("").join(parts)))


def _join(template: str, rows: Iterable[tuple[object, ...]]) -> Markup:
    return Markup("").join(Markup(template).format(*row) for row in rows)


def _heading(task: Task) -> Markup:
    return Markup("<div><b>{}</b></div>").format(task.id)


def _demonstrations(task: Task) -> Markup:
    return _pairs((f"train[{k}]", pair.input, [pair.output]) for k, pair in enumerate(task.train))


def _tests(task: Task, attempts: Sequence[Sequence[Grid]]) -> Markup:
    """Draw the test inputs, each with its attempts or a question mark."""
    pairs = enumerate(zip(task.test, attempts, strict=True))
    return _pairs((f"test[{k}]", pair.input, outputs) for k, (pair, outputs) in pairs)


def _pairs(pairs: Iterable[tuple[str, Grid, Sequence[Grid]]]) -> Markup:
    pair = '<div><div class="quiet">{}</div><div class="row">{} → {}</div></div>'
    drawn = (
        (name, _picture(cells(left)), Markup("").join(_picture(cells(grid)) for grid in right) or "?")
        for name, left, right in pairs
    )
    return Markup('<div class="row wide">{}</div>').format(_join(pair, drawn))


def _text(program: Program) -> Markup:
    return Markup("<pre>{}</pre>").format(Markup("\n").join(_line(str(line)) for line in program.lines))


def _line(text: str) -> Markup:
    """Return the text of a line, with the documentation of its primitives as tooltips."""
    parts = [
        Markup('<span title="{}">{}</span>').format(PRIMITIVES[word].doc, word)
        if word in PRIMITIVES
        else word
        for word in re.split(r"(\w+)", text)
    ]
    return Markup("").join(parts)


# --- Pictures ---


def _picture(view: View, cell: float = CELL) -> Markup:
    match view:
        case Words():
            return Markup("<code>{}</code>").format(view.text)
        case Colour():
            swatch = Markup('<span><i style="background:{}"></i> {} {}</span>')
            return swatch.format(PALETTE[view.number], view.number, COLOUR_NAMES[view.number])
        case Items():
            items = Markup("").join(_picture(item, cell * 0.7) for item in view.items)
            more = f"and {view.more} more" if view.more else ""
            opening, closing = "()" if view.ordered else "{}"
            return Markup('<div class="row">{}{}{}{}</div>').format(opening, items, more, closing)
        case Cells():
            drawing, rows = _painted(view.rows) + _lines(view.rows), view.rows
        case Patches():
            drawing, rows = _patches(view), view.on
    text = caption(view)
    height, width = len(rows), len(rows[0])
    side = max(_SMALLEST, min(cell, MAX_PIXELS / max(height, width)))
    return Markup(
        '<figure><svg viewBox="0 0 {} {}" width="{:.0f}" height="{:.0f}" role="img" aria-label="{}">{}</svg>'
        "<figcaption>{}</figcaption></figure>"
    ).format(width, height, width * side, height * side, text, drawing, text)


def _painted(rows: Sequence[Row]) -> Markup:
    """Draw cells as one path for each colour. A cell of None is not drawn."""
    paths: defaultdict[int, str] = defaultdict(str)
    for i, row in enumerate(rows):
        j = 0
        for colour, equal in groupby(row):
            width = len(list(equal))
            if colour is not None:
                paths[colour] += f"M{j} {i}h{width}v1h-{width}z"
            j += width
    path = '<path shape-rendering="crispEdges" fill="{}" d="{}"/>'
    return _join(path, ((_paint(colour), d) for colour, d in sorted(paths.items())))


def _paint(colour: int) -> str:
    return PALETTE[colour] if 0 <= colour < len(PALETTE) else "#fff"


def _lines(rows: Sequence[Row]) -> Markup:
    height, width = len(rows), len(rows[0])
    d = "".join(f"M0 {i}h{width}" for i in range(1, height)) + "".join(
        f"M{j} 0v{height}" for j in range(1, width)
    )
    return Markup('<path fill="none" stroke="#6b6b6b" stroke-width=".05" d="{}"/>').format(d)


def _patches(view: Patches) -> Markup:
    """Draw patches on a faded grid, each with an outline; a place without a colour has a dot."""
    on = [list(row) for row in view.on]
    bright: list[list[int | None]] = [[None] * len(row) for row in view.on]
    edges = dots = ""
    for patch in view.patches:
        places = set(patch.places)
        for k, (i, j) in enumerate(patch.places):
            bright[i][j] = on[i][j] if patch.colours is None else patch.colours[k]
            dots += f"M{j + 0.5} {i + 0.5}h0" if patch.colours is None else ""
            edges += f"M{j} {i}h1" * ((i - 1, j) not in places) + f"M{j} {i + 1}h1" * (
                (i + 1, j) not in places
            )
            edges += f"M{j} {i}v1" * ((i, j - 1) not in places) + f"M{j + 1} {i}v1" * (
                (i, j + 1) not in places
            )
    faded = Markup('<g opacity=".2">{}</g>').format(_painted(view.on))
    strokes = [(dots, "round", ".36", ".2"), (edges, "square", ".36", ".14")]
    stroke = '<path fill="none" stroke="{}" stroke-width="{}" stroke-linecap="{}" d="{}"/>'
    drawn = _join(
        stroke,
        (
            (colour, width, cap, d)
            for d, cap, halo, line in strokes
            if d
            for colour, width in (("#fff", halo), ("#111", line))
        ),
    )
    return faded + _lines(view.on) + _painted([tuple(row) for row in bright]) + drawn
