/* Weights in the layout a kind of product reads, made once for those that are used again and again.
 *
 * A product of few rows spends a third of its time turning panels of the weight. A weight that has been used
 * PACK_AFTER times is therefore kept turned, as long as the engine's budget lasts; the bits of the answer are the
 * same. Belongs to one engine: no lock. */
#ifndef LIMN_BACKEND_CPU_PACKS_H
#define LIMN_BACKEND_CPU_PACKS_H

#include "backend/cpu/gemm.h"

typedef struct Packs Packs;

/* How a kind of product wants a weight. A weight has one layout in an engine. */
typedef struct PackLayout {
    size_t (*bytes)(const Gemm *gemm);
    void (*fill)(void *packed, const Gemm *gemm); /* packed aligned to 64 */
} PackLayout;

limn_status packs_new(Packs **packs);
void packs_free(Packs *packs);

/* Bytes that packed weights may take together; 0 (as made): none. */
void packs_set_budget(Packs *packs, size_t bytes);

/* Bytes of a weight that is used so often; 0: it is not kept. */
size_t packs_bytes(const Gemm *gemm, const PackLayout *layout, int64_t uses);

/* Counts a use of the weight and gives its packed form, or NULL. Failing to get memory only means NULL. */
const void *packs_use(Packs *packs, const Gemm *gemm, const PackLayout *layout);

#endif
