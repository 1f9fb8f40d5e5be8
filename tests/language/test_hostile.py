"""Hostile programs and texts: with the default budget none takes 50 ms of CPU time or 64 MiB.

Run as a script, this file measures programs that it reads as JSON. Each runs in its own process
with a time limit, so that a program that does not end fails only its own test.
"""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
import time
from collections.abc import Callable
from typing import Any, NamedTuple

import pytest

from codeit import _engine
from codeit.language import CONSTANTS, Grid, ParseError, Program, run_batch

SECONDS = 0.05
MEBIBYTES = 64.0
REPEATS = 5
"""The shortest time of this many runs counts, as the machine may be busy."""
INPUT = Grid([[(7 * i + 3 * j * j) % 10 for j in range(30)] for i in range(30)])


class Builder:
    """Builds a program line by line. A call adds a line and returns its variable."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def __call__(self, function: str, *arguments: str) -> str:
        self.lines.append(f"x{len(self.lines) + 1} = {function}({', '.join(arguments)})")
        return f"x{len(self.lines)}"

    def number(self, n: int) -> str:
        """Add lines that compute `n` and return its name."""
        if n <= 10:
            return next(name for name, value in CONSTANTS.items() if value == n and type(value) is int)
        tens = self("multiply", self.number(n // 10), "TEN")
        return self("add", tens, self.number(n % 10)) if n % 10 else tens

    def pair(self, i: int, j: int) -> str:
        return self("astuple", self.number(i), self.number(j))

    def interval(self, n: int) -> str:
        """Add a range from 0 to n - 1."""
        return self("interval", "ZERO", self.number(n), "ONE")

    def canvas(self, height: int, width: int) -> str:
        return self("canvas", "ONE", self.pair(height, width))

    def odd_corner(self, height: int, width: int) -> str:
        """Add a canvas whose last cell has another colour."""
        last = self("initset", self.pair(height - 1, width - 1))
        return self("fill", self.canvas(height, width), "TWO", last)

    def places(self, height: int, width: int) -> str:
        """Add a rectangle of places."""
        return self("asindices", self.canvas(height, width))

    def bind(self, function: str, *last: str) -> str:
        """Bind the last arguments of a function."""
        for argument in reversed(last):
            function = self("rbind", function, argument)
        return function

    def moved(self, patch: str) -> str:
        """Add the patch shifted by one step in each of eight directions."""
        return self("apply", self("lbind", "shift", patch), self("neighbors", "ORIGIN"))

    def call_often(self, function: str, first: str, second: str, times: int) -> None:
        """Call a function on two values in turn. Only the sizes of the results are kept."""
        choose = self.bind("branch", first, second)
        sized = self("compose", "size", self("fork", "astuple", function, "identity"))
        self("apply", self("chain", sized, choose, "even"), self.interval(times))

    def text(self) -> str:
        return "\n".join([*self.lines, "O = canvas(ONE, UNITY)"])


PROGRAMS: dict[str, str] = {}


def hostile(*cases: Any) -> Callable[[Callable[..., object]], None]:
    """Return a decorator that adds the program a function builds, one for each case if any."""

    def add(build: Callable[..., object]) -> None:
        for case in cases or [()]:
            arguments = case if isinstance(case, tuple) else (case,)
            b = Builder()
            build(b, *arguments)
            PROGRAMS[" ".join([build.__name__, *map(str, arguments)])] = b.text()

    return add


# --- Growth ---


@hostile("combine", "vconcat", "hconcat", "astuple", "pair", "product")
def grid_with_itself(b: Builder, function: str) -> None:
    x = "I"
    for _ in range(60):
        x = b(function, x, x)


@hostile(("product", "ZERO"), ("combine", "ZERO"), ("prapply", "ZERO"))
def set_with_itself(b: Builder, function: str, item: str) -> None:
    x = b("initset", item)
    for _ in range(60):
        x = b(function, "astuple", x, x) if function == "prapply" else b(function, x, x)


@hostile("repeat", "upscale", "hupscale")
def ten_times_as_many(b: Builder, function: str) -> None:
    x = "I"
    for _ in range(60):
        x = b(function, x, "TEN")


@hostile("multiply", "add")
def large_numbers(b: Builder, function: str) -> None:
    x = "TEN"
    for _ in range(60):
        x = b(function, x, x)


@hostile("either", "combine", "astuple")
def forks_of_forks(b: Builder, function: str) -> None:
    f = "identity"
    for _ in range(18):
        f = b("fork", function, f, f)
    b(f, "I")


@hostile()
def tuples_of_pairs(b: Builder) -> None:
    x = b.interval(10)
    for _ in range(30):
        x = b("product", x, x)


@hostile()
def merged_neighbors(b: Builder) -> None:
    x = b("neighbors", "ORIGIN")
    for _ in range(100):
        x = b("mapply", "neighbors", x)


@hostile()
def merged_frontiers(b: Builder) -> None:
    b("mapply", "vfrontier", b("apply", "tojvec", b.interval(30_000)))


@hostile()
def pairs_of_grids(b: Builder) -> None:
    x = b("repeat", "I", b.number(500))
    b("prapply", "hconcat", x, x)


@hostile()
def lines_to_everywhere(b: Builder) -> None:
    x = b("prapply", "connect", b("initset", "ORIGIN"), b.places(150, 150))
    b("merge", x)
    y = b("totuple", x)
    b("merge", b("mpapply", "product", y, y))


@hostile()
def sums_of_pairs(b: Builder) -> None:
    x = b.interval(800)
    for _ in range(3):
        b("prapply", "add", x, x)


# --- Functions ---


@hostile()
def function_of_itself(b: Builder) -> None:
    f = b("fork", "apply", "identity", "initset")
    b(f, f)


@hostile()
def powers_of_powers(b: Builder) -> None:
    f = "increment"
    for _ in range(3):
        f = b("power", f, b.number(90))
    b(f, "ONE")


@hostile("compose", "chain")
def compositions(b: Builder, function: str) -> None:
    f = "identity"
    for _ in range(60):
        f = b(function, *[f] * (2 if function == "compose" else 3))
    b(f, "I")


@hostile()
def tower_of_calls(b: Builder) -> None:
    b("apply", b("power", "identity", b.number(900)), b.interval(100_000))


@hostile("lbind", "rbind", "matcher")
def bound_again(b: Builder, function: str) -> None:
    f = "equality"
    for _ in range(900):
        f = b(function, "equality", f)
    g = b("compose", f, "initset")
    b("equality", f, g)


@hostile()
def nested_values(b: Builder) -> None:
    f = b("power", "initset", b.number(900))
    x, y = b(f, "ONE"), b(f, "TWO")
    for _ in range(200):
        b("equality", x, y)
        b("greater", x, y)
    b("order", b("repeat", x, b.number(1_000)), "identity")


# --- Numbers and counts ---


@hostile("interval", "repeat", "upscale", "hupscale", "vsplit", "hsplit", "canvas")
def two_billion(b: Builder, function: str) -> None:
    n = b.number(2_000_000_000)
    if function == "interval":
        b(function, b("invert", n), n, "ONE")
    elif function == "canvas":
        b.canvas(32_767, 32_767)
    else:
        b(function, "I", n)


@hostile()
def upscaled_object(b: Builder) -> None:
    b("upscale", b("asobject", "I"), b.number(32_000))


@hostile()
def empty_parts(b: Builder) -> None:
    b.call_often(b.bind("vsplit", b.number(200_000)), "I", b("rot90", "I"), 100)


@hostile()
def far_lines(b: Builder) -> None:
    b.call_often(b("lbind", "connect", "ORIGIN"), b.pair(32_000, 32_000), b.pair(31_000, 31_000), 1_000)


@hostile("backdrop", "delta", "box", "outbox")
def far_corners(b: Builder, function: str) -> None:
    x = b("insert", b.pair(32_000, 32_000), b("initset", "ORIGIN"))
    b.call_often(function, x, b("insert", b.pair(32_000, 31_000), x), 1_000)


# --- Tuples of long tuples ---


@hostile(1_400, 20_000, 450_000)
def rows_repeated(b: Builder, width: int) -> None:
    row = b("repeat", "ONE", b.number(width))
    for _ in range(3):
        b("repeat", row, b.number(width))


@hostile()
def row_compared_often(b: Builder) -> None:
    row = b("combine", b("repeat", "ONE", b.number(100_000)), b("repeat", b.number(200), "TWO"))
    b("apply", b("compose", "size", b("lbind", "astuple", row)), b.interval(100_000))


@hostile("frontiers", "asindices", "asobject", "compress", "partition", "trim", "rot90", "hmirror", "merge")
def without_columns(b: Builder, function: str) -> None:
    b.call_often(function, b.canvas(32_767, 0), b.canvas(32_766, 0), 300_000)


@hostile("merge", "dedupe", "totuple", "compress")
def millions_of_empty_rows(b: Builder, function: str) -> None:
    x = b.canvas(32_767, 0)
    for _ in range(5):
        x = b("vconcat", x, x)
    b(function, x)


# --- Sorting and comparing ---


@hostile(200_000, 990_000)
def sorted_numbers(b: Builder, n: int) -> None:
    x = b.interval(n)
    b("order", x, "identity")
    b("order", x, "invert")


@hostile()
def sorted_with_garbage_in_memory(b: Builder) -> None:
    b("apply", b("compose", "size", b("lbind", "combine", b.interval(263_000))), b("hsplit", "I", "EIGHT"))
    b("order", b.interval(640_000), "identity")


@hostile("mostcommon", "leastcommon")
def common_sets(b: Builder, function: str) -> None:
    b(function, b("apply", "initset", b.interval(90_000)))


@hostile("mostcolor", "leastcolor", "palette", "numcolors", "asobject")
def colours_of_a_large_grid(b: Builder, function: str) -> None:
    b.call_often(function, b.canvas(1_000, 800), b.canvas(1_000, 801), 100)


@hostile()
def deduped_numbers(b: Builder) -> None:
    b("dedupe", b.interval(900_000))


@hostile()
def deduped_places(b: Builder) -> None:
    b("dedupe", b("totuple", b.places(60, 60)))


@hostile("dedupe", "mostcommon", "merge")
def tuples_with_a_common_prefix(b: Builder, function: str) -> None:
    b(function, b("apply", b("lbind", "repeat", "ORIGIN"), b("interval", "ONE", b.number(1_200), "ONE")))


@hostile("mostcommon", "dedupe", "order")
def grids_with_a_common_prefix(b: Builder, function: str) -> None:
    grids = b("combine", b("repeat", b.canvas(400, 400), "SIX"), b("repeat", b.odd_corner(400, 400), "FIVE"))
    b(function, *[grids, "identity"][: 2 if function == "order" else 1])


@hostile()
def set_of_large_sets(b: Builder) -> None:
    f = b("lbind", "shift", b.places(200, 100))
    b("apply", f, b("neighbors", "ORIGIN"))
    b("mapply", f, b("asindices", "I"))


@hostile("greater", "equality", "intersection", "difference", "combine")
def sets_within_sets(b: Builder, function: str) -> None:
    x = b.places(500, 500)
    y = b("insert", b.pair(700, 700), x)
    b.call_often(b("lbind", function, x), y, b("insert", b.pair(700, 701), x), 1_000)


@hostile("dmirror", "cmirror", "toindices", "normalize", "ulcorner", "box")
def objects_of_many_colours(b: Builder, function: str) -> None:
    x = b("asobject", b("upscale", "I", "NINE"))
    b.call_often(function, x, b("asobject", b("upscale", "I", "TEN")), 1_000)


@hostile("dmirror", "cmirror", "vmirror")
def mirrored_places(b: Builder, function: str) -> None:
    b.call_often(function, b.places(300, 300), b.places(301, 300), 1_000)


@hostile()
def unsorted_tuples(b: Builder) -> None:
    x = b("order", b.places(300, 300), b("compose", "invert", "last"))
    b.call_often(b("rbind", "adjacent", x), b("initset", "UNITY"), b("initset", "ORIGIN"), 1_000)


# --- Patches ---


@hostile("centerofmass", "ulcorner", "square", "hline", "center", "height", "corners", "vmirror", "color")
def large_patches(b: Builder, function: str) -> None:
    x, y = b.places(500, 400), b.places(500, 401)
    if function == "color":
        x, y = b("recolor", "ONE", x), b("recolor", "TWO", y)
    b.call_often(function, x, y, 400_000)


@hostile(*((f, *shape) for f in ("hperiod", "vperiod") for shape in ((1, 30_000), (10, 20_000), (500, 500))))
def nearly_periodic(b: Builder, function: str, height: int, width: int) -> None:
    b(function, b("asobject", b.odd_corner(height, width)))


@hostile("hmatching", "vmatching", "manhattan", "adjacent", "gravitate", "position")
def pairs_of_patches(b: Builder, function: str) -> None:
    x = b.places(150, 100)
    b("prapply", function, b.moved(x), b.moved(b("shift", x, b.pair(1_000, 1_000))))


@hostile("hmatching", "vmatching", "adjacent", "gravitate")
def point_far_away(b: Builder, function: str) -> None:
    x, far = b.places(200, 200), b("initset", b.pair(20_000, 20_000))
    b("prapply", function, b.moved(x), b.moved(far))
    b("prapply", function, b.moved(far), b.moved(x))


@hostile(*((f, *shape) for f in ("gravitate", "adjacent", "manhattan") for shape in ((400, 400), (400, 7))))
def rings(b: Builder, function: str, height: int, width: int) -> None:
    inner = b("shift", b("box", b.places(height, width)), b.pair(50, 50))
    b("prapply", function, b.moved(inner), b.moved(b("box", b.places(500, 500))))


@hostile()
def occurrences_nearly_everywhere(b: Builder) -> None:
    b("occurrences", b.canvas(300, 300), b("asobject", b.odd_corner(150, 150)))


@hostile()
def contained_in_much(b: Builder) -> None:
    f, x = b.bind("contained", b.places(700, 700)), b("totuple", b.places(300, 300))
    for _ in range(20):
        b("sfilter", x, b("compose", "flip", f))


@hostile()
def other_at_the_end(b: Builder) -> None:
    x = b("combine", b("repeat", "ONE", b.number(100_000)), b("repeat", "THREE", "TWO"))
    f = b("compose", "initset", b.bind("other", "ONE"))
    b.call_often(f, x, b("combine", b("repeat", "ONE", "TWO"), x), 300_000)


# --- Small calls, very often ---


@hostile("mostcolor", "leastcolor", "palette", "partition", "fgpartition", "frontiers", "compress", "trim")
def tiny_grids(b: Builder, function: str) -> None:
    b.call_often(function, b.canvas(1, 1), b.canvas(1, 2), 400_000)


@hostile(("cover", "patch"), ("underpaint", "patch"), ("move", "patch", "UNITY"), ("objects", "T", "T", "F"))
def tiny_grids_bound(b: Builder, function: str, *last: str) -> None:
    patch = b("recolor", "ONE", b("initset", "ORIGIN"))
    f = b.bind(function, *(patch if argument == "patch" else argument for argument in last))
    b.call_often(f, b.canvas(1, 1), b.canvas(1, 2), 400_000)


@hostile("initset", "neighbors", "vfrontier", "hfrontier", "sign", "size", "maximum", "first", "dedupe")
def tiny_tuples(b: Builder, function: str) -> None:
    b.call_often(function, "ORIGIN", "UNITY", 400_000)


@hostile("corners", "box", "merge", "totuple", "order", "normalize", "apply", "argmax", "outbox", "center")
def tiny_sets(b: Builder, function: str) -> None:
    one, other = b("initset", "ORIGIN"), b("initset", "UNITY")
    f = b("lbind", function, "identity") if function == "apply" else function
    f = b.bind(function, "identity") if function in ("order", "argmax") else f
    b.call_often(f, one, other, 400_000)


@hostile("rot90", "dmirror", "asobject", "palette", "compress", "partition", "asindices", "trim")
def whole_grids(b: Builder, function: str) -> None:
    b.call_often(function, "I", b("rot90", "I"), 100_000)


@hostile(("upscale", "THREE"), ("downscale", "THREE"), ("hsplit", "THREE"), ("replace", "ONE", "TWO"))
def whole_grids_bound(b: Builder, function: str, *last: str) -> None:
    b.call_often(b.bind(function, *last), "I", b("rot90", "I"), 100_000)


@hostile("TTT", "FFF", "TFF", "FTT")
def objects_of_noise(b: Builder, flags: str) -> None:
    b.call_often(b.bind("objects", *flags), "I", b("rot90", "I"), 100_000)


@hostile()
def a_thousand_lines(b: Builder) -> None:
    x = "I"
    for _ in range(990):
        x = b("rot90", x)


# --- Measuring ---


class Measure(NamedTuple):
    """What a program took."""

    kind: str
    """The kind of its outcome, or "killed" if it did not end."""
    seconds: float
    """CPU time."""
    mebibytes: float
    """Growth of the peak memory of the process."""


def run_alone(text: str) -> str:
    return Program.parse(text).run(INPUT).kind


def run_in_batch(text: str) -> str:
    """Run a program in a batch, where programs share calls."""
    programs = [Program.parse("x1 = rot90(I)\nO = rot90(x1)"), Program.parse(text)]
    outcomes = run_batch(programs, [[INPUT]] * 2, threads=1)
    return outcomes[1][0].kind


def reject(text: str) -> str:
    try:
        Program.parse(text)
    except ParseError:
        return "rejected"
    return "parsed"


MODES = {"alone": run_alone, "in a batch": run_in_batch, "reject": reject}


def measure_here(mode: str, text: str) -> Measure:
    """Measure in this process, which must be new, as only the peak of its memory is known."""
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    seconds: list[float] = []
    while len(seconds) < REPEATS and (not seconds or min(seconds) > SECONDS / 2):
        started = time.process_time()
        kind = MODES[mode](text)
        seconds.append(time.process_time() - started)
    after = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return Measure(kind, min(seconds), (after - before) / 1024)


def measure_each(jobs: dict[str, tuple[str, str]]) -> dict[str, Measure]:
    """Measure each job (mode, text) in a fork of this process with a time limit."""
    found = {}
    for name, (mode, text) in jobs.items():
        reading, writing = os.pipe()
        child = os.fork()
        if child == 0:
            resource.setrlimit(resource.RLIMIT_CPU, (3, 3))
            os.write(writing, json.dumps(measure_here(mode, text)).encode())
            os._exit(0)
        os.close(writing)
        with os.fdopen(reading) as pipe:
            answer = pipe.read()
        os.waitpid(child, 0)
        found[name] = Measure(*json.loads(answer)) if answer else Measure("killed", 3.0, 0.0)
    return found


def measure_apart(jobs: dict[str, tuple[str, str]]) -> dict[str, Measure]:
    """Measure jobs as `measure_each` does, started from a small process."""
    command = [sys.executable, __file__]
    done = subprocess.run(command, input=json.dumps(jobs), capture_output=True, text=True, check=True)
    return {name: Measure(*row) for name, row in json.loads(done.stdout).items()}


@pytest.fixture(scope="module", params=["alone", "in a batch"])
def measured(request: pytest.FixtureRequest) -> dict[str, Measure]:
    return measure_apart({name: (request.param, text) for name, text in PROGRAMS.items()})


@pytest.mark.parametrize("name", PROGRAMS)
def test_hostile_program_stays_within_time_and_memory(name: str, measured: dict[str, Measure]) -> None:
    found = measured[name]
    assert found.seconds < SECONDS and found.mebibytes < MEBIBYTES, found
    # A program that ends with a type error would never reach the expensive part.
    assert found.kind in {"grid", "steps", "cells", "depth", "overflow"}


# --- Texts ---

TEXTS = {
    "thousands of lines": "\n".join(f"x{k} = rot90(I)" for k in range(1, 9000)),
    "one line too many": "\n".join([*(f"x{k} = rot90(I)" for k in range(1, 1001)), "O = rot90(I)"]),
    "megabytes": "x1 = rot90(I)\n" * 500_000,
    "a long name": "O = " + "a" * 1_000_000 + "(I)",
    "a name as long as a text may be": "O = " + "a" * 250_000 + "(I)",
    "a long argument": "O = rot90(" + "I" * 250_000 + ")",
    "many arguments": "O = rot90(" + "I, " * 80_000 + "I)",
    "many equals signs": "O " + "=" * 250_000,
    "deep nesting": "O = " + "rot90(" * 40_000 + "I" + ")" * 10_000,
    "only parentheses": "(" * 250_000,
    "only spaces": " " * 250_000,
    "only line ends": "\n" * 250_000,
    "NUL": "O = rot90(I)\0",
    "NUL within a name": "O = rot\0" + "90(I)",
    "lone surrogates": "O = rot90(\ud800)",
    "signs of many bytes": "O = rot90(\N{PILE OF POO}" + "\N{COMBINING ACUTE ACCENT}" * 50_000,
    "Python": "O = __import__('os').system('true')",
    "a name that resembles others": "\n".join(f"x{k} = rot90(I)" for k in range(1, 1000))
    + "\nO = x9999999(I)",
}


def parse_seconds(parse: Callable[[], object]) -> float:
    times: list[float] = []
    while len(times) < REPEATS and (not times or min(times) > SECONDS / 2):
        started = time.thread_time()
        parse()
        times.append(time.thread_time() - started)
    return min(times)


@pytest.fixture(scope="module")
def measured_texts() -> dict[str, Measure]:
    return measure_apart({name: ("reject", text) for name, text in TEXTS.items()})


@pytest.mark.parametrize("name", TEXTS)
def test_hostile_text_is_rejected_within_time_and_memory(
    name: str, measured_texts: dict[str, Measure]
) -> None:
    found = measured_texts[name]
    assert found.kind == "rejected"
    assert found.seconds < SECONDS and found.mebibytes < MEBIBYTES, found
    with pytest.raises(ParseError) as failure:
        Program.parse(TEXTS[name])
    assert len(str(failure.value)) < 500


@pytest.mark.parametrize(
    "raw", [b"O = rot90(\xff)", b"\xfe\xff\0O", b"O = rot90(I\xe2\x82", b"\x80" * 200_000, b"\0" * 200_000]
)
def test_bytes_that_are_not_text_are_rejected(raw: bytes) -> None:
    def parse() -> None:
        failure = _engine.parse(raw)
        assert isinstance(failure, _engine.ParseFailure)

    assert parse_seconds(parse) < SECONDS


def test_longest_text_is_parsed_in_time() -> None:
    lines = [f"x{k} = fill(I, NEG_UNITY, x{k - 1 or 1})" for k in range(2, 1000)]
    text = "\n".join(line + " " * 220 for line in ["x1 = asindices(I)", *lines, "O = fill(I, ONE, x1)"])
    assert 200_000 < len(text) < 1 << 18
    assert parse_seconds(lambda: Program.parse(text)) < SECONDS


if __name__ == "__main__":
    json.dump(measure_each(json.loads(sys.stdin.read())), sys.stdout)


AFTER_MEMORY = """
import resource
from codeit.language import Budget, Grid, Program
program, grid = Program.parse("O = vmirror(I)"), Grid([[1, 2]])
program.run(grid)
used = int(open("/proc/self/statm").read().split()[0]) * resource.getpagesize()
limit = resource.getrlimit(resource.RLIMIT_AS)
resource.setrlimit(resource.RLIMIT_AS, (used + 2**26, limit[1]))
try:
    program.run(grid, Budget(1000, 10**9))
except MemoryError:
    resource.setrlimit(resource.RLIMIT_AS, limit)
    print("no memory, then", program.run(grid, Budget(1000, 1000)).grid)
"""


def test_engine_works_on_after_memory_ran_out() -> None:
    done = subprocess.run([sys.executable, "-c", AFTER_MEMORY], capture_output=True, text=True, timeout=60)
    assert (done.stdout, done.stderr) == ("no memory, then Grid([[2, 1]])\n", "")
