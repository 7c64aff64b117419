/* Lines over a common x as a vector chart: told apart by dash and marker as well as colour, intervals as bands; the
 * same numbers as a table behind it. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "pdf/blocks.h"

enum { CHART_LINES = 4, MARKED_POINTS = 60, TABLE_POINTS = 120, LEGEND_LINES = 24 };

#define CHART_HEIGHT 190.0

typedef struct Frame {
    double x0, x1, y0, y1;           /* values */
    double left, right, top, bottom; /* points on the page */
} Frame;

static double place_x(const Frame *f, double x) {
    return f->left + (x - f->x0) / (f->x1 - f->x0) * (f->right - f->left);
}

static double place_y(const Frame *f, double y) {
    return f->bottom - (y - f->y0) / (f->y1 - f->y0) * (f->bottom - f->top);
}

static Colour line_colour(int index) {
    static const Colour colours[CHART_LINES] = {
        {0x0B, 0x5C, 0xB8}, {0xB3, 0x4A, 0x00}, {0x57, 0x60, 0x6A}, {0x1A, 0x7F, 0x37}};
    return colours[index % CHART_LINES];
}

static void set_dash(Paper *paper, int index) {
    static const struct {
        int n;
        double parts[4];
    } dashes[CHART_LINES] = {{0, {0}}, {2, {5, 3}}, {2, {1.5, 2.5}}, {4, {6, 2, 1.5, 2}}};
    cairo_set_dash(paper->cr, dashes[index % CHART_LINES].parts, dashes[index % CHART_LINES].n, 0);
}

static double nice_step(double span, int count) {
    double raw = span / count, power = pow(10, floor(log10(raw))), part = raw / power;
    return power * (part <= 1 ? 1 : part <= 2 ? 2 : part <= 5 ? 5 : 10);
}

static void widen(double *low, double *high, const double *values, int32_t n) {
    for (int32_t i = 0; values != NULL && i < n; i++) {
        if (isfinite(values[i])) {
            *low = fmin(*low, values[i]);
            *high = fmax(*high, values[i]);
        }
    }
}

static Frame frame_of(const SeriesBlock *series, double top) {
    Frame f = {INFINITY,        -INFINITY,
               INFINITY,        -INFINITY,
               PAPER_LEFT + 46, PAPER_LEFT + PAPER_TEXT - 10,
               top + 18,        top + CHART_HEIGHT - 30};
    widen(&f.x0, &f.x1, series->x, series->n);
    for (int32_t i = 0; i < series->n_lines; i++) {
        widen(&f.y0, &f.y1, series->lines[i].y, series->n);
        widen(&f.y0, &f.y1, series->lines[i].low, series->n);
        widen(&f.y0, &f.y1, series->lines[i].high, series->n);
    }
    if (!(f.x0 <= f.x1)) {
        f.x0 = 0;
        f.x1 = 1;
    }
    if (!(f.y0 <= f.y1)) {
        f.y0 = 0;
        f.y1 = 1;
    }
    f.y0 = f.y0 > 0 && f.y0 < f.y1 * 0.6 ? 0 : f.y0;
    f.x1 = f.x1 > f.x0 ? f.x1 : f.x0 + fmax(1, fabs(f.x0) * 1e-6);
    if (!(f.y1 > f.y0)) {
        double half = fabs(f.y0) > 0 ? fabs(f.y0) / 2 : 0.5;
        f.y0 -= half;
        f.y1 += half;
    }
    double step = nice_step(f.y1 - f.y0, 5);
    f.y0 = floor(f.y0 / step + 1e-9) * step;
    f.y1 = ceil(f.y1 / step - 1e-9) * step;
    return f;
}

/* side: -1 ends at x, 0 is centred, 1 begins there. */
static void draw_text(Paper *paper, const char *text, double x, double y, int side) {
    Box box = box_of(paper, text, 7, 0, 0);
    box_draw(paper, &box, 0, 1, side < 0 ? x - box.width : side == 0 ? x - box.width / 2 : x, y, false);
    box_free(&box);
}

static void draw_tick(Paper *paper, double value, double step, double x, double y, int side) {
    draw_text(paper, cell_number_text(paper, fabs(value) < step * 1e-9 ? 0 : value, false), x, y, side);
}

static bool whole_numbers(const double *values, int32_t n) {
    for (int32_t i = 0; i < n; i++) {
        if (isfinite(values[i]) && values[i] != floor(values[i])) {
            return false;
        }
    }
    return true;
}

static void draw_axes(Paper *paper, const SeriesBlock *series, const Frame *f) {
    double step = nice_step(f->y1 - f->y0, 5);
    cairo_set_line_width(paper->cr, 0.4);
    for (int i = 0, n = (int)lrint((f->y1 - f->y0) / step); i <= n && i < 20; i++) {
        double y = f->y0 + i * step, at = place_y(f, y);
        paper_ink(paper, INK_RULE);
        cairo_move_to(paper->cr, f->left, at);
        cairo_line_to(paper->cr, f->right, at);
        cairo_stroke(paper->cr);
        paper_ink(paper, INK_TEXT);
        draw_tick(paper, y, step, f->left - 5, at - 5, -1);
    }
    step = nice_step(f->x1 - f->x0, 8);
    step = step < 1 && whole_numbers(series->x, series->n) ? 1 : step;
    double first = ceil(f->x0 / step - 1e-9);
    for (int i = 0, n = (int)floor(f->x1 / step + 1e-9 - first); i <= n && i < 20; i++) {
        double x = (first + i) * step;
        cairo_move_to(paper->cr, place_x(f, x), f->bottom);
        cairo_line_to(paper->cr, place_x(f, x), f->bottom + 3);
        cairo_stroke(paper->cr);
        draw_tick(paper, x, step, place_x(f, x), f->bottom + 4, 0);
    }
    cairo_set_line_width(paper->cr, 0.8);
    cairo_move_to(paper->cr, f->left, f->top);
    cairo_line_to(paper->cr, f->left, f->bottom);
    cairo_line_to(paper->cr, f->right, f->bottom);
    cairo_stroke(paper->cr);
    draw_text(paper, paper_clean(paper, word_for_name(paper->words, series->x_title), 0), (f->left + f->right) / 2,
              f->bottom + 15, 0);
    draw_text(paper, paper_clean(paper, word_for_name(paper->words, series->y_title), 0), PAPER_LEFT, f->top - 16, 1);
}

static void draw_band(Paper *paper, const SeriesBlock *series, const SeriesLine *line, const Frame *f, int index) {
    static const double lightness = 0.82;
    Colour c = line_colour(index);
    bool any = false;
    cairo_new_path(paper->cr); /* text leaves its last point behind */
    cairo_set_source_rgb(paper->cr, c.red / 255.0 * (1 - lightness) + lightness,
                         c.green / 255.0 * (1 - lightness) + lightness, c.blue / 255.0 * (1 - lightness) + lightness);
    for (int32_t j = 0; j < series->n; j++) {
        if (isfinite(series->x[j]) && isfinite(line->high[j])) {
            cairo_line_to(paper->cr, place_x(f, series->x[j]), place_y(f, line->high[j]));
            any = true;
        }
    }
    for (int32_t j = series->n; j-- > 0 && any;) {
        if (isfinite(series->x[j]) && isfinite(line->low[j])) {
            cairo_line_to(paper->cr, place_x(f, series->x[j]), place_y(f, line->low[j]));
        }
    }
    if (any) {
        cairo_close_path(paper->cr);
        cairo_fill(paper->cr);
    }
    cairo_new_path(paper->cr);
}

static void draw_marker(Paper *paper, int index, double x, double y) {
    cairo_new_path(paper->cr);
    switch (index % CHART_LINES) {
    case 0:
        cairo_arc(paper->cr, x, y, 2.2, 0, 6.2831853);
        break;
    case 1:
        cairo_rectangle(paper->cr, x - 2.1, y - 2.1, 4.2, 4.2);
        break;
    case 2:
        cairo_move_to(paper->cr, x, y - 2.6);
        cairo_line_to(paper->cr, x + 2.6, y + 2.1);
        cairo_line_to(paper->cr, x - 2.6, y + 2.1);
        break;
    default:
        cairo_move_to(paper->cr, x, y - 2.8);
        cairo_line_to(paper->cr, x + 2.8, y);
        cairo_line_to(paper->cr, x, y + 2.8);
        cairo_line_to(paper->cr, x - 2.8, y);
    }
    cairo_close_path(paper->cr);
    cairo_fill(paper->cr);
}

static void draw_line(Paper *paper, const SeriesBlock *series, const SeriesLine *line, const Frame *f, int index) {
    bool open = false;
    paper_colour(paper, line_colour(index));
    cairo_set_line_width(paper->cr, 1.4);
    set_dash(paper, index);
    for (int32_t j = 0; j < series->n; j++) {
        bool there = isfinite(series->x[j]) && isfinite(line->y[j]); /* a gap where a value is missing */
        if (there && open) {
            cairo_line_to(paper->cr, place_x(f, series->x[j]), place_y(f, line->y[j]));
        } else if (there) {
            cairo_move_to(paper->cr, place_x(f, series->x[j]), place_y(f, line->y[j]));
        }
        open = there;
    }
    cairo_stroke(paper->cr);
    cairo_set_dash(paper->cr, NULL, 0, 0);
    for (int32_t j = 0; j < series->n && series->n <= MARKED_POINTS; j++) {
        if (isfinite(series->x[j]) && isfinite(line->y[j])) {
            draw_marker(paper, index, place_x(f, series->x[j]), place_y(f, line->y[j]));
        }
    }
}

/* One row for each line below the chart. */
static double draw_legend(Paper *paper, const SeriesBlock *series, double y) {
    double x = PAPER_LEFT + 46;
    for (int32_t i = 0; i < series->n_lines && i < LEGEND_LINES; i++) {
        Box box = box_of(paper, paper_clean(paper, series->lines[i].name, 0), 7.5, 0, PAPER_TEXT - 90);
        paper_colour(paper, line_colour(i));
        cairo_set_line_width(paper->cr, 1.4);
        set_dash(paper, i);
        cairo_move_to(paper->cr, x, y + 6);
        cairo_line_to(paper->cr, x + 26, y + 6);
        cairo_stroke(paper->cr);
        cairo_set_dash(paper->cr, NULL, 0, 0);
        draw_marker(paper, i, x + 13, y + 6);
        paper_ink(paper, INK_TEXT);
        box_draw(paper, &box, 0, 1, x + 32, y, false);
        box_free(&box);
        y += 12;
    }
    return y;
}

static const char *chart_in_words(Paper *paper, const Block *block) {
    const SeriesBlock *series = block->content;
    TextBuffer text = TEXT_BUFFER_INIT;
    clean_text(&text, block->title, 0);
    text_buffer_add(&text, paper->words[WORD_COLON]);
    for (int32_t i = 0; i < series->n_lines; i++) {
        double low = INFINITY, high = -INFINITY;
        widen(&low, &high, series->lines[i].y, series->n);
        text_buffer_add(&text, i == 0 ? "" : "; ");
        clean_text(&text, series->lines[i].name, 0);
        text_buffer_add_char(&text, ' ');
        format_number(&text, low);
        text_buffer_printf(&text, " %s ", paper->words[WORD_TO]);
        format_number(&text, high);
    }
    text_buffer_printf(&text, " (%s)", paper->words[WORD_SAME_AS_TABLE]);
    return paper_keep(paper, &text);
}

static const char *interval_text(Paper *paper, double low, double high) {
    TextBuffer text = TEXT_BUFFER_INIT;
    format_number(&text, low);
    text_buffer_printf(&text, " %s ", paper->words[WORD_TO]);
    format_number(&text, high);
    return paper_keep(paper, &text);
}

static void draw_numbers(Paper *paper, const SeriesBlock *series) {
    int32_t rows = series->n < TABLE_POINTS ? series->n : TABLE_POINTS, columns = 1;
    for (int32_t i = 0; i < series->n_lines; i++) {
        columns += series->lines[i].low != NULL && series->lines[i].high != NULL ? 2 : 1;
    }
    Grid grid;
    if (!grid_new(paper, &grid, columns, rows)) {
        return;
    }
    grid.heads = true;
    grid.right[0] = true;
    grid.head[0] = paper_clean(paper, word_for_name(paper->words, series->x_title), 0);
    for (int32_t j = 0; j < rows; j++) {
        grid.cells[(size_t)j * (size_t)columns] = cell_number_text(paper, series->x[j], false);
    }
    for (int32_t i = 0, column = 1; i < series->n_lines; i++, column++) {
        const SeriesLine *line = &series->lines[i];
        bool band = line->low != NULL && line->high != NULL;
        grid.head[column] = paper_clean(paper, line->name, 0);
        grid.right[column] = true;
        for (int32_t j = 0; j < rows; j++) {
            const char **cell = &grid.cells[(size_t)j * (size_t)columns + (size_t)column];
            cell[0] = cell_number_text(paper, line->y[j], false);
            if (band) {
                cell[1] = interval_text(paper, line->low[j], line->high[j]);
            }
        }
        if (band) {
            grid.head[++column] = paper->words[WORD_INTERVAL];
            grid.right[column] = true;
        }
    }
    grid_draw(paper, &grid);
    if (rows < series->n) {
        char text[256];
        snprintf(text, sizeof text, paper->words[WORD_FIRST_ROWS], rows, series->n);
        paper_plain(paper, &style_note, text_of(text), 0);
    }
}

void pdf_series(Paper *paper, const Block *block) {
    const SeriesBlock *series = block->content;
    paper_need(paper, CHART_HEIGHT + 12 * fmin(series->n_lines, LEGEND_LINES) + 8);
    Frame f = frame_of(series, paper->y);
    paper_tag_with(paper, "Figure", chart_in_words(paper, block), NULL);
    for (int32_t i = 0; i < series->n_lines; i++) {
        if (series->lines[i].low != NULL && series->lines[i].high != NULL) {
            draw_band(paper, series, &series->lines[i], &f, i);
        }
    }
    draw_axes(paper, series, &f);
    for (int32_t i = 0; i < series->n_lines; i++) {
        draw_line(paper, series, &series->lines[i], &f, i);
    }
    paper->y = draw_legend(paper, series, paper->y + CHART_HEIGHT) + 6;
    paper_end(paper, "Figure");
    if (series->n > 0 && series->n_lines > 0) {
        draw_numbers(paper, series);
    }
}
