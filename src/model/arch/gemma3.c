/* Gemma 3, the text part (Kamath et al. 2025): Gemma 2 with norms on queries and keys instead of soft caps, five layers
 * with a window for each without, and rotary positions of another base in those with one. */
#include "model/dense.h"

limn_status gemma3_build(Build *build);

static const DenseFamily family = {.gguf = "gemma3",
                                   .n_vocab = 262208,
                                   .d_model = 2304,
                                   .d_mlp = 9216,
                                   .n_layers = 26,
                                   .n_heads = 8,
                                   .n_kv_heads = 4,
                                   .d_head = 256,
                                   .n_context = 131072,
                                   .epsilon = 1e-6,
                                   .activation_key = "hidden_activation",
                                   .activation = "gelu_pytorch_tanh",
                                   .tied = true,
                                   .windows = true,
                                   .softcaps = true,
                                   .own_rope = true};

/* Every `sliding_window_pattern`th layer has none. */
static limn_status read_windows(Dense *dense) {
    const Settings *settings = dense->build->settings;
    int32_t n_layers = dense->build->model->config.n_layers;
    int64_t period = 6;
    bool *slides = ARENA_ARRAY(&dense->build->model->arena, bool, n_layers);
    if (slides == NULL) {
        return build_no_memory(dense->build);
    }
    bool gguf = settings->gguf != NULL;
    TRY(settings_integer(&period, settings, gguf ? "gemma3.attention.sliding_window_pattern" : "sliding_window_pattern",
                         6, 1, INT32_MAX));
    for (int32_t i = 0; i < n_layers; i++) {
        slides[i] = (i + 1) % period != 0;
    }
    TRY(dense_read_window(dense, 4096));
    return dense_read_layer_types(dense, slides);
}

/* Written two ways: an object for each kind of layer in rope_parameters, or rope_theta and rope_scaling for layers
 * without a window and rope_local_base_freq for those with one. */
static limn_status read_ropes_json(Dense *dense) {
    Build *build = dense->build;
    const ModelConfig *config = &build->model->config;
    const Settings *settings = build->settings;
    Settings parameters, full, local;
    TRY(settings_object(&parameters, settings, "rope_parameters"));
    full = local = (Settings){.path = settings->path};
    if (parameters.json != NULL) {
        TRY(settings_object(&full, &parameters, "full_attention"));
        TRY(settings_object(&local, &parameters, "sliding_attention"));
    }
    if (settings_has(settings, "rope_scaling")) {
        TRY(settings_object(&full, settings, "rope_scaling"));
    }
    RopeKeys keys = {.theta = "rope_theta", .default_theta = 1e6, .scaling = &full};
    TRY(rope_from_json_as(dense->rope, &build->model->arena, settings, &keys, config->d_head, config->n_context));
    keys = (RopeKeys){.theta = "rope_local_base_freq", .default_theta = 1e4, .scaling = &local};
    return rope_from_json_as(dense->window_rope, &build->model->arena, settings, &keys, config->d_head,
                             config->n_context);
}

static limn_status read_ropes(Dense *dense) {
    Build *build = dense->build;
    const ModelConfig *config = &build->model->config;
    dense->rope = ARENA_NEW(&build->model->arena, Rope);
    dense->window_rope = ARENA_NEW(&build->model->arena, Rope);
    if (dense->rope == NULL || dense->window_rope == NULL) {
        return build_no_memory(build);
    }
    if (build->settings->json != NULL) {
        return read_ropes_json(dense);
    }
    TRY(rope_from_gguf(dense->rope, &build->model->arena, build->settings, build->weights, family.gguf,
                       config->d_head));
    double theta;
    TRY(settings_real(&theta, build->settings, "gemma3.rope.freq_base_swa", 1e4, 1e-3, 1e12));
    return rope_plain(dense->window_rope, &build->model->arena, theta, config->d_head);
}

limn_status gemma3_build(Build *build) {
    Dense dense;
    double logits;
    TRY(dense_read(&dense, build, &family));
    TRY(dense_read_attention_bias(&dense));
    TRY(read_windows(&dense));
    TRY(read_ropes(&dense));
    if (build->settings->json != NULL) {
        /* the reference reads this key and computes without it */
        TRY(settings_refuse(build->settings, "attn_logit_softcapping", 0));
    }
    TRY(dense_read_optional(&logits, &dense, "final_logit_softcapping", 0));
    dense.logit_softcap = (float)logits;
    dense.head_norms = true;
    return gemma_build(&dense, 62);
}
