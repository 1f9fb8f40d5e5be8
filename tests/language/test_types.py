"""Static types agree with observed types, admit the experts and make random programs fail less."""

import torch

from codeit.config import PolicyConfig
from codeit.data.experts import published
from codeit.data.tasks import load_tasks
from codeit.language import CONSTANTS, PRIMITIVES, Grid, Program
from codeit.language.types import ADMITTED, Type, applied, atoms, fits, may_be_grid, result_type, term_type
from codeit.policy.encoding import CompactEncoding
from codeit.policy.grammar import Grammar

GRID = Grid([[0, 0, 0, 3], [0, 2, 2, 0], [0, 2, 0, 5]])


def types_of(program: Program) -> tuple[dict[str, Type], bool]:
    """Return the static type of each variable, and whether every argument fits."""
    found: dict[str, Type] = {}
    fitting = True
    for target, function, names in program.lines:
        given = tuple(found[name] if name in found else term_type(name) for name in names)
        if function in PRIMITIVES:
            fitting &= all(fits(function, given[:n], argument) for n, argument in enumerate(given))
            found[target] = result_type(function, given)
        else:
            found[target] = applied(found[function], given)
    return found, fitting and may_be_grid(found["O"])


def test_signatures_use_known_types() -> None:
    assert {name for p in PRIMITIVES.values() for name in (*p.parameters, p.result)} == ADMITTED.keys()
    assert term_type("I") is Type(atoms("Grid"))
    assert {term_type(name).kinds for name in CONSTANTS} == {
        atoms("Boolean"), atoms("Integer"), atoms("IntegerTuple"),
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
                inferred += bool(static[target].kinds & atoms(seen))
    assert admitted >= 375  # of 400
    assert inferred >= 0.99 * observed > 8000


def test_inference_follows_function_values() -> None:
    program = Program.parse(
        "x1 = objects(I, T, F, T)\nx2 = compose(size, toindices)\nx3 = argmax(x1, x2)\nx4 = apply(x2, x1)\n"
        "x5 = lbind(shift, x3)\nx6 = ofcolor(I, ONE)\n"
        "x7 = mapply(x5, x6)\nx8 = fork(astuple, height, width)\n"
        "O = paint(I, x7)"
    )
    static, fitting = types_of(program)
    assert fitting
    assert static["x3"].kinds == atoms("Object")
    assert static["x4"].kinds == atoms("IntegerSet")
    assert static["x7"].kinds == atoms("Object")
    assert applied(static["x8"], (static["x3"],)).kinds == atoms("IntegerTuple")


def test_calls_that_must_fail_do_not_fit() -> None:
    grid, integer, objects = term_type("I"), term_type("ONE"), result_type("objects", (term_type("I"),) * 4)
    assert not fits("fill", (), integer)
    assert fits("fill", (grid, integer), result_type("ofcolor", (grid, integer)))
    assert not fits("fill", (grid, integer), grid)
    assert not fits("apply", (term_type("rot90"),), objects)
    assert fits("apply", (term_type("normalize"),), objects)
    assert not fits("compose", (term_type("rot90"),), term_type("size"))
    assert not fits("compose", (), term_type("add"))


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
            state = grammar.advance(state, tokens)
            written.append(tokens)
        programs = [Program.parse(encoding.decode_program(row)) for row in torch.stack(written, 1).tolist()]
        return sum(program.run(GRID).kind == "grid" for program in programs) / len(programs)

    assert share(typed=True) > 4 * share(typed=False)


def test_functions_made_from_a_fully_bound_function_have_a_type() -> None:
    """A fully bound function has no parameters. A policy once sampled one inside a fork."""
    bound = result_type("rbind", (term_type("size"), term_type("I")))
    assert bound.parameters == ()
    makers = {"fork": 3, "compose": 2, "chain": 3, "power": 2, "lbind": 2, "rbind": 2, "matcher": 2}
    for maker, n in makers.items():
        made = result_type(maker, (term_type("add"), bound, bound)[-n:])
        for arguments in range(4):
            applied(made, (term_type("I"),) * arguments)
