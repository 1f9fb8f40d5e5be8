#include "last_steps.hpp"

#include <algorithm>
#include <array>

#include "calls.hpp"
#include "primitives/table.hpp"

namespace codeit {

namespace {

// Limits of the search.
constexpr size_t kMaxCutGrids = 24;    // grids to cut rectangles out of
constexpr size_t kMaxRecolourings = 8; // grids that become the outputs by replacing colours
constexpr size_t kMaxReplaced = 3;     // colours replaced in a grid
constexpr int kMaxTiles = 3;           // tiles in a row or a column
constexpr int kMaxTilingDepth = 2;     // levels of tiles in tiles

} // namespace

void LastSteps::cut() {
    const auto cut = targets_.grids().first(std::min(targets_.grids().size(), kMaxCutGrids));
    for (Atom type : {Atom::Indices, Atom::Object})
        for (const Argument& patch : enumeration_.expressions_of_type(type)) {
            std::vector<std::array<int, 2>> corners; // of rectangles around the patch with the right shape
            for (size_t d = 0; d < targets_.size(); ++d) {
                int top = INT32_MAX, left = INT32_MAX, bottom = INT32_MIN, right = INT32_MIN;
                each_place(targets_.value(patch, d), [&](int i, int j, int) {
                    top = std::min(top, i), bottom = std::max(bottom, i);
                    left = std::min(left, j), right = std::max(right, j);
                });
                if (top < 0 || left < 0 || bottom < top) break; // outside the grid, or empty
                if (bottom - top + 1 != targets_.wanted(d).h || right - left + 1 != targets_.wanted(d).w) break;
                corners.push_back({top, left});
            }
            if (corners.size() < targets_.size()) continue;
            for (const Argument& grid : cut) {
                bool right = true;
                for (size_t d = 0; d < targets_.size() && right; ++d) {
                    GridView g = targets_.grid(grid, d), want = targets_.wanted(d);
                    auto [top, left] = corners[d];
                    right = top + want.h <= g.h && left + want.w <= g.w &&
                            Window(g, top, left, want.h, want.w) == Window(want);
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
            for (size_t d = 0; d < targets_.size(); ++d) {
                run.start({});
                Value output = input_value(run, enumeration_.output(d));
                Value arguments[] = {output, constants()[factor.index].value};
                Value inverse = primitive_function(find_primitive(turn.inverse));
                hash = Window(grid(call(run, inverse, arguments, turn.factor ? 2 : 1))).hash(hash);
            }
        } catch (const Fault&) {
            continue;
        }
        std::optional<Argument> before = targets_.known_grid(hash);
        if (!before) continue;
        if (turn.factor) enumeration_.last_step(turn.primitive, {*before, factor});
        else enumeration_.last_step(turn.primitive, {*before});
    }
}

void LastSteps::join() {
    for (const Argument& first : targets_.grids()) {
        bool above = true, left = true;
        uint64_t below = 0, right = 0; // hashes of what is left of the outputs
        for (size_t d = 0; d < targets_.size() && (above || left); ++d) {
            GridView want = targets_.wanted(d), g = targets_.grid(first, d);
            bool inside = g.h <= want.h && g.w <= want.w && Window(g) == Window(want, 0, 0, g.h, g.w);
            above = above && inside && g.w == want.w && g.h < want.h;
            left = left && inside && g.h == want.h && g.w < want.w;
            if (above) below = Window(want, g.h, 0, want.h - g.h, want.w).hash(below);
            if (left) right = Window(want, 0, g.w, want.h, want.w - g.w).hash(right);
        }
        if (auto second = above ? targets_.known_grid(below) : std::nullopt)
            enumeration_.last_step("vconcat", {first, *second});
        if (auto second = left ? targets_.known_grid(right) : std::nullopt)
            enumeration_.last_step("hconcat", {first, *second});
    }
    std::vector<Window> outputs;
    for (size_t d = 0; d < targets_.size(); ++d) outputs.push_back(targets_.wanted(d));
    tiled(outputs, kMaxTilingDepth);
}

// Returns a grid with these values: a known one, or one joined of tiles that are found in the same way.
std::optional<Argument> LastSteps::tiled(const std::vector<Window>& wanted, int depth) {
    uint64_t hash = 0;
    for (const Window& window : wanted) hash = window.hash(hash);
    if (auto known = targets_.known_grid(hash)) return known;
    for (int n = 2; n <= kMaxTiles && depth > 0; ++n)
        for (bool rows : {true, false}) {
            auto divides = [&](const Window& window) { return (rows ? window.h : window.w) % n == 0; };
            if (!std::ranges::all_of(wanted, divides)) continue;
            std::optional<Argument> joined;
            for (int k = 0; k < n; ++k) {
                std::vector<Window> tiles;
                for (Window tile : wanted) {
                    (rows ? tile.h : tile.w) /= n;
                    tile.cells += rows ? k * tile.h * tile.stride : k * tile.w;
                    tiles.push_back(tile);
                }
                std::optional<Argument> tile = tiled(tiles, depth - 1);
                if (tile && k)
                    tile = enumeration_.last_step(rows ? "vconcat" : "hconcat", {*joined, *tile});
                joined = tile;
                if (!joined) break;
            }
            if (joined) return joined;
        }
    return std::nullopt;
}

void LastSteps::recolour() {
    size_t found = 0;
    for (const Argument& before : targets_.canvases()) {
        if (found == kMaxRecolourings) return;
        // What each colour becomes. All cells of a colour must become the same colour.
        std::vector<std::map<int, int>> changes(targets_.size());
        bool possible = true;
        for (size_t d = 0; d < targets_.size() && possible; ++d) {
            GridView want = targets_.wanted(d), g = targets_.grid(before, d);
            for (size_t at = 0; possible && at < g.area(); ++at) {
                auto [change, _] = changes[d].try_emplace(g.cells[at], want.cells[at]);
                possible = change->second == want.cells[at];
            }
            std::erase_if(changes[d], [](const auto& change) { return change.first == change.second; });
            possible = possible && !changes[d].empty() && changes[d].size() <= kMaxReplaced;
        }
        if (!possible) continue;
        std::vector<int64_t> from, to;
        std::map<int, int> common; // if the demonstrations agree
        bool single = true, agree = true;
        for (const auto& own_changes : changes) {
            single = single && own_changes.size() == 1;
            from.push_back(own_changes.begin()->first);
            to.push_back(own_changes.begin()->second);
            for (auto [a, b] : own_changes) agree = agree && common.try_emplace(a, b).first->second == b;
        }
        auto step = [&](const char* primitive, Argument grid, const auto& from, const auto& to) {
            auto a = targets_.known_colour(from), b = targets_.known_colour(to);
            return a && b ? enumeration_.last_step(primitive, {grid, *a, *b}) : std::nullopt;
        };
        if (single) {
            found += step("replace", before, from, to).has_value();
        } else if (agree && common.size() <= kMaxReplaced) {
            std::optional<Argument> at = before;
            auto is_final = [&](const auto& change) { return !common.contains(change.second); };
            // Replace a colour before another one becomes it.
            for (auto next = std::ranges::find_if(common, is_final); at && next != common.end();
                 next = std::ranges::find_if(common, is_final)) {
                at = step("replace", *at, next->first, next->second);
                common.erase(next);
            }
            if (at && common.size() == 2) // they swap
                at = step("switch", *at, common.begin()->first, common.begin()->second);
            found += at.has_value();
        }
    }
}

} // namespace codeit
