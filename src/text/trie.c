#include "text/trie.h"

#include <stdlib.h>

void trie_init(Trie *trie) {
    *trie = (Trie){0};
    for (int i = 0; i < 256; i++) {
        trie->roots[i] = -1;
    }
}

void trie_free(Trie *trie) {
    pair_map_free(&trie->edges);
    free(trie->values);
    trie_init(trie);
}

static limn_status new_node(Trie *trie, uint32_t *node) {
    if (trie->nodes == trie->capacity) {
        uint32_t capacity = trie->capacity < 64 ? 64 : trie->capacity * 2;
        int32_t *values = capacity > UINT32_MAX / 4 ? NULL : realloc(trie->values, (size_t)capacity * sizeof *values);
        if (values == NULL) {
            return fail(LIMN_NO_MEMORY, "a trie of %u nodes", (unsigned)capacity);
        }
        trie->values = values;
        trie->capacity = capacity;
    }
    *node = trie->nodes++;
    trie->values[*node] = TRIE_NONE;
    return LIMN_OK;
}

limn_status trie_add(Trie *trie, const char *key, size_t length, int32_t value, bool replace) {
    if (length == 0) {
        return LIMN_OK;
    }
    uint32_t node = 0;
    if (trie->nodes == 0) {
        TRY(new_node(trie, &node));
    }
    for (size_t i = 0; i < length; i++) {
        int32_t ignored;
        unsigned char byte = (unsigned char)key[i];
        uint32_t from = node;
        if (trie_step(trie, &node, byte, &ignored)) {
            continue;
        }
        TRY(new_node(trie, &node));
        if (from == 0) {
            trie->roots[byte] = node;
        } else {
            TRY(pair_map_put(&trie->edges, (uint64_t)from << 8 | byte, node));
        }
    }
    if (replace || trie->values[node] == TRIE_NONE) {
        trie->values[node] = value;
    }
    return LIMN_OK;
}

size_t trie_longest(const Trie *trie, const char *text, size_t length, int32_t *value) {
    size_t longest = 0;
    uint32_t node = 0;
    int32_t here = TRIE_NONE;
    for (size_t i = 0; i < length && trie_step(trie, &node, (unsigned char)text[i], &here); i++) {
        if (here != TRIE_NONE) {
            longest = i + 1;
            *value = here;
        }
    }
    return longest;
}
