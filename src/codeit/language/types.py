"""Static types: what calls may return and which arguments they may take, inferred without a run.

The engine observes types as *atoms*: Integer, Grid, Objects, … (`Program.types`). A static `Type`
is the set of atoms that a value may have when the program runs. It also holds what is known about
the elements of a container, and about the parameters and the result of a function.

The policy's grammar (`codeit.policy.grammar`) holds sampling to these types. Token by token it
allows only functions and arguments that `fits`, `callable_with` and `accepts` admit, computes the
type of every finished line with `result_type` or `applied`, and ends a program only where
`may_be_grid` holds.

Inference is permissive: where nothing is known, a value may be anything. Only calls that fail on
every input should be rejected. A few that can succeed are rejected too: at least 375 of the 400
published experts are admitted (tests/language/test_types.py). An admitted call may still fail.

A new primitive falls back to its declared signature. Where more is known about its result or its
arguments, add it to the tables below. Sets of atoms are bit masks, and results are cached, because
sampling asks the same questions millions of times.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import lru_cache
from typing import ClassVar

from codeit.language import CONSTANTS, PRIMITIVES, TYPES

TUPLES = {"IntegerTuple", "Cell", "Grid", "Tuple", "TupleTuple"}
"""Atoms of tuples."""
SETS = {"Indices", "Object", "Objects", "IndicesSet", "IntegerSet", "FrozenSet"}
"""Atoms of sets."""
ADMITTED: Mapping[str, frozenset[str]] = {name: frozenset(admitted) for name, admitted in TYPES.items()}
"""The atoms that each type of a signature admits."""

_ATOMS = sorted(ADMITTED["Any"])
_BIT = {atom: 1 << index for index, atom in enumerate(_ATOMS)}


def atoms(*names: str) -> int:
    """Return a set of atoms as a bit mask."""
    return sum(_BIT[name] for name in set(names))


_MASK = {name: atoms(*admitted) for name, admitted in ADMITTED.items()}
_ALL, _CALLABLE, _SETS, _TUPLES = _MASK["Any"], atoms("Callable"), atoms(*SETS), atoms(*TUPLES)
# A value of unknown origin. Functions are left out, as containers rarely hold them.
_ALL_BUT_CALLABLE = _ALL & ~_CALLABLE
# The atoms of the elements of a container, where its own atom determines them.
_ELEMENT = {
    _BIT["Grid"]: atoms("Tuple", "IntegerTuple"),
    _BIT["Objects"]: atoms("Object"),
    _BIT["IndicesSet"]: atoms("Indices"),
    _BIT["Indices"]: atoms("IntegerTuple"),
    _BIT["Object"]: atoms("Cell"),
    _BIT["IntegerSet"]: atoms("Integer"),
    _BIT["IntegerTuple"]: atoms("Integer"),
    _BIT["Cell"]: atoms("Integer", "IntegerTuple"),
}
# The atom of a set by the atom of its elements. Sets of other elements are FrozenSet.
_SET_OF = {
    _BIT["IntegerTuple"]: _BIT["Indices"],
    _BIT["Cell"]: _BIT["Object"],
    _BIT["Object"]: _BIT["Objects"],
    _BIT["Indices"]: _BIT["IndicesSet"],
    _BIT["Integer"]: _BIT["IntegerSet"],
    _BIT["Boolean"]: _BIT["IntegerSet"],
}
_PLACE_OR_CELL = atoms("IntegerTuple", "Cell")

# Parameters that take more than the signatures of the reference language say, because the experts
# use it: tuples of places and the empty set serve as patches, any container is searched for its
# greatest element, and a number serves as a truth value.
_TUPLES_AS_PATCHES = atoms("FrozenSet", "TupleTuple", "Grid")
_WIDER_THAN_DECLARED = {
    "Patch": _MASK["Patch"] | _TUPLES_AS_PATCHES,
    "Object": _MASK["Object"] | _TUPLES_AS_PATCHES,
    "IntegerSet": _MASK["Container"],
    "Boolean": atoms("Boolean", "Integer"),
    "ContainerContainer": _MASK["Container"] & ~atoms("Cell", "IntegerTuple", "IntegerSet"),
    "Tuple": _TUPLES,
    "Objects": atoms("Objects", "FrozenSet", "Tuple", "TupleTuple"),
    "Numerical": _MASK["Numerical"] | atoms("Boolean"),
}
_PARAMETERS = {
    name: tuple(_WIDER_THAN_DECLARED.get(parameter, _MASK[parameter]) for parameter in primitive.parameters)
    for name, primitive in PRIMITIVES.items()
}
"""The atoms that each parameter of each primitive admits."""
_PARAMETERS["astuple"] = (_ALL, _ALL)  # pairs of anything, not only of numbers
_PARAMETERS["branch"] = (_ALL, _ALL, _ALL)  # anything serves as a truth value
_PARAMETERS["toivec"] = _PARAMETERS["tojvec"] = (_ALL,)  # they only put the value into a pair


class Type:
    """The atoms that a value may have, and what is known about its elements or its calls.

    Equal types are the same object, so that comparing and hashing them is cheap.
    """

    __slots__ = ("closure", "elements", "kinds", "parameters")
    _instances: ClassVar[dict[tuple[object, ...], Type]] = {}

    kinds: int
    """Atoms of the value."""
    elements: int
    """Atoms of the elements of a container; 0 if they are unknown."""
    parameters: tuple[int, ...] | None
    """Atoms that each parameter of a function admits; None if unknown, or for other values."""
    closure: tuple[str, tuple[Type, ...]] | None
    """How a function was made: a primitive and (), or a primitive that returns functions, such as
    `compose`, and the types of its arguments."""

    def __new__(
        cls,
        kinds: int,
        elements: int = 0,
        parameters: tuple[int, ...] | None = None,
        closure: tuple[str, tuple[Type, ...]] | None = None,
    ) -> Type:
        key = (kinds, elements, parameters, closure)
        instance = cls._instances.get(key)
        if instance is None:
            instance = cls._instances[key] = super().__new__(cls)
            instance.kinds, instance.elements, instance.parameters, instance.closure = key
        return instance

    def __reduce__(self) -> tuple[object, ...]:
        return Type, (self.kinds, self.elements, self.parameters, self.closure)


UNKNOWN = Type(_ALL_BUT_CALLABLE)
"""The type of a value about which nothing is known."""


# --- Containers ---


def _bits(mask: int) -> Iterable[int]:
    """Yield the atoms of a mask, one bit each."""
    while mask:
        lowest = mask & -mask
        yield lowest
        mask ^= lowest


@lru_cache(None)
def elements(container: Type) -> int:
    """Return the atoms that the elements of a container may have."""
    found = 0
    for kind in _bits(container.kinds & (_SETS | _TUPLES)):
        found |= _ELEMENT.get(kind) or container.elements or _ALL_BUT_CALLABLE
    return found or _ALL_BUT_CALLABLE


def _set_of(members: int) -> Type:
    kinds = 0
    for member in _bits(members):
        kinds |= _SET_OF.get(member, _BIT["FrozenSet"])
    return Type(kinds, members)


def _tuple_of(members: int) -> Type:
    kinds = 0
    if members & _TUPLES:
        kinds |= atoms("TupleTuple", "Grid")
    if members & ~_TUPLES:
        kinds |= atoms("Tuple")
    if members & _BIT["Integer"]:
        kinds |= _BIT["IntegerTuple"]
    return Type(kinds, members)


def _pair_of(first: int, second: int) -> Type:
    """Return the type of a tuple of two values."""
    kinds = 0
    for a in _bits(first):
        for b in _bits(second):
            if a == _BIT["Integer"] and b in (_BIT["Integer"], _BIT["IntegerTuple"]):
                kinds |= _BIT["IntegerTuple"] if b == a else _BIT["Cell"]
            elif a & _TUPLES and b & _TUPLES:
                kinds |= atoms("TupleTuple", "Grid")
            else:
                kinds |= _BIT["Tuple"]
    return Type(kinds, first | second)


def _like(container: Type, members: int) -> Type:
    """Return a set or a tuple of `members`, whichever the container may be."""
    if not container.kinds & _TUPLES:
        return _set_of(members)
    if not container.kinds & _SETS:
        return _tuple_of(members)
    return Type(_set_of(members).kinds | _tuple_of(members).kinds, members)


def _merged(container: Type) -> Type:
    """Return the type of a container of containers, merged into one."""
    inner = 0
    for kind in _bits(elements(container) & (_SETS | _TUPLES)):
        inner |= _ELEMENT.get(kind, _ALL_BUT_CALLABLE)
    return _like(container, inner or _ALL_BUT_CALLABLE)


# --- Results of calls ---


@lru_cache(1 << 18)
def applied(function: Type, arguments: tuple[Type, ...]) -> Type:
    """Return the type of a call of a function value: a primitive or a function made by one."""
    if function.closure is None:
        return UNKNOWN
    name, captured = function.closure
    if not captured:  # a primitive
        return result_type(name, arguments) if len(arguments) == PRIMITIVES[name].arity else UNKNOWN
    match name:
        case "compose":
            return applied(captured[0], (applied(captured[1], arguments),))
        case "chain":
            return applied(captured[0], (applied(captured[1], (applied(captured[2], arguments),)),))
        case "fork":
            return applied(captured[0], (applied(captured[1], arguments), applied(captured[2], arguments)))
        case "matcher":
            return Type(_BIT["Boolean"])
        case "power":
            return applied(captured[0], arguments)
        case "rbind":
            return applied(captured[0], (*arguments, captured[1]))
        case "lbind":
            return applied(captured[0], (captured[1], *arguments))
    raise AssertionError(name)


def _result(function: Type) -> Type:
    """Return what a function may return for any arguments."""
    return applied(function, tuple(map(Type, function.parameters or ())))


def _parameters(function: Type, n: int) -> tuple[int, ...]:
    """Return the parameters of a function, or `n` that admit anything if they are unknown."""
    return function.parameters if function.parameters is not None else (_ALL,) * n


def _first_parameter(function: Type) -> int:
    """Return what the first parameter admits: anything for a function without parameters.

    A function has no parameters if all of them are bound.
    """
    return next(iter(_parameters(function, 1)), _ALL)


def _function(parameters: tuple[int, ...], maker: str, captured: tuple[Type, ...]) -> Type:
    return Type(_CALLABLE, 0, parameters, (maker, captured))


def _numerical(*arguments: Type) -> Type:
    """Return the type of arithmetic, which is done element by element if an argument is a pair."""
    kinds = [argument.kinds & _MASK["Numerical"] for argument in arguments]
    if all(kind == _BIT["Integer"] for kind in kinds):
        return Type(_BIT["Integer"])
    return Type(_BIT["IntegerTuple"] if _BIT["IntegerTuple"] in kinds else _MASK["Numerical"])


_SAME = {
    "identity": 0, "normalize": 0, "shift": 0, "sfilter": 0, "remove": 1, "difference": 0, "insert": 1,
    "hmirror": 0, "vmirror": 0, "dmirror": 0, "cmirror": 0, "dedupe": 0, "upscale": 0, "combine": 0,
    "intersection": 0, "sizefilter": 0,
}  # fmt: skip
"""Primitives that return the type of an argument, and the index of this argument."""
_ELEMENT_OF_FIRST = {"first", "last", "argmax", "argmin", "extract", "mostcommon", "leastcommon", "other"}
"""Primitives that return an element of their first argument."""
_NUMERICAL = {"add", "subtract", "multiply", "divide", "invert", "double", "halve", "increment", "decrement",
              "crement", "sign"}  # fmt: skip


@lru_cache(1 << 16)
def result_type(primitive: str, arguments: tuple[Type, ...]) -> Type:
    """Return the type of a call of a primitive."""
    declared = _MASK[PRIMITIVES[primitive].result]
    if declared == _ALL:
        declared = _ALL_BUT_CALLABLE
    if primitive in _SAME:
        same = arguments[_SAME[primitive]]
        return Type(same.kinds & declared or declared, same.elements, same.parameters, same.closure)
    if primitive in _ELEMENT_OF_FIRST:
        return Type(elements(arguments[0]))
    if primitive in _NUMERICAL:
        return _numerical(*arguments)
    a = arguments
    match primitive:
        case "merge" | "mfilter":
            return _merged(a[0])
        case "numcolors":
            return Type(_BIT["Integer"])  # the oracle's signature says IntegerSet
        case "order" | "totuple":
            return _tuple_of(elements(a[0]))
        case "repeat":
            return _tuple_of(a[0].kinds)
        case "initset":
            return _set_of(a[0].kinds)
        case "product":
            pair = _pair_of(elements(a[0]), elements(a[1])).kinds
            return _set_of(pair)
        case "pair":
            return _tuple_of(_pair_of(elements(a[0]), elements(a[1])).kinds)
        case "astuple":
            return _pair_of(a[0].kinds, a[1].kinds)
        case "hsplit" | "vsplit":
            return Type(atoms("Tuple", "TupleTuple"), _BIT["Grid"])
        case "branch":
            return a[1] if a[1] == a[2] else Type(a[1].kinds | a[2].kinds, a[1].elements | a[2].elements)
        case "valmax" | "valmin":
            return applied(a[1], (Type(elements(a[0])),))
        case "apply":
            return _like(a[1], applied(a[0], (Type(elements(a[1])),)).kinds)
        case "mapply":
            return _like(a[1], elements(applied(a[0], (Type(elements(a[1])),))))
        case "papply":
            return _tuple_of(applied(a[0], (Type(elements(a[1])), Type(elements(a[2])))).kinds)
        case "mpapply":
            return _tuple_of(elements(applied(a[0], (Type(elements(a[1])), Type(elements(a[2]))))))
        case "prapply":
            return _set_of(applied(a[0], (Type(elements(a[1])), Type(elements(a[2])))).kinds)
        case "compose":
            return _function(_parameters(a[1], 1), primitive, a)
        case "chain":
            return _function(_parameters(a[2], 1), primitive, a)
        case "matcher" | "power":
            return _function(_parameters(a[0], 1), primitive, a)
        case "rbind":
            return _function(_parameters(a[0], 2)[:-1], primitive, a)
        case "lbind":
            return _function(_parameters(a[0], 2)[1:], primitive, a)
        case "fork":
            admitted = _first_parameter(a[1]) & _first_parameter(a[2])
            return _function((admitted or _ALL_BUT_CALLABLE,), primitive, a)
    return Type(declared)


def atom_of(name: str) -> str:
    """Return the atom of `I`, of a constant, or of a primitive used as a value."""
    if name == "I":
        return "Grid"
    if name in PRIMITIVES:
        return "Callable"
    value = CONSTANTS[name]
    return "IntegerTuple" if isinstance(value, tuple) else "Boolean" if isinstance(value, bool) else "Integer"


@lru_cache(None)
def term_type(name: str) -> Type:
    """Return the type of `I`, of a constant, or of a primitive used as a value."""
    if name in PRIMITIVES:
        return _function(_PARAMETERS[name], name, ())
    return Type(_BIT[atom_of(name)])


# --- Arguments of calls ---

# Parameters, as (primitive, index), that take a function of one argument, and of two.
_UNARY = {
    ("compose", 0), ("compose", 1), ("chain", 0), ("chain", 1), ("chain", 2), ("matcher", 0), ("fork", 1),
    ("fork", 2), ("power", 0), ("apply", 0), ("mapply", 0), ("order", 1), ("valmax", 1), ("valmin", 1),
    ("argmax", 1), ("argmin", 1), ("sfilter", 1), ("mfilter", 1), ("extract", 1),
}  # fmt: skip
_BINARY = {("fork", 0), ("papply", 0), ("mpapply", 0), ("prapply", 0)}
# Primitives whose second argument maps an element of the first to a sort key, or to a truth value.
_KEYED = {"order", "valmax", "valmin", "argmax", "argmin"}
_CONDITIONED = {"sfilter", "mfilter", "extract"}


def admits(primitive: str, index: int, candidate: Type) -> bool:
    """Return whether a value may be argument `index` of a primitive, ignoring other arguments."""
    if not candidate.kinds & _PARAMETERS[primitive][index]:
        return False
    declared = PRIMITIVES[primitive].parameters[index]
    if declared in ("Patch", "Object") and not candidate.kinds & _MASK[declared]:
        return bool(candidate.elements & _PLACE_OR_CELL)  # a tuple of places or cells
    if declared == "ContainerContainer" and primitive != "mapply":
        return bool(elements(candidate) & (_SETS | _TUPLES))
    if candidate.parameters is None:
        return True
    n = len(candidate.parameters)
    if primitive in ("rbind", "lbind") and index == 0:
        return n >= 2
    return n == (1 if (primitive, index) in _UNARY else 2 if (primitive, index) in _BINARY else n)


@lru_cache(1 << 17)  # 20 MB
def fits(primitive: str, earlier: tuple[Type, ...], candidate: Type) -> bool:
    """Return whether a value may be the next argument of a primitive, after the earlier ones."""
    index = len(earlier)
    if not slots(candidate) & _SLOT[primitive, index]:
        return False
    kinds, result = candidate.kinds, _result(candidate).kinds
    match primitive, index:
        case "compose", 1:
            return bool(_parameters(earlier[0], 1)[0] & result)
        case "chain", (1 | 2):
            return bool(_parameters(earlier[index - 1], 1)[0] & result)
        case "fork", (1 | 2):
            other = _parameters(earlier[1], 1)[0] if index == 2 else _ALL
            wanted = _parameters(earlier[0], 2)[index - 1]
            return bool(wanted & result and other & _parameters(candidate, 1)[0])
        case "power", 0:
            return bool(_parameters(candidate, 1)[0] & result)
        case "matcher", 1:
            return bool(_result(earlier[0]).kinds & kinds)
        case "rbind", 1:
            return bool(_parameters(earlier[0], 2)[-1] & kinds)
        case "lbind", 1:
            return bool(_parameters(earlier[0], 2)[0] & kinds)
        case (("mapply" | "mpapply"), 0):
            return bool(result & (_SETS | _TUPLES))
        case (("apply" | "mapply"), 1):
            return bool(_parameters(earlier[0], 1)[0] & elements(candidate))
        case (("papply" | "mpapply" | "prapply"), (1 | 2)):
            return bool(_parameters(earlier[0], 2)[index - 1] & elements(candidate))
        case (("combine" | "difference" | "intersection"), 1):
            both_sets = kinds & _SETS and earlier[0].kinds & _SETS
            return bool(both_sets or kinds & earlier[0].kinds & _TUPLES)
        case "contained", 1:
            return bool(earlier[0].kinds & elements(candidate))
    if index == 1 and primitive in _KEYED | _CONDITIONED:
        key = _ALL & ~_CALLABLE if primitive in _KEYED else _ALL
        return bool(_parameters(candidate, 1)[0] & elements(earlier[0]) and result & key)
    return True


def callable_with(candidate: Type, n: int) -> bool:
    """Return whether a variable may be called with `n` arguments."""
    known = candidate.parameters
    return bool(candidate.kinds & _CALLABLE) and (known is None or len(known) == n)


def accepts(function: Type, index: int, candidate: Type) -> bool:
    """Return whether a value may be argument `index` in a call of a variable."""
    return function.parameters is None or bool(function.parameters[index] & candidate.kinds)


def may_be_grid(candidate: Type) -> bool:
    """Return whether a value may be a grid."""
    return bool(candidate.kinds & _BIT["Grid"])


_SLOT = {
    slot: 1 << n
    for n, slot in enumerate((p.name, index) for p in PRIMITIVES.values() for index in range(p.arity))
}
_SLOTS = {p.name: sum(_SLOT[p.name, index] for index in range(p.arity)) for p in PRIMITIVES.values()}


@lru_cache(1 << 16)
def slots(candidate: Type) -> int:
    """Return the parameters, of all primitives, that a value may fill, as a bit mask."""
    return sum(bit for (primitive, index), bit in _SLOT.items() if admits(primitive, index, candidate))


def fillable(primitive: str, filled: int) -> bool:
    """Return whether `filled`, a union of `slots`, has every parameter of a primitive."""
    return not _SLOTS[primitive] & ~filled
