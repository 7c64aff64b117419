/* A matrix: few columns are a table with coloured cells; many are a heat map, whose numbers follow in slabs or, of a
 * large one, the strongest. Negative cells bear a stroke, so that the sign is seen in grey. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "pdf/blocks.h"

enum {
    TABLE_COLUMNS = 12,
    SLAB_CELLS = 800, /* more are not all written out */
    MAP_CELLS = 2000, /* more are pooled: every mark is a vector */
    STRONGEST = 30,
    LABEL_COLUMNS = 18
};

static double value_at(const MatrixBlock *matrix, int32_t row, int32_t column) {
    return matrix->values[(size_t)row * (size_t)matrix->n_columns + (size_t)column];
}

static const char *label_of(Paper *paper, Text label) {
    TextBuffer clean = TEXT_BUFFER_INIT, shown = TEXT_BUFFER_INIT;
    clean_text_cut(&clean, label, CLEAN_SPACES, LABEL_COLUMNS);
    fonts_show(paper->fonts, &shown, clean.data == NULL ? "" : clean.data, clean.length);
    shown.failed = shown.failed || clean.failed;
    text_buffer_free(&clean);
    return paper_keep(paper, &shown);
}

static const char *corner_of(Paper *paper, const MatrixBlock *matrix) {
    TextBuffer text = TEXT_BUFFER_INIT;
    clean_text(&text, word_for_name(paper->words, matrix->row_title), 0);
    text_buffer_add(&text, matrix->row_title.length > 0 && matrix->column_title.length > 0 ? " \\ " : "");
    clean_text(&text, word_for_name(paper->words, matrix->column_title), 0);
    const char *corner = paper_keep(paper, &text);
    return paper_clean(paper, text_of(corner), 0);
}

/* Columns [from, to) as a table. */
static void draw_slab(Paper *paper, const MatrixBlock *matrix, int32_t from, int32_t to) {
    double scale = matrix_scale(matrix), digits = matrix_digits(matrix, scale);
    Grid grid;
    if (!grid_new(paper, &grid, to - from + 1, matrix->n_rows)) {
        return;
    }
    signed char *steps = ARENA_ARRAY(paper->arena, signed char, (size_t)grid.columns *(size_t)grid.rows + 1);
    grid.heads = true;
    grid.head[0] = corner_of(paper, matrix);
    for (int32_t j = from; j < to; j++) {
        grid.head[j - from + 1] = label_of(paper, matrix->column_labels[j]);
        grid.right[j - from + 1] = true;
    }
    for (int32_t i = 0; i < grid.rows && steps != NULL; i++) {
        const char **cells = &grid.cells[(size_t)i * (size_t)grid.columns];
        cells[0] = label_of(paper, matrix->row_labels[i]);
        for (int32_t j = from; j < to; j++) {
            TextBuffer text = TEXT_BUFFER_INIT;
            format_score(&text, value_at(matrix, i, j), digits, matrix->is_signed);
            cells[j - from + 1] = paper_keep(paper, &text);
            steps[(size_t)i * (size_t)grid.columns + (size_t)(j - from + 1)] =
                (signed char)palette_step(value_at(matrix, i, j), scale);
        }
    }
    grid.steps = steps;
    grid_draw(paper, &grid);
}

/* ---- the heat map ---- */

typedef struct Map {
    const MatrixBlock *matrix;
    int32_t rows, columns, step; /* cells shown; original ones on a side of each */
    double left, top, side_x, side_y;
    double scale;
} Map;

/* The value of largest size within a shown cell. */
static double pooled(const Map *map, int32_t row, int32_t column) {
    const MatrixBlock *matrix = map->matrix;
    double best = (double)NAN;
    for (int32_t i = row * map->step; i < matrix->n_rows && i < (row + 1) * map->step; i++) {
        for (int32_t j = column * map->step; j < matrix->n_columns && j < (column + 1) * map->step; j++) {
            double value = value_at(matrix, i, j);
            best = isfinite(value) && (!isfinite(best) || fabs(value) > fabs(best)) ? value : best;
        }
    }
    return best;
}

static double widest(Paper *paper, const Text *labels, int32_t n, int32_t step) {
    double width = 0;
    for (int32_t i = 0; i < n; i++) {
        Box box = box_of(paper, label_of(paper, labels[i * step]), 6.5, 0, 0);
        width = fmax(width, box.width);
        box_free(&box);
    }
    return width;
}

static Map map_of(Paper *paper, const MatrixBlock *matrix) {
    Map map = {.matrix = matrix, .step = 1, .scale = matrix_scale(matrix)};
    do {
        map.rows = (matrix->n_rows + map.step - 1) / map.step;
        map.columns = (matrix->n_columns + map.step - 1) / map.step;
    } while ((int64_t)map.rows * map.columns > MAP_CELLS && map.step++ > 0);
    map.left = widest(paper, matrix->row_labels, map.rows, map.step) + 6;
    map.top = widest(paper, matrix->column_labels, map.columns, map.step) * 0.87 + 10;
    map.side_x = fmin((PAPER_TEXT - map.left - 12) / map.columns, 24);
    map.side_y = fmin(fmin(map.side_x, 16), (PAPER_BOTTOM - PAPER_TOP - map.top - 40) / map.rows);
    return map;
}

/* Every how many there is room for a label. */
static int32_t label_step(double side) {
    return side >= 8 ? 1 : (int32_t)ceil(8 / side);
}

static void draw_labels(Paper *paper, const Map *map, double top) {
    const MatrixBlock *matrix = map->matrix;
    paper_ink(paper, INK_TEXT);
    int32_t step = label_step(map->side_x);
    for (int32_t j = 0; j < map->columns; j += step) {
        Box box = box_of(paper, label_of(paper, matrix->column_labels[j * map->step]), 6.5, 0, 0);
        cairo_save(paper->cr);
        cairo_translate(paper->cr, PAPER_LEFT + map->left + map->side_x * (j + 0.6), top - 3);
        cairo_rotate(paper->cr, -1.0472);
        box_draw(paper, &box, 0, 1, 0, -box.ascent, false);
        cairo_restore(paper->cr);
        box_free(&box);
    }
    step = label_step(map->side_y);
    for (int32_t i = 0; i < map->rows; i += step) {
        Box box = box_of(paper, label_of(paper, matrix->row_labels[i * map->step]), 6.5, 0, 0);
        box_draw(paper, &box, 0, 1, PAPER_LEFT + map->left - 4, top + map->side_y * (i + 0.5) - 4.4, true);
        box_free(&box);
    }
}

static void draw_cells(Paper *paper, const Map *map, double top) {
    for (int32_t i = 0; i < map->rows; i++) {
        for (int32_t j = 0; j < map->columns; j++) {
            int step = palette_step(pooled(map, i, j), map->scale);
            double x = PAPER_LEFT + map->left + map->side_x * j, y = top + map->side_y * i;
            if (step == 0) {
                continue;
            }
            Colour fill = palette_fill(step, GROUND_LIGHT);
            paper_colour(paper, fill);
            cairo_rectangle(paper->cr, x + 0.15, y + 0.15, map->side_x - 0.3, map->side_y - 0.3);
            cairo_fill(paper->cr);
            if (step < 0) {
                paper_colour(paper, palette_text(fill));
                cairo_rectangle(paper->cr, x + map->side_x * 0.3, y + map->side_y * 0.5 - 0.35, map->side_x * 0.4, 0.7);
                cairo_fill(paper->cr);
            }
        }
    }
    paper_ink(paper, INK_SOFT);
    cairo_set_line_width(paper->cr, 0.4);
    cairo_rectangle(paper->cr, PAPER_LEFT + map->left, top, map->side_x * map->columns, map->side_y * map->rows);
    cairo_stroke(paper->cr);
}

/* From the weakest to the strongest fill, with the numbers they stand for. */
static void draw_ramp(Paper *paper, const Map *map, double y) {
    bool two = map->matrix->is_signed;
    int first = two ? -PALETTE_STEPS : 1;
    double x = PAPER_LEFT + map->left, side = 9;
    for (int step = first; step <= PALETTE_STEPS; step++) {
        if (step != 0) {
            Colour fill = palette_fill(step, GROUND_LIGHT);
            paper_colour(paper, fill);
            cairo_rectangle(paper->cr, x + side * (step - first), y, side, 6);
            cairo_fill(paper->cr);
            if (step < 0) {
                paper_colour(paper, palette_text(fill));
                cairo_rectangle(paper->cr, x + side * (step - first) + 2.7, y + 2.65, 3.6, 0.7);
                cairo_fill(paper->cr);
            }
        }
    }
    TextBuffer text = TEXT_BUFFER_INIT;
    if (two) {
        format_signed(&text, -map->scale);
        text_buffer_add(&text, " … ");
        format_signed(&text, map->scale);
    } else {
        text_buffer_add(&text, "0 … ");
        format_number(&text, map->scale);
    }
    paper_ink(paper, INK_SOFT);
    Box box = box_of(paper, paper_keep(paper, &text), 6.5, 0, 0);
    box_draw(paper, &box, 0, 1, x + side * (PALETTE_STEPS - first + 1) + 6, y - 1.6, false);
    box_free(&box);
}

/* "Attention: 9 × 30; strongest: layer 3, head 4: +0.82" */
static const char *map_in_words(Paper *paper, const Block *block) {
    const MatrixBlock *matrix = block->content;
    int32_t row = 0, column = 0;
    for (int32_t i = 0; i < matrix->n_rows; i++) {
        for (int32_t j = 0; j < matrix->n_columns; j++) {
            double value = fabs(value_at(matrix, i, j)), best = fabs(value_at(matrix, row, column));
            if (isfinite(value) && (!isfinite(best) || value > best)) {
                row = i;
                column = j;
            }
        }
    }
    TextBuffer text = TEXT_BUFFER_INIT;
    clean_text(&text, block->title, 0);
    text_buffer_printf(&text, "%s%d × %d; %s%s", paper->words[WORD_COLON], matrix->n_rows, matrix->n_columns,
                       paper->words[WORD_MOST], paper->words[WORD_COLON]);
    clean_text(&text, matrix->row_labels[row], 0);
    text_buffer_add(&text, paper->words[WORD_COMMA]);
    clean_text(&text, matrix->column_labels[column], 0);
    text_buffer_add(&text, paper->words[WORD_COLON]);
    (matrix->is_signed ? format_signed : format_number)(&text, value_at(matrix, row, column));
    return paper_keep(paper, &text);
}

static void draw_map(Paper *paper, const Block *block) {
    const MatrixBlock *matrix = block->content;
    Map map = map_of(paper, matrix);
    double height = map.top + map.side_y * map.rows + 26;
    paper_need(paper, height);
    if (map.step > 1) {
        char text[256];
        snprintf(text, sizeof text, paper->words[WORD_POOLED], matrix->n_rows, matrix->n_columns, map.step, map.step);
        paper_plain(paper, &style_note, text_of(text), 0);
        paper_need(paper, height);
    }
    double top = paper->y + map.top;
    paper_tag_with(paper, "Figure", map_in_words(paper, block), NULL);
    draw_cells(paper, &map, top);
    draw_labels(paper, &map, top);
    draw_ramp(paper, &map, top + map.side_y * map.rows + 8);
    paper_end(paper, "Figure");
    paper->y += height;
}

/* ---- the strongest cells ---- */

typedef struct Cell {
    int32_t row, column;
    double value;
} Cell;

static int by_size(const void *first, const void *second) {
    const Cell *a = first, *b = second;
    double difference = fabs(b->value) - fabs(a->value);
    return difference != 0    ? (difference > 0 ? 1 : -1)
           : a->row != b->row ? (a->row < b->row ? -1 : 1)
                              : (a->column > b->column) - (a->column < b->column);
}

static void draw_strongest(Paper *paper, const MatrixBlock *matrix) {
    size_t n = 0, all = (size_t)matrix->n_rows * (size_t)matrix->n_columns;
    Cell *cells = malloc(all * sizeof *cells);
    Grid grid;
    for (size_t i = 0; cells != NULL && i < all; i++) {
        if (isfinite(matrix->values[i])) {
            cells[n++] = (Cell){(int32_t)(i / (size_t)matrix->n_columns), (int32_t)(i % (size_t)matrix->n_columns),
                                matrix->values[i]};
        }
    }
    if (cells == NULL) {
        paper->status = fail(LIMN_NO_MEMORY, "no memory for a matrix of %zu cells", all);
        return;
    }
    qsort(cells, n, sizeof *cells, by_size);
    n = n < STRONGEST ? n : STRONGEST;
    char text[256];
    snprintf(text, sizeof text, paper->words[WORD_STRONGEST_CELLS], matrix->n_rows, matrix->n_columns, (int)n);
    paper_plain(paper, &style_note, text_of(text), 0);
    if (n > 0 && grid_new(paper, &grid, 3, (int32_t)n)) {
        bool named = matrix->row_title.length > 0 && matrix->column_title.length > 0;
        grid.head[0] =
            named ? paper_clean(paper, word_for_name(paper->words, matrix->row_title), 0) : paper->words[WORD_ROWS];
        grid.head[1] = named ? paper_clean(paper, word_for_name(paper->words, matrix->column_title), 0)
                             : paper->words[WORD_COLUMNS];
        grid.head[2] = paper->words[WORD_CHECK_VALUE];
        grid.right[2] = true;
        for (size_t i = 0; i < n; i++) {
            grid.cells[3 * i] = label_of(paper, matrix->row_labels[cells[i].row]);
            grid.cells[3 * i + 1] = label_of(paper, matrix->column_labels[cells[i].column]);
            grid.cells[3 * i + 2] = cell_number_text(paper, cells[i].value, matrix->is_signed);
        }
        grid_draw(paper, &grid);
    }
    free(cells);
}

void pdf_matrix(Paper *paper, const Block *block) {
    const MatrixBlock *matrix = block->content;
    if (matrix->n_rows == 0 || matrix->n_columns == 0) {
        return;
    }
    bool small = (int64_t)matrix->n_rows * matrix->n_columns <= SLAB_CELLS;
    if (matrix->n_columns <= TABLE_COLUMNS && small) {
        draw_slab(paper, matrix, 0, matrix->n_columns);
        return;
    }
    draw_map(paper, block);
    for (int32_t from = 0; small && from < matrix->n_columns; from += TABLE_COLUMNS) {
        int32_t to = from + TABLE_COLUMNS;
        draw_slab(paper, matrix, from, to < matrix->n_columns ? to : matrix->n_columns);
    }
    if (!small) {
        draw_strongest(paper, matrix);
    }
}
