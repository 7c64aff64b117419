/* Shape rules as data, and how a graph is built, named and sealed. */
#include "base/error.h"
#include "graph/graph.h"
#include "graph/rules.h"
#include "graph/shapes.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#define VEC(n)                                                                                                         \
    {                                                                                                                  \
        1, {                                                                                                           \
            (n), 1                                                                                                     \
        }                                                                                                              \
    }
#define MAT(outer, inner)                                                                                              \
    {                                                                                                                  \
        2, {                                                                                                           \
            (outer), (inner)                                                                                           \
        }                                                                                                              \
    }
#define KEYS(heads)                                                                                                    \
    {                                                                                                                  \
        2, {                                                                                                           \
            (heads), DIM_KEYS                                                                                          \
        }                                                                                                              \
    }
#define WEIGHT(rows_, columns_)                                                                                        \
    { .name = "w", .rows = (rows_), .columns = (columns_) }

static const float frequencies[8];

typedef struct ShapeCase {
    OpKind kind;
    RowShape in[OP_MAX_INPUTS];
    Weight weights[OP_MAX_WEIGHTS];
    OpAttributes attributes;
    RowShape out; /* n_dims 0: refused */
} ShapeCase;

#define ROTARY(dims)                                                                                                   \
    { .inverse_freq = frequencies, .rotary_dims = (dims) }

static const Weight expert_in[] = {WEIGHT(5, 8), WEIGHT(5, 8), WEIGHT(5, 8)};
static const Weight expert_out[] = {WEIGHT(8, 5), WEIGHT(8, 5), WEIGHT(8, 5)};
static const Weight expert_odd[] = {WEIGHT(5, 8), WEIGHT(5, 8), WEIGHT(5, 7)};

#define MATRICES(...)                                                                                                  \
    {                                                                                                                  \
        .n_experts = 3, .experts = { __VA_ARGS__ }                                                                     \
    }

static const ShapeCase shape_cases[] = {
    {.kind = OP_EMBED, .weights = {WEIGHT(100, 8)}, .out = VEC(8)},
    {.kind = OP_POSITION_EMBED, .weights = {WEIGHT(100, 8)}, .out = VEC(8)},
    {.kind = OP_TYPE_EMBED, .weights = {WEIGHT(2, 8)}, .out = VEC(8)},
    {.kind = OP_LINEAR, .in = {VEC(8)}, .weights = {WEIGHT(5, 8)}, .out = VEC(5)},
    {.kind = OP_LINEAR, .in = {MAT(2, 4)}, .weights = {WEIGHT(5, 8), WEIGHT(5, 1)}, .out = VEC(5)},
    {.kind = OP_LINEAR, .in = {VEC(9)}, .weights = {WEIGHT(5, 8)}},
    {.kind = OP_LINEAR, .in = {VEC(8)}, .weights = {WEIGHT(5, 8), WEIGHT(4, 1)}},
    {.kind = OP_LINEAR, .in = {VEC(8)}, .weights = {WEIGHT(5, 8), WEIGHT(1, 5)}},
    {.kind = OP_ADD, .in = {VEC(8), VEC(8)}, .out = VEC(8)},
    {.kind = OP_ADD, .in = {MAT(2, 4), VEC(8)}, .out = MAT(2, 4)},
    {.kind = OP_ADD, .in = {VEC(8), VEC(7)}},
    {.kind = OP_MUL, .in = {VEC(8), VEC(8)}, .out = VEC(8)},
    {.kind = OP_MUL, .in = {VEC(8), VEC(1)}},
    {.kind = OP_SCALE, .in = {MAT(2, 4)}, .out = MAT(2, 4)},
    {.kind = OP_ACTIVATION, .in = {VEC(8)}, .out = VEC(8)},
    {.kind = OP_SOFTCAP, .in = {VEC(8)}, .out = VEC(8)},
    {.kind = OP_RMS_SCALE, .in = {VEC(8)}, .out = VEC(1)},
    {.kind = OP_RMS_SCALE, .in = {MAT(2, 4)}, .out = VEC(2)},
    {.kind = OP_LAYER_SCALE, .in = {VEC(8)}, .out = VEC(1)},
    {.kind = OP_NORMALIZE, .in = {VEC(8), VEC(1)}, .out = VEC(8)},
    {.kind = OP_NORMALIZE, .in = {MAT(2, 4), VEC(2)}, .out = MAT(2, 4)},
    {.kind = OP_NORMALIZE, .in = {VEC(8), VEC(8)}},
    {.kind = OP_NORMALIZE, .in = {MAT(2, 4), VEC(1)}},
    {.kind = OP_GAIN, .in = {VEC(8)}, .weights = {WEIGHT(8, 1), WEIGHT(8, 1)}, .out = VEC(8)},
    {.kind = OP_GAIN, .in = {MAT(2, 4)}, .weights = {WEIGHT(4, 1)}, .out = MAT(2, 4)},
    {.kind = OP_GAIN, .in = {MAT(2, 4)}, .weights = {WEIGHT(8, 1)}},
    {.kind = OP_ROPE, .in = {MAT(2, 16)}, .attributes = ROTARY(16), .out = MAT(2, 16)},
    {.kind = OP_ROPE, .in = {MAT(2, 16)}, .attributes = ROTARY(6), .out = MAT(2, 16)},
    {.kind = OP_ROPE, .in = {MAT(2, 16)}, .attributes = ROTARY(5)},
    {.kind = OP_ROPE, .in = {MAT(2, 8)}, .attributes = ROTARY(16)},
    {.kind = OP_ROPE, .in = {VEC(16)}, .attributes = ROTARY(16)},
    {.kind = OP_ATTENTION_SCORES, .in = {MAT(9, 8), MAT(3, 8)}, .out = KEYS(9)},
    {.kind = OP_ATTENTION_SCORES, .in = {MAT(9, 8), MAT(2, 8)}},
    {.kind = OP_ATTENTION_SCORES, .in = {MAT(9, 8), MAT(3, 6)}},
    {.kind = OP_ATTENTION_SCORES, .in = {VEC(72), MAT(3, 8)}},
    {.kind = OP_ATTENTION_PATTERN, .in = {KEYS(9)}, .out = KEYS(9)},
    {.kind = OP_ATTENTION_MIX, .in = {KEYS(9), MAT(3, 5)}, .out = MAT(9, 5)},
    {.kind = OP_ATTENTION_MIX, .in = {KEYS(9), MAT(4, 5)}},
    {.kind = OP_ATTENTION_MIX, .in = {KEYS(9), VEC(15)}},
    {.kind = OP_HEAD_LINEAR, .in = {MAT(3, 4)}, .weights = {WEIGHT(7, 12)}, .out = MAT(3, 7)},
    {.kind = OP_HEAD_LINEAR, .in = {MAT(3, 4)}, .weights = {WEIGHT(7, 13)}},
    {.kind = OP_SUM_HEADS, .in = {MAT(3, 7)}, .weights = {WEIGHT(7, 1)}, .out = VEC(7)},
    {.kind = OP_SUM_HEADS, .in = {MAT(3, 7)}, .out = VEC(7)},
    {.kind = OP_SUM_HEADS, .in = {MAT(3, 7)}, .weights = {WEIGHT(3, 1)}},
    {.kind = OP_SELECT_ROWS, .in = {MAT(3, 7)}, .out = MAT(3, 7)},
    {.kind = OP_LOG_PROB, .in = {VEC(100)}, .out = VEC(1)},
    {.kind = OP_PICK, .in = {VEC(100)}, .out = VEC(1)},
    {.kind = OP_SEED, .in = {MAT(3, 7)}, .out = VEC(1)},
    {.kind = OP_NORM, .in = {VEC(8)}, .weights = {WEIGHT(8, 1)}, .out = VEC(8)},
    {.kind = OP_NORM, .in = {VEC(8)}, .weights = {WEIGHT(7, 1)}},
    {.kind = OP_ATTENTION, .in = {MAT(9, 8), MAT(3, 8), MAT(3, 5)}, .out = MAT(9, 5)},
    {.kind = OP_ATTENTION, .in = {MAT(9, 8), MAT(3, 8), MAT(9, 5)}},
    {.kind = OP_ATTENTION, .in = {MAT(9, 8), MAT(4, 8), MAT(3, 5)}},
    {.kind = OP_GATED_ACTIVATION, .in = {VEC(8), VEC(8)}, .out = VEC(8)},
    {.kind = OP_GATED_ACTIVATION, .in = {VEC(8), VEC(9)}},
    {.kind = OP_SOFTMAX, .in = {VEC(8)}, .out = VEC(8)},
    {.kind = OP_TOP_K, .in = {VEC(8)}, .attributes = {.top_k = 3}, .out = VEC(3)},
    {.kind = OP_TOP_K, .in = {VEC(8)}, .attributes = {.top_k = 8}, .out = VEC(8)},
    {.kind = OP_TOP_K, .in = {VEC(8)}, .attributes = {.top_k = 9}},
    {.kind = OP_TOP_K, .in = {VEC(8)}},
    {.kind = OP_TOP_K, .in = {MAT(2, 4)}, .attributes = {.top_k = 1}},
    {.kind = OP_ROUTE, .in = {VEC(8), VEC(3)}, .out = VEC(8)},
    {.kind = OP_ROUTE, .in = {VEC(8), MAT(3, 1)}},
    {.kind = OP_EXPERT_LINEAR, .in = {VEC(8), VEC(3)}, .attributes = MATRICES(expert_in), .out = MAT(3, 5)},
    {.kind = OP_EXPERT_LINEAR, .in = {MAT(3, 8), VEC(3)}, .attributes = MATRICES(expert_in), .out = MAT(3, 5)},
    {.kind = OP_EXPERT_LINEAR, .in = {MAT(2, 8), VEC(3)}, .attributes = MATRICES(expert_in)},
    {.kind = OP_EXPERT_LINEAR, .in = {VEC(8), VEC(4)}, .attributes = MATRICES(expert_in)},
    {.kind = OP_EXPERT_LINEAR, .in = {VEC(7), VEC(3)}, .attributes = MATRICES(expert_in)},
    {.kind = OP_EXPERT_LINEAR, .in = {VEC(8), VEC(3)}, .attributes = MATRICES(expert_odd)},
    {.kind = OP_EXPERT_MIX, .in = {VEC(3), MAT(3, 8)}, .out = VEC(8)},
    {.kind = OP_EXPERT_MIX, .in = {VEC(3), MAT(4, 8)}},
    {.kind = OP_EXPERT_MIX, .in = {VEC(3), VEC(8)}},
    {.kind = OP_EXPERTS,
     .in = {VEC(8), VEC(3)},
     .attributes = MATRICES(expert_in, expert_in, expert_out),
     .out = VEC(8)},
    {.kind = OP_EXPERTS, .in = {VEC(8), VEC(3)}, .attributes = MATRICES(expert_in, expert_odd, expert_out)},
    {.kind = OP_EXPERTS, .in = {VEC(8), VEC(3)}, .attributes = MATRICES(expert_in, expert_in, expert_in)},
};

static bool same_shape(const RowShape *a, const RowShape *b) {
    return a->n_dims == b->n_dims && a->dims[0] == b->dims[0] && (a->n_dims == 1 || a->dims[1] == b->dims[1]);
}

static void shapes_follow_their_rules(void **state) {
    bool seen[OP_COUNT] = {false};
    for (size_t i = 0; i < sizeof shape_cases / sizeof shape_cases[0]; i++) {
        const ShapeCase *row = &shape_cases[i];
        Op op = {.kind = row->kind, .attributes = row->attributes};
        memcpy(op.in, row->in, sizeof op.in);
        memcpy(op.weights, row->weights, sizeof op.weights);
        error_clear();
        limn_status status = op_infer_shape(&op, "the.value");
        bool refused = status != LIMN_OK && strstr(error_message(), "the.value") != NULL;
        if (row->out.n_dims == 0 ? !refused : status != LIMN_OK || !same_shape(&op.out, &row->out)) {
            fail_msg("row %zu (%s): status %d, shape %d: [%lld, %lld] %s", i, op_info(row->kind)->name, (int)status,
                     op.out.n_dims, (long long)op.out.dims[0], (long long)op.out.dims[1], error_message());
        }
        seen[row->kind] = true;
    }
    for (int kind = 0; kind < OP_COUNT; kind++) {
        if (!seen[kind]) {
            fail_msg("%s has no row here", op_info((OpKind)kind)->name);
        }
    }
}

static void activations_are_known_by_their_names(void **state) {
    Activation activation;
    assert_true(activation_from_name("gelu_pytorch_tanh", &activation));
    assert_int_equal(activation, ACTIVATION_GELU_TANH);
    assert_true(activation_from_name("swish", &activation));
    assert_int_equal(activation, ACTIVATION_SILU);
    assert_false(activation_from_name("gelu_", &activation));
    assert_false(activation_from_name("silu swish", &activation));
    assert_false(activation_from_name("", &activation));
}

static void gradient_rules_are_a_table(void **state) {
    int rows = 0;
    for (int set = 0; set < RULE_SET_COUNT; set++) {
        RuleSet found;
        assert_true(rule_set_from_name(rule_set_name((RuleSet)set), &found));
        assert_int_equal(found, set);
        assert_non_null(strchr(rule_set_help((RuleSet)set), ' '));
        for (int kind = 0; kind < OP_COUNT; kind++) {
            GradientRule rule = gradient_rule((RuleSet)set, (OpKind)kind);
            rows += rule != GRADIENT_TRUE;
            assert_true(set != RULES_TRUE || rule == GRADIENT_TRUE);
            for (int i = 0; i < op_info((OpKind)kind)->n_inputs; i++) {
                bool stopped = rule == GRADIENT_STOP || !op_info((OpKind)kind)->differentiable;
                bool pattern = rule == GRADIENT_CONSTANT && kind == OP_ATTENTION && i < 2;
                assert_int_equal(rule_passes(rule, (OpKind)kind, i), !stopped && !pattern);
            }
        }
    }
    int given = 0; /* a second row for the same set and operation would never be found */
#define RULE(set, op, rule) given++;
#include "graph/rules.def"
    assert_int_equal(rows, given);
    RuleSet none;
    assert_false(rule_set_from_name("lr", &none));
    /* a chain whose operations are not all true needs a fused form that says what it does */
    static const OpKind product[] = {OP_LINEAR, OP_MUL}, linear[] = {OP_LINEAR, OP_ADD};
    assert_true(rules_allow_fusion(RULES_TRUE, OP_LINEAR, product, 2));
    assert_true(rules_allow_fusion(RULES_FROZEN, OP_LINEAR, product, 2));
    assert_false(rules_allow_fusion(RULES_LRP, OP_LINEAR, product, 2));
    assert_true(rules_allow_fusion(RULES_LRP, OP_LINEAR, linear, 2));
    assert_true(rules_allow_fusion(RULES_LRP, OP_GATED_ACTIVATION, product, 2));
    /* what a capped value no longer tells, its input does */
    assert_int_equal(rule_saves(GRADIENT_TRUE, OP_SOFTCAP), SAVES_OUT);
    assert_int_equal(rule_saves(GRADIENT_RATIO, OP_SOFTCAP), SAVES_IN0);
}

static const Weight table = WEIGHT(100, 8);
static const Weight square[OP_MAX_WEIGHTS] = {WEIGHT(8, 8)};
static const Weight narrow[OP_MAX_WEIGHTS] = {WEIGHT(8, 7)};

static void values_are_named_and_found(void **state) {
    Graph graph;
    graph_init(&graph, 2);
    NodeId x = graph_site(&graph, graph_add(&graph, OP_EMBED, -1, NULL, &table, NULL, "embed"), "hook_embed", -1);
    NodeId y = graph_site(&graph, graph_add(&graph, OP_LINEAR, 1, &x, square, NULL, "q"), "attn.hook_q", 1);
    assert_int_equal(graph_reshape(&graph, y, 2, 2, 4), y);
    assert_int_equal(graph_seal(&graph), LIMN_OK);
    assert_int_equal(graph_find_site(&graph, "hook_embed"), x);
    assert_int_equal(graph_find_site(&graph, "blocks.1.attn.hook_q"), y);
    assert_int_equal(graph_find_site(&graph, "blocks.0.attn.hook_q"), NODE_NONE);
    assert_string_equal(graph.nodes[y].site, "blocks.1.attn.hook_q");
    assert_int_equal(graph.nodes[y].op.out.dims[1], 4);
    assert_int_equal(graph.nodes[y].inputs[0], x);
    graph_free(&graph);
}

static void first_failure_is_kept(void **state) {
    Graph graph;
    graph_init(&graph, 1);
    NodeId x = graph_add(&graph, OP_EMBED, -1, NULL, &table, NULL, "embed");
    NodeId bad = graph_add(&graph, OP_LINEAR, 0, &x, narrow, NULL, "first");
    assert_int_equal(bad, NODE_NONE);
    assert_int_equal(graph_add(&graph, OP_SCALE, 0, &bad, NULL, NULL, "second"), NODE_NONE);
    assert_int_equal(graph_seal(&graph), LIMN_FORMAT);
    assert_non_null(strstr(error_message(), "first"));
    graph_free(&graph);

    graph_init(&graph, 1);
    x = graph_site(&graph, graph_add(&graph, OP_EMBED, -1, NULL, &table, NULL, "embed"), "hook_embed", -1);
    graph_site(&graph, graph_add(&graph, OP_SCALE, -1, &x, NULL, NULL, "again"), "hook_embed", -1);
    assert_int_not_equal(graph_seal(&graph), LIMN_OK);
    assert_non_null(strstr(error_message(), "hook_embed"));
    graph_free(&graph);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(shapes_follow_their_rules),
        cmocka_unit_test(gradient_rules_are_a_table),
        cmocka_unit_test(activations_are_known_by_their_names),
        cmocka_unit_test(values_are_named_and_found),
        cmocka_unit_test(first_failure_is_kept),
    };
    return cmocka_run_group_tests_name("graph", tests, NULL, NULL);
}
