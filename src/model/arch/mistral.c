/* Mistral 7B and its kin (Jiang et al. 2023): Llama with a window on the keys. GGUF files carry them as "llama". */
#include "model/dense.h"

limn_status mistral_build(Build *build);

static const DenseFamily family = {.n_vocab = 32000,
                                   .d_model = 4096,
                                   .d_mlp = 14336,
                                   .n_layers = 32,
                                   .n_heads = 32,
                                   .n_kv_heads = 8,
                                   .n_context = 131072,
                                   .epsilon = 1e-6,
                                   .windows = true};

limn_status mistral_build(Build *build) {
    Dense dense;
    TRY(dense_read(&dense, build, &family));
    TRY(dense_read_window(&dense, 4096));
    return dense_build(&dense);
}
