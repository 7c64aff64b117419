#include "base/large.h"

#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>

#include "base/integers.h"

enum { PAGE = 4096, LARGE_PAGE = 1 << 21 };

void *large_alloc(size_t bytes) {
    size_t unit = bytes >= 4 * (size_t)LARGE_PAGE ? LARGE_PAGE : PAGE;
    if (bytes > SIZE_MAX - unit) {
        return NULL;
    }
    size_t rounded = bytes == 0 ? unit : round_up_bytes(bytes, unit);
    void *memory = aligned_alloc(unit, rounded);
#ifdef MADV_HUGEPAGE
    if (memory != NULL && unit == LARGE_PAGE) {
        (void)madvise(memory, rounded, MADV_HUGEPAGE); /* a wish: small pages serve as well */
    }
#endif
    return memory;
}
