"""The policy: a language model that reads a task's demonstrations and writes programs.

This module itself imports neither torch nor transformers, which `pip install codeit[learn]` adds.
"""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

from codeit.storage.files import RunError

SHIPPED = Path(__file__).parent / "weights"
"""The directory of the policy shipped with this package. Its README.md is the model card."""
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
    no policy.
    """
    if policy in ("shipped", "none"):
        return SHIPPED if policy == "shipped" and SHIPPED.is_dir() else None
    if not (Path(policy) / "policy.json").is_file():
        raise RunError(
            f"policy {policy}: expected 'shipped', 'none' or the directory of a policy, found no policy.json "
            "in it; `codeit pretrain` makes one"
        )
    return Path(policy)
