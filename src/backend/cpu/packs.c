#include "backend/cpu/packs.h"

#include <stdlib.h>

#include "base/map.h"

enum { PLACES = 4096, PROBES = 16, PACK_AFTER = 3, MOST_ROWS_HELPED = 1024 };

typedef struct Pack {
    const void *w; /* with its strides the key; NULL: an empty place */
    int64_t k, n, k_stride, n_stride;
    int uses;
    float *floats; /* NULL: not packed */
} Pack;

struct Packs {
    size_t budget;
    Pack places[PLACES];
};

limn_status packs_new(Packs **packs) {
    *packs = calloc(1, sizeof **packs);
    return *packs == NULL ? fail(LIMN_NO_MEMORY, "no memory for a table of packed weights") : LIMN_OK;
}

void packs_free(Packs *packs) {
    for (int i = 0; packs != NULL && i < PLACES; i++) {
        free(packs->places[i].floats);
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

const float *packs_use(Packs *packs, const Gemm *gemm) {
    if (packs->budget == 0 || gemm->m > MOST_ROWS_HELPED) {
        return NULL;
    }
    Pack *pack = find(packs, gemm);
    if (pack == NULL || pack->floats != NULL) {
        return pack == NULL ? NULL : pack->floats;
    }
    size_t bytes = gemm_packed_bytes(gemm);
    if (++pack->uses < PACK_AFTER || bytes > packs->budget) {
        return NULL;
    }
    pack->floats = aligned_alloc(64, bytes);
    if (pack->floats == NULL) {
        packs->budget = 0;
        return NULL;
    }
    packs->budget -= bytes;
    gemm_pack_all(pack->floats, gemm);
    return pack->floats;
}
