// Attention of one new token per sequence, for sampling from the policy on a CPU.
//
// PyTorch needs two batched matrix products for it. With one query each, they are thousands of tiny
// products over keys that must first be copied side by side. Here every row reads the keys and
// values of its own past where they lie, so a sequence can be dropped, or continued by several
// others, without copying a cache.
#pragma once

#include <cstdint>

namespace codeit {

// The new token's query, key and value for each row: (rows, 3, heads, head_size).
// All arrays hold floats in row-major order.
struct NewTokens {
    const float* query_key_value;
    int64_t rows, heads, head_size;
};

// Appends keys and values of step `step` to `cache`, (steps, capacity, 2, heads, head_size), in the
// order of rows. Then writes to `out`, (rows, heads, head_size), the mean of the values of steps 0 to
// `step`, weighted by softmax(query · key + bias). `slots`, (rows, steps), gives for each row and step
// the index along `capacity` of its keys and values in the cache; the entries of `step` are written
// here. `bias` has shape (heads, step + 1).
void attend_to_past(const NewTokens& tokens, int64_t step, int64_t steps, int64_t capacity, float* cache,
                    int32_t* slots, const float* bias, float* out);

// Writes to `out`, (rows, heads, head_size), the mean of the values of a row's source, weighted by
// softmax(query · key). `query` has the shape of `out`, `keys_values` (sources, longest, 2, heads,
// head_size). `sources` gives the source of each row, and `lengths` the tokens of each source.
void attend_to_source(const float* query, int64_t rows, int64_t heads, int64_t head_size,
                      const float* keys_values, int64_t longest, const int32_t* sources,
                      const int32_t* lengths, float* out);

} // namespace codeit
