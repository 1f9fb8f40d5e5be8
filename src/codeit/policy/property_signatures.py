"""Demonstrations as property signatures (Odena and Sutton 2020, arXiv 2002.09030).

A property is a statement about the inputs and outputs of a task, such as "the output is the input
mirrored" or "exactly the cells inside the objects change". Most properties compare the grid that a
short program makes of the input with the output. The signature of a task lists the properties that
hold for all of its demonstrations. A small network then need not learn to see them in grids.
The idea is Odena and Sutton's, the properties are ours. They depend only on the demonstrations.

Each property has a word in the vocabulary, such as `hmirror(I)=equal`: the program mirrors the input,
and what it gives equals the output. The words of one subject (a way to find objects, a colour, …)
form a token, so that a token here is a bag of words.

The shipped weights depend on the words and on their order. To try other properties, change the
tables below and pre-train a policy anew (`codeit pretrain pretrain`).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache

import numpy as np

from codeit.config import SIGNATURE_STEPS
from codeit.language import Budget, Grid, Program, evaluate, run_batch
from codeit.policy.grid_tokens import MAX_SIDE, Demonstrations, Tokens

WORDS_PER_TOKEN = 16
"""Most properties in a token. A subject with more takes several tokens."""
_BUDGET = Budget(steps=SIGNATURE_STEPS)
_NEAR = 0.8
"""Smallest share of common cells at which two grids or sets of cells are "near" each other."""

# --- Programs ---
#
# Lines are separated by `;`. `$` is the value of the line before, x1 that of the first line. The
# texts are words of the tokenizer's vocabulary (weights/tokenizer.json). The shipped weights depend
# on each of them and on their order.

_DIRECTIONS = ["UP", "DOWN", "LEFT", "RIGHT"]
_OBJECTS = [
    *("objects(I,T,F,T)", "objects(I,T,T,T)", "objects(I,F,F,T)", "objects(I,F,T,T)", "objects(I,T,F,F)"),
    "fgpartition(I)",
]
_CELLS_OF_OBJECTS = [
    "merge($)",
    *(f"{select}($,{key})" for select in ("argmax", "argmin") for key in ("size", "height", "width")),
    *(f"mapply({f},$)" for f in ("delta", "box", "outbox", "inbox", "backdrop", "corners")),
    *(f"mfilter($,{condition})" for condition in ("square", "hline", "vline")),
]
_ONE_OBJECT = [
    "merge($)",
    *(
        f"{select}($,{key})"
        for key in ("size", "height", "width", "numcolors", "uppermost", "leftmost")
        for select in ("argmax", "argmin")
    ),
]
_CELLS = [
    *("leastcolor(I);ofcolor(I,$)", "mostcolor(I);ofcolor(I,$)", "ofcolor(I,ZERO)"),
    "fgpartition(I);merge($)",
]
_CELLS_OF_CELLS = [
    *(f"{f}($)" for f in ("identity", "box", "backdrop", "delta", "outbox", "inbox", "corners")),
    *(f"{f}($)" for f in ("hmirror", "vmirror")),
    *(
        f"toindices($);mapply({f},$)"
        for f in ("neighbors", "dneighbors", "ineighbors", "vfrontier", "hfrontier")
    ),
    *(f"shift($,{direction})" for direction in _DIRECTIONS),
]
_COLOURS = ["ZERO", "ONE", "TWO", "THREE", "FOUR", "FIVE", "SIX", "SEVEN", "EIGHT", "NINE"]
_MIRRORS = ["hmirror(I)", "vmirror(I)", "dmirror(I)", "cmirror(I)", "rot90(I)", "rot180(I)", "rot270(I)"]
_HALVES = ["tophalf", "bottomhalf", "lefthalf", "righthalf"]

CHANGES: dict[str, list[str]] = {
    **{
        root: [
            *(f"{root};{rest}" for rest in _CELLS_OF_OBJECTS),
            f"rbind(bordering,I);{root};mfilter($,x1)",
            f"rbind(bordering,I);compose(flip,$);{root};mfilter($,x2)",
        ]
        for root in _OBJECTS
    },
    **{
        root: [
            *(f"{root};{rest}" for rest in _CELLS_OF_CELLS),
            *(f"rbind(shoot,{direction});{root};toindices($);mapply(x1,$)" for direction in _DIRECTIONS),
        ]
        for root in _CELLS
    },
    "colours": [f"ofcolor(I,{colour})" for colour in _COLOURS[1:]],
    "whole": [
        *("asindices(I);box($)", "asindices(I);corners($)", "frontiers(I);merge($)"),
        *("asindices(I);inbox($)", "asindices(I);shift($,UNITY)"),
    ],
}
"""Programs that return cells, by subject. They are compared with the cells that change.

Used where input and output have the same shape in all demonstrations.
"""

OUTPUTS: dict[str, list[str]] = {
    "itself": ["identity(I)"],
    "covered": [
        *(f"{root};{select}($,size);cover(I,$)" for root in _OBJECTS for select in ("argmax", "argmin")),
        *(
            f"{_OBJECTS[0]};{select}($,size);move(I,$,{direction})"
            for select in ("argmax", "argmin")
            for direction in _DIRECTIONS
        ),
    ],
    "mirrored": [
        *_MIRRORS,
        *(f"{mirror};asobject($);underpaint(I,$)" for mirror in _MIRRORS),
        *(f"{mirror};cellwise(I,$,ZERO)" for mirror in _MIRRORS),
    ],
    "recoloured": [
        *("mostcolor(I);leastcolor(I);switch(I,x1,x2)", "mostcolor(I);leastcolor(I);replace(I,x2,x1)"),
        *(f"replace(I,{colour},ZERO)" for colour in _COLOURS[1:]),
    ],
}
"""Programs that return a grid, by subject. It is compared with the output.

Used where input and output have the same shape in all demonstrations.
"""

SHAPES: dict[str, list[str]] = {
    **{
        root: [
            *(f"{root};{rest};subgrid($,I)" for rest in _ONE_OBJECT),
            *(
                f"{root};totuple($);apply(normalize,$);{select}($);shape($);canvas(ZERO,$);paint($,x4)"
                for select in ("mostcommon", "leastcommon")
            ),
        ]
        for root in _OBJECTS
    },
    "cells": [f"{root};subgrid($,I)" for root in (*_CELLS, *(f"ofcolor(I,{c})" for c in _COLOURS[1:]))],
    "parts": [
        *_MIRRORS,
        *("compress(I)", "trim(I)"),
        *(f"{half}(I)" for half in _HALVES),
        *(f"{a}(I);{b}($)" for a in _HALVES[:2] for b in _HALVES[2:]),
        *(
            f"{cut}(I,{n});{end}($)"
            for cut in ("hsplit", "vsplit")
            for n in ("TWO", "THREE", "FOUR")
            for end in ("first", "last")
        ),
        *(f"downscale(I,{n})" for n in ("TWO", "THREE", "FOUR", "FIVE")),
        "lefthalf(I);righthalf(I);cellwise(x1,x2,ZERO)",
        "tophalf(I);bottomhalf(I);cellwise(x1,x2,ZERO)",
        *(f"canvas(ZERO,{shape})" for shape in ("UNITY", "TWO_BY_TWO", "THREE_BY_THREE")),
    ],
    "larger": [
        *(f"{f}(I,{n})" for f in ("upscale", "hupscale", "vupscale") for n in ("TWO", "THREE", "FOUR")),
        *(f"{join}(I,I)" for join in ("hconcat", "vconcat")),
        *(
            f"{mirror};{join}({ends})"
            for mirror in ("hmirror(I)", "vmirror(I)", "rot180(I)")
            for join in ("hconcat", "vconcat")
            for ends in ("I,$", "$,I")
        ),
        *("hconcat(I,I);vconcat($,$)", "shape(I);multiply($,$);canvas(ZERO,$)"),
    ],
}
"""Programs that return a grid, by subject. It is compared with the output.

Used where input and output differ in shape in at least one demonstration.
"""

_RATIOS = {1 / 5: "1/5", 1 / 4: "1/4", 1 / 3: "1/3", 1 / 2: "1/2", **{float(n): str(n) for n in range(1, 6)}}


class PropertySignatures:
    """The signature of a task as tokens, one token per subject."""

    def __init__(self) -> None:
        words = [
            *(f"{text}={how}" for text in _texts(CHANGES) for how in ("same", "near", "within", "around")),
            *(f"{text}={how}" for text in _texts(OUTPUTS) for how in ("equal", "closer")),
            *(f"{text}={how}" for text in _texts(SHAPES) for how in ("equal", "near", "shape")),
        ]
        colours = ("input", "output", "gained", "lost", "from", "to", "only-from", "only-to")
        words += [f"{fact}={colour}" for fact in colours for colour in range(10)]
        words += [f"{side}={n}" for side in ("height", "width") for n in range(1, MAX_SIDE + 1)]
        words += [
            f"{side}=x{ratio}"
            for side in ("height", "width")
            for ratio in (*_RATIOS.values(), "less", "more")
        ]
        words += [f"shapes={how}" for how in ("same", "other", "transposed", "square")]
        self.words = list(dict.fromkeys(words))

    def encode(
        self, demonstrations: Demonstrations, ids: Mapping[str, int], max_inputs: int, max_outputs: int
    ) -> Tokens:
        rows = [
            [ids[word] for word in words[start : start + WORDS_PER_TOKEN]]
            for words in signature(demonstrations).values()
            for start in range(0, len(words), WORDS_PER_TOKEN)
        ]
        tokens = np.zeros((len(rows), WORDS_PER_TOKEN), np.int16)
        for token, row in zip(tokens, rows, strict=True):
            token[: len(row)] = row
        return tokens[: max_inputs + max_outputs]

    def decode(self, tokens: Tokens, words: Sequence[str]) -> list[tuple[Grid, Grid]]:
        raise ValueError("property signatures do not determine the grids that they describe")


def signature(demonstrations: Demonstrations) -> dict[str, list[str]]:
    """Return the properties that hold for all demonstrations, by subject.

    A program that returns cells is compared with the cells that change. It may return exactly these
    ("same"), have at least four fifths in common with them ("near": intersection over union),
    return a subset ("within") or a superset ("around").

    A program that returns a grid is compared with the output. The grid may be the output ("equal").
    It may have the shape of the output and more cells right than the input has ("closer"), at least
    four fifths of its cells right ("near"), or only its shape ("shape").

    Subjects without properties are omitted.
    """
    properties = {"facts": list(_facts(demonstrations))}
    if all(before.shape == after.shape for before, after in demonstrations):
        found = [*_change_properties(demonstrations), *_output_properties(demonstrations)]
    else:
        found = list(_shape_properties(demonstrations))
    for subject, word in found:
        properties.setdefault(subject, []).append(word)
    return properties


def _facts(demonstrations: Demonstrations) -> Iterator[str]:
    """Yield the properties of colours and shapes."""
    cells = [(bytes(before), bytes(after)) for before, after in demonstrations]
    inputs, outputs = ([set(grid) for grid in side] for side in zip(*cells, strict=True))
    colours = {
        "input": inputs,
        "output": outputs,
        "gained": [b - a for a, b in zip(inputs, outputs, strict=True)],
        "lost": [a - b for a, b in zip(inputs, outputs, strict=True)],
    }
    shapes = [(before.shape, after.shape) for before, after in demonstrations]
    if all(a == b for a, b in shapes):
        yield "shapes=same"
        changes = [{(a, b) for a, b in zip(*pair, strict=True) if a != b} for pair in cells]
        colours |= {
            name: [{c[k] for c in change} for change in changes] for k, name in enumerate(("from", "to"))
        }
    else:
        yield "shapes=other"
        if all(a == b[::-1] for a, b in shapes):
            yield "shapes=transposed"
        if all(b[0] == b[1] for _, b in shapes):
            yield "shapes=square"
        for k, side in enumerate(("height", "width")):
            lengths = {b[k] for _, b in shapes}
            ratios = {b[k] / a[k] for a, b in shapes}
            if len(lengths) == 1:
                yield f"{side}={min(lengths)}"
            if len(ratios) == 1 and min(ratios) in _RATIOS:
                yield f"{side}=x{_RATIOS[min(ratios)]}"
            elif max(ratios) < 1:
                yield f"{side}=xless"
            elif min(ratios) > 1:
                yield f"{side}=xmore"
    for name, sets in colours.items():
        only = name in ("from", "to") and len(set.union(*sets)) == 1
        for colour in sorted(set.intersection(*sets)):
            yield f"only-{name}={colour}" if only else f"{name}={colour}"


def _change_properties(demonstrations: Demonstrations) -> Iterator[tuple[str, str]]:
    """Yield (subject, word) for the programs of `CHANGES`."""
    changed = [
        _bits(bytes(a != b for a, b in zip(bytes(before), bytes(after), strict=True)))
        for before, after in demonstrations
    ]
    for subject, text, masks in _masks(tuple(before for before, _ in demonstrations)):
        if relation := _compare(masks, changed):
            yield subject, f"{text}={relation}"


@lru_cache(maxsize=1024)  # enough for the 800 tasks of a run, which are encoded repeatedly: 60 MB
def _masks(inputs: tuple[Grid, ...]) -> list[tuple[str, str, list[int]]]:
    """Run the programs of `CHANGES`; return subject, text and cells of those that find any.

    There is a set of cells for each input.
    """
    subjects, texts, programs = programs_of("changes")
    outcomes = run_batch(programs, [inputs] * len(programs), budget=_BUDGET, threads=1)
    found = []
    for subject, text, program_outcomes in zip(subjects, texts, outcomes, strict=True):
        masks = [_bits(bytes(outcome.grid)) for outcome in program_outcomes if outcome.grid is not None]
        if len(masks) == len(inputs) and any(masks):
            found.append((subject, text, masks))
    return found


def _bits(cells: bytes) -> int:
    """Return a set of cells as an integer with one bit per cell, given a byte per cell, 0 or 1."""
    return int.from_bytes(np.packbits(np.frombuffer(cells, np.uint8)))


def _compare(masks: Sequence[int], changed: Sequence[int]) -> str:
    """Return how sets of cells relate to the cells that change, or "" if in no way."""
    same = near = within = around = True
    for a, b in zip(masks, changed, strict=True):
        if a == b:
            continue
        same, common = False, a & b
        near = near and common.bit_count() >= _NEAR * (a | b).bit_count()
        within = within and common == a
        around = around and common == b
        if not (near or within or around):
            return ""
    return "same" if same else "near" if near else "within" if within else "around"


def _output_properties(demonstrations: Demonstrations) -> Iterator[tuple[str, str]]:
    """Yield (subject, word) for the programs of `OUTPUTS`."""
    subjects, texts, programs = programs_of("outputs")
    verdicts = evaluate(programs, [0] * len(programs), [demonstrations], budget=_BUDGET, threads=1)
    unchanged = verdicts["cells"][0]  # the first program returns the input
    for subject, text, verdict in zip(subjects[1:], texts[1:], verdicts[1:], strict=True):
        if verdict["solved"] == len(demonstrations):
            yield subject, f"{text}=equal"
        elif verdict["shaped"] == len(demonstrations) and verdict["cells"] > unchanged:
            yield subject, f"{text}=closer"


def _shape_properties(demonstrations: Demonstrations) -> Iterator[tuple[str, str]]:
    """Yield (subject, word) for the programs of `SHAPES`."""
    subjects, texts, programs = programs_of("shapes")
    verdicts = evaluate(programs, [0] * len(programs), [demonstrations], budget=_BUDGET, threads=1)
    for subject, text, verdict in zip(subjects, texts, verdicts, strict=True):
        if verdict["shaped"] == len(demonstrations):
            share = verdict["cells"] / len(demonstrations)
            relation = "equal" if share == 1 else "near" if share >= _NEAR else "shape"
            yield subject, f"{text}={relation}"


def _texts(table: dict[str, list[str]]) -> list[str]:
    return [text for texts in table.values() for text in texts]


@lru_cache
def programs_of(table: str) -> tuple[list[str], list[str], list[Program]]:
    """Return the subjects, texts and programs of a table, as three parallel lists.

    `table` is "changes", "outputs" or "shapes". Programs that return cells are extended to paint
    them on a grid, 1 on 0.
    """
    texts_by_subject = {"changes": CHANGES, "outputs": OUTPUTS, "shapes": SHAPES}[table]
    texts = _texts(texts_by_subject)
    subjects = [subject for subject, subject_texts in texts_by_subject.items() for _ in subject_texts]
    return subjects, texts, [_program(text, paint=table == "changes") for text in texts]


def _program(text: str, paint: bool) -> Program:
    calls = text.split(";")
    if paint:
        calls += ["shape(I)", "canvas(ZERO,$)", f"fill($,ONE,x{len(calls)})"]
    targets = [*(f"x{n}" for n in range(1, len(calls))), "O"]
    lines = [
        f"{target} = {call.replace('$', f'x{n}')}"
        for n, (target, call) in enumerate(zip(targets, calls, strict=True))
    ]
    return Program.parse("\n".join(lines))
