"""Export of a program as a Python file that runs without codeit."""

from __future__ import annotations

import inspect

from codeit.export.definitions import Definition, import_lines, needed
from codeit.language import CONSTANTS, PRIMITIVES, Program

_HEADER = '''\
"""{title}.

Exported by codeit as plain Python. It needs Python 3.11 or later and nothing else. As a
command it reads an ARC task or a grid as JSON, from a file or from stdin, and prints
the program's outputs as JSON:

    python FILE task.json

From Python, `solve(rows)` returns the output for a grid, and raises an error where the
program gives no grid. A grid is a tuple of rows, a place a pair (row, column), a cell a
pair (colour, place). Sets are frozensets, read in sorted order where order matters.

In codeit an engine interprets programs within a budget of steps and memory, and its
integers are limited. This file has no such limits: a program may run long on inputs
that it was not made for.
"""'''
_COMMAND = "main"
"""The function of the module `command` that an exported file calls with its function `solve`."""


def to_python(program: Program, *, title: str = "A program for ARC tasks") -> str:
    """Return the text of a Python file that computes what a program computes.

    The file needs Python 3.11 and its standard library only. It has the primitives that the program
    uses, the program as a function `solve`, and a command that applies it to ARC JSON. It is
    formatted and typed: `ruff` and `mypy --strict` have no complaints.

    It returns the same grids as `program(grid)`, and raises an error where a run ends with an error.
    Three things differ:

    - The file has no budget. It continues where a run ends with `steps`, `cells` or `depth`.
    - Its integers have no limit. It continues where a run ends with `overflow`.
    - `order` may return another order if its keys are or contain sets, which have no total order.

    Nothing in codeit runs such files: only the engine bounds what an untrusted program costs.

    Args:
        program: The program to export.
        title: The first line of the file's documentation, without a full stop.
    """
    names = [name for line in program.lines for name in (line.function, *line.arguments)]
    constants = [name for name in CONSTANTS if name in names]
    shared = needed(["Grid", *(PRIMITIVES.keys() & set(names))])
    command = [definition for definition in needed([_COMMAND]) if definition not in shared]
    blocks = [
        _HEADER.format(title=_docstring_text(title)),
        "\n".join(import_lines([*shared, *command])),
        *(["\n".join(f"{name} = {CONSTANTS[name]!r}" for name in constants)] if constants else []),
        _section(shared),
        "\n" + _solve(program),
        "\n" + _section(command),
        f'\nif __name__ == "__main__":\n    sys.exit({_COMMAND}(solve))\n',
    ]
    return "\n\n".join(blocks)


def _docstring_text(text: str) -> str:
    """Return text that can stand in a docstring: one line, printable, without quotes."""
    line = " ".join(text.split()).replace("\\", "/").replace('"', "'")
    return "".join(c if c.isprintable() else "?" for c in line)


def _section(definitions: list[Definition]) -> str:
    """Return the text of definitions. Those of a module follow the first line of its docstring."""
    blocks: list[str] = []
    before = None
    for definition in definitions:
        source, module = definition.source, definition.module
        heading = f"# {(inspect.getdoc(module) or '').splitlines()[0]}"
        if before is None or module is not before.module:
            blocks += [f"{heading}\n{source}"] if definition.is_alias else [heading, source]
        elif definition.is_alias and before.is_alias:
            blocks[-1] += f"\n{source}"
        else:
            blocks.append(source)
        before = definition
    return "\n\n\n".join(blocks)


def _solve(program: Program) -> str:
    """Return the function `solve`, in which `grid` is the program's I and `output` its O.

    Linters reject the names I and O, which look like digits. They also object to unused variables.
    """
    renamed = {"I": "grid", "O": "output"}
    statements = {"I": "to_grid(rows)"}
    used = {"O"}
    for target, function, arguments in program.lines:
        statements[target] = f"{function}({', '.join(renamed.get(name, name) for name in arguments)})"
        used |= {function, *arguments}
    body = "".join(
        f"    {renamed.get(name, name)} = {call}{'' if name in used else '  # noqa: F841'}\n"
        for name, call in statements.items()
    )
    return (
        "# The program.\n\n\n"
        "def solve(rows: Any) -> Grid:\n"
        '    """Return the program\'s output for an input grid, given as rows of colours."""\n'
        f"{body}    return to_grid(output)"
    )
