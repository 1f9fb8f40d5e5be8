// What last steps aim at and start from: the outputs of a task, and the grids and colours of an
// enumeration.
#pragma once

#include <map>
#include <optional>
#include <unordered_map>

#include "enumeration.hpp"
#include "pieces.hpp"
#include "values.hpp"

namespace codeit {

// A part of a grid.
struct Window {
    const int8_t* cells;
    int stride, h, w;
    Window(const GridView& g) : Window(g, 0, 0, g.h, g.w) {}
    Window(const GridView& g, int top, int left, int h, int w)
        : cells(g.cells + top * g.w + left), stride(g.w), h(h), w(w) {}
    bool operator==(const Window& other) const;
    uint64_t hash(uint64_t before) const; // continues a hash
};

// Calls `visit(row, column, colour)` for the places of an Indices, with kNoColour, or of an Object.
inline constexpr int kNoColour = -1;
template <class Visit> void each_place(Value v, Visit visit) {
    if (v.tag == Tag::Indices)
        for (uint32_t k = 0; k < v.indices->n; ++k)
            visit(key_i(v.indices->keys[k]), key_j(v.indices->keys[k]), kNoColour);
    else if (v.tag == Tag::Object)
        for (uint32_t k = 0; k < v.object->n; ++k) {
            uint64_t key = v.object->keys[k];
            visit(key_i(uint32_t(key)), key_j(uint32_t(key)), key_value(key));
        }
}

// Demonstrations are counted from 0: see Enumeration::demonstration.
class Targets {
  public:
    explicit Targets(const Enumeration& enumeration);

    size_t size() const { return wanted_.size(); } // demonstrations
    GridView wanted(size_t d) const { return wanted_[d]; }
    Value value(Argument a, size_t d) const {
        return enumeration_.value(a, enumeration_.demonstration(d));
    }
    GridView grid(Argument a, size_t d) const { return codeit::grid(value(a, d)); }

    // The input, and then all grids, cheapest first.
    std::span<const Argument> grids() const { return grids_; }
    // Those of them that have the shapes of the outputs.
    std::span<const Argument> canvases() const { return canvases_; }
    // Whether a cell of the first canvas has the commonest colour of that canvas.
    bool is_ground(size_t d, int i, int j) const { return canvas_[d].at(i, j) == ground_[d]; }
    // Whether a cell of the first canvas differs from the output.
    bool is_new(size_t d, int i, int j) const { return canvas_[d].at(i, j) != wanted_[d].at(i, j); }

    // The cheapest expression with given values on the demonstrations: a grid by the hash of its windows,
    // a colour by its numbers.
    std::optional<Argument> known_grid(uint64_t hash) const;
    std::optional<Argument> known_colour(const std::vector<int64_t>& colours) const;
    std::optional<Argument> known_colour(int64_t colour) const {
        return known_colour(std::vector<int64_t>(size(), colour));
    }

    // Masks of the cells of all outputs.
    Mask no_cells() const { return Mask(offset_.back()); }
    void add(Mask& mask, size_t d, int i, int j) const {
        size_t at = size_t(i * wanted_[d].w + j);
        mask[offset_[d] + at / 64] |= uint64_t(1) << (at % 64);
    }
    Mask to_change(Argument canvas) const; // cells that differ from the outputs

  private:
    void read_grids();
    void read_colours();

    const Enumeration& enumeration_;
    std::vector<GridView> wanted_;
    std::vector<Argument> grids_, canvases_;
    std::vector<GridView> canvas_; // the first canvas
    std::vector<int> ground_;      // its commonest colour
    std::unordered_map<uint64_t, Argument> by_value_;
    std::map<std::vector<int64_t>, Argument> colours_;
    std::vector<size_t> offset_; // of each output's cells in a mask, in words
};

} // namespace codeit
