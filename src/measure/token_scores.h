/* Scores of a prompt's tokens by any method that has them, reached by name: what comparisons, data sets, audits and the
 * check of causes are built on. Nothing is opened again from one prompt to the next:
 *
 *     const Method *method;
 *     const void *params;
 *     token_scorer_find(&method, call, "ig");
 *     token_scorer_params(&params, call, method, given);         // {"steps": 32}, or NULL: the method's defaults
 *     for each record:
 *         MethodCall record = method_call_in(call, &arena);      // its prompt and target lie there too
 *         TokenQuestion question = {.engine = engine, .prompt = &prompt, .target = &target, .params = params};
 *         token_scores(&scores, &record, method, &question);
 *         arena_reset(&arena);
 *
 * A method offers it by one function in its row (Method.score_tokens); tests/method/test_token_scores.c holds every
 * method that does to what is promised here. */
#ifndef LIMN_MEASURE_TOKEN_SCORES_H
#define LIMN_MEASURE_TOKEN_SCORES_H

#include <jansson.h>

#include "ask/target.h"

struct TokenQuestion {
    Engine *engine;
    const Prompt *prompt;
    const Target *target;   /* built (target_build) or resolved: its figures are not looked at, its ids are */
    const Target *contrast; /* NULL or of kind TARGET_NONE: there is none */
    const bool *fixed;  /* [prompt->n] tokens that stay as they are, beside special and unseen ones; NULL: no others */
    const void *params; /* of token_scorer_params */
    int64_t seed;       /* of what the method draws */
};

struct TokenScores {
    int32_t n;             /* tokens of the prompt */
    double *scores;        /* [n] positive: for the target (before its contrast); NaN: held as it is */
    double *spreads;       /* [n] standard deviation over baselines or samples, NaN as above; NULL: there is none */
    int32_t reach;         /* tokens [reach, n) cannot have influence: their scores are 0 or NaN */
    double f;              /* what was scored, of the prompt itself; NaN: the method has no such number */
    double completeness;   /* how far the scores are from adding up to what they must, relative; NaN: they need not */
    bool sound;            /* the method's own checks hold: it converged, its sums are right */
    const char *complaint; /* why they do not, one line; NULL: they do */
    const char *unit;      /* of the scores: "log-probability" */
};

/* A method that scores tokens, by its command's name. Refuses other names and methods that do not. */
limn_status token_scorer_find(const Method **method, const MethodCall *call, const char *name);

/* Methods as a person names them: "ig,lrp:rules=relp:metric=logit", options of a method behind colons. */
typedef struct NamedScorer {
    const char *name; /* as it was typed */
    const Method *method;
    const void *params;
} NamedScorer;
/* scorers: [*n] in the call's arena. Refuses what is named twice, and what token_scorer_find and token_scorer_params
 * do; option: "methods", for messages. */
limn_status token_scorers_named(NamedScorer **scorers, int32_t *n, MethodCall *call, const char *option,
                                const ParamTexts *lists);
/* The help of such a row: "NAME[:OPTION=VALUE],..." */
#define SCORERS_METAVAR "NAME[:OPTION=VALUE],..."

/* Its parameters from a JSON object (NULL: all by default), in the call's arena. Refuses what comes with the question
 * (model, prompt, target) and files to write. */
limn_status token_scorer_params(const void **params, MethodCall *call, const Method *method, const json_t *given);

/* Asks the method and holds it to what TokenScores says. All of it lies in the call's arena. */
limn_status token_scores(TokenScores *scores, MethodCall *call, const Method *method, const TokenQuestion *question);

/* Of tokens [begin, end) together: the sum of those that are not held; NaN: all are. */
double token_scores_sum(const TokenScores *scores, int32_t begin, int32_t end);

#endif
