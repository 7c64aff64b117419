/* Chains whose inner values nobody looks at become one operation.
 *
 * Each rule looks at a chain's last node and rewrites it in place; the inner nodes lose their only reader and
 * are dropped. A rule does not apply when an inner value is observed or has another reader, nor where the question's
 * gradient rules take another derivative of one of the chain's operations and have no row for the fused one. */
#include "plan/lower.h"

typedef struct Fuser {
    Plan *plan;
    const int32_t *uses; /* [graph nodes] */
} Fuser;

/* The node that makes input `which`, if it is of this kind and may disappear. */
static PlanNode *inner(const Fuser *fuser, const PlanNode *node, int which, OpKind kind) {
    PlanNode *made_by = &fuser->plan->nodes[node->inputs[which]];
    bool hidden = !made_by->observed && fuser->uses[made_by->node] == 1;
    return made_by->op.kind == kind && hidden ? made_by : NULL;
}

/* GAIN(NORMALIZE(x, SCALE(x))) -> NORM(x) */
static void fuse_norm(const Fuser *fuser, PlanNode *gain) {
    PlanNode *normalize = inner(fuser, gain, 0, OP_NORMALIZE);
    if (normalize == NULL) {
        return;
    }
    bool centered = normalize->op.attributes.centered;
    PlanNode *scale = inner(fuser, normalize, 1, centered ? OP_LAYER_SCALE : OP_RMS_SCALE);
    if (scale == NULL || scale->inputs[0] != normalize->inputs[0]) {
        return;
    }
    gain->op.kind = OP_NORM;
    gain->op.in[0] = scale->op.in[0];
    gain->op.attributes.centered = centered;
    gain->op.attributes.epsilon = scale->op.attributes.epsilon;
    gain->inputs[0] = scale->inputs[0];
}

/* MIX(PATTERN(SCORES(q, k)), v) -> ATTENTION(q, k, v) */
static void fuse_attention(const Fuser *fuser, PlanNode *mix) {
    PlanNode *pattern = inner(fuser, mix, 0, OP_ATTENTION_PATTERN);
    PlanNode *scores = pattern == NULL ? NULL : inner(fuser, pattern, 0, OP_ATTENTION_SCORES);
    if (scores == NULL) {
        return;
    }
    scores->append = false; /* the fused form hands both keys and values to the cache */
    mix->op.kind = OP_ATTENTION;
    mix->op.attributes = scores->op.attributes;
    mix->op.in[2] = mix->op.in[1];
    mix->inputs[2] = mix->inputs[1];
    for (int i = 0; i < 2; i++) {
        mix->op.in[i] = scores->op.in[i];
        mix->inputs[i] = scores->inputs[i];
    }
}

/* What the branches of adapters make of the heads' results: sums, gains and projections (one after another: a branch),
 * none of which anybody looks at. */
static bool is_head_tree(const Fuser *fuser, int32_t index) {
    const PlanNode *node = &fuser->plan->nodes[index];
    if (node->observed || fuser->uses[node->node] != 1) {
        return false;
    }
    switch (node->op.kind) {
    case OP_HEAD_LINEAR:
        return true;
    case OP_ADD:
        return is_head_tree(fuser, node->inputs[0]) && is_head_tree(fuser, node->inputs[1]);
    case OP_GAIN:
        return node->op.weights[1].name == NULL && is_head_tree(fuser, node->inputs[0]);
    default:
        return false;
    }
}

/* The same tree for the sum over heads; the bias goes to the first gain on its left side, else to the projection. */
static void sum_head_tree(const Fuser *fuser, int32_t index, const Weight *bias) {
    static const Weight none = {0};
    PlanNode *node = &fuser->plan->nodes[index];
    Op *op = &node->op;
    op->out = (RowShape){1, {op->out.dims[1], 1}};
    if (op->kind == OP_HEAD_LINEAR) {
        PlanNode *down = inner(fuser, node, 0, OP_HEAD_LINEAR);
        op->kind = OP_LINEAR;
        op->weights[1] = *bias;
        if (down != NULL) { /* the same map for each head, side by side: one of them */
            down->op.kind = OP_LINEAR;
            down->op.out = (RowShape){1, {down->op.out.dims[1], 1}};
            op->weights[0].columns = down->op.weights[0].rows;
            op->in[0] = down->op.out;
        }
        return;
    }
    bool gain = op->kind == OP_GAIN;
    op->weights[1] = gain ? *bias : none;
    for (int i = 0; i < op_info(op->kind)->n_inputs; i++) {
        sum_head_tree(fuser, node->inputs[i], gain || i > 0 ? &none : bias);
        op->in[i] = op->out;
    }
}

/* SUM_HEADS(tree of HEAD_LINEAR) -> the tree of LINEAR */
static void fuse_head_tree(const Fuser *fuser, PlanNode *sum) {
    PlanNode *root = &fuser->plan->nodes[sum->inputs[0]];
    if (root->op.kind == OP_HEAD_LINEAR || !is_head_tree(fuser, sum->inputs[0])) {
        return;
    }
    Weight bias = sum->op.weights[0];
    sum_head_tree(fuser, sum->inputs[0], &bias);
    sum->op = root->op;
    for (int i = 0; i < OP_MAX_INPUTS; i++) {
        sum->inputs[i] = root->inputs[i];
    }
}

/* SUM_HEADS(HEAD_LINEAR(z)) -> LINEAR(z) */
static void fuse_head_sum(const Fuser *fuser, PlanNode *sum) {
    PlanNode *heads = inner(fuser, sum, 0, OP_HEAD_LINEAR);
    if (heads == NULL) {
        fuse_head_tree(fuser, sum);
        return;
    }
    sum->op.kind = OP_LINEAR;
    sum->op.weights[1] = sum->op.weights[0];
    sum->op.weights[0] = heads->op.weights[0];
    sum->op.in[0] = heads->op.in[0];
    sum->inputs[0] = heads->inputs[0];
}

/* MUL(ACTIVATION(gate), up) -> GATED_ACTIVATION(gate, up) */
static void fuse_gate(const Fuser *fuser, PlanNode *mul) {
    PlanNode *activation = inner(fuser, mul, 0, OP_ACTIVATION);
    if (activation == NULL) {
        return;
    }
    mul->op.kind = OP_GATED_ACTIVATION;
    mul->op.attributes.activation = activation->op.attributes.activation;
    mul->op.in[0] = activation->op.in[0];
    mul->inputs[0] = activation->inputs[0];
}

/* MIX(w, DOWN(GATED(GATE(x, w), UP(x, w)), w)) -> EXPERTS(x, w) */
static void fuse_experts(const Fuser *fuser, PlanNode *mix) {
    PlanNode *down = inner(fuser, mix, 1, OP_EXPERT_LINEAR);
    PlanNode *gated = down == NULL ? NULL : inner(fuser, down, 0, OP_GATED_ACTIVATION);
    PlanNode *gate = gated == NULL ? NULL : inner(fuser, gated, 0, OP_EXPERT_LINEAR);
    PlanNode *up = gate == NULL ? NULL : inner(fuser, gated, 1, OP_EXPERT_LINEAR);
    int32_t w = mix->inputs[0];
    if (up == NULL || down->inputs[1] != w || gate->inputs[1] != w || up->inputs[1] != w ||
        gate->inputs[0] != up->inputs[0] || gate->op.in[0].n_dims != 1) {
        return;
    }
    mix->op.kind = OP_EXPERTS;
    mix->op.attributes = down->op.attributes;
    mix->op.attributes.activation = gated->op.attributes.activation;
    mix->op.attributes.experts[EXPERT_GATE] = gate->op.attributes.experts[0];
    mix->op.attributes.experts[EXPERT_UP] = up->op.attributes.experts[0];
    mix->op.attributes.experts[EXPERT_DOWN] = down->op.attributes.experts[0];
    mix->op.in[0] = gate->op.in[0];
    mix->op.in[1] = gate->op.in[1];
    mix->inputs[0] = gate->inputs[0];
    mix->inputs[1] = w;
}

enum { MAX_PARTS = 4 };

static const struct {
    OpKind last;
    void (*fuse)(const Fuser *fuser, PlanNode *last);
    OpKind fused;
    int n_parts;
    OpKind parts[MAX_PARTS]; /* of the chain */
} rules[] = {
    {OP_GAIN, fuse_norm, OP_NORM, 4, {OP_RMS_SCALE, OP_LAYER_SCALE, OP_NORMALIZE, OP_GAIN}},
    {OP_ATTENTION_MIX, fuse_attention, OP_ATTENTION, 3, {OP_ATTENTION_SCORES, OP_ATTENTION_PATTERN, OP_ATTENTION_MIX}},
    {OP_SUM_HEADS, fuse_head_sum, OP_LINEAR, 4, {OP_HEAD_LINEAR, OP_SUM_HEADS, OP_ADD, OP_GAIN}},
    {OP_MUL, fuse_gate, OP_GATED_ACTIVATION, 2, {OP_ACTIVATION, OP_MUL}},
    {OP_EXPERT_MIX, fuse_experts, OP_EXPERTS, 3, {OP_EXPERT_LINEAR, OP_GATED_ACTIVATION, OP_EXPERT_MIX}},
};

limn_status plan_fuse(Plan *plan, const int32_t *uses) {
    Fuser fuser = {plan, uses};
    for (int32_t i = 0; i < plan->n_nodes; i++) {
        for (size_t rule = 0; rule < sizeof rules / sizeof rules[0]; rule++) {
            bool allowed =
                rules_allow_fusion(plan->question->rules, rules[rule].fused, rules[rule].parts, rules[rule].n_parts);
            if (plan->nodes[i].op.kind == rules[rule].last && !plan->nodes[i].given && allowed) {
                rules[rule].fuse(&fuser, &plan->nodes[i]);
                break;
            }
        }
    }
    return LIMN_OK;
}
