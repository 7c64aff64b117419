#include "files/record_bytes.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { FIRST_WINDOW = 256 << 10 };

/* Reads more behind what is there. False in *more: the file has ended. */
static limn_status read_more(RecordBytes *source, bool *more) {
    *more = false;
    if (source->ended) {
        return LIMN_OK;
    }
    if (source->begin > 0) {
        memmove(source->window, source->window + source->begin, source->end - source->begin);
        source->end -= source->begin;
        source->begin = 0;
    }
    if (source->end == source->capacity) {
        size_t larger = source->capacity == 0 ? FIRST_WINDOW : source->capacity * 2;
        larger = larger < source->most + 4 ? larger : source->most + 4; /* room for a line end and a byte after it */
        if (larger <= source->capacity) {
            return fail(LIMN_FORMAT, "%s: line %lld: longer than %zu bytes, the most that a record may have",
                        source->path, (long long)source->line, source->most);
        }
        char *grown = realloc(source->window, larger);
        if (grown == NULL) {
            return fail(LIMN_NO_MEMORY, "%s: line %lld: no memory for %zu bytes", source->path, (long long)source->line,
                        larger);
        }
        source->window = grown;
        source->capacity = larger;
    }
    for (;;) {
        ssize_t got = read(source->descriptor, source->window + source->end, source->capacity - source->end);
        if (got >= 0) {
            source->end += (size_t)got;
            source->ended = got == 0;
            *more = got > 0;
            return LIMN_OK;
        }
        if (errno != EINTR) {
            return fail(LIMN_IO, "%s: cannot read: %s", source->path, strerror(errno));
        }
        TRY(progress_tick(source->progress, "read", source->offset, 0));
    }
}

static limn_status skip_mark(RecordBytes *source) {
    bool more = true;
    while (more && source->end < 4) {
        TRY(read_more(source, &more));
    }
    const char *bytes = source->window;
    if (source->end >= 3 && memcmp(bytes, "\xEF\xBB\xBF", 3) == 0) {
        source->begin = 3;
        source->offset = 3;
    } else if (source->end >= 2 && (memcmp(bytes, "\xFF\xFE", 2) == 0 || memcmp(bytes, "\xFE\xFF", 2) == 0)) {
        return fail(LIMN_FORMAT, "%s: the text is UTF-16 or UTF-32; expected UTF-8 (iconv -f UTF-16 -t UTF-8)",
                    source->path);
    }
    return LIMN_OK;
}

limn_status record_bytes_open(RecordBytes *source, const char *path, size_t most, const Progress *progress) {
    *source = (RecordBytes){.descriptor = -1, .most = most, .line = 1, .size = -1, .progress = progress};
    source->path = strdup(path);
    if (source->path == NULL) {
        return fail(LIMN_NO_MEMORY, "%s: opening it", path);
    }
    source->descriptor = open(path, O_RDONLY | O_CLOEXEC);
    if (source->descriptor < 0) {
        bool absent = errno == ENOENT || errno == ENOTDIR;
        return fail(absent ? LIMN_NOT_FOUND : LIMN_IO, "%s: cannot open: %s", path, strerror(errno));
    }
    struct stat info;
    if (fstat(source->descriptor, &info) == 0) {
        if (S_ISDIR(info.st_mode)) {
            return fail(LIMN_FORMAT, "%s: is a folder, expected a file of records", path);
        }
        source->size = S_ISREG(info.st_mode) ? (int64_t)info.st_size : -1;
    }
    return skip_mark(source);
}

void record_bytes_close(RecordBytes *source) {
    if (source->path != NULL && source->descriptor >= 0) {
        close(source->descriptor);
    }
    free(source->path);
    free(source->window);
    *source = (RecordBytes){.descriptor = -1};
}

/* Bytes of the record that begins the window, its '\n' included; all there is when the file ends without one. */
static limn_status find_end(RecordBytes *source, bool quoted, size_t *length) {
    size_t looked = 0;
    bool inside = false;
    for (;;) {
        const char *bytes = source->window + source->begin;
        size_t there = source->end - source->begin;
        while (looked < there) {
            const char *newline = memchr(bytes + looked, '\n', there - looked);
            size_t stop = newline != NULL ? (size_t)(newline - bytes) : there;
            for (const char *quote = bytes + looked; quoted && quote < bytes + stop; quote++) {
                quote = memchr(quote, '"', (size_t)(bytes + stop - quote));
                if (quote == NULL) {
                    break;
                }
                inside = !inside;
            }
            looked = newline != NULL ? stop + 1 : stop;
            if (newline != NULL && !inside) {
                *length = looked;
                return LIMN_OK;
            }
        }
        bool more;
        TRY(read_more(source, &more));
        if (!more) {
            *length = there;
            return LIMN_OK;
        }
    }
}

static int64_t count_lines(const char *bytes, size_t length) {
    int64_t lines = 0;
    for (const char *at = bytes; (at = memchr(at, '\n', (size_t)(bytes + length - at))) != NULL; at++) {
        lines++;
    }
    return lines;
}

limn_status record_bytes_next(RecordBytes *source, bool quoted, char **bytes, size_t *length, int64_t *line) {
    *bytes = NULL;
    *length = 0;
    *line = source->line;
    size_t whole;
    TRY(find_end(source, quoted, &whole));
    if (whole == 0) {
        return LIMN_OK;
    }
    char *record = source->window + source->begin;
    size_t n = whole;
    n -= record[n - 1] == '\n';
    n -= n < whole && n > 0 && record[n - 1] == '\r';
    if (n > source->most) {
        return fail(LIMN_FORMAT, "%s: line %lld: longer than %zu bytes, the most that a record may have", source->path,
                    (long long)source->line, source->most);
    }
    source->line += count_lines(record, whole);
    source->offset += (int64_t)whole;
    source->begin += whole;
    *bytes = record;
    *length = n;
    return LIMN_OK;
}

/* ---- elements of an array ---- */

/* The byte so far behind what was given out; -1: the file has ended. */
static limn_status peek(RecordBytes *source, size_t ahead, int *byte) {
    while (source->end - source->begin <= ahead) {
        bool more;
        TRY(read_more(source, &more));
        if (!more) {
            *byte = -1;
            return LIMN_OK;
        }
    }
    *byte = (unsigned char)source->window[source->begin + ahead];
    return LIMN_OK;
}

static bool is_blank(int byte) {
    return byte == ' ' || byte == '\t' || byte == '\r' || byte == '\n';
}

static void pass_over(RecordBytes *source, size_t n) {
    source->line += count_lines(source->window + source->begin, n);
    source->begin += n;
    source->offset += (int64_t)n;
}

/* *byte: the first that is no blank, not passed over. */
static limn_status skip_blanks(RecordBytes *source, int *byte) {
    TRY(peek(source, 0, byte));
    while (is_blank(*byte)) {
        pass_over(source, 1);
        TRY(peek(source, 0, byte));
    }
    return LIMN_OK;
}

static limn_status unexpected(const RecordBytes *source, int byte, const char *expected) {
    char found[8] = "the end";
    if (byte >= 0) {
        found[0] = byte >= 0x20 && byte < 0x7F ? (char)byte : '?';
        found[1] = '\0';
    }
    return fail(LIMN_FORMAT, "%s: line %lld: found %s%s%s, expected %s", source->path, (long long)source->line,
                byte < 0 ? "" : "'", found, byte < 0 ? "" : "'", expected);
}

limn_status record_bytes_begin_array(RecordBytes *source, bool *array) {
    int byte;
    TRY(skip_blanks(source, &byte));
    *array = byte == '[';
    source->in_array = *array;
    if (*array) {
        pass_over(source, 1);
    }
    return LIMN_OK;
}

/* Bytes of the element that begins the window: to its closing bracket, or to the next comma, blank or bracket. */
static limn_status find_element_end(RecordBytes *source, size_t *length) {
    size_t depth = 0;
    bool in_string = false;
    for (size_t at = 0;; at++) {
        int byte;
        TRY(peek(source, at, &byte));
        if (byte < 0) {
            return unexpected(source, byte, "an end of the record that begins here, and of the array");
        }
        if (in_string) {
            in_string = byte != '"';
            at += byte == '\\';
            continue;
        }
        bool closes = byte == '}' || byte == ']';
        if (depth == 0 && at > 0 && (closes || byte == ',' || is_blank(byte))) {
            *length = at;
            return LIMN_OK;
        }
        in_string = byte == '"';
        depth += byte == '{' || byte == '[';
        depth -= closes && depth > 0;
        if (closes && depth == 0) {
            *length = at + 1;
            return LIMN_OK;
        }
    }
}

/* To the first byte of the next element, or past the end of the array. */
static limn_status go_to_element(RecordBytes *source, int *byte) {
    TRY(skip_blanks(source, byte));
    if (*byte == ']') {
        pass_over(source, 1);
        source->closed = true;
        TRY(skip_blanks(source, byte));
        return *byte < 0 ? LIMN_OK : unexpected(source, *byte, "nothing behind the array");
    }
    if (source->elements > 0) {
        if (*byte != ',') {
            return unexpected(source, *byte, "a comma or ] between the records of an array");
        }
        pass_over(source, 1);
        TRY(skip_blanks(source, byte));
    }
    bool none = *byte < 0 || *byte == ',' || *byte == ']' || *byte == '}';
    return none ? unexpected(source, *byte, "a record") : LIMN_OK;
}

limn_status record_bytes_next_element(RecordBytes *source, char **bytes, size_t *length, int64_t *line) {
    int byte;
    *bytes = NULL;
    *length = 0;
    if (!source->closed) {
        TRY(go_to_element(source, &byte));
    }
    *line = source->line;
    if (source->closed) {
        return LIMN_OK;
    }
    size_t whole;
    TRY(find_element_end(source, &whole));
    if (whole > source->most) {
        return fail(LIMN_FORMAT, "%s: line %lld: longer than %zu bytes, the most that a record may have", source->path,
                    (long long)source->line, source->most);
    }
    char *record = source->window + source->begin;
    pass_over(source, whole);
    source->elements++;
    *bytes = record;
    *length = whole;
    return LIMN_OK;
}
