// The values of many expressions on the inputs of a task, and how they relate to its outputs.
//
// The lines of programs are expressions: each gives a value that depends on the input alone. A bank
// holds the distinct lines of many programs. It computes a part that several programs share once.
#pragma once

#include "execute.hpp"

namespace codeit {

// What of a value is compared, and with what.
//
//   Cells    a set of places, or the places of objects: with the cells that differ between input and
//            output, or with those of them that become one colour
//   Painted  an object: the input with the object painted on it, with the output
//   Grid     a grid: with the output
//   Crop     a set of places: the smallest rectangle of the input around it, with the output
//   To       an integer: with the one colour that cells change to
//   From     an integer: with the one colour that cells change from
//   Height   an integer: with the output's height; likewise Width
//   Shape    a pair of integers: with the output's shape
enum class Aspect : uint8_t { Cells, Painted, Grid, Crop, To, From, Height, Width, Shape };
inline constexpr int kAspects = 9;

// How the two compare. Only Equal applies to integers and pairs.
//
//   Equal   they are equal
//   Near    at least four fifths are right: of the union of two sets, of the cells of a grid (Crop,
//           and Grid if the shapes of input and output differ), or of the changed cells
//   Within  the set is a subset of the other one
//   Around  the set is a superset of the other one
//   Closer  fewer cells are wrong than in the input (Grid, Painted)
//   Alike   grids of the same shape (Crop, Grid), or sets that overlap
enum class Relation : uint8_t { Equal, Near, Within, Around, Closer, Alike };
inline constexpr int kRelations = 6;

const char* name(Aspect aspect);
const char* name(Relation relation);

// A relation that holds on all demonstrations, or on all but one.
struct Match {
    uint32_t expression;
    Aspect aspect;
    Relation relation;
    int8_t colour; // of `Cells` that become one colour; -1 for all that change
    bool but_one;  // Equal on all demonstrations but one, of three or more
    double score;  // larger is better; see `matches`
};

// The values of a bank's expressions on the inputs of a task. Of expressions with equal values it
// holds the one with fewest lines, and only those that give a value on all inputs.
class TaskValues {
  public:
    size_t size() const { return entries_.size(); }
    std::span<const GridRef> inputs() const { return inputs_; }
    // Returns the best matches with the outputs, one for each input: at most `most`, and at most half
    // as many of one aspect. An equal value scores above one that is equal on all inputs but one, and
    // that above any other. Within these, more right cells score higher; among equals, fewer lines.
    std::vector<Match> matches(std::span<const GridRef> outputs, size_t most) const;

  private:
    friend class ValueBank;

    enum class Kind : uint8_t { None, Cells, Object, Grid, Integer, Pair };
    // A value on one input. `bits` is the index of a set of places in `bits_`; `cells` that of the
    // cells of a grid, or of the colours of an object in the order of places.
    struct Part {
        Kind kind = Kind::None;
        bool outside = false; // some places are outside the input
        uint32_t bits = 0, cells = 0, n = 0;
        int32_t top = 0, left = 0, height = 0, width = 0; // of the smallest rectangle, or of a grid
        int64_t number = 0, second = 0;
        uint64_t hash = 0;
    };
    struct Entry {
        uint32_t expression, lines;
        Kind kind;
    };
    class Scorer;

    Part part(Value v, const Grid& input, std::vector<uint64_t>& bits, std::vector<int8_t>& cells) const;

    std::vector<GridRef> inputs_;
    std::vector<Entry> entries_;
    std::vector<Part> parts_; // of entry e on input k: parts_[e * inputs_.size() + k]
    std::vector<uint64_t> bits_;
    std::vector<int8_t> cells_;
};

class ValueBank {
  public:
    // At most kMaxExpressions distinct lines. std::length_error beyond.
    explicit ValueBank(std::span<const ProgramRef> programs);
    static constexpr size_t kMaxExpressions = UINT16_MAX;

    size_t size() const { return lines_.size(); }
    // The program whose result is an expression.
    ProgramRef program(size_t expression) const;
    // Computes all expressions on the inputs of a task. `steps` is the budget of one expression on one
    // input, without what it uses; `cells` that of all expressions on one input.
    std::shared_ptr<const TaskValues> values(std::span<const GridRef> inputs, Budget budget) const;

  private:
    std::vector<Line> lines_;                   // each uses earlier ones only
    std::vector<std::vector<uint16_t>> needed_; // for each line: itself and those that it depends on
    std::vector<uint32_t> order_;               // of lines by the number of lines that they need
};

} // namespace codeit
