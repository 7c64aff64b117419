/* Tables at a terminal. Columns share the width by one rule: numbers are never cut, and no word is split while another
 * column can give way. Where even whole words alone are too wide, each row is written out as names and values. */
#include <limits.h>
#include <math.h>
#include <string.h>

#include "render/terminal.h"

enum {
    BAR_WIDTH = 20,
    WHOLE_MOST = 20, /* a longer word (a path, a hash) may be split */
    CELL_LINES = 8
};

typedef struct Grid {
    const char **cells; /* [rows, columns], header in row 0 */
    int *widths;        /* [columns] */
    int *whole;         /* [columns] the longest word */
    bool *right;        /* [columns] */
    int32_t rows, columns;
    int gap; /* between columns */
} Grid;

static const char *cell_of(const Grid *grid, int32_t row, int32_t column) {
    return grid->cells[(size_t)row * (size_t)grid->columns + (size_t)column];
}

static bool wraps(const TableBlock *table, int32_t column) {
    ColumnKind kind = table->columns[column].kind;
    return column_kind_wraps(kind);
}

/* Columns that can give way: tokens are cut, other words take lines. */
static bool holds_words(const TableBlock *table, int32_t column) {
    return wraps(table, column) || table->columns[column].kind == COLUMN_TOKEN;
}

/* What a name needs: one without spaces (Chinese) is not set upright to save room. */
static int name_piece(const char *name) {
    enum { NAME_LEAST = 8 };
    int piece = longest_piece(name), width = text_width(name, strlen(name));
    return piece > 2 ? piece : width < NAME_LEAST ? width : NAME_LEAST;
}

static Grid make_grid(Terminal *t, const TableBlock *table) {
    Grid grid = {.rows = table->n_rows + 1, .columns = table->n_columns, .gap = 2};
    grid.cells = array(t, (size_t)grid.rows * (size_t)grid.columns, sizeof *grid.cells);
    grid.widths = array(t, (size_t)grid.columns, sizeof *grid.widths);
    grid.whole = array(t, (size_t)grid.columns, sizeof *grid.whole);
    grid.right = array(t, (size_t)grid.columns, sizeof *grid.right);
    for (int32_t i = 0; t->status == LIMN_OK && i < grid.columns; i++) {
        grid.right[i] = table_column_right(table, i);
    }
    size_t n = (size_t)grid.rows * (size_t)grid.columns;
    for (size_t i = 0; i < n && t->status == LIMN_OK; i++) {
        int32_t row = (int32_t)(i / (size_t)grid.columns), column = (int32_t)(i % (size_t)grid.columns);
        TextBuffer text = TEXT_BUFFER_INIT;
        if (row == 0) {
            clean_text(&text, word_for_name(t->words, table->columns[column].name), t->flags);
        } else {
            format_cell(&text, table->columns[column].kind, table_cell(table, row - 1, column), t->words, t->flags);
        }
        grid.cells[i] = keep(t, &text);
        int width = text_width(grid.cells[i], strlen(grid.cells[i]));
        int whole = row == 0 ? name_piece(grid.cells[i]) : wraps(table, column) ? longest_piece(grid.cells[i]) : width;
        grid.widths[column] = width > grid.widths[column] ? width : grid.widths[column];
        grid.whole[column] = whole > grid.whole[column] ? whole : grid.whole[column];
    }
    return grid;
}

/* Columns as wide as their cells and the longest word of their names, which then take several lines. */
static void narrow_names(Grid *grid) {
    for (int32_t i = 0; i < grid->columns; i++) {
        grid->widths[i] = name_piece(grid->cells[i]);
        for (int32_t row = 1; row < grid->rows; row++) {
            int width = text_width(cell_of(grid, row, i), strlen(cell_of(grid, row, i)));
            grid->widths[i] = width > grid->widths[i] ? width : grid->widths[i];
        }
    }
}

static int grid_width(const Grid *grid) {
    int total = (grid->columns - 1) * grid->gap;
    for (int32_t i = 0; i < grid->columns; i++) {
        total += grid->widths[i];
    }
    return total;
}

/* Takes from the widest column of words, of those wider than their longest word, until the row fits. */
static void shrink(Grid *grid, const TableBlock *table, int room) {
    for (;;) {
        int32_t widest = -1;
        for (int32_t i = 0; i < grid->columns; i++) {
            if (holds_words(table, i) && grid->widths[i] > grid->whole[i] &&
                (widest < 0 || grid->widths[i] > grid->widths[widest])) {
                widest = i;
            }
        }
        if (widest < 0 || grid_width(grid) <= room) {
            return;
        }
        grid->widths[widest]--;
    }
}

/* A text that a narrow column would cut off: more than CELL_LINES lines of it. */
static bool is_too_tall(const Grid *grid, const TableBlock *table) {
    for (int32_t i = 0; i < grid->columns; i++) {
        for (int32_t row = 1; row < grid->rows && wraps(table, i); row++) {
            const char *rest = cell_of(grid, row, i);
            for (int line = 0; line < CELL_LINES; line++) {
                rest += line_break(rest, strlen(rest), grid->widths[i], true);
                rest += strspn(rest, " ");
            }
            if (*rest != '\0') {
                return true;
            }
        }
    }
    return false;
}

/* First at spaces, then with columns closer, then inside very long words. false: whole words are too wide. */
static bool fit_grid(Grid *grid, const TableBlock *table, int room) {
    if (grid_width(grid) <= room) {
        return true;
    }
    narrow_names(grid);
    shrink(grid, table, room);
    if (grid_width(grid) > room) {
        grid->gap = 1;
        for (int32_t i = 0; i < grid->columns; i++) {
            grid->whole[i] = grid->whole[i] > WHOLE_MOST && holds_words(table, i) ? WHOLE_MOST : grid->whole[i];
        }
        shrink(grid, table, room);
    }
    return grid_width(grid) <= room && !is_too_tall(grid, table);
}

/* The first line of a cell, or the next one of a text that takes several; *rest moves on. */
static void add_cell_line(Terminal *t, const Grid *grid, bool words, int32_t column, bool number, const char **rest,
                          bool last) {
    TextBuffer cut = TEXT_BUFFER_INIT;
    bool breaks = words && !number && !last;
    size_t length = breaks ? line_break(*rest, strlen(*rest), grid->widths[column], true) : strlen(*rest);
    clean_text_cut(&cut, text_of_bytes(*rest, length), t->flags, number ? INT_MAX : grid->widths[column]);
    add_padded(t, text_from(&cut).bytes, cut.length, grid->widths[column], grid->right[column]);
    t->out->failed = t->out->failed || cut.failed;
    text_buffer_free(&cut);
    *rest += length;
    while (**rest == ' ') {
        ++*rest;
    }
}

static void add_grid_row(Terminal *t, const Grid *grid, const TableBlock *table, int32_t row, int bar_width,
                         double bar_scale) {
    const char **rest = array(t, (size_t)grid->columns, sizeof *rest);
    for (int32_t i = 0; rest != NULL && i < grid->columns; i++) {
        rest[i] = cell_of(grid, row, i);
    }
    bool more = rest != NULL;
    for (int line = 0; more; line++) {
        more = false;
        text_buffer_add(t->out, "  ");
        for (int32_t i = 0; i < grid->columns; i++) {
            double value = row == 0 ? (double)NAN : cell_number(table_cell(table, row - 1, i));
            bool words = row == 0 || wraps(table, i);
            add_cell_line(t, grid, words, i, isfinite(value), &rest[i], line == CELL_LINES - 1);
            more = more || *rest[i] != '\0';
            if (column_has_bars(table, i) && bar_width > 0) {
                text_buffer_add_char(t->out, ' ');
                int used = line == 0 ? add_bar(t, value / bar_scale, bar_width) : 0;
                add_spaces(t, i + 1 < grid->columns ? bar_width - used : 0);
            }
            add_spaces(t, grid->gap);
        }
        trim_line(t);
        text_buffer_add_char(t->out, '\n');
    }
}

/* ---- rows written out ---- */

static int item_width(const Terminal *t, const char *name, const char *value) {
    const char *colon = t->words[WORD_COLON];
    return text_width(name, strlen(name)) + text_width(colon, strlen(colon)) + text_width(value, strlen(value));
}

/* "name: value" for each cell that holds something, the first value alone at the left; items stay whole while a line
 * has room for them. */
static void write_row_out(Terminal *t, const Grid *grid, int32_t row) {
    const char *first = cell_of(grid, row, 0);
    text_buffer_add(t->out, "  ");
    int column = add_wrapped(t, first, 2, 4);
    for (int32_t i = 1; i < grid->columns; i++) {
        const char *name = cell_of(grid, 0, i), *value = cell_of(grid, row, i);
        if (value[0] == '\0') {
            continue;
        }
        int width = item_width(t, name, value);
        bool fits = column + 2 + width <= t->width;
        if (!fits) {
            text_buffer_add(t->out, "\n    ");
            column = 4;
        } else {
            add_spaces(t, 2);
            column += 2;
        }
        style_begin(t, STYLE_DIM);
        text_buffer_printf(t->out, "%s%s", name, t->words[WORD_COLON]);
        style_end(t);
        column = add_wrapped(t, value, column + item_width(t, name, ""), 4);
    }
    trim_line(t);
    text_buffer_add_char(t->out, '\n');
}

/* ---- a table ---- */

static int32_t count_shares(const TableBlock *table, double *scale) {
    int32_t shares = 0;
    *scale = 0;
    for (int32_t i = 0; i < table->n_columns; i++) {
        bool share = column_has_bars(table, i);
        shares += share;
        for (int32_t row = 0; row < table->n_rows && share; row++) {
            double value = fabs(cell_number(table_cell(table, row, i)));
            *scale = isfinite(value) && value > *scale ? value : *scale;
        }
    }
    *scale = *scale > 0 ? *scale : 1;
    return shares;
}

void terminal_table(Terminal *t, const Block *block) {
    const TableBlock *table = block->content;
    if (table->n_columns == 0) {
        return;
    }
    Grid grid = make_grid(t, table);
    if (t->status != LIMN_OK) {
        return;
    }
    double bar_scale;
    int32_t shares = count_shares(table, &bar_scale);
    int bar_width = shares == 0 ? 0 : (t->width - grid_width(&grid) - 4) / shares - 2;
    bar_width = bar_width > BAR_WIDTH ? BAR_WIDTH : bar_width < 4 ? 0 : bar_width;
    if (!fit_grid(&grid, table, t->width - 2)) {
        for (int32_t row = 1; row < grid.rows && t->status == LIMN_OK; row++) {
            write_row_out(t, &grid, row);
        }
        return;
    }
    style_begin(t, STYLE_DIM);
    add_grid_row(t, &grid, table, 0, bar_width, 1);
    style_end(t);
    for (int32_t row = 1; row < grid.rows; row++) {
        add_grid_row(t, &grid, table, row, bar_width, bar_scale);
    }
}
