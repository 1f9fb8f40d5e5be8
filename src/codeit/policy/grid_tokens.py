"""Demonstrations as words, in three ways: `Sparse` cells, `Runs` of cells, and square `Patches`.

A token is one word in `Sparse` and `Runs`. In `Patches` it is a bag of words: one word per cell,
and the row, column and demonstration number of the patch. The embeddings of the words of a bag are
added. Padding adds nothing.
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
"""Word ids: shape (tokens,), or (tokens, words per token)."""

MAX_DEMONSTRATIONS = 10
"""Demonstrations that the vocabularies can number and the configuration allows."""
MAX_SIDE = 30
"""Largest height or width of a grid, in cells."""
UNCHANGED = 10
"""Stands for a cell of an output that equals the same cell of its input."""


class Scheme(Protocol):
    """A way to turn the demonstrations of a task into tokens."""

    words: list[str]

    def encode(
        self, demonstrations: Demonstrations, ids: Mapping[str, int], max_inputs: int, max_outputs: int
    ) -> Tokens:
        """Return the tokens of a task, given the ids of the words.

        At most `max_inputs` tokens describe the inputs and `max_outputs` the outputs. A scheme
        whose tokens describe both takes the sum as its limit.
        """

    def decode(self, tokens: Tokens, words: Sequence[str]) -> list[tuple[Grid, Grid]]:
        """Return the demonstrations that were not cut, given the words of the ids.

        Raises ValueError if tokens of this scheme do not determine the grids.
        """


def most_common_colour(cells: bytes) -> int:
    """Return the most common colour. The smaller colour wins a tie."""
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
    """Return the words of row-major `cells`, one byte each.

    A row is written as its runs: `COLOUR*LENGTH`, or `skipLENGTH` for background. `end` fills the
    rest of the row with background; a row whose last cell is not background has no `end`. `againN`
    repeats the row before N more times. `copyN` repeats the row N above once. Background rows at
    the end are omitted.
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
    """Return the cells that `cells_to_words` turned into `words`."""
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
    """The paper's sparse text (Butt et al. 2024, arXiv 2402.04858), one word per token.

    A task is written as `inK hH wW backgroundB colourC atI,J atI,J … colourC …` for each input K,
    then as `outK …` for each output. All cells are listed except those of the most common colour.
    Inputs and outputs are each cut at their limit.
    """

    def __init__(self) -> None:
        sides = range(1, MAX_SIDE + 1)
        words = [f"{tag}{n}" for tag in ("in", "out") for n in range(1, MAX_DEMONSTRATIONS + 1)]
        words += [f"{tag}{n}" for tag in ("h", "w") for n in sides]
        words += [f"{tag}{colour}" for tag in ("background", "colour") for colour in range(10)]
        self.words = [*words, *(f"at{i},{j}" for i in range(MAX_SIDE) for j in range(MAX_SIDE))]

    def encode(
        self, demonstrations: Demonstrations, ids: Mapping[str, int], max_inputs: int, max_outputs: int
    ) -> Tokens:
        written: dict[str, list[str]] = {"in": [], "out": []}
        for number, pair in enumerate(demonstrations, start=1):
            for (tag, words), grid in zip(written.items(), pair, strict=True):
                (height, width), cells = grid.shape, bytes(grid)
                background = most_common_colour(cells)
                words += [f"{tag}{number}", f"h{height}", f"w{width}", f"background{background}"]
                for colour in sorted(set(cells) - {background}):
                    positions = (divmod(k, width) for k, cell in enumerate(cells) if cell == colour)
                    words += [f"colour{colour}", *(f"at{i},{j}" for i, j in positions)]
        within_limits = written["in"][:max_inputs] + written["out"][:max_outputs]
        return np.array([ids[word] for word in within_limits], np.int16)

    def decode(self, tokens: Tokens, words: Sequence[str]) -> list[tuple[Grid, Grid]]:
        written = [words[word_id] for word_id in tokens.tolist()]
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
    """Runs of cells along the rows, one word per token.

    A task is written as `inK hH wW backgroundB rows …` for each input K, then the outputs. An
    output is `outK` and the same. Where input and output have the same shape it is `sameK rows …`
    instead, in which the background is the input itself, so that only changes are written.
    `cells_to_words` describes the rows. Inputs and outputs are each cut at their limit.
    """

    def __init__(self) -> None:
        sides = range(1, MAX_SIDE + 1)
        words = [f"{tag}{n}" for tag in ("in", "out", "same") for n in range(1, MAX_DEMONSTRATIONS + 1)]
        words += [f"{tag}{n}" for tag in ("h", "w", "skip", "again", "copy") for n in sides]
        words += [f"background{colour}" for colour in range(10)]
        self.words = [*words, "end", *(f"{colour}*{n}" for colour in range(10) for n in sides)]

    def encode(
        self, demonstrations: Demonstrations, ids: Mapping[str, int], max_inputs: int, max_outputs: int
    ) -> Tokens:
        input_words: list[str] = []
        output_words: list[str] = []
        for number, (before, after) in enumerate(demonstrations, start=1):
            input_words += [f"in{number}", *_grid_words(before)]
            if before.shape == after.shape:
                changed = bytes(
                    UNCHANGED if a == b else b for a, b in zip(bytes(before), bytes(after), strict=True)
                )
                output_words += [f"same{number}", *cells_to_words(changed, before.shape[1], UNCHANGED)]
            else:
                output_words += [f"out{number}", *_grid_words(after)]
        within_limits = input_words[:max_inputs] + output_words[:max_outputs]
        return np.array([ids[word] for word in within_limits], np.int16)

    def decode(self, tokens: Tokens, words: Sequence[str]) -> list[tuple[Grid, Grid]]:
        written = [words[word_id] for word_id in tokens.tolist()]
        tags = [i for i, word in enumerate(written) if re.fullmatch(r"(in|out|same)\d+", word)]
        grids: dict[str, Grid] = {}
        for start, stop in pairwise([*tags, len(written)]):
            tag, body = written[start], written[start + 1 : stop]
            if tag.startswith("same"):
                before = grids[tag.replace("same", "in")]
                height, width = before.shape
                changed = words_to_cells(body, height, width, UNCHANGED)
                cells = bytes(a if b == UNCHANGED else b for a, b in zip(bytes(before), changed, strict=True))
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
"""Values of a cell in a patch: beyond the grid's edge; of a grid that this patch does not show."""


class Patches:
    """Squares of cells: one token holds a patch of the input and the same patch of the output.

    Where the shapes of input and output differ, the patches of the input come first, then those of
    the output. The words of a patch are one for each cell of the input and of the output, row by
    row, then its row and column among the patches, and the number of the demonstration.
    Demonstrations that exceed the sum of the limits are omitted, the largest first. A single
    remaining demonstration is cut.
    """

    def __init__(self, side: int) -> None:
        """`side` is the side of a patch in cells."""
        self.side, self.area = side, side * side
        values = [*map(str, range(10)), "outside", "absent"]
        cells = [f"{grid}{cell}" for grid in ("in", "out") for cell in range(self.area)]
        self.words = [f"{cell}={value}" for cell in cells for value in values]
        max_patches = -(-MAX_SIDE // side)
        self._row = len(self.words)
        self._column = self._row + max_patches
        self._number = self._column + max_patches
        self.words += [f"{tag}{n}" for tag in ("row", "column") for n in range(max_patches)]
        self.words += [f"pair{n}" for n in range(1, MAX_DEMONSTRATIONS + 1)]
        # The word for value 0 at each cell of a patch of the input and of the output.
        self._zeros = np.arange(2 * self.area).reshape(2, self.area) * len(values)

    def encode(
        self, demonstrations: Demonstrations, ids: Mapping[str, int], max_inputs: int, max_outputs: int
    ) -> Tokens:
        parts: list[NDArray[np.int64]] = []
        limit, length = max_inputs + max_outputs, 0
        for number, (before, after) in enumerate(demonstrations):
            part = self._demonstration_words(number, before, after)
            length += len(part)
            if parts and length > limit:
                break
            parts.append(part[:limit])
        return (np.concatenate(parts) + ids[self.words[0]]).astype(np.int16)

    def _demonstration_words(self, number: int, before: Grid, after: Grid) -> NDArray[np.int64]:
        """Return indices of the demonstration's words: shape (tokens, words per token)."""
        before_cells, after_cells = self._patch_cells(before), self._patch_cells(after)
        if before.shape == after.shape:
            return self._patch_words(number, before, before_cells, after_cells)
        return np.concatenate(
            [
                self._patch_words(number, before, before_cells, np.full_like(before_cells, _ABSENT)),
                self._patch_words(number, after, np.full_like(after_cells, _ABSENT), after_cells),
            ]
        )

    def _patch_words(
        self, number: int, grid: Grid, before_cells: NDArray[np.int64], after_cells: NDArray[np.int64]
    ) -> NDArray[np.int64]:
        rows, columns = self._patch_counts(grid)
        position = np.empty((rows * columns, 3), np.int64)
        position[:, 0] = self._row + np.repeat(np.arange(rows), columns)
        position[:, 1] = self._column + np.tile(np.arange(columns), rows)
        position[:, 2] = self._number + number
        return np.hstack([before_cells + self._zeros[0], after_cells + self._zeros[1], position])

    def _patch_counts(self, grid: Grid) -> tuple[int, int]:
        """Return the number of patches along the height and the width."""
        height, width = grid.shape
        return -(-height // self.side), -(-width // self.side)

    def _patch_cells(self, grid: Grid) -> NDArray[np.int64]:
        """Return the cells of each patch: shape (patches, cells per patch)."""
        (height, width), (rows, columns), side = grid.shape, self._patch_counts(grid), self.side
        padded = np.full((rows * side, columns * side), _OUTSIDE, np.int64)
        padded[:height, :width] = np.frombuffer(bytes(grid), np.uint8).reshape(height, width)
        return padded.reshape(rows, side, columns, side).transpose(0, 2, 1, 3).reshape(-1, self.area)

    def decode(self, tokens: Tokens, words: Sequence[str]) -> list[tuple[Grid, Grid]]:
        first = words.index(self.words[0])
        tokens = tokens.astype(np.int64) - first
        pairs = []
        for number in range(MAX_DEMONSTRATIONS):
            patches = tokens[tokens[:, -1] == self._number + number]
            if len(patches):
                shown = patches[:, : 2 * self.area].reshape(len(patches), 2, self.area) - self._zeros
                sides = [(shown[:, side], patches[:, -3:-1]) for side in range(2)]
                before, after = (self._grid(cells, position) for cells, position in sides)
                pairs.append((before, after))
        return pairs

    def _grid(self, cells: NDArray[np.int64], position: NDArray[np.int64]) -> Grid:
        present = cells[:, 0] != _ABSENT
        cells, position, side = cells[present], position[present], self.side
        rows, columns = position[-1] - (self._row, self._column) + 1
        padded = cells.reshape(rows, columns, side, side).transpose(0, 2, 1, 3).reshape(rows * side, -1)
        height, width = (int((padded != _OUTSIDE).any(axis=axis).sum()) for axis in (1, 0))
        return Grid.from_bytes(height, width, padded[:height, :width].astype(np.uint8).tobytes())
