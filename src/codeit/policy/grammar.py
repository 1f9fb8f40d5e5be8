"""Constrained decoding in the compact encoding: only programs that parse, and that may run."""

from __future__ import annotations

import torch

from codeit import language
from codeit.language import PartialPrograms
from codeit.policy.encoding import CompactEncoding


class Grammar:
    """The next tokens of a compact program: a state machine over rows of samples.

    Syntax rules always hold: arity, definition before use, an end after at least one complete line,
    all within `max_program_tokens` tokens. Every text that follows them parses. Type rules, if
    `typed`, exclude calls that can only fail and results that cannot be a grid. They are relaxed
    where they would allow no token. The rules are in engine/grammar.hpp and
    engine/static_types.hpp. Threads may share a grammar, because its calls keep the interpreter's
    lock.
    """

    def __init__(self, encoding: CompactEncoding, device: torch.device, typed: bool = True) -> None:
        self.device = device
        words = sorted(encoding.ids, key=encoding.ids.__getitem__)[: encoding.output_size]
        self._rules = language.Grammar(
            words, encoding.pad_id, encoding.eos_id, encoding.max_program_tokens, typed
        )

    def start(self, rows: int) -> PartialPrograms:
        """Return the state of `rows` empty programs.

        `state.select(rows)`, with an int64 tensor on the CPU, gives a state of some rows. A row may
        occur several times.
        """
        return self._rules.start(rows)

    def allowed(self, state: PartialPrograms, position: int) -> torch.Tensor:
        """Return the tokens allowed after `position` tokens: bool, shape (rows, output_size)."""
        return torch.from_numpy(state.allowed(position)).to(self.device)

    def advance(self, state: PartialPrograms, tokens: torch.Tensor) -> None:
        """Add `tokens`, int64 of shape (rows,), each of which must be allowed, to the rows of a state.

        An end token leaves its row unchanged. Raises ValueError, and changes no row, if a token
        breaks a syntax rule.
        """
        state.advance(tokens.cpu())
