/* TARGET_BEGIN("avx2,fma") ... TARGET_END: the functions between them are compiled for a processor with these features,
 * whatever the rest of the program is compiled for. */
#ifndef LIMN_BACKEND_CPU_TARGET_H
#define LIMN_BACKEND_CPU_TARGET_H

#define TARGET_PRAGMA(text) _Pragma(#text)

#if defined(__clang__)
#define TARGET_BEGIN(features)                                                                                         \
    TARGET_PRAGMA(clang attribute push(__attribute__((target(features))), apply_to = function))
#define TARGET_END TARGET_PRAGMA(clang attribute pop)
#else
#define TARGET_BEGIN(features) TARGET_PRAGMA(GCC push_options) TARGET_PRAGMA(GCC target(features))
#define TARGET_END             TARGET_PRAGMA(GCC pop_options)
#endif

#define TARGET_AVX2   "avx2,fma"
#define TARGET_AVX512 "avx512f,avx512bw,avx512vl,avx512dq,avx2,fma"
#define TARGET_TILES  "avx512f,avx512bw,avx512vl,avx512dq,avx512bf16,avx2,fma,amx-tile,amx-bf16"

#endif
