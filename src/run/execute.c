#include "run/execute.h"

#include <string.h>

#include "run/clean_run.h"
#include "run/edits.h"
#include "run/seeds.h"

float *execution_value(const Execution *execution, ValueId value) {
    return execution->slots[execution->program->values[value].slot];
}

static int64_t value_width(const Execution *execution, ValueId value) {
    return row_shape_width(&execution->program->values[value].shape, execution->sizes.max_keys);
}

/* Where row `row_begin` of a value lies; NULL for no value. */
static float *at_row(const Execution *execution, ValueId id, int32_t row_begin) {
    if (id == VALUE_NONE) {
        return NULL;
    }
    const ProgramValue *value = &execution->program->values[id];
    float *base = execution->slots[value->slot];
    return value->local ? base : base + (int64_t)row_begin * value_width(execution, id);
}

static limn_status run_kernel(const Execution *execution, const Step *step, int32_t row_begin, int32_t n_rows) {
    KernelArgs args = {.op = &step->op,
                       .team = execution->team,
                       .rows = &execution->rows->stage_tables[step->domain][step->stage],
                       .key_rows = &execution->rows->stage_tables[DOMAIN_ALL][step->stage],
                       .row_begin = row_begin,
                       .n_rows = n_rows,
                       .out = at_row(execution, step->out, row_begin),
                       .aux = at_row(execution, step->aux, row_begin),
                       .grad_out = at_row(execution, step->grad_out, row_begin),
                       .scratch = execution->scratch,
                       .scratch_bytes = execution->scratch_bytes,
                       .compute = execution->program->compute,
                       .rule = step->rule,
                       .seed = step->seed < 0 ? NULL : &execution->request->seeds[step->seed],
                       .output_numbers = execution->rows->seed_row,
                       .state = execution->state};
    for (int k = 0; k < OP_MAX_INPUTS; k++) {
        args.in[k] = at_row(execution, step->in[k], row_begin);
        args.grad_in[k] = at_row(execution, step->grad_in[k], row_begin);
        args.accumulate[k] = step->accumulate[k];
    }
    return step->kind == STEP_FORWARD ? step->kernel->forward(&args) : step->kernel->backward(&args);
}

/* Rows that have not joined yet have the keys and values of the run they join from. */
static void append_rows(const Execution *execution, const Step *step) {
    const RowTable *all = &execution->rows->stage_tables[DOMAIN_ALL][step->stage];
    int layer = step->op.layer;
    for (int32_t s = 0; s < execution->request->n_sequences; s++) {
        const SequenceInput *input = &execution->request->sequences[execution->rows->caller[s]];
        KvCache *cache = appended_cache(execution->request, execution->rows->caller[s]);
        if (cache == NULL) {
            continue;
        }
        const KvCache *clean = s < all->n_sequences ? NULL : input->join.clean->cache;
        const SequenceRows *rows = &all->sequences[s];
        size_t bytes = (size_t)rows->n_rows * (size_t)cache->width * sizeof(float);
        int64_t from = (clean == NULL ? rows->row_begin : rows->prefix_length) * cache->width;
        int64_t to = (int64_t)cache->length * cache->width;
        if (step->in[0] != VALUE_NONE) {
            const float *keys = clean == NULL ? execution_value(execution, step->in[0]) : clean->keys[layer];
            memcpy(cache->keys[layer] + to, keys + from, bytes);
        }
        if (step->in[1] != VALUE_NONE) {
            const float *values = clean == NULL ? execution_value(execution, step->in[1]) : clean->values[layer];
            memcpy(cache->values[layer] + to, values + from, bytes);
        }
    }
}

static void give_rows(const Execution *execution, const Step *step, int32_t row_begin, int32_t n_rows, int64_t width,
                      float *out) {
    const RunRequest *request = execution->request;
    const Rows *rows = execution->rows;
    const Given *given = request->givens;
    while (given->node != step->node) {
        given++;
    }
    const int32_t *source = rows->tables[step->domain].source;
    bool by_output = graph_on_outputs(execution->program->graph, step->node);
    for (int32_t r = 0; r < n_rows; r++) {
        int32_t row = row_begin + r;
        int64_t from = by_output ? rows_in_request(rows, DOMAIN_OUT, row)
                                 : rows_in_request(rows, DOMAIN_ALL, source == NULL ? row : source[row]);
        memcpy(out + r * width, given->values + from * width, (size_t)width * sizeof(float));
    }
}

/* Of the chunk, the rows that were not there at the stage before. */
static void join_rows(const Execution *execution, const Step *step, int32_t row_begin, int32_t n_rows, int64_t width,
                      float *out) {
    const Rows *rows = execution->rows;
    const RowTable *table = &rows->tables[step->domain];
    int32_t before = rows->stage_rows[step->domain][step->stage - 1];
    int32_t place = rows->joins.places[step->stage - 1];
    for (int32_t row = row_begin > before ? row_begin : before; row < row_begin + n_rows; row++) {
        const SequenceInput *input = &execution->request->sequences[rows->caller[table->sequence[row]]];
        const CleanRun *clean = input->join.clean;
        const float *from = clean->streams[place] + (table->order[row] - clean->first) * width;
        memcpy(out + (row - row_begin) * width, from, (size_t)width * sizeof(float));
    }
}

typedef struct Sum {
    const float *from;
    float *to;
} Sum;

static limn_status add_range(void *context, int64_t begin, int64_t end, int worker) {
    (void)worker;
    const Sum *sum = context;
    for (int64_t i = begin; i < end; i++) {
        sum->to[i] += sum->from[i];
    }
    return LIMN_OK;
}

/* The rows of an edited site, and of what a copy of them is of: its value, or its gradient. */
static EditedRows edit_rows(const Execution *execution, const Step *step, int32_t row_begin, int32_t n_rows) {
    int64_t width = value_width(execution, step->out);
    bool gradient = step->kind == STEP_EDIT_GRAD;
    EditedRows rows = {.team = execution->team,
                       .node = step->node,
                       .table = &execution->rows->stage_tables[step->domain][step->stage],
                       .row_begin = row_begin,
                       .n_rows = n_rows,
                       .width = width,
                       .value = at_row(execution, step->out, row_begin),
                       .source = at_row(execution, gradient ? step->grad_in[0] : step->in[0], row_begin),
                       .scratch = execution->scratch};
    if (gradient && rows.source != NULL && !step->accumulate[0]) {
        memset(rows.source, 0, (size_t)n_rows * (size_t)width * sizeof(float));
    }
    return rows;
}

/* A sink counts rows in the request's order: each stretch that follows one another there goes by itself. */
static limn_status hand_over(const Execution *execution, const Step *step, int32_t row_begin, int32_t n_rows) {
    const GradientSink *sink = execution->request->sink;
    int64_t width = value_width(execution, step->grad_out);
    const float *value = at_row(execution, step->in[0], row_begin);
    const float *gradient = at_row(execution, step->grad_out, row_begin);
    for (int32_t begin = 0, end; begin < n_rows; begin = end) {
        int32_t first = rows_in_request(execution->rows, step->domain, row_begin + begin);
        for (end = begin + 1; end < n_rows; end++) {
            if (rows_in_request(execution->rows, step->domain, row_begin + end) != first + end - begin) {
                break;
            }
        }
        TRY(sink->function(sink->context, step->node, first, end - begin, width,
                           value == NULL ? NULL : value + begin * width, gradient + begin * width));
    }
    return LIMN_OK;
}

static limn_status run_step(const Execution *execution, const Step *step, int32_t row_begin, int32_t n_rows) {
    float *out = step->kind == STEP_APPEND ? NULL : at_row(execution, step->out, row_begin);
    int64_t width = step->out == VALUE_NONE ? 0 : value_width(execution, step->out);
    size_t bytes = (size_t)n_rows * (size_t)width * sizeof(float);
    switch (step->kind) {
    case STEP_FORWARD:
    case STEP_BACKWARD:
        return run_kernel(execution, step, row_begin, n_rows);
    case STEP_EDIT:
    case STEP_EDIT_GRAD: {
        EditedRows rows = edit_rows(execution, step, row_begin, n_rows);
        return step->kind == STEP_EDIT ? edits_apply(execution->edits, &rows)
                                       : edits_apply_gradient(execution->edits, &rows);
    }
    case STEP_SEED:
        for (int32_t r = 0; r < n_rows; r++) {
            out[r] = seeds_weight(execution, step->seed, row_begin + r);
        }
        return LIMN_OK;
    case STEP_HAND_OVER:
        return hand_over(execution, step, row_begin, n_rows);
    case STEP_COPY:
        memcpy(out, at_row(execution, step->in[0], row_begin), bytes);
        return LIMN_OK;
    case STEP_ADD_INTO: {
        Sum sum = {at_row(execution, step->in[0], row_begin), out};
        return parallel_for(execution->team, n_rows * width, 65536, add_range, &sum);
    }
    case STEP_ZERO:
        memset(out, 0, bytes);
        return LIMN_OK;
    case STEP_APPEND:
        append_rows(execution, step);
        return LIMN_OK;
    case STEP_GIVEN:
        give_rows(execution, step, row_begin, n_rows, width, out);
        return LIMN_OK;
    case STEP_JOIN:
        join_rows(execution, step, row_begin, n_rows, width, out);
        return LIMN_OK;
    }
    return fail(LIMN_INTERNAL, "step of unknown kind %d", (int)step->kind);
}

static limn_status run_band(const Execution *execution, const Band *band, int32_t begin, int32_t n_rows) {
    for (int32_t s = band->first_step; s < band->first_step + band->n_steps; s++) {
        TRY(run_step(execution, &execution->program->steps[s], begin, n_rows));
    }
    return LIMN_OK;
}

/* Without rows of its own a step may still have to write those of all rows: the gradient of keys that no query reads,
 * of rows that nobody selects, and the cached keys of rows that have not joined yet. */
static bool runs_without_rows(const Step *step) {
    return step->kind == STEP_APPEND || step->kind == STEP_BACKWARD;
}

limn_status execute(const Execution *execution) {
    const Program *program = execution->program;
    for (int32_t b = 0; b < program->n_bands; b++) {
        const Band *band = &program->bands[b];
        int32_t rows = program_rows(&execution->sizes, band->domain, band->stage);
        if (!band->chunked) {
            TRY(team_tick(execution->team, "run", b, program->n_bands));
            TRY(rows > 0 || runs_without_rows(&program->steps[band->first_step]) ? run_band(execution, band, 0, rows)
                                                                                 : LIMN_OK);
            continue;
        }
        for (int32_t begin = 0; begin < rows; begin += execution->sizes.chunk_rows) {
            int32_t left = rows - begin;
            TRY(team_tick(execution->team, "run", b, program->n_bands));
            TRY(run_band(execution, band, begin,
                         left < execution->sizes.chunk_rows ? left : execution->sizes.chunk_rows));
        }
    }
    return LIMN_OK;
}
