#include "pdf/grid.h"

#include <math.h>
#include <string.h>

#define PAD_X  4.0
#define PAD_Y  2.5
#define NARROW 80.0
#define BAR    46.0 /* width of a column's bars */

enum { MEASURED_ROWS = 400 };

/* How it is laid out. */
typedef struct Plan {
    const Grid *grid;
    double size, leading;
    double *widths; /* [columns] of text, padding and bars left out */
    double *natural, *least;
} Plan;

bool grid_new(Paper *paper, Grid *grid, int32_t columns, int32_t rows) {
    size_t n = (size_t)columns * (size_t)rows;
    *grid = (Grid){.columns = columns,
                   .rows = rows,
                   .head = ARENA_ARRAY(paper->arena, const char *, columns + 1),
                   .cells = ARENA_ARRAY(paper->arena, const char *, n + 1),
                   .right = ARENA_ARRAY(paper->arena, bool, columns + 1),
                   .bars = ARENA_ARRAY(paper->arena, const double *, columns + 1),
                   .reaches = ARENA_ARRAY(paper->arena, const double *, columns + 1)};
    if (grid->head == NULL || grid->cells == NULL || grid->right == NULL || grid->bars == NULL ||
        grid->reaches == NULL) {
        paper->status = fail(LIMN_NO_MEMORY, "no memory for a table of %d rows", rows);
        return false;
    }
    return true;
}

static const char *cell_of(const Grid *grid, int32_t row, int32_t column) {
    const char *text = grid->cells[(size_t)row * (size_t)grid->columns + (size_t)column];
    return text == NULL ? "" : text;
}

/* ---- widths ---- */

static void measure(Paper *paper, double *natural, double *least, const char *text, double size, unsigned looks) {
    Box box = box_of(paper, text, size, looks, 0);
    *natural = fmax(*natural, box.width);
    pango_layout_set_wrap(box.layout, PANGO_WRAP_WORD);
    pango_layout_set_width(box.layout, 1);
    PangoRectangle extents;
    pango_layout_get_extents(box.layout, NULL, &extents);
    *least = fmax(*least, (double)extents.width / PANGO_SCALE);
    box_free(&box);
}

static void measure_column(Paper *paper, Plan *plan, int32_t column) {
    const Grid *grid = plan->grid;
    double *natural = &plan->natural[column], *least = &plan->least[column];
    *natural = *least = 1;
    measure(paper, natural, least, grid->head[column], plan->size, RICH_BOLD);
    int32_t step = grid->rows / MEASURED_ROWS + 1;
    for (int32_t row = 0; row < grid->rows; row += step) {
        measure(paper, natural, least, cell_of(grid, row, column), plan->size, 0);
    }
    *natural += 0.1; /* as wide as measured, less what rounding took, would break the line */
    *least = fmin(*least + 0.1, 120);
}

static double total(const double *widths, int32_t n) {
    double sum = 0;
    for (int32_t i = 0; i < n; i++) {
        sum += widths[i];
    }
    return sum;
}

/* Narrow columns keep their words in one line while there is room for that. */
static void keep_narrow(Plan *plan, double room) {
    int32_t n = plan->grid->columns;
    double sum = 0;
    for (int32_t i = 0; i < n; i++) {
        sum += plan->natural[i] <= NARROW ? plan->natural[i] : plan->least[i];
    }
    for (int32_t i = 0; i < n && sum <= room; i++) {
        plan->least[i] = plan->natural[i] <= NARROW ? plan->natural[i] : plan->least[i];
    }
}

/* What is left beside the least goes to those that want more. */
static void share_out(Plan *plan, double room) {
    int32_t n = plan->grid->columns;
    keep_narrow(plan, room);
    double least = total(plan->least, n), natural = total(plan->natural, n);
    for (int32_t i = 0; i < n; i++) {
        plan->widths[i] =
            natural <= room ? plan->natural[i]
            : least > room  ? plan->least[i] / least * room
                            : plan->least[i] + (plan->natural[i] - plan->least[i]) / (natural - least) * (room - least);
    }
}

static bool make_plan(Paper *paper, Plan *plan, const Grid *grid) {
    static const double sizes[] = {8.5, 7.5, 6.5};
    *plan = (Plan){.grid = grid,
                   .widths = ARENA_ARRAY(paper->arena, double, grid->columns + 1),
                   .natural = ARENA_ARRAY(paper->arena, double, grid->columns + 1),
                   .least = ARENA_ARRAY(paper->arena, double, grid->columns + 1)};
    if (plan->widths == NULL || plan->natural == NULL || plan->least == NULL) {
        paper->status = fail(LIMN_NO_MEMORY, "no memory for a table");
        return false;
    }
    double room = PAPER_TEXT - 2 * PAD_X * grid->columns;
    for (int32_t i = 0; i < grid->columns; i++) {
        room -= grid->bars[i] != NULL ? BAR : 0;
    }
    room = fmax(room, 40);
    for (size_t k = 0; k < sizeof sizes / sizeof sizes[0]; k++) {
        plan->size = grid->size > 0 ? grid->size : sizes[k];
        for (int32_t i = 0; i < grid->columns; i++) {
            measure_column(paper, plan, i);
        }
        if (grid->size > 0 || total(plan->least, grid->columns) <= room) {
            break;
        }
    }
    plan->leading = plan->size * 1.35;
    share_out(plan, room);
    return true;
}

static double column_width(const Plan *plan, int32_t i) {
    return plan->widths[i] + 2 * PAD_X + (plan->grid->bars[i] != NULL ? BAR : 0);
}

static double table_width(const Plan *plan) {
    double width = 0;
    for (int32_t i = 0; i < plan->grid->columns; i++) {
        width += column_width(plan, i);
    }
    return width;
}

/* ---- rows ---- */

static void draw_rule(Paper *paper, const Plan *plan, Ink ink, double thick) {
    paper_decoration(paper);
    paper_ink(paper, ink);
    cairo_rectangle(paper->cr, PAPER_LEFT, paper->y, table_width(plan), thick);
    cairo_fill(paper->cr);
    paper_decoration_end(paper);
}

/* A line from low to high with an end at each; y: its middle. */
static void draw_reach(Paper *paper, double from, double to, double y) {
    paper_ink(paper, INK_TEXT);
    cairo_set_line_width(paper->cr, 0.6);
    cairo_move_to(paper->cr, from, y);
    cairo_line_to(paper->cr, to, y);
    for (int end = 0; end < 2; end++) {
        cairo_move_to(paper->cr, end == 0 ? from : to, y - 1.5);
        cairo_line_to(paper->cr, end == 0 ? from : to, y + 1.5);
    }
    cairo_stroke(paper->cr);
}

static void draw_bar(Paper *paper, const Plan *plan, int32_t row, int32_t column, double x) {
    const double *reaches = plan->grid->reaches[column];
    double part = plan->grid->bars[column][row];
    bool two = false;
    for (int32_t i = 0; i < plan->grid->rows; i++) {
        two = two || plan->grid->bars[column][i] < 0 || (reaches != NULL && reaches[2 * i] < 0);
    }
    double whole = (BAR - 6) * (two ? 0.5 : 1), zero = x + 6 + (two ? whole : 0);
    double width = isfinite(part) ? fmin(fabs(part), 1) * whole : 0, y = paper->y + PAD_Y + plan->size * 0.35;
    paper_colour(paper, palette_fill(part < 0 ? -PALETTE_STEPS : PALETTE_STEPS, GROUND_LIGHT));
    if (part < 0) { /* an outline: seen without colour too */
        cairo_set_line_width(paper->cr, 0.8);
        cairo_rectangle(paper->cr, zero - width, y + 0.4, width, plan->size * 0.7 - 0.8);
        cairo_stroke(paper->cr);
    } else if (width > 0) {
        cairo_rectangle(paper->cr, zero, y, width, plan->size * 0.7);
        cairo_fill(paper->cr);
    }
    if (reaches != NULL && isfinite(reaches[2 * row])) {
        draw_reach(paper, zero + reaches[2 * row] * whole, zero + reaches[2 * row + 1] * whole, y + plan->size * 0.35);
    }
}

/* One cell's lines [from, to) at x. */
static void draw_cell(Paper *paper, const Plan *plan, const Box *box, int32_t row, int32_t column, int from, int to,
                      double x, double height) {
    const Grid *grid = plan->grid;
    int step = grid->steps == NULL ? 0 : grid->steps[(size_t)row * (size_t)grid->columns + (size_t)column];
    bool right = grid->right[column];
    paper_ink(paper, INK_TEXT);
    if (step != 0) {
        Colour fill = palette_fill(step, GROUND_LIGHT);
        paper_colour(paper, fill);
        cairo_rectangle(paper->cr, x + 0.3, paper->y + 0.3, column_width(plan, column) - 0.6, height - 0.6);
        cairo_fill(paper->cr);
        paper_colour(paper, palette_text(fill));
    }
    box_draw(paper, box, from, to, right ? x + PAD_X + plan->widths[column] : x + PAD_X, paper->y + PAD_Y, right);
    if (grid->bars[column] != NULL && from == 0) {
        draw_bar(paper, plan, row, column, x + PAD_X + plan->widths[column]);
    }
}

static void draw_part(Paper *paper, const Plan *plan, const Box *boxes, int32_t row, int from, int to) {
    const Grid *grid = plan->grid;
    double x = PAPER_LEFT, height = (to - from) * plan->leading + 2 * PAD_Y;
    paper_tag(paper, "TR");
    for (int32_t i = 0; i < grid->columns; i++) {
        const char *kind = i == 0 && grid->heads ? "TH" : "TD";
        paper_tag_with(paper, kind, NULL, boxes[i].language);
        draw_cell(paper, plan, &boxes[i], row, i, from, to, x, height);
        paper_end(paper, kind);
        x += column_width(plan, i);
    }
    paper_end(paper, "TR");
    paper->y += height;
    draw_rule(paper, plan, INK_RULE, 0.5);
}

/* repeated: on a page that goes on with the table, where readers of the structure have had it. */
static void draw_head(Paper *paper, const Plan *plan, bool repeated) {
    const Grid *grid = plan->grid;
    int lines = 1;
    for (int32_t i = 0; i < grid->columns; i++) {
        Box box = box_of(paper, grid->head[i], plan->size, RICH_BOLD, plan->widths[i]);
        lines = box.lines > lines ? box.lines : lines;
        box_free(&box);
    }
    double x = PAPER_LEFT;
    if (repeated) {
        paper_decoration(paper);
    } else {
        paper_tag(paper, "TR");
    }
    for (int32_t i = 0; i < grid->columns; i++) {
        Box box = box_of(paper, grid->head[i], plan->size, RICH_BOLD, plan->widths[i]);
        if (!repeated) {
            paper_tag(paper, "TH");
        }
        paper_ink(paper, INK_TEXT);
        box_draw(paper, &box, 0, box.lines, grid->right[i] ? x + PAD_X + plan->widths[i] : x + PAD_X, paper->y + PAD_Y,
                 grid->right[i]);
        if (!repeated) {
            paper_end(paper, "TH");
        }
        box_free(&box);
        x += column_width(plan, i);
    }
    if (repeated) {
        paper_decoration_end(paper);
    } else {
        paper_end(paper, "TR");
    }
    paper->y += lines * plan->leading + 2 * PAD_Y;
    draw_rule(paper, plan, INK_TEXT, 0.8);
}

static void draw_row(Paper *paper, const Plan *plan, Box *boxes, int32_t row) {
    enum { WHOLE = 16 }; /* lines that are not broken over pages while a page can hold them */
    int lines = 1;
    for (int32_t i = 0; i < plan->grid->columns; i++) {
        boxes[i] = box_of(paper, cell_of(plan->grid, row, i), plan->size, i == 0 && plan->grid->heads ? RICH_BOLD : 0,
                          plan->widths[i]);
        lines = boxes[i].lines > lines ? boxes[i].lines : lines;
    }
    for (int from = 0; from < lines;) {
        double room = (PAPER_BOTTOM - paper->y - 2 * PAD_Y) / plan->leading;
        int fit = room < 1 ? 0 : (int)room, left = lines - from;
        if (left > fit && (fit < 2 || left <= WHOLE) && paper->y > PAPER_TOP + PAPER_BOTTOM / 10) {
            paper_new_page(paper);
            draw_head(paper, plan, true);
            continue;
        }
        int to = left <= fit ? lines : from + (fit < 1 ? 1 : fit);
        draw_part(paper, plan, boxes, row, from, to);
        from = to;
    }
    for (int32_t i = 0; i < plan->grid->columns; i++) {
        box_free(&boxes[i]);
    }
}

void grid_draw(Paper *paper, const Grid *grid) {
    Plan plan;
    Box *boxes = ARENA_ARRAY(paper->arena, Box, grid->columns + 1);
    if (boxes == NULL || grid->columns == 0 || !make_plan(paper, &plan, grid)) {
        return;
    }
    paper_need(paper, 3 * (plan.leading + 2 * PAD_Y));
    paper_tag(paper, "Table");
    draw_head(paper, &plan, false);
    for (int32_t row = 0; row < grid->rows && paper->status == LIMN_OK; row++) {
        draw_row(paper, &plan, boxes, row);
    }
    paper_end(paper, "Table");
    paper->y += 8;
}
