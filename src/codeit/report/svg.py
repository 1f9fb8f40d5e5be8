"""Charts as SVG for a page, which dresses them: lines and bars have classes in place of colours.

Each comes with a legend and a table of its figures, so that nothing hangs on seeing it.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from markupsafe import Markup

WIDTH, HEIGHT = 480, 280
_LEFT, _RIGHT, _TOP, _BOTTOM = 46, 14, 12, 40  # margins
_SERIES = 8  # colours that the page has
_NAMED_POINTS = 25  # up to so many points of a line are marked
_Scale = Callable[[float], float]


@dataclass(frozen=True)
class Series:
    """A line: points (x, y) from left to right. Lines of one `hue` have one colour."""

    name: str
    points: Sequence[tuple[float, float]]
    hue: int = 0
    dashed: bool = False


@dataclass(frozen=True)
class Reference:
    """What is known from elsewhere: single points, or a level drawn across (and named) if x is None."""

    name: str
    points: Sequence[tuple[float | None, float]]


@dataclass(frozen=True)
class Axis:
    """An axis: its label, and whether it is logarithmic, in per cent (0 to 1), or of whole numbers."""

    label: str
    log: bool = False
    percent: bool = False
    whole: bool = False

    def text(self, value: float) -> str:
        """A value as the axis writes it."""
        if self.percent:
            return f"{value * 100:.3g} %"
        return f"{value:,.4g}" if abs(value) < 1000 else f"{value:,.0f}"


def line_chart(
    title: str, series: Sequence[Series], x: Axis, y: Axis, references: Sequence[Reference] = ()
) -> Markup:
    """Lines, with points or levels to compare them with. Empty lines are left out; the y axis begins at 0."""
    drawn = [one for one in series if one.points]
    if not drawn:
        return Markup("")
    known = [point for reference in references for point in reference.points]
    places = [*(point for one in drawn for point in one.points), *known]
    xs, ys = [px for px, _ in places if px is not None], [py for _, py in places]
    low, high = min(xs), max(xs)
    if low == high:
        low, high = (low / 2, high * 2) if x.log else (low - 0.5, high + 0.5)
    highest = max(max(ys), 4) if y.whole else 1 if y.percent and max(ys) > 0.6 else max(ys) or 1
    y_ticks = _ticks(0, highest, 4)
    top = y_ticks[-1]

    def across(value: float) -> float:
        share = math.log(value / low) / math.log(high / low) if x.log else (value - low) / (high - low)
        return _LEFT + share * (WIDTH - _LEFT - _RIGHT)

    def down(value: float) -> float:
        return HEIGHT - _BOTTOM - value / top * (HEIGHT - _TOP - _BOTTOM)

    parts = [_axes(x, y, _log_ticks(low, high) if x.log else _whole(low, high), y_ticks, across, down)]
    for reference in references:
        for px, py in reference.points:
            hint = _hint(f"{reference.name}: {y.text(py)}" + ("" if px is None else f" at {x.text(px)}"))
            if px is None:
                parts.append(
                    Markup(
                        '<g class="level"><path d="M{0} {1:.1f}H{2}"/>'
                        '<text x="{2}" y="{3:.1f}" text-anchor="end">{4}</text>{5}</g>'
                    ).format(_LEFT, down(py), WIDTH - _RIGHT, down(py) - 5, reference.name, hint)
                )
            else:
                parts.append(
                    Markup('<g class="known"><path d="M{:.1f} {:.1f}m-4 -4l8 8m0 -8l-8 8"/>{}</g>').format(
                        across(px), down(py), hint
                    )
                )
    hues = sorted({one.hue for one in drawn})
    for one in drawn:
        # What lies under another line is wider, and so still seen.
        width = 2 + 1.8 * min(len(hues) - 1 - hues.index(one.hue), 2)
        path = "L".join(f"{across(px):.1f} {down(py):.1f}" for px, py in one.points)
        few = len(one.points) <= _NAMED_POINTS
        dots = Markup("").join(
            Markup('<circle cx="{:.1f}" cy="{:.1f}" r="{}"{}>{}</circle>').format(
                across(px), down(py), 2.6 if few else 5, "" if few else Markup(' class="unseen"'),
                _hint(f"{one.name}: {y.text(py)} at {x.text(px)}"),
            )
            for px, py in one.points
        )  # fmt: skip
        parts.append(
            Markup('<g class="line hue-{}{}"><path stroke-width="{}" d="M{}"/>{}</g>').format(
                one.hue % _SERIES + 1, " dashed" if one.dashed else "", width, path, dots
            )
        )
    summary = f"{title}. " + "; ".join(f"{one.name}: {y.text(one.points[-1][1])}" for one in drawn)
    picture = Markup('<svg viewBox="0 0 {} {}" role="img" aria-label="{}">{}</svg>').format(
        WIDTH, HEIGHT, summary, Markup("").join(parts)
    )
    names = [(one.name, f"hue-{one.hue % _SERIES + 1}" + " dashed" * one.dashed) for one in drawn]
    names += [(one.name, "known") for one in references if any(px is not None for px, _ in one.points)]
    return _figure(title, picture, _legend(names), _points_table(drawn, x, y))


def stacked_bars(title: str, bars: Sequence[tuple[str, dict[str, float]]], unit: str) -> Markup:
    """A bar for each name, made of named parts (all above 0) that add up, in the order they first come."""
    bars = [(name, parts) for name, parts in bars if sum(parts.values()) > 0]
    if not bars:
        return Markup("")
    kinds = list(dict.fromkeys(kind for _, parts in bars for kind in parts))
    most = max(sum(parts.values()) for _, parts in bars)
    rows = []
    for name, parts in bars:
        pieces = Markup("").join(
            Markup('<span class="hue-{}" style="width:{:.2f}%" title="{}"></span>').format(
                kinds.index(kind) % _SERIES + 1, 100 * value / most, f"{kind}: {value:,.0f} {unit}"
            )
            for kind, value in parts.items()
            if value > 0
        )
        total = sum(parts.values())
        rows.append(
            Markup('<p class="bar"><b>{}</b><span class="stack" aria-hidden="true">{}</span> {}</p>').format(
                name, pieces, f"{total:,.{int(total < 10)}f} {unit}"
            )
        )
    legend = _legend([(kind, f"hue-{k % _SERIES + 1} block") for k, kind in enumerate(kinds)])
    head = ["", *(f"{kind}, {unit}" for kind in kinds)]
    body = [[name, *(f"{parts.get(kind, 0):,.1f}" for kind in kinds)] for name, parts in bars]
    return _figure(title, Markup("").join(rows), legend, table(head, body))


def table(head: Sequence[str], body: Sequence[Sequence[str]]) -> Markup:
    """A table whose first column names the row."""
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


def _figure(title: str, picture: Markup, legend: Markup, figures: Markup) -> Markup:
    return Markup(
        '<figure class="chart"><h3>{}</h3>{}{}<details><summary>Figures</summary>{}</details></figure>'
    ).format(title, picture, legend, figures)


def _legend(names: Sequence[tuple[str, str]]) -> Markup:
    entry = Markup('<li><svg viewBox="0 0 26 10" class="{}" aria-hidden="true">{}</svg>{}</li>')
    cross, block, line = "M9 1l8 8m0 -8l-8 8", "M1 1h24v8h-24z", "M0 5H26"
    return Markup('<ul class="legend">{}</ul>').format(
        Markup("").join(
            entry.format(
                f"line {style}" if style.startswith("hue") else style,
                Markup('<path d="{}"/>').format(
                    cross if style == "known" else block if style.endswith("block") else line
                ),
                name,
            )
            for name, style in names
        )
    )


def _points_table(series: Sequence[Series], x: Axis, y: Axis) -> Markup:
    of_series = [dict(one.points) for one in series]
    places = sorted({px for points in of_series for px in points})
    body = [
        [x.text(px), *("" if px not in points else y.text(points[px]) for points in of_series)]
        for px in places
    ]
    return table([x.label, *(one.name for one in series)], body)


def _hint(text: str) -> Markup:
    return Markup("<title>{}</title>").format(text)


def _axes(
    x: Axis, y: Axis, x_ticks: Sequence[float], y_ticks: Sequence[float], across: _Scale, down: _Scale
) -> Markup:
    rules = "".join(f"M{_LEFT} {down(value):.1f}H{WIDTH - _RIGHT}" for value in y_ticks)
    parts = [Markup('<path class="rules" d="{}"/>').format(rules)]
    text = Markup('<text x="{:.1f}" y="{:.1f}" text-anchor="{}">{}</text>')
    parts += [text.format(_LEFT - 7, down(value) + 4, "end", y.text(value)) for value in y_ticks]
    parts += [text.format(across(value), HEIGHT - _BOTTOM + 17, "middle", x.text(value)) for value in x_ticks]
    parts.append(text.format((WIDTH + _LEFT - _RIGHT) / 2, HEIGHT - 5, "middle", x.label))
    return Markup('<g class="axes">{}</g>').format(Markup("").join(parts))


def _ticks(low: float, high: float, count: int) -> list[float]:
    """Round numbers from low to at least high."""
    raw = (high - low) / count
    size = 10 ** math.floor(math.log10(raw))
    step = next(size * nice for nice in (1, 2, 2.5, 5, 10) if size * nice >= raw * 0.999)
    return [low + step * k for k in range(math.ceil((high - low) / step * 0.999) + 1)]


def _whole(low: float, high: float) -> list[float]:
    """Whole numbers within an axis."""
    step = max(1, round(_ticks(0, high - low, 6)[1]))
    return [value for value in range(math.ceil(low / step) * step, math.floor(high) + 1, step)]


def _log_ticks(low: float, high: float) -> list[float]:
    """Powers of ten within an axis, and between them what is needed for three."""
    for factors in ((1,), (1, 3), (1, 2, 5)):
        powers = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
        found = [f * 10.0**k for k in powers for f in factors if low * 0.999 <= f * 10.0**k <= high * 1.001]
        if len(found) >= 3:
            break
    return found
