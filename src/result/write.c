/* The document as JSON. Keys come in the order of the statements below. */
#include <math.h>
#include <stdio.h>

#include "result/json.h"

static const char *const relations[] = {"at most", "at least", "below", "above"};

const char *check_kind_name(CheckKind kind) {
    return relations[kind];
}

static void optional_number(JsonWriter *w, const char *name, double value) {
    if (isfinite(value)) {
        writer_number_field(w, name, value);
    }
}

/* ---- blocks ---- */

static void write_group(JsonWriter *w, const TokenGroup *group) {
    writer_begin(w, '{', true);
    writer_integer_field(w, "begin", group->begin);
    writer_integer_field(w, "end", group->end);
    writer_number_field(w, "score", group->score);
    optional_number(w, "spread", group->spread);
    writer_end(w, '}');
}

static void write_tokens(JsonWriter *w, const void *content) {
    const TokensBlock *block = content;
    writer_bool_field(w, "signed", block->is_signed);
    optional_number(w, "scale", block->scale);
    writer_string_field(w, "shown", block->shown);
    writer_key(w, "items");
    writer_begin(w, '[', false);
    for (int32_t i = 0; i < block->n; i++) {
        const TokenItem *item = &block->items[i];
        writer_begin(w, '{', true);
        writer_text_field(w, "text", item->bytes);
        writer_number_field(w, "score", item->score);
        optional_number(w, "spread", item->spread);
        writer_string_field(w, "state", token_state_name(item->state));
        if (item->input >= 0) {
            writer_integer_field(w, "input", item->input);
        }
        writer_end(w, '}');
    }
    writer_end(w, ']');
    writer_key(w, "groupings");
    writer_begin(w, '[', false);
    for (int32_t i = 0; i < block->n_groupings; i++) {
        writer_begin(w, '{', false);
        writer_string_field(w, "name", block->groupings[i].name);
        writer_key(w, "groups");
        writer_begin(w, '[', false);
        for (int32_t j = 0; j < block->groupings[i].n; j++) {
            write_group(w, &block->groupings[i].groups[j]);
        }
        writer_end(w, ']');
        writer_end(w, '}');
    }
    writer_end(w, ']');
}

static void write_labels(JsonWriter *w, const char *name, const Text *labels, int32_t n) {
    writer_key(w, name);
    writer_begin(w, '[', true);
    for (int32_t i = 0; i < n; i++) {
        writer_text(w, labels[i]);
    }
    writer_end(w, ']');
}

static void write_matrix(JsonWriter *w, const void *content) {
    const MatrixBlock *block = content;
    writer_bool_field(w, "signed", block->is_signed);
    writer_text_field(w, "row_title", block->row_title);
    writer_text_field(w, "column_title", block->column_title);
    write_labels(w, "rows", block->row_labels, block->n_rows);
    write_labels(w, "columns", block->column_labels, block->n_columns);
    writer_key(w, "values");
    writer_begin(w, '[', false);
    for (int32_t i = 0; i < block->n_rows; i++) {
        writer_begin(w, '[', true);
        for (int32_t j = 0; j < block->n_columns; j++) {
            writer_number(w, block->values[(size_t)i * (size_t)block->n_columns + (size_t)j]);
        }
        writer_end(w, ']');
    }
    writer_end(w, ']');
}

static void write_series(JsonWriter *w, const void *content) {
    const SeriesBlock *block = content;
    writer_text_field(w, "x_title", block->x_title);
    writer_text_field(w, "y_title", block->y_title);
    writer_numbers_field(w, "x", block->x, block->n);
    writer_key(w, "lines");
    writer_begin(w, '[', false);
    for (int32_t i = 0; i < block->n_lines; i++) {
        const SeriesLine *line = &block->lines[i];
        writer_begin(w, '{', false);
        writer_text_field(w, "name", line->name);
        writer_numbers_field(w, "y", line->y, block->n);
        if (line->low != NULL && line->high != NULL) {
            writer_numbers_field(w, "low", line->low, block->n);
            writer_numbers_field(w, "high", line->high, block->n);
        }
        writer_end(w, '}');
    }
    writer_end(w, ']');
}

static void write_table(JsonWriter *w, const void *content) {
    const TableBlock *block = content;
    writer_key(w, "columns");
    writer_begin(w, '[', false);
    for (int32_t i = 0; i < block->n_columns; i++) {
        writer_begin(w, '{', true);
        writer_text_field(w, "name", block->columns[i].name);
        writer_string_field(w, "kind", column_kind_name(block->columns[i].kind));
        writer_end(w, '}');
    }
    writer_end(w, ']');
    writer_key(w, "rows");
    writer_begin(w, '[', false);
    for (int32_t i = 0; i < block->n_rows; i++) {
        writer_begin(w, '[', true);
        for (int32_t j = 0; j < block->n_columns; j++) {
            writer_value(w, &block->cells[(size_t)i * (size_t)block->n_columns + (size_t)j]);
        }
        writer_end(w, ']');
    }
    writer_end(w, ']');
}

static void write_graph(JsonWriter *w, const void *content) {
    const GraphBlock *block = content;
    writer_key(w, "nodes");
    writer_begin(w, '[', false);
    for (int32_t i = 0; i < block->n_nodes; i++) {
        writer_begin(w, '{', true);
        writer_text_field(w, "id", block->nodes[i].id);
        writer_text_field(w, "label", block->nodes[i].label);
        writer_number_field(w, "score", block->nodes[i].score);
        writer_end(w, '}');
    }
    writer_end(w, ']');
    writer_key(w, "edges");
    writer_begin(w, '[', false);
    for (int32_t i = 0; i < block->n_edges; i++) {
        writer_begin(w, '{', true);
        writer_integer_field(w, "from", block->edges[i].from);
        writer_integer_field(w, "to", block->edges[i].to);
        writer_number_field(w, "weight", block->edges[i].weight);
        writer_end(w, '}');
    }
    writer_end(w, ']');
}

static void write_text(JsonWriter *w, const void *content) {
    const TextBlock *block = content;
    writer_bool_field(w, "literal", block->literal);
    writer_text_field(w, "text", block->text);
}

static void write_section(JsonWriter *w, const void *content) {
    writer_integer_field(w, "level", ((const SectionBlock *)content)->level);
}

static void (*const block_writers[])(JsonWriter *w, const void *content) = {
#define BLOCK(kind, name, type, help) write_##name,
#include "result/blocks.def"
#undef BLOCK
};

static void write_block(JsonWriter *w, const Block *block) {
    writer_begin(w, '{', false);
    writer_string_field(w, "kind", block_kind_name(block->kind));
    writer_string_field(w, "id", block->id);
    writer_text_field(w, "title", block->title);
    writer_text_field(w, "unit", block->unit);
    writer_text_field(w, "note", block->note);
    writer_bool_field(w, "detail", block->detail);
    block_writers[block->kind](w, block->content);
    writer_end(w, '}');
}

limn_status result_write_block(TextBuffer *out, const Result *result, int32_t i) {
    TRY(result_status(result));
    JsonWriter writer = {.out = out};
    write_block(&writer, &result->blocks[i]);
    return text_buffer_status(out);
}

static void write_blocks(JsonWriter *w, const Result *result) {
    writer_key(w, "blocks");
    writer_begin(w, '[', false);
    for (int32_t i = 0; i < result->n_blocks; i++) {
        write_block(w, &result->blocks[i]);
    }
    writer_end(w, ']');
}

/* ---- the rest ---- */

static void write_input(JsonWriter *w, const Result *result) {
    writer_key(w, "input");
    writer_begin(w, '{', false);
    writer_text_field(w, "text", result->input_text);
    writer_key(w, "tokens");
    writer_begin(w, '[', false);
    for (int32_t i = 0; i < result->n_input_tokens; i++) {
        const InputToken *token = &result->input_tokens[i];
        writer_begin(w, '{', true);
        writer_integer_field(w, "id", token->id);
        writer_text_field(w, "text", token->bytes);
        writer_integer_field(w, "begin", token->begin);
        writer_integer_field(w, "end", token->end);
        writer_text_field(w, "role", token->role);
        if (token->message > 0) {
            writer_integer_field(w, "message", token->message - 1);
        }
        writer_bool_field(w, "special", token->special);
        writer_end(w, '}');
    }
    writer_end(w, ']');
    writer_end(w, '}');
}

static void write_target(JsonWriter *w, const char *name, const ResultTarget *target, const ResultTarget *contrast) {
    writer_key(w, name);
    writer_begin(w, '{', false);
    writer_text_field(w, "kind", target->kind);
    writer_key(w, "ids");
    writer_begin(w, '[', true);
    for (int32_t i = 0; i < target->n_ids; i++) {
        writer_integer(w, target->ids[i]);
    }
    writer_end(w, ']');
    writer_text_field(w, "text", target->text);
    writer_number_field(w, "log_probability", target->log_probability);
    writer_number_field(w, "logit", target->logit);
    writer_integer_field(w, "rank", target->rank);
    if (target->token_log_probabilities != NULL) {
        writer_numbers_field(w, "token_log_probabilities", target->token_log_probabilities, target->n_ids);
    }
    writer_bool_field(w, "chosen", target->chosen);
    if (contrast != NULL) {
        write_target(w, "contrast", contrast, NULL);
    }
    writer_end(w, '}');
}

static void write_model(JsonWriter *w, const ResultModel *model) {
    writer_key(w, "model");
    writer_begin(w, '{', false);
    writer_text_field(w, "name", model->name);
    writer_text_field(w, "architecture", model->architecture);
    writer_text_field(w, "dtype", model->dtype);
    writer_text_field(w, "hash", model->hash);
    writer_end(w, '}');
}

static void write_fields(JsonWriter *w, const char *name, const Fields *fields) {
    writer_key(w, name);
    Value object = {.kind = VALUE_OBJECT, .fields = fields->items, .count = fields->count};
    writer_value(w, &object);
}

static void write_verdicts(JsonWriter *w, const Result *result) {
    writer_key(w, "warnings");
    writer_begin(w, '[', false);
    for (int32_t i = 0; i < result->n_warnings; i++) {
        writer_text(w, result->warnings[i]);
    }
    writer_end(w, ']');
    writer_key(w, "checks");
    writer_begin(w, '[', false);
    for (int32_t i = 0; i < result->n_checks; i++) {
        const ResultCheck *check = &result->checks[i];
        writer_begin(w, '{', true);
        writer_text_field(w, "name", check->name);
        writer_number_field(w, "value", check->value);
        writer_string_field(w, "relation", relations[check->kind]);
        writer_number_field(w, "limit", check->limit);
        if (check->state == CHECK_INCONCLUSIVE) {
            writer_key(w, "pass");
            writer_null(w);
        } else {
            writer_bool_field(w, "pass", check->state == CHECK_PASS);
        }
        writer_string_field(w, "state", check_state_name(check->state));
        if (check->advisory) {
            writer_bool_field(w, "advisory", true);
        }
        writer_text_field(w, "meaning", check->meaning);
        writer_end(w, '}');
    }
    writer_end(w, ']');
}

static void write_provenance(JsonWriter *w, const ResultProvenance *provenance) {
    writer_key(w, "provenance");
    writer_begin(w, '{', false);
    writer_text_field(w, "version", provenance->version);
    writer_text_field(w, "backend", provenance->backend);
    writer_text_field(w, "compute", provenance->compute);
    writer_text_field(w, "instruction_set", provenance->instruction_set);
    writer_text_field(w, "libraries", provenance->libraries);
    writer_integer_field(w, "chunk_rows", provenance->chunk_rows);
    writer_integer_field(w, "threads", provenance->threads);
    if (provenance->seed <= INT64_MAX) {
        writer_integer_field(w, "seed", (int64_t)provenance->seed);
    } else { /* JSON readers keep 63 bits at most */
        char seed[NUMBER_TEXT_MAX];
        snprintf(seed, sizeof seed, "%llu", (unsigned long long)provenance->seed);
        writer_string_field(w, "seed", seed);
    }
    if (provenance->n_adapters > 0) {
        writer_key(w, "adapters");
        writer_begin(w, '[', false);
        for (int32_t i = 0; i < provenance->n_adapters; i++) {
            writer_begin(w, '{', true);
            writer_text_field(w, "name", provenance->adapters[i].name);
            writer_text_field(w, "hash", provenance->adapters[i].hash);
            writer_number_field(w, "weight", provenance->adapters[i].weight);
            writer_end(w, '}');
        }
        writer_end(w, ']');
    }
    if (provenance->n_edits > 0) {
        writer_key(w, "edits");
        writer_begin(w, '[', false);
        for (int32_t i = 0; i < provenance->n_edits; i++) {
            writer_begin(w, '{', true);
            writer_text_field(w, "name", provenance->edits[i].name);
            writer_text_field(w, "hash", provenance->edits[i].hash);
            writer_text_field(w, "edits", provenance->edits[i].edits);
            writer_end(w, '}');
        }
        writer_end(w, ']');
    }
    writer_end(w, '}');
}

static void write_measured(JsonWriter *w, const ResultMeasured *measured) {
    writer_key(w, "measured");
    writer_begin(w, '{', false);
    writer_text_field(w, "started", measured->started);
    writer_number_field(w, "seconds", measured->seconds);
    writer_integer_field(w, "peak_bytes", measured->peak_bytes);
    writer_end(w, '}');
}

static void write_head(JsonWriter *w, const Result *result) {
    writer_string_field(w, "format", RESULT_FORMAT);
    writer_key(w, "method");
    writer_begin(w, '{', true);
    writer_string_field(w, "name", result->method);
    writer_text_field(w, "title", result->method_title);
    writer_end(w, '}');
    writer_text_field(w, "headline", result->headline);
    write_model(w, &result->model);
}

limn_status result_write_json(TextBuffer *out, const Result *result, bool measured) {
    TRY(result_status(result));
    JsonWriter writer = {.out = out};
    JsonWriter *w = &writer;
    writer_begin(w, '{', false);
    write_head(w, result);
    write_input(w, result);
    if (result->has_target) {
        write_target(w, "target", &result->target, result->has_contrast ? &result->contrast : NULL);
    }
    write_fields(w, "params", &result->params);
    write_verdicts(w, result);
    write_blocks(w, result);
    if (result->command != NULL) {
        writer_key(w, "request");
        writer_begin(w, '{', false);
        writer_string_field(w, "command", result->command);
        writer_key(w, "params");
        writer_value(w, &result->request);
        writer_end(w, '}');
    }
    write_provenance(w, &result->provenance);
    if (measured) {
        write_measured(w, &result->measured);
    }
    writer_end(w, '}');
    text_buffer_add_char(out, '\n');
    return text_buffer_status(out);
}
