/* The op tests as data: one row for each op, shape, attribute, row layout and weight storage that matters. To
 * cover a new op or a new shape, add rows to cases.c; every test runs over all rows and all backends. */
#ifndef LIMN_TESTS_BACKEND_CASES_H
#define LIMN_TESTS_BACKEND_CASES_H

#include "backend/backend.h"

enum { LAYOUT_MAX_SEQUENCES = 6 };

typedef struct LayoutSequence {
    int32_t prefix; /* rows in its cache that it sees */
    int32_t rows;   /* its own rows */
} LayoutSequence;

/* Which rows there are and who sees whom. */
typedef struct Layout {
    const char *name;
    int32_t n_sequences;
    LayoutSequence sequences[LAYOUT_MAX_SEQUENCES];
    int32_t mask_first;     /* the first own rows of each sequence that are no keys: their causal queries see none */
    int32_t mask_every;     /* every so many-th key, cached or own, is no key */
    int32_t first_position; /* of each sequence */
    bool outputs;           /* queries are some of the rows, out of order, one of them twice */
} Layout;

enum {
    WEIGHT_BF16 = 1,
    WEIGHT_TRANSPOSED = 2, /* [in, out] as GPT-2 stores it */
    WEIGHT_SLICE = 4,      /* rows and columns of a wider table, with an offset */
    WEIGHT_MISALIGNED = 8, /* at an odd address, as in a mapped file */
};

typedef struct WeightSpec {
    int64_t rows; /* 0: absent */
    int64_t columns;
    unsigned flags;
} WeightSpec;

typedef struct Case {
    const char *name;
    OpKind kind;
    RowShape in[OP_MAX_INPUTS];
    WeightSpec weights[OP_MAX_WEIGHTS]; /* of an expert op: the first is every expert's gate or only matrix */
    OpAttributes attributes;
    const Layout *layout;
    double tolerance; /* of other backends against ref; 0: the usual */
    /* in bf16, of an op that rounds what it computed itself: a value near a tie goes the one way or the other. 0: same
     */
    double rounded_tolerance;
    GradientRule rule; /* of the backward pass; none but the true one has difference quotients */
    Seed seed;         /* of SEED; values are made at random where its kind needs any */
    float magnitude;   /* inputs times this, to see saturation; no difference quotients then. 0: 1 */
} Case;

extern const Case cases[];
extern const int n_cases;

#endif
