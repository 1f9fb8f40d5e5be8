"""Tokens of an evaluation task in each of our encodings: one row per encoding.

    python benchmarks/tokens.py

`cut` is the share of tasks that the default limits cut. For the paper's text, words are counted;
its tokenizer makes more tokens of them.
"""

from __future__ import annotations

from statistics import median, quantiles

from rich.console import Console
from rich.table import Table

from codeit.config import PolicyConfig
from codeit.data.tasks import load_tasks
from codeit.policy.encoding import CompactEncoding, sparse_text

ENCODINGS: dict[str, dict[str, object]] = {
    "sparse": {"encoding": "sparse"},
    "runs": {"encoding": "runs"},
    **{f"patches {n} × {n}": {"encoding": "patches", "patch_size": n} for n in (1, 2, 3, 4)},
    "signatures": {"encoding": "signatures"},
}
UNLIMITED = {"max_input_tokens": 1_000_000, "max_output_tokens": 1_000_000}


def main() -> None:
    tasks = load_tasks("arc-agi-1/evaluation")
    table = Table("encoding", "median", "90 %", "cut")
    words = [sum(len(sparse_text(grid).split()) for pair in task.train for grid in pair) for task in tasks]
    table.add_row("the paper's text", f"{median(words):,.0f}", f"{quantiles(words, n=10)[-1]:,.0f}", "")
    for name, settings in ENCODINGS.items():
        whole = CompactEncoding(PolicyConfig.model_validate({**settings, **UNLIMITED}))
        limited = CompactEncoding(PolicyConfig.model_validate(settings))
        tokens = [len(whole.encode_task(task.train)) for task in tasks]
        cut = sum(len(limited.encode_task(task.train)) < n for task, n in zip(tasks, tokens, strict=True))
        table.add_row(
            name, f"{median(tokens):,.0f}", f"{quantiles(tokens, n=10)[-1]:,.0f}", f"{cut / len(tasks):.1%}"
        )
    Console().print(table)


if __name__ == "__main__":
    main()
