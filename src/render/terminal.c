/* Text for people at a terminal: the answer, what is doubtful about it, the figures, the checks. */
#include "render/terminal.h"

#include <math.h>
#include <string.h>

#include "base/utf8.h"
#include "render/palette.h"

enum { WIDTH_DEFAULT = 80, WIDTH_LEAST = 40, WIDTH_MOST = 400 };

/* ---- pieces of a line ---- */

const char *pick(const Terminal *t, const char *unicode, const char *ascii) {
    return t->ascii ? ascii : unicode;
}

void style_begin(const Terminal *t, Style style) {
    static const char *const codes[] = {[STYLE_BOLD] = "\x1b[1m",
                                        [STYLE_DIM] = "\x1b[2m",
                                        [STYLE_GOOD] = "\x1b[32m",
                                        [STYLE_BAD] = "\x1b[1;31m",
                                        [STYLE_WARN] = "\x1b[33m"};
    if (t->colour != RENDER_COLOUR_NONE) {
        text_buffer_add(t->out, codes[style]);
    }
}

void style_end(const Terminal *t) {
    if (t->colour != RENDER_COLOUR_NONE) {
        text_buffer_add(t->out, "\x1b[0m");
    }
}

void score_begin(const Terminal *t, int step) {
    if (t->colour == RENDER_COLOUR_NONE || step == 0) {
        return;
    }
    if (t->colour == RENDER_COLOUR_24BIT) {
        Colour fill = palette_fill(step, GROUND_UNKNOWN);
        text_buffer_printf(t->out, "\x1b[38;2;0;0;0;48;2;%d;%d;%dm", fill.red, fill.green, fill.blue);
        return;
    }
    int size = step < 0 ? -step : step; /* 16 colours: letters, bold letters, then a filled ground */
    int hue = step < 0 ? 3 : 6;
    if (size > 2 * PALETTE_STEPS / 3) {
        text_buffer_printf(t->out, "\x1b[30;4%dm", hue);
    } else {
        text_buffer_printf(t->out, size > PALETTE_STEPS / 3 ? "\x1b[1;3%dm" : "\x1b[3%dm", hue);
    }
}

void add_spaces(const Terminal *t, int n) {
    for (int i = 0; i < n; i++) {
        text_buffer_add_char(t->out, ' ');
    }
}

void add_padded(const Terminal *t, const char *text, size_t length, int width, bool right) {
    int gap = width - text_width(text, length);
    add_spaces(t, right ? gap : 0);
    text_buffer_add_bytes(t->out, text, length);
    add_spaces(t, right ? 0 : gap);
}

int add_bar(const Terminal *t, double part, int width) {
    if (!isfinite(part)) {
        return 0;
    }
    int full = (int)lrint(fmin(fabs(part), 1) * width);
    if (full == 0 && part != 0 && fabs(part) >= 0.005) {
        full = 1;
    }
    const char *fill = part < 0 ? pick(t, "▒", "-") : pick(t, "█", "#");
    if (t->colour == RENDER_COLOUR_24BIT && full > 0) {
        Colour colour = palette_fill(part < 0 ? -PALETTE_STEPS : PALETTE_STEPS, GROUND_UNKNOWN);
        text_buffer_printf(t->out, "\x1b[38;2;%d;%d;%dm", colour.red, colour.green, colour.blue);
    } else if (t->colour == RENDER_COLOUR_16 && full > 0) {
        text_buffer_add(t->out, part < 0 ? "\x1b[33m" : "\x1b[36m");
    }
    for (int i = 0; i < full; i++) {
        text_buffer_add(t->out, fill);
    }
    if (full > 0) {
        style_end(t);
    }
    return full;
}

/* Bytes and columns of the word at text: up to the next space, or as much as fits in `room`. */
static size_t word_length(const char *text, int room, int *width) {
    size_t length = strlen(text), i = 0;
    *width = 0;
    while (i < length && text[i] != ' ' && text[i] != '\n') {
        uint32_t codepoint;
        bool valid;
        size_t taken = utf8_read(text + i, length - i, &codepoint, &valid);
        int columns = codepoint_width(codepoint);
        if (*width + columns > room && i > 0) {
            break;
        }
        *width += columns;
        i += taken;
        if (columns == 2) { /* East Asian text may break after any character */
            break;
        }
    }
    return i;
}

int add_wrapped(const Terminal *t, const char *text, int column, int indent) {
    int room = t->width - indent;
    bool space = false;
    while (*text != '\0') {
        if (*text == ' ' || *text == '\n') {
            space = true;
            text++;
            continue;
        }
        int width;
        size_t length = word_length(text, room, &width);
        if (column + (space ? 1 : 0) + width > t->width && column > indent) {
            text_buffer_add_char(t->out, '\n');
            add_spaces(t, indent);
            column = indent;
        } else if (space && column > indent) {
            text_buffer_add_char(t->out, ' ');
            column++;
        }
        text_buffer_add_bytes(t->out, text, length);
        column += width;
        text += length;
        space = false;
    }
    return column;
}

void add_line_end(const Terminal *t) {
    style_end(t);
    text_buffer_add_char(t->out, '\n');
}

/* ---- sections ---- */

static int add_clean_wrapped(Terminal *t, Text text, int column, int indent) {
    TextBuffer clean = TEXT_BUFFER_INIT;
    clean_text(&clean, text, t->flags);
    if (text_buffer_status(&clean) == LIMN_OK) {
        column = add_wrapped(t, clean.data == NULL ? "" : clean.data, column, indent);
    } else {
        t->out->failed = true;
    }
    text_buffer_free(&clean);
    return column;
}

static void add_check(Terminal *t, const ResultCheck *check, int name_width) {
    static const char *const signs[] = {"≤", "≥", "<", ">"}, *const ascii_signs[] = {"<=", ">=", "<", ">"};
    static const Style styles[] = {STYLE_GOOD, STYLE_BAD, STYLE_WARN};
    static const char *const states[] = {"✓ pass  ", "✗ FAIL  ", "? open  "}, *const ascii_states[] = {
                                                                                  "[pass]  ", "[FAIL]  ", "[open]  "};
    style_begin(t, styles[check->state]);
    text_buffer_add(t->out, (t->ascii ? ascii_states : states)[check->state]);
    style_end(t);
    TextBuffer line = TEXT_BUFFER_INIT;
    clean_text(&line, check->name, t->flags);
    int width = text_width(line.data == NULL ? "" : line.data, line.length);
    for (int i = width; i < name_width; i++) {
        text_buffer_add_char(&line, ' ');
    }
    text_buffer_add(&line, "  ");
    format_number(&line, check->value);
    text_buffer_printf(&line, ", needs %s ", (t->ascii ? ascii_signs : signs)[check->kind]);
    format_number(&line, check->limit);
    if (line.failed) {
        t->out->failed = true;
    } else {
        text_buffer_add(t->out, line.data);
        int column = 8 + text_width(line.data, line.length);
        if (check->meaning.length > 0) {
            text_buffer_add(t->out, "   ");
            style_begin(t, STYLE_DIM);
            add_clean_wrapped(t, check->meaning, column + 3, 12 + name_width);
        }
        add_line_end(t);
    }
    text_buffer_free(&line);
}

static int check_name_width(const Result *result) {
    int widest = 0;
    for (int32_t i = 0; i < result->n_checks; i++) {
        int width = text_width(result->checks[i].name.bytes, result->checks[i].name.length);
        widest = width > widest ? width : widest;
    }
    return widest > 30 ? 30 : widest;
}

static void add_heading(Terminal *t, const Block *block) {
    text_buffer_add_char(t->out, '\n');
    style_begin(t, STYLE_BOLD);
    int column = add_clean_wrapped(t, block->title.length > 0 ? block->title : text_of(block->id), 0, 0);
    style_end(t);
    if (block->unit.length > 0) {
        bool fits = column + text_width(block->unit.bytes, block->unit.length) + 3 <= t->width;
        style_begin(t, STYLE_DIM);
        text_buffer_add(t->out, fits ? " (" : "\n  (");
        add_clean_wrapped(t, block->unit, fits ? column + 2 : 3, 3);
        text_buffer_add_char(t->out, ')');
    }
    add_line_end(t);
}

static void add_block(Terminal *t, const Block *block) {
    static void (*const functions[])(Terminal *, const Block *) = {
#define BLOCK(kind, name, type, help) terminal_##name,
#include "result/blocks.def"
#undef BLOCK
    };
    add_heading(t, block);
    functions[block->kind](t, block);
    if (block->note.length > 0) {
        style_begin(t, STYLE_DIM);
        add_clean_wrapped(t, block->note, 0, 0);
        add_line_end(t);
    }
}

static void add_verdicts(Terminal *t, const Result *result, int name_width) {
    for (int32_t i = 0; i < result->n_checks; i++) {
        if (result->checks[i].state != CHECK_PASS) {
            add_check(t, &result->checks[i], name_width);
        }
    }
    for (int32_t i = 0; i < result->n_warnings; i++) {
        style_begin(t, STYLE_WARN);
        text_buffer_add(t->out, pick(t, "! warning  ", "! warning  "));
        style_end(t);
        add_clean_wrapped(t, result->warnings[i], 11, 11);
        add_line_end(t);
    }
}

static void add_facts(Terminal *t, const Result *result) {
    Fact facts[FACTS_MAX];
    size_t n;
    t->status = result_facts(facts, &n, t->arena, result, t->flags);
    for (size_t i = 0; t->status == LIMN_OK && i < n; i++) {
        style_begin(t, STYLE_DIM);
        add_padded(t, facts[i].label, strlen(facts[i].label), 9, false);
        style_end(t);
        add_wrapped(t, facts[i].text, 9, 9);
        add_line_end(t);
    }
}

static void add_details(Terminal *t, const Result *result) {
    FactGroup groups[FACT_GROUPS];
    t->status = result_details(groups, t->arena, result, t->flags);
    for (size_t i = 0; t->status == LIMN_OK && i < FACT_GROUPS; i++) {
        if (groups[i].n == 0) {
            continue;
        }
        text_buffer_add_char(t->out, '\n');
        style_begin(t, STYLE_BOLD);
        text_buffer_add(t->out, groups[i].title);
        style_end(t);
        text_buffer_add_char(t->out, '\n');
        for (size_t j = 0; j < groups[i].n; j++) {
            const Fact *fact = &groups[i].facts[j];
            text_buffer_add(t->out, "  ");
            int width = text_width(fact->label, strlen(fact->label));
            add_padded(t, fact->label, strlen(fact->label), 18, false);
            if (width >= 18) {
                text_buffer_add_char(t->out, '\n');
                add_spaces(t, 20);
            }
            add_wrapped(t, fact->text, 20, 20);
            add_line_end(t);
        }
    }
}

/* One line that says how the figures were made. */
static void add_colophon(Terminal *t, const Result *result) {
    TextBuffer line = TEXT_BUFFER_INIT;
    const ResultProvenance *provenance = &result->provenance;
    const char *dot = pick(t, " · ", ", ");
    text_buffer_add(&line, "limn ");
    clean_text(&line, provenance->version, t->flags);
    const Text parts[] = {provenance->backend, provenance->compute};
    for (size_t i = 0; i < 2; i++) {
        if (parts[i].length > 0) {
            text_buffer_add(&line, dot);
            clean_text(&line, parts[i], t->flags);
        }
    }
    text_buffer_printf(&line, "%s%d thread%s%sseed %llu", dot, provenance->threads, provenance->threads == 1 ? "" : "s",
                       dot, (unsigned long long)provenance->seed);
    if (isfinite(result->measured.seconds)) {
        text_buffer_printf(&line, "%s%.2f s", dot, result->measured.seconds);
    }
    if (result->measured.peak_bytes > 0) {
        text_buffer_add(&line, dot);
        format_bytes(&line, result->measured.peak_bytes);
    }
    text_buffer_add_char(t->out, '\n');
    style_begin(t, STYLE_DIM);
    add_wrapped(t, line.data == NULL ? "" : line.data, 0, 0);
    add_line_end(t);
    t->out->failed = t->out->failed || line.failed;
    text_buffer_free(&line);
}

static void add_document(Terminal *t, const Result *result, bool details) {
    int name_width = check_name_width(result);
    if (result->headline.length > 0) {
        style_begin(t, STYLE_BOLD);
        add_clean_wrapped(t, result->headline, 0, 0);
        add_line_end(t);
    }
    add_verdicts(t, result, name_width);
    if (result->headline.length > 0 || result->n_warnings > 0) {
        text_buffer_add_char(t->out, '\n');
    }
    add_facts(t, result);
    for (int pass = 0; pass < (details ? 2 : 1); pass++) {
        for (int32_t i = 0; i < result->n_blocks && t->status == LIMN_OK; i++) {
            if (result->blocks[i].detail == (pass == 1)) {
                add_block(t, &result->blocks[i]);
            }
        }
    }
    if (result->n_checks > 0) {
        text_buffer_add_char(t->out, '\n');
        style_begin(t, STYLE_BOLD);
        text_buffer_add(t->out, "Checks");
        add_line_end(t);
        for (int32_t i = 0; i < result->n_checks; i++) {
            add_check(t, &result->checks[i], name_width);
        }
    }
    if (details && t->status == LIMN_OK) {
        add_details(t, result);
    }
    add_colophon(t, result);
}

limn_status render_terminal(TextBuffer *out, const Result *result, const RenderOptions *options) {
    Arena arena;
    arena_init(&arena);
    Terminal t = {.out = out,
                  .arena = &arena,
                  .width = options->width <= 0 ? WIDTH_DEFAULT : options->width,
                  .colour = options->colour,
                  .ascii = options->ascii};
    t.width = t.width < WIDTH_LEAST ? WIDTH_LEAST : t.width > WIDTH_MOST ? WIDTH_MOST : t.width;
    t.flags = options->ascii ? CLEAN_ASCII : 0;
    add_document(&t, result, options->details);
    arena_free(&arena);
    return t.status;
}
