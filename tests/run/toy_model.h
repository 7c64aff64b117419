/* A small Llama-like model with random weights, built by hand: the engine's own tests need no file. */
#ifndef LIMN_TESTS_RUN_TOY_MODEL_H
#define LIMN_TESTS_RUN_TOY_MODEL_H

#include "model/model.h"

typedef struct ToyOptions {
    int32_t n_layers;
    int32_t d_model;
    int32_t n_heads;
    int32_t n_kv_heads;
    int32_t d_head;
    int32_t d_mlp;
    int32_t n_vocab;
    bool causal;
    uint64_t seed;
} ToyOptions;

#define TOY_DEFAULTS                                                                                                   \
    { 3, 24, 4, 2, 6, 40, 50, true, 1 }

/* Everything lives in model->graph.arena; toy_free gives it back. Returns the status of graph_seal. */
limn_status toy_build(Model *model, const ToyOptions *options);
void toy_free(Model *model);

#endif
