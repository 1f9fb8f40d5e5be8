#include "targets.hpp"

#include <algorithm>
#include <array>

#include "hash.hpp"
#include "primitives/table.hpp"

namespace codeit {

bool Window::operator==(const Window& other) const {
    if (h != other.h || w != other.w) return false;
    for (int i = 0; i < h; ++i)
        if (std::memcmp(cells + i * stride, other.cells + i * other.stride, size_t(w)) != 0) return false;
    return true;
}

uint64_t Window::hash(uint64_t before) const {
    before = mix(before, uint64_t(h) << 32 | uint64_t(w));
    for (int i = 0; i < h; ++i) before = hash_bytes(before, cells + i * stride, size_t(w));
    return before;
}

Targets::Targets(const Enumeration& enumeration)
    : enumeration_(enumeration), grids_{{Operand::Kind::Input, 0}}, offset_{0} {
    for (size_t d = 0; d < enumeration.demonstrations(); ++d) {
        const Grid& g = enumeration.output(d);
        wanted_.push_back({g.height(), g.width(), g.cells()});
        offset_.push_back(offset_.back() + (g.area() + 63) / 64);
    }
    read_grids();
    read_colours();
}

void Targets::read_grids() {
    for (const Argument& candidate : enumeration_.expressions_of_type(Atom::Grid))
        grids_.push_back(candidate);
    for (const Argument& candidate : grids_) {
        uint64_t hash = 0;
        bool right_shape = true;
        for (size_t d = 0; d < size(); ++d) {
            GridView g = grid(candidate, d), want = wanted(d);
            hash = Window(g).hash(hash);
            right_shape = right_shape && g.h == want.h && g.w == want.w;
        }
        by_value_.try_emplace(hash, candidate);
        if (right_shape) canvases_.push_back(candidate);
    }
    for (size_t d = 0; d < size() && !canvases_.empty(); ++d) {
        GridView g = grid(canvases_[0], d);
        canvas_.push_back(g);
        std::array<int, 256> times{};
        for (size_t at = 0; at < g.area(); ++at) ++times[uint8_t(g.cells[at])];
        ground_.push_back(int8_t(std::ranges::max_element(times) - times.begin()));
    }
}

void Targets::read_colours() {
    const auto fill = uint16_t(find_primitive("fill"));
    auto add = [&](std::vector<int64_t> values, Argument a) {
        auto bits = [&](const Argument& colour) { return enumeration_.argument_bits(fill, 1, colour); };
        auto [known, is_new] = colours_.try_emplace(std::move(values), a);
        if (!is_new && bits(a) < bits(known->second)) known->second = a;
    };
    for (uint16_t c = 0; c < constants().size(); ++c)
        if (atom(constants()[c].value) == Atom::Integer)
            add(std::vector<int64_t>(size(), constants()[c].value.num), {Operand::Kind::Constant, c});
    for (const Argument& integer : enumeration_.expressions_of_type(Atom::Integer)) {
        std::vector<int64_t> values;
        for (size_t d = 0; d < size(); ++d) values.push_back(value(integer, d).num);
        add(std::move(values), integer);
    }
}

std::optional<Argument> Targets::known_grid(uint64_t hash) const {
    auto found = by_value_.find(hash);
    return found == by_value_.end() ? std::nullopt : std::optional(found->second);
}

std::optional<Argument> Targets::known_colour(const std::vector<int64_t>& colours) const {
    auto found = colours_.find(colours);
    return found == colours_.end() ? std::nullopt : std::optional(found->second);
}

Mask Targets::to_change(Argument canvas) const {
    Mask cells = no_cells();
    for (size_t d = 0; d < size(); ++d) {
        GridView want = wanted(d), g = grid(canvas, d);
        for (int i = 0; i < want.h; ++i)
            for (int j = 0; j < want.w; ++j)
                if (g.at(i, j) != want.at(i, j)) add(cells, d, i, j);
    }
    return cells;
}

} // namespace codeit
