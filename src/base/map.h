/* Byte string -> 64-bit value. Open addressing; keys are borrowed. */
#ifndef LIMN_BASE_MAP_H
#define LIMN_BASE_MAP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"

typedef struct MapEntry {
    const char *key; /* NULL: an empty place */
    size_t length;
    uint64_t value;
} MapEntry;

typedef struct Map {
    MapEntry *entries; /* [capacity], a power of two */
    size_t capacity;
    size_t count;
} Map;

void map_init(Map *map);
void map_free(Map *map);
limn_status map_reserve(Map *map, size_t count);

/* Sets or replaces. The key's bytes must outlive the map. */
limn_status map_put(Map *map, const char *key, size_t length, uint64_t value);
bool map_get(const Map *map, const char *key, size_t length, uint64_t *value);

uint64_t hash_bytes(const void *data, size_t length);

#endif
