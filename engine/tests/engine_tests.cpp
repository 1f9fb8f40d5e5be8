// Unit tests of the engine, and a soak test with random programs. Run it under sanitizers: `make
// sanitize`.
//
//   engine_tests [PROGRAMS [SEED]]     number of random programs (default 20,000) and seed (default 1)
//
// The soak test checks that random texts and well-formed random programs do not crash, leak, or
// exceed their budget.
#include <array>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <map>
#include <random>
#include <set>
#include <stdexcept>
#include <string>

#include "attention.hpp"
#include "enumeration.hpp"
#include "grammar.hpp"
#include "pieces.hpp"
#include "primitives/table.hpp"
#include "vary.hpp"

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
        throw std::runtime_error("line " + std::to_string(failure->line) + ": " + failure->expected + "\n" +
                                 text);
    return std::get<ProgramRef>(parsed);
}

Outcome run_text(const std::string& text, const GridRef& input, Budget budget = {}) {
    static Run run;
    return execute(run, *must_parse(text), *input, budget);
}

void test_parse_and_print() {
    std::string text = "x1 = objects(I, T, F, F)\nx2 = argmax(x1, size)\nO = subgrid(x2, I)";
    expect(must_parse("\n  x1=objects( I,T , F,F)\r\n\nx2 = argmax(x1,size)\nO = subgrid(x2, I)\n")->text() ==
               text,
           "the text of a program is canonical");
    auto failure = std::get<ParseFailure>(parse("x1 = objets(I, T, F, F)\nO = fill(I, ONE, x1)"));
    expect(failure.line == 1 && failure.token == "objets" && failure.suggestion == "objects",
           "a failure names the line, the token and the nearest name");
    for (const char* bad :
         {"", "x1 = rot90(I)", "O = rot90(I, I)", "O = rot90(x1)", "O = x1(I)", "O = rot90(I",
          "O = rot90(I) I", "O = rot90(I)\nO = rot90(I)", "x0 = rot90(I)\nO = rot90(x0)",
          "x1 = rot90(I)\nx1 = rot90(I)\nO = rot90(x1)", "O = __import__(I)", "O = ONE(I)"})
        expect(std::holds_alternative<ParseFailure>(parse(bad)),
               std::string("an invalid text was parsed: ") + bad);
}

void test_outcomes() {
    auto g = make_grid(2, 3, {0, 1, 2, 3, 4, 5});
    auto turned = run_text("O = rot90(I)", g);
    expect(turned.grid && *turned.grid == *make_grid(3, 2, {3, 0, 4, 1, 5, 2}), "rot90");
    auto called = run_text("x1 = rbind(hupscale, TWO)\nO = x1(I)", g);
    expect(called.grid && called.grid->width() == 6, "a variable that holds a function is called");
    expect(run_text("O = size(I)", g).kind == Kind::NotAGrid, "an integer is not a grid");
    expect(run_text("O = canvas(TEN, UNITY)", g).kind == Kind::BadGrid, "10 is not a colour");
    expect(run_text("x1 = fill(I, I, I)\nO = rot90(x1)", g).line == 1, "a fault names its line");
    expect(run_text("x1 = divide(ONE, ZERO)\nO = canvas(x1, UNITY)", g).kind == Kind::Value,
           "division by zero is a Value fault");
}

// The memo finds calls by their arguments, forgets them with their memory, and has a maximum size.
void test_memo() {
    std::array<std::byte, 3> memory{};
    Memo memo;
    auto key_of = [](int64_t n, Call::Site place = Call::Site::Line) {
        Value arguments[] = {Value::integer(n), Value::pair(7)};
        return Memo::make_key(place, Value::integer(0), arguments, 2);
    };
    Call call = key_of(1);
    expect(!memo.find(call), "a new memo is empty");
    put(call.result, Value::integer(42));
    call.cost = {5, 4, 3, 2};
    memo.insert(call, &memory[1]);
    const Call* found = memo.find(key_of(1));
    expect(found && found->result.num == 42 && found->cost.steps == 5,
           "a remembered call is found with its cost");
    expect(!memo.find(key_of(2)) && !memo.find(key_of(1, Call::Site::Nested)), "other calls are not found");
    memo.forget_since(&memory[1]);
    expect(memo.find(key_of(1)), "calls whose memory is below the mark are kept");
    memo.forget_since(&memory[0]);
    expect(!memo.find(key_of(1)), "calls whose memory was released are forgotten");
    int64_t kept = 0;
    for (; !memo.full() && kept < 1'000'000; ++kept) memo.insert(key_of(kept), &memory[2]);
    expect(kept == 1 << 15, "32,768 calls are kept");
    memo.insert(key_of(kept), &memory[2]);
    expect(!memo.find(key_of(kept)) && memo.find(key_of(kept - 1)), "no more calls are kept");
    memo.clear();
    expect(!memo.full() && !memo.find(key_of(0)), "clear forgets all calls");
}

void test_limits() {
    auto g = make_grid(1, 1, {1});
    std::string grow = "x1 = upscale(I, TEN)\n", add = "x1 = double(TEN)\n", nest = "x1 = rbind(add, I)\n";
    for (int k = 1; k < 40; ++k) {
        std::string from = "x" + std::to_string(k), to = "x" + std::to_string(k + 1);
        grow += to + " = vconcat(" + from + ", " + from + ")\n";
        add += to + " = multiply(" + from + ", " + from + ")\n";
        nest += to + " = compose(" + from + ", " + from + ")\n";
    }
    expect(run_text(grow + "O = rot90(x40)", g).kind == Kind::Cells,
           "growing grids exceed the budget of cells");
    expect(run_text(add + "O = canvas(x40, UNITY)", g).kind == Kind::Overflow,
           "integers overflow beyond 32 bits");
    expect(run_text(nest + "O = x40(I)", g).kind == Kind::Cells,
           "the weight of a function includes what it captures");
    // A function that applies its argument to itself: f({f}) recurses without end.
    auto loop = run_text("x1 = fork(apply, identity, initset)\nO = x1(x1)", g);
    expect(loop.kind == Kind::Depth || loop.kind == Kind::Cells, "self-application ends with a fault");
    // Comparing two values of half a million levels would take that many stack frames.
    std::string deep =
        "x1 = interval(ZERO, TEN, ONE)\nx2 = size(x1)\nx3 = multiply(x2, x2)\nx4 = power(initset, x3)\n"
        "x5 = power(x4, NINE)\nx6 = x5(ONE)\nx7 = x5(TWO)\nx8 = x5(ONE)\n";
    expect(run_text(deep + "x9 = equality(x6, x8)\nO = canvas(x9, UNITY)", g).grid != nullptr,
           "values can be nested 900 levels deep");
    expect(run_text(deep + "x9 = x5(x6)\nO = canvas(ONE, UNITY)", g).kind == Kind::Depth,
           "values cannot be nested 1,800 levels deep");
    expect(run_text("x1 = repeat(I, TEN)\nx2 = product(x1, x1)\nO = first(x1)", g, {5, 100}).kind ==
               Kind::Steps,
           "a program exceeds its budget of steps");
}

// A program whose arguments usually fit their parameters, so that many runs get far.
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
            if (fits && (type == "Integer" || type == "Numerical") && below(2))
                return constants()[below(11)].name;
            if (fits && type == "Boolean") return below(2) ? "T" : "F";
            if (fits && type == "IntegerTuple" && below(2)) return constants()[14 + below(10)].name;
            if (fits && (type == "Grid" || type == "Element" || type == "Piece") && below(2)) return "I";
            if (fits || below(2)) return variable();
            return below(2) ? constants()[below(constants().size())].name : "I";
        };
        const Primitive* p = &primitives()[below(primitives().size())];
        while (k == lines && !std::string(p->signature).ends_with("-> Grid"))
            p = &primitives()[below(primitives().size())];
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

// A text of random tokens.
std::string token_soup(std::mt19937& rng) {
    static const char* pieces[] = {"x1",   "O",   " = ",   "(", ")",  ", ", "\n", "I",
                                   "fill", "ONE", "x9999", "=", "\t", "é",  "0"};
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

void test_assemble() {
    auto program =
        must_parse("x1 = rot90(I)\nx2 = rot90(I)\nx3 = hmirror(x1)\nx4 = vconcat(x2, x1)\nO = rot90(x4)");
    auto made = assemble(program->lines, 4, 10);
    expect(made && made->text() == "x1 = rot90(I)\nx2 = vconcat(x1, x1)\nO = rot90(x2)",
           "equal lines are merged, unused ones dropped");
    expect(identity(*made) == identity(*must_parse("x7 = rot90(I)\nx9 = vconcat(x7, x7)\nO = rot90(x9)")),
           "the identity ignores the names of variables");
    expect(identity(*made) != identity(*must_parse("x1 = rot90(I)\nx2 = hconcat(x1, x1)\nO = rot90(x2)")),
           "the identity depends on the lines");
    expect(!assemble(program->lines, 4, 2), "a program with too many lines is rejected");
}

// evaluate, count_solved and infer_types give the same results with shared calls as programs that
// run separately.
void check_evaluation(std::span<const ProgramRef> batch, const GridRef& first, const GridRef& second,
                      Budget budget) {
    std::vector<std::vector<GridRef>> inputs(batch.size(), {first, second});
    auto alone = run_batch(batch, inputs, budget, 1, false);
    std::vector<Example> task{{first, nullptr}, {second, nullptr}};
    for (const auto& outcomes : alone)
        for (size_t n = 0; n < task.size(); ++n)
            if (outcomes[n].grid && !task[n].output) task[n].output = outcomes[n].grid;
    for (Example& example : task)
        if (!example.output) example.output = example.input;
    std::vector<std::vector<Example>> tasks{task};
    std::vector<uint32_t> task_index(batch.size(), 0);
    auto verdicts = evaluate(batch, task_index, tasks, budget, false, 2),
         early = evaluate(batch, task_index, tasks, budget, true, 2);
    auto counts = count_solved(batch, tasks, budget, false, 2),
         up_to = count_solved(batch, tasks, budget, true, 2);
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
            wanted.shaped += grid && grid->height() == task[n].output->height() &&
                             grid->width() == task[n].output->width();
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
               "evaluate or count_solved differ from separate runs:\n" + batch[k]->text());
        expect(early[k] == found || (wanted.ran < task.size() && early[k].behaviour == 0),
               "evaluate with early_exit differs:\n" + batch[k]->text());
        auto [known, is_new] = behaviours.try_emplace(gave, found.behaviour);
        expect(known->second == found.behaviour,
               "equal grids have different behaviours:\n" + batch[k]->text());
    }
    std::set<uint64_t> distinct;
    for (auto& [gave, behaviour] : behaviours) distinct.insert(behaviour);
    expect(distinct.size() == behaviours.size(), "different grids have the same behaviour");
    std::vector<GridRef> grids{first};
    auto types = infer_types(batch, task_index, grids, budget, 2);
    for (size_t k = 0; k < batch.size(); ++k)
        expect(types[k] ==
                   infer_types(batch.subspan(k, 1), std::span(task_index).first(1), grids, budget, 1)[0],
               "infer_types depends on the other programs:\n" + batch[k]->text());
}

// Children of vary have the same lines after parsing their text, and evaluate gives the results of
// their runs.
void check_variation(std::span<const ProgramRef> batch, std::span<const std::vector<GridRef>> inputs,
            std::span<const std::vector<Outcome>> outcomes, Budget budget, unsigned seed) {
    std::vector<std::vector<Example>> tasks;
    std::vector<GridRef> grids;
    std::vector<uint32_t> task_index;
    for (size_t k = 0; k < batch.size(); ++k) {
        grids.push_back(inputs[k][0]);
        tasks.push_back({{grids[k], outcomes[k][0].grid}});
        task_index.push_back(uint32_t(k));
    }
    auto verdicts = evaluate(batch, task_index, tasks, budget, false, 2);
    for (size_t k = 0; k < batch.size(); ++k)
        expect(verdicts[k].solved == (outcomes[k][0].kind == Kind::Grid),
               "evaluate differs from run_batch:\n" + batch[k]->text());
    auto types = infer_types(batch, task_index, grids, budget, 2);
    std::vector<TypedProgramRef> parents;
    for (size_t k = 0; k < batch.size(); ++k)
        parents.push_back(std::make_shared<TypedProgram>(TypedProgram{batch[k], types[k]}));
    std::vector<TypedProgramRef> mates(parents.rbegin(), parents.rend());
    Weights all;
    all.fill(1);
    std::vector<ProgramRef> children;
    for (ProgramRef& child : vary(parents, mates, all, 30, seed))
        if (child) {
            expect(identity(*must_parse(child->text())) == identity(*child),
                   "a child and its parsed text differ:\n" + child->text());
            children.push_back(child);
        }
    size_t whole = 0;
    for (size_t k = 0; k < batch.size(); ++k) whole += types[k].size() == batch[k]->lines.size();
    expect(batch.size() < 100 || children.size() > whole / 4, "too few parents have a child");
    check_evaluation(children, grids.front(), grids.back(), budget);
    // With a small budget, remembered calls show for many children that they exceed it.
    check_evaluation(children, grids.front(), grids.back(), {budget.steps / 1000, budget.cells / 100});
}

void test_static_types() {
    auto last = [](const std::string& text) { return infer_static_types(*must_parse(text)).back(); };
    for (const char* fits :
         {"x1 = ofcolor(I, ONE)\nO = fill(I, ONE, x1)", "x1 = rbind(add, ONE)\nO = x1(ONE)"})
        expect(last(fits).admitted, std::string("a line is not admitted: ") + fits);
    for (const char* fails :
         {"O = fill(I, ONE, I)", "O = compose(add, size)", "x1 = rbind(add, ONE)\nO = x1(I)",
          "x1 = rbind(add, ONE)\nO = x1(ONE, ONE)", "x1 = size(I)\nO = x1(I)"})
        expect(!last(fails).admitted, std::string("a line is admitted: ") + fails);
    expect(last("x1 = compose(rot90, identity)\nO = x1(I)").kinds == bit(Atom::Grid),
           "inference follows functions");
    // x20(add) nests a million functions. Their types are followed up to kMaxCalls.
    std::string nested = "x1 = fork(compose, identity, identity)\n";
    for (int k = 1; k < 20; ++k) {
        std::string from = "x" + std::to_string(k);
        nested += "x" + std::to_string(k + 1) + " = compose(" + from + ", " + from + ")\n";
    }
    auto unknown = last(nested + "x21 = x20(increment)\nO = x21(ONE)").kinds;
    expect(has(unknown, Atom::Grid) && has(unknown, Atom::Integer),
           "the results of deeply nested functions are unknown");
}

// The words of the compact encoding, by token: see policy/encoding.py.
std::vector<std::string> grammar_words(int variables) {
    std::vector<std::string> words{"<pad>", "</s>", "I"};
    for (const Primitive& p : primitives()) words.push_back(p.name);
    for (const Constant& c : constants()) words.push_back(c.name);
    for (int n = 1; n <= kMaxArguments; ++n) words.push_back("call" + std::to_string(n));
    for (int n = 1; n <= variables; ++n) words.push_back("x" + std::to_string(n));
    return words;
}

// The text of the words of a program.
std::string text_of(const std::vector<std::string>& words) {
    std::vector<std::string> calls;
    for (size_t at = 0; at < words.size();) {
        bool call = words[at].starts_with("call");
        std::string function = call ? words[at + 1] : words[at], arguments;
        int n = call ? words[at].back() - '0' : primitives()[size_t(find_primitive(function))].arity;
        at += call ? 2 : 1;
        for (int k = 0; k < n; ++k) arguments += (k ? ", " : "") + words.at(at++);
        calls.push_back(function + "(" + arguments + ")");
    }
    std::string text;
    for (size_t k = 0; k < calls.size(); ++k)
        text += (k + 1 < calls.size() ? "x" + std::to_string(k + 1) : "O") + " = " + calls[k] + "\n";
    return text;
}

// Random walks through the grammar are programs within the limit: their texts parse. Tokens that
// break a rule of syntax are rejected, and change nothing.
void test_grammar(size_t walks, unsigned seed) {
    constexpr int64_t kEnd = 1;
    constexpr size_t kRows = 50;
    std::mt19937 rng(seed);
    size_t rejected = 0;
    for (size_t walk = 0; walk < walks; ++walk) {
        auto words = grammar_words(1 + int(rng() % 20));
        int64_t limit = 8 + int64_t(rng() % 60);
        bool typed = rng() % 2;
        PartialPrograms state(std::make_shared<Grammar>(words, 0, kEnd, limit, typed), kRows);
        std::vector<std::vector<std::string>> written(kRows);
        std::vector<bool> ended(kRows);
        std::vector<uint8_t> allowed(kRows * words.size()), again(allowed.size());
        for (int64_t position = 0; position < limit; ++position) {
            state.allowed(position, allowed.data());
            std::vector<int64_t> tokens;
            for (size_t row = 0; row < kRows; ++row) {
                std::vector<int64_t> some;
                for (size_t token = 0; token < words.size(); ++token)
                    if (allowed[row * words.size() + token]) some.push_back(int64_t(token));
                expect(!some.empty(), "no token is allowed");
                bool end = some.front() == kEnd && rng() % 6 == 0;
                tokens.push_back(end ? kEnd : some[rng() % some.size()]);
            }
            auto odd = tokens;
            odd[rng() % kRows] = int64_t(rng() % (words.size() * 2)) - int64_t(words.size() / 2);
            auto copy = state;
            try {
                copy.advance(odd);
            } catch (const std::invalid_argument&) {
                copy.allowed(position, again.data());
                expect(allowed == again, "a rejected token changes a state");
                ++rejected;
            }
            state.advance(tokens);
            std::vector<int64_t> kept;
            for (size_t row = 0; row < kRows; ++row) {
                ended[row] = ended[row] || tokens[row] == kEnd;
                if (!ended[row]) written[row].push_back(words[size_t(tokens[row])]);
                kept.push_back(rng() % 10 ? int64_t(row) : int64_t(rng() % kRows));
            }
            state = state.select(kept);
            auto copied = written;
            auto which = ended;
            for (size_t row = 0; row < kRows; ++row) {
                written[row] = copied[size_t(kept[row])];
                ended[row] = which[size_t(kept[row])];
            }
        }
        for (size_t row = 0; row < kRows; ++row) {
            expect(ended[row], "a program does not end within the limit");
            must_parse(text_of(written[row]));
        }
    }
    expect(rejected > walks, "too few tokens are rejected for a useful test");
}

void soak_test(size_t programs, unsigned seed) {
    constexpr Budget kBudget{200'000, 50'000};
    std::mt19937 rng(seed);
    std::vector<ProgramRef> batch;
    std::vector<std::vector<GridRef>> copied, read; // inputs that runs copy, and that they read in place
    std::vector<GridRef> pool;                      // so that several programs run on equal grids
    size_t grids = 0;
    for (size_t k = 0; k < programs; ++k) {
        if (k % 4 == 0) (void)parse(token_soup(rng));
        batch.push_back(must_parse(random_program(rng, 1 + int(rng() % 12))));
        if (pool.empty() || k % 50 == 0) pool.push_back(random_grid(rng));
        copied.push_back({pool[rng() % pool.size()]});
        read.push_back({counted(*copied.back()[0])});
        if (batch.size() < 2000 && k + 1 < programs) continue;
        auto alone = run_batch(batch, copied, kBudget, 1, false), shared = run_batch(batch, read, kBudget, 2);
        for (size_t p = 0; p < batch.size(); ++p) {
            const Outcome& a = alone[p][0];
            expect(a == shared[p][0],
                   "the outcome depends on threads, sharing or counted colours:\n" + batch[p]->text());
            expect(a.cells <= kBudget.cells, "more cells in use than the budget:\n" + batch[p]->text());
            grids += a.kind == Kind::Grid;
        }
        check_variation(batch, read, alone, kBudget, seed + unsigned(k));
        batch.clear();
        copied.clear();
        read.clear();
        pool.clear();
    }
    std::printf("soak: %zu programs, %zu gave a grid\n", programs, grids);
    expect(programs < 1000 || grids > programs / 50, "too few programs give a grid for a useful test");
}

// The cheapest cover against all sets of pieces.
void test_covers(size_t rounds, unsigned seed) {
    std::mt19937 rng(seed);
    size_t covered = 0;
    for (size_t round = 0; round < rounds; ++round) {
        Mask target{rng() & rng() & 0xfff, uint64_t(rng() & 0x3) << 62};
        std::vector<Piece> pieces(1 + rng() % 8);
        for (Piece& piece : pieces)
            piece = {{rng() & 0xfff, uint64_t(rng() & 0xf) << 60}, 1 + int(rng() % 20)};
        int least = INT32_MAX;
        for (unsigned some = 0; some < 1u << pieces.size(); ++some) {
            Mask left = target;
            int bits = 0, n = 0;
            for (size_t p = 0; p < pieces.size(); ++p)
                if (some >> p & 1) {
                    ++n;
                    bits += pieces[p].bits;
                    for (size_t w = 0; w < left.size(); ++w) left[w] &= ~pieces[p].cells[w];
                }
            if (n <= 3 && left == Mask(left.size())) least = std::min(least, bits);
        }
        auto covers = cheapest_covers(target, pieces, 3, 4);
        expect(covers.empty() == (least == INT32_MAX), "a cover is missed, or is none");
        int before = 0;
        for (const auto& cover : covers) {
            int bits = 0;
            for (uint32_t p : cover) bits += pieces[p].bits;
            expect(cover.size() <= 3 && bits >= before, "covers have few pieces and are ordered by cost");
            expect(&cover != &covers[0] || bits == least, "the first cover is the cheapest");
            before = bits;
        }
        covered += !covers.empty();
    }
    expect(covered > rounds / 4, "too few targets can be covered for a useful test");
}

// Enumerates toward what random programs do, with random libraries and budgets.
void test_enumeration(size_t rounds, unsigned seed) {
    std::mt19937 rng(seed);
    Run run;
    size_t solved = 0;
    for (size_t round = 0; round < rounds; ++round) {
        std::vector<ProgramRef> programs;
        for (size_t k = 0; k < 1 + rng() % 40; ++k)
            programs.push_back(must_parse(random_program(rng, 1 + int(rng() % 6))));
        for (const char* text : {"x1 = objects(I, T, F, T)\nx2 = argmax(x1, size)\nO = subgrid(x2, I)",
                                 "x1 = ofcolor(I, ONE)\nx2 = box(x1)\nO = fill(I, TWO, x2)", "O = vmirror(I)"})
            programs.push_back(must_parse(text));
        auto library = std::make_shared<Library>(programs);
        ProgramRef wanted = programs[rng() % programs.size()];
        std::vector<Example> examples;
        for (size_t k = 0; k < rng() % 4; ++k) {
            GridRef input = counted(*random_grid(rng));
            Outcome outcome = execute(run, *wanted, *input, {});
            examples.push_back({input, outcome.grid && rng() % 4 ? outcome.grid : nullptr});
        }
        Budget budget{1 + rng() % 20'000, 1 + rng() % (rng() % 2 ? 2'000 : 200'000)};
        Enumeration first(library, examples, budget), second(library, examples, budget);
        for (uint64_t max_tried : {100, 1000, 4000}) {
            bool more = first.run(max_tried);
            expect(more == second.run(max_tried), "enumeration depends on more than its arguments");
            first.finish();
            second.finish();
        }
        auto found = first.solutions(), again = second.solutions();
        expect(found.size() == again.size() && first.size() == second.size() && first.tried() == second.tried(),
               "enumeration depends on more than its arguments");
        for (size_t k = 0; k < found.size(); ++k) {
            expect(found[k].bits == again[k].bits && found[k].program->text() == again[k].program->text(),
                   "enumeration depends on more than its arguments");
            expect(k == 0 || found[k - 1].bits <= found[k].bits, "solutions are ordered by cost");
            for (const Example& example : examples) {
                Outcome outcome = execute(run, *found[k].program, *example.input, {});
                expect(outcome.grid && (!example.output || *outcome.grid == *example.output),
                       "a solution does not solve the task:\n" + found[k].program->text());
            }
        }
        solved += !found.empty();
    }
    expect(solved > rounds / 20, "too few tasks are solved for a useful test");
}

std::vector<float> random_floats(std::mt19937& rng, int64_t n) {
    std::normal_distribution<float> normal;
    std::vector<float> made(static_cast<size_t>(n));
    for (float& one : made) one = normal(rng);
    return made;
}

// The definition of attention, for one head of one row. `at(k)` gives key and value of position k.
template <typename At>
std::vector<double> attended(const float* query, int64_t size, int64_t n, const float* bias, At at) {
    std::vector<double> out(size_t(size), 0.0);
    double sum = 0;
    for (int64_t k = 0; k < n; ++k) {
        auto [key, value] = at(k);
        double score = bias ? bias[k] : 0.0;
        for (int64_t d = 0; d < size; ++d) score += double(query[d]) * key[d];
        sum += std::exp(score);
        for (int64_t d = 0; d < size; ++d) out[size_t(d)] += std::exp(score) * value[d];
    }
    for (double& one : out) one /= sum;
    return out;
}

// Rows leave and are continued by others, as in a beam search. The cache has exactly the places that
// it needs, so that a sanitizer sees any access beyond.
void test_attention() {
    std::mt19937 rng(0);
    for (int64_t size : {1, 7, 16, 32, 37}) {
        const int64_t heads = 3, width = heads * size, steps = 6, capacity = 5;
        std::vector<float> cache(size_t(steps * capacity * 2 * width), NAN);
        std::vector<std::vector<std::vector<float>>> pasts(1); // of each row: keys and values of each step
        std::vector<int32_t> slots(size_t(steps), -1);
        for (int64_t step = 0; step < steps; ++step) {
            const int64_t rows = int64_t(pasts.size());
            auto tokens = random_floats(rng, rows * 3 * width), bias = random_floats(rng, heads * (step + 1));
            std::vector<float> out(size_t(rows * width), NAN);
            attend_to_past({tokens.data(), rows, heads, size}, step, steps, capacity, cache.data(), slots.data(),
                           bias.data(), out.data());
            for (int64_t row = 0; row < rows; ++row) {
                const float* query = tokens.data() + row * 3 * width;
                auto& past = pasts[size_t(row)];
                past.emplace_back(query + width, query + 3 * width);
                for (int64_t head = 0; head < heads; ++head) {
                    auto at = [&](int64_t k) {
                        const float* both = past[size_t(k)].data() + head * size;
                        return std::pair(both, both + width);
                    };
                    auto expected = attended(query + head * size, size, step + 1,
                                             bias.data() + head * (step + 1), at);
                    for (int64_t d = 0; d < size; ++d)
                        expect(std::abs(expected[size_t(d)] - out[size_t(row * width + head * size + d)]) < 1e-4,
                               "attention to the past differs from its definition");
                }
            }
            std::vector<std::vector<std::vector<float>>> next;
            std::vector<int32_t> next_slots;
            for (int64_t k = 1 + int64_t(rng() % capacity); k; --k) {
                size_t parent = rng() % pasts.size();
                next.push_back(pasts[parent]);
                next_slots.insert(next_slots.end(), slots.begin() + int64_t(parent) * steps,
                                  slots.begin() + int64_t(parent + 1) * steps);
            }
            pasts = std::move(next);
            slots = std::move(next_slots);
        }

        const int64_t rows = 4, longest = 3;
        const std::vector<int32_t> sources{1, 0, 1, 1}, lengths{3, 2};
        auto keys_values = random_floats(rng, 2 * longest * 2 * width), query = random_floats(rng, rows * width);
        std::vector<float> out(size_t(rows * width), NAN);
        attend_to_source(query.data(), rows, heads, size, keys_values.data(), longest, sources.data(),
                         lengths.data(), out.data());
        for (int64_t row = 0; row < rows; ++row)
            for (int64_t head = 0; head < heads; ++head) {
                int32_t source = sources[size_t(row)];
                auto at = [&](int64_t k) {
                    const float* both = keys_values.data() + (source * longest + k) * 2 * width + head * size;
                    return std::pair(both, both + width);
                };
                auto expected = attended(query.data() + row * width + head * size, size,
                                         lengths[size_t(source)], nullptr, at);
                for (int64_t d = 0; d < size; ++d)
                    expect(std::abs(expected[size_t(d)] - out[size_t(row * width + head * size + d)]) < 1e-4,
                           "attention to a source differs from its definition");
            }
    }
}

} // namespace

int main(int argc, char** argv) {
    size_t programs = argc > 1 ? std::strtoul(argv[1], nullptr, 10) : 20'000;
    unsigned seed = argc > 2 ? unsigned(std::strtoul(argv[2], nullptr, 10)) : 1;
    try {
        test_parse_and_print();
        test_outcomes();
        test_memo();
        test_limits();
        test_assemble();
        test_attention();
        test_static_types();
        test_grammar(200, seed);
        test_covers(2000, seed);
        test_enumeration(150, seed);
        soak_test(programs, seed);
    } catch (const std::exception& error) {
        std::fprintf(stderr, "FAILED: %s\n", error.what());
        return 1;
    }
    std::puts("engine tests passed");
}
