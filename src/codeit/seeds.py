"""One seed, and those derived from it."""

from __future__ import annotations

import hashlib


def derive(seed: int, *place: str | int) -> int:
    """A seed of 63 bits for one place in a run, say ("sample", 3, "00576224"), from the run's seed."""
    digest = hashlib.sha256(repr((seed, *place)).encode()).digest()
    return int.from_bytes(digest[:8], "big") >> 1
