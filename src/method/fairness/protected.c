#include "method/fairness/protected.h"

#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/nearest.h"
#include "base/text_buffer.h"

enum { FILE_MOST = 16 << 20 };

static const char *const shipped_lines[] = {
#define LINE(text) text,
#include "method/fairness/protected_words.def"
#undef LINE
};

int32_t protected_category(const ProtectedLists *lists, int32_t word) {
    return lists->rows[lists->words[word].row].category;
}

/* ---- texts ---- */

static bool is_blank(char c) {
    return c == ' ' || c == '\t' || c == '\r';
}

static Text trimmed(const char *begin, const char *end) {
    while (begin < end && is_blank(*begin)) {
        begin++;
    }
    while (begin < end && is_blank(end[-1])) {
        end--;
    }
    return (Text){begin, (size_t)(end - begin)};
}

/* The part up to the sign, which *rest begins behind; all of it where there is no such sign. */
static Text part(Text *rest, char sign) {
    const char *end = rest->bytes + rest->length;
    const char *at = memchr(rest->bytes, sign, rest->length);
    Text found = trimmed(rest->bytes, at != NULL ? at : end);
    *rest = at != NULL ? (Text){at + 1, (size_t)(end - at - 1)} : (Text){NULL, 0};
    return found;
}

/* ---- reading ---- */

typedef struct Reader {
    ProtectedLists *lists;
    Arena *arena;
    const char *name;
    int line;
    int32_t category; /* begun last; -1: none */
} Reader;

static limn_status no_memory(void) {
    return fail(LIMN_NO_MEMORY, "no memory for lists of words");
}

/* Room for one more item of a list that doubles. */
static limn_status grow(void **items, int32_t n, int32_t *most, size_t size, Arena *arena) {
    if (n < *most) {
        return LIMN_OK;
    }
    int32_t more = *most == 0 ? 256 : 2 * *most;
    void *grown = arena_zalloc(arena, (size_t)more * size);
    if (grown == NULL) {
        return no_memory();
    }
    if (n > 0) {
        memcpy(grown, *items, (size_t)n * size);
    }
    *items = grown;
    *most = more;
    return LIMN_OK;
}

static limn_status copy(Text *out, const Reader *reader, Text text) {
    const char *bytes = arena_strndup(reader->arena, text.bytes, text.length);
    *out = (Text){bytes, text.length};
    return bytes != NULL ? LIMN_OK : no_memory();
}

/* "[category: side | side]" */
static limn_status read_category(Reader *reader, Text line) {
    ProtectedLists *lists = reader->lists;
    ProtectedCategory made = {.asked = true};
    bool closed = line.length > 2 && line.bytes[line.length - 1] == ']';
    Text rest = {line.bytes + 1, closed ? line.length - 2 : 0};
    Text name = closed ? part(&rest, ':') : (Text){NULL, 0};
    while (rest.bytes != NULL && made.n_sides < PROTECTED_SIDES) {
        made.sides[made.n_sides++] = part(&rest, '|');
    }
    bool whole = name.length > 0 && made.n_sides >= 2 && rest.bytes == NULL;
    for (int32_t s = 0; s < made.n_sides; s++) {
        whole = whole && made.sides[s].length > 0;
    }
    if (!whole) {
        return fail(LIMN_USAGE, "%s: line %d: found '%.60s', expected [category: side | side], with 2 to %d sides",
                    reader->name, reader->line, arena_strndup(reader->arena, line.bytes, line.length), PROTECTED_SIDES);
    }
    for (int32_t c = 0; c < lists->n_categories; c++) {
        if (!same_text(lists->categories[c].name, name)) {
            continue;
        }
        if (lists->categories[c].n_sides != made.n_sides) {
            return fail(LIMN_USAGE, "%s: line %d: '%.60s' has %d sides here, %d where it first stands", reader->name,
                        reader->line, lists->categories[c].name.bytes, (int)made.n_sides,
                        (int)lists->categories[c].n_sides);
        }
        reader->category = c;
        return LIMN_OK;
    }
    if (lists->n_categories == PROTECTED_CATEGORIES) {
        return fail(LIMN_USAGE, "%s: line %d: more than %d categories", reader->name, reader->line,
                    PROTECTED_CATEGORIES);
    }
    TRY(copy(&made.name, reader, name));
    for (int32_t s = 0; s < made.n_sides; s++) {
        TRY(copy(&made.sides[s], reader, made.sides[s]));
    }
    reader->category = lists->n_categories;
    lists->categories[lists->n_categories++] = made;
    return LIMN_OK;
}

/* A word stands on one side of its category alone, else nobody knows which version it is of. */
static limn_status check_side(const Reader *reader, const ProtectedWord *word) {
    const ProtectedLists *lists = reader->lists;
    for (int32_t w = 0; w < lists->n_words; w++) {
        const ProtectedWord *other = &lists->words[w];
        if (protected_category(lists, w) == reader->category && other->side != word->side &&
            other->before_word == word->before_word && same_text(other->text, word->text)) {
            return fail(LIMN_USAGE, "%s: line %d: '%.60s' stands on two sides of '%.60s', expected one", reader->name,
                        reader->line, word->text.bytes, lists->categories[reader->category].name.bytes);
        }
    }
    return LIMN_OK;
}

static limn_status add_word(Reader *reader, Text text, int32_t side, int32_t place) {
    ProtectedLists *lists = reader->lists;
    ProtectedWord made = {.row = lists->n_rows - 1, .side = side, .place = place};
    made.before_word = text.length > 1 && text.bytes[text.length - 1] == '+';
    text.length -= made.before_word ? 1 : 0;
    TRY(copy(&made.text, reader, text));
    TRY(check_side(reader, &made));
    TRY(grow((void **)&lists->words, lists->n_words, &lists->words_most, sizeof made, reader->arena));
    lists->words[lists->n_words++] = made;
    return LIMN_OK;
}

static limn_status read_cell(Reader *reader, ProtectedRow *row, Text cell, int32_t side) {
    row->first[side] = reader->lists->n_words;
    for (Text rest = cell; rest.bytes != NULL && cell.length > 0;) {
        Text word = part(&rest, ',');
        if (word.length == 0) {
            return fail(LIMN_USAGE, "%s: line %d: a word between two commas is missing", reader->name, reader->line);
        }
        TRY(add_word(reader, word, side, row->n[side]++));
    }
    return LIMN_OK;
}

/* "she | he": a cell for each side; one that is empty has no counterpart there. */
static limn_status read_row(Reader *reader, Text line) {
    ProtectedLists *lists = reader->lists;
    if (reader->category < 0) {
        return fail(LIMN_USAGE, "%s: line %d: words before any category, expected [category: side | side] first",
                    reader->name, reader->line);
    }
    int32_t n_sides = lists->categories[reader->category].n_sides, n = 1;
    for (size_t i = 0; i < line.length; i++) {
        n += line.bytes[i] == '|';
    }
    if (n != n_sides) {
        return fail(LIMN_USAGE, "%s: line %d: found %d cells, expected %d, one for each side of '%.60s'", reader->name,
                    reader->line, (int)n, (int)n_sides, lists->categories[reader->category].name.bytes);
    }
    TRY(grow((void **)&lists->rows, lists->n_rows, &lists->rows_most, sizeof *lists->rows, reader->arena));
    int32_t at = lists->n_rows++;
    ProtectedRow row = {.category = reader->category};
    lists->rows[at] = row;
    Text rest = line;
    for (int32_t s = 0; s < n_sides; s++) {
        TRY(read_cell(reader, &row, part(&rest, '|'), s));
    }
    lists->rows[at] = row;
    return LIMN_OK;
}

limn_status protected_parse(ProtectedLists *lists, Arena *arena, Text text, const char *name) {
    Reader reader = {.lists = lists, .arena = arena, .name = name, .category = -1};
    *lists = (ProtectedLists){.categories = ARENA_ARRAY(arena, ProtectedCategory, PROTECTED_CATEGORIES)};
    if (lists->categories == NULL) {
        return no_memory();
    }
    for (Text rest = text; rest.bytes != NULL;) {
        Text line = part(&rest, '\n');
        reader.line++;
        if (line.length == 0 || line.bytes[0] == '#') {
            continue;
        }
        TRY(line.bytes[0] == '[' ? read_category(&reader, line) : read_row(&reader, line));
    }
    return lists->n_words > 0
               ? LIMN_OK
               : fail(LIMN_USAGE, "%s: found no words, expected [category: side | side] and rows below", name);
}

limn_status protected_shipped(Text *text, Arena *arena) {
    TextBuffer out = TEXT_BUFFER_INIT;
    for (size_t i = 0; i < sizeof shipped_lines / sizeof shipped_lines[0]; i++) {
        text_buffer_add(&out, shipped_lines[i]);
        text_buffer_add_char(&out, '\n');
    }
    limn_status status = text_buffer_status(&out);
    if (status == LIMN_OK) {
        *text = (Text){arena_strndup(arena, out.data, out.length), out.length};
        status = text->bytes != NULL ? LIMN_OK : no_memory();
    }
    text_buffer_free(&out);
    return status;
}

static const char *category_at(const void *context, size_t index) {
    return ((const ProtectedLists *)context)->categories[index].name.bytes;
}

static limn_status ask(ProtectedLists *lists, const ParamTexts *asked) {
    for (int32_t c = 0; c < lists->n_categories && asked->n > 0; c++) {
        lists->categories[c].asked = false;
    }
    for (int32_t i = 0; i < asked->n; i++) {
        int32_t c = 0;
        while (c < lists->n_categories && !same_text(lists->categories[c].name, asked->items[i])) {
            c++;
        }
        if (c == lists->n_categories) {
            char near[256];
            nearest_names(near, sizeof near, NEAREST_USUAL, asked->items[i].bytes, category_at, lists,
                          (size_t)lists->n_categories);
            return fail(LIMN_USAGE, "option 'category': there is no '%.60s' in the lists; nearest: %s",
                        asked->items[i].bytes, near);
        }
        lists->categories[c].asked = true;
    }
    return LIMN_OK;
}

limn_status protected_read(ProtectedLists *lists, MethodCall *call, Text file, const ParamTexts *asked) {
    if (file.bytes == NULL) {
        Text text;
        TRY(protected_shipped(&text, call->arena));
        TRY(protected_parse(lists, call->arena, text, "the shipped lists"));
        return ask(lists, asked);
    }
    char *bytes;
    size_t length;
    TRY(file_read(&bytes, &length, file.bytes, FILE_MOST));
    limn_status status = protected_parse(lists, call->arena, (Text){bytes, length}, file.bytes);
    free(bytes);
    TRY(status);
    return ask(lists, asked);
}
