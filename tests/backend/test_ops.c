/* Every case on every kernel of every backend, in both compute modes. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "backend/ref/ref.h"
#include "harness.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

enum { SEED = 20240 };
static const double usual_tolerance = 2e-5;

/* A part of case names: only those run. From the command line, for work on one op. */
static const char *wanted = "";

static bool quiet; /* count differences without printing them */

static bool is_wanted(const Case *description) {
    return strstr(description->name, wanted) != NULL;
}

static const Kernel *ref_kernel(OpKind kind) {
    for (const Kernel *kernel = kernels_ref; kernel->name != NULL; kernel++) {
        if (kernel->op == kind) {
            return kernel;
        }
    }
    return NULL;
}

static const char *const backend_names[] = {
    "ref",
#ifndef LIMN_REF_ONLY
    "cpu",
#endif
};
enum { N_BACKENDS = sizeof backend_names / sizeof backend_names[0] };

/* Called for every kernel that can run the case; returns how many failures it printed. */
typedef int (*KernelTest)(const Instance *instance, const Kernel *kernel, BackendState *state, Compute compute);

static int over_kernels(const Instance *instance, const Backend *backend, BackendState *state, KernelTest test) {
    int failures = 0;
    for (const Kernel *const *list = backend->lists; *list != NULL; list++) {
        if (*list == kernels_ref && backend != &backend_ref) {
            continue; /* every list of kernels ends in these; they are tested once */
        }
        for (const Kernel *kernel = *list; kernel->name != NULL; kernel++) {
            for (int compute = COMPUTE_F32; compute <= COMPUTE_BF16; compute++) {
                const char *why = NULL;
                if (kernel->op != instance->op.kind) {
                    continue;
                }
                if (kernel->can != NULL && !kernel->can(&instance->op, (Compute)compute, &why)) {
                    if (why == NULL || why[0] == '\0') {
                        print_error("%s: %s refuses without a reason\n", instance->description->name, kernel->name);
                        failures++;
                    }
                    continue;
                }
                failures += test(instance, kernel, state, (Compute)compute);
            }
        }
    }
    return failures;
}

/* Run as a lesser machine, where the ref kernels, plain C, do the same as on this one. */
static bool lesser_machine(void) {
    return getenv("ONEDNN_MAX_CPU_ISA") != NULL;
}

static void over_cases(KernelTest test, bool with_ref) {
    int failures = 0;
    for (size_t b = with_ref ? 0 : 1; b < N_BACKENDS; b++) {
        const Backend *backend = backend_find(backend_names[b]);
        assert_non_null(backend);
        BackendState *state = NULL;
        assert_int_equal(backend->state_new(&state), LIMN_OK);
        /* packed weights are keyed by where they lie, so instances must outlive the state */
        Instance *instances = calloc((size_t)n_cases, sizeof *instances);
        assert_non_null(instances);
        for (int i = 0; i < n_cases; i++) {
            instance_make(&instances[i], &cases[i], SEED + (uint64_t)i);
            failures += is_wanted(&cases[i]) ? over_kernels(&instances[i], backend, state, test) : 0;
        }
        backend->state_free(state);
        for (int i = 0; i < n_cases; i++) {
            instance_free(&instances[i]);
        }
        free(instances);
    }
    assert_int_equal(failures, 0);
}

static int expect_close(const Instance *instance, const Kernel *kernel, Compute compute, const char *what,
                        const float *got, const float *want, int64_t count, double tolerance) {
    double gap = difference(got, want, count);
    if (gap <= tolerance) {
        return 0;
    }
    if (quiet) {
        return 1;
    }
    print_error("%s (%s), %s, %s: %s differs by %.3g, allowed %.3g\n", instance->description->name,
                instance->description->layout->name, kernel->name, compute == COMPUTE_BF16 ? "bf16" : "f32", what, gap,
                tolerance);
    return 1;
}

static int expect_status(const Instance *instance, const Kernel *kernel, limn_status status) {
    if (status == LIMN_OK) {
        return 0;
    }
    print_error("%s, %s: %s\n", instance->description->name, kernel->name, error_message());
    return 1;
}

/* ---- (a) against ref ---- */

static int expect_gradients(const Instance *instance, const Kernel *kernel, Compute compute, const char *what,
                            const Results *got, const Results *want, double tolerance) {
    int failures = 0;
    for (int i = 0; i < op_info(instance->op.kind)->n_inputs; i++) {
        char name[64];
        snprintf(name, sizeof name, "%s %d", what, i);
        if (got->grad_in[i] != NULL && rule_passes(instance->description->rule, instance->op.kind, i)) {
            failures += expect_close(instance, kernel, compute, name, got->grad_in[i], want->grad_in[i],
                                     instance->in_rows[i] * instance->in_width[i], tolerance);
        }
    }
    return failures;
}

/* Gradients written, gradients added to what is there, and each input's gradient wanted alone. */
static int check_backward(const Instance *instance, const Kernel *kernel, BackendState *state, Compute compute,
                          Compute truth_mode, const Results *saved, double tolerance) {
    int failures = 0;
    const Kernel *truth = ref_kernel(instance->op.kind);
    int n_inputs = op_info(instance->op.kind)->n_inputs;
    for (int mode = 0; mode <= n_inputs + 1; mode++) {
        bool accumulate = mode >= 1;
        Results got, want;
        results_new(&got, instance);
        results_new(&want, instance);
        for (int i = 0; i < n_inputs; i++) {
            int64_t count = instance->in_rows[i] * instance->in_width[i];
            for (int64_t k = 0; k < count && accumulate; k++) {
                got.grad_in[i][k] = want.grad_in[i][k] = (float)(k % 7) - 3.0F;
            }
            if (mode >= 2 && i != mode - 2) {
                free(got.grad_in[i]);
                free(want.grad_in[i]);
                got.grad_in[i] = want.grad_in[i] = NULL;
            }
        }
        failures += expect_status(instance, truth,
                                  run_backward(instance, truth, NULL, truth_mode, 0, saved, accumulate, &want));
        failures +=
            expect_status(instance, kernel, run_backward(instance, kernel, state, compute, 0, saved, accumulate, &got));
        failures += expect_gradients(instance, kernel, compute, accumulate ? "gradient added" : "gradient", &got, &want,
                                     tolerance);
        results_free(&got);
        results_free(&want);
    }
    return failures;
}

/* Failures against ref in `truth_mode`. */
static int compare_with_ref(const Instance *instance, const Kernel *kernel, BackendState *state, Compute compute,
                            Compute truth_mode, double tolerance) {
    const Kernel *truth = ref_kernel(instance->op.kind);
    Results got, want;
    results_new(&got, instance);
    results_new(&want, instance);
    int failures = expect_status(instance, truth, run_forward(instance, truth, NULL, truth_mode, 0, &want));
    failures += expect_status(instance, kernel, run_forward(instance, kernel, state, compute, 0, &got));
    failures += expect_close(instance, kernel, compute, "output", got.out, want.out,
                             instance->out_rows * instance->out_width, tolerance);
    if (want.aux != NULL) {
        failures += expect_close(instance, kernel, compute, "aux", got.aux, want.aux,
                                 instance->out_rows * instance->aux_width, tolerance);
    }
    if (kernel->backward != NULL) {
        failures += check_backward(instance, kernel, state, compute, truth_mode, &want, tolerance);
    }
    results_free(&got);
    results_free(&want);
    return failures;
}

/* A product may round its factors to bf16 when asked to, or keep them; it may not do something between. */
static int check_against_ref(const Instance *instance, const Kernel *kernel, BackendState *state, Compute compute) {
    double tolerance = instance->description->tolerance > 0.0 ? instance->description->tolerance : usual_tolerance;
    bool quiet_before = quiet;
    quiet = compute == COMPUTE_BF16;
    int failures = compare_with_ref(instance, kernel, state, compute, COMPUTE_F32, tolerance);
    quiet = quiet_before;
    if (compute == COMPUTE_BF16 && instance->op.kind == OP_ATTENTION) {
        tolerance = 1e-2; /* operands are rounded to 8 bits where a machine has tiles */
    }
    if (compute == COMPUTE_BF16 && instance->description->rounded_tolerance > 0.0) {
        tolerance = instance->description->rounded_tolerance;
    }
    return compute == COMPUTE_BF16 && failures > 0
               ? compare_with_ref(instance, kernel, state, compute, COMPUTE_BF16, tolerance)
               : failures;
}

static void need_other_backend(void) {
    if (N_BACKENDS < 2) {
        print_message("skipped: this build has the ref backend alone\n");
        skip();
    }
}

static void kernels_agree_with_ref(void **state) {
    need_other_backend();
    over_cases(check_against_ref, false);
}

/* ---- (b) the derivative of ref is the derivative ---- */

/* sum of grad_out * out over finite outputs */
static double weighted_output(const Instance *instance, const Kernel *kernel, Results *results) {
    assert_int_equal(run_forward(instance, kernel, NULL, COMPUTE_F32, 0, results), LIMN_OK);
    double sum = 0.0;
    for (int64_t i = 0; i < instance->out_rows * instance->out_width; i++) {
        sum += isinf(results->out[i]) ? 0.0 : (double)instance->grad_out[i] * (double)results->out[i];
    }
    return sum;
}

static double quotient(const Instance *instance, const Kernel *kernel, Results *results, float *place, float step) {
    float middle = *place;
    float up = middle + step;
    float down = middle - step;
    *place = up;
    double above = weighted_output(instance, kernel, results);
    *place = down;
    double below = weighted_output(instance, kernel, results);
    *place = middle;
    return (above - below) / ((double)up - (double)down);
}

/* Central differences at h and 2h, so that the error is of order h^4 where the function is smooth. */
static double slope_at(const Instance *instance, const Kernel *kernel, Results *results, float *place) {
    const float step = 0.03125F;
    double near = quotient(instance, kernel, results, place, step);
    double far = quotient(instance, kernel, results, place, 2.0F * step);
    return (4.0 * near - far) / 3.0;
}

/* A value that decides what is computed: the function jumps there, and by definition no gradient passes. */
static bool is_choice(const Instance *instance, int input, float value) {
    OpKind kind = instance->op.kind;
    return (kind == OP_ROUTE && input == 1) || ((kind == OP_EXPERT_LINEAR || kind == OP_EXPERTS) && value == 0.0F);
}

static int check_slopes(const Instance *instance, const Kernel *kernel, int input, const float *grad) {
#ifdef LIMN_SANITIZED
    const int64_t most = 5;
#else
    const int64_t most = instance->out_rows > 60 ? 12 : 24;
#endif
    int64_t count = instance->in_rows[input] * instance->in_width[input];
    Random random;
    random_seed(&random, SEED);
    Results scratch;
    results_new(&scratch, instance);
    double largest = 0.0;
    for (int64_t i = 0; i < count; i++) {
        largest = fmax(largest, fabs((double)grad[i]));
    }
    int failures = 0;
    for (int64_t n = 0; n < (count < most ? count : most) && failures == 0; n++) {
        int64_t i = count <= most ? n : (int64_t)random_below(&random, (uint64_t)count);
        if (isinf(instance->in[input][i]) || is_choice(instance, input, instance->in[input][i])) {
            continue;
        }
        double slope = slope_at(instance, kernel, &scratch, &instance->in[input][i]);
        if (!(fabs(slope - (double)grad[i]) <= 3e-4 * largest + 1e-9)) {
            print_error("%s (%s), %s: gradient of input %d at %lld is %.7g, difference quotient %.7g (largest %.3g)\n",
                        instance->description->name, instance->description->layout->name, kernel->name, input,
                        (long long)i, (double)grad[i], slope, largest);
            failures++;
        }
    }
    results_free(&scratch);
    return failures;
}

static int check_derivative(const Instance *instance, const Kernel *kernel, BackendState *state, Compute compute) {
    bool quotients = instance->description->magnitude == 0.0F && instance->description->rule == GRADIENT_TRUE;
    if (kernel->backward == NULL || compute != COMPUTE_F32 || !quotients) {
        return 0;
    }
    Results results;
    results_new(&results, instance);
    int failures = expect_status(instance, kernel, run_forward(instance, kernel, state, compute, 0, &results));
    failures +=
        expect_status(instance, kernel, run_backward(instance, kernel, state, compute, 0, &results, false, &results));
    for (int i = 0; i < op_info(instance->op.kind)->n_inputs; i++) {
        failures += check_slopes(instance, kernel, i, results.grad_in[i]);
    }
    results_free(&results);
    return failures;
}

static void gradients_match_difference_quotients(void **state) {
    if (lesser_machine()) {
        print_message("skipped: the ref kernels are the same as without ONEDNN_MAX_CPU_ISA\n");
        skip();
    }
    int failures = 0;
    for (int i = 0; i < n_cases; i++) {
        Instance instance;
        if (!is_wanted(&cases[i])) {
            continue;
        }
        instance_make(&instance, &cases[i], SEED + (uint64_t)i);
        failures += check_derivative(&instance, ref_kernel(instance.op.kind), NULL, COMPUTE_F32);
        instance_free(&instance);
    }
    assert_int_equal(failures, 0);
}

/* ---- (d) bits ---- */

static int expect_bits(const Instance *instance, const Kernel *kernel, Compute compute, const char *what, int64_t chunk,
                       int threads, const float *got, const float *want, int64_t count) {
    if (got == NULL || memcmp(got, want, sizeof(float) * (size_t)count) == 0) {
        return 0;
    }
    print_error("%s (%s), %s, %s: %s has other bits in chunks of %lld on %d threads\n", instance->description->name,
                instance->description->layout->name, kernel->name, compute == COMPUTE_BF16 ? "bf16" : "f32", what,
                (long long)chunk, threads);
    return 1;
}

static int run_both(const Instance *instance, const Kernel *kernel, BackendState *state, Compute compute, int64_t chunk,
                    Results *results) {
    results_new(results, instance);
    int failures = expect_status(instance, kernel, run_forward(instance, kernel, state, compute, chunk, results));
    if (kernel->backward != NULL) {
        failures += expect_status(instance, kernel,
                                  run_backward(instance, kernel, state, compute, chunk, results, false, results));
    }
    return failures;
}

static int check_bits_in(const Instance *instance, const Kernel *kernel, BackendState *state, Compute compute,
                         int64_t chunk, int threads, const Results *want) {
    Results got;
    OpKind kind = instance->op.kind;
    harness_team.threads = threads;
    int failures = run_both(instance, kernel, state, compute, chunk, &got);
    failures += expect_bits(instance, kernel, compute, "output", chunk, threads, got.out, want->out,
                            instance->out_rows * instance->out_width);
    for (int i = 0; i < op_info(instance->op.kind)->n_inputs && kernel->backward != NULL; i++) {
        if (!rule_passes(instance->description->rule, kind, i)) {
            continue; /* nobody writes it */
        }
        failures += expect_bits(instance, kernel, compute, "gradient", chunk, threads, got.grad_in[i], want->grad_in[i],
                                instance->in_rows[i] * instance->in_width[i]);
    }
    results_free(&got);
    return failures;
}

static bool without_avx2(void) {
    const char *isa = getenv("ONEDNN_MAX_CPU_ISA");
    return isa != NULL && strcmp(isa, "SSE41") == 0;
}

static int check_bits(const Instance *instance, const Kernel *kernel, BackendState *state, Compute compute) {
    static const int64_t chunks[] = {1, 3, 16, 19};
    static const int threads[] = {2, 3};
    Results want;
    harness_team.threads = 1;
    int failures = run_both(instance, kernel, state, compute, 0, &want);
    failures += check_bits_in(instance, kernel, state, compute, 0, 1, &want);
    OpKind kind = instance->op.kind;
    bool product = kind == OP_LINEAR || kind == OP_HEAD_LINEAR || kind == OP_EXPERT_LINEAR || kind == OP_EXPERTS;
    bool rounded = product && without_avx2(); /* see README.md */
    for (size_t t = 0; t < sizeof threads / sizeof threads[0] && !rounded; t++) {
        failures += check_bits_in(instance, kernel, state, compute, 0, threads[t], &want);
    }
    bool in_chunks = op_info(kind)->reach == REACH_ROW;
    for (size_t c = 0; c < sizeof chunks / sizeof chunks[0] && in_chunks && !rounded; c++) {
        failures += check_bits_in(instance, kernel, state, compute, chunks[c], 2, &want);
    }
    harness_team.threads = 1;
    results_free(&want);
    return failures;
}

static void rows_have_the_same_bits(void **state) {
    over_cases(check_bits, !lesser_machine());
}

/* ---- a NaN shows ---- */

static bool has_nan(const float *row, int64_t width) {
    for (int64_t i = 0; i < width; i++) {
        if (isnan(row[i])) {
            return true;
        }
    }
    return false;
}

/* A NaN in one element of one input reaches the rows that it reaches in ref (an unseen value may too: 0 NaN). */
static int check_nan_in(const Instance *instance, const Kernel *kernel, BackendState *state, Compute compute, int input,
                        Results *want, Results *got) {
    const Kernel *truth = ref_kernel(instance->op.kind);
    int64_t place = instance->in_width[input] / 2;
    float before = instance->in[input][place];
    instance->in[input][place] = NAN;
    int failures = expect_status(instance, truth, run_forward(instance, truth, NULL, compute, 0, want));
    failures += expect_status(instance, kernel, run_forward(instance, kernel, state, compute, 0, got));
    instance->in[input][place] = before;
    for (int64_t r = 0; r < instance->out_rows; r++) {
        bool shows = has_nan(got->out + r * instance->out_width, instance->out_width);
        bool must = has_nan(want->out + r * instance->out_width, instance->out_width);
        if (must && !shows) {
            print_error("%s (%s), %s, %s: row %lld hides a NaN of input %d\n", instance->description->name,
                        instance->description->layout->name, kernel->name, compute == COMPUTE_BF16 ? "bf16" : "f32",
                        (long long)r, input);
            return failures + 1;
        }
    }
    return failures;
}

static int check_nan(const Instance *instance, const Kernel *kernel, BackendState *state, Compute compute) {
    int failures = 0;
    for (int i = 0; i < op_info(instance->op.kind)->n_inputs; i++) {
        Results got, want;
        results_new(&got, instance);
        results_new(&want, instance);
        failures += check_nan_in(instance, kernel, state, compute, i, &want, &got);
        results_free(&got);
        results_free(&want);
    }
    return failures;
}

static void a_nan_shows(void **state) {
    need_other_backend();
    over_cases(check_nan, false);
}

/* ---- (e) the tables ---- */

static void every_op_has_its_kernels(void **state) {
    for (int kind = 0; kind < OP_COUNT; kind++) {
        const Kernel *kernel = ref_kernel((OpKind)kind);
        if (kernel == NULL || (kernel->backward != NULL) != op_info((OpKind)kind)->differentiable) {
            fail_msg("%s: no ref kernel, or its backward disagrees with ops.def", op_info((OpKind)kind)->name);
        }
        bool covered = false;
        for (int i = 0; i < n_cases && !covered; i++) {
            covered = cases[i].kind == (OpKind)kind;
        }
        if (!covered) {
            fail_msg("%s: no row in cases.c", op_info((OpKind)kind)->name);
        }
    }
    for (int kind = 0; kind < SEED_KIND_COUNT; kind++) {
        bool covered = false;
        for (int i = 0; i < n_cases && !covered; i++) {
            covered = cases[i].kind == OP_SEED && cases[i].seed.kind == (SeedKind)kind;
        }
        if (!covered) {
            fail_msg("%s: no row in cases.c", seed_info((SeedKind)kind)->name);
        }
    }
    for (int set = 0; set < RULE_SET_COUNT; set++) {
        for (int kind = 0; kind < OP_COUNT; kind++) {
            GradientRule rule = gradient_rule((RuleSet)set, (OpKind)kind);
            bool covered = rule == GRADIENT_TRUE || rule == GRADIENT_STOP;
            for (int i = 0; i < n_cases && !covered; i++) {
                covered = cases[i].kind == (OpKind)kind && cases[i].rule == rule;
            }
            if (!covered) {
                fail_msg("%s under %s: no row in cases.c", op_info((OpKind)kind)->name, rule_set_name((RuleSet)set));
            }
        }
    }
}

static void backends_end_in_ref(void **state) {
    for (size_t b = 0; b < N_BACKENDS; b++) {
        const Backend *backend = backend_find(backend_names[b]);
        assert_non_null(backend);
        assert_string_equal(backend->name, backend_names[b]);
        assert_true(backend->describe()[0] != '\0');
        const Kernel *last = NULL;
        for (const Kernel *const *list = backend->lists; *list != NULL; list++) {
            last = *list;
            for (const Kernel *kernel = last; kernel->name != NULL; kernel++) {
                bool named = strncmp(kernel->name, "ref.", 4) == 0 || strncmp(kernel->name, backend->name, 3) == 0;
                if (!named || kernel->forward == NULL ||
                    (kernel->backward != NULL) != op_info(kernel->op)->differentiable) {
                    fail_msg("%s: wrong name, no forward, or backward disagrees with ops.def", kernel->name);
                }
            }
        }
        assert_ptr_equal(last, kernels_ref);
        for (int i = 0; i < n_cases; i++) {
            Op op = {.kind = cases[i].kind};
            memcpy(op.in, cases[i].in, sizeof op.in);
            assert_non_null(backend_choose(&backend_ref, &op, COMPUTE_F32));
            assert_int_equal(backend_choose(&backend_ref, &op, COMPUTE_F32)->op, op.kind);
        }
    }
    assert_null(backend_find("abacus"));
}

int main(int argc, char **argv) {
    wanted = argc > 1 ? argv[1] : "";
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_op_has_its_kernels),
        cmocka_unit_test(backends_end_in_ref),
        cmocka_unit_test(gradients_match_difference_quotients),
        cmocka_unit_test(rows_have_the_same_bits),
        cmocka_unit_test(kernels_agree_with_ref),
        cmocka_unit_test(a_nan_shows),
    };
    return cmocka_run_group_tests_name("backend ops", tests, NULL, NULL);
}
