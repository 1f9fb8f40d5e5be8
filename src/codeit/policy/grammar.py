"""What may be written next: holds decoding in the compact encoding to programs that parse and may run."""

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


class Partial(NamedTuple):
    """What matters of a program begun: the types of its variables, and the line that is being written."""

    variables: tuple[Type, ...] = ()
    head: str = ""  # a primitive, callN, or nothing at the start of a line
    given: tuple[Type, ...] = ()  # in a call of a variable, the first is the variable's own


_CALLS = {f"call{n}": n for n in range(1, MAX_ARGUMENTS + 1)}
_FIXED = ("I", *CONSTANTS, *PRIMITIVES)
_ALWAYS = reduce(or_, (slots(term_type(name)) for name in _FIXED))
"""The places of calls for which there is a value in every program."""


def _admits(head: str, given: tuple[Type, ...], candidate: Type) -> bool:
    """Whether a value may fill the next place of the line."""
    if head not in _CALLS:
        return fits(head, given, candidate)
    if not given:
        return callable_with(candidate, _CALLS[head])
    return accepts(given[0], len(given) - 1, candidate)


class Grammar:
    """What may come next in a compact program: a state machine over rows of samples.

    The rules of form are strict: arity, names defined before use, an end after at least one complete line,
    all within `max_program_tokens` tokens; every text that follows them parses. The rules of type
    (signatures.py), if `typed`, rule out calls that could only fail and results that are no grid; they yield
    where they would leave nothing to write.

    A state is a list with a `Partial` for each row. Masks are made once for each partial program, which
    samples of a batch share as long as they look alike.
    """

    def __init__(self, encoding: CompactEncoding, device: torch.device, typed: bool = True) -> None:
        self.ids, self.size, self.device, self.typed = encoding.ids, encoding.output_size, device, typed
        self.words = {id: word for word, id in encoding.ids.items() if id < self.size}
        self.limit, self.eos_id = encoding.max_program_tokens, encoding.eos_id
        # Tokens that a line needs, its head and the end after it included.
        needed = {name: primitive.arity + 2 for name, primitive in PRIMITIVES.items()}
        needed |= {call: n + 3 for call, n in _CALLS.items()}
        self.longest = max(needed.values())
        self.lines_within = [
            self._bits(word for word, n in needed.items() if n <= left) for left in range(self.longest + 1)
        ]
        self.any_fixed, self.end = self._bits(_FIXED), 1 << self.eos_id
        self.to_grid = self.end | self._bits(p for p in PRIMITIVES if PRIMITIVES[p].result == "Grid")
        self._mask = lru_cache(1 << 16)(self._make_mask)
        self._heads = lru_cache(1 << 14)(self._heads_within)
        self._groups = lru_cache(1 << 16)(self._group)
        self._fixed = lru_cache(1 << 16)(self._admitted_fixed)
        self._next = lru_cache(1 << 18)(self._make_next)

    def _bits(self, words: Iterable[str]) -> int:
        """A set of words as bits, each at the place of its id."""
        return sum(1 << self.ids[word] for word in words)

    def start(self, rows: int) -> list[Partial]:
        """The state of `rows` empty programs."""
        return [Partial()] * rows

    def allowed(self, state: list[Partial], position: int) -> torch.Tensor:
        """Tokens that may stand at `position` (tokens before it): bool, shape (rows, output_size)."""
        left = self.limit - position
        masks = [self._mask(partial) for partial in state]
        if left <= 2 * self.longest:  # what is begun must be brought to an end: best, to a grid
            within = self.lines_within[max(min(left, self.longest), 0)] | self.end
            for row, partial in enumerate(state):
                if not partial.head:
                    some = masks[row] & within
                    masks[row] = (self.typed and some & self.to_grid) or some or self.end
        width = self.size // 8 + 1
        packed = np.frombuffer(b"".join(mask.to_bytes(width, "little") for mask in masks), np.uint8)
        bits = np.unpackbits(packed.reshape(len(masks), width), axis=1, bitorder="little")[:, : self.size]
        return torch.from_numpy(bits.astype(bool)).to(self.device)

    def advance(self, state: list[Partial], tokens: torch.Tensor) -> list[Partial]:
        """The state after `tokens`, shape (rows,), each allowed. An end leaves its row at a line's head."""
        return [self._next(partial, token) for partial, token in zip(state, tokens.tolist(), strict=True)]

    def _make_next(self, partial: Partial, token: int) -> Partial:
        variables, head, given = partial
        word = self.words[token]
        if not head:
            return partial if token in (self.eos_id, 0) else Partial(variables, word)
        if word not in PRIMITIVES and word.startswith("x") and word[1:].isdigit():
            given = (*given, variables[int(word[1:]) - 1])
        else:
            given = (*given, term_type(word))
        if len(given) < (_CALLS[head] + 1 if head in _CALLS else PRIMITIVES[head].arity):
            return Partial(variables, head, given)
        new = applied(given[0], given[1:]) if head in _CALLS else result_type(head, given)
        return Partial((*variables, new))

    def _make_mask(self, partial: Partial) -> int:
        return self._argument_mask(partial) if partial.head else self._head_mask(partial.variables)

    def _head_mask(self, variables: tuple[Type, ...]) -> int:
        mask = 0
        if len(variables) <= VARIABLES:
            groups = self._groups(variables)
            filled = _ALWAYS
            for type, _ in groups:
                filled |= slots(type)
            mask = self._heads(filled)
            for call, n in _CALLS.items():
                if any(not self.typed or callable_with(type, n) for type, _ in groups):
                    mask |= 1 << self.ids[call]
        if variables and (not self.typed or may_be_grid(variables[-1]) or not mask):
            mask |= self.end
        return mask

    def _argument_mask(self, partial: Partial) -> int:
        groups = self._groups(partial.variables)
        calling = partial.head in _CALLS and not partial.given  # the place of the function: a variable's
        if self.typed:
            mask = 0 if calling else self._fixed(partial.head, partial.given)
            for type, names in groups:
                if _admits(partial.head, partial.given, type):
                    mask |= names
            if mask:
                return mask
        mask = 0 if calling else self.any_fixed
        for _, names in groups:
            mask |= names
        return mask

    def _group(self, variables: tuple[Type, ...]) -> tuple[tuple[Type, int], ...]:
        """The types that the variables have, and the variables of each."""
        groups: dict[Type, int] = {}
        for n, type in enumerate(variables, start=1):
            groups[type] = groups.get(type, 0) | 1 << self.ids[f"x{n}"]
        return tuple(groups.items())

    def _heads_within(self, filled: int) -> int:
        """The primitives that can be called, where `filled` are the places for which there is a value."""
        return self._bits(name for name in PRIMITIVES if not self.typed or fillable(name, filled))

    def _admitted_fixed(self, head: str, given: tuple[Type, ...]) -> int:
        """Of the input, the constants and the primitives, those that may fill the next place."""
        return self._bits(name for name in _FIXED if _admits(head, given, term_type(name)))
