// Memoization of calls, and interning of values.
//
// The parts of a function often repeat a call: fork(paint, f, compose(g, f)) calls f twice with one
// argument. Programs that run on the same input repeat many calls, above all the mutants of one
// parent. A remembered call is not made again: it returns the same result and charges the same
// cost, so that no outcome depends on what is remembered.
#pragma once

#include <cstddef>
#include <vector>

#include "fault.hpp"
#include "value.hpp"

namespace codeit {

// What a call costs a run.
struct Cost {
    uint64_t steps;
    uint64_t held, peak; // cells in use after the call and at most during it, in addition to those before it
    int depth;           // of nested calls
};

// A call, which is the key of the memo, and its result.
struct Call {
    enum class Site : uint8_t { Line, Nested } site; // the cost of a line's call includes kCallSteps
    Value function;
    Value arguments[kMaxArguments];
    int n;
    uint64_t hash;

    Value result; // unless the call failed
    bool failed;
    Fault fault;
    int primitive; // the one that raised the fault
    Cost cost;
};

class Memo {
  public:
    // Returns a call with its hash and without a result.
    static Call make_key(Call::Site site, Value function, const Value* arguments, int n);
    // Returns the remembered call with identical function and arguments, or nullptr.
    const Call* find(const Call& key) const;
    // Remembers a call, unless the memo is full. `top` is the end of the memory in use: the call is
    // forgotten as soon as memory below it is released.
    void insert(const Call& call, const std::byte* top);
    // Returns an equal value that was interned before, or else `v` itself. Calls with equal
    // arguments then have identical ones, and `find` recognises them.
    Value intern(Value v, const std::byte* top);

    // Forgets what depends on memory above the mark.
    void forget_since(const std::byte* mark) {
        while (!calls_.empty() && calls_.back().top > mark) calls_.pop_back();
        while (!values_.empty() && values_.back().top > mark) values_.pop_back();
    }
    void clear();
    bool full() const { return calls_.size() >= kMaxCalls; }

  private:
    static constexpr size_t kMaxCalls = 1 << 15;

    // A hash table of indices into a list. It never removes one: `same` must reject indices of
    // removed elements.
    class Table {
      public:
        void clear();
        template <class Same> int64_t find(uint64_t hash, Same same) const; // -1 if there is none
        void insert(uint64_t hash, size_t index);

      private:
        struct Slot {
            uint32_t epoch = 0, tag = 0, index = 0;
        };
        void place(uint32_t tag, uint32_t index);
        std::vector<Slot> slots_ = std::vector<Slot>(1 << 8);
        uint32_t epoch_ = 1; // a slot of an earlier epoch is free
        size_t used_ = 0;
    };

    struct KnownCall {
        Call call;
        const std::byte* top;
    };
    struct KnownValue {
        Value value;
        uint64_t hash;
        const std::byte* top;
    };
    std::vector<KnownCall> calls_;
    std::vector<KnownValue> values_;
    Table call_table_, value_table_;
};

} // namespace codeit
