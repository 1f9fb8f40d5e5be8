"""Hindsight relabelling: which programs give an experience, its pairs and its priority."""

import pytest

from codeit.data.tasks import Pair
from codeit.evaluation.hindsight import demonstrations_solved, relabel
from codeit.language import Grid, Outcome, Program, run_batch

INPUTS = [Grid([[1, 2], [3, 4]]), Grid([[1, 1], [2, 2]]), Grid([[5, 6, 7]])]
# The goal is the grid upside down. A turn by 180 degrees gives the same only on the second input.
DEMONSTRATIONS = [
    Pair(INPUTS[0], Grid([[3, 4], [1, 2]])),
    Pair(INPUTS[1], Grid([[2, 2], [1, 1]])),
    Pair(INPUTS[2], Grid([[5, 6, 7]])),
]


def outcomes(text: str) -> list[Outcome]:
    return run_batch([Program.parse(text)], [INPUTS])[0]


@pytest.mark.parametrize(
    ("text", "solved"),
    [("O = hmirror(I)", 3), ("O = rot180(I)", 1), ("O = hconcat(I, I)", 0), ("O = size(I)", 0)],
)
def test_demonstrations_solved_counts_exact_outputs(text: str, solved: int) -> None:
    assert demonstrations_solved(outcomes(text), DEMONSTRATIONS) == solved


def test_relabel_takes_the_outputs_of_the_program_as_the_goal() -> None:
    experience = relabel(outcomes("O = rot180(I)"), DEMONSTRATIONS)
    assert experience is not None
    assert experience.priority == pytest.approx(1 / 3)
    assert [pair.input for pair in experience.pairs] == INPUTS
    assert [pair.output.tolist() for pair in experience.pairs] == [
        [[4, 3], [2, 1]],
        [[2, 2], [1, 1]],
        [[7, 6, 5]],
    ]


def test_relabel_keeps_programs_whose_outputs_are_the_inputs() -> None:
    experience = relabel(outcomes("x1 = rot180(I)\nO = rot180(x1)"), DEMONSTRATIONS)
    assert experience is not None
    assert [pair.output for pair in experience.pairs] == INPUTS


def test_programs_share_a_behaviour_if_they_give_the_same_grids() -> None:
    def behaviour(text: str) -> bytes:
        experience = relabel(outcomes(text), DEMONSTRATIONS)
        assert experience is not None
        return experience.behaviour

    assert behaviour("O = rot180(I)") == behaviour("x1 = vmirror(I)\nO = hmirror(x1)")
    different = ["O = rot180(I)", "O = hmirror(I)", "O = rot90(I)", "O = hconcat(I, I)"]
    # The last two have equal cells and other shapes.
    different += ["O = canvas(ZERO, TWO_BY_TWO)", "x1 = astuple(ONE, FOUR)\nO = canvas(ZERO, x1)"]
    assert len({behaviour(text) for text in different}) == len(different)
    assert {len(behaviour(text)) for text in different} == {16}


IDENTITY = "x1 = rot180(I)\nO = rot180(x1)"
CONSTANT = "x1 = astuple(ONE, TWO)\nO = canvas(FIVE, x1)"
CONSTANT_IN_SHAPE = "x1 = shape(I)\nO = canvas(FIVE, x1)"


@pytest.mark.parametrize(
    ("text", "demonstrations", "trivial"),
    [
        (IDENTITY, 2, True),
        (IDENTITY, 1, True),
        (IDENTITY, 3, False),  # it solves the third
        (CONSTANT, 3, True),
        (CONSTANT, 2, True),
        (CONSTANT, 1, False),  # one output is no pattern
        (CONSTANT_IN_SHAPE, 3, False),
        (CONSTANT_IN_SHAPE, 2, True),  # inputs of one shape
        ("O = vmirror(I)", 2, False),  # changes the first only
    ],
)
def test_relabel_can_reject_identities_and_constants_that_solve_nothing(
    text: str, demonstrations: int, trivial: bool
) -> None:
    of_program, given = outcomes(text)[:demonstrations], DEMONSTRATIONS[:demonstrations]
    kept = relabel(of_program, given)
    assert kept is not None
    assert relabel(of_program, given, trivial=False) == (None if trivial else kept)


def test_relabel_keeps_constants_that_solve_a_demonstration() -> None:
    solved = [*DEMONSTRATIONS[:2], Pair(INPUTS[2], Grid([[5, 5]]))]
    kept = relabel(outcomes(CONSTANT), solved, trivial=False)
    assert kept is not None
    assert kept.priority == pytest.approx(1 / 3)


@pytest.mark.parametrize(
    "text", ["O = size(I)", "x1 = width(I)\nx2 = equality(x1, TWO)\nO = branch(x2, I, ONE)"]
)
def test_relabel_rejects_a_program_that_fails_on_one_input(text: str) -> None:
    assert relabel(outcomes(text), DEMONSTRATIONS) is None


def test_solvers_only_keeps_only_solving_programs() -> None:
    assert relabel(outcomes("O = rot180(I)"), DEMONSTRATIONS, solvers_only=True) is None
    experience = relabel(outcomes("O = hmirror(I)"), DEMONSTRATIONS, solvers_only=True)
    assert experience is not None
    assert experience == (tuple(DEMONSTRATIONS), 1.0)


def test_relabel_needs_one_outcome_for_each_demonstration() -> None:
    with pytest.raises(ValueError, match="zip"):
        relabel(outcomes("O = rot180(I)")[:2], DEMONSTRATIONS)
