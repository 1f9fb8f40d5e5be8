"""Scoring: ranks, votes, the counts of a score, and solutions files."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from codeit.data.tasks import Pair, Task, TestPair
from codeit.evaluation.candidate import Candidate, rank, rank_answers, top_k
from codeit.evaluation.scoring import (
    Score,
    SolutionError,
    SolutionRow,
    best_solutions,
    count_votes,
    leaked_tasks,
    outputs_correct,
    rank_solutions,
    read_solutions,
    score,
    verify,
)
from codeit.language import Grid, Program

FLIP, TURN, TWICE = "O = vmirror(I)", "O = rot90(I)", "x1 = vmirror(I)\nO = vmirror(x1)"
SAME, LONG_FLIP = "O = identity(I)", "x1 = identity(I)\nO = vmirror(x1)"
L, J = Grid([[1, 0], [1, 1]]), Grid([[0, 1], [1, 1]])
"""J is L mirrored left to right."""
TEST, WANTED = Grid([[1, 2, 3]]), Grid([[3, 2, 1]])


def task(task_id: str, test_output: Grid | None = WANTED) -> Task:
    return Task(task_id, (Pair(L, J), Pair(J, L)), (TestPair(TEST, test_output),))


def candidate(text: str, solved: int, order: int = 0, votes: int = 0) -> Candidate:
    return Candidate("a", Program.parse(text), solved, order, votes)


def verified(*rows: tuple[str, str], tasks: list[Task] | None = None) -> Score:
    solutions = [SolutionRow(*row) for row in rows]
    return verify(solutions, tasks or [task("a"), task("b")], leaked=(), threads=1)


def test_rank_is_by_demonstrations_then_length_then_discovery() -> None:
    best = candidate(LONG_FLIP, 2, 9)
    shorter, late = candidate(FLIP, 1, 3), candidate(TURN, 1, 5)
    longer = candidate(TWICE, 1, 1)
    assert rank([longer, late, shorter, best]) == [best, shorter, late, longer]
    assert top_k([longer, late, shorter, best], 2) == [best, shorter]


def test_rank_is_by_votes_before_length() -> None:
    few, many, unsolved = candidate(FLIP, 2, 1, 3), candidate(LONG_FLIP, 2, 2, 4), candidate(TURN, 1, 0, 9)
    assert rank([unsolved, few, many]) == [many, few, unsolved]


def test_rank_answers_is_by_votes_then_length_then_discovery() -> None:
    late, early = candidate(TURN, 2, 5, 3), candidate(FLIP, 2, 3, 3)
    longer, most = candidate(TWICE, 2, 1, 3), candidate(LONG_FLIP, 2, 9, 4)
    assert rank_answers([longer, late, early, most]) == [most, early, late, longer]


def test_a_program_found_twice_is_ranked_once_at_its_better_place() -> None:
    candidates = [candidate(FLIP, 1, 7), candidate(FLIP, 1, 2), candidate(TURN, 1, 4)]
    assert top_k(candidates, 2) == [candidate(FLIP, 1, 2), candidate(TURN, 1, 4)]


def test_top_k_of_earlier_top_k_loses_nothing() -> None:
    texts = (FLIP, TURN, TWICE, SAME, LONG_FLIP)
    found = [candidate(texts[i * 3 % 5], i % 3, i) for i in range(20)]
    kept: list[Candidate] = []
    for one in found:
        kept = top_k([*kept, one])
    assert kept == top_k(found)


CROPPED = "x1 = vmirror(I)\nO = crop(x1, ORIGIN, TWO_BY_TWO)"
"""A mirror image on the demonstrations, another answer to the test."""


def test_count_votes_merges_programs_that_answer_alike() -> None:
    same = candidate(SAME, 0, 3, 9)
    found = [candidate(CROPPED, 2, 0, 4), candidate(LONG_FLIP, 2, 1, 3), candidate(FLIP, 2, 2, 2), same]
    merged = count_votes({"a": [*found, found[2]], "b": []}, [task("a"), task("b")], threads=1)
    assert rank(merged["a"]) == [
        candidate(FLIP, 2, 2, 5),
        candidate(CROPPED, 2, 0, 4),
        replace(same, votes=0),
    ]
    assert merged["b"] == []


def test_count_votes_keeps_candidates_of_a_task_without_votes() -> None:
    found = [candidate(LONG_FLIP, 2, 1), candidate(FLIP, 2, 2), candidate(SAME, 0, 3)]
    assert count_votes({"a": found}, [task("a")], threads=1) == {"a": rank(found)}


def test_verify_ranks_rows_by_their_votes() -> None:
    shorter = [f"x1 = vmirror(I)\nO = crop(x1, ORIGIN, {size})" for size in ("TWO_BY_TWO", "THREE_BY_THREE")]
    long = "x1 = identity(I)\nx2 = identity(x1)\nx3 = identity(x2)\nO = vmirror(x3)"
    rows = [*(SolutionRow("a", text, "", 1) for text in shorter), SolutionRow("a", CROPPED, "", 1)]
    by_votes = verify([*rows, SolutionRow("a", long, "", 3)], [task("a")], leaked=(), threads=1)
    assert (by_votes.solved_top3, by_votes.solved_top2) == (1, 1)


def test_best_solutions_are_few_and_have_the_score_of_all(tmp_path: Path) -> None:
    texts = [FLIP, TURN, TWICE, SAME, LONG_FLIP, "O = rot180(I)", "O = rot270(I)", "O = dmirror(I)"]
    rows = [
        {"task": one, "program": text, "iteration": k, "votes": k + 1}
        for one in "ab"
        for k, text in enumerate(texts)
    ]
    rows[0]["votes"] = 3
    whole, best = tmp_path / "whole.jsonl", tmp_path / "best.jsonl"
    whole.write_text("".join(json.dumps(row) + "\n" for row in rows))
    tasks = [task("a"), task("b", L)]
    solutions = list(read_solutions(whole))
    best.write_text(best_solutions(solutions, rank_solutions(solutions, tasks, threads=1)))
    found = [json.loads(line) for line in best.read_text().splitlines()]
    assert [row["task"] for row in found] == ["a"] * 3 + ["b"] * 3
    # The shortest program that mirrors has the votes of all that do.
    assert found[0] == {"task": "a", "program": FLIP, "iteration": 0, "votes": 3 + 5}
    of_all, of_best = (verify(read_solutions(path), tasks, leaked=()) for path in (whole, best))
    assert replace(of_all, programs=0) == replace(of_best, programs=0)
    assert (of_all.solved, of_all.programs, of_best.programs) == (("a",), 16, 6)


def test_verify_counts_a_solved_task() -> None:
    result = verified(("a", FLIP))
    assert (result.tasks, result.solved_top3, result.solved_top2, result.solved) == (2, 1, 1, ("a",))
    assert (result.programs, result.invalid, result.solved_demonstrations) == (1, 0, 1)


def test_only_the_best_ranked_programs_are_scored() -> None:
    def at(place: int) -> Score:
        # No program solves the demonstration, so the one that solves the test has `place` better ones.
        shorter = ["O = rot90(I)", "O = rot180(I)", "O = tophalf(I)"]
        lucky = "x1 = astuple(ONE, THREE)\nO = crop(I, ORIGIN, x1)"
        rows = [("a", text) for text in [lucky, *shorter[:place]]]
        return verified(*rows, tasks=[Task("a", (Pair(L, WANTED),), (TestPair(TEST, TEST),))])

    places = [(at(n).solved_top2, at(n).solved_top3) for n in range(4)]
    assert places == [(1, 1), (1, 1), (0, 1), (0, 0)]


def test_one_program_must_give_every_test_output() -> None:
    two = Task("a", task("a").train, (TestPair(TEST, WANTED), TestPair(L, L)))
    assert verified(("a", FLIP), tasks=[two]).solved_top3 == 0
    # Two programs that each solve one test do not solve the task together.
    assert verified(("a", FLIP), ("a", SAME), tasks=[two]).solved_top3 == 0


def test_programs_that_fail_or_give_another_grid_solve_nothing() -> None:
    result = verified(("a", SAME), ("a", "O = canvas(I, I)"), ("a", "O = shape(I)"))
    assert (result.solved_top3, result.solved_demonstrations, result.invalid) == (0, 0, 0)


def test_invalid_rows_are_counted_and_explained() -> None:
    rows = [("a", "O = import(I)"), ("zzz", FLIP), ("a", ""), ("b", FLIP), ("b", "O = vmirror(x1)")]
    result = verified(*rows)
    assert (result.programs, result.invalid, result.solved_top3) == (5, 4, 1)
    assert len(result.problems) == 4
    assert "task zzz is not in the set of 2 tasks" in result.problems[1]
    assert result.problems[1].startswith("row 2: ")


def test_tasks_without_outputs_are_counted_and_not_solved() -> None:
    result = verified(("a", FLIP), ("b", FLIP), tasks=[task("a", None), task("b")])
    assert (result.solved_top3, result.without_outputs, result.solved) == (1, 1, ("b",))
    assert result.solved_demonstrations == 2


def test_candidates_of_an_unknown_task_are_refused() -> None:
    with pytest.raises(ValueError, match="task zzz, which is not in the set of 1 tasks"):
        score({"zzz": []}, [task("a")], leaked=())


def test_leaked_tasks_are_found_by_content(evaluation: dict[str, Task]) -> None:
    leaked, other = evaluation["070dd51e"], evaluation["00576224"]
    renamed = Task("renamed", leaked.train, leaked.test)
    assert leaked_tasks([renamed, other]) == ("renamed",)
    assert leaked_tasks(list(evaluation.values())) == ("070dd51e",)


def test_leaked_tasks_are_excluded_from_one_count(training: dict[str, Task]) -> None:
    known = training["67a3c6ac"]  # solved by a mirror image
    result = verify([SolutionRow(known.id, FLIP), SolutionRow("a", FLIP)], [known, task("a")])
    assert (result.solved_top3, result.solved_top3_without_leak) == (2, 1)
    assert (result.solved_top2, result.solved_top2_without_leak) == (2, 1)
    assert result.leaked == ("67a3c6ac",)


def test_a_solutions_file_is_read_and_verified(tmp_path: Path) -> None:
    file = tmp_path / "solutions.jsonl"
    rows = [{"task": "a", "program": LONG_FLIP, "iteration": 3}, {"task": "b", "program": "O = nothing(I)"}]
    file.write_text("\n\n".join(map(json.dumps, rows)) + "\n")
    solutions = list(read_solutions(file))
    assert [(s.task_id, s.program) for s in solutions] == [("a", LONG_FLIP), ("b", "O = nothing(I)")]
    result = verify(solutions, [task("a"), task("b")], leaked=())
    assert (result.solved_top3, result.invalid) == (1, 1)
    assert result.problems[0].startswith(f"{file}, line 3: ")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('{"task": "a", "program": "O', r"s\.jsonl, line 2: .* found invalid JSON"),
        ('["a", "O = vmirror(I)"]', r"s\.jsonl, line 2: .* found a list"),
        ('{"program": "O = vmirror(I)"}', r"s\.jsonl, line 2: .* found no task"),
        ('{"task": "a"}', r"s\.jsonl, line 2: .* found no program"),
        ('{"task": "a", "program": ["O = vmirror(I)"]}', r"line 2: .* found program of type list"),
        ('{"task": 7, "program": "O = vmirror(I)"}', r"line 2: .* found task of type int"),
        ('{"task": "a", "program": "O = vmirror(I)", "votes": -1}', r"line 2: .* found votes of -1"),
        ('{"task": "a", "program": "O", "probability": 2}', r"line 2: .* found probability of 2"),
        ('{"task": "a", "program": "O", "probability": NaN}', r"line 2: .* found probability of nan"),
        ("\udcff", r"line 2: .* found invalid JSON"),
    ],
)
def test_a_malformed_row_is_reported_with_file_and_line(tmp_path: Path, text: str, message: str) -> None:
    file = tmp_path / "s.jsonl"
    good = json.dumps({"task": "a", "program": FLIP})
    file.write_text(f"{good}\n{text}\n", errors="surrogateescape")
    with pytest.raises(SolutionError, match=message) as caught:
        list(read_solutions(file))
    assert caught.value.line == 2
    with pytest.raises(SolutionError, match="absent: expected a readable file, found No such file"):
        list(read_solutions(tmp_path / "absent"))


def test_an_output_is_correct_if_one_attempt_is() -> None:
    two = Task("a", (Pair(L, J),), (TestPair(TEST, WANTED), TestPair(TEST, None), TestPair(TEST, TEST)))
    assert outputs_correct([[L, WANTED], [L, J], [L, J]], two) == [True, None, False]
    with pytest.raises(ValueError):
        outputs_correct([[L, WANTED]], two)
