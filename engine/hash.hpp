// Hashes of words and bytes: for hash tables, and to distinguish programs and grids. Searches store
// `identity` and `behaviour` on disk, so a change of these functions must raise SCHEMA_VERSION in
// src/codeit/storage/search_log.py.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>

namespace codeit {

inline uint64_t mix(uint64_t hash, uint64_t word) {
    hash = (hash ^ word) * 0x9e3779b97f4a7c15;
    return hash ^ hash >> 29;
}

inline uint64_t hash_bytes(uint64_t hash, const void* data, size_t n) {
    auto* bytes = static_cast<const unsigned char*>(data);
    uint64_t word;
    for (; n >= sizeof(word); bytes += sizeof(word), n -= sizeof(word)) {
        std::memcpy(&word, bytes, sizeof(word));
        hash = mix(hash, word);
    }
    word = 0;
    std::memcpy(&word, bytes, n);
    return mix(hash, word ^ uint64_t(n) << 56);
}

} // namespace codeit
