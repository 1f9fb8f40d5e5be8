// Programs from programs: typed mutation and crossing.
#pragma once

#include <array>
#include <iterator>
#include <span>
#include <vector>

#include "execute.hpp"
#include "types.hpp"

namespace codeit {

// A program, and the types that its variables were seen to have on an example, line by line as far as it ran.
struct Parent {
    ProgramRef program;
    std::vector<Atom> types;
};

// What may be done to a program; with a second one, the mate, in the last three.
enum class Operator : uint8_t {
    Argument, // an argument of a line is swapped for a term of its type, or for a new line's result
    Function, // the function of a line for one of the same signature
    Call,     // the right-hand side of a line for a new call with a result of the same type
    Append,   // a new call that may give a grid takes the result
    Drop,     // a line goes; an argument of it, or an earlier term of its type, stands in
    Constant, // a constant is swapped for another of its type, wherever it stands
    Splice,   // a line gives way to one of the mate, and all that this needs
    Chain,    // the mate takes the result for its input
    Join,     // a new call that may give a grid takes both results: most that are drawn have no two places for grids
};
inline constexpr const char* kOperators[] = {"argument", "function", "call",  "append", "drop",
                                             "constant", "splice",   "chain", "join"}; // as above
using Weights = std::array<double, std::size(kOperators)>; // how often each is tried, up to a common factor; not all 0

using ParentRef = std::shared_ptr<const Parent>;

// A child of parents[k] and mates[k] for each k, or none where the operator that was drawn finds nothing to do, or the
// child has over `longest` lines. What a child is depends on the two, its place and the seed. Lines that are equal, or
// that nothing needs, do not occur in a child.
std::vector<ProgramRef> breed(std::span<const ParentRef> parents, std::span<const ParentRef> mates,
                              const Weights& weights, size_t longest, uint64_t seed);

} // namespace codeit
