// Covering a set of cells with as few and as cheap pieces as possible.
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

// Returns sets of at most `most_pieces` pieces that together have all cells of the target, cheapest
// first: at most `most` sets. All masks have the same size. The search is bounded: with many pieces
// it may miss sets.
std::vector<std::vector<uint32_t>> cheapest_covers(const Mask& target, const std::vector<Piece>& pieces,
                                                   size_t most_pieces, size_t most);

} // namespace codeit
