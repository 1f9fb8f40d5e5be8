// Running programs: one, and many on many grids with all cores.
#pragma once

#include <array>
#include <cstring>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "program.hpp"
#include "run.hpp"
#include "types.hpp"

namespace codeit {

inline constexpr int kMaxSide = 30, kColours = 10;

// A grid that outlives a run: 1 to 30 rows and columns of colours 0 to 9.
class Grid {
  public:
    static std::shared_ptr<Grid> make(int height, int width, const int8_t* cells);

    int height() const { return int(node_->height); }
    int width() const { return int(node_->width); }
    int8_t* cells() { return node_->cells; }
    const int8_t* cells() const { return node_->cells; }
    size_t area() const { return node_->area(); }
    // Counts the colours: worth it for inputs, which runs then read where they are.
    void count();
    // What a run can read and need not write to; nullptr before count().
    const GridNode* counted() const { return node_->counts ? node_ : nullptr; }
    bool operator==(const Grid& other) const {
        return height() == other.height() && width() == other.width() &&
               std::memcmp(cells(), other.cells(), area()) == 0;
    }
    Grid(const Grid&) = delete;

  protected:
    Grid(int height, int width, std::byte* room)
        : node_(new (room) GridNode{uint32_t(height), uint32_t(width), nullptr, GridNode::kUnknown}) {}

  private:
    GridNode* const node_;
    std::array<uint16_t, kColours> counts_{};
};

struct Outcome {
    Kind kind = Kind::Grid;
    int line = 0; // from 1, where it ended early; 0 otherwise
    const char* primitive = nullptr;
    const char* what = nullptr;
    const char* found = nullptr;
    uint64_t steps = 0, cells = 0;
    std::shared_ptr<const Grid> grid;
    std::string message() const;
    bool operator==(const Outcome& other) const;
};

const char* kind_name(Kind kind);

Outcome execute(Run& run, const Program& program, const Grid& input, Budget budget);
// As execute; `see` is given the value of each line as it is computed.
Outcome trace(Run& run, const Program& program, const Grid& input, Budget budget,
              const std::function<void(size_t, Value)>& see);

// Seconds of the processor that a run takes, of `repeats` in a row the mean; and by the clock that each line takes, of
// so many runs the least.
double run_seconds(Run& run, const Program& program, const Grid& input, Budget budget, int repeats);
std::vector<double> line_seconds(Run& run, const Program& program, const Grid& input, Budget budget, int repeats);

using ProgramRef = std::shared_ptr<const Program>;
using GridRef = std::shared_ptr<const Grid>;

struct Example {
    GridRef input, output;
};

// programs[k] on each of inputs[k]; `threads` of 0 means one a core. Programs on equal grids share their work with
// `share`. No outcome depends on `threads` or `share`.
std::vector<std::vector<Outcome>> run_batch(std::span<const ProgramRef> programs,
                                            std::span<const std::vector<GridRef>> inputs, Budget budget, int threads,
                                            bool share = true);

// How many examples of each task each program solves, by task and then by program. With `early_exit` a program
// stops at the first example that it fails.
std::vector<uint8_t> count_solved(std::span<const ProgramRef> programs,
                                  std::span<const std::vector<Example>> tasks, Budget budget, bool early_exit,
                                  int threads);

// What a program did on some examples.
struct Verdict {
    uint64_t behaviour = 0; // a hash of the grids that it gave, and where it gave none
    uint16_t ran = 0;       // examples on which it gave a grid,
    uint16_t changed = 0;   // one that is not the input,
    uint16_t shaped = 0;    // one of the output's shape,
    uint16_t solved = 0;    // the output
    double cells = 0;       // the share of the cells that are right, summed over the examples of the right shape
    bool operator==(const Verdict&) const = default;
};

// programs[k] on the examples of tasks[of[k]]; an output may be missing. With `all` false a program stops at the
// first example on which it gives no grid, and then has a behaviour of 0. Programs of one task share their work with
// `share`; no verdict depends on it.
std::vector<Verdict> judge(std::span<const ProgramRef> programs, std::span<const uint32_t> of,
                           std::span<const std::vector<Example>> tasks, Budget budget, bool all, int threads,
                           bool share = true);

// The types of the variables of programs[k] on inputs[of[k]], line by line as far as it runs.
std::vector<std::vector<Atom>> observe(std::span<const ProgramRef> programs, std::span<const uint32_t> of,
                                       std::span<const GridRef> inputs, Budget budget, int threads);

} // namespace codeit
