// The table of primitives: one list a theme, joined in a fixed order.
#pragma once

#include <span>
#include <string_view>
#include <vector>

#include "../values.hpp"

namespace codeit {

struct Primitive {
    const char* name;
    int arity;
    const char* signature; // "Grid, Integer, Patch -> Grid"
    const char* doc;
    Value (*function)(Run& run, const Value* arguments);
};

struct Constant {
    const char* name;
    Value value;
};

std::span<const Primitive> primitives();
std::span<const Constant> constants();
int find_primitive(std::string_view name); // -1 when there is none
int find_constant(std::string_view name);

// Shared by the themes (containers.cpp).
Value make_like(Run& run, Value container, const Buffer<Value>& items); // a set for a set, else a tuple
Value merge(Run& run, Value containers);
// The union of the patches of one kind among some values, made in room for so many keys.
template <class T>
Value unite(Run& run, std::span<const Value> values, Tag tag, const PatchNode<T>* Value::*patch, size_t room) {
    NewPatch<T> united(run, room);
    for (Value v : values)
        if (v.tag == tag) united.append((v.*patch)->keys, (v.*patch)->n);
    return united.any_order();
}
// The most (or least) frequent of some values; of several, the least in the order of sets. Sorts `items`.
Value commonest(Run& run, Buffer<Value>& items, bool most);

namespace themes {
extern const std::vector<Primitive> numbers, containers, functions, patches, grids;
}

} // namespace codeit
