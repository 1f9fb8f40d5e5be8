#include "values.hpp"

#include <algorithm>
#include <bit>

#include "primitives/table.hpp"

namespace codeit {

namespace {

const ItemsNode* const kEmpty = [] {
    auto* node = new ItemsNode; // for as long as the program runs
    node->n = 0;
    node->weight = node->nesting = 1;
    return node;
}();

uint64_t checked_weight(Run& run, uint64_t weight) {
    if (weight > run.budget.cells) throw Fault{Kind::Cells, "over the budget of cells"};
    return weight;
}

uint32_t checked_nesting(std::span<const Value> parts) {
    uint32_t deepest = 0;
    for (Value part : parts) deepest = std::max(deepest, nesting(part));
    if (deepest >= kMaxNesting) throw Fault{Kind::Depth, "a value nested too deeply"};
    return deepest + 1;
}

// Inside a container a Boolean is the integer that it equals.
Value settled(Value v) { return v.tag == Tag::Bool ? Value::integer(v.num) : v; }

int row_width(Value v) { // of a tuple of integers that fit a grid's row; -1 for anything else
    if (v.tag == Tag::Pair) {
        bool fits = v.i() >= INT8_MIN && v.i() <= INT8_MAX && v.j() >= INT8_MIN && v.j() <= INT8_MAX;
        return fits ? 2 : -1;
    }
    if (v.tag != Tag::Tuple) return -1;
    for (uint32_t k = 0; k < v.items->n; ++k) {
        Value item = v.items->items[k];
        if (item.tag != Tag::Int || item.num < INT8_MIN || item.num > INT8_MAX) return -1;
    }
    return int(v.items->n);
}

Value make_items(Run& run, Tag tag, std::span<const Value> items) {
    uint64_t total = 1;
    for (Value item : items) total += weight(item);
    auto* node = run.allocate<ItemsNode, Value>(items.size());
    node->n = uint32_t(items.size());
    node->weight = uint32_t(checked_weight(run, total));
    node->nesting = checked_nesting(items);
    for (size_t k = 0; k < items.size(); ++k) node->items[k] = settled(items[k]);
    Value v;
    v.tag = tag;
    v.items = node;
    return v;
}

Value rows_to_grid(Run& run, std::span<const Value> rows, int width) {
    int8_t* cells;
    Value v = new_grid(run, int64_t(rows.size()), width, cells);
    for (Value row : rows) {
        if (row.tag == Tag::Pair) {
            *cells++ = int8_t(row.i());
            *cells++ = int8_t(row.j());
        } else {
            for (int k = 0; k < width; ++k) *cells++ = int8_t(row.items->items[k].num);
        }
    }
    return v;
}

template <class T> void sort_distinct(Run& run, Buffer<T>& keys) {
    run.charge(2 * keys.size());
    if (!std::is_sorted(keys.begin(), keys.end())) std::sort(keys.begin(), keys.end());
    keys.resize(size_t(std::unique(keys.begin(), keys.end()) - keys.begin()));
}

template <class T> int three_way(T a, T b) { return a < b ? -1 : a > b ? 1 : 0; }

template <class T> int compare_keys(Run& run, const T* a, size_t n, const T* b, size_t m) {
    size_t shared = std::min(n, m), k = 0;
    while (k < shared && a[k] == b[k]) ++k;
    run.charge(k + 1);
    return k < shared ? three_way(a[k], b[k]) : three_way(n, m);
}

int rank(Value v) {
    if (v.tag == Tag::None) return 0;
    if (v.is_number()) return 1;
    if (v.is_tuple()) return 2;
    return v.is_set() ? 3 : 4;
}

} // namespace

const char* type_name(Value v) {
    auto all = [&](auto accept) {
        const ItemsNode* node = v.items;
        return node->n > 0 && std::all_of(node->items, node->items + node->n, accept);
    };
    switch (v.tag) {
    case Tag::None: return "None";
    case Tag::Bool: return "Boolean";
    case Tag::Int: return "Integer";
    case Tag::Pair: return "IntegerTuple";
    case Tag::Cell: return "Cell";
    case Tag::Grid: return "Grid";
    case Tag::Tuple: return all([](Value x) { return x.is_tuple(); }) ? "TupleTuple" : "Tuple";
    case Tag::Indices: return "Indices";
    case Tag::Object: return "Object";
    case Tag::Set:
        if (all([](Value x) { return x.tag == Tag::Int; })) return "IntegerSet";
        if (all([](Value x) { return x.tag == Tag::Object; })) return "Objects";
        if (all([](Value x) { return x.tag == Tag::Indices; })) return "IndicesSet";
        return "FrozenSet";
    case Tag::Function: return "Callable";
    }
    return "None";
}

uint64_t weight(Value v) {
    switch (v.tag) {
    case Tag::Grid: return v.grid->area() + 1;
    case Tag::Tuple:
    case Tag::Set: return v.items->weight;
    case Tag::Indices: return v.indices->n + 1;
    case Tag::Object: return v.object->n + 1;
    case Tag::Function: return v.function->weight;
    default: return 1;
    }
}

uint32_t nesting(Value v) {
    switch (v.tag) {
    case Tag::Cell:
    case Tag::Grid:
    case Tag::Indices: return 3;
    case Tag::Object: return 4;
    case Tag::Pair: return 2;
    case Tag::Tuple:
    case Tag::Set: return v.items->nesting;
    case Tag::Function: return v.function->nesting;
    default: return 1;
    }
}

// --- building ---------------------------------------------------------------------------------------

Value empty_tuple() {
    Value v;
    v.tag = Tag::Tuple;
    v.items = kEmpty;
    return v;
}

Value empty_set() {
    Value v;
    v.tag = Tag::Set;
    v.items = kEmpty;
    return v;
}

Value make_pair(int64_t i, int64_t j) {
    if (i < INT16_MIN || i > INT16_MAX || j < INT16_MIN || j > INT16_MAX)
        throw Fault{Kind::Overflow, "a coordinate beyond 16 bits"};
    return Value::pair(pair_key(int(i), int(j)));
}

Value new_grid(Run& run, int64_t height, int64_t width, int8_t*& cells) {
    cells = nullptr;
    if (height <= 0) return empty_tuple();
    width = std::max<int64_t>(width, 0);
    // Each factor is bounded before the product is taken, so that the product cannot wrap.
    checked_weight(run, std::max<uint64_t>(uint64_t(height), uint64_t(width)));
    checked_weight(run, uint64_t(height) * uint64_t(width));
    run.charge(uint64_t(height)); // a grid may have rows and no columns
    auto* node = run.allocate<GridNode, int8_t>(uint64_t(height) * uint64_t(width));
    node->height = uint32_t(height);
    node->width = uint32_t(width);
    cells = node->cells;
    Value v;
    v.tag = Tag::Grid;
    v.grid = node;
    return v;
}

Value make_tuple(Run& run, std::span<const Value> items) {
    if (items.empty()) return empty_tuple();
    Value first = settled(items[0]);
    if (items.size() == 2) {
        Value second = settled(items[1]);
        if (first.tag == Tag::Int && second.tag == Tag::Int) return make_pair(first.num, second.num);
        if (first.tag == Tag::Int && second.tag == Tag::Pair) {
            if (first.num < INT16_MIN || first.num > INT16_MAX)
                throw Fault{Kind::Overflow, "a cell's value beyond 16 bits"};
            return Value::cell(cell_key(int(first.num), uint32_t(second.key)));
        }
    }
    int width = row_width(first);
    if (width >= 0) {
        bool rows = std::all_of(items.begin() + 1, items.end(), [&](Value v) { return row_width(v) == width; });
        run.charge(items.size());
        if (rows) return rows_to_grid(run, items, width);
    }
    return make_items(run, Tag::Tuple, items);
}

Value make_tuple(Run& run, Value a, Value b) {
    Value items[] = {a, b};
    return make_tuple(run, items);
}

Value make_indices(Run& run, std::span<const uint32_t> keys) {
    if (keys.empty()) return empty_set();
    auto* node = run.allocate<IndicesNode, uint32_t>(keys.size());
    node->n = uint32_t(keys.size());
    std::memcpy(node->keys, keys.data(), keys.size_bytes());
    Value v;
    v.tag = Tag::Indices;
    v.indices = node;
    return v;
}

Value make_object(Run& run, std::span<const uint64_t> keys) {
    if (keys.empty()) return empty_set();
    auto* node = run.allocate<ObjectNode, uint64_t>(keys.size());
    node->n = uint32_t(keys.size());
    std::memcpy(node->keys, keys.data(), keys.size_bytes());
    Value v;
    v.tag = Tag::Object;
    v.object = node;
    return v;
}

Value make_indices_from(Run& run, Buffer<uint32_t>& keys) {
    sort_distinct(run, keys);
    return make_indices(run, {keys.begin(), keys.size()});
}

Value make_object_from(Run& run, Buffer<uint64_t>& keys) {
    sort_distinct(run, keys);
    return make_object(run, {keys.begin(), keys.size()});
}

Value make_sorted_set(Run& run, std::span<const Value> items) {
    if (items.empty()) return empty_set();
    Tag tag = items[0].tag;
    bool uniform = std::all_of(items.begin(), items.end(), [&](Value v) { return v.tag == tag; });
    if (uniform && tag == Tag::Pair) {
        Buffer<uint32_t> keys(run, items.size());
        for (Value v : items) keys.push(uint32_t(v.key));
        return make_indices(run, {keys.begin(), keys.size()});
    }
    if (uniform && tag == Tag::Cell) {
        Buffer<uint64_t> keys(run, items.size());
        for (Value v : items) keys.push(v.key);
        return make_object(run, {keys.begin(), keys.size()});
    }
    return make_items(run, Tag::Set, items);
}

Value make_set(Run& run, std::span<const Value> items) {
    run.charge(items.size() * size_t(std::bit_width(items.size())));
    auto all = [&](Tag tag) {
        return !items.empty() && std::all_of(items.begin(), items.end(), [&](Value v) { return v.tag == tag; });
    };
    if (all(Tag::Pair)) {
        Buffer<uint32_t> keys(run, items.size());
        for (Value v : items) keys.push(uint32_t(v.key));
        return make_indices_from(run, keys);
    }
    if (all(Tag::Cell)) {
        Buffer<uint64_t> keys(run, items.size());
        for (Value v : items) keys.push(v.key);
        return make_object_from(run, keys);
    }
    Buffer<Value> sorted(run, items.size());
    for (Value v : items) sorted.push(settled(v));
    std::stable_sort(sorted.begin(), sorted.end(), [&](Value a, Value b) { return compare(run, a, b) < 0; });
    auto same = [&](Value a, Value b) { return compare(run, a, b) == 0; };
    sorted.resize(size_t(std::unique(sorted.begin(), sorted.end(), same) - sorted.begin()));
    return make_sorted_set(run, {sorted.begin(), sorted.size()});
}

Value make_function(Run& run, Closure kind, int arity, std::span<const Value> captured) {
    uint64_t total = 1;
    for (Value v : captured) total += weight(v);
    auto* node = run.allocate<FunctionNode, Value>(captured.size());
    node->kind = kind;
    node->arity = uint8_t(arity);
    node->n = uint8_t(captured.size());
    node->primitive = 0;
    node->weight = uint32_t(checked_weight(run, total));
    node->nesting = checked_nesting(captured);
    std::copy(captured.begin(), captured.end(), node->captured);
    Value v;
    v.tag = Tag::Function;
    v.function = node;
    return v;
}

Value primitive_function(int id) {
    static const std::vector<std::unique_ptr<FunctionNode>> nodes = [] {
        std::vector<std::unique_ptr<FunctionNode>> made;
        for (const Primitive& p : primitives()) {
            auto node = std::make_unique<FunctionNode>();
            node->kind = Closure::Primitive;
            node->arity = uint8_t(p.arity);
            node->n = 0;
            node->primitive = uint16_t(made.size());
            node->weight = node->nesting = 1;
            made.push_back(std::move(node));
        }
        return made;
    }();
    Value v;
    v.tag = Tag::Function;
    v.function = nodes[size_t(id)].get();
    return v;
}

// --- comparing --------------------------------------------------------------------------------------

int compare(Run& run, Value a, Value b) {
    if (a.tag == b.tag && a.key == b.key) return 0; // the same inline value, or the same node
    int ra = rank(a), rb = rank(b);
    if (ra != rb) return three_way(ra, rb);
    if (a.tag == b.tag) {
        switch (a.tag) {
        case Tag::Pair:
        case Tag::Cell: return three_way(a.key, b.key);
        case Tag::Indices: return compare_keys(run, a.indices->keys, a.indices->n, b.indices->keys, b.indices->n);
        case Tag::Object: return compare_keys(run, a.object->keys, a.object->n, b.object->keys, b.object->n);
        case Tag::Grid:
            if (a.grid->width == b.grid->width && a.grid->width > 0)
                return compare_keys(run, a.grid->cells, a.grid->area(), b.grid->cells, b.grid->area());
            break;
        default: break;
        }
    }
    if (ra == 1) return three_way(a.num, b.num);
    if (ra == 4) {
        const FunctionNode *f = a.function, *g = b.function;
        run.charge(1);
        if (f->kind != g->kind) return three_way(f->kind, g->kind);
        if (f->primitive != g->primitive) return three_way(f->primitive, g->primitive);
        for (int k = 0; k < f->n; ++k)
            if (int order = compare(run, f->captured[k], g->captured[k])) return order;
        return 0;
    }
    auto mark = run.mark();
    Items x(run, a), y(run, b);
    size_t shared = std::min(x.size(), y.size());
    int order = 0;
    for (size_t k = 0; k < shared && order == 0; ++k) {
        run.charge(1);
        order = compare(run, x[k], y[k]);
    }
    run.release(mark);
    return order ? order : three_way(x.size(), y.size());
}

bool equal(Run& run, Value a, Value b) {
    if (a.tag != b.tag && !(a.is_number() && b.is_number())) return false; // one value, one representation
    return compare(run, a, b) == 0;
}

bool less(Run& run, Value a, Value b) {
    if (a.is_number() && b.is_number()) return a.num < b.num;
    if (a.is_tuple() && b.is_tuple()) {
        if (a.tag == b.tag && a.is_inline()) return a.key < b.key;
        auto mark = run.mark();
        Items x(run, a), y(run, b);
        size_t shared = std::min(x.size(), y.size());
        for (size_t k = 0; k < shared; ++k) {
            run.charge(1);
            if (compare(run, x[k], y[k]) != 0) return less(run, x[k], y[k]);
        }
        run.release(mark);
        return x.size() < y.size();
    }
    if (a.is_set() && b.is_set()) { // proper inclusion
        Items x(run, a), y(run, b);
        if (x.size() >= y.size()) return false;
        size_t k = 0;
        for (size_t m = 0; m < y.size() && k < x.size(); ++m) {
            run.charge(1);
            if (compare(run, x[k], y[m]) == 0) ++k;
        }
        return k == x.size();
    }
    wrong_type("two values that can be compared", a.is_number() || a.is_tuple() ? b : a);
}

bool truthy(Value v) {
    switch (v.tag) {
    case Tag::None: return false;
    case Tag::Bool:
    case Tag::Int: return v.num != 0;
    case Tag::Tuple:
    case Tag::Set: return v.items->n > 0;
    default: return true;
    }
}

// --- reading ----------------------------------------------------------------------------------------

void wrong_type(const char* expected, Value found) { throw Fault{Kind::Type, expected, type_name(found)}; }

int colour(Value v) {
    int64_t n = number(v);
    if (n < INT8_MIN || n > INT8_MAX) throw Fault{Kind::Overflow, "a grid's cell beyond 8 bits"};
    return int(n);
}

void coordinate(Value v, int64_t& i, int64_t& j) {
    if (v.tag == Tag::Pair) {
        i = v.i();
        j = v.j();
    } else if (v.tag == Tag::Tuple && v.items->n > 2 && v.items->items[0].tag == Tag::Int &&
               v.items->items[1].tag == Tag::Int) {
        i = v.items->items[0].num;
        j = v.items->items[1].num;
    } else {
        wrong_type("a pair of integers", v);
    }
}

GridView grid(Value v) {
    if (v.tag == Tag::Grid) return {int(v.grid->height), int(v.grid->width), v.grid->cells};
    if (v.tag == Tag::Tuple && v.items->n == 0) return {0, 0, nullptr};
    wrong_type("a grid", v);
}

GridView nonempty_grid(Value v) {
    GridView g = grid(v);
    if (g.h == 0) bad_value("the grid is empty");
    return g;
}

size_t length(Value v) {
    switch (v.tag) {
    case Tag::Pair:
    case Tag::Cell: return 2;
    case Tag::Grid: return v.grid->height;
    case Tag::Tuple:
    case Tag::Set: return v.items->n;
    case Tag::Indices: return v.indices->n;
    case Tag::Object: return v.object->n;
    default: wrong_type("a container", v);
    }
}

Items::Items(Run& run, Value container) : run_(run), v_(container), n_(length(container)) {}

Value Items::operator[](size_t k) const {
    switch (v_.tag) {
    case Tag::Pair: return Value::integer(k == 0 ? v_.i() : v_.j());
    case Tag::Cell: return k == 0 ? Value::integer(key_value(v_.key)) : Value::pair(uint32_t(v_.key));
    case Tag::Indices: return Value::pair(v_.indices->keys[k]);
    case Tag::Object: return Value::cell(v_.object->keys[k]);
    case Tag::Grid: {
        uint32_t width = v_.grid->width;
        const int8_t* row = v_.grid->cells + k * width;
        if (width == 0) return empty_tuple();
        if (width == 2) return Value::pair(pair_key(row[0], row[1]));
        auto* node = run_.allocate<ItemsNode, Value>(width);
        node->n = width;
        node->weight = width + 1;
        node->nesting = 2;
        for (uint32_t j = 0; j < width; ++j) node->items[j] = Value::integer(row[j]);
        Value v;
        v.tag = Tag::Tuple;
        v.items = node;
        return v;
    }
    default: return v_.items->items[k];
    }
}

bool coloured(Run& run, Value patch) {
    if (patch.tag == Tag::Object) return true;
    if (patch.tag == Tag::Indices) return false;
    Items items(run, patch);
    if (items.size() == 0) return false;
    auto mark = run.mark();
    Value first = items[0];
    bool result = first.tag == Tag::Cell;
    if (!result && first.tag != Tag::Pair) wrong_type("a patch", patch);
    run.release(mark);
    return result;
}

Places::Places(Run& run, Value patch) : store_(run) {
    if (patch.tag == Tag::Indices) {
        keys_ = {patch.indices->keys, patch.indices->n};
        return;
    }
    if (patch.tag == Tag::Object) {
        const ObjectNode* node = patch.object;
        store_.resize(node->n);
        for (uint32_t k = 0; k < node->n; ++k) store_[k] = uint32_t(node->keys[k]);
        if (key_value(node->keys[0]) != key_value(node->keys[node->n - 1])) sort_distinct(run, store_);
        run.charge(node->n);
    } else {
        Items items(run, patch);
        bool cells = coloured(run, patch);
        for (size_t k = 0; k < items.size(); ++k) {
            Value item = items[k];
            if (item.tag != (cells ? Tag::Cell : Tag::Pair)) wrong_type("a patch", patch);
            store_.push(uint32_t(item.key));
        }
        run.charge(items.size());
        if (cells) {
            sort_distinct(run, store_); // toindices makes a set of them
        } else {
            sorted_ = items.size() == 0 || patch.is_set();
        }
    }
    keys_ = {store_.begin(), store_.size()};
}

Cells::Cells(Run& run, Value object) : store_(run) {
    if (object.tag == Tag::Object) {
        keys_ = {object.object->keys, object.object->n};
        return;
    }
    Items items(run, object);
    for (size_t k = 0; k < items.size(); ++k) {
        Value item = items[k];
        if (item.tag != Tag::Cell) wrong_type("an object", object);
        store_.push(item.key);
    }
    run.charge(items.size());
    keys_ = {store_.begin(), store_.size()};
}

Extent extent(Run& run, const Places& places) {
    if (places.empty()) bad_value("the patch is empty");
    run.charge(places.size());
    uint32_t low_i = UINT32_MAX, high_i = 0, low_j = UINT32_MAX, high_j = 0;
    for (uint32_t key : places) {
        low_i = std::min(low_i, key >> 16);
        high_i = std::max(high_i, key >> 16);
        low_j = std::min(low_j, key & 0xffff);
        high_j = std::max(high_j, key & 0xffff);
    }
    return {int(low_i) - kBias, int(high_i) - kBias, int(low_j) - kBias, int(high_j) - kBias};
}

Extent extent(Run& run, Value patch) { return extent(run, Places(run, patch)); }

// --- calling ----------------------------------------------------------------------------------------

namespace {

Value call_closure(Run& run, const FunctionNode* f, const Value* a, int n) {
    if (n != f->arity) throw Fault{Kind::Type, "a function of another number of arguments"};
    const Value* c = f->captured;
    switch (f->kind) {
    case Closure::Primitive: {
        int before = run.primitive;
        run.primitive = f->primitive;
        Value result = primitives()[f->primitive].function(run, a);
        run.primitive = before;
        return result;
    }
    case Closure::Compose: return call(run, c[0], call(run, c[1], a[0]));
    case Closure::Chain: return call(run, c[0], call(run, c[1], call(run, c[2], a[0])));
    case Closure::Matcher: return Value::boolean(equal(run, call(run, c[0], a[0]), c[1]));
    case Closure::Fork: {
        Value both[] = {call(run, c[1], a[0]), call(run, c[2], a[0])};
        return call(run, c[0], both, 2);
    }
    case Closure::Rbind: {
        Value full[4];
        std::copy(a, a + n, full);
        full[n] = c[1];
        return call(run, c[0], full, n + 1);
    }
    case Closure::Lbind: {
        Value full[4] = {c[1]};
        std::copy(a, a + n, full + 1);
        return call(run, c[0], full, n + 1);
    }
    }
    return Value::none();
}

} // namespace

Value call(Run& run, Value function, const Value* arguments, int n) {
    if (function.tag != Tag::Function) wrong_type("a function", function);
    run.charge(1);
    if (++run.depth > kMaxDepth) throw Fault{Kind::Depth, "calls nested too deeply"};
    auto mark = run.mark();
    Value result = call_closure(run, function.function, arguments, n);
    if (result.is_inline()) run.release(mark);
    --run.depth;
    return result;
}

bool test(Run& run, Value function, Value argument) {
    auto mark = run.mark();
    bool result = truthy(call(run, function, argument));
    run.release(mark);
    return result;
}

} // namespace codeit
