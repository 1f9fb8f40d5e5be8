"""The compact encodings are lossless, and the grammar allows exactly the programs that parse."""

import random
import re
from pathlib import Path
from statistics import median

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import Tokenizer

from codeit import language
from codeit.config import PolicyConfig
from codeit.data.tasks import Task
from codeit.language import CONSTANTS, PRIMITIVES, Grid, Line, PartialPrograms, Program
from codeit.policy.encoding import VARIABLES, CompactEncoding, NotEncodableError, smallest
from codeit.policy.grammar import Grammar

CPU = torch.device("cpu")


def compact(encoding: str = "runs", **settings: int) -> CompactEncoding:
    unlimited = {"max_input_tokens": 100_000, "max_output_tokens": 100_000, "max_program_tokens": 1000}
    return CompactEncoding(PolicyConfig(init="random", encoding=encoding, **{**unlimited, **settings}))


ENCODING = compact()
SCHEMES = [ENCODING, compact("sparse"), *(compact("patches", patch_size=side) for side in (1, 2, 3, 4))]


def grids(shape: tuple[int, int] | None = None) -> st.SearchStrategy[Grid]:
    """Grids of few or many colours in which rows sometimes repeat."""

    @st.composite
    def build(draw: st.DrawFn) -> Grid:
        height, width = shape or draw(st.tuples(st.integers(1, 30), st.integers(1, 30)))
        rng = random.Random(draw(st.integers(0, 2**32)))
        colours = rng.sample(range(10), rng.randint(1, 10))
        weights = [rng.choice((1, 1, 20)) for _ in colours]
        rows: list[list[int]] = []
        for _ in range(height):
            if rows and rng.random() < 0.4:
                rows.append(rng.choice(rows[-3:]))
            else:
                rows.append(rng.choices(colours, weights, k=width))
        return Grid(rows)

    return build()


@st.composite
def pairs(draw: st.DrawFn) -> tuple[Grid, Grid]:
    before = draw(grids())
    change = draw(st.sampled_from(("other", "same shape", "few changes", "no change")))
    if change == "other":
        return before, draw(grids())
    if change == "same shape":
        return before, draw(grids(before.shape))
    rows = before.tolist()
    for _ in range(draw(st.integers(1, 5)) if change == "few changes" else 0):
        i, j = draw(st.integers(0, len(rows) - 1)), draw(st.integers(0, len(rows[0]) - 1))
        rows[i][j] = draw(st.integers(0, 9))
    return before, Grid(rows)


@st.composite
def programs(draw: st.DrawFn) -> Program:
    rng = random.Random(draw(st.integers(0, 2**32)))
    count = rng.choice((1, 2, 5, 20, VARIABLES + 1))
    lines = []
    for number in range(1, count + 1):
        defined = [f"x{k}" for k in range(1, number)]
        terms = ["I", *CONSTANTS, *PRIMITIVES, *defined, *defined]
        if defined and rng.random() < 0.3:
            function, arity = rng.choice(defined), rng.randint(1, 4)
        else:
            function = rng.choice(list(PRIMITIVES))
            arity = PRIMITIVES[function].arity
        target = "O" if number == count else f"x{number}"
        lines.append(Line(target, function, tuple(rng.choices(terms, k=arity))))
    return Program.from_lines(lines)


@pytest.mark.parametrize("encoding", SCHEMES)
@given(demonstrations=st.lists(pairs(), min_size=1, max_size=10))
@settings(max_examples=50, deadline=None)
def test_decoding_a_task_returns_its_demonstrations(
    encoding: CompactEncoding, demonstrations: list[tuple[Grid, Grid]]
) -> None:
    assert encoding.decode_task(encoding.encode_task(demonstrations)) == smallest(demonstrations, 10)


@given(programs())
@settings(max_examples=100, deadline=None)
def test_decoding_a_program_returns_its_text(program: Program) -> None:
    ids = ENCODING.encode_program(program)
    assert ids[-1] == ENCODING.eos_id
    assert ENCODING.decode_program([*ids, ENCODING.pad_id]) == str(program)


@pytest.mark.parametrize(("encoding", "limit"), [(ENCODING, 200), (compact("patches"), 80)])
def test_evaluation_tasks_are_decoded_and_have_few_tokens(
    encoding: CompactEncoding, limit: int, evaluation: dict[str, Task]
) -> None:
    lengths = []
    for task in evaluation.values():
        tokens = encoding.encode_task(task.train)
        assert encoding.decode_task(tokens) == smallest([tuple(pair) for pair in task.train], 10), task.id
        lengths.append(len(tokens))
    # The cost of sampling and training grows with the tokens.
    assert median(lengths) <= limit


def test_runs_of_a_task() -> None:
    before = Grid([[0, 0, 0], [0, 5, 5], [0, 0, 0], [0, 5, 5], [0, 0, 0]])
    after = Grid([[0, 0, 0], [0, 2, 5], [0, 0, 0], [0, 5, 5], [0, 0, 0]])
    words = [ENCODING.tokenizer.id_to_token(k) for k in ENCODING.encode_task([(before, after)])]
    assert " ".join(words) == "in1 h5 w3 background0 end skip1 5*2 copy2 copy2 same1 end skip1 2*1 end"


def test_sparse_words_of_a_task() -> None:
    encoding = compact("sparse")
    pair = Grid([[0, 0, 5], [5, 2, 0]]), Grid([[7]])
    words = [encoding.tokenizer.id_to_token(k) for k in encoding.encode_task([pair])]
    before = "in1 h2 w3 background0 colour2 at1,1 colour5 at0,2 at1,0"
    assert " ".join(words) == f"{before} out1 h1 w1 background7"


def test_patch_words_of_a_task() -> None:
    encoding = compact("patches", patch_size=2)
    wide, other = Grid([[1, 2, 3], [4, 5, 6]]), Grid([[7]])
    words = [
        [encoding.tokenizer.id_to_token(k) for k in token]
        for token in encoding.encode_task([(wide, wide), (wide, other)]).tolist()
    ]
    shown, absent = "in0=3 in1=outside in2=6 in3=outside", "in0=absent in1=absent in2=absent in3=absent"
    assert len(words) == 5
    # The smaller pair comes first. Its shapes differ: two patches of its input, one of its output.
    hidden = absent.replace("in", "out")
    assert " ".join(words[1]) == f"{shown} {hidden} row0 column1 pair1"
    assert " ".join(words[2]) == f"{absent} out0=7 out1=outside out2=outside out3=outside row0 column0 pair1"
    assert " ".join(words[4]) == f"{shown} {shown.replace('in', 'out')} row0 column1 pair2"


def test_demonstrations_are_ordered_by_size_and_limited() -> None:
    small, large = (Grid([[1]]), Grid([[2]])), (Grid([[1] * 9]), Grid([[2] * 9]))
    one = compact(demonstrations=1).encode_task([large, small])
    assert one.tolist() == ENCODING.encode_task([small]).tolist()


def test_inputs_and_outputs_are_cut_at_their_own_limits() -> None:
    noise = random.Random(0)
    grid, other = (Grid([noise.choices(range(10), k=20) for _ in range(20)]) for _ in range(2))
    whole = ENCODING.encode_task([(grid, other)]).tolist()
    cut = compact(max_input_tokens=50, max_output_tokens=30).encode_task([(grid, other)]).tolist()
    start = [ENCODING.tokenizer.id_to_token(k) for k in whole].index("same1")
    assert cut == whole[:50] + whole[start : start + 30]


def test_patches_omit_demonstrations_beyond_the_limit() -> None:
    small, large = (Grid([[1] * 6] * 6),) * 2, (Grid([[2] * 9] * 9),) * 2
    whole = compact("patches").encode_task([large, small])
    assert len(whole) == 4 + 9
    for limit, left in ((13, 13), (12, 4), (4, 4), (3, 3)):
        cut = compact("patches", max_input_tokens=16, max_output_tokens=16)
        cut = CompactEncoding(
            cut.config.model_copy(update={"max_input_tokens": limit, "max_output_tokens": 0})
        )
        assert (cut.encode_task([large, small]) == whole[:left]).all()


def test_programs_beyond_the_limits_are_not_encodable() -> None:
    long = Program.parse("x1 = vmirror(I)\nx2 = hmirror(x1)\nx3 = vmirror(x2)\nO = paint(I, x3)")
    with pytest.raises(NotEncodableError, match=r"10 tokens, policy.max_program_tokens = 9"):
        compact(max_program_tokens=9).encode_program(long)
    assert len(compact(max_program_tokens=10).encode_program(long)) == 10
    lines = [Line(f"x{k}", "vmirror", ("I",)) for k in range(1, VARIABLES + 2)]
    with pytest.raises(NotEncodableError, match=f"x{VARIABLES + 1}"):
        ENCODING.encode_program(Program.from_lines([*lines, Line("O", "vmirror", (f"x{VARIABLES + 1}",))]))


def test_tokenizer_file_gives_the_same_ids(tmp_path: Path) -> None:
    ENCODING.save(tmp_path)
    program = Program.parse("x1 = lbind(shift, I)\nO = x1(ORIGIN)")
    from_file = Tokenizer.from_file(str(tmp_path / "tokenizer.json"))
    assert from_file.encode("lbind shift I call1 x1 ORIGIN </s>").ids == ENCODING.encode_program(program)
    config = PolicyConfig(init="random", encoding="runs")
    assert CompactEncoding.load(tmp_path, config).encode_program(program) == ENCODING.encode_program(program)


def test_tokenizer_of_another_language_is_refused(tmp_path: Path) -> None:
    ENCODING.save(tmp_path)
    path = tmp_path / "tokenizer.json"
    path.write_text(path.read_text().replace('"vmirror"', '"wmirror"'))
    with pytest.raises(
        ValueError, match=r"tokenizer.json: expected the \d+ words.*first difference: 'vmirror'"
    ):
        CompactEncoding.load(tmp_path, PolicyConfig(init="random", encoding="runs"))


def walk(encoding: CompactEncoding, rows: int, seed: int, bias_to_end: float = 0.0) -> list[list[int]]:
    """Draw allowed tokens at random, all with equal weight except the end."""
    grammar, random_ = Grammar(encoding, CPU, typed=False), torch.Generator().manual_seed(seed)
    state, written = grammar.start(rows), []
    for position in range(encoding.max_program_tokens):
        weights = grammar.allowed(state, position).double()
        assert weights.any(dim=1).all(), f"a row with nothing allowed at {position}"
        weights[:, encoding.eos_id] *= 1 + bias_to_end
        tokens = torch.multinomial(weights, 1, generator=random_)[:, 0]
        written.append(tokens)
        grammar.advance(state, tokens)
    rows_ = torch.stack(written, dim=1).tolist()
    assert all(encoding.eos_id in row for row in rows_), "a row without an end"
    return [row[: row.index(encoding.eos_id) + 1] for row in rows_]


@pytest.mark.parametrize("limit", [8, 9, 33, 200, 1000])
def test_random_walks_through_the_grammar_are_programs(limit: int) -> None:
    encoding = compact(max_program_tokens=limit)
    for ids in walk(
        encoding, 200 if limit < 1000 else 30, seed=limit, bias_to_end=5.0 if limit < 1000 else 0.0
    ):
        program = Program.parse(encoding.decode_program(ids))
        assert encoding.encode_program(program) == ids


@given(programs())
@settings(max_examples=30, deadline=None)
def test_grammar_allows_every_program(program: Program) -> None:
    ids = compact(max_program_tokens=4000).encode_program(program)
    grammar = Grammar(compact(max_program_tokens=max(len(ids), 8)), CPU, typed=False)
    state = grammar.start(1)
    for position, token in enumerate(ids):
        assert grammar.allowed(state, position)[0, token], f"{position}: {token}"
        grammar.advance(state, torch.tensor([token]))


def test_grammar_forbids_tokens_that_would_not_parse() -> None:
    grammar = Grammar(ENCODING, CPU, typed=False)

    def allowed(words: str) -> set[str]:
        state = grammar.start(1)
        ids = ENCODING.tokenizer.encode(words).ids
        for token in ids:
            grammar.advance(state, torch.tensor([token]))
        return {ENCODING.tokenizer.id_to_token(k) for k in grammar.allowed(state, len(ids))[0].nonzero()}

    assert allowed("") == set(PRIMITIVES)
    assert allowed("vmirror") == {"I", *CONSTANTS, *PRIMITIVES}
    calls = {f"call{n}" for n in range(1, 5)}
    assert allowed("vmirror I") == {*PRIMITIVES, *calls, "</s>"}
    assert allowed("vmirror I call2") == {"x1"}
    assert allowed("vmirror I call1 x1 I paint I") == {"I", "x1", "x2", *CONSTANTS, *PRIMITIVES}


def state_after(words: str, grammar: Grammar, rows: int = 1) -> PartialPrograms:
    state = grammar.start(rows)
    for token in ENCODING.tokenizer.encode(words).ids:
        grammar.advance(state, torch.full((rows,), token))
    return state


@pytest.mark.parametrize(
    ("words", "token", "message"),
    [
        ("", "I", r"tokens\[1\]: expected the first word of a line, or the end, found \d+ \(I\)"),
        ("", "call1", r"expected the first word of a line.*\(call1\)"),
        ("vmirror", "x1", r"tokens\[1\]: expected an argument of vmirror, found \d+ \(x1\)"),
        ("vmirror", "</s>", r"an argument of vmirror, found 1 \(</s>\)"),
        ("vmirror", "call1", r"an argument of vmirror"),
        ("vmirror I call1", "I", r"an argument of call1, found \d+ \(I\)"),
        ("vmirror I", -1, r"the first word of a line, or the end, found -1$"),
        ("vmirror I paint", ENCODING.output_size, r"an argument of paint, found \d+$"),
        ("vmirror I", 2**63 - 1, r"found 9223372036854775807$"),
        ("vmirror I", -(2**63), r"found -9223372036854775808$"),
    ],
)
def test_tokens_that_break_the_syntax_are_errors(words: str, token: str | int, message: str) -> None:
    grammar = Grammar(ENCODING, CPU)
    state = state_after(words, grammar, rows=2)
    before = grammar.allowed(state, 5)
    good = int(before[0].nonzero()[0])
    bad = ENCODING.ids[token] if isinstance(token, str) else token
    with pytest.raises(ValueError, match=message):
        grammar.advance(state, torch.tensor([good, bad]))
    assert torch.equal(grammar.allowed(state, 5), before)  # neither row has changed


def test_states_check_shapes_rows_and_positions() -> None:
    state = Grammar(ENCODING, CPU).start(2)
    with pytest.raises(ValueError, match="tokens: expected one for each of 2 rows, found 3"):
        state.advance(torch.zeros(3, dtype=torch.long))
    for rows in ([0, 2], [-1], [2**62]):
        with pytest.raises(IndexError, match="expected a row below 2, found"):
            state.select(torch.tensor(rows))
    for odd in (torch.zeros(2), torch.zeros(2, 1, dtype=torch.long), [0, 0]):
        with pytest.raises(TypeError):
            state.advance(odd)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="position: expected 0 or more, found -1"):
        state.allowed(-1)
    assert state.allowed(2**62).sum() == 2  # beyond the limit a program may only end
    assert len(state.select(torch.tensor([], dtype=torch.long))) == 0


@pytest.mark.parametrize(
    ("words", "pad", "end", "limit", "message"),
    [
        (["<pad>", "</s>", "I", "I"], 0, 1, 9, "words: expected distinct words, found I twice"),
        (["<pad>", "</s>", "x2"], 0, 1, 9, "words: expected x1, found only x2"),
        (["<pad>", "</s>"], 0, 2, 9, "end: expected the token of a word that programs do not use, found 2"),
        (["<pad>", "</s>", "I"], 2, 1, 9, "pad: expected the token .* found 2"),
        (["<pad>", "</s>"], 0, 1, -1, "max_tokens: expected 0 to 2147483647, found -1"),
    ],
)
def test_vocabularies_are_checked(words: list[str], pad: int, end: int, limit: int, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        language.Grammar(words, pad, end, limit, True)


def test_selected_rows_are_independent_copies() -> None:
    grammar = Grammar(ENCODING, CPU)
    state = state_after("vmirror", grammar, rows=2)
    grammar.advance(state, torch.tensor([ENCODING.ids["I"], ENCODING.ids["I"]]))
    grammar.advance(state, torch.tensor([ENCODING.ids["paint"], ENCODING.ids["size"]]))
    before = grammar.allowed(state, 3)
    selected = state.select(torch.tensor([1, 0, 0]))
    assert torch.equal(grammar.allowed(selected, 3), before[[1, 0, 0]])
    grammar.advance(selected, torch.tensor([ENCODING.ids["x1"], ENCODING.ids["I"], ENCODING.ids["x1"]]))
    assert torch.equal(grammar.allowed(state, 3), before)


def test_vocabulary_words_are_unique() -> None:
    vocabulary = ENCODING.tokenizer.get_vocab()
    assert len(vocabulary) == ENCODING.vocab_size
    assert all(re.fullmatch(r"\S+", word) for word in vocabulary)
    written = {*PRIMITIVES, *CONSTANTS, "I", "x1", f"x{VARIABLES}", "call1", "call4"}
    assert all(vocabulary[word] < ENCODING.output_size for word in written)
