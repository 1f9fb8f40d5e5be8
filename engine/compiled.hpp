// A function that is called on many values in turn.
#pragma once

#include <initializer_list>

#include "calls.hpp"

namespace codeit {

// Calls a function with each value, with the same result, steps and faults as `call(run, function,
// x)`. A constant-time function that will be called often is first compiled to a list of steps on
// registers, so that its calls neither recurse nor walk through its parts.
class CompiledFunction {
  public:
    CompiledFunction(Run& run, Value function, size_t times) : run_(run), function_(function) {
        constexpr size_t kOften = 8;
        if (times >= kOften && function.tag == Tag::Function) compile(function.function);
    }
    CompiledFunction(const CompiledFunction&) = delete;
    Value operator()(Value x) { return n_ ? run_steps(x) : call(run_, function_, x); }
    // Whether the result is true. Releases the memory of the call.
    bool test(Value x) {
        auto mark = run_.mark();
        bool result = truthy((*this)(x));
        if (!run_.untouched(mark)) run_.release(mark);
        return result;
    }

  private:
    enum class Op : uint8_t {
        Code, Identity, First, Last, Size, Color, Flip, Equal, FirstIs, Greater, Both, Either, Branch
    };
    struct Step {
        Op op;
        uint8_t n;
        uint16_t charge;      // steps of the calls that start before this one
        uint16_t charge_flip; // steps of the `flip` that an Equal or FirstIs includes; 0 if it includes none
        int primitive;        // the one that a fault names
        Value* result;
        const Value* arguments[3];
        Value (*code)(Run& run, const Value* arguments);
    };
    static constexpr int kRegisters = 24, kSteps = 16;

    static Op op_of(int primitive);
    void compile(const FunctionNode* f);
    const Value* emit(const FunctionNode* f, std::initializer_list<const Value*> arguments);
    const Value* emit_step(Op op, const FunctionNode* primitive,
                           std::initializer_list<const Value*> arguments);
    Value* new_register(Value v);
    Value run_steps(Value x);

    Run& run_;
    Value function_;
    int n_ = 0, registers_ = 1;       // the first register holds x
    int functions_left_ = 4 * kSteps; // to compile; bounds the time that compiling takes
    uint16_t charge_ = 0;             // steps that belong to the next Step
    Step steps_[kSteps];
    union { // not initialised
        Value values_[kRegisters];
    };
};

} // namespace codeit
