#include "vary.hpp"

#include <algorithm>
#include <initializer_list>
#include <numeric>
#include <optional>

#include "primitives/table.hpp"

namespace codeit {

namespace {

// Sebastiano Vigna's splitmix64: small, quick to seed, and the same on every platform.
class Rng {
  public:
    explicit Rng(uint64_t seed) : state_(seed) {}
    uint64_t next() {
        uint64_t z = state_ += 0x9e3779b97f4a7c15;
        z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
        z = (z ^ (z >> 27)) * 0x94d049bb133111eb;
        return z ^ (z >> 31);
    }
    size_t below(size_t n) { return size_t((next() >> 32) * n >> 32); }
    double unit() { return double(next() >> 11) * 0x1p-53; }
    template <class T> const T& one_of(const std::vector<T>& items) { return items[below(items.size())]; }

  private:
    uint64_t state_;
};

using PrimitiveIds = std::vector<uint16_t>; // indices into primitives()

Operand variable(size_t line) { return {Operand::Kind::Variable, uint16_t(line)}; }
Operand primitive(uint16_t id) { return {Operand::Kind::Primitive, id}; }

// The primitives whose result may have the given type.
const PrimitiveIds& functions_to(Atom atom) {
    static const auto all = [] {
        std::array<PrimitiveIds, kAtoms> made;
        for (uint16_t id = 0; id < primitives().size(); ++id)
            for (int a = 0; a < kAtoms; ++a)
                if (has(signature(id).result, Atom(a))) made[size_t(a)].push_back(id);
        return made;
    }();
    return all[size_t(atom)];
}

// The primitives that take and may give a grid.
const PrimitiveIds& functions_of_grids() {
    static const auto all = [] {
        PrimitiveIds made;
        for (uint16_t id : functions_to(Atom::Grid)) {
            const Atoms* parameters = signature(id).parameters;
            if (std::any_of(parameters, parameters + kMaxArguments,
                            [](Atoms a) { return has(a, Atom::Grid); }))
                made.push_back(id);
        }
        return made;
    }();
    return all;
}

// The other primitives whose signature has the same text.
const PrimitiveIds& functions_like(uint16_t id) {
    static const auto all = [] {
        std::vector<PrimitiveIds> made(primitives().size());
        for (uint16_t a = 0; a < made.size(); ++a)
            for (uint16_t b = 0; b < made.size(); ++b)
                if (a != b && std::string_view(primitives()[a].signature) == primitives()[b].signature)
                    made[a].push_back(b);
        return made;
    }();
    return all[id];
}

// Applies one operator to a copy of the parent's lines. A line may refer to any line before it. The
// operators return false where they are not applicable; the lines are of no use then.
class ChildBuilder {
  public:
    ChildBuilder(const TypedProgram& parent, const TypedProgram& mate, Rng& rng)
        : lines_(parent.program->lines), types_(parent.types), mate_(mate), result_(lines_.size() - 1),
          rng_(rng) {}

    // The child, or nullptr.
    ProgramRef build(Operator op, size_t max_lines) {
        bool complete = types_.size() >= lines_.size(); // the parent ran to its end
        return complete && apply(op) ? assemble(lines_, result_, max_lines) : nullptr;
    }

  private:
    std::vector<Line> lines_;
    std::vector<Atom> types_; // of the parent's lines, and of the mate's if they were added
    const TypedProgram& mate_;
    size_t result_; // the line that becomes the last
    Rng& rng_;

    bool apply(Operator op) {
        switch (op) {
        case Operator::Argument: return replace_argument();
        case Operator::Function: return replace_function();
        case Operator::Call: return replace_call();
        case Operator::Append: return add_call_with({variable(result_)});
        case Operator::Drop: return drop();
        case Operator::Constant: return replace_constant();
        case Operator::Splice: return splice();
        case Operator::Chain: return chain();
        case Operator::Join: return join();
        }
        return false;
    }

    Atom type_of(Operand o) const {
        switch (o.kind) {
        case Operand::Kind::Input: return Atom::Grid;
        case Operand::Kind::Variable: return types_[o.index];
        case Operand::Kind::Constant: return atom(constants()[o.index].value);
        case Operand::Kind::Primitive: return Atom::Callable;
        }
        return Atom::None;
    }

    // Draws an operand for `line` of an admitted type, other than `excluded`: with equal
    // probability a variable (or the input) or a fixed name, and then uniformly. None if there is
    // no such operand.
    std::optional<Operand> draw_operand(Atoms admitted, size_t line, std::optional<Operand> excluded = {}) {
        static thread_local std::vector<Operand> variables, fixed;
        variables.clear();
        fixed.clear();
        auto consider = [&](std::vector<Operand>& candidates, Operand o) {
            if (o != excluded && has(admitted, type_of(o))) candidates.push_back(o);
        };
        consider(variables, {Operand::Kind::Input, 0});
        for (size_t k = 0; k < line; ++k) consider(variables, variable(k));
        // If other types fit as well, the many primitives would crowd out the constants.
        if (admitted == bit(Atom::Callable))
            for (uint16_t k = 0; k < primitives().size(); ++k) consider(fixed, primitive(k));
        for (uint16_t k = 0; k < constants().size(); ++k) consider(fixed, {Operand::Kind::Constant, k});
        if (variables.empty() && fixed.empty()) return std::nullopt;
        if (variables.empty()) return rng_.one_of(fixed);
        if (fixed.empty()) return rng_.one_of(variables);
        return rng_.one_of(rng_.below(2) ? fixed : variables);
    }

    // Draws arguments for a call of `function` that takes the place of `line`. False if a parameter
    // finds none.
    bool draw_call(uint16_t function, size_t line, Line& call) {
        call = {primitive(function), uint8_t(primitives()[function].arity), {}, ""};
        for (int k = 0; k < call.n; ++k) {
            auto operand = draw_operand(signature(function).parameters[k], line);
            if (!operand) return false;
            call.arguments[k] = *operand;
        }
        return true;
    }
    // Draws a call whose result may have the given type.
    bool draw_call_to(Atom type, size_t line, Line& call) {
        const PrimitiveIds& functions = functions_to(type);
        return !functions.empty() && draw_call(rng_.one_of(functions), line, call);
    }

    // Inserts n empty lines before line `at`, and updates the references to the lines after it.
    void insert_lines(size_t n, size_t at) {
        for (Line& line : lines_)
            each_operand(line, [&](Operand& o) {
                if (o.kind == Operand::Kind::Variable && o.index >= at) o.index = uint16_t(o.index + n);
            });
        lines_.insert(lines_.begin() + long(at), n, Line{});
        types_.insert(types_.begin() + long(at), n, Atom::None);
        if (result_ >= at) result_ += n;
    }
    // Replaces an operand in all lines from `begin` on.
    void replace(size_t begin, Operand old, Operand replacement) {
        for (size_t k = begin; k < lines_.size(); ++k)
            each_operand(lines_[k], [&](Operand& o) {
                if (o == old) o = replacement;
            });
    }

    bool replace_argument() {
        size_t line = rng_.below(lines_.size());
        int place = int(rng_.below(lines_[line].n));
        Operand old = lines_[line].arguments[place];
        Atom type = type_of(old);
        if (rng_.below(2)) {
            Line call;
            if (!draw_call_to(type, line, call)) return false;
            insert_lines(1, line);
            lines_[line] = call;
            lines_[line + 1].arguments[place] = variable(line);
        } else {
            auto operand = draw_operand(admitted(type), line, old);
            if (!operand) return false;
            lines_[line].arguments[place] = *operand;
        }
        return true;
    }

    // The types that may replace an observed type: for example, also TupleTuple for Tuple.
    static Atoms admitted(Atom atom) {
        for (const Type& type : types())
            if (std::string_view(type.name) == name(atom)) return type.admits;
        return bit(atom);
    }

    bool replace_function() {
        Line& line = lines_[rng_.below(lines_.size())];
        if (line.function.kind != Operand::Kind::Primitive) return false;
        const PrimitiveIds& others = functions_like(line.function.index);
        if (others.empty()) return false;
        line.function = primitive(rng_.one_of(others));
        return true;
    }

    bool replace_call() {
        size_t line = rng_.below(lines_.size());
        return draw_call_to(types_[line], line, lines_[line]);
    }

    // Adds a last line, a call that takes the given grids and may give one.
    bool add_call_with(std::initializer_list<Operand> grids) {
        uint16_t function = rng_.one_of(functions_of_grids());
        Line call;
        if (!draw_call(function, lines_.size(), call)) return false;
        std::vector<int> places;
        for (int k = 0; k < call.n; ++k)
            if (has(signature(function).parameters[k], Atom::Grid)) places.push_back(k);
        if (places.size() < grids.size()) return false;
        for (Operand grid : grids) {
            size_t at = rng_.below(places.size());
            call.arguments[places[at]] = grid;
            places.erase(places.begin() + long(at));
        }
        lines_.push_back(std::move(call));
        result_ = lines_.size() - 1;
        return true;
    }

    bool drop() {
        size_t line = rng_.below(lines_.size());
        auto replacement = draw_operand(bit(types_[line]), line);
        if (!replacement) return false;
        if (rng_.below(2)) {
            replacement = lines_[line].arguments[rng_.below(lines_[line].n)];
            if (type_of(*replacement) != types_[line]) return false;
        }
        if (line == result_) {
            if (replacement->kind != Operand::Kind::Variable) return false;
            result_ = replacement->index;
        }
        replace(line, variable(line), *replacement);
        return true;
    }

    bool replace_constant() {
        std::vector<Operand> used;
        for (Line& line : lines_)
            each_operand(line, [&](Operand& o) {
                bool is_new = std::find(used.begin(), used.end(), o) == used.end();
                if (o.kind == Operand::Kind::Constant && is_new) used.push_back(o);
            });
        if (used.empty()) return false;
        Operand old = rng_.one_of(used);
        auto replacement = draw_operand(bit(type_of(old)), 0, old);
        if (!replacement) return false;
        replace(0, old, *replacement);
        return true;
    }

    // Puts the mate's lines, up to the one that replaces a line, before all others.
    bool splice() {
        if (mate_.types.empty()) return false;
        size_t line = rng_.below(lines_.size());
        std::vector<size_t> candidates;
        for (size_t k = 0; k < mate_.types.size(); ++k)
            if (mate_.types[k] == types_[line]) candidates.push_back(k);
        if (candidates.empty()) return false;
        size_t n = rng_.one_of(candidates) + 1;
        insert_lines(n, 0);
        std::copy_n(mate_.program->lines.begin(), n, lines_.begin());
        std::copy_n(mate_.types.begin(), n, types_.begin());
        if (line + n == result_) result_ = n - 1;
        replace(n, variable(line + n), variable(n - 1));
        return true;
    }

    bool chain() {
        size_t n = lines_.size();
        if (!add_mate()) return false;
        for (size_t k = n; k < lines_.size(); ++k)
            each_operand(lines_[k], [&](Operand& o) {
                if (o.kind == Operand::Kind::Input) o = variable(result_);
            });
        result_ = lines_.size() - 1;
        return true;
    }

    bool join() {
        Operand first = variable(result_);
        return add_mate() && add_call_with({first, variable(lines_.size() - 1)});
    }

    // Appends the mate's lines. False if the mate did not run to its end.
    bool add_mate() {
        if (mate_.types.size() < mate_.program->lines.size()) return false;
        size_t n = lines_.size();
        lines_.insert(lines_.end(), mate_.program->lines.begin(), mate_.program->lines.end());
        types_.insert(types_.end(), mate_.types.begin(), mate_.types.end());
        for (size_t k = n; k < lines_.size(); ++k)
            each_operand(lines_[k], [&](Operand& o) {
                if (o.kind == Operand::Kind::Variable) o.index = uint16_t(o.index + n);
            });
        return true;
    }
};

} // namespace

std::vector<ProgramRef> vary(std::span<const TypedProgramRef> parents, std::span<const TypedProgramRef> mates,
                             const Weights& weights, size_t max_lines, uint64_t seed) {
    std::vector<ProgramRef> children(parents.size());
    Weights cumulative;
    std::partial_sum(weights.begin(), weights.end(), cumulative.begin());
    for (size_t k = 0; k < parents.size(); ++k) {
        Rng rng(Rng(seed + k).next());
        double drawn = rng.unit() * cumulative.back();
        auto op =
            Operator(std::upper_bound(cumulative.begin(), cumulative.end() - 1, drawn) - cumulative.begin());
        children[k] = ChildBuilder(*parents[k], *mates[k], rng).build(op, max_lines);
    }
    return children;
}

} // namespace codeit
