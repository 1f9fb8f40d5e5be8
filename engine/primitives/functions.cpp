// Functions as values: composition, partial application, and application to the elements of
// containers.
#include <algorithm>

#include "../compiled.hpp"
#include "table.hpp"

namespace codeit {

namespace {

Value compose(Run& run, Value outer, Value inner) {
    Value captured[] = {outer, inner};
    return make_function(run, Closure::Compose, 1, captured);
}

// Binding an argument of a function with arity 2 or 3 gives a function with arity 1 or 2; with any
// other arity it gives a function with arity 3, like the oracle.
template <Closure kind> Value bind(Run& run, const Value* a) {
    if (a[0].tag != Tag::Function) wrong_type("a function", a[0]);
    int arity = a[0].function->arity;
    return make_function(run, kind, arity == 2 ? 1 : arity == 3 ? 2 : 3, {a, 2});
}

Value power(Run& run, const Value* a) {
    int64_t n = number(a[1]);
    if (n < 1 || n > kMaxDepth) fail(Kind::Depth, "the power is below 1 or above 1000");
    Value result = a[0];
    for (int64_t k = 1; k < n; ++k) result = compose(run, a[0], result);
    return result;
}

void results_of(Run& run, Value function, Value container, Buffer<Value>& results) {
    Items items(run, container);
    CompiledFunction f(run, function, items.size());
    for (size_t k = 0; k < items.size(); ++k) results.push(f(items[k]));
}

Value apply(Run& run, const Value* a) {
    Buffer<Value> results(run, length(a[1]));
    results_of(run, a[0], a[1], results);
    return make_like(run, a[1], results);
}

// Computes the union of patches that all have the given tag or are empty. Returns false for others.
template <class T>
bool unite_alike(Run& run, std::span<const Value> patches, Tag tag, const PatchNode<T>* Value::*patch,
                 Value& all) {
    size_t total = 0;
    for (Value v : patches) {
        if (v.tag == tag) total += (v.*patch)->n;
        else if (v.tag != Tag::Set || v.items->n > 0) return false;
    }
    all = unite(run, patches, tag, patch, total);
    return true;
}

Value mapply(Run& run, const Value* a) {
    Buffer<Value> results(run, length(a[1]));
    results_of(run, a[0], a[1], results);
    Value all;
    std::span<const Value> each{results.begin(), results.size()};
    bool united = a[1].is_set() && (unite_alike(run, each, Tag::Indices, &Value::indices, all) ||
                                    unite_alike(run, each, Tag::Object, &Value::object, all));
    if (united) return all;
    return merge(run, make_like(run, a[1], results));
}

Value rapply(Run& run, const Value* a) {
    Items functions(run, a[0]);
    Buffer<Value> results(run, functions.size());
    for (size_t k = 0; k < functions.size(); ++k) results.push(call(run, functions[k], a[1]));
    return make_like(run, a[0], results);
}

Value papply(Run& run, const Value* a) {
    Items x(run, a[1]), y(run, a[2]);
    size_t n = std::min(x.size(), y.size());
    Buffer<Value> results(run, n);
    for (size_t k = 0; k < n; ++k) {
        Value both[] = {x[k], y[k]};
        results.push(call(run, a[0], both, 2));
    }
    return make_tuple(run, {results.begin(), results.size()});
}

Value prapply(Run& run, const Value* a) {
    Items x(run, a[1]), y(run, a[2]);
    run.charge(x.size() * y.size());
    Buffer<Value> results(run, x.size() * y.size());
    for (size_t m = 0; m < y.size(); ++m)
        for (size_t k = 0; k < x.size(); ++k) {
            Value both[] = {x[k], y[m]};
            results.push(call(run, a[0], both, 2));
        }
    return make_set(run, {results.begin(), results.size()});
}

} // namespace

const std::vector<Primitive> themes::functions = {
    {"branch", 3, "Boolean, Any, Any -> Any", "The second argument if the first is true, else the third.",
     [](Run&, const Value* a) { return truthy(a[0]) ? a[1] : a[2]; }},
    {"compose", 2, "Callable, Callable -> Callable", "x -> outer(inner(x)).",
     [](Run& run, const Value* a) { return compose(run, a[0], a[1]); }},
    {"chain", 3, "Callable, Callable, Callable -> Callable", "x -> h(g(f(x))).",
     [](Run& run, const Value* a) { return make_function(run, Closure::Chain, 1, {a, 3}); }},
    {"matcher", 2, "Callable, Any -> Callable", "x -> whether function(x) equals the target.",
     [](Run& run, const Value* a) { return make_function(run, Closure::Matcher, 1, {a, 2}); }},
    {"rbind", 2, "Callable, Any -> Callable", "The function with its last argument fixed.",
     bind<Closure::Rbind>},
    {"lbind", 2, "Callable, Any -> Callable", "The function with its first argument fixed.",
     bind<Closure::Lbind>},
    {"power", 2, "Callable, Integer -> Callable",
     "The function composed with itself, so that it is applied n times.", power},
    {"fork", 3, "Callable, Callable, Callable -> Callable", "x -> outer(a(x), b(x)).",
     [](Run& run, const Value* a) { return make_function(run, Closure::Fork, 1, {a, 3}); }},
    {"apply", 2, "Callable, Container -> Container", "The function's results for all elements.", apply},
    {"rapply", 2, "Container, Any -> Container", "The results of all functions for the value.", rapply},
    {"mapply", 2, "Callable, ContainerContainer -> FrozenSet",
     "The function's results for all elements, merged.", mapply},
    {"papply", 3, "Callable, Tuple, Tuple -> Tuple",
     "The function's results for the elements at equal positions.", papply},
    {"mpapply", 3, "Callable, Tuple, Tuple -> Tuple",
     "The function's results for the elements at equal positions, merged.",
     [](Run& run, const Value* a) { return merge(run, papply(run, a)); }},
    {"prapply", 3, "Callable, Container, Container -> FrozenSet",
     "The function's results for all i from a and j from b.", prapply},
};

} // namespace codeit
