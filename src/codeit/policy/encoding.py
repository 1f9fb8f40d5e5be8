"""Tasks and programs as token ids, in two ways.

`CompactEncoding` is this project's own. It writes one token per name in programs. It describes a
task by property signatures (property_signatures.py), or by the cells, runs or patches of its grids
(grid_tokens.py). `PaperEncoding` is the text of Butt et al. 2024 (arXiv 2402.04858), read by a
pre-trained model's tokenizer. Both order demonstrations by size, smallest first.
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
"""Variables in the compact vocabulary: x1 … x160."""
MAX_ARGUMENTS = 4
"""Most arguments in the call of a variable."""


class VocabularyError(ValueError):
    """A saved vocabulary is not that of this version of the language."""


class NotEncodableError(ValueError):
    """A program without a token sequence within the encoding's limits. Training skips it."""


def _too_long(tokens: int, limit: int) -> NotEncodableError:
    return NotEncodableError(f"program of {tokens} tokens, policy.max_program_tokens = {limit}")


class Encoding(Protocol):
    """What the model, the sampler and the trainer need to know about an encoding."""

    config: PolicyConfig
    vocab_size: int
    output_size: int
    """Ids of program tokens are smaller than this one."""
    pad_id: int
    eos_id: int
    start_id: int
    max_program_tokens: int

    def encode_task(self, demonstrations: Demonstrations) -> Tokens:
        """Return the source tokens of a task: at most the two limits and a few separators."""

    def encode_program(self, program: Program) -> list[int]:
        """Return the target token ids, which end in `eos_id`.

        Raises NotEncodableError beyond `max_program_tokens`.
        """

    def decode_program(self, ids: Sequence[int]) -> str:
        """Return the program text of sampled ids, with or without end and padding.

        With the paper's encoding the text may not parse.
        """

    def save(self, directory: Path) -> None:
        """Write the tokenizer's files into `directory`."""


def smallest(demonstrations: Demonstrations, limit: int) -> list[tuple[Grid, Grid]]:
    """Return the `limit` demonstrations with fewest cells, smallest first. The sort is stable."""
    return sorted(demonstrations, key=lambda pair: len(bytes(pair[0])) + len(bytes(pair[1])))[:limit]


# --- compact encoding


def program_words() -> list[str]:
    """Return the words that a program is written in, except the end."""
    calls = [f"call{n}" for n in range(1, MAX_ARGUMENTS + 1)]
    return [*calls, *sorted(PRIMITIVES), "I", *sorted(CONSTANTS), *(f"x{n}" for n in range(1, VARIABLES + 1))]


class CompactEncoding:
    """A word-level vocabulary of this project: few tokens per task, one token per name.

    A program is written in prefix form, a line as `objects I T F F`. The arity of a primitive is
    known, so there are no brackets and commas. The number of a line implies its target. A call of a
    variable with N arguments is written `callN x4 …`. `config.encoding` selects how a task is
    written: sparse, in runs, in patches of `config.patch_size` cells a side, or as property
    signatures.
    """

    file = "tokenizer.json"

    def __init__(self, config: PolicyConfig, tokenizer: Tokenizer | None = None) -> None:
        """Build the vocabulary, or take that of `tokenizer`.

        Raises ValueError if the words of `tokenizer` are not those of the language and the
        encoding.
        """
        self.config = config
        schemes: dict[str, Callable[[], Scheme]] = {
            "sparse": Sparse,
            "runs": Runs,
            "patches": partial(Patches, config.patch_size),
            "signatures": PropertySignatures,
        }
        self.scheme: Scheme = schemes[config.encoding]()
        words = ["<pad>", "</s>", *program_words(), *self.scheme.words]
        vocabulary = {word: word_id for word_id, word in enumerate(words)}
        if tokenizer is None:
            tokenizer = Tokenizer(models.WordLevel(vocabulary, unk_token="<pad>"))
            tokenizer.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
        elif tokenizer.get_vocab() != vocabulary:
            odd = sorted(set(tokenizer.get_vocab().items()) ^ set(vocabulary.items()))[0]
            raise VocabularyError(
                f"{self.file}: expected the {len(words)} words of this version, found "
                f"{tokenizer.get_vocab_size()} (first difference: {odd[0]!r}, id {odd[1]}); use the version "
                "that made it, or train a new policy"
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
    def load(cls, directory: Path, config: PolicyConfig) -> CompactEncoding:
        """Read `tokenizer.json` in `directory`. The limits come from `config`."""
        return cls(config, Tokenizer.from_file(str(directory / cls.file)))

    def save(self, directory: Path) -> None:
        self.tokenizer.save(str(directory / self.file))

    def encode_task(self, demonstrations: Demonstrations) -> Tokens:
        limits = self.config.max_input_tokens, self.config.max_output_tokens
        return self.scheme.encode(smallest(demonstrations, self.config.demonstrations), self.ids, *limits)

    def decode_task(self, tokens: Tokens) -> list[tuple[Grid, Grid]]:
        """Return the demonstrations of an encoded task that were not cut, smallest first.

        Raises ValueError for property signatures, which do not determine the grids.
        """
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
        words = iter([self._words[k] for k in ids if k not in (self.pad_id, self.eos_id)])
        for word in words:
            function = next(words, "") if word.startswith("call") else word
            arity = int(word[-1]) if word.startswith("call") else PRIMITIVES[word].arity
            arguments = tuple(next(words, "") for _ in range(arity))
            lines.append(Line(f"x{len(lines) + 1}", function, arguments))
        if lines:
            lines[-1] = lines[-1]._replace(target="O")
        return "\n".join(f"{target} = {function}({', '.join(a)})" for target, function, a in lines)


# --- the paper's encoding

_COMMA = re.compile(r"\s*,\s*")
_LINE = re.compile(r"\s*(x\d+|O)\s*=\s*(\w+)\s*\(\s*(\w+(?:\s*,\s*\w+)*)\s*\)")


def sparse_text(grid: Grid) -> str:
    """Return a grid in the paper's sparse format, `HxW background=B C=i,j i,j … C=…`.

    It lists the cells of all colours except the most common, in ascending order.
    """
    (height, width), cells = grid.shape, bytes(grid)
    background = most_common_colour(cells)
    parts = [f"{height}x{width} background={background}"]
    for colour in sorted(set(cells) - {background}):
        positions = (divmod(k, width) for k, cell in enumerate(cells) if cell == colour)
        parts.append(f"{colour}=" + " ".join(f"{i},{j}" for i, j in positions))
    return " ".join(parts)


def well_formed_lines(text: str) -> Iterator[str]:
    """Yield the assignments that `text` begins with, up to the line of `O`."""
    end = 0
    while match := _LINE.match(text, end):
        target, function, arguments = match.groups()
        yield f"{target} = {function}({', '.join(re.split(_COMMA, arguments))})"
        end = match.end()
        if target == "O":
            return


class PaperEncoding:
    """The paper's text, read by a pre-trained tokenizer (CodeT5+'s, except in tests).

    A task is the inputs in sparse text joined by `|`, a newline, and the outputs in the same
    format. A program is its text.
    """

    def __init__(self, config: PolicyConfig, tokenizer: Any, vocab_size: int, start_id: int) -> None:
        """Wrap a transformers `tokenizer`.

        `vocab_size` is that of the model, `start_id` the first token that its decoder reads.
        """
        if tokenizer.pad_token_id is None or tokenizer.eos_token_id is None:
            raise ValueError(
                f"tokenizer {tokenizer.name_or_path!r}: expected a pad and an end token, found only one or "
                "none; set both in its files"
            )
        self.config = config
        self.tokenizer = tokenizer
        self.vocab_size = self.output_size = vocab_size
        self.start_id = start_id
        self.pad_id: int = tokenizer.pad_token_id
        self.eos_id: int = tokenizer.eos_token_id
        self.max_program_tokens = config.max_program_tokens
        # The tokenizer wraps every text: <s> … </s> in CodeT5+, … </s> in T5.
        self._head = [k for k in tokenizer("").input_ids if k != self.eos_id]
        self._newline = self._text_ids("\n")

    def _text_ids(self, text: str) -> list[int]:
        ids: list[int] = self.tokenizer(text, add_special_tokens=False, verbose=False).input_ids
        return ids

    def save(self, directory: Path) -> None:
        self.tokenizer.save_pretrained(directory)

    def encode_task(self, demonstrations: Demonstrations) -> Tokens:
        pairs, config = smallest(demonstrations, self.config.demonstrations), self.config
        inputs = self._text_ids("|".join(sparse_text(before) for before, _ in pairs))
        outputs = self._text_ids("|".join(sparse_text(after) for _, after in pairs))
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
