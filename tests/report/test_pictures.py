"""Pictures of values, and the JSON from which pages draw them."""

from __future__ import annotations

import json
from typing import Any

import pytest

from codeit.data.tasks import Task
from codeit.language import Grid, Program
from codeit.report.pictures import Cells, Colour, Items, Patch, Patches, Words, caption, cells, view, views
from codeit.report.sheet import Views, program_sheet, task_sheet

CANVAS = ((1, 2), (3, 4))


def picture(value: Any, **options: Any) -> Any:
    return view(value, CANVAS, **options)


def test_numbers_truth_values_and_functions_are_text() -> None:
    assert [picture(value) for value in (7, -3, True, None, "fork(add, height, width)", (1, 2))] == [
        Words(text) for text in ("7", "-3", "True", "None", "fork(add, height, width)", "(1, 2)")
    ]
    assert picture(frozenset({10, 9, 2})) == Words("{2, 9, 10}")
    assert picture(frozenset()) == Words("{}")
    long = picture(tuple(range(1000)))
    assert len(long.text) < 320
    assert long.text.endswith("…)")


def test_long_values_in_a_function_are_shortened() -> None:
    short = "fork(paint, lbind(shift, frozenset({(0, 1)})), rbind(multiply, (3, 3)))"
    assert picture(short) == Words("fork(paint, lbind(shift, {(0, 1)}), rbind(multiply, (3, 3)))")
    members = ", ".join(f"(3, ({k}, {k}))" for k in range(9))
    assert picture(f"lbind(shift, frozenset({{{members}}}))") == Words("lbind(shift, {…})")
    nested = f"lbind(argmax, frozenset({{frozenset({{{members}}}), frozenset()}}))"
    assert picture(nested) == Words("lbind(argmax, {{…}, {}})")
    assert len(picture("compose(size, " * 100).text) == 300


def test_number_is_a_colour_if_the_program_uses_it_as_one() -> None:
    assert picture(7, colour=True) == Colour(7)
    assert picture(10, colour=True) == Words("10")
    assert picture(frozenset({2, 0}), colour=True) == Items((Colour(0), Colour(2)), 0, False)
    program = Program.parse("x1 = mostcolor(I)\nx2 = size(I)\nx3 = ofcolor(I, x1)\nO = fill(I, x2, x3)")
    assert views(program, Grid([[3, 3, 5]]))[:2] == [Colour(3), Colour(1)]


def test_grid_is_its_cells_and_a_huge_grid_its_top_left_part() -> None:
    assert picture(((1, 2, 3), (4, 5, 6))) == Cells(((1, 2, 3), (4, 5, 6)), (2, 3))
    huge = picture(((0,) * 100,) * 70)
    assert (len(huge.rows), len(huge.rows[0]), huge.shape) == (60, 60, (70, 100))
    assert caption(huge) == "70x100, top left part"
    assert picture(((-1, 12), (3, 4))) == Items((Words("(-1, 12)"), Words("(3, 4)")), 0, True)


def test_patches_are_drawn_on_a_canvas_that_grows_if_needed() -> None:
    places = picture(frozenset({(1, 1), (0, 0)}))
    assert places == Patches(CANVAS, (Patch(((0, 0), (1, 1)), None),), True, True)
    assert caption(places) == "2 places"
    outside = picture(frozenset({(8, (-1, 2))}))
    assert outside.on == ((None, None, None), (1, 2, None), (3, 4, None))
    assert outside.patches == (Patch(((0, 2),), (8,)),)
    assert caption(outside) == "object, 1 cell"
    two = picture(frozenset({frozenset({(5, (1, 0))}), frozenset({(6, (0, 1)), (6, (1, 1))})}))
    assert [patch.places for patch in two.patches] == [((0, 1), (1, 1)), ((1, 0),)]
    assert caption(two) == "2 objects, 3 cells"
    assert isinstance(picture(frozenset({(0, 0), (500, 0)})), Items)


def test_patches_are_drawn_on_the_grid_that_they_come_from() -> None:
    program = Program.parse("x1 = hconcat(I, I)\nx2 = objects(x1, T, F, T)\nx3 = shape(I)\nO = cover(x1, x2)")
    grid, objects, *_ = views(program, Grid([[0, 0, 0], [0, 7, 0]]))
    assert isinstance(objects, Patches) and isinstance(grid, Cells)
    assert objects.on == grid.rows == ((0, 0, 0) * 2, (0, 7, 0) * 2)
    assert len(objects.patches) == 2


def test_other_containers_are_their_first_items() -> None:
    grids = picture((CANVAS, CANVAS))
    assert grids == Items((Cells(CANVAS, (2, 2)),) * 2, 0, True)
    many = picture(frozenset((k, "size") for k in range(20)))
    assert (len(many.items), many.more) == (12, 8)


def test_every_value_of_the_experts_has_a_picture(
    training: dict[str, Task], experts: dict[str, Program]
) -> None:
    kinds = set()
    for task_id in sorted(experts)[::8]:
        table = Views()
        for pair in training[task_id].train:
            shown = views(experts[task_id], pair.input)
            assert len(shown) == len(experts[task_id])
            assert shown[-1] == cells(experts[task_id](pair.input))
            kinds |= {type(one) for one in shown}
            for one in shown:
                table.add(one)
        assert len(table.json) == len({json.dumps(one) for one in table.json})
    assert kinds == {Words, Colour, Cells, Patches, Items}


def test_views_hold_each_picture_once() -> None:
    table = Views()
    assert table.add(Cells(((1, 2), (0, 9)), (2, 2))) == table.grid(Grid([[1, 2], [0, 9]])) == 0
    assert table.json == [{"cells": "12/09"}]
    assert table.add(view(frozenset({(0, 1), (1, 0)}), ((1, 2), (0, 9)))) == 1
    assert table.json[1] == {"on": 0, "patches": [[0, 0, ".#/#."]], "single": 1, "ordered": 1}
    table.add(view(((10, 2, 3),), CANVAS))
    assert table.json[2] == {"cells": [(10, 2, 3)]}
    assert table.add(Words("x")) == 3


@pytest.mark.parametrize("outputs", [False, True])
def test_task_sheet_has_test_outputs_only_if_asked(evaluation: dict[str, Task], outputs: bool) -> None:
    table = Views()
    sheet = task_sheet(table, evaluation["00576224"], outputs=outputs)
    assert [len(test) for test in sheet["tests"]] == [1 + outputs]
    output = evaluation["00576224"].test[0].output
    assert output is not None
    rows = "/".join("".join(map(str, row)) for row in output.tolist())
    assert ({"cells": rows} in table.json) is outputs


def test_program_sheet_has_errors_and_right_outputs() -> None:
    table = Views()
    good, bad = Grid([[1, 0], [0, 0]]), Grid([[0, 0], [0, 0]])
    program = Program.parse("x1 = ofcolor(I, ONE)\nx2 = ulcorner(x1)\nO = fill(I, TWO, x1)")
    pairs = [(good, Grid([[2, 0], [0, 0]])), (good, bad), (good, None), (bad, bad)]
    sheet = program_sheet(table, program, pairs)
    assert sheet["right"] == [1, 0, None, int(program.run(bad).grid == bad)]
    assert [bool(error) for error in sheet["errors"]] == [program.run(grid).grid is None for grid, _ in pairs]
    failing = program_sheet(table, Program.parse("x1 = size(I)\nO = hmirror(x1)"), [(good, good)])
    assert (len(failing["trace"][0]), failing["right"]) == (1, [0])
    assert failing["errors"][0].startswith("line 2: hmirror: ")
