"""The Python source of the primitives, and the definitions that each of them needs."""

from __future__ import annotations

import ast
import inspect
from collections.abc import Iterable, Iterator, Mapping
from functools import cache
from types import ModuleType
from typing import NamedTuple

from codeit.export.primitives import (
    arithmetic,
    command,
    containers,
    functions,
    grids,
    objects,
    patches,
    shapes,
    values,
)

MODULES: tuple[ModuleType, ...] = (
    values,
    arithmetic,
    containers,
    functions,
    patches,
    shapes,
    objects,
    grids,
    command,
)
"""The modules, in the order of their definitions in exported files.

It is the order of the engine's table of primitives, by which functions in sets are sorted.
"""


class Definition(NamedTuple):
    """A function, class, type alias or constant at the top level of one of the modules."""

    name: str
    module: ModuleType
    source: str
    """Its lines, with decorators and comments at the end of lines."""
    names: frozenset[str]
    """All names in it: those of other definitions, imports, builtins and local variables."""

    @property
    def is_alias(self) -> bool:
        """Whether this is a type alias or a constant."""
        return self.source.startswith(f"{self.name}:")


@cache
def definitions() -> Mapping[str, Definition]:
    """Return the definitions of all modules by name, in the order of exported files."""
    return {definition.name: definition for module in MODULES for definition in _definitions_in(module)}


@cache
def imports() -> Mapping[str, str]:
    """Return, for each imported name, the module of the standard library that it comes from.

    For a name that is itself a module, as in `import json`, this is "".
    """
    found: dict[str, str] = {}
    for module in MODULES:
        for node in ast.parse(inspect.getsource(module)).body:
            if isinstance(node, ast.Import):
                found |= {alias.name: "" for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and node.module and not _is_internal(node.module):
                found |= {alias.name: node.module for alias in node.names}
    return found


def needed(names: Iterable[str]) -> list[Definition]:
    """Return the definitions of names and of all names that these need, in order."""
    known = definitions()
    found: set[str] = set()
    rest = {*names}
    while rest:
        name = rest.pop()
        found.add(name)
        rest |= known[name].names & known.keys() - found
    return [definition for definition in known.values() if definition.name in found]


def import_lines(wanted: Iterable[Definition]) -> list[str]:
    """Return the import statements that definitions need, sorted."""
    used = {name for definition in wanted for name in definition.names}
    by_module: dict[str, list[str]] = {}
    for name, module in sorted(imports().items()):
        if name in used:
            by_module.setdefault(module, []).append(name)
    plain = [f"import {name}" for name in by_module.pop("", [])]
    return plain + [f"from {module} import {', '.join(by_module[module])}" for module in sorted(by_module)]


def _is_internal(module: str) -> bool:
    return module == "__future__" or module.split(".")[0] == __name__.split(".")[0]


def _definitions_in(module: ModuleType) -> Iterator[Definition]:
    text = inspect.getsource(module)
    lines = text.splitlines()
    for node in ast.parse(text).body:
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            name = node.name
            begin = min([node.lineno, *(decorator.lineno for decorator in node.decorator_list)])
        elif isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
            name, begin = node.target.id, node.lineno
        else:
            continue
        names = frozenset(part.id for part in ast.walk(node) if isinstance(part, ast.Name))
        yield Definition(name, module, "\n".join(lines[begin - 1 : node.end_lineno]), names - {name})
