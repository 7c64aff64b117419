/* ROPE: cos and sin once for each row, then all heads. Backward turns the other way. */
#include <string.h>

#include "backend/cpu/rows.h"

enum { MAX_PAIRS = 256 };

bool cpu_rope_can(const Op *op, Compute compute, const char **why) {
    if (op->attributes.rotary_dims > 2 * MAX_PAIRS) {
        *why = "more than 512 rotary dimensions";
        return false;
    }
    return cpu_rows_can(op, compute, why);
}

/* Pairs (2i, 2i + 1) */
static void turn_neighbours(float *out, const float *x, const float *cosines, const float *sines, int64_t pairs,
                            bool add) {
    for (int64_t i = 0; i < pairs; i++) {
        float a = x[2 * i] * cosines[i] - x[2 * i + 1] * sines[i];
        float b = x[2 * i + 1] * cosines[i] + x[2 * i] * sines[i];
        out[2 * i] = add ? out[2 * i] + a : a;
        out[2 * i + 1] = add ? out[2 * i + 1] + b : b;
    }
}

/* The frequencies of the row's sequence: those of the op, or made in room[pairs] for a long one. */
static const float *frequencies(const KernelArgs *args, int64_t r, float *room, int64_t pairs) {
    const OpAttributes *attributes = &args->op->attributes;
    if (attributes->rotary_original == 0) {
        return attributes->inverse_freq;
    }
    int64_t length = row_sequence_length(args->rows, args->row_begin + r);
    for (int64_t i = 0; i < pairs; i++) {
        room[i] = rotary_frequency(attributes, length, i);
    }
    return room;
}

static void turn_row(const KernelArgs *args, int64_t r, float *out, const float *x, bool backward, bool add) {
    const Op *op = args->op;
    const VectorKernels *vector = vector_kernels();
    int64_t heads = op->in[0].dims[0];
    int64_t width = op->in[0].dims[1];
    int64_t pairs = op->attributes.rotary_dims / 2;
    float cosines[MAX_PAIRS];
    float sines[MAX_PAIRS];
    float room[MAX_PAIRS];
    vector->rope_angles(cosines, sines, (float)args->rows->position[args->row_begin + r],
                        frequencies(args, r, room, pairs), op->attributes.rotary_factor, pairs);
    for (int64_t i = 0; backward && i < pairs; i++) {
        sines[i] = -sines[i];
    }
    for (int64_t h = 0; h < heads; h++) {
        float *to = out + h * width;
        const float *from = x + h * width;
        if (op->attributes.rotary_interleaved) {
            turn_neighbours(to, from, cosines, sines, pairs, add);
        } else {
            vector->rope_turn(to, to + pairs, from, from + pairs, cosines, sines, pairs, add);
        }
        if (2 * pairs < width) {
            vector->add(to + 2 * pairs, from + 2 * pairs, NULL, width - 2 * pairs, add);
        }
    }
}

static limn_status rope_body(void *context, int64_t begin, int64_t end, int worker) {
    (void)worker;
    const KernelArgs *args = context;
    int64_t width = shape_width(args, &args->op->out);
    for (int64_t r = begin; r < end; r++) {
        turn_row(args, r, args->out + r * width, args->in[0] + r * width, false, false);
    }
    return LIMN_OK;
}

static limn_status rope_backward_body(void *context, int64_t begin, int64_t end, int worker) {
    (void)worker;
    const KernelArgs *args = context;
    int64_t width = shape_width(args, &args->op->out);
    for (int64_t r = begin; r < end; r++) {
        turn_row(args, r, args->grad_in[0] + r * width, args->grad_out + r * width, true, args->accumulate[0]);
    }
    return LIMN_OK;
}

limn_status cpu_rope(const KernelArgs *args) {
    return over_rows(args, shape_width(args, &args->op->out), rope_body, (void *)(uintptr_t)args);
}

limn_status cpu_rope_backward(const KernelArgs *args) {
    return args->grad_in[0] == NULL
               ? LIMN_OK
               : over_rows(args, shape_width(args, &args->op->out), rope_backward_body, (void *)(uintptr_t)args);
}
