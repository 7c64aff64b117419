/* The vector words of the kernel bodies in AVX-512. Included once, by vector_avx512.c, before the bodies. */
#include <immintrin.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#define SIMD(name) name##_avx512
#define SIMD_WIDTH 16
enum { W = SIMD_WIDTH }; /* floats in a vector */

typedef __m512 V;
typedef __mmask16 Mask;

static inline Mask mask_first(int64_t n) {
    return (Mask)(n >= W ? 0xFFFFU : (1U << (unsigned)n) - 1U);
}
static inline V v_zero(void) {
    return _mm512_setzero_ps();
}
static inline V v_set(float x) {
    return _mm512_set1_ps(x);
}
static inline V v_load(const float *p) {
    return _mm512_loadu_ps(p);
}
static inline void v_store(float *p, V x) {
    _mm512_storeu_ps(p, x);
}
/* To memory, past the caches; p on a boundary of 64 bytes. */
static inline void v_store_past(float *p, V x) {
    _mm512_stream_ps(p, x);
}
/* The first n floats, the others 0; n may exceed W. */
static inline V v_load_n(const float *p, int64_t n) {
    return _mm512_maskz_loadu_ps(mask_first(n), p);
}
static inline void v_store_n(float *p, V x, int64_t n) {
    _mm512_mask_storeu_ps(p, mask_first(n), x);
}
static inline V v_widen(__m256i bits) {
    return _mm512_castsi512_ps(_mm512_slli_epi32(_mm512_cvtepu16_epi32(bits), 16));
}
static inline V v_load_bf16(const void *p) {
    return v_widen(_mm256_loadu_si256((const __m256i *)p));
}
static inline V v_load_bf16_n(const void *p, int64_t n) {
    return v_widen(_mm256_maskz_loadu_epi16(mask_first(n), p));
}
/* Round to nearest even; a NaN stays a NaN. */
static inline __m256i v_narrow(V x) {
    __m512i bits = _mm512_castps_si512(x);
    __m512i odd = _mm512_and_si512(_mm512_srli_epi32(bits, 16), _mm512_set1_epi32(1));
    __m512i rounded = _mm512_add_epi32(bits, _mm512_add_epi32(odd, _mm512_set1_epi32(0x7FFF)));
    Mask nan = _mm512_cmp_ps_mask(x, x, _CMP_UNORD_Q);
    rounded = _mm512_mask_or_epi32(rounded, nan, bits, _mm512_set1_epi32(0x400000));
    return _mm512_cvtepi32_epi16(_mm512_srli_epi32(rounded, 16));
}
static inline void v_store_bf16(void *p, V x) {
    _mm256_storeu_si256((__m256i *)p, v_narrow(x));
}
static inline void v_store_bf16_n(void *p, V x, int64_t n) {
    _mm256_mask_storeu_epi16(p, mask_first(n), v_narrow(x));
}
static inline V v_add(V a, V b) {
    return _mm512_add_ps(a, b);
}
static inline V v_sub(V a, V b) {
    return _mm512_sub_ps(a, b);
}
static inline V v_mul(V a, V b) {
    return _mm512_mul_ps(a, b);
}
static inline V v_div(V a, V b) {
    return _mm512_div_ps(a, b);
}
/* a * b + c and c - a * b, rounded once */
static inline V v_fma(V a, V b, V c) {
    return _mm512_fmadd_ps(a, b, c);
}
static inline V v_fnma(V a, V b, V c) {
    return _mm512_fnmadd_ps(a, b, c);
}
static inline V v_max(V a, V b) {
    return _mm512_max_ps(a, b);
}
static inline V v_min(V a, V b) {
    return _mm512_min_ps(a, b);
}
static inline V v_abs(V a) {
    return _mm512_abs_ps(a);
}
/* |a| with the sign of s */
static inline V v_copysign(V a, V s) {
    __m512i sign = _mm512_set1_epi32((int)0x80000000U);
    return _mm512_castsi512_ps(_mm512_ternarylogic_epi32(sign, _mm512_castps_si512(s), _mm512_castps_si512(a), 0xCA));
}
static inline V v_round(V a) {
    return _mm512_roundscale_ps(a, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
}
/* a * 2^n for whole n, denormal results included */
static inline V v_scale2(V a, V n) {
    return _mm512_scalef_ps(a, n);
}
/* a < b ? x : y, the first where the comparison holds (false for NaN) */
static inline V v_if_less(V a, V b, V x, V y) {
    return _mm512_mask_blend_ps(_mm512_cmp_ps_mask(a, b, _CMP_LT_OQ), y, x);
}
static inline float v_sum(V a) {
    return _mm512_reduce_add_ps(a);
}
static inline float v_largest(V a) {
    return _mm512_reduce_max_ps(a);
}
static inline double v_sum_double(V a) {
    __m512d low = _mm512_cvtps_pd(_mm512_castps512_ps256(a));
    __m512d high = _mm512_cvtps_pd(_mm512_castps512_ps256(_mm512_shuffle_f32x4(a, a, 0xEE)));
    return _mm512_reduce_add_pd(_mm512_add_pd(low, high));
}

/* bf16 pairs in 32-bit words: the lower (first) and the upper element of each, widened */
static inline V v_pair_first(V pairs) {
    return _mm512_castsi512_ps(_mm512_slli_epi32(_mm512_castps_si512(pairs), 16));
}
static inline V v_pair_second(V pairs) {
    return _mm512_castsi512_ps(_mm512_and_si512(_mm512_castps_si512(pairs), _mm512_set1_epi32((int)0xFFFF0000U)));
}
/* rows[i][j] <-> rows[j][i] */
static inline __attribute__((always_inline)) void v_transpose(V rows[W]) {
    V t[W];
#pragma GCC unroll 16
    for (int i = 0; i < W; i += 2) {
        t[i] = _mm512_unpacklo_ps(rows[i], rows[i + 1]);
        t[i + 1] = _mm512_unpackhi_ps(rows[i], rows[i + 1]);
    }
#pragma GCC unroll 16
    for (int i = 0; i < W; i += 4) {
        rows[i] = _mm512_castpd_ps(_mm512_unpacklo_pd(_mm512_castps_pd(t[i]), _mm512_castps_pd(t[i + 2])));
        rows[i + 1] = _mm512_castpd_ps(_mm512_unpackhi_pd(_mm512_castps_pd(t[i]), _mm512_castps_pd(t[i + 2])));
        rows[i + 2] = _mm512_castpd_ps(_mm512_unpacklo_pd(_mm512_castps_pd(t[i + 1]), _mm512_castps_pd(t[i + 3])));
        rows[i + 3] = _mm512_castpd_ps(_mm512_unpackhi_pd(_mm512_castps_pd(t[i + 1]), _mm512_castps_pd(t[i + 3])));
    }
#pragma GCC unroll 16
    for (int i = 0; i < 4; i++) {
        t[i] = _mm512_shuffle_f32x4(rows[i], rows[i + 4], 0x88);
        t[i + 4] = _mm512_shuffle_f32x4(rows[i], rows[i + 4], 0xDD);
        t[i + 8] = _mm512_shuffle_f32x4(rows[i + 8], rows[i + 12], 0x88);
        t[i + 12] = _mm512_shuffle_f32x4(rows[i + 8], rows[i + 12], 0xDD);
    }
#pragma GCC unroll 16
    for (int i = 0; i < 8; i++) {
        rows[i] = _mm512_shuffle_f32x4(t[i], t[i + 8], 0x88);
        rows[i + 8] = _mm512_shuffle_f32x4(t[i], t[i + 8], 0xDD);
    }
}
