#include "backend/backend.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "backend/ref/ref.h"

/* The thread sanitizer does not know the OpenMP inside the libraries of the cpu backend. */
static const Backend *const backends[] = {
#ifndef LIMN_REF_ONLY
    &backend_cpu,
#endif
    &backend_ref,
};

const Backend *backend_find(const char *name) {
    for (size_t i = 0; i < sizeof backends / sizeof backends[0]; i++) {
        if (strcmp(backends[i]->name, name) == 0) {
            return backends[i];
        }
    }
    return NULL;
}

static bool trace_dispatch(void) {
    const char *trace = getenv("LIMN_TRACE");
    return trace != NULL && strstr(trace, "dispatch") != NULL;
}

static const Kernel *choose_from(const Kernel *list, const Op *op, Compute compute, bool trace) {
    for (const Kernel *kernel = list; kernel->name != NULL; kernel++) {
        const char *why = "no reason given";
        if (kernel->op != op->kind) {
            continue;
        }
        if (kernel->can == NULL || kernel->can(op, compute, &why)) {
            return kernel;
        }
        if (trace) {
            fprintf(stderr, "limn: dispatch: %s layer %d: %s refused: %s\n", op_info(op->kind)->name, op->layer,
                    kernel->name, why);
        }
    }
    return NULL;
}

const Kernel *backend_choose(const Backend *backend, const Op *op, Compute compute) {
    bool trace = trace_dispatch();
    for (const Kernel *const *list = backend->lists; *list != NULL; list++) {
        const Kernel *kernel = choose_from(*list, op, compute, trace);
        if (kernel != NULL) {
            return kernel;
        }
    }
    return choose_from(kernels_ref, op, compute, trace);
}
