// Primitives on numbers, coordinates (pairs of integers, element by element) and truth values.
#include "table.hpp"

namespace codeit {
namespace {

// An operation on two numbers, two pairs, or a number and a pair. Like the oracle, it applies to
// pairs element by element, with a number standing for both elements.
template <class Op> Value arithmetic(Value a, Value b, Op op) {
    if (a.is_number() && b.is_number()) return checked(op(a.num, b.num));
    int64_t ai, aj, bi, bj;
    if (a.is_number()) ai = aj = a.num;
    else coordinate(a, ai, aj);
    if (b.is_number()) bi = bj = b.num;
    else coordinate(b, bi, bj);
    return make_pair(op(ai, bi), op(aj, bj));
}

template <class Op> Value each(Value a, Op op) {
    if (a.is_number()) return checked(op(a.num));
    int64_t i, j;
    coordinate(a, i, j);
    return make_pair(op(i), op(j));
}

int64_t sign(int64_t n) { return (n > 0) - (n < 0); }

} // namespace

const std::vector<Primitive> themes::numbers = {
    {"identity", 1, "Any -> Any", "The argument itself.", [](Run&, const Value* a) { return a[0]; }},
    {"add", 2, "Numerical, Numerical -> Numerical", "The sum; for pairs, element by element.",
     [](Run&, const Value* a) { return arithmetic(a[0], a[1], [](int64_t x, int64_t y) { return x + y; }); }},
    {"subtract", 2, "Numerical, Numerical -> Numerical",
     "The difference a - b; for pairs, element by element.",
     [](Run&, const Value* a) { return arithmetic(a[0], a[1], [](int64_t x, int64_t y) { return x - y; }); }},
    {"multiply", 2, "Numerical, Numerical -> Numerical", "The product; for pairs, element by element.",
     [](Run&, const Value* a) { return arithmetic(a[0], a[1], [](int64_t x, int64_t y) { return x * y; }); }},
    {"divide", 2, "Numerical, Numerical -> Numerical", "The quotient a / b, rounded down.",
     [](Run&, const Value* a) { return arithmetic(a[0], a[1], floor_divide); }},
    {"invert", 1, "Numerical -> Numerical", "The number with its sign changed.",
     [](Run&, const Value* a) { return each(a[0], [](int64_t n) { return -n; }); }},
    {"even", 1, "Integer -> Boolean", "Whether the number is even.",
     [](Run&, const Value* a) { return Value::boolean(number(a[0]) % 2 == 0); }},
    {"double", 1, "Numerical -> Numerical", "Twice the number.",
     [](Run&, const Value* a) { return each(a[0], [](int64_t n) { return n * 2; }); }},
    {"halve", 1, "Numerical -> Numerical", "Half the number, rounded down.",
     [](Run&, const Value* a) { return each(a[0], [](int64_t n) { return floor_divide(n, 2); }); }},
    {"flip", 1, "Boolean -> Boolean", "Logical not.",
     [](Run&, const Value* a) { return Value::boolean(!truthy(a[0])); }},
    {"equality", 2, "Any, Any -> Boolean", "Whether two values are equal.",
     [](Run& run, const Value* a) { return Value::boolean(equal(run, a[0], a[1])); }},
    {"greater", 2, "Integer, Integer -> Boolean", "Whether a > b.",
     [](Run& run, const Value* a) { return Value::boolean(less(run, a[1], a[0])); }},
    {"both", 2, "Boolean, Boolean -> Boolean", "Logical and.",
     [](Run&, const Value* a) { return truthy(a[0]) ? a[1] : a[0]; }},
    {"either", 2, "Boolean, Boolean -> Boolean", "Logical or.",
     [](Run&, const Value* a) { return truthy(a[0]) ? a[0] : a[1]; }},
    {"increment", 1, "Numerical -> Numerical", "The number plus one.",
     [](Run&, const Value* a) { return each(a[0], [](int64_t n) { return n + 1; }); }},
    {"decrement", 1, "Numerical -> Numerical", "The number minus one.",
     [](Run&, const Value* a) { return each(a[0], [](int64_t n) { return n - 1; }); }},
    {"crement", 1, "Numerical -> Numerical", "The number one further from zero; zero for zero.",
     [](Run&, const Value* a) { return each(a[0], [](int64_t n) { return n + sign(n); }); }},
    {"sign", 1, "Numerical -> Numerical", "The sign of the number: -1, 0 or 1.",
     [](Run&, const Value* a) { return each(a[0], sign); }},
    {"positive", 1, "Integer -> Boolean", "Whether the number is above zero.",
     [](Run& run, const Value* a) { return Value::boolean(less(run, Value::integer(0), a[0])); }},
    {"toivec", 1, "Integer -> IntegerTuple", "The pair (i, 0): i rows down.",
     [](Run& run, const Value* a) { return make_tuple(run, a[0], Value::integer(0)); }},
    {"tojvec", 1, "Integer -> IntegerTuple", "The pair (0, j): j columns right.",
     [](Run& run, const Value* a) { return make_tuple(run, Value::integer(0), a[0]); }},
};

} // namespace codeit
