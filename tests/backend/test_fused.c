/* A fused op equals the chain it stands for, forward and backward; a row's attention has the same bits whether
 * the rows before it are its own or cached, and whether it is asked for alone or with all others. */
#include <stdlib.h>
#include <string.h>

#include "base/parallel.h"
#include "harness.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

static const double tolerance = 2e-5;

static RuleSet set; /* of gradient rules, for all ops of a chain */

/* A product with a constant factor is linear in the other: what the planner makes of HALF. */
static GradientRule rule_of(OpKind kind) {
    bool constant = (kind == OP_ATTENTION_MIX && gradient_rule(set, OP_ATTENTION_PATTERN) == GRADIENT_STOP) ||
                    (kind == OP_EXPERT_MIX && gradient_rule(set, OP_ROUTE) == GRADIENT_STOP);
    return constant ? GRADIENT_TRUE : gradient_rule(set, kind);
}

/* One op of a chain, run by the backend's own choice of kernel. */
typedef struct Step {
    Case description;
    Instance instance;
    Results results;
} Step;

static void step_make(Step *step, const Instance *fused, OpKind kind, const RowShape *in0, const RowShape *in1) {
    step->description = *fused->description;
    step->description.kind = kind;
    step->description.rule = rule_of(kind);
    step->description.in[0] = *in0;
    step->description.in[1] = in1 != NULL ? *in1 : (RowShape){0};
    step->description.in[2] = (RowShape){0};
    if (kind != OP_GAIN) {
        memset(step->description.weights, 0, sizeof step->description.weights);
    }
    instance_make(&step->instance, &step->description, 1);
    step->instance.rows = fused->rows;
    step->instance.key_rows = fused->key_rows;
    if (kind == OP_GAIN) {
        memcpy(step->instance.op.weights, fused->op.weights, sizeof fused->op.weights);
    }
    results_new(&step->results, &step->instance);
}

static void step_free(Step *step) {
    results_free(&step->results);
    instance_free(&step->instance);
}

static void set_input(Step *step, int input, const float *values) {
    int64_t count = step->instance.in_rows[input] * step->instance.in_width[input];
    memcpy(step->instance.in[input], values, sizeof(float) * (size_t)count);
}

static void set_gradient(Step *step, const float *values) {
    int64_t count = step->instance.out_rows * step->instance.out_width;
    memcpy(step->instance.grad_out, values, sizeof(float) * (size_t)count);
}

static void step_forward(Step *step, const Backend *backend, BackendState *state) {
    const Kernel *kernel = backend_choose(backend, &step->instance.op, COMPUTE_F32);
    assert_int_equal(run_forward(&step->instance, kernel, state, COMPUTE_F32, 0, &step->results), LIMN_OK);
}

static void step_backward(Step *step, const Backend *backend, BackendState *state) {
    if (step->description.rule == GRADIENT_STOP) { /* nothing goes on */
        for (int i = 0; i < op_info(step->description.kind)->n_inputs; i++) {
            memset(step->results.grad_in[i], 0,
                   sizeof(float) * (size_t)(step->instance.in_rows[i] * step->instance.in_width[i]));
        }
        return;
    }
    const Kernel *kernel = backend_choose(backend, &step->instance.op, COMPUTE_F32);
    assert_int_equal(
        run_backward(&step->instance, kernel, state, COMPUTE_F32, 0, &step->results, false, &step->results), LIMN_OK);
}

/* Each chain fills `results` with what the fused op should give. */
typedef void (*Chain)(const Instance *fused, const Backend *backend, BackendState *state, Results *results);

static void copy(float *to, const float *from, int64_t count) {
    memcpy(to, from, sizeof(float) * (size_t)count);
}

static void norm_chain(const Instance *fused, const Backend *backend, BackendState *state, Results *results) {
    Step scale, normalize, gain;
    const RowShape *shape = &fused->op.in[0];
    bool centered = fused->op.attributes.centered;
    step_make(&scale, fused, centered ? OP_LAYER_SCALE : OP_RMS_SCALE, shape, NULL);
    step_make(&normalize, fused, OP_NORMALIZE, shape, &scale.instance.op.out);
    step_make(&gain, fused, OP_GAIN, shape, NULL);
    set_input(&scale, 0, fused->in[0]);
    set_input(&normalize, 0, fused->in[0]);
    step_forward(&scale, backend, state);
    set_input(&normalize, 1, scale.results.out);
    step_forward(&normalize, backend, state);
    set_input(&gain, 0, normalize.results.out);
    step_forward(&gain, backend, state);
    set_gradient(&gain, fused->grad_out);
    step_backward(&gain, backend, state);
    set_gradient(&normalize, gain.results.grad_in[0]);
    step_backward(&normalize, backend, state);
    set_gradient(&scale, normalize.results.grad_in[1]);
    step_backward(&scale, backend, state);
    int64_t count = fused->out_rows * fused->out_width;
    copy(results->out, gain.results.out, count);
    for (int64_t i = 0; i < count; i++) {
        results->grad_in[0][i] = normalize.results.grad_in[0][i] + scale.results.grad_in[0][i];
    }
    step_free(&scale);
    step_free(&normalize);
    step_free(&gain);
}

static void gated_chain(const Instance *fused, const Backend *backend, BackendState *state, Results *results) {
    Step activation, mul;
    step_make(&activation, fused, OP_ACTIVATION, &fused->op.in[0], NULL);
    step_make(&mul, fused, OP_MUL, &fused->op.in[0], &fused->op.in[1]);
    set_input(&activation, 0, fused->in[0]);
    step_forward(&activation, backend, state);
    set_input(&mul, 0, activation.results.out);
    set_input(&mul, 1, fused->in[1]);
    step_forward(&mul, backend, state);
    set_gradient(&mul, fused->grad_out);
    step_backward(&mul, backend, state);
    set_gradient(&activation, mul.results.grad_in[0]);
    step_backward(&activation, backend, state);
    int64_t count = fused->out_rows * fused->out_width;
    copy(results->out, mul.results.out, count);
    copy(results->grad_in[0], activation.results.grad_in[0], count);
    copy(results->grad_in[1], mul.results.grad_in[1], count);
    step_free(&activation);
    step_free(&mul);
}

static void attention_chain(const Instance *fused, const Backend *backend, BackendState *state, Results *results) {
    Step scores, pattern, mix;
    step_make(&scores, fused, OP_ATTENTION_SCORES, &fused->op.in[0], &fused->op.in[1]);
    step_make(&pattern, fused, OP_ATTENTION_PATTERN, &scores.instance.op.out, NULL);
    step_make(&mix, fused, OP_ATTENTION_MIX, &scores.instance.op.out, &fused->op.in[2]);
    set_input(&scores, 0, fused->in[0]);
    set_input(&scores, 1, fused->in[1]);
    step_forward(&scores, backend, state);
    set_input(&pattern, 0, scores.results.out);
    step_forward(&pattern, backend, state);
    set_input(&mix, 0, pattern.results.out);
    set_input(&mix, 1, fused->in[2]);
    step_forward(&mix, backend, state);
    set_gradient(&mix, fused->grad_out);
    step_backward(&mix, backend, state);
    set_gradient(&pattern, mix.results.grad_in[0]);
    step_backward(&pattern, backend, state);
    set_gradient(&scores, pattern.results.grad_in[0]);
    step_backward(&scores, backend, state);
    copy(results->out, mix.results.out, fused->out_rows * fused->out_width);
    copy(results->grad_in[0], scores.results.grad_in[0], fused->in_rows[0] * fused->in_width[0]);
    copy(results->grad_in[1], scores.results.grad_in[1], fused->in_rows[1] * fused->in_width[1]);
    copy(results->grad_in[2], mix.results.grad_in[1], fused->in_rows[2] * fused->in_width[2]);
    step_free(&scores);
    step_free(&pattern);
    step_free(&mix);
}

/* EXPERT_LINEAR with matrix `which` of the fused op's experts. */
static void expert_step_make(Step *step, const Instance *fused, int which, const RowShape *x) {
    const WeightSpec *spec = &fused->description->weights[0];
    bool down = which == EXPERT_DOWN;
    step->description = *fused->description;
    step->description.kind = OP_EXPERT_LINEAR;
    step->description.rule = rule_of(OP_EXPERT_LINEAR);
    step->description.in[0] = *x;
    step->description.weights[0] =
        (WeightSpec){down ? spec->columns : spec->rows, down ? spec->rows : spec->columns, spec->flags};
    instance_make(&step->instance, &step->description, 1);
    step->instance.rows = fused->rows;
    step->instance.key_rows = fused->key_rows;
    step->instance.op.attributes.experts[0] = fused->op.attributes.experts[which];
    set_input(step, 1, fused->in[1]);
    results_new(&step->results, &step->instance);
}

static void experts_chain(const Instance *fused, const Backend *backend, BackendState *state, Results *results) {
    Step gate, up, gated, down, mix;
    expert_step_make(&gate, fused, EXPERT_GATE, &fused->op.in[0]);
    expert_step_make(&up, fused, EXPERT_UP, &fused->op.in[0]);
    step_make(&gated, fused, OP_GATED_ACTIVATION, &gate.instance.op.out, &up.instance.op.out);
    expert_step_make(&down, fused, EXPERT_DOWN, &gate.instance.op.out);
    step_make(&mix, fused, OP_EXPERT_MIX, &fused->op.in[1], &down.instance.op.out);
    set_input(&gate, 0, fused->in[0]);
    set_input(&up, 0, fused->in[0]);
    step_forward(&gate, backend, state);
    step_forward(&up, backend, state);
    set_input(&gated, 0, gate.results.out);
    set_input(&gated, 1, up.results.out);
    step_forward(&gated, backend, state);
    set_input(&down, 0, gated.results.out);
    step_forward(&down, backend, state);
    set_input(&mix, 0, fused->in[1]);
    set_input(&mix, 1, down.results.out);
    step_forward(&mix, backend, state);
    set_gradient(&mix, fused->grad_out);
    step_backward(&mix, backend, state);
    set_gradient(&down, mix.results.grad_in[1]);
    step_backward(&down, backend, state);
    set_gradient(&gated, down.results.grad_in[0]);
    step_backward(&gated, backend, state);
    set_gradient(&gate, gated.results.grad_in[0]);
    set_gradient(&up, gated.results.grad_in[1]);
    step_backward(&gate, backend, state);
    step_backward(&up, backend, state);
    copy(results->out, mix.results.out, fused->out_rows * fused->out_width);
    copy(results->grad_in[1], mix.results.grad_in[0], fused->in_rows[1] * fused->in_width[1]);
    for (int64_t i = 0; i < fused->in_rows[0] * fused->in_width[0]; i++) {
        results->grad_in[0][i] = gate.results.grad_in[0][i] + up.results.grad_in[0][i];
    }
    Step *steps[] = {&gate, &up, &gated, &down, &mix};
    for (size_t i = 0; i < sizeof steps / sizeof steps[0]; i++) {
        step_free(steps[i]);
    }
}

static Chain chain_of(OpKind kind) {
    return kind == OP_NORM               ? norm_chain
           : kind == OP_EXPERTS          ? experts_chain
           : kind == OP_GATED_ACTIVATION ? gated_chain
           : kind == OP_ATTENTION        ? attention_chain
                                         : NULL;
}

static int compare(const Instance *fused, const Backend *backend, const Results *got, const Results *want) {
    double gaps[1 + OP_MAX_INPUTS] = {difference(got->out, want->out, fused->out_rows * fused->out_width)};
    int failures = 0;
    for (int i = 0; i < op_info(fused->op.kind)->n_inputs; i++) {
        if (rule_passes(fused->description->rule, fused->op.kind, i)) {
            gaps[1 + i] = difference(got->grad_in[i], want->grad_in[i], fused->in_rows[i] * fused->in_width[i]);
        }
    }
    for (int i = 0; i < 1 + OP_MAX_INPUTS; i++) {
        if (!(gaps[i] <= tolerance)) {
            print_error("%s, %s, %s: %s %d differs from its chain by %.3g\n", fused->description->name, backend->name,
                        rule_set_name(set), i == 0 ? "output" : "gradient of input", i == 0 ? 0 : i - 1, gaps[i]);
            failures++;
        }
    }
    return failures;
}

static int check_case(const Case *description, const Backend *backend, BackendState *state, uint64_t seed) {
    Instance fused;
    Results got, want;
    Case under = *description;
    under.rule = gradient_rule(set, description->kind);
    instance_make(&fused, &under, seed);
    results_new(&got, &fused);
    results_new(&want, &fused);
    const Kernel *kernel = backend_choose(backend, &fused.op, COMPUTE_F32);
    assert_int_equal(run_forward(&fused, kernel, state, COMPUTE_F32, 0, &got), LIMN_OK);
    assert_int_equal(run_backward(&fused, kernel, state, COMPUTE_F32, 0, &got, false, &got), LIMN_OK);
    chain_of(description->kind)(&fused, backend, state, &want);
    int failures = compare(&fused, backend, &got, &want);
    results_free(&got);
    results_free(&want);
    instance_free(&fused);
    return failures;
}

static const char *const backend_names[] = {"ref", "cpu"};

/* Calls test for each backend of this build. */
static void over_backends(int (*test)(const Backend *backend, BackendState *state)) {
    int failures = 0;
    for (size_t b = 0; b < sizeof backend_names / sizeof backend_names[0]; b++) {
        const Backend *backend = backend_find(backend_names[b]);
        if (backend != NULL) {
            BackendState *state = NULL;
            assert_int_equal(backend->state_new(&state), LIMN_OK);
            failures += test(backend, state);
            backend->state_free(state);
        }
    }
    assert_int_equal(failures, 0);
}

static int fused_on(const Backend *backend, BackendState *state) {
    (void)state;
    int failures = 0;
    for (int i = 0; i < n_cases * RULE_SET_COUNT; i++) {
        const Case *description = &cases[i / RULE_SET_COUNT];
        set = (RuleSet)(i % RULE_SET_COUNT);
        if (chain_of(description->kind) != NULL) {
            /* a state of its own: what it knows of weights goes by where they lie, and they go with the case */
            BackendState *own = NULL;
            assert_int_equal(backend->state_new(&own), LIMN_OK);
            failures += check_case(description, backend, own, 77 + (uint64_t)(i / RULE_SET_COUNT));
            backend->state_free(own);
        }
    }
    set = RULES_TRUE;
    return failures;
}

static void fused_ops_equal_their_chains(void **state) {
    over_backends(fused_on);
}

/* ---- the same bits with a cached prefix, and for output rows ---- */

enum { LENGTH = 150 };

static const float slopes[] = {0.5F, 0.25F, 0.125F, 0.0625F};
static const float odd_slopes[] = {0.83984375F, 0.70703125F, 0.59375F, 0.419921875F};
static const OpAttributes variants[] = {
    {.scale = 0.3F, .causal = true},
    {.scale = 0.3F, .causal = true, .window = 21},
    {.scale = 0.3F, .causal = true, .softcap = 2.0F, .alibi_slopes = slopes},
    {.scale = 0.3F, .causal = true, .alibi_slopes = odd_slopes, .alibi_bf16 = true},
};
static const int32_t prefixes[] = {1, 16, 37, 64, 100, 149};

static void copy_rows(float *to, const float *from, int64_t first, int64_t rows, int64_t width) {
    memcpy(to, from + first * width, sizeof(float) * (size_t)(rows * width));
}

/* part: the rows of `whole` from its prefix length on, the rows before in its cache. */
static void cut(Instance *part, const Instance *whole, int32_t prefix) {
    const KvCache *cache = part->tables.sequences[0].prefix;
    copy_rows(cache->keys[part->op.layer], whole->in[1], 0, prefix, whole->in_width[1]);
    copy_rows(cache->values[part->op.layer], whole->in[2], 0, prefix, whole->in_width[2]);
    copy_rows(part->in[1], whole->in[1], prefix, part->in_rows[1], part->in_width[1]);
    copy_rows(part->in[2], whole->in[2], prefix, part->in_rows[2], part->in_width[2]);
    for (int64_t r = 0; r < part->in_rows[0]; r++) {
        copy_rows(part->in[0] + r * part->in_width[0], whole->in[0], prefix + part->rows->source[r], 1,
                  part->in_width[0]);
    }
}

static int expect_rows(const Instance *whole, const Instance *part, const float *all, const float *some, int64_t width,
                       int32_t prefix, const char *what, const char *kernel) {
    for (int64_t r = 0; r < part->out_rows; r++) {
        int64_t from = prefix + part->rows->source[r];
        if (memcmp(all + from * width, some + r * width, sizeof(float) * (size_t)width) != 0) {
            print_error("%s: %s of row %lld has other bits with %d of %lld rows cached\n", kernel, what,
                        (long long)from, prefix, (long long)whole->out_rows);
            return 1;
        }
    }
    return 0;
}

static int check_part(const Instance *whole, const Results *all, const Kernel *kernel, BackendState *state,
                      Compute compute, int32_t prefix, bool outputs) {
    Layout layout = {.name = "part", .n_sequences = 1, .sequences = {{prefix, LENGTH - prefix}}, .outputs = outputs};
    Case description = *whole->description;
    description.layout = &layout;
    Instance part;
    Results some;
    instance_make(&part, &description, 9);
    cut(&part, whole, prefix);
    results_new(&some, &part);
    assert_int_equal(run_forward(&part, kernel, state, compute, 0, &some), LIMN_OK);
    int failures = expect_rows(whole, &part, all->out, some.out, whole->out_width, prefix, "attention", kernel->name) +
                   expect_rows(whole, &part, all->aux, some.aux, whole->aux_width, prefix, "log-sum-exp", kernel->name);
    results_free(&some);
    instance_free(&part);
    return failures;
}

static int check_prefixes(const Backend *backend, BackendState *state, Compute compute, const OpAttributes *attributes,
                          int64_t width) {
    Layout layout = {.name = "whole", .n_sequences = 1, .sequences = {{0, LENGTH}}};
    Case description = {.name = "whole",
                        .kind = OP_ATTENTION,
                        .in = {{2, {4, width}}, {2, {2, width}}, {2, {2, width}}},
                        .attributes = *attributes,
                        .layout = &layout};
    Instance whole;
    Results all;
    instance_make(&whole, &description, 5);
    results_new(&all, &whole);
    const Kernel *kernel = backend_choose(backend, &whole.op, compute);
    assert_int_equal(run_forward(&whole, kernel, state, compute, 0, &all), LIMN_OK);
    int failures = 0;
    for (size_t p = 0; p < sizeof prefixes / sizeof prefixes[0]; p++) {
        failures += check_part(&whole, &all, kernel, state, compute, prefixes[p], false);
        failures += check_part(&whole, &all, kernel, state, compute, prefixes[p], true);
    }
    results_free(&all);
    instance_free(&whole);
    return failures;
}

static int prefix_on(const Backend *backend, BackendState *state) {
    static const Compute computes[] = {COMPUTE_F32, COMPUTE_BF16};
    static const int64_t widths[] = {24, 64}; /* the second fills the tiles of a machine that has them */
    int failures = 0;
    for (size_t v = 0; v < sizeof variants / sizeof variants[0]; v++) {
        for (size_t c = 0; c < sizeof computes / sizeof computes[0]; c++) {
            for (size_t w = 0; w < sizeof widths / sizeof widths[0]; w++) {
                failures += check_prefixes(backend, state, computes[c], &variants[v], widths[w]);
            }
        }
    }
    return failures;
}

static void cached_rows_change_no_bits(void **state) {
    over_backends(prefix_on);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(fused_ops_equal_their_chains),
        cmocka_unit_test(cached_rows_change_no_bits),
    };
    return cmocka_run_group_tests_name("backend fused", tests, NULL, NULL);
}
