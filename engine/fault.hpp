// Faults, which end a run early, and the limits whose excess is a fault.
#pragma once

#include <cstddef>
#include <cstdint>

namespace codeit {

// --- limits -----------------------------------------------------------------------------------------
//
// Integers of the language have 32 bits, coordinates 16 bits and cells of a grid 8 bits; a result
// beyond them is an Overflow fault. The limits of steps and memory are set for each run: see Budget
// in run.hpp.

// Of a program's text. `parse` rejects more.
inline constexpr size_t kMaxText = 1 << 18; // bytes
inline constexpr size_t kMaxLines = 1000;
inline constexpr int kMaxArguments = 4; // of one call

// Of a run. More is a Depth fault.
inline constexpr int kMaxDepth = 1000;        // nested calls of function values
inline constexpr uint32_t kMaxNesting = 1000; // levels of a value: sets in tuples, functions of functions

// Of a value: the number of its elements if it were written out in full. More, or over kCellBytes
// for each cell of the budget, is a Cells fault. This bounds the time of walking through a value.
inline constexpr uint64_t kMaxWeight = 2'000'000;

// Of a program's input and result. Other results are a BadGrid fault; grids within a run may be
// larger.
inline constexpr int kMaxSide = 30; // rows, and columns
inline constexpr int kColours = 10; // 0 to 9

// The unit in which a budget counts memory: room for one value, or for 16 cells of a grid.
inline constexpr size_t kCellBytes = 16;

// --- faults -----------------------------------------------------------------------------------------

// How a run ended: with a grid, or why it gave none.
enum class Kind : uint8_t { Grid, Type, Value, Overflow, Steps, Cells, Depth, NotAGrid, BadGrid };

// The name that Python sees, for example "not a grid".
const char* kind_name(Kind kind);

// Why a run ended early. The texts are static. `what` is the message, or for a Type fault what was
// expected; `found` names the type that was found instead.
struct Fault {
    Kind kind;
    const char* what;
    const char* found = nullptr;
};

// Throws a Fault. It is out of line so that the functions that check stay small enough to be
// inlined.
[[noreturn, gnu::cold]] void fail(Kind kind, const char* what, const char* found = nullptr);

} // namespace codeit
