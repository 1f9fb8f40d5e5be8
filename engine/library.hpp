// The prior of an enumeration (enumeration.hpp): the parts of given programs, and how likely they are.
#pragma once

#include <span>
#include <vector>

#include "execute.hpp"

namespace codeit {

using Bits = uint8_t;
inline constexpr int kMaxBits = 60; // the highest cost of a part, however rare it is

// Like Operand, with a wider index. For a Variable it is the index of an expression or a slice.
struct Argument {
    Operand::Kind kind;
    uint32_t index;
    bool operator==(const Argument&) const = default;
};
// A function and its arguments.
struct Application {
    Argument function; // a Primitive or a Variable
    uint8_t n;
    Argument arguments[kMaxArguments];
    bool operator==(const Application&) const = default;
    uint64_t hash() const;
};
struct ApplicationHash {
    size_t operator()(const Application& application) const { return application.hash(); }
};

// The slices of programs, and statistics of their calls and arguments. A slice is a line of a program
// and all lines that it depends on. Rare parts cost many bits.
class Library {
  public:
    explicit Library(std::span<const ProgramRef> programs);

    // An argument that is not an expression: the input, a constant or a primitive.
    struct Choice {
        Operand operand; // not a Variable
        Bits bits;
    };
    // One argument of a primitive.
    struct Parameter {
        std::vector<Choice> choices; // in the order of bits
        Bits expression;             // the cost of using an expression, in addition to the expression's own
    };
    struct Call {
        uint16_t primitive;
        Bits bits; // without those of the arguments
        std::vector<Parameter> parameters;
    };
    struct Slice {
        Application result; // its Variables are earlier slices
        Bits bits;
        bool uses_input;
    };
    std::span<const Call> calls() const { return calls_; }
    std::span<const Slice> slices() const { return slices_; } // in the order of bits

  private:
    void add_slices(std::span<const ProgramRef> programs);
    void add_calls(std::span<const ProgramRef> programs);

    std::vector<Call> calls_;
    std::vector<Slice> slices_;
};

} // namespace codeit
