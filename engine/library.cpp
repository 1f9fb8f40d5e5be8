#include "library.hpp"

#include <algorithm>
#include <cmath>
#include <map>
#include <unordered_map>

#include "hash.hpp"
#include "primitives/table.hpp"

namespace codeit {

namespace {

constexpr double kUnseenCall = 0.3, kUnseenOperand = 0.1; // pseudo-counts added to every count

Bits bits_of(double share) {
    return Bits(std::clamp(std::lround(-std::log2(share)), 1L, long(kMaxBits)));
}

bool is_variable(const Operand& o) { return o.kind == Operand::Kind::Variable; }

// Visits what a parameter of these types may be given instead of an expression.
template <class Visit> void each_choice(Atoms admitted, Visit visit) {
    if (has(admitted, Atom::Grid)) visit(Operand{Operand::Kind::Input, 0});
    for (size_t c = 0; c < constants().size(); ++c)
        if (has(admitted, atom(constants()[c].value))) visit(Operand{Operand::Kind::Constant, uint16_t(c)});
    if (has(admitted, Atom::Callable))
        for (size_t p = 0; p < primitives().size(); ++p) visit(Operand{Operand::Kind::Primitive, uint16_t(p)});
}

} // namespace

uint64_t Application::hash() const {
    auto word = [](const Argument& a) { return uint64_t(a.kind) << 32 | a.index; };
    uint64_t result = mix(n, word(function));
    for (int a = 0; a < n; ++a) result = mix(result, word(arguments[a]));
    return result;
}

Library::Library(std::span<const ProgramRef> programs) {
    add_slices(programs);
    add_calls(programs);
}

void Library::add_slices(std::span<const ProgramRef> programs) {
    struct Counted { // a slice
        Application result; // its Variables are indices into `slices`
        bool uses_input;
        int depth;
        double programs = 0;
    };
    std::vector<Counted> slices;
    std::unordered_map<Application, uint32_t, ApplicationHash> known;
    constexpr uint32_t kNone = UINT32_MAX;
    for (const ProgramRef& program : programs) {
        std::vector<uint32_t> slice_at; // the slice that ends in each line; kNone for calls that always fail
        for (const Line& line : program->lines) {
            Counted slice{{{}, line.n, {}}, false, 0};
            bool possible = line.function.kind == Operand::Kind::Variable ||
                            (line.function.kind == Operand::Kind::Primitive &&
                             line.n == primitives()[line.function.index].arity);
            auto argument = [&](const Operand& o) -> Argument {
                slice.uses_input = slice.uses_input || o.kind == Operand::Kind::Input;
                if (!is_variable(o)) return {o.kind, o.index};
                uint32_t used = slice_at[o.index];
                if (used == kNone) possible = false;
                else {
                    slice.uses_input = slice.uses_input || slices[used].uses_input;
                    slice.depth = std::max(slice.depth, slices[used].depth + 1);
                }
                return {o.kind, used};
            };
            slice.result.function = argument(line.function);
            for (int a = 0; a < line.n; ++a) slice.result.arguments[a] = argument(line.arguments[a]);
            if (!possible) {
                slice_at.push_back(kNone);
                continue;
            }
            auto [found, is_new] = known.try_emplace(slice.result, uint32_t(slices.size()));
            if (is_new) slices.push_back(slice);
            if (std::ranges::find(slice_at, found->second) == slice_at.end()) ++slices[found->second].programs;
            slice_at.push_back(found->second);
        }
    }
    // A slice occurs in at most as many programs as the slices that it uses. It comes after them.
    double total = 0;
    for (const Counted& slice : slices) total += slice.programs;
    std::vector<uint32_t> order(slices.size()), place(slices.size());
    for (uint32_t s = 0; s < order.size(); ++s) order[s] = s;
    auto bits = [&](uint32_t s) { return bits_of(slices[s].programs / total); };
    std::ranges::stable_sort(order, {}, [&](uint32_t s) { return std::pair(bits(s), slices[s].depth); });
    for (uint32_t s : order) {
        place[s] = uint32_t(slices_.size());
        Application result = slices[s].result;
        auto move = [&](Argument& a) {
            if (a.kind == Operand::Kind::Variable) a.index = place[a.index];
        };
        move(result.function);
        for (int a = 0; a < result.n; ++a) move(result.arguments[a]);
        slices_.push_back({result, bits(s), slices[s].uses_input});
    }
}

void Library::add_calls(std::span<const ProgramRef> programs) {
    struct Counts {
        double calls = 0;
        std::map<uint32_t, double> operands[kMaxArguments];
    };
    auto key_of = [](const Operand& o) { return uint32_t(o.kind) << 16 | (is_variable(o) ? 0 : o.index); };
    std::vector<Counts> counts(primitives().size());
    double lines = 0;
    for (const ProgramRef& program : programs)
        for (const Line& line : program->lines) {
            if (line.function.kind != Operand::Kind::Primitive) continue;
            Counts& primitive = counts[line.function.index];
            ++primitive.calls;
            ++lines;
            for (int a = 0; a < line.n; ++a) ++primitive.operands[a][key_of(line.arguments[a])];
        }
    double total = lines + kUnseenCall * double(primitives().size());
    for (size_t p = 0; p < primitives().size(); ++p) {
        Call call{uint16_t(p), bits_of((counts[p].calls + kUnseenCall) / total), {}};
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

} // namespace codeit
