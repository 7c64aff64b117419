#include "base/error.h"

#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

static _Thread_local ErrorState current;

static const struct {
    const char *name;
    int exit_code;
    const char *meaning;
} rows[] = {
#define ROW(name, exit_code, meaning) {#name, exit_code, meaning},
    LIMN_STATUSES(ROW)
#undef ROW
};

/* Bytes of the UTF-8 character at `text`, 0 when there is none (broken, too long a form, a surrogate). */
static size_t character_bytes(const unsigned char *text) {
    size_t bytes = text[0] < 0x80 ? 1 : text[0] < 0xC2 ? 0 : text[0] < 0xE0 ? 2 : text[0] < 0xF0 ? 3 : 4;
    for (size_t i = 1; i < bytes; i++) {
        if ((text[i] & 0xC0) != 0x80) { /* the closing NUL stops here too */
            return 0;
        }
    }
    bool wrong = (text[0] == 0xE0 && text[1] < 0xA0) || (text[0] == 0xED && text[1] > 0x9F) ||
                 (text[0] == 0xF0 && text[1] < 0x90) || (text[0] == 0xF4 && text[1] > 0x8F) || text[0] > 0xF4;
    return wrong ? 0 : bytes;
}

/* One line of UTF-8 on a terminal, whatever bytes a hostile file put into a name: control characters (C1 too, which
 * some terminals obey) and broken UTF-8 become \xNN. */
static void make_printable(char *text, size_t capacity) {
    char clean[ERROR_MESSAGE_MAX];
    size_t out = 0;
    const unsigned char *c = (const unsigned char *)text;
    while (*c != '\0' && out + 5 < sizeof clean) {
        size_t bytes = character_bytes(c);
        bool control = c[0] < 0x20 || c[0] == 0x7F || (c[0] == 0xC2 && c[1] < 0xA0);
        if (bytes == 0 || control) {
            out += (size_t)snprintf(clean + out, sizeof clean - out, "\\x%02x", *c++);
            continue;
        }
        memcpy(clean + out, c, bytes);
        out += bytes;
        c += bytes;
    }
    clean[out] = '\0';
    snprintf(text, capacity, "%s", clean);
}

#undef fail
limn_status fail(limn_status status, const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    char message[ERROR_MESSAGE_MAX];
    vsnprintf(message, sizeof message, format, arguments);
    va_end(arguments);
    make_printable(message, sizeof message);
    memcpy(current.message, message, sizeof message);
    current.status = status;
    return status;
}

limn_status fail_context(const char *format, ...) {
    char prefix[ERROR_MESSAGE_MAX / 2];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(prefix, sizeof prefix, format, arguments);
    va_end(arguments);
    char joined[2 * ERROR_MESSAGE_MAX];
    snprintf(joined, sizeof joined, "%s: %s", prefix, current.message);
    joined[ERROR_MESSAGE_MAX - 1] = '\0';
    make_printable(joined, ERROR_MESSAGE_MAX);
    memcpy(current.message, joined, ERROR_MESSAGE_MAX);
    return current.status;
}

const char *error_message(void) {
    return current.message;
}

void error_clear(void) {
    current.status = LIMN_OK;
    current.message[0] = '\0';
}

void error_save(ErrorState *state) {
    *state = current;
}

limn_status error_restore(const ErrorState *state) {
    current = *state;
    return current.status;
}

static size_t row_of(limn_status status) {
    size_t row = (size_t)status;
    return row < LIMN_STATUS_COUNT ? row : (size_t)LIMN_INTERNAL;
}

bool status_is_of_input(limn_status status) {
    return status != LIMN_OK && status != LIMN_IO && status != LIMN_NO_MEMORY && status != LIMN_CANCELLED &&
           status != LIMN_INTERNAL;
}

const char *status_name(limn_status status) {
    return rows[row_of(status)].name;
}

const char *status_meaning(limn_status status) {
    return rows[row_of(status)].meaning;
}

int status_exit_code(limn_status status) {
    return rows[row_of(status)].exit_code;
}
