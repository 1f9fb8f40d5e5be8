// Building, reading and comparing values.
#pragma once

#include <span>

#include "run.hpp"

namespace codeit {

// --- building: each function chooses the one representation of its value ---------------------------

Value empty_tuple();
Value empty_set();

// A tuple of two integers. Overflow fault beyond 16 bits.
inline Value make_pair(int64_t i, int64_t j) {
    if (i < INT16_MIN || i > INT16_MAX || j < INT16_MIN || j > INT16_MAX)
        fail(Kind::Overflow, "a coordinate exceeds 16 bits");
    return Value::pair(pair_key(int(i), int(j)));
}
// A grid for the caller to fill through `cells`. The empty tuple if the height is 0 or negative.
Value new_grid(Run& run, int64_t height, int64_t width, int8_t*& cells);
// A grid that exists already, outlives the run and has its colours counted. Charged like a new
// grid.
Value input_grid(Run& run, const GridNode* node);
// A grid with the cells that `cell(row, column)` returns.
template <class Cell> Value build_grid(Run& run, int64_t height, int64_t width, Cell cell) {
    int8_t* cells;
    Value v = new_grid(run, height, width, cells);
    int8_t* out = cells; // a local, so that it stays in a register
    for (int i = 0, h = int(height); i < h; ++i)
        for (int j = 0, w = int(width); j < w; ++j) *out++ = int8_t(cell(i, j));
    return v;
}
// A patch of n >= 1 places for the caller to fill through `keys`, sorted and distinct.
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
Value make_set(Run& run, std::span<const Value> items); // in any order, duplicates allowed
// From values that are distinct and sorted.
Value make_sorted_set(Run& run, std::span<const Value> items);
// Sorts values in the order of `compare`.
void sort(Run& run, Buffer<Value>& items);
Value make_function(Run& run, Closure kind, int arity, std::span<const Value> captured);
Value primitive_function(int id);

// Sorts keys in place and removes duplicates. Returns the number of distinct keys.
size_t sort_distinct(Run& run, uint32_t* keys, size_t n);
size_t sort_distinct(Run& run, uint64_t* keys, size_t n);

// Builds a patch key by key, in its final place in memory. Without keys it is the empty set.
template <class T> class PatchBuilder {
  public:
    PatchBuilder(Run& run, size_t capacity) : run_(run), capacity_(capacity) {
        if (capacity > kMaxCapacity) fail(Kind::Cells, "over the budget of cells");
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
    // The patch, if the keys are sorted and distinct.
    Value finish_sorted() {
        run_.charge(size_ + 1);
        size_t kept = size_ ? bytes(size_) : 0;
        if (run_.is_last(node_, bytes(capacity_))) run_.shorten(node_, kept);
        if (size_ == 0) return empty_set();
        node_->n = uint32_t(size_);
        return Value(node_);
    }
    // The patch of keys in any order, duplicates allowed.
    Value finish_unsorted() {
        size_ = sort_distinct(run_, node_->keys, size_);
        return finish_sorted();
    }

  private:
    static constexpr size_t kMaxCapacity = UINT32_MAX / 2;
    static size_t bytes(size_t n) { return sizeof(PatchNode<T>) + n * sizeof(T); }

    void grow(size_t capacity) {
        if (capacity > kMaxCapacity) fail(Kind::Cells, "over the budget of cells");
        node_ = static_cast<PatchNode<T>*>(run_.grow(node_, bytes(capacity_), bytes(size_), bytes(capacity)));
        capacity_ = capacity;
    }

    Run& run_;
    PatchNode<T>* node_;
    size_t size_ = 0, capacity_;
};
using IndicesBuilder = PatchBuilder<uint32_t>;
using ObjectBuilder = PatchBuilder<uint64_t>;

// --- comparing --------------------------------------------------------------------------------------

// The total order in which sets are sorted: None, numbers, tuples (element by element), sets,
// functions. Returns -1, 0 or 1.
int compare(Run& run, Value a, Value b);
inline bool equal(Run& run, Value a, Value b) {
    if (a.is_number() && b.is_number()) {
        run.charge(1);
        return a.num == b.num;
    }
    return a.tag == b.tag && compare(run, a, b) == 0; // a value has one representation
}
// A hash of a value. Functions made of the same parts have equal hashes. Charges no steps: the weight of
// a value bounds the time.
uint64_t hash_value(Value v);
// Python's `a < b`: numbers by size, tuples element by element, sets by inclusion. Type fault for
// other values.
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
    if (n > INT32_MAX || n < -INT32_MAX) fail(Kind::Overflow, "an integer exceeds 32 bits");
    return Value::integer(n);
}
inline int64_t floor_divide(int64_t a, int64_t b) {
    if (b == 0) bad_value("division by zero");
    return a / b - (a % b != 0 && (a < 0) != (b < 0));
}
int colour(Value v);                              // an integer that fits the cell of a grid
void coordinate(Value v, int64_t& i, int64_t& j); // the first two elements of a tuple of integers

// A grid as rows of bytes. The empty tuple is a grid of 0 × 0.
struct GridView {
    int h, w;
    const int8_t* cells;
    size_t area() const { return size_t(h) * size_t(w); }
    int8_t at(int i, int j) const { return cells[size_t(i) * size_t(w) + size_t(j)]; }
    bool holds(int i, int j) const { return unsigned(i) < unsigned(h) && unsigned(j) < unsigned(w); }
    // The index of the cell at a place; -1 outside the grid.
    int64_t find(uint32_t key) const {
        int i = key_i(key), j = key_j(key);
        return holds(i, j) ? int64_t(i) * w + j : -1;
    }
};
GridView grid(Value v);
GridView nonempty_grid(Value v); // with at least one row

// A grid whose cell (i, j) is the one at index first + i * row + j * column of another grid.
inline Value strided_grid(Run& run, const GridView& g, int height, int width, int64_t first, int64_t column,
                          int64_t row) {
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
Value row(Run& run, const GridNode* grid, size_t i); // as a tuple

// The elements of a tuple or a set, in order. The rows of a grid are built on access.
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

// The places of a patch, like the primitive `toindices`: sorted and distinct for a set, in their
// order for a tuple.
class Places {
  public:
    Places(Run& run, Value patch) : store_(run) {
        if (patch.tag == Tag::Indices) keys_ = {patch.indices->keys, patch.indices->n};
        else collect(run, patch);
    }
    std::span<const uint32_t> keys() const { return keys_; }
    size_t size() const { return keys_.size(); }
    bool empty() const { return keys_.empty(); }
    bool sorted() const { return sorted_; }
    const uint32_t* begin() const { return keys_.data(); }
    const uint32_t* end() const { return keys_.data() + keys_.size(); }

  private:
    void collect(Run& run, Value patch);
    Buffer<uint32_t> store_;
    std::span<const uint32_t> keys_;
    bool sorted_ = true;
};

// The cells of an object, or of a tuple of cells in their order.
class Cells {
  public:
    Cells(Run& run, Value object) : store_(run) {
        if (object.tag == Tag::Object) keys_ = {object.object->keys, object.object->n};
        else collect(run, object);
    }
    std::span<const uint64_t> keys() const { return keys_; }
    bool empty() const { return keys_.empty(); }
    auto begin() const { return keys_.begin(); }
    auto end() const { return keys_.end(); }

  private:
    void collect(Run& run, Value object);
    Buffer<uint64_t> store_;
    std::span<const uint64_t> keys_;
};

// Whether a patch is not empty and has colours. Type fault if it is not a patch.
bool coloured(Run& run, Value patch);

// The bounding box of a patch.
struct Extent {
    int top, bottom, left, right; // inclusive
    int height() const { return bottom - top + 1; }
    int width() const { return right - left + 1; }
};
Extent extent(Run& run, const Places& places); // Value fault if empty
Extent extent(Run& run, Value patch);

} // namespace codeit
