/* The causal check of an attribution: take away the words it calls strongest and see whether the target suffers more
 * than when as many words are taken away at random (the deletion curve of Samek et al., 1509.06321). */
#ifndef LIMN_MEASURE_DELETION_H
#define LIMN_MEASURE_DELETION_H

#include "ask/words.h"
#include "measure/answer.h"

typedef struct DeletionQuestion {
    MethodCall *call;
    Session *session;
    const Prompt *prompt;
    const Target *target;
    const Target *contrast; /* of kind TARGET_NONE: there is none */
    AnswerMetric metric;    /* of F, which is measured with a contrast; without one it is the target's probability */
    int32_t n_tokens;       /* P: those that can have influence */
    const float *input;     /* [P, D] embeddings */
    const float *baseline;  /* [P, D] those of what is taken away */
    const bool *fixed;      /* [P] what stays */
    const TokenRuns *words;
    const double *support; /* [words->n] NaN for words that cannot be taken away */
    int64_t effort;        /* passes with gradients that the attribution took: the check shall not cost more */
} DeletionQuestion;

/* Adds a series block, a check and a note to the result. */
limn_status deletion_check(Result *result, const DeletionQuestion *question);

/* Forward passes the check takes at most after an attribution of `effort` passes. */
int64_t deletion_most_passes(int64_t effort, int32_t n_tokens);

#endif
