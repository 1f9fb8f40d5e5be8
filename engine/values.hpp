// Building, reading and comparing values.
#pragma once

#include <span>

#include "run.hpp"

namespace codeit {

// --- building: each picks the one representation of its value ---------------------------------------

Value empty_tuple();
Value empty_set();

// A tuple of two integers; Overflow beyond 16 bits.
Value make_pair(int64_t i, int64_t j);
// A grid to be filled through `cells`; the empty tuple when height is 0.
Value new_grid(Run& run, int64_t height, int64_t width, int8_t*& cells);
// A grid whose cells are what `cell(row, column)` gives.
template <class Cell> Value build_grid(Run& run, int64_t height, int64_t width, Cell cell) {
    int8_t* cells;
    Value v = new_grid(run, height, width, cells);
    for (int64_t i = 0; i < height; ++i)
        for (int64_t j = 0; j < width; ++j) *cells++ = int8_t(cell(int(i), int(j)));
    return v;
}
Value make_tuple(Run& run, std::span<const Value> items);
Value make_tuple(Run& run, Value a, Value b);
Value make_set(Run& run, std::span<const Value> items); // any order, repetitions allowed
// From keys that are sorted and distinct; the empty set when there are none.
Value make_indices(Run& run, std::span<const uint32_t> keys);
Value make_object(Run& run, std::span<const uint64_t> keys);
// From keys in any order; sorts and thins them in place.
Value make_indices_from(Run& run, Buffer<uint32_t>& keys);
Value make_object_from(Run& run, Buffer<uint64_t>& keys);
// From distinct values already in order.
Value make_sorted_set(Run& run, std::span<const Value> items);
Value make_function(Run& run, Closure kind, int arity, std::span<const Value> captured);
Value primitive_function(int id);

// --- comparing --------------------------------------------------------------------------------------

// The total order in which sets are kept: numbers, then tuples (element by element), sets, functions.
int compare(Run& run, Value a, Value b);
bool equal(Run& run, Value a, Value b);
// Python's `a < b`: numbers by size, tuples element by element, sets by inclusion; Type otherwise.
bool less(Run& run, Value a, Value b);
bool truthy(Value v);

// --- reading ----------------------------------------------------------------------------------------

[[noreturn]] void wrong_type(const char* expected, Value found);
[[noreturn]] inline void bad_value(const char* what) { throw Fault{Kind::Value, what}; }

inline int64_t number(Value v) {
    if (!v.is_number()) wrong_type("an integer", v);
    return v.num;
}
inline Value checked(int64_t n) {
    if (n > INT32_MAX || n < -INT32_MAX) throw Fault{Kind::Overflow, "an integer beyond 32 bits"};
    return Value::integer(n);
}
inline int64_t floor_divide(int64_t a, int64_t b) {
    if (b == 0) bad_value("division by zero");
    return a / b - (a % b != 0 && (a < 0) != (b < 0));
}
int colour(Value v);             // an integer that fits a grid's cell
void coordinate(Value v, int64_t& i, int64_t& j); // the first two elements of a tuple of integers

// A grid as rows of bytes; the empty tuple reads as 0 × 0.
struct GridView {
    int h, w;
    const int8_t* cells;
    size_t area() const { return size_t(h) * size_t(w); }
    int8_t at(int i, int j) const { return cells[size_t(i) * size_t(w) + size_t(j)]; }
    bool holds(int i, int j) const { return unsigned(i) < unsigned(h) && unsigned(j) < unsigned(w); }
};
GridView grid(Value v);
GridView nonempty_grid(Value v); // with at least one row

// The elements of a tuple or a set, in order. Rows of a grid are made on demand.
class Items {
  public:
    Items(Run& run, Value container);
    size_t size() const { return n_; }
    Value operator[](size_t k) const;

  private:
    Run& run_;
    Value v_;
    size_t n_;
};
size_t length(Value container); // Python's len

// What `toindices` gives: the places of a patch. A set's are sorted and distinct, a tuple's in its order.
class Places {
  public:
    Places(Run& run, Value patch);
    std::span<const uint32_t> keys() const { return keys_; }
    size_t size() const { return keys_.size(); }
    bool empty() const { return keys_.empty(); }
    bool sorted() const { return sorted_; }
    auto begin() const { return keys_.begin(); }
    auto end() const { return keys_.end(); }

  private:
    Buffer<uint32_t> store_;
    std::span<const uint32_t> keys_;
    bool sorted_ = true;
};

// The cells of an object (or of a tuple of cells, in its order).
class Cells {
  public:
    Cells(Run& run, Value object);
    std::span<const uint64_t> keys() const { return keys_; }
    bool empty() const { return keys_.empty(); }
    auto begin() const { return keys_.begin(); }
    auto end() const { return keys_.end(); }

  private:
    Buffer<uint64_t> store_;
    std::span<const uint64_t> keys_;
};

// True for a non-empty patch that carries colours.
bool coloured(Run& run, Value patch);

struct Extent {
    int top, bottom, left, right; // inclusive
    int height() const { return bottom - top + 1; }
    int width() const { return right - left + 1; }
};
Extent extent(Run& run, const Places& places); // Value fault when empty
Extent extent(Run& run, Value patch);

// --- calling ----------------------------------------------------------------------------------------

Value call(Run& run, Value function, const Value* arguments, int n);
inline Value call(Run& run, Value function, Value argument) { return call(run, function, &argument, 1); }
// The truth of function(argument); what the call held is given back.
bool test(Run& run, Value function, Value argument);

} // namespace codeit
