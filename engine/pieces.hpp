// Covering a set of cells with few and cheap pieces.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

namespace codeit {

using Mask = std::vector<uint64_t>; // a set of cells, one bit each

struct Piece {
    Mask cells;
    int bits; // its cost
};

// Returns at most `max_covers` sets of at most `max_pieces` pieces that together have all cells of the
// target, cheapest first. All masks have the same size. The search is bounded: with many pieces it may
// miss sets.
std::vector<std::vector<uint32_t>> cheapest_covers(const Mask& target, const std::vector<Piece>& pieces,
                                                   size_t max_pieces, size_t max_covers);

} // namespace codeit
