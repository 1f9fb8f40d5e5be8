"""Files for `test_any_command_line`: one of each kind that commands read, and ways to damage them."""

from __future__ import annotations

import json
import math
import os
import random
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

from hypothesis import strategies as st

from codeit.settings import MAX_INTEGER

LIMITS = {
    **{"seconds": 0.02, "programs": 30, "count": 20, "samples": 2, "depth": 2},
    **{"iterations": 1, "initial": 20, "per_iteration": 10, "programs_per_iteration": 20, "epochs": 1},
    **{"samples_per_task": 2, "max_program_tokens": 16, "expert_draws": 20, "policy_draws": 20},
    **{"d_model": 16, "d_ff": 16, "heads": 2, "layers_encoder": 1, "layers_decoder": 1},
    **{"steps": 2, "rounds_per_window": 2, "proposals_per_round": 64, "max_depth": 2},
    **{"offspring": 64, "population": 100, "max_cells": 2_000_000},
    **{"threads": 1, "workers": 1, "populations": 1},
}
"""Largest values, by name, of options and settings that say how much work to do."""
_EVERY_CORE = {"threads", "workers", "populations"}  # for these, 0 means many processes


def is_costly(name: str, value: object) -> bool:
    """Return whether a value is a valid one that makes a command work for long."""
    name = name.rpartition(".")[2].lstrip("-").replace("-", "_")
    if name == "cluster":
        return value in ("auto", "local")
    if name not in LIMITS:
        return False
    try:
        number = float(value) if isinstance(value, str | int | float) else math.nan
    except (ValueError, OverflowError):
        return False
    return LIMITS[name] < number <= MAX_INTEGER or (number == 0 and name in _EVERY_CORE)


PAIR = {"input": [[1, 2], [3, 4]], "output": [[3, 4], [1, 2]]}
TASKS = {
    "down": {"train": [PAIR, PAIR], "test": [PAIR]},
    "left": {"train": [{"input": [[1, 2], [3, 4]], "output": [[2, 1], [4, 3]]}], "test": [PAIR]},
}
POLICY = """
[policy]
init = "random"
encoding = "runs"
device = "cpu"
d_model = 8
d_ff = 8
heads = 1
layers_encoder = 1
layers_decoder = 1
"""
SMALL = f"""
[run]
iterations = 1
threads = 1
[mutation]
initial = 10
[evolution]
programs = 20
programs_per_iteration = 20
{POLICY}max_program_tokens = 8
[sampling]
samples_per_task = 2
[replay]
expert_draws = 4
policy_draws = 4
"""
PRETRAIN = f"""
[corpus]
proposals_per_round = 64
max_depth = 1
{POLICY}[pretraining]
steps = 1
rounds_per_window = 1
threads = 1
"""


def make_files(folder: Path, codeit: Callable[..., Any]) -> list[str]:
    """Make one of each kind of file and directory that commands read; return all names.

    `codeit` runs a command in the current directory, which must be `folder`.
    """
    (folder / "tasks").mkdir()
    for task_id, task in TASKS.items():
        (folder / "tasks" / f"{task_id}.json").write_text(json.dumps(task))
    (folder / "task.json").write_text(json.dumps(TASKS["down"]))
    (folder / "arc_challenges.json").write_text(json.dumps(TASKS))
    outputs = {task_id: [PAIR["output"]] for task_id in TASKS}
    (folder / "arc_solutions.json").write_text(json.dumps(outputs))
    (folder / "program.txt").write_text("x1 = vmirror(I)\nO = hmirror(x1)\n")
    rows = [{"task": "down", "program": "O = hmirror(I)", "votes": 3}, {"task": "left", "program": "O = I"}]
    (folder / "found.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    (folder / "small.toml").write_text(SMALL)
    (folder / "extending.toml").write_text('extends = "small.toml"\n[run]\nseed = 1\n')
    (folder / "pretrain.toml").write_text(PRETRAIN)
    for arguments in (
        "run small.toml --out run",
        "pretrain pretrain.toml --out pretraining",
        "search --out search --programs 30 --workers 1",
        "baseline --out baseline --count 20 --threads 1",
        "evaluate-policy pretraining/policy --out evaluation --samples 2 --threads 1",
        "mutate --count 20 --out mutants.jsonl --threads 1",
        "submit arc_challenges.json --out submission.json --seconds 0.5 --policy none --workers 1",
        "report search --out page.html --threads 1",
    ):
        ended = codeit(*arguments.split())
        assert ended.code in (0, None), ended
    shutil.copytree(folder / "pretraining" / "policy", folder / "policy")
    shutil.copytree(folder / "search", folder / "published", ignore=lambda *_: ["search.sqlite", "lock"])
    shutil.rmtree(folder / "run" / "tensorboard")
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*"))


FILES = [
    *("tasks", "tasks/down.json", "task.json", "arc_challenges.json", "arc_solutions.json", "program.txt"),
    *("found.jsonl", "mutants.jsonl", "page.html", "small.toml", "extending.toml", "pretrain.toml"),
    *("submission.json", "submission.json.search", "submission.json.search/search.sqlite"),
    *("run", "run/config.toml", "run/run.sqlite", "run/metrics.csv", "run/solutions.jsonl"),
    *("run/checkpoints", "run/checkpoints/0001", "run/checkpoints/0001/policy.json"),
    *("run/checkpoints/0001/model.safetensors", "run/checkpoints/0001/checksums.json"),
    *("search", "search/search.sqlite", "search/curve.csv", "search/curve.svg", "search/solutions.jsonl"),
    *("baseline", "baseline/search.sqlite", "baseline/curve.csv", "baseline/solutions.jsonl", "search/lock"),
    *("evaluation", "evaluation/search.sqlite", "evaluation/counts.json", "published/curve.csv"),
    *(
        "policy",
        "policy/policy.json",
        "policy/config.json",
        "policy/model.safetensors",
        "policy/tokenizer.json",
    ),
    *("pretraining", "pretraining/config.toml", "pretraining/progress.csv", "pretraining/checkpoints"),
]
"""What `make_files` makes and a `Change` may damage."""


class Change(NamedTuple):
    """A fault of a file."""

    file: str
    kind: str
    seed: int
    """Chooses what exactly is changed."""


_BYTES: dict[str, Callable[[bytes, random.Random], bytes]] = {
    "truncated": lambda data, rng: data[: rng.randrange(len(data) + 1)],
    "empty": lambda data, rng: b"",
    "binary": lambda data, rng: rng.randbytes(100),
    "flipped": lambda data, rng: _flipped(data, rng),
    "with a byte order mark": lambda data, rng: b"\xef\xbb\xbf" + data,
    "with CRLF": lambda data, rng: data.replace(b"\n", b"\r\n"),
    "in UTF-16": lambda data, rng: data.decode("latin-1").encode("utf-16"),
    "with Latin-1 text": lambda data, rng: data.replace(b'"', b'"\xe9', 1),
    "of another program": lambda data, rng: b"PK\x03\x04" + data,
}
_OTHERS = ["gone", "a directory", "a file", "a dangling link", "a link to itself", "a pipe"]
_ODD = [
    *(None, True, 0, -1, 1.5, 1e308, math.nan, math.inf, 2**63, 10**30, "", "x", "é\u202e\x1b", "\ud800"),
    *(
        [],
        {},
        [[]],
        [[0]],
        [[10]],
        {"": {}},
        {"train": []},
        [{}],
        ["x"],
        9.5,
        -(2**63),
        "O = I",
        [[1, 2], [3]],
    ),
]


def changes() -> st.SearchStrategy[list[Change]]:
    """Return a strategy for faults of files, mostly of one file."""
    kinds = st.sampled_from(["value"] * 6 + [*_BYTES, *_OTHERS])
    change = st.builds(Change, st.sampled_from(FILES), kinds, st.integers(0, 2**32))
    return st.sampled_from([0, 1, 1, 1, 2]).flatmap(lambda n: st.lists(change, min_size=n, max_size=n))


def apply(change: Change, folder: Path) -> None:
    """Make a fault."""
    path, rng = folder / change.file, random.Random(change.seed)
    if not path.parent.is_dir():  # after another fault
        return
    if change.kind in _OTHERS:
        content = path.read_bytes() if path.is_file() else b"{}"
        shutil.rmtree(path) if path.is_dir() else path.unlink(missing_ok=True)
        _OTHER[change.kind](path, content)
    elif path.is_file() and not path.is_symlink():
        make = _BYTES.get(change.kind) or (lambda data, rng: _with_odd_value(path.suffix, data, rng))
        path.write_bytes(make(path.read_bytes(), rng))


_OTHER: dict[str, Callable[[Path, bytes], object]] = {
    "gone": lambda path, content: None,
    "a directory": lambda path, content: path.mkdir(),
    "a file": lambda path, content: path.write_bytes(content),
    "a dangling link": lambda path, content: path.symlink_to("nowhere"),
    "a link to itself": lambda path, content: path.symlink_to(path.name),
    "a pipe": lambda path, content: os.mkfifo(path),
}


def _flipped(data: bytes, rng: random.Random) -> bytes:
    changed = bytearray(data)
    for _ in range(rng.choice([1, 1, 10])):
        if data:
            changed[rng.randrange(len(data))] ^= 1 << rng.randrange(8)
    return bytes(changed)


def _with_odd_value(suffix: str, data: bytes, rng: random.Random) -> bytes:
    """Return the contents of a file with one value replaced by another, of another type or size."""
    if suffix == ".json":
        return _changed_json(data, rng)
    lines = data.splitlines(keepends=True) or [b""]
    place = rng.randrange(len(lines))
    line = lines[place]
    if suffix == ".jsonl":
        lines[place] = _changed_json(line, rng) + b"\n"
    elif suffix == ".toml" and b" = " in line:
        name = line.split(b" = ")[0].decode()
        odd = rng.choice([value for value in _ODD if not is_costly(name, value)])
        lines[place] = (
            f"{name} = {rng.choice([_dumps(odd, rng).decode(), 'nan', '2020-01-01', 'x'])}\n".encode()
        )
    elif suffix == ".csv":
        cells = line.rstrip(b"\n").split(b",")
        cells[rng.randrange(len(cells))] = rng.choice(
            [b"", b"x", b"nan", b"-1", b"1e999", b'"', b"9" * 5000, b","]
        )
        lines[place] = b",".join(cells) + b"\n"
    return b"".join(lines)


def _changed_json(text: bytes, rng: random.Random) -> bytes:
    try:
        return _dumps(_changed(json.loads(text), rng), rng)
    except (ValueError, RecursionError):  # an earlier fault
        return text


def _changed(value: Any, rng: random.Random) -> Any:
    """Return a JSON value that differs in one place, at any depth."""
    if not isinstance(value, list | dict) or not value or rng.random() < 0.15:
        return rng.choice(_ODD)
    copy = value.copy()
    place = rng.choice(list(value) if isinstance(value, dict) else range(len(value)))
    match rng.randrange(8):
        case 0:
            del copy[place]
        case 1 if isinstance(copy, dict):
            copy[rng.choice(["", "é", "\ud800", "train"])] = copy.pop(place)
        case 1:
            copy.append(copy[place])
        case _:
            copy[place] = _changed(value[place], rng)
    return copy


def _dumps(value: Any, rng: random.Random) -> bytes:
    """Return JSON: sometimes with a key twice, or nested too deeply."""
    text = json.dumps(value)
    if isinstance(value, dict) and value and rng.random() < 0.05:
        key = json.dumps(rng.choice(list(value)))
        text = f"{text[:-1]}, {key}: 1}}"
    if rng.random() < 0.03:
        text = text.replace("1", "[" * 2000 + "]" * 2000, 1)
    return text.encode()
