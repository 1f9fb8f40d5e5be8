// Primitives on grids: reading, cutting, joining and painting them, and extracting their objects.
#include <algorithm>
#include <bit>

#include "table.hpp"

namespace codeit {
namespace {

constexpr size_t kUsualArea = 900; // temporary data for grids up to this size is on the stack

// --- colours ----------------------------------------------------------------------------------------

// How often each colour occurs in a grid.
class Histogram {
  public:
    Histogram(Run& run, Value grid_value) {
        GridView g = grid(grid_value);
        run.charge(cost(g));
        if (g.area() > 0 && grid_value.grid->counts) {
            low_ = 0;
            high_ = 9;
            std::copy_n(grid_value.grid->counts, 10, counts_ - INT8_MIN);
            return;
        }
        auto* cells = reinterpret_cast<const uint8_t*>(g.cells);
        size_t n = g.area();
        uint8_t all = 0;
        for (size_t k = 0; k < n; ++k) all |= cells[k];
        if (all >= kUsual) {
            low_ = INT8_MIN;
            high_ = INT8_MAX;
            std::fill_n(counts_, std::size(counts_), 0);
            for (size_t k = 0; k < n; ++k) ++counts_[g.cells[k] - INT8_MIN];
            return;
        }
        low_ = 0;
        high_ = all; // an upper bound
        // Four counters for each colour: neighbours often have the same colour, and each increment
        // waits for the last.
        uint32_t lanes[4][kUsual] = {};
        for (size_t k = 0; k + 4 <= n; k += 4)
            for (size_t m = 0; m < 4; ++m) ++lanes[m][cells[k + m]];
        for (size_t k = n & ~size_t(3); k < n; ++k) ++lanes[0][cells[k]];
        for (int v = 0; v < kUsual; ++v)
            counts_[v - INT8_MIN] = lanes[0][v] + lanes[1][v] + lanes[2][v] + lanes[3][v];
    }
    static uint64_t cost(const GridView& g) { return g.area() + 32; } // steps
    int low() const { return low_; } // the range of colours that may occur
    int high() const { return high_; }
    uint32_t operator[](int colour) const { return counts_[colour - INT8_MIN]; }

    // The most (or least) frequent colour; the smallest in a tie.
    int extreme(bool most) const {
        int best = INT16_MIN;
        for (int v = low_; v <= high_; ++v) {
            uint32_t count = (*this)[v];
            if (count == 0) continue;
            if (best == INT16_MIN || (most ? count > (*this)[best] : count < (*this)[best])) best = v;
        }
        return best;
    }

  private:
    static constexpr int kUsual = 16;
    int low_, high_;
    uint32_t counts_[256]; // the first is of colour INT8_MIN
};

// The most frequent colour of a grid; the smallest in a tie.
int background(Run& run, Value grid_value) {
    GridView g = grid(grid_value);
    if (g.area() == 0) bad_value("the grid is empty");
    int8_t& known = grid_value.grid->background;
    if (known == GridNode::kUnknown) known = int8_t(Histogram(run, grid_value).extreme(true));
    else run.charge(Histogram::cost(g)); // the same cost as computing it
    return known;
}

// What the oracle takes for the colours of an element: all elements of its elements if it is a
// tuple, or the first of each if it is a set.
void colours(Run& run, Value element, Buffer<Value>& out) {
    Items items(run, element);
    run.charge(items.size());
    for (size_t k = 0; k < items.size(); ++k) {
        Items parts(run, items[k]);
        if (element.is_tuple()) {
            for (size_t m = 0; m < parts.size(); ++m) out.push(parts[m]);
        } else {
            if (parts.size() != 2) bad_value("an element is not a pair");
            out.push(parts[0]);
        }
    }
}

// Calls `visit(colour, count)` for each colour of an object, in ascending order.
template <class Visit> void each_colour(Run& run, const ObjectNode* object, Visit visit) {
    run.charge(object->n);
    for (uint32_t k = 0, next; k < object->n; k = next) {
        int v = key_value(object->keys[k]);
        uint64_t above = cell_key(v, UINT32_MAX);
        if (object->keys[object->n - 1] <= above) next = object->n;
        else
            next =
                uint32_t(std::upper_bound(object->keys + k, object->keys + object->n, above) - object->keys);
        visit(v, next - k);
    }
}

template <bool most> Value extreme_colour(Run& run, const Value* a) {
    if (a[0].tag == Tag::Grid && a[0].grid->area() > 0) {
        if (most) return Value::integer(background(run, a[0]));
        return Value::integer(Histogram(run, a[0]).extreme(false));
    }
    if (a[0].tag == Tag::Object) {
        int best = 0;
        uint32_t best_count = 0;
        each_colour(run, a[0].object, [&](int v, uint32_t count) {
            if (best_count && (most ? count <= best_count : count >= best_count)) return;
            best = v;
            best_count = count;
        });
        return Value::integer(best);
    }
    Buffer<Value> all(run);
    colours(run, a[0], all);
    if (all.empty()) bad_value("the element is empty");
    return commonest(run, all, most);
}

Value palette(Run& run, const Value* a) {
    Buffer<Value> all(run);
    if (a[0].tag == Tag::Grid) {
        Histogram counts(run, a[0]);
        for (int v = counts.low(); v <= counts.high(); ++v)
            if (counts[v]) all.push(Value::integer(v));
    } else if (a[0].tag == Tag::Object) {
        each_colour(run, a[0].object, [&](int v, uint32_t) { all.push(Value::integer(v)); });
    } else {
        colours(run, a[0], all);
        return make_set(run, {all.begin(), all.size()});
    }
    return make_sorted_set(run, {all.begin(), all.size()});
}

Value colorcount(Run& run, const Value* a) {
    if (a[0].is_tuple()) {
        GridView g = grid(a[0]);
        run.charge(g.area());
        if (!a[1].is_number() || a[1].num < INT8_MIN || a[1].num > INT8_MAX) return Value::integer(0);
        return Value::integer(std::count(g.cells, g.cells + g.area(), int8_t(a[1].num)));
    }
    if (a[0].tag == Tag::Object) {
        int64_t n = 0;
        each_colour(run, a[0].object, [&](int v, uint32_t count) {
            if (a[1].is_number() && a[1].num == v) n = count;
        });
        return Value::integer(n);
    }
    Buffer<Value> all(run);
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
    if (parts.size() == 0) bad_value("an element is not a pair");
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
    std::span<const Value> all{kept.begin(), kept.size()};
    return container.is_set() ? make_sorted_set(run, all) : make_set(run, all);
}

Value colorfilter(Run& run, const Value* a) {
    return with_property(run, a[0], [&](Value item) { return color(run, item); }, a[1]);
}

Value sizefilter(Run& run, const Value* a) {
    return with_property(run, a[0], [](Value item) { return Value::integer(int64_t(length(item))); }, a[1]);
}

// --- places and objects of a grid -------------------------------------------------------------------

// Calls `visit(begin, end, colour)` for each maximal stretch of adjacent cells of one colour in a
// row.
template <class Visit> void each_stretch(const int8_t* row, int width, Visit visit) {
    for (int j = 0, end; j < width; j = end) {
        int8_t v = row[j];
        for (end = j + 1; end < width && row[end] == v;) ++end;
        visit(j, end, int(v));
    }
}
// For all rows: `visit(row, begin, end, colour)`.
template <class Visit> void each_stretch(const GridView& g, Visit visit) {
    const int8_t* row = g.cells;
    for (int i = 0; i < g.h; ++i, row += g.w)
        each_stretch(row, g.w, [&](int begin, int end, int v) { visit(i, begin, end, v); });
}

// Writes the keys of n adjacent cells of a row, from the leftmost. Returns the place after the
// last.
uint64_t* write_stretch(uint64_t* to, uint64_t first, int n) {
    for (uint64_t key = first, last = first + uint64_t(n); key < last; ++key) *to++ = key;
    return to;
}

// An Overflow fault if places of the grid exceed 16 bits.
void check_places(const GridView& g) { make_pair(g.h - 1, g.w - 1); }

Value asindices(Run& run, const Value* a) {
    GridView g = grid(a[0]);
    if (g.area() == 0) return empty_set();
    check_places(g);
    uint32_t* keys;
    Value v = new_patch(run, g.area(), keys);
    for (int i = 0; i < g.h; ++i)
        for (int j = 0; j < g.w; ++j) *keys++ = pair_key(i, j);
    return v;
}

// A bit mask of which of eight adjacent cells have a colour. May read up to GridNode::kPadding
// bytes after a grid.
uint32_t eight_alike(const int8_t* cells, int8_t colour) {
    constexpr uint64_t kEach = 0x0101010101010101, kLow = 0x7f * kEach;
    uint64_t word;
    std::memcpy(&word, cells, sizeof word);
    word ^= uint8_t(colour) * kEach;                                // a byte is 0 if the cell has the colour
    uint64_t alike = ~(((word & kLow) + kLow) | word) >> 7 & kEach; // then its lowest bit is 1
    return uint32_t(alike * 0x0102040810204080 >> 56);
}

Value ofcolor(Run& run, const Value* a) {
    GridView g = grid(a[0]);
    run.charge(g.area());
    if (!a[1].is_number() || a[1].num < INT8_MIN || a[1].num > INT8_MAX) return empty_set();
    auto colour = int8_t(a[1].num);
    bool counted = g.area() > 0 && a[0].grid->counts && colour >= 0 && colour <= 9;
    size_t n = counted ? a[0].grid->counts[colour] : size_t(std::count(g.cells, g.cells + g.area(), colour));
    if (n == 0) return empty_set();
    check_places(g);
    uint32_t* keys;
    Value v = new_patch(run, n, keys);
    uint32_t* const end = keys + n;
    int64_t row_end = g.w;
    uint32_t row = pair_key(0, 0); // the key of the row's first cell minus the index of that cell
    for (int64_t at = 0; keys < end; at += 8)
        for (uint32_t found = eight_alike(g.cells + at, colour); found && keys < end; found &= found - 1) {
            int64_t cell = at + std::countr_zero(found);
            for (; cell >= row_end; row_end += g.w) row += (1u << 16) - uint32_t(g.w);
            *keys++ = row + uint32_t(cell);
        }
    return v;
}

Value asobject(Run& run, const Value* a) {
    GridView g = grid(a[0]);
    if (g.area() == 0) return empty_set();
    check_places(g);
    Histogram counts(run, a[0]);
    uint64_t* keys;
    Value v = new_patch(run, g.area(), keys);
    uint64_t* next[256];
    for (int c = counts.low(); c <= counts.high(); ++c) {
        next[c - INT8_MIN] = keys;
        keys += counts[c];
    }
    each_stretch(g, [&](int i, int begin, int end, int c) {
        next[c - INT8_MIN] = write_stretch(next[c - INT8_MIN], cell_key(c, pair_key(i, begin)), end - begin);
    });
    return v;
}

Value toobject(Run& run, const Value* a) {
    GridView g = nonempty_grid(a[1]);
    Places places(run, a[0]);
    run.charge(places.size());
    ObjectBuilder keys(run, places.size());
    for (uint32_t key : places)
        if (int64_t at = g.find(key); at >= 0) keys.push(cell_key(g.cells[at], key));
    return keys.finish_unsorted();
}

// The set of objects of all cells of one colour, for each colour except `without`.
Value partition(Run& run, Value grid_value, int without) {
    GridView g = grid(grid_value);
    if (g.area() == 0) return empty_set();
    check_places(g);
    Histogram counts(run, grid_value);
    Buffer<Value> parts(run);
    uint64_t* next[256];
    for (int v = counts.low(); v <= counts.high(); ++v)
        if (counts[v] > 0 && v != without) parts.push(new_patch(run, counts[v], next[v - INT8_MIN]));
    each_stretch(g, [&](int i, int begin, int end, int v) {
        if (v == without) return;
        next[v - INT8_MIN] = write_stretch(next[v - INT8_MIN], cell_key(v, pair_key(i, begin)), end - begin);
    });
    return make_sorted_set(run, {parts.begin(), parts.size()});
}

// A stable counting sort of the numbers below n by colour. Calls `put(position, number)` for each.
template <class Colour, class Put> void sort_by_colour(uint32_t n, Colour colour, Put put) {
    int low = INT8_MAX, high = INT8_MIN;
    for (uint32_t k = 0; k < n; ++k) {
        low = std::min<int>(low, colour(k));
        high = std::max<int>(high, colour(k));
    }
    uint32_t next[257]; // for each colour, the next position
    std::fill_n(next, high - low + 2, 0);
    for (uint32_t k = 0; k < n; ++k) ++next[colour(k) - low + 1];
    for (int v = 1; v <= high - low; ++v) next[v] += next[v - 1];
    for (uint32_t k = 0; k < n; ++k) put(next[colour(k) - low]++, k);
}

// The connected components of a grid. A union-find joins each stretch of one colour with the
// stretches that it touches. Then the stretches are distributed to their components in the order of
// colour and place, so that each component is sorted, and so is the list of components, as they
// have no cell in common.
Value objects(Run& run, const Value* a) {
    struct Stretch {
        uint32_t place, parent; // in the union-find, never after its child; later the number of the part
        uint16_t begin, end;
        int colour;
    };
    GridView g = nonempty_grid(a[0]);
    bool univalued = truthy(a[1]), without_background = truthy(a[3]);
    int reach = truthy(a[2]) ? 1 : 0; // 1 if cells that share only a corner are connected
    run.charge(4 * g.area() + 16);
    int bg = without_background ? background(run, a[0]) : INT16_MIN;
    if (g.area() == 0) return empty_set();
    check_places(g);

    size_t max_stretches = kUsualArea;
    if (g.area() > kUsualArea)
        each_stretch(g, [&, n = size_t(0)](int, int, int, int) mutable { max_stretches = ++n; });
    Buffer<Stretch, kUsualArea> room(run, max_stretches);
    Stretch* const all = room.begin();
    uint32_t n = 0, first = 0; // the first stretch of this row
    const int8_t* row = g.cells;
    for (int i = 0; i < g.h; ++i, row += g.w) {
        uint32_t above = first; // the first stretch of the row above that may still touch
        first = n;
        each_stretch(row, g.w, [&](int begin, int end, int v) {
            if (v == bg) return;
            all[n] = {pair_key(i, begin), n, uint16_t(begin), uint16_t(end), v};
            uint32_t part = n; // the root of its tree
            auto join = [&](uint32_t m) {
                while (all[m].parent != m) m = all[m].parent = all[all[m].parent].parent;
                all[std::max(m, part)].parent = std::min(m, part);
                part = std::min(m, part);
            };
            if (!univalued && n > first && all[n - 1].end == begin) join(n - 1);
            while (above < first && all[above].end + reach <= begin) ++above;
            for (uint32_t m = above; m < first && all[m].begin < end + reach; ++m)
                if (!univalued || all[m].colour == v) join(m);
            ++n;
        });
    }
    if (n == 0) return empty_set();

    struct Part {
        uint32_t cells;
        int colour;     // of its first stretch
        uint64_t* next; // where its next cell is written
    };
    Buffer<Part, 64> parts(run);
    for (uint32_t k = 0; k < n; ++k) {
        Stretch& s = all[k];
        if (s.parent == k) { // a root: the first stretch of its part
            s.parent = uint32_t(parts.size());
            parts.push({0, s.colour, nullptr});
        } else {
            s.parent = all[s.parent].parent; // the parent has its number already
        }
        parts[s.parent].cells += uint32_t(s.end - s.begin);
    }
    Buffer<Value, 64> found(run, parts.size());
    found.resize(parts.size());
    auto make = [&](uint32_t place, Part& part) { found[place] = new_patch(run, part.cells, part.next); };
    auto write = [&](const Stretch& s) {
        uint64_t*& next = parts[s.parent].next;
        next = write_stretch(next, cell_key(s.colour, s.place), s.end - s.begin);
    };
    if (univalued) {
        auto part_colour = [&](uint32_t k) { return parts[k].colour; };
        sort_by_colour(uint32_t(parts.size()), part_colour,
                       [&](uint32_t place, uint32_t k) { make(place, parts[k]); });
        for (uint32_t k = 0; k < n; ++k) write(all[k]);
    } else {
        Buffer<uint32_t, kUsualArea> ordered(run, n); // by colour, and then by place
        ordered.resize(n);
        auto colour = [&](uint32_t k) { return all[k].colour; };
        sort_by_colour(n, colour, [&](uint32_t place, uint32_t k) { ordered[place] = k; });
        uint32_t made = 0;
        for (uint32_t k : ordered) {
            Part& part = parts[all[k].parent];
            if (!part.next) make(made++, part);
            write(all[k]);
        }
    }
    return make_sorted_set(run, {found.begin(), found.size()});
}

Value occurrences(Run& run, const Value* a) {
    struct Wanted {
        int at, colour; // `at` is an index of a cell, relative to the place of the object
    };
    GridView g = nonempty_grid(a[0]);
    Cells cells(run, a[1]);
    Extent e{0, 0, 0, 0};
    if (!cells.empty()) e = extent(run, a[1]);
    Buffer<Wanted, kUsualArea> wanted(run, cells.keys().size());
    for (uint64_t key : cells) {
        int i = key_i(uint32_t(key)) - e.top, j = key_j(uint32_t(key)) - e.left;
        wanted.push({i * g.w + j, key_value(key)});
    }
    IndicesBuilder found(run, 8);
    int columns = g.w - e.width() + 1;
    // A bit mask of the eight places at which the object's first cell occurs.
    auto candidates = [&](const int8_t* eight) {
        if (wanted.empty()) return 0xffu;
        bool fits = wanted[0].colour == int8_t(wanted[0].colour);
        return fits ? eight_alike(eight + wanted[0].at, int8_t(wanted[0].colour)) : 0;
    };
    for (int i = 0; i + e.height() <= g.h; ++i) {
        run.charge(1);
        const int8_t* row = g.cells + int64_t(i) * g.w;
        for (int j = 0; j < columns; j += 8) {
            int n = std::min(8, columns - j);
            uint32_t likely = candidates(row + j) & ((1u << n) - 1);
            run.charge(2 * uint64_t(n - std::popcount(likely))); // the others fail at their first cell
            for (; likely; likely &= likely - 1) {
                int k = j + std::countr_zero(likely);
                auto differs = [at = row + k](Wanted w) { return at[w.at] != w.colour; };
                const Wanted* failed = std::find_if(wanted.begin(), wanted.end(), differs);
                bool occurs = failed == wanted.end();
                run.charge(1 + size_t(failed - wanted.begin()) + !occurs);
                if (occurs) found.push(uint32_t(make_pair(i, k).key));
            }
        }
    }
    return found.finish_sorted();
}

// Which rows and columns have only one colour.
struct Lines {
    Buffer<uint8_t> rows, columns;
    Lines(Run& run, const GridView& g) : rows(run, size_t(g.h)), columns(run, size_t(g.w)) {
        run.charge(2 * g.area() + size_t(g.h) + size_t(g.w) + 1);
        rows.resize(size_t(g.h));
        columns.resize(size_t(g.w));
        uint8_t* const whole = columns.begin();
        std::fill_n(whole, g.w, 1);
        const int8_t* row = g.cells;
        for (int i = 0; i < g.h; ++i, row += g.w) {
            int8_t first = g.w > 0 ? row[0] : 0;
            uint8_t differs = g.w == 0;
            for (int j = 0; j < g.w; ++j) {
                differs |= row[j] ^ first;
                whole[j] &= row[j] == g.cells[j];
            }
            rows[size_t(i)] = !differs;
        }
    }
};

Value frontiers(Run& run, const Value* a) {
    GridView g = nonempty_grid(a[0]);
    Lines lines(run, g);
    make_pair(g.h, g.w); // an Overflow fault if places of the grid exceed 16 bits
    Buffer<Value> found(run);
    uint64_t* keys;
    for (int i = 0; i < g.h; ++i) {
        if (!lines.rows[size_t(i)]) continue;
        found.push(new_patch(run, size_t(g.w), keys));
        for (int j = 0; j < g.w; ++j) *keys++ = cell_key(g.at(i, j), pair_key(i, j));
    }
    for (int j = 0; j < g.w; ++j) {
        if (!lines.columns[size_t(j)]) continue;
        found.push(new_patch(run, size_t(g.h), keys));
        for (int i = 0; i < g.h; ++i) *keys++ = cell_key(g.at(i, j), pair_key(i, j));
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
    return strided_grid(run, g, g.w, g.h, int64_t(g.h - 1) * g.w, -g.w, 1);
}
Value rot180(Run& run, const Value* a) {
    GridView g = grid(a[0]);
    return strided_grid(run, g, g.h, g.w, int64_t(g.area()) - 1, -1, -g.w);
}
Value rot270(Run& run, const Value* a) {
    GridView g = grid(a[0]);
    return strided_grid(run, g, g.w, g.h, g.w - 1, g.w, -1);
}

struct Slice {
    int64_t begin, end;
    int64_t size() const { return std::max<int64_t>(end - begin, 0); }
};

// The slice [start:stop] of a Python sequence with n elements.
Slice slice(int64_t start, int64_t stop, int64_t n) {
    auto place = [n](int64_t k) { return std::clamp<int64_t>(k < 0 ? k + n : k, 0, n); };
    return {place(start), place(stop)};
}

Value cut(Run& run, const GridView& g, Slice rows, Slice columns) {
    int8_t* out;
    Value v = new_grid(run, rows.size(), columns.size(), out);
    size_t width = size_t(columns.size());
    for (int64_t i = rows.begin; i < rows.end && width > 0; ++i, out += width)
        std::memcpy(out, g.cells + i * g.w + columns.begin, width);
    return v;
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
    bool listed = a[0].is_tuple(); // the oracle takes the lengths of a tuple for its shape
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
    run.charge(uint64_t(std::max<int64_t>(n, 0)));
    Buffer<Value> parts(run);
    for (int64_t k = 0; k < n; ++k)
        parts.push(horizontal ? crop(run, g, 0, stride * k, g.h, part)
                              : crop(run, g, stride * k, 0, part, g.w));
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
    int8_t* out;
    Value v = new_grid(run, std::min(x.h, y.h), int64_t(x.w) + y.w, out);
    for (int i = 0; i < std::min(x.h, y.h); ++i) {
        out = std::copy_n(x.cells + int64_t(i) * x.w, x.w, out);
        out = std::copy_n(y.cells + int64_t(i) * y.w, y.w, out);
    }
    return v;
}

Value vconcat(Run& run, const Value* a) {
    for (int k = 0; k < 2; ++k)
        if (!a[k].is_tuple()) wrong_type("a grid", a[k]);
    if (a[0].tag == Tag::Grid && a[1].tag == Tag::Grid && a[0].grid->width == a[1].grid->width) {
        GridView x = grid(a[0]), y = grid(a[1]);
        int8_t* out;
        Value v = new_grid(run, int64_t(x.h) + y.h, x.w, out);
        out = std::copy_n(x.cells, x.area(), out);
        std::copy_n(y.cells, y.area(), out);
        return v;
    }
    run.charge(length(a[0]) + length(a[1]));
    Buffer<Value> rows(run, length(a[0]) + length(a[1]));
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
    int8_t* out;
    Value stretched = new_grid(run, g.h * down, g.w * across, out);
    if (down == 0 || across == 0) return stretched;
    for (const int8_t *cell = g.cells, *end = cell + g.area(); cell < end;) {
        const int8_t* row = out;
        for (int j = 0; j < g.w; ++j, ++cell)
            for (int64_t k = 0; k < across; ++k) *out++ = *cell;
        for (int64_t k = 1; k < down; ++k) out = std::copy_n(row, g.w * across, out);
    }
    return stretched;
}

Value upscale(Run& run, const Value* a) {
    int64_t factor = number(a[1]);
    if (a[0].is_tuple()) return stretch(run, a[0], factor, factor);
    Cells cells(run, a[0]);
    if (cells.empty() || factor <= 0) return empty_set();
    Extent e = extent(run, a[0]);
    if (factor > INT16_MAX) fail(Kind::Overflow, "a coordinate exceeds 16 bits");
    uint64_t total = cells.keys().size() * uint64_t(factor) * uint64_t(factor);
    run.charge(total);
    ObjectBuilder keys(run, total);
    for (uint64_t key : cells) {
        int64_t i = e.top + (key_i(uint32_t(key)) - e.top) * factor;
        int64_t j = e.left + (key_j(uint32_t(key)) - e.left) * factor;
        for (int64_t di = 0; di < factor; ++di)
            for (int64_t dj = 0; dj < factor; ++dj)
                keys.push(cell_key(key_value(key), uint32_t(make_pair(i + di, j + dj).key)));
    }
    return keys.finish_unsorted();
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
    if (x.w > 0 && (y.h < x.h || y.w < x.w)) bad_value("the second grid is smaller");
    int fallback = colour(a[2]);
    return build_grid(run, x.h, x.w,
                 [&](int i, int j) { return x.at(i, j) == y.at(i, j) ? x.at(i, j) : int8_t(fallback); });
}

template <class Colour> Value recoloured(Run& run, const GridView& g, Colour colour) {
    int8_t* out;
    Value v = new_grid(run, g.h, g.w, out);
    for (size_t k = 0, n = g.area(); k < n; ++k) out[k] = int8_t(colour(g.cells[k]));
    return v;
}

Value replace(Run& run, const Value* a) {
    GridView g = grid(a[0]);
    bool occurs =
        a[1].is_number() && std::any_of(g.cells, g.cells + g.area(), [&](int v) { return v == a[1].num; });
    run.charge(g.area());
    if (!occurs) return a[0];
    int from = colour(a[1]), to = colour(a[2]);
    return recoloured(run, g, [&](int v) { return v == from ? to : v; });
}

Value exchange(Run& run, const Value* a) {
    GridView g = grid(a[0]);
    int x = colour(a[1]), y = colour(a[2]);
    return recoloured(run, g, [&](int v) { return v == x ? y : v == y ? x : v; });
}

Value canvas(Run& run, const Value* a) {
    int64_t h, w;
    coordinate(a[1], h, w);
    int v = h > 0 && w > 0 ? colour(a[0]) : 0;
    int8_t* cells;
    Value result = new_grid(run, h, w, cells);
    if (h > 0 && w > 0) std::memset(cells, v, size_t(h * w));
    return result;
}

Value index(Run&, const Value* a) {
    GridView g = nonempty_grid(a[0]);
    if (a[1].tag != Tag::Pair) wrong_type("a pair of integers", a[1]);
    int i = a[1].i(), j = a[1].j();
    return g.holds(i, j) ? Value::integer(g.at(i, j)) : Value::none();
}

// --- painting ---------------------------------------------------------------------------------------

// A copy of a grid that can be painted; with `under`, only where it still has the background
// colour.
template <bool under> class Painting {
  public:
    Painting(Run& run, Value grid_value) : g_(nonempty_grid(grid_value)) {
        if (under) background_ = background(run, grid_value);
        value_ = new_grid(run, g_.h, g_.w, cells_);
        if (g_.area()) std::memcpy(cells_, g_.cells, g_.area());
        row_ = cells_;
    }
    // The cell at a place, or nullptr if it is not to be painted.
    int8_t* find(uint32_t key) {
        if (key - first_ >= uint32_t(g_.w)) { // not in the row of the last place
            int64_t at = g_.find(key);
            if (at < 0) return nullptr;
            first_ = pair_key(key_i(key), 0);
            row_ = cells_ + at - key_j(key);
        }
        int8_t* cell = row_ + (key - first_);
        return !under || *cell == background_ ? cell : nullptr;
    }
    Value value() const { return value_; }

  private:
    GridView g_;
    Value value_;
    int8_t *cells_, *row_;
    uint32_t first_ = pair_key(0, 0); // the key of the first cell of row_
    int background_ = 0;
};

template <bool under> Value fill(Run& run, Value grid_value, Value value, Value patch) {
    Painting<under> painting(run, grid_value);
    Places places(run, patch);
    run.charge(places.size());
    bool fits = value.is_number() && value.num >= INT8_MIN && value.num <= INT8_MAX;
    for (uint32_t key : places)
        if (int8_t* cell = painting.find(key)) *cell = fits ? int8_t(value.num) : int8_t(colour(value));
    return painting.value();
}

template <bool under> Value paint(Run& run, Value grid_value, Value object) {
    Painting<under> painting(run, grid_value);
    Cells cells(run, object);
    run.charge(cells.keys().size());
    for (uint64_t key : cells)
        if (int8_t* cell = painting.find(uint32_t(key)))
            *cell = int8_t(colour(Value::integer(key_value(key))));
    return painting.value();
}

Value cover(Run& run, Value grid_value, Value patch) {
    nonempty_grid(grid_value);
    return fill<false>(run, grid_value, Value::integer(background(run, grid_value)), patch);
}

Value move(Run& run, const Value* a) {
    Value covered = cover(run, a[0], a[1]);
    int shift_id = find_primitive("shift");
    Value shifted = primitives()[size_t(shift_id)].function(run, a + 1);
    return paint<false>(run, covered, shifted);
}

} // namespace

const std::vector<Primitive> themes::grids = {
    {"mostcolor", 1, "Element -> Integer", "The most frequent colour; the smallest in a tie.",
     extreme_colour<true>},
    {"leastcolor", 1, "Element -> Integer", "The least frequent colour; the smallest in a tie.",
     extreme_colour<false>},
    {"colorcount", 2, "Element, Integer -> Integer", "The number of cells of a colour.", colorcount},
    {"colorfilter", 2, "Objects, Integer -> Objects", "The objects of a colour.", colorfilter},
    {"sizefilter", 2, "Container, Integer -> FrozenSet", "The elements that have n elements.", sizefilter},
    {"asindices", 1, "Grid -> Indices", "All places of the grid.", asindices},
    {"ofcolor", 2, "Grid, Integer -> Indices", "The places of a colour.", ofcolor},
    {"crop", 3, "Grid, IntegerTuple, IntegerTuple -> Grid",
     "The part of the grid that starts at a place and has a given shape.",
     [](Run& run, const Value* a) { return crop(run, a); }},
    {"objects", 4, "Grid, Boolean, Boolean, Boolean -> Objects",
     "The connected parts. The flags: only cells of one colour connect, corners connect, leave out the "
     "background.",
     objects},
    {"partition", 1, "Grid -> Objects", "For each colour, the object of all its cells.",
     [](Run& run, const Value* a) { return partition(run, a[0], INT16_MIN); }},
    {"fgpartition", 1, "Grid -> Objects",
     "For each colour except the background, the object of all its cells.",
     [](Run& run, const Value* a) {
         int unwanted = background(run, a[0]);
         return partition(run, a[0], unwanted);
     }},
    {"palette", 1, "Element -> IntegerSet", "The colours that occur.", palette},
    {"numcolors", 1, "Element -> IntegerSet", "The number of colours that occur.",
     [](Run& run, const Value* a) { return Value::integer(int64_t(length(palette(run, a)))); }},
    {"color", 1, "Object -> Integer", "The colour of an object's first cell.",
     [](Run& run, const Value* a) { return color(run, a[0]); }},
    {"toobject", 2, "Patch, Grid -> Object", "The grid's cells at the places of a patch.", toobject},
    {"asobject", 1, "Grid -> Object", "The whole grid as an object.", asobject},
    {"rot90", 1, "Grid -> Grid", "A quarter turn clockwise.", rot90},
    {"rot180", 1, "Grid -> Grid", "A half turn.", rot180},
    {"rot270", 1, "Grid -> Grid", "A quarter turn counter-clockwise.", rot270},
    {"fill", 3, "Grid, Integer, Patch -> Grid", "The grid with the places of a patch in one colour.",
     [](Run& run, const Value* a) { return fill<false>(run, a[0], a[1], a[2]); }},
    {"paint", 2, "Grid, Object -> Grid", "The grid with an object painted on it.",
     [](Run& run, const Value* a) { return paint<false>(run, a[0], a[1]); }},
    {"underfill", 3, "Grid, Integer, Patch -> Grid",
     "Like fill, but only where the grid has its background colour.",
     [](Run& run, const Value* a) { return fill<true>(run, a[0], a[1], a[2]); }},
    {"underpaint", 2, "Grid, Object -> Grid",
     "Like paint, but only where the grid has its background colour.",
     [](Run& run, const Value* a) { return paint<true>(run, a[0], a[1]); }},
    {"hupscale", 2, "Grid, Integer -> Grid", "Each cell repeated n times horizontally.",
     [](Run& run, const Value* a) { return stretch(run, a[0], 1, number(a[1])); }},
    {"vupscale", 2, "Grid, Integer -> Grid", "Each cell repeated n times vertically.",
     [](Run& run, const Value* a) { return stretch(run, a[0], number(a[1]), 1); }},
    {"upscale", 2, "Element, Integer -> Element", "Each cell enlarged to a square of n × n cells.", upscale},
    {"downscale", 2, "Grid, Integer -> Grid", "Every n-th cell of every n-th row.", downscale},
    {"hconcat", 2, "Grid, Grid -> Grid", "Two grids side by side.", hconcat},
    {"vconcat", 2, "Grid, Grid -> Grid", "One grid above the other.", vconcat},
    {"subgrid", 2, "Patch, Grid -> Grid", "The part of the grid in the bounding box of a patch.", subgrid},
    {"hsplit", 2, "Grid, Integer -> Tuple", "The grid cut into n parts side by side.",
     [](Run& run, const Value* a) { return split(run, a, true); }},
    {"vsplit", 2, "Grid, Integer -> Tuple", "The grid cut into n parts from top to bottom.",
     [](Run& run, const Value* a) { return split(run, a, false); }},
    {"cellwise", 3, "Grid, Grid, Integer -> Grid",
     "The cells in which two grids agree, and a fallback colour elsewhere.", cellwise},
    {"replace", 3, "Grid, Integer, Integer -> Grid", "One colour replaced by another.", replace},
    {"switch", 3, "Grid, Integer, Integer -> Grid", "Two colours exchanged.", exchange},
    {"index", 2, "Grid, IntegerTuple -> Integer", "The colour at a place; None outside the grid.", index},
    {"canvas", 2, "Integer, IntegerTuple -> Grid", "A grid of one colour.", canvas},
    {"cover", 2, "Grid, Patch -> Grid", "The grid with the places of a patch in the background colour.",
     [](Run& run, const Value* a) { return cover(run, a[0], a[1]); }},
    {"trim", 1, "Grid -> Grid", "The grid without its border.", trim},
    {"move", 3, "Grid, Object, IntegerTuple -> Grid", "An object of the grid moved by an offset.", move},
    {"tophalf", 1, "Grid -> Grid", "The upper half.",
     [](Run& run, const Value* a) { return top_or_bottom(run, a[0], true); }},
    {"bottomhalf", 1, "Grid -> Grid", "The lower half.",
     [](Run& run, const Value* a) { return top_or_bottom(run, a[0], false); }},
    {"lefthalf", 1, "Grid -> Grid", "The left half.",
     [](Run& run, const Value* a) { return left_or_right(run, a[0], true); }},
    {"righthalf", 1, "Grid -> Grid", "The right half.",
     [](Run& run, const Value* a) { return left_or_right(run, a[0], false); }},
    {"occurrences", 2, "Grid, Object -> Indices", "The places where the object occurs in the grid.",
     occurrences},
    {"frontiers", 1, "Grid -> Objects", "The rows and columns that have only one colour.", frontiers},
    {"compress", 1, "Grid -> Grid", "The grid without the rows and columns that have only one colour.",
     compress},
};

} // namespace codeit
