/* EMBED, POSITION_EMBED, TYPE_EMBED: a row of a table for each row. Nothing to differentiate. */
#include "backend/ref/ref.h"

static limn_status check_index(const KernelArgs *args, const char *what, int64_t index) {
    const Weight *table = &args->op->weights[0];
    if (index < 0 || index >= table->rows) {
        return fail(LIMN_RANGE, "%s: %s %lld is outside the table's 0..%lld",
                    table->name != NULL ? table->name : "embedding", what, (long long)index,
                    (long long)table->rows - 1);
    }
    return LIMN_OK;
}

static void copy_row(const KernelArgs *args, int64_t r, int64_t index, double scale) {
    const Weight *table = &args->op->weights[0]; /* [V, D] */
    int64_t width = ref_width(args, &args->op->out);
    float *out = args->out + r * width; /* [D] */
    for (int64_t i = 0; i < width; i++) {
        out[i] = (float)(scale * (double)ref_weight_at(table, index, i));
    }
}

static limn_status embed_rows(void *context, int64_t begin, int64_t end, int worker) {
    (void)worker;
    const KernelArgs *args = context;
    for (int64_t r = begin; r < end; r++) {
        int64_t token = args->rows->token[args->row_begin + r];
        TRY(check_index(args, "token id", token));
        copy_row(args, r, token, (double)args->op->attributes.scale);
    }
    return LIMN_OK;
}

static limn_status position_rows(void *context, int64_t begin, int64_t end, int worker) {
    (void)worker;
    const KernelArgs *args = context;
    for (int64_t r = begin; r < end; r++) {
        int64_t place = (int64_t)args->rows->position[args->row_begin + r] + args->op->attributes.position_offset;
        TRY(check_index(args, "position", place));
        copy_row(args, r, place, 1.0);
    }
    return LIMN_OK;
}

static limn_status type_rows(void *context, int64_t begin, int64_t end, int worker) {
    (void)worker;
    const KernelArgs *args = context;
    for (int64_t r = begin; r < end; r++) {
        int64_t type = args->rows->type[args->row_begin + r];
        TRY(check_index(args, "token type", type));
        copy_row(args, r, type, 1.0);
    }
    return LIMN_OK;
}

limn_status ref_embed(const KernelArgs *args) {
    return ref_over_rows(args, ref_width(args, &args->op->out), embed_rows);
}

limn_status ref_position_embed(const KernelArgs *args) {
    return ref_over_rows(args, ref_width(args, &args->op->out), position_rows);
}

limn_status ref_type_embed(const KernelArgs *args) {
    return ref_over_rows(args, ref_width(args, &args->op->out), type_rows);
}
