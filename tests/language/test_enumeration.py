"""Enumeration finds cheap programs first, by value, within its budgets, and always the same."""

import re
import time

import pytest

from codeit import _engine
from codeit.data.experts import published
from codeit.data.tasks import load_tasks
from codeit.language import Budget, Grid, Program
from codeit.language.enumeration import Enumeration, Library

EXPERTS = published().programs
LIBRARY = Library(EXPERTS.values())
BUDGET = Budget(steps=50_000, cells=2_000_000)
GRIDS = [
    Grid([[0, 0, 0, 0, 0], [0, 5, 5, 5, 0], [0, 5, 0, 5, 0], [0, 5, 5, 5, 0], [0, 0, 0, 0, 0]]),
    Grid([[8, 8, 8, 8, 0, 0], [8, 0, 0, 8, 0, 0], [8, 0, 0, 8, 0, 0], [8, 8, 8, 8, 0, 0]]),
    Grid([[0, 3, 3, 3, 0], [0, 3, 0, 3, 0], [0, 3, 3, 3, 0], [0, 0, 0, 0, 1]]),
]

RINGS = Grid([[0, 0, 8, 8], [5, 0, 8, 5], [0, 0, 0, 5]])


def pairs_of(text: str) -> list[tuple[Grid, Grid | None]]:
    """Demonstrations of a program on all grids but the last, which is a test."""
    program = Program.parse(text)
    return [*((grid, program(grid)) for grid in GRIDS[:-1]), (GRIDS[-1], None)]


def enumerated(text: str, most: int) -> Enumeration:
    enumeration = Enumeration(LIBRARY, pairs_of(text), BUDGET)
    enumeration.run(most)
    return enumeration


def finished(pairs: list[tuple[Grid, Grid | None]], most: int) -> list[tuple[Program, int]]:
    enumeration = Enumeration(LIBRARY, pairs, BUDGET)
    enumeration.run(most)
    enumeration.finish()
    return enumeration.solutions()


def answers(text: str, found: list[tuple[Program, int]]) -> list[bool]:
    """Whether each program gives the output of the test."""
    return [program(GRIDS[-1]) == Program.parse(text)(GRIDS[-1]) for program, _ in found]


@pytest.mark.parametrize(
    "text",
    [
        "O = vmirror(I)",
        "x1 = hmirror(I)\nO = vconcat(I, x1)",
        "x1 = objects(I, T, F, T)\nx2 = argmax(x1, size)\nO = subgrid(x2, I)",
        "x1 = leastcolor(I)\nO = replace(I, x1, TWO)",
    ],
)
def test_small_programs_are_found_and_cheaper_ones_come_first(text: str) -> None:
    found = enumerated(text, 150_000).solutions()
    bits = [cost for _, cost in found]
    assert found and bits == sorted(bits)
    assert any(answers(text, found))
    for program, _ in found:
        assert all(program(a) == b for a, b in pairs_of(text) if b is not None)
        assert program.run(GRIDS[-1]).grid is not None
    tests = [program(GRIDS[-1]) for program, _ in found]
    assert len(set(tests)) == len(tests)  # each gives another answer


def test_last_steps_paint_pieces_and_cut() -> None:
    text = (
        "x1 = objects(I, T, F, T)\nx2 = mapply(delta, x1)\nx3 = fill(I, TWO, x2)\nx4 = merge(x1)\n"
        "O = fill(x3, THREE, x4)"
    )
    enumeration = enumerated(text, 20_000)
    assert not enumeration.solutions()
    enumeration.finish()
    found = enumeration.solutions()
    assert any(answers(text, found))
    assert all({"TWO", "THREE"} <= set(re.findall("[A-Z]+", str(program))) for program, _ in found[:1])
    crop = "x1 = objects(I, T, F, T)\nx2 = argmax(x1, size)\nx3 = outbox(x2)\nO = subgrid(x3, I)"
    assert finished([(GRIDS[0], Program.parse(crop)(GRIDS[0])), (GRIDS[2], None)], 20_000)


@pytest.mark.parametrize(
    ("text", "called"),
    [
        ("x1 = switch(I, EIGHT, FIVE)\nO = rot270(x1)", "rot270"),
        ("x1 = replace(I, ZERO, SEVEN)\nO = upscale(x1, FOUR)", "upscale"),
        ("x1 = rot180(I)\nx2 = hmirror(I)\nO = hconcat(x1, x2)", "hconcat"),
        ("x1 = rot180(I)\nx2 = hconcat(I, x1)\nx3 = hconcat(x1, I)\nO = vconcat(x2, x3)", "vconcat"),
        ("x1 = vmirror(I)\nx2 = replace(x1, ZERO, SEVEN)\nO = replace(x2, FIVE, SIX)", "replace"),
        ("x1 = hmirror(I)\nO = switch(x1, ZERO, FIVE)", "switch"),
    ],
)
def test_last_steps_turn_join_and_recolour_grids(text: str, called: str) -> None:
    """The calls are found from the outputs, after few expressions."""
    demonstrations = [(grid, Program.parse(text)(grid)) for grid in (GRIDS[0], RINGS)]
    found = finished([*demonstrations, (GRIDS[2], None)], 6000)
    assert any(called in str(program) for program, _ in found)
    assert any(answers(text, found))


def test_last_steps_move_objects_and_paint_cells_of_one_colour_of_another_grid() -> None:
    moved = "x1 = objects(I, T, F, T)\nx2 = argmax(x1, size)\nx3 = shift(x2, UNITY)\nO = paint(I, x3)"
    assert any(answers(moved, finished(pairs_of(moved), 20_000)))
    cells = "x1 = vmirror(I)\nx2 = ofcolor(x1, FIVE)\nx3 = hmirror(I)\nO = fill(x3, TWO, x2)"
    grids = [Grid([[0, 5, 0], [5, 0, 3], [0, 0, 0]]), Grid([[5, 0, 0, 0], [0, 0, 5, 4]])]
    program = Program.parse(cells)
    pairs = [*((grid, program(grid)) for grid in grids), (Grid([[0, 0, 5], [1, 0, 0]]), None)]
    assert any(one(pairs[2][0]) == program(pairs[2][0]) for one, _ in finished(pairs, 4000))


# Several objects of different sizes, colours and forms; the last is a test.
SCENES = [
    Grid([[int(cell) for cell in row] for row in text.split()])
    for text in (
        "11000020 11000020 00000000 00333000 00300000 00000440 00000440 00000000",
        "05000000 05066600 05060600 00066600 00000000 22200070 00200070 00000000",
        "00008800 03308800 03300000 00000040 01000000 01110000 00000055 00000055",
        "70000022 70000022 00000000 00440000 00040000 00000000 06600000 06600000",
    )
]
RULES = {
    "those with the greatest value": (
        "x1 = objects(I, T, F, T)\nx2 = valmax(x1, size)\nx3 = sizefilter(x1, x2)\nx4 = mapply(corners, x3)\n"
        "O = fill(I, NINE, x4)"
    ),
    "those that a predicate tells": (
        "x1 = objects(I, T, F, T)\nx2 = fork(equality, toindices, backdrop)\nx3 = compose(flip, x2)\n"
        "x4 = sfilter(x1, x3)\nx5 = mapply(box, x4)\nO = fill(I, NINE, x5)"
    ),
    "each in a colour of its own": (
        "x1 = objects(I, T, F, T)\nx2 = fork(recolor, size, identity)\nx3 = mapply(x2, x1)\nO = paint(I, x3)"
    ),
    "each moved by its own height": (
        "x1 = objects(I, T, F, T)\nx2 = compose(toivec, height)\nx3 = compose(invert, x2)\n"
        "x4 = fork(shift, identity, x3)\nx5 = mapply(x4, x1)\nx6 = merge(x1)\nx7 = cover(I, x6)\n"
        "O = paint(x7, x5)"
    ),
    "behind what is there": (
        "x1 = objects(I, T, F, T)\nx2 = compose(hfrontier, ulcorner)\nx3 = mapply(x2, x1)\n"
        "O = underfill(I, NINE, x3)"
    ),
    "one over the other": (
        "x1 = objects(I, T, F, T)\nx2 = mapply(backdrop, x1)\nx3 = fill(I, NINE, x2)\n"
        "x4 = mapply(corners, x1)\nO = fill(x3, EIGHT, x4)"
    ),
}


@pytest.mark.parametrize("name", RULES)
def test_rules_tell_what_is_drawn_for_each_object(name: str) -> None:
    program = Program.parse(RULES[name])
    pairs = [*((grid, program(grid)) for grid in SCENES[:-1]), (SCENES[-1], None)]
    library = Library(one for one in EXPERTS.values() if len(one) < 4)  # too short to contain the program
    enumeration = Enumeration(library, pairs, BUDGET)
    enumeration.run(10_000)
    assert not enumeration.solutions()
    enumeration.finish()
    found = [one for one, _ in enumeration.solutions()]
    assert all(one(a) == b for one in found for a, b in pairs if b is not None)
    assert any(one(SCENES[-1]) == program(SCENES[-1]) for one in found)


def test_rules_choose_an_object_to_cut_out() -> None:
    program = Program.parse(
        "x1 = objects(I, T, F, T)\nx2 = compose(flip, square)\nx3 = fork(multiply, height, width)\n"
        "x4 = argmin(x1, x3)\nO = subgrid(x4, I)"
    )
    pairs = [*((grid, program(grid)) for grid in SCENES[:-1]), (SCENES[-1], None)]
    assert any(one(SCENES[-1]) == program(SCENES[-1]) for one, _ in finished(pairs, 10_000))


def test_results_do_not_depend_on_how_the_budget_is_given() -> None:
    text = "x1 = objects(I, T, F, T)\nx2 = argmax(x1, size)\nx3 = subgrid(x2, I)\nO = hmirror(x3)"
    whole, parts = enumerated(text, 60_000), Enumeration(LIBRARY, pairs_of(text), BUDGET)
    for most in (1, 500, 20_000, 60_000):
        parts.run(most)
    again = enumerated(text, 60_000)
    assert [(str(p), bits) for p, bits in whole.solutions()] == [
        (str(p), bits) for p, bits in again.solutions()
    ]
    assert len(whole) == len(again) and whole.tried == again.tried
    assert [(str(p), bits) for p, bits in whole.solutions()] == [
        (str(p), bits) for p, bits in parts.solutions()
    ]
    assert len(whole) == len(parts) and whole.tried == parts.tried


def test_all_solutions_run_within_the_language() -> None:
    """Solutions for real tasks are programs that give the same outside the enumeration."""
    solved = 0
    for task in load_tasks("arc-agi-1/training")[:30]:
        library = Library(program for task_id, program in EXPERTS.items() if task_id != task.id)
        pairs = [*((p.input, p.output) for p in task.train), *((p.input, None) for p in task.test)]
        enumeration = Enumeration(library, pairs, BUDGET)
        enumeration.run(20_000)
        enumeration.finish()
        found = enumeration.solutions()
        solved += bool(found)
        for program, bits in found:
            assert bits > 0 and Program.parse(str(program)).identity == program.identity
            assert all(program.run(pair.input).grid == pair.output for pair in task.train)
    assert solved >= 5


def test_budgets_bound_time_and_memory() -> None:
    large = Grid([[(i * j) % 10 for j in range(30)] for i in range(30)])
    other = Grid([[(i + j) % 7 for j in range(30)] for i in range(30)])
    small = Enumeration(LIBRARY, [(large, other), (other, None)], Budget(steps=2000, cells=20_000))
    started = time.monotonic()
    assert not small.run(10**9)  # the memory is full
    assert time.monotonic() - started < 30
    small.finish()
    assert not small.run(10**9)
    tiny = Enumeration(LIBRARY, [(GRIDS[0], GRIDS[0])], Budget(steps=1, cells=1000))
    tiny.run(10_000)
    tiny.finish()
    assert len(tiny) < len(enumerated("O = identity(I)", 10_000))
    assert all(program(GRIDS[0]) == GRIDS[0] for program, _ in tiny.solutions())


def test_tasks_without_examples_and_bad_arguments() -> None:
    empty = Enumeration(LIBRARY, [], BUDGET)
    assert not empty.run(1000)
    empty.finish()
    assert empty.solutions() == []
    nothing = Enumeration(Library([]), pairs_of("O = vmirror(I)"), BUDGET)
    nothing.run(20_000)
    assert nothing.solutions()
    with pytest.raises(ValueError, match="None"):
        _engine.Library([None])  # type: ignore[list-item]
    with pytest.raises(ValueError, match="255"):
        Enumeration(LIBRARY, [(GRIDS[0], None)] * 256, BUDGET)
