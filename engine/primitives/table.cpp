#include "table.hpp"

#include <unordered_map>

namespace codeit {

std::span<const Primitive> primitives() {
    static const std::vector<Primitive> table = [] {
        std::vector<Primitive> all;
        for (const auto* theme : {&themes::numbers, &themes::containers, &themes::functions, &themes::patches,
                                  &themes::grids})
            all.insert(all.end(), theme->begin(), theme->end());
        return all;
    }();
    return table;
}

std::span<const Constant> constants() {
    auto integer = [](int n) { return Value::integer(n); };
    auto pair = [](int i, int j) { return Value::pair(pair_key(i, j)); };
    static const std::vector<Constant> table = {
        {"ZERO", integer(0)},        {"ONE", integer(1)},        {"TWO", integer(2)},
        {"THREE", integer(3)},       {"FOUR", integer(4)},       {"FIVE", integer(5)},
        {"SIX", integer(6)},         {"SEVEN", integer(7)},      {"EIGHT", integer(8)},
        {"NINE", integer(9)},        {"TEN", integer(10)},       {"F", Value::boolean(false)},
        {"T", Value::boolean(true)}, {"NEG_ONE", integer(-1)},   {"ORIGIN", pair(0, 0)},
        {"UNITY", pair(1, 1)},       {"DOWN", pair(1, 0)},       {"RIGHT", pair(0, 1)},
        {"UP", pair(-1, 0)},         {"LEFT", pair(0, -1)},      {"NEG_TWO", integer(-2)},
        {"NEG_UNITY", pair(-1, -1)}, {"UP_RIGHT", pair(-1, 1)},  {"DOWN_LEFT", pair(1, -1)},
        {"ZERO_BY_TWO", pair(0, 2)}, {"TWO_BY_ZERO", pair(2, 0)}, {"TWO_BY_TWO", pair(2, 2)},
        {"THREE_BY_THREE", pair(3, 3)},
    };
    return table;
}

namespace {

template <class Table> int find(const Table& table, std::string_view name) {
    static const auto index = [&] {
        std::unordered_map<std::string_view, int> made;
        for (size_t k = 0; k < table.size(); ++k) made.emplace(table[k].name, int(k));
        return made;
    }();
    auto found = index.find(name);
    return found == index.end() ? -1 : found->second;
}

} // namespace

int find_primitive(std::string_view name) { return find(primitives(), name); }
int find_constant(std::string_view name) { return find(constants(), name); }

} // namespace codeit
