/* Text for people at a terminal: the answer, what is doubtful about it, the figures, the checks. */
#include "render/terminal.h"

#include <math.h>
#include <string.h>

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

Text text_from(const TextBuffer *buffer) {
    return (Text){buffer->data == NULL ? "" : buffer->data, buffer->length};
}

const char *keep(Terminal *t, TextBuffer *buffer) {
    const char *text = buffer->failed ? NULL : arena_strndup(t->arena, text_from(buffer).bytes, buffer->length);
    text_buffer_free(buffer);
    if (text == NULL) {
        t->status = fail(LIMN_NO_MEMORY, "no memory to show a result");
        return "";
    }
    return text;
}

void *array(Terminal *t, size_t count, size_t size) {
    void *memory = size != 0 && count > SIZE_MAX / size ? NULL : arena_zalloc(t->arena, count * size);
    if (memory == NULL) {
        t->status = fail(LIMN_NO_MEMORY, "no memory to show a result");
    }
    return memory;
}

void trim_line(const Terminal *t) {
    while (!t->out->failed && t->out->length > 0 && t->out->data[t->out->length - 1] == ' ') {
        t->out->data[--t->out->length] = '\0';
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

/* Appends one line's text, runs of spaces as one; returns its columns. */
static int add_line(const Terminal *t, const char *text, size_t length) {
    int width = 0;
    for (size_t i = 0; i < length;) {
        size_t n = 0;
        while (i + n < length && text[i + n] != ' ' && text[i + n] != '\n') {
            n++;
        }
        text_buffer_add_bytes(t->out, text + i, n);
        width += text_width(text + i, n);
        i += n;
        bool gap = i < length;
        while (i < length && (text[i] == ' ' || text[i] == '\n')) {
            i++;
        }
        if (gap && i < length) {
            text_buffer_add_char(t->out, ' ');
            width++;
        }
    }
    return width;
}

int add_wrapped(const Terminal *t, const char *text, int column, int indent) {
    size_t left = strlen(text);
    bool space = false;
    while (left > 0) {
        if (*text == ' ' || *text == '\n') {
            space = true;
            text++;
            left--;
            continue;
        }
        int gap = space && column > indent ? 1 : 0;
        size_t length = line_break(text, left, t->width - column - gap, column <= indent);
        if (length == 0) {
            text_buffer_add_char(t->out, '\n');
            add_spaces(t, indent);
            column = indent;
            continue;
        }
        add_spaces(t, gap);
        column += gap + add_line(t, text, length);
        text += length;
        left -= length;
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

enum {
    OUTCOME_ROOM = 2, /* between an outcome and the check's name */
    MEANING_GAP = 3,
    MEANING_LEAST = 16 /* columns that a meaning needs to begin on the line */
};

/* Outcomes and names of a document's checks stand in columns. */
typedef struct CheckColumns {
    int outcome, name;
} CheckColumns;

static int width_of(const TextBuffer *text) {
    return text->data == NULL ? 0 : text_width(text->data, text->length);
}

static void pad_buffer(TextBuffer *text, int width) {
    for (int i = width_of(text); i < width; i++) {
        text_buffer_add_char(text, ' ');
    }
}

/* Beside the figures where there is room, else below them. */
static void add_meaning(Terminal *t, Text meaning, int column, int indent) {
    if (meaning.length == 0) {
        return;
    }
    bool beside = column + MEANING_GAP + MEANING_LEAST <= t->width;
    text_buffer_add(t->out, beside ? "" : "\n");
    add_spaces(t, beside ? MEANING_GAP : indent);
    style_begin(t, STYLE_DIM);
    add_clean_wrapped(t, meaning, beside ? column + MEANING_GAP : indent, indent);
}

static void add_check(Terminal *t, const ResultCheck *check, CheckColumns columns) {
    static const Style styles[] = {STYLE_GOOD, STYLE_BAD, STYLE_WARN};
    TextBuffer line = TEXT_BUFFER_INIT;
    CheckState outcome = check->state;
    format_outcome(&line, outcome, t->words, t->flags);
    pad_buffer(&line, columns.outcome + OUTCOME_ROOM);
    style_begin(t, styles[outcome]);
    text_buffer_add_bytes(t->out, line.data == NULL ? "" : line.data, line.length);
    style_end(t);
    t->out->failed = t->out->failed || line.failed;
    text_buffer_clear(&line);
    format_check_name(&line, check, t->words, t->flags);
    pad_buffer(&line, columns.name);
    int begin = columns.outcome + OUTCOME_ROOM, column = begin + width_of(&line) + 2;
    text_buffer_add_bytes(t->out, line.data == NULL ? "" : line.data, line.length);
    text_buffer_clear(&line);
    format_check(&line, check, t->words, t->flags);
    bool fits = column + width_of(&line) <= t->width;
    column = fits ? column : begin;
    text_buffer_add(t->out, fits ? "  " : "\n");
    add_spaces(t, fits ? 0 : begin);
    text_buffer_add_bytes(t->out, line.data == NULL ? "" : line.data, line.length);
    add_meaning(t, check->meaning, column + width_of(&line), begin + columns.name + 2);
    add_line_end(t);
    t->out->failed = t->out->failed || line.failed;
    text_buffer_free(&line);
}

static CheckColumns check_columns(const Terminal *t, const Result *result) {
    CheckColumns columns = {0, 0};
    for (int32_t i = 0; i < result->n_checks; i++) {
        TextBuffer text = TEXT_BUFFER_INIT;
        format_outcome(&text, result->checks[i].state, t->words, t->flags);
        columns.outcome = width_of(&text) > columns.outcome ? width_of(&text) : columns.outcome;
        text_buffer_clear(&text);
        format_check_name(&text, &result->checks[i], t->words, t->flags);
        columns.name = width_of(&text) > columns.name ? width_of(&text) : columns.name;
        t->out->failed = t->out->failed || text.failed;
        text_buffer_free(&text);
    }
    columns.name = columns.name > 30 ? 30 : columns.name;
    return columns;
}

static void add_heading(Terminal *t, const Block *block) {
    text_buffer_add_char(t->out, '\n');
    style_begin(t, STYLE_BOLD);
    int column = add_clean_wrapped(t, word_for_block(t->words, block), 0, 0);
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
    if (t->report && block->kind == BLOCK_TEXT && block->title.length == 0) {
        text_buffer_add_char(t->out, '\n'); /* a paragraph */
    } else if (block->kind != BLOCK_SECTION) {
        add_heading(t, block);
    }
    functions[block->kind](t, block);
    if (block->note.length > 0) {
        style_begin(t, STYLE_DIM);
        add_clean_wrapped(t, block->note, 0, 0);
        add_line_end(t);
    }
}

static void add_verdicts(Terminal *t, const Result *result, CheckColumns columns) {
    for (int32_t i = 0; i < result->n_checks; i++) {
        if (result->checks[i].state != CHECK_PASS) {
            add_check(t, &result->checks[i], columns);
        }
    }
    for (int32_t i = 0; i < result->n_warnings; i++) {
        style_begin(t, STYLE_WARN);
        text_buffer_printf(t->out, "! %s  ", t->words[WORD_WARNING]);
        style_end(t);
        int indent = 4 + text_width(t->words[WORD_WARNING], strlen(t->words[WORD_WARNING]));
        add_clean_wrapped(t, result->warnings[i], indent, indent);
        add_line_end(t);
    }
}

static void add_facts(Terminal *t, const Result *result) {
    Fact facts[FACTS_MAX];
    size_t n;
    t->status = result_facts(facts, &n, t->arena, result, t->words, t->flags);
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
    t->status = result_details(groups, t->arena, result, t->words, t->flags);
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
    text_buffer_add(&line, dot);
    text_buffer_printf(&line, t->words[provenance->threads == 1 ? WORD_ONE_THREAD : WORD_MANY_THREADS],
                       provenance->threads);
    text_buffer_printf(&line, "%s%s %llu", dot, t->words[WORD_SEED], (unsigned long long)provenance->seed);
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

/* A report in its own order; without details what stands in sections of detail stays out. */
static void add_report(Terminal *t, const Result *result, bool details) {
    t->report = true;
    int32_t hidden = SECTION_LEVELS + 1; /* the level of the section of detail that blocks stand in */
    for (int32_t i = 0; i < result->n_blocks && t->status == LIMN_OK; i++) {
        const Block *block = &result->blocks[i];
        if (block->kind == BLOCK_SECTION && ((const SectionBlock *)block->content)->level <= hidden) {
            hidden = block->detail ? ((const SectionBlock *)block->content)->level : SECTION_LEVELS + 1;
        }
        if (details || (hidden > SECTION_LEVELS && !block->detail)) {
            add_block(t, block);
        }
    }
}

static void add_blocks(Terminal *t, const Result *result, bool details) {
    for (int pass = 0; pass < (details ? 2 : 1); pass++) {
        for (int32_t i = 0; i < result->n_blocks && t->status == LIMN_OK; i++) {
            if (result->blocks[i].detail == (pass == 1)) {
                add_block(t, &result->blocks[i]);
            }
        }
    }
}

static void add_document(Terminal *t, const Result *result, bool details) {
    CheckColumns columns = check_columns(t, result);
    if (result->headline.length > 0) {
        style_begin(t, STYLE_BOLD);
        add_clean_wrapped(t, result->headline, 0, 0);
        add_line_end(t);
    }
    add_verdicts(t, result, columns);
    if (result->headline.length > 0 || result->n_warnings > 0) {
        text_buffer_add_char(t->out, '\n');
    }
    add_facts(t, result);
    if (result_has_sections(result)) {
        add_report(t, result, details);
    } else {
        add_blocks(t, result, details);
    }
    if (result->n_checks > 0) {
        text_buffer_add_char(t->out, '\n');
        style_begin(t, STYLE_BOLD);
        text_buffer_add(t->out, t->words[WORD_CHECKS]);
        add_line_end(t);
        for (int32_t i = 0; i < result->n_checks; i++) {
            add_check(t, &result->checks[i], columns);
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
                  .ascii = options->ascii,
                  .words = words_in(options->ascii ? NULL : options->language)}; /* ASCII has English alone */
    t.width = t.width < WIDTH_LEAST ? WIDTH_LEAST : t.width > WIDTH_MOST ? WIDTH_MOST : t.width;
    t.flags = options->ascii ? CLEAN_ASCII : 0;
    add_document(&t, result, options->details);
    arena_free(&arena);
    return t.status;
}
