/* Agreement with PEFT on random adapters of each kind over the random models of each family: logits, every site, every
 * gradient, on every backend; and an adapter that is read wrongly must miss the tolerance by far. */
#include "model/weights.h"
#include "run/golden_case.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

typedef struct AdapterCase {
    const char *name, *base;
    int n_adapters;
    double weights[2];
    bool full;     /* sites and gradients are there */
    bool branches; /* nothing but plain branches: without them the model is its base */
} AdapterCase;

static const AdapterCase cases[] = {
    {"patterns", "llama3", 1, {1, 0}, true, true},
    {"regex-rslora", "llama-bias", 1, {1, 0}, false, true},
    {"dora", "llama-bias", 1, {1, 0}, true, false},
    {"dora-conv", "gpt2", 1, {1, 0}, true, false},
    {"tables", "gpt2-scaled", 1, {1, 0}, true, true},
    {"saved", "llama-old", 1, {1, 0}, true, false},
    {"saved-tied", "llama3", 1, {1, 0}, false, false},
    {"tied-table", "llama3", 1, {1, 0}, false, true},
    {"tied-head", "llama3", 1, {1, 0}, false, true},
    {"layers", "llama-old", 1, {1, 0}, false, true},
    {"narrowed", "llama-old", 1, {1, 0}, false, true},
    {"biases", "llama-bias", 1, {1, 0}, false, false},
    {"all-biases", "gpt2", 1, {1, 0}, false, false},
    {"bert", "bert-mlm", 1, {1, 0}, true, true},
    {"bert-classifier", "bert-classifier", 1, {1, 0}, false, false},
    {"classifier", "llama-classifier", 1, {1, 0}, false, false},
    {"neox", "neox", 1, {1, 0}, true, false},
    {"neox-saved", "neox-serial", 1, {1, 0}, false, false},
    {"falcon", "falcon-40b", 1, {1, 0}, true, false},
    {"falcon-multi", "falcon-7b", 1, {1, 0}, false, true},
    {"starcoder2", "starcoder2", 1, {1, 0}, false, true},
    {"opt", "opt-350m", 1, {1, 0}, false, true},
    {"distilbert", "distilbert-mlm", 1, {1, 0}, false, true},
    {"roberta", "roberta-mlm", 1, {1, 0}, false, true},
    {"phi3", "phi3", 1, {1, 0}, true, false},
    {"gemma2", "gemma2", 1, {1, 0}, true, false},
    {"gemma3-table", "gemma3", 1, {1, 0}, false, true},
    {"qwen3", "qwen3", 1, {1, 0}, false, false},
    {"mistral", "mistral", 1, {1, 0}, false, true},
    {"vision", "qwen2-vision", 1, {1, 0}, false, true},
    {"llava", "llava", 1, {1, 0}, false, true},
    {"mixtral", "mixtral", 1, {1, 0}, false, true},
    {"patterns", "gguf/llama3.gguf", 1, {1, 0}, true, false},
    {"dora-conv", "gguf/gpt2.gguf", 1, {1, 0}, true, false},
    {"neox", "gguf/neox.gguf", 1, {1, 0}, true, false},
    {"falcon", "gguf/falcon-40b.gguf", 1, {1, 0}, true, false},
    {"falcon-multi", "gguf/falcon-7b.gguf", 1, {1, 0}, false, false},
    {"starcoder2", "gguf/starcoder2.gguf", 1, {1, 0}, false, false},
    {"two", "llama-old", 2, {0.7, -0.4}, true, true},
    {"two-dora", "llama-bias", 2, {0.5, 1.5}, false, false},
};
enum { N_CASES = sizeof cases / sizeof cases[0] };

static void open_case(GoldenCase *golden, const AdapterCase *one, double factor) {
    char folder[64], paths[2][600];
    AdapterUse uses[2];
    snprintf(folder, sizeof folder, "adapters/%s", one->name);
    for (int i = 0; i < one->n_adapters; i++) {
        snprintf(paths[i], sizeof paths[i], "%s/tests/golden/%s/%d", LIMN_TEST_SOURCE_DIR, folder, i + 1);
        uses[i] = (AdapterUse){paths[i], one->weights[i] * factor};
    }
    golden_case_open_on(golden, folder, one->base, &(ModelOptions){.adapters = uses, .n_adapters = one->n_adapters});
}

static Engine *open_engine(const GoldenCase *golden, const EngineOptions *options) {
    Engine *engine;
    if (engine_new(&engine, golden->model, options) != LIMN_OK) {
        fail_msg("%s: %s", golden->folder, error_message());
    }
    return engine;
}

static void run(const GoldenCase *golden, Engine *engine, const RunRequest *request) {
    if (engine_run(engine, request, NULL) != LIMN_OK) {
        fail_msg("%s: %s", golden->folder, error_message());
    }
}

static double logit_distance(const GoldenCase *golden, const Engine *engine) {
    int64_t width = row_shape_width(&golden->model->graph.nodes[golden->model->graph.logits].op.out, 1);
    return golden_case_logit_distance(golden, "logits", engine_logits(engine), golden->n_outputs * width);
}

static bool is_branch(const char *site) {
    return strstr(site, "_lora") != NULL;
}

/* The sites that the golden file has. */
static int32_t own_sites(const GoldenCase *golden, NodeId **nodes) {
    int32_t kept = 0, n = golden_case_sites(golden, nodes);
    for (int32_t i = 0; i < n; i++) {
        if (!is_branch(golden->model->graph.nodes[(*nodes)[i]].site)) {
            (*nodes)[kept++] = (*nodes)[i];
        }
    }
    return kept;
}

static int compare_sites(const GoldenCase *golden, const Engine *engine, const NodeId *nodes, int32_t n,
                         double worst[2]) {
    int misses = 0;
    for (int32_t i = 0; i < n; i++) {
        const char *site = golden->model->graph.nodes[nodes[i]].site;
        for (int grad = 0; grad <= 1; grad++) {
            char name[160];
            int32_t rows;
            int64_t width;
            snprintf(name, sizeof name, "%s%s", site, grad ? ".grad" : "");
            const float *found =
                grad ? engine_grad(engine, nodes[i], &rows, &width) : engine_tap(engine, nodes[i], &rows, &width);
            assert_non_null(found);
            double distance = golden_case_distance(golden, name, found, rows * width);
            worst[grad] = fmax(worst[grad], distance);
            if (!(distance <= SITE_TOLERANCE)) {
                print_error("%s: %s is off by %.3g\n", golden->folder, name, distance);
                misses++;
            }
        }
    }
    return misses;
}

static int check_full(const GoldenCase *golden, const char *backend, KeepPolicy keep, double worst[2], double *logits) {
    Engine *engine = open_engine(golden, &(EngineOptions){.backend = backend, .keep = keep, .chunk_rows = 4});
    NodeId *nodes;
    int32_t n = own_sites(golden, &nodes);
    RunRequest request = golden_case_request(golden);
    request.taps = request.grads = nodes;
    request.n_taps = request.n_grads = n;
    request.objective = golden->objective;
    run(golden, engine, &request);
    int misses = compare_sites(golden, engine, nodes, n, worst);
    *logits = fmax(*logits, logit_distance(golden, engine));
    for (int32_t i = 0; i < n; i++) { /* each alone, so that all the rest is fused */
        request.taps = request.grads = &nodes[i];
        request.n_taps = request.n_grads = 1;
        run(golden, engine, &request);
        misses += compare_sites(golden, engine, &nodes[i], 1, worst);
    }
    free(nodes);
    engine_free(engine);
    return misses;
}

static void check_case(const AdapterCase *one, const char *backend) {
    GoldenCase golden;
    open_case(&golden, one, 1);
    assert_int_equal(golden.model->n_adapters, one->n_adapters);
    Engine *engine = open_engine(&golden, &(EngineOptions){.backend = backend});
    RunRequest request = golden_case_request(&golden);
    run(&golden, engine, &request);
    double worst[2] = {0, 0}, logits = logit_distance(&golden, engine);
    engine_free(engine);
    int misses = 0;
    if (one->full) {
        misses += check_full(&golden, backend, KEEP_EVERYTHING, worst, &logits);
        misses += check_full(&golden, backend, KEEP_LAYER_INPUTS, worst, &logits);
    }
    print_message("%s on %s, %s: logits %.2g, sites %.2g, gradients %.2g\n", one->name, one->base, backend, logits,
                  worst[0], worst[1]);
    assert_true(logits <= LOGIT_TOLERANCE);
    assert_int_equal(misses, 0);
    golden_case_close(&golden);
}

static void every_case_agrees(void **state) {
    for (int b = 0; golden_backends[b] != NULL; b++) {
        for (size_t i = 0; i < N_CASES; i++) {
            check_case(&cases[i], golden_backends[b]);
        }
    }
}

/* With every branch set to zero the model answers as its base does; a branch's gradient is that of its sum. */
static void branches_hold_the_whole_difference(void **state) {
    static const float zero = 0;
    for (size_t i = 0; i < N_CASES; i++) {
        if (!cases[i].branches) {
            continue;
        }
        GoldenCase golden, base;
        open_case(&golden, &cases[i], 1);
        golden_case_open(&base, cases[i].base, NULL);
        const Graph *graph = &golden.model->graph;
        Edit *edits = calloc((size_t)graph->n_nodes, sizeof *edits);
        assert_non_null(edits);
        int32_t n = 0;
        for (NodeId node = 0; node < graph->n_nodes; node++) {
            if (graph->nodes[node].site != NULL && is_branch(graph->nodes[node].site)) {
                edits[n++] = (Edit){.node = node,
                                    .kind = EDIT_MULTIPLY,
                                    .sequence = -1,
                                    .row_end = -1,
                                    .element_end = -1,
                                    .values = &zero,
                                    .scalar = true};
            }
        }
        assert_true(n > 0);
        Engine *engine = open_engine(&golden, &(EngineOptions){.backend = golden_backends[0]});
        RunRequest request = golden_case_request(&golden);
        request.edits = edits;
        request.n_edits = n;
        run(&golden, engine, &request);
        double distance = logit_distance(&base, engine);
        if (!(distance <= LOGIT_TOLERANCE)) {
            fail_msg("%s: off by %.3g without its branches", cases[i].name, distance);
        }
        free(edits);
        engine_free(engine);
        golden_case_close(&base);
        golden_case_close(&golden);
    }
}

static void a_branch_has_the_gradient_of_its_sum(void **state) {
    static const char *const sites[] = {"blocks.0.attn.hook_q", "blocks.1.attn.hook_result", "blocks.0.mlp.hook_pre",
                                        "hook_embed", "blocks.1.hook_mlp_out"};
    GoldenCase golden;
    open_case(&golden, &cases[0], 1);
    Engine *engine = open_engine(&golden, &(EngineOptions){.backend = golden_backends[0]});
    for (size_t i = 0; i < sizeof sites / sizeof sites[0]; i++) {
        char branch[96];
        snprintf(branch, sizeof branch, "%s_lora", sites[i]);
        NodeId nodes[] = {graph_find_site(&golden.model->graph, sites[i]),
                          graph_find_site(&golden.model->graph, branch)};
        if (strcmp(sites[i], "hook_embed") == 0) {
            assert_int_equal(nodes[1], NODE_NONE);
            continue;
        }
        assert_true(nodes[0] != NODE_NONE && nodes[1] != NODE_NONE);
        RunRequest request = golden_case_request(&golden);
        request.grads = nodes;
        request.n_grads = 2;
        request.objective = golden.objective;
        run(&golden, engine, &request);
        int32_t rows[2];
        int64_t width[2];
        const float *sum = engine_grad(engine, nodes[0], &rows[0], &width[0]);
        const float *part = engine_grad(engine, nodes[1], &rows[1], &width[1]);
        assert_true(rows[0] == rows[1] && width[0] == width[1]);
        assert_memory_equal(sum, part, (size_t)(rows[0] * width[0]) * sizeof *sum);
    }
    engine_free(engine);
    golden_case_close(&golden);
}

/* Nobody looks at single heads: their branches cost no more than one low-rank product. */
static void unseen_heads_are_summed_first(void **state) {
    static const int kinds[] = {0, 2, 4};
    for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; i++) {
        GoldenCase golden;
        open_case(&golden, &cases[kinds[i]], 1);
        Engine *engine = open_engine(&golden, &(EngineOptions){.backend = golden_backends[0]});
        RunRequest request = golden_case_request(&golden);
        char *text;
        assert_int_equal(engine_describe_program(engine, &request, &text), LIMN_OK);
        assert_null(strstr(text, "HEAD_LINEAR"));
        assert_null(strstr(text, "SUM_HEADS"));
        free(text);
        engine_free(engine);
        golden_case_close(&golden);
    }
}

/* --- mutants: a golden counts only if it can fail --- */

static float *values_of(const Weight *weight) {
    return (float *)(uintptr_t)weight->data;
}

/* The first branch of a plain linear map (those of heads are bound as copies); NULL: none. */
static const WeightChange *first_branch(const GoldenCase *golden) {
    for (int32_t i = 0; i < golden->model->n_changes; i++) {
        const WeightChange *change = &golden->model->changes[i];
        if (change->b.name != NULL && golden->model->graph.nodes[change->node].op.kind == OP_LINEAR) {
            return change;
        }
    }
    return NULL;
}

/* Each changes what one branch computes; false when the case has nothing of the kind. */
static bool wrong_scaling(const GoldenCase *golden) {
    const WeightChange *change = first_branch(golden);
    for (int64_t i = 0; change != NULL && i < change->b.rows * change->b.columns; i++) {
        values_of(&change->b)[i] *= 2;
    }
    return change != NULL;
}

static bool shifted_rows(const GoldenCase *golden) {
    const WeightChange *change = first_branch(golden);
    if (change != NULL) {
        memmove(values_of(&change->b), values_of(&change->b) + change->b.columns,
                (size_t)((change->b.rows - 1) * change->b.columns) * sizeof(float));
    }
    return change != NULL;
}

static bool no_magnitude(const GoldenCase *golden) {
    for (int32_t i = 0; i < golden->model->n_changes; i++) {
        const WeightChange *change = &golden->model->changes[i];
        for (int64_t row = 0; change->gain != NULL && row < change->before.rows; row++) {
            ((float *)(uintptr_t)change->gain)[row] = 1;
        }
        if (change->gain != NULL) {
            return true;
        }
    }
    return false;
}

static bool old_tensor(const GoldenCase *golden) {
    for (int32_t i = 0; i < golden->model->n_changes; i++) {
        const WeightChange *change = &golden->model->changes[i];
        bool same = true; /* PEFT saves tables it has a branch for, unchanged */
        for (int64_t row = 0; change->after.name != NULL && row < change->before.rows; row++) {
            same = same && weight_value(&change->before, row, 0) == weight_value(&change->after, row, 0);
        }
        if (!same) {
            ((Graph *)(uintptr_t)&golden->model->graph)->nodes[change->node].op.weights[change->slot] = change->before;
            return true;
        }
    }
    return false;
}

static void mutants_miss(void **state) {
    static const struct {
        const char *name;
        bool (*mutate)(const GoldenCase *golden);
    } mutants[] = {{"scaling twice as large", wrong_scaling},
                   {"rows of B off by one", shifted_rows},
                   {"DoRA without its magnitude", no_magnitude},
                   {"a replaced tensor left as it was", old_tensor}};
    int tried[sizeof mutants / sizeof mutants[0]] = {0};
    for (size_t i = 0; i < N_CASES; i++) {
        for (size_t m = 0; m < sizeof mutants / sizeof mutants[0]; m++) {
            GoldenCase golden;
            open_case(&golden, &cases[i], 1);
            if (mutants[m].mutate(&golden)) {
                Engine *engine = open_engine(&golden, &(EngineOptions){.backend = golden_backends[0]});
                RunRequest request = golden_case_request(&golden);
                run(&golden, engine, &request);
                double distance = logit_distance(&golden, engine);
                if (!(distance > MUTANT_FACTOR * LOGIT_TOLERANCE)) {
                    fail_msg("%s, %s: off by %.3g only", cases[i].name, mutants[m].name, distance);
                }
                tried[m]++;
                engine_free(engine);
            }
            golden_case_close(&golden);
        }
    }
    for (size_t m = 0; m < sizeof mutants / sizeof mutants[0]; m++) {
        assert_true(tried[m] > 0);
    }
}

/* A weight of its own: another answer than at 1. */
static void the_weight_counts(void **state) {
    GoldenCase golden;
    open_case(&golden, &cases[0], 0.5);
    Engine *engine = open_engine(&golden, &(EngineOptions){.backend = golden_backends[0]});
    RunRequest request = golden_case_request(&golden);
    run(&golden, engine, &request);
    assert_true(logit_distance(&golden, engine) > MUTANT_FACTOR * LOGIT_TOLERANCE);
    engine_free(engine);
    golden_case_close(&golden);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_case_agrees),
        cmocka_unit_test(branches_hold_the_whole_difference),
        cmocka_unit_test(a_branch_has_the_gradient_of_its_sum),
        cmocka_unit_test(unseen_heads_are_summed_first),
        cmocka_unit_test(mutants_miss),
        cmocka_unit_test(the_weight_counts),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
