#include "graph/shapes.h"

#include <stdio.h>
#include <string.h>

static const char *shape_text(const RowShape *shape, char buffer[64]) {
    if (shape->n_dims == 1) {
        snprintf(buffer, 64, "[%lld]", (long long)shape->dims[0]);
    } else if (shape->dims[1] == DIM_KEYS) {
        snprintf(buffer, 64, "[%lld, S]", (long long)shape->dims[0]);
    } else {
        snprintf(buffer, 64, "[%lld, %lld]", (long long)shape->dims[0], (long long)shape->dims[1]);
    }
    return buffer;
}

static RowShape vector(int64_t n) {
    return (RowShape){1, {n, 1}};
}

static RowShape matrix(int64_t outer, int64_t inner) {
    return (RowShape){2, {outer, inner}};
}

static int64_t last_dim(const RowShape *shape) {
    return shape->dims[shape->n_dims - 1];
}

/* The largest key count is unknown here; 1 stands for it, which serves every comparison made below. */
static int64_t width(const RowShape *shape) {
    return row_shape_width(shape, 1);
}

static limn_status misfit(const Op *op, const char *what, const char *found, const char *expected) {
    return fail(LIMN_FORMAT, "%s (%s): found %s, expected %s", what, op_info(op->kind)->name, found, expected);
}

static limn_status check_weight(const Op *op, int which, int64_t rows, int64_t columns, const char *what) {
    const Weight *weight = &op->weights[which];
    if (weight->rows == rows && weight->columns == columns) {
        return LIMN_OK;
    }
    return fail(LIMN_FORMAT, "%s (%s): tensor %s is [%lld, %lld], expected [%lld, %lld]", what, op_info(op->kind)->name,
                weight->name != NULL ? weight->name : "(absent)", (long long)weight->rows, (long long)weight->columns,
                (long long)rows, (long long)columns);
}

/* A bias or gain that may be absent. */
static limn_status check_optional_vector(const Op *op, int which, int64_t n, const char *what) {
    return op->weights[which].name == NULL ? LIMN_OK : check_weight(op, which, n, 1, what);
}

static limn_status check_same_width(const Op *op, const char *what) {
    if (width(&op->in[0]) == width(&op->in[1])) {
        return LIMN_OK;
    }
    char left[64], right[64];
    return misfit(op, what, shape_text(&op->in[1], left), shape_text(&op->in[0], right));
}

static limn_status check_heads(const Op *op, int which, const char *what) {
    const RowShape *shape = &op->in[which];
    if (shape->n_dims == 2 && shape->dims[0] > 0 && shape->dims[1] != 0) {
        return LIMN_OK;
    }
    char found[64];
    return misfit(op, what, shape_text(shape, found), "[heads, width]");
}

/* Query heads share key heads evenly, and their widths agree. */
static limn_status check_query_key(const Op *op, const char *what) {
    TRY(check_heads(op, 0, what));
    TRY(check_heads(op, 1, what));
    const RowShape *q = &op->in[0];
    const RowShape *k = &op->in[1];
    if (q->dims[0] % k->dims[0] != 0 || q->dims[1] != k->dims[1]) {
        char found[64], expected[64];
        char message[160];
        snprintf(message, sizeof message, "keys whose heads divide those of queries %s", shape_text(q, expected));
        return misfit(op, what, shape_text(k, found), message);
    }
    return LIMN_OK;
}

static limn_status infer_scale(Op *op) {
    op->out = vector(op->in[0].n_dims == 2 ? op->in[0].dims[0] : 1);
    return LIMN_OK;
}

static limn_status infer_gain(Op *op, const char *what) {
    TRY(check_optional_vector(op, 0, last_dim(&op->in[0]), what));
    TRY(check_optional_vector(op, 1, last_dim(&op->in[0]), what));
    op->out = op->in[0];
    return LIMN_OK;
}

static limn_status infer_rope(Op *op, const char *what) {
    TRY(check_heads(op, 0, what));
    int32_t dims = op->attributes.rotary_dims;
    if (dims <= 0 || dims % 2 != 0 || dims > op->in[0].dims[1] || op->attributes.inverse_freq == NULL) {
        char found[64];
        char message[96];
        snprintf(message, sizeof message, "an even rotary width up to the head width, not %d", dims);
        return misfit(op, what, shape_text(&op->in[0], found), message);
    }
    op->out = op->in[0];
    return LIMN_OK;
}

static limn_status infer_mix(Op *op, const RowShape *pattern_heads, const RowShape *v, const char *what) {
    if (v->n_dims != 2 || v->dims[0] <= 0 || pattern_heads->dims[0] % v->dims[0] != 0) {
        char found[64];
        return misfit(op, what, shape_text(v, found), "values whose heads divide the query heads");
    }
    op->out = matrix(pattern_heads->dims[0], v->dims[1]);
    return LIMN_OK;
}

static limn_status infer_head_linear(Op *op, const char *what) {
    TRY(check_heads(op, 0, what));
    int64_t d_model = op->weights[0].rows;
    TRY(check_weight(op, 0, d_model, width(&op->in[0]), what));
    op->out = matrix(op->in[0].dims[0], d_model);
    return LIMN_OK;
}

/* One vector of E weights or choices. */
static limn_status check_experts(const Op *op, int which, const char *what) {
    const RowShape *shape = &op->in[which];
    if (shape->n_dims == 1 && shape->dims[0] > 0 && shape->dims[0] <= INT32_MAX) {
        return LIMN_OK;
    }
    char found[64];
    return misfit(op, what, shape_text(shape, found), "[experts]");
}

/* Every expert's matrix `which` is [rows, columns]. */
static limn_status check_expert_weights(const Op *op, int which, int64_t rows, int64_t columns, const char *what) {
    const OpAttributes *attributes = &op->attributes;
    for (int32_t e = 0; e < attributes->n_experts; e++) {
        const Weight *weight = &attributes->experts[which][e];
        if (weight->rows != rows || weight->columns != columns || rows <= 0 || columns <= 0) {
            return fail(LIMN_FORMAT, "%s (%s): tensor %s of expert %d is [%lld, %lld], expected [%lld, %lld]", what,
                        op_info(op->kind)->name, weight->name != NULL ? weight->name : "(absent)", e,
                        (long long)weight->rows, (long long)weight->columns, (long long)rows, (long long)columns);
        }
    }
    return LIMN_OK;
}

/* Input 1 holds a weight for each of the experts whose matrices there are. */
static limn_status check_expert_count(const Op *op, const char *what) {
    TRY(check_experts(op, 1, what));
    if (op->attributes.n_experts == op->in[1].dims[0]) {
        return LIMN_OK;
    }
    char found[64], expected[64];
    snprintf(expected, sizeof expected, "[%d]", op->attributes.n_experts);
    return misfit(op, what, shape_text(&op->in[1], found), expected);
}

static limn_status infer_top_k(Op *op, const char *what) {
    TRY(check_experts(op, 0, what));
    if (op->attributes.top_k < 1 || op->attributes.top_k > op->in[0].dims[0]) {
        char found[64], expected[64];
        snprintf(expected, sizeof expected, "at least %d values to choose from", op->attributes.top_k);
        return misfit(op, what, shape_text(&op->in[0], found), expected);
    }
    op->out = vector(op->attributes.top_k);
    return LIMN_OK;
}

static limn_status infer_expert_linear(Op *op, const char *what) {
    TRY(check_expert_count(op, what));
    int64_t experts = op->in[1].dims[0];
    const RowShape *x = &op->in[0];
    if (x->n_dims == 2 && x->dims[0] != experts) {
        char found[64];
        return misfit(op, what, shape_text(x, found), "one vector, or one for each expert");
    }
    int64_t rows = op->attributes.experts[0][0].rows;
    TRY(check_expert_weights(op, 0, rows, last_dim(x), what));
    op->out = matrix(experts, rows);
    return LIMN_OK;
}

static limn_status infer_expert_mix(Op *op, const char *what) {
    TRY(check_experts(op, 0, what));
    const RowShape *x = &op->in[1];
    if (x->n_dims != 2 || x->dims[0] != op->in[0].dims[0] || x->dims[1] <= 0) {
        char found[64];
        return misfit(op, what, shape_text(x, found), "one vector for each expert");
    }
    op->out = vector(x->dims[1]);
    return LIMN_OK;
}

static limn_status infer_experts(Op *op, const char *what) {
    TRY(check_expert_count(op, what));
    int64_t d_model = width(&op->in[0]), inner = op->attributes.experts[EXPERT_GATE][0].rows;
    TRY(check_expert_weights(op, EXPERT_GATE, inner, d_model, what));
    TRY(check_expert_weights(op, EXPERT_UP, inner, d_model, what));
    TRY(check_expert_weights(op, EXPERT_DOWN, d_model, inner, what));
    op->out = vector(d_model);
    return LIMN_OK;
}

/* The operations of a mixture of experts. */
static limn_status infer_mixture(Op *op, const char *what) {
    switch (op->kind) {
    case OP_TOP_K:
        return infer_top_k(op, what);
    case OP_EXPERT_LINEAR:
        return infer_expert_linear(op, what);
    case OP_EXPERT_MIX:
        return infer_expert_mix(op, what);
    case OP_EXPERTS:
        return infer_experts(op, what);
    default:
        TRY(check_experts(op, 0, what));
        TRY(check_experts(op, 1, what));
        op->out = op->in[0];
        return LIMN_OK;
    }
}

limn_status op_infer_shape(Op *op, const char *what) {
    switch (op->kind) {
    case OP_EMBED:
    case OP_POSITION_EMBED:
    case OP_TYPE_EMBED:
        op->out = vector(op->weights[0].columns);
        return LIMN_OK;
    case OP_LINEAR:
        TRY(check_weight(op, 0, op->weights[0].rows, width(&op->in[0]), what));
        TRY(check_optional_vector(op, 1, op->weights[0].rows, what));
        op->out = vector(op->weights[0].rows);
        return LIMN_OK;
    case OP_ADD:
    case OP_MUL:
    case OP_GATED_ACTIVATION:
        TRY(check_same_width(op, what));
        op->out = op->in[0];
        return LIMN_OK;
    case OP_SCALE:
    case OP_ACTIVATION:
    case OP_SOFTCAP:
    case OP_SELECT_ROWS:
    case OP_ATTENTION_PATTERN:
    case OP_SOFTMAX:
        op->out = op->in[0];
        return LIMN_OK;
    case OP_TOP_K:
    case OP_ROUTE:
    case OP_EXPERT_LINEAR:
    case OP_EXPERT_MIX:
    case OP_EXPERTS:
        return infer_mixture(op, what);
    case OP_RMS_SCALE:
    case OP_LAYER_SCALE:
        return infer_scale(op);
    case OP_NORMALIZE:
        op->out = op->in[0];
        if (width(&op->in[1]) != (op->in[0].n_dims == 2 ? op->in[0].dims[0] : 1)) {
            char found[64];
            return misfit(op, what, shape_text(&op->in[1], found), "one scale for each normalised vector");
        }
        return LIMN_OK;
    case OP_GAIN:
    case OP_NORM:
        return infer_gain(op, what);
    case OP_ROPE:
        return infer_rope(op, what);
    case OP_ATTENTION_SCORES:
        TRY(check_query_key(op, what));
        op->out = matrix(op->in[0].dims[0], DIM_KEYS);
        return LIMN_OK;
    case OP_ATTENTION_MIX:
        TRY(check_heads(op, 0, what));
        return infer_mix(op, &op->in[0], &op->in[1], what);
    case OP_ATTENTION:
        TRY(check_query_key(op, what));
        if (op->in[1].dims[0] != op->in[2].dims[0]) {
            char found[64];
            return misfit(op, what, shape_text(&op->in[2], found), "as many heads of values as of keys");
        }
        return infer_mix(op, &op->in[0], &op->in[2], what);
    case OP_HEAD_LINEAR:
        return infer_head_linear(op, what);
    case OP_SUM_HEADS:
        TRY(check_heads(op, 0, what));
        op->out = vector(op->in[0].dims[1]);
        return check_optional_vector(op, 0, op->in[0].dims[1], what);
    case OP_SEED:
    case OP_LOG_PROB:
    case OP_PICK:
        op->out = vector(1);
        return LIMN_OK;
    case OP_COUNT:
        break;
    }
    return fail(LIMN_INTERNAL, "%s: no shape rule for op %d", what, (int)op->kind);
}
