"""The language of programs: parsing, running, static types, rewriting, simplification.

Only this package uses the C++ engine.
"""

from codeit.language.grids import COLOURS, MAX_SIDE, GridError
from codeit.language.program import (
    CONSTANTS,
    OPERATORS,
    PRIMITIVES,
    TYPES,
    Budget,
    ExecutionError,
    Grid,
    GridLike,
    Line,
    Outcome,
    ParseError,
    Primitive,
    Program,
    Step,
    TypedProgram,
    count_solved,
    evaluate,
    infer_types,
    run_batch,
    to_grid,
    vary,
)

__all__ = [
    "COLOURS",
    "CONSTANTS",
    "MAX_SIDE",
    "OPERATORS",
    "PRIMITIVES",
    "TYPES",
    "Budget",
    "ExecutionError",
    "Grid",
    "GridError",
    "GridLike",
    "Line",
    "Outcome",
    "ParseError",
    "Primitive",
    "Program",
    "Step",
    "TypedProgram",
    "count_solved",
    "evaluate",
    "infer_types",
    "run_batch",
    "to_grid",
    "vary",
]
