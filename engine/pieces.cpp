#include "pieces.hpp"

#include <algorithm>
#include <bit>
#include <set>

namespace codeit {

namespace {

constexpr size_t kPiecesPerCell = 128; // the cheapest pieces with a cell, which are considered for it
constexpr size_t kBranches = 24;       // of these, pieces tried
constexpr size_t kMaxNodes = 2000;     // nodes of the search tree

class Search {
  public:
    Search(const std::vector<Piece>& pieces, const Mask& target, size_t max_pieces, size_t max_covers)
        : pieces_(pieces), max_pieces_(max_pieces), max_covers_(max_covers) {
        // The pieces with each cell of the target, cheapest first.
        pieces_with_.resize(target.size() * 64);
        std::vector<uint32_t> order(pieces.size());
        for (uint32_t p = 0; p < order.size(); ++p) order[p] = p;
        std::ranges::stable_sort(order, {}, [&](uint32_t p) { return pieces[p].bits; });
        for (uint32_t p : order)
            for (size_t w = 0; w < target.size(); ++w)
                for (uint64_t left = pieces[p].cells[w] & target[w]; left; left &= left - 1) {
                    auto& candidates = pieces_with_[w * 64 + size_t(std::countr_zero(left))];
                    if (candidates.size() < kPiecesPerCell) candidates.push_back(p);
                }
        extend(target, 0);
    }

    std::vector<std::vector<uint32_t>> covers() const {
        std::vector<std::vector<uint32_t>> covers;
        for (const auto& [bits, cover] : covers_) covers.push_back(cover);
        return covers;
    }

  private:
    // Tries all ways to cover the cells that are left. It starts with the cell that fewest pieces have.
    void extend(const Mask& left, int bits) {
        if (covers_.size() == max_covers_ && bits >= covers_.rbegin()->first) return;
        const std::vector<uint32_t>* fewest = nullptr;
        for (size_t w = 0; w < left.size(); ++w)
            for (uint64_t rest = left[w]; rest; rest &= rest - 1) {
                const auto& candidates = pieces_with_[w * 64 + size_t(std::countr_zero(rest))];
                if (!fewest || candidates.size() < fewest->size()) fewest = &candidates;
            }
        if (!fewest) {
            std::vector<uint32_t> cover = chosen_;
            std::ranges::sort(cover);
            covers_.emplace(bits, std::move(cover));
            if (covers_.size() > max_covers_) covers_.erase(std::prev(covers_.end()));
            return;
        }
        if (chosen_.size() == max_pieces_) return;
        // Try first the pieces that are cheap for the number of cells that they cover.
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
    size_t max_pieces_, max_covers_, nodes_ = 0;
    std::vector<std::vector<uint32_t>> pieces_with_;
    std::vector<uint32_t> chosen_;
    std::set<std::pair<int, std::vector<uint32_t>>> covers_; // by bits
};

} // namespace

std::vector<std::vector<uint32_t>> cheapest_covers(const Mask& target, const std::vector<Piece>& pieces,
                                                   size_t max_pieces, size_t max_covers) {
    return Search(pieces, target, max_pieces, max_covers).covers();
}

} // namespace codeit
