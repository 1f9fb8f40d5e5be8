"""Expert programs for the 400 training tasks of ARC-AGI-1.

They are the verifiers that the dependency `reasoning-gym` ships, read as text and turned into programs of our
language, then simplified: made shorter while they do the same on their task's published inputs and on fresh
inputs from the same package's generators.

    published()     the verifiers as they are, and which were left out and why
    simplify()      one program, made shorter, the same on given inputs
    load_experts()  all of them simplified; after the first time from a file in the user's cache folder
    load_inputs()   fresh inputs for them from the package's generators, kept in such a file too
"""

from __future__ import annotations

import ast
import contextlib
import importlib.metadata
import importlib.util
import json
import os
import random
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import NamedTuple, TypeVar

from codeit.data.tasks import Task, load_tasks
from codeit.language import CONSTANTS, Grid, Line, ParseError, Program, count_solved, run_batch
from codeit.language.rewriting import EditableProgram
from codeit.language.types import atom_of
from codeit.parallel import map_unordered

Value = TypeVar("Value")

EXAMPLES = 120
"""Distinct generated inputs, of those that the original turns into a grid, on which both must agree."""
ATTEMPTS = 3 * EXAMPLES
"""Inputs generated at most: some generators repeat themselves, and some originals fail on their inputs."""
SIMPLIFIER_VERSION = 2
"""Version of the programs made here; raise it with any change to them, so that old files are not used."""

_SCREEN = 4  # goals tried with all candidates before any is tried with every goal
_AT_FIRST = 16  # generated inputs that a search starts with; the others check what it gives


class Published(NamedTuple):
    """The verifiers as programs, by task id, and the reason why each other one was left out."""

    programs: dict[str, Program]
    left_out: dict[str, str]


def published() -> Published:
    """Translate every verifier of the installed package, without running any of its code."""
    return translate(_source())


def _source() -> str:
    spec = importlib.util.find_spec("reasoning_gym")  # finds it without the import, which takes 2.3 s
    if spec is None or spec.origin is None:
        raise ModuleNotFoundError("The expert programs come with the package reasoning-gym: pip install it.")
    return (Path(spec.origin).parent / "arc/rearc_utils/verifiers.py").read_text(encoding="utf-8")


def translate(source: str) -> Published:
    """Turn each function `verify_<id>` of a Python source into a program.

    Its body must be assignments of plain calls (names in, one name out) and then the return of a variable. A
    pair `(a, b)` on the right-hand side becomes `astuple(a, b)`; lines after the returned one are dropped.
    Any other function is left out by name.
    """
    programs, left_out = {}, {}
    for node in ast.parse(source).body:
        if isinstance(node, ast.FunctionDef) and node.name.startswith("verify_"):
            id = node.name.removeprefix("verify_")
            try:
                programs[id] = _translate(node)
            except ValueError as error:
                left_out[id] = str(error)
    return Published(programs, left_out)


def _translate(function: ast.FunctionDef) -> Program:
    *assignments, last = function.body
    lines: list[Line] = []
    names = {parameter.arg: "I" for parameter in function.args.args}
    for statement in assignments:
        match statement:
            case ast.Assign([ast.Name(target)], ast.Call(ast.Name(called), given, [])):
                pass
            case ast.Assign([ast.Name(target)], ast.Tuple([_, _] as given)):
                called = "astuple"
            case _:
                raise ValueError(f"line {statement.lineno} is no plain call: {ast.unparse(statement)}")
        arguments = tuple(names.get(a.id, a.id) for a in given if isinstance(a, ast.Name))
        if len(arguments) < len(given):
            raise ValueError(f"line {statement.lineno} is no plain call: {ast.unparse(statement)}")
        lines.append(Line(f"x{len(lines) + 1}", names.get(called, called), arguments))
        names[target] = lines[-1].target
    match last:
        case ast.Return(ast.Name(result)) if names.get(result, "I") != "I":
            length = int(names[result].removeprefix("x"))
        case _:
            raise ValueError(f"line {last.lineno} returns no computed variable: {ast.unparse(last)}")
    return EditableProgram(tuple(lines[:length]), names[result]).program()


def simplify(
    program: Program, inputs: Sequence[Grid], fresh: Iterable[Grid] = (), *, threads: int = 0
) -> Program:
    """A program, no longer than `program`, that gives the same grid on each input on which that gives one.

    Equal lines are merged and unused ones dropped. Then, from the last line to the first and around again
    until no line gives way, a line is dropped and its value replaced by one of its own arguments, or by the
    input, an earlier variable or a constant of the same type (as observed on the smallest input); of the
    replacements that pass, the one that leaves the fewest lines is taken.

    `fresh` are inputs to check the outcome with, drawn only if something was replaced. One that tells the two
    programs apart makes the search start over, with all inputs drawn so far. All in all at most 255 inputs.
    """
    outcomes = run_batch([program], [inputs], threads=threads)[0]
    goals = [(grid, o.grid) for grid, o in zip(inputs, outcomes, strict=True) if o.grid is not None]
    original = EditableProgram.of(program).without_dead_code()
    if not goals:
        return original.program()
    judge = _Judge(goals, threads)
    best = _shortened(original, judge)
    fresh = iter(fresh)
    while best != original and (grid := next(fresh, None)) is not None:
        wanted = program.run(grid).grid
        if wanted is not None:
            judge.goals.append((grid, wanted))
            if best.program().run(grid).grid != wanted:
                best = _shortened(original, judge)
    return best.program()


def _shortened(draft: EditableProgram, judge: _Judge) -> EditableProgram:
    types, back, untried = _types(draft, judge.example), 0, len(draft.lines)
    while untried:
        back = back % len(draft.lines) + 1  # counted from the end, as a line may take earlier ones with it
        shorter = judge.first(_without_line(draft, len(draft.lines) - back, types))
        if shorter is None:
            untried -= 1
        else:
            draft, types = shorter, _types(shorter, judge.example)
            back, untried = back - 1, len(draft.lines)
    return draft


class _Judge:
    """Finds drafts that reach every goal, and wastes little time on those that do not."""

    def __init__(self, goals: Sequence[tuple[Grid, Grid]], threads: int) -> None:
        self.goals, self.threads = sorted(goals, key=lambda goal: len(bytes(goal[0]))), threads
        self.example = self.goals[0][0]
        self.rejected: set[EditableProgram] = set()  # for good, as goals may be added and none removed

    def first(self, drafts: Iterable[EditableProgram]) -> EditableProgram | None:
        """The first of some drafts whose program turns the input of each goal into its output."""
        programs = {}
        for draft in drafts:
            if draft not in self.rejected:
                with contextlib.suppress(ParseError):  # no line is left, or a line calls what is no function
                    programs[draft] = draft.program()
        few = self.goals[:_SCREEN]
        for draft, reached in zip(programs, self._reached(list(programs.values()), few), strict=True):
            if reached == len(few):
                reached = self._reached([programs[draft]], self.goals)[0]
                if reached == len(self.goals):
                    return draft
                # The goal that found this one out is likely to do so with others: behind the small, first.
                self.goals.insert(_SCREEN - 1, self.goals.pop(reached))
            self.rejected.add(draft)
        return None

    def _reached(self, programs: Sequence[Program], goals: Sequence[tuple[Grid, Grid]]) -> list[int]:
        """How many goals each program reaches up to the first that it does not."""
        counts = count_solved(programs, [goals], early_exit=True, threads=self.threads)[0]
        return [int(count) for count in counts]


def _without_line(draft: EditableProgram, index: int, types: Mapping[str, str]) -> list[EditableProgram]:
    """The drafts in which another value of the line's type, or one of its arguments, takes its place."""
    line = draft.lines[index]
    earlier = ["I", *(other.target for other in draft.lines[:index]), *CONSTANTS]
    by = [*line.arguments, *(name for name in earlier if types[name] == types[line.target])]
    shorter = dict.fromkeys(draft.replaced(line.target, name).without_dead_code() for name in by)
    return sorted(shorter, key=lambda draft: len(draft.lines))


def _types(draft: EditableProgram, grid: Grid) -> dict[str, str]:
    """The type that each name a draft may use has when it runs on a grid."""
    types = draft.program().types(grid)
    return {name: atom_of(name) for name in ("I", *CONSTANTS)} | {
        line.target: type for line, type in zip(draft.lines, types, strict=True)
    }


def inputs_for(id: str, program: Program, seed: int) -> Iterator[Grid]:
    """Up to EXAMPLES distinct inputs from a training task's generator that `program` turns into a grid.

    Fewer if ATTEMPTS do not give as many. The same seed gives the same inputs.
    """
    from reasoning_gym.arc.rearc_utils import generators

    generate = getattr(generators, f"generate_{id}")
    rng = random.Random(f"{seed} {id}")
    seen: set[Grid] = set()
    for _ in range(ATTEMPTS):
        try:
            grid = Grid(generate(rng, 0.0, 1.0)["input"])
        except Exception:  # a generator may paint itself into a corner, or give a grid of illegal size
            continue
        if grid not in seen and program.run(grid).grid is not None:
            seen.add(grid)
            yield grid
        if len(seen) == EXAMPLES:
            return


def load_experts(
    *,
    seed: int = 0,
    workers: int = 0,
    folder: Path | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> dict[str, Program]:
    """The simplified experts, by task id.

    The first call makes them (some 130 s of processor time) in `workers` processes (0: one a core) and keeps
    them in a file in `folder` (by default codeit's folder in the user's cache); later calls read it, or make
    it again if it cannot be read. `seed` picks the generated inputs. `progress` is told how many programs are
    done, and of how many.
    """
    file = _cache_file("experts", seed, folder)
    experts = _read(file, Program.parse)
    if experts is not None and experts.keys() == set(re.findall(r"(?m)^def verify_(\w+)", _source())):
        return experts  # all of them, told without the translation, which takes 0.3 s
    originals = published().programs
    if experts is None or experts.keys() != originals.keys():
        experts = _simplified(originals, seed, workers, progress)
        _write(file, experts, str)
    return experts


def load_inputs(
    experts: Mapping[str, Program], *, seed: int = 1, workers: int = 0, folder: Path | None = None
) -> dict[str, list[Grid]]:
    """Fresh inputs for the tasks of all `experts`, by task id: up to EXAMPLES, distinct.

    As `load_experts`: the first call makes them (some minutes of processor time), later ones read a file.
    """
    file = _cache_file("inputs", seed, folder)
    inputs = _read(file, _grids)
    if inputs is None or inputs.keys() != experts.keys():
        ids = sorted(experts)
        made = map_unordered(_inputs_of, [(id, experts[id], seed) for id in ids], workers)
        inputs = {id: grids for id, grids in sorted((ids[number], grids) for number, grids in made)}
        _write(file, inputs, _rows)
    return inputs


def _inputs_of(job: tuple[str, Program, int]) -> list[Grid]:
    return list(inputs_for(*job))


def _rows(grids: Sequence[Grid]) -> str:
    """Grids as text: rows of digits, a space between rows, a comma between grids."""
    return ",".join(" ".join("".join(map(str, row)) for row in grid.tolist()) for grid in grids)


def _grids(text: str) -> list[Grid]:
    return [Grid([[int(cell) for cell in row] for row in grid.split()]) for grid in text.split(",") if grid]


def _simplified(
    originals: dict[str, Program], seed: int, workers: int, progress: Callable[[int, int], None] | None
) -> dict[str, Program]:
    tasks = {task.id: task for task in load_tasks("arc-agi-1/training")}
    ids = sorted(originals, key=lambda id: -len(originals[id]))  # the longest first, so that all end together
    jobs = [(originals[id], tasks[id], seed) for id in ids]
    experts = {}
    for number, program in map_unordered(_simplify_expert, jobs, workers):
        experts[ids[number]] = program
        if progress:
            progress(len(experts), len(ids))
    return dict(sorted(experts.items()))


def _simplify_expert(job: tuple[Program, Task, int]) -> Program:
    program, task, seed = job
    inputs = [pair.input for pair in task.train] + [pair.input for pair in task.test]
    fresh = inputs_for(task.id, program, seed)
    return simplify(program, [*inputs, *islice(fresh, _AT_FIRST)], fresh, threads=1)


def _cache_folder() -> Path:
    home = os.environ.get("XDG_CACHE_HOME", "")
    return (Path(home) if os.path.isabs(home) else Path.home() / ".cache") / "codeit"


def _cache_file(what: str, seed: int, folder: Path | None) -> Path:
    version = importlib.metadata.version("reasoning-gym")
    return (folder or _cache_folder()) / f"{what}-{version}-{SIMPLIFIER_VERSION}-{seed}.json"


def _read(file: Path, value: Callable[[str], Value]) -> dict[str, Value] | None:
    try:
        data = json.loads(file.read_text(encoding="utf-8"))
        return {id: value(text) for id, text in data.items()}
    except (OSError, ValueError, AttributeError, TypeError):
        return None


def _write(file: Path, values: Mapping[str, Value], text: Callable[[Value], str]) -> None:
    data = json.dumps({id: text(value) for id, value in values.items()}, indent=0)
    unfinished = file.with_name(f"{file.name}.{os.getpid()}")
    with contextlib.suppress(OSError):  # a cache that cannot be written costs time, nothing else
        file.parent.mkdir(parents=True, exist_ok=True)
        unfinished.write_text(data, encoding="utf-8")
        os.replace(unfinished, file)
