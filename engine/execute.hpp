// Running programs: one, and many on many grids with all cores.
#pragma once

#include <functional>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "program.hpp"
#include "run.hpp"

namespace codeit {

// A grid that outlives a run: 1 to 30 rows and columns of colours 0 to 9.
struct Grid {
    uint8_t height = 0, width = 0;
    std::vector<int8_t> cells;
    bool operator==(const Grid&) const = default;
};
inline constexpr int kMaxSide = 30, kColours = 10;

struct Outcome {
    Kind kind = Kind::Grid;
    int line = 0; // from 1, where it ended early; 0 otherwise
    const char* primitive = nullptr;
    const char* what = nullptr;
    const char* found = nullptr;
    uint64_t steps = 0, cells = 0;
    std::shared_ptr<const Grid> grid;
    std::string message() const;
};

const char* kind_name(Kind kind);

Outcome execute(Run& run, const Program& program, const Grid& input, Budget budget);
// As execute; `see` is given the value of each line as it is computed.
Outcome trace(Run& run, const Program& program, const Grid& input, Budget budget,
              const std::function<void(size_t, Value)>& see);

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

} // namespace codeit
