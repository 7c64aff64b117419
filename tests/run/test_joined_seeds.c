/* Seeds and handed-over gradients where sequences join a run late: of the request's rows, in the request's order, as of
 * full passes. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/random.h"
#include "run/clean_run.h"
#include "run/engine.h"
#include "run/toy_model.h"

/* after our own headers: cmocka has a macro named fail */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

enum { WIDTH = 24, JOINED = 4, JOIN_OUTPUTS = 6, JOIN_WIDTH = WIDTH };

static Model model;
static const char *backend;

static const int32_t ids_a[] = {3, 14, 15, 9, 26, 5, 35};
static const int32_t ids_b[] = {2, 7, 18, 28};
static const SequenceInput sequences[] = {{.ids = ids_a, .n = 7}, {.ids = ids_b, .n = 4}};

static float reference[2 * JOIN_OUTPUTS * WIDTH], direction[4 * WIDTH];

/* What a sink took, by place in the list of nodes, [rows of the request, width]. */
typedef struct Taken {
    float *grads[2], *values[2];
    const NodeId *nodes;
} Taken;

static Engine *open_engine(const EngineOptions *options) {
    Engine *engine;
    EngineOptions chosen = *options;
    chosen.backend = backend;
    assert_int_equal(engine_new(&engine, &model, &chosen), LIMN_OK);
    return engine;
}

static void run(Engine *engine, const RunRequest *request) {
    if (engine_run(engine, request, NULL) != LIMN_OK) {
        fail_msg("%s", error_message());
    }
}

/* Sequences in another order than that in which they join; each with one edit. */
typedef struct Joins {
    CleanRun *clean;
    SequenceInput sequences[JOINED], whole[JOINED];
    int32_t begin[JOINED], first[JOINED]; /* its first row in its full pass, and among the request's rows */
    Edit edits[JOINED];
    OutputRow outputs[JOIN_OUTPUTS];
    NodeId nodes[2]; /* of the sink */
    Seed seeds[3];
    int32_t asked[JOIN_OUTPUTS]; /* how often each output row was */
} Joins;

static limn_status count_output(void *context, int32_t output, const float *x, int64_t width, double *value,
                                float *gradient) {
    int32_t *asked = context;
    asked[output]++;
    *value = 100.0 * output + (double)x[3];
    for (int64_t i = 0; i < width && gradient != NULL; i++) {
        gradient[i] = i == 3 ? 1.0F : 0.0F;
    }
    return LIMN_OK;
}

static const float join_weights[JOIN_OUTPUTS] = {1.0F, -0.5F, 0.25F, 0.0F, 2.0F, 0.7F};

static void make_joins(Engine *engine, Joins *joins) {
    static const char *const edited[JOINED] = {"blocks.2.hook_attn_out", "blocks.0.hook_mlp_out",
                                               "blocks.1.hook_mlp_out", "blocks.1.hook_resid_mid"};
    static const int32_t layers[JOINED] = {2, -1, 1, -1}, begins[JOINED] = {3, 0, 2, 0};
    int32_t row = 0;
    assert_int_equal(clean_run_new(&joins->clean, engine, &sequences[0], NULL, NULL), LIMN_OK);
    for (int s = 0; s < JOINED; s++) {
        bool joined = layers[s] >= 0;
        Join join = {.clean = joins->clean, .layer = layers[s]};
        joins->whole[s] = s == 1 ? sequences[1] : sequences[0];
        joins->sequences[s] = joined ? clean_run_sequence(joins->clean, join, begins[s], 7) : joins->whole[s];
        joins->begin[s] = begins[s];
        joins->first[s] = row;
        row += joins->sequences[s].n;
        joins->edits[s] = (Edit){.node = graph_find_site(&model.graph, edited[s]),
                                 .kind = s % 2 == 0 ? EDIT_STEER : EDIT_BLEND,
                                 .sequence = s,
                                 .row_end = -1,
                                 .element_end = -1,
                                 .amount = 0.4F,
                                 .values = direction + s};
    }
    const OutputRow rows[JOIN_OUTPUTS] = {{0, 3, 11, 1.0F}, {1, 3, 12, 1.0F}, {2, 4, 13, 1.0F},
                                          {3, 6, 14, 1.0F}, {2, 1, 15, 1.0F}, {0, 0, 16, 1.0F}};
    memcpy(joins->outputs, rows, sizeof rows);
    joins->nodes[0] = graph_find_site(&model.graph, "blocks.2.hook_resid_post");
    joins->nodes[1] = graph_find_site(&model.graph, "blocks.1.hook_attn_out");
    joins->seeds[0] = (Seed){.node = model.graph.logits, .kind = SEED_LOG_ODDS, .weights = join_weights};
    joins->seeds[1] = (Seed){.node = graph_find_site(&model.graph, "blocks.2.hook_resid_mid"),
                             .kind = SEED_LINEAR,
                             .values = reference,
                             .row_stride = 3};
    joins->seeds[2] = (Seed){.node = graph_find_site(&model.graph, "blocks.1.hook_attn_out"),
                             .kind = SEED_CALLBACK,
                             .function = count_output,
                             .context = joins->asked};
}

static limn_status take_joined(void *context, NodeId node, int32_t row_begin, int32_t n_rows, int64_t width,
                               const float *value, const float *gradient) {
    Taken *taken = context;
    int which = node == taken->nodes[0] ? 0 : 1;
    assert_int_equal(width, JOIN_WIDTH);
    memcpy(taken->grads[which] + row_begin * width, gradient, sizeof(float) * (size_t)(n_rows * width));
    memcpy(taken->values[which] + row_begin * width, value, sizeof(float) * (size_t)(n_rows * width));
    return LIMN_OK;
}

static void ask_joins(Engine *engine, const RunRequest *base, Joins *joins, Taken *taken) {
    GradientSink sink = {.nodes = joins->nodes, .n = 2, .with_values = true, .function = take_joined, .context = taken};
    taken->nodes = joins->nodes;
    for (int i = 0; i < 2; i++) {
        taken->grads[i] = calloc(32 * JOIN_WIDTH, sizeof(float));
        taken->values[i] = calloc(32 * JOIN_WIDTH, sizeof(float));
    }
    RunRequest request = *base;
    request.seeds = joins->seeds;
    request.n_seeds = 3;
    request.sink = &sink;
    run(engine, &request);
}

static void free_taken(Taken *taken) {
    for (int i = 0; i < 2; i++) {
        free(taken->grads[i]);
        free(taken->values[i]);
    }
}

/* One sequence alone from its tokens: what the joined run must have said of it. */
static double check_alone(Engine *engine, const Joins *joins, int s, float found[3][JOIN_OUTPUTS],
                          const Taken *together) {
    Joins alone = *joins;
    OutputRow rows[JOIN_OUTPUTS];
    int32_t numbers[JOIN_OUTPUTS], n = 0;
    float weights[JOIN_OUTPUTS];
    static float own_values[JOIN_OUTPUTS * WIDTH];
    for (int32_t o = 0; o < JOIN_OUTPUTS; o++) {
        if (joins->outputs[o].sequence == s) {
            rows[n] = joins->outputs[o];
            rows[n].sequence = 0;
            rows[n].row += joins->begin[s];
            weights[n] = join_weights[o];
            memcpy(own_values + n * WIDTH, reference + 3 * o, sizeof(float) * WIDTH);
            numbers[n++] = o;
        }
    }
    Edit edit = joins->edits[s];
    edit.sequence = 0;
    edit.row_begin = joins->begin[s];
    alone.seeds[0].weights = weights;
    alone.seeds[1].values = own_values;
    alone.seeds[1].row_stride = WIDTH;
    alone.seeds[2].context = alone.asked;
    RunRequest request = {
        .sequences = &joins->whole[s], .n_sequences = 1, .outputs = rows, .n_outputs = n, .edits = &edit, .n_edits = 1};
    Taken taken = {0};
    ask_joins(engine, &request, &alone, &taken);
    double total = engine_total(engine);
    for (int32_t i = 0; i < n; i++) {
        for (int seed = 0; seed < 3; seed++) {
            bool there = seed != 2 || s != 0; /* the first sequence joins behind that site */
            float moved = seed == 2 ? 100.0F * (float)(numbers[i] - i) : 0.0F;
            float expected = engine_seed(engine, seed)[i] + moved, got = found[seed][numbers[i]];
            assert_true(there ? fabsf(got - expected) <= 1e-5F * (1.0F + fabsf(expected)) : isnan(got));
            total -= !there ? (double)(engine_seed(engine, seed)[i] * rows[i].weight) : 0.0;
            total += there ? (double)(moved * rows[i].weight) : 0.0;
        }
    }
    for (int which = 0; which < 2; which++) {
        for (int64_t e = 0; e < joins->sequences[s].n * WIDTH && (which == 0 || s != 0); e++) {
            int64_t here = joins->first[s] * WIDTH + e, there = joins->begin[s] * WIDTH + e;
            assert_true(together->values[which][here] == taken.values[which][there]);
            assert_true(fabsf(together->grads[which][here] - taken.grads[which][there]) <= 2e-5F);
        }
    }
    free_taken(&taken);
    return total;
}

/* Seeds and gradients of rows that join come back in the request's order, as of full passes. */
static void rows_that_join_are_judged_alike(void **state) {
    (void)state;
    for (int keep = KEEP_EVERYTHING; keep <= KEEP_LAYER_INPUTS; keep++) {
        Engine *engine = open_engine(&(EngineOptions){.keep = (KeepPolicy)keep, .chunk_rows = 3});
        Joins joins = {0};
        make_joins(engine, &joins);
        RunRequest request = {.sequences = joins.sequences,
                              .n_sequences = JOINED,
                              .outputs = joins.outputs,
                              .n_outputs = JOIN_OUTPUTS,
                              .edits = joins.edits,
                              .n_edits = JOINED};
        Taken together = {0};
        ask_joins(engine, &request, &joins, &together);
        float found[3][JOIN_OUTPUTS];
        for (int seed = 0; seed < 3; seed++) {
            memcpy(found[seed], engine_seed(engine, seed), sizeof found[seed]);
        }
        double total = engine_total(engine), sum = 0.0;
        for (int32_t o = 0; o < JOIN_OUTPUTS; o++) { /* forward and backward; not those that are not there */
            assert_int_equal(joins.asked[o], joins.outputs[o].sequence == 0 ? 0 : 2);
        }
        for (int s = 0; s < JOINED; s++) {
            sum += check_alone(engine, &joins, s, found, &together);
        }
        assert_true(fabs(total - sum) <= 1e-4 * (1.0 + fabs(total)));
        free_taken(&together);
        /* a copy of what lies before the join cannot be made of rows that join */
        request.logits = true;
        joins.edits[0].kind = EDIT_COPY;
        joins.edits[0].source = graph_find_site(&model.graph, "blocks.1.hook_mlp_out");
        assert_int_equal(engine_run(engine, &request, NULL), LIMN_USAGE);
        assert_non_null(strstr(error_message(), "joins the run behind what it copies"));
        joins.edits[0].source = graph_find_site(&model.graph, "blocks.2.ln1.hook_normalized");
        run(engine, &request);
        clean_run_free(joins.clean);
        engine_free(engine);
    }
}

static int setup(void **state) {
    (void)state;
    Random random;
    random_seed(&random, 31);
    for (size_t i = 0; i < sizeof reference / sizeof reference[0]; i++) {
        reference[i] = (float)random_normal(&random);
    }
    for (size_t i = 0; i < sizeof direction / sizeof direction[0]; i++) {
        direction[i] = (float)random_normal(&random);
    }
    ToyOptions options = TOY_DEFAULTS;
    return toy_build(&model, &options) == LIMN_OK ? 0 : -1;
}

static int teardown(void **state) {
    (void)state;
    toy_free(&model);
    return 0;
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(rows_that_join_are_judged_alike)};
    static const char *const backends[] = {"ref", "cpu"};
    int failed = 0;
    for (size_t i = 0; i < sizeof backends / sizeof backends[0]; i++) {
        backend = backends[i];
        if (backend_find(backend) != NULL) {
            failed += cmocka_run_group_tests_name(backend, tests, setup, teardown);
        }
    }
    return failed;
}
