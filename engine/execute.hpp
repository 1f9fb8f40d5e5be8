// Running programs: one program on one grid, and batches on several threads.
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

// A grid outside a run: 1 to 30 rows and columns of colours 0 to 9.
class Grid {
  public:
    static std::shared_ptr<Grid> make(int height, int width, const int8_t* cells);

    int height() const { return int(node_->height); }
    int width() const { return int(node_->width); }
    int8_t* cells() { return node_->cells; }
    const int8_t* cells() const { return node_->cells; }
    size_t area() const { return node_->area(); }
    // Counts the colours, so that runs can read the grid in place instead of copying it. This pays
    // off for inputs.
    void count();
    // The node that runs can read; nullptr before count().
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

// How a run ended: with a grid, or with a fault.
struct Outcome {
    Kind kind = Kind::Grid;
    int line = 0;                    // of the fault, from 1; 0 without a fault
    const char* primitive = nullptr; // that raised the fault; nullptr if none did
    const char* what = nullptr;      // see Fault
    const char* found = nullptr;
    uint64_t steps = 0, cells = 0; // steps taken; maximum of cells in use
    std::shared_ptr<const Grid> grid;
    std::string message() const; // "" without a fault
    bool operator==(const Outcome& other) const;
};

// Whether a value may be the result of a program: a grid of 1 to 30 rows and columns, and of colours.
bool is_output(Value v);
// Whether a value equals a grid.
bool is_grid(Value v, const Grid& want);
// Makes the value of a run's input. The grid must outlive the run's values.
Value input_value(Run& run, const Grid& input);

// Runs a program on a grid. Never throws for what the program does.
Outcome execute(Run& run, const Program& program, const Grid& input, Budget budget);
// Like `execute`. Calls `on_line` with the index and the value of each line when it is computed.
Outcome trace(Run& run, const Program& program, const Grid& input, Budget budget,
              const std::function<void(size_t, Value)>& on_line);

// The CPU time of a run in seconds: the mean of `repeats` runs in a row.
double run_seconds(Run& run, const Program& program, const Grid& input, Budget budget, int repeats);
// The wall-clock time of each line in seconds: the minimum of `repeats` runs.
std::vector<double> line_seconds(Run& run, const Program& program, const Grid& input, Budget budget,
                                 int repeats);

using ProgramRef = std::shared_ptr<const Program>;
using GridRef = std::shared_ptr<const Grid>;

struct Example {
    GridRef input, output;
};

// Runs programs[k] on each grid of inputs[k]. `threads` = 0 uses every core. With `share`, programs
// on equal grids share their calls. Outcomes do not depend on `threads` or `share`.
std::vector<std::vector<Outcome>> run_batch(std::span<const ProgramRef> programs,
                                            std::span<const std::vector<GridRef>> inputs, Budget budget,
                                            int threads, bool share = true);

// Returns the number of examples of each task that each program solves, as a row-major array of shape
// (tasks, programs). With `early_exit` a program is not run on a task's examples after the first
// that it fails. An output must not be missing, and a task has at most 255 examples.
std::vector<uint8_t> count_solved(std::span<const ProgramRef> programs,
                                  std::span<const std::vector<Example>> tasks, Budget budget, bool early_exit,
                                  int threads);

// The results of a program on the examples of a task.
struct Verdict {
    uint64_t behaviour = 0; // a hash of its grids, and of the examples without one
    uint16_t ran = 0;       // the number of examples on which it gave a grid
    uint16_t changed = 0;   // those whose grid differs from the input
    uint16_t shaped = 0;    // those whose grid has the shape of the output
    uint16_t solved = 0;    // those whose grid is the output
    double cells = 0;       // the fraction of correct cells, summed over the examples counted in `shaped`
    bool operator==(const Verdict&) const = default;
};

// Runs programs[k] on the examples of tasks[task_index[k]], whose outputs may be missing. With
// `early_exit` a program stops at the first example on which it gives no grid, and its behaviour is
// 0. With `share`, programs of the same task share their calls. Verdicts do not depend on `threads`
// or `share`.
std::vector<Verdict> evaluate(std::span<const ProgramRef> programs, std::span<const uint32_t> task_index,
                              std::span<const std::vector<Example>> tasks, Budget budget, bool early_exit,
                              int threads, bool share = true);

// Returns the types of the variables of programs[k] on inputs[task_index[k]]: one for each line up
// to the last that gives a value.
std::vector<std::vector<Atom>> infer_types(std::span<const ProgramRef> programs,
                                           std::span<const uint32_t> task_index,
                                           std::span<const GridRef> inputs, Budget budget, int threads);

} // namespace codeit
