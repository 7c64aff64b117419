/* The prompt with some of its units exchanged: written anew, encoded anew as a whole, and looked at: what was put in
 * must stand there as whole tokens. */
#ifndef LIMN_MEASURE_REWRITE_H
#define LIMN_MEASURE_REWRITE_H

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
    int32_t n_tail;  /* tokens of the answer that are read behind the text */
    bool any_length; /* who reads it cuts what is too long */
} Rewriter;

typedef struct Rewritten {
    const int32_t *ids; /* [n] the prompt's tokens, changed */
    int32_t n;
    int32_t begin, end; /* those of the first unit exchanged */
} Rewritten;

/* exchanges: [n], in the order of units, no unit twice. *good false: not as whole tokens, not within the model's
 * length, or an unknown or special token came of it. Lives in the call's arena. */
limn_status rewrite_prompt(Rewritten *made, bool *good, const Rewriter *rewriter, const Exchange *exchanges, int32_t n);

/* The text alone, in the call's arena. */
limn_status rewrite_text(Text *text, const Rewriter *rewriter, const Exchange *exchanges, int32_t n);

#endif
