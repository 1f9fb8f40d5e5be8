"""Tasks and programs as token ids, two ways.

`CompactEncoding` is this project's own: a token a name in programs, a token a run of cells in grids.
`PaperEncoding` is the text of Butt et al. 2024
(arXiv 2402.04858) through a pre-trained model's tokenizer. Both order demonstrations by size, smallest first,
and cut the inputs part and the outputs part each at its own limit.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from functools import lru_cache
from itertools import groupby, pairwise
from pathlib import Path
from typing import Any, Protocol

from tokenizers import Tokenizer, models, pre_tokenizers

from codeit.config import PolicyConfig
from codeit.language import CONSTANTS, PRIMITIVES, Grid, Line, Program

Demonstrations = Sequence[tuple[Grid, Grid]]
"""The (input, output) grids of one task."""

VARIABLES = 160
"""Variables that the compact vocabulary knows: x1 … x160."""
MAX_ARGUMENTS = 4
MAX_DEMONSTRATIONS = 10
"""Demonstrations that the compact vocabulary can number, and the config allow."""
SIDE = 30
"""Largest height or width of a grid, in cells."""
KEPT = 10
"""Stands for a cell of an output that equals the same cell of its input."""


class NotEncodable(ValueError):
    """The program has no token sequence within this encoding's limits; learning leaves it out."""


def _too_long(tokens: int, limit: int) -> NotEncodable:
    return NotEncodable(f"program of {tokens} tokens, policy.max_program_tokens = {limit}")


class Encoding(Protocol):
    """What the model, the sampler and the learner need to know of an encoding."""

    name: str
    vocab_size: int
    output_size: int
    """Only ids below this one occur in programs."""
    pad_id: int
    eos_id: int
    start_id: int
    max_program_tokens: int

    def encode_task(self, demonstrations: Demonstrations) -> list[int]:
        """Source token ids of a task; at most the two limits plus a few separators."""

    def encode_program(self, program: Program) -> list[int]:
        """Target token ids, ending in `eos_id`. Raises NotEncodable beyond `max_program_tokens`."""

    def decode_program(self, ids: Sequence[int]) -> str:
        """Program text of sampled ids (with or without end and padding); may not parse in the paper's way."""

    def save(self, folder: Path) -> None:
        """Write the tokenizer's files into `folder`."""


def by_size(demonstrations: Demonstrations, limit: int) -> list[tuple[Grid, Grid]]:
    """At most `limit` demonstrations, those of fewest cells first; ties keep their order."""
    return sorted(demonstrations, key=lambda pair: len(bytes(pair[0])) + len(bytes(pair[1])))[:limit]


def most_common_colour(cells: bytes) -> int:
    """The colour of most cells, the smaller colour in a tie."""
    return max(range(10), key=lambda colour: (cells.count(colour), -colour))


# --- compact encoding


def program_words() -> list[str]:
    """The words a program is written in, besides the end."""
    calls = [f"call{n}" for n in range(1, MAX_ARGUMENTS + 1)]
    return [*calls, *sorted(PRIMITIVES), "I", *sorted(CONSTANTS), *(f"x{n}" for n in range(1, VARIABLES + 1))]


def grid_words() -> list[str]:
    """The words a task is written in; CompactEncoding says what each means."""
    sides = range(1, SIDE + 1)
    words = [f"{tag}{n}" for tag in ("in", "out", "same") for n in range(1, MAX_DEMONSTRATIONS + 1)]
    words += [f"{tag}{n}" for tag in ("h", "w", "skip", "again", "copy") for n in sides]
    words += [f"background{colour}" for colour in range(10)]
    return [*words, "end", *(f"{colour}*{n}" for colour in range(10) for n in sides)]


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


class CompactEncoding:
    """A word-level vocabulary of this project: few tokens a cell, one token a name.

    A program is written in prefix form, `objects I T F F` a line: a primitive's arity is known, so brackets
    and commas are not needed; a line's number implies its target. Calling a variable is `callN x4 …` with N
    arguments.

    A task is `inK hH wW backgroundB rows …` for each input K, then for each output `outK` and the same, or,
    where input and output have one shape, `sameK rows …` in which the background is the input itself: only
    what changes is written. Rows are as in `cells_to_words`.
    """

    name = "compact"
    file = "tokenizer.json"

    def __init__(self, config: PolicyConfig, tokenizer: Tokenizer | None = None) -> None:
        """A fresh vocabulary, or the one of `tokenizer`; ValueError if its words are not this language's."""
        words = ["<pad>", "</s>", *program_words(), *grid_words()]
        vocabulary = {word: id for id, word in enumerate(words)}
        if tokenizer is None:
            tokenizer = Tokenizer(models.WordLevel(vocabulary, unk_token="<pad>"))
            tokenizer.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
        elif tokenizer.get_vocab() != vocabulary:
            odd = sorted(set(tokenizer.get_vocab().items()) ^ set(vocabulary.items()))[0]
            raise ValueError(
                f"{self.file}: {tokenizer.get_vocab_size()} words, not the {len(words)} of this version "
                f"(first difference: {odd[0]!r}, id {odd[1]}); use the version that made it, or train afresh"
            )
        self.tokenizer = tokenizer
        self.vocab_size = len(words)
        self.output_size = len(words) - len(grid_words())
        self.pad_id = self.start_id = 0
        self.eos_id = 1
        self.demonstrations = config.demonstrations
        self.max_input_tokens = config.max_input_tokens
        self.max_output_tokens = config.max_output_tokens
        self.max_program_tokens = config.max_program_tokens
        self.ids = vocabulary
        self._words = words

    @classmethod
    def load(cls, folder: Path, config: PolicyConfig) -> CompactEncoding:
        """Read `tokenizer.json` of `folder`; limits come from `config`."""
        return cls(config, Tokenizer.from_file(str(folder / cls.file)))

    def save(self, folder: Path) -> None:
        self.tokenizer.save(str(folder / self.file))

    def encode_task(self, demonstrations: Demonstrations) -> list[int]:
        inputs: list[str] = []
        outputs: list[str] = []
        for number, (given, wanted) in enumerate(by_size(demonstrations, self.demonstrations), start=1):
            inputs += [f"in{number}", *self._grid_words(given)]
            if given.shape == wanted.shape:
                changed = bytes(
                    KEPT if a == b else b for a, b in zip(bytes(given), bytes(wanted), strict=True)
                )
                outputs += [f"same{number}", *cells_to_words(changed, given.shape[1], KEPT)]
            else:
                outputs += [f"out{number}", *self._grid_words(wanted)]
        words = inputs[: self.max_input_tokens] + outputs[: self.max_output_tokens]
        return [self.ids[word] for word in words]

    def _grid_words(self, grid: Grid) -> list[str]:
        (height, width), cells = grid.shape, bytes(grid)
        background = most_common_colour(cells)
        head = [f"h{height}", f"w{width}", f"background{background}"]
        return head + cells_to_words(cells, width, background)

    def decode_task(self, ids: Sequence[int]) -> list[tuple[Grid, Grid]]:
        """The demonstrations of an encoded task that no limit has cut, smallest first."""
        words = [self._words[id] for id in ids]
        tags = [i for i, word in enumerate(words) if re.fullmatch(r"(in|out|same)\d+", word)] + [len(words)]
        grids: dict[str, Grid] = {}
        for start, stop in pairwise(tags):
            tag, body = words[start], words[start + 1 : stop]
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

    def encode_program(self, program: Program) -> list[int]:
        words: list[str] = []
        for line in program.lines:
            call = [] if line.function in PRIMITIVES else [f"call{len(line.arguments)}"]
            words += [*call, line.function, *line.arguments]
        if len(words) + 1 > self.max_program_tokens:
            raise _too_long(len(words) + 1, self.max_program_tokens)
        try:
            return [*(self.ids[word] for word in words), self.eos_id]
        except KeyError as error:
            raise NotEncodable(f"no token for {error.args[0]!r} (variables go up to x{VARIABLES})") from None

    def decode_program(self, ids: Sequence[int]) -> str:
        lines: list[Line] = []
        words = iter([self._words[id] for id in ids if id not in (self.pad_id, self.eos_id)])
        for word in words:
            function = next(words, "") if word.startswith("call") else word
            arity = int(word[-1]) if word.startswith("call") else PRIMITIVES[word].arity
            arguments = tuple(next(words, "") for _ in range(arity))
            lines.append(Line(f"x{len(lines) + 1}", function, arguments))
        if lines:
            lines[-1] = lines[-1]._replace(target="O")
        return "\n".join(f"{target} = {function}({', '.join(a)})" for target, function, a in lines)


# --- paper's encoding

_COMMA = re.compile(r"\s*,\s*")
_LINE = re.compile(r"\s*(x\d+|O)\s*=\s*(\w+)\s*\(\s*(\w+(?:\s*,\s*\w+)*)\s*\)")


def sparse_text(grid: Grid) -> str:
    """`HxW background=B C=i,j i,j … C=…`: the cells of all colours but the most common, ascending."""
    (height, width), cells = grid.shape, bytes(grid)
    background = most_common_colour(cells)
    parts = [f"{height}x{width} background={background}"]
    for colour in sorted(set(cells) - {background}):
        places = (divmod(k, width) for k, cell in enumerate(cells) if cell == colour)
        parts.append(f"{colour}=" + " ".join(f"{i},{j}" for i, j in places))
    return " ".join(parts)


def well_formed_lines(text: str) -> Iterator[str]:
    """The lines of assignment that `text` begins with, up to the first foreign token or the line of `O`."""
    end = 0
    while match := _LINE.match(text, end):
        target, function, arguments = match.groups()
        yield f"{target} = {function}({', '.join(re.split(_COMMA, arguments))})"
        end = match.end()
        if target == "O":
            return


class PaperEncoding:
    """The paper's text through a pre-trained tokenizer (CodeT5+'s in real use).

    A task is the inputs in sparse text joined with `|`, a newline, and the outputs alike; a program is its
    text.
    """

    name = "paper"

    def __init__(self, config: PolicyConfig, tokenizer: Any, vocab_size: int, start_id: int) -> None:
        """Wrap a transformers `tokenizer`; `vocab_size` and `start_id` (the decoder's) are the model's."""
        if tokenizer.pad_token_id is None or tokenizer.eos_token_id is None:
            raise ValueError(
                f"tokenizer {tokenizer.name_or_path!r} lacks a pad or an end token; set both in its files"
            )
        self.tokenizer = tokenizer
        self.vocab_size = self.output_size = vocab_size
        self.start_id = start_id
        self.pad_id: int = tokenizer.pad_token_id
        self.eos_id: int = tokenizer.eos_token_id
        self.demonstrations = config.demonstrations
        self.max_input_tokens = config.max_input_tokens
        self.max_output_tokens = config.max_output_tokens
        self.max_program_tokens = config.max_program_tokens
        # What the tokenizer puts around every text: <s> … </s> in CodeT5+, … </s> in T5.
        self._head = [id for id in tokenizer("").input_ids if id != self.eos_id]
        self._newline = self._text_ids("\n")

    def _text_ids(self, text: str) -> list[int]:
        ids: list[int] = self.tokenizer(text, add_special_tokens=False, verbose=False).input_ids
        return ids

    def save(self, folder: Path) -> None:
        self.tokenizer.save_pretrained(folder)

    def encode_task(self, demonstrations: Demonstrations) -> list[int]:
        pairs = by_size(demonstrations, self.demonstrations)
        inputs = self._text_ids("|".join(sparse_text(given) for given, _ in pairs))[: self.max_input_tokens]
        outputs = self._text_ids("|".join(sparse_text(wanted) for _, wanted in pairs))[
            : self.max_output_tokens
        ]
        return [*self._head, *inputs, *self._newline, *outputs, self.eos_id]

    def encode_program(self, program: Program) -> list[int]:
        ids = [*self._head, *self._text_ids(str(program)), self.eos_id]
        if len(ids) > self.max_program_tokens:
            raise _too_long(len(ids), self.max_program_tokens)
        return ids

    def decode_program(self, ids: Sequence[int]) -> str:
        ids = list(ids)
        if self.eos_id in ids:
            ids = ids[: ids.index(self.eos_id)]
        text = self.tokenizer.decode(ids, skip_special_tokens=True, clean_up_tokenization_spaces=False)
        return "\n".join(well_formed_lines(text))
