/* Rotary positions as a configuration states them: the inverse frequency of each pair of dimensions.
 * Su et al. 2021 (RoFormer); linear scaling: Chen et al. 2023; dynamic: the NTK-aware scaling of 2023; yarn: Peng et
 * al. 2023; longrope: Ding et al. 2024; llama3: the smooth scaling of Llama 3.1.
 *
 * Dynamic and longrope frequencies depend on how long the sequence is. A sequence is always taken as a whole: all its
 * rows turn by the frequencies of its full length, as in one forward pass of the reference. */
#ifndef LIMN_MODEL_ROPE_H
#define LIMN_MODEL_ROPE_H

#include "base/arena.h"
#include "model/settings.h"
#include "model/weights.h"

typedef struct Rope {
    int32_t dims;              /* rotary dimensions of each head, even */
    const float *inverse_freq; /* [dims / 2], in the arena given */
    float factor;              /* on cos and sin */
    int32_t original;          /* longer sequences turn by other frequencies; 0: all alike */
    const float *long_freq;    /* [dims / 2] theirs (longrope); NULL: made from the length (dynamic) */
    float theta, stretch;      /* dynamic: base and factor */
    int64_t n_context;         /* positions that the scaling makes room for; 0: it does not say */
} Rope;

/* What a family calls these, and what holds where nothing is stated. */
typedef struct RopeKeys {
    const char *theta;   /* outside rope_parameters */
    const char *partial; /* the part of each head that turns; NULL: refused unless it is 1 */
    double default_partial;
    double default_theta;     /* 0: 10000 */
    int64_t default_original; /* original_max_position_embeddings stands outside rope_parameters, this when absent */
    bool yarn_is_longrope;    /* older files call it so */
    bool mrope;               /* text alone has the same position on each axis: plain rotary positions */
    const Settings *scaling;  /* the object to read; NULL: rope_scaling, else rope_parameters */
} RopeKeys;

/* Without any scaling. */
limn_status rope_plain(Rope *rope, Arena *arena, double theta, int64_t dims);

/* From rope_parameters, or rope_theta and rope_scaling, of config.json. n_context: max_position_embeddings. */
limn_status rope_from_json(Rope *rope, Arena *arena, const Settings *settings, int64_t d_head, int64_t n_context);

/* The same for a family with keys of its own. */
limn_status rope_from_json_as(Rope *rope, Arena *arena, const Settings *settings, const RopeKeys *keys, int64_t d_head,
                              int64_t n_context);

/* From "<prefix>.rope.*" of GGUF metadata, and the divisors of the tensors rope_freqs.weight or
 * rope_factors_{short,long}.weight where there are any. */
limn_status rope_from_gguf(Rope *rope, Arena *arena, const Settings *settings, WeightStore *weights, const char *prefix,
                           int64_t d_head);

#endif
