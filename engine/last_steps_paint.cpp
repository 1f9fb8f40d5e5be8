// Last steps that paint patches on a grid.
#include <algorithm>
#include <array>
#include <bit>
#include <bitset>

#include "hash.hpp"
#include "last_steps.hpp"
#include "primitives/table.hpp"

namespace codeit {

namespace {

constexpr size_t kCanvases = 24;  // grids that are painted on
constexpr size_t kMaxPieces = 4;  // patches
constexpr size_t kCovers = 8;     // ways to paint each grid
constexpr size_t kMovable = 400;  // objects that are moved
constexpr size_t kMaxMoved = 100; // cells of such an object
constexpr size_t kMoves = 10'000; // offsets by which they are moved
constexpr size_t kColoured = 400; // patches of cells of one colour

// Offsets of at most 30 rows and columns in each direction.
constexpr int kMaxOffset = 30, kWidth = 2 * kMaxOffset + 1;
using Offsets = std::bitset<kWidth * kWidth>;
bool is_offset(int i, int j) { return std::max(std::abs(i), std::abs(j)) <= kMaxOffset; }
size_t index(int i, int j) { return size_t((i + kMaxOffset) * kWidth + j + kMaxOffset); }

// The offsets by which an object shows cells of the output, of which at least one is not in the input.
Offsets offsets_to(const ObjectNode& object, const GridView& before, const GridView& after) {
    Offsets found, tried;
    auto shows = [&](int i, int j) {
        for (uint32_t k = 0; k < object.n; ++k) {
            int at_i = key_i(uint32_t(object.keys[k])) + i, at_j = key_j(uint32_t(object.keys[k])) + j;
            if (!after.holds(at_i, at_j) || after.at(at_i, at_j) != key_value(object.keys[k])) return false;
        }
        return true;
    };
    for (int i = 0; i < after.h; ++i)
        for (int j = 0; j < after.w; ++j) {
            if (after.at(i, j) == before.at(i, j)) continue;
            for (uint32_t k = 0; k < object.n; ++k) {
                int by_i = i - key_i(uint32_t(object.keys[k])), by_j = j - key_j(uint32_t(object.keys[k]));
                if (key_value(object.keys[k]) != after.at(i, j) || !is_offset(by_i, by_j)) continue;
                if (tried[index(by_i, by_j)]) continue;
                tried.set(index(by_i, by_j));
                found.set(index(by_i, by_j), shows(by_i, by_j));
            }
        }
    return found;
}

} // namespace

void LastSteps::paint() {
    for (const Argument& patch : moved_objects()) add_paints(patch);
    for (const Argument& patch : coloured_cells()) add_paints(patch);
    for (Atom type : {Atom::Indices, Atom::Object})
        for (const Argument& patch : enumeration_.of_type(type)) add_paints(patch);
    for (size_t k = 0; k < std::min(canvases_.size(), kCanvases); ++k) cover(canvases_[k]);
}

std::vector<Argument> LastSteps::moved_objects() {
    if (canvases_.empty() || canvases_[0] != grids_[0]) return {}; // inputs and outputs differ in shape
    std::vector<Argument> moved, offsets = enumeration_.of_type(Atom::IntegerTuple);
    if (offsets.size() > kMoves) offsets.resize(kMoves);
    size_t movable = 0;
    for (const Argument& object : enumeration_.of_type(Atom::Object)) {
        std::vector<Offsets> possible;
        for (size_t d = 0; d < n_; ++d) {
            Value v = enumeration_.value_of(object, d);
            if (v.tag != Tag::Object || v.object->n > kMaxMoved) break;
            possible.push_back(offsets_to(*v.object, value(grids_[0], d), wanted(d)));
            if (possible.back().none()) break;
        }
        if (possible.size() < n_ || possible.back().none()) continue;
        auto moves = [&](const Argument& offset) {
            for (size_t d = 0; d < n_; ++d) {
                Value v = enumeration_.value_of(offset, d);
                if (v.tag != Tag::Pair || !is_offset(v.i(), v.j())) return false;
                if (!possible[d][index(v.i(), v.j())]) return false;
            }
            return true;
        };
        if (auto offset = std::ranges::find_if(offsets, moves); offset != offsets.end())
            if (auto made = enumeration_.last_step("shift", {object, *offset})) moved.push_back(*made);
        if (++movable == kMovable) break;
    }
    return moved;
}

std::vector<Argument> LastSteps::coloured_cells() {
    std::vector<Argument> made;
    for (const Argument& grid : canvases_) {
        std::array<bool, kColours> possible{}, changed{};
        possible.fill(true);
        for (size_t d = 0; d < n_; ++d) {
            GridView want = wanted(d), g = value(grid, d), cheapest = value(canvases_[0], d);
            std::array<int, kColours> becomes;
            becomes.fill(kNoColour);
            for (size_t at = 0; at < want.area(); ++at) {
                auto own = size_t(g.cells[at]);
                if (own >= kColours) continue;
                int right = want.cells[at];
                possible[own] = possible[own] && (becomes[own] == kNoColour || becomes[own] == right);
                becomes[own] = right;
                changed[own] = changed[own] || cheapest.cells[at] != right;
            }
        }
        for (size_t c = 0; c < kColours; ++c) {
            if (!possible[c] || !changed[c]) continue;
            auto colour = known_colour(int64_t(c));
            auto cells = colour ? enumeration_.last_step("ofcolor", {grid, *colour}) : std::nullopt;
            if (cells) made.push_back(*cells);
            if (made.size() == kColoured) return made;
        }
    }
    return made;
}

void LastSteps::add_paints(Argument patch) {
    Mask cells(offset_.back());
    std::vector<int64_t> colours(n_, kNoColour);
    bool painted = true, filled = true;
    for (size_t d = 0; d < n_ && (painted || filled); ++d) {
        GridView want = wanted(d);
        each_place(enumeration_.value_of(patch, d), [&](int i, int j, int own) {
            if (!want.holds(i, j)) return;
            int right = want.at(i, j);
            painted = painted && own == right;
            filled = filled && (colours[d] == kNoColour || colours[d] == right);
            colours[d] = right;
            size_t at = size_t(i * want.w + j);
            cells[offset_[d] + at / 64] |= uint64_t(1) << (at % 64);
        });
    }
    int64_t any = std::ranges::max(colours);
    if (any == kNoColour) return;
    auto add = [&](const char* primitive, std::vector<Argument> rest) {
        const auto called = uint16_t(find_primitive(primitive));
        int bits = enumeration_.call_bits(called);
        for (int k = 0; k < int(rest.size()); ++k)
            bits += enumeration_.argument_bits(called, k + 1, rest[size_t(k)]);
        paints_.push_back({primitive, std::move(rest), cells, bits});
    };
    if (painted) add("paint", {patch});
    if (!filled) return;
    // A demonstration without cells takes any colour.
    std::ranges::replace(colours, int64_t(kNoColour), any);
    if (auto colour = known_colour(colours)) add("fill", {*colour, patch});
}

void LastSteps::cover(Argument canvas) {
    Mask target(offset_.back());
    for (size_t d = 0; d < n_; ++d) {
        GridView want = wanted(d), g = value(canvas, d);
        for (size_t at = 0; at < want.area(); ++at)
            if (g.cells[at] != want.cells[at]) target[offset_[d] + at / 64] |= uint64_t(1) << (at % 64);
    }
    // Of the ways to paint the same cells of the target, the cheapest.
    std::unordered_map<uint64_t, uint32_t> seen;
    std::vector<Piece> pieces;
    std::vector<const Paint*> which;
    for (const Paint& paint : paints_) {
        Mask common(target.size());
        bool some = false;
        for (size_t w = 0; w < target.size(); ++w) some = (common[w] = paint.cells[w] & target[w]) || some;
        if (!some) continue;
        uint64_t hash = hash_bytes(1, common.data(), common.size() * sizeof(uint64_t));
        auto [known, is_new] = seen.try_emplace(hash, uint32_t(pieces.size()));
        if (is_new) {
            pieces.push_back({std::move(common), paint.bits});
            which.push_back(&paint);
        } else if (paint.bits < pieces[known->second].bits) {
            pieces[known->second].bits = paint.bits;
            which[known->second] = &paint;
        }
    }
    for (std::vector<uint32_t>& order : cheapest_covers(target, pieces, kMaxPieces, kCovers)) {
        // Large pieces first, so that where two overlap on a test the smaller one shows.
        auto area = [&](uint32_t p) {
            size_t all = 0;
            for (uint64_t word : which[p]->cells) all += size_t(std::popcount(word));
            return all;
        };
        std::ranges::stable_sort(order, std::ranges::greater{}, area);
        std::optional<Argument> grid = canvas;
        for (uint32_t p : order) {
            std::vector<Argument> arguments{*grid};
            arguments.insert(arguments.end(), which[p]->rest.begin(), which[p]->rest.end());
            grid = enumeration_.last_step(which[p]->primitive, arguments);
            if (!grid) break;
        }
    }
}

} // namespace codeit
