/* Products of bf16 tiles: see tiles.c. */
#ifndef LIMN_BACKEND_CPU_TILES_H
#define LIMN_BACKEND_CPU_TILES_H

#include "backend/cpu/gemm.h"
#include "backend/cpu/packs.h"

/* What multiplies tiles: nothing, the dot products of AVX512-BF16, or the tile unit. */
typedef enum TileUnit { TILES_NONE, TILES_DOTS, TILES_AMX } TileUnit;

/* The best that the processor, the kernel and ONEDNN_MAX_CPU_ISA allow. */
TileUnit tiles_unit(void);

/* parts 1: x and w rounded to bf16. parts 3: w must be bf16 already and x is the exact sum of three bf16 numbers, so
 * the product is that of f32. Scratch for at most m rows, k deep. */
extern const PackLayout tiles_layout; /* w as right tiles of bf16; the bits of y are the same */
size_t tiles_scratch_bytes(int64_t m, int64_t k, int parts, int threads);
limn_status tiles_run(const Gemm *gemm, int parts, void *scratch);

#endif
