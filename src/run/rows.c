#include "run/rows.h"

#include <stdlib.h>
#include <string.h>

#include "run/clean_run.h"
#include "run/joins.h"

enum {
    COLUMN_SEQUENCE,
    COLUMN_TOKEN,
    COLUMN_POSITION,
    COLUMN_TYPE,
    COLUMN_ORDER,
    COLUMN_SOURCE,
    COLUMN_TARGET,
    COLUMNS
};

static limn_status reserve(RowBuffers *buffers, int32_t n_rows, int32_t n_sequences) {
    if (n_rows > buffers->capacity) {
        int32_t capacity = n_rows < 512 ? 512 : n_rows + n_rows / 4;
        free(buffers->integers);
        free(buffers->is_key);
        free(buffers->weights);
        buffers->integers = malloc((size_t)capacity * COLUMNS * sizeof *buffers->integers);
        buffers->is_key = malloc((size_t)capacity);
        buffers->weights = malloc((size_t)capacity * sizeof *buffers->weights);
        buffers->capacity = capacity;
        if (buffers->integers == NULL || buffers->is_key == NULL || buffers->weights == NULL) {
            buffers->capacity = 0;
            return fail(LIMN_NO_MEMORY, "table of %d rows", capacity);
        }
    }
    if (n_sequences > buffers->sequence_capacity) {
        int32_t capacity = n_sequences < 64 ? 64 : n_sequences + n_sequences / 4;
        free(buffers->sequences);
        buffers->sequences = malloc((size_t)capacity * sizeof *buffers->sequences);
        buffers->sequence_capacity = buffers->sequences == NULL ? 0 : capacity;
        if (buffers->sequences == NULL) {
            return fail(LIMN_NO_MEMORY, "table of %d sequences", capacity);
        }
    }
    return LIMN_OK;
}

static int32_t *column(const RowBuffers *buffers, int which) {
    return buffers->integers + (size_t)which * (size_t)buffers->capacity;
}

static void attach(RowTable *table, const RowBuffers *buffers, int32_t n_rows) {
    table->n_rows = n_rows;
    table->sequence = column(buffers, COLUMN_SEQUENCE);
    table->token = column(buffers, COLUMN_TOKEN);
    table->position = column(buffers, COLUMN_POSITION);
    table->type = column(buffers, COLUMN_TYPE);
    table->order = column(buffers, COLUMN_ORDER);
    table->is_key = buffers->is_key;
}

static limn_status check_unbroken(const ModelConfig *config, const SequenceInput *input) {
    bool hidden = input->prefix_length > 0 && input->prefix->is_key != NULL &&
                  memchr(input->prefix->is_key, 0, (size_t)input->prefix_length) != NULL;
    for (int32_t i = 0; i < input->n; i++) {
        bool visible = input->mask == NULL || input->mask[i] != 0;
        if (hidden && visible) {
            return fail(LIMN_UNSUPPORTED,
                        "token %d is visible after a hidden one; expected hidden tokens at the end only: %s counts "
                        "visible tokens for its ALiBi, which is not implemented",
                        input->prefix_length + i, config->architecture);
        }
        hidden = hidden || !visible;
    }
    return LIMN_OK;
}

static limn_status check_sequence(const ModelConfig *config, const SequenceInput *input) {
    if (input->n <= 0) {
        return fail(LIMN_USAGE, "the input has no tokens; expected at least one");
    }
    if (input->prefix_length < 0 || (input->prefix_length > 0 && input->prefix == NULL) ||
        (input->prefix != NULL && input->prefix_length > input->prefix->length)) {
        return fail(LIMN_INTERNAL, "a prefix of %d rows is not in its cache", input->prefix_length);
    }
    int64_t length = (int64_t)input->prefix_length + input->n;
    if (config->n_context > 0 && length > config->n_context) {
        return fail(LIMN_USAGE, "the input has %lld tokens; the model's context holds %d", (long long)length,
                    config->n_context);
    }
    if (config->positions == POSITION_UNBROKEN) {
        TRY(check_unbroken(config, input));
    }
    if (input->prefix_length > 0 && !model_lengths_alike(config, input->prefix->length, (int32_t)length)) {
        return fail(LIMN_INTERNAL, "keys of %d rows in a sequence of %lld, whose rows all turn by other frequencies",
                    input->prefix->length, (long long)length);
    }
    for (int32_t i = 0; i < input->n; i++) {
        if (input->ids[i] < 0 || input->ids[i] >= config->n_vocab) {
            return fail(LIMN_RANGE, "token id %d at position %d; expected 0 to %d", input->ids[i],
                        input->prefix_length + i, config->n_vocab - 1);
        }
    }
    return LIMN_OK;
}

/* A sequence's rows are those of the same places in the clean run's. */
static limn_status check_join(const Model *model, const SequenceInput *input) {
    const CleanRun *clean = input->join.clean;
    if (clean == NULL) {
        return LIMN_OK;
    }
    int32_t place = join_place(&input->join);
    if (clean->model != model) {
        return fail(LIMN_INTERNAL, "a sequence joins from a clean run of another model");
    }
    if (place < 0 || place >= join_places(model) || clean->streams[place] == NULL) {
        return fail(LIMN_USAGE, "a sequence joins at layer %d, whose %s the clean run did not keep", input->join.layer,
                    input->join.site == JOIN_RESID_MID ? "hook_resid_mid" : "hook_resid_pre");
    }
    int32_t begin = input->prefix_length - clean->first, end = begin + input->n;
    bool whole = begin == 0 && input->n == clean->n;
    if (begin < 0 || end > clean->n || (!model->config.causal && !whole)) {
        return fail(LIMN_RANGE, "rows %d to %d join from a clean run of %d; expected %s", begin, end, clean->n,
                    model->config.causal ? "rows of it" : "all of them: the model reads in both directions");
    }
    return LIMN_OK;
}

/* Visible rows of the cached prefix. */
static int32_t visible_before(const SequenceInput *input) {
    int32_t count = input->prefix_length;
    for (int32_t i = 0; i < input->prefix_length && input->prefix->is_key != NULL; i++) {
        count -= input->prefix->is_key[i] == 0;
    }
    return count;
}

/* Positions of a sequence's own rows, by the family's rule. */
static void fill_positions(int32_t *positions, const ModelConfig *config, const SequenceInput *input) {
    int32_t count = config->positions == POSITION_VISIBLE ? visible_before(input) : input->prefix_length;
    for (int32_t i = 0; i < input->n; i++) {
        bool visible = input->mask == NULL || input->mask[i] != 0;
        bool pad = input->ids[i] == config->pad_id;
        switch (config->positions) {
        case POSITION_ORDER:
        case POSITION_UNBROKEN:
            positions[i] = count++;
            break;
        case POSITION_VISIBLE:
            positions[i] = visible ? count++ : config->least_position;
            break;
        case POSITION_NOT_PAD:
            positions[i] = pad ? 0 : ++count;
            break;
        }
    }
}

static void fill_sequence(RowBuffers *buffers, const ModelConfig *config, int32_t sequence, int32_t first,
                          const SequenceInput *input) {
    fill_positions(column(buffers, COLUMN_POSITION) + first, config, input);
    for (int32_t i = 0; i < input->n; i++) {
        int32_t row = first + i;
        column(buffers, COLUMN_SEQUENCE)[row] = sequence;
        column(buffers, COLUMN_TOKEN)[row] = input->ids[i];
        column(buffers, COLUMN_TYPE)[row] = input->types == NULL ? 0 : input->types[i];
        column(buffers, COLUMN_ORDER)[row] = input->prefix_length + i;
        buffers->is_key[row] = input->mask == NULL ? 1 : input->mask[i];
    }
    buffers->sequences[sequence] = (SequenceRows){first, input->n, input->prefix, input->prefix_length};
}

/* ---- the order of sequences ---- */

/* Numbers by sequence, output row and stage; see sort_rows. */
typedef struct Order {
    int32_t *caller, *place, *first, *stage; /* [n_sequences] */
    int32_t *output, *seed_row;              /* [n_outputs] */
    int32_t *counts;                         /* [stages + 1] */
} Order;

static limn_status reserve_order(Rows *rows, const RunRequest *request, Order *order) {
    int64_t sequences = request->n_sequences, stages = rows->joins.n + 1;
    int64_t needed = 4 * sequences + 2 * (int64_t)request->n_outputs + stages + 1;
    if (needed > rows->number_capacity) {
        int64_t capacity = needed + needed / 4 + 64;
        free(rows->numbers);
        rows->numbers = capacity > INT32_MAX ? NULL : malloc((size_t)capacity * sizeof *rows->numbers);
        rows->number_capacity = rows->numbers == NULL ? 0 : (int32_t)capacity;
        if (rows->numbers == NULL) {
            return fail(LIMN_NO_MEMORY, "order of %d sequences", request->n_sequences);
        }
    }
    order->caller = rows->numbers;
    order->place = order->caller + sequences;
    order->first = order->place + sequences;
    order->stage = order->first + sequences;
    order->output = order->stage + sequences;
    order->seed_row = order->output + request->n_outputs;
    order->counts = order->seed_row + request->n_outputs;
    return LIMN_OK;
}

static limn_status reserve_stages(Rows *rows) {
    int32_t stages = rows->joins.n + 1;
    for (int domain = 0; domain < DOMAIN_COUNT && stages > rows->stage_capacity; domain++) {
        free(rows->stage_tables[domain]);
        free(rows->stage_rows[domain]);
        rows->stage_tables[domain] = malloc((size_t)stages * sizeof *rows->stage_tables[domain]);
        rows->stage_rows[domain] = malloc((size_t)stages * sizeof *rows->stage_rows[domain]);
        if (rows->stage_tables[domain] == NULL || rows->stage_rows[domain] == NULL) {
            rows->stage_capacity = 0;
            return fail(LIMN_NO_MEMORY, "tables of %d stages", stages);
        }
    }
    rows->stage_capacity = stages > rows->stage_capacity ? stages : rows->stage_capacity;
    return LIMN_OK;
}

/* The joins behind which a sequence is there: 0, it runs from its tokens. */
static int32_t stage_of(const JoinSet *joins, const Join *join) {
    for (int32_t i = 0; join->clean != NULL && i < joins->n; i++) {
        if (joins->places[i] == join_place(join)) {
            return i + 1;
        }
    }
    return 0;
}

/* Counting sort: where keys[i] belongs when equal ones keep their order; counts becomes the end of each key's items. */
static bool sort_places(int32_t *sorted, const int32_t *keys, int32_t n, int32_t *counts, int32_t n_keys) {
    memset(counts, 0, ((size_t)n_keys + 1) * sizeof *counts);
    bool in_order = true;
    for (int32_t i = 0; i < n; i++) {
        counts[keys[i] + 1]++;
        in_order = in_order && (i == 0 || keys[i] >= keys[i - 1]);
    }
    for (int32_t k = 0; k < n_keys; k++) {
        counts[k + 1] += counts[k];
    }
    for (int32_t i = 0; i < n; i++) {
        sorted[counts[keys[i]]++] = i;
    }
    return in_order;
}

/* Sequences by the stage from which they are there. */
static void sort_sequences(Rows *rows, const RunRequest *request, const Order *order) {
    int32_t first = 0;
    for (int32_t s = 0; s < request->n_sequences; s++) {
        order->stage[s] = stage_of(&rows->joins, &request->sequences[s].join);
        order->first[s] = first;
        first += request->sequences[s].n;
    }
    rows->in_order[DOMAIN_ALL] =
        sort_places(order->caller, order->stage, request->n_sequences, order->counts, rows->joins.n + 1);
    for (int32_t place = 0; place < request->n_sequences; place++) {
        order->place[order->caller[place]] = place;
    }
    rows->caller = order->caller;
    rows->first = order->first;
}

static limn_status bind_all(Rows *rows, const Model *model, const RunRequest *request, const Order *order) {
    const ModelConfig *config = &model->config;
    int64_t total = 0;
    for (int32_t s = 0; s < request->n_sequences; s++) {
        TRY(check_sequence(config, &request->sequences[s]));
        TRY(check_join(model, &request->sequences[s]));
        total += request->sequences[s].n;
    }
    if (total > INT32_MAX / 2) {
        return fail(LIMN_NO_MEMORY, "%lld rows in one run", (long long)total);
    }
    RowTable *table = &rows->tables[DOMAIN_ALL];
    RowBuffers *buffers = &rows->buffers[DOMAIN_ALL];
    TRY(reserve(buffers, (int32_t)total, request->n_sequences));
    sort_sequences(rows, request, order);
    int32_t first = 0;
    int32_t max_keys = 0;
    for (int32_t s = 0; s < request->n_sequences; s++) {
        const SequenceInput *input = &request->sequences[rows->caller[s]];
        fill_sequence(buffers, config, s, first, input);
        first += input->n;
        if (input->prefix_length + input->n > max_keys) {
            max_keys = input->prefix_length + input->n;
        }
    }
    attach(table, buffers, (int32_t)total);
    table->n_sequences = request->n_sequences;
    table->sequences = buffers->sequences;
    table->max_keys = max_keys;
    return LIMN_OK;
}

static limn_status check_output(const ModelConfig *config, const RunRequest *request, const OutputRow *wanted) {
    int32_t n_targets = config->task == TASK_CLASSIFIER ? config->n_classes : config->n_vocab;
    if (wanted->sequence < 0 || wanted->sequence >= request->n_sequences || wanted->row < 0 ||
        wanted->row >= request->sequences[wanted->sequence].n) {
        return fail(LIMN_RANGE, "output row %d of sequence %d does not exist", wanted->row, wanted->sequence);
    }
    if (wanted->target < -1 || wanted->target >= n_targets) {
        return fail(LIMN_RANGE, "target id %d; expected 0 to %d", wanted->target, n_targets - 1);
    }
    return LIMN_OK;
}

static limn_status bind_out(Rows *rows, const ModelConfig *config, const RunRequest *request, const Order *order) {
    const RowTable *all = &rows->tables[DOMAIN_ALL];
    RowTable *out = &rows->tables[DOMAIN_OUT];
    RowBuffers *buffers = &rows->buffers[DOMAIN_OUT];
    TRY(reserve(buffers, request->n_outputs, 0));
    int32_t *stages = column(buffers, COLUMN_SOURCE); /* until sources stand there */
    for (int32_t i = 0; i < request->n_outputs; i++) {
        TRY(check_output(config, request, &request->outputs[i]));
        stages[i] = order->stage[request->outputs[i].sequence];
    }
    rows->in_order[DOMAIN_OUT] =
        sort_places(order->output, stages, request->n_outputs, order->counts, rows->joins.n + 1);
    rows->output = order->output;
    rows->seed_row = order->seed_row;
    rows->identity = request->n_outputs == all->n_rows && rows->joins.n == 0;
    for (int32_t i = 0; i < request->n_outputs; i++) {
        const OutputRow *wanted = &request->outputs[order->output[i]];
        order->seed_row[i] = request->seed_rows == NULL ? order->output[i] : request->seed_rows[order->output[i]];
        int32_t sequence = order->place[wanted->sequence];
        int32_t source = all->sequences[sequence].row_begin + wanted->row;
        column(buffers, COLUMN_SEQUENCE)[i] = sequence;
        column(buffers, COLUMN_TOKEN)[i] = all->token[source];
        column(buffers, COLUMN_POSITION)[i] = all->position[source];
        column(buffers, COLUMN_TYPE)[i] = all->type[source];
        column(buffers, COLUMN_ORDER)[i] = all->order[source];
        column(buffers, COLUMN_SOURCE)[i] = source;
        column(buffers, COLUMN_TARGET)[i] = wanted->target;
        buffers->is_key[i] = all->is_key[source];
        buffers->weights[i] = wanted->weight;
        rows->identity = rows->identity && source == i;
    }
    attach(out, buffers, request->n_outputs);
    out->source = column(buffers, COLUMN_SOURCE);
    out->target = column(buffers, COLUMN_TARGET);
    out->n_sequences = all->n_sequences;
    out->sequences = all->sequences;
    out->max_keys = all->max_keys;
    return LIMN_OK;
}

/* The first rows of both tables, for each stage. */
static void bind_stages(Rows *rows, const Order *order) {
    int32_t sequences = 0, outputs = 0;
    for (int32_t stage = 0; stage <= rows->joins.n; stage++) {
        const RowTable *all = &rows->tables[DOMAIN_ALL], *out = &rows->tables[DOMAIN_OUT];
        while (sequences < all->n_sequences && order->stage[order->caller[sequences]] <= stage) {
            sequences++;
        }
        while (outputs < out->n_rows && out->sequence[outputs] < sequences) {
            outputs++;
        }
        bool none = sequences == 0;
        const SequenceRows *last = none ? NULL : &all->sequences[sequences - 1];
        rows->stage_rows[DOMAIN_ALL][stage] = none ? 0 : last->row_begin + last->n_rows;
        rows->stage_rows[DOMAIN_OUT][stage] = outputs;
        for (int domain = 0; domain < DOMAIN_COUNT; domain++) {
            RowTable *table = &rows->stage_tables[domain][stage];
            *table = rows->tables[domain];
            table->n_rows = rows->stage_rows[domain][stage];
            table->n_sequences = sequences;
        }
    }
}

limn_status rows_bind(Rows *rows, const Model *model, const RunRequest *request, const JoinSet *joins) {
    if (request->n_sequences <= 0) {
        return fail(LIMN_USAGE, "the input has no tokens; expected at least one");
    }
    Order order;
    rows->joins = *joins;
    TRY(reserve_order(rows, request, &order));
    TRY(reserve_stages(rows));
    TRY(bind_all(rows, model, request, &order));
    TRY(bind_out(rows, &model->config, request, &order));
    bind_stages(rows, &order);
    return LIMN_OK;
}

int32_t rows_in_request(const Rows *rows, Domain domain, int32_t row) {
    if (rows->in_order[domain]) {
        return row;
    }
    if (domain == DOMAIN_OUT) {
        return rows->output[row];
    }
    const RowTable *all = &rows->tables[DOMAIN_ALL];
    int32_t sequence = all->sequence[row];
    return rows->first[rows->caller[sequence]] + row - all->sequences[sequence].row_begin;
}

void rows_restore(const Rows *rows, Domain domain, float *values, int64_t width, float *spare, uint8_t *moved) {
    int32_t n = rows->tables[domain].n_rows;
    size_t bytes = (size_t)width * sizeof(float);
    if (rows->in_order[domain]) {
        return;
    }
    memset(moved, 0, (size_t)n);
    for (int32_t begin = 0; begin < n; begin++) {
        /* each row goes to its place and pushes out the row that is there */
        int32_t to = rows_in_request(rows, domain, begin);
        if (moved[begin] || to == begin) {
            continue;
        }
        memcpy(spare, values + begin * width, bytes);
        for (int32_t from = begin; !moved[from]; from = to) {
            to = rows_in_request(rows, domain, from);
            moved[from] = 1;
            float *place = values + to * width;
            for (int64_t i = 0; i < width; i++) {
                float pushed = place[i];
                place[i] = spare[i];
                spare[i] = pushed;
            }
        }
    }
}

void rows_free(Rows *rows) {
    for (int domain = 0; domain < DOMAIN_COUNT; domain++) {
        free(rows->buffers[domain].integers);
        free(rows->buffers[domain].is_key);
        free(rows->buffers[domain].weights);
        free(rows->buffers[domain].sequences);
        free(rows->stage_tables[domain]);
        free(rows->stage_rows[domain]);
    }
    free(rows->numbers);
    *rows = (Rows){0};
}
