// The context of one run: memory, budgets, faults.
//
// A budget counts steps (cells touched) and cells (memory in use), never seconds: the same program on the
// same grid ends the same way on every machine. (Sorting by a program's own function takes as many steps as the
// standard library's sort makes comparisons.)
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <memory>
#include <type_traits>
#include <vector>

#include "memo.hpp"

// Under the address sanitizer, memory that was given back may not be touched until it is handed out again.
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

inline constexpr size_t kCellBytes = 16; // what a budget's cell is: room for one value, or 16 colours of a grid

struct Budget {
    uint64_t steps = 5'000'000;
    uint64_t cells = 2'000'000;
};

inline constexpr int kMaxDepth = 1000;        // nested calls of function values
inline constexpr uint32_t kMaxNesting = 1000; // levels of a value: sets in tuples, functions of functions

// Memory handed out in order, and given back in the reverse order down to a mark. It is one region, of which
// the system provides only the pages that were touched.
class Arena {
  public:
    // Room for so many bytes; forgets what it holds when it has to move.
    void reserve(size_t bytes) {
        if (bytes > size_t(end_ - base_.get())) replace(bytes);
    }
    std::byte* mark() const { return at_; }
    void release(std::byte* mark) {
        ASAN_POISON_MEMORY_REGION(mark, size_t(at_ - mark));
        highest_ = std::max(highest_, at_);
        at_ = mark;
    }
    // Forget everything. What an unusually large run touched is given back to the system.
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
    // As memmove; the source may have been given back, or lie elsewhere.
    void copy(void* to, const void* from, size_t bytes) {
        ASAN_UNPOISON_MEMORY_REGION(from, bytes);
        std::memmove(to, from, bytes);
        const std::byte* end = static_cast<const std::byte*>(from) + bytes;
        const std::byte* gone = std::max<const std::byte*>(at_, static_cast<const std::byte*>(from));
        if (end > gone && end <= end_) ASAN_POISON_MEMORY_REGION(gone, size_t(end - gone));
    }

  private:
    void replace(size_t bytes) {
        base_.reset(); // first, so that two are never held
        base_.reset(new std::byte[bytes]);
        at_ = highest_ = base_.get();
        end_ = at_ + bytes;
        ASAN_POISON_MEMORY_REGION(at_, bytes);
    }

    std::unique_ptr<std::byte[]> base_;
    std::byte *at_ = nullptr, *end_ = nullptr;
    std::byte* highest_ = nullptr; // where memory was given back
};

struct Run {
    Budget budget;
    int64_t steps_left = 0; // of the budget
    uint64_t cells = 0;      // in use now
    uint64_t cells_peak = 0; // in use at most when some were given back: see peak
    int depth = 0;
    int deepest = 0;
    int primitive = -1; // the one being executed, for messages
    bool brief = false; // nobody asks why it ends early: what is known to go over its budget is not tried
    Memo memo;
    std::vector<Value> frame; // of a program's values

    // A new run in empty memory.
    void start(const Budget& b) {
        begin(b);
        shares_ = false;
        wanted_ = nullptr;
        memo.clear();
        heap_.reserve(size_t(std::min(b.cells, kMostCells)) * kCellBytes + kSharedBytes);
        heap_.clear();
    }
    // A new run behind what earlier ones have left, which it may share; from the last start on.
    void join(const Budget& b) {
        begin(b);
        shares_ = true;
        wanted_ = heap_.mark();
    }
    // Whether there is room for more to share.
    bool has_room() const { return heap_.used() <= kSharedBytes && !memo.full(); }

    uint64_t steps() const { return budget.steps - uint64_t(steps_left); }
    uint64_t peak() const { return std::max(cells_peak, cells); } // cells in use at most

    void charge(uint64_t n) { // below 2^63: the size of something, or of two multiplied
        steps_left -= int64_t(n);
        if (steps_left >= 0) return;
        steps_left = 0; // by how much it was missed depends on what was recalled
        fail(Kind::Steps, "over the budget of steps");
    }

    // Counts so many bytes as in use; gives them rounded up to whole cells.
    size_t hold(size_t bytes) {
        size_t n = whole(bytes);
        cells += n;
        if (cells > budget.cells) {
            cells -= n;
            fail(Kind::Cells, "over the budget of cells");
        }
        return n * kCellBytes;
    }
    void* allocate(size_t bytes) { return heap_.allocate(hold(bytes)); }
    // Room for a node with n elements of T behind its header; its elements are charged as steps.
    template <class Node, class T> Node* allocate(uint64_t n) {
        charge(n + 1);
        return static_cast<Node*>(allocate(sizeof(Node) + n * sizeof(T)));
    }

    // Whether p is what was allocated last, of so many bytes; it can then be made longer, or shorter. The count of
    // cells does not show it: it must not depend on what else is in memory.
    bool is_last(const void* p, size_t bytes) const {
        return static_cast<const std::byte*>(p) + whole(bytes) * kCellBytes == heap_.mark();
    }
    void shorten(void* p, size_t bytes) { heap_.release(static_cast<std::byte*>(p) + whole(bytes) * kCellBytes); }
    // More room for what is at p, of so many bytes: there, or elsewhere with a copy of those that are used.
    void* grow(void* p, size_t bytes, size_t used, size_t more) {
        if (!is_last(p, bytes)) return std::memcpy(allocate(more), p, used);
        hold(more);
        heap_.release(static_cast<std::byte*>(p));
        return heap_.allocate(whole(more) * kCellBytes);
    }

    struct Mark {
        std::byte* heap;
        uint64_t cells;
    };
    Mark mark() const { return {heap_.mark(), cells}; }
    bool untouched(const Mark& m) const { return heap_.mark() == m.heap && cells == m.cells; } // since the mark
    void release(const Mark& m) {
        cells_peak = peak();
        cells = m.cells;
        if (m.heap < wanted_) {
            if (shares_ && has_room()) return;
            wanted_ = m.heap;
        }
        memo.forget_since(m.heap);
        heap_.release(m.heap);
    }
    bool is_much_since(const Mark& m) const { return cells - m.cells > kMuch; }
    // Gives back what was allocated since a mark, if it is much, but for the node of `bytes` at p; where that is now.
    // An older node is copied too: whether a value was made in this call or recalled must change nothing.
    const void* keep_only(const Mark& m, const void* p, size_t bytes) {
        if (cells - m.cells <= 2 * whole(bytes) + kMuch) return p;
        release(m);
        void* kept = allocate(bytes);
        heap_.copy(kept, p, bytes);
        return kept;
    }

    // Remembers a call until memory that is in use now is given back; for the programs to come too, if they share.
    void remember(Call& call) {
        if (shares_ && !call.failed) call.result = memo.known_as(call.result, heap_.mark());
        memo.insert(call, heap_.mark());
        if (shares_) wanted_ = heap_.mark();
    }
    bool shares() const { return shares_; }

  private:
    static constexpr uint64_t kMostCells = uint64_t(1) << 28; // 4 GiB, whatever the budget
    static constexpr size_t kSharedBytes = 8 << 20;
    static constexpr uint64_t kMuch = 16; // cells

    void begin(const Budget& b) {
        steps_left = int64_t(std::min<uint64_t>(b.steps, INT64_MAX));
        budget.steps = uint64_t(steps_left);
        budget.cells = b.cells;
        cells = cells_peak = 0;
        depth = deepest = 0;
        primitive = -1;
    }

    static size_t whole(size_t bytes) { return (bytes + kCellBytes - 1) / kCellBytes; } // cells

    Arena heap_;
    bool shares_ = false;
    std::byte* wanted_ = nullptr; // what lies before it is remembered
};

// A growing array for a primitive's own work, in the run's memory when it is not small. The memory is given back at
// the end of its scope if nothing was allocated behind it, and with the call's otherwise; it counts until then.
template <class T, size_t kInline = 256 / sizeof(T)> class Buffer {
    static_assert(std::is_trivially_copyable_v<T>);

  public:
    explicit Buffer(Run& run, size_t capacity = 0) : run_(run) {
        if (capacity > kInline) grow(capacity);
    }
    ~Buffer() {
        if (run_.is_last(data_, bytes())) run_.shorten(data_, 0); // a small array never is
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
