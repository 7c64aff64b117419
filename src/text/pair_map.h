/* 64-bit key -> 64-bit value: merges by pair of ids, edges of a trie. Open addressing. */
#ifndef LIMN_TEXT_PAIR_MAP_H
#define LIMN_TEXT_PAIR_MAP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"

#define PAIR_MAP_EMPTY UINT64_MAX /* no key */

typedef struct PairMapEntry {
    uint64_t key, value;
} PairMapEntry;

typedef struct PairMap {
    PairMapEntry *entries; /* [capacity], a power of two */
    size_t capacity;
    size_t count;
} PairMap;

void pair_map_free(PairMap *map);
limn_status pair_map_reserve(PairMap *map, size_t count);
limn_status pair_map_put(PairMap *map, uint64_t key, uint64_t value); /* sets or replaces */

static inline size_t pair_map_hash(uint64_t key) {
    key *= 0x9E3779B97F4A7C15u;
    return (size_t)(key ^ key >> 32);
}

static inline bool pair_map_get(const PairMap *map, uint64_t key, uint64_t *value) {
    if (map->count == 0) {
        return false;
    }
    size_t mask = map->capacity - 1;
    for (size_t i = pair_map_hash(key) & mask;; i = (i + 1) & mask) {
        if (map->entries[i].key == key) {
            *value = map->entries[i].value;
            return true;
        }
        if (map->entries[i].key == PAIR_MAP_EMPTY) {
            return false;
        }
    }
}

#endif
