// The types of values, and the types that signatures name.
#pragma once

#include <span>

#include "fault.hpp"
#include "value.hpp"

namespace codeit {

// The type of a value. Each value has exactly one.
enum class Atom : uint8_t {
    None, Boolean, Integer, Callable,
    IntegerTuple, Cell, Grid, Tuple, TupleTuple,                           // tuples
    Indices, Object, Objects, IndicesSet, IntegerSet, FrozenSet,           // sets
};
inline constexpr int kAtoms = 15;
using Atoms = uint32_t; // a set of types: one bit each

inline constexpr Atoms bit(Atom atom) { return Atoms(1) << int(atom); }
inline constexpr bool has(Atoms atoms, Atom atom) { return atoms >> int(atom) & 1; }

Atom atom(Value v);
const char* name(Atom atom);
// Updates `type`, the common type of some values, for one more value of type `next`. Returns false if
// the types differ. An empty set may be a set of any type, and an empty tuple likewise.
bool unify(Atom& type, Atom next);

// A type that signatures name, and the types of values that it admits: Patch admits Object and
// Indices, Any admits all except None.
struct Type {
    const char* name;
    Atoms admits;
};
std::span<const Type> types();

struct Signature {
    Atoms parameters[kMaxArguments];
    Atoms result;
};
const Signature& signature(int primitive); // by its index in primitives()

} // namespace codeit
