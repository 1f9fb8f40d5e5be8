#include "memo.hpp"

#include "hash.hpp"
#include "values.hpp"

namespace codeit {

namespace {

// Whether two values are equal. Unlike `compare` it charges no steps, and functions are equal only
// if they share a node.
bool same_value(Value a, Value b) {
    if (identical(a, b)) return true;
    if (a.tag != b.tag) return false;
    auto equal_bytes = [](const auto* x, const auto* y, size_t n) {
        return std::memcmp(x, y, n * sizeof *x) == 0;
    };
    switch (a.tag) {
    case Tag::Grid:
        return a.grid->width == b.grid->width && a.grid->height == b.grid->height &&
               equal_bytes(a.grid->cells, b.grid->cells, a.grid->area());
    case Tag::Indices:
        return a.indices->n == b.indices->n && equal_bytes(a.indices->keys, b.indices->keys, a.indices->n);
    case Tag::Object:
        return a.object->n == b.object->n && equal_bytes(a.object->keys, b.object->keys, a.object->n);
    case Tag::Tuple:
    case Tag::Set:
        if (a.items->n != b.items->n) return false;
        for (uint32_t k = 0; k < a.items->n; ++k)
            if (!same_value(a.items->items[k], b.items->items[k])) return false;
        return true;
    default: return false;
    }
}

} // namespace

void Memo::Table::clear() {
    ++epoch_;
    used_ = 0;
}

template <class Same> int64_t Memo::Table::find(uint64_t hash, Same same) const {
    auto tag = uint32_t(hash >> 32);
    size_t mask = slots_.size() - 1;
    for (size_t k = tag & mask; slots_[k].epoch == epoch_; k = (k + 1) & mask)
        if (slots_[k].tag == tag && same(slots_[k].index)) return slots_[k].index;
    return -1;
}

void Memo::Table::insert(uint64_t hash, size_t index) {
    if (++used_ * 2 > slots_.size()) {
        std::vector<Slot> old(slots_.size() * 2);
        old.swap(slots_);
        for (const Slot& slot : old)
            if (slot.epoch == epoch_) place(slot.tag, slot.index);
    }
    place(uint32_t(hash >> 32), uint32_t(index));
}

void Memo::Table::place(uint32_t tag, uint32_t index) {
    size_t mask = slots_.size() - 1, k = tag & mask;
    while (slots_[k].epoch == epoch_) k = (k + 1) & mask;
    slots_[k] = {epoch_, tag, index};
}

void Memo::clear() {
    calls_.clear();
    values_.clear();
    call_table_.clear();
    value_table_.clear();
}

Call Memo::make_key(Call::Site site, Value function, const Value* arguments, int n) {
    Call call;
    call.site = site;
    put(call.function, function);
    call.n = n;
    call.hash = mix(uint64_t(site), function.key);
    for (int k = 0; k < n; ++k) {
        put(call.arguments[k], arguments[k]);
        call.hash = mix(mix(call.hash, uint64_t(arguments[k].tag)), arguments[k].key);
    }
    return call;
}

const Call* Memo::find(const Call& key) const {
    int64_t found = call_table_.find(key.hash, [&](uint32_t index) {
        if (index >= calls_.size()) return false;
        const Call& known = calls_[index].call;
        if (known.hash != key.hash || known.n != key.n || known.site != key.site ||
            !identical(known.function, key.function))
            return false;
        for (int k = 0; k < known.n; ++k)
            if (!identical(known.arguments[k], key.arguments[k])) return false;
        return true;
    });
    return found < 0 ? nullptr : &calls_[size_t(found)].call;
}

void Memo::insert(const Call& call, const std::byte* top) {
    if (full()) return;
    call_table_.insert(call.hash, calls_.size());
    calls_.push_back({call, top});
}

Value Memo::intern(Value v, const std::byte* top) {
    constexpr uint64_t kMaxInternedWeight = 1 << 14; // above this, hashing costs more than it saves
    if (v.is_inline() || v.tag == Tag::Function || weight(v) > kMaxInternedWeight) return v;
    uint64_t hash = hash_value(v);
    int64_t found = value_table_.find(hash, [&](uint32_t index) {
        return index < values_.size() && values_[index].hash == hash && same_value(values_[index].value, v);
    });
    if (found >= 0) return values_[size_t(found)].value;
    value_table_.insert(hash, values_.size());
    values_.push_back({v, hash, top});
    return v;
}

} // namespace codeit
