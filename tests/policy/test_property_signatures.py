"""Clues say what is true of all demonstrations, and nothing else."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from codeit.config import PolicyConfig
from codeit.language import Grid, Program, run_batch
from codeit.policy.property_signatures import CHANGES, OUTPUTS, SHAPES, WORDS_A_TOKEN, clues, compiled
from codeit.policy.encoding import CompactEncoding
from codeit.data.tasks import Task

ENCODING = CompactEncoding(PolicyConfig(init="random", encoding="signatures"))
RINGS = Program.parse("x1 = objects(I, T, F, T)\nx2 = mapply(delta, x1)\nO = fill(I, TWO, x2)")
RING = Grid([[0, 0, 0, 0, 0], [0, 5, 5, 5, 0], [0, 5, 0, 5, 0], [0, 5, 5, 5, 0], [0, 0, 0, 0, 0]])
LARGER = Grid([[8, 8, 8, 8, 0, 0], [8, 0, 0, 8, 0, 0], [8, 0, 0, 8, 0, 0], [8, 8, 8, 8, 0, 0]])


def shown(program: str | Program, *grids: Grid) -> dict[str, list[str]]:
    program = Program.parse(program) if isinstance(program, str) else program
    return clues([(grid, program(grid)) for grid in grids])


def test_where_cells_change() -> None:
    said = shown(RINGS, RING, LARGER)
    of = "objects(I,T,F,T)"
    assert f"{of};mapply(delta,$)=same" in said[of]
    assert f"{of};mapply(backdrop,$)=around" in said[of]
    assert not [word for word in said[of] if word.startswith((f"{of};mapply(box", f"{of};merge"))]
    assert said["facts"] == [
        *("shapes=same", "input=0", "output=0", "output=2", "gained=2", "only-from=0", "only-to=2")
    ]


def test_which_grid_the_output_is() -> None:
    mirrored = shown("O = vmirror(I)", LARGER)["mirrored"]
    assert "vmirror(I)=equal" in mirrored
    assert "hmirror(I)=equal" not in mirrored
    assert "vmirror(I)=equal" not in shown("O = hmirror(I)", LARGER).get("mirrored", [])
    larger = shown("O = upscale(I, TWO)", RING, LARGER)
    assert "upscale(I,TWO)=equal" in larger["larger"]
    assert {"shapes=other", "height=x2", "width=x2"} <= set(larger["facts"])
    assert "height=8" not in larger["facts"]
    smaller = shown("x1 = fgpartition(I)\nx2 = merge(x1)\nO = subgrid(x2, I)", RING, LARGER)
    assert "fgpartition(I);merge($);subgrid($,I)=equal" in smaller["cells"]
    assert {"shapes=square", "width=xless"} <= set(smaller["facts"])


def test_what_holds_for_one_demonstration_alone_is_not_said() -> None:
    pair, other = (LARGER, Program.parse("O = vmirror(I)")(LARGER)), (RING, RINGS(RING))
    both = clues([pair, other])
    assert "vmirror(I)=equal" in clues([pair])["mirrored"]
    assert "vmirror(I)=equal" not in both.get("mirrored", [])
    assert "only-to=2" not in both["facts"]


def grids() -> st.SearchStrategy[Grid]:
    side = st.integers(1, 6)
    return st.tuples(side, side).flatmap(
        lambda shape: st.lists(
            st.lists(st.integers(0, 9), min_size=shape[1], max_size=shape[1]),
            min_size=shape[0],
            max_size=shape[0],
        ).map(Grid)
    )


@given(st.lists(st.tuples(grids(), grids()), min_size=1, max_size=4), st.randoms(use_true_random=False))
@settings(max_examples=50, deadline=None)
def test_any_grids_give_words_of_the_vocabulary_whatever_their_order(pairs, random) -> None:
    said = clues(pairs)
    shuffled = random.sample(pairs, len(pairs))
    assert clues(shuffled) == said
    tokens = ENCODING.encode_task(pairs)
    assert tokens.shape[0] > 0 and tokens.shape[1] == WORDS_A_TOKEN
    ids = [id for token in tokens.tolist() for id in token if id != ENCODING.pad_id]
    words = [ENCODING.tokenizer.id_to_token(id) for id in ids]
    assert words == [word for some in said.values() for word in some]
    with pytest.raises(ValueError, match="do not tell"):
        ENCODING.decode_task(tokens)


def test_each_program_gives_a_grid_somewhere(training: dict[str, Task]) -> None:
    inputs = [task.train[0].input for task in training.values()][::4]
    for kind, table in (("changes", CHANGES), ("outputs", OUTPUTS), ("shapes", SHAPES)):
        subjects, texts, programs = compiled(kind)
        assert len(programs) == sum(map(len, table.values())) and set(subjects) == set(table)
        outcomes = run_batch(programs, [inputs] * len(programs))
        silent = [t for t, some in zip(texts, outcomes, strict=True) if not any(o.grid for o in some)]
        assert silent == []
