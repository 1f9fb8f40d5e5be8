// The calls that a run remembers, and the values that programs which run in company share.
//
// The parts of a function often ask for the same: fork(paint, f, compose(g, f)) calls f twice on one argument. And
// programs that run on one input hold many of the same calls, above all the mutants of one parent. A call that is
// remembered need not be made again: it gives what it gave, and costs what it cost, so that no outcome depends on
// what was remembered.
#pragma once

#include <cstddef>
#include <vector>

#include "value.hpp"

namespace codeit {

enum class Kind : uint8_t { Grid, Type, Value, Overflow, Steps, Cells, Depth, NotAGrid, BadGrid };

// Why a run ended early. `what` is a static text; `found` names the type met where another was expected.
struct Fault {
    Kind kind;
    const char* what;
    const char* found = nullptr;
};

// Throws a Fault: out of line, so that what checks stays small enough to be inlined.
[[noreturn, gnu::cold]] void fail(Kind kind, const char* what, const char* found = nullptr);

inline constexpr int kMaxArguments = 4;

struct Cost {
    uint64_t steps, held, peak; // cells from where the call began
    int depth;                  // of the calls within
};

struct Call {
    enum class Place : uint8_t { Line, Within } place; // of a line's call, the cost of calling is a part
    Value function;
    Value arguments[kMaxArguments];
    int n;
    uint64_t hash;

    Value result; // unless it failed
    bool failed;
    Fault fault;
    int primitive; // at fault
    Cost cost;
};

class Memo {
  public:
    // The call with its hash, and without its result.
    static Call question(Call::Place place, Value function, const Value* arguments, int n);
    const Call* find(const Call& question) const;
    // `top` is where the memory in use ends: the call is forgotten when any of it is given back.
    void insert(const Call& call, const std::byte* top);
    // The value itself, or an equal one that is known already: then equal values are identical.
    Value known_as(Value v, const std::byte* top);

    void forget_since(const std::byte* mark) {
        while (!calls_.empty() && calls_.back().top > mark) calls_.pop_back();
        while (!values_.empty() && values_.back().top > mark) values_.pop_back();
    }
    void clear();
    bool full() const { return calls_.size() >= kMost; }

  private:
    static constexpr size_t kMost = 1 << 15;

    // Elements of a list, found by a hash. Numbers of elements that are gone may still come up.
    class Table {
      public:
        void clear();
        template <class Same> int64_t find(uint64_t hash, Same same) const; // -1 where there is none
        void insert(uint64_t hash, size_t number);

      private:
        struct Slot {
            uint32_t era = 0, tag = 0, number = 0;
        };
        void place(uint32_t tag, uint32_t number);
        std::vector<Slot> slots_ = std::vector<Slot>(1 << 8);
        uint32_t era_ = 1; // slots of an earlier one are free
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
