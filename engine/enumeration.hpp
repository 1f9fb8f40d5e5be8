// Bottom-up enumeration of programs for a task, in the order of their cost.
//
// An expression is a call whose arguments are constants, primitives or other expressions. Of
// expressions whose values are equal on all inputs of a task, including those of the tests, only the
// cheapest is kept. The enumeration therefore combines values, not programs.
//
// The cost of an expression is its negative log2 probability, in bits, under the model of a Library:
// an expression is either a slice of one of the library's programs or a call. Slices are also applied
// to grids other than the input. A cheap program that fits the demonstrations is likely right.
#pragma once

#include <optional>
#include <unordered_map>

#include "library.hpp"

namespace codeit {

class RuleSteps;

// A program that solves all demonstrations.
struct Solution {
    ProgramRef program;
    int bits;
    uint64_t tried; // see Enumeration::tried
};

// The enumeration for one task. Outcomes depend only on the arguments.
class Enumeration {
  public:
    // `examples` are those of the task; the output of a test is nullptr. `budget.steps` limits one
    // expression on one input, without its arguments. `budget.cells` limits all values on one input.
    Enumeration(std::shared_ptr<const Library> library, std::vector<Example> examples, Budget budget);
    ~Enumeration();
    Enumeration(const Enumeration&) = delete;

    // Tries expressions in the order of cost, until all calls of `run` together have tried about
    // `max_tried`, or the memory is full. Returns whether more can be tried.
    bool run(uint64_t max_tried);
    // Looks for last steps that lead from the values so far to the outputs: see last_steps.hpp.
    void finish();

    // Solutions with different outputs on the tests, cheapest first.
    std::vector<Solution> solutions() const;
    // At most `max_programs` programs that come closest to the outputs, best first. They are ordered by
    // demonstrations solved, outputs of the right shape, the share of right cells, and then cost.
    std::vector<ProgramRef> closest(size_t max_programs) const;
    uint64_t tried() const { return tried_; } // expressions; an expensive one counts as several
    size_t size() const { return expressions_.size(); } // with different values
    int bits() const { return bits_; }                  // all expressions of lower cost were tried

    // --- for last steps: see last_steps.hpp and rule_steps.hpp ---

    const Library& library() const { return *library_; }
    size_t examples() const { return examples_.size(); }
    size_t demonstrations() const { return demonstrations_.size(); }
    size_t demonstration(size_t d) const { return demonstrations_[d]; } // the index of its example
    const Grid& output(size_t d) const { return *examples_[demonstrations_[d]].output; }

    // Expressions with values of a type, cheapest first. Last steps are left out.
    std::vector<Argument> expressions_of_type(Atom type) const;
    Value value(Argument a, size_t example) const;
    Run& memory(size_t example) { return *runs_[example]; } // holds the example's values
    // Costs: of an expression; of a call, without its arguments; of an argument, with its expression.
    int bits_of(Argument expression) const { return expressions_[expression.index].bits; }
    int call_bits(const char* primitive) const;
    int argument_bits(uint16_t primitive, int position, Argument a) const;

    // Tries a call that `run` does not combine further. Returns nothing if the call fails.
    std::optional<Argument> last_step(const char* primitive, std::span<const Argument> arguments);
    std::optional<Argument> last_step(const char* primitive, std::initializer_list<Argument> arguments) {
        return last_step(primitive, std::span(arguments.begin(), arguments.size()));
    }
    // The same, with a given cost.
    std::optional<Argument> last_step(const char* primitive, std::initializer_list<Argument> arguments,
                                      int bits);
    // Tries a call that `run` combines further. Its cost becomes at least the present one.
    std::optional<Argument> step(const char* primitive, std::initializer_list<Argument> arguments, int bits);
    void count_steps(uint64_t steps) { tried_ += steps / kStepsPerExpression; } // of other searches

  private:
    struct Expression {
        Application call; // its Variables are earlier expressions
        Atom type;
        int bits;
    };
    static constexpr uint32_t kNone = UINT32_MAX;
    static constexpr uint64_t kStepsPerExpression = 4000; // so many steps count as one more expression

    // Returns the expression with the values of a call, or kNone if the call fails. It is an earlier one
    // if that has the same values, unless the call is a last step.
    uint32_t expression(const Application& call, int bits, bool is_last = false);
    uint32_t expression_once(const Application& call, int bits); // tries each call only once
    void instantiate(uint32_t slice, uint32_t root);
    void try_slices();
    void try_calls(const Library::Call& call, int rest);
    bool try_arguments(const Library::Call& call, Application& application, int position, int rest);
    std::optional<Argument> step(const Application& call, int bits, bool is_last);
    void keep_solution(uint32_t expression, uint64_t hash); // if it is one
    ProgramRef program(uint32_t expression) const; // nullptr if it is too long
    bool stopped() const { return tried_ >= max_tried_ || full_; }

    std::shared_ptr<const Library> library_;
    std::vector<Example> examples_;
    Budget budget_;
    std::unique_ptr<RuleSteps> rule_steps_;
    std::vector<std::unique_ptr<Run>> runs_; // one for each example; they hold the values
    std::vector<Value> inputs_;
    std::vector<Value> results_; // of the expression being tried
    std::vector<Run::Mark> marks_;
    std::vector<size_t> demonstrations_; // examples with an output
    std::vector<Expression> expressions_;
    std::vector<Value> values_; // of expression e on example k: values_[e * examples + k]
    std::vector<std::vector<uint32_t>> by_type_[kAtoms]; // expressions by type and bits
    struct Known;
    std::unique_ptr<Known> known_;
    std::unordered_map<uint64_t, Solution> solutions_; // by a hash of their outputs
    uint64_t tried_ = 0, max_tried_ = 0;
    int bits_ = 0;
    // Where `run` resumes among the expressions of the present cost. An unfinished primitive starts again
    // at its first expression and skips those that were tried.
    struct {
        size_t slice = 0, root = 0, call = 0;
        uint64_t tried = 0; // expressions of this primitive
    } next_;
    uint64_t passed_ = 0; // expressions of the present primitive, tried or skipped
    bool full_ = false;
};

} // namespace codeit
