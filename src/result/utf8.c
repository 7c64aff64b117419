#include "result/utf8.h"

size_t codepoint_next(const char *bytes, size_t length, uint32_t *codepoint, bool *valid) {
    const unsigned char *b = (const unsigned char *)bytes;
    *codepoint = 0xFFFD;
    *valid = false;
    if (b[0] < 0x80) {
        *codepoint = b[0];
        *valid = true;
        return 1;
    }
    size_t needed;
    unsigned low = 0x80, high = 0xBF; /* what the second byte may be */
    uint32_t value;
    if (b[0] >= 0xC2 && b[0] <= 0xDF) {
        needed = 2;
        value = b[0] & 0x1Fu;
    } else if (b[0] >= 0xE0 && b[0] <= 0xEF) {
        needed = 3;
        value = b[0] & 0x0Fu;
        low = b[0] == 0xE0 ? 0xA0 : 0x80;
        high = b[0] == 0xED ? 0x9F : 0xBF;
    } else if (b[0] >= 0xF0 && b[0] <= 0xF4) {
        needed = 4;
        value = b[0] & 0x07u;
        low = b[0] == 0xF0 ? 0x90 : 0x80;
        high = b[0] == 0xF4 ? 0x8F : 0xBF;
    } else {
        return 1;
    }
    size_t n = 1;
    while (n < needed && n < length && b[n] >= low && b[n] <= high) {
        value = value << 6 | (b[n] & 0x3Fu);
        low = 0x80;
        high = 0xBF;
        n++;
    }
    if (n == needed) {
        *codepoint = value;
        *valid = true;
    }
    return n;
}

bool bytes_are_utf8(const char *bytes, size_t length) {
    for (size_t i = 0; i < length;) {
        uint32_t codepoint;
        bool valid;
        i += codepoint_next(bytes + i, length - i, &codepoint, &valid);
        if (!valid) {
            return false;
        }
    }
    return true;
}
