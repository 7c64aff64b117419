/* Shared by the tests of the cpu backend: random data, a plain row table, runs of one kernel. */
#ifndef LIMN_TESTS_BACKEND_CPU_HELPERS_H
#define LIMN_TESTS_BACKEND_CPU_HELPERS_H

#include "backend/backend.h"
#include "base/random.h"

float *random_floats(Random *random, int64_t n, float scale); /* the caller frees */
uint16_t *bf16_floats(const float *values, int64_t n);        /* the caller frees */

/* max |a - b| / max |b| */
double relative_difference(const float *a, const float *b, int64_t n);

const Kernel *find_kernel(const Backend *backend, OpKind kind); /* the first of the kind in the backend's lists */

/* Runs forward or backward over rows [begin, end) with scratch of its own filled with NaN; args carry whole
 * arrays, whose pointers are moved to the chunk by the widths of the op's shapes. */
limn_status run_chunk(const Kernel *kernel, const KernelArgs *args, int32_t begin, int32_t end, bool backward);

#endif
