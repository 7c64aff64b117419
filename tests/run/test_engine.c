/* The engine's promises, on a small random model: whatever is fused, narrowed, kept, recomputed, chunked or cached,
 * the answer is the same; gradients are those of finite differences; edits act where they say. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/amount.h"
#include "run/engine.h"
#include "run/toy_model.h"

/* after our own headers: cmocka has a macro named fail */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

static Model model;

static const int32_t ids_a[] = {3, 14, 15, 9, 26, 5, 35};
static const int32_t ids_b[] = {2, 7, 18, 28};

static const char *backend; /* under test */

static Engine *open_engine(const EngineOptions *options) {
    Engine *engine;
    EngineOptions chosen = options == NULL ? (EngineOptions){0} : *options;
    chosen.backend = backend;
    assert_int_equal(engine_new(&engine, &model, &chosen), LIMN_OK);
    return engine;
}

static void run(Engine *engine, const RunRequest *request) {
    limn_status status = engine_run(engine, request, NULL);
    if (status != LIMN_OK) {
        fail_msg("%s", error_message());
    }
}

static NodeId site(const char *name) {
    NodeId node = graph_find_site(&model.graph, name);
    assert_true(node != NODE_NONE);
    return node;
}

static double largest_difference(const float *a, const float *b, int64_t n) {
    double largest = 0.0;
    for (int64_t i = 0; i < n; i++) {
        double difference = fabs((double)a[i] - (double)b[i]);
        if (isnan(difference)) {
            return INFINITY;
        }
        largest = difference > largest ? difference : largest;
    }
    return largest;
}

static double largest_magnitude(const float *values, int64_t n) {
    double largest = 0.0;
    for (int64_t i = 0; i < n; i++) {
        largest = fmax(largest, fabs((double)values[i]));
    }
    return largest;
}

static float *copy_of(const float *values, int64_t n) {
    assert_non_null(values);
    float *copy = malloc((size_t)n * sizeof *copy);
    assert_non_null(copy);
    memcpy(copy, values, (size_t)n * sizeof *copy);
    return copy;
}

/* Two sequences of unequal length, a target at the end of each. */
static const SequenceInput two_sequences[] = {{.ids = ids_a, .n = 7}, {.ids = ids_b, .n = 4}};
static const OutputRow two_outputs[] = {{0, 6, 11, 1.0f}, {1, 3, 12, 0.5f}};

static RunRequest base_request(void) {
    return (RunRequest){.sequences = two_sequences,
                        .n_sequences = 2,
                        .outputs = two_outputs,
                        .n_outputs = 2,
                        .objective = OBJECTIVE_LOG_PROB,
                        .logits = true};
}

static void test_rows_do_not_mix(void **state) {
    Engine *engine = open_engine(NULL);
    RunRequest both = base_request();
    run(engine, &both);
    float *together = copy_of(engine_logits(engine), 2 * 50);
    for (int32_t s = 0; s < 2; s++) {
        OutputRow output = two_outputs[s];
        output.sequence = 0;
        RunRequest alone = both;
        alone.sequences = &two_sequences[s];
        alone.n_sequences = 1;
        alone.outputs = &output;
        alone.n_outputs = 1;
        run(engine, &alone);
        assert_true(largest_difference(together + s * 50, engine_logits(engine), 50) < 1e-5);
    }
    free(together);
    engine_free(engine);
}

/* Tapping a value forbids fusing and narrowing what makes it; the logits may not notice. */
static void test_taps_change_nothing(void **state) {
    Engine *engine = open_engine(NULL);
    RunRequest request = base_request();
    run(engine, &request);
    float *plain = copy_of(engine_logits(engine), 2 * 50);
    for (int32_t i = 0; i < model.graph.n_sites; i++) {
        request.taps = &model.graph.site_list[i].node;
        request.n_taps = 1;
        run(engine, &request);
        double difference = largest_difference(plain, engine_logits(engine), 2 * 50);
        if (difference > 2e-5) {
            fail_msg("tapping %s moves the logits by %g", model.graph.site_list[i].name, difference);
        }
        int32_t rows;
        int64_t width;
        assert_non_null(engine_tap(engine, request.taps[0], &rows, &width));
        assert_int_equal(rows, 11);
    }
    free(plain);
    engine_free(engine);
}

static double weighted_objective(Engine *engine) {
    const float *objective = engine_objective(engine);
    return (double)objective[0] + 0.5 * (double)objective[1];
}

/* d(objective)/d(site) against a small push of one element of the site, both ways. */
static void check_gradient(Engine *engine, const char *name, int32_t row, int64_t element, KeepPolicy keep) {
    NodeId node = site(name);
    RunRequest request = base_request();
    request.grads = &node;
    request.n_grads = 1;
    run(engine, &request);
    int32_t rows;
    int64_t width;
    const float *grad = engine_grad(engine, node, &rows, &width);
    assert_non_null(grad);
    double claimed = grad[row * width + element];
    double values[2];
    const float step = 4e-3f;
    for (int side = 0; side < 2; side++) {
        float push = side == 0 ? step : -step;
        Edit edit = {.node = node,
                     .kind = EDIT_ADD,
                     .sequence = 0,
                     .row_begin = row,
                     .row_end = row + 1,
                     .element_begin = element,
                     .element_end = element + 1,
                     .values = &push};
        RunRequest pushed = base_request();
        pushed.edits = &edit;
        pushed.n_edits = 1;
        run(engine, &pushed);
        values[side] = weighted_objective(engine);
    }
    double seen = (values[0] - values[1]) / (2.0 * (double)step);
    if (fabs(seen - claimed) > 2e-3 + 2e-2 * fabs(seen)) {
        fail_msg("%s[%d, %lld], policy %d: gradient %g, finite difference %g", name, row, (long long)element, (int)keep,
                 claimed, seen);
    }
}

static void test_gradients_are_finite_differences(void **state) {
    static const char *const sites[] = {"hook_embed",
                                        "blocks.0.ln1.hook_scale",
                                        "blocks.0.ln1.hook_normalized",
                                        "blocks.0.attn.hook_q",
                                        "blocks.1.attn.hook_k",
                                        "blocks.1.attn.hook_v",
                                        "blocks.1.attn.hook_rot_q",
                                        "blocks.1.attn.hook_rot_k",
                                        "blocks.1.attn.hook_z",
                                        "blocks.0.hook_attn_out",
                                        "blocks.2.hook_resid_mid",
                                        "blocks.2.hook_mlp_out",
                                        "blocks.1.mlp.hook_pre",
                                        "blocks.1.mlp.hook_pre_linear",
                                        "blocks.2.mlp.hook_post",
                                        "blocks.1.hook_resid_post",
                                        "blocks.1.attn.hook_result",
                                        "blocks.0.attn.hook_pattern",
                                        "ln_final.hook_normalized"};
    for (int keep = KEEP_EVERYTHING; keep <= KEEP_LAYER_INPUTS; keep++) {
        EngineOptions options = {.keep = (KeepPolicy)keep, .chunk_rows = 4};
        Engine *engine = open_engine(&options);
        for (size_t i = 0; i < sizeof sites / sizeof sites[0]; i++) {
            /* the last row of the first sequence: alive in every layer; key 0 is visible to all */
            check_gradient(engine, sites[i], 6, 0, (KeepPolicy)keep);
        }
        engine_free(engine);
    }
}

/* Many sites at once share gradient values inside the program; none may spoil another. */
static void test_all_gradients_at_once(void **state) {
    int32_t n = model.graph.n_sites;
    NodeId *nodes = calloc((size_t)n, sizeof *nodes);
    for (int32_t i = 0; i < n; i++) {
        nodes[i] = model.graph.site_list[i].node;
    }
    for (int keep = KEEP_EVERYTHING; keep <= KEEP_LAYER_INPUTS; keep++) {
        EngineOptions options = {.keep = (KeepPolicy)keep, .chunk_rows = 3};
        Engine *all = open_engine(&options);
        Engine *one = open_engine(NULL);
        RunRequest request = base_request();
        request.grads = nodes;
        request.n_grads = n;
        run(all, &request);
        for (int32_t i = 0; i < n; i++) {
            request.grads = &nodes[i];
            request.n_grads = 1;
            run(one, &request);
            int32_t rows;
            int64_t width;
            const float *expected = engine_grad(one, nodes[i], &rows, &width);
            const float *found = engine_grad(all, nodes[i], &rows, &width);
            double difference = largest_difference(expected, found, rows * width);
            if (difference > 2e-5 * fmax(1.0, largest_magnitude(expected, rows * width))) {
                fail_msg("%s: gradients differ by %g when asked for together", model.graph.site_list[i].name,
                         difference);
            }
        }
        engine_free(all);
        engine_free(one);
    }
    free(nodes);
}

static void test_chunks_and_policies_agree_bit_for_bit(void **state) {
    NodeId embed = model.graph.embed;
    float *reference = NULL;
    for (int32_t chunk = 1; chunk <= 16; chunk *= 2) {
        for (int keep = KEEP_EVERYTHING; keep <= KEEP_LAYER_INPUTS; keep++) {
            EngineOptions options = {.keep = (KeepPolicy)keep, .chunk_rows = chunk};
            Engine *engine = open_engine(&options);
            RunRequest request = base_request();
            request.grads = &embed;
            request.n_grads = 1;
            run(engine, &request);
            int32_t rows;
            int64_t width;
            const float *grad = engine_grad(engine, embed, &rows, &width);
            if (reference == NULL) {
                reference = copy_of(grad, rows * width);
            }
            if (memcmp(reference, grad, (size_t)(rows * width) * sizeof(float)) != 0) {
                fail_msg("chunk %d, policy %d: gradients differ by %g", chunk, keep,
                         largest_difference(reference, grad, rows * width));
            }
            engine_free(engine);
        }
    }
    free(reference);
}

/* Weights used again and again are kept in another layout: not a bit may change. */
static void test_the_same_run_again_gives_the_same_bits(void **state) {
    Engine *engine = open_engine(NULL);
    RunRequest request = base_request();
    request.grads = &model.graph.embed;
    request.n_grads = 1;
    run(engine, &request);
    int32_t rows;
    int64_t width;
    float *logits = copy_of(engine_logits(engine), 2 * 50);
    float *grad = copy_of(engine_grad(engine, model.graph.embed, &rows, &width), 11 * 24);
    for (int again = 0; again < 6; again++) {
        run(engine, &request);
        assert_memory_equal(logits, engine_logits(engine), 2 * 50 * sizeof(float));
        assert_memory_equal(grad, engine_grad(engine, model.graph.embed, &rows, &width), 11 * 24 * sizeof(float));
    }
    free(logits);
    free(grad);
    engine_free(engine);
}

static void test_cached_prefix_is_the_full_pass(void **state) {
    Engine *engine = open_engine(NULL);
    OutputRow output = {0, 6, 11, 1.0f};
    SequenceInput whole = {.ids = ids_a, .n = 7};
    RunRequest request = {.sequences = &whole,
                          .n_sequences = 1,
                          .outputs = &output,
                          .n_outputs = 1,
                          .objective = OBJECTIVE_LOG_PROB,
                          .logits = true};
    run(engine, &request);
    float *full = copy_of(engine_logits(engine), 50);
    KvCache *cache;
    assert_int_equal(kv_cache_new(&cache, &model, 16), LIMN_OK);
    SequenceInput head = {.ids = ids_a, .n = 4};
    RunRequest fill = {.sequences = &head, .n_sequences = 1, .append = cache};
    run(engine, &fill);
    assert_int_equal(cache->length, 4);
    SequenceInput tail = {.ids = ids_a + 4, .n = 3, .prefix = cache, .prefix_length = 4};
    output.row = 2;
    request.sequences = &tail;
    run(engine, &request);
    assert_true(largest_difference(full, engine_logits(engine), 50) < 1e-5);
    kv_cache_free(cache);
    free(full);
    engine_free(engine);
}

/* One run fills a cache for each of its sequences but one, behind a head that both share; each then goes on as in a
 * full pass, and a cache that does not follow its prefix is refused. */
static void test_caches_of_several_sequences(void **state) {
    Engine *engine = open_engine(NULL);
    KvCache *head, *caches[3] = {NULL};
    assert_int_equal(kv_cache_new(&head, &model, 2), LIMN_OK);
    SequenceInput first = {.ids = ids_a, .n = 2};
    RunRequest fill = {.sequences = &first, .n_sequences = 1, .append = head};
    run(engine, &fill);
    const int32_t other[7] = {ids_a[0], ids_a[1], 9, 8, 7, 6, 5};
    const int32_t *texts[2] = {ids_a, other};
    const int32_t lengths[2] = {4, 6}; /* of what is cached; both texts have 7 tokens */
    SequenceInput sequences[3];
    for (int s = 0; s < 2; s++) {
        assert_int_equal(kv_cache_new(&caches[s == 0 ? 0 : 2], &model, 7), LIMN_OK);
        assert_int_equal(kv_cache_copy(caches[s == 0 ? 0 : 2], head, 2), LIMN_OK);
        sequences[s == 0 ? 0 : 2] =
            (SequenceInput){.ids = texts[s] + 2, .n = lengths[s] - 2, .prefix = head, .prefix_length = 2};
    }
    sequences[1] = (SequenceInput){.ids = ids_a, .n = 3};
    RunRequest request = {.sequences = sequences, .n_sequences = 3, .appends = caches};
    run(engine, &request);
    assert_int_equal(caches[0]->length, 4);
    assert_int_equal(caches[2]->length, 6);
    for (int s = 0; s < 2; s++) {
        SequenceInput whole = {.ids = texts[s], .n = 7};
        SequenceInput tail = {.ids = texts[s] + lengths[s],
                              .n = 7 - lengths[s],
                              .prefix = caches[s == 0 ? 0 : 2],
                              .prefix_length = lengths[s]};
        OutputRow output = {.row = 6, .target = -1};
        RunRequest full = {.sequences = &whole, .n_sequences = 1, .outputs = &output, .n_outputs = 1, .logits = true};
        run(engine, &full);
        float *expected = copy_of(engine_logits(engine), 50);
        output.row = tail.n - 1;
        full.sequences = &tail;
        run(engine, &full);
        assert_true(largest_difference(expected, engine_logits(engine), 50) < 1e-5);
        free(expected);
    }
    assert_int_equal(engine_run(engine, &request, NULL), LIMN_INTERNAL); /* they are longer than the prefix now */
    kv_cache_free(head);
    kv_cache_free(caches[0]);
    kv_cache_free(caches[2]);
    engine_free(engine);
}

static void test_edit_sets_what_is_read_later(void **state) {
    Engine *engine = open_engine(NULL);
    NodeId z = site("blocks.1.attn.hook_z");
    float zero = 0.0f;
    Edit edit = {.node = z,
                 .kind = EDIT_SET,
                 .sequence = 0,
                 .row_begin = 6,
                 .row_end = 7,
                 .element_begin = 6,
                 .element_end = 12,
                 .values = &zero,
                 .scalar = true};
    RunRequest request = base_request();
    run(engine, &request);
    float *before = copy_of(engine_logits(engine), 100);
    request.edits = &edit;
    request.n_edits = 1;
    request.taps = &z;
    request.n_taps = 1;
    run(engine, &request);
    int32_t rows;
    int64_t width;
    const float *tap = engine_tap(engine, z, &rows, &width);
    for (int e = 0; e < 24; e++) {
        bool cleared = e >= 6 && e < 12;
        assert_int_equal(tap[6 * width + e] == 0.0f, cleared);
        assert_true(tap[5 * width + e] != 0.0f);
    }
    assert_true(largest_difference(before, engine_logits(engine), 50) > 1e-3);
    assert_true(largest_difference(before + 50, engine_logits(engine) + 50, 50) < 1e-6);
    free(before);
    engine_free(engine);
}

/* Edits of one site that meet in a row act one after the other as they were given, whether they name the row's sequence
 * or all of them; rows of the other sequence see only theirs. */
static void test_edits_act_in_the_order_given(void **state) {
    Engine *engine = open_engine(NULL);
    NodeId nodes[] = {site("blocks.1.hook_resid_pre"), site("blocks.0.hook_mlp_out")};
    const float two = 2, three = 3, ten = 10, half = 0.5f;
    const Edit edits[] = {
        {.node = nodes[0], .kind = EDIT_SET, .sequence = 1, .row_end = 2, .element_end = -1, .values = &two},
        {.node = nodes[0], .kind = EDIT_ADD, .sequence = -1, .row_end = -1, .element_end = -1, .values = &three},
        {.node = nodes[1], .kind = EDIT_SET, .sequence = -1, .row_end = -1, .element_end = -1, .values = &half},
        {.node = nodes[0], .kind = EDIT_MULTIPLY, .sequence = 1, .row_end = -1, .element_end = -1, .values = &ten},
        {.node = nodes[0],
         .kind = EDIT_SET,
         .sequence = 0,
         .row_begin = 6,
         .row_end = -1,
         .element_end = -1,
         .values = &half},
        {.node = nodes[0],
         .kind = EDIT_ADD,
         .sequence = -1,
         .row_begin = 1,
         .row_end = 7,
         .element_end = -1,
         .values = &two},
    };
    Edit scalars[6];
    for (int i = 0; i < 6; i++) {
        scalars[i] = edits[i];
        scalars[i].scalar = true;
    }
    RunRequest request = base_request();
    request.edits = scalars;
    request.n_edits = 6;
    request.taps = nodes;
    request.n_taps = 2;
    run(engine, &request);
    int32_t rows;
    int64_t width;
    const float *tap = engine_tap(engine, nodes[0], &rows, &width);
    assert_float_equal(tap[6 * width + 3], 2.5, 0); /* set to a half, then two added */
    assert_float_equal(tap[7 * width + 3], 50, 0);  /* (2 + 3) * 10 */
    assert_float_equal(tap[8 * width + 3], 52, 0);  /* and two added */
    assert_float_equal(engine_tap(engine, nodes[1], &rows, &width)[10 * width], 0.5, 0);
    /* the derivative of each row is the product of what multiplied it; a value that was set passes nothing on */
    NodeId middle = site("blocks.0.hook_resid_mid");
    request.grads = &middle;
    request.n_grads = 1;
    run(engine, &request);
    const float *grad = engine_grad(engine, middle, &rows, &width);
    assert_true(largest_magnitude(grad + 6 * width, 3 * width) == 0); /* rows 6 of the first, 0 and 1 of the second */
    assert_true(largest_magnitude(grad + 9 * width, width) > 0 && largest_magnitude(grad + 5 * width, width) > 0);
    engine_free(engine);
}

/* In the last layer what only output rows need stays on them when a site is edited; the answer is that of a run that
 * keeps all rows (as a tap makes it), whichever rows the edit names. */
static void test_narrowing_survives_an_edit(void **state) {
    static const char *const sites[] = {"blocks.2.attn.hook_q",     "blocks.2.attn.hook_z",
                                        "blocks.2.hook_resid_mid",  "blocks.2.hook_mlp_out",
                                        "blocks.2.hook_resid_post", "ln_final.hook_normalized"};
    Engine *engine = open_engine(NULL);
    RunEstimate plain, edited, wide;
    RunRequest request = base_request();
    request.grads = (const NodeId[]){model.graph.embed};
    request.n_grads = 1;
    request.editable = NULL;
    for (size_t i = 0; i < sizeof sites / sizeof sites[0]; i++) {
        float push = 0.75f;
        NodeId node = site(sites[i]);
        Edit edit = {.node = node,
                     .kind = EDIT_ADD,
                     .sequence = i % 2 == 0 ? -1 : 0,
                     .row_begin = i < 3 ? 0 : 3,
                     .row_end = -1,
                     .element_begin = 5,
                     .element_end = 9,
                     .values = &push,
                     .scalar = true};
        request.n_edits = 0;
        request.n_taps = 0;
        assert_int_equal(engine_estimate(engine, &request, &plain), LIMN_OK);
        request.edits = &edit;
        request.n_edits = 1;
        assert_int_equal(engine_estimate(engine, &request, &edited), LIMN_OK);
        assert_true(edited.flops == plain.flops);
        run(engine, &request);
        int32_t rows;
        int64_t width;
        float *logits = copy_of(engine_logits(engine), 100);
        float *grad = copy_of(engine_grad(engine, model.graph.embed, &rows, &width), 11 * 24);
        request.taps = &node;
        request.n_taps = 1;
        assert_int_equal(engine_estimate(engine, &request, &wide), LIMN_OK);
        assert_true(wide.flops > edited.flops);
        run(engine, &request);
        assert_memory_equal(logits, engine_logits(engine), 100 * sizeof(float));
        double off = largest_difference(grad, engine_grad(engine, model.graph.embed, &rows, &width), 11 * 24);
        assert_true(off < 1e-5 * largest_magnitude(grad, 11 * 24));
        free(logits);
        free(grad);
    }
    engine_free(engine);
}

/* Requests that name the same editable sites share one program; an edit elsewhere needs its own. */
static void test_editable_sites_share_a_program(void **state) {
    Engine *engine = open_engine(NULL);
    NodeId editable[] = {site("blocks.1.hook_mlp_out"), site("blocks.0.hook_resid_pre"), site("blocks.2.attn.hook_z")};
    float zero = 0;
    char *listings[4];
    for (int i = 0; i < 4; i++) {
        Edit edit = {
            .node = editable[i % 3], .sequence = -1, .row_end = -1, .element_end = -1, .values = &zero, .scalar = true};
        RunRequest request = base_request();
        request.edits = &edit;
        request.n_edits = i < 3 ? 1 : 0;
        request.editable = editable;
        request.n_editable = 3;
        assert_int_equal(engine_describe_program(engine, &request, &listings[i]), LIMN_OK);
        assert_string_equal(listings[i], listings[0]);
    }
    RunRequest request = base_request();
    char *plain;
    assert_int_equal(engine_describe_program(engine, &request, &plain), LIMN_OK);
    assert_string_not_equal(plain, listings[0]);
    request.editable = (const NodeId[]){model.graph.n_nodes};
    request.n_editable = 1;
    assert_int_equal(engine_run(engine, &request, NULL), LIMN_NOT_FOUND);
    for (int i = 0; i < 4; i++) {
        free(listings[i]);
    }
    free(plain);
    engine_free(engine);
}

/* A value that was set passes no gradient on; the gradient at the site itself is still that of the objective. */
static void test_set_cuts_the_gradient(void **state) {
    Engine *engine = open_engine(NULL);
    NodeId nodes[] = {site("blocks.0.hook_resid_post"), model.graph.embed};
    float values[24];
    for (int i = 0; i < 24; i++) {
        values[i] = 0.1f * (float)i;
    }
    Edit edit = {
        .node = nodes[0], .kind = EDIT_SET, .sequence = -1, .row_end = -1, .element_end = -1, .values = values};
    RunRequest request = base_request();
    request.edits = &edit;
    request.n_edits = 1;
    request.grads = nodes;
    request.n_grads = 2;
    run(engine, &request);
    int32_t rows;
    int64_t width;
    const float *at_site = engine_grad(engine, nodes[0], &rows, &width);
    const float *below = engine_grad(engine, nodes[1], &rows, &width);
    double largest = 0.0;
    for (int64_t i = 0; i < rows * width; i++) {
        largest = fmax(largest, fabs((double)at_site[i]));
        assert_true(below[i] == 0.0f);
    }
    assert_true(largest > 1e-3);
    engine_free(engine);
}

static void test_all_output_rows(void **state) {
    Engine *engine = open_engine(NULL);
    OutputRow outputs[11];
    for (int32_t i = 0; i < 11; i++) {
        outputs[i] = (OutputRow){i < 7 ? 0 : 1, i < 7 ? i : i - 7, i, i == 6 ? 1.0f : 0.0f};
    }
    RunRequest request = base_request();
    request.outputs = outputs;
    request.n_outputs = 11;
    NodeId embed = model.graph.embed;
    request.grads = &embed;
    request.n_grads = 1;
    run(engine, &request);
    float *logits = copy_of(engine_logits(engine) + 6 * 50, 50);
    int32_t rows;
    int64_t width;
    float *grad = copy_of(engine_grad(engine, embed, &rows, &width), 11 * 24);
    OutputRow last = {0, 6, 6, 1.0f};
    request.outputs = &last;
    request.n_outputs = 1;
    run(engine, &request);
    assert_true(largest_difference(logits, engine_logits(engine), 50) < 1e-5);
    assert_true(largest_difference(grad, engine_grad(engine, embed, &rows, &width), 11 * 24) < 1e-5);
    free(logits);
    free(grad);
    engine_free(engine);
}

static void test_memory_limit_refuses_with_the_least(void **state) {
    EngineOptions options = {.memory_limit = 1000};
    Engine *engine = open_engine(&options);
    RunRequest request = base_request();
    assert_int_equal(engine_run(engine, &request, NULL), LIMN_NO_MEMORY);
    assert_non_null(strstr(error_message(), "at least"));
    RunEstimate estimate;
    assert_int_equal(engine_estimate(engine, &request, &estimate), LIMN_OK);
    char needed[AMOUNT_TEXT_MAX];
    Engine *enough = open_engine(&(EngineOptions){.memory_limit = estimate.least_bytes});
    assert_int_equal(engine_run(enough, &request, NULL), LIMN_OK);
    engine_free(enough);
    assert_int_equal(engine_run(engine, &request, NULL), LIMN_NO_MEMORY);
    assert_non_null(strstr(error_message(), amount_needed(needed, estimate.least_bytes)));
    assert_non_null(strstr(error_message(), "1000B are allowed"));
    assert_true(estimate.least_bytes > 1000 && estimate.least_bytes <= estimate.bytes && estimate.flops > 0.0);
    engine_free(engine);
}

/* The limit is for both: what converted weights take is not there for activations. */
static void test_memory_limit_covers_converted_weights(void **state) {
    RunRequest request = base_request();
    Engine *engine = open_engine(NULL);
    RunEstimate estimate;
    assert_int_equal(engine_estimate(engine, &request, &estimate), LIMN_OK);
    engine_free(engine);
    model.copied_bytes = 1 << 20;
    size_t least = (1 << 20) + estimate.least_bytes;
    const size_t too_small[] = {4096, 1 << 20, least - 1};
    char needed[AMOUNT_TEXT_MAX];
    for (size_t i = 0; i < sizeof too_small / sizeof too_small[0]; i++) {
        engine = open_engine(&(EngineOptions){.memory_limit = too_small[i]});
        assert_int_equal(engine_run(engine, &request, NULL), LIMN_NO_MEMORY);
        assert_non_null(strstr(error_message(), amount_needed(needed, least)));
        assert_non_null(strstr(error_message(), "1M of it for converted weights"));
        engine_free(engine);
    }
    engine = open_engine(&(EngineOptions){.memory_limit = least});
    assert_int_equal(engine_run(engine, &request, NULL), LIMN_OK);
    engine_free(engine);
    model.copied_bytes = 0;
}

static void refuse(Engine *engine, const RunRequest *request, limn_status status, const char *said) {
    assert_int_equal(engine_run(engine, request, NULL), status);
    if (strstr(error_message(), said) == NULL) {
        fail_msg("found '%s', expected '%s' in it", error_message(), said);
    }
}

static void test_bad_requests_are_refused(void **state) {
    Engine *engine = open_engine(NULL);
    int32_t ids[] = {3, 50};
    SequenceInput bad = {.ids = ids, .n = 2};
    RunRequest request = {.sequences = &bad, .n_sequences = 1};
    refuse(engine, &request, LIMN_RANGE, "token id 50 at position 1; expected 0 to 49");
    ids[1] = -1;
    refuse(engine, &request, LIMN_RANGE, "token id -1 at position 1");
    bad.n = 0;
    refuse(engine, &request, LIMN_USAGE, "the input has no tokens");
    request.n_sequences = 0;
    refuse(engine, &request, LIMN_USAGE, "the input has no tokens");
    static const struct {
        OutputRow output;
        const char *said;
    } outputs[] = {{{0, 7, 0, 1.0f}, "output row 7 of sequence 0 does not exist"},
                   {{0, -1, 0, 1.0f}, "output row -1 of sequence 0 does not exist"},
                   {{9, 0, 0, 1.0f}, "output row 0 of sequence 9 does not exist"},
                   {{-1, 0, 0, 1.0f}, "output row 0 of sequence -1 does not exist"},
                   {{0, 0, 50, 1.0f}, "target id 50; expected 0 to 49"},
                   {{0, 0, -2, 1.0f}, "target id -2; expected 0 to 49"}};
    for (size_t i = 0; i < sizeof outputs / sizeof outputs[0]; i++) {
        request = base_request();
        request.outputs = &outputs[i].output;
        request.n_outputs = 1;
        refuse(engine, &request, LIMN_RANGE, outputs[i].said);
    }
    engine_free(engine);
    assert_int_equal(engine_new(&engine, &model, &(EngineOptions){.backend = "abacus"}), LIMN_NOT_FOUND);
    assert_non_null(strstr(error_message(), "backend abacus is not in this build"));
}

static void test_bad_edits_are_refused(void **state) {
    Engine *engine = open_engine(NULL);
    static const struct {
        int32_t node, sequence, row_begin, row_end;
        int64_t element_begin, element_end;
        limn_status status;
        const char *said;
    } rows[] = {{-1, 0, 0, 1, 0, -1, LIMN_NOT_FOUND, "an edit names no site of this model"},
                {99999, 0, 0, 1, 0, -1, LIMN_NOT_FOUND, "an edit names no site of this model"},
                {0, 9, 0, 1, 0, -1, LIMN_RANGE, "sequence 9 of"},
                {0, -2, 0, 1, 0, -1, LIMN_RANGE, "sequence -2 of"},
                {0, 0, 9, 10, 0, -1, LIMN_RANGE, "no row at or after position 9"},
                {0, 0, -1, 1, 0, -1, LIMN_RANGE, "no row at or after position -1"},
                {0, 0, 1, 1, 0, -1, LIMN_RANGE, "no row at or after position 1"},
                {0, 0, 0, 1, 0, 25, LIMN_RANGE, "elements 0 to 25 of 24"},
                {0, 0, 0, 1, 5, 5, LIMN_RANGE, "elements 5 to 5 of 24"},
                {0, 0, 0, 1, -1, 5, LIMN_RANGE, "elements -1 to 5 of 24"}};
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        float one = 1.0f;
        Edit edit = {.node = rows[i].node == 0 ? model.graph.embed : rows[i].node,
                     .row_begin = rows[i].row_begin,
                     .row_end = rows[i].row_end,
                     .sequence = rows[i].sequence,
                     .element_begin = rows[i].element_begin,
                     .element_end = rows[i].element_end,
                     .values = &one,
                     .scalar = true};
        RunRequest request = base_request();
        request.edits = &edit;
        request.n_edits = 1;
        refuse(engine, &request, rows[i].status, rows[i].said);
    }
    engine_free(engine);
}

static bool stop_at_once(void *context, const char *stage, int64_t done, int64_t total) {
    (void)stage;
    (void)total;
    *(int64_t *)context = done;
    return done < 3;
}

static void test_cancel_within_a_run(void **state) {
    Engine *engine = open_engine(NULL);
    RunRequest request = base_request();
    int64_t reached = 0;
    Progress progress = {stop_at_once, &reached};
    assert_int_equal(engine_run(engine, &request, &progress), LIMN_CANCELLED);
    assert_int_equal(reached, 3);
    assert_null(engine_logits(engine));
    engine_free(engine);
}

typedef struct InStep {
    int64_t done;
    int repeated; /* ticks that told of the same step as the one before */
} InStep;

static bool stop_within_a_step(void *context, const char *stage, int64_t done, int64_t total) {
    (void)stage;
    (void)total;
    InStep *in_step = context;
    in_step->repeated += done == in_step->done;
    in_step->done = done;
    return in_step->repeated < 2;
}

/* Attention over many rows is one step: it is stopped in the middle, and the engine answers as before. */
static void test_cancel_within_a_step(void **state) {
    enum { MOST = 1 << 16 };
    int32_t *many = calloc(MOST, sizeof *many);
    RunRequest request = base_request();
    Engine *engine = open_engine(&(EngineOptions){.threads = 2});
    assert_int_equal(engine_run(engine, &request, NULL), LIMN_OK);
    float before = engine_logits(engine)[7];
    limn_status status = LIMN_OK;
    InStep in_step = {-1, 0};
    for (int32_t n = 1024; n <= MOST && status == LIMN_OK; n *= 2) {
        SequenceInput sequence = {.ids = many, .n = n};
        OutputRow output = {0, n - 1, 1, 1.0f};
        RunRequest large = {.sequences = &sequence,
                            .n_sequences = 1,
                            .outputs = &output,
                            .n_outputs = 1,
                            .objective = OBJECTIVE_LOG_PROB};
        in_step = (InStep){-1, 0};
        status = engine_run(engine, &large, &(Progress){stop_within_a_step, &in_step});
    }
    assert_int_equal(status, LIMN_CANCELLED);
    assert_int_equal(in_step.repeated, 2);
    assert_null(engine_objective(engine));
    assert_int_equal(engine_run(engine, &request, NULL), LIMN_OK);
    assert_true(engine_logits(engine)[7] == before);
    engine_free(engine);
    free(many);
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
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_rows_do_not_mix),
        cmocka_unit_test(test_taps_change_nothing),
        cmocka_unit_test(test_gradients_are_finite_differences),
        cmocka_unit_test(test_all_gradients_at_once),
        cmocka_unit_test(test_chunks_and_policies_agree_bit_for_bit),
        cmocka_unit_test(test_the_same_run_again_gives_the_same_bits),
        cmocka_unit_test(test_cached_prefix_is_the_full_pass),
        cmocka_unit_test(test_caches_of_several_sequences),
        cmocka_unit_test(test_edit_sets_what_is_read_later),
        cmocka_unit_test(test_edits_act_in_the_order_given),
        cmocka_unit_test(test_narrowing_survives_an_edit),
        cmocka_unit_test(test_editable_sites_share_a_program),
        cmocka_unit_test(test_set_cuts_the_gradient),
        cmocka_unit_test(test_all_output_rows),
        cmocka_unit_test(test_memory_limit_refuses_with_the_least),
        cmocka_unit_test(test_memory_limit_covers_converted_weights),
        cmocka_unit_test(test_bad_requests_are_refused),
        cmocka_unit_test(test_bad_edits_are_refused),
        cmocka_unit_test(test_cancel_within_a_run),
        cmocka_unit_test(test_cancel_within_a_step),
    };
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
