/* What the cpu backend keeps between runs: the library's engine, primitives made so far, converted weights. */
#ifndef LIMN_BACKEND_CPU_STATE_H
#define LIMN_BACKEND_CPU_STATE_H

#include "backend/backend.h"
#include "backend/cpu/dnnl_matmul.h"

struct BackendState {
    Matmul *matmul;
};

#endif
