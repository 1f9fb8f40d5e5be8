"""The metrics that an iteration of a run records."""

from __future__ import annotations

from typing import NamedTuple

from codeit.storage.replay_buffer import SOURCES


class Metric(NamedTuple):
    """A metric: the group it is shown in, and its meaning with its unit."""

    group: str
    meaning: str


PHASES = ("create", "mutate", "evaluate_mutants", "train", "sample", "search", "record")
"""The phases of an iteration, in order. `create` occurs once, in iteration 0."""


def _scores(scope: str, programs: str) -> dict[str, Metric]:
    return {
        f"{scope}_top3": Metric(scope, f"tasks solved by one of the 3 best {programs}"),
        f"{scope}_top2": Metric(scope, f"tasks solved by one of the 2 best {programs}"),
        f"{scope}_top3_without_leak": Metric(
            scope, f"{scope}_top3 without tasks that are also in the training set"
        ),
        f"{scope}_top2_without_leak": Metric(
            scope, f"{scope}_top2 without tasks that are also in the training set"
        ),
        f"{scope}_all_demonstrations": Metric(
            scope, f"tasks with all demonstrations solved by one of the {programs}"
        ),
        f"{scope}_demonstrations": Metric(
            scope, f"demonstrations solved by the best of the {programs} of each task, summed over tasks"
        ),
    }


METRICS = {
    **_scores("cumulative", "programs found so far"),
    **_scores("policy", "programs sampled in this iteration"),
    "samples": Metric("samples", "programs sampled"),
    "share_parse": Metric("samples", "share of samples that parse, 0 to 1"),
    "share_run": Metric("samples", "share of samples that give a grid for every demonstration, 0 to 1"),
    "share_new": Metric("samples", "share of samples that are new to the run, 0 to 1"),
    **{
        f"buffer_{source}": Metric("buffer", f"experiences of source {source} that can be drawn")
        for source in SOURCES
    },
    "loss": Metric("training", "mean cross-entropy per program token, in nats"),
    "examples": Metric("training", "experiences trained on"),
    **{f"seconds_{phase}": Metric("seconds", f"seconds spent in phase {phase}") for phase in PHASES},
}
"""Everything that an iteration may record, by name, in the order in which it is shown."""
