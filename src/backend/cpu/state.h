/* What the cpu backend keeps between runs: the library's engine, primitives made so far, what is known of weights. */
#ifndef LIMN_BACKEND_CPU_STATE_H
#define LIMN_BACKEND_CPU_STATE_H

#include "backend/backend.h"
#include "backend/cpu/dnnl_matmul.h"
#include "backend/cpu/exact.h"
#include "backend/cpu/packs.h"

struct BackendState {
    Matmul *matmul;
    ExactWeights *exact;
    Packs *packs;
};

#endif
