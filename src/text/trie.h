/* Byte strings with a value each, walked byte by byte: which of them begin here? */
#ifndef LIMN_TEXT_TRIE_H
#define LIMN_TEXT_TRIE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "text/pair_map.h"

enum { TRIE_NONE = -1 };

typedef struct Trie {
    PairMap edges;   /* node * 256 + byte -> child */
    int32_t *values; /* [nodes], TRIE_NONE where no string ends */
    uint32_t nodes;  /* node 0 is the root; 0 nodes: an empty trie */
    uint32_t capacity;
    int64_t roots[256]; /* the root's children, -1: none */
} Trie;

void trie_init(Trie *trie);
void trie_free(Trie *trie);
/* Keeps the first value of a string added twice unless `replace`. An empty string is left out. */
limn_status trie_add(Trie *trie, const char *key, size_t length, int32_t value, bool replace);

/* From `node` (0 at first) along `byte`: false when nothing goes on. *value is TRIE_NONE or a string's. */
static inline bool trie_step(const Trie *trie, uint32_t *node, unsigned char byte, int32_t *value) {
    uint64_t child;
    if (*node == 0) {
        if (trie->nodes == 0 || trie->roots[byte] < 0) {
            return false;
        }
        child = (uint64_t)trie->roots[byte];
    } else if (!pair_map_get(&trie->edges, (uint64_t)*node << 8 | byte, &child)) {
        return false;
    }
    *node = (uint32_t)child;
    *value = trie->values[child];
    return true;
}

/* The longest string that text begins with; 0 bytes: none. */
size_t trie_longest(const Trie *trie, const char *text, size_t length, int32_t *value);

#endif
