"""Static types agree with observed types, admit the experts and make random programs fail less."""

import pytest
import torch

from codeit import _engine
from codeit.config import PolicyConfig
from codeit.data.experts import published
from codeit.data.tasks import load_tasks
from codeit.language import CONSTANTS, PRIMITIVES, TYPES, Grid, Program
from codeit.policy.encoding import CompactEncoding
from codeit.policy.grammar import Grammar

GRID = Grid([[0, 0, 0, 3], [0, 2, 2, 0], [0, 2, 0, 5]])


def types_of(program: Program) -> tuple[dict[str, frozenset[str]], bool]:
    """Return the static type of each variable, and whether the rules admit the program."""
    lines = _engine.infer_static_types(program._compiled)
    found = {line.target: kinds for line, (kinds, _) in zip(program.lines, lines, strict=True)}
    return found, all(admitted for _, admitted in lines) and "Grid" in found["O"]


def last_line(text: str) -> tuple[frozenset[str], bool]:
    """Return the static type of a program's result, and whether the rules admit its last line."""
    return _engine.infer_static_types(Program.parse(text)._compiled)[-1]


def test_signatures_use_known_types() -> None:
    assert {name for p in PRIMITIVES.values() for name in (*p.parameters, p.result)} == TYPES.keys()
    assert last_line("O = identity(I)") == ({"Grid"}, True)
    assert {kinds for name in CONSTANTS for kinds, _ in [last_line(f"O = branch(T, {name}, {name})")]} == {
        frozenset({"Boolean"}), frozenset({"Integer"}), frozenset({"IntegerTuple"}),
    }  # fmt: skip


def test_experts_are_admitted_and_their_observed_types_inferred() -> None:
    training = {task.id: task for task in load_tasks("arc-agi-1/training")}
    admitted = observed = inferred = 0
    for task_id, program in published().programs.items():
        static, fitting = types_of(program)
        admitted += fitting
        for target, seen in zip(static, program.types(training[task_id].train[0].input), strict=False):
            if seen not in ("FrozenSet", "None"):  # the empty set has any set type; None has none
                observed += 1
                inferred += seen in static[target]
    assert admitted >= 375  # of 400
    assert inferred >= 0.99 * observed > 8000


def test_inference_follows_function_values() -> None:
    program = Program.parse(
        "x1 = objects(I, T, F, T)\nx2 = compose(size, toindices)\nx3 = argmax(x1, x2)\nx4 = apply(x2, x1)\n"
        "x5 = lbind(shift, x3)\nx6 = ofcolor(I, ONE)\n"
        "x7 = mapply(x5, x6)\nx8 = fork(astuple, height, width)\nx9 = x8(x3)\n"
        "O = paint(I, x7)"
    )
    static, fitting = types_of(program)
    assert fitting
    assert static["x3"] == {"Object"}
    assert static["x4"] == {"IntegerSet"}
    assert static["x7"] == {"Object"}
    assert static["x9"] == {"IntegerTuple"}


@pytest.mark.parametrize(
    ("fitting", "failing"),
    [
        ("x1 = ofcolor(I, ONE)\nO = fill(I, ONE, x1)", "x1 = ofcolor(I, ONE)\nO = fill(ONE, ONE, x1)"),
        ("x1 = ofcolor(I, ONE)\nO = fill(I, ONE, x1)", "O = fill(I, ONE, I)"),
        (
            "x1 = objects(I, T, T, T)\nO = apply(normalize, x1)",
            "x1 = objects(I, T, T, T)\nO = apply(rot90, x1)",
        ),
        ("O = compose(rot90, rot270)", "O = compose(rot90, size)"),
        ("O = compose(increment, size)", "O = compose(add, size)"),
        ("x1 = rbind(add, ONE)\nO = x1(ONE)", "x1 = rbind(add, ONE)\nO = x1(ONE, ONE)"),
        ("x1 = rbind(add, ONE)\nO = x1(ONE)", "x1 = rbind(add, ONE)\nO = x1(I)"),
        ("x1 = rbind(add, ONE)\nO = x1(ONE)", "x1 = add(ONE, ONE)\nO = x1(ONE)"),
    ],
)
def test_calls_that_must_fail_do_not_fit(fitting: str, failing: str) -> None:
    assert last_line(fitting)[1]
    assert not last_line(failing)[1]


def test_random_programs_run_more_often_with_static_types() -> None:
    def share(typed: bool) -> float:
        encoding = CompactEncoding(PolicyConfig(encoding="runs", init="random", max_program_tokens=32))
        grammar = Grammar(encoding, torch.device("cpu"), typed)
        state, written = grammar.start(300), []
        random = torch.Generator().manual_seed(1)
        for position in range(encoding.max_program_tokens):
            allowed = grammar.allowed(state, position).double()
            assert allowed.any(dim=1).all()
            allowed[:, encoding.eos_id] *= 20  # ends soon
            tokens = torch.multinomial(allowed, 1, generator=random)[:, 0]
            grammar.advance(state, tokens)
            written.append(tokens)
        programs = [Program.parse(encoding.decode_program(row)) for row in torch.stack(written, 1).tolist()]
        return sum(program.run(GRID).kind == "grid" for program in programs) / len(programs)

    assert share(typed=True) > 4 * share(typed=False)


def test_functions_made_from_a_fully_bound_function_have_a_type() -> None:
    """A fully bound function has no parameters. A policy once sampled one inside a fork."""
    makers = {"fork": 3, "compose": 2, "chain": 3, "power": 2, "lbind": 2, "rbind": 2, "matcher": 2}
    for maker, n in makers.items():
        made = f"x1 = rbind(size, I)\nx2 = {maker}({', '.join(['add', 'x1', 'x1'][-n:])})\n"
        assert last_line(f"{made}O = apply(x2, I)")[0]
        for arguments in range(1, 5):
            assert last_line(f"{made}O = x2({', '.join(['I'] * arguments)})")[0]
