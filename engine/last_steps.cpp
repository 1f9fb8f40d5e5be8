#include "last_steps.hpp"

#include <algorithm>
#include <array>

#include "calls.hpp"
#include "hash.hpp"
#include "primitives/table.hpp"

namespace codeit {

namespace {

constexpr size_t kCut = 24;         // grids that are cut
constexpr size_t kRecolourings = 8; // solutions of this kind
constexpr size_t kMaxReplaced = 3;  // colours
constexpr int kMaxTiles = 3;        // in a row or a column
constexpr int kTilings = 2;         // tiles in tiles

Window window(const GridView& g, int top, int left, int h, int w) {
    return {g.cells + top * g.w + left, g.w, h, w};
}
Window window(const GridView& g) { return window(g, 0, 0, g.h, g.w); }

uint64_t add(uint64_t hash, const Window& one) {
    hash = mix(hash, uint64_t(one.h) << 32 | uint64_t(one.w));
    for (int i = 0; i < one.h; ++i) hash = hash_bytes(hash, one.cells + i * one.stride, size_t(one.w));
    return hash;
}

} // namespace

bool Window::operator==(const Window& other) const {
    if (h != other.h || w != other.w) return false;
    for (int i = 0; i < h; ++i)
        if (std::memcmp(cells + i * stride, other.cells + i * other.stride, size_t(w)) != 0) return false;
    return true;
}

LastSteps::LastSteps(Enumeration& enumeration)
    : enumeration_(enumeration), n_(enumeration.demonstrations()), grids_{{Operand::Kind::Input, 0}},
      offset_{0} {
    for (const Argument& grid : enumeration.of_type(Atom::Grid)) grids_.push_back(grid);
    for (const Argument& grid : grids_) {
        uint64_t hash = 0;
        bool right_shape = true;
        for (size_t d = 0; d < n_; ++d) {
            GridView g = value(grid, d), want = wanted(d);
            hash = add(hash, window(g));
            right_shape = right_shape && g.h == want.h && g.w == want.w;
        }
        by_value_.try_emplace(hash, grid);
        if (right_shape) canvases_.push_back(grid);
    }
    for (size_t d = 0; d < n_; ++d) offset_.push_back(offset_.back() + (wanted(d).area() + 63) / 64);

    const auto fill = uint16_t(find_primitive("fill"));
    auto add_colour = [&](std::vector<int64_t> values, Argument a) {
        auto bits = [&](const Argument& colour) { return enumeration.argument_bits(fill, 1, colour); };
        auto [known, is_new] = colours_.try_emplace(std::move(values), a);
        if (!is_new && bits(a) < bits(known->second)) known->second = a;
    };
    for (uint16_t c = 0; c < constants().size(); ++c)
        if (atom(constants()[c].value) == Atom::Integer)
            add_colour(std::vector<int64_t>(n_, constants()[c].value.num), {Operand::Kind::Constant, c});
    for (const Argument& integer : enumeration.of_type(Atom::Integer)) {
        std::vector<int64_t> values;
        for (size_t d = 0; d < n_; ++d) values.push_back(enumeration.value_of(integer, d).num);
        add_colour(std::move(values), integer);
    }
}

std::optional<Argument> LastSteps::known_grid(uint64_t hash) const {
    auto found = by_value_.find(hash);
    return found == by_value_.end() ? std::nullopt : std::optional(found->second);
}

std::optional<Argument> LastSteps::known_colour(const std::vector<int64_t>& of_demonstrations) const {
    auto found = colours_.find(of_demonstrations);
    return found == colours_.end() ? std::nullopt : std::optional(found->second);
}

void LastSteps::cut() {
    const std::span cut(grids_.data(), std::min(grids_.size(), kCut));
    for (Atom type : {Atom::Indices, Atom::Object})
        for (const Argument& patch : enumeration_.of_type(type)) {
            std::vector<std::array<int, 2>> corners; // of rectangles around the patch with the right shape
            for (size_t d = 0; d < n_; ++d) {
                int top = INT32_MAX, left = INT32_MAX, bottom = INT32_MIN, right = INT32_MIN;
                each_place(enumeration_.value_of(patch, d), [&](int i, int j, int) {
                    top = std::min(top, i), bottom = std::max(bottom, i);
                    left = std::min(left, j), right = std::max(right, j);
                });
                if (top < 0 || left < 0 || bottom < top) break; // outside the grid, or empty
                if (bottom - top + 1 != wanted(d).h || right - left + 1 != wanted(d).w) break;
                corners.push_back({top, left});
            }
            if (corners.size() < n_) continue;
            for (const Argument& grid : cut) {
                bool right = true;
                for (size_t d = 0; d < n_ && right; ++d) {
                    GridView g = value(grid, d), want = wanted(d);
                    auto [top, left] = corners[d];
                    right = top + want.h <= g.h && left + want.w <= g.w &&
                            window(g, top, left, want.h, want.w) == window(want);
                }
                if (right) enumeration_.last_step("subgrid", {patch, grid});
            }
        }
}

void LastSteps::turn() {
    struct Turn {
        const char *primitive, *inverse;
        const char* factor = nullptr; // the second argument, if there is one
    };
    constexpr Turn kTurns[] = {{"vmirror", "vmirror"},           {"hmirror", "hmirror"},
                               {"dmirror", "dmirror"},           {"cmirror", "cmirror"},
                               {"rot90", "rot270"},              {"rot180", "rot180"},
                               {"rot270", "rot90"},              {"upscale", "downscale", "TWO"},
                               {"upscale", "downscale", "THREE"}, {"upscale", "downscale", "FOUR"},
                               {"upscale", "downscale", "FIVE"}};
    Run run;
    for (const Turn& turn : kTurns) {
        uint64_t hash = 0;
        Argument factor{Operand::Kind::Constant, turn.factor ? uint32_t(find_constant(turn.factor)) : 0};
        try {
            for (size_t d = 0; d < n_; ++d) {
                run.start({});
                Value output = input_value(run, enumeration_.output(d));
                Value arguments[] = {output, constants()[factor.index].value};
                Value inverse = primitive_function(find_primitive(turn.inverse));
                hash = add(hash, window(grid(call(run, inverse, arguments, turn.factor ? 2 : 1))));
            }
        } catch (const Fault&) {
            continue;
        }
        std::optional<Argument> before = known_grid(hash);
        if (!before) continue;
        if (turn.factor) enumeration_.last_step(turn.primitive, {*before, factor});
        else enumeration_.last_step(turn.primitive, {*before});
    }
}

void LastSteps::join() {
    for (const Argument& first : grids_) {
        bool above = true, left = true;
        uint64_t below = 0, right = 0; // hashes of what is left of the outputs
        for (size_t d = 0; d < n_ && (above || left); ++d) {
            GridView want = wanted(d), g = value(first, d);
            bool inside = g.h <= want.h && g.w <= want.w && window(g) == window(want, 0, 0, g.h, g.w);
            above = above && inside && g.w == want.w && g.h < want.h;
            left = left && inside && g.h == want.h && g.w < want.w;
            if (above) below = add(below, window(want, g.h, 0, want.h - g.h, want.w));
            if (left) right = add(right, window(want, 0, g.w, want.h, want.w - g.w));
        }
        if (auto second = above ? known_grid(below) : std::nullopt)
            enumeration_.last_step("vconcat", {first, *second});
        if (auto second = left ? known_grid(right) : std::nullopt)
            enumeration_.last_step("hconcat", {first, *second});
    }
    std::vector<Window> outputs;
    for (size_t d = 0; d < n_; ++d) outputs.push_back(window(wanted(d)));
    tiled(outputs, kTilings);
}

// A grid with these values, of tiles that are known or are tiled themselves.
std::optional<Argument> LastSteps::tiled(const std::vector<Window>& wanted, int depth) {
    uint64_t hash = 0;
    for (const Window& one : wanted) hash = add(hash, one);
    if (auto known = known_grid(hash)) return known;
    for (int n = 2; n <= kMaxTiles && depth > 0; ++n)
        for (bool rows : {true, false}) {
            auto divides = [&](const Window& one) { return (rows ? one.h : one.w) % n == 0; };
            if (!std::ranges::all_of(wanted, divides)) continue;
            std::optional<Argument> joined;
            for (int k = 0; k < n; ++k) {
                std::vector<Window> tiles;
                for (Window tile : wanted) {
                    (rows ? tile.h : tile.w) /= n;
                    tile.cells += rows ? k * tile.h * tile.stride : k * tile.w;
                    tiles.push_back(tile);
                }
                std::optional<Argument> one = tiled(tiles, depth - 1);
                if (one && k) one = enumeration_.last_step(rows ? "vconcat" : "hconcat", {*joined, *one});
                joined = one;
                if (!joined) break;
            }
            if (joined) return joined;
        }
    return std::nullopt;
}

void LastSteps::recolour() {
    size_t made = 0;
    for (const Argument& before : canvases_) {
        if (made == kRecolourings) return;
        // What each colour becomes; all cells of a colour must become the same.
        std::vector<std::map<int, int>> changes(n_);
        bool possible = true;
        for (size_t d = 0; d < n_ && possible; ++d) {
            GridView want = wanted(d), g = value(before, d);
            for (size_t at = 0; possible && at < g.area(); ++at) {
                auto [change, _] = changes[d].try_emplace(g.cells[at], want.cells[at]);
                possible = change->second == want.cells[at];
            }
            std::erase_if(changes[d], [](const auto& change) { return change.first == change.second; });
            possible = possible && !changes[d].empty() && changes[d].size() <= kMaxReplaced;
        }
        if (!possible) continue;
        std::vector<int64_t> from, to;
        std::map<int, int> of_all; // if the demonstrations agree
        bool single = true, agree = true;
        for (const auto& of_one : changes) {
            single = single && of_one.size() == 1;
            from.push_back(of_one.begin()->first);
            to.push_back(of_one.begin()->second);
            for (auto [a, b] : of_one) agree = agree && of_all.try_emplace(a, b).first->second == b;
        }
        auto step = [&](const char* primitive, Argument grid, const auto& from, const auto& to) {
            auto a = known_colour(from), b = known_colour(to);
            return a && b ? enumeration_.last_step(primitive, {grid, *a, *b}) : std::nullopt;
        };
        if (single) {
            made += step("replace", before, from, to).has_value();
        } else if (agree && of_all.size() <= kMaxReplaced) {
            std::optional<Argument> at = before;
            auto is_final = [&](const auto& change) { return !of_all.contains(change.second); };
            // A colour is replaced before another one becomes it.
            for (auto next = std::ranges::find_if(of_all, is_final); at && next != of_all.end();
                 next = std::ranges::find_if(of_all, is_final)) {
                at = step("replace", *at, next->first, next->second);
                of_all.erase(next);
            }
            if (at && of_all.size() == 2) // they change places
                at = step("switch", *at, of_all.begin()->first, of_all.begin()->second);
            made += at.has_value();
        }
    }
}

} // namespace codeit
