#include "backend/cpu/packs.h"

#include <stdlib.h>

#include "base/integers.h"
#include "base/large.h"
#include "base/map.h"

enum { PLACES = 4096, PROBES = 16, PACK_AFTER = 3, SLAB = 64 << 20 };

typedef struct Pack {
    const void *w; /* with its strides the key; NULL: an empty place */
    int64_t k, n, k_stride, n_stride;
    int uses;
    void *packed; /* in a slab; NULL: not packed */
} Pack;

/* Packs lie one after the other in slabs on large pages. */
typedef struct Slab {
    struct Slab *next;
    char *memory;
} Slab;

struct Packs {
    size_t budget;
    Slab *slabs;
    size_t left; /* bytes at the end of the first slab */
    size_t slab_bytes;
    Pack places[PLACES];
};

limn_status packs_new(Packs **packs) {
    *packs = calloc(1, sizeof **packs);
    return *packs == NULL ? fail(LIMN_NO_MEMORY, "no memory for a table of packed weights") : LIMN_OK;
}

void packs_free(Packs *packs) {
    while (packs != NULL && packs->slabs != NULL) {
        Slab *slab = packs->slabs;
        packs->slabs = slab->next;
        free(slab->memory);
        free(slab);
    }
    free(packs);
}

void packs_set_budget(Packs *packs, size_t bytes) {
    packs->budget = bytes;
}

static Pack *find(Packs *packs, const Gemm *g) {
    const int64_t key[] = {(int64_t)(intptr_t)g->w, g->w_k_stride, g->w_n_stride, g->k, g->n};
    uint64_t hash = hash_bytes(key, sizeof key);
    for (uint64_t i = 0; i < PROBES; i++) {
        Pack *pack = &packs->places[(hash + i) % PLACES];
        if (pack->w == NULL) {
            *pack = (Pack){.w = g->w, .k = g->k, .n = g->n, .k_stride = g->w_k_stride, .n_stride = g->w_n_stride};
            return pack;
        }
        if (pack->w == g->w && pack->k == g->k && pack->n == g->n && pack->k_stride == g->w_k_stride &&
            pack->n_stride == g->w_n_stride) {
            return pack;
        }
    }
    return NULL; /* crowded: this weight stays as it is */
}

/* `bytes` (a multiple of 64) of a slab, or NULL. */
static void *take(Packs *packs, size_t bytes) {
    if (bytes > packs->left) {
        size_t wanted = bytes > SLAB ? bytes : SLAB;
        Slab *slab = malloc(sizeof *slab);
        char *memory = slab == NULL ? NULL : large_alloc(wanted);
        if (memory == NULL) {
            free(slab);
            return NULL;
        }
        *slab = (Slab){packs->slabs, memory};
        packs->slabs = slab;
        packs->left = packs->slab_bytes = wanted;
    }
    void *place = packs->slabs->memory + (packs->slab_bytes - packs->left);
    packs->left -= bytes;
    return place;
}

size_t packs_bytes(const Gemm *gemm, const PackLayout *layout, int64_t uses) {
    return uses < PACK_AFTER ? 0 : round_up_bytes(layout->bytes(gemm), 64);
}

const void *packs_use(Packs *packs, const Gemm *gemm, const PackLayout *layout) {
    if (packs->budget == 0) {
        return NULL;
    }
    Pack *pack = find(packs, gemm);
    if (pack == NULL || pack->packed != NULL) {
        return pack == NULL ? NULL : pack->packed;
    }
    size_t bytes = packs_bytes(gemm, layout, ++pack->uses);
    if (bytes == 0 || bytes > packs->budget) {
        return NULL;
    }
    pack->packed = take(packs, bytes);
    if (pack->packed == NULL) {
        packs->budget = 0;
        return NULL;
    }
    packs->budget -= bytes;
    layout->fill(pack->packed, gemm);
    return pack->packed;
}
