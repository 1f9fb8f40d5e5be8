#include "breed.hpp"

#include <algorithm>
#include <numeric>
#include <optional>

#include "primitives/table.hpp"

namespace codeit {

namespace {

// Sebastiano Vigna's splitmix64: small, quick to seed, the same everywhere.
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

using Names = std::vector<uint16_t>; // of primitives

Operand variable(size_t line) { return {Operand::Kind::Variable, uint16_t(line)}; }
Operand primitive(uint16_t id) { return {Operand::Kind::Primitive, id}; }

// The primitives whose result may be of a type.
const Names& functions_to(Atom atom) {
    static const auto all = [] {
        std::array<Names, kAtoms> made;
        for (uint16_t id = 0; id < primitives().size(); ++id)
            for (int a = 0; a < kAtoms; ++a)
                if (has(signature(id).result, Atom(a))) made[size_t(a)].push_back(id);
        return made;
    }();
    return all[size_t(atom)];
}

// The primitives that take and give grids.
const Names& functions_of_grids() {
    static const auto all = [] {
        Names made;
        for (uint16_t id : functions_to(Atom::Grid)) {
            const Atoms* takes = signature(id).parameters;
            if (std::any_of(takes, takes + kMaxArguments, [](Atoms a) { return has(a, Atom::Grid); }))
                made.push_back(id);
        }
        return made;
    }();
    return all;
}

// The other primitives with the signature of this one, as written.
const Names& functions_like(uint16_t id) {
    static const auto all = [] {
        std::vector<Names> made(primitives().size());
        for (uint16_t a = 0; a < made.size(); ++a)
            for (uint16_t b = 0; b < made.size(); ++b)
                if (a != b && std::string_view(primitives()[a].signature) == primitives()[b].signature)
                    made[a].push_back(b);
        return made;
    }();
    return all[id];
}

struct Dead {}; // an operator finds nothing to do

// A child under way. Its lines may refer to any before them.
class Child {
  public:
    Child(const Parent& parent, const Parent& mate, Rng& rng)
        : lines_(parent.program->lines), types_(parent.types), mate_(mate), result_(lines_.size() - 1), rng_(rng) {}

    ProgramRef made(Operator op, size_t longest) {
        if (types_.size() < lines_.size()) throw Dead{}; // it did not run to its end
        switch (op) {
        case Operator::Argument: swap_argument(); break;
        case Operator::Function: swap_function(); break;
        case Operator::Call: new_call(); break;
        case Operator::Append: append(); break;
        case Operator::Drop: drop(); break;
        case Operator::Constant: swap_constant(); break;
        case Operator::Splice: splice(); break;
        case Operator::Chain: chain(); break;
        case Operator::Join: join(); break;
        }
        return assemble(lines_, result_, longest);
    }

  private:
    std::vector<Line> lines_;
    std::vector<Atom> types_;
    const Parent& mate_;
    size_t result_;
    Rng& rng_;

    Atom type_of(Operand o) const {
        switch (o.kind) {
        case Operand::Kind::Input: return Atom::Grid;
        case Operand::Kind::Variable: return types_[o.index];
        case Operand::Kind::Constant: return atom(constants()[o.index].value);
        case Operand::Kind::Primitive: return Atom::Callable;
        }
        return Atom::None;
    }

    // A term that a line may refer to: evenly, from the variables before it and from the fixed names, one that is
    // admitted and another than a given one.
    Operand term(Atoms admitted, size_t line, std::optional<Operand> other_than = {}) {
        static thread_local std::vector<Operand> variables, fixed;
        variables.clear();
        fixed.clear();
        auto consider = [&](std::vector<Operand>& among, Operand o) {
            if (o != other_than && has(admitted, type_of(o))) among.push_back(o);
        };
        consider(variables, {Operand::Kind::Input, 0});
        for (size_t k = 0; k < line; ++k) consider(variables, variable(k));
        if (admitted == bit(Atom::Callable)) // among values of any type there would be little else
            for (uint16_t k = 0; k < primitives().size(); ++k) consider(fixed, primitive(k));
        for (uint16_t k = 0; k < constants().size(); ++k) consider(fixed, {Operand::Kind::Constant, k});
        if (variables.empty() && fixed.empty()) throw Dead{};
        if (variables.empty()) return rng_.one_of(fixed);
        if (fixed.empty()) return rng_.one_of(variables);
        return rng_.one_of(rng_.below(2) ? fixed : variables);
    }

    // A random call that stands in for a line.
    Line call(uint16_t function, size_t line) {
        Line made{primitive(function), uint8_t(primitives()[function].arity), {}, ""};
        for (int k = 0; k < made.n; ++k) made.arguments[k] = term(signature(function).parameters[k], line);
        return made;
    }
    Line call_to(Atom atom, size_t line) {
        const Names& functions = functions_to(atom);
        if (functions.empty()) throw Dead{};
        return call(rng_.one_of(functions), line);
    }

    // Room for n lines in front of a line: those behind are referred to by their new places.
    void make_room(size_t n, size_t at) {
        for (Line& line : lines_)
            each_operand(line, [&](Operand& o) {
                if (o.kind == Operand::Kind::Variable && o.index >= at) o.index = uint16_t(o.index + n);
            });
        lines_.insert(lines_.begin() + long(at), n, Line{});
        types_.insert(types_.begin() + long(at), n, Atom::None);
        if (result_ >= at) result_ += n;
    }
    // From a line on, another term for a variable.
    void replace(size_t from, Operand old, Operand by) {
        for (size_t k = from; k < lines_.size(); ++k)
            each_operand(lines_[k], [&](Operand& o) {
                if (o == old) o = by;
            });
    }

    void swap_argument() {
        size_t line = rng_.below(lines_.size());
        int place = int(rng_.below(lines_[line].n));
        Operand old = lines_[line].arguments[place];
        Atom type = type_of(old);
        if (rng_.below(2)) {
            Line made = call_to(type, line);
            make_room(1, line);
            lines_[line] = made;
            lines_[line + 1].arguments[place] = variable(line);
        } else {
            lines_[line].arguments[place] = term(admitted(type), line, old);
        }
    }

    // What may stand for a value of an observed type: a tuple of tuples for a tuple, and so on.
    static Atoms admitted(Atom atom) {
        for (const Type& type : types())
            if (std::string_view(type.name) == name(atom)) return type.admits;
        return bit(atom);
    }

    void swap_function() {
        Line& line = lines_[rng_.below(lines_.size())];
        if (line.function.kind != Operand::Kind::Primitive) throw Dead{};
        const Names& others = functions_like(line.function.index);
        if (others.empty()) throw Dead{};
        line.function = primitive(rng_.one_of(others));
    }

    void new_call() {
        size_t line = rng_.below(lines_.size());
        lines_[line] = call_to(types_[line], line);
    }

    void append() { call_with({variable(result_)}); }

    // A new last line, a call that takes the given grids and gives one.
    void call_with(std::vector<Operand> grids) {
        uint16_t function = rng_.one_of(functions_of_grids());
        Line made = call(function, lines_.size());
        std::vector<int> places;
        for (int k = 0; k < made.n; ++k)
            if (has(signature(function).parameters[k], Atom::Grid)) places.push_back(k);
        if (places.size() < grids.size()) throw Dead{};
        for (Operand grid : grids) {
            size_t at = rng_.below(places.size());
            made.arguments[places[at]] = grid;
            places.erase(places.begin() + long(at));
        }
        lines_.push_back(made);
        result_ = lines_.size() - 1;
    }

    void drop() {
        size_t line = rng_.below(lines_.size());
        Operand by = term(bit(types_[line]), line);
        if (rng_.below(2)) {
            by = lines_[line].arguments[rng_.below(lines_[line].n)];
            if (type_of(by) != types_[line]) throw Dead{};
        }
        if (line == result_) {
            if (by.kind != Operand::Kind::Variable) throw Dead{};
            result_ = by.index;
        }
        replace(line, variable(line), by);
    }

    void swap_constant() {
        std::vector<Operand> used;
        for (Line& line : lines_)
            each_operand(line, [&](Operand& o) {
                bool is_new = std::find(used.begin(), used.end(), o) == used.end();
                if (o.kind == Operand::Kind::Constant && is_new) used.push_back(o);
            });
        if (used.empty()) throw Dead{};
        Operand old = rng_.one_of(used);
        replace(0, old, term(bit(type_of(old)), 0, old));
    }

    // The mate's line and those that it needs come first.
    void splice() {
        if (mate_.types.empty()) throw Dead{};
        size_t line = rng_.below(lines_.size());
        std::vector<size_t> candidates;
        for (size_t k = 0; k < mate_.types.size(); ++k)
            if (mate_.types[k] == types_[line]) candidates.push_back(k);
        if (candidates.empty()) throw Dead{};
        size_t n = rng_.one_of(candidates) + 1;
        make_room(n, 0);
        std::copy_n(mate_.program->lines.begin(), n, lines_.begin());
        std::copy_n(mate_.types.begin(), n, types_.begin());
        if (line + n == result_) result_ = n - 1;
        replace(n, variable(line + n), variable(n - 1));
    }

    void chain() {
        size_t n = lines_.size();
        add_mate();
        for (size_t k = n; k < lines_.size(); ++k)
            each_operand(lines_[k], [&](Operand& o) {
                if (o.kind == Operand::Kind::Input) o = variable(result_);
            });
        result_ = lines_.size() - 1;
    }

    void join() {
        Operand first = variable(result_);
        add_mate();
        call_with({first, variable(lines_.size() - 1)});
    }

    // The mate's lines come last.
    void add_mate() {
        if (mate_.types.size() < mate_.program->lines.size()) throw Dead{};
        size_t n = lines_.size();
        lines_.insert(lines_.end(), mate_.program->lines.begin(), mate_.program->lines.end());
        types_.insert(types_.end(), mate_.types.begin(), mate_.types.end());
        for (size_t k = n; k < lines_.size(); ++k)
            each_operand(lines_[k], [&](Operand& o) {
                if (o.kind == Operand::Kind::Variable) o.index = uint16_t(o.index + n);
            });
    }
};

} // namespace

std::vector<ProgramRef> breed(std::span<const ParentRef> parents, std::span<const ParentRef> mates,
                              const Weights& weights, size_t longest, uint64_t seed) {
    std::vector<ProgramRef> children(parents.size());
    Weights up_to;
    std::partial_sum(weights.begin(), weights.end(), up_to.begin());
    for (size_t k = 0; k < parents.size(); ++k) {
        Rng rng(Rng(seed + k).next());
        double drawn = rng.unit() * up_to.back();
        auto op = Operator(std::upper_bound(up_to.begin(), up_to.end() - 1, drawn) - up_to.begin());
        try {
            children[k] = Child(*parents[k], *mates[k], rng).made(op, longest);
        } catch (Dead) {
        }
    }
    return children;
}

} // namespace codeit
