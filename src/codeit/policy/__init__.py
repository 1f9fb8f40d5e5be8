"""The policy: a language model that reads a task's demonstrations and writes programs."""

from pathlib import Path

SHIPPED = Path(__file__).parent / "weights"
"""The folder of the policy that comes with this package; its README.md is the model card."""
