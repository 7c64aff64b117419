/* Quantised blocks to f32.
 *
 * d and m are f16 scale and offset, q an element's stored whole number; byte j of 16 holds element j in its low half
 * and j + 16 in its high half.
 *   Q4_0: d, 16 bytes              value = d (q - 8)
 *   Q4_1: d, m, 16 bytes           value = d q + m
 *   Q5_0: d, 32 fifth bits, 16 b   value = d (q - 16); bit j is the highest of element j
 *   Q5_1: d, m, 32 bits, 16 b      value = d q + m
 *   Q8_0: d, 32 x int8 q           value = d q
 * The K kinds hold 256 elements in sub-blocks of 16 or 32 with whole-number scales s and offsets o of their own. Their
 * element bytes come in stretches: 32 bytes hold sub-blocks of 32 one above the other, from the lowest bits up.
 *   Q2_K: 16 x (s, o: 4 bits each), 64 bytes, d, m           value = (d s) q - (m o)
 *   Q3_K: 32 bytes of third bits, 64 bytes, 12 of s, d       value = (d (s - 32)) (q - 4), the third bit set: + 4
 *   Q4_K: d, m, 12 bytes of s and o, 128 bytes               value = (d s) q - (m o)
 *   Q5_K: d, m, 12 bytes of s and o, 32 of fifth bits, 128   value = (d s) q - (m o)
 *   Q6_K: 128 bytes, 64 of fifth and sixth bits, 16 x int8 s, d   value = (d s) (q - 32)
 * The order of these products is the reference's: values come out equal in every bit. */
#include "tensor/block_formats.h"

#include <string.h>

enum { BLOCK = 32, HALF = 16, SUPER = 256 };

static float half_at(const unsigned char *in) {
    uint16_t bits;
    memcpy(&bits, in, sizeof bits);
    return f16_to_f32(bits);
}

static uint32_t bits_at(const unsigned char *in) {
    uint32_t bits;
    memcpy(&bits, in, sizeof bits);
    return bits;
}

/* ---- 32 elements ---- */

void read_Q8_0(float *restrict out, const unsigned char *restrict in, int64_t n) {
    for (int64_t block = 0; block < n / BLOCK; block++, in += 34, out += BLOCK) {
        float d = half_at(in);
        const int8_t *q = (const int8_t *)in + 2;
        for (int j = 0; j < BLOCK; j++) {
            out[j] = d * (float)q[j];
        }
    }
}

void read_Q4_0(float *restrict out, const unsigned char *restrict in, int64_t n) {
    for (int64_t block = 0; block < n / BLOCK; block++, in += 18, out += BLOCK) {
        float d = half_at(in);
        const unsigned char *q = in + 2;
        for (int j = 0; j < HALF; j++) {
            out[j] = d * (float)((q[j] & 0x0F) - 8);
        }
        for (int j = 0; j < HALF; j++) {
            out[j + HALF] = d * (float)((q[j] >> 4) - 8);
        }
    }
}

void read_Q4_1(float *restrict out, const unsigned char *restrict in, int64_t n) {
    for (int64_t block = 0; block < n / BLOCK; block++, in += 20, out += BLOCK) {
        float d = half_at(in);
        float m = half_at(in + 2);
        const unsigned char *q = in + 4;
        for (int j = 0; j < HALF; j++) {
            out[j] = d * (float)(q[j] & 0x0F) + m;
        }
        for (int j = 0; j < HALF; j++) {
            out[j + HALF] = d * (float)(q[j] >> 4) + m;
        }
    }
}

/* 32 elements of five bits. */
static inline void five_bits(int32_t q[BLOCK], uint32_t high, const unsigned char *restrict low) {
    for (int j = 0; j < HALF; j++) {
        q[j] = (int32_t)((low[j] & 0x0Fu) | (high >> j & 1u) << 4);
    }
    for (int j = 0; j < HALF; j++) {
        q[j + HALF] = (int32_t)((uint32_t)low[j] >> 4 | (high >> (j + HALF) & 1u) << 4);
    }
}

void read_Q5_0(float *restrict out, const unsigned char *restrict in, int64_t n) {
    for (int64_t block = 0; block < n / BLOCK; block++, in += 22, out += BLOCK) {
        float d = half_at(in);
        int32_t q[BLOCK];
        five_bits(q, bits_at(in + 2), in + 6);
        for (int j = 0; j < BLOCK; j++) {
            out[j] = d * (float)(q[j] - 16);
        }
    }
}

void read_Q5_1(float *restrict out, const unsigned char *restrict in, int64_t n) {
    for (int64_t block = 0; block < n / BLOCK; block++, in += 24, out += BLOCK) {
        float d = half_at(in);
        float m = half_at(in + 2);
        int32_t q[BLOCK];
        five_bits(q, bits_at(in + 4), in + 8);
        for (int j = 0; j < BLOCK; j++) {
            out[j] = d * (float)q[j] + m;
        }
    }
}

/* ---- 256 elements ---- */

void read_Q2_K(float *restrict out, const unsigned char *restrict in, int64_t n) {
    for (int64_t block = 0; block < n / SUPER; block++, in += 84) {
        float d = half_at(in + 80);
        float m = half_at(in + 82);
        for (int sub = 0; sub < SUPER / HALF; sub++, out += HALF) {
            const unsigned char *q = in + 16 + sub / 8 * 32 + sub % 2 * HALF;
            int shift = sub % 8 / 2 * 2;
            float scale = d * (float)(in[sub] & 0x0F);
            float offset = m * (float)(in[sub] >> 4);
            for (int j = 0; j < HALF; j++) {
                out[j] = scale * (float)(q[j] >> shift & 3) - offset;
            }
        }
    }
}

void read_Q3_K(float *restrict out, const unsigned char *restrict in, int64_t n) {
    for (int64_t block = 0; block < n / SUPER; block++, in += 110) {
        const unsigned char *scales = in + 96;
        float d = half_at(in + 108);
        for (int sub = 0; sub < SUPER / HALF; sub++, out += HALF) {
            const unsigned char *q = in + 32 + sub / 8 * 32 + sub % 2 * HALF;
            const unsigned char *third = in + sub % 2 * HALF;
            int shift = sub % 8 / 2 * 2;
            int low = sub < 8 ? scales[sub] & 0x0F : scales[sub - 8] >> 4;
            int high = scales[8 + sub % 4] >> sub / 4 * 2 & 3;
            float scale = d * (float)((low | high << 4) - 32);
            for (int j = 0; j < HALF; j++) {
                out[j] = scale * (float)((q[j] >> shift & 3) + (third[j] >> sub / 2 & 1) * 4 - 4);
            }
        }
    }
}

/* Scale and offset of a sub-block: six bits each. The first four of both stand whole in bytes 0-3 and 4-7, whose top
 * bits are the top bits of the last four; those have their low halves in bytes 8-11. */
static inline void six_bits(int *scale, int *offset, const unsigned char *packed, int sub) {
    if (sub < 4) {
        *scale = packed[sub] & 0x3F;
        *offset = packed[sub + 4] & 0x3F;
    } else {
        *scale = (packed[sub + 4] & 0x0F) | (packed[sub - 4] >> 6) << 4;
        *offset = packed[sub + 4] >> 4 | (packed[sub] >> 6) << 4;
    }
}

void read_Q4_K(float *restrict out, const unsigned char *restrict in, int64_t n) {
    for (int64_t block = 0; block < n / SUPER; block++, in += 144) {
        float d = half_at(in);
        float m = half_at(in + 2);
        for (int sub = 0; sub < SUPER / BLOCK; sub++, out += BLOCK) {
            const unsigned char *q = in + 16 + sub / 2 * BLOCK;
            int shift = sub % 2 * 4, s, o;
            six_bits(&s, &o, in + 4, sub);
            float scale = d * (float)s;
            float offset = m * (float)o;
            for (int j = 0; j < BLOCK; j++) {
                out[j] = scale * (float)(q[j] >> shift & 0x0F) - offset;
            }
        }
    }
}

void read_Q5_K(float *restrict out, const unsigned char *restrict in, int64_t n) {
    for (int64_t block = 0; block < n / SUPER; block++, in += 176) {
        float d = half_at(in);
        float m = half_at(in + 2);
        const unsigned char *fifth = in + 16;
        for (int sub = 0; sub < SUPER / BLOCK; sub++, out += BLOCK) {
            const unsigned char *q = in + 48 + sub / 2 * BLOCK;
            int shift = sub % 2 * 4, s, o;
            six_bits(&s, &o, in + 4, sub);
            float scale = d * (float)s;
            float offset = m * (float)o;
            for (int j = 0; j < BLOCK; j++) {
                out[j] = scale * (float)((q[j] >> shift & 0x0F) | (fifth[j] >> sub & 1) << 4) - offset;
            }
        }
    }
}

/* Each half of the block: 64 bytes of low bits (sub-blocks 0 1 low, 2 3 high), 32 of high ones, 8 scales of 16. */
void read_Q6_K(float *restrict out, const unsigned char *restrict in, int64_t n) {
    for (int64_t block = 0; block < n / SUPER; block++, in += 210) {
        const int8_t *scales = (const int8_t *)in + 192;
        float d = half_at(in + 208);
        for (int sub = 0; sub < SUPER / HALF; sub++, out += HALF) {
            int within = sub % 8; /* of its half */
            const unsigned char *q = in + sub / 8 * 64 + within % 4 * HALF;
            const unsigned char *high = in + 128 + sub / 8 * 32 + within % 2 * HALF;
            int shift = within / 4 * 4, high_shift = within / 2 * 2;
            float scale = d * (float)scales[sub];
            for (int j = 0; j < HALF; j++) {
                out[j] = scale * (float)(((q[j] >> shift & 0x0F) | (high[j] >> high_shift & 3) << 4) - 32);
            }
        }
    }
}

int block_scales(DType dtype, int places[BLOCK_SCALES_MAX]) {
    static const struct {
        DType dtype;
        int count, first; /* the second follows the first */
    } rows[] = {
        {DTYPE_Q4_0, 1, 0},  {DTYPE_Q4_1, 2, 0},   {DTYPE_Q5_0, 1, 0}, {DTYPE_Q5_1, 2, 0}, {DTYPE_Q8_0, 1, 0},
        {DTYPE_Q2_K, 2, 80}, {DTYPE_Q3_K, 1, 108}, {DTYPE_Q4_K, 2, 0}, {DTYPE_Q5_K, 2, 0}, {DTYPE_Q6_K, 1, 208},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        if (rows[i].dtype == dtype) {
            places[0] = rows[i].first;
            places[1] = rows[i].first + 2;
            return rows[i].count;
        }
    }
    return 0;
}
