/* Looking for NaN and infinity at the speed of memory. */
#ifndef LIMN_MODEL_FINITE_H
#define LIMN_MODEL_FINITE_H

#include <stdint.h>

#include "tensor/tensor.h"

/* Index of the first element that is not finite, -1 when all are. Other dtypes than F32, BF16 and F16: -1. */
int64_t first_not_finite(DType dtype, const void *data, int64_t n);

#endif
