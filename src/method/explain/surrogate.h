/* A linear model of the answer over which words are there: LIME and KernelSHAP. A word that is not there is exchanged
 * for one that fits its place (measure/draws.h), another one in each sample. */
#ifndef LIMN_METHOD_EXPLAIN_SURROGATE_H
#define LIMN_METHOD_EXPLAIN_SURROGATE_H

#include "measure/attribution.h"
#include "measure/cause.h"
#include "measure/token_scores.h"

typedef enum SurrogateKind { SURROGATE_LIME, SURROGATE_SHAP } SurrogateKind;

typedef struct SurrogateParams {
    Text model;
    PromptParams prompt;
    TargetParams target;
    YardstickParams yardstick;
    int64_t samples; /* 0: by the number of words */
    int64_t repeats;
    double alpha; /* of LIME's lasso */
    double width; /* of LIME's kernel */
    int32_t by;
    int32_t check;
} SurrogateParams;

/* One fit: a set of samples of its own. */
typedef struct SurrogateFit {
    double *scores;   /* [n_words] NaN: stays */
    double explained; /* R^2 */
    double drift;     /* mean |change of the answer's probability| over the samples */
    int32_t n;        /* samples that could be read */
} SurrogateFit;

typedef struct Surrogate {
    MethodCall *call;
    const SurrogateParams *params;
    SurrogateKind kind;
    Engine *engine;
    const Model *model;
    const Prompt *prompt;
    const Target *target;
    const Target *contrast;
    const bool *held; /* [prompt->n] tokens that stay besides; NULL: none */
    int64_t seed;
    TokenRuns words;
    Yardstick *yardstick;
    int32_t *free_words; /* [n_free] words that have something to take their place */
    int32_t n_free;
    int32_t samples;    /* of each fit */
    SurrogateFit *fits; /* [n_fits] */
    int32_t n_fits;
    double *scores;  /* [prompt->n] mean over fits, a word's share for each of its tokens; NaN: stays */
    double *spreads; /* [prompt->n] standard deviation over fits; NULL: one fit */
    Answered clean;
} Surrogate;

/* Samples, runs and fits; freed by surrogate_free, after a failure too. */
limn_status surrogate_fit(Surrogate *surrogate, int32_t n_fits);
void surrogate_free(Surrogate *surrogate);

limn_status surrogate_score(TokenScores *scores, MethodCall *call, const TokenQuestion *question, SurrogateKind kind);
limn_status surrogate_run(MethodCall *call, Result *result, SurrogateKind kind);
limn_status surrogate_report(Surrogate *surrogate, Result *result);

/* Weight of a sample with `there` of n words. */
double surrogate_weight(SurrogateKind kind, int32_t there, int32_t n, double width);

/* What both ask: before their own rows, and behind them. */
#define SURROGATE_ROWS                                                                                                 \
    MODEL_ROW(SurrogateParams, model), PROMPT_ROWS(SurrogateParams, prompt),                                           \
        PROMPT_PAIR_ROWS(SurrogateParams, prompt), TARGET_ROWS(SurrogateParams, target),                               \
        TARGET_MORE_ROWS(SurrogateParams, target),                                                                     \
        {"samples",                                                                                                    \
         0,                                                                                                            \
         LIMN_PARAM_INTEGER,                                                                                           \
         .metavar = "N",                                                                                               \
         .default_text = "0",                                                                                          \
         .minimum = 0,                                                                                                 \
         .maximum = 1000000,                                                                                           \
         .help = "changed prompts of each fit; 0: eight for each word, 64 to 2048",                                    \
         .field = offsetof(SurrogateParams, samples)},                                                                 \
    {                                                                                                                  \
        "repeats", 0, LIMN_PARAM_INTEGER, .metavar = "N", .default_text = "3", .minimum = 1, .maximum = 1000,          \
                                          .help = "fits with samples of their own, for the deviation and the signs",   \
                                          .field = offsetof(SurrogateParams, repeats)                                  \
    }
#define SURROGATE_MORE_ROWS                                                                                            \
    ATTRIBUTION_BY_ROW(SurrogateParams, by), YARDSTICK_ROWS(SurrogateParams, yardstick),                               \
        YARDSTICK_FLOOR_ROW(SurrogateParams, yardstick), CAUSE_ROW(SurrogateParams, check)

#endif
