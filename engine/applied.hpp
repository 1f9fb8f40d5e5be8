// A function that is applied to one value after another.
#pragma once

#include <initializer_list>

#include "values.hpp"

namespace codeit {

// As `call(run, function, x)` for each x, with the same outcome. A quick function that will be called often is first
// written out as a list of steps on registers, so that a call of it needs no frames and no look at what it is made of.
class Applied {
  public:
    Applied(Run& run, Value function, size_t times) : run_(run), function_(function) {
        constexpr size_t kOften = 8;
        if (times >= kOften && function.tag == Tag::Function) compile(function.function);
    }
    Applied(const Applied&) = delete;
    Value operator()(Value x) { return n_ ? run_steps(x) : call(run_, function_, x); }
    // The truth of the result; what the call held is given back.
    bool test(Value x) {
        auto mark = run_.mark();
        bool result = truthy((*this)(x));
        if (!run_.untouched(mark)) run_.release(mark);
        return result;
    }

  private:
    enum class Do : uint8_t {
        Code, Identity, First, Last, Size, Color, Flip, Equal, FirstIs, Greater, Both, Either, Branch
    };
    struct Step {
        Do what;
        uint8_t n;
        uint16_t charge;      // of the calls that are begun before it
        uint16_t charge_flip; // of an Equal or FirstIs that is turned into its opposite; else 0
        int primitive;   // to be named by a fault
        Value* result;
        const Value* arguments[3];
        Value (*code)(Run& run, const Value* arguments);
    };
    static constexpr int kRegisters = 24, kSteps = 16;

    static Do known_as(int primitive);
    void compile(const FunctionNode* f);
    const Value* write(const FunctionNode* f, std::initializer_list<const Value*> arguments);
    const Value* write_step(Do what, const FunctionNode* primitive, std::initializer_list<const Value*> arguments);
    Value* new_register(Value v);
    Value run_steps(Value x);

    Run& run_;
    Value function_;
    int n_ = 0, registers_ = 1; // the first is of x
    int left_ = 4 * kSteps; // functions that may be looked at
    uint16_t charge_ = 0;   // not yet in a step
    Step steps_[kSteps];
    union { // not initialised
        Value values_[kRegisters];
    };
};

} // namespace codeit
