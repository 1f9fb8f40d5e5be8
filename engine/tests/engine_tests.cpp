// Unit tests of the engine, and a soak of random programs; meant to be run under sanitizers (`make sanitize`).
//
//   engine_tests [PROGRAMS [SEED]]     how many random programs the soak runs (default 20,000, seed 1)
//
// The soak proves that no text and no well-formed program crashes, leaks, or leaves its budget.
#include <array>
#include <cstdio>
#include <cstdlib>
#include <map>
#include <random>
#include <set>
#include <stdexcept>
#include <string>

#include "breed.hpp"
#include "primitives/table.hpp"

using namespace codeit;

namespace {

void expect(bool holds, const std::string& what) {
    if (!holds) throw std::runtime_error(what);
}

GridRef make_grid(int height, int width, const std::vector<int>& cells) {
    std::vector<int8_t> bytes(cells.begin(), cells.end());
    return Grid::make(height, width, bytes.data());
}

ProgramRef must_parse(const std::string& text) {
    auto parsed = parse(text);
    if (auto* failure = std::get_if<ParseFailure>(&parsed))
        throw std::runtime_error("line " + std::to_string(failure->line) + ": " + failure->expected + "\n" + text);
    return std::get<ProgramRef>(parsed);
}

Outcome run_text(const std::string& text, const GridRef& input, Budget budget = {}) {
    static Run run;
    return execute(run, *must_parse(text), *input, budget);
}

void parses_and_prints() {
    std::string text = "x1 = objects(I, T, F, F)\nx2 = argmax(x1, size)\nO = subgrid(x2, I)";
    expect(must_parse("\n  x1=objects( I,T , F,F)\r\n\nx2 = argmax(x1,size)\nO = subgrid(x2, I)\n")->text() == text,
           "text comes back in its canonical form");
    auto failure = std::get<ParseFailure>(parse("x1 = objets(I, T, F, F)\nO = fill(I, ONE, x1)"));
    expect(failure.line == 1 && failure.token == "objets" && failure.suggestion == "objects", "nearest name");
    for (const char* bad : {"", "x1 = rot90(I)", "O = rot90(I, I)", "O = rot90(x1)", "O = x1(I)", "O = rot90(I",
                            "O = rot90(I) I", "O = rot90(I)\nO = rot90(I)", "x0 = rot90(I)\nO = rot90(x0)",
                            "x1 = rot90(I)\nx1 = rot90(I)\nO = rot90(x1)", "O = __import__(I)", "O = ONE(I)"})
        expect(std::holds_alternative<ParseFailure>(parse(bad)), std::string("accepted: ") + bad);
}

void runs_and_faults() {
    auto g = make_grid(2, 3, {0, 1, 2, 3, 4, 5});
    auto turned = run_text("O = rot90(I)", g);
    expect(turned.grid && *turned.grid == *make_grid(3, 2, {3, 0, 4, 1, 5, 2}), "rot90");
    auto called = run_text("x1 = rbind(hupscale, TWO)\nO = x1(I)", g);
    expect(called.grid && called.grid->width() == 6, "a variable that holds a function is called");
    expect(run_text("O = size(I)", g).kind == Kind::NotAGrid, "an integer is no grid");
    expect(run_text("O = canvas(TEN, UNITY)", g).kind == Kind::BadGrid, "10 is no colour");
    expect(run_text("x1 = fill(I, I, I)\nO = rot90(x1)", g).line == 1, "the line at fault");
    expect(run_text("x1 = divide(ONE, ZERO)\nO = canvas(x1, UNITY)", g).kind == Kind::Value, "division by zero");
}

// Calls are found again by equal arguments, forgotten with the memory behind them, and no more than so many are kept.
void remembers() {
    std::array<std::byte, 3> memory{};
    Memo memo;
    auto asked = [](int64_t n, Call::Place place = Call::Place::Line) {
        Value arguments[] = {Value::integer(n), Value::pair(7)};
        return Memo::question(place, Value::integer(0), arguments, 2);
    };
    Call call = asked(1);
    expect(!memo.find(call), "nothing is known at first");
    put(call.result, Value::integer(42));
    call.cost = {5, 4, 3, 2};
    memo.insert(call, &memory[1]);
    const Call* found = memo.find(asked(1));
    expect(found && found->result.num == 42 && found->cost.steps == 5, "an equal call is found, with its cost");
    expect(!memo.find(asked(2)) && !memo.find(asked(1, Call::Place::Within)), "another call is not");
    memo.forget_since(&memory[1]);
    expect(memo.find(asked(1)), "memory below the mark stays");
    memo.forget_since(&memory[0]);
    expect(!memo.find(asked(1)), "what lay in memory that was given back is forgotten");
    int64_t kept = 0;
    for (; !memo.full() && kept < 1'000'000; ++kept) memo.insert(asked(kept), &memory[2]);
    expect(kept == 1 << 15, "so many calls are kept");
    memo.insert(asked(kept), &memory[2]);
    expect(!memo.find(asked(kept)) && memo.find(asked(kept - 1)), "no more");
    memo.clear();
    expect(!memo.full() && !memo.find(asked(0)), "all are forgotten");
}

void budgets_hold() {
    auto g = make_grid(1, 1, {1});
    std::string grow = "x1 = upscale(I, TEN)\n", add = "x1 = double(TEN)\n", nest = "x1 = rbind(add, I)\n";
    for (int k = 1; k < 40; ++k) {
        std::string from = "x" + std::to_string(k), to = "x" + std::to_string(k + 1);
        grow += to + " = vconcat(" + from + ", " + from + ")\n";
        add += to + " = multiply(" + from + ", " + from + ")\n";
        nest += to + " = compose(" + from + ", " + from + ")\n";
    }
    expect(run_text(grow + "O = rot90(x40)", g).kind == Kind::Cells, "growth ends at the budget of cells");
    expect(run_text(add + "O = canvas(x40, UNITY)", g).kind == Kind::Overflow, "integers end at 32 bits");
    expect(run_text(nest + "O = x40(I)", g).kind == Kind::Cells, "functions weigh what they hold");
    // A function that applies its argument to itself: f({f}) without end.
    auto loop = run_text("x1 = fork(apply, identity, initset)\nO = x1(x1)", g);
    expect(loop.kind == Kind::Depth || loop.kind == Kind::Cells, "self-application ends");
    // Two equal values of half a million levels would take as many frames to compare.
    std::string deep = "x1 = interval(ZERO, TEN, ONE)\nx2 = size(x1)\nx3 = multiply(x2, x2)\nx4 = power(initset, x3)\n"
                       "x5 = power(x4, NINE)\nx6 = x5(ONE)\nx7 = x5(TWO)\nx8 = x5(ONE)\n";
    expect(run_text(deep + "x9 = equality(x6, x8)\nO = canvas(x9, UNITY)", g).grid != nullptr, "nested 900 levels");
    expect(run_text(deep + "x9 = x5(x6)\nO = canvas(ONE, UNITY)", g).kind == Kind::Depth, "nested too deeply");
    expect(run_text("x1 = repeat(I, TEN)\nx2 = product(x1, x1)\nO = first(x1)", g, {5, 100}).kind == Kind::Steps,
           "a budget of steps");
}

// A program whose arguments fit their parameters more often than not, so that many runs go far.
std::string random_program(std::mt19937& rng, int lines) {
    auto below = [&](size_t n) { return rng() % n; };
    std::string text;
    for (int k = 1; k <= lines; ++k) {
        auto variable = [&]() -> std::string {
            if (k == 1) return "I";
            return "x" + std::to_string(std::max<int>(1, k - 1 - int(below(4))));
        };
        auto operand = [&](const std::string& type) -> std::string {
            bool fits = below(8) > 0;
            if (fits && type == "Callable") return primitives()[below(primitives().size())].name;
            if (fits && (type == "Integer" || type == "Numerical") && below(2)) return constants()[below(11)].name;
            if (fits && type == "Boolean") return below(2) ? "T" : "F";
            if (fits && type == "IntegerTuple" && below(2)) return constants()[14 + below(10)].name;
            if (fits && (type == "Grid" || type == "Element" || type == "Piece") && below(2)) return "I";
            if (fits || below(2)) return variable();
            return below(2) ? constants()[below(constants().size())].name : "I";
        };
        const Primitive* p = &primitives()[below(primitives().size())];
        while (k == lines && !std::string(p->signature).ends_with("-> Grid")) p = &primitives()[below(primitives().size())];
        bool by_name = k == 1 || below(8) > 0;
        text += (k == lines ? "O" : "x" + std::to_string(k)) + " = " + (by_name ? p->name : variable()) + "(";
        std::string signature = p->signature;
        size_t at = 0;
        int arity = by_name ? p->arity : 1 + int(below(kMaxArguments));
        for (int n = 0; n < arity; ++n) {
            size_t end = std::min(signature.find(", ", at), signature.find(" -> ", at));
            std::string type = by_name ? signature.substr(at, end - at) : "Any";
            at = end + 2;
            text += (n ? ", " : "") + operand(type);
        }
        text += ")\n";
    }
    return text;
}

std::string soup(std::mt19937& rng) {
    static const char* pieces[] = {"x1", "O", " = ", "(", ")", ", ", "\n", "I", "fill", "ONE", "x9999", "=", "\t", "é", "0"};
    std::string text;
    for (size_t n = rng() % 40; n > 0; --n) text += pieces[rng() % std::size(pieces)];
    if (rng() % 4 == 0) text += char(rng());
    return text;
}

GridRef random_grid(std::mt19937& rng) {
    int h = 1 + int(rng() % 12), w = 1 + int(rng() % 12), colours = 1 + int(rng() % 4);
    std::vector<int> cells;
    for (int k = 0; k < h * w; ++k) cells.push_back(int(rng() % size_t(colours)) * 3 % 10);
    return make_grid(h, w, cells);
}

GridRef counted(const Grid& grid) {
    auto made = Grid::make(grid.height(), grid.width(), grid.cells());
    made->count();
    return made;
}

void assembles_what_counts() {
    auto program = must_parse("x1 = rot90(I)\nx2 = rot90(I)\nx3 = hmirror(x1)\nx4 = vconcat(x2, x1)\nO = rot90(x4)");
    auto made = assemble(program->lines, 4, 10);
    expect(made && made->text() == "x1 = rot90(I)\nx2 = vconcat(x1, x1)\nO = rot90(x2)", "equal lines merge, others go");
    expect(identity(*made) == identity(*must_parse("x7 = rot90(I)\nx9 = vconcat(x7, x7)\nO = rot90(x9)")),
           "names do not count");
    expect(identity(*made) != identity(*must_parse("x1 = rot90(I)\nx2 = hconcat(x1, x1)\nO = rot90(x2)")), "lines do");
    expect(!assemble(program->lines, 4, 2), "too long");
}

// What judge, count_solved and observe say of programs in company is what each does on its own.
void judges(std::span<const ProgramRef> batch, const GridRef& first, const GridRef& second, Budget budget) {
    std::vector<std::vector<GridRef>> inputs(batch.size(), {first, second});
    auto alone = run_batch(batch, inputs, budget, 1, false);
    std::vector<Example> task{{first, nullptr}, {second, nullptr}};
    for (const auto& outcomes : alone)
        for (size_t n = 0; n < task.size(); ++n)
            if (outcomes[n].grid && !task[n].output) task[n].output = outcomes[n].grid;
    for (Example& example : task)
        if (!example.output) example.output = example.input;
    std::vector<std::vector<Example>> tasks{task};
    std::vector<uint32_t> of(batch.size(), 0);
    auto verdicts = judge(batch, of, tasks, budget, true, 2), brief = judge(batch, of, tasks, budget, false, 2);
    auto counts = count_solved(batch, tasks, budget, false, 2), up_to = count_solved(batch, tasks, budget, true, 2);
    std::map<std::vector<std::vector<uint8_t>>, uint64_t> behaviours;
    for (size_t k = 0; k < batch.size(); ++k) {
        Verdict wanted;
        std::vector<std::vector<uint8_t>> gave;
        bool so_far = true;
        uint8_t first_solved = 0;
        for (size_t n = 0; n < task.size(); ++n) {
            const GridRef& grid = alone[k][n].grid;
            bool solved = grid && *grid == *task[n].output;
            wanted.ran += bool(grid);
            wanted.changed += grid && !(*grid == *task[n].input);
            wanted.shaped += grid && grid->height() == task[n].output->height() && grid->width() == task[n].output->width();
            wanted.solved += solved;
            first_solved += so_far && solved;
            so_far &= solved;
            gave.emplace_back();
            if (!grid) continue;
            gave.back() = {uint8_t(grid->height()), uint8_t(grid->width())};
            gave.back().insert(gave.back().end(), grid->cells(), grid->cells() + grid->area());
        }
        const Verdict& found = verdicts[k];
        expect(found.ran == wanted.ran && found.changed == wanted.changed && found.shaped == wanted.shaped &&
                   found.solved == wanted.solved && counts[k] == wanted.solved && up_to[k] == first_solved,
               "judged otherwise in company:\n" + batch[k]->text());
        expect(brief[k] == found || (wanted.ran < task.size() && brief[k].behaviour == 0),
               "judged otherwise in brief:\n" + batch[k]->text());
        auto [known, is_new] = behaviours.try_emplace(gave, found.behaviour);
        expect(known->second == found.behaviour, "equal grids, another behaviour:\n" + batch[k]->text());
    }
    std::set<uint64_t> distinct;
    for (auto& [gave, behaviour] : behaviours) distinct.insert(behaviour);
    expect(distinct.size() == behaviours.size(), "other grids, an equal behaviour");
    std::vector<GridRef> grids{first};
    auto types = observe(batch, of, grids, budget, 2);
    for (size_t k = 0; k < batch.size(); ++k)
        expect(types[k] == observe(batch.subspan(k, 1), std::span(of).first(1), grids, budget, 1)[0],
               "observed otherwise in company:\n" + batch[k]->text());
}

// Programs that are bred are what their text says, and judged as they run.
void breeds(std::span<const ProgramRef> batch, std::span<const std::vector<GridRef>> inputs,
            std::span<const std::vector<Outcome>> outcomes, Budget budget, unsigned seed) {
    std::vector<std::vector<Example>> tasks;
    std::vector<GridRef> grids;
    std::vector<uint32_t> of;
    for (size_t k = 0; k < batch.size(); ++k) {
        grids.push_back(inputs[k][0]);
        tasks.push_back({{grids[k], outcomes[k][0].grid}});
        of.push_back(uint32_t(k));
    }
    auto verdicts = judge(batch, of, tasks, budget, true, 2);
    for (size_t k = 0; k < batch.size(); ++k)
        expect(verdicts[k].solved == (outcomes[k][0].kind == Kind::Grid), "judged otherwise:\n" + batch[k]->text());
    auto types = observe(batch, of, grids, budget, 2);
    std::vector<ParentRef> parents;
    for (size_t k = 0; k < batch.size(); ++k) parents.push_back(std::make_shared<Parent>(Parent{batch[k], types[k]}));
    std::vector<ParentRef> mates(parents.rbegin(), parents.rend());
    Weights all;
    all.fill(1);
    std::vector<ProgramRef> children;
    for (ProgramRef& child : breed(parents, mates, all, 30, seed))
        if (child) {
            expect(identity(*must_parse(child->text())) == identity(*child), "read otherwise:\n" + child->text());
            children.push_back(child);
        }
    size_t whole = 0;
    for (size_t k = 0; k < batch.size(); ++k) whole += types[k].size() == batch[k]->lines.size();
    expect(batch.size() < 100 || children.size() > whole / 4, "hardly a program has a child");
    judges(children, grids.front(), grids.back(), budget);
    judges(children, grids.front(), grids.back(), {budget.steps / 1000, budget.cells / 100}); // known to be too much
}

void soak(size_t programs, unsigned seed) {
    constexpr Budget kBudget{200'000, 50'000};
    std::mt19937 rng(seed);
    std::vector<ProgramRef> batch;
    std::vector<std::vector<GridRef>> copied, read; // what runs copy, and read where it lies
    std::vector<GridRef> pool;                      // programs on equal grids share work
    size_t grids = 0;
    for (size_t k = 0; k < programs; ++k) {
        if (k % 4 == 0) (void)parse(soup(rng));
        batch.push_back(must_parse(random_program(rng, 1 + int(rng() % 12))));
        if (pool.empty() || k % 50 == 0) pool.push_back(random_grid(rng));
        copied.push_back({pool[rng() % pool.size()]});
        read.push_back({counted(*copied.back()[0])});
        if (batch.size() < 2000 && k + 1 < programs) continue;
        auto alone = run_batch(batch, copied, kBudget, 1, false), together = run_batch(batch, read, kBudget, 2);
        for (size_t p = 0; p < batch.size(); ++p) {
            const Outcome& a = alone[p][0];
            expect(a == together[p][0], "threads, company or counted colours change an outcome of\n" + batch[p]->text());
            expect(a.cells <= kBudget.cells, "more cells held than the budget in\n" + batch[p]->text());
            grids += a.kind == Kind::Grid;
        }
        breeds(batch, read, alone, kBudget, seed + unsigned(k));
        batch.clear();
        copied.clear();
        read.clear();
        pool.clear();
    }
    std::printf("soak: %zu programs, %zu gave a grid\n", programs, grids);
    expect(programs < 1000 || grids > programs / 50, "hardly a program gives a grid: the soak tests nothing");
}

} // namespace

int main(int argc, char** argv) {
    size_t programs = argc > 1 ? std::strtoul(argv[1], nullptr, 10) : 20'000;
    unsigned seed = argc > 2 ? unsigned(std::strtoul(argv[2], nullptr, 10)) : 1;
    try {
        parses_and_prints();
        runs_and_faults();
        remembers();
        budgets_hold();
        assembles_what_counts();
        soak(programs, seed);
    } catch (const std::exception& error) {
        std::fprintf(stderr, "FAILED: %s\n", error.what());
        return 1;
    }
    std::puts("engine tests passed");
}
