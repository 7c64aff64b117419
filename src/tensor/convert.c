/* Stored elements to f32.
 *
 * Whole runs of RUN elements go through loops with a constant trip count and no branch, which compilers turn into
 * vector code at -O2; loads and stores go through memcpy, so the source needs no alignment. Blocks are in blocks.c. */
#include <inttypes.h>
#include <math.h>
#include <string.h>

#include "tensor/block_formats.h"
#include "tensor/tensor.h"

enum { RUN = 64 };

#define INLINE static inline __attribute__((always_inline))

INLINE float float_of(uint32_t bits) {
    float value;
    memcpy(&value, &bits, sizeof value);
    return value;
}

INLINE uint32_t bits_of(float value) {
    uint32_t bits;
    memcpy(&bits, &value, sizeof bits);
    return bits;
}

INLINE float widen_bf16(uint16_t bits) {
    return float_of((uint32_t)bits << 16);
}

/* Exponent and mantissa moved into place, then scaled by 2^112: exact, subnormals included. */
INLINE float widen_f16(uint16_t bits) {
    uint32_t sign = (uint32_t)(bits & 0x8000u) << 16;
    float magnitude = float_of((uint32_t)(bits & 0x7FFFu) << 13) * 0x1p112f;
    uint32_t special = (bits & 0x7C00u) == 0x7C00u ? 0x7F800000u : 0u;
    return float_of(bits_of(magnitude) | special | sign);
}

float bf16_to_f32(uint16_t bits) {
    return widen_bf16(bits);
}

float f16_to_f32(uint16_t bits) {
    return widen_f16(bits);
}

uint16_t f32_to_bf16(float value) {
    uint32_t bits = bits_of(value);
    if ((bits & 0x7FFFFFFFu) > 0x7F800000u) {
        return (uint16_t)(bits >> 16 | 0x40u); /* quiet, so that no payload bit lost below turns it into infinity */
    }
    return (uint16_t)((bits + 0x7FFFu + (bits >> 16 & 1u)) >> 16);
}

uint16_t f32_to_f16(float value) {
    uint32_t bits = bits_of(value);
    uint16_t sign = (uint16_t)(bits >> 16 & 0x8000u);
    uint32_t magnitude = bits & 0x7FFFFFFFu;
    uint32_t half;
    if (magnitude > 0x7F800000u) {
        half = 0x7E00u | (magnitude >> 13 & 0x1FFu);
    } else if (magnitude >= 0x477FF000u) { /* 65520 and above round to infinity */
        half = 0x7C00u;
    } else if (magnitude < 0x38800000u) { /* below 2^-14: adding 0.5 leaves multiples of 2^-24 in the low bits */
        half = bits_of(float_of(magnitude) + 0.5f) - bits_of(0.5f);
    } else {
        half = (magnitude - 0x38000000u + 0xFFFu + (magnitude >> 13 & 1u)) >> 13;
    }
    return (uint16_t)(sign | half);
}

/* run_<dtype>: n elements from `in`; n is a constant where speed matters. */
#define DEFINE_RUN(name, type, expression)                                                                             \
    INLINE void run_##name(float *restrict out, const unsigned char *restrict in, int64_t n) {                         \
        for (int64_t i = 0; i < n; i++) {                                                                              \
            type x;                                                                                                    \
            memcpy(&x, in + (size_t)i * sizeof x, sizeof x);                                                           \
            out[i] = (expression);                                                                                     \
        }                                                                                                              \
    }                                                                                                                  \
    static void read_##name(float *restrict out, const unsigned char *restrict in, int64_t n) {                        \
        int64_t i = 0;                                                                                                 \
        for (; i + RUN <= n; i += RUN) {                                                                               \
            run_##name(out + i, in + (size_t)i * sizeof(type), RUN);                                                   \
        }                                                                                                              \
        run_##name(out + i, in + (size_t)i * sizeof(type), n - i);                                                     \
    }

DEFINE_RUN(F16, uint16_t, widen_f16(x))
DEFINE_RUN(BF16, uint16_t, widen_bf16(x))
DEFINE_RUN(F64, double, (float)x)
DEFINE_RUN(I64, int64_t, (float)x)
DEFINE_RUN(I32, int32_t, (float)x)
DEFINE_RUN(I16, int16_t, (float)x)
DEFINE_RUN(I8, int8_t, (float)x)
DEFINE_RUN(U8, uint8_t, (float)x)
DEFINE_RUN(BOOL, uint8_t, x != 0 ? 1.0f : 0.0f)

static void read_F32(float *restrict out, const unsigned char *restrict in, int64_t n) {
    memcpy(out, in, (size_t)n * sizeof *out);
}

static void (*const readers[DTYPE_COUNT])(float *restrict, const unsigned char *restrict, int64_t) = {
#define DTYPE(name, block_elements, block_bytes, safetensors, gguf) read_##name,
#include "tensor/dtypes.def"
#undef DTYPE
};

limn_status tensor_read_f32(float *out, const Tensor *tensor, int64_t start, int64_t count) {
    const DTypeInfo *info = dtype_info(tensor->dtype);
    int64_t elements = tensor_elements(tensor);
    if (start < 0 || count < 0 || start > elements || count > elements - start) {
        return fail(LIMN_RANGE, "tensor '%s': %" PRId64 " elements from %" PRId64 " asked for, it has %" PRId64,
                    tensor->name, count, start, elements);
    }
    if (start % info->block_elements != 0 || count % info->block_elements != 0) {
        return fail(LIMN_RANGE, "tensor '%s': %" PRId64 " elements from %" PRId64 " cut a block of %d (%s)",
                    tensor->name, count, start, info->block_elements, info->name);
    }
    size_t offset = (size_t)(start / info->block_elements) * (size_t)info->block_bytes;
    if (count > 0) {
        readers[tensor->dtype](out, (const unsigned char *)tensor->data + offset, count);
    }
    return LIMN_OK;
}
