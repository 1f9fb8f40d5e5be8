"""The policy: a language model that reads a task's demonstrations and writes programs.

This module itself imports neither torch nor transformers, which `pip install codeit[learn]` adds.
"""

from __future__ import annotations

import json
import pickle
from importlib.util import find_spec
from pathlib import Path

from codeit.storage.checksums import ChecksumError, verify_checksums
from codeit.storage.files import RunError

SHIPPED = Path(__file__).parent / "weights"
"""The directory of the policy shipped with this package. Its README.md is the model card."""
PolicySource = Path | bytes
"""Where a search finds its policy: a directory, or what `pack_policy` returns."""
LEARN_PACKAGES = ("torch", "transformers", "safetensors", "tokenizers", "tensorboard")
"""What `codeit[learn]` installs."""


def can_learn() -> bool:
    """Return whether the packages of `codeit[learn]` are installed."""
    return not _missing()


def require_learn(what: str) -> None:
    """Raise RunError unless `codeit[learn]` is installed. `what` names what needs it."""
    if missing := _missing():
        raise RunError(
            f"{what} needs {', '.join(missing)}, which {'are' if len(missing) > 1 else 'is'} not installed: "
            "pip install 'codeit[learn]'"
        )


def _missing() -> list[str]:
    return [name for name in LEARN_PACKAGES if find_spec(name) is None]


def policy_directory(policy: str | Path) -> Path | None:
    """Return the directory of a policy: "shipped", "none" (None), or a path.

    Returns None for "shipped" if the package was built without weights. Raises RunError if there is
    no policy, or if a file of it is lost or damaged, as far as that shows without importing torch.
    """
    if policy in ("shipped", "none"):
        return SHIPPED if policy == "shipped" and SHIPPED.is_dir() else None
    if not (Path(policy) / "policy.json").is_file():
        raise RunError(
            f"policy {policy}: expected 'shipped', 'none' or the directory of a policy, found no policy.json "
            "in it; `codeit pretrain` makes one"
        )
    _refuse_damage(Path(policy))
    return Path(policy)


def pack_policy(directory: Path) -> bytes:
    """Return a policy for the CPUs of machines that do not have its directory. Raises PolicyError."""
    from codeit.policy.model import Policy

    return pickle.dumps(Policy.load(directory, "cpu"))


def _refuse_damage(directory: Path) -> None:
    """Raise RunError if a file of a policy differs from its checksum, or is missing or no JSON."""
    fix = "restore the file from a backup, or choose another policy"
    try:
        verify_checksums(directory)
    except ChecksumError as error:
        raise RunError(f"{error}; {fix}") from None
    for path in (directory / "policy.json", directory / "config.json"):
        try:
            json.loads(path.read_bytes())
        except (OSError, ValueError, RecursionError) as error:
            raise RunError(f"{path}: expected JSON, found: {error}; {fix}") from None
    weights = [directory / f"model.safetensors{suffix}" for suffix in ("", ".index.json")]
    if not any(path.is_file() for path in weights):
        raise RunError(f"{weights[0]}: expected the weights of the policy, found no such file; {fix}")
