/* The next token out of a row of logits.
 *
 * Greedy where the temperature is 0 (of equals the lowest id), else drawn from softmax(logits / temperature), cut to
 * the smallest set of the likeliest tokens whose probability reaches top_p (Holtzman et al. 2020, The Curious Case of
 * Neural Text Degeneration). Candidates leave a heap one by one, likeliest first, until the draw is met: a vocabulary
 * is never sorted as a whole for the few that can be drawn. */
#ifndef LIMN_MEASURE_SAMPLE_H
#define LIMN_MEASURE_SAMPLE_H

#include "base/arena.h"
#include "base/error.h"
#include "base/random.h"

typedef struct SampleOptions {
    double temperature; /* 0: greedy */
    double top_p;       /* (0, 1] */
} SampleOptions;

/* logits: [n], finite or -infinity (never drawn); one at least is finite. scratch: 8 bytes for each, until the caller
 * empties it. LIMN_NO_MEMORY. */
limn_status sample_token(int32_t *id, const float *logits, int32_t n, const SampleOptions *options, Random *random,
                         Arena *scratch);

#endif
