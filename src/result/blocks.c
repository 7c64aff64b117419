/* Adding blocks to a result, kind by kind. */
#include <math.h>
#include <string.h>

#include "base/map.h"

#include "result/build.h"

/* Ids become parts of HTML ids and file names. */
static bool plain_id(const char *id) {
    size_t length = strspn(id, "abcdefghijklmnopqrstuvwxyz0123456789-.");
    return length > 0 && id[length] == '\0';
}

void *result_add_block(Result *result, BlockKind kind, const char *id, const char *title, size_t content_size) {
    if (result->status == LIMN_OK && result_find_block(result, id) != NULL) {
        result_fail(result, LIMN_INTERNAL, "two blocks named %s", id);
    }
    if (!plain_id(id)) {
        result_fail(result, LIMN_FORMAT, "a block named \"%s\", expected lower-case letters, digits, dashes and dots",
                    id);
    }
    void *content = result_alloc(result, 1, content_size);
    void *items = result->blocks;
    Block *block = result_push(result, &items, &result->n_blocks, &result->blocks_capacity, sizeof *block);
    if (block == NULL) {
        return NULL;
    }
    result->blocks = items;
    block->kind = kind;
    block->content = content;
    block->id = result_copy_name(result, id);
    block->title = result_copy(result, text_of(title));
    return result->status == LIMN_OK ? content : NULL;
}

static size_t count_of(Result *result, int32_t n) {
    if (n < 0) {
        result_fail(result, LIMN_INTERNAL, "a block of %d items", n);
        return 0;
    }
    return (size_t)n;
}

/* ---- tokens ---- */

TokensBlock *result_add_tokens(Result *result, const char *id, const char *title, int32_t n) {
    TokenItem *items = result_alloc(result, count_of(result, n), sizeof *items);
    TokensBlock *block = result_add_block(result, BLOCK_TOKENS, id, title, sizeof *block);
    if (block == NULL) {
        return NULL;
    }
    block->items = items;
    block->n = n;
    block->is_signed = true;
    block->scale = (double)NAN;
    block->shown = "token";
    bool whole = n == result->n_input_tokens;
    for (int32_t i = 0; i < n; i++) {
        Text bytes = whole ? result->input_tokens[i].bytes : (Text){"", 0};
        items[i] = (TokenItem){bytes, (double)NAN, (double)NAN, TOKEN_SCORED, whole ? i : -1};
    }
    /* tokens_set has no result to copy into: the block keeps one for it. */
    block->owner = result;
    return block;
}

void tokens_set(TokensBlock *block, int32_t i, const char *bytes, size_t length, double score, TokenState state) {
    if (block == NULL) {
        return;
    }
    if (i < 0 || i >= block->n) {
        result_fail(block->owner, LIMN_INTERNAL, "token %d of a block of %d", i, block->n);
        return;
    }
    TokenItem *item = &block->items[i];
    if (bytes != NULL) {
        item->bytes = result_copy(block->owner, (Text){bytes, length});
    }
    item->score = score;
    item->state = state;
}

void tokens_set_spread(TokensBlock *block, int32_t i, double spread) {
    if (block != NULL && i >= 0 && i < block->n) {
        block->items[i].spread = spread;
    }
}

void tokens_set_input(TokensBlock *block, int32_t i, int32_t input) {
    if (block != NULL && i >= 0 && i < block->n) {
        block->items[i].input = input;
    }
}

TokenGroup *tokens_add_grouping(TokensBlock *block, const char *name, int32_t n) {
    if (block == NULL) {
        return NULL;
    }
    Result *result = block->owner;
    if (block->n_groupings == TOKEN_GROUPINGS_MAX) {
        result_fail(result, LIMN_INTERNAL, "more than %d groupings of one block", TOKEN_GROUPINGS_MAX);
        return NULL;
    }
    TokenGroup *groups = result_alloc(result, count_of(result, n), sizeof *groups);
    const char *kept = result_copy_name(result, name);
    if (groups == NULL || kept == NULL) {
        return NULL;
    }
    for (int32_t i = 0; i < n; i++) {
        groups[i].score = (double)NAN;
        groups[i].spread = (double)NAN;
    }
    block->groupings[block->n_groupings++] = (TokenGrouping){kept, groups, n};
    return groups;
}

void tokens_show(TokensBlock *block, const char *name) {
    if (block != NULL) {
        const char *kept = result_copy_name(block->owner, name);
        block->shown = kept == NULL ? "token" : kept;
    }
}

const TokenGrouping *tokens_grouping(const TokensBlock *block, const char *name) {
    for (int32_t i = 0; i < block->n_groupings; i++) {
        if (strcmp(block->groupings[i].name, name) == 0) {
            return &block->groupings[i];
        }
    }
    return NULL;
}

/* ---- matrix ---- */

MatrixBlock *result_add_matrix(Result *result, const char *id, const char *title, int32_t n_rows, int32_t n_columns) {
    size_t rows = count_of(result, n_rows), columns = count_of(result, n_columns);
    if (columns != 0 && rows > SIZE_MAX / columns) {
        result_fail(result, LIMN_RANGE, "a matrix of %zu by %zu", rows, columns);
    }
    double *values = result_alloc(result, rows * columns, sizeof *values);
    Text *row_labels = result_alloc(result, rows, sizeof *row_labels);
    Text *column_labels = result_alloc(result, columns, sizeof *column_labels);
    MatrixBlock *block = result_add_block(result, BLOCK_MATRIX, id, title, sizeof *block);
    if (block == NULL) {
        return NULL;
    }
    *block = (MatrixBlock){.owner = result,
                           .n_rows = n_rows,
                           .n_columns = n_columns,
                           .values = values,
                           .row_labels = row_labels,
                           .column_labels = column_labels,
                           .is_signed = true};
    for (size_t i = 0; i < rows * columns; i++) {
        values[i] = (double)NAN;
    }
    return block;
}

void matrix_set(MatrixBlock *block, int32_t row, int32_t column, double value) {
    if (block == NULL) {
        return;
    }
    if (row < 0 || row >= block->n_rows || column < 0 || column >= block->n_columns) {
        result_fail(block->owner, LIMN_INTERNAL, "cell %d, %d of a matrix of %d by %d", row, column, block->n_rows,
                    block->n_columns);
        return;
    }
    block->values[(size_t)row * (size_t)block->n_columns + (size_t)column] = value;
}

void matrix_label_row(MatrixBlock *block, int32_t row, const char *bytes, size_t length) {
    if (block != NULL && row >= 0 && row < block->n_rows) {
        block->row_labels[row] = result_copy(block->owner, (Text){bytes, length});
    }
}

void matrix_label_column(MatrixBlock *block, int32_t column, const char *bytes, size_t length) {
    if (block != NULL && column >= 0 && column < block->n_columns) {
        block->column_labels[column] = result_copy(block->owner, (Text){bytes, length});
    }
}

void matrix_titles(MatrixBlock *block, const char *row_title, const char *column_title) {
    if (block != NULL) {
        block->row_title = result_copy(block->owner, text_of(row_title));
        block->column_title = result_copy(block->owner, text_of(column_title));
    }
}

/* ---- series ---- */

static double *copy_numbers(Result *result, const double *numbers, int32_t n) {
    double *copy = result_alloc(result, count_of(result, n), sizeof *copy);
    if (copy != NULL && n > 0) {
        memcpy(copy, numbers, (size_t)n * sizeof *copy);
    }
    return copy;
}

SeriesBlock *result_add_series(Result *result, const char *id, const char *title, const double *x, int32_t n,
                               const char *x_title, const char *y_title) {
    SeriesBlock *block = result_add_block(result, BLOCK_SERIES, id, title, sizeof *block);
    if (block == NULL) {
        return NULL;
    }
    block->owner = result;
    block->n = n;
    block->x = copy_numbers(result, x, n);
    block->x_title = result_copy(result, text_of(x_title));
    block->y_title = result_copy(result, text_of(y_title));
    return result->status == LIMN_OK ? block : NULL;
}

void series_line(SeriesBlock *block, const char *name, const double *y, const double *low, const double *high) {
    if (block == NULL) {
        return;
    }
    Result *result = block->owner;
    void *items = block->lines;
    SeriesLine *line = result_push(result, &items, &block->n_lines, &block->capacity, sizeof *line);
    if (line == NULL) {
        return;
    }
    block->lines = items;
    line->name = result_copy(result, text_of(name));
    line->y = copy_numbers(result, y, block->n);
    if (low != NULL && high != NULL) {
        line->low = copy_numbers(result, low, block->n);
        line->high = copy_numbers(result, high, block->n);
    }
}

/* ---- table ---- */

limn_status columns_repeated(const TableColumn *columns, int32_t n, int32_t *repeated) {
    Map seen;
    map_init(&seen);
    limn_status status = LIMN_OK;
    *repeated = -1;
    for (int32_t i = 0; i < n && *repeated < 0 && status == LIMN_OK; i++) {
        Text name = columns[i].name;
        uint64_t other;
        if (map_get(&seen, name.bytes != NULL ? name.bytes : "", name.length, &other)) {
            *repeated = i;
        } else {
            status = map_put(&seen, name.bytes != NULL ? name.bytes : "", name.length, (uint64_t)i);
        }
    }
    map_free(&seen);
    return status;
}

TableBlock *result_add_table(Result *result, const char *id, const char *title, const TableColumn *columns,
                             int32_t n_columns) {
    int32_t repeated = -1;
    limn_status status = columns_repeated(columns, n_columns, &repeated);
    if (status != LIMN_OK || repeated >= 0) {
        result_fail(result, status != LIMN_OK ? status : LIMN_INTERNAL,
                    "result: the table '%s' has two columns '%.40s'", id,
                    repeated >= 0 ? columns[repeated].name.bytes : "");
        return NULL;
    }
    TableColumn *copy = result_alloc(result, count_of(result, n_columns), sizeof *copy);
    TableBlock *block = result_add_block(result, BLOCK_TABLE, id, title, sizeof *block);
    if (block == NULL) {
        return NULL;
    }
    for (int32_t i = 0; i < n_columns; i++) {
        copy[i].kind = columns[i].kind;
        copy[i].name = result_copy(result, columns[i].name);
    }
    block->owner = result;
    block->columns = copy;
    block->n_columns = n_columns;
    return block;
}

const Value *table_cell(const TableBlock *block, int32_t row, int32_t column) {
    return &block->cells[(size_t)row * (size_t)block->n_columns + (size_t)column];
}

void table_row(TableBlock *block, const Value *cells) {
    if (block == NULL) {
        return;
    }
    void *rows = block->cells;
    Value *row =
        result_push(block->owner, &rows, &block->n_rows, &block->capacity, sizeof *row * (size_t)block->n_columns);
    if (row == NULL) {
        return;
    }
    block->cells = rows;
    for (int32_t i = 0; i < block->n_columns; i++) {
        row[i] = result_copy_value(block->owner, cells[i]);
    }
}

/* ---- graph ---- */

GraphBlock *result_add_graph(Result *result, const char *id, const char *title, int32_t n_nodes, int32_t n_edges) {
    GraphBlockNode *nodes = result_alloc(result, count_of(result, n_nodes), sizeof *nodes);
    GraphBlockEdge *edges = result_alloc(result, count_of(result, n_edges), sizeof *edges);
    GraphBlock *block = result_add_block(result, BLOCK_GRAPH, id, title, sizeof *block);
    if (block != NULL) {
        *block = (GraphBlock){.owner = result, .nodes = nodes, .n_nodes = n_nodes, .edges = edges, .n_edges = n_edges};
    }
    return block;
}

void graph_block_node(GraphBlock *block, int32_t i, const char *id, const char *label, double score) {
    if (block != NULL && i >= 0 && i < block->n_nodes) {
        block->nodes[i].id = result_copy(block->owner, text_of(id));
        block->nodes[i].label = result_copy(block->owner, text_of(label));
        block->nodes[i].score = score;
    }
}

void graph_block_edge(GraphBlock *block, int32_t i, int32_t from, int32_t to, double weight) {
    if (block == NULL || i < 0 || i >= block->n_edges) {
        return;
    }
    if (from < 0 || from >= block->n_nodes || to < 0 || to >= block->n_nodes) {
        result_fail(block->owner, LIMN_INTERNAL, "an edge from %d to %d in a graph of %d nodes", from, to,
                    block->n_nodes);
        return;
    }
    block->edges[i] = (GraphBlockEdge){from, to, weight};
}

/* ---- text, and what all blocks have ---- */

void result_add_text(Result *result, const char *id, const char *title, const char *bytes, size_t length,
                     bool literal) {
    TextBlock *block = result_add_block(result, BLOCK_TEXT, id, title, sizeof *block);
    if (block != NULL) {
        block->text = result_copy(result, (Text){bytes == NULL ? "" : bytes, bytes == NULL ? 0 : length});
        block->literal = literal;
    }
}

void result_add_section(Result *result, const char *id, const char *title, int32_t level) {
    if (level < 1 || level > SECTION_LEVELS) {
        result_fail(result, LIMN_INTERNAL, "a section of level %d", level);
    }
    SectionBlock *block = result_add_block(result, BLOCK_SECTION, id, title, sizeof *block);
    if (block != NULL) {
        block->level = level;
    }
}

bool result_has_sections(const Result *result) {
    for (int32_t i = 0; i < result->n_blocks; i++) {
        if (result->blocks[i].kind == BLOCK_SECTION) {
            return true;
        }
    }
    return false;
}

static Block *last_block(Result *result) {
    return result->status != LIMN_OK || result->n_blocks == 0 ? NULL : &result->blocks[result->n_blocks - 1];
}

void result_block_unit(Result *result, const char *unit) {
    Block *block = last_block(result);
    if (block != NULL) {
        block->unit = result_copy(result, text_of(unit));
    }
}

void result_block_note(Result *result, const char *format, ...) {
    Block *block = last_block(result);
    if (block != NULL) {
        va_list arguments;
        va_start(arguments, format);
        block->note = result_vprintf(result, format, arguments);
        va_end(arguments);
    }
}

void result_block_detail(Result *result) {
    Block *block = last_block(result);
    if (block != NULL) {
        block->detail = true;
    }
}

const Block *result_find_block(const Result *result, const char *id) {
    for (int32_t i = 0; i < result->n_blocks; i++) {
        if (strcmp(result->blocks[i].id, id) == 0) {
            return &result->blocks[i];
        }
    }
    return NULL;
}
