#include "applied.hpp"

#include <algorithm>
#include <string_view>
#include <utility>

#include "primitives/table.hpp"

namespace codeit {

// What is done in place; any other primitive's code is called.
Applied::Do Applied::known_as(int primitive) {
    static const std::vector<Do> known = [] {
        constexpr std::pair<std::string_view, Do> names[] = {
            {"identity", Do::Identity}, {"first", Do::First},      {"last", Do::Last},       {"size", Do::Size},
            {"color", Do::Color},       {"flip", Do::Flip},        {"equality", Do::Equal},  {"greater", Do::Greater},
            {"both", Do::Both},         {"either", Do::Either},    {"branch", Do::Branch},
        };
        std::vector<Do> made(primitives().size(), Do::Code);
        for (auto [name, what] : names) made[size_t(find_primitive(name))] = what;
        return made;
    }();
    return known[size_t(primitive)];
}

// Where nothing is written, the function is none, or not quick, or does not fit: it is called in the plain way.

void Applied::compile(const FunctionNode* f) {
    if (f->kind == Closure::Primitive || !f->quick) return;
    if (!write(f, {&values_[0]})) n_ = 0;
}

Value* Applied::new_register(Value v) {
    if (registers_ == kRegisters) return nullptr;
    put(values_[registers_], v);
    return &values_[registers_++];
}

// Writes down the call of a function in the order in which it is made; gives where its result will be, or nullptr.
const Value* Applied::write(const FunctionNode* f, std::initializer_list<const Value*> arguments) {
    for (const Value* a : arguments)
        if (!a) return nullptr;
    if (arguments.size() != f->arity || left_-- <= 0) return nullptr;
    charge_ += kCallSteps;
    auto part = [&](int k, std::initializer_list<const Value*> given) {
        Value g = f->captured[k];
        return g.tag == Tag::Function ? write(g.function, given) : nullptr;
    };
    auto captured = [&] { return new_register(f->captured[1]); };
    const Value *x = arguments.begin()[0], *y = arguments.size() == 2 ? arguments.begin()[1] : nullptr;
    switch (f->kind) {
    case Closure::Primitive: return write_step(known_as(f->primitive), f, arguments);
    case Closure::Compose: return part(0, {part(1, {x})});
    case Closure::Chain: return part(0, {part(1, {part(2, {x})})});
    case Closure::Matcher: {
        const Value* found = part(0, {x});
        return found ? write_step(Do::Equal, nullptr, {found, captured()}) : nullptr;
    }
    case Closure::Fork: {
        const Value* a = part(1, {x});
        return a ? part(0, {a, part(2, {x})}) : nullptr;
    }
    case Closure::Rbind: return y ? part(0, {x, y, captured()}) : part(0, {x, captured()});
    case Closure::Lbind: return y ? part(0, {captured(), x, y}) : part(0, {captured(), x});
    }
    return nullptr;
}

const Value* Applied::write_step(Do what, const FunctionNode* primitive, std::initializer_list<const Value*> arguments) {
    if (std::ranges::count(arguments, nullptr)) return nullptr;
    Step* last = n_ ? &steps_[n_ - 1] : nullptr;
    bool of_last = last && last->result == arguments.begin()[0];
    if (what == Do::Equal && !primitive && of_last && last->what == Do::First) { // a matcher of `first`
        last->what = Do::FirstIs;
        last->arguments[1] = arguments.begin()[1];
        return last->result;
    }
    if (what == Do::Flip && of_last && !last->charge_flip && (last->what == Do::Equal || last->what == Do::FirstIs)) {
        last->charge_flip = std::exchange(charge_, 0);
        return last->result;
    }
    Value* result = new_register(Value::none());
    if (n_ == kSteps || !result) return nullptr;
    Step& step = steps_[n_++];
    step.what = what;
    step.n = uint8_t(arguments.size());
    step.charge = std::exchange(charge_, 0);
    step.charge_flip = 0;
    step.primitive = primitive ? primitive->primitive : last->primitive; // a matcher's comparison is none of its own
    step.result = result;
    std::ranges::copy(arguments, step.arguments);
    step.code = primitive ? primitive->code : nullptr;
    return result;
}

Value Applied::run_steps(Value x) {
    int before = run_.primitive;
    put(values_[0], x);
    Value out;
    for (const Step *step = steps_, *end = steps_ + n_; step < end; ++step) {
        run_.charge(step->charge);
        run_.primitive = step->primitive;
        const Value& a = *step->arguments[0];
        auto b = [&]() -> const Value& { return *step->arguments[1]; };
        auto truth = [&](bool holds) {
            if (!step->charge_flip) return Value::boolean(holds);
            run_.charge(step->charge_flip);
            return Value::boolean(!holds);
        };
        auto call_code = [&] {
            Value arguments[3];
            for (int k = 0; k < step->n; ++k) put(arguments[k], *step->arguments[k]);
            return step->code(run_, arguments);
        };
        switch (step->what) {
        case Do::Identity: out = a; break;
        case Do::First:
            if (a.tag == Tag::Cell) out = Value::integer(key_value(a.key));
            else if (a.tag == Tag::Pair) out = Value::integer(a.i());
            else out = call_code();
            break;
        case Do::Last:
            if (a.tag == Tag::Cell) out = Value::pair(uint32_t(a.key));
            else if (a.tag == Tag::Pair) out = Value::integer(a.j());
            else out = call_code();
            break;
        case Do::Size: out = Value::integer(int64_t(length(a))); break;
        case Do::Color:
            if (a.tag == Tag::Object) out = Value::integer(key_value(a.object->keys[0]));
            else out = call_code();
            break;
        case Do::Flip: out = Value::boolean(!truthy(a)); break;
        case Do::Equal: out = truth(equal(run_, a, b())); break;
        case Do::FirstIs:
            out = a.tag == Tag::Cell ? Value::integer(key_value(a.key)) : call_code();
            out = truth(equal(run_, out, b()));
            break;
        case Do::Greater:
            if (a.is_number() && b().is_number()) out = Value::boolean(a.num > b().num);
            else out = call_code();
            break;
        case Do::Both: out = truthy(a) ? b() : a; break;
        case Do::Either: out = truthy(a) ? a : b(); break;
        case Do::Branch: out = truthy(a) ? b() : *step->arguments[2]; break;
        case Do::Code: out = call_code(); break;
        }
        put(*step->result, out);
    }
    run_.primitive = before;
    return out;
}

} // namespace codeit
