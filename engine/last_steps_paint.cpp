// Last steps that paint patches on a grid.
#include <algorithm>
#include <array>
#include <bitset>

#include "last_steps.hpp"
#include "painter.hpp"

namespace codeit {

namespace {

// Limits of the search.
constexpr size_t kMaxMovedObjects = 400;
constexpr size_t kMaxObjectCells = 100;   // larger objects are not moved
constexpr size_t kMaxOffsets = 10'000;    // expressions of offsets
constexpr size_t kMaxColouredCells = 400; // patches of coloured_cells

// Offsets of at most 30 rows and columns in each direction.
constexpr int kMaxOffset = 30, kWidth = 2 * kMaxOffset + 1;
using Offsets = std::bitset<kWidth * kWidth>;
bool is_offset(int i, int j) { return std::max(std::abs(i), std::abs(j)) <= kMaxOffset; }
size_t index(int i, int j) { return size_t((i + kMaxOffset) * kWidth + j + kMaxOffset); }

// The offsets at which all cells of an object agree with the output, and at least one of them differs
// from the input.
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
    std::span<const Argument> drawn = rules_.find(targets_);
    if (targets_.canvases().empty()) return;
    Painter painter(enumeration_, targets_);
    for (const Argument& patch : moved_objects()) painter.add(patch);
    for (const Argument& patch : coloured_cells()) painter.add(patch);
    for (const Argument& patch : drawn) painter.add(patch);
    for (Atom type : {Atom::Indices, Atom::Object})
        for (const Argument& patch : enumeration_.expressions_of_type(type)) painter.add(patch);
    painter.paint();
}

std::vector<Argument> LastSteps::moved_objects() {
    if (targets_.canvases()[0] != targets_.grids()[0]) return {}; // inputs and outputs differ in shape
    std::vector<Argument> moved, offsets = enumeration_.expressions_of_type(Atom::IntegerTuple);
    if (offsets.size() > kMaxOffsets) offsets.resize(kMaxOffsets);
    size_t movable = 0;
    for (const Argument& object : enumeration_.expressions_of_type(Atom::Object)) {
        std::vector<Offsets> possible;
        for (size_t d = 0; d < targets_.size(); ++d) {
            Value v = targets_.value(object, d);
            if (v.tag != Tag::Object || v.object->n > kMaxObjectCells) break;
            GridView input = targets_.grid(targets_.grids()[0], d);
            possible.push_back(offsets_to(*v.object, input, targets_.wanted(d)));
            if (possible.back().none()) break;
        }
        if (possible.size() < targets_.size() || possible.back().none()) continue;
        auto moves = [&](const Argument& offset) {
            for (size_t d = 0; d < targets_.size(); ++d) {
                Value v = targets_.value(offset, d);
                if (v.tag != Tag::Pair || !is_offset(v.i(), v.j())) return false;
                if (!possible[d][index(v.i(), v.j())]) return false;
            }
            return true;
        };
        if (auto offset = std::ranges::find_if(offsets, moves); offset != offsets.end())
            if (auto made = enumeration_.last_step("shift", {object, *offset})) moved.push_back(*made);
        if (++movable == kMaxMovedObjects) break;
    }
    return moved;
}

std::vector<Argument> LastSteps::coloured_cells() {
    std::vector<Argument> patches;
    for (const Argument& grid : targets_.canvases()) {
        std::array<bool, kColours> possible{}, changed{};
        possible.fill(true);
        for (size_t d = 0; d < targets_.size(); ++d) {
            GridView want = targets_.wanted(d), g = targets_.grid(grid, d);
            GridView cheapest = targets_.grid(targets_.canvases()[0], d);
            std::array<int, kColours> becomes;
            becomes.fill(kNoColour);
            for (size_t at = 0; at < want.area(); ++at) {
                auto old = size_t(g.cells[at]);
                if (old >= kColours) continue;
                int right = want.cells[at];
                possible[old] = possible[old] && (becomes[old] == kNoColour || becomes[old] == right);
                becomes[old] = right;
                changed[old] = changed[old] || cheapest.cells[at] != right;
            }
        }
        for (size_t c = 0; c < kColours; ++c) {
            if (!possible[c] || !changed[c]) continue;
            auto colour = targets_.known_colour(int64_t(c));
            auto cells = colour ? enumeration_.last_step("ofcolor", {grid, *colour}) : std::nullopt;
            if (cells) patches.push_back(*cells);
            if (patches.size() == kMaxColouredCells) return patches;
        }
    }
    return patches;
}

} // namespace codeit
