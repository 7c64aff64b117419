/* Gradients pass through edits: with a site changed, the gradient of what lies before it is still that of finite
 * differences. The ops that save their own output for the backward pass (scales, normalised values, scores,
 * patterns, attention) must save what they computed, not what the edit made of it. */
#include <math.h>
#include <stdio.h>

#include "run/engine.h"
#include "run/toy_model.h"

/* after our own headers: cmocka has a macro named fail */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

static const int32_t ids[] = {3, 14, 15, 9, 26, 5, 35};
static const SequenceInput sequence = {.ids = ids, .n = 7};
static const OutputRow output = {0, 6, 11, 1.0F};

static const char *const sites[] = {
    "blocks.1.ln1.hook_scale",    "blocks.1.ln1.hook_normalized", "blocks.1.attn.hook_q",
    "blocks.1.attn.hook_rot_k",   "blocks.1.attn.hook_v",         "blocks.1.attn.hook_attn_scores",
    "blocks.1.attn.hook_pattern", "blocks.1.attn.hook_z",         "blocks.1.attn.hook_result",
    "blocks.1.hook_attn_out",     "blocks.1.hook_resid_mid",      "blocks.1.mlp.hook_pre",
    "blocks.1.mlp.hook_post",     "blocks.2.ln2.hook_scale",      "ln_final.hook_normalized",
    "ln_final.hook_scale",
};
enum { N_SITES = sizeof sites / sizeof sites[0] };

typedef struct Change {
    const char *name;
    EditKind kind;
    float value;
    bool part; /* the first element of each row only */
} Change;

static const Change changes[] = {
    {"add", EDIT_ADD, 0.7F, false},
    {"multiply", EDIT_MULTIPLY, 0.4F, false},
    {"set one element", EDIT_SET, 0.3F, true},
    {"add to one element", EDIT_ADD, 0.5F, true},
};

static Model model;

static double objective(Engine *engine, RunRequest *request) {
    limn_status status = engine_run(engine, request, NULL);
    if (status != LIMN_OK) {
        fail_msg("%s", error_message());
    }
    return (double)engine_objective(engine)[0];
}

/* d(objective)/d(hook_embed[row 0, element]) with the site changed, claimed and seen. */
static int check_element(Engine *engine, const Edit *edit, int64_t element, double claimed, const char *what) {
    const float step = 4e-3F;
    double values[2];
    for (int side = 0; side < 2; side++) {
        float push = side == 0 ? step : -step;
        Edit edits[2] = {*edit,
                         {.node = model.graph.embed,
                          .kind = EDIT_ADD,
                          .row_end = 1,
                          .element_begin = element,
                          .element_end = element + 1,
                          .values = &push}};
        RunRequest request = {.sequences = &sequence,
                              .n_sequences = 1,
                              .outputs = &output,
                              .n_outputs = 1,
                              .objective = OBJECTIVE_LOG_PROB,
                              .edits = edits,
                              .n_edits = 2};
        values[side] = objective(engine, &request);
    }
    double seen = (values[0] - values[1]) / (2.0 * (double)step);
    if (fabs(seen - claimed) <= 1e-3 + 2e-2 * fabs(seen)) {
        return 0;
    }
    print_error("%s, element %lld of the embedding: gradient %g, finite difference %g\n", what, (long long)element,
                claimed, seen);
    return 1;
}

static int check_change(Engine *engine, const char *site, const Change *change, const char *setting) {
    Edit edit = {.node = graph_find_site(&model.graph, site),
                 .kind = change->kind,
                 .row_end = -1,
                 .element_end = change->part ? 1 : -1,
                 .values = &change->value,
                 .scalar = true};
    assert_int_not_equal(edit.node, NODE_NONE);
    RunRequest request = {.sequences = &sequence,
                          .n_sequences = 1,
                          .outputs = &output,
                          .n_outputs = 1,
                          .objective = OBJECTIVE_LOG_PROB,
                          .edits = &edit,
                          .n_edits = 1,
                          .grads = &model.graph.embed,
                          .n_grads = 1};
    (void)objective(engine, &request);
    int32_t rows;
    int64_t width;
    const float *grad = engine_grad(engine, model.graph.embed, &rows, &width);
    assert_non_null(grad);
    double claimed[3] = {(double)grad[0], (double)grad[1], (double)grad[5]};
    static const int64_t elements[3] = {0, 1, 5};
    char what[160];
    snprintf(what, sizeof what, "%s, %s, %s", setting, site, change->name);
    int failures = 0;
    for (int i = 0; i < 3; i++) {
        failures += check_element(engine, &edit, elements[i], claimed[i], what);
    }
    return failures;
}

static void gradients_pass_through_edits(void **state) {
    static const char *const backends[] = {"ref", "cpu"};
    int failures = 0;
    for (size_t b = 0; b < sizeof backends / sizeof backends[0]; b++) {
        if (backend_find(backends[b]) == NULL) {
            continue;
        }
        for (int keep = KEEP_EVERYTHING; keep <= KEEP_LAYER_INPUTS; keep++) {
            EngineOptions options = {.backend = backends[b], .keep = (KeepPolicy)keep, .chunk_rows = 3};
            Engine *engine;
            char setting[64];
            snprintf(setting, sizeof setting, "%s, policy %d", backends[b], keep);
            assert_int_equal(engine_new(&engine, &model, &options), LIMN_OK);
            for (size_t i = 0; i < N_SITES * (sizeof changes / sizeof changes[0]); i++) {
                failures += check_change(engine, sites[i % N_SITES], &changes[i / N_SITES], setting);
            }
            engine_free(engine);
        }
    }
    assert_int_equal(failures, 0);
}

int main(void) {
    ToyOptions options = TOY_DEFAULTS;
    if (toy_build(&model, &options) != LIMN_OK) {
        return 1;
    }
    const struct CMUnitTest tests[] = {cmocka_unit_test(gradients_pass_through_edits)};
    int failed = cmocka_run_group_tests_name("gradients through edits", tests, NULL, NULL);
    toy_free(&model);
    return failed;
}
