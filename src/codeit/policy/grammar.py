"""What may be written next: holds decoding in the compact encoding to programs that parse."""

from __future__ import annotations

import torch

from codeit.language import CONSTANTS, PRIMITIVES
from codeit.policy.encoding import MAX_ARGUMENTS, VARIABLES, CompactEncoding


class Grammar:
    """What may come next in a compact program: a state machine over rows of samples, on one device.

    A state is an integer tensor of shape (rows, 2): the number of slots still open in the line (arguments,
    or one more while a variable's call waits for its function), and of complete lines. Every row that goes
    on choosing allowed tokens becomes, within `max_program_tokens` tokens, an end after at least one
    complete line.
    """

    CALLED = 100
    """Added to the open slots while the next one is a call's function, which must be a variable."""

    def __init__(self, encoding: CompactEncoding, device: torch.device) -> None:
        ids, size = encoding.ids, encoding.output_size
        heads = torch.full((size,), encoding.max_program_tokens + 1)  # tokens that a line takes, and the end
        slots = torch.zeros(size, dtype=torch.long)  # slots that a line head opens
        for name, primitive in PRIMITIVES.items():
            heads[ids[name]], slots[ids[name]] = primitive.arity + 2, primitive.arity
        for n in range(1, MAX_ARGUMENTS + 1):
            heads[ids[f"call{n}"]], slots[ids[f"call{n}"]] = n + 3, n + 1 + self.CALLED
        terms = torch.zeros(size, dtype=torch.bool)
        terms[[ids[name] for name in ("I", *CONSTANTS, *PRIMITIVES)]] = True
        variable = torch.full((size,), VARIABLES + 1)  # the variable's number; out of reach for other tokens
        variable[[ids[f"x{n}"] for n in range(1, VARIABLES + 1)]] = torch.arange(1, VARIABLES + 1)
        self.limit, self.eos_id = encoding.max_program_tokens, encoding.eos_id
        self.heads, self.slots, self.terms, self.variable = (
            table.to(device) for table in (heads, slots, terms, variable)
        )
        self.calls = self.slots > self.CALLED

    def start(self, rows: int) -> torch.Tensor:
        """The state of `rows` empty programs."""
        return torch.zeros(rows, 2, dtype=torch.long, device=self.heads.device)

    def allowed(self, state: torch.Tensor, position: int) -> torch.Tensor:
        """Tokens that may stand at `position` (tokens before it): bool, shape (rows, output_size)."""
        slots, lines = state[:, :1], state[:, 1:]
        defined = self.variable <= lines
        head = (self.heads <= self.limit - position) & (lines <= VARIABLES) & ~(self.calls & (lines == 0))
        head[:, self.eos_id] = lines[:, 0] > 0
        argument = defined | (self.terms & (slots < self.CALLED))
        return torch.where(slots == 0, head, argument)

    def advance(self, state: torch.Tensor, tokens: torch.Tensor) -> torch.Tensor:
        """The state after `tokens`, shape (rows,), each allowed. An end leaves its row at a line's head."""
        slots, lines = state.unbind(1)
        filled = torch.where(slots > self.CALLED, slots - self.CALLED, slots) - 1
        slots = torch.where(slots == 0, self.slots[tokens], filled)
        complete = (slots == 0) & (state[:, 0] > 0)
        return torch.stack((slots, lines + complete), dim=1)
