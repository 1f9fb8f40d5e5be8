#include "values.hpp"

#include <algorithm>
#include <bit>

#include "hash.hpp"
#include "primitives/table.hpp"

namespace codeit {

namespace {

const ItemsNode* const kEmpty = [] {
    auto* node = new ItemsNode; // never freed
    node->n = 0;
    node->weight = node->nesting = 1;
    return node;
}();

uint64_t max_weight(const Run& run) { return std::min(kMaxWeight, run.budget.cells * kCellBytes); }

uint64_t checked_weight(Run& run, uint64_t weight) {
    if (weight > max_weight(run)) fail(Kind::Cells, "over the budget of cells");
    return weight;
}

uint32_t checked_nesting(uint32_t deepest_part) {
    if (deepest_part >= kMaxNesting) fail(Kind::Depth, "the value is nested too deeply");
    return deepest_part + 1;
}

// A Boolean inside a container is stored as the integer that it equals.
Value bool_to_int(Value v) { return v.tag == Tag::Bool ? Value::integer(v.num) : v; }

// The length of a tuple of integers that can be a row of a grid. -1 for any other value, and for another
// length than `wanted`, unless that is -1.
int row_width(Run& run, Value v, int wanted = -1) {
    if (v.tag == Tag::Pair) {
        bool fits = v.i() >= INT8_MIN && v.i() <= INT8_MAX && v.j() >= INT8_MIN && v.j() <= INT8_MAX;
        return fits ? 2 : -1;
    }
    if (v.tag != Tag::Tuple || (wanted >= 0 && v.items->n != uint32_t(wanted))) return -1;
    run.charge(v.items->n);
    for (uint32_t k = 0; k < v.items->n; ++k) {
        Value item = v.items->items[k];
        if (item.tag != Tag::Int || item.num < INT8_MIN || item.num > INT8_MAX) return -1;
    }
    return int(v.items->n);
}

Value make_items(Run& run, Tag tag, std::span<const Value> items) {
    auto* node = run.allocate<ItemsNode, Value>(items.size());
    uint64_t total = 1;
    uint32_t deepest = 0;
    Value* to = node->items;
    for (const Value& item : items) {
        // Most items are objects: test for them first.
        Bulk part = item.tag == Tag::Object ? Bulk{item.object->n + 1, 4} : bulk(item);
        total += part.weight;
        deepest = std::max(deepest, part.nesting);
        put(*to++, bool_to_int(item));
    }
    node->n = uint32_t(items.size());
    node->weight = uint32_t(checked_weight(run, total));
    node->nesting = checked_nesting(deepest);
    return {tag, node};
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

template <class T> Value sorted_patch(Run& run, std::span<const Value> items) {
    T* keys;
    Value v = new_patch(run, items.size(), keys);
    for (Value item : items) *keys++ = T(item.key);
    return v;
}

typedef int16_t Lanes __attribute__((vector_size(16)));

struct Bounds {
    int low[3], high[3]; // of columns, rows and colours
};

// The bounds of n >= 1 keys. A vector holds them as lanes of 16 bits: (column, row) each, or
// (column, row, colour, unused). A biased lane with its highest bit flipped is the number itself.
template <class T> Bounds bounds(const T* keys, size_t n) {
    static_assert(std::endian::native == std::endian::little);
    constexpr size_t kAtOnce = sizeof(Lanes) / sizeof(T), kParts = sizeof(T) / sizeof(int16_t);
    if (n < kAtOnce) {
        Bounds b{{INT32_MAX, INT32_MAX, INT32_MAX}, {INT32_MIN, INT32_MIN, INT32_MIN}};
        for (size_t k = 0; k < n; ++k) {
            int parts[] = {key_j(uint32_t(keys[k])), key_i(uint32_t(keys[k])), key_value(keys[k])};
            for (int part = 0; part < 3; ++part) {
                b.low[part] = std::min(b.low[part], parts[part]);
                b.high[part] = std::max(b.high[part], parts[part]);
            }
        }
        return b;
    }
    auto load = [](const T* from) {
        Lanes lanes;
        std::memcpy(&lanes, from, sizeof lanes);
        return lanes ^ static_cast<int16_t>(INT16_MIN);
    };
    Lanes low = load(keys + n - kAtOnce), high = low; // the last keys, which the loop may skip
    for (size_t k = 0; k + kAtOnce <= n; k += kAtOnce) {
        Lanes lanes = load(keys + k);
        low = lanes < low ? lanes : low;
        high = lanes > high ? lanes : high;
    }
    auto fold = [&](auto half) {
        Lanes l = half(low), h = half(high);
        low = l < low ? l : low;
        high = h > high ? h : high;
    };
    fold([](Lanes v) { return __builtin_shufflevector(v, v, 4, 5, 6, 7, 0, 1, 2, 3); });
    if (kParts == 2) fold([](Lanes v) { return __builtin_shufflevector(v, v, 2, 3, 0, 1, 6, 7, 4, 5); });
    return {{low[0], low[1], kParts == 4 ? low[2] : 0}, {high[0], high[1], kParts == 4 ? high[2] : 0}};
}

// Sorts keys that lie close together with a bit set: a word for each row of each colour, a bit for
// each column. False, with the keys unchanged, if they are too few or too far apart for this to be
// fast.
template <class T> bool sort_by_bits(Run& run, std::span<T> keys, size_t& distinct) {
    constexpr size_t kMinKeys = 16;
    if (keys.size() < kMinKeys) return false;
    Bounds b = bounds(keys.data(), keys.size());
    size_t values = size_t(b.high[2] - b.low[2] + 1), height = size_t(b.high[1] - b.low[1] + 1),
           words = values * height;
    if (b.high[0] - b.low[0] >= 64 || words > 64 + 4 * keys.size()) return false;

    Buffer<uint64_t> bits(run, words);
    bits.resize(words);
    std::fill(bits.begin(), bits.end(), 0);
    const T first = T(sizeof(T) == sizeof(uint64_t) ? cell_key(b.low[2], pair_key(b.low[1], b.low[0]))
                                                    : pair_key(b.low[1], b.low[0]));
    auto row_of = [](T key) { return key >> 16; }; // and colour
    T row = row_of(first);
    uint64_t* word = bits.begin(); // of that row; its new bits are kept in a register
    uint64_t found = 0;
    for (T key : keys) {
        if (row_of(key) != row) {
            *word |= found;
            found = 0;
            row = row_of(key);
            size_t value = (uint64_t(key) >> 32) - (uint64_t(first) >> 32);
            word = bits.begin() + value * height + uint16_t(row - row_of(first));
        }
        found |= uint64_t(1) << ((key - first) & 63); // the columns are less than 64 apart
    }
    *word |= found;
    T* out = keys.data();
    word = bits.begin();
    for (size_t value = 0; value < values; ++value)
        for (size_t i = 0; i < height; ++i) {
            T begin = first + T(uint64_t(value) << 32) + T(i << 16);
            for (uint64_t rest = *word++; rest; rest &= rest - 1) *out++ = begin + T(std::countr_zero(rest));
        }
    distinct = size_t(out - keys.data());
    return true;
}

template <class T> size_t sort_distinct_keys(Run& run, T* keys, size_t n) {
    run.charge(2 * n);
    size_t k = 1;
    while (k < n && keys[k - 1] < keys[k]) ++k;
    if (k >= n) return n; // often they are sorted already
    if (sort_by_bits(run, std::span(keys, n), n)) return n;
    run.charge(n * size_t(std::bit_width(n)));
    std::sort(keys, keys + n);
    return size_t(std::unique(keys, keys + n) - keys);
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

// --- building ---------------------------------------------------------------------------------------

Value empty_tuple() { return {Tag::Tuple, kEmpty}; }
Value empty_set() { return {Tag::Set, kEmpty}; }

namespace {

// A Cells fault if a grid of this size would be too large. Charges a step for each row.
void check_area(Run& run, uint64_t height, uint64_t width) {
    uint64_t max_area = max_weight(run);
    // Checks each factor first, so that the product cannot overflow.
    if (height > max_area || width > max_area || height * width > max_area)
        fail(Kind::Cells, "over the budget of cells");
    run.charge(height); // a grid can have rows without columns
}

} // namespace

Value new_grid(Run& run, int64_t height, int64_t width, int8_t*& cells) {
    cells = nullptr;
    if (height <= 0) return empty_tuple();
    uint64_t h = uint64_t(height), w = uint64_t(std::max<int64_t>(width, 0));
    check_area(run, h, w);
    auto* node = run.allocate<GridNode, int8_t>(h * w);
    node->height = uint32_t(h);
    node->width = uint32_t(w);
    node->counts = nullptr;
    node->background = GridNode::kUnknown;
    cells = node->cells;
    return Value(node);
}

Value input_grid(Run& run, const GridNode* node) {
    check_area(run, node->height, node->width);
    run.charge(node->area() + 1);
    run.count_memory(sizeof(GridNode) + node->area());
    return Value(node);
}

Value make_tuple(Run& run, std::span<const Value> items) {
    if (items.empty()) return empty_tuple();
    Value first = bool_to_int(items[0]);
    if (items.size() == 2) {
        Value second = bool_to_int(items[1]);
        if (first.tag == Tag::Int && second.tag == Tag::Int) return make_pair(first.num, second.num);
        if (first.tag == Tag::Int && second.tag == Tag::Pair) {
            if (first.num < INT16_MIN || first.num > INT16_MAX)
                fail(Kind::Overflow, "the value of a cell exceeds 16 bits");
            return Value::cell(cell_key(int(first.num), uint32_t(second.key)));
        }
    }
    int width = row_width(run, first);
    if (width >= 0) {
        run.charge(items.size());
        auto is_row = [&](Value v) { return row_width(run, v, width) == width; };
        if (std::all_of(items.begin() + 1, items.end(), is_row)) return rows_to_grid(run, items, width);
    }
    return make_items(run, Tag::Tuple, items);
}

size_t sort_distinct(Run& run, uint32_t* keys, size_t n) { return sort_distinct_keys(run, keys, n); }
size_t sort_distinct(Run& run, uint64_t* keys, size_t n) { return sort_distinct_keys(run, keys, n); }

Value make_sorted_set(Run& run, std::span<const Value> items) {
    if (items.empty()) return empty_set();
    Tag tag = items[0].tag;
    bool uniform = std::all_of(items.begin(), items.end(), [&](Value v) { return v.tag == tag; });
    if (uniform && tag == Tag::Pair) return sorted_patch<uint32_t>(run, items);
    if (uniform && tag == Tag::Cell) return sorted_patch<uint64_t>(run, items);
    return make_items(run, Tag::Set, items);
}

Value make_set(Run& run, std::span<const Value> items) {
    run.charge(items.size() * size_t(std::bit_width(items.size())));
    if (items.size() == 1) return make_sorted_set(run, items);
    auto all = [&](Tag tag) {
        return !items.empty() &&
               std::all_of(items.begin(), items.end(), [&](Value v) { return v.tag == tag; });
    };
    auto patch = [&]<class T>(PatchBuilder<T> keys) {
        for (Value v : items) keys.push(T(v.key));
        return keys.finish_unsorted();
    };
    if (all(Tag::Pair)) return patch(IndicesBuilder(run, items.size()));
    if (all(Tag::Cell)) return patch(ObjectBuilder(run, items.size()));
    Buffer<Value> sorted(run, items.size());
    for (Value v : items) sorted.push(bool_to_int(v));
    sort(run, sorted);
    auto same = [&](Value a, Value b) { return compare(run, a, b) == 0; };
    sorted.resize(size_t(std::unique(sorted.begin(), sorted.end(), same) - sorted.begin()));
    return make_sorted_set(run, {sorted.begin(), sorted.size()});
}

void sort(Run& run, Buffer<Value>& items) {
    bool integers = std::all_of(items.begin(), items.end(), [](Value v) { return v.tag == Tag::Int; });
    // The sort need not be stable, since equal values are indistinguishable.
    if (integers) {
        std::sort(items.begin(), items.end(), [](Value a, Value b) { return a.num < b.num; });
    } else {
        std::sort(items.begin(), items.end(), [&](Value a, Value b) { return compare(run, a, b) < 0; });
    }
}

uint64_t hash_value(Value v) {
    uint64_t hash = mix(1, uint64_t(v.tag));
    switch (v.tag) {
    case Tag::Grid: return hash_bytes(mix(hash, v.grid->width), v.grid->cells, v.grid->area());
    case Tag::Indices: return hash_bytes(hash, v.indices->keys, v.indices->n * sizeof(uint32_t));
    case Tag::Object: return hash_bytes(hash, v.object->keys, v.object->n * sizeof(uint64_t));
    case Tag::Tuple:
    case Tag::Set:
        for (uint32_t k = 0; k < v.items->n; ++k) hash = mix(hash, hash_value(v.items->items[k]));
        return hash;
    case Tag::Function:
        hash = mix(mix(hash, uint64_t(v.function->kind)), v.function->n ? 0 : v.function->primitive);
        for (int k = 0; k < v.function->n; ++k) hash = mix(hash, hash_value(v.function->captured[k]));
        return hash;
    default: return mix(hash, v.key);
    }
}

Value make_function(Run& run, Closure kind, int arity, std::span<const Value> captured) {
    auto* node = run.allocate<FunctionNode, Value>(captured.size());
    uint64_t total = 1;
    uint32_t deepest = 0;
    bool constant_time = true;
    for (size_t k = 0; k < captured.size(); ++k) {
        Value part = captured[k];
        Bulk size = bulk(part);
        total += size.weight;
        deepest = std::max(deepest, size.nesting);
        constant_time =
            constant_time && (part.tag == Tag::Function ? part.function->constant_time : part.is_inline());
        put(node->captured[k], part);
    }
    node->kind = kind;
    node->arity = uint8_t(arity);
    node->n = uint8_t(captured.size());
    node->constant_time = constant_time;
    node->memoized = false;
    node->consecutive_misses = 0;
    node->primitive = 0;
    node->code = nullptr;
    node->weight = uint32_t(checked_weight(run, total));
    node->nesting = checked_nesting(deepest);
    return Value(node);
}

namespace {

// Whether the time of a primitive does not grow with its arguments, except by a comparison of
// values.
bool is_constant_time(std::string_view name) {
    static constexpr std::string_view names[] = {"branch", "size",   "first", "last",
                                                 "color",  "height", "width", "index"};
    auto in = [&](const std::vector<Primitive>& theme) {
        return std::any_of(theme.begin(), theme.end(), [&](const Primitive& p) { return p.name == name; });
    };
    return in(themes::numbers) || std::find(std::begin(names), std::end(names), name) != std::end(names);
}

} // namespace

Value primitive_function(int id) {
    static const std::vector<std::unique_ptr<FunctionNode>> nodes = [] {
        std::vector<std::unique_ptr<FunctionNode>> made;
        for (const Primitive& p : primitives()) {
            auto node = std::make_unique<FunctionNode>();
            node->kind = Closure::Primitive;
            node->arity = uint8_t(p.arity);
            node->n = 0;
            node->primitive = uint16_t(made.size());
            node->code = p.function;
            node->constant_time = is_constant_time(p.name);
            node->weight = node->nesting = 1;
            made.push_back(std::move(node));
        }
        return made;
    }();
    return Value(nodes[size_t(id)].get());
}

// --- comparing --------------------------------------------------------------------------------------

// The steps charged depend only on the two values, not on whether they share memory: equal values
// cost their weight, whichever way equality is found.
int compare(Run& run, Value a, Value b) {
    if (identical(a, b)) {
        run.charge(weight(a));
        return 0;
    }
    if (a.tag == b.tag) {
        switch (a.tag) {
        case Tag::Bool:
        case Tag::Int: run.charge(1); return three_way(a.num, b.num);
        case Tag::Pair:
        case Tag::Cell: run.charge(1); return three_way(a.key, b.key);
        case Tag::Indices:
            return compare_keys(run, a.indices->keys, a.indices->n, b.indices->keys, b.indices->n);
        case Tag::Object: return compare_keys(run, a.object->keys, a.object->n, b.object->keys, b.object->n);
        case Tag::Grid: {
            if (a.grid->width != b.grid->width) break;
            int order = compare_keys(run, a.grid->cells, a.grid->area(), b.grid->cells, b.grid->area());
            // Without columns, grids of different heights have equal cells.
            return order ? order : three_way(a.grid->height, b.grid->height);
        }
        default: break;
        }
    }
    int ra = rank(a), rb = rank(b);
    if (ra != rb || ra == 1) {
        run.charge(1);
        return ra != rb ? three_way(ra, rb) : three_way(a.num, b.num);
    }
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
    for (size_t k = 0; k < shared && order == 0; ++k) order = compare(run, x[k], y[k]);
    run.charge(1);
    run.release(mark);
    return order ? order : three_way(x.size(), y.size());
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

// --- reading ----------------------------------------------------------------------------------------

void wrong_type(const char* expected, Value found) { fail(Kind::Type, expected, type_name(found)); }

int colour(Value v) {
    int64_t n = number(v);
    if (n < INT8_MIN || n > INT8_MAX) fail(Kind::Overflow, "a cell of a grid exceeds 8 bits");
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

Value row(Run& run, const GridNode* grid, size_t i) {
    uint32_t width = grid->width;
    const int8_t* cells = grid->cells + i * width;
    if (width == 0) return empty_tuple();
    if (width == 2) return Value::pair(pair_key(cells[0], cells[1]));
    auto* node = run.allocate<ItemsNode, Value>(width);
    node->n = width;
    node->weight = width + 1;
    node->nesting = 2;
    for (uint32_t j = 0; j < width; ++j) node->items[j] = Value::integer(cells[j]);
    return {Tag::Tuple, node};
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

void Places::collect(Run& run, Value patch) {
    auto remove_duplicates = [&] { store_.resize(sort_distinct(run, store_.begin(), store_.size())); };
    if (patch.tag == Tag::Object) {
        const ObjectNode* node = patch.object;
        store_.resize(node->n);
        std::copy_n(node->keys, node->n, store_.begin());
        if (key_value(node->keys[0]) != key_value(node->keys[node->n - 1])) remove_duplicates();
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
            remove_duplicates(); // toindices returns a set in this case
        } else {
            sorted_ = items.size() == 0 || patch.is_set();
        }
    }
    keys_ = {store_.begin(), store_.size()};
}

void Cells::collect(Run& run, Value object) {
    Items items(run, object);
    for (size_t k = 0; k < items.size(); ++k) {
        Value item = items[k];
        if (item.tag != Tag::Cell) wrong_type("an object", object);
        store_.push(item.key);
    }
    run.charge(items.size());
    keys_ = {store_.begin(), store_.size()};
}

namespace {

template <class T> Extent extent_of(Run& run, const T* keys, size_t n) {
    if (n == 0) bad_value("the patch is empty");
    run.charge(n);
    Bounds b = bounds(keys, n);
    return {b.low[1], b.high[1], b.low[0], b.high[0]};
}

} // namespace

Extent extent(Run& run, const Places& places) { return extent_of(run, places.begin(), places.size()); }

Extent extent(Run& run, Value patch) {
    if (patch.tag == Tag::Indices) return extent_of(run, patch.indices->keys, patch.indices->n);
    if (patch.tag == Tag::Object) return extent_of(run, patch.object->keys, patch.object->n);
    return extent(run, Places(run, patch));
}

} // namespace codeit
