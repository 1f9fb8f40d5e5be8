#include "painter.hpp"

#include <algorithm>
#include <array>
#include <bit>
#include <unordered_set>

#include "hash.hpp"
#include "primitives/table.hpp"

namespace codeit {

namespace {

// Limits of the search.
constexpr size_t kMaxCanvases = 24;   // grids to paint on
constexpr size_t kMaxPieces = 4;      // pieces that together change a grid into the output
constexpr size_t kMaxCovers = 24;     // sets of pieces for each grid
constexpr size_t kMaxWays = 4;        // ways to paint a piece
constexpr size_t kMaxSpoiled = 1000;  // paints with wrong cells
constexpr size_t kMaxCovering = 2000; // paints that may cover the wrong cells

uint64_t hash_mask(uint64_t before, const Mask& mask) {
    return hash_bytes(before, mask.data(), mask.size() * sizeof(uint64_t));
}

bool covers(const Mask& all, const Mask& part) {
    for (size_t w = 0; w < all.size(); ++w)
        if (part[w] & ~all[w]) return false;
    return true;
}

} // namespace

Painter::Painter(Enumeration& enumeration, const Targets& targets)
    : enumeration_(enumeration), targets_(targets) {}

void Painter::add(Argument patch) {
    add(patch, Mode::Over);
    add(patch, Mode::Under);
}

void Painter::add(Argument patch, Mode mode) {
    bool under = mode == Mode::Under;
    Mask cells = targets_.no_cells();
    std::vector<int64_t> colours(targets_.size(), kNoColour);
    bool painted = true, filled = true, hidden = false;
    for (size_t d = 0; d < targets_.size() && (painted || filled); ++d) {
        GridView want = targets_.wanted(d);
        each_place(targets_.value(patch, d), [&](int i, int j, int own) {
            if (!want.holds(i, j)) return;
            if (under && !targets_.is_ground(d, i, j)) {
                hidden = true;
                return;
            }
            int right = want.at(i, j);
            painted = painted && own == right;
            filled = filled && (colours[d] == kNoColour || colours[d] == right);
            colours[d] = right;
            targets_.add(cells, d, i, j);
        });
    }
    if (under && !hidden) return; // the same as Over
    int64_t any = std::ranges::max(colours);
    if (any == kNoColour) return;
    if (painted) add_paint(paints_, {under ? "underpaint" : "paint", {patch}, cells, {}, 0});
    if (filled) {
        // A demonstration without cells takes any colour.
        std::ranges::replace(colours, int64_t(kNoColour), any);
        if (auto colour = targets_.known_colour(colours))
            add_paint(paints_, {under ? "underfill" : "fill", {*colour, patch}, cells, {}, 0});
    }
    if (!painted && !filled && !under) add_spoiled(patch);
}

void Painter::add_paint(std::vector<Paint>& to, Paint paint) {
    const auto called = uint16_t(find_primitive(paint.primitive));
    paint.bits = enumeration_.call_bits(paint.primitive);
    for (int k = 0; k < int(paint.rest.size()); ++k)
        paint.bits += enumeration_.argument_bits(called, k + 1, paint.rest[size_t(k)]);
    to.push_back(std::move(paint));
}

// Adds ways to paint a patch that are wrong in some cells, but right in at least as many.
void Painter::add_spoiled(Argument patch) {
    std::vector<int64_t> commonest; // the commonest colour of the patch in each output
    for (size_t d = 0; d < targets_.size(); ++d) {
        GridView want = targets_.wanted(d);
        std::array<int, kColours> times{};
        each_place(targets_.value(patch, d), [&](int i, int j, int) {
            if (want.holds(i, j)) ++times[size_t(want.at(i, j))];
        });
        commonest.push_back(std::ranges::max_element(times) - times.begin());
    }
    auto add_call = [&](const char* primitive, std::vector<Argument> rest, auto colour) {
        Mask right = targets_.no_cells(), wrong = right;
        int balance = 0;
        for (size_t d = 0; d < targets_.size(); ++d) {
            GridView want = targets_.wanted(d);
            each_place(targets_.value(patch, d), [&](int i, int j, int own) {
                if (!want.holds(i, j)) return;
                bool is_right = want.at(i, j) == colour(d, own);
                targets_.add(is_right ? right : wrong, d, i, j);
                balance += is_right ? 1 : -1;
            });
        }
        if (balance < 0) return;
        add_paint(spoiled_, {primitive, std::move(rest), std::move(right), std::move(wrong), 0});
    };
    if (auto colour = targets_.known_colour(commonest))
        add_call("fill", {*colour, patch}, [&](size_t d, int) { return commonest[d]; });
    if (targets_.value(patch, 0).tag == Tag::Object)
        add_call("paint", {patch}, [](size_t, int own) { return int64_t(own); });
}

// Finds for each paint with wrong cells the cheapest that covers them.
void Painter::pair_layers() {
    std::ranges::stable_sort(paints_, {}, &Paint::bits);
    std::ranges::stable_sort(spoiled_, {}, &Paint::bits);
    for (const Paint& paint : paints_) layers_.push_back({nullptr, &paint});
    const Mask target = targets_.to_change(targets_.canvases()[0]);
    const auto covering = std::span(paints_).first(std::min(paints_.size(), kMaxCovering));
    std::unordered_set<uint64_t> seen;
    for (const Paint& paint : spoiled_) {
        bool useful = false;
        for (size_t w = 0; w < target.size() && !useful; ++w) useful = paint.right[w] & target[w];
        if (!useful || !seen.insert(hash_mask(hash_mask(1, paint.right), paint.wrong)).second) continue;
        if (seen.size() > kMaxSpoiled) break;
        auto found = std::ranges::find_if(covering,
                                          [&](const Paint& p) { return covers(p.right, paint.wrong); });
        if (found != covering.end()) layers_.push_back({&paint, &*found});
    }
    std::ranges::stable_sort(layers_, {}, &Layers::bits);
}

void Painter::paint() {
    pair_layers();
    const auto canvases = targets_.canvases();
    for (const Argument& canvas : canvases.first(std::min(canvases.size(), kMaxCanvases))) paint(canvas);
}

void Painter::paint(Argument canvas) {
    const Mask target = targets_.to_change(canvas);
    // Ways that paint the same cells of the target form one piece. They may differ on the tests.
    std::unordered_map<uint64_t, size_t> known;
    std::vector<Piece> pieces;
    std::vector<std::vector<Layers>> ways; // of each piece, cheapest first
    for (const Layers& layers : layers_) { // in the order of bits
        Mask common(target.size());
        bool useful = false;
        for (size_t w = 0; w < target.size(); ++w) {
            uint64_t right = layers.paint->right[w] | (layers.before ? layers.before->right[w] : 0);
            useful = (common[w] = right & target[w]) || useful;
        }
        if (!useful) continue;
        auto [at, is_new] = known.try_emplace(hash_mask(1, common), pieces.size());
        if (is_new) {
            pieces.push_back({std::move(common), layers.bits()});
            ways.emplace_back();
        }
        if (ways[at->second].size() < kMaxWays) ways[at->second].push_back(layers);
    }
    for (const std::vector<uint32_t>& cover : cheapest_covers(target, pieces, kMaxPieces, kMaxCovers)) {
        std::vector<Layers> chosen;
        for (uint32_t piece : cover) chosen.push_back(ways[piece][0]);
        paint(canvas, chosen);
        for (size_t k = 0; k < cover.size(); ++k) {
            for (size_t way = 1; way < ways[cover[k]].size(); ++way) {
                chosen[k] = ways[cover[k]][way];
                paint(canvas, chosen);
            }
            chosen[k] = ways[cover[k]][0];
        }
    }
}

void Painter::paint(Argument canvas, const std::vector<Layers>& chosen) {
    std::vector<const Paint*> order;
    for (const Layers& layers : chosen)
        for (const Paint* paint : {layers.before, layers.paint})
            if (paint && std::ranges::find(order, paint) == order.end()) order.push_back(paint);
    // Paints with wrong cells come first. Then large ones come before small ones, so that the smaller one
    // shows where two overlap on a test.
    std::ranges::stable_sort(order, std::ranges::greater{}, [](const Paint* p) {
        int area = 0;
        for (uint64_t word : p->right) area += std::popcount(word);
        return std::pair(!p->wrong.empty(), area);
    });
    std::optional<Argument> grid = canvas;
    for (const Paint* paint : order) {
        std::vector<Argument> arguments{*grid};
        arguments.insert(arguments.end(), paint->rest.begin(), paint->rest.end());
        grid = enumeration_.last_step(paint->primitive, arguments);
        if (!grid) break;
    }
}

} // namespace codeit
