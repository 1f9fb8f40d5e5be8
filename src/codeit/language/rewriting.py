"""Editable programs: lines that are changed step by step before they are parsed again."""

from __future__ import annotations

from typing import NamedTuple

from codeit.language import Line, Program


class EditableProgram(NamedTuple):
    """A program in a form that is easy to edit: lines, and the variable that holds the result.

    A `Program` is numbered (its variables are x1, x2, …, and its last line defines O), so removing
    one of its lines renumbers the others. In an EditableProgram the targets of lines may have any
    distinct names, lines that nothing needs may remain, and the result may be any variable, or `I`.
    Each name must be defined before it is used. Edits return a new object, and `to_program` numbers
    the variables and checks the result. It is hashable, so that searches can keep sets of programs
    seen.
    """

    lines: tuple[Line, ...]
    result: str = "O"

    @classmethod
    def from_program(cls, program: Program) -> EditableProgram:
        """Return the lines of a program."""
        return cls(program.lines)

    def replace_variable(self, variable: str, replacement: str) -> EditableProgram:
        """Remove the line that defines `variable`, and use `replacement` wherever it was used."""

        def renamed(name: str) -> str:
            return replacement if name == variable else name

        lines = (
            Line(target, renamed(function), tuple(map(renamed, arguments)))
            for target, function, arguments in self.lines
            if target != variable
        )
        return EditableProgram(tuple(lines), renamed(self.result))

    def without_dead_code(self) -> EditableProgram:
        """Merge equal lines and remove those that the result does not need.

        The line of the result comes last.
        """
        merged: dict[str, str] = {}  # variables of merged lines, by the variable of every line
        first: dict[tuple[str, tuple[str, ...]], Line] = {}  # the first line of each call
        for target, function, arguments in self.lines:
            call = merged.get(function, function), tuple(merged.get(name, name) for name in arguments)
            merged[target] = first.setdefault(call, Line(target, *call)).target
        result = merged.get(self.result, self.result)
        needed = {result}
        kept: list[Line] = []
        for line in reversed(first.values()):
            if line.target in needed:
                needed |= {line.function, *line.arguments}
                kept.append(line)
        return EditableProgram(tuple(reversed(kept)), result)

    def to_program(self) -> Program:
        """Return the program, its variables renamed to x1, x2, … and O.

        Raises ParseError if there is no line left, the result is not on the last line, or a line
        calls what cannot be called.
        """
        names = {line.target: f"x{number}" for number, line in enumerate(self.lines, start=1)}
        names[self.result] = "O"

        def renamed(name: str) -> str:
            return names.get(name, name)

        lines = [
            Line(renamed(target), renamed(function), tuple(map(renamed, arguments)))
            for target, function, arguments in self.lines
        ]
        return Program.from_lines(lines)
