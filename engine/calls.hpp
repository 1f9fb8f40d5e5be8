// Calls of functions: of primitives, of functions that programs make, and calls whose results are
// remembered.
#pragma once

#include <optional>

#include "values.hpp"

namespace codeit {

inline constexpr const char* kOtherArity = "a function that takes this number of arguments";
inline constexpr uint64_t kCallSteps = 2; // of every call, in addition to those of the function itself

// Returns the result of a call and releases the other memory that the call allocated since the
// mark. This is possible if the result is inline, or if it is a node without pointers, which then
// may move; a node moves only if that releases enough.
Value keep_only(Run& run, const Run::Mark& mark, Value result);
inline Value reclaim(Run& run, const Run::Mark& mark, Value result) {
    if (!result.is_inline()) return run.worth_reclaiming_since(mark) ? keep_only(run, mark, result) : result;
    if (!run.untouched(mark)) run.release(mark);
    return result;
}

// Like `call`, for the line of a program that shares calls with other programs: uses the remembered
// call if there is one, and remembers the call otherwise. Stores a fault in `fault` instead of
// throwing it.
Value call_memoized(Run& run, Value function, const Value* arguments, int n, std::optional<Fault>& fault);
// Call a function that is not a primitive: a constant-time one, or any other.
Value call_constant_time(Run& run, const FunctionNode* function, const Value* arguments, int n);
Value call_closure(Run& run, const FunctionNode* function, const Value* arguments, int n);

// Calls a primitive with the number of arguments that it takes.
inline Value call_primitive(Run& run, const FunctionNode* f, const Value* arguments) {
    run.charge(kCallSteps);
    auto mark = run.mark();
    run.primitive = f->primitive;
    Value result = f->code(run, arguments);
    return f->constant_time ? result : reclaim(run, mark, result);
}
// Calls a function with n arguments. Type fault if `function` is not a function, or takes another
// number.
inline Value call(Run& run, Value function, const Value* arguments, int n) {
    if (function.tag != Tag::Function) wrong_type("a function", function);
    const FunctionNode* f = function.function;
    int before = run.primitive;
    Value result;
    if (f->kind == Closure::Primitive && n == f->arity) {
        result = call_primitive(run, f, arguments);
    } else {
        run.charge(kCallSteps);
        if (n != f->arity) fail(Kind::Type, kOtherArity);
        result =
            f->constant_time ? call_constant_time(run, f, arguments, n) : call_closure(run, f, arguments, n);
    }
    run.primitive = before;
    return result;
}
inline Value call(Run& run, Value function, Value argument) { return call(run, function, &argument, 1); }

} // namespace codeit
