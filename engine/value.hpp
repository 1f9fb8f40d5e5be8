// Values of the language: what a variable of a program can hold.
//
// A value has one representation. Python's rules decide what is equal (a grid is a tuple of tuples of
// integers, a pair of integers is a coordinate, True is 1 inside a container), and the constructors below
// always pick the most compact form that fits, so equality is a comparison of tags and bytes:
//
//   Pair     a tuple of two integers of 16 bits                  inline
//   Cell     a tuple (integer, Pair): a colour and its place     inline
//   Grid     a non-empty tuple of tuples, all of one length, of integers of 8 bits
//   Indices  a non-empty set of Pairs, sorted
//   Object   a non-empty set of Cells, sorted
//   Tuple    any other tuple; the empty one too
//   Set      any other set, sorted and without repetition; the empty one too
//
// Values live in the arena of a run (run.hpp) and are plain handles: copied freely, never freed one by one.
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

// Coordinates and colours are stored biased, so that unsigned keys sort as the tuples do.
inline constexpr int kBias = 32768;

inline constexpr uint32_t pair_key(int i, int j) {
    return (uint32_t(i + kBias) << 16) | uint32_t(j + kBias);
}
inline constexpr uint64_t cell_key(int value, uint32_t pair) { return (uint64_t(value + kBias) << 32) | pair; }
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
    mutable const uint16_t* counts; // of the colours 0 to 9, where no others occur; nullptr if not known
    mutable int8_t background;      // the most frequent colour, or kUnknown: never asked for, or that colour
    int8_t cells[];                 // row by row; kBehind bytes more can be read
    static constexpr int8_t kUnknown = INT8_MAX;
    static constexpr size_t kBehind = 7;
    uint32_t area() const { return height * width; }
};

static_assert(sizeof(GridNode) >= offsetof(GridNode, cells) + GridNode::kBehind); // a node has sizeof and its cells

// `weight` is the number of cells the value would have if written out in full: values may share parts, and
// a bound on the weight bounds the work of comparing, hashing or printing them. `nesting` is the number of
// levels that it has, and bounds the recursion of the same.
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
    uint8_t arity;      // arguments that a call takes
    uint8_t n;          // captured values
    bool quick;         // it and all that it calls take a fixed, short time
    mutable bool remembered; // some call of it is
    mutable uint8_t vain;    // calls in a row that it was no use to watch
    uint16_t primitive; // index into the table, and its code, for Primitive
    uint32_t weight, nesting;
    Value (*code)(Run& run, const Value* arguments);
    Value captured[];
};

// The name of a value's type, as signatures write it: Integer, Grid, Objects, ...
const char* type_name(Value v);

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

// Copies field by field: a value that was just made comes from registers, and a wider load would wait for memory.
inline void put(Value& to, const Value& from) {
    Tag tag = from.tag;
    uint64_t key = from.key;
    to.tag = tag;
    to.key = key;
}

// The same inline value, or the same node.
inline bool identical(Value a, Value b) { return a.tag == b.tag && a.key == b.key; }

} // namespace codeit
