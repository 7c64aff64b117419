/* The causal check of an attribution: take away the words it calls strongest and see whether the target suffers more
 * than when as many words are taken away at random (the deletion curve of Samek et al., 1509.06321). */
#ifndef LIMN_MEASURE_DELETION_H
#define LIMN_MEASURE_DELETION_H

#include "ask/words.h"
#include "measure/score_path.h"

/* path: as used for the attribution (baseline filled); word_scores [words->n] of support, NaN for words that cannot be
 * removed. What is measured is the target's probability, or with a contrast the path's own F. Adds a series block, a
 * check and a note to the result. */
limn_status deletion_check(Result *result, const IgPath *path, const Target *target, const TokenRuns *words,
                           const double *word_scores, bool contrasted);

/* Forward passes the check takes at most after an attribution of `evaluations` nodes. */
int64_t deletion_most_passes(int64_t evaluations, int32_t n_tokens);

#endif
