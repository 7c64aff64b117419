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

/* The text part of Qwen3-VL. */
static const DenseFamily text_part = {.n_vocab = 151936,
                                      .d_model = 4096,
                                      .d_mlp = 22016,
                                      .n_layers = 32,
                                      .n_heads = 32,
                                      .n_kv_heads = 32,
                                      .d_head = 128,
                                      .n_context = 128000,
                                      .epsilon = 1e-6,
                                      .rope = {.default_theta = 5e5, .mrope = true}};

limn_status qwen3_build(Build *build) {
    Dense dense;
    TRY(dense_read(&dense, build, build->text_part ? &text_part : &family));
    TRY(dense_read_attention_bias(&dense));
    dense.head_norms = true;
    if (build->settings->json != NULL) {
        TRY(build->text_part ? LIMN_OK : dense_read_upper_windows(&dense, 28));
    } else {
        TRY(settings_refuse(build->settings, "qwen3.attention.sliding_window", 0));
    }
    return dense_build(&dense);
}
