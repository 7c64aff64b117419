/* Qwen 2 and 2.5 (Yang et al. 2024): Llama with biases on queries, keys and values, and a window on the upper layers
 * when asked for. */
#include "model/dense.h"

limn_status qwen2_build(Build *build);

static const DenseFamily family = {.gguf = "qwen2",
                                   .n_vocab = 151936,
                                   .d_model = 4096,
                                   .d_mlp = 22016,
                                   .n_layers = 32,
                                   .n_heads = 32,
                                   .n_kv_heads = 32,
                                   .n_context = 32768,
                                   .epsilon = 1e-6,
                                   .windows = true};

/* The text part of Qwen2-VL and Qwen2.5-VL. Text alone has the same position on each of the three rotary axes. */
static const DenseFamily text_part = {.n_vocab = 152064,
                                      .d_model = 8192,
                                      .d_mlp = 29568,
                                      .n_layers = 80,
                                      .n_heads = 64,
                                      .n_kv_heads = 8,
                                      .n_context = 32768,
                                      .epsilon = 1e-5,
                                      .windows = true,
                                      .rope = {.default_theta = 1e6, .mrope = true}};

limn_status qwen2_build(Build *build) {
    Dense dense;
    TRY(dense_read(&dense, build, build->text_part ? &text_part : &family));
    if (build->settings->json != NULL) {
        dense.qkv_bias = true;
        TRY(dense_read_upper_windows(&dense, build->text_part ? 80 : 28));
    } else {
        TRY(settings_refuse(build->settings, "qwen2.attention.sliding_window", 0));
    }
    return dense_build(&dense);
}
