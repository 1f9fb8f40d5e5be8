// Building, reading and comparing values.
#pragma once

#include <optional>
#include <span>

#include "run.hpp"

namespace codeit {

// --- building: each picks the one representation of its value ---------------------------------------

Value empty_tuple();
Value empty_set();

// A tuple of two integers; Overflow beyond 16 bits.
inline Value make_pair(int64_t i, int64_t j) {
    if (i < INT16_MIN || i > INT16_MAX || j < INT16_MIN || j > INT16_MAX)
        fail(Kind::Overflow, "a coordinate beyond 16 bits");
    return Value::pair(pair_key(int(i), int(j)));
}
// A grid to be filled through `cells`; the empty tuple when height is 0.
Value new_grid(Run& run, int64_t height, int64_t width, int8_t*& cells);
// A grid that is there already and outlives the run, at the price of a new one. With its colours counted.
Value given_grid(Run& run, const GridNode* node);
// A grid whose cells are what `cell(row, column)` gives.
template <class Cell> Value build_grid(Run& run, int64_t height, int64_t width, Cell cell) {
    int8_t* cells;
    Value v = new_grid(run, height, width, cells);
    int8_t* out = cells; // in a register
    for (int i = 0, h = int(height); i < h; ++i)
        for (int j = 0, w = int(width); j < w; ++j) *out++ = int8_t(cell(i, j));
    return v;
}
// A patch of n places, n >= 1, to be filled through `keys`: sorted and distinct.
template <class T> Value new_patch(Run& run, size_t n, T*& keys) {
    auto* node = run.allocate<PatchNode<T>, T>(n);
    node->n = uint32_t(n);
    keys = node->keys;
    return Value(node);
}
Value make_tuple(Run& run, std::span<const Value> items);
inline Value make_tuple(Run& run, Value a, Value b) {
    if (a.tag == Tag::Int && b.tag == Tag::Int) return make_pair(a.num, b.num);
    Value items[] = {a, b};
    return make_tuple(run, items);
}
Value make_set(Run& run, std::span<const Value> items); // any order, repetitions allowed
// From distinct values already in order.
Value make_sorted_set(Run& run, std::span<const Value> items);
// Into the order of sets; values that are equal come out side by side.
void sort(Run& run, Buffer<Value>& items);
Value make_function(Run& run, Closure kind, int arity, std::span<const Value> captured);
Value primitive_function(int id);

// Sorts and thins keys in place; how many are left.
size_t sort_distinct(Run& run, uint32_t* keys, size_t n);
size_t sort_distinct(Run& run, uint64_t* keys, size_t n);

// A patch that is built up key by key, in the place where it will stay; the empty set when there are none.
template <class T> class NewPatch {
  public:
    NewPatch(Run& run, size_t capacity) : run_(run), capacity_(capacity) {
        if (capacity > kMost) fail(Kind::Cells, "over the budget of cells");
        node_ = static_cast<PatchNode<T>*>(run.allocate(bytes(capacity)));
    }
    void push(T key) {
        if (size_ == capacity_) grow(capacity_ * 2 + 8);
        node_->keys[size_++] = key;
    }
    void append(const T* keys, size_t n) {
        if (size_ + n > capacity_) grow(std::max(size_ + n, capacity_ * 2));
        std::memcpy(node_->keys + size_, keys, n * sizeof(T));
        size_ += n;
    }
    T* keys() { return node_->keys; }
    void resize(size_t n) { size_ = n; } // within the capacity
    Value in_order() {                   // of keys that are sorted and distinct
        run_.charge(size_ + 1);
        size_t kept = size_ ? bytes(size_) : 0;
        if (run_.is_last(node_, bytes(capacity_))) run_.shorten(node_, kept);
        if (size_ == 0) return empty_set();
        node_->n = uint32_t(size_);
        return Value(node_);
    }
    Value any_order() {
        size_ = sort_distinct(run_, node_->keys, size_);
        return in_order();
    }

  private:
    static constexpr size_t kMost = UINT32_MAX / 2;
    static size_t bytes(size_t n) { return sizeof(PatchNode<T>) + n * sizeof(T); }

    void grow(size_t capacity) {
        if (capacity > kMost) fail(Kind::Cells, "over the budget of cells");
        node_ = static_cast<PatchNode<T>*>(run_.grow(node_, bytes(capacity_), bytes(size_), bytes(capacity)));
        capacity_ = capacity;
    }

    Run& run_;
    PatchNode<T>* node_;
    size_t size_ = 0, capacity_;
};
using NewIndices = NewPatch<uint32_t>;
using NewObject = NewPatch<uint64_t>;

// --- comparing --------------------------------------------------------------------------------------

// The total order in which sets are kept: numbers, then tuples (element by element), sets, functions.
int compare(Run& run, Value a, Value b);
inline bool equal(Run& run, Value a, Value b) {
    if (a.is_number() && b.is_number()) {
        run.charge(1);
        return a.num == b.num;
    }
    return a.tag == b.tag && compare(run, a, b) == 0; // one value, one representation
}
// Python's `a < b`: numbers by size, tuples element by element, sets by inclusion; Type otherwise.
bool less(Run& run, Value a, Value b);
inline bool truthy(Value v) {
    if (v.is_number()) return v.num != 0;
    switch (v.tag) {
    case Tag::None: return false;
    case Tag::Tuple:
    case Tag::Set: return v.items->n > 0;
    default: return true;
    }
}

// --- reading ----------------------------------------------------------------------------------------

[[noreturn, gnu::cold]] void wrong_type(const char* expected, Value found);
[[noreturn]] inline void bad_value(const char* what) { fail(Kind::Value, what); }

inline int64_t number(Value v) {
    if (!v.is_number()) wrong_type("an integer", v);
    return v.num;
}
inline Value checked(int64_t n) {
    if (n > INT32_MAX || n < -INT32_MAX) fail(Kind::Overflow, "an integer beyond 32 bits");
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
    // Which of the cells lies at a place; -1 outside.
    int64_t find(uint32_t key) const {
        int i = key_i(key), j = key_j(key);
        return holds(i, j) ? int64_t(i) * w + j : -1;
    }
};
GridView grid(Value v);
GridView nonempty_grid(Value v); // with at least one row

// A grid of the cells that a walk through another meets: from one on, so much further for each column and each row.
inline Value walked(Run& run, const GridView& g, int height, int width, int64_t first, int64_t column, int64_t row) {
    int8_t* out;
    Value v = new_grid(run, height, width, out);
    for (int i = 0; i < height; ++i, first += row)
        for (int64_t j = 0, at = first; j < width; ++j, at += column) *out++ = g.cells[at];
    return v;
}

inline size_t length(Value v) { // Python's len
    switch (v.tag) {
    case Tag::Pair:
    case Tag::Cell: return 2;
    case Tag::Grid: return v.grid->height;
    case Tag::Tuple:
    case Tag::Set: return v.items->n;
    case Tag::Indices: return v.indices->n;
    case Tag::Object: return v.object->n;
    default: wrong_type("a container", v);
    }
}
Value row(Run& run, const GridNode* grid, size_t i); // of a grid, as a tuple

// The elements of a tuple or a set, in order. Rows of a grid are made on demand.
class Items {
  public:
    Items(Run& run, Value container) : run_(run), v_(container), n_(length(container)) {}
    size_t size() const { return n_; }
    Value operator[](size_t k) const {
        switch (v_.tag) {
        case Tag::Pair: return Value::integer(k == 0 ? v_.i() : v_.j());
        case Tag::Cell: return k == 0 ? Value::integer(key_value(v_.key)) : Value::pair(uint32_t(v_.key));
        case Tag::Indices: return Value::pair(v_.indices->keys[k]);
        case Tag::Object: return Value::cell(v_.object->keys[k]);
        case Tag::Grid: return row(run_, v_.grid, k);
        default: return v_.items->items[k];
        }
    }

  private:
    Run& run_;
    Value v_;
    size_t n_;
};

// What `toindices` gives: the places of a patch. A set's are sorted and distinct, a tuple's in its order.
class Places {
  public:
    Places(Run& run, Value patch) : store_(run) {
        if (patch.tag == Tag::Indices) keys_ = {patch.indices->keys, patch.indices->n};
        else list(run, patch);
    }
    std::span<const uint32_t> keys() const { return keys_; }
    size_t size() const { return keys_.size(); }
    bool empty() const { return keys_.empty(); }
    bool sorted() const { return sorted_; }
    const uint32_t* begin() const { return keys_.data(); }
    const uint32_t* end() const { return keys_.data() + keys_.size(); }

  private:
    void list(Run& run, Value patch);
    Buffer<uint32_t> store_;
    std::span<const uint32_t> keys_;
    bool sorted_ = true;
};

// The cells of an object (or of a tuple of cells, in its order).
class Cells {
  public:
    Cells(Run& run, Value object) : store_(run) {
        if (object.tag == Tag::Object) keys_ = {object.object->keys, object.object->n};
        else list(run, object);
    }
    std::span<const uint64_t> keys() const { return keys_; }
    bool empty() const { return keys_.empty(); }
    auto begin() const { return keys_.begin(); }
    auto end() const { return keys_.end(); }

  private:
    void list(Run& run, Value object);
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

// The result of a call, with what else was allocated since the mark given back where that is simple, and much.
Value keep_only(Run& run, const Run::Mark& mark, Value result);
inline Value settle(Run& run, const Run::Mark& mark, Value result) {
    if (!result.is_inline()) return run.is_much_since(mark) ? keep_only(run, mark, result) : result;
    if (!run.untouched(mark)) run.release(mark);
    return result;
}
// As call, of a call that was perhaps made before; for a program's lines in company. What ended it early, if anything
// did, is in `fault`.
Value call_shared(Run& run, Value function, const Value* arguments, int n, std::optional<Fault>& fault);
// The call of a function that is no primitive: a quick one, and any other.
Value call_quick(Run& run, const FunctionNode* function, const Value* arguments, int n);
Value call_made(Run& run, const FunctionNode* function, const Value* arguments, int n);

inline constexpr uint64_t kCallSteps = 2; // and what the function itself takes

inline Value call_primitive(Run& run, const FunctionNode* f, const Value* arguments) {
    run.charge(kCallSteps);
    auto mark = run.mark();
    run.primitive = f->primitive;
    Value result = f->code(run, arguments);
    return f->quick ? result : settle(run, mark, result);
}
inline Value call(Run& run, Value function, const Value* arguments, int n) {
    if (function.tag != Tag::Function) wrong_type("a function", function);
    const FunctionNode* f = function.function;
    int before = run.primitive;
    Value result;
    if (f->kind == Closure::Primitive && n == f->arity) {
        result = call_primitive(run, f, arguments);
    } else {
        run.charge(kCallSteps);
        if (n != f->arity) fail(Kind::Type, "a function of another number of arguments");
        result = f->quick ? call_quick(run, f, arguments, n) : call_made(run, f, arguments, n);
    }
    run.primitive = before;
    return result;
}
inline Value call(Run& run, Value function, Value argument) { return call(run, function, &argument, 1); }

} // namespace codeit
