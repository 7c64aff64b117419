/* Qwen3-MoE (Yang et al. 2025, arXiv:2505.09388): Qwen3, with norms on queries and keys, and many small experts; no
 * shared one. */
#include "model/moe.h"

limn_status qwen3_moe_build(Build *build);

static const DenseFamily family = {.gguf = "qwen3moe",
                                   .n_vocab = 151936,
                                   .d_model = 2048,
                                   .d_mlp = 6144,
                                   .n_layers = 24,
                                   .n_heads = 32,
                                   .n_kv_heads = 4,
                                   .n_context = 32768,
                                   .epsilon = 1e-6,
                                   .windows = true,
                                   .experts = true};
static const MoeDefaults experts = {.n_experts = 128,
                                    .top_k = 8,
                                    .width_key = "moe_intermediate_size",
                                    .width = 768,
                                    .shared = -1,
                                    .plain_layers = true};

limn_status qwen3_moe_build(Build *build) {
    Dense dense;
    MoeConfig moe;
    TRY(dense_read(&dense, build, &family));
    TRY(dense_read_attention_bias(&dense));
    dense.head_norms = true;
    if (build->settings->gguf != NULL) {
        TRY(moe_from_gguf(&moe, build, family.gguf, true));
    } else {
        bool windows; /* of all layers */
        TRY(settings_bool(&windows, build->settings, "use_sliding_window", false));
        TRY(dense_read_used_window(&dense, windows));
        TRY(moe_from_json(&moe, build, &experts));
    }
    dense.get_mlp = moe_get_mlp;
    dense.context = &moe;
    return dense_build(&dense);
}
