"""The language of programs: parsing, running, static types, rewriting. The only door to the C++ engine."""

from codeit.language.program import (
    CONSTANTS as CONSTANTS,
)
from codeit.language.program import (
    OPERATORS as OPERATORS,
)
from codeit.language.program import (
    PRIMITIVES as PRIMITIVES,
)
from codeit.language.program import (
    TYPES as TYPES,
)
from codeit.language.program import (
    Budget as Budget,
)
from codeit.language.program import (
    ExecutionError as ExecutionError,
)
from codeit.language.program import (
    Grid as Grid,
)
from codeit.language.program import (
    Line as Line,
)
from codeit.language.program import (
    Outcome as Outcome,
)
from codeit.language.program import (
    ParseError as ParseError,
)
from codeit.language.program import (
    Primitive as Primitive,
)
from codeit.language.program import (
    Program as Program,
)
from codeit.language.program import (
    Step as Step,
)
from codeit.language.program import (
    TypedProgram as TypedProgram,
)
from codeit.language.program import (
    count_solved as count_solved,
)
from codeit.language.program import (
    evaluate as evaluate,
)
from codeit.language.program import (
    infer_types as infer_types,
)
from codeit.language.program import (
    run_batch as run_batch,
)
from codeit.language.program import (
    vary as vary,
)
