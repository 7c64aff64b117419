/* Integrated gradients of two small functions with known answers, from Captum's unit tests (BSD-3-Clause, numbers
 * only): relu(relu(x1) - 1 - relu(x2)) and the same function written relu(relu(x1 - 1) - relu(x2)), from (0, 0) to
 * (3, 1), are 1.5 and -0.5 within 0.05, however the function is written. A point is one row whose embedding is set
 * by an edit; the gradient is taken there. */
#include <math.h>
#include <stdlib.h>

#include "run/engine.h"

/* after our own headers: cmocka has a macro named fail */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

enum { NODES = 512 };

static const float embedding[] = {0.0f, 0.0f, 3.0f, 1.0f}; /* [2, 2]: baseline, input */
static const float identity[] = {1.0f, 0.0f, 0.0f, 1.0f};  /* [2, 2] */
static const float difference[] = {1.0f, -1.0f};           /* [1, 2] */

static Weight weight(const float *data, int64_t rows, int64_t columns) {
    return (Weight){.name = "relu",
                    .dtype = DTYPE_F32,
                    .rows = rows,
                    .columns = columns,
                    .row_stride = columns,
                    .column_stride = 1,
                    .data = data};
}

/* relu(difference . relu(x + inner) + outer) */
static void build(Model *model, const float *inner, const float *outer) {
    *model = (Model){.config = {.architecture = "Relu",
                                .task = TASK_CAUSAL_LM,
                                .n_layers = 1,
                                .d_model = 2,
                                .n_heads = 1,
                                .n_kv_heads = 1,
                                .d_head = 2,
                                .n_vocab = 2,
                                .n_context = 1,
                                .causal = true}};
    Graph *g = &model->graph;
    graph_init(g, 1);
    OpAttributes one = {.scale = 1.0f}, relu = {.activation = ACTIVATION_RELU};
    Weight table = weight(embedding, 2, 2);
    Weight first[2] = {weight(identity, 2, 2), weight(inner, 2, 1)};
    Weight second[2] = {weight(difference, 1, 2), weight(outer, 1, 1)};
    NodeId x = graph_add(g, OP_EMBED, -1, NULL, &table, &one, "embed");
    g->embed = graph_site(g, x, "hook_embed", -1);
    NodeId shifted = graph_add(g, OP_LINEAR, 0, &x, first, NULL, "inner");
    NodeId hidden = graph_add(g, OP_ACTIVATION, 0, &shifted, NULL, &relu, "relu");
    g->final = graph_site(g, hidden, "hook_resid_post", 0);
    g->selected = graph_add(g, OP_SELECT_ROWS, -1, &g->final, NULL, NULL, "select");
    NodeId sum = graph_add(g, OP_LINEAR, -1, &g->selected, second, NULL, "outer");
    g->logits = graph_add(g, OP_ACTIVATION, -1, &sum, NULL, &relu, "logits");
    g->log_prob = graph_add(g, OP_LOG_PROB, -1, &g->logits, NULL, NULL, "log_prob");
    g->pick = graph_add(g, OP_PICK, -1, &g->logits, NULL, NULL, "pick");
    if (graph_seal(g) != LIMN_OK) {
        fail_msg("%s", error_message());
    }
}

/* The middle rule with NODES nodes, all of them one set of rows. */
static void integrate(const Model *model, const char *backend, double attribution[2]) {
    Engine *engine;
    EngineOptions options = {.backend = backend};
    assert_int_equal(engine_new(&engine, model, &options), LIMN_OK);
    static const int32_t id = 1;
    SequenceInput sequences[NODES];
    OutputRow outputs[NODES];
    float points[NODES][2]; /* [NODES, D] */
    for (int i = 0; i < NODES; i++) {
        float alpha = ((float)i + 0.5f) / (float)NODES;
        points[i][0] = alpha * embedding[2];
        points[i][1] = alpha * embedding[3];
        sequences[i] = (SequenceInput){.ids = &id, .n = 1};
        outputs[i] = (OutputRow){.sequence = i, .row = 0, .target = 0, .weight = 1.0f};
    }
    NodeId embed = model->graph.embed;
    Edit edit = {.node = embed,
                 .kind = EDIT_SET,
                 .sequence = -1,
                 .row_end = -1,
                 .element_end = -1,
                 .values = points[0],
                 .row_stride = 2,
                 .sequence_stride = 2};
    RunRequest request = {.sequences = sequences,
                          .n_sequences = NODES,
                          .outputs = outputs,
                          .n_outputs = NODES,
                          .grads = &embed,
                          .n_grads = 1,
                          .edits = &edit,
                          .n_edits = 1,
                          .objective = OBJECTIVE_LOGIT};
    if (engine_run(engine, &request, NULL) != LIMN_OK) {
        fail_msg("%s", error_message());
    }
    int32_t rows;
    int64_t width;
    const float *gradient = engine_grad(engine, embed, &rows, &width); /* [NODES, D] */
    assert_int_equal(rows, NODES);
    assert_int_equal(width, 2);
    attribution[0] = attribution[1] = 0.0;
    for (int i = 0; i < NODES; i++) {
        attribution[0] += (double)gradient[2 * i] * (double)embedding[2] / NODES;
        attribution[1] += (double)gradient[2 * i + 1] * (double)embedding[3] / NODES;
    }
    engine_free(engine);
}

static void check(const float *inner, const float *outer) {
    static const char *const backends[] = {"ref", "cpu"};
    for (int b = 0; b < 2; b++) {
        if (backend_find(backends[b]) == NULL) {
            continue; /* a build with the plain C backend alone */
        }
        Model model;
        build(&model, inner, outer);
        double attribution[2];
        integrate(&model, backends[b], attribution);
        assert_true(fabs(attribution[0] - 1.5) <= 0.05);
        assert_true(fabs(attribution[1] + 0.5) <= 0.05);
        graph_free(&model.graph);
    }
}

static void one_outside(void **state) {
    static const float inner[] = {0.0f, 0.0f}, outer[] = {-1.0f};
    check(inner, outer);
}

static void one_inside(void **state) {
    static const float inner[] = {-1.0f, 0.0f}, outer[] = {0.0f};
    check(inner, outer);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(one_outside), cmocka_unit_test(one_inside)};
    return cmocka_run_group_tests_name("integrated gradients of small relu functions", tests, NULL, NULL);
}
