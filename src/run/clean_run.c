#include "run/clean_run.h"

#include <stdlib.h>
#include <string.h>

#include "base/amount.h"
#include "base/integers.h"
#include "run/edits.h"
#include "run/joins.h"

static int64_t stream_width(const Model *model) {
    return model->config.d_model;
}

static size_t fixed_bytes(const Model *model, int32_t rows) {
    size_t cache = model->config.causal ? kv_cache_row_bytes(model) + 1 : 0;
    return (size_t)rows * (cache + 2 * sizeof(int32_t) + 1);
}

static size_t stream_bytes(const Model *model, int32_t rows) {
    return (size_t)rows * (size_t)stream_width(model) * sizeof(float);
}

size_t clean_run_bytes_needed(const Model *model, int32_t rows, bool middle) {
    size_t streams = (size_t)model->config.n_layers * (middle ? 2 : 1) + 1;
    return fixed_bytes(model, rows) + streams * stream_bytes(model, rows);
}

/* 0: none. Under the engine's own limit half is left for runs, or what keys and values leave. */
static size_t limit_of(const CleanRun *clean, const CleanRunOptions *options, size_t fixed) {
    if (options->memory_limit > 0 || !engine_is_limited(clean->engine)) {
        return options->memory_limit;
    }
    size_t left = engine_memory_left(clean->engine);
    return fixed > left / 2 ? left : left / 2;
}

/* Which streams are kept, of those that there are: all, or evenly spread ones. The one before the first layer goes
 * first, since tokens give it at little cost. wanted: [join_places], set to whether each is kept. */
static limn_status choose_streams(const CleanRun *clean, const CleanRunOptions *options, bool *wanted,
                                  int32_t *n_kept) {
    const Model *model = clean->model;
    int32_t n_places = join_places(model), n = 0;
    size_t fixed = fixed_bytes(model, clean->first + clean->n), each = stream_bytes(model, clean->n);
    for (int32_t place = 0; place < n_places; place++) {
        wanted[place] = clean->nodes[place] != NODE_NONE && (place % 2 == 0 || options->middle);
        n += wanted[place] ? 1 : 0;
    }
    *n_kept = n;
    size_t limit = limit_of(clean, options, fixed);
    if (limit == 0 || fixed + (size_t)n * each <= limit) {
        return LIMN_OK;
    }
    if (fixed > limit) {
        char needed[AMOUNT_TEXT_MAX], allowed[AMOUNT_TEXT_MAX];
        return fail(LIMN_NO_MEMORY, "the keys and values of a clean run of %d rows need %s of memory; %s are allowed",
                    clean->first + clean->n, amount_needed(needed, fixed), amount_allowed(allowed, limit));
    }
    int32_t kept = (int32_t)((limit - fixed) / each), seen = 0;
    for (int32_t place = 0; place < n_places; place++) {
        if (wanted[place]) { /* the last of each of `kept` equal shares, so that the last one is among them */
            seen++;
            wanted[place] = (int64_t)seen * kept / n > (int64_t)(seen - 1) * kept / n;
        }
    }
    *n_kept = kept;
    return LIMN_OK;
}

static void hold(CleanRun *clean, size_t bytes) {
    clean->bytes += bytes;
    engine_hold(clean->engine, (int64_t)bytes);
}

static limn_status copy_edits(CleanRun *clean, const CleanRunOptions *options) {
    clean->edits = malloc(((size_t)options->n_edits + 1) * sizeof *clean->edits);
    if (clean->edits == NULL) {
        return fail(LIMN_NO_MEMORY, "%d edits of a clean run", options->n_edits);
    }
    for (int32_t i = 0; i < options->n_edits; i++) {
        clean->edits[i] = options->edits[i];
        clean->edits[i].sequence = 0;
    }
    clean->n_edits = options->n_edits;
    return LIMN_OK;
}

static limn_status copy_input(CleanRun *clean, const SequenceInput *input) {
    size_t n = (size_t)input->n;
    clean->ids = malloc(n * sizeof *clean->ids);
    clean->types = input->types == NULL ? NULL : malloc(n * sizeof *clean->types);
    clean->mask = input->mask == NULL ? NULL : malloc(n);
    if (clean->ids == NULL || (input->types != NULL && clean->types == NULL) ||
        (input->mask != NULL && clean->mask == NULL)) {
        return fail(LIMN_NO_MEMORY, "clean run of %d rows", input->n);
    }
    memcpy(clean->ids, input->ids, n * sizeof *clean->ids);
    if (input->types != NULL) {
        memcpy(clean->types, input->types, n * sizeof *clean->types);
    }
    if (input->mask != NULL) {
        memcpy(clean->mask, input->mask, n);
    }
    return LIMN_OK;
}

/* Room for the streams that are kept and for the cache, its prefix filled in. */
static limn_status make_room(CleanRun *clean, const SequenceInput *input, const bool *wanted, int32_t n_kept) {
    const Model *model = clean->model;
    int32_t n_places = join_places(model);
    size_t floats = (size_t)clean->n * (size_t)stream_width(model);
    clean->streams = calloc((size_t)n_places, sizeof *clean->streams);
    clean->kept = malloc(((size_t)n_kept * floats + 1) * sizeof *clean->kept);
    if (clean->streams == NULL || clean->kept == NULL) {
        return fail(LIMN_NO_MEMORY, "clean run of %d rows and %d streams", clean->n, n_kept);
    }
    float *next = clean->kept;
    for (int32_t place = 0; place < n_places; place++) {
        if (wanted[place]) {
            clean->streams[place] = next;
            next += floats;
        }
    }
    hold(clean, fixed_bytes(model, clean->first + clean->n) + (size_t)n_kept * floats * sizeof(float));
    if (!model->config.causal) {
        return LIMN_OK;
    }
    TRY(kv_cache_new(&clean->cache, model, clean->first + clean->n));
    return clean->first > 0 ? kv_cache_copy(clean->cache, input->prefix, clean->first) : LIMN_OK;
}

static limn_status run_clean(CleanRun *clean, Engine *engine, const SequenceInput *input,
                             const CleanRunOptions *options, NodeId *taps, const Progress *progress) {
    int32_t n_places = join_places(clean->model), n_taps = 0;
    for (int32_t place = 0; place < n_places; place++) {
        if (clean->streams[place] != NULL) {
            taps[n_taps++] = clean->nodes[place];
        }
    }
    RunRequest request = {.sequences = input,
                          .n_sequences = 1,
                          .taps = taps,
                          .n_taps = n_taps,
                          .edits = clean->edits,
                          .n_edits = clean->n_edits,
                          .editable = options->editable,
                          .n_editable = options->n_editable,
                          .appends = clean->cache == NULL ? NULL : &clean->cache};
    TRY(engine_run(engine, &request, progress));
    for (int32_t place = 0; place < n_places; place++) {
        if (clean->streams[place] != NULL) {
            int32_t rows;
            int64_t width;
            const float *values = engine_tap(engine, clean->nodes[place], &rows, &width);
            memcpy(clean->streams[place], values, (size_t)rows * (size_t)width * sizeof(float));
        }
    }
    return LIMN_OK;
}

static limn_status fill(CleanRun *clean, Engine *engine, const SequenceInput *input, const CleanRunOptions *options,
                        const Progress *progress) {
    size_t n_places = (size_t)join_places(clean->model);
    TRY(joins_find(&clean->nodes, clean->model));
    NodeId *taps = malloc(n_places * sizeof *taps);
    bool *wanted = malloc(n_places * sizeof *wanted);
    int32_t n_kept = 0;
    limn_status status = LIMN_OK;
    if (taps == NULL || wanted == NULL) {
        status = fail(LIMN_NO_MEMORY, "clean run");
        goto done;
    }
    TRY_GOTO(status, done, choose_streams(clean, options, wanted, &n_kept));
    TRY_GOTO(status, done, copy_input(clean, input));
    TRY_GOTO(status, done, copy_edits(clean, options));
    TRY_GOTO(status, done, make_room(clean, input, wanted, n_kept));
    TRY_GOTO(status, done, run_clean(clean, engine, input, options, taps, progress));
done:
    free(taps);
    free(wanted);
    return status;
}

limn_status clean_run_new(CleanRun **clean, Engine *engine, const SequenceInput *input, const CleanRunOptions *options,
                          const Progress *progress) {
    static const CleanRunOptions defaults = {0};
    *clean = NULL;
    if (input->n <= 0) {
        return fail(LIMN_USAGE, "the input has no tokens; expected at least one");
    }
    if (input->join.clean != NULL) {
        return fail(LIMN_INTERNAL, "a clean run does not join another");
    }
    CleanRun *made = calloc(1, sizeof *made);
    if (made == NULL) {
        return fail(LIMN_NO_MEMORY, "clean run");
    }
    made->model = engine_model(engine);
    made->engine = engine;
    made->n = input->n;
    made->first = input->prefix_length;
    limn_status status = fill(made, engine, input, options == NULL ? &defaults : options, progress);
    if (status != LIMN_OK) {
        clean_run_free(made);
        return status;
    }
    *clean = made;
    return LIMN_OK;
}

void clean_run_free(CleanRun *clean) {
    if (clean == NULL) {
        return;
    }
    engine_hold(clean->engine, -(int64_t)clean->bytes);
    for (int32_t i = 0; i < clean->n_values; i++) {
        free(clean->values[i].values);
    }
    free(clean->values);
    free(clean->edits);
    kv_cache_free(clean->cache);
    free(clean->ids);
    free(clean->types);
    free(clean->mask);
    free(clean->nodes);
    free(clean->streams);
    free(clean->kept);
    free(clean);
}

size_t clean_run_bytes(const CleanRun *clean) {
    return clean->bytes;
}

/* The last kept place at or before one; -1: none. */
static int32_t kept_before(const CleanRun *clean, int32_t place) {
    while (place >= 0 && clean->streams[place] == NULL) {
        place--;
    }
    return place;
}

int32_t clean_run_place(const CleanRun *clean, int32_t place, int32_t row_begin, int32_t row_end) {
    int32_t found = kept_before(clean, place), n_standing;
    const Edit *standing = engine_standing(clean->engine, &n_standing);
    for (int32_t i = 0; found >= 0 && i < clean->n_edits + n_standing; i++) {
        Edit edit = i < clean->n_edits ? clean->edits[i] : standing[i - clean->n_edits];
        NodeId past = clean->nodes[found], first = edit_first_node(&edit);
        if (edit.node > past && first < past && clean_run_clip_edit(clean, &edit, 0, row_begin, row_end)) {
            found = kept_before(clean, joins_before(clean->nodes, join_places(clean->model), first));
            i = -1; /* others may reach over the lower place */
        }
    }
    return found;
}

static Join join_or_none(const CleanRun *clean, int32_t place) {
    return place < 0 ? (Join){0} : join_at(clean, place);
}

Join clean_run_join(const CleanRun *clean, NodeId node) {
    int32_t place = joins_before(clean->nodes, join_places(clean->model), node);
    return join_or_none(clean, clean_run_place(clean, place, 0, clean->n));
}

Join clean_run_join_before(const CleanRun *clean, const Join *join) {
    return join_or_none(clean, clean_run_place(clean, join->clean == NULL ? -1 : join_place(join), 0, clean->n));
}

SequenceInput clean_run_sequence(const CleanRun *clean, Join join, int32_t row_begin, int32_t row_end) {
    bool causal = clean->model->config.causal;
    int32_t begin = causal ? row_begin : 0, end = causal ? row_end : clean->n;
    return (SequenceInput){.ids = clean->ids + begin,
                           .n = end - begin,
                           .types = clean->types == NULL ? NULL : clean->types + begin,
                           .mask = clean->mask == NULL ? NULL : clean->mask + begin,
                           .prefix = clean->cache,
                           .prefix_length = causal ? clean->first + begin : 0,
                           .join = join};
}

bool clean_run_clip_edit(const CleanRun *clean, Edit *edit, int32_t sequence, int32_t row_begin, int32_t row_end) {
    int32_t begin = edit->row_begin, end = edit->row_end < 0 || edit->row_end > row_end ? row_end : edit->row_end;
    if (begin < row_begin) { /* values go with the rows that are left */
        edit->values = edit->values == NULL ? NULL : edit->values + (row_begin - begin) * edit->row_stride;
        begin = row_begin;
    }
    edit->sequence = sequence;
    edit->sequence_stride = 0;
    edit->row_begin = begin - row_begin;
    edit->row_end = end - row_begin;
    return begin < end && begin < clean->n;
}

int32_t clean_run_edits(const CleanRun *clean, Join join, int32_t sequence, int32_t row_begin, int32_t row_end,
                        Edit *edits) {
    NodeId past = join.clean == NULL ? NODE_NONE : clean->nodes[join_place(&join)];
    int32_t n = 0;
    for (int32_t i = 0; i < clean->n_edits; i++) {
        edits[n] = clean->edits[i];
        bool touches = clean_run_clip_edit(clean, &edits[n], sequence, row_begin, row_end);
        n += touches && edits[n].node > past ? 1 : 0;
    }
    return n;
}

static limn_status add_value(CleanRun *clean, NodeId node, const float *values, int64_t width) {
    if (clean->n_values == clean->value_capacity) {
        int32_t capacity = 2 * clean->value_capacity + 16;
        CleanValue *larger = realloc(clean->values, (size_t)capacity * sizeof *larger);
        if (larger == NULL) {
            return fail(LIMN_NO_MEMORY, "%d values of a clean run", capacity);
        }
        clean->values = larger;
        clean->value_capacity = capacity;
    }
    size_t bytes = (size_t)clean->n * (size_t)width * sizeof(float);
    bool fits = !engine_is_limited(clean->engine) || bytes <= engine_memory_left(clean->engine);
    float *copy = fits ? malloc(bytes) : NULL;
    if (copy == NULL) {
        char needed[AMOUNT_TEXT_MAX], left[AMOUNT_TEXT_MAX];
        return fail(LIMN_NO_MEMORY, "%d rows of %s need %s of memory; %s are left", clean->n,
                    clean->model->graph.nodes[node].site, amount_needed(needed, bytes),
                    amount_allowed(left, engine_memory_left(clean->engine)));
    }
    memcpy(copy, values, bytes);
    clean->values[clean->n_values++] = (CleanValue){node, width, copy};
    hold(clean, bytes);
    return LIMN_OK;
}

limn_status clean_run_value(CleanRun *clean, Engine *engine, NodeId node, const float **values, int64_t *width,
                            const Progress *progress) {
    for (int32_t place = 0; place < join_places(clean->model); place++) {
        if (clean->nodes[place] == node && clean->streams[place] != NULL) {
            *values = clean->streams[place];
            *width = stream_width(clean->model);
            return LIMN_OK;
        }
    }
    for (int32_t i = 0; i < clean->n_values; i++) {
        if (clean->values[i].node == node) {
            *values = clean->values[i].values;
            *width = clean->values[i].width;
            return LIMN_OK;
        }
    }
    const Graph *graph = &clean->model->graph;
    if (node < 0 || node >= graph->n_nodes || graph->nodes[node].site == NULL || graph_on_outputs(graph, node)) {
        return fail(LIMN_NOT_FOUND, "a value of a clean run names no site of this model that all rows have");
    }
    Join join = clean_run_join(clean, node);
    SequenceInput sequence = clean_run_sequence(clean, join, 0, clean->n);
    Edit *edits = malloc(((size_t)clean->n_edits + 1) * sizeof *edits);
    if (edits == NULL) {
        return fail(LIMN_NO_MEMORY, "%d edits", clean->n_edits);
    }
    RunRequest request = {.sequences = &sequence,
                          .n_sequences = 1,
                          .taps = &node,
                          .n_taps = 1,
                          .edits = edits,
                          .n_edits = clean_run_edits(clean, join, 0, 0, clean->n, edits)};
    limn_status status = engine_run(engine, &request, progress);
    free(edits);
    TRY(status);
    int32_t rows;
    int64_t found;
    const float *tap = engine_tap(engine, node, &rows, &found);
    TRY(add_value(clean, node, tap, found));
    *values = clean->values[clean->n_values - 1].values;
    *width = found;
    return LIMN_OK;
}
