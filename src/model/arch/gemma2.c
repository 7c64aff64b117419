/* Gemma 2 (Riviere et al. 2024): norms before and after each sublayer, gains of 1 + w, soft caps on scores and logits,
 * every other layer with a window, embeddings times sqrt(D).
 *
 * sqrt(D) is rounded to f32, the type that everything is computed in; the reference rounds it to the type it holds the
 * embedding in, so that a run in bf16 has another scale there. */
#include <math.h>

#include "model/dense.h"

limn_status gemma2_build(Build *build);

static const DenseFamily family = {.gguf = "gemma2",
                                   .n_vocab = 256000,
                                   .d_model = 2304,
                                   .d_mlp = 9216,
                                   .n_layers = 26,
                                   .n_heads = 8,
                                   .n_kv_heads = 4,
                                   .d_head = 256,
                                   .n_context = 8192,
                                   .epsilon = 1e-6,
                                   .activation_key = "hidden_activation",
                                   .activation = "gelu_pytorch_tanh",
                                   .tied = true,
                                   .windows = true,
                                   .softcaps = true};

/* Even layers have the window. */
static limn_status read_windows(Dense *dense) {
    int32_t n_layers = dense->build->model->config.n_layers;
    bool *slides = ARENA_ARRAY(&dense->build->model->arena, bool, n_layers);
    if (slides == NULL) {
        return build_no_memory(dense->build);
    }
    for (int32_t i = 0; i < n_layers; i++) {
        slides[i] = i % 2 == 0;
    }
    TRY(dense_read_window(dense, 4096));
    return dense_read_layer_types(dense, slides);
}

limn_status gemma2_build(Build *build) {
    Dense dense;
    TRY(dense_read(&dense, build, &family));
    TRY(dense_read_attention_bias(&dense));
    TRY(read_windows(&dense));
    double scores, logits;
    TRY(dense_read_optional(&scores, &dense, "attn_logit_softcapping", 50));
    TRY(dense_read_optional(&logits, &dense, "final_logit_softcapping", 30));
    dense.score_softcap = (float)scores;
    dense.logit_softcap = (float)logits;
    return gemma_build(&dense, 46);
}
