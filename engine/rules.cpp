#include "rules.hpp"

#include <algorithm>

#include "calls.hpp"
#include "hash.hpp"
#include "primitives/table.hpp"

namespace codeit {

namespace {

constexpr uint64_t kMaxTried = 3000;       // rules
constexpr uint64_t kMaxSteps = 4'000'000;  // of all rules
constexpr uint64_t kMaxCallSteps = 20'000; // of a rule on one element
constexpr uint64_t kMaxValueWeight = 1500; // heavier values are discarded
// The number of expressions of each type, the cheapest, that rules may use.
constexpr std::pair<Atom, size_t> kGlobals[] = {{Atom::Integer, 16}, {Atom::IntegerTuple, 8},
                                                {Atom::Grid, 6},     {Atom::Object, 16},
                                                {Atom::Indices, 16}, {Atom::Objects, 4}};

bool takes_functions(const Signature& signature, size_t arguments) {
    for (size_t p = 0; p < arguments; ++p)
        if (signature.parameters[p] == bit(Atom::Callable)) return true;
    return false;
}

// Whether `lbind`, `rbind` and `fork` can make a function of the element from a call with n arguments,
// of which those with a bit in `of_element` depend on the element.
bool can_be_function(uint8_t n, uint8_t of_element) {
    bool outer_only = n == 3 && of_element == 0b101;
    return of_element && !outer_only && of_element != 0b111;
}

} // namespace

Rules::Rules(Enumeration& enumeration, Argument container)
    : enumeration_(enumeration), container_(container), valid_(false) {
    Atom type = Atom::None;
    for (size_t k = 0; k < enumeration.examples(); ++k) {
        Value v = enumeration.value(container, k);
        if (v.tag != Tag::Set && v.tag != Tag::Tuple && v.tag != Tag::Indices) return;
        Items items(enumeration.memory(k), v);
        if (items.size() == 0 || elements_.size() + items.size() > kMaxElements) return;
        for (size_t e = 0; e < items.size(); ++e) {
            if (elements_.empty()) type = atom(items[e]);
            if (atom(items[e]) != type) return;
            elements_.push_back({items[e], k});
        }
    }
    valid_ = type == Atom::Object || type == Atom::Indices || type == Atom::Grid || type == Atom::IntegerTuple;
    // If every input has a single element, the element is an expression itself.
    valid_ = valid_ && elements_.size() > enumeration.examples();
    rules_.push_back({0, 0, 0, {}, type, 1});
}

void Rules::enumerate() {
    for (size_t k = 0; k < enumeration_.examples(); ++k) marks_.push_back(enumeration_.memory(k).mark());
    for (auto& lists : by_type_) lists.resize(kMaxRuleBits + 1);
    for (auto& lists : globals_) lists.resize(kMaxRuleBits + 1);
    results_.resize(elements_.size());
    result_hashes_.resize(elements_.size());
    for (const Element& element : elements_) {
        values_.push_back(element.value);
        hashes_.push_back(hash_value(element.value));
    }
    by_type_[int(rules_[0].type)][1].push_back(0);
    choose_globals();
    for (int bits = 2; bits <= kMaxRuleBits; ++bits)
        for (const Library::Call& call : enumeration_.library().calls()) {
            const Signature& types = signature(call.primitive);
            auto n = uint8_t(call.parameters.size());
            if (call.bits >= bits || n > 3 || has(types.result, Atom::Callable) || takes_functions(types, n))
                continue;
            Rule rule{call.primitive, n, 0, {}, Atom::None, bits};
            if (!try_arguments(call, rule, 0, bits - call.bits)) return;
        }
}

void Rules::choose_globals() {
    for (auto [type, max_globals] : kGlobals) {
        std::vector<Argument> cheapest = enumeration_.expressions_of_type(type);
        if (cheapest.size() > max_globals) cheapest.resize(max_globals);
        for (const Argument& a : cheapest)
            if (int bits = enumeration_.bits_of(a); bits <= kMaxRuleBits)
                globals_[int(type)][size_t(bits)].push_back(a);
    }
}

bool Rules::try_arguments(const Library::Call& call, Rule& rule, int position, int rest) {
    if (position == rule.n) return !can_be_function(rule.n, rule.of_element) || try_rule(rule);
    const Library::Parameter& parameter = call.parameters[size_t(position)];
    bool last = position + 1 == rule.n;
    auto next = [&](Argument a, bool of_element, int bits) {
        rule.arguments[position] = a;
        rule.of_element = uint8_t((rule.of_element & ((1 << position) - 1)) | int(of_element) << position);
        return try_arguments(call, rule, position + 1, rest - bits);
    };
    for (const Library::Choice& choice : parameter.choices) {
        if (choice.bits > rest) break;
        if (last && choice.bits != rest) continue;
        if (!next({choice.operand.kind, choice.operand.index}, false, choice.bits)) return false;
    }
    Atoms admitted = signature(call.primitive).parameters[position];
    for (int bits = last ? rest : parameter.expression + 1; bits <= rest; ++bits) {
        int argument_bits = bits - parameter.expression;
        if (argument_bits < 1 || argument_bits > kMaxRuleBits) continue;
        for (int type = 0; type < kAtoms; ++type) {
            if (!has(admitted, Atom(type))) continue;
            const auto& rules = by_type_[type][size_t(argument_bits)];
            for (size_t k = 0; k < rules.size(); ++k)
                if (!next({Operand::Kind::Variable, rules[k]}, true, bits)) return false;
            for (const Argument& a : globals_[type][size_t(argument_bits)])
                if (!next(a, false, bits)) return false;
        }
    }
    return true;
}

// Returns whether another rule may be tried.
bool Rules::try_rule(const Rule& rule) {
    if (tried_ == kMaxTried || steps_ > kMaxSteps || full_) return false;
    ++tried_;
    Atom type = Atom::None;
    uint64_t hash = 0;
    std::vector<Run::Mark> marks;
    for (size_t k = 0; k < enumeration_.examples(); ++k) marks.push_back(enumeration_.memory(k).mark());
    auto succeeds = [&](size_t e) {
        Run& run = enumeration_.memory(elements_[e].example);
        Value arguments[kMaxArguments];
        for (int a = 0; a < rule.n; ++a)
            arguments[a] = rule.of_element >> a & 1
                               ? value(rule.arguments[a].index, e)
                               : enumeration_.value(rule.arguments[a], elements_[e].example);
        run.steps_left = int64_t(kMaxCallSteps);
        run.depth = 0;
        bool failed = false;
        try {
            results_[e] = call(run, primitive_function(rule.primitive), arguments, rule.n);
        } catch (const Fault& fault) {
            failed = true;
            full_ = full_ || fault.kind == Kind::Cells;
        }
        steps_ += kMaxCallSteps - uint64_t(run.steps_left);
        if (failed || weight(results_[e]) > kMaxValueWeight) return false;
        Atom result_type = atom(results_[e]);
        if (e == 0) type = result_type;
        hash = mix(hash, result_hashes_[e] = hash_value(results_[e]));
        return result_type != Atom::None && unify(type, result_type);
    };
    for (size_t e = 0; e < elements_.size(); ++e)
        if (!succeeds(e)) {
            type = Atom::None;
            break;
        }
    auto index = uint32_t(rules_.size());
    if (type == Atom::None || !known_.try_emplace(hash, index).second) {
        for (size_t k = 0; k < marks.size(); ++k) enumeration_.memory(k).release(marks[k]);
        return true;
    }
    rules_.push_back(rule);
    rules_.back().type = type;
    values_.insert(values_.end(), results_.begin(), results_.end());
    hashes_.insert(hashes_.end(), result_hashes_.begin(), result_hashes_.end());
    by_type_[int(type)][size_t(rule.bits)].push_back(index);
    return true;
}

void Rules::release() {
    for (size_t k = 0; k < marks_.size(); ++k) enumeration_.memory(k).release(marks_[k]);
    enumeration_.count_steps(steps_);
    values_.clear();
    marks_.clear();
}

std::optional<Argument> Rules::function(uint32_t rule) {
    if (rule == 0) return Argument{Operand::Kind::Primitive, uint32_t(find_primitive("identity"))};
    auto [known, is_new] = functions_.try_emplace(rule);
    if (!is_new) return known->second;
    const Rule& definition = rules_[rule];
    auto make = [&](const char* primitive, std::initializer_list<Argument> arguments) {
        return enumeration_.last_step(primitive, arguments, definition.bits);
    };
    // Bind the other arguments: first those after the element's, from the last one on.
    std::optional<Argument> bound = Argument{Operand::Kind::Primitive, definition.primitive};
    auto of_element = [&](int a) { return bool(definition.of_element >> a & 1); };
    int last = definition.n - 1;
    for (; bound && !of_element(last); --last) bound = make("rbind", {*bound, definition.arguments[last]});
    int first = 0;
    for (; bound && !of_element(first); ++first) bound = make("lbind", {*bound, definition.arguments[first]});
    std::optional<Argument> result;
    uint32_t a = definition.arguments[first].index, b = definition.arguments[last].index;
    if (bound && first == last) {
        auto f = function(a);
        result = a == 0 ? bound : f ? make("compose", {*bound, *f}) : std::nullopt;
    } else if (bound) {
        auto f = function(a), g = function(b);
        if (f && g) result = make("fork", {*bound, *f, *g});
    }
    return functions_[rule] = result;
}

} // namespace codeit
