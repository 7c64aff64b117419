/* The prompt with some of its units exchanged: written anew, encoded anew as a whole, and looked at: what was put in
 * must stand there as whole tokens, and the rows that the answer is read from must stand too. */
#ifndef LIMN_MEASURE_REWRITE_H
#define LIMN_MEASURE_REWRITE_H

#include "measure/answers.h"
#include "measure/units.h"

typedef struct Exchange {
    int32_t unit;
    Text text; /* in its place */
} Exchange;

typedef struct Rewriter {
    MethodCall *call;
    const Model *model;
    const Prompt *prompt;
    const Units *units;
    const AnswerScorer *scorer; /* NULL: nobody reads an answer from it */
} Rewriter;

typedef struct Rewritten {
    Version version;
    int32_t begin, end; /* tokens of the first unit exchanged */
} Rewritten;

/* exchanges: [n], in the order of units, no unit twice. *good false: not as whole tokens, not within the model's
 * length, or an unknown or special token came of it. Lives in the call's arena. */
limn_status rewrite_prompt(Rewritten *made, bool *good, const Rewriter *rewriter, const Exchange *exchanges, int32_t n);

#endif
