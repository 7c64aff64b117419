/* Every layer's stream, given to what stands behind the last layer. */
#include <math.h>
#include <string.h>

#include "base/integers.h"
#include "measure/distribution.h"
#include "method/representation/lens.h"

enum { LOGIT_BYTES = 64 << 20 };

static bool is_number(const Lens *lens) {
    return lens->target.n_outputs == 1;
}

/* Which rows are read, and which output at each: the target's token, or what the model says there in the end. */
static limn_status choose_rows(Lens *lens) {
    bool classifier = lens->model->config.task == TASK_CLASSIFIER;
    lens->first = classifier ? lens->target.rows[0] : 0;
    lens->n_columns = classifier ? 1 : lens->sequence.n;
    lens->ids = ARENA_ARRAY(lens->call->arena, int32_t, lens->sequence.n + 1);
    lens->grid = ARENA_ARRAY(lens->call->arena, double, (int64_t)(lens->n_layers + 1) * lens->n_columns + 1);
    lens->layers = ARENA_ARRAY(lens->call->arena, LensLayer, lens->n_layers + 1);
    if (lens->ids == NULL || lens->grid == NULL || lens->layers == NULL) {
        return method_no_memory(lens->call);
    }
    for (int32_t t = 0; t < lens->sequence.n; t++) {
        lens->ids[t] = lens->target.ids[0];
    }
    for (int32_t i = 0; i < lens->target.n; i++) {
        lens->ids[lens->target.rows[i]] = lens->target.ids[i];
    }
    return LIMN_OK;
}

/* A run of the head alone, on this stream. */
static limn_status run_head(const Lens *lens, const float *stream, const OutputRow *outputs, int32_t n, bool logits) {
    const Given given = {.node = lens->last, .values = stream};
    RunRequest request = {.sequences = &lens->sequence,
                          .n_sequences = 1,
                          .outputs = outputs,
                          .n_outputs = n,
                          .givens = &given,
                          .n_givens = 1,
                          .objective = is_number(lens) ? OBJECTIVE_LOGIT : OBJECTIVE_LOG_PROB,
                          .logits = logits};
    return engine_run(lens->engine, &request, lens->call->progress);
}

/* What the model says at each row in the end. */
static limn_status read_final(Lens *lens, const float *stream) {
    int32_t width = lens->target.n_outputs;
    int32_t most = (int32_t)larger(1, LOGIT_BYTES / (int64_t)sizeof(float) / width);
    for (int32_t done = 0; done < lens->n_columns; done += most) {
        int32_t n = (int32_t)smaller(most, lens->n_columns - done);
        OutputRow *outputs = ARENA_ARRAY(lens->call->arena, OutputRow, n + 1);
        if (outputs == NULL) {
            return method_no_memory(lens->call);
        }
        for (int32_t i = 0; i < n; i++) {
            outputs[i] = (OutputRow){.row = lens->first + done + i, .target = 0, .weight = 1.0F};
        }
        TRY(run_head(lens, stream, outputs, n, true));
        const float *logits = engine_logits(lens->engine);
        for (int32_t i = 0; i < n; i++) {
            lens->ids[lens->first + done + i] = logit_argmax(logits + (int64_t)i * width, width);
        }
    }
    return LIMN_OK;
}

/* The grid's row of a layer: the target's log-probability at every position, less the contrast's. */
static limn_status read_grid(Lens *lens, int32_t layer, const float *stream, OutputRow *outputs) {
    bool contrasted = lens->contrast.kind != TARGET_NONE;
    int32_t n = 0, columns = lens->n_columns;
    for (int32_t c = 0; c < columns; c++) {
        int32_t row = lens->first + c;
        outputs[n++] = (OutputRow){.row = row, .target = lens->ids[row], .weight = 1.0F};
    }
    for (int32_t c = 0; c < columns && contrasted; c++) {
        outputs[n++] = (OutputRow){.row = lens->first + c, .target = lens->contrast.ids[0], .weight = 1.0F};
    }
    TRY(run_head(lens, stream, outputs, n, false));
    const float *found = engine_objective(lens->engine);
    for (int32_t c = 0; c < columns; c++) {
        lens->grid[(int64_t)layer * columns + c] = (double)found[c] - (contrasted ? (double)found[columns + c] : 0.0);
    }
    return LIMN_OK;
}

/* The whole distribution at the answer's row. */
static limn_status read_answer(Lens *lens, int32_t layer, const float *stream) {
    const OutputRow output = {.row = lens->target.rows[0], .target = lens->target.ids[0], .weight = 1.0F};
    int32_t width = lens->target.n_outputs;
    LensLayer *out = &lens->layers[layer];
    TRY(run_head(lens, stream, &output, 1, true));
    const float *logits = engine_logits(lens->engine);
    double total = is_number(lens) ? 0.0 : log_sum_exp(logits, width);
    out->log_p = (double)logits[lens->target.ids[0]] - total;
    out->contrast_log_p =
        lens->contrast.kind == TARGET_NONE ? (double)NAN : (double)logits[lens->contrast.ids[0]] - total;
    out->rank = logit_rank(logits, width, lens->target.ids[0]);
    logit_top(out->best, lens->n_best, logits, width);
    for (int32_t k = 0; k < lens->n_best; k++) {
        out->best_p[k] = is_number(lens) ? (double)NAN : exp((double)logits[out->best[k]] - total);
    }
    return LIMN_OK;
}

static limn_status read_layers(Lens *lens, CleanRun *clean) {
    OutputRow *outputs = ARENA_ARRAY(lens->call->arena, OutputRow, 2 * lens->n_columns + 1);
    size_t floats = (size_t)lens->sequence.n * (size_t)lens->model->config.d_model;
    float *copy = arena_alloc(lens->call->arena, (floats + 1) * sizeof *copy);
    if (outputs == NULL || copy == NULL) {
        return method_no_memory(lens->call);
    }
    for (int32_t layer = lens->n_layers; layer >= 0; layer--) {
        const float *stream;
        int64_t width;
        NodeId node = clean->nodes[2 * layer];
        TRY(progress_tick(lens->call->progress, "layers", lens->n_layers - layer, lens->n_layers));
        TRY(clean_run_value(clean, lens->engine, node, &stream, &width, lens->call->progress));
        memcpy(copy, stream, floats * sizeof *copy);
        if (layer == lens->n_layers && lens->params->of == (int32_t)LENS_OF_FINAL) {
            TRY(read_final(lens, copy));
        }
        TRY(read_grid(lens, layer, copy, outputs));
        TRY(read_answer(lens, layer, copy));
    }
    return LIMN_OK;
}

limn_status lens_read(Lens *lens) {
    CleanRun *clean;
    TRY(choose_rows(lens));
    TRY(clean_run_new(&clean, lens->engine, &lens->sequence, NULL, lens->call->progress));
    lens->last = clean->nodes[2 * lens->n_layers];
    limn_status status = read_layers(lens, clean);
    clean_run_free(clean);
    return status;
}
