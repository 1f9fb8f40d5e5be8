// The context of one run: memory, budgets, faults.
//
// A budget counts steps (cells touched) and cells (elements held at once), never seconds: the same program
// on the same grid ends the same way on every machine.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <algorithm>
#include <memory>
#include <new>
#include <type_traits>
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

struct Budget {
    uint64_t steps = 5'000'000;
    uint64_t cells = 2'000'000;
};

inline constexpr int kMaxDepth = 1000;        // nested calls of function values
inline constexpr uint32_t kMaxNesting = 1000; // levels of a value: sets in tuples, functions of functions

// A bump allocator whose memory is given back in the reverse order, down to a mark.
class Arena {
  public:
    struct Mark {
        size_t block, used;
    };

    Mark mark() const { return {block_, used_}; }
    void release(Mark m) {
        block_ = m.block;
        used_ = m.used;
    }

    void* allocate(size_t bytes) {
        bytes = (bytes + 15) & ~size_t(15);
        if (block_ < blocks_.size() && used_ + bytes <= blocks_[block_].size) {
            void* p = blocks_[block_].data.get() + used_;
            used_ += bytes;
            return p;
        }
        return allocate_in_new_block(bytes);
    }

    // Free the blocks that only a large run needed.
    void trim(size_t keep_bytes) {
        size_t total = 0, k = 0;
        while (k < blocks_.size() && total + blocks_[k].size <= keep_bytes) total += blocks_[k++].size;
        blocks_.resize(k);
        block_ = used_ = 0;
    }

  private:
    struct Block {
        std::unique_ptr<std::byte[]> data;
        size_t size;
    };

    void* allocate_in_new_block(size_t bytes) {
        if (block_ < blocks_.size()) ++block_;
        while (block_ < blocks_.size() && blocks_[block_].size < bytes) ++block_;
        if (block_ >= blocks_.size()) {
            size_t size = blocks_.empty() ? 64 * 1024 : std::min<size_t>(blocks_.back().size * 2, 4 << 20);
            size = std::max(size, bytes);
            blocks_.push_back({std::unique_ptr<std::byte[]>(new std::byte[size]), size});
            block_ = blocks_.size() - 1;
        }
        used_ = bytes;
        return blocks_[block_].data.get();
    }

    std::vector<Block> blocks_;
    size_t block_ = 0, used_ = 0;
};

struct Run {
    Budget budget;
    uint64_t steps = 0;
    uint64_t cells = 0;      // held now
    uint64_t cells_peak = 0; // held at most
    int depth = 0;
    int primitive = -1; // the one being executed, for messages
    Arena heap;

    void start(Budget b) {
        budget = b;
        steps = cells = cells_peak = 0;
        depth = 0;
        primitive = -1;
        heap.trim(8 << 20);
    }

    void charge(uint64_t n) {
        steps += n;
        if (steps > budget.steps) throw Fault{Kind::Steps, "over the budget of steps"};
    }

    void hold(uint64_t n) {
        cells += n;
        if (cells > budget.cells) throw Fault{Kind::Cells, "over the budget of cells"};
        if (cells > cells_peak) cells_peak = cells;
    }

    // Room for a node with n elements of T behind its header; charged to both budgets.
    template <class Node, class T> Node* allocate(uint64_t n) {
        charge(n + 1);
        hold(n + 1);
        return static_cast<Node*>(heap.allocate(sizeof(Node) + n * sizeof(T)));
    }

    struct Mark {
        Arena::Mark heap;
        uint64_t cells;
    };
    Mark mark() const { return {heap.mark(), cells}; }
    void release(Mark m) {
        heap.release(m.heap);
        cells = m.cells;
    }
};

// A growing array for a primitive's own work, gone at the end of its scope; counts as cells held.
template <class T> class Buffer {
    static_assert(std::is_trivially_copyable_v<T>);

  public:
    explicit Buffer(Run& run, size_t capacity = 0) : run_(run) { reserve(capacity); }
    ~Buffer() {
        run_.cells -= capacity_ - kInline;
        if (data_ != small()) std::free(data_);
    }
    Buffer(const Buffer&) = delete;
    Buffer& operator=(const Buffer&) = delete;

    void push(T item) {
        if (size_ == capacity_) reserve(capacity_ * 2);
        data_[size_++] = item;
    }
    void reserve(size_t capacity) {
        if (capacity <= capacity_) return;
        run_.hold(capacity - capacity_);
        T* grown = static_cast<T*>(std::malloc(capacity * sizeof(T)));
        if (!grown) throw std::bad_alloc();
        if (size_) std::memcpy(static_cast<void*>(grown), data_, size_ * sizeof(T));
        if (data_ != small()) std::free(data_);
        data_ = grown;
        capacity_ = capacity;
    }
    void resize(size_t n) { // new elements are not initialised
        reserve(n);
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
    static constexpr size_t kInline = 256 / sizeof(T);
    T* small() { return reinterpret_cast<T*>(store_); }

    Run& run_;
    T* data_ = reinterpret_cast<T*>(store_);
    size_t size_ = 0, capacity_ = kInline;
    alignas(T) std::byte store_[kInline * sizeof(T)];
};

} // namespace codeit
