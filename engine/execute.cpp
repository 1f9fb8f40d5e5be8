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

#include "hash.hpp"
#include "primitives/table.hpp"

namespace codeit {

namespace {

Value input_value(Run& run, const Grid& input) {
    if (const GridNode* node = input.counted()) return given_grid(run, node);
    int8_t* cells;
    Value v = new_grid(run, input.height(), input.width(), cells);
    std::memcpy(cells, input.cells(), input.area());
    return v;
}

// How a run ended: with a value, in the run's memory until its next start, or early, at a line.
struct Ending {
    Value value;
    std::optional<Fault> fault;
    const Step* at; // the line that was last begun
};

// Calls each line's function in turn: `call(step, arguments, fault)`. The results of the first lines may be given, and
// are read before `see` is shown a new one.
template <class Call, class See>
void run_lines(Run& run, const Program& program, Value input, std::span<const Value> given, Ending& end, Call call,
               See see) {
    if (run.frame.size() < program.frame.size()) run.frame.resize(program.frame.size());
    Value* const frame = run.frame.data();
    std::copy(program.frame.begin(), program.frame.end(), frame);
    const uint32_t* use = program.uses.data();
    auto give = [&](Value v, uint32_t uses) {
        for (const uint32_t* behind = use + uses; use < behind; ++use) put(frame[*use], v);
    };
    auto give_result = [&](const Step* step, Value v) {
        put(frame[step->result], v);
        give(v, step->more_uses);
    };
    give(input, program.input_uses);
    const Step *const first = program.steps.data(), *const behind = first + program.steps.size(), *step = first;
    for (Value v : given) give_result(step++, v);
    for (; step < behind; ++step) {
        end.at = step;
        run.primitive = -1;
        Value result = call(*step, frame + step->arguments, end.fault);
        if (end.fault) return;
        give_result(step, result);
        see(size_t(step - first), result);
    }
    put(end.value, frame[program.frame.size() - 1]);
}

// As call, apart from the loop over the lines, which needs the registers.
[[gnu::noinline]] Value call_value(Run& run, Value function, const Value* a, int n) { return call(run, function, a, n); }

template <class See>
Ending run_alone(Run& run, const Program& program, const Grid& input, const Budget& budget, See see) {
    Ending end{{}, {}, program.steps.data()};
    try {
        run.start(budget);
        auto plain = [&](const Step& step, const Value* a, std::optional<Fault>&) {
            if (!step.primitive) return call_value(run, a[-1], a, int(step.n));
            return call_primitive(run, step.primitive, a); // of as many arguments as it takes: see parse
        };
        run_lines(run, program, input_value(run, input), {}, end, plain, see);
    } catch (const Fault& fault) {
        end.fault = fault;
    }
    return end;
}

auto ignore = [](size_t, Value) {};

// Programs run one after another on one input, and share their work.
class Company {
  public:
    // The next programs run on this input. If `brief`, no fault's kind or message counts: only that there is one.
    void gather(const Grid& input, Budget budget, bool brief = false) {
        input_ = &input;
        budget_ = budget;
        run_.brief = brief;
        Budget enough;
        run_.start({std::max(budget.steps, enough.steps), std::max(budget.cells, enough.cells)});
        value_ = input_value(run_, input);
        steps_ = run_.steps();
        cells_ = run_.cells;
        alone_ = steps_ > budget.steps || cells_ > budget.cells;
        last_ = nullptr;
        results_.clear();
        after_.clear();
    }
    Run& run() { return run_; }

    Ending run(const Program& program) { return run(program, ignore); }
    // `see` is given the value of each line as it is computed, in order.
    template <class See> Ending run(const Program& program, See see) {
        if (alone_) return run_alone(run_, program, *input_, budget_, see); // the input is too much as it is
        if (!run_.has_room()) gather(*input_, budget_, run_.brief);
        run_.join(budget_);
        size_t same = lines_as_before(program);
        results_.resize(same);
        after_.resize(same);
        State before = same ? after_.back() : State{steps_, cells_, cells_};
        run_.steps_left -= int64_t(before.steps);
        run_.cells = before.cells;
        run_.cells_peak = before.cells_peak;
        Ending end{{}, {}, program.steps.data()};
        auto shared = [&](const Step& step, const Value* a, std::optional<Fault>& fault) {
            return call_shared(run_, step.primitive ? Value(step.primitive) : a[-1], a, int(step.n), fault);
        };
        for (size_t k = 0; k < same; ++k) see(k, results_[k]);
        run_lines(run_, program, value_, results_, end, shared, [&](size_t line, Value value) {
            results_.push_back(value);
            after_.push_back({run_.steps(), run_.cells, run_.peak()});
            see(line, value);
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
    bool alone_ = false;

    // How many lines the program has in common with the last one, from the first on, of those that gave a value.
    size_t lines_as_before(const Program& program) const {
        if (!last_) return 0;
        size_t most = std::min(results_.size(), program.lines.size()), k = 0;
        while (k < most && program.lines[k].calls_as(last_->lines[k])) ++k;
        return k;
    }

    struct State {
        uint64_t steps, cells, cells_peak;
    };
    const Program* last_ = nullptr;
    std::vector<Value> results_; // of the last program's lines
    std::vector<State> after_;   // how the run stood after each
};

// Whether all cells are of 0 to 9.
bool are_colours(const int8_t* cells, size_t n) {
    typedef uint8_t Bytes __attribute__((vector_size(16)));
    typedef uint64_t Words __attribute__((vector_size(16)));
    auto is_none = [](int8_t cell) { return uint8_t(cell) >= kColours; }; // below zero counts as great
    if (n < sizeof(Bytes)) return std::none_of(cells, cells + n, is_none);
    Bytes greatest{};
    auto see = [&](size_t k) {
        Bytes some;
        std::memcpy(&some, cells + k, sizeof some);
        greatest = some > greatest ? some : greatest;
    };
    for (size_t k = 0; k + sizeof greatest < n; k += sizeof greatest) see(k);
    see(n - sizeof greatest); // so that none is left over
    auto words = reinterpret_cast<Words>(greatest >= uint8_t(kColours));
    return (words[0] | words[1]) == 0;
}

bool is_answer(Value v, const char*& what, Kind& kind) {
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
    } else if (is_answer(end.value, out.what, out.kind)) {
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

bool gives(const Ending& end, const Grid& want) {
    if (end.fault || end.value.tag != Tag::Grid) return false;
    GridView g = grid(end.value);
    return g.h == want.height() && g.w == want.width() && std::memcmp(g.cells, want.cells(), g.area()) == 0;
}

// A company for as long as a thread works, with the memory that an earlier one has warmed.
class Borrowed {
  public:
    Borrowed() {
        std::lock_guard hold(lock());
        if (idle().empty()) return;
        own_ = std::move(idle().back());
        idle().pop_back();
    }
    ~Borrowed() {
        if (!own_) return;
        std::lock_guard hold(lock());
        idle().push_back(std::move(own_));
    }
    Borrowed(const Borrowed&) = delete;
    Company& operator*() {
        if (!own_) own_ = std::make_unique<Company>();
        return *own_;
    }

  private:
    static std::mutex& lock() {
        static std::mutex one;
        return one;
    }
    static std::vector<std::unique_ptr<Company>>& idle() {
        static std::vector<std::unique_ptr<Company>> all;
        return all;
    }
    std::unique_ptr<Company> own_;
};

// Does job(company, k) for k below n on some threads.
template <class Job> void parallel(size_t n, int threads, Job job) {
    size_t count = threads > 0 ? size_t(threads) : std::max(1u, std::thread::hardware_concurrency());
    count = std::min(count, n);
    std::atomic<size_t> next{0};
    std::exception_ptr error;
    std::mutex error_lock;
    auto work = [&] {
        try {
            Borrowed company;
            for (size_t k; (k = next.fetch_add(1)) < n;) job(*company, k);
        } catch (...) { // out of memory: reported by the caller's thread
            std::lock_guard lock(error_lock);
            error = std::current_exception();
        }
    };
    std::vector<std::jthread> helpers; // joined whatever happens, even where no more can be started
    for (size_t t = 1; t < count; ++t) helpers.emplace_back(work);
    work();
    helpers.clear();
    if (error) std::rethrow_exception(error);
}

struct Job { // one program on one of its inputs
    uint32_t program, input;
};

// The jobs of a batch with those on equal grids side by side; each group in the order of its first.
std::vector<std::vector<Job>> by_input(std::span<const std::vector<GridRef>> inputs) {
    std::vector<std::vector<Job>> groups;
    std::unordered_map<const Grid*, size_t> known;
    std::unordered_multimap<std::string_view, std::pair<const Grid*, size_t>> by_cells; // shapes may differ
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
        for (uint32_t m = 0; m < inputs[k].size(); ++m) groups[group_of(inputs[k][m].get())].push_back({k, m});
    return groups;
}

// An order of programs that puts those side by side which begin alike: they have the most to share.
std::vector<uint32_t> by_beginning(std::span<const ProgramRef> programs) {
    auto words = [](const Program& program) {
        std::vector<uint32_t> made;
        for (const Line& line : program.lines)
            each_operand(line, [&](Operand o) { made.push_back(uint32_t(o.kind) << 16 | o.index); });
        return made;
    };
    std::vector<std::vector<uint32_t>> keys;
    for (const ProgramRef& program : programs) keys.push_back(words(*program));
    std::vector<uint32_t> order(programs.size());
    std::iota(order.begin(), order.end(), 0);
    std::stable_sort(order.begin(), order.end(), [&](uint32_t a, uint32_t b) { return keys[a] < keys[b]; });
    return order;
}

constexpr size_t kBlock = 1024; // programs that one thread runs on one input at once

// Programs in blocks, each of one group (`of[k]`), in an order in which they have the most to share.
struct Grouped {
    Grouped(std::span<const ProgramRef> programs, std::span<const uint32_t> of) : order(by_beginning(programs)) {
        std::stable_sort(order.begin(), order.end(), [&](uint32_t a, uint32_t b) { return of[a] < of[b]; });
        for (size_t begin = 0, end = 0; begin < order.size(); begin = end) {
            while (end < order.size() && of[order[end]] == of[order[begin]] && end - begin < kBlock) ++end;
            blocks.push_back(std::span(order).subspan(begin, end - begin));
        }
    }
    std::vector<uint32_t> order;
    std::vector<std::span<const uint32_t>> blocks;
};

} // namespace

std::shared_ptr<Grid> Grid::make(int height, int width, const int8_t* cells) {
    // One allocation for all of it, of one of three sizes.
    auto with_room = [&]<size_t N>(std::integral_constant<size_t, N>) -> std::shared_ptr<Grid> {
        struct WithRoom : Grid {
            alignas(GridNode) std::byte room[sizeof(GridNode) + N];
            WithRoom(int h, int w) : Grid(h, w, room) {}
        };
        return std::make_shared<WithRoom>(height, width);
    };
    size_t area = size_t(height) * size_t(width);
    auto made = area <= 100   ? with_room(std::integral_constant<size_t, 100>())
                : area <= 256 ? with_room(std::integral_constant<size_t, 256>())
                              : with_room(std::integral_constant<size_t, kMaxSide * kMaxSide>());
    std::memcpy(made->cells(), cells, area);
    return made;
}

void Grid::count() {
    for (size_t k = 0; k < area(); ++k) ++counts_[size_t(node_->cells[k])];
    node_->counts = counts_.data();
    node_->background = int8_t(std::ranges::max_element(counts_) - counts_.begin());
}

const char* kind_name(Kind kind) {
    switch (kind) {
    case Kind::Grid: return "grid";
    case Kind::Type: return "type";
    case Kind::Value: return "value";
    case Kind::Overflow: return "overflow";
    case Kind::Steps: return "steps";
    case Kind::Cells: return "cells";
    case Kind::Depth: return "depth";
    case Kind::NotAGrid: return "not a grid";
    case Kind::BadGrid: return "bad grid";
    }
    return "";
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
    return grids && kind == other.kind && line == other.line && steps == other.steps && cells == other.cells &&
           message() == other.message();
}

Outcome execute(Run& run, const Program& program, const Grid& input, Budget budget) {
    return outcome(run, program, run_alone(run, program, input, budget, ignore));
}

Outcome trace(Run& run, const Program& program, const Grid& input, Budget budget,
              const std::function<void(size_t, Value)>& see) {
    return outcome(run, program, run_alone(run, program, input, budget, see));
}

namespace {

using Clock = std::chrono::steady_clock;

double seconds_since(Clock::time_point begin) { return std::chrono::duration<double>(Clock::now() - begin).count(); }

double processor_seconds() { // of this thread
    timespec now;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
    return double(now.tv_sec) + 1e-9 * double(now.tv_nsec);
}

} // namespace

double run_seconds(Run& run, const Program& program, const Grid& input, Budget budget, int repeats) {
    double begin = processor_seconds();
    for (int k = 0; k < repeats; ++k) execute(run, program, input, budget);
    return (processor_seconds() - begin) / repeats;
}

std::vector<double> line_seconds(Run& run, const Program& program, const Grid& input, Budget budget, int repeats) {
    std::vector<double> least(program.lines.size(), std::numeric_limits<double>::infinity());
    for (int k = 0; k < repeats; ++k) {
        auto before = Clock::now();
        run_alone(run, program, input, budget, [&](size_t line, Value) {
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
    constexpr size_t kJobs = 128; // that one thread takes at once
    std::vector<std::span<const Job>> blocks;
    std::vector<std::vector<Job>> groups = by_input(inputs);
    if (share && groups.size() < programs.size()) {
        std::vector<uint32_t> order = by_beginning(programs), rank(programs.size());
        for (uint32_t k = 0; k < order.size(); ++k) rank[order[k]] = k;
        for (auto& group : groups)
            std::stable_sort(group.begin(), group.end(),
                             [&](Job a, Job b) { return rank[a.program] < rank[b.program]; });
    }
    for (std::span<const Job> group : groups)
        for (size_t at = 0; at < group.size(); at += kJobs)
            blocks.push_back(group.subspan(at, std::min(kJobs, group.size() - at)));
    parallel(blocks.size(), threads, [&](Company& together, size_t b) {
        std::span<const Job> block = blocks[b];
        const Grid& input = *inputs[block[0].program][block[0].input];
        bool alone = !share || block.size() == 1;
        if (!alone) together.gather(input, budget);
        for (Job job : block) {
            const Program& program = *programs[job.program];
            Ending end = alone ? run_alone(together.run(), program, input, budget, ignore) : together.run(program);
            outcomes[job.program][job.input] = outcome(together.run(), program, end);
        }
    });
    return outcomes;
}

std::vector<uint8_t> count_solved(std::span<const ProgramRef> programs,
                                  std::span<const std::vector<Example>> tasks, Budget budget, bool early_exit,
                                  int threads) {
    std::vector<uint8_t> solved(programs.size() * tasks.size());
    size_t blocks = (programs.size() + kBlock - 1) / kBlock;
    std::vector<uint32_t> order = by_beginning(programs);
    parallel(blocks * tasks.size(), threads, [&](Company& together, size_t b) {
        size_t task = b / blocks, begin = b % blocks * kBlock, end = std::min(programs.size(), begin + kBlock);
        std::vector<uint32_t> left(order.begin() + begin, order.begin() + end); // still to be tried
        for (const Example& example : tasks[task]) {
            together.gather(*example.input, budget, true);
            std::erase_if(left, [&](uint32_t k) {
                bool right = gives(together.run(*programs[k]), *example.output);
                solved[task * programs.size() + k] += right;
                return !right && early_exit;
            });
        }
    });
    return solved;
}

namespace {

// No grid is so high: what was given and what was not reads in one way only.
constexpr uint64_t kNoGrid = UINT64_MAX;

uint64_t hash_grid(uint64_t hash, GridView g) { return hash_bytes(mix(mix(hash, g.h), g.w), g.cells, g.area()); }

void see(Verdict& verdict, const Example& example, const Ending& end) {
    const char* what;
    Kind kind;
    bool ran = !end.fault && is_answer(end.value, what, kind);
    verdict.behaviour = ran ? hash_grid(verdict.behaviour, grid(end.value)) : mix(verdict.behaviour, kNoGrid);
    if (!ran) return;
    ++verdict.ran;
    verdict.changed += !gives(end, *example.input);
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

std::vector<Verdict> judge(std::span<const ProgramRef> programs, std::span<const uint32_t> of,
                           std::span<const std::vector<Example>> tasks, Budget budget, bool all, int threads,
                           bool share) {
    std::vector<Verdict> verdicts(programs.size());
    Grouped grouped(programs, of);
    parallel(grouped.blocks.size(), threads, [&](Company& together, size_t b) {
        std::vector<uint32_t> left(grouped.blocks[b].begin(), grouped.blocks[b].end()); // still to be tried
        for (const Example& example : tasks[of[left.front()]]) {
            if (left.empty()) break;
            if (share) together.gather(*example.input, budget, true);
            std::erase_if(left, [&](uint32_t k) {
                uint16_t ran = verdicts[k].ran;
                Ending end = share ? together.run(*programs[k])
                                   : run_alone(together.run(), *programs[k], *example.input, budget, ignore);
                see(verdicts[k], example, end);
                bool failed = verdicts[k].ran == ran;
                if (failed && !all) verdicts[k].behaviour = 0;
                return failed && !all;
            });
        }
    });
    return verdicts;
}

std::vector<std::vector<Atom>> observe(std::span<const ProgramRef> programs, std::span<const uint32_t> of,
                                       std::span<const GridRef> inputs, Budget budget, int threads) {
    std::vector<std::vector<Atom>> types(programs.size());
    Grouped grouped(programs, of);
    parallel(grouped.blocks.size(), threads, [&](Company& together, size_t b) {
        together.gather(*inputs[of[grouped.blocks[b].front()]], budget, true);
        for (uint32_t k : grouped.blocks[b])
            together.run(*programs[k], [&](size_t, Value v) { types[k].push_back(atom(v)); });
    });
    return types;
}

} // namespace codeit
