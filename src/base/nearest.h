/* The names nearest to what somebody typed, for messages. */
#ifndef LIMN_BASE_NEAREST_H
#define LIMN_BASE_NEAREST_H

#include <stdbool.h>
#include <stddef.h>

typedef const char *(*NameAt)(const void *context, size_t index); /* NULL: no name at this index */

enum { NEAREST_USUAL = 3, NEAREST_MOST = 8 };

/* Writes "'a', 'b', 'c'": at most `most` names (up to NEAREST_MOST), best first; "" when there is none. Returns out. */
char *nearest_names(char *out, size_t size, int most, const char *wanted, NameAt name_at, const void *context,
                    size_t count);

/* A slip of the pen away: one edit in a short name, two in others. */
bool name_is_misspelt(const char *wanted, const char *name);

#endif
