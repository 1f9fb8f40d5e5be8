// What programs are made of, and how likely that is: the prior of an enumeration (enumeration.hpp).
#pragma once

#include <span>
#include <vector>

#include "execute.hpp"

namespace codeit {

using Bits = uint8_t;
inline constexpr int kMaxBits = 60; // of a part; what is rarer costs no more

// An Operand whose index may be any: that of a Variable is the index of another application.
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
    size_t operator()(const Application& one) const { return one.hash(); }
};

// The slices of programs, and how often programs call and use what. What is rare costs many bits.
// A slice is a line of a program and all that it depends on.
class Library {
  public:
    explicit Library(std::span<const ProgramRef> programs);

    // An argument that a call may have, or the input.
    struct Choice {
        Operand operand; // not a Variable
        Bits bits;
    };
    // One argument of a primitive.
    struct Parameter {
        std::vector<Choice> choices; // in the order of bits
        Bits expression;             // the bits of any expression, without its own
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
