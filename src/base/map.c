#include "base/map.h"

#include <stdlib.h>
#include <string.h>

void map_init(Map *map) {
    *map = (Map){0};
}

void map_free(Map *map) {
    free(map->entries);
    map_init(map);
}

/* Multiply-and-fold over 8-byte words; not for hostile keys that must stay secret, only for speed. */
uint64_t hash_bytes(const void *data, size_t length) {
    const unsigned char *bytes = data;
    uint64_t hash = 0x9E3779B97F4A7C15u ^ (uint64_t)length;
    while (length > 0) {
        uint64_t word = 0;
        size_t step = length < 8 ? length : 8;
        memcpy(&word, bytes, step);
        hash = (hash ^ word) * 0xFF51AFD7ED558CCDu;
        hash ^= hash >> 32;
        bytes += step;
        length -= step;
    }
    hash *= 0xC4CEB9FE1A85EC53u;
    return hash ^ (hash >> 29);
}

static MapEntry *find(const Map *map, const char *key, size_t length) {
    size_t mask = map->capacity - 1;
    for (size_t i = (size_t)hash_bytes(key, length) & mask;; i = (i + 1) & mask) {
        MapEntry *entry = &map->entries[i];
        if (entry->key == NULL || (entry->length == length && memcmp(entry->key, key, length) == 0)) {
            return entry;
        }
    }
}

static limn_status resize(Map *map, size_t capacity) {
    Map larger = {calloc(capacity, sizeof(MapEntry)), capacity, map->count};
    if (larger.entries == NULL) {
        return fail(LIMN_NO_MEMORY, "hash map of %zu places", capacity);
    }
    for (size_t i = 0; i < map->capacity; i++) {
        if (map->entries[i].key != NULL) {
            *find(&larger, map->entries[i].key, map->entries[i].length) = map->entries[i];
        }
    }
    free(map->entries);
    *map = larger;
    return LIMN_OK;
}

limn_status map_reserve(Map *map, size_t count) {
    size_t capacity = map->capacity < 16 ? 16 : map->capacity;
    while (capacity / 4 * 3 < count) {
        if (capacity > SIZE_MAX / 64) {
            return fail(LIMN_NO_MEMORY, "hash map of %zu entries", count);
        }
        capacity *= 2;
    }
    return capacity == map->capacity ? LIMN_OK : resize(map, capacity);
}

limn_status map_put(Map *map, const char *key, size_t length, uint64_t value) {
    TRY(map_reserve(map, map->count + 1));
    MapEntry *entry = find(map, key, length);
    if (entry->key == NULL) {
        entry->key = key;
        entry->length = length;
        map->count++;
    }
    entry->value = value;
    return LIMN_OK;
}

bool map_get(const Map *map, const char *key, size_t length, uint64_t *value) {
    if (map->count == 0) {
        return false;
    }
    const MapEntry *entry = find(map, key, length);
    if (entry->key == NULL) {
        return false;
    }
    *value = entry->value;
    return true;
}
