/* Mixtures of experts: experts forced off, on, changed and chosen by hand agree with the reference; the gradient stops
 * at the choice; a decode over a cache and other numbers of threads give the same bits; and each mutant of the routing
 * must miss the tolerance by far. That every site and gradient agrees is test_agreement's matter. */
#include "run/golden_case.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/parallel.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

static const char *const names[] = {"mixtral",           "mixtral-stacked", "qwen2-moe",
                                    "qwen2-moe-stacked", "qwen3-moe",       "qwen3-moe-stacked"};
enum { N_NAMES = sizeof names / sizeof names[0] };

static void check(limn_status status) {
    if (status != LIMN_OK) {
        fail_msg("%s", error_message());
    }
}

static Engine *open_engine(const GoldenCase *golden, const char *backend) {
    Engine *engine;
    check(engine_new(&engine, golden->model, &(EngineOptions){.backend = backend}));
    return engine;
}

static NodeId site(const GoldenCase *golden, const char *name) {
    NodeId node = graph_find_site(&golden->model->graph, name);
    if (node == NODE_NONE) {
        fail_msg("%s: no site %s", golden->folder, name);
    }
    return node;
}

static double logit_distance(const GoldenCase *golden, const Engine *engine, const char *tensor) {
    int64_t width = golden->model->config.n_vocab;
    return golden_case_logit_distance(golden, tensor, engine_logits(engine), golden->n_outputs * width);
}

/* ---- what is lowered ---- */

static bool program_has(Engine *engine, const RunRequest *request, const char *op) {
    char *text, word[64];
    check(engine_describe_program(engine, request, &text));
    snprintf(word, sizeof word, " %s ", op);
    bool found = strstr(text, word) != NULL;
    free(text);
    return found;
}

static void experts_are_one_step_unless_looked_into(void **state) {
    GoldenCase golden;
    golden_case_open(&golden, "mixtral", NULL);
    Engine *engine = open_engine(&golden, "ref");
    RunRequest request = golden_case_request(&golden);
    assert_true(program_has(engine, &request, "EXPERTS"));
    assert_false(program_has(engine, &request, "EXPERT_LINEAR"));
    NodeId outside[] = {site(&golden, "blocks.0.mlp.hook_routing_weights"), site(&golden, "blocks.1.hook_mlp_out")};
    request.taps = outside;
    request.n_taps = 2;
    assert_false(program_has(engine, &request, "EXPERT_LINEAR"));
    NodeId inside = site(&golden, "blocks.1.mlp.experts.hook_post");
    request.taps = &inside;
    request.n_taps = 1;
    assert_true(program_has(engine, &request, "EXPERT_LINEAR"));
    assert_true(program_has(engine, &request, "EXPERTS")); /* the other layer */
    engine_free(engine);
    golden_case_close(&golden);
}

/* The work of a step is that of the experts a row uses. */
static void the_estimate_counts_the_experts_in_use(void **state) {
    double flops[2];
    for (int which = 0; which < 2; which++) {
        GoldenCase golden;
        golden_case_open(&golden, "mixtral", NULL);
        Graph *graph = &golden.model->graph;
        for (NodeId node = 0; node < graph->n_nodes && which == 1; node++) {
            graph->nodes[node].op.attributes.top_k *= 2;
        }
        Engine *engine = open_engine(&golden, "ref");
        RunRequest request = golden_case_request(&golden);
        RunEstimate estimate;
        check(engine_estimate(engine, &request, &estimate));
        flops[which] = estimate.flops;
        engine_free(engine);
        golden_case_close(&golden);
    }
    /* two layers of 11 rows through two more experts of [20, 32], three matrices each */
    assert_true(flops[1] - flops[0] == 2.0 * 2 * 11 * 2 * 3 * 20 * 32);
}

/* ---- edits ---- */

typedef struct ExpertEdit {
    const char *golden; /* "logits.off" */
    const char *site;
    EditKind kind;
    float value;
    int64_t begin, end; /* experts, or indices */
    int64_t also;       /* a second expert; -1: none */
    bool fused;         /* the edit leaves the experts one step */
} ExpertEdit;

static const ExpertEdit expert_edits[] = {
    {"logits.off", "blocks.0.mlp.hook_router_logits", EDIT_SET, -INFINITY, 1, 2, -1, true},
    {"logits.weight", "blocks.0.mlp.hook_routing_weights", EDIT_SET, 0.0f, 0, 1, 2, true},
    {"logits.on", "blocks.1.mlp.hook_routing_weights", EDIT_SET, 0.75f, 3, 4, -1, true},
    {"logits.out", "blocks.1.mlp.experts.hook_out", EDIT_MULTIPLY, -2.0f, 2, 3, -1, false},
    {"logits.index", "blocks.0.mlp.hook_expert_indices", EDIT_SET, 4.0f, 0, 1, -1, true},
};

static void edits_of_experts_agree(void **state) {
    for (int b = 0; golden_backends[b] != NULL; b++) {
        GoldenCase golden;
        golden_case_open(&golden, "mixtral", NULL);
        Engine *engine = open_engine(&golden, golden_backends[b]);
        for (size_t i = 0; i < sizeof expert_edits / sizeof expert_edits[0]; i++) {
            const ExpertEdit *row = &expert_edits[i];
            NodeId node = site(&golden, row->site);
            const RowShape *shape = &golden.model->graph.nodes[node].op.out;
            int64_t each = shape->n_dims == 2 ? shape->dims[1] : 1;
            Edit edits[2];
            for (int which = 0; which < 2; which++) {
                int64_t begin = which == 0 ? row->begin : row->also;
                int64_t end = which == 0 ? row->end : row->also + 1;
                edits[which] = (Edit){.node = node,
                                      .kind = row->kind,
                                      .sequence = -1,
                                      .row_end = -1,
                                      .element_begin = begin * each,
                                      .element_end = end * each,
                                      .values = &row->value,
                                      .scalar = true};
            }
            RunRequest request = golden_case_request(&golden);
            check(engine_run(engine, &request, NULL));
            double before = logit_distance(&golden, engine, row->golden);
            request.edits = edits;
            request.n_edits = row->also >= 0 ? 2 : 1;
            assert_int_equal(program_has(engine, &request, "EXPERT_LINEAR"), !row->fused);
            check(engine_run(engine, &request, NULL));
            double distance = logit_distance(&golden, engine, row->golden);
            print_message("%s, %s: %.2g (unedited %.2g)\n", row->golden, golden_backends[b], distance, before);
            assert_true(distance <= LOGIT_TOLERANCE && before > MUTANT_FACTOR * LOGIT_TOLERANCE);
        }
        engine_free(engine);
        golden_case_close(&golden);
    }
}

/* A row whose experts are all forced off has no MLP output, and nothing becomes a NaN. */
static void all_experts_off_is_zero(void **state) {
    static const char *const sites[] = {"blocks.0.mlp.hook_router_logits", "blocks.0.mlp.hook_expert_weights",
                                        "blocks.0.mlp.hook_routing_weights"};
    static const float off[] = {-INFINITY, 0.0f, 0.0f};
    for (int b = 0; golden_backends[b] != NULL; b++) {
        GoldenCase golden;
        golden_case_open(&golden, "mixtral", NULL);
        Engine *engine = open_engine(&golden, golden_backends[b]);
        for (int i = 0; i < 3; i++) {
            Edit edit = {.node = site(&golden, sites[i]),
                         .kind = EDIT_SET,
                         .sequence = 0,
                         .row_begin = 2,
                         .row_end = 3,
                         .element_end = -1,
                         .values = &off[i],
                         .scalar = true};
            NodeId out = site(&golden, "blocks.0.hook_mlp_out");
            NodeId grads[] = {site(&golden, "blocks.0.mlp.hook_router_logits"), site(&golden, "hook_embed")};
            RunRequest request = golden_case_request(&golden);
            request.edits = &edit;
            request.n_edits = 1;
            request.taps = &out;
            request.n_taps = 1;
            request.grads = grads;
            request.n_grads = 2;
            request.objective = OBJECTIVE_LOG_PROB;
            check(engine_run(engine, &request, NULL));
            int32_t rows;
            int64_t width;
            const float *value = engine_tap(engine, out, &rows, &width);
            double other = 0;
            for (int64_t j = 0; j < width; j++) {
                assert_true(value[2 * width + j] == 0.0f);
                other += fabs((double)value[3 * width + j]);
            }
            assert_true(other > 0.1);
            for (int g = 0; g < 2; g++) {
                const float *grad = engine_grad(engine, grads[g], &rows, &width);
                for (int64_t j = 0; j < rows * width; j++) {
                    assert_true(isfinite(grad[j]));
                }
            }
        }
        engine_free(engine);
        golden_case_close(&golden);
    }
}

/* ---- the gradient and the choice ---- */

static bool is_chosen(const float *indices, int64_t k, int64_t expert) {
    for (int64_t n = 0; n < k; n++) {
        if (indices[n] == (float)expert) {
            return true;
        }
    }
    return false;
}

/* Exactly 0 for what was not kept and for the indices; not 0 for what was kept. */
static void the_gradient_stops_at_the_choice(void **state) {
    for (int b = 0; golden_backends[b] != NULL; b++) {
        GoldenCase golden;
        golden_case_open(&golden, "qwen2-moe", NULL);
        Engine *engine = open_engine(&golden, golden_backends[b]);
        NodeId indices = site(&golden, "blocks.0.mlp.hook_expert_indices");
        NodeId weights[] = {site(&golden, "blocks.0.mlp.hook_expert_weights"),
                            site(&golden, "blocks.0.mlp.hook_routing_weights"), indices};
        RunRequest request = golden_case_request(&golden);
        request.taps = &indices;
        request.n_taps = 1;
        request.grads = weights;
        request.n_grads = 3;
        request.objective = OBJECTIVE_LOG_PROB;
        check(engine_run(engine, &request, NULL));
        int32_t rows;
        int64_t k, experts;
        const float *chosen = engine_tap(engine, indices, &rows, &k);
        for (int which = 0; which < 2; which++) {
            const float *grad = engine_grad(engine, weights[which], &rows, &experts);
            double kept = 0;
            for (int64_t i = 0; i < rows * experts; i++) {
                bool on = is_chosen(chosen + i / experts * k, k, i % experts);
                assert_true(on || grad[i] == 0.0f);
                kept += on ? fabs((double)grad[i]) : 0;
            }
            assert_true(kept > 1e-3);
        }
        const float *grad = engine_grad(engine, indices, &rows, &k);
        for (int64_t i = 0; i < rows * k; i++) {
            assert_true(grad[i] == 0.0f);
        }
        engine_free(engine);
        golden_case_close(&golden);
    }
}

/* ---- bits ---- */

/* The logits of one row. Products on a machine without AVX2 follow the number of rows: see backend/README.md. */
static void expect_row(const Engine *engine, const float *expected, int32_t n) {
    const float *found = engine_logits(engine);
    const char *set = engine_backend_describe(engine);
    if (strncmp(set, "SSE", 3) != 0) {
        assert_memory_equal(found, expected, (size_t)n * sizeof *found);
    }
    for (int32_t i = 0; i < n; i++) {
        assert_true(fabsf(found[i] - expected[i]) <= 1e-5f);
    }
}

/* One row at a time over a cache: the bits of the whole pass. */
static void a_decode_has_the_bits_of_the_full_pass(void **state) {
    for (int b = 0; golden_backends[b] != NULL; b++) {
        for (int i = 0; i < N_NAMES; i++) {
            GoldenCase golden;
            golden_case_open(&golden, names[i], NULL);
            Engine *engine = open_engine(&golden, golden_backends[b]);
            int32_t n = golden.sequences[0].n, vocabulary = golden.model->config.n_vocab;
            RunRequest request = golden_case_request(&golden);
            check(engine_run(engine, &request, NULL));
            float *full = malloc((size_t)n * (size_t)vocabulary * sizeof *full);
            assert_non_null(full);
            memcpy(full, engine_logits(engine), (size_t)n * (size_t)vocabulary * sizeof *full);
            KvCache *cache;
            check(kv_cache_new(&cache, golden.model, n));
            for (int32_t row = 0, step; row < n; row += step) {
                step = row == 0 ? 3 : 1;
                SequenceInput input = {
                    .ids = golden.sequences[0].ids + row, .n = step, .prefix = cache, .prefix_length = row};
                OutputRow output = {.row = step - 1, .target = -1};
                RunRequest one = {.sequences = &input,
                                  .n_sequences = 1,
                                  .outputs = &output,
                                  .n_outputs = 1,
                                  .logits = true,
                                  .append = cache};
                check(engine_run(engine, &one, NULL));
                expect_row(engine, full + (row + step - 1) * vocabulary, vocabulary);
            }
            kv_cache_free(cache);
            free(full);
            engine_free(engine);
            golden_case_close(&golden);
        }
    }
}

/* Logits and the gradient at the embedding, with so many threads. */
static float *bits_of(const GoldenCase *golden, const char *backend, int threads, size_t *bytes) {
    Engine *engine = open_engine(golden, backend);
    engine_set_threads(engine, threads);
    RunRequest request = golden_case_request(golden);
    NodeId embed = site(golden, "hook_embed");
    request.grads = &embed;
    request.n_grads = 1;
    request.objective = OBJECTIVE_LOG_PROB;
    check(engine_run(engine, &request, NULL));
    int32_t rows;
    int64_t width, logits = (int64_t)golden->n_outputs * golden->model->config.n_vocab;
    const float *grad = engine_grad(engine, embed, &rows, &width);
    *bytes = (size_t)(logits + rows * width) * sizeof(float);
    float *bits = malloc(*bytes);
    assert_non_null(bits);
    memcpy(bits, engine_logits(engine), (size_t)logits * sizeof(float));
    memcpy(bits + logits, grad, (size_t)(rows * width) * sizeof(float));
    engine_free(engine);
    return bits;
}

static void threads_do_not_change_a_bit(void **state) {
    for (int b = 0; golden_backends[b] != NULL; b++) {
        for (int i = 0; i < N_NAMES; i++) {
            GoldenCase golden;
            golden_case_open(&golden, names[i], NULL);
            size_t bytes, others;
            float *one = bits_of(&golden, golden_backends[b], 1, &bytes);
            for (int threads = 2; threads <= 3; threads++) {
                float *more = bits_of(&golden, golden_backends[b], threads, &others);
                assert_int_equal(bytes, others);
                assert_memory_equal(one, more, bytes);
                free(more);
            }
            free(one);
            golden_case_close(&golden);
        }
    }
}

/* ---- mutants ---- */

/* Does something to each node of a kind; false: there is none. */
typedef void (*Change)(Op *op);

static void flip_sum(Op *op) {
    op->attributes.sum_to_one = !op->attributes.sum_to_one;
}

static void choose_fewer(Op *op) {
    op->attributes.top_k--;
    op->out.dims[0]--;
}

/* The matrices of the experts, one place further. */
static Weight turned[32][16];
static int n_turned;

static void turn_experts(Op *op) {
    Weight *to = turned[n_turned++];
    for (int32_t e = 0; e < op->attributes.n_experts; e++) {
        to[e] = op->attributes.experts[0][(e + 1) % op->attributes.n_experts];
    }
    op->attributes.experts[0] = to;
}

static void open_gate(Op *op) {
    op->attributes.activation =
        op->attributes.activation == ACTIVATION_SIGMOID ? ACTIVATION_RELU : op->attributes.activation;
}

static const struct {
    const char *name;
    OpKind kind;
    Change change;
    bool shared_only;
} mutants[] = {{"sum to one", OP_ROUTE, flip_sum, false},
               {"one expert fewer", OP_TOP_K, choose_fewer, false},
               {"experts out of place", OP_EXPERT_LINEAR, turn_experts, false},
               {"shared gate", OP_ACTIVATION, open_gate, true}};

static double mutant_distance(const char *name, size_t which) {
    GoldenCase golden;
    golden_case_open(&golden, name, NULL);
    Graph *graph = &golden.model->graph;
    n_turned = 0;
    for (NodeId node = 0; node < graph->n_nodes; node++) {
        Op *op = &graph->nodes[node].op;
        for (int k = 0; k < OP_MAX_INPUTS; k++) {
            if (graph->nodes[node].inputs[k] != NODE_NONE) {
                op->in[k] = graph->nodes[graph->nodes[node].inputs[k]].op.out;
            }
        }
        if (op->kind == mutants[which].kind) {
            mutants[which].change(op);
        }
    }
    Engine *engine = open_engine(&golden, "ref");
    RunRequest request = golden_case_request(&golden);
    check(engine_run(engine, &request, NULL));
    double distance = logit_distance(&golden, engine, "logits") / LOGIT_TOLERANCE;
    engine_free(engine);
    golden_case_close(&golden);
    return distance;
}

static void every_mutant_is_seen(void **state) {
    int misses = 0;
    for (int i = 0; i < N_NAMES; i++) {
        for (size_t m = 0; m < sizeof mutants / sizeof mutants[0]; m++) {
            double distance = mutant_distance(names[i], m);
            bool must = !mutants[m].shared_only || strncmp(names[i], "qwen2", 5) == 0;
            if (must && distance < MUTANT_FACTOR) {
                print_error("%s: the mutant \"%s\" misses by %.3g tolerances only\n", names[i], mutants[m].name,
                            distance);
                misses++;
            }
        }
    }
    assert_int_equal(misses, 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(experts_are_one_step_unless_looked_into),
        cmocka_unit_test(the_estimate_counts_the_experts_in_use),
        cmocka_unit_test(edits_of_experts_agree),
        cmocka_unit_test(all_experts_off_is_zero),
        cmocka_unit_test(the_gradient_stops_at_the_choice),
        cmocka_unit_test(a_decode_has_the_bits_of_the_full_pass),
        cmocka_unit_test(threads_do_not_change_a_bit),
        cmocka_unit_test(every_mutant_is_seen),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
