/* Big blocks of memory on large pages where the system grants them: fewer page faults, fewer misses of the TLB. */
#ifndef LIMN_BASE_LARGE_H
#define LIMN_BASE_LARGE_H

#include <stddef.h>

/* At least `bytes`, aligned to 4096, given back with free(); NULL when there is no memory. */
void *large_alloc(size_t bytes);

#endif
