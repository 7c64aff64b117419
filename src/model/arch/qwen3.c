/* Qwen 3 (Yang et al. 2025): Llama with a norm on each query and key head, whose width is a setting of its own. */
#include "model/dense.h"

limn_status qwen3_build(Build *build);

static const DenseFamily family = {.gguf = "qwen3",
                                   .n_vocab = 151936,
                                   .d_model = 4096,
                                   .d_mlp = 22016,
                                   .n_layers = 32,
                                   .n_heads = 32,
                                   .n_kv_heads = 32,
                                   .d_head = 128,
                                   .n_context = 32768,
                                   .epsilon = 1e-6,
                                   .windows = true};

limn_status qwen3_build(Build *build) {
    Dense dense;
    TRY(dense_read(&dense, build, &family));
    TRY(dense_read_attention_bias(&dense));
    dense.head_norms = true;
    if (build->settings->json != NULL) {
        TRY(dense_read_upper_windows(&dense));
    }
    return dense_build(&dense);
}
