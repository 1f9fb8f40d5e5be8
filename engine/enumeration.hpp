// Enumeration from below: programs for a task in the order of their cost, by the values that they
// compute.
//
// An expression is a call whose arguments are constants, primitives or other expressions. Two
// expressions whose values are equal on all inputs of a task, those of the tests included, are one:
// the cheaper one is kept. So what is combined are values, not programs.
//
// The cost of an expression is its negative logarithm of probability, in bits, under a model that a
// Library derives from programs, usually the experts: an expression is either a slice of one of
// them, that is a line and all that it depends on, or a call. Slices are also applied to other grids
// than the input. What fits the demonstrations at low cost is likely right.
#pragma once

#include <unordered_map>

#include "execute.hpp"

namespace codeit {

using Bits = uint8_t;
inline constexpr int kMaxBits = 60; // of a part; what is rarer costs no more

// The slices of programs, and how often programs call and use what.
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
        std::vector<Line> lines; // the last is the result
        Bits bits;
    };
    std::span<const Call> calls() const { return calls_; }
    std::span<const Slice> slices() const { return slices_; } // in the order of bits, then of lines

  private:
    std::vector<Call> calls_;
    std::vector<Slice> slices_;
};

// A program that solves all demonstrations.
struct Solution {
    ProgramRef program;
    int bits;
    uint64_t tried; // see Enumeration::tried
};

// The enumeration for one task. Outcomes depend only on the arguments.
class Enumeration {
  public:
    // The examples of the task; the output of a test is nullptr. An expression gets `budget.steps`
    // steps on an input, without what it uses; all that are kept share `budget.cells` on each input.
    Enumeration(std::shared_ptr<const Library> library, std::vector<Example> examples, Budget budget);
    ~Enumeration();
    Enumeration(const Enumeration&) = delete;

    // Tries expressions in the order of cost, until about `most` were tried in all calls of `run`
    // together, or the memory is full. Returns whether more can be tried.
    bool run(uint64_t most);
    // Looks for last steps that lead from the values so far to the outputs.
    void finish();

    // Solutions with different outputs on the tests, cheapest first.
    std::vector<Solution> solutions() const;
    uint64_t tried() const { return tried_; } // expressions; one that takes long counts as several
    size_t size() const { return expressions_.size(); } // with different values
    int bits() const { return bits_; }                  // all expressions of lower cost were tried

  private:
    struct Argument {
        Operand::Kind kind;
        uint32_t index; // of an expression, if it is a Variable
        bool operator==(const Argument&) const = default;
    };
    struct Key { // a call
        Argument function;
        uint8_t n;
        Argument arguments[kMaxArguments];
        bool operator==(const Key&) const = default;
    };
    struct KeyHash {
        size_t operator()(const Key& key) const;
    };
    struct Expression {
        Key call;
        Atom type;
        int bits;
    };
    static constexpr uint32_t kNone = UINT32_MAX;

    // Returns the expression with the value of a call, or kNone if it fails. This may be an earlier one,
    // unless it is a last step: these are not combined further.
    uint32_t expression(const Key& call, int bits, bool is_last = false);
    uint32_t known_expression(const Key& call, int bits); // makes a call once
    void instantiate(const Library::Slice& slice, uint32_t root, int bits);
    void try_calls(const Library::Call& call, int rest);
    bool try_arguments(const Library::Call& call, Key& key, int position, int rest);
    struct Base { // a grid to paint on or to cut
        Argument argument;
        int bits;
    };
    std::vector<Base> bases() const;
    void finish_painting();
    void finish_cutting();
    int argument_bits(uint16_t primitive, int position, Argument a) const;
    Value value(Argument a, size_t input) const;
    void found(uint32_t expression, uint64_t hash);
    ProgramRef program(uint32_t expression) const; // nullptr if it is too long
    bool stopped() const { return tried_ >= most_ || full_; }

    std::shared_ptr<const Library> library_;
    std::vector<Example> examples_;
    Budget budget_;
    std::vector<std::unique_ptr<Run>> runs_; // one for each example; they hold the values
    std::vector<Value> inputs_;
    std::vector<Value> results_; // of the expression that is tried
    std::vector<Run::Mark> marks_;
    std::vector<size_t> demonstrations_; // examples with an output
    std::vector<Expression> expressions_;
    std::vector<Value> values_; // of expression e on example k: values_[e * examples + k]
    std::vector<std::vector<uint32_t>> by_type_[kAtoms]; // expressions by type and bits
    struct Known;
    std::unique_ptr<Known> known_;
    std::unordered_map<uint64_t, Solution> solutions_; // by a hash of their outputs
    uint64_t tried_ = 0, most_ = 0;
    uint64_t tried_of_cost_ = 0, passed_ = 0; // calls of the present cost that were tried, and passed by now
    int bits_ = 0;
    bool full_ = false;
};

} // namespace codeit
