/* Blocks of one result in another: what a report is made of. */
#include <math.h>

#include "result/build.h"

static void copy_tokens(Result *result, const char *id, const char *title, const void *content) {
    const TokensBlock *from = content;
    TokensBlock *to = result_add_tokens(result, id, title, from->n);
    if (to == NULL) {
        return;
    }
    to->is_signed = from->is_signed;
    to->scale = from->scale;
    for (int32_t i = 0; i < from->n; i++) {
        const TokenItem *item = &from->items[i];
        tokens_set(to, i, item->bytes.bytes == NULL ? "" : item->bytes.bytes, item->bytes.length, item->score,
                   item->state);
        tokens_set_spread(to, i, item->spread);
        tokens_set_input(to, i, -1);
    }
    for (int32_t i = 0; i < from->n_groupings; i++) {
        const TokenGrouping *grouping = &from->groupings[i];
        TokenGroup *groups = tokens_add_grouping(to, grouping->name, grouping->n);
        for (int32_t j = 0; groups != NULL && j < grouping->n; j++) {
            groups[j] = grouping->groups[j];
        }
    }
    tokens_show(to, from->shown);
}

static void copy_matrix(Result *result, const char *id, const char *title, const void *content) {
    const MatrixBlock *from = content;
    MatrixBlock *to = result_add_matrix(result, id, title, from->n_rows, from->n_columns);
    if (to == NULL) {
        return;
    }
    to->is_signed = from->is_signed;
    to->row_title = result_copy(result, from->row_title);
    to->column_title = result_copy(result, from->column_title);
    for (int32_t i = 0; i < from->n_rows; i++) {
        to->row_labels[i] = result_copy(result, from->row_labels[i]);
        for (int32_t j = 0; j < from->n_columns; j++) {
            matrix_set(to, i, j, from->values[(size_t)i * (size_t)from->n_columns + (size_t)j]);
        }
    }
    for (int32_t j = 0; j < from->n_columns; j++) {
        to->column_labels[j] = result_copy(result, from->column_labels[j]);
    }
}

static void copy_series(Result *result, const char *id, const char *title, const void *content) {
    const SeriesBlock *from = content;
    SeriesBlock *to = result_add_series(result, id, title, from->x, from->n, NULL, NULL);
    if (to == NULL) {
        return;
    }
    to->x_title = result_copy(result, from->x_title);
    to->y_title = result_copy(result, from->y_title);
    for (int32_t i = 0; i < from->n_lines; i++) {
        const SeriesLine *line = &from->lines[i];
        series_line(to, NULL, line->y, line->low, line->high);
        if (to->n_lines == i + 1) {
            to->lines[i].name = result_copy(result, line->name);
        }
    }
}

static void copy_table(Result *result, const char *id, const char *title, const void *content) {
    const TableBlock *from = content;
    TableBlock *to = result_add_table(result, id, title, from->columns, from->n_columns);
    for (int32_t i = 0; i < from->n_rows; i++) {
        table_row(to, table_cell(from, i, 0));
    }
}

static void copy_graph(Result *result, const char *id, const char *title, const void *content) {
    const GraphBlock *from = content;
    GraphBlock *to = result_add_graph(result, id, title, from->n_nodes, from->n_edges);
    if (to == NULL) {
        return;
    }
    for (int32_t i = 0; i < from->n_nodes; i++) {
        to->nodes[i] = (GraphBlockNode){result_copy(result, from->nodes[i].id),
                                        result_copy(result, from->nodes[i].label), from->nodes[i].score};
    }
    for (int32_t i = 0; i < from->n_edges; i++) {
        to->edges[i] = from->edges[i];
    }
}

static void copy_text(Result *result, const char *id, const char *title, const void *content) {
    const TextBlock *from = content;
    result_add_text(result, id, title, from->text.bytes, from->text.length, from->literal);
}

static void copy_section(Result *result, const char *id, const char *title, const void *content) {
    result_add_section(result, id, title, ((const SectionBlock *)content)->level);
}

void result_copy_block(Result *result, const Block *block, const char *id) {
    static void (*const copies[])(Result *, const char *, const char *, const void *) = {
#define BLOCK(kind, name, type, help) copy_##name,
#include "result/blocks.def"
#undef BLOCK
    };
    int32_t n = result->n_blocks;
    copies[block->kind](result, id, NULL, block->content);
    if (result->status == LIMN_OK && result->n_blocks == n + 1) {
        Block *made = &result->blocks[n];
        made->title = result_copy(result, block->title);
        made->unit = result_copy(result, block->unit);
        made->note = result_copy(result, block->note);
        made->detail = block->detail;
    }
}
