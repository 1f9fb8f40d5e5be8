from __future__ import annotations

from codeit.language import Grid, Program
from codeit.language.simplification import simplify

GRIDS = [Grid([[1, 2, 0], [0, 3, 4]]), Grid([[5, 0], [0, 6], [7, 8]]), Grid([[0, 0, 9]])]


def simplified(text: str, inputs: list[Grid] = GRIDS) -> list[str]:
    return str(simplify(Program.parse(text), inputs, threads=1)).splitlines()


def test_equal_lines_are_merged_and_unused_lines_removed() -> None:
    text = "x1 = height(I)\nx2 = width(I)\nx3 = height(I)\nx4 = astuple(x1, x3)\nO = canvas(ONE, x4)"
    assert simplified(text) == ["x1 = height(I)", "x2 = astuple(x1, x1)", "O = canvas(ONE, x2)"]


def test_line_without_effect_is_replaced_by_its_argument() -> None:
    assert simplified("x1 = identity(I)\nx2 = vmirror(x1)\nO = identity(x2)") == ["O = vmirror(I)"]


def test_lines_that_undo_each_other_are_removed() -> None:
    assert simplified("x1 = rot90(I)\nx2 = rot270(x1)\nx3 = hmirror(x2)\nO = vmirror(x3)") == [
        "x1 = hmirror(I)",
        "O = vmirror(x1)",
    ]


def test_line_is_replaced_by_a_constant() -> None:
    text = "x1 = palette(I)\nx2 = size(x1)\nx3 = subtract(x2, x2)\nO = replace(I, x3, FIVE)"
    assert simplified(text) == ["O = replace(I, ZERO, FIVE)"]


def test_function_value_is_replaced_by_a_primitive() -> None:
    text = "x1 = compose(vmirror, identity)\nx2 = lbind(x1, I)\nx3 = x1(I)\nO = hmirror(x3)"
    assert simplified(text) == ["x1 = vmirror(I)", "O = hmirror(x1)"]


def test_program_that_returns_its_input_is_not_shortened() -> None:
    assert simplified("x1 = vmirror(I)\nO = vmirror(x1)") == ["x1 = vmirror(I)", "O = vmirror(x1)"]


def test_line_that_matters_on_one_input_is_kept() -> None:
    # Only the last grid changes when its rows are reversed.
    text = "x1 = hmirror(I)\nO = vmirror(x1)"
    flat = [Grid([[0, 0, 9]]), Grid([[1, 2]])]
    assert simplified(text, flat) == ["O = vmirror(I)"]
    assert simplified(text, [*flat, Grid([[1, 2], [3, 4]])]) == text.splitlines()


def test_fresh_input_that_tells_the_programs_apart_restarts_the_search() -> None:
    program = Program.parse("x1 = hmirror(I)\nx2 = identity(x1)\nO = vmirror(x2)")
    flat = [Grid([[0, 0, 9]])]
    fresh = iter([Grid([[1, 2]]), Grid([[1, 2], [3, 4]]), Grid([[5]]), Grid([[6]])])
    simple = simplify(program, flat, fresh, threads=1)
    assert str(simple).splitlines() == ["x1 = hmirror(I)", "O = vmirror(x1)"]
    assert list(fresh) == []
    # If nothing was replaced, there is nothing to check.
    fresh = iter(flat)
    assert simplify(simple, GRIDS, fresh, threads=1) == simple
    assert list(fresh) == flat


def test_inputs_on_which_the_original_fails_are_ignored() -> None:
    # The top half of one row is empty, which is not a grid.
    text = "x1 = identity(I)\nO = tophalf(x1)"
    assert simplified(text, [Grid([[1]]), Grid([[1], [2]])]) == ["O = tophalf(I)"]
    assert simplified(text, [Grid([[1]])]) == text.splitlines()
