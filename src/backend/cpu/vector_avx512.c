/* The vector kernels for AVX-512. The file is built for every machine; only these functions use the instructions. */
#include "backend/cpu/target.h"
#include "backend/cpu/vector.h"

#ifdef __x86_64__

#include <immintrin.h>

TARGET_BEGIN(TARGET_AVX512)

#include "backend/cpu/simd_avx512.h"

#include "backend/cpu/math_body.h"

#include "backend/cpu/activation_body.h"
#include "backend/cpu/attention_mask_body.h"

#include "backend/cpu/attention_body.h"
#include "backend/cpu/convert_body.h"
#include "backend/cpu/gemm_body.h"
#include "backend/cpu/rows_body.h"

TARGET_END

#include "backend/cpu/vector_table.h"

const VectorKernels vector_avx512 = VECTOR_TABLE("AVX-512");

#endif
