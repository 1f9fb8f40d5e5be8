// Primitives on patches: sets of places (Indices) and of coloured places (Objects).
//
// As in the oracle, a tuple of places or of cells is accepted as a patch wherever only the places
// matter.
#include <algorithm>
#include <bit>

#include "table.hpp"

namespace codeit {

namespace {

int64_t height(Run& run, Value piece) {
    size_t n = length(piece);
    if (n == 0) return 0;
    return piece.is_tuple() ? int64_t(n) : extent(run, piece).height();
}

int64_t width(Run& run, Value piece) {
    if (length(piece) == 0) return 0;
    if (!piece.is_tuple()) return extent(run, piece).width();
    if (piece.tag == Tag::Grid) return piece.grid->width;
    return int64_t(length(Items(run, piece)[0]));
}

Value toindices(Run& run, Value patch) {
    if (patch.tag == Tag::Indices) return patch;
    if (length(patch) == 0) return empty_set();
    if (patch.is_tuple() && !coloured(run, patch)) {
        Places check(run, patch); // Type fault if it is not a tuple of places
        return patch;
    }
    Places places(run, patch);
    IndicesBuilder keys(run, places.size());
    keys.append(places.begin(), places.size());
    return keys.finish_sorted();
}

// An Overflow fault if a patch with this extent, moved by an offset, would exceed 16 bits.
void check_range(const Extent& e, int64_t di, int64_t dj) {
    make_pair(e.top + di, e.left + dj);
    make_pair(e.bottom + di, e.right + dj);
}

constexpr uint32_t offset(int64_t di, int64_t dj) { return (uint32_t(di) << 16) + uint32_t(dj); }

Value shift(Run& run, Value patch, int64_t di, int64_t dj) {
    if (length(patch) == 0) return patch;
    uint32_t delta = offset(di, dj);
    auto moved = [delta](uint64_t key) { return (key & ~uint64_t(UINT32_MAX)) | (uint32_t(key) + delta); };
    // The offset does not change the order of the keys.
    if (patch.tag == Tag::Indices) {
        check_range(extent(run, patch), di, dj);
        uint32_t* out;
        Value v = new_patch(run, patch.indices->n, out);
        for (uint32_t k = 0; k < patch.indices->n; ++k) out[k] = patch.indices->keys[k] + delta;
        return v;
    }
    if (patch.tag == Tag::Object) {
        check_range(extent(run, patch), di, dj);
        uint64_t* out;
        Value v = new_patch(run, patch.object->n, out);
        for (uint32_t k = 0; k < patch.object->n; ++k) out[k] = moved(patch.object->keys[k]);
        return v;
    }
    Places places(run, patch);
    check_range(extent(run, places), di, dj);
    if (coloured(run, patch)) {
        Cells cells(run, patch);
        ObjectBuilder keys(run, cells.keys().size());
        for (uint64_t key : cells) keys.push(moved(key));
        return keys.finish_unsorted();
    }
    IndicesBuilder keys(run, places.size());
    for (uint32_t key : places) keys.push(key + delta);
    return keys.finish_unsorted();
}

Value shift(Run& run, const Value* a) {
    if (length(a[0]) == 0) return a[0];
    if (a[1].tag != Tag::Pair) wrong_type("a pair of integers", a[1]);
    return shift(run, a[0], a[1].i(), a[1].j());
}

Value normalize(Run& run, Value patch) {
    if (length(patch) == 0) return patch;
    Extent e = extent(run, patch);
    return shift(run, patch, -e.top, -e.left);
}

// The patch with each place (i, j) moved to `move(i, j)`.
template <class Move> Value moved(Run& run, Value patch, Move move) {
    auto key = [&](uint32_t k) {
        auto [i, j] = move(key_i(k), key_j(k));
        return uint32_t(make_pair(i, j).key);
    };
    if (coloured(run, patch)) {
        Cells cells(run, patch);
        ObjectBuilder keys(run, cells.keys().size());
        for (uint64_t k : cells) keys.push((k & ~uint64_t(UINT32_MAX)) | key(uint32_t(k)));
        return keys.finish_unsorted();
    }
    Places places(run, patch);
    IndicesBuilder keys(run, places.size());
    for (uint32_t k : places) keys.push(key(k));
    return keys.finish_unsorted();
}

using Place = std::pair<int64_t, int64_t>;

Value mirror_rows(Run& run, Value patch) {
    Extent e = extent(run, patch);
    return moved(run, patch, [&](int i, int j) { return Place(e.top + e.bottom - i, j); });
}
Value mirror_columns(Run& run, Value patch) {
    Extent e = extent(run, patch);
    return moved(run, patch, [&](int i, int j) { return Place(i, e.left + e.right - j); });
}
Value mirror_diagonal(Run& run, Value patch) {
    Extent e = extent(run, patch);
    return moved(run, patch, [&](int i, int j) { return Place(j - e.left + e.top, i - e.top + e.left); });
}

Value reversed(Run& run, Value tuple) {
    Items items(run, tuple);
    Buffer<Value> all(run, items.size());
    for (size_t k = items.size(); k-- > 0;) all.push(items[k]);
    return make_tuple(run, {all.begin(), all.size()});
}

Value hmirror(Run& run, const Value* a) {
    if (!a[0].is_tuple()) return mirror_rows(run, a[0]);
    if (a[0].tag != Tag::Grid) return reversed(run, a[0]);
    GridView g = grid(a[0]);
    int8_t* out;
    Value v = new_grid(run, g.h, g.w, out);
    for (int i = g.h; i-- > 0; out += g.w) std::memcpy(out, g.cells + int64_t(i) * g.w, size_t(g.w));
    return v;
}

Value vmirror(Run& run, const Value* a) {
    if (!a[0].is_tuple()) return mirror_columns(run, a[0]);
    GridView g = grid(a[0]);
    return strided_grid(run, g, g.h, g.w, g.w - 1, -1, g.w);
}

Value dmirror(Run& run, const Value* a) {
    if (!a[0].is_tuple()) return mirror_diagonal(run, a[0]);
    GridView g = grid(a[0]);
    return strided_grid(run, g, g.w, g.h, 0, g.w, 1);
}

Value cmirror(Run& run, const Value* a) {
    if (!a[0].is_tuple()) return mirror_columns(run, mirror_diagonal(run, mirror_columns(run, a[0])));
    GridView g = grid(a[0]);
    return strided_grid(run, g, g.w, g.h, int64_t(g.area()) - 1, -g.w, -1);
}

Value recolor(Run& run, const Value* a) {
    Places places(run, a[1]);
    run.charge(places.size());
    if (a[0].is_number() && a[0].num >= INT16_MIN && a[0].num <= INT16_MAX) {
        if (places.sorted() && !places.empty()) {
            uint64_t* out;
            Value v = new_patch(run, places.size(), out);
            for (uint32_t key : places) *out++ = cell_key(int(a[0].num), key);
            return v;
        }
        ObjectBuilder keys(run, places.size());
        for (uint32_t key : places) keys.push(cell_key(int(a[0].num), key));
        return keys.finish_unsorted();
    }
    Buffer<Value> items(run, places.size());
    for (uint32_t key : places) items.push(make_tuple(run, a[0], Value::pair(key)));
    return make_set(run, {items.begin(), items.size()});
}

template <size_t N> Value around(Run& run, Value location, const uint32_t (&offsets)[N]) {
    int64_t i, j;
    coordinate(location, i, j);
    // Overflow faults if a neighbour exceeds 16 bits.
    make_pair(i - 1, j - 1);
    make_pair(i + 1, j + 1);
    uint32_t* keys;
    Value v = new_patch(run, N, keys);
    uint32_t key = pair_key(int(i), int(j));
    for (size_t k = 0; k < N; ++k) keys[k] = key + offsets[k];
    return v;
}

// Each list is in the order of keys.
constexpr uint32_t kDirect[] = {offset(-1, 0), offset(0, -1), offset(0, 1), offset(1, 0)};
constexpr uint32_t kDiagonal[] = {offset(-1, -1), offset(-1, 1), offset(1, -1), offset(1, 1)};
constexpr uint32_t kAll[] = {offset(-1, -1), offset(-1, 0), offset(-1, 1), offset(0, -1),
                             offset(0, 1),   offset(1, -1), offset(1, 0),  offset(1, 1)};

enum class Corner { UpperLeft, UpperRight, LowerLeft, LowerRight };

template <Corner C> Value corner(Run& run, Value patch) {
    Places places(run, patch);
    if (places.empty()) return empty_tuple(); // like the oracle
    Extent e = extent(run, places);
    bool upper = C == Corner::UpperLeft || C == Corner::UpperRight;
    bool left = C == Corner::UpperLeft || C == Corner::LowerLeft;
    return make_pair(upper ? e.top : e.bottom, left ? e.left : e.right);
}

Value corners(Run& run, const Value* a) {
    Value all[] = {corner<Corner::UpperLeft>(run, a[0]), corner<Corner::UpperRight>(run, a[0]),
                   corner<Corner::LowerLeft>(run, a[0]), corner<Corner::LowerRight>(run, a[0])};
    return make_set(run, all);
}

Value square(Run& run, const Value* a) {
    if (a[0].is_tuple()) {
        if (length(a[0]) == 0) bad_value("the grid is empty");
        return Value::boolean(int64_t(length(a[0])) == width(run, a[0]));
    }
    int64_t h = height(run, a[0]), w = width(run, a[0]);
    return Value::boolean(h * w == int64_t(length(a[0])) && h == w);
}

// Whether a row (or column) has cells of both patches.
template <class Line> Value share_line(Run& run, Value a, Value b, Line line) {
    Places x(run, a), y(run, b);
    run.charge(x.size() + y.size());
    if (x.empty() || y.empty()) return Value::boolean(false);
    auto near = [&](uint32_t key) { return uint32_t(line(key) - line(x.keys()[0]) + 32) < 64; };
    auto bit = [&](uint32_t key) { return uint64_t(1) << (line(key) - line(x.keys()[0]) + 32); };
    if (std::all_of(x.begin(), x.end(), near)) {
        uint64_t lines = 0;
        for (uint32_t key : x) lines |= bit(key);
        return Value::boolean(
            std::any_of(y.begin(), y.end(), [&](uint32_t key) { return near(key) && (lines & bit(key)); }));
    }
    run.charge((x.size() + y.size()) * size_t(std::bit_width(x.size())));
    Buffer<uint32_t> lines(run, x.size());
    for (uint32_t key : x) lines.push(line(key));
    std::sort(lines.begin(), lines.end());
    return Value::boolean(std::any_of(y.begin(), y.end(), [&](uint32_t key) {
        return std::binary_search(lines.begin(), lines.end(), line(key));
    }));
}
Value hmatching(Run& run, const Value* a) {
    return share_line(run, a[0], a[1], [](uint32_t key) { return key >> 16; });
}
Value vmatching(Run& run, const Value* a) {
    return share_line(run, a[0], a[1], [](uint32_t key) { return key & 0xffff; });
}

Value manhattan(Run& run, const Value* a) {
    Places x(run, a[0]), y(run, a[1]);
    if (x.empty() || y.empty()) bad_value("the patch is empty");
    run.charge(x.size() * y.size());
    int least = INT32_MAX;
    for (uint32_t p : x)
        for (uint32_t q : y)
            least = std::min(least, std::abs(key_i(p) - key_i(q)) + std::abs(key_j(p) - key_j(q)));
    return Value::integer(least);
}

// Whether the minimum Manhattan distance of two patches is 1, without computing all distances. `a`
// is moved by an offset; `b` is sorted.
bool adjacent(Run& run, std::span<const uint32_t> a, const Extent& ea, int64_t di, int64_t dj,
              std::span<const uint32_t> b, const Extent& eb) {
    run.charge(1);
    int64_t rows = std::max<int64_t>(eb.top - (ea.bottom + di), (ea.top + di) - eb.bottom);
    int64_t columns = std::max<int64_t>(eb.left - (ea.right + dj), (ea.left + dj) - eb.right);
    if (std::max<int64_t>(rows, 0) + std::max<int64_t>(columns, 0) > 1) return false;
    run.charge(a.size() * (2 + 2 * size_t(std::bit_width(b.size()))));
    auto holds = [&](int64_t i, int64_t j) {
        if (i < eb.top || i > eb.bottom || j < eb.left || j > eb.right) return false;
        return std::binary_search(b.begin(), b.end(), pair_key(int(i), int(j)));
    };
    bool touches = false;
    for (uint32_t key : a) {
        int64_t i = key_i(key) + di, j = key_j(key) + dj;
        if (holds(i, j)) return false; // they overlap: the distance is 0
        touches = touches || holds(i - 1, j) || holds(i + 1, j) || holds(i, j - 1) || holds(i, j + 1);
    }
    return touches;
}

struct SortedPlaces {
    Places places;
    Buffer<uint32_t> store;
    std::span<const uint32_t> keys;
    SortedPlaces(Run& run, Value patch) : places(run, patch), store(run), keys(places.keys()) {
        if (places.sorted()) return;
        for (uint32_t key : places) store.push(key);
        run.charge(store.size() * size_t(std::bit_width(store.size())));
        std::sort(store.begin(), store.end());
        keys = {store.begin(), store.size()};
    }
};

Value adjacent(Run& run, const Value* a) {
    Places x(run, a[0]);
    SortedPlaces y(run, a[1]);
    return Value::boolean(adjacent(run, x.keys(), extent(run, x), 0, 0, y.keys, extent(run, y.places)));
}

Value bordering(Run& run, const Value* a) {
    Extent e = extent(run, a[0]);
    if (e.top == 0 || e.left == 0) return Value::boolean(true);
    if (e.bottom == grid(a[1]).h - 1) return Value::boolean(true);
    return Value::boolean(e.right == nonempty_grid(a[1]).w - 1);
}

Value centerofmass(Run& run, const Value* a) {
    Places places(run, a[0]);
    if (places.empty()) return empty_tuple();
    run.charge(places.size());
    int64_t n = int64_t(length(a[0])), si = 0, sj = 0;
    for (uint32_t key : places) {
        si += key_i(key);
        sj += key_j(key);
    }
    return make_pair(floor_divide(si, n), floor_divide(sj, n));
}

Place center(Run& run, Value patch) {
    Extent e = extent(run, patch);
    return {e.top + height(run, patch) / 2, e.left + width(run, patch) / 2};
}

Value position(Run& run, const Value* a) {
    auto [ia, ja] = center(run, toindices(run, a[0]));
    auto [ib, jb] = center(run, toindices(run, a[1]));
    int down = ia < ib ? 1 : -1, right = ja < jb ? 1 : -1;
    if (ia == ib) return make_pair(0, right);
    if (ja == jb) return make_pair(down, 0);
    return make_pair(down, right);
}

Value gravitate(Run& run, const Value* a) {
    constexpr int kMostSteps = 42;
    auto from = center(run, a[0]), to = center(run, a[1]);
    int64_t i = 0, j = 0;
    if (truthy(vmatching(run, a))) i = from.first < to.first ? 1 : -1;
    else j = from.second < to.second ? 1 : -1;
    Places source(run, a[0]);
    SortedPlaces target(run, a[1]);
    Extent es = extent(run, source), et = extent(run, target.places);
    int64_t n = 0;
    while (n < kMostSteps && !adjacent(run, source.keys(), es, i * n, j * n, target.keys, et)) {
        check_range(es, i * n, j * n);
        ++n;
    }
    return make_pair(i * n, j * n);
}

Value line(Run& run, Place a, Place b) {
    auto [ai, aj] = a;
    auto [bi, bj] = b;
    int64_t di = bi - ai, dj = bj - aj;
    if (di != 0 && dj != 0 && std::abs(di) != std::abs(dj)) return empty_set();
    make_pair(bi, bj); // an Overflow fault if the far end exceeds 16 bits
    auto n = size_t(std::max(std::abs(di), std::abs(dj))) + 1;
    uint32_t step = offset((di > 0) - (di < 0), (dj > 0) - (dj < 0)), key = pair_key(int(ai), int(aj));
    IndicesBuilder keys(run, n);
    keys.resize(n);
    for (size_t k = 0; k < n; ++k, key += step) keys.keys()[k] = key;
    return keys.finish_unsorted();
}

Value connect(Run& run, const Value* a) {
    for (int k = 0; k < 2; ++k)
        if (a[k].tag != Tag::Pair) wrong_type("a pair of integers", a[k]);
    return line(run, {a[0].i(), a[0].j()}, {a[1].i(), a[1].j()});
}

Value shoot(Run& run, const Value* a) {
    constexpr int kReach = 42;
    if (a[0].tag != Tag::Pair) wrong_type("a pair of integers", a[0]);
    int64_t di, dj;
    coordinate(a[1], di, dj);
    Place start(a[0].i(), a[0].j());
    return line(run, start, {start.first + kReach * di, start.second + kReach * dj});
}

Value frontier(Run& run, Value location, bool vertical) {
    int64_t i, j;
    coordinate(location, i, j);
    IndicesBuilder keys(run, kMaxSide);
    for (int k = 0; k < kMaxSide; ++k)
        keys.push(uint32_t((vertical ? make_pair(k, j) : make_pair(i, k)).key));
    return keys.finish_sorted();
}

Value rectangle(Run& run, const Extent& e) {
    uint32_t* keys;
    Value v = new_patch(run, size_t(e.height()) * size_t(e.width()), keys);
    for (int i = e.top; i <= e.bottom; ++i)
        for (int j = e.left; j <= e.right; ++j) *keys++ = pair_key(i, j);
    return v;
}

Value outline(Run& run, int64_t ai, int64_t aj, int64_t bi, int64_t bj) {
    int64_t top = std::min(ai, bi), bottom = std::max(ai, bi), left = std::min(aj, bj),
            right = std::max(aj, bj);
    // Overflow faults if a corner exceeds 16 bits.
    make_pair(top, left);
    make_pair(bottom, right);
    IndicesBuilder keys(run, size_t(2 * (bottom - top + right - left + 2)));
    for (int64_t i = top; i <= bottom; ++i) {
        if (i == top || i == bottom) {
            for (int64_t j = left; j <= right; ++j) keys.push(pair_key(int(i), int(j)));
        } else {
            keys.push(pair_key(int(i), int(left)));
            if (right > left) keys.push(pair_key(int(i), int(right)));
        }
    }
    return keys.finish_sorted();
}

Value box(Run& run, Value patch, int margin) {
    Extent e = extent(run, patch);
    return outline(run, e.top - margin, e.left - margin, e.bottom + margin, e.right + margin);
}

Value backdrop(Run& run, const Value* a) {
    Places places(run, a[0]);
    return places.empty() ? empty_set() : rectangle(run, extent(run, places));
}

Value delta(Run& run, const Value* a) {
    SortedPlaces inner(run, a[0]);
    if (inner.keys.empty()) return empty_set();
    if (a[0].is_tuple() && !coloured(run, a[0])) wrong_type("a set of places", a[0]);
    Extent e = extent(run, inner.places);
    uint64_t area = uint64_t(e.height()) * uint64_t(e.width());
    run.charge(area);
    IndicesBuilder keys(run, area > inner.keys.size() ? area - inner.keys.size() : 0);
    size_t k = 0;
    for (int i = e.top; i <= e.bottom; ++i)
        for (int j = e.left; j <= e.right; ++j) {
            uint32_t key = pair_key(i, j);
            if (k < inner.keys.size() && inner.keys[k] == key) ++k;
            else keys.push(key);
        }
    return keys.finish_sorted();
}

Value crosswise_period(Run& run, Value object, bool horizontal) {
    Value normed = normalize(run, object);
    Cells cells(run, normed);
    if (cells.empty()) return Value::integer(0);
    Extent e = extent(run, normed);
    int n = horizontal ? e.width() : e.height();
    uint32_t unit = horizontal ? 1 : 1u << 16;
    for (int p = 1; p < n; ++p) {
        bool repeats = true;
        size_t checked = 0;
        for (uint64_t key : cells) {
            int at = horizontal ? key_j(uint32_t(key)) : key_i(uint32_t(key));
            ++checked;
            if (at < p) continue;
            repeats = std::binary_search(cells.begin(), cells.end(), key - uint64_t(unit) * uint64_t(p));
            if (!repeats) break;
        }
        run.charge(checked * size_t(std::bit_width(cells.keys().size())));
        if (repeats) return Value::integer(p);
    }
    return Value::integer(n);
}

} // namespace

const std::vector<Primitive> themes::patches = {
    {"height", 1, "Piece -> Integer", "The number of rows of a grid, or of the bounding box of a patch.",
     [](Run& run, const Value* a) { return Value::integer(height(run, a[0])); }},
    {"width", 1, "Piece -> Integer", "The number of columns of a grid, or of the bounding box of a patch.",
     [](Run& run, const Value* a) { return Value::integer(width(run, a[0])); }},
    {"shape", 1, "Piece -> IntegerTuple", "Height and width.",
     [](Run& run, const Value* a) { return make_pair(height(run, a[0]), width(run, a[0])); }},
    {"portrait", 1, "Piece -> Boolean", "Whether the piece is higher than wide.",
     [](Run& run, const Value* a) { return Value::boolean(height(run, a[0]) > width(run, a[0])); }},
    {"ulcorner", 1, "Patch -> IntegerTuple", "The upper left corner of the bounding box.",
     [](Run& run, const Value* a) { return corner<Corner::UpperLeft>(run, a[0]); }},
    {"urcorner", 1, "Patch -> IntegerTuple", "The upper right corner of the bounding box.",
     [](Run& run, const Value* a) { return corner<Corner::UpperRight>(run, a[0]); }},
    {"llcorner", 1, "Patch -> IntegerTuple", "The lower left corner of the bounding box.",
     [](Run& run, const Value* a) { return corner<Corner::LowerLeft>(run, a[0]); }},
    {"lrcorner", 1, "Patch -> IntegerTuple", "The lower right corner of the bounding box.",
     [](Run& run, const Value* a) { return corner<Corner::LowerRight>(run, a[0]); }},
    {"toindices", 1, "Patch -> Indices", "The places of a patch.",
     [](Run& run, const Value* a) { return toindices(run, a[0]); }},
    {"recolor", 2, "Integer, Patch -> Object", "The patch in one colour.", recolor},
    {"shift", 2, "Patch, IntegerTuple -> Patch", "The patch moved by an offset.",
     [](Run& run, const Value* a) { return shift(run, a); }},
    {"normalize", 1, "Patch -> Patch", "The patch moved so that its upper left corner is the origin.",
     [](Run& run, const Value* a) { return normalize(run, a[0]); }},
    {"dneighbors", 1, "IntegerTuple -> Indices", "The four places directly beside a place.",
     [](Run& run, const Value* a) { return around(run, a[0], kDirect); }},
    {"ineighbors", 1, "IntegerTuple -> Indices", "The four places diagonal to a place.",
     [](Run& run, const Value* a) { return around(run, a[0], kDiagonal); }},
    {"neighbors", 1, "IntegerTuple -> Indices", "The eight places around a place.",
     [](Run& run, const Value* a) { return around(run, a[0], kAll); }},
    {"uppermost", 1, "Patch -> Integer", "The first row with a cell of the patch.",
     [](Run& run, const Value* a) { return Value::integer(extent(run, a[0]).top); }},
    {"lowermost", 1, "Patch -> Integer", "The last row with a cell of the patch.",
     [](Run& run, const Value* a) { return Value::integer(extent(run, a[0]).bottom); }},
    {"leftmost", 1, "Patch -> Integer", "The first column with a cell of the patch.",
     [](Run& run, const Value* a) { return Value::integer(extent(run, a[0]).left); }},
    {"rightmost", 1, "Patch -> Integer", "The last column with a cell of the patch.",
     [](Run& run, const Value* a) { return Value::integer(extent(run, a[0]).right); }},
    {"square", 1, "Piece -> Boolean", "Whether the piece is a filled square.", square},
    {"vline", 1, "Patch -> Boolean", "Whether the patch is a vertical line.",
     [](Run& run, const Value* a) {
         return Value::boolean(height(run, a[0]) == int64_t(length(a[0])) && width(run, a[0]) == 1);
     }},
    {"hline", 1, "Patch -> Boolean", "Whether the patch is a horizontal line.",
     [](Run& run, const Value* a) {
         return Value::boolean(width(run, a[0]) == int64_t(length(a[0])) && height(run, a[0]) == 1);
     }},
    {"hmatching", 2, "Patch, Patch -> Boolean", "Whether a row has cells of both patches.", hmatching},
    {"vmatching", 2, "Patch, Patch -> Boolean", "Whether a column has cells of both patches.", vmatching},
    {"manhattan", 2, "Patch, Patch -> Integer", "The minimum Manhattan distance between two patches.",
     manhattan},
    {"adjacent", 2, "Patch, Patch -> Boolean",
     "Whether the minimum Manhattan distance between two patches is 1.",
     [](Run& run, const Value* a) { return adjacent(run, a); }},
    {"bordering", 2, "Patch, Grid -> Boolean", "Whether the patch touches the border of the grid.",
     bordering},
    {"centerofmass", 1, "Patch -> IntegerTuple", "The mean place of the patch, rounded down.", centerofmass},
    {"hmirror", 1, "Piece -> Piece", "The piece mirrored top to bottom.", hmirror},
    {"vmirror", 1, "Piece -> Piece", "The piece mirrored left to right.", vmirror},
    {"dmirror", 1, "Piece -> Piece", "The piece mirrored on its main diagonal.", dmirror},
    {"cmirror", 1, "Piece -> Piece", "The piece mirrored on its other diagonal.", cmirror},
    {"center", 1, "Patch -> IntegerTuple", "The centre of the bounding box.",
     [](Run& run, const Value* a) {
         auto [i, j] = center(run, a[0]);
         return make_pair(i, j);
     }},
    {"position", 2, "Patch, Patch -> IntegerTuple", "The direction from the first patch to the second.",
     position},
    {"corners", 1, "Patch -> Indices", "The four corners of the bounding box.", corners},
    {"connect", 2, "IntegerTuple, IntegerTuple -> Indices",
     "The straight or diagonal line between two places; empty if there is none.", connect},
    {"vfrontier", 1, "IntegerTuple -> Indices", "The column of a place, 30 cells long.",
     [](Run& run, const Value* a) { return frontier(run, a[0], true); }},
    {"hfrontier", 1, "IntegerTuple -> Indices", "The row of a place, 30 cells long.",
     [](Run& run, const Value* a) { return frontier(run, a[0], false); }},
    {"backdrop", 1, "Patch -> Indices", "All places of the bounding box.", backdrop},
    {"delta", 1, "Patch -> Indices", "The places of the bounding box that are not in the patch.", delta},
    {"gravitate", 2, "Patch, Patch -> IntegerTuple",
     "The offset that moves the first patch until it is adjacent to the second.", gravitate},
    {"inbox", 1, "Patch -> Indices", "The outline one cell inside the bounding box.",
     [](Run& run, const Value* a) { return box(run, a[0], -1); }},
    {"outbox", 1, "Patch -> Indices", "The outline one cell outside the bounding box.",
     [](Run& run, const Value* a) { return box(run, a[0], 1); }},
    {"box", 1, "Patch -> Indices", "The outline of the bounding box.",
     [](Run& run, const Value* a) { return length(a[0]) == 0 ? a[0] : box(run, a[0], 0); }},
    {"shoot", 2, "IntegerTuple, IntegerTuple -> Indices",
     "The line from a place in a direction, 42 steps long.", shoot},
    {"hperiod", 1, "Object -> Integer", "The smallest number of columns after which the object repeats.",
     [](Run& run, const Value* a) { return crosswise_period(run, a[0], true); }},
    {"vperiod", 1, "Object -> Integer", "The smallest number of rows after which the object repeats.",
     [](Run& run, const Value* a) { return crosswise_period(run, a[0], false); }},
};

} // namespace codeit
