/* How a model answers changed versions of one prompt: the lead F of an answer, exactly, for many versions at once.
 *
 *     F = log p(target) - log p(contrast)              with a contrast
 *     F = log p(target) - log(1 - p(target))           without
 *     F = logit(class) - the largest other logit       of a classifier without a contrast
 *
 * An answer of several tokens has the sum of its tokens' log-probabilities. Versions run side by side; what a version
 * begins with in common with the prompt is computed once and only read (causal models). */
#ifndef LIMN_MEASURE_ANSWERS_H
#define LIMN_MEASURE_ANSWERS_H

#include "ask/target.h"

typedef struct Answer {
    double lead;                 /* F */
    double log_probability;      /* of the target */
    double contrast;             /* log-probability of the contrast; NaN: there is none */
    int32_t best;                /* the likeliest id where the answer begins */
    double best_log_probability; /* of that id */
} Answer;

/* The prompt's own tokens, changed; the answer's tokens are put behind them here. */
typedef struct Version {
    const int32_t *ids;   /* [n] */
    const int32_t *types; /* [n] or NULL: all 0 */
    int32_t n;
} Version;

typedef struct AnswerScorer AnswerScorer;

/* All are borrowed. contrast may be NULL or of kind TARGET_NONE. Refuses a prompt with an attention mask of its own. */
limn_status answer_scorer_new(AnswerScorer **scorer, MethodCall *call, Session *session, const Prompt *prompt,
                              const Target *target, const Target *contrast);
void answer_scorer_free(AnswerScorer *scorer); /* NULL is fine */

/* Whether the rows the answer is read from stand in this version too: a change must not touch them. */
bool answer_stands(const AnswerScorer *scorer, const Version *version);

/* answers: [n]. Every version must stand. stage: what people are told is going on. */
limn_status answer_scorer_run(AnswerScorer *scorer, const Version *versions, int32_t n, Answer *answers,
                              const char *stage);
/* One version in a pass of its own, nothing shared: what the fast way is checked against. */
limn_status answer_scorer_plain(AnswerScorer *scorer, const Version *version, Answer *answer);

int64_t answer_scorer_rows(const AnswerScorer *scorer); /* computed so far */

#endif
