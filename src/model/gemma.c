/* What Gemma 2 and 3 share. */
#include <math.h>

#include "model/dense.h"

limn_status gemma_build(Dense *dense, int32_t widest) {
    Build *build = dense->build;
    const ModelConfig *config = &build->model->config;
    bool gguf = build->settings->gguf != NULL;
    /* GGUF files do not state the divisor: it is K, but D / H in the largest model, which its layers tell. */
    double divisor = config->n_layers == widest ? (double)config->d_model / config->n_heads : (double)config->d_head;
    if (!gguf) {
        TRY(settings_real(&divisor, build->settings, "query_pre_attn_scalar", 256, 1e-6, 1e9));
    }
    dense->scale = (float)(1.0 / sqrt(divisor));
    dense->sandwich = true;
    dense->plus_one = !gguf;
    dense->embed_scale = (float)sqrt((double)config->d_model);
    return dense_build(dense);
}
