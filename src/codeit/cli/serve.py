"""`codeit serve`."""

from __future__ import annotations

import os
from functools import partial
from importlib.util import find_spec
from typing import Annotated

from cyclopts import App, Parameter
from cyclopts.validators import Number

from codeit.cli.console import Name, ProgressDisplay, Threads, console, say
from codeit.policy import policy_directory
from codeit.storage.files import RunError

_PACKAGES = ("starlette", "uvicorn")
_FEWEST_SEARCHES = 2  # so that two pages can search, whatever the number of cores

Port = Annotated[int, Parameter(validator=Number(gte=0, lte=65535))]


def register(app: App) -> None:
    app.command(serve)


def serve(
    runs: Annotated[list[Name] | None, Parameter(name="RUN", negative="")] = None,
    /,
    *,
    host: str = "127.0.0.1",
    port: Port = 8421,
    searches: Threads = 0,
    policy: str = "shipped",
    tasks: str = "arc-agi-1/evaluation",
) -> None:
    """Serve a web page on which puzzles are drawn, solved and explained; Ctrl-C ends it.

    With directories of runs, the first page is their report, which follows the runs while they go
    on.

    Parameters
    ----------
    runs:
        Directories of `codeit run`, `search`, `baseline` or `evaluate-policy`, or published results
        (results/codeit).
    host:
        The address to listen on. By default only this machine reaches the page; with 0.0.0.0 all
        that reach this machine can use it, as there is no password.
    port:
        The port to listen on; 0 takes any free one.
    searches:
        Searches at a time, each on a core of its own; 0: as many as cores, and at least 2.
    policy:
        Directory of a policy, as `codeit pretrain` writes it; `none` for evolution alone.
    tasks:
        The tasks of published results that do not name theirs.
    """
    if missing := [name for name in _PACKAGES if find_spec(name) is None]:
        raise RunError(
            f"codeit serve needs {' and '.join(missing)}, which {'are' if len(missing) > 1 else 'is'} not "
            "installed: pip install 'codeit[serve]'"
        )
    from codeit.data.experts import load_experts
    from codeit.serve.guard import is_loopback
    from codeit.serve.live_report import LiveReport
    from codeit.serve.searches import Searches, SearchOptions
    from codeit.serve.server import serve as serve_pages

    policy_directory(policy)
    report = LiveReport(runs, tasks) if runs else None
    with ProgressDisplay(transient=True) as display:
        starters = list(load_experts(progress=partial(display.phase, "simplify experts")).values())
        if report is not None:
            report.draw(partial(display.phase, "draw tasks"))
    if not is_loopback(host):
        say(f"--host {host}: whoever reaches this machine can use the page", style="yellow")
    limit = searches or max(os.cpu_count() or 1, _FEWEST_SEARCHES)
    running = Searches(limit, SearchOptions(starters, policy))
    serve_pages(host, port, running, report, ready=_say_address)


def _say_address(address: str) -> None:
    console.print(f"{address} (Ctrl-C ends it)", markup=False, soft_wrap=True)
    console.file.flush()
