"""Demonstrations as words, three ways: `Sparse` cells, `Runs` of cells along the rows, and square `Patches`.

A token is a bag of words, whose embeddings are added (padding is no word): in patches a word a cell, and the
patch's row, column and demonstration; else one word a token.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from functools import lru_cache
from itertools import groupby, pairwise
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from codeit.language import Grid

Demonstrations = Sequence[tuple[Grid, Grid]]
"""The (input, output) grids of one task."""
Tokens = NDArray[np.integer[Any]]
"""Word ids: (tokens,), or (tokens, words of a token)."""

MAX_DEMONSTRATIONS = 10
"""Demonstrations that the vocabularies can number, and the config allow."""
SIDE = 30
"""Largest height or width of a grid, in cells."""
KEPT = 10
"""Stands for a cell of an output that equals the same cell of its input."""


class Scheme(Protocol):
    """How the demonstrations of a task become tokens."""

    words: list[str]

    def encode(
        self, demonstrations: Demonstrations, ids: Mapping[str, int], inputs: int, outputs: int
    ) -> Tokens:
        """Tokens by the ids of the words; at most so many for inputs and for outputs."""

    def decode(self, tokens: Tokens, words: Sequence[str]) -> list[tuple[Grid, Grid]]:
        """The demonstrations that no limit has cut, by the words of the ids.

        Raises ValueError if tokens of this scheme do not tell.
        """


def most_common_colour(cells: bytes) -> int:
    """The colour of most cells, the smaller colour in a tie."""
    return max(range(10), key=lambda colour: (cells.count(colour), -colour))


@lru_cache(maxsize=1 << 16)
def _row_words(row: bytes, background: int) -> tuple[str, ...]:
    words: list[str] = []
    for colour, run in groupby(row):
        length = len(list(run))
        words.append(f"skip{length}" if colour == background else f"{colour}*{length}")
    if row[-1] == background:
        words[-1] = "end"
    return tuple(words)


def cells_to_words(cells: bytes, width: int, background: int) -> list[str]:
    """Words of row-major `cells`, one byte each.

    A row is its runs, `COLOUR*LENGTH`, or `skipLENGTH` over the background; `end` fills the rest of the row
    with background and is left out where the row is full. `againN` repeats the row before N more times,
    `copyN` repeats the row N above once. Background rows at the end are left out.
    """
    rows = [cells[start : start + width] for start in range(0, len(cells), width)]
    while rows and rows[-1] == bytes([background]) * width:
        rows.pop()
    words: list[str] = []
    last_seen: dict[bytes, int] = {}
    index = 0
    for row, group in groupby(rows):
        repeats = len(list(group)) - 1
        words += [f"copy{index - last_seen[row]}"] if row in last_seen else _row_words(row, background)
        if repeats:
            words.append(f"again{repeats}")
        index += 1 + repeats
        last_seen[row] = index - 1
    return words


def words_to_cells(words: Sequence[str], height: int, width: int, background: int) -> bytes:
    """The inverse of `cells_to_words`."""
    cells = bytearray()
    for word in words:
        kind, number = re.fullmatch(r"(\d+\*|[a-z]+)(\d*)", word).groups()  # type: ignore[union-attr]
        if kind == "again":
            cells += cells[-width:] * int(number)
        elif kind == "copy":
            start = len(cells) - int(number) * width
            cells += cells[start : start + width]
        elif kind == "end":
            cells += bytes([background]) * (width - len(cells) % width)
        else:
            cells += bytes([background if kind == "skip" else int(kind[:-1])]) * int(number)
    return bytes(cells) + bytes([background]) * (height * width - len(cells))


class Sparse:
    """The paper's sparse text (Butt et al. 2024, arXiv 2402.04858), one word a token.

    A task is `inK hH wW backgroundB colourC atI,J atI,J … colourC …` for each input K, then `outK …` for each
    output: the cells of all colours but the most common. Inputs and outputs are each cut at their limit.
    """

    def __init__(self) -> None:
        sides = range(1, SIDE + 1)
        words = [f"{tag}{n}" for tag in ("in", "out") for n in range(1, MAX_DEMONSTRATIONS + 1)]
        words += [f"{tag}{n}" for tag in ("h", "w") for n in sides]
        words += [f"{tag}{colour}" for tag in ("background", "colour") for colour in range(10)]
        self.words = [*words, *(f"at{i},{j}" for i in range(SIDE) for j in range(SIDE))]

    def encode(
        self, demonstrations: Demonstrations, ids: Mapping[str, int], inputs: int, outputs: int
    ) -> Tokens:
        written: dict[str, list[str]] = {"in": [], "out": []}
        for number, pair in enumerate(demonstrations, start=1):
            for (tag, words), grid in zip(written.items(), pair, strict=True):
                (height, width), cells = grid.shape, bytes(grid)
                background = most_common_colour(cells)
                words += [f"{tag}{number}", f"h{height}", f"w{width}", f"background{background}"]
                for colour in sorted(set(cells) - {background}):
                    places = (divmod(k, width) for k, cell in enumerate(cells) if cell == colour)
                    words += [f"colour{colour}", *(f"at{i},{j}" for i, j in places)]
        kept = written["in"][:inputs] + written["out"][:outputs]
        return np.array([ids[word] for word in kept], np.int16)

    def decode(self, tokens: Tokens, words: Sequence[str]) -> list[tuple[Grid, Grid]]:
        written = [words[id] for id in tokens.tolist()]
        tags = [i for i, word in enumerate(written) if re.fullmatch(r"(in|out)\d+", word)]
        grids: list[Grid] = []
        for start, stop in pairwise([*tags, len(written)]):
            height, width, background = (
                int(re.sub(r"\D", "", word)) for word in written[start + 1 : start + 4]
            )
            cells, colour = bytearray([background]) * (height * width), background
            for word in written[start + 4 : stop]:
                if word.startswith("colour"):
                    colour = int(word[6:])
                else:
                    row, column = map(int, word[2:].split(","))
                    cells[row * width + column] = colour
            grids.append(Grid.from_bytes(height, width, bytes(cells)))
        half = len(grids) // 2
        return list(zip(grids[:half], grids[half:], strict=True))


class Runs:
    """Runs of cells along the rows: one word a token.

    A task is `inK hH wW backgroundB rows …` for each input K, then for each output `outK` and the same, or,
    where input and output have one shape, `sameK rows …` in which the background is the input itself: only
    what changes is written. Rows are as in `cells_to_words`. Inputs and outputs are each cut at their limit.
    """

    def __init__(self) -> None:
        sides = range(1, SIDE + 1)
        words = [f"{tag}{n}" for tag in ("in", "out", "same") for n in range(1, MAX_DEMONSTRATIONS + 1)]
        words += [f"{tag}{n}" for tag in ("h", "w", "skip", "again", "copy") for n in sides]
        words += [f"background{colour}" for colour in range(10)]
        self.words = [*words, "end", *(f"{colour}*{n}" for colour in range(10) for n in sides)]

    def encode(
        self, demonstrations: Demonstrations, ids: Mapping[str, int], inputs: int, outputs: int
    ) -> Tokens:
        given_words: list[str] = []
        wanted_words: list[str] = []
        for number, (given, wanted) in enumerate(demonstrations, start=1):
            given_words += [f"in{number}", *_grid_words(given)]
            if given.shape == wanted.shape:
                changed = bytes(
                    KEPT if a == b else b for a, b in zip(bytes(given), bytes(wanted), strict=True)
                )
                wanted_words += [f"same{number}", *cells_to_words(changed, given.shape[1], KEPT)]
            else:
                wanted_words += [f"out{number}", *_grid_words(wanted)]
        return np.array([ids[word] for word in given_words[:inputs] + wanted_words[:outputs]], np.int16)

    def decode(self, tokens: Tokens, words: Sequence[str]) -> list[tuple[Grid, Grid]]:
        written = [words[id] for id in tokens.tolist()]
        tags = [i for i, word in enumerate(written) if re.fullmatch(r"(in|out|same)\d+", word)]
        grids: dict[str, Grid] = {}
        for start, stop in pairwise([*tags, len(written)]):
            tag, body = written[start], written[start + 1 : stop]
            if tag.startswith("same"):
                given = grids[tag.replace("same", "in")]
                height, width = given.shape
                changed = words_to_cells(body, height, width, KEPT)
                cells = bytes(a if b == KEPT else b for a, b in zip(bytes(given), changed, strict=True))
                grids[tag.replace("same", "out")] = Grid.from_bytes(height, width, cells)
            else:
                height, width, background = (int(re.sub(r"\D", "", word)) for word in body[:3])
                cells = words_to_cells(body[3:], height, width, background)
                grids[tag] = Grid.from_bytes(height, width, cells)
        return [(grids[f"in{k}"], grids[f"out{k}"]) for k in range(1, len(grids) // 2 + 1)]


def _grid_words(grid: Grid) -> list[str]:
    (height, width), cells = grid.shape, bytes(grid)
    background = most_common_colour(cells)
    head = [f"h{height}", f"w{width}", f"background{background}"]
    return head + cells_to_words(cells, width, background)


_OUTSIDE, _ABSENT = 10, 11
"""In a patch: a cell beyond the grid's edge; any cell of a grid that is not shown in the patch."""


class Patches:
    """Squares of cells: a token holds a patch of the input and, where the shapes are one, of the output too.

    Where they are not, the patches of the input come first, then those of the output. A patch's words are a
    word for each cell of the input and of the output, row by row, its row and column among the patches, and
    the number of the demonstration. Demonstrations that do not fit into the limits, taken together, are left
    out, the largest first; if only one is left, it is cut.
    """

    def __init__(self, side: int) -> None:
        self.side, self.area = side, side * side
        cells = [*map(str, range(10)), "outside", "absent"]
        places = [f"{grid}{place}" for grid in ("in", "out") for place in range(self.area)]
        self.words = [f"{place}={cell}" for place in places for cell in cells]
        across = -(-SIDE // side)
        self._row = len(self.words)
        self._column = self._row + across
        self._number = self._column + across
        self.words += [f"{tag}{n}" for tag in ("row", "column") for n in range(across)]
        self.words += [f"pair{n}" for n in range(1, MAX_DEMONSTRATIONS + 1)]
        # Of a cell of the input, or of the output, at each place: the word that says 0.
        self._zeros = np.arange(2 * self.area).reshape(2, self.area) * len(cells)

    def encode(
        self, demonstrations: Demonstrations, ids: Mapping[str, int], inputs: int, outputs: int
    ) -> Tokens:
        parts: list[NDArray[np.int64]] = []
        most, length = inputs + outputs, 0
        for number, (given, wanted) in enumerate(demonstrations):
            part = self._pair(number, given, wanted)
            length += len(part)
            if parts and length > most:
                break
            parts.append(part[:most])
        return (np.concatenate(parts) + ids[self.words[0]]).astype(np.int16)

    def _pair(self, number: int, given: Grid, wanted: Grid) -> NDArray[np.int64]:
        """The words of one demonstration, counted from the first here: (tokens, words of a token)."""
        cells = [self._cells(given), self._cells(wanted)]
        if given.shape == wanted.shape:
            return self._tokens(number, given, *cells)
        absent = [np.full_like(shown, _ABSENT) for shown in cells]
        return np.concatenate(
            [
                self._tokens(number, given, cells[0], absent[0]),
                self._tokens(number, wanted, absent[1], cells[1]),
            ]
        )

    def _tokens(
        self, number: int, grid: Grid, given: NDArray[np.int64], wanted: NDArray[np.int64]
    ) -> NDArray[np.int64]:
        rows, columns = self._across(grid)
        where = np.empty((rows * columns, 3), np.int64)
        where[:, 0] = self._row + np.repeat(np.arange(rows), columns)
        where[:, 1] = self._column + np.tile(np.arange(columns), rows)
        where[:, 2] = self._number + number
        return np.hstack([given + self._zeros[0], wanted + self._zeros[1], where])

    def _across(self, grid: Grid) -> tuple[int, int]:
        height, width = grid.shape
        return -(-height // self.side), -(-width // self.side)

    def _cells(self, grid: Grid) -> NDArray[np.int64]:
        """The patches of a grid: (patches, cells of a patch)."""
        (height, width), (rows, columns), side = grid.shape, self._across(grid), self.side
        padded = np.full((rows * side, columns * side), _OUTSIDE, np.int64)
        padded[:height, :width] = np.frombuffer(bytes(grid), np.uint8).reshape(height, width)
        return padded.reshape(rows, side, columns, side).transpose(0, 2, 1, 3).reshape(-1, self.area)

    def decode(self, tokens: Tokens, words: Sequence[str]) -> list[tuple[Grid, Grid]]:
        first = words.index(self.words[0])
        tokens = tokens.astype(np.int64) - first
        pairs = []
        for number in range(MAX_DEMONSTRATIONS):
            own = tokens[tokens[:, -1] == self._number + number]
            if len(own):
                shown = own[:, : 2 * self.area].reshape(len(own), 2, self.area) - self._zeros
                sides = [(shown[:, which], own[:, -3:-1]) for which in range(2)]
                given, wanted = (self._grid(cells, where) for cells, where in sides)
                pairs.append((given, wanted))
        return pairs

    def _grid(self, cells: NDArray[np.int64], where: NDArray[np.int64]) -> Grid:
        there = cells[:, 0] != _ABSENT
        cells, where, side = cells[there], where[there], self.side
        rows, columns = where[-1] - (self._row, self._column) + 1
        padded = cells.reshape(rows, columns, side, side).transpose(0, 2, 1, 3).reshape(rows * side, -1)
        height, width = (int((padded != _OUTSIDE).any(axis=axis).sum()) for axis in (1, 0))
        return Grid.from_bytes(height, width, padded[:height, :width].astype(np.uint8).tobytes())
