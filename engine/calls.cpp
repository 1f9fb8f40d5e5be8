#include "calls.hpp"

#include <algorithm>

namespace codeit {

namespace {

// Calls the parts of a function with `call(function, arguments, n)`.
template <class Call> Value call_parts(Run& run, const FunctionNode* f, const Value* a, int n, Call call) {
    const Value* c = f->captured;
    auto call_one = [&](Value function, Value argument) { return call(function, &argument, 1); };
    switch (f->kind) {
    case Closure::Primitive: break; // see call
    case Closure::Compose: return call_one(c[0], call_one(c[1], a[0]));
    case Closure::Chain: return call_one(c[0], call_one(c[1], call_one(c[2], a[0])));
    case Closure::Matcher: return Value::boolean(equal(run, call_one(c[0], a[0]), c[1]));
    case Closure::Fork: {
        Value both[] = {call_one(c[1], a[0]), call_one(c[2], a[0])};
        return call(c[0], both, 2);
    }
    case Closure::Rbind: {
        Value full[4];
        for (int k = 0; k < n; ++k) put(full[k], a[k]);
        put(full[n], c[1]);
        return call(c[0], full, n + 1);
    }
    case Closure::Lbind: {
        Value full[4];
        put(full[0], c[1]);
        for (int k = 0; k < n; ++k) put(full[k + 1], a[k]);
        return call(c[0], full, n + 1);
    }
    }
    return Value::none();
}

Value call_closure_parts(Run& run, const FunctionNode* f, const Value* a, int n) {
    return call_parts(run, f, a, n,
                      [&run](Value function, const Value* b, int m) { return call(run, function, b, m); });
}

// Moves the node of a value that contains no other values: `move(node, bytes)` returns its new
// place.
template <class Move> void move_flat_node(Value& v, Move move) {
    auto place = [&]<class Node>(const Node*& node, size_t bytes) {
        node = static_cast<const Node*>(move(node, bytes));
    };
    switch (v.tag) {
    case Tag::Grid:
        place(v.grid, sizeof(GridNode) + v.grid->area());
        break;
    case Tag::Indices:
        place(v.indices, sizeof(IndicesNode) + v.indices->n * sizeof(uint32_t));
        break;
    case Tag::Object:
        place(v.object, sizeof(ObjectNode) + v.object->n * sizeof(uint64_t));
        break;
    default: break;
    }
}

// Whether a remembered call would stay within the budget here. If not, the call must be made, to find
// out where it stops.
bool fits_budget(const Run& run, const Cost& cost) {
    return cost.steps <= uint64_t(run.steps_left) && run.cells + cost.peak <= run.budget.cells &&
           run.depth + cost.depth <= kMaxDepth;
}

// Charges the cost of a remembered call and returns its result.
Value recall(Run& run, const Call& call) {
    run.steps_left -= int64_t(call.cost.steps);
    run.cells_peak = std::max(run.cells_peak, run.cells + call.cost.peak);
    run.cells += call.cost.held;
    run.depth_peak = std::max(run.depth_peak, run.depth + call.cost.depth);
    if (call.failed) run.primitive = call.primitive;
    return call.result;
}

// Measures the cost of a scope. During the scope the run's peaks are those of the scope alone; the
// destructor restores them to those of the whole run.
class Meter {
  public:
    explicit Meter(Run& run)
        : run_(run), steps_(run.steps()), cells_(run.cells), peak_(run.peak()), depth_peak_(run.depth_peak) {
        run.cells_peak = run.cells;
        run.depth_peak = run.depth;
    }
    ~Meter() {
        run_.cells_peak = std::max(run_.cells_peak, peak_);
        run_.depth_peak = std::max(run_.depth_peak, depth_peak_);
    }
    Meter(const Meter&) = delete;
    Cost cost() const {
        return {run_.steps() - steps_, run_.cells - cells_, run_.peak() - cells_,
                run_.depth_peak - run_.depth};
    }

  private:
    Run& run_;
    uint64_t steps_, cells_, peak_;
    int depth_peak_;
};

constexpr uint8_t kMaxMisses = 8;

// Remembers expensive calls of a function. `call_closure` stops using it for a function after
// kMaxMisses calls in a row that found no remembered call.
[[gnu::noinline]] Value call_closure_memoized(Run& run, const FunctionNode* f, const Value* a, int n) {
    constexpr uint64_t kMinSteps = 100; // of a call that is worth remembering
    auto key = [&] { return Memo::make_key(Call::Site::Nested, Value(f), a, n); };
    const Call* known = f->memoized ? run.memo.find(key()) : nullptr;
    if (known && fits_budget(run, known->cost)) {
        f->consecutive_misses = 0;
        return recall(run, *known);
    }
    auto mark = run.mark();
    Meter meter(run);
    Value result = reclaim(run, mark, call_closure_parts(run, f, a, n));
    Cost cost = meter.cost();
    bool expensive = cost.steps >= kMinSteps;
    if (!expensive || !run.shares()) ++f->consecutive_misses; // if shared, a later program may use it
    if (!expensive || known) return result;
    Call call = key();
    call.result = result;
    call.failed = false;
    call.cost = cost;
    run.remember(call);
    f->memoized = true;
    return call.result;
}

} // namespace

Value call_memoized(Run& run, Value function, const Value* a, int n, std::optional<Fault>& fault) {
    auto over_budget = [](const Fault& f) { return f.kind == Kind::Steps || f.kind == Kind::Cells; };
    Call call = Memo::make_key(Call::Site::Line, function, a, n);
    const Call* known = run.memo.find(call);
    if (known && !fits_budget(run, known->cost)) {
        if (run.skip_over_budget)
            return fault = Fault{Kind::Steps, "over the budget of steps"}, Value::none();
    } else if (known && !(known->failed && over_budget(known->fault))) {
        if (known->failed) fault = known->fault;
        return recall(run, *known);
    }
    auto mark = run.mark();
    uint64_t steps_left = uint64_t(run.steps_left), cells_left = run.budget.cells - run.cells;
    Meter meter(run);
    try {
        call.result = codeit::call(run, function, a, n);
        call.failed = false;
        call.cost = meter.cost();
    } catch (const Fault& thrown) {
        fault = thrown;
        run.depth = 0;
        call.result = Value::none();
        call.failed = true;
        call.fault = thrown;
        call.primitive = run.primitive;
        call.cost = meter.cost();
        if (over_budget(thrown)) {
            if (!run.skip_over_budget) return Value::none();
            // The cost is only known to exceed what was left of the budget.
            call.cost =
                thrown.kind == Kind::Steps ? Cost{steps_left + 1, 0, 0, 0} : Cost{0, 0, cells_left + 1, 0};
            run.release(mark);
        }
    }
    if (!known) run.remember(call);
    return call.result;
}

Value keep_only(Run& run, const Run::Mark& mark, Value result) {
    move_flat_node(result, [&](const void* node, size_t bytes) { return run.keep_only(mark, node, bytes); });
    return result;
}

// Needs no check of the depth: a constant-time function never applies a function to itself, so its
// calls are nested only as deep as its parts. It allocates at most a row of a grid, which is
// released with the caller's memory.
Value call_constant_time(Run& run, const FunctionNode* f, const Value* a, int n) {
    return call_parts(run, f, a, n, [&run](Value function, const Value* b, int m) {
        if (function.tag != Tag::Function) wrong_type("a function", function);
        const FunctionNode* g = function.function;
        run.charge(kCallSteps);
        if (m != g->arity) fail(Kind::Type, kOtherArity);
        if (g->kind != Closure::Primitive) return call_constant_time(run, g, b, m);
        run.primitive = g->primitive;
        return g->code(run, b);
    });
}

Value call_closure(Run& run, const FunctionNode* f, const Value* a, int n) {
    if (++run.depth > kMaxDepth) fail(Kind::Depth, "calls are nested too deeply");
    run.depth_peak = std::max(run.depth_peak, run.depth);
    // Calls on a place, a cell or a small patch take too little time to be worth remembering.
    constexpr uint64_t kSmall = 24;
    auto small = [](Value v) {
        return v.is_inline() ? v.tag == Tag::Pair || v.tag == Tag::Cell : weight(v) < kSmall;
    };
    Value result;
    if (f->consecutive_misses < kMaxMisses && !small(a[0])) {
        result = call_closure_memoized(run, f, a, n);
    } else {
        auto mark = run.mark();
        result = reclaim(run, mark, call_closure_parts(run, f, a, n));
    }
    --run.depth;
    return result;
}

} // namespace codeit
