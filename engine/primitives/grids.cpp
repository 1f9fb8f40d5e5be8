// Grids: reading, cutting, joining and painting them, and the objects that they hold.
#include <algorithm>
#include <array>

#include "table.hpp"

namespace codeit {
namespace {

// --- colours ----------------------------------------------------------------------------------------

std::array<uint32_t, 256> colour_counts(Run& run, const GridView& g) { // indexed by the cell as a byte
    std::array<uint32_t, 256> counts{};
    for (size_t k = 0; k < g.area(); ++k) ++counts[uint8_t(g.cells[k])];
    run.charge(g.area());
    return counts;
}

// The most frequent colour; of several, the least.
int background(Run& run, const GridView& g) {
    if (g.area() == 0) bad_value("the grid is empty");
    auto counts = colour_counts(run, g);
    int best = INT8_MIN;
    uint32_t most = 0;
    for (int v = INT8_MIN; v <= INT8_MAX; ++v)
        if (counts[uint8_t(v)] > most) {
            most = counts[uint8_t(v)];
            best = v;
        }
    return best;
}

// The elements' own elements (of a tuple), or the first of each (of a set): what the oracle takes for colours.
void colours(Run& run, Value element, Buffer<Value>& out) {
    if (element.tag == Tag::Grid) {
        GridView g = grid(element);
        for (size_t k = 0; k < g.area(); ++k) out.push(Value::integer(g.cells[k]));
        run.charge(g.area());
        return;
    }
    Items items(run, element);
    run.charge(items.size());
    for (size_t k = 0; k < items.size(); ++k) {
        Items parts(run, items[k]);
        if (element.is_tuple()) {
            for (size_t m = 0; m < parts.size(); ++m) out.push(parts[m]);
        } else {
            if (parts.size() != 2) bad_value("an element that is no pair");
            out.push(parts[0]);
        }
    }
}

template <bool most> Value extreme_colour(Run& run, const Value* a) {
    if (a[0].tag == Tag::Grid && most) return Value::integer(background(run, grid(a[0])));
    Buffer<Value> all(run);
    colours(run, a[0], all);
    if (all.empty()) bad_value("no colours in an empty element");
    return commonest(run, all, most);
}

Value palette(Run& run, const Value* a) {
    Buffer<Value> all(run);
    if (a[0].tag == Tag::Grid) {
        auto counts = colour_counts(run, grid(a[0]));
        for (int v = INT8_MIN; v <= INT8_MAX; ++v)
            if (counts[uint8_t(v)]) all.push(Value::integer(v));
    } else {
        colours(run, a[0], all);
    }
    return make_set(run, {all.begin(), all.size()});
}

Value colorcount(Run& run, const Value* a) {
    Buffer<Value> all(run);
    if (a[0].is_tuple()) grid(a[0]);
    colours(run, a[0], all);
    return Value::integer(
        std::count_if(all.begin(), all.end(), [&](Value v) { return equal(run, v, a[1]); }));
}

Value color(Run& run, Value object) {
    if (object.tag == Tag::Object) return Value::integer(key_value(object.object->keys[0]));
    Items items(run, object);
    if (items.size() == 0) bad_value("the object is empty");
    Items parts(run, items[0]);
    if (!items[0].is_tuple()) wrong_type("an object", object);
    if (parts.size() == 0) bad_value("an element that is no pair");
    return parts[0];
}

// The set of the elements whose property equals a value.
template <class Property> Value with_property(Run& run, Value container, Property property, Value wanted) {
    Items items(run, container);
    Buffer<Value> kept(run);
    run.charge(items.size());
    for (size_t k = 0; k < items.size(); ++k) {
        Value item = items[k];
        if (equal(run, property(item), wanted)) kept.push(item);
    }
    return make_set(run, {kept.begin(), kept.size()});
}

Value colorfilter(Run& run, const Value* a) {
    return with_property(run, a[0], [&](Value item) { return color(run, item); }, a[1]);
}

Value sizefilter(Run& run, const Value* a) {
    return with_property(run, a[0], [](Value item) { return Value::integer(int64_t(length(item))); }, a[1]);
}

// --- places and objects of a grid -------------------------------------------------------------------

Value asindices(Run& run, const Value* a) {
    GridView g = grid(a[0]);
    Buffer<uint32_t> keys(run, g.area());
    for (int i = 0; i < g.h; ++i)
        for (int j = 0; j < g.w; ++j) keys.push(uint32_t(make_pair(i, j).key));
    return make_indices(run, {keys.begin(), keys.size()});
}

Value ofcolor(Run& run, const Value* a) {
    GridView g = grid(a[0]);
    run.charge(g.area());
    if (!a[1].is_number()) return empty_set();
    Buffer<uint32_t> keys(run);
    for (int i = 0; i < g.h; ++i)
        for (int j = 0; j < g.w; ++j)
            if (g.at(i, j) == a[1].num) keys.push(uint32_t(make_pair(i, j).key));
    return make_indices(run, {keys.begin(), keys.size()});
}

Value asobject(Run& run, const Value* a) {
    GridView g = grid(a[0]);
    Buffer<uint64_t> keys(run, g.area());
    for (int i = 0; i < g.h; ++i)
        for (int j = 0; j < g.w; ++j) keys.push(cell_key(g.at(i, j), uint32_t(make_pair(i, j).key)));
    return make_object_from(run, keys);
}

Value toobject(Run& run, const Value* a) {
    GridView g = nonempty_grid(a[1]);
    Places places(run, a[0]);
    run.charge(places.size());
    Buffer<uint64_t> keys(run, places.size());
    for (uint32_t key : places)
        if (g.holds(key_i(key), key_j(key))) keys.push(cell_key(g.at(key_i(key), key_j(key)), key));
    return make_object_from(run, keys);
}

Value partition(Run& run, const GridView& g, int without) {
    auto counts = colour_counts(run, g);
    Buffer<Value> parts(run);
    for (int v = INT8_MIN; v <= INT8_MAX; ++v) {
        if (counts[uint8_t(v)] == 0 || v == without) continue;
        Buffer<uint64_t> keys(run, counts[uint8_t(v)]);
        for (int i = 0; i < g.h; ++i)
            for (int j = 0; j < g.w; ++j)
                if (g.at(i, j) == v) keys.push(cell_key(v, uint32_t(make_pair(i, j).key)));
        run.charge(g.area());
        parts.push(make_object(run, {keys.begin(), keys.size()}));
    }
    return make_sorted_set(run, {parts.begin(), parts.size()});
}

// Connected parts of the grid. One pass labels cells with union-find over the neighbours already passed; a
// second deals the cells, by colour and then by place, to their parts: each comes out sorted.
Value objects(Run& run, const Value* a) {
    GridView g = nonempty_grid(a[0]);
    bool univalued = truthy(a[1]), diagonal = truthy(a[2]), without_background = truthy(a[3]);
    constexpr int kNone = INT16_MIN;
    int bg = without_background ? background(run, g) : kNone;
    size_t n = g.area();
    run.charge(4 * n + 1);
    if (n == 0) return empty_set();
    make_pair(g.h, g.w); // every place must fit

    Buffer<uint32_t> parent(run, n);
    parent.resize(n);
    auto root = [&](uint32_t k) {
        while (parent[k] != k) k = parent[k] = parent[parent[k]];
        return k;
    };
    size_t w = size_t(g.w), cells = 0;
    for (size_t k = 0; k < n; ++k) {
        parent[k] = uint32_t(k);
        int v = g.cells[k];
        if (v == bg) continue;
        ++cells;
        size_t i = k / w, j = k % w;
        auto join = [&](size_t m) {
            int u = g.cells[m];
            if (u == bg || (univalued && u != v)) return;
            uint32_t x = root(uint32_t(m)), y = root(uint32_t(k));
            if (x < y) parent[y] = x;
            else parent[x] = y;
        };
        if (j > 0) join(k - 1);
        if (i > 0) {
            join(k - w);
            if (diagonal && j > 0) join(k - w - 1);
            if (diagonal && j + 1 < w) join(k - w + 1);
        }
    }

    // Cells in the order of (colour, place).
    std::array<uint32_t, 257> start{};
    for (size_t k = 0; k < n; ++k)
        if (g.cells[k] != bg) ++start[size_t(g.cells[k] - INT8_MIN) + 1];
    for (size_t v = 1; v < start.size(); ++v) start[v] += start[v - 1];
    Buffer<uint32_t> ordered(run, cells);
    ordered.resize(cells);
    for (size_t k = 0; k < n; ++k)
        if (g.cells[k] != bg) ordered[start[size_t(g.cells[k] - INT8_MIN)]++] = uint32_t(k);

    // Parts numbered as they are first met, which is their order as a set: they share no cell.
    Buffer<uint32_t> number_of(run, n), counts(run);
    number_of.resize(n);
    std::fill(number_of.begin(), number_of.end(), UINT32_MAX);
    for (uint32_t k : ordered) {
        uint32_t r = root(k);
        if (number_of[r] == UINT32_MAX) {
            number_of[r] = uint32_t(counts.size());
            counts.push(0);
        }
        ++counts[number_of[r]];
    }
    Buffer<Value> parts(run, counts.size());
    Buffer<uint64_t*> fill(run, counts.size());
    for (uint32_t count : counts) {
        auto* node = run.allocate<ObjectNode, uint64_t>(count);
        node->n = count;
        Value v;
        v.tag = Tag::Object;
        v.object = node;
        parts.push(v);
        fill.push(node->keys);
    }
    for (uint32_t k : ordered)
        *fill[number_of[root(k)]]++ = cell_key(g.cells[k], pair_key(int(k / w), int(k % w)));
    return make_sorted_set(run, {parts.begin(), parts.size()});
}

Value occurrences(Run& run, const Value* a) {
    GridView g = nonempty_grid(a[0]);
    Cells cells(run, a[1]);
    Extent e{0, 0, 0, 0};
    if (!cells.empty()) e = extent(run, a[1]);
    Buffer<uint32_t> found(run);
    for (int i = 0; i + e.height() <= g.h || (cells.empty() && i < g.h); ++i) {
        for (int j = 0; j + e.width() <= g.w || (cells.empty() && j < g.w); ++j) {
            bool occurs = true;
            size_t checked = 1;
            for (uint64_t key : cells) {
                ++checked;
                int ci = key_i(uint32_t(key)) - e.top + i, cj = key_j(uint32_t(key)) - e.left + j;
                if (g.at(ci, cj) != key_value(key)) {
                    occurs = false;
                    break;
                }
            }
            run.charge(checked);
            if (occurs) found.push(uint32_t(make_pair(i, j).key));
        }
    }
    return make_indices(run, {found.begin(), found.size()});
}

struct Lines { // of one colour throughout
    Buffer<uint8_t> rows, columns;
    Lines(Run& run, const GridView& g) : rows(run, size_t(g.h)), columns(run, size_t(g.w)) {
        run.charge(2 * g.area() + 1);
        rows.resize(size_t(g.h));
        columns.resize(size_t(g.w));
        std::fill(columns.begin(), columns.end(), 1);
        for (int i = 0; i < g.h; ++i) {
            rows[size_t(i)] = g.w > 0;
            for (int j = 0; j < g.w; ++j) {
                if (g.at(i, j) != g.at(i, 0)) rows[size_t(i)] = 0;
                if (g.at(i, j) != g.at(0, j)) columns[size_t(j)] = 0;
            }
        }
    }
};

Value frontiers(Run& run, const Value* a) {
    GridView g = nonempty_grid(a[0]);
    Lines lines(run, g);
    make_pair(g.h, g.w);
    Buffer<Value> found(run);
    Buffer<uint64_t> keys(run, size_t(std::max(g.h, g.w)));
    for (int i = 0; i < g.h; ++i) {
        if (!lines.rows[size_t(i)]) continue;
        keys.resize(0);
        for (int j = 0; j < g.w; ++j) keys.push(cell_key(g.at(i, j), pair_key(i, j)));
        found.push(make_object(run, {keys.begin(), keys.size()}));
    }
    for (int j = 0; j < g.w; ++j) {
        if (!lines.columns[size_t(j)]) continue;
        keys.resize(0);
        for (int i = 0; i < g.h; ++i) keys.push(cell_key(g.at(i, j), pair_key(i, j)));
        found.push(make_object(run, {keys.begin(), keys.size()}));
    }
    return make_set(run, {found.begin(), found.size()});
}

Value compress(Run& run, const Value* a) {
    GridView g = grid(a[0]);
    Lines lines(run, g);
    auto kept = [](const Buffer<uint8_t>& whole) { return std::count(whole.begin(), whole.end(), 0); };
    int8_t* out;
    Value v = new_grid(run, kept(lines.rows), kept(lines.columns), out);
    for (int i = 0; i < g.h; ++i)
        for (int j = 0; j < g.w; ++j)
            if (!lines.rows[size_t(i)] && !lines.columns[size_t(j)]) *out++ = g.at(i, j);
    return v;
}

// --- new grids from old -----------------------------------------------------------------------------

Value rot90(Run& run, const Value* a) {
    GridView g = grid(a[0]);
    return build_grid(run, g.w, g.h, [&](int i, int j) { return g.at(g.h - 1 - j, i); });
}
Value rot180(Run& run, const Value* a) {
    GridView g = grid(a[0]);
    return build_grid(run, g.h, g.w, [&](int i, int j) { return g.at(g.h - 1 - i, g.w - 1 - j); });
}
Value rot270(Run& run, const Value* a) {
    GridView g = grid(a[0]);
    return build_grid(run, g.w, g.h, [&](int i, int j) { return g.at(j, g.w - 1 - i); });
}

struct Slice {
    int64_t begin, end;
    int64_t size() const { return std::max<int64_t>(end - begin, 0); }
};

// Python's sequence[start:stop] of n elements.
Slice slice(int64_t start, int64_t stop, int64_t n) {
    auto place = [n](int64_t k) { return std::clamp<int64_t>(k < 0 ? k + n : k, 0, n); };
    return {place(start), place(stop)};
}

Value cut(Run& run, const GridView& g, Slice rows, Slice columns) {
    return build_grid(run, rows.size(), columns.size(),
                 [&](int i, int j) { return g.at(int(rows.begin) + i, int(columns.begin) + j); });
}

Value crop(Run& run, const GridView& g, int64_t i, int64_t j, int64_t h, int64_t w) {
    return cut(run, g, slice(i, i + h, g.h), slice(j, j + w, g.w));
}

Value crop(Run& run, const Value* a) {
    GridView g = grid(a[0]);
    int64_t i, j, h, w;
    coordinate(a[1], i, j);
    coordinate(a[2], h, w);
    return crop(run, g, i, j, h, w);
}

Value subgrid(Run& run, const Value* a) {
    GridView g = grid(a[1]);
    Extent e = extent(run, a[0]);
    bool listed = a[0].is_tuple(); // the oracle takes a tuple's own lengths for its shape
    int64_t h = e.height(), w = e.width();
    if (listed) {
        h = int64_t(length(a[0]));
        w = int64_t(length(Items(run, a[0])[0]));
    }
    return crop(run, g, e.top, e.left, h, w);
}

Value split(Run& run, const Value* a, bool horizontal) {
    GridView g = nonempty_grid(a[0]);
    int64_t n = number(a[1]), side = horizontal ? g.w : g.h, part = floor_divide(side, n);
    int64_t stride = part + (side % n != 0);
    Buffer<Value> parts(run);
    for (int64_t k = 0; k < n; ++k)
        parts.push(horizontal ? crop(run, g, 0, stride * k, g.h, part) : crop(run, g, stride * k, 0, part, g.w));
    return make_tuple(run, {parts.begin(), parts.size()});
}

Value trim(Run& run, const Value* a) {
    GridView g = grid(a[0]);
    return cut(run, g, slice(1, -1, g.h), slice(1, -1, g.w));
}

Value top_or_bottom(Run& run, Value v, bool top) {
    if (v.tag == Tag::Grid) {
        GridView g = grid(v);
        return cut(run, g, top ? Slice{0, g.h / 2} : Slice{g.h - g.h / 2, g.h}, {0, g.w});
    }
    if (!v.is_tuple()) wrong_type("a grid", v);
    Items items(run, v);
    size_t half = items.size() / 2, begin = top ? 0 : items.size() - half;
    Buffer<Value> kept(run, half);
    for (size_t k = 0; k < half; ++k) kept.push(items[begin + k]);
    return make_tuple(run, {kept.begin(), kept.size()});
}

Value left_or_right(Run& run, Value v, bool left) {
    GridView g = grid(v);
    int half = g.w / 2;
    if (half == 0) return empty_tuple();
    return cut(run, g, {0, g.h}, left ? Slice{0, half} : Slice{g.w - half, g.w});
}

Value hconcat(Run& run, const Value* a) {
    GridView x = grid(a[0]), y = grid(a[1]);
    return build_grid(run, std::min(x.h, y.h), int64_t(x.w) + y.w,
                 [&](int i, int j) { return j < x.w ? x.at(i, j) : y.at(i, j - x.w); });
}

Value vconcat(Run& run, const Value* a) {
    for (int k = 0; k < 2; ++k)
        if (!a[k].is_tuple()) wrong_type("a grid", a[k]);
    if (a[0].tag == Tag::Grid && a[1].tag == Tag::Grid && a[0].grid->width == a[1].grid->width) {
        GridView x = grid(a[0]), y = grid(a[1]);
        return build_grid(run, int64_t(x.h) + y.h, x.w,
                     [&](int i, int j) { return i < x.h ? x.at(i, j) : y.at(i - x.h, j); });
    }
    Buffer<Value> rows(run);
    for (int k = 0; k < 2; ++k) {
        Items items(run, a[k]);
        for (size_t m = 0; m < items.size(); ++m) rows.push(items[m]);
    }
    return make_tuple(run, {rows.begin(), rows.size()});
}

Value stretch(Run& run, Value v, int64_t down, int64_t across) {
    GridView g = grid(v);
    down = std::max<int64_t>(down, 0);
    across = std::max<int64_t>(across, 0);
    return build_grid(run, g.h * down, g.w * across,
                 [&](int i, int j) { return g.at(int(i / down), int(j / across)); });
}

Value upscale(Run& run, const Value* a) {
    int64_t factor = number(a[1]);
    if (a[0].is_tuple()) return stretch(run, a[0], factor, factor);
    Cells cells(run, a[0]);
    if (cells.empty() || factor <= 0) return empty_set();
    Extent e = extent(run, a[0]);
    if (factor > INT16_MAX) throw Fault{Kind::Overflow, "a coordinate beyond 16 bits"};
    uint64_t total = cells.keys().size() * uint64_t(factor) * uint64_t(factor);
    run.charge(total);
    Buffer<uint64_t> keys(run, total);
    for (uint64_t key : cells) {
        int64_t i = e.top + (key_i(uint32_t(key)) - e.top) * factor;
        int64_t j = e.left + (key_j(uint32_t(key)) - e.left) * factor;
        for (int64_t di = 0; di < factor; ++di)
            for (int64_t dj = 0; dj < factor; ++dj)
                keys.push(cell_key(key_value(key), uint32_t(make_pair(i + di, j + dj).key)));
    }
    return make_object_from(run, keys);
}

Value downscale(Run& run, const Value* a) {
    GridView g = nonempty_grid(a[0]);
    int64_t factor = std::abs(number(a[1]));
    if (factor == 0) bad_value("division by zero");
    return build_grid(run, (g.h + factor - 1) / factor, (g.w + factor - 1) / factor,
                 [&](int i, int j) { return g.at(int(i * factor), int(j * factor)); });
}

Value cellwise(Run& run, const Value* a) {
    GridView x = nonempty_grid(a[0]), y = grid(a[1]);
    if (y.h < x.h || y.w < x.w) bad_value("the second grid is smaller");
    int fallback = colour(a[2]);
    return build_grid(run, x.h, x.w,
                 [&](int i, int j) { return x.at(i, j) == y.at(i, j) ? x.at(i, j) : int8_t(fallback); });
}

Value replace(Run& run, const Value* a) {
    GridView g = grid(a[0]);
    bool occurs = a[1].is_number() && std::any_of(g.cells, g.cells + g.area(), [&](int v) { return v == a[1].num; });
    run.charge(g.area());
    if (!occurs) return a[0];
    int from = colour(a[1]), to = colour(a[2]);
    return build_grid(run, g.h, g.w, [&](int i, int j) { return g.at(i, j) == from ? to : g.at(i, j); });
}

Value exchange(Run& run, const Value* a) {
    GridView g = grid(a[0]);
    int x = colour(a[1]), y = colour(a[2]);
    return build_grid(run, g.h, g.w, [&](int i, int j) {
        int v = g.at(i, j);
        return v == x ? y : v == y ? x : v;
    });
}

Value canvas(Run& run, const Value* a) {
    int64_t h, w;
    coordinate(a[1], h, w);
    int v = h > 0 && w > 0 ? colour(a[0]) : 0;
    return build_grid(run, h, w, [&](int, int) { return v; });
}

Value index(Run&, const Value* a) {
    GridView g = nonempty_grid(a[0]);
    if (a[1].tag != Tag::Pair) wrong_type("a pair of integers", a[1]);
    int i = a[1].i(), j = a[1].j();
    return g.holds(i, j) ? Value::integer(g.at(i, j)) : Value::none();
}

// --- painting ---------------------------------------------------------------------------------------

// A copy of the grid; `only` keeps painting to cells that are of that value still.
struct Painting {
    GridView g;
    Value value;
    int8_t* cells;
    int only;
    static constexpr int kAny = INT16_MIN;

    Painting(Run& run, const GridView& from, int only_ = kAny) : g(from), only(only_) {
        value = new_grid(run, g.h, g.w, cells);
        if (g.area()) std::memcpy(cells, g.cells, g.area());
    }
    bool reaches(uint32_t key) const {
        int i = key_i(key), j = key_j(key);
        return g.holds(i, j) && (only == kAny || cells[size_t(i) * size_t(g.w) + size_t(j)] == only);
    }
    void set(uint32_t key, int v) { cells[size_t(key_i(key)) * size_t(g.w) + size_t(key_j(key))] = int8_t(v); }
};

Value fill(Run& run, Value grid_value, Value value, Value patch, bool under) {
    GridView g = nonempty_grid(grid_value);
    Painting painting(run, g, under ? background(run, g) : Painting::kAny);
    Places places(run, patch);
    run.charge(places.size());
    for (uint32_t key : places)
        if (painting.reaches(key)) painting.set(key, colour(value));
    return painting.value;
}

Value paint(Run& run, Value grid_value, Value object, bool under) {
    GridView g = nonempty_grid(grid_value);
    Painting painting(run, g, under ? background(run, g) : Painting::kAny);
    Cells cells(run, object);
    run.charge(cells.keys().size());
    for (uint64_t key : cells) {
        if (!painting.reaches(uint32_t(key))) continue;
        painting.set(uint32_t(key), colour(Value::integer(key_value(key))));
    }
    return painting.value;
}

Value cover(Run& run, Value grid_value, Value patch) {
    GridView g = nonempty_grid(grid_value);
    return fill(run, grid_value, Value::integer(background(run, g)), patch, false);
}

Value move(Run& run, const Value* a) {
    Value covered = cover(run, a[0], a[1]);
    int shift_id = find_primitive("shift");
    Value shifted = primitives()[size_t(shift_id)].function(run, a + 1);
    return paint(run, covered, shifted, false);
}

} // namespace

const std::vector<Primitive> themes::grids = {
    {"mostcolor", 1, "Element -> Integer", "The most frequent colour; of several, the least.", extreme_colour<true>},
    {"leastcolor", 1, "Element -> Integer", "The least frequent colour; of several, the least.",
     extreme_colour<false>},
    {"colorcount", 2, "Element, Integer -> Integer", "The number of cells of a colour.", colorcount},
    {"colorfilter", 2, "Objects, Integer -> Objects", "The objects of a colour.", colorfilter},
    {"sizefilter", 2, "Container, Integer -> FrozenSet", "The elements that have n elements.", sizefilter},
    {"asindices", 1, "Grid -> Indices", "All places of the grid.", asindices},
    {"ofcolor", 2, "Grid, Integer -> Indices", "The places of a colour.", ofcolor},
    {"crop", 3, "Grid, IntegerTuple, IntegerTuple -> Grid", "The part that starts at a place, of a given shape.",
     [](Run& run, const Value* a) { return crop(run, a); }},
    {"objects", 4, "Grid, Boolean, Boolean, Boolean -> Objects",
     "The connected parts: of one colour each or not, joined over diagonals or not, without the background or not.",
     objects},
    {"partition", 1, "Grid -> Objects", "For each colour, the object of all its cells.",
     [](Run& run, const Value* a) { return partition(run, grid(a[0]), INT16_MIN); }},
    {"fgpartition", 1, "Grid -> Objects", "For each colour but the background, the object of all its cells.",
     [](Run& run, const Value* a) {
         GridView g = grid(a[0]);
         return partition(run, g, background(run, g));
     }},
    {"palette", 1, "Element -> IntegerSet", "The colours that occur.", palette},
    {"numcolors", 1, "Element -> IntegerSet", "The number of colours that occur.",
     [](Run& run, const Value* a) { return Value::integer(int64_t(length(palette(run, a)))); }},
    {"color", 1, "Object -> Integer", "The colour of an object: of its first cell.",
     [](Run& run, const Value* a) { return color(run, a[0]); }},
    {"toobject", 2, "Patch, Grid -> Object", "The grid's cells at the places of a patch.", toobject},
    {"asobject", 1, "Grid -> Object", "The whole grid as an object.", asobject},
    {"rot90", 1, "Grid -> Grid", "A quarter turn clockwise.", rot90},
    {"rot180", 1, "Grid -> Grid", "A half turn.", rot180},
    {"rot270", 1, "Grid -> Grid", "A quarter turn counter-clockwise.", rot270},
    {"fill", 3, "Grid, Integer, Patch -> Grid", "The grid with the places of a patch in one colour.",
     [](Run& run, const Value* a) { return fill(run, a[0], a[1], a[2], false); }},
    {"paint", 2, "Grid, Object -> Grid", "The grid with an object painted on it.",
     [](Run& run, const Value* a) { return paint(run, a[0], a[1], false); }},
    {"underfill", 3, "Grid, Integer, Patch -> Grid", "As fill, only where the grid is background.",
     [](Run& run, const Value* a) { return fill(run, a[0], a[1], a[2], true); }},
    {"underpaint", 2, "Grid, Object -> Grid", "As paint, only where the grid is background.",
     [](Run& run, const Value* a) { return paint(run, a[0], a[1], true); }},
    {"hupscale", 2, "Grid, Integer -> Grid", "Each cell repeated across.",
     [](Run& run, const Value* a) { return stretch(run, a[0], 1, number(a[1])); }},
    {"vupscale", 2, "Grid, Integer -> Grid", "Each cell repeated downwards.",
     [](Run& run, const Value* a) { return stretch(run, a[0], number(a[1]), 1); }},
    {"upscale", 2, "Element, Integer -> Element", "Each cell as a square.", upscale},
    {"downscale", 2, "Grid, Integer -> Grid", "Every n-th cell of every n-th row.", downscale},
    {"hconcat", 2, "Grid, Grid -> Grid", "Two grids side by side.", hconcat},
    {"vconcat", 2, "Grid, Grid -> Grid", "One grid above the other.", vconcat},
    {"subgrid", 2, "Patch, Grid -> Grid", "The part of the grid that a patch spans.", subgrid},
    {"hsplit", 2, "Grid, Integer -> Tuple", "The grid cut into n parts side by side.",
     [](Run& run, const Value* a) { return split(run, a, true); }},
    {"vsplit", 2, "Grid, Integer -> Tuple", "The grid cut into n parts from top to bottom.",
     [](Run& run, const Value* a) { return split(run, a, false); }},
    {"cellwise", 3, "Grid, Grid, Integer -> Grid", "The cells in which two grids agree, else a fallback.", cellwise},
    {"replace", 3, "Grid, Integer, Integer -> Grid", "One colour replaced by another.", replace},
    {"switch", 3, "Grid, Integer, Integer -> Grid", "Two colours exchanged.", exchange},
    {"index", 2, "Grid, IntegerTuple -> Integer", "The colour at a place; None outside the grid.", index},
    {"canvas", 2, "Integer, IntegerTuple -> Grid", "A grid of one colour.", canvas},
    {"cover", 2, "Grid, Patch -> Grid", "The places of a patch turned into background.",
     [](Run& run, const Value* a) { return cover(run, a[0], a[1]); }},
    {"trim", 1, "Grid -> Grid", "The grid without its border.", trim},
    {"move", 3, "Grid, Object, IntegerTuple -> Grid", "An object of the grid moved by an offset.", move},
    {"tophalf", 1, "Grid -> Grid", "The upper half.", [](Run& run, const Value* a) { return top_or_bottom(run, a[0], true); }},
    {"bottomhalf", 1, "Grid -> Grid", "The lower half.",
     [](Run& run, const Value* a) { return top_or_bottom(run, a[0], false); }},
    {"lefthalf", 1, "Grid -> Grid", "The left half.",
     [](Run& run, const Value* a) { return left_or_right(run, a[0], true); }},
    {"righthalf", 1, "Grid -> Grid", "The right half.",
     [](Run& run, const Value* a) { return left_or_right(run, a[0], false); }},
    {"occurrences", 2, "Grid, Object -> Indices", "The places where the object occurs in the grid.", occurrences},
    {"frontiers", 1, "Grid -> Objects", "The rows and columns of one colour.", frontiers},
    {"compress", 1, "Grid -> Grid", "The grid without its rows and columns of one colour.", compress},
};

} // namespace codeit
