#include "execute.hpp"

#include <atomic>
#include <chrono>
#include <ctime>
#include <exception>
#include <limits>
#include <mutex>
#include <numeric>
#include <optional>
#include <thread>
#include <unordered_map>

#include "calls.hpp"
#include "hash.hpp"
#include "primitives/table.hpp"

namespace codeit {

namespace {

// Whether all cells are colours, 0 to 9.
bool are_colours(const int8_t* cells, size_t n) {
    typedef uint8_t Bytes __attribute__((vector_size(16)));
    typedef uint64_t Words __attribute__((vector_size(16)));
    auto is_none = [](int8_t cell) { return uint8_t(cell) >= kColours; }; // negative ones become large
    if (n < sizeof(Bytes)) return std::none_of(cells, cells + n, is_none);
    Bytes greatest{};
    auto include = [&](size_t k) {
        Bytes loaded;
        std::memcpy(&loaded, cells + k, sizeof loaded);
        greatest = loaded > greatest ? loaded : greatest;
    };
    for (size_t k = 0; k + sizeof greatest < n; k += sizeof greatest) include(k);
    include(n - sizeof greatest); // the last cells, which the loop may skip
    auto words = reinterpret_cast<Words>(greatest >= uint8_t(kColours));
    return (words[0] | words[1]) == 0;
}

bool check_result(Value v, const char*& what, Kind& kind) {
    if (v.tag != Tag::Grid) {
        kind = Kind::NotAGrid;
        what = "the result to be a grid";
        return false;
    }
    GridView g = grid(v);
    kind = Kind::BadGrid;
    if (g.h > kMaxSide || g.w > kMaxSide || g.w == 0) {
        what = "a result of 1 to 30 rows and columns";
        return false;
    }
    what = "a result of colours 0 to 9";
    return are_colours(g.cells, g.area());
}

} // namespace

bool is_output(Value v) {
    const char* what;
    Kind kind;
    return check_result(v, what, kind);
}

bool is_grid(Value v, const Grid& want) {
    if (v.tag != Tag::Grid) return false;
    GridView g = grid(v);
    return g.h == want.height() && g.w == want.width() && std::memcmp(g.cells, want.cells(), g.area()) == 0;
}

Value input_value(Run& run, const Grid& input) {
    if (const GridNode* node = input.counted()) return input_grid(run, node);
    int8_t* cells;
    Value v = new_grid(run, input.height(), input.width(), cells);
    std::memcpy(cells, input.cells(), input.area());
    return v;
}

namespace {

// How a run ended: with a value, which is valid until the next start of the Run, or with a fault.
struct Ending {
    Value value;
    std::optional<Fault> fault;
    const Step* at; // the last line that was started
};

// Calls the function of each line in turn: `call(step, arguments, fault)`. `results` holds the results
// of the first lines, which are not called. It is read before the first call of `on_line`.
template <class Call, class OnLine>
void run_lines(Run& run, const Program& program, Value input, std::span<const Value> results, Ending& end,
               Call call, OnLine on_line) {
    if (run.frame.size() < program.frame.size()) run.frame.resize(program.frame.size());
    Value* const frame = run.frame.data();
    std::copy(program.frame.begin(), program.frame.end(), frame);
    const uint32_t* use = program.uses.data();
    auto copy_to_uses = [&](Value v, uint32_t uses) {
        for (const uint32_t* stop = use + uses; use < stop; ++use) put(frame[*use], v);
    };
    auto set_result = [&](const Step* step, Value v) {
        put(frame[step->result], v);
        copy_to_uses(v, step->more_uses);
    };
    copy_to_uses(input, program.input_uses);
    const Step *const first = program.steps.data(), *const stop = first + program.steps.size(),
                      *step = first;
    for (Value v : results) set_result(step++, v);
    for (; step < stop; ++step) {
        end.at = step;
        run.primitive = -1;
        Value result = call(*step, frame + step->arguments, end.fault);
        if (end.fault) return;
        set_result(step, result);
        on_line(size_t(step - first), result);
    }
    put(end.value, frame[program.frame.size() - 1]);
}

// Like `call`, but not inlined into the loop over the lines, which needs the registers.
[[gnu::noinline]] Value call_value(Run& run, Value function, const Value* a, int n) {
    return call(run, function, a, n);
}

template <class OnLine>
Ending run_unshared(Run& run, const Program& program, const Grid& input, const Budget& budget,
                    OnLine on_line) {
    Ending end{{}, {}, program.steps.data()};
    try {
        run.start(budget);
        auto plain = [&](const Step& step, const Value* a, std::optional<Fault>&) {
            if (!step.primitive) return call_value(run, a[-1], a, int(step.n));
            return call_primitive(run, step.primitive, a); // parse has checked the number of arguments
        };
        run_lines(run, program, input_value(run, input), {}, end, plain, on_line);
    } catch (const Fault& fault) {
        end.fault = fault;
    }
    return end;
}

auto ignore_line = [](size_t, Value) {};

// Runs programs one after another on one input. They share their calls, and the results of the
// lines that a program has in common with the one before it.
class SharedRun {
  public:
    // Sets the input of the next programs. With `skip_over_budget` a fault may have another kind
    // and message: only that there is one is certain.
    void begin_input(const Grid& input, Budget budget, bool skip_over_budget = false) {
        input_ = &input;
        budget_ = budget;
        run_.skip_over_budget = skip_over_budget;
        Budget enough;
        run_.start({std::max(budget.steps, enough.steps), std::max(budget.cells, enough.cells)});
        value_ = input_value(run_, input);
        steps_ = run_.steps();
        cells_ = run_.cells;
        too_large_ = steps_ > budget.steps || cells_ > budget.cells;
        last_ = nullptr;
        results_.clear();
        states_.clear();
    }
    Run& run() { return run_; }

    Ending run(const Program& program) { return run(program, ignore_line); }
    // Calls `on_line` with the index and the value of each line, in order.
    template <class OnLine> Ending run(const Program& program, OnLine on_line) {
        if (too_large_) return run_unshared(run_, program, *input_, budget_, on_line);
        if (!run_.has_room()) begin_input(*input_, budget_, run_.skip_over_budget);
        run_.start_shared(budget_);
        size_t same = common_lines(program);
        results_.resize(same);
        states_.resize(same);
        RunState before = same ? states_.back() : RunState{steps_, cells_, cells_};
        run_.steps_left -= int64_t(before.steps);
        run_.cells = before.cells;
        run_.cells_peak = before.cells_peak;
        Ending end{{}, {}, program.steps.data()};
        auto memoized = [&](const Step& step, const Value* a, std::optional<Fault>& fault) {
            return call_memoized(run_, step.primitive ? Value(step.primitive) : a[-1], a, int(step.n), fault);
        };
        for (size_t k = 0; k < same; ++k) on_line(k, results_[k]);
        run_lines(run_, program, value_, results_, end, memoized, [&](size_t line, Value value) {
            results_.push_back(value);
            states_.push_back({run_.steps(), run_.cells, run_.peak()});
            on_line(line, value);
        });
        last_ = &program;
        return end;
    }

  private:
    Run run_;
    const Grid* input_ = nullptr;
    Budget budget_;
    Value value_;
    uint64_t steps_ = 0, cells_ = 0; // of the input
    bool too_large_ = false; // the input alone exceeds the budget

    // The length of the common prefix of the program and the last one, up to the last line that
    // gave a value.
    size_t common_lines(const Program& program) const {
        if (!last_) return 0;
        size_t limit = std::min(results_.size(), program.lines.size()), k = 0;
        while (k < limit && program.lines[k].same_call(last_->lines[k])) ++k;
        return k;
    }

    struct RunState {
        uint64_t steps, cells, cells_peak;
    };
    const Program* last_ = nullptr;
    std::vector<Value> results_; // of the last program's lines
    std::vector<RunState> states_; // of the run, after each of these lines
};

Outcome outcome(const Run& run, const Program& program, const Ending& end) {
    Outcome out;
    out.steps = run.steps();
    out.cells = run.peak();
    if (end.fault) {
        out.kind = end.fault->kind;
        out.line = int(end.at - program.steps.data()) + 1;
        out.what = end.fault->what;
        out.found = end.fault->found;
        if (run.primitive >= 0) out.primitive = primitives()[size_t(run.primitive)].name;
    } else if (check_result(end.value, out.what, out.kind)) {
        GridView g = grid(end.value);
        out.grid = Grid::make(g.h, g.w, g.cells);
        out.kind = Kind::Grid;
        out.what = nullptr;
    } else {
        out.line = int(program.lines.size());
        if (out.kind == Kind::NotAGrid) out.found = type_name(end.value);
    }
    return out;
}

bool result_is(const Ending& end, const Grid& want) { return !end.fault && is_grid(end.value, want); }

// A SharedRun from a pool, for as long as a thread works. Its memory was touched by earlier
// uses, which saves page faults.
class PooledRun {
  public:
    PooledRun() {
        std::lock_guard hold(lock());
        if (idle().empty()) return;
        run_ = std::move(idle().back());
        idle().pop_back();
    }
    ~PooledRun() {
        if (!run_) return;
        std::lock_guard hold(lock());
        idle().push_back(std::move(run_));
    }
    PooledRun(const PooledRun&) = delete;
    SharedRun& operator*() {
        if (!run_) run_ = std::make_unique<SharedRun>();
        return *run_;
    }

  private:
    static std::mutex& lock() {
        static std::mutex mutex;
        return mutex;
    }
    static std::vector<std::unique_ptr<SharedRun>>& idle() {
        static std::vector<std::unique_ptr<SharedRun>> runs;
        return runs;
    }
    std::unique_ptr<SharedRun> run_;
};

// Calls job(shared_run, k) for each k below n, on several threads.
template <class Job> void parallel(size_t n, int threads, Job job) {
    size_t count = threads > 0 ? size_t(threads) : std::max(1u, std::thread::hardware_concurrency());
    count = std::min(count, n);
    std::atomic<size_t> next{0};
    std::exception_ptr error;
    std::mutex error_lock;
    auto work = [&] {
        try {
            PooledRun run;
            for (size_t k; (k = next.fetch_add(1)) < n;) job(*run, k);
        } catch (...) { // out of memory; rethrown in the caller's thread
            std::lock_guard lock(error_lock);
            error = std::current_exception();
        }
    };
    std::vector<std::jthread> helpers; // joined in any case, also if a thread cannot be started
    for (size_t t = 1; t < count; ++t) helpers.emplace_back(work);
    work();
    helpers.clear();
    if (error) std::rethrow_exception(error);
}

// A program, and one of its inputs.
struct Job {
    uint32_t program, input;
};

// Groups the jobs of a batch by equal grids, in the order of the first job of each group.
std::vector<std::vector<Job>> group_by_input(std::span<const std::vector<GridRef>> inputs) {
    std::vector<std::vector<Job>> groups;
    std::unordered_map<const Grid*, size_t> known;
    // Grids with equal cells may have different shapes.
    std::unordered_multimap<std::string_view, std::pair<const Grid*, size_t>> by_cells;
    auto group_of = [&](const Grid* grid) {
        auto [found, is_new] = known.try_emplace(grid, groups.size());
        if (!is_new) return found->second;
        std::string_view cells{reinterpret_cast<const char*>(grid->cells()), grid->area()};
        auto [begin, end] = by_cells.equal_range(cells);
        for (auto same = begin; same != end; ++same)
            if (*same->second.first == *grid) return found->second = same->second.second;
        by_cells.emplace(cells, std::pair(grid, groups.size()));
        groups.emplace_back();
        return found->second;
    };
    for (uint32_t k = 0; k < inputs.size(); ++k)
        for (uint32_t m = 0; m < inputs[k].size(); ++m)
            groups[group_of(inputs[k][m].get())].push_back({k, m});
    return groups;
}

// Orders programs by their lines. Programs with a long common prefix, which share most, become
// neighbours.
std::vector<uint32_t> order_by_prefix(std::span<const ProgramRef> programs) {
    auto key_of = [](const Program& program) {
        std::vector<uint32_t> key;
        for (const Line& line : program.lines)
            each_operand(line, [&](Operand o) { key.push_back(uint32_t(o.kind) << 16 | o.index); });
        return key;
    };
    std::vector<std::vector<uint32_t>> keys;
    for (const ProgramRef& program : programs) keys.push_back(key_of(*program));
    std::vector<uint32_t> order(programs.size());
    std::iota(order.begin(), order.end(), 0);
    std::stable_sort(order.begin(), order.end(), [&](uint32_t a, uint32_t b) { return keys[a] < keys[b]; });
    return order;
}

constexpr size_t kBlockPrograms = 1024; // programs that a thread runs on one input before the next input

// Programs in blocks, each of one task, in the order in which they share most.
struct TaskBlocks {
    TaskBlocks(std::span<const ProgramRef> programs, std::span<const uint32_t> task_index)
        : order(order_by_prefix(programs)) {
        std::stable_sort(order.begin(), order.end(),
                         [&](uint32_t a, uint32_t b) { return task_index[a] < task_index[b]; });
        for (size_t begin = 0, end = 0; begin < order.size(); begin = end) {
            while (end < order.size() && task_index[order[end]] == task_index[order[begin]] &&
                   end - begin < kBlockPrograms)
                ++end;
            blocks.push_back(std::span(order).subspan(begin, end - begin));
        }
    }
    std::vector<uint32_t> order;
    std::vector<std::span<const uint32_t>> blocks;
};

} // namespace

std::shared_ptr<Grid> Grid::make(int height, int width, const int8_t* cells) {
    // One allocation for the object and its cells, of one of three sizes.
    auto with_room = [&]<size_t N>(std::integral_constant<size_t, N>) -> std::shared_ptr<Grid> {
        struct WithRoom : Grid {
            alignas(GridNode) std::byte room[sizeof(GridNode) + N];
            WithRoom(int h, int w) : Grid(h, w, room) {}
        };
        return std::make_shared<WithRoom>(height, width);
    };
    size_t area = size_t(height) * size_t(width);
    auto grid = area <= 100   ? with_room(std::integral_constant<size_t, 100>())
                : area <= 256 ? with_room(std::integral_constant<size_t, 256>())
                              : with_room(std::integral_constant<size_t, kMaxSide * kMaxSide>());
    std::memcpy(grid->cells(), cells, area);
    return grid;
}

void Grid::count() {
    for (size_t k = 0; k < area(); ++k) ++counts_[size_t(node_->cells[k])];
    node_->counts = counts_.data();
    node_->background = int8_t(std::ranges::max_element(counts_) - counts_.begin());
}

std::string Outcome::message() const {
    if (kind == Kind::Grid) return "";
    std::string text = "line " + std::to_string(line) + ": ";
    if (primitive) text += std::string(primitive) + ": ";
    bool expects = kind == Kind::Type || kind == Kind::NotAGrid || kind == Kind::BadGrid;
    if (expects) text += "expected ";
    text += what;
    if (found) text += std::string(", found ") + found;
    return text;
}

bool Outcome::operator==(const Outcome& other) const {
    bool grids = grid && other.grid ? *grid == *other.grid : grid == other.grid;
    return grids && kind == other.kind && line == other.line && steps == other.steps &&
           cells == other.cells && message() == other.message();
}

Outcome execute(Run& run, const Program& program, const Grid& input, Budget budget) {
    return outcome(run, program, run_unshared(run, program, input, budget, ignore_line));
}

Outcome trace(Run& run, const Program& program, const Grid& input, Budget budget,
              const std::function<void(size_t, Value)>& on_line) {
    return outcome(run, program, run_unshared(run, program, input, budget, on_line));
}

namespace {

using Clock = std::chrono::steady_clock;

double seconds_since(Clock::time_point begin) {
    return std::chrono::duration<double>(Clock::now() - begin).count();
}

double cpu_seconds() { // of this thread
    timespec now;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
    return double(now.tv_sec) + 1e-9 * double(now.tv_nsec);
}

} // namespace

double run_seconds(Run& run, const Program& program, const Grid& input, Budget budget, int repeats) {
    double begin = cpu_seconds();
    for (int k = 0; k < repeats; ++k) execute(run, program, input, budget);
    return (cpu_seconds() - begin) / repeats;
}

std::vector<double> line_seconds(Run& run, const Program& program, const Grid& input, Budget budget,
                                 int repeats) {
    std::vector<double> least(program.lines.size(), std::numeric_limits<double>::infinity());
    for (int k = 0; k < repeats; ++k) {
        auto before = Clock::now();
        run_unshared(run, program, input, budget, [&](size_t line, Value) {
            least[line] = std::min(least[line], seconds_since(before));
            before = Clock::now();
        });
    }
    return least;
}

std::vector<std::vector<Outcome>> run_batch(std::span<const ProgramRef> programs,
                                            std::span<const std::vector<GridRef>> inputs, Budget budget,
                                            int threads, bool share) {
    std::vector<std::vector<Outcome>> outcomes(programs.size());
    for (size_t k = 0; k < programs.size(); ++k) outcomes[k].resize(inputs[k].size());
    constexpr size_t kBlockJobs = 128; // that a thread takes at once
    std::vector<std::span<const Job>> blocks;
    std::vector<std::vector<Job>> groups = group_by_input(inputs);
    if (share && groups.size() < programs.size()) {
        std::vector<uint32_t> order = order_by_prefix(programs), rank(programs.size());
        for (uint32_t k = 0; k < order.size(); ++k) rank[order[k]] = k;
        for (auto& group : groups)
            std::stable_sort(group.begin(), group.end(),
                             [&](Job a, Job b) { return rank[a.program] < rank[b.program]; });
    }
    for (std::span<const Job> group : groups)
        for (size_t at = 0; at < group.size(); at += kBlockJobs)
            blocks.push_back(group.subspan(at, std::min(kBlockJobs, group.size() - at)));
    parallel(blocks.size(), threads, [&](SharedRun& shared, size_t b) {
        std::span<const Job> block = blocks[b];
        const Grid& input = *inputs[block[0].program][block[0].input];
        bool alone = !share || block.size() == 1;
        if (!alone) shared.begin_input(input, budget);
        for (Job job : block) {
            const Program& program = *programs[job.program];
            Ending end =
                alone ? run_unshared(shared.run(), program, input, budget, ignore_line) : shared.run(program);
            outcomes[job.program][job.input] = outcome(shared.run(), program, end);
        }
    });
    return outcomes;
}

std::vector<uint8_t> count_solved(std::span<const ProgramRef> programs,
                                  std::span<const std::vector<Example>> tasks, Budget budget, bool early_exit,
                                  int threads) {
    std::vector<uint8_t> solved(programs.size() * tasks.size());
    size_t blocks = (programs.size() + kBlockPrograms - 1) / kBlockPrograms;
    std::vector<uint32_t> order = order_by_prefix(programs);
    parallel(blocks * tasks.size(), threads, [&](SharedRun& shared, size_t b) {
        size_t task = b / blocks, begin = b % blocks * kBlockPrograms,
               end = std::min(programs.size(), begin + kBlockPrograms);
        std::vector<uint32_t> left(order.begin() + begin, order.begin() + end); // programs that still run
        for (const Example& example : tasks[task]) {
            shared.begin_input(*example.input, budget, true);
            std::erase_if(left, [&](uint32_t k) {
                bool right = result_is(shared.run(*programs[k]), *example.output);
                solved[task * programs.size() + k] += right;
                return !right && early_exit;
            });
        }
    });
    return solved;
}

namespace {

// Marks an example without a grid. It cannot be confused with a grid, whose first word is its
// height.
constexpr uint64_t kNoGrid = UINT64_MAX;

uint64_t hash_grid(uint64_t hash, GridView g) {
    return hash_bytes(mix(mix(hash, g.h), g.w), g.cells, g.area());
}

void add_example(Verdict& verdict, const Example& example, const Ending& end) {
    bool ran = !end.fault && is_output(end.value);
    verdict.behaviour = ran ? hash_grid(verdict.behaviour, grid(end.value)) : mix(verdict.behaviour, kNoGrid);
    if (!ran) return;
    ++verdict.ran;
    verdict.changed += !result_is(end, *example.input);
    GridView g = grid(end.value);
    const Grid* want = example.output.get();
    if (!want || g.h != want->height() || g.w != want->width()) return;
    size_t right = 0;
    for (size_t k = 0; k < g.area(); ++k) right += g.cells[k] == want->cells()[k];
    ++verdict.shaped;
    verdict.solved += right == g.area();
    verdict.cells += double(right) / double(g.area());
}

} // namespace

std::vector<Verdict> evaluate(std::span<const ProgramRef> programs, std::span<const uint32_t> task_index,
                              std::span<const std::vector<Example>> tasks, Budget budget, bool early_exit,
                              int threads, bool share) {
    std::vector<Verdict> verdicts(programs.size());
    TaskBlocks task_blocks(programs, task_index);
    parallel(task_blocks.blocks.size(), threads, [&](SharedRun& shared, size_t b) {
        std::span<const uint32_t> block = task_blocks.blocks[b];
        std::vector<uint32_t> left(block.begin(), block.end()); // programs that still run
        for (const Example& example : tasks[task_index[left.front()]]) {
            if (left.empty()) break;
            if (share) shared.begin_input(*example.input, budget, true);
            std::erase_if(left, [&](uint32_t k) {
                uint16_t ran = verdicts[k].ran;
                Ending end =
                    share ? shared.run(*programs[k])
                          : run_unshared(shared.run(), *programs[k], *example.input, budget, ignore_line);
                add_example(verdicts[k], example, end);
                bool failed = verdicts[k].ran == ran;
                if (failed && early_exit) verdicts[k].behaviour = 0;
                return failed && early_exit;
            });
        }
    });
    return verdicts;
}

std::vector<std::vector<Atom>> infer_types(std::span<const ProgramRef> programs,
                                           std::span<const uint32_t> task_index,
                                           std::span<const GridRef> inputs, Budget budget, int threads) {
    std::vector<std::vector<Atom>> types(programs.size());
    TaskBlocks task_blocks(programs, task_index);
    parallel(task_blocks.blocks.size(), threads, [&](SharedRun& shared, size_t b) {
        shared.begin_input(*inputs[task_index[task_blocks.blocks[b].front()]], budget, true);
        for (uint32_t k : task_blocks.blocks[b])
            shared.run(*programs[k], [&](size_t, Value v) { types[k].push_back(atom(v)); });
    });
    return types;
}

} // namespace codeit
