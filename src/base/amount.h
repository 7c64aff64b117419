/* Amounts of memory as messages name them: in the units that the option 'memory' reads, so that a figure that was
 * printed can be given back. */
#ifndef LIMN_BASE_AMOUNT_H
#define LIMN_BASE_AMOUNT_H

#include <stddef.h>

enum { AMOUNT_TEXT_MAX = 32 };

/* "513.25M": at most two decimals. What is needed is rounded up, so that the figure itself would do; what is allowed is
 * not, so that it never looks like enough. Both return out. */
const char *amount_needed(char out[AMOUNT_TEXT_MAX], size_t bytes);
const char *amount_allowed(char out[AMOUNT_TEXT_MAX], size_t bytes);

#endif
