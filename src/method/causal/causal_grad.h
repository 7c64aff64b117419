/* What `limn causal-grad` holds: two runs, the sites, what a change of each is estimated to do, and what some did. */
#ifndef LIMN_METHOD_CAUSAL_CAUSAL_GRAD_H
#define LIMN_METHOD_CAUSAL_CAUSAL_GRAD_H

#include "method/causal/outcome.h"
#include "method/causal/pair.h"
#include "run/sweep.h"

/* Order of the choices. */
typedef enum CausalGradKind { CAUSAL_ATP, CAUSAL_ATP_STAR } CausalGradKind;
typedef enum CausalAgainst { AGAINST_CORRUPT, AGAINST_ZERO, AGAINST_MEAN } CausalAgainst;

typedef struct CausalGradParams {
    Text model;
    PairParams pair;
    TargetParams target;
    int32_t kind;
    int32_t against;
    int32_t metric;
    int32_t rules;
    bool reverse;
    int64_t steps; /* 0: the gradient where the base is */
    int64_t top;
    int32_t check; /* order of "none|quick|full" */
    Text values;
} CausalGradParams;

/* What is changed: at one position all of it, or at all positions one head or neuron. */
typedef enum CausalFamily {
    FAMILY_RESID,  /* [n_layers, rows] the stream before a layer */
    FAMILY_MLP,    /* [n_layers, rows] what an MLP writes */
    FAMILY_HEAD,   /* [n_layers, heads] results */
    FAMILY_QUERY,  /* [n_layers, heads] as attention reads them */
    FAMILY_KEY,    /* [n_layers, key heads] */
    FAMILY_VALUE,  /* [n_layers, key heads] */
    FAMILY_NEURON, /* [n_layers, neurons] */
    FAMILIES
} CausalFamily;

const char *causal_family_name(CausalFamily family); /* "resid" */

/* One site of one layer. */
typedef struct CausalNode {
    NodeId node;
    CausalFamily family;
    int32_t layer;
    int32_t column; /* of its first element, where the family's columns are heads or neurons */
    int64_t width;
    int64_t unit;     /* elements of one column; 0: rows are the columns */
    float *delta;     /* [n_rows, width] source less base; 0 in rows without a counterpart */
    float *base;      /* [n_rows, width] of queries, keys and values; else NULL */
    float *gradient;  /* [n_rows, width] of heads' results: of the last pass; else NULL */
    const char *name; /* "mlp.hook_post", of neurons */
} CausalNode;

/* A figure for each site of each family. */
typedef struct CausalEffects {
    double *of[FAMILIES]; /* [n_layers, columns] */
} CausalEffects;

typedef struct CausalGrad {
    MethodCall *call;
    const CausalGradParams *params;
    Result *result;
    Engine *engine;
    const Model *model;
    Pair pair;
    Target target, contrast;
    CausalAgainst against;
    Outcome outcome;
    Seed seed;
    const PairSide *base, *source; /* source NULL: against zero or mean */
    Alignment alignment;           /* of base and source */
    double base_value, source_value;
    CausalNode *nodes; /* [n_nodes] */
    int32_t n_nodes;
    int32_t *place; /* [graph nodes] among them, -1: none */
    NodeId *sites;  /* [n_nodes] */
    int32_t n_layers, n_rows, columns[FAMILIES];
    bool *there; /* [n_rows] rows that have a counterpart */
    CausalEffects effects;
    CausalEffects pass; /* of the gradient pass at hand */
    size_t held;        /* bytes counted under the engine's limit */
} CausalGrad;

/* Sites, and the difference of source and base at each. */
limn_status causal_grad_prepare(CausalGrad *work);
void causal_grad_free(CausalGrad *work);
/* Fills `effects`. */
limn_status causal_grad_estimate(CausalGrad *work);
/* Queries and keys of the last pass with the softmax taken exactly, into `pass`. */
limn_status causal_grad_softmax(CausalGrad *work);

static inline int64_t causal_cell(const CausalGrad *work, CausalFamily family, int32_t layer, int32_t column) {
    return (int64_t)layer * work->columns[family] + column;
}
/* The node a site belongs to; NULL: the layer has none. */
const CausalNode *causal_node_of(const CausalGrad *work, CausalFamily family, int32_t layer, int32_t column);

/* One site that was changed in earnest. */
typedef struct PatchedSite {
    CausalFamily family;
    int32_t layer, column;
    double estimate, effect;
} PatchedSite;

typedef struct PatchedSites {
    PatchedSite *items; /* [n] by family */
    int32_t n;
} PatchedSites;

/* True effects of each family's strongest sites and of seeded ones of the rest, one third of their ranks after the
 * other. */
limn_status causal_grad_patch(PatchedSites *patched, CausalGrad *work);

limn_status causal_grad_report(CausalGrad *work, const PatchedSites *patched);

#endif
