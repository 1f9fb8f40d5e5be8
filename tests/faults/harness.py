"""Tries faults in commands, and checks what they leave and that the same command then continues."""

from __future__ import annotations

import gc
import importlib
import os
import pkgutil
import re
import shutil
import subprocess
from collections import defaultdict
from collections.abc import Iterator, Sequence
from functools import cache
from pathlib import Path
from typing import NamedTuple

from faults.commands import COMMANDS, Command, start_worker_server, use_few_experts, write_inputs
from faults.results import SQLITE_SUFFIXES, Result, digest, read_result, unfinished_files
from faults.trial import Call, Ended, Fault, Kind, Point

import codeit
import codeit.data.tasks

FOREIGN = {"notes.txt": "mine\n", "other/data.json.partial": "also mine\n"}
"""Files in the watched directory that no command may touch."""
OLD = {
    ".json": '{"old": true}\n',
    ".jsonl": '{"old": true}\n',
    ".html": "<!DOCTYPE html><html></html>\n",
    ".py": "old = True\n",
}
"""Contents of files that a command replaces."""


class Trial(NamedTuple):
    """A fault, or several one after the other, before the command is called again without one."""

    faults: tuple[tuple[Fault, int], ...]

    def __str__(self) -> str:
        return ", then ".join(f"{fault.name} at {point}" for fault, point in self.faults)


class Verdict(NamedTuple):
    """What became of a trial."""

    ended: str
    """How the (first) call with a fault ended: killed, error, or completed."""
    problems: list[str]


def compile_shim(directory: Path) -> Path:
    """Compile faults.c, which the dynamic linker must load before anything else."""
    library = directory / "libfaults.so"
    source = Path(__file__).with_name("faults.c")
    compiler = os.environ.get("CC", "cc")
    subprocess.run([compiler, "-O1", "-shared", "-fPIC", "-o", library, source, "-ldl"], check=True)
    return library


class Bench:
    """A directory with all that the commands read, in a process that has imported what they do."""

    def __init__(self, directory: Path) -> None:
        self.scratch, self.inputs, self.out = directory, directory / "inputs", directory / "out"
        self.inputs.mkdir()
        use_few_experts()
        start_worker_server()
        write_inputs(self.inputs)
        os.environ["XDG_CACHE_HOME"] = str(directory / "cache")
        codeit.data.tasks._load_named = cache(codeit.data.tasks._load_named)
        codeit.data.tasks.load_tasks("arc-agi-1/training")
        codeit.data.experts.load_experts(workers=1)
        learning = re.compile(r"codeit\.(__main__|_engine|loop|policy\..*|experiments\.policy_evaluation)")
        for module in pkgutil.walk_packages(codeit.__path__, "codeit."):
            if not learning.fullmatch(module.name):
                importlib.import_module(module.name)

    def prepare(self, name: str) -> Subject:
        """Call a command without a fault, to learn what it writes and its points."""
        command = COMMANDS[name]
        for module in command.needs:
            importlib.import_module(module)
        if command.prepare:
            command.prepare(self.inputs)
        call = Call(command.arguments(self.out, self.inputs), self.out, self.scratch)
        subject = Subject(self, name, command, call, [], {})
        subject.start()
        ended = call.run()
        assert ended.code == command.code, (name, ended)
        gc.freeze()  # children do not copy the pages of what is collected
        return subject._replace(points=ended.points, golden=read_result(self.out))


class Subject(NamedTuple):
    """A command, its points, and its result without a fault."""

    bench: Bench
    name: str
    command: Command
    call: Call
    points: list[Point]
    golden: Result

    def start(self) -> None:
        """Empty the watched directory, except for what is there before the command is called."""
        out = self.bench.out
        shutil.rmtree(out, ignore_errors=True)
        out.mkdir()
        for name, text in FOREIGN.items():
            (out / name).parent.mkdir(exist_ok=True)
            (out / name).write_text(text)
        for name in self.command.old:
            (out / name).write_text(OLD[Path(name).suffix])
        if self.command.first:
            arguments = self.command.first.format(out=out, inputs=self.bench.inputs).split()
            ended = Call(arguments, out, self.bench.scratch).run()
            assert ended.code == self.command.code, ended

    def try_faults(self, trial: Trial) -> Verdict:
        """Call the command with each fault, then without one."""
        self.start()
        problems: list[str] = []
        how = ""
        for fault, number in trial.faults:
            ended = self.call.run(fault, number)
            found, problem = self._check_fault(fault, number, ended)
            how = how or found
            problems += problem
        problems += self._check_continued(self.call.run())
        return Verdict(how, problems)

    def _check_fault(self, fault: Fault, number: int, ended: Ended) -> tuple[str, list[str]]:
        """Return how a call with a fault ended, and what is wrong with that."""
        problems = [f"not whole after the fault: {one}" for one in self._unfinished()]
        last = (ended.stderr.splitlines() or [""])[-1]
        if ended.killed and fault in (Fault.KILL, Fault.TORN):
            return "killed", problems
        removes_leftovers = fault in (Fault.FULL, Fault.EIO_ONCE) and (
            number < len(self.points) and self.points[number].operation not in ("unlink", "rmdir")
        )
        if removes_leftovers:
            problems += [f"left behind: {one}" for one in self._partial()]
        if fault not in (Fault.KILL, Fault.TORN) and not ended.points:
            problems.append("the fault did not happen")
        if ended.hung:
            return "hung", [*problems, "the call does not end"]
        if ended.code == self.command.code and "Traceback" not in ended.stderr:
            found = read_result(self.bench.out)
            return "completed", [*problems, *self._differences(found, "completed, but ")]
        if ended.code != 2 or "Traceback" in ended.stderr:
            problems.append(f"exit code {ended.code}: {ended.stderr[-3000:]}")
        elif ended.stderr.count("codeit: ") != 1 or not last.startswith("codeit: "):
            problems.append(f"expected one line of error: {ended.stderr}")
        elif str(self.bench.out) not in last:
            problems.append(f"the error names no file: {last}")
        return "error", problems

    def _check_continued(self, ended: Ended) -> list[str]:
        if ended.hung or ended.code != self.command.code or "Traceback" in ended.stderr:
            return [f"does not continue: exit code {ended.code}: {ended.stderr[-3000:]}"]
        left = [path.name for path in self.bench.out.rglob("*") if path.name.endswith(SQLITE_SUFFIXES)]
        differences = self._differences(read_result(self.bench.out), "continued, but ")
        return [*differences, *(f"continued, but left {name} behind" for name in left)]

    def _differences(self, found: Result, prefix: str) -> list[str]:
        names = sorted({*found, *self.golden})
        return [
            f"{prefix}{name}: expected {_short(self.golden, name)}, found {_short(found, name)}"
            for name in names
            if (name in found, found.get(name)) != (name in self.golden, self.golden.get(name))
        ]

    def _unfinished(self) -> list[str]:
        """Return the files that are not whole, and those that are neither the old nor the new one."""
        problems = unfinished_files(self.bench.out)
        for name in self.command.old:
            old = digest(OLD[Path(name).suffix].encode())
            if digest((self.bench.out / name).read_bytes()) not in (old, self.golden[name]):
                problems.append(f"{name}: neither the old file nor the new one")
        return problems

    def _partial(self) -> list[str]:
        found = (str(path.relative_to(self.bench.out)) for path in self.bench.out.rglob("*.partial"))
        return [name for name in found if name not in FOREIGN]

    def choose(self, per_fault: int, *, all_roles: bool = True) -> Iterator[Trial]:
        """Yield trials of every fault: at all points if they are few, else at `per_fault` or fewer.

        With `all_roles`, there are more if it takes more to meet every `role` of the points.
        """
        for fault in (Fault.KILL, Fault.TORN, Fault.FULL, Fault.EIO_ONCE):
            at = self._points_of(fault)
            of_roles = set(self._one_of_each_role(at)) if all_roles else set[int]()
            more = every(at, max(per_fault - len(of_roles), 0))
            yield from (Trial(((fault, k),)) for k in sorted(of_roles | set(more)))
        for fault in (Fault.EIO_ON, Fault.READ_ONLY, Fault.FORBIDDEN):  # go on: fewer points differ
            yield from (Trial(((fault, k),)) for k in every(self._points_of(fault), -(-per_fault // 3)))
        n = len(self.points)
        for k in every(range(n), -(-per_fault // 3)):
            yield Trial(((Fault.KILL, k), (Fault.KILL, (7 * k + 3) % n)))

    def _points_of(self, fault: Fault) -> list[int]:
        return [k for k, point in enumerate(self.points) if _concerns(fault, point)]

    def _one_of_each_role(self, at: Sequence[int]) -> Iterator[int]:
        of_role: defaultdict[tuple[str, str], list[int]] = defaultdict(list)
        for k in at:
            of_role[role(self.points[k].operation, self.points[k].path)].append(k)
        return (found[len(found) // 2] for found in of_role.values())


def every(at: Sequence[int], n: int) -> list[int]:
    """Return n items of a sequence at equal distances, or all of them."""
    return [at[(2 * k + 1) * len(at) // (2 * n)] for k in range(n)] if len(at) > n else list(at)


def role(operation: str, path: str) -> tuple[str, str]:
    """Return an operation and what it is done to, without numbers, random names and equal files."""
    path = re.sub(r"events\.out.*", "events", re.sub(r"\d+", "N", path))
    if "checkpoints/N" in path or "policy.partial/" in path:
        name = re.sub(r"\.tmp\w+", "*.safetensors", Path(path).name)
        name = name if name == "tokenizer.json" else re.sub(r".*\.json", "*.json", name)
        return operation, name if operation in ("create", "write", "resize") else "checkpoint"
    return operation, path


def _concerns(fault: Fault, point: Point) -> bool:
    if fault is Fault.TORN:
        return point.operation == "write"
    if fault is Fault.FULL:
        return point.kind in (Kind.GROWING_DATA, Kind.CREATE)
    if fault is Fault.READ_ONLY:
        return point.kind is not Kind.SYNC
    if fault is Fault.FORBIDDEN:
        return point.kind in (Kind.CREATE, Kind.OPEN, Kind.NAMES)
    return True


def _short(result: Result, name: str) -> str:
    return repr(result[name])[:300] if name in result else "no such file"
