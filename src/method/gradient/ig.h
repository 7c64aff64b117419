/* One explanation by integrated gradients, as its parts see it: the question, the path, what came of it. */
#ifndef LIMN_METHOD_GRADIENT_IG_H
#define LIMN_METHOD_GRADIENT_IG_H

#include "ask/sampled_tokens.h"
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
    Engine *engine;
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
    bool pooled;                  /* they are draws of one kind, integrated together: figures are of their mean */
    const SampledTokens *sampled; /* NULL: none are drawn */
    double *score;                /* [prompt.n] mean over baselines, all components; NaN: fixed */
    double *spread;               /* [prompt.n] standard deviation over baselines; NaN: one baseline */
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

enum { IG_SAMPLED = 8 }; /* lines of the baseline "sampled" */

/* What was asked of baseline number `which`. Where nobody said: sampled, or auto where the model has a mask token or no
 * tokenizer. */
const char *ig_baseline_spec(const IgWork *work, int32_t which);

/* F jumps where a row's choice of experts changes, which no number of nodes can smooth. */
bool ig_is_routed(const IgWork *work);

/* ig_agreement.c. Standard deviation over the baselines of the score of tokens [begin, end); NaN: one baseline. */
double ig_group_spread(const IgWork *work, int32_t begin, int32_t end);
/* The word that a baseline names first for the target; -1: none speaks for it. */
int32_t ig_first_word(const IgWork *work, int32_t which);
/* How many baselines name that word first. */
int32_t ig_baselines_agreeing(const IgWork *work, int32_t word);

/* Scores, words, figures and checks into the result. */
limn_status ig_report(IgWork *work);

#endif
