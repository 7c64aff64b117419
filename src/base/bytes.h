/* What is asked about bytes of text everywhere. */
#ifndef LIMN_BASE_BYTES_H
#define LIMN_BASE_BYTES_H

#include <stdbool.h>
#include <string.h>

static inline bool text_ends_with(const char *text, const char *suffix) {
    size_t n = strlen(text), m = strlen(suffix);
    return n >= m && memcmp(text + n - m, suffix, m) == 0;
}

/* 0 to 15, -1: none */
static inline int hex_digit(char c) {
    if (c >= '0' && c <= '9') {
        return c - '0';
    }
    c = (char)(c | 0x20);
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

#endif
