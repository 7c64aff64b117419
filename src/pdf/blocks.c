/* Tables, graphs, words. Strips, heat maps and charts have files of their own. */
#include "pdf/blocks.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

enum { ROWS_MOST = 1000, LITERAL_MOST = 1 << 18, LINES_MOST = 4000 };

const char *cell_number_text(Paper *paper, double value, bool is_signed) {
    TextBuffer text = TEXT_BUFFER_INIT;
    (is_signed ? format_signed : format_number)(&text, value);
    return paper_keep(paper, &text);
}

static void say_rest(Paper *paper, WordId word, int32_t shown, int32_t all) {
    char text[256];
    snprintf(text, sizeof text, paper->words[word], shown, all);
    paper_plain(paper, &style_note, text_of(text), 0);
}

/* ---- tables ---- */

static const char *cell_text(Paper *paper, ColumnKind kind, const Value *value) {
    TextBuffer clean = TEXT_BUFFER_INIT, shown = TEXT_BUFFER_INIT;
    format_cell(&clean, kind, value, paper->words, 0);
    fonts_show(paper->fonts, &shown, clean.data == NULL ? "" : clean.data, clean.length);
    shown.failed = shown.failed || clean.failed;
    text_buffer_free(&clean);
    return paper_keep(paper, &shown);
}

/* Bars, and intervals around their ends, as parts of the longest. */
static void add_bars(Paper *paper, Grid *grid, const TableBlock *table, int32_t column) {
    const Bars bars = table_bars(table, column, grid->rows);
    double *ends = ARENA_ARRAY(paper->arena, double, grid->rows + 1);
    double *reaches = ARENA_ARRAY(paper->arena, double, 2 * grid->rows + 1);
    for (int32_t row = 0; ends != NULL && reaches != NULL && row < grid->rows; row++) {
        double low, high;
        bool there = bars_interval(&bars, table, row, &low, &high);
        ends[row] = cell_number(table_cell(table, row, column)) / bars.scale;
        reaches[2 * row] = there ? low / bars.scale : (double)NAN;
        reaches[2 * row + 1] = there ? high / bars.scale : (double)NAN;
    }
    grid->bars[column] = ends;
    grid->reaches[column] = reaches;
}

void pdf_table(Paper *paper, const Block *block) {
    const TableBlock *table = block->content;
    int32_t rows = table->n_rows < ROWS_MOST ? table->n_rows : ROWS_MOST;
    Grid grid;
    if (!grid_new(paper, &grid, table->n_columns, rows)) {
        return;
    }
    for (int32_t i = 0; i < table->n_columns; i++) {
        ColumnKind kind = table->columns[i].kind;
        grid.head[i] = paper_clean(paper, word_for_name(paper->words, table->columns[i].name), 0);
        grid.right[i] = table_column_right(table, i);
        if (column_has_bars(table, i)) {
            add_bars(paper, &grid, table, i);
        }
        for (int32_t row = 0; row < rows; row++) {
            grid.cells[(size_t)row * (size_t)grid.columns + (size_t)i] =
                cell_text(paper, kind, table_cell(table, row, i));
        }
    }
    grid_draw(paper, &grid);
    if (rows < table->n_rows) {
        say_rest(paper, WORD_FIRST_ROWS, rows, table->n_rows);
    }
}

/* ---- graphs ---- */

void pdf_graph(Paper *paper, const Block *block) {
    static const WordId heads[] = {WORD_FROM, WORD_TO, WORD_WEIGHT};
    const GraphBlock *graph = block->content;
    int32_t rows = graph->n_edges < ROWS_MOST ? graph->n_edges : ROWS_MOST;
    Grid grid;
    if (!grid_new(paper, &grid, 3, rows)) {
        return;
    }
    for (int32_t i = 0; i < 3; i++) {
        grid.head[i] = paper->words[heads[i]];
    }
    grid.right[2] = true;
    for (int32_t row = 0; row < rows; row++) {
        const GraphBlockEdge *edge = &graph->edges[row];
        grid.cells[3 * row] = paper_clean(paper, graph->nodes[edge->from].label, 0);
        grid.cells[3 * row + 1] = paper_clean(paper, graph->nodes[edge->to].label, 0);
        grid.cells[3 * row + 2] = cell_number_text(paper, edge->weight, true);
    }
    grid_draw(paper, &grid);
    if (rows < graph->n_edges) {
        say_rest(paper, WORD_FIRST_ROWS, rows, graph->n_edges);
    }
}

/* ---- words ---- */

static void draw_literal(Paper *paper, Text text) {
    size_t most = text.length < LITERAL_MOST ? text.length : LITERAL_MOST, at = 0;
    int lines = 0;
    for (; at < most && lines < LINES_MOST; lines++) {
        const char *end = memchr(text.bytes + at, '\n', most - at);
        size_t length = end == NULL ? most - at : (size_t)(end - text.bytes) - at;
        paper_plain(paper, &style_literal, (Text){text.bytes + at, length}, CLEAN_LINES);
        at += end == NULL ? length : length + 1;
    }
    paper->y += 6;
    if (at < text.length) {
        say_rest(paper, WORD_FIRST_BYTES, (int32_t)at, text.length > INT32_MAX ? INT32_MAX : (int32_t)text.length);
    }
}

void pdf_text(Paper *paper, const Block *block) {
    const TextBlock *content = block->content;
    if (content->literal) {
        draw_literal(paper, content->text);
    } else if (content->text.length > 0) {
        paper_plain(paper, &style_body, content->text, CLEAN_LINES);
    }
}

void pdf_section(Paper *paper, const Block *block) {
    paper->level = ((const SectionBlock *)block->content)->level;
    Text title = word_for_block(paper->words, block);
    paper_heading(paper, paper->level + 1, title, (Text){NULL, 0}, block, 130);
    if (block->note.length > 0) {
        paper_plain(paper, &style_note, block->note, 0);
    }
}
