/* Llama (Touvron et al. 2023, and 2, 3, 3.x): RMS norms, rotary positions, grouped queries, gated MLP. */
#include "model/dense.h"

limn_status llama_build(Build *build);
limn_status mixtral_build(Build *build);

static const DenseFamily family = {.gguf = "llama",
                                   .n_vocab = 32000,
                                   .d_model = 4096,
                                   .d_mlp = 11008,
                                   .n_layers = 32,
                                   .n_heads = 32,
                                   .n_context = 2048,
                                   .epsilon = 1e-6,
                                   .paired = true};

limn_status llama_build(Build *build) {
    int64_t experts;
    TRY(settings_integer(&experts, build->settings, "llama.expert_count", 0, 0, INT32_MAX));
    if (build->settings->gguf != NULL && experts > 0) {
        return mixtral_build(build); /* GGUF files of both are of the "llama" architecture */
    }
    Dense dense;
    TRY(dense_read(&dense, build, &family));
    TRY(dense_read_attention_bias(&dense));
    if (build->settings->json != NULL) {
        TRY(settings_bool(&dense.mlp_bias, build->settings, "mlp_bias", false));
    }
    return dense_build(&dense);
}
