#include "render/format.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include <utf8proc.h>

#include "base/utf8.h"

/* ---- text ---- */

int codepoint_width(uint32_t codepoint) {
    return utf8proc_charwidth((utf8proc_int32_t)codepoint);
}

int text_width(const char *text, size_t length) {
    int width = 0;
    for (size_t i = 0; i < length;) {
        uint32_t codepoint;
        bool valid;
        i += utf8_read(text + i, length - i, &codepoint, &valid);
        width += codepoint_width(codepoint);
    }
    return width;
}

/* Characters that change how others are shown, or are not shown themselves. */
static bool hides(uint32_t codepoint) {
    switch (utf8proc_category((utf8proc_int32_t)codepoint)) {
    case UTF8PROC_CATEGORY_CC:
    case UTF8PROC_CATEGORY_CS:
    case UTF8PROC_CATEGORY_CN:
    case UTF8PROC_CATEGORY_ZL:
    case UTF8PROC_CATEGORY_ZP:
        return true;
    case UTF8PROC_CATEGORY_CF:
        return codepoint != 0x200D && codepoint != 0x200C; /* joiners: letters and emoji need them */
    default:
        return codepoint == 0xFFFE || codepoint == 0xFFFF;
    }
}

static void clean_codepoint(TextBuffer *out, uint32_t codepoint, unsigned flags) {
    bool ascii = (flags & CLEAN_ASCII) != 0;
    if (codepoint == '\n' || codepoint == '\t') {
        if (flags & CLEAN_LINES) {
            text_buffer_add_char(out, (char)codepoint);
        } else if (ascii) {
            text_buffer_add(out, codepoint == '\n' ? "\\n" : "\\t");
        } else {
            text_buffer_add(out, codepoint == '\n' ? "⏎" : "⇥");
        }
    } else if (codepoint < 0x20 || codepoint == 0x7F) {
        text_buffer_printf(out, "\\x%02x", (unsigned)codepoint);
    } else if (codepoint >= 0x80 && (ascii || hides(codepoint))) {
        text_buffer_printf(out, "\\u{%x}", (unsigned)codepoint);
    } else {
        text_buffer_add_codepoint(out, codepoint);
    }
}

static bool end_space(Text text, size_t at) {
    size_t i = 0;
    while (i < text.length && text.bytes[i] == ' ') {
        i++;
    }
    if (at < i) {
        return true;
    }
    for (i = text.length; i > 0 && text.bytes[i - 1] == ' ';) {
        i--;
    }
    return at >= i;
}

/* Appends the character at `at`; returns how many bytes it took. */
static size_t clean_step(TextBuffer *out, Text text, size_t at, unsigned flags) {
    if ((flags & CLEAN_SPACES) && text.bytes[at] == ' ' && end_space(text, at)) {
        text_buffer_add(out, flags & CLEAN_ASCII ? "_" : "␣");
        return 1;
    }
    uint32_t codepoint;
    bool valid;
    size_t taken = utf8_read(text.bytes + at, text.length - at, &codepoint, &valid);
    if (valid) {
        clean_codepoint(out, codepoint, flags);
    } else {
        for (size_t i = 0; i < taken; i++) {
            text_buffer_printf(out, "\\x%02X", (unsigned)(unsigned char)text.bytes[at + i]);
        }
    }
    return taken;
}

void clean_text(TextBuffer *out, Text text, unsigned flags) {
    for (size_t i = 0; i < text.length;) {
        i += clean_step(out, text, i, flags);
    }
}

/* Whether what a reader takes for one character may end between two code points; walks on. *last 0: at the start. */
static bool ends_character(uint32_t *last, utf8proc_int32_t *state, uint32_t codepoint) {
    bool ends =
        *last != 0 && utf8proc_grapheme_break_stateful((utf8proc_int32_t)*last, (utf8proc_int32_t)codepoint, state);
    *last = codepoint;
    return ends;
}

void clean_text_cut(TextBuffer *out, Text text, unsigned flags, int width) {
    const char *ellipsis = flags & CLEAN_ASCII ? "..." : "…";
    int reserve = flags & CLEAN_ASCII ? 3 : 1;
    size_t start = out->length, fits = out->length; /* fits: where the text may be cut for the ellipsis */
    int used = 0;
    uint32_t last = 0;
    utf8proc_int32_t state = 0;
    for (size_t i = 0; i < text.length;) {
        size_t before = out->length;
        uint32_t codepoint;
        bool valid;
        utf8_read(text.bytes + i, text.length - i, &codepoint, &valid);
        if (ends_character(&last, &state, codepoint) && used <= width - reserve) {
            fits = before;
        }
        i += clean_step(out, text, i, flags);
        if (out->failed) {
            return;
        }
        used += text_width(out->data + before, out->length - before);
        if (used > width) {
            out->length = fits > start || reserve <= width ? fits : start;
            out->data[out->length] = '\0';
            text_buffer_add(out, ellipsis);
            return;
        }
    }
}

static bool is_gap(uint32_t codepoint) {
    return codepoint == ' ' || codepoint == '\n';
}

/* Punctuation that stays with what stands before it, and with what follows it. */
static bool closes(uint32_t c) {
    static const uint32_t signs[] = {0x2019, 0x201D, 0x2026, 0x3001, 0x3002, 0x300B, 0x300D, 0x300F, 0x3011,
                                     0xFF01, 0xFF05, 0xFF09, 0xFF0C, 0xFF0E, 0xFF1A, 0xFF1B, 0xFF1F, 0xFF3D};
    for (size_t i = 0; i < sizeof signs / sizeof *signs; i++) {
        if (c == signs[i]) {
            return true;
        }
    }
    return c < 0x80 && strchr(")]},.:;!?%\"'", (int)c) != NULL;
}

static bool opens(uint32_t c) {
    return c == '(' || c == '[' || c == '{' || c == 0x2018 || c == 0x201C || c == 0x300A || c == 0x300C ||
           c == 0x300E || c == 0x3010 || c == 0xFF08 || c == 0xFF3B;
}

static bool may_break(uint32_t before, uint32_t after) {
    bool wide = codepoint_width(before) == 2 || codepoint_width(after) == 2;
    return is_gap(after) || (wide && !closes(after) && !opens(before));
}

size_t line_break(const char *text, size_t length, int width, bool force) {
    size_t end = 0, whole = 0; /* where the line may end; where it may be cut */
    int used = 0;
    uint32_t last = 0;
    utf8proc_int32_t state = 0;
    for (size_t at = 0; at < length;) {
        uint32_t before = last, codepoint;
        bool valid;
        size_t taken = utf8_read(text + at, length - at, &codepoint, &valid);
        if (ends_character(&last, &state, codepoint)) {
            whole = at;
            end = may_break(before, codepoint) ? at : end;
        }
        used += codepoint_width(codepoint);
        if (used > width && !is_gap(codepoint) && (end > 0 || whole > 0 || !force)) {
            return end > 0 || !force ? end : whole;
        }
        at += taken;
    }
    return length;
}

int longest_piece(const char *text) {
    int longest = 0, used = 0;
    uint32_t last = 0;
    utf8proc_int32_t state = 0;
    for (size_t at = 0, length = strlen(text); at < length;) {
        uint32_t before = last, codepoint;
        bool valid;
        size_t taken = utf8_read(text + at, length - at, &codepoint, &valid);
        bool apart = ends_character(&last, &state, codepoint) && may_break(before, codepoint);
        used = apart ? 0 : used;
        used += is_gap(codepoint) ? 0 : codepoint_width(codepoint);
        longest = used > longest ? used : longest;
        at += taken;
    }
    return longest;
}

/* ---- numbers ---- */

static const char *const none = "-";

void format_number(TextBuffer *out, double value) {
    double size = fabs(value);
    if (!isfinite(value)) {
        text_buffer_add(out, none);
    } else if (size != 0 && (size >= 1e6 || size < 1e-4)) {
        text_buffer_printf(out, "%.3g", value);
    } else if (size >= 1000) {
        text_buffer_printf(out, value == floor(value) ? "%.0f" : "%.1f", value);
    } else {
        text_buffer_printf(out, "%.4g", value == 0 ? 0.0 : value);
    }
}

void format_signed(TextBuffer *out, double value) {
    if (value > 0 && isfinite(value)) {
        text_buffer_add_char(out, '+');
    }
    format_number(out, value);
}

void format_percent(TextBuffer *out, double fraction) {
    double percent = fraction * 100, size = fabs(percent);
    if (!isfinite(percent)) {
        text_buffer_add(out, none);
    } else if (size != 0 && size < 0.1) {
        text_buffer_printf(out, "%.2g%%", percent);
    } else if (size > 99.9 && size < 100) {
        text_buffer_printf(out, "%.2f%%", percent);
    } else {
        text_buffer_printf(out, "%.1f%%", percent);
    }
}

void format_share(TextBuffer *out, double share) {
    if (share > 0 && isfinite(share)) {
        text_buffer_add_char(out, '+');
    }
    if (isfinite(share) && fabs(share) < 0.0005) {
        text_buffer_add(out, "0.0%");
    } else {
        format_percent(out, share);
    }
}

void format_bytes(TextBuffer *out, int64_t bytes) {
    static const char *const units[] = {"bytes", "KiB", "MiB", "GiB", "TiB"};
    double value = (double)bytes;
    size_t unit = 0;
    while (value >= 1024 && unit + 1 < sizeof units / sizeof *units) {
        value /= 1024;
        unit++;
    }
    text_buffer_printf(out, unit == 0 ? "%.0f %s" : "%.1f %s", value, units[unit]);
}

void format_score(TextBuffer *out, double score, double scale, bool is_signed) {
    if (!isfinite(score)) {
        text_buffer_add(out, none);
        return;
    }
    int decimals = 2 - (int)floor(log10(scale));
    decimals = decimals < 0 ? 0 : decimals > 9 ? 9 : decimals;
    char text[400];
    snprintf(text, sizeof text, is_signed ? "%+.*f" : "%.*f", decimals, score);
    text_buffer_add(out, strpbrk(text, "123456789") == NULL ? "0" : text);
}

double cell_number(const Value *value) {
    switch (value->kind) {
    case VALUE_INTEGER:
        return (double)value->integer;
    case VALUE_NUMBER:
        return value->number;
    default:
        return (double)NAN;
    }
}

bool table_column_right(const TableBlock *table, int32_t column) {
    if (table->columns[column].kind != COLUMN_VALUE) {
        return column_kind_right(table->columns[column].kind);
    }
    for (int32_t row = 0; row < table->n_rows; row++) {
        ValueKind kind = table_cell(table, row, column)->kind;
        if (kind != VALUE_INTEGER && kind != VALUE_NUMBER && kind != VALUE_NULL) {
            return false;
        }
    }
    return true;
}

/* ---- bars ---- */

bool column_has_bars(const TableBlock *table, int32_t column) {
    ColumnKind kind = table->columns[column].kind;
    return kind == COLUMN_SHARE || kind == COLUMN_BAR;
}

static bool is_called(const TableBlock *table, int32_t column, const char *word) {
    if (column >= table->n_columns) {
        return false;
    }
    const Text name = table->columns[column].name;
    size_t length = strlen(word);
    return name.length >= length && memcmp(name.bytes + name.length - length, word, length) == 0 &&
           (name.length == length || name.bytes[name.length - length - 1] == ' ');
}

bool bars_interval(const Bars *bars, const TableBlock *table, int32_t row, double *low, double *high) {
    *low = bars->low < 0 ? (double)NAN : cell_number(table_cell(table, row, bars->low));
    *high = bars->high < 0 ? (double)NAN : cell_number(table_cell(table, row, bars->high));
    return isfinite(*low) && isfinite(*high);
}

static void take_end(Bars *bars, double value) {
    if (isfinite(value)) {
        bars->scale = fmax(bars->scale, fabs(value));
        bars->two_sided = bars->two_sided || value < 0;
    }
}

Bars table_bars(const TableBlock *table, int32_t column, int32_t rows) {
    bool intervals =
        column_has_bars(table, column) && is_called(table, column + 1, "low") && is_called(table, column + 2, "high");
    Bars bars = {0, false, intervals ? column + 1 : -1, intervals ? column + 2 : -1};
    for (int32_t row = 0; row < rows; row++) {
        double low, high;
        take_end(&bars, cell_number(table_cell(table, row, column)));
        if (bars_interval(&bars, table, row, &low, &high)) {
            take_end(&bars, low);
            take_end(&bars, high);
        }
    }
    bars.scale = bars.scale > 0 ? bars.scale : 1;
    return bars;
}

static void format_plain(TextBuffer *out, const Value *value, Words words, unsigned flags) {
    switch (value->kind) {
    case VALUE_NULL:
        text_buffer_add(out, none);
        return;
    case VALUE_BOOL:
        text_buffer_add(out, words[value->boolean ? WORD_YES : WORD_NO]);
        return;
    case VALUE_INTEGER:
        text_buffer_printf(out, "%lld", (long long)value->integer);
        return;
    case VALUE_NUMBER:
        format_number(out, value->number);
        return;
    case VALUE_TEXT:
        clean_text(out, value->text, flags);
        return;
    case VALUE_LIST:
        for (size_t i = 0; i < value->count; i++) {
            text_buffer_add(out, i == 0 ? "" : ", ");
            format_plain(out, &value->items[i], words, flags);
        }
        return;
    case VALUE_OBJECT:
        for (size_t i = 0; i < value->count; i++) {
            text_buffer_add(out, i == 0 ? "" : ", ");
            clean_text(out, text_of(value->fields[i].name), flags);
            text_buffer_add(out, "=");
            format_plain(out, &value->fields[i].value, words, flags);
        }
        return;
    }
}

bool column_kind_wraps(ColumnKind kind) {
    return kind == COLUMN_TEXT || kind == COLUMN_NAME || kind == COLUMN_VALUE;
}

void format_cell(TextBuffer *out, ColumnKind kind, const Value *value, Words words, unsigned flags) {
    double number = cell_number(value);
    if ((kind == COLUMN_SIGNED || kind == COLUMN_BAR) && isfinite(number)) {
        format_signed(out, number);
    } else if (kind == COLUMN_PROBABILITY && isfinite(number)) {
        format_percent(out, number);
    } else if (kind == COLUMN_SHARE && isfinite(number)) {
        format_share(out, number);
    } else if (kind == COLUMN_NAME && value->kind == VALUE_TEXT) {
        clean_text(out, word_for_cell(words, value->text), flags);
    } else {
        format_plain(out, value, words, kind == COLUMN_TOKEN ? flags | CLEAN_SPACES : flags);
    }
}

void format_check_name(TextBuffer *out, const ResultCheck *check, Words words, unsigned flags) {
    clean_text(out, word_for_name(words, check->name), flags);
    if (check->advisory) {
        text_buffer_printf(out, " (%s)", words[WORD_ADVISORY]);
    }
}

void format_outcome(TextBuffer *out, CheckState outcome, Words words, unsigned flags) {
    static const char *const signs[] = {"✓", "✗", "?"};
    static const WordId ids[] = {WORD_PASS, WORD_FAIL, WORD_INCONCLUSIVE};
    if (flags & CLEAN_ASCII) {
        text_buffer_printf(out, "[%s]", words[ids[outcome]]);
    } else {
        text_buffer_printf(out, "%s %s", signs[outcome], words[ids[outcome]]);
    }
}

void format_check(TextBuffer *out, const ResultCheck *check, Words words, unsigned flags) {
    static const char *const signs[] = {"≤", "≥", "<", ">"}, *const ascii_signs[] = {"<=", ">=", "<", ">"};
    text_buffer_printf(out, "%s ", words[WORD_FOUND]);
    format_number(out, check->value);
    text_buffer_printf(out, "%s%s %s ", words[WORD_COMMA], words[WORD_EXPECTED],
                       (flags & CLEAN_ASCII ? ascii_signs : signs)[check->kind]);
    format_number(out, check->limit);
}

/* ---- scales and pieces ---- */

static double positive(double scale) {
    return isfinite(scale) && scale > 0 ? scale : 1;
}

static double largest_score(double scale, double score) {
    return isfinite(score) && fabs(score) > scale ? fabs(score) : scale;
}

double tokens_scale(const TokensBlock *block) {
    double scale = isfinite(block->scale) ? block->scale : 0;
    for (int32_t i = 0; i < block->n && !isfinite(block->scale); i++) {
        scale = largest_score(scale, block->items[i].score);
    }
    return positive(scale);
}

double matrix_scale(const MatrixBlock *block) {
    double scale = 0;
    size_t n = (size_t)block->n_rows * (size_t)block->n_columns;
    for (size_t i = 0; i < n; i++) {
        scale = largest_score(scale, block->values[i]);
    }
    return positive(scale);
}

double matrix_digits(const MatrixBlock *block, double scale) {
    const double no_decimals = 100;
    size_t n = (size_t)block->n_rows * (size_t)block->n_columns;
    bool counts = !block->is_signed && scale >= 1;
    for (size_t i = 0; i < n && counts; i++) {
        counts = block->values[i] == floor(block->values[i]);
    }
    return counts ? fmax(scale, no_decimals) : scale;
}

static limn_status join_items(Piece *piece, Arena *arena, const TokensBlock *block) {
    size_t length = 0;
    bool scored = false;
    for (int32_t i = piece->begin; i < piece->end; i++) {
        length += block->items[i].bytes.length;
    }
    char *bytes = arena_alloc(arena, length + 1);
    if (bytes == NULL) {
        return fail(LIMN_NO_MEMORY, "no memory to show %d tokens", block->n);
    }
    piece->text = (Text){bytes, length};
    piece->state = piece->begin < piece->end ? block->items[piece->begin].state : TOKEN_SCORED;
    for (int32_t i = piece->begin; i < piece->end; i++) {
        const TokenItem *item = &block->items[i];
        if (item->bytes.length > 0) {
            memcpy(bytes, item->bytes.bytes, item->bytes.length);
        }
        bytes += item->bytes.length;
        scored = scored || item->state == TOKEN_SCORED;
    }
    *bytes = '\0';
    if (scored) {
        piece->state = TOKEN_SCORED;
    }
    return LIMN_OK;
}

limn_status pieces_of(Pieces *pieces, Arena *arena, const TokensBlock *block, const char *grouping) {
    const TokenGrouping *groups = tokens_grouping(block, grouping == NULL ? block->shown : grouping);
    int32_t n = groups == NULL ? block->n : groups->n;
    *pieces = (Pieces){ARENA_ARRAY(arena, Piece, n), 0, (double)NAN};
    if (pieces->items == NULL) {
        return fail(LIMN_NO_MEMORY, "no memory to show %d tokens", block->n);
    }
    double scale = 0;
    for (int32_t i = 0; i < n; i++) {
        Piece *piece = &pieces->items[i];
        if (groups == NULL) {
            const TokenItem *item = &block->items[i];
            *piece = (Piece){item->bytes, item->score, item->spread, item->state, i, i + 1};
        } else {
            const TokenGroup *group = &groups->groups[i];
            *piece = (Piece){{NULL, 0}, group->score, group->spread, TOKEN_SCORED, group->begin, group->end};
            TRY(join_items(piece, arena, block));
        }
        scale = largest_score(scale, piece->score);
    }
    pieces->n = n;
    pieces->scale = groups == NULL ? tokens_scale(block) : positive(scale);
    return LIMN_OK;
}
