/* Gradient rules on every family: agreement with plain PyTorch under the same rules (oracle/rules), fused and not,
 * kept and computed again; and the algebra: what conserves relevance does so through a whole model. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "run/golden_case.h"

/* after our own headers: cmocka has a macro named fail; (fail) is ours */
#include <cmocka.h>

static const char *const sites[] = {"hook_embed", "blocks.0.attn.hook_v", "blocks.0.attn.hook_q",
                                    "blocks.1.hook_resid_pre"};
enum { N_SITES = sizeof sites / sizeof sites[0] };

static const char *current; /* case */

static void run(Engine *engine, const RunRequest *request) {
    if (engine_run(engine, request, NULL) != LIMN_OK) {
        fail_msg("%s: %s", current, error_message());
    }
}

static Engine *open_engine(const GoldenCase *golden, const EngineOptions *options) {
    Engine *engine;
    if (engine_new(&engine, golden->model, options) != LIMN_OK) {
        fail_msg("%s", error_message());
    }
    return engine;
}

static RunRequest request_of(const GoldenCase *golden, RuleSet rules, const NodeId *grads, int32_t n) {
    RunRequest request = golden_case_request(golden);
    request.logits = false;
    request.objective = golden->objective;
    request.rules = rules;
    request.grads = grads;
    request.n_grads = n;
    return request;
}

static bool golden_has(const GoldenCase *golden, const char *name) {
    return tensor_files_find(golden->golden, name) != NULL;
}

/* The largest distance of the sites' gradients from those of a set; sites that get none there must be 0 here. */
static double distance_from(const GoldenCase *golden, Engine *engine, const NodeId *nodes, RuleSet set, int *known) {
    double worst = 0.0;
    *known = 0;
    for (int i = 0; i < N_SITES; i++) {
        char name[96];
        int32_t rows;
        int64_t width;
        const float *grad = engine_grad(engine, nodes[i], &rows, &width);
        assert_non_null(grad);
        snprintf(name, sizeof name, "%s.%s", rule_set_name(set), sites[i]);
        if (golden_has(golden, name)) {
            worst = fmax(worst, golden_case_distance(golden, name, grad, rows * width));
            ++*known;
        }
        for (int64_t e = 0; e < rows * width && !golden_has(golden, name); e++) {
            worst = fmax(worst, fabs((double)grad[e]));
        }
    }
    return worst;
}

/* Of relu f(x) / x is f'(x): without other functions or products there is nothing that relp does and frozen does not.
 */
static bool relu_only(const Graph *graph) {
    for (NodeId node = 0; node < graph->n_nodes; node++) {
        const Op *op = &graph->nodes[node].op;
        bool other = op->kind == OP_ACTIVATION && op->attributes.activation != ACTIVATION_RELU;
        if (other || op->kind == OP_MUL || op->kind == OP_SOFTCAP || op->kind == OP_EXPERT_MIX) {
            return false;
        }
    }
    return true;
}

static int check_case(const GoldenCase *golden, const char *backend, KeepPolicy keep, bool unfused, double *worst) {
    NodeId *all;
    int32_t n_all = golden_case_sites(golden, &all);
    NodeId nodes[N_SITES];
    for (int i = 0; i < N_SITES; i++) {
        nodes[i] = graph_find_site(&golden->model->graph, sites[i]);
        assert_int_not_equal(nodes[i], NODE_NONE);
    }
    Engine *engine = open_engine(golden, &(EngineOptions){.backend = backend, .keep = keep, .chunk_rows = 5});
    int misses = 0;
    for (int set = RULES_FROZEN; set < RULE_SET_COUNT; set++) {
        RunRequest request = request_of(golden, (RuleSet)set, unfused ? all : nodes, unfused ? n_all : N_SITES);
        run(engine, &request);
        for (int other = RULES_FROZEN; other < RULE_SET_COUNT; other++) {
            int known;
            double distance = distance_from(golden, engine, nodes, (RuleSet)other, &known);
            assert_true(known >= 3);
            *worst = other == set ? fmax(*worst, distance) : *worst;
            bool same = set != RULES_LRP && other != RULES_LRP && relu_only(&golden->model->graph);
            bool good = other == set || same ? distance <= SITE_TOLERANCE : distance >= MUTANT_FACTOR * SITE_TOLERANCE;
            if (!good) {
                print_error("%s, %s, policy %d%s: the gradient under %s is off by %.3g from that of %s\n", current,
                            backend, keep, unfused ? ", nothing fused" : "", rule_set_name((RuleSet)set), distance,
                            rule_set_name((RuleSet)other));
                misses++;
            }
        }
    }
    free(all);
    engine_free(engine);
    return misses;
}

static void every_family_agrees(void **state) {
    (void)state;
    int misses = 0, cases = 0;
    for (int c = 0; golden_cases[c].name != NULL; c++) {
        GoldenCase golden;
        current = golden_cases[c].name;
        golden_case_open(&golden, current, NULL);
        double worst = 0.0;
        if (!golden.bare) {
            golden_case_use(&golden, "rules.safetensors");
            for (int b = 0; golden_backends[b] != NULL; b++) {
                misses += check_case(&golden, golden_backends[b], KEEP_EVERYTHING, false, &worst);
                misses += check_case(&golden, golden_backends[b], KEEP_LAYER_INPUTS, false, &worst);
                misses += check_case(&golden, golden_backends[b], KEEP_EVERYTHING, true, &worst);
            }
            print_message("%s: %.2g\n", current, worst);
            cases++;
        }
        golden_case_close(&golden);
    }
    assert_int_equal(misses, 0);
    assert_true(cases >= 60);
}

/* ---- the algebra ---- */

/* A bias takes its share of the relevance that reaches it. */
static bool has_biases(const Graph *graph) {
    for (NodeId node = 0; node < graph->n_nodes; node++) {
        const Op *op = &graph->nodes[node].op;
        bool second = (op->kind == OP_LINEAR || op->kind == OP_GAIN) && op->weights[1].data != NULL;
        if (second || (op->kind == OP_SUM_HEADS && op->weights[0].data != NULL)) {
            return true;
        }
    }
    return false;
}

/* sum of value * gradient at a site */
static limn_status add_relevance(void *context, NodeId node, int32_t row_begin, int32_t n_rows, int64_t width,
                                 const float *value, const float *gradient) {
    (void)node;
    (void)row_begin;
    double *sum = context;
    for (int64_t e = 0; e < n_rows * width; e++) {
        sum[0] += (double)value[e] * (double)gradient[e];
        sum[1] += fabs((double)value[e] * (double)gradient[e]);
    }
    return LIMN_OK;
}

/* Relevance of all tokens and what it should come to: the sum of the targets' logits. */
static double relevance_gap(const GoldenCase *golden, const char *backend, RuleSet rules) {
    const NodeId embed = golden->model->graph.embed;
    double sum[2] = {0.0, 0.0};
    GradientSink sink = {.nodes = &embed, .n = 1, .with_values = true, .function = add_relevance, .context = sum};
    Seed seed = {.node = golden->model->graph.logits, .kind = SEED_LOGIT};
    RunRequest request = request_of(golden, rules, NULL, 0);
    request.objective = OBJECTIVE_NONE;
    request.seeds = &seed;
    request.n_seeds = 1;
    request.sink = &sink;
    Engine *engine = open_engine(golden, &(EngineOptions){.backend = backend, .keep = KEEP_LAYER_INPUTS});
    run(engine, &request);
    double gap = fabs(sum[0] - engine_total(engine)) / (fabs(engine_total(engine)) + sum[1]);
    engine_free(engine);
    return gap;
}

static void relevance_is_conserved_through_a_model(void **state) {
    (void)state;
    int cases = 0, with_experts = 0, capped = 0;
    for (int c = 0; golden_cases[c].name != NULL; c++) {
        GoldenCase golden;
        current = golden_cases[c].name;
        golden_case_open(&golden, current, NULL);
        bool positions = graph_find_site(&golden.model->graph, "hook_pos_embed") != NODE_NONE;
        for (int b = 0; golden_backends[b] != NULL && !golden.bare && !positions; b++) {
            if (has_biases(&golden.model->graph)) {
                continue;
            }
            double conserved = relevance_gap(&golden, golden_backends[b], RULES_RELP);
            double mutant = fmin(relevance_gap(&golden, golden_backends[b], RULES_TRUE),
                                 relevance_gap(&golden, golden_backends[b], RULES_LRP));
            if (!(conserved <= 1e-6) || !(mutant > 2e-5)) {
                fail_msg("%s, %s: relp loses %.3g of the relevance; the true gradient and lrp at least %.3g", current,
                         golden_backends[b], conserved, mutant);
            }
            cases++;
            with_experts += golden.model->config.n_experts > 0;
            capped += (golden_cases[c].has & HAS_SCORE_CAP) != 0;
        }
        golden_case_close(&golden);
    }
    assert_true(cases >= 10 && with_experts > 0 && capped > 0);
}

/* ---- what the planner makes of them ---- */

static bool program_has(Engine *engine, const RunRequest *request, const char *step) {
    char *text;
    assert_int_equal(engine_describe_program(engine, request, &text), LIMN_OK);
    bool found = strstr(text, step) != NULL;
    free(text);
    return found;
}

/* Fused forms stand under every set (each has a row for them); without a gradient a set makes no other program; and
 * nothing is computed for what a set stops. */
static void programs_stay_fused(void **state) {
    (void)state;
    GoldenCase golden;
    current = "llama3";
    golden_case_open(&golden, current, NULL);
    Engine *engine = open_engine(&golden, &(EngineOptions){.backend = golden_backends[0]});
    for (int set = RULES_TRUE; set < RULE_SET_COUNT; set++) {
        RunRequest request = request_of(&golden, (RuleSet)set, &golden.model->graph.embed, 1);
        static const char *const fused[] = {"NORM ", "ATTENTION ", "GATED_ACTIVATION "};
        for (int i = 0; i < 3; i++) {
            assert_true(program_has(engine, &request, fused[i]));
        }
        /* queries and keys turn back only where a gradient goes through the pattern */
        bool stopped = gradient_rule((RuleSet)set, OP_ATTENTION_PATTERN) == GRADIENT_STOP;
        assert_true(program_has(engine, &request, "backward  ROPE") == !stopped);
        request.grads = NULL;
        request.n_grads = 0;
        assert_true(!program_has(engine, &request, "backward"));
    }
    engine_free(engine);
    golden_case_close(&golden);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_family_agrees),
        cmocka_unit_test(relevance_is_conserved_through_a_model),
        cmocka_unit_test(programs_stay_fused),
    };
    return cmocka_run_group_tests_name("gradient rules", tests, NULL, NULL);
}
