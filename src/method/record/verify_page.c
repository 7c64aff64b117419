/* A page is held against the record: rendered again, byte for byte. What a page shows is what its readers believe, and
 * changing that leaves the record inside of it as it was. */
#include <string.h>

#include "method/record/verify.h"

static const char *const endings[][2] = {
#define FORMAT(name, ending, media_type, help) {#name, ending},
#include "result/formats.def"
#undef FORMAT
};

static const char *format_by_ending(const char *path) {
    const char *dot = strrchr(path, '.');
    for (size_t i = 0; dot != NULL && i < sizeof endings / sizeof endings[0]; i++) {
        if (strcmp(dot + 1, endings[i][1]) == 0) {
            return endings[i][0];
        }
    }
    return NULL;
}

static bool begins(const char *bytes, size_t length, const char *with) {
    size_t n = strlen(with);
    return length >= n && memcmp(bytes, with, n) == 0;
}

static const char *format_of(const char *path, const char *bytes, size_t length) {
    const char *format = format_by_ending(path);
    return format != NULL                            ? format
           : begins(bytes, length, "<!doctype html") ? "html"
           : begins(bytes, length, "<svg")           ? "svg"
           : begins(bytes, length, "%PDF-")          ? "pdf"
                                                     : "terminal";
}

bool verify_is_page(const char *path, const char *bytes, size_t length) {
    const char *format = format_of(path, bytes, length);
    return length > 0 && bytes[0] != '{' && strcmp(format, "json") != 0;
}

enum { SHOWN_BEFORE = 60, SHOWN_BEHIND = 100 };

static bool is_markup(const char *format) {
    return strcmp(format, "html") == 0 || strcmp(format, "svg") == 0;
}

static bool is_inside_character(char c) {
    return ((unsigned char)c & 0xC0) == 0x80;
}

/* Where the line of text that holds byte `at` begins: behind a tag or a line break. */
static size_t text_begin(const char *bytes, size_t at, bool markup) {
    size_t begin = at;
    while (begin > 0 && at - begin < SHOWN_BEFORE && bytes[begin - 1] != '\n' &&
           !(markup && (bytes[begin - 1] == '>' || bytes[begin] == '<'))) {
        begin--;
    }
    while (begin < at && is_inside_character(bytes[begin])) {
        begin++;
    }
    return begin;
}

static Text text_around(const MethodCall *call, const char *bytes, size_t length, size_t begin, bool markup) {
    bool tag = markup && begin < length && bytes[begin] == '<';
    size_t end = begin;
    while (end < length && end - begin < SHOWN_BEFORE + SHOWN_BEHIND && bytes[end] != '\n' &&
           !(markup && !tag && bytes[end] == '<')) {
        end++;
        if (tag && bytes[end - 1] == '>') {
            break;
        }
    }
    while (end > begin && end < length && is_inside_character(bytes[end])) {
        end--;
    }
    char *copy = arena_strndup(call->arena, bytes + begin, end - begin);
    return (Text){copy, copy == NULL ? 0 : end - begin};
}

static limn_status find_difference(PageDifference *difference, const MethodCall *call, const char *format,
                                   const TextBuffer *expected, const char *bytes, size_t length) {
    const char *wanted = expected->data == NULL ? "" : expected->data;
    size_t at = 0, least = length < expected->length ? length : expected->length;
    while (at < least && bytes[at] == wanted[at]) {
        at++;
    }
    difference->same = at == length && at == expected->length;
    if (difference->same) {
        return LIMN_OK;
    }
    if (strcmp(format, "pdf") == 0) {
        return verify_pdf(difference, call, wanted, expected->length, bytes, length, at);
    }
    difference->line = 1;
    for (size_t i = 0; i < at; i++) {
        difference->line += bytes[i] == '\n';
    }
    size_t begin = text_begin(at < expected->length ? wanted : bytes, at, is_markup(format));
    difference->found = text_around(call, bytes, length, begin, is_markup(format));
    difference->expected = text_around(call, wanted, expected->length, begin, is_markup(format));
    return difference->found.bytes == NULL || difference->expected.bytes == NULL ? method_no_memory(call) : LIMN_OK;
}

limn_status verify_page(PageDifference *difference, const MethodCall *call, const Result *recorded, const char *path,
                        const char *bytes, size_t length) {
    const char *format = format_of(path, bytes, length);
    *difference = (PageDifference){.path = path, .unit = "line"};
    if (call->registry->render == NULL) {
        return fail(LIMN_UNSUPPORTED, "%s: nothing here can render a result", path);
    }
    TextBuffer expected = TEXT_BUFFER_INIT;
    limn_status status = call->registry->render(&expected, recorded, format);
    if (status == LIMN_OK) {
        status = find_difference(difference, call, format, &expected, bytes, length);
    }
    text_buffer_free(&expected);
    return status;
}
