// A libFuzzer target (`make fuzz`) for parse, execute and run_batch. For any input, nothing may
// crash, hang or exceed its budget, and the guarantees of the headers must hold. replay.cpp runs
// the corpus without libFuzzer.
//
// The first line of an input has a mode, the height and the width of a grid (one character each,
// from A for 1 to ^ for 30) and the colours of the grid, which are repeated: tCC012 is a text and a
// grid of 3 × 3. The mode says what the rest of the input is:
//
//   t   the text of a program
//   s   a token soup: each byte is a name, a sign or the end of a line
//   c   calls: for each line, bytes choose a primitive, and its arguments among operands of fitting types
//
// The corpus was written by hand. It has programs that call all primitives of each theme, and a few
// unusual inputs.
#include <cstdio>
#include <cstdlib>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "execute.hpp"
#include "primitives/table.hpp"

using namespace codeit;

// For each primitive, whether the call of a line has given a value.
std::vector<bool>& reached() {
    static std::vector<bool> made(primitives().size());
    return made;
}

namespace {

constexpr Budget kBudget{8'000, 5'000}; // small, since many short runs find more than a few long ones
constexpr int kMostLines = 20;

struct Bytes {
    const uint8_t *at, *end;
    bool empty() const { return at == end; }
    uint8_t next() { return empty() ? 0 : *at++; }
};

void expect(bool holds, const char* what, std::string_view text) {
    if (holds) return;
    std::fprintf(stderr, "FAILED: %s\n%.*s\n", what, int(text.size()), text.data());
    std::abort();
}

// --- inputs -----------------------------------------------------------------------------------------

GridRef read_grid(Bytes& bytes) {
    auto side = [&] { return 1 + (bytes.next() + 25) % kMaxSide; }; // A is 1
    int height = side(), width = side();
    std::string colours;
    for (uint8_t b; !bytes.empty() && (b = bytes.next()) != '\n';)
        colours += char((b + 2) % kColours); // '0': 0
    if (colours.empty()) colours = '\0';
    std::vector<int8_t> cells;
    for (size_t k = 0; k < size_t(height * width); ++k) cells.push_back(int8_t(colours[k % colours.size()]));
    return Grid::make(height, width, cells.data());
}

std::string token_soup(Bytes bytes) {
    static const std::vector<std::string> pieces = [] {
        std::vector<std::string> made = {"\n", " = ", "(", ")", ", ",   "I", "O",
                                         "\n", "=",   ",", " ", "\t\r", "é"};
        for (const Primitive& p : primitives()) made.push_back(p.name);
        for (const Constant& c : constants()) made.push_back(c.name);
        for (int k = 1; made.size() < 256; ++k) made.push_back("x" + std::to_string(k));
        return made;
    }();
    std::string text;
    while (!bytes.empty()) text += pieces[bytes.next()];
    return text;
}

// The kinds of value that a type of a signature admits, as a bit set.
enum : unsigned {
    Truth = 1, Number = 2, Place = 4, Rows = 8, List = 16,
    Places = 32, Cells = 64, Parts = 128, Bag = 256, Code = 512,
    Sets = Places | Cells | Parts | Bag, Containers = Rows | List | Sets, Anything = 1023,
};

unsigned kinds(std::string_view type) {
    static const std::unordered_map<std::string_view, unsigned> table = {
        {"Boolean", Truth},
        {"Integer", Number},
        {"IntegerTuple", Place},
        {"Numerical", Number | Place},
        {"Grid", Rows},
        {"Tuple", List | Rows},
        {"TupleTuple", List | Rows},
        {"Indices", Places},
        {"Object", Cells},
        {"Objects", Parts},
        {"Patch", Places | Cells},
        {"Element", Rows | Cells},
        {"Piece", Rows | Places | Cells},
        {"IntegerSet", Bag},
        {"FrozenSet", Sets},
        {"Container", Containers},
        {"ContainerContainer", Rows | List | Parts},
        {"Callable", Code},
        {"Any", Anything},
    };
    return table.at(type);
}

// The kinds of the elements of a container.
unsigned elements(unsigned container) {
    if (container == Places) return Place;
    if (container == Parts) return Cells;
    if (container == Rows) return List;
    return Anything;
}

// Generates programs whose arguments usually fit the signatures.
class Calls {
  public:
    explicit Calls(Bytes bytes) : bytes_(bytes) {}

    std::string text() {
        while (!bytes_.empty() && lines_.size() < kMostLines) {
            uint8_t head = bytes_.next();
            std::vector<std::string> functions = variables(Code);
            if (head >= primitives().size() && !functions.empty()) {
                std::string line = functions[head % functions.size()] + "(" + operand(Anything, 1);
                add(line + (head >= 250 ? ", " + operand(Anything, 1) + ")" : ")"), Anything);
            } else {
                add(primitives()[head % primitives().size()]);
            }
        }
        auto grids = variables(Rows);
        return text_ + "O = identity(" + (grids.empty() ? "I" : grids.front()) + ")";
    }

  private:
    void add(std::string line, unsigned result) {
        lines_.push_back(result);
        text_ += "x" + std::to_string(lines_.size()) + " = " + line + "\n";
    }

    void add(const Primitive& primitive) {
        std::string_view signature = primitive.signature, name = primitive.name, type;
        size_t arrow = signature.find(" -> ");
        std::string_view result = signature.substr(arrow + 4);
        unsigned known = kinds(result), narrow = 0; // narrow: inferred from the arguments
        std::string line = std::string(name) + "(";
        for (int k = 0; k < primitive.arity; ++k) {
            size_t end = std::min(signature.find(", "), signature.find(" -> "));
            type = signature.substr(0, end);
            signature.remove_prefix(end + (signature[end] == ',' ? 2 : 0));
            bool two = name.ends_with("papply") || name == "prapply" || (name == "fork" && k == 0);
            bool bound = name == "lbind" || name == "rbind";
            line += (k ? ", " : "") + operand(kinds(type), two ? 2 : bound ? 0 : 1);
            if (type == result && !line.starts_with("apply")) narrow |= chosen_;
            else if (result == "Any" && type == "Container") narrow |= elements(chosen_);
        }
        add(line + ")", narrow & known ? narrow & known : known);
    }

    // The variables that may have these kinds, latest first.
    std::vector<std::string> variables(unsigned wanted) const {
        std::vector<std::string> found;
        for (size_t k = lines_.size(); k-- > 0;)
            if (lines_[k] & wanted) found.push_back("x" + std::to_string(k + 1));
        return found;
    }

    // An operand of one of these kinds. A primitive must have the given arity; 0 stands for more
    // than one argument.
    std::string operand(unsigned wanted, int arity) {
        static const std::vector<unsigned> of_constants = [] {
            std::vector<unsigned> made;
            for (const Constant& c : constants())
                made.push_back(c.value.tag == Tag::Bool ? Truth : c.value.tag == Tag::Int ? Number : Place);
            return made;
        }();
        uint8_t b = bytes_.next();
        if (b >= 248) wanted = Anything;
        auto earlier = variables(wanted);
        if (b % 2 && !earlier.empty()) {
            std::string name = earlier[b / 2 % earlier.size()];
            chosen_ = lines_[std::stoul(name.substr(1)) - 1];
            return name;
        }
        std::vector<const char*> names;
        if (wanted & Rows) names.push_back("I");
        for (size_t k = 0; k < constants().size(); ++k)
            if (of_constants[k] & wanted) names.push_back(constants()[k].name);
        if (wanted == Code)
            for (const Primitive& p : primitives())
                if (arity ? p.arity == arity : p.arity > 1) names.push_back(p.name);
        if (names.empty()) return earlier.empty() ? "I" : earlier.front();
        std::string name = names[b / 2 % names.size()];
        int id = find_constant(name);
        chosen_ = name == "I" ? unsigned(Rows) : id >= 0 ? of_constants[size_t(id)] : unsigned(Code);
        return name;
    }

    Bytes bytes_;
    std::string text_;
    std::vector<unsigned> lines_; // the kinds of x1, x2, …
    unsigned chosen_ = Anything;  // the kinds of the last operand
};

// --- checks -----------------------------------------------------------------------------------------

void expect_same(const Outcome& a, const Outcome& b, const char* what, const Program& program) {
    if (a == b) return;
    for (const Outcome* o : {&a, &b})
        std::fprintf(stderr, "%s, steps %llu, cells %llu; %s\n", kind_name(o->kind),
                     (unsigned long long)o->steps, (unsigned long long)o->cells, o->message().c_str());
    expect(false, what, program.text());
}

void check_promises(const Outcome& outcome, const Program& program, Budget budget) {
    auto promise = [&](bool holds, const char* what) {
        if (!holds) expect(false, what, program.text());
    };
    promise(outcome.steps <= budget.steps, "more steps than the budget");
    promise(outcome.cells <= budget.cells, "more cells in use than the budget");
    promise((outcome.kind == Kind::Grid) == bool(outcome.grid), "a grid if and only if the kind is Grid");
    if (!outcome.grid) {
        promise(outcome.line >= 1 && size_t(outcome.line) <= program.lines.size(), "a fault has a line");
        promise(!outcome.message().empty(), "a fault has a message");
        return;
    }
    const Grid& grid = *outcome.grid;
    promise(grid.height() >= 1 && grid.height() <= kMaxSide && grid.width() >= 1 && grid.width() <= kMaxSide,
            "a grid has 1 to 30 rows and columns");
    for (size_t k = 0; k < grid.area(); ++k)
        promise(grid.cells()[k] >= 0 && grid.cells()[k] < kColours, "a grid has colours 0 to 9");
}

ProgramRef must_parse(const std::string& text) {
    auto parsed = parse(text);
    expect(std::holds_alternative<ProgramRef>(parsed), "a well-formed program is parsed", text);
    return std::get<ProgramRef>(std::move(parsed));
}

// The program with one argument replaced.
ProgramRef mutant(const Program& program, uint64_t seed) {
    Program made = program;
    size_t at = seed % made.lines.size();
    Operand& argument = made.lines[at].arguments[(seed >> 16) % made.lines[at].n];
    seed >>= 24;
    if (at > 0 && seed % 4) argument = {Operand::Kind::Variable, uint16_t(seed / 4 % at)};
    else if (seed % 8) argument = {Operand::Kind::Constant, uint16_t(seed / 8 % constants().size())};
    else argument = {Operand::Kind::Input, 0};
    return must_parse(made.text());
}

// The text, a second run and a smaller budget.
void check_again(const Program& program, const Grid& grid, const Outcome& outcome, uint64_t seed) {
    static Run run;
    std::string text = program.text();
    expect(must_parse(text)->text() == text, "the text of a program parses to that program", text);
    expect_same(outcome, execute(run, program, grid, kBudget), "a second run has the same outcome", program);

    Budget less{uint64_t(1) << seed % 13, uint64_t(1) << (seed >> 8) % 13};
    Outcome limited = execute(run, program, grid, less);
    check_promises(limited, program, less);
    if (limited.kind != Kind::Steps && limited.kind != Kind::Cells)
        expect_same(outcome, limited, "a smaller budget changes nothing except where a run ends", program);
}

// A batch of the program and its mutants, on one grid or on two.
void check_batch(const ProgramRef& program, const Grid& grid, const Outcome& outcome, uint64_t seed) {
    static Run run;
    std::vector<ProgramRef> batch = {program, mutant(*program, seed), mutant(*program, seed >> 8)};
    auto first = Grid::make(grid.height(), grid.width(), grid.cells());
    auto second = Grid::make(grid.height(), grid.width(), grid.cells());
    first->count(); // like inputs from Python; `grid` is not counted
    int8_t& cell = second->cells()[seed % grid.area()];
    cell = int8_t((cell + 1) % kColours);
    std::vector<GridRef> inputs = {first};
    if (seed % 8 == 0) inputs.push_back(second);
    auto outcomes = run_batch(batch, std::vector(batch.size(), inputs), kBudget, 1);
    for (size_t p = 0; p < batch.size(); ++p)
        for (size_t k = 0; k < inputs.size(); ++k) {
            Outcome alone = p + k ? execute(run, *batch[p], *inputs[k], kBudget) : outcome;
            expect_same(alone, outcomes[p][k], "a program has the same outcome alone and in a batch",
                        *batch[p]);
        }
}

// Runs the program, and makes one of the other checks. Making all of them would halve the number of
// inputs.
void check_run(const ProgramRef& program, const Grid& grid, uint64_t seed) {
    static Run run;
    Outcome outcome = trace(run, *program, grid, kBudget, [&](size_t line, Value) {
        Operand function = program->lines[line].function;
        if (function.kind == Operand::Kind::Primitive) reached()[function.index] = true;
    });
    check_promises(outcome, *program, kBudget);
    if (seed % 2) check_again(*program, grid, outcome, seed / 2);
    else check_batch(program, grid, outcome, seed / 2);
}

} // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
    uint64_t seed = 14695981039346656037u; // FNV-1a, so that an input is reproducible
    for (size_t k = 0; k < size; ++k) seed = (seed ^ data[k]) * 1099511628211u;
    seed ^= seed >> 32;

    Bytes bytes{data, data + size};
    int mode = bytes.next() % 3; // c, s, t
    GridRef grid = read_grid(bytes);
    std::string text = mode == 0   ? Calls(bytes).text()
                       : mode == 1 ? token_soup(bytes)
                                   : std::string(bytes.at, bytes.end);
    auto parsed = parse(text);
    if (auto* failure = std::get_if<ParseFailure>(&parsed)) {
        expect(mode != 0, "generated calls are a valid program", text);
        expect(failure->line >= 0 && !failure->expected.empty() && failure->token.size() <= 64,
               "a parse failure has a line, a short token and what was expected", text);
    } else {
        check_run(std::get<ProgramRef>(parsed), *grid, seed);
    }
    return 0;
}
