/* Mixtral (Jiang et al. 2024, arXiv:2401.04088): Mistral with experts in every layer. Its GGUF files are of the "llama"
 * architecture with a count of experts. */
#include "model/moe.h"

limn_status mixtral_build(Build *build);

static const DenseFamily family = {.gguf = "llama",
                                   .n_vocab = 32000,
                                   .d_model = 4096,
                                   .d_mlp = 14336,
                                   .n_layers = 32,
                                   .n_heads = 32,
                                   .n_kv_heads = 8,
                                   .n_context = 131072,
                                   .epsilon = 1e-5,
                                   .windows = true,
                                   .experts = true,
                                   .paired = true,
                                   .rope = {.theta = "rope_theta", .default_theta = 1e6}};
static const MoeDefaults experts = {
    .n_experts = 8, .top_k = 2, .width_key = "intermediate_size", .width = 14336, .shared = -1, .always_one = true};

limn_status mixtral_build(Build *build) {
    Dense dense;
    MoeConfig moe;
    TRY(dense_read(&dense, build, &family));
    if (build->settings->gguf != NULL) {
        build->model->config.architecture = "MixtralForCausalLM";
        TRY(moe_from_gguf(&moe, build, family.gguf, true));
    } else {
        TRY(moe_from_json(&moe, build, &experts));
    }
    TRY(dense_read_window(&dense, 0));
    dense.get_mlp = moe_get_mlp;
    dense.context = &moe;
    return dense_build(&dense);
}
