"""A program under change: what simplification and mutation edit before it becomes a `Program` again."""

from __future__ import annotations

from typing import NamedTuple

from codeit.language import Line, Program


class EditableProgram(NamedTuple):
    """Lines with distinct targets of any name, each defined before use, and the target that is the result."""

    lines: tuple[Line, ...]
    result: str = "O"

    @classmethod
    def of(cls, program: Program) -> EditableProgram:
        """The draft of a program as it stands."""
        return cls(program.lines)

    def replaced(self, target: str, by: str) -> EditableProgram:
        """Without the line of `target`, every use of which becomes a use of `by`."""

        def new(name: str) -> str:
            return by if name == target else name

        lines = (Line(t, new(function), tuple(map(new, arguments))) for t, function, arguments in self.lines)
        return EditableProgram(tuple(line for line in lines if line.target != target), new(self.result))

    def without_dead_code(self) -> EditableProgram:
        """With equal lines merged and unused ones dropped; the result's line comes last."""
        same: dict[str, str] = {}
        first: dict[tuple[str, tuple[str, ...]], Line] = {}
        for target, function, arguments in self.lines:
            call = same.get(function, function), tuple(same.get(name, name) for name in arguments)
            same[target] = first.setdefault(call, Line(target, *call)).target
        used = {same.get(self.result, self.result)}
        kept: list[Line] = []
        for line in reversed(first.values()):
            if line.target in used:
                used |= {line.function, *line.arguments}
                kept.append(line)
        return EditableProgram(tuple(reversed(kept)), same.get(self.result, self.result))

    def program(self) -> Program:
        """As a program, its targets x1, x2, … and O. Raises ParseError where the draft is none."""
        names = {line.target: f"x{i}" for i, line in enumerate(self.lines, start=1)} | {self.result: "O"}

        def new(name: str) -> str:
            return names.get(name, name)

        lines = (Line(new(t), new(function), tuple(map(new, args))) for t, function, args in self.lines)
        return Program.from_lines(list(lines))
