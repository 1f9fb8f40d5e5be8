"""Mutants of experts as JSON lines (`codeit mutate`)."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from pathlib import Path

from codeit.language import ParseError, Program
from codeit.search.mutation import MutationError, Mutator


def write_mutants(
    mutator: Mutator, n: int, path: Path | None, progress: Callable[[int, int], None] | None = None
) -> int:
    """Write the first `n` mutants as JSON lines to a file, or to stdout if `path` is None.

    A line is an object with `task`, `program` and `round`. An unfinished file is continued. Return
    the number of lines that were already there.

    Raises MutationError if the file holds anything but the first mutants of this mutator, or if
    there are fewer than `n`; the file then holds those there are.
    """
    existing, last_round = _resume(mutator, path) if path else (0, [])
    done = existing
    if done >= n:
        return existing
    with open(path, "a", encoding="utf-8") if path else nullcontext(sys.stdout) as file:
        for made in mutator.rounds(last_round[0][2] if last_round else 0):
            rows = [(mutant.task_id, str(mutant.program), made.number) for mutant in made.mutants]
            if rows[: len(last_round)] != last_round:
                raise _others(path)
            new = rows[len(last_round) :][: n - done]
            file.writelines(
                json.dumps({"task": task_id, "program": text, "round": number}) + "\n"
                for task_id, text, number in new
            )
            file.flush()
            done, last_round = done + len(new), []
            if progress:
                progress(done, n)
            if done == n:
                return existing
    raise AssertionError("rounds end with an error")


def _resume(mutator: Mutator, path: Path) -> tuple[int, list[tuple[str, str, int]]]:
    """Mark the mutants of a file as seen, except those of its last round.

    Return the number of lines and the rows of the last round. A truncated last line is removed.
    """
    if not path.exists():
        return 0, []
    with open(path, "rb+") as file:
        file.truncate(sum(len(line) for line in file if line.endswith(b"\n")))
    rows = list(_rows(path))
    if not rows:
        return 0, []
    last = rows[-1][2]
    try:
        mutator.mark_seen((task_id, Program.parse(text)) for task_id, text, number in rows if number < last)
    except (KeyError, ParseError):  # no task of this mutator, or no program
        raise _others(path) from None
    return len(rows), [row for row in rows if row[2] == last]


def _others(path: Path | None) -> MutationError:
    return MutationError(
        f"{path}: expected the mutants of this seed, depth, kind and these tasks, found others; "
        "use the settings that the file was started with, or another --out"
    )


def _rows(path: Path) -> Iterator[tuple[str, str, int]]:
    with open(path, encoding="utf-8") as file:
        for number, line in enumerate(file, start=1):
            try:
                row = json.loads(line)
                yield str(row["task"]), str(row["program"]), int(row["round"])
            except (ValueError, TypeError, KeyError) as error:
                raise MutationError(
                    f"{path}, line {number}: expected a mutant as `codeit mutate` writes it: {error!r}; "
                    "choose another --out"
                ) from None
