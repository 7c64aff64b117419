/* Does an explanation point at the cause? The yardstick (yardstick.h) exchanges words and says what that does; a
 * method's scores are held against it.
 *
 *     cause       effect of the word the method names first, over the largest effect: at least .5, and its interval
 * clear of 0 (an effect that is not told from 0 counts as 0). Where no word's effect is clear: inconclusive. deletion
 * exchanging the words it calls strongest, one to five at once, moves the answer further than exchanging as many random
 * ones (Samek et al. 1509.06321, with words that fit in the place of removed ones).
 *
 * Both judge what is named for the target: words with positive scores. */
#ifndef LIMN_MEASURE_CAUSE_H
#define LIMN_MEASURE_CAUSE_H

#include "measure/yardstick_rows.h"

/* Order of the choice "none|quick|full". */
typedef enum CauseEffort { CAUSE_NONE, CAUSE_QUICK, CAUSE_FULL } CauseEffort;

#define CAUSE_ROW(type, member)                                                                                        \
    {                                                                                                                  \
        .name = "check", .kind = LIMN_PARAM_CHOICE, .metavar = "C", .default_text = "full",                            \
        .choices = "none|quick|full",                                                                                  \
        .help = "hold the scores against what exchanging words does; quick: fewer exchanges, wider intervals",         \
        .field = offsetof(type, member)                                                                                \
    }

typedef struct CauseAsked {
    MethodCall *call;
    Engine *engine;
    const Prompt *prompt;
    const Target *target;
    const Target *contrast; /* NULL or kind TARGET_NONE: none */
    const TokenRuns *words;
    const double *scores; /* [words->n] positive: for the target; NaN: held, or without influence */
    CauseEffort effort;
    const YardstickParams *params; /* NULL: nothing is fixed, no file */
    bool advisory;                 /* the checks have no part in the verdict */
    bool unsigned_scores;          /* sizes: what is named first may as well speak against the target */
} CauseAsked;

/* Adds checks "cause" and (full) "deletion", a table "causes" for those who look closer, and a series "deletion". A
 * prompt without a text, or none of whose words may be exchanged, is not checked, and a warning says so. */
limn_status cause_check(Result *result, const CauseAsked *asked);

/* Forward passes of a changed prompt that the check takes at most. */
int64_t cause_most_passes(CauseEffort effort, int32_t n_words);

#endif
