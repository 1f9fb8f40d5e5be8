// Typed variation operators of genetic programming: mutation, and crossover with a second program.
#pragma once

#include <array>
#include <iterator>
#include <memory>
#include <span>
#include <vector>

#include "execute.hpp"
#include "types.hpp"

namespace codeit {

// A program with the types that its variables have on an example: see infer_types. A program that
// ended early has fewer types than lines.
struct TypedProgram {
    ProgramRef program;
    std::vector<Atom> types;
};
using TypedProgramRef = std::shared_ptr<const TypedProgram>;

// How a child differs from its parent. The last three operators use the mate, too.
enum class Operator : uint8_t {
    Argument, // replaces an argument of a line with an operand of its type, or with the result of a new line
    Function, // replaces the primitive of a line with one of the same signature
    Call,     // replaces the right-hand side of a line with a new call whose result has the same type
    Append,   // adds a last line, a new call that takes the result and may give a grid
    Drop,     // removes a line, and replaces its uses with one of its arguments or an operand of its type
    Constant, // replaces a constant, in all lines, with another of its type
    Splice,   // replaces a line with one of the mate, and adds the lines that this one needs
    Chain,    // appends the mate, with the parent's result as its input
    Join,     // appends the mate, and a new call that takes both results; often fails, since most calls drawn
              // do not have parameters for two grids
};
// Their names, in the order of Operator.
inline constexpr const char* kOperators[] = {"argument", "function", "call",  "append", "drop",
                                             "constant", "splice",   "chain", "join"};
// The relative frequency of each operator. At least one is positive.
using Weights = std::array<double, std::size(kOperators)>;

// Makes a child of parents[k] and mates[k] for each k. It is nullptr if the operator drawn is not
// applicable, or if the child has over `max_lines` lines. A child depends only on its parent, its
// mate, k and `seed`. It has no duplicate and no unused lines.
std::vector<ProgramRef> vary(std::span<const TypedProgramRef> parents, std::span<const TypedProgramRef> mates,
                             const Weights& weights, size_t max_lines, uint64_t seed);

} // namespace codeit
