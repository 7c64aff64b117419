/* Quantised blocks as GGUF stores them. Private to tensor/. */
#ifndef LIMN_TENSOR_BLOCK_FORMATS_H
#define LIMN_TENSOR_BLOCK_FORMATS_H

#include <stdint.h>

#include "tensor/tensor.h"

/* n elements, a whole number of blocks, from `in` (any alignment) to out [n]. */
typedef void BlockReader(float *restrict out, const unsigned char *restrict in, int64_t n);

BlockReader read_Q4_0, read_Q4_1, read_Q5_0, read_Q5_1, read_Q8_0;
BlockReader read_Q2_K, read_Q3_K, read_Q4_K, read_Q5_K, read_Q6_K;

enum { BLOCK_SCALES_MAX = 2 };
/* Where in a block its f16 scales and offsets lie: how many, and their bytes in `places`; 0: no block type. */
int block_scales(DType dtype, int places[BLOCK_SCALES_MAX]);

#endif
