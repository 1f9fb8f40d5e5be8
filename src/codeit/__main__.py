"""The command `codeit`, and `python -m codeit`.

Importing the commands takes a while, and importing torch takes seconds. Ctrl-C and `kill` end the
command without a traceback from the first import on.
"""

import sys
from typing import NoReturn


def main() -> NoReturn:
    """Run the command given and exit, with code 130 if a signal interrupted it."""
    received: list[int] = []
    try:
        import signal

        def interrupt(number: int, _: object) -> None:
            received.append(number)
            raise KeyboardInterrupt

        if signal.getsignal(signal.SIGINT) is signal.default_int_handler:  # else ignored, as by nohup
            signal.signal(signal.SIGINT, interrupt)
        signal.signal(signal.SIGTERM, interrupt)

        from codeit.cli.main import main as run_command

        run_command(lambda: bool(received))
    except KeyboardInterrupt:
        pass
    except Exception:
        # An interrupt inside an import may come out as another exception, such as ImportError.
        if not received:
            raise
    sys.exit(130)


if __name__ == "__main__":  # worker processes import this module too
    main()
