"""Seeds derived from the seed of a run."""

from __future__ import annotations

import hashlib


def derive(seed: int, *place: str | int) -> int:
    """Return a 63-bit seed for one place in a run, such as ("sample", 3, "00576224").

    Results depend on the names of places, so published runs fix them: they stay when code is
    renamed.
    """
    digest = hashlib.sha256(repr((seed, *place)).encode()).digest()
    return int.from_bytes(digest[:8], "big") >> 1
