"""A property signature lists what holds for all demonstrations, and nothing else."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from codeit.config import PolicyConfig
from codeit.data.tasks import Task
from codeit.language import Grid, Program, run_batch
from codeit.policy import SHIPPED
from codeit.policy.encoding import CompactEncoding
from codeit.policy.property_signatures import (
    CHANGES,
    OUTPUTS,
    SHAPES,
    WORDS_PER_TOKEN,
    programs_of,
    signature,
)

ENCODING = CompactEncoding(PolicyConfig(init="random", encoding="signatures"))
RINGS = Program.parse("x1 = objects(I, T, F, T)\nx2 = mapply(delta, x1)\nO = fill(I, TWO, x2)")
RING = Grid([[0, 0, 0, 0, 0], [0, 5, 5, 5, 0], [0, 5, 0, 5, 0], [0, 5, 5, 5, 0], [0, 0, 0, 0, 0]])
LARGER = Grid([[8, 8, 8, 8, 0, 0], [8, 0, 0, 8, 0, 0], [8, 0, 0, 8, 0, 0], [8, 8, 8, 8, 0, 0]])


def signature_of(program: str | Program, *grids: Grid) -> dict[str, list[str]]:
    """The signature of a task with these inputs that the program solves."""
    program = Program.parse(program) if isinstance(program, str) else program
    return signature([(grid, program(grid)) for grid in grids])


def test_properties_of_changed_cells() -> None:
    found = signature_of(RINGS, RING, LARGER)
    root = "objects(I,T,F,T)"
    assert f"{root};mapply(delta,$)=same" in found[root]
    assert f"{root};mapply(backdrop,$)=around" in found[root]
    assert not [word for word in found[root] if word.startswith((f"{root};mapply(box", f"{root};merge"))]
    assert found["facts"] == [
        *("shapes=same", "input=0", "output=0", "output=2", "gained=2", "only-from=0", "only-to=2")
    ]


def test_properties_of_the_output_grid() -> None:
    mirrored = signature_of("O = vmirror(I)", LARGER)["mirrored"]
    assert "vmirror(I)=equal" in mirrored
    assert "hmirror(I)=equal" not in mirrored
    assert "vmirror(I)=equal" not in signature_of("O = hmirror(I)", LARGER).get("mirrored", [])
    larger = signature_of("O = upscale(I, TWO)", RING, LARGER)
    assert "upscale(I,TWO)=equal" in larger["larger"]
    assert {"shapes=other", "height=x2", "width=x2"} <= set(larger["facts"])
    assert "height=8" not in larger["facts"]
    smaller = signature_of("x1 = fgpartition(I)\nx2 = merge(x1)\nO = subgrid(x2, I)", RING, LARGER)
    assert "fgpartition(I);merge($);subgrid($,I)=equal" in smaller["cells"]
    assert {"shapes=square", "width=xless"} <= set(smaller["facts"])


def test_properties_of_a_single_demonstration_are_left_out() -> None:
    pair, other = (LARGER, Program.parse("O = vmirror(I)")(LARGER)), (RING, RINGS(RING))
    both = signature([pair, other])
    assert "vmirror(I)=equal" in signature([pair])["mirrored"]
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
def test_any_grids_give_words_of_the_vocabulary_in_any_order_of_demonstrations(pairs, random) -> None:
    found = signature(pairs)
    shuffled = random.sample(pairs, len(pairs))
    assert signature(shuffled) == found
    tokens = ENCODING.encode_task(pairs)
    assert tokens.shape[0] > 0 and tokens.shape[1] == WORDS_PER_TOKEN
    ids = [k for token in tokens.tolist() for k in token if k != ENCODING.pad_id]
    words = [ENCODING.tokenizer.id_to_token(k) for k in ids]
    assert words == [word for of_subject in found.values() for word in of_subject]
    with pytest.raises(ValueError, match="do not determine"):
        ENCODING.decode_task(tokens)


def test_every_program_returns_a_grid_for_some_task(training: dict[str, Task]) -> None:
    inputs = [task.train[0].input for task in training.values()][::4]
    for kind, table in (("changes", CHANGES), ("outputs", OUTPUTS), ("shapes", SHAPES)):
        subjects, texts, programs = programs_of(kind)
        assert len(programs) == sum(map(len, table.values())) and set(subjects) == set(table)
        outcomes = run_batch(programs, [inputs] * len(programs))
        silent = [t for t, some in zip(texts, outcomes, strict=True) if not any(o.grid for o in some)]
        assert silent == []


def test_words_are_those_of_the_shipped_tokenizer() -> None:
    shipped = CompactEncoding.load(SHIPPED, PolicyConfig())
    assert shipped.tokenizer.get_vocab() == ENCODING.tokenizer.get_vocab()
