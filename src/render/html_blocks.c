/* Each kind of block in a page. Behind every picture stands a table with the same numbers. */
#include <ctype.h>
#include <math.h>
#include <string.h>

#include "render/html.h"
#include "render/palette.h"

enum {
    NUMBERED_PIECES = 1500,
    MATRIX_CELLS = 20000,
    MATRIX_SIDE = 128,
    PHONE_COLUMNS = 40,   /* letters side by side on a phone */
    CHART_COLUMNS = 64,   /* of a chart that is not shrunk */
    STACK_COLUMNS = 40,   /* cells of words longer than this make a sliver of their column there */
    WRAPPED_COLUMNS = 20, /* as narrow as words may get */
    LABEL_MOST = 24
};

static void add(const Html *h, const char *markup) {
    text_buffer_add(h->out, markup);
}

/* ` lang="zh"` where the script tells. */
static void add_language(const Html *h, Text text) {
    const char *language = text_language(text);
    if (language != NULL) {
        text_buffer_printf(h->out, " lang=\"%s\"", language);
    }
}

static void add_step_class(const Html *h, int step) {
    if (step != 0) {
        text_buffer_printf(h->out, " %c%d", step < 0 ? 'n' : 'p', step < 0 ? -step : step);
    }
}

/* ---- tokens ---- */

static bool joins(const Pieces *pieces, int32_t i) {
    Text text = pieces->items[i].text;
    Text before = i > 0 ? pieces->items[i - 1].text : (Text){"", 0};
    if (text.length == 0 || before.length == 0) {
        return false;
    }
    unsigned char first = (unsigned char)text.bytes[0], last = (unsigned char)before.bytes[before.length - 1];
    return (isalnum(first) || first >= 0x80) && (isalnum(last) || last >= 0x80);
}

static Text without_space(Text text) {
    while (text.length > 1 && text.bytes[0] == ' ') {
        text.bytes++;
        text.length--;
    }
    return text;
}

static void add_title(const Html *h, const Piece *piece, const Block *block, double scale) {
    const TokensBlock *content = block->content;
    add(h, " title=\"");
    markup_text(h->out, piece->text, CLEAN_SPACES);
    add(h, ": ");
    format_score(h->out, piece->score, scale / 10, content->is_signed);
    if (block->unit.length > 0) {
        add(h, " ");
        markup_text(h->out, block->unit, 0);
    }
    if (isfinite(piece->spread)) {
        text_buffer_printf(h->out, "%s%s ", h->words[WORD_COMMA], h->words[WORD_SPREAD]);
        format_number(h->out, piece->spread);
    }
    if (piece->state != TOKEN_SCORED) {
        text_buffer_printf(h->out, "%s%s", h->words[WORD_COMMA],
                           word_for_string(h->words, token_state_help(piece->state)));
    }
    if (piece->end == piece->begin + 1 && content->items[piece->begin].input >= 0 &&
        content->items[piece->begin].input < h->result->n_input_tokens) {
        int32_t input = content->items[piece->begin].input;
        add(h, h->words[WORD_COMMA]);
        text_buffer_printf(h->out, h->words[WORD_TOKEN_AT], h->result->input_tokens[input].id, input);
    }
    add(h, "\"");
}

static void add_piece(const Html *h, const Block *block, const Pieces *pieces, int32_t i) {
    static const char *const states[] = {
        [TOKEN_SCORED] = "", [TOKEN_FIXED] = " fixed", [TOKEN_UNREACHED] = " unreached", [TOKEN_TARGET] = " target"};
    const TokensBlock *content = block->content;
    const Piece *piece = &pieces->items[i];
    bool coloured = piece->state == TOKEN_SCORED || piece->state == TOKEN_TARGET;
    int step = coloured ? palette_step(piece->score, pieces->scale) : 0;
    text_buffer_printf(h->out, "<span class=\"tok%s%s", states[piece->state], joins(pieces, i) ? " joined" : "");
    add(h, step == 0 ? " faint" : step < 0 ? " minus" : content->is_signed ? " plus" : "");
    add_step_class(h, step);
    add(h, "\"");
    add_language(h, piece->text);
    add_title(h, piece, block, pieces->scale);
    add(h, "><span class=\"w\">");
    markup_text(h->out, without_space(piece->text), CLEAN_SPACES);
    add(h, "</span>");
    if (pieces->n <= NUMBERED_PIECES || step != 0) {
        add(h, " <small>");
        if (piece->state == TOKEN_FIXED || (piece->state == TOKEN_TARGET && !isfinite(piece->score))) {
            add(h, word_for_string(h->words, token_state_name(piece->state)));
        } else {
            format_score(h->out, piece->score, pieces->scale, content->is_signed);
        }
        add(h, "</small>");
    }
    add(h, "</span>");
    if (memchr(piece->text.bytes == NULL ? "" : piece->text.bytes, '\n', piece->text.length) != NULL) {
        add(h, "<br>");
    }
    add(h, "\n");
}

static void add_pieces_table(const Html *h, const Block *block, const Pieces *pieces, const char *unit) {
    const char *name = word_for_string(h->words, unit);
    text_buffer_printf(h->out,
                       "<details><summary>%s</summary>\n<div class=\"scroll\" tabindex=\"0\" "
                       "role=\"group\" aria-label=\"%s%s%s\"><table><thead><tr>"
                       "<th scope=\"col\" class=\"num\">#</th><th scope=\"col\">%s</th><th scope=\"col\" "
                       "class=\"num\">%s</th><th scope=\"col\" class=\"num\">%s</th><th "
                       "scope=\"col\">%s</th></tr></thead>\n<tbody>\n",
                       h->words[WORD_SAME_AS_TABLE], h->words[WORD_SCORES_BY], h->words[WORD_COLON], name, name,
                       h->words[WORD_SCORE], h->words[WORD_SPREAD], h->words[WORD_STATE]);
    const TokensBlock *content = block->content;
    for (int32_t i = 0; i < pieces->n; i++) {
        const Piece *piece = &pieces->items[i];
        text_buffer_printf(h->out, "<tr><td class=\"num\">%d</td><td class=\"tokentext\"", i);
        add_language(h, piece->text);
        add(h, ">");
        markup_text(h->out, piece->text, CLEAN_SPACES);
        add(h, "</td><td class=\"num\">");
        if (content->is_signed) {
            format_signed(h->out, piece->score);
        } else {
            format_number(h->out, piece->score);
        }
        add(h, "</td><td class=\"num\">");
        format_number(h->out, piece->spread);
        text_buffer_printf(h->out, "</td><td>%s</td></tr>\n",
                           word_for_string(h->words, token_state_name(piece->state)));
    }
    add(h, "</tbody></table></div></details>\n");
}

static void add_legend(const Html *h, const TokensBlock *content) {
    text_buffer_printf(h->out, "<p class=\"legend-row\"><span>%s <span class=\"ramp\" aria-hidden=\"true\">",
                       h->words[content->is_signed ? WORD_SPEAKS_AGAINST : WORD_NONE]);
    for (int step = content->is_signed ? -PALETTE_STEPS : 1; step <= PALETTE_STEPS; step += 2) {
        if (step != 0) {
            text_buffer_printf(h->out, "<i class=\"%c%d\"></i>", step < 0 ? 'n' : 'p', step < 0 ? -step : step);
        }
    }
    text_buffer_printf(h->out, "</span> %s</span>", h->words[content->is_signed ? WORD_SUPPORTS : WORD_MOST]);
    if (content->is_signed) {
        text_buffer_printf(h->out, "<span>%s</span>", h->words[WORD_LINE_BELOW]);
    }
    bool present[TOKEN_STATE_COUNT] = {false};
    for (int32_t i = 0; i < content->n; i++) {
        present[content->items[i].state] = true;
    }
    for (int state = TOKEN_FIXED; state < TOKEN_STATE_COUNT; state++) {
        if (present[state]) {
            text_buffer_printf(h->out, "<span>%s%s%s</span>",
                               word_for_string(h->words, token_state_name((TokenState)state)), h->words[WORD_COLON],
                               word_for_string(h->words, token_state_help((TokenState)state)));
        }
    }
    add(h, "</p>\n");
}

static void add_view(Html *h, const Block *block, const char *grouping, int number) {
    Pieces pieces;
    h->status = pieces_of(&pieces, h->arena, block->content, grouping);
    if (h->status != LIMN_OK) {
        return;
    }
    text_buffer_printf(h->out, "<div class=\"view v%d\">\n<div class=\"strip\">\n", number);
    for (int32_t i = 0; i < pieces.n; i++) {
        add_piece(h, block, &pieces, i);
    }
    add(h, "</div>\n");
    add_legend(h, block->content);
    add_pieces_table(h, block, &pieces, grouping);
    add(h, "</div>\n");
}

static void add_choice(const Html *h, const Block *block, const char *name, int number, bool checked) {
    text_buffer_printf(h->out, "<input type=\"radio\" name=\"by-%s\" id=\"by-%s-%d\"%s><label for=\"by-%s-%d\">",
                       block->id, block->id, number, checked ? " checked" : "", block->id, number);
    markup_string(h->out, word_for_string(h->words, name));
    add(h, "</label>\n");
}

void html_tokens(Html *h, const Block *block) {
    const TokensBlock *content = block->content;
    const char *names[TOKEN_GROUPINGS_MAX + 1] = {"token"};
    int n = 1, shown = 0;
    for (int32_t i = 0; i < content->n_groupings; i++) {
        names[n++] = content->groupings[i].name;
    }
    for (int i = 0; i < n; i++) {
        shown = strcmp(names[i], content->shown) == 0 ? i : shown;
    }
    text_buffer_printf(h->out, "<fieldset><legend>%s</legend>\n", h->words[WORD_SHOW_BY]);
    for (int i = 0; i < n; i++) {
        add_choice(h, block, names[i], i, i == shown);
    }
    for (int i = 0; i < n && h->status == LIMN_OK; i++) {
        add_view(h, block, names[i], i + 1);
    }
    add(h, "</fieldset>\n");
}

/* ---- tables ---- */

/* Percent of a track's width where a value stands. */
static double place_on(const Bars *bars, double value) {
    double part = value / bars->scale;
    return bars->two_sided ? 50 + 50 * part : 100 * part;
}

static void add_track(const Html *h, const TableBlock *table, int32_t row, int32_t column, const Bars *bars) {
    double value = cell_number(table_cell(table, row, column)), low, high;
    double zero = place_on(bars, 0), end = isfinite(value) ? place_on(bars, value) : zero;
    text_buffer_printf(h->out,
                       "<span class=\"track%s\" aria-hidden=\"true\"><span class=\"bar %s\" "
                       "style=\"left:%.1f%%;width:%.1f%%\"></span>",
                       bars->two_sided ? " two" : "", value < 0 ? "minus" : "plus", fmin(zero, end), fabs(end - zero));
    if (bars_interval(bars, table, row, &low, &high)) {
        double from = place_on(bars, low);
        text_buffer_printf(h->out, "<span class=\"reach\" style=\"left:%.1f%%;width:%.1f%%\"></span>", from,
                           place_on(bars, high) - from);
    }
    add(h, "</span>");
}

/* What moves sideways where it is wider than the screen, and says so there. columns: its width in letters. */
static void open_scroll(const Html *h, const Block *block, double columns) {
    if (columns > PHONE_COLUMNS) {
        text_buffer_printf(h->out, "<p class=\"hint\">↔ %s</p>\n", h->words[WORD_SIDEWAYS]);
    }
    add(h, "<div class=\"scroll\" tabindex=\"0\" role=\"group\" aria-labelledby=\"h-");
    markup_string(h->out, block->id);
    add(h, "\">");
}

/* How a table is laid out. */
typedef struct Layout {
    Bars *bars;   /* [n_columns] */
    bool *right;  /* [n_columns] */
    int columns;  /* letters of its widest rows */
    bool stacked; /* on a phone each row is a card: a column of words would be a sliver */
} Layout;

static int cell_columns(const Html *h, const TableBlock *table, int32_t row, int32_t column) {
    TextBuffer text = TEXT_BUFFER_INIT;
    format_cell(&text, table->columns[column].kind, table_cell(table, row, column), h->words, 0);
    int width = text.data == NULL ? 0 : text_width(text.data, text.length);
    h->out->failed = h->out->failed || text.failed;
    text_buffer_free(&text);
    return width;
}

static void lay_out(Html *h, Layout *layout, const TableBlock *table) {
    *layout = (Layout){.bars = ARENA_ARRAY(h->arena, Bars, table->n_columns),
                       .right = ARENA_ARRAY(h->arena, bool, table->n_columns)};
    if (layout->bars == NULL || layout->right == NULL) {
        h->status = fail(LIMN_NO_MEMORY, "no memory to show a table");
        return;
    }
    for (int32_t i = 0; i < table->n_columns; i++) {
        layout->bars[i] = table_bars(table, i, table->n_rows);
        layout->right[i] = table_column_right(table, i);
        Text name = word_for_name(h->words, table->columns[i].name);
        int widest = text_width(name.bytes, name.length);
        for (int32_t row = 0; row < table->n_rows; row++) {
            int width = cell_columns(h, table, row, i);
            widest = width > widest ? width : widest;
        }
        bool wraps = column_kind_wraps(table->columns[i].kind);
        layout->columns += (wraps && widest > WRAPPED_COLUMNS ? WRAPPED_COLUMNS : widest) + 2;
        layout->stacked = layout->stacked || (widest > STACK_COLUMNS && table->n_columns > 2);
    }
}

/* ` data-label="score"`: what a cell of a card is. */
static void add_card_label(const Html *h, const Layout *layout, const TableColumn *column) {
    if (layout->stacked) {
        add(h, " role=\"cell\" data-label=\"");
        markup_text(h->out, word_for_name(h->words, column->name), 0);
        add(h, "\"");
    }
}

static void add_cell(const Html *h, const Layout *layout, const TableBlock *table, int32_t row, int32_t column) {
    ColumnKind kind = table->columns[column].kind;
    bool bars = column_has_bars(table, column);
    const Value *value = table_cell(table, row, column);
    add(h, bars                    ? "<td class=\"share\""
           : layout->right[column] ? "<td class=\"num\""
           : kind == COLUMN_TOKEN  ? "<td class=\"tokentext\""
                                   : "<td");
    add_card_label(h, layout, &table->columns[column]);
    if (value->kind == VALUE_TEXT) {
        add_language(h, value->text);
    }
    add(h, bars ? "><span class=\"part\">" : ">");
    TextBuffer text = TEXT_BUFFER_INIT;
    format_cell(&text, kind, value, h->words, 0);
    markup_clean(h->out, text.data == NULL ? "" : text.data, text.length);
    h->out->failed = h->out->failed || text.failed;
    text_buffer_free(&text);
    if (bars) { /* one cell: where there is no room beside the number the bar goes below it */
        add(h, "</span> ");
        add_track(h, table, row, column, &layout->bars[column]);
    }
    add(h, "</td>");
}

void html_table(Html *h, const Block *block) {
    const TableBlock *table = block->content;
    Layout layout;
    lay_out(h, &layout, table);
    if (h->status != LIMN_OK) {
        return;
    }
    open_scroll(h, block, layout.stacked ? 0 : layout.columns);
    add(h, layout.stacked ? "<table class=\"stack\" role=\"table\">\n<thead role=\"rowgroup\"><tr role=\"row\">"
                          : "<table>\n<thead><tr>");
    for (int32_t i = 0; i < table->n_columns; i++) {
        const TableColumn *column = &table->columns[i];
        bool number = layout.right[i] && !column_has_bars(table, i);
        add(h, number ? "<th scope=\"col\" class=\"num\"" : "<th scope=\"col\"");
        add(h, layout.stacked ? " role=\"columnheader\">" : ">");
        markup_text(h->out, word_for_name(h->words, column->name), 0);
        add(h, "</th>");
    }
    add(h, layout.stacked ? "</tr></thead>\n<tbody role=\"rowgroup\">\n" : "</tr></thead>\n<tbody>\n");
    for (int32_t row = 0; row < table->n_rows; row++) {
        add(h, layout.stacked ? "<tr role=\"row\">" : "<tr>");
        for (int32_t i = 0; i < table->n_columns; i++) {
            add_cell(h, &layout, table, row, i);
        }
        add(h, "</tr>\n");
    }
    add(h, "</tbody>\n</table></div>\n");
}

/* ---- matrices ---- */

typedef struct Pool {
    int32_t rows, columns;         /* cells shown */
    int32_t row_step, column_step; /* original cells in each */
} Pool;

static Pool pool_of(const MatrixBlock *matrix) {
    Pool pool = {matrix->n_rows, matrix->n_columns, 1, 1};
    if ((int64_t)matrix->n_rows * matrix->n_columns > MATRIX_CELLS) {
        pool.row_step = (matrix->n_rows + MATRIX_SIDE - 1) / MATRIX_SIDE;
        pool.column_step = (matrix->n_columns + MATRIX_SIDE - 1) / MATRIX_SIDE;
        pool.rows = (matrix->n_rows + pool.row_step - 1) / pool.row_step;
        pool.columns = (matrix->n_columns + pool.column_step - 1) / pool.column_step;
    }
    return pool;
}

/* The value of largest size within a shown cell. */
static double pooled(const MatrixBlock *matrix, const Pool *pool, int32_t row, int32_t column) {
    double best = (double)NAN;
    for (int32_t i = row * pool->row_step; i < matrix->n_rows && i < (row + 1) * pool->row_step; i++) {
        for (int32_t j = column * pool->column_step; j < matrix->n_columns && j < (column + 1) * pool->column_step;
             j++) {
            double value = matrix->values[(size_t)i * (size_t)matrix->n_columns + (size_t)j];
            if (isfinite(value) && (!isfinite(best) || fabs(value) > fabs(best))) {
                best = value;
            }
        }
    }
    return best;
}

static void add_label(const Html *h, const char *scope, Text text, int32_t more) {
    text_buffer_printf(h->out, "<th scope=\"%s\"", scope);
    add_language(h, text);
    add(h, ">");
    TextBuffer clean = TEXT_BUFFER_INIT;
    clean_text_cut(&clean, text, CLEAN_SPACES, LABEL_MOST);
    markup_clean(h->out, clean.data == NULL ? "" : clean.data, clean.length);
    h->out->failed = h->out->failed || clean.failed;
    text_buffer_free(&clean);
    if (more > 1) {
        text_buffer_printf(h->out, " +%d", more - 1);
    }
    add(h, "</th>");
}

/* Letters of the longest row label. */
static double label_room(const MatrixBlock *matrix) {
    int widest = 0;
    for (int32_t i = 0; i < matrix->n_rows; i++) {
        int width = text_width(matrix->row_labels[i].bytes, matrix->row_labels[i].length);
        widest = width > widest ? width : widest;
    }
    return widest > LABEL_MOST ? LABEL_MOST : widest;
}

void html_matrix(Html *h, const Block *block) {
    const MatrixBlock *matrix = block->content;
    Pool pool = pool_of(matrix);
    double scale = matrix_scale(matrix), digits = matrix_digits(matrix, scale);
    if (pool.row_step > 1 || pool.column_step > 1) {
        add(h, "<p class=\"note\">");
        text_buffer_printf(h->out, h->words[WORD_POOLED], matrix->n_rows, matrix->n_columns, pool.row_step,
                           pool.column_step);
        add(h, "</p>\n");
    }
    open_scroll(h, block, label_room(matrix) + 4.5 * pool.columns);
    add(h, "<table class=\"matrix\">\n<thead><tr><th class=\"corner\" scope=\"col\">");
    markup_text(h->out, word_for_name(h->words, matrix->row_title), 0);
    add(h, matrix->row_title.length > 0 && matrix->column_title.length > 0 ? " \\ " : "");
    markup_text(h->out, word_for_name(h->words, matrix->column_title), 0);
    add(h, "</th>");
    for (int32_t j = 0; j < pool.columns; j++) {
        add_label(h, "col", matrix->column_labels[j * pool.column_step], pool.column_step);
    }
    add(h, "</tr></thead>\n<tbody>\n");
    for (int32_t i = 0; i < pool.rows; i++) {
        add(h, "<tr>");
        add_label(h, "row", matrix->row_labels[i * pool.row_step], pool.row_step);
        for (int32_t j = 0; j < pool.columns; j++) {
            double value = pooled(matrix, &pool, i, j);
            int step = palette_step(value, scale);
            add(h, step == 0 ? "<td" : "<td class=\"");
            add_step_class(h, step);
            add(h, step == 0 ? ">" : "\">");
            format_score(h->out, value, digits, matrix->is_signed);
            add(h, "</td>");
        }
        add(h, "</tr>\n");
    }
    add(h, "</tbody>\n</table></div>\n");
}

/* ---- series, graphs, text ---- */

void html_series(Html *h, const Block *block) {
    const SeriesBlock *series = block->content;
    /* on a phone a chart is moved sideways, not shrunk until it cannot be read */
    open_scroll(h, block, CHART_COLUMNS);
    chart_series(h->out, block, h->words, 720, 320);
    text_buffer_printf(h->out, "</div>\n<details><summary>%s</summary>\n", h->words[WORD_SAME_AS_TABLE]);
    open_scroll(h, block, 12 + 20 * series->n_lines);
    add(h, "<table><thead><tr><th scope=\"col\" class=\"num\">");
    markup_text(h->out, word_for_name(h->words, series->x_title), 0);
    add(h, "</th>");
    for (int32_t i = 0; i < series->n_lines; i++) {
        add(h, "<th scope=\"col\" class=\"num\">");
        markup_text(h->out, series->lines[i].name, 0);
        add(h, "</th>");
        if (series->lines[i].low != NULL) {
            text_buffer_printf(h->out, "<th scope=\"col\" class=\"num\">%s</th>", h->words[WORD_INTERVAL]);
        }
    }
    add(h, "</tr></thead>\n<tbody>\n");
    for (int32_t j = 0; j < series->n; j++) {
        add(h, "<tr><th scope=\"row\" class=\"num\">");
        format_number(h->out, series->x[j]);
        add(h, "</th>");
        for (int32_t i = 0; i < series->n_lines; i++) {
            const SeriesLine *line = &series->lines[i];
            add(h, "<td class=\"num\">");
            format_number(h->out, line->y[j]);
            if (line->low != NULL && line->high != NULL) {
                add(h, "</td><td class=\"num\">");
                format_number(h->out, line->low[j]);
                text_buffer_printf(h->out, " %s ", h->words[WORD_TO]);
                format_number(h->out, line->high[j]);
            }
            add(h, "</td>");
        }
        add(h, "</tr>\n");
    }
    add(h, "</tbody></table></div></details>\n");
}

void html_graph(Html *h, const Block *block) {
    const GraphBlock *graph = block->content;
    open_scroll(h, block, 0);
    text_buffer_printf(h->out,
                       "<table><thead><tr><th scope=\"col\">%s</th><th scope=\"col\">%s</th><th scope=\"col\" "
                       "class=\"num\">%s</th></tr></thead>\n<tbody>\n",
                       h->words[WORD_FROM], h->words[WORD_TO], h->words[WORD_WEIGHT]);
    for (int32_t i = 0; i < graph->n_edges; i++) {
        const GraphBlockEdge *edge = &graph->edges[i];
        add(h, "<tr><td>");
        markup_text(h->out, graph->nodes[edge->from].label, 0);
        add(h, "</td><td>");
        markup_text(h->out, graph->nodes[edge->to].label, 0);
        add(h, "</td><td class=\"num\">");
        format_signed(h->out, edge->weight);
        add(h, "</td></tr>\n");
    }
    add(h, "</tbody></table></div>\n");
}

void html_text(Html *h, const Block *block) {
    const TextBlock *content = block->content;
    add(h, content->literal ? "<pre" : "<p class=\"said\"");
    add_language(h, content->text);
    add(h, ">");
    markup_text(h->out, content->text, CLEAN_LINES);
    add(h, content->literal ? "</pre>\n" : "</p>\n");
}

void html_section(Html *h, const Block *block) {
    h->level = ((const SectionBlock *)block->content)->level;
    text_buffer_printf(h->out, "<h%d class=\"section\" id=\"h-%s\">", h->level + 1, block->id);
    markup_text(h->out, word_for_block(h->words, block), 0);
    text_buffer_printf(h->out, "</h%d>\n", h->level + 1);
    if (block->note.length > 0) {
        add(h, "<p class=\"note\">");
        markup_text(h->out, block->note, 0);
        add(h, "</p>\n");
    }
}
