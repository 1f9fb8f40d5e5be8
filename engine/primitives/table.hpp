// The table of primitives: the lists of all themes, in a fixed order.
#pragma once

#include <span>
#include <string_view>
#include <vector>

#include "../values.hpp"

namespace codeit {

struct Primitive {
    const char* name;
    int arity;
    const char* signature; // for example "Grid, Integer, Patch -> Grid"
    const char* doc;
    Value (*function)(Run& run, const Value* arguments);
};

struct Constant {
    const char* name;
    Value value;
};

std::span<const Primitive> primitives();
std::span<const Constant> constants();
int find_primitive(std::string_view name); // the index; -1 if there is none
int find_constant(std::string_view name);

// Used by several themes, defined in containers.cpp.
// A set if `container` is a set, else a tuple.
Value make_like(Run& run, Value container, const Buffer<Value>& items);
Value merge(Run& run, Value containers);
// The union of the patches with a given tag among some values. `room` is the number of keys to
// allocate at first.
template <class T>
Value unite(Run& run, std::span<const Value> values, Tag tag, const PatchNode<T>* Value::*patch,
            size_t room) {
    PatchBuilder<T> united(run, room);
    for (Value v : values)
        if (v.tag == tag) united.append((v.*patch)->keys, (v.*patch)->n);
    return united.finish_unsorted();
}
// The most (or least) frequent of some values; in a tie, the first in the order of `compare`. Sorts
// `items`.
Value commonest(Run& run, Buffer<Value>& items, bool most);

namespace themes {
extern const std::vector<Primitive> numbers, containers, functions, patches, grids;
}

} // namespace codeit
