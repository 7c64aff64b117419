/* The table of one instruction set's functions, by the names that SIMD() gives them. */
#define VECTOR_TABLE(set_name)                                                                                         \
    {                                                                                                                  \
        .name = (set_name),                                                                                            \
        .panel_columns = PANEL,                                                                                        \
        .tile_rows = TILE_ROWS,                                                                                        \
        .gemm_pack = SIMD(gemm_pack),                                                                                  \
        .gemm_turn_rows = SIMD(gemm_turn_rows),                                                                        \
        .gemm_tiles = SIMD(gemm_tiles),                                                                                \
        .gemm_finish = SIMD(gemm_finish),                                                                              \
        .small_product = SIMD(small_product),                                                                          \
        .turn_lanes = SIMD(turn_lanes),                                                                                \
        .attention_probabilities = SIMD(attention_probabilities),                                                      \
        .attention_gradients = SIMD(attention_gradients),                                                              \
        .to_bf16 = SIMD(to_bf16),                                                                                      \
        .from_bf16 = SIMD(from_bf16),                                                                                  \
    }
