/* What a changed run is judged by: one number made of the answer's output rows, by seeds of the run, so that logits of
 * thousands of runs are never kept.
 *
 *     logit-diff   logit(target) - logit(contrast)
 *     prob         probability of the target (of several tokens: their product)
 *     logprob      log of that
 *     logit        logit(target)
 *     kl           KL(reference || run) of the whole distribution, the reference being another run's; 0: the same
 */
#ifndef LIMN_METHOD_CAUSAL_OUTCOME_H
#define LIMN_METHOD_CAUSAL_OUTCOME_H

#include "ask/target.h"

/* Order of the choice. */
typedef enum OutcomeMetric {
    OUTCOME_LOGIT_DIFF,
    OUTCOME_PROB,
    OUTCOME_LOG_PROB,
    OUTCOME_LOGIT,
    OUTCOME_KL
} OutcomeMetric;

#define OUTCOME_CHOICES "logit-diff|prob|logprob|logit|kl"

typedef struct Outcome {
    OutcomeMetric metric;
    int32_t contrast;       /* of LOGIT_DIFF */
    const float *reference; /* of KL: logits [n_outputs, width] */
    int64_t width;          /* of logits */
} Outcome;

/* Whether a model's outputs are shares of one: not where labels hold each by itself, nor where outputs are numbers. */
bool outcome_has_shares(const Model *model);
/* There only logits mean something: LIMN_USAGE for any other metric. */
limn_status outcome_check(OutcomeMetric metric, const char *command, const Model *model);

/* What was asked (-1: nothing: the difference of logits, of several tokens the log-probability, where outputs are no
 * shares of one the logit),
 * refused where target and contrast cannot have it. Fills metric and width. */
limn_status outcome_choose(Outcome *outcome, const MethodCall *call, const Model *model, const Target *target,
                           const Target *contrast, int32_t asked);
/* The other prompt's likeliest answer but the target, from its logits at the target's place. */
limn_status outcome_choose_contrast(Target *contrast, MethodCall *call, const Target *target, const float *logits);

/* Borrows the outcome; the output rows' targets are those of the answer. */
Seed outcome_seed(const Outcome *outcome, const Model *model);
/* From the seed's F at the answer's n output rows. */
double outcome_value(const Outcome *outcome, const float *f, int32_t n);
/* The same from logits [n, width] that were kept; ids [n]: the answer's tokens. */
double outcome_of_logits(const Outcome *outcome, const int32_t *ids, int32_t n, const float *logits);

const char *outcome_name(OutcomeMetric metric);                           /* "logit-diff" */
const char *outcome_text(const MethodCall *call, const Outcome *outcome); /* for people */

/* Rows of the methods that compare two prompts. */
#define OUTCOME_CONTRAST_ROW(type, member)                                                                             \
    PARAM_ROW("contrast", 0, LIMN_PARAM_TEXT, "TEXT",                                                                  \
              "measure the target against this answer; without one, what the corrupt prompt answers",                  \
              offsetof(type, member))
#define OUTCOME_METRIC_ROW(type, member)                                                                               \
    {                                                                                                                  \
        "metric", 0, LIMN_PARAM_CHOICE,                                                                                \
            .metavar = "M", .choices = OUTCOME_CHOICES,                                                                \
            .help = "what is measured of the answer; without one, logit-diff, of several tokens logprob",              \
            .field = offsetof(type, member)                                                                            \
    }

#endif
