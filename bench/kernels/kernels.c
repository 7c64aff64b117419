/* Speed of the cpu backend's kernels, one at a time, at the sizes of SmolLM2 (576, 1536), a 100M Llama (768, 2048) and
 * a 1B Llama (2048, 8192); bench_library_peak measures the matrix library beside it.
 *
 *     bench_kernels [threads [linear|packed|attention|rows ...]]
 *
 * Prints the best of several runs. LIMN_BENCH_PROCESSOR=1 takes processor time (with one thread, on a busy machine). */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "backend/backend.h"
#include "base/parallel.h"
#include "base/random.h"

static double seconds(void) {
    struct timespec now;
    clock_gettime(getenv("LIMN_BENCH_PROCESSOR") == NULL ? CLOCK_MONOTONIC : CLOCK_PROCESS_CPUTIME_ID, &now);
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

static Team team;

/* The best time of a kernel over about 0.3 s of runs. */
static double best_time(const Kernel *kernel, KernelArgs *args, bool backward) {
    KernelSizes sizes = {.compute = args->compute,
                         .n_rows = args->n_rows,
                         .max_keys = args->rows->max_keys,
                         .threads = team.threads,
                         .backward = backward};
    args->team = &team;
    size_t bytes = kernel->scratch_bytes == NULL ? 0 : kernel->scratch_bytes(args->op, &sizes);
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

enum { MOST_ROWS = 512 };

/* One weight storage and compute mode at one size. */
static void linear_row(BackendState *state, const char *name, DType dtype, Compute compute, int64_t in, int64_t out) {
    static const int32_t rows[] = {1, 8, 64, 256, MOST_ROWS};
    const Kernel *kernel = find_kernel(OP_LINEAR);
    size_t elements = (size_t)(in * out);
    float *w = filled(elements, 0.05F);
    uint16_t *w16 = (uint16_t *)filled(elements / 2 + 1, 0.0F);
    for (size_t i = 0; i < elements; i++) {
        w16[i] = f32_to_bf16(w[i]);
    }
    float *x = filled((size_t)(MOST_ROWS * in), 1.0F);
    float *y = filled((size_t)(MOST_ROWS * out), 1.0F);
    Op op = {.kind = OP_LINEAR, .in = {{1, {in, 0}}}, .out = {1, {out, 0}}};
    op.weights[0] = (Weight){"w", dtype, out, in, in, 1, dtype == DTYPE_BF16 ? (const void *)w16 : w};
    printf("%-18s %5dx%-5d", name, (int)in, (int)out);
    for (size_t r = 0; r < sizeof rows / sizeof rows[0]; r++) {
        RowTable table = {.n_rows = rows[r]};
        KernelArgs args = {
            .op = &op, .rows = &table, .n_rows = rows[r], .in = {x}, .out = y, .compute = compute, .state = state};
        double work = 2e-9 * (double)rows[r] * (double)in * (double)out;
        double forward = best_time(kernel, &args, false);
        KernelArgs back = {.op = &op,
                           .rows = &table,
                           .n_rows = rows[r],
                           .grad_out = y,
                           .grad_in = {x},
                           .compute = compute,
                           .state = state};
        double backward = best_time(kernel, &back, true);
        printf("  %d: %.0f %.0f", (int)rows[r], work / forward, work / backward);
        fflush(stdout);
    }
    putchar('\n');
    free(w);
    free(w16);
    free(x);
    free(y);
}

static void bench_linear(BackendState *state) {
    static const int64_t shapes[][2] = {{576, 576},  {576, 192},   {576, 1536}, {1536, 576},  {768, 2048},
                                        {2048, 768}, {2048, 2048}, {2048, 512}, {2048, 8192}, {8192, 2048}};
    puts("LINEAR in x out; rows: GFLOP/s forward, backward");
    for (size_t s = 0; s < sizeof shapes / sizeof shapes[0]; s++) {
        linear_row(state, "f32", DTYPE_F32, COMPUTE_F32, shapes[s][0], shapes[s][1]);
        linear_row(state, "f32, bf16 weights", DTYPE_BF16, COMPUTE_F32, shapes[s][0], shapes[s][1]);
        linear_row(state, "bf16", DTYPE_BF16, COMPUTE_BF16, shapes[s][0], shapes[s][1]);
    }
}

/* A causal sequence of `length` rows with H query heads, G key heads and K = 64. */
static void attention_row(BackendState *state, Compute compute, int64_t heads, int64_t groups, int32_t length) {
    enum { K = 64 };
    const Kernel *kernel = find_kernel(OP_ATTENTION);
    Op op = {.kind = OP_ATTENTION, .in = {{2, {heads, K}}, {2, {groups, K}}, {2, {groups, K}}}, .out = {2, {heads, K}}};
    op.attributes.scale = 0.125F;
    op.attributes.causal = true;
    size_t wide = (size_t)(length * heads * K);
    size_t narrow = (size_t)(length * groups * K);
    float *values[] = {filled(wide, 1.0F),   filled(narrow, 1.0F), filled(narrow, 1.0F),
                       filled(wide, 1.0F),   filled(wide, 1.0F),   filled(wide, 0.0F),
                       filled(narrow, 0.0F), filled(narrow, 0.0F), filled((size_t)(length * heads), 0.0F)};
    int32_t *sequence = (int32_t *)filled((size_t)length, 0.0F);
    int32_t *order = (int32_t *)filled((size_t)length, 0.0F);
    memset(sequence, 0, sizeof *sequence * (size_t)length);
    for (int32_t i = 0; i < length; i++) {
        order[i] = i;
    }
    SequenceRows rows = {.n_rows = length};
    RowTable table = {.n_rows = length,
                      .n_sequences = 1,
                      .max_keys = length,
                      .sequences = &rows,
                      .sequence = sequence,
                      .order = order};
    KernelArgs args = {.op = &op,
                       .rows = &table,
                       .key_rows = &table,
                       .n_rows = length,
                       .in = {values[0], values[1], values[2]},
                       .out = values[3],
                       .aux = values[8],
                       .grad_out = values[4],
                       .grad_in = {values[5], values[6], values[7]},
                       .compute = compute,
                       .state = state};
    double forward = best_time(kernel, &args, false);
    double backward = best_time(kernel, &args, true);
    double work = 2e-9 * (double)(heads * K) * (double)length * (double)(length + 1);
    printf("%-4s %2d heads, %2d key heads, %4d rows: forward %8.2f ms, %.0f GFLOP/s; backward %8.2f ms, %.0f GFLOP/s\n",
           compute == COMPUTE_BF16 ? "bf16" : "f32", (int)heads, (int)groups, (int)length, 1e3 * forward,
           work / forward, 1e3 * backward, 2.5 * work / backward);
    for (size_t i = 0; i < sizeof values / sizeof values[0]; i++) {
        free(values[i]);
    }
    free(sequence);
    free(order);
}

static void bench_attention(BackendState *state) {
    static const int64_t shapes[][2] = {{9, 3}, {12, 4}, {12, 12}, {32, 8}};
    static const int32_t lengths[] = {64, 512, 2048};
    puts("ATTENTION, causal, head width 64 (seen cells counted)");
    for (size_t s = 0; s < sizeof shapes / sizeof shapes[0]; s++) {
        for (size_t i = 0; i < sizeof lengths / sizeof lengths[0]; i++) {
            attention_row(state, COMPUTE_F32, shapes[s][0], shapes[s][1], lengths[i]);
            attention_row(state, COMPUTE_BF16, shapes[s][0], shapes[s][1], lengths[i]);
        }
    }
}

static void row_kernel(BackendState *state, OpKind kind, const char *name, int64_t width, int values) {
    const Kernel *kernel = find_kernel(kind);
    Op op = {.kind = kind, .in = {{1, {width, 0}}, {1, {width, 0}}}, .out = {1, {width, 0}}};
    op.attributes.activation = ACTIVATION_SILU;
    op.attributes.epsilon = 1e-5F;
    float *gain = filled((size_t)width, 1.0F);
    float *in[2] = {filled((size_t)(256 * width), 1.0F), filled((size_t)(256 * width), 1.0F)};
    float *out = filled((size_t)(256 * width), 1.0F);
    float *grads[2] = {filled((size_t)(256 * width), 1.0F), filled((size_t)(256 * width), 1.0F)};
    if (kind == OP_NORM) {
        op.weights[0] = (Weight){"gain", DTYPE_F32, width, 1, 1, 1, gain};
    }
    RowTable table = {.n_rows = 256};
    KernelArgs args = {.op = &op,
                       .rows = &table,
                       .n_rows = 256,
                       .in = {in[0], in[1]},
                       .out = out,
                       .grad_out = out,
                       .grad_in = {grads[0], values > 2 ? grads[1] : NULL},
                       .state = state};
    double forward = best_time(kernel, &args, false);
    double backward = best_time(kernel, &args, true);
    double bytes = 1e-9 * 256.0 * (double)width * 4.0 * values;
    printf("%-18s 256 x %-5d forward %6.3f ms (%.1f GB/s), backward %6.3f ms\n", name, (int)width, 1e3 * forward,
           bytes / forward, 1e3 * backward);
    free(gain);
    free(in[0]);
    free(in[1]);
    free(out);
    free(grads[0]);
    free(grads[1]);
}

static void bench_rows(BackendState *state) {
    puts("Row by row (bytes read and written)");
    static const int64_t widths[] = {576, 2048, 8192};
    for (size_t i = 0; i < sizeof widths / sizeof widths[0]; i++) {
        row_kernel(state, OP_NORM, "NORM", widths[i], 2);
        row_kernel(state, OP_ADD, "ADD", widths[i], 3);
        row_kernel(state, OP_GATED_ACTIVATION, "GATED_ACTIVATION", widths[i], 3);
    }
}

static bool wanted(int argc, char **argv, const char *part) {
    for (int i = 2; i < argc; i++) {
        if (strcmp(argv[i], part) == 0) {
            return true;
        }
    }
    return argc <= 2;
}

int main(int argc, char **argv) {
    team = team_of(argc > 1 ? atoi(argv[1]) : 0, NULL);
    BackendState *state;
    if (backend_cpu.state_new(&state) != LIMN_OK) {
        fprintf(stderr, "%s\n", error_message());
        return 1;
    }
    printf("%s, %d threads\n", backend_cpu.describe(), team.threads);
    if (wanted(argc, argv, "linear")) {
        bench_linear(state);
    }
    if (wanted(argc, argv, "packed")) { /* the same with the weights kept packed */
        backend_cpu.set_weight_budget(state, (size_t)1 << 30);
        bench_linear(state);
    }
    if (wanted(argc, argv, "attention")) {
        bench_attention(state);
    }
    if (wanted(argc, argv, "rows")) {
        bench_rows(state);
    }
    backend_cpu.state_free(state);
    return 0;
}
