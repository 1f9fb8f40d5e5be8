"""Programs found for tasks, and their order."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from codeit.language import Program

TOP = 3
"""Programs of a task that are scored (Butt et al. 2024: top 3)."""
KEPT = 5
"""Programs of a task that a search hands over and that solutions.jsonl lists."""


@dataclass(frozen=True, slots=True)
class Candidate:
    """A program found for a task.

    This is the one shape in which searches, the policy, storage, scoring and reports exchange
    programs.
    """

    task_id: str
    program: Program
    demonstrations_solved: int
    """Demonstrations of the task that the program solves."""
    order: int = 0
    """When it was found: the programs tried on the task before it or by the end of its generation, or
    its row in a file. 0 where that is not recorded."""
    votes: int = 0
    """Programs and repeated samples it represents: those that solve all demonstrations and answer the
    tests alike. 0: unknown."""
    answer: int | None = None
    """64-bit hash of its outputs on the test inputs. None: unknown."""
    iteration: int = 0
    """Meta-iteration of the run that found it."""
    source: str = ""
    """What found it in a run: one of `replay_buffer.SOURCES`."""
    probability: float = 0.0
    """How likely its answer is right (see `confidence`). 0: unknown."""


def rank(candidates: Iterable[Candidate]) -> list[Candidate]:
    """Return the candidates of one task, best first, each program once.

    The order is: demonstrations solved (most first), votes (most first), lines (fewest first),
    order of discovery (earliest first).
    """
    first: dict[Program, Candidate] = {}
    for candidate in sorted(
        candidates, key=lambda c: (-c.demonstrations_solved, -c.votes, len(c.program), c.order)
    ):
        first.setdefault(candidate.program, candidate)
    return list(first.values())


def top_k(candidates: Iterable[Candidate], k: int = TOP) -> list[Candidate]:
    """Return the k best-ranked candidates of one task.

    `top_k(top_k(a) + b)` equals `top_k(a + b)`, so a search needs to keep only k candidates.
    """
    return rank(candidates)[:k]


def rank_answers(candidates: Iterable[Candidate]) -> list[Candidate]:
    """Return candidates of distinct answers: most votes, then shortest, then earliest first."""
    return sorted(candidates, key=lambda c: (-c.votes, len(c.program), c.order))
