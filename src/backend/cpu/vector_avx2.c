/* The vector kernels for AVX2. The file is built for every machine; only these functions use the instructions. */
#include "backend/cpu/vector.h"

#ifdef __x86_64__

#include <immintrin.h>

#if defined(__clang__)
#pragma clang attribute push(__attribute__((target("avx2,fma"))), apply_to = function)
#else
#pragma GCC push_options
#pragma GCC target("avx2,fma")
#endif

#include "backend/cpu/simd_avx2.h"

#include "backend/cpu/math_body.h"

#include "backend/cpu/activation_body.h"
#include "backend/cpu/attention_body.h"
#include "backend/cpu/convert_body.h"
#include "backend/cpu/gemm_body.h"
#include "backend/cpu/rows_body.h"

#if defined(__clang__)
#pragma clang attribute pop
#else
#pragma GCC pop_options
#endif

#include "backend/cpu/vector_table.h"

const VectorKernels vector_avx2 = VECTOR_TABLE("AVX2");

#endif
