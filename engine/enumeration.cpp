#include "enumeration.hpp"

#include <algorithm>
#include <cmath>
#include <map>
#include <set>
#include <unordered_map>

#include "calls.hpp"
#include "hash.hpp"
#include "primitives/table.hpp"

namespace codeit {

namespace {

constexpr uint32_t kInput = UINT32_MAX - 1;   // as the root of a slice
constexpr uint64_t kMaxKept = 1500;           // weight of a value
constexpr uint64_t kStepsOfExpression = 4000; // of those that cost more, a part counts as one

Bits bits_of(double share) {
    return Bits(std::clamp(std::lround(-std::log2(share)), 1L, long(kMaxBits)));
}

// Makes `type` the type of values of which one more has the type `own`. An empty set is a set of any
// type, an empty tuple likewise. False if the types differ.
bool unify(Atom& type, Atom own) {
    if (type == own) return true;
    bool sets = type >= Atom::Indices && own >= Atom::Indices;
    auto is_tuple = [](Atom one) { return one == Atom::Tuple || one == Atom::TupleTuple; };
    bool tuples = is_tuple(type) && is_tuple(own);
    Atom any = sets ? Atom::FrozenSet : Atom::Tuple;
    if (!(sets || tuples) || (type != any && own != any)) return false;
    if (type == any) type = own;
    return true;
}

bool is_variable(const Operand& o) { return o.kind == Operand::Kind::Variable; }

// What a parameter with these types may be given besides an expression.
template <class Visit> void each_choice(Atoms admitted, Visit visit) {
    if (has(admitted, Atom::Grid)) visit(Operand{Operand::Kind::Input, 0});
    for (size_t c = 0; c < constants().size(); ++c)
        if (has(admitted, atom(constants()[c].value))) visit(Operand{Operand::Kind::Constant, uint16_t(c)});
    if (has(admitted, Atom::Callable))
        for (size_t p = 0; p < primitives().size(); ++p) visit(Operand{Operand::Kind::Primitive, uint16_t(p)});
}

} // namespace

// --- the library ------------------------------------------------------------------------------------

Library::Library(std::span<const ProgramRef> programs) {
    struct Counts {
        double calls = 0;
        std::map<uint32_t, double> operands[kMaxArguments];
    };
    constexpr double kUnseenCall = 0.3, kUnseenOperand = 0.1;
    auto key_of = [](const Operand& o) { return uint32_t(o.kind) << 16 | (is_variable(o) ? 0 : o.index); };
    std::vector<Counts> counts(primitives().size());
    double lines = 0;
    // Slices by the hash of their program, which ignores names.
    struct Counted {
        std::vector<Line> lines;
        double programs = 0;
    };
    std::map<uint64_t, Counted> slices;
    for (const ProgramRef& program : programs) {
        std::set<uint64_t> own;
        for (size_t k = 0; k < program->lines.size(); ++k) {
            const Line& line = program->lines[k];
            if (line.function.kind == Operand::Kind::Primitive) {
                Counts& of = counts[line.function.index];
                ++of.calls;
                ++lines;
                for (int a = 0; a < line.n; ++a) ++of.operands[a][key_of(line.arguments[a])];
            }
            ProgramRef slice = assemble(program->lines, k, kMaxLines);
            if (!slice || !own.insert(identity(*slice)).second) continue;
            Counted& counted = slices[identity(*slice)];
            counted.lines = slice->lines;
            ++counted.programs;
        }
    }
    double total = 0;
    for (const auto& [_, counted] : slices) total += counted.programs;
    for (auto& [_, counted] : slices)
        slices_.push_back({std::move(counted.lines), bits_of(counted.programs / total)});
    std::ranges::stable_sort(slices_, {}, [](const Slice& s) { return std::pair(s.bits, s.lines.size()); });

    double all = lines + kUnseenCall * double(primitives().size());
    for (size_t p = 0; p < primitives().size(); ++p) {
        Call call{uint16_t(p), bits_of((counts[p].calls + kUnseenCall) / all), {}};
        for (int a = 0; a < primitives()[p].arity; ++a) {
            auto& seen = counts[p].operands[a];
            auto weight = [&](const Operand& o) {
                auto found = seen.find(key_of(o));
                return kUnseenOperand + (found == seen.end() ? 0 : found->second);
            };
            Operand variable{Operand::Kind::Variable, 0};
            Atoms admitted = signature(int(p)).parameters[a];
            double sum = weight(variable) + 1;
            each_choice(admitted, [&](Operand o) { sum += weight(o); });
            Parameter parameter{{}, bits_of((weight(variable) + 1) / sum)};
            each_choice(admitted, [&](Operand o) {
                parameter.choices.push_back({o, bits_of(weight(o) / sum)});
            });
            std::ranges::stable_sort(parameter.choices, {}, &Choice::bits);
            call.parameters.push_back(std::move(parameter));
        }
        calls_.push_back(std::move(call));
    }
}

// --- expressions ------------------------------------------------------------------------------------

struct Enumeration::Known {
    std::unordered_map<Key, uint32_t, KeyHash> calls;
    std::unordered_map<uint64_t, uint32_t> values; // expressions by a hash of their values
};

size_t Enumeration::KeyHash::operator()(const Key& key) const {
    auto word = [](const Argument& a) { return uint64_t(a.kind) << 32 | a.index; };
    uint64_t hash = mix(key.n, word(key.function));
    for (int a = 0; a < key.n; ++a) hash = mix(hash, word(key.arguments[a]));
    return hash;
}

Enumeration::Enumeration(std::shared_ptr<const Library> library, std::vector<Example> examples, Budget budget)
    : library_(std::move(library)), examples_(std::move(examples)), budget_(budget),
      known_(std::make_unique<Known>()) {
    budget_.steps = std::min<uint64_t>(budget.steps, INT32_MAX);
    // Small grids first: a call that fails on one is not made on the others.
    std::ranges::stable_sort(examples_, {}, [](const Example& e) { return e.input->area(); });
    for (auto& of_type : by_type_) of_type.resize(kMaxBits + 1);
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

uint32_t Enumeration::known_expression(const Key& call, int bits) {
    auto [known, is_new] = known_->calls.try_emplace(call, kNone);
    if (is_new) known->second = expression(call, bits);
    return known->second;
}

uint32_t Enumeration::expression(const Key& call, int bits, bool is_last) {
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
            Atom own = atom(results_[k]);
            if (k == 0) type = own;
            failed = own == Atom::None || !unify(type, own) || weight(results_[k]) > kMaxKept;
            hash = mix(hash, hash_value(results_[k]));
        } catch (const Fault& fault) {
            failed = true;
            // A value that is too large by itself is no reason to stop.
            if (fault.kind == Kind::Cells && run.cells > budget_.cells / 10 * 9) full_ = true;
        }
        steps += budget_.steps - uint64_t(run.steps_left);
    }
    tried_ += steps / kStepsOfExpression;
    auto forget = [&] {
        for (size_t k = 0; k < done; ++k) runs_[k]->release(marks_[k]);
    };
    if (failed) {
        forget();
        return kNone;
    }
    auto made = uint32_t(expressions_.size());
    if (!is_last) {
        auto [same, first] = known_->values.try_emplace(hash, made);
        if (!first) {
            forget();
            return same->second;
        }
        by_type_[int(type)][size_t(bits)].push_back(made);
    }
    expressions_.push_back({call, type, bits});
    values_.insert(values_.end(), results_.begin(), results_.end());
    if (type == Atom::Grid) found(made, hash);
    return made;
}

void Enumeration::found(uint32_t expression, uint64_t hash) {
    for (size_t k = 0; k < examples_.size(); ++k) {
        Value result = values_[expression * examples_.size() + k];
        if (examples_[k].output ? !is_grid(result, *examples_[k].output) : !is_output(result)) return;
    }
    int bits = expressions_[expression].bits;
    auto known = solutions_.find(hash);
    if (known != solutions_.end() && known->second.bits <= bits) return;
    if (ProgramRef made = program(expression)) solutions_.insert_or_assign(hash, Solution{made, bits, tried_});
}

std::vector<Solution> Enumeration::solutions() const {
    std::vector<Solution> made;
    for (const auto& [_, solution] : solutions_) made.push_back(solution);
    std::ranges::sort(made, {}, [](const Solution& s) {
        return std::tuple(s.bits, s.program->lines.size(), s.tried, s.program->text());
    });
    return made;
}

ProgramRef Enumeration::program(uint32_t expression) const {
    std::set<uint32_t> needed{expression};
    for (auto at = needed.rbegin(); at != needed.rend(); ++at) {
        const Key& call = expressions_[*at].call;
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
        const Key& call = expressions_[k].call;
        Line line{operand(call.function), call.n, {}, ""};
        for (int a = 0; a < call.n; ++a) line.arguments[a] = operand(call.arguments[a]);
        place.emplace(k, uint16_t(lines.size()));
        lines.push_back(line);
    }
    return assemble(lines, lines.size() - 1, kMaxLines);
}

// --- the order of trying ----------------------------------------------------------------------------

bool Enumeration::run(uint64_t most) {
    if (demonstrations_.empty()) return false;
    most_ = most;
    // A cost that was left halfway is gone through again from its beginning, without what was tried.
    for (; bits_ < kMaxBits && !stopped(); ++bits_, tried_of_cost_ = 0) {
        passed_ = 0;
        for (const Library::Slice& slice : library_->slices()) {
            if (slice.bits > bits_ || stopped()) break;
            if (slice.bits == bits_) instantiate(slice, kInput, bits_);
            // Grids are visited by index, as new ones are added on the way.
            else {
                const auto& roots = by_type_[int(Atom::Grid)][size_t(bits_ - slice.bits)];
                for (size_t k = 0; k < roots.size() && !stopped(); ++k) instantiate(slice, roots[k], bits_);
            }
        }
        for (const Library::Call& call : library_->calls()) {
            if (stopped()) break;
            if (call.bits < bits_ && !has(signature(call.primitive).result, Atom::Callable))
                try_calls(call, bits_ - call.bits);
        }
        if (stopped()) break;
    }
    return !full_ && bits_ < kMaxBits;
}

void Enumeration::instantiate(const Library::Slice& slice, uint32_t root, int bits) {
    uint32_t made[kMaxLines];
    for (size_t k = 0; k < slice.lines.size(); ++k) {
        const Line& line = slice.lines[k];
        auto argument = [&](const Operand& o) -> Argument {
            if (o.kind == Operand::Kind::Input && root != kInput) return {Operand::Kind::Variable, root};
            if (is_variable(o)) return {o.kind, made[o.index]};
            return {o.kind, o.index};
        };
        Key call{argument(line.function), line.n, {}};
        for (int a = 0; a < line.n; ++a) call.arguments[a] = argument(line.arguments[a]);
        made[k] = known_expression(call, bits);
        if (made[k] == kNone) return;
    }
}

void Enumeration::try_calls(const Library::Call& call, int rest) {
    Key key{{Operand::Kind::Primitive, call.primitive}, uint8_t(call.parameters.size()), {}};
    try_arguments(call, key, 0, rest);
}

bool Enumeration::try_arguments(const Library::Call& call, Key& key, int position, int rest) {
    const Library::Parameter& parameter = call.parameters[size_t(position)];
    bool last = position + 1 == key.n;
    int least = 0; // bits that the later arguments need at least
    for (size_t p = size_t(position) + 1; p < key.n; ++p) {
        const auto& later = call.parameters[p];
        int of_expression = later.expression + 1;
        least += later.choices.empty() ? of_expression : std::min<int>(later.choices[0].bits, of_expression);
    }
    auto next = [&](int bits) {
        if (!last) return try_arguments(call, key, position + 1, rest - bits);
        if (passed_++ < tried_of_cost_) return true;
        ++tried_of_cost_;
        expression(key, bits_);
        return !stopped();
    };
    for (const Library::Choice& choice : parameter.choices) {
        if (choice.bits > rest - least) break;
        if (last && choice.bits != rest) continue;
        key.arguments[position] = {choice.operand.kind, choice.operand.index};
        if (!next(choice.bits)) return false;
    }
    Atoms admitted = signature(call.primitive).parameters[position];
    for (int bits = last ? rest : parameter.expression + 1; bits <= rest - least; ++bits) {
        int own = bits - parameter.expression;
        if (own < 1) continue;
        for (int type = 0; type < kAtoms; ++type) {
            if (!has(admitted, Atom(type))) continue;
            const auto& some = by_type_[type][size_t(own)];
            for (size_t k = 0; k < some.size(); ++k) {
                key.arguments[position] = {Operand::Kind::Variable, some[k]};
                if (!next(bits)) return false;
            }
        }
    }
    return true;
}

} // namespace codeit
