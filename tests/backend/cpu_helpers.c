#include "backend/cpu_helpers.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* Uniform with variance scale^2: a normal number costs a logarithm and a cosine, and many millions are asked for. */
float *random_floats(Random *random, int64_t n, float scale) {
    float *values = malloc(sizeof *values * (size_t)(n > 0 ? n : 1));
    for (int64_t i = 0; values != NULL && i < n; i++) {
        values[i] = scale * 3.4641016F * ((float)random_unit(random) - 0.5F);
    }
    return values;
}

uint16_t *bf16_floats(const float *values, int64_t n) {
    uint16_t *bits = malloc(sizeof *bits * (size_t)(n > 0 ? n : 1));
    for (int64_t i = 0; bits != NULL && i < n; i++) {
        bits[i] = f32_to_bf16(values[i]);
    }
    return bits;
}

double relative_difference(const float *a, const float *b, int64_t n) {
    double largest = 0.0;
    double worst = 0.0;
    for (int64_t i = 0; i < n; i++) {
        if (a[i] == b[i]) { /* infinities too */
            largest = isfinite(b[i]) && fabs((double)b[i]) > largest ? fabs((double)b[i]) : largest;
            continue;
        }
        double difference = fabs((double)a[i] - (double)b[i]);
        if (!isfinite(difference)) {
            return INFINITY;
        }
        worst = difference > worst ? difference : worst;
        largest = fabs((double)b[i]) > largest ? fabs((double)b[i]) : largest;
    }
    return worst == 0.0 ? 0.0 : worst / (largest > 0.0 ? largest : 1e-30);
}

const Kernel *find_kernel(const Backend *backend, OpKind kind) {
    for (const Kernel *const *list = backend->lists; *list != NULL; list++) {
        for (const Kernel *kernel = *list; kernel->name != NULL; kernel++) {
            if (kernel->op == kind) {
                return kernel;
            }
        }
    }
    return NULL;
}

limn_status run_chunk(const Kernel *kernel, const KernelArgs *args, int32_t begin, int32_t end, bool backward) {
    KernelArgs chunk = *args;
    const Op *op = args->op;
    int32_t keys = args->rows->max_keys;
    int64_t out_width = row_shape_width(&op->out, keys);
    chunk.row_begin = begin;
    chunk.n_rows = end - begin;
    if (op_info(op->kind)->reach == REACH_ROW) {
        for (int i = 0; i < OP_MAX_INPUTS; i++) {
            int64_t width = row_shape_width(&op->in[i], keys);
            chunk.in[i] = args->in[i] == NULL ? NULL : args->in[i] + begin * width;
            chunk.grad_in[i] = args->grad_in[i] == NULL ? NULL : args->grad_in[i] + begin * width;
        }
        chunk.out = args->out == NULL ? NULL : args->out + begin * out_width;
        chunk.grad_out = args->grad_out == NULL ? NULL : args->grad_out + begin * out_width;
        chunk.aux = args->aux == NULL ? NULL : args->aux + begin * op_aux_width(op);
    }
    KernelSizes sizes = {.compute = args->compute,
                         .n_rows = chunk.n_rows,
                         .max_keys = keys,
                         .threads = team_threads(args->team),
                         .backward = backward};
    chunk.scratch = NULL;
    chunk.scratch_bytes = kernel->scratch_bytes == NULL ? 0 : kernel->scratch_bytes(op, &sizes);
    if (chunk.scratch_bytes > 0) {
        size_t bytes = (chunk.scratch_bytes + 63) / 64 * 64;
        chunk.scratch = aligned_alloc(64, bytes);
        if (chunk.scratch == NULL) {
            return fail(LIMN_NO_MEMORY, "no memory for scratch");
        }
        memset(chunk.scratch, 0xFF, bytes);
    }
    limn_status status = backward ? kernel->backward(&chunk) : kernel->forward(&chunk);
    free(chunk.scratch);
    return status;
}
