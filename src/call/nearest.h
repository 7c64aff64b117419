/* The names nearest to what somebody typed, for messages. */
#ifndef LIMN_CALL_NEAREST_H
#define LIMN_CALL_NEAREST_H

#include <stddef.h>

typedef const char *(*NameAt)(const void *context, size_t index); /* NULL: no name at this index */

/* Writes "'a', 'b', 'c'" (at most three names, best first; "" when there is none). Returns out. */
char *nearest_names(char *out, size_t size, const char *wanted, NameAt name_at, const void *context, size_t count);

#endif
