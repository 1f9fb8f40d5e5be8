#include "pieces.hpp"

#include <algorithm>
#include <bit>
#include <set>

namespace codeit {

namespace {

constexpr size_t kOfCell = 128;    // cheapest pieces with a cell that are considered
constexpr size_t kBranches = 24;   // of these, pieces tried
constexpr size_t kMaxNodes = 2000; // of the search

class Search {
  public:
    Search(const std::vector<Piece>& pieces, const Mask& target, size_t most_pieces, size_t most)
        : pieces_(pieces), most_pieces_(most_pieces), most_(most) {
        // The pieces with each cell of the target, cheapest first.
        of_cell_.resize(target.size() * 64);
        std::vector<uint32_t> order(pieces.size());
        for (uint32_t p = 0; p < order.size(); ++p) order[p] = p;
        std::ranges::stable_sort(order, {}, [&](uint32_t p) { return pieces[p].bits; });
        for (uint32_t p : order)
            for (size_t w = 0; w < target.size(); ++w)
                for (uint64_t left = pieces[p].cells[w] & target[w]; left; left &= left - 1) {
                    auto& of_cell = of_cell_[w * 64 + size_t(std::countr_zero(left))];
                    if (of_cell.size() < kOfCell) of_cell.push_back(p);
                }
        extend(target, 0);
    }

    std::vector<std::vector<uint32_t>> covers() const {
        std::vector<std::vector<uint32_t>> made;
        for (const auto& [bits, cover] : covers_) made.push_back(cover);
        return made;
    }

  private:
    // Covers what is left in all ways: first the cell that fewest pieces have.
    void extend(const Mask& left, int bits) {
        if (covers_.size() == most_ && bits >= covers_.rbegin()->first) return;
        const std::vector<uint32_t>* fewest = nullptr;
        for (size_t w = 0; w < left.size(); ++w)
            for (uint64_t rest = left[w]; rest; rest &= rest - 1) {
                const auto& of_cell = of_cell_[w * 64 + size_t(std::countr_zero(rest))];
                if (!fewest || of_cell.size() < fewest->size()) fewest = &of_cell;
            }
        if (!fewest) {
            std::vector<uint32_t> cover = chosen_;
            std::ranges::sort(cover);
            covers_.emplace(bits, std::move(cover));
            if (covers_.size() > most_) covers_.erase(std::prev(covers_.end()));
            return;
        }
        if (chosen_.size() == most_pieces_) return;
        // The pieces that leave least, and the cheapest of these.
        std::vector<std::pair<int64_t, uint32_t>> next;
        for (uint32_t p : *fewest) {
            int gain = 0;
            for (size_t w = 0; w < left.size(); ++w) gain += std::popcount(left[w] & pieces_[p].cells[w]);
            next.emplace_back(int64_t(pieces_[p].bits) * 64 / (1 + std::bit_width(unsigned(gain))), p);
        }
        std::ranges::sort(next);
        if (next.size() > kBranches) next.resize(kBranches);
        for (auto [_, p] : next) {
            if (++nodes_ > kMaxNodes) return;
            Mask rest = left;
            for (size_t w = 0; w < rest.size(); ++w) rest[w] &= ~pieces_[p].cells[w];
            chosen_.push_back(p);
            extend(rest, bits + pieces_[p].bits);
            chosen_.pop_back();
        }
    }

    const std::vector<Piece>& pieces_;
    size_t most_pieces_, most_, nodes_ = 0;
    std::vector<std::vector<uint32_t>> of_cell_;
    std::vector<uint32_t> chosen_;
    std::set<std::pair<int, std::vector<uint32_t>>> covers_; // by bits
};

} // namespace

std::vector<std::vector<uint32_t>> cheapest_covers(const Mask& target, const std::vector<Piece>& pieces,
                                                   size_t most_pieces, size_t most) {
    return Search(pieces, target, most_pieces, most).covers();
}

} // namespace codeit
