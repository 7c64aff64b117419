/* Where a PDF differs from the record: in which page, by its objects. What it was set with (fonts, libraries) stands in
 * it, since with others of them the same record has other bytes. */
#include <stdlib.h>
#include <string.h>

#include "method/record/verify.h"

static const char *find(const char *bytes, size_t length, const char *what) {
    return memmem(bytes, length, what, strlen(what));
}

/* "/SetWith (Cairo 1.16.0, ...)"; absent: not written by limn. */
static Text setting_of(const char *bytes, size_t length) {
    static const char key[] = "/SetWith (";
    const char *begin = find(bytes, length, key);
    if (begin == NULL) {
        return (Text){NULL, 0};
    }
    begin += sizeof key - 1;
    const char *end = memchr(begin, ')', length - (size_t)(begin - bytes));
    return (Text){begin, end == NULL ? 0 : (size_t)(end - begin)};
}

static bool both_say_so(Text a, Text b) {
    return a.bytes != NULL && b.bytes != NULL && same_text(a, b);
}

/* The object that holds byte `at`: "12 0 obj" begins a line. 0: none does. */
static long object_at(const char *bytes, size_t at) {
    static const char word[] = " 0 obj\n";
    for (size_t i = at; i-- > 0;) {
        if (bytes[i] == '\n' && i + 1 < at) {
            char *end;
            long number = strtol(bytes + i + 1, &end, 10);
            if (end > bytes + i + 1 && strncmp(end, word, sizeof word - 1) == 0) {
                return number;
            }
        }
    }
    return 0;
}

/* Which page shows the object: pages are written in their order. 0: none by itself. */
static int64_t page_of(const char *bytes, size_t length, long object) {
    static const char key[] = "/Contents ";
    int64_t page = 0;
    const char *at = bytes, *end = bytes + length;
    while ((at = find(at, (size_t)(end - at), key)) != NULL) {
        at += sizeof key - 1;
        char *behind;
        long contents = strtol(at, &behind, 10);
        if (behind == at || strncmp(behind, " 0 R", 4) != 0) {
            continue; /* what an annotation says */
        }
        page++;
        if (contents == object) {
            return page;
        }
    }
    return 0;
}

limn_status verify_pdf(PageDifference *difference, const MethodCall *call, const char *expected, size_t wanted,
                       const char *bytes, size_t length, size_t at) {
    difference->other_setting = !both_say_so(setting_of(bytes, length), setting_of(expected, wanted));
    difference->unit = "page";
    difference->line = page_of(expected, wanted, object_at(expected, at < wanted ? at : wanted));
    bool outside = difference->line == 0;
    const char *found = arena_printf(
        call->arena, outside ? "other bytes from byte %zu on, beside the pages" : "another content (from byte %zu on)",
        at);
    difference->found = text_of(found);
    difference->expected = text_of("what the record looks like");
    return found == NULL ? method_no_memory(call) : LIMN_OK;
}
