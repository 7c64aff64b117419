#include "render/markup.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/utf8.h"

void markup_clean(TextBuffer *out, const char *text, size_t length) {
    size_t begin = 0;
    for (size_t i = 0; i < length; i++) {
        const char *escape = NULL;
        switch (text[i]) {
        case '&':
            escape = "&amp;";
            break;
        case '<':
            escape = "&lt;";
            break;
        case '>':
            escape = "&gt;";
            break;
        case '"':
            escape = "&quot;";
            break;
        case '\'':
            escape = "&#39;";
            break;
        default:
            continue;
        }
        text_buffer_add_bytes(out, text + begin, i - begin);
        text_buffer_add(out, escape);
        begin = i + 1;
    }
    text_buffer_add_bytes(out, text + begin, length - begin);
}

void markup_text(TextBuffer *out, Text text, unsigned flags) {
    TextBuffer clean = TEXT_BUFFER_INIT;
    clean_text(&clean, text, flags);
    out->failed = out->failed || clean.failed;
    if (clean.length > 0) {
        markup_clean(out, clean.data, clean.length);
    }
    text_buffer_free(&clean);
}

void markup_string(TextBuffer *out, const char *text) {
    markup_text(out, text_of(text), 0);
}

const char *text_language(Text text) {
    const char *language = NULL;
    for (size_t i = 0; i < text.length;) {
        uint32_t c;
        bool valid;
        i += utf8_read(text.bytes + i, text.length - i, &c, &valid);
        if (c >= 0x3040 && c <= 0x30FF) {
            return "ja";
        }
        if (c >= 0xAC00 && c <= 0xD7A3) {
            return "ko";
        }
        if ((c >= 0x3400 && c <= 0x9FFF) || (c >= 0x20000 && c <= 0x323AF)) {
            language = "zh";
        }
    }
    return language;
}

/* ---- series ---- */

const char *const chart_style =
    ".axis{stroke:currentColor;stroke-width:1;fill:none}.grid{stroke:currentColor;stroke-opacity:.18;fill:none}"
    ".tick,.legend{fill:currentColor;font:13px system-ui,sans-serif}"
    ".line{fill:none;stroke-width:2.5;stroke-linejoin:round}.band{stroke:none;fill-opacity:.18}"
    ".c0{stroke:var(--c0,#0b5cb8)}.c1{stroke:var(--c1,#b34a00)}.c2{stroke:var(--c2,#57606a)}"
    ".c3{stroke:var(--c3,#1a7f37)}.f0{fill:var(--c0,#0b5cb8)}.f1{fill:var(--c1,#b34a00)}"
    ".f2{fill:var(--c2,#57606a)}.f3{fill:var(--c3,#1a7f37)}"
    ".d1{stroke-dasharray:7 4}.d2{stroke-dasharray:2 4}.d3{stroke-dasharray:9 3 2 3}";

enum { CHART_COLOURS = 4, MARKED_POINTS = 60 };

typedef struct Frame {
    double x0, x1, y0, y1;           /* values */
    double left, right, top, bottom; /* pixels */
} Frame;

static double place_x(const Frame *frame, double x) {
    return frame->left + (x - frame->x0) / (frame->x1 - frame->x0) * (frame->right - frame->left);
}

static double place_y(const Frame *frame, double y) {
    return frame->bottom - (y - frame->y0) / (frame->y1 - frame->y0) * (frame->bottom - frame->top);
}

static void widen(double *low, double *high, const double *values, int32_t n) {
    for (int32_t i = 0; values != NULL && i < n; i++) {
        if (isfinite(values[i])) {
            *low = fmin(*low, values[i]);
            *high = fmax(*high, values[i]);
        }
    }
}

/* 1, 2 or 5 times a power of ten: about `count` steps over the span. */
static double nice_step(double span, int count) {
    double raw = span / count, power = pow(10, floor(log10(raw))), part = raw / power;
    return power * (part <= 1 ? 1 : part <= 2 ? 2 : part <= 5 ? 5 : 10);
}

static Frame make_frame(const SeriesBlock *series, int width, int height) {
    Frame frame = {INFINITY, -INFINITY, 0, 0, 64, width - 16, 30, height - 46};
    frame.y0 = INFINITY;
    frame.y1 = -INFINITY;
    widen(&frame.x0, &frame.x1, series->x, series->n);
    for (int32_t i = 0; i < series->n_lines; i++) {
        widen(&frame.y0, &frame.y1, series->lines[i].y, series->n);
        widen(&frame.y0, &frame.y1, series->lines[i].low, series->n);
        widen(&frame.y0, &frame.y1, series->lines[i].high, series->n);
    }
    if (!(frame.x0 <= frame.x1)) {
        frame.x0 = 0;
        frame.x1 = 1;
    }
    if (!(frame.y0 <= frame.y1)) {
        frame.y0 = 0;
        frame.y1 = 1;
    }
    if (frame.y0 > 0 && frame.y0 < frame.y1 * 0.6) {
        frame.y0 = 0;
    }
    frame.x1 = frame.x1 > frame.x0 ? frame.x1 : frame.x0 + 1;
    if (!(frame.y1 > frame.y0)) {
        double half = fabs(frame.y0) > 0 ? fabs(frame.y0) / 2 : 0.5;
        frame.y0 -= half;
        frame.y1 += half;
    }
    double step = nice_step(frame.y1 - frame.y0, 5);
    frame.y0 = floor(frame.y0 / step + 1e-9) * step;
    frame.y1 = ceil(frame.y1 / step - 1e-9) * step;
    return frame;
}

static bool whole_numbers(const double *values, int32_t n) {
    for (int32_t i = 0; i < n; i++) {
        if (isfinite(values[i]) && values[i] != floor(values[i])) {
            return false;
        }
    }
    return true;
}

static void add_axes(TextBuffer *out, const SeriesBlock *series, Words words, const Frame *f) {
    double step = nice_step(f->y1 - f->y0, 5);
    int n = (int)lrint((f->y1 - f->y0) / step);
    for (int i = 0; i <= n; i++) {
        double y = f->y0 + i * step, at = place_y(f, y);
        text_buffer_printf(out,
                           "<path class=\"grid\" d=\"M%.1f %.1fH%.1f\"/><text class=\"tick\" x=\"%.1f\" "
                           "y=\"%.1f\" text-anchor=\"end\">",
                           f->left, at, f->right, f->left - 7, at + 4);
        format_number(out, fabs(y) < step * 1e-9 ? 0 : y);
        text_buffer_add(out, "</text>");
    }
    step = nice_step(f->x1 - f->x0, 8);
    step = step < 1 && whole_numbers(series->x, series->n) ? 1 : step;
    double first = ceil(f->x0 / step - 1e-9);
    n = (int)floor(f->x1 / step + 1e-9 - first);
    for (int i = 0; i <= n; i++) {
        double x = (first + i) * step;
        text_buffer_printf(out,
                           "<path class=\"axis\" d=\"M%.1f %.1fv4\"/><text class=\"tick\" x=\"%.1f\" y=\"%.1f\" "
                           "text-anchor=\"middle\">",
                           place_x(f, x), f->bottom, place_x(f, x), f->bottom + 18);
        format_number(out, fabs(x) < step * 1e-9 ? 0 : x);
        text_buffer_add(out, "</text>");
    }
    text_buffer_printf(out, "<path class=\"axis\" d=\"M%.1f %.1fV%.1fH%.1f\"/>", f->left, f->top, f->bottom, f->right);
    text_buffer_printf(out, "<text class=\"tick\" x=\"%.1f\" y=\"%.1f\" text-anchor=\"middle\">",
                       (f->left + f->right) / 2, f->bottom + 38);
    markup_text(out, word_for_name(words, series->x_title), 0);
    text_buffer_add(out, "</text><text class=\"tick\" x=\"8\" y=\"14\">");
    markup_text(out, word_for_name(words, series->y_title), 0);
    text_buffer_add(out, "</text>");
}

static void add_marker(TextBuffer *out, int colour, double x, double y) {
    static const char *const shapes[CHART_COLOURS] = {"m-4 0a4 4 0 1 0 8 0a4 4 0 1 0 -8 0z", "m-4 -4h8v8h-8z",
                                                      "m0 -5l5 9h-10z", "m0 -5l5 5l-5 5l-5 -5z"};
    text_buffer_printf(out, "<path class=\"f%d\" d=\"M%.1f %.1f%s\"/>", colour, x, y, shapes[colour]);
}

static void add_band(TextBuffer *out, const SeriesBlock *series, const SeriesLine *line, const Frame *f, int colour) {
    text_buffer_printf(out, "<path class=\"band f%d\" d=\"", colour);
    char command = 'M';
    for (int32_t j = 0; j < series->n; j++) {
        if (isfinite(series->x[j]) && isfinite(line->high[j])) {
            text_buffer_printf(out, "%c%.1f %.1f", command, place_x(f, series->x[j]), place_y(f, line->high[j]));
            command = 'L';
        }
    }
    for (int32_t j = series->n; j-- > 0;) {
        if (isfinite(series->x[j]) && isfinite(line->low[j]) && command == 'L') {
            text_buffer_printf(out, "L%.1f %.1f", place_x(f, series->x[j]), place_y(f, line->low[j]));
        }
    }
    text_buffer_add(out, command == 'L' ? "z\"/>" : "\"/>");
}

static void add_line(TextBuffer *out, const SeriesBlock *series, const SeriesLine *line, const Frame *f, int index) {
    int colour = index % CHART_COLOURS;
    if (line->low != NULL && line->high != NULL) {
        add_band(out, series, line, f, colour);
    }
    text_buffer_printf(out, "<path class=\"line c%d d%d\" d=\"", colour, colour);
    char command = 'M';
    for (int32_t j = 0; j < series->n; j++) {
        if (isfinite(series->x[j]) && isfinite(line->y[j])) {
            text_buffer_printf(out, "%c%.1f %.1f", command, place_x(f, series->x[j]), place_y(f, line->y[j]));
            command = 'L';
        } else {
            command = 'M'; /* a gap where a value is missing */
        }
    }
    text_buffer_add(out, "\"/>");
    for (int32_t j = 0; j < series->n && series->n <= MARKED_POINTS; j++) {
        if (isfinite(series->x[j]) && isfinite(line->y[j])) {
            add_marker(out, colour, place_x(f, series->x[j]), place_y(f, line->y[j]));
        }
    }
}

void chart_series(TextBuffer *out, const Block *block, Words words, int width, int height) {
    const SeriesBlock *series = block->content;
    int legend = 22 * series->n_lines;
    Frame frame = make_frame(series, width, height);
    text_buffer_printf(out,
                       "<svg class=\"chart\" role=\"img\" viewBox=\"0 0 %d %d\" width=\"%d\" height=\"%d\" "
                       "xmlns=\"http://www.w3.org/2000/svg\"><title>",
                       width, height + legend, width, height + legend);
    markup_text(out, block->title, 0);
    text_buffer_add(out, "</title>");
    add_axes(out, series, words, &frame);
    for (int32_t i = 0; i < series->n_lines; i++) {
        int colour = i % CHART_COLOURS;
        double y = height + 22.0 * i + 8;
        add_line(out, series, &series->lines[i], &frame, i);
        text_buffer_printf(out, "<path class=\"line c%d d%d\" d=\"M%.1f %.1fh36\"/>", colour, colour, frame.left, y);
        add_marker(out, colour, frame.left + 18, y);
        text_buffer_printf(out, "<text class=\"legend\" x=\"%.1f\" y=\"%.1f\">", frame.left + 46, y + 4);
        markup_text(out, series->lines[i].name, 0);
        if (series->lines[i].low != NULL) {
            text_buffer_printf(out, " (%s)", words[WORD_BAND]);
        }
        text_buffer_add(out, "</text>");
    }
    text_buffer_add(out, "</svg>");
}
