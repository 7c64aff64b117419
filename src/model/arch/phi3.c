/* Phi-3 and Phi-4-mini (Abdin et al. 2024): Llama with one matrix for queries, keys and values and one for gate and up,
 * part of each head turned, and rotary factors for short and for long prompts. */
#include "model/dense.h"

limn_status phi3_build(Build *build);

static const DenseFamily family = {
    .gguf = "phi3",
    .n_vocab = 32064,
    .d_model = 3072,
    .d_mlp = 8192,
    .n_layers = 32,
    .n_heads = 32,
    .n_context = 4096,
    .epsilon = 1e-5,
    .windows = true,
    .rope = {
        .partial = "partial_rotary_factor", .default_partial = 1, .default_original = 4096, .yarn_is_longrope = true}};

limn_status phi3_build(Build *build) {
    Dense dense;
    TRY(dense_read(&dense, build, &family));
    TRY(dense_read_window(&dense, 0));
    dense.fused = true;
    return dense_build(&dense);
}
