/* A weight packed after some uses must give the bits it gave before: forward and backward, every storage and compute
 * mode, sizes that fill no tile, few rows and many. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "backend/backend.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

enum { USES = 6, MOST_ROWS = 600 };

typedef struct Case {
    DType dtype;
    Compute compute;
    int64_t in, out;
    int32_t rows;
    bool bias, turned; /* turned: the weight lies as [in, out] */
} Case;

static const Kernel *linear_kernel(const Backend *backend) {
    for (const Kernel *const *list = backend->lists; *list != NULL; list++) {
        for (const Kernel *kernel = *list; kernel->name != NULL; kernel++) {
            if (kernel->op == OP_LINEAR) {
                return kernel;
            }
        }
    }
    return NULL;
}

static float *random_floats(size_t count, uint32_t seed) {
    float *values = malloc(count * sizeof *values);
    assert_non_null(values);
    for (size_t i = 0; i < count; i++) {
        seed = seed * 1664525U + 1013904223U;
        values[i] = (float)(seed >> 8) / 8388608.0F - 1.0F;
    }
    return values;
}

static void run_once(const Kernel *kernel, KernelArgs *args, bool backward) {
    KernelSizes sizes = {.compute = args->compute,
                         .n_rows = args->n_rows,
                         .max_keys = args->rows->max_keys,
                         .threads = team_threads(args->team),
                         .backward = backward};
    args->scratch_bytes = kernel->scratch_bytes(args->op, &sizes);
    args->scratch = aligned_alloc(64, (args->scratch_bytes + 127) / 64 * 64);
    assert_non_null(args->scratch);
    assert_int_equal(backward ? kernel->backward(args) : kernel->forward(args), LIMN_OK);
    free(args->scratch);
}

static void check_case(const Backend *backend, const Case *c) {
    const Kernel *kernel = linear_kernel(backend);
    assert_non_null(kernel);
    BackendState *state;
    assert_int_equal(backend->state_new(&state), LIMN_OK);
    backend->set_weight_budget(state, (size_t)1 << 30);
    size_t elements = (size_t)(c->in * c->out);
    float *w = random_floats(elements, 7);
    uint16_t *half = malloc(elements * sizeof *half);
    for (size_t i = 0; i < elements; i++) {
        half[i] = f32_to_bf16(w[i]);
    }
    float *bias = random_floats((size_t)c->out, 9);
    float *x = random_floats((size_t)(c->rows * c->in), 11);
    float *grad = random_floats((size_t)(c->rows * c->out), 13);
    size_t y_bytes = (size_t)(c->rows * c->out) * sizeof(float);
    size_t dx_bytes = (size_t)(c->rows * c->in) * sizeof(float);
    float *y = malloc(y_bytes);
    float *first_y = malloc(y_bytes);
    float *dx = malloc(dx_bytes);
    float *first_dx = malloc(dx_bytes);
    Op op = {.kind = OP_LINEAR, .in = {{1, {c->in, 0}}}, .out = {1, {c->out, 0}}};
    const void *data = c->dtype == DTYPE_BF16 ? (const void *)half : w;
    op.weights[0] = (Weight){"w", c->dtype, c->out, c->in, c->turned ? 1 : c->in, c->turned ? c->out : 1, data};
    if (c->bias) {
        op.weights[1] = (Weight){"b", DTYPE_F32, c->out, 1, 1, 1, bias};
    }
    RowTable table = {.n_rows = c->rows};
    for (int use = 0; use < USES; use++) {
        Team team = {.threads = 2};
        KernelArgs forward = {.op = &op,
                              .team = &team,
                              .rows = &table,
                              .n_rows = c->rows,
                              .in = {x},
                              .out = y,
                              .compute = c->compute,
                              .state = state};
        run_once(kernel, &forward, false);
        memcpy(dx, x, dx_bytes);
        KernelArgs backward = {.op = &op,
                               .team = &team,
                               .rows = &table,
                               .n_rows = c->rows,
                               .grad_out = grad,
                               .grad_in = {dx},
                               .accumulate = {use % 2 == 1},
                               .compute = c->compute,
                               .state = state};
        run_once(kernel, &backward, true);
        for (size_t i = 0; use % 2 == 1 && i < dx_bytes / 4; i++) {
            dx[i] -= x[i]; /* what was added, but for one rounding */
        }
        if (use == 0) {
            memcpy(first_y, y, y_bytes);
            memcpy(first_dx, dx, dx_bytes);
        }
        assert_memory_equal(y, first_y, y_bytes);
        for (size_t i = 0; i < dx_bytes / 4; i++) {
            float room = use % 2 == 1 ? 4e-7F * (fabsf(first_dx[i]) + 1) : 0;
            assert_true(fabsf(dx[i] - first_dx[i]) <= room);
        }
    }
    backend->state_free(state);
    free(w);
    free(half);
    free(bias);
    free(x);
    free(grad);
    free(y);
    free(first_y);
    free(dx);
    free(first_dx);
}

static void packed_weights_give_the_same_bits(void **unused) {
    (void)unused;
    const Backend *backend = backend_find("cpu");
    if (backend == NULL) {
        print_message("skipped: this build has no cpu backend\n");
        skip();
    }
    static const struct {
        DType dtype;
        Compute compute;
    } modes[] = {
        {DTYPE_F32, COMPUTE_F32}, {DTYPE_BF16, COMPUTE_F32}, {DTYPE_BF16, COMPUTE_BF16}, {DTYPE_F32, COMPUTE_BF16}};
    static const int64_t sizes[][2] = {{96, 64}, {33, 47}, {576, 130}, {2200, 40}};
    static const int32_t rows[] = {1, 3, 20, MOST_ROWS};
    for (size_t mode = 0; mode < sizeof modes / sizeof modes[0]; mode++) {
        for (size_t size = 0; size < sizeof sizes / sizeof sizes[0]; size++) {
            for (size_t r = 0; r < sizeof rows / sizeof rows[0]; r++) {
                Case c = {modes[mode].dtype,   modes[mode].compute,       sizes[size][0], sizes[size][1], rows[r],
                          (size + r) % 2 == 0, (mode + size + r) % 3 == 0};
                check_case(backend, &c);
            }
        }
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(packed_weights_give_the_same_bits)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
