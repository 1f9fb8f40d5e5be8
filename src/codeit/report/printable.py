"""Makes text safe to print: names of files, ids of tasks and command lines may contain anything."""

from __future__ import annotations

import re

_UNSAFE = re.compile("[\x00-\x09\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\ud800-\udfff]")


def printable(text: str) -> str:
    r"""Return text in which characters that a terminal could obey, or an encoding refuse, are escapes.

    These are control characters except the line feed, marks that change the direction of writing,
    and lone surrogates, as Python reads bytes of a file name that are not UTF-8.
    """
    if text.isprintable():
        return text
    return _UNSAFE.sub(lambda found: ascii(found[0])[1:-1], text)
