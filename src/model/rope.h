/* Rotary positions as a configuration states them: the inverse frequency of each pair of dimensions.
 * Su et al. 2021 (RoFormer); linear scaling: Chen et al. 2023; llama3: the smooth scaling of Llama 3.1. */
#ifndef LIMN_MODEL_ROPE_H
#define LIMN_MODEL_ROPE_H

#include "base/arena.h"
#include "model/settings.h"
#include "model/weights.h"

typedef struct Rope {
    int32_t dims;              /* rotary dimensions of each head, even */
    const float *inverse_freq; /* [dims / 2], in the arena given */
    float factor;              /* on cos and sin */
} Rope;

/* From rope_parameters, or rope_theta and rope_scaling, of config.json. n_context: max_position_embeddings. */
limn_status rope_from_json(Rope *rope, Arena *arena, const Settings *settings, int64_t d_head, int64_t n_context);

/* What a family calls these two outside rope_parameters, and what holds where neither place states them. */
typedef struct RopeKeys {
    const char *theta;
    const char *partial; /* the part of each head that turns; NULL: refused unless it is 1 */
    double default_partial;
} RopeKeys;

/* The same for a family with keys of its own (GPT-NeoX). */
limn_status rope_from_json_as(Rope *rope, Arena *arena, const Settings *settings, const RopeKeys *keys, int64_t d_head,
                              int64_t n_context);

/* From "<prefix>.rope.*" of GGUF metadata, and the divisors of the tensor rope_freqs.weight when there is one. */
limn_status rope_from_gguf(Rope *rope, Arena *arena, const Settings *settings, WeightStore *weights, const char *prefix,
                           int64_t d_head);

#endif
