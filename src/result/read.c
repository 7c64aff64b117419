/* JSON back into a Result. The mirror of write.c. */
#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "result/json.h"
#include "result/reader.h"

/* ---- blocks ---- */

static const char *state_name(int i) {
    return token_state_name((TokenState)i);
}

static const char *column_name(int i) {
    return column_kind_name((ColumnKind)i);
}

static const char *kind_name(int i) {
    return block_kind_name((BlockKind)i);
}

static const char *relation_name(int i) {
    return check_kind_name((CheckKind)i);
}

static limn_status read_token_items(const Reader *reader, const json_t *items, TokensBlock *block) {
    for (int32_t i = 0; i < block->n; i++) {
        const json_t *json = json_array_get(items, (size_t)i);
        TokenItem *item = &block->items[i];
        int state;
        TRY(reader_text(reader, json, "text", &item->bytes));
        TRY(reader_number(reader, json, "score", &item->score));
        TRY(reader_number(reader, json, "spread", &item->spread));
        TRY(reader_choice(reader, json, "state", state_name, TOKEN_STATE_COUNT, &state));
        item->state = (TokenState)state;
        item->input = -1;
        if (json_object_get(json, "input") != NULL) {
            TRY(reader_int32(reader, json, "input", 0, &item->input));
        }
        if (item->bytes.bytes == NULL) {
            item->bytes = (Text){"", 0};
        }
    }
    return LIMN_OK;
}

static limn_status read_grouping(const Reader *reader, const json_t *json, TokensBlock *block) {
    const char *name;
    json_t *array;
    int32_t n;
    TRY(reader_name(reader, json, "name", &name));
    TRY(reader_array(reader, json, "groups", &array));
    TRY(reader_count_from(reader, array, &n));
    TokenGroup *groups = tokens_add_grouping(block, name, n);
    TRY(result_status(reader->result));
    for (int32_t i = 0; i < n; i++) {
        const json_t *group = json_array_get(array, (size_t)i);
        TRY(reader_int32(reader, group, "begin", 0, &groups[i].begin));
        TRY(reader_int32(reader, group, "end", groups[i].begin, &groups[i].end));
        TRY(reader_number(reader, group, "score", &groups[i].score));
        TRY(reader_number(reader, group, "spread", &groups[i].spread));
        if (groups[i].end > block->n) {
            return fail(LIMN_FORMAT, "%s: %s: a %s ends at item %d of %d", reader->source, reader->where, name,
                        groups[i].end, block->n);
        }
    }
    return LIMN_OK;
}

static limn_status read_tokens(const Reader *reader, const json_t *json, const char *id) {
    json_t *items, *groupings;
    int32_t n;
    TRY(reader_array(reader, json, "items", &items));
    TRY(reader_array(reader, json, "groupings", &groupings));
    TRY(reader_count_from(reader, items, &n));
    TokensBlock *block = result_add_tokens(reader->result, id, NULL, n);
    TRY(result_status(reader->result));
    TRY(reader_bool(reader, json, "signed", &block->is_signed));
    TRY(reader_number(reader, json, "scale", &block->scale));
    TRY(reader_name(reader, json, "shown", &block->shown));
    TRY(read_token_items(reader, items, block));
    for (size_t i = 0; i < json_array_size(groupings); i++) {
        TRY(read_grouping(reader, json_array_get(groupings, i), block));
    }
    return LIMN_OK;
}

static limn_status read_labels(const Reader *reader, const json_t *array, const char *key, Text *labels) {
    for (size_t i = 0; i < json_array_size(array); i++) {
        TRY(reader_text_from(reader, json_array_get(array, i), key, &labels[i]));
    }
    return LIMN_OK;
}

static limn_status read_matrix(const Reader *reader, const json_t *json, const char *id) {
    json_t *rows, *columns, *values;
    int32_t n_rows, n_columns;
    TRY(reader_array(reader, json, "rows", &rows));
    TRY(reader_array(reader, json, "columns", &columns));
    TRY(reader_array(reader, json, "values", &values));
    TRY(reader_count_from(reader, rows, &n_rows));
    TRY(reader_count_from(reader, columns, &n_columns));
    if (json_array_size(values) != (size_t)n_rows) {
        return fail(LIMN_FORMAT, "%s: %s: %zu rows of values, expected %d", reader->source, reader->where,
                    json_array_size(values), n_rows);
    }
    for (int32_t i = 0; i < n_rows; i++) { /* before memory is taken for rows times columns */
        if (json_array_size(json_array_get(values, (size_t)i)) != (size_t)n_columns) {
            return fail(LIMN_FORMAT, "%s: %s: row %d of values does not have %d numbers", reader->source, reader->where,
                        i, n_columns);
        }
    }
    MatrixBlock *block = result_add_matrix(reader->result, id, NULL, n_rows, n_columns);
    TRY(result_status(reader->result));
    TRY(reader_bool(reader, json, "signed", &block->is_signed));
    TRY(reader_text(reader, json, "row_title", &block->row_title));
    TRY(reader_text(reader, json, "column_title", &block->column_title));
    TRY(read_labels(reader, rows, "rows", block->row_labels));
    TRY(read_labels(reader, columns, "columns", block->column_labels));
    for (int32_t i = 0; i < n_rows; i++) {
        for (int32_t j = 0; j < n_columns; j++) {
            const json_t *cell = json_array_get(json_array_get(values, (size_t)i), (size_t)j);
            if (!json_is_number(cell) && !json_is_null(cell)) {
                return reader_fail(reader, "values", cell, "numbers or null");
            }
            matrix_set(block, i, j, json_is_null(cell) ? (double)NAN : json_number_value(cell));
        }
    }
    return LIMN_OK;
}

static limn_status read_series(const Reader *reader, const json_t *json, const char *id) {
    json_t *x, *lines;
    int32_t n;
    double *numbers;
    TRY(reader_array(reader, json, "x", &x));
    TRY(reader_count_from(reader, x, &n));
    TRY(reader_numbers(reader, json, "x", n, &numbers));
    SeriesBlock *block = result_add_series(reader->result, id, NULL, numbers, n, NULL, NULL);
    TRY(result_status(reader->result));
    TRY(reader_text(reader, json, "x_title", &block->x_title));
    TRY(reader_text(reader, json, "y_title", &block->y_title));
    TRY(reader_array(reader, json, "lines", &lines));
    for (size_t i = 0; i < json_array_size(lines); i++) {
        const json_t *line = json_array_get(lines, i);
        Text name;
        double *y, *low = NULL, *high = NULL;
        TRY(reader_text(reader, line, "name", &name));
        TRY(reader_numbers(reader, line, "y", n, &y));
        if (json_object_get(line, "low") != NULL) {
            TRY(reader_numbers(reader, line, "low", n, &low));
            TRY(reader_numbers(reader, line, "high", n, &high));
        }
        series_line(block, NULL, y, low, high);
        if (block->n_lines == (int32_t)i + 1) {
            block->lines[i].name = name;
        }
    }
    return result_status(reader->result);
}

static limn_status read_columns(const Reader *reader, const json_t *array, TableColumn *columns) {
    for (size_t i = 0; i < json_array_size(array); i++) {
        const json_t *json = json_array_get(array, i);
        int kind;
        TRY(reader_text(reader, json, "name", &columns[i].name));
        TRY(reader_choice(reader, json, "kind", column_name, COLUMN_COUNT, &kind));
        columns[i].kind = (ColumnKind)kind;
    }
    return LIMN_OK;
}

static limn_status read_table(const Reader *reader, const json_t *json, const char *id) {
    json_t *array, *rows;
    int32_t n;
    TRY(reader_array(reader, json, "columns", &array));
    TRY(reader_array(reader, json, "rows", &rows));
    TRY(reader_count_from(reader, array, &n));
    TableColumn *columns = result_alloc(reader->result, (size_t)n, sizeof *columns);
    Value *cells = result_alloc(reader->result, (size_t)n, sizeof *cells);
    TRY(result_status(reader->result));
    TRY(read_columns(reader, array, columns));
    int32_t repeated;
    TRY(columns_repeated(columns, n, &repeated));
    if (repeated >= 0) {
        return fail(LIMN_FORMAT, "%s: %s: column %d has the name of one before it, expected names of its own",
                    reader->source, reader->where, (int)repeated);
    }
    TableBlock *block = result_add_table(reader->result, id, NULL, columns, n);
    for (size_t i = 0; i < json_array_size(rows); i++) {
        const json_t *row = json_array_get(rows, i);
        if (json_array_size(row) != (size_t)n) {
            return fail(LIMN_FORMAT, "%s: %s: row %zu does not have %d cells", reader->source, reader->where, i, n);
        }
        for (int32_t j = 0; j < n; j++) {
            TRY(reader_value_from(reader, json_array_get(row, (size_t)j), 0, &cells[j]));
        }
        table_row(block, cells);
    }
    return result_status(reader->result);
}

static limn_status read_graph(const Reader *reader, const json_t *json, const char *id) {
    json_t *nodes, *edges;
    int32_t n_nodes, n_edges;
    TRY(reader_array(reader, json, "nodes", &nodes));
    TRY(reader_array(reader, json, "edges", &edges));
    TRY(reader_count_from(reader, nodes, &n_nodes));
    TRY(reader_count_from(reader, edges, &n_edges));
    GraphBlock *block = result_add_graph(reader->result, id, NULL, n_nodes, n_edges);
    TRY(result_status(reader->result));
    for (int32_t i = 0; i < n_nodes; i++) {
        const json_t *node = json_array_get(nodes, (size_t)i);
        TRY(reader_text(reader, node, "id", &block->nodes[i].id));
        TRY(reader_text(reader, node, "label", &block->nodes[i].label));
        TRY(reader_number(reader, node, "score", &block->nodes[i].score));
    }
    for (int32_t i = 0; i < n_edges; i++) {
        const json_t *edge = json_array_get(edges, (size_t)i);
        int64_t from, to;
        double weight;
        TRY(reader_integer(reader, edge, "from", 0, n_nodes - 1, &from));
        TRY(reader_integer(reader, edge, "to", 0, n_nodes - 1, &to));
        TRY(reader_number(reader, edge, "weight", &weight));
        graph_block_edge(block, i, (int32_t)from, (int32_t)to, weight);
    }
    return result_status(reader->result);
}

static limn_status read_text_block(const Reader *reader, const json_t *json, const char *id) {
    Text text;
    bool literal;
    TRY(reader_text(reader, json, "text", &text));
    TRY(reader_bool(reader, json, "literal", &literal));
    result_add_text(reader->result, id, NULL, text.bytes, text.length, literal);
    return result_status(reader->result);
}

static limn_status read_section(const Reader *reader, const json_t *json, const char *id) {
    int64_t level;
    TRY(reader_integer(reader, json, "level", 1, SECTION_LEVELS, &level));
    result_add_section(reader->result, id, NULL, (int32_t)level);
    return result_status(reader->result);
}

static limn_status (*const block_readers[])(const Reader *reader, const json_t *json, const char *id) = {
    [BLOCK_TOKENS] = read_tokens,   [BLOCK_MATRIX] = read_matrix, [BLOCK_SERIES] = read_series,
    [BLOCK_TABLE] = read_table,     [BLOCK_GRAPH] = read_graph,   [BLOCK_TEXT] = read_text_block,
    [BLOCK_SECTION] = read_section,
};
_Static_assert(sizeof block_readers / sizeof *block_readers == BLOCK_COUNT, "one reader for each kind of block");

static limn_status read_blocks(Reader *reader, const json_t *root) {
    json_t *array;
    TRY(reader_array(reader, root, "blocks", &array));
    for (size_t i = 0; i < json_array_size(array); i++) {
        const json_t *json = json_array_get(array, i);
        reader->where = arena_printf(&reader->result->arena, "blocks[%zu]", i);
        if (reader->where == NULL) {
            return fail(LIMN_NO_MEMORY, "%s: no memory for block %zu", reader->source, i);
        }
        int kind;
        const char *id;
        TRY(reader_choice(reader, json, "kind", kind_name, BLOCK_COUNT, &kind));
        TRY(reader_name(reader, json, "id", &id));
        if (result_find_block(reader->result, id) != NULL) {
            return fail(LIMN_FORMAT, "%s: two blocks named %s", reader->source, id);
        }
        TRY(block_readers[kind](reader, json, id));
        Block *block = &reader->result->blocks[reader->result->n_blocks - 1];
        TRY(reader_text(reader, json, "title", &block->title));
        TRY(reader_text(reader, json, "unit", &block->unit));
        TRY(reader_text(reader, json, "note", &block->note));
        TRY(reader_bool(reader, json, "detail", &block->detail));
    }
    reader->where = "";
    return LIMN_OK;
}

/* ---- the rest ---- */

/* Absent: the token is of no message. */
static limn_status read_message(Reader *reader, const json_t *json, int32_t *message) {
    *message = 0;
    if (json_object_get(json, "message") == NULL) {
        return LIMN_OK;
    }
    TRY(reader_int32(reader, json, "message", 0, message));
    *message += *message < INT32_MAX;
    return LIMN_OK;
}

static limn_status read_input(Reader *reader, const json_t *root) {
    Result *result = reader->result;
    json_t *input, *tokens;
    TRY(reader_object(reader, root, "input", &input));
    TRY(reader_text(reader, input, "text", &result->input_text));
    TRY(reader_array(reader, input, "tokens", &tokens));
    reader->where = "input.tokens";
    for (size_t i = 0; i < json_array_size(tokens); i++) {
        const json_t *json = json_array_get(tokens, i);
        InputToken token;
        TRY(reader_int32(reader, json, "id", INT32_MIN, &token.id));
        TRY(reader_text(reader, json, "text", &token.bytes));
        TRY(reader_integer(reader, json, "begin", 0, INT64_MAX, &token.begin));
        TRY(reader_integer(reader, json, "end", token.begin, INT64_MAX, &token.end));
        TRY(reader_text(reader, json, "role", &token.role));
        TRY(read_message(reader, json, &token.message));
        TRY(reader_bool(reader, json, "special", &token.special));
        result_input_token(result, &token);
    }
    reader->where = "";
    return result_status(result);
}

static limn_status read_target(Reader *reader, const json_t *json, ResultTarget *target) {
    json_t *ids;
    TRY(reader_text(reader, json, "kind", &target->kind));
    TRY(reader_array(reader, json, "ids", &ids));
    TRY(reader_count_from(reader, ids, &target->n_ids));
    int32_t *copy = result_alloc(reader->result, (size_t)target->n_ids, sizeof *copy);
    TRY(result_status(reader->result));
    for (int32_t i = 0; i < target->n_ids; i++) {
        const json_t *id = json_array_get(ids, (size_t)i);
        if (!json_is_integer(id) || json_integer_value(id) < INT32_MIN || json_integer_value(id) > INT32_MAX) {
            return reader_fail(reader, "ids", id, "token ids");
        }
        copy[i] = (int32_t)json_integer_value(id);
    }
    target->ids = copy;
    TRY(reader_text(reader, json, "text", &target->text));
    TRY(reader_number(reader, json, "log_probability", &target->log_probability));
    TRY(reader_number(reader, json, "logit", &target->logit));
    TRY(reader_integer(reader, json, "rank", 0, INT64_MAX, &target->rank));
    if (json_object_get(json, "token_log_probabilities") != NULL) {
        double *each;
        TRY(reader_numbers(reader, json, "token_log_probabilities", target->n_ids, &each));
        target->token_log_probabilities = each;
    }
    return reader_bool(reader, json, "chosen", &target->chosen);
}

static limn_status read_targets(Reader *reader, const json_t *root) {
    Result *result = reader->result;
    const json_t *target = json_object_get(root, "target");
    if (target == NULL || json_is_null(target)) {
        return LIMN_OK;
    }
    reader->where = "target";
    TRY(read_target(reader, target, &result->target));
    result->has_target = true;
    const json_t *contrast = json_object_get(target, "contrast");
    if (contrast != NULL) {
        reader->where = "target.contrast";
        TRY(read_target(reader, contrast, &result->contrast));
        result->has_contrast = true;
    }
    reader->where = "";
    return LIMN_OK;
}

static limn_status read_head(Reader *reader, const json_t *root) {
    Result *result = reader->result;
    json_t *method, *model;
    TRY(reader_object(reader, root, "method", &method));
    reader->where = "method";
    TRY(reader_name(reader, method, "name", &result->method));
    TRY(reader_text(reader, method, "title", &result->method_title));
    reader->where = "";
    TRY(reader_text(reader, root, "headline", &result->headline));
    TRY(reader_object(reader, root, "model", &model));
    reader->where = "model";
    TRY(reader_text(reader, model, "name", &result->model.name));
    TRY(reader_text(reader, model, "architecture", &result->model.architecture));
    TRY(reader_text(reader, model, "dtype", &result->model.dtype));
    TRY(reader_text(reader, model, "hash", &result->model.hash));
    reader->where = "";
    return LIMN_OK;
}

static const char *state_of_check(int index) {
    return check_state_name((CheckState)index);
}

/* Where documents do not say it, what "pass" says. */
static limn_status read_check_state(Reader *reader, const json_t *json, CheckState *state) {
    bool pass = false;
    bool open = json_is_null(json_object_get(json, "pass"));
    int index = CHECK_INCONCLUSIVE;
    if (!open) {
        TRY(reader_bool(reader, json, "pass", &pass));
        index = pass ? CHECK_PASS : CHECK_FAIL;
    }
    *state = (CheckState)index;
    if (json_object_get(json, "state") == NULL) {
        return LIMN_OK;
    }
    TRY(reader_choice(reader, json, "state", state_of_check, CHECK_INCONCLUSIVE + 1, &index));
    return index == (int)*state
               ? LIMN_OK
               : reader_fail(reader, "state", json_object_get(json, "state"), check_state_name(*state));
}

static limn_status read_check(Reader *reader, const json_t *json, size_t i) {
    Result *result = reader->result;
    ResultCheck check;
    int kind;
    TRY(reader_text(reader, json, "name", &check.name));
    TRY(reader_number(reader, json, "value", &check.value));
    TRY(reader_choice(reader, json, "relation", relation_name, CHECK_ABOVE + 1, &kind));
    TRY(reader_number(reader, json, "limit", &check.limit));
    TRY(reader_text(reader, json, "meaning", &check.meaning));
    TRY(reader_bool(reader, json, "advisory", &check.advisory));
    TRY(read_check_state(reader, json, &check.state));
    const char *name = check.name.bytes == NULL ? "" : check.name.bytes;
    const char *meaning = check.meaning.bytes == NULL ? "" : check.meaning.bytes;
    if (check.state == CHECK_INCONCLUSIVE) {
        result_check_inconclusive(result, name, check.value, (CheckKind)kind, check.limit, "%s", meaning);
    } else {
        result_check(result, name, check.value, (CheckKind)kind, check.limit, "%s", meaning);
    }
    if (check.advisory) {
        result_check_advisory(result);
    }
    TRY(result_status(result));
    if (check.state != result->checks[i].state) {
        return fail(LIMN_FORMAT, "%s: checks[%zu]: says pass is %s, its own numbers say otherwise", reader->source, i,
                    check.state == CHECK_PASS ? "true" : "false");
    }
    return LIMN_OK;
}

static limn_status read_verdicts(Reader *reader, const json_t *root) {
    Result *result = reader->result;
    json_t *array;
    TRY(reader_array(reader, root, "warnings", &array));
    for (size_t i = 0; i < json_array_size(array); i++) {
        Text text;
        TRY(reader_text_from(reader, json_array_get(array, i), "warnings", &text));
        result_warn(result, "%s", text.bytes == NULL ? "" : text.bytes);
    }
    TRY(reader_array(reader, root, "checks", &array));
    reader->where = "checks";
    for (size_t i = 0; i < json_array_size(array); i++) {
        TRY(read_check(reader, json_array_get(array, i), i));
    }
    reader->where = "";
    return LIMN_OK;
}

/* Absent: none. */
static limn_status read_adapters(Reader *reader, const json_t *provenance) {
    const json_t *array = json_object_get(provenance, "adapters");
    ResultProvenance *out = &reader->result->provenance;
    if (array == NULL || json_is_null(array)) {
        return LIMN_OK;
    }
    if (!json_is_array(array)) {
        return reader_fail(reader, "adapters", array, "an array");
    }
    TRY(reader_count_from(reader, array, &out->n_adapters));
    ResultAdapter *adapters = ARENA_ARRAY(&reader->result->arena, ResultAdapter, out->n_adapters + 1);
    if (adapters == NULL) {
        out->n_adapters = 0;
        return fail(LIMN_NO_MEMORY, "%s: no memory for its adapters", reader->source);
    }
    out->adapters = adapters;
    for (int32_t i = 0; i < out->n_adapters; i++) {
        const json_t *json = json_array_get(array, (size_t)i);
        if (!json_is_object(json)) {
            return reader_fail(reader, "adapters", json, "objects");
        }
        TRY(reader_text(reader, json, "name", &adapters[i].name));
        TRY(reader_text(reader, json, "hash", &adapters[i].hash));
        TRY(reader_number(reader, json, "weight", &adapters[i].weight));
    }
    return LIMN_OK;
}

/* Absent: none. */
static limn_status read_edits(Reader *reader, const json_t *provenance) {
    const json_t *array = json_object_get(provenance, "edits");
    ResultProvenance *out = &reader->result->provenance;
    if (array == NULL || json_is_null(array)) {
        return LIMN_OK;
    }
    if (!json_is_array(array)) {
        return reader_fail(reader, "edits", array, "an array");
    }
    TRY(reader_count_from(reader, array, &out->n_edits));
    ResultEdits *edits = ARENA_ARRAY(&reader->result->arena, ResultEdits, out->n_edits + 1);
    if (edits == NULL) {
        out->n_edits = 0;
        return fail(LIMN_NO_MEMORY, "%s: no memory for its edits", reader->source);
    }
    out->edits = edits;
    for (int32_t i = 0; i < out->n_edits; i++) {
        const json_t *json = json_array_get(array, (size_t)i);
        if (!json_is_object(json)) {
            return reader_fail(reader, "edits", json, "objects");
        }
        TRY(reader_text(reader, json, "name", &edits[i].name));
        TRY(reader_text(reader, json, "hash", &edits[i].hash));
        TRY(reader_text(reader, json, "edits", &edits[i].edits));
    }
    return LIMN_OK;
}

static limn_status read_provenance(Reader *reader, const json_t *root) {
    ResultProvenance *provenance = &reader->result->provenance;
    json_t *json;
    TRY(reader_object(reader, root, "provenance", &json));
    reader->where = "provenance";
    TRY(reader_text(reader, json, "version", &provenance->version));
    TRY(reader_text(reader, json, "backend", &provenance->backend));
    TRY(reader_text(reader, json, "compute", &provenance->compute));
    TRY(reader_text(reader, json, "instruction_set", &provenance->instruction_set));
    TRY(reader_text(reader, json, "libraries", &provenance->libraries));
    TRY(reader_int32(reader, json, "chunk_rows", 0, &provenance->chunk_rows));
    TRY(reader_int32(reader, json, "threads", 0, &provenance->threads));
    const json_t *seed = json_object_get(json, "seed");
    if (json_is_string(seed)) {
        char *end;
        errno = 0;
        provenance->seed = strtoull(json_string_value(seed), &end, 10);
        if (*end != '\0' || errno != 0 || end == json_string_value(seed)) {
            return reader_fail(reader, "seed", seed, "a number of 64 bits");
        }
    } else {
        int64_t small;
        TRY(reader_integer(reader, json, "seed", 0, INT64_MAX, &small));
        provenance->seed = (uint64_t)small;
    }
    TRY(read_adapters(reader, json));
    TRY(read_edits(reader, json));
    reader->where = "";
    return LIMN_OK;
}

static limn_status read_measured(Reader *reader, const json_t *root) {
    ResultMeasured *measured = &reader->result->measured;
    const json_t *json = json_object_get(root, "measured");
    if (json == NULL) {
        return LIMN_OK;
    }
    reader->where = "measured";
    TRY(reader_text(reader, json, "started", &measured->started));
    TRY(reader_number(reader, json, "seconds", &measured->seconds));
    TRY(reader_integer(reader, json, "peak_bytes", 0, INT64_MAX, &measured->peak_bytes));
    reader->where = "";
    return LIMN_OK;
}

static limn_status read_params(Reader *reader, const json_t *root) {
    Result *result = reader->result;
    json_t *params;
    TRY(reader_object(reader, root, "params", &params));
    Value value;
    TRY(reader_value_from(reader, params, 0, &value));
    for (size_t i = 0; value.kind == VALUE_OBJECT && i < value.count; i++) {
        result_param(result, value.fields[i].name, value.fields[i].value);
    }
    const json_t *request = json_object_get(root, "request");
    if (request != NULL) {
        json_t *asked;
        reader->where = "request";
        TRY(reader_name(reader, request, "command", &result->command));
        TRY(reader_object(reader, request, "params", &asked));
        TRY(reader_value_from(reader, asked, 0, &result->request));
        reader->where = "";
    }
    return result_status(result);
}

static limn_status read_document(Reader *reader, const json_t *root) {
    const json_t *format = json_object_get(root, "format");
    if (!json_is_string(format) || strcmp(json_string_value(format), RESULT_FORMAT) != 0) {
        return fail(LIMN_FORMAT, "%s: not a result document: format is %s%s%s, expected \"%s\"", reader->source,
                    json_is_string(format) ? "\"" : "", json_is_string(format) ? json_string_value(format) : "absent",
                    json_is_string(format) ? "\"" : "", RESULT_FORMAT);
    }
    TRY(read_head(reader, root));
    TRY(read_input(reader, root));
    TRY(read_targets(reader, root));
    TRY(read_params(reader, root));
    TRY(read_verdicts(reader, root));
    TRY(read_blocks(reader, root));
    TRY(read_provenance(reader, root));
    return read_measured(reader, root);
}

/* Of a page: the part that is the document. */
static limn_status find_in_page(const char **json, size_t *length, const char *source) {
    static const char end[] = "</script>";
    const char *begin = memmem(*json, *length, RESULT_IN_PAGE, sizeof RESULT_IN_PAGE - 1);
    if (begin == NULL) {
        return fail(LIMN_FORMAT, "%s: a page without a result document inside", source);
    }
    begin += sizeof RESULT_IN_PAGE - 1;
    size_t left = *length - (size_t)(begin - *json);
    const char *close = memmem(begin, left, end, sizeof end - 1);
    *json = begin;
    *length = close == NULL ? left : (size_t)(close - begin);
    return LIMN_OK;
}

/* Of a PDF file: the attachment, "/Type /EmbeddedFile /Length 123 >>" and a stream. Texts of the file hold no line
 * breaks, so that none passes for one. */
static limn_status find_in_pdf(const char **json, size_t *length, const char *source) {
    static const char open[] = " >>\nstream\n", end[] = "\nendstream";
    const char *at = *json, *file_end = *json + *length;
    while ((at = memmem(at, (size_t)(file_end - at), RESULT_IN_PDF, sizeof RESULT_IN_PDF - 1)) != NULL) {
        at += sizeof RESULT_IN_PDF - 1;
        while (at < file_end && *at >= '0' && *at <= '9') {
            at++;
        }
        if ((size_t)(file_end - at) >= sizeof open && memcmp(at, open, sizeof open - 1) == 0) {
            at += sizeof open - 1;
            const char *close = memmem(at, (size_t)(file_end - at), end, sizeof end - 1);
            *json = at;
            *length = (size_t)((close == NULL ? file_end : close) - at);
            return LIMN_OK;
        }
    }
    return fail(LIMN_FORMAT, "%s: a PDF file without a result document as limn attaches it", source);
}

/* A document may come within a file that people read. */
static limn_status find_document(const char **json, size_t *length, const char *source) {
    if (*length > 0 && (*json)[0] == '<') {
        return find_in_page(json, length, source);
    }
    return *length > 4 && memcmp(*json, "%PDF-", 5) == 0 ? find_in_pdf(json, length, source) : LIMN_OK;
}

limn_status result_read_json(Result **result, const char *json, size_t length, const char *source) {
    *result = NULL;
    TRY(find_document(&json, &length, source));
    json_error_t error;
    json_t *root = json_loadb(json, length, JSON_ALLOW_NUL | JSON_REJECT_DUPLICATES, &error);
    if (root == NULL) {
        return fail(LIMN_FORMAT, "%s: is no result document: line %d: %s", source, error.line, error.text);
    }
    limn_status status = result_new(result, "", NULL);
    if (status == LIMN_OK) {
        Reader reader = {*result, source, ""};
        status = read_document(&reader, root);
    }
    json_decref(root);
    if (status != LIMN_OK) {
        result_free(*result);
        *result = NULL;
    }
    return status;
}

/* ---- the request ---- */

void result_request(Result *result, const char *command, const char *params_json) {
    json_error_t error;
    json_t *root = json_loads(params_json, JSON_ALLOW_NUL, &error);
    if (root == NULL || !json_is_object(root)) {
        result_fail(result, LIMN_INTERNAL, "the parameters of %s are not a JSON object: %s", command,
                    root == NULL ? error.text : "another type");
    } else {
        Reader reader = {result, "parameters", command};
        if (reader_value_from(&reader, root, 0, &result->request) != LIMN_OK) {
            result_fail(result, LIMN_USAGE, "the parameters of %s cannot be kept", command);
        }
        result->command = result_copy_name(result, command);
    }
    json_decref(root);
}

limn_status result_request_json(char **json, const Result *result) {
    if (result->command == NULL) {
        return fail(LIMN_NOT_FOUND, "this result does not say which call made it");
    }
    TextBuffer out = TEXT_BUFFER_INIT;
    JsonWriter writer = {.out = &out};
    writer_value(&writer, &result->request);
    limn_status status = text_buffer_status(&out);
    *json = status == LIMN_OK ? text_buffer_take(&out) : NULL;
    text_buffer_free(&out);
    return status;
}
