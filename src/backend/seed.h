/* Seeds: functions of a row's value whose derivative starts a backward pass.
 *
 * A seed reads one site at the output rows of a run (logits are one such site) and makes a number F of each row, and
 * dF / dx where a gradient is wanted. Each row is judged alone, chunk by chunk, so the logits of many rows are never
 * held at once. seeds.def lists the kinds. */
#ifndef LIMN_BACKEND_SEED_H
#define LIMN_BACKEND_SEED_H

#include <stdbool.h>
#include <stdint.h>

#include "graph/graph.h"

typedef enum SeedKind {
#define SEED(name, text, needs, help) SEED_##name,
#include "backend/seeds.def"
#undef SEED
    SEED_KIND_COUNT
} SeedKind;

typedef enum SeedNeeds {
    SEED_NEEDS_NOTHING,
    SEED_NEEDS_TARGETS,
    SEED_NEEDS_CONTRASTS,
    SEED_NEEDS_VALUES,
    SEED_NEEDS_FUNCTION
} SeedNeeds;

typedef struct SeedInfo {
    const char *name; /* "log-prob" */
    SeedNeeds needs;
    const char *help;
} SeedInfo;

const SeedInfo *seed_info(SeedKind kind);

/* Ids for each output row, without repetition and in increasing order. */
typedef struct IdSets {
    const int32_t *ids;
    int32_t n;            /* ids of each row, the same for all, when begin is NULL */
    const int32_t *begin; /* [n_outputs + 1]: row o has ids[begin[o]] up to ids[begin[o + 1]] */
} IdSets;

/* F of the value x [width] of output row `output`; with `gradient` not NULL also dF/dx into it [width], written.
 * Called for one row after another on the thread that runs. */
typedef limn_status (*SeedFunction)(void *context, int32_t output, const float *x, int64_t width, double *value,
                                    float *gradient);

typedef struct Seed {
    NodeId node; /* the site; sites over keys are read with all max_keys columns */
    SeedKind kind;
    IdSets targets;      /* ids NULL: the target of each output row; a row whose target is -1 has F = 0, no gradient */
    IdSets contrasts;    /* of DIFFERENCE */
    const float *values; /* of LINEAR v, of KL and REVERSE_KL the reference's logits (any log-weights do): [width] */
    int64_t row_stride;  /* values step per output row; 0: the same for each */
    SeedFunction function; /* of CALLBACK */
    void *context;
    /* [n_outputs] the factor of each row's F in what is differentiated; NULL: the weights of the output rows */
    const float *weights;
} Seed;

/* ---- for kernels ---- */

/* The loops over a wide row, as a backend does them. */
typedef struct SeedLoops {
    /* The largest of x; *sum: of exp(x - largest). */
    float (*exp_sum)(const float *x, int64_t n, double *sum);
    /* out (+)= factor exp(x - largest) */
    void (*softmax)(float *out, const float *x, int64_t n, float largest, double factor, bool add);
    /* sum of exp(a - largest) d, d = x - y, or x - largest where y is NULL; 0 where the first factor is */
    double (*cross)(const float *a, const float *x, const float *y, int64_t n, float largest);
    /* out (+)= factor exp(a - largest) (d - center) */
    void (*cross_gradient)(float *out, const float *a, const float *x, const float *y, int64_t n, float largest,
                           double factor, double center, bool add);
} SeedLoops;

typedef struct SeedRow {
    const Seed *seed;
    const SeedLoops *loops;
    int32_t output;
    int32_t target; /* of the output row; -1: none */
    const float *x; /* [width] */
    int64_t width;
    float *scratch; /* [width], for the gradient of a CALLBACK */
} SeedRow;

limn_status seed_value(const SeedRow *row, double *value);
/* gradient [width] (+)= factor dF/dx */
limn_status seed_gradient(const SeedRow *row, double factor, float *gradient, bool add);

#endif
