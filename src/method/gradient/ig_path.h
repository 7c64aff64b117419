/* The straight line of integrated gradients: from the baseline's embeddings (alpha 0) to the input's (alpha 1).
 *
 * F is that of an answer (measure/answer.h) and a sum of parts, each one teacher-forced pass: all target tokens
 * together (one part), the target and its contrast (two), or every target token by itself (a matrix). At a node of the
 * line it gives F, and for every token the directional derivative d_t = dF/d embedding_t . (x_t - baseline_t), so that
 * a token's attribution is the integral of d_t over alpha. Positions and fixed rows stay as they are. */
#ifndef LIMN_METHOD_GRADIENT_IG_PATH_H
#define LIMN_METHOD_GRADIENT_IG_PATH_H

#include "measure/answer.h"

typedef struct IgPath {
    MethodCall *call;
    Engine *engine;
    Answer *answer;      /* freed by ig_path_free */
    int32_t n_tokens;    /* P: rows of the prompt that can have influence */
    int32_t first;       /* rows [0, first) are fixed */
    int64_t d_model;     /* D */
    float *input;        /* [P, D] */
    float *baseline;     /* [P, D]; equal to input on fixed rows */
    bool *fixed;         /* [P] */
    int32_t n_parts;     /* C */
    int64_t evaluations; /* nodes of this integral so far */
    int64_t earlier;     /* nodes of the integrals before this one */
    int32_t integrals;   /* how many like this are to come, with it; 0: one */
} IgPath;

typedef struct IgNode {
    double alpha;
    double f;              /* F */
    double slope;          /* dF/dalpha: the sum of d */
    double *f_of;          /* [C] */
    float *d;              /* [C, P]; 0 on fixed rows */
    const float *baseline; /* [P, D] where the node's line begins; NULL: at the path's */
} IgNode;

/* The path of an answer, which it takes over whatever comes of it. fixed, [prompt->n]: rows that stay as they are.
 * Fills input and evaluates nothing yet; baseline is the caller's to fill afterwards. */
limn_status ig_path_open(IgPath *path, MethodCall *call, Engine *engine, Answer *answer, const Prompt *prompt,
                         const bool *fixed);
void ig_path_free(IgPath *path);

/* An integral begins: its nodes are counted anew. */
void ig_path_begin(IgPath *path);
/* How many nodes it will have, as far as is known now: for progress, which counts those of all integrals. */
void ig_path_expect(IgPath *path, int64_t nodes);

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

#endif
