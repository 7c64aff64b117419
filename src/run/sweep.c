#include "run/sweep.h"

#include <stdlib.h>
#include <string.h>

#include "run/edits.h"
#include "run/joins.h"

enum { DEFAULT_RUN_ROWS = 8192 };

/* What of a counterfactual runs. */
typedef struct Part {
    int32_t place; /* of joins.h; -1: from its tokens */
    int32_t row_begin, row_end;
} Part;

/* An array that grows and is kept. */
typedef struct Room {
    void *items;
    size_t capacity;
} Room;

struct Sweep {
    Engine *engine;
    RunRequest ask;
    SweepOptions options;
    int32_t run_rows;  /* less than asked for once memory refused so many */
    bool keyed;        /* a site's width depends on the number of keys: runs have sequences of one length only */
    bool *is_editable; /* [n_nodes] */
    NodeId *editable;  /* [n_nodes] */
    /* of the list at hand */
    Room parts;      /* Part [n] */
    Room order;      /* int32_t [n] */
    int32_t *counts; /* [join_places + 2] */
    /* of the run at hand */
    Room sequences;                   /* SequenceInput [count] */
    Room firsts;                      /* int32_t [count] first row of each */
    Room outputs;                     /* OutputRow [] */
    Room seed_rows;                   /* int32_t [] */
    Room edits;                       /* Edit [] */
    Room ids;                         /* int32_t [rows], those of sequences with changed tokens */
    int32_t batch_first, batch_count; /* in `order` */
    Room caches;                      /* KvCache * [count] */
};

/* Counterfactuals [first, first + count) of the order as one request. */
typedef struct Batch {
    int32_t first, count;
    int32_t rows;
    RunRequest request;
} Batch;

static limn_status reserve(Room *room, size_t count, size_t size) {
    if (count > room->capacity || room->items == NULL) {
        size_t capacity = count + count / 2 + 16;
        free(room->items);
        room->items = calloc(capacity, size);
        room->capacity = room->items == NULL ? 0 : capacity;
        if (room->items == NULL) {
            return fail(LIMN_NO_MEMORY, "sweep of %zu items", count);
        }
    }
    return LIMN_OK;
}

limn_status sweep_new(Sweep **sweep, Engine *engine, const RunRequest *ask, const SweepOptions *options) {
    *sweep = NULL;
    if (ask->n_givens > 0) {
        return fail(LIMN_INTERNAL, "a sweep joins clean runs: it has no given values");
    }
    Sweep *made = calloc(1, sizeof *made);
    if (made == NULL) {
        return fail(LIMN_NO_MEMORY, "sweep");
    }
    const Model *model = engine_model(engine);
    made->engine = engine;
    made->ask = *ask;
    made->options = options == NULL ? (SweepOptions){0} : *options;
    made->run_rows = made->options.run_rows > 0 ? made->options.run_rows : DEFAULT_RUN_ROWS;
    made->is_editable = calloc((size_t)model->graph.n_nodes + 1, sizeof *made->is_editable);
    made->editable = calloc((size_t)model->graph.n_nodes + 1, sizeof *made->editable);
    made->counts = calloc((size_t)join_places(model) + 2, sizeof *made->counts);
    if (made->is_editable == NULL || made->editable == NULL || made->counts == NULL) {
        sweep_free(made);
        return fail(LIMN_NO_MEMORY, "sweep");
    }
    *sweep = made;
    return LIMN_OK;
}

void sweep_free(Sweep *sweep) {
    if (sweep == NULL) {
        return;
    }
    Room *rooms[] = {&sweep->parts, &sweep->order, &sweep->sequences, &sweep->firsts,   &sweep->outputs,
                     &sweep->edits, &sweep->ids,   &sweep->caches,    &sweep->seed_rows};
    for (size_t i = 0; i < sizeof rooms / sizeof rooms[0]; i++) {
        free(rooms[i]->items);
    }
    free(sweep->is_editable);
    free(sweep->editable);
    free(sweep->counts);
    free(sweep);
}

/* ---- what a counterfactual needs ---- */

static const OutputRow *outputs_of(const Sweep *sweep, const Counterfactual *change, int32_t *n) {
    *n = change->outputs != NULL ? change->n_outputs : sweep->ask.n_outputs;
    return change->outputs != NULL ? change->outputs : sweep->ask.outputs;
}

static limn_status check_rows(const Sweep *sweep, const Counterfactual *change, int32_t index) {
    const CleanRun *clean = change->clean;
    const Graph *graph = &engine_model(sweep->engine)->graph;
    int32_t n_outputs;
    const OutputRow *outputs = outputs_of(sweep, change, &n_outputs);
    if (clean == NULL || clean->model != engine_model(sweep->engine)) {
        return fail(LIMN_INTERNAL, "counterfactual %d: its clean run is not one of this model", index);
    }
    if (change->append != NULL && clean->cache == NULL) {
        return fail(LIMN_USAGE, "%s reads in both directions: it has no key/value cache",
                    clean->model->config.architecture);
    }
    for (int32_t i = 0; i < change->n_edits; i++) {
        const Edit *edit = &change->edits[i];
        if (edit->node < 0 || edit->node >= graph->n_nodes) {
            return fail(LIMN_NOT_FOUND, "counterfactual %d: an edit names no site of this model", index);
        }
        if (edit->row_begin < 0 || edit->row_begin >= clean->n || edit->row_end > clean->n ||
            (edit->row_end >= 0 && edit->row_end <= edit->row_begin)) {
            return fail(LIMN_RANGE, "counterfactual %d: an edit of rows %d to %d; expected some of 0 to %d", index,
                        edit->row_begin, edit->row_end, clean->n);
        }
    }
    for (int32_t i = 0; i < change->n_tokens; i++) {
        if (change->tokens[i].row < 0 || change->tokens[i].row >= clean->n) {
            return fail(LIMN_RANGE, "counterfactual %d: another token in row %d; expected 0 to %d", index,
                        change->tokens[i].row, clean->n - 1);
        }
    }
    for (int32_t i = 0; i < n_outputs; i++) {
        if (outputs[i].row < 0 || outputs[i].row >= clean->n) {
            return fail(LIMN_RANGE, "counterfactual %d: output row %d; expected 0 to %d", index, outputs[i].row,
                        clean->n - 1);
        }
    }
    return LIMN_OK;
}

static int32_t least(int32_t a, int32_t b) {
    return a < b ? a : b;
}

static bool is_keyed(const Graph *graph, NodeId node) {
    const RowShape *shape = &graph->nodes[node].op.out;
    return shape->n_dims == 2 && shape->dims[1] == DIM_KEYS;
}

/* Rows from the first that differs or is wanted to the last that is wanted. */
static void find_rows(const Sweep *sweep, const Counterfactual *change, Part *part) {
    const CleanRun *clean = change->clean;
    int32_t n_outputs, begin = clean->n - 1, end = 0;
    const OutputRow *outputs = outputs_of(sweep, change, &n_outputs);
    for (int32_t i = 0; i < change->n_edits; i++) {
        begin = least(begin, change->edits[i].row_begin);
    }
    for (int32_t i = 0; i < change->n_tokens; i++) {
        begin = least(begin, change->tokens[i].row);
    }
    for (int32_t i = 0; i < clean->n_edits; i++) { /* scores in force may let a row see later ones, so it may differ */
        bool keyed = is_keyed(&clean->model->graph, clean->edits[i].node);
        begin = keyed ? least(begin, clean->edits[i].row_begin) : begin;
    }
    for (int32_t i = 0; i < n_outputs; i++) {
        begin = least(begin, outputs[i].row);
        end = outputs[i].row >= end ? outputs[i].row + 1 : end;
    }
    bool to_end = sweep->options.all_rows || sweep->keyed || change->append != NULL || n_outputs == 0;
    bool causal = clean->model->config.causal;
    /* where rotary frequencies depend on the length, rows that nobody reads still count */
    to_end = to_end || !model_lengths_alike(&clean->model->config, clean->first + clean->n, clean->first + end);
    part->row_begin = causal ? begin : 0;
    part->row_end = to_end || !causal ? clean->n : end;
}

/* The last kept place below everything that differs. */
static void find_place(const Counterfactual *change, Part *part) {
    const CleanRun *clean = change->clean;
    int32_t n_places = join_places(clean->model), place = n_places - 1;
    for (int32_t i = 0; i < change->n_edits; i++) {
        bool runs = change->edits[i].row_begin < part->row_end;
        NodeId first = edit_first_node(&change->edits[i]);
        place = runs ? least(place, joins_before(clean->nodes, n_places, first)) : place;
    }
    for (int32_t i = 0; i < change->n_tokens; i++) {
        place = change->tokens[i].row < part->row_end ? -1 : place;
    }
    part->place = clean_run_place(clean, place, part->row_begin, part->row_end);
}

/* ---- the list ---- */

/* Patterns and scores are [H, S], so what an element is depends on S. */
static void find_keyed(Sweep *sweep, const Counterfactual *list, int32_t n) {
    const Graph *graph = &engine_model(sweep->engine)->graph;
    sweep->keyed = false;
    for (int32_t i = 0; i < n; i++) {
        for (int32_t e = 0; e < list[i].n_edits; e++) {
            sweep->keyed = sweep->keyed || is_keyed(graph, list[i].edits[e].node);
        }
        for (int32_t e = 0; e < list[i].clean->n_edits; e++) {
            sweep->keyed = sweep->keyed || is_keyed(graph, list[i].clean->edits[e].node);
        }
    }
}

static void add_editable(Sweep *sweep, const Edit *edits, int32_t n) {
    for (int32_t i = 0; i < n; i++) {
        sweep->is_editable[edits[i].node] = true;
        sweep->is_editable[edit_first_node(&edits[i])] = true; /* what is copied is observed as what is edited is */
    }
}

/* The sites and joins that the runs of this list have in common, so that they share a program. */
static void find_common(Sweep *sweep, const Counterfactual *list, int32_t n, RunRequest *common) {
    const Graph *graph = &engine_model(sweep->engine)->graph;
    *common = sweep->ask;
    for (int32_t i = 0; i < n; i++) {
        const Part *part = (const Part *)sweep->parts.items + i;
        add_editable(sweep, list[i].edits, list[i].n_edits);
        add_editable(sweep, list[i].clean->edits, list[i].clean->n_edits);
        common->may_join_mid = common->may_join_mid || (part->place >= 0 && part->place % 2 == 1);
    }
    for (int32_t i = 0; i < sweep->ask.n_editable; i++) {
        NodeId node = sweep->ask.editable[i];
        if (node < 0 || node >= graph->n_nodes) {
            continue; /* the engine refuses it */
        }
        Join join = n == 0 ? (Join){0} : clean_run_join(list[0].clean, node);
        sweep->is_editable[node] = true;
        common->may_join_mid = common->may_join_mid || (join.clean != NULL && join.site == JOIN_RESID_MID);
    }
    common->may_join_pre = true;
    common->editable = sweep->editable;
    common->n_editable = 0;
    for (NodeId node = 0; node < graph->n_nodes; node++) {
        if (sweep->is_editable[node]) {
            sweep->editable[common->n_editable++] = node;
        }
        sweep->is_editable[node] = false;
    }
}

static limn_status plan_list(Sweep *sweep, const Counterfactual *list, int32_t n) {
    int32_t n_keys = join_places(engine_model(sweep->engine)) + 1;
    TRY(reserve(&sweep->parts, (size_t)n, sizeof(Part)));
    TRY(reserve(&sweep->order, (size_t)n, sizeof(int32_t)));
    Part *parts = sweep->parts.items;
    int32_t *order = sweep->order.items, *counts = sweep->counts;
    memset(counts, 0, ((size_t)n_keys + 1) * sizeof *counts);
    for (int32_t i = 0; i < n; i++) {
        TRY(check_rows(sweep, &list[i], i));
    }
    find_keyed(sweep, list, n);
    for (int32_t i = 0; i < n; i++) {
        find_rows(sweep, &list[i], &parts[i]);
        find_place(&list[i], &parts[i]);
        counts[parts[i].place + 2]++;
    }
    for (int32_t key = 0; key < n_keys; key++) {
        counts[key + 1] += counts[key];
    }
    for (int32_t i = 0; i < n; i++) { /* those of one place keep their order */
        order[counts[parts[i].place + 1]++] = i;
    }
    return LIMN_OK;
}

/* ---- runs ---- */

/* As many of the next counterfactuals as a run may have rows, one at least; what the arrays must hold. */
static limn_status open_batch(Sweep *sweep, const Counterfactual *list, int32_t n, Batch *batch) {
    const Part *parts = sweep->parts.items;
    const int32_t *order = sweep->order.items;
    size_t outputs = 0, edits = 0;
    int32_t keys = 0;
    batch->count = 0;
    batch->rows = 0;
    while (batch->first + batch->count < n) {
        const Counterfactual *change = &list[order[batch->first + batch->count]];
        const Part *part = &parts[order[batch->first + batch->count]];
        int32_t rows = part->row_end - part->row_begin, n_outputs;
        int32_t length = change->clean->first + change->clean->n;
        if (batch->count > 0 && (batch->rows > sweep->run_rows - rows || (sweep->keyed && length != keys))) {
            break;
        }
        keys = length;
        outputs_of(sweep, change, &n_outputs);
        outputs += (size_t)n_outputs;
        edits += (size_t)(change->n_edits + change->clean->n_edits);
        batch->rows += rows;
        batch->count++;
    }
    TRY(reserve(&sweep->sequences, (size_t)batch->count, sizeof(SequenceInput)));
    TRY(reserve(&sweep->firsts, (size_t)batch->count, sizeof(int32_t)));
    TRY(reserve(&sweep->caches, (size_t)batch->count, sizeof(KvCache *)));
    TRY(reserve(&sweep->outputs, outputs, sizeof(OutputRow)));
    TRY(reserve(&sweep->seed_rows, outputs, sizeof(int32_t)));
    TRY(reserve(&sweep->edits, edits, sizeof(Edit)));
    return reserve(&sweep->ids, (size_t)batch->rows, sizeof(int32_t));
}

/* The rows' tokens with those that differ, at `ids`. */
static void change_tokens(const Counterfactual *change, const Part *part, SequenceInput *sequence, int32_t *ids) {
    memcpy(ids, sequence->ids, (size_t)sequence->n * sizeof *ids);
    for (int32_t i = 0; i < change->n_tokens; i++) {
        if (change->tokens[i].row < part->row_end) {
            ids[change->tokens[i].row - part->row_begin] = change->tokens[i].id;
        }
    }
    sequence->ids = ids;
}

static void add_edits(Sweep *sweep, Batch *batch, const Counterfactual *change, const Part *part, Join join,
                      int32_t sequence) {
    Edit *edits = (Edit *)sweep->edits.items + batch->request.n_edits;
    int32_t n = clean_run_edits(change->clean, join, sequence, part->row_begin, part->row_end, edits);
    for (int32_t i = 0; i < change->n_edits; i++) {
        edits[n] = change->edits[i];
        n += clean_run_clip_edit(change->clean, &edits[n], sequence, part->row_begin, part->row_end) ? 1 : 0;
    }
    batch->request.n_edits += n;
}

static void add_outputs(Sweep *sweep, Batch *batch, const Counterfactual *change, const Part *part, int32_t sequence) {
    OutputRow *to = (OutputRow *)sweep->outputs.items + batch->request.n_outputs;
    int32_t n_outputs;
    const OutputRow *outputs = outputs_of(sweep, change, &n_outputs);
    for (int32_t i = 0; i < n_outputs; i++) {
        to[i] = outputs[i];
        to[i].sequence = sequence;
        to[i].row -= part->row_begin;
        ((int32_t *)sweep->seed_rows.items)[batch->request.n_outputs + i] = i;
    }
    batch->request.n_outputs += n_outputs;
    batch->request.n_seed_rows = n_outputs > batch->request.n_seed_rows ? n_outputs : batch->request.n_seed_rows;
}

static limn_status fill_batch(Sweep *sweep, const Counterfactual *list, const RunRequest *common, Batch *batch) {
    SequenceInput *sequences = sweep->sequences.items;
    KvCache **caches = sweep->caches.items;
    int32_t *firsts = sweep->firsts.items, rows = 0;
    bool appends = false;
    batch->request = *common;
    batch->request.n_outputs = 0;
    batch->request.n_edits = 0;
    batch->request.n_seed_rows = 0;
    for (int32_t s = 0; s < batch->count; s++) {
        int32_t index = ((const int32_t *)sweep->order.items)[batch->first + s];
        const Counterfactual *change = &list[index];
        const Part *part = (const Part *)sweep->parts.items + index;
        Join join = part->place < 0 ? (Join){0} : join_at(change->clean, part->place);
        sequences[s] = clean_run_sequence(change->clean, join, part->row_begin, part->row_end);
        if (change->n_tokens > 0) {
            change_tokens(change, part, &sequences[s], (int32_t *)sweep->ids.items + rows);
        }
        add_edits(sweep, batch, change, part, join, s);
        add_outputs(sweep, batch, change, part, s);
        caches[s] = change->append;
        if (change->append != NULL) {
            appends = true;
            TRY(kv_cache_copy(change->append, change->clean->cache, sequences[s].prefix_length));
        }
        firsts[s] = rows;
        rows += sequences[s].n;
    }
    sweep->batch_first = batch->first;
    sweep->batch_count = batch->count;
    batch->request.sequences = sequences;
    batch->request.n_sequences = batch->count;
    batch->request.outputs = sweep->outputs.items;
    batch->request.seed_rows = sweep->seed_rows.items;
    batch->request.edits = sweep->edits.items;
    batch->request.append = NULL;
    batch->request.appends = appends ? caches : NULL;
    return LIMN_OK;
}

int32_t sweep_find(const Sweep *sweep, int32_t row, int32_t *clean_row) {
    const int32_t *firsts = sweep->firsts.items;
    int32_t low = 0, high = sweep->batch_count;
    while (high - low > 1) { /* the last that begins at or before the row */
        int32_t middle = low + (high - low) / 2;
        low = firsts[middle] <= row ? middle : low;
        high = firsts[middle] <= row ? high : middle;
    }
    int32_t index = ((const int32_t *)sweep->order.items)[sweep->batch_first + low];
    *clean_row = ((const Part *)sweep->parts.items)[index].row_begin + row - firsts[low];
    return index;
}

static limn_status deliver(const Sweep *sweep, const Batch *batch, CounterfactualTake take, void *context) {
    const RunRequest *request = &batch->request;
    const float *objective = engine_objective(sweep->engine), *logits = engine_logits(sweep->engine);
    const Model *model = engine_model(sweep->engine);
    int64_t width = logits == NULL ? 0 : row_shape_width(&model->graph.nodes[model->graph.logits].op.out, 1);
    int32_t output = 0;
    for (int32_t s = 0; s < batch->count; s++) {
        int32_t index = ((const int32_t *)sweep->order.items)[batch->first + s];
        const Part *part = (const Part *)sweep->parts.items + index;
        int32_t begin = output;
        while (output < request->n_outputs && request->outputs[output].sequence == s) {
            output++;
        }
        CounterfactualAnswer answer = {.index = index,
                                       .n_outputs = output - begin,
                                       .objective = objective == NULL ? NULL : objective + begin,
                                       .logits = logits == NULL ? NULL : logits + begin * width,
                                       .first_output = begin,
                                       .row_begin = part->row_begin,
                                       .row_end = part->row_end,
                                       .first_row = ((const int32_t *)sweep->firsts.items)[s],
                                       .join = request->sequences[s].join};
        TRY(take(context, &answer));
    }
    return LIMN_OK;
}

/* The next run: with fewer rows, for good, when so many do not fit the memory. */
static limn_status run_batch(Sweep *sweep, const Counterfactual *list, int32_t n, const RunRequest *common,
                             Batch *batch, const Progress *progress) {
    for (;;) {
        TRY(open_batch(sweep, list, n, batch));
        TRY(fill_batch(sweep, list, common, batch));
        limn_status status = engine_run(sweep->engine, &batch->request, progress);
        if (status != LIMN_NO_MEMORY || batch->count == 1) {
            return status;
        }
        sweep->run_rows = batch->rows / 2;
    }
}

limn_status sweep_run(Sweep *sweep, const Counterfactual *list, int32_t n, CounterfactualTake take, void *context,
                      const Progress *progress) {
    RunRequest common;
    TRY(plan_list(sweep, list, n));
    find_common(sweep, list, n, &common);
    Batch batch = {0};
    for (; batch.first < n; batch.first += batch.count) {
        TRY(progress_tick(progress, "sweep", batch.first, n));
        TRY(run_batch(sweep, list, n, &common, &batch, progress));
        TRY(deliver(sweep, &batch, take, context));
    }
    return LIMN_OK;
}

limn_status sweep_estimate(Sweep *sweep, const Counterfactual *list, int32_t n, SweepWork *work) {
    RunRequest common;
    *work = (SweepWork){0};
    TRY(plan_list(sweep, list, n));
    find_common(sweep, list, n, &common);
    Batch batch = {0};
    for (; batch.first < n; batch.first += batch.count) {
        RunEstimate estimate;
        TRY(open_batch(sweep, list, n, &batch));
        TRY(fill_batch(sweep, list, &common, &batch));
        TRY(engine_estimate(sweep->engine, &batch.request, &estimate));
        work->runs++;
        work->rows += batch.rows;
        work->row_layers += estimate.row_layers;
        work->flops += estimate.flops;
        work->bytes = estimate.bytes > work->bytes ? estimate.bytes : work->bytes;
    }
    return LIMN_OK;
}
