/* The vector words of the kernel bodies in AVX2 with FMA. Included once, by vector_avx2.c, before the bodies. */
#include <immintrin.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#define SIMD(name) name##_avx2
#define SIMD_WIDTH 8
enum { W = SIMD_WIDTH }; /* floats in a vector */

typedef __m256 V;

static inline __m256i mask_first(int64_t n) {
    int32_t count = n >= W ? W : (int32_t)n;
    return _mm256_cmpgt_epi32(_mm256_set1_epi32(count), _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7));
}
static inline V v_zero(void) {
    return _mm256_setzero_ps();
}
static inline V v_set(float x) {
    return _mm256_set1_ps(x);
}
static inline V v_load(const float *p) {
    return _mm256_loadu_ps(p);
}
static inline void v_store(float *p, V x) {
    _mm256_storeu_ps(p, x);
}
/* The first n floats, the others 0; n may exceed W. */
static inline V v_load_n(const float *p, int64_t n) {
    return n >= W ? _mm256_loadu_ps(p) : _mm256_maskload_ps(p, mask_first(n));
}
static inline void v_store_n(float *p, V x, int64_t n) {
    if (n >= W) {
        _mm256_storeu_ps(p, x);
    } else {
        _mm256_maskstore_ps(p, mask_first(n), x);
    }
}
static inline V v_widen(__m128i bits) {
    return _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_cvtepu16_epi32(bits), 16));
}
static inline V v_load_bf16(const void *p) {
    return v_widen(_mm_loadu_si128((const __m128i *)p));
}
static inline V v_load_bf16_n(const void *p, int64_t n) {
    uint16_t some[W] = {0};
    memcpy(some, p, (size_t)(n >= W ? W : n) * sizeof *some);
    return v_load_bf16(some);
}
/* Round to nearest even; a NaN stays a NaN. */
static inline __m128i v_narrow(V x) {
    __m256i bits = _mm256_castps_si256(x);
    __m256i odd = _mm256_and_si256(_mm256_srli_epi32(bits, 16), _mm256_set1_epi32(1));
    __m256i rounded = _mm256_add_epi32(bits, _mm256_add_epi32(odd, _mm256_set1_epi32(0x7FFF)));
    __m256i nan = _mm256_castps_si256(_mm256_cmp_ps(x, x, _CMP_UNORD_Q));
    __m256i quiet = _mm256_or_si256(bits, _mm256_set1_epi32(0x400000));
    rounded = _mm256_srli_epi32(_mm256_blendv_epi8(rounded, quiet, nan), 16);
    __m256i packed = _mm256_permute4x64_epi64(_mm256_packus_epi32(rounded, rounded), 0x08);
    return _mm256_castsi256_si128(packed);
}
static inline void v_store_bf16(void *p, V x) {
    _mm_storeu_si128((__m128i *)p, v_narrow(x));
}
static inline void v_store_bf16_n(void *p, V x, int64_t n) {
    uint16_t some[W];
    v_store_bf16(some, x);
    memcpy(p, some, (size_t)(n >= W ? W : n) * sizeof *some);
}
static inline V v_add(V a, V b) {
    return _mm256_add_ps(a, b);
}
static inline V v_sub(V a, V b) {
    return _mm256_sub_ps(a, b);
}
static inline V v_mul(V a, V b) {
    return _mm256_mul_ps(a, b);
}
static inline V v_div(V a, V b) {
    return _mm256_div_ps(a, b);
}
/* a * b + c and c - a * b, rounded once */
static inline V v_fma(V a, V b, V c) {
    return _mm256_fmadd_ps(a, b, c);
}
static inline V v_fnma(V a, V b, V c) {
    return _mm256_fnmadd_ps(a, b, c);
}
static inline V v_max(V a, V b) {
    return _mm256_max_ps(a, b);
}
static inline V v_min(V a, V b) {
    return _mm256_min_ps(a, b);
}
static inline V v_abs(V a) {
    return _mm256_andnot_ps(_mm256_set1_ps(-0.0F), a);
}
/* |a| with the sign of s */
static inline V v_copysign(V a, V s) {
    V sign = _mm256_set1_ps(-0.0F);
    return _mm256_or_ps(_mm256_andnot_ps(sign, a), _mm256_and_ps(sign, s));
}
static inline V v_round(V a) {
    return _mm256_round_ps(a, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
}
/* a * 2^n for whole n in [-252, 252], in two steps so that denormal results are right */
static inline V v_scale2(V a, V n) {
    __m256i whole = _mm256_cvtps_epi32(n);
    __m256i half = _mm256_srai_epi32(whole, 1);
    __m256i rest = _mm256_sub_epi32(whole, half);
    __m256i bias = _mm256_set1_epi32(127);
    V first = _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_add_epi32(half, bias), 23));
    V second = _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_add_epi32(rest, bias), 23));
    return _mm256_mul_ps(_mm256_mul_ps(a, first), second);
}
/* a < b ? x : y, the first where the comparison holds (false for NaN) */
static inline V v_if_less(V a, V b, V x, V y) {
    return _mm256_blendv_ps(y, x, _mm256_cmp_ps(a, b, _CMP_LT_OQ));
}
static inline float v_sum(V a) {
    __m128 half = _mm_add_ps(_mm256_castps256_ps128(a), _mm256_extractf128_ps(a, 1));
    half = _mm_add_ps(half, _mm_movehl_ps(half, half));
    return _mm_cvtss_f32(_mm_add_ss(half, _mm_movehdup_ps(half)));
}
static inline float v_largest(V a) {
    __m128 half = _mm_max_ps(_mm256_castps256_ps128(a), _mm256_extractf128_ps(a, 1));
    half = _mm_max_ps(half, _mm_movehl_ps(half, half));
    return _mm_cvtss_f32(_mm_max_ss(half, _mm_movehdup_ps(half)));
}
static inline double v_sum_double(V a) {
    __m256d both =
        _mm256_add_pd(_mm256_cvtps_pd(_mm256_castps256_ps128(a)), _mm256_cvtps_pd(_mm256_extractf128_ps(a, 1)));
    __m128d half = _mm_add_pd(_mm256_castpd256_pd128(both), _mm256_extractf128_pd(both, 1));
    return _mm_cvtsd_f64(_mm_add_sd(half, _mm_unpackhi_pd(half, half)));
}

/* bf16 pairs in 32-bit words: the lower (first) and the upper element of each, widened */
static inline V v_pair_first(V pairs) {
    return _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_castps_si256(pairs), 16));
}
static inline V v_pair_second(V pairs) {
    return _mm256_castsi256_ps(_mm256_and_si256(_mm256_castps_si256(pairs), _mm256_set1_epi32((int)0xFFFF0000U)));
}
/* rows[i][j] <-> rows[j][i] */
static inline __attribute__((always_inline)) void v_transpose(V rows[W]) {
    V t[W];
#pragma GCC unroll 16
    for (int i = 0; i < W; i += 2) {
        t[i] = _mm256_unpacklo_ps(rows[i], rows[i + 1]);
        t[i + 1] = _mm256_unpackhi_ps(rows[i], rows[i + 1]);
    }
#pragma GCC unroll 16
    for (int i = 0; i < W; i += 4) {
        rows[i] = _mm256_shuffle_ps(t[i], t[i + 2], 0x44);
        rows[i + 1] = _mm256_shuffle_ps(t[i], t[i + 2], 0xEE);
        rows[i + 2] = _mm256_shuffle_ps(t[i + 1], t[i + 3], 0x44);
        rows[i + 3] = _mm256_shuffle_ps(t[i + 1], t[i + 3], 0xEE);
    }
#pragma GCC unroll 16
    for (int i = 0; i < 4; i++) {
        t[i] = _mm256_permute2f128_ps(rows[i], rows[i + 4], 0x20);
        t[i + 4] = _mm256_permute2f128_ps(rows[i], rows[i + 4], 0x31);
    }
#pragma GCC unroll 16
    for (int i = 0; i < W; i++) {
        rows[i] = t[i];
    }
}
