#include "run/rows.h"

#include <stdlib.h>
#include <string.h>

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
            positions[i] = visible ? count++ : -1;
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

static limn_status bind_all(Rows *rows, const ModelConfig *config, const RunRequest *request) {
    int64_t total = 0;
    for (int32_t s = 0; s < request->n_sequences; s++) {
        TRY(check_sequence(config, &request->sequences[s]));
        total += request->sequences[s].n;
    }
    if (total > INT32_MAX / 2) {
        return fail(LIMN_NO_MEMORY, "%lld rows in one run", (long long)total);
    }
    RowTable *table = &rows->tables[DOMAIN_ALL];
    RowBuffers *buffers = &rows->buffers[DOMAIN_ALL];
    TRY(reserve(buffers, (int32_t)total, request->n_sequences));
    int32_t first = 0;
    int32_t max_keys = 0;
    for (int32_t s = 0; s < request->n_sequences; s++) {
        const SequenceInput *input = &request->sequences[s];
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

static limn_status bind_out(Rows *rows, const ModelConfig *config, const RunRequest *request) {
    const RowTable *all = &rows->tables[DOMAIN_ALL];
    RowTable *out = &rows->tables[DOMAIN_OUT];
    RowBuffers *buffers = &rows->buffers[DOMAIN_OUT];
    TRY(reserve(buffers, request->n_outputs, 0));
    int32_t n_targets = config->task == TASK_CLASSIFIER ? config->n_classes : config->n_vocab;
    rows->identity = request->n_outputs == all->n_rows;
    for (int32_t i = 0; i < request->n_outputs; i++) {
        const OutputRow *wanted = &request->outputs[i];
        if (wanted->sequence < 0 || wanted->sequence >= request->n_sequences || wanted->row < 0 ||
            wanted->row >= request->sequences[wanted->sequence].n) {
            return fail(LIMN_RANGE, "output row %d of sequence %d does not exist", wanted->row, wanted->sequence);
        }
        if (wanted->target < -1 || wanted->target >= n_targets) {
            return fail(LIMN_RANGE, "target id %d; expected 0 to %d", wanted->target, n_targets - 1);
        }
        int32_t source = all->sequences[wanted->sequence].row_begin + wanted->row;
        column(buffers, COLUMN_SEQUENCE)[i] = wanted->sequence;
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

limn_status rows_bind(Rows *rows, const Model *model, const RunRequest *request) {
    if (request->n_sequences <= 0) {
        return fail(LIMN_USAGE, "the input has no tokens; expected at least one");
    }
    TRY(bind_all(rows, &model->config, request));
    return bind_out(rows, &model->config, request);
}

void rows_free(Rows *rows) {
    for (int domain = 0; domain < DOMAIN_COUNT; domain++) {
        free(rows->buffers[domain].integers);
        free(rows->buffers[domain].is_key);
        free(rows->buffers[domain].weights);
        free(rows->buffers[domain].sequences);
    }
    *rows = (Rows){0};
}
