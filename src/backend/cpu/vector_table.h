/* The table of one instruction set's functions, by the names that SIMD() gives them. */
#define VECTOR_TABLE(set_name)                                                                                         \
    {                                                                                                                  \
        .name = (set_name), .panel_columns = PANEL, .tile_rows = TILE_ROWS, .gemm_pack = SIMD(gemm_pack),              \
        .gemm_turn_rows = SIMD(gemm_turn_rows), .gemm_tiles = SIMD(gemm_tiles), .gemm_finish = SIMD(gemm_finish),      \
        .small_product = SIMD(small_product), .turn_lanes = SIMD(turn_lanes),                                          \
        .attention_probabilities = SIMD(attention_probabilities), .attention_gradients = SIMD(attention_gradients),    \
        .attention_rescale = SIMD(attention_rescale), .attention_divide = SIMD(attention_divide),                      \
        .activate = SIMD(activate), .activate_backward = SIMD(activate_backward), .softcap = SIMD(softcap),            \
        .add = SIMD(add), .multiply = SIMD(multiply), .row_scale = SIMD(row_scale), .row_norm = SIMD(row_norm),        \
        .row_norm_backward = SIMD(row_norm_backward), .row_gain = SIMD(row_gain), .rope_angles = SIMD(rope_angles),    \
        .rope_turn = SIMD(rope_turn), .row_exp_sum = SIMD(row_exp_sum), .row_softmax_grad = SIMD(row_softmax_grad),    \
        .row_cross = SIMD(row_cross), .row_cross_grad = SIMD(row_cross_grad), .to_bf16 = SIMD(to_bf16),                \
        .from_bf16 = SIMD(from_bf16),                                                                                  \
    }
