#include "enumeration.hpp"

#include <algorithm>
#include <set>

#include "calls.hpp"
#include "hash.hpp"
#include "last_steps.hpp"
#include "primitives/table.hpp"
#include "rule_steps.hpp"

namespace codeit {

namespace {

constexpr uint32_t kInput = UINT32_MAX - 1; // as the root of a slice: the grid that it is applied to
constexpr uint64_t kMaxValueWeight = 1500;  // heavier values are discarded

Application call_of(const char* primitive, std::span<const Argument> arguments) {
    Application call{{Operand::Kind::Primitive, uint32_t(find_primitive(primitive))}, 0, {}};
    for (const Argument& a : arguments) call.arguments[call.n++] = a;
    return call;
}

} // namespace

// --- expressions ------------------------------------------------------------------------------------

struct Enumeration::Known {
    std::unordered_map<Application, uint32_t, ApplicationHash> calls;
    std::unordered_map<uint64_t, uint32_t> slices; // expressions by a slice and its root
    std::unordered_map<uint64_t, uint32_t> values; // expressions by a hash of their values
    static uint64_t key(uint32_t slice, uint32_t root) { return uint64_t(root) << 32 | slice; }
};

Enumeration::Enumeration(std::shared_ptr<const Library> library, std::vector<Example> examples, Budget budget)
    : library_(std::move(library)), examples_(std::move(examples)), budget_(budget),
      rule_steps_(std::make_unique<RuleSteps>(*this)), known_(std::make_unique<Known>()) {
    budget_.steps = std::min<uint64_t>(budget.steps, INT32_MAX);
    // Small grids first: a call that fails on one is not made on the others.
    std::ranges::stable_sort(examples_, {}, [](const Example& e) { return e.input->area(); });
    for (auto& lists : by_type_) lists.resize(kMaxBits + 1);
    try {
        for (const Example& example : examples_) {
            runs_.push_back(std::make_unique<Run>());
            runs_.back()->start({uint64_t(INT64_MAX), budget.cells});
            inputs_.push_back(input_value(*runs_.back(), *example.input));
        }
    } catch (const Fault&) { // the inputs alone exceed the budget: there is nothing to try
        examples_.clear();
    }
    for (size_t k = 0; k < examples_.size(); ++k)
        if (examples_[k].output) demonstrations_.push_back(k);
    results_.resize(examples_.size());
    marks_.resize(examples_.size());
}

Enumeration::~Enumeration() = default;

Value Enumeration::value(Argument a, size_t k) const {
    switch (a.kind) {
    case Operand::Kind::Input: return inputs_[k];
    case Operand::Kind::Variable: return values_[a.index * examples_.size() + k];
    case Operand::Kind::Primitive: return primitive_function(int(a.index));
    default: return constants()[a.index].value;
    }
}

uint32_t Enumeration::expression_once(const Application& call, int bits) {
    auto [known, is_new] = known_->calls.try_emplace(call, kNone);
    if (is_new) known->second = expression(call, bits);
    return known->second;
}

uint32_t Enumeration::expression(const Application& call, int bits, bool is_last) {
    ++tried_;
    size_t n = examples_.size();
    uint64_t hash = 0;
    Atom type = Atom::None;
    size_t done = 0;
    uint64_t steps = 0;
    bool failed = false;
    for (size_t k = 0; k < n && !failed; ++k) {
        Run& run = *runs_[k];
        marks_[k] = run.mark();
        done = k + 1;
        Value arguments[kMaxArguments];
        for (int a = 0; a < call.n; ++a) arguments[a] = value(call.arguments[a], k);
        run.steps_left = int64_t(budget_.steps);
        run.depth = 0;
        try {
            results_[k] = codeit::call(run, value(call.function, k), arguments, call.n);
            Atom result_type = atom(results_[k]);
            if (k == 0) type = result_type;
            failed = result_type == Atom::None || !unify(type, result_type) ||
                     weight(results_[k]) > kMaxValueWeight;
            hash = mix(hash, hash_value(results_[k]));
        } catch (const Fault& fault) {
            failed = true;
            // A value that is too large by itself is no reason to stop.
            if (fault.kind == Kind::Cells && run.cells > budget_.cells / 10 * 9) full_ = true;
        }
        steps += budget_.steps - uint64_t(run.steps_left);
    }
    tried_ += steps / kStepsPerExpression;
    auto forget = [&] {
        for (size_t k = 0; k < done; ++k) runs_[k]->release(marks_[k]);
    };
    if (failed) {
        forget();
        return kNone;
    }
    auto index = uint32_t(expressions_.size());
    if (!is_last) {
        auto [same, first] = known_->values.try_emplace(hash, index);
        if (!first) {
            forget();
            return same->second;
        }
        by_type_[int(type)][size_t(bits)].push_back(index);
    }
    expressions_.push_back({call, type, bits});
    values_.insert(values_.end(), results_.begin(), results_.end());
    if (type == Atom::Grid) keep_solution(index, hash);
    return index;
}

void Enumeration::keep_solution(uint32_t expression, uint64_t hash) {
    for (size_t k = 0; k < examples_.size(); ++k) {
        Value result = values_[expression * examples_.size() + k];
        if (examples_[k].output ? !is_grid(result, *examples_[k].output) : !is_output(result)) return;
    }
    int bits = expressions_[expression].bits;
    auto known = solutions_.find(hash);
    if (known != solutions_.end() && known->second.bits <= bits) return;
    if (ProgramRef solver = program(expression))
        solutions_.insert_or_assign(hash, Solution{solver, bits, tried_});
}

std::vector<Solution> Enumeration::solutions() const {
    std::vector<Solution> sorted;
    for (const auto& [_, solution] : solutions_) sorted.push_back(solution);
    std::ranges::sort(sorted, {}, [](const Solution& s) {
        return std::tuple(s.bits, s.program->lines.size(), s.tried, s.program->text());
    });
    return sorted;
}

std::vector<ProgramRef> Enumeration::closest(size_t max_programs) const {
    struct Rank {
        int solved, shaped;
        double right; // share of cells, summed over the demonstrations
        uint32_t expression;
    };
    std::vector<Rank> ranks;
    for (const auto& expressions : by_type_[int(Atom::Grid)])
        for (uint32_t e : expressions) {
            Rank rank{0, 0, 0, e};
            for (size_t k : demonstrations_) {
                const Grid& want = *examples_[k].output;
                GridView g = grid(values_[e * examples_.size() + k]);
                if (g.h != want.height() || g.w != want.width()) continue;
                size_t right = 0;
                for (size_t at = 0; at < want.area(); ++at) right += g.cells[at] == want.cells()[at];
                ++rank.shaped;
                rank.solved += right == want.area();
                rank.right += double(right) / double(want.area());
            }
            if (rank.shaped) ranks.push_back(rank);
        }
    std::ranges::stable_sort(ranks, std::ranges::greater{},
                             [](const Rank& r) { return std::tuple(r.solved, r.shaped, r.right); });
    std::vector<ProgramRef> programs;
    for (const Rank& rank : ranks) {
        if (programs.size() == max_programs) break;
        if (ProgramRef next = program(rank.expression)) programs.push_back(std::move(next));
    }
    return programs;
}

ProgramRef Enumeration::program(uint32_t expression) const {
    std::set<uint32_t> needed{expression};
    for (auto at = needed.rbegin(); at != needed.rend(); ++at) {
        const Application& call = expressions_[*at].call;
        for (int a = 0; a < call.n; ++a)
            if (call.arguments[a].kind == Operand::Kind::Variable) needed.insert(call.arguments[a].index);
        if (call.function.kind == Operand::Kind::Variable) needed.insert(call.function.index);
    }
    std::vector<Line> lines;
    std::unordered_map<uint32_t, uint16_t> place;
    auto operand = [&](const Argument& a) {
        return Operand{a.kind, a.kind == Operand::Kind::Variable ? place.at(a.index) : uint16_t(a.index)};
    };
    for (uint32_t k : needed) {
        const Application& call = expressions_[k].call;
        Line line{operand(call.function), call.n, {}, ""};
        for (int a = 0; a < call.n; ++a) line.arguments[a] = operand(call.arguments[a]);
        place.emplace(k, uint16_t(lines.size()));
        lines.push_back(line);
    }
    return assemble(lines, lines.size() - 1, kMaxLines);
}

// --- last steps -------------------------------------------------------------------------------------

void Enumeration::finish() {
    if (!demonstrations_.empty()) LastSteps(*this, *rule_steps_).find();
}

std::vector<Argument> Enumeration::expressions_of_type(Atom type) const {
    std::vector<Argument> arguments;
    for (const auto& expressions : by_type_[int(type)])
        for (uint32_t e : expressions) arguments.push_back({Operand::Kind::Variable, e});
    return arguments;
}

int Enumeration::call_bits(const char* primitive) const {
    return library_->calls()[size_t(find_primitive(primitive))].bits;
}

int Enumeration::argument_bits(uint16_t primitive, int position, Argument a) const {
    const Library::Parameter& parameter = library_->calls()[primitive].parameters[size_t(position)];
    if (a.kind == Operand::Kind::Variable) return parameter.expression + expressions_[a.index].bits;
    for (const Library::Choice& choice : parameter.choices)
        if (choice.operand.kind == a.kind && choice.operand.index == a.index) return choice.bits;
    return kMaxBits;
}

std::optional<Argument> Enumeration::step(const Application& call, int bits, bool is_last) {
    uint32_t index = expression(call, bits, is_last);
    if (index == kNone) return std::nullopt;
    return Argument{Operand::Kind::Variable, index};
}

std::optional<Argument> Enumeration::last_step(const char* primitive, std::span<const Argument> arguments) {
    Application call = call_of(primitive, arguments);
    int bits = call_bits(primitive);
    for (int a = 0; a < call.n; ++a)
        bits += argument_bits(uint16_t(call.function.index), a, call.arguments[a]);
    return step(call, bits, true);
}

std::optional<Argument> Enumeration::last_step(const char* primitive,
                                               std::initializer_list<Argument> arguments, int bits) {
    return step(call_of(primitive, std::span(arguments.begin(), arguments.size())), bits, true);
}

std::optional<Argument> Enumeration::step(const char* primitive, std::initializer_list<Argument> arguments,
                                          int bits) {
    if (bits > kMaxBits) return std::nullopt;
    // Some calls of the present cost have been tried already: a cheaper expression would be missing in them.
    Application call = call_of(primitive, std::span(arguments.begin(), arguments.size()));
    return step(call, std::max(bits, bits_), false);
}

// --- the order of trying ----------------------------------------------------------------------------

bool Enumeration::run(uint64_t max_tried) {
    if (demonstrations_.empty()) return false;
    max_tried_ = max_tried;
    for (; bits_ < kMaxBits; ++bits_, next_ = {}) {
        try_slices();
        for (; next_.call < library_->calls().size() && !stopped(); ++next_.call, next_.tried = 0) {
            const Library::Call& call = library_->calls()[next_.call];
            passed_ = 0;
            if (call.bits < bits_ && !has(signature(call.primitive).result, Atom::Callable))
                try_calls(call, bits_ - call.bits);
            if (stopped()) break;
        }
        if (stopped()) break;
    }
    return !full_ && bits_ < kMaxBits;
}

void Enumeration::try_slices() {
    for (; next_.slice < library_->slices().size() && !stopped(); ++next_.slice, next_.root = 0) {
        const Library::Slice& slice = library_->slices()[next_.slice];
        if (slice.bits > bits_) break;
        if (slice.bits == bits_) {
            instantiate(uint32_t(next_.slice), kInput);
            continue;
        }
        // Roots are visited by index, as new ones are added on the way.
        const auto& roots = by_type_[int(Atom::Grid)][size_t(bits_ - slice.bits)];
        for (; next_.root < roots.size() && !stopped(); ++next_.root) 
            instantiate(uint32_t(next_.slice), roots[next_.root]);
    }
}

void Enumeration::instantiate(uint32_t slice, uint32_t root) {
    const Library::Slice& definition = library_->slices()[slice];
    if (!definition.uses_input && root != kInput) return; // its values are the same on every root
    Application call = definition.result;
    bool possible = true;
    auto resolve = [&](Argument& a) {
        if (a.kind == Operand::Kind::Input && root != kInput) a = {Operand::Kind::Variable, root};
        else if (a.kind == Operand::Kind::Variable) {
            uint32_t argument_root = library_->slices()[a.index].uses_input ? root : kInput;
            auto known = known_->slices.find(Known::key(a.index, argument_root));
            if (known == known_->slices.end()) possible = false;
            else a.index = known->second;
        }
    };
    resolve(call.function);
    for (int a = 0; a < call.n && possible; ++a) resolve(call.arguments[a]);
    if (!possible) return;
    uint32_t instance = expression_once(call, bits_);
    if (instance != kNone) known_->slices.emplace(Known::key(slice, root), instance);
}

void Enumeration::try_calls(const Library::Call& call, int rest) {
    Application application{{Operand::Kind::Primitive, call.primitive}, uint8_t(call.parameters.size()), {}};
    try_arguments(call, application, 0, rest);
}

bool Enumeration::try_arguments(const Library::Call& call, Application& application, int position, int rest) {
    const Library::Parameter& parameter = call.parameters[size_t(position)];
    bool last = position + 1 == application.n;
    int least = 0; // the lowest cost of the later arguments
    for (size_t p = size_t(position) + 1; p < application.n; ++p) {
        const auto& later = call.parameters[p];
        int as_expression = later.expression + 1;
        least += later.choices.empty() ? as_expression : std::min<int>(later.choices[0].bits, as_expression);
    }
    auto next = [&](int bits) {
        if (!last) return try_arguments(call, application, position + 1, rest - bits);
        if (passed_++ < next_.tried) return true;
        ++next_.tried;
        expression(application, bits_);
        return !stopped();
    };
    for (const Library::Choice& choice : parameter.choices) {
        if (choice.bits > rest - least) break;
        if (last && choice.bits != rest) continue;
        application.arguments[position] = {choice.operand.kind, choice.operand.index};
        if (!next(choice.bits)) return false;
    }
    Atoms admitted = signature(call.primitive).parameters[position];
    for (int bits = last ? rest : parameter.expression + 1; bits <= rest - least; ++bits) {
        int expression_bits = bits - parameter.expression;
        if (expression_bits < 1) continue;
        for (int type = 0; type < kAtoms; ++type) {
            if (!has(admitted, Atom(type))) continue;
            const auto& candidates = by_type_[type][size_t(expression_bits)];
            for (size_t k = 0; k < candidates.size(); ++k) {
                application.arguments[position] = {Operand::Kind::Variable, candidates[k]};
                if (!next(bits)) return false;
            }
        }
    }
    return true;
}

} // namespace codeit
