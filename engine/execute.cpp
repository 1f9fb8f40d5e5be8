#include "execute.hpp"

#include <atomic>
#include <exception>
#include <mutex>
#include <thread>

#include "primitives/table.hpp"

namespace codeit {

namespace {

Value input_value(Run& run, const Grid& input) {
    int8_t* cells;
    Value v = new_grid(run, input.height, input.width, cells);
    std::memcpy(cells, input.cells.data(), input.cells.size());
    return v;
}

Value read(const std::vector<Value>& values, Value input, Operand operand) {
    switch (operand.kind) {
    case Operand::Kind::Input: return input;
    case Operand::Kind::Variable: return values[operand.index];
    case Operand::Kind::Primitive: return primitive_function(operand.index);
    case Operand::Kind::Constant: return constants()[operand.index].value;
    }
    return Value::none();
}

// Runs the lines; the result stays in the run's memory until the next start.
template <class See>
Value evaluate(Run& run, const Program& program, const Grid& input, Budget budget, size_t& line, See see) {
    static thread_local std::vector<Value> values;
    values.assign(program.lines.size(), Value::none());
    run.start(budget);
    Value in = input_value(run, input);
    for (line = 0; line < program.lines.size(); ++line) {
        const Line& l = program.lines[line];
        Value arguments[kMaxArguments];
        for (int k = 0; k < l.n; ++k) arguments[k] = read(values, in, l.arguments[k]);
        run.primitive = -1;
        values[line] = call(run, read(values, in, l.function), arguments, l.n);
        see(line, values[line]);
    }
    return values.back();
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
    for (size_t k = 0; k < g.area(); ++k)
        if (g.cells[k] < 0 || g.cells[k] >= kColours) {
            what = "a result of colours 0 to 9";
            return false;
        }
    return true;
}

template <class See>
Outcome execute_with(Run& run, const Program& program, const Grid& input, Budget budget, See see) {
    Outcome out;
    size_t line = 0;
    try {
        Value result = evaluate(run, program, input, budget, line, see);
        if (is_answer(result, out.what, out.kind)) {
            GridView g = grid(result);
            auto made = std::make_shared<Grid>();
            made->height = uint8_t(g.h);
            made->width = uint8_t(g.w);
            made->cells.assign(g.cells, g.cells + g.area());
            out.grid = std::move(made);
            out.kind = Kind::Grid;
            out.what = nullptr;
        } else {
            out.line = int(program.lines.size());
            if (out.kind == Kind::NotAGrid) out.found = type_name(result);
        }
    } catch (const Fault& fault) {
        out.kind = fault.kind;
        out.line = int(line) + 1;
        out.what = fault.what;
        out.found = fault.found;
        if (run.primitive >= 0) out.primitive = primitives()[size_t(run.primitive)].name;
    }
    out.steps = run.steps;
    out.cells = run.cells_peak;
    return out;
}

bool solves(Run& run, const Program& program, const Example& example, Budget budget) {
    size_t line;
    try {
        Value result = evaluate(run, program, *example.input, budget, line, [](size_t, Value) {});
        if (result.tag != Tag::Grid) return false;
        GridView g = grid(result);
        const Grid& want = *example.output;
        return g.h == want.height && g.w == want.width && std::memcmp(g.cells, want.cells.data(), g.area()) == 0;
    } catch (const Fault&) {
        return false;
    }
}

// Runs job(run, k) for k below n on some threads, in blocks of consecutive k; each thread has its own run.
template <class Job> void parallel(size_t n, int threads, size_t block, Job job) {
    size_t count = threads > 0 ? size_t(threads) : std::max(1u, std::thread::hardware_concurrency());
    count = std::min(count, (n + block - 1) / block);
    std::atomic<size_t> next{0};
    std::exception_ptr error;
    std::mutex error_lock;
    auto work = [&] {
        try {
            static thread_local Run own;
            for (size_t begin; (begin = next.fetch_add(block)) < n;)
                for (size_t k = begin; k < std::min(n, begin + block); ++k) job(own, k);
        } catch (...) { // out of memory: reported by the caller's thread
            std::lock_guard lock(error_lock);
            error = std::current_exception();
        }
    };
    std::vector<std::thread> helpers;
    for (size_t t = 1; t < count; ++t) helpers.emplace_back(work);
    work();
    for (auto& helper : helpers) helper.join();
    if (error) std::rethrow_exception(error);
}

} // namespace

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

Outcome execute(Run& run, const Program& program, const Grid& input, Budget budget) {
    return execute_with(run, program, input, budget, [](size_t, Value) {});
}

Outcome trace(Run& run, const Program& program, const Grid& input, Budget budget,
              const std::function<void(size_t, Value)>& see) {
    return execute_with(run, program, input, budget, see);
}

std::vector<std::vector<Outcome>> run_batch(std::span<const ProgramRef> programs,
                                            std::span<const std::vector<GridRef>> inputs, Budget budget,
                                            int threads) {
    std::vector<std::vector<Outcome>> outcomes(programs.size());
    parallel(programs.size(), threads, 16, [&](Run& run, size_t k) {
        outcomes[k].reserve(inputs[k].size());
        for (const GridRef& input : inputs[k]) outcomes[k].push_back(execute(run, *programs[k], *input, budget));
    });
    return outcomes;
}

std::vector<uint8_t> count_solved(std::span<const ProgramRef> programs,
                                  std::span<const std::vector<Example>> tasks, Budget budget, bool early_exit,
                                  int threads) {
    std::vector<uint8_t> solved(programs.size() * tasks.size());
    parallel(solved.size(), threads, 64, [&](Run& run, size_t k) {
        const Program& program = *programs[k % programs.size()];
        for (const Example& example : tasks[k / programs.size()]) {
            bool right = solves(run, program, example, budget);
            solved[k] += right;
            if (!right && early_exit) break;
        }
    });
    return solved;
}

} // namespace codeit
