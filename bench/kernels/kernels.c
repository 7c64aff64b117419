/* Speed of the cpu backend's kernels beside the matrix library at its best (weights packed) on this machine.
 * Usage: bench_kernels [threads] [part ...]; prints GFLOP/s, the best of several runs. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "backend/backend.h"
#include "base/parallel.h"
#include "base/random.h"

static double seconds(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
}

static const Kernel *find_kernel(OpKind kind) {
    for (const Kernel *const *list = backend_cpu.lists; *list != NULL; list++) {
        for (const Kernel *kernel = *list; kernel->name != NULL; kernel++) {
            if (kernel->op == kind) {
                return kernel;
            }
        }
    }
    return NULL;
}

static float *filled(size_t count, float scale) {
    float *values = aligned_alloc(64, (count * sizeof(float) + 63) / 64 * 64);
    if (values == NULL) {
        fputs("no memory\n", stderr);
        exit(1);
    }
    uint32_t x = 12345;
    for (size_t i = 0; i < count; i++) {
        x = x * 1664525U + 1013904223U;
        values[i] = scale * ((float)(x >> 8) / 8388608.0F - 1.0F);
    }
    return values;
}

/* The best time of a kernel over about 0.3 s of runs. */
static double best_time(const Kernel *kernel, KernelArgs *args, bool backward) {
    size_t bytes = kernel->scratch_bytes == NULL
                       ? 0
                       : kernel->scratch_bytes(args->op, args->compute, args->n_rows, args->rows->max_keys, backward);
    args->scratch_bytes = bytes;
    args->scratch = aligned_alloc(64, (bytes + 127) / 64 * 64);
    double best = 1e9;
    double end = seconds() + 0.3;
    for (int i = 0; i < 3 || seconds() < end; i++) {
        double start = seconds();
        limn_status status = backward ? kernel->backward(args) : kernel->forward(args);
        double taken = seconds() - start;
        if (status != LIMN_OK) {
            fprintf(stderr, "%s: %s\n", kernel->name, error_message());
            exit(1);
        }
        best = taken < best ? taken : best;
    }
    free(args->scratch);
    return best;
}

static void bench_linear(BackendState *state) {
    static const int64_t shapes[][2] = {{576, 576},  {576, 192},   {576, 1536}, {1536, 576},  {768, 768},  {768, 2048},
                                        {2048, 768}, {2048, 2048}, {2048, 512}, {2048, 8192}, {8192, 2048}};
    static const int32_t rows[] = {1, 8, 64, 256, 512};
    const Kernel *kernel = find_kernel(OP_LINEAR);
    printf("LINEAR GFLOP/s (in x out; forward, backward)\n");
    for (int bits = 0; bits < 3; bits++) {
        for (size_t s = 0; s < sizeof shapes / sizeof shapes[0]; s++) {
            int64_t in = shapes[s][0];
            int64_t out = shapes[s][1];
            float *w = filled((size_t)(in * out), 0.05F);
            uint16_t *w16 = malloc((size_t)(in * out) * sizeof *w16);
            for (int64_t i = 0; w16 != NULL && i < in * out; i++) {
                w16[i] = f32_to_bf16(w[i]);
            }
            float *x = filled((size_t)(512 * in), 1.0F);
            float *y = filled((size_t)(512 * out), 1.0F);
            Op op = {.kind = OP_LINEAR, .in = {{1, {in, 0}}}, .out = {1, {out, 0}}};
            op.weights[0] = (Weight){"w", bits ? DTYPE_BF16 : DTYPE_F32, out, in, in, 1, bits ? (void *)w16 : w};
            printf("%-18s %5dx%-5d", bits == 0 ? "f32" : bits == 1 ? "bf16 weights, f32" : "bf16", (int)in, (int)out);
            for (size_t r = 0; r < sizeof rows / sizeof rows[0]; r++) {
                RowTable table = {.n_rows = rows[r]};
                KernelArgs args = {.op = &op,
                                   .rows = &table,
                                   .n_rows = rows[r],
                                   .in = {x},
                                   .out = y,
                                   .compute = bits == 2 ? COMPUTE_BF16 : COMPUTE_F32,
                                   .state = state};
                double forward = best_time(kernel, &args, false);
                args.grad_out = y;
                args.grad_in[0] = x;
                double backward = best_time(kernel, &args, true);
                double work = 2.0 * rows[r] * (double)in * (double)out / 1e9;
                printf("  M%d %.0f %.0f", (int)rows[r], work / forward, work / backward);
                memset(x, 0, (size_t)(512 * in) * sizeof(float));
                fflush(stdout);
            }
            putchar('\n');
            free(w);
            free(w16);
            free(x);
            free(y);
        }
    }
}

int main(int argc, char **argv) {
    parallel_set_threads(argc > 1 ? atoi(argv[1]) : 0);
    BackendState *state;
    if (backend_cpu.state_new(&state) != LIMN_OK) {
        fprintf(stderr, "%s\n", error_message());
        return 1;
    }
    printf("%s, %d threads\n", backend_cpu.describe(), parallel_threads());
    bench_linear(state);
    backend_cpu.state_free(state);
    return 0;
}
