"""Charts as SVG. Lines and bars have classes instead of colours; `templates/chart.css` styles them.

`line_chart` and `bars` return figures for a page. Every figure of a chart can also be read as text:
in a table beside its lines, and beside each bar. `line_chart_file` returns a whole SVG file.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from markupsafe import Markup

from codeit.report.rendering import render

_HUES = 8  # colours that the style sheet has for lines
_MAX_MARKED = 25  # points of a line up to which each is marked
_LETTER = 7.4  # estimated width of a letter, in pixels
_LEGEND_ROW = 22
_Scale = Callable[[float], float]


@dataclass(frozen=True)
class Series:
    """A line: points (x, y) from left to right. Lines of one `hue` have the same colour."""

    name: str
    points: Sequence[tuple[float, float]]
    hue: int = 0
    dashed: bool = False
    band: Mapping[float, tuple[float, float]] = field(default_factory=dict)
    """By x, the lowest and the highest of the values averaged; empty if the line is no mean."""


@dataclass(frozen=True)
class Reference:
    """Published figures: points, or a named level across the chart if x is None."""

    name: str
    points: Sequence[tuple[float | None, float]]


@dataclass(frozen=True)
class Axis:
    """An axis: its title, and whether it is logarithmic, in per cent (0 to 1), or of whole numbers."""

    label: str
    log: bool = False
    percent: bool = False
    whole: bool = False

    def text(self, value: float) -> str:
        """Return a value as the axis writes it."""
        if self.percent:
            return f"{value * 100:.3g} %"
        return f"{value:,.4g}" if abs(value) < 1000 else f"{value:,.0f}"

    def point(self, series: Series, x: float, y: float) -> str:
        """Return a point's value as the axis writes it, with its band."""
        low, high = series.band.get(x, (y, y))
        return self.text(y) if low == high else f"{self.text(y)} ({self.text(low)} to {self.text(high)})"


@dataclass(frozen=True)
class Layout:
    """The size of a chart, the margins of its axes, and the space outside their titles, in pixels."""

    width: int
    height: int
    left: int
    right: int
    top: int
    bottom: int
    space: int


PAGE = Layout(480, 290, left=74, right=14, top=12, bottom=46, space=0)
"""A chart on a page, which scales it to the width of its column."""


def line_chart(
    title: str, series: Sequence[Series], x: Axis, y: Axis, references: Sequence[Reference] = ()
) -> Markup:
    """Return a figure with lines, and points or levels to compare them with; "" without any line.

    The y axis begins at 0. Lines without points are left out, as are points at 0 or below on a
    logarithmic axis.
    """
    drawn = _drawable(series, x)
    if not drawn:
        return Markup("")
    plot = _plot(PAGE, drawn, x, y, references)
    summary = f"{title}. " + "; ".join(f"{line.name}: {y.point(line, *line.points[-1])}" for line in drawn)
    picture = Markup('<svg viewBox="0 0 {} {}" role="img" aria-label="{}">{}</svg>').format(
        PAGE.width, PAGE.height, summary, plot
    )
    return _figure(title, picture, _html_legend(_keys(drawn, references)), _points_table(drawn, x, y))


def line_chart_file(
    title: str, series: Sequence[Series], x: Axis, y: Axis, references: Sequence[Reference] = ()
) -> str:
    """Return the same chart as an SVG file that needs nothing else. Equal data gives an equal file.

    The file has its own background, and light or dark colours as the viewer prefers
    (`prefers-color-scheme`).
    """
    drawn, width = _drawable(series, x), 640
    legend, rows = _svg_legend(_keys(drawn, references), width)
    layout = Layout(
        width,
        370 + _LEGEND_ROW * rows,
        left=78,
        right=28,
        top=28 + _LEGEND_ROW * rows,
        bottom=62,
        space=12,
    )
    plot = _plot(layout, drawn, x, y, references)
    return render("chart.svg", title=title, layout=layout, legend=legend, plot=plot)


def _drawable(series: Sequence[Series], x: Axis) -> list[Series]:
    """Return the lines that have points on the x axis, without their other points."""
    shown = [
        replace(line, points=[(px, py) for px, py in line.points if px > 0 or not x.log]) for line in series
    ]
    return [line for line in shown if line.points]


def _plot(
    layout: Layout, series: Sequence[Series], x: Axis, y: Axis, references: Sequence[Reference]
) -> Markup:
    """Return the axes, references and lines of a chart."""
    known = [point for reference in references for point in reference.points]
    points = [*(point for line in series for point in line.points), *known]
    xs, ys = [px for px, _ in points if px is not None], [py for _, py in points]
    ys += [high for line in series for _, high in line.band.values()]
    low, high = min(xs, default=1), max(xs, default=1)
    if low == high:
        low, high = (low / 2, high * 2) if x.log else (low - 0.5, high + 0.5)
    highest = max(ys, default=0) or 1
    if y.whole:
        highest = max(highest, 4)
    elif y.percent and highest > 0.6:
        highest = 1
    y_ticks = _ticks(0, highest, 5, whole=y.whole)
    top = y_ticks[-1]

    def across(value: float) -> float:
        share = math.log(value / low) / math.log(high / low) if x.log else (value - low) / (high - low)
        return layout.left + share * (layout.width - layout.left - layout.right)

    def down(value: float) -> float:
        return layout.height - layout.bottom - value / top * (layout.height - layout.top - layout.bottom)

    x_ticks = _log_ticks(low, high) if x.log else _whole_ticks(low, high)
    parts = [_axes(layout, x, y, x_ticks, y_ticks, across, down)]
    parts += [_band(line, across, down) for line in series if line.band]
    hues = sorted({line.hue for line in series})
    for line in series:
        # A line that others may cover is wider, so that it stays visible.
        width = 2 + 1.8 * min(len(hues) - 1 - hues.index(line.hue), 2)
        path = "L".join(f"{across(px):.1f} {down(py):.1f}" for px, py in line.points)
        marked = len(line.points) <= _MAX_MARKED
        dots = Markup("").join(
            Markup('<circle cx="{:.1f}" cy="{:.1f}" r="{}"{}>{}</circle>').format(
                across(px),
                down(py),
                2.6 if marked else 5,
                "" if marked else Markup(' class="unseen"'),
                _tooltip(f"{line.name}: {y.point(line, px, py)} at {x.text(px)}"),
            )
            for px, py in line.points
        )
        parts.append(
            Markup('<g class="line {}"><path stroke-width="{}" d="M{}"/>{}</g>').format(
                _classes(line), width, path, dots
            )
        )
    # Last, so that no line strikes through the name of a level.
    drawn = [(across(px), down(py)) for line in series for px, py in line.points]
    parts += [_reference(layout, reference, x, y, across, down, drawn) for reference in references]
    return Markup("").join(parts)


def _band(series: Series, across: _Scale, down: _Scale) -> Markup:
    """Return the area between the lowest and the highest values."""
    bounds = [(px, *series.band[px]) for px, _ in series.points]
    edge = [(px, low) for px, low, _ in bounds] + [(px, high) for px, _, high in reversed(bounds)]
    path = "L".join(f"{across(px):.1f} {down(py):.1f}" for px, py in edge)
    return Markup('<path class="band hue-{}" d="M{}Z"/>').format(series.hue % _HUES + 1, path)


def _classes(series: Series) -> str:
    return f"hue-{series.hue % _HUES + 1}" + " dashed" * series.dashed


def _reference(
    layout: Layout,
    reference: Reference,
    x: Axis,
    y: Axis,
    across: _Scale,
    down: _Scale,
    drawn: Sequence[tuple[float, float]],
) -> Markup:
    """Return crosses and levels. A level's name is at the end farther from the points drawn."""
    level = Markup(
        '<g class="level"><path d="M{} {:.1f}H{}"/><text x="{}" y="{:.1f}" text-anchor="{}">{}</text>{}</g>'
    )
    cross = Markup('<g class="known"><path d="M{:.1f} {:.1f}m-4 -4l8 8m0 -8l-8 8"/>{}</g>')
    parts = []
    for px, py in reference.points:
        if px is None:
            tooltip = _tooltip(f"{reference.name}: {y.text(py)}")
            left, right, height = layout.left, layout.width - layout.right, down(py)
            room = _LETTER * len(reference.name)

            def clearance(start: float, end: float, height: float = height) -> float:
                return min((abs(py - height + 9) for px, py in drawn if start <= px <= end), default=math.inf)

            at_right = clearance(right - room, right) >= clearance(left, left + room)
            end, anchor = (right, "end") if at_right else (left + 4, "start")
            parts.append(level.format(left, height, right, end, height - 5, anchor, reference.name, tooltip))
        else:
            tooltip = _tooltip(f"{reference.name}: {y.text(py)} at {x.text(px)}")
            parts.append(cross.format(across(px), down(py), tooltip))
    return Markup("").join(parts)


def bars(title: str, groups: Sequence[tuple[str, int, Mapping[str, float]]], unit: str) -> Markup:
    """Return a figure with a bar for each part of each group (name, hue, parts); "" if all are 0.

    A group has one colour, as its line has in charts. Its parts are named and add up to its total.
    """
    groups = [group for group in groups if sum(group[2].values()) > 0]
    if not groups:
        return Markup("")
    largest = max(max(parts.values()) for _, _, parts in groups)
    rows = []
    for name, hue, parts in groups:
        rows.append(
            Markup("<h4>{}: {} {}</h4>").format(name, _rounded(sum(parts.values())), unit)
            + Markup("").join(
                Markup(
                    '<p class="bar">{}<span class="track" aria-hidden="true">'
                    '<span class="hue-{}" style="width:{:.2f}%"></span></span>{}</p>'
                ).format(part, hue % _HUES + 1, 100 * value / largest, _rounded(value))
                for part, value in parts.items()
                if value > 0
            )
        )
    return Markup('<figure class="chart"><h3>{}</h3>{}</figure>').format(title, Markup("").join(rows))


def _rounded(value: float) -> str:
    return f"{value:,.{int(value < 10)}f}"


def table(head: Sequence[str], body: Sequence[Sequence[str]]) -> Markup:
    """Return a table whose first column names the row."""
    columns = Markup("").join(Markup('<th scope="col">{}</th>').format(name) for name in head)
    rows = Markup("").join(
        Markup('<tr><th scope="row">{}</th>{}</tr>').format(
            row[0], Markup("").join(Markup("<td>{}</td>").format(cell) for cell in row[1:])
        )
        for row in body
    )
    return Markup(
        '<div class="scroll" tabindex="0" role="region" aria-label="Table"><table class="figures">'
        "<thead><tr>{}</tr></thead><tbody>{}</tbody></table></div>"
    ).format(columns, rows)


def _figure(title: str, picture: Markup, legend: Markup, data: Markup) -> Markup:
    return Markup(
        '<figure class="chart"><h3>{}</h3>{}{}<details><summary>Data</summary>{}</details></figure>'
    ).format(title, picture, legend, data)


def _keys(series: Sequence[Series], references: Sequence[Reference]) -> list[tuple[str, str]]:
    """Return the legend's entries: names with classes. Levels are named where they are drawn."""
    crosses = [reference for reference in references if any(px is not None for px, _ in reference.points)]
    return [(one.name, _classes(one)) for one in series] + [(one.name, "known") for one in crosses]


def _html_legend(keys: Sequence[tuple[str, str]]) -> Markup:
    entry = Markup('<li><svg viewBox="0 0 26 10" aria-hidden="true">{}</svg>{}</li>')
    return Markup('<ul class="legend">{}</ul>').format(
        Markup("").join(entry.format(_key(classes), name) for name, classes in keys)
    )


def _svg_legend(keys: Sequence[tuple[str, str]], width: int) -> tuple[Markup, int]:
    """Return a legend for the top of a file, and the number of its rows."""
    entries, left, row = [], 24.0, 0
    for name, classes in keys:
        room = 34 + _LETTER * len(name)
        if left > 24 and left + room > width:
            left, row = 24.0, row + 1
        place = Markup('<g transform="translate({:.1f} {})">{}<text x="34" y="10">{}</text></g>')
        entries.append(place.format(left, 16 + _LEGEND_ROW * row, _key(classes), name))
        left += room + 22
    return Markup('<g class="legend">{}</g>').format(Markup("").join(entries)), row + 1


def _key(classes: str) -> Markup:
    """Return a legend's sample of a line or a cross: 26 by 10 pixels."""
    shape = "M9 1l8 8m0 -8l-8 8" if classes == "known" else "M0 5H26"
    classes = classes if classes == "known" else f"line {classes}"
    return Markup('<g class="{}"><path d="{}"/></g>').format(classes, shape)


def _points_table(series: Sequence[Series], x: Axis, y: Axis) -> Markup:
    points_by_line = [dict(line.points) for line in series]
    places = sorted({px for points in points_by_line for px in points})
    body = [
        [
            x.text(px),
            *(
                y.point(line, px, points[px]) if px in points else ""
                for line, points in zip(series, points_by_line, strict=True)
            ),
        ]
        for px in places
    ]
    return table([x.label, *(line.name for line in series)], body)


def _tooltip(text: str) -> Markup:
    return Markup("<title>{}</title>").format(text)


def _axes(
    layout: Layout,
    x: Axis,
    y: Axis,
    x_ticks: Sequence[float],
    y_ticks: Sequence[float],
    across: _Scale,
    down: _Scale,
) -> Markup:
    right, bottom = layout.width - layout.right, layout.height - layout.bottom
    rules = "".join(f"M{layout.left} {down(value):.1f}H{right}" for value in y_ticks)
    rules += "".join(f"M{across(value):.1f} {bottom}v5" for value in x_ticks)
    parts = [Markup('<path class="rules" d="{}"/>').format(rules)]
    text = Markup('<text x="{:.1f}" y="{:.1f}" text-anchor="{}">{}</text>')
    parts += [text.format(layout.left - 7, down(value) + 4, "end", y.text(value)) for value in y_ticks]
    parts += [text.format(across(value), bottom + 19, "middle", x.text(value)) for value in x_ticks]
    parts.append(text.format((layout.left + right) / 2, layout.height - layout.space - 5, "middle", x.label))
    middle = (layout.top + bottom) / 2
    parts.append(
        Markup('<text transform="translate({} {:.1f}) rotate(-90)" text-anchor="middle">{}</text>').format(
            layout.space + 13, middle, y.label
        )
    )
    return Markup('<g class="axes">{}</g>').format(Markup("").join(parts))


def _ticks(low: float, high: float, count: int, *, whole: bool = False) -> list[float]:
    """Return about `count` round numbers from low to at least high."""
    raw = (high - low) / count
    size = max(10 ** math.floor(math.log10(raw)), 1 if whole else 0)
    factors = (1, 2, 5, 10) if whole and size < 10 else (1, 2, 2.5, 5, 10)
    step = next(size * factor for factor in factors if size * factor >= raw * 0.999)
    return [low + step * k for k in range(math.ceil((high - low) / step * 0.999) + 1)]


def _whole_ticks(low: float, high: float) -> list[float]:
    """Return whole numbers within an axis."""
    step = max(1, round(_ticks(0, high - low, 6)[1]))
    return [value for value in range(math.ceil(low / step) * step, math.floor(high) + 1, step)]


def _log_ticks(low: float, high: float) -> list[float]:
    """Return the powers of ten within an axis, and numbers between if fewer than three."""
    for factors in ((1,), (1, 3), (1, 2, 5)):
        powers = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
        found = [f * 10.0**k for k in powers for f in factors if low * 0.999 <= f * 10.0**k <= high * 1.001]
        if len(found) >= 3:
            break
    return found
