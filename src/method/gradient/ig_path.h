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
    Session *session;
    Answer *answer;      /* freed by ig_path_free */
    int32_t n_tokens;    /* P: rows of the prompt that can have influence */
    int32_t first;       /* rows [0, first) are fixed */
    int64_t d_model;     /* D */
    float *input;        /* [P, D] */
    float *baseline;     /* [P, D]; equal to input on fixed rows */
    bool *fixed;         /* [P] */
    int32_t n_parts;     /* C */
    int64_t evaluations; /* nodes evaluated so far */
} IgPath;

typedef struct IgNode {
    double alpha;
    double f;     /* F */
    double slope; /* dF/dalpha: the sum of d */
    double *f_of; /* [C] */
    float *d;     /* [C, P]; 0 on fixed rows */
} IgNode;

/* The path of an answer, which it takes over whatever comes of it. fixed, [prompt->n]: rows that stay as they are.
 * Fills input and evaluates nothing yet; baseline is the caller's to fill afterwards. */
limn_status ig_path_open(IgPath *path, MethodCall *call, Session *session, Answer *answer, const Prompt *prompt,
                         const bool *fixed);
void ig_path_free(IgPath *path);

/* How many nodes there will be, for progress; 0: nobody knows. Counts them anew. */
void ig_path_expect(IgPath *path, int64_t nodes);

/* Evaluates nodes at their alpha; f_of and d are allocated in the call's arena when NULL. */
limn_status ig_evaluate(IgPath *path, IgNode *const *nodes, int32_t n);

/* The same without the derivative, for half the work: f and f_of are set, slope and d are not. */
limn_status ig_evaluate_values(IgPath *path, IgNode *const *nodes, int32_t n);

/* Adds the cost of `nodes` nodes and `values` evaluations of F alone to the result: memory of one run, seconds from
 * one run of each kind that is timed. */
limn_status ig_estimate(Result *result, IgPath *path, int64_t nodes, int64_t values, bool at_most);

#endif
