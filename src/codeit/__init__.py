"""CodeIt: software that teaches itself to write programs (Butt et al. 2024, arXiv 2402.04858).

    from codeit import load_tasks, solve

    (task,) = load_tasks("puzzle.json")
    result = solve(task, seconds=30)
    print(result.solved, result.programs[0].program)

`Grid`, `Program` and `Task` are the types of the public interface; `load_tasks` reads tasks;
`solve` searches for a program. They are imported when first used, so that `import codeit` takes no
time. In a notebook, grids, tasks, programs, traces and results are shown as pictures.
"""

from __future__ import annotations

import sys
from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from codeit.data.tasks import Task as Task
    from codeit.data.tasks import load_tasks as load_tasks
    from codeit.language import Grid as Grid
    from codeit.language import Program as Program
    from codeit.solver import solve as solve

__version__ = "0.2.0"
__all__ = ["Grid", "Program", "Task", "__version__", "load_tasks", "solve"]

_HOME = {
    "Grid": "codeit.language",
    "Program": "codeit.language",
    "Task": "codeit.data.tasks",
    "load_tasks": "codeit.data.tasks",
    "solve": "codeit.solver",
}

_SHOWN = {
    "Grid": "codeit._engine",
    "Program": "codeit.language.program",
    "SolveResult": "codeit.solver",
    "Task": "codeit.data.tasks",
    "Trace": "codeit.language.program",
}
"""Classes that notebooks show as pictures, and where they are defined."""


def __getattr__(name: str) -> object:
    if name not in _HOME:
        raise AttributeError(f"module 'codeit' has no attribute {name!r}")
    return getattr(import_module(_HOME[name]), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})


def load_ipython_extension(shell: Any) -> None:
    """Tell an IPython shell to show objects as pictures, as `%load_ext codeit` does.

    `import codeit` does the same if it runs in a shell.
    """
    formatter = shell.display_formatter.formatters["text/html"]
    for name, module in _SHOWN.items():
        formatter.for_type_by_name(module, name, _to_html)


def _to_html(value: object) -> str:
    html: str = import_module("codeit.report.notebook").to_html(value)
    return html


if "IPython" in sys.modules and (_shell := sys.modules["IPython"].get_ipython()):
    load_ipython_extension(_shell)
