/* Rolling out: a matrix for each layer, multiplied, later layers on the left. */
#include <math.h>
#include <string.h>

#include "base/integers.h"
#include "method/attention/rollout.h"

void rollout_mean_heads(const Rollout *rollout, const float *pattern, double *mean) {
    int64_t n = rollout->n, heads = rollout->layers.n_heads;
    for (int64_t i = 0; i < n; i++) {
        double *row = mean + i * n;
        memset(row, 0, (size_t)n * sizeof *row);
        for (int64_t h = 0; h < heads; h++) {
            const float *cells = pattern + (i * heads + h) * n;
            for (int64_t j = 0; j < n; j++) {
                row[j] += (double)cells[j];
            }
        }
        for (int64_t j = 0; j < n; j++) {
            row[j] /= (double)heads;
        }
    }
}

void rollout_drop_sinks(const Rollout *rollout, double *mixing) {
    int64_t n = rollout->n;
    for (int64_t i = 0; i < n && rollout->params->sinks == 1; i++) {
        for (int64_t j = 0; j < n; j++) {
            mixing[i * n + j] = rollout->sinks[j] && j != i ? 0.0 : mixing[i * n + j];
        }
    }
}

void rollout_close_rows(const Rollout *rollout, double *mixing) {
    int64_t n = rollout->n;
    for (int64_t i = 0; i < n; i++) {
        double *row = mixing + i * n, sum = 0.0;
        row[i] += rollout->residual;
        for (int64_t j = 0; j < n; j++) {
            sum += row[j];
        }
        for (int64_t j = 0; j < n && sum > 0.0; j++) {
            row[j] /= sum;
        }
    }
}

/* Rows [begin, end) of the product. In a causal model neither factor has anything behind the diagonal. */
static limn_status multiply_rows(void *context, int64_t begin, int64_t end, int worker) {
    enum { AT_ONCE = 4 };
    (void)worker;
    Rollout *rollout = context;
    int64_t n = rollout->n;
    bool causal = rollout->model->config.causal;
    for (int64_t i = begin; i < end; i++) {
        const double *factors = rollout->mixing + i * n;
        double *out = rollout->spare + i * n;
        memset(out, 0, (size_t)n * sizeof *out);
        int64_t keys = causal ? i + 1 : n, k = 0;
        for (; k + AT_ONCE <= keys; k += AT_ONCE) {
            const double *a = rollout->matrix + k * n, *b = a + n, *c = b + n, *d = c + n;
            double fa = factors[k], fb = factors[k + 1], fc = factors[k + 2], fd = factors[k + 3];
            int64_t width = causal ? k + AT_ONCE : n;
            for (int64_t j = 0; j < width; j++) {
                out[j] += (fa * a[j] + fb * b[j]) + (fc * c[j] + fd * d[j]);
            }
        }
        for (; k < keys; k++) {
            const double *a = rollout->matrix + k * n;
            for (int64_t j = 0; j < (causal ? k + 1 : n); j++) {
                out[j] += factors[k] * a[j];
            }
        }
    }
    return LIMN_OK;
}

limn_status rollout_multiply(Rollout *rollout) {
    enum { GRAIN = 8 };
    TRY(parallel_for(rollout->call->team, rollout->n, GRAIN, multiply_rows, rollout));
    double *product = rollout->spare;
    rollout->spare = rollout->matrix;
    rollout->matrix = product;
    return LIMN_OK;
}

/* ---- kinds ---- */

limn_status rollout_mix_plain(Rollout *rollout, int32_t layer) {
    const float *pattern;
    TRY(layers_pattern(&rollout->layers, layer, &pattern));
    rollout_mean_heads(rollout, pattern, rollout->mixing);
    rollout_drop_sinks(rollout, rollout->mixing);
    rollout_close_rows(rollout, rollout->mixing);
    return LIMN_OK;
}

void rollout_identity(Rollout *rollout) {
    int64_t n = rollout->n;
    memset(rollout->matrix, 0, (size_t)(n * n) * sizeof *rollout->matrix);
    for (int64_t i = 0; i < n; i++) {
        rollout->matrix[i * n + i] = 1.0;
    }
}

static limn_status roll(Rollout *rollout) {
    int32_t n_layers = rollout->layers.n_layers;
    rollout_identity(rollout);
    for (int32_t layer = 0; layer < n_layers; layer++) {
        TRY(progress_tick(rollout->call->progress, "layers", layer, n_layers));
        TRY(rollout->params->kind == (int32_t)ROLLOUT_VALUE ? rollout_mix_value(rollout, layer)
                                                            : rollout_mix_plain(rollout, layer));
        TRY(rollout_multiply(rollout));
    }
    rollout_read_answer(rollout);
    return LIMN_OK;
}

static limn_status compute_kind(Rollout *rollout) {
    switch ((RolloutKind)rollout->params->kind) {
    case ROLLOUT_GRADIENT:
        return rollout_gradient(rollout);
    case ROLLOUT_ALTI:
        return rollout_alti(rollout);
    case ROLLOUT_FLOW:
        return rollout_flow(rollout);
    case ROLLOUT_PLAIN:
    case ROLLOUT_VALUE:
        return roll(rollout);
    }
    return LIMN_OK;
}

/* ---- the answer's row ---- */

/* A language model's answer is read at its target's rows, an encoder's is what it makes of all visible tokens, or of
 * the first one. */
static limn_status choose_rows(Rollout *rollout) {
    const Target *target = rollout->target;
    const Prompt *prompt = rollout->prompt;
    const Pooling *pooling = &rollout->model->config.pooling;
    int32_t most = target != NULL ? target->n : prompt->n;
    rollout->rows = ARENA_ARRAY(rollout->call->arena, int32_t, most + 1);
    rollout->weights = ARENA_ARRAY(rollout->call->arena, double, most + 1);
    if (rollout->rows == NULL || rollout->weights == NULL) {
        return method_no_memory(rollout->call);
    }
    if (target == NULL && rollout->params->target.at.bytes != NULL) {
        TRY(position_parse(&rollout->rows[0], rollout->params->target.at.bytes, rollout->model, prompt));
        rollout->n_rows = 1;
    }
    bool first = target == NULL && pooling->n_modes > 0 && pooling->modes[0] == POOL_FIRST;
    for (int32_t i = 0; i < most && rollout->params->target.at.bytes == NULL && target == NULL; i++) {
        bool visible = prompt->mask == NULL || prompt->mask[i] != 0;
        if (visible && (!first || rollout->n_rows == 0)) {
            rollout->rows[rollout->n_rows++] = i;
        }
    }
    for (int32_t i = 0; i < most && target != NULL; i++) {
        rollout->rows[rollout->n_rows++] = target->rows[i];
    }
    for (int32_t i = 0; i < rollout->n_rows; i++) {
        rollout->weights[i] = 1.0 / rollout->n_rows;
    }
    return LIMN_OK;
}

void rollout_read_answer(Rollout *rollout) {
    int64_t n = rollout->n;
    for (int32_t i = 0; i < rollout->n_rows; i++) {
        for (int64_t j = 0; j < n; j++) {
            rollout->answer[j] += rollout->weights[i] * rollout->matrix[rollout->rows[i] * n + j];
        }
    }
}

static void fill_scores(Rollout *rollout) {
    const Prompt *prompt = rollout->prompt;
    int32_t last = 0;
    for (int32_t i = 0; i < rollout->n_rows; i++) {
        last = (int32_t)larger(last, rollout->rows[i]);
    }
    rollout->reach = rollout->model->config.causal ? (int32_t)smaller(last + 1, prompt->n) : prompt->n;
    for (int32_t t = 0; t < prompt->n; t++) {
        rollout->scores[t] = prompt_holds(prompt, t, rollout->held) ? (double)NAN : rollout->answer[t];
    }
}

static limn_status make_room(Rollout *rollout) {
    Arena *arena = rollout->call->arena;
    int64_t cells = (int64_t)rollout->n * rollout->n;
    rollout->mixing = ARENA_ARRAY(arena, double, cells + 1);
    rollout->matrix = ARENA_ARRAY(arena, double, cells + 1);
    rollout->spare = ARENA_ARRAY(arena, double, cells + 1);
    rollout->answer = ARENA_ARRAY(arena, double, rollout->n + 1);
    rollout->scores = ARENA_ARRAY(arena, double, rollout->prompt->n + 1);
    rollout->sinks = ARENA_ARRAY(arena, bool, rollout->n + 1);
    return rollout->mixing != NULL && rollout->matrix != NULL && rollout->spare != NULL && rollout->answer != NULL &&
                   rollout->scores != NULL && rollout->sinks != NULL
               ? LIMN_OK
               : method_no_memory(rollout->call);
}

static limn_status check_options(const Rollout *rollout) {
    const RolloutParams *params = rollout->params;
    bool weighs = params->kind != (int32_t)ROLLOUT_GRADIENT && params->kind != (int32_t)ROLLOUT_ALTI;
    if (!weighs && (!isnan(params->residual) || params->sinks == 1)) {
        return fail(LIMN_USAGE, "rollout: option '%s' goes with --kind plain, value or flow",
                    params->sinks == 1 ? "sinks" : "residual");
    }
    if (!weighs && rollout->target == NULL) {
        return fail(LIMN_USAGE, "rollout: --kind %s is about an answer, and %s is a bare encoder",
                    params->kind == (int32_t)ROLLOUT_ALTI ? "alti" : "gradient", rollout->model->path);
    }
    return LIMN_OK;
}

limn_status rollout_compute(Rollout *rollout) {
    rollout->sequence = rollout->target != NULL ? target_sequence(rollout->target) : prompt_sequence(rollout->prompt);
    rollout->n = rollout->sequence.n;
    TRY(check_options(rollout));
    rollout->residual = isnan(rollout->params->residual) ? 1.0 : rollout->params->residual;
    TRY(choose_rows(rollout));
    TRY(make_room(rollout));
    for (int32_t t = 0; t < rollout->prompt->n; t++) {
        rollout->sinks[t] = t == 0 || rollout->prompt->tokens[t].special;
    }
    limn_status status = layers_open(&rollout->layers, rollout->call, rollout->engine, &rollout->sequence);
    status = status == LIMN_OK ? compute_kind(rollout) : status;
    layers_close(&rollout->layers);
    TRY(status);
    fill_scores(rollout);
    return LIMN_OK;
}
