/* Qwen2-MoE and Qwen1.5-MoE (Yang et al. 2024, arXiv:2407.10671): Qwen2 with many small experts, a shared one with a
 * gate of its own, and plain layers in between when asked for. */
#include "model/moe.h"

limn_status qwen2_moe_build(Build *build);

static const DenseFamily family = {.gguf = "qwen2moe",
                                   .n_vocab = 151936,
                                   .d_model = 2048,
                                   .d_mlp = 5632,
                                   .n_layers = 24,
                                   .n_heads = 16,
                                   .n_kv_heads = 16,
                                   .n_context = 32768,
                                   .epsilon = 1e-6,
                                   .windows = true,
                                   .experts = true};
static const MoeDefaults experts = {.n_experts = 60,
                                    .top_k = 4,
                                    .width_key = "moe_intermediate_size",
                                    .width = 1408,
                                    .shared = 5632,
                                    .plain_layers = true};

/* With use_sliding_window every other layer below max_window_layers has the window, unless layer_types says which. */
static limn_status read_windows(Dense *dense) {
    const Settings *settings = dense->build->settings;
    int32_t n_layers = dense->build->model->config.n_layers;
    bool used;
    int64_t end;
    TRY(settings_bool(&used, settings, "use_sliding_window", false));
    TRY(settings_integer(&end, settings, "max_window_layers", 28, 0, INT32_MAX));
    TRY(dense_read_used_window(dense, used));
    bool *slides = ARENA_ARRAY(&dense->build->model->arena, bool, n_layers);
    if (slides == NULL) {
        return fail(LIMN_NO_MEMORY, "%s: no memory for %d layers", dense->build->model->path, n_layers);
    }
    for (int32_t i = 0; i < n_layers; i++) {
        slides[i] = used && i % 2 == 0 && i < end;
    }
    return dense_read_layer_types(dense, slides);
}

limn_status qwen2_moe_build(Build *build) {
    Dense dense;
    MoeConfig moe;
    TRY(dense_read(&dense, build, &family));
    if (build->settings->gguf != NULL) {
        TRY(moe_from_gguf(&moe, build, family.gguf, false));
    } else {
        TRY(settings_bool(&dense.qkv_bias, build->settings, "qkv_bias", true));
        TRY(moe_from_json(&moe, build, &experts));
        TRY(read_windows(&dense));
    }
    dense.get_mlp = moe_get_mlp;
    dense.context = &moe;
    return dense_build(&dense);
}
