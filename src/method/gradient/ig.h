/* One explanation by integrated gradients, as its parts see it: the question, the path, what came of it. */
#ifndef LIMN_METHOD_GRADIENT_IG_H
#define LIMN_METHOD_GRADIENT_IG_H

#include "ask/words.h"
#include "measure/token_scores.h"
#include "method/gradient/ig_integrate.h"

typedef struct IgParams {
    Text model;
    PromptParams prompt;
    TargetParams target;
    int32_t metric;
    ParamTexts baselines;
    double tolerance;
    int64_t max_nodes;
    int64_t steps;
    int32_t rule;
    int32_t by;
    int32_t template_tokens; /* 1: scored */
    int32_t check;
    bool matrix;
    bool estimate;
} IgParams;

/* Everything one explanation needs, so that helpers take one argument. */
typedef struct IgWork {
    MethodCall *call;
    const IgParams *params;
    Result *result; /* NULL: nobody reads one */
    Session *session;
    const Model *model;
    Prompt prompt;
    Target target;
    Target contrast;
    const bool *held; /* [prompt.n] of a question: tokens that stay besides; NULL: none */
    AnswerMetric metric;
    IgPath path;
    IgIntegral *integrals; /* [n_baselines] */
    const char **names;    /* [n_baselines] what each baseline is */
    int32_t n_baselines;
    double *score;  /* [prompt.n] mean over baselines, all components; NaN: fixed */
    double *spread; /* [prompt.n] standard deviation over baselines; NaN: one baseline */
    TokenRuns words;
    TokenRuns sentences;
} IgWork;

/* The worst of all baselines. */
typedef struct IgJudgement {
    double gap;    /* sum of gaps over |F(input) - F(baseline)| */
    double change; /* of a token's score in the last refinement, over the largest score; a fixed rule: NaN */
    IgEnd end;
    bool gap_counts; /* what is left is no mere rounding */
    bool sound;      /* within the tolerance in all that counts */
} IgJudgement;

IgJudgement ig_judge(const IgWork *work);

/* What was asked of baseline number `which`: "auto" where nobody said. */
const char *ig_baseline_spec(const IgParams *params, int32_t which);

/* F jumps where a row's choice of experts changes, which no number of nodes can smooth. */
bool ig_is_routed(const IgWork *work);

/* Scores, words, figures and checks into the result. */
limn_status ig_report(IgWork *work);

#endif
