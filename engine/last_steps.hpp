// The last steps of programs, found from the outputs of a task: calls that make the outputs of values
// that an enumeration has. Their number is bounded; the time grows with the number of values.
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
    bool operator==(const Window& other) const;
};

class LastSteps {
  public:
    // Tries steps on the enumeration, which keeps those that solve the task.
    explicit LastSteps(Enumeration& enumeration);

    void find() {
        paint();
        cut();
        turn();
        join();
        recolour();
    }

  private:
    // A way to paint a patch that never contradicts an output.
    struct Paint {
        const char* primitive;      // fill or paint
        std::vector<Argument> rest; // the arguments behind the grid
        Mask cells;                 // of all outputs
        int bits;                   // without those of the grid
    };

    // Paints patches on a grid, as few and as cheap ones as possible: in last_steps_paint.cpp.
    void paint();
    std::vector<Argument> moved_objects();  // objects, moved to where the outputs show them
    std::vector<Argument> coloured_cells(); // those of one colour in a grid that have one in each output
    void add_paints(Argument patch);
    void cover(Argument canvas);

    void cut();      // rectangles out of grids
    void turn();     // mirrors, rotates and enlarges grids
    void join();     // two grids side by side, or up to three by three tiles
    void recolour(); // replaces colours of a grid
    std::optional<Argument> tiled(const std::vector<Window>& wanted, int depth);

    GridView value(Argument grid, size_t d) const { return codeit::grid(enumeration_.value_of(grid, d)); }
    GridView wanted(size_t d) const {
        const Grid& g = enumeration_.output(d);
        return {g.height(), g.width(), g.cells()};
    }
    std::optional<Argument> known_grid(uint64_t hash) const;
    std::optional<Argument> known_colour(const std::vector<int64_t>& of_demonstrations) const;
    std::optional<Argument> known_colour(int64_t of_all) const {
        return known_colour(std::vector<int64_t>(n_, of_all));
    }

    Enumeration& enumeration_;
    size_t n_;                    // demonstrations
    std::vector<Argument> grids_; // the input, then others in the order of bits
    std::vector<Argument> canvases_; // of these, the ones with the shapes of the outputs
    // The cheapest grids and integers by their values on the demonstrations, grids by a hash of them.
    std::unordered_map<uint64_t, Argument> by_value_;
    std::map<std::vector<int64_t>, Argument> colours_;
    std::vector<size_t> offset_; // of each output's cells in a mask, in words
    std::vector<Paint> paints_;
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

} // namespace codeit
