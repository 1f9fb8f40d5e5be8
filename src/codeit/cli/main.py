"""The application `codeit`.

Results go to stdout, everything else to stderr. A user error ends in one message and exit code 2,
without a traceback, and Ctrl-C in exit code 130 (`codeit.__main__` handles it during imports).
Imports that take long are made where they are needed.
"""

from __future__ import annotations

import io
import re
import signal
import sys
from collections.abc import Callable, Sequence
from typing import NoReturn

from cyclopts import App, CycloptsError

from codeit import __version__
from codeit.cli import export, policy, run, search, serve, show, solve, tasks
from codeit.cli.console import INTERRUPTED, console, messages, user_error
from codeit.cli.ranks import refuse_ranks
from codeit.cli.usage import section_with_value, usage_error

_NO_MEMORY = re.compile(r"^OutOfMemoryError|can't allocate memory|Storage size calculation overflowed")
"""Errors of torch, which is not imported here."""
_LESS_MEMORY = (
    "reduce sampling.batch_rows, training.micro_batch_tokens, the sizes of [policy] or the number of threads"
)

app = App(
    name="codeit",
    help="CodeIt: a language model that learns to write programs for ARC tasks from its own attempts.",
    version=__version__,
    console=console,
    error_console=messages,
    exit_on_error=False,
    print_error=False,
    result_action="return_value",
)
for module in (solve, serve, run, search, policy, show, export, tasks):
    module.register(app)


def main(interrupted: Callable[[], bool] = lambda: False) -> NoReturn:
    """Run the command given and exit.

    `interrupted` tells whether a signal was received. An exception that comes after one ends the
    command like Ctrl-C, except an error of the operating system: the disk may be full.
    """
    if signal.getsignal(signal.SIGTERM) is signal.SIG_DFL:
        signal.signal(signal.SIGTERM, signal.default_int_handler)  # `kill` ends a run as cleanly as Ctrl-C
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")  # as stderr: any text can be printed anywhere
    arguments = _with_stdin(sys.argv[1:])
    if section := section_with_value(arguments):
        sys.exit(user_error(f"{section}: expected a value or {section}.KEY VALUE, found both"))
    try:
        refuse_ranks(arguments)
        code = app(arguments)
    except KeyboardInterrupt:
        code = INTERRUPTED
    except BrokenPipeError:  # the reader of stdout, such as `head`, has closed it
        sys.stdout = None
        code = 0
    except CycloptsError as error:
        code = user_error(usage_error(error))
    except OSError as error:
        code = user_error(f"{error.filename}: {error.strerror}" if error.filename else str(error))
    except Exception as error:
        if interrupted():
            code = INTERRUPTED
        elif isinstance(error, MemoryError) or _NO_MEMORY.search(f"{type(error).__name__}: {error}"):
            reason = (str(error).splitlines() or ["none left"])[0]
            code = user_error(f"expected enough memory, found too little: {reason:.200}; {_LESS_MEMORY}")
        elif isinstance(error, FloatingPointError) or (
            isinstance(error, ValueError) and type(error).__module__.startswith("codeit.")
        ):
            code = user_error(str(error))
        else:
            raise  # a bug of ours, not a message to the user
    sys.exit(code)


def _with_stdin(arguments: Sequence[str]) -> list[str]:
    """Replace the argument `-` by the name of stdin. Cyclopts would take it for an option."""
    before = ["", *arguments]
    return [
        "/dev/stdin" if argument == "-" and not option.startswith("--") else argument
        for option, argument in zip(before, arguments, strict=False)
    ]
