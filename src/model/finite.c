#include "model/finite.h"

#include <math.h>
#include <string.h>

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

static float value_at(DType dtype, const unsigned char *data, int64_t i) {
    if (dtype == DTYPE_F32) {
        float value;
        memcpy(&value, data + i * 4, 4);
        return value;
    }
    uint16_t bits;
    memcpy(&bits, data + i * 2, 2);
    return dtype == DTYPE_BF16 ? bf16_to_f32(bits) : f16_to_f32(bits);
}

int64_t first_not_finite(DType dtype, const void *data, int64_t n) {
    bool finite;
    if (dtype == DTYPE_F32) {
        finite = all_finite(data, (size_t)n * 4, 0x7f8000007f800000u, 0x0080000000800000u, 0x8000000080000000u);
    } else if (dtype == DTYPE_BF16) {
        finite = all_finite(data, (size_t)n * 2, 0x7f807f807f807f80u, 0x0080008000800080u, 0x8000800080008000u);
    } else if (dtype == DTYPE_F16) {
        finite = all_finite(data, (size_t)n * 2, 0x7c007c007c007c00u, 0x0400040004000400u, 0x8000800080008000u);
    } else {
        return -1;
    }
    for (int64_t i = 0; !finite && i < n; i++) {
        if (!isfinite(value_at(dtype, data, i))) {
            return i;
        }
    }
    return -1;
}
