// Types: those that values are seen to have, and which of them a type of a signature admits.
#pragma once

#include <span>

#include "memo.hpp"

namespace codeit {

enum class Atom : uint8_t {
    None, Boolean, Integer, Callable,
    IntegerTuple, Cell, Grid, Tuple, TupleTuple,                           // tuples
    Indices, Object, Objects, IndicesSet, IntegerSet, FrozenSet,           // sets
};
inline constexpr int kAtoms = 15;
using Atoms = uint32_t; // a set of them: a bit each

inline constexpr Atoms bit(Atom atom) { return Atoms(1) << int(atom); }
inline constexpr bool has(Atoms atoms, Atom atom) { return atoms >> int(atom) & 1; }

Atom atom(Value v);
const char* name(Atom atom);

// The types that signatures name: Patch admits Object and Indices, Any all but None.
struct Type {
    const char* name;
    Atoms admits;
};
std::span<const Type> types();

struct Signature {
    Atoms parameters[kMaxArguments];
    Atoms result;
};
const Signature& signature(int primitive);

} // namespace codeit
