/* Every model there is a golden for (plain and with adapters), and random edits of it: for what must hold whatever the
 * family and whatever is edited. */
#ifndef LIMN_TESTS_RUN_ANY_MODEL_H
#define LIMN_TESTS_RUN_ANY_MODEL_H

#include "base/random.h"
#include "run/golden_case.h"

enum { EDIT_VALUES = 1 << 15 };

typedef struct AnyModel {
    GoldenCase golden;
    const char *backend;
    Engine *engine;
    NodeId *sites; /* [n_sites] */
    int32_t n_sites;
    Random random;
    float values[EDIT_VALUES]; /* normal: what random edits are made of */
    float
        factors[EDIT_VALUES / 2]; /* smaller: a map of them does not blow up what it takes, and its rounding with it */
} AnyModel;

/* Calls check with each model opened on each backend; options may be NULL, its backend is set. LIMN_TEST_SEED in the
 * environment is added to the seed: other draws. */
void any_model_each(const EngineOptions *options, uint64_t seed, void (*check)(AnyModel *model));

/* Fails the test, naming backend and model. */
void any_model_good(const AnyModel *model, limn_status status);

int32_t any_below(AnyModel *model, int32_t n);

/* Of one sequence of n rows, that sees n_keys keys. sites: of which one is edited. */
Edit any_edit(AnyModel *model, const NodeId *sites, int32_t n_sites, int32_t n, int32_t n_keys);

/* max|found - expected| / max|expected|; 0 when they have the same bits. */
double any_distance(const float *found, const float *expected, int64_t n);

#endif
