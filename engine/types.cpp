#include "types.hpp"

#include <algorithm>
#include <initializer_list>
#include <string_view>

#include "primitives/table.hpp"

namespace codeit {

Atom atom(Value v) {
    auto all = [&](auto accept) {
        const ItemsNode* node = v.items;
        return node->n > 0 && std::all_of(node->items, node->items + node->n, accept);
    };
    switch (v.tag) {
    case Tag::None: return Atom::None;
    case Tag::Bool: return Atom::Boolean;
    case Tag::Int: return Atom::Integer;
    case Tag::Pair: return Atom::IntegerTuple;
    case Tag::Cell: return Atom::Cell;
    case Tag::Grid: return Atom::Grid;
    case Tag::Tuple: return all([](Value x) { return x.is_tuple(); }) ? Atom::TupleTuple : Atom::Tuple;
    case Tag::Indices: return Atom::Indices;
    case Tag::Object: return Atom::Object;
    case Tag::Set:
        if (all([](Value x) { return x.tag == Tag::Int; })) return Atom::IntegerSet;
        if (all([](Value x) { return x.tag == Tag::Object; })) return Atom::Objects;
        if (all([](Value x) { return x.tag == Tag::Indices; })) return Atom::IndicesSet;
        return Atom::FrozenSet;
    case Tag::Function: return Atom::Callable;
    }
    return Atom::None;
}

bool unify(Atom& type, Atom next) {
    if (type == next) return true;
    bool sets = type >= Atom::Indices && next >= Atom::Indices;
    auto is_tuple = [](Atom atom) { return atom == Atom::Tuple || atom == Atom::TupleTuple; };
    bool tuples = is_tuple(type) && is_tuple(next);
    Atom any = sets ? Atom::FrozenSet : Atom::Tuple;
    if (!(sets || tuples) || (type != any && next != any)) return false;
    if (type == any) type = next;
    return true;
}

const char* name(Atom atom) {
    static constexpr const char* names[kAtoms] = {
        "None", "Boolean", "Integer", "Callable", "IntegerTuple", "Cell", "Grid", "Tuple", "TupleTuple",
        "Indices", "Object", "Objects", "IndicesSet", "IntegerSet", "FrozenSet"};
    return names[int(atom)];
}

const char* type_name(Value v) { return name(atom(v)); }

std::span<const Type> types() {
    auto of = [](std::initializer_list<Atom> atoms) {
        Atoms set = 0;
        for (Atom a : atoms) set |= bit(a);
        return set;
    };
    using enum Atom;
    static const Atoms tuples = of({IntegerTuple, Cell, Grid, Tuple, TupleTuple});
    static const Atoms sets = of({Indices, Object, Objects, IndicesSet, IntegerSet, FrozenSet});
    static const Type table[] = {
        {"Any", of({Boolean, Integer, Callable}) | tuples | sets},
        {"Boolean", of({Boolean})},
        {"Callable", of({Callable})},
        {"Container", tuples | sets},
        {"ContainerContainer", of({Grid, TupleTuple, Objects, IndicesSet})},
        {"Element", of({Object, Grid})},
        {"FrozenSet", sets},
        {"Grid", of({Grid})},
        {"Indices", of({Indices})},
        {"Integer", of({Integer})},
        {"IntegerSet", of({IntegerSet})},
        {"IntegerTuple", of({IntegerTuple})},
        {"Numerical", of({Integer, IntegerTuple})},
        {"Object", of({Object})},
        {"Objects", of({Objects})},
        {"Patch", of({Object, Indices})},
        {"Piece", of({Object, Indices, Grid})},
        {"Tuple", of({Tuple, TupleTuple})},
        {"TupleTuple", of({TupleTuple})},
    };
    return table;
}

const Signature& signature(int primitive) {
    static const std::vector<Signature> all = [] {
        auto admitted = [](std::string_view name) {
            auto same = [&](const Type& type) { return type.name == name; };
            auto found = std::find_if(types().begin(), types().end(), same);
            return found == types().end() ? Atoms(0) : found->admits;
        };
        std::vector<Signature> signatures;
        for (const Primitive& p : primitives()) { // "Grid, Integer, Patch -> Grid"
            Signature s{};
            std::string_view text = p.signature;
            size_t arrow = text.find(" -> ");
            s.result = admitted(text.substr(arrow + 4));
            text = text.substr(0, arrow);
            for (int k = 0; k < p.arity; ++k) {
                size_t comma = std::min(text.find(", "), text.size());
                s.parameters[k] = admitted(text.substr(0, comma));
                text.remove_prefix(std::min(comma + 2, text.size()));
            }
            signatures.push_back(s);
        }
        return signatures;
    }();
    return all[size_t(primitive)];
}

} // namespace codeit
