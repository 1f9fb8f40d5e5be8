"""Expert programs for the 400 training tasks of ARC-AGI-1.

They are the verifiers shipped in the dependency `reasoning-gym`. Their source is read as text and
translated to programs, which are then simplified: shortened so that they do the same on the
published inputs of their task and on fresh inputs from the generators of the same package.

    published()       the translated verifiers, and why any was left out
    load_experts()    the simplified programs, from a file in the user's cache after the first call
    load_inputs()     fresh inputs for their tasks, from another such file
"""

from __future__ import annotations

import ast
import hashlib
import importlib.metadata
import importlib.util
import json
import logging
import random
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cache
from itertools import islice
from pathlib import Path
from typing import NamedTuple, TypeVar

from codeit.data.cache import SET_HOME, cache_directory, replace_file
from codeit.data.tasks import Task, load_tasks
from codeit.language import Grid, Line, Program
from codeit.language.rewriting import EditableProgram
from codeit.language.simplification import simplify
from codeit.parallel import map_unordered

Value = TypeVar("Value")

INPUTS_PER_TASK = 120
"""Distinct generated inputs of a task on which a verifier and its simplification must agree."""
MAX_GENERATED = 3 * INPUTS_PER_TASK
"""Most inputs generated for them. Some generators repeat inputs; some verifiers fail on them."""
SIMPLIFIER_VERSION = 2
"""Part of the names of cache files. Raise it with any change to the programs made here, so that
older files are ignored."""

_FIRST_INPUTS = 16  # generated inputs that simplification starts with; the others check its result


class Translation(NamedTuple):
    """Programs by task id, and the reason why each other function was left out."""

    programs: dict[str, Program]
    left_out: dict[str, str]


def published() -> Translation:
    """Translate every verifier of the installed package, without running any of its code.

    Takes 0.3 s. Raises ModuleNotFoundError if reasoning-gym is not installed.
    """
    return translate(_source())


def _source() -> str:
    spec = importlib.util.find_spec("reasoning_gym")  # importing the package would take 2.3 s
    if spec is None or spec.origin is None:
        raise ModuleNotFoundError(
            "expert programs: expected the package reasoning-gym, found no such package; "
            "run `pip install reasoning-gym`"
        )
    return (Path(spec.origin).parent / "arc/rearc_utils/verifiers.py").read_text(encoding="utf-8")


def translate(source: str) -> Translation:
    """Translate each function `verify_<id>` of a Python source to a program.

    The body of the function must consist of assignments of plain calls, with names as arguments and
    one name as the target, and end by returning a variable. A pair `(a, b)` on the right-hand side
    becomes `astuple(a, b)`. Lines after the one that is returned are dropped. Any other function is
    left out, with the reason.
    """
    programs, left_out = {}, {}
    for node in ast.parse(source).body:
        if isinstance(node, ast.FunctionDef) and node.name.startswith("verify_"):
            task_id = node.name.removeprefix("verify_")
            try:
                programs[task_id] = _translate(node)
            except ValueError as error:
                left_out[task_id] = str(error)
    return Translation(programs, left_out)


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
                raise ValueError(_not_a_plain_call(statement))
        arguments = tuple(names.get(a.id, a.id) for a in given if isinstance(a, ast.Name))
        if len(arguments) < len(given):
            raise ValueError(_not_a_plain_call(statement))
        lines.append(Line(f"x{len(lines) + 1}", names.get(called, called), arguments))
        names[target] = lines[-1].target
    match last:
        case ast.Return(ast.Name(result)) if names.get(result, "I") != "I":
            length = int(names[result].removeprefix("x"))
        case _:
            found = ast.unparse(last)
            raise ValueError(f"line {last.lineno}: expected the return of a variable, found {found}")
    return EditableProgram(tuple(lines[:length]), names[result]).to_program()


def _not_a_plain_call(statement: ast.stmt) -> str:
    return f"line {statement.lineno}: expected a plain call, found {ast.unparse(statement)}"


def generate_inputs(task_id: str, program: Program, seed: int) -> Iterator[Grid]:
    """Yield distinct inputs from the generator of a training task, on which `program` gives a grid.

    There are INPUTS_PER_TASK of them, or fewer if MAX_GENERATED attempts do not suffice. The same
    seed gives the same inputs. Importing the generators takes 2.3 s.
    """
    from reasoning_gym.arc.rearc_utils import generators

    generate = getattr(generators, f"generate_{task_id}")
    rng = random.Random(f"{seed} {task_id}")
    seen: set[Grid] = set()
    for _ in range(MAX_GENERATED):
        try:
            grid = Grid(generate(rng, 0.0, 1.0)["input"])
        except Exception:  # some draws of a generator fail, or give a grid that is too large
            continue
        if grid not in seen and program.run(grid).grid is not None:
            seen.add(grid)
            yield grid
        if len(seen) == INPUTS_PER_TASK:
            return


def load_experts(
    *,
    seed: int = 0,
    workers: int = 0,
    directory: Path | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> dict[str, Program]:
    """Load the simplified experts.

    The first call computes them, which takes about 130 s of processor time, and writes them to a
    cache file. Later calls read it. A file that is incomplete, unreadable, changed since it was
    written, or of another version of reasoning-gym or of the simplification is ignored and written
    again. A cache that cannot be written is no error; a warning is logged.

    Args:
        seed: Seed of the generated inputs.
        workers: Processes that simplify; 0 uses every core.
        directory: Directory of the cache file; by default codeit's in the user's cache.
        progress: Called as `progress(done, total)` when a program is done.

    Returns:
        Programs by task id, sorted by id.

    Raises:
        ModuleNotFoundError: The package reasoning-gym is not installed.
    """
    file = _cache_file("experts", seed, directory)
    experts = _read(file, Program.parse)
    # Comparing with the names in the source is enough, and saves the 0.3 s of translating it.
    if experts is not None and experts.keys() == set(re.findall(r"(?m)^def verify_(\w+)", _source())):
        return experts
    originals = published().programs
    if experts is None or experts.keys() != originals.keys():
        experts = _simplified(originals, seed, workers, progress)
        _write(file, experts, str)
    return experts


def load_inputs(
    experts: Mapping[str, Program],
    *,
    seed: int = 1,
    workers: int = 0,
    directory: Path | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> dict[str, list[Grid]]:
    """Load fresh inputs for the tasks of `experts`.

    As in `load_experts`, the first call computes them, which takes some minutes of processor time,
    and later calls read a cache file.

    Args:
        experts: Programs by task id. Inputs on which a task's program gives no grid are left out.
        seed: Seed of the generated inputs.
        workers: Processes that generate; 0 uses every core.
        directory: Directory of the cache file; by default codeit's in the user's cache.
        progress: Called as `progress(done, total)` when the inputs of a task are done.

    Returns:
        Up to INPUTS_PER_TASK distinct grids by task id, sorted by id.
    """
    file = _cache_file("inputs", seed, directory)
    inputs = _read(file, parse_grids)
    if inputs is None or inputs.keys() != experts.keys():
        ids = sorted(experts)
        jobs = [(task_id, experts[task_id], seed) for task_id in ids]
        generated: dict[str, list[Grid]] = {}
        for index, grids in map_unordered(_generate_list, jobs, workers):
            generated[ids[index]] = grids
            if progress:
                progress(len(generated), len(ids))
        inputs = dict(sorted(generated.items()))
        _write(file, inputs, format_grids)
    return inputs


def _generate_list(job: tuple[str, Program, int]) -> list[Grid]:
    return list(generate_inputs(*job))


def _simplified(
    originals: dict[str, Program], seed: int, workers: int, progress: Callable[[int, int], None] | None
) -> dict[str, Program]:
    tasks = {task.id: task for task in load_tasks("arc-agi-1/training")}
    # The longest programs come first, so that the processes end at about the same time.
    ids = sorted(originals, key=lambda task_id: -len(originals[task_id]))
    jobs = [(originals[task_id], tasks[task_id], seed) for task_id in ids]
    experts = {}
    for index, program in map_unordered(_simplify_expert, jobs, workers):
        experts[ids[index]] = program
        if progress:
            progress(len(experts), len(ids))
    return dict(sorted(experts.items()))


def _simplify_expert(job: tuple[Program, Task, int]) -> Program:
    program, task, seed = job
    inputs = [pair.input for pair in task.train] + [pair.input for pair in task.test]
    fresh = generate_inputs(task.id, program, seed)
    return simplify(program, [*inputs, *islice(fresh, _FIRST_INPUTS)], fresh, threads=1)


# --- Cache files: JSON objects of strings by task id, with their version and checksum ---


def _cache_file(name: str, seed: int, directory: Path | None) -> Path | None:
    """Return the path of a cache file, or None if the user has no home directory."""
    directory = directory or cache_directory()
    if directory is None:
        return None
    version = importlib.metadata.version("reasoning-gym")
    return directory / f"{name}-{version}-{SIMPLIFIER_VERSION}-{seed}.json"


def _checksum(texts: Mapping[str, str]) -> str:
    """Return the SHA-256 of texts by task id, independent of their order and the file's layout."""
    canonical = json.dumps(texts, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(canonical.encode()).hexdigest()


def _read(file: Path | None, parse: Callable[[str], Value]) -> dict[str, Value] | None:
    """Return the values of a file, or None if it cannot be used."""
    try:
        if file is None or not file.is_file():
            return None
        data = json.loads(file.read_text(encoding="utf-8"))
        texts = data["texts"]
        if data["version"] != file.stem or data["sha256"] != _checksum(texts):
            return None
        return {task_id: parse(text) for task_id, text in texts.items()}
    except (OSError, ValueError, KeyError, AttributeError, TypeError, RecursionError):
        return None


def _write(file: Path | None, values: Mapping[str, Value], to_text: Callable[[Value], str]) -> None:
    """Write a cache file, or log once why that is not possible."""
    if file is None:
        _warn_once(f"no cache, as there is no home directory; {SET_HOME}")
        return
    texts = {task_id: to_text(value) for task_id, value in values.items()}
    data = {"version": file.stem, "sha256": _checksum(texts), "texts": texts}
    try:
        replace_file(file, json.dumps(data, indent=0).encode())
    except OSError as error:  # without a cache the next call takes longer, nothing else
        _warn_once(f"no cache in {str(file.parent)!r}: {error.strerror}; set XDG_CACHE_HOME to another")


@cache
def _warn_once(message: str) -> None:
    """Log a warning, which goes to stderr by default. Nothing fails without a cache."""
    logging.getLogger(__name__).warning("codeit: %s, or each call makes experts anew (minutes)", message)


def format_grids(grids: Sequence[Grid]) -> str:
    """Return grids as text: digits, with a space between rows and a comma between grids."""
    return ",".join(" ".join("".join(map(str, row)) for row in grid.tolist()) for grid in grids)


def parse_grids(text: str) -> list[Grid]:
    return [Grid([[int(cell) for cell in row] for row in grid.split()]) for grid in text.split(",") if grid]
