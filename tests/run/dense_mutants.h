/* Mutants of what is odd about Llama's kin, for test_agreement.c. */
#ifndef LIMN_TESTS_RUN_DENSE_MUTANTS_H
#define LIMN_TESTS_RUN_DENSE_MUTANTS_H

#include "run/golden_case.h"

/* Each changes the opened model and answers false when the model has nothing of the kind. memory: [1 << 14] floats. */
bool mutate_no_window(GoldenCase *golden, float *memory);
bool mutate_wider_window(GoldenCase *golden, float *memory);
bool mutate_score_cap(GoldenCase *golden, float *memory);
bool mutate_logit_cap(GoldenCase *golden, float *memory);
bool mutate_score_scale(GoldenCase *golden, float *memory);
bool mutate_head_norm(GoldenCase *golden, float *memory);
bool mutate_plus_one(GoldenCase *golden, float *memory);
bool mutate_post_norm(GoldenCase *golden, float *memory);
bool mutate_embed_scale(GoldenCase *golden, float *memory);
bool mutate_lengths(GoldenCase *golden, float *memory);
bool mutate_rotary_factor(GoldenCase *golden, float *memory);
bool mutate_one_rope(GoldenCase *golden, float *memory);

#define DENSE_MUTANTS                                                                                                  \
    {"no window", mutate_no_window, HAS_WINDOW}, {"wider window", mutate_wider_window, HAS_WINDOW},                    \
        {"score cap", mutate_score_cap, HAS_SCORE_CAP}, {"logit cap", mutate_logit_cap, HAS_LOGIT_CAP},                \
        {"score scale", mutate_score_scale, 0}, {"head norm", mutate_head_norm, HAS_HEAD_NORM},                        \
        {"plus one", mutate_plus_one, HAS_POST_NORM}, {"post norm", mutate_post_norm, HAS_POST_NORM},                  \
        {"embed scale", mutate_embed_scale, HAS_EMBED_SCALE}, {"lengths", mutate_lengths, HAS_LENGTHS},                \
        {"rotary factor", mutate_rotary_factor, HAS_ROTARY_FACTOR}, {                                                  \
        "one rope", mutate_one_rope, HAS_TWO_ROPES                                                                     \
    }

#endif
