/* The search for NaN and infinity, at the speed of memory: weights are searched when a model is opened. */
#include <math.h>
#include <string.h>

#include "tensor/block_formats.h"
#include "tensor/tensor.h"

/* A value is not finite when its exponent bits are all ones. Adding one to the lowest exponent bit of the masked
 * exponent carries into the sign bit in that case only, and never out of the lane: so eight bytes are tested at a
 * time, whatever lanes they hold. */
static bool all_finite(const unsigned char *data, size_t bytes, uint64_t exponent, uint64_t lowest, uint64_t sign) {
    uint64_t seen0 = 0, seen1 = 0, seen2 = 0, seen3 = 0;
    size_t i = 0;
    for (; i + 32 <= bytes; i += 32) {
        uint64_t word0, word1, word2, word3;
        memcpy(&word0, data + i, 8);
        memcpy(&word1, data + i + 8, 8);
        memcpy(&word2, data + i + 16, 8);
        memcpy(&word3, data + i + 24, 8);
        seen0 |= (word0 & exponent) + lowest;
        seen1 |= (word1 & exponent) + lowest;
        seen2 |= (word2 & exponent) + lowest;
        seen3 |= (word3 & exponent) + lowest;
    }
    uint64_t rest = 0;
    for (; i < bytes; i += 8) {
        uint64_t word = 0;
        memcpy(&word, data + i, bytes - i < 8 ? bytes - i : 8);
        rest |= (word & exponent) + lowest;
    }
    return ((seen0 | seen1 | seen2 | seen3 | rest) & sign) == 0;
}

/* First of n items, `stride` bytes apart, whose exponent bits (mask) are all ones; -1 when there is none. */
static int64_t first_special16(const unsigned char *in, int64_t n, size_t stride, uint16_t mask) {
    for (int64_t i = 0; i < n; i++) {
        uint16_t bits;
        memcpy(&bits, in + (size_t)i * stride, sizeof bits);
        if ((bits & mask) == mask) {
            return i;
        }
    }
    return -1;
}

static int64_t first_special32(const unsigned char *in, int64_t n, uint32_t mask) {
    for (int64_t i = 0; i < n; i++) {
        uint32_t bits;
        memcpy(&bits, in + (size_t)i * 4, sizeof bits);
        if ((bits & mask) == mask) {
            return i;
        }
    }
    return -1;
}

static int64_t first_special64(const unsigned char *in, int64_t n) {
    for (int64_t i = 0; i < n; i++) {
        double value;
        memcpy(&value, in + (size_t)i * 8, sizeof value);
        if (!isfinite(value)) {
            return i;
        }
    }
    return -1;
}

/* The first block with a scale or an offset that is not finite: its first element. */
static int64_t first_special_block(DType dtype, const unsigned char *in, int64_t n) {
    const DTypeInfo *info = dtype_info(dtype);
    int places[BLOCK_SCALES_MAX];
    int n_places = block_scales(dtype, places);
    int64_t first = -1;
    for (int i = 0; i < n_places; i++) {
        int64_t found = first_special16(in + places[i], n / info->block_elements, (size_t)info->block_bytes, 0x7C00u);
        first = found >= 0 && (first < 0 || found < first) ? found : first;
    }
    return first < 0 ? -1 : first * info->block_elements;
}

int64_t first_nonfinite(DType dtype, const void *data, int64_t n) {
    switch (dtype) {
    case DTYPE_F32:
        return all_finite(data, (size_t)n * 4, 0x7F8000007F800000u, 0x0080000000800000u, 0x8000000080000000u)
                   ? -1
                   : first_special32(data, n, 0x7F800000u);
    case DTYPE_BF16:
        return all_finite(data, (size_t)n * 2, 0x7F807F807F807F80u, 0x0080008000800080u, 0x8000800080008000u)
                   ? -1
                   : first_special16(data, n, 2, 0x7F80u);
    case DTYPE_F16:
        return all_finite(data, (size_t)n * 2, 0x7C007C007C007C00u, 0x0400040004000400u, 0x8000800080008000u)
                   ? -1
                   : first_special16(data, n, 2, 0x7C00u);
    case DTYPE_F64:
        return first_special64(data, n);
    default: /* integers are finite, blocks as far as their scales are */
        return first_special_block(dtype, data, n);
    }
}

bool tensor_first_nonfinite(const Tensor *tensor, int64_t *index) {
    int64_t first = first_nonfinite(tensor->dtype, tensor->data, tensor_elements(tensor));
    if (first < 0) {
        return false;
    }
    *index = first;
    return true;
}
