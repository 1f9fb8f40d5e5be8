// The state of one run: memory, budget, and remembered calls.
//
// A budget counts steps (cells touched) and cells (memory in use), not seconds, so that a program
// on a grid has the same outcome on every machine. One exception is sorting by a program's own
// function: its steps depend on the number of comparisons that the standard library's sort makes.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <memory>
#include <type_traits>
#include <vector>

#include "memo.hpp"

// Under the address sanitizer, released memory is poisoned until it is allocated again.
#if defined(__SANITIZE_ADDRESS__)
#define CODEIT_ASAN 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define CODEIT_ASAN 1
#endif
#endif
#ifdef CODEIT_ASAN
#include <sanitizer/asan_interface.h>
#else
#define ASAN_POISON_MEMORY_REGION(p, n) ((void)(p), (void)(n))
#define ASAN_UNPOISON_MEMORY_REGION(p, n) ((void)(p), (void)(n))
#endif

namespace codeit {

// What one run may use.
struct Budget {
    uint64_t steps = 5'000'000;
    uint64_t cells = 2'000'000; // of kCellBytes each
};

// A stack allocator. Memory is released in the reverse order of allocation, down to a mark. It is
// one region, in which the system backs only the pages that were touched.
class Arena {
  public:
    // Ensures a capacity of at least `bytes`. Discards the contents if the region has to grow.
    void reserve(size_t bytes) {
        if (bytes > size_t(end_ - base_.get())) replace(bytes);
    }
    std::byte* mark() const { return at_; }
    void release(std::byte* mark) {
        ASAN_POISON_MEMORY_REGION(mark, size_t(at_ - mark));
        highest_ = std::max(highest_, at_);
        at_ = mark;
    }
    // Discards the contents. Returns the pages to the system if a run touched unusually many.
    void clear() {
        constexpr size_t kKept = 16 << 20;
        release(base_.get());
        if (size_t(highest_ - base_.get()) > kKept) replace(size_t(end_ - base_.get()));
    }

    void* allocate(size_t bytes) { // a multiple of kCellBytes
        if (size_t(end_ - at_) < bytes) fail(Kind::Cells, "over the budget of cells");
        void* p = at_;
        ASAN_UNPOISON_MEMORY_REGION(p, bytes);
        at_ += bytes;
        return p;
    }
    size_t used() const { return size_t(at_ - base_.get()); }
    // Like memmove. The source may have been released, or lie outside the arena.
    void copy(void* to, const void* from, size_t bytes) {
        ASAN_UNPOISON_MEMORY_REGION(from, bytes);
        std::memmove(to, from, bytes);
        const std::byte* end = static_cast<const std::byte*>(from) + bytes;
        const std::byte* gone = std::max<const std::byte*>(at_, static_cast<const std::byte*>(from));
        if (end > gone && end <= end_) ASAN_POISON_MEMORY_REGION(gone, size_t(end - gone));
    }

  private:
    void replace(size_t bytes) {
        base_.reset(); // first, so that two regions never exist at once
        at_ = end_ = highest_ = nullptr; // in case there is no memory for the other
        base_.reset(new std::byte[bytes]);
        at_ = highest_ = base_.get();
        end_ = at_ + bytes;
        ASAN_POISON_MEMORY_REGION(at_, bytes);
    }

    std::unique_ptr<std::byte[]> base_;
    std::byte *at_ = nullptr, *end_ = nullptr;
    std::byte* highest_ = nullptr; // the highest end of memory that was released
};

struct Run {
    Budget budget;
    int64_t steps_left = 0;  // of the budget
    uint64_t cells = 0;      // in use now
    uint64_t cells_peak = 0; // the maximum of `cells` at releases of memory; see peak()
    int depth = 0;           // of nested calls of function values
    int depth_peak = 0;
    int primitive = -1;            // the one being executed, for messages
    bool skip_over_budget = false; // skip calls known to exceed the budget; a fault may then differ
    Memo memo;
    std::vector<Value> frame; // of the program's values: see Program

    // Starts a run in empty memory.
    void start(const Budget& b) {
        reset(b);
        shares_ = false;
        memo_end_ = nullptr;
        memo.clear();
        heap_.reserve(size_t(std::min(b.cells, kMaxArenaCells)) * kCellBytes + kSharedBytes);
        heap_.clear();
    }
    // Starts a run that keeps, and may use, the memory and the calls of the runs since the last
    // start().
    void start_shared(const Budget& b) {
        reset(b);
        shares_ = true;
        memo_end_ = heap_.mark();
    }
    // Whether more values and calls can be kept for later runs.
    bool has_room() const { return heap_.used() <= kSharedBytes && !memo.full(); }

    uint64_t steps() const { return budget.steps - uint64_t(steps_left); }
    uint64_t peak() const { return std::max(cells_peak, cells); } // the maximum of cells in use

    // Counts n < 2^63 steps, for example the product of two sizes. A Steps fault if the budget has
    // fewer left.
    void charge(uint64_t n) {
        steps_left -= int64_t(n);
        if (steps_left >= 0) return;
        steps_left = 0; // the excess would depend on which calls were remembered
        fail(Kind::Steps, "over the budget of steps");
    }

    // Counts bytes as in use, and returns them rounded up to whole cells. A Cells fault if the
    // budget has less left.
    size_t count_memory(size_t bytes) {
        size_t n = whole_cells(bytes);
        cells += n;
        if (cells > budget.cells) {
            cells -= n;
            fail(Kind::Cells, "over the budget of cells");
        }
        return n * kCellBytes;
    }
    void* allocate(size_t bytes) { return heap_.allocate(count_memory(bytes)); }
    // Allocates a node with n elements of T after its header, and charges n + 1 steps.
    template <class Node, class T> Node* allocate(uint64_t n) {
        charge(n + 1);
        return static_cast<Node*>(allocate(sizeof(Node) + n * sizeof(T)));
    }

    // Whether the `bytes` at p were allocated last: their end can then be moved. The count of cells
    // ignores this, since it must not depend on what else is in memory.
    bool is_last(const void* p, size_t bytes) const {
        return static_cast<const std::byte*>(p) + whole_cells(bytes) * kCellBytes == heap_.mark();
    }
    void shorten(void* p, size_t bytes) {
        heap_.release(static_cast<std::byte*>(p) + whole_cells(bytes) * kCellBytes);
    }
    // Grows the allocation of `bytes` at p to `more`, in place or elsewhere with a copy of the
    // first `used`.
    void* grow(void* p, size_t bytes, size_t used, size_t more) {
        if (!is_last(p, bytes)) return std::memcpy(allocate(more), p, used);
        count_memory(more);
        heap_.release(static_cast<std::byte*>(p));
        return heap_.allocate(whole_cells(more) * kCellBytes);
    }

    struct Mark {
        std::byte* heap;
        uint64_t cells;
    };
    Mark mark() const { return {heap_.mark(), cells}; }
    // Whether nothing was allocated or released since the mark.
    bool untouched(const Mark& m) const { return heap_.mark() == m.heap && cells == m.cells; }
    // Releases the memory that was allocated since the mark. Memory of remembered calls that runs
    // share stays in place, but no longer counts; when there is no room for more, it is released
    // and these calls are forgotten.
    void release(const Mark& m) {
        cells_peak = peak();
        cells = m.cells;
        if (m.heap < memo_end_) {
            if (shares_ && has_room()) return;
            memo_end_ = m.heap;
        }
        memo.forget_since(m.heap);
        heap_.release(m.heap);
    }
    bool worth_reclaiming_since(const Mark& m) const { return cells - m.cells > kReclaimThreshold; }
    // Releases what was allocated since the mark except the node of `bytes` at p, if that is worth
    // it. Returns where the node is now. A node from before the mark is copied too: the count of
    // cells must not depend on whether a value was computed in this call or remembered.
    const void* keep_only(const Mark& m, const void* p, size_t bytes) {
        if (cells - m.cells <= 2 * whole_cells(bytes) + kReclaimThreshold) return p;
        release(m);
        void* kept = allocate(bytes);
        heap_.copy(kept, p, bytes);
        return kept;
    }

    // Remembers a call until memory that is in use now is released, and for later runs if they
    // share calls.
    void remember(Call& call) {
        if (shares_ && !call.failed) call.result = memo.intern(call.result, heap_.mark());
        memo.insert(call, heap_.mark());
        if (shares_) memo_end_ = heap_.mark();
    }
    bool shares() const { return shares_; }

  private:
    static constexpr uint64_t kMaxArenaCells = uint64_t(1) << 28; // 4 GiB, for any budget
    static constexpr size_t kSharedBytes = 8 << 20; // for what runs share, in addition to the budget
    static constexpr uint64_t kReclaimThreshold = 16; // cells

    void reset(const Budget& b) {
        steps_left = int64_t(std::min<uint64_t>(b.steps, INT64_MAX));
        budget.steps = uint64_t(steps_left);
        budget.cells = b.cells;
        cells = cells_peak = 0;
        depth = depth_peak = 0;
        primitive = -1;
    }

    static size_t whole_cells(size_t bytes) { return (bytes + kCellBytes - 1) / kCellBytes; }

    Arena heap_;
    bool shares_ = false;           // calls with later runs
    std::byte* memo_end_ = nullptr; // remembered calls use the memory below it
};

// A growing array for a primitive's temporary data. A small one is on the stack, others are in the
// run's memory, which is released at the end of the scope if nothing was allocated after it, and
// with the call's memory otherwise.
template <class T, size_t kInline = 256 / sizeof(T)> class Buffer {
    static_assert(std::is_trivially_copyable_v<T>);

  public:
    explicit Buffer(Run& run, size_t capacity = 0) : run_(run) {
        if (capacity > kInline) grow(capacity);
    }
    ~Buffer() {
        if (run_.is_last(data_, bytes())) run_.shorten(data_, 0); // never true for a small array
    }
    Buffer(const Buffer&) = delete;
    Buffer& operator=(const Buffer&) = delete;

    void push(T item) {
        if (size_ == capacity_) grow(capacity_ * 2);
        data_[size_++] = item;
    }
    void append(const T* items, size_t n) {
        if (size_ + n > capacity_) grow(std::max(size_ + n, capacity_ * 2));
        if (n) std::memcpy(static_cast<void*>(data_ + size_), items, n * sizeof(T));
        size_ += n;
    }
    void resize(size_t n) { // new elements are not initialised
        if (n > capacity_) grow(n);
        size_ = n;
    }

    T* begin() { return data_; }
    T* end() { return data_ + size_; }
    const T* begin() const { return data_; }
    const T* end() const { return data_ + size_; }
    T& operator[](size_t k) { return data_[k]; }
    const T& operator[](size_t k) const { return data_[k]; }
    size_t size() const { return size_; }
    bool empty() const { return size_ == 0; }

  private:
    size_t bytes() const { return capacity_ * sizeof(T); }
    T* small() { return reinterpret_cast<T*>(store_); }

    void grow(size_t capacity) {
        if (capacity > SIZE_MAX / sizeof(T) / 2) fail(Kind::Cells, "over the budget of cells");
        data_ = static_cast<T*>(run_.grow(data_, bytes(), size_ * sizeof(T), capacity * sizeof(T)));
        capacity_ = capacity;
    }

    Run& run_;
    T* data_ = small();
    size_t size_ = 0, capacity_ = kInline;
    alignas(T) std::byte store_[kInline * sizeof(T)];
};

} // namespace codeit
