/* A caller who asks to stop is heard within one operation, however long it lasts: the longest attention, forward and
 * backward, and the largest matrix product ask at least ten times a second. */
#include "harness.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "cpu_helpers.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

/* Sizes are doubled until some were stopped: those that a fast machine ends at once say nothing. */
enum { REFUSED_AT = 4, STOPPED_ATTENTIONS = 3, STOPPED_PRODUCTS = 5, MOST_SIZE = 1 << 17 };

/* Of the calling thread's own processor time, so that a busy machine does not count. */
static const double longest_silence = 0.1;

typedef struct Listener {
    double heard_at;
    double silence; /* the longest */
    int asked;
} Listener;

static double processor_seconds(void) {
    struct timespec now;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
    return (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
}

static void hear(Listener *listener) {
    double now = processor_seconds();
    listener->silence = now - listener->heard_at > listener->silence ? now - listener->heard_at : listener->silence;
    listener->heard_at = now;
}

static bool listen_to(void *context, const char *stage, int64_t done, int64_t total) {
    (void)stage;
    (void)done;
    (void)total;
    Listener *listener = context;
    hear(listener);
    return ++listener->asked < REFUSED_AT;
}

/* Just before and after the operation: what else a test does takes time too. */
static void begin(const Team *team) {
    ((Listener *)team->progress->context)->heard_at = processor_seconds();
}

static void end(const Team *team) {
    hear(team->progress->context);
}

/* Runs one operation of a size; LIMN_OK: it was over before anybody could stop it. */
typedef limn_status (*Operation)(const Backend *backend, Team *team, Compute compute, bool backward, int32_t size);

static void check_heard(const char *name, Operation operation, int stopped_sizes, const Backend *backend,
                        Compute compute, bool backward, int threads) {
    limn_status status = LIMN_OK;
    int stopped = 0;
    for (int32_t size = 1024; size <= MOST_SIZE && stopped < stopped_sizes; size *= 2) {
        Listener listener = {0};
        Progress progress = {listen_to, &listener};
        Team team = team_of(threads, &progress);
        team.stage = "testing";
        status = operation(backend, &team, compute, backward, size);
        if ((status != LIMN_OK && status != LIMN_CANCELLED) || listener.silence > longest_silence) {
            fail_msg("%s, %s, %s, %s, %d threads, size %d: %s, asked %d times, silent for %.3f s", backend->name, name,
                     compute == COMPUTE_F32 ? "f32" : "bf16", backward ? "backward" : "forward", threads, size,
                     status == LIMN_OK ? "not stopped" : error_message(), listener.asked, listener.silence);
        }
        stopped += status == LIMN_CANCELLED;
        /* who has refused is not asked again */
        assert_true(status == LIMN_CANCELLED ? listener.asked == REFUSED_AT : listener.asked < REFUSED_AT);
    }
    assert_true(stopped > 0); /* it was long enough to mean something */
}

/* size: rows of one sequence. */
static limn_status attend(const Backend *backend, Team *team, Compute compute, bool backward, int32_t size) {
    Layout layout = {.name = "long", .n_sequences = 1, .sequences = {{0, size}}};
    Case description = {.name = "long attention",
                        .kind = OP_ATTENTION,
                        .in = {{2, {4, 32}}, {2, {2, 32}}, {2, {2, 32}}},
                        .attributes = {.scale = 0.3F, .causal = true},
                        .layout = &layout};
    Instance instance;
    instance_make(&instance, &description, 1);
    Results saved, results;
    results_new(&saved, &instance);
    results_new(&results, &instance);
    for (int64_t i = 0; i < instance.out_rows * instance.out_width; i++) { /* any numbers: nobody looks at what it is */
        saved.out[i] = 0.25F;
    }
    for (int64_t i = 0; i < instance.out_rows * instance.aux_width; i++) {
        saved.aux[i] = 9.0F;
    }
    const Kernel *kernel = backend_choose(backend, &instance.op, compute);
    BackendState *state;
    assert_int_equal(backend->state_new(&state), LIMN_OK);
    harness_team = *team;
    begin(team);
    limn_status status = backward ? run_backward(&instance, kernel, state, compute, 0, &saved, false, &results)
                                  : run_forward(&instance, kernel, state, compute, 0, &results);
    end(team);
    harness_team = (Team){.threads = 1};
    backend->state_free(state);
    results_free(&saved);
    results_free(&results);
    instance_free(&instance);
    return status;
}

/* size: columns of the result. The rows of the weight overlap: its numbers do not matter. */
static limn_status multiply(const Backend *backend, Team *team, Compute compute, bool backward, int32_t size) {
    enum { ROWS = 256, DEPTH = 1024 };
    Random random;
    random_seed(&random, 1);
    float *w = random_floats(&random, DEPTH + size, 1.0F);
    float *x = random_floats(&random, ROWS * DEPTH, 1.0F);
    float *y = calloc((size_t)ROWS * (size_t)size, sizeof *y);
    Weight weight = {.name = "w",
                     .dtype = DTYPE_F32,
                     .rows = backward ? DEPTH : size,
                     .columns = backward ? size : DEPTH,
                     .row_stride = 1,
                     .column_stride = 1,
                     .data = w};
    Op op = {.kind = OP_LINEAR, .in = {{1, {weight.columns, 0}}}, .out = {1, {weight.rows, 0}}, .weights = {weight}};
    RowTable rows = {.n_rows = ROWS};
    BackendState *state;
    assert_int_equal(backend->state_new(&state), LIMN_OK);
    KernelArgs args = {.op = &op, .team = team, .rows = &rows, .key_rows = &rows, .compute = compute, .state = state};
    if (backward) {
        args.grad_out = x;
        args.grad_in[0] = y;
    } else {
        args.in[0] = x;
        args.out = y;
    }
    begin(team);
    limn_status status = run_chunk(backend_choose(backend, &op, compute), &args, 0, ROWS, backward);
    end(team);
    backend->state_free(state);
    free(w);
    free(x);
    free(y);
    return status;
}

static void check_backends(const char *name, Operation operation, int stopped_sizes) {
    static const char *const backends[] = {"ref", "cpu"};
    for (size_t b = 0; b < sizeof backends / sizeof backends[0]; b++) {
        const Backend *backend = backend_find(backends[b]);
        for (int compute = COMPUTE_F32; compute <= COMPUTE_BF16 && backend != NULL; compute++) {
            for (int backward = 0; backward <= 1; backward++) {
                for (int threads = 1; threads <= 2; threads++) {
                    check_heard(name, operation, stopped_sizes, backend, (Compute)compute, backward == 1, threads);
                }
            }
        }
    }
}

static void test_attention_is_heard(void **state) {
    check_backends("attention", attend, STOPPED_ATTENTIONS);
}

static void test_products_are_heard(void **state) {
    check_backends("product", multiply, STOPPED_PRODUCTS);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_attention_is_heard),
        cmocka_unit_test(test_products_are_heard),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
