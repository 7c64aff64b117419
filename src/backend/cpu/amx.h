/* Products on the processor's tile unit (AMX): see amx.c. */
#ifndef LIMN_BACKEND_CPU_AMX_H
#define LIMN_BACKEND_CPU_AMX_H

#include "backend/cpu/gemm.h"
#include "backend/cpu/packs.h"

/* True when the processor, the kernel and ONEDNN_MAX_CPU_ISA allow tiles. */
bool amx_available(void);

/* parts 1: x and w rounded to bf16. parts 3: w must be bf16 already and x is the exact sum of three bf16 numbers, so
 * the product is that of f32. Scratch for at most m rows, k deep. */
extern const PackLayout amx_layout; /* w as right tiles of bf16; the bits of y are the same */
size_t amx_scratch_bytes(int64_t m, int64_t k, int parts);
limn_status amx_run(const Gemm *gemm, int parts, void *scratch);

#endif
