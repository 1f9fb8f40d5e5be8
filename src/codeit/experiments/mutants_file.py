"""Mutants of experts as JSON lines (`codeit mutate`)."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

from codeit.language import ParseError, Program
from codeit.search.mutation import MutationError, Mutator
from codeit.storage.files import explain_full_disk

Row = tuple[str, str, int]
"""Task, program and round of a mutant."""


def write_mutants(
    mutator: Mutator, n: int, path: Path | None, progress: Callable[[int, int], None] | None = None
) -> int:
    """Write the first `n` mutants as JSON lines to a file, or to stdout if `path` is None.

    A line is an object with `task`, `program` and `round`. An unfinished file is continued; a
    truncated last line is replaced. Return the number of lines that were already there.

    Raises MutationError if the file holds anything but the first mutants of this mutator (it is not
    changed), or if there are fewer than `n` (it then holds those there are). Raises RunError if the
    disk is full.
    """
    existing, last_round, size, rest = 0, list[Row](), 0, b""
    if path and path.is_file():
        existing, last_round, size, rest = _resume(mutator, path)
    done = existing
    if done >= n:
        return existing
    file = None if path else sys.stdout
    with explain_full_disk(path or Path("stdout")), ExitStack() as resources:
        for made in mutator.rounds(last_round[0][2] if last_round else 0):
            rows = [(mutant.task_id, str(mutant.program), made.number) for mutant in made.mutants]
            if rows[: len(last_round)] != last_round:
                raise _others(path)
            lines = [
                json.dumps({"task": task_id, "program": text, "round": number}) + "\n"
                for task_id, text, number in rows[len(last_round) :][: n - done]
            ]
            if path and lines and file is None:
                if not lines[0].encode().startswith(rest):
                    raise _others(path)
                if rest:
                    os.truncate(path, size)
                file = resources.enter_context(open(path, "a", encoding="utf-8"))
            if file:
                file.writelines(lines)
                file.flush()
            done, last_round = done + len(lines), []
            if progress:
                progress(done, n)
            if done == n:
                return existing
    raise AssertionError("rounds end with an error")


def _resume(mutator: Mutator, path: Path) -> tuple[int, list[Row], int, bytes]:
    """Mark the mutants of a file as seen, except those of its last round.

    Return the number of complete lines, the rows of the last round, the size of the complete lines
    in bytes, and the truncated line that follows them.
    """
    data = path.read_bytes()
    size = data.rfind(b"\n") + 1
    rows, rest = list(_rows(path, data[:size])), data[size:]
    if not rows:
        return 0, [], 0, rest
    last = rows[-1][2]
    try:
        mutator.mark_seen((task_id, Program.parse(text)) for task_id, text, number in rows if number < last)
    except (KeyError, ParseError):  # no task of this mutator, or no program
        raise _others(path) from None
    return len(rows), [row for row in rows if row[2] == last], size, rest


def _others(path: Path | None) -> MutationError:
    return MutationError(
        f"{path}: expected the mutants of this seed, depth, kind and these tasks, found others; "
        "use the settings that the file was started with, or another --out"
    )


def _rows(path: Path, lines: bytes) -> Iterator[Row]:
    for number, line in enumerate(lines.splitlines(), start=1):
        try:
            row = json.loads(line)
            yield str(row["task"]), str(row["program"]), int(row["round"])
        except (ValueError, TypeError, KeyError, RecursionError) as error:
            raise MutationError(
                f"{path}, line {number}: expected a mutant as `codeit mutate` writes it: {error!r}; "
                "choose another --out"
            ) from None
