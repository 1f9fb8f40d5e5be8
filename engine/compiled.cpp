#include "compiled.hpp"

#include <algorithm>
#include <string_view>
#include <utility>

#include "primitives/table.hpp"

namespace codeit {

// Some primitives are executed inline. For the others a step calls the code of the primitive.
CompiledFunction::Op CompiledFunction::op_of(int primitive) {
    static const std::vector<Op> known = [] {
        constexpr std::pair<std::string_view, Op> names[] = {
            {"identity", Op::Identity}, {"first", Op::First},     {"last", Op::Last},
            {"size", Op::Size},         {"color", Op::Color},     {"flip", Op::Flip},
            {"equality", Op::Equal},    {"greater", Op::Greater}, {"both", Op::Both},
            {"either", Op::Either},     {"branch", Op::Branch},
        };
        std::vector<Op> made(primitives().size(), Op::Code);
        for (auto [name, op] : names) made[size_t(find_primitive(name))] = op;
        return made;
    }();
    return known[size_t(primitive)];
}

// Leaves n_ at 0, so that the function is called without being compiled, if it is not constant-time
// or too large.
void CompiledFunction::compile(const FunctionNode* f) {
    if (f->kind == Closure::Primitive || !f->constant_time) return;
    if (!emit(f, {&values_[0]})) n_ = 0;
}

Value* CompiledFunction::new_register(Value v) {
    if (registers_ == kRegisters) return nullptr;
    put(values_[registers_], v);
    return &values_[registers_++];
}

// Emits the steps of a call, in the order of execution. Returns the register of the result, or
// nullptr if the function cannot be compiled.
const Value* CompiledFunction::emit(const FunctionNode* f, std::initializer_list<const Value*> arguments) {
    for (const Value* a : arguments)
        if (!a) return nullptr;
    if (arguments.size() != f->arity || functions_left_-- <= 0) return nullptr;
    charge_ += kCallSteps;
    auto part = [&](int k, std::initializer_list<const Value*> given) {
        Value g = f->captured[k];
        return g.tag == Tag::Function ? emit(g.function, given) : nullptr;
    };
    auto captured = [&] { return new_register(f->captured[1]); };
    const Value *x = arguments.begin()[0], *y = arguments.size() == 2 ? arguments.begin()[1] : nullptr;
    switch (f->kind) {
    case Closure::Primitive: return emit_step(op_of(f->primitive), f, arguments);
    case Closure::Compose: return part(0, {part(1, {x})});
    case Closure::Chain: return part(0, {part(1, {part(2, {x})})});
    case Closure::Matcher: {
        const Value* found = part(0, {x});
        return found ? emit_step(Op::Equal, nullptr, {found, captured()}) : nullptr;
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

const Value* CompiledFunction::emit_step(Op op, const FunctionNode* primitive,
                                         std::initializer_list<const Value*> arguments) {
    if (std::ranges::count(arguments, nullptr)) return nullptr;
    Step* last = n_ ? &steps_[n_ - 1] : nullptr;
    bool of_last = last && last->result == arguments.begin()[0];
    if (op == Op::Equal && !primitive && of_last && last->op == Op::First) { // matcher(first, …)
        last->op = Op::FirstIs;
        last->arguments[1] = arguments.begin()[1];
        return last->result;
    }
    if (op == Op::Flip && of_last && !last->charge_flip &&
        (last->op == Op::Equal || last->op == Op::FirstIs)) {
        last->charge_flip = std::exchange(charge_, 0);
        return last->result;
    }
    Value* result = new_register(Value::none());
    if (n_ == kSteps || !result) return nullptr;
    Step& step = steps_[n_++];
    step.op = op;
    step.n = uint8_t(arguments.size());
    step.charge = std::exchange(charge_, 0);
    step.charge_flip = 0;
    // The comparison of a matcher is not a primitive.
    step.primitive = primitive ? primitive->primitive : last->primitive;
    step.result = result;
    std::ranges::copy(arguments, step.arguments);
    step.code = primitive ? primitive->code : nullptr;
    return result;
}

Value CompiledFunction::run_steps(Value x) {
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
        switch (step->op) {
        case Op::Identity: out = a; break;
        case Op::First:
            if (a.tag == Tag::Cell) out = Value::integer(key_value(a.key));
            else if (a.tag == Tag::Pair) out = Value::integer(a.i());
            else out = call_code();
            break;
        case Op::Last:
            if (a.tag == Tag::Cell) out = Value::pair(uint32_t(a.key));
            else if (a.tag == Tag::Pair) out = Value::integer(a.j());
            else out = call_code();
            break;
        case Op::Size: out = Value::integer(int64_t(length(a))); break;
        case Op::Color:
            if (a.tag == Tag::Object) out = Value::integer(key_value(a.object->keys[0]));
            else out = call_code();
            break;
        case Op::Flip: out = Value::boolean(!truthy(a)); break;
        case Op::Equal: out = truth(equal(run_, a, b())); break;
        case Op::FirstIs:
            out = a.tag == Tag::Cell ? Value::integer(key_value(a.key)) : call_code();
            out = truth(equal(run_, out, b()));
            break;
        case Op::Greater:
            if (a.is_number() && b().is_number()) out = Value::boolean(a.num > b().num);
            else out = call_code();
            break;
        case Op::Both: out = truthy(a) ? b() : a; break;
        case Op::Either: out = truthy(a) ? a : b(); break;
        case Op::Branch: out = truthy(a) ? b() : *step->arguments[2]; break;
        case Op::Code: out = call_code(); break;
        }
        put(*step->result, out);
    }
    run_.primitive = before;
    return out;
}

} // namespace codeit
