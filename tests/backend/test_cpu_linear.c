/* LINEAR of the cpu backend against the plain C one: both orientations, slices, dtypes, few and many rows, bias,
 * accumulation; and the same bits for a row in every chunk. */
#include "backend/cpu_helpers.h"
#include "backend/ref/ref.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

typedef struct Case {
    int32_t rows;
    int64_t in, out;
    bool transposed; /* [in, out] in memory */
    bool slice;      /* a part of a wider tensor */
    DType dtype;
    bool bias;
    Compute compute;
    bool rounded; /* f32 weights that hold bf16 numbers only */
} Case;

static RowTable table_of(int32_t rows) {
    return (RowTable){.n_rows = rows};
}

static Weight weight_view(const Case *c, const void *data) {
    int64_t wide = c->slice ? 3 : 1;
    int64_t offset = c->slice ? (c->transposed ? c->out : c->out * c->in) : 0;
    size_t size = c->dtype == DTYPE_BF16 ? 2 : 4;
    return (Weight){.name = "w",
                    .dtype = c->dtype,
                    .rows = c->out,
                    .columns = c->in,
                    .row_stride = c->transposed ? 1 : c->in,
                    .column_stride = c->transposed ? wide * c->out : 1,
                    .data = (const char *)data + (size_t)offset * size};
}

static void check_case(const Case *c, BackendState *state) {
    Random random;
    random_seed(&random, (uint64_t)(c->rows * 31 + c->in * 7 + c->out));
    int64_t n_weights = c->in * c->out * (c->slice ? 3 : 1);
    float *w = random_floats(&random, n_weights, 0.1F);
    float *b = random_floats(&random, c->out, 1.0F);
    uint16_t *w16 = bf16_floats(w, n_weights);
    uint16_t *b16 = bf16_floats(b, c->out);
    for (int64_t i = 0; c->rounded && i < n_weights; i++) {
        w[i] = bf16_to_f32(w16[i]);
    }
    float *x = random_floats(&random, c->rows * c->in, 1.0F);
    float *dy = random_floats(&random, c->rows * c->out, 1.0F);
    float *y[2], *dx[2];
    for (int i = 0; i < 2; i++) {
        y[i] = random_floats(&random, c->rows * c->out, 1.0F);
        dx[i] = random_floats(&random, c->rows * c->in, 0.0F);
        for (int64_t j = 0; j < c->rows * c->in; j++) {
            dx[i][j] = (float)(j % 5);
        }
    }
    Op op = {.kind = OP_LINEAR, .in = {{1, {c->in, 0}}}, .out = {1, {c->out, 0}}};
    op.weights[0] = weight_view(c, c->dtype == DTYPE_BF16 ? (const void *)w16 : w);
    if (c->bias) {
        op.weights[1] = (Weight){"b", c->dtype, c->out, 1, 1, 1, c->dtype == DTYPE_BF16 ? (const void *)b16 : b};
    }
    RowTable rows = table_of(c->rows);
    const Kernel *kernels[2] = {find_kernel(&backend_cpu, OP_LINEAR), find_kernel(&backend_ref, OP_LINEAR)};
    for (int i = 0; i < 2; i++) {
        KernelArgs args = {
            .op = &op, .rows = &rows, .key_rows = &rows, .in = {x}, .out = y[i], .compute = c->compute, .state = state};
        int32_t step = i == 0 ? 37 : c->rows;
        for (int32_t r = 0; r < c->rows; r += step) {
            int32_t end = r + step < c->rows ? r + step : c->rows;
            assert_int_equal(run_chunk(kernels[i], &args, r, end, false), LIMN_OK);
        }
        KernelArgs back = {.op = &op,
                           .rows = &rows,
                           .key_rows = &rows,
                           .grad_out = dy,
                           .grad_in = {dx[i]},
                           .accumulate = {true},
                           .compute = c->compute,
                           .state = state};
        assert_int_equal(run_chunk(kernels[i], &back, 0, c->rows, true), LIMN_OK);
    }
    double limit = c->compute == COMPUTE_BF16 ? 1e-2 : 2e-6;
    double forward = relative_difference(y[0], y[1], c->rows * c->out);
    if (c->rows * c->out < 8) { /* a few sums may nearly cancel: judged by what a sum of this length usually is */
        double usual = 0.1 * sqrt((double)c->in / 3.0);
        double largest = 0.0;
        for (int64_t i = 0; i < c->rows * c->out; i++) {
            largest = fmax(largest, fabs((double)y[1][i]));
        }
        forward *= largest < usual ? largest / usual : 1.0;
    }
    double backward = relative_difference(dx[0], dx[1], c->rows * c->in);
    if (!(forward < limit) || !(backward < limit)) {
        fail_msg("rows %d in %d out %d transposed %d slice %d dtype %d bias %d compute %d: forward %g backward %g",
                 c->rows, (int)c->in, (int)c->out, c->transposed, c->slice, c->dtype, c->bias, c->compute, forward,
                 backward);
    }
    for (int i = 0; i < 2; i++) {
        free(y[i]);
        free(dx[i]);
    }
    free(w), free(b), free(w16), free(b16), free(x), free(dy);
}

/* Columns of the largest weight: under a sanitizer fewer, as ref takes minutes there. */
#ifdef LIMN_SANITIZED
enum { MANY_COLUMNS = 161 };
#else
enum { MANY_COLUMNS = 601 };
#endif

static void test_agrees_with_ref(void **unused) {
    BackendState *state;
    assert_int_equal(backend_cpu.state_new(&state), LIMN_OK);
    static const int32_t rows[] = {1, 3, 8, 9, 70};
    static const int64_t sizes[][2] = {{64, 96}, {33, 47}, {576, 192}, {20, 1}, {1, 20}, {1030, MANY_COLUMNS}};
    for (size_t r = 0; r < 5; r++) {
        for (size_t s = 0; s < 6; s++) {
            for (int bits = 0; bits < 32; bits++) {
                Case c = {rows[r],     sizes[s][0],
                          sizes[s][1], bits & 1,
                          bits & 2,    bits & 4 ? DTYPE_BF16 : DTYPE_F32,
                          bits & 8,    bits & 16 ? COMPUTE_BF16 : COMPUTE_F32,
                          false};
                check_case(&c, state);
            }
        }
    }
    print_message("largest weight: 1030 x %d\n", MANY_COLUMNS);
    backend_cpu.state_free(state);
}

/* Such weights run on other instructions where the machine has them; the answer is still that of f32. */
static void test_f32_that_hold_bf16(void **unused) {
    BackendState *state;
    assert_int_equal(backend_cpu.state_new(&state), LIMN_OK);
    static const int32_t rows[] = {1, 17, 150};
    static const int64_t sizes[][2] = {{64, 96}, {33, 47}, {1100, 130}};
    for (size_t r = 0; r < 3; r++) {
        for (size_t s = 0; s < 3; s++) {
            for (int bits = 0; bits < 8; bits++) {
                Case c = {rows[r],   sizes[s][0], sizes[s][1], bits & 1, bits & 2,
                          DTYPE_F32, bits & 4,    COMPUTE_F32, true};
                check_case(&c, state);
            }
        }
    }
    backend_cpu.state_free(state);
}

/* A row's bits in chunks of 256, 16, 7 and 1 against the whole. */
static void check_bits(BackendState *state, int64_t in, int64_t out, bool transposed, DType dtype, Compute compute) {
    enum { ROWS = 300 };
    Random random;
    random_seed(&random, 5);
    float *w = random_floats(&random, in * out, 0.1F);
    uint16_t *w16 = bf16_floats(w, in * out);
    float *x = random_floats(&random, ROWS * in, 1.0F);
    float *whole = random_floats(&random, ROWS * out, 1.0F);
    float *parts = random_floats(&random, ROWS * out, 1.0F);
    Case c = {ROWS, in, out, transposed, false, dtype, false, compute, false};
    Op op = {.kind = OP_LINEAR, .in = {{1, {in, 0}}}, .out = {1, {out, 0}}};
    op.weights[0] = weight_view(&c, dtype == DTYPE_BF16 ? (const void *)w16 : w);
    RowTable rows = table_of(ROWS);
    const Kernel *kernel = find_kernel(&backend_cpu, OP_LINEAR);
    KernelArgs args = {
        .op = &op, .rows = &rows, .key_rows = &rows, .in = {x}, .out = whole, .compute = compute, .state = state};
    assert_int_equal(run_chunk(kernel, &args, 0, ROWS, false), LIMN_OK);
    args.out = parts;
    static const int32_t steps[] = {256, 64, 16, 7, 1};
    for (size_t s = 0; s < 5; s++) {
        memset(parts, 0xFF, sizeof(float) * (size_t)(ROWS * out));
        for (int32_t r = 0; r < ROWS; r += steps[s]) {
            int32_t end = r + steps[s] < ROWS ? r + steps[s] : ROWS;
            assert_int_equal(run_chunk(kernel, &args, r, end, false), LIMN_OK);
        }
        if (memcmp(whole, parts, sizeof(float) * (size_t)(ROWS * out)) != 0) {
            fail_msg("bits differ: in %d out %d transposed %d dtype %d compute %d chunks of %d", (int)in, (int)out,
                     transposed, dtype, compute, steps[s]);
        }
    }
    free(w), free(w16), free(x), free(whole), free(parts);
}

static void test_bits_do_not_depend_on_the_chunk(void **unused) {
    BackendState *state;
    assert_int_equal(backend_cpu.state_new(&state), LIMN_OK);
    static const int64_t sizes[][2] = {{576, 192}, {1536, 576}, {2048, 512}, {4096, 64}, {65, 300}};
    for (size_t s = 0; s < 5; s++) {
        for (int bits = 0; bits < 8; bits++) {
            check_bits(state, sizes[s][0], sizes[s][1], bits & 1, bits & 2 ? DTYPE_BF16 : DTYPE_F32,
                       bits & 4 ? COMPUTE_BF16 : COMPUTE_F32);
        }
    }
    backend_cpu.state_free(state);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_agrees_with_ref),
        cmocka_unit_test(test_f32_that_hold_bf16),
        cmocka_unit_test(test_bits_do_not_depend_on_the_chunk),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
