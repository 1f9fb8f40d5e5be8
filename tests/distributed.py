"""The command line in one of several processes, which may be killed: for `torchrun -m distributed`.

Like `python -m codeit`, with few held-out examples and without generated inputs, which take minutes
to make. With the number KILL_AT in the environment, rank 1 is killed at that step.
"""

from __future__ import annotations

import os
import signal
from itertools import count
from typing import Any

import codeit.policy.pretraining
from codeit.cli.main import main
from codeit.policy.distributed import Ranks

steps, receive = count(1), Ranks.receive


def receive_or_die(ranks: Ranks) -> Any:
    message = receive(ranks)
    if str(next(steps)) == os.environ.get("KILL_AT"):
        os.kill(os.getpid(), signal.SIGKILL)
    return message


if __name__ == "__main__":  # worker processes import this module too
    Ranks.receive = receive_or_die  # type: ignore[method-assign]
    codeit.policy.pretraining.HELD_OUT_EXAMPLES = 100
    codeit.policy.pretraining.load_inputs = lambda *_, **__: {}
    main()
