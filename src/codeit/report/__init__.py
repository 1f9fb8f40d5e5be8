"""Grids, program traces and runs, drawn for a terminal, as HTML pages and as SVG charts."""

from __future__ import annotations

PALETTE = (
    "#000000",  # 0 black
    "#0074d9",  # 1 blue
    "#ff4136",  # 2 red
    "#2ecc40",  # 3 green
    "#ffdc00",  # 4 yellow
    "#aaaaaa",  # 5 grey
    "#f012be",  # 6 magenta
    "#ff851b",  # 7 orange
    "#7fdbff",  # 8 light blue
    "#870c25",  # 9 maroon
)
"""The ten colours of a grid, as in ARC's own viewer."""

COLOUR_NAMES = (
    "black", "blue", "red", "green", "yellow", "grey", "magenta", "orange", "light blue", "maroon",
)  # fmt: skip
"""The name of each colour of `PALETTE`."""

THEME = {
    "paper": ("#faf9f6", "#15171a"),
    "card": ("#ffffff", "#1d2024"),
    "raised": ("#f1efe9", "#272b30"),
    "ink": ("#22262b", "#e4e2dc"),
    "quiet": ("#5f666e", "#a0a5ab"),
    "rule": ("#dedbd3", "#383d43"),
    "frame": ("#8d9096", "#62676e"),
    "accent": ("#0b6477", "#6cc7d9"),
    "good": ("#1d6b34", "#7ccf92"),
    "bad": ("#ab2c22", "#ff9d90"),
    "partly": ("#8a5a00", "#e6bd5c"),
    "series-1": ("#0b6477", "#6cc7d9"),
    "series-2": ("#c2571a", "#f2a065"),
    "series-3": ("#6a4fb3", "#b7a3f0"),
    "series-4": ("#3f7d20", "#9ccf75"),
    "series-5": ("#b0306f", "#f08fbf"),
    "series-6": ("#7a6210", "#d8c06a"),
    "series-7": ("#4a5663", "#b2bcc6"),
    "series-8": ("#8c3b2a", "#e39a86"),
}
"""The colours of pages and charts: each CSS variable's value in a light and in a dark theme."""
