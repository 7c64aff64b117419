#include "text/pair_map.h"

#include <stdlib.h>
#include <string.h>

void pair_map_free(PairMap *map) {
    free(map->entries);
    *map = (PairMap){0};
}

static PairMapEntry *find(const PairMap *map, uint64_t key) {
    size_t mask = map->capacity - 1;
    size_t i = pair_map_hash(key) & mask;
    while (map->entries[i].key != PAIR_MAP_EMPTY && map->entries[i].key != key) {
        i = (i + 1) & mask;
    }
    return &map->entries[i];
}

limn_status pair_map_reserve(PairMap *map, size_t count) {
    size_t capacity = map->capacity < 16 ? 16 : map->capacity;
    while (capacity / 2 < count) {
        if (capacity > SIZE_MAX / 64) {
            return fail(LIMN_NO_MEMORY, "hash map of %zu entries", count);
        }
        capacity *= 2;
    }
    if (capacity == map->capacity) {
        return LIMN_OK;
    }
    PairMap larger = {malloc(capacity * sizeof(PairMapEntry)), capacity, map->count};
    if (larger.entries == NULL) {
        return fail(LIMN_NO_MEMORY, "hash map of %zu places", capacity);
    }
    memset(larger.entries, 0xFF, capacity * sizeof(PairMapEntry));
    for (size_t i = 0; i < map->capacity; i++) {
        if (map->entries[i].key != PAIR_MAP_EMPTY) {
            *find(&larger, map->entries[i].key) = map->entries[i];
        }
    }
    free(map->entries);
    *map = larger;
    return LIMN_OK;
}

limn_status pair_map_put(PairMap *map, uint64_t key, uint64_t value) {
    TRY(pair_map_reserve(map, map->count + 1));
    PairMapEntry *entry = find(map, key);
    if (entry->key == PAIR_MAP_EMPTY) {
        entry->key = key;
        map->count++;
    }
    entry->value = value;
    return LIMN_OK;
}
