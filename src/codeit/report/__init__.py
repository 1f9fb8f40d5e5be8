"""What a run found, for people to look at."""

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
"""The ten colours, as ARC's own viewer shows them."""

COLOUR_NAMES = (
    "black", "blue", "red", "green", "yellow", "grey", "magenta", "orange", "light blue", "maroon",
)  # fmt: skip
"""What they are called."""
