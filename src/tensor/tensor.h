/* Shape, dtype and where the bytes lie. A Tensor borrows its storage: a mapped file, an arena, a run.
 * Letter legend used everywhere: B batch, T position, R row, D model width, H heads, G key/value heads,
 * K head width, F feed-forward width, V vocabulary, L layers, S sequence of keys, P learned positions. */
#ifndef LIMN_TENSOR_TENSOR_H
#define LIMN_TENSOR_TENSOR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"

typedef enum DType {
#define DTYPE(name, block_elements, block_bytes, safetensors, gguf) DTYPE_##name,
#include "tensor/dtypes.def"
#undef DTYPE
    DTYPE_COUNT
} DType;

typedef struct DTypeInfo {
    const char *name;
    int block_elements;
    int block_bytes;
    const char *safetensors; /* NULL: not in that format */
    int gguf;                /* -1: not in that format */
} DTypeInfo;

const DTypeInfo *dtype_info(DType dtype);
bool dtype_from_safetensors(const char *name, size_t length, DType *dtype);
bool dtype_from_gguf(uint32_t id, DType *dtype);

typedef enum Device { DEVICE_CPU, DEVICE_CUDA } Device;

enum { TENSOR_MAX_RANK = 8 };

typedef struct Tensor {
    const char *name; /* as in the file; borrowed */
    DType dtype;
    Device device;
    int rank;
    int64_t shape[TENSOR_MAX_RANK]; /* outermost first, contiguous (row-major) */
    const void *data;               /* borrowed */
    size_t bytes;
} Tensor;

int64_t tensor_elements(const Tensor *tensor); /* product of the shape; 1 for rank 0 */
limn_status tensor_bytes(DType dtype, int rank, const int64_t *shape, size_t *bytes); /* checked for overflow */
const char *tensor_shape_text(const Tensor *tensor, char buffer[96]);                 /* "[2, 3]" */

/* Elements [start, start + count) as f32; for blocked types both must be multiples of the block. */
limn_status tensor_read_f32(float *out, const Tensor *tensor, int64_t start, int64_t count);

/* The first NaN or infinity among n elements: its index (for blocked types of the first element of its block); -1:
 * all are finite. */
int64_t first_nonfinite(DType dtype, const void *data, int64_t n);
bool tensor_first_nonfinite(const Tensor *tensor, int64_t *index); /* true: *index is set */

float bf16_to_f32(uint16_t bits);
uint16_t f32_to_bf16(float value); /* round to nearest even; NaN stays NaN */
float f16_to_f32(uint16_t bits);
uint16_t f32_to_f16(float value);

#endif
