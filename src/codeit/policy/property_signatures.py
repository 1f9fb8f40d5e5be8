"""Demonstrations as clues: what short programs, run on the inputs, have in common with the outputs.

A small network sees in a few words what it would otherwise have to learn to see in grids: that the output is
the input mirrored, or that just the insides of its objects have changed. The idea is that of property
signatures (Odena and Sutton 2020, arXiv 2002.09030); the properties are ours. They are of the demonstrations
alone.

A clue is a word. Those of one subject (a way to find objects, a colour, …) are a token: a bag of words.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache

import numpy as np

from codeit.language import Budget, Grid, Program, evaluate, run_batch
from codeit.policy.grid_tokens import SIDE, Demonstrations, Tokens

WORDS_A_TOKEN = 16
"""Of one subject; what is beyond them begins another token."""
_BUDGET = Budget(steps=20_000)
_NEAR = 0.8
"""The share of cells in common from which two grids, or sets of cells, are near each other."""

# --- what is tried: `$` is the line before, x1 the first one

_WAYS = ["UP", "DOWN", "LEFT", "RIGHT"]
_OBJECTS = [
    *("objects(I,T,F,T)", "objects(I,T,T,T)", "objects(I,F,F,T)", "objects(I,F,T,T)", "objects(I,T,F,F)"),
    "fgpartition(I)",
]
_OF_OBJECTS = [
    "merge($)",
    *(f"{most}($,{key})" for most in ("argmax", "argmin") for key in ("size", "height", "width")),
    *(f"mapply({of},$)" for of in ("delta", "box", "outbox", "inbox", "backdrop", "corners")),
    *(f"mfilter($,{being})" for being in ("square", "hline", "vline")),
]
_ONE_OBJECT = [
    "merge($)",
    *(
        f"{most}($,{key})"
        for key in ("size", "height", "width", "numcolors", "uppermost", "leftmost")
        for most in ("argmax", "argmin")
    ),
]
_CELLS = [
    *("leastcolor(I);ofcolor(I,$)", "mostcolor(I);ofcolor(I,$)", "ofcolor(I,ZERO)"),
    "fgpartition(I);merge($)",
]
_OF_CELLS = [
    *(f"{of}($)" for of in ("identity", "box", "backdrop", "delta", "outbox", "inbox", "corners")),
    *(f"{of}($)" for of in ("hmirror", "vmirror")),
    *(
        f"toindices($);mapply({of},$)"
        for of in ("neighbors", "dneighbors", "ineighbors", "vfrontier", "hfrontier")
    ),
    *(f"shift($,{way})" for way in _WAYS),
]
_COLOURS = ["ZERO", "ONE", "TWO", "THREE", "FOUR", "FIVE", "SIX", "SEVEN", "EIGHT", "NINE"]
_MIRRORS = ["hmirror(I)", "vmirror(I)", "dmirror(I)", "cmirror(I)", "rot90(I)", "rot180(I)", "rot270(I)"]
_HALVES = ["tophalf", "bottomhalf", "lefthalf", "righthalf"]

CHANGES: dict[str, list[str]] = {
    **{
        root: [
            *(f"{root};{view}" for view in _OF_OBJECTS),
            f"rbind(bordering,I);{root};mfilter($,x1)",
            f"rbind(bordering,I);compose(flip,$);{root};mfilter($,x2)",
        ]
        for root in _OBJECTS
    },
    **{
        root: [
            *(f"{root};{view}" for view in _OF_CELLS),
            *(f"rbind(shoot,{way});{root};toindices($);mapply(x1,$)" for way in _WAYS),
        ]
        for root in _CELLS
    },
    "colours": [f"ofcolor(I,{colour})" for colour in _COLOURS[1:]],
    "whole": [
        *("asindices(I);box($)", "asindices(I);corners($)", "frontiers(I);merge($)"),
        *("asindices(I);inbox($)", "asindices(I);shift($,UNITY)"),
    ],
}
"""By subject, programs for cells: are they those that change? Asked where no grid changes its shape."""

OUTPUTS: dict[str, list[str]] = {
    "itself": ["identity(I)"],
    "covered": [
        *(f"{root};{most}($,size);cover(I,$)" for root in _OBJECTS for most in ("argmax", "argmin")),
        *(f"{_OBJECTS[0]};{most}($,size);move(I,$,{way})" for most in ("argmax", "argmin") for way in _WAYS),
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
"""By subject, programs for a grid: is it the output? Asked where no grid changes its shape."""

SHAPES: dict[str, list[str]] = {
    **{
        root: [
            *(f"{root};{view};subgrid($,I)" for view in _ONE_OBJECT),
            *(
                f"{root};totuple($);apply(normalize,$);{most}($);shape($);canvas(ZERO,$);paint($,x4)"
                for most in ("mostcommon", "leastcommon")
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
"""By subject, programs for a grid: is it the output? Asked where some grid changes its shape."""

_RATIOS = {1 / 5: "1/5", 1 / 4: "1/4", 1 / 3: "1/3", 1 / 2: "1/2", **{float(n): str(n) for n in range(1, 6)}}


class PropertySignatures:
    """The clues of a task, a token a subject."""

    def __init__(self) -> None:
        told = [
            *(f"{text}={how}" for text in _texts(CHANGES) for how in ("same", "near", "within", "around")),
            *(f"{text}={how}" for text in _texts(OUTPUTS) for how in ("equal", "closer")),
            *(f"{text}={how}" for text in _texts(SHAPES) for how in ("equal", "near", "shape")),
        ]
        colours = ("input", "output", "gained", "lost", "from", "to", "only-from", "only-to")
        told += [f"{fact}={colour}" for fact in colours for colour in range(10)]
        told += [f"{side}={n}" for side in ("height", "width") for n in range(1, SIDE + 1)]
        told += [
            f"{side}=x{by}" for side in ("height", "width") for by in (*_RATIOS.values(), "less", "more")
        ]
        told += [f"shapes={how}" for how in ("same", "other", "transposed", "square")]
        self.words = list(dict.fromkeys(told))

    def encode(
        self, demonstrations: Demonstrations, ids: Mapping[str, int], inputs: int, outputs: int
    ) -> Tokens:
        rows = [
            [ids[word] for word in words[start : start + WORDS_A_TOKEN]]
            for words in clues(demonstrations).values()
            for start in range(0, len(words), WORDS_A_TOKEN)
        ]
        tokens = np.zeros((len(rows), WORDS_A_TOKEN), np.int16)
        for token, row in zip(tokens, rows, strict=True):
            token[: len(row)] = row
        return tokens[: inputs + outputs]

    def decode(self, tokens: Tokens, words: Sequence[str]) -> list[tuple[Grid, Grid]]:
        raise ValueError("clues do not tell the grids that they are of")


def clues(demonstrations: Demonstrations) -> dict[str, list[str]]:
    """What is true of all demonstrations, by subject; subjects of which there is nothing to say are left out.

    A program for cells: they are those that change ("same"), or have four fifths in common with them
    ("near"), or lie among them ("within") or include them ("around"). A program for a grid: it is the output
    ("equal"), or has its shape and more cells right than the input has ("closer"), or four fifths of them
    ("near"), or just its shape ("shape").
    """
    found = {"facts": list(_facts(demonstrations))}
    if all(given.shape == wanted.shape for given, wanted in demonstrations):
        said = [*_changes(demonstrations), *_closer(demonstrations)]
    else:
        said = list(_near(demonstrations))
    for subject, word in said:
        found.setdefault(subject, []).append(word)
    return found


def _facts(demonstrations: Demonstrations) -> Iterator[str]:
    """Colours, and shapes."""
    cells = [(bytes(given), bytes(wanted)) for given, wanted in demonstrations]
    inputs, outputs = ([set(grid) for grid in side] for side in zip(*cells, strict=True))
    colours = {
        "input": inputs,
        "output": outputs,
        "gained": [b - a for a, b in zip(inputs, outputs, strict=True)],
        "lost": [a - b for a, b in zip(inputs, outputs, strict=True)],
    }
    shapes = [(given.shape, wanted.shape) for given, wanted in demonstrations]
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


def _changes(demonstrations: Demonstrations) -> Iterator[tuple[str, str]]:
    """How the cells of `CHANGES` compare with those that change: (subject, word)."""
    changed = [
        int.from_bytes(bytes(a != b for a, b in zip(bytes(given), bytes(wanted), strict=True)))
        for given, wanted in demonstrations
    ]
    for subject, text, masks in _masks(tuple(given for given, _ in demonstrations)):
        if how := _comparison(masks, changed):
            yield subject, f"{text}={how}"


@lru_cache(maxsize=512)  # enough for the tasks of a run, which are asked for again and again: 50 MB
def _masks(inputs: tuple[Grid, ...]) -> list[tuple[str, str, list[int]]]:
    """The programs of `CHANGES` that find cells in the inputs: subject, text, and of each input the cells.

    A set of cells is a number, of a byte a cell, 0 or 1.
    """
    subjects, texts, programs = compiled("changes")
    outcomes = run_batch(programs, [inputs] * len(programs), budget=_BUDGET, threads=1)
    found = []
    for subject, text, results in zip(subjects, texts, outcomes, strict=True):
        masks = [int.from_bytes(bytes(outcome.grid)) for outcome in results if outcome.grid is not None]
        if len(masks) == len(inputs) and any(masks):
            found.append((subject, text, masks))
    return found


def _comparison(masks: Sequence[int], changed: Sequence[int]) -> str:
    """Of cells, as `_masks` has them, with those that change."""
    both = list(zip(masks, changed, strict=True))
    if all(a == b for a, b in both):
        return "same"
    if all((a & b).bit_count() >= _NEAR * (a | b).bit_count() for a, b in both):
        return "near"
    if not any(a & ~b for a, b in both):
        return "within"
    return "" if any(b & ~a for a, b in both) else "around"


def _closer(demonstrations: Demonstrations) -> Iterator[tuple[str, str]]:
    """How the grids of `OUTPUTS` compare with the outputs: (subject, word)."""
    subjects, texts, programs = compiled("outputs")
    verdicts = evaluate(programs, [0] * len(programs), [demonstrations], budget=_BUDGET, threads=1)
    unchanged = verdicts["cells"][0]  # the first is the input itself
    for subject, text, verdict in zip(subjects[1:], texts[1:], verdicts[1:], strict=True):
        if verdict["solved"] == len(demonstrations):
            yield subject, f"{text}=equal"
        elif verdict["shaped"] == len(demonstrations) and verdict["cells"] > unchanged:
            yield subject, f"{text}=closer"


def _near(demonstrations: Demonstrations) -> Iterator[tuple[str, str]]:
    """How the grids of `SHAPES` compare with the outputs: (subject, word)."""
    subjects, texts, programs = compiled("shapes")
    verdicts = evaluate(programs, [0] * len(programs), [demonstrations], budget=_BUDGET, threads=1)
    for subject, text, verdict in zip(subjects, texts, verdicts, strict=True):
        if verdict["shaped"] == len(demonstrations):
            share = verdict["cells"] / len(demonstrations)
            how = "equal" if share == 1 else "near" if share >= _NEAR else "shape"
            yield subject, f"{text}={how}"


def _texts(table: dict[str, list[str]]) -> list[str]:
    return [text for texts in table.values() for text in texts]


@lru_cache
def compiled(kind: str) -> tuple[list[str], list[str], list[Program]]:
    """Of a table, side by side: subjects, texts, and the programs; those for cells paint them, 1 on 0."""
    table = {"changes": CHANGES, "outputs": OUTPUTS, "shapes": SHAPES}[kind]
    subjects = [subject for subject, texts in table.items() for _ in texts]
    return subjects, _texts(table), [_program(text, kind == "changes") for text in _texts(table)]


def _program(text: str, paint: bool) -> Program:
    lines = text.split(";")
    if paint:
        lines += ["shape(I)", "canvas(ZERO,$)", f"fill($,ONE,x{len(lines)})"]
    targets = [*(f"x{n}" for n in range(1, len(lines))), "O"]
    said = (line.replace("$", f"x{n}") for n, line in enumerate(lines))
    return Program.parse("\n".join(f"{target} = {line}" for target, line in zip(targets, said, strict=True)))
