/* Which of the vector kernels this machine runs. */
#include "backend/cpu/dnnl_matmul.h"
#include "backend/cpu/vector.h"

const VectorKernels *vector_kernels(void) {
#ifdef __x86_64__
    MatmulIsa allowed = matmul_isa();
    if (allowed >= MATMUL_AVX512 && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
        __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512dq")) {
        return &vector_avx512;
    }
    if (allowed != MATMUL_PLAIN && __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma")) {
        return &vector_avx2;
    }
#endif
    return NULL;
}
