"""Static types: what a call may give, and what may stand in its places, judged before anything runs.

Observed types (`Program.types`) are the atoms: Integer, Grid, Objects, … A static `Type` is the set of atoms
that a value may turn out to have, and what is known of its elements or, for a function, of its parameters and
result. Where nothing is known the answer is "may be anything": inference only ever rules out what must fail.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import lru_cache
from typing import ClassVar

from codeit.language import CONSTANTS, PRIMITIVES, TYPES

TUPLES = {"IntegerTuple", "Cell", "Grid", "Tuple", "TupleTuple"}
SETS = {"Indices", "Object", "Objects", "IndicesSet", "IntegerSet", "FrozenSet"}

ACCEPTS: Mapping[str, frozenset[str]] = {name: frozenset(admitted) for name, admitted in TYPES.items()}
"""The atoms that a signature's type admits."""

_ATOMS = sorted(ACCEPTS["Any"])
_BIT = {atom: 1 << place for place, atom in enumerate(_ATOMS)}


def atoms(*names: str) -> int:
    """A set of atoms as bits."""
    return sum(_BIT[name] for name in set(names))


_MASK = {name: atoms(*admitted) for name, admitted in ACCEPTS.items()}
_ANY, _CALLABLE, _SETS, _TUPLES = _MASK["Any"], atoms("Callable"), atoms(*SETS), atoms(*TUPLES)
_UNKNOWN = (
    _ANY & ~_CALLABLE
)  # what a container of which nothing is known may lock_directory; functions are rare there
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
_SET_OF = {_BIT[e]: _BIT[s] for s, e in (
    ("Indices", "IntegerTuple"), ("Object", "Cell"), ("Objects", "Object"), ("IndicesSet", "Indices"),
    ("IntegerSet", "Integer"),
)}  # fmt: skip
_PLACED = atoms("IntegerTuple", "Cell")
_SET_OF[_BIT["Boolean"]] = _BIT["IntegerSet"]


# Where the experts use more than the oracle's signatures say: lists of places serve as patches, and so does
# the empty set; any container is searched for its greatest element; a number serves as a truth value.
_LISTED = atoms("FrozenSet", "TupleTuple", "Grid")
_WIDER = {
    "Patch": _MASK["Patch"] | _LISTED,
    "Object": _MASK["Object"] | _LISTED,
    "IntegerSet": _MASK["Container"],
    "Boolean": atoms("Boolean", "Integer"),
    "ContainerContainer": _MASK["Container"] & ~atoms("Cell", "IntegerTuple", "IntegerSet"),
    "Tuple": _TUPLES,
    "Objects": atoms("Objects", "FrozenSet", "Tuple", "TupleTuple"),
    "Numerical": _MASK["Numerical"] | atoms("Boolean"),
}
_PLACES = {
    name: tuple(_WIDER.get(parameter, _MASK[parameter]) for parameter in primitive.parameters)
    for name, primitive in PRIMITIVES.items()
}
"""What the places of each primitive's call admit."""
_PLACES["astuple"] = (_ANY, _ANY)
_PLACES["branch"] = (_ANY, _ANY, _ANY)  # anything serves as a truth value
_PLACES["toivec"] = _PLACES["tojvec"] = (_ANY,)


class Type:
    """The atoms (bits) that a value may have, its elements' where known; of a function, how it is made.

    Equal types are one object, so that they are cheap to compare and to look up.
    """

    __slots__ = ("closure", "elements", "kinds", "parameters")
    _made: ClassVar[dict[tuple[object, ...], Type]] = {}

    kinds: int
    elements: int  # 0: not known
    parameters: tuple[int, ...] | None  # what each argument of a function may be
    closure: tuple[str, tuple[Type, ...]] | None  # a primitive, or a maker of functions and what it was given

    def __new__(
        cls,
        kinds: int,
        elements: int = 0,
        parameters: tuple[int, ...] | None = None,
        closure: tuple[str, tuple[Type, ...]] | None = None,
    ) -> Type:
        key = (kinds, elements, parameters, closure)
        found = cls._made.get(key)
        if found is None:
            found = cls._made[key] = super().__new__(cls)
            found.kinds, found.elements, found.parameters, found.closure = key
        return found

    def __reduce__(self) -> tuple[object, ...]:
        return Type, (self.kinds, self.elements, self.parameters, self.closure)


ANY = Type(_UNKNOWN)


def _bits(kinds: int) -> Iterable[int]:
    while kinds:
        lowest = kinds & -kinds
        yield lowest
        kinds ^= lowest


@lru_cache(None)
def elements(container: Type) -> int:
    """The atoms that a container's elements may have."""
    found = 0
    for kind in _bits(container.kinds & (_SETS | _TUPLES)):
        found |= _ELEMENT.get(kind) or container.elements or _UNKNOWN
    return found or _UNKNOWN


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
    """The tuple of two values."""
    kinds = 0
    for one in _bits(first):
        for other in _bits(second):
            if one == _BIT["Integer"] and other in (_BIT["Integer"], _BIT["IntegerTuple"]):
                kinds |= _BIT["IntegerTuple"] if other == one else _BIT["Cell"]
            elif one & _TUPLES and other & _TUPLES:
                kinds |= atoms("TupleTuple", "Grid")
            else:
                kinds |= _BIT["Tuple"]
    return Type(kinds, first | second)


def _like(container: Type, members: int) -> Type:
    """A set or a tuple of such members, as the container is one."""
    if not container.kinds & _TUPLES:
        return _set_of(members)
    if not container.kinds & _SETS:
        return _tuple_of(members)
    return Type(_set_of(members).kinds | _tuple_of(members).kinds, members)


def _merged(container: Type) -> Type:
    inner = 0
    for kind in _bits(elements(container) & (_SETS | _TUPLES)):
        inner |= _ELEMENT.get(kind, _UNKNOWN)
    return _like(container, inner or _UNKNOWN)


@lru_cache(1 << 18)
def applied(function: Type, arguments: tuple[Type, ...]) -> Type:
    """What a function may give for such arguments."""
    if function.closure is None:
        return ANY
    name, given = function.closure
    if not given:  # a primitive
        return result_type(name, arguments) if len(arguments) == PRIMITIVES[name].arity else ANY
    match name:
        case "compose":
            return applied(given[0], (applied(given[1], arguments),))
        case "chain":
            return applied(given[0], (applied(given[1], (applied(given[2], arguments),)),))
        case "fork":
            return applied(given[0], (applied(given[1], arguments), applied(given[2], arguments)))
        case "matcher":
            return Type(_BIT["Boolean"])
        case "power":
            return applied(given[0], arguments)
        case "rbind":
            return applied(given[0], (*arguments, given[1]))
        case "lbind":
            return applied(given[0], (given[1], *arguments))
    raise AssertionError(name)


def _result(function: Type) -> Type:
    """What a function may give for any arguments."""
    return applied(function, tuple(map(Type, function.parameters or ())))


def _parameters(function: Type, n: int) -> tuple[int, ...]:
    return function.parameters if function.parameters is not None else (_ANY,) * n


def _domain(function: Type) -> int:
    """What a function takes first; anything if it takes nothing, as one whose every argument is bound."""
    return next(iter(_parameters(function, 1)), _ANY)


def _function(parameters: tuple[int, ...], maker: str, given: tuple[Type, ...]) -> Type:
    return Type(_CALLABLE, 0, parameters, (maker, given))


def _numerical(*arguments: Type) -> Type:
    kinds = [a.kinds & _MASK["Numerical"] for a in arguments]
    if all(kind == _BIT["Integer"] for kind in kinds):
        return Type(_BIT["Integer"])
    return Type(_BIT["IntegerTuple"] if _BIT["IntegerTuple"] in kinds else _MASK["Numerical"])


_SAME = {
    "identity": 0, "normalize": 0, "shift": 0, "sfilter": 0, "remove": 1, "difference": 0, "insert": 1,
    "hmirror": 0, "vmirror": 0, "dmirror": 0, "cmirror": 0, "dedupe": 0, "upscale": 0, "combine": 0,
    "intersection": 0, "sizefilter": 0,
}  # fmt: skip
"""The argument whose type the result has."""
_ONE_OF = {"first", "last", "argmax", "argmin", "extract", "mostcommon", "leastcommon", "other"}
"""The result is an element of the first argument."""
_NUMERICAL = {"add", "subtract", "multiply", "divide", "invert", "double", "halve", "increment", "decrement",
              "crement", "sign"}  # fmt: skip


@lru_cache(1 << 16)
def result_type(function: str, a: tuple[Type, ...]) -> Type:
    """What a call of a primitive on such arguments may give."""
    declared = _MASK[PRIMITIVES[function].result]
    if declared == _ANY:
        declared = _UNKNOWN
    if function in _SAME:
        same = a[_SAME[function]]
        return Type(same.kinds & declared or declared, same.elements, same.parameters, same.closure)
    if function in _ONE_OF:
        return Type(elements(a[0]))
    if function in _NUMERICAL:
        return _numerical(*a)
    match function:
        case "merge" | "mfilter":
            return _merged(a[0])
        case "numcolors":
            return Type(_BIT["Integer"])
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
            return _function(_parameters(a[1], 1), function, a)
        case "chain":
            return _function(_parameters(a[2], 1), function, a)
        case "matcher" | "power":
            return _function(_parameters(a[0], 1), function, a)
        case "rbind":
            return _function(_parameters(a[0], 2)[:-1], function, a)
        case "lbind":
            return _function(_parameters(a[0], 2)[1:], function, a)
        case "fork":
            domain = _domain(a[1]) & _domain(a[2])
            return _function((domain or _UNKNOWN,), function, a)
    return Type(declared)


def atom_of(name: str) -> str:
    """The observed type of `I`, of a constant, or of a primitive as a value."""
    if name == "I":
        return "Grid"
    if name in PRIMITIVES:
        return "Callable"
    value = CONSTANTS[name]
    return "IntegerTuple" if isinstance(value, tuple) else "Boolean" if isinstance(value, bool) else "Integer"


@lru_cache(None)
def term_type(name: str) -> Type:
    """The type of `I`, of a constant, or of a primitive as a value."""
    if name in PRIMITIVES:
        return _function(_PLACES[name], name, ())
    return Type(_BIT[atom_of(name)])


_UNARY = {
    ("compose", 0), ("compose", 1), ("chain", 0), ("chain", 1), ("chain", 2), ("matcher", 0), ("fork", 1),
    ("fork", 2), ("power", 0), ("apply", 0), ("mapply", 0), ("order", 1), ("valmax", 1), ("valmin", 1),
    ("argmax", 1), ("argmin", 1), ("sfilter", 1), ("mfilter", 1), ("extract", 1),
}  # fmt: skip
_BINARY = {("fork", 0), ("papply", 0), ("mpapply", 0), ("prapply", 0)}
_KEYED = {"order", "valmax", "valmin", "argmax", "argmin"}
_CONDITIONED = {"sfilter", "mfilter", "extract"}


@lru_cache(1 << 18)
def admits(function: str, place: int, candidate: Type) -> bool:
    """Whether a value may stand in a place of a primitive's call, whatever the other arguments."""
    if not candidate.kinds & _PLACES[function][place]:
        return False
    declared = PRIMITIVES[function].parameters[place]
    if declared in ("Patch", "Object") and not candidate.kinds & _MASK[declared]:
        return bool(candidate.elements & _PLACED)  # a list of places
    if declared == "ContainerContainer" and function != "mapply":
        return bool(elements(candidate) & (_SETS | _TUPLES))
    if candidate.parameters is None:
        return True
    n = len(candidate.parameters)
    if function in ("rbind", "lbind") and place == 0:
        return n >= 2
    return n == (1 if (function, place) in _UNARY else 2 if (function, place) in _BINARY else n)


@lru_cache(1 << 18)
def fits(function: str, earlier: tuple[Type, ...], candidate: Type) -> bool:
    """Whether a value may be the next argument of a primitive, after the earlier ones."""
    place = len(earlier)
    if not admits(function, place, candidate):
        return False
    kinds, result = candidate.kinds, _result(candidate).kinds
    match function, place:
        case "compose", 1:
            return bool(_parameters(earlier[0], 1)[0] & result)
        case "chain", (1 | 2):
            return bool(_parameters(earlier[place - 1], 1)[0] & result)
        case "fork", (1 | 2):
            other = _parameters(earlier[1], 1)[0] if place == 2 else _ANY
            wanted = _parameters(earlier[0], 2)[place - 1]
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
            return bool(_parameters(earlier[0], 2)[place - 1] & elements(candidate))
        case (("combine" | "difference" | "intersection"), 1):
            both_sets = kinds & _SETS and earlier[0].kinds & _SETS
            return bool(both_sets or kinds & earlier[0].kinds & _TUPLES)
        case "contained", 1:
            return bool(earlier[0].kinds & elements(candidate))
    if place == 1 and function in _KEYED | _CONDITIONED:
        key = _ANY & ~_CALLABLE if function in _KEYED else _ANY
        return bool(_parameters(candidate, 1)[0] & elements(earlier[0]) and result & key)
    return True


def callable_with(candidate: Type, n: int) -> bool:
    """Whether a variable may be called with n arguments."""
    known = candidate.parameters
    return bool(candidate.kinds & _CALLABLE) and (known is None or len(known) == n)


def accepts(function: Type, place: int, candidate: Type) -> bool:
    """Whether a value may be an argument of a variable's call."""
    return function.parameters is None or bool(function.parameters[place] & candidate.kinds)


def may_be_grid(type: Type) -> bool:
    """Whether a value may be a grid."""
    return bool(type.kinds & _BIT["Grid"])


_SLOT = {
    slot: 1 << n
    for n, slot in enumerate((p.name, place) for p in PRIMITIVES.values() for place in range(p.arity))
}
_SLOTS = {p.name: sum(_SLOT[p.name, place] for place in range(p.arity)) for p in PRIMITIVES.values()}


@lru_cache(1 << 16)
def slots(candidate: Type) -> int:
    """The places, of all the primitives, that a value may fill: a bit each."""
    return sum(bit for (function, place), bit in _SLOT.items() if admits(function, place, candidate))


def fillable(function: str, filled: int) -> bool:
    """Whether each place of a primitive's call has a value; `filled` are the places that do."""
    return not _SLOTS[function] & ~filled
