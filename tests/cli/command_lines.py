"""Command lines for `test_any_command_line`: valid ones, and valid ones with a few faults.

Commands, options and settings come from the application, so that new ones are covered. No value is
drawn that makes a command run for long (see `command_files.LIMITS`).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from command_files import FILES, LIMITS, is_costly
from cyclopts import App
from cyclopts.argument import Argument
from hypothesis import strategies as st

from codeit.cli.main import app
from codeit.config import PretrainingSettings, RunSettings, SearchSettings, SolveSettings
from codeit.settings import Settings, describe

SETTINGS: dict[str, type[Settings]] = {
    "run": RunSettings,
    "pretrain": PretrainingSettings,
    "search": SearchSettings,
    "solve": SolveSettings,
}
"""The settings that a command takes as options with dotted names."""

TASK_SETS = ["tasks", "task.json", "arc_challenges.json", "arc-agi-1/evaluation", "arc-agi-1/training"]
RUNS = ["run", "search", "baseline", "evaluation", "published", "submission.json.search"]
GOOD = {
    "PUZZLE": [*TASK_SETS, "down"],
    "CHALLENGES": TASK_SETS,
    "CONFIG": ["small.toml", "extending.toml"],
    "DIR": ["run"],
    "RUN": RUNS,
    "PROGRAM": ["O = vmirror(I)", "program.txt", "found.jsonl", "run/solutions.jsonl", "run"],
    "TASK": ["down", "task.json"],
    "FILE": ["found.jsonl", "mutants.jsonl", "run/solutions.jsonl"],
    **dict.fromkeys(["FIRST", "SECOND", "--tasks", "--train", "data.train", "data.test"], TASK_SETS),
    **{name: ["policy", "pretraining/policy"] for name in ("POLICY", "--policy", "policy.init")},
    "--task": ["down", "left"],
    "DATA_SET": ["arc-agi-2"],
    "--to": ["python", "text", "html", "json"],
    "--html": ["new.html", "page.html"],
    "--out": ["new", "new", *RUNS, "pretraining", "mutants.jsonl", "page.html", "submission.json"],
}
"""Values of positional arguments, options and settings that name something."""
BAD = [
    *("", " ", "-", "--", "-1", "0", "1.5", "nan", "inf", "-inf", "1e400", "9" * 19, "9" * 30, "9" * 5000),
    *("true", "none", "auto", "cuda:99", "0x10", "1_0", "[1]", "[" * 3000, "{}", '"', "'''", "#", "=", "a=b"),
    *("é", "\udcff", "\x1b[31m", "\u202e", "a" * 300, "a/" * 3000, "/", "..", ".", "~", "nowhere/x"),
    "/dev/full",
]


class Command(NamedTuple):
    name: str
    arguments: tuple[Argument, ...]


def commands(group: App = app, chain: tuple[str, ...] = ()) -> Iterator[Command]:
    """Yield the commands of the application with their arguments."""
    names = [name for name in group if not name.startswith("-")]
    for name in names:
        yield from commands(group[name], (*chain, name))
    if not names:
        yield Command(" ".join(chain), tuple(group.assemble_argument_collection()))


COMMANDS = list(commands())


# --- Command lines ---


def values(name: str, default: object) -> st.SearchStrategy[str]:
    """Return a strategy for values of an argument or a setting, mostly good ones."""
    short = name.rpartition(".")[2].lstrip("-").replace("-", "_")
    if name in GOOD:
        good = GOOD[name]
    elif short in LIMITS:
        good = [str(LIMITS[short]), "1"]
    else:
        good = [str(default).lower() if isinstance(default, bool) else str(default), "1", "0"]
    everything = [*good, *BAD, *(file for files in GOOD.values() for file in files), *FILES]
    bad = st.one_of(st.sampled_from(everything), st.text(st.characters(exclude_characters="\0"), max_size=5))
    value = st.integers(0, 9).flatmap(lambda k: st.sampled_from(good) if k else bad)
    return value.filter(lambda text: not is_costly(name, text))


@st.composite
def command_lines(draw: st.DrawFn) -> list[str]:
    """Draw the arguments of `codeit`: a command with good arguments, of which a few get a fault."""
    command = draw(st.sampled_from(COMMANDS))
    groups = [group for argument in command.arguments for group in draw(_argument(command.name, argument))]
    for _ in range(draw(st.sampled_from([0, 0, 0, 1, 2]))):
        _break(draw, groups)
    return [*command.name.split(), *(text for group in groups for text in group)]


@st.composite
def _argument(draw: st.DrawFn, command: str, argument: Argument) -> list[list[str]]:
    """Draw the texts of an argument: none if it is left out, several for settings and lists."""
    name, default = argument.name, argument.field_info.default
    if name == "--[KEYWORD]":
        return draw(st.lists(_setting(SETTINGS[command]), max_size=3))
    if name == "RUN":
        return [[value] for value in draw(st.lists(values(name, ""), min_size=1, max_size=3))]
    needed = argument.required or name.lstrip("-") in LIMITS
    if (command, name) == ("submit", "--programs"):  # not together with --seconds
        needed = False
    if not needed and draw(st.integers(0, 2)):
        return []
    if argument.hint is bool:
        return [[name]]
    if command == "pretrain" and name == "CONFIG":
        return [[draw(st.sampled_from(["pretrain.toml", "pretrain.toml", "small.toml"]))]]
    value = draw(values(name, default))
    if not name.startswith("-"):
        return [[value]]
    return [draw(st.sampled_from([[name, value], [name, value], [f"{name}={value}"]]))]


@st.composite
def _setting(draw: st.DrawFn, settings: type[Settings]) -> list[str]:
    """Draw `--section.key value`, mostly of a setting that there is."""
    key, _, default = draw(st.sampled_from(list(describe(settings))))
    value = draw(values(key, default))
    if not draw(st.integers(0, 9)):
        section, _, name = key.rpartition(".")
        wrong = [section, name, f"{key}.x", f"{section}.x", f"{name}.x", f"{section}..x", f".{name}"]
        key = draw(st.sampled_from(wrong))
    if draw(st.booleans()):
        key = key.replace("_", "-")
    return [f"--{key}={value}"] if draw(st.booleans()) else [f"--{key}", value]


def _break(draw: st.DrawFn, groups: list[list[str]]) -> None:
    """Make a mistake in a command line."""
    place = draw(st.integers(0, len(groups)))
    group = groups[place] if place < len(groups) else []
    name, _, _ = group[0].partition("=") if group else ("", "", "")
    match draw(st.sampled_from(["insert", "double", "misspell", "drop the value", "shorten"])):
        case "insert":
            more = ["--", "-x", "--x", "--no-json", "--help", "--version", "--.", "x", *BAD]
            groups.insert(place, [draw(st.sampled_from(more))])
        case "double":
            groups.insert(place, list(group))
        case "misspell" if name.startswith("--"):
            groups[place] = [f"{name}s", *group[1:]] if draw(st.booleans()) else [f"-{name}", *group[1:]]
        case "drop the value" if len(group) == 2:
            groups[place] = [name]
        case "shorten" if len(name) > 3:
            groups[place] = [name[:-1], *group[1:]]
