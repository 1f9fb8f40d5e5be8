// Primitives on tuples and sets of any values. A set is traversed in sorted order.
#include <algorithm>
#include <bit>

#include "../compiled.hpp"
#include "table.hpp"

namespace codeit {

Value make_like(Run& run, Value container, const Buffer<Value>& items) {
    std::span<const Value> all{items.begin(), items.size()};
    return container.is_set() ? make_set(run, all) : make_tuple(run, all);
}

Value merge(Run& run, Value containers) {
    Items outer(run, containers);
    if (containers.tag == Tag::Set && outer.size() > 0) {
        std::span<const Value> parts{containers.items->items, outer.size()};
        auto all = [&](Tag tag) { return std::ranges::all_of(parts, [&](Value v) { return v.tag == tag; }); };
        if (all(Tag::Indices)) return unite(run, parts, Tag::Indices, &Value::indices, weight(containers));
        if (all(Tag::Object)) return unite(run, parts, Tag::Object, &Value::object, weight(containers));
    }
    Buffer<Value> all(run);
    for (size_t k = 0; k < outer.size(); ++k) {
        Items inner(run, outer[k]);
        for (size_t m = 0; m < inner.size(); ++m) all.push(inner[m]);
        run.charge(inner.size() + 1);
    }
    return make_like(run, containers, all);
}

Value commonest(Run& run, Buffer<Value>& items, bool most) {
    run.charge(items.size() * size_t(std::bit_width(items.size())));
    sort(run, items);
    size_t best_count = 0, best_at = 0;
    for (size_t k = 0, next; k < items.size(); k = next) {
        for (next = k + 1; next < items.size() && equal(run, items[k], items[next]);) ++next;
        size_t count = next - k;
        if (k == 0 || (most ? count > best_count : count < best_count)) {
            best_count = count;
            best_at = k;
        }
    }
    return items[best_at];
}

namespace {

bool contains(Run& run, Value container, Value value) {
    Items items(run, container);
    run.charge(size_t(std::bit_width(items.size())));
    if (container.tag == Tag::Indices) {
        if (value.tag != Tag::Pair) return false;
        const IndicesNode* node = container.indices;
        return std::binary_search(node->keys, node->keys + node->n, uint32_t(value.key));
    }
    if (container.tag == Tag::Object) {
        if (value.tag != Tag::Cell) return false;
        return std::binary_search(container.object->keys, container.object->keys + container.object->n,
                                  value.key);
    }
    if (container.tag == Tag::Set) {
        const ItemsNode* node = container.items;
        return std::binary_search(node->items, node->items + node->n, value,
                                  [&](Value a, Value b) { return compare(run, a, b) < 0; });
    }
    auto mark = run.mark();
    bool found = false;
    for (size_t k = 0; k < items.size() && !found; ++k) found = equal(run, items[k], value);
    run.charge(items.size());
    run.release(mark);
    return found;
}

// The elements that `keep` accepts, in a container of the same kind.
template <class Keep> Value filter(Run& run, Value container, Keep keep) {
    run.charge(length(container));
    auto patch = [&]<class T>(const PatchNode<T>* node, Value element(T)) {
        PatchBuilder<T> kept(run, node->n);
        T *const keys = kept.keys(), *end = keys;
        for (uint32_t k = 0; k < node->n; ++k)
            if (keep(element(node->keys[k]))) *end++ = node->keys[k];
        kept.resize(size_t(end - keys));
        return kept.finish_sorted();
    };
    if (container.tag == Tag::Indices) return patch(container.indices, Value::pair);
    if (container.tag == Tag::Object) return patch(container.object, Value::cell);
    Items items(run, container);
    Buffer<Value> kept(run);
    for (size_t k = 0; k < items.size(); ++k) {
        Value item = items[k];
        if (keep(item)) kept.push(item);
    }
    std::span<const Value> all{kept.begin(), kept.size()};
    return container.is_set() ? make_sorted_set(run, all) : make_tuple(run, all);
}

enum class SetOp { Union, Intersection, Difference };

template <class T> Value combine_keys(Run& run, SetOp op, const PatchNode<T>* x, const PatchNode<T>* y) {
    const T *a = x->keys, *b = y->keys, *a_end = a + x->n, *b_end = b + y->n;
    PatchBuilder<T> out(run, op == SetOp::Union ? size_t(x->n) + y->n : x->n);
    T* end = op == SetOp::Union          ? std::set_union(a, a_end, b, b_end, out.keys())
             : op == SetOp::Intersection ? std::set_intersection(a, a_end, b, b_end, out.keys())
                                         : std::set_difference(a, a_end, b, b_end, out.keys());
    out.resize(size_t(end - out.keys()));
    return out.finish_sorted();
}

Value combine_sets(Run& run, SetOp op, Value a, Value b) {
    run.charge(length(a) + length(b));
    if (a.tag == Tag::Indices && b.tag == Tag::Indices) return combine_keys(run, op, a.indices, b.indices);
    if (a.tag == Tag::Object && b.tag == Tag::Object) return combine_keys(run, op, a.object, b.object);
    Items x(run, a), y(run, b);
    Buffer<Value> out(run);
    size_t k = 0, m = 0;
    while (k < x.size() || (m < y.size() && op == SetOp::Union)) {
        int order = k == x.size() ? 1 : m == y.size() ? -1 : compare(run, x[k], y[m]);
        bool keep = op == SetOp::Union || (op == SetOp::Intersection ? order == 0 : order < 0);
        if (keep && (order <= 0 || op == SetOp::Union)) out.push(order <= 0 ? x[k] : y[m]);
        if (order <= 0) ++k;
        if (order >= 0) ++m;
    }
    return make_sorted_set(run, {out.begin(), out.size()});
}

Value combine(Run& run, const Value* a) {
    if (a[0].is_set() && a[1].is_set()) return combine_sets(run, SetOp::Union, a[0], a[1]);
    run.charge(length(a[0]) + length(a[1]));
    Buffer<Value> all(run, length(a[0]) + length(a[1]));
    for (int k = 0; k < 2; ++k) {
        Items items(run, a[k]);
        for (size_t m = 0; m < items.size(); ++m) all.push(items[m]);
    }
    return make_like(run, a[0], all);
}

Value intersection(Run& run, const Value* a) {
    if (a[0].is_number() && a[1].is_number()) { // Python's & on numbers
        bool truth = a[0].tag == Tag::Bool && a[1].tag == Tag::Bool;
        return truth ? Value::boolean(a[0].num && a[1].num) : Value::integer(a[0].num & a[1].num);
    }
    if (!a[0].is_set()) wrong_type("a set", a[0]);
    if (!a[1].is_set()) wrong_type("a set", a[1]);
    return combine_sets(run, SetOp::Intersection, a[0], a[1]);
}

Value difference(Run& run, const Value* a) {
    if (a[0].is_set() && a[1].is_set()) return combine_sets(run, SetOp::Difference, a[0], a[1]);
    if (length(a[0]) > 0) length(a[1]); // like the oracle, the type of b is checked only if a is not empty
    return filter(run, a[0], [&](Value v) { return !contains(run, a[1], v); });
}

// A grid of the rows whose numbers `keep` accepts.
template <class Keep> Value filter_rows(Run& run, const GridNode* g, Keep keep) {
    Buffer<uint32_t> kept(run);
    for (uint32_t i = 0; i < g->height; ++i)
        if (keep(i)) kept.push(i);
    int8_t* out;
    Value v = new_grid(run, int64_t(kept.size()), g->width, out);
    for (uint32_t i : kept) out = std::copy_n(g->cells + size_t(i) * g->width, g->width, out);
    return v;
}

Value dedupe(Run& run, const Value* a) {
    if (a[0].tag == Tag::Grid) {
        const GridNode* g = a[0].grid;
        return filter_rows(run, g, [&](uint32_t i) {
            run.charge(i + 1);
            const int8_t* row = g->cells + size_t(i) * g->width;
            for (uint32_t k = 0; k < i; ++k)
                if (std::memcmp(g->cells + size_t(k) * g->width, row, g->width) == 0) return false;
            return true;
        });
    }
    Items items(run, a[0]);
    if (items.size() == 0) return empty_tuple();
    if (!a[0].is_tuple()) wrong_type("a tuple", a[0]);
    Buffer<Value> kept(run);
    for (size_t k = 0; k < items.size(); ++k) {
        Value item = items[k];
        run.charge(kept.size() + 1);
        if (std::none_of(kept.begin(), kept.end(), [&](Value v) { return equal(run, v, item); }))
            kept.push(item);
    }
    return make_tuple(run, {kept.begin(), kept.size()});
}

Value order(Run& run, const Value* a) {
    Items items(run, a[0]);
    struct Keyed {
        Value item, key;
    };
    run.charge(2 * items.size() * size_t(std::bit_width(items.size())));
    Buffer<Keyed> keyed(run, items.size());
    CompiledFunction key(run, a[1], items.size());
    for (size_t k = 0; k < items.size(); ++k) {
        Value item = items[k];
        keyed.push({item, key(item)});
    }
    std::stable_sort(keyed.begin(), keyed.end(),
                     [&](const Keyed& x, const Keyed& y) { return less(run, x.key, y.key); });
    Buffer<Value> sorted(run, keyed.size());
    for (const Keyed& k : keyed) sorted.push(k.item);
    return make_tuple(run, {sorted.begin(), sorted.size()});
}

Value repeat(Run& run, const Value* a) {
    int64_t n = std::max<int64_t>(number(a[1]), 0);
    run.charge(uint64_t(n));
    Buffer<Value> items(run, size_t(n));
    for (int64_t k = 0; k < n; ++k) items.push(a[0]);
    return make_tuple(run, {items.begin(), items.size()});
}

enum class Extreme { Least, Greatest };

// Finds the first element with the greatest (or least) key, and that key. Returns false if there are
// no elements.
template <class Key>
bool best(Run& run, const Items& items, Extreme extreme, Value& item, Value& key, Key key_of) {
    run.charge(items.size());
    for (size_t k = 0; k < items.size(); ++k) {
        auto mark = run.mark();
        Value x = items[k];
        Value y = key_of(x);
        bool better = k == 0 || (extreme == Extreme::Greatest ? less(run, key, y) : less(run, y, key));
        if (better) {
            item = x;
            key = y;
        } else {
            run.release(mark);
        }
    }
    return items.size() > 0;
}

template <Extreme E> Value best_element(Run& run, const Value* a) {
    if (a[0].tag == Tag::Pair) {
        run.charge(2);
        return Value::integer(E == Extreme::Greatest ? std::max(a[0].i(), a[0].j())
                                                     : std::min(a[0].i(), a[0].j()));
    }
    Value item, key;
    return best(run, Items(run, a[0]), E, item, key, [](Value x) { return x; }) ? item : Value::integer(0);
}

template <Extreme E> bool best_by_function(Run& run, const Value* a, Value& item, Value& key) {
    Items items(run, a[0]);
    return best(run, items, E, item, key, CompiledFunction(run, a[1], items.size()));
}

template <Extreme E> Value best_key(Run& run, const Value* a) {
    Value item, key;
    return best_by_function<E>(run, a, item, key) ? key : call(run, a[1], Value::integer(0));
}

template <Extreme E> Value best_argument(Run& run, const Value* a) {
    Value item, key;
    return best_by_function<E>(run, a, item, key) ? item : Value::none();
}

template <bool most> Value commonest(Run& run, const Value* a) {
    Items items(run, a[0]);
    if (items.size() == 0) bad_value("the container is empty");
    if (!a[0].is_tuple()) wrong_type("a tuple", a[0]);
    Buffer<Value> all(run, items.size());
    for (size_t k = 0; k < items.size(); ++k) all.push(items[k]);
    return commonest(run, all, most);
}

Value sfilter(Run& run, Value container, Value condition) {
    CompiledFunction holds(run, condition, length(container));
    return filter(run, container, [&](Value v) { return holds.test(v); });
}

Value extract(Run& run, const Value* a) {
    Items items(run, a[0]);
    CompiledFunction holds(run, a[1], items.size());
    for (size_t k = 0; k < items.size(); ++k) {
        Value item = items[k];
        if (holds.test(item)) return item;
    }
    bad_value("no element satisfies the condition");
}

Value first(Run& run, const Value* a) {
    Items items(run, a[0]);
    if (items.size() == 0) bad_value("the container is empty");
    return items[0];
}

Value last(Run& run, const Value* a) {
    Items items(run, a[0]);
    if (items.size() == 0) bad_value("the container is empty");
    return items[items.size() - 1];
}

Value insert(Run& run, const Value* a) {
    if (!a[1].is_set()) wrong_type("a set", a[1]);
    return combine_sets(run, SetOp::Union, a[1], make_set(run, {&a[0], 1}));
}

Value remove(Run& run, const Value* a) {
    if (a[1].tag == Tag::Grid && a[0].tag == Tag::Tuple && a[0].items->n == a[1].grid->width) {
        const GridNode* g = a[1].grid;
        run.charge(g->area());
        return filter_rows(run, g, [&](uint32_t i) {
            for (uint32_t j = 0; j < g->width; ++j) {
                Value cell = a[0].items->items[j];
                if (cell.tag != Tag::Int || cell.num != g->cells[size_t(i) * g->width + j]) return true;
            }
            return false;
        });
    }
    return filter(run, a[1], [&](Value v) { return !equal(run, v, a[0]); });
}

Value other(Run& run, const Value* a) {
    Items items(run, a[0]);
    for (size_t k = 0; k < items.size(); ++k) {
        run.charge(1);
        Value item = items[k];
        if (!equal(run, item, a[1])) return item;
    }
    bad_value("the container has no other value");
}

Value interval(Run& run, const Value* a) {
    int64_t start = number(a[0]), stop = number(a[1]), step = number(a[2]);
    if (step == 0) bad_value("the step is zero");
    int64_t n = step > 0 ? (stop - start + step - 1) / step : (start - stop - step - 1) / -step;
    n = std::max<int64_t>(n, 0);
    run.charge(uint64_t(n));
    Buffer<Value> items(run, size_t(n));
    for (int64_t k = 0; k < n; ++k) items.push(Value::integer(start + k * step));
    return make_tuple(run, {items.begin(), items.size()});
}

Value product(Run& run, const Value* a) {
    Items x(run, a[0]), y(run, a[1]);
    run.charge(x.size() * y.size());
    Buffer<Value> pairs(run, x.size() * y.size());
    for (size_t k = 0; k < x.size(); ++k)
        for (size_t m = 0; m < y.size(); ++m) pairs.push(make_tuple(run, x[k], y[m]));
    std::span<const Value> all{pairs.begin(), pairs.size()};
    bool sorted = a[0].is_set() && a[1].is_set(); // the elements of sets are, and so are their pairs
    return sorted ? make_sorted_set(run, all) : make_set(run, all);
}

Value pair(Run& run, const Value* a) {
    Items x(run, a[0]), y(run, a[1]);
    size_t n = std::min(x.size(), y.size());
    Buffer<Value> pairs(run, n);
    for (size_t k = 0; k < n; ++k) pairs.push(make_tuple(run, x[k], y[k]));
    return make_tuple(run, {pairs.begin(), pairs.size()});
}

Value totuple(Run& run, const Value* a) {
    if (a[0].is_tuple()) return a[0];
    Items items(run, a[0]);
    Buffer<Value> all(run, items.size());
    for (size_t k = 0; k < items.size(); ++k) all.push(items[k]);
    return make_tuple(run, {all.begin(), all.size()});
}

} // namespace

const std::vector<Primitive> themes::containers = {
    {"contained", 2, "Any, Container -> Boolean", "Whether the value is an element of the container.",
     [](Run& run, const Value* a) { return Value::boolean(contains(run, a[1], a[0])); }},
    {"combine", 2, "Container, Container -> Container", "The union of two sets, or two tuples joined.",
     combine},
    {"intersection", 2, "FrozenSet, FrozenSet -> FrozenSet", "The elements that are in both sets.",
     intersection},
    {"difference", 2, "Container, Container -> Container",
     "The elements of the first that are not in the second.", difference},
    {"dedupe", 1, "Tuple -> Tuple", "The tuple without duplicates; the first of each is kept.", dedupe},
    {"order", 2, "Container, Callable -> Tuple", "The elements as a tuple, sorted by a key function.", order},
    {"repeat", 2, "Any, Integer -> Tuple", "A tuple with an item n times.", repeat},
    {"size", 1, "Container -> Integer", "The number of elements.",
     [](Run&, const Value* a) { return Value::integer(int64_t(length(a[0]))); }},
    {"merge", 1, "ContainerContainer -> Container", "All elements of the elements, in one container.",
     [](Run& run, const Value* a) { return merge(run, a[0]); }},
    {"maximum", 1, "IntegerSet -> Integer", "The greatest element; 0 if there is none.",
     best_element<Extreme::Greatest>},
    {"minimum", 1, "IntegerSet -> Integer", "The least element; 0 if there is none.",
     best_element<Extreme::Least>},
    {"valmax", 2, "Container, Callable -> Integer", "The greatest key of any element.",
     best_key<Extreme::Greatest>},
    {"valmin", 2, "Container, Callable -> Integer", "The least key of any element.",
     best_key<Extreme::Least>},
    {"argmax", 2, "Container, Callable -> Any", "The first element with the greatest key.",
     best_argument<Extreme::Greatest>},
    {"argmin", 2, "Container, Callable -> Any", "The first element with the least key.",
     best_argument<Extreme::Least>},
    {"mostcommon", 1, "Container -> Any", "The most frequent element of a tuple.", commonest<true>},
    {"leastcommon", 1, "Container -> Any", "The least frequent element of a tuple.", commonest<false>},
    {"initset", 1, "Any -> FrozenSet", "A set of one value.",
     [](Run& run, const Value* a) { return make_set(run, {a, 1}); }},
    {"sfilter", 2, "Container, Callable -> Container", "The elements for which the condition holds.",
     [](Run& run, const Value* a) { return sfilter(run, a[0], a[1]); }},
    {"mfilter", 2, "Container, Callable -> FrozenSet",
     "All elements of the elements for which the condition holds, in one set.",
     [](Run& run, const Value* a) { return merge(run, sfilter(run, a[0], a[1])); }},
    {"extract", 2, "Container, Callable -> Any", "The first element for which the condition holds.", extract},
    {"totuple", 1, "FrozenSet -> Tuple", "The elements as a tuple.", totuple},
    {"first", 1, "Container -> Any", "The first element.", first},
    {"last", 1, "Container -> Any", "The last element.", last},
    {"insert", 2, "Any, FrozenSet -> FrozenSet", "The set with a value added.", insert},
    {"remove", 2, "Any, Container -> Container", "The container without a value.", remove},
    {"other", 2, "Container, Any -> Any", "The first element that differs from the value.", other},
    {"interval", 3, "Integer, Integer, Integer -> Tuple",
     "The integers from start up to, but excluding, stop, in steps.", interval},
    {"astuple", 2, "Integer, Integer -> IntegerTuple", "The tuple (a, b).",
     [](Run& run, const Value* a) { return make_tuple(run, a[0], a[1]); }},
    {"product", 2, "Container, Container -> FrozenSet", "All tuples (i, j) with i from a and j from b.",
     product},
    {"pair", 2, "Tuple, Tuple -> TupleTuple", "The tuples of the elements at equal positions.", pair},
};

} // namespace codeit
