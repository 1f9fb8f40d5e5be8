#include "attention.hpp"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <vector>

namespace codeit {
namespace {

// Sixteen floats: a register of AVX-512, two of AVX2, four of SSE or NEON.
constexpr int64_t kLanes = 16;
using Lanes = float __attribute__((vector_size(kLanes * sizeof(float)), aligned(sizeof(float)), may_alias));

#define CODEIT_INLINE inline __attribute__((always_inline))

CODEIT_INLINE float dot(const float* a, const float* b, int64_t n) {
    float sum = 0;
    int64_t k = 0;
    if (n >= kLanes) {
        Lanes sums{};
        for (; k + kLanes <= n; k += kLanes)
            sums += *reinterpret_cast<const Lanes*>(a + k) * *reinterpret_cast<const Lanes*>(b + k);
        // Add halves: sixteen additions one after another would take longer than the products.
        sums += __builtin_shufflevector(sums, sums, 8, 9, 10, 11, 12, 13, 14, 15, 0, 1, 2, 3, 4, 5, 6, 7);
        sums += __builtin_shufflevector(sums, sums, 4, 5, 6, 7, 0, 1, 2, 3, 12, 13, 14, 15, 8, 9, 10, 11);
        sum = sums[0] + sums[1] + (sums[2] + sums[3]);
    }
    for (; k < n; ++k) sum += a[k] * b[k];
    return sum;
}

CODEIT_INLINE void add_scaled(float* out, float scale, const float* a, int64_t n) {
    int64_t k = 0;
    for (; k + kLanes <= n; k += kLanes)
        *reinterpret_cast<Lanes*>(out + k) += scale * *reinterpret_cast<const Lanes*>(a + k);
    for (; k < n; ++k) out[k] += scale * a[k];
}

// Attends to n positions. `at(k)` is where the key of position k begins, for all heads; its value
// follows. `bias`, (heads, n), may be null. `scores` has room for n floats.
template <typename At>
CODEIT_INLINE void attend(const float* query, int64_t heads, int64_t size, int64_t n, At at,
                          const float* bias, float* scores, float* out) {
    std::fill(out, out + heads * size, 0.f);
    for (int64_t head = 0; head < heads; ++head) {
        float highest = -INFINITY;
        for (int64_t k = 0; k < n; ++k) {
            scores[k] = dot(query + head * size, at(k) + head * size, size) + (bias ? bias[head * n + k] : 0.f);
            highest = std::max(highest, scores[k]);
        }
        float sum = 0;
        for (int64_t k = 0; k < n; ++k) sum += scores[k] = std::exp(scores[k] - highest);
        for (int64_t k = 0; k < n; ++k)
            add_scaled(out + head * size, scores[k] / sum, at(k) + (heads + head) * size, size);
    }
}

CODEIT_INLINE void past(const NewTokens& tokens, int64_t step, int64_t steps, int64_t capacity, float* cache,
                        int32_t* slots, const float* bias, float* out) {
    const int64_t width = tokens.heads * tokens.head_size;
    std::vector<float> scores(size_t(step) + 1);
    for (int64_t row = 0; row < tokens.rows; ++row) {
        const float* query = tokens.query_key_value + row * 3 * width;
        std::memcpy(cache + (step * capacity + row) * 2 * width, query + width,
                    size_t(2 * width) * sizeof(float));
        int32_t* row_slots = slots + row * steps;
        row_slots[step] = int32_t(row);
        auto at = [&](int64_t k) { return cache + (k * capacity + row_slots[k]) * 2 * width; };
        attend(query, tokens.heads, tokens.head_size, step + 1, at, bias, scores.data(), out + row * width);
    }
}

CODEIT_INLINE void source(const float* query, int64_t rows, int64_t heads, int64_t size,
                          const float* keys_values, int64_t longest, const int32_t* sources,
                          const int32_t* lengths, float* out) {
    const int64_t width = heads * size;
    std::vector<float> scores(static_cast<size_t>(longest));
    for (int64_t row = 0; row < rows; ++row) {
        const float* begin = keys_values + sources[row] * longest * 2 * width;
        auto at = [&](int64_t k) { return begin + k * 2 * width; };
        attend(query + row * width, heads, size, lengths[sources[row]], at, nullptr, scores.data(),
               out + row * width);
    }
}

// Compiles a function for AVX-512, for AVX2 and for any processor, and picks one at its first call. The
// compiler's attribute for this, `target_clones`, picks before the sanitizers are ready.
#if defined(__x86_64__)
#define CODEIT_CHOOSE(body, parameters, ...)                                               \
    __attribute__((target("avx512f,fma"))) void body##_avx512 parameters { body(__VA_ARGS__); } \
    __attribute__((target("avx2,fma"))) void body##_avx2 parameters { body(__VA_ARGS__); } \
    void body##_any parameters { body(__VA_ARGS__); }                                      \
    void body##_chosen parameters {                                                        \
        static const auto chosen = __builtin_cpu_supports("avx512f")                       \
                                       ? body##_avx512                                     \
                                   : __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") \
                                       ? body##_avx2                                       \
                                       : body##_any;                                       \
        chosen(__VA_ARGS__);                                                               \
    }
#else
#define CODEIT_CHOOSE(body, parameters, ...) \
    void body##_chosen parameters { body(__VA_ARGS__); }
#endif

CODEIT_CHOOSE(past,
              (const NewTokens& tokens, int64_t step, int64_t steps, int64_t capacity, float* cache,
               int32_t* slots, const float* bias, float* out),
              tokens, step, steps, capacity, cache, slots, bias, out)
CODEIT_CHOOSE(source,
              (const float* query, int64_t rows, int64_t heads, int64_t size, const float* keys_values,
               int64_t longest, const int32_t* sources, const int32_t* lengths, float* out),
              query, rows, heads, size, keys_values, longest, sources, lengths, out)

} // namespace

void attend_to_past(const NewTokens& tokens, int64_t step, int64_t steps, int64_t capacity, float* cache,
                    int32_t* slots, const float* bias, float* out) {
    past_chosen(tokens, step, steps, capacity, cache, slots, bias, out);
}

void attend_to_source(const float* query, int64_t rows, int64_t heads, int64_t head_size,
                      const float* keys_values, int64_t longest, const int32_t* sources,
                      const int32_t* lengths, float* out) {
    source_chosen(query, rows, heads, head_size, keys_values, longest, sources, lengths, out);
}

} // namespace codeit
