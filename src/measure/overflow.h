/* Values that left what a 32-bit float can hold, on the way through a changed run. A norm that meets them divides by
 * infinity: what comes out is zero, which looks like an answer (every token equally likely) and is none. */
#ifndef LIMN_MEASURE_OVERFLOW_H
#define LIMN_MEASURE_OVERFLOW_H

#include "call/method.h"
#include "edit/edits.h"

typedef struct Overflow {
    int64_t rows;     /* rows of norms that met such values; 0: none */
    const char *site; /* of the first of them: "blocks.1.ln1.hook_scale" */
    int32_t row;
} Overflow;

/* Whether a run with these edits is worth looking into: edits that could do it, or logits (NULL: none) that are not
 * finite or all the same. */
bool overflow_suspected(const EditPlan *edits, const float *logits, int32_t n);

/* Runs the sequence again with its edits and looks at the scale of every norm. What the engine held is gone. */
limn_status overflow_find(Overflow *found, MethodCall *call, Engine *engine, const SequenceInput *sequence,
                          const EditPlan *edits);

/* The check "finite values": rows that overflowed and outputs that are not finite, none expected. */
void overflow_check(Result *result, const MethodCall *call, const Overflow *found, int64_t outputs);

#endif
