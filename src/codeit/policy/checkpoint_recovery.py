"""Replaces a damaged checkpoint of a run by repeating the training that made it."""

from __future__ import annotations

import logging
import shutil
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from codeit.policy.model import DamagedPolicyError, PolicyError
from codeit.policy.training import Trainer
from codeit.storage.checksums import (
    CHECKSUMS,
    ChecksumError,
    compute_checksums,
    read_checksums,
    with_checksums,
)
from codeit.storage.files import RunError, explain_full_disk, write_directory

_log = logging.getLogger(__name__)


def replace_checkpoint(checkpoint: Path, damage: str, what: str, repeat: Callable[[], Trainer]) -> Trainer:
    """Repeat the training behind a damaged checkpoint, write its files again, return the trainer.

    `damage` says what was found, and `what` names the training that `repeat` repeats. The repeat is
    accepted only if it gives exactly the weights and optimizer that the checkpoint's checksums or its
    files show. It gives others if experiences that it drew have been evicted since, or on a machine
    that computes differently. Raises RunError then, and if the repeat fails because what it starts
    from is damaged.
    """
    known: list[dict[str, str]] = []
    for read in (read_checksums, compute_checksums):
        with suppress(ChecksumError, OSError):
            known.append(read(checkpoint) or {})
    if not any(known):
        raise RunError(_hopeless(damage, f"nothing is left to check a repeat of the {what} against"))
    _log.warning("%s; repeating the %s", damage, what)
    try:
        trainer = repeat()
    except PolicyError as error:
        reason = error.damage if isinstance(error, DamagedPolicyError) else str(error)
        raise RunError(_hopeless(damage, f"the {what} cannot be repeated: {reason}")) from error
    repeated = checkpoint.with_name(f"{checkpoint.name}.partial")
    with explain_full_disk(checkpoint):
        write_directory(repeated, with_checksums(trainer.save))
        try:
            found = compute_checksums(repeated)
            for name in found:
                expected = {digests.get(name) for digests in known}
                if name.endswith(".safetensors") and found[name] not in expected:
                    raise RunError(_hopeless(damage, f"repeating the {what} gives other weights"))
            for name in (*found, CHECKSUMS):  # file by file, so that recorded checksums are never lost
                (repeated / name).replace(checkpoint / name)
        finally:
            shutil.rmtree(repeated, ignore_errors=True)
    return trainer


def _hopeless(damage: str, reason: str) -> str:
    """Return the message for a damaged checkpoint without which a run cannot continue."""
    return (
        f"{damage}; {reason}; restore the checkpoint from a backup, or start a new run in another directory"
    )
