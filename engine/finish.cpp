// The last steps of a program, found from the outputs: cells that are painted, and cuts of a grid.
#include <algorithm>
#include <bit>
#include <map>
#include <unordered_map>

#include "enumeration.hpp"
#include "hash.hpp"
#include "pieces.hpp"
#include "primitives/table.hpp"

namespace codeit {

namespace {

constexpr size_t kBases = 24;      // grids that are painted on, or cut
constexpr size_t kMaxPieces = 4;
constexpr size_t kCovers = 8;      // for each grid
constexpr int8_t kEmpty = -1; // no colour

uint16_t primitive(const char* name) { return uint16_t(find_primitive(name)); }

// Calls `visit(row, column, colour)` for the places of an Indices or an Object; the colour of a place is -1.
template <class Visit> void each_place(Value v, Visit visit) {
    if (v.tag == Tag::Indices)
        for (uint32_t k = 0; k < v.indices->n; ++k)
            visit(key_i(v.indices->keys[k]), key_j(v.indices->keys[k]), -1);
    else if (v.tag == Tag::Object)
        for (uint32_t k = 0; k < v.object->n; ++k) {
            uint64_t key = v.object->keys[k];
            visit(key_i(uint32_t(key)), key_j(uint32_t(key)), key_value(key));
        }
}

} // namespace

int Enumeration::argument_bits(uint16_t primitive, int position, Argument a) const {
    const Library::Parameter& parameter = library_->calls()[primitive].parameters[size_t(position)];
    if (a.kind == Operand::Kind::Variable) return parameter.expression + expressions_[a.index].bits;
    for (const Library::Choice& choice : parameter.choices)
        if (choice.operand.kind == a.kind && choice.operand.index == a.index) return choice.bits;
    return kMaxBits;
}

std::vector<Enumeration::Base> Enumeration::bases() const {
    const uint16_t fill = primitive("fill");
    std::vector<Base> made{{{Operand::Kind::Input, 0}, argument_bits(fill, 0, {Operand::Kind::Input, 0})}};
    for (const auto& of_bits : by_type_[int(Atom::Grid)])
        for (uint32_t e : of_bits) {
            if (made.size() == kBases) return made;
            Argument argument{Operand::Kind::Variable, e};
            made.push_back({argument, argument_bits(fill, 0, argument)});
        }
    return made;
}

void Enumeration::finish() {
    bool same_shape = true;
    for (size_t k : demonstrations_) {
        const Example& e = examples_[k];
        same_shape = same_shape && e.input->height() == e.output->height() &&
                     e.input->width() == e.output->width();
    }
    if (same_shape) finish_painting();
    finish_cutting();
}

void Enumeration::finish_painting() {
    const uint16_t fill = primitive("fill"), paint = primitive("paint");
    size_t n = demonstrations_.size();
    std::vector<size_t> offset{0}; // of each demonstration's cells in a mask, in words
    for (size_t k : demonstrations_) offset.push_back(offset.back() + (examples_[k].output->area() + 63) / 64);
    size_t words = offset.back();

    // Integers by their values on the demonstrations: the cheapest of each.
    std::map<std::vector<int64_t>, std::pair<int, Argument>> integers;
    auto add_integer = [&](const std::vector<int64_t>& values, Argument a) {
        std::pair<int, Argument> one{argument_bits(fill, 1, a), a};
        auto [known, is_new] = integers.try_emplace(values, one);
        if (!is_new && one.first < known->second.first) known->second = one;
    };
    for (const Library::Choice& choice : library_->calls()[fill].parameters[1].choices)
        if (choice.operand.kind == Operand::Kind::Constant)
            add_integer(std::vector<int64_t>(n, constants()[choice.operand.index].value.num),
                        {choice.operand.kind, choice.operand.index});
    for (const auto& of_bits : by_type_[int(Atom::Integer)])
        for (uint32_t e : of_bits) {
            std::vector<int64_t> values;
            for (size_t k : demonstrations_) values.push_back(values_[e * examples_.size() + k].num);
            add_integer(values, {Operand::Kind::Variable, e});
        }

    // Pieces that never contradict an output.
    struct Candidate {
        Key call; // fill or paint, whose first argument is open
        Mask cells;
        int bits; // of the call without its first argument
    };
    std::vector<Candidate> candidates;
    for (Atom type : {Atom::Indices, Atom::Object})
        for (const auto& of_bits : by_type_[int(type)])
            for (uint32_t e : of_bits) {
                Mask cells(words);
                std::vector<int8_t> colours(n, kEmpty);
                bool painted = type == Atom::Object, filled = true;
                for (size_t d = 0; d < n && (painted || filled); ++d) {
                    const Grid& want = *examples_[demonstrations_[d]].output;
                    Value value = values_[e * examples_.size() + demonstrations_[d]];
                    each_place(value, [&](int i, int j, int colour) {
                        if (i < 0 || j < 0 || i >= want.height() || j >= want.width()) return;
                        size_t at = size_t(i * want.width() + j);
                        int8_t right = want.cells()[at];
                        painted = painted && colour == right;
                        filled = filled && (colours[d] == kEmpty || colours[d] == right);
                        colours[d] = right;
                        cells[offset[d] + at / 64] |= uint64_t(1) << (at % 64);
                    });
                }
                Argument patch{Operand::Kind::Variable, e};
                if (painted)
                    candidates.push_back({Key{{Operand::Kind::Primitive, paint}, 2, {{}, patch}}, cells,
                                          library_->calls()[paint].bits + argument_bits(paint, 1, patch)});
                if (!filled) continue;
                // A demonstration without cells takes any colour.
                std::vector<int64_t> wanted(colours.begin(), colours.end());
                int8_t any = *std::ranges::max_element(colours);
                if (any == kEmpty) continue;
                for (int64_t& colour : wanted)
                    if (colour == kEmpty) colour = any;
                auto colour = integers.find(wanted);
                if (colour == integers.end()) continue;
                auto [colour_bits, ink] = colour->second;
                candidates.push_back(
                    {Key{{Operand::Kind::Primitive, fill}, 3, {{}, ink, patch}}, std::move(cells),
                     library_->calls()[fill].bits + colour_bits + argument_bits(fill, 2, patch)});
            }

    for (const Base& base : bases()) {
        Mask target(words);
        bool shaped = true;
        for (size_t d = 0; d < n && shaped; ++d) {
            const Grid& want = *examples_[demonstrations_[d]].output;
            GridView g = grid(value(base.argument, demonstrations_[d]));
            shaped = g.h == want.height() && g.w == want.width();
            for (size_t at = 0; shaped && at < want.area(); ++at)
                if (g.cells[at] != want.cells()[at]) target[offset[d] + at / 64] |= uint64_t(1) << (at % 64);
        }
        if (!shaped) continue;
        // Of the pieces with the same cells of the target, the cheapest.
        std::unordered_map<uint64_t, uint32_t> seen;
        std::vector<Piece> pieces;
        std::vector<uint32_t> which;
        for (uint32_t c = 0; c < candidates.size(); ++c) {
            Mask common(words);
            bool some = false;
            for (size_t w = 0; w < words; ++w) some = (common[w] = candidates[c].cells[w] & target[w]) || some;
            if (!some) continue;
            uint64_t hash = hash_bytes(1, common.data(), words * sizeof(uint64_t));
            auto [known, is_new] = seen.try_emplace(hash, uint32_t(pieces.size()));
            if (is_new) {
                pieces.push_back({std::move(common), candidates[c].bits});
                which.push_back(c);
            } else if (candidates[c].bits < pieces[known->second].bits) {
                pieces[known->second].bits = candidates[c].bits;
                which[known->second] = c;
            }
        }
        for (const std::vector<uint32_t>& cover : cheapest_covers(target, pieces, kMaxPieces, kCovers)) {
            // Large pieces first, so that where two overlap on a test the smaller one shows.
            std::vector<uint32_t> order = cover;
            auto area = [&](uint32_t p) {
                size_t all = 0;
                for (uint64_t word : candidates[which[p]].cells) all += size_t(std::popcount(word));
                return all;
            };
            std::ranges::stable_sort(order, std::ranges::greater{}, area);
            Argument at = base.argument;
            int bits = base.bits;
            for (size_t k = 0; k < order.size(); ++k) {
                Key call = candidates[which[order[k]]].call;
                bits += candidates[which[order[k]]].bits;
                if (k) bits += library_->calls()[call.function.index].parameters[0].expression;
                call.arguments[0] = at;
                uint32_t made = expression(call, bits, true);
                if (made == kNone) break;
                at = {Operand::Kind::Variable, made};
            }
        }
    }
}

void Enumeration::finish_cutting() {
    const uint16_t subgrid = primitive("subgrid");
    const std::vector<Base> grids = bases();
    for (Atom type : {Atom::Indices, Atom::Object})
        for (const auto& of_bits : by_type_[int(type)])
            for (size_t p = 0; p < of_bits.size(); ++p) {
                uint32_t e = of_bits[p];
                std::vector<std::array<int, 2>> corners;
                for (size_t k : demonstrations_) {
                    int top = INT32_MAX, left = INT32_MAX, bottom = INT32_MIN, right = INT32_MIN;
                    each_place(values_[e * examples_.size() + k], [&](int i, int j, int) {
                        top = std::min(top, i), bottom = std::max(bottom, i);
                        left = std::min(left, j), right = std::max(right, j);
                    });
                    const Grid& want = *examples_[k].output;
                    if (top < 0 || left < 0 || bottom < top) break; // outside the grid, or empty
                    if (bottom - top + 1 != want.height() || right - left + 1 != want.width()) break;
                    corners.push_back({top, left});
                }
                if (corners.size() < demonstrations_.size()) continue;
                for (const Base& base : grids) {
                    bool right = true;
                    for (size_t d = 0; d < corners.size() && right; ++d) {
                        const Grid& want = *examples_[demonstrations_[d]].output;
                        GridView g = grid(value(base.argument, demonstrations_[d]));
                        auto [top, left] = corners[d];
                        right = top + want.height() <= g.h && left + want.width() <= g.w;
                        for (int i = 0; right && i < want.height(); ++i)
                            right = std::memcmp(&g.cells[(top + i) * g.w + left], want.cells() + i * want.width(),
                                                size_t(want.width())) == 0;
                    }
                    if (!right) continue;
                    Argument patch{Operand::Kind::Variable, e};
                    int bits = library_->calls()[subgrid].bits + argument_bits(subgrid, 0, patch) +
                               argument_bits(subgrid, 1, base.argument);
                    expression(Key{{Operand::Kind::Primitive, subgrid}, 2, {patch, base.argument}}, bits, true);
                }
            }
}

} // namespace codeit
