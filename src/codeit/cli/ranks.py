"""Commands that several processes run together, as `torchrun` starts them."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from codeit.storage.files import RunError

if TYPE_CHECKING:
    from codeit.policy.distributed import Ranks

_TRAIN = ("pretrain", "run", "resume")


def refuse_ranks(arguments: Sequence[str]) -> None:
    """Raise RunError for a command that several processes cannot run together.

    The others than that of rank 0 end in silence.
    """
    command = arguments[0] if arguments else ""
    if _started_together() and command not in _TRAIN:
        if os.environ["RANK"] != "0":
            sys.exit()
        raise RunError(
            f"torchrun: expected a command that trains ({', '.join(_TRAIN)}), found {command!r}; "
            "start it without torchrun"
        )


def run_ranks(command: Callable[[Ranks | None], int]) -> int:
    """Run a command, given the processes of its training if there are several; return its exit code.

    Only the process of rank 0 runs it. The others compute their share of its training.
    """
    if not _started_together():
        return command(None)
    import signal

    from codeit.policy.distributed import Ranks
    from codeit.policy.training import follow

    ranks = Ranks()
    try:
        if not ranks.rank:
            return command(ranks)
        for number in (signal.SIGINT, signal.SIGTERM):  # there is nothing to keep, and gloo would not listen
            signal.signal(number, signal.SIG_DFL)
        follow(ranks)
        return 0
    finally:
        ranks.close()


def _started_together() -> bool:
    """Return whether torchrun has started this process as one of several."""
    return "TORCHELASTIC_RUN_ID" in os.environ and int(os.environ["WORLD_SIZE"]) > 1
