/* Candidate merges, best first: lowest rank, then leftmost. The caller gives room for all that are pushed. */
#ifndef LIMN_TEXT_BPE_HEAP_H
#define LIMN_TEXT_BPE_HEAP_H

#include <stdbool.h>

#include "text/component.h"

typedef struct BpeHeap {
    BpeMerge *merges;
    size_t count;
} BpeHeap;

static inline bool bpe_merge_before(const BpeMerge *a, const BpeMerge *b) {
    return a->rank != b->rank ? a->rank < b->rank : a->at < b->at;
}

static inline void bpe_heap_push(BpeHeap *heap, BpeMerge merge) {
    size_t i = heap->count++;
    while (i > 0) {
        size_t parent = (i - 1) / 2;
        if (!bpe_merge_before(&merge, &heap->merges[parent])) {
            break;
        }
        heap->merges[i] = heap->merges[parent];
        i = parent;
    }
    heap->merges[i] = merge;
}

static inline bool bpe_heap_pop(BpeHeap *heap, BpeMerge *top) {
    if (heap->count == 0) {
        return false;
    }
    *top = heap->merges[0];
    BpeMerge last = heap->merges[--heap->count];
    size_t i = 0;
    for (;;) {
        size_t child = 2 * i + 1;
        if (child >= heap->count) {
            break;
        }
        if (child + 1 < heap->count && bpe_merge_before(&heap->merges[child + 1], &heap->merges[child])) {
            child++;
        }
        if (!bpe_merge_before(&heap->merges[child], &last)) {
            break;
        }
        heap->merges[i] = heap->merges[child];
        i = child;
    }
    heap->merges[i] = last;
    return true;
}

#endif
