/* The table of operations, expanded from ops.def. */
#include "graph/graph.h"

#include <string.h>

#define ROW                REACH_ROW
#define SEQUENCE           REACH_SEQUENCE
#define SELECT             REACH_SELECT
#define NOTHING            SAVES_NOTHING
#define IN0                SAVES_IN0
#define IN1                SAVES_IN1
#define IN2                SAVES_IN2
#define OUT                SAVES_OUT
#define AUX                SAVES_AUX
#define DIFFERENTIABLE     true
#define NOT_DIFFERENTIABLE false

static const OpInfo op_rows[] = {
#define OP(name, n_inputs, n_weights, reach, saves, gradient, help)                                                    \
    {#name, n_inputs, n_weights, reach, saves, gradient, help},
#include "graph/ops.def"
#undef OP
};

const OpInfo *op_info(OpKind kind) {
    return &op_rows[kind];
}

static const char *const activation_aliases[] = {
#define ACTIVATION(name, aliases, formula) aliases,
#include "graph/activations.def"
#undef ACTIVATION
};

/* True when `name` is one of the space-separated words. */
static bool word_in(const char *words, const char *name) {
    size_t length = strlen(name);
    for (const char *word = words; *word != '\0';) {
        size_t n = strcspn(word, " ");
        if (n == length && memcmp(word, name, n) == 0) {
            return true;
        }
        word += n + strspn(word + n, " ");
    }
    return false;
}

bool activation_from_name(const char *name, Activation *activation) {
    for (int i = 0; i < ACTIVATION_COUNT; i++) {
        if (name[0] != '\0' && word_in(activation_aliases[i], name)) {
            *activation = (Activation)i;
            return true;
        }
    }
    return false;
}

int64_t row_shape_width(const RowShape *shape, int32_t max_keys) {
    int64_t width = 1;
    for (int i = 0; i < shape->n_dims; i++) {
        width *= shape->dims[i] == DIM_KEYS ? max_keys : shape->dims[i];
    }
    return width;
}

int64_t row_shape_last(const RowShape *shape) {
    return shape->dims[shape->n_dims - 1];
}

bool op_is_table(OpKind kind) {
    return kind == OP_EMBED || kind == OP_POSITION_EMBED || kind == OP_TYPE_EMBED;
}

int64_t op_aux_width(const Op *op) {
    switch (op->kind) {
    case OP_ATTENTION:
        return op->out.dims[0]; /* log-sum-exp of each head */
    case OP_LOG_PROB:
        return 1;
    default:
        return 0;
    }
}
