/* The table of one instruction set's functions, by the names that SIMD() gives them. */
#define VECTOR_TABLE(set_name)                                                                                         \
    {                                                                                                                  \
        .name = (set_name), .panel_columns = PANEL, .gemm_pack = SIMD(gemm_pack), .gemm_rows = SIMD(gemm_rows),        \
        .to_bf16 = SIMD(to_bf16), .from_bf16 = SIMD(from_bf16),                                                        \
    }
