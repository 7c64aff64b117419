/* A value that the run brings is as good as one that was computed: same bits behind it, nothing computed before it, and
 * gradients end at it. Random sites of every golden model and backend; difference quotients on a small model. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "run/any_model.h"
#include "run/toy_model.h"

/* after our own headers: cmocka has a macro named fail */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

static float *copy_of(const float *values, int64_t n) {
    assert_non_null(values);
    float *copy = malloc((size_t)n * sizeof *copy);
    assert_non_null(copy);
    memcpy(copy, values, (size_t)n * sizeof *copy);
    return copy;
}

/* What is asked of a model with and without a given value: logits, or the last hidden state. */
static RunRequest wanted(const AnyModel *m, const NodeId *site) {
    RunRequest request = golden_case_request(&m->golden);
    request.taps = m->golden.bare ? &m->golden.model->graph.final : NULL;
    request.n_taps = m->golden.bare ? 1 : 0;
    request.editable = site; /* observed both ways, so that the same chains run in pieces */
    request.n_editable = 1;
    return request;
}

static const float *result(const AnyModel *m, int64_t *n) {
    const Graph *graph = &m->golden.model->graph;
    if (!m->golden.bare) {
        *n = m->golden.n_outputs * row_shape_width(&graph->nodes[graph->logits].op.out, 1);
        return engine_logits(m->engine);
    }
    int32_t rows;
    int64_t width;
    const float *tap = engine_tap(m->engine, graph->final, &rows, &width);
    *n = rows * width;
    return tap;
}

/* A site's own value, given: the answer has the same bits and costs no more, at the streams far less. */
static void check_site(AnyModel *m, NodeId site) {
    const char *name = m->golden.model->graph.nodes[site].site;
    RunRequest request = wanted(m, &site), tapping = request;
    NodeId taps[2] = {site, m->golden.model->graph.final};
    tapping.taps = taps;
    tapping.n_taps = m->golden.bare ? 2 : 1;
    any_model_good(m, engine_run(m->engine, &tapping, NULL));
    int32_t rows;
    int64_t width, n;
    const float *tap = engine_tap(m->engine, site, &rows, &width);
    Given given = {site, copy_of(tap, rows * width)};
    const float *answer = result(m, &n);
    float *expected = copy_of(answer, n);
    RunEstimate computed, brought;
    any_model_good(m, engine_estimate(m->engine, &request, &computed));
    request.givens = &given;
    request.n_givens = 1;
    limn_status status = engine_run(m->engine, &request, NULL);
    if (status == LIMN_USAGE && strstr(error_message(), "nothing that is asked for reads it") != NULL) {
        goto done; /* behind what was asked: a head's own sites in a bare model */
    }
    any_model_good(m, status);
    answer = result(m, &n);
    if (memcmp(expected, answer, (size_t)n * sizeof(float)) != 0) {
        fail_msg("%s, %s: with %s given the answer is off by %g", m->backend, m->golden.folder, name,
                 any_distance(answer, expected, n));
    }
    any_model_good(m, engine_estimate(m->engine, &request, &brought));
    assert_true(brought.flops <= computed.flops);
    assert_true(strstr(name, "blocks.1.hook_resid_pre") == NULL || brought.row_layers < 0.8 * computed.row_layers);
done:
    free(expected);
    free((void *)(uintptr_t)given.values);
}

static void check_model(AnyModel *m) {
    NodeId stream = graph_find_site(&m->golden.model->graph, "blocks.1.hook_resid_pre");
    assert_int_not_equal(stream, NODE_NONE);
    check_site(m, stream);
    for (int i = 0; i < 6; i++) {
        check_site(m, m->sites[any_below(m, m->n_sites)]);
    }
}

static void test_a_given_value_is_a_computed_one(void **state) {
    any_model_each(&(EngineOptions){.chunk_rows = 5}, 7, check_model);
}

/* ---- on a small model ---- */

static Model model;
static const char *backend;

static const int32_t ids_a[] = {3, 14, 15, 9, 26, 5, 35};
static const int32_t ids_b[] = {2, 7, 18, 28};
static const SequenceInput two_sequences[] = {{.ids = ids_a, .n = 7}, {.ids = ids_b, .n = 4}};
static const OutputRow outputs[] = {{1, 3, 12, 0.5f}, {0, 6, 11, 1.0f}, {0, 2, 3, 2.0f}};
enum { ROWS = 11, OUTPUTS = 3 };

static NodeId site(const char *name) {
    NodeId node = graph_find_site(&model.graph, name);
    assert_true(node != NODE_NONE);
    return node;
}

static Engine *open_engine(const EngineOptions *options) {
    Engine *engine;
    EngineOptions chosen = options == NULL ? (EngineOptions){0} : *options;
    chosen.backend = backend;
    assert_int_equal(engine_new(&engine, &model, &chosen), LIMN_OK);
    return engine;
}

static void run(Engine *engine, const RunRequest *request) {
    if (engine_run(engine, request, NULL) != LIMN_OK) {
        fail_msg("%s", error_message());
    }
}

static RunRequest request_of(const Given *given) {
    return (RunRequest){.sequences = two_sequences,
                        .n_sequences = 2,
                        .outputs = outputs,
                        .n_outputs = OUTPUTS,
                        .givens = given,
                        .n_givens = 1,
                        .objective = OBJECTIVE_LOG_PROB};
}

static double objective_of(Engine *engine, const RunRequest *request) {
    run(engine, request);
    const float *objective = engine_objective(engine);
    double sum = 0;
    for (int i = 0; i < OUTPUTS; i++) {
        sum += (double)outputs[i].weight * (double)objective[i];
    }
    return sum;
}

/* The gradient at a given value is the difference quotient of the answer by it; before it, there is none. */
static void check_gradient(const char *name, const char *below, KeepPolicy keep) {
    Engine *engine = open_engine(&(EngineOptions){.keep = keep, .chunk_rows = 4});
    NodeId nodes[] = {site(name), site(below)};
    RunRequest plain = request_of(NULL);
    plain.n_givens = 0;
    plain.taps = nodes;
    plain.n_taps = 1;
    run(engine, &plain);
    int32_t rows;
    int64_t width;
    const float *tap = engine_tap(engine, nodes[0], &rows, &width);
    float *values = copy_of(tap, rows * width);
    Given given = {nodes[0], values};
    RunRequest request = request_of(&given);
    request.grads = nodes;
    request.n_grads = 2;
    run(engine, &request);
    const float *none = engine_grad(engine, nodes[1], &rows, &width);
    for (int64_t i = 0; i < rows * width; i++) {
        assert_true(none[i] == 0);
    }
    const float *grad = engine_grad(engine, nodes[0], &rows, &width);
    float *claimed = copy_of(grad, rows * width);
    request.n_grads = 0;
    int64_t size = rows * width;
    for (int64_t i = 3; i < size; i += size / 7) {
        float before = values[i], step = 4e-3f;
        values[i] = before + step;
        double above = objective_of(engine, &request);
        values[i] = before - step;
        double seen = (above - objective_of(engine, &request)) / (2.0 * (double)step);
        values[i] = before;
        if (fabs(seen - (double)claimed[i]) > 2e-3 + 2e-2 * fabs(seen)) {
            fail_msg("%s, %s, value %lld: gradient %g, finite difference %g", backend, name, (long long)i,
                     (double)claimed[i], seen);
        }
    }
    free(values);
    free(claimed);
    engine_free(engine);
}

static void test_gradients_end_at_given_values(void **state) {
    static const char *const sites[][2] = {/* and one that only feeds it */
                                           {"blocks.1.hook_resid_pre", "hook_embed"},
                                           {"blocks.1.hook_resid_pre", "blocks.0.attn.hook_v"},
                                           {"blocks.1.attn.hook_z", "blocks.1.attn.hook_q"},
                                           {"blocks.2.hook_mlp_out", "blocks.2.mlp.hook_post"},
                                           {"blocks.1.attn.hook_rot_k", "blocks.1.attn.hook_k"},
                                           {"ln_final.hook_normalized", "blocks.2.hook_resid_post"}};
    for (size_t i = 0; i < sizeof sites / sizeof sites[0]; i++) {
        check_gradient(sites[i][0], sites[i][1], KEEP_EVERYTHING);
        check_gradient(sites[i][0], sites[i][1], KEEP_LAYER_INPUTS);
    }
}

/* A run of some layers: from one stream to another; caches get the keys of its own layers. */
static void test_a_slice_of_layers(void **state) {
    Engine *engine = open_engine(NULL);
    NodeId streams[] = {site("blocks.1.hook_resid_pre"), site("blocks.2.hook_resid_pre")};
    SequenceInput input = {.ids = ids_a, .n = 7};
    KvCache *whole, *part;
    assert_int_equal(kv_cache_new(&whole, &model, 7), LIMN_OK);
    assert_int_equal(kv_cache_new(&part, &model, 7), LIMN_OK);
    RunRequest request = {.sequences = &input, .n_sequences = 1, .taps = streams, .n_taps = 2, .append = whole};
    run(engine, &request);
    int32_t rows;
    int64_t width;
    float *first = copy_of(engine_tap(engine, streams[0], &rows, &width), 7 * 24);
    float *second = copy_of(engine_tap(engine, streams[1], &rows, &width), 7 * 24);
    Given given = {streams[0], first};
    for (int l = 0; l < 3; l++) {
        memset(part->keys[l], 0xFF, 7 * (size_t)part->width * sizeof(float));
    }
    request = (RunRequest){.sequences = &input,
                           .n_sequences = 1,
                           .taps = &streams[1],
                           .n_taps = 1,
                           .givens = &given,
                           .n_givens = 1,
                           .append = part};
    run(engine, &request);
    assert_memory_equal(second, engine_tap(engine, streams[1], &rows, &width), 7 * 24 * sizeof(float));
    assert_int_equal(part->length, 7);
    assert_memory_equal(part->keys[1], whole->keys[1], 7 * (size_t)part->width * sizeof(float));
    assert_memory_equal(part->values[1], whole->values[1], 7 * (size_t)part->width * sizeof(float));
    assert_true(isnan(part->keys[0][0]) && isnan(part->keys[2][0])); /* layers that did not run */
    kv_cache_free(whole);
    kv_cache_free(part);
    free(first);
    free(second);
    engine_free(engine);
}

/* Edits act on a given value as on a computed one. */
static void test_edits_act_on_given_values(void **state) {
    Engine *engine = open_engine(NULL);
    NodeId node = site("blocks.1.hook_mlp_out");
    float three = 3, values[ROWS * 24];
    for (int i = 0; i < ROWS * 24; i++) {
        values[i] = (float)i;
    }
    Given given = {node, values};
    Edit edit = {.node = node,
                 .kind = EDIT_MULTIPLY,
                 .sequence = 1,
                 .row_begin = 1,
                 .row_end = 2,
                 .element_end = -1,
                 .values = &three,
                 .scalar = true};
    RunRequest request = request_of(&given);
    request.edits = &edit;
    request.n_edits = 1;
    request.taps = &node;
    request.n_taps = 1;
    run(engine, &request);
    int32_t rows;
    int64_t width;
    const float *tap = engine_tap(engine, node, &rows, &width);
    for (int i = 0; i < ROWS * 24; i++) {
        assert_true(tap[i] == values[i] * (i / 24 == 8 ? 3.0f : 1.0f));
    }
    engine_free(engine);
}

static void test_bad_givens_are_refused(void **state) {
    Engine *engine = open_engine(NULL);
    float values[ROWS * 24] = {0};
    Given given = {model.graph.n_nodes, values};
    RunRequest request = request_of(&given);
    assert_int_equal(engine_run(engine, &request, NULL), LIMN_NOT_FOUND);
    given.node = model.graph.selected; /* has no name */
    assert_int_equal(engine_run(engine, &request, NULL), LIMN_NOT_FOUND);
    given = (Given){site("blocks.1.hook_mlp_out"), NULL};
    assert_int_equal(engine_run(engine, &request, NULL), LIMN_INTERNAL);
    NodeId early = site("blocks.0.hook_attn_out");
    given = (Given){site("blocks.1.hook_mlp_out"), values};
    request = (RunRequest){
        .sequences = two_sequences, .n_sequences = 2, .taps = &early, .n_taps = 1, .givens = &given, .n_givens = 1};
    assert_int_equal(engine_run(engine, &request, NULL), LIMN_USAGE);
    assert_non_null(strstr(error_message(), "blocks.1.hook_mlp_out is given, but nothing"));
    engine_free(engine);
}

static int setup(void **state) {
    ToyOptions options = TOY_DEFAULTS;
    return toy_build(&model, &options) == LIMN_OK ? 0 : -1;
}

static int teardown(void **state) {
    toy_free(&model);
    return 0;
}

int main(void) {
    const struct CMUnitTest all[] = {cmocka_unit_test(test_a_given_value_is_a_computed_one)};
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_gradients_end_at_given_values),
        cmocka_unit_test(test_a_slice_of_layers),
        cmocka_unit_test(test_edits_act_on_given_values),
        cmocka_unit_test(test_bad_givens_are_refused),
    };
    int failed = cmocka_run_group_tests(all, NULL, NULL);
    for (const char *const *name = golden_backends; *name != NULL; name++) {
        backend = *name;
        failed += cmocka_run_group_tests_name(backend, tests, setup, teardown);
    }
    return failed;
}
