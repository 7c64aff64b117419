/* EXPERT_LINEAR and EXPERTS: the rows that use an expert are gathered, go through its matrices together as LINEAR
 * does it, and are added back at their own places. Only experts that some row of the chunk uses are computed. A row
 * adds its experts in the order of their numbers, so its bits depend on no other row. */
#include "backend/cpu/experts.h"

#include <string.h>

#include "backend/cpu/linear.h"
#include "backend/cpu/rows.h"
#include "base/integers.h"

/* Scratch of one chunk of m rows: D and F wide buffers, which rows an expert has, and the products' own. */
typedef struct Buffers {
    float *x, *y;             /* [m, D] */
    float *pre, *linear;      /* [m, F] */
    float *grad, *grad_inner; /* [m, F], backward */
    int32_t *rows;            /* [m] */
    void *scratch;
    size_t scratch_bytes;
} Buffers;

static Op linear_op(const Op *op, const Weight *weight) {
    return (Op){.kind = OP_LINEAR,
                .layer = op->layer,
                .in = {{1, {weight->columns, 1}}},
                .out = {1, {weight->rows, 1}},
                .weights = {*weight}};
}

static int matrices_of(const Op *op) {
    return op->kind == OP_EXPERTS ? EXPERT_MATRICES : 1;
}

bool cpu_experts_can(const Op *op, Compute compute, const char **why) {
    if (!cpu_rows_can(op, compute, why)) {
        return false;
    }
    for (int which = 0; which < matrices_of(op); which++) {
        const Weight *weights = op->attributes.experts[which];
        for (int32_t e = 0; e < op->attributes.n_experts; e++) {
            Op linear = linear_op(op, &weights[e]);
            if (!cpu_linear_can(&linear, compute, why)) {
                return false;
            }
            if (weights[e].dtype != weights[0].dtype) { /* scratch is sized by the first */
                *why = "experts of one matrix differ in dtype";
                return false;
            }
        }
    }
    return true;
}

/* Widths of the outer and the inner buffers. */
static int64_t outer_width(const Op *op) {
    return op->attributes.experts[0][0].columns;
}

static int64_t inner_width(const Op *op) {
    return op->attributes.experts[0][0].rows;
}

size_t cpu_experts_scratch(const Op *op, const KernelSizes *sizes) {
    size_t products = 0;
    for (int which = 0; which < matrices_of(op); which++) {
        Op linear = linear_op(op, &op->attributes.experts[which][0]);
        for (int turned = 0; turned <= (sizes->backward ? 1 : 0); turned++) {
            KernelSizes one = *sizes;
            one.backward = turned == 1;
            size_t needed = cpu_linear_scratch(&linear, &one);
            products = needed > products ? needed : products;
        }
    }
    size_t rows = (size_t)sizes->n_rows;
    size_t outer = round_up_bytes(rows * (size_t)outer_width(op) * sizeof(float), 64);
    size_t inner = round_up_bytes(rows * (size_t)inner_width(op) * sizeof(float), 64);
    return 2 * outer + (sizes->backward ? 4 : 2) * inner + round_up_bytes(rows * sizeof(int32_t), 64) + products;
}

static Buffers buffers_in(const KernelArgs *args, bool backward) {
    size_t rows = (size_t)args->n_rows;
    size_t outer = round_up_bytes(rows * (size_t)outer_width(args->op) * sizeof(float), 64);
    size_t inner = round_up_bytes(rows * (size_t)inner_width(args->op) * sizeof(float), 64);
    char *next = args->scratch;
    Buffers buffers = {.x = (float *)(void *)next, .y = (float *)(void *)(next + outer)};
    next += 2 * outer;
    buffers.pre = (float *)(void *)next;
    buffers.linear = (float *)(void *)(next + inner);
    next += 2 * inner;
    if (backward) {
        buffers.grad = (float *)(void *)next;
        buffers.grad_inner = (float *)(void *)(next + inner);
        next += 2 * inner;
    }
    buffers.rows = (int32_t *)(void *)next;
    buffers.scratch = next + round_up_bytes(rows * sizeof(int32_t), 64);
    buffers.scratch_bytes = args->scratch_bytes - (size_t)((char *)buffers.scratch - (char *)args->scratch);
    return buffers;
}

/* The rows that use an expert, in order. */
static int32_t rows_of(const KernelArgs *args, int64_t e, int32_t *rows) {
    int64_t experts = args->op->attributes.n_experts;
    int32_t m = 0;
    for (int32_t r = 0; r < args->n_rows; r++) {
        if (args->in[1][r * experts + e] != 0.0F) {
            rows[m++] = r;
        }
    }
    return m;
}

/* y [m, out] = x W^T, or y [m, in] (+)= x W */
static limn_status product(const KernelArgs *args, const Buffers *buffers, const Weight *weight, const float *x,
                           float *y, int32_t m, bool backward, bool accumulate) {
    Op linear = linear_op(args->op, weight);
    KernelArgs one = {.op = &linear,
                      .team = args->team,
                      .rows = args->rows,
                      .key_rows = args->key_rows,
                      .row_begin = args->row_begin,
                      .n_rows = m,
                      .accumulate = {accumulate},
                      .scratch = buffers->scratch,
                      .scratch_bytes = buffers->scratch_bytes,
                      .compute = args->compute,
                      .rule = args->rule,
                      .state = args->state};
    if (!backward) {
        one.in[0] = x;
        one.out = y;
        return cpu_linear(&one);
    }
    one.grad_out = x;
    one.grad_in[0] = y;
    return cpu_linear_backward(&one);
}

/* What is done to each of an expert's m rows. */
typedef struct RowWork {
    const KernelArgs *args;
    const Buffers *buffers;
    int64_t e;
    const float *from; /* gather: base, rows `from_stride` apart; else the m packed rows */
    int64_t from_stride;
    float *to; /* gather: the m packed rows; else base, rows `to_stride` apart */
    int64_t to_stride;
    int64_t width;
} RowWork;

static limn_status over_work(const RowWork *work, int32_t m, ParallelBody body) {
    return parallel_for(work->args->team, m, 1 + 16384 / (work->width + 1), body, (void *)(uintptr_t)work);
}

static limn_status gather_body(void *context, int64_t begin, int64_t end, int worker) {
    (void)worker;
    const RowWork *work = context;
    for (int64_t i = begin; i < end; i++) {
        memcpy(work->to + i * work->width, work->from + work->buffers->rows[i] * work->from_stride,
               sizeof(float) * (size_t)work->width);
    }
    return LIMN_OK;
}

static limn_status scatter_body(void *context, int64_t begin, int64_t end, int worker) {
    (void)worker;
    const RowWork *work = context;
    for (int64_t i = begin; i < end; i++) {
        memcpy(work->to + work->buffers->rows[i] * work->to_stride, work->from + i * work->width,
               sizeof(float) * (size_t)work->width);
    }
    return LIMN_OK;
}

static limn_status add_body(void *context, int64_t begin, int64_t end, int worker) {
    (void)worker;
    const RowWork *work = context;
    for (int64_t i = begin; i < end; i++) {
        vector_kernels()->add(work->to + work->buffers->rows[i] * work->to_stride, work->from + i * work->width, NULL,
                              work->width, true);
    }
    return LIMN_OK;
}

static float weight_of(const RowWork *work, int64_t i) {
    return work->args->in[1][work->buffers->rows[i] * work->args->op->attributes.n_experts + work->e];
}

static limn_status add_weighted_body(void *context, int64_t begin, int64_t end, int worker) {
    (void)worker;
    const RowWork *work = context;
    for (int64_t i = begin; i < end; i++) {
        float w = weight_of(work, i);
        float *to = work->to + work->buffers->rows[i] * work->to_stride;
        const float *from = work->from + i * work->width;
        for (int64_t j = 0; j < work->width; j++) {
            to[j] += w * from[j];
        }
    }
    return LIMN_OK;
}

static limn_status gather(const KernelArgs *args, const Buffers *buffers, const float *from, int64_t stride,
                          int64_t width, float *to, int32_t m) {
    RowWork work = {.args = args, .buffers = buffers, .from = from, .from_stride = stride, .width = width};
    work.to = to;
    return over_work(&work, m, gather_body);
}

/* ---- EXPERT_LINEAR ---- */

/* From one value of a row to the next, and from one expert's to the next (0: all experts read the same x). */
static int64_t x_row_step(const Op *op) {
    return row_shape_width(&op->in[0], 1);
}

static int64_t x_expert_step(const Op *op) {
    return op->in[0].n_dims == 2 ? op->in[0].dims[1] : 0;
}

limn_status cpu_expert_linear(const KernelArgs *args) {
    const Op *op = args->op;
    const Weight *weights = op->attributes.experts[0];
    int64_t experts = op->attributes.n_experts, out = weights[0].rows, in = weights[0].columns;
    Buffers buffers = buffers_in(args, false);
    memset(args->out, 0, sizeof(float) * (size_t)(args->n_rows * experts * out));
    for (int64_t e = 0; e < experts; e++) {
        int32_t m = rows_of(args, e, buffers.rows);
        if (m == 0) {
            continue;
        }
        TRY(gather(args, &buffers, args->in[0] + e * x_expert_step(op), x_row_step(op), in, buffers.x, m));
        TRY(product(args, &buffers, &weights[e], buffers.x, buffers.pre, m, false, false));
        RowWork work = {.args = args,
                        .buffers = &buffers,
                        .from = buffers.pre,
                        .to = args->out + e * out,
                        .to_stride = experts * out,
                        .width = out};
        TRY(over_work(&work, m, scatter_body));
    }
    return LIMN_OK;
}

/* What no expert writes: 0, unless added to. */
static void clear_gradient(const KernelArgs *args, int which) {
    if (args->grad_in[which] != NULL && !args->accumulate[which]) {
        int64_t count = args->n_rows * row_shape_width(&args->op->in[which], 1);
        memset(args->grad_in[which], 0, sizeof(float) * (size_t)count);
    }
}

limn_status cpu_expert_linear_backward(const KernelArgs *args) {
    const Op *op = args->op;
    const Weight *weights = op->attributes.experts[0];
    int64_t experts = op->attributes.n_experts, out = weights[0].rows, in = weights[0].columns;
    Buffers buffers = buffers_in(args, true);
    clear_gradient(args, 0);
    clear_gradient(args, 1); /* the choice has none */
    for (int64_t e = 0; e < experts && args->grad_in[0] != NULL; e++) {
        int32_t m = rows_of(args, e, buffers.rows);
        if (m == 0) {
            continue;
        }
        TRY(gather(args, &buffers, args->grad_out + e * out, experts * out, out, buffers.pre, m));
        TRY(product(args, &buffers, &weights[e], buffers.pre, buffers.x, m, true, false));
        RowWork work = {.args = args,
                        .buffers = &buffers,
                        .from = buffers.x,
                        .to = args->grad_in[0] + e * x_expert_step(op),
                        .to_stride = x_row_step(op),
                        .width = in};
        TRY(over_work(&work, m, add_body));
    }
    return LIMN_OK;
}

/* ---- EXPERTS ---- */

static limn_status gate_body(void *context, int64_t begin, int64_t end, int worker) {
    (void)worker;
    const RowWork *work = context;
    int64_t at = begin * work->width;
    const Buffers *buffers = work->buffers;
    vector_kernels()->activate(work->args->op->attributes.activation, work->to + at, buffers->pre + at,
                               buffers->linear + at, (end - begin) * work->width);
    return LIMN_OK;
}

limn_status cpu_experts(const KernelArgs *args) {
    const OpAttributes *attributes = &args->op->attributes;
    int64_t width = outer_width(args->op), inner = inner_width(args->op);
    Buffers buffers = buffers_in(args, false);
    memset(args->out, 0, sizeof(float) * (size_t)(args->n_rows * width));
    for (int64_t e = 0; e < attributes->n_experts; e++) {
        int32_t m = rows_of(args, e, buffers.rows);
        if (m == 0) {
            continue;
        }
        TRY(gather(args, &buffers, args->in[0], width, width, buffers.x, m));
        TRY(product(args, &buffers, &attributes->experts[EXPERT_GATE][e], buffers.x, buffers.pre, m, false, false));
        TRY(product(args, &buffers, &attributes->experts[EXPERT_UP][e], buffers.x, buffers.linear, m, false, false));
        RowWork gate = {.args = args, .buffers = &buffers, .to = buffers.pre, .width = inner};
        TRY(over_work(&gate, m, gate_body));
        TRY(product(args, &buffers, &attributes->experts[EXPERT_DOWN][e], buffers.pre, buffers.y, m, false, false));
        RowWork add = {.args = args,
                       .buffers = &buffers,
                       .e = e,
                       .from = buffers.y,
                       .to = args->out,
                       .to_stride = width,
                       .width = width};
        TRY(over_work(&add, m, add_weighted_body));
    }
    return LIMN_OK;
}

/* With t = W_down^T g in buffers.grad: dw = t . post; then pre becomes its own gradient, of w t, and grad_inner that of
 * linear. */
static limn_status inner_gradient_body(void *context, int64_t begin, int64_t end, int worker) {
    (void)worker;
    const RowWork *work = context;
    const KernelArgs *args = work->args;
    const Buffers *buffers = work->buffers;
    Activation f = args->op->attributes.activation;
    bool halves = args->rule == GRADIENT_HALF_RATIO, constant = args->rule == GRADIENT_CONSTANT_HALF_RATIO;
    for (int64_t i = begin; i < end; i++) {
        float *pre = buffers->pre + i * work->width, *linear = buffers->linear + i * work->width;
        float *t = buffers->grad + i * work->width, *post = buffers->grad_inner + i * work->width;
        float w = weight_of(work, i);
        vector_kernels()->activate(f, post, pre, linear, work->width);
        double dw = 0.0;
        for (int64_t j = 0; j < work->width; j++) {
            dw += (double)t[j] * (double)post[j];
            t[j] *= w;
        }
        dw *= halves ? 0.5 : 1.0;
        if (args->grad_in[1] != NULL) {
            float *place = &args->grad_in[1][buffers->rows[i] * args->op->attributes.n_experts + work->e];
            *place = args->accumulate[1] ? (float)((double)*place + dw) : (float)dw;
        }
        /* the gradient of linear goes where post was, as pre is still read */
        vector_kernels()->activate_backward(f, pre, post, pre, linear, t, work->width, false, false, halves || constant,
                                            halves     ? 0.25F
                                            : constant ? 0.5F
                                                       : 1.0F);
    }
    return LIMN_OK;
}

static limn_status expert_backward(const KernelArgs *args, const Buffers *buffers, int64_t e, int32_t m) {
    const OpAttributes *attributes = &args->op->attributes;
    const Weight *gate = &attributes->experts[EXPERT_GATE][e], *up = &attributes->experts[EXPERT_UP][e];
    int64_t width = outer_width(args->op), inner = inner_width(args->op);
    TRY(gather(args, buffers, args->in[0], width, width, buffers->x, m));
    TRY(gather(args, buffers, args->grad_out, width, width, buffers->y, m));
    TRY(product(args, buffers, gate, buffers->x, buffers->pre, m, false, false));
    TRY(product(args, buffers, up, buffers->x, buffers->linear, m, false, false));
    TRY(product(args, buffers, &attributes->experts[EXPERT_DOWN][e], buffers->y, buffers->grad, m, true, false));
    RowWork work = {.args = args, .buffers = buffers, .e = e, .width = inner};
    TRY(over_work(&work, m, inner_gradient_body));
    if (args->grad_in[0] == NULL) {
        return LIMN_OK;
    }
    TRY(product(args, buffers, gate, buffers->pre, buffers->x, m, true, false));
    TRY(product(args, buffers, up, buffers->grad_inner, buffers->x, m, true, true));
    RowWork add = {.args = args,
                   .buffers = buffers,
                   .from = buffers->x,
                   .to = args->grad_in[0],
                   .to_stride = width,
                   .width = width};
    return over_work(&add, m, add_body);
}

limn_status cpu_experts_backward(const KernelArgs *args) {
    Buffers buffers = buffers_in(args, true);
    clear_gradient(args, 0);
    clear_gradient(args, 1);
    for (int64_t e = 0; e < args->op->attributes.n_experts; e++) {
        int32_t m = rows_of(args, e, buffers.rows);
        if (m > 0) {
            TRY(expert_backward(args, &buffers, e, m));
        }
    }
    return LIMN_OK;
}
