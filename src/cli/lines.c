#include "lines.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "terminal.h"

enum { LINE_MAX_BYTES = 1 << 20 };

/* The first line of what is pending, without its end; false: there is none yet. */
static bool take_line(Text *line, LineReader *reader) {
    Text *pending = &reader->pending;
    char *end = pending->length > 0 ? memchr(pending->data, '\n', pending->length) : NULL;
    if (end == NULL && !(reader->ended && pending->length > 0)) {
        return false;
    }
    size_t length = end != NULL ? (size_t)(end - pending->data) : pending->length;
    size_t used = length + (end != NULL ? 1 : 0);
    size_t kept = length > 0 && pending->data[length - 1] == '\r' ? length - 1 : length;
    text_add_bytes(line, pending->data, kept);
    memmove(pending->data, pending->data + used, pending->length - used);
    pending->length -= used;
    return true;
}

Reading read_line(Text *line, LineReader *reader) {
    char bytes[4096];
    while (!take_line(line, reader)) {
        if (reader->ended) {
            return READ_END;
        }
        ssize_t n = read(STDIN_FILENO, bytes, sizeof bytes);
        if (n < 0 && errno == EINTR) {
            reader->pending.length = 0;
            return READ_INTERRUPTED;
        }
        if (n < 0) {
            complain("standard input: %s", strerror(errno));
            return READ_FAILED;
        }
        reader->ended = n == 0;
        text_add_bytes(&reader->pending, bytes, (size_t)n);
        if (reader->pending.failed || reader->pending.length > LINE_MAX_BYTES) {
            complain("a line of more than %d bytes", LINE_MAX_BYTES);
            return READ_FAILED;
        }
    }
    return line->failed ? READ_FAILED : READ_LINE;
}
