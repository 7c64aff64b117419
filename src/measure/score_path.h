/* The straight line of integrated gradients: from the baseline's embeddings (alpha 0) to the input's (alpha 1).
 *
 * F is a sum of components, each one teacher-forced pass: all target tokens together (one component), the target
 * and its contrast (two), or every target token by itself (a matrix). A node of the line is evaluated in one
 * batch of rows: F, and for every token the directional derivative d_t = dF/d embedding_t . (x_t - baseline_t),
 * so that a token's attribution is the integral of d_t over alpha. Positions and fixed rows stay as they are. */
#ifndef LIMN_MEASURE_SCORE_PATH_H
#define LIMN_MEASURE_SCORE_PATH_H

#include "ask/target.h"

/* Order of the choice "logprob|prob|logit|logit-diff|nll". */
typedef enum IgMetric {
    IG_METRIC_LOG_PROB,
    IG_METRIC_PROB,
    IG_METRIC_LOGIT,
    IG_METRIC_LOGIT_DIFF,
    IG_METRIC_NLL
} IgMetric;

typedef struct IgComponent {
    SequenceInput sequence; /* whole, prefix included */
    OutputRow *outputs;     /* [n_outputs] rows count from the sequence's start */
    int32_t n_outputs;
    double factor; /* of this component in F: -1 for a contrast or nll, 1/n for a mean */
} IgComponent;

typedef struct IgPath {
    MethodCall *call;
    Session *session;
    IgMetric metric;
    Objective objective;
    int32_t n_tokens;        /* P: rows of the prompt that can have influence */
    int32_t first;           /* rows [0, first) are fixed and cached */
    int64_t d_model;         /* D */
    float *input;            /* [P, D] */
    float *baseline;         /* [P, D]; equal to input on fixed rows */
    bool *fixed;             /* [P] */
    KvCache *prefix;         /* NULL: none; freed by ig_path_free */
    IgComponent *components; /* [n_components] */
    int32_t n_components;    /* C */
    int64_t evaluations;     /* nodes evaluated so far */
    int64_t expected;        /* nodes a caller expects to need, for progress; 0: unknown */
    int64_t running;         /* nodes of the run at hand */
    int64_t earlier;         /* nodes of the integrals before this one */
    int32_t integrals;       /* how many like this are to come, with it; 0: one */
    int32_t most_points;     /* of one run, as memory has shown; 0: any number */
    const char *stage;       /* what people are told is going on; NULL: "integrate" */
    Progress progress;       /* nodes done, to the call's own progress */
    float *embeddings;       /* scratch of a batch */
    size_t embeddings_bytes;
} IgPath;

typedef struct IgNode {
    double alpha;
    double f;     /* F */
    double slope; /* dF/dalpha: the sum of d */
    double *f_of; /* [C] */
    float *d;     /* [C, P]; 0 on fixed rows */
} IgNode;

/* The teacher-forced pass that scores ids [first, first + n) of a target; what stands after the last of their rows is
 * left away in a causal model. Each output has weight 1. */
limn_status ig_component(IgComponent *component, MethodCall *call, const Model *model, const Target *target,
                         int32_t first, int32_t n, double factor);

/* Fills input, the prefix cache and evaluates nothing yet. fixed, components, metric, n_tokens, call and session are
 * set by the caller; baseline is the caller's to fill afterwards. */
limn_status ig_path_prepare(IgPath *path);
void ig_path_free(IgPath *path);

/* Evaluates nodes at their alpha; f_of and d are allocated in the call's arena when NULL. */
limn_status ig_evaluate(IgPath *path, IgNode *const *nodes, int32_t n);

/* The same without the derivative, for half the work: f and f_of are set, slope and d are not. */
limn_status ig_evaluate_values(IgPath *path, IgNode *const *nodes, int32_t n);

/* What an attribution takes. */
typedef struct IgCost {
    int64_t nodes;  /* to come */
    int64_t values; /* evaluations of F alone to come, at most */
    int64_t most;   /* nodes it may take at most; 0: their number is known */
    double seconds; /* spent already, which a run spends too */
    int64_t spent;  /* nodes evaluated in them */
} IgCost;

/* Adds the cost to the result: memory of one run, seconds from one run of each kind that is timed. */
limn_status ig_estimate(Result *result, IgPath *path, const IgCost *cost);

/* F at the input itself. *clean: keys and values of its rows for points that share its beginning, the caller's to
 * free; NULL where they cannot be shared or are not wanted. */
limn_status ig_score_input(IgPath *path, bool wanted, KvCache **clean, double *f);

/* F alone at points given by the caller: embeddings [n, P - first, D] of rows [first, P). Rows before from[i] are the
 * input's and are read from `clean`; clean NULL: from is not looked at. f [n]. */
limn_status ig_score(IgPath *path, const KvCache *clean, const float *embeddings, const int32_t *from, int32_t n,
                     double *f);

#endif
