/* Each kind of block at a terminal. */
#include <ctype.h>
#include <limits.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "render/palette.h"
#include "render/terminal.h"

enum {
    ALIGNED_PIECES = 600,
    CUT_PIECE = 40,
    MATRIX_CELLS = 2000,
    STRONGEST_CELLS = 20,
    BAR_WIDTH = 20,
    SERIES_SHOWN = 32, /* points of a series of more than twice as many */
    CELL_LINES = 8
};

/* ---- tokens: words on one line, their scores on the line below ---- */

typedef struct Cell {
    const char *text;
    const char *number;
    int text_width, number_width;
    int step;
    bool breaks; /* the piece ends its line */
    bool dim;
} Cell;

/* A piece that goes on with the word before it, such as "ization" after "token". */
static bool continues(const Pieces *pieces, int32_t i) {
    Text text = pieces->items[i].text;
    if (i == 0 || text.length == 0 || pieces->items[i - 1].state == TOKEN_FIXED) {
        return false;
    }
    Text before = pieces->items[i - 1].text;
    unsigned char first = (unsigned char)text.bytes[0];
    unsigned char last = before.length == 0 ? ' ' : (unsigned char)before.bytes[before.length - 1];
    return isalnum(first) && (isalnum(last) || last == '\'');
}

static Cell make_cell(Terminal *t, const Pieces *pieces, int32_t i, bool is_signed) {
    const Piece *piece = &pieces->items[i];
    Cell cell = {.step = piece->state == TOKEN_SCORED || piece->state == TOKEN_TARGET
                             ? palette_step(piece->score, pieces->scale)
                             : 0};
    TextBuffer buffer = TEXT_BUFFER_INIT;
    if (continues(pieces, i)) {
        text_buffer_add(&buffer, pick(t, "·", "~"));
    }
    Text text = text_bare(piece->text);
    clean_text_cut(&buffer, text, t->flags | CLEAN_SPACES, CUT_PIECE);
    cell.text_width = text_width(text_from(&buffer).bytes, buffer.length);
    cell.text = keep(t, &buffer);
    if (piece->state == TOKEN_FIXED) {
        text_buffer_add(&buffer, word_for_string(t->words, token_state_name(TOKEN_FIXED)));
    } else if (piece->state == TOKEN_TARGET && !isfinite(piece->score)) {
        text_buffer_add(&buffer, word_for_string(t->words, token_state_name(TOKEN_TARGET)));
    } else {
        format_score(&buffer, piece->score, pieces->scale, is_signed);
    }
    cell.number_width = text_width(text_from(&buffer).bytes, buffer.length);
    cell.number = keep(t, &buffer);
    cell.breaks = memchr(text.length == 0 ? "" : text.bytes, '\n', text.length) != NULL;
    cell.dim = piece->state == TOKEN_FIXED || piece->state == TOKEN_UNREACHED;
    return cell;
}

static int cell_width(const Cell *cell) {
    return cell->text_width > cell->number_width ? cell->text_width : cell->number_width;
}

static void add_cells(const Terminal *t, const Cell *cells, int32_t n) {
    text_buffer_add(t->out, "  ");
    for (int32_t i = 0; i < n; i++) {
        if (cells[i].dim) {
            style_begin(t, STYLE_DIM);
        }
        score_begin(t, cells[i].step);
        text_buffer_add(t->out, cells[i].text);
        if (cells[i].dim || cells[i].step != 0) {
            style_end(t);
        }
        add_spaces(t, cell_width(&cells[i]) - cells[i].text_width + 1);
    }
    trim_line(t);
    text_buffer_add(t->out, "\n  ");
    for (int32_t i = 0; i < n; i++) {
        int size = cells[i].step < 0 ? -cells[i].step : cells[i].step;
        style_begin(t, size > PALETTE_STEPS / 2 ? STYLE_BOLD : STYLE_DIM);
        text_buffer_add(t->out, cells[i].number);
        style_end(t);
        add_spaces(t, cell_width(&cells[i]) - cells[i].number_width + 1);
    }
    trim_line(t);
    text_buffer_add_char(t->out, '\n');
}

static void aligned_strip(Terminal *t, const Pieces *pieces, bool is_signed) {
    Cell *cells = array(t, (size_t)pieces->n, sizeof *cells);
    int32_t begin = 0;
    int used = 2;
    for (int32_t i = 0; cells != NULL && i < pieces->n && t->status == LIMN_OK; i++) {
        cells[i] = make_cell(t, pieces, i, is_signed);
        int width = cell_width(&cells[i]);
        if (i > begin && used + width > t->width) {
            add_cells(t, cells + begin, i - begin);
            begin = i;
            used = 2;
        }
        used += width + 1;
        if (cells[i].breaks || i + 1 == pieces->n) {
            add_cells(t, cells + begin, i + 1 - begin);
            begin = i + 1;
            used = 2;
        }
    }
}

/* Long texts: running words; where there is no colour, one to three signs before a word say how much. */
static void running_strip(Terminal *t, const Pieces *pieces) {
    int column = 2;
    text_buffer_add(t->out, "  ");
    for (int32_t i = 0; i < pieces->n && t->status == LIMN_OK; i++) {
        Cell cell = make_cell(t, pieces, i, true);
        int signs = t->colour == RENDER_COLOUR_NONE ? (abs(cell.step) + 2) / 3 : 0;
        bool gap = i > 0 && pieces->items[i].text.length > 0 && pieces->items[i].text.bytes[0] == ' ';
        if (column + cell.text_width + signs + (gap ? 1 : 0) > t->width) {
            text_buffer_add(t->out, "\n  ");
            column = 2;
        } else if (gap) {
            text_buffer_add_char(t->out, ' ');
            column++;
        }
        for (int j = 0; j < signs; j++) {
            text_buffer_add_char(t->out, cell.step < 0 ? '-' : '+');
        }
        score_begin(t, cell.step);
        text_buffer_add(t->out, cell.text);
        if (cell.step != 0) {
            style_end(t);
        }
        column += cell.text_width + signs;
        if (cell.breaks) {
            text_buffer_add(t->out, "\n  ");
            column = 2;
        }
    }
    text_buffer_add_char(t->out, '\n');
}

static void add_legend(const Terminal *t, const TokensBlock *block) {
    bool present[TOKEN_STATE_COUNT] = {false};
    for (int32_t i = 0; i < block->n; i++) {
        present[block->items[i].state] = true;
    }
    for (int state = TOKEN_FIXED; state < TOKEN_STATE_COUNT; state++) {
        if (present[state] && state != TOKEN_TARGET) {
            const char *name = word_for_string(t->words, token_state_name((TokenState)state));
            const char *colon = t->words[WORD_COLON];
            int indent = 2 + text_width(name, strlen(name)) + text_width(colon, strlen(colon));
            style_begin(t, STYLE_DIM);
            text_buffer_printf(t->out, "  %s%s", name, colon);
            add_wrapped(t, word_for_string(t->words, token_state_help((TokenState)state)), indent, indent);
            add_line_end(t);
        }
    }
}

void terminal_tokens(Terminal *t, const Block *block) {
    const TokensBlock *content = block->content;
    Pieces pieces;
    t->status = pieces_of(&pieces, t->arena, content, NULL);
    if (t->status != LIMN_OK) {
        return;
    }
    if (pieces.n <= ALIGNED_PIECES) {
        aligned_strip(t, &pieces, content->is_signed);
    } else {
        running_strip(t, &pieces);
    }
    add_legend(t, content);
}

/* ---- matrices ---- */

static const char *label(Terminal *t, Text text, int width) {
    TextBuffer buffer = TEXT_BUFFER_INIT;
    clean_text_cut(&buffer, text, t->flags | CLEAN_SPACES, width);
    return keep(t, &buffer);
}

static void add_strongest_cells(Terminal *t, const MatrixBlock *matrix) {
    size_t n = (size_t)matrix->n_rows * (size_t)matrix->n_columns;
    size_t best[STRONGEST_CELLS], kept = 0;
    for (size_t i = 0; i < n; i++) {
        double size = fabs(matrix->values[i]);
        if (!isfinite(size) || (kept == STRONGEST_CELLS && size <= fabs(matrix->values[best[kept - 1]]))) {
            continue;
        }
        size_t at = kept < STRONGEST_CELLS ? kept++ : kept - 1;
        for (; at > 0 && fabs(matrix->values[best[at - 1]]) < size; at--) {
            best[at] = best[at - 1];
        }
        best[at] = i;
    }
    text_buffer_add(t->out, "  ");
    text_buffer_printf(t->out, t->words[WORD_STRONGEST_CELLS], matrix->n_rows, matrix->n_columns, (int)kept);
    text_buffer_printf(t->out, "%s\n", t->words[WORD_COLON]);
    for (size_t i = 0; i < kept && t->status == LIMN_OK; i++) {
        size_t row = best[i] / (size_t)matrix->n_columns, column = best[i] % (size_t)matrix->n_columns;
        const char *from = label(t, matrix->column_labels[column], 24), *to = label(t, matrix->row_labels[row], 24);
        text_buffer_add(t->out, "  ");
        add_padded(t, from, strlen(from), 24, true);
        text_buffer_add(t->out, pick(t, " → ", " -> "));
        add_padded(t, to, strlen(to), 24, false);
        format_signed(t->out, matrix->values[best[i]]);
        text_buffer_add_char(t->out, '\n');
    }
}

static void add_matrix_part(Terminal *t, const MatrixBlock *matrix, int32_t begin, int32_t end, int first_width,
                            const int *widths, double scale) {
    double digits = matrix_digits(matrix, scale);
    text_buffer_add(t->out, "  ");
    style_begin(t, STYLE_DIM);
    add_spaces(t, first_width);
    for (int32_t j = begin; j < end && t->status == LIMN_OK; j++) {
        const char *name = label(t, matrix->column_labels[j], widths[j]);
        text_buffer_add_char(t->out, ' ');
        add_padded(t, name, strlen(name), widths[j], true);
    }
    style_end(t);
    text_buffer_add_char(t->out, '\n');
    for (int32_t i = 0; i < matrix->n_rows && t->status == LIMN_OK; i++) {
        const char *name = label(t, matrix->row_labels[i], first_width);
        text_buffer_add(t->out, "  ");
        add_padded(t, name, strlen(name), first_width, true);
        for (int32_t j = begin; j < end && t->status == LIMN_OK; j++) {
            double value = matrix->values[(size_t)i * (size_t)matrix->n_columns + (size_t)j];
            TextBuffer text = TEXT_BUFFER_INIT;
            format_score(&text, value, digits, matrix->is_signed);
            const char *number = keep(t, &text);
            int step = palette_step(value, scale);
            add_spaces(t, 1 + widths[j] - text_width(number, strlen(number)));
            score_begin(t, step);
            text_buffer_add(t->out, number);
            if (step != 0) {
                style_end(t);
            }
        }
        text_buffer_add_char(t->out, '\n');
    }
}

static int widest_label(Terminal *t, const Text *labels, int32_t n, int most) {
    int widest = 1;
    for (int32_t i = 0; i < n && t->status == LIMN_OK; i++) {
        const char *text = label(t, labels[i], most);
        int width = text_width(text, strlen(text));
        widest = width > widest ? width : widest;
    }
    return widest;
}

void terminal_matrix(Terminal *t, const Block *block) {
    const MatrixBlock *matrix = block->content;
    double scale = matrix_scale(matrix);
    if (matrix->row_title.length > 0 || matrix->column_title.length > 0) {
        TextBuffer titles = TEXT_BUFFER_INIT;
        text_buffer_printf(&titles, "%s%s", t->words[WORD_ROWS], t->words[WORD_COLON]);
        clean_text(&titles, word_for_name(t->words, matrix->row_title), t->flags);
        text_buffer_printf(&titles, "%s%s%s", t->words[WORD_COMMA], t->words[WORD_COLUMNS], t->words[WORD_COLON]);
        clean_text(&titles, word_for_name(t->words, matrix->column_title), t->flags);
        style_begin(t, STYLE_DIM);
        text_buffer_add(t->out, "  ");
        add_wrapped(t, keep(t, &titles), 2, 2);
        add_line_end(t);
    }
    if ((int64_t)matrix->n_rows * matrix->n_columns > MATRIX_CELLS) {
        add_strongest_cells(t, matrix);
        return;
    }
    int *widths = array(t, (size_t)matrix->n_columns, sizeof *widths);
    int first_width = widest_label(t, matrix->row_labels, matrix->n_rows, 16);
    for (int32_t j = 0; widths != NULL && j < matrix->n_columns; j++) {
        int width = widest_label(t, &matrix->column_labels[j], 1, 10);
        widths[j] = width < 6 ? 6 : width;
    }
    for (int32_t begin = 0; begin < matrix->n_columns && t->status == LIMN_OK;) {
        int used = 2 + first_width;
        int32_t end = begin;
        while (end < matrix->n_columns && (end == begin || used + 1 + widths[end] <= t->width)) {
            used += 1 + widths[end++];
        }
        add_matrix_part(t, matrix, begin, end, first_width, widths, scale);
        begin = end;
    }
}

/* ---- series, graphs, text ---- */

void terminal_series(Terminal *t, const Block *block) {
    const SeriesBlock *series = block->content;
    if (series->n_lines == 0) {
        return;
    }
    double scale = 0;
    for (int32_t i = 0; i < series->n_lines; i++) {
        for (int32_t j = 0; j < series->n; j++) {
            double size = fabs(series->lines[i].y[j]);
            scale = isfinite(size) && size > scale ? size : scale;
        }
    }
    const char *x_title = label(t, word_for_name(t->words, series->x_title), 14);
    int x_width = text_width(x_title, strlen(x_title));
    x_width = x_width < 6 ? 6 : x_width;
    int bar_width = (t->width - 2 - x_width) / series->n_lines - 12;
    bar_width = bar_width > BAR_WIDTH ? BAR_WIDTH : bar_width;
    int column = 10 + (bar_width > 0 ? bar_width : 0);
    style_begin(t, STYLE_DIM);
    text_buffer_add(t->out, "  ");
    add_padded(t, x_title, strlen(x_title), x_width, true);
    for (int32_t i = 0; i < series->n_lines && t->status == LIMN_OK; i++) {
        const char *name = label(t, series->lines[i].name, column);
        text_buffer_add(t->out, "  ");
        add_padded(t, name, strlen(name), column, false);
    }
    trim_line(t);
    style_end(t);
    text_buffer_add_char(t->out, '\n');
    int32_t shown = series->n > 2 * SERIES_SHOWN ? SERIES_SHOWN : series->n;
    for (int32_t j = 0; j < shown && t->status == LIMN_OK; j++) {
        TextBuffer text = TEXT_BUFFER_INIT;
        format_number(&text, series->x[j]);
        text_buffer_add(t->out, "  ");
        add_padded(t, text_from(&text).bytes, text.length, x_width, true);
        for (int32_t i = 0; i < series->n_lines; i++) {
            double y = series->lines[i].y[j];
            text_buffer_clear(&text);
            format_number(&text, y);
            text_buffer_add(t->out, "  ");
            add_padded(t, text_from(&text).bytes, text.length, 9, true);
            text_buffer_add_char(t->out, ' ');
            if (bar_width > 0 && scale > 0) {
                int used = add_bar(t, y / scale, bar_width);
                add_spaces(t, i + 1 < series->n_lines ? bar_width - used : 0);
            }
        }
        trim_line(t);
        text_buffer_add_char(t->out, '\n');
        text_buffer_free(&text);
    }
    if (shown < series->n) {
        style_begin(t, STYLE_DIM);
        text_buffer_add(t->out, "  ");
        text_buffer_printf(t->out, t->words[WORD_FIRST_POINTS], (int)shown, (int)series->n);
        style_end(t);
        text_buffer_add_char(t->out, '\n');
    }
}

void terminal_graph(Terminal *t, const Block *block) {
    const GraphBlock *graph = block->content;
    for (int32_t i = 0; i < graph->n_edges && t->status == LIMN_OK; i++) {
        const GraphBlockEdge *edge = &graph->edges[i];
        const char *from = label(t, graph->nodes[edge->from].label, 20);
        const char *to = label(t, graph->nodes[edge->to].label, 20);
        text_buffer_printf(t->out, "  %s%s%s  ", from, pick(t, " → ", " -> "), to);
        format_signed(t->out, edge->weight);
        text_buffer_add_char(t->out, '\n');
    }
}

void terminal_text(Terminal *t, const Block *block) {
    const TextBlock *content = block->content;
    TextBuffer clean = TEXT_BUFFER_INIT;
    clean_text(&clean, content->text, t->flags | CLEAN_LINES);
    const char *text = keep(t, &clean);
    if (content->literal) {
        text_buffer_add(t->out, text);
        text_buffer_add_char(t->out, '\n');
    } else {
        text_buffer_add(t->out, "  ");
        add_wrapped(t, text, 2, 2);
        add_line_end(t);
    }
}

void terminal_section(Terminal *t, const Block *block) {
    Text title = block->title.length > 0 ? block->title : text_of(block->id);
    text_buffer_add_char(t->out, '\n');
    style_begin(t, STYLE_BOLD);
    text_buffer_printf(t->out, "%.*s ", (int)((const SectionBlock *)block->content)->level, "###");
    TextBuffer clean = TEXT_BUFFER_INIT;
    clean_text(&clean, title, t->flags);
    add_wrapped(t, keep(t, &clean), 4, 4);
    add_line_end(t);
}
