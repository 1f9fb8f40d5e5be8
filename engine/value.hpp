// Values of the language: what a variable of a program can hold.
//
// Each value has exactly one representation. Equality follows Python: a grid is a tuple of tuples
// of integers, a coordinate is a pair of integers, and True is 1 inside a container. The functions
// that build values (values.hpp) choose the most compact representation that fits, so that equality
// is a comparison of tags and bytes:
//
//   Pair     a tuple of two integers of 16 bits                  inline
//   Cell     a tuple (integer, Pair): a colour and its place     inline
//   Grid     a non-empty tuple of tuples of equal length, of integers of 8 bits
//   Indices  a non-empty set of Pairs, sorted
//   Object   a non-empty set of Cells, sorted
//   Tuple    any other tuple, including the empty one
//   Set      any other set, including the empty one, sorted and without duplicates
//
// A Value is a handle of two words that can be copied freely. What it points to is in the arena of
// a run (run.hpp) and is released with the arena's memory.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>

namespace codeit {

enum class Tag : uint64_t { None, Bool, Int, Pair, Cell, Grid, Tuple, Indices, Object, Set, Function };

struct GridNode;
struct ItemsNode;
struct FunctionNode;
template <class T> struct PatchNode;
using IndicesNode = PatchNode<uint32_t>;
using ObjectNode = PatchNode<uint64_t>;

// Coordinates and colours are stored with a bias, so that keys, as unsigned integers, sort like the
// tuples.
inline constexpr int kBias = 32768;

inline constexpr uint32_t pair_key(int i, int j) {
    return (uint32_t(i + kBias) << 16) | uint32_t(j + kBias);
}
inline constexpr uint64_t cell_key(int value, uint32_t pair) {
    return (uint64_t(value + kBias) << 32) | pair;
}
inline constexpr int key_i(uint32_t key) { return int(key >> 16) - kBias; }
inline constexpr int key_j(uint32_t key) { return int(key & 0xffff) - kBias; }
inline constexpr int key_value(uint64_t key) { return int(key >> 32) - kBias; }

struct Value {
    Tag tag = Tag::None;
    union {
        int64_t num;  // Bool, Int
        uint64_t key; // Pair (low 32 bits), Cell
        const GridNode* grid;
        const ItemsNode* items; // Tuple, Set
        const IndicesNode* indices;
        const ObjectNode* object;
        const FunctionNode* function;
    };

    Value() : num(0) {}
    Value(Tag t, const ItemsNode* node) : tag(t), items(node) {}
    explicit Value(const GridNode* node) : tag(Tag::Grid), grid(node) {}
    explicit Value(const IndicesNode* node) : tag(Tag::Indices), indices(node) {}
    explicit Value(const ObjectNode* node) : tag(Tag::Object), object(node) {}
    explicit Value(const FunctionNode* node) : tag(Tag::Function), function(node) {}
    static Value none() { return {}; }
    static Value boolean(bool b) { return {Tag::Bool, int64_t(b)}; }
    static Value integer(int64_t n) { return {Tag::Int, n}; }
    static Value pair(uint32_t key) { return {Tag::Pair, uint64_t(key)}; }
    static Value cell(uint64_t key) { return {Tag::Cell, key}; }

    bool is_number() const { return tag == Tag::Int || tag == Tag::Bool; }
    bool is_tuple() const { return tag >= Tag::Pair && tag <= Tag::Tuple; }
    bool is_set() const { return tag >= Tag::Indices && tag <= Tag::Set; }
    bool is_inline() const { return tag <= Tag::Cell; }
    int i() const { return key_i(uint32_t(key)); } // of a Pair or a Cell
    int j() const { return key_j(uint32_t(key)); }

  private:
    Value(Tag t, int64_t n) : tag(t), num(n) {}
    Value(Tag t, uint64_t k) : tag(t), key(k) {}
};

struct GridNode {
    uint32_t height, width;         // height >= 1
    mutable const uint16_t* counts; // of the colours 0 to 9, if others do not occur; nullptr if not counted
    mutable int8_t background;      // the most frequent colour; kUnknown until it is computed
    int8_t cells[];                 // row by row; kPadding more bytes are readable
    static constexpr int8_t kUnknown = INT8_MAX;
    static constexpr size_t kPadding = 7;
    uint32_t area() const { return height * width; }
};

// A node is allocated with sizeof(GridNode) bytes in addition to its cells.
static_assert(sizeof(GridNode) >= offsetof(GridNode, cells) + GridNode::kPadding);

// `weight` is the number of elements of the value if it were written out in full. Values can share
// parts, so a bound on the weight is what bounds the time of comparing, hashing or printing a
// value. `nesting` is the number of levels, and bounds the recursion.
struct ItemsNode {
    uint32_t n, weight, nesting;
    Value items[];
};

template <class T> struct PatchNode {
    uint32_t n;
    T keys[];
};

enum class Closure : uint8_t { Primitive, Compose, Chain, Matcher, Rbind, Lbind, Fork };

struct Run;

struct FunctionNode {
    Closure kind;
    uint8_t arity;                      // arguments that a call takes
    uint8_t n;                          // captured values
    bool constant_time;                 // the function and all that it calls take a fixed, short time
    mutable bool memoized;              // a call of the function was remembered
    mutable uint8_t consecutive_misses; // calls in a row for which the memo was of no use
    uint16_t primitive;                 // the index into primitives(), and its code, if `kind` is Primitive
    uint32_t weight, nesting;
    Value (*code)(Run& run, const Value* arguments);
    Value captured[];
};

// The name of a value's type: Integer, Grid, Objects, …
const char* type_name(Value v);

// See ItemsNode.
struct Bulk {
    uint64_t weight;
    uint32_t nesting;
};

inline Bulk bulk(Value v) {
    if (v.is_inline()) return {1, v.tag == Tag::Cell ? 3u : v.tag == Tag::Pair ? 2u : 1u};
    switch (v.tag) {
    case Tag::Grid: return {v.grid->area() + 1, 3};
    case Tag::Tuple:
    case Tag::Set: return {v.items->weight, v.items->nesting};
    case Tag::Indices: return {v.indices->n + 1, 3};
    case Tag::Object: return {v.object->n + 1, 4};
    default: return {v.function->weight, v.function->nesting};
    }
}
inline uint64_t weight(Value v) { return bulk(v).weight; }

// Copies field by field. A value that was just written as two words would stall a wider load.
inline void put(Value& to, const Value& from) {
    Tag tag = from.tag;
    uint64_t key = from.key;
    to.tag = tag;
    to.key = key;
}

// Whether both are the same inline value or share a node.
inline bool identical(Value a, Value b) { return a.tag == b.tag && a.key == b.key; }

} // namespace codeit
