/* Which token of one text is which of another: two prompts that differ in a few words. */
#ifndef LIMN_METHOD_CAUSAL_ALIGNMENT_H
#define LIMN_METHOD_CAUSAL_ALIGNMENT_H

#include "base/error.h"
#include "base/integers.h"

/* Rows [base, base + n) are rows [source, source + n) of the other. */
typedef struct AlignedRows {
    int32_t base, source, n;
} AlignedRows;

/* Of equal length: token for token. Else what both begin with, and what both end with; between these nothing is. */
typedef struct Alignment {
    int32_t n_base, n_source;
    int32_t prefix;      /* tokens both begin with: row `prefix` is the first that differs */
    int32_t suffix;      /* tokens both end with, none of them among the prefix */
    int32_t n_different; /* of equal length: positions whose tokens differ */
    AlignedRows runs[2];
    int n_runs;
} Alignment;

/* The same tokens, or texts of unequal length that end differently, are LIMN_USAGE; command is for the message. */
limn_status alignment_of(Alignment *alignment, const char *command, const int32_t *base, int32_t n_base,
                         const int32_t *source, int32_t n_source);
Alignment alignment_turned(const Alignment *alignment);             /* base and source exchanged */
int32_t alignment_source(const Alignment *alignment, int32_t base); /* -1: none */

#endif
