/* One picture for slides and papers: strips, bars, matrices and lines, one under another on white. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "render/markup.h"
#include "render/palette.h"
#include "render/render.h"

enum { PICTURE_WIDTH = 960, MARGIN = 24, PIECES_MOST = 2000, ROWS_MOST = 30, SIDE_MOST = 128 };

static const double letter = 9.64; /* width of a 16 px monospace letter */

typedef struct Svg {
    TextBuffer *out;
    Arena *arena;
    double y; /* where the next thing starts */
    limn_status status;
    Words words;
} Svg;

static void add_line_of_text(Svg *s, const char *class_name, double x, Text text, int width) {
    TextBuffer clean = TEXT_BUFFER_INIT;
    clean_text_cut(&clean, text, 0, width);
    text_buffer_printf(s->out, "<text class=\"%s\" x=\"%.1f\" y=\"%.1f\">", class_name, x, s->y);
    markup_clean(s->out, clean.data == NULL ? "" : clean.data, clean.length);
    text_buffer_add(s->out, "</text>\n");
    s->out->failed = s->out->failed || clean.failed;
    text_buffer_free(&clean);
}

/* Lines of at most `width` columns; nothing is left out. */
static void add_wrapped(Svg *s, const char *class_name, double x, Text text, int width, double step) {
    TextBuffer clean = TEXT_BUFFER_INIT; /* cleaning makes some characters wider, so it comes before measuring */
    clean_text(&clean, text, 0);
    const char *at = clean.data == NULL ? "" : clean.data;
    size_t left = clean.length;
    while (left > 0) {
        size_t length = line_break(at, left, width, true);
        text_buffer_printf(s->out, "<text class=\"%s\" x=\"%.1f\" y=\"%.1f\">", class_name, x, s->y);
        markup_clean(s->out, at, length);
        text_buffer_add(s->out, "</text>\n");
        length += strspn(at + length, " ");
        at += length;
        left -= length;
        s->y += left > 0 ? step : 0;
    }
    s->out->failed = s->out->failed || clean.failed;
    text_buffer_free(&clean);
}

static void add_fill(Svg *s, int step) {
    if (step == 0) {
        text_buffer_add(s->out, " fill=\"none\"");
        return;
    }
    Colour fill = palette_fill(step, GROUND_LIGHT);
    text_buffer_printf(s->out, " fill=\"#%02x%02x%02x\"", fill.red, fill.green, fill.blue);
}

static void add_ink(Svg *s, int step) {
    Colour ink = step == 0 ? (Colour){0x1a, 0x1d, 0x21} : palette_text(palette_fill(step, GROUND_LIGHT));
    text_buffer_printf(s->out, " style=\"fill:#%02x%02x%02x\"", ink.red, ink.green, ink.blue);
}

/* ---- tokens ---- */

typedef struct Chip {
    TextBuffer text, number;
    double width;
    int step;
} Chip;

static Chip make_chip(const Pieces *pieces, int32_t i, bool is_signed, Words words) {
    const Piece *piece = &pieces->items[i];
    bool coloured = piece->state == TOKEN_SCORED || piece->state == TOKEN_TARGET;
    Chip chip = {.step = coloured ? palette_step(piece->score, pieces->scale) : 0};
    Text text = piece->text;
    while (text.length > 1 && text.bytes[0] == ' ') {
        text.bytes++;
        text.length--;
    }
    clean_text_cut(&chip.text, text, CLEAN_SPACES, 60);
    if (piece->state == TOKEN_FIXED) {
        text_buffer_add(&chip.number, word_for_string(words, token_state_name(TOKEN_FIXED)));
    } else {
        format_score(&chip.number, piece->score, pieces->scale, is_signed);
    }
    double wide = chip.text.data == NULL ? 0 : letter * text_width(chip.text.data, chip.text.length);
    double small = chip.number.data == NULL ? 0 : letter * 0.7 * text_width(chip.number.data, chip.number.length);
    chip.width = fmax(wide, small) + 8;
    return chip;
}

static void add_chip(Svg *s, const Chip *chip, double x) {
    text_buffer_printf(s->out, "<g><rect x=\"%.1f\" y=\"%.1f\" width=\"%.1f\" height=\"40\" rx=\"4\"", x, s->y,
                       chip->width);
    add_fill(s, chip->step);
    text_buffer_printf(s->out, "/><text class=\"mono\" text-anchor=\"middle\" x=\"%.1f\" y=\"%.1f\"",
                       x + chip->width / 2, s->y + 18);
    add_ink(s, chip->step);
    text_buffer_add(s->out, ">");
    markup_clean(s->out, chip->text.data == NULL ? "" : chip->text.data, chip->text.length);
    text_buffer_printf(s->out, "</text><text class=\"small\" text-anchor=\"middle\" x=\"%.1f\" y=\"%.1f\"",
                       x + chip->width / 2, s->y + 34);
    add_ink(s, chip->step);
    text_buffer_add(s->out, ">");
    markup_clean(s->out, chip->number.data == NULL ? "" : chip->number.data, chip->number.length);
    text_buffer_add(s->out, "</text>");
    if (chip->step != 0) {
        text_buffer_printf(s->out, "<path class=\"%s\" d=\"M%.1f %.1fh%.1f\"/>", chip->step < 0 ? "minus" : "plus", x,
                           s->y + 41.5, chip->width);
    }
    text_buffer_add(s->out, "</g>\n");
}

static void svg_tokens(Svg *s, const Block *block) {
    const TokensBlock *content = block->content;
    Pieces pieces;
    s->status = pieces_of(&pieces, s->arena, content, NULL);
    double x = MARGIN;
    for (int32_t i = 0; s->status == LIMN_OK && i < pieces.n && i < PIECES_MOST; i++) {
        Chip chip = make_chip(&pieces, i, content->is_signed, s->words);
        if (x > MARGIN && x + chip.width > PICTURE_WIDTH - MARGIN) {
            x = MARGIN;
            s->y += 50;
        }
        add_chip(s, &chip, x);
        x += chip.width + 3;
        if (pieces.items[i].text.length > 0 && memchr(pieces.items[i].text.bytes, '\n', pieces.items[i].text.length)) {
            x = PICTURE_WIDTH;
        }
        s->out->failed = s->out->failed || chip.text.failed || chip.number.failed;
        text_buffer_free(&chip.text);
        text_buffer_free(&chip.number);
    }
    s->y += 50;
    if (s->status == LIMN_OK && pieces.n > PIECES_MOST) {
        s->y += 14;
        char text[64];
        int length = snprintf(text, sizeof text, s->words[WORD_AND_MORE], pieces.n - PIECES_MOST);
        add_line_of_text(s, "soft", MARGIN, (Text){text, (size_t)length}, 100);
    }
}

/* ---- tables: the first column with bars ---- */

static int32_t bars_column(const TableBlock *table) {
    for (int32_t i = 0; i < table->n_columns; i++) {
        if (column_has_bars(table, i)) {
            return i;
        }
    }
    return -1;
}

/* The row's interval around its bar's end: a line with ends. zero: where the bar begins, half: how long the longest is.
 */
static void add_reach(Svg *s, const TableBlock *table, int32_t row, const Bars *bars, double zero, double half) {
    double low, high;
    if (!bars_interval(bars, table, row, &low, &high)) {
        return;
    }
    double from = zero + low / bars->scale * half, to = zero + high / bars->scale * half;
    text_buffer_printf(s->out,
                       "<path fill=\"none\" stroke=\"#1a1d21\" d=\"M%.1f %.1fH%.1fM%.1f %.1fv8M%.1f %.1fv8\"/>\n", from,
                       s->y - 5, to, from, s->y - 9, to, s->y - 9);
}

static void svg_table(Svg *s, const Block *block) {
    const TableBlock *table = block->content;
    int32_t column = bars_column(table), rows = table->n_rows < ROWS_MOST ? table->n_rows : ROWS_MOST;
    if (column < 0) {
        return;
    }
    const Bars bars = table_bars(table, column, rows);
    double left = MARGIN + 230, half = bars.two_sided ? 270 : 540, zero = bars.two_sided ? left + half : left;
    for (int32_t row = 0; row < rows; row++) {
        double value = cell_number(table_cell(table, row, column));
        double width = isfinite(value) ? fabs(value) / bars.scale * half : 0;
        TextBuffer text = TEXT_BUFFER_INIT;
        s->y += 22;
        format_cell(&text, table->columns[0].kind, table_cell(table, row, 0), s->words, 0);
        add_line_of_text(s, "mono", MARGIN, (Text){text.data == NULL ? "" : text.data, text.length}, 24);
        text_buffer_printf(s->out, "<rect class=\"%s\" x=\"%.1f\" y=\"%.1f\" width=\"%.1f\" height=\"14\"",
                           value < 0 ? "minus" : "plus", value < 0 ? zero - width : zero, s->y - 12, width);
        add_fill(s, value < 0 ? -PALETTE_STEPS : PALETTE_STEPS);
        text_buffer_add(s->out, "/>\n");
        add_reach(s, table, row, &bars, zero, half);
        text_buffer_clear(&text);
        format_cell(&text, table->columns[column].kind, table_cell(table, row, column), s->words, 0);
        add_line_of_text(s, "mono", zero + half + 16, (Text){text.data == NULL ? "" : text.data, text.length}, 12);
        s->out->failed = s->out->failed || text.failed;
        text_buffer_free(&text);
    }
    s->y += 16;
}

/* ---- matrices ---- */

/* Pixels the longest label takes in small letters, at most `most` of them. */
static double label_room(Svg *s, const Text *labels, int32_t n, int most) {
    int widest = 0;
    for (int32_t i = 0; i < n; i++) {
        TextBuffer clean = TEXT_BUFFER_INIT;
        clean_text_cut(&clean, labels[i], CLEAN_SPACES, most);
        int width = clean.data == NULL ? 0 : text_width(clean.data, clean.length);
        widest = width > widest ? width : widest;
        s->out->failed = s->out->failed || clean.failed;
        text_buffer_free(&clean);
    }
    return letter * 0.7 * widest;
}

static void svg_matrix(Svg *s, const Block *block) {
    const MatrixBlock *matrix = block->content;
    int32_t rows = matrix->n_rows > SIDE_MOST ? SIDE_MOST : matrix->n_rows;
    int32_t columns = matrix->n_columns > SIDE_MOST ? SIDE_MOST : matrix->n_columns;
    if (rows == 0 || columns == 0) {
        return;
    }
    double scale = matrix_scale(matrix), digits = matrix_digits(matrix, scale);
    double left = MARGIN + 10 + label_room(s, matrix->row_labels, rows, 20);
    double side = fmin((PICTURE_WIDTH - MARGIN - left) / columns, 48), height = fmin(side, 24);
    height = fmax(height, 16);
    s->y += 12 + 0.87 * label_room(s, matrix->column_labels, columns, 14); /* they lean at 60 degrees */
    double top = s->y;
    for (int32_t j = 0; j < columns && side >= 12; j++) {
        TextBuffer clean = TEXT_BUFFER_INIT;
        clean_text_cut(&clean, matrix->column_labels[j], CLEAN_SPACES, 14);
        text_buffer_printf(s->out, "<text class=\"small\" transform=\"translate(%.1f %.1f) rotate(-60)\">",
                           left + side * (j + 0.6), top - 6);
        markup_clean(s->out, clean.data == NULL ? "" : clean.data, clean.length);
        text_buffer_add(s->out, "</text>\n");
        s->out->failed = s->out->failed || clean.failed;
        text_buffer_free(&clean);
    }
    for (int32_t i = 0; i < rows; i++) {
        TextBuffer clean = TEXT_BUFFER_INIT;
        clean_text_cut(&clean, matrix->row_labels[i], CLEAN_SPACES, 20);
        text_buffer_printf(s->out, "<text class=\"small\" text-anchor=\"end\" x=\"%.1f\" y=\"%.1f\">", left - 6,
                           top + height * (i + 0.5) + 4);
        markup_clean(s->out, clean.data == NULL ? "" : clean.data, clean.length);
        text_buffer_add(s->out, "</text>\n");
        s->out->failed = s->out->failed || clean.failed;
        text_buffer_free(&clean);
        for (int32_t j = 0; j < columns; j++) {
            double value = matrix->values[(size_t)i * (size_t)matrix->n_columns + (size_t)j];
            int step = palette_step(value, scale);
            text_buffer_printf(s->out, "<rect x=\"%.1f\" y=\"%.1f\" width=\"%.1f\" height=\"%.1f\"", left + side * j,
                               top + height * i, side, height);
            add_fill(s, step);
            text_buffer_add(s->out, " stroke=\"#fff\" stroke-width=\".5\"><title>");
            format_signed(s->out, value);
            text_buffer_add(s->out, "</title></rect>");
            if (side >= 36) {
                text_buffer_printf(s->out, "<text class=\"tiny\" text-anchor=\"middle\" x=\"%.1f\" y=\"%.1f\"",
                                   left + side * (j + 0.5), top + height * (i + 0.5) + 4);
                add_ink(s, step);
                text_buffer_add(s->out, ">");
                format_score(s->out, value, digits, matrix->is_signed);
                text_buffer_add(s->out, "</text>");
            }
            text_buffer_add_char(s->out, '\n');
        }
    }
    s->y = top + height * rows + 12;
}

/* ---- series; what has no picture ---- */

static void svg_series(Svg *s, const Block *block) {
    const SeriesBlock *series = block->content;
    text_buffer_printf(s->out, "<g transform=\"translate(%d %.1f)\">", MARGIN, s->y);
    chart_series(s->out, block, s->words, PICTURE_WIDTH - 2 * MARGIN, 320);
    text_buffer_add(s->out, "</g>\n");
    s->y += 320 + 22 * series->n_lines + 12;
}

static void svg_graph(Svg *s, const Block *block) {
    const GraphBlock *graph = block->content;
    for (int32_t i = 0; i < graph->n_edges && i < ROWS_MOST; i++) {
        TextBuffer text = TEXT_BUFFER_INIT;
        clean_text(&text, graph->nodes[graph->edges[i].from].label, 0);
        text_buffer_add(&text, " → ");
        clean_text(&text, graph->nodes[graph->edges[i].to].label, 0);
        text_buffer_add(&text, "  ");
        format_signed(&text, graph->edges[i].weight);
        s->y += 20;
        add_line_of_text(s, "mono", MARGIN, (Text){text.data == NULL ? "" : text.data, text.length}, 90);
        s->out->failed = s->out->failed || text.failed;
        text_buffer_free(&text);
    }
    s->y += 12;
}

static void svg_text(Svg *s, const Block *block) {
    const TextBlock *content = block->content;
    const char *at = content->text.bytes;
    size_t left = at == NULL ? 0 : content->text.length;
    for (int line = 0; left > 0 && line < ROWS_MOST; line++) {
        const char *end = memchr(at, '\n', left);
        size_t length = end == NULL ? left : (size_t)(end - at);
        s->y += 20;
        add_line_of_text(s, "mono", MARGIN, (Text){at, length}, 92);
        size_t taken = end == NULL ? length : length + 1;
        at += taken;
        left -= taken;
    }
    s->y += 12;
}

/* ---- the whole ---- */

/* report: words are read there in other formats. */
static bool has_picture(const Block *block, bool report) {
    if (block->kind != BLOCK_TABLE) {
        return block->kind != BLOCK_SECTION && (block->kind != BLOCK_TEXT || !report);
    }
    return bars_column(block->content) >= 0;
}

static void add_alert(Svg *s, const char *class_name, const char *sign, const char *word) {
    char text[64];
    int length = snprintf(text, sizeof text, "%s %s", sign, word);
    add_line_of_text(s, class_name, MARGIN, (Text){text, (size_t)length}, 14);
}

/* A check that did not hold: its name, what was found, what was expected. */
static void add_failed(Svg *s, const ResultCheck *check) {
    bool failed = check->state == CHECK_FAIL;
    TextBuffer text = TEXT_BUFFER_INIT;
    format_check_name(&text, check, s->words, 0);
    text_buffer_add(&text, s->words[WORD_COLON]);
    format_check(&text, check, s->words, 0);
    add_alert(s, failed ? "bad" : "warn", failed ? "✗" : "?", s->words[failed ? WORD_FAILED : WORD_INCONCLUSIVE]);
    add_wrapped(s, failed ? "bad" : "warn", MARGIN + 100, (Text){text.data == NULL ? "" : text.data, text.length}, 110,
                20);
    s->out->failed = s->out->failed || text.failed;
    text_buffer_free(&text);
}

static void add_top(Svg *s, const Result *result) {
    s->y += 20;
    add_wrapped(s, "title", MARGIN, headline_of(result, s->words), 66, 28);
    s->y += 8;
    for (int32_t i = 0; i < result->n_checks; i++) {
        if (result->checks[i].state != CHECK_PASS) {
            s->y += 22;
            add_failed(s, &result->checks[i]);
        }
    }
    for (int32_t i = 0; i < result->n_warnings; i++) {
        s->y += 22;
        add_alert(s, "warn", "!", s->words[WORD_WARNING]);
        add_wrapped(s, "warn", MARGIN + 100, result->warnings[i], 110, 20);
    }
    Fact facts[FACTS_MAX];
    size_t n;
    s->status = result_facts(facts, &n, s->arena, result, s->words, 0);
    for (size_t i = 0; s->status == LIMN_OK && i < n; i++) {
        s->y += 22;
        add_line_of_text(s, "soft", MARGIN, text_of(facts[i].label), 10);
        add_wrapped(s, "plain", MARGIN + 84, text_of(facts[i].text), 110, 20);
    }
}

/* Has no picture. */
static void svg_section(Svg *s, const Block *block) {
    (void)s;
    (void)block;
}

static void add_blocks(Svg *s, const Result *result) {
    static void (*const functions[])(Svg *, const Block *) = {
#define BLOCK(kind, name, type, help) svg_##name,
#include "result/blocks.def"
#undef BLOCK
    };
    bool report = result_has_sections(result);
    for (int32_t i = 0; i < result->n_blocks && s->status == LIMN_OK; i++) {
        const Block *block = &result->blocks[i];
        if (!block->detail && has_picture(block, report)) {
            s->y += 40;
            add_line_of_text(s, "heading", MARGIN, word_for_block(s->words, block), 90);
            s->y += 14;
            functions[block->kind](s, block);
        }
    }
}

limn_status render_svg(TextBuffer *out, const Result *result, const RenderOptions *options) {
    Arena arena;
    arena_init(&arena);
    TextBuffer body = TEXT_BUFFER_INIT;
    Svg s = {.out = &body, .arena = &arena, .y = MARGIN, .words = words_in(options->language)};
    add_top(&s, result);
    if (s.status == LIMN_OK) {
        add_blocks(&s, result);
    }
    text_buffer_printf(out,
                       "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 %d %.0f\" width=\"%d\" "
                       "height=\"%.0f\" role=\"img\" xml:lang=\"",
                       PICTURE_WIDTH, s.y + MARGIN, PICTURE_WIDTH, s.y + MARGIN);
    markup_string(out, options->language);
    text_buffer_add(out, "\">\n<title>");
    markup_text(out, headline_of(result, s.words), 0);
    text_buffer_add(
        out, "</title>\n<style>text{font:16px system-ui,\"Noto Sans\",\"Noto Sans CJK SC\",sans-serif;fill:#1a1d21}"
             ".mono,.small,.tiny{font-family:\"DejaVu Sans Mono\",\"Noto Sans Mono CJK SC\",monospace}"
             ".title{font-size:22px;font-weight:600}.heading{font-size:18px;font-weight:600}"
             ".small{font-size:11.2px}.tiny{font-size:10px}.plain{font-size:14px}"
             ".soft{font-size:14px;fill:#565e68}.bad{font-size:14px;fill:#a40e26}"
             ".warn{font-size:14px;fill:#7a4d00}path.plus{stroke:#1a1d21;stroke-width:1.5}"
             "path.minus{stroke:#1a1d21;stroke-width:1.5;stroke-dasharray:4 3}");
    text_buffer_add(out, chart_style);
    text_buffer_add(out, "</style>\n<rect width=\"100%\" height=\"100%\" fill=\"#fff\"/>\n");
    text_buffer_add_bytes(out, body.data == NULL ? "" : body.data, body.length);
    text_buffer_add(out, "</svg>\n");
    out->failed = out->failed || body.failed;
    text_buffer_free(&body);
    arena_free(&arena);
    return s.status;
}
