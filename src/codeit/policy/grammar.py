"""Constrained decoding in the compact encoding: only programs that parse, and that may run."""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache, reduce
from operator import or_
from typing import NamedTuple

import numpy as np
import torch

from codeit.language import CONSTANTS, PRIMITIVES
from codeit.language.types import (
    Type,
    accepts,
    applied,
    callable_with,
    fillable,
    fits,
    may_be_grid,
    result_type,
    slots,
    term_type,
)
from codeit.policy.encoding import MAX_ARGUMENTS, VARIABLES, CompactEncoding


class PartialProgram(NamedTuple):
    """The part of an unfinished program that decides what may follow."""

    variables: tuple[Type, ...] = ()
    """Types of the variables that are defined."""
    head: str = ""
    """The first word of the current line: a primitive or callN. Empty between two lines."""
    arguments: tuple[Type, ...] = ()
    """Types of the words after it. In a call of a variable, the first is that of the variable."""


_CALLS = {f"call{n}": n for n in range(1, MAX_ARGUMENTS + 1)}
_FIXED = ("I", *CONSTANTS, *PRIMITIVES)
_ALWAYS_FILLED = reduce(or_, (slots(term_type(name)) for name in _FIXED))
"""The argument slots of primitives for which every program has a value."""


def _admits(head: str, arguments: tuple[Type, ...], candidate: Type) -> bool:
    """Return whether a value may fill the next slot of the line."""
    if head not in _CALLS:
        return fits(head, arguments, candidate)
    if not arguments:
        return callable_with(candidate, _CALLS[head])
    return accepts(arguments[0], len(arguments) - 1, candidate)


class Grammar:
    """The next tokens of a compact program: a state machine over rows of samples.

    Syntax rules always hold: arity, definition before use, an end after at least one complete line,
    all within `max_program_tokens` tokens. Every text that follows them parses. Type rules
    (language/types.py), if `typed`, exclude calls that can only fail and results that cannot be a
    grid. They are relaxed where they would allow no token.

    A state is a list with a `PartialProgram` for each row. Masks are cached by partial program. The
    samples of a batch share them as long as their partial programs are equal.
    """

    def __init__(self, encoding: CompactEncoding, device: torch.device, typed: bool = True) -> None:
        self.ids, self.size, self.device, self.typed = encoding.ids, encoding.output_size, device, typed
        self.words = {word_id: word for word, word_id in encoding.ids.items() if word_id < self.size}
        self.limit, self.eos_id = encoding.max_program_tokens, encoding.eos_id
        # Tokens that a line needs, including its head and the end after it.
        needed = {name: primitive.arity + 2 for name, primitive in PRIMITIVES.items()}
        needed |= {call: n + 3 for call, n in _CALLS.items()}
        self.longest = max(needed.values())
        self.heads_within = [
            self._bits(word for word, n in needed.items() if n <= left) for left in range(self.longest + 1)
        ]
        self.any_fixed, self.end = self._bits(_FIXED), 1 << self.eos_id
        self.to_grid = self.end | self._bits(p for p in PRIMITIVES if PRIMITIVES[p].result == "Grid")
        self._mask = lru_cache(1 << 16)(self._compute_mask)
        self._callable_primitives = lru_cache(1 << 14)(self._compute_callable_primitives)
        self._variables_by_type = lru_cache(1 << 16)(self._compute_variables_by_type)
        self._fixed_arguments = lru_cache(1 << 16)(self._compute_fixed_arguments)
        self._next_partial = lru_cache(1 << 18)(self._compute_next_partial)

    def _bits(self, words: Iterable[str]) -> int:
        """Return a set of words as an integer with one bit per id."""
        return sum(1 << self.ids[word] for word in words)

    def start(self, rows: int) -> list[PartialProgram]:
        """Return the state of `rows` empty programs."""
        return [PartialProgram()] * rows

    def allowed(self, state: list[PartialProgram], position: int) -> torch.Tensor:
        """Return the tokens allowed after `position` tokens: bool, shape (rows, output_size)."""
        left = self.limit - position
        masks = [self._mask(partial) for partial in state]
        if left <= 2 * self.longest:  # few tokens are left: the program must end, preferably in a grid
            within = self.heads_within[max(min(left, self.longest), 0)] | self.end
            for row, partial in enumerate(state):
                if not partial.head:
                    some = masks[row] & within
                    masks[row] = (self.typed and some & self.to_grid) or some or self.end
        width = self.size // 8 + 1
        packed = np.frombuffer(b"".join(mask.to_bytes(width, "little") for mask in masks), np.uint8)
        bits = np.unpackbits(packed.reshape(len(masks), width), axis=1, bitorder="little")[:, : self.size]
        return torch.from_numpy(bits.astype(bool)).to(self.device)

    def advance(self, state: list[PartialProgram], tokens: torch.Tensor) -> list[PartialProgram]:
        """Return the state after `tokens`, shape (rows,), each of which must be allowed.

        An end token leaves its row unchanged.
        """
        return [
            self._next_partial(partial, token) for partial, token in zip(state, tokens.tolist(), strict=True)
        ]

    def _compute_next_partial(self, partial: PartialProgram, token: int) -> PartialProgram:
        variables, head, arguments = partial
        word = self.words[token]
        if not head:
            return partial if token in (self.eos_id, 0) else PartialProgram(variables, word)
        if word not in PRIMITIVES and word.startswith("x") and word[1:].isdigit():
            arguments = (*arguments, variables[int(word[1:]) - 1])
        else:
            arguments = (*arguments, term_type(word))
        if len(arguments) < (_CALLS[head] + 1 if head in _CALLS else PRIMITIVES[head].arity):
            return PartialProgram(variables, head, arguments)
        if head in _CALLS:
            return PartialProgram((*variables, applied(arguments[0], arguments[1:])))
        return PartialProgram((*variables, result_type(head, arguments)))

    def _compute_mask(self, partial: PartialProgram) -> int:
        return self._argument_mask(partial) if partial.head else self._head_mask(partial.variables)

    def _head_mask(self, variables: tuple[Type, ...]) -> int:
        mask = 0
        if len(variables) <= VARIABLES:
            groups = self._variables_by_type(variables)
            filled = _ALWAYS_FILLED
            for kind, _ in groups:
                filled |= slots(kind)
            mask = self._callable_primitives(filled)
            for call, n in _CALLS.items():
                if any(not self.typed or callable_with(kind, n) for kind, _ in groups):
                    mask |= 1 << self.ids[call]
        if variables and (not self.typed or may_be_grid(variables[-1]) or not mask):
            mask |= self.end
        return mask

    def _argument_mask(self, partial: PartialProgram) -> int:
        groups = self._variables_by_type(partial.variables)
        needs_function = partial.head in _CALLS and not partial.arguments  # only a variable fits here
        if self.typed:
            mask = 0 if needs_function else self._fixed_arguments(partial.head, partial.arguments)
            for kind, names in groups:
                if _admits(partial.head, partial.arguments, kind):
                    mask |= names
            if mask:
                return mask
        mask = 0 if needs_function else self.any_fixed
        for _, names in groups:
            mask |= names
        return mask

    def _compute_variables_by_type(self, variables: tuple[Type, ...]) -> tuple[tuple[Type, int], ...]:
        """Return the distinct types of the variables, each with the bits of its variables."""
        groups: dict[Type, int] = {}
        for n, kind in enumerate(variables, start=1):
            groups[kind] = groups.get(kind, 0) | 1 << self.ids[f"x{n}"]
        return tuple(groups.items())

    def _compute_callable_primitives(self, filled: int) -> int:
        """Return the primitives that can be called if there are values for the slots `filled`."""
        return self._bits(name for name in PRIMITIVES if not self.typed or fillable(name, filled))

    def _compute_fixed_arguments(self, head: str, arguments: tuple[Type, ...]) -> int:
        """Return the input, constants and primitives that may fill the next slot of the line."""
        return self._bits(name for name in _FIXED if _admits(head, arguments, term_type(name)))
