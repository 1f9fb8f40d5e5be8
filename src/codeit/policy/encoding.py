"""Tasks and programs as token ids, two ways.

`CompactEncoding` is this project's own: a token a name in programs; clues to what was done (clues.py), or
cells, runs or patches of cells in grids (grids.py). `PaperEncoding` is the text of Butt et al. 2024 (arXiv
2402.04858) through a pre-trained model's tokenizer. Both order demonstrations by size, smallest first.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from tokenizers import Tokenizer, models, pre_tokenizers

from codeit.config import PolicyConfig
from codeit.language import CONSTANTS, PRIMITIVES, Grid, Line, Program
from codeit.policy.grid_tokens import (
    Demonstrations,
    Patches,
    Runs,
    Scheme,
    Sparse,
    Tokens,
    most_common_colour,
)
from codeit.policy.property_signatures import PropertySignatures

VARIABLES = 160
"""Variables that the compact vocabulary knows: x1 … x160."""
MAX_ARGUMENTS = 4


class NotEncodableError(ValueError):
    """The program has no token sequence within this encoding's limits; learning leaves it out."""


def _too_long(tokens: int, limit: int) -> NotEncodableError:
    return NotEncodableError(f"program of {tokens} tokens, policy.max_program_tokens = {limit}")


class Encoding(Protocol):
    """What the model, the sampler and the learner need to know of an encoding."""

    config: PolicyConfig
    vocab_size: int
    output_size: int
    """Only ids below this one occur in programs."""
    pad_id: int
    eos_id: int
    start_id: int
    max_program_tokens: int

    def encode_task(self, demonstrations: Demonstrations) -> Tokens:
        """The source of a task; at most the two limits plus a few separators."""

    def encode_program(self, program: Program) -> list[int]:
        """Target token ids, ending in `eos_id`. Raises NotEncodableError beyond `max_program_tokens`."""

    def decode_program(self, ids: Sequence[int]) -> str:
        """Program text of sampled ids (with or without end and padding); may not parse in the paper's way."""

    def save(self, folder: Path) -> None:
        """Write the tokenizer's files into `folder`."""


def smallest(demonstrations: Demonstrations, limit: int) -> list[tuple[Grid, Grid]]:
    """At most `limit` demonstrations, those of fewest cells first; ties keep their order."""
    return sorted(demonstrations, key=lambda pair: len(bytes(pair[0])) + len(bytes(pair[1])))[:limit]


# --- compact encoding


def program_words() -> list[str]:
    """The words a program is written in, besides the end."""
    calls = [f"call{n}" for n in range(1, MAX_ARGUMENTS + 1)]
    return [*calls, *sorted(PRIMITIVES), "I", *sorted(CONSTANTS), *(f"x{n}" for n in range(1, VARIABLES + 1))]


class CompactEncoding:
    """A word-level vocabulary of this project: few tokens a task, one token a name.

    A program is written in prefix form, `objects I T F F` a line: a primitive's arity is known, so brackets
    and commas are not needed; a line's number implies its target. Calling a variable is `callN x4 …` with N
    arguments. A task is written as `config.encoding` says: sparse, in runs, in patches of `config.patch_size`
    cells across, or as clues to what was done.
    """

    file = "tokenizer.json"

    def __init__(self, config: PolicyConfig, tokenizer: Tokenizer | None = None) -> None:
        """A fresh vocabulary, or the one of `tokenizer`; ValueError if its words are not this language's."""
        self.config = config
        schemes: dict[str, Callable[[], Scheme]] = {
            "sparse": Sparse,
            "runs": Runs,
            "patches": partial(Patches, config.patch_size),
            "signatures": PropertySignatures,
        }
        self.scheme: Scheme = schemes[config.encoding]()
        words = ["<pad>", "</s>", *program_words(), *self.scheme.words]
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
        self.output_size = len(words) - len(self.scheme.words)
        self.pad_id = self.start_id = 0
        self.eos_id = 1
        self.max_program_tokens = config.max_program_tokens
        self.ids = vocabulary
        self._words = words

    @classmethod
    def load(cls, folder: Path, config: PolicyConfig) -> CompactEncoding:
        """Read `tokenizer.json` of `folder`; limits come from `config`."""
        return cls(config, Tokenizer.from_file(str(folder / cls.file)))

    def save(self, folder: Path) -> None:
        self.tokenizer.save(str(folder / self.file))

    def encode_task(self, demonstrations: Demonstrations) -> Tokens:
        limits = self.config.max_input_tokens, self.config.max_output_tokens
        return self.scheme.encode(smallest(demonstrations, self.config.demonstrations), self.ids, *limits)

    def decode_task(self, tokens: Tokens) -> list[tuple[Grid, Grid]]:
        """The demonstrations of an encoded task that no limit has cut, smallest first; not of clues."""
        return self.scheme.decode(tokens, self._words)

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
            raise NotEncodableError(
                f"no token for {error.args[0]!r} (variables go up to x{VARIABLES})"
            ) from None

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

    def __init__(self, config: PolicyConfig, tokenizer: Any, vocab_size: int, start_id: int) -> None:
        """Wrap a transformers `tokenizer`; `vocab_size` and `start_id` (the decoder's) are the model's."""
        if tokenizer.pad_token_id is None or tokenizer.eos_token_id is None:
            raise ValueError(
                f"tokenizer {tokenizer.name_or_path!r} lacks a pad or an end token; set both in its files"
            )
        self.config = config
        self.tokenizer = tokenizer
        self.vocab_size = self.output_size = vocab_size
        self.start_id = start_id
        self.pad_id: int = tokenizer.pad_token_id
        self.eos_id: int = tokenizer.eos_token_id
        self.max_program_tokens = config.max_program_tokens
        # What the tokenizer puts around every text: <s> … </s> in CodeT5+, … </s> in T5.
        self._head = [id for id in tokenizer("").input_ids if id != self.eos_id]
        self._newline = self._text_ids("\n")

    def _text_ids(self, text: str) -> list[int]:
        ids: list[int] = self.tokenizer(text, add_special_tokens=False, verbose=False).input_ids
        return ids

    def save(self, folder: Path) -> None:
        self.tokenizer.save_pretrained(folder)

    def encode_task(self, demonstrations: Demonstrations) -> Tokens:
        pairs, config = smallest(demonstrations, self.config.demonstrations), self.config
        inputs = self._text_ids("|".join(sparse_text(given) for given, _ in pairs))
        outputs = self._text_ids("|".join(sparse_text(wanted) for _, wanted in pairs))
        inputs, outputs = inputs[: config.max_input_tokens], outputs[: config.max_output_tokens]
        return np.array([*self._head, *inputs, *self._newline, *outputs, self.eos_id], np.int32)

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
